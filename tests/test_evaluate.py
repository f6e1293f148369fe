"""evaluate: measures by their definitions, published lists, protocols that leak nothing, and the command."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgpack
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from shopguide.blend import FEATURES, SIGHT, Blender
from shopguide.cli import cli
from shopguide.errors import SettingError, SourceError
from shopguide.evaluate.arms import Arm, Contest, alone, best, seconds
from shopguide.evaluate.data import (
    LEAVE_ONE_OUT,
    NEXT_ITEM,
    PREQUENTIAL,
    STATIC,
    Dataset,
    open_dataset,
    without_forgotten,
    without_retracted,
)
from shopguide.evaluate.metrics import Bootstrap, Ranks, beyond, measures, rank_of
from shopguide.evaluate.protocols import by_session, by_user, divided, follows, learned, reveal
from shopguide.evaluate.rates import rates
from shopguide.evaluate.store import Store
from shopguide.evaluate.training import HeldOut, Queries, ascend, hits_and_mrr
from shopguide.records import Events, Kind, Ragged
from shopguide.settings import load
from shopguide.weights import BLENDED, Weights

SETTINGS = load("shop")


def events(rows: list[tuple[int, int]], start: float = 1e9, kind: Kind = Kind.VIEW) -> Events:
    """Rows of (session, item), a minute apart; a session is its user's."""
    n = len(rows)
    return Events(
        offset=np.arange(n),
        kind=np.full(n, kind),
        user=np.array([r[0] for r in rows], np.uint64),
        session=np.array([r[0] for r in rows], np.uint64),
        item=np.array([r[1] for r in rows], np.uint64),
        time=start + 60.0 * np.arange(n),
        arrived=start + 60.0 * np.arange(n),
    )


def shop(sessions: int, seed: int = 1, first: int = 1) -> Events:
    """Sessions that walk in a ring of 30 items, now and then leaping."""
    rng = random.Random(seed)
    rows: list[tuple[int, int]] = []
    for session in range(first, first + sessions):
        at = rng.randrange(30)
        for _ in range(rng.randrange(2, 6)):
            rows.append((session, 100 + at))
            at = (at + 1) % 30 if rng.random() < 0.8 else rng.randrange(30)
    return events(rows)


@given(st.lists(st.integers(0, 3).map(float), min_size=1, max_size=30), st.integers(0, 29), st.integers(1, 25))
def test_a_rank_is_the_expected_one_among_equals(scores: list[float], target: int, k: int) -> None:
    scores.sort(reverse=True)
    items = np.arange(len(scores), dtype=np.uint64)
    found = rank_of(target, items, np.array(scores), k)
    if target >= len(scores):
        assert found == math.inf
        return
    places = [place for place, score in enumerate(scores, 1) if score == scores[target]]
    expected = sum(places) / len(places)
    assert found == (expected if expected <= k else math.inf)


@given(st.tuples(*[st.integers(0, 80)] * 3), st.integers(0, 240), st.integers(1, 25), st.sets(st.integers(0, 30)))
def test_a_rank_among_equals_does_not_depend_on_where_the_list_was_cut(
    sizes: tuple[int, int, int], target: int, k: int, without: set[int]
) -> None:
    scores = np.repeat([2.0, 1.0, 0.0], sizes)
    items, left_out = np.arange(len(scores), dtype=np.uint64), np.array(sorted(without), np.uint64)
    cut = SimpleNamespace(order=lambda n: (items[:n], scores[:n]))
    stay = ~np.isin(items, left_out)
    found, of_found, _ = best(cast("Blender", cut), k, left_out)
    assert rank_of(target, found, of_found, k) == rank_of(target, items[stay], scores[stay], k)


def test_a_signal_that_says_nothing_hits_nothing() -> None:
    """Nobody searches here, so all of some sixty candidates have score 0."""
    sessions = events([(session, 100 + (session * 7 + at) % 60) for session in range(1, 200) for at in range(3)])
    contest = Contest(
        Dataset("d", NEXT_ITEM, sessions, None), SETTINGS, STATIC, 20, "keep", [Arm("search", "", alone("search"))]
    )
    contest.run()
    assert len(contest.arms[0].ranks.rank) > 50 and contest.arms[0].ranks.hits().sum() == 0


@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, 7.0, math.inf]), min_size=1, max_size=20))
def test_measures_by_their_definitions(drawn: list[float]) -> None:
    ranks = Ranks(5)
    for number, rank in enumerate(drawn):
        ranks.add(number, rank if rank <= 5 else math.inf, np.array([1], np.uint64), 0.001)
    found, n = measures(ranks), len(drawn)
    hits = [rank for rank in drawn if rank <= 5]
    assert found["hr"] == found["recall"] == pytest.approx(len(hits) / n)
    assert found["mrr"] == found["map"] == pytest.approx(sum(1 / rank for rank in hits) / n)
    assert found["precision"] == pytest.approx(len(hits) / n / 5)
    assert found["ndcg"] == pytest.approx(sum(1 / math.log2(1 + rank) for rank in hits) / n)
    both = found["precision"], found["recall"]
    assert found["f1"] == pytest.approx(2 * both[0] * both[1] / sum(both) if hits else 0)


def test_what_hits_do_not_say() -> None:
    ranks = Ranks(2)
    ranks.add(1, 1.0, np.array([1, 2], np.uint64), 0.1)
    ranks.add(1, math.inf, np.array([1], np.uint64), 0.1)
    found = beyond(ranks, {1: 4, 2: 2, 3: 2})
    assert found == {
        "coverage": pytest.approx(2 / 3),
        "popularity": pytest.approx((1 + 0.5 + 1) / 3),
        "novelty": pytest.approx((1 + 2 + 1) / 3),
    }


def test_sessions_are_resampled_whole() -> None:
    """All of a session's predictions agree, so the interval is that of few sessions, not of many predictions."""
    values = np.repeat([1.0, 0.0, 1.0, 0.0], 500)
    together = Bootstrap(np.repeat([1, 2, 3, 4], 500).tolist()).interval(values)
    apart = Bootstrap(list(range(2000))).interval(values)
    assert together[1] - together[0] > 0.5
    assert apart[1] - apart[0] < 0.1
    assert Bootstrap(list(range(2000))).compare(values, values).p == 1.0
    better = Bootstrap(list(range(2000))).compare(np.minimum(values + 0.1, 1), values)
    assert better.difference == pytest.approx(0.05) and better.p < 0.01


@pytest.mark.data
@pytest.mark.parametrize(
    ("method", "hr", "mrr"),
    [("ar", 0.5917, 0.3160), ("sr", 0.5607, 0.3275), ("vsknn", 0.6098, 0.3342), ("gru4rec", 0.5711, 0.3289)],
)
def test_published_lists_have_their_published_numbers(data: Path, method: str, hr: float, mrr: float) -> None:
    """387 predictions of four methods, as session-rec wrote them, ranked by our own measures."""
    folder = data / "yoochoose_100k"
    sessions: dict[str, list[int]] = defaultdict(list)
    with gzip.open(folder / "yoochoose-clicks-100k_test.txt.gz", "rt") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            sessions[row["SessionId"]].append(int(row["ItemId"]))
    ranks = Ranks(20)
    with gzip.open(folder / f"recoms_rsc15_100k_{method}.csv.gz", "rt") as f:
        for row in csv.DictReader(f, delimiter=";"):
            items = np.array([int(i) for i in row["Recommendations"].split(",")], np.uint64)
            target = sessions[row["SessionId"]][int(row["Position"]) + 1]
            rank = rank_of(target, items, -np.arange(len(items), dtype=float), 20)
            ranks.add(int(row["SessionId"]), rank, items, 0.0)
    assert len(ranks.rank) == 387 and len(set(ranks.session)) == 99
    found = measures(ranks)
    assert (round(found["hr"], 4), round(found["mrr"], 4)) == (hr, mrr)


def test_questions_are_each_next_item() -> None:
    train_, test = shop(50), events([(900, 101), (900, 102), (901, 105), (900, 101)])
    store = Store(SETTINGS)
    store.bulk(train_)
    found = [(q.session, q.looks.recent[0].tolist(), q.target) for q in reveal(store, by_session(test), 20)]
    assert found == [(0, [101], 102), (0, [102, 101], 101)]


@pytest.mark.parametrize("mode", [STATIC, PREQUENTIAL])
def test_what_a_question_must_not_see_does_not_change_it(mode: str) -> None:
    """The leak test: all that comes after a question is another, and its lists are the same."""
    assert_unseen(Dataset("d", NEXT_ITEM, shop(80), shop(20, seed=2, first=500)), mode, 30)


@pytest.mark.parametrize("name", ["yoochoose_100k", "diginetica_gcegnn", "serenade_example"])
def test_nor_does_it_in_public_data(data: Path, name: str) -> None:
    found = open_dataset(data / name, None)
    assert found.test is not None
    test = Events.join(by_session(found.test)[:100])
    test.offset[:] = np.arange(len(test))
    assert_unseen(Dataset(name, NEXT_ITEM, found.train, test), STATIC, len(test) // 2)


def assert_unseen(dataset: Dataset, mode: str, known: int) -> None:
    """The lists asked for before the first ``known`` events are over stay the same where the others are overwritten."""
    test = dataset.test
    assert test is not None
    other = test.take(np.arange(len(test)))
    other.item[known:] = np.random.default_rng(3).choice(dataset.train.item, len(other) - known)

    def lists(part: Events) -> list[tuple[float, ...]]:
        arm = Arm("blend", "", Weights.of(SETTINGS.score))
        contest = Contest(replace(dataset, test=part), SETTINGS, mode, 20, "keep", [arm])
        shown: list[tuple[float, ...]] = []
        ranks = contest.arms[0].ranks
        ranks.add = lambda session, rank, items, spent: shown.append(tuple(items.tolist()))  # type: ignore[method-assign]
        contest.run()
        return shown

    whole = by_session(test)
    asked = sum(max(0, len([o for o in s.offset if o < known]) - 1) for s in whole)
    mine, theirs = lists(test), lists(other)
    assert asked > 15 and mine[:asked] == theirs[:asked] and mine != theirs


def test_of_a_single_stream_weights_see_the_warm_up_only() -> None:
    stream = shop(200)
    other = stream.take(np.arange(len(stream)))
    cut = int(len(stream) * 0.8)
    other.item[cut:] = 999
    one, two = (learned(Dataset("d", NEXT_ITEM, part, None), 0.8) for part in (stream, other))
    assert one.train == two.train and len(one.train) == cut
    assert (
        HeldOut.of(one, SETTINGS, "keep").train("linear").version
        == HeldOut.of(two, SETTINGS, "keep").train("linear").version
    )
    whole = Dataset("d", NEXT_ITEM, stream, other)
    assert learned(whole, 0.8) is whole


def test_features_of_a_question_do_not_know_its_answer() -> None:
    """Training's rows: the answer overwritten, the candidates and their features stay."""
    train_, test = shop(80), shop(10, seed=2, first=500)
    other = test.take(np.arange(len(test)))
    last = [int(session.offset[-1]) for session in by_session(test)]
    other.item[last] = 999

    def features(part: Events) -> Queries:
        store = Store(SETTINGS)
        store.bulk(train_)
        return Queries.of(store, reveal(store, by_session(part), 20), "keep")

    mine, theirs = features(test), features(other)
    assert np.array_equal(mine.features, theirs.features) and not np.array_equal(mine.right, theirs.right)


def test_a_model_that_never_learns_again_is_that_of_static() -> None:
    data = Dataset("d", NEXT_ITEM, shop(10), shop(60, seed=5, first=500))
    weights = Weights.of(SETTINGS.score)
    arms = [Arm("blend", "", weights, late) for late in (0.0, 600.0, math.inf)]
    live = Contest(data, SETTINGS, PREQUENTIAL, 20, "keep", arms)
    live.run()
    static = Contest(data, SETTINGS, STATIC, 20, "keep", arms[:1])
    static.run()
    assert sorted(live.arms[2].ranks.rank) == sorted(static.arms[0].ranks.rank)
    assert live.arms[0].ranks.rank != live.arms[2].ranks.rank != live.arms[1].ranks.rank


def test_every_arm_hears_of_the_catalogue_whatever_its_freshness() -> None:
    named = events([(0, 500), (0, 501)], 2e9, Kind.ITEM)
    named.data = Ragged.of_bytes([msgpack.packb({"title": "teapot"})] * 2)
    stream = Events.join([named, events([(900, 500), (900, 501)], 2e9 + 300)])
    dataset = Dataset("shop", NEXT_ITEM, shop(20), stream)
    arms = [Arm("content", "", alone("content"), freshness) for freshness in (0.0, seconds("never"))]
    contest = Contest(dataset, SETTINGS, PREQUENTIAL, 20, "keep", arms)
    contest.run()
    assert [arm.ranks.rank for arm in contest.arms] == [[1.0], [1.0]]


def test_leave_one_out_asks_for_the_last_and_drops_what_was_seen() -> None:
    rows = [(user, 100 + (user + step) % 12) for user in range(1, 40) for step in range(5)]
    data = Dataset("d", LEAVE_ONE_OUT, events(rows), None)
    by_user = load("shop", flags={"learn.unit": "user"})
    contest = Contest(data, by_user, STATIC, 5, "drop", [Arm("i", "", alone("items"))])
    contest.run()
    ranks = contest.arms[0].ranks
    assert len(ranks.rank) == 39 and measures(ranks)["hr"] > 0.9


@pytest.mark.parametrize("parts", [by_session, by_user])
def test_the_order_is_that_of_time_not_of_the_file(parts: Callable[[Events], list[Events]]) -> None:
    stream = shop(40)
    mixed = stream.take(np.random.default_rng(3).permutation(len(stream)))
    told = [{int(part.user[0]): part.item.tolist() for part in parts(events)} for events in (stream, mixed)]
    assert told[0] == told[1]


def test_leave_one_out_asks_each_user_once_however_many_visits_there_were() -> None:
    stream = shop(40)
    stream.user[:] = stream.session % 10 + 1
    contest = Contest(
        Dataset("d", LEAVE_ONE_OUT, stream, None), SETTINGS, STATIC, 10, "drop", [Arm("popular", "", alone("popular"))]
    )
    contest.run()
    assert len(contest.arms[0].ranks.rank) == 10


def test_the_warm_up_is_a_share_of_what_shoppers_did() -> None:
    catalogue, stream = events([(0, item) for item in range(500)], kind=Kind.ITEM), shop(60, first=1)
    stream.time[:] += 1e6
    learned_first, asked = divided(Events.join([catalogue, stream]), 0.8)
    assert len(learned_first) == 500 + int(len(stream) * 0.8) and len(asked) == len(stream) - int(len(stream) * 0.8)


def test_an_event_that_was_sent_twice_counts_once(tmp_path: Path) -> None:
    kinds = {0: "impression", 1: "click", 2: "purchase"}
    rows = [
        {"user": f"u{n % 7}", "item": f"p{n // 3 % 9}", "kind": kinds[n % 3], "time": 1e9 + n, "id": f"e{n}"}
        for n in range(300)
    ]
    runs = []
    for name, times in (("once", 1), ("twice", 2)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join((json.dumps(row) + "\n") * times for row in rows) + '{"user": "u1", "time": "soon"}\n')
        done = CliRunner().invoke(cli, ["evaluate", str(path), "--untrained", "--json"], catch_exceptions=False)
        runs.append(json.loads(done.stdout)["runs"][0])
    once, twice = runs
    assert [once["doubles"], twice["doubles"]] == [0, 300] and once["rates"] == twice["rates"]
    assert (
        once["results"][0]["n"] == twice["results"][0]["n"] and once["results"][0]["mrr"] == twice["results"][0]["mrr"]
    )
    assert twice["rejected"] == sum(twice["reasons"].values()) == 1
    done = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "twice.jsonl"), "--untrained"], catch_exceptions=False)
    assert "left out: 1 row (" in done.output and "300 doubles" in done.output


@given(st.lists(st.tuples(st.sampled_from([Kind.VIEW, Kind.FORGET, Kind.IMPRESSION]), st.integers(0, 3)), max_size=12))
def test_rows_before_their_user_was_forgotten_are_not_learned_from(rows: list[tuple[Kind, int]]) -> None:
    events = Events(offset=np.arange(len(rows)) * 7, kind=[k for k, _ in rows], user=[u for _, u in rows])
    left = [at for at, (_, user) in enumerate(rows) if (Kind.FORGET, user) not in rows[at + 1 :]]
    assert without_forgotten(events).offset.tolist() == [7 * at for at in left]


def test_what_was_retracted_is_not_learned_from() -> None:
    stream = shop(3)
    stream.event[:] = np.arange(1, len(stream) + 1)
    back = Events(offset=[99], kind=[Kind.RETRACT], time=[2e9], data=Ragged.of_bytes([msgpack.packb({"target": 2})]))
    left = without_retracted(Events.join([stream, back]))
    assert left.event[left.kind == Kind.VIEW].tolist() == [1, *range(3, len(stream) + 1)]


def test_which_events_go_on() -> None:
    rows = events([(1, 5), (2, 5), (1, 6), (3, 7), (3, 8)])
    assert follows(rows, 100).tolist() == [False, False, True, False, True]
    rows.session[:] = 0
    assert follows(rows, 100).tolist() == [False, False, False, False, True]


def test_rates_of_what_was_shown() -> None:
    kinds = [Kind.IMPRESSION] * 4 + [Kind.CLICK, Kind.CLICK, Kind.PURCHASE, Kind.PURCHASE]
    log = events([(1, 10), (1, 11), (2, 10), (2, 11), (1, 10), (2, 11), (1, 10), (2, 10)])
    log.kind[:] = kinds
    found = rates(Dataset("d", NEXT_ITEM, log, None))
    assert found["ctr"]["rate"] == 0.5 and found["cvr"]["rate"] == 0.5
    assert rates(Dataset("d", NEXT_ITEM, shop(5), None)) == {}


def test_worth_along_a_weight_is_that_of_the_ranks() -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(2, 60, 80)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    rest, share = (rng.integers(0, 4, starts[-1]) / 4 for _ in range(2))  # so coarse that many are equal
    right = starts[:-1] + rng.integers(0, sizes)
    queries = Queries(np.zeros((starts[-1], len(FEATURES))), starts, right, np.arange(80), np.zeros(80))
    weights = np.array([-2.0, -1.0, -0.3, 0.0, 0.5, 0.7, 1.0, 2.0])
    worth = [sum(hits_and_mrr(queries.ranks(rest + weight * share))) for weight in weights]
    assert queries.along(rest, share, weights) == pytest.approx(worth)


def test_ascent_finds_the_signal_that_tells() -> None:
    """Of two signals one is noise: its weight falls, the measure rises."""
    rng = np.random.default_rng(4)
    n, size = 200, 30
    features = np.zeros((n * size, len(FEATURES)))
    features[:, :2] = rng.random((n * size, 2))
    right = np.arange(n) * size + rng.integers(0, size, n)
    features[right, 0] += 0.5
    queries = Queries(features, np.arange(n + 1) * size, right, np.arange(n), np.zeros(n))
    start = {"items": 0.1, "rule": 1.0}
    before = sum(hits_and_mrr(queries.ranks(features[:, 0] * 0.1 + features[:, 1])))
    found = ascend(queries, start)
    after = sum(hits_and_mrr(queries.ranks(features[:, 0] * found["items"] + features[:, 1] * found["rule"])))
    assert found["items"] == 1.0 and found["rule"] < 0.3 and after > before + 0.1


def test_training_on_a_shop_beats_its_start_and_trees_can_be_served(tmp_path: Path) -> None:
    data = Dataset("d", NEXT_ITEM, shop(500), shop(150, seed=9, first=9000))
    bad = load("shop", flags={"score.steps": 3, "score.next": 0.0, "score.popular": 2})
    arms = [Arm("blend", "untrained", Weights.of(bad.score))]
    for kind in ("linear", "trees"):
        weights = HeldOut.of(Dataset("d", NEXT_ITEM, data.train, None), bad, "keep").train(kind)
        weights.save(tmp_path / f"{kind}.json")
        arms.append(Arm("blend", kind, Weights.load(tmp_path / f"{kind}.json")))
    contest = Contest(data, bad, STATIC, 5, "keep", arms)
    contest.run()
    start, linear, trees = (measures(arm.ranks)["mrr"] for arm in contest.arms)
    assert linear > start + 0.05 and trees > start + 0.05
    with pytest.raises(SettingError, match="too little"):
        HeldOut.of(Dataset("d", NEXT_ITEM, shop(8), None), bad, "keep")


@pytest.mark.parametrize("protocol", [NEXT_ITEM, LEAVE_ONE_OUT])
def test_a_training_is_judged_on_questions_that_it_did_not_learn(protocol: str) -> None:
    held = HeldOut.of(Dataset("d", protocol, shop(300), None), SETTINGS, "keep")
    older, newest = HeldOut("d", held.slices[:-1], held.start).train("linear").linear, held.slices[-1]
    weights = np.array([older[name] for name in BLENDED])
    said = held.train("linear", judge=True).trained
    assert said["judged"] == len(newest.right) < said["questions"]
    assert (said["hr"], said["mrr"]) == hits_and_mrr(newest.ranks(newest.features[:, : len(BLENDED)] @ weights))
    trees = held.train("trees", judge=True).trained
    assert trees["judged"] == said["judged"] and trees["mrr"] != said["mrr"]
    assert "hr" not in held.train("linear").trained


def test_weights_whose_networks_are_not_asked_are_told_of(tmp_path: Path) -> None:
    path, weights = write_csv(tmp_path / "e.csv"), tmp_path / "blend.json"
    Weights({"next": 1.0, "rnn": 1.0}, trained={"on": "log", "signals": ["next", "profile", "rnn"]}).save(weights)
    for asked, absent in (([], "trained with profile, rnn too"), (["--profiles"], "trained with rnn too")):
        line = ["evaluate", str(path), "--weights", str(weights), *asked]
        done = CliRunner().invoke(cli, line, catch_exceptions=False)
        assert absent in done.output
    assert HeldOut.of(Dataset("d", NEXT_ITEM, shop(60), None), SETTINGS, "keep").train("linear").trained["signals"]


def test_weights_that_have_seen_what_is_asked_are_told_of(tmp_path: Path) -> None:
    path, newer = write_csv(tmp_path / "e.csv"), write_csv(tmp_path / "newer.csv")
    trained = CliRunner().invoke(cli, ["train", str(path), "--out", str(tmp_path), "--json"], catch_exceptions=False)
    weights = str(Path(json.loads(trained.stdout)["path"]) / "blend.json")
    for asked, seen in ((path, True), (newer, False)):
        done = CliRunner().invoke(cli, ["evaluate", str(asked), "--weights", weights], catch_exceptions=False)
        assert ("trained on e.csv, on what is asked here too" in done.output) is seen


def test_an_ablation_trains_without_each_signal(tmp_path: Path) -> None:
    held = HeldOut.of(Dataset("d", NEXT_ITEM, shop(200), None), SETTINGS, "keep")
    assert {"items", "next", "steps"} <= set(held.signals) and "users" not in held.signals
    for kind in ("linear", "trees"):
        weights = held.without("steps").train(kind)
        assert weights.linear["steps"] == 0 and weights.linear["next"] > 0
        seen = set(weights.trees["feature"]) if weights.trees else set()
        assert not {at for at in seen if at >= 0 and SIGHT[at].startswith("steps")}
    path = tmp_path / "shop.csv"
    stream = shop(60)
    rows = zip(stream.session.tolist(), stream.item.tolist(), stream.time.tolist(), strict=True)
    path.write_text("session,item,time\n" + "\n".join(f"{s},{i},{t:.0f}" for s, i, t in rows))
    done = CliRunner().invoke(cli, ["evaluate", str(path), "--ablate", "--json"], catch_exceptions=False)
    run = json.loads(done.stdout)["runs"][0]
    names = [found["recommender"] for found in run["results"]]
    assert names[0] == "blend" and "without steps" in names
    assert [pair["other"] for pair in run["comparisons"]] == [f"{name} linear" for name in names[1:]]


def test_times() -> None:
    assert [seconds(t) for t in ("0", "10m", "1h", "1d", "90")] == [0, 600, 3600, 86400, 90]
    assert seconds("never") == math.inf
    for wrong in ("soon", "1y", "-1h", ""):
        with pytest.raises(SettingError, match="should be 0, never"):
            seconds(wrong)


def write_csv(path: Path, header: str = "user,item,time") -> Path:
    rows = shop(300)
    lines = [f"u{u},i{i},{t}" for u, i, t in zip(rows.user, rows.item, rows.time.astype(int), strict=True)]
    path.write_text("\n".join([header, *lines]))
    return path


def test_a_bare_csv_needs_no_option(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["evaluate", str(write_csv(tmp_path / "e.csv"))])
    assert done.exit_code == 0 and "next-item, prequential" in done.output and "blend linear" in done.output
    done = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "e.csv"), "--freshness", "0,never", "--json"])
    (run,) = json.loads(done.stdout)["runs"]
    assert [r["freshness"] for r in run["results"]] == ["each event", "never"] and run["k"] == 20
    late = ["--freshness", "0,10m,never"]
    done = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "e.csv"), *late], env={"COLUMNS": "80"})
    assert "…" not in "".join(line for line in done.output.splitlines() if " less " not in line)
    for found in run["results"]:
        assert 0 < found["hr"] <= 1 and found["ci95"]["hr"][0] <= found["hr"] <= found["ci95"]["hr"][1]
        assert found["us_per_recommendation"]["p50"] > 0 and found["events_per_s"] > 0


def test_a_picture(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "e.csv")
    done = CliRunner().invoke(cli, ["evaluate", str(path), "--untrained", "--recommender", "all", "--plot", "p.png"])
    assert done.exit_code == 0 and Path("p.png").read_bytes().startswith(b"\x89PNG")
    Path("p.png").unlink()


def test_access_logs_are_read_under_the_rules_given(tmp_path: Path) -> None:
    log, config = tmp_path / "access.log", tmp_path / "news.toml"
    line = '9.9.9.9 - - [10/Oct/2020:13:%02d:36 +0000] "GET /news/a-%d.html HTTP/2.0" 200 1 "-" "Firefox/9"\n'
    log.write_text("".join(line % (minute, minute % 7) for minute in range(50)))
    config.write_text('[[collect.rules]]\nkind = "view"\npath = "/news/a-(?P<item>[0-9]+)[.]html"\n')
    given = ["--config", str(config), "--json"]
    done = CliRunner().invoke(cli, ["evaluate", str(log), "--untrained", *given], catch_exceptions=False)
    assert json.loads(done.output)["runs"][0]["results"][0]["n"] > 0
    trained = CliRunner().invoke(cli, ["train", str(log), "--out", str(tmp_path / "m"), *given], catch_exceptions=False)
    assert json.loads(trained.output)["version"]
    with pytest.raises(SourceError, match="none of its 0 rows"):
        CliRunner().invoke(cli, ["evaluate", str(log)], catch_exceptions=False, standalone_mode=False)


def test_a_users_mistakes(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "e.csv", "user,thing,time")
    with pytest.raises(SourceError, match="lacks item"):
        open_dataset(path, None)
    with pytest.raises(SourceError, match=r"none of its 1 files .*e\.csv: the header lacks item"):
        open_dataset(tmp_path, None)
    write_csv(path)
    for wrong, why in (
        (["--recommender", "luck"], "should be blend, all"),
        (["--freshness", "0,1h", "--mode", "static"], "no model learns"),
        (["--weights", str(tmp_path / "none.json")], "cannot be read"),
        (["--ablate", "--untrained"], "neither --weights nor --untrained"),
        (["--warm-up", "nan"], "should be 0 or more"),
    ):
        with pytest.raises(SettingError, match=why):
            CliRunner().invoke(cli, ["evaluate", str(path), *wrong], catch_exceptions=False, standalone_mode=False)
    (tmp_path / "one.csv").write_text("user,item,time\nu1,i1,1000000000\n")
    with pytest.raises(SettingError):
        CliRunner().invoke(
            cli, ["evaluate", str(tmp_path / "one.csv"), "--untrained"], catch_exceptions=False, standalone_mode=False
        )


@pytest.mark.data
def test_data_sets_are_recognised(data: Path) -> None:
    found = open_dataset(data / "serenade_example", None)
    assert found.protocol == NEXT_ITEM and found.test is not None
    assert (len(found.train), len(found.test), found.rejected) == (113_601, 1_233, {})
    beauty = open_dataset(data / "amazon_beauty", None)
    assert beauty.protocol == LEAVE_ONE_OUT and beauty.test is None and len(beauty.train) == 198_502

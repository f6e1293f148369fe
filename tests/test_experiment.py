"""The closed loop: what is shown decides what is clicked; arms are told apart when they differ, and only then."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner

from shopguide.cli.simulate import simulate
from shopguide.collect.collector import Collector
from shopguide.errors import SettingError
from shopguide.records import Batch
from shopguide.simulate import REGIMES, Product, Regime, Shop
from shopguide.simulate import truth as truths
from shopguide.simulate.arms import Arm, Arms, Line
from shopguide.simulate.experiment import COUNTS, PER_DAY, Experiment, opened
from shopguide.simulate.feed import SECRET, Feed
from shopguide.simulate.interleave import sign_test, team_draft
from shopguide.simulate.report import in_words, report
from shopguide.simulate.truth import DAY, Memory, Truth
from shopguide.simulate.visit import Visit

QUIET = Regime("quiet", history=0)  # nothing moves, nothing was before
SHORT = Regime("short", history=0.3)


def arms_of(shop: Shop, **specs: str) -> dict[str, Arm]:
    opener = Arms(shop)
    return {name: opener.open(name, spec) for name, spec in specs.items()}


def tried(visits: int, seed: int, interleaved: bool = False, regime: Regime = QUIET, **specs: str) -> Experiment:
    shop = opened(seed, regime, products=120)
    experiment = Experiment(shop, arms_of(shop, **specs), 10, interleaved)
    experiment.run(visits)
    return experiment


def test_the_oracle_beats_chance() -> None:
    found = report(tried(120, 1, chance="random", best="oracle"), 1)
    (difference,) = found["differences"]
    for metric in ("ctr", "ctr_item"):
        d = difference["metrics"][metric]
        assert d["p"] < 0.01 and 0 < d["low"] <= d["difference"] <= d["high"]
    assert found["outcome"]["best"]["bought"] > found["outcome"]["chance"]["bought"]


def test_an_arm_does_not_beat_itself() -> None:
    (same,) = report(tried(120, 4, best="oracle", again="oracle"), 1)["differences"]
    assert all(d["p"] > 0.05 and d["low"] <= 0 <= d["high"] for d in same["metrics"].values())


def test_a_line_is_between_chance_and_the_oracle_and_equals_itself() -> None:
    found = report(tried(400, 2, regime=SHORT, line="shop", again="shop", chance="random", best="oracle"), 1)
    outcome, (same, chance, best) = found["outcome"], found["differences"]
    assert outcome["chance"]["ctr"] < outcome["line"]["ctr"] < outcome["best"]["ctr"]
    assert all(d["p"] > 0.001 for d in same["metrics"].values())
    assert chance["metrics"]["ctr"]["p"] < 0.05 and best["metrics"]["ctr"]["difference"] > 0


def test_the_same_seed_is_the_same_experiment_and_shoppers_stay_in_their_arm() -> None:
    one, two, other = (tried(40, seed, regime=REGIMES["young"], line="shop", most="popular") for seed in (3, 3, 4))
    assert report(one, 3) == report(two, 3) != report(other, 3)
    users = [set(tallies.of) for tallies in one.tallies.values()]
    assert users[0] and users[1] and not users[0] & users[1]
    assert sum(t.totals()[:, COUNTS.index("visits")].sum() for t in one.tallies.values()) == 40


def test_counts_are_those_of_the_events() -> None:
    seen: Counter[str] = Counter()
    shop = opened(5, QUIET)

    class Watching:
        tried = frozenset[str]()

        def learn(self, batch: Batch, now: float) -> None:
            seen.update(batch.events.kind.tolist())
            self.value = getattr(self, "value", 0.0) + batch.events.value[batch.events.kind == 5].sum()

        def recommend(self, visit: Visit, user: int, n: int) -> list[str]:
            assert user == SECRET.user_key(visit.shopper.user)
            return oracle.recommend(visit, user, n)

    oracle, watching = Arms(shop).open("best", "oracle"), Watching()
    experiment = Experiment(shop, {"all": watching}, 10)
    experiment.run(60)
    counts = report(experiment, 1)["outcome"]["all"]
    assert counts["visits"] == 60 and counts["impressions"] == seen[1] and counts["shown"] == 10 * seen[1]
    assert counts["clicks"] - seen[8] in range(61)  # a last click may come to nothing where a visit is too long
    assert counts["purchases"] == seen[5] >= counts["bought"] > 0 and counts["revenue"] == pytest.approx(watching.value)
    assert (
        counts["ctr"] == counts["clicks"] / counts["impressions"]
        and counts["cvr"] == counts["bought"] / counts["clicks"]
    )


def a_visit(shop: Shop, number: int = 0, memory: Memory | None = None) -> Visit:
    return Visit(shop, shop.shoppers[0], memory or Memory(), number, shop.truth.opening)


@pytest.mark.parametrize("rank", [1, 2, 5, 10])
def test_clicks_fall_with_the_rank(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = opened(6, QUIET)
    items, wanted = shop.products[:10], shop.products[rank - 1]
    monkeypatch.setattr(Truth, "attraction", lambda self, shopper, style, product, *rest: float(product is wanted))
    clicks = [a_visit(shop, number).show(items) for number in range(1500)]
    assert set(clicks) <= {rank - 1, None}
    plain = math.log(2) / math.log(1 + rank)
    assert sum(c is not None for c in clicks) / 1500 == pytest.approx(
        plain, abs=4 * math.sqrt(plain * (1 - plain) / 1500)
    )


def test_what_is_shown_again_and_again_is_clicked_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def clicks() -> int:
        shop = opened(7, QUIET)
        found = 0
        for number, shopper in enumerate(shop.shoppers[:60]):
            visit = Visit(shop, shopper, Memory(), number, shop.truth.opening)
            same = [p for p in shop.products if p.style in shopper.styles][:10]
            found += sum(visit.show(same) is not None for _ in range(20))
        return found

    tired = clicks()
    monkeypatch.setattr(truths, "TIRES", 1.0)
    assert 0 < tired < 0.7 * clicks()


def test_weariness_rests_and_a_click_ends_it() -> None:
    memory, shop = Memory(), opened(8, QUIET)
    product, shopper = shop.products[0], shop.shoppers[0]

    def chance(now: float) -> float:
        return shop.truth.attraction(shopper, product.style, product, now, memory, set())

    fresh = chance(1000.0)
    memory.left(product.item, 1000.0)
    memory.left(product.item, 1000.0)
    assert chance(1000.0) == pytest.approx(fresh * truths.TIRES**2)
    assert chance(1000.0 + DAY) == pytest.approx(fresh * truths.TIRES)
    memory.clicked(product.item)
    assert chance(1000.0) == fresh
    memory.bought.add(product.item)
    assert chance(1000.0) == fresh * truths.BOUGHT
    assert fresh == shop.truth.wanted(shopper, product.style, product, 1000.0)


def test_taste_decides_what_is_wanted() -> None:
    shop = opened(9, QUIET)
    shopper = shop.shoppers[0]
    style = shopper.styles[0]

    def mean(fits: object) -> float:
        return float(np.mean([shop.truth.wanted(shopper, style, p, 0.0) for p in shop.products if fits(p)]))  # type: ignore[operator]

    def mine(p: Product) -> bool:
        return p.category in shopper.categories

    assert mean(lambda p: p.style == style) > mean(lambda p: p.style == shopper.styles[1])
    assert mean(lambda p: p.style == shopper.styles[1]) > mean(lambda p: p.style not in shopper.styles)
    assert mean(mine) > mean(lambda p: not mine(p))
    assert mean(lambda p: p.band == shopper.band) > mean(lambda p: p.band != shopper.band)


def test_nobody_is_shown_what_is_not_there_yet() -> None:
    shop = opened(10, Regime("filling", history=0, new=0.8, arrivals=0.1), products=120)
    arms = arms_of(shop, chance="random", best="oracle", line="shop", most="popular")
    shown: Counter[str] = Counter()

    def checked(name: str, recommend: object) -> object:
        def ask(visit: Visit, user: int, n: int) -> list[str]:
            items = recommend(visit, user, n)  # type: ignore[operator]
            assert all(shop.truth.launch.get(item, 0.0) <= visit.now for item in items)
            shown[name] += sum(item in shop.truth.launch for item in items)
            return items

        return ask

    for name, arm in arms.items():
        arm.recommend = checked(name, arm.recommend)  # type: ignore[method-assign, assignment]
    Experiment(shop, arms, 10).run(60)
    assert all(shown[name] for name in arms)


def plain_draft(a: list[str], b: list[str], n: int, random: Random) -> tuple[list[str], list[str], list[str]]:
    """Radlinski et al. 2008, algorithm 2, as it is printed."""
    i: list[str] = []
    team_a: list[str] = []
    team_b: list[str] = []
    while len(i) < n and any(x not in i for x in a) and any(x not in i for x in b):
        if len(team_a) < len(team_b) or (len(team_a) == len(team_b) and random.choice((-1, 1)) == 1):
            k = min(at for at in range(len(a)) if a[at] not in i)
            i.append(a[k])
            team_a.append(a[k])
        else:
            k = min(at for at in range(len(b)) if b[at] not in i)
            i.append(b[k])
            team_b.append(b[k])
    return i, team_a, team_b


def test_a_draft_and_whose_items_are_whose_by_the_plain_definition() -> None:
    random, first = Random(1), Counter[int]()
    for seed in range(300):
        a, b = (random.sample([f"p{i}" for i in range(30)], 20) for _ in range(2))
        items, teams = team_draft((a, b), 10, Random(seed))
        plain, team_a, team_b = plain_draft(a, b, 10, Random(seed))
        assert items == plain and len(set(items)) == 10
        assert [i for i, team in zip(items, teams, strict=True) if team == 0] == team_a
        assert [i for i, team in zip(items, teams, strict=True) if team == 1] == team_b
        assert teams.count(0) == 5
        first[teams[0]] += 1
    assert 110 < first[0] < 190
    assert team_draft((["a"], ["a", "b", "c"]), 10, random)[0] in (["a", "b", "c"],)
    assert team_draft(([], []), 10, random) == ([], [])


def test_interleaving_credits_who_is_clicked() -> None:
    experiment = tried(80, 11, interleaved=True, chance="random", best="oracle")
    found = report(experiment, 1)
    drafted = found["interleaving"]
    assert sum(drafted["clicks"].values()) == found["outcome"]["interleaved"]["clicks"] > 50
    assert drafted["share"]["best"] > 0.8 and drafted["visits_won"]["best"] > drafted["visits_won"]["chance"]
    assert drafted["p"] < 0.01
    assert sum(drafted["visits_won"].values()) + drafted["ties"] == 80 == len(experiment.credits)
    assert "visits tied" in in_words({"visits": 80, "regime": "quiet", "seed": 11, **found})


def test_interleaving_an_arm_with_itself_credits_nobody() -> None:
    drafted = report(tried(80, 12, interleaved=True, best="oracle", again="oracle"), 1)["interleaving"]
    assert drafted["p"] > 0.05 and 0.35 < drafted["share"]["best"] < 0.65


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (3, 9), (9, 3), (20, 20), (150, 190)])
def test_the_sign_test_by_its_definition(wins: int, losses: int) -> None:
    n = wins + losses
    plain = 2 * sum(math.comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    assert sign_test(wins, losses) == pytest.approx(min(1.0, plain))


def test_a_lag_is_the_age_of_the_model_and_of_nothing_else() -> None:
    shop = opened(13, SHORT)
    opener = Arms(shop)
    live, daily = opener.open("live", "shop"), opener.open("daily", "shop", DAY)
    assert isinstance(live, Line) and isinstance(daily, Line)
    visit = a_visit(shop)
    sums: list[tuple[str, str]] = []
    feed = Feed([live, daily])
    past = list(shop.events(600))
    feed.load([*shop.catalogue(), *past], past[-1]["time"])
    for day in (0.0, 0.5, 0.9, 1.01, 1.5, 3.5):
        visit.now = shop.truth.opening + day * DAY
        rows = [row for number in range(20) for row in a_visit(shop, int(day * 1000) + number).step()]
        for row in rows:
            row["time"] = visit.now
        for arm in (live, daily):
            arm.recommend(visit, 1, 5)
        sums.append((live.scorer.checksum(), daily.scorer.checksum()))
        feed.send(rows, visit.now)
    assert sums[0][0] == sums[0][1]  # both know the past
    assert len({one for one, _ in sums}) == 6
    assert sums[0][1] == sums[1][1] == sums[2][1]
    assert sums[3][1] == sums[3][0] and sums[4][1] == sums[3][1] and sums[5][1] == sums[5][0]
    assert daily.front is live.front


def test_rows_of_a_visit_are_what_collect_makes_of_them() -> None:
    shop, taken = opened(14, QUIET), list[Batch]()

    class Taking:
        def learn(self, batch: Batch, now: float) -> None:
            taken.append(batch)

    feed = Feed([Taking()])  # type: ignore[list-item]
    rows = [row for number in range(200) for row in a_visit(shop, number).step()]
    rows += [{**rows[-1], "kind": kind, "value": 3.5} for kind in ("purchase", "remove", "click")]
    assert {row["kind"] for row in rows} >= {"search", "view", "cart"}
    feed.load(rows, 5.0)
    feed.send(rows, 5.0)
    collected, sent = (batch.events for batch in taken)
    sent.offset = collected.offset
    assert sent == collected
    assert isinstance(feed._collector, Collector)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(simulate, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_compares_settings(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[score]\nitems = 0\n")
    given = ("--visits", 30, "--seed", 3, "--regime", "young", "--arm", f"mine={path}", "--arm", "chance=random")
    found = json.loads(run(*given, "--json", "-n", 5, "--lag", f"mine={DAY}"))
    assert found["arms"] == {"mine": str(path), "chance": "random"} and found["lags"] == {"mine": DAY}
    assert found["outcome"]["mine"]["shown"] == 5 * found["outcome"]["mine"]["impressions"]
    assert {d["arm"] for d in found["differences"]} == {"chance"}
    words = run(*given, "-n", 5)
    assert "30 visits, young, seed 3" in words and "clicks per list" in words and "chance - mine" in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--arm", "a=shop"), "need --visits"),
        (("--visits", "5"), "0 given; should be at least one arm"),
        (("--visits", "5", "--arm", "a"), "--arm 'a': should be NAME=VALUE"),
        (("--visits", "5", "--arm", "a=shop", "--arm", "a=news"), "a is given twice"),
        (
            ("--visits", "5", "--arm", "a=nothing"),
            "--arm a=nothing: .*allowed are a TOML file, shop, news, live",
        ),
        (("--visits", "5", "--arm", "a=shop", "--interleave"), "1 given; should be two arms"),
        (("--visits", "5", "--arm", "a=shop", "--lag", "b=5"), "--lag b: no such arm; allowed are a"),
        (("--visits", "5", "--arm", "a=shop", "--lag", "a=soon"), "--lag a=soon: should be seconds, 0 or more"),
        (("--visits", "5", "--arm", "a=oracle", "--lag", "a=5"), "--lag a=5: oracle learns nothing"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said) as error:
        run(*arguments)
    assert "\n" not in str(error.value)


def test_a_wrong_setting_names_itself_and_its_arm(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[score]\nrecent = 0\n")
    with pytest.raises(SettingError, match=r"--arm a=.*wrong\.toml: score\.recent = 0: should be"):
        run("--visits", 5, "--arm", f"a={path}")


def test_visits_come_at_the_shops_pace() -> None:
    shop = opened(15, REGIMES["stationary"])
    assert shop.rate * DAY == PER_DAY and shop.truth.opening - shop.start == 8 * DAY


def test_in_a_young_shop_a_model_that_stands_still_loses() -> None:
    shop = opened(16, REGIMES["young"], products=120)
    opener = Arms(shop)
    arms = {"still": opener.open("still", "shop", 10 * DAY), "live": opener.open("live", "shop")}
    experiment = Experiment(shop, arms, 10, interleaved=True)
    experiment.run(80)
    drafted = report(experiment, 1)["interleaving"]
    assert drafted["visits_won"]["live"] > drafted["visits_won"]["still"]

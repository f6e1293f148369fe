"""score: the blend is a sum, lists come from what was learned, and what is taken back leaves no trace."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import stump

from shopguide.artefacts import OFF, Artefacts, Trial
from shopguide.errors import GapError
from shopguide.keys import category_key
from shopguide.records import SIGNALS, SIMILAR, TRENDING, Batch, Events, Kind, Lessons, Looks, Names, Ragged, Update
from shopguide.score import Scorer
from shopguide.settings import load
from shopguide.weights import BLENDED, Weights


def lessons(*rows: tuple[int, int, int], sign: int = 1, first: int = 0) -> Lessons:
    """Rows of (unit, user, item), from time 0 on a second apart."""
    n = len(rows)
    return Lessons(
        offset=np.arange(first, first + n),
        sign=np.full(n, sign, np.int8),
        kind=np.full(n, Kind.VIEW, np.uint8),
        unit=np.array([r[0] for r in rows], np.uint64),
        user=np.array([r[1] for r in rows], np.uint64),
        item=np.array([r[2] for r in rows], np.uint64),
        time=np.arange(n, dtype=np.float64),
    )


def look(recent: list[int] | None = None, slot: bytes = b"home", n: int = 5, **more: Any) -> Looks:
    recent = recent or []
    return Looks(
        user=np.array([7], np.uint64),
        slot=Ragged.of_bytes([slot]),
        n=[n],
        event_time=[100.0],
        recent=Ragged.of([recent], "<u8"),
        recent_kind=Ragged.of([[Kind.VIEW] * len(recent)], "u1"),
        recent_time=Ragged.of([[0.0] * len(recent)], "<f8"),
        here=Ragged.of([[1] * len(recent)], "u1"),
        **more,
    )


def taught(*rows: tuple[int, int, int], **flags: Any) -> Scorer:
    scorer = Scorer(load("shop", flags={f"score.{k}": v for k, v in flags.items()}))
    scorer.learn(Update(0, 0, len(rows) - 1, 0, lessons(*rows), -1, Events(), Looks()))
    return scorer


TOGETHER = [(1, 1, 10), (1, 1, 11), (2, 2, 10), (2, 2, 11), (3, 3, 10), (3, 3, 12), (4, 4, 13)]


def test_neighbours_of_what_was_looked_at_come_first() -> None:
    assert taught(*TOGETHER, steps=0).answer(look([10])).candidates.item.tolist()[0] == 11
    assert taught(*TOGETHER, steps=9).answer(look([10])).candidates.item.tolist()[0] == 10


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(10, 15)), min_size=1, max_size=30), st.data()
)
def test_a_score_is_the_sum_of_its_amounts(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    recent = data.draw(st.lists(st.integers(10, 16), unique=True, max_size=4))
    found = taught(*rows).answer(look(recent)).candidates
    assert len(set(found.item.tolist())) == len(found)
    for row in range(len(found)):
        assert found.amount[row].sum() == pytest.approx(found.score[row], abs=1e-9)
        assert set(found.because[row].tolist()) <= {0, *recent}
    order = sorted(zip((-found.score).tolist(), found.item.tolist(), strict=True))
    assert [item for _, item in order] == found.item.tolist()


def test_the_unknown_visitor_gets_what_is_popular() -> None:
    found = taught(*TOGETHER).answer(look()).candidates
    assert found.item.tolist()[0] == 10 and {SIGNALS[s] for s in found.signal.values} == {"popular"}


def test_causes_count_distinct_shoppers() -> None:
    scorer = taught((1, 1, 10), (1, 1, 11), (2, 1, 10), (2, 1, 11), (3, 2, 10), (3, 2, 11))
    found = scorer.answer(look([10])).candidates
    row = found.item.tolist().index(11)
    named = found.because[row] == 10
    assert set(found.shared[row][named].tolist()) == {2}


def test_there_are_candidates_enough_for_what_rank_hides_and_weighs() -> None:
    """Readers of an article all read the same sixty others; what others read is another one."""
    rows = [(user, user, item) for user in range(1, 5) for item in range(10, 70)]
    rows += [(user, user, 99) for user in range(5, 15)]
    read = list(range(10, 30))

    def candidates(preset: str, slot: bytes = b"home", **flags: Any) -> list[int]:
        scorer = Scorer(load(preset, flags=flags))
        scorer.learn(Update(0, 0, len(rows) - 1, 0, lessons(*rows), -1, Events(), Looks()))
        items: list[int] = scorer.answer(look(read, slot)).candidates.item.tolist()
        return items

    assert 99 not in candidates("shop") and len(set(candidates("shop")) - set(read)) < 15
    assert 99 in candidates("news")
    assert len(set(candidates("shop", **{"rank.seen": "drop"})) - set(read)) == 15
    aged = {"rank.slots": {"paper": {"age_half_life": 60}}}
    assert 99 in candidates("shop", b"paper", **aged) and 99 not in candidates("shop", **aged)


def test_similar_and_trending() -> None:
    scorer = taught(*TOGETHER)
    similar = scorer.answer(look(slot=SIMILAR, about=np.array([10], np.uint64))).candidates
    assert similar.item.tolist() == [11, 12] and set(similar.because.values.tolist()) == {10}
    details = [msgpack.packb({"category": c}) for c in ("x", "y")]
    rows = Events(kind=[Kind.ITEM] * 2, item=np.array([12, 13], np.uint64), data=Ragged.of_bytes(details))
    scorer.learn_catalogue(Batch(0, 0, 1, rows, Names()))
    category = np.array([category_key("y")], np.uint64)
    trending = scorer.answer(look(slot=TRENDING, category=category)).candidates
    assert trending.item.tolist() == [13]
    assert scorer.answer(look(slot=TRENDING)).candidates.item.tolist()[0] == 10


def test_trees_do_not_order_lists_that_they_were_not_trained_on() -> None:
    scorer = taught((1, 1, 10), (1, 1, 12), (2, 2, 10), (2, 2, 12), (3, 3, 10), (3, 3, 11), (3, 3, 13), (4, 4, 13))
    slots = (look(slot=SIMILAR, about=np.array([10], np.uint64)), look(slot=TRENDING))
    linear = [scorer.answer(slot).candidates for slot in slots]
    scorer.blender = scorer.blender.under(Weights(scorer.blender.weights.linear, stump()))
    assert [scorer.answer(slot).candidates for slot in slots] == linear
    assert {SIGNALS[s] for s in scorer.answer(look([10])).candidates.signal.values} >= {"base"}


def test_who_weighs_nothing_is_not_asked() -> None:
    scorer = taught(*TOGETHER, **dict.fromkeys(BLENDED, 0.0) | {"items": 0.5, "profile": 0.1})
    asked: list[str] = []
    for name, one in scorer._recommenders.items():
        one.score = partial(lambda name, score, *given: asked.append(name) or score(*given), name, one.score)
    found = scorer.answer(look([10])).candidates
    assert asked == ["items", "profile"] and {SIGNALS[signal] for signal in found.signal.values} == {"items"}
    scorer.gather(look([10]), 0)
    items, scores = scorer.blender.order(len(found))
    assert asked[2:] == list(scorer._recommenders) and items.tolist() == found.item.tolist()
    assert scores.tolist() == found.score.tolist()
    scorer._blend(scorer.blender.under(Weights({"items": 0.5}, stump())))
    scorer.answer(look([10]))
    assert asked[-len(scorer._recommenders) :] == list(scorer._recommenders)


def test_who_is_of_a_trial_gets_its_lists_and_nobody_else(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    tried = artefacts.write({"blend.json": Weights({"popular": 1.0}).packed()}, {"blend": {}}, {}, {})
    settings = load("shop", flags={f"score.{name}": float(name == "items") for name in BLENDED})
    scorer = Scorer(settings, models=tmp_path)
    scorer.learn(Update(0, 0, len(TOGETHER) - 1, 0, lessons(*TOGETHER), -1, Events(), Looks()))
    looks = Looks.join([look([10]).of({**look([10]).columns(), "user": np.array([u], np.uint64)}) for u in range(40)])

    def told(at: float, **said: Any) -> list[bool]:
        """Of which users the lists are by popularity."""
        row = msgpack.packb({"models": ["blend"], **said})
        rows = Events(kind=[Kind.ACTIVATE], arrived=[at], data=Ragged.of_bytes([row]))
        scorer.learn_catalogue(Batch(0, 0, 0, rows, Names()))
        return by_popularity(scorer)

    def by_popularity(scorer: Scorer) -> list[bool]:
        found = scorer.answer(looks).candidates
        signals = {u: set(found.signal[row]) for row, u in enumerate(found.look.tolist())}
        return [signals[u] == {SIGNALS.index("popular")} for u in range(40)]

    users = range(40)
    assert told(1.0, version=tried.version, share=0.5) == [Trial(1.0, tried.version, 0.5).has(u) for u in users]
    again = Scorer(settings, models=tmp_path)
    again.load(scorer.dump())
    assert by_popularity(again) == by_popularity(scorer) != [False] * 40
    assert told(2.0, version=OFF) == [False] * 40, "the end"
    assert told(3.0, version=tried.version, share=0.5) == by_popularity(again)
    assert told(4.0, version=tried.version) == [True] * 40, "for everybody"


def test_what_is_taken_back_leaves_no_trace() -> None:
    scorer, other = taught(*TOGETHER), taught(*TOGETHER[2:])
    scorer.learn(Update(0, 7, 8, 7, lessons(*TOGETHER[:2], sign=-1, first=7), -1, Events(), Looks()))
    scorer.check()
    assert scorer.checksum() == other.checksum()


def test_a_replay_teaches_nothing_and_a_gap_is_refused() -> None:
    scorer = taught(*TOGETHER)
    before = scorer.checksum()
    scorer.learn(Update(0, 0, 6, 0, lessons(*TOGETHER), -1, Events(), Looks()))
    assert scorer.checksum() == before
    with pytest.raises(GapError):
        scorer.learn(Update(0, 9, 9, 9, Lessons(), -1, Events(), Looks()))


def test_a_replica_answers_its_share() -> None:
    looks = Looks(user=np.arange(10, dtype=np.uint64), n=[3] * 10, slot=Ragged.of_bytes([b"home"] * 10))
    answered = []
    for replica in range(3):
        scorer = Scorer(load("shop"), replica, 3)
        answered += scorer.answer(looks).looks.user.tolist()
    assert sorted(answered) == list(range(10))


def test_dump_and_load() -> None:
    scorer, other = taught(*TOGETHER), Scorer(load("shop"))
    other.load(scorer.dump())
    other.check()
    assert other.checksum() == scorer.checksum() and other.frontier.reached == scorer.frontier.reached
    mine, theirs = (s.answer(look([10, 13])).candidates for s in (scorer, other))
    assert mine == theirs

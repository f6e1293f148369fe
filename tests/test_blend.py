"""blend: a score is the sum of what its rows are worth; trees rank the best of it again and say why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import stump

from shopguide._core import Blend, Collected, Table
from shopguide.blend import DEPTH, FEATURES, SIGHT, Blender, Scored
from shopguide.errors import SettingError
from shopguide.recommenders.base import PLACE
from shopguide.records import BASE, SIGNALS
from shopguide.weights import BLENDED, Weights

Rows = list[tuple[str, int, int, float]]

AMOUNTS = st.integers(0, 8).map(lambda n: n / 4)
ROWS = st.lists(st.tuples(st.sampled_from(BLENDED), st.integers(1, 9), st.integers(0, 3), AMOUNTS), max_size=60)


def filled(rows: list[tuple[str, int, int, float]], weights: Weights, faded: dict[str, float] | None = None) -> Blender:
    blender = Blender(weights)
    blender.begin(faded=faded or {})
    for name, item, because, amount in rows:
        blender.rows.put(PLACE[name], [item], [amount], [because])
    return blender


def the_best(blender: Blender, n: int) -> Scored:
    """The n best, alone."""
    found = Collected()
    blender.best(n, found)
    look, *columns = found.take()
    assert look.tolist() == [0] * len(look)
    return Scored(*columns)


def told(found: Scored) -> list[tuple[str, int, float]]:
    """Signal, cause, amount, to nine digits."""
    names, amounts = [SIGNALS[s] for s in found.signal], found.amount.round(9).tolist()
    return list(zip(names, found.because.tolist(), amounts, strict=True))


@given(
    ROWS,
    st.lists(st.integers(-2, 8).map(lambda n: n / 8), min_size=len(BLENDED), max_size=len(BLENDED)),
    st.dictionaries(st.sampled_from(BLENDED), st.sampled_from([0.0, 0.25, 1.0])),
)
def test_a_linear_blend_by_its_definition(
    rows: list[tuple[str, int, int, float]], drawn: list[float], faded: dict[str, float]
) -> None:
    linear = {name: weight * faded.get(name, 1.0) for name, weight in zip(BLENDED, drawn, strict=True)}
    found = the_best(filled(rows, Weights(dict(zip(BLENDED, drawn, strict=True))), faded), 5)
    totals: dict[int, dict[str, float]] = {}
    for name, item, _, amount in rows:
        of = totals.setdefault(item, dict.fromkeys(BLENDED, 0.0))
        of[name] += amount
    largest = {name: max([of[name] for of in totals.values()], default=0.0) for name in BLENDED}
    score = {
        item: sum(linear[name] * of[name] / largest[name] for name in BLENDED if largest[name])
        for item, of in totals.items()
    }
    best = sorted(score.values(), reverse=True)[:5]
    assert found.score.tolist() == pytest.approx(best, abs=1e-9)
    for at, item in enumerate(found.item.tolist()):
        part = slice(found.starts[at], found.starts[at + 1])
        assert found.score[at] == pytest.approx(score[item], abs=1e-9)
        assert found.amount[part].sum() == pytest.approx(score[item], abs=1e-9)
        parts = sorted(zip(found.signal[part].tolist(), found.because[part].tolist(), strict=True))
        assert parts == sorted(
            (SIGNALS.index(name), because) for name, i, because, _ in rows if i == item and linear[name]
        )


@given(st.lists(st.tuples(ROWS, st.booleans()), max_size=4), st.integers(1, 4))
def test_lists_are_collected_one_behind_the_other(lists: list[tuple[Rows, bool]], n: int) -> None:
    weights = dict.fromkeys(BLENDED, 0.5)
    found, alone = Collected(), []
    for rows, ranked in lists:
        blender = filled(rows, Weights(weights, stump() if ranked else None))
        blender.best(n, found)
        alone.append(the_best(blender, n))
    look, item, score, starts, *parts = found.take()
    assert look.tolist() == [at for at, one in enumerate(alone) for _ in one.item]
    assert item.tolist() == [i for one in alone for i in one.item.tolist()]
    assert score.tolist() == [s for one in alone for s in one.score.tolist()]
    assert np.diff(starts).tolist() == [size for one in alone for size in np.diff(one.starts).tolist()]
    for at, part in enumerate(parts, 3):
        assert part.tolist() == [value for one in alone for value in one[at].tolist()]
    assert [column.tolist() for column in found.take()] == [[], [], [], [0], [], [], []]


def test_columns_that_do_not_fit_together_are_no_list() -> None:
    found, one = Collected(), [1]
    with pytest.raises(ValueError):
        found.put(one, [1.0], [0, 2], one, one, [1.0])
    with pytest.raises(ValueError):
        found.put(one, [1.0, 2.0], [0, 1], one, one, [1.0])
    assert len(found.take()[0]) == 0


def test_trees_rank_again_and_their_amounts_add_up() -> None:
    rows = [(BLENDED[0], 1, 0, 0.25), (BLENDED[0], 2, 0, 1.0), (BLENDED[1], 3, 0, 1.0)]
    blender = filled(rows, Weights({BLENDED[1]: 1.0}, stump()))
    assert blender.under(Weights({BLENDED[1]: 1.0})).order(3)[0].tolist() == [3, 1, 2]
    items, scores = blender.order(3)
    assert items.tolist() == [2, 1, 3] and scores.tolist() == [4.0, 0.0, 0.0]
    found = the_best(blender, 2)
    assert found.item.tolist() == [2, 1]
    for at in range(2):
        part = slice(found.starts[at], found.starts[at + 1])
        assert found.amount[part].sum() == pytest.approx(found.score[at], abs=1e-9)
    assert told(found) == [(BLENDED[0], 0, 3.0), (BASE, 0, 1.0), (BLENDED[0], 0, -1.0), (BASE, 0, 1.0)]


@given(st.lists(st.integers(1, 9), max_size=9), st.sampled_from([0.25, 1.0]))
def test_rows_of_one_cause_are_rows_with_that_cause(items: list[int], weight: float) -> None:
    one, other = Blend(len(SIGNALS)), Blend(len(SIGNALS))
    shares = np.arange(len(items)) / 4
    one.put_because(3, np.array(items, np.uint64), shares, weight, 77)
    other.put(3, items, shares * weight, [77] * len(items))
    assert [column.tolist() for column in one.rows()] == [column.tolist() for column in other.rows()]
    one.check()


def test_what_has_faded_has_for_all_weights_and_trees_see_it_and_the_next_look_does_not() -> None:
    rows = [(BLENDED[0], 1, 0, 4.0), (BLENDED[1], 2, 0, 3.0)]
    blender = filled(rows, Weights({}, stump()), {BLENDED[0]: 0.25})
    other = blender.under(Weights({BLENDED[0]: 1.0, BLENDED[1]: 0.5}))
    assert [found.tolist() for found in other.order(2)] == [[2, 1], [0.5, 0.25]]
    items, features = blender.features(DEPTH)
    share, total = features[items.tolist().index(1), [0, len(BLENDED)]]
    assert (share, total) == (0.25, 1.0)
    blender.begin()
    blender.rows.put(PLACE[BLENDED[0]], [1], [4.0], [0])
    assert other.order(1)[1].tolist() == [1.0]


def test_what_trees_say_of_a_signal_is_shared_out_among_its_causes() -> None:
    rows = [(BLENDED[0], 2, 7, 0.75), (BLENDED[0], 2, 8, 0.25), (BLENDED[0], 1, 7, 0.25), (BLENDED[1], 1, 9, 1.0)]
    found = the_best(filled(rows, Weights({}, stump())), 2)
    assert found.item.tolist() == [2, 1] and found.score.tolist() == [4.0, 0.0]
    best = [(BLENDED[0], 7, 2.25), (BLENDED[0], 8, 0.75), (BASE, 0, 1.0)]
    assert told(found) == [*best, (BLENDED[0], 7, -1.0), (BASE, 0, 1.0)]


def test_what_trees_say_of_the_linear_score_is_its_signals() -> None:
    rows = [(BLENDED[0], 2, 7, 0.5), (BLENDED[1], 2, 8, 1.0), (BLENDED[0], 1, 7, 0.125), (BLENDED[0], 3, 9, 1.0)]
    weights = {BLENDED[0]: 0.5, BLENDED[1]: 0.5}  # scores .75, .0625, .5
    found = the_best(filled(rows, Weights(weights, stump("linear score"))), 3)
    assert found.item.tolist() == [2, 1, 3] and found.score.tolist() == [4.0, 0.0, 0.0]
    best = [(BLENDED[0], 7, 1.0), (BLENDED[1], 8, 2.0), (BASE, 0, 1.0)]
    assert told(found)[:5] == [*best, (BLENDED[0], 7, -1.0), (BASE, 0, 1.0)]


def test_what_trees_say_of_the_whole_list_is_where_it_begins() -> None:
    rows = [("steps", 2, 2, 1.0), ("popular", 1, 0, 0.25)]
    found = the_best(filled(rows, Weights({"steps": 1.0}, stump("visit items"))), 2)
    assert told(found) == [(BASE, 0, 4.0), (BASE, 0, 4.0)]


def test_trees_see_how_probably_the_visit_buys_whoever_began_the_look() -> None:
    blender = Blender(Weights({"steps": 1.0}, stump("intent")))
    plain = blender.under(Weights({}))
    for begun in (blender, plain):
        scores = []
        for intent in (0.0, 1.0):
            begun.begin(intent=intent)
            begun.rows.put(PLACE["steps"], [2], [1.0], [2])
            scores += the_best(blender, 1).score.tolist()
        assert scores[0] != scores[1]


def test_what_is_no_trained_look_is_in_the_order_of_the_linear_blend_for_all() -> None:
    plain = Blender(Weights({BLENDED[1]: 1.0}))
    trees = plain.under(Weights({BLENDED[1]: 1.0}, stump()))
    for trained, first in ((False, 3), (True, 2)):
        plain.begin(trained=trained)
        for name, item in ((BLENDED[0], 2), (BLENDED[1], 3)):
            plain.rows.put(PLACE[name], [item], [1.0], [0])
        assert trees.order(1)[0].tolist() == [first]


@given(ROWS, st.sets(st.integers(1, 9)), st.integers(1, 9))
def test_what_is_left_out_is_the_list_without_it(rows: Rows, out: set[int], n: int) -> None:
    """Shares stay those of the whole list: what is left out may be what the others are measured by."""
    table = Table()
    table.index(sorted(out))
    for weights in (Weights({name: 1.0 for name in BLENDED}), Weights({BLENDED[0]: 1.0}, stump())):
        blender = filled(rows, weights)
        items, scores = blender.order(len(rows))
        stay = ~np.isin(items, list(out))
        blender.rows.leave_out(table)
        left = blender.order(n)
        assert [found.tolist() for found in left] == [items[stay][:n].tolist(), scores[stay][:n].tolist()]
        assert the_best(blender, n).item.tolist() == left[0].tolist()
        blender.rows.check()
        blender.begin()
        blender.rows.put(0, [5], [1.0])
        assert blender.rows.best(np.ones(len(SIGNALS)), 1)[0].tolist() == [5], "of this list, not of the next"


def test_nothing_gives_nothing() -> None:
    for weights in (Weights({}), Weights({}, stump())):
        blender = Blender(weights)
        blender.begin()
        assert len(the_best(blender, 5).item) == 0 and len(blender.order(5)[0]) == 0
        assert blender.features(DEPTH)[1].shape == (0, len(FEATURES))


def test_what_is_out_of_range_is_refused() -> None:
    blend = Blend(2)
    blend.begin()
    for amount in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError):
            blend.put(0, [1], [amount])
    with pytest.raises(ValueError):
        blend.put(2, [1], [1.0])
    with pytest.raises(ValueError):
        blend.put(0, [1, 2], [1.0])
    with pytest.raises(ValueError):
        blend.best([1.0], 3)
    with pytest.raises(ValueError):
        Blend(0)
    blend.check()
    assert len(blend.best([1.0, 1.0], 3)[0]) == 0
    with pytest.raises(SettingError, match="are none"):
        Blender(Weights({}, {**stump(), "left": [7, -1, -1]}))
    with pytest.raises(SettingError, match="features"):  # trained when there were fewer signals
        Blender(Weights({}, {**stump(), "features": len(SIGHT) - 2}))

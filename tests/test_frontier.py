"""The frontier: nothing learned twice, nothing passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.errors import GapError, StateError
from shopguide.frontier import Debts, Frontier
from shopguide.records import Record


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(1, 5)), max_size=40))
def test_rows_are_learned_once_and_in_order_whatever_comes(batches: list[tuple[int, int, int]]) -> None:
    frontier = Frontier()
    learned: dict[int, list[int]] = {0: [], 1: []}
    for partition, first, size in batches:
        record = Record(partition, first, first + size - 1)
        try:
            new = frontier.admit(record)
        except GapError as e:
            assert first > len(learned[partition])
            assert f"partition {partition}: rows {len(learned[partition])}..{first - 1}" in str(e)
            continue
        learned[partition] += [row for row in range(first, first + size) if row >= new]
        frontier.advance(record)
    for rows in learned.values():
        assert rows == list(range(len(rows)))


def test_it_goes_on_from_where_it_was() -> None:
    assert Frontier({3: 7}).admit(Record(3, 5, 9)) == 8
    with pytest.raises(GapError):
        Frontier({3: 7}).admit(Record(3, 9, 9))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4), st.booleans()), max_size=30))
def test_what_was_refused_comes_before_what_is_after_it(steps: list[tuple[int, int, bool]]) -> None:
    debts, taken, sent = Debts(), [-1], 0
    for back, count, refused in steps:  # one after the other, now and then from an earlier one on
        sent = max(0, sent - back)
        for first in range(sent, sent + count):
            try:
                with debts.taking(1, first):
                    if refused and first == sent:
                        raise StateError("full")
                    taken.append(max(first, taken[-1]))
                    assert first <= taken[-2] + 1  # none was passed over
            except (StateError, GapError):
                assert refused
        if not refused:
            sent += count
    with debts.taking(2, 99):
        pass

"""Names that catalogues were told: none that they may lack is kept from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.records import Batch, Events, Names, Ragged
from shopguide.storm import told
from shopguide.storm.told import Told


def batch(partition: int, first: int, last: int, *names: tuple[int, str]) -> Batch:
    keys = np.array([key for key, _ in names], np.uint64)
    texts = Ragged.of_bytes([text.encode() for _, text in names])
    return Batch(partition, first, last, Events(), Names(key=keys, text=texts))


def told_of(found: Batch) -> list[int]:
    return found.names.key.tolist()


def test_a_name_is_told_once_and_again_when_its_batch_comes_again() -> None:
    names = Told()
    one = batch(0, 0, 4, (1, "one"), (2, "two"))
    assert told_of(names.news(one)) == [1, 2]
    later = names.news(batch(0, 5, 6, (2, "two")))
    assert (told_of(later), later.first, later.last) == ([], 5, 6)
    assert told_of(names.news(batch(0, 7, 7, (2, "two"), (3, "three")))) == [2, 3]
    assert told_of(names.news(one)) == [1, 2]
    assert told_of(names.news(batch(0, 5, 9, (2, "two")))) == [2]
    assert told_of(names.news(batch(1, 0, 0, (1, "one")))) == []


def test_another_name_of_a_key_is_told() -> None:
    names = Told()
    names.news(batch(0, 0, 0, (1, "one")))
    assert told_of(names.news(batch(0, 1, 1, (1, "uno")))) == [1]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "MOST", 2)
    names = Told()
    for key in range(4):
        assert told_of(names.news(batch(0, key, key, (key + 1, "name")))) == [key + 1]
    assert told_of(names.news(batch(0, 4, 4, (1, "name")))) == [1]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 4), max_size=3, unique=True)), max_size=20))
def test_who_lost_what_failed_has_all_names_when_it_has_come_again(steps: list[tuple[bool, list[int]]]) -> None:
    """A catalogue that misses a batch gets it, and what came after it, again, as a spout does."""
    names, known, log = Told(), set(), []
    for lost, keys in steps:
        log.append(batch(0, len(log), len(log), *[(key, str(key)) for key in keys]))
        found = told_of(names.news(log[-1]))
        known |= set() if lost else set(found)
        if lost:
            known |= set(told_of(names.news(log[-1])))
        assert known == {key for one in log for key in told_of(one)}

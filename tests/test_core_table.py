"""Table against a dict that numbers keys as they come."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from strategies import DEEP, SEED

from shopguide._core import Table

EDGES = [0, 1, 2, 3, 7, 2**31, 2**32, 2**32 + 1, 2**63, 2**64 - 2, 2**64 - 1]


class TableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real = Table()
        self.ids: dict[int, int] = {}

    def drawn(self, seed: int) -> list[int]:
        """Edges, and a range that goes on as keys come, so that some are new in all of a run."""
        random, beyond = Random(seed), 41 + len(self.ids)
        edge_or_not = random.choices([True, False], k=random.randrange(31))
        return [random.choice(EDGES) if edge else random.randrange(beyond) for edge in edge_or_not]

    @rule(seed=SEED)
    def index(self, seed: int) -> None:
        keys, expected_fresh = self.drawn(seed), []
        for position, key in enumerate(keys):
            if key not in self.ids:
                expected_fresh.append(position)
                self.ids[key] = len(self.ids)
        ids, fresh = self.real.index(np.array(keys, np.uint64))
        assert (ids.dtype, fresh.dtype) == (np.uint32, np.uint32)
        assert ids.tolist() == [self.ids[key] for key in keys]
        assert fresh.tolist() == expected_fresh

    @rule(seed=SEED)
    def find(self, seed: int) -> None:
        keys = self.drawn(seed)
        ids = self.real.find(np.array(keys, np.uint64))
        assert ids.dtype == np.int64
        assert ids.tolist() == [self.ids.get(key, -1) for key in keys]

    @invariant()
    def sound(self) -> None:
        self.real.check()
        assert len(self.real) == len(self.ids)
        assert self.real.keys().tolist() == list(self.ids)


TableMachine.TestCase.settings = DEEP
TestTable = TableMachine.TestCase


@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(EDGES), max_size=4)), max_size=20))
def test_what_is_removed_is_gone_and_its_id_goes_to_the_next(steps: list[tuple[bool, list[int]]]) -> None:
    table, there, most = Table(), set[int](), 0
    for goes, keys in steps:
        if goes:
            table.remove(keys)
            there -= set(keys)
        else:
            table.index(keys)
            there |= set(keys)
        most = max(most, len(there))
        table.check()
        ids = table.find(EDGES)
        assert [key for key, at in zip(EDGES, ids.tolist(), strict=True) if at >= 0] == [k for k in EDGES if k in there]
        assert len(table) == len(there) and ids.max(initial=-1) < most
    if len(there) == most:
        assert set(table.keys().tolist()) == there
    else:
        with pytest.raises(ValueError):
            table.keys()


def test_many_keys_grow_the_table() -> None:
    table, keys = Table(), np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
    distinct = len(np.unique(keys))
    empty = table.nbytes
    ids, fresh = table.index(keys)
    assert len(table) == len(fresh) == distinct
    assert table.keys()[ids].tolist() == keys.tolist()
    assert empty < table.nbytes < 40 * distinct
    table.check()

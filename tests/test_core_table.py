"""Table against a dict that numbers keys as they come."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shopguide._core import Table

KEYS = st.sampled_from([0, 1, 2, 3, 7, 2**31, 2**32, 2**32 + 1, 2**63, 2**64 - 2, 2**64 - 1]) | st.integers(0, 40)


class TableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real = Table()
        self.ids: dict[int, int] = {}

    @rule(keys=st.lists(KEYS, max_size=30))
    def index(self, keys: list[int]) -> None:
        expected_fresh = []
        for position, key in enumerate(keys):
            if key not in self.ids:
                expected_fresh.append(position)
                self.ids[key] = len(self.ids)
        ids, fresh = self.real.index(np.array(keys, np.uint64))
        assert (ids.dtype, fresh.dtype) == (np.uint32, np.uint32)
        assert ids.tolist() == [self.ids[key] for key in keys]
        assert fresh.tolist() == expected_fresh

    @rule(keys=st.lists(KEYS, max_size=30))
    def find(self, keys: list[int]) -> None:
        ids = self.real.find(np.array(keys, np.uint64))
        assert ids.dtype == np.int64
        assert ids.tolist() == [self.ids.get(key, -1) for key in keys]

    @invariant()
    def sound(self) -> None:
        self.real.check()
        assert len(self.real) == len(self.ids)
        assert self.real.keys().tolist() == list(self.ids)


TableMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestTable = TableMachine.TestCase


def test_many_keys_grow_the_table() -> None:
    table, keys = Table(), np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
    distinct = len(np.unique(keys))
    empty = table.nbytes
    ids, fresh = table.index(keys)
    assert len(table) == len(fresh) == distinct
    assert table.keys()[ids].tolist() == keys.tolist()
    assert empty < table.nbytes < 40 * distinct
    table.check()

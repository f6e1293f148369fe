"""One real broker for all tests here, on ports of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from broker import Broker

_numbers = count()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.up()
    yield broker
    assert broker.run("down").returncode == 0


@pytest.fixture
def topic(broker: Broker) -> str:
    """A new topic of four partitions."""
    return broker.topic(f"events-{next(_numbers)}")

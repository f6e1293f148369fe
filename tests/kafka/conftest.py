"""One real broker for all tests here, on ports of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from broker import Broker, Guide

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


@pytest.fixture
def run(broker: Broker, topic: str) -> Iterator[Callable[..., Guide]]:
    """Runs lines on the test's topic; none outlives the test."""
    guides: list[Guide] = []

    def run(state: Path, **environment: str) -> Guide:
        guides.append(Guide(broker, topic, state, **environment))
        return guides[-1]

    yield run
    for guide in guides:
        if guide.process.poll() is None:
            guide.kill()

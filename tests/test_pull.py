"""``GET /v1/recommend``: whoever asks now and then gets the list of now, however long ago they asked before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shopguide.cli import door, serve
from shopguide.cli.line import RunningLine
from shopguide.cli.serve import ServedLine
from shopguide.settings import load
from shopguide.state import StateDir


class Shop:
    """A line that serves; its shoppers look at items and ask for their lists."""

    def __init__(self, path: Path) -> None:
        self.line = RunningLine(StateDir(path), load("shop", flags={"push.endpoint": "tcp://127.0.0.1:*"}))
        self.line.start()
        self.served = ServedLine(self.line)

    async def looked(self, user: str, item: str) -> None:
        await self.served.append([[{"user": user, "item": item, "kind": "view"}]])
        await self.served.commit()
        await asyncio.to_thread(self.line.learn_all)

    async def asked(self, user: str) -> int:
        """Of which row of the log the list knows."""
        found = await self.served.recommend(self.served.mint(user), 1, "home", 10)
        assert found is not None
        return int(found["at"]["offset"])

    def rows(self) -> int:
        return sum(self.line.log.end(p) for p in range(self.line.log.partitions))


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    for item in ("cup", "pot", "tea"):
        await shop.looked("others", item)
    yield shop
    await shop.served.close()
    await asyncio.to_thread(shop.line.stop)


async def test_who_asks_again_after_a_while_gets_the_list_of_now(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PULLED_FOR", 0.2)
    await shop.looked("ann", "cup")
    await shop.asked("ann")
    await asyncio.sleep(0.3)
    await shop.looked("ann", "pot")
    assert await shop.asked("ann") >= shop.rows() - 1


async def test_while_the_list_follows_nothing_is_written_for_an_answer(shop: Shop) -> None:
    await shop.looked("ann", "cup")
    await shop.asked("ann")
    rows = shop.rows()
    await shop.looked("ann", "tea")
    assert await shop.asked("ann") == rows and shop.rows() == rows + 1


async def test_a_subscriber_who_leaves_takes_nobody_elses_list_along(shop: Shop) -> None:
    """Their UNWATCH row ends what the question before it had begun, too."""
    await shop.looked("ann", "cup")
    await shop.asked("ann")
    shop.line._unwatched(shop.line.secret.user_key("ann"))
    await shop.looked("ann", "pot")
    assert await shop.asked("ann") >= shop.rows() - 1


async def test_of_many_who_asked_the_last_are_remembered(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PULLED", 2)
    for user in range(4):
        shop.line.pulled(user, 2e9)
    shop.line.pulled(2, 2e9)
    shop.line.pulled(5, 2e9)
    assert [user for user in range(6) if shop.line.follows(user)] == [2, 5]

"""What is done beside the loop: in order, off the loop, with its errors, also where nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from shopguide.cli.aside import Aside
from shopguide.errors import StateError


@pytest.fixture
def aside() -> Iterator[Aside]:
    aside = Aside()
    yield aside
    aside.close()


async def test_the_loop_goes_on_meanwhile(aside):
    goes_on, done = threading.Event(), []
    work = [aside.do(lambda: done.append(goes_on.wait(10))), aside.do(lambda: done.append(threading.current_thread()))]
    await asyncio.sleep(0.01)
    assert done == []
    goes_on.set()
    async with asyncio.timeout(10):
        assert await asyncio.gather(*work) == [None, None]
    assert done[0] is True and done[1] is not threading.current_thread()


async def test_an_error_is_who_asked_for_its(aside):
    def fail() -> None:
        raise StateError("the disk is full")

    done: list[int] = []
    first, second = aside.do(fail), aside.do(lambda: done.append(1))
    with pytest.raises(StateError, match="the disk is full"):
        await first
    await second
    assert done == [1]


async def test_it_is_done_also_where_nobody_waits(aside):
    goes_on, done = threading.Event(), list[int]()
    held, given_up = aside.do(lambda: goes_on.wait(10)), aside.do(lambda: done.append(1))
    given_up.cancel()
    goes_on.set()
    await held
    await aside.do(lambda: done.append(2))
    assert done == [1, 2] and given_up.cancelled()


async def test_it_ends_when_all_is_done():
    aside, done = Aside(), list[int]()
    for n in range(100):
        aside.do(lambda n=n: done.append(n))
    aside.close()
    assert done == list(range(100))

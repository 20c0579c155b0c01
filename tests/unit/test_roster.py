"""The roster: who is there, and the wait for the last one to go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from aiocoap.transports.roster import Roster
from tests.harness import Clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.close()


def roster(*names: str) -> Roster[str]:
    made: Roster[str] = Roster()
    for name in names:
        made.add(name)
    return made


def test_who_is_there() -> None:
    there = roster("b", "a", "b")
    assert list(there) == ["b", "a"]
    there.discard("b")
    there.discard("c")
    assert list(there) == ["a"]


def test_nobody_is_waited_for(clock: Clock) -> None:
    before = clock.now
    clock.run(roster().emptied(5.0))
    assert clock.now == before


def test_the_last_one_is_waited_for(clock: Clock) -> None:
    there = roster("a", "b")

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for delay, name in ((1, "a"), (2, "b"), (2, "b")):
            loop.call_later(delay, there.discard, name)
        await there.emptied(5.0)
        return loop.time() - start

    assert clock.run(wait()) == 2.0
    assert not there


def test_nobody_is_waited_for_in_vain(clock: Clock) -> None:
    there = roster("a")

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await there.emptied(5.0)
        return loop.time() - start

    assert clock.run(wait()) == 5.0
    there.discard("a")
    assert not there

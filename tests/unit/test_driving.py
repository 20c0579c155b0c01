"""Coroutines that are started by hand, and gone on with in a task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from aiocoap.util.asyncio.driving import go_on, is_cancelled


def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run the first step here, and the others in a task."""
    return asyncio.ensure_future(go_on(work, work.send(None)))


def test_all_steps_are_gone_through() -> None:
    steps = []

    async def work() -> None:
        for step in range(3):
            steps.append(step)
            await asyncio.sleep(0)

    async def main() -> None:
        task = start(work())
        assert steps == [0]
        await task

    asyncio.run(main())
    assert steps == [0, 1, 2]


def test_what_is_waited_for_may_fail() -> None:
    async def main() -> None:
        gate = asyncio.get_running_loop().create_future()

        async def work() -> None:
            with pytest.raises(ZeroDivisionError):
                await gate
            raise KeyError("its own")

        task = start(work())
        gate.set_exception(ZeroDivisionError())
        with pytest.raises(KeyError, match="its own"):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("by", ["task", "future"])
def test_who_was_cancelled(by: str) -> None:
    async def main() -> bool:
        gate = asyncio.get_running_loop().create_future()
        found = []

        async def work() -> None:
            try:
                await gate
            except asyncio.CancelledError:
                found.append(is_cancelled())

        task = start(work())
        await asyncio.sleep(0)
        (task if by == "task" else gate).cancel()
        await asyncio.wait([task])
        return found[0]

    assert asyncio.run(main()) is (by == "task")


def test_who_is_no_task_is_not_asked_to_go_on() -> None:
    async def main() -> bool:
        found = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: found.set_result(is_cancelled()))
        return await found

    assert asyncio.run(main())

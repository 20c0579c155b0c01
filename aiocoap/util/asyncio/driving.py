"""Coroutines that are started by hand, and given to a task only when they have to wait.

Here lives what such a task goes on with.

The room knows tasks, and not what the coroutines are for; no RFC is about that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any

__all__ = ["go_on", "is_cancelled"]


@coroutine
def go_on(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was started by hand.

    Args:
        work: The coroutine.
        waits_for: What its first step asked the task to wait for.
    """
    while True:
        problem = None
        try:
            yield waits_for
        except BaseException as caught:
            problem = caught
        try:
            waits_for = work.send(None) if problem is None else work.throw(problem)
        except StopIteration:
            return
        finally:
            # It knows this frame: they would keep each other.
            del problem


def is_cancelled() -> bool:
    """Whether the present task was cancelled, and not just something that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0

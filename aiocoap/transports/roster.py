"""Who is there, and when the last one has gone.

Here lives :class:`Roster`.

The room knows nothing of those who are there.

RFC 8323 section 5.5 (a connection that is released goes when the peer is ready for that).
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

__all__ = ["Roster"]

T = TypeVar("T")


class Roster(dict[T, None]):
    """Who is there, in the order of their coming; somebody may wait for the last one to go."""

    __slots__ = ("_emptied",)

    def __init__(self) -> None:
        super().__init__()
        self._emptied: asyncio.Future[None] | None = None

    def add(self, one: T) -> None:
        """Take note that somebody is there.

        Args:
            one: Who; it is no matter if that is known.
        """
        self[one] = None

    def discard(self, one: T) -> None:
        """Take note that somebody has gone.

        Args:
            one: Who; it is no matter if that is known.
        """
        self.pop(one, None)
        if not self and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def emptied(self, patience: float) -> None:
        """Wait until nobody is there; one task at a time does.

        Args:
            patience: Seconds to wait at most.
        """
        if self:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=patience)
            self._emptied = None

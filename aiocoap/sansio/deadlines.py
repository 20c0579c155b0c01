"""Things that are due at different times, of which most never come due.

Here lives the heap that hearts keep their retransmissions and timeouts in.

The room knows no protocol and no clock: ``now`` is an argument.

It serves RFC 7252 section 4.2 (retransmission) and section 5.3 (waiting for a response).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

__all__ = ["Deadlines", "Due"]


class Due(Protocol):
    """What can be kept in :class:`Deadlines`."""

    deadline: float | None
    """When the item is due, in monotonic seconds; None while it is not waiting."""


_T = TypeVar("_T", bound=Due)


class Deadlines(Generic[_T]):
    """A heap of items by their ``deadline``, from which items leave without being searched.

    An entry whose item has another deadline by now is stale; stale entries are skipped, and
    swept out when they are the larger part, so that the cost of an item is logarithmic in the
    number of waiting ones however many have come and gone.
    """

    __slots__ = ("_count", "_heap", "_waiting")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _T]] = []
        self._count = 0
        self._waiting = 0

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return self._waiting

    def add(self, item: _T, deadline: float) -> None:
        """Let an item wait.

        Args:
            item: One that is not waiting.
            deadline: Monotonic seconds.
        """
        item.deadline = deadline
        self._count += 1
        self._waiting += 1
        heappush(self._heap, (deadline, self._count, item))

    def discard(self, item: _T) -> None:
        """Let an item wait no longer, if it does."""
        if item.deadline is None:
            return
        item.deadline = None
        self._waiting -= 1
        if len(self._heap) > 64 + 2 * self._waiting:
            self._heap = [entry for entry in self._heap if entry[2].deadline == entry[0]]
            heapify(self._heap)

    def next_deadline(self) -> float | None:
        """Return when the first item is due, or None."""
        heap = self._heap
        while heap and heap[0][2].deadline != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> Iterator[_T]:
        """Take out the items that are due; each is not waiting any more when it comes.

        Args:
            now: Monotonic seconds.
        """
        while True:
            deadline = self.next_deadline()
            if deadline is None or deadline > now:
                return
            item = heappop(self._heap)[2]
            item.deadline = None
            self._waiting -= 1
            yield item

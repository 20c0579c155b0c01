"""Things that strangers begin and may never end, in bounded number.

Here lives the table that the server's side keeps unfinished bodies in: by key, limited in
number and size, all together and for each endpoint, and forgotten after some time.

The room knows no block and no clock: ``now`` is an argument.

RFC 7959 sections 2.4 and 2.5 (how long state is kept), section 7.1 (resource exhaustion).

Policy at the bounds: an endpoint that exceeds its share loses its own transfers, so that
nobody can displace all others by beginning many; when all together are too many, those go first
that are done and kept only to be asked for again, then the one that has been idle for longest.
The newest is never displaced, however large it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from .deadlines import Deadlines

__all__ = ["MAX_TRANSFERS", "MAX_TRANSFER_BYTES", "Transfer", "Transfers"]

MAX_TRANSFERS = 1024
"""Number of transfers in one direction that a server keeps at most, unless told otherwise."""

MAX_TRANSFER_BYTES = 64 * 1024 * 1024
"""Size in bytes of the bodies in one direction that a server keeps, unless told otherwise."""

_SHARE = 8
# The part of the number of transfers that one endpoint may have: an eighth.


class Transfer:
    """What is remembered of one transfer; to be subclassed.

    Args:
        key: What later messages of the transfer are recognised by.
        owner: The endpoint that it is kept for.
        size: Bytes that it keeps occupied.
        now: Monotonic seconds.
    """

    __slots__ = ("deadline", "is_done", "key", "owner", "size", "used")

    def __init__(self, key: Hashable, owner: Hashable, size: int, now: float) -> None:
        self.key = key
        self.owner = owner
        self.size = size
        self.used = now
        """When somebody last went on with it.  Setting it is all that keeps a transfer alive."""
        self.is_done = False
        # The table's; it may be earlier than the transfer really ends.
        self.deadline: float | None = None

    def forget(self) -> None:
        """Let go of what it keeps elsewhere, as the table has forgotten it; nothing by default."""


class _Share:
    """What one endpoint occupies."""

    __slots__ = ("size", "transfers")

    def __init__(self) -> None:
        self.size = 0
        self.transfers: dict[Transfer, None] = {}


_T = TypeVar("_T", bound=Transfer)


class Transfers(Generic[_T]):
    """Transfers by their keys.

    Args:
        lifetime: Seconds after its last use in which a transfer is forgotten.
        max_transfers: Number of transfers, at least 1; an eighth of it for each endpoint.
        max_bytes: Size of all transfers; half of it for each endpoint.
    """

    __slots__ = (
        "_by_key",
        "_done",
        "_share_bytes",
        "_share_transfers",
        "_shares",
        "_timers",
        "lifetime",
        "max_bytes",
        "max_transfers",
        "size",
    )

    def __init__(self, lifetime: float, max_transfers: int, max_bytes: int) -> None:
        self.lifetime = lifetime
        self.max_transfers = max_transfers
        self.max_bytes = max_bytes
        self._share_transfers = max(1, max_transfers // _SHARE)
        self._share_bytes = max_bytes // 2
        self._by_key: dict[Hashable, _T] = {}
        self._shares: dict[Hashable, _Share] = {}
        # Ordered, as plain dictionaries get slow when they lose their oldest again and again.
        self._done: OrderedDict[_T, None] = OrderedDict()
        # A transfer waits here until the end of its life as it was when it was last looked at:
        # using one is then only an assignment.
        self._timers: Deadlines[_T] = Deadlines()
        self.size = 0
        """Bytes that all transfers occupy."""

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self._by_key)

    def get(self, key: Hashable, now: float) -> _T | None:
        """Return a transfer, unless its time is over.

        Args:
            key: Its key.
            now: Monotonic seconds.
        """
        transfer = self._by_key.get(key)
        if transfer is not None and transfer.used + self.lifetime <= now:
            self.remove(transfer)
            return None
        return transfer

    def add(self, transfer: _T) -> None:
        """Take in a transfer, in place of one with the same key, at the cost of others.

        Args:
            transfer: One that is in no table.
        """
        former = self._by_key.get(transfer.key)
        if former is not None:
            self.remove(former)
        self._by_key[transfer.key] = transfer
        share = self._shares.get(transfer.owner)
        if share is None:
            share = self._shares[transfer.owner] = _Share()
        share.transfers[transfer] = None
        self._timers.add(transfer, transfer.used + self.lifetime)
        size, transfer.size = transfer.size, 0
        self.grow(transfer, size)

    def grow(self, transfer: _T, size: int) -> None:
        """Let a transfer occupy more, at the cost of others.

        Args:
            transfer: One of the table.
            size: Bytes to add.
        """
        share = self._shares[transfer.owner]
        transfer.size += size
        share.size += size
        self.size += size
        while len(share.transfers) > self._share_transfers or share.size > self._share_bytes:
            others = [other for other in share.transfers if other is not transfer]
            if not others:
                break
            self.remove(min(others, key=_idleness))  # type: ignore[arg-type]
        while len(self._by_key) > self.max_transfers or self.size > self.max_bytes:
            victim = self._most_idle(transfer)
            if victim is None:
                break
            self.remove(victim)

    def _most_idle(self, spared: _T) -> _T | None:
        """Return the transfer that can best be done without; None where there is no other."""
        for transfer in self._done:
            if transfer is not spared:
                return transfer
        self._timers.discard(spared)
        found = None
        while found is None and len(self._timers):
            transfer, is_over = self._first_due()
            if is_over:
                found = transfer
        self._timers.add(spared, spared.used + self.lifetime)
        return found

    def _first_due(self) -> tuple[_T, bool]:
        """Take the first out of the waiting ones; it waits again if it was used since."""
        due = self._timers.next_deadline()
        assert due is not None  # only called while some wait
        transfer = next(self._timers.pop_due(due))
        end = transfer.used + self.lifetime
        if end > due:
            self._timers.add(transfer, end)
            return transfer, False
        return transfer, True

    def done(self, transfer: _T) -> None:
        """Take note that a transfer is kept only in case that somebody asks again.

        Args:
            transfer: One of the table.
        """
        if not transfer.is_done:
            transfer.is_done = True
            self._done[transfer] = None

    def remove(self, transfer: _T) -> None:
        """Forget a transfer.

        Args:
            transfer: One of the table.
        """
        del self._by_key[transfer.key]
        self._timers.discard(transfer)
        self._done.pop(transfer, None)
        self.size -= transfer.size
        share = self._shares[transfer.owner]
        share.size -= transfer.size
        del share.transfers[transfer]
        if not share.transfers:
            del self._shares[transfer.owner]
        transfer.forget()

    def expire(self, now: float) -> None:
        """Forget the transfers whose time is over.

        Args:
            now: Monotonic seconds.
        """
        due = self._timers.next_deadline()
        while due is not None and due <= now:
            transfer, is_over = self._first_due()
            if is_over:
                self.remove(transfer)
            due = self._timers.next_deadline()

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` is to be called, in monotonic seconds, or None for never.

        Nothing is to be forgotten earlier; it may be later, if what was due has been used.
        """
        return self._timers.next_deadline()

    def clear(self) -> None:
        """Forget all transfers."""
        for transfer in list(self._by_key.values()):
            self.remove(transfer)


def _idleness(transfer: Transfer) -> tuple[bool, float]:
    """Order transfers by how well they can be done without, the best first."""
    return (not transfer.is_done, transfer.used)

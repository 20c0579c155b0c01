"""The other ends: what is known of each, and the next Message ID to it.

Here lives :class:`Endpoints`, the table that the two halves of the message layer share.

The room knows neither what was received nor what is sent.

RFC 7252 section 4.1 (endpoints), section 4.4 (Message IDs), section 8.1 (those of multicast).

Our own Message IDs are counted per endpoint from a random one on.  When more than 61440 messages
go to one endpoint within EXCHANGE_LIFETIME, the oldest IDs that are not in flight are used again,
against section 4.4: the alternative is a standstill of minutes, and tokens still tell exchanges
apart.  IDs from 0xF000 up are for multicast, so that no member of a group can take a request to
the group for one to itself.

Endpoints are forgotten when they were out of use for EXCHANGE_LIFETIME.  Their number has a bound
(MAX_PEERS, apart from those with messages in flight); at the bound those are forgotten that were
not in use for the longest time, with what is remembered of them, and the next Message ID to them
is a random one again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..address import EndpointAddress

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Endpoints", "Peer"]

MAX_PEERS = 32_768
"""Number of endpoints that anything is known of at most, apart from those that are in use."""

SWEEP_SLACK = 5.0
"""Seconds by which forgetting may be late, so that whoever remembers much wakes up rarely."""

_GROUP_MIDS = 0xF000
# The first Message ID that is used for multicast.

_NEVER = float("inf")


class Peer:
    """What is known about another endpoint.

    Args:
        remote: Its address.
        base: Plus a Message ID, it is the key of a message from there.
        now: Monotonic seconds.

    Attributes:
        used: When anything was received from or sent to there the last time.
        outstanding: Number of messages to there that take up NSTART places.
        outgoing: Messages in flight, by Message ID.
        queue: Messages that wait for a place.
    """

    __slots__ = ("base", "next_mid", "outgoing", "outstanding", "queue", "remote", "used")

    def __init__(self, remote: EndpointAddress, base: int, now: float) -> None:
        self.remote = remote
        self.base = base
        self.used = now
        # -1 while nothing was sent there but replies.
        self.next_mid = -1
        self.outstanding = 0
        # Most peers only send requests: tables are not made before they are needed.
        self.outgoing: dict[int, Any] | None = None
        self.queue: OrderedDict[Any, None] | None = None

    def is_in_use(self) -> bool:
        """Whether messages to there are waiting for something."""
        return bool(self.outgoing or self.queue)

    def take_mid(self, random: Callable[[], float]) -> int:
        """Return the next Message ID that is not in flight (section 4.4).

        Args:
            random: Gives a number from 0 to less than 1, if it is the first.
        """
        mid = self.next_mid
        if mid < 0:
            mid = int(random() * _GROUP_MIDS)
        if self.outgoing:
            while mid in self.outgoing:
                mid = mid + 1 if mid < _GROUP_MIDS - 1 else 0
        self.next_mid = mid + 1 if mid < _GROUP_MIDS - 1 else 0
        return mid


class Endpoints:
    """All endpoints that anything is known of.

    Args:
        random: Gives numbers from 0 to less than 1.
        lifetime: EXCHANGE_LIFETIME in seconds.

    Attributes:
        known: The endpoints by address.
        lifetime: As given; to be set anew when the parameters may have changed.
        sweep_due: When :meth:`sweep` is to be called, in monotonic seconds.
        max_peers: The bound, see above.
    """

    __slots__ = (
        "_last_base",
        "_limit",
        "_next_group_mid",
        "_random",
        "known",
        "lifetime",
        "max_peers",
        "sweep_due",
    )

    def __init__(self, random: Callable[[], float], lifetime: float) -> None:
        self.lifetime = lifetime
        self.known: dict[EndpointAddress, Peer] = {}
        self.sweep_due = _NEVER
        self.max_peers = MAX_PEERS
        self._random = random
        self._next_group_mid = -1
        # Bases never come twice: what is remembered of a forgotten endpoint is nobody's.
        self._last_base = 0
        # Number of endpoints at which it is time to look who can be forgotten.
        self._limit = 0

    def meet(self, remote: EndpointAddress, now: float) -> Peer:
        """Begin to know an endpoint.

        Args:
            remote: Its address, which is not known.
            now: Monotonic seconds.
        """
        known = self.known
        if len(known) >= self._limit:
            self.sweep(now)
        self._last_base += 0x10000
        peer = known[remote] = Peer(remote, self._last_base, now)
        if self.sweep_due == _NEVER:
            self.sweep_due = now + self.lifetime + SWEEP_SLACK
        return peer

    def sweep(self, now: float) -> None:
        """Forget endpoints that are out of use for a lifetime, and more at the bound.

        Args:
            now: Monotonic seconds.
        """
        known = self.known
        idle = [peer for peer in known.values() if not peer.is_in_use()]
        idle.sort(key=_last_used)
        # Half of them, so that sweeping is rare even if each message has another sender.
        surplus = len(known) - self.max_peers // 2 if len(known) >= self.max_peers else 0
        for index, peer in enumerate(idle):
            if index >= surplus and peer.used + self.lifetime > now:
                break
            del known[peer.remote]
        self._limit = max(self.max_peers, len(known) + self.max_peers // 2)
        self.sweep_due = now + self.lifetime if known else _NEVER

    def take_group_mid(self) -> int:
        """Return the next Message ID for multicast (section 8.1)."""
        mid = self._next_group_mid
        if mid < 0:
            mid = _GROUP_MIDS + int(self._random() * (0x10000 - _GROUP_MIDS))
        self._next_group_mid = mid + 1 if mid < 0xFFFF else _GROUP_MIDS
        return mid


def _last_used(peer: Peer) -> float:
    return peer.used

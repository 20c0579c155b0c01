"""What came in lately, and what its duplicates get.

Here lives :class:`Deduplication`, the half of the message layer that looks back.

The room knows no endpoints: who keeps them gives each message a key, a number that stands for
endpoint and Message ID.

RFC 7252 section 4.5 (deduplication), section 5.2.1 (piggybacked responses).

Requests (:class:`Incoming`)::

    open ----> piggybacked   (the response came within EMPTY_ACK_DELAY)
       '-----> acknowledged  (an empty ACK was sent; the response is a message of its own)

Requests, and responses that somebody waited for, are remembered for EXCHANGE_LIFETIME with the
reply that a duplicate gets.  A message that differs from the remembered one in its type or token
is no duplicate, but of somebody who sends so many that Message IDs come round again within their
lifetime.

Their number and the size of the replies have bounds (MAX_REMEMBERED, MAX_REMEMBERED_BYTES); at
the bound the oldest are forgotten, so that a flood can make an endpoint act on old duplicates
again, but not make it run out of memory.  One remembered exchange takes about 0.3 KiB.
"""

from __future__ import annotations

from collections import deque

from ..message import Message
from ..numbers.constants import TransportTuning
from ..numbers.types import Type

__all__ = ["Deduplication", "Incoming"]

_CON, _NON = Type.CON, Type.NON

MAX_REMEMBERED = 65_536
"""Number of incoming messages that are remembered at most."""

MAX_REMEMBERED_BYTES = 16 * 1024 * 1024
"""Size in bytes of the replies that are remembered at most."""


class Incoming:
    """A message that came in, as far as it is remembered."""

    __slots__ = ("arrived", "key", "reply", "token")

    def __init__(self, key: int, arrived: float, token: bytes, reply: bytes | None) -> None:
        # Where it is remembered; -1 when it is forgotten.
        self.key = key
        self.arrived = arrived
        self.token = token
        # What a duplicate gets.  It is None while a confirmable message is open, and empty for a
        # non-confirmable message.
        self.reply = reply


class Deduplication:
    """The messages of an endpoint's recent past.

    Args:
        tuning: Gives the lifetimes.

    Attributes:
        open: Requests that are not acknowledged yet, in the order of their arrival.  That they
            are found by identity is what makes answering them quick.
        lifetime: EXCHANGE_LIFETIME, to be set anew when the parameters may have changed:
            computing it takes longer than all else that happens to a message.
        max_remembered, max_remembered_bytes: The bounds, see above.
    """

    __slots__ = (
        "_by_age",
        "_by_key",
        "_size",
        "_tuning",
        "lifetime",
        "max_remembered",
        "max_remembered_bytes",
        "open",
    )

    def __init__(self, tuning: TransportTuning) -> None:
        self._tuning = tuning
        self.lifetime = tuning.EXCHANGE_LIFETIME
        self.max_remembered = MAX_REMEMBERED
        self.max_remembered_bytes = MAX_REMEMBERED_BYTES
        self.open: dict[Message, Incoming] = {}
        self._by_key: dict[int, Incoming] = {}
        self._by_age: deque[Incoming] = deque()
        # Of all replies, in bytes.
        self._size = 0

    def __len__(self) -> int:
        """Return the number of remembered messages."""
        return len(self._by_age)

    def take_in(self, key: int, request: Message, now: float) -> bytes | None:
        """Take in a request.

        Args:
            key: Stands for its endpoint and Message ID.
            request: A confirmable or non-confirmable message.
            now: Monotonic seconds.

        Returns:
            None for a new request; else what a duplicate gets, which is empty for silence.
        """
        known = self._by_key.get(key)
        if known is not None and self._is_duplicate(known, request, now):
            # There is nothing to repeat while it is open.
            return known.reply or b""
        if request.mtype is _CON:
            if known is not None:
                _supersede(known)
            arrived = self.open[request] = Incoming(key, now, request.token, None)
        else:
            arrived = Incoming(key, now, request.token, b"")
        self._by_key[key] = arrived
        by_age = self._by_age
        by_age.append(arrived)
        if len(by_age) > self.max_remembered or by_age[0].arrived + self.lifetime <= now:
            self.forget_oldest(now)
        return None

    def recall(self, key: int, message: Message, now: float) -> bytes | None:
        """Return what a response gets if it is a duplicate, as :meth:`take_in` does."""
        known = self._by_key.get(key)
        if known is None or not self._is_duplicate(known, message, now):
            return None
        return known.reply or b""

    def remember(self, key: int, message: Message, reply: bytes, now: float) -> None:
        """Remember a response that somebody waited for.

        Args:
            key: Stands for its endpoint and Message ID.
            message: The response.
            reply: What it and its duplicates get; empty for silence.
            now: Monotonic seconds.
        """
        known = self._by_key.get(key)
        if known is not None:
            _supersede(known)
        arrived = self._by_key[key] = Incoming(key, now, message.token, reply)
        self._by_age.append(arrived)
        self._size += len(reply)
        self.forget_oldest(now)

    def _is_duplicate(self, known: Incoming, message: Message, now: float) -> bool:
        """Whether a message is the remembered one.

        RFC 7252 sections 4.5 and 4.8.2.
        """
        is_non = message.mtype is _NON
        if known.token != message.token or (known.reply == b"") is not is_non:
            return False
        return now < known.arrived + (self._tuning.NON_LIFETIME if is_non else self.lifetime)

    def find_open(self, key: int, request: Message) -> Incoming | None:
        """Return an open request of which only a copy is at hand.

        Args:
            key: Stands for its endpoint and Message ID.
            request: The copy.
        """
        known = self._by_key.get(key)
        if known is None or known.reply is not None or known.token != request.token:
            return None
        return known

    def answer(self, arrived: Incoming, request: Message, reply: bytes) -> None:
        """Take note of the acknowledgement of an open request.

        Args:
            arrived: The request.
            request: Its message, or a copy.
            reply: The datagram that acknowledges it.
        """
        # What a copy leaves there is open no more, as it has a reply, and goes when it is due.
        self.open.pop(request, None)
        arrived.reply = reply
        if arrived.key >= 0:
            self._size += len(reply)
            if self._size > self.max_remembered_bytes:
                self.forget_oldest(arrived.arrived)

    def overdue(self, now: float) -> list[tuple[Message, Incoming]]:
        """Take out the requests that were open for EMPTY_ACK_DELAY.

        Args:
            now: Monotonic seconds.

        Returns:
            Those that are to be acknowledged.
        """
        found = []
        delay = self._tuning.EMPTY_ACK_DELAY
        for request, arrived in self.open.items():
            if arrived.arrived + delay > now:
                break
            found.append((request, arrived))
        for request, _ in found:
            del self.open[request]
        return [(request, arrived) for request, arrived in found if arrived.reply is None]

    def forget_oldest(self, now: float) -> None:
        """Forget what is too old, and what is too much.

        Args:
            now: Monotonic seconds.
        """
        by_age = self._by_age
        while by_age and (
            by_age[0].arrived + self.lifetime <= now
            or len(by_age) > self.max_remembered
            or self._size > self.max_remembered_bytes
        ):
            old = by_age.popleft()
            self._size -= len(old.reply or b"")
            if self._by_key.get(old.key) is old:
                del self._by_key[old.key]
            # It may still be open.
            old.key = -1

    def next_acknowledgement(self) -> float:
        """Return when the first empty ACK is due, in monotonic seconds; inf where none is."""
        if not self.open:
            return float("inf")
        return next(iter(self.open.values())).arrived + self._tuning.EMPTY_ACK_DELAY

    def next_expiry(self) -> float:
        """Return when the first message can be forgotten, in monotonic seconds, or inf."""
        return self._by_age[0].arrived + self.lifetime if self._by_age else float("inf")

    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return not (self._by_age or self._by_key or self.open or self._size)


def _supersede(known: Incoming) -> None:
    """Take a message for over whose ID has come round.

    An acknowledgement of it would be taken for one of the other message.
    """
    if known.reply is None:
        known.reply = b""

"""The message layer: what is sent again, what is a duplicate, what is answered how.

Here lives :class:`Reliability`, the heart of every endpoint on an unreliable transport.

The room knows no socket, no timer, no future and no request: it is told of messages and of
the time, and tells what to do.

RFC 7252 section 4 (all of it), section 5.2.1 to 5.2.3 (piggybacked, separate and
non-confirmable responses), section 8 (multicast); RFC 7641 section 4.5 (notifications).

What is sent, and sent again, is decided in :mod:`.transmission`.  What came in, and what its
duplicates get, is remembered in :mod:`.deduplication`; pings and whatever else is rejected are
rejected again without that.

What strangers can make grow has its bounds in :mod:`.transmission`, :mod:`.deduplication` and
:mod:`.endpoints`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from ..address import EndpointAddress
from ..message import Message
from ..numbers.constants import TransportTuning
from ..numbers.types import Type
from .deduplication import Deduplication, Incoming
from .endpoints import SWEEP_SLACK, Peer
from .observation import is_notification
from .transmission import State, Transmission

__all__ = ["Reliability", "Verdict", "empty"]

_CON, _NON, _ACK, _RST = Type.CON, Type.NON, Type.ACK, Type.RST


class Verdict(IntEnum):
    """What to do with an incoming message."""

    IGNORE = 0
    """Nothing."""
    REQUEST = 1
    """Hand the request to the application."""
    RESPONSE = 2
    """Look for the request; then call :meth:`Reliability.accept` where there is one, and
    :meth:`Reliability.refuse` where there is none."""
    REPLY = 3
    """Send the detail, a datagram: what a duplicate gets once more, or a Reset."""
    RESET = 4
    """The peer rejected a message; the detail is its monitor, which may be None."""


class Reliability(Transmission):
    """The state of one endpoint's message layer: what it sends, and what came in.

    What a method returns is to be done at once.  Beyond that, :attr:`outbox` is to be emptied
    after each call of :meth:`receive`, as after those that send.

    Args:
        tuning: Parameters for what comes with none of its own.
        random: Gives numbers from 0 to less than 1.

    Attributes:
        memory: What came in.
    """

    __slots__ = ("memory",)

    def __init__(self, tuning: TransportTuning, random: Callable[[], float]) -> None:
        super().__init__(tuning, random)
        self.memory = Deduplication(tuning)

    # Incoming

    def receive(self, message: Message, now: float) -> tuple[Verdict, Any]:
        """Take in a message.

        Args:
            message: A decoded message, with its remote.
            now: Monotonic seconds.

        Returns:
            What to do, and what to do it with, see :class:`Verdict`.

        RFC 7252 sections 4.2, 4.3, 4.5 and 8.1.
        """
        mtype = message.mtype
        if mtype is not _CON and mtype is not _NON:
            return self._receive_reply(message, now)
        if not 0 < message.code < 32:
            return self._receive_other(message, now)
        remote = message.remote
        if mtype is _CON and remote.is_multicast_locally:  # type: ignore[union-attr]
            # There are no confirmable requests to groups, and no Resets for them (section 8.1).
            return _IGNORE
        peer = self._peers.get(remote)  # type: ignore[arg-type]
        if peer is None:
            peer = self._meet(remote, now)  # type: ignore[arg-type]
        else:
            peer.used = now
        reply = self.memory.take_in(peer.base + message.mid, message, now)  # type: ignore[operator]
        if reply is not None:
            return (_REPLY, reply) if reply else _IGNORE
        if mtype is _CON:
            due = now + self.tuning.EMPTY_ACK_DELAY
            if due < self.wake:
                self.wake = due
        return _REQUEST

    def _receive_other(self, message: Message, now: float) -> tuple[Verdict, Any]:
        """Take in a CON or NON that is no request."""
        if 64 <= message.code < 192:
            peer = self._peers.get(message.remote)  # type: ignore[arg-type]
            if peer is not None:
                peer.used = now
                key = peer.base + message.mid  # type: ignore[operator]
                reply = self.memory.recall(key, message, now)
                if reply is not None:
                    return (_REPLY, reply) if reply else _IGNORE
            return _RESPONSE
        # Empty (a ping), or of a class that has no meaning here.
        reset = self.refuse(message)
        return _IGNORE if reset is None else (_REPLY, reset)

    def _receive_reply(self, message: Message, now: float) -> tuple[Verdict, Any]:
        """Take in an ACK or RST.

        RFC 7252 sections 4.2 and 4.4.
        """
        code = message.code
        if code and (message.mtype is _RST or not 64 <= code < 192):
            # Rejecting an ACK or RST is silence (section 4.2).
            return _IGNORE
        peer = self._peers.get(message.remote)  # type: ignore[arg-type]
        if peer is None or peer.outgoing is None:
            return _IGNORE
        out = peer.outgoing.get(message.mid)  # type: ignore[arg-type]
        if out is None:
            return self._receive_late_reply(peer, message, now)
        if message.mtype is _RST:
            monitor = out.monitor
            self.cancel(out, now)
            return (Verdict.RESET, monitor)
        if not out.confirmable:
            # Nobody acknowledges those (section 4.3).
            return _IGNORE
        self.cancel(out, now)
        return _RESPONSE if code else _IGNORE

    def _receive_late_reply(self, peer: Peer, message: Message, now: float) -> tuple[Verdict, Any]:
        """Take in an ACK or RST for a notification that has a successor.

        A Reset is about the observation, whichever notification it came for.  An
        acknowledgement makes way for the successor, or tells at least that the client is there.

        RFC 7641 section 4.5.2.
        """
        mid: int = message.mid  # type: ignore[assignment]
        out = peer.outgoing.get(~mid)  # type: ignore[union-attr]
        is_latest = out is not None
        if out is None:
            _, out = self._superseded.pop(peer.base + mid, (0.0, None))
            if out is None or out.state is State.DONE:
                return _IGNORE
        if message.mtype is _RST:
            monitor = out.monitor
            self.cancel(out, now)
            return (Verdict.RESET, monitor)
        if is_latest:
            self._make_way(out, now)
        elif out.confirmable and out.state is not State.QUEUED:
            # It counts as an answer to none of those that came after, but ends the doubts.
            self._timers.discard(out)
            out.sent = now
            self._begin_attempts(out, now)
        return _IGNORE

    def accept(self, response: Message, now: float) -> bytes | None:
        """Take note that somebody waited for a RESPONSE.

        Args:
            response: The response, just received.
            now: Monotonic seconds.

        Returns:
            The acknowledgement to send, if one is asked for.

        RFC 7252 section 5.2.2.
        """
        if response.mtype is _ACK:
            return None
        remote, mid = response.remote, response.mid
        assert remote is not None  # incoming messages have both
        assert mid is not None
        peer = self._peers.get(remote) or self._meet(remote, now)
        reply = empty(_ACK, mid) if response.mtype is _CON else b""
        self.memory.remember(peer.base + mid, response, reply, now)
        return reply or None

    def refuse(self, message: Message) -> bytes | None:
        """Return the Reset for a message that makes no sense here.

        Args:
            message: A RESPONSE that nobody waited for, or anything that can not be processed.

        Returns:
            The datagram to send, or None where the message is rejected by silence.

        RFC 7252 sections 4.2 and 4.3 (confirmable ones are answered), 8.1 (none of those that
        came by multicast), RFC 7641 section 3.6.
        """
        # A server learns from this alone that an observation was forgotten, and might well send
        # nothing but non-confirmable notifications for a day.
        is_answered = message.mtype is _CON or (message.mtype is _NON and is_notification(message))
        if not is_answered or message.remote.is_multicast_locally:  # type: ignore[union-attr]
            return None
        return empty(_RST, message.mid)  # type: ignore[arg-type]

    def piggyback(self, response: Message) -> bytes | None:
        """Make a response the acknowledgement of its request, where that is still possible.

        Args:
            response: Its ``request`` is the message that was received, or a copy of it; type and
                Message ID are set here.  An empty response just acknowledges, and one that is
                confirmable or non-confirmable already is never piggybacked.

        Returns:
            The datagram to send, or None where the response is to be sent by :meth:`send`.

        Raises:
            ValueError: The response can not be encoded; the request is still to be answered.

        RFC 7252 section 5.2.1.
        """
        request = response.request
        arrived = self.memory.open.get(request) or self._find_open(request)  # type: ignore[arg-type]
        if arrived is None or arrived.reply is not None:
            return None
        assert request is not None  # it was found
        if not response.code:
            return self.acknowledge(request)
        mtype = response.mtype
        if mtype is _CON or mtype is _NON:
            return None
        response.mtype = _ACK
        response.mid = request.mid
        reply = response.encode()
        self.memory.answer(arrived, request, reply)
        return reply

    def acknowledge(self, request: Message) -> bytes | None:
        """Acknowledge a request whose response will be a message of its own.

        Args:
            request: A message that was received, or a copy of it.

        Returns:
            The empty ACK to send, or None where the request is not to be acknowledged (any more).

        RFC 7252 section 5.2.2.
        """
        arrived = self.memory.open.get(request) or self._find_open(request)
        if arrived is None or arrived.reply is not None:
            return None
        reply = empty(_ACK, request.mid)  # type: ignore[arg-type]
        self.memory.answer(arrived, request, reply)
        return reply

    def _find_open(self, request: Message | None) -> Incoming | None:
        """Return what is remembered of an open request of which only a copy is at hand."""
        if request is None or request.mtype is not _CON:
            return None
        peer = self._peers.get(request.remote)  # type: ignore[arg-type]
        if peer is None:
            return None
        return self.memory.find_open(peer.base + request.mid, request)  # type: ignore[operator]

    # Time

    def tick(self, now: float) -> list[EndpointAddress]:
        """Do what is due.

        Args:
            now: Monotonic seconds.

        Returns:
            Endpoints that left a message unanswered to the end; all messages to them are
            cancelled.

        RFC 7252 section 4.2; EMPTY_ACK_DELAY is ours.
        """
        self.memory.lifetime = self.endpoints.lifetime = self.tuning.EXCHANGE_LIFETIME
        for request, arrived in self.memory.overdue(now):
            reply = empty(_ACK, request.mid)  # type: ignore[arg-type]
            self.memory.answer(arrived, request, reply)
            self.outbox.append((reply, request.remote))  # type: ignore[arg-type]
        self.memory.forget_oldest(now)
        return super().tick(now)

    def _compute_wake(self) -> None:
        """Set :attr:`wake` to when something will be due."""
        super()._compute_wake()
        self._wake_by(self.memory.next_acknowledgement())
        self._wake_by(self.memory.next_expiry() + SWEEP_SLACK)

    def is_idle(self) -> bool:
        """Whether nothing is remembered, waited for or to be sent."""
        return super().is_idle() and self.memory.is_empty()


def empty(mtype: Type, mid: int) -> bytes:
    """Return an empty message as a datagram.

    >>> empty(Type.RST, 0x1234).hex()
    '70001234'

    Args:
        mtype: Its type.
        mid: Its Message ID.

    RFC 7252 section 4.1.
    """
    return bytes((0x40 | mtype << 4, 0, mid >> 8, mid & 255))


_REPLY = Verdict.REPLY
_IGNORE = (Verdict.IGNORE, None)
_REQUEST = (Verdict.REQUEST, None)
_RESPONSE = (Verdict.RESPONSE, None)

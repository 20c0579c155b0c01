"""The message layer: what is sent again, what is a duplicate, what is answered how.

Here lives :class:`Reliability`, the heart of every endpoint on an unreliable transport.

The room knows no socket, no timer, no future and no request: it is told of messages and of
the time, and tells what to do.

RFC 7252 section 4 (all of it), section 5.2.1 to 5.2.3 (piggybacked, separate and
non-confirmable responses), section 8.1 (multicast).

Outgoing messages (:class:`Outgoing`)::

    queued ----> in flight ----> acknowledged   (ACK, or the response overtook it)
       |           |    ^ |----> reset          (RST)
       |           |    |-|                     (timeout: sent again)
       |           |------|----> given up       (after MAX_TRANSMIT_WAIT)
       '-----------'-----------> cancelled      (its owner lost interest)

Non-confirmable messages that somebody wants to hear a Reset of go the same way without being
sent again.  A message is queued while NSTART others to the same endpoint are outstanding.

Incoming messages (:class:`Incoming`)::

    open ----> piggybacked   (the response came within EMPTY_ACK_DELAY)
       '-----> acknowledged  (an empty ACK was sent; the response is a message of its own)

All incoming messages that anything is done for are remembered for EXCHANGE_LIFETIME, with the
reply that a duplicate gets.  Their number and size are bounded; at the bound the oldest are
forgotten, so that a peer who floods the endpoint can make it act on old duplicates again, but
not make it run out of memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

from ..address import EndpointAddress
from ..message import Message
from ..numbers.constants import TransportTuning
from ..numbers.types import Type
from .deadlines import Deadlines

__all__ = ["Act", "Incoming", "Outgoing", "Reliability", "Verdict"]

_CON, _NON, _ACK, _RST = Type.CON, Type.NON, Type.ACK, Type.RST

MAX_REMEMBERED = 32_768
"""Number of incoming messages that are remembered at most."""

MAX_REMEMBERED_BYTES = 16 * 1024 * 1024
"""Size in bytes of the replies that are remembered at most."""

MAX_PEERS = 16_384
"""Number of idle endpoints whose next Message ID is remembered at most."""

MAX_QUEUED_RESPONSES = 64
"""Number of confirmable messages that may be queued to one endpoint before its further
responses are sent non-confirmable: it is the peer who decides how many there are."""

_PURGE_SLACK = 5.0
# Seconds by which forgetting may be late, so that an endpoint that remembers many messages
# wakes up rarely.


class Verdict(IntEnum):
    """What to do with an incoming message."""

    IGNORE = 0
    """Nothing."""
    REQUEST = 1
    """Hand the request to the application."""
    RESPONSE = 2
    """Look for the request; then call :meth:`Reliability.accept` where there is one."""
    REPEAT = 3
    """A duplicate: send the detail, a datagram, once more."""
    REJECT = 4
    """Answer with a Reset."""
    RESET = 5
    """The peer rejected the detail, an :class:`Outgoing`."""


class Act(IntEnum):
    """What a deadline asks for."""

    ACKNOWLEDGE = 0
    """Send the datagram, an empty ACK."""
    TRANSMIT = 1
    """Send the datagram (again)."""
    GIVE_UP = 2
    """Nothing came back for the message; tell its owner."""


class Incoming:
    """A message that came in, as far as it is remembered."""

    __slots__ = ("arrived", "key", "reply", "token")

    def __init__(
        self,
        key: tuple[EndpointAddress, int],
        arrived: float,
        reply: bytes | None,
        token: bytes,
    ) -> None:
        self.key = key
        self.arrived = arrived
        # None while a confirmable message is open; else the datagram that a duplicate gets,
        # which is empty where it gets none.
        self.reply = reply
        self.token = token


class _Peer:
    """What is known about an endpoint that messages were sent to."""

    __slots__ = ("next_mid", "outgoing", "outstanding", "queue", "remote", "used")

    def __init__(self, remote: EndpointAddress, next_mid: int) -> None:
        self.remote = remote
        self.next_mid = next_mid
        self.outgoing: dict[int, Outgoing] = {}
        self.queue: deque[Outgoing] = deque()
        self.outstanding = 0
        self.used = 0.0


class Outgoing:
    """A message of ours that something may still be sent or heard of."""

    __slots__ = (
        "_counted",
        "_peer",
        "confirmable",
        "datagram",
        "deadline",
        "message",
        "mid",
        "monitor",
        "remaining",
        "timeout",
        "tuning",
    )

    def __init__(
        self, peer: _Peer, message: Message, tuning: TransportTuning, monitor: Any
    ) -> None:
        self._peer = peer
        # Only until it is sent for the first time.
        self.message: Message | None = message
        self.datagram = b""
        self.confirmable = message.mtype is _CON
        self.mid = -1
        self.tuning = tuning
        self.monitor = monitor
        self.deadline: float | None = None
        self.timeout = 0.0
        self.remaining = 0
        # Whether it takes up one of the NSTART places.
        self._counted = False

    @property
    def remote(self) -> EndpointAddress:
        """Where the message goes."""
        return self._peer.remote

    def __repr__(self) -> str:
        state = "queued" if self.message is not None else f"{self.remaining} transmissions left"
        return f"<Outgoing {self.mid} to {self._peer.remote}, {state}>"


class Reliability:
    """The state of one endpoint's message layer.

    What a method returns is to be done at once; ``ready`` is to be looked at after each call
    of :meth:`receive`, :meth:`cancel`, :meth:`abandon` and :meth:`tick`; :attr:`wake` is when
    :meth:`tick` is to be called.

    Args:
        tuning: Parameters for what comes with none of its own.
        random: Gives numbers from 0 to less than 1.
    """

    __slots__ = (
        "_by_age",
        "_empty_acks",
        "_incoming",
        "_lifetime",
        "_open",
        "_peers",
        "_random",
        "_remembered_bytes",
        "_timers",
        "max_remembered",
        "ready",
        "tuning",
        "wake",
    )

    def __init__(self, tuning: TransportTuning, random: Callable[[], float]) -> None:
        self.tuning = tuning
        self._random = random
        self._incoming: dict[tuple[EndpointAddress, int], Incoming] = {}
        self._by_age: deque[Incoming] = deque()
        self._open: deque[Incoming] = deque()
        self._remembered_bytes = 0
        self._peers: dict[EndpointAddress, _Peer] = {}
        self._timers: Deadlines[Outgoing] = Deadlines()
        # Computing it takes longer than all else that happens to a message.
        self._lifetime = tuning.EXCHANGE_LIFETIME
        self.max_remembered = MAX_REMEMBERED
        self.ready: deque[Outgoing] = deque()
        """Messages whose turn has come; send them by :meth:`transmit`."""
        self.wake = float("inf")
        """Monotonic seconds: no deadline is earlier."""

    # Incoming

    def receive(self, message: Message, now: float) -> tuple[Verdict, Any]:
        """Take in a message.

        Args:
            message: A decoded message, with its remote.
            now: Monotonic seconds.

        Returns:
            What to do, and what to do it with: a datagram for REPEAT, an :class:`Outgoing` for
            RESET and, where the response is piggybacked, for RESPONSE, else None.

        RFC 7252 sections 4.2, 4.3 and 4.5.
        """
        mtype = message.mtype
        code = message.code
        if mtype is _CON or mtype is _NON:
            if 0 < code < 32 or 64 <= code < 192:
                return self._receive_exchange(message, mtype, now)
            # Empty (a ping), or of a class that has no meaning here: section 4.2 wants a
            # Reset for confirmable messages, 4.3 leaves us silent for others, and section
            # 8.1 in any case for multicast.
            if mtype is _CON and not message.remote.is_multicast_locally:  # type: ignore[union-attr]
                return _REJECT
            return _IGNORE
        if code and (mtype is _RST or not 64 <= code < 192):
            # Rejecting an ACK or RST is silence (section 4.2).
            return _IGNORE
        peer = self._peers.get(message.remote)  # type: ignore[arg-type]
        out = None if peer is None else peer.outgoing.get(message.mid)  # type: ignore[arg-type]
        if out is None:
            return _IGNORE
        if mtype is _RST:
            self.cancel(out, now)
            return (Verdict.RESET, out)
        if not out.confirmable:
            return _IGNORE
        self.cancel(out, now)
        return (Verdict.RESPONSE, out) if code else _IGNORE

    def _receive_exchange(
        self, message: Message, mtype: Type, now: float
    ) -> tuple[Verdict, Any]:
        """Take in a request, or a response that is not piggybacked."""
        remote = message.remote
        key = (remote, message.mid)
        known = self._incoming.get(key)  # type: ignore[arg-type]
        if known is not None and self._is_duplicate(known, message, mtype, now):
            return (Verdict.REPEAT, known.reply) if known.reply else _IGNORE
        if 64 <= message.code < 192:
            return _RESPONSE
        if mtype is _CON and remote.is_multicast_locally:  # type: ignore[union-attr]
            # Section 8.1: there are no confirmable requests to groups, and no Resets for them.
            return _IGNORE
        arrived = Incoming(key, now, None if mtype is _CON else b"", message.token)  # type: ignore[arg-type]
        self._remember(arrived)
        if mtype is _CON:
            self._open.append(arrived)
            due = now + self.tuning.EMPTY_ACK_DELAY
            if due < self.wake:
                self.wake = due
        return _REQUEST

    def _is_duplicate(self, known: Incoming, message: Message, mtype: Type, now: float) -> bool:
        """Whether a message is the remembered one.

        A Message ID that comes back with another token within its lifetime is taken as a new
        message: peers that send more than 65536 messages in that time run out of IDs.

        RFC 7252 sections 4.4, 4.5 and 4.8.2.
        """
        if known.token != message.token:
            return False
        age = now - known.arrived
        if mtype is _NON:
            return age < self.tuning.NON_LIFETIME
        return age < self._lifetime

    def _remember(self, arrived: Incoming) -> None:
        self._incoming[arrived.key] = arrived
        by_age = self._by_age
        by_age.append(arrived)
        if by_age[0].arrived + self._lifetime <= arrived.arrived or (
            len(by_age) > self.max_remembered
        ):
            self._forget_oldest(arrived.arrived)
        else:
            due = by_age[0].arrived + self._lifetime + _PURGE_SLACK
            if due < self.wake:
                self.wake = due

    def _forget_oldest(self, now: float) -> None:
        """Forget what is too old, and what is too much."""
        by_age = self._by_age
        while by_age and (
            by_age[0].arrived + self._lifetime <= now
            or len(by_age) > self.max_remembered
            or self._remembered_bytes > MAX_REMEMBERED_BYTES
        ):
            old = by_age.popleft()
            self._remembered_bytes -= len(old.reply or b"")
            if self._incoming.get(old.key) is old:
                del self._incoming[old.key]

    def _reply(self, incoming: Incoming, reply: bytes) -> None:
        """Remember what duplicates of a message get."""
        incoming.reply = reply
        self._remembered_bytes += len(reply)
        if self._remembered_bytes > MAX_REMEMBERED_BYTES:
            self._forget_oldest(incoming.arrived)

    def accept(self, message: Message, now: float) -> bytes | None:
        """Take note that a RESPONSE belongs to a request.

        Args:
            message: The response.
            now: Monotonic seconds.

        Returns:
            The acknowledgement to send, if one is asked for.

        RFC 7252 section 5.2.2.
        """
        if message.mtype is _ACK:
            return None
        reply = b""
        if message.mtype is _CON:
            reply = empty(_ACK, message.mid)  # type: ignore[arg-type]
        key = (message.remote, message.mid)
        self._remember(Incoming(key, now, None, message.token))  # type: ignore[arg-type]
        self._reply(self._incoming[key], reply)  # type: ignore[index]
        return reply or None

    # Outgoing

    def piggyback(self, response: Message) -> bytes | None:
        """Make a response the acknowledgement of its request, where that is still possible.

        Args:
            response: A response with its ``request``, encodable but for type and Message ID.

        Returns:
            The datagram to send, or None where the response is to be sent by :meth:`send`.

        Raises:
            ValueError: The response can not be encoded.

        RFC 7252 section 5.2.1.
        """
        request = response.request
        mtype = response.mtype
        if request is None or request.mtype is not _CON or not (mtype is None or mtype is _ACK):
            return None
        incoming = self._incoming.get((request.remote, request.mid))  # type: ignore[arg-type]
        if incoming is None or incoming.reply is not None or incoming.token != request.token:
            return None
        response.mtype = _ACK
        response.mid = request.mid
        reply = response.encode()
        self._reply(incoming, reply)
        return reply

    def acknowledge(self, request: Message) -> bytes | None:
        """Acknowledge a request that gets no response, or none soon.

        Args:
            request: An incoming message.

        Returns:
            The empty ACK to send, or None where there is nothing to acknowledge.
        """
        incoming = self._incoming.get((request.remote, request.mid))  # type: ignore[arg-type]
        if incoming is None or incoming.reply is not None:
            return None
        reply = empty(_ACK, incoming.key[1])
        self._reply(incoming, reply)
        return reply

    def send(
        self, message: Message, monitor: Any, now: float, delay: float = 0.0
    ) -> Outgoing | bytes | None:
        """Take on a message.

        Its type and Message ID are set if they are not.

        Args:
            message: A request or response, encodable but for type and Message ID.
            monitor: Handed back with what happens to the message; None where nobody listens.
            now: Monotonic seconds.
            delay: Seconds to wait before the message is sent (section 8.2's leisure).

        Returns:
            A datagram to send, where that is all; else the handle for :meth:`cancel`, and
            the message comes to :attr:`ready` when it is its turn.

        Raises:
            ValueError: The message can not be encoded.

        RFC 7252 sections 4.2, 4.3 and 4.7.
        """
        tuning = message.transport_tuning or self.tuning
        peer = self._peer(message.remote, now)  # type: ignore[arg-type]
        if message.mtype is None or message.mtype is _ACK:
            message.mtype = self._choose_type(message, tuning)
        is_request = 0 < message.code < 32
        if not is_request and len(peer.queue) >= MAX_QUEUED_RESPONSES:
            message.mtype = _NON
        confirmable = message.mtype is _CON
        if not confirmable and monitor is None and not delay:
            message.mid = self._next_mid(peer)
            return message.encode()
        out = Outgoing(peer, message, tuning, monitor)
        if delay:
            self._wait(out, now + delay)
        elif confirmable or (is_request and not peer.remote.is_multicast):
            # Section 4.7 counts confirmable messages and all requests.
            if peer.outstanding >= tuning.NSTART or peer.queue:
                peer.queue.append(out)
            else:
                self._start(out)
        else:
            self.ready.append(out)
        return out

    def _choose_type(self, message: Message, tuning: TransportTuning) -> Type:
        """Return the type of a message that has none.

        RFC 7252 sections 5.2.3 (as the request was) and 8.1 (groups get no CON).
        """
        if message.remote.is_multicast:  # type: ignore[union-attr]
            return _NON
        if tuning.reliability is not None:
            return _CON if tuning.reliability else _NON
        if message.request is not None and message.request.mtype is not None:
            return message.request.mtype
        return _CON

    def _start(self, out: Outgoing) -> None:
        out._counted = True
        out._peer.outstanding += 1
        self.ready.append(out)

    def transmit(self, out: Outgoing, now: float) -> bytes:
        """Do the first transmission of a message from :attr:`ready`.

        Args:
            out: The message.
            now: Monotonic seconds.

        Returns:
            The datagram to send.

        Raises:
            ValueError: The message can not be encoded; it is cancelled then.

        RFC 7252 section 4.2.
        """
        message, peer, tuning = out.message, out._peer, out.tuning
        assert message is not None  # it is in ready once
        out.message = None
        message.mid = out.mid = self._next_mid(peer)
        try:
            out.datagram = message.encode()
        except ValueError:
            self.cancel(out, now)
            raise
        if out.confirmable:
            spread = 1 + self._random() * (tuning.ACK_RANDOM_FACTOR - 1)
            out.timeout = tuning.ACK_TIMEOUT * spread
            out.remaining = tuning.MAX_RETRANSMIT
        elif out.monitor is None:
            # A delayed message that nobody wants to hear of.
            return out.datagram
        peer.outgoing[out.mid] = out
        if out.confirmable:
            self._wait(out, now + out.timeout)
        elif out._counted:
            # A non-confirmable request that gets no answer does not block others for long.
            self._wait(out, now + tuning.ACK_TIMEOUT * tuning.ACK_RANDOM_FACTOR)
        return out.datagram

    def _wait(self, out: Outgoing, deadline: float) -> None:
        self._timers.add(out, deadline)
        if deadline < self.wake:
            self.wake = deadline

    def cancel(self, out: Outgoing, now: float) -> None:
        """Have done with a message: it is not sent again, and its place goes to the next.

        Args:
            out: A message; it may be cancelled any number of times.
            now: Monotonic seconds.
        """
        peer = out._peer
        self._timers.discard(out)
        if out.message is not None:
            out.message = None
            for waiting in (peer.queue, self.ready):
                if out in waiting:
                    waiting.remove(out)
        elif peer.outgoing.get(out.mid) is out:
            del peer.outgoing[out.mid]
        self._leave(out)
        peer.used = now

    def _leave(self, out: Outgoing) -> None:
        """Give up the place among the NSTART, and start who is next."""
        if not out._counted:
            return
        out._counted = False
        peer = out._peer
        peer.outstanding -= 1
        while peer.queue and peer.outstanding < peer.queue[0].tuning.NSTART:
            self._start(peer.queue.popleft())

    def abandon(self, remote: EndpointAddress, now: float) -> None:
        """Cancel all messages to an endpoint that can not be reached.

        Args:
            remote: The endpoint.
            now: Monotonic seconds.
        """
        peer = self._peers.get(remote)
        if peer is None:
            return
        for out in [*peer.queue, *peer.outgoing.values()]:
            self.cancel(out, now)

    def _next_mid(self, peer: _Peer) -> int:
        """Return the next Message ID that is not in use (section 4.4)."""
        mid = peer.next_mid
        while mid in peer.outgoing:
            mid = mid + 1 & 0xFFFF
        peer.next_mid = mid + 1 & 0xFFFF
        return mid

    def _peer(self, remote: EndpointAddress, now: float) -> _Peer:
        peer = self._peers.get(remote)
        if peer is None:
            if len(self._peers) >= MAX_PEERS:
                self._forget_peers(now, MAX_PEERS // 2)
            peer = self._peers[remote] = _Peer(remote, int(self._random() * 65536))
            self._wake_for_purge(now)
        peer.used = now
        return peer

    def _wake_for_purge(self, now: float) -> None:
        self.wake = min(self.wake, now + self._lifetime + _PURGE_SLACK)

    def _forget_peers(self, now: float, keep: int) -> None:
        """Forget idle endpoints that were last used a lifetime ago, and more at the bound.

        A forgotten endpoint gets a new random Message ID, which section 4.4 allows once the
        old ones are out of use; at the bound it is a collision of one in thousands.
        """
        idle = [
            peer
            for peer in self._peers.values()
            if not (peer.outgoing or peer.queue or peer.outstanding)
        ]
        idle.sort(key=_last_used)
        surplus = len(self._peers) - keep
        for index, peer in enumerate(idle):
            if index >= surplus and peer.used + self._lifetime > now:
                break
            del self._peers[peer.remote]

    # Time

    def tick(self, now: float) -> Iterator[tuple[Act, EndpointAddress, Any]]:
        """Do what is due.

        Args:
            now: Monotonic seconds.

        Yields:
            What to do, for which endpoint, and with what: a datagram for ACKNOWLEDGE and
            TRANSMIT, an :class:`Outgoing` for GIVE_UP.

        RFC 7252 section 4.2; EMPTY_ACK_DELAY is ours.
        """
        opened = self._open
        while opened and (
            opened[0].reply is not None or opened[0].arrived + self.tuning.EMPTY_ACK_DELAY <= now
        ):
            incoming = opened.popleft()
            if incoming.reply is None:
                remote, mid = incoming.key
                reply = empty(_ACK, mid)
                self._reply(incoming, reply)
                yield (Act.ACKNOWLEDGE, remote, reply)
        for out in self._timers.pop_due(now):
            if out.message is not None:
                # It had to wait for its leisure.
                self.ready.append(out)
            elif not out.confirmable:
                self._leave(out)
            elif out.remaining:
                out.remaining -= 1
                out.timeout *= 2
                self._wait(out, now + out.timeout)
                yield (Act.TRANSMIT, out._peer.remote, out.datagram)
            else:
                self.cancel(out, now)
                yield (Act.GIVE_UP, out._peer.remote, out)
        self._forget_oldest(now)
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Compute :attr:`wake` anew."""
        wake = self._timers.next_deadline() or float("inf")
        if self._open:
            wake = min(wake, self._open[0].arrived + self.tuning.EMPTY_ACK_DELAY)
        if self._by_age:
            wake = min(wake, self._by_age[0].arrived + self._lifetime + _PURGE_SLACK)
        if self._peers:
            self._forget_peers(now, MAX_PEERS)
        self.wake = wake
        if self._peers:
            self._wake_for_purge(now)

    def is_idle(self) -> bool:
        """Whether nothing is remembered, waited for or to be sent."""
        return not (
            self._incoming
            or self._by_age
            or self._open
            or self._peers
            or self._timers
            or self.ready
            or self._remembered_bytes
        )


def empty(mtype: Type, mid: int) -> bytes:
    """Return an empty message as a datagram.

    RFC 7252 section 4.1.
    """
    return bytes((0x40 | mtype << 4, 0, mid >> 8, mid & 255))


def _last_used(peer: _Peer) -> float:
    return peer.used


_IGNORE = (Verdict.IGNORE, None)
_REQUEST = (Verdict.REQUEST, None)
_RESPONSE = (Verdict.RESPONSE, None)
_REJECT = (Verdict.REJECT, None)

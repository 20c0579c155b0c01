"""What is sent, and sent again until somebody answers.

Here lives :class:`Transmission`, the half of the message layer that looks forward.

The room knows no socket, no timer and no future, and not what came in but for acknowledgements: it
is told of messages and of the time, and tells what to send.

RFC 7252 sections 4.2 to 4.4, 4.7 and 5.2.3, section 8.1 (multicast); RFC 7641 section 4.5
(notifications); RFC 7967 section 3.2 (requests without responses).

Outgoing messages (:class:`Outgoing`)::

    delayed --.
              v
    queued ----> in flight ----> done: acknowledged  (ACK, or the response overtook it)
       |           |    ^ |---->       reset         (RST)
       |           |    |-|                          (timeout: sent again)
       |           |------|---->       given up      (after MAX_TRANSMIT_WAIT)
       '-----------'----------->       cancelled     (its owner lost interest)

A notification can have a successor while it is out (:meth:`Reliability.notify`)::

    queued ---> queued       what waits is the newer one, in the same place
    in flight ---> superseded ----> queued     (ACK: the newer one is next)
                       |    '---> in flight  (timeout: the newer one is sent, with a new Message
                       |                      ID, and with attempts and timing of the older)
                       '--------> done       (RST, or that was the last attempt)

A message is queued while NSTART others to the same endpoint are outstanding (section 4.7): a
confirmable one until it is acknowledged or reset, a non-confirmable request until it is answered
or could have been answered (see PROBING_RATE).  Queues are first in, first out.  A non-confirmable
request that is not to be answered at all is in none: nothing is outstanding then, and its pace is
the application's (RFC 7967 section 3.2).

What strangers can make grow, and what happens at the bound:

- Messages that wait for something (MAX_WAITING, MAX_QUEUED_RESPONSES to one endpoint): responses
  are sent non-confirmable, and those to multicast requests not at all.
- Non-confirmable messages whose Reset somebody wants to hear of, and notifications that others
  took the place of (MAX_LISTENING of each): that of the oldest goes unheard.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from .._faults import ConToMulticast
from ..address import EndpointAddress
from ..message import Message
from ..numbers.constants import TransportTuning
from ..numbers.types import Type
from ..optiontypes import NO_RESPONSE_AT_ALL
from .deadlines import Deadlines
from .endpoints import SWEEP_SLACK, Endpoints, Peer

__all__ = ["Outgoing", "State", "Transmission"]

_CON, _NON, _ACK, _RST = Type.CON, Type.NON, Type.ACK, Type.RST

MAX_WAITING = 16_384
"""Number of messages that have a deadline beyond which no response adds to them."""

MAX_QUEUED_RESPONSES = 64
"""Number of messages that may be queued to one endpoint before its further responses are sent
non-confirmable: it is the peer who decides how many there are."""

MAX_LISTENING = 16_384
"""Number of non-confirmable messages whose Reset is listened for at most, and of superseded
notifications."""

_LATENESS = 1.0
# Seconds by which a retransmission may be late without being left out (section 4.2 makes no
# strong requirements on the accuracy of clocks).

_NEVER = float("inf")


class State(IntEnum):
    """How far an outgoing message is."""

    DELAYED = 0
    QUEUED = 1
    IN_FLIGHT = 2
    DONE = 3
    SUPERSEDED = 4
    """In flight, but what will be sent the next time is newer."""


_DELAYED, _QUEUED, _IN_FLIGHT, _DONE, _SUPERSEDED = State


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
        "sent",
        "state",
        "timeout",
        "tuning",
    )

    def __init__(
        self,
        peer: Peer,
        message: Message,
        tuning: TransportTuning,
        monitor: Any,
    ) -> None:
        self._peer = peer
        # Only until it is sent for the first time; afterwards, what is to take its place.
        self.message: Message | None = message
        self.mid = -1
        self.datagram = b""
        self.confirmable = message.mtype is _CON
        self.tuning = tuning
        self.monitor = monitor
        self.state = _QUEUED
        self.deadline: float | None = None
        # When it was sent for the first time.
        self.sent = 0.0
        self.timeout = 0.0
        # Number of retransmissions that are left.
        self.remaining = 0
        # Whether it takes up one of the NSTART places.
        self._counted = False

    @property
    def remote(self) -> EndpointAddress:
        """Where the message goes."""
        return self._peer.remote

    def __repr__(self) -> str:
        kind = "CON" if self.confirmable else "NON"
        return f"<Outgoing {kind} {self.mid} to {self._peer.remote}: {self.state.name}>"


class Transmission:
    """What an endpoint has to send, and what it waits for because of that.

    :attr:`outbox` is to be emptied after each call of :meth:`send`, :meth:`notify`,
    :meth:`cancel`, :meth:`abandon` and :meth:`tick`; and :meth:`tick` is to be called when it is
    :attr:`wake`, which any method may have made earlier.

    Args:
        tuning: Parameters for what comes with none of its own.
        random: Gives numbers from 0 to less than 1.

    Attributes:
        outbox: Datagrams to send now, and where they go.
        wake: Monotonic seconds; nothing is due earlier.
        endpoints: What is known of the others.
        max_waiting, max_listening: The bounds, see above.
    """

    __slots__ = (
        "_listening",
        "_peers",
        "_random",
        "_superseded",
        "_timers",
        "endpoints",
        "max_listening",
        "max_waiting",
        "outbox",
        "tuning",
        "wake",
    )

    def __init__(self, tuning: TransportTuning, random: Callable[[], float]) -> None:
        self.tuning = tuning
        self._random = random
        self.endpoints = Endpoints(random, tuning.EXCHANGE_LIFETIME)
        self.max_waiting = MAX_WAITING
        self.max_listening = MAX_LISTENING
        self.outbox: deque[tuple[bytes, EndpointAddress]] = deque()
        self.wake = _NEVER
        self._peers = self.endpoints.known
        self._timers: Deadlines[Outgoing] = Deadlines()
        self._listening: OrderedDict[Outgoing, None] = OrderedDict()
        # Notifications that others took the place of, by endpoint and Message ID, with when to
        # forget them.
        self._superseded: OrderedDict[int, tuple[float, Outgoing]] = OrderedDict()

    def send(
        self, message: Message, monitor: Any, now: float, delay: float = 0.0
    ) -> Outgoing | bytes | None:
        """Take on a message.

        Its type is set where it is neither CON nor NON, and its Message ID when it leaves: that is
        None as long as the message is queued or delayed.

        Args:
            message: A request, a response or a ping, encodable but for type and Message ID.
            monitor: Comes back when the peer rejects the message; None where nobody listens.
            now: Monotonic seconds.
            delay: Seconds to wait before the message is sent (section 8.2's leisure).

        Returns:
            A datagram to send, where that is all there is to it; else the handle for
            :meth:`cancel`; or None where the message is not sent, as there are too many.

        Raises:
            ValueError: The message can not be encoded, or is confirmable and goes to a group.

        RFC 7252 sections 4.2, 4.3, 4.7 and 8.
        """
        remote = message.remote
        assert remote is not None  # only resolved messages come down here
        tuning = message.transport_tuning or self.tuning
        is_response = 64 <= message.code < 192
        mtype = message.mtype
        if mtype is not _CON and mtype is not _NON:
            mtype = self._choose_type(message, tuning)
        if remote.is_multicast:
            if mtype is _CON:
                raise ConToMulticast
            message.mtype, message.mid = mtype, self.endpoints.take_group_mid()
            return message.encode()
        peer = self._peers.get(remote) or self._meet(remote, now)
        peer.used = now
        if is_response and mtype is _CON and self._is_overloaded(peer):
            mtype = _NON
        message.mtype = mtype
        if mtype is _NON and is_response and monitor is None and not delay:
            message.mid = peer.take_mid(self._random)
            return message.encode()
        out = Outgoing(peer, message, tuning, monitor)
        if delay:
            if len(self._timers) >= self.max_waiting:
                return None
            out.state = _DELAYED
            self._encode_early(out)
            self._wait(out, now + delay)
        elif mtype is _NON and (is_response or _wants_no_response(message)):
            self._start(out, now)
        elif peer.queue or peer.outstanding >= min(tuning.NSTART, self.max_waiting):
            self._queue(out)
        else:
            self._start(out, now, True)
        return out

    def _queue(self, out: Outgoing) -> None:
        """Let a message wait for one of the NSTART places."""
        self._encode_early(out)
        out.state = _QUEUED
        peer = out._peer
        if peer.queue is None:
            peer.queue = OrderedDict()
        peer.queue[out] = None

    def _encode_early(self, out: Outgoing) -> None:
        """Encode a message that has no Message ID yet, so that failures have somebody to go to."""
        assert out.message is not None  # it was not sent yet
        out.datagram = _encoded_early(out.message)

    def notify(
        self, message: Message, monitor: Any, now: float, former: Outgoing | None = None
    ) -> Outgoing:
        """Take on a notification, which takes the place of the one before.

        While a confirmable one is out, no other is sent: the newest waits for the time when
        that is acknowledged, or would be sent again.  It is confirmable, too.

        Args:
            message: A response, encodable but for type and Message ID.
            monitor: Comes back when the peer rejects this notification or one before.
            now: Monotonic seconds.
            former: What the last call for the same observation returned, or :meth:`send`.

        Returns:
            The handle for :meth:`cancel` and for the next call; it may be the former one.

        Raises:
            ValueError: The message can not be encoded; what the former one waits for is open
                then, and can be cancelled.

        RFC 7641 sections 4.5, 4.5.1 and 4.5.2.
        """
        tuning = message.transport_tuning or self.tuning
        mtype = message.mtype
        if mtype is not _CON and mtype is not _NON:
            mtype = self._choose_type(message, tuning)
        if former is not None and former.state is not _DONE:
            if former.confirmable and former.state is not _DELAYED:
                return self._supersede(former, message, monitor)
            if former.state is _IN_FLIGHT:
                self._remember_superseded(former, now)
            self.cancel(former, now)
        remote = message.remote
        assert remote is not None  # only resolved messages come down here
        peer = self._peers.get(remote) or self._meet(remote, now)
        peer.used = now
        if mtype is _CON and self._is_overloaded(peer):
            mtype = _NON
        message.mtype = mtype
        if former is None:
            out = Outgoing(peer, message, tuning, monitor)
        else:
            out = former
            out._peer, out.message, out.tuning, out.monitor = peer, message, tuning, monitor
            out.confirmable = mtype is _CON
        if mtype is _NON:
            out.datagram = b""
            self._start(out, now)
        elif peer.queue or peer.outstanding >= min(tuning.NSTART, self.max_waiting):
            self._queue(out)
        else:
            out.datagram = b""
            self._start(out, now, True)
        return out

    def _supersede(self, out: Outgoing, message: Message, monitor: Any) -> Outgoing:
        """Let a message take the place of a confirmable one that is queued or in flight."""
        message.mtype = _CON
        out.datagram = _encoded_early(message)
        out.message, out.monitor = message, monitor
        if out.state is _IN_FLIGHT:
            out.state = _SUPERSEDED
            outgoing = out._peer.outgoing
            assert outgoing is not None  # it is in there
            outgoing[~out.mid] = outgoing.pop(out.mid)
        return out

    def _make_way(self, out: Outgoing, now: float) -> None:
        """Queue the successor of a notification that was acknowledged."""
        peer = out._peer
        self._timers.discard(out)
        del peer.outgoing[~out.mid]  # type: ignore[union-attr]
        out.state = _QUEUED
        if peer.queue is None:
            peer.queue = OrderedDict()
        peer.queue[out] = None
        self._leave(out, now)

    def _send_successor(self, out: Outgoing, now: float) -> None:
        """Have the newer notification in flight instead of a superseded one.

        RFC 7641 section 4.5.2, step 4.
        """
        peer, message = out._peer, out.message
        assert peer.outgoing is not None  # it is in there
        assert message is not None  # that is what superseded means
        self._remember_superseded(out, now)
        del peer.outgoing[~out.mid]
        message.mid = out.mid = mid = peer.take_mid(self._random)
        out.datagram = _with_mid(out.datagram, mid)
        out.message = None
        out.state = _IN_FLIGHT
        peer.outgoing[mid] = out

    def _remember_superseded(self, out: Outgoing, now: float) -> None:
        """Go on to listen for a Reset of a notification whose Message ID is given up."""
        superseded = self._superseded
        superseded[out._peer.base + out.mid] = (now + self.tuning.NON_LIFETIME, out)
        if len(superseded) > self.max_listening:
            superseded.popitem(last=False)
        self._wake_by(now + self.tuning.NON_LIFETIME + SWEEP_SLACK)

    def _choose_type(self, message: Message, tuning: TransportTuning) -> Type:
        """Return the type of a message that has none.

        RFC 7252 sections 5.2.3 (responses are as the request was) and 8.1 (groups get no CON).
        """
        if message.remote.is_multicast:  # type: ignore[union-attr]
            return _NON
        request = message.request
        if request is not None and (request.mtype is _CON or request.mtype is _NON):
            # What a context is tuned to is about its own requests.
            own = message.transport_tuning
            if own is None or own.reliability is None:
                return request.mtype
        return _NON if tuning.reliability is False else _CON

    def _is_overloaded(self, peer: Peer) -> bool:
        """Whether nothing more is taken on for a peer because of its requests."""
        return len(self._timers) >= self.max_waiting or (
            peer.queue is not None and len(peer.queue) >= MAX_QUEUED_RESPONSES
        )

    def _start(self, out: Outgoing, now: float, counted: bool = False) -> None:
        """Send a message for the first time.

        Args:
            out: The message.
            now: Monotonic seconds.
            counted: Whether it takes up one of the NSTART places.

        Raises:
            ValueError: The message can not be encoded; nothing has happened then.

        RFC 7252 sections 4.2 and 4.7.
        """
        peer, tuning, message = out._peer, out.tuning, out.message
        assert message is not None  # it was not sent yet
        message.mid = out.mid = mid = peer.take_mid(self._random)
        if out.datagram:
            out.datagram = _with_mid(out.datagram, mid)
        else:
            out.datagram = message.encode()
        out.message = None
        out.state = _IN_FLIGHT
        out.sent = now
        if counted:
            out._counted = True
            peer.outstanding += 1
        if peer.outgoing is None:
            peer.outgoing = {}
        peer.outgoing[out.mid] = out
        self.outbox.append((out.datagram, peer.remote))
        if out.confirmable:
            self._begin_attempts(out, now)
            return
        if out._counted:
            first_timeout = tuning.ACK_TIMEOUT * tuning.ACK_RANDOM_FACTOR
            # Section 4.7 leaves open for how long a response is expected, as long as a silent
            # endpoint gets no more than PROBING_RATE.
            self._wait(out, now + max(first_timeout, len(out.datagram) / tuning.PROBING_RATE))
        if out.monitor is not None:
            self._listen(out)
        elif not out._counted:
            # It had its leisure, and that was all.
            self.cancel(out, now)

    def _begin_attempts(self, out: Outgoing, now: float) -> None:
        """Initialize timeout and retransmission counter (section 4.2)."""
        tuning = out.tuning
        first_timeout = tuning.ACK_TIMEOUT * tuning.ACK_RANDOM_FACTOR
        out.remaining = tuning.MAX_RETRANSMIT
        # Evenly between ACK_TIMEOUT and the above.
        out.timeout = tuning.ACK_TIMEOUT + self._random() * (first_timeout - tuning.ACK_TIMEOUT)
        self._wait(out, now + out.timeout)

    def _listen(self, out: Outgoing) -> None:
        """Wait for a Reset of a message that is not sent again."""
        listening = self._listening
        listening[out] = None
        if len(listening) > self.max_listening:
            self.cancel(next(iter(listening)), out.sent)
        self._wake_by(out.sent + self.tuning.NON_LIFETIME + SWEEP_SLACK)

    def _wait(self, out: Outgoing, deadline: float) -> None:
        self._timers.add(out, deadline)
        if deadline < self.wake:
            self.wake = deadline

    def _wake_by(self, deadline: float) -> None:
        if deadline < self.wake:
            self.wake = deadline

    def cancel(self, out: Outgoing, now: float) -> None:
        """Have done with a message: it is not sent again, and its place goes to the next.

        Args:
            out: A message; it may be cancelled any number of times.
            now: Monotonic seconds.
        """
        peer, state = out._peer, out.state
        if state is _DONE:
            return
        out.state = _DONE
        out.message = out.monitor = None
        if state is _QUEUED:
            del peer.queue[out]  # type: ignore[union-attr]
            # It may have held up others that are content with more company.
            self._advance(peer, now)
            return
        self._timers.discard(out)
        if state is _IN_FLIGHT:
            del peer.outgoing[out.mid]  # type: ignore[union-attr]
            self._listening.pop(out, None)
            self._leave(out, now)
            peer.used = now
        elif state is _SUPERSEDED:
            del peer.outgoing[~out.mid]  # type: ignore[union-attr]
            self._leave(out, now)
            peer.used = now

    def _leave(self, out: Outgoing, now: float) -> None:
        """Give up the place among the NSTART, if there is one."""
        if out._counted:
            out._counted = False
            out._peer.outstanding -= 1
            self._advance(out._peer, now)

    def _advance(self, peer: Peer, now: float) -> None:
        """Start who is next, as long as there are places."""
        while peer.queue:
            following = next(iter(peer.queue))
            if peer.outstanding >= min(following.tuning.NSTART, self.max_waiting):
                return
            del peer.queue[following]
            self._start(following, now, True)

    def abandon(self, remote: EndpointAddress, now: float) -> None:
        """Cancel all messages to an endpoint that can not be reached.

        Args:
            remote: The endpoint.
            now: Monotonic seconds.
        """
        peer = self._peers.get(remote)
        if peer is not None:
            self._abandon(peer, now)

    def _abandon(self, peer: Peer, now: float) -> None:
        # What is queued goes first, so that nothing of it is sent.
        queue, peer.queue = peer.queue, None
        for out in queue or ():
            out.state = _DONE
            out.message = out.monitor = None
        for out in list((peer.outgoing or {}).values()):
            self.cancel(out, now)

    def _meet(self, remote: EndpointAddress, now: float) -> Peer:
        """Begin to know an endpoint."""
        peer = self.endpoints.meet(remote, now)
        # What is remembered expires no earlier than the endpoint that it is from.
        self._wake_by(self.endpoints.sweep_due)
        return peer

    def expects(self, message: Message) -> bool:
        """Whether an acknowledgement or Reset is for a message that is out.

        Only who has received that message can know its ID.

        Args:
            message: An incoming message, before :meth:`receive` takes it in.
        """
        if message.mtype not in (_ACK, _RST):
            return False
        peer = self._peers.get(message.remote)  # type: ignore[arg-type]
        if peer is None or peer.outgoing is None or message.mid is None:
            return False
        return message.mid in peer.outgoing or ~message.mid in peer.outgoing

    # Time

    def tick(self, now: float) -> list[EndpointAddress]:
        """Do what is due.

        Args:
            now: Monotonic seconds.

        Returns:
            Endpoints that left a message unanswered to the end; all messages to them are
            cancelled.

        RFC 7252 section 4.2.
        """
        silent: list[EndpointAddress] = []
        for out in self._timers.pop_due(now):
            if out.state is _DELAYED:
                self._start(out, now)
            elif not out.confirmable:
                # A request that got no response so far; a Reset may still come.
                self._leave(out, now)
                if out not in self._listening:
                    self.cancel(out, now)
            elif not self._retransmit(out, now):
                silent.append(out.remote)
                self._abandon(out._peer, now)
        listening = self._listening
        while listening:
            oldest = next(iter(listening))
            if oldest.sent + self.tuning.NON_LIFETIME > now:
                break
            self.cancel(oldest, now)
        superseded = self._superseded
        while superseded and next(iter(superseded.values()))[0] <= now:
            superseded.popitem(last=False)
        if now >= self.endpoints.sweep_due:
            self.endpoints.sweep(now)
        self._compute_wake()
        return silent

    def _retransmit(self, out: Outgoing, now: float) -> bool:
        """Send a message again whose timeout is over; return False if it has been enough.

        RFC 7252 section 4.2.
        """
        tuning = out.tuning
        if not out.remaining:
            return False
        out.remaining -= 1
        out.timeout *= 2
        if now <= out.sent + tuning.MAX_TRANSMIT_SPAN + _LATENESS:
            if out.state is _SUPERSEDED:
                self._send_successor(out, now)
            self.outbox.append((out.datagram, out.remote))
            self._wait(out, now + out.timeout)
        else:
            # This process slept, and has missed the opportunity; an answer may still be there.
            out.remaining = 0
            self._wait(out, max(out.sent + tuning.MAX_TRANSMIT_WAIT, now + tuning.ACK_TIMEOUT))
        return True

    def _compute_wake(self) -> None:
        """Set :attr:`wake` to when something will be due."""
        deadline = self._timers.next_deadline()
        self.wake = self.endpoints.sweep_due
        if deadline is not None:
            self._wake_by(deadline)
        if self._listening:
            oldest = next(iter(self._listening))
            self._wake_by(oldest.sent + self.tuning.NON_LIFETIME + SWEEP_SLACK)
        if self._superseded:
            self._wake_by(next(iter(self._superseded.values()))[0] + SWEEP_SLACK)

    def is_idle(self) -> bool:
        """Whether nothing is waited for or to be sent, and nobody known."""
        return not (
            self._peers or self._timers or self._listening or self._superseded or self.outbox
        )


def _with_mid(datagram: bytes, mid: int) -> bytes:
    """Return a datagram with another Message ID."""
    return b"%b%b%b" % (datagram[:2], mid.to_bytes(2, "big"), datagram[4:])


def _wants_no_response(request: Message) -> bool:
    """Whether a request is not to be answered, whatever comes of it (RFC 7967 section 2.1)."""
    asked = request.opt.no_response or 0
    return asked & NO_RESPONSE_AT_ALL == NO_RESPONSE_AT_ALL


def _encoded_early(message: Message) -> bytes:
    """Return the datagram of a message that has no Message ID yet."""
    message.mid = 0
    try:
        return message.encode()
    finally:
        message.mid = None

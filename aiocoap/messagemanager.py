"""The hand over the message layer: it feeds the heart, and does what that says.

Here lives :class:`MessageManager`, between a transport for datagrams and the token floor.

The room knows timers; when something is sent again, what is a duplicate and what is answered by
a Reset is decided in :mod:`aiocoap.sansio.reliability`.

RFC 7252 sections 4, 5.2 and 8.
"""

from __future__ import annotations

import logging
import os
from asyncio import get_running_loop
from collections.abc import Callable
from functools import partial
from random import random
from typing import TYPE_CHECKING, Any

from . import interfaces
from ._faults import ConRetransmitsExceeded, UnparsableMessage
from .address import EndpointAddress
from .message import Message
from .numbers.codes import Code
from .numbers.constants import TransportTuning
from .numbers.types import Type
from .sansio.addressproof import AddressProof
from .sansio.reliability import Reliability, Verdict, empty
from .sansio.transmission import Outgoing, State
from .util.logration import LogRation

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

    from .credentials import CredentialsMap

__all__ = ["MessageManager"]

_REQUEST, _RESPONSE, _REPLY, _RESET = (
    Verdict.REQUEST,
    Verdict.RESPONSE,
    Verdict.REPLY,
    Verdict.RESET,
)
_NEVER = float("inf")

MAX_GIVE_UPS = 20
"""Number of endpoints in a minute of which the log says that they do not answer."""


class MessageManager(interfaces.TokenInterface, interfaces.MessageManager):
    """What is between datagrams and messages: types, Message IDs, and all that hangs on them.

    Whoever builds the stack sets :attr:`message_interface` before anything goes through.

    Args:
        token_manager: The floor above.  Its context's ``transport_tuning`` and ``log`` are
            used where there are such.
        tuning: Transmission parameters; None takes the context's, or the defaults.
        loop: The event loop; None takes the running one.

    Attributes:
        malformed_count: Number of datagrams that were no messages.
    """

    def __init__(
        self,
        token_manager: interfaces.TokenManager,
        *,
        tuning: TransportTuning | None = None,
        loop: AbstractEventLoop | None = None,
    ) -> None:
        context = getattr(token_manager, "context", None)
        if tuning is None:
            tuning = getattr(context, "transport_tuning", None) or TransportTuning()
        self.token_manager = token_manager
        self.log: Any = getattr(context, "log", None) or logging.getLogger("coap")
        self.malformed_count = 0
        self._tuning = tuning
        self._heart = Reliability(tuning, random)
        self._loop = loop or get_running_loop()
        # When the one timer goes off; it may be earlier than necessary, never later.
        self._timer: TimerHandle | None = None
        self._armed = _NEVER
        self._silences = LogRation(
            MAX_GIVE_UPS, "More endpoints do not answer; no more are logged in this minute"
        )
        self._message_interface: interfaces.MessageInterface | None = None
        # What every message goes through is looked up once.
        self._time = self._loop.time
        self._receive = self._heart.receive
        self._piggyback = self._heart.piggyback
        self._process_request = token_manager.process_request
        self._send_datagram: Callable[[bytes, EndpointAddress], None] = _discard
        # What goes down to the transport, if the address it goes to may be somebody else's.
        self._send_unguarded = self._send_datagram
        proof: AddressProof | None = getattr(context, "address_proof", None)
        self._proof = (
            proof
            if proof is not None
            else (AddressProof(os.urandom(16), tuning.AMPLIFICATION_FACTOR))
        )
        # Whether all addresses have to be proved or none; None looks at each.
        self._guards = _guards(tuning.ADDRESS_PROOF)

    @property
    def message_interface(self) -> interfaces.MessageInterface:
        """The transport below.

        Raises:
            RuntimeError: There is none yet, or none any more.
        """
        if self._message_interface is None:
            raise RuntimeError("the message manager has no transport")
        return self._message_interface

    @message_interface.setter
    def message_interface(self, message_interface: interfaces.MessageInterface) -> None:
        self._message_interface = message_interface
        self._send_unguarded = self._send_datagram = message_interface.send_datagram
        if self._guards is not False:
            self._send_datagram = self._send_guarded

    @property
    def client_credentials(self) -> CredentialsMap:
        """What to authenticate with as a client: the token floor's."""
        return self.token_manager.client_credentials

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._message_interface!r}>"

    # From below

    def dispatch_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Take in the bytes of one datagram, whatever they are.

        Args:
            datagram: The bytes.
            remote: Where they came from.

        RFC 7252 section 4.2 (a confirmable message with a format error is rejected).
        """
        try:
            message = Message.decode(datagram, remote)
        except UnparsableMessage as problem:
            self._reject_malformed(datagram, remote, problem)
            return
        # What the method for this says, without the call: it is asked for every datagram.
        if remote.is_global if self._guards is None else self._guards:
            self._take_in_unproven(message, len(datagram), self._time())
        self.dispatch_message(message)

    def dispatch_beginning(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Answer a datagram of which only the first bytes were received.

        A request is told to come in blocks, if it is the payload that was cut; all else that is
        confirmable is rejected.

        Args:
            datagram: Its first bytes.
            remote: Where they came from.

        RFC 7252 sections 4.2 and 4.6.
        """
        self.log.debug("A datagram from %s is too large", remote)
        try:
            message = Message.decode(datagram, remote)
        except UnparsableMessage as problem:
            self._reject_malformed(datagram, remote, problem)
            return
        if remote.is_multicast_locally or message.mtype not in (Type.CON, Type.NON):
            return
        now = self._time()
        if self._is_guarded(remote):
            self._take_in_unproven(message, len(datagram), now)
        if not message.code.is_request():
            reset = self._heart.refuse(message) if message.mtype is Type.CON else None
            if reset is not None:
                self._send_datagram(reset, remote)
            return
        verdict, detail = self._receive(message, now)
        self._follow_up()
        if verdict is _REPLY:
            self._send_datagram(detail, remote)
        elif verdict is _REQUEST:
            response = Message(
                code=Code.REQUEST_ENTITY_TOO_LARGE,
                payload=b"Send it in blocks",
                size1=self._tuning.MAX_BODY_SIZE,
            )
            if (message.opt.no_response or 0) & 8:
                response = Message(code=Code.EMPTY)
            response.request, response.token = message, message.token
            response.remote = remote.as_response_address()
            self.send_message(response, None)

    def _is_guarded(self, remote: EndpointAddress) -> bool:
        """Whether a peer has to prove its address."""
        return remote.is_global if self._guards is None else self._guards

    def _take_in_unproven(self, message: Message, size: int, now: float) -> None:
        """Take note of how much may be sent in return for a message, and of proofs in it.

        RFC 9175 sections 2.3 and 2.4.
        """
        remote, proof = message.remote, self._proof
        assert remote is not None  # incoming messages have one
        message.response_limit = proof.receive(remote, size, now)
        if message.response_limit is None:
            return
        if 0 < message.code < 32:
            echo = message.opt.echo
            if echo is not None and proof.check(remote, echo, now):
                message.response_limit = None
        elif self._heart.expects(message):
            proof.confirm(remote, now)

    def _send_guarded(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Send a datagram, unless it could be too much for a victim of spoofing."""
        if (remote.is_global if self._guards is None else self._guards) and not (
            self._proof.spend(remote, len(datagram), self._time())
        ):
            self.log.debug("%s has to prove its address before it is sent more", remote)
            return
        self._send_unguarded(datagram, remote)

    def _reject_malformed(
        self, datagram: bytes, remote: EndpointAddress, problem: Exception
    ) -> None:
        """Answer what is no message but would have been a confirmable one.

        Everything else is silence: other versions (section 3), and all that came by multicast
        (section 8.1).
        """
        if self._is_guarded(remote):
            self._proof.receive(remote, len(datagram), self._time())
        self.malformed_count += 1
        self.log.debug("Malformed datagram from %s: %s", remote, problem)
        if len(datagram) >= 4 and datagram[0] & 0xF0 == 0x40 and not remote.is_multicast_locally:
            self._send_datagram(empty(Type.RST, datagram[2] << 8 | datagram[3]), remote)

    def dispatch_message(self, message: Message) -> None:
        """Take in a decoded message.

        Args:
            message: It has a type, a Message ID and a remote.

        RFC 7252 sections 4.2 to 4.5.
        """
        now = self._time()
        verdict, detail = self._receive(message, now)
        if verdict is _REQUEST:
            if self._heart.wake < self._armed:
                self._arm()
            self._process_request(message)
        elif verdict is _REPLY:
            assert message.remote is not None  # as promised
            self._send_datagram(detail, message.remote)
        else:
            # An answer may have made room for what was queued.
            self._follow_up()
            if verdict is _RESPONSE:
                self._process_response(message, now)
            elif verdict is _RESET and detail is not None:
                detail()

    def _process_response(self, response: Message, now: float) -> None:
        """Hand up a response, and acknowledge or reject it."""
        if self.token_manager.process_response(response):
            reply = self._heart.accept(response, now)
            if self._heart.wake < self._armed:
                self._arm()
        else:
            reply = self._heart.refuse(response)
        if reply is not None:
            assert response.remote is not None  # as promised
            self._send_datagram(reply, response.remote)

    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None:
        """Take note that an endpoint can not be reached: whatever waits for it fails.

        Args:
            errno: An exception, or an error number of the operating system.
            remote: The endpoint.

        RFC 7252 section 4.2 (ICMP errors).
        """
        self._heart.abandon(remote, self._time())
        self.token_manager.dispatch_error(errno, remote)

    # From above

    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        """Send a message, with the type and Message ID that it needs.

        A response is piggybacked if its request waits for its acknowledgement; a request that
        came by multicast is answered at a random time.

        Args:
            message: A request or response with remote and token.  Its Message ID is set when it
                leaves, which is later where it is queued.  ``request`` of a response is the
                message that ``process_request`` was called with.  An empty response (RFC 7967:
                there is none) just acknowledges the request.
            messageerror_monitor: Called at most once, when the peer rejects this very message.

        Returns:
            A function to call when the message need not be sent (again) any more, or None
            where there is nothing to stop.

        Raises:
            ValueError: The message can not be encoded, or is confirmable and goes to a group.

        RFC 7252 sections 4.2, 5.2 and 8.2.
        """
        request = message.request
        delay = 0.0
        if request is not None:
            datagram = self._piggyback(message)
            if datagram is not None:
                self._send_datagram(datagram, message.remote)  # type: ignore[arg-type]
                return None
            if not message.code:
                return None
            delay = self._prepare_own_message(request)
        elif message.remote.is_global if self._guards is None else self._guards:  # type: ignore[union-attr]
            # Nobody but the application chose to send there.
            self._proof.confirm(message.remote, self._time())  # type: ignore[arg-type]
        taken = self._heart.send(message, messageerror_monitor, self._time(), delay)
        if type(taken) is bytes:
            self._send_datagram(taken, message.remote)  # type: ignore[arg-type]
        self._follow_up()
        return partial(self._cancel, taken) if type(taken) is Outgoing else None

    def ping(self, remote: EndpointAddress, pong: Callable[[], None]) -> Callable[[], None] | None:
        """Send an empty confirmable message: an endpoint that is there rejects it.

        Args:
            remote: An address of the transport.
            pong: Called at most once, when the Reset comes.

        Returns:
            A function to call when it is not waited for any more.

        Raises:
            ConToMulticast: It is the address of a group.

        RFC 7252 section 4.3.
        """
        message = Message(code=Code.EMPTY, mtype=Type.CON)
        message.remote = remote
        return self.send_message(message, pong)

    def send_notification(
        self,
        message: Message,
        messageerror_monitor: Callable[[], None] | None,
        former: Callable[[], None] | None,
        *,
        is_confirmable: bool = False,
    ) -> Callable[[], None] | None:
        """Send a response after the first one, in place of the one before.

        Args:
            message: As for :meth:`send_message`.
            messageerror_monitor: Called when the peer rejects this message or one before.
            former: What this method or :meth:`send_message` returned for the response before.
            is_confirmable: Whether it is to be confirmable, whatever else speaks against it.

        Returns:
            A function to call when the message need not be sent (again) any more.

        Raises:
            ValueError: The message can not be encoded.

        RFC 7641 section 4.5.
        """
        remote = message.remote
        assert remote is not None  # it was filled in above
        if is_confirmable or (
            self._is_guarded(remote) and not self._proof.is_proven(remote, self._time())
        ):
            # An acknowledgement is a proof (RFC 7641 section 7, RFC 9175 section 2.4).
            message.mtype = Type.CON
        # It is one of ours.
        out: Outgoing | None = None if former is None else former.args[0]  # type: ignore[attr-defined]
        taken = self._heart.notify(message, messageerror_monitor, self._time(), out)
        self._follow_up()
        return former if taken is out else partial(self._cancel, taken)

    def _prepare_own_message(self, request: Message) -> float:
        """Acknowledge the request of a response that is not piggybacked, if need be.

        Returns:
            Seconds that the response waits: the leisure of RFC 7252 section 8.2.
        """
        remote = request.remote
        assert remote is not None  # requests come from somewhere
        acknowledgement = self._heart.acknowledge(request)
        if acknowledgement is not None:
            self._send_datagram(acknowledgement, remote)
        return random() * self._tuning.DEFAULT_LEISURE if remote.is_multicast_locally else 0.0

    def _cancel(self, out: Outgoing) -> None:
        """Have done with a message; what :meth:`send_message` returns is this."""
        if out.state is not State.DONE:
            self._heart.cancel(out, self._time())
            self._follow_up()

    def owns(self, remote: EndpointAddress) -> bool:
        """Whether an address is one of the transport's."""
        return self.message_interface.recognize_remote(remote)

    async def resolve(self, message: Message) -> EndpointAddress | None:
        """Return where a request goes, or None where that is not for the transport.

        Raises:
            ResolutionError: The name can not be resolved.
        """
        # What has been resolved, but not here, is not for here.
        return (
            None if message.is_resolved else await self.message_interface.determine_remote(message)
        )

    @property
    def schemes(self) -> frozenset[str] | None:
        """URI schemes that requests by the transport have."""
        return self.message_interface.schemes

    def resolve_now(self, message: Message) -> EndpointAddress | None:
        """Return where a request goes, if that needs no waiting.

        Raises:
            ResolutionError: The name can not be resolved.
        """
        return None if message.is_resolved else self.message_interface.determine_remote_now(message)

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that requests can be sent to from outside, or None where there is none."""
        return self.message_interface.bound_address

    async def shutdown(self) -> None:
        """Close for good: nothing is sent any more, and what comes in late is not heard."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Handlers may still answer, and requests be cancelled; it does nothing any more.
        self._armed = -_NEVER
        self._receive = _ignore
        self._send_datagram = self._send_unguarded = _discard
        message_interface, self._message_interface = self._message_interface, None
        if message_interface is not None:
            await message_interface.shutdown()

    # Time

    def _follow_up(self) -> None:
        """Send what is to be sent, and see to it that the timer goes off in time."""
        heart = self._heart
        outbox = heart.outbox
        while outbox:
            self._send_datagram(*outbox.popleft())
        if heart.wake < self._armed:
            self._arm()

    def _arm(self) -> None:
        """Set the timer to an earlier time."""
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self._heart.wake
        self._timer = self._loop.call_at(self._armed, self._tick)

    def _tick(self) -> None:
        """Do what is due."""
        # Loops call a little early, by the resolution of their clock.
        now = max(self._time(), self._armed)
        self._timer = None
        self._armed = _NEVER
        silent = self._heart.tick(now)
        self._follow_up()
        for remote in silent:
            self._log_silence(remote, now)
            self.token_manager.dispatch_error(
                ConRetransmitsExceeded(f"no acknowledgement from {remote.hostinfo}"), remote
            )

    def _log_silence(self, remote: EndpointAddress, now: float) -> None:
        """Log that an endpoint does not answer, unless strangers make it happen all the time.

        Args:
            remote: The endpoint; it may be one that never asked for what was sent there.
            now: Monotonic seconds.
        """
        self._silences.log(now, self.log.info, "No answer from %s, giving up", remote)


def _guards(setting: str) -> bool | None:
    """Return whether all addresses have to be proved, none (False), or it depends (None).

    Raises:
        ValueError: TransportTuning.ADDRESS_PROOF is something else.
    """
    try:
        return {"global": None, "all": True, "none": False}[setting]
    except KeyError:
        raise ValueError(f"ADDRESS_PROOF is 'global', 'all' or 'none', not {setting!r}") from None


def _ignore(message: Message, now: float) -> tuple[Verdict, Any]:
    """Take no notice of a message: there is no transport."""
    return (Verdict.IGNORE, None)


def _discard(datagram: bytes, remote: EndpointAddress) -> None:
    """Send nothing: there is no transport."""

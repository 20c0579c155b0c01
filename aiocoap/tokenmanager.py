"""The token floor: requests become pipes, and responses find theirs.

Here live :class:`TokenManager`, one for each transport of a context, and the name
:class:`PlumbingRequest`, under which the pipe is documented.

The room knows no Message IDs and no blocks, and of types only which responses the client has
confirmed; which request a response belongs to is decided in :mod:`aiocoap.sansio.matching`.

RFC 7252 sections 5.3 (matching), 5.4.1 (critical options in responses) and 8.2 (multicast), RFC
7641 sections 3.6 and 4.1 (the token of an observation) and 4.5 (who is still there), RFC 7967
(responses that are not sent).

Waiting
-------

A request that nothing comes back for ends in :class:`~aiocoap.error.RequestTimedOut` after
REQUEST_TIMEOUT.  The time counts from when the request has left for the network: one that is
queued because of NSTART others to the same endpoint is looked at now and then, and its time
begins at the first look that finds it gone.  For a confirmable request that nobody acknowledges
the message layer's own end of patience comes first (MAX_TRANSMIT_WAIT from the first
transmission, at the latest).  An acknowledgement does not begin the time anew, as this floor
does not see any; where only the last transmission was received, there are still MAX_TRANSMIT_WAIT
less MAX_TRANSMIT_SPAN to answer it, 48 seconds with the default parameters.  The first response
ends the waiting: observations stay open as long as somebody listens.

The members of a group have GROUP_TIMEOUT from when the request has left, and a request that
somebody still listens to ends then in :class:`~aiocoap.error.RequestTimedOut` in any case.  An
observation goes on with the member that answered first.

Bounds
------

Strangers can make the tables of incoming requests grow.  There are at most ``MAX_INCOMING``
requests in work; what is beyond is answered by 5.03.  At most ``observerlist.MAX_OBSERVERS`` of
them may stay open after the first response; the others are answered once, without Observe, which
tells the client that it is not observing (RFC 7641 section 4.1).  Of a group,
``outgoingrequest.MAX_RESPONDERS`` members may answer a request, each of them once; further
responses are rejected.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import error, interfaces
from .address import EndpointAddress, UndecidedRemote
from .incomingrequest import IncomingRequest
from .message import Message
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .numbers.types import CON, NON
from .observerlist import ObserverList
from .outgoingrequest import OutgoingRequest
from .pipe import Phase, Pipe, PlumbingRequest
from .sansio.deadlines import Deadlines
from .sansio.matching import Matching
from .sansio.observation import is_notification
from .util.logration import LogRation

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, TimerHandle
    from logging import Logger
    from typing import Protocol

    from .credentials import CredentialsMap
    from .numbers.constants import TransportTuning

    class _Context(Protocol):
        """What is used of a context, which stands two floors above."""

        loop: AbstractEventLoop
        log: Logger
        transport_tuning: TransportTuning
        client_credentials: CredentialsMap
        server_credentials: CredentialsMap

        def render_to_plumbing_request(self, plumbing_request: Pipe) -> None: ...


__all__ = ["PlumbingRequest", "TokenManager"]

MAX_INCOMING = 32_768
"""Number of incoming requests that may be in work at the same time."""

MAX_ENCODING_ERRORS = 20
"""Number of responses that can not be encoded that go to the log in a minute at most."""

_QUEUE_LOOKS = 8
# How often in REQUEST_TIMEOUT a request is looked at while it is queued.

_ETAG, _OSCORE = int(OptionNumber.ETAG), int(OptionNumber.OSCORE)

# The critical options of responses that somebody above acts on; who protects a request acts on
# one more.
_is_handled = frozenset((OptionNumber.BLOCK1, OptionNumber.BLOCK2)).__contains__
_is_handled_if_protected = frozenset(
    (OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OSCORE)
).__contains__


class TokenManager(interfaces.RequestInterface, interfaces.TokenManager):
    """The requests of one transport: those of our own, and those of others.

    Args:
        context: The context; it answers requests, and has loop, log, tuning and credentials.

    Attributes:
        token_interface: The floor below, set when the house is put together.
        outgoing_requests: Unfinished requests of our own, a
            :class:`~aiocoap.sansio.matching.Matching` by token and remote.
        incoming_requests: Unfinished requests of others, by token and remote.
        observers: Those of them that stay open.
    """

    token_interface: interfaces.TokenInterface

    def __init__(self, context: _Context) -> None:
        self.context = context
        self.log = context.log
        self._loop = context.loop
        self.outgoing_requests: Matching[OutgoingRequest] = Matching(os.urandom)
        self.incoming_requests: dict[tuple[bytes, EndpointAddress], IncomingRequest] = {}
        self.observers = ObserverList(context)
        self.timers: Deadlines[OutgoingRequest] = Deadlines()
        self._timer: TimerHandle | None = None
        self._wake = float("inf")
        # Who is asked for a sign of life, and who waits for it.
        self._pings: list[tuple[EndpointAddress, Future[None]]] = []
        self._failures = LogRation(
            MAX_ENCODING_ERRORS, "More responses fail; no more of them are logged in this minute"
        )
        self._is_shut_down = False

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}, {len(self.outgoing_requests)} outgoing and "
            f"{len(self.incoming_requests)} incoming request(s), "
            f"over {getattr(self, 'token_interface', None)!r}>"
        )

    @property
    def round(self) -> int:
        """Times that it was looked for observers that have to confirm that they are there."""
        return self.observers.round

    @property
    def client_credentials(self) -> CredentialsMap:
        """What to authenticate with as a client."""
        return self.context.client_credentials

    @property
    def server_credentials(self) -> CredentialsMap:
        """What to authenticate with, and to accept, as a server."""
        return self.context.server_credentials

    @property
    def transport_tuning(self) -> TransportTuning:
        """Parameters of transmission."""
        return self.context.transport_tuning

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that requests can be sent to from outside, or None where there is none."""
        return self.token_interface.bound_address

    @property
    def bound_uris(self) -> list[str]:
        """Scheme and authority of what requests can be sent to from outside."""
        return self.token_interface.bound_uris

    async def fill_or_recognize_remote(self, message: Message) -> bool:
        """Make the message's remote an address of this transport, if it is for it.

        Args:
            message: A request.

        Returns:
            Whether ``message.remote`` is an address of this transport now.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: No connection can be made.
        """
        return await self.token_interface.fill_or_recognize_remote(message)

    def fill_or_recognize_remote_now(self, message: Message) -> bool:
        """Make the message's remote an address of this transport, if that needs no waiting.

        Args:
            message: A request.

        Returns:
            Whether it is one now.

        Raises:
            ResolutionError: The name can not be resolved.
        """
        below = self.token_interface
        remote = message.remote
        if remote is None or type(remote) is UndecidedRemote or not below.owns(remote):
            remote = below.resolve_now(message)
            if remote is None:
                return False
            message.remote = remote
        return True

    def declines(self, message: Message) -> bool:
        """Whether a request has a scheme that is not for this transport.

        Args:
            message: A request.
        """
        schemes = self.token_interface.schemes
        return (
            schemes is not None and (message.remote or message.destination()).scheme not in schemes
        )

    async def shutdown(self) -> None:
        """Close for good; every open pipe ends, those of our own with ``LibraryShutdown``."""
        self._is_shut_down = True
        for sent in self.outgoing_requests:
            sent.fail(error.LibraryShutdown())
        for _, answer in self._pings:
            self._fail_ping(answer, error.LibraryShutdown())
        await self.token_interface.release()
        for received in list(self.incoming_requests.values()):
            received.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.observers.close()
        await self.token_interface.shutdown()

    # Requests of others

    def process_request(self, request: Message) -> None:
        """Have a request answered by the context.

        One with the token of another that is still open takes its place, or renews it if it is
        equal (RFC 7641 section 4.1: it is the same entry in the list of observers).

        Args:
            request: A request that is no duplicate.
        """
        incoming = self.incoming_requests
        key = (request.token, request.remote)
        if len(incoming) >= MAX_INCOMING and key not in incoming:
            self._refuse(request)
            return
        pipe = IncomingRequest(self, request, key)  # type: ignore[arg-type]
        present = incoming.setdefault(pipe.key, pipe)
        if present is not pipe:
            if present.is_observing and present.renew(request):
                return
            present.end()
            incoming[pipe.key] = pipe
        self.context.render_to_plumbing_request(pipe)

    def _refuse(self, request: Message) -> None:
        """Answer a request that there is no room for (RFC 7252 section 5.9.3.4)."""
        refusal = Message(code=Code.SERVICE_UNAVAILABLE)
        assert request.remote is not None  # incoming messages have one
        suppressed = (request.opt.no_response or 0) & 16
        if request.remote.is_multicast_locally or suppressed:
            refusal = Message(code=Code.EMPTY)
        self.send_response(request, refusal)

    def send_response(
        self, request: Message, response: Message, monitor: Callable[[], None] | None = None
    ) -> tuple[Message, Callable[[], None] | None]:
        """Send a response to where its request came from.

        Args:
            request: The very message that came in.
            response: The response, or what only acknowledges the request.
            monitor: Called if the client rejects the response.

        Returns:
            What was sent (5.00, where the response can not be encoded), and how to stop it.
        """
        response.request = request
        response.remote = request.remote.as_response_address()  # type: ignore[union-attr]
        response.token = request.token
        try:
            return response, self.token_interface.send_message(response, monitor)
        except (ValueError, TypeError) as problem:
            return self._send_substitute(request, response, problem)

    def send_notification(
        self,
        request: Message,
        response: Message,
        monitor: Callable[[], None] | None,
        former: Callable[[], None] | None,
        is_confirmable: bool,
    ) -> tuple[Message, Callable[[], None] | None]:
        """Send a response after the first one, in place of the one before.

        Args:
            request: The very message that came in.
            response: The response.
            monitor: Called if the client rejects the response.
            former: How to stop the one before.
            is_confirmable: Whether the client has to confirm it.

        Returns:
            What was sent (5.00, where the response can not be encoded), and how to stop it.
        """
        response.request = request
        response.remote = request.remote.as_response_address()  # type: ignore[union-attr]
        response.token = request.token
        try:
            return response, self.token_interface.send_notification(
                response, monitor, former, is_confirmable=is_confirmable
            )
        except (ValueError, TypeError) as problem:
            if former is not None:
                former()
            return self._send_substitute(request, response, problem)

    def _send_substitute(
        self, request: Message, response: Message, problem: BaseException
    ) -> tuple[Message, Callable[[], None] | None]:
        """Send 5.00 instead of a response that can not be encoded."""
        self.log_failure("Response %r can not be sent", response, problem)
        substitute = Message(code=Code.INTERNAL_SERVER_ERROR, token=request.token)
        substitute.request, substitute.remote = request, response.remote
        return substitute, self.token_interface.send_message(substitute, None)

    def log_failure(self, text: str, about: object, problem: BaseException) -> None:
        """Log a bug of whoever answers requests, unless strangers make it happen all the time.

        Args:
            text: Format string with one place.
            about: What goes there.
            problem: What was raised.
        """
        self._failures.log(self._loop.time(), self.log.error, text, about, exc_info=problem)

    def begin_observation(self, request: IncomingRequest, response: Message) -> bool:
        """Keep an incoming request open after its first response, if there is room.

        Args:
            request: The request.
            response: Its first response; without room it becomes one to a plain request.

        Returns:
            Whether there is room.
        """
        if not self.observers.add(request):
            response.opt.observe = None
            return False
        request.begin()
        return True

    def forget(self, request: IncomingRequest) -> None:
        """Take an incoming request out of all tables."""
        del self.incoming_requests[request.key]
        if request.is_observing:
            self.observers.remove(request)

    # Requests of our own

    def next_token(self) -> bytes:
        """Return a token that no unfinished request has, and that none had for long."""
        return self.outgoing_requests.next_token()

    def request(self, request: Pipe) -> None:
        """Send a pipe's request, and put into the pipe what comes back.

        Token and Message ID of the message are set; of one that has a token, a copy is sent.

        Args:
            request: A pipe; the remote of its request is an address of this transport.
        """
        if self._is_shut_down:
            request.add_exception(error.LibraryShutdown())
            return
        message = request.request
        matching = self.outgoing_requests
        token = message.token
        if not token:
            message.token = token = matching.next_token()
        elif not request.keeps_token:
            # It was sent before, and perhaps still is: its token must not change under way.
            message = request.request = message.copy(token=b"")
            message.token = token = matching.next_token()
        remote = message.remote
        assert remote is not None  # it has been filled in
        message.mid = None
        is_group = remote.is_multicast
        if is_group and message.code == Code.GET and _ETAG in message.opt:
            # What is one member's may be anything to another (RFC 7252 section 8.2.1).
            message = request.request = message.copy(etags=())
        sent = OutgoingRequest(self, request, token, is_group)
        matching.add(token, None if is_group else remote, sent)
        request.on_interest_end(sent.end)
        if request.phase is Phase.ENDED:
            return
        try:
            sent.stop = self.token_interface.send_message(message, sent.reject)
        except (ValueError, TypeError) as problem:
            reason = problem if message.code is not None else "it has no code, such as GET"
            failure = error.Error(f"the request can not be sent: {reason}")
            failure.__cause__ = problem
            request.add_exception(failure)
            return
        tuning = message.transport_tuning or self.context.transport_tuning
        sent.timeout = timeout = tuning.GROUP_TIMEOUT if is_group else tuning.REQUEST_TIMEOUT
        if sent.is_queued():
            sent.was_queued = True
            timeout /= _QUEUE_LOOKS
        deadline = self._loop.time() + timeout
        self.timers.add(sent, deadline)
        if deadline < self._wake:
            self._arm(deadline)

    def listen(self, request: Pipe) -> None:
        """Put into a pipe the notifications that still come for a request sent before.

        Args:
            request: A pipe; its request has the remote and the token that it was sent with, and
                the pipe of that has ended.
        """
        if self._is_shut_down:
            request.add_exception(error.LibraryShutdown())
            return
        message = request.request
        assert message.remote is not None  # it has been sent
        sent = OutgoingRequest(self, request, message.token, False)
        sent.is_answered = True
        self.outgoing_requests.add(message.token, message.remote, sent)
        request.on_interest_end(sent.end)

    async def ping(self, remote: EndpointAddress) -> None:
        """Ask an endpoint for a sign of life, and wait for it.

        Args:
            remote: An address of this transport.

        Raises:
            Error: There was none within REQUEST_TIMEOUT (``RequestTimedOut``) or the endpoint
                can not be reached, the transport has no way to ask, or is shut down.

        RFC 7252 section 4.3.
        """
        if self._is_shut_down:
            raise error.LibraryShutdown
        answer: Future[None] = self._loop.create_future()

        def pong() -> None:
            if not answer.done():
                answer.set_result(None)

        stop = self.token_interface.ping(remote, pong)
        self._pings.append((remote, answer))
        timeout = self.context.transport_tuning.REQUEST_TIMEOUT
        # It is the message floor that runs out of patience, unless the message is kept back.
        patience = self._loop.call_later(timeout, self._fail_ping, answer)
        try:
            await answer
        finally:
            patience.cancel()
            self._pings.remove((remote, answer))
            if stop is not None:
                stop()

    def _fail_ping(self, answer: Future[None], problem: error.Error | None = None) -> None:
        if not answer.done():
            answer.set_exception(problem or error.RequestTimedOut("no answer to a ping"))

    def _arm(self, deadline: float) -> None:
        """Set the one timer.

        It is not set back when the request that it was for is done: it looks for the next one
        when it goes off.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._wake = deadline
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """Give up the requests that have waited for too long."""
        self._timer = None
        # A loop may wake its timers early, by its clock's resolution.
        now, self._wake = self._wake, float("inf")
        now = max(now, self._loop.time())
        for sent in list(self.timers.pop_due(now)):
            if sent.is_queued():
                sent.was_queued = True
                self.timers.add(sent, now + sent.timeout / _QUEUE_LOOKS)
            elif sent.was_queued:
                sent.was_queued = False
                self.timers.add(sent, now + sent.timeout)
            else:
                sent.close()
        deadline = self.timers.next_deadline()
        if deadline is not None and not self._is_shut_down:
            self._arm(deadline)

    def process_response(self, response: Message) -> bool:
        """Put a response into the pipe of its request.

        Args:
            response: A message with a response code.

        Returns:
            False where nobody waits for it, where it has a critical option that nobody acts on,
            or where it is the second of one member of a group: then it is to be rejected.

        RFC 7252 sections 5.3.2 and 5.4.1.
        """
        sent = self.outgoing_requests.find(response.token, response.remote)  # type: ignore[arg-type]
        if sent is None:
            self.log.debug("Nobody waits for %r", response)
            return False
        pipe = sent.pipe
        assert pipe is not None  # it has not ended, or it would not be found
        refused = response.opt.unusable_critical(_is_handled)
        if refused == _OSCORE and _OSCORE in pipe.request.opt:
            refused = response.opt.unusable_critical(_is_handled_if_protected)
        if refused:
            self._reject(sent, response, refused)
            return False
        response.request = pipe.request
        is_last = not (sent.observes and is_notification(response))
        if sent.is_group:
            if not sent.admits(response.remote):
                self.log.debug("A member of the group has answered before: %r", response)
                return False
            sent.is_answered, is_last = True, False
        elif not (is_last or sent.is_answered):
            if pipe.request.opt.observe:
                # It is from before the server knew that nobody observes any more.
                self.log.debug("Nobody waits for the notification %r", response)
                return False
            sent.is_answered = True
            sent.settle()
        pipe.add_response(response, is_last)
        return True

    def _reject(self, sent: OutgoingRequest, response: Message, refused: int) -> None:
        """Take note that a response can not be made use of.

        It is as if it had not come.  Where the server takes it for delivered, there is nothing to
        wait for, though: a piggybacked response is never sent in another message, and on a
        connection there is no other way to reject it.

        Args:
            sent: The request.
            response: The response.
            refused: The number of its critical option.

        RFC 7252 sections 4.2 and 5.4.1.
        """
        self.log.debug("Option %d of %r is critical and unknown", refused, response)
        if not (sent.is_answered or response.mtype is CON or response.mtype is NON):
            option = OptionNumber(refused)
            problem = f"{option} in the response is critical, and can not be acted on"
            sent.fail(error.NotImplemented(problem))

    # Who is of interest

    def awaits_response(self, remote: EndpointAddress) -> bool:
        """Whether a request to an endpoint has not been answered yet."""
        return any(not sent.is_answered for sent in self.outgoing_requests.waiting_for(remote))

    def is_interested_in(self, remote: EndpointAddress) -> bool:
        """Whether requests or observations, of either side, are open with an endpoint."""
        return remote in self.observers or bool(self.outgoing_requests.waiting_for(remote))

    # Trouble

    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None:
        """Take note that nothing will come from an endpoint any more.

        Our requests to it fail, and its observations end (or their observers are asked whether
        they are still there, if that was not asked yet).  What it asked for and what is being
        worked on is finished; if the endpoint comes back, it may ask for the result.

        Args:
            errno: An exception, or an error number of the operating system.
            remote: The endpoint.
        """
        waiting = self.outgoing_requests.waiting_for(remote)
        if remote.is_multicast:
            waiting += [
                sent
                for sent in self.outgoing_requests
                if sent.pipe is not None and sent.is_group and sent.pipe.request.remote == remote
            ]
        pings = [answer for pinged, answer in self._pings if pinged == remote]
        if waiting or pings:
            problem = _network_error(errno)
            for sent in waiting:
                sent.fail(problem)
            for answer in pings:
                self._fail_ping(answer, problem)
        # Nobody comes back by a connection that is closed (RFC 8323 section 7.4).
        is_final = isinstance(errno, (error.TimeoutError, error.RemoteServerShutdown))
        for received in self.observers.of(remote):
            if is_final or received.is_lost():
                received.end()


def _network_error(problem: int | Exception) -> error.Error:
    """Return what a request fails with; what it stems from is its cause."""
    if isinstance(problem, int):
        problem = OSError(problem, os.strerror(problem))
    if isinstance(problem, error.Error):
        return problem
    failure = error.NetworkError(
        problem.strerror or str(problem) if isinstance(problem, OSError) else str(problem)
    )
    failure.__cause__ = problem
    return failure

"""Who may call whom: the contracts between the floors.

Here live base classes without behaviour, for transports, for the managers of messages and
tokens, for whoever requests and for whoever answers.

The room knows messages, addresses and pipes; it knows no implementation.

RFC 7252 section 2 (the two layers), section 4 (messages), section 5 (requests).

From the wire upwards::

    MessageInterface  <->  MessageManager   datagrams   (UDP, DTLS)
    TokenInterface    <->  TokenManager     messages    (a MessageManager; TCP, TLS, WebSockets)
    RequestInterface  <->  Context          pipes       (a TokenManager; OSCORE)
    Resource          <-   Context          requests    (the application)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ._faults import Error
from .address import EndpointAddress
from .message import Message
from .numbers.constants import TransportTuning
from .pipe import Pipe
from .util import hostportjoin

if TYPE_CHECKING:
    from asyncio import Future

    from .credentials import CredentialsMap

__all__ = [
    "EndpointAddress",
    "MessageInterface",
    "MessageManager",
    "ObservableResource",
    "Request",
    "RequestInterface",
    "RequestProvider",
    "Resource",
    "ServerObservation",
    "TokenInterface",
    "TokenManager",
]


class MessageInterface(ABC):
    """Something that datagrams go in and out of, such as a UDP socket.

    It is driven by a :class:`MessageManager`, which it calls back with what comes in.
    """

    schemes: frozenset[str] | None = None
    """URI schemes that requests by this interface have; None where that is not known before."""

    def send(self, message: Message) -> None:
        """Send a message whose type and Message ID are set, once.

        Args:
            message: Its ``remote`` belongs to this interface.

        Raises:
            ValueError: The message can not be encoded.
        """
        assert message.remote is not None  # only managers call this, with resolved messages
        self.send_datagram(message.encode(), message.remote)

    @abstractmethod
    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Send encoded bytes, once.

        What goes wrong in the network is reported by the manager's ``dispatch_error``, never
        raised, and never reported from within this call.

        Args:
            datagram: One message.
            remote: An address of this interface.
        """

    @abstractmethod
    async def determine_remote(self, message: Message) -> EndpointAddress | None:
        """Resolve where a request goes.

        Args:
            message: A request; ``message.destination()`` says scheme, host and port.

        Returns:
            An address of this interface, or None where the scheme or the kind of host is not
            for it.

        Raises:
            ResolutionError: The name can not be resolved.
        """

    def determine_remote_now(self, message: Message) -> EndpointAddress | None:
        """Resolve where a request goes, if that needs no waiting.

        Args:
            message: A request.

        Returns:
            An address of this interface, or None where :meth:`determine_remote` is to be asked.

        Raises:
            ResolutionError: The name can not be resolved.
        """
        return None

    @abstractmethod
    def recognize_remote(self, remote: EndpointAddress) -> bool:
        """Whether an address is one of this interface's."""

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that requests can be sent to from outside, or None where there is none."""
        return None

    @abstractmethod
    async def shutdown(self) -> None:
        """Close for good; afterwards no reference leads from the event loop to here."""


class MessageManager(ABC):
    """What a :class:`MessageInterface` may call."""

    @abstractmethod
    def dispatch_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Take in the bytes of one datagram, whatever they are.

        Args:
            datagram: The bytes.
            remote: Where they came from.
        """

    def dispatch_beginning(self, datagram: bytes, remote: EndpointAddress) -> None:  # noqa: B027
        """Take in what a datagram begins with that is too large to be received whole.

        Nothing comes of it unless this is overridden.

        Args:
            datagram: The first bytes of it.
            remote: Where they came from.

        RFC 7252 section 4.6.
        """

    @abstractmethod
    def dispatch_message(self, message: Message) -> None:
        """Take in a decoded message.

        Args:
            message: It has a type, a Message ID and a remote.
        """

    @abstractmethod
    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None:
        """Take note that an endpoint can not be reached, as ICMP or the system says.

        Args:
            errno: An exception (:class:`aiocoap.error.NetworkError` by preference), or an
                error number of the operating system.
            remote: The endpoint.
        """

    @property
    @abstractmethod
    def client_credentials(self) -> CredentialsMap:
        """What to authenticate with as a client."""


class TokenInterface(ABC):
    """Something that messages go in and out of, with types and Message IDs left to it."""

    @property
    def schemes(self) -> frozenset[str] | None:
        """URI schemes that requests by this interface have; None where that is not known before."""
        return None

    @abstractmethod
    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        """Send a message, reliably where it asks for that.

        Args:
            message: A request or response with remote and token.  The No-Response option of a
                response has been taken off by the responder.
            messageerror_monitor: Called at most once, when the peer rejects this very message
                (a Reset; RFC 7641 section 3.6).  Troubles that are not about one message are
                told by ``dispatch_error``.

        Returns:
            A function to call when the message need not be sent (again) any more, or None
            where there is nothing to stop.

        Raises:
            ValueError: The message can not be encoded.
        """

    def ping(self, remote: EndpointAddress, pong: Callable[[], None]) -> Callable[[], None] | None:
        """Ask an endpoint for a sign of life, reliably.

        Args:
            remote: An address of this interface.
            pong: Called at most once, when it has given one.  That it gave none is told by
                ``dispatch_error``.

        Returns:
            A function to call when the answer is not waited for any more, or None where there
            is nothing to stop.

        Raises:
            Error: There is no way to ask; it is so unless an interface says otherwise.
        """
        raise Error("endpoints of this transport can not be pinged")

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
            is_confirmable: Whether the peer has to confirm the message, where it could be sent
                in a way that does not ask for that.

        Returns:
            A function to call when the message need not be sent (again) any more, or None
            where there is nothing to stop; whatever the former one would have stopped is
            settled.

        Raises:
            ValueError: The message can not be encoded.

        RFC 7641 section 4.5.
        """
        if former is not None:
            former()
        return self.send_message(message, messageerror_monitor)

    @abstractmethod
    def owns(self, remote: EndpointAddress) -> bool:
        """Whether an address is one of this interface's."""

    @abstractmethod
    async def resolve(self, message: Message) -> EndpointAddress | None:
        """Return where a request goes, or None where that is not for this interface.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: No connection can be made.
        """

    def resolve_now(self, message: Message) -> EndpointAddress | None:
        """Return where a request goes, if that needs no waiting.

        It is None where :meth:`resolve` is to be asked.

        Raises:
            ResolutionError: The name can not be resolved.
        """
        return None

    async def fill_or_recognize_remote(self, message: Message) -> bool:
        """Make the message's remote an address of this interface, if it is for it.

        Args:
            message: A request.

        Returns:
            Whether ``message.remote`` is an address of this interface now.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: No connection can be made.
        """
        if message.remote is not None and self.owns(message.remote):
            return True
        remote = await self.resolve(message)
        if remote is None:
            return False
        message.remote = remote
        return True

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that requests can be sent to from outside, or None where there is none."""
        return None

    @property
    def bound_uris(self) -> list[str]:
        """Scheme and authority of what requests can be sent to from outside."""
        if self.bound_address is None:
            return []
        hostinfo = hostportjoin(*self.bound_address)
        return [f"{scheme}://{hostinfo}" for scheme in sorted(self.schemes or ())]

    async def release(self) -> None:  # noqa: B027 - most transports have nothing to do
        """Let the peers know that the end is near, where they can be told.

        What they have asked for before is still answered meanwhile.  RFC 8323 section 5.5.
        """

    @abstractmethod
    async def shutdown(self) -> None:
        """Close for good."""


class TokenManager(ABC):
    """What a :class:`TokenInterface` may call."""

    @abstractmethod
    def process_request(self, request: Message) -> None:
        """Take in a request that is no duplicate."""

    @abstractmethod
    def process_response(self, response: Message) -> bool:
        """Take in a response; return whether it belongs to a request."""

    @abstractmethod
    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None:
        """Take note that nothing will come from an endpoint any more."""

    def awaits_response(self, remote: EndpointAddress) -> bool:
        """Whether a request to an endpoint has not been answered yet."""
        return False

    def is_interested_in(self, remote: EndpointAddress) -> bool:
        """Whether requests or observations, of either side, are open with an endpoint."""
        return False

    @property
    def transport_tuning(self) -> TransportTuning:
        """Parameters of transmission."""
        return TransportTuning()

    @property
    @abstractmethod
    def client_credentials(self) -> CredentialsMap:
        """What to authenticate with as a client."""

    @property
    def server_credentials(self) -> CredentialsMap:
        """What to authenticate with, and to accept, as a server."""
        raise NotImplementedError


class RequestInterface(ABC):
    """Something that can take requests to where they go."""

    @abstractmethod
    def request(self, request: Pipe) -> None:
        """Send a pipe's request, and put into the pipe what comes back.

        Args:
            request: A pipe; the remote of its request has been filled in by this interface.
        """

    def listen(self, request: Pipe) -> None:  # noqa: B027
        """Put into a pipe what still comes back for a request that was sent before.

        Nothing is sent.  Where observations end with a connection there is nothing to wait for,
        and nothing is done unless an interface says otherwise.

        Args:
            request: A pipe; its request has the token that it was sent with.

        RFC 7641 section 3.
        """

    async def ping(self, remote: EndpointAddress) -> None:
        """Ask an endpoint for a sign of life, and wait for it.

        Args:
            remote: An address of this interface.

        Raises:
            Error: There was none, or there is no way to ask; the latter is so unless an
                interface says otherwise.
        """
        raise Error("endpoints of this transport can not be pinged")

    @abstractmethod
    async def fill_or_recognize_remote(self, message: Message) -> bool:
        """Make the message's remote an address of this interface, if it is for it.

        See :meth:`TokenInterface.fill_or_recognize_remote`.
        """

    def fill_or_recognize_remote_now(self, message: Message) -> bool:
        """Make the message's remote an address of this interface, if that needs no waiting.

        Args:
            message: A request.

        Returns:
            Whether it is one now; if not, :meth:`fill_or_recognize_remote` may do it.

        Raises:
            ResolutionError: The name can not be resolved.
        """
        return False

    def declines(self, message: Message) -> bool:
        """Whether a request is not for this interface, as far as that is seen without waiting.

        Args:
            message: A request.
        """
        return False

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that requests can be sent to from outside, or None where there is none."""
        return None

    @property
    def bound_uris(self) -> list[str]:
        """Scheme and authority of what requests can be sent to from outside."""
        return []

    @abstractmethod
    async def shutdown(self) -> None:
        """Close for good; every open pipe ends with ``LibraryShutdown``."""


class Request:
    """A request under way (stable).

    Attributes:
        response: A future of the (first) response, there from the beginning.  It fails with
            an :class:`aiocoap.error.Error` only.
    """

    response: Future[Message]


class RequestProvider:
    """Something that sends requests for an application (stable)."""

    def request(self, request_message: Message, handle_blockwise: bool = True) -> Request:
        """Send a request.

        Args:
            request_message: A message with a method and a destination.
            handle_blockwise: Whether bodies are cut into blocks and put together again.

        Returns:
            An object with the response as a future.
        """
        raise NotImplementedError


class Resource:
    """What a context serves: it turns requests into responses (stable)."""

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        """Whether the library handles blocks: False gives the resource each block as it comes.

        Args:
            request: The request, possibly one of several blocks.
        """
        raise NotImplementedError

    async def render(self, request: Message) -> Message:
        """Return the response to a request.

        Type, token and address are filled in by the library.  A ``no_response`` option on the
        response overrides the request's (RFC 7967); it is not sent.

        Args:
            request: The request; with its whole body, if the library handles blocks.

        Raises:
            RenderableError: The response is the error's ``to_message()``.
            Exception: Any other is logged and answered as 5.00.
        """
        raise NotImplementedError

    def resolve(self, request: Message) -> tuple[Resource, Message]:
        """Return the resource that answers in the end, and the request as that one sees it.

        Sites look it up; everything else answers by itself.

        Raises:
            RenderableError: There is no such resource.
        """
        return self, request

    #: Numbers of critical options, beyond those that the library acts on, that the resource
    #: acts on itself.  A request with any other critical option is answered by 4.02 without
    #: asking the resource.  None stands for all: a proxy passes on what it does not know.
    handled_options: frozenset[int] | None = frozenset()

    #: Whether requests that came by multicast are answered.  None has them answered unless the
    #: response is an error, which would be of use to nobody.  True has all responses sent, errors
    #: included, where an application asks its groups for those.  False leaves the requests alone:
    #: nothing is rendered, and nothing answered (RFC 7252 sections 8.2 and 11.3).
    multicast: bool | None = None

    #: A coroutine function that answers a pipe in its own way, perhaps several times; None
    #: leaves it to the library.  It gets requests that came by multicast only if ``multicast``
    #: is True, and keeps back by itself what is of no use.
    render_to_pipe: Callable[[Pipe], Awaitable[None]] | None = None


class ServerObservation(ABC):
    """An observation from the side of the resource that is observed."""

    @abstractmethod
    def accept(self, cancellation_callback: Callable[[], object]) -> None:
        """Take up the observation.

        Args:
            cancellation_callback: Called once when the observation has ended.
        """

    @abstractmethod
    def deregister(self, reason: str | None = None) -> None:
        """End the observation; the client gets an ordinary response, or none.

        Args:
            reason: Goes to the log.
        """

    @abstractmethod
    def trigger(self, response: Message | None = None, *, is_last: bool = False) -> None:
        """Notify the observer.

        Args:
            response: What to send; None renders the resource anew.
            is_last: Whether the observation ends with it; it does with any unsuccessful one.
        """


class ObservableResource(Resource):
    """A resource that can be observed (stable)."""

    async def add_observation(self, request: Message, serverobservation: ServerObservation) -> None:
        """Decide on an observation, before the request is rendered.

        A resource that takes it up calls ``serverobservation.accept(callback)``, and
        ``serverobservation.trigger()`` whenever its state has changed.

        Args:
            request: The request that asks for the observation.
            serverobservation: The observation.
        """
        raise NotImplementedError

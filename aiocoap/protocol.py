"""The context: an application's place in the network.

Here lives :class:`Context`, which puts the parts of the house together: transports at the bottom,
requests and resources at the top.  What is documented in this module but lives next door is
re-exported.

The room knows which part calls which; it decides nothing about messages.

RFC 7252 section 1.2 (endpoints).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from . import defaults, error, interfaces
from .credentials import CredentialsMap
from .message import Message
from .messagemanager import MessageManager
from .numbers.codes import EMPTY
from .numbers.constants import SHUTDOWN_TIMEOUT, TransportTuning
from .numbers.types import CON
from .pipe import Pipe
from .registration import Registration
from .requester import (
    BaseRequest,
    BaseUnicastRequest,
    BlockwiseRequest,
    ClientObservation,
    Request,
)
from .responder import Responder
from .sansio.addressproof import AddressProof
from .sansio.echoes import Echoes
from .sansio.matching import RequestTags
from .serverobservation import ServerObservation
from .tokenmanager import TokenManager
from .transports.catalog import Transport, bind_for, check_options, lookup, open_transport

__all__ = [
    "BaseRequest",
    "BaseUnicastRequest",
    "BlockwiseRequest",
    "ClientObservation",
    "Context",
    "Request",
    "ServerObservation",
]

_Transports = Iterable[str] | Mapping[str, Mapping[str, Any]] | None
_Multicast = Sequence[str | tuple[str, str]]


class Context(interfaces.RequestProvider):
    """An endpoint, or several: sends requests, and answers them if it has a site (stable).

    Usually made by :meth:`create_client_context` or :meth:`create_server_context`, and one is
    enough for a program.  It can be used as an asynchronous context manager, which shuts it
    down.

    Args:
        loop: The running event loop; there is no need to give it.
        serversite: What answers requests; it may be set later.
        loggername: Name of the logger of everything that concerns the context.
        client_credentials: What to authenticate with in requests.
        server_credentials: What to authenticate with, and to accept, as a server.
        transport_tuning: Transmission parameters, an object or a class.

    Raises:
        ValueError: ``loop`` is not the running loop.
        RuntimeError: There is no running loop.

    Attributes:
        serversite: The :class:`~aiocoap.interfaces.Resource` that answers requests, or None.
        client_credentials: As given, or empty.
        server_credentials: As given, or empty.
        request_interfaces: What takes requests to where they go, first match first.
        transport_tuning: As given, or the defaults.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        serversite: interfaces.Resource | None = None,
        loggername: str = "coap",
        client_credentials: CredentialsMap | None = None,
        *,
        server_credentials: CredentialsMap | None = None,
        transport_tuning: TransportTuning | type[TransportTuning] | None = None,
    ) -> None:
        self.loop = _running_loop(loop)
        self.log = logging.getLogger(loggername)
        self.serversite = serversite
        # An empty map is one, too: it may be filled later.
        self.client_credentials = (
            CredentialsMap() if client_credentials is None else client_credentials
        )
        self.server_credentials = (
            CredentialsMap() if server_credentials is None else server_credentials
        )
        if isinstance(transport_tuning, type):
            transport_tuning = transport_tuning()
        self.transport_tuning = transport_tuning or TransportTuning()
        self.request_interfaces: list[interfaces.RequestInterface] = []
        # Shared by all transports on which a sender's address proves nothing.
        self.address_proof = AddressProof(
            os.urandom(16), self.transport_tuning.AMPLIFICATION_FACTOR
        )
        # What tells uploads apart that a server could mix up.
        self.request_tags = RequestTags()
        # What servers want to hear again with the next request.
        self.echoes = Echoes()
        # What is observed, by target: there is one registration for each (RFC 7641 section 3.1).
        self.registrations: dict[Hashable, Registration] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._responder = Responder(self)
        self._is_shut_down = False
        # What shuts down, once that has begun.
        self._closing: asyncio.Task[None] | None = None

    # Creation and destruction

    @classmethod
    async def create_client_context(
        cls,
        *,
        loggername: str = "coap",
        loop: asyncio.AbstractEventLoop | None = None,
        transports: _Transports = None,
        transport_tuning: TransportTuning | type[TransportTuning] | None = None,
    ) -> Context:
        """Return a context that sends requests, from ports that the system chooses.

        Args:
            loggername: Name of its logger.
            loop: The running event loop; there is no need to give it.
            transports: Names of the transports to open, or a mapping of names to options; None
                takes those of AIOCOAP_CLIENT_TRANSPORT or, failing that, what the platform
                is good at.
            transport_tuning: Transmission parameters, an object or a class.

        Raises:
            ValueError: There is no such transport, it is none for clients or does not have an
                option, or the loop is not the running one.
            NetworkError: A transport can not be opened.
        """
        self = cls(loop=loop, loggername=loggername, transport_tuning=transport_tuning)
        if transports is None:
            transports = defaults.get_default_clienttransports(loop=self.loop)
        await self._open_all(transports, None)
        return self

    @classmethod
    async def create_server_context(
        cls,
        site: interfaces.Resource | None,
        bind: tuple[str | None, int | None] | None = None,
        *,
        loggername: str = "coap-server",
        loop: asyncio.AbstractEventLoop | None = None,
        _ssl_context: Any = None,
        multicast: _Multicast = [],
        server_credentials: CredentialsMap | None = None,
        transports: _Transports = None,
        transport_tuning: TransportTuning | type[TransportTuning] | None = None,
    ) -> Context:
        """Return a context that answers requests, and can send them as well.

        Args:
            site: What answers; None if ``serversite`` is set later.
            bind: Address or host name (None for all addresses), and port (None for the default
                one of each transport, 0 for one that the system chooses: see
                :attr:`bound_addresses`).
            loggername: Name of its logger.
            loop: The running event loop; there is no need to give it.
            _ssl_context: An :class:`ssl.SSLContext` with the server's certificate; with it,
                connections by TLS are accepted, too.
            multicast: Groups to join: pairs of group address and network interface name, or
                interface names alone, which stand for the groups of all CoAP nodes.
            server_credentials: What to authenticate with, and to accept, as a server.
            transports: Names of the transports to open, or a mapping of names to options
                (``bind``, ``multicast``); None takes those of AIOCOAP_SERVER_TRANSPORT or,
                failing that, what the platform is good at.
            transport_tuning: Transmission parameters, an object or a class.

        Raises:
            ValueError: There is no such transport, it is none for servers, does not have an
                option or lacks one, there is no such port, or the loop is not the running one.
            NetworkError: An address can not be bound to, or a group not joined.  Where
                ``transports`` is None, connections that can not be had are left out instead, and
                the log says so.
        """
        self = cls(
            loop=loop,
            serversite=site,
            loggername=loggername,
            server_credentials=server_credentials,
            transport_tuning=transport_tuning,
        )
        common = {"bind": bind, "multicast": multicast, "server_context": _ssl_context}
        is_chosen = transports is not None
        if transports is None:
            names = defaults.get_default_servertransports(loop=self.loop)
            transports = [n for n in names if (needs := lookup(n).needs) is None or common[needs]]
        await self._open_all(transports, common, is_chosen)
        return self

    async def _open_all(
        self, transports: _Transports, server: Mapping[str, Any] | None, is_chosen: bool = True
    ) -> None:
        """Open transports, or none at all.

        Args:
            transports: Names, perhaps with options.
            server: Options that are common to all, or None for a client.
            is_chosen: Whether somebody asked for those transports.  If not, connections are a
                bonus, and no reason to serve nothing where they can not be had.
        """
        if isinstance(transports, str):
            raise ValueError(f"transports is a list of names, not a single string {transports!r}")
        assert transports is not None
        options = transports if isinstance(transports, Mapping) else {}
        rows = [lookup(name) for name in transports]
        for row in rows:
            check_options(row, options.get(row.name) or {}, is_server=server is not None)
        for name, value in (server or {}).items():
            if value and not any(name in row.server_options for row in rows):
                self.log.warning("%s=%r concerns no transport of the context", name, value)
        try:
            for row in rows:
                try:
                    await self._open(row, server, options.get(row.name) or {})
                except (ValueError, error.NetworkError) as problem:
                    if is_chosen or row.kind == "message":
                        raise
                    self.log.warning("There is no %s: %s", row.name, problem)
        except BaseException:
            await self.shutdown()
            raise

    async def _open(
        self, row: Transport, server: Mapping[str, Any] | None, own: Mapping[str, Any]
    ) -> None:
        """Build the stack of one transport: the only place that ties its floors together."""
        if server is not None:
            server = {**server, "bind": bind_for(row, server["bind"]), **own}
            if row.needs is not None and server[row.needs] is None:
                raise ValueError(f"the transport {row.name!r} needs {row.needs}")
        tokens = TokenManager(self)
        if row.kind == "message":
            messages = MessageManager(tokens)
            messages.message_interface = await open_transport(
                row, messages, self.log, self.loop, server
            )
            tokens.token_interface = messages
        else:
            tokens.token_interface = await open_transport(row, tokens, self.log, self.loop, server)
        self.request_interfaces.append(tokens)

    async def shutdown(self) -> None:
        """Close everything: requests fail with ``LibraryShutdown``, handlers are cancelled.

        Afterwards nothing of the context is known to the event loop any more.  The second time
        it does nothing but wait for the first, and cancelling it only ends the waiting.  A
        handler that calls it is not cancelled; it can not answer its request any more.  One that
        resists is left behind after SHUTDOWN_TIMEOUT, which the log tells of.
        """
        if self._responder.spare(asyncio.current_task()):
            return
        if self._closing is None:
            self._is_shut_down = True
            self._closing = self.loop.create_task(self._shut_down(), name="shutdown")
        await asyncio.shield(self._closing)

    async def _shut_down(self) -> None:
        """Close everything, from the bottom to the top."""
        self.echoes.clear()
        request_interfaces, self.request_interfaces = self.request_interfaces, []
        results = await asyncio.gather(
            *[interface.shutdown() for interface in request_interfaces], return_exceptions=True
        )
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *self._responder.close()]
        for task in self._tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=SHUTDOWN_TIMEOUT)
            if left:
                self.log.warning("%d handler(s) go on after the shutdown: %r", len(left), left)
        for result in results:
            if result is not None:
                raise result

    async def __aenter__(self) -> Context:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.shutdown()

    # Requests

    def request(self, request_message: Message, handle_blockwise: bool = True) -> Any:
        """Send a request.

        Args:
            request_message: A message with a method and a destination.
            handle_blockwise: Whether bodies are cut into blocks and put together again.  If not,
                each request with Observe registers by itself, even for the same target.

        Returns:
            An object with ``response``, a future of the response, and ``observation``, where
            the request asks for one.  The future fails with an :class:`aiocoap.error.Error`
            only; cancelling it stops the request.

        Raises:
            LibraryShutdown: The context has been shut down.

        A GET or FETCH with Observe 0 for what the context observes already shares that
        registration: it is answered by the latest representation if that is fresh, and has an
        ``observation`` of its own (RFC 7641 section 3.1).
        """
        if self._is_shut_down:
            raise error.LibraryShutdown
        if handle_blockwise:
            return BlockwiseRequest(self, request_message)
        pipe = Pipe(request_message, self.log)
        request = Request(pipe, self.loop, self.log, self)
        task = self.spawn(self._send(pipe), "request")
        task.add_done_callback(partial(_end_if_cancelled, pipe))
        return request

    async def _send(self, pipe: Pipe) -> None:
        """Take a pipe's request to where it goes; what prevents that goes into the pipe."""
        try:
            interface = await self.find_remote_and_interface(pipe.request)
            interface.request(pipe)
        except Exception as problem:
            pipe.add_exception(problem)

    async def ping(self, uri: str) -> float:
        """Ask an endpoint for a sign of life, without a request: the CoAP ping (unstable).

        Args:
            uri: Any URI there; only scheme, host and port matter.

        Returns:
            Seconds from the question to the answer.

        Raises:
            IncompleteUrlError: The URI has no scheme or host.
            MalformedUrlError: It is no URI.
            ConToMulticast: It is the address of a group.
            Error: There is no answer, or no way to ask.

        RFC 7252 section 4.3.
        """
        if self._is_shut_down:
            raise error.LibraryShutdown
        probe = Message(code=EMPTY, mtype=CON, uri=uri)
        interface = await self.find_remote_and_interface(probe)
        assert probe.remote is not None  # it has been found
        began = self.loop.time()
        await interface.ping(probe.remote)
        return self.loop.time() - began

    async def find_remote_and_interface(self, message: Message) -> interfaces.RequestInterface:
        """Resolve where a request goes; its ``remote`` is filled in.

        Args:
            message: A request.

        Returns:
            What takes it there.

        Raises:
            NoRequestInterface: No transport of the context is for it.
            MissingRemoteError: The request has no destination.
            ResolutionError: The host name can not be resolved.
            ConToMulticast: It is confirmable and goes to a group.
        """
        for interface in self.request_interfaces:
            if await interface.fill_or_recognize_remote(message):
                return _checked(message, interface)
        if self._is_shut_down:
            raise error.LibraryShutdown
        where = message.destination()
        if message.is_resolved:
            # It is an address of another context, which can be had here as well, if it has a name.
            if _is_anonymous(message.remote):
                raise error.NoRequestInterface(f"no transport goes to {message.remote!r} from here")
            message.remote = where
            return await self.find_remote_and_interface(message)
        raise error.NoRequestInterface(f"no transport of this context serves {where.uri_base}")

    def find_remote_and_interface_now(self, message: Message) -> interfaces.RequestInterface | None:
        """Do the same, if that needs no waiting; else return None.

        A transport that would have to wait is not overtaken by those behind it.

        Args:
            message: A request.

        Raises:
            MissingRemoteError: The request has no destination.
            ResolutionError: The host name can not be resolved.
            NetworkError: It goes to the other end of a connection that is closed.
            ConToMulticast: It is confirmable and goes to a group.
        """
        for interface in self.request_interfaces:
            if interface.fill_or_recognize_remote_now(message):
                return _checked(message, interface)
            if not interface.declines(message):
                break
        return None

    def render_to_plumbing_request(self, plumbing_request: Pipe) -> None:
        """Have the site answer an incoming request.

        Args:
            plumbing_request: A pipe with the request; the responses go in there.
        """
        self._responder.answer(plumbing_request)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something in the background until it is done or the context is shut down.

        Args:
            work: A coroutine.
            name: Name of the task.
        """
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Addresses

    @property
    def bound_addresses(self) -> list[tuple[str, int]]:
        """Host and port of each transport that can be reached from outside."""
        addresses = [interface.bound_address for interface in self.request_interfaces]
        return [address for address in addresses if address is not None]

    @property
    def bound_uris(self) -> list[str]:
        """URIs, without a path, that the context can be reached by from outside."""
        return [uri for interface in self.request_interfaces for uri in interface.bound_uris]

    def __repr__(self) -> str:
        interfaces = ", ".join(map(repr, self.request_interfaces)) or "no transport"
        return f"<{type(self).__name__} at {id(self):#x}: {interfaces}>"


def _end_if_cancelled(pipe: Pipe, task: asyncio.Task[Any]) -> None:
    """End a request that was on its way to a transport when the context was shut down."""
    if task.cancelled():
        pipe.add_exception(error.LibraryShutdown())


def _is_anonymous(remote: Any) -> bool:
    """Whether an address can not be named."""
    try:
        return not remote.uri_base
    except error.AnonymousHost:
        return True


def _checked(
    message: Message, interface: interfaces.RequestInterface
) -> interfaces.RequestInterface:
    """Return the interface that a resolved request goes to.

    Raises:
        ConToMulticast: RFC 7252 section 8.1 forbids it.
    """
    if message.mtype is CON and message.remote.is_multicast:  # type: ignore[union-attr]
        raise error.ConToMulticast
    return interface


def _running_loop(loop: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    """Return the running loop.

    Raises:
        ValueError: Another one is asked for.
        RuntimeError: None is running.
    """
    running = asyncio.get_running_loop()
    if loop is not None and loop is not running:
        raise ValueError("a context works in the running event loop only; leave out loop=")
    return running

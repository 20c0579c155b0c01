"""CoAP over WebSockets.

Here lives :class:`WSPool`, the transport, which opens connections, accepts them, or both.  Either
end of a connection may send requests.

The room knows addresses and sockets; what WebSockets are is known in
:mod:`aiocoap.transports.wslink`, which is imported when there is something to connect to or to
listen to, and what a connection is, in :mod:`aiocoap.transports.wsremote`.

RFC 8323 section 4 (WebSockets), sections 8.3 and 8.4 (``coap+ws`` and ``coaps+ws``).

Ports
-----

The default ports of the schemes, 80 and 443, are those of web servers, which can pass on
WebSockets, while this transport can not serve web pages.  So a server listens at ``SERVER_PORT``
unless it is told otherwise, and by TLS one port higher, and lets a web server pass on to there
what is asked at ``/.well-known/coap``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .. import defaults
from .._faults import NetworkError, NoRequestInterface
from ..address import EndpointAddress
from ..util import hostportjoin
from .connectionpool import ConnectionPool, Origin, canonical_host
from .resolution import host_of_sockaddr, resolve, resolve_bind, split_destination
from .tcp import ConnectError, listening_socket, prepare_socket
from .tlsfaults import TlsError, explanation
from .wsremote import DEFAULT_PORTS, PoolKey, WSRemote, authority

if TYPE_CHECKING:
    from logging import Logger
    from ssl import SSLContext
    from types import ModuleType

    from ..credentials import CredentialsMap
    from ..interfaces import TokenManager
    from .wslink import Link, Server, ServerLink

__all__ = ["LibraryMissing", "PoolKey", "WSPool", "WSRemote"]

SERVER_PORT = 8683
"""Port that servers listen at where they are not told another one; by TLS, one higher."""

MAX_OPENING = 1024
"""Number of connections whose opening handshake is not complete."""


class LibraryMissing(NoRequestInterface, ImportError):
    """The library that WebSockets are made with is not installed.

    It is an :exc:`ImportError` as well.
    """

    def __str__(self) -> str:
        return "CoAP over WebSockets needs the package websockets, version 14 or newer"

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Say how it is installed."""
        return 'Install it: pip install "aiocoap[ws]"'


def _library() -> Any:
    """Return the room that the library is used in.

    Raises:
        LibraryMissing: It is not installed, or too old.
    """
    try:
        from . import wslink
    except ImportError as problem:
        raise LibraryMissing from problem
    library: ModuleType = wslink
    return library


class WSPool(ConnectionPool[PoolKey]):
    """All connections over WebSockets of a context, whichever end opened them.

    A connection is opened when the first request goes to an origin (scheme, host and port), and
    serves all others to it, until nobody has used it for ``IDLE_TIMEOUT``.
    """

    scheme: ClassVar[str] = "coap+ws"
    default_port: ClassVar[int] = DEFAULT_PORTS["coap+ws"]

    def __init__(self, tman: TokenManager, log: Logger, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(tman, log, loop)
        self._credentials: CredentialsMap = tman.client_credentials
        self._servers: list[Server] = []
        # Host and port of each, in their order.
        self._bound: list[tuple[str, int]] = []
        # What is alive and not ready yet.
        self._opening: dict[Link, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # How it is opened

    @classmethod
    async def create_transport(
        cls,
        tman: TokenManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        *,
        client_credentials: CredentialsMap,
        server_bind: tuple[str | None, int | None] | None = None,
        server_context: SSLContext | None = None,
    ) -> WSPool:
        """Return a transport that opens connections when they are needed, and may accept some.

        Args:
            tman: Is told of messages and errors.
            log: Logger.
            loop: The running event loop.
            client_credentials: What to authenticate with, and to trust, as a client.
            server_bind: Host (address or name; None for all addresses) and port (None for
                ``SERVER_PORT``; 0 leaves it to the system) to listen at; None not to listen.
            server_context: What connections are secured by at the port after that.

        Raises:
            LibraryMissing: It is to listen, and the library for that is not installed.
            ResolutionError: The host's name can not be resolved.
            BindError: The address can not be had; it is an OSError as well.
            ValueError: There is no such port.
        """
        self = cls(tman, log, loop)
        self._credentials = client_credentials
        if server_bind is not None:
            try:
                await self._listen(server_bind, server_context)
            except BaseException:
                await self.shutdown()
                raise
        return self

    @classmethod
    async def create_server(
        cls,
        bind: tuple[str | None, int | None] | None,
        tman: TokenManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        *,
        client_credentials: CredentialsMap,
        server_context: SSLContext | None = None,
    ) -> WSPool:
        """Return a transport that listens, at the default port of all addresses if need be.

        Args:
            bind: Host and port, either of which may be None, or None for both.
            tman: As for :meth:`create_transport`.
            log: As there.
            loop: As there.
            client_credentials: As there.
            server_context: As there.

        Raises:
            LibraryMissing: The library is not installed.
            ResolutionError: The host's name can not be resolved.
            BindError: The address can not be had; it is an OSError as well.
            ValueError: There is no such port.
        """
        return await cls.create_transport(
            tman,
            log,
            loop,
            client_credentials=client_credentials,
            server_bind=(None, None) if bind is None else bind,
            server_context=server_context,
        )

    async def _listen(
        self, bind: tuple[str | None, int | None], context: SSLContext | None
    ) -> None:
        """Listen at a port, and by TLS at the one after that."""
        library = _library()
        host, port = bind
        schemes: list[tuple[str, SSLContext | None]] = [("coap+ws", None)]
        if context is not None:
            schemes.append(("coaps+ws", context))
        for number, (scheme, secured_by) in enumerate(schemes):
            wanted = SERVER_PORT if port is None else port
            endpoints, actual = await resolve_bind(
                self.loop, (host, wanted + number if wanted else 0)
            )
            # With port 0, the system would choose ports that others share already.
            sock = listening_socket(endpoints, actual, bool(actual) and defaults.has_reuse_port())
            name = sock.getsockname()
            self._servers.append(
                await library.listen(
                    self,
                    sock,
                    partial(self._serve, scheme),
                    tuning=self.tuning,
                    log=self.log,
                    context=secured_by,
                )
            )
            self._bound.append((host_of_sockaddr(name), name[1]))

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that can be connected to without TLS, if there are any."""
        return self._bound[0] if self._bound else None

    @property
    def secure_address(self) -> tuple[str, int] | None:
        """Host and port that can be connected to by TLS, if there are any."""
        return self._bound[1] if len(self._bound) > 1 else None

    # Connections

    @property
    def bound_uris(self) -> list[str]:
        """Scheme and authority of what can be connected to."""
        addresses = (("coap+ws", self.bound_address), ("coaps+ws", self.secure_address))
        return [f"{scheme}://{hostportjoin(*where)}" for scheme, where in addresses if where]

    @property
    def schemes(self) -> frozenset[str]:
        """URI schemes that requests by the connections have."""
        return frozenset(DEFAULT_PORTS)

    def _origin_of(self, destination: EndpointAddress) -> PoolKey | None:
        """Return the key of a URI's connections where its scheme is for here."""
        scheme = destination.scheme
        default_port = DEFAULT_PORTS.get(scheme)
        if default_port is None:
            return None
        host, port = split_destination(destination.hostinfo, default_port)
        return PoolKey(scheme, authority(scheme, canonical_host(host), port))

    def _default_port(self, origin: PoolKey) -> int:
        """Return the port of the scheme."""
        return DEFAULT_PORTS[origin.scheme]

    async def _open(self, origin: PoolKey, address: Origin) -> WSRemote:
        """Open a connection by the first address of a host that takes it.

        Raises:
            LibraryMissing: The library is not installed.
            CredentialsMissingError: There is nothing to authenticate with.
            ResolutionError: The name can not be resolved.
            NetworkError: It can not be opened.
        """
        library = _library()
        context = None
        if origin.scheme == "coaps+ws":
            context = self._credentials.ssl_client_context(origin.scheme, origin.hostinfo)
        # Zones mean nothing to others (RFC 6874 section 4).
        name = origin.host.partition("%")[0]
        try:
            link = await library.connect(
                self,
                await self._connected_socket(address),
                hostportjoin(name, origin.port),
                tuning=self.tuning,
                log=self.log,
                context=context,
                server_name=name,
            )
        except library.HandshakeError as problem:
            raise self._failure(address, str(problem)) from problem
        except OSError as problem:
            raise self._failure_of(address, origin, problem) from problem
        remote = WSRemote(
            self,
            link,
            self.loop,
            self.log,
            scheme=origin.scheme,
            remote_hostinfo=origin.hostinfo,
        )
        if not self.add(remote):
            link.abort()
            raise self._failure(address, "there are too many connections")
        self.spawn(remote.run(), f"connection to {origin.host}")
        return remote

    async def _connected_socket(self, address: Origin) -> socket.socket:
        """Return a socket that is connected to a host.

        Raises:
            ResolutionError: The name can not be resolved.
            OSError: None of its addresses takes the connection.
        """
        first: OSError | None = None
        for endpoint in await resolve(self.loop, *address):
            sock = None
            try:
                sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
                sock.setblocking(False)
                await self.loop.sock_connect(sock, endpoint.sockaddr)
            except BaseException as problem:
                if sock is not None:
                    sock.close()
                if not isinstance(problem, OSError):
                    raise
                first = first or problem
            else:
                prepare_socket(sock)
                return sock
        assert first is not None  # resolving gives one address at least
        raise first

    def _failure(self, address: Origin, reason: str) -> NetworkError:
        """Return what a request fails with if there is no connection."""
        return ConnectError(
            f"can not connect to {hostportjoin(*address)} over WebSockets: {reason}"
        )

    def _failure_of(self, address: Origin, origin: PoolKey, problem: OSError) -> NetworkError:
        """Return what a request fails with if the system or TLS wants no connection."""
        # The numbers of TLS are not those of the system.
        if problem.errno and type(problem).__module__ != "ssl":
            return self._failure(address, os.strerror(problem.errno))
        if origin.scheme == "coap+ws":
            return self._failure(address, str(problem))
        reason, help = explanation(problem, f"{origin.scheme}://{origin.hostinfo}")
        return TlsError(str(self._failure(address, reason)), help)

    async def _serve(self, scheme: str, link: ServerLink) -> None:
        """Serve a connection that a peer has opened, until it is gone."""
        self._opening.pop(link, None)
        host, port = split_destination(link.host, DEFAULT_PORTS[scheme])
        remote = WSRemote(
            self,
            link,
            self.loop,
            self.log,
            scheme=scheme,
            local_hostinfo=authority(scheme, canonical_host(host), port),
        )
        if self.add(remote):
            await remote.run()
        else:
            link.abort()

    # What links tell

    def link_expected(self, link: Link) -> None:
        """Take note of a peer's link; one too many makes the oldest go that is not ready yet."""
        self._alive.add(link)
        self._opening[link] = None
        if len(self._opening) > MAX_OPENING:
            oldest = next(iter(self._opening))
            del self._opening[oldest]
            oldest.abort()

    def link_failed(self, link: Link) -> None:
        """Take note that there will be no link."""
        self._opening.pop(link, None)
        self._alive.discard(link)

    def link_made(self, link: Link) -> None:
        """Take note of a new link."""
        self._alive.add(link)
        if link.is_server and link not in self._opening:
            self.link_expected(link)

    def link_lost(self, link: Link) -> None:
        """Take note that the event loop has forgotten a link."""
        if isinstance(link.user, WSRemote):
            self.forget_transport(link.user)
        self.link_failed(link)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something until it is done."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The end

    async def _stop_listening(self) -> None:
        """Accept no connections any more."""
        for server in self._servers:
            server.close(close_connections=False)

    async def _closed(self) -> None:
        """Wait until the event loop has forgotten the connections, and see to it that it does."""
        for link in list(self._opening):
            link.abort()
        await super()._closed()
        for server in self._servers:
            await server.wait_closed()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _drop(self, one: Link) -> None:
        """End a link without waiting for anything."""
        one.abort()

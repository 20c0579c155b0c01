"""CoAP over TCP.

Here live :class:`TcpConnection`, which is asyncio's protocol for one connection, and the two
transports made of such connections: :class:`TCPClient`, which opens them, and
:class:`TCPServer`, which accepts them.  Either end of a connection may send requests.

The room knows bytes, sockets and frames; what goes over a connection is a matter of
:mod:`aiocoap.transports.rfc8323common`.

RFC 8323 section 3 (TCP) and section 8.1 (``coap+tcp``).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from .. import defaults
from .._faults import NetworkError
from ..address import EndpointAddress
from ..numbers.constants import COAP_PORT
from ..sansio.framing import FrameReader, encode_frame
from ..util import hostportjoin
from .connectionpool import ConnectionPool, Origin, canonical_host
from .resolution import (
    BindError,
    Endpoint,
    bind_error,
    host_of_sockaddr,
    resolve,
    resolve_bind,
    split_destination,
)
from .rfc8323common import RFC8323Remote

if TYPE_CHECKING:
    from logging import Logger
    from ssl import SSLContext

    from ..credentials import CredentialsMap
    from ..interfaces import TokenManager
    from ..message import Message

__all__ = [
    "ConnectError",
    "TCPClient",
    "TCPServer",
    "TcpConnection",
    "listening_socket",
    "prepare_socket",
]

_LARGE = 65_536
# Bytes that are sent without waiting for more.

# How a peer is found that has gone without a word (seconds; number of questions).
_KEEPALIVE = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))


class ConnectError(NetworkError):
    """A connection can not be opened."""

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest what to look at."""
        return "Check that a server listens at that address and port, for that kind of connection."


class TcpConnection(asyncio.Protocol, RFC8323Remote, EndpointAddress):
    """One connection over TCP, and the address of its other end.

    Args:
        ctx: The pool that it belongs to.
        log: Logger.
        loop: The running event loop.
        is_server: Whether the peer opened it.
        origin: What it was opened for, if it was opened from here.
    """

    __slots__ = ("_is_behind", "_out", "_out_size", "_pending", "_reader", "_transport")

    def __init__(
        self,
        ctx: _TCPPooling,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        *,
        is_server: bool,
        origin: Origin | None = None,
    ) -> None:
        assert is_server == (origin is None)  # who opens a connection knows what for
        self._begin(ctx, origin)
        self._reader = FrameReader(ctx.tuning.MAX_MESSAGE_SIZE)
        self._transport: asyncio.Transport | None = None
        # What is sent in one go when all that is at hand has been worked on.
        self._out: list[bytes] = []
        self._out_size = 0
        # What the pool has been told of messages that are not complete.
        self._pending = 0
        # Whether no more is read before what has come has been worked on.
        self._is_behind = False

    _over: ClassVar[str] = "TCP"
    # What connections are called where one goes wrong.

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in a new connection."""
        if self._has_names(cast("asyncio.Transport", transport)):
            self._enter()

    def _has_names(self, transport: asyncio.Transport) -> bool:
        """Take note of who is at both ends; return whether anybody is."""
        self._transport = transport
        pool = cast("_TCPPooling", self._pool)
        pool.note_transport(self)
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if not local or not remote:
            # It is gone already.
            self._local_hostinfo = self._remote_hostinfo = "(nobody)"
            self.end = NetworkError("the connection was closed at once")
            self._transport.abort()
            return False
        prepare_socket(transport.get_extra_info("socket"))
        self._local_hostinfo = pool._hostinfo(host_of_sockaddr(local), local[1])
        if self.origin is None:
            self._remote_hostinfo = pool._hostinfo(host_of_sockaddr(remote), remote[1])
        else:
            self._remote_hostinfo = pool._hostinfo(*self.origin)
        return True

    def _enter(self) -> None:
        """Begin to use the connection."""
        if not self._pool.add(self):
            self.end = NetworkError("there are too many connections")
            assert self._transport is not None  # or it would not be used
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._transport = None
        self._account(0)
        if exc is None:
            self.lose("the peer has closed the connection")
        else:
            self.lose(f"the connection broke: {getattr(exc, 'strerror', None) or exc}")
        cast("_TCPPooling", self._pool).forget_transport(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        if self.is_over:
            return
        reader = self._reader
        messages = reader.feed(data, self, self.room_for_work)
        self.patience.received(self._pool.loop.time(), reader.is_unfinished, bool(messages))
        for message in messages:
            self._take(message)
            if self.end is not None:
                return
        self._account(reader.pending)
        if reader.fault is not None:
            if self.origin is None or self.signaling.is_open:
                self.abort(f"what came is no message: {reader.fault}")
            else:
                # Whoever sees this has most likely got a port wrong.
                self.abort(f"what answers there is no CoAP over {self._over} ({reader.fault})")
        elif reader.has_more:
            if self.reads:
                self._catch_up()
        else:
            if self._is_behind:
                self._is_behind = False
                if self.reads:
                    self._read_on(True)
            if self._is_deaf or self.signaling.release is not None:
                self.close_if_done()

    _take_bytes = data_received
    # What comes may have to be made readable before.

    def eof_received(self) -> bool | None:
        """Take note that the peer sends nothing any more: it gets its answers, and that is all."""
        if self._hear_no_more():
            return True
        # asyncio closes the connection now.
        self.flush()
        return False

    def pause_writing(self) -> None:
        """Take note that the peer does not read."""
        self._stall()

    def resume_writing(self) -> None:
        """Take note that the peer reads again."""
        if self.end is None:
            self._flow()

    # What is the transport's part of a connection

    def _encode(self, message: Message) -> bytes:
        return encode_frame(message)

    def _send_bytes(self, data: bytes) -> None:
        out = self._out
        if not out:
            self._pool.flush_soon(self)
        out.append(data)
        self._out_size += len(data)
        if self._out_size >= _LARGE:
            # It is worth a system call, and the peer may not read.
            self.flush()

    def flush(self) -> None:
        """Send what has come together."""
        out = self._out
        if out:
            self._out, self._out_size = [], 0
            if self._transport is not None:
                self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _read_on(self, is_wanted: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not is_wanted:
            transport.pause_reading()
        elif self._reader.has_more:
            # Not from within this call, as the caller is not ready for it.
            self._catch_up()
        else:
            transport.resume_reading()

    def _catch_up(self) -> None:
        """Go on with what has come, soon, and read nothing before that is done.

        Else whoever sends many small messages could have us keep more and more of them.
        """
        if not self._is_behind:
            self._is_behind = True
            self._read_on(False)
        # Others have their turn before.
        self._pool.loop.call_soon(self._take_bytes, b"")

    @property
    def _has_work(self) -> bool:
        """Whether the peer has not been sent all answers that it is to get."""
        return super()._has_work or (self._is_deaf and self._reader.has_more)

    def _close(self, is_orderly: bool) -> None:
        self.flush()
        if self._transport is None:
            return
        if is_orderly:
            self._transport.close()
            self._pool.watch_end(self)
        else:
            self._transport.abort()

    def _account(self, pending: int) -> None:
        """Tell the pool how many bytes are kept of what has not been worked on."""
        if pending == self._pending:
            return
        is_bearable = self._pool.account(pending - self._pending)
        self._pending = pending
        if not is_bearable:
            self.abort("there are too many unfinished messages")


def prepare_socket(sock: Any) -> None:
    """Have small messages sent at once, and peers found that have gone without a word."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError:
        # The peer was faster in closing it.
        pass


class _TCPPooling(ConnectionPool[Origin]):
    """What clients and servers over TCP have in common."""

    scheme: ClassVar[str] = "coap+tcp"
    default_port: ClassVar[int] = COAP_PORT

    def _origin_of(self, destination: EndpointAddress) -> Origin | None:
        """Return host and port where the scheme is that of the transport."""
        if destination.scheme != self.scheme:
            return None
        host, port = split_destination(destination.hostinfo, self.default_port)
        return Origin(canonical_host(host), port)

    def _hostinfo(self, host: str, port: int) -> str:
        """Return an authority as it stands in URIs of the scheme."""
        return hostportjoin(host, None if port == self.default_port else port)

    def note_transport(self, connection: TcpConnection) -> None:
        """Take note that the event loop knows a connection."""
        self._alive.add(connection)

    def _drop(self, one: TcpConnection) -> None:
        """End a connection without waiting for anything."""
        one._close(False)


class TCPClient(_TCPPooling):
    """The connections that requests are sent by.

    A connection is opened when the first request goes to an origin (host and port), and serves all
    others to it, until nobody has used it for ``IDLE_TIMEOUT``; one that was lost is opened anew
    by the next request.  The server may send requests, too.
    """

    @classmethod
    async def create_client_transport(
        cls,
        tman: TokenManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        credentials: CredentialsMap | None = None,
    ) -> TCPClient:
        """Return a transport that opens connections when they are needed.

        Args:
            tman: Is told of messages and errors.
            log: Logger.
            loop: The running event loop.
            credentials: What to authenticate with; TCP itself has no use for it.
        """
        return cls(tman, log, loop)

    async def _open(self, origin: Origin, address: Origin) -> TcpConnection:
        """Open a connection to the first address of a host that takes it.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: It can not be opened.
        """
        make = self._connection_factory(origin)
        problem: OSError | None = None
        for endpoint in await resolve(self.loop, *address):
            try:
                _, connection = await self.loop.create_connection(
                    make, endpoint.text, endpoint.port
                )
            except OSError as exc:
                # That nobody listens at one address says less than what happened at another.
                if problem is None or isinstance(problem, ConnectionRefusedError):
                    problem = exc
            else:
                return connection
        assert problem is not None  # resolving gives one address at least
        raise self._failure(problem, address) from problem

    def _connection_factory(self, origin: Origin) -> Callable[[], TcpConnection]:
        """Return what makes the protocol of a connection.

        Raises:
            CredentialsMissingError: There is nothing to authenticate with.
        """
        return partial(TcpConnection, self, self.log, self.loop, is_server=False, origin=origin)

    def _failure(self, problem: OSError, address: Origin) -> NetworkError:
        """Return what a request fails with if there is no connection."""
        return ConnectError(
            f"can not connect to {hostportjoin(*address)} over TCP: {_reason(problem)}"
        )


def _reason(problem: OSError) -> str:
    """Return what the system says, without the address, which asyncio puts into the text."""
    return os.strerror(problem.errno) if problem.errno else str(problem)


class TCPServer(_TCPPooling):
    """The connections that peers open, by which requests may go in both directions."""

    _server: asyncio.Server | None = None
    _bound: tuple[str, int] | None = None

    @classmethod
    async def create_server(
        cls,
        bind: tuple[str | None, int | None] | None,
        tman: TokenManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        *,
        _server_context: SSLContext | None = None,
    ) -> TCPServer:
        """Listen for connections.

        Args:
            bind: Host (address or name; None for all addresses) and port (None for that of the
                scheme; 0 leaves it to the system).
            tman: Is told of messages and errors.
            log: Logger.
            loop: The running event loop.
            _server_context: What connections are secured by.

        Raises:
            ResolutionError: The host's name can not be resolved.
            BindError: The address can not be had; it is an OSError as well.
        """
        host, port = bind or (None, None)
        endpoints, port = await resolve_bind(
            loop, (host, cls.default_port if port is None else port)
        )
        self = cls(tman, log, loop)
        # With port 0, the system would choose ports that others share already.
        reuse_port = bool(port) and defaults.has_reuse_port()
        sock = listening_socket(endpoints, port, reuse_port)
        try:
            name = sock.getsockname()
            self._secure_by(_server_context)
            self._server = await loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
        except BaseException:
            sock.close()
            raise
        self._bound = (host_of_sockaddr(name), name[1])
        return self

    def _secure_by(self, context: SSLContext | None) -> None:
        """Take note of what connections are secured by: TCP has no use for it."""

    def _accept(self) -> TcpConnection:
        """Return the protocol of a new connection."""
        return TcpConnection(self, self.log, self.loop, is_server=True)

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that can be connected to."""
        return self._bound

    def _origin_of(self, destination: EndpointAddress) -> None:
        """No request makes a connection be opened: there is another transport for that."""
        return

    async def _open(self, origin: Origin, address: Origin) -> RFC8323Remote:
        """Open no connection: without an origin, nobody asks for one."""
        raise NotImplementedError

    async def _stop_listening(self) -> None:
        """Accept no connections any more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()


BACKLOG = 1024
"""Connections that may wait to be accepted; the system may have fewer."""


def listening_socket(
    endpoints: list[Endpoint] | None, port: int, reuse_port: bool
) -> socket.socket:
    """Return a socket that listens at the first address that can be had.

    Args:
        endpoints: Addresses; None for all that there are.
        port: Port for the latter.
        reuse_port: Whether the port is shared with other programs of the same user.

    Raises:
        BindError: None can be had.
    """
    if endpoints is None:
        any_v6, any_v4 = (Endpoint(f, h, port, 0) for f, h in _ALL_ADDRESSES)
        endpoints = [any_v6, any_v4]
    first: BindError | None = None
    for endpoint in endpoints:
        sock = None
        try:
            sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
            sock.setblocking(False)
            if os.name == "posix":
                # A server that is started again has its port at once.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if endpoint.family == socket.AF_INET6:
                # All addresses are those of IPv4 as well.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(endpoint.sockaddr)
        except OSError as exc:
            if sock is not None:
                sock.close()
            first = first or bind_error(exc, endpoint.text, endpoint.port)
            if exc.errno == errno.EADDRINUSE:
                break
        else:
            return sock
    assert first is not None  # there is one address at least
    raise first


_ALL_ADDRESSES = ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0"))

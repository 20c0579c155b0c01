"""CoAP over UDP for clients, by a connected socket for each peer.

Here lives a transport that asks for nothing but datagram sockets, and so works where udp6 does
not: on platforms without packet information, and on event loops without ``add_reader``.  Despite
its name, IPv4 and IPv6 are the same to it.

The room knows sockets and asyncio's datagram transports; nothing of messages.

RFC 7252 section 3 (UDP), section 4.2 (ICMP).

- A peer is known by the name that the request had: a response's remote has that name too.
- ICMP errors are reported by connected sockets everywhere.
- A peer may send requests of its own to the socket that it got one from (role reversal).
- There is no multicast: answers come from other addresses than the group's, which a connected
  socket does not take in.
- Sockets stay open for later requests.  When there are more than ``MAX_IDLE`` of them, those
  are closed that nothing went through for ``IDLE_LIFETIME``; a peer that is observed and stays
  silent for longer can be lost then.  When there are ``MAX_SOCKETS``, the one least recently used
  is closed in any case.  It is opened anew, with another port, when something is to be sent.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

from .._faults import NetworkError
from ..numbers.constants import EXCHANGE_LIFETIME
from ..util import hostportjoin
from .generic_udp import (
    MAX_DATAGRAM_SIZE,
    GenericEndpointAddress,
    GenericMessageInterface,
    SocketPool,
)
from .resolution import (
    Endpoint,
    delivery_error,
    endpoint_of_literal,
    host_of_sockaddr,
    is_multicast_host,
    resolve,
)

if TYPE_CHECKING:
    from logging import Logger

    from ..interfaces import MessageManager

__all__ = ["MessageInterfaceSimple6"]

MAX_IDLE = 64
"""Number of sockets that are kept, however long nothing goes through them."""

IDLE_LIFETIME = EXCHANGE_LIFETIME
"""Time in seconds for which a socket that was used is kept in any case but one."""

MAX_SOCKETS = 512
"""Number of sockets at most."""

_MAX_WAITING = 16
# Datagrams to one peer that wait for its socket to be opened again.

_Key = tuple[str, int]
# Host and port, as in the addresses.


class _Connection(asyncio.DatagramProtocol):
    """One socket and the address that it is for."""

    def __init__(self, address: GenericEndpointAddress, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.local: tuple[str, int] | None = None
        self.used = loop.time()
        """Loop's time at which something went through."""
        self.transport: asyncio.DatagramTransport | None = None
        self.paused = False
        self.lost = loop.create_future()
        self._time = loop.time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        if hasattr(transport, "max_size"):
            transport.max_size = MAX_DATAGRAM_SIZE
        sockname = transport.get_extra_info("sockname")
        self.local = (host_of_sockaddr(sockname), sockname[1])

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.transport is not None:
            self.used = self._time()
            self.address.interface.received(data, self.address)

    def error_received(self, exc: Exception) -> None:
        if self.transport is not None and isinstance(exc, OSError):
            self.address.interface.failed(exc, self.address)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, datagram: bytes) -> None:
        # What the system does not take waits in the transport, up to its high-water mark.
        if self.transport is not None and not self.paused:
            self.transport.sendto(datagram)

    def close(self) -> None:
        transport, self.transport = self.transport, None
        if transport is None:
            self.lost.cancel()
        else:
            transport.close()


class _Connections(SocketPool):
    """A socket per peer."""

    def __init__(
        self, interface: MessageInterfaceSimple6, log: Logger, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._interface: MessageInterfaceSimple6 | None = interface
        self._log = log
        self._loop = loop
        self._open: dict[_Key, _Connection] = {}
        # What is to be sent by sockets that are being opened again, and the tasks that do it.
        self._waiting: dict[_Key, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self, host: str, port: int) -> GenericEndpointAddress | None:
        literal = endpoint_of_literal(host, port)
        host = host.lower() if literal is None else literal.text
        connection = self._open.get((host, port))
        if connection is not None:
            return connection.address
        endpoints = [literal] if literal is not None else await resolve(self._loop, host, port)
        if is_multicast_host(endpoints[0].host):
            self._log.info("The simple6 transport can not send to groups, such as %s", host)
            return None
        if self._interface is None:
            return None
        sock, endpoint = _connected(endpoints, host, port)
        address = GenericEndpointAddress(self._interface, host, port, endpoint.sockaddr)
        return (await self._adopt(sock, address)).address

    async def _adopt(self, sock: socket.socket, address: GenericEndpointAddress) -> _Connection:
        """Make a connection of a socket; return another one if it comes too late."""
        connection = _Connection(address, self._loop)
        try:
            await self._loop.create_datagram_endpoint(lambda: connection, sock=sock)
        except BaseException:
            connection.close()
            sock.close()
            raise
        key = (address.host, address.port)
        earlier = self._open.get(key)
        if earlier is not None:
            connection.close()
            return earlier
        if self._interface is None:  # shut down meanwhile
            connection.close()
            return connection
        self._open[key] = connection
        address.local = connection.local
        self._close_idle()
        return connection

    def _close_idle(self) -> None:
        """Close the sockets that are too many."""
        while len(self._open) > MAX_IDLE:
            key, oldest = min(self._open.items(), key=lambda item: item[1].used)
            idle = self._loop.time() - oldest.used
            if len(self._open) <= MAX_SOCKETS and idle < IDLE_LIFETIME:
                break
            del self._open[key]
            oldest.address.local = None
            oldest.close()

    def send(self, datagram: bytes, address: GenericEndpointAddress) -> None:
        key = (address.host, address.port)
        connection = self._open.get(key)
        if connection is not None:
            connection.used = self._loop.time()
            connection.send(datagram)
            return
        waiting = self._waiting.get(key)
        if waiting is not None:
            if len(waiting) < _MAX_WAITING:
                waiting.append(datagram)
            return
        self._waiting[key] = [datagram]
        task = self._loop.create_task(self._reopen(key, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reopen(self, key: _Key, address: GenericEndpointAddress) -> None:
        """Open the socket to a peer anew, and send what waits for it."""
        try:
            sock = _socket_to(address.sockaddr)
            try:
                connection = await self._adopt(sock, address)
            except OSError:
                sock.close()
                raise
            for datagram in self._waiting[key]:
                connection.send(datagram)
        except OSError as exc:
            address.interface.failed(exc, address)
        finally:
            del self._waiting[key]

    async def shutdown(self) -> None:
        self._interface = None
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        connections = tuple(self._open.values())
        self._open.clear()
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([connection.lost for connection in connections])


def _socket_to(sockaddr: tuple[Any, ...]) -> socket.socket:
    """Return a socket that is connected to an address.

    Raises:
        OSError: The system refuses.
    """
    sock = socket.socket(
        socket.AF_INET if len(sockaddr) == 2 else socket.AF_INET6, socket.SOCK_DGRAM
    )
    try:
        sock.setblocking(False)
        sock.connect(sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(endpoints: list[Endpoint], host: str, port: int) -> tuple[socket.socket, Endpoint]:
    """Return a socket that is connected to the first address with a way to it.

    Raises:
        NetworkError: There is no way to any.
    """
    first: NetworkError | None = None
    for endpoint in endpoints:
        try:
            return _socket_to(endpoint.sockaddr), endpoint
        except OSError as exc:
            first = first or delivery_error(exc, hostportjoin(host, port))
    assert first is not None  # resolving gives one at least
    raise first


class MessageInterfaceSimple6(GenericMessageInterface):
    """A message interface with a socket per peer.

    Args:
        ctx: Is told of datagrams and errors.
        log: Logger.
        loop: The running event loop.
    """

    @classmethod
    async def create_client_transport_endpoint(
        cls, ctx: MessageManager, log: Logger, loop: asyncio.AbstractEventLoop
    ) -> MessageInterfaceSimple6:
        """Return an interface that opens sockets as they are needed.

        Args:
            ctx: Is told of datagrams and errors.
            log: Logger.
            loop: The running event loop.
        """
        self = cls(ctx, log, loop)
        self._pool = _Connections(self, log, loop)
        return self

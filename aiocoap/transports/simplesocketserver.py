"""CoAP over UDP for servers, by a socket that is bound to a single address.

Here lives a transport that asks for nothing but a datagram socket, for platforms on which udp6
does not work.  simple6 is its other half, for requests.

The room knows one socket and asyncio's datagram transport; nothing of messages.

RFC 7252 section 3 (UDP).

- It can not be bound to all addresses (``::`` or ``0.0.0.0``): without packet information it
  would not know which of them a request was sent to, and has to answer from.
- It gets no ICMP errors, so that it goes on sending to peers which are gone, as section 4.2
  would rather not have it.
- There is no multicast.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

from .. import defaults
from ..util import hostportjoin
from .generic_udp import (
    MAX_DATAGRAM_SIZE,
    GenericEndpointAddress,
    GenericMessageInterface,
    SocketPool,
)
from .resolution import (
    BindError,
    Endpoint,
    bind_error,
    host_of_sockaddr,
    is_multicast_host,
    plain_host,
    resolve,
    resolve_bind,
)

if TYPE_CHECKING:
    from logging import Logger

    from ..interfaces import MessageManager

__all__ = ["MessageInterfaceSimpleServer"]

_MAX_SEEN = 1024
# Addresses that are kept, so that the same peer is the same object again; at the bound all are
# forgotten.

_ANY_ADDRESSES = ("::", "0.0.0.0")


class _OneSocket(asyncio.DatagramProtocol, SocketPool):
    """The socket of a server."""

    def __init__(
        self,
        interface: MessageInterfaceSimpleServer,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        family: int,
    ) -> None:
        self._interface: MessageInterfaceSimpleServer | None = interface
        self._log = log
        self._loop = loop
        self._family = family
        self._transport: asyncio.DatagramTransport | None = None
        self._lost = loop.create_future()
        self._seen: dict[Any, GenericEndpointAddress] = {}
        self._paused = False
        self.local: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        if hasattr(transport, "max_size"):
            transport.max_size = MAX_DATAGRAM_SIZE
        sockname = transport.get_extra_info("sockname")
        self.local = (host_of_sockaddr(sockname), sockname[1])

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._interface is None:
            return
        address = self._seen.get(addr)
        if address is None:
            address = self._address(self._interface, addr)
        self._interface.received(data, address)

    def _address(
        self, interface: MessageInterfaceSimpleServer, sockaddr: Any
    ) -> GenericEndpointAddress:
        """Return the address of a socket address, and remember it."""
        address = GenericEndpointAddress(
            interface, host_of_sockaddr(sockaddr), sockaddr[1], sockaddr
        )
        address.local = self.local
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen[sockaddr] = address
        return address

    def error_received(self, exc: Exception) -> None:
        # asyncio does not say whose datagram it was.
        self._log.debug("The socket reported an error: %s", exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set_result(None)

    async def connect(self, host: str, port: int) -> GenericEndpointAddress | None:
        endpoint = (await resolve(self._loop, host, port, self._family))[0]
        if is_multicast_host(endpoint.host):
            self._log.info("The simplesocketserver transport can not send to groups, as %s", host)
            return None
        if self._interface is None:
            return None
        sockaddr = endpoint.sockaddr
        return self._seen.get(sockaddr) or self._address(self._interface, sockaddr)

    def send(self, datagram: bytes, address: GenericEndpointAddress) -> None:
        # What the system does not take waits in the transport, up to its high-water mark.
        if self._transport is not None and not self._paused:
            self._transport.sendto(datagram, address.sockaddr)

    async def shutdown(self) -> None:
        self._interface = None
        self._seen.clear()
        if self._transport is not None:
            self._transport.close()
            await asyncio.wait((self._lost,))


def _bound(hosts: list[Endpoint], reuse_port: bool) -> tuple[int, socket.socket]:
    """Return the family and a socket that is bound to the first address that can be had.

    Raises:
        BindError: None can be had.
    """
    first: BindError | None = None
    for endpoint in hosts:
        sock = None
        try:
            sock = socket.socket(endpoint.family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(endpoint.sockaddr)
        except OSError as exc:
            if sock is not None:
                sock.close()
            first = first or bind_error(exc, endpoint.text, endpoint.port)
        else:
            return endpoint.family, sock
    assert first is not None  # resolving gives one at least
    raise first


class MessageInterfaceSimpleServer(GenericMessageInterface):
    """A message interface with one socket on one address.

    Args:
        ctx: Is told of datagrams and errors.
        log: Logger.
        loop: The running event loop.
    """

    _bound: tuple[str, int] | None = None

    @classmethod
    async def create_server(
        cls,
        bind: tuple[str | None, int | None] | None,
        ctx: MessageManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
    ) -> MessageInterfaceSimpleServer:
        """Open a socket that requests can be sent to.

        Args:
            bind: Host (address or name) and port (None for 5683; 0 leaves it to the system).
            ctx: Is told of datagrams and errors.
            log: Logger.
            loop: The running event loop.

        Raises:
            ValueError: There is no host, or it is that of all addresses or of a group.
            ResolutionError: The host's name can not be resolved.
            BindError: The address can not be had; it is an OSError as well.
        """
        hosts, port = await resolve_bind(loop, bind)
        if hosts is None or any(plain_host(one.host) in _ANY_ADDRESSES for one in hosts):
            raise ValueError("The transport can not be bound to any-address.")
        if any(is_multicast_host(one.host) for one in hosts):
            raise ValueError("The transport can not be bound to a multicast address.")
        # With port 0, the system would choose ports that others share already.
        family, sock = _bound(hosts, bool(port) and defaults.has_reuse_port())
        self = cls(ctx, log, loop)
        self._pool = pool = _OneSocket(self, log, loop, family)
        try:
            await loop.create_datagram_endpoint(lambda: pool, sock=sock)
        except BaseException:
            sock.close()
            raise
        self._bound = pool.local
        return self

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that the socket is bound to."""
        return self._bound

    def __repr__(self) -> str:
        bound = "nothing" if self._bound is None else hostportjoin(*self._bound)
        return f"<{type(self).__name__} bound to {bound}>"

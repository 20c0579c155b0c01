"""What the transports over asyncio's own datagram sockets have in common.

Here lives everything between the contract of a message interface and a pool of sockets, which is
what simple6 and simplesocketserver differ in; and the addresses that both use.

The room knows names and socket addresses; no socket.

RFC 7252 section 3 (UDP).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from .._faults import AnonymousHost
from ..address import EndpointAddress
from ..interfaces import MessageInterface
from ..numbers.constants import COAP_PORT
from ..util import hostportjoin
from .resolution import delivery_error, is_global_host, split_destination

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from logging import Logger

    from ..interfaces import MessageManager
    from ..message import Message

__all__ = ["GenericEndpointAddress", "GenericMessageInterface", "SocketPool"]

MAX_DATAGRAM_SIZE = 65536
"""Buffer size in bytes for asyncio's datagram transports: no datagram is larger.

Their own 256 KiB are more than allocators keep at hand, and cost more than all the rest.
"""


class GenericEndpointAddress(EndpointAddress):
    """A peer as it was named, and where that is.

    Addresses are equal if their hosts, as text, and ports are.

    Args:
        interface: The message interface that it belongs to.
        host: Address or name, perhaps with a zone.
        port: Port.
        sockaddr: Socket address that the host was resolved to.

    Attributes:
        interface: As given.
        host: As given.
        port: As given.
        sockaddr: As given.
        local: Host and port of the own end, or None where they are not known.
    """

    __slots__ = (
        "__weakref__",
        "_hash",
        "host",
        "interface",
        "is_global",
        "local",
        "port",
        "sockaddr",
    )

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False

    def __init__(
        self, interface: GenericMessageInterface, host: str, port: int, sockaddr: tuple[Any, ...]
    ) -> None:
        self.interface = interface
        self.host = host
        self.port = port
        self.sockaddr = sockaddr
        self.is_global = is_global_host(sockaddr[0])
        self.local: tuple[str, int] | None = None
        self._hash = hash((host, port))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenericEndpointAddress):
            return NotImplemented
        return self.host == other.host and self.port == other.port

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        local = "" if self.local is None else f" (locally {hostportjoin(*self.local)})"
        return f"<{type(self).__name__} {self.hostinfo}{local}>"

    @property
    def hostinfo(self) -> str:
        """Authority component (``host[:port]``) of URIs at this peer."""
        return hostportjoin(self.host, None if self.port == COAP_PORT else self.port)

    @property
    def hostinfo_local(self) -> str:
        """Authority component of URIs at the own end.

        Raises:
            AnonymousHost: The own address is not known.
        """
        if self.local is None:
            raise AnonymousHost("there is no socket for the address at the moment")
        host, port = self.local
        return hostportjoin(host, None if port == COAP_PORT else port)

    @property
    def uri_base(self) -> str:
        """Scheme and authority of the peer."""
        return f"{self.scheme}://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """Scheme and authority of the own end.

        Raises:
            AnonymousHost: The own address is not known.
        """
        return f"{self.scheme}://{self.hostinfo_local}"


class SocketPool(ABC):
    """The sockets of a :class:`GenericMessageInterface`.

    It calls the interface's ``received`` and ``failed``.
    """

    @abstractmethod
    async def connect(self, host: str, port: int) -> GenericEndpointAddress | None:
        """Return the address that a host and port are reached by.

        Args:
            host: Address or name, perhaps with a zone.
            port: Port.

        Returns:
            The address, or None where that kind of address is not for this transport.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: No socket can be had for it.
        """

    @abstractmethod
    def send(self, datagram: bytes, address: GenericEndpointAddress) -> None:
        """Send a datagram; nothing is raised."""

    @abstractmethod
    async def shutdown(self) -> None:
        """Close all sockets."""


class GenericMessageInterface(MessageInterface):
    """A message interface without its sockets.

    Args:
        ctx: Is told of datagrams and errors.
        log: Logger.
        loop: The running event loop.
    """

    schemes = frozenset(("coap",))

    def __init__(self, ctx: MessageManager, log: Logger, loop: AbstractEventLoop) -> None:
        self._ctx: MessageManager | None = ctx
        self._log = log
        self._loop = loop
        self._pool: SocketPool | None = None

    async def determine_remote(self, request: Message) -> GenericEndpointAddress | None:
        """Resolve where a request goes.

        Args:
            request: A request.

        Returns:
            The address, or None where the scheme is not ``coap`` or the address is a group's.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: No socket can be had for it.
        """
        destination = request.destination()
        if destination.scheme != "coap" or self._pool is None:
            return None
        return await self._pool.connect(*split_destination(destination.hostinfo))

    def recognize_remote(self, remote: EndpointAddress) -> bool:
        """Whether an address was made here."""
        return isinstance(remote, GenericEndpointAddress) and remote.interface is self

    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Send a datagram."""
        assert isinstance(remote, GenericEndpointAddress)  # managers ask recognize_remote
        if self._pool is not None:
            self._pool.send(datagram, remote)

    def received(self, datagram: bytes, address: GenericEndpointAddress) -> None:
        """Hand a datagram on; for the pool to call.

        Args:
            datagram: The bytes.
            address: Where they came from.
        """
        if self._ctx is not None:
            self._ctx.dispatch_datagram(datagram, address)

    def failed(self, exc: OSError, address: GenericEndpointAddress) -> None:
        """Report an error soon, as the one who called may be sending; for the pool to call.

        Args:
            exc: What the system says.
            address: Whose datagrams it is about.
        """
        self._loop.call_soon(self._dispatch_error, exc, address)

    def _dispatch_error(self, exc: OSError, address: GenericEndpointAddress) -> None:
        if self._ctx is not None:
            self._ctx.dispatch_error(delivery_error(exc, address.hostinfo), address)

    async def shutdown(self) -> None:
        """Close all sockets for good."""
        self._ctx = None
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.shutdown()

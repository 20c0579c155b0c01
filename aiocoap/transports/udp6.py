"""CoAP over UDP by a single socket: every address, every peer, multicast, and ICMP errors.

Here live the addresses that know both ends of an exchange, and the interface between one socket
and a message manager.

The room knows socket addresses and what comes with a datagram; how the socket is made it leaves
to ``udpsocket``, and it does not look into datagrams.

RFC 7252 sections 3, 4.2 (ICMP) and 8 (multicast), RFC 3542 (packet information), RFC 4007 (zones).

A response has to leave from the address that the request was sent to.  The system tells that
address with each datagram (the *packet information*), and takes it back with the response; a
:class:`UDP6EndpointAddress` carries it in between.  ICMP errors are read from the error queue,
which Linux alone has; elsewhere simple6 is the better client.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .. import defaults
from .._faults import AnonymousHost
from ..address import EndpointAddress
from ..interfaces import MessageInterface
from ..numbers.constants import COAP_PORT, SHUTDOWN_TIMEOUT
from ..util import hostportjoin
from ..util.asyncio.recvmsg import (
    RecvmsgDatagramProtocol,
    RecvmsgSelectorDatagramTransport,
    create_recvmsg_datagram_endpoint,
)
from ..util.socknumbers import (
    HAS_RECVERR,
    IP_RECVERR,
    IPV6_RECVERR,
    SO_EE_ORIGIN_ICMP,
    SO_EE_ORIGIN_ICMP6,
)
from .resolution import (
    Endpoint,
    delivery_error,
    endpoint_of_literal,
    host_of_sockaddr,
    interface_name,
    is_global_host,
    is_multicast_host,
    plain_host,
    resolve,
    resolve_bind,
    split_destination,
)
from .udpsocket import (
    ANY_ADDRESS,
    ANY_MAPPED,
    BROADCAST,
    V6,
    Family,
    family_of,
    is_group,
    is_link_local,
    join_groups,
    open_socket,
    sockaddr_of,
)

if TYPE_CHECKING:
    from logging import Logger

    from ..interfaces import MessageManager
    from ..message import Message

__all__ = [
    "InterfaceOnlyPktinfo",
    "MessageInterfaceUDP6",
    "SockExtendedErr",
    "UDP6EndpointAddress",
]

_MAX_SEEN = 1024
# Addresses that are kept, so that the same endpoint is the same object again. At the bound all
# are forgotten: strangers choose how many there are, and making one is cheap.

_MSG_TRUNC = int(socket.MSG_TRUNC)
# As a plain number, for enumerations take half a microsecond to calculate.

_ERROR_ITEMS = frozenset(((socket.IPPROTO_IPV6, IPV6_RECVERR), (socket.IPPROTO_IP, IP_RECVERR)))


class InterfaceOnlyPktinfo(bytes):
    """Packet information that was made to choose an outgoing interface, and has no address.

    It is used like any other; the class merely tells where it comes from.
    """

    __slots__ = ()


class UDP6EndpointAddress(EndpointAddress):
    """The two ends of an exchange over UDP.

    Addresses are equal if they are the same endpoint for the protocol: address, port and, for
    link-local addresses, zone of the peer.  fe80::1 on two links is two endpoints (RFC 7252
    section 4.5 keys messages by endpoint), so the zone counts there; it does not for other
    addresses, where it says only by which way they are to be reached.  The local address is not
    looked at.

    >>> interface = type("FakeMessageInterface", (), {})
    >>> UDP6EndpointAddress(("::ffff:127.0.0.1", 5683, 0, 0), interface).hostinfo
    '127.0.0.1'
    >>> UDP6EndpointAddress(("ff05::fd", 1234, 0, 0), interface).uri_base
    'coap://[ff05::fd]:1234'
    >>> UDP6EndpointAddress(("ff02::fd", 1234, 0, 1), interface).hostinfo
    '[ff02::fd%lo]:1234'

    Args:
        sockaddr: Socket address of the peer, of an IPv6 or IPv4 socket.
        interface: The :class:`MessageInterfaceUDP6` that it belongs to.
        pktinfo: Packet information: that of the datagram which came from there, or one that
            chooses the way there.

    Attributes:
        sockaddr: As given.
        interface: As given.
        pktinfo: As given.
        ancillary: Ancillary data to send with.
    """

    __slots__ = (
        "__weakref__",
        "_hash",
        "_key",
        "ancillary",
        "interface",
        "is_global",
        "is_multicast",
        "is_multicast_locally",
        "pktinfo",
        "sockaddr",
    )

    sockaddr: tuple[Any, ...]
    interface: Any
    pktinfo: bytes | None
    ancillary: Iterable[tuple[int, int, bytes]]
    is_multicast: bool
    is_multicast_locally: bool
    _key: tuple[Any, ...]

    scheme = "coap"

    def __init__(
        self, sockaddr: tuple[Any, ...], interface: Any, *, pktinfo: bytes | None = None
    ) -> None:
        host = sockaddr[0].partition("%")[0] if "%" in sockaddr[0] else sockaddr[0]
        self.sockaddr = sockaddr
        self.interface = interface
        self.pktinfo = pktinfo
        self._key = (host, sockaddr[1])
        if len(sockaddr) == 4 and sockaddr[3] and _means_a_link(host):
            self._key = (host, sockaddr[1], sockaddr[3])
        self._hash = hash(self._key)
        self.is_multicast = is_multicast_host(host)
        self.is_global = not self.is_multicast and is_global_host(host)
        self.is_multicast_locally = False
        self.ancillary = ()
        if pktinfo is not None:
            self._take_in(pktinfo, family_of(sockaddr))

    def _take_in(self, pktinfo: bytes, family: Family) -> None:
        """Find out what packet information means for datagrams to this address."""
        address, _ = family.unpack(pktinfo)
        if is_group(address):
            # Nothing can be sent from there; the zone of a link-local peer is in its address.
            self.is_multicast_locally = True
            return
        if type(pktinfo) is not InterfaceOnlyPktinfo and not is_link_local(address):
            # The way back is up to routing, which need not lead through the interface that the
            # datagram came in by.
            pktinfo = family.pack(address, 0)
        self.ancillary = ((*family.pktinfo, pktinfo),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UDP6EndpointAddress):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        local = ""
        if self.pktinfo is not None and type(self.pktinfo) is not InterfaceOnlyPktinfo:
            local = f" (locally {self._local_host()})"
        return f"<{type(self).__name__} {self.hostinfo}{local}>"

    def _local_host(self) -> str:
        assert self.pktinfo is not None  # callers have looked
        address, index = family_of(self.sockaddr).unpack(self.pktinfo)
        host = plain_host(socket.inet_ntop(socket.AF_INET6, address))
        return f"{host}%{interface_name(index)}" if is_link_local(address) else host

    @property
    def netif(self) -> str | None:
        """Name of the interface that the peer is reached by, where that is part of its address.

        That is so for link-local peers, and where the interface was given explicitly.
        """
        index = self.sockaddr[3] if len(self.sockaddr) == 4 else 0
        if not index and type(self.pktinfo) is InterfaceOnlyPktinfo:
            _, index = family_of(self.sockaddr).unpack(self.pktinfo)
        return interface_name(index) if index else None

    @property
    def hostinfo(self) -> str:
        """Authority component (``host[:port]``) of URIs at this peer."""
        host, port = plain_host(self._key[0]), self._key[1]
        netif = self.netif
        return hostportjoin(
            host if netif is None else f"{host}%{netif}", None if port == COAP_PORT else port
        )

    @property
    def hostinfo_local(self) -> str:
        """Authority component of URIs at the own end.

        Raises:
            AnonymousHost: The own address is not known, as nothing came in from the peer yet.
        """
        bound = self.interface.bound_address
        if self.pktinfo is not None and type(self.pktinfo) is not InterfaceOnlyPktinfo:
            host = self._local_host()
        elif bound is not None and bound[0] not in ("::", "0.0.0.0"):
            host = bound[0]
        else:
            raise AnonymousHost("which of the own addresses is used is not known yet")
        port = None if bound is None or bound[1] == COAP_PORT else bound[1]
        return hostportjoin(host, port)

    @property
    def uri_base(self) -> str:
        """Scheme and authority of the peer."""
        return f"coap://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """Scheme and authority of the own end.

        Raises:
            AnonymousHost: The own address is not known, as nothing came in from the peer yet.
        """
        return f"coap://{self.hostinfo_local}"

    def as_response_address(self) -> UDP6EndpointAddress:
        """Return the address itself, or one without the group that the request was sent to.

        RFC 7252 section 8.2: the response leaves from an address of the server's own.
        """
        if not self.is_multicast_locally:
            return self
        return UDP6EndpointAddress(self.sockaddr, self.interface)


def _means_a_link(host: str) -> bool:
    """Whether an IPv6 address, as the system writes it, means something on one link only."""
    return is_link_local(socket.inet_pton(socket.AF_INET6, host))


_SockExtendedErr = namedtuple(
    "_SockExtendedErr", "ee_errno ee_origin ee_type ee_code ee_pad ee_info ee_data"
)


class SockExtendedErr(_SockExtendedErr):
    """An item of the error queue (``struct sock_extended_err`` of Linux)."""

    __slots__ = ()

    _struct = struct.Struct("@IBBBBII")

    @classmethod
    def load(cls, data: bytes) -> SockExtendedErr:
        """Read it from ancillary data.

        >>> SockExtendedErr.load(bytes.fromhex("6f0000000203030000000000" "00000000")).ee_origin
        2

        Args:
            data: At least 16 bytes; what follows, the address of who complains, is ignored.

        Raises:
            ValueError: The data is shorter.
        """
        try:
            return cls(*cls._struct.unpack_from(data))
        except struct.error as exc:
            raise ValueError(f"no extended error: {exc}") from None

    @property
    def is_final(self) -> bool:
        """Whether it tells that a peer can not be reached, rather than of a mishap on the way.

        RFC 7252 section 4.2: unreachable hosts, networks, ports and protocols and parameter
        problems count; exceeded time, quench and too big packets do not.
        """
        if self.ee_origin == SO_EE_ORIGIN_ICMP:
            # Destination unreachable but for "fragmentation needed"; parameter problem.
            return bool((self.ee_type == 3 and self.ee_code != 4) or self.ee_type == 12)
        return bool(self.ee_origin == SO_EE_ORIGIN_ICMP6 and self.ee_type in (1, 4))


class MessageInterfaceUDP6(RecvmsgDatagramProtocol, MessageInterface):
    """The interface between one UDP socket and a message manager.

    Args:
        ctx: Is told of datagrams and errors.
        log: Logger.
        loop: The running event loop.
    """

    ready: asyncio.Future[None] | None = None
    """Done once the transport can be used."""

    schemes = frozenset(("coap",))

    def __init__(self, ctx: MessageManager, log: Logger, loop: asyncio.AbstractEventLoop) -> None:
        self._ctx: MessageManager | None = ctx
        self._log = log
        self._loop = loop
        self._transport: RecvmsgSelectorDatagramTransport | None = None
        self._lost = loop.create_future()
        self.ready = loop.create_future()
        self._bound: tuple[str, int] | None = None
        self._family = V6
        # Families of addresses that can be sent to: AF_UNSPEC is both.
        self._reaches = socket.AF_UNSPEC
        # Groups by address and interface.
        self._joined: set[tuple[bytes, int]] = set()
        # By sender and packet information.
        self._seen: dict[tuple[Any, bytes], UDP6EndpointAddress] = {}
        # By hostinfo, for addresses that need no resolver.
        self._literals: dict[str, UDP6EndpointAddress] = {}

    # Opening

    @classmethod
    async def create_client_transport_endpoint(
        cls, ctx: MessageManager, log: Logger, loop: asyncio.AbstractEventLoop
    ) -> MessageInterfaceUDP6:
        """Open a socket on all addresses, with a port that the system chooses.

        Args:
            ctx: Is told of datagrams and errors.
            log: Logger.
            loop: The running event loop.

        Raises:
            NetworkError: There is no socket to be had.
        """
        family, sock = open_socket(None, 0, reuse_port=False)
        return await cls._create(ctx, log, loop, family, sock)

    @classmethod
    async def create_server_transport_endpoint(
        cls,
        ctx: MessageManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        bind: tuple[str | None, int | None] | None,
        multicast: Sequence[str | tuple[str, str]],
    ) -> MessageInterfaceUDP6:
        """Open a socket that requests can be sent to.

        Args:
            ctx: Is told of datagrams and errors.
            log: Logger.
            loop: The running event loop.
            bind: Host (address or name; None for all addresses) and port (None for 5683; 0
                leaves it to the system), or None for both defaults.
            multicast: Groups to join: pairs of address and interface name; or interface names
                alone, which stand for the groups of all CoAP nodes and of all IPv6 nodes.

        Raises:
            ResolutionError: The host's name can not be resolved.
            BindError: The address can not be had; it is an OSError as well.
            NetworkError: A group can not be joined.
            ValueError: An argument is not of that form.
        """
        hosts, port = await resolve_bind(loop, bind)
        # With port 0, the system would choose ports that others share already.
        family, sock = open_socket(hosts, port, reuse_port=bool(port) and defaults.has_reuse_port())
        return await cls._create(ctx, log, loop, family, sock, multicast)

    @classmethod
    async def _create(
        cls,
        ctx: MessageManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        family: Family,
        sock: socket.socket,
        multicast: Sequence[str | tuple[str, str]] = (),
    ) -> MessageInterfaceUDP6:
        if not HAS_RECVERR:
            log.warning("ICMP errors can not be received by udp6 on this platform")
        try:
            self = cls(ctx, log, loop)
            self._settle(family, sock.getsockname())
            self._joined = join_groups(sock, family, multicast, log)
        except BaseException:
            sock.close()
            raise
        await create_recvmsg_datagram_endpoint(loop, lambda: self, sock)
        return self

    def _settle(self, family: Family, sockname: tuple[Any, ...]) -> None:
        """Take note of what the socket is bound to."""
        self._family = family
        host = host_of_sockaddr(sockname)
        self._bound = (host, sockname[1])
        if "." in host:
            self._reaches = socket.AF_INET
        elif host != "::":
            self._reaches = socket.AF_INET6

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport."""
        assert isinstance(transport, RecvmsgSelectorDatagramTransport)
        assert self.ready is not None
        self._transport = transport
        if not self.ready.done():
            self.ready.set_result(None)

    # Receiving

    def datagram_msg_received(
        self, data: bytes, ancdata: list[tuple[int, int, bytes]], flags: int, address: Any
    ) -> None:
        """Hand a datagram on, or as much of it as was received."""
        remote: UDP6EndpointAddress | None
        try:
            remote = self._seen[address, ancdata[0][2]]
        except LookupError:
            remote = self._first_seen(address, ancdata)
            if remote is None:
                return
        ctx = self._ctx
        if ctx is None:
            return
        if flags & _MSG_TRUNC:
            ctx.dispatch_beginning(data, remote)
        else:
            ctx.dispatch_datagram(data, remote)

    def _first_seen(
        self, sockaddr: tuple[Any, ...], ancdata: list[tuple[int, int, bytes]]
    ) -> UDP6EndpointAddress | None:
        """Return the address of a sender that is not remembered.

        It is None for what was sent to groups that other programs are in, or this one on other
        interfaces only: a server must not answer there (RFC 7252 section 8.1).
        """
        pktinfo = None
        for level, kind, data in ancdata:
            if (level, kind) == self._family.pktinfo:
                pktinfo = data
        remote = UDP6EndpointAddress(sockaddr, self, pktinfo=pktinfo)
        if pktinfo is not None:
            if remote.is_multicast_locally:
                local = self._family.unpack(pktinfo)
                if local not in self._joined and local[0] != BROADCAST:
                    return None
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen[sockaddr, pktinfo] = remote
        return remote

    def datagram_errqueue_received(
        self, data: bytes, ancdata: list[tuple[int, int, bytes]], flags: int, address: Any
    ) -> None:
        """Report that a peer can not be reached.

        RFC 7252 section 4.2.
        """
        for level, kind, item in ancdata:
            if (level, kind) not in _ERROR_ITEMS:
                continue
            try:
                error = SockExtendedErr.load(item)
            except ValueError:
                continue
            remote = UDP6EndpointAddress(address, self)
            if not error.is_final:
                self._log.debug("Ignored an ICMP message about %s: %s", remote, error)
                continue
            exc = OSError(error.ee_errno, os.strerror(error.ee_errno))
            self._dispatch_error(exc, data, remote)

    def error_received(self, exc: OSError) -> None:
        """Log an error that can not be told to belong to a peer."""
        self._log.debug("The socket reported an error: %s", exc)

    def send_failed(self, exc: OSError, data: bytes, address: Any) -> None:
        """Report that the system refused to send something."""
        self._dispatch_error(exc, data, UDP6EndpointAddress(address, self))

    def _dispatch_error(self, exc: OSError, datagram: bytes, remote: UDP6EndpointAddress) -> None:
        if self._ctx is not None:
            self._ctx.dispatch_error(delivery_error(exc, remote.hostinfo, datagram), remote)

    # Sending

    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        """Send a datagram from the address that the peer knows."""
        transport = self._transport
        if transport is not None:
            # Managers send to addresses of ours only; they ask recognize_remote.
            transport.sendmsg(datagram, remote.ancillary, 0, remote.sockaddr)  # type: ignore[attr-defined]

    async def determine_remote(self, request: Message) -> UDP6EndpointAddress | None:
        """Resolve where a request goes; for an IP address, without waiting for anything.

        Args:
            request: A request.

        Returns:
            The address, or None where the scheme is not ``coap``.

        Raises:
            ResolutionError: The name can not be resolved, or has no address that can be
                reached by this socket.
        """
        remote = self.determine_remote_now(request)
        if remote is not None:
            return remote
        destination = request.destination()
        if destination.scheme != "coap":
            return None
        host, port = split_destination(destination.hostinfo)
        return self._address_of((await resolve(self._loop, host, port, self._reaches))[0])

    def determine_remote_now(self, request: Message) -> UDP6EndpointAddress | None:
        """Resolve where a request goes, if that is an IP address.

        Args:
            request: A request.

        Returns:
            The address, or None where the host is a name, the scheme is not ``coap``, or the
            address can not be reached by this socket.

        Raises:
            ResolutionError: Host or port are malformed.
        """
        destination = request.destination()
        if destination.scheme != "coap":
            return None
        hostinfo = destination.hostinfo
        known = self._literals.get(hostinfo)
        if known is not None:
            return known
        host, port = split_destination(hostinfo)
        literal = endpoint_of_literal(host, port)
        if literal is None or self._reaches not in (socket.AF_UNSPEC, literal.family):
            return None
        remote = self._address_of(literal)
        if not literal.zone:  # interfaces come and go
            if len(self._literals) >= _MAX_SEEN:
                self._literals.clear()
            self._literals[hostinfo] = remote
        return remote

    def _address_of(self, endpoint: Endpoint) -> UDP6EndpointAddress:
        """Return the address of a resolved endpoint."""
        zone = endpoint.zone
        pktinfo = None
        if zone:
            # An IPv4 datagram on an IPv6 socket takes none but IPv4 addresses.
            address = ANY_ADDRESS if endpoint.family == socket.AF_INET6 else ANY_MAPPED
            pktinfo = InterfaceOnlyPktinfo(self._family.pack(address, zone))
        return UDP6EndpointAddress(sockaddr_of(self._family, endpoint), self, pktinfo=pktinfo)

    def recognize_remote(self, remote: EndpointAddress) -> bool:
        """Whether an address was made here."""
        return isinstance(remote, UDP6EndpointAddress) and remote.interface is self

    @property
    def bound_address(self) -> tuple[str, int] | None:
        """Host and port that the socket is bound to; the host is ``::`` for all addresses."""
        return self._bound

    # Ending

    async def shutdown(self) -> None:
        """Close the socket for good."""
        self._ctx = None
        self._seen.clear()
        self._literals.clear()
        transport = self._transport
        if transport is not None:
            transport.close()
            await asyncio.wait((self._lost,), timeout=SHUTDOWN_TIMEOUT)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def __repr__(self) -> str:
        state = "closed" if self._ctx is None else "bound to"
        bound = "nothing" if self._bound is None else hostportjoin(*self._bound)
        return f"<{type(self).__name__} {state} {bound}>"

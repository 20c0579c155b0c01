"""UDP sockets that tell at which of the own addresses a datagram came in.

Here live the options of such a socket, the ways to bind it and to join groups, and
:class:`Family`, which holds all that is different where a system has no IPv6.

The room knows the system's sockets; it knows no event loop, no peer and no message.

RFC 3542 (packet information), RFC 4007 (zones), RFC 7252 sections 8 (multicast) and 12.8 (groups).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._faults import NetworkError, ResolutionError
from ..util.socknumbers import (
    IP_PKTINFO,
    IP_RECVERR,
    IPV6_PKTINFO,
    IPV6_RECVERR,
    IPV6_RECVPKTINFO,
    MISSING,
)
from .resolution import (
    BindError,
    Endpoint,
    bind_error,
    endpoint_of_literal,
    interface_index,
    is_multicast_host,
    plain_host,
)

if TYPE_CHECKING:
    from logging import Logger

__all__ = [
    "ALL_COAP_NODES_V4",
    "ALL_NODES_V6",
    "ANY_ADDRESS",
    "ANY_MAPPED",
    "BROADCAST",
    "V4",
    "V6",
    "Family",
    "family_of",
    "is_group",
    "is_link_local",
    "join_groups",
    "open_socket",
    "sockaddr_of",
]

_MAPPED = b"\0" * 10 + b"\xff\xff"
ANY_ADDRESS = b"\0" * 16
"""``::``, of 16 bytes."""
ANY_MAPPED = _MAPPED + b"\0" * 4
"""``0.0.0.0`` as an IPv6 address."""
BROADCAST = _MAPPED + b"\xff" * 4
"""``255.255.255.255`` as an IPv6 address."""

ALL_COAP_NODES_V4 = "224.0.1.187"
"""Group of all CoAP nodes (RFC 7252 section 12.8)."""
ALL_NODES_V6 = ("ff02::fd", "ff05::fd", "ff02::1", "ff05::1")
"""Groups of all CoAP nodes and of all nodes, link-local and site-local (RFC 7252 section 12.8)."""


class Family(NamedTuple):
    """What is different between IPv6 sockets and IPv4 sockets."""

    af: int
    wildcard: str
    """Address to bind to for all addresses."""
    pktinfo: tuple[int, int]
    """Level and type of packet information as ancillary data."""
    pack: Callable[[bytes, int], bytes]
    """Makes packet information of a local address (16 bytes) and an interface."""
    unpack: Callable[[bytes], tuple[bytes, int]]
    """Takes it apart again."""
    required: tuple[tuple[int, int, int], ...]
    """Socket options (level, option, value) without which the transport would not be correct."""
    wanted: tuple[tuple[int, int, int], ...]
    """Socket options that are set where the system has them."""


def _pack4(address: bytes, index: int) -> bytes:
    # struct in_pktinfo: the source is taken from ipi_spec_dst.
    return struct.pack("@i4s4s", index, address[12:], b"\0" * 4)


def _unpack4(pktinfo: bytes) -> tuple[bytes, int]:
    # The destination in the header is ipi_addr; ipi_spec_dst would hide that it is a group.
    index, _, address = struct.unpack_from("@i4s4s", pktinfo)
    return _MAPPED + address, index


def _pack6(address: bytes, index: int) -> bytes:
    return struct.pack("@16sI", address, index)


def _unpack6(pktinfo: bytes) -> tuple[bytes, int]:
    address, index = struct.unpack_from("@16sI", pktinfo)
    return address, index


V6 = Family(
    af=socket.AF_INET6,
    wildcard="::",
    pktinfo=(socket.IPPROTO_IPV6, IPV6_PKTINFO),
    pack=_pack6,
    unpack=_unpack6,
    required=(
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0),
        (socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1),
    ),
    # Errors about IPv4 datagrams come only if they are asked for separately.
    wanted=((socket.IPPROTO_IPV6, IPV6_RECVERR, 1), (socket.IPPROTO_IP, IP_RECVERR, 1)),
)

V4 = Family(
    af=socket.AF_INET,
    wildcard="0.0.0.0",
    pktinfo=(socket.IPPROTO_IP, IP_PKTINFO),
    pack=_pack4,
    unpack=_unpack4,
    required=((socket.IPPROTO_IP, IP_PKTINFO, 1),),
    wanted=((socket.IPPROTO_IP, IP_RECVERR, 1),),
)


def family_of(sockaddr: Sequence[Any]) -> Family:
    """Return the family that a socket address is of."""
    return V4 if len(sockaddr) == 2 else V6


def is_link_local(packed: bytes) -> bool:
    """Whether an IPv6 address, of a node or of a group, means something on one link only."""
    if packed[0] == 0xFE:
        return packed[1] & 0xC0 == 0x80
    return packed[0] == 0xFF and packed[1] & 0x0F in (1, 2)


def is_group(packed: bytes) -> bool:
    """Whether an address is that of a group, or of everybody on an IPv4 link."""
    if packed[0] == 0xFF:
        return True
    return packed.startswith(_MAPPED) and (packed[12] & 0xF0 == 0xE0 or packed == BROADCAST)


# An address, or the whole of IPv6, is not there: another one may be.
_TRY_NEXT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT)


def sockaddr_of(family: Family, endpoint: Endpoint) -> tuple[Any, ...]:
    """Return an endpoint's socket address for sockets of a family."""
    if family is V4:
        return endpoint.host, endpoint.port
    if endpoint.family == socket.AF_INET:
        return f"::ffff:{endpoint.host}", endpoint.port, 0, 0
    # The zone is part of the address on the link only; elsewhere it is in the packet
    # information, as incoming datagrams have none.
    link_local = is_link_local(socket.inet_pton(socket.AF_INET6, endpoint.host))
    return endpoint.host, endpoint.port, 0, endpoint.zone if link_local else 0


def open_socket(
    hosts: list[Endpoint] | None, port: int, reuse_port: bool
) -> tuple[Family, socket.socket]:
    """Make a socket and bind it to the first address that can be had.

    Args:
        hosts: Addresses to try, or None for all addresses at once.
        port: Port, for all addresses.
        reuse_port: Whether it may be shared with other processes.

    Raises:
        BindError: None can be had.
    """
    tries: list[tuple[Family, tuple[Any, ...]]]
    if hosts is None:
        tries = [(V6, ("::", port, 0, 0)), (V4, ("0.0.0.0", port))]
    else:
        tries = []
        for host in hosts:
            tries.append((V6, sockaddr_of(V6, host)))
            if host.family == socket.AF_INET:
                tries.append((V4, sockaddr_of(V4, host)))
    first: BindError | None = None
    for family, sockaddr in tries:
        try:
            return family, _bound(family, sockaddr, reuse_port)
        except OSError as exc:
            first = first or bind_error(exc, plain_host(sockaddr[0]), sockaddr[1])
            if exc.errno not in _TRY_NEXT:
                break
    assert first is not None  # there was something to try
    raise first


def _bound(family: Family, sockaddr: tuple[Any, ...], reuse_port: bool) -> socket.socket:
    """Make a socket with all its options and bind it.

    Raises:
        OSError: The system refuses.
    """
    sock = socket.socket(family.af, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for level, option, value in family.required:
            sock.setsockopt(level, option, value)
        for level, option, value in family.wanted:
            if option != MISSING:
                _set_if_possible(sock, level, option, value)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_if_possible(sock: socket.socket, level: int, option: int, value: int) -> None:
    try:
        sock.setsockopt(level, option, value)
    except OSError as exc:
        # Emulations of Linux lack some; the transport is correct without, but less prompt.
        if exc.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EINVAL):
            raise


def join_groups(
    sock: socket.socket,
    family: Family,
    multicast: Sequence[str | tuple[str, str]],
    log: Logger,
) -> set[tuple[bytes, int]]:
    """Join the groups that a server was told to join.

    Args:
        sock: The socket.
        family: Its family.
        multicast: Pairs of address and interface name; or interface names alone, which stand for
            the groups of all CoAP nodes and of all IPv6 nodes.
        log: Is told of those groups of an interface that can not be joined.

    Returns:
        What was joined: addresses (16 bytes) and indices of interfaces.  The system does not look
        at the interface when it hands out multicast datagrams, so that others come in too.

    Raises:
        NetworkError: A group can not be joined; of the groups that an interface alone stands
            for, none.
        ValueError: An entry is neither an interface nor a pair of address and interface.
    """
    if isinstance(multicast, str):
        raise ValueError(f"multicast is a list, not a single string {multicast!r}")
    joined = set()
    for entry in multicast:
        if not isinstance(entry, str):
            try:
                group, interface = entry
            except (TypeError, ValueError):
                raise ValueError(
                    f"{entry!r} is neither an interface name nor a pair of address and name"
                ) from None
            joined.add(_join(sock, family, group, interface))
            continue
        problems = []
        groups = (ALL_COAP_NODES_V4, *(ALL_NODES_V6 if family is V6 else ()))
        for group in groups:
            try:
                joined.add(_join(sock, family, group, entry))
            except NetworkError as exc:
                problems.append(exc)
        if len(problems) == len(groups):
            raise problems[0]
        for problem in problems:
            log.warning("%s", problem)
    return joined


def _join(sock: socket.socket, family: Family, group: str, interface: str) -> tuple[bytes, int]:
    """Join a group on an interface; return the group's address (16 bytes) and the index.

    Raises:
        NetworkError: It is not possible; the text names both.
        ValueError: The group is no multicast address.
    """
    endpoint = endpoint_of_literal(group, 0)
    if endpoint is None or not is_multicast_host(endpoint.host):
        raise ValueError(f"{group!r} is no multicast address")
    try:
        index = interface_index(interface)
        packed = socket.inet_pton(endpoint.family, endpoint.host)
        if endpoint.family == socket.AF_INET6:
            if family is V4:
                raise ResolutionError("there is no IPv6 here")
            request = struct.pack("@16sI", packed, index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            # struct ip_mreqn; IPv6 sockets take it for the IPv4 datagrams that they get.
            request = struct.pack("@4s4si", packed, b"\0" * 4, index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:  # listed twice
            why = exc.strerror or exc
            raise NetworkError(f"can not join {group} on interface {interface}: {why}") from exc
    except ResolutionError as exc:
        raise NetworkError(f"can not join {group} on interface {interface}: {exc}") from exc
    return packed if endpoint.family == socket.AF_INET6 else _MAPPED + packed, index

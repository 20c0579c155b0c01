"""From what people write to socket addresses.

Here live the ways from host and port, as they stand in URIs and in the ``bind`` of a server, to
what the socket module takes.  Addresses are read without asking the resolver, so that they work
without any network and without waiting.

The room knows names, addresses and interfaces; no open socket and no message.

RFC 7252 section 6.1 (hosts of URIs), RFC 4007 (zones), RFC 6724 (order of addresses).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._faults import NetworkError, ResolutionError
from ..numbers.constants import COAP_PORT
from ..util import hostportjoin, hostportsplit

__all__ = [
    "BindError",
    "DeliveryError",
    "Endpoint",
    "bind_error",
    "delivery_error",
    "endpoint_of_literal",
    "host_of_sockaddr",
    "interface_index",
    "interface_name",
    "is_global_host",
    "is_multicast_host",
    "plain_host",
    "resolve",
    "resolve_bind",
    "split_destination",
]


class BindError(NetworkError, OSError):
    """A server can not have the address that it should be bound to.

    It is an :exc:`OSError` with the system's error number too, as programs that bind sockets
    expect one.
    """

    def __str__(self) -> str:
        return str(self.strerror)

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest another address or port."""
        if self.errno == errno.EACCES:
            return "Low ports (below 1024, usually) are the administrator's: choose another port."
        return "Check that the address is one of this machine, and that no other program uses it."


class Endpoint(NamedTuple):
    """A resolved host and port."""

    family: int
    """``AF_INET`` or ``AF_INET6``."""
    host: str
    """Address as the system writes it, without a zone."""
    port: int
    """0 to 65535."""
    zone: int
    """Index of the interface that was given, or 0."""

    @property
    def sockaddr(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """What a socket of the family connects or binds to."""
        if self.family == socket.AF_INET:
            return (self.host, self.port)
        return (self.host, self.port, 0, self.zone)

    @property
    def text(self) -> str:
        """The address as people write it, its zone by name."""
        host = plain_host(self.host)
        return f"{host}%{interface_name(self.zone)}" if self.zone else host


class DeliveryError(NetworkError):
    """A datagram did not get to where it was sent.

    Args:
        text: What happened.
        datagram: The beginning of the datagram, as far as the one who complains quotes it; who
            forges complaints would have to guess its Message ID and token (RFC 7252 section 4.2).
    """

    def __init__(self, text: str, datagram: bytes) -> None:
        super().__init__(text)
        self.datagram = datagram


def delivery_error(exc: OSError, hostinfo: str, datagram: bytes = b"") -> DeliveryError:
    """Wrap an error of the operating system.

    Args:
        exc: The error.
        hostinfo: Where the datagram was sent.
        datagram: What is known of it.
    """
    error = DeliveryError(f"can not send to {hostinfo}: {exc.strerror or exc}", datagram)
    error.__cause__ = exc
    return error


def interface_name(index: int) -> str:
    """Return the name of a network interface, or its number where it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def interface_index(name: str) -> int:
    """Return the index of a network interface, given by name or number.

    Raises:
        ResolutionError: There is none of that name.
    """
    if name.isascii() and name.isdigit() and 0 < int(name) < 2**31:
        return int(name)
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError) as exc:
        raise ResolutionError(f"there is no network interface {name!r}") from exc


def plain_host(host: str) -> str:
    """Return an address without the IPv6 clothes of an IPv4 address.

    >>> plain_host("::ffff:192.0.2.1"), plain_host("2001:db8::1")
    ('192.0.2.1', '2001:db8::1')
    """
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    return host


def host_of_sockaddr(sockaddr: tuple[Any, ...]) -> str:
    """Return the address in a socket address as people write it, its zone by name.

    >>> host_of_sockaddr(("fe80::1", 5683, 0, 1)), host_of_sockaddr(("::ffff:10.0.0.1", 1, 0, 0))
    ('fe80::1%lo', '10.0.0.1')
    """
    # Event loops differ in whether they put the zone into the address as well.
    host = plain_host(sockaddr[0].partition("%")[0])
    if len(sockaddr) == 4 and sockaddr[3]:
        return f"{host}%{interface_name(sockaddr[3])}"
    return host


def is_multicast_host(host: str) -> bool:
    """Whether an address, as the system writes it, is that of a group.

    >>> [is_multicast_host(h) for h in ("ff02::fd", "ff::1", "::ffff:224.0.1.187", "10.0.0.1")]
    [True, False, True, False]
    """
    if host.startswith("ff"):
        # Leading zeros are not written: ff::1 is 00ff::1.
        return host.find(":") == 4
    host = plain_host(host)
    return "." in host and ":" not in host and 224 <= int(host.partition(".")[0]) < 240


def is_global_host(host: str) -> bool:
    """Whether datagrams from an address can have been sent from anywhere in the world.

    They can not where routers let no such address pass: loopback, link-local and private
    networks (RFC 1918, RFC 3927, RFC 4193, RFC 4291).

    >>> [is_global_host(h) for h in ("2001:db8::1", "::ffff:198.51.100.7", "fd00::1", "10.0.0.1")]
    [True, True, False, False]

    Args:
        host: An address as the system writes it, perhaps with a zone.
    """
    host = plain_host(host.partition("%")[0])
    try:
        if ":" in host:
            packed = socket.inet_pton(socket.AF_INET6, host)
            return not (
                host in ("::", "::1") or packed[0] & 0xFE == 0xFC or packed[:2] in _LINK_LOCAL
            )
        first, second, _, _ = socket.inet_pton(socket.AF_INET, host)
    except OSError:
        # It is no address, so that nothing speaks for it.
        return True
    return not (
        first in (0, 10, 127)
        or (first, second) in ((169, 254), (192, 168))
        or (first == 172 and second & 0xF0 == 16)
    )


_LINK_LOCAL = frozenset(bytes((0xFE, second)) for second in range(0x80, 0xC0))


def endpoint_of_literal(host: str, port: int) -> Endpoint | None:
    """Read an IP address.

    >>> endpoint_of_literal("2001:0DB8::1", 5683).host
    '2001:db8::1'

    Args:
        host: Perhaps an address, without brackets, perhaps with a zone.
        port: Port to put into the result.

    Returns:
        An endpoint, or None where the host is not an address.

    Raises:
        ResolutionError: The zone is no network interface of this machine.
    """
    address, percent, zone = host.partition("%")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None
    index = interface_index(zone) if percent else 0
    return Endpoint(family, socket.inet_ntop(family, packed), port, index)


def split_destination(hostinfo: str, default_port: int = COAP_PORT) -> tuple[str, int]:
    """Split a destination, and fill in the port where it has none.

    Args:
        hostinfo: Authority of a URI.
        default_port: The port of the scheme.

    Raises:
        ResolutionError: It is not of the form ``host[:port]``.
    """
    try:
        host, port = hostportsplit(hostinfo)
    except ValueError as exc:
        raise ResolutionError(f"{hostinfo!r} is no destination: {exc}") from exc
    if not host:
        raise ResolutionError(f"{hostinfo!r} has no host")
    return host, default_port if port is None else port


async def resolve(
    loop: asyncio.AbstractEventLoop, host: str, port: int, family: int = socket.AF_UNSPEC
) -> list[Endpoint]:
    """Return the addresses of a host, the one to try first in front.

    Args:
        loop: Has the resolver.
        host: Address, or name; for an address nothing is waited for.
        port: Port to put into the results.
        family: ``AF_INET`` or ``AF_INET6`` to get no others.

    Raises:
        ResolutionError: There are none; the text names the host.
    """
    literal = endpoint_of_literal(host, port)
    if literal is not None:
        found = [literal]
    else:
        try:
            # The resolver puts those first that there is a route to (RFC 6724).  AI_ADDRCONFIG
            # is not asked for: it knows nothing of loopback.
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as exc:
            text = exc.strerror or str(exc)
            raise ResolutionError(f"the host name {host!r} can not be resolved: {text}") from exc
        except ValueError as exc:  # UnicodeError is one
            raise ResolutionError(f"{host!r} is no host name: {exc}") from exc
        found = [
            Endpoint(af, str(addr[0]).partition("%")[0], port, addr[3] if len(addr) == 4 else 0)
            for af, _, _, _, addr in infos
            if af in (socket.AF_INET, socket.AF_INET6)
        ]
    usable = [one for one in found if family in (socket.AF_UNSPEC, one.family)]
    if not usable:
        version = "IPv4" if family == socket.AF_INET else "IPv6"
        raise ResolutionError(f"{host!r} has no {version} address, and none else can be used here")
    return usable


async def resolve_bind(
    loop: asyncio.AbstractEventLoop, bind: tuple[str | None, int | None] | None
) -> tuple[list[Endpoint] | None, int]:
    """Read the ``bind`` argument of a server.

    Args:
        loop: Has the resolver.
        bind: Host (address, name, or None for all addresses) and port (None for that of CoAP),
            or None for both defaults.

    Returns:
        Endpoints to try one after the other, or None for all addresses; and the port.

    Raises:
        ResolutionError: The name can not be resolved.
        ValueError: It is not of that form.
    """
    if bind is None:
        bind = (None, None)
    if isinstance(bind, str) or len(bind) != 2:
        raise ValueError(f"bind is a pair of host and port, not {bind!r}")
    host, port = bind
    if port is None:
        port = COAP_PORT
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"{port!r} is no port number (0 to 65535)")
    if not host:
        return None, port
    return await resolve(loop, host.removeprefix("[").removesuffix("]"), port), port


def bind_error(exc: OSError, host: str, port: int) -> BindError:
    """Wrap the error of a bind call.

    Args:
        exc: The error.
        host: The address.
        port: The port.
    """
    why = os.strerror(exc.errno) if exc.errno else str(exc)
    error = BindError(exc.errno, f"can not bind to {hostportjoin(host, port)}: {why}")
    error.__cause__ = exc
    return error

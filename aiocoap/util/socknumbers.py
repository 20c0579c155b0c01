"""Socket options that not every Python names.

Here live the numbers of packet information and of the error queue, taken from :mod:`socket`
where it has them and from the system's headers otherwise.

The room knows numbers only; what they are good for is the transports' business.

RFC 3542 (advanced IPv6 socket interface); ip(7) and ipv6(7) of Linux.
"""

from __future__ import annotations

import socket
import sys

__all__ = [
    "HAS_PKTINFO",
    "HAS_RECVERR",
    "IPV6_PKTINFO",
    "IPV6_RECVERR",
    "IPV6_RECVPKTINFO",
    "IP_PKTINFO",
    "IP_RECVERR",
    "MISSING",
    "MSG_ERRQUEUE",
    "SO_EE_ORIGIN_ICMP",
    "SO_EE_ORIGIN_ICMP6",
    "SO_EE_ORIGIN_LOCAL",
]

MISSING = -1
"""Stands for a number that the platform does not have; no system call takes it."""

# From <linux/in.h>, <linux/in6.h> and <netinet6/in6.h>.
_HEADERS: dict[str, dict[str, int]] = {
    "linux": {
        "IPV6_RECVPKTINFO": 49,
        "IPV6_PKTINFO": 50,
        "IPV6_RECVERR": 25,
        "IP_PKTINFO": 8,
        "IP_RECVERR": 11,
        "MSG_ERRQUEUE": 0x2000,
    },
    "darwin": {"IPV6_RECVPKTINFO": 61, "IPV6_PKTINFO": 46},
    "freebsd": {"IPV6_RECVPKTINFO": 36, "IPV6_PKTINFO": 46},
}


def _number(name: str, platform: str = sys.platform) -> int:
    """Return what the socket module says, else what the platform's headers say.

    Args:
        name: Name of the constant.
        platform: As :data:`sys.platform`, of which a version at the end is not looked at.

    Returns:
        The number, or :data:`MISSING`.
    """
    headers = _HEADERS.get(platform.rstrip("0123456789"), {})
    return int(getattr(socket, name, headers.get(name, MISSING)))


IPV6_RECVPKTINFO = _number("IPV6_RECVPKTINFO")
"""Socket option: report the address and interface that a datagram was sent to."""
IPV6_PKTINFO = _number("IPV6_PKTINFO")
"""Ancillary data: address and interface at the own end of a datagram."""
IPV6_RECVERR = _number("IPV6_RECVERR")
"""Socket option: queue errors; ancillary data: an error."""
IP_PKTINFO = _number("IP_PKTINFO")
"""Socket option and ancillary data: address and interface at the own end of a datagram."""
IP_RECVERR = _number("IP_RECVERR")
"""Socket option: queue errors; ancillary data: an error."""
MSG_ERRQUEUE = _number("MSG_ERRQUEUE")
"""Flag of recvmsg: read the error queue."""

SO_EE_ORIGIN_LOCAL = 1
"""Origin of a queued error: the own system."""
SO_EE_ORIGIN_ICMP = 2
"""Origin of a queued error: an ICMP message."""
SO_EE_ORIGIN_ICMP6 = 3
"""Origin of a queued error: an ICMPv6 message."""

HAS_PKTINFO = MISSING not in (IPV6_RECVPKTINFO, IPV6_PKTINFO) and hasattr(socket.socket, "recvmsg")
"""Whether one IPv6 socket can tell which of the own addresses a datagram was sent to."""

HAS_RECVERR = MISSING not in (IPV6_RECVERR, IP_RECVERR, MSG_ERRQUEUE)
"""Whether ICMP errors can be read from an unconnected socket, as Linux allows."""

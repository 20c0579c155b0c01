"""Addresses and errors of udp6; what it does with sockets is in the conformance suite."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from typing import Any

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.error import AnonymousHost, NetworkError, ResolutionError
from aiocoap.message import Message
from aiocoap.transports import udp6
from aiocoap.transports.resolution import DeliveryError
from aiocoap.transports.udp6 import (
    InterfaceOnlyPktinfo,
    MessageInterfaceUDP6,
    SockExtendedErr,
    UDP6EndpointAddress,
)
from aiocoap.transports.udpsocket import V4, V6

LOG = logging.getLogger("tests.udp6")


class Interface:
    """What an address asks of its interface."""

    def __init__(self, *bound: Any) -> None:
        self.bound_address = bound or None


ANYWHERE = Interface("::", 5683)


def address(
    host: str, port: int = 5683, zone: int = 0, local: str | None = None, via: int = 1
) -> UDP6EndpointAddress:
    pktinfo = None if local is None else V6.pack(socket.inet_pton(socket.AF_INET6, local), via)
    return UDP6EndpointAddress((host, port, 0, zone), ANYWHERE, pktinfo=pktinfo)


def address4(host: str, local: str | None = None) -> UDP6EndpointAddress:
    pktinfo = None
    if local is not None:
        pktinfo = struct.pack("@i4s4s", 1, bytes((10, 0, 0, 1)), socket.inet_aton(local))
    return UDP6EndpointAddress((host, 5683), ANYWHERE, pktinfo=pktinfo)


def test_the_peer_alone_makes_addresses_equal() -> None:
    one = address("2001:db8::1", local="2001:db8::2")
    assert one == address("2001:db8::1", local="2001:db8::3") == address("2001:db8::1")
    assert hash(one) == hash(address("2001:db8::1"))
    assert one != address("2001:db8::1", port=5684)
    assert one != address("2001:db8::2")
    assert one != "2001:db8::1"
    assert one == UDP6EndpointAddress(one.sockaddr, Interface("::1", 1))


def test_zones_tell_link_local_peers_apart_and_no_others() -> None:
    assert address("fe80::1", zone=1) != address("fe80::1", zone=2)
    assert hash(address("fe80::1", zone=1)) != hash(address("fe80::1", zone=2))
    assert address("fe80::1", zone=1) == address("fe80::1%lo", zone=1)
    assert address("2001:db8::1", zone=1) == address("2001:db8::1")


@pytest.mark.parametrize(
    ("one", "hostinfo"),
    [
        (address("2001:db8::1"), "[2001:db8::1]"),
        (address("2001:db8::1", 61616), "[2001:db8::1]:61616"),
        (address("::ffff:192.0.2.1", 7), "192.0.2.1:7"),
        (address4("192.0.2.1"), "192.0.2.1"),
        (address("fe80::1", zone=1), "[fe80::1%lo]"),
        (address("fe80::1%lo", zone=1), "[fe80::1%lo]"),
        (address("fe80::1", zone=987654), "[fe80::1%987654]"),
        (address("ff05::fd"), "[ff05::fd]"),
    ],
)
def test_hostinfo(one: UDP6EndpointAddress, hostinfo: str) -> None:
    assert one.hostinfo == hostinfo
    assert one.uri_base == f"coap://{hostinfo}"
    assert one.scheme == "coap"
    assert repr(one) == f"<UDP6EndpointAddress {hostinfo}>"


def test_the_own_end() -> None:
    peer = address("2001:db8::1", 7, local="2001:db8::2")
    assert peer.hostinfo_local == "[2001:db8::2]"
    assert peer.uri_base_local == "coap://[2001:db8::2]"
    assert repr(peer) == "<UDP6EndpointAddress [2001:db8::1]:7 (locally 2001:db8::2)>"
    assert address("fe80::1", zone=1, local="fe80::2").hostinfo_local == "[fe80::2%lo]"
    assert address("::ffff:10.0.0.1", local="::ffff:10.0.0.2").hostinfo_local == "10.0.0.2"
    assert address4("10.0.0.1", local="10.0.0.2").hostinfo_local == "10.0.0.2"
    peer.interface = Interface("::", 61616)
    assert peer.hostinfo_local == "[2001:db8::2]:61616"


def test_the_own_end_may_be_known_from_the_socket_alone() -> None:
    peer = address("2001:db8::1")
    with pytest.raises(AnonymousHost):
        _ = peer.hostinfo_local
    with pytest.raises(AnonymousHost):
        _ = peer.uri_base_local
    peer.interface = Interface("2001:db8::2", 5683)
    assert peer.hostinfo_local == "[2001:db8::2]"
    peer.interface = Interface()
    with pytest.raises(AnonymousHost):
        _ = peer.hostinfo_local


def test_answers_leave_from_where_the_request_went() -> None:
    peer = address("2001:db8::1", local="2001:db8::2", via=7)
    (item,) = peer.ancillary
    # By whatever interface routing says.
    assert item == (
        socket.IPPROTO_IPV6,
        50,
        V6.pack(socket.inet_pton(socket.AF_INET6, "2001:db8::2"), 0),
    )
    assert peer.as_response_address() is peer
    peer = address("2001:db8::1", local="fe80::2", via=7)
    # But an address that means something on one link only needs that link.
    assert list(peer.ancillary) == [(socket.IPPROTO_IPV6, 50, peer.pktinfo)]
    assert list(address4("10.0.0.1", local="10.0.0.2").ancillary) == [
        (socket.IPPROTO_IP, 8, bytes(4) + bytes((10, 0, 0, 2)) + bytes(4))
    ]
    assert list(address("2001:db8::1").ancillary) == []


@pytest.mark.parametrize(
    "peer",
    [
        address("fe80::1", zone=1, local="ff02::fd"),
        address("2001:db8::1", local="ff05::fd"),
        address("::ffff:10.0.0.1", local="::ffff:224.0.1.187"),
        address("::ffff:10.0.0.1", local="::ffff:255.255.255.255"),
        address4("10.0.0.1", local="224.0.1.187"),
    ],
)
def test_answers_to_groups_leave_from_an_address_of_our_own(peer: UDP6EndpointAddress) -> None:
    assert peer.is_multicast_locally
    assert not peer.is_multicast
    assert list(peer.ancillary) == []
    answer = peer.as_response_address()
    assert answer == peer
    assert not answer.is_multicast_locally
    assert answer.pktinfo is None
    assert answer.sockaddr == peer.sockaddr


def test_groups_are_told_by_their_address() -> None:
    assert address("ff02::fd", zone=1).is_multicast
    assert address("::ffff:224.0.1.187").is_multicast
    assert address4("224.0.1.187").is_multicast
    assert not address("::ffff:10.0.0.1").is_multicast


def test_an_interface_can_be_chosen() -> None:
    pktinfo = InterfaceOnlyPktinfo(V6.pack(bytes(16), 1))
    assert pktinfo == V6.pack(bytes(16), 1)
    one = UDP6EndpointAddress(("ff05::fd", 5683, 0, 0), ANYWHERE, pktinfo=pktinfo)
    assert one.netif == "lo"
    assert one.hostinfo == "[ff05::fd%lo]"
    assert list(one.ancillary) == [(socket.IPPROTO_IPV6, 50, pktinfo)]
    assert repr(one) == "<UDP6EndpointAddress [ff05::fd%lo]>"
    assert not one.is_multicast_locally
    with pytest.raises(AnonymousHost):
        _ = one.hostinfo_local
    assert address("ff05::fd").netif is None


def error_item(origin: int, kind: int, code: int = 0, number: int = errno.ECONNREFUSED) -> bytes:
    return struct.pack("@IBBBBII", number, origin, kind, code, 0, 0, 0)


def test_extended_errors_are_read() -> None:
    error = SockExtendedErr.load(error_item(2, 3, 1, errno.EHOSTUNREACH) + b"offender")
    assert error.ee_errno == errno.EHOSTUNREACH
    assert (error.ee_origin, error.ee_type, error.ee_code) == (2, 3, 1)
    with pytest.raises(ValueError, match="error"):
        SockExtendedErr.load(b"short")


@pytest.mark.parametrize(
    ("origin", "kind", "code", "final"),
    [
        (2, 3, 3, True),  # port unreachable
        (2, 3, 1, True),  # host unreachable
        (2, 3, 4, False),  # fragmentation needed
        (2, 4, 0, False),  # source quench
        (2, 11, 0, False),  # time exceeded
        (2, 12, 0, True),  # parameter problem
        (3, 1, 4, True),  # port unreachable
        (3, 2, 0, False),  # packet too big
        (3, 3, 0, False),  # time exceeded
        (3, 4, 1, True),  # parameter problem
        (1, 0, 0, False),  # local
    ],
)
def test_which_icmp_messages_count(origin: int, kind: int, code: int, final: bool) -> None:
    assert SockExtendedErr.load(error_item(origin, kind, code)).is_final is final


class Manager:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def dispatch_datagram(self, datagram: bytes, remote: Any) -> None:
        self.told.append((datagram, remote))

    dispatch_error: Any = dispatch_datagram

    def dispatch_beginning(self, datagram: bytes, remote: Any) -> None:
        self.told.append((datagram, "cut", remote))


class Transport:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def sendmsg(self, *args: Any) -> None:
        self.sent.append(args)


def interface(family: Any = V6, sockname: tuple[Any, ...] = ("::", 5683, 0, 0)) -> Any:
    loop: Any = asyncio.get_running_loop()
    it: Any = MessageInterfaceUDP6(Manager(), LOG, loop)  # type: ignore[arg-type]
    it._settle(family, sockname)
    it._transport = Transport()
    return it


def pktinfo(local: str, via: int = 1) -> list[tuple[int, int, bytes]]:
    return [(socket.IPPROTO_IPV6, 50, V6.pack(socket.inet_pton(socket.AF_INET6, local), via))]


PEER = ("2001:db8::1", 7, 0, 0)


async def test_the_same_peer_is_the_same_object() -> None:
    it = interface()
    for data in (b"a", b"b"):
        it.datagram_msg_received(data, pktinfo("::1"), 0, PEER)
    it.datagram_msg_received(b"c", pktinfo("::2"), 0, PEER)
    (a, one), (b, two), (c, three) = it._ctx.told
    assert (a, b, c) == (b"a", b"b", b"c")
    assert one is two
    assert one is not three
    assert one == three
    assert it.recognize_remote(one)
    assert not interface().recognize_remote(one)
    assert not it.recognize_remote(UndecidedRemote("coap", "[::1]"))


async def test_the_number_of_peers_that_are_kept_is_bounded() -> None:
    it = interface()
    for port in range(1, 3000):
        it.datagram_msg_received(b"", pktinfo("::1"), 0, ("2001:db8::1", port, 0, 0))
        assert len(it._seen) <= 1024
    for n in range(3000):
        await it.determine_remote(Message(uri=f"coap://10.0.{n // 250}.{n % 250}/"))
        assert len(it._literals) <= 1024


async def test_datagrams_without_packet_information() -> None:
    it = interface()
    it.datagram_msg_received(b"a", [], 0, PEER)
    it.datagram_msg_received(b"b", [(1, 2, b"other")], 0, PEER)
    assert [remote.pktinfo for _, remote in it._ctx.told] == [None, None]
    assert it._seen == {}


async def test_what_was_cut_short_is_no_datagram() -> None:
    it = interface()
    it.datagram_msg_received(b"a", pktinfo("::1"), socket.MSG_TRUNC, PEER)
    [(data, how, remote)] = it._ctx.told
    assert (data, how) == (b"a", "cut")
    assert it.recognize_remote(remote)
    told, it._ctx = it._ctx.told, None
    it.datagram_msg_received(b"a", pktinfo("::1"), 0, PEER)
    assert len(told) == 1, "it is closed"


async def test_only_groups_that_were_joined_there_are_answered() -> None:
    it = interface()
    group = socket.inet_pton(socket.AF_INET6, "ff02::fd")
    it._joined = {(group, 1)}
    peer = ("::ffff:10.0.0.1", 7, 0, 0)
    for local, via in (("ff02::fd", 2), ("ff02::1", 1), ("::ffff:224.0.1.187", 1)):
        it.datagram_msg_received(b"no", pktinfo(local, via), 0, peer)
    assert it._ctx.told == []
    assert it._seen == {}
    it.datagram_msg_received(b"yes", pktinfo("ff02::fd", 1), 0, peer)
    it.datagram_msg_received(b"everybody", pktinfo("::ffff:255.255.255.255", 1), 0, peer)
    assert [data for data, _ in it._ctx.told] == [b"yes", b"everybody"]


async def test_errors_from_the_queue_are_told() -> None:
    it = interface()
    for kind in ((socket.IPPROTO_IPV6, 25), (socket.IPPROTO_IP, 11)):
        item = [*pktinfo("::1"), (*kind, error_item(3, 1, 4))]
        it.datagram_errqueue_received(b"quoted", item, 0x2000, PEER)
    for error, remote in it._ctx.told:
        assert isinstance(error, DeliveryError)
        assert error.datagram == b"quoted"
        assert isinstance(error.__cause__, ConnectionRefusedError)
        assert remote == UDP6EndpointAddress(PEER, it)
        assert "[2001:db8::1]:7" in str(error)
    assert len(it._ctx.told) == 2


async def test_other_items_of_the_queue_are_not() -> None:
    it = interface()
    for data in (error_item(3, 3), b"short"):
        it.datagram_errqueue_received(b"", [(socket.IPPROTO_IPV6, 25, data)], 0x2000, PEER)
    it.datagram_errqueue_received(b"", [], 0x2000, PEER)
    it.error_received(OSError(errno.ECONNREFUSED, "refused"))
    assert it._ctx.told == []


async def test_what_the_system_refuses_is_told() -> None:
    it = interface()
    it.send_failed(OSError(errno.ENETUNREACH, "Network is unreachable"), b"data", PEER)
    ((error, remote),) = it._ctx.told
    assert isinstance(error, NetworkError)
    assert error.datagram == b"data"
    assert it.recognize_remote(remote)
    it._ctx = None
    it.send_failed(OSError(errno.ENETUNREACH, "Network is unreachable"), b"data", PEER)
    it.datagram_msg_received(b"late", pktinfo("::1"), 0, PEER)


async def test_sending() -> None:
    it = interface()
    it.datagram_msg_received(b"a", pktinfo("::1"), 0, PEER)
    ((_, remote),) = it._ctx.told
    it.send_datagram(b"b", remote)
    assert it._transport.sent == [(b"b", remote.ancillary, 0, PEER)]
    it.connection_lost(None)
    it.send_datagram(b"c", remote)
    await it.shutdown()


def resolved(it: Any, hostinfo: str) -> UDP6EndpointAddress:
    """Resolve an address, which must not wait for anything."""
    request = Message()
    request.unresolved_remote = hostinfo
    with pytest.raises(StopIteration) as done:
        it.determine_remote(request).send(None)
    assert isinstance(done.value.value, UDP6EndpointAddress)
    assert it.determine_remote_now(request) == done.value.value
    return done.value.value


async def test_addresses_are_resolved_without_waiting() -> None:
    it = interface()
    one = resolved(it, "[2001:db8:0::1]:7")
    assert one.sockaddr == PEER
    assert resolved(it, "[2001:db8:0::1]:7") is one
    assert one.pktinfo is None
    assert resolved(it, "10.0.0.1").sockaddr == ("::ffff:10.0.0.1", 5683, 0, 0)
    zoned = resolved(it, "[ff02::fd%lo]")
    assert zoned.sockaddr == ("ff02::fd", 5683, 0, 1)
    assert zoned.pktinfo == V6.pack(bytes(16), 1)
    assert resolved(it, "[ff02::fd%lo]") is not zoned  # interfaces come and go
    assert resolved(it, "224.0.1.187%lo").pktinfo == V6.pack(
        socket.inet_pton(socket.AF_INET6, "::ffff:0.0.0.0"), 1
    )


async def test_ipv4_sockets_reach_ipv4_alone() -> None:
    it = interface(V4, ("0.0.0.0", 5683))
    assert resolved(it, "10.0.0.1").sockaddr == ("10.0.0.1", 5683)
    zoned = resolved(it, "224.0.1.187%lo")
    assert list(zoned.ancillary) == [
        (socket.IPPROTO_IP, 8, struct.pack("@i4s4s", 1, bytes(4), bytes(4)))
    ]
    assert zoned.netif == "lo"
    with pytest.raises(ResolutionError, match="::1"):
        await it.determine_remote(Message(uri="coap://[::1]/"))


@pytest.mark.parametrize(
    ("bound", "other"),
    [("::ffff:127.0.0.1", "coap://[::1]/"), ("::1", "coap://127.0.0.1/")],
)
async def test_sockets_on_one_address_reach_its_kind(bound: str, other: str) -> None:
    it = interface(sockname=(bound, 5683, 0, 0))
    with pytest.raises(ResolutionError, match=r"'(::1|127\.0\.0\.1)'"):
        await it.determine_remote(Message(uri=other))


async def test_other_schemes_are_for_others() -> None:
    assert await interface().determine_remote(Message(uri="coaps://[::1]/")) is None


async def test_names_take_the_first_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(loop: Any, host: str, port: int, family: int) -> list[Any]:
        assert (host, port, family) == ("name.example", 5683, socket.AF_UNSPEC)
        return [udp6.Endpoint(socket.AF_INET6, "fe80::1", port, 1), None]

    monkeypatch.setattr(udp6, "resolve", resolve)
    remote = await interface().determine_remote(Message(uri="coap://name.example/"))
    assert remote.hostinfo == "[fe80::1%lo]"


async def test_what_it_is_bound_to() -> None:
    it = interface(sockname=("fe80::1", 7, 0, 1))
    assert it.bound_address == ("fe80::1%lo", 7)
    assert repr(it) == "<MessageInterfaceUDP6 bound to [fe80::1%lo]:7>"
    it._transport = None
    await it.shutdown()
    assert "closed" in repr(it)
    fresh = MessageInterfaceUDP6(Manager(), LOG, asyncio.get_running_loop())  # type: ignore[arg-type]
    assert "nothing" in repr(fresh)


async def test_platforms_without_error_queue_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Socket:
        closed = False

        def getsockname(self) -> Any:
            raise OSError("enough")

        def close(self) -> None:
            self.closed = True

    sock: Any = Socket()
    monkeypatch.setattr(udp6, "HAS_RECVERR", False)
    monkeypatch.setattr(udp6, "open_socket", lambda *args, **kwargs: (V6, sock))
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError, match="enough"):
        await MessageInterfaceUDP6.create_client_transport_endpoint(Manager(), LOG, loop)  # type: ignore[arg-type]
    assert "ICMP" in caplog.text
    assert sock.closed

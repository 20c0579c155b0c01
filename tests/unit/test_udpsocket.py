"""Options, binding and groups of UDP sockets, on a system that is made up."""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Any

import pytest

from aiocoap.error import NetworkError
from aiocoap.transports.resolution import BindError, Endpoint
from aiocoap.transports.udpsocket import (
    ALL_COAP_NODES_V4,
    ALL_NODES_V6,
    V4,
    V6,
    family_of,
    is_group,
    is_link_local,
    join_groups,
    open_socket,
    sockaddr_of,
)

LOG = logging.getLogger("tests.udpsocket")


class System:
    """Sockets are refused what ``refusals`` says: by family, option or address bound to."""

    def __init__(self) -> None:
        self.refusals: dict[Any, int] = {}
        self.sockets: list[Socket] = []

    def check(self, what: Any) -> None:
        if what in self.refusals:
            number = self.refusals[what]
            raise OSError(number, os.strerror(number))


class Socket:
    """A socket of it."""

    def __init__(self, system: System, family: int) -> None:
        system.check(family)
        self.system = system
        self.family = family
        self.options: dict[tuple[int, int], Any] = {}
        self.bound: Any = None
        self.closed = False
        system.sockets.append(self)

    def setblocking(self, flag: bool) -> None:
        assert flag is False

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self.system.check((level, option))
        self.system.check((level, option, value))
        self.options[level, option] = value

    def bind(self, address: Any) -> None:
        self.system.check(address[0])
        self.bound = address

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """A system that can do all."""
    it = System()
    monkeypatch.setattr(socket, "socket", lambda family, kind: Socket(it, family))
    return it


RECVERR6, RECVERR4 = (socket.IPPROTO_IPV6, 25), (socket.IPPROTO_IP, 11)
REUSEPORT = (socket.SOL_SOCKET, socket.SO_REUSEPORT)


def opened(*hosts: Endpoint, port: int = 5683, reuse_port: bool = False) -> tuple[Any, Any]:
    family, sock = open_socket(list(hosts) or None, port, reuse_port)
    return family, sock


def test_one_ipv6_socket_serves_all(system: System) -> None:
    family, sock = opened()
    assert family is V6
    assert sock.bound == ("::", 5683, 0, 0)
    assert sock.options[socket.IPPROTO_IPV6, socket.IPV6_V6ONLY] == 0
    assert sock.options[socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO] == 1
    assert sock.options[RECVERR6] == sock.options[RECVERR4] == 1
    assert REUSEPORT not in sock.options
    assert not sock.closed


def test_ports_are_shared_if_that_is_asked_for(system: System) -> None:
    assert opened(reuse_port=True)[1].options[REUSEPORT] == 1


@pytest.mark.parametrize(
    ("what", "number"),
    [
        (socket.AF_INET6, errno.EAFNOSUPPORT),
        ("::", errno.EADDRNOTAVAIL),
        ((socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO), errno.ENOPROTOOPT),
    ],
)
def test_without_ipv6_there_is_ipv4(system: System, what: Any, number: int) -> None:
    system.refusals[what] = number
    family, sock = opened()
    assert family is V4
    assert sock.bound == ("0.0.0.0", 5683)
    assert sock.options == {(socket.IPPROTO_IP, 8): 1, RECVERR4: 1}
    assert all(other.closed for other in system.sockets if other is not sock)
    family, sock = opened(Endpoint(socket.AF_INET, "127.0.0.1", 7, 0))
    assert sock.bound[1] == 7


def test_addresses_are_bound_to(system: System) -> None:
    family, sock = opened(Endpoint(socket.AF_INET, "127.0.0.1", 7, 0))
    assert family is V6
    assert sock.bound == ("::ffff:127.0.0.1", 7, 0, 0)
    family, sock = opened(Endpoint(socket.AF_INET6, "fe80::1", 7, 3))
    assert sock.bound == ("fe80::1", 7, 0, 3)


def test_of_several_addresses_the_first_that_is_there(system: System) -> None:
    system.refusals["2001:db8::1"] = errno.EADDRNOTAVAIL
    names = (
        Endpoint(socket.AF_INET6, "2001:db8::1", 7, 0),
        Endpoint(socket.AF_INET, "192.0.2.1", 7, 0),
    )
    assert opened(*names)[1].bound == ("::ffff:192.0.2.1", 7, 0, 0)
    assert [sock.closed for sock in system.sockets] == [True, False]


def test_a_port_in_use_is_an_error_at_once(system: System) -> None:
    system.refusals["::"] = errno.EADDRINUSE
    with pytest.raises(BindError, match=r"\[::\]:5683: Address already in use") as caught:
        opened()
    assert caught.value.errno == errno.EADDRINUSE
    assert isinstance(caught.value.__cause__, OSError)
    assert [sock.closed for sock in system.sockets] == [True]


def test_the_first_problem_is_told(system: System) -> None:
    system.refusals.update({"::ffff:192.0.2.1": errno.EADDRNOTAVAIL, "192.0.2.1": errno.EACCES})
    with pytest.raises(BindError, match=r"192\.0\.2\.1:7: Cannot assign") as caught:
        opened(Endpoint(socket.AF_INET, "192.0.2.1", 7, 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_emulated_systems_may_lack_the_error_queue(system: System) -> None:
    system.refusals[RECVERR6] = errno.ENOPROTOOPT
    assert opened()[0] is V6
    system.refusals[RECVERR6] = errno.EPERM
    with pytest.raises(BindError):
        opened()


def joined(family: Any, *multicast: Any) -> tuple[Any, set[tuple[bytes, int]]]:
    sock: Any = Socket(System(), family.af)
    return sock, join_groups(sock, family, list(multicast), LOG)


def packed(*groups: str) -> set[tuple[bytes, int]]:
    return {(socket.inet_pton(socket.AF_INET6, group), 1) for group in groups}


def test_pairs_are_joined() -> None:
    sock, groups = joined(V6, ("ff05::1234", "lo"), ("224.0.1.1", "lo"))
    assert groups == packed("ff05::1234", "::ffff:224.0.1.1")
    request = sock.options[socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP]
    assert request == socket.inet_pton(socket.AF_INET6, "ff05::1234") + (1).to_bytes(4, "little")
    request = sock.options[socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP]
    assert request == bytes((224, 0, 1, 1)) + bytes(4) + (1).to_bytes(4, "little")


def test_interfaces_stand_for_the_groups_of_everybody() -> None:
    assert joined(V6, "lo")[1] == packed(f"::ffff:{ALL_COAP_NODES_V4}", *ALL_NODES_V6)
    assert joined(V4, "lo")[1] == packed(f"::ffff:{ALL_COAP_NODES_V4}")


def test_groups_may_be_listed_twice() -> None:
    system = System()
    system.refusals[socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP] = errno.EADDRINUSE
    sock: Any = Socket(system, socket.AF_INET6)
    assert join_groups(sock, V6, [("ff05::1", "lo")], LOG) == packed("ff05::1")


@pytest.mark.parametrize(
    ("family", "entry", "words"),
    [
        (V6, ("ff05::1", "nothing"), "ff05::1 .*nothing"),
        (V6, "nothing", "224.0.1.187 .*nothing"),
        (V4, ("ff05::1", "lo"), "ff05::1 .*lo.*no IPv6"),
    ],
)
def test_what_can_not_be_joined_is_named(family: Any, entry: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        joined(family, entry)


def test_some_groups_of_an_interface_may_not_be_there(caplog: pytest.LogCaptureFixture) -> None:
    system = System()
    system.refusals[socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP] = errno.ENODEV
    sock: Any = Socket(system, socket.AF_INET6)
    assert join_groups(sock, V6, ["lo"], LOG) == packed(f"::ffff:{ALL_COAP_NODES_V4}")
    assert len(caplog.records) == len(ALL_NODES_V6)
    assert "ff02::fd" in caplog.text
    with pytest.raises(NetworkError, match="ff02::fd"):
        join_groups(sock, V6, [("ff02::fd", "lo")], LOG)


@pytest.mark.parametrize("multicast", ["lo", [("ff05::1",)], [5], [("::1", "lo")], [("x", "lo")]])
def test_other_entries_are_errors(multicast: Any) -> None:
    sock: Any = Socket(System(), socket.AF_INET6)
    with pytest.raises(ValueError, match=r"list|interface|multicast"):
        join_groups(sock, V6, multicast, LOG)


def test_kinds_of_addresses() -> None:
    def kinds(text: str) -> tuple[bool, bool]:
        address = socket.inet_pton(socket.AF_INET6, text)
        return is_group(address), is_link_local(address)

    assert kinds("fe80::1") == kinds("febf::1") == (False, True)
    assert kinds("ff02::fd") == kinds("ff01::1") == (True, True)
    assert kinds("ff05::fd") == kinds("::ffff:224.0.1.187") == (True, False)
    assert kinds("::ffff:255.255.255.255") == (True, False)
    assert kinds("2001:db8::1") == kinds("::ffff:127.0.0.1") == kinds("fec0::1") == (False, False)


def test_packet_information_goes_both_ways() -> None:
    address = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1")
    assert V6.unpack(V6.pack(address, 3)) == (address, 3)
    # What comes in tells the destination in another place than what goes out tells the source.
    sent = V4.pack(address, 3)
    assert sent == (3).to_bytes(4, "little") + address[12:] + bytes(4)
    assert V4.unpack((3).to_bytes(4, "little") + bytes(4) + address[12:]) == (address, 3)


def test_socket_addresses_of_endpoints() -> None:
    v4 = Endpoint(socket.AF_INET, "192.0.2.1", 7, 2)
    assert sockaddr_of(V4, v4) == ("192.0.2.1", 7)
    assert sockaddr_of(V6, v4) == ("::ffff:192.0.2.1", 7, 0, 0)
    assert sockaddr_of(V6, Endpoint(socket.AF_INET6, "2001:db8::1", 7, 2))[3] == 0
    assert sockaddr_of(V6, Endpoint(socket.AF_INET6, "ff02::fd", 7, 2))[3] == 2
    assert family_of(("192.0.2.1", 7)) is V4
    assert family_of(("::1", 7, 0, 0)) is V6

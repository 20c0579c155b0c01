"""Addresses and names as people write them."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from aiocoap.error import NetworkError, ResolutionError
from aiocoap.transports import resolution
from aiocoap.transports.resolution import (
    BindError,
    bind_error,
    delivery_error,
    endpoint_of_literal,
    interface_index,
    interface_name,
    is_multicast_host,
    plain_host,
    resolve,
    resolve_bind,
    split_destination,
)

V4, V6 = socket.AF_INET, socket.AF_INET6


class Resolver:
    """Stands in for an event loop."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.addresses = addresses
        self.error = error
        self.asked: list[tuple[Any, ...]] = []

    async def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> list[Any]:
        self.asked.append((host, port, kwargs))
        if self.error is not None:
            raise self.error
        return [
            (V6, 2, 17, "", (a, port, 0, 3 if a.startswith("fe80") else 0))
            if ":" in a
            else (V4, 2, 17, "", (a, port))
            for a in self.addresses
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", (V4, "127.0.0.1", 5, 0)),
        ("2001:0DB8::1", (V6, "2001:db8::1", 5, 0)),
        ("::ffff:192.0.2.1", (V6, "::ffff:192.0.2.1", 5, 0)),
        ("fe80::1%1", (V6, "fe80::1", 5, 1)),
        ("fe80::1%lo", (V6, "fe80::1", 5, 1)),
        ("224.0.1.187%lo", (V4, "224.0.1.187", 5, 1)),
        ("127.0.0.01", None),
        ("127.1", None),
        ("localhost", None),
        ("dead:beef", None),
        ("", None),
        ("1\0", None),
    ],
)
def test_literals(text: str, expected: Any) -> None:
    assert endpoint_of_literal(text, 5) == expected


def test_zones_have_to_exist() -> None:
    for zone in ("nothing", "", "0", "a\0b"):
        with pytest.raises(ResolutionError, match="interface"):
            endpoint_of_literal(f"fe80::1%{zone}", 5)


def test_endpoints_are_socket_addresses_and_text() -> None:
    v4, v6 = endpoint_of_literal("127.0.0.1", 5), endpoint_of_literal("fe80::1%lo", 6)
    assert v4 is not None
    assert v6 is not None
    assert v4.sockaddr == ("127.0.0.1", 5)
    assert v6.sockaddr == ("fe80::1", 6, 0, 1)
    assert (v4.text, v6.text) == ("127.0.0.1", "fe80::1%lo")


def test_interfaces_by_name_and_number() -> None:
    assert interface_name(1) == "lo"
    assert interface_name(987654) == "987654"
    assert interface_index("lo") == interface_index("1") == 1
    with pytest.raises(ResolutionError, match="99999999999"):
        interface_index("99999999999")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ff02::fd", True),
        ("ff05::1", True),
        ("ff::1", False),
        ("fe80::1", False),
        ("224.0.0.1", True),
        ("239.255.255.255", True),
        ("240.0.0.1", False),
        ("::ffff:224.0.1.187", True),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::1", False),
        ("::", False),
    ],
)
def test_groups(host: str, expected: bool) -> None:
    assert is_multicast_host(host) is expected


def test_mapped_addresses_are_shown_plain() -> None:
    assert plain_host("::ffff:10.0.0.1") == "10.0.0.1"
    assert plain_host("::ffff:0:1") == "::ffff:0:1"


def test_destinations() -> None:
    assert split_destination("[::1]") == ("::1", 5683)
    assert split_destination("example.com:1") == ("example.com", 1)
    for bad in ("[::1", "::1", "h:70000", "", ":5"):
        with pytest.raises(ResolutionError, match=r"destination|host"):
            split_destination(bad)


async def test_literals_do_not_ask() -> None:
    resolver = Resolver(error=AssertionError())
    assert await resolve(resolver, "::1", 7) == [(V6, "::1", 7, 0)]  # type: ignore[arg-type]
    coroutine = resolve(resolver, "127.0.0.1", 7)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def test_names_keep_the_order_of_the_resolver() -> None:
    resolver = Resolver("192.0.2.1", "2001:db8::1", "fe80::1%lo")
    found = await resolve(resolver, "name", 7)  # type: ignore[arg-type]
    assert found == [
        (V4, "192.0.2.1", 7, 0),
        (V6, "2001:db8::1", 7, 0),
        (V6, "fe80::1", 7, 3),
    ]
    assert [e.host for e in await resolve(resolver, "name", 7, V4)] == ["192.0.2.1"]  # type: ignore[arg-type]
    assert resolver.asked[0] == ("name", 7, {"type": socket.SOCK_DGRAM})


async def test_the_wrong_kind_of_address_is_an_error() -> None:
    resolver = Resolver("2001:db8::1")
    with pytest.raises(ResolutionError, match="'name' has no IPv4"):
        await resolve(resolver, "name", 7, V4)  # type: ignore[arg-type]
    with pytest.raises(ResolutionError, match=r"127.0.0.1' has no IPv6"):
        await resolve(resolver, "127.0.0.1", 7, V6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "problem",
    [
        socket.gaierror(-2, "Name or service not known"),
        UnicodeError("label too long"),
        ValueError("embedded null"),
    ],
)
async def test_names_that_are_not_known_are_named(problem: Exception) -> None:
    with pytest.raises(ResolutionError, match=r"'no\.name'") as caught:
        await resolve(Resolver(error=problem), "no.name", 7)  # type: ignore[arg-type]
    assert caught.value.__cause__ is problem


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        (None, (None, 5683)),
        ((None, None), (None, 5683)),
        (("", 1), (None, 1)),
        (("::1", None), ([(V6, "::1", 5683, 0)], 5683)),
        (("[::1]", 0), ([(V6, "::1", 0, 0)], 0)),
        (("name", 9), ([(V4, "192.0.2.1", 9, 0)], 9)),
    ],
)
async def test_binds(bind: Any, expected: Any) -> None:
    assert await resolve_bind(Resolver("192.0.2.1"), bind) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("bind", ["::1", (None,), ("::1", 65536), ("::1", -1), ("::1", "1")])
async def test_other_binds_are_errors(bind: Any) -> None:
    with pytest.raises(ValueError, match=r"bind|port"):
        await resolve_bind(Resolver(), bind)  # type: ignore[arg-type]


def test_bind_errors_are_both_kinds() -> None:
    cause = OSError(errno.EADDRINUSE, "in use")
    error = bind_error(cause, "::1", 5683)
    assert isinstance(error, BindError)
    assert isinstance(error, NetworkError)
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRINUSE
    assert error.__cause__ is cause
    assert str(error) == "can not bind to [::1]:5683: Address already in use"
    assert "other program" in str(error.extra_help())
    assert "odd" in str(bind_error(OSError("odd"), "::1", 5683))


def test_ports_of_the_administrator_have_their_own_advice() -> None:
    error = bind_error(PermissionError(errno.EACCES, "denied"), "::1", 80)
    assert str(error) == "can not bind to [::1]:80: Permission denied"
    assert "another port" in str(error.extra_help())
    assert "other program" not in str(error.extra_help())


def test_delivery_errors_quote() -> None:
    cause = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    error = delivery_error(cause, "[::1]", b"abc")
    assert str(error) == "can not send to [::1]: Connection refused"
    assert error.__cause__ is cause
    assert error.datagram == b"abc"
    assert resolution.delivery_error(cause, "[::1]").datagram == b""


@pytest.mark.parametrize(
    "host",
    ["2001:db8::1", "::ffff:198.51.100.7", "198.51.100.7", "172.32.0.1", "100.64.0.1", "a.name"],
)
def test_senders_from_anywhere(host: str) -> None:
    assert resolution.is_global_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "::1",
        "::",
        "fe80::1%lo",
        "febf::1",
        "fc00::1",
        "fdff::1",
        "127.0.0.1",
        "::ffff:127.3.2.1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.1.1",
        "0.0.0.0",
    ],
)
def test_senders_that_routers_do_not_let_pass(host: str) -> None:
    assert not resolution.is_global_host(host)

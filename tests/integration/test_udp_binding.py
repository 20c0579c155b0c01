"""Where UDP servers can be bound to, with the system's own sockets."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aiocoap.error import NetworkError
from aiocoap.interfaces import MessageInterface
from aiocoap.transports.simplesocketserver import MessageInterfaceSimpleServer
from aiocoap.transports.udp6 import MessageInterfaceUDP6
from tests.conformance.rigs import LOG, Manager
from tests.ports import free_port

Maker = Callable[[Any], Awaitable[MessageInterface]]


async def udp6(bind: Any) -> MessageInterface:
    return await MessageInterfaceUDP6.create_server_transport_endpoint(
        Manager(), LOG, asyncio.get_running_loop(), bind, []
    )


async def simple(bind: Any) -> MessageInterface:
    return await MessageInterfaceSimpleServer.create_server(
        bind, Manager(), LOG, asyncio.get_running_loop()
    )


BOTH = pytest.mark.parametrize("make", [udp6, simple])


@BOTH
async def test_a_port_in_use_is_named(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "0")
    first = await make(("127.0.0.1", free_port()))
    assert first.bound_address is not None
    port = first.bound_address[1]
    with pytest.raises(NetworkError, match=rf"127\.0\.0\.1:{port}.*in use") as caught:
        await make(("127.0.0.1", port))
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == errno.EADDRINUSE
    assert isinstance(caught.value.__cause__, OSError)
    await first.shutdown()
    await (await make(("127.0.0.1", port))).shutdown()


@BOTH
async def test_a_port_may_be_shared(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "1")
    first = await make(("127.0.0.1", free_port()))
    second = await make(first.bound_address)
    assert first.bound_address == second.bound_address
    await first.shutdown()
    await second.shutdown()


@BOTH
async def test_every_port_0_is_a_port_of_its_own(make: Maker) -> None:
    servers = [await make(("127.0.0.1", 0)) for _ in range(20)]
    assert len({server.bound_address for server in servers}) == 20
    for server in servers:
        await server.shutdown()


@BOTH
async def test_names_are_bound_to(make: Maker) -> None:
    server = await make(("localhost", 0))
    assert server.bound_address is not None
    assert server.bound_address[0] in ("127.0.0.1", "::1")
    await server.shutdown()


@BOTH
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
async def test_addresses_of_others_are_named(make: Maker, host: str) -> None:
    with pytest.raises(NetworkError, match=host) as caught:
        await make((host, 0))
    assert isinstance(caught.value, OSError)


@BOTH
async def test_names_that_are_none_are_named(make: Maker) -> None:
    with pytest.raises(NetworkError, match="no such name"):
        await make(("no such name." + "x" * 64, 0))


async def test_by_default_it_is_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await udp6((None, 0))
    assert server.bound_address is not None
    assert server.bound_address[0] in ("::", "0.0.0.0")
    await server.shutdown()


async def test_not_all_addresses_for_the_simple_one() -> None:
    with pytest.raises(ValueError, match=r"The transport can not be bound to any-address\."):
        await simple((None, 0))

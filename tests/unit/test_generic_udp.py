"""What the simple transports share, over sockets that are made up."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import Any

import pytest

from aiocoap.error import AnonymousHost, ResolutionError
from aiocoap.message import Message
from aiocoap.transports.generic_udp import (
    GenericEndpointAddress,
    GenericMessageInterface,
    SocketPool,
)
from aiocoap.transports.resolution import DeliveryError

LOG = logging.getLogger("tests.generic_udp")


class Manager:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def dispatch_datagram(self, datagram: bytes, remote: Any) -> None:
        self.told.append((datagram, remote))

    dispatch_error: Any = dispatch_datagram


class Pool(SocketPool):
    """Makes addresses without any socket."""

    def __init__(self, interface: GenericMessageInterface) -> None:
        self.interface = interface
        self.sent: list[Any] = []
        self.closed = 0

    async def connect(self, host: str, port: int) -> GenericEndpointAddress | None:
        if host == "group":
            return None
        return GenericEndpointAddress(self.interface, host, port, (host, port))

    def send(self, datagram: bytes, address: GenericEndpointAddress) -> None:
        self.sent.append((datagram, address))

    async def shutdown(self) -> None:
        self.closed += 1


def interface() -> Any:
    loop = asyncio.get_running_loop()
    it: Any = GenericMessageInterface(Manager(), LOG, loop)  # type: ignore[arg-type]
    it._pool = Pool(it)
    return it


async def test_destinations_are_split() -> None:
    it = interface()
    remote = await it.determine_remote(Message(uri="coap://[::1]:7/"))
    assert (remote.host, remote.port) == ("::1", 7)
    assert it.recognize_remote(remote)
    assert not interface().recognize_remote(remote)
    remote = await it.determine_remote(Message(uri="coap://Name.example/"))
    assert (remote.host, remote.port) == ("name.example", 5683)


async def test_what_is_not_for_it() -> None:
    it = interface()
    assert await it.determine_remote(Message(uri="coap+tcp://name.example/")) is None
    assert await it.determine_remote(Message(uri="coap://group/")) is None
    request = Message()
    request.unresolved_remote = "[::1"
    with pytest.raises(ResolutionError, match=r"\[::1"):
        await it.determine_remote(request)


async def test_datagrams_pass_through() -> None:
    it = interface()
    pool, remote = it._pool, await it.determine_remote(Message(uri="coap://name/"))
    it.send_datagram(b"out", remote)
    assert pool.sent == [(b"out", remote)]
    it.received(b"in", remote)
    assert it._ctx.told == [(b"in", remote)]


async def test_errors_are_told_later() -> None:
    it = interface()
    remote = await it.determine_remote(Message(uri="coap://name:7/"))
    it.failed(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), remote)
    assert it._ctx.told == []
    await asyncio.sleep(0)
    ((error, told),) = it._ctx.told
    assert isinstance(error, DeliveryError)
    assert str(error) == "can not send to name:7: Connection refused"
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert told is remote


async def test_after_shutdown_there_is_silence() -> None:
    it = interface()
    manager, pool = it._ctx, it._pool
    remote = await it.determine_remote(Message(uri="coap://name/"))
    it.failed(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), remote)
    await it.shutdown()
    await it.shutdown()
    assert pool.closed == 1
    it.received(b"in", remote)
    it.send_datagram(b"out", remote)
    await asyncio.sleep(0)
    assert manager.told == pool.sent == []
    assert await it.determine_remote(Message(uri="coap://name/")) is None


def address(host: str, port: int = 5683) -> GenericEndpointAddress:
    it: Any = None
    return GenericEndpointAddress(it, host, port, (host, port))


def test_addresses_are_as_they_were_named() -> None:
    one = address("name.example", 7)
    assert one == address("name.example", 7)
    assert hash(one) == hash(address("name.example", 7))
    assert one != address("name.example")
    assert one != address("192.0.2.1", 7)
    assert one != "name.example:7"
    assert one.uri_base == "coap://name.example:7"
    assert address("fe80::1%lo").hostinfo == "[fe80::1%lo]"
    assert repr(one) == "<GenericEndpointAddress name.example:7>"
    assert not one.is_multicast
    assert not one.is_multicast_locally
    assert one.as_response_address() is one


def test_the_own_end_is_known_while_there_is_a_socket() -> None:
    one = address("name.example")
    with pytest.raises(AnonymousHost):
        _ = one.hostinfo_local
    one.local = ("::1", 7)
    assert one.hostinfo_local == "[::1]:7"
    assert one.uri_base_local == "coap://[::1]:7"
    assert repr(one) == "<GenericEndpointAddress name.example (locally [::1]:7)>"
    one.local = ("::1", 5683)
    assert one.hostinfo_local == "[::1]"

"""The server with one socket, which is made up here."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import Any

import pytest

from aiocoap.message import Message
from aiocoap.transports.resolution import BindError
from aiocoap.transports.simplesocketserver import MessageInterfaceSimpleServer

LOG = logging.getLogger("tests.simplesocketserver")


class Transport:
    """A datagram transport, as far as it is used."""

    def __init__(self, protocol: Any, sockname: Any) -> None:
        self.protocol = protocol
        self.sockname = sockname
        self.sent: list[Any] = []
        self.max_size = 1 << 18

    def get_extra_info(self, name: str) -> Any:
        assert name == "sockname"
        return self.sockname

    def sendto(self, datagram: bytes, address: Any) -> None:
        self.sent.append((datagram, address))

    def close(self) -> None:
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class World:
    """Stands in for the event loop and the system's sockets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.refusals: dict[str, int] = {}
        self.names: list[str] = []
        self.opening: Exception | None = None
        self.transport: Transport
        self.sockets: list[Any] = []
        self.told: list[Any] = []

    def socket(self, family: int, kind: int) -> Any:
        world = self

        class Socket:
            options: tuple[int, ...] = ()
            closed = False

            def setblocking(self, flag: bool) -> None:
                assert flag is False

            def setsockopt(self, level: int, option: int, value: int) -> None:
                self.options = (*self.options, option)

            def bind(self, address: Any) -> None:
                if address[0] in world.refusals:
                    number = world.refusals[address[0]]
                    raise OSError(number, os.strerror(number))
                self.bound = (address[0], address[1] or 40000, *address[2:])

            def close(self) -> None:
                self.closed = True

        if family in self.refusals:
            raise OSError(self.refusals[family], "no such family")
        self.sockets.append(Socket())
        return self.sockets[-1]

    async def create_datagram_endpoint(self, factory: Any, sock: Any) -> None:
        if self.opening is not None:
            raise self.opening
        self.transport = Transport(factory(), sock.bound)
        self.transport.protocol.connection_made(self.transport)

    async def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> Any:
        return [
            (10, 2, 17, "", (n, port, 0, 0)) if ":" in n else (2, 2, 17, "", (n, port))
            for n in self.names
        ]

    def create_future(self) -> Any:
        return asyncio.get_running_loop().create_future()

    # A manager

    def dispatch_datagram(self, datagram: bytes, remote: Any) -> None:
        self.told.append((datagram, remote))

    async def server(self, *bind: Any) -> MessageInterfaceSimpleServer:
        it: Any = self
        with self.monkeypatch.context() as patch:
            patch.setattr(socket, "socket", self.socket)
            return await MessageInterfaceSimpleServer.create_server(bind or None, it, LOG, it)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("AIOCOAP_REUSE_PORT", raising=False)
    return World(monkeypatch)


@pytest.mark.parametrize(
    "bind",
    [(), (None, None), ("", 1), ("::", 1), ("0.0.0.0", None), ("::ffff:0.0.0.0", 1), ("n", 1)],
)
async def test_all_addresses_are_too_many(world: World, bind: Any) -> None:
    world.names = ["0.0.0.0"]
    with pytest.raises(ValueError, match=r"^The transport can not be bound to any-address\.$"):
        await world.server(*bind)


async def test_groups_have_no_address_to_answer_from(world: World) -> None:
    with pytest.raises(ValueError, match="multicast"):
        await world.server("ff02::fd", 1)


async def test_it_is_bound_where_it_is_told(world: World) -> None:
    it = await world.server("fe80::1%lo", None)
    assert it.bound_address == ("fe80::1%lo", 5683)
    assert world.sockets[0].bound == ("fe80::1", 5683, 0, 1)
    assert world.sockets[0].options == (socket.SO_REUSEPORT,)
    assert world.transport.max_size == 65536
    assert repr(it) == "<MessageInterfaceSimpleServer bound to [fe80::1%lo]:5683>"
    await it.shutdown()


async def test_the_port_may_be_left_to_the_system(world: World) -> None:
    it = await world.server("127.0.0.1", 0)
    assert it.bound_address == ("127.0.0.1", 40000)
    assert world.sockets[0].options == ()
    await it.shutdown()


async def test_of_a_name_the_first_address_that_is_there(world: World) -> None:
    world.names = ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
    world.refusals["2001:db8::1"] = errno.EADDRNOTAVAIL
    it = await world.server("name", 7)
    assert it.bound_address == ("192.0.2.1", 7)
    assert [one.closed for one in world.sockets] == [True, False]
    await it.shutdown()
    world.refusals.update({"192.0.2.1": errno.EADDRINUSE, "192.0.2.2": errno.EADDRINUSE})
    with pytest.raises(BindError, match=r"2001:db8::1\]:7: Cannot assign"):
        await world.server("name", 7)
    world.refusals = {socket.AF_INET6: errno.EAFNOSUPPORT}  # type: ignore[dict-item]
    with pytest.raises(BindError, match="::1"):
        await world.server("::1", 7)


async def test_a_socket_that_gets_no_transport_is_closed(world: World) -> None:
    world.opening = RuntimeError("no")
    with pytest.raises(RuntimeError):
        await world.server("::1", 7)
    assert world.sockets[0].closed


async def test_requests_and_answers(world: World) -> None:
    it = await world.server("::1", 7)
    protocol = world.transport.protocol
    peer = ("fe80::1%lo", 9, 0, 1)
    protocol.datagram_received(b"one", peer)
    protocol.datagram_received(b"two", peer)
    (_, first), (_, second) = world.told
    assert first is second
    assert first.hostinfo == "[fe80::1%lo]:9"
    assert first.hostinfo_local == "[::1]:7"
    it.send_datagram(b"answer", first)
    protocol.pause_writing()
    it.send_datagram(b"lost", first)
    protocol.resume_writing()
    assert world.transport.sent == [(b"answer", peer)]
    protocol.error_received(OSError(errno.ENETUNREACH, "unreachable"))
    assert len(world.told) == 2
    await it.shutdown()
    protocol.datagram_received(b"late", peer)
    it.send_datagram(b"late", first)
    assert len(world.told) == 2
    assert len(world.transport.sent) == 1


async def test_the_number_of_peers_that_are_kept_is_bounded(world: World) -> None:
    it = await world.server("127.0.0.1", 7)
    protocol = world.transport.protocol
    for port in range(3000):
        protocol.datagram_received(b"", ("127.0.0.1", port))
        assert len(protocol._seen) <= 1024
    await it.shutdown()


async def test_requests_can_be_sent_to_the_same_kind_of_address(world: World) -> None:
    it = await world.server("127.0.0.1", 7)
    remote: Any = await it.determine_remote(Message(uri="coap://127.0.0.2:8/"))
    assert remote.sockaddr == ("127.0.0.2", 8)
    assert await it.determine_remote(Message(uri="coap://127.0.0.2:8/")) is remote
    assert await it.determine_remote(Message(uri="coap://224.0.1.187/")) is None
    with pytest.raises(Exception, match="no IPv4"):
        await it.determine_remote(Message(uri="coap://[::1]/"))
    pool: Any = it._pool
    await it.shutdown()
    assert await pool.connect("127.0.0.1", 7) is None
    await pool.shutdown()

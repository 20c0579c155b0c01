"""When simple6 opens and closes sockets; the sockets and their transports are made up."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import Any

import pytest

from aiocoap.error import NetworkError
from aiocoap.message import Message
from aiocoap.transports import simple6
from aiocoap.transports.simple6 import MessageInterfaceSimple6

LOG = logging.getLogger("tests.simple6")


class Transport:
    """A datagram transport, as far as it is used."""

    def __init__(self, world: World, protocol: Any, sockaddr: Any) -> None:
        self.world = world
        self.protocol = protocol
        self.sockaddr = sockaddr
        self.sent: list[bytes] = []
        self.closed = 0
        self.max_size = 1 << 18

    def get_extra_info(self, name: str) -> Any:
        assert name == "sockname"
        return ("::1", 40000 + self.world.transports.index(self), 0, 0)

    def sendto(self, datagram: bytes) -> None:
        self.sent.append(datagram)

    def close(self) -> None:
        self.closed += 1
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Socket:
    """A connected socket."""

    def __init__(self, sockaddr: Any) -> None:
        self.sockaddr = sockaddr
        self.closed = False

    def close(self) -> None:
        self.closed = True


class World:
    """Stands in for the event loop; its time is what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.transports: list[Transport] = []
        self.sockets: list[Socket] = []
        self.refusals: dict[str, OSError] = {}
        self.opening: Exception | None = None
        self.told: list[Any] = []
        monkeypatch.setattr(simple6, "_socket_to", self.socket_to)

    def socket_to(self, sockaddr: Any) -> Any:
        if sockaddr[0] in self.refusals:
            raise self.refusals[sockaddr[0]]
        self.sockets.append(Socket(sockaddr))
        return self.sockets[-1]

    async def create_datagram_endpoint(self, factory: Any, sock: Any) -> Any:
        protocol = factory()
        await asyncio.sleep(0)
        if self.opening is not None:
            raise self.opening
        self.transports.append(Transport(self, protocol, sock.sockaddr))
        protocol.connection_made(self.transports[-1])
        return self.transports[-1], protocol

    async def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return [
            (10, 2, 17, "", ("2001:db8::1", port, 0, 0)),
            (2, 2, 17, "", ("192.0.2.1", port)),
        ]

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        assert name in ("call_soon", "create_future", "create_task")
        return getattr(asyncio.get_running_loop(), name)

    # A manager

    def dispatch_datagram(self, datagram: bytes, remote: Any) -> None:
        self.told.append((datagram, remote))

    dispatch_error: Any = dispatch_datagram

    async def interface(self) -> MessageInterfaceSimple6:
        it: Any = self
        return await MessageInterfaceSimple6.create_client_transport_endpoint(it, LOG, it)

    @property
    def open(self) -> int:
        return sum(not transport.closed for transport in self.transports)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def resolved(it: MessageInterfaceSimple6, hostinfo: str) -> Any:
    request = Message()
    request.unresolved_remote = hostinfo
    return await it.determine_remote(request)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_peer_has_one_socket_under_each_of_its_names(world: World) -> None:
    it = await world.interface()
    one = await resolved(it, "[2001:0db8::1]")
    assert await resolved(it, "[2001:db8::1]") is one
    named = await resolved(it, "Name.example")
    assert named is await resolved(it, "name.example")
    assert named != one
    assert named.hostinfo == "name.example"
    assert world.open == 2
    assert world.transports[0].max_size == 65536
    assert one.hostinfo_local == "[::1]:40000"
    await it.shutdown()
    assert world.open == 0


async def test_two_at_once_share_the_socket(world: World) -> None:
    it = await world.interface()
    one, other = await asyncio.gather(resolved(it, "name"), resolved(it, "name"))
    assert one is other
    assert world.open == 1
    await it.shutdown()


async def test_addresses_are_tried_in_order(world: World) -> None:
    it = await world.interface()
    world.refusals["2001:db8::1"] = OSError(errno.ENETUNREACH, "Network is unreachable")
    remote = await resolved(it, "name:7")
    assert remote.sockaddr == ("192.0.2.1", 7)
    world.refusals["192.0.2.1"] = OSError(errno.EACCES, "second")
    with pytest.raises(NetworkError, match="other:7: Network is unreachable") as caught:
        await resolved(it, "other:7")
    assert isinstance(caught.value.__cause__, OSError)
    await it.shutdown()


async def test_groups_are_for_others(world: World) -> None:
    it = await world.interface()
    assert await resolved(it, "[ff05::fd]") is None
    assert await resolved(it, "224.0.1.187") is None
    assert world.sockets == []
    await it.shutdown()


async def test_datagrams_and_errors_are_of_the_peer(world: World) -> None:
    it = await world.interface()
    remote = await resolved(it, "name")
    (transport,) = world.transports
    it.send_datagram(b"out", remote)
    assert transport.sent == [b"out"]
    transport.protocol.datagram_received(b"in", ("2001:db8::1", 5683, 0, 0))
    assert world.told == [(b"in", remote)]
    transport.protocol.error_received(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    transport.protocol.error_received(ValueError("of the event loop"))
    await turns()
    ((error, told),) = world.told[1:]
    assert isinstance(error, NetworkError)
    assert told is remote
    await it.shutdown()
    transport.protocol.datagram_received(b"late", None)
    transport.protocol.error_received(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    transport.protocol.connection_lost(None)
    await turns()
    assert len(world.told) == 2


async def test_what_is_not_taken_is_lost(world: World) -> None:
    it = await world.interface()
    remote = await resolved(it, "name")
    (transport,) = world.transports
    transport.protocol.pause_writing()
    it.send_datagram(b"lost", remote)
    transport.protocol.resume_writing()
    it.send_datagram(b"sent", remote)
    assert transport.sent == [b"sent"]
    await it.shutdown()


async def test_sockets_that_were_used_lately_are_kept(world: World) -> None:
    it = await world.interface()
    for port in range(1, 101):
        await resolved(it, f"[::1]:{port}")
    assert world.open == 100
    await it.shutdown()


async def test_quiet_sockets_beyond_some_are_closed(world: World) -> None:
    it = await world.interface()
    remotes = [await resolved(it, f"[::1]:{port}") for port in range(1, 64)]
    world.now += 100
    it.send_datagram(b"out", remotes[0])
    world.transports[1].protocol.datagram_received(b"in", None)
    world.now += 200
    for port in range(101, 104):
        await resolved(it, f"[::1]:{port}")
    assert world.open == 64
    closed = [index for index, transport in enumerate(world.transports) if transport.closed]
    assert closed == [2, 3]
    with pytest.raises(Exception, match="no socket"):
        _ = remotes[2].hostinfo_local
    await it.shutdown()


async def test_there_is_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple6, "MAX_IDLE", 2)
    monkeypatch.setattr(simple6, "MAX_SOCKETS", 4)
    it = await world.interface()
    for port in range(1, 11):
        await resolved(it, f"[::1]:{port}")
        world.now += 1
    assert world.open == 4
    await it.shutdown()


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """One socket at a time."""
    monkeypatch.setattr(simple6, "MAX_IDLE", 1)
    monkeypatch.setattr(simple6, "MAX_SOCKETS", 1)


async def test_closed_sockets_are_opened_again(world: World, tight: None) -> None:
    it = await world.interface()
    remote = await resolved(it, "[::1]:1")
    await resolved(it, "[::1]:2")
    assert [transport.closed for transport in world.transports] == [1, 0]
    for n in range(100):
        it.send_datagram(b"%d" % n, remote)
    await turns()
    again = world.transports[2]
    assert again.sockaddr == remote.sockaddr
    assert again.sent == [b"%d" % n for n in range(16)]
    again.protocol.datagram_received(b"in", None)
    assert world.told == [(b"in", remote)]
    assert remote.hostinfo_local == "[::1]:40002"
    await it.shutdown()
    assert world.open == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_opening_again_may_come_second(world: World, tight: None) -> None:
    it = await world.interface()
    remote = await resolved(it, "[::1]:1")
    await resolved(it, "[::1]:2")
    it.send_datagram(b"out", remote)
    other = await resolved(it, "[::1]:1")
    assert other == remote
    await turns()
    assert [sent for transport in world.transports for sent in transport.sent] == [b"out"]
    assert world.open == 1
    await it.shutdown()


@pytest.mark.parametrize("where", ["connect", "endpoint"])
async def test_opening_again_may_fail(world: World, tight: None, where: str) -> None:
    it = await world.interface()
    remote = await resolved(it, "[::1]:1")
    await resolved(it, "[::1]:2")
    problem = OSError(errno.ENETUNREACH, "Network is unreachable")
    if where == "connect":
        world.refusals["::1"] = problem
    else:
        world.opening = problem
    it.send_datagram(b"out", remote)
    assert world.told == []
    await turns()
    ((error, told),) = world.told
    assert error.__cause__ is problem
    assert told is remote
    assert where == "connect" or world.sockets[-1].closed
    await it.shutdown()


async def test_shutdown_ends_what_is_under_way(world: World, tight: None) -> None:
    it = await world.interface()
    remote = await resolved(it, "[::1]:1")
    await resolved(it, "[::1]:2")
    it.send_datagram(b"out", remote)
    connecting = asyncio.ensure_future(resolved(it, "[::1]:3"))
    resolving = asyncio.ensure_future(resolved(it, "name"))
    await asyncio.sleep(0)
    await it.shutdown()
    await asyncio.gather(connecting, resolving)
    assert resolving.result() is None
    await turns()
    assert world.open == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_socket_that_gets_no_transport_is_closed(world: World) -> None:
    it = await world.interface()
    world.opening = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(OSError, match="Too many"):
        await resolved(it, "[::1]:1")
    assert world.sockets[0].closed
    await it.shutdown()

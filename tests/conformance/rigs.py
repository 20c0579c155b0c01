"""Pairs of message interfaces to hold against the contract, and what they are tested with."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from aiocoap.address import EndpointAddress
from aiocoap.error import NetworkError, ResolutionError
from aiocoap.interfaces import MessageInterface, MessageManager
from aiocoap.message import Message
from aiocoap.numbers.codes import GET
from aiocoap.transports.simple6 import MessageInterfaceSimple6
from aiocoap.transports.simplesocketserver import MessageInterfaceSimpleServer
from aiocoap.transports.udp6 import MessageInterfaceUDP6
from aiocoap.util import hostportjoin, hostportsplit

LOG = logging.getLogger("tests.conformance")
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
PATIENCE = 5.0
# Seconds after which something that should happen at once is taken not to happen.


class Manager(MessageManager):
    """Writes down what an interface tells it."""

    def __init__(self) -> None:
        self.interface: MessageInterface
        self.datagrams: asyncio.Queue[tuple[bytes, EndpointAddress]] = asyncio.Queue()
        self.errors: asyncio.Queue[tuple[Any, EndpointAddress]] = asyncio.Queue()
        self.sending = False

    def dispatch_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        assert not self.sending, "called back from within send_datagram"
        self.datagrams.put_nowait((datagram, remote))

    def dispatch_message(self, message: Message) -> None:
        raise AssertionError("interfaces that send datagrams receive datagrams")

    def dispatch_error(self, error: int | Exception, remote: EndpointAddress) -> None:
        assert not self.sending, "called back from within send_datagram"
        self.errors.put_nowait((error, remote))

    @property
    def client_credentials(self) -> Any:
        raise AssertionError("no credentials are needed")

    def send(self, datagram: bytes, remote: EndpointAddress) -> None:
        self.sending = True
        try:
            self.interface.send_datagram(datagram, remote)
        finally:
            self.sending = False

    async def resolve(self, hostinfo: str) -> EndpointAddress:
        remote = await self.interface.determine_remote(request_to(f"coap://{hostinfo}"))
        assert remote is not None
        return remote

    async def datagram(self) -> tuple[bytes, EndpointAddress]:
        async with asyncio.timeout(PATIENCE):
            return await self.datagrams.get()

    async def error(self) -> tuple[Any, EndpointAddress]:
        async with asyncio.timeout(PATIENCE):
            return await self.errors.get()


def request_to(uri: str) -> Message:
    """Return a request as interfaces get to see it."""
    return Message(code=GET, uri=uri)


# A network in memory, to show that the contract can be fulfilled without any socket.


class FakeAddress(EndpointAddress):
    """A name on a fake network."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False

    def __init__(self, interface: FakeInterface, hostinfo: str) -> None:
        self.interface = interface
        self._hostinfo = hostinfo

    @property
    def hostinfo(self) -> str:
        return self._hostinfo

    @property
    def hostinfo_local(self) -> str:
        return self.interface.name

    @property
    def uri_base(self) -> str:
        return f"coap://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coap://{self.hostinfo_local}"

    def __repr__(self) -> str:
        return f"<FakeAddress {self.hostinfo}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FakeAddress) and self._hostinfo == other._hostinfo

    def __hash__(self) -> int:
        return hash(self._hostinfo)


class FakeInterface(MessageInterface):
    """Takes datagrams to the other interfaces of a network, a dict of them by hostinfo."""

    def __init__(self, ctx: MessageManager, network: dict[str, FakeInterface], name: str) -> None:
        self.ctx: MessageManager | None = ctx
        self.network = network
        self.name = name
        network[name] = self

    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        asyncio.get_running_loop().call_soon(self.deliver, datagram, remote)

    def deliver(self, datagram: bytes, remote: EndpointAddress) -> None:
        if self.ctx is None:
            return
        peer = self.network.get(remote.hostinfo)
        if peer is not None and peer.ctx is not None:
            peer.ctx.dispatch_datagram(datagram, FakeAddress(peer, self.name))
        elif peer is None:
            error = NetworkError("refused")
            error.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
            self.ctx.dispatch_error(error, remote)

    async def determine_remote(self, message: Message) -> EndpointAddress | None:
        destination = message.destination()
        if destination.scheme != "coap":
            return None
        if len(destination.hostinfo) > 60:
            raise ResolutionError(f"no such host: {destination.hostinfo}")
        return FakeAddress(self, destination.hostinfo.replace("localhost", "127.0.0.1"))

    def recognize_remote(self, remote: EndpointAddress) -> bool:
        return isinstance(remote, FakeAddress) and remote.interface is self

    @property
    def bound_address(self) -> tuple[str, int] | None:
        host, port = hostportsplit(self.name)
        return host, port or 5683

    async def shutdown(self) -> None:
        self.ctx = None
        self.network.pop(self.name, None)


class Rig:
    """One way to have a client and a server.

    Args:
        host: Address that the server is bound to.
        loop: Name of the kind of loop it runs on.
    """

    def __init__(self, host: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = host
        self.loop = loop
        self.monkeypatch = monkeypatch

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        """Run a coroutine function on a new loop."""

        async def bounded() -> None:
            async with asyncio.timeout(4 * PATIENCE):
                await test()

        with asyncio.Runner(loop_factory=LOOPS[self.loop]) as runner:
            runner.run(bounded())

    async def make_client(self, manager: Manager) -> MessageInterface:
        raise NotImplementedError

    async def make_server(self, manager: Manager) -> MessageInterface:
        raise NotImplementedError

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Manager]:
        manager = Manager()
        manager.interface = await self.make_client(manager)
        try:
            yield manager
        finally:
            await manager.interface.shutdown()

    @asynccontextmanager
    async def server(self) -> AsyncIterator[tuple[Manager, str]]:
        """Give a manager and the hostinfo of its server."""
        manager = Manager()
        manager.interface = await self.make_server(manager)
        bound = manager.interface.bound_address
        assert bound is not None
        try:
            yield manager, hostportjoin(self.host, bound[1])
        finally:
            await manager.interface.shutdown()

    def nobody(self) -> str:
        """Return the hostinfo of a port that nobody listens on."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((self.host, 0))
            return hostportjoin(self.host, probe.getsockname()[1])


class Udp6(Rig):
    """The full transport at both ends, the server on one address."""

    async def make_client(self, manager: Manager) -> MessageInterface:
        return await MessageInterfaceUDP6.create_client_transport_endpoint(
            manager, LOG, asyncio.get_running_loop()
        )

    async def make_server(self, manager: Manager) -> MessageInterface:
        return await MessageInterfaceUDP6.create_server_transport_endpoint(
            manager, LOG, asyncio.get_running_loop(), (self.host, 0), []
        )


class Udp6Anywhere(Udp6):
    """The same, the server on all addresses."""

    async def make_server(self, manager: Manager) -> MessageInterface:
        return await MessageInterfaceUDP6.create_server_transport_endpoint(
            manager, LOG, asyncio.get_running_loop(), (None, 0), []
        )


class Udp6WithoutIPv6(Udp6Anywhere):
    """The same where the system has no IPv6 sockets."""

    def __init__(self, host: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(host, loop, monkeypatch)
        without_ipv6(monkeypatch)


class Simple(Rig):
    """The simple transports, one for either end."""

    async def make_client(self, manager: Manager) -> MessageInterface:
        return await MessageInterfaceSimple6.create_client_transport_endpoint(
            manager, LOG, asyncio.get_running_loop()
        )

    async def make_server(self, manager: Manager) -> MessageInterface:
        return await MessageInterfaceSimpleServer.create_server(
            (self.host, 0), manager, LOG, asyncio.get_running_loop()
        )


class Fake(Rig):
    """No transport at all."""

    def __init__(self, host: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(host, loop, monkeypatch)
        self.network: dict[str, FakeInterface] = {}

    async def make_client(self, manager: Manager) -> MessageInterface:
        return FakeInterface(manager, self.network, hostportjoin(self.host, 40001))

    async def make_server(self, manager: Manager) -> MessageInterface:
        return FakeInterface(manager, self.network, hostportjoin(self.host, 40000))


RIGS: dict[str, tuple[type[Rig], str]] = {
    "udp6 on ::1": (Udp6, "::1"),
    "udp6 on 127.0.0.1": (Udp6, "127.0.0.1"),
    "udp6 on all, by ::1": (Udp6Anywhere, "::1"),
    "udp6 on all, by 127.0.0.1": (Udp6Anywhere, "127.0.0.1"),
    "udp6 without IPv6": (Udp6WithoutIPv6, "127.0.0.1"),
    "simple on ::1": (Simple, "::1"),
    "simple on 127.0.0.1": (Simple, "127.0.0.1"),
    "fake": (Fake, "127.0.0.1"),
}


def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the making of IPv6 sockets fail as it does where the kernel has none."""
    real = socket.socket

    class Socket(real):  # type: ignore[misc, valid-type]
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr(socket, "socket", Socket)


def descriptors() -> set[str]:
    """Return what the process has open, but for what the event loop has for itself."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except FileNotFoundError:
            continue  # the directory that is being read
    return found

"""Pairs of token interfaces to hold against the contract, and what they are tested with."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from aiocoap.address import EndpointAddress
from aiocoap.credentials import CredentialsMap
from aiocoap.error import NetworkError, ResolutionError
from aiocoap.interfaces import TokenInterface, TokenManager
from aiocoap.message import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import EMPTY, GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports.simple6 import MessageInterfaceSimple6
from aiocoap.transports.simplesocketserver import MessageInterfaceSimpleServer
from aiocoap.transports.tcp import TCPClient, TCPServer
from aiocoap.transports.tls import TLSClient, TLSServer
from aiocoap.transports.udp6 import MessageInterfaceUDP6
from aiocoap.util import hostportjoin
from tests.certificates import Certificates
from tests.conformance.rigs import LOG, PATIENCE, Rig


class Impatient(TransportTuning):
    """Parameters for a network without delays."""

    ACK_TIMEOUT = 0.1


class Tokens(TokenManager):
    """Writes down what an interface tells it."""

    def __init__(self) -> None:
        self.interface: TokenInterface
        self.requests: asyncio.Queue[Message] = asyncio.Queue()
        self.responses: asyncio.Queue[Message] = asyncio.Queue()
        self.errors: asyncio.Queue[tuple[Any, EndpointAddress]] = asyncio.Queue()
        self.sending = False
        # What a message manager looks at.
        self.context = SimpleNamespace(
            loop=asyncio.get_running_loop(),
            log=logging.getLogger("tests.conformance"),
            transport_tuning=self.transport_tuning,
        )

    def process_request(self, request: Message) -> None:
        assert not self.sending, "called back from within send_message"
        self.requests.put_nowait(request)

    def process_response(self, response: Message) -> bool:
        assert not self.sending, "called back from within send_message"
        self.responses.put_nowait(response)
        return True

    def dispatch_error(self, error: int | Exception, remote: EndpointAddress) -> None:
        assert not self.sending, "called back from within send_message"
        self.errors.put_nowait((error, remote))

    @property
    def client_credentials(self) -> Any:
        return Trusting()

    @property
    def server_credentials(self) -> CredentialsMap:
        return CredentialsMap()

    @property
    def transport_tuning(self) -> TransportTuning:
        return Impatient()

    # What tests do

    def send(self, message: Message, remote: EndpointAddress) -> Callable[[], None] | None:
        """Send a message from above."""
        message.remote = remote
        self.sending = True
        try:
            return self.interface.send_message(message, None)
        finally:
            self.sending = False

    async def resolve(self, uri: str) -> EndpointAddress:
        remote = await self.interface.resolve(Message(code=GET, uri=uri))
        assert remote is not None
        return remote

    async def request(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self.requests.get()

    async def response(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self.responses.get()

    async def error(self) -> tuple[Any, EndpointAddress]:
        async with asyncio.timeout(PATIENCE):
            return await self.errors.get()


# An interface in memory, to show that the contract can be fulfilled without any socket.


class FakeRemote(EndpointAddress):
    """A name on a fake network."""

    scheme = "coaps"
    is_multicast = False
    is_multicast_locally = False

    def __init__(self, interface: FakeTokenInterface, hostinfo: str) -> None:
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
        return f"coaps://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coaps://{self.hostinfo_local}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FakeRemote) and self._hostinfo == other._hostinfo

    def __hash__(self) -> int:
        return hash(self._hostinfo)


class FakeTokenInterface(TokenInterface):
    """Takes messages to the other interfaces of a network, a dict of them by hostinfo."""

    def __init__(
        self, tman: TokenManager, network: dict[str, FakeTokenInterface], name: str
    ) -> None:
        self.tman: TokenManager | None = tman
        self.network = network
        self.name = name
        network[name] = self

    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        tkl, head, body = message.encode_reliable()
        if message.code != EMPTY:
            frame = bytes((tkl,)) + head + body
            asyncio.get_running_loop().call_soon(self.deliver, frame, message.remote)
        return None

    def deliver(self, frame: bytes, remote: EndpointAddress) -> None:
        if self.tman is None:
            return
        peer = self.network.get(remote.hostinfo)
        if peer is None or peer.tman is None:
            self.tman.dispatch_error(NetworkError("nobody is there"), remote)
            return
        message = Message.decode_reliable(frame, 1, frame[0], FakeRemote(peer, self.name))
        if message.code.is_request():
            peer.tman.process_request(message)
        else:
            peer.tman.process_response(message)

    def ping(self, remote: EndpointAddress, pong: Callable[[], None]) -> Callable[[], None] | None:
        asyncio.get_running_loop().call_soon(pong)
        return None

    def owns(self, remote: EndpointAddress) -> bool:
        return isinstance(remote, FakeRemote) and remote.interface is self

    async def resolve(self, message: Message) -> EndpointAddress | None:
        destination = message.destination()
        if destination.scheme != "coaps":
            return None
        if len(destination.hostinfo) > 60:
            raise ResolutionError(f"no such host: {destination.hostinfo}")
        return FakeRemote(self, destination.hostinfo)

    @property
    def bound_address(self) -> tuple[str, int] | None:
        return self.name, 5683

    async def shutdown(self) -> None:
        self.tman = None
        self.network.pop(self.name, None)


class TokenRig(Rig):
    """One way to have a client and a server of messages."""

    scheme = "coap"
    is_connected = False
    # Whether there are connections, which are opened by one end.

    async def make_token_client(self, tokens: Tokens) -> TokenInterface:
        raise NotImplementedError

    async def make_token_server(self, tokens: Tokens) -> TokenInterface:
        raise NotImplementedError

    @asynccontextmanager
    async def asker(self) -> AsyncIterator[Tokens]:
        """Give what requests are sent by."""
        tokens = Tokens()
        tokens.interface = await self.make_token_client(tokens)
        try:
            yield tokens
        finally:
            await tokens.interface.shutdown()

    @asynccontextmanager
    async def answerer(self) -> AsyncIterator[tuple[Tokens, str]]:
        """Give what requests come in by, and its URI without a path."""
        tokens = Tokens()
        tokens.interface = await self.make_token_server(tokens)
        bound = tokens.interface.bound_address
        assert bound is not None
        try:
            yield tokens, f"{self.scheme}://{hostportjoin(self.host, bound[1])}"
        finally:
            await tokens.interface.shutdown()

    def nowhere(self) -> str:
        """Return a URI, without a path, where nobody is."""
        kind = socket.SOCK_STREAM if self.is_connected else socket.SOCK_DGRAM
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, kind) as probe:
            probe.bind((self.host, 0))
            return f"{self.scheme}://{hostportjoin(self.host, probe.getsockname()[1])}"


class Udp6Tokens(TokenRig):
    """A message manager over the full transport for datagrams."""

    async def make_token_client(self, tokens: Tokens) -> TokenInterface:
        manager = MessageManager(tokens)
        manager.message_interface = await MessageInterfaceUDP6.create_client_transport_endpoint(
            manager, LOG, asyncio.get_running_loop()
        )
        return manager

    async def make_token_server(self, tokens: Tokens) -> TokenInterface:
        manager = MessageManager(tokens)
        manager.message_interface = await MessageInterfaceUDP6.create_server_transport_endpoint(
            manager, LOG, asyncio.get_running_loop(), (self.host, 0), []
        )
        return manager


class SimpleTokens(TokenRig):
    """The same over the simple transports."""

    async def make_token_client(self, tokens: Tokens) -> TokenInterface:
        manager = MessageManager(tokens)
        manager.message_interface = await MessageInterfaceSimple6.create_client_transport_endpoint(
            manager, LOG, asyncio.get_running_loop()
        )
        return manager

    async def make_token_server(self, tokens: Tokens) -> TokenInterface:
        manager = MessageManager(tokens)
        manager.message_interface = await MessageInterfaceSimpleServer.create_server(
            (self.host, 0), manager, LOG, asyncio.get_running_loop()
        )
        return manager


class Tcp(TokenRig):
    """Connections over TCP."""

    scheme = "coap+tcp"
    is_connected = True

    async def make_token_client(self, tokens: Tokens) -> TokenInterface:
        return await TCPClient.create_client_transport(tokens, LOG, asyncio.get_running_loop())

    async def make_token_server(self, tokens: Tokens) -> TokenInterface:
        return await TCPServer.create_server(
            (self.host, 0), tokens, LOG, asyncio.get_running_loop()
        )


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server and its clients secure connections by."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with TemporaryDirectory() as folder:
        made = Certificates(Path(folder))
        server.load_cert_chain(made.server.file, made.server.key_file)
        client = ssl.create_default_context(cafile=made.authority.file)
    return server, client


class Trusting:
    """Credentials of clients that trust the server."""

    def ssl_client_context(self, scheme: str, hostinfo: str) -> ssl.SSLContext:
        return contexts()[1]


class Tls(TokenRig):
    """Connections over TLS."""

    scheme = "coaps+tcp"
    is_connected = True

    async def make_token_client(self, tokens: Tokens) -> TokenInterface:
        return await TLSClient.create_client_transport(tokens, LOG, asyncio.get_running_loop())

    async def make_token_server(self, tokens: Tokens) -> TokenInterface:
        return await TLSServer.create_server(
            (self.host, 0), tokens, LOG, asyncio.get_running_loop(), contexts()[0]
        )


class FakeTokens(TokenRig):
    """No transport at all."""

    scheme = "coaps"

    def __init__(self, host: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(host, loop, monkeypatch)
        self.network: dict[str, FakeTokenInterface] = {}

    async def make_token_client(self, tokens: Tokens) -> TokenInterface:
        return FakeTokenInterface(tokens, self.network, f"client{len(self.network)}")

    async def make_token_server(self, tokens: Tokens) -> TokenInterface:
        return FakeTokenInterface(tokens, self.network, hostportjoin(self.host, 5683))


TOKEN_RIGS: dict[str, tuple[type[TokenRig], str]] = {
    "udp6 on ::1": (Udp6Tokens, "::1"),
    "udp6 on 127.0.0.1": (Udp6Tokens, "127.0.0.1"),
    "simple on ::1": (SimpleTokens, "::1"),
    "tcp on ::1": (Tcp, "::1"),
    "tcp on 127.0.0.1": (Tcp, "127.0.0.1"),
    "tls on ::1": (Tls, "::1"),
    "tls on 127.0.0.1": (Tls, "127.0.0.1"),
    "fake": (FakeTokens, "127.0.0.1"),
}

"""Connections without a network: a real context, and a test that is at the other end of them.

:class:`Streams` is a context that speaks CoAP over TCP on a clock that jumps; :class:`Peer` is the
test's end of one connection. A script of a server:

>>> from aiocoap import CONTENT, GET, Message
>>> from aiocoap.numbers.codes import CSM
>>> from aiocoap.resource import Resource, Site
>>> class Hello(Resource):
...     async def render_get(self, request):
...         return Message(payload=b"hello")
>>> site = Site()
>>> site.add_resource(["test"], Hello())
>>> with Streams(site) as streams:
...     peer = streams.accept()
...     peer.send(GET, token=b"t", uri_path=["test"])
...     answer = peer.expect(CONTENT, token=b"t", payload=b"hello")

And one of a client:

>>> with Streams() as streams:
...     request = streams.request(Message(code=GET, uri="coap+tcp://192.0.2.1/test"))
...     peer = streams.connection()
...     asked = peer.expect(GET, uri_path=("test",))
...     peer.send(CONTENT, token=asked.token, payload=b"hello")
...     streams.result(request).payload
b'hello'

``accept`` and ``connection`` exchange the CSMs, unless they are told not to. Numbers of signaling
options are given by ``raw``, as they have no names.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiocoap import interfaces
from aiocoap.message import Message
from aiocoap.numbers.codes import ABORT, CSM, Code
from aiocoap.numbers.constants import TransportTuning
from aiocoap.optiontypes import OpaqueOption
from aiocoap.protocol import Context
from aiocoap.sansio.framing import FrameReader, encode_frame
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.tcp import TCPClient, TCPServer
from tests.harness import Clock

__all__ = ["Peer", "Streams", "Wire", "stream_message"]

HIGH_WATER = 65_536


def stream_message(
    code: int,
    *,
    token: bytes = b"",
    payload: bytes = b"",
    raw: list[tuple[int, bytes]] | None = None,
    **options: Any,
) -> Message:
    """Return a message to be sent over a stream; ``raw`` are options by their numbers."""
    message = Message(code=code, payload=payload, token=token, **options)
    for number, value in raw or ():
        message.opt.add_option(OpaqueOption(number, value))
    return message


class Wire:
    """asyncio's transport of one connection, which is not there.

    Attributes:
        sent: What the context has sent and the other end has read.
        kept: What waits until the other end reads again; None while it does.
        is_reading: Whether the context reads.
        ended: How the context closed the connection: ``close``, ``abort`` or not at all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, local: Any, remote: Any) -> None:
        self.loop = loop
        self.names = {"sockname": local, "peername": remote, "socket": None}
        self.protocol: Any = None
        self.sent = bytearray()
        self.kept: bytearray | None = None
        self.is_reading = True
        self.ended = ""
        self.is_lost = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.names.get(name, default)

    def write(self, data: bytes) -> None:
        assert not self.is_lost, "written to a connection that is lost"
        if self.ended:
            return
        if self.kept is None:
            self.sent += data
            return
        before = len(self.kept)
        self.kept += data
        if before <= HIGH_WATER < len(self.kept):
            self.protocol.pause_writing()

    def is_closing(self) -> bool:
        return bool(self.ended)

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def close(self) -> None:
        if not self.ended:
            self.ended = "close"
            if not self.kept:
                self.loop.call_soon(self.lose)

    def abort(self) -> None:
        if self.ended != "abort":
            self.ended = "abort"
            if self.kept:
                self.kept.clear()
            self.loop.call_soon(self.lose)

    def lose(self, problem: Exception | None = None) -> None:
        """Let the connection be gone."""
        if not self.is_lost:
            self.is_lost = True
            self.ended = self.ended or "lost"
            self.protocol.connection_lost(problem)

    def stall(self) -> None:
        """Read nothing from now on; the system takes no more either."""
        self.kept = bytearray()

    def flow(self) -> None:
        """Read again."""
        kept, self.kept = self.kept, None
        self.sent += kept or b""
        if kept and len(kept) > HIGH_WATER:
            self.protocol.resume_writing()
        if self.ended == "close":
            self.loop.call_soon(self.lose)


class Peer:
    """The test's end of a connection."""

    def __init__(self, streams: Streams, wire: Wire) -> None:
        self.streams = streams
        self.wire = wire
        self.reader = FrameReader(1 << 30)
        self.inbox: deque[Message] = deque()
        self.transcript: list[str] = []

    @property
    def remote(self) -> Any:
        """The context's end."""
        return self.wire.protocol

    def send(self, code: int, **kwargs: Any) -> None:
        """Send a message; see :func:`stream_message`."""
        self.send_raw(encode_frame(stream_message(code, **kwargs)))

    def send_raw(self, raw: bytes, size: int | None = None) -> None:
        """Send any bytes, perhaps some at a time."""
        for start in range(0, len(raw), size or len(raw) or 1):
            piece = raw[start : start + (size or len(raw))]
            self.transcript.append(f"{self.streams.clock.now:10.3f} -> {piece[:40].hex()}")
            self.streams.clock.loop.call_soon(self._deliver, piece)
            self.streams.clock.settle()

    def _deliver(self, piece: bytes) -> None:
        if not self.wire.is_lost:
            self.wire.protocol.data_received(piece)

    def _read(self) -> bool:
        raw = bytes(self.wire.sent)
        self.wire.sent.clear()
        for message in self.reader.feed(raw):
            self.transcript.append(f"{self.streams.clock.now:10.3f} <- {message!r}")
            self.inbox.append(message)
        assert self.reader.fault is None
        return bool(self.inbox)

    def expect(
        self,
        code: int,
        *,
        token: bytes | None = None,
        payload: Any = None,
        raw: list[tuple[int, bytes]] | None = None,
        within: float = 1.0,
        **options: Any,
    ) -> Message:
        """Take the next message that the context sends.

        Args:
            code: Code.
            token: Token; None takes any.
            payload: Payload; None takes any.
            raw: All options by number; None takes any.
            within: Seconds to wait for it.
            options: Values by name; None stands for none.
        """
        if not self._read() and not self.streams.clock.wait_for(self._read, within):
            self._fail(f"{Code(code)} is expected within {within} seconds, and nothing is sent")
        message = self.inbox.popleft()
        self._check(message.code, code, "code")
        if token is not None:
            self._check(message.token, token, "token")
        if payload is not None:
            self._check(message.payload, payload, "payload")
        if raw is not None:
            self._check(message.opt.raw_items(), raw, "options")
        for name, value in options.items():
            self._check(getattr(message.opt, name), value, name)
        return message

    def quiet(self, seconds: float = 0.0) -> None:
        """Let time pass, in which nothing is sent."""
        self.streams.clock.settle()
        if self._read() or self.streams.clock.wait_for(self._read, seconds):
            self._fail(f"nothing is expected to be sent, and {self.inbox[0]!r} is")

    def expect_closed(self, how: str = "close", within: float = 0.0) -> None:
        """Let the context close the connection, without another message."""
        self.quiet()
        if not self.wire.ended and within:
            self.streams.clock.wait_for(lambda: bool(self.wire.ended), within)
        self.quiet()
        self._check(self.wire.ended, how, "end of the connection")

    def expect_abort(self, text: str = "", within: float = 1.0) -> Message:
        """Take an Abort, after which the connection is closed."""
        message = self.expect(ABORT, within=within)
        if text not in message.payload.decode():
            self._fail(f"an Abort because of {text!r} is expected, not of {message.payload!r}")
        self.expect_closed()
        return message

    def close(self, problem: Exception | None = None) -> None:
        """Close the connection from here."""
        self.streams.clock.loop.call_soon(self.wire.lose, problem)
        self.streams.clock.settle()

    def _check(self, found: Any, expected: Any, what: str) -> None:
        if found != expected:
            self._fail(f"{what}: expected {expected!r}, found {found!r}")

    def _fail(self, text: str) -> None:
        raise AssertionError("\n".join([text, "after:", *self.transcript]))


class Streams:
    """A context that speaks CoAP over TCP, to the test.

    Args:
        site: What answers.
        tuning: Transmission parameters.

    Attributes:
        opened: Connections that the context has opened and the test has not taken yet.
        dialled: Address and port of each attempt.
        refusals: What happens at an address instead of a connection.
        names: What names are resolved to.
    """

    def __init__(
        self,
        site: interfaces.Resource | None = None,
        *,
        tuning: TransportTuning | type[TransportTuning] | None = None,
    ) -> None:
        self.clock = Clock()
        self.opened: deque[Wire] = deque()
        self.dialled: list[tuple[str, int]] = []
        self.refusals: dict[str, Callable[[], Any]] = {}
        self.names: dict[str, list[str]] = {}
        loop: Any = self.clock.loop
        loop.create_connection = self._create_connection
        loop.getaddrinfo = self._getaddrinfo
        self.clock.run(self._build(site, tuning() if isinstance(tuning, type) else tuning))

    async def _build(self, site: interfaces.Resource | None, tuning: Any) -> None:
        self.context = Context(serversite=site, transport_tuning=tuning)
        loop, log = self.clock.loop, self.context.log
        self.client_tokens = TokenManager(self.context)
        self.client = await TCPClient.create_client_transport(self.client_tokens, log, loop)
        self.client_tokens.token_interface = self.client
        self.server_tokens = TokenManager(self.context)
        self.server = TCPServer(self.server_tokens, log, loop)
        self.server_tokens.token_interface = self.server
        self.context.request_interfaces += [self.client_tokens, self.server_tokens]

    async def _create_connection(
        self, factory: Callable[[], Any], host: str, port: int, **settings: Any
    ) -> tuple[Any, Any]:
        self.dialled.append((host, port))
        await asyncio.sleep(0)
        if host in self.refusals:
            result = self.refusals[host]()
            if asyncio.iscoroutine(result):
                await result
        wire = Wire(self.clock.loop, ("192.0.2.99", 40000 + len(self.dialled)), (host, port))
        wire.protocol = factory()
        wire.protocol.connection_made(wire)
        self.opened.append(wire)
        return wire, wire.protocol

    async def _getaddrinfo(self, host: str, port: int, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        if host not in self.names:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, 1, 6, "", (one, port)) for one in self.names[host]]

    # Connections

    def accept(
        self,
        *,
        greets: bool = True,
        local: Any = ("192.0.2.99", 5683),
        remote: Any = ("192.0.2.7", 50000),
        **csm: Any,
    ) -> Peer:
        """Open a connection to the context.

        Args:
            greets: Whether the CSMs are exchanged at once.
            local: Socket address of the context's end.
            remote: Socket address of the test's end.
            csm: What is in the test's CSM; see :meth:`Peer.send`.
        """
        wire = Wire(self.clock.loop, local, remote)
        wire.protocol = self.server._accept()
        self.clock.loop.call_soon(wire.protocol.connection_made, wire)
        self.clock.settle()
        return self._greet(Peer(self, wire), greets, csm)

    def connection(self, *, greets: bool = True, **csm: Any) -> Peer:
        """Take a connection that the context has opened."""
        self.clock.settle()
        return self._greet(Peer(self, self.opened.popleft()), greets, csm)

    def _greet(self, peer: Peer, greets: bool, csm: dict[str, Any]) -> Peer:
        if greets:
            peer.expect(CSM)
            peer.send(CSM, **csm)
        return peer

    # Requests

    def request(self, message: Message, **kwargs: Any) -> Any:
        """Have the context send a request, and return what ``Context.request`` gives."""

        async def request() -> Any:
            return self.context.request(message, **kwargs)

        made = self.clock.run(request())
        self.clock.settle()
        return made

    def result(self, request: Any, within: float = 1.0) -> Message:
        """Return the response to a request, or raise what it failed with."""
        assert self.clock.wait_for(request.response.done, within), "there is no response"
        response: Message = request.response.result()
        return response

    def close(self) -> None:
        """Shut the context down."""
        self.clock.run(self.context.shutdown())
        self.clock.settle()
        self.clock.close()

    def __enter__(self) -> Streams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

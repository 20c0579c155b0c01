"""100,000 damaged datagrams at a running server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiocoap import CHANGED, CONTENT, GET, PUT, Context, Message
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import ObservableResource, Resource, Site, WKCResource
from aiocoap.transports.udp6 import UDP6EndpointAddress
from tests.fuzz.targets import mutate

DATAGRAMS = 100_000
OVER_THE_SOCKET = 5_000

MAX_GROWTH = 96 * 1024 * 1024
"""Bytes by which the process may grow: the bounds of the tables (16 MiB of replies, 64 MiB of
bodies each way, which such small datagrams do not come near) and what the allocator keeps."""

MAX_LINES = 200
"""Log lines: 20 tracebacks and a last word a minute from each of two rooms, and some slack."""


class Plain(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"plain", content_format=0)

    async def render_put(self, request: Message) -> Message:
        return Message(code=CHANGED, payload=b"%d" % len(request.payload))

    render_post = render_fetch = render_patch = render_ipatch = render_delete = render_put


class Large(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"0123456789" * 500)

    render_fetch = render_get


class Separate(Resource):
    async def render_get(self, request: Message) -> Message:
        await asyncio.sleep(0.02)
        return Message(payload=b"separate")


class Broken(Resource):
    async def render_get(self, request: Message) -> Message:
        raise RuntimeError("on purpose")

    render_put = render_get


class Observed(ObservableResource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"state")


def site() -> Site:
    made = Site()
    for path, resource in (
        ("p", Plain()), ("l", Large()), ("s", Separate()), ("b", Broken()), ("o", Observed()),
    ):  # fmt: skip
        made.add_resource([path], resource)
    made.add_resource([".well-known", "core"], WKCResource(made.get_resources_as_linkheader))
    return made


def seeds() -> list[bytes]:
    """Return valid datagrams of all kinds."""
    found = []
    for path in "plsbo":
        for mtype in (0, 1):
            for number, options in enumerate((
                {}, {"observe": 0}, {"observe": 1}, {"block2": (0, False, 2)},
                {"block2": (3, False, 6)}, {"accept": 50}, {"no_response": 26},
                {"if_match": [b"x"]}, {"uri_query": ["a=b"]}, {"etags": [b"12345678"]},
                {"proxy_scheme": "coap"}, {"size2": 0}, {"echo": b"12345678"},
            )):  # fmt: skip
                message = Message(mtype=mtype, mid=number, code=GET, uri_path=[path], **options)
                message.token = b"tok%d" % number
                found.append(message.encode())
            for num, more in ((0, True), (1, True), (2, False)):
                message = Message(
                    mtype=mtype, mid=100 + num, code=PUT, uri_path=[path], payload=b"x" * 64,
                    block1=(num, more, 2), size1=192, request_tag=[b"t"],
                )  # fmt: skip
                found.append(message.encode())
    found += [
        b"\x60\x00\x00\x01",
        b"\x70\x00\x00\x01",
        b"\x40\x00\x00\x01",
        b"\x50\x45\x00\x01\xff1",
    ]
    return found


def resident() -> int:
    """Return the size of the process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Asker(asyncio.DatagramProtocol):
    """Sends valid requests over a socket of its own, and waits for what comes back."""

    def __init__(self) -> None:
        self.answers: dict[bytes, asyncio.Future[Message]] = {}
        self.transport: asyncio.DatagramTransport | None = None
        self.mid = random.Random(1).randrange(1 << 16)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: object) -> None:
        message = Message.decode(data)
        waiting = self.answers.get(message.token)
        if waiting is not None and message.code and not waiting.done():
            waiting.set_result(message)

    async def ask(self, path: str, code: int = GET, payload: bytes = b"") -> Message:
        self.mid = (self.mid + 1) & 0xFFFF
        token = b"ask%d" % self.mid
        message = Message(mtype=0, mid=self.mid, code=code, uri_path=[path], payload=payload)
        message.token = token
        self.answers[token] = answer = asyncio.get_running_loop().create_future()
        assert self.transport is not None
        try:
            for _ in range(10):
                # The kernel drops what the server is too busy for, as a network would.
                self.transport.sendto(message.encode())
                done, _ = await asyncio.wait((answer,), timeout=0.5)
                if done:
                    return answer.result()
            raise AssertionError(f"no answer to a request for {path!r}")
        finally:
            del self.answers[token]


async def check(asker: Asker) -> None:
    """See that the server answers everything that it should."""
    assert (await asker.ask("p")).payload == b"plain"
    assert (await asker.ask("p", PUT, b"12345")).payload == b"5"
    assert (await asker.ask("l")).opt.block2.more
    assert (await asker.ask("s")).payload == b"separate"
    assert (await asker.ask("o")).code == CONTENT
    assert (await asker.ask("b")).code.dotted == "5.00"
    assert (await asker.ask("x")).code.dotted == "4.04"


class Impatient(TransportTuning):
    # What is sent to nobody is given up within the test.
    ACK_TIMEOUT = 0.05
    MAX_RETRANSMIT = 1


@contextlib.asynccontextmanager
async def asking(context: Context) -> AsyncIterator[Asker]:
    """Give somebody who asks a context over a socket."""
    transport, asker = await asyncio.get_running_loop().create_datagram_endpoint(
        Asker, remote_addr=context.bound_addresses[0]
    )
    try:
        yield asker
    finally:
        transport.close()


async def storm(context: Context, asker: Asker) -> None:
    """Send everything, and see in between that the server goes on."""
    (_, port) = context.bound_addresses[0]
    manager = context.request_interfaces[0].token_interface  # type: ignore[attr-defined]
    interface = manager.message_interface
    peers = [
        UDP6EndpointAddress(("::ffff:127.0.0.1", 1024 + number, 0, 0), interface)
        for number in range(64)
    ]
    dice, valid = random.Random(8613), seeds()
    await check(asker)
    before = resident()
    for number in range(DATAGRAMS):
        manager.dispatch_datagram(mutate(dice.choice(valid), valid, dice), dice.choice(peers))
        if number % 16 == 0:
            await asyncio.sleep(0)
        if number % 10_000 == 0:
            await check(asker)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    for number in range(OVER_THE_SOCKET):
        datagram = mutate(dice.choice(valid), valid, dice)
        sockets[number % 8].sendto(datagram, ("127.0.0.1", port))
        if number % 32 == 0:
            await asyncio.sleep(0)
    for sock in sockets:
        sock.close()
    await check(asker)
    assert resident() - before < MAX_GROWTH


async def test_damaged_datagrams(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    troubles: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: troubles.append(context))
    context = await Context.create_server_context(
        site(), bind=("127.0.0.1", 0), transport_tuning=Impatient
    )
    async with context, asking(context) as asker:
        await storm(context, asker)
    assert troubles == []
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= MAX_LINES
    assert all(
        record.exc_info is None or isinstance(record.exc_info[1], RuntimeError)
        for record in caplog.records
    )

"""100,000 damaged datagrams at a running server.

Most come from endpoints that are made up: the transport hands them in as if they had arrived, and
what is sent there is counted and goes nowhere. Some go over a real socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sized
from pathlib import Path
from typing import Any

import pytest

from aiocoap import (
    CHANGED,
    CONTENT,
    CONTINUE,
    GET,
    PUT,
    Context,
    Message,
    observerlist,
    tokenmanager,
)
from aiocoap.interfaces import EndpointAddress
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import ObservableResource, Resource, Site, WKCResource
from aiocoap.sansio import addressproof, deduplication, endpoints, transmission
from aiocoap.transports.udp6 import MessageInterfaceUDP6, UDP6EndpointAddress
from tests.fuzz.datagrams import damaged, valid

DATAGRAMS = 100_000
OVER_THE_SOCKET = 5_000
STRANGERS = 4_000

MAX_GROWTH = 64 * 1024 * 1024
"""Bytes by which the process may grow. A datagram can add to four tables: it is remembered, its
endpoint is, it may begin an observation, and a body may wait for more blocks or be kept for them.
Measured: a third of this."""

MAX_LINES = 200
"""Log lines: 20 and a last word a minute from each of three rooms, for two minutes, and slack."""


# The server


class Plain(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"plain", content_format=0)

    async def render_put(self, request: Message) -> Message:
        return Message(code=CHANGED, payload=b"%d" % len(request.payload))

    render_post = render_fetch = render_patch = render_ipatch = render_delete = render_put


class Large(Resource):
    content = b"0123456789" * 500

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.content)

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
    count = 0

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"state %d" % self.count)


class Particular(Plain):
    """Has ideas of what it gets and what it gives."""

    ct = (40, 50)
    accepted_formats = frozenset({0, 60})

    async def get_etag(self, request: Message) -> bytes | None:
        return b"x"


class Trigger(Resource):
    """Changes the state of another, at a path that is not easy to guess."""

    def __init__(self, observed: Observed) -> None:
        super().__init__()
        self.observed = observed

    async def render_post(self, request: Message) -> Message:
        self.observed.count += 1
        self.observed.updated_state()
        return Message()


def site() -> Site:
    made, observed = Site(), Observed()
    for path, resource in (
        ("p", Plain()), ("l", Large()), ("s", Separate()), ("b", Broken()), ("o", observed),
        ("q", Particular()), ("a trigger", Trigger(observed)),
    ):  # fmt: skip
        made.add_resource([path], resource)
    made.add_resource([".well-known", "core"], WKCResource(made.get_resources_as_linkheader))
    return made


# Who asks in earnest


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
        assert self.transport is not None
        if message.mtype == 0:
            self.transport.sendto(bytes((0x60, 0)) + data[2:4])

    async def ask(
        self, path: str, code: int = GET, payload: bytes = b"", **options: Any
    ) -> Message:
        """Send a request until there is a response."""
        self.mid = (self.mid + 1) & 0xFFFF
        message = Message(
            mtype=0, mid=self.mid, code=code, uri_path=[path], payload=payload, **options
        )
        message.token = b"ask%d" % self.mid
        for _ in range(10):
            # The kernel drops what the server is too busy for, as a network would.
            answer = self.expect(message.token)
            assert self.transport is not None
            self.transport.sendto(message.encode())
            done, _ = await asyncio.wait((answer,), timeout=0.5)
            if done:
                return answer.result()
        raise AssertionError(f"no answer to a request for {path!r}")

    def expect(self, token: bytes) -> asyncio.Future[Message]:
        self.answers[token] = asyncio.get_running_loop().create_future()
        return self.answers[token]

    async def check(self) -> None:
        """See that the server answers everything that it should."""
        assert (await self.ask("p")).payload == b"plain"
        assert (await self.ask("p", PUT, b"12345")).payload == b"5"
        assert (await self.ask("s")).payload == b"separate"
        assert (await self.ask("b")).code.dotted == "5.00"
        assert (await self.ask("x")).code.dotted == "4.04"
        assert (await self.ask("p", proxy_scheme="coap")).code.dotted == "5.05"
        assert (await self.ask("q", accept=60)).code.dotted == "4.06"
        got = b""
        for number in range(5):
            response = await self.ask("l", block2=(number, False, 6))
            assert response.opt.block2 == (number, number < 4, 6)
            got += response.payload
        assert got == Large.content
        for number in range(3):
            block = (number, number < 2, 2)
            response = await self.ask("p", PUT, b"z" * 64, block1=block, request_tag=[b"own"])
            assert response.code == (CONTINUE if number < 2 else CHANGED)
        assert response.payload == b"192"
        observed = await self.ask("o", observe=0)
        assert observed.code == CONTENT
        assert observed.opt.observe is not None
        notification = self.expect(observed.token)
        assert (await self.ask("a trigger", 2)).code == CHANGED
        assert (await asyncio.wait_for(notification, 5)).payload != observed.payload
        self.answers.clear()


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


# The storm


class Nobody(UDP6EndpointAddress):
    """An endpoint that is made up."""

    __slots__ = ()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count by code what is sent to nobody."""
    counts: Counter[str] = Counter()
    really_send = MessageInterfaceUDP6.send_datagram

    def send(self: MessageInterfaceUDP6, datagram: bytes, remote: EndpointAddress) -> None:
        if isinstance(remote, Nobody):
            counts[Message.decode(datagram).code.dotted] += 1
        else:
            really_send(self, datagram, remote)

    monkeypatch.setattr(MessageInterfaceUDP6, "send_datagram", send)
    return counts


class Impatient(TransportTuning):
    # What is sent to nobody is given up within the test.
    ACK_TIMEOUT = 0.05
    MAX_RETRANSMIT = 1


@contextlib.asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[Context]:
    """Give a server; at the end, it has had no trouble."""
    troubles: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: troubles.append(context))
    async with await Context.create_server_context(
        site(), bind=("127.0.0.1", port), transport_tuning=Impatient
    ) as context:
        yield context
    assert troubles == []


def somebody(context: Context) -> list[EndpointAddress]:
    """Return the endpoints that datagrams come from: a few that insist, and many that do not."""
    interface = context.request_interfaces[0].token_interface.message_interface  # type: ignore[attr-defined]
    hosts = [f"::ffff:127.0.{number // 200}.{1 + number % 200}" for number in range(STRANGERS // 2)]
    # These might be anybody, and have to prove that they are there.
    hosts += [f"2001:db8::{number:x}" for number in range(STRANGERS // 2)]
    strangers = [Nobody((host, 5683, 0, 0), interface) for host in hosts]
    return strangers + strangers[:: STRANGERS // 32] * (STRANGERS // 32)


async def storm(context: Context, asker: Asker, count: int, checks: int) -> None:
    """Let datagrams arrive, and see in between that the server goes on."""
    manager: Any = context.request_interfaces[0].token_interface  # type: ignore[attr-defined]
    dice, seeds, peers = random.Random(8613), valid(), somebody(context)
    for number in range(count):
        manager.dispatch_datagram(damaged(dice, seeds), dice.choice(peers))
        if number % 16 == 0:
            await asyncio.sleep(0)
        if number % (count // checks) == 0:
            await asker.check()
    await asker.check()


async def storm_over_sockets(context: Context, asker: Asker, count: int) -> None:
    """Send datagrams from some sockets."""
    (_, port) = context.bound_addresses[0]
    dice, seeds = random.Random(7959), valid()
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(8)
        ]
        for number in range(count):
            sockets[number % 8].sendto(damaged(dice, seeds), ("127.0.0.1", port))
            if number % 32 == 0:
                await asyncio.sleep(0)
    # Their ports are closed now, which the server is told by ICMP.
    await asker.check()


def resident() -> int:
    """Return the size of the process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_damaged_datagrams(caplog: pytest.LogCaptureFixture, sent: Counter[str]) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as context, asking(context) as asker:
        await asker.check()
        before = resident()
        await storm(context, asker, DATAGRAMS, checks=10)
        await storm_over_sockets(context, asker, OVER_THE_SOCKET)
        assert resident() - before < MAX_GROWTH
    # They got far: everything that can be answered was, many times.
    expected = "0.00 2.03 2.04 2.05 2.31 4.00 4.02 4.04 4.05 4.06 4.08 4.12 4.15 5.00 5.05"
    assert {code for code, times in sent.items() if times > 20} >= set(expected.split())
    assert len(caplog.records) <= MAX_LINES
    for record in caplog.records:
        assert record.exc_info is None or isinstance(record.exc_info[1], RuntimeError)


# The tables


def tables(root: object) -> Iterator[tuple[str, int]]:
    """Yield every container that a context holds on to, and how many are in it."""
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("context", root)]
    while waiting:
        name, found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, dict | list | set | tuple) or type(found).__name__ == "deque":
            assert isinstance(found, Sized)
            yield name, len(found)
            if len(found) <= 16:
                inside: Any = found.values() if isinstance(found, dict) else found
                waiting += [(f"{name}[]", item) for item in inside]
        elif type(found).__module__.startswith("aiocoap."):
            slots = {
                slot for kind in type(found).__mro__ for slot in getattr(kind, "__slots__", ())
            }
            waiting += [
                (f"{name}.{attribute}", getattr(found, attribute))
                for attribute in slots | set(getattr(found, "__dict__", ()))
                if hasattr(found, attribute)
            ]


BOUNDS = (
    (deduplication, "MAX_REMEMBERED", 500),
    (endpoints, "MAX_PEERS", 200),
    (transmission, "MAX_WAITING", 100),
    (transmission, "MAX_LISTENING", 100),
    (addressproof, "MAX_PROVEN", 100),
    (addressproof, "MAX_UNPROVEN", 100),
    (tokenmanager, "MAX_INCOMING", 150),
    (observerlist, "MAX_OBSERVERS", 100),
)


async def test_tables_keep_to_their_bounds(
    monkeypatch: pytest.MonkeyPatch, sent: Counter[str]
) -> None:
    for module, name, bound in BOUNDS:
        monkeypatch.setattr(module, name, bound)
    async with serving() as context, asking(context) as asker:
        await asker.check()
        await storm(context, asker, 30_000, checks=1)
        filled = dict(tables(context))
    # Those of unfinished bodies keep their 1024; those with an order to forget by may hold twice as
    # many entries as are good, until they are tidied up.
    assert max(filled.values()) <= 2 * 1024
    # It was not for want of trying.
    assert len([name for name, count in filled.items() if count >= 90]) >= 6

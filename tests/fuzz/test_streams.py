"""Damaged streams at a running server that speaks CoAP over TCP.

Most connections are made up: asyncio's calls are made as if there were a socket. Some are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aiocoap import CONTENT, GET, Context, Message
from aiocoap.numbers.codes import ABORT, CSM
from aiocoap.sansio.framing import FrameReader, encode_frame
from aiocoap.transports import rfc8323common
from aiocoap.transports.tcp import TCPServer
from tests.fuzz.datagrams import odd
from tests.fuzz.targets import SEEDS, mutate
from tests.fuzz.test_server import resident, site, tables
from tests.streams import Wire

STREAMS = 8_000
REAL = 200

MAX_GROWTH = 64 * 1024 * 1024
"""Bytes by which the process may grow; measured: 6 MiB."""

MAX_LINES = 2 * (rfc8323common.MAX_LOGGED + 1) + 2 * 21
"""Log lines: those of connections that end, and of handlers that fail, for two minutes."""

FOUND = Path(__file__).parent / "found"

GREETING = bytes.fromhex("00e1")
SIGNALS = [
    *("00e1", "20e13120", "30e1220480", "50e122048020", "10e130", "10e120"),  # CSM
    *("01e2aa", "10e220", "10e230", "00e3", "01e3aa", "10e320"),  # Ping, Pong
    *("00e4", "30e442003c", "20e42161", "00e5", "20e52104", "20e5ff78", "00e6", "00ff"),
    *("0000", "0100aa", "0020", "00c0", "0045", "0145aa", "2045ff78"),  # Empty, and no meaning
]


def frame(dice: random.Random) -> bytes:
    """Return a message that is well-formed, and mostly strange."""
    if dice.random() < 0.15:
        return bytes.fromhex(dice.choice(SIGNALS))
    datagram = odd(dice)
    message = datagram[4 + (datagram[0] & 15) :]
    head = bytes((datagram[1],)) + datagram[4 : 4 + (datagram[0] & 15)]
    length, nibble = len(message), datagram[0] & 15
    if length < 13:
        return bytes((length << 4 | nibble,)) + head + message
    if length < 269:
        return bytes((0xD0 | nibble, length - 13)) + head + message
    return bytes((0xE0 | nibble,)) + (length - 269).to_bytes(2, "big") + head + message


def stream(dice: random.Random) -> bytes:
    """Return a stream that may be anything."""
    frames = [frame(dice) for _ in range(dice.randint(1, 30))]
    raw = b"".join(frames)
    kind = dice.random()
    if kind > 0.7:
        raw = mutate(raw, frames + SEEDS["framing"] + SEEDS["signaling"], dice)
    return raw if kind > 0.95 else GREETING + raw


def pieces(raw: bytes, dice: random.Random) -> list[bytes]:
    """Cut a stream at random."""
    size = dice.choice((1, 3, 17, 200, 5000))
    return [raw[start : start + size] for start in range(0, len(raw), size)]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Context, TCPServer]]:
    """Give a server; at the end, it has had no trouble."""
    troubles: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: troubles.append(context))
    async with await Context.create_server_context(
        site(), bind=("127.0.0.1", 0), transports=["tcpserver"]
    ) as context:
        interface: Any = context.request_interfaces[0]
        yield context, interface.token_interface
    assert troubles == []


async def check(context: Context) -> None:
    """See that the server still serves, by a socket."""
    host, port = context.bound_addresses[0]
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(GREETING + encode_frame(Message(code=GET, token=b"ask", uri_path=["p"])))
            frames = FrameReader(1 << 20)
            found: list[Message] = []
            while len(found) < 2:
                data = await reader.read(4096)
                assert data, "the server has closed the connection"
                found += frames.feed(data)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    assert [message.code for message in found] == [CSM, CONTENT]
    assert (found[1].token, found[1].payload) == (b"ask", b"plain")


async def play(server: TCPServer, raw: bytes, dice: random.Random, sent: Counter[str]) -> None:
    """Let a stream come in over a connection that is made up."""
    loop = asyncio.get_running_loop()
    wire = Wire(loop, ("192.0.2.99", 5683), ("192.0.2.7", dice.randint(1024, 65535)))
    wire.protocol = server._accept()
    wire.protocol.connection_made(wire)
    if dice.random() < 0.1:
        wire.stall()
    for piece in pieces(raw, dice):
        if wire.is_lost:
            break
        wire.protocol.data_received(piece)
        if dice.random() < 0.1:
            await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    # Some go at once, some are cut off, and some stay.
    if dice.random() < 0.9 and not wire.is_lost:
        wire.lose(None if dice.random() < 0.5 else ConnectionResetError(104, "reset"))
    frames = FrameReader(1 << 30)
    messages = frames.feed(bytes(wire.sent))
    assert frames.fault is None, "the server has sent what is no message"
    codes = [message.code for message in messages]
    sent.update(code.dotted for code in codes)
    assert wire.kept is not None or codes[0] == CSM
    assert ABORT not in codes[:-1], "something came after the last words"


async def test_damaged_streams(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    dice, sent = random.Random(8323), Counter[str]()
    async with serving() as (context, server):
        await check(context)
        before = resident()
        for number in range(STREAMS):
            await play(server, stream(dice), dice, sent)
            if number % (STREAMS // 8) == 0:
                await check(context)
        assert len(server.connections) > STREAMS // 50
        assert resident() - before < MAX_GROWTH
        assert server._kept < rfc8323common.MAX_KEPT
        # Those that are still there, and those whose peers do not read the last words.
        for connection in list(server._alive):
            connection.lose("the test is over")
            connection._close(False)
        await asyncio.sleep(0)
        assert server._kept == 0
        await check(context)
    # They got far.
    expected = "2.04 2.05 2.31 4.00 4.02 4.04 4.05 4.06 4.08 4.12 4.15 5.00 7.01 7.03 7.05"
    assert {code for code, times in sent.items() if times > 10} >= set(expected.split())
    assert len(caplog.records) <= MAX_LINES
    for record in caplog.records:
        assert record.exc_info is None or isinstance(record.exc_info[1], RuntimeError)


async def test_damaged_streams_over_sockets() -> None:
    dice = random.Random(7252)
    async with serving() as (context, server):
        host, port = context.bound_addresses[0]
        for number in range(REAL):
            _, writer = await asyncio.open_connection(host, port)
            with contextlib.suppress(OSError):
                for piece in pieces(stream(dice), dice)[:50]:
                    writer.write(piece)
                    await writer.drain()
                if number % 2:
                    writer.transport.abort()
                else:
                    writer.close()
                    await writer.wait_closed()
        await check(context)
        assert len(server.connections) <= 20


async def test_tables_keep_to_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc8323common, "MAX_CONNECTIONS", 100)
    monkeypatch.setattr(rfc8323common, "MAX_IN_WORK", 20)
    dice = random.Random(7641)
    async with serving() as (context, server):
        for _ in range(1500):
            loop = asyncio.get_running_loop()
            wire = Wire(loop, ("192.0.2.99", 5683), ("192.0.2.7", 1))
            wire.protocol = server._accept()
            wire.protocol.connection_made(wire)
            for piece in pieces(stream(dice), dice):
                if not wire.is_lost:
                    wire.protocol.data_received(piece)
            await asyncio.sleep(0)
            assert len(server.connections) <= 100
            assert all(len(found.signaling.in_work) <= 20 for found in server.connections)
        assert len(server.connections) > 50
        filled = dict(tables(context))
        assert max(filled.values()) <= 2 * 1024


@pytest.mark.parametrize("path", sorted(FOUND.glob("stream-*")), ids=lambda path: path.name)
async def test_what_was_found(path: Path) -> None:
    """Streams that once did harm are kept as ``found/stream-…``."""
    raw = path.read_bytes()  # noqa: ASYNC240 - nothing else is to be done meanwhile
    async with serving() as (context, server):
        for seed in range(5):
            await play(server, raw, random.Random(seed), Counter())
        await check(context)

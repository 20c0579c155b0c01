"""A client among servers that answer nonsense: each request ends, one way or the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any

import pytest

from aiocoap import FETCH, GET, PUT, Context, Message, error
from aiocoap.numbers.constants import TransportTuning
from tests.fuzz.datagrams import encoded, header, uint, value
from tests.fuzz.targets import mutate

REQUESTS = 3_000
AT_ONCE = 30
PATIENCE = 30.0
MAX_LINES = 100

CODES = (
    *(65, 67, 68, 69, 69, 69, 69, 95, 95) * 2,
    128,
    129,
    132,
    136,
    136,
    141,
    141,
    160,
    163,
    191,
)
OPTIONS = (*(4, 6, 12, 14, 23, 27) * 3, 8, 20, 28, 60, 252, 292)


def answer(request: Message, dice: random.Random) -> bytes:
    """Return what might be a response."""
    code = dice.choice(CODES)
    options = [
        (number, value(number, dice)) for number in dice.choices(OPTIONS, k=dice.randint(0, 4))
    ]
    payload = dice.choice((b"", b"x" * 16, b"x" * 64, dice.randbytes(dice.randint(1, 100))))
    opt = request.opt
    # Mostly what fits, so that it goes on.
    if opt.block1 is not None and dice.random() < 0.9:
        block = opt.block1
        code = code if dice.random() < 0.1 else 95 if block.more else 68
        exponent = dice.choice((block.size_exponent, block.size_exponent, 2, 0))
        options.append((27, uint(block.block_number << 4 | block.more << 3 | exponent)))
    elif request.code != PUT and dice.random() < 0.7:
        number = opt.block2.block_number if opt.block2 is not None else 0
        code = code if dice.random() < 0.1 else 69
        payload = payload if dice.random() < 0.1 else b"y" * 64
        more = dice.random() < 0.8
        options.append((23, uint(number << 4 | more << 3 | 2)))
        if dice.random() < 0.8:
            options.append((4, b"e"))
    if opt.observe is not None and dice.random() < 0.7:
        options.append((6, uint(dice.getrandbits(dice.choice((3, 24))))))
    if dice.random() < 0.9:
        # A surplus block option makes a response one to be rejected.
        options = list(dict(options).items())
    is_piggybacked = request.mtype == 0 and dice.random() < 0.8
    mid = request.mid if is_piggybacked and dice.random() < 0.98 else dice.getrandbits(16)
    token = request.token if dice.random() < 0.98 else dice.randbytes(dice.randint(0, 8))
    head = header(2 if is_piggybacked else dice.randint(0, 1), code, mid, token)  # type: ignore[arg-type]
    return head + encoded(options) + (b"\xff" + payload if payload else b"")


class Unreliable(asyncio.DatagramProtocol):
    """Answers each request by something."""

    def __init__(self) -> None:
        self.dice = random.Random(7641)
        self.transport: Any = None
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request, dice = Message.decode(data), self.dice
        if not 0 < request.code < 32:
            return
        for _ in range(dice.choice((0, *(1,) * 9, 2, 3))):
            response = answer(request, dice)
            if dice.random() < 0.15:
                response = mutate(response, [data, response], dice)
            self.transport.sendto(response, addr)
            self.count += 1


class Hasty(TransportTuning):
    ACK_TIMEOUT = 0.01
    MAX_RETRANSMIT = 1
    MAX_LATENCY = 0.1
    NSTART = AT_ONCE
    PROBING_RATE = 1e6


async def ask(context: Context, uri: str, dice: random.Random, outcomes: list[str]) -> None:
    """Send a request, and note what becomes of it."""
    kind = dice.randrange(5)
    message = Message(code=GET, uri=uri, mtype=dice.randint(0, 1))
    if kind == 0:
        message = Message(code=PUT, uri=uri, payload=b"z" * 3000)
    elif kind == 1:
        message = Message(code=FETCH, uri=uri, payload=b"z" * 300, block1=(0, False, 2))
    elif kind == 2:
        message.opt.observe = 0
    request = context.request(message)
    try:
        response = await request.response
        outcomes.append("response")
        # Whatever it is, it can be looked at.
        assert repr(response)
        assert response.code.is_response()
    except error.Error as problem:
        outcomes.append(type(problem).__name__)
    if request.observation is not None:
        with contextlib.suppress(error.Error, TimeoutError):
            async with asyncio.timeout(0.02):
                async for notification in request.observation:
                    assert notification.code.is_response()
        request.observation.cancel()


async def test_nonsense_for_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    troubles: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: troubles.append(context))
    outcomes: list[str] = []
    dice = random.Random(5988)
    servers = [
        await loop.create_datagram_endpoint(Unreliable, local_addr=("127.0.0.1", 0))
        for _ in range(4)
    ]
    uris = [
        f"coap://127.0.0.1:{transport.get_extra_info('sockname')[1]}/x" for transport, _ in servers
    ]
    try:
        async with (
            asyncio.timeout(PATIENCE),
            await Context.create_client_context(transport_tuning=Hasty) as context,
        ):
            for _ in range(REQUESTS // AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for _ in range(AT_ONCE):
                        group.create_task(ask(context, dice.choice(uris), dice, outcomes))
            manager: Any = context.request_interfaces[0]
            # What is left are servers that are told of the end of an observation.
            while left := [sent.pipe.request for sent in manager.outgoing_requests]:
                assert {request.opt.observe for request in left} == {1}
                with contextlib.suppress(error.Error):
                    await context.request(Message(code=GET, uri=uris[0])).response
            assert repr(manager).startswith("<TokenManager, 0 outgoing and 0 incoming"), manager
    finally:
        for transport, _ in servers:
            transport.close()
    assert troubles == []
    assert len(outcomes) == REQUESTS
    # It was neither all good nor all bad.
    assert outcomes.count("response") > REQUESTS // 5
    assert len(set(outcomes)) >= 4, set(outcomes)
    assert len(caplog.records) <= MAX_LINES
    assert all(record.exc_info is None for record in caplog.records)

"""CoAP over TCP with libcoap: our client against its server, and its client against ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocoap import (
    CHANGED,
    CONTENT,
    CREATED,
    DELETE,
    DELETED,
    GET,
    NOT_FOUND,
    POST,
    PUT,
    Context,
    Message,
)
from tests.interop.peers import aiocoap_client, libcoap_client, libcoap_server, our_server

BODY = random.Random(8323).randbytes(100 * 1024)
PATIENCE = 20


# Our client


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    with libcoap_server("-d", "20") as server:
        yield f"coap+tcp://127.0.0.1:{server.port}"


async def ask(message: Message) -> Message:
    async with await Context.create_client_context(transports=["tcpclient"]) as context:
        async with asyncio.timeout(PATIENCE):
            return await context.request(message).response


async def test_get(theirs: str) -> None:
    response = await ask(Message(code=GET, uri=f"{theirs}/"))
    assert response.code == CONTENT
    assert b"libcoap" in response.payload
    assert response.get_request_uri() == f"{theirs}/"
    assert (await ask(Message(code=GET, uri=f"{theirs}/nothing"))).code == NOT_FOUND


async def test_methods(theirs: str) -> None:
    uri = f"{theirs}/dynamic"
    async with await Context.create_client_context(transports=["tcpclient"]) as context:
        answers = []
        for code, payload in (
            *((PUT, b"first"), (GET, b""), (PUT, b"second"), (GET, b"")),
            *((POST, b"third"), (GET, b""), (DELETE, b""), (GET, b"")),
        ):
            request = Message(code=code, uri=uri, payload=payload)
            async with asyncio.timeout(PATIENCE):
                answers.append(await context.request(request).response)
        assert [answer.code for answer in answers] == [
            *(CREATED, CONTENT, CHANGED, CONTENT),
            *(CHANGED, CONTENT, DELETED, NOT_FOUND),
        ]
        assert [answers[n].payload for n in (1, 3, 5)] == [b"first", b"second", b"third"]
        # All of them by one connection.
        assert len({answer.remote for answer in answers}) == 1


@pytest.mark.parametrize("size", [1000, 1024, 5000, len(BODY)])
async def test_bodies(theirs: str, size: int) -> None:
    uri = f"{theirs}/example_data"
    assert (await ask(Message(code=PUT, uri=uri, payload=BODY[:size]))).code.is_successful()
    assert (await ask(Message(code=GET, uri=uri))).payload == BODY[:size]


async def test_many_at_once(theirs: str) -> None:
    async with await Context.create_client_context(transports=["tcpclient"]) as context:
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(
                *[context.request(Message(code=GET, uri=f"{theirs}/")).response for _ in range(100)]
            )
    assert {answer.code for answer in answers} == {CONTENT}


async def test_observe() -> None:
    with libcoap_server("-v", "7") as server:
        uri = f"coap+tcp://127.0.0.1:{server.port}/example_data"
        states = [BODY[: 1 + number * 700] for number in range(5)]
        seen = []
        async with await Context.create_client_context() as context, asyncio.timeout(PATIENCE):
            observed = context.request(Message(code=GET, uri=uri, observe=0))
            assert (await observed.response).opt.observe is not None
            notified = aiter(observed.observation)
            for state in states:
                await context.request(Message(code=PUT, uri=uri, payload=state)).response
                seen.append((await anext(notified)).payload)
            observed.observation.cancel()
            await context.request(Message(code=PUT, uri=uri, payload=b"unsaid")).response
        told = server.stop()
    assert seen == states
    assert "removed subscription" in told


async def test_ping(theirs: str) -> None:
    async with await Context.create_client_context(transports=["tcpclient"]) as context:
        async with asyncio.timeout(PATIENCE):
            response = await context.request(Message(code=GET, uri=f"{theirs}/")).response
            tokens: Any = context.request_interfaces[0]
            await tokens.ping(response.remote)
            # The connection goes on.
            again = await context.request(Message(code=GET, uri=f"{theirs}/")).response
        assert again.remote == response.remote


def test_the_command_line_client(theirs: str) -> None:
    done = aiocoap_client(f"{theirs}/")
    assert done.returncode == 0
    assert b"libcoap" in done.stdout


# Our server


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    with our_server() as server:
        yield f"coap+tcp://127.0.0.1:{server.port}"


@pytest.mark.parametrize("arguments", [[], ["-T", "token123"], ["-b", "64"]])
def test_their_get(ours: str, arguments: list[str]) -> None:
    assert libcoap_client(*arguments, f"{ours}/stored").strip() == b"nothing yet"


def test_where_they_send_it(ours: str) -> None:
    assert libcoap_client(f"{ours}/echo?a=b").strip().decode() == f"{ours}/echo?a=b"
    port = ours.rsplit(":", 1)[1]
    by_ipv6 = f"coap+tcp://[::1]:{port}/echo"
    assert libcoap_client(by_ipv6).strip().decode() == by_ipv6


def test_their_methods(ours: str) -> None:
    for method in ("get", "put", "post", "delete", "fetch", "patch", "ipatch"):
        payload = [] if method in ("get", "delete") else ["-e", "sent", "-t", "text/plain"]
        told = libcoap_client("-m", method, *payload, f"{ours}/methods").strip()
        expected = {"ipatch": "iPATCH"}.get(method, method.upper())
        assert told.decode() == f"{expected} with {4 if payload else 0} bytes"


def test_their_errors(ours: str) -> None:
    assert b"4.04" in libcoap_client(f"{ours}/nothing")


@pytest.mark.parametrize("size", [[], ["-b", "64"], ["-b", "1024"]])
def test_their_blocks_down(ours: str, size: list[str], tmp_path: Path) -> None:
    libcoap_client(*size, "-o", str(tmp_path / "out"), f"{ours}/large")
    assert (tmp_path / "out").read_bytes() == b"0123456789" * 2000


@pytest.mark.parametrize(("size", "length"), [([], len(BODY)), (["-b", "128"], 5_000)])
def test_their_blocks_up(ours: str, size: list[str], length: int, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BODY[:length])
    libcoap_client(*size, "-m", "put", "-f", str(tmp_path / "in"), f"{ours}/kept")
    libcoap_client("-o", str(tmp_path / "out"), f"{ours}/kept")
    assert (tmp_path / "out").read_bytes() == BODY[:length]


def test_their_observe(ours: str) -> None:
    told = libcoap_client("-s", "2", f"{ours}/counted", seconds=3)
    assert told.count(b"count") >= 3
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


def test_their_ping(ours: str) -> None:
    """It keeps the connection alive by Pings while it observes something that does not change."""
    told = libcoap_client("-v", "7", "-K", "1", "-s", "3", f"{ours}/noted", seconds=4)
    assert b"nothing yet" in told
    assert b"7.02" in told or b"Ping" in told
    assert b"7.03" in told or b"Pong" in told

"""Our client against libcoap's server, and libcoap's client against ours."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiocoap import (
    CHANGED,
    CON,
    CONTENT,
    CREATED,
    DELETE,
    DELETED,
    GET,
    NON,
    NOT_FOUND,
    POST,
    PUT,
    Context,
    Message,
)
from tests.interop.peers import (
    PING,
    PONG,
    ROOT,
    aiocoap_client,
    answer,
    free_port,
    libcoap_client,
    libcoap_server,
    server,
)

BODY = random.Random(7959).randbytes(100_000)


# Our client


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    with libcoap_server("-d", "20") as port:
        yield f"coap://127.0.0.1:{port}"


async def ask(message: Message) -> Message:
    async with await Context.create_client_context() as context:
        async with asyncio.timeout(20):
            return await context.request(message).response


@pytest.mark.parametrize("mtype", [CON, NON])
async def test_get(theirs: str, mtype: int) -> None:
    response = await ask(Message(mtype=mtype, code=GET, uri=f"{theirs}/"))
    assert response.code == CONTENT
    assert b"libcoap" in response.payload


async def test_what_is_not_there(theirs: str) -> None:
    assert (await ask(Message(code=GET, uri=f"{theirs}/nothing"))).code == NOT_FOUND


async def test_put_post_get_and_delete(theirs: str) -> None:
    uri = f"{theirs}/dynamic"
    assert (await ask(Message(code=PUT, uri=uri, payload=b"first"))).code == CREATED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"first"
    assert (await ask(Message(code=PUT, uri=uri, payload=b"second"))).code == CHANGED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"second"
    # Its resources have no POST; that it says so is an answer as well.
    assert (await ask(Message(code=POST, uri=uri, payload=b"x"))).code.class_ in (2, 4)
    assert (await ask(Message(code=DELETE, uri=uri))).code == DELETED
    assert (await ask(Message(code=GET, uri=uri))).code == NOT_FOUND


@pytest.mark.parametrize("exponent", [6, 2])
async def test_bodies_in_blocks(theirs: str, exponent: int) -> None:
    uri = f"{theirs}/large{exponent}"
    body = BODY[: 50_000 if exponent == 6 else 3_000]
    put = Message(code=PUT, uri=uri, payload=body, block1=(0, False, exponent))
    assert (await ask(put)).code == CREATED
    get = Message(code=GET, uri=uri, block2=(0, False, exponent))
    assert (await ask(get)).payload == body


async def test_a_separate_response(theirs: str) -> None:
    response = await ask(Message(code=GET, uri=f"{theirs}/async?1"))
    assert response.code == CONTENT
    assert response.mtype in (CON, NON)


async def test_observe(theirs: str) -> None:
    async with await Context.create_client_context() as context:
        request = context.request(Message(code=GET, uri=f"{theirs}/time", observe=0))
        async with asyncio.timeout(20):
            seen = [(await request.response).payload]
            async for notification in request.observation:
                assert notification.opt.observe is not None
                seen.append(notification.payload)
                if len(seen) == 3:
                    break
        request.observation.cancel()
        assert len(set(seen)) == 3


def test_ping_of_theirs(theirs: str) -> None:
    assert answer(int(theirs.rsplit(":", 1)[1]), PING, 5) == PONG


def test_the_command_line_client(theirs: str) -> None:
    done = aiocoap_client(f"{theirs}/")
    assert done.returncode == 0
    assert b"libcoap" in done.stdout
    assert aiocoap_client(f"{theirs}/nothing").returncode == 4
    assert aiocoap_client("-m", "PUT", "--payload", "by hand", f"{theirs}/tool").returncode == 0
    assert aiocoap_client("--non", f"{theirs}/tool").stdout == b"by hand"


# Our server


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    port = free_port()
    script = str(Path(__file__).parent / "our_server.py")
    with server([sys.executable, script, str(port)], port, PYTHONPATH=str(ROOT)):
        yield f"coap://127.0.0.1:{port}"


@pytest.mark.parametrize("arguments", [[], ["-N"], ["-T", "token123"], ["-b", "64"]])
def test_their_get(ours: str, arguments: list[str]) -> None:
    assert libcoap_client(*arguments, f"{ours}/stored").strip() == b"nothing yet"


def test_their_get_by_ipv6(ours: str) -> None:
    port = ours.rsplit(":", 1)[1]
    assert libcoap_client(f"coap://[::1]:{port}/stored").strip() == b"nothing yet"


def test_their_methods(ours: str) -> None:
    uri = f"{ours}/methods"
    for method in ("get", "put", "post", "delete", "fetch", "patch", "ipatch"):
        payload = [] if method in ("get", "delete") else ["-e", "sent", "-t", "text/plain"]
        told = libcoap_client("-m", method, *payload, uri).strip()
        expected = {"ipatch": "iPATCH"}.get(method, method.upper())
        assert told.decode() == f"{expected} with {4 if payload else 0} bytes"


@pytest.mark.parametrize("size", [[], ["-b", "64"], ["-b", "1024"]])
def test_their_blocks_down(ours: str, size: list[str], tmp_path: Path) -> None:
    libcoap_client(*size, "-o", str(tmp_path / "out"), f"{ours}/large")
    assert (tmp_path / "out").read_bytes() == b"0123456789" * 2000


@pytest.mark.parametrize("size", [[], ["-b", "128"]])
def test_their_blocks_up(ours: str, size: list[str], tmp_path: Path) -> None:
    body = BODY[: 5_000 if size else 100_000]
    (tmp_path / "in").write_bytes(body)
    libcoap_client(*size, "-m", "put", "-f", str(tmp_path / "in"), f"{ours}/kept")
    libcoap_client("-o", str(tmp_path / "out"), f"{ours}/kept")
    assert (tmp_path / "out").read_bytes() == body


def test_their_observe(ours: str) -> None:
    told = libcoap_client("-s", "2", f"{ours}/counted", seconds=3)
    assert told.count(b"count") >= 3
    # It has told us that it is over.
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


def test_their_wait_for_a_separate_response(ours: str) -> None:
    assert libcoap_client(f"{ours}/slow").strip() == b"slow"


def test_their_errors(ours: str) -> None:
    assert b"4.04" in libcoap_client(f"{ours}/nothing")
    assert b"5.00" in libcoap_client(f"{ours}/broken")
    assert b"5.05" in libcoap_client("-P", ours, "coap://192.0.2.1/elsewhere")
    # 2050 is elective, 2049 critical.
    assert libcoap_client("-O", "2050,x", f"{ours}/stored").strip() == b"nothing yet"
    assert b"4.02" in libcoap_client("-O", "2049,x", f"{ours}/stored")


def test_ping_of_ours(ours: str) -> None:
    assert answer(int(ours.rsplit(":", 1)[1]), PING, 5) == PONG


def test_what_they_discover(ours: str) -> None:
    told = libcoap_client(f"{ours}/.well-known/core")
    assert b"</counted>;obs" in told

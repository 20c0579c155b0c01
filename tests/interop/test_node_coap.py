"""Our client against a server on node-coap.

There is no ping among the tests: node-coap answers one by an ACK with 4.04, where RFC 7252 section
4.3 has a Reset.
"""

from __future__ import annotations

import asyncio
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
from tests.interop.peers import Server, node_modules
from tests.ports import free_port


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    port, script = free_port(), Path(__file__).parent / "node_server.js"
    with Server(["node", str(script), str(port)], port, NODE_PATH=node_modules()):
        yield f"coap://127.0.0.1:{port}"


async def ask(message: Message) -> Message:
    async with await Context.create_client_context() as context:
        async with asyncio.timeout(20):
            return await context.request(message).response


@pytest.mark.parametrize("mtype", [CON, NON])
async def test_get(theirs: str, mtype: int) -> None:
    response = await ask(Message(mtype=mtype, code=GET, uri=f"{theirs}/stored"))
    assert (response.code, response.payload) == (CONTENT, b"nothing yet")
    assert (await ask(Message(mtype=mtype, code=GET, uri=f"{theirs}/x"))).code == NOT_FOUND


async def test_put_post_and_delete(theirs: str) -> None:
    uri = f"{theirs}/stored"
    assert (await ask(Message(code=PUT, uri=uri, payload=b"put"))).code == CHANGED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"put"
    assert (await ask(Message(code=POST, uri=uri, payload=b"post"))).code == CREATED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"post"
    assert (await ask(Message(code=DELETE, uri=uri))).code == DELETED
    assert (await ask(Message(code=PUT, uri=uri, payload=b"nothing yet"))).code == CHANGED


async def test_a_body_in_blocks(theirs: str) -> None:
    response = await ask(Message(code=GET, uri=f"{theirs}/large"))
    assert response.payload == (b"node-coap " * 500)


async def test_a_separate_response(theirs: str) -> None:
    assert (await ask(Message(code=GET, uri=f"{theirs}/slow"))).payload == b"slow"


async def test_observe(theirs: str) -> None:
    async with await Context.create_client_context() as context:
        request = context.request(Message(code=GET, uri=f"{theirs}/observed", observe=0))
        async with asyncio.timeout(20):
            assert (await request.response).payload == b"state 0"
            async for notification in request.observation:
                if notification.payload == b"state 3":
                    break
        request.observation.cancel()

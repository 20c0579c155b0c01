"""The two ends of WebSockets for tests: ours, and those of others, which do as the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from aiocoap import Context, Message
from aiocoap.interfaces import Resource
from aiocoap.numbers.codes import ABORT, CSM
from aiocoap.optiontypes import OpaqueOption
from aiocoap.sansio.framing import decode_unframed, encode_unframed
from aiocoap.transports.ws import WSPool, WSRemote

PATIENCE = 20.0
"""Seconds after which what should happen soon is taken not to happen."""

COAP = [Subprotocol("coap")]
PATH = "/.well-known/coap"


def _greeting() -> bytes:
    """Return the CSM of somebody who takes large messages, and blocks of any size."""
    message = Message(code=CSM)
    message.opt.add_option(OpaqueOption(2, (70_000).to_bytes(3, "big")))
    message.opt.add_option(OpaqueOption(4, b""))
    return encode_unframed(message)


GREETING = _greeting()


@asynccontextmanager
async def served(site: Resource | None, **kwargs: Any) -> AsyncIterator[tuple[Context, int]]:
    """Give a server of ours, and its port."""
    context = await Context.create_server_context(
        site, ("::1", 0), transports=kwargs.pop("transports", ["ws"]), **kwargs
    )
    async with asyncio.timeout(PATIENCE), context:
        yield context, context.bound_addresses[0][1]


@asynccontextmanager
async def client(**kwargs: Any) -> AsyncIterator[Context]:
    """Give a client of ours."""
    context = await Context.create_client_context(transports=["ws"], **kwargs)
    async with asyncio.timeout(PATIENCE), context:
        yield context


def pool(context: Context) -> WSPool:
    """Return the transport of a context that has no other."""
    found = context.request_interfaces[0].token_interface  # type: ignore[attr-defined]
    assert isinstance(found, WSPool)
    return found


def connections(context: Context) -> list[WSRemote]:
    """Return the connections of a context."""
    return [found for found in pool(context).connections if isinstance(found, WSRemote)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- there is no event of somebody else's state
            await asyncio.sleep(0.005)


@asynccontextmanager
async def raw_client(port: int, **kwargs: Any) -> AsyncIterator[ClientConnection]:
    """Give the library's own client, connected to a server of ours."""
    settings = {"subprotocols": COAP, "compression": None, "proxy": None, **kwargs}
    async with connect(f"ws://[::1]:{port}{settings.pop('path', PATH)}", **settings) as connection:
        yield connection


@asynccontextmanager
async def raw_server(
    handler: Callable[[ServerConnection], Awaitable[None]], **kwargs: Any
) -> AsyncIterator[str]:
    """Give the URI of the library's own server."""

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await handler(connection)

    settings = {"subprotocols": COAP, "compression": None, **kwargs}
    async with serve(handle, "::1", 0, **settings) as server:
        yield f"coap+ws://[::1]:{next(iter(server.sockets)).getsockname()[1]}"


async def received(connection: ClientConnection | ServerConnection) -> Message:
    """Return the next message of the other end, but for its CSM."""
    while True:
        data = await asyncio.wait_for(connection.recv(), PATIENCE)
        assert isinstance(data, bytes)
        message = decode_unframed(data)
        if message.code != CSM:
            return message


async def code_of_end(connection: ClientConnection | ServerConnection) -> int | None:
    """Wait for the end of a connection, and return the code that the other end gave for it."""
    async with asyncio.timeout(PATIENCE):
        async for _ in _messages(connection):
            pass
    return connection.close_code


async def _messages(connection: ClientConnection | ServerConnection) -> AsyncIterator[str | bytes]:
    """Give all messages until the connection is closed, in whatever way."""
    with suppress(ConnectionClosed):
        while True:
            yield await connection.recv()


async def aborted(connection: ClientConnection | ServerConnection) -> str:
    """Return what the other end says in its Abort, which is the last that comes."""
    message = await received(connection)
    assert message.code == ABORT
    with suppress(ConnectionClosed):
        await asyncio.wait_for(connection.recv(), PATIENCE)
        raise AssertionError("there came more")
    return message.payload.decode()


def plain_socket(port: int) -> socket.socket:
    """Return a connected socket."""
    sock = socket.create_connection(("::1", port))
    sock.setblocking(False)
    return sock


async def shook(port: int, *lines: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Send the lines of a handshake, and return the connection and the head of the answer."""
    reader, writer = await asyncio.open_connection("::1", port)
    writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return reader, writer, head


def handshake(port: int, **changes: str | None) -> list[str]:
    """Return the lines of RFC 8323's opening handshake; a change to None leaves one out."""
    headers: dict[str, str | None] = {
        "Host": f"[::1]:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "coap",
        "Sec-WebSocket-Version": "13",
    }
    path = changes.pop("path", PATH)
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value
    kept = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return [f"GET {path} HTTP/1.1", *kept]

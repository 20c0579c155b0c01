"""Contexts on the loopback interface, for every loop and transport there is.

Tests that take the fixture ``net`` (in conftest) run in each of these combinations. Afterwards
there must be no task, no context and nothing in the log.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiocoap import Context, Message
from aiocoap.interfaces import Resource
from aiocoap.numbers.constants import TransportTuning
from aiocoap.util import hostportjoin

PATIENCE = 20.0
"""Seconds after which what should happen soon is taken not to happen."""

COMBINATIONS = [
    ("asyncio", "udp6", "udp6"),
    ("uvloop", "udp6", "udp6"),
    ("uvloop", "simple6", "udp6"),
    ("asyncio", "simple6", "simplesocketserver"),
]
"""Loop, transport of clients, transport of servers."""

CONNECTIONS = [("asyncio", "tcpclient", "tcpserver"), ("uvloop", "tcpclient", "tcpserver")]
"""The same where there are connections."""


def about_datagrams(test: Any) -> Any:
    """Have a test run over datagrams only: it plays a peer itself, or looks at messages."""
    test.about_datagrams = True
    return test


class Hasty(TransportTuning):
    """Gives up in no time."""

    ACK_TIMEOUT = 0.01
    MAX_RETRANSMIT = 2


class Net:
    """Where contexts are created.

    Args:
        client_transport: Transport of clients.
        server_transport: Transport of servers.
    """

    def __init__(self, client_transport: str, server_transport: str) -> None:
        self.client_transport = client_transport
        self.server_transport = server_transport
        self.expects_log = False

    @property
    def is_reliable(self) -> bool:
        """Whether there are connections, which neither lose nor repeat anything."""
        return self.client_transport == "tcpclient"

    @property
    def scheme(self) -> str:
        """Scheme of the servers' URIs."""
        return "coap+tcp" if self.is_reliable else "coap"

    @asynccontextmanager
    async def client(self, **kwargs: Any) -> AsyncIterator[Context]:
        """Give a client."""
        context = await Context.create_client_context(transports=[self.client_transport], **kwargs)
        async with asyncio.timeout(PATIENCE), context:
            yield context

    @asynccontextmanager
    async def server(
        self, site: Resource | None, host: str = "::1", **kwargs: Any
    ) -> AsyncIterator[Context]:
        """Give a server at a port of its own."""
        context = await Context.create_server_context(
            site, (host, 0), transports=[self.server_transport], **kwargs
        )
        async with asyncio.timeout(PATIENCE), context:
            yield context

    @asynccontextmanager
    async def pair(self, site: Resource, **kwargs: Any) -> AsyncIterator[tuple[Context, str]]:
        """Give a client, and the URI of a server without a path."""
        async with self.server(site, **kwargs) as server, self.client(**kwargs) as client:
            yield client, base(server)


def base(server: Context) -> str:
    """Return the URI of a server, without a path."""
    (host, port), interface = server.bound_addresses[0], server.request_interfaces[0]
    scheme = getattr(interface.token_interface, "scheme", "coap")  # type: ignore[attr-defined]
    return f"{scheme}://{hostportjoin(host, port)}"


async def ask(
    context: Context, code: int, uri: str, payload: bytes = b"", **kwargs: Any
) -> Message:
    """Send a request, and return its response."""
    response: Message = await context.request(
        Message(code=code, uri=uri, payload=payload, **kwargs)
    ).response
    return response


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so that nothing tells of."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


def body(size: int) -> bytes:
    """Return bytes that look like no others."""
    return os.urandom(size)

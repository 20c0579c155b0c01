"""Bodies larger than a message, both ways, over the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import pytest

from aiocoap import (
    CHANGED,
    CONTENT,
    CREATED,
    FETCH,
    GET,
    PATCH,
    POST,
    PUT,
    REQUEST_ENTITY_TOO_LARGE,
    VALID,
    Context,
    Message,
    error,
    iPATCH,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import Resource, Site
from tests.integration.net import Net, about_datagrams, ask, base

SIZES = [0, 1, 1023, 1024, 1025, 16 * 1024]
MIB = 1024 * 1024


class Store(Resource):
    """Keeps a body, and answers by it."""

    def __init__(self, body: bytes = b"") -> None:
        super().__init__()
        self.body = body
        self.calls = 0

    async def render_get(self, request: Message) -> Message:
        self.calls += 1
        return Message(payload=self.body)

    async def render_put(self, request: Message) -> Message:
        self.calls += 1
        self.body = request.payload
        return Message(code=CHANGED)

    async def render_post(self, request: Message) -> Message:
        self.calls += 1
        return Message(code=CREATED, payload=request.payload[::-1], location_path=("a", "b"))

    async def render_fetch(self, request: Message) -> Message:
        self.calls += 1
        return Message(payload=request.payload * 2)

    render_patch = render_ipatch = render_post


def site(resource: Resource) -> Site:
    it = Site()
    it.add_resource(["a", "body"], resource)
    return it


@pytest.mark.parametrize("size", SIZES)
async def test_bodies(net: Net, size: int) -> None:
    body, store = os.urandom(size), Store()
    async with net.pair(site(store)) as (client, uri):
        uri += "/a/body"
        assert (await ask(client, PUT, uri, body)).code == CHANGED
        assert store.body == body
        response = await ask(client, GET, uri)
        assert response.payload == body
        assert response.opt.block2 is None
        for method in (POST, PATCH, iPATCH):
            response = await ask(client, method, uri, body)
            assert response.payload == body[::-1]
            assert response.opt.location_path == ("a", "b")
        assert (await ask(client, FETCH, uri, body)).payload == body * 2
        assert store.calls == 6, "each is rendered once"


async def test_large_bodies(net: Net) -> None:
    body, store = os.urandom(MIB), Store()
    async with net.pair(site(store)) as (client, uri):
        response = await ask(client, POST, uri + "/a/body", body)
        assert response.payload == body[::-1]
        assert store.calls == 1


@pytest.mark.parametrize("exponent", [0, 2, 5])
@pytest.mark.parametrize("who", ["client", "server", "both", "request"])
async def test_smaller_blocks(net: Net, exponent: int, who: str) -> None:
    class Small(TransportTuning):
        DEFAULT_BLOCK_SIZE_EXP = exponent

    sizes = set()

    class Sizes(Site):
        async def needs_blockwise_assembly(self, request: Message) -> bool:
            sizes.add(len(request.payload))
            return True

    body, store = os.urandom(900), Store()
    sizing = Sizes()
    sizing.add_resource(["a", "body"], store)
    small: dict[str, Any] = {"transport_tuning": Small}
    async with (
        net.server(sizing, **(small if who in ("server", "both") else {})) as server,
        net.client(**(small if who in ("client", "both") else {})) as client,
    ):
        kwargs: dict[str, Any] = {"transport_tuning": Small} if who == "request" else {}
        response = await ask(client, POST, base(server) + "/a/body", body, **kwargs)
        assert response.payload == body[::-1]
        assert store.calls == 1
        if who != "server":
            assert max(sizes) == 16 << exponent
        else:
            assert sizes, "the first is larger, and the server could not know"


async def test_block_sizes_are_asked_for_by_options(net: Net) -> None:
    body, store = os.urandom(300), Store(os.urandom(300))
    async with net.pair(site(store)) as (client, uri):
        uri += "/a/body"
        assert (await ask(client, GET, uri, block2=(0, False, 2))).payload == store.body
        assert (await ask(client, PUT, uri, body, block1=(0, False, 1))).code == CHANGED
        assert store.body == body


@about_datagrams
async def test_single_blocks(net: Net) -> None:
    """An application may fetch any block by itself."""
    store = Store(os.urandom(5000))
    async with net.pair(site(store)) as (client, uri):
        uri += "/a/body"
        response = await ask(client, GET, uri, block2=(3, False, 6))
        assert response.payload == store.body[3072:4096]
        assert response.opt.block2 == (3, True, 6)
        request = client.request(
            Message(code=GET, uri=uri, block2=(1, False, 4)), handle_blockwise=False
        )
        assert (await request.response).payload == store.body[256:512]
        first = client.request(Message(code=GET, uri=uri), handle_blockwise=False)
        response = await first.response
        assert response.opt.block2 == (0, True, 6)
        assert response.opt.size2 == 5000
        assert response.opt.etag


class Slowly(Resource):
    """Takes down what comes, and does not get it all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    async def render_put(self, request: Message) -> Message:
        await asyncio.sleep(0.001)
        self.bodies.append(request.payload)
        return Message(code=CHANGED, payload=request.payload[:1] * 3000)


@pytest.mark.parametrize("one_client", [True, False])
async def test_concurrent_uploads(net: Net, one_client: bool) -> None:
    """Nobody's blocks end up in somebody else's body, whoever sends them."""
    slowly, number = Slowly(), 8
    async with net.server(site(slowly)) as server, contextlib.AsyncExitStack() as stack:
        count = 1 if one_client else number
        clients = [await stack.enter_async_context(net.client()) for _ in range(count)]
        bodies = [bytes([n]) * (5000 + 1000 * n) for n in range(number)]
        uri = base(server) + "/a/body"
        responses = await asyncio.gather(
            *[ask(clients[n % count], PUT, uri, body) for n, body in enumerate(bodies)]
        )
        assert sorted(slowly.bodies) == bodies
        for body, response in zip(bodies, responses, strict=True):
            assert response.payload == body[:1] * 3000


async def test_concurrent_downloads(net: Net) -> None:
    class Which(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=request.opt.uri_query[0].encode() * 3000)

    async with net.pair(site(Which())) as (client, uri):
        responses = await asyncio.gather(
            *[ask(client, GET, f"{uri}/a/body?{n}") for n in range(10)]
        )
        for n, response in enumerate(responses):
            assert response.payload == str(n).encode() * 3000


class Limited(TransportTuning):
    MAX_BODY_SIZE = 4000


@about_datagrams
async def test_what_the_server_takes_is_limited(net: Net) -> None:
    store = Store()
    async with (
        net.server(site(store), transport_tuning=Limited) as server,
        net.client() as client,
    ):
        uri = base(server) + "/a/body"
        response = await ask(client, PUT, uri, bytes(5000))
        assert response.code == REQUEST_ENTITY_TOO_LARGE
        assert response.opt.size1 == 4000
        assert store.calls == 0
        assert (await ask(client, PUT, uri, bytes(4000))).code == CHANGED


@about_datagrams
async def test_what_the_client_takes_is_limited(net: Net) -> None:
    store = Store(bytes(5000))
    async with (
        net.server(site(store)) as server,
        net.client(transport_tuning=Limited) as client,
    ):
        uri = base(server) + "/a/body"
        with pytest.raises(error.Error, match="4000"):
            await ask(client, GET, uri)
        store.body = bytes(4000)
        assert (await ask(client, GET, uri)).payload == bytes(4000)


@about_datagrams
async def test_what_the_resource_takes_is_limited(net: Net) -> None:
    """A resource that handles blocks itself may refuse the first of them."""

    class Own(Resource):
        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return False

        async def render_put(self, request: Message) -> Message:
            assert request.opt.block1.more
            raise error.RequestEntityTooLarge

    async with net.pair(site(Own())) as (client, uri):
        response = await ask(client, PUT, uri + "/a/body", bytes(5000))
        assert response.code == REQUEST_ENTITY_TOO_LARGE


async def test_bodies_are_passed_on_in_other_blocks(net: Net) -> None:
    """A proxy may use another block size on its other side."""

    class Small(TransportTuning):
        DEFAULT_BLOCK_SIZE_EXP = 3

    class Proxy(Resource):
        context: Context
        uri = ""

        async def render_post(self, request: Message) -> Message:
            return await ask(self.context, POST, self.uri + "/a/body", request.payload)

    proxy, body = Proxy(), os.urandom(3000)
    async with net.pair(site(Store()), transport_tuning=Small) as (client, uri):
        proxy.context, proxy.uri = client, uri
        async with net.pair(site(proxy)) as (asking, front):
            response = await ask(asking, POST, front + "/a/body", body)
            assert response.payload == body[::-1]
            response = await ask(asking, POST, front + "/a/body", body[:500])
            assert response.payload == body[499::-1]
            assert response.opt.block1 is None


async def test_a_body_that_changes_is_never_mixed(net: Net) -> None:
    class Changing(Resource):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        async def render_get(self, request: Message) -> Message:
            self.count += 1
            return Message(payload=bytes([self.count]) * 5000)

    changing = Changing()
    async with net.server(site(changing)) as server, contextlib.AsyncExitStack() as stack:
        uri = base(server) + "/a/body"
        clients = [await stack.enter_async_context(net.client()) for _ in range(4)]
        responses = await asyncio.gather(*[ask(client, GET, uri) for client in clients])
        # Two downloads of one client get into each other's way; then one of them may fail.
        (client, *_) = clients
        both = await asyncio.gather(
            ask(client, GET, uri), ask(client, GET, uri), return_exceptions=True
        )
        for response in (*responses, *both):
            if isinstance(response, BaseException):
                assert isinstance(response, error.ResourceChanged)
                continue
            assert len(response.payload) == 5000
            assert len(set(response.payload)) == 1


async def test_a_large_body_is_validated(net: Net) -> None:
    class Validated(Store):
        async def get_etag(self, request: Message) -> bytes:
            return b"tag"

    async with net.pair(site(Validated(os.urandom(3000)))) as (client, uri):
        first = await ask(client, GET, uri + "/a/body")
        assert len(first.payload) == 3000
        second = await ask(client, GET, uri + "/a/body", etags=[first.opt.etag])
        assert second.code == VALID
        assert second.payload == b""


async def test_large_errors(net: Net) -> None:
    class Verbose(Resource):
        async def render_get(self, request: Message) -> Message:
            raise error.Conflict("e" * 3000)

    async with net.pair(site(Verbose())) as (client, uri):
        response = await ask(client, GET, uri + "/a/body")
        assert response.code == error.Conflict.code
        assert response.payload == b"e" * 3000


async def test_an_upload_that_is_cancelled(net: Net) -> None:
    """It stops, and the next one is not disturbed by what is left of it."""
    store = Store()
    async with net.pair(site(store)) as (client, uri):
        uri += "/a/body"
        for turns in (1, 3, 10, 30):
            request = client.request(Message(code=PUT, uri=uri, payload=bytes(MIB)))
            for _ in range(turns):
                await asyncio.sleep(0)
            request.response.cancel()
        assert (await ask(client, PUT, uri, b"x" * 3000)).code == CHANGED
        assert store.body == b"x" * 3000
        assert store.calls == 1


@about_datagrams
async def test_a_download_that_is_cancelled(net: Net) -> None:
    store = Store(os.urandom(MIB))
    async with net.pair(site(store)) as (client, uri):
        uri += "/a/body"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.request(Message(code=GET, uri=uri)).response, 0.01)
        store.body = b"small"
        assert (await ask(client, GET, uri)).payload == b"small"


async def test_a_shutdown_in_the_middle(net: Net) -> None:
    store = Store(os.urandom(MIB))
    async with net.server(site(store)) as server:
        context: Context
        async with net.client() as context:
            requests = [
                context.request(Message(code=GET, uri=base(server) + "/a/body")),
                context.request(
                    Message(code=PUT, uri=base(server) + "/a/body", payload=bytes(MIB))
                ),
            ]
            await asyncio.sleep(0.005)
        for request in requests:
            with pytest.raises(error.LibraryShutdown):
                await request.response
        async with net.client() as context:
            requests = [
                context.request(
                    Message(code=POST, uri=base(server) + "/a/body", payload=bytes(3000))
                )
            ]
            assert (await requests[0].response).payload == bytes(3000)


async def test_content_is_content(net: Net) -> None:
    async with net.pair(site(Store(b"x" * 2000))) as (client, uri):
        response = await ask(client, GET, uri + "/a/body")
        assert response.code == CONTENT
        assert response.get_request_uri() == uri + "/a/body"

"""Requests and responses between contexts, over the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from aiocoap import (
    BAD_OPTION,
    CHANGED,
    CONTENT,
    CREATED,
    DELETE,
    DELETED,
    FETCH,
    GET,
    INTERNAL_SERVER_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    PATCH,
    POST,
    PRECONDITION_FAILED,
    PROXYING_NOT_SUPPORTED,
    PUT,
    UNSUPPORTED_CONTENT_FORMAT,
    VALID,
    Context,
    Message,
    error,
    iPATCH,
)
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable
from aiocoap.numbers.types import ACK, CON, NON
from aiocoap.optiontypes import OpaqueOption
from aiocoap.resource import Resource, Site
from tests.integration.net import Net, about_datagrams, ask, base, until


class Everything(Resource):
    """Has every method, and tells which was called."""

    async def _render(self, request: Message) -> Message:
        return Message(payload=str(request.code).encode() + b" " + request.payload)

    render_get = render_put = render_post = render_delete = _render
    render_fetch = render_patch = render_ipatch = _render


class Document(Resource):
    """Has one representation, and says what it is."""

    ct = 0
    accepted_formats = (0,)

    def __init__(self) -> None:
        super().__init__()
        self.text: bytes | None = b"first"

    async def get_etag(self, request: Message) -> bytes | None:
        return self.text

    async def render_get(self, request: Message) -> Message:
        if self.text is None:
            raise error.NotFound
        return Message(payload=self.text, content_format=0)

    async def render_put(self, request: Message) -> Message:
        code = CREATED if self.text is None else CHANGED
        self.text = request.payload
        return Message(code=code)

    async def render_delete(self, request: Message) -> Message:
        self.text = None
        return Message(code=DELETED)


def site_of(**resources: Any) -> Site:
    site = Site()
    for name, resource in resources.items():
        site.add_resource(name.split("__"), resource)
    return site


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (GET, CONTENT),
        (PUT, CHANGED),
        (POST, CHANGED),
        (DELETE, DELETED),
        (FETCH, CONTENT),
        (PATCH, CHANGED),
        (iPATCH, CHANGED),
    ],
)
async def test_methods(net: Net, method: int, code: int) -> None:
    async with net.pair(site_of(all=Everything())) as (client, uri):
        response = await ask(client, method, uri + "/all", b"body")
        assert response.code == code
        assert response.payload == f"{Message(code=method).code} body".encode()
        assert response.mtype is (None if net.is_reliable else ACK)
        assert response.remote is not None
        assert response.get_request_uri() == uri + "/all"


async def test_the_uri_arrives(net: Net) -> None:
    class Where(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=request.get_request_uri().encode())

    async with net.pair(site_of(a__b=Where())) as (client, uri):
        for rest in ("/a/b", "/a/b?x=1&y=%26", "/a/b?"):
            response = await ask(client, GET, uri + rest)
            assert response.payload.decode() == uri + rest


async def test_names_of_hosts(net: Net) -> None:
    async with net.server(site_of(all=Everything()), "localhost") as server:
        _, port = server.bound_addresses[0]
        async with net.client() as client:
            response = await ask(client, GET, f"{net.scheme}://localhost:{port}/all")
            assert response.code == CONTENT
            assert response.get_request_uri() == f"{net.scheme}://localhost:{port}/all"


async def test_ipv4(net: Net) -> None:
    async with (
        net.server(site_of(all=Everything()), "127.0.0.1") as server,
        net.client() as client,
    ):
        assert server.bound_addresses[0][0] == "127.0.0.1"
        assert (await ask(client, GET, base(server) + "/all")).code == CONTENT


async def test_representations(net: Net) -> None:
    async with net.pair(site_of(document=Document())) as (client, uri):
        uri += "/document"
        first = await ask(client, GET, uri)
        assert first.payload == b"first"
        assert first.opt.etag == b"first"
        assert (await ask(client, GET, uri, etags=[b"first"])).code == VALID
        assert (await ask(client, GET, uri, accept=0)).payload == b"first"
        assert (await ask(client, GET, uri, accept=60)).code == NOT_ACCEPTABLE
        refused = await ask(client, PUT, uri, b"x", content_format=60)
        assert refused.code == UNSUPPORTED_CONTENT_FORMAT
        refused = await ask(client, PUT, uri, b"x", content_format=0, if_match=[b"other"])
        assert refused.code == PRECONDITION_FAILED
        refused = await ask(client, PUT, uri, b"x", content_format=0, if_none_match=True)
        assert refused.code == PRECONDITION_FAILED
        changed = await ask(client, PUT, uri, b"x", content_format=0, if_match=[b"first"])
        assert changed.code == CHANGED
        assert (await ask(client, DELETE, uri)).code == DELETED
        assert (await ask(client, GET, uri)).code == NOT_FOUND
        created = await ask(client, PUT, uri, b"y", content_format=0, if_none_match=True)
        assert created.code == CREATED


async def test_what_the_server_does_not_have(net: Net) -> None:
    async with net.pair(site_of(document=Document())) as (client, uri):
        assert (await ask(client, GET, uri + "/nothing")).code == NOT_FOUND
        assert (await ask(client, POST, uri + "/document")).code == METHOD_NOT_ALLOWED
        assert (await ask(client, 31, uri + "/document")).code == METHOD_NOT_ALLOWED
        request = Message(code=GET, uri=uri + "/document")
        request.opt.add_option(OpaqueOption(65001, b""))
        assert (await client.request(request).response).code == BAD_OPTION
        response = await ask(client, GET, uri + "/document", proxy_scheme="http")
        assert response.code == PROXYING_NOT_SUPPORTED


async def test_failures(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Resource):
        async def render_get(self, request: Message) -> Message:
            raise RuntimeError("nobody's business")

    net.expects_log = True
    async with net.pair(site_of(broken=Broken())) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/broken"))
        response = await request.response
        assert response.code == INTERNAL_SERVER_ERROR
        assert response.payload == b""
        with pytest.raises(error.ResponseWrappingError) as caught:
            await request.response_raising
        assert caught.value.coapmessage is response
        assert await request.response_nonraising is response
    assert len(caplog.records) == 1
    assert "nobody's business" in caplog.text
    # The traceback holds all that was there.
    caplog.clear()


class Slow(Resource):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.requests: list[Message] = []
        self.cancelled = 0

    async def render_get(self, request: Message) -> Message:
        self.requests.append(request)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Message(payload=b"at last")

    render_post = render_get


class Prompt(TransportTuning):
    EMPTY_ACK_DELAY = 0.002


@about_datagrams
@pytest.mark.parametrize(
    ("tuning", "mtype"), [(Reliable, CON), (Unreliable, NON)], ids=["CON", "NON"]
)
async def test_separate_responses(net: Net, tuning: type[TransportTuning], mtype: int) -> None:
    slow = Slow()
    async with net.pair(site_of(slow=slow), transport_tuning=Prompt) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/slow", transport_tuning=tuning))
        await asyncio.sleep(0.02)
        assert not request.response.done()
        slow.gate.set()
        response = await request.response
        assert response.mtype is mtype
        assert response.payload == b"at last"
        assert len(slow.requests) == 1
        assert slow.requests[0].mtype is mtype


@about_datagrams
async def test_non_confirmable(net: Net) -> None:
    async with net.pair(site_of(all=Everything())) as (client, uri):
        for kwargs in ({"mtype": NON}, {"transport_tuning": Unreliable}):
            response = await ask(client, GET, uri + "/all", **kwargs)
            assert response.mtype is NON
            assert response.code == CONTENT


async def test_no_response(net: Net) -> None:
    slow = Slow()
    slow.gate.set()
    async with net.pair(site_of(slow=slow)) as (client, uri):
        request = client.request(
            Message(code=POST, uri=uri + "/slow", no_response=26, mtype=NON, payload=b"x")
        )
        await until(lambda: len(slow.requests) == 1)
        # What is sent later would come later.
        async with net.client() as other:
            wanted = await ask(other, GET, uri + "/nothing", no_response=2)
        assert wanted.code == NOT_FOUND
        assert not request.response.done()
        request.response.cancel()


async def test_tokens_are_different(net: Net) -> None:
    tokens = set()

    class Token(Resource):
        async def render_get(self, request: Message) -> Message:
            tokens.add(request.token)
            return Message(payload=request.token)

    async with net.pair(site_of(token=Token())) as (client, uri):
        for _ in range(20):
            response = await ask(client, GET, uri + "/token")
            assert response.payload == response.token
    assert len(tokens) == 20
    assert all(tokens)


async def test_a_thousand_requests_at_once(net: Net) -> None:
    async with net.pair(site_of(all=Everything())) as (client, uri):
        requests = [
            client.request(Message(code=POST, uri=uri + "/all", payload=str(n).encode()))
            for n in range(1000)
        ]
        for n, request in enumerate(requests):
            assert (await request.response).payload == f"POST {n}".encode()


async def test_many_clients_at_once(net: Net) -> None:
    async with net.server(site_of(all=Everything())) as server, contextlib.AsyncExitStack() as all_:
        uri = base(server) + "/all"
        clients = [await all_.enter_async_context(net.client()) for _ in range(20)]
        texts = [f"{n}".encode() for n in range(20)]
        responses = await asyncio.gather(
            *[ask(client, POST, uri, text) for client, text in zip(clients, texts, strict=True)]
        )
        assert [one.payload for one in responses] == [b"POST " + text for text in texts]


async def test_both_ways(net: Net) -> None:
    """A server may ask its clients."""

    class Back(Resource):
        context: Context

        async def render_post(self, request: Message) -> Message:
            back = Message(code=GET, uri_path=("hello",))
            back.remote = request.remote
            response = await self.context.request(back).response
            return Message(payload=b"you said " + response.payload)

    class Hello(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=b"hello")

    resource = Back()
    async with net.server(site_of(back=resource)) as server, net.client() as client:
        resource.context = server
        client.serversite = site_of(hello=Hello())
        response = await ask(client, POST, base(server) + "/back")
        assert response.payload == b"you said hello"


async def test_two_servers_that_ask_each_other(net: Net) -> None:
    class Countdown(Resource):
        context: Context
        other = ""

        async def render_post(self, request: Message) -> Message:
            left = int(request.payload)
            if not left:
                return Message(payload=b"0")
            answer = await ask(self.context, POST, self.other, str(left - 1).encode())
            return Message(payload=request.payload + b" " + answer.payload)

    one, two = Countdown(), Countdown()
    async with contextlib.AsyncExitStack() as stack:
        for mine, their in ((one, two), (two, one)):
            mine.context = await stack.enter_async_context(
                await Context.create_server_context(site_of(count=mine), ("::1", 0))
            )
            their.other = base(mine.context) + "/count"
        response = await ask(one.context, POST, one.other, b"5")
        assert response.payload == b"5 4 3 2 1 0"


async def test_a_context_that_asks_itself(net: Net) -> None:
    class Relay(Resource):
        context: Context
        uri = ""

        async def render_get(self, request: Message) -> Message:
            async with asyncio.timeout(5):
                response = await ask(self.context, GET, self.uri + "/all", b"inner")
            return Message(payload=b"relayed " + response.payload)

    relay = Relay()
    context = await Context.create_server_context(
        site_of(relay=relay, all=Everything()), ("::1", 0)
    )
    async with context:
        relay.context, relay.uri = context, base(context)
        response = await ask(context, GET, relay.uri + "/relay")
        assert response.payload == b"relayed GET inner"


async def test_a_response_is_passed_on(net: Net) -> None:
    """What came from elsewhere is answered as it is: a proxy in three lines."""

    class Proxy(Resource):
        context: Context
        uri = ""

        async def render_get(self, request: Message) -> Message:
            return await ask(self.context, GET, self.uri + "/document")

    proxy = Proxy()
    async with net.pair(site_of(document=Document())) as (client, uri):
        proxy.context, proxy.uri = client, uri
        async with net.server(site_of(proxy=proxy)) as front, net.client() as asking:
            for kwargs in ({}, {"mtype": NON}, {"observe": 0}):
                response = await ask(asking, GET, base(front) + "/proxy", **kwargs)
                assert response.payload == b"first"
                assert response.opt.etag == b"first"
                assert response.opt.observe is None


async def test_one_response_for_all(net: Net) -> None:
    """A resource may keep a response and return it again and again."""
    kept = Message(code=CONTENT, payload=b"kept", max_age=7)

    class Kept(Resource):
        async def render_get(self, request: Message) -> Message:
            await asyncio.sleep(0.001 * len(request.payload))
            return kept

    async with (
        net.server(site_of(kept=Kept()), transport_tuning=Prompt) as server,
        net.client() as one,
        net.client() as two,
    ):
        requests = [
            ask(client, GET, base(server) + "/kept", bytes(n % 7), mtype=mtype)
            for n, client in enumerate((one, two) * 10)
            for mtype in (CON, NON)
        ]
        for response in await asyncio.gather(*requests):
            assert response.payload == b"kept"
            assert response.opt.max_age == 7


async def test_several_contexts_in_one_process(net: Net) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(net.server(site_of(**{f"only{n}": Everything()})))
            for n in range(4)
        ]
        assert len({base(server) for server in servers}) == 4
        clients = [await stack.enter_async_context(net.client()) for _ in range(4)]
        for n, server in enumerate(servers):
            for client in clients:
                assert (await ask(client, GET, f"{base(server)}/only{n}")).code == CONTENT
                assert (await ask(client, GET, f"{base(server)}/only{n + 1}")).code == NOT_FOUND


async def test_the_site_may_come_later(net: Net) -> None:
    async with net.server(None) as server, net.client() as client:
        uri = base(server) + "/all"
        assert (await ask(client, GET, uri)).code == NOT_FOUND
        server.serversite = site_of(all=Everything())
        assert (await ask(client, GET, uri)).code == CONTENT


async def test_discovery(net: Net) -> None:
    from aiocoap.resource import WKCResource
    from aiocoap.util.linkformat import parse

    site = site_of(a__b=Document())
    site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    async with net.pair(site) as (client, uri):
        response = await ask(client, GET, uri + "/.well-known/core")
        links = {link.href: link for link in parse(response.payload.decode()).links}
        assert "/a/b" in links
        filtered = await ask(client, GET, uri + "/.well-known/core?href=/a*")
        assert [link.href for link in parse(filtered.payload.decode()).links] == ["/a/b"]

"""Contexts that have connections and datagrams at the same time: each message goes its own way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiocoap import CONTENT, GET, POST, Context, Message
from aiocoap.resource import ObservableResource, Resource, Site
from tests.integration.net import PATIENCE, ask, until


class Observed(ObservableResource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"state")


class Caller(Resource):
    """Asks who asks it, by the way that the request came."""

    context: Context

    async def render_post(self, request: Message) -> Message:
        back = Message(code=GET, uri_path=["back"], uri_host="some.name.example")
        back.remote = request.remote
        answer = await self.context.request(back).response
        assert answer.remote == request.remote
        return Message(payload=answer.payload)


class Back(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"back")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("kinds", [("udp6", "tcp"), ("tcp", "udp6")], ids="-".join)
@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
async def test_each_goes_its_own_way(host: str, kinds: tuple[str, str], scheme: str) -> None:
    servers = [kind.replace("tcp", "tcpserver") for kind in kinds]
    clients = [kind.replace("tcp", "tcpclient") for kind in kinds]
    site, observed, caller, own = Site(), Observed(), Caller(), Site()
    site.add_resource(["o"], observed)
    site.add_resource(["call"], caller)
    own.add_resource(["back"], Back())
    async with (
        asyncio.timeout(PATIENCE),
        await Context.create_server_context(site, ("127.0.0.1", 0), transports=servers) as server,
        await Context.create_client_context(transports=clients) as client,
    ):
        caller.context, client.serversite = server, own
        which = kinds.index("tcp" if scheme == "coap+tcp" else "udp6")
        uri = f"{scheme}://{host}:{server.bound_addresses[which][1]}"
        # A message goes by the address that it is given, whatever it asks for there.
        answer = await ask(client, POST, uri + "/call")
        assert (answer.code.is_successful(), answer.payload) == (True, b"back")
        again = Message(code=GET, uri_path=["o"], uri_host="some.name.example")
        again.remote = answer.remote
        assert (await client.request(again).response).remote == answer.remote
        # The end of an observation is told where it began.
        request: Any = client.request(Message(code=GET, uri=uri + "/o", observe=0))
        assert (await request.response).code == CONTENT
        assert len(observed.observations) == 1
        request.observation.cancel()
        await until(lambda: len(observed.observations) == 0)

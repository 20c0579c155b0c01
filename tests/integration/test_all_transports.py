"""Contexts with all transports at once: everything goes where it belongs, by whichever there is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from aiocoap import CHANGED, Context, Message, resource
from aiocoap.error import AnonymousHost, NetworkError, NoRequestInterface
from aiocoap.numbers.codes import GET, PUT
from tests.certificates import Certificates
from tests.integration.conftest import policy
from tests.integration.net import PATIENCE, ask, until

SCHEMES = ["coap", "coap+tcp", "coaps+tcp", "coap+ws", "coaps+ws"]
SERVER = ["udp6", "tcpserver", "tlsserver", "ws", "tcpclient", "tlsclient"]

pytestmark = pytest.mark.usefixtures("loop")


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs on either kind of loop."""
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(policy(request.param))
    yield
    asyncio.set_event_loop_policy(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Changing(resource.ObservableResource):
    """Tells and takes a state, and asks the one who changed it for its own."""

    def __init__(self) -> None:
        super().__init__()
        self.state = b"0"
        self.context: Context
        self.asked_back: list[bytes] = []

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.state)

    async def render_put(self, request: Message) -> Message:
        self.state = request.payload
        self.updated_state()
        back = Message(code=GET, uri_path=["mine"])
        back.remote = request.remote
        response = await self.context.request(back).response
        self.asked_back.append(response.payload)
        return Message(code=CHANGED)


class Who(resource.Resource):
    """Tells what the client has proved."""

    async def render_get(self, request: Message) -> Message:
        assert request.remote is not None
        return Message(payload="\n".join(map(str, request.remote.authenticated_claims)).encode())


class Mine(resource.Resource):
    """What a client has."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"of the client")


@asynccontextmanager
async def serving(
    made: Certificates, clients: ssl.VerifyMode = ssl.CERT_NONE
) -> AsyncIterator[tuple[Changing, dict[str, str]]]:
    """Give a resource, and the URIs that it is at."""
    site, changing = resource.Site(), Changing()
    site.add_resource(["it"], changing)
    site.add_resource(["who"], Who())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.server.file, made.server.key_file)
    context.load_verify_locations(made.authority.file)
    context.verify_mode = clients
    changing.context = server = await Context.create_server_context(
        site, ("::1", 0), transports=SERVER, _ssl_context=context
    )
    async with asyncio.timeout(PATIENCE), server:
        found = {uri.partition(":")[0]: f"{uri}/it" for uri in server.bound_uris}
        assert sorted(found) == sorted(SCHEMES)
        yield changing, found


@asynccontextmanager
async def asking(made: Certificates) -> AsyncIterator[Context]:
    """Give a client, which has a resource of its own."""
    async with asyncio.timeout(PATIENCE), await Context.create_client_context() as client:
        site = resource.Site()
        site.add_resource(["mine"], Mine())
        client.serversite = site
        client.client_credentials.load_from_dict(
            {
                f"{scheme}://*": {"tlscert": {"certfile": made.authority.file}}
                for scheme in ("coaps+tcp", "coaps+ws")
            }
        )
        yield client


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_whole_conversation(made: Certificates, scheme: str) -> None:
    async with serving(made) as (changing, uris), asking(made) as client:
        uri = uris[scheme]
        request = client.request(Message(code=GET, uri=uri, observe=0))
        first = await request.response
        assert first.payload == b"0"
        assert first.get_request_uri() == uri
        seen = aiter(request.observation)
        for state in (b"1", bytes(100_000)):
            response = await ask(client, PUT, uri, state)
            assert response.code == CHANGED
            assert (await anext(seen)).payload == state
        assert changing.asked_back == [b"of the client"] * 2
        assert len(changing._observations) == 1
        request.observation.cancel()
        await until(lambda: not changing._observations)
        assert await client.ping(uri) >= 0
        if scheme != "coap":
            with pytest.raises(AnonymousHost):
                first.remote.uri_base_local  # noqa: B018


@pytest.mark.parametrize("scheme", ["coaps+tcp", "coaps+ws"])
@pytest.mark.parametrize("has_certificate", [True, False])
async def test_what_clients_prove(made: Certificates, scheme: str, has_certificate: bool) -> None:
    own = {"client-certificate": made.client.file, "client-key": made.client.key_file}
    async with serving(made, ssl.CERT_OPTIONAL) as (_, uris), asking(made) as client:
        if has_certificate:
            client.client_credentials.load_from_dict(
                {f"{scheme}://*": {"tlscert": {"certfile": made.authority.file, **own}}}
            )
        response = await ask(client, GET, uris[scheme].replace("/it", "/who"))
        claims = response.payload.decode().split("\n")
        assert ("subject:CN=me" in claims) == ("DNS:me.example" in claims) == has_certificate
        assert has_certificate or claims == [""]
        # The server has proved who it is, too.
        assert response.remote is not None
        assert "DNS:localhost" in response.remote.authenticated_claims


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_address_of_another_context(made: Certificates, scheme: str) -> None:
    async with serving(made) as (changing, uris), asking(made) as one, asking(made) as other:
        remote = (await ask(one, GET, uris[scheme])).remote
        message = Message(code=GET, uri_path=["it"])
        message.remote = remote
        response = await other.request(message).response
        assert response.payload == b"0"
        # Nobody can connect to clients.
        if scheme != "coap":
            message = Message(code=GET, uri_path=["mine"])
            connections = changing.context.request_interfaces
            message.remote = next(
                connection
                for interface in connections
                for connection in getattr(interface.token_interface, "connections", ())  # type: ignore[attr-defined]
            )
            with pytest.raises(NoRequestInterface):
                await other.request(message).response


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "coap"])
async def test_a_connection_that_is_gone(made: Certificates, scheme: str) -> None:
    async with asking(made) as client:
        async with serving(made) as (_, uris):
            remote = (await ask(client, GET, uris[scheme])).remote
        assert remote is not None
        await until(lambda: remote.is_over)
        # Its server is not there any more, and nobody else takes its requests.
        message = Message(code=GET, uri_path=["it"])
        message.remote = remote
        with pytest.raises(NetworkError):
            await client.request(message).response

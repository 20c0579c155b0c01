"""CoAP over TLS between contexts: who trusts whom, and what is said where somebody does not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aiocoap import Context, Message, resource
from aiocoap.credentials import CredentialsMap, CredentialsMissingError
from aiocoap.error import Error, NetworkError
from aiocoap.numbers.codes import GET, PUT
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports import rfc8323common, tls
from aiocoap.transports.tls import TlsError
from aiocoap.util import hostportjoin
from tests.certificates import START, Certificates, Made
from tests.integration.conftest import policy
from tests.integration.net import PATIENCE, ask, body, until

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


class Hasty(TransportTuning):
    """Does not wait for long."""

    CSM_TIMEOUT = 0.2


class WhoAreYou(resource.Resource):
    """Tells the URI of a request, and what its sender has proved."""

    async def render_get(self, request: Message) -> Message:
        claims = list(request.remote.authenticated_claims)
        return Message(payload=json.dumps([request.get_request_uri(), claims]).encode())

    async def render_put(self, request: Message) -> Message:
        return Message(payload=request.payload[::-1])


def site() -> resource.Site:
    site = resource.Site()
    site.add_resource(["who"], WhoAreYou())
    return site


def server_context(certificate: Made) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    return context


def credentials(data: dict[str, Any]) -> CredentialsMap:
    loaded = CredentialsMap()
    loaded.load_from_dict(data)
    return loaded


def trusting(made: Certificates, **more: str) -> dict[str, Any]:
    return {"coaps+tcp://*": {"tlscert": {"certfile": made.authority.file, **more}}}


def shown(made: Certificates) -> dict[str, Any]:
    own = {"client-certificate": made.client.file, "client-key": made.client.key_file}
    return trusting(made, **own)


@asynccontextmanager
async def serving(
    certificate: Made, host: str = "127.0.0.1", **kwargs: Any
) -> AsyncIterator[tuple[Context, int]]:
    """Give a server with TLS alone, and its port."""
    context = kwargs.pop("context", None) or server_context(certificate)
    server = await Context.create_server_context(
        site(), (host, 0), transports=["tlsserver", "tlsclient"], _ssl_context=context, **kwargs
    )
    async with asyncio.timeout(PATIENCE), server:
        yield server, server.bound_addresses[0][1]


@asynccontextmanager
async def asking(data: dict[str, Any], **kwargs: Any) -> AsyncIterator[Context]:
    """Give a client with credentials."""
    client = await Context.create_client_context(transports=["tlsclient"], **kwargs)
    client.client_credentials.load_from_dict(data)
    async with asyncio.timeout(PATIENCE), client:
        yield client


async def failing(client: Context, uri: str) -> tuple[str, str]:
    """Return what is said of a request that fails, and what is suggested."""
    with pytest.raises(NetworkError) as caught:
        await ask(client, GET, uri)
    return str(caught.value), caught.value.extra_help() or ""


# What works


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_requests(made: Certificates, host: str) -> None:
    bind = "::1" if host == "::1" else "127.0.0.1"
    async with serving(made.server, bind) as (_, port), asking(trusting(made)) as client:
        # Uri-Host stands for the name by itself (RFC 8323 section 8.5).
        base = f"coaps+tcp://{hostportjoin(host, port)}"
        request = Message(code=GET)
        request.set_request_uri(f"{base}/who", set_uri_host=False)
        response = await client.request(request).response
        assert json.loads(response.payload) == [f"{base}/who", []]
        assert response.remote.uri_base == base
        assert "subject:CN=server" in response.remote.authenticated_claims
        payload = body(100_000)
        assert (await ask(client, PUT, f"{base}/who", payload)).payload == payload[::-1]


async def test_many_clients(made: Certificates) -> None:
    async with serving(made.server) as (_, port):
        clients = []
        for _ in range(20):
            client = await Context.create_client_context(transports=["tlsclient"])
            client.client_credentials.load_from_dict(trusting(made))
            clients.append(client)
        uri = f"coaps+tcp://127.0.0.1:{port}/who"
        answers = await asyncio.gather(*[ask(client, GET, uri) for client in clients])
        assert len({answer.payload for answer in answers}) == 1
        await asyncio.gather(*[client.shutdown() for client in clients])


async def test_servers_ask_their_clients(made: Certificates) -> None:
    asked = asyncio.get_running_loop().create_future()

    class Asking(resource.Resource):
        async def render_get(self, request: Message) -> Message:
            question = Message(code=GET, uri_path=("who",))
            question.remote = request.remote
            asked.set_result(server.request(question).response)
            return Message()

    async with serving(made.server) as (server, port), asking(trusting(made)) as client:
        client.serversite = site()
        assert isinstance(server.serversite, resource.Site)
        server.serversite.add_resource(["ask"], Asking())
        await ask(client, GET, f"coaps+tcp://localhost:{port}/ask")
        answer = await (await asked)
        assert "subject:CN=server" in json.loads(answer.payload)[1]


async def test_client_certificates(made: Certificates) -> None:
    known = credentials({":all": {"tlscert": {"certfile": made.authority.file}}})
    async with serving(made.server, server_credentials=known) as (_, port):
        uri = f"coaps+tcp://localhost:{port}/who"
        async with asking(shown(made)) as client:
            claims = json.loads((await ask(client, GET, uri)).payload)[1]
            assert claims[:2] == [f"sha256:{made.client.fingerprint}", "subject:CN=me"]
            # Most are found out only when the connection is used; it is the same one.
            assert json.loads((await ask(client, GET, uri)).payload)[1] == claims
        async with asking(trusting(made)) as client:
            text, help = await failing(client, uri)
            assert text == (
                f"localhost:{port}: it refuses the handshake (tlsv13 alert certificate required)"
            )
            assert "client-certificate" in help


async def test_client_certificates_of_others(made: Certificates, tmp_path: Path) -> None:
    stranger = Certificates(tmp_path)
    known = credentials({":all": {"tlscert": {"certfile": made.authority.file}}})
    own = {"client-certificate": stranger.client.file, "client-key": stranger.client.key_file}
    async with (
        serving(made.server, server_credentials=known) as (_, port),
        asking(trusting(made, **own)) as client,
    ):
        text, help = await failing(client, f"coaps+tcp://localhost:{port}/who")
        assert text == (f"localhost:{port}: it refuses the handshake (tlsv1 alert unknown ca)")
        assert "client-certificate" in help


async def test_alternative_addresses_have_to_prove_to_be_the_origin(made: Certificates) -> None:
    other = made.signed("other", "127.0.0.2")
    async with (
        serving(made.server) as (_, port),
        serving(other, "127.0.0.2") as (_, wrong),
        asking(trusting(made)) as client,
    ):
        pool: Any = client.request_interfaces[0].token_interface  # type: ignore[attr-defined]
        uri = f"coaps+tcp://localhost:{port}/who"
        origin = ("localhost", port)
        # That one has a certificate for its own address only.
        pool._wishes[origin] = ((f"127.0.0.2:{wrong}",), 0.0)
        assert json.loads((await ask(client, GET, uri)).payload)[0] == uri
        (connection,) = pool.connections
        assert connection._transport.get_extra_info("peername")[:2] == ("127.0.0.1", port)
        # This one has the certificate of the origin, which is not for that address.
        async with serving(made.server, "127.0.0.3") as (_, right):
            connection.lose("")
            connection._close(True)
            pool._wishes[origin] = ((f"127.0.0.3:{right}",), 1e9)
            assert (await ask(client, GET, uri)).payload
            (connection,) = pool.connections
            assert connection._transport.get_extra_info("peername")[:2] == ("127.0.0.3", right)


# What does not


async def test_certificates_that_nobody_vouches_for(made: Certificates, tmp_path: Path) -> None:
    stranger = Certificates(tmp_path)
    async with serving(stranger.server) as (_, port), asking(trusting(made)) as client:
        text, help = await failing(client, f"coaps+tcp://localhost:{port}/who")
        assert text.startswith(f"can not connect to localhost:{port} over TLS: its certificate is")
        assert "not trusted" in text
        assert f'{{"coaps+tcp://localhost:{port}/*": {{"tlscert": ' in help


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_certificates_for_others(made: Certificates, host: str) -> None:
    other = made.signed("other", "other.example", "127.0.0.9")
    async with serving(other) as (_, port), asking(trusting(made)) as client:
        text, help = await failing(client, f"coaps+tcp://{host}:{port}/who")
        assert "its certificate is not for that name" in text
        assert "one of the names" in help


async def test_certificates_that_have_expired(made: Certificates) -> None:
    old = made.signed("old", "localhost", end=START + timedelta(days=1))
    async with serving(old) as (_, port), asking(trusting(made)) as client:
        text, help = await failing(client, f"coaps+tcp://localhost:{port}/who")
        assert "its certificate is out of date (certificate has expired)" in text
        assert "renewed" in help


async def test_servers_without_tls(made: Certificates) -> None:
    server = await Context.create_server_context(site(), ("127.0.0.1", 0), transports=["tcpserver"])
    async with server, asking(trusting(made)) as client:
        port = server.bound_addresses[0][1]
        text, help = await failing(client, f"coaps+tcp://localhost:{port}/who")
        assert "over TLS: " in text
        assert "without TLS, the scheme is coap+tcp" in help


async def test_servers_that_do_not_say_that_they_speak_coap(made: Certificates) -> None:
    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    web = await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=server_context(made.server))
    async with web, asking(trusting(made)) as client:
        port = web.sockets[0].getsockname()[1]
        text, help = await failing(client, f"coaps+tcp://localhost:{port}/who")
        assert text.startswith(f"localhost:{port} speaks TLS, but does not say")
        assert "5684" in help


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port where connections are made, but nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


async def test_servers_that_say_nothing(made: Certificates, deaf: int) -> None:
    async with asking(trusting(made), transport_tuning=Hasty) as client:
        text, help = await failing(client, f"coaps+tcp://localhost:{deaf}/who")
        assert text == (
            f"can not connect to localhost:{deaf} over TLS: "
            f"it does not finish the handshake in time"
        )
        assert "coap+tcp" in help


async def test_shutting_down_while_connecting(made: Certificates, deaf: int) -> None:
    async with asking(trusting(made)) as client:
        asked = asyncio.ensure_future(ask(client, GET, f"coaps+tcp://localhost:{deaf}/who"))
        pool: Any = client.request_interfaces[0].token_interface  # type: ignore[attr-defined]
        await until(lambda: bool(pool._alive))
    with pytest.raises(Error):
        await asked
    assert not pool._alive


async def test_nobody_there(made: Certificates) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with asking(trusting(made)) as client:
        text, _ = await failing(client, f"coaps+tcp://127.0.0.1:{port}/who")
        assert text == f"can not connect to 127.0.0.1:{port} over TLS: Connection refused"


async def test_credentials_that_can_not_be_used(made: Certificates, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    shutil.copy(made.authority.file, path)
    async with asking({"coaps+tcp://*": {"tlscert": {"certfile": str(path)}}}) as client:
        path.unlink()
        with pytest.raises(CredentialsMissingError, match=r"ca\.pem"):
            await ask(client, GET, "coaps+tcp://127.0.0.1/who")


async def test_servers_need_a_certificate(made: Certificates) -> None:
    with pytest.raises(ValueError, match="'tlsserver' needs server_context"):
        await Context.create_server_context(site(), ("127.0.0.1", 0), transports=["tlsserver"])


async def test_servers_with_credentials_that_can_not_be_used(
    made: Certificates, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    shutil.copy(made.authority.file, path)
    known = credentials({":all": {"tlscert": {"certfile": str(path)}}})
    path.unlink()
    with pytest.raises(CredentialsMissingError, match=r"ca\.pem"):
        async with serving(made.server, server_credentials=known):
            raise AssertionError("it is served")


async def test_clients_without_alpn(made: Certificates) -> None:
    async with serving(made.server) as (_, port):
        context = ssl.create_default_context(cafile=made.authority.file)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"\x00\xe1" + b"\x41\x01\x07\xb3who")
        data = b""
        while b"coaps+tcp" not in data:
            data += await reader.read(1000)
        writer.close()
        await writer.wait_closed()


# Strangers


async def test_handshakes_that_never_end(
    made: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(made.server, transport_tuning=Hasty) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01")
        assert await reader.read() == b""
        writer.close()
        await until(lambda: bool(caplog.records))
    assert [record.exc_info for record in caplog.records] == [None]
    assert caplog.messages[0].endswith("the TLS handshake failed: it takes too long")
    # Records keep the connection.
    caplog.clear()


async def test_there_are_only_so_many_handshakes(
    made: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "MAX_HANDSHAKES", 4)
    async with serving(made.server) as (_, port), asking(trusting(made)) as client:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        # They are given up in the order of their coming.
        for reader, _ in streams[:6]:
            assert await reader.read() == b""
        assert (await ask(client, GET, f"coaps+tcp://localhost:{port}/who")).payload
        for _, writer in streams:
            writer.close()


async def test_shutting_down_ends_handshakes(made: Certificates) -> None:
    async with serving(made.server) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        other, other_writer = await asyncio.open_connection("127.0.0.1", port)
        other_writer.write(b"\x16\x03\x01")
        await asyncio.sleep(0)
        await server.shutdown()
        for one in (reader, other):
            with suppress(ConnectionResetError):
                assert await one.read() == b""
        writer.close()
        other_writer.close()


async def test_nonsense_is_logged_a_bounded_number_of_times(
    made: Certificates, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    # A ClientHello that asks for a name of bytes that are no text.
    unused, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(unused, hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    strange = hello.read().replace(b"localhost", b"l\xc3\xb6calhos")
    async with serving(made.server) as (_, port):
        for data in [b"GET / HTTP/1.1\r\n\r\n", b"", strange, os.urandom(100)] * 10:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            if writer.can_write_eof():
                writer.write_eof()
            with suppress(ConnectionResetError):
                await reader.read()
            writer.close()
        async with asking(trusting(made)) as friend:
            assert (await ask(friend, GET, f"coaps+tcp://localhost:{port}/who")).payload
    lines = caplog.messages
    assert 2 <= len(lines) <= 2 * (rfc8323common.MAX_LOGGED + 1)
    assert lines[-1] == "More connections end like that; no more are logged in this minute"
    assert all(record.exc_info is None for record in caplog.records)
    # Records keep the connection.
    caplog.clear()
    assert "Traceback" not in capfd.readouterr().err


# Keys


@pytest.mark.skipif(sys.version_info < (3, 13), reason="ssl has no pre-shared keys before 3.13")
async def test_pre_shared_keys(made: Certificates) -> None:
    def psk(key: bytes, identity: bytes) -> dict[str, Any]:
        return {"dtls": {"psk": key, "client-identity": identity}}

    known = credentials({":alice": psk(b"a" * 16, b"alice"), ":bob": psk(b"b" * 16, b"bob")})
    empty = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (empty, server_context(made.server)):
        async with serving(made.server, context=context, server_credentials=known) as (_, port):
            uri = f"coaps+tcp://127.0.0.1:{port}/who"
            async with asking({"coaps+tcp://*": psk(b"b" * 16, b"bob")}) as client:
                assert json.loads((await ask(client, GET, uri)).payload) == [uri, [":bob"]]
            for key, identity in ((b"x" * 16, b"bob"), (b"b" * 16, b"carol")):
                async with asking({"coaps+tcp://*": psk(key, identity)}) as client:
                    text, _ = await failing(client, uri)
                    assert "over TLS: " in text
                    assert "bad record mac" in text or "unknown psk identity" in text
    async with (
        serving(made.server) as (_, port),
        asking({"coaps+tcp://*": psk(b"b" * 16, b"bob")}) as client,
    ):
        with pytest.raises(TlsError):
            await ask(client, GET, f"coaps+tcp://127.0.0.1:{port}/who")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="ssl has pre-shared keys from 3.13 on")
async def test_pre_shared_keys_are_not_there() -> None:
    key = {"dtls": {"psk": b"secret", "client-identity": b"me"}}
    async with asking({"coaps+tcp://*": key}) as client:
        with pytest.raises(CredentialsMissingError, match=r"Python 3\.13"):
            await ask(client, GET, "coaps+tcp://127.0.0.1/who")

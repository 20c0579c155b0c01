"""CoAP over WebSockets, against our own other end and against the library's, which does worse."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode

from aiocoap import GET, Context, Message, error
from aiocoap.numbers.codes import (
    ABORT,
    CHANGED,
    CONTENT,
    CSM,
    PING,
    PONG,
    PUT,
    RELEASE,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.optiontypes import OpaqueOption
from aiocoap.resource import ObservableResource, Resource, Site
from aiocoap.sansio.framing import decode_unframed, encode_unframed
from aiocoap.transports import connectionpool, rfc8323common, ws, wslink
from tests.certificates import Certificates, Made
from tests.integration.conftest import policy
from tests.integration.web import (
    COAP,
    GREETING,
    PATIENCE,
    aborted,
    client,
    code_of_end,
    connections,
    handshake,
    masked,
    plain_socket,
    pool,
    raw_client,
    raw_server,
    received,
    served,
    shook,
    until,
)
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/coap-messages.json").read_text(encoding="utf-8"))
HANDSHAKE = VECTORS["websocket_handshake"]
HEX = {row["name"]: bytes.fromhex(row["hex"]) for row in VECTORS["messages"]}

GET_HERE = encode_unframed(Message(code=GET, token=b"t", uri_path=["here"]))


@pytest.fixture(autouse=True, params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a test on both loops, with proxies in the environment that nobody is to ask."""
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://[::1]:1")
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(policy(request.param))
    yield request.param
    asyncio.set_event_loop_policy(before)


class Here(Resource):
    """Tells by which URI it was asked, and keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.content = b""
        self.remotes: list[Any] = []
        self.gate: asyncio.Event | None = None

    async def render_get(self, request: Message) -> Message:
        self.remotes.append(request.remote)
        if self.gate is not None:
            await self.gate.wait()
        return Message(payload=self.content or request.get_request_uri().encode())

    async def render_put(self, request: Message) -> Message:
        self.content = request.payload
        return Message(code=CHANGED)


class Counter(ObservableResource):
    """Counts up."""

    count = 0

    async def render_get(self, request: Message) -> Message:
        return Message(payload=str(self.count).encode())

    def step(self) -> None:
        self.count += 1
        self.updated_state()


def site() -> tuple[Site, Here]:
    here = Here()
    made = Site()
    made.add_resource(["here"], here)
    return made, here


class Hasty(TransportTuning):
    """Has no patience for what is not there."""

    CSM_TIMEOUT = 0.1
    MESSAGE_TIMEOUT = 0.1
    RELEASE_TIMEOUT = 0.1


class Small(TransportTuning):
    """Takes small messages only."""

    MAX_MESSAGE_SIZE = 2000


# Requests and responses


async def test_requests_share_a_connection() -> None:
    root, here = site()
    async with served(root) as (server, port), client() as requester:
        requests = [Message(code=GET, uri=f"coap+ws://[::1]:{port}/here") for _ in range(20)]
        answers = [requester.request(request).response for request in requests]
        for answer in await asyncio.gather(*answers):
            assert (answer.code, answer.payload) == (
                CONTENT,
                requests[0].get_request_uri().encode(),
            )
        (remote,) = set(here.remotes)
        assert [remote] == connections(server)
        (own,) = connections(requester)
        assert own.origin == ws.PoolKey("coap+ws", f"[::1]:{port}")
        assert own.uri_base == remote.uri_base_local == f"coap+ws://[::1]:{port}"
        assert own.hostinfo_local == remote.hostinfo
        assert (own.hostinfo, remote.hostinfo_local) == (f"[::1]:{port}",) * 2
        for nameless in (lambda: own.uri_base_local, lambda: remote.uri_base):
            with pytest.raises(error.AnonymousHost):
                nameless()


async def test_a_name_is_told_by_the_host_header() -> None:
    root, here = site()
    context = await Context.create_server_context(root, ("127.0.0.1", 0), transports=["ws"])
    async with context, client() as requester:
        uri = f"coap+ws://LocalHost:{context.bound_addresses[0][1]}/here"
        answer = await requester.request(Message(code=GET, uri=uri)).response
        assert answer.payload.decode() == uri.lower()
        assert here.remotes[0].uri_base_local == uri.lower().removesuffix("/here")


@pytest.mark.parametrize("size", [0, 1024, 60_000, 200_000])
async def test_bodies_of_all_sizes_go_both_ways(size: int) -> None:
    root, here = site()
    body = os.urandom(size)
    async with served(root) as (_, port), client() as requester:
        uri = f"coap+ws://[::1]:{port}/here"
        put = await requester.request(Message(code=PUT, uri=uri, payload=body)).response
        assert (put.code, here.content) == (CHANGED, body)
        if body:
            assert (await requester.request(Message(code=GET, uri=uri)).response).payload == body


async def test_the_server_asks_the_client() -> None:
    root, here = site()
    async with served(root) as (server, port), client() as requester:
        requester.serversite = root
        await requester.request(Message(code=GET, uri=f"coap+ws://[::1]:{port}/here")).response
        request = Message(code=GET, uri_path=["here"])
        request.remote = here.remotes.pop()
        answer = await server.request(request).response
        assert answer.code == CONTENT
        assert here.remotes == connections(requester)


async def test_an_observation_ends_with_the_connection() -> None:
    root, counter = Site(), Counter()
    root.add_resource(["counter"], counter)

    class Once(TransportTuning):
        OBSERVATION_RETRIES = 0

    async with client(transport_tuning=Once()) as requester, served(root) as (server, port):
        uri = f"coap+ws://[::1]:{port}/counter"
        request = requester.request(Message(code=GET, uri=uri, observe=0))
        assert (await request.response).payload == b"0"
        notifications = aiter(request.observation)
        counter.step()
        assert (await anext(notifications)).payload == b"1"
        for connection in connections(server):
            connection.abort("that is enough")
        with pytest.raises(error.NetworkError, match="that is enough"):
            await anext(notifications)


async def test_a_lost_connection_is_opened_again() -> None:
    root, here = site()
    async with served(root) as (server, port), client() as requester:
        uri = f"coap+ws://[::1]:{port}/here"
        for _ in range(2):
            answer = await requester.request(Message(code=GET, uri=uri)).response
            assert answer.code == CONTENT
            connections(server)[0].abort("once more")
            await until(lambda: not connections(requester))
        assert len(set(here.remotes)) == 2


async def test_a_ping_is_answered() -> None:
    root, _ = site()
    async with served(root) as (_, port), client() as requester:
        assert await requester.ping(f"coap+ws://[::1]:{port}") < PATIENCE


# What others' clients may do


async def test_the_vectors_are_understood() -> None:
    """RFC 8323 Appendix A, Figure 17, with the handshake of section 4.1."""
    root = Site()

    class Sensor(Resource):
        async def render_get(self, request: Message) -> Message:
            assert request.opt.uri_query == ("u=Cel",)
            return Message(payload=b"22.3 Cel")

    root.add_resource(["sensors", "temperature"], Sensor())
    async with served(root) as (_, port):
        key, path = HANDSHAKE["example_key"], HANDSHAKE["request_target"]
        _, writer, head = await shook(port, *handshake(port, path=path, Sec_WebSocket_Key=key))
        lines = head.decode().split("\r\n")
        assert lines[0].startswith("HTTP/1.1 101 ")
        assert f"Sec-WebSocket-Accept: {HANDSHAKE['example_accept']}" in lines
        assert f"Sec-WebSocket-Protocol: {HANDSHAKE['subprotocol']}" in lines
        assert not any(line.startswith("Sec-WebSocket-Extensions") for line in lines)
        writer.close()
        async with raw_client(port) as raw:
            await raw.send(GREETING)
            await raw.send(HEX["ws-fig17-get"])
            assert decode_unframed(bytes(await raw.recv())).code == CSM
            assert await raw.recv() == HEX["ws-fig17-response"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 101),
        ({"Sec_WebSocket_Protocol": "mqtt, coap"}, 101),
        ({"path": "/"}, 404),
        ({"path": "/.well-known/coap/"}, 404),
        ({"path": "/.well-known/coap?x"}, 404),
        ({"Sec_WebSocket_Protocol": None}, 400),
        ({"Sec_WebSocket_Protocol": "mqtt"}, 400),
        ({"Upgrade": None}, 426),
        ({"Host": None}, 400),
        ({"Host": "a b"}, 400),
        ({"Host": "::1"}, 400),
        ({"Host": "somebody@here"}, 400),
        ({"Host": "here:99999"}, 400),
        ({"Host": ":80"}, 400),
    ],
)
async def test_only_coap_is_served(changes: dict[str, str | None], status: int) -> None:
    async with served(None) as (server, port):
        _, writer, head = await shook(port, *handshake(port, **changes))
        assert head.decode().startswith(f"HTTP/1.1 {status} ")
        assert b"Server:" not in head
        writer.close()
        await until(lambda: not pool(server)._alive)


async def test_two_hosts_are_none() -> None:
    async with served(None) as (_, port):
        _, writer, head = await shook(port, *handshake(port), "Host: another")
        assert head.startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_handshake_has_an_end() -> None:
    async with served(None) as (server, port):
        reader, writer = await asyncio.open_connection("::1", port)
        writer.write("\r\n".join(handshake(port)).encode())
        with suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"\r\nX-Filler: " + b"x" * 1000)
                await writer.drain()
            await reader.read()
        await until(lambda: not pool(server)._alive)
        writer.close()


async def test_a_handshake_that_does_not_come() -> None:
    async with served(None, transport_tuning=Hasty()) as (server, port):
        reader, writer = await asyncio.open_connection("::1", port)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: not pool(server)._alive)


async def test_too_many_handshakes_make_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "MAX_OPENING", 2)
    async with served(None) as (server, port):
        pairs = [await asyncio.open_connection("::1", port)]
        await until(lambda: len(pool(server)._alive) == 1)
        pairs += [await asyncio.open_connection("::1", port) for _ in range(2)]
        with suppress(ConnectionError):
            assert await pairs[0][0].read() == b""
        await until(lambda: len(pool(server)._alive) == 2)
        async with raw_client(port) as raw:
            assert decode_unframed(bytes(await raw.recv())).code == CSM
        for _, writer in pairs:
            writer.close()


async def test_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    root, here = site()
    here.gate = asyncio.Event()
    monkeypatch.setattr(connectionpool, "MAX_CONNECTIONS", 1)
    async with served(root) as (server, port), raw_client(port) as raw:
        await raw.send(GREETING)
        await raw.send(GET_HERE)
        await until(lambda: bool(here.remotes))
        async with raw_client(port) as further:
            with pytest.raises(ConnectionClosed):
                await further.recv()
        assert len(connections(server)) == 1
        here.gate.set()
        assert (await received(raw)).code == CONTENT


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ("text", "text is no message"),
        (b"", "shorter than a header"),
        (b"\x10\x01", "the Len field is not 0"),
        (b"\x0f\x01", "what came is no message"),
        (b"\x00\x01\xff", "what came is no message"),
    ],
)
async def test_what_is_no_message_aborts(bad: str | bytes, text: str) -> None:
    root, _ = site()
    async with served(root) as (server, port), raw_client(port) as raw:
        await raw.send(GREETING)
        await raw.send(bad)
        assert text in await aborted(raw)
        await until(lambda: not connections(server))


async def test_text_that_is_none() -> None:
    async with served(None) as (server, port), raw_client(port) as raw:
        await raw.send(b"\xff\xfe", text=True)
        assert await code_of_end(raw) == CloseCode.INVALID_DATA
        await until(lambda: not connections(server))


async def test_the_first_message_is_a_csm() -> None:
    async with served(None) as (_, port), raw_client(port) as raw:
        await raw.send(GET_HERE)
        assert "CSM" in await aborted(raw)


async def test_a_csm_that_does_not_come() -> None:
    async with served(None, transport_tuning=Hasty()) as (server, port), raw_client(port) as raw:
        assert "no CSM" in await aborted(raw)
        await until(lambda: not pool(server)._alive)


async def test_an_unknown_option_of_a_csm() -> None:
    async with served(None) as (_, port), raw_client(port) as raw:
        await raw.send(bytes((0, int(CSM), 0xD0, 0)))
        assert (await received(raw)).opt.raw_items() == [(2, b"\x0d")]


@pytest.mark.parametrize("is_fragmented", [False, True])
async def test_messages_that_are_too_large_are_not_read(is_fragmented: bool) -> None:
    root, _ = site()
    async with served(root, transport_tuning=Small()) as (server, port), raw_client(port) as raw:
        await raw.send(GREETING)
        await raw.send([b"x" * 700] * 3 if is_fragmented else b"x" * 2001)
        assert await code_of_end(raw) == CloseCode.MESSAGE_TOO_BIG
        await until(lambda: not connections(server))


async def test_messages_may_come_in_fragments() -> None:
    root, _ = site()
    async with served(root) as (server, port), raw_client(port) as raw:
        await raw.send([GREETING[:1], b"", GREETING[1:]])
        await raw.send([bytes((byte,)) for byte in GET_HERE])
        assert (await received(raw)).code == CONTENT
        (connection,) = connections(server)
        assert connection._connection.held == connection._held == 0
        assert pool(server)._kept == 0


async def test_a_message_that_does_not_become_complete() -> None:
    async with (
        served(None, transport_tuning=Hasty()) as (server, port),
        raw_client(port, close_timeout=0.1) as raw,
    ):
        await raw.send(GREETING)

        async def never_ending() -> Any:
            yield b"begun"
            await asyncio.Event().wait()

        task = asyncio.create_task(raw.send(never_ending()))
        await until(lambda: pool(server)._kept == len(b"begun"))
        assert "did not become complete" in await aborted(raw)
        await until(lambda: not pool(server)._alive)
        assert pool(server)._kept == 0
        task.cancel()
        await asyncio.wait([task])


async def test_too_much_that_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(TransportTuning):
        # Nothing else is to end the connection.
        CSM_TIMEOUT = 1000.0

    monkeypatch.setattr(connectionpool, "MAX_KEPT", 999)
    async with served(None, transport_tuning=Patient) as (server, port):
        sock = plain_socket(port)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, "\r\n".join([*handshake(port), "", ""]).encode())
        await until(lambda: bool(connections(server)))
        # Of one binary message of 60000 bytes, masked by zeros, a part.
        head = bytes((0x82, 0xFE)) + (60000).to_bytes(2, "big") + bytes(4)
        await loop.sock_sendall(sock, head + b"x" * 1000)
        await until(lambda: not connections(server))
        sock.close()
        await until(lambda: not pool(server)._kept)


@pytest.mark.parametrize("what", ["requests", "pings", "websocket pings"])
async def test_who_does_not_read_is_not_read_either(what: str) -> None:
    """Nothing piles up for such a peer but what fits the buffers, and it has to go."""
    root, here = site()
    here.content = b"x" * 60_000

    def frame(number: int) -> bytes:
        token = number.to_bytes(2, "big")
        if what == "requests":
            data = encode_unframed(Message(code=GET, token=token, uri_path=["here"]))
        elif what == "pings":
            data = encode_unframed(Message(code=PING, token=token * 4))
        else:
            return bytes((0x89, 0x80 + 125)) + bytes(4) + bytes(125)
        return masked(data)

    async with served(root) as (server, port):
        sock = plain_socket(port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, "\r\n".join([*handshake(port), "", ""]).encode())
        await until(lambda: bool(connections(server)))
        (connection,) = connections(server)
        # The system would keep megabytes of small answers.
        ours = connection._connection._lane.get_extra_info("socket")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await loop.sock_sendall(sock, masked(GREETING))
        flood = b"".join(map(frame, range(1000)))

        async def send_on() -> None:
            with suppress(ConnectionError):
                while True:
                    await loop.sock_sendall(sock, flood)

        flooding = asyncio.create_task(send_on())
        await until(lambda: connection._is_stalled)
        lane = connection._connection._lane
        most = 0
        for _ in range(20):
            await asyncio.sleep(0)
            most = max(most, lane.get_write_buffer_size())
        assert not lane.is_reading()
        # What one chunk of what it read makes, where it can not stop in the middle of that.
        assert most < 2_000_000
        connection.judge(loop.time() + connection._pool.tuning.MESSAGE_TIMEOUT)
        assert connection.end is not None
        await until(lambda: not pool(server)._alive)
        flooding.cancel()
        await asyncio.wait([flooding])
        sock.close()


async def test_who_reads_again_is_served_again() -> None:
    root, here = site()
    here.content = b"x" * 60_000
    async with served(root) as (server, port), raw_client(port, max_queue=1) as raw:
        await raw.send(GREETING)
        raw.transport.pause_reading()
        for number in range(200):
            request = Message(code=GET, token=bytes((number,)), uri_path=["here"])
            await raw.send(encode_unframed(request))
        await until(lambda: any(c._is_stalled for c in connections(server)))
        raw.transport.resume_reading()
        tokens = {(await received(raw)).token for _ in range(200)}
        assert len(tokens) == 200
        (connection,) = connections(server)
        assert connection._connection._lane.is_reading()


async def test_a_busy_server_reads_on_when_it_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rfc8323common, "MAX_IN_WORK", 2)
    root, here = site()
    here.gate = asyncio.Event()
    async with served(root) as (server, port), raw_client(port) as raw:
        await raw.send(GREETING)
        requests = [Message(code=GET, token=b"%d" % n, uri_path=["here"]) for n in range(6)]
        # All at once, so that the server has them all before it can stop to read.
        raw.transport.write(b"".join(masked(encode_unframed(request)) for request in requests))
        await until(lambda: len(here.remotes) == 2)
        (connection,) = connections(server)
        assert not connection._connection._lane.is_reading()
        assert connection.room_for_work == 0
        assert pool(server)._kept > 0
        # It is not the client's fault.
        connection.judge(connection._pool.loop.time() + connection._pool.tuning.MESSAGE_TIMEOUT)
        assert connection.end is None
        here.gate.set()
        tokens = [(await received(raw)).token for _ in requests]
        assert tokens == [request.token for request in requests]
        assert connection._connection._lane.is_reading()
        assert pool(server)._kept == 0


async def test_a_busy_connection_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc8323common, "MAX_IN_WORK", 1)
    root, here = site()
    here.gate = asyncio.Event()
    async with served(root) as (server, port), raw_client(port) as raw:
        await raw.send(GREETING)
        raw.transport.write(masked(GET_HERE) * 5)
        await until(lambda: bool(here.remotes))
        (connection,) = connections(server)
        # It is not read, so that only who writes to it finds out.
        raw.transport.abort()
        connection._connection.abort()
        await until(lambda: not pool(server)._alive)
        await until(lambda: connection.end is not None)
        assert pool(server)._kept == 0


async def test_compression_and_pings_are_not_asked_for() -> None:
    async with served(None) as (server, port), raw_client(port, compression="deflate") as raw:
        assert raw.protocol.extensions == []
        await (await raw.ping())
        (connection,) = connections(server)
        assert connection._connection.keepalive_task is None


# What others' servers may do


async def asked(uri: str, **kwargs: Any) -> Message:
    """Ask a server."""
    async with client(**kwargs) as requester:
        answer = await requester.request(Message(code=GET, uri=f"{uri}/here")).response
        assert isinstance(answer, Message)
        return answer


async def test_the_client_asks_for_what_it_should() -> None:
    seen = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request)
        await connection.send(GREETING)
        request = await received(connection)
        await connection.send(encode_unframed(Message(code=CONTENT, token=request.token)))
        await connection.recv()

    async with raw_server(handler) as uri:
        assert (await asked(uri)).code == CONTENT
    (request,) = seen
    assert request.path == "/.well-known/coap"
    assert request.headers["Sec-WebSocket-Protocol"] == "coap"
    assert request.headers["Host"] == uri.removeprefix("coap+ws://")
    assert not {"Sec-WebSocket-Extensions", "User-Agent", "Origin"} & set(request.headers)


async def test_a_server_without_the_subprotocol_is_left() -> None:
    codes = []

    async def handler(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.recv()
        codes.append(connection.close_code)

    async with raw_server(handler, subprotocols=None) as uri:
        with pytest.raises(error.NetworkError, match="not for CoAP"):
            await asked(uri)
        await until(lambda: bool(codes))
    assert codes == [CloseCode.NORMAL_CLOSURE]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://[::1]:1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP status 302",
        ),
        (b"SSH-2.0-what\r\n\r\n", "no WebSocket"),
        (b"", "no WebSocket"),
        (None, "timed out"),
    ],
)
async def test_what_is_no_websocket_is_told(answer: bytes | None, text: str) -> None:
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(serve, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(error.NetworkError, match=text) as caught:
        await asked(f"coap+ws://[::1]:{port}", transport_tuning=Hasty())
    assert f"[::1]:{port} over WebSockets" in str(caught.value)
    assert caught.value.extra_help()
    await done.wait()
    server.close()
    await server.wait_closed()


async def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        with pytest.raises(error.NetworkError, match="Connection refused"):
            await asked(f"coap+ws://[::1]:{sock.getsockname()[1]}")


@pytest.mark.parametrize("bad", ["text", b"", b"\x10\x01"])
async def test_a_server_that_sends_no_messages(bad: str | bytes) -> None:
    last = []

    async def handler(connection: ServerConnection) -> None:
        await connection.send(GREETING)
        await received(connection)
        await connection.send(bad)
        last.append(await received(connection))
        await connection.recv()

    async with raw_server(handler) as uri:
        with pytest.raises(error.NetworkError):
            await asked(uri)
        await until(lambda: bool(last))
    assert last[0].code == ABORT


async def test_a_server_that_goes() -> None:
    """A response that came before is given, and requests end at once."""

    async def handler(connection: ServerConnection) -> None:
        await connection.send(GREETING)
        request = await received(connection)
        await received(connection)
        await connection.send(encode_unframed(Message(code=CONTENT, token=request.token)))
        await connection.close(1001, "gone \x00")

    async with raw_server(handler) as uri, client() as requester:
        requests = [requester.request(Message(code=GET, uri=f"{uri}/{n}")) for n in range(2)]
        assert (await requests[0].response).code == CONTENT
        with pytest.raises(error.NetworkError, match="has closed the connection"):
            await requests[1].response


async def test_a_server_that_closes_by_half() -> None:
    """The closing handshake begins, and the connection stays."""
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        key = HANDSHAKE["example_accept"]
        writer.write(
            b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: coap\r\nSec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )
        writer.write(bytes((0x82, len(GREETING))) + GREETING + bytes((0x88, 0)))
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(serve, "::1", 0)
    uri = f"coap+ws://[::1]:{server.sockets[0].getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("websockets.client.generate_key", lambda: HANDSHAKE["example_key"])
        with pytest.raises(error.NetworkError, match="has closed the connection"):
            await asked(uri, transport_tuning=Hasty())
    await left.wait()
    server.close()
    await server.wait_closed()


async def test_a_client_goes_where_the_server_wants() -> None:
    """Release with an alternative address (RFC 8323 section 5.5)."""
    root, here = site()
    async with served(root) as (_, port), client() as requester:

        async def handler(connection: ServerConnection) -> None:
            await connection.send(GREETING)
            request = await received(connection)
            await connection.send(encode_unframed(Message(code=CONTENT, token=request.token)))
            release = Message(code=RELEASE)
            release.opt.add_option(OpaqueOption(2, f"[::1]:{port}".encode()))
            await connection.send(encode_unframed(release))
            await connection.recv()

        async with raw_server(handler) as uri:
            assert not (
                await requester.request(Message(code=GET, uri=f"{uri}/here")).response
            ).payload
            await until(lambda: not connections(requester))
            answer = await requester.request(Message(code=GET, uri=f"{uri}/here")).response
            assert answer.payload.decode() == f"{uri}/here"
            assert here.remotes[0].uri_base_local == uri


async def test_too_many_connections_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    root, here = site()
    here.gate = asyncio.Event()
    async with served(root) as (_, port), served(root) as (_, another), client() as requester:
        first = requester.request(Message(code=GET, uri=f"coap+ws://[::1]:{port}/here"))
        await until(lambda: bool(here.remotes))
        monkeypatch.setattr(connectionpool, "MAX_CONNECTIONS", 1)
        with pytest.raises(error.NetworkError, match="too many connections"):
            await requester.request(
                Message(code=GET, uri=f"coap+ws://[::1]:{another}/here")
            ).response
        here.gate.set()
        assert (await first.response).code == CONTENT


# TLS


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """An authority, and what it has signed."""
    return Certificates(tmp_path)


@pytest.fixture
def secured(certificates: Certificates) -> ssl.SSLContext:
    """What a server for ::1, 127.0.0.1 and localhost secures connections by."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server.file, certificates.server.key_file)
    return context


def trust(context: Context, uris: str, authority: Made) -> None:
    """Have a client trust an authority."""
    context.client_credentials.load_from_dict({uris: {"tlscert": {"certfile": authority.file}}})


def secure_port(context: Context) -> int:
    """Return the port by TLS of a server."""
    address = pool(context).secure_address
    assert address is not None
    return address[1]


async def test_tls(certificates: Certificates, secured: ssl.SSLContext) -> None:
    root, here = site()
    async with served(root, _ssl_context=secured) as (server, plain), client() as requester:
        secure = secure_port(server)
        assert secure != plain
        uri = f"coaps+ws://[::1]:{secure}"
        with pytest.raises(error.NetworkError, match=r"not trusted .unable to get local"):
            await requester.request(Message(code=GET, uri=f"{uri}/here")).response
        trust(requester, f"{uri}/*", certificates.authority)
        answer = await requester.request(Message(code=GET, uri=f"{uri}/here")).response
        assert answer.payload.decode() == f"{uri}/here"
        assert here.remotes[0].scheme == "coaps+ws"
        # By the other scheme it is another origin, and does not work.
        for wrong in (f"coap+ws://[::1]:{secure}/", f"coaps+ws://[::1]:{plain}/"):
            with pytest.raises(error.NetworkError, match="over WebSockets"):
                await requester.request(Message(code=GET, uri=wrong)).response


async def test_a_certificate_serves_tcp_as_well(
    certificates: Certificates, secured: ssl.SSLContext
) -> None:
    """What one transport does with the server's context is not in the way of the other."""
    root, here = site()
    async with served(root, _ssl_context=secured, transports=["tlsserver", "ws"]) as (server, tls):
        web = server.request_interfaces[1].token_interface.secure_address[1]  # type: ignore[attr-defined]
        context = await Context.create_client_context(transports=["tlsclient", "ws"])
        async with context:
            trust(context, "coaps+ws://*", certificates.authority)
            trust(context, "coaps+tcp://*", certificates.authority)
            for uri in (f"coaps+ws://[::1]:{web}/here", f"coaps+tcp://[::1]:{tls}/here"):
                answer = await context.request(Message(code=GET, uri=uri)).response
                assert answer.payload.decode() == uri
        # Browsers say that they speak HTTP.
        browser = ssl.create_default_context(cafile=certificates.authority.file)
        browser.set_alpn_protocols(["http/1.1"])
        uri = f"wss://[::1]:{web}/.well-known/coap"
        async with connect(uri, ssl=browser, subprotocols=COAP, proxy=None) as raw:
            await raw.send(GREETING)
            await raw.send(GET_HERE)
            assert (await received(raw)).code == CONTENT
    assert [remote.scheme for remote in here.remotes] == ["coaps+ws", "coaps+tcp", "coaps+ws"]


async def test_a_certificate_of_somebody_else(certificates: Certificates) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    another = certificates.signed("another", "coap.example")
    context.load_cert_chain(another.file, another.key_file)
    async with served(None, _ssl_context=context) as (server, _), client() as requester:
        trust(requester, "coaps+ws://*", certificates.authority)
        uri = f"coaps+ws://[::1]:{secure_port(server)}"
        with pytest.raises(error.NetworkError, match=r"not for that name .IP address mismatch"):
            await requester.request(Message(code=GET, uri=uri)).response


async def test_a_certificate_is_for_a_name(
    certificates: Certificates, secured: ssl.SSLContext
) -> None:
    context = await Context.create_server_context(
        None, ("127.0.0.1", 0), transports=["ws"], _ssl_context=secured
    )
    async with context, client() as requester:
        trust(requester, "coaps+ws://localhost*", certificates.authority)
        assert await requester.ping(f"coaps+ws://LOCALHOST:{secure_port(context)}") < PATIENCE


# Ports, processes, ends


async def test_servers_have_ports_of_their_own(
    secured: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ws.SERVER_PORT == 8683
    monkeypatch.setattr(ws, "SERVER_PORT", free_port(1))
    server = await Context.create_server_context(
        None, ("::1", None), transports=["ws"], _ssl_context=secured
    )
    async with server:
        assert server.bound_addresses == [("::1", ws.SERVER_PORT)]
        assert pool(server).secure_address == ("::1", ws.SERVER_PORT + 1)


async def test_a_port_that_there_is_not(secured: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match="65536"):
        await Context.create_server_context(
            None, ("::1", 62535), transports=["ws"], _ssl_context=secured
        )


async def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "0")
    async with served(None) as (_, port):
        with pytest.raises(error.NetworkError, match=rf"\[::1\]:{port}.*in use") as caught:
            await Context.create_server_context(None, transports={"ws": {"bind": ("::1", port)}})
        assert isinstance(caught.value, OSError)


def test_a_second_process_has_the_same_ports() -> None:
    """The listeners of WebSockets are no reason for a server not to start."""
    port = free_port(1, 3000, 3001)
    text = f"""
import asyncio, aiocoap
async def main():
    async with await aiocoap.Context.create_server_context(None, ("::1", {port})) as context:
        print(context.bound_addresses, flush=True)
        await asyncio.to_thread(input)
asyncio.run(main())
"""
    code = [sys.executable, "-W", "error", "-c", text]
    processes = [subprocess.Popen(code, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert str(port + 3000) in process.stdout.readline().decode()
        for process in processes:
            assert process.communicate(b"\n", PATIENCE)[1] == b""
            assert process.returncode == 0
    finally:
        for process in processes:
            process.kill()
            process.communicate()


async def test_a_server_says_goodbye() -> None:
    root, _ = site()
    async with client() as requester:
        async with served(root) as (server, port), raw_client(port) as raw:
            uri = f"coap+ws://[::1]:{port}/here"
            await requester.request(Message(code=GET, uri=uri)).response
            await raw.send(GREETING)
            await raw.send(encode_unframed(Message(code=PING, token=b"p")))
            assert (await received(raw)).code == PONG
            closing = asyncio.create_task(server.shutdown())
            assert (await received(raw)).code == RELEASE
            await raw.close()
            await closing
            assert not server.request_interfaces
        assert not connections(requester)


async def test_a_shutdown_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever neither reads nor closes does not keep a server up."""
    root, _ = site()
    async with served(root, transport_tuning=Hasty()) as (server, port):
        reader, writer, head = await shook(port, *handshake(port))
        assert head.startswith(b"HTTP/1.1 101 ")
        another = await asyncio.open_connection("::1", port)
        await until(lambda: len(pool(server)._alive) == 2)
        await server.shutdown()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        another[1].close()


# uvloop tells of no connection before TLS is set up.
ON_ASYNCIO = pytest.mark.parametrize("loop", ["asyncio"], indirect=True)


class Patient(TransportTuning):
    """Has more patience than tests have."""

    CSM_TIMEOUT = 3600


@ON_ASYNCIO
async def test_a_shutdown_does_not_wait_for_tls(secured: ssl.SSLContext) -> None:
    async with served(None, _ssl_context=secured, transport_tuning=Patient()) as (server, _):
        reader, writer = await asyncio.open_connection("::1", secure_port(server))
        await until(lambda: bool(pool(server)._opening))
        await server.shutdown()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


@ON_ASYNCIO
async def test_handshakes_of_tls_are_bounded(
    secured: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "MAX_OPENING", 2)
    async with served(None, _ssl_context=secured) as (server, _):
        pairs = []
        for number in range(3):
            pairs.append(await asyncio.open_connection("::1", secure_port(server)))
            await until(lambda: len(pool(server)._opening) >= min(number + 1, 2))  # noqa: B023
        with suppress(ConnectionError):
            assert await pairs[0][0].read() == b""
        # What fails by itself is forgotten.
        pairs[1][1].write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: len(pool(server)._opening) == 1)
        for _, writer in pairs:
            writer.close()
        await until(lambda: not pool(server)._opening)


async def test_connecting_ends_with_the_context() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(serve, "::1", 0)
    uri = f"coap+ws://[::1]:{server.sockets[0].getsockname()[1]}/"
    async with client() as requester:
        request = requester.request(Message(code=GET, uri=uri))
        await until(lambda: bool(pool(requester)._alive))
    with pytest.raises(error.LibraryShutdown):
        await request.response
    await gone.wait()
    server.close()
    await server.wait_closed()


async def test_what_is_wrong_with_us_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own ends the connection, and does not vanish."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def broken(self: Any, message: Message) -> None:
        raise RuntimeError("a bug")

    async with served(None) as (server, port), raw_client(port) as raw:
        monkeypatch.setattr(ws.WSRemote, "_take", broken)
        await raw.send(GREETING)
        assert await code_of_end(raw) == CloseCode.ABNORMAL_CLOSURE
        await until(lambda: not pool(server)._alive)
    assert [str(one["exception"]) for one in told] == ["a bug"]


async def test_the_library_keeps_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What strangers do is not told at any level but that of traffic."""
    caplog.set_level(logging.INFO)
    root, _ = site()
    async with served(root) as (_, port):
        for changes in ({"path": "/"}, {"Sec_WebSocket_Key": "x"}, {"Upgrade": "\xff"}):
            _, writer, _ = await shook(port, *handshake(port, **changes))
            writer.close()
        async with raw_client(port) as raw:
            await raw.send(GREETING)
        with pytest.raises(InvalidStatus):
            await connect(f"ws://[::1]:{port}/", proxy=None)
    assert [r.getMessage() for r in caplog.records if not r.name.startswith("websockets")] == []


async def test_traffic_is_told_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    root, _ = site()
    caplog.set_level(logging.DEBUG, "coap-server")
    async with served(root) as (_, port), client() as requester:
        await requester.request(Message(code=GET, uri=f"coap+ws://[::1]:{port}/here")).response
    told = [r for r in caplog.records if r.name == "coap-server" and "BINARY" in r.getMessage()]
    assert told
    assert {r.levelno for r in told} == {logging.DEBUG}


# Without the library


def test_it_is_imported_for_the_first_connection_only() -> None:
    code = """
import asyncio, sys, aiocoap
async def main():
    async with await aiocoap.Context.create_client_context() as context:
        assert "websockets" not in sys.modules
        try:
            await context.request(aiocoap.Message(code=aiocoap.GET, uri="coap+ws://[::1]:1/")).response
        except aiocoap.error.NetworkError:
            pass
        assert "websockets" in sys.modules
        assert "websockets.legacy" not in sys.modules
assert "websockets" not in sys.modules
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


async def test_a_client_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("aiocoap.transports.wslink")
    monkeypatch.delitem(sys.modules, wslink.__name__)
    monkeypatch.setitem(sys.modules, "websockets.asyncio.client", None)
    with pytest.raises(error.NoRequestInterface, match="needs the package websockets") as caught:
        await asked("coap+ws://[::1]")
    assert caught.value.extra_help() == 'Install it: pip install "aiocoap[ws]"'
    with pytest.raises(ImportError, match="websockets"):
        await Context.create_server_context(None, ("::1", 0), transports=["ws"])

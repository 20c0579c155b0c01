"""Connections over WebSockets, on links that only take down what they are told.

What the library makes of the bytes is tested over sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from aiocoap import GET, Message, error
from aiocoap.address import UndecidedRemote
from aiocoap.credentials import CredentialsMap
from aiocoap.interfaces import EndpointAddress, TokenInterface
from aiocoap.numbers.codes import ABORT, CONTENT, CSM, RELEASE
from aiocoap.numbers.constants import TransportTuning
from aiocoap.sansio.framing import decode_unframed, encode_unframed
from aiocoap.transports import connectionpool, rfc8323common, ws
from aiocoap.transports.connectionpool import Origin
from aiocoap.transports.rfc8323common import RFC8323Remote
from aiocoap.transports.ws import LibraryMissing, PoolKey, WSPool, WSRemote

LOG = logging.getLogger("tests.ws")
GREETING = encode_unframed(Message(code=CSM))


class Manager:
    """Takes down what comes up."""

    def __init__(self) -> None:
        self.transport_tuning = TransportTuning()
        self.client_credentials = CredentialsMap()
        self.requests: list[Message] = []
        self.responses: list[Message] = []
        self.errors: list[tuple[Exception, Any]] = []

    def process_request(self, message: Message) -> None:
        self.requests.append(message)

    def process_response(self, message: Message) -> None:
        self.responses.append(message)

    def dispatch_error(self, problem: Exception, remote: Any) -> None:
        self.errors.append((problem, remote))

    def is_interested_in(self, remote: Any) -> bool:
        return False

    awaits_response = is_interested_in


class FakeLink:
    """A link without a network."""

    is_server = is_made = True
    host = "coap.example"

    def __init__(self, is_gone: bool = False) -> None:
        self.local_address = None if is_gone else ("::1", 80, 0, 0)
        self.remote_address = None if is_gone else ("192.0.2.1", 40000)
        self.user: Any = None
        self.held = 0
        self.is_lost = False
        self.reason = "it is over"
        self.sent: list[bytes] = []
        self.calls: list[str] = []
        self.coming: asyncio.Queue[str | bytes | None] = asyncio.Queue()

    def attach(self, user: Any) -> None:
        self.user = user

    async def receive(self) -> str | bytes | None:
        return await self.coming.get()

    def send_now(self, data: bytes) -> None:
        self.sent.append(data)

    def read_on(self, is_wanted: bool) -> None:
        self.calls.append("read on" if is_wanted else "do not read")

    def part(self) -> None:
        self.calls.append("part")

    def abort(self) -> None:
        self.calls.append("abort")


class Bench:
    """One connection, as the peer has opened it or we have."""

    def __init__(self, is_ours: bool = False) -> None:
        self.manager = Manager()
        loop = asyncio.get_running_loop()
        manager: Any = self.manager
        self.pool = WSPool(manager, LOG, loop)
        self.link = FakeLink()
        link: Any = self.link
        kwargs = {"remote_hostinfo" if is_ours else "local_hostinfo": "coap.example"}
        self.remote = WSRemote(self.pool, link, loop, LOG, scheme="coap+ws", **kwargs)
        assert self.pool.add(self.remote)

    async def run(self, *data: str | bytes) -> None:
        """Have messages received, and then the end."""
        for one in (*data, None):
            self.link.coming.put_nowait(one)
        await self.remote.run()

    @property
    def last(self) -> Message:
        return decode_unframed(self.link.sent[-1])


# Names


@pytest.mark.parametrize(
    ("key", "host", "port"),
    [
        (PoolKey("coap+ws", "coap.example"), "coap.example", 80),
        (PoolKey("coaps+ws", "coap.example"), "coap.example", 443),
        (PoolKey("coaps+ws", "[2001:db8::1]:80"), "2001:db8::1", 80),
        (PoolKey("coap+ws", "[fe80::1%eth0]"), "fe80::1%eth0", 80),
    ],
)
def test_a_key_is_a_pair_that_knows_more(key: PoolKey, host: str, port: int) -> None:
    assert (key.host, key.port) == (host, port)
    assert key == (key.scheme, key.hostinfo)


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("coap+ws://CoAP.example/x", ("coap+ws", "coap.example")),
        ("coap+ws://coap.example:80", ("coap+ws", "coap.example")),
        ("coap+ws://coap.example:443", ("coap+ws", "coap.example:443")),
        ("coaps+ws://coap.example:443", ("coaps+ws", "coap.example")),
        ("coaps+ws://[2001:DB8::1]:80", ("coaps+ws", "[2001:db8::1]:80")),
        ("coap+tcp://coap.example", None),
        ("coap://coap.example", None),
    ],
)
async def test_what_is_for_here(uri: str, key: tuple[str, str] | None) -> None:
    pool = Bench().pool
    assert pool._origin(Message(code=GET, uri=uri)) == key
    assert pool.resolve_now(Message(code=GET, uri=uri)) is None


async def test_what_is_no_destination() -> None:
    request = Message(code=GET)
    request.remote = UndecidedRemote("coap+ws", "coap.example:x")
    with pytest.raises(error.ResolutionError):
        Bench().pool._origin(request)


def test_the_documented_relations() -> None:
    assert issubclass(WSRemote, RFC8323Remote)
    assert issubclass(WSRemote, EndpointAddress)
    assert issubclass(WSPool, TokenInterface)


async def test_an_accepted_connection_has_names() -> None:
    remote = Bench().remote
    assert remote.scheme == "coap+ws"
    assert (remote.hostinfo_local, remote.hostinfo) == ("coap.example", "192.0.2.1:40000")
    assert remote.uri_base_local == "coap+ws://coap.example"
    with pytest.raises(error.AnonymousHost):
        _ = remote.uri_base
    assert "coap+ws to 192.0.2.1:40000" in repr(remote)


async def test_an_own_connection_has_names() -> None:
    bench = Bench(is_ours=True)
    remote = bench.remote
    assert remote.origin == PoolKey("coap+ws", "coap.example")
    # The port is the one that need not be written.
    assert (remote.hostinfo_local, remote.hostinfo) == ("[::1]", "coap.example")
    assert remote.uri_base == "coap+ws://coap.example"
    with pytest.raises(error.AnonymousHost):
        _ = remote.uri_base_local
    assert bench.pool.owns(remote)


async def test_who_is_gone_has_no_name() -> None:
    bench = Bench()
    link: Any = FakeLink(is_gone=True)
    remote = WSRemote(bench.pool, link, bench.pool.loop, LOG, scheme="coaps+ws")
    assert remote.hostinfo == remote.hostinfo_local == "(nobody)"


# Messages


async def test_messages_go_both_ways() -> None:
    bench = Bench()
    assert bench.last.code == CSM
    request = Message(code=GET, token=b"t")
    await bench.run(GREETING, encode_unframed(request))
    (taken,) = bench.manager.requests
    assert (taken.code, taken.token, taken.remote) == (GET, b"t", bench.remote)


async def test_responses_go_out() -> None:
    bench = Bench()
    bench.link.coming.put_nowait(GREETING)
    task = asyncio.create_task(bench.remote.run())
    await asyncio.sleep(0)
    response = Message(code=CONTENT, token=b"t", payload=b"x")
    response.remote = bench.remote
    bench.pool.send_message(response, None)
    assert bench.link.sent[-1] == encode_unframed(response)
    # There is nothing that would have to be flushed.
    sent = len(bench.link.sent)
    bench.remote.flush()
    assert len(bench.link.sent) == sent
    bench.link.coming.put_nowait(None)
    await task


@pytest.mark.parametrize("bad", ["text", b"", b"\x10\x01", b"\x00\x01\xff"])
async def test_what_is_no_message_aborts(bad: str | bytes) -> None:
    bench = Bench()
    await bench.run(GREETING, bad, encode_unframed(Message(code=GET)))
    assert bench.last.code == ABORT
    assert bench.link.calls == ["read on", "part"]
    assert bench.manager.requests == []
    assert [remote for _, remote in bench.manager.errors] == [bench.remote]


async def test_a_released_connection_is_closed() -> None:
    bench = Bench()
    await bench.run(GREETING, encode_unframed(Message(code=RELEASE)))
    assert bench.link.calls == ["read on", "part"]
    assert isinstance(bench.remote.end, error.RemoteServerShutdown)


async def test_the_end_is_told_with_its_reason() -> None:
    bench = Bench()
    await bench.run(GREETING)
    assert "it is over" in str(bench.remote.end)
    assert bench.pool.connections == {}


async def test_our_own_errors_are_not_hidden() -> None:
    bench, told = Bench(), []
    bench.pool.loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
    bench.manager.process_request = None  # type: ignore[method-assign, assignment]
    await bench.run(GREETING, encode_unframed(Message(code=GET)))
    assert [type(one) for one in told] == [TypeError]
    assert bench.link.calls == ["abort"]
    assert bench.remote.end is not None


# What is not complete


async def test_parts_of_messages_are_counted() -> None:
    bench = Bench()
    bench.link.held = 100
    bench.remote.note_bytes()
    assert bench.pool._kept == 100
    bench.link.held = 50
    bench.remote.note_bytes()
    assert bench.pool._kept == 50
    await bench.run()
    assert bench.pool._kept == 0


async def test_too_much_of_them_aborts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 99)
    bench = Bench()
    bench.link.held = 100
    bench.remote.note_bytes()
    assert bench.last.code == ABORT
    bench.link.held = 200
    bench.remote.note_bytes()
    assert bench.pool._kept == 100
    await bench.run()
    assert bench.pool._kept == 0


async def test_nothing_is_taken_from_a_connection_that_this_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.link.coming.put_nowait(GREETING)
    task = asyncio.create_task(bench.remote.run())
    await asyncio.sleep(0)
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 99)
    bench.link.held = 100
    bench.link.coming.put_nowait(encode_unframed(Message(code=GET)))
    bench.link.coming.put_nowait(None)
    await task
    assert bench.manager.requests == []
    assert bench.last.code == ABORT


# Peers that do not read, and those that go


async def test_who_does_not_read_is_not_read() -> None:
    bench = Bench()
    bench.remote.note_stall()
    assert bench.link.calls == ["do not read"]
    sent = len(bench.link.sent)
    response = Message(code=CONTENT, token=b"t")
    response.remote = bench.remote
    assert bench.pool.send_message(response, None) is not None
    assert len(bench.link.sent) == sent
    bench.remote.note_flow()
    assert bench.link.calls == ["do not read", "read on"]
    assert bench.link.sent[sent:] == [encode_unframed(response)]


async def test_who_does_not_read_is_not_waited_for() -> None:
    bench = Bench()
    bench.remote.note_stall()
    bench.remote.abort("that is enough")
    assert bench.link.calls == ["do not read", "abort"]
    # It can not be helped any more.
    bench.remote.note_flow()
    assert bench.link.calls == ["do not read", "abort"]


async def test_a_busy_peer_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc8323common, "MAX_IN_WORK", 1)
    bench = Bench()
    requests = [encode_unframed(Message(code=GET, token=b"%d" % n)) for n in range(3)]
    for one in (GREETING, *requests, None):
        bench.link.coming.put_nowait(one)
    task = asyncio.create_task(bench.remote.run())
    for number in range(3):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(bench.manager.requests) == number + 1
        response = bench.manager.requests[-1].copy(code=CONTENT)
        response.remote = bench.remote
        bench.pool.send_message(response, None)
    await task
    assert "it is over" in str(bench.remote.end)


async def test_what_is_left_of_a_lost_connection_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc8323common, "MAX_IN_WORK", 1)
    bench = Bench()
    for one in (GREETING, *[encode_unframed(Message(code=GET, token=b"%d" % n)) for n in range(3)]):
        bench.link.coming.put_nowait(one)
    task = asyncio.create_task(bench.remote.run())
    await asyncio.sleep(0)
    bench.link.is_lost = True
    bench.remote.note_loss()
    bench.link.coming.put_nowait(None)
    await task
    assert len(bench.manager.requests) == 3


async def test_an_orderly_end_of_one_who_does_not_read() -> None:
    bench = Bench()
    bench.remote.note_stall()
    bench.remote._close(True)
    assert bench.link.calls == ["do not read", "part"]


async def test_the_closing_handshake_is_the_end() -> None:
    bench = Bench()
    bench.remote.note_end("the peer has gone", False)
    assert "the peer has gone" in str(bench.remote.end)
    assert bench.link.calls == ["read on", "part"]
    bench.remote.note_end("again", True)
    assert bench.link.calls == ["read on", "part"]


async def test_what_a_peer_did_wrong_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    Bench().remote.note_end("a frame of the wrong kind", True)
    assert "a frame of the wrong kind" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.INFO]


async def test_a_lost_link_is_left_alone() -> None:
    bench = Bench()
    bench.link.is_lost = True
    bench.remote._close(True)
    assert bench.link.calls == []


# The pool's links


async def test_the_oldest_handshake_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "MAX_OPENING", 1)
    bench = Bench()
    links: list[Any] = [FakeLink() for _ in range(2)]
    for link in links:
        bench.pool.link_made(link)
    assert [link.calls for link in links] == [["abort"], []]
    own: Any = FakeLink()
    own.is_server = False
    bench.pool.link_made(own)
    assert links[1].calls == []
    for link in (*links, own):
        bench.pool.link_lost(link)
    assert not bench.pool._alive
    assert not bench.pool._opening


async def test_there_is_no_room_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_CONNECTIONS", 1)
    bench = Bench()
    # It is used, so that it does not have to go.
    bench.remote.signaling.begin(b"t")
    link: Any = FakeLink()
    await bench.pool._serve("coap+ws", link)
    assert link.calls == ["abort"]
    assert link.sent == []


async def test_the_host_header_gives_the_name() -> None:
    bench = Bench()
    for host, name in (
        ("CoAP.example", "coap.example"),
        ("coap.example:443", "coap.example"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
    ):
        link: Any = FakeLink()
        link.host = host
        link.coming.put_nowait(None)
        await bench.pool._serve("coaps+ws", link)
        assert link.user.uri_base_local == f"coaps+ws://{name}"


# Errors


def test_what_is_missing_is_told() -> None:
    missing = LibraryMissing()
    assert isinstance(missing, ImportError)
    assert isinstance(missing, error.NoRequestInterface)
    assert "websockets" in str(missing)
    assert missing.extra_help() == 'Install it: pip install "aiocoap[ws]"'


def failure(problem: OSError, scheme: str = "coap+ws") -> error.NetworkError:
    key = ws.PoolKey(scheme, "h.example")
    return Bench().pool._failure_of(Origin("h.example", key.port), key, problem)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ConnectionRefusedError(111, "Connect call failed"), "Connection refused"),
        (lambda: TimeoutError("timed out during opening handshake"), "timed out"),
    ],
)
async def test_what_the_system_says(make: Callable[[], OSError], text: str) -> None:
    assert text in str(failure(make()))


async def test_what_tls_says() -> None:
    import ssl

    problem = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    problem.reason = "WRONG_VERSION_NUMBER"
    told = failure(problem, "coaps+ws")
    assert "h.example:443 over WebSockets: what answers there speaks no TLS" in str(told)
    assert "the scheme is coap+ws" in str(told.extra_help())
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    untrusted.verify_message, untrusted.verify_code = "self-signed certificate", 18
    told = failure(untrusted, "coaps+ws")
    assert str(told).endswith("its certificate is not trusted (self-signed certificate)")
    assert '{"coaps+ws://h.example/*": {"tlscert"' in str(told.extra_help())

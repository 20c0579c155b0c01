"""The sequence diagrams of RFC 8323 between client and server, both roles; its sections 5 and 7.

In tests of the server, the script plays the client; in tests of the client, the server. Figures
13 and 14 are BERT; their payload sizes come about by what the other end says that it takes, which
is changed on the way (section 5.3: a CSM may be sent at any time). Our client does not send more
at a time than it began with, so that the second step of figure 14 takes it two. Figure 5 is the
example of a message, 11 and 12 are Ping and Pong. Those of appendix A are WebSockets' and proxies'.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiocoap import BAD_REQUEST, CHANGED, CONTENT, CONTINUE, GET, PUT, VALID, Message
from aiocoap.error import RemoteServerShutdown
from aiocoap.numbers.codes import ABORT, CSM, PING, PONG, RELEASE
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import ObservableResource, Resource, Site
from aiocoap.sansio.framing import encode_frame
from tests.streams import Peer, Streams, stream_message

BERT = 7
STATUS, OPTIONS = ("status",), ("options",)
SERVER = "coap+tcp://192.0.2.1"


class Generous(TransportTuning):
    """Takes what the figures' ends take."""

    MAX_MESSAGE_SIZE = 1 << 20


def body(size: int) -> bytes:
    """Return bytes that are different from block to block."""
    return b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1))[:size]


def takes(payload: int) -> list[tuple[int, bytes]]:
    """Return the options of a CSM by which payloads are of that size."""
    return [(2, (payload + 128).to_bytes(3, "big")), (4, b"")]


class Stored(Resource):
    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self.content = content

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.content)

    async def render_put(self, request: Message) -> Message:
        self.content = request.payload
        return Message(code=CHANGED)


class Thermometer(ObservableResource):
    reading = b"18.5 Cel"

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.reading, content_format=0)

    def become(self, reading: bytes) -> None:
        self.reading = reading
        self.updated_state()


def site(**resources: Resource) -> Site:
    made = Site()
    for name, resource in resources.items():
        made.add_resource([name], resource)
    return made


# Section 3.2, figure 5: a message


def test_figure_5_server() -> None:
    with Streams(site()) as streams:
        peer = streams.accept()
        # A 2.03 response that nobody waits for is ignored.
        peer.send_raw(bytes.fromhex("01437f"))
        peer.quiet()
        peer.send(PING)
        peer.expect(PONG)


def test_figure_5_client() -> None:
    with Streams() as streams:
        request = streams.request(Message(code=GET, uri=SERVER, etags=[b"e"]))
        peer = streams.connection()
        asked = peer.expect(GET, etags=(b"e",))
        peer.send_raw(bytes((len(asked.token), 0x43)) + asked.token)
        assert streams.result(request).code is VALID


# Section 5.4, figures 11 and 12: Ping and Pong


def test_figure_11_server() -> None:
    """The context is asked; figure 12 is its answer."""
    with Streams() as streams:
        peer = streams.accept()
        peer.send_raw(bytes.fromhex("01e242"))
        assert peer.expect(PONG, token=b"\x42", raw=[])


def test_figure_11_client() -> None:
    """The context asks."""
    with Streams(tuning=Generous) as streams:
        peer = streams.accept()

        async def ask() -> None:
            await streams.server_tokens.ping(peer.remote)

        asked = streams.clock.loop.create_task(ask())
        streams.clock.settle()
        ping = peer.expect(PING)
        assert not asked.done()
        peer.send(PONG, token=ping.token)
        assert asked.done()


# Section 6, figures 13 and 14: BERT


def test_figure_13_server() -> None:
    stored = Stored(body(12903))
    with Streams(site(status=stored), tuning=Generous) as streams:
        peer = streams.accept(raw=takes(3072))
        peer.send(GET, token=b"1", uri_path=STATUS)
        first = peer.expect(CONTENT, token=b"1", block2=(0, True, BERT), payload=body(12903)[:3072])
        assert first.opt.etag or first.opt.size2 == 12903
        peer.send(CSM, raw=takes(5120))
        peer.send(GET, token=b"2", uri_path=STATUS, block2=(3, False, BERT))
        peer.expect(CONTENT, token=b"2", block2=(3, True, BERT), payload=body(12903)[3072:][:5120])
        peer.send(GET, token=b"3", uri_path=STATUS, block2=(8, False, BERT))
        peer.expect(CONTENT, token=b"3", block2=(8, False, BERT), payload=body(12903)[8192:])
        assert len(body(12903)[8192:]) == 4711


def test_figure_13_client() -> None:
    with Streams(tuning=Generous) as streams:
        request = streams.request(Message(code=GET, uri=SERVER + "/status"))
        peer = streams.connection(raw=takes(1 << 16))
        start = 0
        for size, block in ((3072, (0, True)), (5120, (3, True)), (4711, (8, False))):
            asked = peer.expect(
                GET, uri_path=STATUS, block2=(block[0], False, BERT) if start else None
            )
            peer.send(
                CONTENT,
                token=asked.token,
                block2=(*block, BERT),
                payload=body(12903)[start : start + size],
            )
            start += size
        assert streams.result(request).payload == body(12903)


def test_figure_14_server() -> None:
    stored = Stored()
    with Streams(site(options=stored), tuning=Generous) as streams:
        peer = streams.accept(raw=takes(1 << 16))
        start = 0
        for size, block, code in (
            (8192, (0, True, BERT), CONTINUE),
            (16384, (8, True, BERT), CONTINUE),
            (5683, (24, False, BERT), CHANGED),
        ):
            peer.send(
                PUT,
                token=b"%d" % start,
                uri_path=OPTIONS,
                block1=block,
                payload=body(30259)[start : start + size],
            )
            peer.expect(code, token=b"%d" % start, block1=block)
            start += size
        assert stored.content == body(30259)


def test_figure_14_client() -> None:
    with Streams(tuning=Generous) as streams:
        request = streams.request(Message(code=PUT, uri=SERVER + "/options", payload=body(30259)))
        peer = streams.connection(raw=takes(8192))
        start = 0
        for size, block, code in (
            (8192, (0, True, BERT), CONTINUE),
            (8192, (8, True, BERT), CONTINUE),
            (8192, (16, True, BERT), CONTINUE),
            (5683, (24, False, BERT), CHANGED),
        ):
            sent = peer.expect(
                PUT, uri_path=OPTIONS, block1=block, payload=body(30259)[start : start + size]
            )
            peer.send(CSM, raw=takes(16384))
            peer.send(code, token=sent.token, block1=block)
            start += size
        assert streams.result(request).code is CHANGED


def test_without_bert_blocks_are_plain_server() -> None:
    """Section 5.3.2: BERT takes both of the options."""
    stored = Stored(body(2500))
    for raw in ([(4, b"")], [(2, b"\x10\x00")], []):
        with Streams(site(status=stored), tuning=Generous) as streams:
            peer = streams.accept(raw=raw)
            peer.send(GET, uri_path=STATUS)
            peer.expect(CONTENT, block2=(0, True, 6), payload=body(1024))
            peer.send(GET, uri_path=STATUS, block2=(1, False, 6))
            peer.expect(CONTENT, block2=(1, True, 6))


def test_whoever_was_told_may_send_bert_blocks() -> None:
    """Section 5.3.2: what counts is our CSM; what the peer's says is about blocks for the peer."""
    stored = Stored(body(2500))
    with Streams(site(status=stored)) as streams:
        peer = streams.accept()
        # Section 6: in control usage, it says that it can deal with such, and is answered by less.
        peer.send(GET, uri_path=STATUS, block2=(0, False, BERT))
        peer.expect(CONTENT, block2=(0, True, 6), payload=body(1024))
        peer.send(PUT, uri_path=STATUS, block1=(0, True, BERT), payload=body(4096))
        peer.expect(CONTINUE, block1=(0, True, 6))
        peer.send(PUT, uri_path=STATUS, block1=(4, False, BERT), payload=body(5500)[4096:])
        peer.expect(CHANGED)
        assert stored.content == body(5500)


def test_whoever_was_not_told_may_send_no_bert_blocks() -> None:
    class Frugal(TransportTuning):
        MAX_MESSAGE_SIZE = 1152

    with Streams(site(status=Stored()), tuning=Frugal) as streams:
        peer = streams.accept(raw=takes(16384))
        peer.send(PUT, uri_path=STATUS, block1=(0, True, BERT), payload=body(1024))
        peer.expect(BAD_REQUEST)


def test_without_bert_blocks_are_plain_client() -> None:
    with Streams(tuning=Generous) as streams:
        request = streams.request(Message(code=PUT, uri=SERVER + "/options", payload=body(1500)))
        peer = streams.connection()
        for block, code in (((0, True, 6), CONTINUE), ((1, False, 6), CHANGED)):
            sent = peer.expect(PUT, block1=block)
            peer.send(code, token=sent.token, block1=block)
        assert streams.result(request).code is CHANGED


# Section 7.3: who is there


def test_observers_need_not_confirm_that_they_are_there() -> None:
    """The connection is there or not; RFC 7641 section 4.5 is about datagrams."""
    thermometer = Thermometer()
    with Streams(site(temperature=thermometer)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"o", uri_path=["temperature"], observe=0)
        peer.expect(CONTENT, token=b"o")
        peer.quiet(3 * 86400)
        thermometer.become(b"19.2 Cel")
        peer.expect(CONTENT, token=b"o", payload=b"19.2 Cel")


# Section 3.3 and 5.3: the first messages


def test_a_client_need_not_wait_for_the_servers_csm() -> None:
    """Section 3.3: it may send right after its own."""
    with Streams(site(options=Stored(b"here"))) as streams:
        peer = streams.accept(greets=False)
        peer.send_raw(
            encode_frame(stream_message(CSM))
            + encode_frame(stream_message(GET, token=b"t", uri_path=OPTIONS))
        )
        peer.expect(CSM)
        peer.expect(CONTENT, token=b"t", payload=b"here")


def test_the_csm_goes_out_before_anything_has_come() -> None:
    with Streams() as streams:
        for peer in (streams.accept(greets=False), client(streams)):
            peer.expect(CSM, token=b"", payload=b"")
            peer.quiet(2)


def client(streams: Streams) -> Peer:
    """Have a connection opened."""
    streams.request(Message(code=GET, uri=SERVER))
    return streams.connection(greets=False)


def test_something_else_than_a_csm() -> None:
    with Streams(site()) as streams:
        for peer in (streams.accept(greets=False), client(streams)):
            peer.expect(CSM)
            peer.send(GET)
            peer.expect(ABORT)
            peer.expect_closed()


# Sections 5.4 to 5.6


def test_custody_server() -> None:
    """Section 5.4.1."""
    done = asyncio.Event()

    class Slow(Resource):
        async def render_get(self, request: Message) -> Message:
            await done.wait()
            return Message(payload=b"done")

    with Streams(site(slow=Slow())) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"g", uri_path=["slow"])
        peer.send(PING, token=b"p", raw=[(2, b"")])
        peer.quiet(30)
        done.set()
        peer.expect(CONTENT, token=b"g")
        peer.expect(PONG, token=b"p", raw=[(2, b"")])


def test_release_server() -> None:
    """Section 5.5: the client releases; what it asked for before is answered, then it ends."""
    with Streams(site(options=Stored(b"here"))) as streams:
        peer = streams.accept()
        peer.send_raw(
            encode_frame(stream_message(GET, token=b"g", uri_path=OPTIONS))
            + encode_frame(stream_message(RELEASE))
        )
        peer.expect(CONTENT, token=b"g", payload=b"here")
        peer.expect_closed()


def test_release_client() -> None:
    """Section 5.5: the server releases, and says where to go."""
    with Streams() as streams:
        request = streams.request(Message(code=GET, uri=SERVER))
        peer = streams.connection()
        asked = peer.expect(GET)
        peer.send(RELEASE, raw=[(2, b"192.0.2.2:5000"), (4, b"\x0a")])
        peer.send(CONTENT, token=asked.token, payload=b"the last")
        assert streams.result(request).payload == b"the last"
        peer.expect_closed()
        request = streams.request(Message(code=GET, uri=SERVER))
        peer = streams.connection()
        assert streams.dialled[-1] == ("192.0.2.2", 5000)
        peer.send(CONTENT, token=peer.expect(GET).token, payload=b"the first")
        assert streams.result(request).payload == b"the first"


def test_abort_server() -> None:
    """Section 5.6."""
    with Streams() as streams:
        peer = streams.accept()
        peer.send_raw(bytes.fromhex("2001b574"))
        assert peer.expect_abort().payload.decode().isprintable()


def test_abort_client() -> None:
    with Streams() as streams:
        request = streams.request(Message(code=GET, uri=SERVER))
        peer = streams.connection()
        peer.expect(GET)
        peer.send(ABORT, payload="zu viel für heute".encode())
        with pytest.raises(RemoteServerShutdown, match="zu viel für heute"):
            streams.result(request)


# Section 7: observing


def observing(streams: Streams) -> tuple[Any, list[Any], Peer, bytes]:
    """Have something observed; return the request, what is told, the server's end, the token."""
    request = streams.request(Message(code=GET, uri=SERVER + "/temperature", observe=0))
    peer = streams.connection()
    asked = peer.expect(GET, observe=0, uri_path=("temperature",))
    told: list[Any] = []
    request.observation.register_callback(lambda message: told.append(message.payload))
    request.observation.register_errback(told.append)
    peer.send(CONTENT, token=asked.token, observe=0, payload=b"18.5 Cel")
    assert streams.result(request).payload == b"18.5 Cel"
    return request, told, peer, asked.token


def test_sequence_values_are_ignored_client() -> None:
    """Section 7.1: they may be empty, and go wherever they like."""
    with Streams() as streams:
        request, told, peer, token = observing(streams)
        for n, value in enumerate((b"", b"", b"\x05", b"\x03", b"", b"\xff\xff\xff", b"\x01")):
            peer.send(CONTENT, token=token, payload=b"%d" % n, raw=[(6, value)])
        assert told == [b"%d" % n for n in range(7)]
        request.observation.cancel()
        peer.expect(GET, token=token, observe=1)


def test_cancellation_client() -> None:
    """Section 7.4: by a GET with the same token and Observe 1; a Reset there is none."""
    with Streams() as streams:
        request, told, peer, token = observing(streams)
        request.observation.cancel()
        peer.expect(GET, token=token, observe=1, uri_path=("temperature",))
        # On its way before the server knew.
        peer.send(CONTENT, token=token, observe=0, payload=b"19.2 Cel")
        peer.send(CONTENT, token=token, payload=b"19.2 Cel")
        peer.quiet()
        assert b"19.2 Cel" not in told


def test_the_loss_of_the_connection_client() -> None:
    """Whoever observes goes on over a new connection, some time later."""
    with Streams() as streams:
        request, told, peer, _ = observing(streams)
        peer.close()
        assert streams.clock.wait_for(lambda: bool(streams.opened), 30)
        new = streams.connection()
        again = new.expect(GET, observe=0, uri_path=("temperature",))
        new.send(CONTENT, token=again.token, observe=0, payload=b"20.0 Cel")
        assert told == [b"20.0 Cel"]
        request.observation.cancel()
        new.expect(GET, token=again.token, observe=1)


def test_notifications_server() -> None:
    thermometer = Thermometer()
    with Streams(site(temperature=thermometer)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"\x4a", uri_path=["temperature"], observe=0)
        first = peer.expect(CONTENT, token=b"\x4a", payload=b"18.5 Cel")
        assert first.opt.observe is not None
        for reading in (b"19.2 Cel", b"19.7 Cel"):
            thermometer.become(reading)
            peer.expect(CONTENT, token=b"\x4a", payload=reading)
        peer.quiet(3600)
        thermometer.become(b"18.7 Cel")
        peer.expect(CONTENT, token=b"\x4a", payload=b"18.7 Cel")


def test_cancellation_server() -> None:
    thermometer = Thermometer()
    with Streams(site(temperature=thermometer)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"\x4a", uri_path=["temperature"], observe=0)
        peer.expect(CONTENT, token=b"\x4a")
        peer.send(GET, token=b"\x4a", uri_path=["temperature"], observe=1)
        peer.expect(CONTENT, token=b"\x4a", observe=None)
        thermometer.become(b"19.2 Cel")
        peer.quiet(10)
        assert not streams.server_tokens.incoming_requests


@pytest.mark.parametrize("how", ["close", "break", "abort", "release", "time"])
def test_the_end_of_the_connection_server(how: str) -> None:
    """Section 7.4: it is the end of its observations, and of no others."""

    class Watchful(TransportTuning):
        KEEPALIVE_INTERVAL = 60.0

    thermometer = Thermometer()
    with Streams(site(temperature=thermometer), tuning=Watchful) as streams:
        peer, other = streams.accept(), streams.accept()
        for one in (peer, other):
            one.send(GET, token=b"\x4a", uri_path=["temperature"], observe=0)
            one.expect(CONTENT, token=b"\x4a")
        if how == "close":
            peer.close()
        elif how == "break":
            peer.close(ConnectionResetError(104, "reset"))
        elif how == "abort":
            peer.send(ABORT)
        elif how == "release":
            peer.send(RELEASE)
            streams.clock.settle()
        else:
            for _ in range(3):
                streams.clock.advance(50)
                other.send(PONG)
            assert peer.wire.ended
        assert len(streams.server_tokens.incoming_requests) == 1
        other.inbox.clear()
        other._read()
        other.inbox.clear()
        thermometer.become(b"19.2 Cel")
        other.expect(CONTENT, payload=b"19.2 Cel")

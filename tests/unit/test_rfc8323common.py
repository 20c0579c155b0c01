"""Connections, whatever they are made of: pooled, kept, released, and held to their bounds."""

from __future__ import annotations

import asyncio
import doctest
from typing import Any

import pytest

from aiocoap.error import (
    AnonymousHost,
    Error,
    NetworkError,
    NotImplemented,
    RemoteServerShutdown,
    RequestTimedOut,
)
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    ABORT,
    BAD_OPTION,
    CHANGED,
    CONTENT,
    CSM,
    EMPTY,
    GET,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    PING,
    PONG,
    POST,
    RELEASE,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import Resource
from aiocoap.sansio.framing import encode_frame
from aiocoap.transports import connectionpool, rfc8323common
from aiocoap.transports.rfc8323common import RFC8323Remote
from tests import streams as streams_module
from tests.streams import Peer, Streams, stream_message
from tests.unit.stream_parts import URI, Caller, Observed, Slow, get, site, uint


def test_the_examples_of_what_tests_streams() -> None:
    result = doctest.testmod(streams_module)
    assert result.attempted > 5
    assert result.failed == 0


# Requests to an origin share a connection (section 3.3)


# The loss of a connection


def test_loss_fails_what_is_under_way_at_once() -> None:
    with Streams() as streams:
        requests = [streams.request(get()) for _ in range(3)]
        peer = streams.connection()
        for _ in range(3):
            peer.expect(GET)
        now = streams.clock.now
        peer.close()
        for request in requests:
            with pytest.raises(NetworkError, match=r"192\.0\.2\.1: the peer has closed"):
                streams.result(request, within=0)
        assert streams.clock.now == now


def test_loss_ends_observations_at_the_server() -> None:
    observed = Observed()
    with Streams(site(o=observed)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"o", observe=0, uri_path=["o"])
        peer.expect(CONTENT, payload=b"0")
        assert streams.server_tokens.incoming_requests
        peer.close()
        assert not streams.server_tokens.incoming_requests
        observed.change(b"1")
        streams.clock.settle()


def test_answers_to_who_has_gone() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"s", uri_path=["s"])
        peer.close()
        slow.answer()
        streams.clock.settle()
        assert not streams.server_tokens.incoming_requests


def test_requests_to_who_has_gone() -> None:
    with Streams(site()) as streams:
        peer = streams.accept()
        remote = peer.remote
        peer.close()
        message = Message(code=GET)
        message.remote = remote
        with pytest.raises(Error):
            streams.result(streams.request(message))
        # Whoever holds the connection below that.
        message.token = b"x"
        sent: list[Any] = []
        streams.server_tokens.dispatch_error = lambda *told: sent.append(told)  # type: ignore[method-assign]
        assert remote.send(message) is None
        assert remote.ping(None) is None
        assert sent == []
        streams.clock.settle()
        assert sent == [(remote.end, remote)] * 2


# Time


def test_accepted_connections_may_be_idle() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.quiet(5000)
        peer.send(GET, token=b"a")
        peer.expect(NOT_FOUND, token=b"a")


class Keepalive(TransportTuning):
    KEEPALIVE_INTERVAL = 20.0


def test_keepalive() -> None:
    with Streams(tuning=Keepalive) as streams:
        peer = streams.accept()
        for _ in range(3):
            ping = peer.expect(PING, within=41)
            peer.send(PONG, token=ping.token)
        peer.expect(PING, within=41)
        peer.expect_abort("the peer answered no ping", within=41)


def test_a_message_that_never_ends() -> None:
    """MESSAGE_TIMEOUT, however lively the peer is."""
    with Streams() as streams:
        peer = streams.accept()
        raw = encode_frame(stream_message(GET, payload=bytes(200)))
        for n in range(59):
            peer.send_raw(raw[n : n + 1])
            streams.clock.advance(1)
        peer.expect_abort("did not become complete within 60 seconds", within=62)


# Settings (section 5.3)


def test_what_the_peer_takes() -> None:
    with Streams(site()) as streams:
        peer = streams.accept(greets=False)
        peer.expect(CSM, raw=[(2, uint(64 * 1024 + 128)), (4, b""), (6, uint(65_804))])
        remote = peer.remote
        assert (remote.maximum_block_size_exp, remote.maximum_payload_size) == (6, 1024)
        peer.send(CSM, raw=[(2, uint(8 * 1024 + 128)), (4, b"")])
        assert (remote.maximum_block_size_exp, remote.maximum_payload_size) == (7, 8192)
        peer.send(CSM, raw=[(2, uint(600))])
        assert (remote.maximum_block_size_exp, remote.maximum_payload_size) == (4, 256)


def test_larger_than_what_the_peer_takes() -> None:
    with Streams() as streams:
        request = streams.request(get(payload=bytes(2000)), handle_blockwise=False)
        peer = streams.connection()
        peer.quiet()
        with pytest.raises(Error, match=r"more than the 1152 that 192\.0\.2\.1 takes"):
            streams.result(request)


def test_a_response_larger_than_what_the_peer_takes(caplog: pytest.LogCaptureFixture) -> None:
    class Header(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(location_query=["x" * 200] * 3)

    with Streams(site(h=Header())) as streams:
        peer = streams.accept(raw=[(2, uint(64))])
        peer.send(GET, token=b"h", uri_path=["h"])
        peer.expect(INTERNAL_SERVER_ERROR, token=b"h")
        assert peer.remote.signaling.in_work == set()
        # What is as small as can be is sent to whoever takes nothing at all.
        peer.send(GET, token=bytes(100), uri_path=["h"])
        peer.expect(INTERNAL_SERVER_ERROR, token=bytes(100))


# Signaling never gets to a resource


def test_signaling_never_gets_to_a_resource() -> None:
    class Everything(Resource):
        async def render(self, request: Message) -> Message:
            raise AssertionError("something came")

        needs_blockwise_assembly: Any = lambda self, request: False

    seen: list[Message] = []
    with Streams(Everything()) as streams:  # type: ignore[arg-type]
        process = streams.server_tokens.process_request
        streams.server_tokens.process_request = (  # type: ignore[method-assign]
            lambda request: (seen.append(request), process(request))[1]
        )
        peer = streams.accept()
        peer.send(CSM)
        peer.send(PING, token=b"p", uri_path=["x"], raw=[])  # Uri-Path is critical
        peer.expect_abort("critical")
        for code in (0b111_00110, 0b111_11111, RELEASE):
            peer = streams.accept()
            peer.send(code)
            peer.quiet()
        for code in (0b001_00001, 0b110_00000):
            peer = streams.accept()
            peer.send(code)
            peer.expect_abort("have no meaning")
        peer = streams.accept()
        peer.send(ABORT, payload=b"enough")
        peer.expect_closed("abort")
        assert seen == []


def test_requests_before_the_csm() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        for code in (GET, CONTENT, PING):
            peer = streams.accept(greets=False)
            peer.expect(CSM)
            peer.send(code, uri_path=["s"])
            peer.expect_abort("the first message has to be a CSM")
        assert slow.seen == []


def test_empty_messages_are_ignored() -> None:
    with Streams(site()) as streams:
        peer = streams.accept(greets=False)
        peer.expect(CSM)
        peer.send(EMPTY)
        peer.send(CSM)
        peer.send(EMPTY)
        peer.send(GET)
        peer.expect(NOT_FOUND)


def test_unknown_critical_options() -> None:
    with Streams(site(s=Slow())) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"a", uri_path=["s"], raw=[(65001, b"x")])
        peer.expect(BAD_OPTION, token=b"a")
        # It is one request only that is refused.
        peer.send(GET, token=b"b")
        peer.expect(NOT_FOUND, token=b"b")


def test_unknown_critical_options_of_a_csm() -> None:
    with Streams() as streams:
        peer = streams.accept(greets=False)
        peer.expect(CSM)
        peer.send(CSM, raw=[(3, b"")])
        abort = peer.expect_abort("option 3")
        assert abort.opt.raw_items() == [(2, b"\x03")]


def test_unknown_critical_options_of_a_response() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        asked = peer.expect(GET)
        peer.send(CONTENT, token=asked.token, raw=[(65001, b"x")])
        peer.quiet()
        # The server takes it for delivered, and will not send another one.
        assert isinstance(request.response.exception(), NotImplemented)
        assert not peer.wire.ended


def test_responses_that_nobody_waits_for() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.send(CONTENT, token=b"what")
        peer.quiet()
        assert not peer.wire.ended


# Ping and Pong (section 5.4)


def test_pings_of_the_peer() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        peer.send(PING, token=b"1")
        peer.expect(PONG, token=b"1", raw=[])
        peer.send(PING, token=b"2", raw=[(2, b"")])
        peer.expect(PONG, token=b"2", raw=[(2, b"")])
        peer.send(GET, token=b"s", uri_path=["s"])
        peer.send(PING, token=b"3", raw=[(2, b"")])
        peer.send(PING, token=b"4")
        peer.expect(PONG, token=b"4", raw=[])
        peer.quiet(100)
        slow.answer()
        peer.expect(CONTENT, token=b"s")
        peer.expect(PONG, token=b"3", raw=[(2, b"")])


def test_custody_of_a_request_that_is_not_answered() -> None:
    """A response that No-Response suppresses ends the work on it, too."""
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        peer.send(POST, token=b"s", uri_path=["s"], no_response=26)
        peer.send(PING, token=b"p", raw=[(2, b"")])
        peer.quiet(1)
        slow.answer()
        peer.expect(PONG, token=b"p")
        assert peer.remote.signaling.in_work == set()


def ping(streams: Streams, remote: Any) -> asyncio.Task[None]:
    made = streams.clock.loop.create_task(streams.server_tokens.ping(remote))
    streams.clock.settle()
    return made


def test_pings_of_our_own() -> None:
    with Streams() as streams:
        peer = streams.accept()
        first, second = ping(streams, peer.remote), ping(streams, peer.remote)
        peer.expect(PING)
        peer.expect(PING)
        peer.send(PONG)
        assert first.done()
        assert not second.done()
        peer.send(PONG)
        assert second.done()
        # One too many does no harm.
        peer.send(PONG)
        streams.clock.run(asyncio.wait_for(first, 1))


def test_pings_that_are_not_waited_for_any_more() -> None:
    with Streams() as streams:
        peer = streams.accept()
        first, second = ping(streams, peer.remote), ping(streams, peer.remote)
        first.cancel()
        streams.clock.settle()
        peer.send(PONG)
        assert not second.done()
        peer.send(PONG)
        assert second.done()
        peer.expect(PING)
        peer.expect(PING)


def test_pings_and_the_loss_of_the_connection() -> None:
    with Streams() as streams:
        peer = streams.accept()
        waiting = ping(streams, peer.remote)
        peer.close()
        with pytest.raises(RemoteServerShutdown):
            streams.clock.run(asyncio.wait_for(waiting, 1))
        streams.client_tokens, streams.server_tokens = streams.server_tokens, streams.client_tokens
        with pytest.raises(Error):
            # Nobody answers, and nobody is there.
            streams.clock.run(asyncio.wait_for(ping(streams, peer.remote), 1000))


# Release (section 5.5)


def test_release_of_the_peer_lets_requests_finish() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"1", uri_path=["s"])
        peer.send_raw(
            encode_frame(stream_message(GET, token=b"2", uri_path=["s"]))
            + encode_frame(stream_message(RELEASE))
        )
        peer.quiet(10)
        slow.answer(b"one")
        peer.expect(CONTENT, token=b"1", payload=b"one")
        peer.quiet(10)
        slow.answer(b"two")
        peer.expect(CONTENT, token=b"2", payload=b"two")
        peer.expect_closed()


def test_release_of_the_peer_lets_answers_wait_until_they_are_read() -> None:
    slow = Slow()
    with Streams(site(slow=slow)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"t", uri_path=["slow"])
        peer.send(RELEASE)
        peer.wire.stall()
        peer.remote._send_bytes(encode_frame(stream_message(0)) * 40_000)
        slow.answer()
        streams.clock.settle()
        assert not peer.wire.ended
        peer.wire.flow()
        for _ in range(40_000):
            peer.expect(0)
        peer.expect(CONTENT, token=b"t", payload=b"done")
        peer.expect_closed()


def test_release_of_an_idle_connection() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.send(RELEASE)
        peer.expect_closed()


def test_release_lets_our_requests_finish() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        asked = peer.expect(GET)
        peer.send(RELEASE)
        peer.quiet(5)
        # Others go by a new connection.
        other = streams.request(get())
        new = streams.connection()
        new.send(CONTENT, token=new.expect(GET).token, payload=b"new")
        assert streams.result(other).payload == b"new"
        peer.send(CONTENT, token=asked.token, payload=b"old")
        assert streams.result(request).payload == b"old"
        peer.expect_closed()
        assert len(streams.client.connections) == 1


# Abort (section 5.6)


def test_abort_of_the_peer() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        peer.expect(GET)
        peer.send(ABORT, payload=b"out of memory")
        with pytest.raises(RemoteServerShutdown, match="aborted the connection: out of memory"):
            streams.result(request)
        peer.expect_closed("abort")


def test_abort_of_our_own() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.remote.abort("enough", 4)
        abort = peer.expect_abort("enough")
        assert abort.opt.raw_items() == [(2, b"\x04")]
        peer.remote.abort()
        peer.quiet()
        other = streams.accept()
        other.remote.abort()
        other.expect_abort("the connection can not go on")


def test_last_words_that_are_not_read() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.wire.stall()
        peer.remote.abort("enough")
        assert not peer.wire.is_lost
        streams.clock.advance(TransportTuning.RELEASE_TIMEOUT + 0.1)
        assert peer.wire.ended == "abort"
        assert peer.wire.is_lost


# Bounds


def test_too_many_requests_of_one_peer_are_not_read() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        for n in range(rfc8323common.MAX_IN_WORK):
            assert peer.wire.is_reading
            peer.send(GET, token=b"%d" % n, uri_path=["s"])
        assert not peer.wire.is_reading
        while not peer.wire.is_reading:
            slow.answer()
            peer.expect(CONTENT)
        assert len(slow.waiting) == rfc8323common.MAX_IN_WORK // 2


def test_many_requests_in_one_piece_are_worked_on_in_turn() -> None:
    """The bound holds, however much the system hands over at once."""
    slow = Slow()
    most = rfc8323common.MAX_IN_WORK
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        frames = [
            encode_frame(stream_message(GET, token=b"%d" % n, uri_path=["s"]))
            for n in range(4 * most)
        ]
        raw = b"".join(frames)
        peer.send_raw(raw)
        answered = 0
        while answered < len(frames):
            assert 0 < len(slow.waiting) <= most
            assert len(peer.remote.signaling.in_work) <= most
            slow.answer()
            peer.expect(CONTENT, token=b"%d" % answered)
            answered += 1
        assert peer.wire.is_reading
        assert streams.server._kept == 0
        peer.send(PING)
        peer.expect(PONG)


def test_what_waits_to_be_worked_on_goes_with_the_connection() -> None:
    slow = Slow()
    most = rfc8323common.MAX_IN_WORK
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        raw = b"".join(
            encode_frame(stream_message(GET, token=b"%d" % n, uri_path=["s"]))
            for n in range(2 * most)
        )
        peer.send_raw(raw)
        peer.close()
        for _ in range(most):
            slow.answer()
        streams.clock.settle()
        assert len(slow.seen) == most
        assert slow.waiting == []
        assert streams.server._kept == 0


def test_who_is_not_read_from_can_not_finish_a_message() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        for n in range(rfc8323common.MAX_IN_WORK - 1):
            peer.send(GET, token=b"%d" % n, uri_path=["s"])
        last = encode_frame(stream_message(GET, token=b"last", uri_path=["s"]))
        peer.send_raw(last + last[:3])
        assert not peer.wire.is_reading
        streams.clock.advance(300)
        assert not peer.wire.ended
        while not peer.wire.is_reading:
            slow.answer()
            peer.expect(CONTENT)
        # From now on, it can.
        peer.quiet(59)
        peer.expect_abort("did not become complete", within=62)


# A peer that does not read


def stalled(streams: Streams, peer: Peer) -> None:
    """Have a peer read nothing any more, and the system take nothing either."""
    peer.wire.stall()
    peer.wire.write(bytes(streams_module.HIGH_WATER + 1))
    assert peer.wire.kept is not None
    peer.wire.kept.clear()
    assert not peer.wire.is_reading


def reading(streams: Streams, peer: Peer) -> None:
    """Have a peer read again."""
    peer.wire.kept = None
    streams.clock.loop.call_soon(peer.remote.resume_writing)
    streams.clock.settle()


def test_who_does_not_read_gets_the_latest_notification_only() -> None:
    observed = Observed()
    with Streams(site(o=observed)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"o", observe=0, uri_path=["o"])
        peer.expect(CONTENT, payload=b"0")
        stalled(streams, peer)
        for n in range(1, 50):
            observed.change(b"%d" % n)
            streams.clock.settle()
        assert len(peer.remote._waiting) == 1
        assert 0 < streams.server._kept < 100
        reading(streams, peer)
        peer.expect(CONTENT, token=b"o", payload=b"49")
        peer.quiet()
        assert peer.wire.is_reading
        assert streams.server._kept == 0


def test_who_does_not_read_at_all() -> None:
    with Streams() as streams:
        peer = streams.accept()
        stalled(streams, peer)
        streams.clock.advance(59)
        assert not peer.wire.ended
        streams.clock.advance(62)
        assert peer.wire.ended == "abort"


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 1000)
    slow, observed = Slow(), Observed()
    with Streams(site(s=slow, o=observed)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"o", observe=0, uri_path=["o"])
        peer.expect(CONTENT)
        peer.send(GET, token=b"1", uri_path=["s"])
        peer.send(GET, token=b"2", uri_path=["s"])
        stalled(streams, peer)
        slow.answer(bytes(700))
        streams.clock.settle()
        assert not peer.wire.ended
        slow.answer(bytes(700))
        streams.clock.settle()
        assert peer.wire.ended == "abort"
        assert streams.server._kept == 0
        assert not streams.server_tokens.incoming_requests


def test_what_waits_is_bounded_for_notifications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 500)
    observed = Observed()
    with Streams(site(o=observed)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"o", observe=0, uri_path=["o"])
        peer.expect(CONTENT)
        stalled(streams, peer)
        observed.change(bytes(1000))
        streams.clock.settle()
        assert peer.wire.ended == "abort"
        assert not streams.server_tokens.incoming_requests


def test_what_waits_is_bounded_for_the_last_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody below may call back while a message is handed down."""
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 500)
    observed = Observed()
    with Streams(site(o=observed)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"o", observe=0, uri_path=["o"])
        peer.expect(CONTENT)
        stalled(streams, peer)
        observed.updated_state(Message(code=NOT_FOUND, payload=bytes(1000)))
        streams.clock.settle()
        assert peer.wire.ended == "abort"
        assert not streams.server_tokens.incoming_requests


def test_nobody_is_called_back_from_within_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 500)
    with Streams() as streams:
        peer = streams.accept()
        stalled(streams, peer)
        told: list[Any] = []
        streams.server_tokens.dispatch_error = lambda *what: told.append(what)  # type: ignore[method-assign]
        message = Message(code=CONTENT, payload=bytes(1000))
        message.remote = peer.remote
        streams.server.send_message(message, None)
        assert told == []
        streams.clock.settle()
        assert [remote for _, remote in told] == [peer.remote]
        assert peer.wire.ended == "abort"


def test_requests_of_ours_to_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 500)
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        peer.expect(GET)
        stalled(streams, peer)
        second = streams.request(Message(code=POST, uri=URI, payload=bytes(1000)))
        for one in (request, second):
            with pytest.raises(NetworkError):
                streams.result(one)


# No-Response, and requests of either side


def test_no_response() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        peer.send(POST, token=b"1", uri_path=["s"], no_response=2)
        slow.answer()
        peer.quiet(1)
        peer.send(POST, token=b"2", uri_path=["nothing"], no_response=2)
        peer.expect(NOT_FOUND, token=b"2")
        assert peer.remote.signaling.in_work == set()


def test_either_side_may_ask() -> None:
    caller = Caller()
    with Streams(site(call=caller)) as streams:
        caller.context = streams.context
        peer = streams.accept()
        peer.send(POST, token=b"c", uri_path=["call"])
        back = peer.expect(GET, uri_path=("back",))
        peer.send(CONTENT, token=back.token, payload=b"hello")
        peer.expect(CHANGED, token=b"c", payload=b"you say hello")
        # And the other way round: the server asks by the connection of a client.
        slow = Slow()
        caller_site: Any = streams.context.serversite
        caller_site.add_resource(["s"], slow)
        request = streams.request(get())
        server = streams.connection()
        asked = server.expect(GET)
        # Tokens of the two directions have nothing to do with each other.
        server.send(GET, token=asked.token, uri_path=["s"])
        slow.answer(b"ours")
        server.expect(CONTENT, token=asked.token, payload=b"ours")
        server.send(CONTENT, token=asked.token, payload=b"theirs")
        assert streams.result(request).payload == b"theirs"


def test_a_token_that_is_used_again() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        peer = streams.accept()
        peer.send(GET, token=b"s", uri_path=["s"])
        peer.send(GET, token=b"s", uri_path=["s"])
        assert slow.waiting.pop(0).cancelled()
        slow.answer(b"second")
        peer.expect(CONTENT, token=b"s", payload=b"second")
        peer.quiet()
        assert peer.remote.signaling.in_work == set()


# Names


def test_names_of_an_accepted_connection() -> None:
    with Streams() as streams:
        remote = streams.accept().remote
        assert isinstance(remote, RFC8323Remote)
        assert remote.scheme == "coap+tcp"
        assert remote.hostinfo == "192.0.2.7:50000"
        assert remote.hostinfo_local == "192.0.2.99"
        assert remote.uri_base_local == "coap+tcp://192.0.2.99"
        with pytest.raises(AnonymousHost):
            _ = remote.uri_base
        assert not remote.is_multicast
        assert not remote.is_multicast_locally
        assert repr(remote) == (
            "<TcpConnection coap+tcp to 192.0.2.7:50000, <Signaling open, 0 request(s) in work>>"
        )


def test_names_of_an_opened_connection() -> None:
    with Streams() as streams:
        request = streams.request(get("coap+tcp://[2001:db8::1]:7000/x"))
        peer = streams.connection()
        remote = peer.remote
        assert remote.uri_base == "coap+tcp://[2001:db8::1]:7000"
        with pytest.raises(AnonymousHost):
            _ = remote.uri_base_local
        peer.send(CONTENT, token=peer.expect(GET).token)
        assert streams.result(request).get_request_uri() == "coap+tcp://[2001:db8::1]:7000/x"


def test_connections_are_equal_to_themselves_only() -> None:
    with Streams() as streams:
        first, second = streams.accept().remote, streams.accept().remote
        assert first == first
        assert first != second
        assert len({first, second, first}) == 2
        assert first.as_response_address() is first


def test_requests_that_are_not_answered() -> None:
    class Hasty(TransportTuning):
        MAX_LATENCY = 1.0

    with Streams(tuning=Hasty) as streams:
        request = streams.request(get())
        peer = streams.connection()
        peer.expect(GET)
        with pytest.raises(RequestTimedOut):
            streams.result(request, within=1000)
        assert not peer.wire.ended

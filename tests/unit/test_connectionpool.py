"""All connections of one transport: by which one requests go, and which ones are too many."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from aiocoap.error import (
    Error,
    LibraryShutdown,
    NetworkError,
    RemoteServerShutdown,
    ResolutionError,
    TimeoutError,
)
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    CSM,
    GET,
    NOT_FOUND,
    RELEASE,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.sansio.framing import encode_frame
from aiocoap.transports import connectionpool
from aiocoap.transports.connectionpool import Origin
from tests.streams import Streams, stream_message
from tests.unit.stream_parts import Observed, Slow, get, site, uint


def test_connections_are_pooled_by_origin() -> None:
    with Streams() as streams:
        first = streams.request(get())
        peer = streams.connection()
        second = streams.request(get("coap+tcp://192.0.2.1:5683/y"))
        other = streams.request(get("coap+tcp://192.0.2.1:5684/y"))
        assert streams.dialled == [("192.0.2.1", 5683), ("192.0.2.1", 5684)]
        other_peer = streams.connection()
        asked = [peer.expect(GET, uri_path=(path,)) for path in ("x", "y")]
        assert asked[0].token != asked[1].token
        # In any order.
        peer.send(CONTENT, token=asked[1].token, payload=b"second")
        peer.send(CONTENT, token=asked[0].token, payload=b"first")
        other_peer.send(CONTENT, token=other_peer.expect(GET).token, payload=b"other")
        assert [streams.result(r).payload for r in (first, second, other)] == [
            b"first",
            b"second",
            b"other",
        ]
        assert streams.result(first).remote is peer.remote
        assert repr(streams.client) == "<TCPClient of coap+tcp, 2 connection(s)>"
        assert streams.client.owns(peer.remote)
        assert not streams.server.owns(peer.remote)


def test_names_are_pooled_as_they_stand_in_the_uri() -> None:
    with Streams() as streams:
        streams.names["host.example"] = ["192.0.2.5"]
        first = streams.request(get("coap+tcp://host.example/x"))
        peer = streams.connection()
        second = streams.request(get("coap+tcp://HOST.example/y"))
        asked = [peer.expect(GET, uri_path=(path,)) for path in ("x", "y")]
        assert streams.dialled == [("192.0.2.5", 5683)]
        for message in asked:
            peer.send(CONTENT, token=message.token)
        remote: Any = streams.result(first).remote
        assert streams.result(second).remote == remote
        assert remote.uri_base == "coap+tcp://host.example"
        assert remote.hostinfo == "host.example"


def test_requests_wait_for_one_connection_together() -> None:
    with Streams() as streams:
        requests = [streams.request(get(f"coap+tcp://192.0.2.1/{n}")) for n in range(3)]
        peer = streams.connection(greets=False)
        peer.expect(CSM)
        peer.quiet()  # as what the peer takes is not known
        peer.send(CSM)
        for n in range(3):
            asked = peer.expect(GET, uri_path=(str(n),))
            peer.send(CONTENT, token=asked.token, payload=b"%d" % n)
        assert [streams.result(r).payload for r in requests] == [b"0", b"1", b"2"]
        assert len(streams.dialled) == 1


def test_who_stops_waiting_does_not_stop_the_others() -> None:
    with Streams() as streams:
        first, second = streams.request(get()), streams.request(get())
        first.response.cancel()
        peer = streams.connection()
        peer.send(CONTENT, token=peer.expect(GET).token, payload=b"here")
        peer.quiet()
        assert streams.result(second).payload == b"here"


def test_a_connection_that_was_lost_is_opened_anew() -> None:
    with Streams() as streams:
        first = streams.request(get())
        peer = streams.connection()
        peer.send(CONTENT, token=peer.expect(GET).token)
        remote: Any = streams.result(first).remote
        peer.close()
        assert remote.is_over
        assert "closed" in repr(remote)
        assert not streams.client.owns(remote)
        # Also for a message that has the former connection as its remote.
        again = Message(code=GET, uri_path=["y"])
        again.remote = remote
        second = streams.request(again)
        new = streams.connection()
        new.send(CONTENT, token=new.expect(GET, uri_path=("y",)).token)
        assert streams.result(second).remote != remote
        assert len(streams.dialled) == 2


def test_nobody_there() -> None:
    with Streams() as streams:
        streams.refusals["192.0.2.1"] = lambda: asyncio.sleep(1000)
        with pytest.raises(TimeoutError, match=r"no connection to 192.0.2.1:5683 within 30 s"):
            streams.result(streams.request(get()), within=31)


def test_who_never_says_what_it_takes() -> None:
    """CSM_TIMEOUT; at both ends."""
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        peer.expect(CSM)
        accepted = streams.accept(greets=False)
        accepted.expect(CSM)
        peer.quiet(9.9)
        for one in (peer, accepted):
            one.expect_abort("no CSM came from the peer")
        with pytest.raises(RemoteServerShutdown, match="no CSM"):
            streams.result(request)


def test_who_says_it_too_late() -> None:
    class Hasty(TransportTuning):
        CONNECT_TIMEOUT = 5.0

    with Streams(tuning=Hasty) as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        peer.expect(CSM)
        with pytest.raises(TimeoutError, match="within 5 s"):
            streams.result(request, within=6)
        peer.expect_closed("abort")
        assert streams.client.connections == {}


def test_a_connection_that_is_there_is_not_waited_for() -> None:
    with Streams() as streams:
        first = streams.request(get())
        peer = streams.connection()
        peer.send(CONTENT, token=peer.expect(GET).token)
        streams.result(first)
        assert streams.client.resolve_now(get()) is peer.remote
        assert streams.clock.run(streams.client.resolve(get())) is peer.remote


def test_the_connection_is_lost_before_the_csm() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        peer.close(ConnectionResetError(104, "Connection reset by peer"))
        with pytest.raises(NetworkError, match="Connection reset by peer"):
            streams.result(request)
        assert streams.client.connections == {}


def test_who_goes_right_after_the_csm_is_connected_to_anew() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        peer.wire.protocol.data_received(encode_frame(stream_message(CSM)))
        peer.wire.protocol.data_received(encode_frame(stream_message(RELEASE)))
        with pytest.raises(RemoteServerShutdown, match="released"):
            streams.result(request)
        again = streams.request(get())
        peer = streams.connection()
        peer.send(CONTENT, token=peer.expect(GET).token, payload=b"here")
        assert streams.result(again).payload == b"here"


def test_who_wants_to_be_elsewhere_from_the_first_moment_is_heard() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        said = stream_message(RELEASE, raw=[(2, b"192.0.2.21:7000")])
        csm = encode_frame(stream_message(CSM))
        peer.wire.protocol.data_received(csm + encode_frame(said))
        with pytest.raises(RemoteServerShutdown, match="released"):
            streams.result(request)
        again = streams.request(get())
        peer = streams.connection()
        assert streams.dialled[1:] == [("192.0.2.21", 7000)]
        peer.send(CONTENT, token=peer.expect(GET).token)
        streams.result(again)


def test_shutdown_while_connecting() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        streams.clock.run(streams.context.shutdown())
        with pytest.raises(Error):
            streams.result(request)
        assert peer.wire.ended


def test_other_schemes_are_not_for_it() -> None:
    with Streams() as streams:
        for scheme in ("coap", "coaps+tcp", "coap+ws"):
            message = get(f"{scheme}://192.0.2.1/")
            assert streams.clock.run(streams.client.resolve(message)) is None
            assert streams.client.resolve_now(message) is None
        # A server opens none.
        assert streams.clock.run(streams.server.resolve(get())) is None
        assert streams.dialled == []


def test_a_connection_of_another_pool() -> None:
    with Streams() as streams:
        peer = streams.accept()
        message = Message(code=GET)
        message.remote = peer.remote
        assert streams.clock.run(streams.client.resolve(message)) is None


def test_many_requests_in_flight() -> None:
    with Streams() as streams:
        requests = [streams.request(get(f"coap+tcp://192.0.2.1/{n}")) for n in range(300)]
        peer = streams.connection()
        asked = [peer.expect(GET) for _ in range(300)]
        for message in reversed(asked):
            peer.send(CONTENT, token=message.token, payload=message.opt.uri_path[0].encode())
        assert [streams.result(r).payload for r in requests] == [b"%d" % n for n in range(300)]


def test_idle_connections_are_released() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        streams.clock.advance(80)
        peer.send(CONTENT, token=peer.expect(GET).token)
        streams.result(request)
        peer.quiet(299)
        peer.expect(RELEASE, within=2)
        peer.expect_closed()


def test_connections_in_use_are_not_idle() -> None:
    class Patient(TransportTuning):
        IDLE_TIMEOUT = 30.0

    with Streams(tuning=Patient) as streams:
        first = streams.request(get())
        peer = streams.connection()
        peer.send(CONTENT, token=peer.expect(GET).token)
        streams.result(first)
        second = streams.request(get())
        asked = peer.expect(GET)
        peer.quiet(80)
        peer.send(CONTENT, token=asked.token)
        streams.result(second)
        # Nor are those that are observed.
        third = streams.request(get(observe=0))
        asked = peer.expect(GET, observe=0)
        peer.send(CONTENT, token=asked.token, observe=0, max_age=10_000)
        streams.result(third)
        peer.quiet(1000)
        third.observation.cancel()
        cancelled = peer.expect(GET, token=asked.token, observe=1)
        peer.send(CONTENT, token=cancelled.token)
        peer.expect(RELEASE, within=100)
        peer.expect_closed()


def released(streams: Streams, **said: Any) -> None:
    """Have the connection to 192.0.2.1 released by the server."""
    request = streams.request(get())
    peer = streams.connection()
    peer.send(CONTENT, token=peer.expect(GET).token)
    streams.result(request)
    peer.send(RELEASE, **said)
    peer.expect_closed()


def refuse() -> None:
    raise ConnectionRefusedError(111, "Connection refused")


def test_hold_off() -> None:
    with Streams() as streams:
        released(streams, raw=[(4, uint(300))])
        with pytest.raises(NetworkError, match="not to be connected to for another 300 seconds"):
            streams.result(streams.request(get()))
        streams.clock.advance(301)
        streams.request(get()).response.cancel()
        streams.clock.settle()
        assert len(streams.dialled) == 2


def test_alternative_addresses() -> None:
    with Streams() as streams:
        streams.refusals["192.0.2.20"] = refuse
        released(streams, raw=[(2, b"192.0.2.20"), (2, b"192.0.2.21:7000"), (4, uint(60))])
        for _ in range(2):
            request = streams.request(get())
            peer = streams.connection()
            assert streams.dialled[1:] == [("192.0.2.20", 5683), ("192.0.2.21", 7000)]
            peer.send(CONTENT, token=peer.expect(GET).token)
            # It is still the same origin.
            remote: Any = streams.result(request).remote
            assert remote.uri_base == "coap+tcp://192.0.2.1"
            del streams.dialled[1:]
            peer.close()
        # Once more, and then it is as if the server had never said it.
        streams.clock.advance(61)
        for expected in ("192.0.2.20", "192.0.2.1"):
            del streams.dialled[1:]
            streams.request(get()).response.cancel()
            streams.connection().close()
            assert streams.dialled[1] == (expected, 5683)


def test_no_alternative_works() -> None:
    with Streams() as streams:
        streams.refusals["192.0.2.20"] = refuse
        released(streams, raw=[(2, b"192.0.2.20"), (2, b"nowhere.example")])
        streams.request(get()).response.cancel()
        streams.clock.settle()
        assert streams.dialled[1:] == [("192.0.2.20", 5683), ("192.0.2.1", 5683)]


def test_wishes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_RELEASED", 2)
    with Streams() as streams:
        for n in range(1, 4):
            request = streams.request(get(f"coap+tcp://192.0.2.{n}/"))
            peer = streams.connection()
            peer.send(CONTENT, token=peer.expect(GET).token)
            streams.result(request)
            peer.send(RELEASE, raw=[(4, uint(1000))])
        assert list(streams.client._wishes) == [
            Origin("192.0.2.2", 5683),
            Origin("192.0.2.3", 5683),
        ]


def test_shutdown_releases_and_answers() -> None:
    slow = Slow()
    with Streams(site(s=slow)) as streams:
        idle, busy = streams.accept(), streams.accept()
        busy.send(GET, token=b"1", uri_path=["s"])
        request = streams.request(get())
        asked = streams.connection()
        asked.expect(GET)
        closing = streams.clock.loop.create_task(streams.context.shutdown())
        streams.clock.settle()
        for peer in (idle, busy, asked):
            peer.expect(RELEASE)
        with pytest.raises(LibraryShutdown):
            streams.result(request)
        asked.expect_closed()
        # New ones are not taken in.
        streams.accept(greets=False).expect_closed("abort")
        idle.close()
        slow.answer(b"in time")
        busy.expect(CONTENT, token=b"1", payload=b"in time")
        busy.close()
        assert streams.clock.wait_for(closing.done, 0.1)
        assert streams.server.connections == {}


def test_shutdown_does_not_wait_for_ever() -> None:
    with Streams() as streams:
        peer = streams.accept()
        before = streams.clock.now
        streams.clock.run(streams.context.shutdown())
        assert streams.clock.now - before <= 2 * TransportTuning.RELEASE_TIMEOUT
        peer.expect(RELEASE)
        peer.expect_closed()


def test_shutdown_and_a_peer_that_does_not_read() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.wire.stall()
        before = streams.clock.now
        streams.clock.run(streams.context.shutdown())
        assert streams.clock.now - before <= 4 * TransportTuning.RELEASE_TIMEOUT
        peer.expect_closed("abort")


def test_the_log_does_not_grow_with_strangers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Streams() as streams:
        for _ in range(100):
            streams.accept().send_raw(b"\x0f\x01\x00\x00")
        assert 2 <= len(caplog.records) <= connectionpool.MAX_LOGGED + 1
        assert "what came is no message" in caplog.messages[0]


def test_room_is_made_for_new_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_CONNECTIONS", 3)
    observed, slow = Observed(), Slow()
    with Streams(site(o=observed, s=slow)) as streams:
        peers = []
        for _ in range(3):
            peers.append(streams.accept())
            streams.clock.advance(1)
        peers[0].send(GET, observe=0, uri_path=["o"])
        peers[0].expect(CONTENT)
        peers[1].send(GET, uri_path=["s"])
        streams.clock.advance(10)
        # Who is of use stays; of the others, who was silent for the longest time goes.
        fourth = streams.accept()
        peers[2].expect(RELEASE)
        peers[2].expect_closed()
        fourth.send(GET, uri_path=["s"])
        # Nobody can go.
        streams.accept(greets=False).expect_closed("abort")
        assert len(streams.server.connections) == 3
        for peer in (peers[0], peers[1], fourth):
            assert not peer.wire.ended


def test_a_connection_that_there_is_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_CONNECTIONS", 1)
    with Streams() as streams:
        first = streams.request(get())
        peer = streams.connection()
        peer.expect(GET)
        second = streams.request(get("coap+tcp://192.0.2.2/"))
        with pytest.raises(NetworkError, match="too many connections"):
            streams.result(second)
        peer.close()
        with pytest.raises(NetworkError):
            streams.result(first)


def test_the_systems_limit_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="needs a system with limits (POSIX)")
    for limit, expected in (
        ((1024, 1 << 20), 1024 - 128),
        ((1 << 20, 1 << 20), connectionpool.MAX_CONNECTIONS),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), connectionpool.MAX_CONNECTIONS),
        ((64, 64), 1),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limit=limit: limit)
        assert connectionpool._connection_limit() == expected
    monkeypatch.setitem(__import__("sys").modules, "resource", None)
    assert connectionpool._connection_limit() == connectionpool.MAX_CONNECTIONS


def test_unfinished_messages_of_all_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_KEPT", 100_000)
    raw = encode_frame(stream_message(GET, payload=bytes(60_000)))
    with Streams(site()) as streams:
        first, second = streams.accept(), streams.accept()
        first.send_raw(raw[:-1])
        first.quiet()
        second.send_raw(raw[:-1])
        second.expect_abort()
        first.send_raw(raw[-1:])
        first.expect(NOT_FOUND)
        # What is not kept any more does not count.
        third = streams.accept()
        third.send_raw(raw[:-1])
        third.quiet()
        third.close()
        assert streams.server._kept == 0


def test_a_name_that_can_not_be_resolved() -> None:
    with Streams() as streams, pytest.raises(ResolutionError, match=r"nowhere\.example"):
        streams.result(streams.request(get("coap+tcp://nowhere.example/")))

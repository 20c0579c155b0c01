"""Connections over WebSockets, on links that only take down what they are told.

What the library makes of the bytes is tested over sockets.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from aiocoap import GET, Message, error
from aiocoap.numbers.codes import ABORT, CONTENT, CSM, RELEASE
from aiocoap.sansio.framing import encode_unframed
from aiocoap.transports import connectionpool, rfc8323common
from aiocoap.transports.ws import PoolKey, WSRemote
from tests.unit.ws_parts import GREETING, LOG, Bench, FakeLink

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

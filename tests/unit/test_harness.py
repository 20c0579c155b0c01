"""The harness itself: what it lets pass would be tested nowhere."""

from __future__ import annotations

import asyncio
import doctest
from typing import Any

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import CHANGED, CONTENT, EMPTY, GET, NOT_FOUND
from aiocoap.numbers.types import ACK, CON, NON
from aiocoap.resource import Resource, Site
from tests import harness
from tests.harness import Clock, Link, Pair, Script, empty_tables


class Slow(Resource):
    async def render_get(self, request: Message) -> Message:
        await asyncio.sleep(1.0)
        return Message(payload=b"slow", content_format=0)


def site() -> Site:
    root = Site()
    root.add_resource(["slow"], Slow())
    return root


def test_the_examples_run() -> None:
    result = doctest.testmod(harness)
    assert result.failed == 0
    assert result.attempted > 5


# The clock


def test_time_jumps_to_what_happens_next() -> None:
    clock = Clock(50.0)
    seen: list[float] = []
    for delay in (3.0, 1.0, 247.0):
        clock.loop.call_later(delay, lambda: seen.append(clock.now))
    clock.advance(2.0)
    assert seen == [51.0]
    assert clock.now == 52.0
    assert clock.wait_for(lambda: len(seen) == 2, 10.0)
    assert clock.now == 53.0
    assert not clock.wait_for(lambda: len(seen) == 5, 10.0)
    assert clock.now == 63.0
    assert clock.run(asyncio.sleep(500, "done")) == "done"
    assert seen == [51.0, 53.0, 297.0]
    assert clock.now == 563.0
    clock.close()


def test_what_never_happens_is_an_error_and_no_endless_loop() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError, match="waits forever"):
        clock.run(_never())
    clock.close()


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


def test_failures_that_nobody_sees_fail_the_test() -> None:
    clock = Clock()

    def fail() -> None:
        raise ValueError("unseen")

    clock.loop.call_soon(fail)
    clock.settle()
    with pytest.raises(AssertionError):
        clock.close()


# Links


def test_a_link_does_the_same_for_the_same_seed() -> None:
    def what(seed: int) -> list[list[float]]:
        link = Link(seed, drop=0.3, duplicate=0.3, delay=1.0, reorder=0.5)
        return [link.delays() for _ in range(100)]

    assert what(1) == what(1) != what(2)
    assert {len(delays) for delays in what(1)} == {0, 1, 2}
    assert all(1.0 <= delay <= 10.0 for delays in what(1) for delay in delays)
    assert {tuple(Link().delays()) for _ in range(50)} == {(0.0,)}


# Pairs


def test_a_pair_of_contexts_over_a_wire() -> None:
    with Pair(site()) as pair:

        async def ask() -> Any:
            return pair.client.context.request(Message(code=GET, uri=f"coap://{Pair.SERVER}/slow"))

        request = pair.clock.run(ask())
        assert pair.drop().message.code is GET
        pair.clock.advance(3.0)
        pair.transfer()
        pair.clock.advance(0.5)
        assert pair.wire[0].message.mtype is ACK
        pair.settle()
        pair.clock.advance(1.0)
        pair.settle()
        assert request.response.result().payload == b"slow"
        assert not empty_tables(pair.server)
        pair.clock.advance(1000.0)
        assert empty_tables(pair.client)
        assert empty_tables(pair.server)


def test_nobody_is_at_other_addresses() -> None:
    with Pair(site(), Link()) as pair:

        async def ask() -> Any:
            return pair.client.context.request(Message(code=GET, uri="coap://[2001:db8::99]/"))

        request = pair.clock.run(ask())
        pair.clock.advance(100.0)
        assert isinstance(request.response.exception(), error.TimeoutError)


# Scripts


def test_a_script_waits_for_what_it_expects() -> None:
    with Script(site()) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=["slow"])
        script.expect(ACK, EMPTY, mid="A", token=b"")
        got = script.expect(
            (CON, NON), {CONTENT, CHANGED}, mid="S", token="t", payload=..., content_format=0
        )
        assert got.time == pytest.approx(1001.0)
        assert got.mtype is CON
        assert got.opt.etag is None
        script.send(ACK, EMPTY, mid="S")
        assert script.mid("S") == got.mid
        script.quiet(1000.0)


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"mtype": CON}, "type"),
        ({"code": CONTENT}, "code"),
        ({"mid": "B"}, "Message ID"),
        ({"mid": 7}, "Message ID"),
        ({"token": "u"}, "token"),
        ({"token": b""}, "token"),
        ({"payload": b"else"}, "payload"),
        ({"payload": ..., "path": "nothing"}, "payload"),
        ({"etag": ...}, "etag"),
        ({"content_format": 50}, "content_format"),
        ({"location_path": ["a"]}, "location_path"),
        ({"peer": "192.0.2.9"}, "destination"),
    ],
)
def test_a_script_says_what_is_different_and_what_went_before(
    expected: dict[str, Any], complaint: str
) -> None:
    root = Site()
    root.add_resource(["nothing"], Nothing())
    script = Script(root)
    script.mid("B")
    script.token("u")
    path = expected.pop("path", "missing")
    script.send(CON, GET, mid="A", token="t", uri_path=[path])
    arguments = {"mtype": ACK, "code": NOT_FOUND if path == "missing" else CONTENT, **expected}
    with pytest.raises(AssertionError, match=complaint) as caught:
        script.expect(**arguments)
    assert "-> [2001:db8::1] CON GET [1002] 746f6b74b76d697373696e67" in str(caught.value) or (
        path == "nothing"
    )
    assert "<- [2001:db8::1] ACK" in str(caught.value)
    script.close()


class Nothing(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message()


def test_a_script_does_not_overlook_what_is_sent_or_missing() -> None:
    script = Script(site())
    with pytest.raises(AssertionError, match="nothing is sent"):
        script.expect(ACK, EMPTY, within=10.0)
    script.send_raw(b"\x40\x00\x00\x01")
    with pytest.raises(AssertionError, match="nothing is expected"):
        script.quiet(1.0)
    script.send_raw(b"\x40\x00\x00\x01")
    with pytest.raises(AssertionError, match="datagram"):
        script.expect_raw(b"\x70\x00\x00\x02")
    with pytest.raises(AssertionError, match="somebody else's"):
        script.send(ACK, EMPTY)
    with pytest.raises(AssertionError, match="nothing is expected"), script:
        script.send_raw(b"\x40\x00\x00\x01")


def test_a_script_plays_several_peers_and_groups() -> None:
    with Script(site()) as script:
        script.send(CON, EMPTY, mid=7, peer="192.0.2.9")
        script.expect_raw(b"\x70\x00\x00\x07", peer="192.0.2.9")
        script.send(CON, EMPTY, mid=7, multicast=True)
        script.quiet(10.0)
        script.send(NON, GET, token="t", uri_path=["slow"], multicast=True)
        script.expect(NON, CONTENT, token="t", within=7.0)


def test_a_client_in_a_script_fails_where_it_should() -> None:
    with Script() as script:
        request = script.request(Message(code=GET, uri=script.uri("/x")))
        with pytest.raises(AssertionError, match="a response is expected"):
            script.result(request)
        sent = script.expect(CON, GET, uri_path=("x",), uri_host=None, observe=None)
        for _ in range(4):
            script.expect_raw(sent.raw, within=30.0)
        with pytest.raises(error.ConRetransmitsExceeded):
            script.result(request, within=50.0)

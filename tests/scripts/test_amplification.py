"""What a server sends to addresses that may be somebody else's (RFC 9175 sections 2.3, 2.4).

The script plays the client, or whoever pretends to be one.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiocoap import (
    ACK,
    CHANGED,
    CON,
    CONTENT,
    CONTINUE,
    EMPTY,
    GET,
    NON,
    NOT_FOUND,
    PUT,
    RST,
    UNAUTHORIZED,
    Message,
)
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import ObservableResource, Resource, Site
from tests.harness import Clock, Floor, Link, Pair, Script

KIB = bytes(range(256)) * 4


class Large(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=KIB)

    async def render_put(self, request: Message) -> Message:
        return Message(code=CHANGED, payload=KIB[:100])


class Slow(Resource):
    async def render_get(self, request: Message) -> Message:
        await asyncio.sleep(1)
        return Message(payload=b"slow")


class Short(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"short")


class Changing(ObservableResource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"0123456789")


class Proving(TransportTuning):
    ADDRESS_PROOF = "all"


async def update(resource: Changing) -> None:
    resource.updated_state()


def script(tuning: Any = Proving) -> Script:
    site = Site()
    site.add_resource(["a"], Large())
    site.add_resource(["slow"], Slow())
    site.add_resource(["b"], Short())
    site.changing = Changing()  # type: ignore[attr-defined]
    site.add_resource(["obs"], site.changing)  # type: ignore[attr-defined]
    return Script(site, tuning=tuning)


def bytes_sent(s: Script, seconds: float) -> int:
    """Let time pass, and return the size of all that is sent meanwhile."""
    out, end = 0, s.clock.now + seconds
    while s._outbox or s.clock.wait_for(lambda: bool(s._outbox), end - s.clock.now):
        out += len(s._next(0, "").raw)
    return out


@pytest.mark.parametrize("mtype", [CON, NON])
def test_six_bytes_for_a_kibibyte_yield_three_times_as_much(mtype: Any) -> None:
    with script() as s:
        s.send(mtype, GET, mid="A", token=b"", uri_path=["a"])
        assert len(s.sent) == 6
        answer = s.expect([ACK, NON], UNAUTHORIZED, token=b"", echo=..., payload=b"")
        assert len(answer.raw) <= 18
        s.quiet(300)


def test_who_repeats_the_echo_gets_everything_and_is_known_for_a_while() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token="t", uri_path=["a"])
        echo = s.expect(ACK, UNAUTHORIZED, mid="A", token="t").message.opt.echo
        s.send(CON, GET, mid="B", token="u", uri_path=["a"], echo=echo)
        s.expect(ACK, CONTENT, mid="B", token="u", payload=KIB)
        s.clock.advance(250)
        s.send(CON, GET, mid="C", token="v", uri_path=["a"])
        s.expect(ACK, CONTENT, mid="C", token="v", payload=KIB)
        s.clock.advance(300)
        s.send(CON, GET, mid="D", token="w", uri_path=["a"])
        s.expect(ACK, UNAUTHORIZED, mid="D", token="w")


def test_the_echo_of_another_is_no_proof() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token="t", uri_path=["a"], peer="[2001:db8::2]")
        echo = s.expect(ACK, UNAUTHORIZED, mid="A", peer="[2001:db8::2]").message.opt.echo
        s.send(CON, GET, mid="B", token="u", uri_path=["a"], echo=echo)
        answer = s.expect(ACK, [UNAUTHORIZED, CONTENT], mid="B", token="u")
        assert len(answer.raw) <= 3 * len(s.sent)


def test_small_blocks_are_served_without_a_proof() -> None:
    with script() as s:
        body, exponent = b"", 6
        while len(body) < len(KIB):
            number = len(body) >> (exponent + 4)
            s.send(
                CON,
                GET,
                token=b"abcd",
                uri_path=["a"],
                block2=(number, False, exponent),
                uri_query=["say=please"],
            )
            answer = s.expect(ACK, CONTENT, token=b"abcd")
            assert len(answer.raw) <= 3 * len(s.sent)
            block = answer.message.opt.block2
            assert block is not None
            assert block.start == len(body)
            exponent = block.size_exponent
            assert len(answer.message.payload) == 16 << exponent
            body += answer.message.payload
        assert body == KIB


def test_what_fits_is_served_as_ever() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token="t", uri_path=["b"])
        s.expect(ACK, CONTENT, mid="A", token="t", payload=b"short")


def test_a_diagnostic_text_is_left_out_rather_than_the_error() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token=b"", uri_path=["x"])
        answer = s.expect(ACK, NOT_FOUND, mid="A", payload=b"")
        assert len(answer.raw) == 4


def test_what_was_done_is_not_asked_for_again() -> None:
    with script() as s:
        s.send(CON, PUT, mid="A", token=b"", uri_path=["a"], payload=b"1")
        raw = s.sent
        assert len(raw) == 8
        s.quiet(1)
        s.send_raw(raw)
        # A block of 16 bytes is more than 24, and less than 48 bytes.
        s.expect(ACK, CHANGED, mid="A", payload=KIB[:16], block2=(0, True, 0))


def test_a_separate_response_is_not_repeated_beyond_that() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token=b"", uri_path=["slow"])
        assert 13 <= bytes_sent(s, 100) <= 3 * len(s.sent)


def test_an_acknowledged_message_id_is_a_proof() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token=b"", uri_path=["slow"])
        s.expect(ACK, EMPTY, mid="A")
        s.expect(CON, CONTENT, mid="S", payload=b"slow", within=2)
        s.send(ACK, EMPTY, mid="S")
        s.send(CON, GET, mid="B", token=b"", uri_path=["a"])
        s.expect(ACK, CONTENT, mid="B", payload=KIB)


@pytest.mark.parametrize("mtype", [ACK, RST])
def test_a_guessed_message_id_is_none(mtype: Any) -> None:
    with script() as s:
        s.send(mtype, EMPTY, mid=4711)
        s.send(CON, GET, mid="B", token=b"", uri_path=["a"])
        s.expect(ACK, UNAUTHORIZED, mid="B")


def test_malformed_messages_count_too() -> None:
    with script() as s:
        s.send_raw(b"\x4f\x01\x00\x01")
        s.expect(RST, EMPTY, mid=1)


def test_notifications_need_a_proof() -> None:
    with script() as s:
        s.send(CON, GET, mid="A", token="t", uri_path=["obs"], observe=0)
        out = len(s.expect(ACK, CONTENT, mid="A", token="t", observe=...).raw)
        registration = len(s.sent)
        for _ in range(50):
            s.clock.run(update(s.context.serversite.changing))  # type: ignore[union-attr]
            out += bytes_sent(s, 1)
        assert out <= 3 * registration


def test_an_observer_whose_proof_has_lapsed_is_asked_for_another() -> None:
    with script() as s:
        s.send(NON, GET, token="p", uri_path=["a"])
        echo = s.expect(NON, UNAUTHORIZED, token="p").message.opt.echo
        s.send(NON, GET, token="t", uri_path=["obs"], observe=0, echo=echo)
        s.expect(NON, CONTENT, token="t", observe=...)
        s.clock.advance(400)
        s.clock.run(update(s.context.serversite.changing))  # type: ignore[union-attr]
        s.expect(CON, CONTENT, mid="N", token="t", observe=...)
        s.send(ACK, EMPTY, mid="N")
        s.clock.run(update(s.context.serversite.changing))  # type: ignore[union-attr]
        s.expect(NON, CONTENT, token="t", observe=...)


def test_one_that_does_not_answer_is_sent_no_more() -> None:
    with script() as s:
        s.send(NON, GET, token="p", uri_path=["a"])
        echo = s.expect(NON, UNAUTHORIZED, token="p").message.opt.echo
        s.send(NON, GET, token="t", uri_path=["obs"], observe=0, echo=echo)
        s.expect(NON, CONTENT, token="t", observe=...)
        s.clock.advance(400)
        s.clock.run(update(s.context.serversite.changing))  # type: ignore[union-attr]
        assert 0 < bytes_sent(s, 200) <= 5 * 1152
        s.clock.run(update(s.context.serversite.changing))  # type: ignore[union-attr]
        s.quiet(300)
        assert s.context.serversite.changing.observations == {}  # type: ignore[union-attr]


def test_an_endpoint_that_we_ask_needs_no_proof() -> None:
    with script() as s:
        request = s.request(Message(code=GET, uri=s.uri("/x")))
        s.expect(CON, GET, mid="A", token="t")
        s.send(ACK, CONTENT, mid="A", token="t")
        assert s.result(request).code == CONTENT


# The client, whom the script challenges


def test_a_client_repeats_its_request_with_the_echo() -> None:
    with Script() as s:
        request = s.request(Message(code=GET, uri=s.uri("/a"), uri_query=["q"]))
        s.expect(CON, GET, mid="A", token="t", echo=None)
        s.send(ACK, UNAUTHORIZED, mid="A", token="t", echo=b"12345678")
        s.expect(CON, GET, mid="B", token="u", uri_path=("a",), uri_query=("q",), echo=b"12345678")
        s.send(ACK, CONTENT, mid="B", token="u", payload=b"there")
        assert s.result(request).payload == b"there"
        s.quiet(300)


def test_it_does_so_once() -> None:
    with Script() as s:
        request = s.request(Message(code=GET, uri=s.uri("/a")))
        s.expect(CON, GET, mid="A", token="t")
        s.send(ACK, UNAUTHORIZED, mid="A", token="t", echo=b"1")
        s.expect(CON, GET, mid="B", token="u", echo=b"1")
        s.send(ACK, UNAUTHORIZED, mid="B", token="u", echo=b"2")
        assert s.result(request).code == UNAUTHORIZED
        s.quiet(300)


def test_without_an_echo_it_is_the_response() -> None:
    with Script() as s:
        request = s.request(Message(code=GET, uri=s.uri("/a")))
        s.expect(CON, GET, mid="A", token="t")
        s.send(ACK, UNAUTHORIZED, mid="A", token="t")
        assert s.result(request).code == UNAUTHORIZED


def test_an_upload_goes_on_after_the_challenge() -> None:
    with Script() as s:
        request = s.request(Message(code=PUT, uri=s.uri("/a"), payload=bytes(1500)))
        s.expect(CON, PUT, mid="A", token="t", block1=(0, True, 6))
        s.send(ACK, UNAUTHORIZED, mid="A", token="t", echo=b"1")
        s.expect(CON, PUT, mid="B", token="u", block1=(0, True, 6), echo=b"1")
        s.send(ACK, CONTINUE, mid="B", token="u", block1=(0, True, 6))
        s.expect(CON, PUT, mid="C", token="v", block1=(1, False, 6), echo=None)
        s.send(ACK, CHANGED, mid="C", token="v", block1=(1, False, 6))
        assert s.result(request).code == CHANGED


def test_an_observation_begins_after_the_challenge() -> None:
    with Script() as s:
        request = s.request(Message(code=GET, uri=s.uri("/obs"), observe=0))
        s.expect(CON, GET, mid="A", token="t", observe=0)
        s.send(ACK, UNAUTHORIZED, mid="A", token="t", echo=b"1")
        s.expect(CON, GET, mid="B", token="u", observe=0, echo=b"1")
        s.send(ACK, CONTENT, mid="B", token="u", observe=1, payload=b"first")
        assert s.result(request).payload == b"first"
        assert not request.observation.cancelled


def test_our_client_gets_all_from_our_server_that_asks_for_a_proof() -> None:
    site = Site()
    site.add_resource(["a"], Large())
    pair = Pair(site, Link(0), tuning=Proving())

    async def ask() -> Message:
        assert pair.client.context is not None
        message = Message(code=GET, uri=f"coap://{Pair.SERVER}/a")
        response: Message = await pair.client.context.request(message).response
        return response

    assert pair.clock.run(ask()).payload == KIB
    pair.close()


class Never(TransportTuning):
    ADDRESS_PROOF = "none"


@pytest.mark.parametrize("tuning", [Never, TransportTuning])
def test_nobody_has_to_prove_what_nobody_wants_to_know(tuning: Any) -> None:
    with script(tuning) as s:
        # The harness' addresses are not global.
        s.send(CON, GET, mid="A", token=b"", uri_path=["a"])
        s.expect(ACK, CONTENT, mid="A", payload=KIB)


def test_an_unknown_setting_is_named() -> None:
    class Wrong(TransportTuning):
        ADDRESS_PROOF = "sometimes"

    clock = Clock()
    with pytest.raises(ValueError, match="ADDRESS_PROOF is 'global', 'all' or 'none'"):
        MessageManager(Floor(), tuning=Wrong(), loop=clock.loop)
    clock.close()


# The client's side


def test_a_client_says_again_what_a_server_wants_to_hear() -> None:
    """Section 2.3: "the client SHOULD echo the Echo option value in the next request"."""
    with Script() as script:
        for token, echo, answer in (("a", None, b"e"), ("b", b"e", None), ("c", None, None)):
            request = script.request(Message(code=GET, uri=script.uri("/short")))
            script.expect(CON, GET, mid=token, token=token, uri_path=("short",), echo=echo)
            script.send(ACK, CONTENT, mid=token, token=token, echo=answer, payload=b"short")
            assert script.result(request).payload == b"short"

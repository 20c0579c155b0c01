"""What the ends of a connection tell each other about it, row by row of RFC 8323 section 5."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.message import Message
from aiocoap.numbers.codes import ABORT, CONTENT, CSM, EMPTY, GET, PING, PONG, RELEASE, Code
from aiocoap.optiontypes import OpaqueOption
from aiocoap.sansio.signaling import (
    BASE_MESSAGE_SIZE,
    MAX_CUSTODIES,
    Reaction,
    Signaling,
    abort_message,
)

NOTHING = Reaction()


def signal(code: int, *options: tuple[int, bytes], payload: bytes = b"", **kwargs: Any) -> Message:
    message = Message(code=code, payload=payload, **kwargs)
    for number, value in options:
        message.opt.add_option(OpaqueOption(number, value))
    return message


def uint(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def opened(max_message_size: int = 100_000, size: int = 100_000, blocks: bool = True) -> Signaling:
    signaling = Signaling(max_message_size)
    options = [(2, uint(size))] + [(4, b"")] * blocks
    assert signaling.take(signal(CSM, *options)) == NOTHING
    return signaling


def raw(message: Message | None) -> list[tuple[int, bytes]]:
    assert message is not None
    return message.opt.raw_items()


def check_abort(reaction: Reaction, text: str, bad_option: int | None = None) -> None:
    assert reaction.end is not None
    assert text in reaction.end
    assert reaction.reply is not None
    assert reaction.reply.code is ABORT
    assert reaction.reply.token == b""
    assert reaction.reply.payload == reaction.end.encode()
    assert raw(reaction.reply) == ([] if bad_option is None else [(2, uint(bad_option))])


# The first message (sections 3.3 and 5.3)


def test_the_greeting() -> None:
    greeting = Signaling(70_000).greeting()
    assert greeting.code is CSM
    assert greeting.token == b""
    assert greeting.payload == b""
    assert raw(greeting) == [(2, uint(70_000)), (4, b""), (6, uint(65_804))]


@pytest.mark.parametrize("code", [GET, CONTENT, PING, PONG, RELEASE, ABORT, Code(0b111_11111)])
def test_anything_else_is_no_first_message(code: Code) -> None:
    signaling = Signaling(5000)
    check_abort(signaling.take(signal(code)), "the first message has to be a CSM")
    assert not signaling.is_open


def test_empty_messages_do_nothing_at_any_time() -> None:
    signaling = Signaling(5000)
    assert signaling.take(signal(EMPTY)) == NOTHING
    assert not signaling.is_open
    signaling.take(signal(CSM))
    assert signaling.take(signal(EMPTY)) == NOTHING


@pytest.mark.parametrize("code", [0b001_00000, 0b110_00001])
def test_codes_without_a_meaning(code: int) -> None:
    check_abort(opened().take(signal(code)), "no meaning")


def test_unknown_signaling_codes_do_no_harm() -> None:
    assert opened().take(signal(0b111_00110, (2, b"x"))) == NOTHING


# Capabilities and settings (section 5.3)


def test_base_values() -> None:
    signaling = Signaling(100_000)
    signaling.take(signal(CSM))
    assert signaling.is_open
    assert signaling.peer_message_size == BASE_MESSAGE_SIZE == 1152
    assert not signaling.peer_does_blocks
    assert signaling.block_size_exponent == 6
    assert signaling.payload_size == 1024


def test_settings_add_up() -> None:
    signaling = Signaling(100_000)
    signaling.take(signal(CSM, (4, b"")))
    assert (signaling.peer_message_size, signaling.peer_does_blocks) == (1152, True)
    signaling.take(signal(CSM, (2, uint(5000))))
    assert (signaling.peer_message_size, signaling.peer_does_blocks) == (5000, True)
    signaling.take(signal(CSM))
    assert (signaling.peer_message_size, signaling.peer_does_blocks) == (5000, True)
    signaling.take(signal(CSM, (2, uint(2000))))
    assert signaling.peer_message_size == 2000


def test_the_first_of_an_option_that_is_not_repeatable_counts() -> None:
    """RFC 7252 section 5.4.5."""
    signaling = Signaling(5000)
    signaling.take(signal(CSM, (2, uint(2000)), (2, uint(3000))))
    assert signaling.peer_message_size == 2000


def test_elective_options_of_a_wrong_length_are_ignored() -> None:
    """RFC 7252 section 5.4.3."""
    signaling = Signaling(5000)
    assert signaling.take(signal(CSM, (2, bytes(5)))) == NOTHING
    assert signaling.peer_message_size == 1152


def test_unknown_elective_options_are_ignored() -> None:
    for code in (CSM, PING, PONG, RELEASE):
        assert opened().take(signal(code, (6, b""), (260, b"abc"))).end is None


@pytest.mark.parametrize("code", [PING, PONG, RELEASE, ABORT])
@pytest.mark.parametrize("number", [1, 3, 5, 65535])
def test_unknown_critical_options_abort(code: Code, number: int) -> None:
    check_abort(opened().take(signal(code, (2, b""), (number, b""))), f"option {number}")


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("number", [1, 3, 65535])
def test_unknown_critical_options_of_a_csm(number: int, is_first: bool) -> None:
    signaling = Signaling(5000) if is_first else opened()
    before = signaling.peer_message_size
    check_abort(
        signaling.take(signal(CSM, (2, uint(7777)), (number, b""))), f"option {number}", number
    )
    assert signaling.peer_message_size == before
    assert signaling.is_open is not is_first


def test_a_peer_that_takes_hardly_anything() -> None:
    for size in (0, 31):
        check_abort(Signaling(5000).take(signal(CSM, (2, uint(size)))), "too small", 2)
    assert opened(size=32).payload_size == 16


# Block sizes (sections 5.3.2 and 6)


@pytest.mark.parametrize(
    ("ours", "theirs", "blocks", "exponent", "payload"),
    [
        (5000, 1153, True, 7, 1024),
        (5000, 1152, True, 6, 1024),
        (5000, 100_000, False, 6, 1024),
        (1152, 100_000, True, 6, 1024),
        (5000, 1151, True, 5, 512),
        (5000, 640, True, 5, 512),
        (5000, 639, True, 4, 256),
        (5000, 144, True, 0, 16),
        (5000, 100, True, 0, 16),
        (100_000, 2048 + 128, True, 7, 2048),
        (100_000, 2048 + 127, True, 7, 1024),
        (4096 + 128, 100_000, True, 7, 4096),
        (100_000, (1 << 32) - 1, True, 7, 99_328),
    ],
)
def test_block_sizes(ours: int, theirs: int, blocks: bool, exponent: int, payload: int) -> None:
    signaling = opened(ours, theirs, blocks)
    assert signaling.block_size_exponent == exponent
    assert signaling.payload_size == payload


# Ping and Pong (section 5.4)


def test_a_ping_is_answered_with_its_token() -> None:
    reaction = opened().take(signal(PING, token=b"abc"))
    assert reaction.reply is not None
    assert (reaction.reply.code, reaction.reply.token, raw(reaction.reply)) == (PONG, b"abc", [])
    assert reaction.end is None


def test_a_ping_without_custody_does_not_wait() -> None:
    signaling = opened()
    signaling.begin(b"1")
    reaction = signaling.take(signal(PING))
    assert reaction.reply is not None
    assert reaction.reply.code is PONG
    assert raw(reaction.reply) == []


def test_custody_of_nothing() -> None:
    reaction = opened().take(signal(PING, (2, b""), token=b"x"))
    assert raw(reaction.reply) == [(2, b"")]


def test_custody_waits_for_requests_that_came_before() -> None:
    signaling = opened()
    signaling.begin(b"1")
    signaling.begin(b"2")
    assert signaling.take(signal(PING, (2, b""), token=b"x")) == NOTHING
    signaling.begin(b"3")
    assert signaling.take(signal(PING, (2, b""), token=b"y")) == NOTHING
    assert signaling.finish(b"2") is None
    assert signaling.finish(b"unknown") is None
    due = signaling.finish(b"1")
    assert due is not None
    assert [(m.code, m.token, raw(m)) for m in due] == [(PONG, b"x", [(2, b"")])]
    due = signaling.finish(b"3")
    assert due is not None
    assert [m.token for m in due] == [b"y"]
    assert signaling.finish(b"3") is None


def test_several_pongs_at_once_in_the_order_of_the_pings() -> None:
    signaling = opened()
    signaling.begin(b"1")
    for token in (b"x", b"y"):
        signaling.take(signal(PING, (2, b""), token=token))
    due = signaling.finish(b"1")
    assert due is not None
    assert [m.token for m in due] == [b"x", b"y"]


def test_too_many_custodies_do_not_wait() -> None:
    signaling = opened()
    signaling.begin(b"1")
    for _ in range(MAX_CUSTODIES):
        assert signaling.take(signal(PING, (2, b""))) == NOTHING
    reaction = signaling.take(signal(PING, (2, b""), token=b"late"))
    assert reaction.reply is not None
    # Without the option, it says nothing of what has been worked on.
    assert (reaction.reply.token, raw(reaction.reply)) == (b"late", [])
    due = signaling.finish(b"1")
    assert due is not None
    assert len(due) == MAX_CUSTODIES


def test_pings_of_our_own() -> None:
    """Their answers are told apart by their order, so that one without a token does as well."""
    signaling = opened()
    assert (signaling.ping().code, signaling.ping().token) == (PING, b"")
    assert signaling.take(signal(PONG)) == Reaction(is_pong=True)
    assert signaling.take(signal(PONG, (2, b""), token=b"odd")) == Reaction(is_pong=True)


# Release (section 5.5)


def test_the_farewell() -> None:
    farewell = opened().farewell()
    assert (farewell.code, farewell.token, raw(farewell)) == (RELEASE, b"", [])


def test_release_does_not_touch_what_is_in_work() -> None:
    signaling = opened()
    signaling.begin(b"1")
    assert signaling.release is None
    assert signaling.take(signal(RELEASE)) == NOTHING
    assert signaling.release == ((), 0, "")
    assert signaling.in_work == {b"1"}


def test_where_and_when_to_connect_again() -> None:
    signaling = opened()
    signaling.take(
        signal(
            RELEASE,
            (2, b"a.example:5000"),
            (2, b"[2001:db8::1]"),
            (4, uint(90)),
            payload=b"maintenance",
        )
    )
    release = signaling.release
    assert release is not None
    assert release.alternatives == ("a.example:5000", "[2001:db8::1]")
    assert release.hold_off == 90
    assert release.diagnostic == "maintenance"


def test_the_second_release_changes_nothing() -> None:
    signaling = opened()
    signaling.take(signal(RELEASE, (4, uint(90))))
    signaling.take(signal(RELEASE, (2, b"evil.example")))
    assert signaling.release == ((), 90, "")


@pytest.mark.parametrize(
    "address",
    [b"", b"a" * 256, b"\xffx", b"a\nb", b"a b", b"user@host", b"a/b", b"a?b", b"a#b", b"a\\b"],
)
def test_what_can_not_be_connected_to(address: bytes) -> None:
    signaling = opened()
    signaling.take(signal(RELEASE, (2, address), (2, b"good.example")))
    assert signaling.release is not None
    assert signaling.release.alternatives == ("good.example",)


def test_hold_off_has_up_to_three_bytes() -> None:
    for value, seconds in ((b"", 0), (b"\xff\xff\xff", 0xFFFFFF), (bytes(4), 0), (b"\1\0\0\0", 0)):
        signaling = opened()
        signaling.take(signal(RELEASE, (4, value)))
        assert signaling.release is not None
        assert signaling.release.hold_off == seconds


# Abort (section 5.6)


def test_an_abort_ends_the_connection_without_an_answer() -> None:
    reaction = opened().take(signal(ABORT, payload=b"no room"))
    assert reaction == Reaction(end="the peer aborted the connection: no room")
    reaction = opened().take(signal(ABORT, (2, uint(4))))
    assert reaction == Reaction(
        end="the peer aborted the connection, because of option 4 of the CSM"
    )
    reaction = opened().take(signal(ABORT, (2, bytes(3)), payload=b"x"))
    assert reaction == Reaction(end="the peer aborted the connection: x")


def test_a_peers_words_do_no_harm_in_a_log() -> None:
    reaction = opened().take(signal(ABORT, payload=b"\x1b[31mred\n\xff\xe2\x80\xa8" + b"x" * 1000))
    assert reaction.end is not None
    assert reaction.end.isprintable()
    assert len(reaction.end) < 300


def test_aborts_of_our_own() -> None:
    assert (abort_message("why").code, abort_message("why").payload) == (ABORT, b"why")
    assert raw(abort_message("why")) == []
    assert raw(abort_message("why", 300)) == [(2, b"\x01\x2c")]


def test_repr() -> None:
    signaling = Signaling(5000)
    assert repr(signaling) == "<Signaling waiting for a CSM, 0 request(s) in work>"
    signaling.take(signal(CSM))
    signaling.begin(b"1")
    assert repr(signaling) == "<Signaling open, 1 request(s) in work>"
    signaling.take(signal(RELEASE))
    assert repr(signaling) == "<Signaling released, 1 request(s) in work>"

"""The codec: every message survives it, and any bytes are a message or not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiocoap.error import UnparsableMessage
from aiocoap.message import Message
from aiocoap.numbers.types import TYPES
from aiocoap.optiontypes import OpaqueOption

# Around the edges of the length encodings, and now and then much longer.
lengths = st.sampled_from([0, 1, 8, 12, 13, 14, 20, 268, 269, 270, 300])
values = lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length))
numbers = st.one_of(
    st.integers(0, 65535), st.sampled_from([0, 1, 11, 12, 13, 14, 60, 268, 269, 292, 65535])
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    message = Message(
        mtype=draw(st.sampled_from(TYPES)),
        mid=draw(st.integers(0, 65535)),
        code=draw(st.integers(0, 255)),
    )
    if message.code:  # an empty message has nothing else
        message.token = draw(values)
        message.payload = draw(values)
        for number, value in draw(st.lists(st.tuples(numbers, values), max_size=8)):
            message.opt.add_option(OpaqueOption(number, value))
    return message


def same(one: Message, other: Message) -> bool:
    return one.opt == other.opt and all(
        getattr(one, name) == getattr(other, name)
        for name in ("mtype", "mid", "code", "token", "payload")
    )


@given(messages())
def test_what_is_encoded_decodes_to_the_same(message: Message) -> None:
    raw = message.encode()
    back = Message.decode(raw)
    assert same(back, message)
    assert back.encode() == raw


def check(raw: bytes) -> None:
    """Whatever the bytes: a message whose encoding is canonical, or the one error."""
    try:
        message = Message.decode(raw)
    except UnparsableMessage:
        return
    canonical = message.encode()
    again = Message.decode(canonical)
    assert same(again, message)
    assert again.encode() == canonical
    assert len(canonical) <= len(raw)
    # Looking at it changes nothing and raises nothing.
    assert repr(message)
    assert repr(message.opt)
    assert "\n" not in repr(message.opt)
    for name in dir(type(message.opt)):
        if not name.startswith("_"):
            getattr(message.opt, name)
    refused = message.opt.unusable_critical()
    assert refused == 0 or (refused & 1 and refused in message.opt)
    assert message.get_cache_key() == again.get_cache_key()
    assert hash(message.get_cache_key())
    message.opt.option_list()
    assert message.encode() == canonical
    assert message.opt.unusable_critical() == refused


@given(st.binary(max_size=80))
def test_any_bytes(raw: bytes) -> None:
    check(raw)


@given(st.binary(min_size=3, max_size=60), st.integers(0, 15), st.integers(1, 255))
def test_any_bytes_behind_a_plausible_start(rest: bytes, token_length: int, code: int) -> None:
    check(bytes((0x40 | token_length, code)) + rest)


@given(messages(), st.data())
def test_messages_with_flaws(message: Message, data: st.DataObject) -> None:
    raw = bytearray(message.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    check(bytes(raw[: data.draw(st.integers(0, len(raw)))]) + bytes(raw[4:8]))


@given(messages(), st.integers(0, 10))
def test_copies_and_what_is_below(message: Message, depth: int) -> None:
    raw = message.encode()
    copy = message.copy()
    below = message.below(depth)
    assert same(copy, message)
    path = message.opt.uri_path
    assert below.opt.uri_path == path[depth:]
    copy.opt.uri_path = ("changed",)
    copy.opt.add_option(OpaqueOption(60, b"changed"))
    below.opt.size1 = 7
    assert message.encode() == raw

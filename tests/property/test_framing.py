"""However a stream is cut, the messages are the same; any bytes are messages or a fault."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aiocoap.error import UnparsableMessage
from aiocoap.message import Message
from aiocoap.optiontypes import OpaqueOption
from aiocoap.sansio.framing import (
    FrameReader,
    decode_unframed,
    encode_frame,
    encode_unframed,
    frame_size,
)

LIMIT = 2048

lengths = st.sampled_from([0, 1, 8, 9, 12, 13, 14, 40, 254, 268, 269, 270, 300])
values = lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    message = Message(code=draw(st.integers(0, 255)), token=draw(values), payload=draw(values))
    numbers = st.one_of(st.integers(0, 300), st.integers(0, 65535))
    for number, value in draw(st.lists(st.tuples(numbers, values), max_size=3)):
        message.opt.add_option(OpaqueOption(number, value))
    return message


def seen(messages: list[Message]) -> list[object]:
    return [(m.code, m.token, m.opt.raw_items(), m.payload) for m in messages]


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """Return a stream in pieces, some of which may be empty."""
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


def feed(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[object], bool, int]:
    """Return what is read, whether there is a fault, and how much is kept."""
    reader = FrameReader(limit)
    found: list[Message] = []
    for piece in pieces:
        found += reader.feed(piece)
        # A frame that began is never kept beyond the limit, whatever it says of its length.
        assert reader.pending < max(limit, 8)
        assert reader.fault is None or reader.pending == 0
    return seen(found), reader.fault is not None, reader.pending


places = st.lists(st.integers(0, 1 << 20), max_size=12)


@given(st.lists(messages(), max_size=5), st.binary(max_size=3), places)
def test_any_way_to_cut_gives_the_same(
    sent: list[Message], trailing: bytes, places: list[int]
) -> None:
    frames = [encode_frame(message) for message in sent]
    for frame in frames:
        assert frame_size(frame) == len(frame)
    raw = b"".join(frames)
    limit = max([len(frame) for frame in frames], default=2)
    assert feed([raw], limit) == (seen(sent), False, 0)
    assert feed([raw[n : n + 1] for n in range(len(raw))], limit) == (seen(sent), False, 0)
    assert feed(cut(raw, places), limit) == (seen(sent), False, 0)
    whole = feed([raw + trailing], limit)
    assert whole[0][: len(sent)] == seen(sent)
    assert feed(cut(raw + trailing, places), limit) == whole


@given(st.binary(max_size=300), places, st.integers(2, 64))
def test_any_bytes_are_messages_or_a_fault(raw: bytes, places: list[int], limit: int) -> None:
    whole = feed([raw], limit)
    assert feed([raw[n : n + 1] for n in range(len(raw))], limit) == whole
    assert feed(cut(raw, places), limit) == whole


@given(st.lists(messages(), max_size=8), places, st.lists(st.integers(0, 3), min_size=30))
def test_as_many_at_a_time_as_are_wanted(
    sent: list[Message], places: list[int], wanted: list[int]
) -> None:
    raw = b"".join(encode_frame(message) for message in sent)
    reader = FrameReader(1 << 20)
    found: list[Message] = []
    pieces = cut(raw, places)
    for most, piece in zip(wanted, pieces + [b""] * len(wanted), strict=False):
        some = reader.feed(piece, most=most)
        assert len(some) <= most
        found += some
    found += reader.feed(b"".join(pieces[len(wanted) :]))
    assert seen(found) == seen(sent)
    assert reader.pending == 0


@given(st.binary(min_size=8, max_size=64))
def test_eight_bytes_tell_the_size(raw: bytes) -> None:
    size = frame_size(raw)
    assert size is not None
    assert size >= 2


@given(st.binary(max_size=300))
def test_any_bytes_in_a_websocket(raw: bytes) -> None:
    try:
        message = decode_unframed(raw)
    except UnparsableMessage:
        return
    again = decode_unframed(encode_unframed(message))
    assert seen([again]) == seen([message])


@given(messages())
def test_websockets(message: Message) -> None:
    assert seen([decode_unframed(encode_unframed(message))]) == seen([message])

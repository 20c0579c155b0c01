"""Where one message ends on a stream, and what is refused there."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.error import UnparsableMessage
from aiocoap.message import Direction, Message
from aiocoap.numbers.codes import CONTENT, CSM, EMPTY, GET
from aiocoap.sansio.framing import (
    FrameReader,
    decode_unframed,
    encode_frame,
    encode_unframed,
    frame_size,
)

LIMIT = 1 << 20

# Length of options and payload, and what a frame without a token begins with (section 3.2).
LENGTHS = [
    (0, "00"),
    (2, "20"),
    (12, "c0"),
    (13, "d000"),
    (268, "d0ff"),
    (269, "e00000"),
    (65804, "e0ffff"),
    (65805, "f000000000"),
    (65806, "f000000001"),
]

# Length of a token, its nibble, and what extends that (RFC 8974 section 2.1).
TOKENS = [
    (0, 0, ""),
    (8, 8, ""),
    (9, 9, ""),
    (12, 12, ""),
    (13, 13, "00"),
    (268, 13, "ff"),
    (269, 14, "0000"),
    (65804, 14, "ffff"),
]


def read(raw: bytes, limit: int = LIMIT) -> list[Message]:
    reader = FrameReader(limit)
    messages = reader.feed(raw)
    assert reader.fault is None
    assert reader.pending == 0
    return messages


def fault(raw: bytes, limit: int = LIMIT) -> str:
    reader = FrameReader(limit)
    assert reader.feed(raw) == []
    assert isinstance(reader.fault, UnparsableMessage)
    return str(reader.fault)


@pytest.mark.parametrize(("length", "start"), LENGTHS)
def test_lengths(length: int, start: str) -> None:
    payload = bytes(length - 1) if length else b""
    raw = encode_frame(Message(code=CONTENT, payload=payload))
    head = bytes.fromhex(start)
    assert raw[: len(head) + 1] == head + bytes((CONTENT,))
    assert len(raw) == len(head) + 1 + length == frame_size(raw)
    (message,) = read(raw)
    assert (message.code, message.token, message.payload) == (CONTENT, b"", payload)


@pytest.mark.parametrize(("length", "nibble", "extension"), TOKENS)
@pytest.mark.parametrize("size", [0, 13, 269, 65805])
def test_tokens(length: int, nibble: int, extension: str, size: int) -> None:
    token = bytes((7,)) * length
    payload = bytes(size - 1) if size else b""
    raw = encode_frame(Message(code=CONTENT, token=token, payload=payload))
    assert raw[0] & 15 == nibble
    code = {0: 1, 13: 2, 14: 3, 15: 5}[raw[0] >> 4]
    assert raw[code:].startswith(bytes((CONTENT,)) + bytes.fromhex(extension) + token)
    assert frame_size(raw) == len(raw)
    (message,) = read(raw)
    assert (message.token, message.payload) == (token, payload)


def test_the_example() -> None:
    """RFC 8323 figure 6."""
    raw = bytes.fromhex("01437f")
    (message,) = read(raw)
    assert (message.code.dotted, message.token, message.payload) == ("2.03", b"\x7f", b"")
    assert len(message.opt) == 0
    assert encode_frame(message) == raw


def test_what_is_read_has_neither_type_nor_message_id() -> None:
    remote: Any = object()
    reader = FrameReader(LIMIT)
    (message,) = reader.feed(bytes.fromhex("0101aa"), remote)
    assert message.mtype is None
    assert message.mid is None
    assert message.remote is remote
    assert message.direction is Direction.INCOMING


def test_type_and_message_id_do_not_go_on_the_wire() -> None:
    assert encode_frame(Message(mtype=0, mid=77, code=GET, token=b"a")) == b"\x01\x01a"


def test_empty_messages() -> None:
    (message,) = read(b"\x00\x00")
    assert message.code is EMPTY


def test_many_at_once_and_the_rest_later() -> None:
    raw = encode_frame(Message(code=GET, token=b"a", uri_path=["x"]))
    reader = FrameReader(LIMIT)
    assert [m.token for m in reader.feed(raw * 3 + raw[:2])] == [b"a"] * 3
    assert reader.pending == 2
    assert [m.opt.uri_path for m in reader.feed(raw[2:])] == [("x",)]
    assert reader.pending == 0
    assert reader.feed(b"") == []


def test_as_many_as_are_wanted() -> None:
    raw = b"".join(encode_frame(Message(code=GET, token=bytes((n,)))) for n in range(10))
    reader = FrameReader(LIMIT)
    assert [m.token for m in reader.feed(raw + raw[:2], most=3)] == [b"\0", b"\1", b"\2"]
    assert reader.has_more
    assert not reader.is_unfinished
    assert reader.feed(b"", most=0) == []
    assert [m.token for m in reader.feed(b"", most=1)] == [b"\3"]
    assert reader.pending == len(raw) + 2
    # What comes meanwhile is behind the rest.
    assert [m.token for m in reader.feed(raw[2:6], most=7)] == [
        bytes((n,)) for n in range(4, 10)
    ] + [b"\0"]
    assert reader.has_more
    assert [m.token for m in reader.feed(b"")] == [b"\1"]
    assert not reader.has_more
    assert reader.pending == 0
    reader.feed(b"\1")
    assert reader.is_unfinished


def test_byte_by_byte() -> None:
    raw = encode_frame(Message(code=GET, token=bytes(300), payload=bytes(70000)))
    reader = FrameReader(LIMIT)
    for n, _ in enumerate(raw[:-1], 1):
        assert reader.feed(raw[n - 1 : n]) == []
        assert reader.pending == n
    (message,) = reader.feed(raw[-1:])
    assert len(message.payload) == 70000


@pytest.mark.parametrize(
    ("start", "size"),
    [
        ("", None),
        ("00", None),
        ("0001", 2),
        ("4801", 14),
        ("d0", None),
        ("d000", None),  # the code is to come
        ("d00001", 16),
        ("e001", None),
        ("e0000101", 274),
        ("f0000000", None),
        ("f000000000", None),
        ("f00000000001", 65811),
        ("0d01", None),
        ("0d0100", 16),
        ("0e0100", None),
        ("0e010000", 273),
        ("fe0000000001", None),
        ("feffffffff01ffff", 1 + 4 + 1 + 2 + 65804 + 65805 + 0xFFFFFFFF),
    ],
)
def test_how_long_a_frame_is(start: str, size: int | None) -> None:
    raw = bytes.fromhex(start)
    assert frame_size(raw) == size
    assert frame_size(bytearray(b"abc" + raw), 3) == size


def test_the_limit() -> None:
    raw = encode_frame(Message(code=GET, payload=bytes(100)))
    assert len(read(raw, len(raw))) == 1
    assert fault(raw, len(raw) - 1) == f"{len(raw)} bytes, where {len(raw) - 1} are the limit"


def test_the_limit_counts_before_anything_is_kept() -> None:
    for head in ("f0ffffffff01", "feffffffff01ffff", "d0ff01", "0e010000"):
        reader = FrameReader(64)
        reader.feed(bytes.fromhex(head) + bytes(1000))
        assert reader.fault is not None
        assert reader.pending == 0
        assert reader.feed(b"\x00\x01") == []


def test_the_limit_may_change() -> None:
    raw = encode_frame(Message(code=GET, payload=bytes(100)))
    reader = FrameReader(64)
    reader.limit = len(raw)
    assert len(reader.feed(raw)) == 1


def test_what_is_before_a_fault_is_read() -> None:
    reader = FrameReader(LIMIT)
    (message,) = reader.feed(bytes.fromhex("0101aa1001ff0101bb"))
    assert message.token == b"\xaa"
    assert reader.fault is not None
    assert reader.feed(bytes.fromhex("0101bb")) == []
    assert "broken" in repr(reader)


@pytest.mark.parametrize(
    "raw",
    [
        "1001ff",  # a marker and no payload
        "2001b574",  # an option beyond the end of the frame
        "1001f0",  # an option delta of 15
        "1001d0",  # half an option
        "0f010000",  # a token length of 15
        "df000100000000000000000000000000",
    ],
)
def test_what_is_no_message(raw: str) -> None:
    assert fault(bytes.fromhex(raw))


def test_a_token_is_part_of_its_frame() -> None:
    """Nine bytes of token are fine since RFC 8974."""
    reader = FrameReader(LIMIT)
    assert reader.feed(bytes.fromhex("090100")) == []
    assert reader.pending == 3
    (message,) = reader.feed(bytes(8))
    assert message.token == bytes(9)


def test_repr() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(b"\x01")
    assert repr(reader) == "<FrameReader, 1 byte(s) pending>"


# WebSockets


def test_unframed() -> None:
    message = Message(code=CONTENT, token=b"ab", payload=bytes(500))
    raw = encode_unframed(message)
    assert raw == b"\x02\x45ab\xff" + bytes(500)
    remote: Any = object()
    back = decode_unframed(raw, remote)
    assert (back.code, back.token, back.payload) == (CONTENT, b"ab", bytes(500))
    assert back.remote is remote


def test_unframed_extended_token() -> None:
    raw = encode_unframed(Message(code=CSM, token=bytes(20)))
    assert raw == b"\x0d\xe1\x07" + bytes(20)
    assert decode_unframed(raw).token == bytes(20)


@pytest.mark.parametrize("raw", ["", "00", "1045ff31", "0101", "0d01", "0f01", "0e0100", "0001ff"])
def test_what_is_no_message_in_a_websocket(raw: str) -> None:
    with pytest.raises(UnparsableMessage):
        decode_unframed(bytes.fromhex(raw))


# What can not be sent


def test_no_code() -> None:
    for encode in (encode_frame, encode_unframed):
        with pytest.raises(TypeError, match="code"):
            encode(Message())


def test_too_long_a_token() -> None:
    for encode in (encode_frame, encode_unframed):
        with pytest.raises(ValueError, match="token"):
            encode(Message(code=GET, token=bytes(65805)))


class Vast(bytes):
    """A body that is too large to be had."""

    def __len__(self) -> int:
        return 65805 + (1 << 32)


def test_too_large_a_message() -> None:
    class Made(Message):
        __slots__ = ()

        def encode_reliable(self) -> tuple[int, bytes, bytes]:
            return 0, b"\x01", Vast()

    with pytest.raises(ValueError, match="too many"):
        encode_frame(Made(code=GET))

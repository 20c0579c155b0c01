"""Messages of the RFCs' figures, and the encodings that the RFCs state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocoap.error import UnparsableMessage
from aiocoap.message import Direction, Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type
from aiocoap.options import Options
from aiocoap.optiontypes import (
    BlockOption,
    OpaqueOption,
    UintOption,
    decode_block,
    encode_block,
    encode_uint,
)
from aiocoap.resource import Site
from aiocoap.sansio.framing import FrameReader, decode_unframed, encode_frame, encode_unframed
from tests.streams import Streams

VECTORS = json.loads(Path(__file__).with_name("coap-messages.json").read_text("utf-8"))

# Names of option properties, and what reading a vector's value by them gives.
UINTS = {
    "Observe",
    "Uri-Port",
    "Content-Format",
    "Max-Age",
    "Hop-Limit",
    "Accept",
    "Size1",
    "Size2",
    "No-Response",
}


def by_name(rows: list[dict[str, Any]], **wanted: str) -> list[Any]:
    return [
        pytest.param(row, id=row["name"])
        for row in rows
        if all(row[key] == value for key, value in wanted.items())
    ]


def code_of(text: str) -> Code:
    digit, _, detail = text.partition(".")
    return Code(int(digit) << 5 | int(detail))


def whole(row: dict[str, Any]) -> bytes:
    """Return the bytes of a vector; where a figure only gives a payload's length, with zeros."""
    raw = bytes.fromhex(row["hex"])
    if row.get("hex_is_prefix"):
        raw += bytes(row["payload_length"])
    assert len(raw) == row["length"]
    return raw


def payload_of(row: dict[str, Any]) -> bytes:
    if row.get("hex_is_prefix"):
        return bytes(row["payload_length"])
    return bytes.fromhex(row["decoded"]["payload_hex"])


def check_options(opt: Options, rows: list[dict[str, Any]], signaling: bool) -> None:
    assert opt.raw_items() == [(o["number"], bytes.fromhex(o["value_hex"])) for o in rows]
    if signaling:  # where the numbers mean something else
        return
    for row in rows:
        number = OptionNumber(row["number"])
        option = number.create_option(decode=bytes.fromhex(row["value_hex"]))
        if "block" in row:
            block = row["block"]
            expected = (block["num"], block["more"], block["szx"])
            assert option.value == expected
            seen = getattr(opt, row["name"].lower().replace("-", "_"))
            assert expected in seen if isinstance(seen[0], tuple) else seen == expected
        elif row["name"] in UINTS:
            assert option.value == row["value"]
            assert getattr(opt, row["name"].lower().replace("-", "_")) == row["value"]
        elif isinstance(row.get("value"), str) and not isinstance(option, OpaqueOption):
            assert option.value == row["value"]
            seen = getattr(opt, row["name"].lower().replace("-", "_"))
            assert seen == row["value"] or row["value"] in seen


def test_what_is_here() -> None:
    transports = [row["transport"] for row in VECTORS["messages"]]
    assert {name: transports.count(name) for name in set(transports)} == {
        "udp": 71,
        "tcp": 15,
        "ws": 5,
    }
    assert len(VECTORS["malformed"]) == 27


@pytest.mark.parametrize("row", by_name(VECTORS["messages"], transport="udp"))
def test_message(row: dict[str, Any]) -> None:
    raw = whole(row)
    decoded = row["decoded"]
    message = Message.decode(raw)
    assert message.mtype is Type[decoded["type"]]
    assert message.code is code_of(decoded["code"])
    assert message.mid == decoded["message_id"]
    assert message.token == bytes.fromhex(decoded["token_hex"])
    assert message.payload == payload_of(row)
    assert message.direction is Direction.INCOMING
    check_options(message.opt, decoded["options"], signaling=False)
    assert message.encode() == raw


@pytest.mark.parametrize("row", by_name(VECTORS["messages"], transport="udp"))
def test_message_made_from_fields(row: dict[str, Any]) -> None:
    decoded = row["decoded"]
    message = Message(
        mtype=Type[decoded["type"]],
        mid=decoded["message_id"],
        code=code_of(decoded["code"]),
        token=bytes.fromhex(decoded["token_hex"]),
        payload=payload_of(row),
    )
    for option in decoded["options"]:
        message.opt.add_option(
            OptionNumber(option["number"]).create_option(decode=bytes.fromhex(option["value_hex"]))
        )
    assert message.encode() == whole(row)


def reliable(row: dict[str, Any], raw: bytes) -> Message:
    """Read the message of a reliable transport."""
    if row["transport"] == "ws":
        return decode_unframed(raw)
    reader = FrameReader(len(raw))
    (message,) = reader.feed(raw)
    assert reader.fault is None
    assert reader.pending == 0
    return message


RELIABLE = [
    param
    for transport in ("tcp", "ws")
    for param in by_name(VECTORS["messages"], transport=transport)
]


@pytest.mark.parametrize("row", RELIABLE)
def test_message_of_a_reliable_transport(row: dict[str, Any]) -> None:
    raw = whole(row)
    decoded = row["decoded"]
    message = reliable(row, raw)
    assert message.code is code_of(decoded["code"])
    assert message.token == bytes.fromhex(decoded["token_hex"])
    assert message.payload == payload_of(row)
    assert message.mtype is None
    assert message.mid is None
    assert message.direction is Direction.INCOMING
    check_options(message.opt, decoded["options"], signaling=decoded["code"].startswith("7."))
    encode = encode_unframed if row["transport"] == "ws" else encode_frame
    assert encode(message) == raw


@pytest.mark.parametrize("row", RELIABLE)
def test_message_of_a_reliable_transport_made_from_fields(row: dict[str, Any]) -> None:
    decoded = row["decoded"]
    message = Message(
        code=code_of(decoded["code"]),
        token=bytes.fromhex(decoded["token_hex"]),
        payload=payload_of(row),
    )
    for option in decoded["options"]:
        message.opt.add_option(OpaqueOption(option["number"], bytes.fromhex(option["value_hex"])))
    encode = encode_unframed if row["transport"] == "ws" else encode_frame
    assert encode(message) == whole(row)


@pytest.mark.parametrize(
    "row", VECTORS["tcp_length_encodings"]["cases"], ids=lambda row: row["first_bytes_hex"]
)
def test_length_of_a_frame(row: dict[str, Any]) -> None:
    length = row["options_and_payload_length"]
    # One byte can only be an empty option, as a marker is followed by a payload.
    message = Message(code=Code.CONTENT, payload=bytes(length - 1) if length > 1 else b"")
    if length == 1:
        message.opt.add_option(OpaqueOption(1, b""))
    start = bytes.fromhex(row["first_bytes_hex"])
    raw = encode_frame(message)
    assert raw[: len(start)] == start
    assert raw[len(start)] == Code.CONTENT
    assert len(raw) == len(start) + 1 + length
    assert reliable({"transport": "tcp"}, raw).payload == message.payload


# What is a message in form, and only senseless in what it says: answered by the message layer.
IN_FORM = {
    "udp-code-class-1",
    "udp-code-class-6",
    "udp-code-class-7",
    "udp-ack-with-request",
    "udp-rst-not-empty",
    "udp-non-empty",
    # With extended tokens these are nine bytes of token (RFC 8974 section 2.1).
    "udp-tkl-9",
}


@pytest.mark.parametrize("row", by_name(VECTORS["malformed"], transport="udp"))
def test_malformed(row: dict[str, Any]) -> None:
    raw = bytes.fromhex(row["hex"])
    if row["name"] in IN_FORM:
        assert Message.decode(raw).encode() == raw
        return
    assert "format error" in row["expected"] or row["expected"] == "silently ignore"
    with pytest.raises(UnparsableMessage):
        Message.decode(raw)


@pytest.mark.parametrize("row", by_name(VECTORS["malformed"], transport="tcp"))
@pytest.mark.parametrize("size", [None, 1], ids=["at once", "byte by byte"])
def test_malformed_on_a_stream(row: dict[str, Any], size: int | None) -> None:
    """They abort the connection of a running server, and what follows them is not read."""
    good = encode_frame(Message(code=Code.GET, token=b"good"))
    raw = bytes.fromhex(row["hex"])
    with Streams(Site()) as streams:
        peer = streams.accept()
        peer.send_raw(raw, size)
        if row["name"] == "tcp-tkl-9":
            # With extended tokens it is nine bytes of token (RFC 8974 section 2.1).
            peer.quiet()
            peer.send_raw(bytes(8) + good, size)
            peer.expect(Code.NOT_FOUND, token=bytes(9))
            peer.expect(Code.NOT_FOUND, token=b"good")
            return
        assert "abort the connection" in row["expected"].lower() or "Abort" in row["expected"]
        peer.expect_abort("what came is no message")
        peer.send_raw(good)
        peer.quiet()


@pytest.mark.parametrize("row", by_name(VECTORS["malformed"], transport="ws"))
def test_malformed_in_a_websocket(row: dict[str, Any]) -> None:
    assert row["expected"] == "treat as a message format error"
    with pytest.raises(UnparsableMessage):
        decode_unframed(bytes.fromhex(row["hex"]))


@pytest.mark.parametrize("row", by_name(VECTORS["option_headers"]))
def test_option_header(row: dict[str, Any]) -> None:
    header = bytes.fromhex(row["header_hex"])
    raw = header + bytes(row["length"])
    opt = Options()
    assert opt.decode(raw) == b""
    assert opt.raw_items() == [(row["delta"], bytes(row["length"]))]
    assert opt.encode() == raw
    made = Options()
    made.add_option(OpaqueOption(row["delta"], bytes(row["length"])))
    assert made.encode() == raw


@pytest.mark.parametrize("row", VECTORS["uint_shortest_encodings"], ids=lambda row: str(row))
def test_uint_encoding(row: dict[str, Any]) -> None:
    shortest = bytes.fromhex(row["shortest_hex"])
    assert encode_uint(row["value"]) == shortest
    option = UintOption(60)
    option.decode(shortest)
    assert option.value == row["value"]
    assert option.encode() == shortest
    opt = Options()
    opt.size1 = row["value"]
    assert opt.raw_items() == [(60, shortest)]


@pytest.mark.parametrize(
    "row", VECTORS["uint_accepted_with_leading_zeros"]["cases"], ids=lambda row: str(row)
)
def test_uint_with_leading_zeros(row: dict[str, Any]) -> None:
    option = UintOption(60)
    option.decode(bytes.fromhex(row["hex"]))
    assert option.value == row["value"]
    opt = Options()
    opt.add_option(OpaqueOption(60, bytes.fromhex(row["hex"])))
    assert opt.size1 == row["value"]


@pytest.mark.parametrize("row", VECTORS["block_option_values"], ids=lambda row: str(row))
def test_block_value(row: dict[str, Any]) -> None:
    raw = bytes.fromhex(row["value_hex"])
    block = decode_block(raw)
    assert block == (row["num"], row["more"], row["szx"])
    assert encode_block(block) == raw
    if row.get("byte_position") is not None and row["szx"] < 7:
        assert block.start == row["byte_position"]
        assert block.size == 16 << row["szx"]
    option = BlockOption(row["option_number"], (row["num"], row["more"], row["szx"]))
    assert option.encode() == raw

"""Single option values."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.optiontypes import (
    BlockOption,
    ContentFormatOption,
    OpaqueOption,
    OptionType,
    StringOption,
    TypedOption,
    UintOption,
    decode_block,
    encode_block,
    encode_uint,
)

Tuple = BlockOption.BlockwiseTuple


def test_the_interface_itself_does_nothing() -> None:
    option = OptionType(2048, None)
    with pytest.raises(NotImplementedError):
        option.encode()
    with pytest.raises(NotImplementedError):
        option.decode(b"")


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        (StringOption, "", b""),
        (StringOption, "h\u00e9", b"h\xc3\xa9"),
        (OpaqueOption, b"\0\xff", b"\0\xff"),
        (UintOption, 0, b""),
        (UintOption, 65536, b"\1\0\0"),
        (TypedOption, 7, b"\7"),
        (ContentFormatOption, 0, b""),
        (ContentFormatOption, 50, b"\x32"),
        (BlockOption, (3, True, 6), b"\x3e"),
    ],
)
def test_values_go_both_ways(kind: type[Any], value: object, raw: bytes) -> None:
    option = kind(2048, value)
    assert option.encode() == raw
    assert option.length == len(raw)
    other = kind(2048)
    other.decode(raw)
    assert other.value == value
    assert type(other.value) is type(option.value)


def test_bytes_that_are_no_text_survive() -> None:
    option = StringOption(11)
    option.decode(b"a\xff")
    assert option.encode() == b"a\xff"


def test_content_formats_come_as_such() -> None:
    option = ContentFormatOption(12)
    assert option.value is ContentFormat.TEXT
    option.decode(b"\x32")
    assert option.value is ContentFormat.JSON
    assert ContentFormatOption.type is ContentFormat


def test_uint_accepts_leading_zeros() -> None:
    option = UintOption(60)
    option.decode(b"\0\0\5")
    assert option.value == 5
    assert option.encode() == b"\5"


def test_what_is_no_uint_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        encode_uint(-1)
    with pytest.raises(TypeError, match="whole number"):
        encode_uint(300.5)  # type: ignore[arg-type]


def test_copies_change_alone() -> None:
    one = StringOption(11, "a")
    other = one.copy()
    other.value = "b"
    assert (one.value, other.value) == ("a", "b")
    assert type(other) is StringOption
    assert other.number == 11


def test_how_they_look() -> None:
    assert str(StringOption(11, "a")) == "a"
    assert str(OpaqueOption(4, b"a")) == "b'a'"
    assert str(UintOption(60, 5)) == "5"
    assert repr(StringOption(11, "a")) == "<StringOption 11: 'a'>"
    assert repr(BlockOption(23)) == "<BlockOption 23: None>"


@pytest.mark.parametrize("value", [(1 << 20, False, 0), (-1, False, 0), (0, False, 8), (0, 0, -1)])
def test_block_values_out_of_range(value: tuple[int, bool, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        encode_block(value)


def test_a_block_option_without_a_value_can_not_be_encoded() -> None:
    with pytest.raises(ValueError, match="needs a value"):
        BlockOption(23).encode()


def test_block_tuples_are_tuples_with_names() -> None:
    option = BlockOption(23)
    option.decode(b"\x3e")
    assert type(option.value) is Tuple
    assert option.value.block_number == 3
    assert option.value.more is True
    assert option.value.size_exponent == 6
    assert decode_block(b"") == (0, False, 0)


@pytest.mark.parametrize(
    ("exponent", "size", "is_bert"), [(0, 16, False), (6, 1024, False), (7, 1024, True)]
)
def test_block_size(exponent: int, size: int, is_bert: bool) -> None:
    block = Tuple(3, False, exponent)
    assert block.size == size
    assert block.start == 3 * size
    assert block.is_bert is is_bert


@pytest.mark.parametrize(
    ("block", "payload_size", "valid"),
    [
        (Tuple(0, True, 0), 16, True),
        (Tuple(0, True, 0), 15, False),
        (Tuple(0, False, 0), 15, True),
        (Tuple(0, False, 0), 17, False),
        (Tuple(0, True, 7), 2048, True),
        (Tuple(0, True, 7), 2047, False),
        (Tuple(0, True, 7), 0, False),
        (Tuple(0, False, 7), 2047, True),
    ],
)
def test_payload_size(block: BlockOption.BlockwiseTuple, payload_size: int, valid: bool) -> None:
    assert block.is_valid_for_payload_size(payload_size) is valid


def test_reduced_to() -> None:
    initial = Tuple(10, 0, 5)  # type: ignore[arg-type]
    assert initial.reduced_to(6) is initial
    assert initial.reduced_to(5) is initial
    # What was given as a number is shown as one.
    assert repr(initial.reduced_to(3)) == (
        "BlockwiseTuple(block_number=40, more=0, size_exponent=3)"
    )
    # BERT counts in 1024 bytes, too.
    assert Tuple(3, True, 7).reduced_to(6) == (3, True, 6)
    assert Tuple(3, True, 7).reduced_to(4) == (12, True, 4)

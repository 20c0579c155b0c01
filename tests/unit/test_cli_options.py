"""CoAP options as people write and read them."""

from __future__ import annotations

import argparse
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocoap.cli._options import (
    json_value,
    option_name,
    parse_content_format,
    parse_option,
    text_value,
)
from aiocoap.numbers.optionnumbers import REGISTRY


@pytest.mark.parametrize(
    ("text", "number"),
    [("text/plain", 0), ("application/json", 50), ("APPLICATION/CBOR", 60), ("65535", 65535)],
)
def test_content_formats(text: str, number: int) -> None:
    assert parse_content_format(text) == number


@pytest.mark.parametrize("text", ["", "application/nonsense", "json", "65536", "-1"])
def test_what_is_no_content_format(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="content format"):
        parse_content_format(text)


@pytest.mark.parametrize(
    ("text", "number", "value"),
    [
        # Names, in any case, and numbers
        ("If-Match=0x01ff", 1, b"\x01\xff"),
        ("if-match=ab", 1, b"ab"),
        ("IF_MATCH=0X", 1, b""),
        ("1=", 1, b""),
        ("uri-query=a=b", 15, b"a=b"),
        ("15=0x00", 15, b"0x00"),
        # Texts, numbers, formats, blocks, presence
        ("Uri-Path=", 11, b""),
        ("Uri-Path=grün", 11, "grün".encode()),
        (os.fsdecode(b"Uri-Path=\xff"), 11, b"\xff"),
        ("Observe=0", 6, b""),
        ("6=1", 6, b"\x01"),
        ("size1=0x100", 60, b"\x01\x00"),
        ("Hop-Limit=255", 16, b"\xff"),
        ("accept=application/cbor", 17, b"\x3c"),
        ("accept=0", 17, b""),
        ("block2=3/0/64", 23, b"\x32"),
        ("Block1=0/1/bert", 27, b"\x0f"),
        ("If-None-Match", 5, b""),
        ("If-None-Match=", 5, b""),
        ("5", 5, b""),
        # What is not known here; critical ones too, and the number that is reserved
        ("65001=0x0102", 65001, b"\x01\x02"),
        ("65001=text", 65001, b"text"),
        ("0=", 0, b""),
    ],
)
def test_options(text: str, number: int, value: bytes) -> None:
    assert parse_option(text) == (number, value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("foo=1", "there is no option 'foo'.*If-Match, .*Request-Hash"),
        ("", "there is no option ''"),
        ("²=1", "there is no option"),
        ("65536=1", "65536 is no option number"),
        ("If-Match", "If-Match takes 0 to 8 bytes, .*: write If-Match=VALUE"),
        ("if-match=123456789", "If-Match takes 0 to 8 bytes, .*0x.*, not '123456789'"),
        ("If-Match=0x1", "If-Match takes .*, not '0x1'"),
        ("ETag=", "ETag takes 1 to 8 bytes, .*, not ''"),
        ("Uri-Host=", "Uri-Host takes 1 to 255 bytes of text, not ''"),
        ("3=" + "x" * 256, "Uri-Host takes 1 to 255 bytes of text"),
        ("Observe=", "Observe takes a number from 0 to 16777215, not ''"),
        ("Observe=soon", "Observe takes a number"),
        ("Observe=-1", "Observe takes a number"),
        ("Observe=1_0", "Observe takes a number"),
        ("Observe=²", "Observe takes a number"),
        ("Observe=16777216", "Observe takes a number"),
        ("Observe=" + "9" * 5000, "Observe takes a number"),
        ("Hop-Limit=0", "Hop-Limit takes a number from 1 to 255, not '0'"),
        ("No-Response=256", "No-Response takes a number from 0 to 255"),
        ("Accept=json", "Accept takes a media type or a number from 0 to 65535, not 'json'"),
        ("If-None-Match=x", "If-None-Match takes no value, not 'x'"),
        ("Block2=0", "Block2 takes NUMBER/MORE/SIZE"),
        ("Block2=0/2/64", "Block2 takes NUMBER/MORE/SIZE"),
        ("Block2=0//64", "Block2 takes NUMBER/MORE/SIZE"),
        ("Block2=0/0/65", "Block2 takes NUMBER/MORE/SIZE.* 16, 32"),
        ("Block2=9999999/0/64", "Block2 takes NUMBER/MORE/SIZE"),
        ("65001", "65001 takes bytes, .*: write 65001=VALUE"),
        ("65001=0xg0", "65001 takes bytes"),
    ],
)
def test_what_is_no_option_or_no_value_of_it(text: str, complaint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=complaint):
        parse_option(text)


def test_names() -> None:
    assert [option_name(n) for n in (1, 12, 258, 2, 65000)] == [
        *("If-Match", "Content-Format", "No-Response", "2", "65000")
    ]


@pytest.mark.parametrize(
    ("number", "raw", "value", "text"),
    [
        (4, b"\x01\xff", "0x01ff", "0x01ff"),
        (1, b"", "0x", "0x"),
        (5, b"", True, ""),
        (5, b"x", "0x78", "0x78"),
        (8, "ä/".encode(), "ä/", "ä/"),
        (8, b"\xff", "0xff", "0xff"),
        (6, b"\x01\x00", 256, "256"),
        (6, b"", 0, "0"),
        (12, b"", 0, "0 (text/plain; charset=utf-8)"),
        (12, b"\xff\xff", 65535, "65535"),
        (12, b"\xff\xff\xff", 16777215, "16777215"),
        (23, b"\x32", "3/0/64", "3/0/64"),
        (27, b"\x0f", "0/1/BERT", "0/1/BERT"),
        (65000, b"text", "0x74657874", "0x74657874"),
    ],
)
def test_values(number: int, raw: bytes, value: object, text: str) -> None:
    assert json_value(number, raw) == value
    assert type(json_value(number, raw)) is type(value)
    assert text_value(number, raw) == text


@given(st.sampled_from([*REGISTRY, 65000]), st.binary(max_size=40))
def test_what_is_shown_can_be_given_and_anything_can_be_shown(number: int, raw: bytes) -> None:
    shown = json_value(number, raw)
    try:
        again = parse_option(f"{number}={'' if shown is True else shown}")
    except argparse.ArgumentTypeError:
        return  # of a length that the option does not have
    # Zeros in front mean nothing, and a text may look like bytes.
    assert again.value.lstrip(b"\0") == raw.lstrip(b"\0") or again.value.startswith(b"0x")

"""What ``aiocoap-client --json`` prints."""

from __future__ import annotations

import json
import zlib
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocoap import error
from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.cli._json import error_line, pong_line, remote_of, response_line
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, NOT_FOUND, Code
from aiocoap.numbers.optionnumbers import REGISTRY
from aiocoap.optiontypes import OpaqueOption
from tests.tools.client_output import SCHEMA, read


def response(payload: bytes = b"", code: Code = CONTENT, **options: Any) -> Message:
    message = Message(code=code, payload=payload, **options)
    message.remote = UndecidedRemote("coap", "[2001:db8::1]:61616")
    return message


def test_the_schema_is_one_and_knows_all_options() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA["$defs"]["options"]["properties"]) == [r.name for r in REGISTRY.values()]


def test_a_response() -> None:
    line = response_line(response(b"hello", content_format=0, max_age=60), seconds=0.12345678)
    assert line == (
        '{"type": "response", "code": "2.05", "code_name": "Content", '
        '"remote": "coap://[2001:db8::1]:61616", "round_trip_time": 0.123457, '
        '"options": {"Content-Format": 0, "Max-Age": 60}, '
        '"payload": "hello", "payload_encoding": "text"}'
    )
    read(line)


def test_a_notification() -> None:
    told = read(response_line(response(observe=7), kind="notification"))
    assert (told["type"], told["round_trip_time"]) == ("notification", None)
    assert told["options"] == {"Observe": 7}


def test_an_error_response() -> None:
    told = read(response_line(response(b"gone", NOT_FOUND)))
    assert (told["type"], told["code"], told["code_name"]) == ("response", "4.04", "Not Found")
    assert told["payload"] == "gone"


def test_codes_without_a_name() -> None:
    told = read(response_line(response(code=Code(0b101_11111))))
    assert told["code"] == "5.31"


class Anonymous(EndpointAddress):
    @property
    def uri_base(self) -> str:
        raise error.AnonymousHost


def test_remotes() -> None:
    message = response()
    assert remote_of(message) == "coap://[2001:db8::1]:61616"
    for remote in (None, Anonymous()):
        message.remote = remote
        assert remote_of(message) is None
        assert read(response_line(message))["remote"] is None


def test_options() -> None:
    message = response(etags=(b"\x01", b"\xff"), location_path=("a b",), if_none_match=True)
    create = [
        (65000, b"x"),
        (65000, b""),
        (23, b"\x32"),
        (14, b"\x01"),
        (14, b"\x02"),
        (8, b"\xff"),
    ]
    for number, raw in create:
        message.opt.add_option(OpaqueOption(number, raw))
    assert read(response_line(message))["options"] == {
        "ETag": ["0x01", "0xff"],
        "If-None-Match": True,
        "Location-Path": ["a b", "0xff"],
        "Max-Age": 1,
        "Block2": "3/0/64",
        "65000": ["0x78", "0x"],
    }


@pytest.mark.parametrize(
    ("content_format", "payload", "value", "encoding"),
    [
        (None, b"", "", "text"),
        (None, "grün".encode(), "grün", "text"),
        (None, b"\xff\x00", "/wA=", "base64"),
        (None, b"\x00", "\0", "text"),
        (64999, b"text", "text", "text"),
        (64999, b"\xff", "/w==", "base64"),
        (0, b"a\nb\x1b[2J\xe2\x80\xae", "a\nb\x1b[2J\u202e", "text"),
        (0, b"\xff", "/w==", "base64"),
        (40, b"</a>", "</a>", "text"),
        (41, b"<a/>", "<a/>", "text"),
        (42, b"text", "dGV4dA==", "base64"),
        (42, b"", "", "base64"),
        (60, b"\xa0", "oA==", "base64"),
        (50, b' {"a":\n[1, 2.50]} ', {"a": [1, 2.5]}, "json"),
        (50, b'"\xe2\x80\xa8"', "\u2028", "json"),
        (50, b"null", None, "json"),
        (110, b"[]", [], "json"),
        (50, b"", "", "text"),
        (50, b"{", "{", "text"),
        (50, b"NaN", "NaN", "text"),
        (50, b"[" * 100 + b"]" * 100, "[" * 100 + "]" * 100, "text"),
        (50, b"\xff", "/w==", "base64"),
        (11050, zlib.compress(b"{}"), "eJyrrgUAAXUA+Q==", "base64"),
    ],
)
def test_payloads(content_format: int | None, payload: bytes, value: Any, encoding: str) -> None:
    line = response_line(response(payload, content_format=content_format))
    told = read(line)
    assert (told["payload"], told["payload_encoding"]) == (value, encoding)


def test_json_is_passed_on_as_it_is() -> None:
    text = '{"a": 1.500, "a": 123456789012345678901234567890, "b": "\\u00e4\\ud800", "c": 1e999}'
    line = response_line(response(text.encode(), content_format=50))
    assert text.replace(", ", ",").replace(": ", ":") in line


def test_links_take_the_place_of_the_payload() -> None:
    links = [{"href": "/a", "rt": "x y", "obs": True, "z": ["1", True]}]
    told = read(response_line(response(b"</a>", content_format=40), seconds=1, links=links))
    assert told["links"] == links
    assert "payload" not in told


def test_errors() -> None:
    told = read(error_line("no answer\nfrom \x1b[2J'host'", 3))
    assert told == {"type": "error", "error": "no answer\nfrom \x1b[2J'host'", "exit_code": 3}


def test_pongs() -> None:
    assert read(pong_line("coap://host", 0.00012345)) == {
        "type": "pong",
        "remote": "coap://host",
        "round_trip_time": 0.000123,
    }


@given(
    st.integers(64, 191),
    st.binary(max_size=40),
    st.lists(st.tuples(st.sampled_from([*REGISTRY, 65000, 2]), st.binary(max_size=8)), max_size=4),
    st.sampled_from([None, 0, 40, 42, 50, 60, 11050, 65535]),
)
def test_whatever_comes_is_a_line_that_fits_the_schema(
    code: int, payload: bytes, options: list[tuple[int, bytes]], content_format: int | None
) -> None:
    message = response(payload, Code(code), content_format=content_format)
    for number, raw in options:
        message.opt.add_option(OpaqueOption(number, raw))
    read(response_line(message, seconds=0.0))


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_json_payloads_keep_their_value(value: Any) -> None:
    payload = json.dumps(value).encode()
    told = read(response_line(response(payload, content_format=50)))
    if value not in (float("inf"), float("-inf")) and b"Infinity" not in payload:
        assert told["payload_encoding"] == "json"
        assert told["payload"] == value

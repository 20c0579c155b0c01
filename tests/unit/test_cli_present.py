"""From a response to what is written where."""

from __future__ import annotations

import argparse
import importlib.util
import re
from typing import Any

import cbor2
import pytest

from aiocoap import error
from aiocoap.cli._present import (
    MAX_COLORED,
    Exit,
    Style,
    exit_code,
    exit_code_of_error,
    present,
    present_error,
    present_pong,
)
from aiocoap.credentials import CredentialsMissingError
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    BAD_REQUEST,
    CHANGED,
    CONTENT,
    CREATED,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    VALID,
    Code,
)
from aiocoap.util.cli import UsageError
from tests.tools.client_output import read_all

RAW = Style()
TERMINAL = Style(terminal=True)
PRETTY = Style(pretty=True, terminal=True)
COLOR = Style(pretty=True, color=True, terminal=True)
QUIET = Style(pretty=True, terminal=True, quiet=True)


def response(payload: bytes = b"", code: Code = CONTENT, **options: Any) -> Message:
    return Message(code=code, payload=payload, **options)


def plain(text: bytes) -> bytes:
    """Take the colours off."""
    return re.sub(rb"\x1b\[[0-9;]*m", b"", text)


@pytest.mark.parametrize("payload", [b"text", b"text\n", b"\x00\xff\x1b[2J", b"[1]"])
def test_piped_payloads_are_what_came(payload: bytes) -> None:
    assert present(response(payload, content_format=50), RAW) == (payload, [])


def test_raw_payloads_on_a_terminal_end_the_line() -> None:
    note = "(No newline at end of message)"
    assert present(response(b"text"), TERMINAL) == (b"text\n", [note])
    assert present(response(b"text\n"), TERMINAL) == (b"text\n", [])


def test_readable_payloads() -> None:
    assert present(response(b"[1]", content_format=50), PRETTY) == (b"[\n  1\n]\n", [])
    shown = present(response(cbor2.dumps([1]), content_format=60), PRETTY)
    assert shown == (b"[1]\n", ["application/cbor, shown in CBOR diagnostic notation"])


def test_readable_text_is_told_apart_from_what_came() -> None:
    note = "(No newline at end of message)"
    assert present(response(b"text"), PRETTY) == (b"text\n", [note])
    assert present(response(b"text\n"), PRETTY) == (b"text\n", [])
    assert present(response(b"text"), Style(pretty=True)) == (b"text\n", [])
    # It is not the text that lacks a line break here.
    assert present(response(b"te\x1bxt"), Style(pretty=True, terminal=True)).out == (
        present(response(b"te\x1bxt", content_format=42), PRETTY).out
    )


def test_notifications_end_in_line_breaks() -> None:
    assert present(response(b"21.5"), RAW, observed=True) == (b"21.5\n", [])
    assert present(response(b"21.5\n"), RAW, observed=True) == (b"21.5\n", [])
    assert present(response(b"21.5"), TERMINAL, observed=True) == (b"21.5\n", [])


def test_colours_change_nothing_but_colours() -> None:
    for payload, content_format in [
        (b'{"a": 1}', 50),
        (b"</a>;ct=0", 40),
        (b"\x00", 42),
        (b"x", 0),
    ]:
        message = response(payload, content_format=content_format)
        assert plain(present(message, COLOR).out) == present(message, PRETTY).out
    assert b"\x1b[" in present(response(b'{"a": 1}', content_format=50), COLOR).out


def test_types_without_colours() -> None:
    # An unassigned subtype of text, as an application may define it.
    shown = present(response(b"x\n", content_format=20003), Style(color=True))
    assert shown == (b"x\n", [])


def test_raw_payloads_can_be_coloured() -> None:
    style = Style(color=True)
    colored = present(response(b'{"a":1}', content_format=50), style).out
    assert b"\x1b[" in colored
    assert plain(colored) == b'{"a":1}'
    for message in (response(b"\xff", content_format=50), response(b"x")):
        assert present(message, style).out == message.payload


def test_much_is_not_coloured() -> None:
    body = b"[" + b"1," * 50 + b"1]"
    for style in (Style(color=True), COLOR):
        assert b"\x1b[" in present(response(body, content_format=50), style).out
    much = b"[" + b"1," * (MAX_COLORED // 2) + b"1]"
    assert present(response(much, content_format=50), Style(color=True)).out == much
    assert b"\x1b[" not in present(response(much, content_format=42), COLOR).out


def test_success_without_a_payload_is_said() -> None:
    assert present(response(code=CHANGED), RAW) == (b"", ["2.04 Changed"])
    assert present(response(code=VALID), PRETTY) == (b"", ["2.03 Valid"])
    assert present(response(), RAW) == (b"", ["2.05 Content"])
    assert present(response(b"x", code=CHANGED), RAW) == (b"x", ["2.04 Changed"])


def test_quiet_says_nothing_of_successes() -> None:
    assert present(response(code=CREATED, location_path=("a",)), QUIET) == (b"", [])
    assert present(response(b"text"), QUIET) == (b"text\n", [])
    assert present(response(code=NOT_FOUND), QUIET) == (b"", ["4.04 Not Found"])


def test_locations_can_be_requested() -> None:
    message = response(code=CREATED, location_path=("reg", "a b"), location_query=("x=1", "y"))
    message.request = Message(uri="coap://host.example:1234/reg?ep=node")
    location = "coap://host.example:1234/reg/a%20b?x=1&y"
    assert present(message, RAW).notes == [f"2.01 Created, location: {location}"]


def test_locations_without_a_known_request() -> None:
    message = response(code=CREATED, location_path=("a", "\x1b[2J"), location_query=("q",))
    assert present(message, RAW).notes == ["2.01 Created, location: /a/\\u001b[2J?q"]
    message = response(code=CREATED, location_query=("q",))
    assert present(message, RAW).notes == ["2.01 Created, location: /?q"]
    assert present(response(code=CREATED), RAW).notes == ["2.01 Created"]


def test_errors_go_to_standard_error() -> None:
    assert present(response(code=NOT_FOUND), RAW) == (b"", ["4.04 Not Found"])
    message = response(b"No such\x1b[31m thing\n", NOT_FOUND)
    assert present(message, RAW) == (b"", ["4.04 Not Found: No such\\u001b[31m thing"])
    assert present(message, COLOR) == present(message, RAW)


def test_errors_with_much_to_say() -> None:
    message = response(b"one\ntwo", INTERNAL_SERVER_ERROR)
    assert present(message, RAW).notes == ["5.00 Internal Server Error", "one", "two"]
    message = response(b'{"why": 1}', BAD_REQUEST, content_format=50)
    assert present(message, RAW).notes == ["4.00 Bad Request", "{", '  "why": 1', "}"]
    message = response(b"\xff", BAD_REQUEST)
    assert present(message, RAW).notes[:2] == [
        "4.00 Bad Request",
        "Shown as bytes, as it is no text",
    ]


def test_problem_details_are_readable() -> None:
    payload = cbor2.dumps({-1: "Out of range", -2: "0 to 9 only"})
    message = response(payload, BAD_REQUEST, content_format=257)
    assert present(message, RAW).notes == [
        "4.00 Bad Request",
        "title: Out of range",
        "detail: 0 to 9 only",
    ]


# Code and options before the payload


def test_code_and_options_before_the_payload() -> None:
    message = response(
        b"[1]", content_format=50, etags=(b"\x01", b"\x02"), location_path=("\x1b[2J",)
    )
    header = (
        b"2.05 Content\nETag: 0x01\nETag: 0x02\nLocation-Path: \\u001b[2J\n"
        b"Content-Format: 50 (application/json)\n\n"
    )
    assert present(message, Style(include=True)) == (header + b"[1]", [])
    pretty = present(message, Style(include=True, pretty=True, terminal=True))
    assert pretty == (header + b"[\n  1\n]\n", [])
    assert present(message, Style(include=True, quiet=True)).out == header + b"[1]"
    assert present(message, Style(include=True), observed=True).out == header + b"[1]\n"


def test_errors_have_code_and_options_too() -> None:
    message = response(b"no", NOT_FOUND, max_age=5)
    assert present(message, Style(include=True)) == (b"4.04 Not Found\nMax-Age: 5\n\nno", [])


def test_nothing_but_code_and_options() -> None:
    message = response(code=VALID, if_none_match=True)
    assert present(message, Style(include=True)) == (b"2.03 Valid\nIf-None-Match:\n\n", [])


# JSON


def test_everything_is_json_if_asked_for() -> None:
    style = Style(json=True, quiet=True)
    told = read_all(present(response(b"x"), style, seconds=0.5).out)
    assert [(one["type"], one["round_trip_time"]) for one in told] == [("response", 0.5)]
    (told_again,) = read_all(present(response(b"x"), style, is_notification=True).out)
    assert told_again["type"] == "notification"
    (failed,) = read_all(present(response(b"x", NOT_FOUND), style).out)
    assert failed["code"] == "4.04"
    out, notes = present_error("no\nanswer", Exit.NO_ANSWER, style)
    assert (read_all(out), notes) == (
        [{"type": "error", "error": "no\nanswer", "exit_code": 3}],
        [],
    )
    (pong,) = read_all(present_pong("coap://host", 0.5, style).out)
    assert pong["round_trip_time"] == 0.5


def test_errors_and_pongs_for_people() -> None:
    assert present_error("no\nanswer", Exit.OTHER, RAW) == (b"", ["aiocoap-client: no\\nanswer"])
    shown = present_pong("coap://host\x1b", 0.0012345, RAW)
    assert shown == (b"pong from coap://host\\u001b: 1.23 ms\n", [])


@pytest.mark.parametrize(
    ("code", "expected"),
    [(69, 0), (64, 0), (132, 4), (150, 4), (160, 5), (97, 1), (95, 0), (191, 5)],
)
def test_exit_codes_by_class(code: int, expected: int) -> None:
    assert exit_code(Code(code)) == expected


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (error.RequestTimedOut(), Exit.NO_ANSWER),
        (error.ResolutionError("x"), Exit.NO_ANSWER),
        (error.MessageError(), Exit.NO_ANSWER),
        (error.ConToMulticast(), Exit.USAGE),
        (CredentialsMissingError("no key"), Exit.USAGE),
        (error.NoRequestInterface(), Exit.USAGE),
        (error.MissingRemoteError(), Exit.USAGE),
        (error.ResourceChanged(), Exit.OTHER),
        (error.LibraryShutdown(), Exit.OTHER),
    ],
)
def test_exit_codes_of_errors(problem: error.Error, expected: Exit) -> None:
    assert exit_code_of_error(problem) is expected


# Styles


def style(terminal: bool, environ: dict[str, str] = {}, **options: Any) -> Style:
    parsed = {"color": None, "pretty_print": None, "quiet": 0, "verbose": 0}
    parsed |= {"json": False, "include": False} | options
    return Style.of(argparse.Namespace(**parsed), terminal, environ)


def test_styles_by_default() -> None:
    assert style(True) == Style(pretty=True, color=True, terminal=True, quiet=False)
    assert style(False) == Style()


def test_styles_as_asked_for() -> None:
    assert style(False, color=True, pretty_print=True) == Style(pretty=True, color=True)
    assert style(True, color=False, pretty_print=False) == Style(terminal=True)
    assert style(False, quiet=1).quiet
    assert not style(False, quiet=1, verbose=1).quiet


def test_styles_of_json_and_of_headers() -> None:
    assert style(True, json=True) == Style(pretty=True, terminal=True, json=True)
    assert style(False, include=True) == Style(include=True)


def test_terminals_without_colours() -> None:
    assert not style(True, {"NO_COLOR": "1"}).color
    assert not style(True, {"TERM": "dumb"}).color
    assert style(True, {"NO_COLOR": ""}).color
    # Who asks for colours gets them.
    assert style(True, {"NO_COLOR": "1"}, color=True).color


def test_colours_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not style(True).color
    assert style(True).pretty
    with pytest.raises(UsageError, match=r"pygments.*aiocoap\[prettyprint\]"):
        style(True, color=True)

"""Payloads made readable, and harmless."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.util import ClassNotFound

from aiocoap.message import Message
from aiocoap.numbers.codes import BAD_REQUEST, CONTENT, Code
from aiocoap.util import prettyprint
from aiocoap.util.prettyprint import (
    CBOR_DIAGNOSTIC,
    HEXDUMP,
    escape_controls,
    lexer_for_mime,
    one_line,
    pretty_print,
)

TEXT, LINK_FORMAT, OCTETS, JSON, CBOR, CBOR_SEQ = 0, 40, 42, 50, 60, 63
SENML_JSON, SENML_CBOR, PROBLEM, SENML_XML, JSON_DEFLATE = 110, 112, 257, 310, 11050
UNASSIGNED = 64999


def shown(
    payload: bytes, content_format: int | None = None, code: Code = CONTENT
) -> tuple[list[str], str, str]:
    message = Message(code=code, payload=payload)
    message.opt.content_format = content_format
    return pretty_print(message)


def test_json_is_laid_out_and_no_token_changed() -> None:
    source = rb'{"a":[1,2.50,{"b":[]}],"a":"x,\u0041","e":{},"n":1E400,"\"}":null}'
    infos, mime, text = shown(source, JSON)
    assert (infos, mime) == ([], "application/json")
    assert text.split("\n") == [
        "{",
        '  "a": [',
        "    1,",
        "    2.50,",
        "    {",
        '      "b": []',
        "    }",
        "  ],",
        r'  "a": "x,\u0041",',
        '  "e": {},',
        '  "n": 1E400,',
        r'  "\"}": null',
        "}",
    ]


@pytest.mark.parametrize("source", [b"1", b'"text"', b"[]", b" [ 1 ] ", b"null", b"9" * 5000])
def test_json_of_other_kinds(source: bytes) -> None:
    infos, mime, text = shown(source, JSON)
    assert (infos, mime) == ([], "application/json")
    assert re.sub(r"\s", "", text) == source.decode().replace(" ", "")


def test_controls_in_json_strings_are_escaped_as_json() -> None:
    _, _, text = shown('{"a": "\x9b31m\u202e\x7f"}'.encode(), JSON)
    assert json.loads(text) == {"a": "\x9b31m\u202e\x7f"}
    assert text.isascii()


def test_what_claims_to_be_json_is_shown_as_text() -> None:
    infos, mime, text = shown(b'{"a": ', JSON)
    assert infos[0].startswith("application/json, but not JSON: Expecting value")
    assert (mime, text) == ("text/plain", '{"a": ')


@pytest.mark.parametrize("payload", [b"\x00\x01", b"\xff"])
def test_binary_that_claims_to_be_json_is_dumped(payload: bytes) -> None:
    infos, mime, _ = shown(payload, JSON)
    assert mime == HEXDUMP
    assert infos[0].startswith("Shown as bytes: application/json, not ")


@pytest.mark.parametrize("depth", [65, 100000])
def test_deep_json_is_left_as_it_is(depth: int) -> None:
    source = b"[" * depth + b"]" * depth
    infos, mime, text = shown(source, JSON)
    assert infos == ["application/json, nested too deeply to be laid out"]
    assert (mime, text.encode()) == ("application/json", source)


def test_senml_in_json_takes_a_line_per_record() -> None:
    infos, mime, text = shown(b'[{"bn":"u:","n":"a","v":1},{"n":"b","vs":"x"}]', SENML_JSON)
    assert (infos, mime) == ([], "application/senml+json")
    assert text == '[\n  {"bn": "u:", "n": "a", "v": 1},\n  {"n": "b", "vs": "x"}\n]'


def test_senml_in_cbor_is_shown_as_the_json_that_it_stands_for() -> None:
    pack = [{-2: "u:", 0: "a", 2: 23.5, 4: True}, {0: "b", 8: b"\xff\xfe", "x_": -1}]
    infos, mime, text = shown(cbor2.dumps(pack), SENML_CBOR)
    assert (infos, mime) == (
        ["application/senml+cbor, shown as SenML JSON"],
        "application/senml+json",
    )
    assert json.loads(text) == [
        {"bn": "u:", "n": "a", "v": 23.5, "vb": True},
        {"n": "b", "vd": "__4", "x_": -1},
    ]
    assert len(text.split("\n")) == 4
    assert shown(cbor2.dumps([]), SENML_CBOR)[2] == "[]"


@pytest.mark.parametrize("pack", [{0: "a"}, [1], [{99: 1}], [{0: [1]}], [{b"": 1}]])
def test_what_senml_json_can_not_say_stays_cbor(pack: Any) -> None:
    infos, mime, _ = shown(cbor2.dumps(pack), SENML_CBOR)
    assert infos == ["application/senml+cbor, shown in CBOR diagnostic notation"]
    assert mime == CBOR_DIAGNOSTIC


def test_cbor_is_shown_in_diagnostic_notation() -> None:
    infos, mime, text = shown(cbor2.dumps({1: b"\x00", "a": [None]}), CBOR)
    assert infos == ["application/cbor, shown in CBOR diagnostic notation"]
    assert (mime, text) == (CBOR_DIAGNOSTIC, "{1: h'00', \"a\": [null]}")


def test_every_format_based_on_cbor_is_shown() -> None:
    assert shown(cbor2.dumps([1]), 61)[2] == "[1]"  # CWT


def test_cbor_sequences() -> None:
    assert shown(cbor2.dumps(1) + cbor2.dumps("a"), CBOR_SEQ)[2] == '1,\n"a"'
    assert shown(b"", CBOR_SEQ)[2] == ""


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"\x18", "not CBOR: cut short"),
        (b"\x01\x02", "2 CBOR items where one belongs"),
        (b"", "0 CBOR items"),
        (b"\x81" * 100000, "nested deeper than"),
    ],
)
def test_what_is_not_cbor_is_dumped(payload: bytes, why: str) -> None:
    infos, mime, text = shown(payload, CBOR)
    assert mime == HEXDUMP
    assert why in infos[0]
    assert len(text.split("\n")) == max(1, len(payload) // 16)


def test_a_link_to_a_line() -> None:
    source = b'</a>;ct=40;title="x,\\",y",</b,c>;if="z" ,  </d>'
    infos, mime, text = shown(source, LINK_FORMAT)
    assert (infos, mime) == ([], "application/link-format")
    assert text == '</a>;ct=40;title="x,\\",y",\n</b,c>;if="z" ,\n</d>'


@pytest.mark.parametrize("source", [b'<a>;t="x', b"<a", b"<<a>,b", b'"\\"' * 50000, b"<" * 100000])
def test_broken_links_are_kept(source: bytes) -> None:
    _, _, text = shown(source, LINK_FORMAT)
    assert text.replace(",\n", ",").encode() == source


def test_text_is_kept_and_escaped() -> None:
    assert shown("grün\r\n\tx\x1b[2J\x07\r".encode(), TEXT) == (
        [],
        "text/plain",
        "grün\n\tx\\u001b[2J\\u0007\\r",
    )
    assert shown(b"<a/>", SENML_XML) == ([], "application/senml+xml", "<a/>")
    assert shown(b"\xff", TEXT)[1] == HEXDUMP


def test_other_formats_are_dumped() -> None:
    infos, mime, text = shown(bytes(range(24, 44)), OCTETS)
    assert (infos, mime) == (["application/octet-stream, shown as bytes"], HEXDUMP)
    assert text.split("\n") == [
        "00000000  18 19 1a 1b 1c 1d 1e 1f  20 21 22 23 24 25 26 27  |........ !\"#$%&'|",
        "00000010  28 29 2a 2b                                       |()*+|",
    ]


def test_without_a_format_it_is_text_if_it_can_be() -> None:
    assert shown(b"hello\n\tyou\r\n") == ([], "text/plain", "hello\n\tyou\n")
    assert shown(b"") == ([], "text/plain", "")
    assert shown(b"a\x00b") == (
        ["Shown as bytes, as it is no text"],
        HEXDUMP,
        shown(b"a\x00b", OCTETS)[2],
    )
    assert shown(b"\xff")[1] == HEXDUMP
    # In errors it is a diagnostic message, unless it is no text at all.
    assert shown(b"a\x00b", code=BAD_REQUEST) == ([], "text/plain", "a\\u0000b")
    assert shown(b"\xff", code=BAD_REQUEST)[1] == HEXDUMP


def test_an_unknown_format_is_named() -> None:
    infos, mime, text = shown(b"x", UNASSIGNED)
    assert (infos, mime, text) == (
        [f"Content format {UNASSIGNED} is not known here"],
        "text/plain",
        "x",
    )


def test_deflated_payloads_are_inflated() -> None:
    assert shown(zlib.compress(b"[1]"), JSON_DEFLATE)[2] == "[\n  1\n]"


def test_broken_deflated_payloads_are_dumped(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zlib.compress(b"[" + b"1," * 1000 + b"1]")
    for payload in (packed[:-4], b"x" + packed, b""):
        infos, mime, _ = shown(payload, JSON_DEFLATE)
        assert mime == HEXDUMP
        assert "deflate data" in infos[0]
    assert shown(packed, JSON_DEFLATE)[1] == "application/json"
    monkeypatch.setattr(prettyprint, "_MAX_INFLATED", 1000)
    assert "too large" in shown(packed, JSON_DEFLATE)[0][0]


def test_other_codings_are_named() -> None:
    assert shown(b"\x28\xb5", 12050)[0] == ["Shown as bytes: application/json, encoded as zstd"]


def test_problem_details_read_like_sentences() -> None:
    problem = {
        -1: "No such thing",
        -2: cbor2.CBORTag(38, ["en", "Look\nelse\x1bwhere"]),
        -3: "/errors/1",
        -4: 132,
        -7: True,
        "tag:x,1": {1: 2},
        7: [1],
        -99: cbor2.CBORTag(38, 1),
    }
    infos, mime, text = shown(cbor2.dumps(problem), PROBLEM, BAD_REQUEST)
    assert (infos, mime) == ([], "text/plain")
    assert text.split("\n") == [
        "title: No such thing",
        "detail: Look",
        "  else\\u001bwhere",
        "instance: /errors/1",
        "response code: 4.04",
        "right to left: true",
        '"tag:x,1": {1: 2}',
        "7: [1]",
        "-99: 38(1)",
    ]


@pytest.mark.parametrize("payload", [cbor2.dumps([1]), b"\xa1", b""])
def test_broken_problem_details_are_dumped(payload: bytes) -> None:
    assert shown(payload, PROBLEM, BAD_REQUEST)[1] == HEXDUMP


FORMATS = [None, TEXT, LINK_FORMAT, OCTETS, JSON, CBOR, CBOR_SEQ, SENML_JSON, SENML_CBOR]
FORMATS += [PROBLEM, SENML_XML, JSON_DEFLATE, UNASSIGNED]


@given(
    st.sampled_from(FORMATS),
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.text('[]{}",:\\1ae<>;= \x1b\n', max_size=60).map(str.encode),
    ),
)
def test_nothing_dangerous_comes_out_of_anything(
    content_format: int | None, payload: bytes
) -> None:
    infos, mime, text = shown(payload, content_format)
    for line in [*infos, mime]:
        assert one_line(line) == line
    assert escape_controls(text) == text


def test_escaping() -> None:
    assert escape_controls("a\tb\nc\rd") == "a\tb\nc\\rd"
    assert escape_controls("\x00\x1f\x80\u061c\u200f\u2028\u2069\ufeff\ud800") == (
        "\\u0000\\u001f\\u0080\\u061c\\u200f\\u2028\\u2069\\ufeff\\ud800"
    )
    assert escape_controls("ü€😀") == "ü€😀"
    assert one_line(" a\nb\tc\n") == "a\\nb\\tc"


@pytest.mark.parametrize(
    ("mime", "name"),
    [
        ("application/json", "JSON"),
        ("application/senml+json; x=y", "JSON"),
        ("application/senml+xml", "XML"),
        ("text/plain", "Text only"),
        ("application/link-format", "LinkFormatLexer"),
        (HEXDUMP, "Hexdump"),
        (CBOR_DIAGNOSTIC, "JavaScript"),
    ],
)
def test_lexers(mime: str, name: str) -> None:
    lexer = lexer_for_mime(mime)
    assert lexer.name == name
    assert "".join(part for _, part in lexer.get_tokens("\n\n1\n\n")) == "\n\n1\n\n"


@pytest.mark.parametrize("mime", ["application/nonsense", "application/x+nonsense"])
def test_types_without_a_lexer(mime: str) -> None:
    with pytest.raises(ClassNotFound):
        lexer_for_mime(mime)

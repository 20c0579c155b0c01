"""Whatever comes in is links or the one error; what is links comes out as it went in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

linkformat = pytest.importorskip("aiocoap.util.linkformat", reason="needs LinkHeader")

NAMES = st.sampled_from(["rt", "if", "ct", "obs", "title", "title*", "anchor", "sz", "x", "Y-1"])
# Everything that UTF-8 can carry, with a liking for what means something in the format.
TEXT = st.text(st.one_of(st.sampled_from('<>;,="\\ \t\r\n*'), st.characters(codec="utf-8")))
HREFS = st.text(st.characters(codec="utf-8", exclude_characters="<>\x7f", min_codepoint=32))
PAIRS = st.tuples(NAMES, st.none() | TEXT)
# Repeated lists are joined when they are written.
LINKS = st.builds(
    linkformat.Link, HREFS, st.lists(PAIRS, max_size=5, unique_by=lambda pair: pair[0])
)
COLLECTIONS = st.builds(linkformat.LinkFormat, st.lists(LINKS, max_size=4))


@given(COLLECTIONS)
def test_text_there_and_back(links: Any) -> None:
    assert linkformat.parse(str(links)).to_py() == links.to_py()


@given(COLLECTIONS)
def test_json_there_and_back(links: Any) -> None:
    assert linkformat.LinkFormat.from_json_string(links.as_json_string()).to_py() == links.to_py()


@given(COLLECTIONS)
def test_cbor_there_and_back(links: Any) -> None:
    pytest.importorskip("cbor2")
    assert linkformat.LinkFormat.from_cbor_bytes(links.as_cbor_bytes()).to_py() == links.to_py()


# Texts made of pieces that a parser looks for.
PIECES = st.lists(st.sampled_from(["<", ">", "</a>", ";", ",", "=", '"', "\\", "x", "href", " "]))


@given(st.one_of(st.text(), st.builds("".join, PIECES)))
@example('</a>;x="\\')
@example('</a>;x="' + "\\" * 9999)
@example("</a>;x\ud800")
@example("</a>;" * 3000)
def test_any_text_is_links_or_the_one_error(text: str) -> None:
    try:
        links = linkformat.parse(text)
    except linkformat.LinkFormatError:
        return
    # What can be read can be written, and then sent.
    str(links).encode()
    assert len(linkformat.parse(str(links)).links) == len(links.links)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.one_of(NAMES, st.just("href"), TEXT), inner, max_size=3)
    ),
)


@given(JSON | st.lists(st.fixed_dictionaries({"href": TEXT | JSON}, optional={"x": JSON})))
def test_any_json_is_links_or_the_one_error(data: Any) -> None:
    try:
        links = linkformat.LinkFormat.from_json_string(json.dumps(data))
    except linkformat.LinkFormatError:
        return
    assert len(linkformat.parse(str(links)).links) == len(data)
    str(links).encode()


@given(st.text() | st.binary())
@example("[" * 100_000)
@example(b"\xff\xfe")
def test_no_json_is_the_one_error(text: str | bytes) -> None:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        with pytest.raises(linkformat.LinkFormatError):
            linkformat.LinkFormat.from_json_string(text)


@given(st.binary())
@example(b"\x81" * 100_000)
@example(b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff")
@example(b"\xc0\x01")
@example(b"\x80\x80")
@example(b"\x81\xa1\x01\x62/a")
@example(b"\x81\xa2\x01\x62/a\x0d\xf5")
@example(b"\x81\xa2\x01\x62/a\x18\x20\xf5")
@example(b"\x81\xa1\xf5\x62/a")
def test_any_bytes_are_links_or_the_one_error(raw: bytes) -> None:
    pytest.importorskip("cbor2")
    try:
        links = linkformat.LinkFormat.from_cbor_bytes(raw)
    except linkformat.LinkFormatError:
        return
    assert linkformat.LinkFormat.from_cbor_bytes(links.as_cbor_bytes()).to_py() == links.to_py()


def test_the_error_is_what_callers_of_either_library_catch() -> None:
    assert issubclass(linkformat.LinkFormatError, ValueError)
    assert issubclass(linkformat.LinkFormatError, linkformat.link_header.ParseException)

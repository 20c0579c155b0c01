"""Lists of resources, for people."""

from __future__ import annotations

import argparse
import builtins
import importlib.util
from typing import Any

import pytest

from aiocoap.cli import _discover
from aiocoap.cli._discover import NoLinks, address, check_package, links_of, parse_filter, table
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.util.cli import UsageError
from aiocoap.util.linkformat import parse

LINKS = '</a>;rt="one two";ct=40;obs,</b>;if="x";sz=12;title="a\u202eb",</c>'


def response(payload: bytes, content_format: int | None = 40) -> Message:
    return Message(code=CONTENT, payload=payload, content_format=content_format)


def test_filters() -> None:
    assert parse_filter("rt=temp*") == ("rt=temp*",)
    assert parse_filter("rt=a&if=b=c&title=") == ("rt=a", "if=b=c", "title=")
    for text in ("rt", "=x", "rt=a&", "&rt=a"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no filter: write NAME=VALUE"):
            parse_filter(text)


@pytest.mark.parametrize(
    ("uri", "path", "query"),
    [
        ("coap://host", (".well-known", "core"), ("rt=x",)),
        ("coap://host/", (".well-known", "core"), ("rt=x",)),
        ("coap://host/rd-lookup/res?ep=1", ("rd-lookup", "res"), ("ep=1", "rt=x")),
    ],
)
def test_where_lists_are(uri: str, path: tuple[str, ...], query: tuple[str, ...]) -> None:
    request = Message(code=GET, uri=uri)
    address(request, ["rt=x", "if=y"])
    assert request.opt.uri_path == path
    assert request.opt.uri_query == query


def test_lists_behind_a_proxy() -> None:
    request = Message(code=GET, proxy_uri="http://host/list")
    address(request, [])
    assert request.opt.uri_path == ()


@pytest.mark.parametrize("content_format", [None, 40, 64, 504])
def test_lists_in_all_formats(content_format: int | None) -> None:
    links = parse(LINKS)
    payload = {64: links.as_cbor_bytes, 504: lambda: links.as_json_string().encode()}.get(
        content_format or 0, LINKS.encode
    )()
    found = links_of(response(payload, content_format), [])
    assert [link.href for link in found] == ["/a", "/b", "/c"]
    assert found[0].attr_pairs == [["rt", "one two"], ["ct", "40"], ["obs", None]]


def test_what_matches_is_left() -> None:
    def hrefs(*queries: str) -> list[str]:
        return [link.href for link in links_of(response(LINKS.encode()), queries)]

    assert hrefs("rt=t*") == ["/a"]
    assert hrefs("rt=t*", "if=x") == []
    assert hrefs("href=/*") == ["/a", "/b", "/c"]


@pytest.mark.parametrize(
    ("payload", "content_format", "why"),
    [
        (b"<", 40, "no list of resources: .*link"),
        (b"\xff", None, "no list of resources: .*utf-8"),
        (b"\xff", 64, "no list of resources"),
        (b"{}", 504, "no list of resources"),
        (b"hello", 0, r"no list of resources, but text/plain"),
        (b"hello", 65000, r"no list of resources, but ContentFormat.65000."),
    ],
)
def test_what_is_no_list(payload: bytes, content_format: int | None, why: str) -> None:
    with pytest.raises(NoLinks, match=why):
        links_of(response(payload, content_format), [])


def test_the_reader_of_cbor_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **kwargs: Any) -> Any:
        if name == "cbor2":
            raise ImportError(name)
        return original(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(NoLinks, match=r"CBOR.*cbor2.*aiocoap\[prettyprint\]"):
        links_of(response(b"\x80", 64), [])


def test_the_reader_of_links_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check_package()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"link_header.*aiocoap\[linkheader\]"):
        check_package()


def test_tables() -> None:
    assert table(parse(LINKS).links) == (
        "href  rt       if  ct  sz  obs  title\n"
        "/a    one two      40      yes\n"
        "/b             x       12       a\\u202eb\n"
        "/c\n"
    )
    assert table([]) == "href  rt  if  ct  sz  obs  title\n"


def test_tables_of_several() -> None:
    assert table(parse("</a>;ct=0,</b>").links, "coap://[::1]\x1b") == (
        "from                href  rt  if  ct  sz  obs  title\n"
        "coap://[::1]\\u001b  /a            0\n"
        "coap://[::1]\\u001b  /b\n"
    )


def test_tables_have_a_line_for_each_link() -> None:
    links = parse('</a>;title="one\ntwo\x1b[2J";rt=a;rt=b').links
    assert table(links).splitlines()[1:] == [
        "/a    a b                   one\\ntwo\\u001b[2J",
    ]
    assert _discover.WELL_KNOWN == (".well-known", "core")


def test_a_long_link_is_long_alone() -> None:
    links = [*parse(f"</{'a' * 99999}>;ct=0").links, *parse("</b>;ct=40," * 9999 + "</c>").links]
    text = table(links)
    assert f"/{'a' * 99999}          0\n" in text
    assert "/b" + " " * 58 + "          40\n" in text
    assert len(text) < 1000000

"""From a command line to a request."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.cli import _request
from aiocoap.message import Message
from aiocoap.numbers.codes import FETCH, GET, PUT
from aiocoap.numbers.types import NON
from aiocoap.util.cli import UsageError


def request(url: str = "coap://[::1]/", **options: Any) -> Message:
    """Build a request from options as the parser leaves them."""
    parsed = {
        "method": GET,
        "non": False,
        "observe": False,
        "accept": None,
        "proxy": None,
        "payload": None,
        "payload_initial_szx": None,
        "content_format": None,
        "set_hostname": True,
    }
    assert set(options) <= set(parsed)
    return _request.build_request(argparse.Namespace(url=url, **(parsed | options)))


@pytest.mark.parametrize(
    ("text", "number"),
    [("GET", 1), ("get", 1), ("Fetch", 5), ("iPATCH", 7), ("IPATCH", 7), ("1", 1), ("31", 31)],
)
def test_methods(text: str, number: int) -> None:
    assert _request.parse_method(text) == number


@pytest.mark.parametrize(
    "text", ["", "HEAD", "0", "32", "69", "-1", "+1", "²", "EMPTY", "(unknown)"]
)
def test_what_is_no_method(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="method") as complaint:
        _request.parse_method(text)
    assert text in str(complaint.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("text/plain", 0), ("application/json", 50), ("APPLICATION/CBOR", 60), ("65535", 65535)],
)
def test_content_formats(text: str, number: int) -> None:
    assert _request.parse_content_format(text) == number


@pytest.mark.parametrize("text", ["", "application/nonsense", "json", "65536", "-1"])
def test_what_is_no_content_format(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="content format"):
        _request.parse_content_format(text)


def test_block_size_exponents() -> None:
    assert [_request.parse_szx(text) for text in "0123456"] == list(range(7))
    for text in ("7", "-1", "", "x", "06"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"0 for 16 bytes, to 6 for 1024"):
            _request.parse_szx(text)


def test_seconds() -> None:
    assert _request.parse_seconds("2.5") == 2.5
    for text in ("0", "-1", "nan", "inf", "", "soon"):
        with pytest.raises(argparse.ArgumentTypeError, match="positive number of seconds"):
            _request.parse_seconds(text)


def test_proxies() -> None:
    assert _request.parse_proxy("p.example") == UndecidedRemote("coap", "p.example")
    assert _request.parse_proxy("[::1]:1234") == UndecidedRemote("coap", "[::1]:1234")
    assert _request.parse_proxy("coap+tcp://p:1") == UndecidedRemote("coap+tcp", "p:1")
    for text in ("", "::1", "p:port", "http://p", "p/path", "p?query", "user@p"):
        with pytest.raises(argparse.ArgumentTypeError):
            _request.parse_proxy(text)


def test_a_plain_request() -> None:
    message = request("coap://host.example:61616/a/b?c")
    assert message.code == GET
    assert message.mtype is None
    assert message.remote == UndecidedRemote("coap", "host.example:61616")
    assert (message.opt.uri_host, message.opt.uri_path) == ("host.example", ("a", "b"))
    assert message.opt.uri_query == ("c",)
    assert len(message.opt) == 4
    assert message.payload == b""


def test_options_of_a_request() -> None:
    message = request(
        method=FETCH,
        non=True,
        observe=True,
        accept=_request.parse_content_format("application/cbor"),
        content_format=_request.parse_content_format("text/plain"),
        payload="grün",
    )
    assert (message.code, message.mtype) == (FETCH, NON)
    assert (message.opt.observe, message.opt.accept, message.opt.content_format) == (0, 60, 0)
    assert message.payload == "grün".encode()


def test_the_host_name_can_be_left_out() -> None:
    message = request("coap://host.example/", set_hostname=False)
    assert message.opt.uri_host is None
    assert message.remote == UndecidedRemote("coap", "host.example")


def test_the_size_of_the_first_block() -> None:
    tuning = request(method=PUT, payload="x", payload_initial_szx=2).transport_tuning
    assert tuning is not None
    assert tuning.DEFAULT_BLOCK_SIZE_EXP == 2
    assert request(method=PUT, payload="x").transport_tuning is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/path",
        "coap:host",
        "coap://",
        "http://x/",
        "coap://x/#y",
        "coap://::1/",
        "coap://x y/",
    ],
)
def test_bad_uris_are_named(url: str) -> None:
    with pytest.raises(UsageError) as complaint:
        request(url)
    assert repr(url)[1:-1] in str(complaint.value)
    assert "\n" not in str(complaint.value)


def test_a_proxy_is_told_where_to_go() -> None:
    proxy = UndecidedRemote("coap", "proxy:1")
    message = request("coap://host.example:61616/a", proxy=proxy)
    assert message.remote is proxy
    assert message.opt.proxy_scheme == "coap"
    assert (message.opt.uri_host, message.opt.uri_port) == ("host.example", 61616)
    assert message.opt.uri_path == ("a",)
    assert message.get_request_uri() == "coap://host.example:61616/a"


def test_a_proxy_is_told_addresses_too() -> None:
    message = request("coaps+tcp://[2001:db8::1]/", proxy=UndecidedRemote("coap", "proxy"))
    assert (message.opt.proxy_scheme, message.opt.uri_host) == ("coaps+tcp", "[2001:db8::1]")
    assert message.opt.uri_port is None
    assert message.get_request_uri() == "coaps+tcp://[2001:db8::1]/"
    assert request("coap://192.0.2.1/", proxy=message.remote).opt.uri_host == "192.0.2.1"


def test_a_proxy_can_be_asked_for_other_schemes() -> None:
    message = request("http://example/x", proxy=UndecidedRemote("coap", "proxy"))
    assert message.opt.proxy_uri == "http://example/x"
    assert message.opt.proxy_scheme is None
    assert message.opt.uri_path == ()


@pytest.mark.parametrize("url", ["host:80/path", "coap://", "x://" + "y" * 1100])
def test_bad_uris_for_a_proxy(url: str) -> None:
    with pytest.raises(UsageError):
        request(url, proxy=UndecidedRemote("coap", "proxy"))


# Payloads


def test_payloads_from_files(tmp_path: Path) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"\x00\xff[1]")
    # What is in a file is not converted.
    cbor = _request.parse_content_format("application/cbor")
    assert request(payload=f"@{file}", content_format=cbor).payload == b"\x00\xff[1]"


def test_payloads_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xfe\n")))
    assert request(payload="@-").payload == b"\xfe\n"


@pytest.mark.parametrize("name", ["", "no such file", "\0", "."])
def test_files_that_can_not_be_read_are_named(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--payload: can not read") as complaint:
        request(payload=f"@{name}")
    assert repr(name) in str(complaint.value)


def test_arguments_that_are_no_text_are_sent_as_they_are() -> None:
    assert request(payload=os.fsdecode(b"\xff\xfe")).payload == b"\xff\xfe"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"on": true, "level": 1.5}', {"on": True, "level": 1.5}),
        ("[1, null]", [1, None]),
        ("{1: b'\\x00', -2: (True, None)}", {1: b"\x00", -2: [True, None]}),
        (" 'text'", "text"),
        ("1", 1),
    ],
)
def test_json_and_literals_become_cbor(text: str, value: Any) -> None:
    senml = _request.parse_content_format("application/senml+cbor")
    assert cbor2.loads(request(payload=text, content_format=senml).payload) == value


@pytest.mark.parametrize("text", ["", "{", "text", "f(x)", "1 +", "{[]: 1}", "...", "[" * 100000])
def test_what_can_not_become_cbor_is_named(text: str) -> None:
    cbor = _request.parse_content_format("application/cbor")
    with pytest.raises(UsageError, match="neither JSON nor a Python literal"):
        request(payload=text, content_format=cbor)


def test_the_converter_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)
    cbor = _request.parse_content_format("application/cbor")
    with pytest.raises(UsageError, match=r"cbor2.*aiocoap\[prettyprint\]"):
        request(payload="1", content_format=cbor)


def test_other_formats_are_not_converted() -> None:
    json = _request.parse_content_format("application/json")
    assert request(payload="{1: 2", content_format=json).payload == b"{1: 2"
    unknown = _request.parse_content_format("64999")
    assert request(payload="[1]", content_format=unknown).payload == b"[1]"

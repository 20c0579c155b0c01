"""From a command line to a request."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.cli import _request
from aiocoap.cli._options import parse_content_format, parse_option
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
        "option": [],
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


def test_counts() -> None:
    assert [_request.parse_count(text) for text in ("1", "20", "007")] == [1, 20, 7]
    for text in ("0", "-1", "", "1.5", "²", "x", "9" * 5000):
        with pytest.raises(argparse.ArgumentTypeError, match="positive whole number"):
            _request.parse_count(text)


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
        accept=parse_content_format("application/cbor"),
        content_format=parse_content_format("text/plain"),
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
    tuning = request(method=PUT, payload="x").transport_tuning
    assert tuning is not None
    assert tuning.DEFAULT_BLOCK_SIZE_EXP == 6


def test_what_somebody_waits_for_may_be_large() -> None:
    tuning = request().transport_tuning
    assert tuning is not None
    # As much as there are numbers for blocks (RFC 7959 section 2.2).
    assert tuning.MAX_BODY_SIZE == 2**20 * 1024


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


# Options one by one


def options(*given: str, **others: Any) -> list[tuple[int, bytes]]:
    """Return the options of a request for ``coap://host/a?b`` beyond those it has anyway."""
    parsed = [parse_option(text) for text in given]
    return request("coap://host/a?b", option=parsed, **others).opt.raw_items()


def test_any_option_can_be_set() -> None:
    plain = options()
    assert plain == [(3, b"host"), (11, b"a"), (15, b"b")]
    given = options("If-None-Match", "65001=0x01", "if-match=0xff", "65001=", "size1=1000")
    assert sorted(set(given) - set(plain)) == [
        *((1, b"\xff"), (5, b""), (60, b"\x03\xe8"), (65001, b""), (65001, b"\x01"))
    ]


def test_options_that_may_be_there_several_times_are_added() -> None:
    assert options("uri-path=b", "Uri-Query=c", "uri-query=d")[1:] == [
        *((11, b"a"), (11, b"b"), (15, b"b"), (15, b"c"), (15, b"d"))
    ]


def test_others_take_the_place_of_what_the_uri_says() -> None:
    assert options("uri-host=other")[0] == (3, b"other")
    # A server has to cope with that, and it is for testing servers.
    assert options("uri-host=x", "uri-host=y")[:2] == [(3, b"x"), (3, b"y")]


def test_options_that_the_library_acts_on_are_what_it_sees() -> None:
    message = request(option=[parse_option("observe=0"), parse_option("block2=0/0/64")])
    assert message.opt.observe == 0
    assert message.opt.block2 == (0, False, 2)


def test_payloads_are_read() -> None:
    import cbor2

    cbor = parse_content_format("application/cbor")
    assert request(payload="[1]", content_format=cbor).payload == cbor2.dumps([1]) == b"\x81\x01"
    assert request(payload="[1]").payload == b"[1]"

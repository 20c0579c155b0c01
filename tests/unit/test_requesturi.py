"""URIs taken apart and put together; most cases are in ``tests/vectors/test_uri_cases.py``."""

from __future__ import annotations

import pytest

from aiocoap.error import IncompleteUrlError, MalformedUrlError
from aiocoap.requesturi import compose, decompose, is_ip_literal


@pytest.mark.parametrize(
    ("host", "is_literal"),
    [
        ("192.0.2.1", True),
        ("192.0.2.01", False),
        ("192.0.2.256", False),
        ("192.0.2", False),
        ("192.0.2.1.", False),
        ("1.2.3.4\n", False),
        ("2001:db8::1", True),
        ("::ffff:192.0.2.1", True),
        ("fe80::1%eth0", True),
        ("fe80::1%", False),
        ("fe80::1%a/b", False),
        ("2001:db8::1::2", False),
        ("h.example", False),
        ("", False),
    ],
)
def test_is_ip_literal(host: str, is_literal: bool) -> None:
    assert is_ip_literal(host) is is_literal


@pytest.mark.parametrize(
    ("uri", "kind", "reason"),
    [
        ("/a", IncompleteUrlError, "no scheme"),
        ("", IncompleteUrlError, "no scheme"),
        ("coap:/a", IncompleteUrlError, "no host"),
        ("http://h/", MalformedUrlError, "no CoAP scheme"),
        ("coap:///a", MalformedUrlError, "no host"),
        ("coap://h/#a", MalformedUrlError, "fragment"),
        ("coap://u@h/", MalformedUrlError, "user information"),
        ("coap://h/a b", MalformedUrlError, "' b' can not stand"),
        ("coap://h/%", MalformedUrlError, "can not stand"),
        ("coap://h/\n", MalformedUrlError, "can not stand"),
        ("coap://h:99999/", MalformedUrlError, "no port number"),
        ("coap://[::1/", MalformedUrlError, "brackets"),
        ("coap://[::1%25]/", MalformedUrlError, "no IPv6 address"),
        ("coap://[::g]/", MalformedUrlError, "no IPv6 address"),
        ("coap://[::1%25a%2Fb]/", MalformedUrlError, "no IPv6 address"),
        ("coap://[::1%25a%20b]/", MalformedUrlError, "no IPv6 address"),
        ("coap://[::1%25a%FF]/", MalformedUrlError, "zone of .* is not UTF-8"),
        ("coap://h%2Fa/", MalformedUrlError, "no host name"),
        ("coap://h%3A1/", MalformedUrlError, "no host name"),
        ("coap://h%00/", MalformedUrlError, "no host name"),
        ("coap://h%FF/", MalformedUrlError, "host of .* is not UTF-8"),
        ("coap://h/%FF", MalformedUrlError, "path of .* is not UTF-8"),
        ("coap://h/?%FF", MalformedUrlError, "query of .* is not UTF-8"),
        ("coap://h/" + 256 * "a", MalformedUrlError, "path segment is longer"),
        ("coap://h/" + 128 * "%C3%BC", MalformedUrlError, "path segment is longer"),
        ("coap://h/?" + 256 * "a", MalformedUrlError, "query argument is longer"),
        ("coap://" + 256 * "a", MalformedUrlError, "host is longer"),
    ],
)
def test_refused(uri: str, kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        decompose(uri)


@pytest.mark.parametrize(
    ("uri", "hostinfo", "uri_host"),
    [
        ("coap://H.Example:5683/", "h.example", "h.example"),
        ("coap://%48.example/", "h.example", "h.example"),
        ("coap://caf%C3%89/", "caf\u00c9", "caf\u00c9"),
        ("coap://[fe80::1%25eth0]:7/", "[fe80::1%eth0]:7", None),
        ("coap://[fe80::1%eth0]/", "[fe80::1%eth0]", None),
        ("coap://[fe80::1%25a%2Eb]/", "[fe80::1%a.b]", None),
        ("coap://[::FFFF:1.2.3.4]/", "[::ffff:1.2.3.4]", None),
        ("coaps+ws://h:443/", "h", None),
    ],
)
def test_destinations(uri: str, hostinfo: str, uri_host: str | None) -> None:
    parts = decompose(uri)
    assert (parts.hostinfo, parts.uri_host) == (hostinfo, uri_host)


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("", ()),
        ("/", ()),
        ("//", ("", "")),
        ("/.", ()),
        ("/..", ()),
        ("/./", ()),
        ("/a/%2e%2E/b", ("b",)),
        ("/a/%2e", ("a", "")),
        ("/.../..a", ("...", "..a")),
        ("/a/..//", ("", "")),
    ],
)
def test_dots_do_not_reach_options(path: str, segments: tuple[str, ...]) -> None:
    assert decompose("coap://h" + path).uri_path == segments


@pytest.mark.parametrize(
    ("hostinfo", "uri_host", "uri"),
    [
        ("h.example", None, "coap://h.example/"),
        ("h.example:5683", None, "coap://h.example/"),
        ("h.example:1", "g.example", "coap://g.example:1/"),
        ("[fe80::1%eth0]", None, "coap://[fe80::1%25eth0]/"),
        ("[fe80::1%eth0.7]:1", None, "coap://[fe80::1%25eth0.7]:1/"),
        ("[::1]", "[FE80::1%eth0]", "coap://[fe80::1%25eth0]/"),
        ("[2001:DB8::1]", None, "coap://[2001:db8::1]/"),
        # An address that Python does not know is passed on as it is.
        ("[v1:a]", None, "coap://[v1:a]/"),
        ("\u00fc", None, "coap://%C3%BC/"),
    ],
)
def test_hosts_in_uris(hostinfo: str, uri_host: str | None, uri: str) -> None:
    assert compose("coap", hostinfo, uri_host, None, (), ()) == uri


@pytest.mark.parametrize(
    "uri_host", ["", "a/b", "a b", "[zz]", "::1", "a]", "u@h", "a\\b", "a\x7f"]
)
def test_hosts_that_are_none(uri_host: str) -> None:
    with pytest.raises(MalformedUrlError, match="neither a host name nor an address"):
        compose("coap", "h", uri_host, None, (), ())


def test_a_destination_that_is_none() -> None:
    with pytest.raises(MalformedUrlError, match="no URI can be made"):
        compose("coap", "h:port", None, None, (), ())


def test_proxy_scheme_replaces_the_scheme_of_the_finished_uri() -> None:
    assert compose("coap", "h:5683", "g", None, ("a",), (), "http") == "http://g/a"
    assert compose("coap", "h", "g", 8080, (), (), "http") == "http://g:8080/"
    with pytest.raises(MalformedUrlError, match="Proxy-Scheme"):
        compose("coap", "h", "g", None, (), (), "ht tp")


def test_ports_of_unknown_schemes_stay() -> None:
    assert compose("coap+x", "h:5683", None, None, (), ()) == "coap+x://h:5683/"

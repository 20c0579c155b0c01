"""URIs: what goes apart goes together, and whatever is given, only the documented errors leave."""

from __future__ import annotations

import contextlib

from hypothesis import assume, example, given
from hypothesis import strategies as st

from aiocoap.error import IncompleteUrlError, MalformedUrlError
from aiocoap.requesturi import DEFAULT_PORTS, compose, decompose
from aiocoap.util import hostportjoin, hostportsplit

anything = st.text(st.characters(codec="utf-8"), max_size=30)
schemes = st.sampled_from(["coap", "coaps", "coap+tcp"])
addresses = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: f"{address}%eth0"),
)
names = st.text("abcxyz019-.\u00e9", min_size=1, max_size=20)
ports = st.one_of(st.none(), st.integers(0, 65535))
# A Uri-Path is never one of the two dots (section 5.10.1).
segments = st.lists(anything.filter(lambda text: text not in (".", "..")), max_size=5)


@given(schemes, addresses, ports, segments, st.lists(anything, max_size=4))
def test_requests_to_addresses(
    scheme: str, host: str, port: int | None, path: list[str], query: list[str]
) -> None:
    # No URI stands for a single empty segment (corr-clar section 2.6).
    assume(path != [""])
    uri = compose(scheme, hostportjoin(host, port), None, None, tuple(path), tuple(query))
    assert uri.isascii()
    parts = decompose(uri)
    assert parts.scheme == scheme
    expected_port = None if port == DEFAULT_PORTS[scheme] else port
    assert hostportsplit(parts.hostinfo)[1] == expected_port
    assert parts.uri_host is None
    assert parts.uri_path == tuple(path)
    assert parts.uri_query == tuple(query)
    # What is canonical stays.
    assert compose(*parts[:3], None, parts.uri_path, parts.uri_query) == uri


@given(schemes, names, ports, segments)
def test_requests_to_names(scheme: str, name: str, port: int | None, path: list[str]) -> None:
    assume(path != [""])
    uri = compose(scheme, "[::1]", name, port, tuple(path), ())
    parts = decompose(uri)
    if parts.uri_host is None:
        assert hostportsplit(parts.hostinfo)[0] == name  # a name that is an address
    else:
        assert parts.uri_host == name
    assert parts.uri_path == tuple(path)


@given(anything)
@example("coap://[fe80::1%25%20]/")
@example("coap://%C4%B0/")
def test_any_text_as_a_uri(text: str) -> None:
    with contextlib.suppress(IncompleteUrlError, MalformedUrlError):
        decompose(text)


@given(schemes, st.text("ab.%2E4F0:/?#[]@&=\u00fc ", max_size=30))
def test_nearly_uris(scheme: str, text: str) -> None:
    try:
        parts = decompose(f"{scheme}://h{text}")
    except (IncompleteUrlError, MalformedUrlError):
        return
    assert not {".", ".."} & set(parts.uri_path)
    uri = compose(*parts[:3], None, parts.uri_path, parts.uri_query)
    again = decompose(uri)
    assert again == parts
    assert compose(*again[:3], None, again.uri_path, again.uri_query) == uri


@given(anything, anything, st.one_of(st.none(), anything), st.one_of(st.none(), anything))
def test_any_texts_composed(
    scheme: str, hostinfo: str, uri_host: str | None, proxy_scheme: str | None
) -> None:
    with contextlib.suppress(MalformedUrlError):
        compose(scheme, hostinfo, uri_host, None, (hostinfo,), (scheme,), proxy_scheme)


@given(st.one_of(names, st.ip_addresses(v=6).map(str)), ports)
def test_host_and_port(host: str, port: int | None) -> None:
    assert hostportsplit(hostportjoin(host, port)) == (host, port)

"""Credentials files: whatever is in them, there are credentials or the one error."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiocoap.credentials import (
    CredentialsLoadError,
    CredentialsMap,
    CredentialsMissingError,
    _matches,
)
from aiocoap.message import Message
from aiocoap.numbers.codes import GET

words = st.sampled_from(
    [
        "dtls",
        "oscore",
        "tlscert",
        "any-of",
        "all-of",
        "psk",
        "client-identity",
        "contextfile",
        "certfile",
        "ascii",
        "hex",
        ":a",
        ":b",
        "coap://h/*",
        "*",
        "00",
        "zz",
        "/nonexistent",
    ]
)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), words)
json_like = st.recursive(
    leaves,
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(st.one_of(words, st.text(max_size=5)), children, max_size=3),
    ),
    max_leaves=20,
)

raw_bytes = st.one_of(
    st.binary(max_size=4),
    st.builds(lambda text: {"ascii": text}, st.text("ab\u00fc", max_size=3)),
    st.builds(lambda text: {"hex": text}, st.text("0af", max_size=4)),
    json_like,
)
entries = st.recursive(
    st.one_of(
        st.builds(
            lambda psk, identity: {"dtls": {"psk": psk, "client-identity": identity}},
            raw_bytes,
            raw_bytes,
        ),
        st.sampled_from([":a", ":b", ":c"]),
        st.builds(lambda name: {"oscore": {"contextfile": name}}, json_like),
        st.builds(lambda name: {"tlscert": {"certfile": name}}, json_like),
    ),
    lambda children: st.builds(
        lambda kind, parts: {kind: parts},
        st.sampled_from(["any-of", "all-of"]),
        st.lists(children, max_size=3),
    ),
    max_leaves=6,
)
keys = st.sampled_from([":a", ":b", ":c", "coap://h/*", "coaps://*", "*", "h"])


def load(credentials: CredentialsMap, data: Any) -> str:
    """Load data; return what is said of them, or an empty text where they are fine."""
    try:
        credentials.load_from_dict(data)
    except CredentialsLoadError as problem:
        return str(problem) or "nothing"
    return ""


def check(data: Any) -> None:
    credentials = CredentialsMap()
    said = load(credentials, data)
    if said:
        assert said != "nothing"
        assert credentials == {}
        return
    assert credentials.keys() == data.keys()
    assert repr(credentials)
    # Nothing but the documented errors comes of using them.
    for entry in credentials.values():
        try:
            identity, psk = entry.as_dtls_psk()
        except CredentialsMissingError:
            continue
        assert isinstance(identity, bytes)
        assert psk
    for uri in ("coap://h/a", "coaps://h/"):
        try:
            found = credentials.credentials_from_request(Message(code=GET, uri=uri))
        except CredentialsMissingError:
            continue
        assert found is not None


@given(json_like)
def test_anything_like_json(data: Any) -> None:
    check(data)


@given(st.dictionaries(keys, entries, max_size=4))
def test_nearly_credentials(data: Any) -> None:
    check(data)


@given(st.dictionaries(keys, entries, max_size=3))
def test_keys_do_not_show(data: Any) -> None:
    secret = "Tr0ub4dor"
    data[":secret"] = {"dtls": {"psk": secret.encode(), "client-identity": b"me"}}
    data[":too"] = {"dtls": {"psk": {"ascii": secret}, "client-identity": b"me"}}
    credentials = CredentialsMap()
    assert secret not in load(credentials, data)
    assert secret not in repr(credentials)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_stars_are_what_they_are_in_regular_expressions(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert _matches(pattern, text) is (re.fullmatch(expression, text) is not None)

"""URIs to options and back, by the cases of the RFCs and what is derived from their rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.error import IncompleteUrlError, MalformedUrlError
from aiocoap.message import Message
from aiocoap.numbers.codes import GET
from aiocoap.requesturi import DEFAULT_PORTS, compose, decompose
from aiocoap.util import hostportjoin, hostportsplit

VECTORS = json.loads(Path(__file__).with_name("uri-cases.json").read_text("utf-8"))


def by_name(rows: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in rows]


def taken_apart(uri: str) -> dict[str, Any]:
    """Take a URI apart, in the vectors' words."""
    try:
        message = Message(code=GET, uri=uri)
    except (IncompleteUrlError, MalformedUrlError):
        return {"error": True}
    assert isinstance(message.remote, UndecidedRemote)
    host, port = hostportsplit(message.remote.hostinfo)
    return {
        "scheme": message.remote.scheme,
        "destination_host": host,
        "destination_port": DEFAULT_PORTS[message.remote.scheme] if port is None else port,
        "uri_host": message.opt.uri_host,
        "uri_port": message.opt.uri_port,
        "uri_path": list(message.opt.uri_path),
        "uri_query": list(message.opt.uri_query),
    }


def agree(seen: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(seen.get(key) == value for key, value in expected.items())


@pytest.mark.parametrize("row", by_name(VECTORS["decompose"]))
def test_decompose(row: dict[str, Any]) -> None:
    seen = taken_apart(row["uri"])
    if row.get("expect_error"):
        assert seen == {"error": True}
    elif "expect" in row:
        assert seen == row["expect"]
    else:
        assert any(agree(seen, expected) for expected in row["expect_one_of"])
    if "never" in row:
        assert not agree(seen, row["never"])


@pytest.mark.parametrize("row", by_name(VECTORS["compose"]))
def test_compose(row: dict[str, Any]) -> None:
    message = Message(code=GET)
    message.remote = UndecidedRemote(
        row["scheme"], hostportjoin(row["destination_host"], row["destination_port"])
    )
    for option in ("uri_host", "uri_port", "uri_path", "uri_query"):
        setattr(message.opt, option, row[option])
    if row.get("expect_error"):
        with pytest.raises(MalformedUrlError):
            message.get_request_uri()
        return
    uri = message.get_request_uri()
    assert uri in row.get("expect_one_of", [row.get("expect")])
    if row.get("decomposes_back_to_same_options"):
        back = decompose(uri)
        # Where the host is known from the transport, the option is superfluous.
        if row["scheme"] in ("coap", "coaps", "coap+tcp"):
            assert back.uri_host == row["uri_host"]
        assert list(back.uri_path) == row["uri_path"]
        assert list(back.uri_query) == row["uri_query"]


@pytest.mark.parametrize("row", VECTORS["equivalent_uris"])
def test_equivalent(row: dict[str, Any]) -> None:
    parts = {decompose(uri) for uri in row["uris"]}
    assert len(parts) == 1


@pytest.mark.parametrize("row", VECTORS["different_uris"])
def test_different(row: dict[str, Any]) -> None:
    parts = {decompose(uri) for uri in row["uris"]}
    assert len(parts) == len(row["uris"])


@pytest.mark.parametrize("row", [row for row in VECTORS["proxy_option_cases"] if "expect" in row])
def test_proxy_options(row: dict[str, Any]) -> None:
    message = Message(code=GET, **row["options"])
    assert message.get_request_uri() == row["expect"]
    # The same on its way to a proxy.
    message.remote = UndecidedRemote("coap", "proxy.example:5683")
    assert message.get_request_uri() == row["expect"]


def test_what_composes_is_what_messages_use() -> None:
    assert compose("coap", "h.example", None, None, ("a",), ()) == "coap://h.example/a"

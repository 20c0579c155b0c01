"""aiocoap-client and libcoap's server: what it does beyond sending a request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.peers import aiocoap_client, libcoap_server
from tests.tools.client_output import read_all


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with libcoap_server() as server:
        yield f"coap://127.0.0.1:{server.port}"


def test_a_ping(base: str) -> None:
    done = aiocoap_client("--ping", base)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"pong from ")


def test_lists_of_resources(base: str) -> None:
    for query, found in (
        ("", {"/", "/time", "/async", "/example_data"}),
        ("rt=ticks", {"/time"}),
        # It knows how to apply one filter; the client applies the other.
        ("ct=0&href=/t*", {"/time"}),
    ):
        done = aiocoap_client("--discover", *[query] * bool(query), base, "--json")
        assert (done.returncode, done.stderr) == (0, b"")
        (told,) = read_all(done.stdout)
        assert {link["href"] for link in told["links"]} >= found
        assert not query or {link["href"] for link in told["links"]} == found


def test_an_observation_that_ends(base: str) -> None:
    done = aiocoap_client(f"{base}/time", "--observe", "--count", "2", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    response, notification = read_all(done.stdout)
    assert response["payload"] != notification["payload"]
    assert response["options"]["Observe"] < notification["options"]["Observe"]


def test_options(base: str) -> None:
    done = aiocoap_client(f"{base}/", "-O", "65000=x", "-O", "uri-path=time", "-i")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.split(b"\n")
    assert (lines[0], lines[2]) == (b"2.05 Content", b"")
    assert lines[1].startswith(b"Max-Age: ")

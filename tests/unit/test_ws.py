"""The pool of connections over WebSockets: where requests go, who makes room, what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiocoap import GET, Message, error
from aiocoap.address import UndecidedRemote
from aiocoap.interfaces import EndpointAddress, TokenInterface
from aiocoap.transports import connectionpool, ws
from aiocoap.transports.connectionpool import Origin
from aiocoap.transports.rfc8323common import RFC8323Remote
from aiocoap.transports.ws import LibraryMissing, WSPool, WSRemote
from tests.unit.ws_parts import Bench, FakeLink

# Names


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("coap+ws://CoAP.example/x", ("coap+ws", "coap.example")),
        ("coap+ws://coap.example:80", ("coap+ws", "coap.example")),
        ("coap+ws://coap.example:443", ("coap+ws", "coap.example:443")),
        ("coaps+ws://coap.example:443", ("coaps+ws", "coap.example")),
        ("coaps+ws://[2001:DB8::1]:80", ("coaps+ws", "[2001:db8::1]:80")),
        ("coap+tcp://coap.example", None),
        ("coap://coap.example", None),
    ],
)
async def test_what_is_for_here(uri: str, key: tuple[str, str] | None) -> None:
    pool = Bench().pool
    assert pool._origin(Message(code=GET, uri=uri)) == key
    assert pool.resolve_now(Message(code=GET, uri=uri)) is None


async def test_what_is_no_destination() -> None:
    request = Message(code=GET)
    request.remote = UndecidedRemote("coap+ws", "coap.example:x")
    with pytest.raises(error.ResolutionError):
        Bench().pool._origin(request)


def test_the_documented_relations() -> None:
    assert issubclass(WSRemote, RFC8323Remote)
    assert issubclass(WSRemote, EndpointAddress)
    assert issubclass(WSPool, TokenInterface)


# The pool's links


async def test_the_oldest_handshake_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "MAX_OPENING", 1)
    bench = Bench()
    links: list[Any] = [FakeLink() for _ in range(2)]
    for link in links:
        bench.pool.link_made(link)
    assert [link.calls for link in links] == [["abort"], []]
    own: Any = FakeLink()
    own.is_server = False
    bench.pool.link_made(own)
    assert links[1].calls == []
    for link in (*links, own):
        bench.pool.link_lost(link)
    assert not bench.pool._alive
    assert not bench.pool._opening


async def test_there_is_no_room_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectionpool, "MAX_CONNECTIONS", 1)
    bench = Bench()
    # It is used, so that it does not have to go.
    bench.remote.signaling.begin(b"t")
    link: Any = FakeLink()
    await bench.pool._serve("coap+ws", link)
    assert link.calls == ["abort"]
    assert link.sent == []


async def test_the_host_header_gives_the_name() -> None:
    bench = Bench()
    for host, name in (
        ("CoAP.example", "coap.example"),
        ("coap.example:443", "coap.example"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
    ):
        link: Any = FakeLink()
        link.host = host
        link.coming.put_nowait(None)
        await bench.pool._serve("coaps+ws", link)
        assert link.user.uri_base_local == f"coaps+ws://{name}"


# Errors


def test_what_is_missing_is_told() -> None:
    missing = LibraryMissing()
    assert isinstance(missing, ImportError)
    assert isinstance(missing, error.NoRequestInterface)
    assert "websockets" in str(missing)
    assert missing.extra_help() == 'Install it: pip install "aiocoap[ws]"'


def failure(problem: OSError, scheme: str = "coap+ws") -> error.NetworkError:
    key = ws.PoolKey(scheme, "h.example")
    return Bench().pool._failure_of(Origin("h.example", key.port), key, problem)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ConnectionRefusedError(111, "Connect call failed"), "Connection refused"),
        (lambda: TimeoutError("timed out during opening handshake"), "timed out"),
    ],
)
async def test_what_the_system_says(make: Callable[[], OSError], text: str) -> None:
    assert text in str(failure(make()))


async def test_what_tls_says() -> None:
    import ssl

    problem = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    problem.reason = "WRONG_VERSION_NUMBER"
    told = failure(problem, "coaps+ws")
    assert "h.example:443 over WebSockets: what answers there speaks no TLS" in str(told)
    assert "the scheme is coap+ws" in str(told.extra_help())
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    untrusted.verify_message, untrusted.verify_code = "self-signed certificate", 18
    told = failure(untrusted, "coaps+ws")
    assert str(told).endswith("its certificate is not trusted (self-signed certificate)")
    assert '{"coaps+ws://h.example/*": {"tlscert"' in str(told.extra_help())

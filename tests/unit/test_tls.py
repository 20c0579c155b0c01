"""TLS: what contexts are prepared with, who is who, and what is said when there is none."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from typing import Any, cast

import pytest

from aiocoap.credentials import CredentialsMap
from aiocoap.error import ResolutionError
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports import tls
from aiocoap.transports.connectionpool import Origin
from aiocoap.transports.tcp import ConnectError
from aiocoap.transports.tls import TLSClient, TlsConnection, TlsError, TLSServer
from tests.certificates import Certificates
from tests.unit.tls_parts import FakeSSL, server_context


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


# Connections


class FakeTransport:
    """A transport that keeps what is written."""

    def __init__(self, port: int = 5684) -> None:
        self.extra = {"sockname": ("::1", port, 0, 0), "peername": ("::1", port, 0, 0)}
        self.sent: list[bytes] = []
        self.is_closed = self.is_aborted = False

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted


class FakeLoop:
    """A loop in which no time passes."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def time(self) -> float:
        return 0.0

    def call_soon(self, call: Any, *args: Any) -> None:
        self.soon.append((call, args))

    def call_at(self, *args: Any) -> Any:
        return self

    def cancel(self) -> None:
        pass

    def run(self) -> None:
        while self.soon:
            call, args = self.soon.pop(0)
            call(*args)


class FakeManager:
    """Takes down what it is told."""

    transport_tuning = TransportTuning()

    def __init__(self) -> None:
        self.client_credentials = CredentialsMap()
        self.server_credentials = CredentialsMap()
        self.errors: list[Any] = []

    def dispatch_error(self, error: Any, remote: Any) -> None:
        self.errors.append(error)

    def is_interested_in(self, remote: Any) -> bool:
        return False


LOG = logging.getLogger("tests.tls")


@pytest.fixture
def manager(made: Certificates) -> FakeManager:
    manager = FakeManager()
    manager.client_credentials.load_from_dict(
        {"coaps+tcp://*": {"tlscert": {"certfile": made.authority.file}}}
    )
    return manager


@pytest.fixture
def client(manager: FakeManager) -> TLSClient:
    return TLSClient(cast("Any", manager), LOG, cast("Any", FakeLoop()))


@pytest.fixture
def server(made: Certificates) -> TLSServer:
    server = TLSServer(cast("Any", FakeManager()), LOG, cast("Any", FakeLoop()))
    server._secure_by(server_context(made))
    return server


def connected(client: TLSClient, port: int = 7777, host: str = "localhost") -> TlsConnection:
    """Return a connection that has sent its ClientHello."""
    connection = client._connection_factory(Origin(host, port))()
    connection.connection_made(cast("Any", FakeTransport(port)))
    assert isinstance(connection, TlsConnection)
    return connection


def accepted(server: TLSServer, port: int = 7777) -> TlsConnection:
    connection = server._accept()
    connection.connection_made(cast("Any", FakeTransport(port)))
    assert isinstance(connection, TlsConnection)
    return connection


def exchange(*ends: TlsConnection) -> None:
    """Take what two ends send to the other one, until they are silent."""
    transports = [cast("FakeTransport", end._transport) for end in ends]
    while True:
        for end in ends:
            cast("FakeLoop", end._pool.loop).run()
        if not any(transport.sent for transport in transports):
            return
        for index, transport in enumerate(transports):
            data, transport.sent = b"".join(transport.sent), []
            if data:
                ends[1 - index].data_received(data)


def transport_of(connection: TlsConnection) -> FakeTransport:
    return cast("FakeTransport", connection._transport)


def test_two_ends(client: TLSClient, server: TLSServer) -> None:
    ours, theirs = connected(client), accepted(server)
    assert not ours.is_secured
    assert theirs in server._handshakes
    assert ours.authenticated_claims == theirs.authenticated_claims == ()
    exchange(ours, theirs)
    assert ours.signaling.is_open
    assert theirs.signaling.is_open
    assert server._handshakes == {}
    assert list(server.connections) == [theirs]
    assert "subject:CN=server" in ours.authenticated_claims
    assert theirs.authenticated_claims == ()
    assert theirs.uri_base_local == "coaps+tcp://localhost:7777"
    # The one who goes says so.
    ours.lose("enough")
    ours._close(True)
    exchange(ours, theirs)
    assert str(theirs.end).endswith("the peer has closed the connection")
    assert transport_of(ours).is_closed
    assert transport_of(theirs).is_closed
    # Nothing happens any more.
    theirs.data_received(b"more")
    theirs.connection_lost(None)
    theirs._close(True)
    theirs.flush()


def test_bytes_that_come_one_by_one(client: TLSClient, server: TLSServer) -> None:
    ours, theirs = connected(client), accepted(server)
    for data in b"".join(transport_of(ours).sent):
        theirs.data_received(bytes((data,)))
    transport_of(ours).sent = []
    for data in b"".join(transport_of(theirs).sent):
        ours.data_received(bytes((data,)))
    transport_of(theirs).sent = []
    exchange(ours, theirs)
    assert ours.signaling.is_open


def test_who_says_that_nothing_follows_still_gets_its_answers(
    client: TLSClient, server: TLSServer
) -> None:
    ours, theirs = connected(client), accepted(server)
    exchange(ours, theirs)
    theirs.signaling.begin(b"t")
    assert ours._ssl is not None
    with pytest.raises(ssl.SSLWantReadError):
        ours._ssl.unwrap()
    ours._push()
    (data,) = transport_of(ours).sent
    theirs.data_received(data)
    assert not transport_of(theirs).is_closed
    answer = Message(code=CONTENT, token=b"t")
    answer.remote = theirs
    theirs.send(answer)
    cast("FakeLoop", server.loop).run()
    assert str(theirs.end).endswith("the peer has closed the connection")
    assert len(transport_of(theirs).sent[0]) > 24
    assert transport_of(theirs).is_closed


def test_an_altered_byte_ends_it(client: TLSClient, server: TLSServer) -> None:
    ours, theirs = connected(client), accepted(server)
    exchange(ours, theirs)
    ours.ping(None)
    cast("FakeLoop", client.loop).run()
    (data,) = transport_of(ours).sent
    theirs.data_received(data[:-1] + bytes((data[-1] ^ 1,)))
    assert "BAD_RECORD_MAC" in str(theirs.end)
    # The other end is told.
    transport_of(ours).sent = []
    exchange(ours, theirs)
    assert isinstance(ours.end, TlsError)
    assert "bad record mac" in str(ours.end)


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", bytes(100)])
def test_what_is_no_tls(server: TLSServer, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    theirs = accepted(server)
    theirs.data_received(text)
    assert theirs.end is not None
    assert transport_of(theirs).is_closed
    assert server._handshakes == {}
    assert "the TLS handshake failed: " in caplog.messages[0]
    caplog.clear()


def test_names_that_are_no_ascii_cause_no_traceback(
    client: TLSClient, server: TLSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    theirs = accepted(server)
    hello = b"".join(transport_of(connected(client)).sent)
    theirs.data_received(hello.replace(b"localhost", b"l\xc3\xb6calhos"))
    assert theirs.end is not None
    assert transport_of(theirs).sent  # an alert
    assert seen == []
    assert sys.unraisablehook == seen.append


def test_handshakes_are_bounded(server: TLSServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "MAX_HANDSHAKES", 2)
    first, *others = [accepted(server) for _ in range(3)]
    assert "too many" in str(first.end)
    assert [one.end for one in others] == [None, None]
    assert list(server._handshakes) == others


def test_handshakes_end_in_time(server: TLSServer) -> None:
    theirs = accepted(server)
    theirs.judge(TransportTuning.CSM_TIMEOUT)
    assert "it takes too long" in str(theirs.end)
    # It does not take the last words, either.
    theirs.judge(100.0)
    assert transport_of(theirs).is_aborted


def test_a_connection_waits_for_the_csm_as_any_other(client: TLSClient, server: TLSServer) -> None:
    ours, theirs = connected(client), accepted(server)
    while not theirs.is_secured:
        for one, other in ((ours, theirs), (theirs, ours)):
            data, transport_of(one).sent = transport_of(one).sent, []
            other.data_received(b"".join(data))
    theirs.judge(TransportTuning.CSM_TIMEOUT)
    assert "the TLS handshake" not in str(theirs.end)
    assert theirs.end is not None


async def test_shutting_down_ends_handshakes(server: TLSServer) -> None:
    theirs = accepted(server)
    server._is_shut_down = True
    await server._stop_listening()
    assert theirs.end is not None
    assert transport_of(theirs).is_aborted
    late = accepted(server)
    assert late.end is not None
    assert transport_of(late).is_aborted


def test_a_connection_that_is_gone_at_once(client: TLSClient) -> None:
    connection = client._connection_factory(Origin("localhost", 1))()
    transport = FakeTransport()
    del transport.extra["peername"]
    connection.connection_made(cast("Any", transport))
    assert transport.is_aborted
    assert transport.sent == []
    assert connection.authenticated_claims == ()


def test_a_handshake_that_the_peer_does_not_finish(client: TLSClient) -> None:
    ours = connected(client)
    ours.connection_lost(None)
    assert isinstance(ours.end, TlsError)
    assert "it closed the connection during the handshake" in str(ours.end)


async def test_waiting_for_the_handshake(client: TLSClient, server: TLSServer) -> None:
    loop = asyncio.get_running_loop()
    fake = FakeLoop()
    fake.create_future = loop.create_future  # type: ignore[attr-defined]
    client.loop = server.loop = cast("Any", fake)
    ours, theirs = connected(client), accepted(server)
    waiting = asyncio.ensure_future(ours.secured())
    await asyncio.sleep(0)
    exchange(ours, theirs)
    await waiting
    await ours.secured()
    failing = connected(client)
    waiting = asyncio.ensure_future(failing.secured())
    await asyncio.sleep(0)
    failing.data_received(b"this is no TLS at all")
    with pytest.raises(TlsError, match="speaks no TLS"):
        await waiting
    with pytest.raises(TlsError, match="speaks no TLS"):
        await failing.secured()


def finished(connection: TlsConnection, ssl_object: FakeSSL) -> TlsConnection:
    """Have a connection believe that its handshake is over."""
    connection._ssl = cast("Any", ssl_object)
    connection.is_secured = True
    return connection


@pytest.mark.parametrize(
    ("port", "alpn", "is_fine"),
    [
        (5684, "coap", True),
        (5684, None, True),
        (5684, "h2", False),
        (7777, "coap", True),
        (7777, None, False),
    ],
)
def test_clients_want_to_be_told_that_it_is_coap(
    client: TLSClient, port: int, alpn: str | None, is_fine: bool
) -> None:
    objection = finished(connected(client, port), FakeSSL(alpn=alpn))._objection()
    assert (objection is None) is is_fine
    if objection is not None:
        assert "does not say that it speaks CoAP (by ALPN 'coap')" in str(objection)
        assert "5684" in (objection.extra_help() or "")


def test_a_server_that_does_not_say_that_it_speaks_coap(
    client: TLSClient, made: Certificates
) -> None:
    ours = connected(client)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server_context(made).wrap_bio(there, back, server_side=True)
    there.write(b"".join(transport_of(ours).sent))
    with pytest.raises(ssl.SSLWantReadError):
        theirs.do_handshake()
    ours.data_received(back.read())
    assert isinstance(ours.end, TlsError)
    assert "does not say that it speaks CoAP" in str(ours.end)
    assert ours not in client.connections
    assert transport_of(ours).is_closed


@pytest.mark.parametrize(("alpn", "is_fine"), [("coap", True), (None, True), ("h2", False)])
def test_servers_take_it_for_coap_if_nothing_else_is_said(
    server: TLSServer, alpn: str | None, is_fine: bool
) -> None:
    objection = finished(accepted(server), FakeSSL(alpn=alpn))._objection()
    assert (objection is None) is is_fine


@pytest.mark.parametrize(
    ("name", "port", "base"),
    [
        ("h.example", 5684, "coaps+tcp://h.example"),
        ("h.example", 7777, "coaps+tcp://h.example:7777"),
        (None, 7777, "coaps+tcp://[::1]:7777"),
    ],
)
def test_servers_go_by_the_name_that_they_are_asked_for(
    server: TLSServer, name: str | None, port: int, base: str
) -> None:
    connection = finished(accepted(server, port), FakeSSL())
    connection.name_asked_for = name
    assert connection._objection() is None
    assert connection.uri_base_local == base


def test_claims_are_put_together_once(server: TLSServer) -> None:
    connection = finished(accepted(server), FakeSSL())
    connection.known_as = ":a"
    first = connection.authenticated_claims
    assert first == (":a",)
    assert connection.authenticated_claims is first


@pytest.mark.parametrize("exc", [None, ConnectionResetError(104, "reset")])
def test_what_a_client_learns_after_the_handshake(
    client: TLSClient, server: TLSServer, manager: FakeManager, exc: Exception | None
) -> None:
    ours, theirs = connected(client), accepted(server)
    while not ours.is_secured:
        for one, other in ((ours, theirs), (theirs, ours)):
            data, transport_of(one).sent = transport_of(one).sent, []
            other.data_received(b"".join(data))
    ours.connection_lost(exc)
    (error,) = manager.errors
    assert isinstance(error, TlsError)
    assert str(error) == "localhost:7777: it closed the connection right after the handshake"
    assert '"coaps+tcp://localhost:7777/*"' in (error.extra_help() or "")
    assert "client-certificate" in (error.extra_help() or "")


def test_clients_are_told_that_they_need_a_certificate(
    client: TLSClient, made: Certificates
) -> None:
    strict = FakeManager()
    strict.server_credentials.load_from_dict(
        {":all": {"tlscert": {"certfile": made.authority.file}}}
    )
    server = TLSServer(cast("Any", strict), LOG, cast("Any", FakeLoop()))
    server._secure_by(server_context(made))
    ours, theirs = connected(client), accepted(server)
    exchange(ours, theirs)
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in str(theirs.end)
    assert isinstance(ours.end, TlsError)
    assert "it refuses the handshake (tlsv13 alert certificate required)" in str(ours.end)
    assert '"client-certificate": "FILE"' in (ours.end.extra_help() or "")


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (None, "the peer has closed the connection"),
        (ConnectionResetError(104, "reset"), "the connection broke: reset"),
    ],
)
def test_later_it_is_an_end_like_any_other(
    client: TLSClient, server: TLSServer, manager: FakeManager, exc: Exception | None, text: str
) -> None:
    ours, theirs = connected(client, 5684), accepted(server)
    exchange(ours, theirs)
    ours.connection_lost(exc)
    assert str(manager.errors[0]) == f"localhost: {text}"


# What clients connect with


def test_what_clients_connect_with(manager: FakeManager, made: Certificates) -> None:
    manager.client_credentials.clear()
    manager.client_credentials.load_from_dict(
        {"coaps+tcp://h.example/*": {"tlscert": {"certfile": made.authority.file}}}
    )
    client = TLSClient(cast("Any", manager), LOG, cast("Any", FakeLoop()))
    for origin, name in (
        (Origin("h.example", 5684), "h.example"),
        (Origin("h.example.", 7777), "h.example"),
        (Origin("fe80::1%lo", 5684), "fe80::1"),
    ):
        connection = client._connection_factory(origin)()
        assert isinstance(connection, TlsConnection)
        assert connection._name == name
        context = connection._context
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        is_own = [c["subject"] for c in context.get_ca_certs()] == [
            ((("commonName", "authority"),),)
        ]
        assert is_own is (origin.host == "h.example")


@pytest.mark.parametrize("host", ["a..b", ".a", ".", "%lo", "x" * 64])
def test_hosts_that_no_certificate_can_be_for(client: TLSClient, host: str) -> None:
    with pytest.raises(ResolutionError, match="is no host name"):
        client._connection_factory(Origin(host, 5684))


def test_failures_below_tls(client: TLSClient) -> None:
    error = client._failure(ConnectionRefusedError(111, "x"), Origin("::1", 5684))
    assert type(error) is ConnectError
    assert str(error) == "can not connect to [::1]:5684 over TLS: Connection refused"


async def test_servers_open_nothing(server: TLSServer) -> None:
    message = Message(code=GET, uri="coaps+tcp://localhost/")
    assert await server.resolve(message) is server.resolve_now(message) is None
    await server._stop_listening()
    assert server.bound_address is None

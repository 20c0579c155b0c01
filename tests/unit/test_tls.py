"""TLS: what contexts are prepared with, who is who, and what is said when there is none."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiocoap.credentials import CredentialsMap, CredentialsMissingError
from aiocoap.error import NetworkError, ResolutionError
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports import tls
from aiocoap.transports.connectionpool import Origin
from aiocoap.transports.tcp import ConnectError
from aiocoap.transports.tls import TLSClient, TlsConnection, TlsError, TLSServer
from aiocoap.transports.tlsclaims import claims_of
from tests.certificates import Certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def credentials(data: dict[str, Any]) -> CredentialsMap:
    loaded = CredentialsMap()
    loaded.load_from_dict(data)
    return loaded


def server_context(made: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.server.file, made.server.key_file)
    return context


def client_context(made: Certificates, *alpn: str, with_certificate: bool = False) -> Any:
    context = ssl.create_default_context(cafile=made.authority.file)
    if with_certificate:
        context.load_cert_chain(made.client.file, made.client.key_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def shaken(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return the two ends of a handshake in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(there, back, server_side=True),
        client.wrap_bio(back, there, server_hostname=name),
    )
    waiting = {*ends}
    while waiting:
        for end in (ends[1], ends[0]):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.discard(end)
    return ends


@pytest.fixture
def noted() -> Iterator[Any]:
    """What is noted in handshakes."""
    noted = SimpleNamespace(name_asked_for=None, known_as=None)
    tls._at_work.connection = noted
    yield noted
    tls._at_work.connection = None


# Contexts of servers


def test_a_prepared_context_offers_coap(made: Certificates) -> None:
    context = server_context(made)
    assert not tls._selects(context, "coap")
    tls._prepare(context, CredentialsMap())
    assert tls._selects(context, "coap")
    for offered, chosen in (
        (("coap",), "coap"),
        (("h2", "coap"), "coap"),
        (("http/1.1",), None),
        ((), None),
    ):
        _, client = shaken(context, client_context(made, *offered))
        assert client.selected_alpn_protocol() == chosen


def test_what_a_context_offers_to_others_stays(made: Certificates) -> None:
    context = server_context(made)
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls._prepare(context, CredentialsMap())
    for offered in ("coap", "h2", "http/1.1"):
        _, client = shaken(context, client_context(made, offered))
        assert client.selected_alpn_protocol() == offered
    # Nor does it matter how often it is prepared.
    callback = context.sni_callback
    tls._prepare(context, CredentialsMap())
    assert context.sni_callback is callback


def test_old_versions_are_refused(made: Certificates) -> None:
    context = server_context(made)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    tls._prepare(context, CredentialsMap())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    tls._prepare(context, CredentialsMap())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_context_without_a_certificate_can_be_prepared() -> None:
    tls._prepare(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), CredentialsMap())


def test_nothing_but_a_context_is_one() -> None:
    with pytest.raises(TypeError, match=r"ssl\.SSLContext, not True"):
        tls._prepare(cast("ssl.SSLContext", True), CredentialsMap())


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_client_certificates(made: Certificates, mode: ssl.VerifyMode) -> None:
    context = server_context(made)
    context.verify_mode = mode
    tls._prepare(context, credentials({":all": {"tlscert": {"certfile": made.authority.file}}}))
    server, _ = shaken(context, client_context(made, with_certificate=True))
    assert claims_of(server, None) == (
        f"sha256:{made.client.fingerprint}",
        "subject:CN=me",
        "DNS:me.example",
        "email:me@example.org",
        "URI:urn:dev:os:1-2",
    )
    if mode is ssl.CERT_OPTIONAL:
        server, _ = shaken(context, client_context(made))
        assert claims_of(server, None) == ()
    else:
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            shaken(context, client_context(made))


def test_certificates_nobody_asked_for_are_no_claim(made: Certificates) -> None:
    context = server_context(made)
    tls._prepare(context, CredentialsMap())
    server, client = shaken(context, client_context(made, with_certificate=True))
    assert claims_of(server, None) == ()
    assert claims_of(client, None) == (
        f"sha256:{made.server.fingerprint}",
        "subject:CN=server",
        "DNS:localhost",
        "IP:127.0.0.1",
        "IP:::1",
    )


def test_authorities_that_are_gone(made: Certificates, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(Path(made.authority.file).read_text())
    loaded = credentials({":all": {"tlscert": {"certfile": str(path)}}})
    path.unlink()
    with pytest.raises(CredentialsMissingError, match=r"ca\.pem.*No such file"):
        tls._prepare(server_context(made), loaded)


# Names that clients ask for


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("localhost", "localhost"),
        ("Sensor-1.Example", "sensor-1.example"),
        ("127.0.0.1", None),
        ("a/b", None),
        ("host:99", None),
        (".".join([*4 * ["x" * 60], "x" * 10]), None),
    ],
)
def test_the_name_asked_for_is_remembered(
    made: Certificates, noted: Any, name: str, known: str | None
) -> None:
    context = server_context(made)
    tls._prepare(context, CredentialsMap())
    client = client_context(made)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    shaken(context, client, name)
    assert noted.name_asked_for == known


def test_who_else_wants_to_know_the_name_still_does(made: Certificates) -> None:
    context = server_context(made)
    heard = []

    def listen(ssl_object: ssl.SSLObject, name: str, context: ssl.SSLContext) -> int | None:
        heard.append(name)
        return None if name == "localhost" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = listen
    tls._prepare(context, CredentialsMap())
    heard.clear()
    # Nothing of ours is connected by this.
    shaken(context, client_context(made))
    assert heard == ["localhost"]
    with pytest.raises(ssl.SSLError):
        shaken(context, client_context(made), "elsewhere")


# Keys


class KeyContext(ssl.SSLContext):
    """A context as Python has them from 3.13 on, which does not do anything with keys."""

    def set_psk_server_callback(self, callback: Any, hint: str | None = None) -> None:
        self.key_of = callback


def test_keys_of_clients(made: Certificates, noted: Any) -> None:
    context = KeyContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server.file, made.server.key_file)
    suites = {suite["name"] for suite in context.get_ciphers() if "TLS_" not in suite["name"]}
    psk = {"dtls": {"psk": b"secret", "client-identity": b"alice"}}
    tls._prepare(context, credentials({":a": psk}))
    assert context.key_of("alice") == b"secret"
    assert context.key_of("bob") == context.key_of(None) == context.key_of("\udc80") == b""
    assert context.maximum_version is ssl.TLSVersion.TLSv1_2
    now = {suite["name"] for suite in context.get_ciphers()}
    assert suites < now
    assert "ECDHE-PSK-CHACHA20-POLY1305" in now
    # The callback is called from within a handshake.
    noted.known_as = None
    context.key_of("bob")
    assert noted.known_as is None
    context.key_of("alice")
    assert noted.known_as == ":a"
    tls._at_work.connection = None
    assert context.key_of("alice") == b"secret"


def test_keys_are_left_alone_where_python_can_not_use_them(made: Certificates) -> None:
    class Old:
        pass

    tls._take_keys(cast("ssl.SSLContext", Old()), CredentialsMap())


class FakeSSL:
    """What is asked of an SSL object when the handshake is over."""

    def __init__(
        self,
        *,
        alpn: str | None = "coap",
        version: str = "TLSv1.2",
        suite: str | None = "ECDHE-PSK-CHACHA20-POLY1305",
        certificate: dict[str, Any] | None = None,
    ) -> None:
        self.alpn = alpn
        self._version = version
        self.suite = suite
        self.certificate = certificate

    def selected_alpn_protocol(self) -> str | None:
        return self.alpn

    def version(self) -> str:
        return self._version

    def cipher(self) -> tuple[str, str, int] | None:
        return None if self.suite is None else (self.suite, self._version, 256)

    def getpeercert(self, binary: bool = False) -> Any:
        return b"der" if binary else self.certificate


@pytest.mark.parametrize(
    ("version", "suite", "claims"),
    [
        ("TLSv1.2", "ECDHE-PSK-CHACHA20-POLY1305", (":a",)),
        ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", ()),
        ("TLSv1.2", None, ()),
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256", ()),
    ],
)
def test_an_identity_counts_only_if_its_key_was_used(
    version: str, suite: str | None, claims: tuple[str, ...]
) -> None:
    ended = FakeSSL(version=version, suite=suite)
    assert claims_of(cast("Any", ended), ":a") == claims


def test_names_of_all_kinds() -> None:
    certificate = {
        "subject": (
            (("domainComponent", "example"),),
            (("organizationName", "A, B"), ("serialNumber", "#1")),
            (("commonName", " me\0 "),),
        ),
        "subjectAltName": (
            ("DirName", ((("commonName", "x=y"),),)),
            ("IP Address", "FE80:0:0:0:0:0:0:1\n"),
            ("Registered ID", "1.2.3"),
        ),
    }
    assert claims_of(cast("Any", FakeSSL(certificate=certificate)), None)[1:] == (
        "subject:CN=\\ me\\00\\ ,O=A\\, B+serialNumber=\\#1,DC=example",
        "DirName:CN=x\\=y",
        "IP:fe80::1",
        "Registered ID:1.2.3",
    )
    only = {"subjectAltName": (("DNS", "h"),)}
    assert claims_of(cast("Any", FakeSSL(certificate=only)), None)[1:] == ("DNS:h",)


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
    # Others are told of.
    tls._leave_out_names(seen.append, other := type("X", (), {"exc_type": ValueError}))
    assert seen == [other]


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


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] something (_ssl.c:1)")
    error.reason = reason
    return error


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


# What is said


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("problem", "text", "help"),
    [
        (unverified(10, "expired"), "its certificate is out of date (expired)", "renewed"),
        (unverified(62, "no"), "its certificate is not for that name (no)", "one of the names"),
        (unverified(64, "no"), "its certificate is not for that name (no)", "one of the names"),
        (
            unverified(20, "unable"),
            "its certificate is not trusted (unable)",
            '{"coaps+tcp://h.example:7777/*": {"tlscert": {"certfile": "FILE"}}}',
        ),
        (ssl_error("WRONG_VERSION_NUMBER"), "what answers there speaks no TLS", "coap+tcp"),
        (
            ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"),
            "there is no version of TLS in common (tlsv1 alert protocol version)",
            "1.2 or 1.3",
        ),
        (ssl_error("UNSUPPORTED_PROTOCOL"), "no version of TLS in common", "1.2 or 1.3"),
        (ssl_error("TLSV1_ALERT_NO_APPLICATION_PROTOCOL"), "does not speak CoAP", "port"),
        (ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "refuses the handshake", "client-key"),
        (ssl_error("NO_CIPHERS"), "TLS fails (no ciphers)", "settings of TLS"),
        (ssl.SSLError(1, "strange"), "TLS fails (", "settings of TLS"),
        (ConnectionAbortedError("slow"), "does not finish the handshake in time", "coap+tcp"),
        (ssl.SSLEOFError(8, "EOF"), "closed the connection during the handshake", "coap+tcp"),
        (ConnectionResetError(), "closed the connection during the handshake", "coap+tcp"),
    ],
)
def test_failures_say_what_is_wrong_and_what_to_do(
    client: TLSClient, problem: OSError, text: str, help: str
) -> None:
    error = client._failure(problem, Origin("h.example", 7777))
    assert isinstance(error, NetworkError)
    assert str(error).startswith("can not connect to h.example:7777 over TLS: ")
    assert text in str(error)
    assert help in (error.extra_help() or "")


def test_failures_below_tls(client: TLSClient) -> None:
    error = client._failure(ConnectionRefusedError(111, "x"), Origin("::1", 5684))
    assert type(error) is ConnectError
    assert str(error) == "can not connect to [::1]:5684 over TLS: Connection refused"


async def test_servers_open_nothing(server: TLSServer) -> None:
    message = Message(code=GET, uri="coaps+tcp://localhost/")
    assert await server.resolve(message) is server.resolve_now(message) is None
    await server._stop_listening()
    assert server.bound_address is None

"""TLS: what contexts are prepared with, who is who, and what is said when there is none."""

from __future__ import annotations

import logging
import ssl
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from aiocoap.credentials import CredentialsMap, CredentialsMissingError
from aiocoap.error import NetworkError, ResolutionError
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports import tls
from aiocoap.transports.rfc8323common import Origin
from aiocoap.transports.tcp import ConnectError
from aiocoap.transports.tls import TLSClient, TlsConnection, TlsError, TLSServer
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
    callback, kind = context.sni_callback, context.sslobject_class
    tls._prepare(context, CredentialsMap())
    assert (context.sni_callback, context.sslobject_class) == (callback, kind)


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
    assert tls._claims(server) == (
        f"sha256:{made.client.fingerprint}",
        "subject:CN=me",
        "DNS:me.example",
        "email:me@example.org",
        "URI:urn:dev:os:1-2",
    )
    if mode is ssl.CERT_OPTIONAL:
        server, _ = shaken(context, client_context(made))
        assert tls._claims(server) == ()
    else:
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            shaken(context, client_context(made))


def test_certificates_nobody_asked_for_are_no_claim(made: Certificates) -> None:
    context = server_context(made)
    tls._prepare(context, CredentialsMap())
    server, client = shaken(context, client_context(made, with_certificate=True))
    assert tls._claims(server) == ()
    assert tls._claims(client) == (
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
def test_the_name_asked_for_is_remembered(made: Certificates, name: str, known: str | None) -> None:
    context = server_context(made)
    tls._prepare(context, CredentialsMap())
    client = client_context(made)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    server, _ = shaken(context, client, name)
    assert getattr(server, "name_asked_for") == known  # noqa: B009


def test_who_else_wants_to_know_the_name_still_does(made: Certificates) -> None:
    context = server_context(made)
    heard = []
    other = server_context(made)

    class Own(ssl.SSLObject):
        pass

    def listen(ssl_object: ssl.SSLObject, name: str, context: ssl.SSLContext) -> int | None:
        heard.append(name)
        return None if name == "localhost" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = listen
    context.sslobject_class = Own
    tls._prepare(context, CredentialsMap())
    heard.clear()
    server, _ = shaken(context, client_context(made))
    assert heard == ["localhost"]
    assert isinstance(server, Own)
    with pytest.raises(ssl.SSLError):
        shaken(context, client_context(made), "elsewhere")
    # What the listener remembers is no concern of objects that are not ours.
    listener = cast("Any", context.sni_callback)
    theirs = other.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert listener(theirs, "localhost", other) is None
    assert not hasattr(theirs, "name_asked_for")


def test_names_that_are_no_ascii_cause_no_traceback(
    made: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    context = server_context(made)
    tls._prepare(context, CredentialsMap())
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello, unused = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(made).wrap_bio(unused, hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    there.write(hello.read().replace(b"localhost", b"l\xc3\xb6calhos"))
    server = context.wrap_bio(there, back, server_side=True)
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    assert seen == []
    assert sys.unraisablehook == seen.append
    # Others are told of.
    tls._leave_out_names(seen.append, other := type("X", (), {"exc_type": ValueError}))
    assert seen == [other]


# Keys


class KeyContext(ssl.SSLContext):
    """A context as Python has them from 3.13 on, which does not do anything with keys."""

    def set_psk_server_callback(self, callback: Any, hint: str | None = None) -> None:
        self.key_of = callback


def test_keys_of_clients(made: Certificates) -> None:
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
    observed = tls._ObservedHandshake()
    tls._at_work.ssl_object = observed
    try:
        context.key_of("bob")
        assert observed.known_as is None
        context.key_of("alice")
        assert observed.known_as == ":a"
    finally:
        tls._at_work.ssl_object = None


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
        name: str | None = None,
        known_as: str | None = None,
        version: str = "TLSv1.2",
        suite: str | None = "ECDHE-PSK-CHACHA20-POLY1305",
        certificate: dict[str, Any] | None = None,
    ) -> None:
        self.alpn = alpn
        self.name_asked_for = name
        self.known_as = known_as
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
    ended = FakeSSL(known_as=":a", version=version, suite=suite)
    assert tls._claims(cast("Any", ended)) == claims


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
    assert tls._claims(cast("Any", FakeSSL(certificate=certificate)))[1:] == (
        "subject:CN=\\ me\\00\\ ,O=A\\, B+serialNumber=\\#1,DC=example",
        "DirName:CN=x\\=y",
        "IP:fe80::1",
        "Registered ID:1.2.3",
    )
    only = {"subjectAltName": (("DNS", "h"),)}
    assert tls._claims(cast("Any", FakeSSL(certificate=only)))[1:] == ("DNS:h",)


# Connections


class FakeTransport:
    """A transport that is there but for its bytes."""

    def __init__(self, ssl_object: FakeSSL, port: int = 5684) -> None:
        self.extra = {
            "ssl_object": ssl_object,
            "sockname": ("::1", port, 0, 0),
            "peername": ("::1", port, 0, 0),
        }
        self.sent: list[bytes] = []
        self.is_aborted = False

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return False


class FakeLoop:
    """A loop in which no time passes, and nothing is done."""

    def time(self) -> float:
        return 0.0

    def call_soon(self, *args: Any) -> None:
        pass

    def call_at(self, *args: Any) -> Any:
        return self

    def cancel(self) -> None:
        pass


class FakeManager:
    """Takes down what it is told."""

    transport_tuning = TransportTuning()

    def __init__(self) -> None:
        self.client_credentials = CredentialsMap()
        self.errors: list[Any] = []

    def dispatch_error(self, error: Any, remote: Any) -> None:
        self.errors.append(error)


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


LOG = logging.getLogger("tests.tls")


@pytest.fixture
def client(manager: FakeManager) -> TLSClient:
    return TLSClient(cast("Any", manager), LOG, cast("Any", FakeLoop()))


def connected(client: TLSClient, ssl_object: FakeSSL, port: int) -> TlsConnection:
    connection = TlsConnection(
        client, LOG, client.loop, is_server=False, origin=Origin("h.example", port)
    )
    connection.connection_made(cast("Any", FakeTransport(ssl_object, port)))
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
    connection = connected(client, FakeSSL(alpn=alpn), port)
    assert (connection.end is None) is is_fine
    assert (connection in client.connections) is is_fine
    transport = cast("Any", connection._transport)
    assert transport.is_aborted is not is_fine
    if not is_fine:
        assert isinstance(connection.end, TlsError)
        assert "does not say that it speaks CoAP (by ALPN 'coap')" in str(connection.end)
        assert "5684" in (connection.end.extra_help() or "")


@pytest.mark.parametrize(("alpn", "is_fine"), [("coap", True), (None, True), ("h2", False)])
def test_servers_take_it_for_coap_if_nothing_else_is_said(
    manager: FakeManager, alpn: str | None, is_fine: bool
) -> None:
    server = TLSServer(cast("Any", manager), LOG, cast("Any", FakeLoop()))
    connection = server._accept()
    connection.connection_made(cast("Any", FakeTransport(FakeSSL(alpn=alpn), 7777)))
    assert (connection.end is None) is is_fine


@pytest.mark.parametrize(
    ("name", "port", "base"),
    [
        ("h.example", 5684, "coaps+tcp://h.example"),
        ("h.example", 7777, "coaps+tcp://h.example:7777"),
        (None, 7777, "coaps+tcp://[::1]:7777"),
    ],
)
def test_servers_go_by_the_name_that_they_are_asked_for(
    manager: FakeManager, name: str | None, port: int, base: str
) -> None:
    server = TLSServer(cast("Any", manager), LOG, cast("Any", FakeLoop()))
    connection = server._accept()
    connection.connection_made(cast("Any", FakeTransport(FakeSSL(name=name), port)))
    assert connection.uri_base_local == base


def test_claims_are_put_together_when_they_are_asked_for(client: TLSClient) -> None:
    connection = TlsConnection(client, LOG, client.loop, is_server=False, origin=Origin("h", 1))
    assert connection.authenticated_claims == ()
    connection = connected(client, FakeSSL(known_as=":a"), 5684)
    first = connection.authenticated_claims
    assert first == (":a",)
    assert connection.authenticated_claims is first


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] something (_ssl.c:1)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (
            ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            "it refuses the handshake (tlsv13 alert certificate required)",
        ),
        (None, "it closed the connection right after the handshake"),
        (ConnectionResetError(104, "reset"), "it closed the connection right after the handshake"),
    ],
)
def test_what_a_client_learns_after_the_handshake(
    client: TLSClient, manager: FakeManager, exc: Exception | None, text: str
) -> None:
    connection = connected(client, FakeSSL(), 7777)
    connection.connection_lost(exc)
    (error,) = manager.errors
    assert isinstance(error, TlsError)
    assert str(error) == f"h.example:7777: {text}"
    assert '"coaps+tcp://h.example:7777/*"' in (error.extra_help() or "")
    assert "client-certificate" in (error.extra_help() or "")


def test_later_it_is_an_end_like_any_other(client: TLSClient, manager: FakeManager) -> None:
    connection = connected(client, FakeSSL(), 5684)
    connection.data_received(b"\x00\xe1")  # a CSM
    connection.connection_lost(None)
    assert str(manager.errors[0]) == "h.example: the peer has closed the connection"


# What clients connect with


def test_settings(client: TLSClient, manager: FakeManager, made: Certificates) -> None:
    manager.client_credentials.load_from_dict(
        {"coaps+tcp://h.example/*": {"tlscert": {"certfile": made.authority.file}}}
    )
    for origin, name in (
        (Origin("h.example", 5684), "h.example"),
        (Origin("h.example.", 7777), "h.example"),
        (Origin("fe80::1%lo", 5684), "fe80::1"),
    ):
        settings = client._settings(origin)
        assert settings["server_hostname"] == name
        context = settings["ssl"]
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        is_own = [c["subject"] for c in context.get_ca_certs()] == [
            ((("commonName", "authority"),),)
        ]
        assert is_own is (origin.host == "h.example")
    assert settings["ssl_handshake_timeout"] == TransportTuning.CSM_TIMEOUT


def test_hosts_that_no_certificate_can_be_for(client: TLSClient) -> None:
    with pytest.raises(ResolutionError, match="is no host name"):
        client._settings(Origin("a..b", 5684))


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
        (ssl_error("NO_CIPHERS"), "the handshake fails (no ciphers)", "settings of TLS"),
        (ssl.SSLError(1, "strange"), "the handshake fails (", "settings of TLS"),
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


async def test_servers_open_nothing(manager: FakeManager) -> None:
    server = TLSServer(cast("Any", manager), LOG, cast("Any", FakeLoop()))
    assert not server._can_open()
    await server._stop_listening()
    assert server.bound_address is None

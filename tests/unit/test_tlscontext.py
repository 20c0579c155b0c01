"""Contexts of servers: what they offer, whom they trust, and what they hear in handshakes."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiocoap.credentials import CredentialsMap, CredentialsMissingError
from aiocoap.transports import tlscontext
from aiocoap.transports.tlsclaims import claims_of
from aiocoap.transports.tlscontext import heard_by, prepare
from tests.certificates import Certificates
from tests.unit.tls_parts import client_context, credentials, server_context, shaken


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def noted() -> Iterator[Any]:
    """What is noted in handshakes."""
    noted = SimpleNamespace(name_asked_for=None, known_as=None)
    with heard_by(noted):
        yield noted


# Contexts of servers


def test_a_prepared_context_offers_coap(made: Certificates) -> None:
    context = server_context(made)
    assert not tlscontext._selects(context, "coap")
    prepare(context, CredentialsMap())
    assert tlscontext._selects(context, "coap")
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
    prepare(context, CredentialsMap())
    for offered in ("coap", "h2", "http/1.1"):
        _, client = shaken(context, client_context(made, offered))
        assert client.selected_alpn_protocol() == offered
    # Nor does it matter how often it is prepared.
    callback = context.sni_callback
    prepare(context, CredentialsMap())
    assert context.sni_callback is callback


def test_old_versions_are_refused(made: Certificates) -> None:
    context = server_context(made)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    prepare(context, CredentialsMap())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    prepare(context, CredentialsMap())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_context_without_a_certificate_can_be_prepared() -> None:
    prepare(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), CredentialsMap())


def test_nothing_but_a_context_is_one() -> None:
    with pytest.raises(TypeError, match=r"ssl\.SSLContext, not True"):
        prepare(cast("ssl.SSLContext", True), CredentialsMap())


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_client_certificates(made: Certificates, mode: ssl.VerifyMode) -> None:
    context = server_context(made)
    context.verify_mode = mode
    prepare(context, credentials({":all": {"tlscert": {"certfile": made.authority.file}}}))
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


def test_authorities_that_are_gone(made: Certificates, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(Path(made.authority.file).read_text())
    loaded = credentials({":all": {"tlscert": {"certfile": str(path)}}})
    path.unlink()
    with pytest.raises(CredentialsMissingError, match=r"ca\.pem.*No such file"):
        prepare(server_context(made), loaded)


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
    prepare(context, CredentialsMap())
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
    prepare(context, CredentialsMap())
    heard.clear()
    # Nothing of ours is connected by this.
    shaken(context, client_context(made))
    assert heard == ["localhost"]
    with pytest.raises(ssl.SSLError):
        shaken(context, client_context(made), "elsewhere")


def test_what_nobody_could_catch_is_reported_unless_it_is_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []
    report = seen.append
    monkeypatch.setattr(sys, "unraisablehook", report)
    name = UnicodeDecodeError("ascii", b"\xc3", 0, 1, "not in range")
    told = [
        SimpleNamespace(exc_type=UnicodeDecodeError, exc_value=name, object=b"\xc3"),
        SimpleNamespace(exc_type=UnicodeDecodeError, exc_value=name, object=None),
        SimpleNamespace(exc_type=ValueError, exc_value=ValueError(), object=b"x"),
    ]
    with heard_by(SimpleNamespace()):
        for one in told:
            sys.unraisablehook(cast("Any", one))
    assert seen == told[1:]
    assert sys.unraisablehook is report


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
    prepare(context, credentials({":a": psk}))
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
    tlscontext._at_work.connection = None
    assert context.key_of("alice") == b"secret"


def test_keys_are_left_alone_where_python_can_not_use_them(made: Certificates) -> None:
    class Old:
        pass

    tlscontext._take_keys(cast("ssl.SSLContext", Old()), CredentialsMap())

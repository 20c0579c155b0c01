"""Claims: what certificates and keys prove, as text."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aiocoap.credentials import CredentialsMap
from aiocoap.transports.tlsclaims import claims_of
from aiocoap.transports.tlscontext import prepare
from tests.certificates import Certificates
from tests.unit.tls_parts import FakeSSL, client_context, server_context, shaken


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


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


def test_certificates_nobody_asked_for_are_no_claim(made: Certificates) -> None:
    context = server_context(made)
    prepare(context, CredentialsMap())
    server, client = shaken(context, client_context(made, with_certificate=True))
    assert claims_of(server, None) == ()
    assert claims_of(client, None) == (
        f"sha256:{made.server.fingerprint}",
        "subject:CN=server",
        "DNS:localhost",
        "IP:127.0.0.1",
        "IP:::1",
    )

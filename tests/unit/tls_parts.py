"""Contexts and ends of handshakes for tests of TLS."""

from __future__ import annotations

import ssl
from typing import Any

from aiocoap.credentials import CredentialsMap
from tests.certificates import Certificates


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

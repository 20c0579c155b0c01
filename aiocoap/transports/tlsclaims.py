"""What the other end of a connection over TLS has proved about itself.

Here lives :func:`claims_of`, which puts what a handshake has shown into texts that access decisions
can be made by.

The room knows certificates as the :mod:`ssl` module gives them, and no connection.

RFC 4514 (subjects as text), RFC 5280 section 4.2.1.6 (alternative names), RFC 4279 (keys).
"""

from __future__ import annotations

import hashlib
import re
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

__all__ = ["claims_of"]


def claims_of(ssl_object: ssl.SSLObject, known_as: str | None) -> tuple[str, ...]:
    """Return what the other end of a connection has proved about itself.

    Args:
        ssl_object: The connection's, after the handshake.
        known_as: The entry of the credentials whose key the peer has named, if it has named one.

    Returns:
        Texts as :attr:`aiocoap.transports.tls.TlsConnection.authenticated_claims` lists them.
    """
    if known_as is not None and ssl_object.version() == "TLSv1.2":
        suite = ssl_object.cipher()
        # That an identity was given proves nothing if the key was not used in the end.
        if suite is not None and "PSK" in suite[0]:
            return (known_as,)
    certificate: dict[str, Any] | None = ssl_object.getpeercert()
    if not certificate:
        # There is none, or it was not verified.
        return ()
    der = ssl_object.getpeercert(True)
    assert der is not None  # there is one
    found = [f"sha256:{hashlib.sha256(der).hexdigest()}"]
    if certificate.get("subject"):
        found.append(f"subject:{_distinguished_name(certificate['subject'])}")
    found += [_alternative_name(kind, name) for kind, name in certificate.get("subjectAltName", ())]
    return tuple(found)


def _alternative_name(kind: str, name: Any) -> str:
    """Return a subject's alternative name as a claim.

    >>> _alternative_name("IP Address", "2001:DB8:0:0:0:0:0:1")
    'IP:2001:db8::1'
    """
    if kind == "IP Address":
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        return f"IP:{socket.inet_ntop(family, socket.inet_pton(family, name.strip()))}"
    return f"{kind}:{_distinguished_name(name) if kind == 'DirName' else name}"


# RFC 4514 section 3; others go by the names that OpenSSL has for them.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_SPECIAL = re.compile(r'[\\,+"<>;=]|^[ #]| $')


def _distinguished_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """Return a name in the form of RFC 4514 section 2.

    >>> _distinguished_name(((("organizationName", "A, B"),), (("commonName", "me"),)))
    'CN=me,O=A\\\\, B'
    """
    return ",".join(
        "+".join(f"{_SHORT.get(t, t)}={_SPECIAL.sub(_escaped, v)}" for t, v in part)
        for part in reversed(name)
    ).replace("\0", "\\00")


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}"

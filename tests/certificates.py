"""Certificates for tests, made when they are needed: authorities, servers and clients.

The package that makes them is imported as late, so that other tests of a module do without it.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

START = datetime(2020, 1, 1)
END = START + timedelta(days=36500)


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    if name.startswith("urn:"):
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Made:
    """A certificate in files.

    Args:
        folder: Where the files are written.
        name: Its common name, and the beginning of the names of the files.
        names: What else it is for: names of hosts, addresses, mailboxes, URNs.
        by: Who signs it; None for itself.
        is_authority: Whether it may sign others.
        start: When it begins to be valid.
        end: When it ends to be valid.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *names: str,
        by: Made | None = None,
        is_authority: bool = False,
        start: datetime = START,
        end: datetime = END,
    ) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.subject if by is None else by.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            # What follows is asked for where the rules are taken at their word (RFC 5280).
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=is_authority,
                    crl_sign=is_authority,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    (self if by is None else by).key.public_key()
                ),
                critical=False,
            )
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(n) for n in names])
            builder = builder.add_extension(alternatives, critical=False)
        self.certificate = builder.sign(self.key if by is None else by.key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        stem = name.replace(" ", "-")
        self.file = str(folder / f"{stem}.pem")
        self.key_file = str(folder / f"{stem}-key.pem")
        Path(self.file).write_bytes(self.certificate.public_bytes(pem))
        Path(self.key_file).write_bytes(
            self.key.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def encrypted_key(self) -> bytes:
        """Return the private key as a file has it that asks for a password."""
        from cryptography.hazmat.primitives import serialization

        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal digits."""
        from cryptography.hazmat.primitives import hashes

        return self.certificate.fingerprint(hashes.SHA256()).hex()


class Certificates:
    """An authority, and what it has signed.

    Args:
        folder: Where the files are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Made(folder, "authority", is_authority=True)
        self.server = self.signed("server", "localhost", "127.0.0.1", "::1")
        self.client = self.signed("me", "me.example", "me@example.org", "urn:dev:os:1-2")

    def signed(self, name: str, *names: str, end: datetime = END) -> Made:
        """Return a certificate that the authority has signed."""
        return Made(self.folder, name, *names, by=self.authority, end=end)

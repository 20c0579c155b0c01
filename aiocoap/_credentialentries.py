"""Single credentials, and those made of others: what a program has for one place.

Here live the kinds of entries that a map of credentials can have.

The room knows what an entry says, and not which URI it is for; how keys are used is the business of
the transports and of OSCORE.  Keys never show up in a repr or in the text of an error.

RFC 7252 section 9 (DTLS modes), RFC 4279 (PSK), RFC 8613 section 3.2 (OSCORE parameters).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._credentialdata import CredentialsLoadError, byte_setting, load_json_object, read_file
from ._faults import HelpfulError

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "DTLS",
    "MAX_NESTING",
    "PSK_CIPHERS",
    "AllOf",
    "AnyOf",
    "CredentialReference",
    "CredentialsMissingError",
    "Listish",
    "OscoreEntry",
    "TLSCert",
    "construct_oscore",
    "flat",
    "follow",
    "load_own_certificate",
    "psk_client_context",
    "references",
    "tlscert",
]

MAX_NESTING = 8
"""Levels of lists in lists, and of references to references, that an entry may have."""

# Labels of header parameters in COSE (RFC 9052 section 3.1, RFC 8613 section 5.1).
_COSE_KID = 4
_COSE_KID_CONTEXT = 10


class CredentialsMissingError(HelpfulError, RuntimeError):
    """There are no credentials for a message, or none that the transport can use."""

    # What programs take it from, and their logs show.
    __module__ = "aiocoap.credentials"

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest to look at the credentials."""
        return "Look at what the credentials have for that URI, and at the files that they name."


class CredentialReference:
    """An entry that stands for the entry under a label (unstable).

    Args:
        target: The label, with its colon.
        map: Where to look it up; that is done when it is used.
    """

    __slots__ = ("map", "target")

    def __init__(self, target: str, map: Mapping[str, Any]) -> None:
        self.target = target
        self.map = map

    def resolve(self) -> Any:
        """Return the entry that is meant in the end.

        Raises:
            CredentialsMissingError: There is none under the label, or labels go round in a circle.
        """
        return follow(self, None)

    def as_dtls_psk(self) -> tuple[bytes, bytes]:
        """Return identity and key of the entry that is meant.

        Raises:
            CredentialsMissingError: It has none.
        """
        return _dtls_psk(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target!r}>"


def follow(reference: CredentialReference, known: Mapping[str, Any] | None) -> Any:
    """Return the entry that a reference leads to in the end.

    Args:
        reference: Where to begin.
        known: Entries to look labels up in; None takes each reference's own map.

    Raises:
        CredentialsMissingError: There is none under the label, or labels go round in a circle.
    """
    entry: Any = reference
    for _ in range(MAX_NESTING):
        if not isinstance(entry, CredentialReference):
            return entry
        try:
            entry = (entry.map if known is None else known)[entry.target]
        except KeyError:
            raise CredentialsMissingError(f"no credentials labelled {entry.target!r}") from None
    raise CredentialsMissingError(f"the label {reference.target!r} leads nowhere")


class Listish(list[Any]):
    """Several entries that belong together."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {super().__repr__()}>"


class AnyOf(Listish):
    """Entries, each of which is enough (unstable)."""

    def as_dtls_psk(self) -> tuple[bytes, bytes]:
        """Return identity and key of the first entry that has them.

        Raises:
            CredentialsMissingError: None has.
        """
        return _dtls_psk(self)


class AllOf(Listish):
    """Entries that are needed together, such as OSCORE inside DTLS (unstable)."""

    def as_dtls_psk(self) -> tuple[bytes, bytes]:
        """Return identity and key of the first entry that has them.

        Raises:
            CredentialsMissingError: None has.
        """
        return _dtls_psk(self)


class DTLS:
    """A pre-shared key for DTLS (unstable).

    Args:
        psk: The key.
        client_identity: The identity that tells the server which key it is.

    RFC 7252 section 9.1.3.1, RFC 4279.
    """

    __slots__ = ("client_identity", "psk")

    def __init__(self, psk: bytes, client_identity: bytes) -> None:
        self.psk = psk
        self.client_identity = client_identity

    def as_dtls_psk(self) -> tuple[bytes, bytes]:
        """Return identity and key."""
        return (self.client_identity, self.psk)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.client_identity!r}, key not shown>"


class TLSCert:
    """A certificate that a client trusts servers by, and what it shows of itself (unstable).

    It applies to whole servers: patterns are of the form ``coaps+tcp://HOST/*`` or
    ``coaps+tcp://*``.  Among a server's credentials, it is what clients are trusted by.

    Args:
        certfile: A file of one or more certificates, in PEM form; None for those that the system
            trusts.
        client_certificate: A file with a client's own certificate, followed by those between it
            and its authority, in PEM form.
        client_key: A file with the private key, not encrypted; None if it is in the same file.
    """

    __slots__ = ("certfile", "client_certificate", "client_key")

    def __init__(
        self,
        certfile: str | None,
        client_certificate: str | None = None,
        client_key: str | None = None,
    ) -> None:
        self.certfile = certfile
        self.client_certificate = client_certificate
        self.client_key = client_key

    def as_ssl_params(self) -> dict[str, Any]:
        """Return keyword arguments for :func:`ssl.create_default_context`."""
        return {} if self.certfile is None else {"cafile": self.certfile}

    def ssl_client_context(self) -> SSLContext:
        """Return what a client connects with.

        Raises:
            CredentialsMissingError: A file can not be used (any more).
        """
        import ssl

        try:
            context = ssl.create_default_context(**self.as_ssl_params())
        except OSError as problem:  # which SSLError is, too
            raise CredentialsMissingError(
                f"certificates in {self.certfile!r}: {problem.strerror}"
            ) from None
        if self.client_certificate is not None:
            load_own_certificate(context, self.client_certificate, self.client_key)
        return context

    def __repr__(self) -> str:
        names = [self.certfile, self.client_certificate]
        return f"<{type(self).__name__} {' '.join(repr(name) for name in names if name)}>"


def load_own_certificate(context: SSLContext, certificate: str, key: str | None) -> None:
    """Have a TLS context show a certificate (unstable).

    Args:
        context: The context.
        certificate: A file with the certificate, followed by those between it and its authority, in
            PEM form.
        key: A file with the private key, not encrypted; None if it is in the same file.

    Raises:
        CredentialsMissingError: A file can not be used; the text names it.
    """
    import ssl

    what = f"certificate and key in {certificate!r}"
    if key is not None:
        what += f" and {key!r}"

    def refuse() -> str:
        # Nobody is there to be asked for a password.
        raise CredentialsMissingError(f"{what}: the key is encrypted; it has to be there as it is")

    try:
        for name in (certificate, key or certificate):
            # The error of what comes then does not say which of them is missing.
            with open(name, "rb"):
                pass
        context.load_cert_chain(certificate, key, password=refuse)
    except ssl.SSLError as problem:
        why = (
            "do not fit together"
            if "MISMATCH" in str(problem)
            else "are not both there in PEM form"
        )
        raise CredentialsMissingError(f"{what}: they {why} ({problem})") from None
    except OSError as problem:
        raise CredentialsMissingError(f"{problem.filename!r}: {problem.strerror}") from None


class OscoreEntry:
    """An OSCORE security context that has been looked at, but not been taken into use (unstable).

    Taking it into use locks its directory, which only what sends and receives by it may do.

    Args:
        contextfile: Directory of the context.
        sender_id: Identifier in what is sent.
        recipient_id: Identifier in what comes in.
        id_context: What else tells the context from others, or None.

    RFC 8613 section 3.1.
    """

    __slots__ = ("contextfile", "id_context", "recipient_id", "sender_id")

    def __init__(
        self, contextfile: str, sender_id: bytes, recipient_id: bytes, id_context: bytes | None
    ) -> None:
        self.contextfile = contextfile
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self.id_context = id_context

    def get_oscore_context_for(self, unprotected: Mapping[int, Any]) -> OscoreEntry | None:
        """Return the entry itself, if a message is protected by its context.

        Args:
            unprotected: Unprotected header of the message's COSE object.

        RFC 8613 section 8.2 step 2.
        """
        if unprotected.get(_COSE_KID) != self.recipient_id:
            return None
        # A request need not name the ID Context (section 5.1).
        named = unprotected.get(_COSE_KID_CONTEXT)
        return self if named is None or named == self.id_context else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.contextfile!r}, keys not shown>"


def construct_oscore(contextfile: str) -> OscoreEntry:
    """Look at the directory of an OSCORE security context.

    The parameters are in ``settings.json`` and ``secrets.json``, or in one of them: ``secret``,
    ``sender-id`` and ``recipient-id``, and perhaps others, each with ``_hex`` or ``_ascii`` behind
    its name.

    Args:
        contextfile: The directory.

    Returns:
        What is needed to tell which messages it is for.

    Raises:
        CredentialsLoadError: There is no directory, or its files do not describe a context.
    """
    import os.path

    if not os.path.isdir(contextfile):
        raise CredentialsLoadError(f"{contextfile!r} is no directory")
    settings: dict[str, Any] = {}
    found = False
    for name in ("settings.json", "secrets.json"):
        path = os.path.join(contextfile, name)
        if not os.path.exists(path):
            continue
        found = True
        part = load_json_object(path)
        twice = settings.keys() & part.keys()
        if twice:
            raise CredentialsLoadError(f"{path!r}: {min(twice)!r} is in settings.json already")
        settings.update(part)
    if not found:
        raise CredentialsLoadError(
            f"{contextfile!r} has neither a settings.json nor a secrets.json"
        )
    try:
        byte_setting(settings, "secret")
        sender_id = byte_setting(settings, "sender-id")
        recipient_id = byte_setting(settings, "recipient-id")
        if "id-context_hex" in settings or "id-context_ascii" in settings:
            id_context = byte_setting(settings, "id-context")
        else:
            id_context = None
    except CredentialsLoadError as problem:
        raise CredentialsLoadError(f"{contextfile!r}: {problem}") from None
    return OscoreEntry(contextfile, sender_id, recipient_id, id_context)


def tlscert(
    certfile: str | None = None,
    client_certificate: str | None = None,
    client_key: str | None = None,
) -> TLSCert:
    """Return an entry for files of certificates.

    Raises:
        CredentialsLoadError: There is none, or no certificate in one.
    """
    if certfile is None and client_certificate is None:
        raise CredentialsLoadError("lacks certfile")
    if client_key is not None and client_certificate is None:
        raise CredentialsLoadError("lacks client-certificate")
    for name in (certfile, client_certificate):
        if name is not None and b"-----BEGIN CERTIFICATE-----" not in read_file(name):
            raise CredentialsLoadError(f"{name!r} has no certificate in PEM form")
    if client_key is not None and b"PRIVATE KEY-----" not in read_file(client_key):
        raise CredentialsLoadError(f"{client_key!r} has no private key in PEM form")
    return TLSCert(certfile, client_certificate, client_key)


def references(entry: Any) -> Iterator[CredentialReference]:
    """Yield the references in an entry."""
    if isinstance(entry, CredentialReference):
        yield entry
    elif isinstance(entry, Listish):
        for part in entry:
            yield from references(part)


def flat(entry: Any) -> Iterator[Any]:
    """Yield the single entries that an entry consists of, references resolved.

    Each list is looked into once, so that lists which refer to each other come to an end.
    """
    waiting = [entry]
    seen = set()
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, CredentialReference):
            try:
                entry = entry.resolve()
            except CredentialsMissingError:
                continue
        if isinstance(entry, Listish):
            if id(entry) not in seen:
                seen.add(id(entry))
                waiting.extend(reversed(entry))
        else:
            yield entry


def _dtls_psk(entry: Any) -> tuple[bytes, bytes]:
    """Return identity and key of the first single entry that has them.

    Raises:
        CredentialsMissingError: None has.
    """
    for single in flat(entry):
        if isinstance(single, DTLS):
            return single.as_dtls_psk()
    raise CredentialsMissingError(f"{entry!r} has no key for DTLS")


def psk_client_context(entry: DTLS) -> SSLContext:
    """Return what a client connects with that shares a key with the server.

    Raises:
        CredentialsMissingError: This Python can not do that, or not with that identity.

    RFC 4279, RFC 7925 section 4.2.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    set_callback = getattr(context, "set_psk_client_callback", None)
    if set_callback is None:
        raise CredentialsMissingError(
            "pre-shared keys can be used for TLS from Python 3.13 on, and this is an older one"
        )
    identity, psk = entry.as_dtls_psk()
    try:
        name = identity.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialsMissingError("the client-identity is no UTF-8 text") from None
    # It is the key that proves who the server is.  That holds only where nothing but suites with
    # a key can be chosen, which can not be had from version 1.3.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(PSK_CIPHERS)
    set_callback(lambda hint: (name, psk))
    return context


PSK_CIPHERS = "kECDHEPSK:kDHEPSK:kPSK:!eNULL:!aNULL:!SHA1:!CAMELLIA:!ARIA"
"""Cipher suites for pre-shared keys up to TLS 1.2, as OpenSSL calls them."""

"""Credentials: what a program proves its identity with, and where it does so.

Here live the map from URIs to credentials, the kinds of entries, and the loading of both from the
plain data of a credentials file.

The room knows what entries say; how keys are used is the business of the transports and of OSCORE,
which look their entry up here.  Keys never show up in a repr or in the text of an error.

RFC 7252 section 9 (DTLS modes), RFC 4279 (PSK), RFC 8613 section 3.2 (OSCORE parameters).

A credentials file is a JSON object with an entry for each pattern of URIs (on clients) or for each
label (where a server knows its clients by it, or where several patterns share an entry)::

    {
      "coap://localhost/*":       {"oscore": {"contextfile": "for-localhost/"}},
      "coaps://sensor.example/*": {"dtls": {"psk": {"hex": "0102030405060708"},
                                            "client-identity": {"ascii": "me"}}},
      "coaps+tcp://*":            {"tlscert": {"certfile": "ca.pem"}},
      "coaps://*":                {"any-of": [":old", ":new"]},
      ":old":                     {"dtls": ...},
      ":new":                     {"dtls": ...}
    }

A ``*`` stands for any characters.  Of several patterns that match, one without a ``*`` counts most,
then the one with the most other characters.

What a client shows of itself by TLS stands beside what it trusts servers by; without a
``certfile``, it trusts those that the system does::

    {"coaps+tcp://h.example/*": {"tlscert": {"certfile": "ca.pem",
                                             "client-certificate": "me.pem",
                                             "client-key": "me-key.pem"}}}

Among a server's credentials, the ``certfile`` of a ``tlscert`` has the authorities whose clients it
trusts, and a ``dtls`` entry is a client that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ._credentialdata import (
    CredentialsLoadError,
    byte_setting,
    load_json_object,
    read_file,
    to_filename,
    to_identity,
    to_psk,
)
from ._faults import HelpfulError, IncompleteUrlError, MalformedUrlError
from .message import Message
from .requesturi import compose, decompose

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "DTLS",
    "AllOf",
    "AnyOf",
    "CredentialReference",
    "CredentialsLoadError",
    "CredentialsMap",
    "CredentialsMissingError",
    "OscoreEntry",
    "TLSCert",
    "construct_oscore",
    "load_own_certificate",
]

MAX_NESTING = 8
"""Levels of lists in lists, and of references to references, that an entry may have."""

# Labels of header parameters in COSE (RFC 9052 section 3.1, RFC 8613 section 5.1).
_COSE_KID = 4
_COSE_KID_CONTEXT = 10


class CredentialsMissingError(HelpfulError, RuntimeError):
    """There are no credentials for a message, or none that the transport can use."""

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

    def __init__(self, target: str, map: CredentialsMap) -> None:
        self.target = target
        self.map = map

    def resolve(self) -> Any:
        """Return the entry that is meant in the end.

        Raises:
            CredentialsMissingError: There is none under the label, or labels go round in a circle.
        """
        return _follow(self, None)

    def as_dtls_psk(self) -> tuple[bytes, bytes]:
        """Return identity and key of the entry that is meant.

        Raises:
            CredentialsMissingError: It has none.
        """
        return _dtls_psk(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target!r}>"


def _follow(reference: CredentialReference, known: Mapping[str, Any] | None) -> Any:
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


class _Listish(list[Any]):
    """Several entries that belong together."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {super().__repr__()}>"


class AnyOf(_Listish):
    """Entries, each of which is enough (unstable)."""

    def as_dtls_psk(self) -> tuple[bytes, bytes]:
        """Return identity and key of the first entry that has them.

        Raises:
            CredentialsMissingError: None has.
        """
        return _dtls_psk(self)


class AllOf(_Listish):
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


def _tlscert(
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


# Kinds of entries: what makes one, and what reads each of its members.
_KINDS: dict[str, tuple[Callable[..., Any], dict[str, Callable[[object], Any]]]] = {
    "dtls": (DTLS, {"psk": to_psk, "client-identity": to_identity}),
    "tlscert": (
        _tlscert,
        {"certfile": to_filename, "client-certificate": to_filename, "client-key": to_filename},
    ),
    "oscore": (construct_oscore, {"contextfile": to_filename}),
}
# Those that do not need all of their members, and see for themselves what they do need.
_FLEXIBLE = frozenset((_tlscert,))
_LISTS: dict[str, type[_Listish]] = {"any-of": AnyOf, "all-of": AllOf}


class CredentialsMap(dict[str, Any]):
    """Credentials by URI pattern or label (unstable).

    Clients look up what to present at a URI; servers go through all entries to find who a client
    is.  The credentials of the two roles are kept in different maps, so that a server does not
    accept what it only is a client with.
    """

    __slots__ = ("_system_trusting",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By scheme: what trusts the certificates that the system trusts.
        self._system_trusting: dict[str, SSLContext] = {}

    def load_from_dict(self, d: Mapping[str, Any]) -> None:
        """Add the entries of a credentials file, in place of any of the same keys.

        Nothing is added where one is wrong.  Unlike in JSON, bytes can stand for themselves.

        Args:
            d: Plain data, as the module's description shows them.

        Raises:
            CredentialsLoadError: They are no credentials; the text names the entry.
        """
        if not isinstance(d, Mapping):
            raise CredentialsLoadError("credentials need to be an object")
        new: dict[str, Any] = {}
        for key, item in d.items():
            try:
                _check_key(key)
                new[key] = self._entry(item, 0)
            except CredentialsLoadError as problem:
                raise CredentialsLoadError(f"{key!r}: {problem}") from None
        known = {**self, **new}
        for key, entry in new.items():
            for reference in _references(entry):
                try:
                    _follow(reference, known)
                except CredentialsMissingError as problem:
                    raise CredentialsLoadError(f"{key!r}: {problem}") from None
        self.update(new)

    def _entry(self, item: object, depth: int) -> Any:
        """Make an entry of plain data.

        Raises:
            CredentialsLoadError: They are none; the text names the place inside the entry.
        """
        if depth > MAX_NESTING:
            raise CredentialsLoadError("is nested too deeply")
        if isinstance(item, str) and item.startswith(":"):
            return CredentialReference(item, self)
        if not isinstance(item, dict) or len(item) != 1:
            kinds = ", ".join((*_KINDS, *_LISTS))
            raise CredentialsLoadError(
                f'needs to be a label like ":label", or an object of one of {kinds}'
            )
        ((kind, content),) = item.items()
        try:
            if kind in _LISTS:
                return self._list(_LISTS[kind], content, depth)
            if kind in _KINDS:
                return _object(*_KINDS[kind], content)
        except CredentialsLoadError as problem:
            raise CredentialsLoadError(f"{kind}: {problem}") from None
        raise CredentialsLoadError(
            f"{kind!r} is no kind of credentials; those are {', '.join((*_KINDS, *_LISTS))}"
        )

    def _list(self, kind: type[_Listish], content: object, depth: int) -> _Listish:
        """Make an entry of several.

        Raises:
            CredentialsLoadError: The data do not describe one.
        """
        if not isinstance(content, list) or not content:
            raise CredentialsLoadError("needs to be a list of entries")
        entries = kind()
        for index, item in enumerate(content):
            try:
                entries.append(self._entry(item, depth + 1))
            except CredentialsLoadError as problem:
                raise CredentialsLoadError(f"[{index}]: {problem}") from None
        return entries

    def _keys_matching(self, uri: str) -> list[str]:
        """Return the patterns that match a URI, the most specific one first."""
        matching = [
            key for key in self if not key.startswith(":") and _matches(_normalized(key), uri)
        ]
        matching.sort(key=_specificity, reverse=True)
        return matching

    def credentials_from_request(self, msg: Message) -> Any:
        """Return the entry whose pattern matches a request's URI most specifically.

        Args:
            msg: A request that has a URI.

        Returns:
            The entry; where that is a reference, the one that is meant.

        Raises:
            CredentialsMissingError: There is none.
            Error: The request has no URI (see :meth:`aiocoap.message.Message.get_request_uri`).
        """
        if not self:
            raise CredentialsMissingError("there are no credentials")
        uri = msg.get_request_uri(local_is_server=False)
        for key in self._keys_matching(uri):
            entry = self[key]
            return entry.resolve() if isinstance(entry, CredentialReference) else entry
        raise CredentialsMissingError(f"there are no credentials for {uri}")

    def ssl_client_context(self, scheme: str, hostinfo: str) -> SSLContext:
        """Return what a client connects to a server by TLS with.

        Args:
            scheme: Scheme of the requests.
            hostinfo: The server as ``host[:port]``.

        Returns:
            A context that trusts the certificates of the most specific entry, or shares its key
            (if the entry is one for the scheme: keys under ``*`` are those of DTLS alone); where
            there is none, it trusts the certificates that the system trusts, and is the same for
            all servers of the scheme.

        Raises:
            CredentialsMissingError: The certificates can not be used (any more), or a key is to
                be used, and this Python can not do that.
        """
        import ssl

        root = _normalized(f"{scheme}://{hostinfo}/")
        for key in (*self._keys_matching(root), f"{scheme}://"):
            # The whole of a scheme may be written without the star, too.
            for entry in _flat(self.get(key)):
                if isinstance(entry, TLSCert):
                    return entry.ssl_client_context()
                if isinstance(entry, DTLS) and key.startswith(f"{scheme}:"):
                    return _psk_client_context(entry)
        context = self._system_trusting.get(scheme)
        if context is None:
            # There are many, and reading them takes longer than all else about a connection.
            context = self._system_trusting[scheme] = ssl.create_default_context()
        return context

    def client_authorities(self) -> list[str]:
        """Return the files of certificates that a server trusts its clients by."""
        found: dict[str, None] = {}
        for entry in self.values():
            for single in _flat(entry):
                if isinstance(single, TLSCert) and single.certfile is not None:
                    found[single.certfile] = None
        return list(found)

    def find_dtls_psk(self, identity: bytes) -> tuple[str, bytes]:
        """Return whom a server knows by an identity.

        Args:
            identity: What a client says that it is.

        Returns:
            The key in this map of the first entry that has the identity, and the pre-shared key.

        Raises:
            KeyError: Nobody has it.
        """
        for key, entry in self.items():
            for single in _flat(entry):
                if isinstance(single, DTLS) and single.client_identity == identity:
                    return key, single.psk
        raise KeyError("nobody is known by the identity")

    def has_dtls_psk(self) -> bool:
        """Whether any client is known by a pre-shared key."""
        return any(isinstance(e, DTLS) for entry in self.values() for e in _flat(entry))

    def find_oscore(self, unprotected: Mapping[int, Any]) -> Any:
        """Return the security context that an incoming message is protected by.

        Args:
            unprotected: Unprotected header of the message's COSE object.

        Returns:
            The first context that takes it for its own.

        Raises:
            KeyError: None does.
        """
        for entry in self.values():
            for single in _flat(entry):
                find = getattr(single, "get_oscore_context_for", None)
                context = None if find is None else find(unprotected)
                if context is not None:
                    return context
        raise KeyError("no OSCORE context fits")


def _check_key(key: object) -> None:
    """Refuse keys under which nothing could ever be found.

    Raises:
        CredentialsLoadError: It is such a one.
    """
    if not isinstance(key, str):
        raise CredentialsLoadError("is no text")
    is_label = key.startswith(":") and len(key) > 1
    if not is_label and "://" not in key and not key.endswith("*"):
        raise CredentialsLoadError(
            'is neither a pattern like "coap://host.example/*" nor a label like ":label"'
        )


def _object(
    make: Callable[..., Any], members: dict[str, Callable[[object], Any]], content: object
) -> Any:
    """Make a single entry of its members.

    Raises:
        CredentialsLoadError: One is missing, unknown or malformed.
    """
    if not isinstance(content, dict):
        raise CredentialsLoadError(f"needs to be an object with {', '.join(members)}")
    arguments = {}
    for name, item in content.items():
        if name not in members:
            raise CredentialsLoadError(f"{name!r} is not known here, only {', '.join(members)}")
        try:
            arguments[name.replace("-", "_")] = members[name](item)
        except CredentialsLoadError as problem:
            raise CredentialsLoadError(f"{name}: {problem}") from None
    missing = [name for name in members if name not in content]
    if missing and make not in _FLEXIBLE:
        raise CredentialsLoadError(f"lacks {', '.join(missing)}")
    return make(**arguments)


def _references(entry: Any) -> Iterator[CredentialReference]:
    """Yield the references in an entry."""
    if isinstance(entry, CredentialReference):
        yield entry
    elif isinstance(entry, _Listish):
        for part in entry:
            yield from _references(part)


def _flat(entry: Any) -> Iterator[Any]:
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
        if isinstance(entry, _Listish):
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
    for single in _flat(entry):
        if isinstance(single, DTLS):
            return single.as_dtls_psk()
    raise CredentialsMissingError(f"{entry!r} has no key for DTLS")


def _psk_client_context(entry: DTLS) -> SSLContext:
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


def _specificity(pattern: str) -> tuple[bool, int]:
    """Return what patterns are compared by; the greater is the more specific."""
    return ("*" not in pattern, len(pattern) - pattern.count("*"))


@lru_cache(maxsize=256)
def _normalized(pattern: str) -> str:
    """Return a pattern with scheme and authority as URIs of requests have them.

    Those are in lower case, without the default port and with addresses in their usual form.
    """
    scheme, separator, rest = pattern.partition("://")
    authority, _, path = rest.partition("/")
    if not separator or not authority or any(c in scheme + authority for c in "*?#"):
        return pattern
    try:
        parts = decompose(f"{scheme}://{authority}")
        root = compose(parts.scheme, parts.hostinfo, parts.uri_host, None, (), ())
    except (IncompleteUrlError, MalformedUrlError):
        return pattern
    # A URI without a path is one of the root (RFC 7252 section 6.3).
    return root + path


def _matches(pattern: str, uri: str) -> bool:
    """Whether a URI matches a pattern, in which ``*`` stands for any characters.

    It takes time in proportion to the length of the two, whatever stands in them.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return uri == pattern
    *middle, last = rest
    position, end = len(first), len(uri) - len(last)
    if not uri.startswith(first) or not uri.endswith(last) or position > end:
        return False
    for part in middle:
        position = uri.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True

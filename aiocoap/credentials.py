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
from ._faults import IncompleteUrlError, MalformedUrlError
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
]

MAX_NESTING = 8
"""Levels of lists in lists, and of references to references, that an entry may have."""

# Labels of header parameters in COSE (RFC 9052 section 3.1, RFC 8613 section 5.1).
_COSE_KID = 4
_COSE_KID_CONTEXT = 10


class CredentialsMissingError(RuntimeError):
    """There are no credentials for a message, or none that the transport can use."""


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
    """A certificate that a client trusts servers by (unstable).

    It applies to whole servers: patterns are of the form ``coaps+tcp://HOST/*`` or
    ``coaps+tcp://*``.

    Args:
        certfile: A file of one or more certificates, in PEM form.
    """

    __slots__ = ("certfile",)

    def __init__(self, certfile: str) -> None:
        self.certfile = certfile

    def as_ssl_params(self) -> dict[str, Any]:
        """Return keyword arguments for :func:`ssl.create_default_context`."""
        return {"cafile": self.certfile}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.certfile!r}>"


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


def _tlscert(certfile: str) -> TLSCert:
    """Return an entry for a file of certificates.

    Raises:
        CredentialsLoadError: There is no certificate in it.
    """
    if b"-----BEGIN CERTIFICATE-----" not in read_file(certfile):
        raise CredentialsLoadError(f"{certfile!r} has no certificate in PEM form")
    return TLSCert(certfile)


# Kinds of entries: what makes one, and what reads each of its members.
_KINDS: dict[str, tuple[Callable[..., Any], dict[str, Callable[[object], Any]]]] = {
    "dtls": (DTLS, {"psk": to_psk, "client-identity": to_identity}),
    "tlscert": (_tlscert, {"certfile": to_filename}),
    "oscore": (construct_oscore, {"contextfile": to_filename}),
}
_LISTS: dict[str, type[_Listish]] = {"any-of": AnyOf, "all-of": AllOf}


class CredentialsMap(dict[str, Any]):
    """Credentials by URI pattern or label (unstable).

    Clients look up what to present at a URI; servers go through all entries to find who a client
    is.  The credentials of the two roles are kept in different maps, so that a server does not
    accept what it only is a client with.
    """

    __slots__ = ()

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

    def _matching(self, uri: str) -> Iterator[Any]:
        """Yield the entries for a URI, the most specific one first, references resolved."""
        matching = [
            (_specificity(key), key)
            for key in self
            if not key.startswith(":") and _matches(_normalized(key), uri)
        ]
        matching.sort(key=lambda pair: pair[0], reverse=True)
        for _, key in matching:
            entry = self[key]
            yield entry.resolve() if isinstance(entry, CredentialReference) else entry

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
        for entry in self._matching(uri):
            return entry
        raise CredentialsMissingError(f"there are no credentials for {uri}")

    def ssl_client_context(self, scheme: str, hostinfo: str) -> SSLContext:
        """Return what a client connects to a server by TLS with.

        Args:
            scheme: Scheme of the requests.
            hostinfo: The server as ``host[:port]``.

        Returns:
            A context that trusts the certificates of the most specific entry; where there is
            none, those that the system trusts.

        Raises:
            CredentialsMissingError: The certificates can not be read (any more).
        """
        import ssl

        # The whole of a scheme may be written without the star, too.
        whole_scheme = self.get(f"{scheme}://")
        for entry in (*self._matching(_normalized(f"{scheme}://{hostinfo}/")), whole_scheme):
            cert = next((e for e in _flat(entry) if isinstance(e, TLSCert)), None)
            if cert is not None:
                try:
                    return ssl.create_default_context(**cert.as_ssl_params())
                except OSError as problem:  # which SSLError is, too
                    raise CredentialsMissingError(
                        f"certificates in {cert.certfile!r}: {problem.strerror}"
                    ) from None
        return ssl.create_default_context()

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
    if missing:
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

"""Credentials: what a program proves its identity with, and where it does so.

Here lives the map from URIs to credentials, and its loading from the plain data of a credentials
file.

The room knows which entry is for what; what an entry says is at home in a room of its own, and how
keys are used is the business of the transports and of OSCORE, which look their entry up here.

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

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ._credentialdata import CredentialsLoadError, to_filename, to_identity, to_psk
from ._credentialentries import (
    DTLS,
    MAX_NESTING,
    AllOf,
    AnyOf,
    CredentialReference,
    CredentialsMissingError,
    Listish,
    OscoreEntry,
    TLSCert,
    construct_oscore,
    flat,
    follow,
    load_own_certificate,
    psk_client_context,
    references,
    tlscert,
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
    "load_own_certificate",
]

# Kinds of entries: what makes one, and what reads each of its members.
_KINDS: dict[str, tuple[Callable[..., Any], dict[str, Callable[[object], Any]]]] = {
    "dtls": (DTLS, {"psk": to_psk, "client-identity": to_identity}),
    "tlscert": (
        tlscert,
        {"certfile": to_filename, "client-certificate": to_filename, "client-key": to_filename},
    ),
    "oscore": (construct_oscore, {"contextfile": to_filename}),
}
# Those that do not need all of their members, and see for themselves what they do need.
_FLEXIBLE = frozenset((tlscert,))
_LISTS: dict[str, type[Listish]] = {"any-of": AnyOf, "all-of": AllOf}


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
            for reference in references(entry):
                try:
                    follow(reference, known)
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

    def _list(self, kind: type[Listish], content: object, depth: int) -> Listish:
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
            for entry in flat(self.get(key)):
                if isinstance(entry, TLSCert):
                    return entry.ssl_client_context()
                if isinstance(entry, DTLS) and key.startswith(f"{scheme}:"):
                    return psk_client_context(entry)
        context = self._system_trusting.get(scheme)
        if context is None:
            # There are many, and reading them takes longer than all else about a connection.
            context = self._system_trusting[scheme] = ssl.create_default_context()
        return context

    def client_authorities(self) -> list[str]:
        """Return the files of certificates that a server trusts its clients by."""
        found: dict[str, None] = {}
        for entry in self.values():
            for single in flat(entry):
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
            for single in flat(entry):
                if isinstance(single, DTLS) and single.client_identity == identity:
                    return key, single.psk
        raise KeyError("nobody is known by the identity")

    def has_dtls_psk(self) -> bool:
        """Whether any client is known by a pre-shared key."""
        return any(isinstance(e, DTLS) for entry in self.values() for e in flat(entry))

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
            for single in flat(entry):
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

"""What servers over TLS secure their connections by.

Here lives :func:`prepare`, which adds to a server's :class:`ssl.SSLContext` what it needs for CoAP:
the name of the protocol, the clients that are trusted by certificates or keys, and an ear for the
name that a client asks for.

The room knows contexts of the :mod:`ssl` module and credentials, and no connection: what is heard
in a handshake is told to whom :func:`heard_by` is told.

RFC 8323 sections 8.2 and 8.5, RFC 7925 section 4, RFC 4279 (keys).
"""

from __future__ import annotations

import re
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from .._credentialentries import PSK_CIPHERS
from ..credentials import CredentialsMap, CredentialsMissingError

__all__ = ["ALPN", "heard_by", "prepare"]

ALPN = "coap"
"""What CoAP is called in the handshake (RFC 8323 section 11.7)."""

_OTHER_ALPN = ("h2", "http/1.1")
# What contexts may offer that serve others than us as well.


class _Hearing(Protocol):
    """Who is told what is said in its handshake."""

    name_asked_for: str | None
    known_as: str | None


_at_work = threading.local()
# Whose handshake a callback is about; there may be a loop in each of several threads.

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", re.IGNORECASE)


def _leave_out_names(hook: Any, unraisable: Any) -> None:
    """Report an exception that nobody could catch, unless it is of the kind known here."""
    if unraisable.exc_type is not UnicodeDecodeError or not isinstance(unraisable.object, bytes):
        hook(unraisable)


@contextmanager
def heard_by(connection: _Hearing) -> Iterator[None]:
    """Have a connection told what is said in its handshake, as long as that goes on.

    Args:
        connection: Who is shaking hands.
    """
    # The ssl module reports names that are not ASCII by a traceback, each time that a stranger
    # asks for one.
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_leave_out_names, hook)
    _at_work.connection = connection
    try:
        yield
    finally:
        _at_work.connection = None
        sys.unraisablehook = hook


class _NameListener:
    """Remembers the name that clients ask for (SNI).

    Args:
        previous: What wants to know about that, too.
    """

    def __init__(self, previous: Any) -> None:
        self._previous = previous

    def __call__(
        self, ssl_object: ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> int | None:
        connection: _Hearing | None = getattr(_at_work, "connection", None)
        # It becomes part of URIs.
        if connection is not None and name is not None and _NAME.fullmatch(name):
            connection.name_asked_for = name.lower()
        if self._previous is None:
            return None
        answer: int | None = self._previous(ssl_object, name, context)
        return answer


def prepare(context: ssl.SSLContext, credentials: CredentialsMap) -> None:
    """Add to a server's context what it needs for CoAP.

    Raises:
        CredentialsMissingError: What the credentials say can not be used.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"a server's context is an ssl.SSLContext, not {context!r}")
    if context.minimum_version < ssl.TLSVersion.TLSv1_2:
        # RFC 7925 section 4, RFC 8996
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    authorities = credentials.client_authorities()
    for name in authorities:
        try:
            context.load_verify_locations(name)
        except OSError as problem:
            raise CredentialsMissingError(f"certificates in {name!r}: {problem.strerror}") from None
    if authorities and context.verify_mode is ssl.CERT_NONE:
        context.verify_mode = ssl.CERT_REQUIRED
    if credentials.has_dtls_psk():
        _take_keys(context, credentials)
    if not _selects(context, ALPN):
        others = [name for name in _OTHER_ALPN if _selects(context, name)]
        context.set_alpn_protocols([ALPN, *others])
    if not isinstance(context.sni_callback, _NameListener):
        context.sni_callback = _NameListener(context.sni_callback)


def _take_keys(context: ssl.SSLContext, credentials: CredentialsMap) -> None:
    """Let clients authenticate by pre-shared keys, if Python can do that.

    RFC 4279, RFC 7925 section 4.2.
    """
    set_callback = getattr(context, "set_psk_server_callback", None)
    if set_callback is None:
        # The credentials may be meant for DTLS.
        return
    # By version 1.3, it could not be told whether a key was used in the end.  Nor can it be told
    # whose session it was that is resumed.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    with_keys = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with_keys.set_ciphers(PSK_CIPHERS)
    suites = [suite["name"] for one in (context, with_keys) for suite in one.get_ciphers()]
    # Those of version 1.3 have other names, and can not be chosen.
    context.set_ciphers(":".join(name for name in suites if not name.startswith("TLS_")))

    def key_of(identity: str | None) -> bytes:
        try:
            known_as, psk = credentials.find_dtls_psk((identity or "").encode())
        except (KeyError, UnicodeError):
            return b""
        connection: _Hearing | None = getattr(_at_work, "connection", None)
        if connection is not None:
            connection.known_as = known_as
        return psk

    set_callback(key_of)


def _selects(context: ssl.SSLContext, protocol: str) -> bool:
    """Whether a server's context would choose a protocol that is the only one offered to it.

    It can not be asked for that, so it is tried out, in memory.
    """
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_mode = ssl.CERT_NONE
    asking.set_alpn_protocols([protocol])
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(back, there)
    server = context.wrap_bio(there, back, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            # It has no certificate.
            return False
    return client.selected_alpn_protocol() == protocol

"""Why there is no secure connection, in words, and what to do about it.

Here live :class:`TlsError` and :func:`explanation`, which tells what the :mod:`ssl` module means.

The room knows what OpenSSL calls things, and no connection.

RFC 8446 section 6 (alerts), RFC 8323 section 8.2.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping

from .tcp import ConnectError

__all__ = ["HELP_REFUSED", "TlsError", "explanation"]


class TlsError(ConnectError):
    """There is no secure connection.

    Args:
        text: What is wrong.
        help: What to do about it.
    """

    def __init__(self, text: str, help: str) -> None:
        super().__init__(text)
        self._help = help

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest what to do."""
        return self._help


def explanation(problem: Exception, server: str) -> tuple[str, str]:
    """Return what is wrong, and what to do about it.

    Args:
        problem: What the handshake has ended with.
        server: Scheme and authority of its URIs.

    Returns:
        What goes into the text of an error, and what its ``extra_help`` says.
    """
    plain = server.partition(":")[0].replace("coaps", "coap")
    if isinstance(problem, ssl.SSLCertVerificationError):
        said = problem.verify_message
        if problem.verify_code in _TIMES:
            return f"its certificate is out of date ({said})", _HELP_TIME
        if problem.verify_code in _NAMES:
            return f"its certificate is not for that name ({said})", _HELP_NAME
        return f"its certificate is not trusted ({said})", _HELP_TRUST.format(server)
    if isinstance(problem, ssl.SSLError) and not isinstance(problem, ssl.SSLEOFError):
        said = getattr(problem, "reason", None) or ""
        if said in _NO_TLS:
            return "what answers there speaks no TLS", _HELP_NO_TLS.format(plain)
        readable = said.replace("_", " ").lower() or str(problem)
        if "ALERT_PROTOCOL_VERSION" in said or said == "UNSUPPORTED_PROTOCOL":
            return f"there is no version of TLS in common ({readable})", _HELP_VERSION
        if "NO_APPLICATION_PROTOCOL" in said:
            return f"it does not speak CoAP there ({readable})", "Check the port."
        if _REFUSED.search(said):
            return f"it refuses the handshake ({readable})", HELP_REFUSED.format(server)
        return f"TLS fails ({readable})", _HELP_OTHER
    if isinstance(problem, ConnectionAbortedError):
        return "it does not finish the handshake in time", _HELP_NO_TLS.format(plain)
    return "it closed the connection during the handshake", _HELP_CLOSED.format(plain)


# X509_V_ERR_… of OpenSSL: not valid yet, not any more; for another host, address or mailbox.
_TIMES = frozenset((9, 10))
_NAMES = frozenset((62, 63, 64))
_NO_TLS = frozenset(
    (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_MESSAGE",
    )
)
_REFUSED = re.compile(
    "ALERT_(CERTIFICATE|BAD_CERT|UNSUPPORTED_CERT|NO_CERT|HANDSHAKE_FAIL|UNKNOWN_CA|ACCESS_DENIED"
    "|UNKNOWN_PSK|DECRYPT_ERROR|INSUFFICIENT_SECURITY)|CERTIFICATE_REQUIRED"
)
_HELP_TIME = "Have the server's certificate renewed, and check the clock of this machine."
_HELP_NAME = "Use one of the names that the certificate is for, in the URI."
_HELP_TRUST = (
    "If it is the right server, put its certificate, or that of the authority behind it, into a "
    'file, and name that in the credentials: {{"{}/*": {{"tlscert": '
    '{{"certfile": "FILE"}}}}}}.'
)
_HELP_NO_TLS = "Check the port; without TLS, the scheme is {}."
_HELP_CLOSED = (
    "Check the port (without TLS, the scheme is {}), and the credentials: the server may not "
    "accept them."
)
_HELP_VERSION = "Version 1.2 or 1.3 is needed at both ends."
HELP_REFUSED = (
    "The server may ask for a certificate; one is shown if the credentials have it: "
    '{{"{}/*": {{"tlscert": {{"certfile": "FILE", "client-certificate": "FILE", '
    '"client-key": "FILE"}}}}}}.'
)
_HELP_OTHER = "Check the port, keys and certificates, and the settings of TLS at both ends."

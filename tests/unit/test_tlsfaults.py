"""Failures of TLS in words: what is wrong, and what to do about it."""

from __future__ import annotations

import ssl

import pytest

from aiocoap.transports.tcp import ConnectError
from aiocoap.transports.tlsfaults import TlsError, explanation


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] something (_ssl.c:1)")
    error.reason = reason
    return error


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("problem", "text", "help"),
    [
        (unverified(10, "expired"), "its certificate is out of date (expired)", "renewed"),
        (unverified(62, "no"), "its certificate is not for that name (no)", "one of the names"),
        (unverified(64, "no"), "its certificate is not for that name (no)", "one of the names"),
        (
            unverified(20, "unable"),
            "its certificate is not trusted (unable)",
            '{"coaps+tcp://h.example:7777/*": {"tlscert": {"certfile": "FILE"}}}',
        ),
        (ssl_error("WRONG_VERSION_NUMBER"), "what answers there speaks no TLS", "coap+tcp"),
        (
            ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"),
            "there is no version of TLS in common (tlsv1 alert protocol version)",
            "1.2 or 1.3",
        ),
        (ssl_error("UNSUPPORTED_PROTOCOL"), "no version of TLS in common", "1.2 or 1.3"),
        (ssl_error("TLSV1_ALERT_NO_APPLICATION_PROTOCOL"), "does not speak CoAP", "port"),
        (ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "refuses the handshake", "client-key"),
        (ssl_error("NO_CIPHERS"), "TLS fails (no ciphers)", "settings of TLS"),
        (ssl.SSLError(1, "strange"), "TLS fails (", "settings of TLS"),
        (ConnectionAbortedError("slow"), "does not finish the handshake in time", "coap+tcp"),
        (ssl.SSLEOFError(8, "EOF"), "closed the connection during the handshake", "coap+tcp"),
        (ConnectionResetError(), "closed the connection during the handshake", "coap+tcp"),
    ],
)
def test_failures_say_what_is_wrong_and_what_to_do(problem: OSError, text: str, help: str) -> None:
    said = explanation(problem, "coaps+tcp://h.example:7777")
    assert text in said[0]
    assert help in said[1]


def test_errors_bring_their_help() -> None:
    error = TlsError("what is wrong", "what to do")
    assert isinstance(error, ConnectError)
    assert (str(error), error.extra_help()) == ("what is wrong", "what to do")

"""What of the use of the websockets library needs no socket; it is tested over sockets else."""

from __future__ import annotations

import logging

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

from aiocoap.transports import wslink
from aiocoap.transports.wslink import _is_authority, _printable, _Quiet, _reason_of, _text


@pytest.mark.parametrize(
    "text",
    [
        *("coap.example", "coap.example:80", "[2001:db8::1]", "[2001:db8::1]:8683", "192.0.2.1:1"),
        *("%C3%BC.example", "x" * 255),
    ],
)
def test_hosts(text: str) -> None:
    assert _is_authority(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "\u00fc.example", "a\nb"),
        *("x" * 256, "2001:db8::1", "[2001:db8::1", "a:70000", "a:x", "a\n"),
    ],
)
def test_what_is_no_host(text: str) -> None:
    assert not _is_authority(text)


class Broken(ConnectionClosedError):
    """The network's part."""

    def __init__(self, cause: BaseException | None) -> None:
        super().__init__(None, None)
        self.__cause__ = cause


@pytest.mark.parametrize(
    ("gone", "text"),
    [
        (ConnectionClosedOK(Close(1000, ""), None), r"has closed the connection \(1000\)"),
        (ConnectionClosedOK(Close(1001, "bye"), None), r"\(1001 bye\)"),
        (ConnectionClosedError(Close(1002, "\x1b[1m"), None), "\\(1002 \ufffd\\[1m\\)"),
        (ConnectionClosedError(None, Close(1009, "too big")), "can not go on: too big"),
        (Broken(ConnectionResetError(104, "reset by peer")), "broke: reset by peer"),
        (Broken(OSError("what")), "the connection broke$"),
        (Broken(None), "the connection broke$"),
    ],
)
def test_reasons(gone: ConnectionClosed, text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(_reason_of(gone))


def test_what_peers_say_does_no_harm() -> None:
    assert _printable("a\n\x1bb" + "c" * 300) == "a\ufffd\ufffdb" + "c" * 196
    assert _text(ValueError("x\0")) == "x\ufffd"
    assert _text(ValueError()) == "ValueError"


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.ERROR])
def test_the_library_is_heard_at_the_level_of_traffic(
    level: int, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("tests.wslink")
    quiet = logging.LoggerAdapter(_Quiet(log, {}), {"websocket": "any"})
    caplog.set_level(logging.INFO, log.name)
    quiet.log(level, "said %s", "once")
    assert not quiet.isEnabledFor(level)
    assert caplog.records == []
    caplog.set_level(logging.DEBUG, log.name)
    quiet.log(level, "said %s", "twice")
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [(logging.DEBUG, "said twice")]


def test_the_bound_has_room_for_an_ordinary_handshake() -> None:
    assert wslink.MAX_OPENING_SIZE >= 8192

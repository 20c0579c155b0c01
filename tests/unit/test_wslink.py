"""What of the use of the websockets library needs no socket; it is tested over sockets else."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from aiocoap.transports import wslink
from aiocoap.transports.wslink import (
    ClientLink,
    _is_authority,
    _printable,
    _Quiet,
    _reason_of,
    _text,
)


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


class Lane:
    """A transport that takes down what it is told."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


PING, PONG_SIZE = Frame(Opcode.PING, b"x").serialize(mask=False), 2 + 4 + 1
# A client masks what it sends.


def opened() -> tuple[ClientLink, Lane]:
    """Return a link whose handshake is complete, and what is below."""
    protocol = ClientProtocol(parse_uri("ws://h.example/"), state=State.OPEN)
    link, lane = ClientLink(cast("Any", Lane()), protocol), Lane()
    link.response = cast("Any", "what the server has answered")
    link.connection_made(cast("Any", lane))
    return link, lane


def pongs(lane: Lane) -> int:
    return len(lane.sent) // PONG_SIZE


async def test_others_have_their_turn_while_a_peer_sends_very_much() -> None:
    link, lane = opened()
    link.data_received(PING * 10_000)
    assert 0 < pongs(lane) <= wslink.PIECE // len(PING)
    assert not lane.is_reading
    assert link.held > 10_000
    # More may be on its way already.
    link.data_received(PING)
    while link.held:
        before = pongs(lane)
        await asyncio.sleep(0)
        assert pongs(lane) - before <= wslink.PIECE // len(PING) + 1
    assert pongs(lane) == 10_001
    assert lane.is_reading


async def test_what_has_come_is_taken_in_before_the_end() -> None:
    for end in (lambda link: link.eof_received(), lambda link: link.connection_lost(None)):
        link, lane = opened()
        link.data_received(PING * 10_000)
        end(link)
        assert link.held == 0
        assert pongs(lane) == 10_000
        await asyncio.sleep(0)


async def test_nothing_is_read_that_is_not_wanted() -> None:
    link, lane = opened()
    link.data_received(PING * 10_000)
    link.read_on(False)
    link.read_on(True)
    assert not lane.is_reading
    link.read_on(False)
    for _ in range(10):
        await asyncio.sleep(0)
    assert link.held == 0
    assert not lane.is_reading
    link.read_on(True)
    assert lane.is_reading


def test_the_bound_has_room_for_an_ordinary_handshake() -> None:
    assert wslink.MAX_OPENING_SIZE >= 8192

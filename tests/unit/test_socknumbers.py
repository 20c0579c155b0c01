"""Socket numbers come from the socket module, or else from the system's headers."""

from __future__ import annotations

import socket

import pytest

from aiocoap.util import socknumbers


def test_the_socket_module_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "IPV6_PKTINFO", 4711, raising=False)
    assert socknumbers._number("IPV6_PKTINFO", "linux") == 4711


@pytest.mark.parametrize(
    ("platform", "expected"), [("linux", 49), ("darwin", 61), ("freebsd13", 36), ("win32", -1)]
)
def test_headers_fill_in(monkeypatch: pytest.MonkeyPatch, platform: str, expected: int) -> None:
    monkeypatch.delattr(socket, "IPV6_RECVPKTINFO", raising=False)
    assert socknumbers._number("IPV6_RECVPKTINFO", platform) == expected


def test_only_linux_has_an_error_queue() -> None:
    assert socknumbers._HEADERS["linux"].keys() >= {"IPV6_RECVERR", "IP_RECVERR", "MSG_ERRQUEUE"}
    for platform in ("darwin", "freebsd"):
        assert "IPV6_RECVERR" not in socknumbers._HEADERS[platform]


def test_linux_numbers_agree_with_the_socket_module() -> None:
    for name, number in socknumbers._HEADERS["linux"].items():
        assert getattr(socket, name, number) == number


def test_this_machine_can_do_it() -> None:
    assert socknumbers.HAS_RECVERR
    assert socknumbers.HAS_PKTINFO

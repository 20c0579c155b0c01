"""The report on what is installed."""

from __future__ import annotations

import pytest

from aiocoap import defaults
from aiocoap.cli.defaults import report, sync_main
from aiocoap.meta import version
from aiocoap.transports.catalog import ROWS


def squeezed() -> list[str]:
    """Return the report's lines, blanks in a row made one."""
    return [" ".join(line.split()) for line in report().split("\n")]


def test_modules_that_are_there_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = report()
    assert text.startswith(f"aiocoap {version} on Python ")
    for name in ("dtls", "oscore", "ws", "linkheader", "prettyprint"):
        assert hasattr(defaults, f"{name}_missing_modules")
    monkeypatch.setattr(
        "aiocoap.cli.defaults._FEATURES",
        (("Dreams", "dreams", lambda: ["sheep", "androids"]), ("Rest", "rest", list)),
    )
    lines = squeezed()
    assert "Dreams: missing sheep, androids: pip install 'aiocoap[dreams]'" in lines
    assert "Rest: installed" in lines


def test_transports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOCOAP_CLIENT_TRANSPORT", "simple6:nonsense")
    monkeypatch.setenv("AIOCOAP_SERVER_TRANSPORT", "udp6")
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "0")
    lines = squeezed()
    assert "opened by clients: simple6, nonsense (AIOCOAP_CLIENT_TRANSPORT)" in lines
    assert "there is no transport nonsense" in lines
    assert "opened by servers: udp6 (AIOCOAP_SERVER_TRANSPORT)" in lines
    assert f"to choose from: {', '.join(ROWS)}" in lines
    assert "servers share their port: no (AIOCOAP_REUSE_PORT)" in lines
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "1")
    assert "servers share their port: yes (AIOCOAP_REUSE_PORT)" in squeezed()


def test_the_program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sync_main([])
    assert capsys.readouterr().out == report() + "\n"
    with pytest.raises(SystemExit) as leaving:
        sync_main(["--version"])
    assert not leaving.value.code
    capsys.readouterr()
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "perhaps")
    with pytest.raises(SystemExit) as leaving:
        sync_main([])
    assert leaving.value.code == 2
    assert "AIOCOAP_REUSE_PORT" in capsys.readouterr().err

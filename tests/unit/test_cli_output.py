"""Where the output of ``aiocoap-client`` goes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

import pytest

from aiocoap.cli._output import Output, Progress
from aiocoap.cli._present import Shown
from aiocoap.util.cli import UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# Standard output


@pytest.mark.parametrize("path", [None, "-"])
def test_standard_output(path: str | None, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with Output(path) as output:
        assert not output.is_terminal
        output.begin()
        output.show(Shown(b"\xfftext", ["note", "another"]))
    assert capfdbinary.readouterr() == (b"\xfftext", b"note\nanother\n")


def test_terminals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    with Output(None) as output:
        assert output.is_terminal
    with Output(str(tmp_path / "file")) as output:
        assert not output.is_terminal
    monkeypatch.setattr(sys, "stdout", None)
    with Output(None) as output:
        assert not output.is_terminal
        output.write(b"")
        with pytest.raises(OSError, match="standard output is closed"):
            output.write(b"x")


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left on device: 'standard output'"):
            Output(None).show(Shown(b"text", []))
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    with (
        Output("/dev/full") as output,
        pytest.raises(OSError, match="No space left on device: '/dev/full'"),
    ):
        output.write(b"text")


def test_a_closed_pipe_is_left_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(BrokenPipeError):
            Output(None).show(Shown(b"text", []))
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            closed.close()


# Files


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with Output(str(file)) as output:
        output.write(b"one\n")
        assert file.read_bytes() == b"one\n", "it is there at once"
        output.write(b"")
        output.write(b"two\n")
    assert file.read_bytes() == b"one\ntwo\n"


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"something long")
    with Output(str(file)) as output:
        assert file.read_bytes() == b"something long"
        output.write(b"short")
    assert file.read_bytes() == b"short"


def test_a_file_becomes_empty_where_the_output_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"something")
    for file in (old, new):
        with Output(str(file)) as output:
            output.begin()
        assert file.read_bytes() == b""


def test_failures_do_no_harm(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"something")
    for file in (old, new):
        with Output(str(file)) as output:
            output.show(Shown(b"", ["failed"]))
    assert old.read_bytes() == b"something"
    assert not new.exists()


def test_what_is_no_ordinary_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Output(str(fifo)) as output:
        output.write(b"text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    with Output("/dev/null") as output:
        output.write(b"text")


@pytest.mark.parametrize("name", ["", ".", "no/such/folder", "\0"])
def test_files_that_can_not_be_written_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--output: can not write") as complaint:
        Output(name)
    assert repr(name) in str(complaint.value)
    assert list(tmp_path.iterdir()) == []


# Progress


class Watched:
    """A progress line, what it shows, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.stderr = Terminal()
        monkeypatch.setattr(sys, "stderr", self.stderr)
        self.progress = Progress(lambda: self.now)

    def after(self, seconds: float, done: int, total: int | None = None) -> str:
        """Let time pass, and return what is shown of it."""
        self.now += seconds
        self.stderr.seek(0)
        self.stderr.truncate()
        self.progress(done, total)
        return self.stderr.getvalue()

    def clear(self) -> str:
        self.stderr.seek(0)
        self.stderr.truncate()
        self.progress.clear()
        return self.stderr.getvalue()


def test_short_transfers_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    assert watched.after(0.2, 1024, 2048) == ""
    assert watched.after(0.2, 2048, 2048) == ""
    assert watched.clear() == ""


def test_long_transfers_are_shown_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    assert watched.after(1, 10240, 102400) == "\r\x1b[K10,240 of 102,400 bytes (10 %), 10.0 KiB/s"
    assert watched.after(0.05, 11264, 102400) == ""
    assert (
        watched.after(0.95, 20480, 102400) == "\r\x1b[K20,480 of 102,400 bytes (20 %), 10.0 KiB/s"
    )
    assert watched.clear() == "\r\x1b[K"
    assert watched.clear() == ""


def test_a_size_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    assert watched.after(2, 10240) == "\r\x1b[K10,240 bytes, 5.0 KiB/s"
    assert watched.after(2, 20480, 0) == "\r\x1b[K20,480 bytes, 5.0 KiB/s"


def test_the_rate_is_that_of_the_present_body(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.after(10, 102400, 102400)
    assert watched.after(1, 1024) == "\r\x1b[K1,024 bytes, 10.0 KiB/s"
    assert watched.after(2, 2048) == "\r\x1b[K2,048 bytes, 1.0 KiB/s"


def test_who_wants_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Watched(monkeypatch)
    assert Progress.is_wanted(False, False)
    assert not Progress.is_wanted(True, False)
    assert not Progress.is_wanted(False, True)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not Progress.is_wanted(False, False)
    monkeypatch.setattr(sys, "stderr", None)
    assert not Progress.is_wanted(False, False)

"""aiocoap-client end to end: streams that are closed or full, and signals."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.client_runs import (
    CLIENT,
    PATIENCE,
    Result,
    Running,
    Terminal,
    environment,
    one_line,
    run,
)
from tests.tools.client_site import BIG
from tests.tools.test_client_beyond import observers

FILESERVER = [sys.executable, "-m", "aiocoap.cli.fileserver"]


def shell(command: list[str], *args: str, then: str, **changes: str) -> Result:
    """Run a program as a shell does, with redirections."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{shlex.join([*command, *args])} {then}"],
        capture_output=True,
        timeout=PATIENCE,
        # Output is to be buffered, as it is for users.
        env=environment(**changes) | {"PYTHONUNBUFFERED": ""},
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


# Streams


def test_a_payload_from_closed_input(base: str) -> None:
    put = [f"{base}/mirror", "-m", "PUT", "--payload", "@-"]
    one_line(shell(CLIENT, *put, then="<&-"), 2, "standard input", "closed")


def test_a_session_with_closed_input(base: str) -> None:
    result = shell(CLIENT, "--interactive", f"{base}/text", then="<&-")
    assert (result.code, result.out, result.err) == (0, b"hello", "")


def test_a_session_of_what_is_no_text(base: str) -> None:
    result = run("--interactive", stdin=b"\xff\n" + f"{base}/line".encode())
    assert (result.code, result.out) == (0, b"hello\n")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_no_standard_error(base: str, where: str) -> None:
    for args, code in (
        ([f"{base}/missing"], 4),
        (["no-scheme"], 2),
        (["--nonsense"], 2),
        ([f"{base}/text", "-vv"], 0),
        ([f"{base}/text", "--interactive"], 0),
    ):
        result = shell(CLIENT, *args, then=where)
        assert (result.code, result.err) == (code, ""), args
        assert result.out == (b"hello" if code == 0 else b"")
    result = shell(FILESERVER, "/no/such/folder", then=where)
    assert (result.code, result.out, result.err) == (2, b"", "")


@pytest.mark.parametrize("command", [CLIENT, FILESERVER], ids=["client", "fileserver"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_nobody_reads(command: list[str], option: str) -> None:
    assert shell(command, option, then="| true").err == ""
    result = shell(command, option, then=">/dev/full")
    assert (result.code, result.out, result.err.count("\n")) == (1, b"", 1), result
    assert "No space left" in result.err
    result = shell(command, option, then=">&-")
    assert "Traceback" not in result.err
    assert result.code == 0


def test_complaints_in_json_that_nobody_reads() -> None:
    result = shell(CLIENT, "--json", "--nonsense", then=">&-")
    assert (result.code, result.out, result.err) == (2, b"", ""), result
    one_line(shell(CLIENT, "--json", "--nonsense", then=">/dev/full"), 2, "No space left")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_that_know_few_characters(base: str, encoding: str) -> None:
    changes = {"PYTHONIOENCODING": encoding}
    for args in (["--help"], ["-O", "ü", base], ["--help"], ["--json", "coap://ü/", "-O", "…"]):
        result = run(*args, **changes)
        assert "Traceback" not in result.err
        assert result.code == (0 if args == ["--help"] else 2), result
    assert run(f"{base}/evil", **changes).out == b"\x1b[2J\xc2\x9bevil\n"


# Signals


def test_ctrl_c_while_a_payload_is_typed(base: str, tmp_path: Path) -> None:
    """The first one is enough."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    holder = os.open(fifo, os.O_RDWR)
    code = "from aiocoap.cli.client import sync_main; print(1, flush=True); sync_main()"
    parent, child = pty.openpty()
    args = [f"{base}/mirror", "-m", "PUT", "--payload"]
    try:
        for payload in ("@-", f"@{fifo}"):
            with subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    code,
                    *args,
                    payload,
                ],
                stdin=child,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"1\n"
                # Until it reads, the signal would come too early to show anything.
                wait_for_call(process.pid)
                process.send_signal(signal.SIGINT)
                try:
                    out, err = process.communicate(timeout=PATIENCE)
                finally:
                    process.kill()
                assert (process.returncode, out, err) == (130, b"", b"")
    finally:
        os.close(holder)
        os.close(parent)
        os.close(child)


def wait_for_call(pid: int) -> None:
    """Wait until a process sleeps in a call that has to do with a pipe or terminal."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        channel = Path(f"/proc/{pid}/wchan").read_text("ascii")
        if any(name in channel for name in ("pipe", "partner", "tty", "wait_woken")):
            return
    raise AssertionError(f"process {pid} waits for {channel}")


def test_ctrl_c_while_a_payload_is_typed_in_a_session(base: str, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "INPUTRC": "/dev/null"}
    with Terminal("--interactive", "--no-color", **home) as terminal:
        terminal.expect("aiocoap>")
        terminal.send(f"{base}/mirror -m PUT --payload @-\r")
        terminal.expect("@-")
        terminal.interrupt(r"\(cancelled\)")
        terminal.expect("aiocoap>")
        terminal.send(f"{base}/line\r")
        terminal.expect("hello")
        terminal.expect("aiocoap>")
        terminal.send("\x04")
        assert terminal.end() == 0


def test_sigterm_ends_an_observation_in_order(base: str) -> None:
    with Running(f"{base}/still", "--observe") as client:
        assert client.out.readline() == b"as ever\n"
        client.process.send_signal(signal.SIGTERM)
        result = client.end()
    assert (result.code, result.err) == (143, "")
    assert observers(base) == b"0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_what_waits_for_a_reader(base: str, number: int, tmp_path: Path) -> None:
    """One is enough, even if nobody ever reads."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Running(f"{base}/text", "-o", str(fifo), "-v") as opening:
        wait_for_call(opening.process.pid)
        opening.process.send_signal(number)
        assert abs(opening.end().code) in (number, number + 128)
    with Running(f"{base}/big") as writing:
        # Now it has begun, and the pipe is full soon.
        assert writing.out.read(1) == BIG[:1]
        wait_for_call(writing.process.pid)
        writing.process.send_signal(number)
        assert abs(writing.process.wait(PATIENCE)) in (number, number + 128)
        assert writing.process.stderr is not None
        assert writing.process.stderr.read() == b""


def test_sigterm_leaves_no_file(deaf: tuple[str, socket.socket], tmp_path: Path) -> None:
    uri, silent = deaf
    silent.setblocking(True)
    with Running(uri, "-o", str(tmp_path / "new")) as client:
        assert silent.recv(100)
        client.process.send_signal(signal.SIGTERM)
        assert client.end().code == 143
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_a_command_runs(base: str) -> None:
    with Running(f"{base}/counter", "--observe-exec", "echo go >&2; sleep 60") as client:
        assert client.process.stderr is not None
        assert client.process.stderr.readline() == b"go\n"
        client.process.send_signal(signal.SIGINT)
        assert client.end().code == 130

"""The real command in a process of its own: with pipes, while a test goes on, on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from tests.tools import client_output

ROOT = Path(__file__).resolve().parents[2]
CLIENT = [sys.executable, "-m", "aiocoap.cli.client"]
PATIENCE = 20.0
"""Seconds after which nothing more is expected of a process."""


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIOCOAP_", "NO_COLOR"))}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm"} | changes


class Result:
    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out, err.decode(errors="replace")

    def __repr__(self) -> str:
        return f"exit code {self.code}\nout {self.out[:2000]!r}\nerr {self.err}"


def run(*args: str, stdin: bytes = b"", **changes: str) -> Result:
    """Run the client with pipes."""
    done = subprocess.run(
        [*CLIENT, *args],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        env=environment(**changes),
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def told(*args: str, stdin: bytes = b"") -> dict[str, Any]:
    """Run the client with the mirror, and return what that was sent."""
    result = run(*args, "-q", stdin=stdin)
    assert (result.code, result.err) == (0, ""), result
    return dict(json.loads(result.out))


def told_as_json(*args: str, code: int = 0, **changes: str) -> list[dict[str, Any]]:
    """Run the client, and return the objects that it prints; they are as the schema says."""
    result = run(*args, "--json", **changes)
    assert (result.code, result.err) == (code, ""), result
    return client_output.read_all(result.out)


def one_line(result: Result, code: int, *parts: str) -> None:
    assert (result.code, result.out) == (code, b""), result
    assert result.err.startswith("aiocoap-client: "), result
    assert result.err.count("\n") == 1, result
    for part in parts:
        assert part in result.err, result


class Running:
    """A client that runs while the test goes on."""

    def __init__(self, *args: str, **changes: str) -> None:
        self.process = subprocess.Popen(
            [*CLIENT, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what a test has not read is left to communicate
            env=environment(**changes),
        )
        assert self.process.stdout is not None
        self.out: IO[bytes] = self.process.stdout

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with self.process:
            pass

    def end(self) -> Result:
        out, err = self.process.communicate(timeout=PATIENCE)
        return Result(self.process.returncode, out, err)


class Terminal:
    """A client on a terminal of its own."""

    def __init__(self, *args: str, command: list[str] = CLIENT, **changes: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], [*command, *args], environment(**changes))
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _more(self, deadline: float) -> bool:
        """Read what there is; return whether there may be more."""
        remaining = max(0, deadline - time.monotonic())
        if not select.select([self.fd], [], [], remaining)[0]:
            raise AssertionError(f"nothing more came after {self.seen!r}")
        try:
            read = os.read(self.fd, 65536)
        except OSError:  # how Linux tells that the other end is closed
            return False
        # prompt_toolkit asks where the cursor is.
        if b"\x1b[6n" in read:
            self.send("\x1b[1;1R")
        self.seen += read.decode(errors="replace").replace("\r", "")
        return bool(read)

    def expect(self, pattern: str, patience: float = PATIENCE) -> str:
        """Wait until a pattern comes, and forget everything up to there."""
        deadline = time.monotonic() + patience
        while (match := re.search(pattern, self.seen)) is None:
            assert self._more(deadline), f"{pattern!r} is not in {self.seen!r}"
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def interrupt(self, pattern: str) -> None:
        """Press Ctrl-C until that shows: readline sleeps through what comes before it does."""
        for _ in range(int(PATIENCE)):
            self.send("\x03")
            with contextlib.suppress(AssertionError):
                self.expect(pattern, patience=1)
                return
        raise AssertionError(f"Ctrl-C does not lead to {pattern!r}, but {self.seen!r}")

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        """Wait for the client to end, and return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

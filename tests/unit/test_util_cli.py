"""What the command line programs have in common."""

from __future__ import annotations

import argparse
import asyncio
import errno
import io
import os
import signal
import sys
from typing import Any, ClassVar

import pytest

from aiocoap import error
from aiocoap.util.cli import ActionNoYes, AsyncCLIDaemon, Parser, UsageError, error_line, say


def parse(*args: str, default: Any = None) -> Any:
    parser = Parser(prog="tool")
    parser.add_argument("--thing", action=ActionNoYes, default=default, help="Do the thing")
    return parser.parse_args(args).thing


def test_yes_no_and_neither() -> None:
    assert parse("--thing") is True
    assert parse("--no-thing") is False
    assert parse() is None
    assert parse(default=True) is True
    assert parse("--thing", "--no-thing") is False
    # Abbreviations are argparse's, and no reason to mistake one for the other.
    assert parse("--no-th") is False


def test_both_names_are_in_the_help() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--thing", action=ActionNoYes, help="Do the thing")
    assert "--thing, --no-thing" in parser.format_help()


@pytest.mark.parametrize("names", [["-t"], ["--thing", "-t"], []])
def test_options_that_can_not_be_negated(names: list[str]) -> None:
    with pytest.raises(ValueError, match="one name"):
        ActionNoYes(names, "thing")


def test_the_parser_complains_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        Parser(prog="tool").parse_args(["--evil\x1b[2J\nname"])
    assert leaving.value.code == 2
    assert capsys.readouterr() == (
        "",
        "tool: unrecognized arguments: --evil\\u001b[2J\\nname (--help lists the options)\n",
    )


def caused(problem: Exception, cause: Exception) -> Exception:
    problem.__cause__ = cause
    return problem


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (FileNotFoundError(2, "No such file", "x\n.json"), "x\\n.json: No such file"),
        (OSError(98, "Address already in use"), "Address already in use"),
        (OSError("just text"), "just text"),
        (UsageError("no such thing"), "no such thing"),
        (ValueError(), "ValueError"),
        (error.ResourceChanged(), "ResourceChanged"),
        (error.RequestTimedOut(), "no answer. Check the address, "),
        (error.TimeoutError("no answer within 2 seconds"), "no answer within 2 seconds. Check"),
        (error.ResolutionError("x.invalid has no address."), "x.invalid has no address. Check"),
        (
            caused(error.NetworkError(), ConnectionRefusedError(111, "Connection refused")),
            "[Errno 111] Connection refused. The host is up, but",
        ),
        (caused(error.NetworkError("text"), OSError("cause")), "text. Check the address"),
        (error.Error("from \x1b[31m a stranger"), "from \\u001b[31m a stranger"),
    ],
)
def test_errors_become_a_line(problem: Exception, line: str) -> None:
    shown = error_line(problem)
    assert shown.startswith(line)
    assert "\n" not in shown


def test_hints_reach_the_error() -> None:
    class Curious(error.HelpfulError):
        def extra_help(self, hints: Any = {}) -> str:
            return f"Look at {hints['original_uri']}"

    assert error_line(Curious("Failed"), {"original_uri": "coap://x"}) == "Failed. Look at coap://x"


class Full(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def given_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record which streams are given up, and keep those of the tests."""
    given_up: list[int] = []
    monkeypatch.setattr("aiocoap.util.cli.give_up_stream", given_up.append)
    return given_up


def test_what_is_said_to_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given_up: list[int]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("anything")
    # What belongs there must not end up in standard output instead.
    assert (capsys.readouterr().out, given_up) == ("", [])
    monkeypatch.setattr(sys, "stderr", Full(errno.ENOSPC))
    say("anything")
    assert given_up == [2]


@pytest.mark.parametrize(
    ("number", "status", "code", "said"),
    [
        (errno.EPIPE, 0, 0, ""),
        (errno.EPIPE, 2, 2, ""),
        (errno.ENOSPC, 0, 1, "tool: No space left on device\n"),
        (errno.ENOSPC, 2, 2, "tool: No space left on device\n"),
    ],
)
def test_help_that_goes_nowhere(
    number: int,
    status: int,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    given_up: list[int],
) -> None:
    monkeypatch.setattr(sys, "stdout", Full(number))
    with pytest.raises(SystemExit) as leaving:
        Parser(prog="tool").exit(status)
    assert leaving.value.code == code
    assert capsys.readouterr().err == said
    assert given_up == [1]


def test_the_last_words_of_a_parser(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as leaving:
        Parser(prog="tool").exit(3, "Good bye\n")
    assert leaving.value.code == 3
    assert capsys.readouterr().err == "Good bye\n"


class Daemon(AsyncCLIDaemon):
    """A program that writes a diary."""

    diary: ClassVar[list[Any]] = []

    async def start(self, how: str, *, code: int = 0) -> None:
        self.diary.append("start")
        if how == "stop":
            self.stop(code)
            self.stop(99)
        elif how == "stop later":
            asyncio.get_running_loop().call_soon(self.stop, code)
        elif how == "SIGINT":
            os.kill(os.getpid(), signal.SIGINT)
        elif how == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        elif how == "SIGTERM while starting":
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                await asyncio.Future()
            finally:
                self.diary.append("start cancelled")
        elif how == "exit":
            raise SystemExit(code)
        elif how == "exit without a code":
            raise SystemExit
        elif how == "exit with text":
            raise SystemExit("text")
        elif how == "usage":
            raise UsageError("--bind: no such address")
        elif how == "network":
            raise error.NetworkError("port 5683 is in use")
        elif how == "system":
            raise OSError(13, "Permission denied", "/etc/shadow")
        elif how == "bug":
            raise ZeroDivisionError

    async def shutdown(self) -> None:
        self.diary.append("shutdown")


def run(*args: Any, **kwargs: Any) -> tuple[int, list[Any]]:
    Daemon.diary = []
    with pytest.raises(SystemExit) as leaving:
        Daemon.sync_main(*args, **kwargs)
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, Daemon.diary


@pytest.mark.parametrize(
    ("how", "code"), [("stop", 7), ("stop later", 8), ("SIGINT", 0), ("SIGTERM", 0)]
)
def test_daemons_that_are_stopped_shut_down(how: str, code: int) -> None:
    assert run(how, code=code) == (code, ["start", "shutdown"])


def test_a_signal_stops_the_start() -> None:
    assert run("SIGTERM while starting") == (0, ["start", "start cancelled"])


@pytest.mark.parametrize(
    ("how", "code"), [("exit", 2), ("exit", 0), ("exit without a code", 0), ("exit with text", 1)]
)
def test_arguments_that_end_the_program(how: str, code: int) -> None:
    assert run(how, code=code) == (code, ["start"])


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ("usage", 2, "--bind: no such address"),
        ("network", 1, "port 5683 is in use. Check the address"),
        ("system", 1, "/etc/shadow: Permission denied"),
    ],
)
def test_failing_to_start_is_one_line(
    how: str, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/tool"])
    for name in ("tool", "aiocoap-tool"):
        assert run(how) == (code, ["start"])
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err.startswith(f"{name}: {line}")
        assert written.err.count("\n") == 1
        monkeypatch.setattr(Daemon, "program", "aiocoap-tool")


def test_bugs_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Daemon.sync_main("bug")


def test_the_second_signal_does_not_wait() -> None:
    class Stubborn(AsyncCLIDaemon):
        async def start(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        async def shutdown(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Future()

    with pytest.raises(SystemExit) as leaving:
        Stubborn.sync_main()
    assert leaving.value.code == 130


def test_what_a_daemon_has_to_implement() -> None:
    with pytest.raises(NotImplementedError):
        AsyncCLIDaemon.sync_main()


def test_shutdown_may_be_left_out() -> None:
    class Short(AsyncCLIDaemon):
        async def start(self) -> None:
            self.stop(0)

    with pytest.raises(SystemExit) as leaving:
        Short.sync_main()
    assert leaving.value.code == 0


def test_without_signal_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", refuse)
    assert run("stop", code=3) == (3, ["start", "shutdown"])

"""The prompt of ``aiocoap-client --interactive``."""

from __future__ import annotations

import argparse
import asyncio
import builtins
import io
import signal
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from aiocoap.cli import _interactive
from aiocoap.cli._interactive import interact, split_line
from aiocoap.util.cli import Parser, UsageError


class Context:
    """A context that knows whether it was shut down, and in which loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_shut_down = False

    async def shutdown(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.is_shut_down = True


class Session:
    """Runs a session over given lines, and records what was run."""

    def __init__(self, *lines: Any) -> None:
        self.lines = iter(lines)
        self.ran: list[tuple[Any, ...]] = []
        self.contexts: list[Context] = []

    def read(self) -> str:
        line = next(self.lines, EOFError())
        if isinstance(line, BaseException):
            raise line
        return str(line)

    async def open_context(self) -> Any:
        self.contexts.append(Context())
        return self.contexts[-1]

    async def run(self, options: argparse.Namespace, context: Any) -> int:
        assert context is self.contexts[0]
        assert asyncio.get_running_loop() is context.loop
        self.ran.append((options.url, options.method, options.verbose, options.color))
        if options.url == "wait":
            try:
                # The person in front of it loses patience.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                await asyncio.Future()
            finally:
                self.ran.append(("cancelled",))
        if options.url == "break":
            raise BrokenPipeError
        return 4

    def __call__(self, *args: str) -> int:
        parser = Parser(prog="aiocoap-client")
        parser.add_argument("--interactive", action="store_true")
        parser.add_argument("-v", dest="verbose", action="count", default=0)
        parser.add_argument("-m", dest="method", choices=["GET", "PUT"], default="GET")
        parser.add_argument("--color", action="store_true")
        parser.add_argument("url", nargs="?")
        return interact(parser.parse_args(args), parser, self.open_context, self.run)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make sessions over given lines; no thread outlives its session."""
    before = threading.active_count()

    def make(*lines: Any) -> Session:
        session = Session(*lines)
        monkeypatch.setattr(_interactive, "_line_reader", lambda: session.read)
        return session

    yield make
    assert threading.active_count() == before


def test_lines_are_run_with_one_context(session: Any) -> None:
    it = session("a", "", "  # nothing", "-m PUT 'b c'", "aiocoap-client d")
    assert it("--interactive") == 0
    assert it.ran == [("a", "GET", 0, False), ("b c", "PUT", 0, False), ("d", "GET", 0, False)]
    assert [context.is_shut_down for context in it.contexts] == [True]


def test_what_it_was_started_with_applies_to_every_line(session: Any) -> None:
    it = session("a", "b -v -m GET", "c")
    it("--interactive", "-v", "--color", "-m", "PUT", "first")
    assert it.ran == [
        ("first", "PUT", 1, True),
        ("a", "PUT", 1, True),
        ("b", "GET", 2, True),
        ("c", "PUT", 1, True),
    ]


def test_bad_lines_do_not_end_it(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    it = session("'open", "--nonsense a", "-v", "--help", "a")
    assert it("--interactive") == 0
    assert [url for url, *_ in it.ran] == ["a"]
    assert capsys.readouterr().err.splitlines() == [
        'aiocoap-client: No closing quotation: "\'open"',
        "aiocoap-client: unrecognized arguments: --nonsense (--help lists the options)",
        "aiocoap-client: there is no URI to send the request to (--help lists the options)",
    ]


def test_ctrl_c_at_the_prompt_drops_the_line(
    session: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    it = session(KeyboardInterrupt(), "a")
    assert it("--interactive") == 0
    assert len(it.ran) == 1
    assert capsys.readouterr().err == "\n"


def test_ctrl_c_cancels_what_is_running(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    it = session("wait", "a")
    assert it("--interactive") == 0
    assert it.ran == [("wait", "GET", 0, False), ("cancelled",), ("a", "GET", 0, False)]
    assert capsys.readouterr().err == "(cancelled)\n"


def test_ctrl_c_before_anything_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> None:
        raise AssertionError("it was cancelled before it began")

    thread = _interactive._LoopThread()
    schedule = thread.loop.call_soon_threadsafe
    calls: list[Any] = []

    def interrupt_first(callback: Any) -> Any:
        calls.append(callback)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return schedule(callback)

    monkeypatch.setattr(thread.loop, "call_soon_threadsafe", interrupt_first)
    work = never()
    with pytest.raises(KeyboardInterrupt):
        thread.run(work)
    work.close()
    thread.close()


def test_nothing_to_write_to_ends_it(session: Any) -> None:
    it = session("break", "a")
    with pytest.raises(BrokenPipeError):
        it("--interactive")
    assert len(it.ran) == 1
    assert it.contexts[0].is_shut_down


def test_no_context(session: Any) -> None:
    async def fail() -> Any:
        raise UsageError("no such transport")

    it = session("a")
    it.open_context = fail
    with pytest.raises(UsageError):
        it("--interactive")
    assert it.ran == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("# comment", []),
        ("a 'b c' \"d\"", ["a", "b c", "d"]),
        ("aiocoap-client -v a", ["-v", "a"]),
        ("./aiocoap-client a", ["a"]),
        ("coap://host/aiocoap-client", ["coap://host/aiocoap-client"]),
    ],
)
def test_lines_are_split_as_a_shell_would(line: str, words: list[str]) -> None:
    assert split_line(line) == words


# Where lines come from


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_from_a_pipe_are_not_prompted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (io.StringIO("a\n\nb"), io.TextIOWrapper(io.BytesIO(b"a\n\n\xff"))):
        monkeypatch.setattr(sys, "stdin", stdin)
        read = _interactive._line_reader()
        assert [read(), read()] == ["a", ""]
        assert read() in ("b", "\udcff")
        with pytest.raises(EOFError):
            read()


def test_closed_streams_are_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n"))
    assert _interactive._line_reader()() == "a"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(EOFError):
        _interactive._line_reader()()


def test_prompt_toolkit_prompts_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit: Any = types.ModuleType("prompt_toolkit")
    toolkit.PromptSession = lambda: types.SimpleNamespace(prompt=lambda text: f"{text}line")
    monkeypatch.setitem(sys.modules, "prompt_toolkit", toolkit)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert _interactive._line_reader()() == "aiocoap> line"


@pytest.mark.parametrize("readline", [True, False])
def test_without_prompt_toolkit(monkeypatch: pytest.MonkeyPatch, readline: bool) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    if not readline:
        monkeypatch.setitem(sys.modules, "readline", None)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(builtins, "input", lambda text: f"{text}line")
    assert _interactive._line_reader()() == "aiocoap> line"

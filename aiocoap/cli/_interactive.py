"""The prompt of ``aiocoap-client --interactive``.

Here lives the reading of command lines one after the other, and the event loop that goes on
while a person thinks: a server's retransmissions are answered, connections are kept alive.

The room knows nothing of requests: it is handed a parser, and a coroutine function to run.

No RFC has anything to say on this.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TypeVar

from ..protocol import Context
from ..util.cli import say

__all__ = ["interact", "split_line"]

_T = TypeVar("_T")
_PROGRAM = "aiocoap-client"
_PROMPT = "aiocoap> "


class _LoopThread:
    """An event loop in a thread of its own, which the main thread hands work to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="event loop")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end; Ctrl-C cancels it.

        Raises:
            KeyboardInterrupt: It was cancelled.
        """
        tasks: list[asyncio.Task[_T]] = []
        done = threading.Event()

        def start() -> None:
            tasks.append(self.loop.create_task(work))
            tasks[0].add_done_callback(lambda _: done.set())

        def cancel() -> None:
            if not tasks:  # Ctrl-C came even before it was scheduled
                start()
            tasks[0].cancel()

        try:
            self.loop.call_soon_threadsafe(start)
            done.wait()
        except KeyboardInterrupt:
            self.loop.call_soon_threadsafe(cancel)
            done.wait()
            raise
        return tasks[0].result()

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _plain_line() -> str:
    """Read a line from what is no terminal.

    Raises:
        EOFError: There are no more.
    """
    line = "" if sys.stdin is None else sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _line_reader() -> Callable[[], str]:
    """Return a function that prompts for a line.

    It raises EOFError at the end, and KeyboardInterrupt for Ctrl-C.
    """
    if sys.stdin is None or sys.stdout is None:
        return _plain_line
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if isinstance(sys.stdin, TextIOWrapper):
            # What is no text is passed on as it is, as from a command line.
            sys.stdin.reconfigure(errors="surrogateescape")
        return _plain_line
    try:
        from prompt_toolkit import PromptSession
    except ImportError:
        # Being imported is all that input() needs for history and cursor keys.
        with suppress(ImportError):
            import readline  # noqa: F401
        return lambda: input(_PROMPT)
    session: Any = PromptSession()
    return lambda: str(session.prompt(_PROMPT))


def split_line(line: str) -> list[str]:
    """Split a line as a shell would.

    >>> split_line("aiocoap-client coap://localhost/ --payload 'a b'  # comment")
    ['coap://localhost/', '--payload', 'a b']

    Args:
        line: Arguments; the program's name may stand before them, as in what was copied.

    Raises:
        ValueError: A quote is not closed.
    """
    import shlex  # one-shot requests, which are measured, do without

    words = shlex.split(line, comments=True)
    if words and "://" not in words[0] and words[0].rpartition("/")[2] == _PROGRAM:
        return words[1:]
    return words


def interact(
    options: argparse.Namespace,
    parser: argparse.ArgumentParser,
    open_context: Callable[[], Coroutine[Any, Any, Context]],
    run: Callable[[argparse.Namespace, Context], Coroutine[Any, Any, int]],
) -> int:
    """Prompt for command lines and run them with one context, until Ctrl-D.

    Args:
        options: What the program was started with.  It applies to every line that does not
            say otherwise; a URI in it is requested first.
        parser: Parser of the lines.
        open_context: Creates the context.
        run: What to do with a line's options.

    Returns:
        The exit code.

    Raises:
        OSError: Standard output takes nothing.
        Error: No context can be created (or ``UsageError``).
    """
    thread = _LoopThread()
    try:
        context = thread.run(open_context())
        try:
            _serve(options, parser, lambda line: thread.run(run(line, context)))
        finally:
            thread.run(context.shutdown())
    finally:
        thread.close()
    return 0


def _serve(
    options: argparse.Namespace,
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
) -> None:
    """Run the lines, until there are no more."""
    defaults = {k: v for k, v in vars(options).items() if k not in ("url", "interactive")}
    read = _line_reader()
    if options.url is not None:
        _run(run, options)
    while True:
        try:
            line = read()
        except EOFError:
            return
        except KeyboardInterrupt:
            # As in a shell, it drops the line.
            say("")
            continue
        parsed = _parse_line(line, parser, argparse.Namespace(**defaults))
        if parsed is not None:
            _run(run, parsed)


def _run(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> None:
    try:
        run(options)
    except KeyboardInterrupt:
        say("(cancelled)")


def _parse_line(
    line: str, parser: argparse.ArgumentParser, defaults: argparse.Namespace
) -> argparse.Namespace | None:
    """Parse a line; return None where there is nothing to run, which has been told then."""
    try:
        words = split_line(line)
        if not words:
            return None
        options = parser.parse_args(words, defaults)
        if options.url is None:
            parser.error("there is no URI to send the request to")
    except ValueError as problem:
        say(f"{_PROGRAM}: {problem}: {line!r}")
        return None
    except SystemExit:
        # The parser has said why; it ends a program, but not a session.
        return None
    return options

"""``aiocoap-client``: requests from the command line.

Here lives the way of one command line from its words to its exit code.

The room knows no option (``_commandline``, ``_request``), no response (``_exchange``,
``_present``), no file (``_output``) and no prompt (``_interactive``).

RFC 7252, RFC 7641, RFC 6690.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ..error import ConToMulticast, Error
from ..message import Message
from ..protocol import Context
from ..util.cli import UsageError, error_line, give_up_stream
from . import _discover
from ._commandline import build_parser, check_combination
from ._exchange import Job, complain, exchange, ping
from ._interactive import interact
from ._output import Output
from ._present import Exit, Style, exit_code_of_error, present_error
from ._request import build_request
from .common import load_credentials, set_verbosity, show_log, unusable_credentials

__all__ = ["build_parser", "main", "run_request", "sync_main"]

_GRACE = 1.0
"""Seconds that there are to end in order after a signal."""


def _prepare(options: argparse.Namespace) -> Message:
    """Make the request that a command line describes.

    Reading its payload may take as long as somebody types.

    Raises:
        UsageError: There can be none.
    """
    check_combination(options)
    options.observe = options.observe or options.observe_exec is not None
    request = build_request(options)
    if options.discover is not None:
        _discover.check_package()
        _discover.address(request, options.discover)
    return request


async def run_request(
    options: argparse.Namespace, context: Context, request: Message | None = None
) -> int:
    """Do what a command line describes, and show what comes back.

    Args:
        options: The parsed command line.
        context: What to send with.
        request: The request, where it has been made of the options already.

    Returns:
        The exit code; why it is not 0 has been told.

    Raises:
        OSError: Standard output takes nothing.
    """
    set_verbosity(options.verbose - options.quiet, "coap")
    try:
        if request is None:
            request = _prepare(options)
        with Output(options.output) as output:
            style = Style.of(options, output.is_terminal, os.environ)
            return await _run_job(request, Job(options, context, output, style))
    except UsageError as problem:
        return _fail(str(problem), Exit.USAGE, options.json)
    except OSError as problem:
        if options.output is None or isinstance(problem, BrokenPipeError):
            raise
        return _fail(error_line(problem), Exit.OTHER, options.json)


def _fail(text: str, code: Exit, is_json: bool) -> Exit:
    """Tell of an error where there is no output (any more) but the standard one."""
    with suppress(OSError):
        Output(None).show(present_error(text, code, Style(json=is_json)))
    return code


async def _run_job(request: Message, job: Job) -> int:
    """Do what is asked for.

    Raises:
        UsageError: It can not be done, and nothing was sent.
        OSError: The output takes nothing.
    """
    options = job.options
    try:
        _add_credentials(options, job.context)
        return await (ping(job) if options.ping else exchange(request, job))
    except Error as problem:
        line = error_line(problem, {"original_uri": options.url, "request": request})
        if isinstance(problem, ConToMulticast):
            line += ": a group can not be pinged" if options.ping else ": add --non"
        return job.show_error(f"{options.url}: {line}", exit_code_of_error(problem))


def _add_credentials(options: argparse.Namespace, context: Context) -> None:
    """Read the credentials file, if there is one, and say what is of no use.

    Raises:
        UsageError: It can not be used.
    """
    if options.credentials is None:
        return
    credentials = load_credentials(options.credentials)
    for line in unusable_credentials(credentials):
        complain(f"{options.credentials}: {line}")
    context.client_credentials.update(credentials)


# The program


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments of the process.

    Raises:
        SystemExit: They can not be parsed, or ask for help or the version.
    """
    parser = build_parser()
    options = parser.parse_args(args)
    if options.url is None and not options.interactive:
        parser.error("there is no URI to send the request to")
    return options


async def _open_context() -> Context:
    """Create the context.

    Raises:
        UsageError: The environment asks for transports that there are not.
        Error: It can not be created.
    """
    try:
        return await Context.create_client_context()
    except (ValueError, ImportError) as problem:
        raise UsageError(f"AIOCOAP_CLIENT_TRANSPORT: {error_line(problem)}") from None


async def main(args: Sequence[str] | None = None) -> int:
    """Send the one request that a command line describes.

    Args:
        args: The arguments; None takes those of the process.

    Returns:
        The exit code.

    Raises:
        SystemExit: The arguments can not be parsed, or ask for help or the version.
        UsageError: It is to be interactive, which takes the main thread (``sync_main``); or
            the environment asks for transports that there are not.
        Error: No socket can be opened.
        OSError: Standard output takes nothing.
    """
    options = _parse(args)
    if options.interactive:
        raise UsageError("--interactive works from the command line only")
    return await _one_shot(options)


async def _one_shot(options: argparse.Namespace, request: Message | None = None) -> int:
    """Create a context for a single request."""
    async with await _open_context() as context:
        return await run_request(options, context, request)


async def _until_told_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Do something that Ctrl-C and SIGTERM end: servers are told, unfinished files removed.

    That gets a moment, as it may be that nobody reads what is to be written first, and Ctrl-C is
    pressed only once.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    told: list[signal.Signals] = []
    timers: list[threading.Timer] = []

    def end(number: int, _: object) -> None:
        told.append(signal.Signals(number))
        loop.call_soon_threadsafe(task.cancel)
        # The next one does not wait for anything.
        signal.signal(number, signal.SIG_DFL)
        timers.append(threading.Timer(_GRACE, os.kill, (os.getpid(), number)))
        timers[-1].daemon = True
        timers[-1].start()

    former = {}
    # Only the main thread is told of signals.
    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            former[number] = signal.signal(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        return Exit.INTERRUPTED if told[0] == signal.SIGINT else Exit.TERMINATED
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in former.items():
            signal.signal(number, handler)


def _run(args: Sequence[str] | None) -> int:
    """Do what the command line says; see :func:`main` for what it raises."""
    options = _parse(args)
    if not options.interactive:
        # Before there is a loop, Ctrl-C ends the reading of a payload at once.
        request = _prepare(options)
        return asyncio.run(_until_told_to_end(_one_shot(options, request)))
    return interact(options, build_parser(), _open_context, _begin)


def _begin(options: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Make the request of a line here and now, where Ctrl-C reaches it; return what is to run."""
    try:
        request = _prepare(options)
    except UsageError as problem:
        return _refuse(problem, options)
    return run_request(options, context, request)


async def _refuse(problem: UsageError, options: argparse.Namespace) -> int:
    """Tell why a line can not be followed."""
    return _fail(str(problem), Exit.USAGE, options.json)


def sync_main(args: Sequence[str] | None = None) -> NoReturn:
    """Be the program: do what the command line says, and exit.

    Args:
        args: The arguments; None takes those of the process.

    Raises:
        SystemExit: Always.
    """
    show_log()
    is_json = "--json" in (sys.argv[1:] if args is None else args)
    code: int
    try:
        code = _run(args)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except UsageError as problem:
        code = _fail(str(problem), Exit.USAGE, is_json)
    except Error as problem:
        code = _fail(error_line(problem), Exit.NO_ANSWER, is_json)
    except OSError as problem:
        gone = isinstance(problem, BrokenPipeError)
        if not gone:
            complain(error_line(problem))
        give_up_stream(1)
        code = Exit.CLOSED_PIPE if gone else Exit.OTHER
    sys.exit(int(code))


if __name__ == "__main__":
    sync_main()

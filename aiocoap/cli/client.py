"""``aiocoap-client``: requests from the command line.

Here lives the way of one command line: build a request, send it, show what comes back, exit code.

The room knows no option (``_commandline``, ``_request``), no payload (``_present``), no file
(``_output``) and no prompt (``_interactive``).

RFC 7252, RFC 7641, RFC 6690.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, NoReturn, TypeVar

from ..error import (
    ConToMulticast,
    Error,
    HelpfulError,
    NetworkError,
    NotObservable,
    ObservationCancelled,
    ResolutionError,
)
from ..error import TimeoutError as NoAnswer
from ..message import Message
from ..protocol import Context
from ..util.cli import UsageError, error_line
from ..util.prettyprint import one_line
from . import _discover, _json
from ._commandline import build_parser, check_combination
from ._interactive import interact
from ._output import Output, Progress, say
from ._present import (
    Exit,
    Shown,
    Style,
    exit_code,
    exit_code_of_error,
    present,
    present_error,
    present_pong,
)
from ._request import build_request
from .common import load_credentials, set_verbosity, show_log, unusable_credentials

__all__ = ["build_parser", "main", "run_request", "sync_main"]

_T = TypeVar("_T")

_log = logging.getLogger("coap.client")

_PING_INTERVAL = 1.0
"""Seconds between two pings."""


def _complain(text: str) -> None:
    say(f"aiocoap-client: {one_line(text)}")


class _Job(NamedTuple):
    """What one command line needs on its way."""

    options: argparse.Namespace
    context: Context
    output: Output
    style: Style

    def show_error(self, text: str, code: Exit) -> Exit:
        """Tell what went wrong; return the exit code for it.

        Raises:
            OSError: Standard output takes nothing.
        """
        self.output.show(present_error(text, code, self.style))
        return code


async def run_request(options: argparse.Namespace, context: Context) -> int:
    """Do what a command line describes, and show what comes back.

    Args:
        options: The parsed command line.
        context: What to send with.

    Returns:
        The exit code; why it is not 0 has been told.

    Raises:
        OSError: Standard output takes nothing.
    """
    set_verbosity(options.verbose - options.quiet, "coap")
    try:
        check_combination(options)
        with Output(options.output) as output:
            style = Style.of(options, output.is_terminal, os.environ)
            return await _run_job(_Job(options, context, output, style))
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


async def _run_job(job: _Job) -> int:
    """Do what is asked for.

    Raises:
        UsageError: It can not be done, and nothing was sent.
        OSError: The output takes nothing.
    """
    options = job.options
    request: Message | None = None
    try:
        options.observe = options.observe or options.observe_exec is not None
        request = build_request(options)
        if options.discover is not None:
            _discover.check_package()
            _discover.address(request, options.discover)
        _add_credentials(options, job.context)
        return await (_ping(job) if options.ping else _exchange(request, job))
    except Error as problem:
        line = error_line(problem, {"original_uri": options.url, "request": request})
        if isinstance(problem, ConToMulticast):
            line += ": a group can not be pinged" if options.ping else ": add --non"
        # Errors that help say what they are about; the URI says where it was.
        if isinstance(problem, HelpfulError):
            line = f"{options.url}: {line}"
        return job.show_error(line, exit_code_of_error(problem))


def _add_credentials(options: argparse.Namespace, context: Context) -> None:
    """Read the credentials file, if there is one, and say what is of no use.

    Raises:
        UsageError: It can not be used.
    """
    if options.credentials is None:
        return
    credentials = load_credentials(options.credentials)
    for line in unusable_credentials(credentials):
        _complain(f"{options.credentials}: {line}")
    context.client_credentials.update(credentials)


# Requests


async def _exchange(request: Message, job: _Job) -> int:
    """Send a request, and show its responses and notifications.

    Raises:
        Error: There is no response, or it can not be used.
        OSError: The output takes nothing.
    """
    options = job.options
    _log.info("Sending %s %s (%s)", request.code, options.url, _Options(request))
    loop = asyncio.get_running_loop()
    began = loop.time()
    requester = job.context.request(request)
    observation: Any = requester.observation if options.observe else None
    progress = _watch(requester, job)
    codes: list[Exit] = []
    try:
        async with aclosing(_responses(requester, request, options.timeout)) as responses:
            async for response in responses:
                progress.clear()
                _log_received(response)
                _log.debug("It answers %r", request)
                codes.append(_show(response, job, loop.time() - began, _is_to_group(request)))
        if observation is None or codes[0] is not Exit.SUCCESS:
            return min(codes)
        return await _follow(observation, job)
    finally:
        progress.clear()
        if observation is not None and not observation.cancelled:
            observation.cancel()


def _watch(requester: Any, job: _Job) -> Progress:
    """Have a long transfer shown, if somebody looks."""
    progress = Progress()
    if progress.is_wanted(job.style.quiet, job.options.verbose > 0):
        requester.on_progress(progress)
    return progress


def _is_to_group(request: Message) -> bool:
    return request.remote is not None and request.remote.is_multicast


def _show(response: Message, job: _Job, seconds: float, is_one_of_many: bool) -> Exit:
    """Show a response; return its exit code.

    Raises:
        OSError: The output takes nothing.
    """
    code = exit_code(response.code)
    style, output = job.style, job.output
    if code is Exit.SUCCESS:
        output.begin()
    if job.options.discover is not None and code is Exit.SUCCESS:
        return _show_links(response, job, seconds, is_one_of_many)
    if is_one_of_many and not style.json and not style.quiet:
        say(f"from {one_line(str(_json.remote_of(response)))}:")
    # Of several, each has to end in a line break.
    observed = job.options.observe or is_one_of_many
    output.show(present(response, style, observed=observed, seconds=seconds))
    return code


def _show_links(response: Message, job: _Job, seconds: float, is_one_of_many: bool) -> Exit:
    """Show a list of resources.

    Raises:
        OSError: The output takes nothing.
    """
    source = str(_json.remote_of(response))
    try:
        links = _discover.links_of(response, job.options.discover)
    except _discover.NoLinks as problem:
        return job.show_error(f"{source} sent {problem}", Exit.OTHER)
    if job.style.json:
        line = _json.response_line(
            response, seconds=seconds, links=[link.as_json_data() for link in links]
        )
        job.output.show(Shown(line.encode() + b"\n", []))
    elif links:
        text = _discover.table(links, source if is_one_of_many else None)
        job.output.show(Shown(text.encode(), []))
    elif not job.style.quiet:
        say(f"{one_line(source)} has no resource" + " that matches" * bool(job.options.discover))
    return Exit.SUCCESS


class _Options:
    """A message's options for a log entry, written out if that is wanted only."""

    def __init__(self, message: Message) -> None:
        self._opt = message.opt

    def __str__(self) -> str:
        return repr(self._opt).partition(": ")[2][:-1]


def _log_received(message: Message) -> None:
    _log.info("Received %s from %s (%s)", message.code, message.remote, _Options(message))
    _log.debug("It is %r", message)


async def _within(seconds: float | None, answer: Any) -> Any:
    """Wait for an answer for some time.

    Raises:
        Error: There is none, or not in time.
    """
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise NoAnswer(f"no answer within {seconds:g} seconds") from None


async def _responses(
    requester: Any, request: Message, seconds: float | None
) -> AsyncGenerator[Message, None]:
    """Give the response, or those of a group: of whoever answers in time.

    Raises:
        Error: There is none, or not in time.
    """
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    # Where a request goes is known later, and then it is too late for this.
    everybody = requester.responses
    first = await _within(seconds, requester.response)
    yield first
    if _is_to_group(request) and requester.observation is None:
        with suppress(TimeoutError):
            async with aclosing(_until(deadline, everybody)) as others:
                async for response in others:
                    if response is not first:
                        yield response


async def _until(deadline: float | None, events: AsyncIterable[_T]) -> AsyncGenerator[_T, None]:
    """Give what comes before a deadline.

    What is done with each of them is not interrupted.

    Args:
        deadline: By the loop's clock; None for none.
        events: What comes.

    Raises:
        TimeoutError: It is over, and more might have come.
    """
    iterator = aiter(events)
    while True:
        async with asyncio.timeout_at(deadline):
            try:
                event = await anext(iterator)
            except StopAsyncIteration:
                return
        yield event


# Observations


async def _follow(observation: Any, job: _Job) -> int:
    """Show notifications until there are no more, or it has been enough.

    The first representation has been shown, and counts.

    Returns:
        The exit code: that of the last notification where it ended the observation.

    Raises:
        Error: The observation broke off.
        OSError: The output takes nothing.
    """
    options = job.options
    now = asyncio.get_running_loop().time()
    deadline = None if options.duration is None else now + options.duration
    count = 1
    try:
        if count == options.count:
            return Exit.SUCCESS
        async with aclosing(_until(deadline, observation)) as notifications:
            async for notification in notifications:
                _log_received(notification)
                await _show_notification(notification, job)
                if not notification.code.is_successful():
                    return exit_code(notification.code)
                count += 1
                if count == options.count:
                    return Exit.SUCCESS
    except TimeoutError:
        return Exit.SUCCESS
    except NotObservable:
        text = "the resource can not be observed: this was its only representation"
        return job.show_error(text, Exit.OTHER)
    except ObservationCancelled:
        pass
    return job.show_error("the server ended the observation", Exit.OTHER)


async def _show_notification(notification: Message, job: _Job) -> None:
    """Show a notification, or have a command do something with it.

    Raises:
        OSError: The output takes nothing.
    """
    command = job.options.observe_exec
    if command is None or not notification.code.is_successful():
        shown = present(notification, job.style, observed=True, is_notification=True)
        job.output.show(shown)
    else:
        await _feed(command, bytes(notification.payload))


async def _feed(command: str, payload: bytes) -> None:
    """Run a shell command with a payload as its standard input, and wait for it."""
    process = await asyncio.create_subprocess_shell(command, stdin=asyncio.subprocess.PIPE)
    try:
        # A command need not read what it is given.
        with suppress(BrokenPipeError, ConnectionResetError):
            await process.communicate(payload)
        status = await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if status:
        _complain(f"--observe-exec {command!r} ended with {status}")


# Pings


async def _ping(job: _Job) -> int:
    """Ping an endpoint once or several times.

    Raises:
        Error: None of the pings was answered, or it can not be pinged.
        OSError: The output takes nothing.
    """
    options, context = job.options, job.context
    times: list[float] = []
    number = options.count or 1
    for sent in range(1, number + 1):
        try:
            seconds = await _within(options.timeout, context.ping(options.url))
        except NetworkError as problem:
            if isinstance(problem, ResolutionError) or (sent == number and not times):
                raise
            job.show_error(f"{options.url}: {error_line(problem)}", Exit.NO_ANSWER)
        else:
            times.append(seconds)
            job.output.show(present_pong(options.url, seconds, job.style))
        if sent < number:
            await asyncio.sleep(_PING_INTERVAL)
    if number > 1 and not job.style.json:
        least, mean, most = (
            f"{1000 * value:.3g}" for value in (min(times), sum(times) / len(times), max(times))
        )
        summary = f"{number} pings, {len(times)} pongs, {least}/{mean}/{most} ms (min/mean/max)\n"
        job.output.show(Shown(summary.encode(), []))
    return Exit.SUCCESS


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


async def _one_shot(options: argparse.Namespace) -> int:
    """Create a context for a single request."""
    async with await _open_context() as context:
        return await run_request(options, context)


def _run(args: Sequence[str] | None) -> int:
    """Do what the command line says; see :func:`main` for what it raises."""
    options = _parse(args)
    if not options.interactive:
        return asyncio.run(_one_shot(options))
    return interact(options, build_parser(), _open_context, run_request)


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
            _complain(error_line(problem))
        # Python would try again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = Exit.CLOSED_PIPE if gone else Exit.OTHER
    sys.exit(int(code))


if __name__ == "__main__":
    sync_main()

"""From a request to its last answer.

Here live the doings of ``aiocoap-client``: a request and its responses, an observation, pings;
each shows what comes as it comes.

The room knows the command line's meaning, but neither how that is written (``_commandline``,
``_request``) nor how anything looks (``_present``).

RFC 7252 sections 4.3 (ping) and 8.2 (groups), RFC 7641, RFC 6690.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, TypeVar

from ..error import NetworkError, NotObservable, ObservationCancelled, ResolutionError
from ..error import TimeoutError as NoAnswer
from ..message import Message
from ..protocol import Context
from ..util.cli import error_line, say
from ..util.prettyprint import one_line
from . import _discover, _json
from ._output import Output, Progress
from ._present import Exit, Shown, Style, exit_code, present, present_error, present_pong

__all__ = ["Job", "complain", "exchange", "ping"]

_T = TypeVar("_T")

_log = logging.getLogger("coap.client")

_PING_INTERVAL = 1.0
"""Seconds between two pings."""


def complain(text: str) -> None:
    """Tell of what went wrong beside the request.

    Args:
        text: What it was, in the words of whoever.
    """
    say(f"aiocoap-client: {one_line(text)}")


class Job(NamedTuple):
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


# Requests


async def exchange(request: Message, job: Job) -> int:
    """Send a request, and show its responses and notifications.

    Args:
        request: The request.
        job: What it is for.

    Returns:
        The exit code.

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


def _watch(requester: Any, job: Job) -> Progress:
    """Have a long transfer shown, if somebody looks."""
    progress = Progress()
    if progress.is_wanted(job.style.quiet, job.options.verbose > 0):
        requester.on_progress(progress)
    return progress


def _is_to_group(request: Message) -> bool:
    return request.remote is not None and request.remote.is_multicast


def _show(response: Message, job: Job, seconds: float, is_one_of_many: bool) -> Exit:
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


def _show_links(response: Message, job: Job, seconds: float, is_one_of_many: bool) -> Exit:
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
        raise NoAnswer(f"no answer within {seconds:g} seconds (--timeout)") from None


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


async def _follow(observation: Any, job: Job) -> int:
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


async def _show_notification(notification: Message, job: Job) -> None:
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
    # In a group of its own, so that what the shell starts can be ended with it.
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_shell(command, stdin=asyncio.subprocess.PIPE, process_group=0)
    )
    try:
        # It may run for a while before this returns.
        process = await asyncio.shield(starting)
        # A command need not read what it is given.
        with suppress(BrokenPipeError, ConnectionResetError):
            await process.communicate(payload)
        status = await process.wait()
    except asyncio.CancelledError:
        process = await starting
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        await process.wait()
        raise
    if status:
        complain(f"--observe-exec {command!r} ended with {status}")


# Pings


async def ping(job: Job) -> int:
    """Ping an endpoint once or several times.

    Args:
        job: What it is for.

    Returns:
        The exit code.

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

"""``aiocoap-client``: requests from the command line.

Here live its command line and the way of one request: parse, build, send, show, exit code.

The room knows no option's meaning (``_request``), no payload (``_present``) and no prompt
(``_interactive``).

RFC 7252, RFC 7641.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..error import ConToMulticast, Error, HelpfulError, NotObservable, ObservationCancelled
from ..error import TimeoutError as NoAnswer
from ..message import Message
from ..protocol import Context
from ..util.cli import ActionNoYes, Parser, UsageError, error_line
from ..util.prettyprint import escape_controls, one_line
from . import _request
from ._interactive import interact
from ._present import Exit, Shown, Style, exit_code, exit_code_of_error, present
from .common import add_version_argument, load_credentials, unusable_credentials

__all__ = ["build_parser", "main", "run_request", "sync_main"]

_log = logging.getLogger("coap.client")

_EPILOG = """\
The payload of a successful response goes to standard output; everything else is said on
standard error. Notifications of an observation end in a line break each.

examples:
  %(prog)s coap://localhost/.well-known/core
  %(prog)s coap://localhost/time --observe
  %(prog)s coap://localhost/light -m PUT --content-format application/json --payload '{"on": 1}'
  %(prog)s coap://localhost/firmware -m PUT --payload @firmware.bin
  %(prog)s coap://device.local/state --accept application/cbor --proxy '[2001:db8::1]'

exit codes:
    0  the response was a success (2.xx)
    1  something else went wrong: a response that can not be used, no observation, full disk
    2  the command line can not be followed (URI, option, file); nothing was sent
    3  there was no answer: name resolution, network, timeout
    4  the response was a client error (4.xx)
    5  the response was a server error (5.xx)
  130  ended by Ctrl-C
  141  nobody reads standard output any more
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="aiocoap-client",
        description="Send a CoAP request and show the response",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--non", action="store_true", help="Send the request as non-confirmable (NON) message")
    add(
        "-m",
        "--method",
        type=_request.parse_method,
        default="GET",
        help='Name or number of the request method (default: "%(default)s")',
    )
    add("--observe", action="store_true", help="Observe the resource: show it at every change")
    add(
        "--observe-exec",
        metavar="CMD",
        help="Observe the resource, and at every change run a command with the payload as its "
        "standard input",
    )
    add(
        "--accept",
        metavar="MIME",
        type=_request.parse_content_format,
        help="Content format to ask for, by media type or number",
    )
    add(
        "--proxy",
        metavar="HOST[:PORT]",
        type=_request.parse_proxy,
        help="Have a proxy execute the request",
    )
    add(
        "--payload",
        metavar="X",
        help="Send X as the request's payload; @FILE sends a file, @- standard input, as they "
        "are. Other text may be converted, see --content-format",
    )
    add(
        "--payload-initial-szx",
        metavar="SZX",
        type=_request.parse_szx,
        help="Exponent of the size of the payload's first block: 0 for 16 bytes, to 6 for 1024",
    )
    add(
        "--content-format",
        metavar="MIME",
        type=_request.parse_content_format,
        help="Content format of the payload, by media type or number. For formats based on "
        "CBOR, a payload that is no file is converted from JSON or a Python literal",
    )
    add(
        "--no-set-hostname",
        dest="set_hostname",
        action="store_false",
        help="Leave out Uri-Host even if the host is given by name",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        type=_request.parse_seconds,
        help="Give up if the response is not there by then (default: when the protocol does)",
    )
    _add_common(parser)
    add("url", nargs="?", help="URI of the resource, such as coap://host/path")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what is less about the request than about the program."""
    add = parser.add_argument
    add(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="Tell what is sent and received; with -vv, all details",
    )
    add("-q", "--quiet", action="count", default=0, help="Tell less: errors only")
    add("--interactive", action="store_true", help="Prompt for command lines, until Ctrl-D")
    add("--credentials", help="JSON file with the credentials to use")
    add_version_argument(parser)
    add(
        "--color",
        action=ActionNoYes,
        default=None,
        help="Colour the payload (default: on terminals, if pygments is installed and NO_COLOR "
        "is not set)",
    )
    add(
        "--pretty-print",
        action=ActionNoYes,
        default=None,
        help="Show payloads of known formats readably, others as hex dump (default: on terminals)",
    )


def _say(text: str) -> None:
    """Write a line to standard error, if that is open."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def _complain(text: str) -> None:
    _say(f"aiocoap-client: {one_line(text)}")


def _write(shown: Shown) -> None:
    """Write what is to be shown.

    Raises:
        OSError: Standard output takes nothing (``BrokenPipeError`` where its reader is gone).
    """
    if shown.out:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        try:
            sys.stdout.buffer.write(shown.out)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as problem:
            raise OSError(problem.errno, problem.strerror, "standard output") from None
    for note in shown.notes:
        _say(note)


class _LogFormatter(logging.Formatter):
    """Log lines without what a terminal would act on; they may quote strangers."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record))


def _show_log() -> None:
    """Direct log entries to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _LogFormatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%H:%M:%S")
    )
    logging.getLogger().addHandler(handler)


def _set_verbosity(verbosity: int) -> None:
    """Choose what is logged.

    Args:
        verbosity: 0 for warnings and errors, 1 for what is sent and received, 2 for details;
            negative numbers for less.
    """
    level = logging.WARNING - 10 * max(-2, min(verbosity, 2))
    logging.getLogger("coap").setLevel(level)


async def run_request(options: argparse.Namespace, context: Context) -> int:
    """Send the request that a command line describes, and show what comes back.

    Args:
        options: The parsed command line.
        context: What to send it with.

    Returns:
        The exit code; why it is not 0 has been told.

    Raises:
        OSError: Standard output takes nothing.
    """
    _set_verbosity(options.verbose - options.quiet)
    try:
        options.observe = options.observe or options.observe_exec is not None
        request = _request.build_request(options)
        style = Style.of(options, sys.stdout is not None and sys.stdout.isatty(), os.environ)
        _add_credentials(options, context)
        return await _exchange(request, options, style, context)
    except UsageError as problem:
        _complain(str(problem))
        return Exit.USAGE
    except Error as problem:
        line = error_line(problem, {"original_uri": options.url, "request": request})
        if isinstance(problem, ConToMulticast):
            line += ": add --non"
        # Errors that help say what they are about; the URI says where it was.
        _complain(f"{options.url}: {line}" if isinstance(problem, HelpfulError) else line)
        return exit_code_of_error(problem)


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


async def _exchange(
    request: Message, options: argparse.Namespace, style: Style, context: Context
) -> int:
    """Send a request, and show its response and notifications.

    Raises:
        Error: There is no response, or it can not be used.
        OSError: Standard output takes nothing.
    """
    _log.info("Sending %s %s (%s)", request.code, options.url, _Options(request))
    requester = context.request(request)
    observation: Any = requester.observation if options.observe else None
    try:
        response = await _within(options.timeout, requester.response)
        _log_received(response)
        _log.debug("It answers %r", request)
        _write(present(response, style, observed=options.observe))
        if observation is None or not response.code.is_successful():
            return exit_code(response.code)
        return await _follow(observation, options.observe_exec, style)
    finally:
        if observation is not None and not observation.cancelled:
            observation.cancel()


class _Options:
    """A message's options for a log entry, written out if that is wanted only."""

    def __init__(self, message: Message) -> None:
        self._opt = message.opt

    def __str__(self) -> str:
        return repr(self._opt).partition(": ")[2][:-1]


def _log_received(message: Message) -> None:
    _log.info("Received %s from %s (%s)", message.code, message.remote, _Options(message))
    _log.debug("It is %r", message)


async def _within(seconds: float | None, response: asyncio.Future[Message]) -> Message:
    """Wait for a response for some time.

    Raises:
        Error: There is none, or not in time.
    """
    try:
        async with asyncio.timeout(seconds):
            return await response
    except TimeoutError:
        raise NoAnswer(f"no answer within {seconds:g} seconds") from None


async def _follow(observation: Any, command: str | None, style: Style) -> int:
    """Show notifications until there are no more.

    Returns:
        The exit code: that of the last notification where it ended the observation.

    Raises:
        Error: The observation broke off.
        OSError: Standard output takes nothing.
    """
    try:
        async for notification in observation:
            _log_received(notification)
            if command is None or not notification.code.is_successful():
                _write(present(notification, style, observed=True))
            else:
                await _feed(command, bytes(notification.payload))
            if not notification.code.is_successful():
                return exit_code(notification.code)
    except NotObservable:
        _complain("the resource can not be observed: this was its only representation")
        return Exit.OTHER
    except ObservationCancelled:
        pass
    _complain("the server ended the observation")
    return Exit.OTHER


async def _feed(command: str, payload: bytes) -> None:
    """Run a shell command with a payload as its standard input, and wait for it."""
    process = await asyncio.create_subprocess_shell(command, stdin=asyncio.subprocess.PIPE)
    try:
        # A command need not read what it is given.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.communicate(payload)
        status = await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if status:
        _complain(f"--observe-exec {command!r} ended with {status}")


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
    _show_log()
    try:
        code = _run(args)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except UsageError as problem:
        _complain(str(problem))
        code = Exit.USAGE
    except Error as problem:
        _complain(error_line(problem))
        code = Exit.NO_ANSWER
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

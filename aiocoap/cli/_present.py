"""From a response to what is written where.

Here live the exit codes of ``aiocoap-client``, the choice between raw, readable and JSON output,
and the text of everything that is said about a response.

The room writes nothing: it returns what goes to standard output and what goes to standard
error.  Whatever a server sends, nothing goes to either that would be acted on by a terminal,
except for the payload itself where it is to be raw.

RFC 7252 sections 5.5, 5.9 and 5.10.7, RFC 9290.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from ..credentials import CredentialsMissingError
from ..error import (
    ConToMulticast,
    Error,
    MissingRemoteError,
    NetworkError,
    NoRequestInterface,
)
from ..message import Message
from ..numbers.codes import CONTENT, Code
from ..util.cli import UsageError
from ..util.prettyprint import lexer_for_mime, one_line, pretty_print
from . import _json
from ._options import option_name, text_value

__all__ = [
    "MAX_COLORED",
    "Exit",
    "Shown",
    "Style",
    "exit_code",
    "exit_code_of_error",
    "present",
    "present_error",
    "present_pong",
]

MAX_COLORED = 1 << 20
"""Length of a text up to which it is coloured: that takes longer than all the rest."""

_PROGRAM = "aiocoap-client"


class Exit(IntEnum):
    """Exit codes of ``aiocoap-client``: stable, and told by ``--help``."""

    SUCCESS = 0
    OTHER = 1
    USAGE = 2
    NO_ANSWER = 3
    CLIENT_ERROR = 4
    SERVER_ERROR = 5
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143


def exit_code(code: Code) -> Exit:
    """Return the exit code for a response."""
    by_class = {2: Exit.SUCCESS, 4: Exit.CLIENT_ERROR, 5: Exit.SERVER_ERROR}
    return by_class.get(code.class_, Exit.OTHER)


def exit_code_of_error(problem: Error) -> Exit:
    """Return the exit code for a request that got no response."""
    if isinstance(problem, NetworkError):
        return Exit.NO_ANSWER
    usage = ConToMulticast | CredentialsMissingError | MissingRemoteError | NoRequestInterface
    if isinstance(problem, usage):
        return Exit.USAGE
    return Exit.OTHER


class Style(NamedTuple):
    """How responses are shown."""

    pretty: bool = False
    """Whether payloads are made readable."""
    color: bool = False
    """Whether they are coloured."""
    terminal: bool = False
    """Whether standard output is a terminal, where a prompt follows."""
    quiet: bool = False
    """Whether only errors are told of."""
    include: bool = False
    """Whether code and options come before the payload."""
    json: bool = False
    """Whether everything that is told is told as JSON."""

    @classmethod
    def of(cls, options: argparse.Namespace, terminal: bool, environ: Mapping[str, str]) -> Style:
        """Choose a style.

        Args:
            options: The parsed command line.
            terminal: Whether the output goes to a terminal.
            environ: Environment variables; NO_COLOR is honoured (https://no-color.org).

        Raises:
            UsageError: Colours are asked for, and what makes them is not installed.
        """
        color = options.color
        if options.json:
            color = False
        elif color is None:
            plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
            color = terminal and not plain and _has_pygments()
        elif color and not _has_pygments():
            raise UsageError(
                "--color needs the Python module pygments (it comes with aiocoap[prettyprint])"
            )
        pretty = terminal if options.pretty_print is None else options.pretty_print
        quiet = options.quiet > options.verbose
        return cls(pretty, color, terminal, quiet, options.include, options.json)


def _has_pygments() -> bool:
    from importlib.util import find_spec

    return find_spec("pygments") is not None


class Shown(NamedTuple):
    """What is to be written."""

    out: bytes
    """To standard output."""
    notes: list[str]
    """To standard error, a line each; errors may take several."""


def present(
    response: Message,
    style: Style,
    *,
    observed: bool = False,
    is_notification: bool = False,
    seconds: float | None = None,
) -> Shown:
    """Say what is to be shown of a response.

    Args:
        response: A response; ``request`` is what it answers, if known.
        style: How to show it.
        observed: Whether others may follow: each ends in a line break then, so that they can
            be told apart.
        is_notification: Whether it came because the resource changed.
        seconds: Round-trip time, if it has one.

    RFC 7252 section 5.9.
    """
    if style.json:
        kind = "notification" if is_notification else "response"
        return _as_line(_json.response_line(response, kind=kind, seconds=seconds))
    if style.include:
        return _with_header(response, style, observed)
    code = response.code
    if not code.is_successful():
        return Shown(b"", _error(response))
    out, notes = _body(response, style, observed) if response.payload else (b"", [])
    if code != CONTENT or not response.payload:
        notes.insert(0, str(code) + _location(response))
    return Shown(out, [] if style.quiet else notes)


def present_error(text: str, code: Exit, style: Style) -> Shown:
    """Say what is to be shown where something went wrong without a response.

    Args:
        text: What went wrong.
        code: What the program ends with because of it.
        style: How to show it.
    """
    if style.json:
        return _as_line(_json.error_line(text, code))
    return Shown(b"", [f"{_PROGRAM}: {one_line(text)}"])


def present_pong(remote: str, seconds: float, style: Style) -> Shown:
    """Say what is to be shown of the answer to a ping.

    Args:
        remote: Who was pinged.
        seconds: Round-trip time.
        style: How to show it.
    """
    if style.json:
        return _as_line(_json.pong_line(remote, seconds))
    return Shown(f"pong from {one_line(remote)}: {seconds * 1000:.3g} ms\n".encode(), [])


def _as_line(text: str) -> Shown:
    return Shown(text.encode() + b"\n", [])


def _with_header(response: Message, style: Style, observed: bool) -> Shown:
    """Show code and options, an empty line, and the payload, which may be that of an error."""
    lines = [str(response.code)]
    for number, raw in response.opt.raw_items():
        lines.append(f"{option_name(number)}: {one_line(text_value(number, raw))}".rstrip())
    header = ("\n".join(lines) + "\n\n").encode()
    out, notes = _body(response, style, observed) if response.payload else (b"", [])
    return Shown(header + out, [] if style.quiet else notes)


def _error(response: Message) -> list[str]:
    """Tell of an unsuccessful response, its diagnostic payload included (section 5.5.2)."""
    if not response.payload:
        return [str(response.code)]
    infos, _, text = pretty_print(response)
    text = text.rstrip()
    if "\n" not in text and not infos:
        return [f"{response.code}: {text}"]
    return [str(response.code), *infos, *text.split("\n")]


def _location(response: Message) -> str:
    """Say where something was created, in a form that can be requested.

    RFC 7252 section 5.10.7.
    """
    path, query = response.opt.location_path, response.opt.location_query
    if not path and not query:
        return ""
    request = response.request or Message()
    try:
        uri = request.copy(uri_path=path, uri_query=query).get_request_uri(local_is_server=False)
    except (Error, ValueError):
        uri = "/" + "/".join(path) + ("?" + "&".join(query) if query else "")
    return f", location: {one_line(uri)}"


def _body(response: Message, style: Style, observed: bool) -> tuple[bytes, list[str]]:
    """Return a payload as it is shown, and the notes on it."""
    payload = bytes(response.payload)
    if style.pretty:
        notes, mime, text = pretty_print(response)
        as_it_came = text.encode() == payload
        out = _colored(text, mime).encode() if style.color else text.encode()
    else:
        notes, as_it_came = [], True
        out = _colored_raw(response) if style.color else payload
    # The colours' end may come after the last line break.
    ends = payload.endswith(b"\n") if as_it_came else out.endswith(b"\n")
    if not ends and (style.pretty or style.terminal or observed):
        out += b"\n"
        if as_it_came and style.terminal and not observed:
            notes.append("(No newline at end of message)")
    return out, notes


def _colored_raw(response: Message) -> bytes:
    """Colour a payload that is not made readable, if it is text of a kind that has colours."""
    payload = bytes(response.payload)
    content_format = response.opt.content_format
    mime = None if content_format is None else content_format.media_type
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    return payload if mime is None else _colored(text, mime).encode()


def _colored(text: str, mime: str) -> str:
    """Colour a text, if there is a way to, and not too much of it."""
    if len(text) > MAX_COLORED:
        return text
    from pygments import highlight
    from pygments.formatters import TerminalFormatter
    from pygments.util import ClassNotFound

    try:
        lexer = lexer_for_mime(mime)
    except ClassNotFound:
        return text
    return str(highlight(text, lexer, TerminalFormatter()))

"""What ``aiocoap-client --json`` prints: an object per line.

Here lives the making of these lines; ``doc/client-output.schema.json`` is what they look like.

The room writes nothing, and decides nothing about exit codes.  Whatever a server sends, a line
is one object of JSON, without control characters, and no part of a number or text in a JSON
payload is lost.

RFC 8259.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..error import AnonymousHost
from ..message import Message
from ..numbers.optionnumbers import REGISTRY
from ..util.contenttype import categorize
from ..util.prettyprint import escape_controls, json_in_one_line
from ._options import json_value, option_name

__all__ = ["error_line", "pong_line", "remote_of", "response_line"]


def remote_of(message: Message) -> str | None:
    """Return scheme, host and port that a response came from, as far as they have a name."""
    if message.remote is None:
        return None
    try:
        return message.remote.uri_base
    except AnonymousHost:
        return None


def response_line(
    response: Message,
    *,
    kind: str = "response",
    seconds: float | None = None,
    links: Iterable[Mapping[str, Any]] | None = None,
) -> str:
    """Tell of a response.

    Args:
        response: The response, from anybody.
        kind: ``response`` or ``notification``.
        seconds: Round-trip time, if it has one.
        links: What was found in the payload, to be told in its place.
    """
    code = response.code
    members = [
        ("type", _dump(kind)),
        ("code", _dump(f"{code.class_}.{code & 31:02}")),
        ("code_name", _dump(str(code).partition(" ")[2])),
        ("remote", _dump(remote_of(response))),
        ("round_trip_time", _dump(_rounded(seconds))),
        ("options", _dump(_options(response))),
    ]
    if links is not None:
        members.append(("links", _dump(list(links))))
    else:
        members += _payload(response)
    return _line(members)


def error_line(text: str, exit_code: int) -> str:
    """Tell of what went wrong without a response.

    Args:
        text: What is told to people.
        exit_code: What the program ends with because of it.
    """
    members = [("type", _dump("error")), ("error", _dump(text))]
    return _line([*members, ("exit_code", str(exit_code))])


def pong_line(remote: str, seconds: float) -> str:
    """Tell of the answer to a ping.

    Args:
        remote: Who was pinged.
        seconds: Round-trip time.
    """
    members = [("type", _dump("pong")), ("remote", _dump(remote))]
    return _line([*members, ("round_trip_time", _dump(_rounded(seconds)))])


def _rounded(seconds: float | None) -> float | None:
    """Leave out digits that mean nothing."""
    return None if seconds is None else round(seconds, 6)


def _dump(value: Any) -> str:
    import json  # requests that are shown in another way do without

    return escape_controls(json.dumps(value, ensure_ascii=False), keep="")


def _line(members: Iterable[tuple[str, str]]) -> str:
    """Put an object together of names and values that are JSON already."""
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"


def _options(response: Message) -> dict[str, Any]:
    """Return the options by name; those that may be there several times are arrays."""
    options: dict[str, Any] = {}
    for number, raw in response.opt.raw_items():
        name, value = option_name(number), json_value(number, raw)
        row = REGISTRY.get(number)
        if row is None or row.repeatable:
            options.setdefault(name, []).append(value)
        elif name not in options:
            # The first one is that which counts (RFC 7252 section 5.4.5).
            options[name] = value
    return options


def _payload(response: Message) -> list[tuple[str, str]]:
    """Return the payload and how it is written.

    It depends on the Content-Format first, so that a program finds the same kind of value every
    time.

    RFC 7252 section 5.5.2 (errors have text).
    """
    payload = bytes(response.payload)
    content_format = response.opt.content_format
    mime = None if content_format is None else content_format.media_type
    if content_format is not None and content_format.encoding not in (None, "identity"):
        return _base64(payload)
    if mime is not None and not _is_text(mime):
        return _base64(payload)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return _base64(payload)
    if mime is not None and categorize(mime) == "json":
        verbatim = json_in_one_line(text)
        if verbatim is not None:
            return [("payload", verbatim), ("payload_encoding", _dump("json"))]
    return [("payload", _dump(text)), ("payload_encoding", _dump("text"))]


def _is_text(mime: str) -> bool:
    bare = mime.partition(";")[0].strip().lower()
    return (
        categorize(mime) in ("json", "link-format")
        or bare.startswith("text/")
        or bare.endswith(("/xml", "+xml", "/javascript"))
    )


def _base64(payload: bytes) -> list[tuple[str, str]]:
    from base64 import b64encode

    return [("payload", _dump(b64encode(payload).decode())), ("payload_encoding", _dump("base64"))]

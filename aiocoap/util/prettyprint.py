"""Payloads made readable.

Here lives the way from a message to a text that a person can read and a terminal can take,
by the format of its payload.

The room knows no terminal, no colours and no command line: it gives the text and says how it
could be coloured.  Whatever a peer sends, it raises nothing and returns no control characters.

RFC 7252 sections 5.5 and 12.3, RFC 6690, RFC 8259, RFC 8428 (SenML), RFC 8949, RFC 9290
(problem details).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import cbordiag
from .contenttype import categorize

if TYPE_CHECKING:
    from ..message import Message

__all__ = [
    "CBOR_DIAGNOSTIC",
    "HEXDUMP",
    "escape_controls",
    "json_in_one_line",
    "lexer_for_mime",
    "one_line",
    "pretty_print",
]

HEXDUMP = "text/vnd.aiocoap.hexdump"
"""Type of the text that shows bytes as such."""

CBOR_DIAGNOSTIC = "application/cbor-diagnostic"
"""Type of the text that shows CBOR."""

_PROBLEM = "application/concise-problem-details+cbor"

_MAX_INFLATED = 16 * 1024 * 1024

# What makes terminals do something, or shows text in another order than it has: C0 and C1
# controls, separators, directional marks, byte order marks, and what can not be printed at all.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_WORDS = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Replace the characters that a terminal would act on by escapes that can be read.

    >>> escape_controls("\x1b[2J\u202eevil")
    '\\u001b[2J\\u202eevil'

    Args:
        text: Any text.
        keep: Characters to leave alone.

    Returns:
        The text; inside of strings of JSON it still means the same.
    """

    def escape(match: re.Match[str]) -> str:
        char = match[0]
        return char if char in keep else _WORDS.get(char) or f"\\u{ord(char):04x}"

    return _CONTROLS.sub(escape, text)


def one_line(text: str) -> str:
    r"""Return a text as it can stand within a line, line breaks shown as ``\n``."""
    return escape_controls(text.strip(), keep="")


class _Unreadable(Exception):
    """A payload is not what its format says; the text tells why."""


_Pretty = tuple[list[str], str, str]


def pretty_print(message: Message) -> _Pretty:
    """Turn a message's payload into text that a person can read.

    Args:
        message: Its payload and Content-Format are looked at, and its code where it has no
            Content-Format; anything may be in there.

    Returns:
        Notes, of one line each, on what is shown (that it is a hex dump, and why); the type
        that the text could be coloured as (see :func:`lexer_for_mime`), which need not be
        that of the payload; and the text, without control characters but line breaks and
        tabulators.
    """
    infos: list[str] = []
    payload = bytes(message.payload)
    content_format = message.opt.content_format
    if content_format is None:
        # In an error it is a diagnostic message, which is text (RFC 7252 section 5.5.2).
        return _guess(payload, infos, message.code is None or not message.code.is_successful())
    mime = content_format.media_type
    if mime is None:
        infos.append(f"Content format {int(content_format)} is not known here")
        return _guess(payload, infos)
    try:
        if content_format.encoding != "identity":
            payload = _inflate(payload, content_format.encoding)
        return _by_type(payload, mime, infos)
    except _Unreadable as why:
        infos.append(f"Shown as bytes: {mime}, {why}")
        return infos, HEXDUMP, _hexdump(payload)


def _guess(payload: bytes, infos: list[str], is_text: bool = False) -> _Pretty:
    """Show what has no known format: as text if it is some, or claims to be some."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text, is_text = "\0", False
    if not is_text and _CONTROLS.search(text.translate({9: None, 10: None, 13: None})):
        infos.append("Shown as bytes, as it is no text")
        return infos, HEXDUMP, _hexdump(payload)
    return infos, "text/plain", _plain(text)


def _by_type(payload: bytes, mime: str, infos: list[str]) -> _Pretty:
    """Show a payload of a known media type.

    Raises:
        _Unreadable: There is no way to show it, or it is broken.
    """
    bare = mime.partition(";")[0].strip().lower()
    category = categorize(mime)
    if bare == _PROBLEM:
        return infos, "text/plain", _problem_details(_single(payload))
    if bare in ("application/senml+cbor", "application/sensml+cbor"):
        text = _senml_json(_single(payload))
        if text is not None:
            infos.append(f"{bare}, shown as SenML JSON")
            return infos, "application/senml+json", text
    if category == "cbor" or bare.endswith("cbor-seq"):
        items = _items(payload) if category is None else [_single(payload)]
        infos.append(f"{bare}, shown in CBOR diagnostic notation")
        return infos, CBOR_DIAGNOSTIC, ",\n".join(map(cbordiag.diagnose, items))
    if category == "json":
        return _json(_decode(payload), bare, infos)
    if category == "link-format":
        return infos, "application/link-format", _plain(_links(_decode(payload)))
    if bare.startswith("text/") or bare.endswith(("/xml", "+xml", "/javascript")):
        return infos, bare, _plain(_decode(payload))
    infos.append(f"{bare}, shown as bytes")
    return infos, HEXDUMP, _hexdump(payload)


def _decode(payload: bytes) -> str:
    """Return UTF-8, which is the only charset in CoAP's registry, as text.

    Raises:
        _Unreadable: It is none.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError as problem:
        raise _Unreadable(f"not UTF-8 at byte {problem.start}") from None


def _plain(text: str) -> str:
    return escape_controls(text.replace("\r\n", "\n"))


def _inflate(payload: bytes, encoding: str | None) -> bytes:
    """Undo a content coding, up to a size that a peer may make out of little.

    Raises:
        _Unreadable: The coding is not known, the data broken or too much.
    """
    import zlib

    if encoding != "deflate":
        raise _Unreadable(f"encoded as {encoding}")
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(payload, _MAX_INFLATED)
    except zlib.error as problem:
        raise _Unreadable(f"broken deflate data ({problem})") from None
    if not inflater.eof:
        raise _Unreadable("deflate data that is cut short or too large when unpacked")
    return plain


# JSON


def _json(text: str, mime: str, infos: list[str]) -> _Pretty:
    """Lay JSON out without changing a token of it: no number is rounded, no key dropped.

    Raises:
        _Unreadable: It is no JSON.

    RFC 8259.
    """
    import json

    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        depth = cbordiag.MAX_DEPTH + 1
    except ValueError as problem:
        if not text or _CONTROLS.search(text.translate({9: None, 10: None, 13: None})):
            raise _Unreadable(f"not JSON: {problem}") from None
        infos.append(f"{mime}, but not JSON: {problem}")
        return infos, "text/plain", _plain(text)
    else:
        depth = _depth(text)
    if depth > cbordiag.MAX_DEPTH:
        infos.append(f"{mime}, nested too deeply to be laid out")
        return infos, mime, _plain(text)
    # A SenML record is a line's worth, so that only the list of them is laid out.
    expanded = 1 if "senml" in mime or "sensml" in mime else cbordiag.MAX_DEPTH
    return infos, mime, escape_controls(_layout(text, expanded))


def json_in_one_line(text: str) -> str | None:
    r"""Return JSON without line breaks, and with every number and text as it is.

    >>> json_in_one_line('{"a": 1.50,\n "b": "\u202e"}')
    '{"a":1.50,"b":"\\u202e"}'

    Args:
        text: Any text.

    Returns:
        JSON without control characters; None where the text is none (``NaN`` is no JSON), or
        nested deeper than anybody can read.

    RFC 8259.
    """
    import json

    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if _depth(text) > cbordiag.MAX_DEPTH:
        return None
    return escape_controls("".join(_TOKEN.findall(text)), keep="")


def _no_constant(name: str) -> None:
    """Refuse what Python reads beyond JSON."""
    raise ValueError(f"{name} is no JSON")


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def _depth(text: str) -> int:
    """Return how deeply some JSON is nested."""
    deepest = depth = 0
    for token in _TOKEN.findall(text):
        if token in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in "]}":
            depth -= 1
    return deepest


def _line_break(depth: int) -> str:
    return "\n" + "  " * min(depth, cbordiag.MAX_INDENT)


def _layout(text: str, expanded: int) -> str:
    """Write valid JSON with line breaks and indentation.

    Args:
        text: Valid JSON.
        expanded: Number of levels whose members get lines of their own.
    """
    out: list[str] = []
    depth = 0
    tokens = _TOKEN.findall(text)
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in "[{":
            depth += 1
            out.append(token)
            if depth <= expanded and following not in "]}":
                out.append(_line_break(depth))
        elif token in "]}":
            if depth <= expanded and out[-1] not in "[{":
                out.append(_line_break(depth - 1))
            out.append(token)
            depth -= 1
        elif token == ",":
            out.append("," + (_line_break(depth) if depth <= expanded else " "))
        else:
            out.append(": " if token == ":" else token)
    return "".join(out)


# CBOR


def _items(payload: bytes) -> list[Any]:
    """Read CBOR items.

    Raises:
        _Unreadable: It is no CBOR.
    """
    try:
        return cbordiag.decode(payload)
    except cbordiag.CborError as problem:
        raise _Unreadable(f"not CBOR: {problem}") from None


def _single(payload: bytes) -> Any:
    """Read exactly one CBOR item.

    Raises:
        _Unreadable: It is no CBOR, or another number of items.
    """
    items = _items(payload)
    if len(items) != 1:
        raise _Unreadable(f"{len(items)} CBOR items where one belongs")
    return items[0]


# RFC 8428 section 6, table 4.
_SENML_LABELS = {
    -1: "bver",
    -2: "bn",
    -3: "bt",
    -4: "bu",
    -5: "bv",
    -6: "bs",
    0: "n",
    1: "u",
    2: "v",
    3: "vs",
    4: "vb",
    5: "s",
    6: "t",
    7: "ut",
    8: "vd",
}


def _senml_json(pack: Any) -> str | None:
    """Write a SenML pack in CBOR as the JSON that it stands for, a record per line.

    Returns:
        JSON, or None where the pack holds what JSON has no equivalent for.

    RFC 8428 section 6.
    """
    if not isinstance(pack, list) or not all(isinstance(r, cbordiag.Pairs) for r in pack):
        return None
    lines = []
    for record in pack:
        fields = []
        for key, value in record:
            label = _SENML_LABELS.get(key) if type(key) is int else key
            if not isinstance(label, str) or not isinstance(value, str | bytes | int | float):
                return None
            shown = _base64url(value) if isinstance(value, bytes) else value
            fields.append(f"{cbordiag.quote(label)}: {cbordiag.diagnose(shown)}")
        lines.append("  {" + ", ".join(fields) + "}")
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def _base64url(value: bytes) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(value).rstrip(b"=").decode()


# RFC 9290 section 2.
_PROBLEM_KEYS = {
    -1: "title",
    -2: "detail",
    -3: "instance",
    -4: "response code",
    -5: "base URI",
    -6: "base language",
    -7: "right to left",
}


def _problem_details(problem: Any) -> str:
    """Write problem details as lines of ``name: value``.

    Raises:
        _Unreadable: It is no map.

    RFC 9290 section 2.
    """
    if not isinstance(problem, cbordiag.Pairs):
        raise _Unreadable("no map of problem details")
    lines = []
    for key, value in problem:
        name = _PROBLEM_KEYS.get(key) if type(key) is int else None
        # A text may come tagged with its language (RFC 9290 appendix A).
        if isinstance(value, cbordiag.Tag) and value.number == 38:
            value = value.value[1] if isinstance(value.value, list) and value.value[1:] else value
        if key == -4 and type(value) is int and 0 <= value < 256:
            shown = f"{value >> 5}.{value & 31:02}"
        elif isinstance(value, str):
            shown = escape_controls(value)
        else:
            shown = cbordiag.diagnose(value)
        shown = shown.replace("\n", "\n  ")
        lines.append(f"{name or one_line(cbordiag.diagnose(key))}: {shown}")
    return "\n".join(lines)


# The others


# An open quote or bracket takes what follows, so that no text makes the search start over.
_LINK_TOKEN = re.compile(r'<[^<>]*>?|"(?:[^"\\]|\\.)*+"?|,\s*|[^<",]+', re.DOTALL)


def _links(text: str) -> str:
    """Put each link of a link-format document on a line of its own.

    RFC 6690 section 2.
    """
    return "".join(
        [",\n" if token[0] == "," else token for token in _LINK_TOKEN.findall(text)],
    )


def _hexdump(data: bytes) -> str:
    """Show bytes in the way of ``hexdump -C``, 16 to a line."""
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        digits = row.hex(" ").ljust(47)
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {digits[:24]} {digits[24:]}  |{shown}|")
    return "\n".join(lines)


def lexer_for_mime(mime: str) -> Any:
    """Return a pygments lexer for a type that :func:`pretty_print` gives.

    The type of a structured syntax (``+json``) is taken where there is none for the type
    itself.

    Args:
        mime: A media type, with or without parameters.

    Raises:
        ImportError: pygments is not installed.
        pygments.util.ClassNotFound: There is none.
    """
    from pygments.lexers import get_lexer_for_mimetype
    from pygments.util import ClassNotFound

    mime = mime.partition(";")[0].strip().lower()
    options = {"stripnl": False, "ensurenl": False}
    if mime == HEXDUMP:
        from pygments.lexers.hexdump import HexdumpLexer

        return HexdumpLexer(**options)
    if mime == "application/link-format":
        from .linkformat_pygments import LinkFormatLexer

        return LinkFormatLexer(**options)
    if mime == CBOR_DIAGNOSTIC:
        # Its strings, numbers and brackets are those of JavaScript.
        mime = "application/javascript"
    try:
        return get_lexer_for_mimetype(mime, **options)
    except ClassNotFound:
        kind, _, subtype = mime.partition("/")
        if "+" not in subtype:
            raise
        return get_lexer_for_mimetype(f"{kind}/{subtype.rpartition('+')[2]}", **options)

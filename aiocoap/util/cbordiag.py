"""CBOR turned into diagnostic notation, for people to read.

Here live a decoder for CBOR from strangers and the writer of its diagnostic notation.

The room knows neither messages nor what a map's keys mean.  It writes no CBOR, and gives tags
no meaning: nothing is constructed, compiled or looked up on the word of a peer.

RFC 8949 sections 3 and 8, RFC 8742 (sequences).

It does not use the ``cbor-diag`` package: that one ends the whole process on deeply nested
input, and what is printed here comes from anybody.
"""

from __future__ import annotations

import re
import struct
from math import inf
from typing import Any, NamedTuple

__all__ = [
    "MAX_DEPTH",
    "MAX_INDENT",
    "CborError",
    "Pairs",
    "Simple",
    "Tag",
    "decode",
    "diagnose",
    "quote",
]

MAX_DEPTH = 64
"""Nesting beyond which items are refused: nobody could read them."""

MAX_INDENT = 16
"""Levels of nesting that are shown by indentation; those below are not indented further."""

_WIDTH = 78


class CborError(ValueError):
    """Bytes are not well-formed CBOR, or nested deeper than anybody can read."""


class Pairs(list[tuple[Any, Any]]):
    """A map, as the list of its entries: keys may repeat, and need not be hashable."""


class Tag(NamedTuple):
    """A tagged item."""

    number: int
    value: Any


class Simple(NamedTuple):
    """A simple value that is not a truth value, null or undefined."""

    number: int


_UNDEFINED = Simple(23)
_SIMPLE = {20: False, 21: True, 22: None}
_BREAK = object()


class _Reader:
    """A position in some bytes, and the items that follow it."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, length: int) -> bytes:
        start = self.position
        end = start + length
        if end > len(self.data):
            raise CborError(f"cut short after {len(self.data)} bytes")
        self.position = end
        return self.data[start:end]

    def argument(self, info: int) -> int | None:
        """Return the argument of a head; None stands for an indefinite length."""
        if info < 24:
            return info
        if info < 28:
            return int.from_bytes(self.take(1 << (info - 24)), "big")
        if info == 31:
            return None
        raise CborError(f"reserved head at byte {self.position - 1}")

    def item(self, depth: int = 0) -> Any:
        """Read one item; a stop code is the object ``_BREAK``."""
        if depth > MAX_DEPTH:
            raise CborError(f"nested deeper than {MAX_DEPTH} levels")
        start = self.position
        head = self.take(1)[0]
        major, info = head >> 5, head & 31
        if major == 7:
            return self._simple_or_float(info)
        argument = self.argument(info)
        if argument is None and major not in (2, 3, 4, 5):
            raise CborError(f"indefinite length at byte {start}, where there is none")
        if major < 2:
            assert argument is not None  # excluded above
            return -1 - argument if major else argument
        if major < 4:
            raw = self._chunks(major) if argument is None else self.take(argument)
            return raw if major == 2 else _text(raw, start)
        if major == 6:
            assert argument is not None  # excluded above
            return Tag(argument, self._whole(depth + 1))
        return self._array(argument, depth) if major == 4 else self._map(argument, depth)

    def _whole(self, depth: int) -> Any:
        """Read an item where no stop code may be."""
        value = self.item(depth)
        if value is _BREAK:
            raise CborError(f"stop code at byte {self.position - 1}, where there is none")
        return value

    def _array(self, length: int | None, depth: int) -> list[Any]:
        out: list[Any] = []
        while length is None or len(out) < length:
            value = self.item(depth + 1) if length is None else self._whole(depth + 1)
            if value is _BREAK:
                break
            out.append(value)
        return out

    def _map(self, length: int | None, depth: int) -> Pairs:
        out = Pairs()
        while length is None or len(out) < length:
            key = self.item(depth + 1) if length is None else self._whole(depth + 1)
            if key is _BREAK:
                break
            out.append((key, self._whole(depth + 1)))
        return out

    def _chunks(self, major: int) -> bytes:
        """Join the chunks of a string of indefinite length (RFC 8949 section 3.2.3)."""
        out = bytearray()
        while (head := self.take(1)[0]) != 0xFF:
            length = self.argument(head & 31)
            if head >> 5 != major or length is None:
                raise CborError(f"wrong chunk at byte {self.position - 1}")
            chunk = self.take(length)
            if major == 3:
                _text(chunk, self.position)
            out += chunk
        return bytes(out)

    def _simple_or_float(self, info: int) -> Any:
        if info == 31:
            return _BREAK
        if 25 <= info <= 27:
            (value,) = struct.unpack(">" + "efd"[info - 25], self.take(1 << (info - 24)))
            return value
        number = self.argument(info)
        assert number is not None  # the indefinite length is the stop code
        if info == 24 and number < 32:
            raise CborError(f"simple value {number} is not encoded in one byte")
        return _SIMPLE[number] if number in _SIMPLE else Simple(number)


def _text(raw: bytes, position: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise CborError(f"text string at byte {position} is not UTF-8") from None


def decode(data: bytes) -> list[Any]:
    """Read a sequence of CBOR items.

    >>> decode(bytes.fromhex("a10120f5"))
    [[(1, -1)], True]

    Args:
        data: Anything.

    Returns:
        The items: numbers, ``bytes``, ``str``, truth values, None, lists, :class:`Pairs`,
        :class:`Tag` and :class:`Simple`.  Strings that came in chunks are joined.

    Raises:
        CborError: The bytes are not well-formed, or nested deeper than ``MAX_DEPTH``.

    RFC 8949 section 3, RFC 8742 section 2.
    """
    reader = _Reader(bytes(data))
    items = []
    while reader.position < len(reader.data):
        items.append(reader._whole(0))
    return items


_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quote(text: str) -> str:
    r"""Write a text as a string of JSON, which is one of diagnostic notation too.

    >>> quote('say "hi"\x1b')
    '"say \\"hi\\"\\u001b"'

    Args:
        text: Any text; what a terminal would act on is escaped.
    """
    escaped = _ESCAPED.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text)
    return f'"{escaped}"'


def _one_line(item: Any, room: float = inf) -> str | None:
    """Write an item without line breaks, or return None as soon as it gets too long.

    That it stops early keeps the cost of deep items linear: every level asks again.
    """
    if isinstance(item, Tag):
        inner = _one_line(item.value, room - 3)
        return None if inner is None else f"{item.number}({inner})"
    if not isinstance(item, list):
        line = _scalar(item)
        return line if len(line) <= room else None
    parts = []
    for value in item:
        if isinstance(item, Pairs):
            key, val = _one_line(value[0], room), _one_line(value[1], room)
            part = None if key is None or val is None else f"{key}: {val}"
        else:
            part = _one_line(value, room)
        if part is None:
            return None
        room -= len(part) + 2
        if room < 0:
            return None
        parts.append(part)
    line = ", ".join(parts)
    return f"{{{line}}}" if isinstance(item, Pairs) else f"[{line}]"


def _scalar(item: Any) -> str:
    """Write what contains nothing."""
    if isinstance(item, str):
        return quote(item)
    if isinstance(item, bytes):
        return f"h'{item.hex()}'"
    if isinstance(item, Simple):
        return "undefined" if item == _UNDEFINED else f"simple({item.number})"
    if isinstance(item, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(item), repr(item))
    if item is None or isinstance(item, bool):
        # 1 == True, so that looking it up alone would not do.
        return {True: "true", False: "false", None: "null"}[item]
    return str(item)


def diagnose(item: Any, depth: int = 0) -> str:
    """Write an item in diagnostic notation, over several lines where one is too short.

    >>> print(diagnose(decode(bytes.fromhex("a20141ff026161"))[0]))
    {1: h'ff', 2: "a"}

    Args:
        item: A value of the kinds that :func:`decode` returns.
        depth: Number of levels around it, which it is indented by.

    RFC 8949 section 8.
    """
    # Indentation ends where it would only cost: a byte of input may be a line of its own.
    indent, inner = ("  " * min(level, MAX_INDENT) for level in (depth, depth + 1))
    line = _one_line(item, _WIDTH - len(indent))
    if line is not None:
        return line
    if isinstance(item, Tag):
        return f"{item.number}({diagnose(item.value, depth)})"
    if isinstance(item, Pairs):
        rows = [f"{inner}{_one_line(k)}: {diagnose(v, depth + 1)}" for k, v in item]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(item, list):
        rows = [inner + diagnose(value, depth + 1) for value in item]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    return _scalar(item)

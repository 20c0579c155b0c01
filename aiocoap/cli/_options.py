"""CoAP options as people write and read them.

Here live the argument of ``-O`` and its inverse: an option's name and value as text and as JSON,
by the one registry of options.

The room knows no message and no command line; what can not be understood is argparse's
``ArgumentTypeError``.

RFC 7252 sections 3.2 and 5.10, RFC 7959 section 2.2.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from ..numbers.contentformat import ContentFormat
from ..numbers.optionnumbers import REGISTRY, OptionRow
from ..optiontypes import (
    BlockOption,
    ContentFormatOption,
    StringOption,
    UintOption,
    decode_block,
    encode_block,
    encode_uint,
)

__all__ = [
    "GivenOption",
    "json_value",
    "option_name",
    "parse_content_format",
    "parse_option",
    "text_value",
]

_BY_NAME = {row.name.lower(): number for number, row in REGISTRY.items()}

_MORE = {"0": False, "1": True}
# Block sizes in bytes by their exponents; 7 stands for many blocks in a message (RFC 8323).
_SIZES = (*(str(16 << exponent) for exponent in range(7)), "BERT")


class GivenOption(NamedTuple):
    """An option with its value as it goes on the wire."""

    number: int
    value: bytes


def option_name(number: int) -> str:
    """Return the registered name of an option, or the digits of a number that has none.

    >>> option_name(12), option_name(65000)
    ('Content-Format', '65000')
    """
    row = REGISTRY.get(number)
    return str(number) if row is None else row.name


def parse_content_format(text: str) -> ContentFormat:
    """Read a content format: a media type, or a number.

    >>> int(parse_content_format("application/json"))
    50

    Raises:
        argparse.ArgumentTypeError: There is none for the media type.

    RFC 7252 section 12.3.
    """
    if text.isascii() and text.isdigit():
        if int(text) <= 65535:
            return ContentFormat(int(text))
        raise argparse.ArgumentTypeError(f"{text} is no content format number (0 to 65535)")
    try:
        return ContentFormat.by_media_type(text)
    except KeyError:
        raise argparse.ArgumentTypeError(
            f"{text!r} has no content format number: give a registered media type, such as "
            "application/cbor, or a number"
        ) from None


def parse_option(text: str) -> GivenOption:
    r"""Read an option: ``NAME=VALUE`` or ``NUMBER=VALUE``.

    The value is what the option's format takes: a text; a number; a media type or its number; bytes
    in hexadecimal (``0x…``) or as text; a block as ``NUMBER/MORE/SIZE``; nothing, where the
    option is only there or not.  Options of unknown numbers take bytes.

    >>> parse_option("uri-query=a=b"), parse_option("65000=0x01")
    (GivenOption(number=15, value=b'a=b'), GivenOption(number=65000, value=b'\x01'))

    Raises:
        argparse.ArgumentTypeError: There is no such option, or it does not take the value; the
            text says what it takes.
    """
    name, _, value = text.partition("=")
    number = _number(name.strip())
    row = REGISTRY.get(number)
    raw = _encode(row, value)
    minimum, maximum = (0, 65804) if row is None else (row.minimum, row.maximum)
    takes = f"{option_name(number)} takes {_takes(row)}"
    if maximum and "=" not in text:
        raise argparse.ArgumentTypeError(f"{takes}: write {name}=VALUE")
    if raw is None or not minimum <= len(raw) <= maximum:
        raise argparse.ArgumentTypeError(f"{takes}, not {value!r}")
    return GivenOption(number, raw)


def _number(name: str) -> int:
    """Return the number of an option.

    Raises:
        argparse.ArgumentTypeError: There is no such option.
    """
    if name.isascii() and name.isdigit():
        if int(name) <= 65535:
            return int(name)
        raise argparse.ArgumentTypeError(f"{name} is no option number (0 to 65535)")
    number = _BY_NAME.get(name.lower().replace("_", "-"))
    if number is None:
        raise argparse.ArgumentTypeError(
            f"there is no option {name!r}: give NAME=VALUE or NUMBER=VALUE, the name being one of "
            + ", ".join(row.name for row in REGISTRY.values())
        )
    return number


def _takes(row: OptionRow | None) -> str:
    """Say what values an option takes."""
    if row is None:
        return "bytes, in hexadecimal (0x…) or as text"
    minimum, maximum, kind = row.minimum, row.maximum, row.format
    if not maximum:
        return "no value"
    if kind is ContentFormatOption:
        return "a media type or a number from 0 to 65535"
    if kind is BlockOption:
        return f"NUMBER/MORE/SIZE, such as 3/0/64, the size being one of {', '.join(_SIZES)}"
    if kind is UintOption:
        return f"a number from {minimum and 256 ** (minimum - 1)} to {256**maximum - 1}"
    length = f"{minimum} to {maximum} bytes"
    return length + (" of text" if kind is StringOption else ", in hexadecimal (0x…) or as text")


def _encode(row: OptionRow | None, text: str) -> bytes | None:
    """Return a value as it goes on the wire, or None if it is of another kind."""
    kind = None if row is None else row.format
    try:
        if kind is StringOption:
            return _bytes(text)
        if kind is ContentFormatOption:
            return encode_uint(int(parse_content_format(text)))
        if kind is UintOption:
            return encode_uint(_uint(text))
        if kind is BlockOption:
            number, more, size = text.split("/")
            return encode_block((_uint(number), _MORE[more], _SIZES.index(size.upper())))
        return bytes.fromhex(text[2:]) if text[:2].lower() == "0x" else _bytes(text)
    except (ValueError, KeyError, argparse.ArgumentTypeError):
        return None


def _uint(text: str) -> int:
    """Read a number, decimal or hexadecimal.

    Raises:
        ValueError: It is none.
    """
    if not (text.isascii() and text.isalnum()):
        raise ValueError(text)
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def _bytes(text: str) -> bytes:
    # What is no UTF-8 in an argument is passed on as it was typed.
    return text.encode("utf-8", "surrogateescape")


def json_value(number: int, raw: bytes) -> Any:
    r"""Return an option's value as what JSON is made of.

    Numbers are numbers and texts are texts; bytes are a text of hexadecimal digits (``0x…``),
    and blocks one of ``NUMBER/MORE/SIZE``.  What is only there or not is true.

    >>> json_value(12, b"2"), json_value(4, b"\x01\xff"), json_value(23, b"\x32")
    (50, '0x01ff', '3/0/64')

    Args:
        number: Option number.
        raw: The value on the wire, from anybody.
    """
    row = REGISTRY.get(number)
    kind = None if row is None else row.format
    if row is not None and not row.maximum and not raw:
        return True
    if kind is not None and issubclass(kind, UintOption):
        return int.from_bytes(raw, "big")
    if kind is BlockOption:
        block = decode_block(raw)
        return f"{block.block_number}/{int(block.more)}/{_SIZES[block.size_exponent]}"
    if kind is StringOption:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    return f"0x{raw.hex()}"


def text_value(number: int, raw: bytes) -> str:
    """Return an option's value as a text, which may be of any characters.

    >>> text_value(12, b"2"), text_value(5, b"")
    ('50 (application/json)', '')

    Args:
        number: Option number.
        raw: The value on the wire, from anybody.
    """
    value = json_value(number, raw)
    if value is True:
        return ""
    row = REGISTRY.get(number)
    if row is not None and row.format is ContentFormatOption:
        mime = ContentFormat(value).media_type
        return f"{value} ({mime})" if mime is not None else str(value)
    return str(value)

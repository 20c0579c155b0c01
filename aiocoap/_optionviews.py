"""Options by attribute: what makes ``message.opt.uri_path`` possible.

Here live the table that a message's options are kept in, and a descriptor for each way of looking
at one option of it: as a number, as a text, as all of several texts ...

The room knows one option at a time; :mod:`aiocoap.options` knows which there are.

RFC 7252 sections 3.2, 5.4.3 and 5.10.

Representation: for each option number, a sequence of the occurrences in order.  An occurrence is
the bytes of the wire; interpreting them waits until somebody asks, as most options of most
messages are only looked at once, or never.  Once somebody has handed in or asked for an
occurrence as an object of :mod:`aiocoap.optiontypes`, it is that object, and changes to it
are seen.

A sequence is never changed once it is in the table; it is replaced.  So a copy of the options is
a copy of the table, and shares the sequences.  Where there are objects, the table is of a kind
that copies these too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

from ._contentformat import ContentFormat
from .numbers.optionnumbers import REGISTRY, OptionNumber
from .optiontypes import (
    BlockOption,
    OptionType,
    decode_block,
    encode_block,
    encode_uint,
)

__all__ = [
    "BlockView",
    "BlocksView",
    "ContentFormatView",
    "Occurrence",
    "OpaqueView",
    "OpaquesView",
    "PresenceView",
    "RepeatedView",
    "Seen",
    "Table",
    "TextView",
    "TextsView",
    "UintView",
    "Values",
    "View",
    "is_utf8",
    "raw_of",
]

# Small numbers as option values; 0 is the empty value (RFC 7252 section 3.2).
_BYTES = tuple([bytes((number,)) for number in range(256)])
_SMALL = (b"", *_BYTES[1:])

_KNOWN_FORMATS = ContentFormat._members
# The same by what they are on the wire, which spares the way by the number.
_FORMATS_BY_VALUE: dict[object, ContentFormat] = {
    encode_uint(number): known for number, known in _KNOWN_FORMATS.items()
}


class Seen:
    """An occurrence that came as bytes and was asked for as an object.

    The bytes stay what they were (an overlong number, say, remains unacceptable) until the object
    is given another value.
    """

    __slots__ = ("option", "raw", "value")

    def __init__(self, option: OptionType, raw: bytes) -> None:
        self.option = option
        self.raw = raw
        self.value = option.value

    def encode(self) -> bytes:
        """Return the value as it goes on the wire."""
        return self.raw if self.option.value == self.value else self.option.encode()

    def copy(self) -> Seen:
        """Return an occurrence that can be changed without changing this one."""
        raw = self.encode()
        return Seen(OptionNumber(self.option.number).create_option(decode=raw), raw)


Occurrence = bytes | OptionType | Seen


class Table(dict[int, Sequence[Occurrence]]):
    """The table of options that have objects among the occurrences."""

    def copy(self) -> Table:
        """Return a table with copies of the objects."""
        return Table(
            (number, [o if isinstance(o, bytes) else o.copy() for o in occurrences])
            for number, occurrences in self.items()
        )


def raw_of(occurrence: Occurrence) -> bytes:
    """Return the wire form of an occurrence."""
    return occurrence if isinstance(occurrence, bytes) else occurrence.encode()


def is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class Values:
    """Option values by number: what the views look at."""

    __slots__ = ("_values",)

    _values: dict[int, Sequence[Occurrence]]

    def __init__(self) -> None:
        self._values = {}


def _plain(value: bytes | bytearray | memoryview, name: str) -> bytes:
    """Return bytes as such.

    Raises:
        TypeError: They are something else, a number for one, which ``bytes()`` would take.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{name} takes bytes, not {type(value).__name__}")


def _encode_text(value: str, name: str) -> bytes:
    """Return a text as UTF-8.

    Raises:
        TypeError: It is no text.
        ValueError: It has no form in UTF-8.
    """
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"{name} takes text, not {type(value).__name__}")


class View:
    """Typed access to one option of an :class:`Options` object, by attribute.

    Reading gives the first occurrence if it is acceptable; an occurrence whose length is out of
    range or that is no UTF-8 where it should be reads as absent (RFC 7252 sections 5.4.3, 5.4.1).
    """

    def __init__(self, number: OptionNumber, doc: str) -> None:
        self.number = int(number)
        row = REGISTRY[self.number]
        self.name = row.name
        self.minimum = row.minimum
        self.maximum = row.maximum
        self.__doc__ = f"{doc}\n\nIt is None where the option is absent.\n\n{row.reference}."

    def _first(self, opt: Values) -> bytes | None:
        occurrences = opt._values.get(self.number)
        if occurrences is None:
            return None
        value = occurrences[0]
        if type(value) is not bytes:
            value = raw_of(value)
        return value if self.minimum <= len(value) <= self.maximum else None

    def _set_raw(self, opt: Values, raw: bytes) -> None:
        if not self.minimum <= len(raw) <= self.maximum:
            raise ValueError(
                f"{self.name} takes {self.minimum} to {self.maximum} bytes, not {len(raw)}"
            )
        opt._values[self.number] = (raw,)

    def __delete__(self, opt: Values) -> None:
        opt._values.pop(self.number, None)


class UintView(View):
    def __init__(self, number: OptionNumber, doc: str) -> None:
        super().__init__(number, doc)
        # Hop-Limit is exactly one byte long, so its 0 is not the empty value (RFC 8768 section 3).
        self.small = _BYTES if self.minimum else _SMALL

    @overload
    def __get__(self, opt: None, owner: type) -> UintView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> int | None: ...
    def __get__(self, opt: Values | None, owner: type) -> UintView | int | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return None if raw is None else int.from_bytes(raw, "big")

    def __set__(self, opt: Values, value: int | None) -> None:
        if value is None:
            opt._values.pop(self.number, None)
        elif 0 <= value < 256:
            opt._values[self.number] = (self.small[value],)
        else:
            self._set_raw(opt, encode_uint(value))


class ContentFormatView(View):
    @overload
    def __get__(self, opt: None, owner: type) -> ContentFormatView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> ContentFormat | None: ...
    def __get__(self, opt: Values | None, owner: type) -> ContentFormatView | ContentFormat | None:
        if opt is None:
            return self
        occurrences = opt._values.get(self.number)
        if occurrences is None:
            return None
        known = _FORMATS_BY_VALUE.get(occurrences[0])
        if known is not None:
            return known
        raw = self._first(opt)
        if raw is None:
            return None
        number = int.from_bytes(raw, "big")
        known = _KNOWN_FORMATS.get(number)
        return ContentFormat(number) if known is None else known

    def __set__(self, opt: Values, value: int | None) -> None:
        if value is None:
            opt._values.pop(self.number, None)
        elif 0 <= value < 256:
            opt._values[self.number] = (_SMALL[value],)
        else:
            self._set_raw(opt, encode_uint(value))


class BlockView(View):
    @overload
    def __get__(self, opt: None, owner: type) -> BlockView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> BlockOption.BlockwiseTuple | None: ...
    def __get__(
        self, opt: Values | None, owner: type
    ) -> BlockView | BlockOption.BlockwiseTuple | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return None if raw is None else decode_block(raw)

    def __set__(self, opt: Values, value: tuple[int, bool, int] | None) -> None:
        if value is None:
            opt._values.pop(self.number, None)
        else:
            opt._values[self.number] = (encode_block(value),)


class OpaqueView(View):
    @overload
    def __get__(self, opt: None, owner: type) -> OpaqueView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> bytes | None: ...
    def __get__(self, opt: Values | None, owner: type) -> OpaqueView | bytes | None:
        return self if opt is None else self._first(opt)

    def __set__(self, opt: Values, value: bytes | None) -> None:
        if value is None:
            opt._values.pop(self.number, None)
        else:
            self._set_raw(opt, _plain(value, self.name))


class TextView(View):
    @overload
    def __get__(self, opt: None, owner: type) -> TextView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> str | None: ...
    def __get__(self, opt: Values | None, owner: type) -> TextView | str | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return raw.decode() if raw is not None and is_utf8(raw) else None

    def __set__(self, opt: Values, value: str | None) -> None:
        if value is None:
            opt._values.pop(self.number, None)
        else:
            self._set_raw(opt, _encode_text(value, self.name))


class PresenceView(View):
    @overload
    def __get__(self, opt: None, owner: type) -> PresenceView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> bool: ...
    def __get__(self, opt: Values | None, owner: type) -> PresenceView | bool:
        return self if opt is None else self._first(opt) is not None

    def __set__(self, opt: Values, value: bool | None) -> None:
        if value:
            opt._values[self.number] = (b"",)
        else:
            opt._values.pop(self.number, None)


class RepeatedView(View):
    """All acceptable occurrences, as a tuple."""

    def _all(self, opt: Values) -> list[bytes]:
        return [
            raw
            for raw in map(raw_of, opt._values.get(self.number, ()))
            if self.minimum <= len(raw) <= self.maximum
        ]

    def _set_all(self, opt: Values, values: tuple[bytes, ...]) -> None:
        for raw in values:
            if not self.minimum <= len(raw) <= self.maximum:
                raise ValueError(
                    f"{self.name} takes {self.minimum} to {self.maximum} bytes, not {len(raw)}"
                )
        if values:
            opt._values[self.number] = values
        else:
            opt._values.pop(self.number, None)


class TextsView(RepeatedView):
    @overload
    def __get__(self, opt: None, owner: type) -> TextsView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> tuple[str, ...]: ...
    def __get__(self, opt: Values | None, owner: type) -> TextsView | tuple[str, ...]:
        if opt is None:
            return self
        occurrences = opt._values.get(self.number)
        if occurrences is None:
            return ()
        texts = []
        for raw in occurrences:
            if type(raw) is not bytes:
                raw = raw_of(raw)
            if len(raw) <= self.maximum:
                try:
                    texts.append(raw.decode())
                except UnicodeDecodeError:
                    continue
        return tuple(texts)

    def __set__(self, opt: Values, values: Iterable[str] | None) -> None:
        if isinstance(values, str):
            raise TypeError(f"{self.name} takes a sequence of strings, not a single string")
        self._set_all(opt, tuple([_encode_text(value, self.name) for value in values or ()]))


class OpaquesView(RepeatedView):
    @overload
    def __get__(self, opt: None, owner: type) -> OpaquesView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> tuple[bytes, ...]: ...
    def __get__(self, opt: Values | None, owner: type) -> OpaquesView | tuple[bytes, ...]:
        return self if opt is None else tuple(self._all(opt))

    def __set__(self, opt: Values, values: Iterable[bytes] | None) -> None:
        if isinstance(values, (bytes, bytearray)):
            raise TypeError(f"{self.name} takes a sequence of byte strings, not a single one")
        self._set_all(opt, tuple([_plain(value, self.name) for value in values or ()]))


class BlocksView(RepeatedView):
    @overload
    def __get__(self, opt: None, owner: type) -> BlocksView: ...
    @overload
    def __get__(self, opt: Values, owner: type) -> tuple[BlockOption.BlockwiseTuple, ...]: ...
    def __get__(
        self, opt: Values | None, owner: type
    ) -> BlocksView | tuple[BlockOption.BlockwiseTuple, ...]:
        return self if opt is None else tuple([decode_block(raw) for raw in self._all(opt)])

    def __set__(self, opt: Values, values: Iterable[tuple[int, bool, int]] | None) -> None:
        self._set_all(opt, tuple([encode_block(value) for value in values or ()]))

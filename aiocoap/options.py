"""The options of one message.

Here live :class:`Options`, which reads and writes option values by name, and the rules on
which occurrences of an option count.

The room knows what an option value is, not what it makes a server or a client do.

RFC 7252 sections 3.1, 5.4 and 5.10.

Representation: for each option number, the occurrences in order.  An occurrence is the
bytes of the wire; interpreting them waits until somebody asks, as most options of most
messages are only looked at once, or never.  Once somebody has handed in or asked for an
occurrence as an object of :mod:`aiocoap.optiontypes`, it is that object, and changes to it
are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

from ._faults import UnparsableMessage
from ._contentformat import ContentFormat
from .numbers.optionnumbers import REGISTRY, OptionNumber
from .optiontypes import (
    BlockOption,
    OptionType,
    StringOption,
    decode_block,
    encode_block,
    encode_uint,
)

__all__ = ["Options"]

_Occurrence = bytes | OptionType

# What the rules need of a row, by number, looked up for every option of every request:
# least and greatest length, repeatable, is text.
_RULES = {
    number: (row.minimum, row.maximum, row.repeatable, row.format is StringOption)
    for number, row in REGISTRY.items()
}


def _raw(occurrence: _Occurrence) -> bytes:
    """Return the wire form of an occurrence."""
    return occurrence if isinstance(occurrence, bytes) else occurrence.encode()


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class _View:
    """Typed access to one option of an :class:`Options` object, by attribute.

    Reading gives the first acceptable occurrence; an occurrence whose length is out of range
    or that is no UTF-8 where it should be reads as absent (RFC 7252 sections 5.4.3, 5.4.1).
    """

    def __init__(self, number: OptionNumber, doc: str) -> None:
        self.number = int(number)
        row = REGISTRY[self.number]
        self.name = row.name
        self.minimum = row.minimum
        self.maximum = row.maximum
        self.__doc__ = f"{doc}\n\nIt is None where the option is absent.\n\n{row.reference}."

    def _first(self, opt: Options) -> bytes | None:
        occurrences = opt._values.get(self.number)
        if occurrences is None:
            return None
        value = occurrences[0]
        if not isinstance(value, bytes):
            value = value.encode()
        return value if self.minimum <= len(value) <= self.maximum else None

    def _set_raw(self, opt: Options, raw: bytes | None) -> None:
        if raw is None:
            opt._values.pop(self.number, None)
        else:
            self._check(raw)
            opt._values[self.number] = [raw]

    def _check(self, raw: bytes) -> None:
        if not self.minimum <= len(raw) <= self.maximum:
            raise ValueError(
                f"{self.name} takes {self.minimum} to {self.maximum} bytes, not {len(raw)}"
            )

    def __delete__(self, opt: Options) -> None:
        opt._values.pop(self.number, None)


class _Uint(_View):
    @overload
    def __get__(self, opt: None, owner: type) -> _Uint: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> int | None: ...
    def __get__(self, opt: Options | None, owner: type) -> _Uint | int | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return None if raw is None else int.from_bytes(raw, "big")

    def __set__(self, opt: Options, value: int | None) -> None:
        if value is None:
            self._set_raw(opt, None)
            return
        raw = encode_uint(int(value))
        # Hop-Limit is exactly one byte long, so its 0 is not the empty value (RFC 8768).
        self._set_raw(opt, raw.rjust(self.minimum, b"\0"))


class _ContentFormat(_View):
    @overload
    def __get__(self, opt: None, owner: type) -> _ContentFormat: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> ContentFormat | None: ...
    def __get__(self, opt: Options | None, owner: type) -> _ContentFormat | ContentFormat | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return None if raw is None else ContentFormat(int.from_bytes(raw, "big"))

    def __set__(self, opt: Options, value: int | None) -> None:
        self._set_raw(opt, None if value is None else encode_uint(int(value)))


class _Block(_View):
    @overload
    def __get__(self, opt: None, owner: type) -> _Block: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> BlockOption.BlockwiseTuple | None: ...
    def __get__(
        self, opt: Options | None, owner: type
    ) -> _Block | BlockOption.BlockwiseTuple | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return None if raw is None else decode_block(raw)

    def __set__(self, opt: Options, value: tuple[int, bool, int] | None) -> None:
        self._set_raw(opt, None if value is None else encode_block(value))


class _Opaque(_View):
    @overload
    def __get__(self, opt: None, owner: type) -> _Opaque: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> bytes | None: ...
    def __get__(self, opt: Options | None, owner: type) -> _Opaque | bytes | None:
        return self if opt is None else self._first(opt)

    def __set__(self, opt: Options, value: bytes | None) -> None:
        self._set_raw(opt, None if value is None else bytes(value))


class _Text(_View):
    @overload
    def __get__(self, opt: None, owner: type) -> _Text: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> str | None: ...
    def __get__(self, opt: Options | None, owner: type) -> _Text | str | None:
        if opt is None:
            return self
        raw = self._first(opt)
        return raw.decode() if raw is not None and _is_utf8(raw) else None

    def __set__(self, opt: Options, value: str | None) -> None:
        self._set_raw(opt, None if value is None else value.encode())


class _Presence(_View):
    @overload
    def __get__(self, opt: None, owner: type) -> _Presence: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> bool: ...
    def __get__(self, opt: Options | None, owner: type) -> _Presence | bool:
        return self if opt is None else self._first(opt) is not None

    def __set__(self, opt: Options, value: bool | None) -> None:
        self._set_raw(opt, b"" if value else None)


class _Repeated(_View):
    """All acceptable occurrences, as a tuple."""

    def _all(self, opt: Options) -> Iterator[bytes]:
        for occurrence in opt._values.get(self.number, ()):
            raw = _raw(occurrence)
            if self.minimum <= len(raw) <= self.maximum:
                yield raw

    def _set_all(self, opt: Options, values: list[bytes]) -> None:
        for raw in values:
            self._check(raw)
        if values:
            opt._values[self.number] = list(values)
        else:
            opt._values.pop(self.number, None)


class _Texts(_Repeated):
    @overload
    def __get__(self, opt: None, owner: type) -> _Texts: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> tuple[str, ...]: ...
    def __get__(self, opt: Options | None, owner: type) -> _Texts | tuple[str, ...]:
        if opt is None:
            return self
        occurrences = opt._values.get(self.number)
        if occurrences is None:
            return ()
        try:
            # The whole of most requests' paths; what is odd takes the careful way.
            return tuple([o.decode() for o in occurrences])  # type: ignore[call-arg, misc]
        except (TypeError, UnicodeDecodeError):
            return tuple(raw.decode() for raw in self._all(opt) if _is_utf8(raw))

    def __set__(self, opt: Options, values: Iterable[str] | None) -> None:
        if isinstance(values, str):
            raise TypeError(f"{self.name} takes a sequence of strings, not a single string")
        self._set_all(opt, [value.encode() for value in values or ()])


class _Opaques(_Repeated):
    @overload
    def __get__(self, opt: None, owner: type) -> _Opaques: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> tuple[bytes, ...]: ...
    def __get__(self, opt: Options | None, owner: type) -> _Opaques | tuple[bytes, ...]:
        return self if opt is None else tuple(self._all(opt))

    def __set__(self, opt: Options, values: Iterable[bytes] | None) -> None:
        if isinstance(values, bytes):
            raise TypeError(f"{self.name} takes a sequence of byte strings, not a single one")
        self._set_all(opt, [bytes(value) for value in values or ()])


class _Blocks(_Repeated):
    @overload
    def __get__(self, opt: None, owner: type) -> _Blocks: ...
    @overload
    def __get__(self, opt: Options, owner: type) -> tuple[BlockOption.BlockwiseTuple, ...]: ...
    def __get__(
        self, opt: Options | None, owner: type
    ) -> _Blocks | tuple[BlockOption.BlockwiseTuple, ...]:
        return self if opt is None else tuple(decode_block(raw) for raw in self._all(opt))

    def __set__(self, opt: Options, values: Iterable[tuple[int, bool, int]] | None) -> None:
        self._set_all(opt, [encode_block(value) for value in values or ()])


class Options:
    """The options of a message (stable).

    Each known option is a property: ``message.opt.uri_path = ("sensors", "temp")``.  Reading
    an absent option gives None (an empty tuple for repeatable ones, False for those that are
    only present or not); setting None or deleting removes the option.

    Raises:
        AttributeError: A property of another name is set.
        ValueError: A value has a length that the option does not allow (``OverflowError`` for
            negative numbers, ``TypeError`` for a single string where a sequence belongs).

    RFC 7252 section 5.10.
    """

    __slots__ = ("_values",)

    _values: dict[int, list[_Occurrence]]

    def __init__(self) -> None:
        self._values = {}

    # In the order of the numbers

    if_match = _Opaques(OptionNumber.IF_MATCH, "ETags, one of which the resource must have.")
    uri_host = _Text(OptionNumber.URI_HOST, "Host part of the requested URI.")
    etag = _Opaque(OptionNumber.ETAG, "The one ETag of a response.")
    etags = _Opaques(OptionNumber.ETAG, "The ETags that a request knows.")
    if_none_match = _Presence(OptionNumber.IF_NONE_MATCH, "Whether the resource must not exist.")
    observe = _Uint(OptionNumber.OBSERVE, "0 or 1 in a request, a sequence number in responses.")
    uri_port = _Uint(OptionNumber.URI_PORT, "Port of the requested URI.")
    location_path = _Texts(OptionNumber.LOCATION_PATH, "Path segments of a created resource.")
    oscore = _Opaque(OptionNumber.OSCORE, "Compressed COSE header of a protected message.")
    object_security = oscore
    uri_path = _Texts(OptionNumber.URI_PATH, "Path segments of the requested URI.")
    content_format = _ContentFormat(OptionNumber.CONTENT_FORMAT, "Format of the payload.")
    max_age = _Uint(OptionNumber.MAX_AGE, "Seconds that a response stays fresh.")
    uri_query = _Texts(OptionNumber.URI_QUERY, "Arguments of the requested URI.")
    hop_limit = _Uint(OptionNumber.HOP_LIMIT, "Number of proxies that a request may still pass.")
    accept = _ContentFormat(OptionNumber.ACCEPT, "Content-Format that a response must have.")
    q_block1 = _Block(OptionNumber.Q_BLOCK1, "Place of the payload in a request body (NON).")
    location_query = _Texts(OptionNumber.LOCATION_QUERY, "Arguments of a created resource.")
    edhoc = _Presence(OptionNumber.EDHOC, "Whether the payload begins with an EDHOC message.")
    block2 = _Block(OptionNumber.BLOCK2, "Place of the payload in a response body.")
    block1 = _Block(OptionNumber.BLOCK1, "Place of the payload in a request body.")
    size2 = _Uint(OptionNumber.SIZE2, "Size of the response body in bytes; 0 asks for it.")
    q_block2 = _Blocks(OptionNumber.Q_BLOCK2, "Places in a response body (NON).")
    proxy_uri = _Text(OptionNumber.PROXY_URI, "The whole URI, in a request to a forward proxy.")
    proxy_scheme = _Text(OptionNumber.PROXY_SCHEME, "The scheme, in a request to a proxy.")
    size1 = _Uint(OptionNumber.SIZE1, "Size of the request body in bytes, or the server's limit.")
    echo = _Opaque(OptionNumber.ECHO, "The server's challenge, and its repetition.")
    no_response = _Uint(OptionNumber.NO_RESPONSE, "Bits of the response classes not wanted.")
    request_tag = _Opaques(OptionNumber.REQUEST_TAG, "Tells concurrent uploads apart.")
    request_hash = _Opaque(OptionNumber.REQUEST_HASH, "Hash of a deterministic request.")

    def decode(self, rawdata: bytes) -> bytes:
        """Read options from the start of some bytes, up to the payload marker or the end.

        Args:
            rawdata: What follows the token in a message.

        Returns:
            The payload, empty where there is no payload marker.

        Raises:
            UnparsableMessage: The bytes are no options; nothing is known of them then.

        RFC 7252 section 3.1.
        """
        position, end, number = 0, len(rawdata), 0
        values = self._values
        try:
            while position < end:
                head = rawdata[position]
                position += 1
                if head == 0xFF:
                    if position == end:
                        raise UnparsableMessage("payload marker without a payload")
                    return rawdata[position:]
                delta, length = head >> 4, head & 15
                # The delta's extension comes before the length's.
                if delta > 12:
                    if delta == 13:
                        delta = rawdata[position] + 13
                        position += 1
                    elif delta == 14:
                        delta = (rawdata[position] << 8 | rawdata[position + 1]) + 269
                        position += 2
                    else:
                        raise UnparsableMessage("option delta 15 is reserved")
                if length > 12:
                    if length == 13:
                        length = rawdata[position] + 13
                        position += 1
                    elif length == 14:
                        length = (rawdata[position] << 8 | rawdata[position + 1]) + 269
                        position += 2
                    else:
                        raise UnparsableMessage("option length 15 is reserved")
                number += delta
                start = position
                position += length
                if position > end:
                    raise UnparsableMessage("option value cut short")
                if number in values:
                    values[number].append(rawdata[start:position])
                else:
                    values[number] = [rawdata[start:position]]
        except IndexError:
            raise UnparsableMessage("option header cut short") from None
        if number > 65535:
            raise UnparsableMessage("option numbers beyond 65535")
        return b""

    def encode(self) -> bytes:
        """Return the options as bytes, in the order of their numbers.

        Raises:
            ValueError: A value is too long to be expressed, or a number out of range.

        RFC 7252 section 3.1.
        """
        values = self._values
        if not values:
            return b""
        out = bytearray()
        last = 0
        for number in sorted(values) if len(values) > 1 else values:
            for occurrence in values[number]:
                value = occurrence if type(occurrence) is bytes else _raw(occurrence)
                delta, length = number - last, len(value)
                last = number
                if delta < 13 and length < 13:
                    out.append(delta << 4 | length)
                else:
                    out += _long_header(delta, length)
                out += value
        return bytes(out)

    def add_option(self, option: OptionType) -> None:
        """Append an occurrence.

        Args:
            option: An object of :mod:`aiocoap.optiontypes`; it may be of any number.
        """
        self._values.setdefault(int(option.number), []).append(option)

    def delete_option(self, number: int) -> None:
        """Remove all occurrences of an option, if there are any.

        Args:
            number: Option number.
        """
        self._values.pop(int(number), None)

    def get_option(self, number: int) -> list[Any]:
        """Return all occurrences of an option as objects.

        Changes to the objects change the options.

        Args:
            number: Option number.

        Returns:
            Objects of :mod:`aiocoap.optiontypes`, in order; empty where there are none.
        """
        occurrences = self._values.get(int(number))
        if occurrences is None:
            return []
        for index, occurrence in enumerate(occurrences):
            if isinstance(occurrence, bytes):
                occurrences[index] = OptionNumber(number).create_option(decode=occurrence)
        return list(occurrences)

    def option_list(self) -> list[OptionType]:
        """Return all options as objects, in the order of their numbers."""
        return [option for number in sorted(self._values) for option in self.get_option(number)]

    def __contains__(self, number: int) -> bool:
        """Whether an option of that number occurs at all, acceptable or not."""
        return number in self._values

    def raw_items(self) -> list[tuple[int, bytes]]:
        """Return all options as pairs of number and wire value, in the order of the numbers."""
        return [(n, _raw(o)) for n in sorted(self._values) for o in self._values[n]]

    def cache_key_items(
        self, ignore: Iterable[int] = ()
    ) -> tuple[tuple[int, tuple[bytes, ...]], ...]:
        """Return the options that are part of the cache key, in a form that can be compared.

        Args:
            ignore: Numbers to leave out beyond those that are not part of the key.

        RFC 7252 sections 5.4.2 and 5.6.
        """
        values = self._values
        return tuple(
            [
                (n, tuple([_raw(o) for o in values[n]]))
                for n in (sorted(values) if len(values) > 1 else values)
                # Safe and NoCacheKey (section 5.4.6): the low five bits are 111x0 shifted.
                if n & 0x1E != 0x1C and n not in ignore
            ]
        )

    def unusable_critical(self, handled: Callable[[int], bool] = REGISTRY.__contains__) -> int:
        """Find a critical option that nobody can act on.

        That is one of an unknown number, of a length out of range, a text that is no UTF-8,
        or a second occurrence of what may occur once: each occurrence is judged by itself.

        Args:
            handled: Tells whether the option of a number is acted on by somebody.

        Returns:
            Its number, or 0 where there is none.

        RFC 7252 sections 5.4.1, 5.4.3 and 5.4.5.
        """
        for number, occurrences in self._values.items():
            if not number & 1:
                continue
            rules = _RULES.get(number)
            if not handled(number):
                return number
            if rules is None:
                continue
            minimum, maximum, repeatable, is_text = rules
            if len(occurrences) > 1 and not repeatable:
                return number
            for occurrence in occurrences:
                raw = occurrence if type(occurrence) is bytes else _raw(occurrence)
                if not minimum <= len(raw) <= maximum or (is_text and not _is_utf8(raw)):
                    return number
        return 0

    def copy(self) -> Options:
        """Return options that can be changed without changing these."""
        other = Options.__new__(Options)
        other._values = {n: o[:] for n, o in self._values.items()}
        return other

    def without(self, number: int) -> Options:
        """Return a copy that lacks one option."""
        other = self.copy()
        other._values.pop(number, None)
        return other

    def __len__(self) -> int:
        return sum(map(len, self._values.values()))

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Options):
            return NotImplemented
        return self.raw_items() == other.raw_items()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = []
        for number in sorted(self._values):
            name = OptionNumber(number)
            row = REGISTRY.get(number)
            options = [name.create_option(decode=_raw(o)) for o in self._values[number]]
            separator = " / " if row is not None and row.repeatable else ", "
            shown.append(f"{name}: {separator.join(map(str, options))}")
        return f"<aiocoap.options.Options at {id(self):#x}: {', '.join(shown) or 'empty'}>"


def _long_header(delta: int, length: int) -> bytes:
    """Encode an option header that may need extended fields.

    Raises:
        ValueError: Delta or length is beyond what the format can express.

    RFC 7252 section 3.1.
    """
    nibbles, extensions = [], b""
    for value in (delta, length):
        if value < 13:
            nibbles.append(value)
        elif value < 269:
            nibbles.append(13)
            extensions += bytes((value - 13,))
        elif value <= 65804:
            nibbles.append(14)
            extensions += (value - 269).to_bytes(2, "big")
        else:
            raise ValueError(f"option delta or length {value} is too large")
    return bytes((nibbles[0] << 4 | nibbles[1],)) + extensions

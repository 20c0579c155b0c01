"""The options of one message.

Here live :class:`Options`, which reads and writes option values by name, and the rules on
which occurrences of an option count.

The room knows what an option value is, not what it makes a server or a client do.

RFC 7252 sections 3.1, 5.4 and 5.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ._faults import UnparsableMessage
from ._optionviews import (
    BlocksView,
    BlockView,
    ContentFormatView,
    Occurrence,
    OpaquesView,
    OpaqueView,
    PresenceView,
    Seen,
    Table,
    TextsView,
    TextView,
    UintView,
    Values,
    is_utf8,
    raw_of,
)
from .numbers.optionnumbers import REGISTRY, OptionNumber
from .optiontypes import OptionType, StringOption

__all__ = ["Options"]

# What the rules need of a critical option's row, looked up for every option of every request:
# least and greatest length, repeatable, is text.
_RULES = {
    number: (row.minimum, row.maximum, row.repeatable, row.format is StringOption)
    for number, row in REGISTRY.items()
    if number & 1
}

# The first byte of an option whose delta and length need no extension: making it anew costs three
# times what looking it up does.
_BYTES = tuple([bytes((number,)) for number in range(256)])

_URI_PATH = int(OptionNumber.URI_PATH)
_DESTINATION = (
    int(OptionNumber.URI_HOST),
    int(OptionNumber.URI_PORT),
    _URI_PATH,
    int(OptionNumber.URI_QUERY),
    int(OptionNumber.PROXY_URI),
    int(OptionNumber.PROXY_SCHEME),
)
# The options that say what a request is for.
_DOTS = (b".", b"..")


class Options(Values):
    """The options of a message (stable).

    Each known option is a property: ``message.opt.uri_path = ("sensors", "temp")``.  Reading
    an absent option gives None (an empty tuple for repeatable ones, False for those that are
    only present or not); setting None or deleting removes the option.

    Raises:
        AttributeError: A property of another name is set.
        ValueError: A value can not be encoded, or not in a length that the option allows.
        TypeError: A value is of another kind, such as a single string where a sequence belongs.

    RFC 7252 section 5.10.
    """

    __slots__ = ()

    # In the order of the numbers

    if_match = OpaquesView(OptionNumber.IF_MATCH, "ETags, one of which the resource must have.")
    uri_host = TextView(OptionNumber.URI_HOST, "Host part of the requested URI.")
    etag = OpaqueView(OptionNumber.ETAG, "The one ETag of a response.")
    etags = OpaquesView(OptionNumber.ETAG, "The ETags that a request knows.")
    if_none_match = PresenceView(OptionNumber.IF_NONE_MATCH, "Whether the resource must not exist.")
    observe = UintView(OptionNumber.OBSERVE, "0 or 1 in a request, a sequence number in responses.")
    uri_port = UintView(OptionNumber.URI_PORT, "Port of the requested URI.")
    location_path = TextsView(OptionNumber.LOCATION_PATH, "Path segments of a created resource.")
    oscore = OpaqueView(OptionNumber.OSCORE, "Compressed COSE header of a protected message.")
    object_security = oscore
    uri_path = TextsView(OptionNumber.URI_PATH, "Path segments of the requested URI.")
    content_format = ContentFormatView(OptionNumber.CONTENT_FORMAT, "Format of the payload.")
    max_age = UintView(OptionNumber.MAX_AGE, "Seconds that a response stays fresh.")
    uri_query = TextsView(OptionNumber.URI_QUERY, "Arguments of the requested URI.")
    hop_limit = UintView(OptionNumber.HOP_LIMIT, "Number of proxies that a request may still pass.")
    accept = ContentFormatView(OptionNumber.ACCEPT, "Content-Format that a response must have.")
    q_block1 = BlockView(OptionNumber.Q_BLOCK1, "Place of the payload in a request body (NON).")
    location_query = TextsView(OptionNumber.LOCATION_QUERY, "Arguments of a created resource.")
    edhoc = PresenceView(OptionNumber.EDHOC, "Whether the payload begins with an EDHOC message.")
    block2 = BlockView(OptionNumber.BLOCK2, "Place of the payload in a response body.")
    block1 = BlockView(OptionNumber.BLOCK1, "Place of the payload in a request body.")
    size2 = UintView(OptionNumber.SIZE2, "Size of the response body in bytes; 0 asks for it.")
    q_block2 = BlocksView(OptionNumber.Q_BLOCK2, "Places in a response body (NON).")
    proxy_uri = TextView(OptionNumber.PROXY_URI, "The whole URI, in a request to a forward proxy.")
    proxy_scheme = TextView(OptionNumber.PROXY_SCHEME, "The scheme, in a request to a proxy.")
    size1 = UintView(
        OptionNumber.SIZE1, "Size of the request body in bytes, or the server's limit."
    )
    echo = OpaqueView(OptionNumber.ECHO, "The server's challenge, and its repetition.")
    no_response = UintView(OptionNumber.NO_RESPONSE, "Bits of the response classes not wanted.")
    request_tag = OpaquesView(OptionNumber.REQUEST_TAG, "Tells concurrent uploads apart.")
    request_hash = OpaqueView(OptionNumber.REQUEST_HASH, "Hash of a deterministic request.")

    def decode(self, rawdata: bytes) -> bytes:
        """Read options from the start of some bytes, up to the payload marker or the end.

        Args:
            rawdata: What follows the token in a message.

        Returns:
            The payload, empty where there is no payload marker.

        Raises:
            UnparsableMessage: The bytes are no options; the object is as it was.

        RFC 7252 section 3.1.
        """
        return self.decode_from(rawdata, 0)

    def decode_from(self, rawdata: bytes, position: int) -> bytes:
        """Do the same from somewhere inside some bytes.

        Args:
            rawdata: A whole message.
            position: Offset in bytes of what follows the token.

        Returns:
            The payload, empty where there is no payload marker.

        Raises:
            UnparsableMessage: The bytes are no options; the object is as it was.

        RFC 7252 section 3.1.
        """
        values: dict[int, Sequence[Occurrence]] = {}
        end, number, payload = len(rawdata), 0, b""
        try:
            while position < end:
                head = rawdata[position]
                position += 1
                delta, length = head >> 4, head & 15
                # The delta's extension comes before the length's.
                if delta > 12:
                    if delta == 13:
                        delta = rawdata[position] + 13
                        position += 1
                    elif delta == 14:
                        delta = (rawdata[position] << 8 | rawdata[position + 1]) + 269
                        position += 2
                    elif length == 15:
                        payload = rawdata[position:]
                        if not payload:
                            raise UnparsableMessage("payload marker without a payload")
                        break
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
                start = position
                position += length
                if delta or number not in values:
                    number += delta
                    values[number] = (rawdata[start:position],)
                else:
                    known = values[number]
                    if type(known) is list:
                        known.append(rawdata[start:position])
                    else:
                        values[number] = [known[0], rawdata[start:position]]
        except IndexError:
            raise UnparsableMessage("option header cut short") from None
        if position > end:
            raise UnparsableMessage("option value cut short")
        if number > 65535:
            raise UnparsableMessage("option numbers beyond 65535")
        if self._values:
            for number, occurrences in values.items():
                self._values[number] = (*self._values.get(number, ()), *occurrences)
        else:
            self._values = values
        return payload

    def encode(self) -> bytes:
        """Return the options as bytes, in the order of their numbers.

        Raises:
            ValueError: A value is too long to be expressed.

        RFC 7252 section 3.1.
        """
        parts: list[bytes] = []
        self.encode_to(parts)
        return b"".join(parts)

    def encode_to(self, parts: list[bytes]) -> None:
        """Append what :meth:`encode` returns to a list, in pieces.

        Args:
            parts: Gets the pieces, to be joined with whatever else the message has.

        Raises:
            ValueError: A value is too long to be expressed.

        RFC 7252 section 3.1.
        """
        values = self._values
        last = 0
        for number in sorted(values) if len(values) > 1 else values:
            for value in values[number]:
                if type(value) is not bytes:
                    value = raw_of(value)
                delta, length = number - last, len(value)
                last = number
                if delta < 13 and length < 13:
                    parts.append(_BYTES[delta << 4 | length])
                else:
                    parts.append(_long_header(delta, length))
                parts.append(value)

    def add_option(self, option: OptionType) -> None:
        """Append an occurrence.

        Args:
            option: An object of :mod:`aiocoap.optiontypes`; it may be of any number.

        Raises:
            ValueError: The number is not one from 0 to 65535.
        """
        number = int(option.number)
        if not 0 <= number <= 65535:
            raise ValueError(f"options are numbered 0 to 65535, not {number}")
        self._values = values = Table(self._values)
        values[number] = (*values.get(number, ()), option)

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
        create = OptionNumber(number).create_option
        seen = [
            Seen(create(decode=occurrence), occurrence)
            if isinstance(occurrence, bytes)
            else occurrence
            for occurrence in occurrences
        ]
        self._values = values = Table(self._values)
        values[int(number)] = seen
        return [one.option if isinstance(one, Seen) else one for one in seen]

    def option_list(self) -> list[OptionType]:
        """Return all options as objects, in the order of their numbers."""
        return [option for number in sorted(self._values) for option in self.get_option(number)]

    def numbers(self) -> list[int]:
        """Return the numbers of the options that occur, in their order."""
        return sorted(self._values)

    def take_path(self, depth: int, path: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Take segments off the front of Uri-Path.

        Args:
            depth: How many.
            path: The value of ``uri_path``, if it is at hand.

        Returns:
            What was taken off.
        """
        if path is None:
            path = self.uri_path
        values = self._values
        occurrences = values.get(_URI_PATH, ())
        if len(path) != len(occurrences):
            self.uri_path = path[depth:]
        elif depth < len(path):
            values[_URI_PATH] = occurrences[depth:]
        elif path:
            del values[_URI_PATH]
        return path[:depth]

    def direct(self, destination: Options) -> None:
        """Let a request be for something else.

        Args:
            destination: Has the Uri-* options to take over, and no others.
        """
        values = self._values
        if not values:
            self._values = destination._values.copy()
            return
        for number in _DESTINATION:
            values.pop(number, None)
        values.update(destination._values)

    def __contains__(self, number: int) -> bool:
        """Whether an option of that number occurs at all, acceptable or not."""
        return number in self._values

    def has_any(self, numbers: frozenset[int]) -> bool:
        """Whether an option of one of some numbers occurs, acceptable or not."""
        return not numbers.isdisjoint(self._values)

    def raw_items(self) -> list[tuple[int, bytes]]:
        """Return all options as pairs of number and wire value, in the order of the numbers."""
        return [(n, raw_of(o)) for n in sorted(self._values) for o in self._values[n]]

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
                (n, tuple([raw_of(o) for o in values[n]]))
                for n in (sorted(values) if len(values) > 1 else values)
                # Safe and NoCacheKey (section 5.4.6): the low five bits are 111x0 shifted.
                if n & 0x1E != 0x1C and n not in ignore
            ]
        )

    def unusable_critical(self, handled: Callable[[int], bool] = REGISTRY.__contains__) -> int:
        """Find a critical option that nobody can act on.

        That is one of an unknown number, of a length out of range, a text that is no UTF-8,
        a second occurrence of what may occur once (each occurrence is judged by itself), or a
        Uri-Path of one or two dots, which would mean another place in a file system.

        Args:
            handled: Tells whether the option of a number is acted on by somebody.

        Returns:
            Its number, or 0 where there is none.

        RFC 7252 sections 5.4.1, 5.4.3, 5.4.5 and 5.10.1.
        """
        for number, occurrences in self._values.items():
            if not number & 1:
                continue
            if not handled(number):
                return number
            rules = _RULES.get(number)
            if rules is None:
                continue
            minimum, maximum, repeatable, is_text = rules
            if len(occurrences) > 1 and not repeatable:
                return number
            for raw in occurrences:
                if type(raw) is not bytes:
                    raw = raw_of(raw)
                length = len(raw)
                if not minimum <= length <= maximum:
                    return number
                if length < 3 and number == _URI_PATH and raw in _DOTS:
                    return number
                # ASCII, as nearly all of it is, needs no further look.
                if is_text and not raw.isascii() and not is_utf8(raw):
                    return number
        return 0

    def copy(self) -> Options:
        """Return options that can be changed without changing these."""
        other = Options()
        other._values = self._values.copy()
        return other

    def without(self, number: int) -> Options:
        """Return a copy that lacks one option."""
        other = self.copy()
        other._values.pop(number, None)
        return other

    @property
    def is_empty(self) -> bool:
        """Whether there is no option at all."""
        return not self._values

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
            options = [str(name.create_option(decode=raw_of(o))) for o in self._values[number]]
            separator = " / " if row is not None and row.repeatable else ", "
            # What a stranger sends must not be able to begin a line in a log.
            values = [text if text.isprintable() else repr(text) for text in options]
            shown.append(f"{name}: {separator.join(values)}")
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

"""Option values: between the bytes on the wire and what they mean.

Here live the classes of single options.  Applications rarely meet them: the properties of
:class:`aiocoap.options.Options` read and write values directly.

The room knows formats, not which option has which, nor the rest of a message.

RFC 7252 section 3.2 (formats), RFC 7959 section 2.2 (block values).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ._contentformat import ContentFormat

__all__ = [
    "NO_RESPONSE_AT_ALL",
    "BlockOption",
    "ContentFormatOption",
    "OpaqueOption",
    "OptionType",
    "StringOption",
    "TypedOption",
    "UintOption",
    "decode_block",
    "encode_block",
    "encode_uint",
]


NO_RESPONSE_AT_ALL = 2 | 8 | 16
"""Value of No-Response that leaves out all three classes of responses (RFC 7967 section 2.1)."""


class OptionType:
    """One occurrence of an option.

    Args:
        number: Option number, 0 to 65535.
        value: The interpreted value.
    """

    __slots__ = ("number", "value")

    def __init__(self, number: int, value: Any) -> None:
        self.number = number
        self.value = value

    def encode(self) -> bytes:
        """Return the value as it goes on the wire."""
        raise NotImplementedError

    def decode(self, rawdata: bytes) -> None:
        """Set the value from the bytes on the wire.

        Args:
            rawdata: The option's value, 0 to 65804 bytes.
        """
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Length of the encoded value in bytes."""
        return len(self.encode())

    def copy(self) -> OptionType:
        """Return an occurrence that can be changed without changing this one."""
        new = type(self).__new__(type(self))
        new.number, new.value = self.number, self.value
        return new

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {int(self.number)}: {self.value!r}>"


class StringOption(OptionType):
    """A text; on the wire it is UTF-8.

    Bytes that are no UTF-8 are kept through lone surrogates, so that decoding and encoding
    again changes nothing; which options are acceptable is judged elsewhere.

    RFC 7252 section 3.2.
    """

    __slots__ = ()

    def __init__(self, number: int, value: str = "") -> None:
        super().__init__(number, value)

    def encode(self) -> bytes:
        """Return the text as UTF-8."""
        return bytes(self.value.encode("utf-8", "surrogateescape"))

    def decode(self, rawdata: bytes) -> None:
        """Set the text from UTF-8."""
        self.value = rawdata.decode("utf-8", "surrogateescape")


class OpaqueOption(OptionType):
    """Bytes without further meaning.

    RFC 7252 section 3.2.
    """

    __slots__ = ()

    def __init__(self, number: int, value: bytes = b"") -> None:
        super().__init__(number, value)

    def encode(self) -> bytes:
        """Return the bytes."""
        return bytes(self.value)

    def decode(self, rawdata: bytes) -> None:
        """Set the bytes."""
        self.value = rawdata

    def __str__(self) -> str:
        return repr(self.value)


def encode_uint(value: int) -> bytes:
    """Encode a number without leading zero bytes; 0 is the empty value.

    >>> encode_uint(0), encode_uint(300)
    (b'', b'\\x01,')

    Args:
        value: A number, not negative.

    Raises:
        ValueError: The number is negative.
        TypeError: It is no whole number.

    RFC 7252 section 3.2.
    """
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    if value < 0:
        raise ValueError(f"option values can not be negative, like {value}")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class UintOption(OptionType):
    """A number, not negative.

    RFC 7252 section 3.2.
    """

    __slots__ = ()

    def __init__(self, number: int, value: int = 0) -> None:
        super().__init__(number, value)

    def encode(self) -> bytes:
        """Return the number without leading zeros."""
        return encode_uint(int(self.value))

    def decode(self, rawdata: bytes) -> None:
        """Set the number; leading zeros are accepted."""
        self.value = int.from_bytes(rawdata, "big")


class TypedOption(UintOption):
    """A number of some registry: the value is of the class in ``type``."""

    __slots__ = ()

    type: type = int

    def decode(self, rawdata: bytes) -> None:
        """Set the number as a member of the registry."""
        self.value = self.type(int.from_bytes(rawdata, "big"))


class ContentFormatOption(TypedOption):
    """A Content-Format number.

    RFC 7252 section 12.3.
    """

    __slots__ = ()

    type = ContentFormat

    def __init__(self, number: int, value: int = 0) -> None:
        super().__init__(number, ContentFormat(value))


class _BlockwiseTuple(NamedTuple):
    """The three fields of a block option."""

    block_number: int
    more: bool
    size_exponent: int


class BlockOption(OptionType):
    """The value of Block1, Block2, Q-Block1 and Q-Block2.

    RFC 7959 section 2.2, RFC 8323 section 6 (exponent 7), RFC 9177 section 4.
    """

    __slots__ = ()

    class BlockwiseTuple(_BlockwiseTuple):
        """Number, More flag and size exponent of one block.

        Exponent 7 means BERT: a message carries any number of blocks of 1024 bytes, and
        ``block_number`` counts in 1024 (RFC 8323 section 6).
        """

        __slots__ = ()

        @property
        def size(self) -> int:
            """Size of a block in bytes, 16 to 1024 (1024 for BERT)."""
            return 1 << (min(self.size_exponent, 6) + 4)

        @property
        def start(self) -> int:
            """Offset in bytes of the block in the body.

            It describes what a message carries, or which block of a response is asked for; in
            an acknowledged Block1 number and size belong to different blocks, and it means
            nothing.
            """
            return self.block_number << (min(self.size_exponent, 6) + 4)

        @property
        def is_bert(self) -> bool:
            """Whether the exponent is 7."""
            return self.size_exponent == 7

        def is_valid_for_payload_size(self, payloadsize: int) -> bool:
            """Whether a message that carries this block may have a payload of that size.

            Args:
                payloadsize: Bytes.

            RFC 7959 section 2.2, RFC 8323 section 6.
            """
            if self.is_bert:
                return payloadsize > 0 and (not self.more or payloadsize % 1024 == 0)
            return payloadsize == self.size if self.more else payloadsize <= self.size

        def reduced_to(self, maximum_exponent: int) -> BlockOption.BlockwiseTuple:
            """Return the same place in the body, in blocks of at most a given size.

            >>> BlockOption.BlockwiseTuple(2, False, 6).reduced_to(4)
            BlockwiseTuple(block_number=8, more=False, size_exponent=4)

            Args:
                maximum_exponent: 0 to 7.
            """
            if maximum_exponent >= self.size_exponent:
                return self
            shift = min(self.size_exponent, 6) - min(maximum_exponent, 6)
            return BlockOption.BlockwiseTuple(
                self.block_number << shift, self.more, maximum_exponent
            )

    def __init__(self, number: int, value: tuple[int, bool, int] | None = None) -> None:
        super().__init__(number, None)
        if value is not None:
            self.value = self.BlockwiseTuple(*value)

    def encode(self) -> bytes:
        """Return the fields packed into 0 to 3 bytes.

        Raises:
            ValueError: A field is out of range, or the value was never set.
        """
        return encode_block(self.value)

    def decode(self, rawdata: bytes) -> None:
        """Set the fields from their packed form."""
        self.value = decode_block(rawdata)


def encode_block(value: tuple[int, bool, int] | None) -> bytes:
    """Pack the fields of a block option.

    Args:
        value: Block number (0 to 2²⁰-1), more flag, size exponent (0 to 7).

    Raises:
        ValueError: A field is out of range or the value is None.

    RFC 7959 section 2.2.
    """
    if value is None:
        raise ValueError("a block option needs a value")
    number, more, exponent = value
    if not 0 <= number < 1 << 20 or not 0 <= exponent <= 7:
        raise ValueError(f"block number or size exponent out of range: {tuple(value)}")
    return encode_uint(number << 4 | bool(more) << 3 | exponent)


def decode_block(rawdata: bytes) -> BlockOption.BlockwiseTuple:
    """Unpack the fields of a block option.

    Args:
        rawdata: 0 to 3 bytes.

    RFC 7959 section 2.2.
    """
    packed = int.from_bytes(rawdata, "big")
    # Going round the constructor of the named tuple halves the time.
    return _new_tuple(BlockOption.BlockwiseTuple, (packed >> 4, packed & 8 != 0, packed & 7))


_new_tuple = tuple.__new__

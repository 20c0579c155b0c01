"""Option numbers and the one table of what is known about each option.

Here live the registry (:data:`REGISTRY`, a row per option) and what an option's number
alone tells (:class:`OptionNumber`).

The room knows no message: which occurrences are acceptable is decided in
:mod:`aiocoap.options` by these rows.

RFC 7252 sections 5.4.6 and 5.10, RFC 7641, RFC 7959, RFC 7967, RFC 8613, RFC 8768,
RFC 9175, RFC 9177, RFC 9668.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from .. import optiontypes
from ..util import ExtensibleIntEnum, member

__all__ = ["REGISTRY", "OptionNumber", "OptionRow"]


class OptionNumber(ExtensibleIntEnum):
    """Number of an option, 0 to 65535 (stable).

    The number tells whether the option is critical, unsafe to forward, and part of the
    cache key.

    RFC 7252 section 5.4.6.
    """

    IF_MATCH: ClassVar[OptionNumber] = member(1)
    URI_HOST: ClassVar[OptionNumber] = member(3)
    ETAG: ClassVar[OptionNumber] = member(4)
    IF_NONE_MATCH: ClassVar[OptionNumber] = member(5)
    OBSERVE: ClassVar[OptionNumber] = member(6)
    URI_PORT: ClassVar[OptionNumber] = member(7)
    LOCATION_PATH: ClassVar[OptionNumber] = member(8)
    OSCORE: ClassVar[OptionNumber] = member(9)
    OBJECT_SECURITY: ClassVar[OptionNumber] = member(9)
    URI_PATH: ClassVar[OptionNumber] = member(11)
    CONTENT_FORMAT: ClassVar[OptionNumber] = member(12)
    MAX_AGE: ClassVar[OptionNumber] = member(14)
    URI_QUERY: ClassVar[OptionNumber] = member(15)
    HOP_LIMIT: ClassVar[OptionNumber] = member(16)
    ACCEPT: ClassVar[OptionNumber] = member(17)
    Q_BLOCK1: ClassVar[OptionNumber] = member(19)
    LOCATION_QUERY: ClassVar[OptionNumber] = member(20)
    EDHOC: ClassVar[OptionNumber] = member(21)
    BLOCK2: ClassVar[OptionNumber] = member(23)
    BLOCK1: ClassVar[OptionNumber] = member(27)
    SIZE2: ClassVar[OptionNumber] = member(28)
    Q_BLOCK2: ClassVar[OptionNumber] = member(31)
    PROXY_URI: ClassVar[OptionNumber] = member(35)
    PROXY_SCHEME: ClassVar[OptionNumber] = member(39)
    SIZE1: ClassVar[OptionNumber] = member(60)
    ECHO: ClassVar[OptionNumber] = member(252)
    NO_RESPONSE: ClassVar[OptionNumber] = member(258)
    REQUEST_TAG: ClassVar[OptionNumber] = member(292)
    REQUEST_HASH: ClassVar[OptionNumber] = member(548)

    def is_critical(self) -> bool:
        """Whether a recipient that does not know the option must not act on the message."""
        return self & 1 == 1

    def is_elective(self) -> bool:
        """Whether a recipient that does not know the option ignores it."""
        return self & 1 == 0

    def is_unsafe(self) -> bool:
        """Whether a proxy that does not know the option must not forward it."""
        return self & 2 == 2

    def is_safetoforward(self) -> bool:
        """Whether a proxy that does not know the option may forward it."""
        return self & 2 == 0

    def is_nocachekey(self) -> bool:
        """Whether requests that differ in the option only may share a cached response.

        Raises:
            ValueError: The option is unsafe to forward, where the bits mean nothing.
        """
        if self.is_unsafe():
            raise ValueError("NoCacheKey is only defined for options that are safe to forward")
        return self & 0x1E == 0x1C

    def is_cachekey(self) -> bool:
        """Whether the option is part of the cache key.

        Raises:
            ValueError: The option is unsafe to forward, where the bits mean nothing.
        """
        return not self.is_nocachekey()

    @property
    def format(self) -> type[Any]:
        """Class of :mod:`aiocoap.optiontypes` for occurrences; opaque where it is unknown.

        A program may set it for the options that it uses beyond those of the registry; it holds
        for the number, in the whole process.

        Raises:
            ValueError: The number is in the registry, which says what the option looks like.
        """
        number = int(self)
        row = REGISTRY.get(number)
        return row.format if row is not None else _own.get(number, optiontypes.OpaqueOption)

    @format.setter
    def format(self, value: type[Any]) -> None:
        row = REGISTRY.get(int(self))
        if row is None:
            _own[int(self)] = value
        elif value is not row.format:
            raise ValueError(f"the format of {self} is fixed: {row.format.__name__}")

    def create_option(self, decode: bytes | None = None, value: Any = None) -> Any:
        """Make an occurrence of the option.

        Args:
            decode: The value in wire form, if it is there in that form.
            value: The interpreted value, if it is there in that form.

        Returns:
            An instance of ``format``.
        """
        option = self.format(self)
        if decode is not None:
            option.decode(decode)
        if value is not None:
            option.value = value
        return option

    def __str__(self) -> str:
        return self.name if hasattr(self, "_name") else f"Option {int(self)}"


class OptionRow(NamedTuple):
    """What is known about one option.

    The critical, unsafe and NoCacheKey properties are in the number.
    """

    name: str
    """Name as the RFCs write it, such as ``Uri-Path``."""
    format: type[Any]
    """Class of its occurrences."""
    minimum: int
    """Least length of the value in bytes."""
    maximum: int
    """Greatest length of the value in bytes."""
    repeatable: bool
    """Whether it may occur more than once."""
    oscore_class: str
    """``E`` (protected), ``U`` (outer) or ``EU`` (RFC 8613 section 4.1)."""
    reference: str
    """RFC and section."""


_opaque = optiontypes.OpaqueOption
_string = optiontypes.StringOption
_uint = optiontypes.UintOption
_format = optiontypes.ContentFormatOption
_block = optiontypes.BlockOption

# Formats that the program has set.
_own: dict[int, type[Any]] = {}

REGISTRY: dict[int, OptionRow] = {
    1: OptionRow("If-Match", _opaque, 0, 8, True, "E", "RFC 7252 5.10.8.1"),
    3: OptionRow("Uri-Host", _string, 1, 255, False, "U", "RFC 7252 5.10.1"),
    4: OptionRow("ETag", _opaque, 1, 8, True, "E", "RFC 7252 5.10.6"),
    5: OptionRow("If-None-Match", _opaque, 0, 0, False, "E", "RFC 7252 5.10.8.2"),
    6: OptionRow("Observe", _uint, 0, 3, False, "EU", "RFC 7641 2"),
    7: OptionRow("Uri-Port", _uint, 0, 2, False, "U", "RFC 7252 5.10.1"),
    8: OptionRow("Location-Path", _string, 0, 255, True, "E", "RFC 7252 5.10.7"),
    9: OptionRow("OSCORE", _opaque, 0, 255, False, "U", "RFC 8613 2"),
    11: OptionRow("Uri-Path", _string, 0, 255, True, "E", "RFC 7252 5.10.1"),
    12: OptionRow("Content-Format", _format, 0, 2, False, "E", "RFC 7252 5.10.3"),
    14: OptionRow("Max-Age", _uint, 0, 4, False, "EU", "RFC 7252 5.10.5"),
    15: OptionRow("Uri-Query", _string, 0, 255, True, "E", "RFC 7252 5.10.1"),
    16: OptionRow("Hop-Limit", _uint, 1, 1, False, "E", "RFC 8768 3"),
    17: OptionRow("Accept", _format, 0, 2, False, "E", "RFC 7252 5.10.4"),
    19: OptionRow("Q-Block1", _block, 0, 3, False, "EU", "RFC 9177 4"),
    20: OptionRow("Location-Query", _string, 0, 255, True, "E", "RFC 7252 5.10.7"),
    21: OptionRow("EDHOC", _opaque, 0, 0, False, "U", "RFC 9668 3.1"),
    23: OptionRow("Block2", _block, 0, 3, False, "EU", "RFC 7959 2"),
    27: OptionRow("Block1", _block, 0, 3, False, "EU", "RFC 7959 2"),
    28: OptionRow("Size2", _uint, 0, 4, False, "EU", "RFC 7959 4"),
    31: OptionRow("Q-Block2", _block, 0, 3, True, "EU", "RFC 9177 4"),
    35: OptionRow("Proxy-Uri", _string, 1, 1034, False, "U", "RFC 7252 5.10.2"),
    39: OptionRow("Proxy-Scheme", _string, 1, 255, False, "U", "RFC 7252 5.10.2"),
    60: OptionRow("Size1", _uint, 0, 4, False, "EU", "RFC 7252 5.10.9"),
    252: OptionRow("Echo", _opaque, 1, 40, False, "EU", "RFC 9175 2.2"),
    258: OptionRow("No-Response", _uint, 0, 1, False, "EU", "RFC 7967 2"),
    292: OptionRow("Request-Tag", _opaque, 0, 8, True, "EU", "RFC 9175 3.2"),
    # From a draft (cacheable OSCORE); its length is that of a hash.
    548: OptionRow("Request-Hash", _opaque, 0, 255, False, "U", "draft-ietf-core-cacheable-oscore"),
}
"""What is known about each option, by number."""

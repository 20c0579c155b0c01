"""Message types.

Here lives the two-bit Type field; it knows nothing else.

RFC 7252 section 3.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ACK", "CON", "NON", "RST", "TYPES", "Type"]


class Type(IntEnum):
    """The Type field of a message over an unreliable transport (stable).

    RFC 7252 sections 3 and 4.
    """

    CON = 0
    NON = 1
    ACK = 2
    RST = 3

    def __str__(self) -> str:
        return f"Type.{self.name}"


CON, NON, ACK, RST = Type.CON, Type.NON, Type.ACK, Type.RST

TYPES = (CON, NON, ACK, RST)
"""The types by number: indexing is much faster than calling the enumeration."""

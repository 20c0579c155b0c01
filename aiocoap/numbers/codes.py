"""Codes of requests, responses and signaling messages.

Here live the registry of the Code field and what a code's number alone tells.

The room knows no message.

RFC 7252 section 12.1, RFC 7959, RFC 8132, RFC 8323 section 11.1, RFC 8516, RFC 8768.
"""

from __future__ import annotations

from typing import ClassVar

from ..util import ExtensibleIntEnum, member

__all__ = [
    "ABORT",
    "BAD_GATEWAY",
    "BAD_OPTION",
    "BAD_REQUEST",
    "CHANGED",
    "CODES",
    "CONFLICT",
    "CONTENT",
    "CONTINUE",
    "CREATED",
    "CSM",
    "DELETE",
    "DELETED",
    "EMPTY",
    "FETCH",
    "FORBIDDEN",
    "GATEWAY_TIMEOUT",
    "GET",
    "HOP_LIMIT_REACHED",
    "INTERNAL_SERVER_ERROR",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "PATCH",
    "PING",
    "PONG",
    "POST",
    "PRECONDITION_FAILED",
    "PROXYING_NOT_SUPPORTED",
    "PUT",
    "RELEASE",
    "REQUEST_ENTITY_INCOMPLETE",
    "REQUEST_ENTITY_TOO_LARGE",
    "SERVICE_UNAVAILABLE",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "UNPROCESSABLE_ENTITY",
    "UNSUPPORTED_CONTENT_FORMAT",
    "UNSUPPORTED_MEDIA_TYPE",
    "VALID",
    "Code",
    "iPATCH",
]


class Code(ExtensibleIntEnum):
    """Value of the Code field, 0 to 255 (stable).

    The upper three bits are the class, the lower five the detail: 4.04 is 132.

    RFC 7252 section 12.1.
    """

    EMPTY: ClassVar[Code] = member(0)
    GET: ClassVar[Code] = member(1)
    POST: ClassVar[Code] = member(2)
    PUT: ClassVar[Code] = member(3)
    DELETE: ClassVar[Code] = member(4)
    FETCH: ClassVar[Code] = member(5)
    PATCH: ClassVar[Code] = member(6)
    iPATCH: ClassVar[Code] = member(7)
    CREATED: ClassVar[Code] = member(65)
    DELETED: ClassVar[Code] = member(66)
    VALID: ClassVar[Code] = member(67)
    CHANGED: ClassVar[Code] = member(68)
    CONTENT: ClassVar[Code] = member(69)
    CONTINUE: ClassVar[Code] = member(95)
    BAD_REQUEST: ClassVar[Code] = member(128)
    UNAUTHORIZED: ClassVar[Code] = member(129)
    BAD_OPTION: ClassVar[Code] = member(130)
    FORBIDDEN: ClassVar[Code] = member(131)
    NOT_FOUND: ClassVar[Code] = member(132)
    METHOD_NOT_ALLOWED: ClassVar[Code] = member(133)
    NOT_ACCEPTABLE: ClassVar[Code] = member(134)
    REQUEST_ENTITY_INCOMPLETE: ClassVar[Code] = member(136)
    CONFLICT: ClassVar[Code] = member(137)
    PRECONDITION_FAILED: ClassVar[Code] = member(140)
    REQUEST_ENTITY_TOO_LARGE: ClassVar[Code] = member(141)
    UNSUPPORTED_CONTENT_FORMAT: ClassVar[Code] = member(143)
    UNSUPPORTED_MEDIA_TYPE: ClassVar[Code] = member(143)
    UNPROCESSABLE_ENTITY: ClassVar[Code] = member(150)
    TOO_MANY_REQUESTS: ClassVar[Code] = member(157)
    INTERNAL_SERVER_ERROR: ClassVar[Code] = member(160)
    NOT_IMPLEMENTED: ClassVar[Code] = member(161)
    BAD_GATEWAY: ClassVar[Code] = member(162)
    SERVICE_UNAVAILABLE: ClassVar[Code] = member(163)
    GATEWAY_TIMEOUT: ClassVar[Code] = member(164)
    PROXYING_NOT_SUPPORTED: ClassVar[Code] = member(165)
    HOP_LIMIT_REACHED: ClassVar[Code] = member(168)
    CSM: ClassVar[Code] = member(225)
    PING: ClassVar[Code] = member(226)
    PONG: ClassVar[Code] = member(227)
    RELEASE: ClassVar[Code] = member(228)
    ABORT: ClassVar[Code] = member(229)

    def is_request(self) -> bool:
        """Whether the code is in the range of methods (0.01 to 0.31)."""
        return 0 < self < 32

    def is_response(self) -> bool:
        """Whether the code is in the range of responses (2.00 to 5.31)."""
        return 64 <= self < 192

    def is_signalling(self) -> bool:
        """Whether the code is a signaling code (7.00 to 7.31, RFC 8323 section 5)."""
        return self >= 224

    def is_successful(self) -> bool:
        """Whether the code is a success response (2.xx)."""
        return 64 <= self < 96

    def can_have_payload(self) -> bool:
        """Whether messages of this code usually carry a payload; a hint, not a rule."""
        return (self.is_request() and self not in (Code.GET, Code.DELETE)) or (
            self.is_response() and self != Code.VALID
        )

    @property
    def class_(self) -> int:
        """The class, 0 to 7: the digit before the dot.

        >>> Code.NOT_FOUND.class_
        4
        """
        return self >> 5

    @property
    def dotted(self) -> str:
        """The code as c.dd, such as ``"4.04"``."""
        return f"{self >> 5}.{self & 0x1F:02}"

    @property
    def name_printable(self) -> str:
        """The name as the RFCs write it, such as ``Not Found``."""
        name = self.name
        return name if self.is_request() else name.replace("_", " ").title()

    @property
    def name(self) -> str:
        """Name of the constant, or ``"(unknown)"``."""
        return super().name

    def __str__(self) -> str:
        if self.is_request() or self == 0:
            return self.name if hasattr(self, "_name") else f"{self.dotted} {self.name}"
        return f"{self.dotted} {self.name_printable}"

    def __repr__(self) -> str:
        kind = ""
        if self.is_successful():
            kind = "Successful Response "
        elif self.is_response():
            kind = "Response "
        elif self.is_request():
            kind = "Request "
        return f'<{kind}Code {int(self)} "{self}">'


CODES: tuple[Code, ...] = tuple(Code(number) for number in range(256))
"""All codes by number: what a decoder indexes."""

EMPTY, GET, POST, PUT, DELETE, FETCH, PATCH, iPATCH = CODES[:8]
CREATED, DELETED, VALID, CHANGED, CONTENT = CODES[65:70]
CONTINUE = Code.CONTINUE
BAD_REQUEST, UNAUTHORIZED, BAD_OPTION, FORBIDDEN = CODES[128:132]
NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE = CODES[132:135]
REQUEST_ENTITY_INCOMPLETE, CONFLICT = CODES[136:138]
PRECONDITION_FAILED, REQUEST_ENTITY_TOO_LARGE = CODES[140:142]
UNSUPPORTED_CONTENT_FORMAT = UNSUPPORTED_MEDIA_TYPE = Code.UNSUPPORTED_CONTENT_FORMAT
UNPROCESSABLE_ENTITY = Code.UNPROCESSABLE_ENTITY
TOO_MANY_REQUESTS = Code.TOO_MANY_REQUESTS
INTERNAL_SERVER_ERROR, NOT_IMPLEMENTED, BAD_GATEWAY = CODES[160:163]
SERVICE_UNAVAILABLE, GATEWAY_TIMEOUT, PROXYING_NOT_SUPPORTED = CODES[163:166]
HOP_LIMIT_REACHED = Code.HOP_LIMIT_REACHED
CSM, PING, PONG, RELEASE, ABORT = CODES[225:230]

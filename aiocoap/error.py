"""Every error that a program using this library can meet.

Here live the errors that can be sent to a client as a response; the others are re-exported
from where they can do without messages.

The room knows which code an error has, not who raises it when.

RFC 7252 sections 5.5.2 and 5.9, RFC 7959 section 2.9, RFC 8132, RFC 8516, RFC 8768.
"""

from __future__ import annotations

from . import _faults
from ._faults import (
    AnonymousHost,
    ConRetransmitsExceeded,
    ConToMulticast,
    Error,
    HelpfulError,
    IncompleteUrlError,
    LibraryShutdown,
    MalformedUrlError,
    MessageError,
    MissingBlock2Option,
    MissingRemoteError,
    NetworkError,
    NoRequestInterface,
    NotImplemented,
    NotObservable,
    ObservationCancelled,
    RemoteServerShutdown,
    RequestTimedOut,
    ResolutionError,
    ResourceChanged,
    TimeoutError,
    UnexpectedBlock1Option,
    UnexpectedBlock2,
    UnparsableMessage,
    WaitingForClientTimedOut,
)
from .message import Message
from .numbers import codes

__all__ = [
    "AnonymousHost",
    "BadGateway",
    "BadOption",
    "BadRequest",
    "ConRetransmitsExceeded",
    "ConToMulticast",
    "Conflict",
    "ConstructionRenderableError",
    "Error",
    "Forbidden",
    "GatewayTimeout",
    "HelpfulError",
    "HopLimitReached",
    "IncompleteUrlError",
    "InternalServerError",
    "LibraryShutdown",
    "MalformedUrlError",
    "MessageError",
    "MethodNotAllowed",
    "MissingBlock2Option",
    "MissingRemoteError",
    "NetworkError",
    "NoRequestInterface",
    "NoResource",
    "NotAcceptable",
    "NotFound",
    "NotImplemented",
    "NotObservable",
    "ObservationCancelled",
    "PreconditionFailed",
    "ProxyingNotSupported",
    "RemoteServerShutdown",
    "RenderableError",
    "RequestEntityIncomplete",
    "RequestEntityTooLarge",
    "RequestTimedOut",
    "ResolutionError",
    "ResourceChanged",
    "ResponseWrappingError",
    "ServiceUnavailable",
    "TimeoutError",
    "TooManyRequests",
    "UnallowedMethod",
    "Unauthorized",
    "UnexpectedBlock1Option",
    "UnexpectedBlock2",
    "UnparsableMessage",
    "UnprocessableEntity",
    "UnsupportedContentFormat",
    "UnsupportedMediaType",
    "UnsupportedMethod",
    "WaitingForClientTimedOut",
]


class RenderableError(Error):
    """An error that a server can tell its client (stable)."""

    def to_message(self) -> Message:
        """Return the response that tells of the error."""
        raise _faults.NotImplemented


class ResponseWrappingError(Error):
    """A response came, and it is not a success.

    Args:
        coapmessage: The response; kept under this name.
    """

    def __init__(self, coapmessage: Message) -> None:
        super().__init__(coapmessage)
        self.coapmessage = coapmessage

    def to_message(self) -> Message:
        """Return the response itself."""
        return self.coapmessage

    def __str__(self) -> str:
        text = str(self.coapmessage.code)
        # Diagnostics are for people; what has a format is for programs (section 5.5.2).
        if self.coapmessage.payload and self.coapmessage.opt.content_format is None:
            text += f": {self.coapmessage.payload.decode('utf-8', 'replace')!r}"
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


class ConstructionRenderableError(RenderableError):
    """A renderable error with the code of its class.

    Args:
        message: Diagnostic text for the client; None takes the class's.
    """

    code = codes.INTERNAL_SERVER_ERROR
    """Code of the response."""

    message = ""
    """Diagnostic text of the response, sent as UTF-8 without Content-Format."""

    def __init__(self, message: str | None = None) -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)

    def to_message(self) -> Message:
        """Return a response of the error's code, its text as the diagnostic payload.

        RFC 7252 section 5.5.2.
        """
        return Message(code=self.code, payload=self.message.encode("utf-8", "replace"))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else str(self.code)


class BadRequest(ConstructionRenderableError):
    """4.00: the request makes no sense."""

    code = codes.BAD_REQUEST


class Unauthorized(ConstructionRenderableError):
    """4.01: the client has to prove who it is."""

    code = codes.UNAUTHORIZED


class BadOption(ConstructionRenderableError):
    """4.02: a critical option is not understood or malformed."""

    code = codes.BAD_OPTION


class Forbidden(ConstructionRenderableError):
    """4.03: this client may not do this."""

    code = codes.FORBIDDEN


class NotFound(ConstructionRenderableError):
    """4.04: there is nothing at the URI."""

    code = codes.NOT_FOUND


class NoResource(NotFound):
    """4.04, from a site that has no resource at the path."""

    message = "Error: Resource not found!"


class MethodNotAllowed(ConstructionRenderableError):
    """4.05: the method can not be used here."""

    code = codes.METHOD_NOT_ALLOWED


class UnallowedMethod(MethodNotAllowed):
    """4.05 for a method that is known, but not to this resource."""

    message = "Error: Method not allowed!"


class UnsupportedMethod(MethodNotAllowed):
    """4.05 for a method that nothing here knows."""

    message = "Error: Method not recognized!"


class NotAcceptable(ConstructionRenderableError):
    """4.06: there is no representation of the format asked for."""

    code = codes.NOT_ACCEPTABLE


class RequestEntityIncomplete(ConstructionRenderableError):
    """4.08: blocks of the request are missing (RFC 7959 section 2.9.2)."""

    code = codes.REQUEST_ENTITY_INCOMPLETE


class Conflict(ConstructionRenderableError):
    """4.09: the resource is in a state that the request does not fit (RFC 8132 section 3.4)."""

    code = codes.CONFLICT


class PreconditionFailed(ConstructionRenderableError):
    """4.12: If-Match or If-None-Match are not fulfilled."""

    code = codes.PRECONDITION_FAILED


class RequestEntityTooLarge(ConstructionRenderableError):
    """4.13: the request body is too large."""

    code = codes.REQUEST_ENTITY_TOO_LARGE


class UnsupportedContentFormat(ConstructionRenderableError):
    """4.15: the payload's format is not understood."""

    code = codes.UNSUPPORTED_CONTENT_FORMAT


UnsupportedMediaType = UnsupportedContentFormat
"""Older name of :class:`UnsupportedContentFormat`."""


class UnprocessableEntity(ConstructionRenderableError):
    """4.22: the payload is well-formed, but can not be acted on (RFC 8132 section 3.4)."""

    code = codes.UNPROCESSABLE_ENTITY


class TooManyRequests(ConstructionRenderableError):
    """4.29: the client asks too often (RFC 8516)."""

    code = codes.TOO_MANY_REQUESTS


class InternalServerError(ConstructionRenderableError):
    """5.00: something went wrong in the server."""

    code = codes.INTERNAL_SERVER_ERROR


class BadGateway(ConstructionRenderableError):
    """5.02: a proxy got an answer that it can not use."""

    code = codes.BAD_GATEWAY


class ServiceUnavailable(ConstructionRenderableError):
    """5.03: try again later; Max-Age says when."""

    code = codes.SERVICE_UNAVAILABLE


class GatewayTimeout(ConstructionRenderableError):
    """5.04: a proxy got no answer."""

    code = codes.GATEWAY_TIMEOUT


class ProxyingNotSupported(ConstructionRenderableError):
    """5.05: the server is no proxy for this request."""

    code = codes.PROXYING_NOT_SUPPORTED


class HopLimitReached(ConstructionRenderableError):
    """5.08: the request went through too many proxies (RFC 8768)."""

    code = codes.HOP_LIMIT_REACHED

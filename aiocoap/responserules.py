"""What a server may be asked, and what it may answer, whichever resource it is for.

Here live the rules on the options of requests, and on what becomes of what a resource returned.

The room knows one request and one response at a time, and no blocks but how they are told apart
from whole bodies; who is asked and when is decided in :mod:`.responder`.

RFC 7252 sections 5.4.1, 5.10.2, 5.10.7 and 8.2, RFC 7641 section 4.1, RFC 7959 sections 2.3 and
2.6, RFC 7967 section 2, RFC 8768 section 3.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from . import error, interfaces
from .message import Direction, Message, NoResponse
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .numbers.types import CON

__all__ = [
    "HANDLED_OPTIONS",
    "PARTICULAR_OPTIONS",
    "PRISTINE",
    "as_it_came",
    "asks_for_observation",
    "came_by_multicast",
    "check_elective",
    "check_refused",
    "checked",
    "is_suppressed",
    "size_limit",
    "with_block1",
]

_BLOCK1, _NO_RESPONSE = int(OptionNumber.BLOCK1), int(OptionNumber.NO_RESPONSE)
_HOP_LIMIT = int(OptionNumber.HOP_LIMIT)
_LOCATION = frozenset((int(OptionNumber.LOCATION_PATH), int(OptionNumber.LOCATION_QUERY)))
_RESERVED_FOR_LOCATION = frozenset((128, 132, 136, 140))
_OBSERVABLE = (Code.GET, Code.FETCH)
_PROXYING = (int(OptionNumber.PROXY_URI), int(OptionNumber.PROXY_SCHEME))

HANDLED_OPTIONS = frozenset(
    (
        OptionNumber.IF_MATCH,
        OptionNumber.URI_HOST,
        OptionNumber.IF_NONE_MATCH,
        OptionNumber.URI_PORT,
        OptionNumber.URI_PATH,
        OptionNumber.URI_QUERY,
        OptionNumber.ACCEPT,
        OptionNumber.BLOCK2,
        OptionNumber.BLOCK1,
    )
)
"""The critical options of requests that the library or any resource can be taken to act on."""

PARTICULAR_OPTIONS = _LOCATION | {_HOP_LIMIT}
"""Elective options that can be more than a recipient may ignore."""

PRISTINE: dict[str, Any] = {
    "mtype": None,
    "mid": None,
    "token": b"",
    "remote": None,
    "request": None,
    "direction": Direction.OUTGOING,
    "observe": None,
}
"""What a message looks like that was never sent nor received, as arguments of its copy."""


def check_refused(refused: int, request: Message, site: interfaces.Resource) -> None:
    """Raise the error for a critical option, unless the resource acts on it.

    RFC 7252 sections 5.4.1 and 5.10.2.
    """
    try:
        handled = site.resolve(request)[0].handled_options
    except error.RenderableError:
        handled = frozenset()
    if handled is None:
        return
    refused = request.opt.unusable_critical(
        lambda number: number in HANDLED_OPTIONS or number in _PROXYING or number in handled
    )
    if refused:
        raise error.BadOption(f"{OptionNumber(refused)} can not be acted on")
    if any(number in request.opt and number not in handled for number in _PROXYING):
        raise error.ProxyingNotSupported("This server is no proxy")


def check_elective(request: Message) -> None:
    """Raise the error for elective options that are there in a way that may not be ignored.

    That goes before the rule that what has a wrong length is ignored.

    Raises:
        BadRequest: There can not be that number of hops (RFC 8768 section 3).
        BadOption: There is more to a location than is known (RFC 7252 section 5.10.7).
    """
    opt = request.opt
    if not opt.has_any(PARTICULAR_OPTIONS):
        return
    if _HOP_LIMIT in opt:
        value = next(raw for number, raw in opt.raw_items() if number == _HOP_LIMIT)
        if not 0 < int.from_bytes(value, "big") < 256:
            raise error.BadRequest("HOP_LIMIT is from 1 to 255")
    if opt.has_any(_LOCATION) and opt.has_any(_RESERVED_FOR_LOCATION):
        raise error.BadOption("That LOCATION can not be acted on")


def checked(
    request: Message, resource: interfaces.Resource, rendered: Any, key: Hashable
) -> Message:
    """Return what a resource returned as a message that was never sent, or an empty one.

    Raises:
        TypeError: It is no response.

    RFC 7967 section 2.
    """
    if not isinstance(rendered, Message):
        if rendered is NoResponse:
            return Message(code=Code.EMPTY)
        raise TypeError(f"{resource!r} returned a {type(rendered).__name__}, not a Message")
    response, code = rendered, rendered.code
    if code is None or not 64 <= code < 192:
        raise TypeError(f"{resource!r} returned a message that is no response: {response!r}")
    if response.request is not None or response.mid is not None:
        # It was sent or received before: the resource keeps it, or passes it on.
        response = response.copy(**PRISTINE)
        if key is not None or _BLOCK1 not in request.opt:
            # That was about the blocks of another request.
            response.opt.block1 = None
    if code >= 128 or _NO_RESPONSE in response.opt or _NO_RESPONSE in request.opt:
        if is_suppressed(request, response, resource):
            return Message(code=Code.EMPTY)
        if _NO_RESPONSE in response.opt:
            response = response.copy(no_response=None)
    return response


def size_limit(request: Message) -> int:
    """Return how many bytes a response may have; an acknowledgement may have gone before it."""
    assert request.response_limit is not None  # callers have looked
    return request.response_limit - (4 if request.mtype is CON else 0)


def asks_for_observation(request: Message) -> bool:
    """Whether a request with Observe asks for an observation that makes sense.

    What is observed is the whole, so that a later block can only be asked for once (RFC 7959
    section 2.6).
    """
    opt = request.opt
    if opt.observe != 0 or request.code not in _OBSERVABLE:
        return False
    block2 = opt.block2
    return block2 is None or not block2.block_number


def came_by_multicast(request: Message) -> bool:
    """Whether a request was sent to a group that we are in."""
    remote = request.remote
    return remote is not None and remote.is_multicast_locally


def is_suppressed(request: Message, response: Message, site: interfaces.Resource | None) -> bool:
    """Whether a response is not to be sent.

    What the resource says goes before what the client asks for; errors are not sent to multicast
    unless either of them wants it (RFC 7252 section 8.2, RFC 7967 section 2.1).

    Args:
        request: The request.
        response: The response.
        site: The resource, or where it is found.
    """
    bits = response.opt.no_response
    if bits is None:
        bits = request.opt.no_response
    if bits is not None:
        return bool(bits & 1 << response.code.class_ - 1)
    if response.code.is_successful() or not came_by_multicast(request):
        return False
    try:
        return site is None or not site.resolve(request)[0].multicast
    except error.RenderableError:
        return True


def as_it_came(seen: Message) -> Message:
    """Return a request that sites took segments of the path off, with its whole path."""
    path = seen.full_path
    return seen if len(path) == len(seen.opt.uri_path) else seen.copy(uri_path=path)


def with_block1(request: Message, response: Message) -> Message:
    """Return the response to the last block of a body, saying so.

    RFC 7959 section 2.3.
    """
    block1 = request.opt.block1
    if block1 is None or response.opt.block1 is not None:
        return response
    return response.copy(block1=(block1.block_number, False, block1.size_exponent))

"""Bodies that do not fit into one message, on the client's side.

Here live :class:`Block1Upload` and :class:`Block2Download`, each for one body.

The room knows no future and no token: what it gives back is to be sent, and the response to be
fed.  Why it does what it does is told in :mod:`.blockwise`.

RFC 7959 sections 2.4 to 2.8, RFC 8323 section 6 (BERT), RFC 9175 sections 3.4 and 3.8.
"""

from __future__ import annotations

from .._faults import (
    Error,
    MissingBlock2Option,
    ResourceChanged,
    UnexpectedBlock1Option,
    UnexpectedBlock2,
)
from ..message import Message
from ..numbers.codes import Code
from ..numbers.optionnumbers import OptionNumber
from ..options import Options
from ..optiontypes import BlockOption
from .blocksize import BERT, LAST_NUMBER, message_size, shift

__all__ = [
    "MAX_RESTARTS",
    "Block1Upload",
    "Block2Download",
    "needs_upload",
    "wants_download",
]

_GET, _FETCH = Code.GET, Code.FETCH
_CONTINUE, _VALID, _BAD_REQUEST = Code.CONTINUE, Code.VALID, Code.BAD_REQUEST
_INCOMPLETE = Code.REQUEST_ENTITY_INCOMPLETE
_TOO_LARGE = Code.REQUEST_ENTITY_TOO_LARGE

_IF_NONE_MATCH, _OBSERVE = int(OptionNumber.IF_NONE_MATCH), int(OptionNumber.OBSERVE)
_BLOCK1, _BLOCK2 = int(OptionNumber.BLOCK1), int(OptionNumber.BLOCK2)
_SIZE1, _SIZE2 = int(OptionNumber.SIZE1), int(OptionNumber.SIZE2)
_NO_RESPONSE = int(OptionNumber.NO_RESPONSE)

MAX_RESTARTS = 3
"""How often a download starts over because the resource changed under it, unless told otherwise."""


def needs_upload(request: Message, exponent: int, payload_size: int) -> bool:
    """Whether the body of a request is to be sent in blocks.

    That is so if it does not fit into one message, or into one of the size that a Block1 option
    of the request hints at.  An application that sets number or More flag cuts the body itself.

    Args:
        request: A request with its whole body.
        exponent: Largest block size exponent that may be sent there, 0 to 7.
        payload_size: Largest payload in bytes, where the exponent is 7.

    RFC 7959 section 2.5.
    """
    hint = request.opt.block1
    if hint is not None:
        if hint.block_number or hint.more:
            return False
        if hint.size_exponent > exponent:
            # Sent as it is, the option would promise more than is allowed.
            return True
        exponent = hint.size_exponent
    return len(request.payload) > message_size(exponent, payload_size)


# In the blocks of a request body before the last there is nothing of what the response to the
# whole is about: that is answered when it is complete (figure 11 of RFC 7959).  No-Response
# would keep the server from saying that it got a block.
_IN_LAST_BLOCK_ONLY = (_OBSERVE, _BLOCK2, _SIZE2, _NO_RESPONSE)


class Block1Upload:
    """The body of one request on its way to a server.

    Send what :meth:`next_request` returns, and feed the response; until there is a final one.

    Args:
        request: The request with its whole body; its Block1 option hints at a block size.
        exponent: Largest block size exponent that may be sent there, 0 to 7.
        payload_size: Largest payload in bytes where the exponent is 7, a multiple of 1024.
        request_tag: Sets the upload apart from others; None for no Request-Tag.

    RFC 7959 section 2.5, RFC 9175 section 3.4.
    """

    __slots__ = (
        "_is_acted_on",
        "_payload_size",
        "_position",
        "_request",
        "_request_tag",
        "_was_restarted",
        "exponent",
    )

    def __init__(
        self,
        request: Message,
        exponent: int,
        payload_size: int = 1024,
        request_tag: bytes | None = None,
    ) -> None:
        hint = request.opt.block1
        self.exponent = exponent if hint is None else min(exponent, hint.size_exponent)
        """Block size exponent in use, 0 to 7; it never grows."""
        self._request = request
        self._payload_size = payload_size
        self._request_tag = request_tag
        self._position = 0
        # Whether the server has acted on a block by itself (section 2.3).
        self._is_acted_on = False
        self._was_restarted = False

    @property
    def progress(self) -> tuple[int, int]:
        """Number of bytes that the server has taken, and of all that there are."""
        return self._position, len(self._request.payload)

    def next_request(self) -> Message:
        """Return the message with the current block; the same until a response is fed.

        Raises:
            Error: The body is too large to be numbered in blocks of the size in use.
        """
        request, exponent, position = self._request, self.exponent, self._position
        body = request.payload
        if (len(body) - 1) >> shift(exponent) > LAST_NUMBER:
            raise Error(
                f"a body of {len(body)} bytes is too large for blocks of {16 << exponent} bytes"
            )
        end = position + message_size(exponent, self._payload_size)
        more = end < len(body)
        opt = request.opt.copy()
        opt.block1 = (position >> shift(exponent), more, exponent)
        if position:
            # Section 2.10; section 4 for the size, that once is enough.
            opt.delete_option(_IF_NONE_MATCH)
            opt.delete_option(_SIZE1)
        else:
            opt.size1 = len(body)
        if more:
            for number in _IN_LAST_BLOCK_ONLY:
                opt.delete_option(number)
        if self._request_tag is not None:
            opt.request_tag = (self._request_tag,)
        message = _fresh(request, opt)
        message.payload = body[position:end]
        return message

    def feed(self, response: Message) -> Message | None:
        """Take in the response to the current block.

        Args:
            response: What came.

        Returns:
            None, if it goes on with :meth:`next_request`; else the response, which is the one
            to the whole request (or the first block of it).

        Raises:
            UnexpectedBlock1Option: The response acknowledges another block, or asks for more
                than there is.
        """
        code, block1 = response.code, response.opt.block1
        if not code.is_successful():
            return None if self._recovers(response, block1) else response
        exponent = self.exponent
        if block1 is not None and block1.block_number != self._position >> shift(exponent):
            raise UnexpectedBlock1Option("the server acknowledged another block than was sent")
        end = self._position + message_size(exponent, self._payload_size)
        if end >= len(self._request.payload):
            if code == _CONTINUE:
                raise UnexpectedBlock1Option("the server asks for more than there is")
            # libcoap leaves out Block1 here.
            return response
        if code != _CONTINUE:
            if block1 is None:
                # The server acts on the request, and does not care for the rest.
                return response
            if not block1.more:
                self._is_acted_on = True
        self._position = end
        if block1 is not None and block1.size_exponent < exponent:
            self.exponent = block1.size_exponent
        return None

    def _recovers(self, response: Message, block1: BlockOption.BlockwiseTuple | None) -> bool:
        """Start over after an error, if that promises something.

        RFC 7959 sections 2.9.2 and 2.9.3.
        """
        if self._is_acted_on:
            return False
        if response.code == _TOO_LARGE:
            if block1 is None or block1.size_exponent >= self.exponent:
                return False
            limit = response.opt.size1
            if limit is not None and limit < len(self._request.payload):
                return False
            self.exponent = block1.size_exponent
        elif response.code == _INCOMPLETE and self._position and not self._was_restarted:
            self._was_restarted = True
        else:
            return False
        self._position = 0
        return True


def _fresh(request: Message, opt: Options) -> Message:
    """Return a message like a request, with other options, and yet to be sent."""
    message = request._twin(opt)
    message.mid = None
    message.token = b""
    return message


def wants_download(request: Message, response: Message) -> bool:
    """Whether a response is the first of several blocks that are to be gathered.

    It is not if the application has asked for a block in the middle: it gets that.

    Args:
        request: The request.
        response: A response to it.

    RFC 7959 section 2.4.
    """
    block2 = response.opt.block2 if _BLOCK2 in response.opt else None
    if block2 is None:
        return False
    asked = request.opt.block2
    if asked is not None and asked.block_number:
        return False
    # What does not begin at the beginning is an error, and is not to be taken as the whole.
    return block2.more or block2.block_number > 0


# What is not in requests for later blocks of a response: it is about the request body, has been
# said already, or would keep the server from answering.  Observe there would begin another
# observation (section 2.6).
_NOT_LATER = (_IF_NONE_MATCH, _OBSERVE, _BLOCK1, _SIZE1, _SIZE2, _NO_RESPONSE)


class Block2Download:
    """The body of one response on its way here.

    Send what :meth:`next_request` returns, and feed the response; until the whole is there.
    All options of the request but those of the request body are repeated, its ETags and
    Request-Tag included, as the server recognises the operation by them.

    Args:
        request: The whole request, with the Request-Tag of its upload if it had one.
        response: The first response, of which :func:`wants_download` is true.
        exponent: Largest block size exponent wanted, 0 to 7.
        limit: Largest body in bytes.
        restarts: How often it may start over because the resource changed under it.

    Raises:
        UnexpectedBlock2: The response is no first block.
        Error: The first block is larger than the limit.

    RFC 7959 sections 2.4 and 2.6 to 2.8, RFC 9175 section 3.8.
    """

    __slots__ = (
        "_body",
        "_first",
        "_limit",
        "_observe",
        "_remote",
        "_request",
        "_restarts",
        "_version",
        "_with_payload",
        "exponent",
    )

    def __init__(
        self,
        request: Message,
        response: Message,
        exponent: int,
        limit: int,
        restarts: int = MAX_RESTARTS,
    ) -> None:
        hint = request.opt.block2
        self.exponent = exponent if hint is None else min(exponent, hint.size_exponent)
        """Block size exponent in use, 0 to 7; it never grows."""
        self._request = request
        self._limit = limit
        self._restarts = restarts
        self._observe = response.opt.observe
        # Section 2.8: blocks of a response to multicast come from whom the first came from.
        self._remote = response.remote or request.remote
        self._with_payload = (
            request.code == _FETCH
            and response.opt.block1 is None
            and not needs_upload(
                request,
                exponent,
                1024 if self._remote is None else self._remote.maximum_payload_size,
            )
        )
        self._body = bytearray()
        self._begin(response)
        self._take(response, response.opt.block2, BERT)

    def _begin(self, first: Message) -> None:
        """Begin with the body that a response is the first block of."""
        self._body.clear()
        self._first: Message | None = first
        self._version = _version(first)

    @property
    def progress(self) -> tuple[int, int | None]:
        """Number of bytes that are here, and of all that there are, if the server has said it."""
        return len(self._body), None if self._first is None else self._first.opt.size2

    def next_request(self) -> Message:
        """Return the request for the current block; the same until a response is fed.

        Raises:
            Error: The body is too large to be numbered in blocks of the size in use.
        """
        request = self._request
        number = len(self._body) >> shift(self.exponent)
        if number > LAST_NUMBER:
            raise Error(f"the body is too large for blocks of {16 << self.exponent} bytes")
        opt = request.opt.copy()
        for option in _NOT_LATER:
            opt.delete_option(option)
        opt.block2 = (number, False, self.exponent)
        message = _fresh(request, opt)
        if not self._with_payload:
            message.payload = b""
        if request.remote is not None and request.remote.is_multicast:
            # To a group it had to be non-confirmable; this is better confirmed.
            message.mtype = None
        message.remote = self._remote
        return message

    def feed(self, response: Message) -> Message | None:
        """Take in the response to the current request.

        Args:
            response: What came.

        Returns:
            None, if it goes on with :meth:`next_request`; else the response with the whole
            body, or an error response that came instead.  The whole response has the options
            of its first block, without Block2, with Observe of the very first response and
            with Max-Age of the last.

        Raises:
            ResourceChanged: The body is another one by now, again and again.
            MissingBlock2Option: The response is no block.
            UnexpectedBlock2: The response is another block, or of another size.
            Error: The body is larger than the limit.
        """
        first = self._first
        block2 = response.opt.block2
        if first is None:
            if block2 is None:
                # By now it fits into one message, or is an error.
                self._body.clear()
                return self._whole(response, response)
            self._begin(response)
        elif not response.code.is_successful() and response.code != first.code:
            # A block beyond the end: the body may have shrunk.
            if response.code == _BAD_REQUEST and self._restarts and self._can_restart():
                self._restart()
                return None
            return response
        elif _version(response) != self._version:
            # Section 2.4.  A 2.03 says that it is what the client had before.
            if not self._restarts or not self._can_restart():
                raise ResourceChanged("the resource changed while it was transferred")
            self._restart()
            return None
        elif block2 is None:
            raise MissingBlock2Option("the response to a request for a block is none")
        return self._take(response, block2, self.exponent)

    def _can_restart(self) -> bool:
        """Whether sending the first request again does no harm and gets the same answer."""
        request = self._request
        return request.code == _GET or (
            request.code == _FETCH and (self._with_payload or not request.payload)
        )

    def _restart(self) -> None:
        self._restarts -= 1
        self._body.clear()
        self._first = None

    def _take(
        self, response: Message, block2: BlockOption.BlockwiseTuple | None, largest: int
    ) -> Message | None:
        """Append a block; return the whole if that was the last."""
        assert block2 is not None  # who calls has looked
        assert self._first is not None  # there is one before there are bytes
        body, payload = self._body, response.payload
        if (
            block2.start != len(body)
            or block2.size_exponent > largest
            # The last may have any size (section 2.3).
            or (block2.more and not block2.is_valid_for_payload_size(len(payload)))
        ):
            raise UnexpectedBlock2(
                f"the server's blocks do not fit together: after {len(body)} bytes came "
                f"{len(payload)} as block {block2.block_number} of {block2.size} bytes each"
            )
        if len(body) + len(payload) > self._limit:
            raise Error(f"the body of the response is larger than {self._limit} bytes")
        body += payload
        if block2.size_exponent < self.exponent:
            self.exponent = block2.size_exponent
        return None if block2.more else self._whole(self._first, response)

    def _whole(self, first: Message, last: Message) -> Message:
        """Return the response that an application gets."""
        whole = first.copy(block2=None, max_age=last.opt.max_age)
        if self._body:
            whole.payload = bytes(self._body)
        if self._observe is not None and whole.code.is_successful():
            whole.opt.observe = self._observe
        return whole


def _version(response: Message) -> tuple[bool, tuple[bytes, ...], int | None]:
    """Return what all blocks of one body have in common (section 2.3, section 2.4)."""
    opt = response.opt
    return (response.code == _VALID, opt.etags, opt.content_format)

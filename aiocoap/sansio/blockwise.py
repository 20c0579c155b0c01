"""Bodies that do not fit into one message.

Here live, for a client, :class:`Block1Upload` and :class:`Block2Download`, each for one body;
for a server, :class:`Uploads` and :class:`Bodies`, each for all bodies under way in that
direction.

The room knows no socket, no timer and no resource: it is fed with messages and gives back what
to send, or the whole.

RFC 7959 (all of it but section 5), RFC 8323 section 6 (BERT), RFC 9175 section 3 (Request-Tag),
RFC 8132 section 2.5 (FETCH).

A body is a place in bytes
--------------------------

Number and size exponent of a block change whenever the two sides agree on another size; the
offset in bytes that they stand for does not.  So that is what is kept, and the numbers are made
of it.  BERT (exponent 7) is then only another number of bytes per message: it counts in 1024
like exponent 6.

===============  ==============================================  ============================
object           its state                                       ends by
===============  ==============================================  ============================
Block1Upload     offset, exponent (never grows)                  a response that is none of
                                                                 2.31, or 2.xx for one block
Block2Download   bytes so far, their ETag, exponent (same)       a block without More
Uploads          per key: bytes so far                           a block without More;
                                                                 lifetime; the bounds
Bodies           per key: the whole response                     lifetime; the bounds
===============  ==============================================  ============================

Decisions that the RFCs leave open
----------------------------------

*ETags* (RFC 7959 section 2.4).  A 2.05 response that is cut and has no ETag gets a hash of its
body.  The blocks of one kept response fit together without it; but if the response is forgotten
while the client is still at it, the resource is rendered anew, and without an ETag the client
could not tell that it mixes two states.  A hash goes on to fit when nothing has changed, where a
counter would not.  For other codes the ETag would be that of another representation (RFC 7252
section 5.10.6.1), and they are never rendered anew.

*Payloads of requests for later blocks* (RFC 7959 section 2.7, RFC 8132 section 2.5).  After a
Block1 phase they have none, and neither do they for POST, PUT and PATCH, whose payload would ask
for the operation to be done once more.  A FETCH that fitted into one message has its payload
in each: it is part of the cache key, so a proxy or a server that keeps no state can answer only
that.  libcoap (4.3.1) sends it without and takes it either way; the key that a server keeps bodies
under therefore has no payload in it.  Where there is one, it must be the one that the kept
response answers; if it is another, the request is answered anew.

*Starting over.*  A changed ETag makes the client start over three times; then the resource is
taken to change too fast.  Only GET and FETCH start over by themselves.  An upload starts over
once after a 4.08, unless the server has acted on single blocks.
"""

from __future__ import annotations

from collections.abc import Hashable

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
from ..optiontypes import BlockOption, encode_uint
from .transfers import MAX_TRANSFER_BYTES, MAX_TRANSFERS, Transfer, Transfers

__all__ = [
    "Block1Upload",
    "Block2Download",
    "Bodies",
    "Uploads",
    "needs_upload",
    "refuse",
    "transfer_key",
    "wants_download",
]

_GET, _FETCH = Code.GET, Code.FETCH
_CONTINUE, _VALID, _CONTENT = Code.CONTINUE, Code.VALID, Code.CONTENT
_BAD_REQUEST = Code.BAD_REQUEST
_INCOMPLETE = Code.REQUEST_ENTITY_INCOMPLETE
_TOO_LARGE = Code.REQUEST_ENTITY_TOO_LARGE

_ETAG, _OBSERVE = int(OptionNumber.ETAG), int(OptionNumber.OBSERVE)
_IF_NONE_MATCH = int(OptionNumber.IF_NONE_MATCH)
_BLOCK1, _BLOCK2 = int(OptionNumber.BLOCK1), int(OptionNumber.BLOCK2)
_SIZE1, _SIZE2 = int(OptionNumber.SIZE1), int(OptionNumber.SIZE2)
_NO_RESPONSE, _REQUEST_TAG = int(OptionNumber.NO_RESPONSE), int(OptionNumber.REQUEST_TAG)

_BERT = 7
_LAST_NUMBER = (1 << 20) - 1
# What 20 bits hold (section 2.2).

MAX_RESTARTS = 3
"""How often a download starts over because the resource changed under it."""


# Sizes


def _shift(exponent: int) -> int:
    """Return the binary logarithm of the size that block numbers count in."""
    return (exponent if exponent < 6 else 6) + 4


def _message_size(exponent: int, payload_size: int) -> int:
    """Return how many bytes of a body one message carries."""
    if exponent < _BERT:
        return 16 << exponent
    return max(1024, payload_size & -1024)


def refuse(request: Message, exponent: int) -> Message | None:
    """Return the answer to a request with a block size that is reserved, else None.

    It is to be asked before a request is acted on.

    Args:
        request: A request.
        exponent: Largest block size exponent in exchanges with its sender; 7 allows for BERT.

    RFC 7959 section 2.2, RFC 8323 section 6.
    """
    if exponent == _BERT:
        return None
    remote = request.remote
    if remote is not None and remote.maximum_block_size_exp == _BERT:
        # Smaller blocks are preferred here, but those are no error.
        return None
    for block in (request.opt.block1, request.opt.block2):
        if block is not None and block.size_exponent == _BERT:
            return Message(code=_BAD_REQUEST, payload=b"Block size 7 is reserved")
    return None


# The client's side


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
    return len(request.payload) > _message_size(exponent, payload_size)


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

    def next_request(self) -> Message:
        """Return the message with the current block; the same until a response is fed.

        Raises:
            Error: The body is too large to be numbered in blocks of the size in use.
        """
        request, exponent, position = self._request, self.exponent, self._position
        body = request.payload
        if (len(body) - 1) >> _shift(exponent) > _LAST_NUMBER:
            raise Error(
                f"a body of {len(body)} bytes is too large for blocks of {16 << exponent} bytes"
            )
        end = position + _message_size(exponent, self._payload_size)
        more = end < len(body)
        opt = request.opt.copy()
        opt.block1 = (position >> _shift(exponent), more, exponent)
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
        if block1 is not None and block1.block_number != self._position >> _shift(exponent):
            raise UnexpectedBlock1Option("the server acknowledged another block than was sent")
        end = self._position + _message_size(exponent, self._payload_size)
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
    block2 = response.opt.block2
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

    def __init__(self, request: Message, response: Message, exponent: int, limit: int) -> None:
        hint = request.opt.block2
        self.exponent = exponent if hint is None else min(exponent, hint.size_exponent)
        """Block size exponent in use, 0 to 7; it never grows."""
        self._request = request
        self._limit = limit
        self._restarts = MAX_RESTARTS
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
        self._take(response, response.opt.block2, _BERT)

    def _begin(self, first: Message) -> None:
        """Begin with the body that a response is the first block of."""
        self._body.clear()
        self._first: Message | None = first
        self._version = _version(first)

    def next_request(self) -> Message:
        """Return the request for the current block; the same until a response is fed.

        Raises:
            Error: The body is too large to be numbered in blocks of the size in use.
        """
        request = self._request
        number = len(self._body) >> _shift(self.exponent)
        if number > _LAST_NUMBER:
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
                f"at byte {len(body)} of the body came {len(payload)} bytes as {block2!r}"
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


# The server's side

# Beyond what is never part of a cache key.  The first four may be in some messages of a transfer
# only; If-None-Match is in the first block alone (section 2.10).
_NOT_IN_KEY = frozenset((_BLOCK1, _BLOCK2, _OBSERVE, _NO_RESPONSE, _IF_NONE_MATCH))


def transfer_key(request: Message) -> Hashable:
    """Return what the messages of one transfer have in common.

    Those are endpoint, method and options, Request-Tags among them.  The payload is none of it,
    as it is different in each of them.

    Args:
        request: A request.

    RFC 7959 sections 2.4 and 2.5, RFC 9175 section 3.3.
    """
    return (_owner(request), request.code, request.opt.cache_key_items(_NOT_IN_KEY))


def _owner(request: Message) -> Hashable:
    return None if request.remote is None else request.remote.blockwise_key


class _Upload(Transfer):
    """A request body of which some blocks are there."""

    __slots__ = ("data", "if_none_match", "latest")

    def __init__(self, key: Hashable, request: Message, now: float) -> None:
        super().__init__(key, _owner(request), 0, now)
        self.data = bytearray()
        # Where the latest block begins.
        self.latest = 0
        self.if_none_match = request.opt.if_none_match


class Uploads:
    """All request bodies on their way to a server.

    Args:
        limit: Largest body in bytes.
        lifetime: Seconds for which an unfinished body is kept after its latest block.
        max_transfers: Number of unfinished bodies; an eighth of it for each endpoint.
        max_bytes: Size of all unfinished bodies; half of it for each endpoint.

    RFC 7959 section 2.5.
    """

    __slots__ = ("_transfers", "limit")

    def __init__(
        self,
        limit: int,
        lifetime: float,
        max_transfers: int = MAX_TRANSFERS,
        max_bytes: int = MAX_TRANSFER_BYTES,
    ) -> None:
        self.limit = limit
        self._transfers: Transfers[_Upload] = Transfers(lifetime, max_transfers, max_bytes)

    def feed(
        self, key: Hashable, request: Message, exponent: int, now: float
    ) -> tuple[Message | None, Message | None]:
        """Take in a block.

        Args:
            key: The request's :func:`transfer_key`.
            request: A request with Block1.
            exponent: Largest block size exponent wanted from its sender, 0 to 7.
            now: Monotonic seconds.

        Returns:
            The request with the whole body (and with Block1 of its last block), or the
            response to send: one of the two.

        RFC 7959 sections 2.3, 2.5 and 2.9, RFC 8323 section 6.
        """
        refusal = refuse(request, exponent)
        if refusal is not None:
            return None, refusal
        block1 = request.opt.block1
        if block1 is None:
            return request, None
        payload = request.payload
        if block1.more and not block1.is_valid_for_payload_size(len(payload)):
            # Section 2.3; how large the last one is, the exponent does not say.
            return None, Message(code=_BAD_REQUEST, payload=b"Payload is not of the block size")
        start = block1.start
        upload = self._transfers.get(key, now)
        if self._is_too_large(request, start):
            if upload is not None and start == len(upload.data):
                # Nothing can come of it any more.
                self._transfers.remove(upload)
            return None, Message(code=_TOO_LARGE, size1=self.limit)
        if start == 0:
            if not block1.more:
                if upload is not None:
                    self._transfers.remove(upload)
                return request, None
            # Section 2.5: it starts over, whatever was there.
            upload = _Upload(key, request, now)
            self._transfers.add(upload)
        elif upload is None:
            return None, Message(code=_INCOMPLETE)
        elif start != len(upload.data):
            if not (block1.more and _is_repeated(upload, start, payload)):
                # What is there stays: the block may have lost its way, and the others not.
                return None, Message(code=_INCOMPLETE)
            return None, _continue(block1, exponent)
        upload.data += payload
        if block1.more:
            upload.latest = start
            upload.used = now
            self._transfers.grow(upload, len(payload))
            return None, _continue(block1, exponent)
        self._transfers.remove(upload)
        whole = request.copy(payload=bytes(upload.data))
        if upload.if_none_match:
            whole.opt.if_none_match = True
        return whole, None

    def _is_too_large(self, request: Message, start: int) -> bool:
        """Whether a body is larger than allowed, as far as one block tells (section 2.9.3)."""
        if start + len(request.payload) > self.limit:
            return True
        announced = request.opt.size1
        return announced is not None and announced > self.limit

    def expire(self, now: float) -> None:
        """Forget what nobody has gone on with.

        Args:
            now: Monotonic seconds.
        """
        self._transfers.expire(now)

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` is to be called, in monotonic seconds, or None for never."""
        return self._transfers.next_deadline()

    def __len__(self) -> int:
        """Return the number of unfinished bodies."""
        return len(self._transfers)

    def clear(self) -> None:
        """Forget all unfinished bodies."""
        self._transfers.clear()


def _is_repeated(upload: _Upload, start: int, payload: bytes) -> bool:
    """Whether a block is the latest one once more."""
    return start == upload.latest and upload.data[start:] == payload


def _continue(block1: BlockOption.BlockwiseTuple, exponent: int) -> Message:
    """Return the acknowledgement of a block, with the size that is wanted from now on."""
    return Message(
        code=_CONTINUE,
        block1=(block1.block_number, True, min(block1.size_exponent, exponent)),
    )


class _Body(Transfer):
    """A response that is larger than a message."""

    __slots__ = ("asked", "payload", "template", "values")

    def __init__(self, key: Hashable, request: Message, response: Message, now: float) -> None:
        payload = bytes(response.payload)
        super().__init__(key, _owner(request), len(payload), now)
        self.payload = payload
        # What the payload of the request was; to keep it could double the size.
        self.asked = hash(request.payload)
        # All blocks have these options (and share their values: nothing changes them in place).
        values = response.opt.copy()._values
        for number in (_OBSERVE, _BLOCK1):
            values.pop(number, None)
        if response.code == _CONTENT and _ETAG not in values:
            values[_ETAG] = [_hash(payload)]
        self.values = values
        self.template = response._twin(response.opt)

    def block(self, number: int, exponent: int, size: int, with_size: bool) -> Message:
        """Return one block, which may lie beyond the end.

        Args:
            number: Block number, counted in blocks of the exponent.
            exponent: Block size exponent, 0 to 7.
            size: Bytes of the body to send.
            with_size: Whether to tell the size of the whole.
        """
        payload = self.payload
        start = number << _shift(exponent)
        if start >= len(payload) or number > _LAST_NUMBER:
            return Message(code=_BAD_REQUEST, payload=b"There is no such block")
        end = start + size
        packed = number << 4 | (end < len(payload)) << 3 | exponent
        values = self.values.copy()
        values[_BLOCK2] = [packed.to_bytes((packed.bit_length() + 7) >> 3, "big")]
        if with_size:
            values[_SIZE2] = [encode_uint(len(payload))]
        opt = Options.__new__(Options)
        opt._values = values
        message = self.template._twin(opt)
        message.payload = payload[start:end]
        return message


def _hash(payload: bytes) -> bytes:
    """Return an ETag for a body."""
    # Half the time that importing all of the room takes, for servers of large things only.
    from hashlib import blake2b

    return blake2b(payload, digest_size=8).digest()


class Bodies:
    """All response bodies on their way from a server.

    Args:
        lifetime: Seconds for which a body is kept after its latest block was asked for.
        max_bodies: Number of bodies; an eighth of it for each endpoint.
        max_bytes: Size of all bodies; half of it for each endpoint.

    RFC 7959 sections 2.4, 2.6 and 2.7.
    """

    __slots__ = ("_transfers",)

    def __init__(
        self,
        lifetime: float,
        max_bodies: int = MAX_TRANSFERS,
        max_bytes: int = MAX_TRANSFER_BYTES,
    ) -> None:
        self._transfers: Transfers[_Body] = Transfers(lifetime, max_bodies, max_bytes)

    def first(
        self,
        key: Hashable,
        request: Message,
        response: Message,
        exponent: int,
        payload_size: int,
        now: float,
    ) -> Message:
        """Take in a response that was just made, and return what to send of it.

        Args:
            key: The request's :func:`transfer_key`.
            request: The request; it may ask for any block.
            response: The response with its whole body; it is not changed.  One that has Block2
                already was cut by the resource.
            exponent: Largest block size exponent that may be sent to the client, 0 to 7.
            payload_size: Largest payload in bytes, where the exponent is 7.
            now: Monotonic seconds.

        Returns:
            The response itself, if it fits into one message and is asked for from its
            beginning; else a block of it, or 4.00 where there is no such block.

        RFC 7959 sections 2.2, 2.4 and 4.
        """
        refusal = refuse(request, exponent)
        if refusal is not None:
            return refusal
        if _BLOCK2 in response.opt:
            return response
        number = 0
        asked = request.opt.block2
        if asked is not None:
            asked = asked.reduced_to(exponent)
            exponent = asked.size_exponent
            # What is said instead of a representation is said from its beginning.
            if response.code.is_successful() and response.code != _VALID:
                number = asked.block_number
        size = _message_size(exponent, payload_size)
        if not number and len(response.payload) <= size:
            return response
        body = _Body(key, request, response, now)
        message = body.block(number, exponent, size, not number or _SIZE2 in request.opt)
        if message.code == response.code:
            self._transfers.add(body)
            if not number:
                if _OBSERVE in response.opt:
                    message.opt.observe = response.opt.observe
                if _BLOCK1 in response.opt:
                    message.opt.block1 = response.opt.block1
        return message

    def later(
        self, key: Hashable, request: Message, exponent: int, payload_size: int, now: float
    ) -> Message | None:
        """Return a later block of a body that is kept.

        Args:
            key: The request's :func:`transfer_key`.
            request: The request.
            exponent: Largest block size exponent that may be sent to the client, 0 to 7.
            payload_size: Largest payload in bytes, where the exponent is 7.
            now: Monotonic seconds.

        Returns:
            The block (or 4.00 where there is none of that number), or None if no such body is
            kept, or the first block asked for: then the client wants the present state.

        RFC 7959 sections 2.4 and 2.7.
        """
        body = self._transfers.get(key, now)
        opt = request.opt
        asked = opt.block2
        if body is None or asked is None or not asked.block_number:
            return None
        if request.payload and hash(request.payload) != body.asked:
            return None
        if asked.size_exponent == _BERT:
            refusal = refuse(request, exponent)
            if refusal is not None:
                return refusal
        if asked.size_exponent > exponent:
            asked = asked.reduced_to(exponent)
        number, _, exponent = asked
        body.used = now
        size = _message_size(exponent, payload_size)
        message = body.block(number, exponent, size, _SIZE2 in opt)
        if (number << _shift(exponent)) + size >= len(body.payload):
            # It is kept in case that the client did not get it.
            self._transfers.done(body)
        return message

    def expire(self, now: float) -> None:
        """Forget what nobody has gone on with.

        Args:
            now: Monotonic seconds.
        """
        self._transfers.expire(now)

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` is to be called, in monotonic seconds, or None for never."""
        return self._transfers.next_deadline()

    def __len__(self) -> int:
        """Return the number of bodies."""
        return len(self._transfers)

    def clear(self) -> None:
        """Forget all bodies."""
        self._transfers.clear()

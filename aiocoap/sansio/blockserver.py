"""Bodies that do not fit into one message, on the server's side.

Here live :class:`Uploads` and :class:`Bodies`, each for all bodies under way in that direction.

The room knows no resource and no clock: it is told of requests and responses and of the time.
Why it does what it does is told in :mod:`.blockwise`, and what happens at the bounds in
:mod:`.transfers`.

RFC 7959 sections 2.2 to 2.10 and 4, RFC 8323 section 6 (BERT), RFC 9175 section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from ..message import Message
from ..numbers.codes import Code
from ..numbers.optionnumbers import OptionNumber
from ..numbers.types import CON
from ..options import Options
from ..optiontypes import BlockOption, encode_uint
from .blocksize import BERT, LAST_NUMBER, message_size, shift, sizes
from .transfers import MAX_TRANSFER_BYTES, MAX_TRANSFERS, Transfer, Transfers

__all__ = ["Bodies", "Part", "Upload", "Uploads", "block_size", "part_of", "refuse", "transfer_key"]

_CONTINUE, _VALID, _CONTENT = Code.CONTINUE, Code.VALID, Code.CONTENT
_BAD_REQUEST = Code.BAD_REQUEST
_INCOMPLETE = Code.REQUEST_ENTITY_INCOMPLETE
_TOO_LARGE = Code.REQUEST_ENTITY_TOO_LARGE

_ETAG, _OBSERVE = int(OptionNumber.ETAG), int(OptionNumber.OBSERVE)
_IF_NONE_MATCH = int(OptionNumber.IF_NONE_MATCH)
_BLOCK1, _BLOCK2 = int(OptionNumber.BLOCK1), int(OptionNumber.BLOCK2)
_SIZE2, _NO_RESPONSE = int(OptionNumber.SIZE2), int(OptionNumber.NO_RESPONSE)

_USUAL_OPTIONS = 24
# Size in bytes of the options that come with a block, and the payload marker, at most as a rule.


def block_size(request: Message, exponent: int) -> tuple[int, int]:
    """Return exponent and payload size in bytes of blocks to the sender of a request.

    Args:
        request: An incoming request.
        exponent: Block size exponent that this side prefers, 0 to 7.

    RFC 7959 section 2.2, RFC 9175 section 2.4 item 3 (what may be sent to somebody who could
    have been made up).
    """
    remote = request.remote
    assert remote is not None  # incoming messages have one
    if request.response_limit is not None:
        room = request.response_limit - _USUAL_OPTIONS - 4 - len(request.token)
        if request.mtype is CON:
            # An acknowledgement may have gone before it.
            room -= 4
        exponent = min(exponent, max(room.bit_length() - 5, 0) if room > 0 else 0)
    return sizes(remote, exponent)


class Part(NamedTuple):
    """What of a body goes into one message."""

    start: int
    """Offset in bytes."""

    end: int
    """Offset of what is next."""

    block2: tuple[int, bool, int] | None
    """Number, More flag and size exponent; None where it is the whole."""


def part_of(request: Message, length: int, exponent: int, payload_size: int) -> Part | None:
    """Choose what of a representation the response to a request carries.

    Args:
        request: The request; it may ask for any block.
        length: Size of the representation in bytes.
        exponent: Largest block size exponent that may be sent to the client, 0 to 7.
        payload_size: Largest payload in bytes, where the exponent is 7.

    Returns:
        None where there is no such block.

    RFC 7959 sections 2.2 and 2.4.
    """
    number, asked = 0, request.opt.block2
    if asked is not None:
        number, _, exponent = asked.reduced_to(exponent)
    size = message_size(exponent, payload_size)
    if not number and length <= size:
        return Part(0, length, None)
    start = number << shift(exponent)
    if start >= length or number > LAST_NUMBER:
        return None
    end = min(start + size, length)
    return Part(start, end, (number, end < length, exponent))


def refuse(request: Message, exponent: int) -> Message | None:
    """Return the answer to a request with a block size that is reserved, else None.

    It is to be asked before a request is acted on.

    Args:
        request: A request.
        exponent: Largest block size exponent in exchanges with its sender; 7 allows for BERT.

    RFC 7959 section 2.2, RFC 8323 section 6.
    """
    if exponent == BERT:
        return None
    remote = request.remote
    if remote is not None and remote.may_send_bert:
        # Smaller blocks are preferred here, or are all that the peer said that it takes; but
        # asking for these is no error, and means that it can deal with them.
        return None
    for block in (request.opt.block1, request.opt.block2):
        if block is not None and block.size_exponent == BERT:
            return Message(code=_BAD_REQUEST, payload=b"Block size 7 is reserved")
    return None


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


class Upload(Transfer):
    """A request body of which some blocks are there; subclasses may keep them elsewhere.

    Args:
        key: The request's :func:`transfer_key`.
        request: The request with the first block.
        now: Monotonic seconds.
    """

    __slots__ = ("data", "if_none_match", "latest", "length")

    def __init__(self, key: Hashable, request: Message, now: float) -> None:
        super().__init__(key, _owner(request), 0, now)
        self.data = bytearray()
        # How much is there, and where the latest block begins.
        self.length = self.latest = 0
        self.if_none_match = request.opt.if_none_match

    def append(self, payload: bytes) -> None:
        """Take in the next block.

        Args:
            payload: What is in it.
        """
        self.data += payload

    def ends_with(self, payload: bytes) -> bool:
        """Whether that was in the latest block.

        Args:
            payload: What a block like the latest has in it.
        """
        return self.data[self.latest :] == payload


class Uploads(Transfers[Upload]):
    """All request bodies on their way to a server.

    Args:
        limit: Largest body in bytes.
        lifetime: Seconds for which an unfinished body is kept after its latest block.
        max_transfers: Number of unfinished bodies; an eighth of it for each endpoint.
        max_bytes: Size of all unfinished bodies; half of it for each endpoint.
        begin: What makes an :class:`Upload` of key, request and time.

    RFC 7959 section 2.5.
    """

    __slots__ = ("_begin", "limit")

    def __init__(
        self,
        limit: int,
        lifetime: float,
        max_transfers: int = MAX_TRANSFERS,
        max_bytes: int = MAX_TRANSFER_BYTES,
        begin: Callable[[Hashable, Message, float], Upload] = Upload,
    ) -> None:
        super().__init__(lifetime, max_transfers, max_bytes)
        self.limit = limit
        self._begin = begin

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
        upload, reply = self.take(key, request, exponent, now)
        if reply is not None:
            return None, reply
        if upload is None:
            return request, None
        whole = request.copy(payload=bytes(upload.data))
        if upload.if_none_match:
            whole.opt.if_none_match = True
        return whole, None

    def take(
        self, key: Hashable, request: Message, exponent: int, now: float
    ) -> tuple[Upload | None, Message | None]:
        """Take in a block, and leave what becomes of the body to the caller.

        Args:
            key: The request's :func:`transfer_key`.
            request: A request with Block1.
            exponent: Largest block size exponent wanted from its sender, 0 to 7.
            now: Monotonic seconds.

        Returns:
            The upload, which is whole and forgotten here, or the response to send; neither if
            the body fits into the request.

        Raises:
            Exception: What the upload raises when it is to take a block; it is forgotten then.

        RFC 7959 sections 2.3, 2.5 and 2.9, RFC 8323 section 6.
        """
        refusal = refuse(request, exponent)
        if refusal is not None:
            return None, refusal
        block1 = request.opt.block1
        if block1 is None:
            return None, None
        payload = request.payload
        if block1.more and not block1.is_valid_for_payload_size(len(payload)):
            # Section 2.3; how large the last one is, the exponent does not say.
            return None, Message(code=_BAD_REQUEST, payload=b"Payload is not of the block size")
        start = block1.start
        upload = self.get(key, now)
        if self._is_too_large(request, start):
            if upload is not None and start == upload.length:
                # Nothing can come of it any more.
                self.remove(upload)
            return None, Message(code=_TOO_LARGE, size1=self.limit)
        if start == 0:
            if not block1.more:
                if upload is not None:
                    self.remove(upload)
                return None, None
            # Section 2.5: it starts over, whatever was there.
            upload = self._begin(key, request, now)
            self.add(upload)
        elif upload is None:
            return None, Message(code=_INCOMPLETE)
        elif start != upload.length:
            if not (block1.more and start == upload.latest and upload.ends_with(payload)):
                # What is there stays: the block may have lost its way, and the others not.
                return None, Message(code=_INCOMPLETE)
            return None, _continue(block1, exponent)
        try:
            upload.append(payload)
        except BaseException:
            self.remove(upload)
            raise
        upload.latest = start
        upload.length += len(payload)
        if block1.more:
            upload.used = now
            self.grow(upload, len(payload))
            return None, _continue(block1, exponent)
        upload.is_done = True
        self.remove(upload)
        return upload, None

    def _is_too_large(self, request: Message, start: int) -> bool:
        """Whether a body is larger than allowed, as far as one block tells (section 2.9.3)."""
        if start + len(request.payload) > self.limit:
            return True
        announced = request.opt.size1
        return announced is not None and announced > self.limit


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
        start = number << shift(exponent)
        end = start + size
        if start >= len(payload) or number > LAST_NUMBER:
            return Message(code=_BAD_REQUEST, payload=b"There is no such block")
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


class Bodies(Transfers[_Body]):
    """All response bodies on their way from a server.

    Args:
        lifetime: Seconds for which a body is kept after its latest block was asked for.
        max_bodies: Number of bodies; an eighth of it for each endpoint.
        max_bytes: Size of all bodies; half of it for each endpoint.

    RFC 7959 sections 2.4, 2.6 and 2.7.
    """

    __slots__ = ()

    def __init__(
        self,
        lifetime: float,
        max_bodies: int = MAX_TRANSFERS,
        max_bytes: int = MAX_TRANSFER_BYTES,
    ) -> None:
        super().__init__(lifetime, max_bodies, max_bytes)

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
        size = message_size(exponent, payload_size)
        if not number and len(response.payload) <= size:
            return response
        body = _Body(key, request, response, now)
        message = body.block(number, exponent, size, not number or _SIZE2 in request.opt)
        if message.code == response.code:
            self.add(body)
            if not number:
                if _OBSERVE in response.opt:
                    message.opt.observe = response.opt.observe
                if _BLOCK1 in response.opt:
                    message.opt.block1 = response.opt.block1
        return message

    def later(
        self, request: Message, exponent: int, payload_size: int, now: float
    ) -> Message | None:
        """Return a later block of a body that is kept.

        Args:
            request: The request.
            exponent: Largest block size exponent that may be sent to the client, 0 to 7.
            payload_size: Largest payload in bytes, where the exponent is 7.
            now: Monotonic seconds.

        Returns:
            The block (or 4.00 where there is none of that number), or None if no such body is
            kept, or the first block asked for: then the client wants the present state.

        RFC 7959 sections 2.4 and 2.7.
        """
        opt = request.opt
        asked = opt.block2
        if asked is None or not asked.block_number:
            return None
        body = self.get(transfer_key(request), now)
        if body is None:
            return None
        if request.payload and hash(request.payload) != body.asked:
            return None
        if asked.size_exponent == BERT:
            refusal = refuse(request, exponent)
            if refusal is not None:
                return refusal
        if asked.size_exponent > exponent:
            asked = asked.reduced_to(exponent)
        number, _, exponent = asked
        body.used = now
        size = message_size(exponent, payload_size)
        message = body.block(number, exponent, size, _SIZE2 in opt)
        if (number << shift(exponent)) + size >= len(body.payload):
            # It is kept in case that the client did not get it.
            self.done(body)
        return message

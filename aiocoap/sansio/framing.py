"""Where one message ends and the next begins on a stream.

Here lives :class:`FrameReader`, which cuts a stream of bytes into messages, and
:func:`encode_frame`, its inverse; and the same for WebSockets, which tell the length themselves.

The room knows neither what messages mean nor where the bytes come from.

RFC 8323 sections 3.2 (TCP) and 4.2 (WebSockets), RFC 8974 (extended tokens).

A frame is a first byte, whose upper half tells the length of options and payload, or how many
bytes do; the code; the token; options; payload.  How long the whole of it is, is known after eight
bytes at most, and a frame larger than what was announced is refused then, before anything of it
is kept.
"""

from __future__ import annotations

from .._faults import UnparsableMessage
from ..address import EndpointAddress
from ..message import Message

__all__ = ["FrameReader", "decode_unframed", "encode_frame", "encode_unframed", "frame_size"]

# By the Len field: number of bytes of the extended length, and what that is counted from.
_EXTENDED = {13: (1, 13), 14: (2, 269), 15: (4, 65805)}


def encode_frame(message: Message) -> bytes:
    """Return a message as it goes on a stream.

    Args:
        message: One with a code; type and Message ID are of no interest.

    Raises:
        TypeError: The code is not set.
        ValueError: A field is out of range.

    RFC 8323 section 3.2.
    """
    nibble, head, body = message.encode_reliable()
    length = len(body)
    if length < 13:
        return bytes((length << 4 | nibble,)) + head + body
    if length < 269:
        return bytes((0xD0 | nibble, length - 13)) + head + body
    if length < 65805:
        return bytes((0xE0 | nibble,)) + (length - 269).to_bytes(2, "big") + head + body
    if length - 65805 >= 1 << 32:
        raise ValueError(f"{length} bytes of options and payload are too many")
    return bytes((0xF0 | nibble,)) + (length - 65805).to_bytes(4, "big") + head + body


def encode_unframed(message: Message) -> bytes:
    """Return a message as it goes into a WebSocket message.

    Args:
        message: One with a code; type and Message ID are of no interest.

    Raises:
        TypeError: The code is not set.
        ValueError: A field is out of range.

    RFC 8323 section 4.2.
    """
    nibble, head, body = message.encode_reliable()
    return bytes((nibble,)) + head + body


def decode_unframed(rawdata: bytes, remote: EndpointAddress | None = None) -> Message:
    """Read a message from a WebSocket message.

    Args:
        rawdata: The whole of it; anything may be in there.
        remote: Where it came from.

    Raises:
        UnparsableMessage: The bytes are no message; nothing else is ever raised.

    RFC 8323 section 4.2.
    """
    if not rawdata:
        raise UnparsableMessage("shorter than a header")
    if rawdata[0] > 15:
        raise UnparsableMessage("the Len field is not 0")
    return Message.decode_reliable(rawdata, 1, rawdata[0], remote)


def frame_size(data: bytes | bytearray, start: int = 0) -> int | None:
    """Return the size in bytes of a frame that begins somewhere, from its first byte to its last.

    Args:
        data: What is there of the frame, perhaps with more behind it.
        start: Where it begins.

    Returns:
        The size, or None where there are not enough bytes to tell.
    """
    available = len(data) - start
    if available < 2:
        # The code is never missing.
        return None
    first = data[start]
    length, nibble = first >> 4, first & 15
    head = 2
    if length > 12:
        count, base = _EXTENDED[length]
        head += count
        if available < head:
            return None
        length = int.from_bytes(data[start + 1 : start + 1 + count], "big") + base
    if nibble > 12:
        # 15 is reserved; that is found when the frame is read.
        count = 1 if nibble == 13 else 2
        if available < head + count:
            return None
        base = 13 if nibble == 13 else 269
        extension = int.from_bytes(data[start + head : start + head + count], "big")
        nibble = 0 if nibble == 15 else extension + base + count
    return head + nibble + length


class FrameReader:
    """Cuts a stream into messages, wherever the bytes are cut that come in.

    What has come of an unfinished frame is kept, and is never more than the limit; and so is what
    has come beyond the number of messages that are wanted.

    Args:
        limit: Largest frame in bytes that is taken, as announced by Max-Message-Size.

    Attributes:
        limit: As given; it may be changed between two calls.
        fault: What is wrong with the stream, or None.  Nothing more is read once there is
            something wrong, as nobody knows where the next message begins.
    """

    __slots__ = ("_at", "_kept", "_needed", "_rest", "fault", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.fault: UnparsableMessage | None = None
        self._kept = bytearray()
        # How many bytes there have to be before looking again is of use.
        self._needed = 0
        # What has not been looked at yet, because there were enough messages before it, and from
        # where on: many small messages are not to have all that is behind them copied.
        self._rest = b""
        self._at = 0

    @property
    def pending(self) -> int:
        """Number of bytes that are kept."""
        return len(self._kept) + len(self._rest)

    @property
    def is_unfinished(self) -> bool:
        """Whether the beginning of a frame has come, and its end has not."""
        return len(self._kept) > 0

    @property
    def has_more(self) -> bool:
        """Whether there may be messages even if nothing else comes."""
        return len(self._rest) > 0

    def feed(
        self, data: bytes, remote: EndpointAddress | None = None, most: int = 1 << 30
    ) -> list[Message]:
        """Take in the next bytes of the stream.

        Args:
            data: Any number of bytes.
            remote: Where they come from.
            most: Number of messages that are wanted; those after them come by the next call.

        Returns:
            The messages that are complete now, in their order; those before a fault as well, so
            that :attr:`fault` is to be looked at afterwards.
        """
        messages: list[Message] = []
        if self.fault is not None:
            return messages
        position = 0
        if self._rest:
            if data:
                data = self._rest[self._at :] + data
            else:
                data, position = self._rest, self._at
            self._rest = b""
        kept = self._kept
        if kept:
            kept += data
            if len(kept) < self._needed:
                return messages
            data = bytes(kept)
            kept.clear()
        end = len(data)
        try:
            while position < end:
                if len(messages) >= most:
                    self._rest, self._at = data, position
                    break
                first = data[position]
                if first < 0xD0 and first & 15 < 13:
                    # The usual case of what frame_size does.
                    size = 2 + (first & 15) + (first >> 4)
                else:
                    found = frame_size(data, position)
                    if found is None:
                        self._keep(data, position, end - position + 1)
                        break
                    size = found
                if size > self.limit:
                    raise UnparsableMessage(f"{size} bytes, where {self.limit} are the limit")
                stop = position + size
                if stop > end:
                    self._keep(data, position, size)
                    break
                frame = data if size == end else data[position:stop]
                length = frame[0] >> 4
                start = 1 if length < 13 else 1 + _EXTENDED[length][0]
                messages.append(Message.decode_reliable(frame, start, frame[0] & 15, remote))
                position = stop
        except UnparsableMessage as fault:
            self.fault = fault
        return messages

    def _keep(self, data: bytes, position: int, needed: int) -> None:
        """Keep the beginning of a frame until there are as many bytes as are needed."""
        self._kept += data[position:]
        self._needed = needed

    def __repr__(self) -> str:
        state = "broken" if self.fault else f"{self.pending} byte(s) pending"
        return f"<{type(self).__name__}, {state}>"

"""What the two ends of a connection tell each other about the connection.

Here lives :class:`Signaling`, the state of one connection as far as signaling messages make it.

The room knows no socket and no clock: what is to be done comes back.

RFC 8323 section 5 (signaling), section 3.3 (the first message), section 6 (when BERT is possible).

======================  ==========================================================================
state                   what it means
======================  ==========================================================================
nothing came            any message but a CSM (or an Empty one) aborts the connection
``is_open``             the peer's CSM has come; requests and responses may
``release`` is set      the peer wants the connection closed as soon as its requests are answered
======================  ==========================================================================

Requests of the peer are *in work* from when they come until they are answered for the first time.
Both Custody and Release wait for those that came before.
"""

from __future__ import annotations

from typing import NamedTuple

from ..message import Message
from ..numbers.codes import ABORT, CSM, PING, PONG, RELEASE, Code
from ..optiontypes import OpaqueOption

__all__ = [
    "BASE_MESSAGE_SIZE",
    "MAX_CUSTODIES",
    "Reaction",
    "Release",
    "Signaling",
    "abort_message",
]

BASE_MESSAGE_SIZE = 1152
"""Size in bytes of the messages that every endpoint takes as long as it says nothing else."""

MAX_CUSTODIES = 16
"""Number of Pongs that may wait for requests to be answered; further ones do not wait."""

_LEAST_MESSAGE_SIZE = 32
# What a peer has to take; there is no point in serving one that can not even be told of errors.

_HEADER_ROOM = 128
# What is left for header and options beside a block (RFC 7252 section 4.6 does so, too).

_LONGEST_TOKEN = 65_804
# What the field can express (RFC 8974 section 2.1).

_MAX_DIAGNOSTIC = 200
# Bytes of a peer's explanations that are looked at.

# Numbers of signaling options, which every code has its own of.
_MAX_MESSAGE_SIZE, _BLOCK_WISE_TRANSFER, _EXTENDED_TOKEN_LENGTH = 2, 4, 6
_CUSTODY = 2
_ALTERNATIVE_ADDRESS, _HOLD_OFF = 2, 4
_BAD_CSM_OPTION = 2

_EMPTY = Code.EMPTY


class Release(NamedTuple):
    """What a peer said when it wanted the connection closed.

    RFC 8323 section 5.5.
    """

    alternatives: tuple[str, ...]
    """Authorities (``host[:port]``) to connect to instead."""
    hold_off: int
    """Seconds for which no new connection is to be made."""
    diagnostic: str
    """The peer's words, fit for a log; often empty."""


class Reaction(NamedTuple):
    """What is to be done about a message."""

    reply: Message | None = None
    """To be sent, whatever else is to be done."""
    is_pong: bool = False
    """Whether it answers the oldest Ping that has not been answered."""
    end: str | None = None
    """Why the connection is to be closed at once, after the reply."""


_NOTHING = Reaction()


class Signaling:
    """What is known of one connection by signaling messages.

    Args:
        max_message_size: Largest message in bytes that is taken from the peer.

    Attributes:
        is_open: Whether the peer's CSM has come.
        peer_message_size: Largest message in bytes that the peer takes.
        peer_does_blocks: Whether the peer said that it knows blockwise transfer.
        in_work: Tokens of the peer's requests that have not been answered.
        release: What the peer said when it released the connection, or None.
    """

    __slots__ = (
        "_custodies",
        "_max_message_size",
        "in_work",
        "is_open",
        "peer_does_blocks",
        "peer_message_size",
        "release",
    )

    def __init__(self, max_message_size: int) -> None:
        self._max_message_size = max_message_size
        self.is_open = False
        self.peer_message_size = BASE_MESSAGE_SIZE
        self.peer_does_blocks = False
        self.in_work: set[bytes] = set()
        self.release: Release | None = None
        # Pongs, each with the tokens of those requests that it waits for.
        self._custodies: list[tuple[Message, set[bytes]]] = []

    # What the peer can take

    @property
    def block_size_exponent(self) -> int:
        """Exponent of the largest blocks to be sent to the peer; 7 is BERT.

        RFC 8323 section 5.3.2.
        """
        size = self.peer_message_size
        if size > BASE_MESSAGE_SIZE and self.peer_does_blocks and self.offers_bert:
            return 7
        exponent = 6
        while exponent and (16 << exponent) + _HEADER_ROOM > size:
            exponent -= 1
        return exponent

    @property
    def payload_size(self) -> int:
        """Largest payload in bytes to be sent to the peer in one message.

        With BERT it is a multiple of 1024.
        """
        exponent = self.block_size_exponent
        if exponent < 7:
            return 16 << exponent
        # Not more than what is taken in return: large messages are in the way of others.
        size = min(self.peer_message_size, self._max_message_size)
        return max(1024, (size - _HEADER_ROOM) & -1024)

    @property
    def offers_bert(self) -> bool:
        """Whether the peer is told by our CSM that it may send BERT blocks.

        RFC 8323 section 5.3.2.
        """
        return self._max_message_size > BASE_MESSAGE_SIZE

    # Messages of our own

    def greeting(self) -> Message:
        """Return the CSM that has to be sent before anything else.

        Requests with tokens of a length that it does not tell of would have to be taken for
        malformed.

        RFC 8323 sections 3.3 and 5.3, RFC 8974 section 2.2.1.
        """
        message = _signal(CSM)
        _add_uint(message, _MAX_MESSAGE_SIZE, self._max_message_size)
        _add(message, _BLOCK_WISE_TRANSFER)
        _add_uint(message, _EXTENDED_TOKEN_LENGTH, _LONGEST_TOKEN)
        return message

    def ping(self) -> Message:
        """Return a Ping.

        It has no token: Pongs come in the order of the Pings, and some peers answer each without
        one (libcoap 4.3.1 does).

        RFC 8323 section 5.4.
        """
        return _signal(PING)

    def farewell(self) -> Message:
        """Return the Release that tells the peer that the connection may go.

        RFC 8323 section 5.5.
        """
        return _signal(RELEASE)

    # Requests of the peer

    def begin(self, token: bytes) -> None:
        """Take note of a request of the peer.

        Args:
            token: Its token.
        """
        self.in_work.add(token)

    def finish(self, token: bytes) -> list[Message] | None:
        """Take note that a request is answered, or will not be.

        Args:
            token: Its token; that of a notification does no harm.

        Returns:
            Messages to be sent after the response, or None.

        RFC 8323 section 5.4.1.
        """
        self.in_work.discard(token)
        if not self._custodies:
            return None
        for _, awaited in self._custodies:
            awaited.discard(token)
        due = []
        while self._custodies and not self._custodies[0][1]:
            due.append(self._custodies.pop(0)[0])
        return due or None

    # Messages of the peer

    def take(self, message: Message) -> Reaction:
        """Take in a message that is neither request nor response, or that comes too early.

        Args:
            message: Whatever came, but for requests and responses once ``is_open`` is true.

        Returns:
            What is to be done.
        """
        code = message.code
        if code == _EMPTY:
            return _NOTHING
        if not self.is_open and code != CSM:
            return _abort("the first message has to be a CSM")
        if code < 224:
            # Requests and responses, which come here too early only, have gone already.
            return _abort(f"messages of the code {code.dotted} have no meaning")
        critical = next((number for number in message.opt.numbers() if number & 1), None)
        if critical is not None:
            reason = f"option {critical} of a {code.dotted} message is critical and unknown"
            return _abort(reason, critical if code == CSM else None)
        if code == CSM:
            return self._take_csm(message)
        if code == PING:
            return self._take_ping(message)
        if code == PONG:
            return Reaction(is_pong=True)
        if code == RELEASE:
            self._take_release(message)
        elif code == ABORT:
            said = _diagnostic(message)
            bad = _uint(message, _BAD_CSM_OPTION, 2)
            option = "" if bad is None else f", because of option {bad} of the CSM"
            return Reaction(end=f"the peer aborted the connection{option}{said and f': {said}'}")
        # What else there may be is not known, and does no harm.
        return _NOTHING

    def _take_csm(self, message: Message) -> Reaction:
        """Apply settings; those that are not there stay as they are.

        RFC 8323 section 5.3.
        """
        size = _uint(message, _MAX_MESSAGE_SIZE, 4)
        if size is not None:
            if size < _LEAST_MESSAGE_SIZE:
                return _abort(f"messages of {size} bytes are too small", _MAX_MESSAGE_SIZE)
            self.peer_message_size = size
        if _BLOCK_WISE_TRANSFER in message.opt:
            self.peer_does_blocks = True
        self.is_open = True
        return _NOTHING

    def _take_ping(self, message: Message) -> Reaction:
        """Answer a Ping, in due time.

        RFC 8323 sections 5.4 and 5.4.1.
        """
        pong = _signal(PONG, message.token)
        if _CUSTODY in message.opt:
            if not self.in_work:
                _add(pong, _CUSTODY)
            elif len(self._custodies) < MAX_CUSTODIES:
                _add(pong, _CUSTODY)
                self._custodies.append((pong, self.in_work.copy()))
                return _NOTHING
        return Reaction(pong)

    def _take_release(self, message: Message) -> None:
        """Note what the peer says; the second time, nothing.

        RFC 8323 section 5.5.
        """
        if self.release is None:
            alternatives = [
                text
                for number, raw in message.opt.raw_items()
                if number == _ALTERNATIVE_ADDRESS and (text := _authority(raw))
            ]
            hold_off = _uint(message, _HOLD_OFF, 3) or 0
            self.release = Release(tuple(alternatives), hold_off, _diagnostic(message))

    def __repr__(self) -> str:
        state = "open" if self.is_open else "waiting for a CSM"
        if self.release is not None:
            state = "released"
        return f"<{type(self).__name__} {state}, {len(self.in_work)} request(s) in work>"


def abort_message(diagnostic: str, bad_csm_option: int | None = None) -> Message:
    """Return the Abort that is the last message on a connection.

    Args:
        diagnostic: What is wrong, for people.
        bad_csm_option: Number of the option of a CSM that is wrong.

    RFC 8323 section 5.6.
    """
    message = _signal(ABORT)
    if bad_csm_option is not None:
        _add_uint(message, _BAD_CSM_OPTION, bad_csm_option)
    message.payload = diagnostic.encode()
    return message


def _abort(diagnostic: str, bad_csm_option: int | None = None) -> Reaction:
    return Reaction(abort_message(diagnostic, bad_csm_option), end=diagnostic)


def _signal(code: Code, token: bytes = b"") -> Message:
    return Message(code=code, token=token)


def _add(message: Message, number: int, value: bytes = b"") -> None:
    message.opt.add_option(OpaqueOption(number, value))


def _add_uint(message: Message, number: int, value: int) -> None:
    _add(message, number, value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _uint(message: Message, number: int, longest: int) -> int | None:
    """Return the value of an option, or None where it is absent or can not be one.

    Elective options of a wrong length, and all occurrences but the first, are ignored (RFC 7252
    sections 5.4.3 and 5.4.5).
    """
    for found, raw in message.opt.raw_items():
        if found == number:
            return int.from_bytes(raw, "big") if len(raw) <= longest else None
    return None


def _authority(raw: bytes) -> str:
    """Return an alternative address, or nothing where it can not be one."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return text if 0 < len(text) <= 255 and text.isprintable() and not set(text) & _UNSAFE else ""


# What ends an authority or divides it (RFC 3986 section 3.2): nobody connects as a user.
_UNSAFE = frozenset(" /?#@\\")


def _diagnostic(message: Message) -> str:
    """Return the peer's words such that they can not do harm in a log."""
    text = message.payload[:_MAX_DIAGNOSTIC].decode("utf-8", "replace")
    return "".join([char if char.isprintable() else "\ufffd" for char in text])

"""What a connection is, whether over TCP, TLS or WebSockets.

Here lives :class:`RFC8323Remote`, one connection, which is its own peer's address at the same
time.

The room knows frames neither of TCP nor of WebSockets, and no requests: messages go on to a
token manager.  What signaling messages mean is decided in :mod:`aiocoap.sansio.signaling`, and all
connections of a transport are in a :class:`~aiocoap.transports.connectionpool.ConnectionPool`.

RFC 8323 (what is the same for all its transports).

A peer has at most ``MAX_IN_WORK`` of its requests worked on: what it sends meanwhile is not read.
Nor is anything read from a peer that does not read what it is sent; what it observes is kept for it
in the latest state only.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .._faults import AnonymousHost, NetworkError, RemoteServerShutdown
from ..address import EndpointAddress
from ..numbers.codes import Code
from ..sansio.patience import Patience, Verdict
from ..sansio.signaling import Reaction, Signaling, abort_message

if TYPE_CHECKING:
    from ..message import Message
    from .connectionpool import AnyOrigin, ConnectionPool

__all__ = ["RFC8323Remote"]

MAX_IN_WORK = 256
"""Number of requests of one peer that are worked on before no more are read."""

_EMPTY = Code.EMPTY


class RFC8323Remote(EndpointAddress):
    """One connection, and who is at its other end.

    Two of them are equal only if they are the same connection, as tokens belong to one (RFC 8323
    section 3.3).

    Attributes:
        deadline: When the pool looks at the connection the next time.
        origin: What the connection was opened for; None where the peer opened it.
        end: Why the connection is not used any more, or None as long as it is.
    """

    __slots__ = (
        "__weakref__",
        "_is_busy",
        "_is_deaf",
        "_is_leaving",
        "_is_stalled",
        "_local_hostinfo",
        "_opened",
        "_pings",
        "_pool",
        "_remote_hostinfo",
        "_waiting",
        "deadline",
        "end",
        "maximum_block_size_exp",
        "maximum_payload_size",
        "may_send_bert",
        "origin",
        "patience",
        "signaling",
    )

    is_multicast = False
    is_multicast_locally = False
    is_global = False

    _pool: ConnectionPool[Any]
    _local_hostinfo: str
    _remote_hostinfo: str

    def _begin(self, pool: ConnectionPool[Any], origin: AnyOrigin | None) -> None:
        """Set up what all connections have; the names of both ends are set when they are known."""
        self._pool = pool
        # Of the kind that the pool has.
        self.origin: Any = origin
        self.signaling = Signaling(pool.tuning.MAX_MESSAGE_SIZE)
        self.may_send_bert = self.signaling.offers_bert
        self.patience = Patience(pool.tuning, pool.loop.time())
        self._note_settings()
        self.deadline: float | None = None
        self.end: NetworkError | None = None
        # Who waits for the peer's CSM.
        self._opened: asyncio.Future[None] | None = None
        # Who waits for Pongs, in the order of their coming.
        self._pings: list[list[Callable[[], None]]] | None = None
        # Frames that wait until the peer reads again.
        self._waiting: dict[int, bytes] | None = None
        # Whether the peer does not read, and whether too many of its requests are in work.
        self._is_stalled = self._is_busy = False
        # Whether nothing comes any more, but answers to be sent; and whether the connection is to
        # be closed from here when nothing is left to be done.
        self._is_deaf = self._is_leaving = False

    # The transport's part

    @abstractmethod
    def _encode(self, message: Message) -> bytes:
        """Return the bytes that a message goes on the wire as."""

    @abstractmethod
    def _send_bytes(self, data: bytes) -> None:
        """Send what :meth:`_encode` has returned, at the latest when the loop comes round."""

    @abstractmethod
    def flush(self) -> None:
        """Send what :meth:`_send_bytes` has put together."""

    @abstractmethod
    def _read_on(self, is_wanted: bool) -> None:
        """Read from the connection, or leave what comes in the system's buffers."""

    @abstractmethod
    def _close(self, is_orderly: bool) -> None:
        """Close the connection, after what has been sent, or without waiting for that."""

    # Names

    @property
    def scheme(self) -> str:
        """URI scheme of the connection; it is the same at both ends."""
        return self._pool.scheme

    @property
    def hostinfo(self) -> str:
        """Authority of the peer.

        That of an end which opened the connection works for no new one; see :attr:`uri_base`.
        """
        return self._remote_hostinfo

    @property
    def hostinfo_local(self) -> str:
        """Authority of the own end; see :attr:`uri_base_local`."""
        return self._local_hostinfo

    @property
    def uri_base(self) -> str:
        """Scheme and authority of the peer.

        Raises:
            AnonymousHost: The peer opened the connection, and can not be connected to.
        """
        if self.origin is None:
            raise AnonymousHost("the other end of the connection can not be connected to")
        return f"{self.scheme}://{self._remote_hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """Scheme and authority of the own end.

        Raises:
            AnonymousHost: The connection was opened from this end, which can not be connected to.
        """
        if self.origin is not None:
            raise AnonymousHost("the own end of the connection can not be connected to")
        return f"{self.scheme}://{self._local_hostinfo}"

    def __repr__(self) -> str:
        state = "closed" if self.end is not None else repr(self.signaling)
        return f"<{type(self).__name__} {self.scheme} to {self._remote_hostinfo}, {state}>"

    def _note_settings(self) -> None:
        """Take over what the peer can take, from its CSM."""
        self.maximum_block_size_exp = self.signaling.block_size_exponent
        self.maximum_payload_size = self.signaling.payload_size

    # Messages that come

    @property
    def room_for_work(self) -> int:
        """Number of requests of the peer that can be taken in."""
        return max(0, MAX_IN_WORK - len(self.signaling.in_work))

    @property
    def reads(self) -> bool:
        """Whether anything is read from the peer at present."""
        return not (self._is_stalled or self._is_busy)

    def _take(self, message: Message) -> None:
        """Take in a message."""
        signaling = self.signaling
        if signaling.is_open:
            code = message.code
            if 0 < code < 32:
                signaling.begin(message.token)
                self._pool.tman.process_request(message)
                if len(signaling.in_work) >= MAX_IN_WORK and not self._is_busy:
                    self._is_busy = True
                    self._read_on(False)
                return
            if 64 <= code < 192:
                self._pool.tman.process_response(message)
                return
        before = signaling.release
        self._react(signaling.take(message))
        self._note_settings()
        if signaling.release is not before:
            assert signaling.release is not None  # it is never taken back
            self._pool.note_release(self, signaling.release)
        if self._opened is not None and signaling.is_open and not self._opened.done():
            self._opened.set_result(None)

    def _react(self, reaction: Reaction) -> None:
        """Do what a signaling message asks for."""
        if reaction.end is not None:
            self._fail(reaction.end, reaction.reply)
        elif reaction.reply is not None:
            self._write(self._encode(reaction.reply))
        elif reaction.is_pong and self._pings:
            for pong in self._pings.pop(0):
                pong()

    # Messages that go

    def send(self, message: Message) -> Callable[[], None] | None:
        """Send a request or response.

        Args:
            message: What the peer is to get; an Empty one stands for a response that is not sent.

        Returns:
            A function that takes the message back, or None where it has gone.

        Raises:
            TypeError: The message has no code.
            ValueError: It can not be encoded, or is larger than what the peer takes.
        """
        code = message.code
        taken_back = None
        if code != _EMPTY and self.end is None:
            frame = self._encode(message)
            if len(frame) > self.signaling.peer_message_size and not _is_small(message):
                raise ValueError(
                    f"{len(frame)} bytes are more than the {self.signaling.peer_message_size} "
                    f"that {self._remote_hostinfo} takes"
                )
            taken_back = self._write(frame)
        if 0 < code < 32:
            if self.end is not None:
                # Not from within this call, as the caller is not ready for it.
                self._pool.loop.call_soon(self._pool.report, self.end, self)
            return None
        due = self.signaling.finish(message.token)
        if due is not None:
            for pong in due:
                self._write(self._encode(pong))
        if self._is_busy and len(self.signaling.in_work) <= MAX_IN_WORK // 2:
            self._is_busy = False
            self._read_again()
        if self._is_leaving or self.signaling.release is not None:
            # Not from within this call, as the caller is not ready for it.
            self._pool.loop.call_soon(self.close_if_done)
        return taken_back

    def ping(self, pong: Callable[[], None] | None) -> Callable[[], None] | None:
        """Send a Ping.

        Args:
            pong: Called when it is answered, if anybody wants to know.

        Returns:
            A function that has nobody called.
        """
        if self.end is not None:
            self._pool.loop.call_soon(self._pool.report, self.end, self)
            return None
        self._write(self._encode(self.signaling.ping()))
        if self._pings is None:
            self._pings = []
        # One that is not waited for any more still gets its answer.
        waiting = [] if pong is None else [pong]
        self._pings.append(waiting)
        return waiting.clear

    def greet(self) -> None:
        """Send the message that has to be the first."""
        self._send_bytes(self._encode(self.signaling.greeting()))

    def _write(self, frame: bytes) -> Callable[[], None] | None:
        """Send bytes, or keep them until the peer reads."""
        if self.end is not None:
            return None
        if not self._is_stalled:
            self._send_bytes(frame)
            return None
        if not self._pool.account(len(frame)):
            self._pool.account(-len(frame))
            # Not from within this call, as the caller is not ready for it.
            reason = "there is too much that the peer does not read"
            self._pool.loop.call_soon(self._fail, reason, None)
            return None
        if self._waiting is None:
            self._waiting = {}
        self._pool.count += 1
        key = self._pool.count
        self._waiting[key] = frame
        return partial(self._take_back, key)

    def _take_back(self, key: int) -> None:
        """Do not send what waits, if it still does."""
        frame = None if self._waiting is None else self._waiting.pop(key, None)
        if frame is not None:
            self._pool.account(-len(frame))

    def _stall(self) -> None:
        """The peer does not read what it is sent."""
        self._is_stalled = True
        self.patience.stalled(self._pool.loop.time())
        self._read_on(False)

    def _flow(self) -> None:
        """The peer reads again."""
        self._is_stalled = False
        self.patience.stalled(None)
        while self._waiting and not self._is_stalled:
            frame = self._waiting.pop(next(iter(self._waiting)))
            self._pool.account(-len(frame))
            self._send_bytes(frame)
        self._read_again()
        # What was left to be done may have been that.
        self.close_if_done()

    def _read_again(self) -> None:
        """Read from the connection again, if nothing is in the way any more."""
        if self.reads:
            self.patience.not_reading(self._pool.loop.time())
            self._read_on(True)

    # The end

    @property
    def is_over(self) -> bool:
        """Whether the connection is not used any more."""
        return self.end is not None

    async def opened(self) -> None:
        """Wait for the peer's CSM.

        Raises:
            NetworkError: The connection is lost before.
        """
        if self.end is not None:
            raise self.end
        if not self.signaling.is_open:
            self._opened = self._pool.loop.create_future()
            try:
                await self._opened
            finally:
                self._opened = None

    def release(self) -> None:
        """Tell the peer that the connection may go, and leave it when nothing is left to be done.

        RFC 8323 section 5.5: the peer is to close it.  But who opened the connection, and has all
        that is wanted, does not wait for that.
        """
        if self.end is None and not self._is_leaving:
            self._write(self._encode(self.signaling.farewell()))
            self._is_leaving = True
            self.close_if_done()

    def _hear_no_more(self) -> bool:
        """Take note that the peer sends nothing any more.

        Returns:
            Whether the connection is still needed, for answers to what it has sent before.
        """
        self._is_deaf = self._is_leaving = True
        return self.end is None and self._has_work

    @property
    def _has_work(self) -> bool:
        """Whether the peer has not been sent all answers that it is to get."""
        return bool(self.signaling.in_work or self._waiting)

    def close_if_done(self) -> None:
        """Close the connection if one of the ends wants that, and nothing is left to be done."""
        signaling = self.signaling
        if self.end is not None or self._has_work:
            return
        if self._is_deaf:
            self.lose("the peer has closed the connection")
            self._close(True)
        elif self._is_leaving and (self.origin is not None or not signaling.is_open):
            self.lose("the own end has released the connection")
            self._close(True)
        elif signaling.release is not None and not self._pool.tman.awaits_response(self):
            said = signaling.release.diagnostic
            self.lose(f"the peer has released the connection{said and f': {said}'}")
            self._close(True)

    def abort(self, errormessage: str | None = None, bad_csm_option: int | None = None) -> None:
        """Close the connection because something is wrong, and tell the peer what.

        Args:
            errormessage: What is wrong, for people.
            bad_csm_option: Number of the option of the peer's CSM that is wrong.

        RFC 8323 section 5.6.
        """
        reason = errormessage or "the connection can not go on"
        self._fail(reason, abort_message(reason, bad_csm_option))

    def _fail(self, reason: str, last_words: Message | None) -> None:
        """Close the connection because something is wrong.

        Args:
            reason: What is wrong.
            last_words: What is to be sent before.
        """
        if self.end is not None:
            return
        self._pool.log_end(self, reason)
        is_orderly = last_words is not None and not self._is_stalled
        if last_words is not None and is_orderly:
            self._send_bytes(self._encode(last_words))
        self.lose(reason)
        self._close(is_orderly)

    def lose(self, reason: str, end: NetworkError | None = None) -> None:
        """Take note that nothing goes over the connection any more.

        Args:
            reason: Why, for those who wait for something.
            end: What they get to see, if it is to be a particular error.
        """
        if self.end is not None:
            return
        self.end = end or RemoteServerShutdown(f"{self._remote_hostinfo}: {reason}")
        if self._waiting is not None:
            self._pool.account(-sum(map(len, self._waiting.values())))
        self._waiting = self._pings = None
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(self.end)
        self._pool.forget(self)
        self._pool.report(self.end, self)

    def judge(self, now: float) -> None:
        """Do what is due, and set ``patience.deadline``."""
        if self.end is not None:
            # The peer does not read the last words.
            self._close(False)
            return
        if not self.reads:
            self.patience.not_reading(now)
        tman = self._pool.tman
        is_used = bool(self.signaling.in_work) or tman.is_interested_in(self)
        verdict = self.patience.judge(now, self.signaling.is_open, self.origin is not None, is_used)
        if verdict is Verdict.PING:
            self.ping(None)
        elif verdict is Verdict.IDLE:
            self.release()
        elif verdict is Verdict.GONE:
            self.abort(self.patience.reason)


def _is_small(message: Message) -> bool:
    """Whether a message is what has to be sent in any case, as an answer to a request."""
    return not message.payload and message.opt.is_empty

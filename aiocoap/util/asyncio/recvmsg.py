"""A datagram transport that shows what ``recvmsg`` and ``sendmsg`` have to offer.

Here lives a transport like those of asyncio that hands ancillary data through in both
directions and reads the error queue of Linux.  It owns the socket and needs nothing but
``add_reader`` and ``add_writer`` of the loop.

The room knows bytes, socket addresses and event loops; nothing about CoAP.

RFC 3542 section 20 (recvmsg and sendmsg); no CoAP is in here.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..socknumbers import HAS_RECVERR, MSG_ERRQUEUE

__all__ = [
    "RecvmsgDatagramProtocol",
    "RecvmsgSelectorDatagramTransport",
    "create_recvmsg_datagram_endpoint",
]

Ancillary = Iterable[tuple[int, int, bytes]]
_Received = tuple[bytes, list[tuple[int, int, bytes]], int, Any]

_P = TypeVar("_P", bound="RecvmsgDatagramProtocol")

_ANCILLARY_SIZE = 64
# An in6_pktinfo with its header takes 40 bytes; nothing else is asked for.
_ERROR_ANCILLARY_SIZE = 512
_BATCH = 16
# Datagrams read in one go. More would not save much, and let other callbacks wait.
_BATCHES = [range(size) for size in range(_BATCH + 1)]
_MANY = 8
# Number of datagrams in one go from which on it pays to send the answers in one go.
_FEW = 4
# Number of datagrams that are sent at once, before others are read: peers had better work on the
# first answer while the next is made.  Those after them go together, as notifications to many do.
_ERROR_BATCH = range(64)
_MAX_BUFFERED = 256
# Datagrams that wait for the socket to take them; beyond, they are lost as they may be in any
# router.


class RecvmsgDatagramProtocol(asyncio.BaseProtocol):
    """What a :class:`RecvmsgSelectorDatagramTransport` calls."""

    def datagram_msg_received(
        self, data: bytes, ancdata: list[tuple[int, int, bytes]], flags: int, address: Any
    ) -> None:
        """Take in a datagram.

        Args:
            data: The datagram, or its beginning (then ``flags`` has MSG_TRUNC).
            ancdata: Items of level, type and data, as of :meth:`socket.socket.recvmsg`.
            flags: MSG_* of the datagram.
            address: Socket address of the sender.
        """

    def datagram_errqueue_received(
        self, data: bytes, ancdata: list[tuple[int, int, bytes]], flags: int, address: Any
    ) -> None:
        """Take in an item of the error queue.

        Args:
            data: The datagram that the error is about, as far as it was quoted.
            ancdata: Items of level, type and data; one of them tells the error.
            flags: MSG_* of the item.
            address: Where the datagram was sent.
        """

    def error_received(self, exc: OSError) -> None:
        """Take note of an error that can not be told to belong to a peer."""

    def send_failed(self, exc: OSError, data: bytes, address: Any) -> None:
        """Take note that the system refused to send a datagram.

        Args:
            exc: Why.
            data: The datagram.
            address: Where it was to go.
        """
        self.error_received(exc)


_DEAF = RecvmsgDatagramProtocol()


class _DirectWatch:
    """Watches a socket by a loop that is known to wake up for errors as well."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        readable: Callable[[], None],
        writable: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = sock.fileno()
        self._writable = writable
        loop.add_reader(self._fd, readable)

    def want_write(self, wanted: bool) -> None:
        if wanted:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)


class _EpollWatch:
    """Watches a socket by an epoll object of its own, which in turn the loop watches.

    libuv, and so uvloop, stops watching a descriptor once it is reported to be in error.  An
    epoll object that has something to tell is merely readable.  It costs about 0.1 µs per
    datagram under load.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        readable: Callable[[], None],
        writable: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = sock.fileno()
        self._readable = readable
        self._writable = writable
        self._writing = False
        self._epoll = select.epoll()
        self._epoll.register(self._fd, select.EPOLLIN)
        loop.add_reader(self._epoll.fileno(), self._wake)

    def _wake(self) -> None:
        if self._writing:
            self._writable()
        if not self._epoll.closed:
            self._readable()

    def want_write(self, wanted: bool) -> None:
        self._writing = wanted
        self._epoll.modify(self._fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


def _sendmsg_nowhere(buffers: Any, ancdata: Any, flags: int, address: Any) -> int:
    """Stand in for the ``sendmsg`` of a socket that is closed."""
    return 0


class RecvmsgSelectorDatagramTransport(asyncio.BaseTransport):
    """Sends and receives on a datagram socket, ancillary data included.

    There is no flow control: who sends CoAP limits itself.  What the socket does not take at
    once waits in a small buffer, and is dropped where that is full.

    Args:
        loop: The running event loop.
        sock: A non-blocking datagram socket; the transport closes it.
        protocol: Is called with what comes in.
        waiter: Is done once the protocol knows of the transport.
    """

    max_size = 4096
    """Size in bytes of the largest datagram that is received whole."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: RecvmsgDatagramProtocol,
        waiter: asyncio.Future[None] | None,
    ) -> None:
        super().__init__({"socket": sock, "sockname": sock.getsockname()})
        self._loop = loop
        self._sock = sock
        self._protocol: RecvmsgDatagramProtocol | None = protocol
        self._sendmsg: Callable[[Any, Any, int, Any], int] = sock.sendmsg
        self._buffer: deque[tuple[bytes, Ancillary, int, Any]] = deque()
        # How many datagrams are read in one go: about as many as last time.
        self._expected = _BATCH
        # How many datagrams are sent at once, and what is kept back beyond those.
        self._allowance = _FEW
        self._corked: list[tuple[bytes, Ancillary, int, Any]] | None = None
        self._closing = False
        self._watch: _DirectWatch | _EpollWatch | None = None
        loop.call_soon(self._start, waiter)

    def _start(self, waiter: asyncio.Future[None] | None) -> None:
        if self._protocol is not None and not self._closing:
            self._protocol.connection_made(self)
            direct = isinstance(self._loop, asyncio.SelectorEventLoop)
            watch = _DirectWatch if direct or not hasattr(select, "epoll") else _EpollWatch
            self._watch = watch(self._loop, self._sock, self._read_ready, self._write_ready)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Receiving

    def _read_ready(self) -> None:
        recvmsg, max_size, expected = self._sock.recvmsg, self.max_size, self._expected
        batch: list[_Received] = []
        try:
            for _ in _BATCHES[expected]:
                batch.append(recvmsg(max_size, _ANCILLARY_SIZE))
        except BlockingIOError:
            if not batch:
                # Woken up for nothing to read: it is the error queue, which would wake us up
                # until it is empty.
                self._read_errors()
                return
            # To be told that there is no more costs half of what reading one does.
            self._expected = len(batch)
        except OSError as exc:
            self._hand_up(batch)
            # The error of some datagram sent before; the queue says which one.
            if not self._read_errors():
                self._listener().error_received(exc)
            return
        else:
            self._expected = min(2 * expected, _BATCH)
        self._hand_up(batch)

    def _listener(self) -> RecvmsgDatagramProtocol:
        """Return who is told of what comes in.

        What comes in while the last datagrams go out is read, so that it does not wake us up
        again, and is not told to anybody.
        """
        return _DEAF if self._protocol is None or self._closing else self._protocol

    def _hand_up(self, batch: list[_Received]) -> None:
        """Hand up the datagrams that came in together.

        Answers to many of them are kept back until all that was called for by then has run, so
        that they go out together: on the way the kernel wakes up a receiver once, not once for
        each.  Under load that halves what sending costs.
        """
        begins = len(batch) >= _MANY and self._corked is None
        if begins:
            self._corked = []
        self._allowance = _FEW
        received = self._listener().datagram_msg_received
        try:
            for data, ancdata, flags, address in batch:
                received(data, ancdata, flags, address)
                if self._closing:
                    break
        finally:
            if begins:
                self._loop.call_soon(self._uncork)

    def _read_errors(self) -> bool:
        """Empty the error queue; return whether anything was in it."""
        if not HAS_RECVERR:
            return False
        protocol = self._listener()
        for done in _ERROR_BATCH:
            try:
                item = self._sock.recvmsg(self.max_size, _ERROR_ANCILLARY_SIZE, MSG_ERRQUEUE)
            except OSError:
                return done > 0
            protocol.datagram_errqueue_received(*item)
        return True

    # Sending

    def sendmsg(self, data: bytes, ancdata: Ancillary, flags: int, address: Any) -> None:
        """Send a datagram.

        Nothing is raised and nothing called back; where the system refuses, the protocol's
        ``send_failed`` is called later.

        Args:
            data: The datagram.
            ancdata: Items of level, type and data.
            flags: MSG_* to send it with.
            address: Socket address to send it to.
        """
        if self._corked is not None:
            self._corked.append((data, ancdata, flags, address))
            return
        if not self._allowance:
            self._corked = [(data, ancdata, flags, address)]
            self._loop.call_soon(self._uncork)
            return
        self._allowance -= 1
        try:
            self._sendmsg((data,), ancdata, flags, address)
        except OSError as exc:
            self._not_sent(exc, (data, ancdata, flags, address))

    def _uncork(self) -> None:
        """Send what was kept back."""
        corked, self._corked = self._corked, None
        self._allowance = _FEW
        sendmsg = self._sendmsg
        for item in corked or ():
            data, ancdata, flags, address = item
            try:
                sendmsg((data,), ancdata, flags, address)
            except OSError as exc:
                self._not_sent(exc, item)

    def _not_sent(self, exc: OSError, item: tuple[bytes, Ancillary, int, Any]) -> None:
        """See what can be done about a datagram that the system did not take."""
        if not isinstance(exc, BlockingIOError) and exc.errno != errno.ENOBUFS:
            # An error that is reported here may well be that of another datagram, sent before
            # and to somebody else; it is reported only once.
            self._loop.call_soon(self._read_errors)
            try:
                self._sendmsg(item[:1], *item[1:])
                return
            except OSError as again:
                exc = again
        if isinstance(exc, BlockingIOError):
            self._enqueue(item)
        elif exc.errno != errno.ENOBUFS:
            # With an error queue, Linux says ENOBUFS where a device's queue is full, which is
            # a lost datagram like any other.
            self._loop.call_soon(self._send_failed, exc, item[0], item[3])

    def _send_failed(self, exc: OSError, data: bytes, address: Any) -> None:
        if self._protocol is not None:
            self._protocol.send_failed(exc, data, address)

    def _enqueue(self, item: tuple[bytes, Ancillary, int, Any]) -> None:
        if self._watch is None or len(self._buffer) >= _MAX_BUFFERED:
            return
        if not self._buffer:
            self._watch.want_write(True)
        self._buffer.append(item)

    def _write_ready(self) -> None:
        buffer, sock = self._buffer, self._sock
        while buffer:
            data, ancdata, flags, address = item = buffer[0]
            try:
                sock.sendmsg((data,), ancdata, flags, address)
            except BlockingIOError:
                return
            except OSError as exc:
                self._not_sent(exc, item)
            buffer.popleft()
        if self._closing:
            self.abort()
        elif self._watch is not None:
            self._watch.want_write(False)

    # Ending

    def is_closing(self) -> bool:
        """Whether the transport is closed or being closed."""
        return self._closing

    def close(self) -> None:
        """Close once what waits to be sent is sent; nothing is received any more.

        The protocol's ``connection_lost(None)`` is called in the end.
        """
        if self._closing:
            return
        self._uncork()
        self._closing = True
        self._sendmsg = _sendmsg_nowhere
        if not self._buffer:
            self._end()

    def abort(self) -> None:
        """Close at once."""
        self._corked = None
        self._closing = True
        self._sendmsg = _sendmsg_nowhere
        self._end()

    def _end(self) -> None:
        self._buffer.clear()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._protocol is not None:
            protocol, self._protocol = self._protocol, None
            self._sock.close()
            self._loop.call_soon(protocol.connection_lost, None)

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open"
        return f"<{type(self).__name__} {state} {self.get_extra_info('sockname')}>"


async def create_recvmsg_datagram_endpoint(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], _P], sock: socket.socket
) -> tuple[RecvmsgSelectorDatagramTransport, _P]:
    """Put a transport around a socket.

    Args:
        loop: The running event loop; it needs ``add_reader``.
        factory: Makes the protocol.
        sock: A non-blocking datagram socket, which the transport takes over.

    Returns:
        The transport, and the protocol.
    """
    protocol = factory()
    waiter = loop.create_future()
    transport = RecvmsgSelectorDatagramTransport(loop, sock, protocol, waiter)
    try:
        await waiter
    except BaseException:
        transport.abort()
        raise
    return transport, protocol

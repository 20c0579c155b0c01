"""What connections have in common, whether they are of TCP, TLS or WebSockets.

Here live :class:`RFC8323Remote`, one connection (which is its own peer's address at the same
time), and :class:`ConnectionPool`, all connections of one transport.

The room knows frames neither of TCP nor of WebSockets, and no requests: messages go on to a
token manager.  What signaling messages mean is decided in :mod:`aiocoap.sansio.signaling`.

RFC 8323 (what is the same for all its transports).

Bounds
------

A pool has at most ``MAX_CONNECTIONS`` connections, fewer where the system allows for fewer open
files; at the bound the connections that were silent for the longest time, and that nobody uses,
make room.  All together keep at most ``MAX_KEPT`` bytes of what has not come or gone whole, and
one peer has at most ``MAX_IN_WORK`` of its requests worked on: what it sends meanwhile is
not read.  Nor is anything read from a peer that does not read what it is sent; what it observes is
kept for it in the latest state only.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from .._faults import AnonymousHost, NetworkError, RemoteServerShutdown, TimeoutError
from ..address import EndpointAddress
from ..interfaces import TokenInterface
from ..numbers.codes import Code
from ..sansio.deadlines import Deadlines
from ..sansio.signaling import Patience, Reaction, Release, Signaling, Verdict, abort_message
from ..util import hostportjoin
from ..util.logration import LogRation
from .resolution import split_destination

if TYPE_CHECKING:
    from logging import Logger

    from ..interfaces import TokenManager
    from ..message import Message
    from ..numbers.constants import TransportTuning

__all__ = ["AnyOrigin", "ConnectionPool", "Origin", "RFC8323Remote", "canonical_host"]

MAX_CONNECTIONS = 16_384
"""Number of connections that a transport has at the same time."""

MAX_KEPT = 64 * 1024 * 1024
"""Number of bytes that a transport keeps: of messages that are not complete, and of messages that
peers do not read."""

MAX_IN_WORK = 256
"""Number of requests of one peer that are worked on before no more are read."""

MAX_RELEASED = 1024
"""Number of servers whose wishes on how to connect again are remembered."""

MAX_LOGGED = 20
"""Number of connections that the log tells the end of in a minute at most."""

_SPARE_FILES = 128
# What is left of the system's open files for everything but connections.

_EMPTY = Code.EMPTY


class Origin(NamedTuple):
    """What connections of a transport are opened for, and told apart by."""

    host: str
    """Address or name, lower case, perhaps with a zone."""
    port: int
    """1 to 65535."""


class AnyOrigin(Protocol):
    """What is the same for an :class:`Origin` and what a transport of several schemes has."""

    @property
    def host(self) -> str:
        """Address or name, lower case, perhaps with a zone."""

    @property
    def port(self) -> int:
        """1 to 65535."""


OriginT = TypeVar("OriginT", bound=AnyOrigin)


def canonical_host(host: str) -> str:
    """Return a host as connections to it are told apart from others.

    >>> canonical_host("CoAP.example"), canonical_host("FE80::1%Eth0")
    ('coap.example', 'fe80::1%Eth0')
    """
    # The name of a zone is the system's.
    name, percent, zone = host.partition("%")
    return name.lower() + percent + zone


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
        # Whether it has been released from here.
        self._is_leaving = False

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
        self._react(signaling.take(message))
        self._note_settings()
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

    def _after_reading(self) -> None:
        """See whether the connection may go, after some messages were taken in."""
        release = self.signaling.release
        if release is not None and self.end is None:
            if self.origin is not None:
                self._pool.note_release(self, release)
            self.close_if_done()

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

    def close_if_done(self) -> None:
        """Close the connection if one of the ends wants that, and nothing is left to be done."""
        signaling = self.signaling
        if self.end is not None or signaling.in_work:
            return
        if self._is_leaving and (self.origin is not None or not signaling.is_open):
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


class ConnectionPool(TokenInterface, Generic[OriginT]):
    """The connections of one transport: those that were opened from here, and those accepted.

    Args:
        tman: Is told of messages and errors.
        log: Logger.
        loop: The running event loop.

    Attributes:
        tman: As given.
        log: As given.
        loop: As given.
        tuning: The transmission parameters.
        connections: All connections, the one that was opened first in front.
        count: Serial number of what waited last.
    """

    scheme: ClassVar[str]
    """URI scheme of the connections."""

    default_port: ClassVar[int]
    """Port that URIs of the scheme without one stand for."""

    def __init__(self, tman: TokenManager, log: Logger, loop: asyncio.AbstractEventLoop) -> None:
        self.tman = tman
        self.log = log
        self.loop = loop
        self.tuning: TransportTuning = tman.transport_tuning
        self.connections: dict[RFC8323Remote, None] = {}
        self.count = 0
        self._by_origin: dict[OriginT, RFC8323Remote] = {}
        self._connecting: dict[OriginT, asyncio.Task[RFC8323Remote]] = {}
        # What servers want when they are connected to again: where, and from when on.
        self._wishes: dict[OriginT, tuple[tuple[str, ...], float]] = {}
        self._looks: Deadlines[Any] = Deadlines()
        self._timer: asyncio.TimerHandle | None = None
        self._wake = float("inf")
        self._kept = 0
        # Who has something to be sent.
        self._unsent: list[RFC8323Remote] = []
        self._ends = LogRation(
            MAX_LOGGED, "More connections end like that; no more are logged in this minute"
        )
        self._is_shut_down = False
        # Who waits for the last connection to go.
        self._emptied: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.scheme}, {len(self.connections)} connection(s)>"

    # The transport's part

    @abstractmethod
    def _origin_of(self, destination: EndpointAddress) -> OriginT | None:
        """Return what a connection to a destination is opened for.

        Args:
            destination: Where a request goes, if not to the other end of a connection.

        Returns:
            None where that is not for this transport.

        Raises:
            ResolutionError: The destination is none.
        """

    @abstractmethod
    async def _open(self, origin: OriginT, address: Origin) -> RFC8323Remote:
        """Open a connection.

        Args:
            origin: What it is opened for.
            address: Where to connect to; it is another one only if the server wants that.

        Raises:
            NetworkError: It can not be opened.
        """

    # Where requests go

    @property
    def schemes(self) -> frozenset[str]:
        """URI schemes that requests by the connections have."""
        return frozenset((self.scheme,))

    def owns(self, remote: EndpointAddress) -> bool:
        """Whether an address is a connection of this pool that still goes."""
        return isinstance(remote, RFC8323Remote) and remote._pool is self and remote.end is None

    def _origin(self, message: Message) -> OriginT | None:
        """Return where a request is to be connected to, or None where that is not for here.

        Raises:
            ResolutionError: The destination is none.
            RemoteServerShutdown: It goes to the other end of a connection that is closed.
        """
        remote = message.remote
        if message.is_resolved:
            if not isinstance(remote, RFC8323Remote) or remote._pool is not self:
                return None
            if remote.origin is None and remote.end is not None:
                raise remote.end
            origin: OriginT | None = remote.origin
            return origin
        return self._origin_of(message.destination())

    async def resolve(self, message: Message) -> EndpointAddress | None:
        """Return the connection that a request goes by, or None where that is not for here.

        Raises:
            ResolutionError: The name can not be resolved.
            NetworkError: There is no connection and none can be made.
        """
        origin = self._origin(message)
        if origin is None or not self._can_open():
            return None
        present = self._by_origin.get(origin)
        if present is not None:
            return present
        task = self._connecting.get(origin)
        if task is None:
            task = self.loop.create_task(self._connect(origin), name=f"connection to {origin.host}")
            self._connecting[origin] = task
            task.add_done_callback(partial(self._connected, origin))
        # Others may be waiting for the same connection.
        return await asyncio.shield(task)

    def resolve_now(self, message: Message) -> EndpointAddress | None:
        """Return the connection that a request goes by, if there is one."""
        origin = self._origin(message)
        return None if origin is None else self._by_origin.get(origin)

    def _can_open(self) -> bool:
        """Whether the transport opens connections by itself."""
        return True

    async def _connect(self, origin: OriginT) -> RFC8323Remote:
        """Open a connection, and wait until the peer has said what it can do.

        Raises:
            NetworkError: There is none.
        """
        addresses, not_before = self._wishes.get(origin, ((), 0.0))
        wait = not_before - self.loop.time()
        if wait > 0 and not addresses:
            raise NetworkError(
                f"{origin.host} has asked not to be connected to for another {wait:.0f} seconds"
            )
        if wait <= 0:
            self._wishes.pop(origin, None)
            addresses = (*addresses, hostportjoin(origin.host, origin.port))
        timeout = self.tuning.CONNECT_TIMEOUT
        connection: RFC8323Remote | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = await self._open_any(origin, addresses)
                await connection.opened()
        except BaseException as problem:
            # If it has ended by itself, the last words are still to be read.
            if connection is not None and connection.end is None:
                connection.lose("it could not be set up")
                connection._close(False)
            if isinstance(problem, asyncio.TimeoutError):
                hostinfo = hostportjoin(origin.host, origin.port)
                raise TimeoutError(f"no connection to {hostinfo} within {timeout:g} s") from problem
            raise
        self._by_origin[origin] = connection
        return connection

    async def _open_any(self, origin: OriginT, addresses: tuple[str, ...]) -> RFC8323Remote:
        """Open a connection to the first address that takes it.

        RFC 8323 sections 5.5 and 10.1: whoever is there has to prove to be the origin.

        Raises:
            NetworkError: None does; it tells what happened at the last one.
        """
        for text in addresses[:-1]:
            try:
                return await self._open(origin, self._address(origin, text))
            except NetworkError as problem:
                self.log.debug("The alternative address %s does not work: %s", text, problem)
        return await self._open(origin, self._address(origin, addresses[-1]))

    def _address(self, origin: OriginT, hostinfo: str) -> Origin:
        return Origin(*split_destination(hostinfo, self._default_port(origin)))

    def _default_port(self, origin: OriginT) -> int:
        """Return the port that an authority without one stands for."""
        return self.default_port

    def _connected(self, origin: OriginT, task: asyncio.Task[RFC8323Remote]) -> None:
        """Take note that connecting is over; it is no matter if nobody waits any more."""
        del self._connecting[origin]
        if not task.cancelled():
            task.exception()

    # What connections tell

    def add(self, connection: RFC8323Remote) -> bool:
        """Take in a new connection.

        Args:
            connection: Its CSM goes out now.

        Returns:
            Whether there is room for it.
        """
        if self._is_shut_down or not self._make_room():
            return False
        self.connections[connection] = None
        deadline = connection.patience.deadline
        assert deadline is not None  # it is new
        self._looks.add(connection, deadline)
        self._arm(deadline)
        connection.greet()
        return True

    def _make_room(self) -> bool:
        """Release connections that nobody uses, if there are too many."""
        if len(self.connections) < _connection_limit():
            return True
        idle = [
            connection
            for connection in self.connections
            if not connection.signaling.in_work and not self.tman.is_interested_in(connection)
        ]
        idle.sort(key=lambda connection: connection.patience.last_received)
        # Many at once, as looking for them takes time.
        for connection in idle[: 1 + len(idle) // 16]:
            connection.release()
            connection.lose("there are too many connections")
            connection._close(True)
        return bool(idle)

    def flush_soon(self, connection: RFC8323Remote) -> None:
        """Have a connection flushed when all that is at hand has been worked on.

        One system call for many messages is what makes connections fast.
        """
        if not self._unsent:
            self.loop.call_soon(self._flush_all)
        self._unsent.append(connection)

    def _flush_all(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.flush()

    def watch_end(self, connection: RFC8323Remote) -> None:
        """Look after a connection that is closed as soon as the peer has read the last words."""
        deadline = self.loop.time() + self.tuning.RELEASE_TIMEOUT
        self._looks.discard(connection)
        self._looks.add(connection, deadline)
        self._arm(deadline)

    def forget_transport(self, connection: RFC8323Remote) -> None:
        """Take note that the event loop has forgotten a connection."""
        self._looks.discard(connection)

    def account(self, difference: int) -> bool:
        """Take note of bytes that are kept.

        Args:
            difference: By how many there are more than before.

        Returns:
            False if there are too many now.
        """
        self._kept += difference
        return difference <= 0 or self._kept <= MAX_KEPT

    def note_release(self, connection: RFC8323Remote, release: Release) -> None:
        """Take note that a server does not want to be asked by a connection any more.

        Args:
            connection: Which one.
            release: What it says.

        RFC 8323 section 5.5.
        """
        origin = connection.origin
        if origin is None or self._by_origin.get(origin) is not connection:
            return
        del self._by_origin[origin]
        if release.alternatives or release.hold_off:
            while len(self._wishes) >= MAX_RELEASED:
                del self._wishes[next(iter(self._wishes))]
            until = self.loop.time() + release.hold_off
            self._wishes[origin] = (release.alternatives, until)

    def log_end(self, connection: RFC8323Remote, reason: str) -> None:
        """Tell that a connection went wrong, unless strangers make that happen all the time."""
        self._ends.log(self.loop.time(), self.log.info, "Closing %r: %s", connection, reason)

    def report(self, problem: NetworkError, connection: RFC8323Remote) -> None:
        """Tell the token manager that nothing comes over a connection any more."""
        self.tman.dispatch_error(problem, connection)

    def forget(self, connection: RFC8323Remote) -> None:
        """Take a connection out of all tables."""
        self.connections.pop(connection, None)
        self._looks.discard(connection)
        origin = connection.origin
        if origin is not None and self._by_origin.get(origin) is connection:
            del self._by_origin[origin]
        if not self.connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    # Time

    def _arm(self, deadline: float) -> None:
        """Set the one timer, if it would come too late."""
        if deadline >= self._wake or self._is_shut_down:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake = deadline
        self._timer = self.loop.call_at(deadline, self._look)

    def _look(self) -> None:
        """Look at the connections that it is time to look at."""
        # A loop may wake its timers early, by its clock's resolution.
        now = max(self._wake, self.loop.time())
        self._timer, self._wake = None, float("inf")
        for connection in list(self._looks.pop_due(now)):
            connection.judge(now)
            deadline = connection.patience.deadline
            if connection.end is None and deadline is not None:
                self._looks.add(connection, deadline)
        deadline = self._looks.next_deadline()
        if deadline is not None:
            self._arm(deadline)

    # The contract of a token interface

    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        """Send a message.

        Args:
            message: A request or response; its type is of no interest.
            messageerror_monitor: Never called, as nobody rejects a single message here.

        Returns:
            A function that takes a response back that waits until the peer reads, or None.

        Raises:
            ValueError: The message can not be encoded, or is larger than what the peer takes.
        """
        remote = message.remote
        assert isinstance(remote, RFC8323Remote)  # or it would not be ours
        return remote.send(message)

    def ping(self, remote: EndpointAddress, pong: Callable[[], None]) -> Callable[[], None] | None:
        """Send a Ping (RFC 8323 section 5.4).

        Args:
            remote: A connection of this pool.
            pong: Called at most once, when it is answered.

        Returns:
            A function to call when the answer is not waited for any more.
        """
        assert isinstance(remote, RFC8323Remote)  # or it would not be ours
        return remote.ping(pong)

    async def release(self) -> None:
        """Release all connections, and wait a moment for the peers to close them.

        RFC 8323 section 5.5.
        """
        self._is_shut_down = True
        for task in self._connecting.values():
            task.cancel()
        await self._stop_listening()
        for connection in list(self.connections):
            connection.release()
        if self.connections:
            self._emptied = self.loop.create_future()
            await asyncio.wait([self._emptied], timeout=self.tuning.RELEASE_TIMEOUT)

    async def _stop_listening(self) -> None:
        """Accept no connections any more."""

    async def shutdown(self) -> None:
        """Close all connections for good."""
        self._is_shut_down = True
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop_listening()
        for connection in list(self.connections):
            connection.lose("the own end was shut down")
            connection._close(True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._closed()

    async def _closed(self) -> None:
        """Wait until the event loop has forgotten the connections."""


def _connection_limit() -> int:
    """Return how many connections there can be, as far as the system lets us."""
    try:
        import resource
    except ImportError:  # there is no such thing on Windows
        return MAX_CONNECTIONS
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - _SPARE_FILES))

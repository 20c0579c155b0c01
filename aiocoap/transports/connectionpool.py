"""All connections of one transport.

Here lives :class:`ConnectionPool`: which connection a request goes by, which ones are too many,
and when somebody has to look after them.

The room knows connections as what they have in common (:mod:`aiocoap.transports.rfc8323common`);
how one is opened is the transport's part.

RFC 8323 (what is the same for all its transports).

Bounds
------

A pool has at most ``MAX_CONNECTIONS`` connections, fewer where the system allows for fewer open
files; at the bound the connections that were silent for the longest time, and that nobody uses,
make room.  All together keep at most ``MAX_KEPT`` bytes of what has not come or gone whole.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from .._faults import NetworkError, TimeoutError
from ..interfaces import TokenInterface
from ..sansio.deadlines import Deadlines
from ..sansio.signaling import Release
from ..util import hostportjoin
from ..util.logration import LogRation
from .resolution import split_destination
from .rfc8323common import RFC8323Remote
from .roster import Roster

if TYPE_CHECKING:
    from logging import Logger

    from ..address import EndpointAddress
    from ..interfaces import TokenManager
    from ..message import Message
    from ..numbers.constants import TransportTuning

__all__ = ["AnyOrigin", "ConnectionPool", "Origin", "canonical_host"]

MAX_CONNECTIONS = 16_384
"""Number of connections that a transport has at the same time."""

MAX_KEPT = 64 * 1024 * 1024
"""Number of bytes that a transport keeps: of messages that are not complete, and of messages that
peers do not read."""

MAX_RELEASED = 1024
"""Number of servers whose wishes on how to connect again are remembered."""

MAX_LOGGED = 20
"""Number of connections that the log tells the end of in a minute at most."""

_SPARE_FILES = 128
# What is left of the system's open files for everything but connections.


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
        self.connections: Roster[RFC8323Remote] = Roster()
        # What the event loop knows, even if nothing goes over it any more.
        self._alive: Roster[Any] = Roster()
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

    @abstractmethod
    def _drop(self, one: Any) -> None:
        """End what the event loop knows without waiting for anything.

        Args:
            one: What the transport has added to those that are alive.
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
        if origin is None:
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
                if connection.end is not None:
                    # It went right after it had come.
                    raise connection.end
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
        self.connections.add(connection)
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
        self._alive.discard(connection)

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
        if origin is None:
            return
        if self._by_origin.get(origin) is connection:
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
        self.connections.discard(connection)
        self._looks.discard(connection)
        origin = connection.origin
        if origin is not None and self._by_origin.get(origin) is connection:
            del self._by_origin[origin]

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
        await self.connections.emptied(self.tuning.RELEASE_TIMEOUT)

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
        """Wait until the event loop has forgotten the connections, and see to it that it does."""
        await self._alive.emptied(self.tuning.RELEASE_TIMEOUT)
        for one in list(self._alive):
            self._drop(one)
        await self._alive.emptied(self.tuning.RELEASE_TIMEOUT)


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

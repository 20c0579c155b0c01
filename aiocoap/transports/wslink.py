"""What CoAP needs of the websockets library.

Here live :class:`ClientLink` and :class:`ServerLink`, the library's connections with what is
needed beyond it, and how such links come about: :func:`connect` and :func:`listen`.

The room knows HTTP and WebSockets, and no CoAP messages.  It is the only one to import the
library, which takes its time and need not be installed: it is imported itself when the first link
is wanted.

RFC 6455 (WebSockets), RFC 8323 section 4.1 (opening handshake) and section 8.5 (Host).

What the library can not be asked for, the links do for it: they tell how much they keep of a
message that is not complete, send without waiting, and pass on when the peer does not read.  What
it says of connections goes to the log at the level of traffic, as a stranger could make it say
anything.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_connection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol

from .._faults import NetworkError
from ..util import hostportsplit

if TYPE_CHECKING:
    import socket
    from ssl import SSLContext

    from websockets.http11 import Request, Response
    from websockets.protocol import Event

    from ..numbers.constants import TransportTuning

__all__ = [
    "ClientLink",
    "HandshakeError",
    "Link",
    "Owner",
    "Server",
    "ServerLink",
    "User",
    "connect",
    "listen",
]

MAX_OPENING_SIZE = 16 * 1024
"""Number of bytes that a client may send until its opening handshake is complete."""

PIECE = 16_384
"""Number of bytes of one connection that are looked at before others have their turn."""

_SUBPROTOCOL = Subprotocol("coap")
_PATH = "/.well-known/coap"

_BACKLOG = 1024
# Connections that may wait to be accepted; the system may have fewer.

_NO_LIMIT = 1 << 40
# The library reads on however many frames wait for us: when it is to stop, it is told.

_REASON_LENGTH = 200
# Characters of what went wrong that are passed on: some of it comes from the peer.

# What a Host header may consist of (RFC 3986 section 3.2, without user names).
_AUTHORITY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]{1,255}")

_DATA = frozenset((Opcode.CONT, Opcode.TEXT, Opcode.BINARY))


class HandshakeError(NetworkError):
    """What a client has connected to does not open a WebSocket for CoAP."""


class Owner(Protocol):
    """Whose links they are."""

    def link_expected(self, link: Link) -> None:
        """Take note of a link of a peer that TLS is still to be set up for."""

    def link_failed(self, link: Link) -> None:
        """Take note that nothing came of that."""

    def link_made(self, link: Link) -> None:
        """Take note of a new link, whose handshake is still to come."""

    def link_lost(self, link: Link) -> None:
        """Take note that the event loop has forgotten a link."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something until it is done."""


class User(Protocol):
    """Who is told of what happens on a link, beyond the messages."""

    def note_bytes(self) -> None:
        """Some bytes came; messages that they complete will be received soon."""

    def note_stall(self) -> None:
        """The peer does not read what it is sent."""

    def note_flow(self) -> None:
        """It reads again."""

    def note_end(self, reason: str, is_fault: bool) -> None:
        """There will be no other message, and none can be sent; the link is about to close."""

    def note_loss(self) -> None:
        """The link is closed."""


class Link(Connection):
    """What both ends' connections have beyond the library's.

    Args:
        owner: Is told of beginning and end.
        args: What the library gives its connections.
        kwargs: The same.

    Attributes:
        user: Who is told what happens, once somebody has attached itself.
        is_made: Whether there is a connection, on which TLS is set up where it is wanted.
        is_lost: Whether the event loop has forgotten the link.
        reason: Why it has come to its end, after :meth:`receive` has told that.
        is_server: Whether the peer has opened it.
    """

    is_server = False

    def __init__(self, owner: Owner, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user: User | None = None
        self.is_made = self.is_lost = False
        self.reason = ""
        self._owner = owner
        self._is_ending = False
        # Bytes of messages that have not been received yet, complete or not.
        self._waiting = 0
        # What has come and has not been given to the library, and whether more is wanted.
        self._rest = bytearray()
        self._is_wanted = True

    @property
    def ssl_object(self) -> Any:
        """What the ssl module knows of the connection; None where it is not secured."""
        return self._lane.get_extra_info("ssl_object")

    # asyncio's calls, and the library's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in a new connection."""
        super().connection_made(transport)
        self._lane = cast("asyncio.Transport", transport)
        self.is_made = True
        self._owner.link_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self.is_lost = True
        self._take_rest()
        super().connection_lost(exc)
        if self.user is not None:
            self.user.note_loss()
        self._owner.link_lost(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes: not all that a peer has at hand at once, as others have their turn."""
        if self._rest:
            self._rest += data
        elif len(data) <= PIECE:
            self._take(data)
        else:
            self._rest += data
            self._pace()
            self._take_piece()

    def eof_received(self) -> None:
        """Take note that nothing more will come."""
        self._take_rest()
        super().eof_received()

    def _take_piece(self) -> None:
        """Take in some of what has come, and then the next."""
        if not self._rest:
            # The connection has gone meanwhile.
            return
        piece = bytes(self._rest[:PIECE])
        del self._rest[:PIECE]
        self._take(piece)
        if self._rest:
            self.loop.call_soon(self._take_piece)
        else:
            self._pace()

    def _take_rest(self) -> None:
        """Take in all that has come."""
        if self._rest:
            rest = bytes(self._rest)
            self._rest.clear()
            self._take(rest)

    def _take(self, data: bytes) -> None:
        """Give bytes to the library, and tell the user of them."""
        super().data_received(data)
        if self.user is not None:
            self.user.note_bytes()
            self._look_for_end()

    def process_event(self, event: Event) -> None:
        """Count what is put away for :meth:`receive`."""
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode in _DATA:
            self._waiting += len(event.data)

    def pause_writing(self) -> None:
        """Take note that the peer does not read."""
        super().pause_writing()
        if self.user is not None:
            self.user.note_stall()

    def resume_writing(self) -> None:
        """Take note that the peer reads again."""
        super().resume_writing()
        if self.user is not None:
            self.user.note_flow()

    def _look_for_end(self) -> None:
        """See whether the closing handshake has begun.

        The library tells that only when it is over, and keeps quiet of what is sent until then.
        """
        if self.state is not State.OPEN and not self._is_ending:
            self._is_ending = True
            # Messages that came before are received first: whoever waits for them is next.
            self.loop.call_soon(self._tell_end)

    def _tell_end(self) -> None:
        fault = self.protocol.parser_exc
        if self.user is not None:
            reason = "the peer has closed the connection" if fault is None else _text(fault)
            self.user.note_end(reason, fault is not None)

    # What users call

    def attach(self, user: User) -> None:
        """Have somebody told what happens from now on."""
        self.user = user
        self._look_for_end()

    @property
    def held(self) -> int:
        """Number of bytes that are kept of messages that have not been received."""
        return self._waiting + len(self.protocol.reader.buffer) + len(self._rest)

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None where there will be no other."""
        try:
            message: str | bytes = await self.recv()
        except ConnectionClosed as gone:
            self.reason = _reason_of(gone)
            return None
        self._waiting -= len(message if isinstance(message, bytes) else message.encode())
        return message

    def send_now(self, data: bytes) -> None:
        """Send a binary message, or do nothing where the connection ends already."""
        broadcast((self,), data)

    def read_on(self, is_wanted: bool) -> None:
        """Read from the network, or leave what comes in the system's buffers."""
        self._is_wanted = is_wanted
        self._pace()

    def _pace(self) -> None:
        """Read if that is wanted, and if what has come has been taken in."""
        if self._lane.is_closing():
            return
        if self._is_wanted and not self._rest:
            self._lane.resume_reading()
        else:
            self._lane.pause_reading()

    def part(self) -> None:
        """Begin the closing handshake, after what has been sent."""
        self._owner.spawn(self.close(), "closing handshake")

    def abort(self) -> None:
        """End the connection without a word."""
        self._lane.abort()


class ClientLink(Link, ClientConnection):
    """A connection that was opened from here."""


class ServerLink(Link, ServerConnection):
    """A connection that was opened by the peer.

    Attributes:
        host: Authority that the peer says it is connected to.
    """

    is_server = True

    def __init__(self, owner: Owner, *args: Any, **kwargs: Any) -> None:
        super().__init__(owner, *args, **kwargs)
        self.host = ""
        self._came = 0
        # asyncio accepts connections by a task each, which sets up TLS and ends with that.
        self._securing = asyncio.current_task()
        if self._securing is not None:
            owner.link_expected(self)
            self._securing.add_done_callback(self._note_secured)

    def _note_secured(self, task: asyncio.Task[Any]) -> None:
        """Take note that TLS is set up, or will not be."""
        self._securing = None
        if not self.is_made:
            self._owner.link_failed(self)

    def abort(self) -> None:
        """End the connection without a word, even if it is not quite there yet."""
        if self.is_made:
            super().abort()
        elif self._securing is not None:
            self._securing.cancel()

    def data_received(self, data: bytes) -> None:
        """Take in bytes; in the handshake, not any number of them."""
        if self.user is None:
            self._came += len(data)
            if self._came > MAX_OPENING_SIZE:
                self.abort()
                return
        super().data_received(data)

    def check(self, request: Request) -> Response | None:
        """Return how a request to open a WebSocket is refused, or None where it is fine.

        RFC 8323 sections 4.1 and 8.5: there is one resource, and no other one of HTTP.
        """
        if request.path != _PATH:
            return self.respond(HTTPStatus.NOT_FOUND, f"There is nothing but {_PATH} here.\n")
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or not _is_authority(hosts[0]):
            return self.respond(HTTPStatus.BAD_REQUEST, "There has to be one Host header.\n")
        self.host = hosts[0]
        return None


def _is_authority(text: str) -> bool:
    """Whether a Host header names a host."""
    if _AUTHORITY.fullmatch(text) is None:
        return False
    try:
        return bool(hostportsplit(text)[0])
    except ValueError:
        return False


def _check(connection: ServerConnection, request: Request) -> Response | None:
    return cast("ServerLink", connection).check(request)


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Says whatever it is told at the level of traffic."""

    def isEnabledFor(self, level: int) -> bool:
        """Return whether traffic is told."""
        return self.logger.isEnabledFor(logging.DEBUG)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Tell it, if traffic is told."""
        super().log(logging.DEBUG, msg, *args, **kwargs)


def _settings(
    link: Callable[..., Link], owner: Owner, tuning: TransportTuning, log: logging.Logger
) -> dict[str, Any]:
    """Return what the library is to know at either end.

    It is asked for no pings, as those of CoAP do better (RFC 8323 section 5.4), and for no
    compression, which would make a message's size in memory the peer's choice.
    """
    return {
        "subprotocols": [_SUBPROTOCOL],
        "compression": None,
        "open_timeout": tuning.CSM_TIMEOUT,
        "ping_interval": None,
        "close_timeout": tuning.RELEASE_TIMEOUT,
        "max_size": tuning.MAX_MESSAGE_SIZE,
        "max_queue": _NO_LIMIT,
        "logger": _Quiet(log, {}),
        "create_connection": partial(link, owner),
    }


async def connect(
    owner: Owner,
    sock: socket.socket,
    hostinfo: str,
    *,
    tuning: TransportTuning,
    log: logging.Logger,
    context: SSLContext | None,
    server_name: str | None,
) -> ClientLink:
    """Open a WebSocket for CoAP.

    Args:
        owner: Whose it will be.
        sock: A connection to the server; it is closed where this fails.
        hostinfo: Authority that the server is asked as.
        tuning: The time that the handshakes may take, and the size of messages, are from there.
        log: Logger.
        context: How it is secured, if it is to be.
        server_name: Whom the server has to be by its certificate, then.

    Raises:
        OSError: The connection broke, or the server is not who it should be.
        HandshakeError: There is something else than CoAP over WebSockets.
    """
    settings = _settings(ClientLink, owner, tuning, log)
    if context is not None:
        settings.update(ssl=context, server_hostname=server_name)
    scheme = "ws" if context is None else "wss"
    try:
        # Where it is given a connection, the library asks no proxy and follows no redirection.
        link = await open_connection(
            f"{scheme}://{hostinfo}{_PATH}", sock=sock, user_agent_header=None, **settings
        )
    except BaseException as problem:
        sock.close()
        # That no redirection is followed is caused by such a status, too.
        for cause in (problem, problem.__cause__):
            if isinstance(cause, InvalidStatus):
                status = cause.response.status_code
                raise HandshakeError(f"the server refuses with HTTP status {status}") from problem
        # An error of TLS may be a ValueError as well.
        is_os = isinstance(problem, OSError)
        if not is_os and isinstance(problem, WebSocketException | ValueError | EOFError):
            raise HandshakeError(f"there is no WebSocket: {_text(problem)}") from problem
        raise
    if link.subprotocol != _SUBPROTOCOL:
        # RFC 8323 section 4.1: both ends have to mean CoAP.
        cast("ClientLink", link).part()
        raise HandshakeError("the server's WebSocket is not for CoAP")
    return cast("ClientLink", link)


async def listen(
    owner: Owner,
    sock: socket.socket,
    handler: Callable[[ServerLink], Awaitable[None]],
    *,
    tuning: TransportTuning,
    log: logging.Logger,
    context: SSLContext | None,
) -> Server:
    """Accept WebSockets for CoAP.

    Args:
        owner: Whose links they will be.
        sock: Where; it is closed with the server, or where this fails.
        handler: Run for each link whose handshake is complete; it is closed when that ends.
        tuning: The time that the handshakes may take, and the size of messages, are from there.
        log: Logger.
        context: How they are secured, if they are to be.

    Raises:
        OSError: The system does not let us.
    """
    try:
        return await serve(
            cast("Callable[[ServerConnection], Awaitable[None]]", handler),
            sock=sock,
            backlog=_BACKLOG,
            ssl=context,
            process_request=_check,
            server_header=None,
            **_settings(ServerLink, owner, tuning, log),
        )
    except BaseException:
        sock.close()
        raise


def _reason_of(gone: ConnectionClosed) -> str:
    """Return why a connection is closed."""
    if gone.rcvd is not None:
        said = f"{gone.rcvd.code} {_printable(gone.rcvd.reason)}".strip()
        return f"the peer has closed the connection ({said})"
    if gone.sent is not None:
        return f"the connection can not go on: {_printable(gone.sent.reason)}"
    broken = gone.__cause__
    if isinstance(broken, OSError) and broken.strerror:
        return f"the connection broke: {broken.strerror}"
    return "the connection broke"


def _text(problem: BaseException) -> str:
    """Return what the library says of a problem."""
    return _printable(str(problem)) or type(problem).__name__


def _printable(text: str) -> str:
    """Return what a peer may have had its hands in such that it does no harm in a log."""
    return "".join([char if char.isprintable() else "\ufffd" for char in text[:_REASON_LENGTH]])

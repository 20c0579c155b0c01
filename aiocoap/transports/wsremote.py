"""One connection over a WebSocket.

Here live :class:`WSRemote`, which is its own peer's address, and :class:`PoolKey`, what connections
are opened for.

The room knows a link (:mod:`aiocoap.transports.wslink`) as what it can do, and does not import the
library; how links come about is a matter of :mod:`aiocoap.transports.ws`, and what goes over a
connection one of :mod:`aiocoap.transports.rfc8323common`.

RFC 8323 section 4 (WebSockets), sections 8.3 and 8.4 (``coap+ws`` and ``coaps+ws``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from .._faults import UnparsableMessage
from ..address import EndpointAddress
from ..sansio.framing import decode_unframed, encode_unframed
from ..util import hostportjoin
from .connectionpool import ConnectionPool
from .resolution import host_of_sockaddr, split_destination
from .rfc8323common import RFC8323Remote
from .tlsclaims import claims_of

if TYPE_CHECKING:
    from logging import Logger

    from ..message import Message
    from .wslink import Link

__all__ = ["DEFAULT_PORTS", "PoolKey", "WSRemote", "authority"]

DEFAULT_PORTS = {"coap+ws": 80, "coaps+ws": 443}
"""Ports that URIs of the schemes stand for where they have none."""


class PoolKey(NamedTuple):
    """What connections are opened for, and told apart by."""

    scheme: str
    """``coap+ws`` or ``coaps+ws``."""
    hostinfo: str
    """Host in lower case, with the port where it is not that of the scheme."""

    @property
    def host(self) -> str:
        """Address or name, perhaps with a zone."""
        return split_destination(self.hostinfo)[0]

    @property
    def port(self) -> int:
        """1 to 65535."""
        return split_destination(self.hostinfo, DEFAULT_PORTS[self.scheme])[1]


def authority(scheme: str, host: str, port: int) -> str:
    """Return an authority as it stands in URIs of a scheme."""
    return hostportjoin(host, None if port == DEFAULT_PORTS[scheme] else port)


def _hostinfo_of(scheme: str, sockaddr: tuple[Any, ...] | None) -> str:
    """Return the authority of a socket address, which there is none of when the socket is gone."""
    if not sockaddr:
        return "(nobody)"
    return authority(scheme, host_of_sockaddr(sockaddr), sockaddr[1])


class WSRemote(RFC8323Remote, EndpointAddress):
    """One connection over a WebSocket, and the address of its other end.

    Args:
        pool: The pool that it belongs to.
        connection: A link whose opening handshake is complete.
        loop: The running event loop.
        log: Logger.
        scheme: ``coap+ws`` or ``coaps+ws``.
        local_hostinfo: Authority that the peer connected to, if it opened the connection.
        remote_hostinfo: Authority that was connected to, if it was opened from here.
    """

    __slots__ = ("_connection", "_gate", "_held", "_scheme")

    def __init__(
        self,
        pool: ConnectionPool[PoolKey],
        connection: Link,
        loop: asyncio.AbstractEventLoop,
        log: Logger,
        *,
        scheme: str,
        local_hostinfo: str | None = None,
        remote_hostinfo: str | None = None,
    ) -> None:
        self._scheme = scheme
        self._begin(pool, None if remote_hostinfo is None else PoolKey(scheme, remote_hostinfo))
        self._local_hostinfo = local_hostinfo or _hostinfo_of(scheme, connection.local_address)
        self._remote_hostinfo = remote_hostinfo or _hostinfo_of(scheme, connection.remote_address)
        # What the pool has been told of what has not been worked on.
        self._held = 0
        # What is waited for as long as nothing is read.
        self._gate: asyncio.Future[None] | None = None
        self._connection = connection
        connection.attach(self)

    @property
    def scheme(self) -> str:
        """URI scheme of the connection; it is the same at both ends."""
        return self._scheme

    @property
    def authenticated_claims(self) -> tuple[str, ...]:
        """What the peer has proved about itself, for access decisions (unstable).

        They are those of :attr:`aiocoap.transports.tls.TlsConnection.authenticated_claims`, of a
        verified certificate; without one there are none.
        """
        ssl_object = self._connection.ssl_object
        if ssl_object is None:
            return ()
        return claims_of(ssl_object, None)

    # Messages that come

    async def run(self) -> None:
        """Take in what comes, until the connection is gone."""
        link = self._connection
        try:
            while (data := await link.receive()) is not None:
                # What comes after the end is read for the sake of the closing handshake.
                if self.end is None:
                    self._receive(data)
                if not (self.reads or self.end is not None or link.is_lost):
                    self._gate = self._pool.loop.create_future()
                    await self._gate
                    self._gate = None
            self.lose(link.reason)
        except Exception as problem:
            # It is ours, and nobody above could tell of it.
            self._pool.loop.call_exception_handler(
                {"message": f"{self!r} can not go on", "exception": problem}
            )
            self.lose("it can not go on")
            link.abort()
        finally:
            self._account(0)

    def _receive(self, data: str | bytes) -> None:
        """Take in a message of the WebSocket.

        RFC 8323 section 4.2: it is binary, and a message of CoAP as a whole.
        """
        if isinstance(data, str):
            self.abort("text is no message")
            return
        try:
            message = decode_unframed(data, self)
        except UnparsableMessage as fault:
            self.abort(f"what came is no message: {fault}")
            return
        self._note_held(True)
        if self.end is None:
            self._take(message)
            if self.signaling.release is not None:
                self.close_if_done()

    def note_bytes(self) -> None:
        """Take note that something came."""
        if self.end is None:
            self._note_held(False)

    def _note_held(self, is_progress: bool) -> None:
        """Take note of how much there is that has not been worked on."""
        held = self._connection.held
        self.patience.received(self._pool.loop.time(), held > 0, is_progress)
        if held != self._held:
            self._account(held)

    def _account(self, held: int) -> None:
        """Tell the pool how many bytes are kept of what has not been worked on."""
        is_bearable = self._pool.account(held - self._held)
        self._held = held
        if not is_bearable:
            self.abort("there are too many unfinished messages")

    def note_stall(self) -> None:
        """Take note that the peer does not read."""
        self._stall()

    def note_flow(self) -> None:
        """Take note that the peer reads again."""
        if self.end is None:
            self._flow()

    def note_end(self, reason: str, is_fault: bool) -> None:
        """Take note that the closing handshake has begun."""
        if self.end is None:
            if is_fault:
                self._pool.log_end(self, reason)
            self.lose(reason)
            self._close(True)

    def note_loss(self) -> None:
        """Take note that the connection is gone: what came before is still taken in."""
        self._go_on()

    def _go_on(self) -> None:
        """Take in messages again."""
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)

    # What is the transport's part of a connection

    def _encode(self, message: Message) -> bytes:
        return encode_unframed(message)

    def _send_bytes(self, data: bytes) -> None:
        self._connection.send_now(data)

    def flush(self) -> None:
        """Do nothing: a WebSocket's messages have gone already."""

    def _read_on(self, is_wanted: bool) -> None:
        self._connection.read_on(is_wanted)
        if is_wanted:
            self._go_on()

    def _close(self, is_orderly: bool) -> None:
        self._go_on()
        if self._connection.is_lost:
            return
        if is_orderly:
            if not self._is_stalled:
                # The other half of the closing handshake has to be read.
                self._connection.read_on(True)
            self._connection.part()
            self._pool.watch_end(self)
        else:
            self._connection.abort()

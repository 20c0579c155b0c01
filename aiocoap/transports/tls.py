"""CoAP over TLS.

Here live :class:`TLSClient` and :class:`TLSServer`, which put TLS below the connections of
:mod:`aiocoap.transports.tcp`.

The room knows the :mod:`ssl` module; which certificates and keys are used is said in
:mod:`aiocoap.credentials`, how servers get to know them in :mod:`aiocoap.transports.tlscontext`,
what they prove in :mod:`aiocoap.transports.tlsclaims`, what is wrong in
:mod:`aiocoap.transports.tlsfaults`, and what goes over a connection is none of its business.

RFC 8323 section 8.2 (``coaps+tcp``), section 8.5 (names of servers) and section 9.1.

A server needs an :class:`ssl.SSLContext` with its certificate; such can be made for trying things
out by ``openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext
subjectAltName=DNS:localhost -keyout key.pem -out cert.pem``, and a client trusts it if its
credentials name ``cert.pem``.

Bounds
------

At most ``MAX_HANDSHAKES`` handshakes of a server are under way; at the bound the one that has taken
the longest is given up.  One that takes longer than ``CSM_TIMEOUT`` is, too.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from .._faults import NetworkError, ResolutionError
from ..numbers.constants import COAPS_PORT
from ..util import hostportjoin
from .connectionpool import Origin
from .tcp import ConnectError, TCPClient, TcpConnection, TCPServer
from .tlsclaims import claims_of
from .tlscontext import ALPN, heard_by, prepare
from .tlsfaults import HELP_REFUSED, TlsError, explanation

if TYPE_CHECKING:
    from logging import Logger

    from ..interfaces import TokenManager

__all__ = ["TLSClient", "TLSServer", "TlsConnection", "TlsError"]

MAX_HANDSHAKES = 512
"""Number of handshakes of a server that are under way at the same time."""


class TlsConnection(TcpConnection):
    """One connection over TLS, and the address of its other end.

    Args:
        ctx: The pool that it belongs to.
        log: Logger.
        loop: The running event loop.
        is_server: Whether the peer opened it.
        origin: What it was opened for, if it was opened from here.
        context: What it is secured by.
        name: Whom the server has to be, if it was opened from here.
    """

    __slots__ = (
        "_ciphertext",
        "_claims",
        "_context",
        "_name",
        "_secured",
        "_ssl",
        "_to_peer",
        "is_secured",
        "known_as",
        "name_asked_for",
    )

    _over = "TLS"

    def __init__(
        self,
        ctx: _TLSMixIn,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        *,
        is_server: bool,
        origin: Origin | None = None,
        context: ssl.SSLContext,
        name: str | None = None,
    ) -> None:
        super().__init__(cast("Any", ctx), log, loop, is_server=is_server, origin=origin)
        self._context = context
        self._name = name
        self._ssl: ssl.SSLObject | None = None
        self._ciphertext, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._claims: tuple[str, ...] | None = None
        # Who waits for the handshake.
        self._secured: asyncio.Future[None] | None = None
        self.is_secured = False
        # What is said in the handshake: the name by which the client calls the server, and whom
        # it is known as if it has a key.
        self.name_asked_for: str | None = None
        self.known_as: str | None = None

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in a new connection, and begin with TLS on it."""
        if not self._has_names(cast("asyncio.Transport", transport)):
            return
        if not cast("_TLSMixIn", self._pool).note_handshake(self):
            self.end = NetworkError("the own end was shut down")
            cast("asyncio.Transport", transport).abort()
            return
        self._ssl = self._context.wrap_bio(
            self._ciphertext,
            self._to_peer,
            server_side=self.origin is None,
            server_hostname=self._name,
        )
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        if self.is_over:
            return
        self._ciphertext.write(data)
        if not self.is_secured:
            self._shake_hands()
            if not self.is_secured:
                return
        assert self._ssl is not None  # it is secured
        try:
            while self.end is None:
                plaintext = self._ssl.read(_CHUNK)
                if not plaintext:
                    # The peer has said that nothing follows.
                    if not self._hear_no_more():
                        self._note_end()
                        self._close(True)
                    break
                self._take_bytes(plaintext)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as problem:
            self._break(problem)
        # Some of what is read has to be answered by TLS itself.
        self._push()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        if exc is None or not self.signaling.is_open:
            self._note_end()
        super().connection_lost(exc)

    def _note_end(self) -> None:
        """Take note that the peer wants nothing more.

        By TLS 1.3, a client learns only now that the server does not accept its certificate; and
        not all servers tell.
        """
        if not self.is_secured:
            self._break(ConnectionResetError())
        elif self.origin is not None and not self.signaling.is_open:
            self._lose_by(
                "it closed the connection right after the handshake",
                HELP_REFUSED.format(self._server),
            )
        else:
            self.lose("the peer has closed the connection")

    # TLS

    def _shake_hands(self) -> None:
        """Go on with the handshake."""
        assert self._ssl is not None  # it has begun
        try:
            with heard_by(self):
                self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._push()
            return
        except ssl.SSLError as problem:
            self._push()
            self._break(problem)
            return
        self._push()
        pool = cast("_TLSMixIn", self._pool)
        pool.forget_handshake(self)
        objection = self._objection()
        if objection is not None:
            self.lose("", objection)
            self._close(True)
            return
        self.is_secured = True
        if self._secured is not None and not self._secured.done():
            self._secured.set_result(None)
        self._enter()

    async def secured(self) -> None:
        """Wait until the handshake is over.

        Raises:
            NetworkError: It has failed.
        """
        if self.end is not None:
            raise self.end
        if not self.is_secured:
            self._secured = self._pool.loop.create_future()
            await self._secured

    def _objection(self) -> NetworkError | None:
        """Return why a connection can not be used, or None; and find out who is asked for."""
        assert self._ssl is not None  # it is secured
        assert self._transport is not None  # likewise
        protocol = self._ssl.selected_alpn_protocol()
        if self.origin is None:
            if self.name_asked_for is not None:
                # RFC 8323 section 8.5
                port = self._transport.get_extra_info("sockname")[1]
                pool = cast("TLSServer", self._pool)
                self._local_hostinfo = pool._hostinfo(self.name_asked_for, port)
            is_fine = protocol in (None, ALPN)
        else:
            # RFC 8323 section 8.2
            port = self._transport.get_extra_info("peername")[1]
            is_fine = protocol == ALPN or (protocol is None and port == COAPS_PORT)
        if is_fine:
            return None
        return TlsError(
            f"{self._remote_hostinfo} speaks TLS, but does not say that it speaks CoAP "
            f"(by ALPN {ALPN!r})",
            "Check the port. On any but 5684, the server has to negotiate the protocol: the ssl "
            'module does that after context.set_alpn_protocols(["coap"]).',
        )

    def _break(self, problem: OSError) -> None:
        """Close the connection because TLS does not go on."""
        if self.end is not None:
            return
        if self.origin is None:
            why = getattr(problem, "reason", None) or str(problem) or "the peer has closed it"
            text = why if self.is_secured else f"the TLS handshake failed: {why}"
            self._pool.log_end(self, text)
            self.lose(text)
        elif self.is_secured:
            self._lose_by(*explanation(problem, self._server))
        else:
            self.lose("", cast("TLSClient", self._pool)._failure(problem, self.origin))
        self._close(True)

    @property
    def _server(self) -> str:
        """Scheme and authority of the server's URIs."""
        return f"{self.scheme}://{self._remote_hostinfo}"

    def _lose_by(self, reason: str, help: str) -> None:
        self.lose(reason, TlsError(f"{self._remote_hostinfo}: {reason}", help))

    def give_up(self, why: str) -> None:
        """Close the connection in the middle of a handshake.

        Args:
            why: The reason.
        """
        self._break(ConnectionAbortedError(why))

    def lose(self, reason: str, end: NetworkError | None = None) -> None:
        """Take note that nothing goes over the connection any more.

        Args:
            reason: Why, for those who wait for something.
            end: What they get to see, if it is to be a particular error.
        """
        super().lose(reason, end)
        cast("_TLSMixIn", self._pool).forget_handshake(self)
        if self._secured is not None and not self._secured.done():
            assert self.end is not None  # it is lost
            self._secured.set_exception(self.end)

    def judge(self, now: float) -> None:
        """Do what is due, and set ``patience.deadline``."""
        if self.end is None and not self.is_secured:
            self.give_up("it takes too long")
        else:
            super().judge(now)

    # What is the transport's part of a connection

    def flush(self) -> None:
        """Send what has come together."""
        out = self._out
        if out:
            self._out, self._out_size = [], 0
            if self._transport is not None and self.is_secured:
                assert self._ssl is not None  # it is secured
                try:
                    self._ssl.write(out[0] if len(out) == 1 else b"".join(out))
                except ssl.SSLError as problem:
                    self._break(problem)
                self._push()

    def _push(self) -> None:
        """Send what TLS has made of it."""
        if self._to_peer.pending and self._transport is not None:
            self._transport.write(self._to_peer.read())

    def _close(self, is_orderly: bool) -> None:
        """Close the connection, after what has been sent, or without waiting for that."""
        self.flush()
        if is_orderly and self.is_secured:
            assert self._ssl is not None  # it is secured
            # It need not wait for the peer to say the same.
            with suppress(ssl.SSLError):
                self._ssl.unwrap()
            self._push()
        super()._close(is_orderly)

    @property
    def authenticated_claims(self) -> tuple[str, ...]:
        """What the peer has proved about itself, for access decisions (unstable).

        For a verified certificate, these are texts that say what each is about:

        - ``sha256:`` and the fingerprint of the certificate in lower case hexadecimal digits,
        - ``subject:`` and its subject in the form of RFC 4514, such as ``subject:CN=me,O=us``,
        - its alternative names, such as ``DNS:me.example``, ``IP:192.0.2.1``,
          ``email:me@us.example`` and ``URI:urn:dev:mac:0024befffe804ff1``.

        For a client with a pre-shared key, it is the key of the entry in the server's credentials
        that it is known by, such as ``:my-sensor``.  Who has not proved anything has no claims.
        """
        if self._claims is None:
            if self._ssl is None or not self.is_secured:
                return ()
            self._claims = claims_of(self._ssl, self.known_as)
        return self._claims


_CHUNK = 65536
# Bytes that are read at a time.


class _TLSMixIn:
    """What clients and servers over TLS have in common."""

    scheme: ClassVar[str] = "coaps+tcp"
    default_port: ClassVar[int] = COAPS_PORT

    def note_handshake(self, connection: TlsConnection) -> bool:
        """Take note that a handshake begins; return whether it may."""
        return True

    def forget_handshake(self, connection: TlsConnection) -> None:
        """Take note that a handshake is over."""


class TLSClient(_TLSMixIn, TCPClient):
    """The connections that requests are sent by.

    What servers are trusted by, and what is shown to them, is looked up in the client credentials
    of the context, for each connection: :meth:`aiocoap.credentials.CredentialsMap.load_from_dict`.
    The certificate has to be for the host in the URI, even if the server has given an alternative
    address.
    """

    def _connection_factory(self, origin: Origin) -> Callable[[], TcpConnection]:
        """Return what makes the protocol of a connection.

        Raises:
            CredentialsMissingError: There is nothing to authenticate with.
            ResolutionError: The host has a name that no certificate can have.
        """
        context = self.tman.client_credentials.ssl_client_context(
            self.scheme, self._hostinfo(*origin)
        )
        context.set_alpn_protocols([ALPN])
        # Neither zones nor the dot of the root are part of names in certificates.
        name = origin.host.partition("%")[0].removesuffix(".")
        try:
            is_name = bool(name.encode("idna"))
        except UnicodeError:
            is_name = False
        if not is_name:
            raise ResolutionError(f"{origin.host!r} is no host name")
        return partial(
            TlsConnection,
            self,
            self.log,
            self.loop,
            is_server=False,
            origin=origin,
            context=context,
            name=name,
        )

    async def _open(self, origin: Origin, address: Origin) -> TcpConnection:
        """Open a connection to the first address of a host that takes it, and secure it.

        Raises:
            CredentialsMissingError: There is nothing to authenticate with.
            ResolutionError: The name can not be resolved.
            NetworkError: It can not be opened, or not be secured.
        """
        connection = cast("TlsConnection", await super()._open(origin, address))
        try:
            async with asyncio.timeout(self.tuning.CSM_TIMEOUT):
                await connection.secured()
        except BaseException as problem:
            # If it has ended by itself, the last words are still to be read.
            if connection.end is None:
                connection.give_up("nobody waits for it")
                connection._close(False)
            if isinstance(problem, asyncio.TimeoutError):
                raise self._failure(ConnectionAbortedError(), address) from problem
            raise
        return connection

    def _failure(self, problem: OSError, address: Origin) -> NetworkError:
        """Return what a request fails with if there is no connection."""
        hostinfo = hostportjoin(*address)
        if problem.errno and not isinstance(problem, ssl.SSLError):
            why = os.strerror(problem.errno)
            return ConnectError(f"can not connect to {hostinfo} over TLS: {why}")
        reason, help = explanation(problem, f"{self.scheme}://{self._hostinfo(*address)}")
        return TlsError(f"can not connect to {hostinfo} over TLS: {reason}", help)


# Servers


class TLSServer(_TLSMixIn, TCPServer):
    """The connections that peers open, by which requests may go in both directions.

    What the server credentials of the context say of clients goes into the SSL context: if there
    is a ``tlscert`` among them, clients need a certificate of one of its authorities (unless the
    context asks for one without insisting, ``ssl.CERT_OPTIONAL``); if there is a ``dtls``, clients
    may use its key instead, where Python can do that (from 3.13 on), and TLS 1.2 is used.
    """

    _context: ssl.SSLContext

    def __init__(self, tman: TokenManager, log: Logger, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(tman, log, loop)
        # What is under way, the oldest first.
        self._handshakes: dict[TlsConnection, None] = {}

    @classmethod
    async def create_server(  # type: ignore[override] # as documented
        cls,
        bind: tuple[str | None, int | None] | None,
        tman: TokenManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        server_context: ssl.SSLContext,
    ) -> TLSServer:
        """Listen for connections.

        Args:
            bind: Host (address or name; None for all addresses) and port (None for that of the
                scheme; 0 leaves it to the system).
            tman: Is told of messages and errors; has the server credentials.
            log: Logger.
            loop: The running event loop.
            server_context: What connections are secured by; it has the server's certificate.
                The name of the protocol (ALPN) is added to what it offers to clients, and what
                the credentials say of them.

        Raises:
            ResolutionError: The host's name can not be resolved.
            BindError: The address can not be had; it is an OSError as well.
            CredentialsMissingError: What the credentials say can not be used.
        """
        self = await super().create_server(bind, tman, log, loop, _server_context=server_context)
        return cast("TLSServer", self)

    def _secure_by(self, context: ssl.SSLContext | None) -> None:
        """Take note of what connections are secured by.

        Raises:
            CredentialsMissingError: What the credentials say can not be used.
        """
        assert context is not None  # the catalog says that it is needed
        prepare(context, self.tman.server_credentials)
        self._context = context

    def _accept(self) -> TcpConnection:
        """Return the protocol of a new connection."""
        return TlsConnection(self, self.log, self.loop, is_server=True, context=self._context)

    def note_handshake(self, connection: TlsConnection) -> bool:
        """Take note that a handshake begins; return whether it may."""
        if self._is_shut_down:
            return False
        if len(self._handshakes) >= MAX_HANDSHAKES:
            next(iter(self._handshakes)).give_up("there are too many at the same time")
        self._handshakes[connection] = None
        deadline = connection.patience.deadline
        assert deadline is not None  # it is new
        self._looks.add(connection, deadline)
        self._arm(deadline)
        return True

    def forget_handshake(self, connection: TlsConnection) -> None:
        """Take note that a handshake is over."""
        if self._handshakes.pop(connection, connection) is None:
            self._looks.discard(connection)

    async def _stop_listening(self) -> None:
        """Accept no connections any more, and end the handshakes."""
        await super()._stop_listening()
        for connection in list(self._handshakes):
            connection.lose("the own end was shut down")
            connection._close(False)

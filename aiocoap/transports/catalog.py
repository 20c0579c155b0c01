"""The transports that there are, a row each, and how one is opened.

Here lives the table that contexts are built from; adding a transport is adding a row.

The room knows names and the arguments of factories.  It imports a transport when it is asked for
only, and knows nothing of what goes over it.

RFC 7252 section 6 and RFC 8323 section 8 (default ports).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["ROWS", "Transport", "bind_for", "check_options", "lookup", "open_transport"]


class Transport(NamedTuple):
    """One row of the catalog."""

    name: str
    """What applications and the environment variables call it."""
    module: str
    """Module below ``aiocoap.transports``."""
    class_name: str
    """The class in it."""
    kind: str
    """``message``: datagrams, under a message manager; ``token``: it needs none."""
    client: str | None
    """Factory (an async class method) for contexts that only send requests, if it can."""
    server: str | None
    """Factory for contexts that answer requests, if it can."""
    server_options: tuple[str, ...] = ()
    """What that factory takes beyond manager, log and loop, of ``bind``, ``multicast`` and
    ``server_context``."""
    port_offset: int = 0
    """What is added to the port that all transports of a context are bound to together."""
    needs: str | None = None
    """Which of the options a server can not do without."""
    credentials: str | None = None
    """What its factories call the credentials that it needs as a client, if it does."""


_ROWS = (
    Transport(
        "udp6",
        "udp6",
        "MessageInterfaceUDP6",
        "message",
        "create_client_transport_endpoint",
        "create_server_transport_endpoint",
        ("bind", "multicast"),
    ),
    Transport(
        "simple6",
        "simple6",
        "MessageInterfaceSimple6",
        "message",
        "create_client_transport_endpoint",
        # It receives requests from those that it sent requests to, in either kind of context.
        "create_client_transport_endpoint",
    ),
    Transport(
        "simplesocketserver",
        "simplesocketserver",
        "MessageInterfaceSimpleServer",
        "message",
        None,
        "create_server",
        ("bind",),
    ),
    Transport(
        "tcpserver",
        "tcp",
        "TCPServer",
        "token",
        None,
        "create_server",
        ("bind",),
    ),
    # Those that open connections are of use to servers as well.
    Transport(
        "tcpclient",
        "tcp",
        "TCPClient",
        "token",
        "create_client_transport",
        "create_client_transport",
    ),
    Transport(
        "tlsserver",
        "tls",
        "TLSServer",
        "token",
        None,
        "create_server",
        ("bind", "server_context"),
        port_offset=1,
        needs="server_context",
    ),
    Transport(
        "tlsclient",
        "tls",
        "TLSClient",
        "token",
        "create_client_transport",
        "create_client_transport",
    ),
    Transport(
        "ws",
        "ws",
        "WSPool",
        "token",
        "create_transport",
        "create_server",
        ("bind", "server_context"),
        port_offset=3000,
        credentials="client_credentials",
    ),
)

ROWS: dict[str, Transport] = {row.name: row for row in _ROWS}
"""All transports by name."""


def lookup(name: str) -> Transport:
    """Return the row of a transport.

    Args:
        name: Its name.

    Raises:
        ValueError: There is no such transport; the text lists those that there are.
    """
    try:
        return ROWS[name]
    except KeyError:
        raise ValueError(f"there is no transport {name!r}; there are {', '.join(ROWS)}") from None


def bind_for(
    row: Transport, bind: tuple[str | None, int | None] | None
) -> tuple[str | None, int | None] | None:
    """Return what one transport of a context is bound to, given what all of them are.

    Without a port, each has the default one of its scheme; port 0 leaves the choice to the
    system, for each of them.  Any other port is that of ``coap`` and ``coap+tcp``, and others are
    found from there, as the documentation has it: ``coaps+tcp`` one higher, ``coap+ws`` 3000
    higher, and ``coaps+ws`` 3001 higher.

    >>> bind_for(ROWS["tcpserver"], ("::1", 5683)), bind_for(ROWS["tlsserver"], ("::1", 5683))
    (('::1', 5683), ('::1', 5684))
    >>> bind_for(ROWS["ws"], ("::1", 5683))
    ('::1', 8683)

    Args:
        row: The transport.
        bind: Host and port as the context is given them.

    Raises:
        ValueError: There is no such port.
    """
    if bind is None or isinstance(bind, str) or len(bind) != 2:
        return bind
    host, port = bind
    if not port or not row.port_offset or not isinstance(port, int):
        return bind
    if port + row.port_offset > 65535:
        raise ValueError(
            f"the transport {row.name!r} would be bound to port {port + row.port_offset}, which "
            f"there is not; give it one of its own"
        )
    return host, port + row.port_offset


def check_options(row: Transport, options: Iterable[str], *, is_server: bool) -> None:
    """Make sure that a transport can be opened with some options, before any is.

    Args:
        row: Which one.
        options: Names of the options that are meant for it.
        is_server: Whether it is for a context that answers requests.

    Raises:
        ValueError: The transport can not be used in this role, or an option is not for it.
    """
    role = "server" if is_server else "client"
    if (row.server if is_server else row.client) is None:
        raise ValueError(f"the transport {row.name!r} can not be used in a {role} context")
    known = row.server_options if is_server else ()
    for name in options:
        if name not in known:
            there_are = ", ".join(known) or "none"
            raise ValueError(
                f"the transport {row.name!r} has no option {name!r} in a {role} context; "
                f"there are: {there_are}"
            )


async def open_transport(
    row: Transport, manager: Any, log: Any, loop: Any, server: Mapping[str, Any] | None
) -> Any:
    """Open a transport.

    Args:
        row: Which one.
        manager: What it calls back: a message manager or a token manager, by ``row.kind``.
        log: Logger for it.
        loop: The running event loop.
        server: Options of a server by name (``bind``, ``multicast``), or None for a client.
            What is not for this transport is left out: a context hands the same to all.

    Raises:
        ImportError: What the transport needs is not installed.
        NetworkError: It can not be opened.
    """
    factory = row.client if server is None else row.server
    assert factory is not None  # check_options has looked
    cls = getattr(import_module(f"..{row.module}", __name__), row.class_name)
    options = {} if server is None else {n: server[n] for n in row.server_options if n in server}
    arguments = {"tman" if row.kind == "token" else "ctx": manager, "log": log, "loop": loop}
    if row.credentials is not None:
        arguments[row.credentials] = manager.client_credentials
    return await getattr(cls, factory)(**arguments, **options)

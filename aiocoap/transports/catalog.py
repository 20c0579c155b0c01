"""The transports that there are, a row each, and how one is opened.

Here lives the table that contexts are built from; adding a transport is adding a row.

The room knows names and the arguments of factories.  It imports a transport when it is asked for
only, and knows nothing of what goes over it.

RFC 7252 section 6 (the default port of UDP).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["ROWS", "Transport", "check_options", "lookup", "open_transport"]


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
    """What that factory takes beyond manager, log and loop, of ``bind`` and ``multicast``."""


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
    return await getattr(cls, factory)(**arguments, **options)

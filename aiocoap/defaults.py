"""What works on this machine, and which transports are opened where nobody asks for others.

Here live the choices that depend on the platform, on what is installed and on environment
variables.

The room knows names of transports and of modules; it imports none of them.

No RFC is implemented here.
"""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .util.socknumbers import HAS_PKTINFO, HAS_RECVERR

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = [
    "dtls_missing_modules",
    "get_default_clienttransports",
    "get_default_servertransports",
    "has_reuse_port",
    "linkheader_missing_modules",
    "oscore_missing_modules",
    "prettyprint_missing_modules",
    "ws_missing_modules",
]


def _named_in(variable: str) -> list[str]:
    """Read a colon separated list of names from the environment; it is empty where unset."""
    return [name for part in os.environ.get(variable, "").split(":") if (name := part.strip())]


def _udp6_works(loop: AbstractEventLoop | None) -> bool:
    """Whether the full UDP transport is known to work here, ICMP errors included."""
    if sys.platform != "linux" or not (HAS_PKTINFO and HAS_RECVERR):
        return False
    if loop is None:
        return True
    from asyncio import AbstractEventLoop

    return type(loop).add_reader is not AbstractEventLoop.add_reader


def get_default_clienttransports(
    *, loop: AbstractEventLoop | None = None, use_env: bool = True
) -> list[str]:
    """Return the names of the transports that a client context opens, in their order.

    Args:
        loop: The loop that they are to run in; None supposes one with ``add_reader``.
        use_env: Whether the environment variable AIOCOAP_CLIENT_TRANSPORT, a colon separated
            list of names, is looked at.
    """
    if use_env and (named := _named_in("AIOCOAP_CLIENT_TRANSPORT")):
        return named
    # What WebSockets lack is told whoever uses them.
    return [*(["udp6"] if _udp6_works(loop) else ["simple6"]), "tcpclient", "tlsclient", "ws"]


def get_default_servertransports(
    *, loop: AbstractEventLoop | None = None, use_env: bool = True
) -> list[str]:
    """Return the names of the transports that a server context opens, in their order.

    A context leaves out those that need something it does not have, such as a certificate.

    Args:
        loop: The loop that they are to run in; None supposes one with ``add_reader``.
        use_env: Whether the environment variable AIOCOAP_SERVER_TRANSPORT, a colon separated
            list of names, is looked at.
    """
    if use_env and (named := _named_in("AIOCOAP_SERVER_TRANSPORT")):
        return named
    # Requests go by the first transport that takes them: simple6 is the better client.
    datagrams = ["udp6"] if _udp6_works(loop) else ["simple6", "simplesocketserver"]
    web = [] if ws_missing_modules() else ["ws"]
    return [*datagrams, "tcpserver", "tcpclient", "tlsserver", "tlsclient", *web]


def has_reuse_port(*, use_env: bool = True) -> bool:
    """Return whether servers share their port with other processes of the same user.

    Args:
        use_env: Whether the environment variable AIOCOAP_REUSE_PORT (0 or 1) is looked at.

    Raises:
        ValueError: The variable is neither.
    """
    value = os.environ.get("AIOCOAP_REUSE_PORT", "") if use_env else ""
    if not value:
        return hasattr(socket, "SO_REUSEPORT")
    if value not in ("0", "1"):
        raise ValueError(f"the environment variable AIOCOAP_REUSE_PORT is 0 or 1, not {value!r}")
    return value == "1"


def _missing(*modules: str) -> list[str]:
    """Return those modules that are not installed."""
    return [name for name in modules if find_spec(name) is None]


def dtls_missing_modules() -> list[str]:
    """Return the modules that DTLS lacks; none where one of its implementations is there."""
    return _missing("OpenSSL", "cryptography") if _missing("DTLSSocket") else []


def oscore_missing_modules() -> list[str]:
    """Return the modules that OSCORE lacks."""
    return _missing("cbor2", "cryptography", "filelock")


def ws_missing_modules() -> list[str]:
    """Return the modules that CoAP over WebSockets lacks."""
    return _missing("websockets")


def linkheader_missing_modules() -> list[str]:
    """Return the modules that reading link-format lacks."""
    return _missing("link_header")


def prettyprint_missing_modules() -> list[str]:
    """Return the modules that the client lacks to show every format at its best."""
    return _missing("link_header", "cbor2", "cbor_diag", "pygments", "termcolor", "prompt_toolkit")

"""What this installation can do: ``python -m aiocoap.cli.defaults``.

Here lives a report for people, on optional modules and on transports.

The room decides nothing: it asks :mod:`aiocoap.defaults` and the catalog of transports.

No RFC has anything to say on this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from .. import defaults
from ..meta import version
from ..transports.catalog import ROWS
from ..util.cli import Parser
from .common import add_version_argument

__all__ = ["report", "sync_main"]

_FEATURES: tuple[tuple[str, str, Callable[[], list[str]]], ...] = (
    ("DTLS (coaps://)", "dtls", defaults.dtls_missing_modules),
    ("OSCORE", "oscore", defaults.oscore_missing_modules),
    ("WebSockets (coap+ws://)", "ws", defaults.ws_missing_modules),
    ("Link format, resource directories", "linkheader", defaults.linkheader_missing_modules),
    ("All of aiocoap-client's output", "prettyprint", defaults.prettyprint_missing_modules),
)


def report() -> str:
    """Say what is installed and which transports contexts open, as lines of text."""
    lines = [f"aiocoap {version} on Python {sys.version.split()[0]} ({sys.platform})", ""]
    lines.append("Optional modules:")
    for what, extra, missing_modules in _FEATURES:
        missing = missing_modules()
        state = "installed"
        if missing:
            state = f"missing {', '.join(missing)}: pip install 'aiocoap[{extra}]'"
        lines.append(f"  {what + ':':<35} {state}")
    lines += ["", "Transports:"]
    for what, variable, names in (
        ("clients", "AIOCOAP_CLIENT_TRANSPORT", defaults.get_default_clienttransports()),
        ("servers", "AIOCOAP_SERVER_TRANSPORT", defaults.get_default_servertransports()),
    ):
        unknown = [name for name in names if name not in ROWS]
        lines.append(f"  opened by {what}:".ljust(38) + f"{', '.join(names)} ({variable})")
        if unknown:
            lines.append(f"  there is no transport {', '.join(unknown)}")
    lines.append("  to choose from:".ljust(38) + ", ".join(ROWS))
    reuse = "yes" if defaults.has_reuse_port() else "no"
    lines.append("  servers share their port:".ljust(38) + f"{reuse} (AIOCOAP_REUSE_PORT)")
    return "\n".join(lines)


def sync_main(args: Sequence[str] | None = None) -> None:
    """Be the program: print the report.

    Args:
        args: The arguments; None takes those of the process.

    Raises:
        SystemExit: The arguments can not be parsed, or the environment is broken.
    """
    parser = Parser(
        prog="aiocoap.cli.defaults",
        description="Show which optional modules are installed, and which transports are used",
    )
    add_version_argument(parser)
    parser.parse_args(args)
    try:
        print(report())
    except ValueError as problem:
        parser.error(str(problem))


if __name__ == "__main__":
    sync_main()

"""The reading order of the house, which is its architecture.

A module may import only modules standing before it; the list is also the tour for a newcomer.
Every module of the package stands here exactly once (``test_order`` holds both sides to it).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[2] / "aiocoap"

# Floor, name and rooms; rooms are relative to the package, "" is its root.
FLOORS: tuple[tuple[str, str], ...] = (
    (
        "0 vocabulary",
        """
        _faults meta
        util util.uri util.contenttype util.secrets util.logration
        _contentformat numbers.contentformat numbers.media_types optiontypes
        numbers.types numbers.constants numbers.codes numbers.optionnumbers numbers
        """,
    ),
    ("1 message", "requesturi address _optionviews options message error"),
    (
        "2 hearts",
        """
        sansio sansio.deadlines sansio.transfers
        sansio.observation sansio.blocksize sansio.blockclient sansio.blockserver
        sansio.blockwise sansio.deduplication sansio.endpoints
        sansio.transmission sansio.reliability sansio.matching sansio.addressproof sansio.echoes
        sansio.framing sansio.signaling sansio.patience
        """,
    ),
    ("3 contracts", "pipe interfaces _credentialdata _credentialentries credentials"),
    (
        "4 hands: messages",
        "messagemanager incomingrequest observerlist outgoingrequest tokenmanager",
    ),
    (
        "4 hands: sockets",
        """
        util.socknumbers util.asyncio util.asyncio.recvmsg util.asyncio.driving defaults
        transports transports.resolution transports.udpsocket transports.generic_udp
        transports.simple6 transports.simplesocketserver transports.udp6
        transports.rfc8323common transports.roster transports.connectionpool
        transports.tcp transports.tlsclaims transports.tlscontext transports.tlsfaults
        transports.tls
        transports.wslink transports.wsremote transports.ws
        """,
    ),
    ("4 hands: resources", "util.linkformat _site resource"),
    (
        "5 house",
        """
        transports.catalog groupresponses clientobservation observer registration
        delivery blockdelivery requester responserules serverobservation responder protocol
        """,
    ),
    ("5 house", "_root"),
    (
        "6 applications",
        """
        util.cbordiag util.linkformat_pygments util.prettyprint util.cli
        cli cli.common cli._options cli._payload cli._request cli._json cli._present
        cli._discover cli._output cli._commandline cli._exchange cli._interactive
        cli.client cli.defaults cli._mediatypes cli._tree cli._files cli._storing cli.fileserver
        """,
    ),
)

# Rooms that stand on an optional dependency. They alone may be imported from inside a function.
OPTIONAL_ROOMS = frozenset(
    {
        "transports.wslink",
        "util.linkformat",
        "util.linkformat_pygments",
    }
)

# Type names that look ahead, inside one floor only: what is named, and why it cannot be turned.
NAMED_AHEAD: dict[tuple[str, str], str] = {
    ("interfaces", "credentials"): "the documented attribute client_credentials names the map",
    ("serverobservation", "responder"): "it is handed the Responder that made it",
    ("responder", "protocol"): "it is handed the Context that made it",
    ("registration", "protocol"): "it is handed the Context that made it",
    ("transports.rfc8323common", "transports.connectionpool"): "a connection tells its pool",
    ("delivery", "protocol"): "it is handed the Context that made it",
    ("blockdelivery", "protocol"): "it is handed the Context that made it",
    ("requester", "protocol"): "it is handed the Context that made it",
}


class Import(NamedTuple):
    """One import statement's target, as seen from the importing room."""

    target: str  # a room of the package ("_root" for its root) or a foreign top-level module
    inside: bool  # whether the target is a room of this package
    lazy: bool  # in a function's body
    typing: bool  # under ``if TYPE_CHECKING``
    line: int


def rooms() -> list[str]:
    """Return all rooms in reading order."""
    return [room for _, text in FLOORS for room in text.split()]


def floor_of(room: str) -> str:
    """Return the name of the floor that a room is on."""
    return next(floor for floor, text in FLOORS if room in text.split())


def path_of(room: str) -> Path:
    """Return the file that a room is written in."""
    if room == "_root":
        return PACKAGE / "__init__.py"
    plain = PACKAGE.joinpath(*room.split("."))
    return plain / "__init__.py" if plain.is_dir() else plain.with_suffix(".py")


def existing_rooms() -> set[str]:
    """Return the rooms found on disk."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and parts[-1] == "__main__":
            continue
        found.add(".".join(parts) or "_root")
    return found


def _is_type_checking(node: ast.If) -> bool:
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(node: ast.AST, lazy: bool, typing: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy, typing
        elif isinstance(child, ast.If) and _is_type_checking(child):
            for part in child.body:
                yield from _statements(ast.Module([part], []), lazy, True)
            for part in child.orelse:
                yield from _statements(ast.Module([part], []), lazy, typing)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _statements(child, lazy or function, typing)


def imports_of(room: str, known: set[str], source: str | None = None) -> list[Import]:
    """Read every import of a room, resolved to rooms where it stays inside the package."""
    path = path_of(room)
    tree = ast.parse(path.read_text(encoding="utf-8") if source is None else source)
    parts = [] if room == "_root" else room.split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    found = []

    def add(dotted: list[str], lazy: bool, typing: bool, line: int) -> None:
        # The longest prefix that is a room; what remains are names inside it.
        while dotted and ".".join(dotted) not in known:
            dotted = dotted[:-1]
        found.append(Import(".".join(dotted) or "_root", True, lazy, typing, line))

    for node, lazy, typing in _statements(tree, False, False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names = alias.name.split(".")
                if names[0] == PACKAGE.name:
                    add(names[1:], lazy, typing, node.lineno)
                else:
                    found.append(Import(alias.name, False, lazy, typing, node.lineno))
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                base = base + (node.module.split(".") if node.module else [])
            elif node.module and node.module.split(".")[0] == PACKAGE.name:
                base = node.module.split(".")[1:]
            else:
                found.append(Import(node.module or "", False, lazy, typing, node.lineno))
                continue
            for alias in node.names:
                add([*base, alias.name], lazy, typing, node.lineno)
    return found


def main() -> None:
    """Print the files on the floors named, comma separated, for ``coverage report --include``."""
    floors = tuple(sys.argv[1:])
    files = [path_of(room) for room in rooms() if floor_of(room).startswith(floors)]
    print(",".join(str(path.relative_to(PACKAGE.parent)) for path in files))


if __name__ == "__main__":
    main()

"""doc/design.rst is the map of what stands."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture import order

MAP = (order.PACKAGE.parent / "doc" / "design.rst").read_text(encoding="utf-8")
WORDS = set(re.findall(r"``([^`]+)``", MAP))
KNOWN = order.existing_rooms()

# What has a limit in its name and bounds nothing that a stranger could fill.
NO_TABLES = {
    "numbers.constants": "transmission parameters of the RFC",
}
BOUND = re.compile(r"_?MAX_[A-Z_]+$")


def bounds() -> list[tuple[str, str]]:
    """Find the constants that bound something, by room."""
    found = []
    for room in order.rooms():
        if room not in KNOWN or room in NO_TABLES:
            continue
        for node in ast.parse(order.path_of(room).read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            found += [
                (room, target.id)
                for target in targets
                if isinstance(target, ast.Name) and BOUND.match(target.id)
            ]
    return found


@pytest.mark.parametrize("room", [room for room in order.rooms() if room != "_root"])
def test_every_room_is_on_the_map(room: str) -> None:
    assert room in WORDS


def test_rooms_stand_on_the_map_in_their_order() -> None:
    text = MAP.partition("The floors\n")[2].partition("The two paths\n")[0]
    places = [text.index(f"**Floor {number}") for number in sorted({f[0] for f, _ in order.FLOORS})]
    assert places == sorted(places)


@pytest.mark.parametrize(("room", "name"), bounds())
def test_every_bound_is_on_the_map(room: str, name: str) -> None:
    assert f"{room}.{name}" in WORDS


def test_the_map_shows_no_bound_that_is_gone() -> None:
    shown = {word for word in WORDS if BOUND.match(word.rpartition(".")[2]) and "." in word}
    existing = {f"{room}.{name}" for room, name in bounds()}
    assert {w for w in shown if not w.startswith("TransportTuning.")} == existing

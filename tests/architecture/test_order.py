"""The reading order holds: what a module imports stands before it."""

from __future__ import annotations

import pytest

from tests.architecture import order

ROOMS = order.rooms()
KNOWN = order.existing_rooms()
NAMES = KNOWN | set(ROOMS)  # a room that is still being written is a room all the same
PRESENT = [room for room in ROOMS if room in KNOWN]


def inside(room: str) -> list[order.Import]:
    return [found for found in order.imports_of(room, NAMES) if found.inside]


def test_every_module_is_in_the_list_once() -> None:
    assert len(ROOMS) == len(set(ROOMS))
    assert set(ROOMS) == KNOWN


@pytest.mark.parametrize("room", PRESENT)
def test_imports_point_backwards(room: str) -> None:
    before = set(ROOMS[: ROOMS.index(room)])
    wrong = [
        f"line {found.line}: {found.target}"
        for found in inside(room)
        if found.target not in before
        and found.target != room
        and not (found.typing and (room, found.target) in order.NAMED_AHEAD)
    ]
    assert wrong == [], f"{room} imports what does not stand before it"


@pytest.mark.parametrize("room", PRESENT)
def test_nobody_imports_the_root(room: str) -> None:
    assert [found.line for found in inside(room) if found.target == "_root"] == []


@pytest.mark.parametrize("room", PRESENT)
def test_lazy_imports_are_for_optional_dependencies(room: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in inside(room)
        if found.lazy and not found.typing and found.target not in order.OPTIONAL_ROOMS
    ]
    assert wrong == []


def test_wings_of_the_fourth_floor_do_not_know_each_other() -> None:
    wrong = []
    for room in PRESENT:
        wing = order.floor_of(room)
        if wing.startswith("4"):
            wrong += [
                f"{room} line {found.line}: {found.target}"
                for found in inside(room)
                if order.floor_of(found.target).startswith("4")
                and order.floor_of(found.target) != wing
            ]
    assert wrong == []


def test_names_ahead_stay_on_one_floor_and_are_needed() -> None:
    for (room, target), reason in order.NAMED_AHEAD.items():
        assert reason
        assert order.floor_of(room)[0] == order.floor_of(target)[0]
        assert ROOMS.index(room) < ROOMS.index(target)
        assert any(found.typing and found.target == target for found in inside(room)), (
            f"{room} no longer names {target}: strike the row"
        )


def test_the_catalog_looks_backwards() -> None:
    from aiocoap.transports import catalog

    before = ROOMS[: ROOMS.index("transports.catalog")]
    assert [
        name for name, row in catalog.ROWS.items() if f"transports.{row.module}" not in before
    ] == []


def test_only_what_needs_a_dependency_counts_as_optional() -> None:
    assert set(ROOMS) >= order.OPTIONAL_ROOMS


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from . import _faults", ("_faults", True, False, False)),
        ("from .numbers import codes", ("numbers.codes", True, False, False)),
        ("from .numbers import GET", ("numbers", True, False, False)),
        ("from .numbers.codes import GET", ("numbers.codes", True, False, False)),
        ("from . import GET", ("_root", True, False, False)),
        ("import aiocoap", ("_root", True, False, False)),
        ("import aiocoap.message", ("message", True, False, False)),
        ("from aiocoap import message", ("message", True, False, False)),
        ("import socket", ("socket", False, False, False)),
        ("from os import path", ("os", False, False, False)),
        ("def f():\n    from . import message", ("message", True, True, False)),
        ("if TYPE_CHECKING:\n    from . import pipe", ("pipe", True, False, True)),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import time", ("time", False, False, False)),
        ("try:\n    import time\nexcept E:\n    pass", ("time", False, False, False)),
    ],
)
def test_the_reader_sees_every_kind_of_import(
    source: str, expected: tuple[str, bool, bool, bool]
) -> None:
    known = {"_faults", "numbers", "numbers.codes", "message", "pipe", "options"}
    (found,) = order.imports_of("options", known, source)
    assert found[:4] == expected

"""The lower floors decide; they do no input or output, and read no clock and no dice."""

from __future__ import annotations

import ast

import pytest

from tests.architecture import order

KNOWN = order.existing_rooms()
ROOMS = [room for room in order.rooms() if room in KNOWN]

IMPURE = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "threading", "queue", "sched", "signal"),
        *("selectors", "select", "socket", "socketserver", "ssl", "subprocess", "uvloop"),
        *("io", "os", "pathlib", "shutil", "tempfile", "fcntl", "mmap"),
        *("datetime", "time", "random", "secrets", "uuid", "zoneinfo"),
        *("logging", "warnings", "sys", "argparse", "http", "urllib"),
    }
)

# (room, module): why this one has it all the same.
ALLOWED: dict[tuple[str, str], str] = {
    ("util.secrets", "secrets"): "it is the documented name for the standard library's module",
}


def floor(number: int) -> list[str]:
    return [room for room in ROOMS if order.floor_of(room)[0] == str(number)]


def foreign(room: str) -> list[order.Import]:
    return [found for found in order.imports_of(room, KNOWN) if not found.inside]


@pytest.mark.parametrize("room", [*floor(0), *floor(1), *floor(2)])
def test_no_input_output_below_the_contracts(room: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in foreign(room)
        if found.target.split(".")[0] in IMPURE and (room, found.target) not in ALLOWED
    ]
    assert wrong == []


@pytest.mark.parametrize("room", floor(3))
def test_contracts_know_asyncio_by_its_type_names_only(room: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in foreign(room)
        if found.target.split(".")[0] in {"asyncio", "socket", "time", "random", "secrets"}
        and not found.typing
    ]
    assert wrong == []


@pytest.mark.parametrize("room", [*floor(0), *floor(1), *floor(2), *floor(3)])
def test_no_clock_and_no_dice(room: str) -> None:
    tree = ast.parse(order.path_of(room).read_text(encoding="utf-8"))
    wrong = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"time", "random"}
    ]
    assert wrong == []


@pytest.mark.parametrize("room", floor(2))
def test_hearts_know_no_future_and_no_logger(room: str) -> None:
    tree = ast.parse(order.path_of(room).read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"Future", "Task", "Logger", "LoggerAdapter", "getLogger", "print", "open"}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))


def test_allowances_are_still_used() -> None:
    for room, module in ALLOWED:
        assert any(found.target == module for found in foreign(room))

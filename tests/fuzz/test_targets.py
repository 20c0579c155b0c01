"""Every target with a few thousand damaged inputs, and with those that once did harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import SEEDS, TARGETS, mutations

FOUND = Path(__file__).parent / "found"


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    count = 0
    for data in mutations(SEEDS[name], 2_000 if name == "cbor" else 10_000, seed=7252):
        TARGETS[name](data)
        count += 1
    assert count > 1_000


@pytest.mark.parametrize(
    "path",
    sorted(path for path in FOUND.glob("*-*") if not path.name.startswith("stream-")),
    ids=lambda path: path.name,
)
def test_what_was_found(path: Path) -> None:
    """Files in ``found`` are named after their target: ``uri-1``."""
    TARGETS[path.name.rsplit("-", 1)[0]](path.read_bytes())


def test_there_is_a_seed_for_every_target() -> None:
    assert set(SEEDS) == set(TARGETS)

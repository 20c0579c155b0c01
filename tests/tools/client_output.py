"""The JSON that aiocoap-client prints, held to its published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import jsonschema

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "doc/client-output.schema.json").read_text("utf-8")
)
_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def _refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def read(line: str) -> dict[str, Any]:
    """Return the object in a line of output; it is as the schema says."""
    assert line.isprintable(), line
    found = json.loads(line, parse_constant=_refuse)
    _VALIDATOR.validate(found)
    return dict(found)


def read_all(output: bytes) -> list[dict[str, Any]]:
    """Return the objects in some output, one in each line."""
    text = output.decode()
    assert text.endswith("\n")
    return [read(line) for line in text[:-1].split("\n")]

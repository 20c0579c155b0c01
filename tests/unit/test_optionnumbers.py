"""Option numbers and the option table, against the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocoap import optiontypes
from aiocoap.message import Message
from aiocoap.numbers import GET, OptionNumber
from aiocoap.numbers.optionnumbers import REGISTRY

ROWS = json.loads((Path(__file__).parents[1] / "vectors" / "coap-options.json").read_text("utf-8"))[
    "options"
]

FORMATS = {
    "opaque": {optiontypes.OpaqueOption},
    "empty": {optiontypes.OpaqueOption},
    "string": {optiontypes.StringOption},
    "uint": {
        optiontypes.UintOption,
        optiontypes.BlockOption,
        optiontypes.ContentFormatOption,
    },
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_registry(row: dict[str, Any]) -> None:
    number = OptionNumber(row["number"])
    known = REGISTRY[number]
    assert known.name == row["name"]
    assert known.format in FORMATS[row["format"]]
    assert number.format is known.format
    assert (known.minimum, known.maximum) == (row["min_length"], row["max_length"])
    assert known.repeatable is row["repeatable"]
    assert number.is_critical() is row["critical"]
    assert number.is_elective() is not row["critical"]
    assert number.is_unsafe() is row["unsafe_to_forward"]
    assert number.is_safetoforward() is not row["unsafe_to_forward"]
    if row["unsafe_to_forward"]:
        for method in (number.is_nocachekey, number.is_cachekey):
            with pytest.raises(ValueError, match="safe to forward"):
                method()
    else:
        assert number.is_nocachekey() is row["no_cache_key"]
        assert number.is_cachekey() is not row["no_cache_key"]
    oscore_class = row["oscore_class"]
    if oscore_class[:1] in "EU" and oscore_class[1:2] in ("", " "):
        expected = "EU" if oscore_class == "E and U" else oscore_class[0]
        assert known.oscore_class == expected


def test_every_row_has_a_name_and_every_name_a_row() -> None:
    assert {int(number) for number in OptionNumber} == set(REGISTRY)
    assert set(REGISTRY) == {row["number"] for row in ROWS} | {548}
    for number, row in REGISTRY.items():
        name = OptionNumber(number).name
        if name != "OBJECT_SECURITY":
            assert name == row.name.upper().replace("-", "_")


def test_documented_reprs() -> None:
    assert repr(OptionNumber.IF_MATCH) == '<OptionNumber 1 "IF_MATCH">'
    assert repr(OptionNumber.OBJECT_SECURITY) == '<OptionNumber 9 "OBJECT_SECURITY">'
    assert OptionNumber.OSCORE is OptionNumber.OBJECT_SECURITY
    assert str(OptionNumber.URI_PATH) == "URI_PATH"
    assert str(OptionNumber(2048)) == "Option 2048"


def test_create_option() -> None:
    empty = OptionNumber.URI_PATH.create_option()
    assert type(empty) is optiontypes.StringOption
    assert empty.value == ""
    assert OptionNumber.URI_PATH.create_option(decode=b"a").value == "a"
    assert OptionNumber.SIZE1.create_option(value=5).encode() == b"\5"
    unknown = OptionNumber(2048).create_option(decode=b"a")
    assert type(unknown) is optiontypes.OpaqueOption
    assert unknown.number == 2048


def test_programs_give_formats_to_options_of_their_own() -> None:
    number = OptionNumber(65000)
    assert number.format is optiontypes.OpaqueOption
    number.format = optiontypes.StringOption
    try:
        assert OptionNumber(65000).format is optiontypes.StringOption
        message = Message(code=GET)
        message.opt.decode(b"\xe1" + (65000 - 269).to_bytes(2, "big") + b"a")
        assert [one.value for one in message.opt.get_option(65000)] == ["a"]
    finally:
        number.format = optiontypes.OpaqueOption


def test_formats_of_the_registry_stay() -> None:
    OptionNumber.ETAG.format = optiontypes.OpaqueOption
    with pytest.raises(ValueError, match="OpaqueOption"):
        OptionNumber.ETAG.format = optiontypes.StringOption
    assert OptionNumber.ETAG.format is optiontypes.OpaqueOption

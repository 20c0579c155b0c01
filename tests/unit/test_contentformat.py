"""Content formats, against the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocoap import _contentformat
from aiocoap.numbers.contentformat import ContentFormat

ROWS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "content-formats.json").read_text("utf-8")
)["formats"]


@pytest.fixture
def tables() -> Iterator[None]:
    """Put the tables back afterwards, which `define` changes for the whole program."""
    names = ("MEDIA_TYPES", "MEDIA_TYPES_REV", "_CODED", "_by_canonical")
    ContentFormat.by_media_type("application/json")
    before = {name: dict(getattr(_contentformat, name)) for name in names}
    yield
    for name, content in before.items():
        table = getattr(_contentformat, name)
        table.clear()
        table.update(content)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["id"]))
def test_registry(row: dict[str, Any]) -> None:
    number = ContentFormat(row["id"])
    coding = row["content_coding"] or "identity"
    assert number.is_known()
    assert number.encoding == coding
    assert number.media_type is not None
    assert number.media_type.replace(" ", "") == row["content_type"].replace(" ", "")
    assert ContentFormat.by_media_type(row["content_type"], coding) is number
    # Type and subtype have no case; values of parameters have.
    essence, _, parameters = number.media_type.partition(";")
    assert ContentFormat.by_media_type(f"{essence.upper()} ;{parameters}", coding) is number


def test_constants() -> None:
    assert ContentFormat.TEXT == 0
    assert ContentFormat.LINKFORMAT == 40
    assert ContentFormat.OCTETSTREAM == 42
    assert ContentFormat.JSON == 50
    assert ContentFormat.CBOR == 60
    assert ContentFormat.SENML == 112
    assert ContentFormat.SENML.media_type == "application/senml+cbor"
    assert ContentFormat.JSON.name == "JSON"


def test_known_numbers_are_there_once_and_others_are_not_kept() -> None:
    assert ContentFormat(11542) is ContentFormat(11542)
    assert ContentFormat(65001) is not ContentFormat(65001)


def test_unknown_numbers() -> None:
    unknown = ContentFormat(65001)
    assert not unknown.is_known()
    assert unknown.media_type is None
    assert unknown.encoding is None
    assert str(unknown) == "ContentFormat(65001)"
    assert repr(unknown) == "<ContentFormat 65001 (unknown)>"


def test_how_they_look() -> None:
    assert str(ContentFormat.JSON) == "application/json"
    assert str(ContentFormat(11050)) == "application/json in deflate"
    assert repr(ContentFormat.JSON) == '<ContentFormat 50 "application/json">'
    assert repr(ContentFormat(11050)) == '<ContentFormat 11050 "application/json" deflate>'


@pytest.mark.parametrize(
    ("media_type", "number"),
    [
        ("text/plain", 0),
        ("text/plain;charset=utf-8", 0),
        ('TEXT/plain ; Charset="UTF-8"', 0),
        ("application/json", 50),
        ("application/json;", 50),
        (" Application/JSON ", 50),
        ('application/cose;cose-type="cose-sign1"', 18),
        ("application/cose; cose-type=cose-sign1", 18),
    ],
)
def test_spellings(media_type: str, number: int) -> None:
    assert ContentFormat.by_media_type(media_type) == number


@pytest.mark.parametrize(
    ("media_type", "encoding"),
    [
        ("application/x-unknown", "identity"),
        ("application/json", "br"),
        ("application/cose", "identity"),
        ("text/plain; charset=latin-1", "identity"),
    ],
)
def test_without_a_number(media_type: str, encoding: str) -> None:
    with pytest.raises(KeyError, match="no content format"):
        ContentFormat.by_media_type(media_type, encoding)


def test_coding_is_part_of_the_identity() -> None:
    assert ContentFormat.by_media_type("application/json", "deflate") == 11050
    assert ContentFormat.by_media_type("application/json", "Zstd") == 12050


@pytest.mark.usefixtures("tables")
def test_define() -> None:
    one = ContentFormat.define(65001, "application/x-one")
    assert one == 65001
    assert one.is_known()
    assert one.media_type == "application/x-one"
    assert one.encoding == "identity"
    assert ContentFormat.by_media_type("Application/X-One") == 65001
    assert _contentformat.MEDIA_TYPES[65001] == "application/x-one"
    assert _contentformat.MEDIA_TYPES_REV["application/x-one"] == 65001
    # Once more is fine.
    assert ContentFormat.define(65001, "application/x-one") == 65001


@pytest.mark.usefixtures("tables")
def test_define_with_a_coding() -> None:
    packed = ContentFormat.define(65002, "application/json", "x-packed")
    assert packed.encoding == "x-packed"
    assert packed.media_type == "application/json"
    assert 65002 not in _contentformat.MEDIA_TYPES
    assert _contentformat.MEDIA_TYPES_REV["application/json"] == 50


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("number", "media_type", "reason"),
    [
        (-1, "application/x-one", "numbered 0 to 65535"),
        (65536, "application/x-one", "numbered 0 to 65535"),
        (50, "application/x-one", "is 'application/json'"),
        (65001, "application/json", "is content format 50"),
        (11050, "application/x-one", "is 'application/json'"),
    ],
)
def test_define_contradicts(number: int, media_type: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ContentFormat.define(number, media_type)
    assert "application/x-one" not in _contentformat.MEDIA_TYPES_REV


def test_the_lookup_is_built_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_contentformat, "_by_canonical", {})
    assert ContentFormat.by_media_type("application/cbor") is ContentFormat.CBOR
    assert len(_contentformat._by_canonical) == len(ROWS)

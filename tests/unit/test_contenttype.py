"""What content types are built on."""

from __future__ import annotations

import pytest

from aiocoap.util.contenttype import categorize


@pytest.mark.parametrize(
    ("contenttype", "category"),
    [
        ("application/cbor", "cbor"),
        ("application/senml+cbor", "cbor"),
        ("application/cose; cose-type=cose-sign1", "cbor"),
        ("application/cwt", "cbor"),
        ("application/suit-report+cose", "cbor"),
        ("application/json", "json"),
        ("Application/SenML+JSON", "json"),
        ("application/json;charset=utf-8", "json"),
        ("application/link-format", "link-format"),
        ("text/plain; charset=utf-8", None),
        ("application/cbor-seq", None),
        ("application/missing-blocks+cbor-seq", None),
        ("application/senml+xml", None),
        ("json", None),
        ("", None),
    ],
)
def test_categorize(contenttype: str, category: str | None) -> None:
    assert categorize(contenttype) == category

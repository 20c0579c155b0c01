"""What format a file has, by its name."""

from __future__ import annotations

import pytest

from aiocoap.cli._mediatypes import guess_format


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("a.txt", 0),
        ("a.json", 50),
        ("a.JSON", 50),
        ("a.xml", 41),
        ("a.cbor", 60),
        ("a.senml", 110),
        ("a.senmlc", 112),
        ("a.wlnk", 40),
        ("a.png", 22 + 1),
        ("a.svg", 30000),
        ("a.css", 20000),
        ("a.js", 10002),
        ("a.bin", 42),
        ("README", None),
        ("a.html", None),
        ("a.txt.gz", None),
        ("a.nonsense", None),
        (".txt", None),
        ("data:text/plain,x", None),
        ("http://[", None),
    ],
)
def test_formats_by_names(name: str, number: int | None) -> None:
    assert guess_format(name) == number

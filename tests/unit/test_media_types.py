"""Media types as plain dictionaries."""

from __future__ import annotations

from aiocoap import numbers
from aiocoap.numbers.media_types import media_types, media_types_rev


def test_both_ways() -> None:
    assert media_types[50] == "application/json"
    assert media_types_rev["application/json"] == 50
    assert all(media_types_rev[name] == number for number, name in media_types.items())


def test_text_without_a_charset_is_known() -> None:
    assert media_types_rev["text/plain"] == 0
    assert media_types[0].startswith("text/plain")


def test_coded_formats_are_left_out() -> None:
    assert 11050 not in media_types


def test_the_package_has_the_dictionaries_by_the_same_names() -> None:
    assert numbers.media_types is media_types
    assert numbers.media_types_rev is media_types_rev

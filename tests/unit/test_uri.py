"""Percent-encoding."""

from __future__ import annotations

import pytest

from aiocoap.util.uri import quote_factory, sub_delims, unreserved


def test_the_classes_are_those_of_rfc3986() -> None:
    assert len(unreserved) == 66
    assert sub_delims == "!$&'()*+,;="
    assert not set(unreserved) & set(sub_delims)


def test_safe_characters_stay() -> None:
    quote = quote_factory(unreserved + sub_delims)
    assert quote(unreserved + sub_delims) == unreserved + sub_delims


def test_everything_else_is_encoded_in_upper_case() -> None:
    quote = quote_factory(unreserved)
    assert quote("a/b?c%d") == "a%2Fb%3Fc%25d"
    assert quote("\n\x7f") == "%0A%7F"
    assert quote("ü") == "%C3%BC"


def test_a_safe_character_need_not_be_ascii() -> None:
    assert quote_factory("ü")("üa") == "ü%61"


def test_what_has_no_utf8_form_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        quote_factory(unreserved)("\ud800")

"""The table of option values, and views of single options."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap import _optionviews
from aiocoap._optionviews import (
    OpaquesView,
    Seen,
    Table,
    TextsView,
    TextView,
    UintView,
    Values,
    View,
    is_utf8,
    raw_of,
)
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import StringOption, UintOption


class Some(Values):
    __slots__ = ()

    host = TextView(OptionNumber.URI_HOST, "A host.")
    path = TextsView(OptionNumber.URI_PATH, "A path.")
    size = UintView(OptionNumber.SIZE1, "A size.")
    tags = OpaquesView(OptionNumber.REQUEST_TAG, "Tags.")


def test_a_view_on_the_class_is_itself() -> None:
    for view in (Some.host, Some.path, Some.size, Some.tags):
        assert isinstance(view, View)
    assert Some.size.name == "Size1"
    assert str(Some.size.__doc__).startswith("A size.\n")


@pytest.mark.parametrize("name", [n for n in _optionviews.__all__ if n.endswith("View")])
def test_every_view_documents_where_its_option_is_from(name: str) -> None:
    kind: Any = getattr(_optionviews, name)
    view = kind(OptionNumber.ETAG, "Text.")
    assert "RFC 7252 5.10.6" in view.__doc__


def test_values_are_kept_as_bytes() -> None:
    some = Some()
    some.path = ("a", "b")
    some.size = 300
    assert some._values == {11: (b"a", b"b"), 60: (b"\1\x2c",)}
    some.size = None
    del some.path
    assert some._values == {}


def test_all_values_are_checked_before_any_is_set() -> None:
    some = Some()
    some.tags = (b"a",)
    with pytest.raises(ValueError, match="Request-Tag takes 0 to 8 bytes, not 9"):
        some.tags = (b"b", 9 * b"b")
    assert some.tags == (b"a",)


def test_seen_occurrences_keep_their_bytes_until_they_change() -> None:
    option = UintOption(60)
    option.decode(b"\0\5")
    seen = Seen(option, b"\0\5")
    assert raw_of(seen) == b"\0\5"
    copy = seen.copy()
    assert raw_of(copy) == b"\0\5"
    option.value = 6
    assert raw_of(seen) == b"\6"
    assert raw_of(copy) == b"\0\5"
    assert raw_of(seen.copy()) == b"\6"


def test_tables_copy_their_objects() -> None:
    option = StringOption(11, "a")
    table = Table({11: (b"x", option)})
    copy = table.copy()
    option.value = "b"
    assert [raw_of(o) for o in copy[11]] == [b"x", b"a"]
    assert [raw_of(o) for o in table[11]] == [b"x", b"b"]
    assert type(copy.copy()) is Table


@pytest.mark.parametrize(
    ("raw", "is_text"),
    [(b"", True), (b"a\0", True), (b"\xc3\xa9", True), (b"\xff", False), (b"\xc3", False)],
)
def test_is_utf8(raw: bytes, is_text: bool) -> None:
    assert is_utf8(raw) is is_text

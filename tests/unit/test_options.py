"""Options by name and by number, and which of them count."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap import optiontypes
from aiocoap.error import UnparsableMessage
from aiocoap.numbers import OptionNumber
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.numbers.optionnumbers import REGISTRY
from aiocoap.options import Options
from aiocoap.optiontypes import (
    BlockOption,
    OpaqueOption,
    StringOption,
    UintOption,
)


def of(*pairs: tuple[int, bytes]) -> Options:
    """Return options as if they had come in."""
    opt = Options()
    for number, raw in pairs:
        opt.add_option(OpaqueOption(number, raw))
    decoded = Options()
    assert decoded.decode(opt.encode()) == b""
    return decoded


# Reading and writing by name

BY_NAME: list[tuple[str, Any, list[tuple[int, bytes]]]] = [
    ("if_match", (b"", b"a"), [(1, b""), (1, b"a")]),
    ("uri_host", "h", [(3, b"h")]),
    ("etag", b"a", [(4, b"a")]),
    ("etags", (b"a", b"b"), [(4, b"a"), (4, b"b")]),
    ("if_none_match", True, [(5, b"")]),
    ("observe", 0, [(6, b"")]),
    ("observe", 65536, [(6, b"\1\0\0")]),
    ("uri_port", 61616, [(7, b"\xf0\xb0")]),
    ("location_path", ("a", ""), [(8, b"a"), (8, b"")]),
    ("oscore", b"", [(9, b"")]),
    ("object_security", b"\x09", [(9, b"\x09")]),
    ("uri_path", ("other", "sep"), [(11, b"other"), (11, b"sep")]),
    ("content_format", 0, [(12, b"")]),
    ("content_format", 11542, [(12, b"\x2d\x16")]),
    ("max_age", 60, [(14, b"\x3c")]),
    ("uri_query", ("a=1",), [(15, b"a=1")]),
    ("hop_limit", 16, [(16, b"\x10")]),
    ("hop_limit", 0, [(16, b"\0")]),
    ("accept", 50, [(17, b"\x32")]),
    ("q_block1", (1, True, 6), [(19, b"\x1e")]),
    ("location_query", ("a",), [(20, b"a")]),
    ("edhoc", True, [(21, b"")]),
    ("block2", (0, False, 0), [(23, b"")]),
    ("block1", (4096, False, 6), [(27, b"\1\0\6")]),
    ("size2", 0, [(28, b"")]),
    ("q_block2", ((1, False, 6), (2, False, 6)), [(31, b"\x16"), (31, b"\x26")]),
    ("proxy_uri", "coap://h", [(35, b"coap://h")]),
    ("proxy_scheme", "coap", [(39, b"coap")]),
    ("size1", 300, [(60, b"\1\x2c")]),
    ("echo", b"a", [(252, b"a")]),
    ("no_response", 26, [(258, b"\x1a")]),
    ("request_tag", (b"", b"a"), [(292, b""), (292, b"a")]),
    ("request_hash", b"a", [(548, b"a")]),
]


@pytest.mark.parametrize(("name", "value", "items"), BY_NAME)
def test_by_name(name: str, value: Any, items: list[tuple[int, bytes]]) -> None:
    opt = Options()
    absent = getattr(opt, name)
    assert absent in (None, (), False)
    setattr(opt, name, value)
    assert getattr(opt, name) == value
    assert opt.raw_items() == items
    # The same when it came in, and when it was handed in as objects.
    assert getattr(of(*items), name) == value
    objects = Options()
    for number, raw in items:
        # A number as such does not know that Hop-Limit has a fixed length.
        kind = OpaqueOption if name == "hop_limit" else OptionNumber(number).format
        option = kind(number)
        option.decode(raw)
        objects.add_option(option)
    assert getattr(objects, name) == value
    # And removed again, in both ways.
    setattr(opt, name, None)
    assert opt.raw_items() == []
    delattr(objects, name)
    assert objects.raw_items() == []
    delattr(objects, name)


def test_every_option_of_the_table_has_a_property() -> None:
    for number in REGISTRY:
        view = getattr(Options, OptionNumber(number).name.lower())
        assert view.number == number
        assert REGISTRY[number].reference in view.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    opt = Options()
    with pytest.raises(AttributeError):
        opt.uri_pat = ("a",)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uri_host", ""),
        ("uri_host", 256 * "a"),
        ("uri_port", 65536),
        ("uri_path", [256 * "a"]),
        ("uri_path", ["\ud800"]),
        ("etag", b""),
        ("etag", 9 * b"a"),
        ("if_match", [9 * b"a"]),
        ("observe", 1 << 24),
        ("observe", -1),
        ("content_format", 65536),
        ("content_format", -1),
        ("hop_limit", 256),
        ("block2", (1 << 20, False, 0)),
        ("q_block2", [(0, False, 8)]),
        ("proxy_uri", 1035 * "a"),
        ("echo", b""),
    ],
)
def test_values_that_do_not_fit(name: str, value: Any) -> None:
    opt = Options()
    with pytest.raises(ValueError, match=r"bytes|negative|range|surrogates"):
        setattr(opt, name, value)
    assert opt.raw_items() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uri_path", "a"),
        ("uri_path", [b"a"]),
        ("uri_host", b"h"),
        ("etag", "a"),
        ("etag", 5),
        ("etags", b"a"),
        ("etags", bytearray(b"a")),
        ("etags", [5]),
        ("observe", "0"),
        ("size1", 300.5),
    ],
)
def test_values_of_another_kind(name: str, value: Any) -> None:
    opt = Options()
    with pytest.raises(TypeError):
        setattr(opt, name, value)
    assert opt.raw_items() == []


def test_kinds_of_bytes_are_all_the_same() -> None:
    opt = Options()
    opt.etag = bytearray(b"a")  # type: ignore[assignment]
    opt.request_tag = (memoryview(b"b"),)  # type: ignore[assignment]
    assert opt.etag == b"a"
    assert type(opt.etag) is bytes
    assert opt.request_tag == (b"b",)


def test_content_formats_come_as_such() -> None:
    opt = of((12, b""), (17, b"\xfd\xe9"))
    assert opt.content_format is ContentFormat.TEXT
    assert opt.accept == 65001
    assert isinstance(opt.accept, ContentFormat)
    opt.content_format = ContentFormat.CBOR
    assert opt.content_format is ContentFormat.CBOR


def test_setting_by_any_iterable() -> None:
    opt = Options()
    opt.uri_path = (part for part in ("a", "b"))  # type: ignore[assignment]
    assert opt.uri_path == ("a", "b")
    opt.uri_path = []  # type: ignore[assignment]
    assert opt.uri_path == ()
    assert 11 not in opt


def test_false_takes_a_presence_away() -> None:
    opt = of((5, b""))
    opt.if_none_match = False
    assert 5 not in opt


# Which occurrences count (section 5.4)


@pytest.mark.parametrize(
    ("name", "items", "seen"),
    [
        # Lengths are judged occurrence by occurrence.
        ("etag", [(4, b"")], None),
        ("etag", [(4, b"a"), (4, b"")], b"a"),
        ("etags", [(4, b""), (4, b"a"), (4, 9 * b"a")], (b"a",)),
        ("uri_port", [(7, b"\0\0\1")], None),
        ("uri_port", [(7, b"\0\1")], 1),
        ("size1", [(60, b"\1"), (60, b"\2")], 1),
        ("content_format", [(12, b"\0\0\0")], None),
        ("block2", [(23, b"\0\0\0\0")], None),
        ("if_none_match", [(5, b"a")], False),
        ("uri_path", [(11, b"a"), (11, 256 * b"b"), (11, b"\xff"), (11, b"c")], ("a", "c")),
        ("uri_path", [(11, b"h\xc3\xa9")], ("h\u00e9",)),
        ("uri_host", [(3, b"\xff")], None),
        ("uri_host", [(3, b"h\xc3\xa9")], "h\u00e9"),
        ("q_block2", [(31, b""), (31, b"\0\0\0\0")], ((0, False, 0),)),
    ],
)
def test_unacceptable_occurrences_read_as_absent(
    name: str, items: list[tuple[int, bytes]], seen: Any
) -> None:
    assert getattr(of(*items), name) == seen
    objects = of(*items)
    objects.option_list()
    assert getattr(objects, name) == seen


@pytest.mark.parametrize(
    ("items", "refused"),
    [
        ([], 0),
        ([(11, b"a"), (11, b"b")], 0),
        ([(11, b"h\xc3\xa9")], 0),
        ([(11, b"\xff")], 11),
        ([(11, 256 * b"a")], 11),
        ([(11, b"..")], 11),
        ([(11, b"a"), (11, b".")], 11),
        ([(11, b"..."), (11, b"a.")], 0),
        ([(3, b"h"), (3, b"h")], 3),
        ([(3, b"")], 3),
        ([(17, b"\0\0\0")], 17),
        ([(15, b"..")], 0),
        ([(2049, b"")], 2049),
        # Elective options never are a reason.
        ([(2048, b""), (4, b""), (12, b"\0\0\0"), (12, b"")], 0),
    ],
)
def test_unusable_critical(items: list[tuple[int, bytes]], refused: int) -> None:
    assert of(*items).unusable_critical() == refused
    objects = of(*items)
    objects.option_list()
    assert objects.unusable_critical() == refused


def test_what_is_handled_is_told_by_the_caller() -> None:
    opt = of((11, b"a"), (17, b""), (2049, b"anything"))
    assert opt.unusable_critical({11, 17}.__contains__) == 2049
    assert opt.unusable_critical({11, 2049}.__contains__) == 17
    assert opt.unusable_critical(lambda number: True) == 0


# By number, as objects


def test_options_of_any_number() -> None:
    opt = Options()
    opt.add_option(StringOption(2048, "a text"))
    (option,) = opt.get_option(2048)
    assert option.value == "a text"
    assert opt.raw_items() == [(2048, b"a text")]
    assert opt.get_option(2049) == []
    opt.delete_option(2048)
    opt.delete_option(2048)
    assert opt.get_option(2048) == []


def test_changes_to_objects_are_seen() -> None:
    opt = of((11, b"a"))
    opt.get_option(11)[0].value = "b"
    assert opt.uri_path == ("b",)
    assert opt.encode() == b"\xb1b"
    own = UintOption(60, 1)
    opt.add_option(own)
    own.value = 2
    assert opt.size1 == 2
    opt.get_option(OptionNumber.SIZE1)[0].value = 3
    assert own.value == 3


def test_looking_at_objects_changes_nothing() -> None:
    opt = of((60, b"\0\1"), (11, b"\xff"), (17, b"\0\0\0"))
    raw = opt.encode()
    assert [o.value for o in opt.option_list()] == ["\udcff", 0, 1]
    assert opt.encode() == raw
    assert opt.copy().encode() == raw
    opt.get_option(60)[0].value = 2
    assert opt.raw_items()[-1] == (60, b"\2")
    assert opt.copy().raw_items()[-1] == (60, b"\2")


def test_option_list_is_in_order() -> None:
    opt = of((60, b"\1"), (11, b"a"), (11, b"b"))
    assert [(o.number, o.value) for o in opt.option_list()] == [(11, "a"), (11, "b"), (60, 1)]
    assert [type(o) for o in opt.option_list()] == [StringOption, StringOption, UintOption]


@pytest.mark.parametrize("number", [-1, 65536])
def test_numbers_out_of_range(number: int) -> None:
    with pytest.raises(ValueError, match="numbered"):
        Options().add_option(OpaqueOption(number))


def test_a_block_option_without_a_value_shows_when_it_is_encoded() -> None:
    opt = Options()
    opt.add_option(BlockOption(23))
    with pytest.raises(ValueError, match="needs a value"):
        opt.encode()


# The codec; more of it is in tests/vectors and tests/property


def test_decoding_returns_the_payload() -> None:
    opt = Options()
    assert opt.decode(b"\xb1a\xff\xff") == b"\xff"
    assert opt.uri_path == ("a",)


def test_decoding_adds_to_what_is_there() -> None:
    opt = of((11, b"a"), (12, b""))
    assert opt.decode(b"\xb1b\xd2\x24hi") == b""
    assert opt.raw_items() == [(11, b"a"), (11, b"b"), (12, b""), (60, b"hi")]


def test_what_can_not_be_decoded_leaves_no_trace() -> None:
    opt = of((11, b"a"))
    with pytest.raises(UnparsableMessage):
        opt.decode(b"\x51b\xb5c")
    assert opt.raw_items() == [(11, b"a")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff", "without a payload"),
        (b"\xf0", "delta 15"),
        (b"\x0f", "length 15"),
        (b"\xd0", "header cut short"),
        (b"\xe0\0", "header cut short"),
        (b"\x0d", "header cut short"),
        (b"\x0e\0", "header cut short"),
        (b"\x02a", "value cut short"),
        (b"\x0e\xff\xff", "value cut short"),
        (b"\xe0\xff\xff", "beyond 65535"),
        (b"\xe0\xfe\xf2\x10\xffa", "beyond 65535"),
    ],
)
def test_undecodable(raw: bytes, reason: str) -> None:
    with pytest.raises(UnparsableMessage, match=reason):
        Options().decode(raw)


def test_option_number_zero() -> None:
    opt = Options()
    opt.decode(b"\x01a\x01b\x01c\x10")
    assert opt.raw_items() == [(0, b"a"), (0, b"b"), (0, b"c"), (1, b"")]


def test_the_greatest_number_and_length() -> None:
    opt = Options()
    opt.add_option(OpaqueOption(65535, bytes(65804)))
    assert of(*opt.raw_items()) == opt
    opt.add_option(OpaqueOption(65535, bytes(65805)))
    with pytest.raises(ValueError, match="too large"):
        opt.encode()


# Copies


def test_copies_share_nothing_that_changes() -> None:
    one = of((11, b"a"), (11, b"b"), (60, b"\1"))
    other = one.copy()
    assert other == one
    other.add_option(StringOption(11, "c"))
    other.size1 = 2
    other.get_option(11)[0].value = "z"
    assert one.raw_items() == [(11, b"a"), (11, b"b"), (60, b"\1")]
    assert other.raw_items() == [(11, b"z"), (11, b"b"), (11, b"c"), (60, b"\2")]
    one.decode(b"\xb1d")
    assert other.uri_path == ("z", "b", "c")


def test_objects_are_copied_too() -> None:
    one = of((11, b"a"), (60, b"\1"))
    one.get_option(11)
    other = one.copy()
    other.get_option(11)[0].value = "z"
    one.get_option(11)[0].value = "y"
    third = other.copy()
    assert (one.uri_path, other.uri_path, third.uri_path) == (("y",), ("z",), ("z",))
    assert other.size1 == 1


def test_without() -> None:
    one = of((11, b"a"), (60, b"\1"))
    assert one.without(60).raw_items() == [(11, b"a")]
    assert one.without(61) == one
    assert one.size1 == 1


def test_take_path() -> None:
    opt = of((11, b"a"), (11, b"b"), (11, b"c"))
    assert opt.take_path(2) == ("a", "b")
    assert opt.uri_path == ("c",)
    assert opt.take_path(1) == ("c",)
    assert 11 not in opt
    assert opt.take_path(1) == ()


def test_take_path_counts_what_is_acceptable() -> None:
    opt = of((11, b"\xff"), (11, b"a"), (11, b"b"))
    assert opt.take_path(1) == ("a",)
    assert opt.uri_path == ("b",)


# Keys and looks


def test_cache_key_items_leave_out_what_does_not_matter() -> None:
    one, other = of((11, b"a"), (60, b"\1")), of((11, b"a"), (28, b""), (252, b"e"))
    assert one.cache_key_items() == other.cache_key_items() == ((11, (b"a",)),)
    assert of((11, b"b")).cache_key_items() != one.cache_key_items()
    assert of((6, b"")).cache_key_items() == ((6, (b"",)),)
    assert of((6, b""), (11, b"a")).cache_key_items([OptionNumber.OBSERVE]) == ((11, (b"a",)),)
    assert Options().cache_key_items() == ()


def test_size_and_presence() -> None:
    opt = of((11, b"a"), (11, b"b"), (60, b""))
    assert len(opt) == 3
    assert opt.numbers() == [11, 60]
    assert 11 in opt
    assert OptionNumber.SIZE1 in opt
    assert 12 not in opt
    assert len(Options()) == 0
    assert bool(Options()) is True


def test_equality_is_by_the_bytes() -> None:
    one, other = of((11, b"a")), Options()
    other.uri_path = ("a",)
    assert one == other
    other.get_option(11)
    assert one == other
    assert one != of((11, b"b"))
    assert one != [(11, b"a")]
    with pytest.raises(TypeError):
        hash(one)


def test_documented_repr() -> None:
    opt = Options()
    opt.uri_path = ("other", "separate")
    opt.uri_host = "localhost"
    shown = repr(opt)
    assert shown.startswith("<aiocoap.options.Options at 0x")
    assert shown.endswith(": URI_HOST: localhost, URI_PATH: other / separate>")
    assert repr(Options()).endswith(": empty>")


def test_repr_of_anything() -> None:
    opt = of((4, b"a"), (4, b"b"), (12, b"\x32"), (23, b"\x0e"), (2048, b"x"), (60, b"\1"))
    shown = repr(opt)
    assert "ETAG: b'a' / b'b', CONTENT_FORMAT: application/json, " in shown
    assert "BLOCK2: BlockwiseTuple(block_number=0, more=True, size_exponent=6)" in shown
    assert "SIZE1: 1, Option 2048: b'x'>" in shown
    assert "\n" not in repr(of((11, b"a\nb")))


def test_objects_do_not_outlive_their_option() -> None:
    opt = Options()
    opt.add_option(optiontypes.StringOption(11, "a"))
    opt.uri_path = ("b",)
    assert opt.raw_items() == [(11, b"b")]


def test_has_any() -> None:
    opt = Options()
    opt.uri_path, opt.observe = ("a",), 0
    assert opt.has_any(frozenset((6, 23)))
    assert not opt.has_any(frozenset((12, 23)))
    assert not opt.has_any(frozenset())

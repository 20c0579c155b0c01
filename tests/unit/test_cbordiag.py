"""CBOR from strangers, read and written out."""

from __future__ import annotations

import math

import pytest

from aiocoap.util.cbordiag import (
    MAX_DEPTH,
    MAX_INDENT,
    CborError,
    Pairs,
    Simple,
    Tag,
    decode,
    diagnose,
    quote,
)

# RFC 8949 appendix A, as far as each kind of head needs it.
EXAMPLES = [
    ("00", "0"),
    ("17", "23"),
    ("1818", "24"),
    ("1903e8", "1000"),
    ("1a000f4240", "1000000"),
    ("1bffffffffffffffff", "18446744073709551615"),
    ("20", "-1"),
    ("3903e7", "-1000"),
    ("3bffffffffffffffff", "-18446744073709551616"),
    ("c249010000000000000000", "2(h'010000000000000000')"),
    ("f93c00", "1.0"),
    ("f97bff", "65504.0"),
    ("fa47c35000", "100000.0"),
    ("fb3ff199999999999a", "1.1"),
    ("f97c00", "Infinity"),
    ("f9fc00", "-Infinity"),
    ("f97e00", "NaN"),
    ("f4", "false"),
    ("f5", "true"),
    ("f6", "null"),
    ("f7", "undefined"),
    ("f0", "simple(16)"),
    ("f8ff", "simple(255)"),
    ("c11a514b67b0", "1(1363896240)"),
    ("d818456449455446", "24(h'6449455446')"),
    ("40", "h''"),
    ("4401020304", "h'01020304'"),
    ("60", '""'),
    ("62225c", r'"\"\\"'),
    ("62c3bc", '"ü"'),
    ("80", "[]"),
    ("8301820203820405", "[1, [2, 3], [4, 5]]"),
    ("a0", "{}"),
    ("a201020304", "{1: 2, 3: 4}"),
    ("a26161016162820203", '{"a": 1, "b": [2, 3]}'),
    ("5f42010243030405ff", "h'0102030405'"),
    ("7f657374726561646d696e67ff", '"streaming"'),
    ("9fff", "[]"),
    ("9f018202039f0405ffff", "[1, [2, 3], [4, 5]]"),
    ("bf61610161629f0203ffff", '{"a": 1, "b": [2, 3]}'),
    ("a18001", "{[]: 1}"),
    ("a201010102", "{1: 1, 1: 2}"),
]


@pytest.mark.parametrize(("encoded", "notation"), EXAMPLES)
def test_examples_of_the_rfc(encoded: str, notation: str) -> None:
    (item,) = decode(bytes.fromhex(encoded))
    assert diagnose(item) == notation


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        ("18", "cut short"),
        ("4401", "cut short"),
        ("81", "cut short"),
        ("a101", "cut short"),
        ("5f4101", "cut short"),
        ("9f01", "cut short"),
        ("1bff", "cut short"),
        ("1c", "reserved"),
        ("fc", "reserved"),
        ("1f", "indefinite length"),
        ("df00", "indefinite length"),
        ("ff", "stop code"),
        ("81ff", "stop code"),
        ("a1ff", "stop code"),
        ("a101ff", "stop code"),
        ("bf01ffff", "stop code"),
        ("c1ff", "stop code"),
        ("5f6161ff", "wrong chunk"),
        ("7f7f6161ffff", "wrong chunk"),
        ("61ff", "UTF-8"),
        # A character may not be cut in two by chunks.
        ("7f61c361bcff", "UTF-8"),
        ("f81f", "simple value 31"),
        ("81" * (MAX_DEPTH + 1) + "00", "nested deeper"),
        ("c1" * (MAX_DEPTH + 1) + "00", "nested deeper"),
        ("81" * 100000, "nested deeper"),
        ("9bffffffffffffffff", "cut short"),
    ],
)
def test_what_is_not_well_formed(encoded: str, complaint: str) -> None:
    with pytest.raises(CborError, match=complaint):
        decode(bytes.fromhex(encoded))


def test_the_deepest_nesting_is_still_read_and_written() -> None:
    (item,) = decode(b"\x81" * MAX_DEPTH + b"\x00")
    assert diagnose(item).count("[") == MAX_DEPTH


def test_sequences_and_nothing() -> None:
    assert decode(bytes.fromhex("01f6")) == [1, None]
    assert decode(b"") == []


def test_kinds_of_values() -> None:
    (item,) = decode(bytes.fromhex("85a10203f0c100fb7ff0000000000000f5"))
    assert item == [Pairs([(2, 3)]), Simple(16), Tag(1, 0), math.inf, True]
    assert isinstance(item[0], Pairs)


def test_long_items_take_several_lines() -> None:
    item = [Pairs([("key", "x" * 60), (2, [1, 2])]), Tag(7, ["y" * 80]), "z" * 90, []]
    assert diagnose(item) == "\n".join(
        [
            "[",
            "  {",
            f'    "key": "{"x" * 60}",',
            "    2: [1, 2]",
            "  },",
            "  7([",
            f'    "{"y" * 80}"',
            "  ]),",
            f'  "{"z" * 90}",',
            "  []",
            "]",
        ]
    )


def test_a_map_that_does_not_fit_because_of_a_value_deep_inside() -> None:
    item = Pairs([(Tag(1, ["k" * 90]), [["v" * 90]])])
    lines = diagnose(item).split("\n")
    # Keys stay on their line, values are laid out.
    assert lines[:2] == ["{", '  1(["' + "k" * 90 + '"]): [']


def test_indentation_ends() -> None:
    deep = ["w" * 100]
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]  # type: ignore[list-item]
    widest = max(len(line) - len(line.lstrip()) for line in diagnose(deep).split("\n"))
    assert widest == 2 * MAX_INDENT


def test_output_stays_in_proportion_to_input() -> None:
    (item,) = decode(b"\x9f" * 60 + b"\x01" * 20000 + b"\xff" * 60)
    assert len(diagnose(item)) < 40 * 20000


def test_quoting_leaves_no_control_characters() -> None:
    quoted = quote('\x00\x1b\x7f\x9b\u202e\u2066\r\n\t"\\é')
    assert quoted == '"\\u0000\\u001b\\u007f\\u009b\\u202e\\u2066\\r\\n\\t\\"\\\\é"'

"""Codes, against the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocoap import numbers
from aiocoap.numbers import codes
from aiocoap.numbers.codes import CODES, CONTENT, FORBIDDEN, GET, NOT_FOUND, VALID, Code

REGISTRY = json.loads(
    (Path(__file__).parents[1] / "vectors" / "coap-codes.json").read_text("utf-8")
)
ROWS = REGISTRY["methods"] + REGISTRY["responses"] + REGISTRY["signaling"]["codes"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["code"])
def test_registry(row: dict[str, Any]) -> None:
    digit, _, detail = row["code"].partition(".")
    code = Code(int(digit) << 5 | int(detail))
    assert code.dotted == row["code"]
    assert code.class_ == int(digit)
    known = code.name.replace("_", "").lower()
    named = row["name"].replace(" ", "").replace("-", "").lower()
    assert known == named or (code, known) == (codes.UNSUPPORTED_MEDIA_TYPE, "unsupportedmediatype")
    # Every code is a constant of the module, of the package and of the class.
    assert getattr(codes, code.name) is code
    assert getattr(numbers, code.name) is code
    assert getattr(Code, code.name) is code


def test_no_member_is_missing_in_the_registry() -> None:
    assert {int(code) for code in Code} - {0} == {
        int(row["code"][0]) << 5 | int(row["code"][2:]) for row in ROWS
    }


def test_every_constant_stands_for_its_name() -> None:
    for name in set(codes.__all__) - {"CODES", "Code"}:
        assert getattr(codes, name) is getattr(Code, name)


def test_all_codes_by_number() -> None:
    assert [int(code) for code in CODES] == list(range(256))
    assert CODES[69] is CONTENT


@pytest.mark.parametrize(
    ("number", "is_request", "is_response", "is_successful", "is_signalling"),
    [
        (0, False, False, False, False),
        (1, True, False, False, False),
        (31, True, False, False, False),
        (32, False, False, False, False),
        (63, False, False, False, False),
        (64, False, True, True, False),
        (95, False, True, True, False),
        (96, False, True, False, False),
        (191, False, True, False, False),
        (192, False, False, False, False),
        (224, False, False, False, True),
        (255, False, False, False, True),
    ],
)
def test_classes(
    number: int, is_request: bool, is_response: bool, is_successful: bool, is_signalling: bool
) -> None:
    code = Code(number)
    assert code.is_request() is is_request
    assert code.is_response() is is_response
    assert code.is_successful() is is_successful
    assert code.is_signalling() is is_signalling


def test_which_codes_usually_have_payloads() -> None:
    with_payload = {code for code in Code if code.can_have_payload()}
    assert with_payload >= {codes.PUT, codes.FETCH, codes.iPATCH, CONTENT, NOT_FOUND}
    assert not with_payload & {GET, codes.DELETE, VALID, codes.EMPTY, codes.PING}


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (codes.EMPTY, '<Code 0 "EMPTY">'),
        (GET, '<Request Code 1 "GET">'),
        (codes.iPATCH, '<Request Code 7 "iPATCH">'),
        (CONTENT, '<Successful Response Code 69 "2.05 Content">'),
        (FORBIDDEN, '<Response Code 131 "4.03 Forbidden">'),
        (codes.UNSUPPORTED_CONTENT_FORMAT, '<Response Code 143 "4.15 Unsupported Media Type">'),
        (codes.CSM, '<Code 225 "7.01 Csm">'),
        (Code(30), '<Request Code 30 "0.30 (unknown)">'),
    ],
)
def test_documented_reprs(code: Code, shown: str) -> None:
    assert repr(code) == shown


def test_names() -> None:
    assert codes.UNSUPPORTED_CONTENT_FORMAT is codes.UNSUPPORTED_MEDIA_TYPE
    assert NOT_FOUND.name == "NOT_FOUND"
    assert NOT_FOUND.name_printable == "Not Found"
    assert codes.iPATCH.name_printable == "iPATCH"
    assert str(NOT_FOUND) == "4.04 Not Found"
    assert str(GET) == "GET"

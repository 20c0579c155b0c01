"""From an argument to the payload that it stands for."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest

from aiocoap.cli._payload import read_payload
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.util.cli import UsageError

CBOR = ContentFormat.by_media_type("application/cbor")
SEQUENCE = ContentFormat.by_media_type("application/cbor-seq")


def test_payloads_from_files(tmp_path: Path) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"\x00\xff[1]")
    # What is in a file is not converted.
    assert read_payload(f"@{file}", CBOR) == b"\x00\xff[1]"


def test_payloads_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xfe\n")))
    assert read_payload("@-", None) == b"\xfe\n"


def test_standard_input_that_can_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="can not read standard input: it is closed"):
        read_payload("@-", None)

    class Folder(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EISDIR, "Is a directory")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Folder()))
    with pytest.raises(UsageError, match="can not read standard input: Is a directory"):
        read_payload("@-", None)


@pytest.mark.parametrize("name", ["", "no such file", "\0", "."])
def test_files_that_can_not_be_read_are_named(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--payload: can not read") as complaint:
        read_payload(f"@{name}", None)
    assert repr(name) in str(complaint.value)


def test_arguments_that_are_no_text_are_sent_as_they_are() -> None:
    assert read_payload(os.fsdecode(b"\xff\xfe"), None) == b"\xff\xfe"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"on": true, "level": 1.5}', {"on": True, "level": 1.5}),
        ("[1, null]", [1, None]),
        ("{1: b'\\x00', -2: (True, None)}", {1: b"\x00", -2: [True, None]}),
        (" 'text'", "text"),
        ("1", 1),
    ],
)
def test_json_and_literals_become_cbor(text: str, value: Any) -> None:
    senml = ContentFormat.by_media_type("application/senml+cbor")
    assert cbor2.loads(read_payload(text, senml)) == value


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("{1: h'00'}", "a1014100"),
        ('{1: h"00"}', "a1014100"),
        ('{1: h"00 ff", 2: "h\\"00\\""}', "a2014200ff02656822303022"),
        ("{1: true}", "a101f5"),
        ("[_ 1, 1(2)]", "9f01c102ff"),
        ("{1: undefined, 'a': h''}", "a201f7416140"),
        ('b64"AAE="', "420001"),
        ("<<1, 2>>", "420102"),
        ("/ a [ comment / 1 # [\n", "01"),
    ],
)
def test_diagnostic_notation_becomes_cbor(text: str, encoded: str) -> None:
    assert read_payload(text, CBOR).hex() == encoded


def test_sequences_become_cbor() -> None:
    assert read_payload("1, [2], 'x'", SEQUENCE).hex() == "0181024178"
    with pytest.raises(UsageError, match=r"'1,, 2' is no CBOR diagnostic .*cbor-seq"):
        read_payload("1,, 2", SEQUENCE)


@pytest.mark.parametrize(
    "text", ["", "{", "text", "f(x)", "1 +", "{[]: 1", "h'0'", "[" * 100000, "<<" * 100, "1, 2 3"]
)
def test_what_can_not_become_cbor_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="neither JSON nor a Python literal") as complaint:
        read_payload(text, CBOR)
    assert repr(text)[:50].rstrip("'") in str(complaint.value)
    assert len(str(complaint.value)) < 350
    assert "\n" not in str(complaint.value)


def test_the_converters_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor_diag", None)
    assert read_payload("[1]", CBOR) == b"\x81\x01"
    with pytest.raises(UsageError, match=r"needs the Python module cbor_diag \(.*prettyprint\]"):
        read_payload("h'00'", CBOR)
    monkeypatch.setitem(sys.modules, "cbor2", None)
    with pytest.raises(UsageError, match=r"cbor2.*aiocoap\[prettyprint\]"):
        read_payload("1", CBOR)


def test_other_formats_are_not_converted() -> None:
    json = ContentFormat.by_media_type("application/json")
    assert read_payload("{1: 2", json) == b"{1: 2"
    assert read_payload("[1]", ContentFormat(64999)) == b"[1]"

"""Tools that are not about CoAP."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest

from aiocoap.util import (
    ExtensibleIntEnum,
    Sentinel,
    hostportjoin,
    hostportsplit,
    member,
    quote_nonascii,
)


class Fruit(ExtensibleIntEnum):
    APPLE: ClassVar[Fruit] = member(1)
    PEAR: ClassVar[Fruit] = member(2)
    BIRNE: ClassVar[Fruit] = member(2)
    _PRIVATE = 7
    IS_RIPE = True


def test_members_are_the_numbers_and_single() -> None:
    assert Fruit.APPLE == 1
    assert Fruit(1) is Fruit.APPLE
    assert hash(Fruit.APPLE) == hash(1)
    assert isinstance(Fruit.APPLE, Fruit)
    assert Fruit.APPLE.name == "APPLE"
    assert type(Fruit.APPLE.value) is int


def test_the_last_name_of_a_number_is_current() -> None:
    assert Fruit.PEAR is Fruit.BIRNE
    assert Fruit.PEAR.name == "BIRNE"


def test_only_public_whole_numbers_become_members() -> None:
    assert list(Fruit) == [1, 2]
    assert len(Fruit) == 2
    assert type(Fruit._PRIVATE) is int
    assert Fruit.IS_RIPE is True


def test_unknown_numbers_are_legal_and_not_kept() -> None:
    unknown = Fruit(99)
    assert unknown == 99
    assert isinstance(unknown, Fruit)
    assert unknown.name == "(unknown)"
    assert len(Fruit) == 2
    assert Fruit(99) is not unknown


def test_how_they_look() -> None:
    assert repr(Fruit.APPLE) == '<Fruit 1 "APPLE">'
    assert repr(Fruit(99)) == '<Fruit 99 "(unknown)">'
    assert str(Fruit.APPLE) == "APPLE"
    assert str(Fruit(99)) == "Fruit(99)"
    assert f"{Fruit.APPLE}" == "APPLE"
    assert f"{Fruit.APPLE:03}" == "001"


def test_copies_are_the_same() -> None:
    assert copy.copy(Fruit.APPLE) is Fruit.APPLE
    assert copy.deepcopy(Fruit.APPLE) is Fruit.APPLE
    assert copy.copy(Fruit(99)) == 99


def test_pickling_keeps_members_single() -> None:
    from aiocoap.numbers.codes import Code

    assert pickle.loads(pickle.dumps(Code.GET)) is Code.GET
    assert pickle.loads(pickle.dumps(Code(99))) == Code(99)


@pytest.mark.parametrize(
    ("host", "port", "joined"),
    [
        ("example.com", None, "example.com"),
        ("example.com", 1234, "example.com:1234"),
        ("127.0.0.1", 1234, "127.0.0.1:1234"),
        ("2001:db8::1", None, "[2001:db8::1]"),
        ("2001:db8::1", 1234, "[2001:db8::1]:1234"),
        ("[2001:db8::1]", 1234, "[2001:db8::1]:1234"),
        ("h", 0, "h:0"),
    ],
)
def test_hostportjoin(host: str, port: int | None, joined: str) -> None:
    assert hostportjoin(host, port) == joined


@pytest.mark.parametrize(
    ("hostport", "split"),
    [
        ("foo", ("foo", None)),
        ("foo:5683", ("foo", 5683)),
        ("foo:", ("foo", None)),
        ("[::1%eth0]:56830", ("::1%eth0", 56830)),
        ("[::1]", ("::1", None)),
        ("[::1]:", ("::1", None)),
        ("", ("", None)),
        ("foo:65535", ("foo", 65535)),
        ("foo:0080", ("foo", 80)),
    ],
)
def test_hostportsplit(hostport: str, split: tuple[str, int | None]) -> None:
    assert hostportsplit(hostport) == split


@pytest.mark.parametrize(
    "hostport",
    ["foo:65536", "foo:bar", "foo:-1", "foo:+1", "foo: 1", "foo:٣", "[::1", "[::1]x", "::1", "a]"],
)
def test_hostportsplit_refuses(hostport: str) -> None:
    with pytest.raises(ValueError, match=r"port number|brackets"):
        hostportsplit(hostport)


def test_quote_nonascii_leaves_ascii_alone() -> None:
    assert quote_nonascii("/a b%20?") == "/a b%20?"
    assert quote_nonascii("ü€") == "%C3%BC%E2%82%AC"
    assert quote_nonascii("\ud800") == "%ED%A0%80"


def test_sentinels_are_only_themselves() -> None:
    one, other = Sentinel("Nothing"), Sentinel("Nothing")
    assert repr(one) == "<Nothing>"
    assert one != other

"""Options against a plain list of pairs."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aiocoap.error import UnparsableMessage
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.options import Options
from aiocoap.optiontypes import OpaqueOption

numbers = st.sampled_from([0, 4, 11, 12, 60, 2048, 65535])
values = st.binary(max_size=20)
texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4)


class OptionsAgainstPairs(RuleBasedStateMachine):
    """Whatever is done to options, and to copies of them, does what it does to lists of pairs."""

    @initialize()
    def begin(self) -> None:
        self.all: list[tuple[Options, list[tuple[int, bytes]]]] = [(Options(), [])]

    def pick(self, which: int) -> tuple[Options, list[tuple[int, bytes]]]:
        return self.all[which % len(self.all)]

    @rule(which=st.integers(0, 9), number=numbers, value=values)
    def add(self, which: int, number: int, value: bytes) -> None:
        opt, pairs = self.pick(which)
        opt.add_option(OpaqueOption(number, value))
        pairs.append((number, value))

    @rule(which=st.integers(0, 9), number=numbers)
    def delete(self, which: int, number: int) -> None:
        opt, pairs = self.pick(which)
        opt.delete_option(number)
        pairs[:] = [pair for pair in pairs if pair[0] != number]

    @rule(which=st.integers(0, 9), path=texts)
    def set_path(self, which: int, path: list[str]) -> None:
        opt, pairs = self.pick(which)
        opt.uri_path = path  # type: ignore[assignment]
        pairs[:] = [pair for pair in pairs if pair[0] != 11]
        pairs.extend((11, text.encode()) for text in path)

    @rule(which=st.integers(0, 9), number=numbers)
    def look(self, which: int, number: int) -> None:
        opt, _ = self.pick(which)
        opt.get_option(number)

    @rule(which=st.integers(0, 9), value=values)
    def change_an_object(self, which: int, value: bytes) -> None:
        opt, pairs = self.pick(which)
        seen = opt.get_option(2048)
        if seen:
            seen[-1].value = value
            place = max(i for i, pair in enumerate(pairs) if pair[0] == 2048)
            pairs[place] = (2048, value)

    @rule(which=st.integers(0, 9), pairs=st.lists(st.tuples(numbers, values), max_size=4))
    def decode(self, which: int, pairs: list[tuple[int, bytes]]) -> None:
        opt, known = self.pick(which)
        incoming = Options()
        for number, value in pairs:
            incoming.add_option(OpaqueOption(number, value))
        assert opt.decode(incoming.encode()) == b""
        known.extend(pairs)

    @rule(which=st.integers(0, 9))
    def copy(self, which: int) -> None:
        opt, pairs = self.pick(which)
        self.all.append((opt.copy(), list(pairs)))
        del self.all[:-10]

    @rule(which=st.integers(0, 9), number=numbers)
    def without(self, which: int, number: int) -> None:
        opt, pairs = self.pick(which)
        self.all.append((opt.without(number), [pair for pair in pairs if pair[0] != number]))
        del self.all[:-10]

    @invariant()
    def agree(self) -> None:
        for opt, pairs in getattr(self, "all", []):
            ordered = sorted(pairs, key=lambda pair: pair[0])
            assert opt.raw_items() == ordered
            assert len(opt) == len(pairs)
            assert opt.numbers() == sorted({number for number, _ in pairs})


TestOptionsAgainstPairs = OptionsAgainstPairs.TestCase


@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    opt = Options()
    try:
        payload = opt.decode(raw)
    except UnparsableMessage:
        assert len(opt) == 0
        return
    canonical = opt.encode()
    again = Options()
    assert again.decode(canonical + (b"\xff" + payload if payload else b"")) == payload
    assert again == opt
    assert again.encode() == canonical


NUMBERED = {
    "uri_port": 65535,
    "observe": (1 << 24) - 1,
    "size1": (1 << 32) - 1,
    "max_age": (1 << 32) - 1,
    "content_format": 65535,
    "accept": 65535,
    "no_response": 255,
    "hop_limit": 255,
}


@given(st.sampled_from(sorted(NUMBERED)), st.integers(0, 1 << 34))
def test_numbers_fit_or_are_refused(name: str, value: int) -> None:
    opt = Options()
    try:
        setattr(opt, name, value)
    except ValueError:
        assert value > NUMBERED[name]
        assert len(opt) == 0
    else:
        assert value <= NUMBERED[name]
        back = Options()
        back.decode(opt.encode())
        assert getattr(back, name) == value


@given(st.integers(0, (1 << 20) - 1), st.booleans(), st.integers(0, 7))
def test_blocks(number: int, more: bool, exponent: int) -> None:
    opt = Options()
    opt.block1 = (number, more, exponent)
    back = Options()
    back.decode(opt.encode())
    assert back.block1 == (number, more, exponent)


@given(texts)
def test_paths(path: list[str]) -> None:
    opt = Options()
    opt.uri_path = path  # type: ignore[assignment]
    back = Options()
    back.decode(opt.encode())
    assert back.uri_path == tuple(path)


@given(numbers | st.integers(0, 300), st.binary(max_size=3))
def test_objects_say_what_the_bytes_say(number: int, raw: bytes) -> None:
    option: Any = OptionNumber(number).create_option(decode=raw)
    # Leading zeros are the one thing that an object does not keep.
    assert option.encode() in (raw, raw.lstrip(b"\0"))

"""The order of notifications."""

from __future__ import annotations

import pytest

from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, NOT_FOUND, VALID, Code
from aiocoap.sansio.observation import Counter, Ordering, is_newer, is_notification


@pytest.mark.parametrize(
    ("v1", "v2", "newer"),
    [
        (0, 1, True),
        (1, 0, False),
        (1, 1, False),
        (0, 2**23 - 1, True),
        (0, 2**23, False),
        (0, 2**23 + 1, False),
        (2**23, 0, False),
        (2**23 + 1, 0, True),
        (2**24 - 1, 0, True),
        (0, 2**24 - 1, False),
    ],
)
def test_the_order_of_numbers(v1: int, v2: int, newer: bool) -> None:
    # The conditions as the RFC writes them.
    assert newer is ((v1 < v2 and v2 - v1 < 2**23) or (v1 > v2 and v1 - v2 > 2**23))
    assert is_newer(v1, 0.0, v2, 1.0) is newer


def test_after_128_seconds_anything_is_newer() -> None:
    assert not is_newer(5, 1000.0, 4, 1128.0)
    assert is_newer(5, 1000.0, 4, 1128.1)
    assert is_newer(5, 0.0, 4, 11.0, reset_time=10.0)


@pytest.mark.parametrize(
    ("code", "observe", "is_one"),
    [
        (CONTENT, 0, True),
        (VALID, 17, True),
        (CONTENT, None, False),
        (NOT_FOUND, None, False),
        (NOT_FOUND, 3, False),
    ],
)
def test_what_a_notification_is(code: Code, observe: int | None, is_one: bool) -> None:
    assert is_notification(Message(code=code, observe=observe)) is is_one


def test_ordering_lets_only_newer_ones_pass() -> None:
    ordering = Ordering()
    assert ordering.feed(10, 0.0)
    assert not ordering.feed(10, 1.0)
    assert not ordering.feed(9, 2.0)
    assert ordering.feed(11, 3.0)
    assert not ordering.feed(10, 4.0)
    assert not ordering.feed(10, 131.0)
    assert ordering.feed(10, 131.1)


def test_stale_ones_do_not_move_the_time() -> None:
    ordering = Ordering()
    ordering.feed(10, 0.0)
    assert not ordering.feed(5, 127.0)
    assert ordering.feed(4, 129.0)


def test_ordering_with_another_reset_time() -> None:
    ordering = Ordering(reset_time=10.0)
    ordering.feed(10, 0.0)
    assert ordering.feed(9, 10.5)


def test_what_has_no_number_is_in_order() -> None:
    ordering = Ordering()
    assert ordering.feed(None, 0.0)
    assert ordering.feed(10, 1.0)
    assert ordering.feed(None, 2.0)
    assert not ordering.feed(10, 3.0)


def test_counter_counts() -> None:
    counter = Counter(start=2**24 - 2)
    assert [counter.next(0.0) for _ in range(3)] == [2**24 - 1, 0, 1]


def test_counter_does_not_outrun_256_seconds() -> None:
    counter = Counter()
    counter.next(0.0)
    counter._left = 1
    assert counter.next(255.0) == 2
    assert counter.next(255.9) == 2, "a client takes it for a duplicate"
    assert counter.next(256.0) == 3

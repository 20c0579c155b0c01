"""The order of notifications, and what keeps an observation going."""

from __future__ import annotations

import pytest

from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, NOT_FOUND, VALID, Code
from aiocoap.sansio.observation import (
    Counter,
    Freshness,
    Ordering,
    Representations,
    Upkeep,
    is_newer,
    is_notification,
)


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
    counter = Counter()
    counter._number = 2**24 - 2
    assert [counter.next(1023.0) for _ in range(3)] == [2**24 - 1, 0, 1]


def test_counter_follows_the_clock() -> None:
    counter = Counter()
    assert [counter.next(now) for now in (1.0, 1.0, 1.0, 2.0)] == [16384, 16385, 16386, 32768]
    assert counter.next(1024.0 + 1.0) == 16384


def test_a_server_that_was_started_anew_goes_on() -> None:
    former, latter = Counter(), Counter()
    for _ in range(100):
        number = former.next(5_000_000.0)
    assert is_newer(number, 0.0, latter.next(5_000_001.0), 1.0)
    assert is_newer(number, 0.0, latter.next(5_000_127.0), 127.0)


def test_counter_does_not_outrun_256_seconds() -> None:
    counter = Counter()
    counter._number = 2**22 - 2
    assert [counter.next(0.0) for _ in range(3)] == [2**22 - 1] * 3, "clients see duplicates"
    assert [counter.next(1 / 16384) for _ in range(2)] == [2**22] * 2
    assert [counter.next(3 / 16384) for _ in range(3)] == [2**22 + 1, 2**22 + 2, 2**22 + 2]


def test_who_is_notified_now_and_then_gets_newer_numbers_however_many_there_are() -> None:
    """Of 20,000 observers that are notified each second, for minutes, each sees each state."""
    counter = Counter()
    counter._number = before = 2**22
    for second in range(1, 10):
        mine = counter.next(float(second))
        assert before < mine < 2**23
        before = mine
        for _ in range(19_999):
            counter.next(float(second))


def test_after_a_new_registration_any_number_is_the_first() -> None:
    ordering = Ordering()
    assert ordering.feed(1000, 0.0)
    ordering.renew()
    assert ordering.feed(3, 1.0)
    assert not ordering.feed(2, 2.0)
    assert ordering.feed(4, 3.0)


# Freshness

NEVER = float("inf")


def upkeep(number: float = 0.5, retries: int = 3) -> Upkeep:
    return Upkeep(lambda: number, retries)


def test_a_notification_is_worth_something_for_max_age() -> None:
    life = upkeep()
    assert (life.state, life.wake) == (Freshness.REGISTERING, NEVER)
    life.refresh(15, 100.0)
    assert (life.state, life.wake) == (Freshness.FRESH, 115.0)
    life.refresh(None, 110.0)
    assert life.wake == 170.0
    assert not life.tick(115.0), "it was put off"
    assert life.state is Freshness.FRESH
    assert not life.tick(170.0)
    assert life.state is Freshness.STALE


@pytest.mark.parametrize(("number", "pause"), [(0.0, 5.0), (0.5, 10.0), (1.0, 15.0)])
def test_it_is_time_to_register_a_little_later(number: float, pause: float) -> None:
    life = upkeep(number)
    life.refresh(0, 100.0)
    assert not life.tick(100.0)
    assert life.wake == 100.0 + pause
    assert life.tick(life.wake)
    assert life.wake == NEVER, "until that has an outcome"
    assert life.state is Freshness.STALE
    life.refresh(10, 130.0)
    assert (life.state, life.wake) == (Freshness.FRESH, 140.0)


def test_pauses_double_and_then_it_is_over() -> None:
    life = upkeep(retries=3)
    life.refresh(15, 100.0)
    assert [life.fail() for _ in range(3)] == [10.0, 20.0, 40.0]
    assert life.state is Freshness.STALE
    assert life.fail() is None
    assert (life.state, life.wake) == (Freshness.OVER, NEVER)


def test_success_forgives_failures() -> None:
    life = upkeep(retries=2)
    assert (life.fail(), life.fail()) == (10.0, 20.0)
    life.refresh(15, 100.0)
    assert (life.fail(), life.fail(), life.fail()) == (10.0, 20.0, None)


def test_asking_before_it_is_due_is_not_counted() -> None:
    life = upkeep(retries=2)
    life.hurry()
    assert life.state is Freshness.REGISTERING
    life.refresh(15, 100.0)
    life.hurry()
    assert (life.state, life.wake) == (Freshness.FRESH, 115.0), "it becomes stale all the same"
    life.tick(115.0)
    assert life.wake < NEVER
    life.hurry()
    assert (life.state, life.wake) == (Freshness.STALE, NEVER)
    for _ in range(5):
        assert life.fail() == 10.0
        life.hurry()
    assert (life.fail(), life.fail(), life.fail()) == (10.0, 20.0, None)


def test_states_are_texts() -> None:
    assert [f"{state}" for state in Freshness] == ["registering", "fresh", "stale", "over"]
    assert Freshness.FRESH == "fresh"


# What is known


def content(payload: bytes, etag: bytes | None = None, **options: object) -> Message:
    return Message(**{"code": CONTENT, "payload": payload, "etag": etag, **options})  # type: ignore[arg-type]


def valid(etag: bytes | None, **options: object) -> Message:
    return Message(code=VALID, etag=etag, **options)


def test_what_comes_is_news() -> None:
    known = Representations([])
    assert known.announce() == []
    for response in (content(b"1"), content(b"1"), content(b"2"), Message(code=NOT_FOUND)):
        assert known.take(response) is response


def test_an_answer_that_is_known_is_none() -> None:
    known = Representations([])
    first = content(b"1", content_format=0)
    assert known.take(first, is_answer=True) is first
    assert known.take(content(b"1", content_format=0, max_age=5), is_answer=True) is None
    for other in (
        content(b"2", content_format=0),
        content(b"2", content_format=50),
        Message(code=NOT_FOUND, payload=b"2", content_format=50),
    ):
        assert known.take(other, is_answer=True) is other


def test_what_is_still_valid_is_no_news() -> None:
    known = Representations([])
    known.take(content(b"1", b"a"))
    assert known.announce() == [b"a"]
    assert known.take(valid(b"a"), is_answer=True) is None
    assert known.take(valid(b"a")) is None
    assert known.announce() == [b"a"]


def test_what_is_valid_again_is_news() -> None:
    known = Representations([])
    known.take(content(b"1", b"a", content_format=50, max_age=10))
    known.announce()
    known.take(content(b"2", b"b", content_format=50))
    again = known.take(valid(b"a", max_age=20, observe=7))
    assert again is not None
    assert (again.code, again.payload, again.opt.etag) == (CONTENT, b"1", b"a")
    assert (again.opt.content_format, again.opt.max_age, again.opt.observe) == (50, 20, 7)
    assert known.take(valid(b"a")) is None
    assert known.announce() == [b"a"]


def test_a_format_in_the_confirmation_counts() -> None:
    known = Representations([])
    known.take(content(b"1", b"a", content_format=50))
    known.announce()
    known.take(content(b"2"))
    again = known.take(valid(b"a", content_format=60))
    assert again is not None
    assert again.opt.content_format == 60


def test_only_what_was_announced_is_kept() -> None:
    known = Representations([])
    known.take(content(b"1", b"a"))
    known.announce()
    known.take(content(b"2", b"b"))
    assert known.announce() == [b"b"]
    stranger = valid(b"a")
    assert known.take(stranger) is stranger, "it was not to be sent"
    assert known.announce() == [], "nothing is known any more"


@pytest.mark.parametrize("etag", [b"?", None])
def test_a_confirmation_that_means_nothing_is_passed_on(etag: bytes | None) -> None:
    known = Representations([])
    known.take(content(b"1", b"a"))
    known.announce()
    known.take(content(b"2"))
    stranger = valid(etag)
    assert known.take(stranger) is stranger


def test_a_confirmation_of_nothing_is_passed_on() -> None:
    stranger = valid(b"a")
    assert Representations([]).take(stranger) is stranger


def test_what_the_application_keeps_is_its_own_business() -> None:
    known = Representations([b"x"])
    assert known.announce() == [b"x"]
    first = valid(b"x")
    assert known.take(first) is first
    second = valid(b"x")
    assert known.take(second) is second, "a notification is one"
    assert known.announce() == [b"x"]
    assert known.take(valid(b"x"), is_answer=True) is None
    known.take(content(b"2", b"b"))
    assert known.announce() == [b"x", b"b"]
    third = valid(b"x")
    assert known.take(third, is_answer=True) is third


def test_what_is_of_use_is_what_all_of_them_keep() -> None:
    known = Representations([b"x", b"y"])
    first = valid(b"x")
    assert known.take(first) is first
    known.serve([[b"x", b"y"], [b"y", b"z"]])
    assert known.announce() == [b"y"], "what x stands for is not known here"
    full = content(b"1", b"x")
    assert known.take(full, is_answer=True) is None, "it has been told of that by its ETag"
    assert known.latest is full
    assert known.announce() == [b"y", b"x"]
    known.take(content(b"2"))
    restored = known.take(valid(b"x"))
    assert restored is not None
    assert restored.payload == b"1"
    mine = valid(b"y")
    assert known.take(mine) is mine
    assert known.take(content(b"3", b"z"), is_answer=True) is not None

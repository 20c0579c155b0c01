"""The order of notifications is one, as long as they are not too far apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiocoap.sansio.observation import Counter, Ordering, is_newer

NUMBERS = st.integers(0, 2**24 - 1)
SHORTLY = st.floats(0, 128)


@given(NUMBERS, NUMBERS, SHORTLY)
def test_of_two_different_ones_at_most_one_is_newer(v1: int, v2: int, time: float) -> None:
    either = (is_newer(v1, 0.0, v2, time), is_newer(v2, 0.0, v1, time))
    if v1 == v2:
        assert either == (False, False)
    elif abs(v1 - v2) == 2**23:
        assert either == (False, False), "RFC 7641 leaves these apart"
    else:
        assert either in [(True, False), (False, True)]


@given(NUMBERS, st.integers(1, 2**22), st.integers(1, 2**22 - 1), SHORTLY)
def test_the_order_is_transitive_within_a_window(v1: int, d1: int, d2: int, time: float) -> None:
    v2, v3 = (v1 + d1) % 2**24, (v1 + d1 + d2) % 2**24
    assert is_newer(v1, 0.0, v2, time)
    assert is_newer(v2, 0.0, v3, time)
    assert is_newer(v1, 0.0, v3, time)


@given(NUMBERS, NUMBERS, st.floats(128.001, 1e9))
def test_after_a_while_any_is_newer(v1: int, v2: int, time: float) -> None:
    assert is_newer(v1, 0.0, v2, time)


@given(
    NUMBERS,
    st.permutations(range(8)),
    st.lists(st.floats(0, 10), min_size=8, max_size=8),
)
def test_ordering_ends_with_the_newest(start: int, order: list[int], delays: list[float]) -> None:
    ordering = Ordering()
    now, last = 0.0, -1
    for index, delay in zip(order, delays, strict=True):
        now += delay
        assert ordering.feed((start + index) % 2**24, now) is (index > last)
        last = max(last, index)
    assert last == 7


@given(NUMBERS, st.lists(st.floats(0, 100), max_size=30))
def test_counter_gives_what_clients_take_for_newer(start: int, delays: list[float]) -> None:
    counter = Counter()
    counter._number = last = start
    now = start / 2**14
    for delay in delays:
        number = counter.next(now + delay)
        assert is_newer(last, now, number, now)
        now, last = now + delay, number


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 2**23)), max_size=12))
def test_counter_grows_by_half_its_range_in_256_seconds(steps: list[tuple[float, int]]) -> None:
    counter = Counter()
    now, history = 0.0, []
    for delay, burst in steps:
        now += delay
        before = counter.next(now)
        # A burst, without the patience to count it.
        counter._number = min(counter._number + burst, int(now * 2**14) + 2**22 - 1)
        history.append((now, before, (counter.next(now) - before) % 2**24 + 1))
    for begin, _, _ in history:
        grown = sum(count for when, _, count in history if begin <= when < begin + 256)
        assert grown <= 2**23

"""A table of transfers that strangers begin."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from aiocoap.sansio.transfers import (
    MAX_TRANSFER_BYTES,
    MAX_TRANSFERS,
    Transfer,
    Transfers,
)


def table(max_transfers: int = 80, max_bytes: int = 8000) -> Transfers[Transfer]:
    return Transfers(10.0, max_transfers, max_bytes)


def put(
    transfers: Transfers[Transfer],
    key: Hashable,
    now: float,
    owner: Hashable = None,
    size: int = 10,
) -> Transfer:
    transfer = Transfer(key, key if owner is None else owner, size, now)
    transfers.add(transfer)
    return transfer


def keys(transfers: Transfers[Transfer], now: float = 0.0) -> set[object]:
    return {key for key in list(transfers._by_key) if transfers.get(key, now) is not None}


def test_what_is_added_is_found_until_its_time_is_over() -> None:
    transfers = table()
    transfer = put(transfers, "a", 1.0)
    assert len(transfers) == 1
    assert transfers.size == 10
    assert transfers.get("a", 10.9) is transfer
    assert transfers.get("b", 1.0) is None
    assert transfers.get("a", 11.0) is None
    assert (len(transfers), transfers.size) == (0, 0)
    assert transfers.next_deadline() is None


def test_use_prolongs_the_life() -> None:
    transfers = table()
    transfer = put(transfers, "a", 0.0)
    other = put(transfers, "b", 0.0)
    transfer.used = 5.0
    assert transfers.next_deadline() == 10.0
    transfers.expire(9.9)
    assert len(transfers) == 2
    transfers.expire(10.0)
    assert keys(transfers, 10.0) == {"a"}
    assert other.deadline is None
    assert transfers.next_deadline() == 15.0
    transfers.expire(15.0)
    assert (len(transfers), transfers.size, transfers.next_deadline()) == (0, 0, None)


def test_a_second_one_of_the_same_key_takes_its_place() -> None:
    transfers = table()
    first = put(transfers, "a", 0.0, "x", 100)
    transfers.done(first)
    second = put(transfers, "a", 1.0, "y", 20)
    assert transfers.get("a", 1.0) is second
    assert (len(transfers), transfers.size) == (1, 20)
    assert transfers.next_deadline() == 11.0


def test_too_many_displace_the_most_idle() -> None:
    transfers = table(max_transfers=3)
    for index, key in enumerate("abc"):
        put(transfers, key, float(index))
    used = transfers.get("a", 3.0)
    assert used is not None
    used.used = 3.0
    put(transfers, "d", 4.0)
    assert keys(transfers, 4.0) == {"a", "c", "d"}
    put(transfers, "e", 5.0)
    assert keys(transfers, 5.0) == {"a", "d", "e"}
    put(transfers, "f", 6.0)
    assert keys(transfers, 6.0) == {"d", "e", "f"}


def test_what_is_done_goes_first() -> None:
    transfers = table(max_transfers=3)
    for index, key in enumerate("abc"):
        put(transfers, key, float(index))
    for key in "cb":
        transfer = transfers.get(key, 3.0)
        assert transfer is not None
        transfers.done(transfer)
        transfers.done(transfer)
    put(transfers, "d", 4.0)
    assert keys(transfers, 4.0) == {"a", "b", "d"}
    put(transfers, "e", 5.0)
    assert keys(transfers, 5.0) == {"a", "d", "e"}
    put(transfers, "f", 6.0)
    assert keys(transfers, 6.0) == {"d", "e", "f"}


def test_too_large_displaces_as_many_as_needed() -> None:
    transfers = table(max_bytes=100)
    for index, key in enumerate("abcd"):
        put(transfers, key, float(index), size=20)
    growing = transfers.get("a", 4.0)
    assert growing is not None
    growing.used = 4.0
    transfers.grow(growing, 21)
    assert keys(transfers, 4.0) == {"a", "c", "d"}
    assert transfers.size == 81


@pytest.mark.parametrize("is_done", [False, True])
def test_the_newest_stays_however_large(is_done: bool) -> None:
    transfers = table(max_bytes=100)
    put(transfers, "a", 0.0)
    large = put(transfers, "b", 1.0, size=1000)
    assert keys(transfers, 1.0) == {"b"}
    if is_done:
        transfers.done(large)
    transfers.grow(large, 1)
    assert keys(transfers, 1.0) == {"b"}
    assert transfers.size == 1001
    put(transfers, "c", 2.0)
    assert keys(transfers, 2.0) == {"c"}


def test_an_endpoint_displaces_its_own_only() -> None:
    transfers = table(max_transfers=16)
    put(transfers, "a", 0.0)
    put(transfers, "b", 0.0)
    for index in range(50):
        put(transfers, index, 1.0 + index, owner="flood")
        transfers.expire(0.0)
    assert keys(transfers, 5.0) == {"a", "b", 48, 49}


def test_an_endpoint_displaces_what_is_done_of_its_own_first() -> None:
    transfers = table(max_transfers=16)
    first = put(transfers, 1, 0.0, owner="x")
    transfers.done(put(transfers, 2, 1.0, owner="x"))
    third = put(transfers, 3, 2.0, owner="x")
    assert keys(transfers) == {1, 3}
    transfers.grow(third, 4000)
    assert keys(transfers) == {3}
    assert first.deadline is None
    put(transfers, 4, 3.0)
    assert keys(transfers) == {3, 4}


def test_everything_can_be_forgotten() -> None:
    transfers = table()
    for index in range(20):
        transfers.done(put(transfers, index, 0.0, owner=index % 3))
    transfers.clear()
    assert (len(transfers), transfers.size, transfers.next_deadline()) == (0, 0, None)
    assert not transfers._shares
    assert not transfers._done


def test_the_usual_bounds_leave_one_endpoint_room_for_some_bodies() -> None:
    assert MAX_TRANSFERS // 8 > 64
    assert MAX_TRANSFER_BYTES // 2 >= 4 * 8 * 1024 * 1024

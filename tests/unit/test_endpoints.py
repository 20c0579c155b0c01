"""The table of the other ends: Message IDs per endpoint, and who is forgotten when."""

from __future__ import annotations

import pytest

from aiocoap.sansio.endpoints import Endpoints, Peer
from tests.harness import Address

LIFETIME = 247.0


def address(number: int) -> Address:
    return Address(f"[2001:db8::{number:x}]", "[2001:db8::a]")


def names(endpoints: Endpoints) -> list[str]:
    return sorted(remote.hostinfo for remote in endpoints.known)


@pytest.mark.parametrize(("chance", "first"), [(0.0, 0), (0.5, 0x7800), (0.9999999, 0xEFFF)])
def test_ids_begin_anywhere_below_those_of_multicast(chance: float, first: int) -> None:
    peer = Peer(address(1), 0, 0.0)
    assert peer.take_mid(lambda: chance) == first
    assert peer.take_mid(lambda: chance) == (first + 1) % 0xF000


def test_ids_in_flight_are_left_out() -> None:
    peer = Peer(address(1), 0, 0.0)
    peer.next_mid = 0xEFFE
    peer.outgoing = {0xEFFE: None, 0xEFFF: None, 0: None, 2: None}
    assert [peer.take_mid(lambda: 0.0) for _ in range(2)] == [1, 3]


def test_ids_of_multicast_stay_among_themselves() -> None:
    endpoints = Endpoints(lambda: 0.9999999, LIFETIME)
    assert [endpoints.take_group_mid() for _ in range(3)] == [0xFFFF, 0xF000, 0xF001]


def test_endpoints_have_keys_of_their_own() -> None:
    endpoints = Endpoints(lambda: 0.5, LIFETIME)
    bases = []
    for number in range(3):
        bases.append(endpoints.meet(address(1), 0.0).base)
        del endpoints.known[address(1)]
        bases.append(endpoints.meet(address(2 + number), 0.0).base)
    # No two messages share a key, even of an endpoint that was forgotten in between.
    assert len({base >> 16 for base in bases}) == 6
    assert all(base & 0xFFFF == 0 for base in bases)


def test_endpoints_are_forgotten_after_a_lifetime() -> None:
    endpoints = Endpoints(lambda: 0.5, LIFETIME)
    assert endpoints.sweep_due == float("inf")
    endpoints.meet(address(1), 100.0)
    assert endpoints.sweep_due == 352.0
    endpoints.meet(address(2), 200.0)
    assert endpoints.sweep_due == 352.0
    endpoints.sweep(352.0)
    assert names(endpoints) == ["[2001:db8::2]"]
    endpoints.sweep(endpoints.sweep_due)
    assert names(endpoints) == []
    assert endpoints.sweep_due == float("inf")


@pytest.mark.parametrize("table", ["outgoing", "queue"])
def test_endpoints_in_use_are_kept(table: str) -> None:
    endpoints = Endpoints(lambda: 0.5, LIFETIME)
    peer = endpoints.meet(address(1), 0.0)
    setattr(peer, table, {7: None})
    endpoints.sweep(1000.0)
    assert names(endpoints) == ["[2001:db8::1]"]


def test_at_the_bound_the_least_recently_used_are_forgotten() -> None:
    endpoints = Endpoints(lambda: 0.5, LIFETIME)
    endpoints.max_peers = 4
    for number in range(1, 5):
        endpoints.meet(address(number), float(number))
    endpoints.known[address(1)].used = 5.0
    endpoints.meet(address(5), 6.0)
    assert names(endpoints) == ["[2001:db8::1]", "[2001:db8::4]", "[2001:db8::5]"]


def test_looking_for_somebody_to_forget_is_rare() -> None:
    class Counting(Endpoints):
        sweeps = 0

        def sweep(self, now: float) -> None:
            self.sweeps += 1
            super().sweep(now)

    endpoints = Counting(lambda: 0.5, LIFETIME)
    endpoints.max_peers = 100
    for number in range(1000):
        endpoints.meet(address(number), float(number) / 1000)
        assert len(endpoints.known) <= 100
    assert endpoints.sweeps <= 20
    # Also if nobody can be forgotten.
    for number in range(1000, 2000):
        endpoints.meet(address(number), 2.0).outgoing = {1: None}
    assert endpoints.sweeps <= 40

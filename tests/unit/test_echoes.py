"""What servers want to hear again."""

from __future__ import annotations

from aiocoap.sansio.echoes import ECHO_LIFETIME, MAX_ECHOES, Echoes
from tests.harness import Address


def peer(number: int) -> Address:
    return Address(f"[2001:db8::{number:x}]", "[::1]")


def test_a_value_goes_back_once_to_where_it_came_from() -> None:
    echoes = Echoes()
    assert echoes.take(peer(1), 0.0) is None
    echoes.keep(peer(1), b"one", 0.0)
    echoes.keep(peer(2), b"two", 1.0)
    assert echoes.take(peer(3), 1.0) is None
    assert echoes.take(peer(2), 1.0) == b"two"
    assert echoes.take(peer(2), 1.0) is None
    assert echoes.take(peer(1), 1.0) == b"one"
    assert len(echoes) == 0


def test_the_latest_value_counts() -> None:
    echoes = Echoes()
    echoes.keep(peer(1), b"one", 0.0)
    echoes.keep(peer(1), b"two", ECHO_LIFETIME - 1)
    assert len(echoes) == 1
    assert echoes.take(peer(1), ECHO_LIFETIME + 1) == b"two"


def test_old_values_are_dropped() -> None:
    echoes = Echoes()
    echoes.keep(peer(1), b"one", 0.0)
    assert echoes.take(peer(1), ECHO_LIFETIME) is None
    echoes.keep(peer(1), b"one", 0.0)
    echoes.keep(peer(2), b"two", 1.0)
    echoes.keep(peer(3), b"three", ECHO_LIFETIME + 0.5)
    assert list(echoes.waiting) == [peer(2), peer(3)]
    echoes.clear()
    assert not echoes.waiting


def test_there_is_a_limit() -> None:
    echoes = Echoes()
    for number in range(MAX_ECHOES + 2):
        echoes.keep(peer(number), b"%d" % number, 0.0)
    assert len(echoes) == MAX_ECHOES
    assert echoes.take(peer(1), 0.0) is None
    assert echoes.take(peer(2), 0.0) == b"2"

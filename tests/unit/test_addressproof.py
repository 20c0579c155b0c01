"""Whether peers are where they say they are."""

from __future__ import annotations

from aiocoap.sansio import addressproof
from aiocoap.sansio.addressproof import MAX_PROVEN, MAX_UNPROVEN, PROVEN_LIFETIME, AddressProof
from tests.harness import Address

A, B = Address("[2001:db8::a]", ""), Address("[2001:db8::b]", "")
SECRET = bytes(range(16))


def made() -> AddressProof:
    return AddressProof(SECRET, 3.0)


def test_three_times_what_came_in_may_go_out() -> None:
    proof = made()
    assert proof.receive(A, 6, 0.0) == 18
    assert proof.spend(A, 10, 1.0)
    assert not proof.spend(A, 9, 1.0)
    assert proof.spend(A, 8, 1.0)
    assert not proof.spend(A, 1, 1.0)
    assert proof.receive(A, 2, 2.0) == 6
    assert not proof.spend(B, 1, 2.0)


def test_a_proof_holds_for_some_time() -> None:
    proof = made()
    proof.receive(A, 6, 0.0)
    proof.confirm(A, 10.0)
    assert proof.is_proven(A, 10.0)
    assert proof.receive(A, 1, 11.0) is None
    assert proof.spend(A, 10**6, 10.0 + PROVEN_LIFETIME - 1)
    assert not proof.is_proven(B, 10.0)
    assert not proof.is_proven(A, 10.0 + PROVEN_LIFETIME)
    assert proof.receive(A, 1, 10.0 + PROVEN_LIFETIME) == 3
    assert proof.spend(A, 3, 10.0 + PROVEN_LIFETIME)
    assert not proof.spend(A, 1, 10.0 + PROVEN_LIFETIME)
    assert len(proof) == 1


def test_when_a_proof_has_lapsed_one_more_message_may_ask_for_another() -> None:
    proof = made()
    proof.confirm(A, 0.0)
    late = PROVEN_LIFETIME + 1
    for _ in range(5):
        assert proof.spend(A, 1152, late)
    assert not proof.spend(A, 1, late)
    assert not proof.spend(A, 1, 2 * late)
    proof.confirm(A, 2 * late)
    assert proof.spend(A, 10**6, 2 * late)


def test_an_echo_is_good_for_whom_it_was_made_for() -> None:
    proof = made()
    echo = proof.challenge(A, 100.0)
    assert 1 <= len(echo) <= 40
    assert not proof.check(B, echo, 100.0)
    assert not proof.check(A, echo[:-1], 100.0)
    assert not proof.check(A, b"", 100.0)
    assert not proof.is_proven(A, 100.0)
    assert not proof.is_proven(B, 100.0)
    assert proof.check(A, echo, 101.0)
    assert proof.is_proven(A, 101.0)


def test_an_echo_grows_old() -> None:
    proof = made()
    echo = proof.challenge(A, 0.0)
    assert proof.check(A, echo, 127.0)
    assert not proof.check(A, echo, 128.0)
    assert AddressProof(bytes(16), 3.0).challenge(A, 0.0) != echo


def test_proven_addresses_are_bounded(monkeypatch) -> None:
    assert MAX_PROVEN >= 1024
    monkeypatch.setattr(addressproof, "MAX_PROVEN", 3)
    proof = made()
    many = [Address(f"[2001:db8::{n}]", "") for n in range(5)]
    for remote in many[:3]:
        proof.confirm(remote, 0.0)
    proof.confirm(many[0], 1.0)
    proof.confirm(many[3], 1.0)
    proof.confirm(many[4], 1.0)
    assert [proof.is_proven(remote, 2.0) for remote in many] == [True, False, False, True, True]


def test_spoofed_addresses_are_bounded_and_displace_no_proven_one(monkeypatch) -> None:
    assert MAX_UNPROVEN >= 1024
    monkeypatch.setattr(addressproof, "MAX_UNPROVEN", 3)
    proof = made()
    proof.confirm(A, 0.0)
    for n in range(100):
        assert proof.receive(Address(f"[2001:db8:1::{n}]", ""), 5, 0.0) == 15
    assert len(proof) == 4
    assert proof.is_proven(A, 1.0)
    assert not proof.spend(Address("[2001:db8:1::1]", ""), 1, 1.0)
    assert proof.spend(Address("[2001:db8:1::99]", ""), 15, 1.0)


def test_no_key_in_the_repr() -> None:
    proof = made()
    proof.confirm(A, 0.0)
    proof.receive(B, 1, 0.0)
    assert repr(proof) == "<AddressProof: 1 proven, 1 not>"

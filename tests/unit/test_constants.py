"""Transmission parameters, and what follows from them."""

from __future__ import annotations

import pytest

from aiocoap.numbers import constants
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COAP_PORT", 5683),
        ("COAPS_PORT", 5684),
        ("ACK_TIMEOUT", 2.0),
        ("ACK_RANDOM_FACTOR", 1.5),
        ("MAX_RETRANSMIT", 4),
        ("NSTART", 1),
        ("DEFAULT_LEISURE", 5.0),
        ("MAX_TRANSMIT_SPAN", 45.0),
        ("MAX_TRANSMIT_WAIT", 93.0),
        ("MAX_LATENCY", 100.0),
        ("PROCESSING_DELAY", 2.0),
        ("MAX_RTT", 202.0),
        ("EXCHANGE_LIFETIME", 247.0),
        ("NON_LIFETIME", 145.0),
        ("DEFAULT_BLOCK_SIZE_EXP", 6),
        ("EMPTY_ACK_DELAY", 0.1),
        ("REQUEST_TIMEOUT", 93.0),
        ("GROUP_TIMEOUT", 10.0),
        ("OBSERVATION_RESET_TIME", 128),
    ],
)
def test_defaults(name: str, value: float) -> None:
    assert getattr(constants, name) == value
    if name not in ("COAP_PORT", "COAPS_PORT"):
        assert getattr(TransportTuning(), name) == value


def test_what_is_derived_follows() -> None:
    tuning = TransportTuning()
    tuning.ACK_TIMEOUT = 1.0
    tuning.MAX_RETRANSMIT = 2
    tuning.ACK_RANDOM_FACTOR = 2.0
    tuning.MAX_LATENCY = 10.0
    assert tuning.MAX_TRANSMIT_SPAN == 6.0
    assert tuning.MAX_TRANSMIT_WAIT == 14.0
    assert tuning.MAX_RTT == 21.0
    assert tuning.EXCHANGE_LIFETIME == 27.0
    assert tuning.NON_LIFETIME == 16.0
    assert tuning.REQUEST_TIMEOUT == 14.0
    assert tuning.GROUP_TIMEOUT == 8.0
    assert TransportTuning().ACK_TIMEOUT == 2.0


def test_subclasses_change_single_parameters() -> None:
    class Patient(TransportTuning):
        ACK_TIMEOUT = 4.0

    assert Patient().MAX_TRANSMIT_SPAN == 90.0


def test_reliability_is_asked_for_by_class() -> None:
    assert TransportTuning().reliability is None
    assert Reliable().reliability is True
    assert Unreliable().reliability is False

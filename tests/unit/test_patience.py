"""How long which silence of the other end of a connection is borne."""

from __future__ import annotations

from aiocoap.numbers.constants import TransportTuning
from aiocoap.sansio.patience import Patience, Verdict


class Tuning(TransportTuning):
    CSM_TIMEOUT = 10.0
    MESSAGE_TIMEOUT = 60.0
    IDLE_TIMEOUT = 300.0
    KEEPALIVE_INTERVAL = 0.0


class Keepalive(Tuning):
    KEEPALIVE_INTERVAL = 25.0


def patience(tuning: type[TransportTuning] = Tuning) -> Patience:
    it = Patience(tuning(), 1000.0)
    assert it.deadline == 1010.0
    return it


def look(it: Patience, now: float, **how: bool) -> Verdict:
    how = {"is_open": True, "may_idle": False, "is_used": False, **how}
    return it.judge(now, how["is_open"], how["may_idle"], how["is_used"])


def test_the_csm_does_not_come() -> None:
    it = patience()
    # What comes instead does not help.
    it.received(1005.0, is_unfinished=True, is_progress=False)
    assert look(it, 1009.0, is_open=False) is Verdict.WAIT
    assert it.deadline == 1010.0
    assert look(it, 1010.0, is_open=False) is Verdict.GONE
    assert "CSM" in it.reason


def test_an_accepted_connection_is_left_alone() -> None:
    it = patience()
    for now in (1010.0, 1400.0, 9000.0):
        assert look(it, now) is Verdict.WAIT
        assert it.deadline == now + 60


def test_a_message_that_does_not_become_complete() -> None:
    it = patience()
    it.received(1020.0, is_unfinished=True, is_progress=True)
    for now in range(1030, 1080, 10):  # a byte now and then
        it.received(now, is_unfinished=True, is_progress=False)
        assert look(it, now) is Verdict.WAIT
        assert it.deadline == 1080.0
    assert look(it, 1080.0) is Verdict.GONE
    assert it.reason == "a message of the peer did not become complete within 60 seconds"


def test_messages_that_become_complete() -> None:
    it = patience()
    it.received(1020.0, is_unfinished=True, is_progress=False)
    it.received(1070.0, is_unfinished=True, is_progress=True)
    assert look(it, 1085.0) is Verdict.WAIT
    it.received(1090.0, is_unfinished=False, is_progress=True)
    assert look(it, 2000.0) is Verdict.WAIT


def test_a_message_that_is_not_read() -> None:
    it = patience()
    it.received(1020.0, is_unfinished=True, is_progress=False)
    it.not_reading(1070.0)
    assert look(it, 1080.0) is Verdict.WAIT
    assert look(it, 1130.0) is Verdict.GONE
    it = patience()
    it.not_reading(1070.0)
    assert look(it, 1140.0) is Verdict.WAIT


def test_a_peer_that_does_not_read() -> None:
    it = patience()
    it.stalled(1020.0)
    assert look(it, 1079.0) is Verdict.WAIT
    assert it.deadline == 1080.0
    assert look(it, 1080.0) is Verdict.GONE
    assert "did not read" in it.reason


def test_a_peer_that_reads_again() -> None:
    it = patience()
    it.stalled(1020.0)
    it.stalled(None)
    assert look(it, 1100.0) is Verdict.WAIT


def test_an_idle_connection() -> None:
    it = patience()
    it.received(1100.0, is_unfinished=False, is_progress=True)
    assert look(it, 1399.0, may_idle=True) is Verdict.WAIT
    assert it.deadline == 1400.0
    assert look(it, 1400.0, may_idle=True, is_used=True) is Verdict.WAIT
    assert look(it, 1400.0, may_idle=False) is Verdict.WAIT
    assert look(it, 1400.0, may_idle=True) is Verdict.IDLE


def test_keepalive() -> None:
    it = patience(Keepalive)
    it.received(1000.0, is_unfinished=False, is_progress=True)
    assert look(it, 1010.0) is Verdict.WAIT
    assert it.deadline == 1025.0
    assert look(it, 1025.0) is Verdict.PING
    assert it.deadline == 1050.0
    it.received(1026.0, is_unfinished=False, is_progress=True)
    assert look(it, 1050.0) is Verdict.WAIT
    assert it.deadline == 1051.0
    assert look(it, 1051.0) is Verdict.PING
    assert look(it, 1076.0) is Verdict.GONE
    assert it.reason == "the peer answered no ping"


def test_a_look_in_between_does_not_cut_the_wait_for_a_pong_short() -> None:
    it = patience(Keepalive)
    assert look(it, 1025.0) is Verdict.PING
    it.stalled(1026.0)
    assert look(it, 1030.0) is Verdict.WAIT
    assert it.deadline == 1050.0
    assert look(it, 1049.0) is Verdict.WAIT
    assert look(it, 1050.0) is Verdict.GONE

    class Rare(Tuning):
        KEEPALIVE_INTERVAL = 100.0

    it = Patience(Rare(), 1000.0)
    assert look(it, 1100.0) is Verdict.PING
    assert it.deadline == 1160.0
    assert look(it, 1160.0) is Verdict.WAIT
    assert it.deadline == 1200.0
    assert look(it, 1200.0) is Verdict.GONE


def test_the_next_look_is_later_whatever_the_clock_says() -> None:
    """Rounding must not make a deadline of now."""

    class Odd(Tuning):
        KEEPALIVE_INTERVAL = 7.0
        IDLE_TIMEOUT = 7.0

    received = 1.4911523303705376 + 8.25723473680382
    for may_idle, verdict in ((False, Verdict.PING), (True, Verdict.IDLE)):
        it = Patience(Odd(), 0.0)
        it.received(received, is_unfinished=False, is_progress=True)
        assert look(it, received + 7.0, may_idle=may_idle) is verdict


def test_no_ping_before_the_csm() -> None:
    class Late(Keepalive):
        CSM_TIMEOUT = 100.0

    it = Patience(Late(), 1000.0)
    assert look(it, 1030.0, is_open=False) is Verdict.WAIT

"""The message layer's rules, each with the section that it is from."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.error import ConToMulticast
from aiocoap.message import Message
from aiocoap.numbers.codes import CHANGED, CODES, CONTENT, EMPTY, GET, NOT_FOUND, PING, POST
from aiocoap.numbers.constants import Reliable, TransportTuning
from aiocoap.numbers.types import ACK, CON, NON, RST, Type
from aiocoap.sansio import transmission
from aiocoap.sansio.reliability import Reliability, Verdict, empty
from aiocoap.sansio.transmission import State
from tests.harness import Address
from tests.unit.reliability_parts import (
    BY_GROUP,
    ELSEWHERE,
    GROUP,
    HERE,
    IGNORED,
    REQUESTED,
    RESPONDED,
    THERE,
    Bench,
)

# Duplicates (section 4.5)


def test_a_duplicate_gets_the_piggybacked_response_again() -> None:
    bench = Bench()
    assert bench.hear(CON, POST, 7) == REQUESTED
    # While there is no response yet, it gets nothing.
    assert bench.hear(CON, POST, 7) == IGNORED
    reply = bench.respond(bench.heard[0], payload=b"once")
    assert reply is not None
    decoded = Message.decode(reply)
    assert (decoded.mtype, decoded.mid, decoded.token) == (ACK, 7, b"t")
    assert bench.hear(CON, POST, 7) == (Verdict.REPLY, reply)
    bench.after(246.9)
    assert bench.hear(CON, POST, 7) == (Verdict.REPLY, reply)
    bench.rest()


def test_a_message_id_comes_free_after_the_exchange_lifetime() -> None:
    bench = Bench()
    bench.hear(CON, POST, 7)
    bench.respond(bench.heard[0])
    bench.now += 247.0
    assert bench.hear(CON, POST, 7) == REQUESTED
    bench.rest()


def test_a_duplicate_gets_the_empty_ack_again() -> None:
    bench = Bench()
    bench.hear(CON, POST, 7)
    [(when, ack)] = bench.after(2.0)
    assert when == pytest.approx(1000.1)
    assert (ack.mtype, ack.code, ack.mid, ack.remote) == (ACK, EMPTY, 7, THERE)
    assert bench.hear(CON, POST, 7) == (Verdict.REPLY, empty(ACK, 7))
    # The response is a message of its own then, and does not take the place of the ACK.
    assert bench.respond(bench.heard[0]) is None
    assert bench.hear(CON, POST, 7) == (Verdict.REPLY, empty(ACK, 7))


def test_duplicates_of_non_confirmable_requests_get_nothing() -> None:
    bench = Bench()
    assert bench.hear(NON, POST, 7) == REQUESTED
    assert bench.respond(bench.heard[0]) is None
    assert bench.hear(NON, POST, 7) == IGNORED
    bench.after(144.9)
    assert bench.hear(NON, POST, 7) == IGNORED
    bench.after(0.2)
    assert bench.hear(NON, POST, 7) == REQUESTED
    bench.rest()


def test_duplicates_are_told_by_endpoint() -> None:
    bench = Bench()
    assert bench.hear(CON, POST, 7) == REQUESTED
    assert bench.hear(CON, POST, 7, remote=ELSEWHERE) == REQUESTED
    assert bench.hear(CON, POST, 8) == REQUESTED


@pytest.mark.parametrize(("mtype", "token"), [(CON, b"u"), (NON, b"t")])
def test_another_message_of_the_same_id_is_no_duplicate(mtype: Type, token: bytes) -> None:
    bench = Bench()
    bench.hear(CON, POST, 7)
    bench.respond(bench.heard[0])
    assert bench.hear(mtype, POST, 7, token) == REQUESTED
    bench.rest()


def test_a_request_is_not_acknowledged_under_the_id_of_a_later_one() -> None:
    bench = Bench()
    bench.hear(CON, POST, 7, b"1")
    bench.hear(CON, POST, 7, b"2")
    assert bench.respond(bench.heard[0]) is None
    assert bench.heart.acknowledge(bench.heard[0]) is None
    reply = bench.respond(bench.heard[1])
    assert reply is not None
    assert bench.after(1.0) == []
    assert bench.hear(CON, POST, 7, b"2") == (Verdict.REPLY, reply)
    bench.rest()


def test_an_overtaken_request_is_dropped_from_the_empty_acks() -> None:
    bench = Bench()
    bench.hear(CON, POST, 7, b"1")
    bench.hear(CON, POST, 7, b"2")
    assert [message.mid for _, message in bench.after(1.0)] == [7]
    bench.rest()


# Piggybacked and separate responses (section 5.2)


def test_a_response_is_piggybacked_by_a_copy_of_the_request() -> None:
    bench = Bench()
    bench.hear(CON, GET, 7)
    reply = bench.respond(bench.heard[0].copy())
    assert reply is not None
    assert bench.hear(CON, GET, 7) == (Verdict.REPLY, reply)
    assert bench.after(1.0) == []


@pytest.mark.parametrize(
    "change", [{"token": b"u"}, {"mid": 8}, {"remote": ELSEWHERE}, {"mtype": NON}]
)
def test_a_response_to_something_else_is_not_piggybacked(change: dict[str, Any]) -> None:
    bench = Bench()
    bench.hear(CON, GET, 7)
    other = bench.heard[0].copy(**change)
    assert bench.respond(other) is None
    assert bench.heart.acknowledge(other) is None


def test_an_empty_response_just_acknowledges() -> None:
    bench = Bench()
    bench.hear(CON, GET, 7)
    nothing = Message(code=EMPTY, token=b"t")
    nothing.request = bench.heard[0]
    assert bench.heart.piggyback(nothing) == empty(ACK, 7)
    assert bench.heart.piggyback(nothing) is None
    assert bench.hear(CON, GET, 7) == (Verdict.REPLY, empty(ACK, 7))
    assert bench.after(1.0) == []


@pytest.mark.parametrize("mtype", [CON, NON])
def test_a_response_with_a_type_of_its_own_is_not_piggybacked(mtype: Type) -> None:
    bench = Bench()
    bench.hear(CON, GET, 7)
    assert bench.respond(bench.heard[0], mtype=mtype) is None
    assert bench.heart.acknowledge(bench.heard[0]) == empty(ACK, 7)
    assert bench.heart.acknowledge(bench.heard[0]) is None


def test_a_response_that_can_not_be_encoded_leaves_the_request_open() -> None:
    bench = Bench()
    bench.hear(CON, GET, 7)
    response = Message(code=CONTENT, token=bytes(70_000))
    response.request = bench.heard[0]
    with pytest.raises(ValueError, match="too long"):
        bench.heart.piggyback(response)
    assert bench.respond(bench.heard[0]) is not None


def test_empty_acks_are_sent_for_what_is_open_only() -> None:
    bench = Bench()
    for mid in range(5):
        bench.hear(CON, GET, mid)
        bench.now += 0.03
    bench.respond(bench.heard[1])
    sent = bench.until(1000.0 + 10)
    assert [(round(when, 6), message.mid) for when, message in sent] == [
        (1000.15, 0),
        (1000.16, 2),
        (1000.19, 3),
        (1000.22, 4),
    ]
    bench.rest()


@pytest.mark.parametrize(
    ("request_type", "expected"), [(CON, CON), (NON, NON), (None, CON), (ACK, CON)]
)
def test_a_separate_response_is_of_the_type_of_its_request(
    request_type: Type | None, expected: Type
) -> None:
    # Section 5.2.3.
    bench = Bench()
    bench.send(CONTENT, request=Message(code=GET, mtype=request_type))
    assert bench.outbox()[0].mtype is expected


@pytest.mark.parametrize(
    ("own", "context", "expected"),
    [
        (None, Reliable, NON),
        (None, TransportTuning, NON),
        (Reliable, TransportTuning, CON),
        (TransportTuning, Reliable, NON),
    ],
)
def test_a_response_has_its_own_reliability_but_not_that_of_requests(
    own: type[TransportTuning] | None, context: type[TransportTuning], expected: Type
) -> None:
    bench = Bench(context())
    bench.send(CONTENT, request=Message(code=GET, mtype=NON), transport_tuning=own)
    assert bench.outbox()[0].mtype is expected


# Responses that came separately (section 5.2.2)


@pytest.mark.parametrize(("mtype", "reply"), [(CON, empty(ACK, 9)), (NON, None), (ACK, None)])
def test_a_response_that_is_waited_for_is_acknowledged(mtype: Type, reply: bytes | None) -> None:
    bench = Bench()
    if mtype is not ACK:
        assert bench.hear(mtype, CONTENT, 9) == RESPONDED
    else:
        bench.heard.append(Message(mtype=ACK, code=CONTENT, mid=9))
    assert bench.heart.accept(bench.heard[0], bench.now) == reply
    if mtype is not ACK:
        again = bench.hear(mtype, CONTENT, 9)
        assert again == ((Verdict.REPLY, reply) if reply else IGNORED)
    bench.rest()


@pytest.mark.parametrize(("mtype", "reply"), [(CON, empty(RST, 9)), (NON, None), (ACK, None)])
def test_a_response_that_nobody_waits_for_is_rejected(mtype: Type, reply: bytes | None) -> None:
    # Section 5.3.2; nothing of it is remembered.
    bench = Bench()
    message = Message(mtype=mtype, code=CONTENT, mid=9)
    message.remote = THERE
    for _ in range(2):
        if mtype is not ACK:
            assert bench.heart.receive(message, bench.now) == RESPONDED
        assert bench.heart.refuse(message) == reply
    assert bench.heart.is_idle()


@pytest.mark.parametrize(
    ("mtype", "code", "remote", "reply"),
    [
        (CON, CONTENT, THERE, empty(RST, 9)),
        (NON, CONTENT, THERE, empty(RST, 9)),
        # It ends by itself, whatever it says.
        (NON, NOT_FOUND, THERE, None),
        (NON, CONTENT, BY_GROUP, None),
        (ACK, CONTENT, THERE, None),
    ],
)
def test_notifications_of_forgotten_observations_are_reset(
    mtype: Type, code: int, remote: Address, reply: bytes | None
) -> None:
    # RFC 7641 section 3.6: the only word that the server gets of the end.
    message = Message(mtype=mtype, code=code, mid=9, observe=3)
    message.remote = remote
    bench = Bench()
    assert bench.heart.refuse(message) == reply
    assert bench.heart.is_idle()


def test_a_response_under_the_id_of_an_open_request_takes_its_place() -> None:
    bench = Bench()
    bench.hear(CON, GET, 9, b"1")
    assert bench.hear(CON, CONTENT, 9, b"2") == RESPONDED
    assert bench.heart.accept(bench.heard[1], bench.now) == empty(ACK, 9)
    assert bench.respond(bench.heard[0]) is None
    bench.rest()


# What makes no sense (sections 4.2 and 4.3)


@pytest.mark.parametrize("code", [EMPTY, 32, 63, 192, PING, 255])
def test_pings_and_reserved_codes_are_reset(code: int) -> None:
    bench = Bench()
    assert bench.hear(CON, code, 0x1234) == (Verdict.REPLY, empty(RST, 0x1234))
    assert bench.hear(NON, code, 0x1235) == IGNORED
    assert bench.hear(CON, code, 0x1236, remote=BY_GROUP) == IGNORED
    assert bench.heart.is_idle()


@pytest.mark.parametrize("code", range(256))
def test_every_code_is_judged_by_its_class(code: int) -> None:
    verdict = Bench().hear(CON, CODES[code], 1)[0]
    assert (
        verdict
        is [
            Verdict.REQUEST if code else Verdict.REPLY,
            Verdict.REPLY,
            *[Verdict.RESPONSE] * 4,
            *[Verdict.REPLY] * 2,
        ][code >> 5]
    )


# Multicast (section 8)


def test_multicast_requests_are_non_confirmable() -> None:
    bench = Bench()
    assert bench.hear(CON, GET, 1, remote=BY_GROUP) == IGNORED
    assert bench.hear(CON, CONTENT, 1, remote=BY_GROUP) == RESPONDED
    assert bench.heart.refuse(bench.heard[1]) is None
    assert bench.hear(NON, GET, 2, remote=BY_GROUP) == REQUESTED
    assert bench.hear(NON, GET, 2, remote=BY_GROUP) == IGNORED


def test_messages_to_groups_are_sent_once_and_at_once() -> None:
    bench = Bench(chance=0.9999)
    mids = []
    for _ in range(5):
        raw = bench.send(remote=GROUP)
        message = Message.decode(raw)
        assert message.mtype is NON
        mids.append(message.mid)
    # IDs of their own, so that a member can not take one for an ID of a message to it alone.
    assert mids == [0xFFFF, 0xF000, 0xF001, 0xF002, 0xF003]
    assert bench.heart.is_idle()


def test_confirmable_messages_do_not_go_to_groups() -> None:
    bench = Bench()
    with pytest.raises(ConToMulticast):
        bench.send(remote=GROUP, mtype=CON)
    assert bench.heart.is_idle()


def test_unicast_ids_stay_below_those_for_groups() -> None:
    bench = Bench(chance=0.99999)
    mids = [Message.decode(bench.send(CONTENT, mtype=NON, monitor=None)).mid for _ in range(3)]
    assert mids == [0xEFFF, 0, 1]


@pytest.mark.parametrize("monitor", [None, "mine"])
def test_a_delayed_response_waits_for_its_time(monitor: str | None) -> None:
    bench = Bench()
    out = bench.send(CONTENT, mtype=NON, delay=3.0, monitor=monitor, payload=b"late")
    message = bench.sent
    assert bench.outbox() == []
    assert message.mid is None
    [(when, sent)] = bench.after(10)
    assert when == 1003.0
    assert sent.payload == b"late"
    assert message.mid == sent.mid
    heard = bench.hear(RST, EMPTY, sent.mid)
    assert heard == ((Verdict.RESET, "mine") if monitor else IGNORED)
    assert out.state is State.DONE
    bench.rest()


def test_a_delayed_response_can_be_cancelled() -> None:
    bench = Bench()
    bench.cancel(bench.send(CONTENT, mtype=NON, delay=3.0))
    assert bench.after(10) == []
    bench.rest()


# Failures


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("delay", [0.0, 2.0])
def test_a_message_that_can_not_be_encoded_changes_nothing(queued: bool, delay: float) -> None:
    bench = Bench()
    if queued:
        bench.send()
    message = Message(code=GET, token=bytes(70_000))
    message.remote = THERE
    with pytest.raises(ValueError, match="too long"):
        bench.heart.send(message, None, bench.now, delay)
    bench.after(300)
    bench.rest()


# Bounds


def answered(bench: Bench, mid: int, size: int = 0, remote: Address = THERE) -> None:
    bench.hear(CON, POST, mid, remote=remote)
    bench.respond(bench.heard[-1], payload=bytes(size))
    bench.heard.clear()


def test_the_number_of_remembered_messages_is_bounded() -> None:
    bench = Bench()
    bench.heart.memory.max_remembered = 10
    for mid in range(15):
        answered(bench, mid)
    assert len(bench.heart.memory) == len(bench.heart.memory._by_key) == 10
    # The oldest were forgotten.
    assert bench.hear(CON, POST, 14)[0] is Verdict.REPLY
    assert bench.hear(CON, POST, 4) == REQUESTED
    bench.rest()


def test_the_size_of_remembered_replies_is_bounded() -> None:
    bench = Bench()
    bench.heart.memory.max_remembered_bytes = 10_000
    for mid in range(15):
        answered(bench, mid, 1000)
    assert bench.heart.memory._size <= 10_000
    assert len(bench.heart.memory) == 9
    bench.rest()


def test_an_open_request_can_be_answered_after_it_was_forgotten() -> None:
    bench = Bench()
    bench.heart.memory.max_remembered = 2
    for mid in range(5):
        bench.hear(CON, POST, mid)
    assert bench.respond(bench.heard[0]) is not None
    assert bench.heart.acknowledge(bench.heard[1]) == empty(ACK, 1)
    assert bench.heart.memory._size == 0
    assert [message.mid for _, message in bench.after(1)] == [2, 3, 4]
    bench.rest()


def test_a_forgotten_message_does_not_take_a_later_one_with_it() -> None:
    bench = Bench()
    bench.hear(CON, POST, 1, b"1")
    bench.respond(bench.heard[0])
    bench.after(100)
    bench.hear(CON, POST, 1, b"2")
    bench.respond(bench.heard[1])
    bench.after(160)
    assert bench.hear(CON, POST, 1, b"2")[0] is Verdict.REPLY
    bench.rest()


def peer(number: int) -> Address:
    return Address(f"[2001:db8::{number + 0x100:x}]", HERE)


def test_the_number_of_known_endpoints_is_bounded() -> None:
    bench = Bench()
    bench.heart.endpoints.max_peers = 8
    busy = bench.send(remote=peer(0))
    for number in range(1, 100):
        bench.now += 0.001
        answered(bench, 7, remote=peer(number))
        assert len(bench.heart._peers) <= 8
    # Neither those in use nor the latest are forgotten.
    assert busy.state is State.IN_FLIGHT
    assert bench.hear(ACK, CONTENT, busy.mid, remote=peer(0)) == RESPONDED
    assert bench.hear(CON, POST, 7, remote=peer(99))[0] is Verdict.REPLY
    assert bench.hear(CON, POST, 7, remote=peer(1)) == REQUESTED
    bench.after(1000)
    bench.rest()


def test_endpoints_in_use_do_not_make_every_message_sweep() -> None:
    bench = Bench()
    bench.heart.endpoints.max_peers = 8
    for number in range(30):
        bench.send(remote=peer(number))
    assert len(bench.heart._peers) == 30
    assert bench.heart.endpoints._limit > 30
    bench.rest()


def test_responses_are_sent_non_confirmable_when_too_many_are_queued() -> None:
    bench = Bench()
    request = Message(code=GET, mtype=CON)
    for _ in range(1 + transmission.MAX_QUEUED_RESPONSES):
        bench.send(CONTENT, request=request, monitor=None)
    assert len(bench.outbox()) == 1
    raw = bench.send(CONTENT, request=request, monitor=None)
    assert Message.decode(raw).mtype is NON
    # Requests are the program's own business.
    assert bench.send().confirmable


def test_responses_are_sent_non_confirmable_when_too_many_wait_in_all() -> None:
    bench = Bench()
    bench.heart.max_waiting = 3
    for number in range(3):
        assert bench.send(CHANGED, remote=peer(number)).confirmable
    assert isinstance(bench.send(CHANGED, remote=peer(3), monitor=None), bytes)
    # Those to multicast requests are not sent at all (section 8.2 leaves them to us).
    assert bench.send(CHANGED, mtype=NON, remote=peer(4), delay=1.0) is None
    # A ping is no response.
    assert bench.send(EMPTY, remote=peer(5)).confirmable
    bench.rest()


def test_nstart_has_an_upper_end() -> None:
    class Endless(TransportTuning):
        NSTART = 1_000_000

    bench = Bench(Endless())
    bench.heart.max_waiting = 5
    for _ in range(8):
        bench.send()
    assert len(bench.outbox()) == 5


def test_who_acknowledges_a_message_that_is_out_must_have_received_it() -> None:
    heart = Reliability(TransportTuning(), lambda: 0.5)
    remote = Address("[2001:db8::1]", "")
    request = Message(code=GET, token=b"t")
    request.remote = remote
    heart.send(request, None, 0.0)
    reply = Message(mtype=ACK, code=EMPTY, mid=request.mid)
    reply.remote = remote
    assert heart.expects(reply)
    assert heart.expects(reply.copy(mtype=RST))
    assert not heart.expects(reply.copy(mtype=CON))
    assert not heart.expects(reply.copy(mid=request.mid ^ 1))
    assert not heart.expects(reply.copy(remote=Address("[2001:db8::2]", "")))

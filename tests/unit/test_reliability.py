"""The message layer's rules, each with the section that it is from."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.error import ConToMulticast
from aiocoap.message import Message
from aiocoap.numbers.codes import CHANGED, CODES, CONTENT, EMPTY, GET, NOT_FOUND, PING, POST
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable
from aiocoap.numbers.types import ACK, CON, NON, RST, Type
from aiocoap.sansio import reliability
from aiocoap.sansio.reliability import Outgoing, Reliability, State, Verdict, empty
from tests.harness import Address

HERE = "[2001:db8::a]"
THERE = Address("[2001:db8::1]", HERE)
ELSEWHERE = Address("[2001:db8::2]", HERE)
GROUP = Address("[ff02::fd]", HERE)
BY_GROUP = Address("[2001:db8::1]", HERE, "[ff02::fd]")

IGNORED = (Verdict.IGNORE, None)
REQUESTED = (Verdict.REQUEST, None)
RESPONDED = (Verdict.RESPONSE, None)


class Bench:
    """A heart and a clock."""

    def __init__(self, tuning: TransportTuning | None = None, chance: float = 0.5) -> None:
        self.chance = chance
        self.heart = Reliability(tuning or TransportTuning(), lambda: self.chance)
        self.now = 1000.0
        self.silent: list[Any] = []
        self.heard: list[Message] = []

    def hear(
        self, mtype: Type, code: int, mid: int, token: bytes = b"t", remote: Address = THERE
    ) -> tuple[Verdict, Any]:
        message = Message(mtype=mtype, code=code, mid=mid)
        message.token = token if code else b""
        message.remote = remote
        self.heard.append(message)
        return self.heart.receive(message, self.now)

    def send(
        self,
        code: int = GET,
        *,
        remote: Address = THERE,
        monitor: Any = "monitor",
        delay: float = 0.0,
        request: Message | None = None,
        **kwargs: Any,
    ) -> Any:
        message = Message(code=code, **kwargs)
        message.remote = remote
        message.request = request
        message.token = b"t" if code else b""
        self.sent = message
        return self.heart.send(message, monitor, self.now, delay)

    def respond(self, request: Message, **kwargs: Any) -> bytes | None:
        response = Message(code=CONTENT, **kwargs)
        response.request = request
        response.token = request.token
        return self.heart.piggyback(response)

    def outbox(self) -> list[Message]:
        """Take what is to be sent."""
        found = [Message.decode(raw, remote) for raw, remote in self.heart.outbox]
        self.heart.outbox.clear()
        return found

    def cancel(self, out: Outgoing) -> None:
        self.heart.cancel(out, self.now)

    def until(self, end: float) -> list[tuple[float, Message]]:
        """Let time pass as a hand would, and return when what is sent."""
        sent = []
        steps = 0
        while self.heart.wake <= end:
            assert self.heart.wake >= self.now or not steps, "time runs backwards"
            self.now = max(self.now, self.heart.wake)
            self.silent += self.heart.tick(self.now)
            sent += [(self.now, message) for message in self.outbox()]
            steps += 1
            assert steps < 10_000, "the heart never sleeps"
        self.now = end
        return sent

    def after(self, seconds: float) -> list[tuple[float, Message]]:
        return self.until(self.now + seconds)

    def rest(self) -> None:
        """Assert that all that is known is forgotten in time."""
        self.after(1000)
        assert self.heart.is_idle()
        assert self.heart.wake == float("inf")


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


# Retransmission (section 4.2)


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 0.999])
def test_a_message_is_sent_five_times_and_given_up_after_the_last_timeout(chance: float) -> None:
    bench = Bench(chance=chance)
    out = bench.send()
    [first] = bench.outbox()
    assert first.mtype is CON
    assert "in flight" in repr(out).lower().replace("_", " ")
    timeout = 2.0 * (1 + chance / 2)
    again = bench.until(1000.0 + timeout * 31 - 0.001)
    assert [when - 1000 for when, _ in again] == pytest.approx(
        [timeout, 3 * timeout, 7 * timeout, 15 * timeout]
    )
    assert {message.encode() for _, message in again} == {first.encode()}
    assert bench.silent == []
    assert bench.after(0.002) == []
    assert bench.silent == [THERE]
    assert out.state is State.DONE
    bench.rest()


@pytest.mark.parametrize("code", [EMPTY, CONTENT])
def test_an_acknowledgement_ends_the_transmission(code: int) -> None:
    bench = Bench()
    out = bench.send()
    bench.outbox()
    expected = RESPONDED if code else IGNORED
    assert bench.hear(ACK, code, out.mid) == expected
    assert out.state is State.DONE
    assert bench.after(300) == []
    # A second one is nobody's.
    assert bench.hear(ACK, code, out.mid) == IGNORED
    bench.rest()


def test_a_reset_ends_the_transmission_and_is_told() -> None:
    bench = Bench()
    out = bench.send(monitor="mine")
    bench.outbox()
    assert bench.hear(RST, EMPTY, out.mid) == (Verdict.RESET, "mine")
    assert bench.hear(RST, EMPTY, out.mid) == IGNORED
    assert bench.after(300) == []
    bench.rest()


@pytest.mark.parametrize("mtype", [ACK, RST])
def test_acknowledgements_match_by_id_and_endpoint(mtype: Type) -> None:
    # Section 4.4.
    bench = Bench()
    assert bench.hear(mtype, EMPTY, 7) == IGNORED
    out = bench.send()
    assert bench.hear(mtype, EMPTY, out.mid + 1) == IGNORED
    assert bench.hear(mtype, EMPTY, out.mid, remote=ELSEWHERE) == IGNORED
    bench.hear(NON, GET, 5, remote=ELSEWHERE)
    assert bench.hear(mtype, EMPTY, out.mid, remote=ELSEWHERE) == IGNORED
    assert out.state is State.IN_FLIGHT


@pytest.mark.parametrize(
    ("mtype", "code"), [(ACK, GET), (ACK, PING), (ACK, 33), (RST, CONTENT), (RST, GET)]
)
def test_nonsense_in_acknowledgements_is_ignored(mtype: Type, code: int) -> None:
    bench = Bench()
    out = bench.send()
    assert bench.hear(mtype, code, out.mid) == IGNORED
    assert out.state is State.IN_FLIGHT


def test_cancelling_stops_the_transmission() -> None:
    # The separate response overtook the ACK, or the application lost interest.
    bench = Bench()
    out = bench.send()
    bench.outbox()
    bench.cancel(out)
    bench.cancel(out)
    assert bench.after(300) == []
    assert bench.hear(ACK, CONTENT, out.mid) == IGNORED
    bench.rest()


def test_a_late_process_keeps_the_spacing() -> None:
    bench = Bench(chance=0.0)
    bench.send()
    bench.outbox()
    bench.now += 3.0
    bench.heart.tick(bench.now)
    assert len(bench.outbox()) == 1
    assert [when for when, _ in bench.until(1040.0)] == [1007.0, 1015.0, 1031.0]


def test_no_retransmission_leaves_the_envelope() -> None:
    # A process that slept does not go on where it was (MAX_TRANSMIT_SPAN), but still listens.
    bench = Bench()
    out = bench.send()
    bench.outbox()
    bench.now += 60.0
    assert bench.heart.tick(bench.now) == []
    assert bench.outbox() == []
    assert out.state is State.IN_FLIGHT
    assert bench.until(1092.9) == []
    assert bench.silent == []
    assert bench.until(1093.1) == []
    assert bench.silent == [THERE]


def test_the_last_retransmission_may_be_a_little_late() -> None:
    tuning = TransportTuning()
    tuning.ACK_RANDOM_FACTOR = 1.0
    bench = Bench(tuning)
    bench.send()
    count = 1
    for _ in range(4):
        bench.now = bench.heart.wake + 0.01
        bench.heart.tick(bench.now)
    count = len(bench.outbox())
    assert count == 5


def test_parameters_of_a_message_go_before_those_of_the_context() -> None:
    class Hasty(TransportTuning):
        ACK_TIMEOUT = 1.0
        ACK_RANDOM_FACTOR = 1.0
        MAX_RETRANSMIT = 1

    bench = Bench()
    bench.send(transport_tuning=Hasty)
    bench.outbox()
    assert [when for when, _ in bench.until(1002.9)] == [1001.0]
    bench.until(1003.0)
    assert bench.silent == [THERE]


@pytest.mark.parametrize(("tuning", "expected"), [(None, CON), (Reliable, CON), (Unreliable, NON)])
def test_reliability_chooses_the_type_of_requests(
    tuning: type[TransportTuning] | None, expected: Type
) -> None:
    bench = Bench()
    bench.send(transport_tuning=tuning)
    assert bench.outbox()[0].mtype is expected
    bench = Bench(None if tuning is None else tuning())
    bench.send()
    assert bench.outbox()[0].mtype is expected


# NSTART (section 4.7)


def test_one_message_at_a_time_is_outstanding_to_an_endpoint() -> None:
    bench = Bench()
    outs = [bench.send() for _ in range(3)]
    elsewhere = bench.send(remote=ELSEWHERE)
    assert [message.remote for message in bench.outbox()] == [THERE, ELSEWHERE]
    assert [out.state for out in outs] == [State.IN_FLIGHT, State.QUEUED, State.QUEUED]
    bench.hear(ACK, EMPTY, elsewhere.mid, remote=ELSEWHERE)
    assert bench.outbox() == []
    bench.hear(ACK, EMPTY, outs[0].mid)
    [second] = bench.outbox()
    assert second.mid == outs[1].mid
    bench.hear(RST, EMPTY, outs[1].mid)
    [third] = bench.outbox()
    assert third.mid == outs[2].mid
    bench.hear(ACK, CONTENT, outs[2].mid)
    assert bench.outbox() == []
    bench.rest()


def test_a_queued_message_gets_its_id_when_it_leaves() -> None:
    bench = Bench()
    first = bench.send()
    second = bench.send(payload=b"second")
    message = bench.sent
    assert message.mid is None
    assert second.remote == THERE
    bench.outbox()
    bench.cancel(first)
    [sent] = bench.outbox()
    assert message.mid == second.mid == sent.mid == first.mid + 1
    assert sent.payload == b"second"


def test_cancelling_a_queued_message_keeps_it_from_being_sent() -> None:
    bench = Bench()
    outs = [bench.send() for _ in range(3)]
    bench.outbox()
    bench.cancel(outs[1])
    bench.cancel(outs[0])
    assert [message.mid for message in bench.outbox()] == [outs[2].mid]
    bench.cancel(outs[2])
    assert bench.after(1000) == []
    bench.rest()


def test_higher_nstart_is_honoured_in_turn() -> None:
    class Broad(TransportTuning):
        NSTART = 3

    bench = Bench()
    outs = [bench.send(transport_tuning=Broad) for _ in range(4)]
    assert len(bench.outbox()) == 3
    plain = bench.send()
    bench.cancel(outs[0])
    assert [message.mid for message in bench.outbox()] == [outs[3].mid]
    # The plain one waits until it would be alone.
    bench.cancel(outs[1])
    bench.cancel(outs[2])
    assert bench.outbox() == []
    bench.cancel(outs[3])
    assert [message.mid for message in bench.outbox()] == [plain.mid]


def test_non_confirmable_requests_count_until_they_are_answered() -> None:
    bench = Bench()
    first = bench.send(mtype=NON)
    bench.send(mtype=CON)
    assert [message.mtype for message in bench.outbox()] == [NON]
    # The floor above has found the response.
    bench.cancel(first)
    assert [message.mtype for message in bench.outbox()] == [CON]


def test_silent_endpoints_get_no_more_than_the_probing_rate() -> None:
    bench = Bench()
    bench.send(mtype=NON, payload=bytes(100))
    [first] = bench.outbox()
    second = bench.send(mtype=NON)
    size = len(first.encode())
    assert bench.until(1000.0 + size - 0.1) == []
    [(when, message)] = bench.after(0.2)
    assert when == pytest.approx(1000.0 + size)
    assert message.mid == second.mid


def test_a_short_request_has_at_least_one_timeout() -> None:
    class Probing(TransportTuning):
        PROBING_RATE = 1000.0

    bench = Bench(Probing())
    bench.send(mtype=NON, monitor=None)
    bench.send(mtype=NON, monitor=None)
    bench.outbox()
    assert [when for when, _ in bench.after(10)] == [1003.0]
    bench.rest()


def test_who_wants_no_response_waits_for_none() -> None:
    bench = Bench()
    first = bench.send(no_response=26)
    assert first.confirmable
    bench.send()
    bench.outbox()
    # One to acknowledge is outstanding, and another is queued.
    outs = [bench.send(mtype=NON, no_response=26) for _ in range(3)]
    assert [message.mid for message in bench.outbox()] == [out.mid for out in outs]
    assert bench.send(mtype=NON, no_response=26, monitor=None).state is State.DONE
    [last] = bench.outbox()
    assert last.mtype is NON
    # All of the rest is as ever: who wants to hear of some outcomes may hear of them.
    assert bench.send(mtype=NON, no_response=2).state is State.QUEUED
    assert bench.hear(RST, EMPTY, outs[1].mid)[0] is Verdict.RESET
    bench.rest()


def test_non_confirmable_responses_do_not_count() -> None:
    bench = Bench()
    assert isinstance(bench.send(CONTENT, mtype=NON, monitor=None), bytes)
    assert isinstance(bench.send(CONTENT, mtype=NON), Outgoing)
    bench.send()
    assert len(bench.outbox()) == 2


def test_giving_up_ends_all_that_goes_to_the_endpoint() -> None:
    class Broad(TransportTuning):
        NSTART = 2

    bench = Bench(Broad())
    outs = [bench.send() for _ in range(2)]
    bench.after(10.0)
    outs += [bench.send() for _ in range(2)]
    elsewhere = bench.send(remote=ELSEWHERE)
    sent = bench.until(1000.0 + 31 * 2.5)
    assert {message.mid for _, message in sent if message.remote == THERE} == {
        out.mid for out in outs[:2]
    }
    # Once for all of them.
    assert bench.silent == [THERE]
    assert {out.state for out in outs} == {State.DONE}
    assert elsewhere.state is State.IN_FLIGHT
    bench.rest()


def test_messages_to_an_unreachable_endpoint_are_abandoned() -> None:
    bench = Bench()
    bench.heart.abandon(THERE, bench.now)
    outs = [bench.send(), bench.send(), bench.send(CONTENT, mtype=NON)]
    bench.outbox()
    bench.heart.abandon(THERE, bench.now)
    assert {out.state for out in outs} == {State.DONE}
    assert bench.after(300) == []
    bench.hear(NON, GET, 1, remote=ELSEWHERE)
    bench.heart.abandon(ELSEWHERE, bench.now)
    bench.rest()


def test_a_cancelled_message_does_not_hold_up_those_behind_it() -> None:
    class Broad(TransportTuning):
        NSTART = 2

    bench = Bench()
    bench.send()
    plain = bench.send()
    broad = bench.send(transport_tuning=Broad)
    bench.outbox()
    bench.cancel(plain)
    assert [message.mid for message in bench.outbox()] == [broad.mid]


# Non-confirmable messages (section 4.3)


def test_a_reset_of_a_non_confirmable_message_is_told() -> None:
    bench = Bench()
    out = bench.send(CONTENT, mtype=NON, monitor="mine")
    bench.outbox()
    # Nobody acknowledges such messages.
    assert bench.hear(ACK, EMPTY, out.mid) == IGNORED
    bench.after(140)
    assert bench.hear(RST, EMPTY, out.mid) == (Verdict.RESET, "mine")
    bench.rest()


def test_a_reset_that_comes_too_late_is_not_heard() -> None:
    bench = Bench()
    out = bench.send(CONTENT, mtype=NON, monitor="mine")
    later = bench.send(CONTENT, mtype=NON, monitor="mine")
    bench.after(200)
    assert bench.hear(RST, EMPTY, out.mid) == IGNORED
    assert later.state is State.DONE


def test_the_number_of_resets_that_are_listened_for_is_bounded() -> None:
    bench = Bench()
    bench.heart.max_listening = 3
    outs = [bench.send(CONTENT, mtype=NON, monitor=number) for number in range(5)]
    bench.outbox()
    found = [bench.hear(RST, EMPTY, out.mid) for out in outs]
    # A handle that was cancelled for the bound still knows its ID.
    assert found == [IGNORED] * 2 + [(Verdict.RESET, number) for number in (2, 3, 4)]


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


# Message IDs (section 4.4)


def test_ids_begin_at_random_and_count_per_endpoint() -> None:
    bench = Bench(chance=0.25)
    first = bench.send()
    bench.chance = 0.75
    other = bench.send(remote=ELSEWHERE)
    bench.cancel(first)
    assert first.mid == 0x3C00
    assert other.mid == 0xB400
    assert bench.send().mid == 0x3C01


def test_ids_in_flight_are_left_out_when_the_others_are_used_up() -> None:
    class Broad(TransportTuning):
        NSTART = 3

    bench = Bench(Broad(), chance=0.0)
    held = [bench.send(), bench.send()]
    assert [out.mid for out in held] == [0, 1]
    for _ in range(0xF000 - 2):
        bench.send(CONTENT, mtype=NON, monitor=None)
    assert bench.send().mid == 2


def test_an_endpoint_keeps_its_count_for_a_lifetime() -> None:
    bench = Bench(chance=0.25)
    bench.cancel(bench.send())
    bench.outbox()
    bench.chance = 0.75
    bench.after(200)
    again = bench.send()
    assert again.mid == 0x3C01
    bench.cancel(again)
    bench.outbox()
    bench.after(600)
    assert bench.send().mid == 0xB400


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
    for _ in range(1 + reliability.MAX_QUEUED_RESPONSES):
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


# Notifications that take the place of others (RFC 7641 section 4.5)


def notify(bench: Bench, former: Any = None, mtype: Any = NON, monitor: Any = "monitor") -> Any:
    """Send a notification, the one before it given."""
    message = Message(mtype=mtype, code=CONTENT)
    message.remote, message.token = THERE, b"t"
    message.request = Message(mtype=NON, code=GET)
    return bench.heart.notify(message, monitor, bench.now, former)


def test_a_reset_of_a_superseded_notification_ends_the_observation() -> None:
    bench = Bench()
    out = notify(bench)
    (first,) = bench.outbox()
    assert notify(bench, out, monitor="second") is out
    (second,) = bench.outbox()
    assert [first.mtype, second.mtype] == [NON, NON]
    assert bench.hear(RST, EMPTY, first.mid) == (Verdict.RESET, "second")
    bench.rest()


def test_the_type_of_a_notification_is_that_of_its_request() -> None:
    bench = Bench()
    notify(bench, mtype=None)
    assert bench.outbox()[0].mtype is NON


def test_an_acknowledgement_of_a_superseded_non_confirmable_one_means_nothing() -> None:
    bench = Bench()
    out = notify(bench)
    (first,) = bench.outbox()
    notify(bench, out)
    (second,) = bench.outbox()
    assert bench.hear(ACK, EMPTY, first.mid) == IGNORED
    assert bench.hear(RST, EMPTY, second.mid) == (Verdict.RESET, "monitor")
    bench.rest()


def test_notifications_that_are_listened_for_are_bounded() -> None:
    bench = Bench()
    bench.heart.max_listening = 1
    out = notify(bench)
    (first,) = bench.outbox()
    notify(bench, out)
    (second,) = bench.outbox()
    notify(bench, out)
    (third,) = bench.outbox()
    assert bench.hear(RST, EMPTY, first.mid) == IGNORED
    assert bench.hear(RST, EMPTY, second.mid) == (Verdict.RESET, "monitor")
    assert len({first.mid, second.mid, third.mid}) == 3
    bench.rest()


def test_notifications_to_an_overloaded_peer_are_not_confirmable() -> None:
    bench = Bench()
    for _ in range(reliability.MAX_QUEUED_RESPONSES + 1):
        bench.send()
    bench.outbox()
    notify(bench, mtype=CON)
    assert [message.mtype for message in bench.outbox()] == [NON]


def test_a_notification_takes_the_place_of_one_that_waits_for_its_leisure() -> None:
    bench = Bench()
    former = bench.send(CONTENT, delay=5.0, mtype=NON)
    assert bench.outbox() == []
    assert notify(bench, former) is former
    assert len(bench.outbox()) == 1
    assert bench.after(10) == []
    bench.rest()


# Notifications (RFC 7641 section 4.5)


class Observer:
    """What is sent to one observer."""

    def __init__(self, bench: Bench, mtype: Type | None = CON, remote: Address = THERE) -> None:
        self.bench = bench
        self.request = Message(mtype=mtype, code=GET)
        self.remote = remote
        self.out: Outgoing | None = None
        self.latest: Message | None = None

    def notify(self, payload: bytes, monitor: Any = "monitor", **kwargs: Any) -> Message:
        message = Message(**{"code": CONTENT, "payload": payload, **kwargs})
        message.remote, message.request, message.token = self.remote, self.request, b"o"
        self.out = self.bench.heart.notify(message, monitor, self.bench.now, self.out)
        self.latest = message
        return message

    def sent(self) -> Message:
        """Take the one message that is to be sent."""
        (message,) = self.bench.outbox()
        return message

    def hear(self, mtype: Type, mid: int | None) -> tuple[Verdict, Any]:
        assert mid is not None
        return self.bench.hear(mtype, EMPTY, mid, remote=self.remote)


def test_notifications_are_as_the_request_was() -> None:
    for mtype in (CON, NON):
        bench = Bench()
        observer = Observer(bench, mtype)
        message = observer.notify(b"1")
        assert (observer.sent().mtype, message.mtype) == (mtype, mtype)
        observer.notify(b"2", mtype=CON)
        if mtype is NON:
            assert observer.sent().mtype is CON
        bench.heart.cancel(observer.out, bench.now)  # type: ignore[arg-type]
        bench.rest()


def test_acknowledged_notifications_follow_each_other() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    one = observer.out
    assert observer.hear(ACK, observer.sent().mid) == IGNORED
    bench.after(1000)
    assert bench.heart.is_idle(), "not even the endpoint is known any more"
    second = observer.notify(b"2")
    assert observer.out is one, "there is one handle for all"
    assert second.mid != first.mid or bench.chance == 0.5
    assert observer.sent().payload == b"2"
    assert observer.hear(ACK, second.mid) == IGNORED
    assert bench.after(100) == []
    bench.rest()


def test_the_newest_waits_for_an_acknowledgement() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    bench.outbox()
    second, third = observer.notify(b"2"), observer.notify(b"3")
    assert bench.outbox() == [], "one is out"
    assert second.mid is None
    assert observer.out is not None
    assert observer.out.state is State.SUPERSEDED
    assert observer.hear(ACK, first.mid) == IGNORED
    sent = observer.sent()
    assert (sent.payload, sent.mtype, sent.mid) == (b"3", CON, third.mid)
    # With the parameters of a new message.
    [(when, again)] = bench.after(2.6)
    assert (when, again.mid) == (pytest.approx(1002.5), sent.mid)
    assert observer.hear(ACK, sent.mid) == IGNORED
    bench.rest()


def test_the_newest_takes_the_place_of_a_retransmission() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    bench.outbox()
    bench.after(1.0)
    second = observer.notify(b"2")
    [(when, sent)] = bench.after(2.0)
    assert when == pytest.approx(1002.5), "the timing is that of the first"
    assert (sent.payload, sent.mid) == (b"2", second.mid)
    assert second.mid != first.mid, "it is another message"
    bench.after(1.0)
    third = observer.notify(b"3")
    rest = bench.after(200.0)
    # Attempts count on: it is the third of five, and doubled timeouts go on, too.
    assert [when for when, _ in rest] == pytest.approx([1007.5, 1017.5, 1037.5])
    assert {message.mid for _, message in rest} == {third.mid}
    assert {message.payload for _, message in rest} == {b"3"}
    assert bench.silent == [THERE], "who never answers is gone after the last attempt"
    assert observer.out is not None
    assert observer.out.state is State.DONE
    bench.rest()


def test_what_changes_all_the_time_is_not_tried_forever() -> None:
    bench = Bench()
    observer = Observer(bench)
    observer.notify(b"0")
    bench.outbox()
    sent = []
    for number in range(1, 120):
        sent += bench.after(1.0)
        if bench.silent:
            break
        observer.notify(b"%d" % number)
    assert bench.silent == [THERE]
    assert bench.now == pytest.approx(1077.5, abs=1.0)
    assert len(sent) == 4
    assert len({message.mid for _, message in sent}) == 4
    bench.rest()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_reset_of_any_notification_ends_the_observation(which: int) -> None:
    bench = Bench()
    observer = Observer(bench)
    sent = [observer.notify(b"1")]
    bench.outbox()
    for number in (b"2", b"3"):
        sent.append(observer.notify(number))
        assert len(bench.after(6.0)) == 1
    observer.notify(b"4")
    assert observer.hear(RST, sent[which].mid) == (Verdict.RESET, "monitor")
    assert observer.hear(RST, sent[which].mid) == IGNORED
    assert bench.outbox() == []
    bench.rest()


def test_an_acknowledgement_of_a_former_one_ends_the_doubts() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    bench.outbox()
    second = observer.notify(b"2")
    bench.after(7.0)
    # The round trip takes longer than the first timeout.
    assert observer.hear(ACK, first.mid) == IGNORED
    assert observer.out is not None
    assert observer.out.state is State.IN_FLIGHT, "it has not got the second one"
    rest = bench.after(200.0)
    assert [when for when, _ in rest] == pytest.approx([1009.5, 1014.5, 1024.5, 1044.5])
    assert {message.mid for _, message in rest} == {second.mid}
    assert bench.silent == [THERE]
    assert observer.hear(ACK, first.mid) == IGNORED
    bench.rest()


def test_late_replies_about_what_is_done_are_nothing() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    bench.outbox()
    second = observer.notify(b"2")
    bench.after(3.0)
    assert observer.hear(ACK, second.mid) == IGNORED
    assert observer.hear(RST, first.mid) == IGNORED, "the newer word counts"
    bench.rest()


def test_a_queued_notification_is_replaced_in_its_place() -> None:
    bench = Bench()
    other = bench.send(POST)
    bench.outbox()
    one, two = Observer(bench), Observer(bench)
    one.notify(b"1")
    two.notify(b"2")
    newest = one.notify(b"3")
    assert bench.outbox() == []
    bench.cancel(other)
    assert one.sent().payload == b"3"
    assert one.hear(ACK, newest.mid) == IGNORED
    assert two.sent().payload == b"2"
    bench.cancel(two.out)  # type: ignore[arg-type]
    bench.rest()


def test_a_successor_takes_its_turn() -> None:
    bench = Bench()
    one, two = Observer(bench), Observer(bench)
    first = one.notify(b"1")
    bench.outbox()
    two.notify(b"2")
    one.notify(b"3")
    one.hear(ACK, first.mid)
    assert one.sent().payload == b"2"
    assert two.latest is not None
    two.hear(ACK, two.latest.mid)
    assert one.sent().payload == b"3"
    bench.cancel(one.out)  # type: ignore[arg-type]
    bench.rest()


def test_a_superseded_notification_can_be_cancelled() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    bench.outbox()
    observer.notify(b"2")
    other = bench.send(POST)
    bench.cancel(observer.out)  # type: ignore[arg-type]
    assert [message.code for message in bench.outbox()] == [POST], "its place is free"
    assert observer.hear(ACK, first.mid) == IGNORED
    bench.cancel(other)
    bench.rest()


def test_an_unreachable_observer_gets_no_successor_either() -> None:
    bench = Bench()
    observer = Observer(bench)
    observer.notify(b"1")
    bench.outbox()
    observer.notify(b"2")
    bench.heart.abandon(THERE, bench.now)
    assert bench.after(100.0) == []
    assert observer.out is not None
    assert observer.out.state is State.DONE
    bench.rest()


def test_non_confirmable_notifications_do_not_wait() -> None:
    bench = Bench()
    observer = Observer(bench, NON)
    sent = [observer.notify(b"%d" % number) for number in range(5)]
    assert [message.payload for message in bench.outbox()] == [b"0", b"1", b"2", b"3", b"4"]
    assert len({message.mid for message in sent}) == 5
    assert observer.hear(ACK, sent[-1].mid) == IGNORED, "nobody acknowledges those"
    assert observer.hear(ACK, sent[0].mid) == IGNORED
    # The client rejects what it has heard a round trip ago.
    assert observer.hear(RST, sent[2].mid) == (Verdict.RESET, "monitor")
    assert observer.hear(RST, sent[4].mid) == IGNORED
    bench.rest()


def test_what_was_not_confirmable_becomes_so() -> None:
    bench = Bench()
    observer = Observer(bench, NON)
    first = observer.notify(b"1")
    second = observer.notify(b"2", mtype=CON)
    assert [message.mtype for message in bench.outbox()] == [NON, CON]
    third = observer.notify(b"3")
    assert third.mtype is CON, "as long as one waits to be confirmed"
    assert observer.hear(ACK, second.mid) == IGNORED
    assert observer.sent().mid == third.mid
    assert observer.hear(RST, first.mid) == (Verdict.RESET, "monitor")
    bench.rest()


def test_a_reset_of_what_came_before_a_queued_one() -> None:
    bench = Bench()
    other = bench.send(POST)
    observer = Observer(bench, NON)
    first = observer.notify(b"1")
    observer.notify(b"2", mtype=CON)
    assert [message.mtype for message in bench.outbox()] == [CON, NON]
    assert observer.hear(ACK, first.mid) == IGNORED
    assert observer.hear(RST, first.mid) == IGNORED, "it was answered, oddly"
    third = Observer(bench, NON)
    first = third.notify(b"1")
    third.notify(b"2", mtype=CON)
    assert third.hear(RST, first.mid) == (Verdict.RESET, "monitor")
    bench.cancel(other)
    bench.outbox()
    bench.cancel(observer.out)  # type: ignore[arg-type]
    bench.rest()


def test_nobody_listens_to_the_reset_of_the_last_one() -> None:
    bench = Bench()
    observer = Observer(bench, NON)
    observer.notify(b"1")
    last = observer.notify(b"2", monitor=None)
    assert len(bench.outbox()) == 2
    assert observer.hear(RST, last.mid) == IGNORED
    bench.rest()


def test_a_response_that_waits_for_its_leisure_is_superseded_too() -> None:
    bench = Bench()
    observer = Observer(bench, NON)
    observer.out = bench.send(CONTENT, request=observer.request, delay=3.0)
    observer.notify(b"2")
    assert observer.sent().payload == b"2"
    assert bench.after(10.0) == []
    bench.rest()


def test_the_first_response_is_superseded_too() -> None:
    bench = Bench()
    observer = Observer(bench)
    observer.out = first = bench.send(CONTENT, request=observer.request)
    mid = observer.sent().mid
    observer.notify(b"2")
    assert observer.out is first
    assert observer.hear(ACK, mid) == IGNORED
    assert observer.sent().payload == b"2"
    bench.cancel(first)
    bench.rest()


def test_notifications_that_can_not_be_encoded() -> None:
    bench = Bench()
    observer = Observer(bench)
    bad = Message(code=CONTENT, etag=b"12345678")
    bad.opt._values[4] = [b"x" * 70000]
    bad.remote, bad.request = THERE, observer.request
    with pytest.raises(ValueError, match="too large"):
        bench.heart.notify(bad, None, bench.now)
    first = observer.notify(b"1")
    bench.outbox()
    with pytest.raises(ValueError, match="too large"):
        bench.heart.notify(bad, None, bench.now, observer.out)
    assert bad.mid is None
    assert observer.out is not None
    assert observer.out.state is State.IN_FLIGHT
    assert observer.hear(ACK, first.mid) == IGNORED
    bench.rest()


def test_of_too_many_superseded_ones_the_oldest_goes_unheard() -> None:
    bench = Bench()
    bench.heart.max_listening = 2
    observer = Observer(bench, NON)
    sent = [observer.notify(b"%d" % number) for number in range(4)]
    bench.outbox()
    assert observer.hear(RST, sent[0].mid) == IGNORED
    assert observer.hear(RST, sent[1].mid) == (Verdict.RESET, "monitor")
    bench.rest()


def test_an_overloaded_observer_is_not_waited_for() -> None:
    bench = Bench()
    bench.heart.max_waiting = 1
    other = bench.send(POST)
    observer = Observer(bench)
    observer.notify(b"1")
    assert [message.mtype for message in bench.outbox()] == [CON, NON]
    bench.cancel(other)
    bench.rest()


def test_a_process_that_slept_does_not_send_the_successor() -> None:
    bench = Bench()
    observer = Observer(bench)
    observer.notify(b"1")
    bench.outbox()
    second = observer.notify(b"2")
    bench.now += 500.0
    assert bench.after(0.0) == []
    assert second.mid is None
    assert bench.after(10.0) == []
    assert bench.silent == [THERE]
    bench.rest()


def test_superseded_ones_prove_an_address_as_well() -> None:
    bench = Bench()
    observer = Observer(bench)
    first = observer.notify(b"1")
    observer.notify(b"2")
    for mid, expected in ((first.mid, True), (first.mid + 1, False)):  # type: ignore[operator]
        reply = Message(mtype=ACK, code=EMPTY, mid=mid)
        reply.remote = THERE
        assert bench.heart.expects(reply) is expected
    bench.cancel(observer.out)  # type: ignore[arg-type]
    bench.rest()


def test_a_reply_without_a_message_id_proves_nothing() -> None:
    bench = Bench()
    bench.send(POST)
    reply = Message(mtype=ACK, code=EMPTY)
    reply.remote = THERE
    assert not bench.heart.expects(reply)

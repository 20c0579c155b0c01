"""What is sent again, what has to wait, and which notification takes whose place."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, EMPTY, GET, PING, POST
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable
from aiocoap.numbers.types import ACK, CON, NON, RST, Type
from aiocoap.sansio import transmission
from aiocoap.sansio.reliability import Verdict
from aiocoap.sansio.transmission import Outgoing, State
from tests.harness import Address
from tests.unit.reliability_parts import ELSEWHERE, IGNORED, RESPONDED, THERE, Bench

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
    for _ in range(transmission.MAX_QUEUED_RESPONSES + 1):
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

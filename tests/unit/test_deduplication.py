"""What is remembered of incoming messages, for how long, and how many of them."""

from __future__ import annotations

import tracemalloc

import pytest

from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, POST
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON, NON, Type
from aiocoap.sansio.deduplication import Deduplication


def request(mtype: Type = CON, token: bytes = b"t") -> Message:
    return Message(mtype=mtype, code=POST, token=token)


def answered(memory: Deduplication, key: int, now: float, reply: bytes = b"reply") -> None:
    message = request()
    assert memory.take_in(key, message, now) is None
    memory.answer(memory.open[message], message, reply)


@pytest.fixture
def memory() -> Deduplication:
    return Deduplication(TransportTuning())


def test_a_request_is_new_once(memory: Deduplication) -> None:
    first = request()
    assert memory.take_in(7, first, 0.0) is None
    # Nothing can be repeated while it is open.
    assert memory.take_in(7, request(), 0.1) == b""
    memory.answer(memory.open[first], first, b"reply")
    assert memory.open == {}
    assert memory.take_in(7, request(), 0.2) == b"reply"
    assert memory.take_in(8, request(), 0.3) is None
    assert len(memory) == 2


@pytest.mark.parametrize(("mtype", "lifetime"), [(CON, 247.0), (NON, 145.0)])
def test_a_request_is_remembered_for_its_lifetime(
    memory: Deduplication, mtype: Type, lifetime: float
) -> None:
    assert memory.take_in(7, request(mtype), 1000.0) is None
    assert memory.take_in(7, request(mtype), 1000.0 + lifetime - 0.001) == b""
    assert memory.take_in(7, request(mtype), 1000.0 + lifetime) is None


@pytest.mark.parametrize("other", [request(CON, b"u"), request(CON, b""), request(NON)])
def test_what_differs_is_no_duplicate(memory: Deduplication, other: Message) -> None:
    first = request()
    memory.take_in(7, first, 0.0)
    assert memory.recall(7, other, 1.0) is None
    assert memory.take_in(7, other, 1.0) is None
    # It does not answer the first one's peer any more either.
    if other.mtype is CON:
        assert memory.overdue(1.0) == []


def test_a_copy_finds_its_open_request(memory: Deduplication) -> None:
    first = request()
    memory.take_in(7, first, 0.0)
    assert memory.find_open(8, first) is None
    assert memory.find_open(7, request(token=b"u")) is None
    found = memory.find_open(7, request())
    assert found is memory.open[first]
    memory.answer(found, request(), b"reply")
    assert memory.find_open(7, request()) is None
    assert memory.take_in(7, request(), 0.05) == b"reply"
    assert memory.overdue(0.1) == []
    assert memory.open == {}


def test_requests_are_overdue_after_the_delay_in_order(memory: Deduplication) -> None:
    messages = [request() for _ in range(3)]
    for number, message in enumerate(messages):
        memory.take_in(number, message, 10.0 + number / 100)
    assert memory.next_acknowledgement() == pytest.approx(10.1)
    assert memory.overdue(10.09) == []
    assert [message for message, _ in memory.overdue(10.115)] == messages[:2]
    assert memory.next_acknowledgement() == pytest.approx(10.12)
    memory.open.clear()
    assert memory.next_acknowledgement() == float("inf")


def test_responses_are_remembered_with_their_reply(memory: Deduplication) -> None:
    response = Message(mtype=CON, code=CONTENT, token=b"t")
    assert memory.recall(7, response, 0.0) is None
    memory.remember(7, response, b"ack", 0.0)
    assert memory.recall(7, response, 246.0) == b"ack"
    assert memory.recall(7, response, 247.0) is None
    notification = Message(mtype=NON, code=CONTENT, token=b"t")
    memory.remember(8, notification, b"", 0.0)
    assert memory.recall(8, notification, 144.0) == b""


def test_a_response_supersedes_what_had_its_id(memory: Deduplication) -> None:
    memory.take_in(7, request(), 0.0)
    answered(memory, 8, 0.0)
    for key in (7, 8):
        memory.remember(key, Message(mtype=CON, code=CONTENT, token=b"r"), b"ack", 0.05)
    assert memory.overdue(1.0) == []
    memory.forget_oldest(1000.0)
    assert memory.is_empty()


def test_the_oldest_are_forgotten_first(memory: Deduplication) -> None:
    assert memory.next_expiry() == float("inf")
    for key in range(3):
        answered(memory, key, float(key))
    assert memory.next_expiry() == 247.0
    memory.forget_oldest(248.0)
    assert len(memory) == 1
    assert memory.next_expiry() == 249.0
    memory.forget_oldest(249.0)
    assert memory.is_empty()


def test_number_and_size_are_bounded(memory: Deduplication) -> None:
    memory.max_remembered = 5
    for key in range(20):
        answered(memory, key, 1.0)
        assert len(memory) <= 5
    assert memory.recall(14, request(), 1.0) is None
    assert memory.recall(15, request(), 1.0) == b"reply"
    memory.max_remembered_bytes = 100
    for key in range(20, 24):
        answered(memory, key, 1.0, bytes(40))
        assert memory._size <= 100
    # One that is larger than all there is room for is forgotten as well.
    answered(memory, 24, 1.0, bytes(101))
    assert memory.is_empty()


def test_an_open_request_outlives_being_forgotten(memory: Deduplication) -> None:
    first = request()
    memory.take_in(7, first, 0.0)
    memory.forget_oldest(1000.0)
    assert len(memory) == 0
    memory.answer(memory.open[first], first, b"reply")
    assert memory.is_empty()


def test_an_exchange_takes_little_memory(memory: Deduplication) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(10_000):
            message = request(token=number.to_bytes(8, "big"))
            memory.take_in(0x50000 + number, message, number / 1000)
            memory.answer(memory.open[message], message, b"\x68\x45%b\xffhello, world" % bytes(10))
        del message
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (after - before) / 10_000 < 400

"""The hand over the message layer: what it is told is done, at its time and once."""

from __future__ import annotations

import errno
import gc
import logging
import random
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.messagemanager import MAX_GIVE_UPS, MessageManager
from aiocoap.numbers.codes import CONTENT, EMPTY, GET, POST, REQUEST_ENTITY_TOO_LARGE
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON, NON, RST
from tests.harness import Address, Clock, Endpoint, Floor, Pair

LOCAL = "[2001:db8::a]"
PEER = "[2001:db8::1]"
GROUP = "[ff02::fd]"


# A 4.13 with Size1 and a diagnostic message.
BLOCKS_PLEASE = "628d0001beef" + "d32f800000" + "ff" + b"Send it in blocks".hex()


class Bench:
    """One message manager, and what it sends."""

    def __init__(self, tuning: TransportTuning | None = None) -> None:
        random.seed(7)
        self.clock = Clock()
        self.sent: list[tuple[float, bytes]] = []
        self.floor = Floor()
        self.endpoint = Endpoint(LOCAL, self._take, self.clock, floor=self.floor, tuning=tuning)
        self.manager = self.endpoint.manager
        self.remote = Address(PEER, LOCAL)

    def _take(self, raw: bytes, remote: Any) -> None:
        self.sent.append((self.clock.now, raw))

    def hear(self, raw: bytes | str, group: str | None = None) -> None:
        self.endpoint.receive(bytes.fromhex(raw) if isinstance(raw, str) else raw, PEER, group)
        self.clock.settle()

    def send(self, message: Message, monitor: Any = None) -> Any:
        message.remote = self.remote
        return self.manager.send_message(message, monitor)

    def take(self) -> list[str]:
        """Return what was sent since the last time."""
        sent, self.sent = self.sent, []
        return [raw.hex() for _, raw in sent]

    def messages(self) -> list[Message]:
        return [Message.decode(bytes.fromhex(raw)) for raw in self.take()]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.endpoint.close()
    bench.clock.close()


def hello(request: Message) -> Message:
    return Message(code=CONTENT, payload=b"hello")


# Requests of others


def test_a_response_is_piggybacked(bench: Bench) -> None:
    bench.floor.answer = hello
    bench.hear("42011234beefb474657374")
    assert bench.take() == ["62451234beefff68656c6c6f"]
    assert bench.floor.requests[0].opt.uri_path == ("test",)
    # A duplicate is answered, and not asked again.
    bench.hear("42011234beefb474657374")
    assert bench.take() == ["62451234beefff68656c6c6f"]
    assert len(bench.floor.requests) == 1


def test_a_late_response_is_separate(bench: Bench) -> None:
    bench.hear("42011234beef")
    bench.clock.advance(0.09)
    assert bench.take() == []
    bench.clock.advance(0.02)
    assert bench.take() == ["60001234"]
    bench.clock.advance(1.0)
    bench.floor.respond(bench.floor.requests[0], hello(bench.floor.requests[0]))
    [response] = bench.messages()
    assert response.mtype is CON
    assert response.token == b"\xbe\xef"
    # It is sent again until it is acknowledged.
    bench.clock.advance(3.0)
    [again] = bench.messages()
    assert again.encode() == response.encode()
    bench.hear(Message(mtype=ACK, code=EMPTY, mid=response.mid).encode())
    bench.clock.advance(100)
    assert bench.take() == []


def test_a_response_that_is_not_sent_is_an_acknowledgement(bench: Bench) -> None:
    bench.floor.answer = lambda request: Message(code=EMPTY)
    bench.hear("42011234beef")
    assert bench.take() == ["60001234"]
    bench.hear("52011235beef")
    bench.clock.advance(10)
    assert bench.take() == []


def test_a_confirmable_response_comes_after_the_acknowledgement(bench: Bench) -> None:
    bench.floor.answer = lambda request: Message(code=CONTENT, mtype=CON)
    bench.hear("42011234beef")
    ack, response = bench.messages()
    assert (ack.mtype, ack.code, ack.mid) == (ACK, EMPTY, 0x1234)
    assert (response.mtype, response.code) == (CON, CONTENT)


def test_a_non_confirmable_request_gets_such_a_response(bench: Bench) -> None:
    bench.floor.answer = hello
    bench.hear("52011234beef")
    [response] = bench.messages()
    assert response.mtype is NON
    assert response.mid != 0x1234
    bench.hear("52011234beef")
    assert bench.take() == []


def test_a_response_that_can_not_be_encoded_is_its_makers_problem(bench: Bench) -> None:
    bench.hear("42011234beef")
    request = bench.floor.requests[0]
    response = Message(code=CONTENT, token=bytes(70_000))
    response.request = request
    with pytest.raises(ValueError, match="too long"):
        bench.send(response)
    bench.floor.respond(request, hello(request))
    assert bench.take() == ["62451234beefff68656c6c6f"]


def test_the_rejection_of_a_response_is_told(bench: Bench) -> None:
    told = []
    bench.hear("52011234beef")
    request = bench.floor.requests[0]
    bench.floor.respond(request, hello(request), lambda: told.append("reset"))
    [response] = bench.messages()
    reset = Message(mtype=RST, code=EMPTY, mid=response.mid).encode()
    bench.hear(reset)
    bench.hear(reset)
    assert told == ["reset"]


def test_the_rejection_of_a_message_that_nobody_monitors_is_no_trouble(bench: Bench) -> None:
    bench.send(Message(code=GET))
    [request] = bench.messages()
    bench.hear(Message(mtype=RST, code=EMPTY, mid=request.mid).encode())
    bench.clock.advance(300)
    assert bench.take() == []


# Multicast


def test_a_request_to_a_group_is_answered_at_leisure() -> None:
    times = set()
    for _ in range(20):
        bench = Bench()
        random.seed(len(times))
        bench.floor.answer = hello
        bench.hear("52011234beef", GROUP)
        assert bench.take() == []
        bench.clock.advance(5.0)
        [(when, raw)] = bench.sent
        assert Message.decode(raw).mtype is NON
        times.add(when)
        bench.endpoint.close()
        bench.clock.close()
    assert len(times) == 20
    assert max(times) - min(times) > 2.5


@pytest.mark.parametrize(
    "raw", ["40000001", "42011234beef", "42451234beef", "40210001", "40010001f0"]
)
def test_nothing_that_comes_by_multicast_is_reset(bench: Bench, raw: str) -> None:
    bench.hear(raw, GROUP)
    bench.clock.advance(1)
    assert bench.take() == []
    assert bench.floor.requests == []


# What makes no sense


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("", []),
        ("430100", []),
        ("00010001", []),
        ("80010001", []),
        ("c0010001", []),
        ("4f010001", ["70000001"]),
        ("4401000101", ["70000001"]),
        ("40010001b174ff", ["70000001"]),
        ("40010001f0", ["70000001"]),
        ("400100010f", ["70000001"]),
        ("4100000101", ["70000001"]),
        ("40000001b174", ["70000001"]),
        ("50010001f0", []),
        ("60450001f0", []),
        ("70000001f0", []),
    ],
)
def test_malformed_datagrams_are_reset_if_confirmable(
    bench: Bench, raw: str, answer: list[str]
) -> None:
    # RFC 7252 sections 3, 4.1 and 4.2.
    bench.hear(raw)
    assert bench.take() == answer
    assert bench.manager.malformed_count == 1
    bench.clock.advance(300)
    assert bench.take() == []


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("40000001", ["70000001"]),
        ("40210001", ["70000001"]),
        ("40c10001", ["70000001"]),
        ("40e10001", ["70000001"]),
        ("50000001", []),
        ("50210001", []),
        ("60010001", []),
        ("70450001", []),
        ("60000001", []),
        ("70000001", []),
    ],
)
def test_unexpected_messages_are_reset_if_confirmable(
    bench: Bench, raw: str, answer: list[str]
) -> None:
    bench.hear(raw)
    assert bench.take() == answer
    assert bench.manager.malformed_count == 0


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        # Type, code and what follows the Message ID; then what it gets.
        ("420300 01beefb474657374ff" + "78" * 100, [BLOCKS_PLEASE]),
        # The option that was cut may be critical.
        ("40030001b57465", ["70000001"]),
        ("50030001b57465", []),
        # No-Response.
        ("42030001beefd1f508ff78", ["60000001"]),
        ("42030001beefd1f502ff78", [BLOCKS_PLEASE]),
        # Responses: there is no telling what the rest is.
        ("42450001beefff78", ["70000001"]),
        ("52450001beef61ff78", []),
        ("62450001beefff78", []),
        ("72450001beefff78", []),
    ],
)
def test_what_is_too_large_to_be_received_is_answered(
    bench: Bench, raw: str, answer: list[str]
) -> None:
    # RFC 7252 section 4.6.
    for _ in range(2):
        bench.manager.dispatch_beginning(bytes.fromhex(raw), bench.remote)
        assert bench.take() == answer, "duplicates are no exception"
    group = Address(PEER, LOCAL, "[ff02::fd]")
    bench.manager.dispatch_beginning(bytes.fromhex(raw), group)
    assert bench.take() == []
    assert bench.floor.requests == []
    bench.clock.advance(300)
    assert bench.take() == []


def test_a_non_confirmable_request_that_is_too_large(bench: Bench) -> None:
    for _ in range(2):
        bench.manager.dispatch_beginning(bytes.fromhex("52030001beefff78"), bench.remote)
    [response] = bench.messages()
    assert (response.mtype, response.code) == (NON, REQUEST_ENTITY_TOO_LARGE)
    assert response.token == b"\xbe\xef"


def test_what_is_too_large_is_an_address_that_is_not_proven() -> None:
    class Suspicious(TransportTuning):
        ADDRESS_PROOF = "all"

    bench = Bench(Suspicious())
    # Each of them allows for three times its size.
    bench.manager.dispatch_beginning(bytes.fromhex("42030001beefff" + "78" * 100), bench.remote)
    bench.manager.dispatch_beginning(bytes.fromhex("40030002b5"), bench.remote)
    assert bench.take() == [BLOCKS_PLEASE, "70000002"]
    bench.endpoint.close()
    bench.clock.close()


# Requests of our own


def test_a_request_is_sent_until_it_is_acknowledged(bench: Bench) -> None:
    bench.send(Message(code=GET, token=b"t"))
    [request] = bench.messages()
    assert request.mtype is CON
    bench.floor.waiting.add(b"t")
    answer = Message(mtype=ACK, code=CONTENT, mid=request.mid, token=b"t").encode()
    bench.hear(answer)
    assert [response.code for response in bench.floor.responses] == [CONTENT]
    bench.hear(answer)
    bench.clock.advance(300)
    assert bench.take() == []
    assert len(bench.floor.responses) == 1


def test_separate_responses_are_acknowledged_if_somebody_waits(bench: Bench) -> None:
    bench.hear("42457777beef")
    assert bench.take() == ["70007777"]
    bench.floor.waiting.add(b"\xbe\xef")
    bench.hear("42457778beef")
    assert bench.take() == ["60007778"]
    bench.floor.waiting.clear()
    bench.hear("42457778beef")
    assert bench.take() == ["60007778"]
    bench.hear("52457779beef")
    assert bench.take() == []
    assert len(bench.floor.responses) == 1


def test_what_is_returned_stops_the_request(bench: Bench) -> None:
    stop = bench.send(Message(code=GET))
    second = bench.send(Message(code=POST))
    assert [message.code for message in bench.messages()] == [GET]
    stop()
    stop()
    assert [message.code for message in bench.messages()] == [POST]
    second()
    bench.clock.advance(300)
    assert bench.take() == []


def test_there_is_nothing_to_stop_in_what_is_sent_once(bench: Bench) -> None:
    bench.floor.answer = lambda request: bench.floor.respond(request, hello(request))  # type: ignore[func-returns-value]
    bench.hear("52011234beef")
    assert len(bench.take()) == 1
    bench.remote = Address(GROUP, LOCAL)
    assert bench.send(Message(code=GET)) is None
    assert bench.messages()[0].mtype is NON


def test_silence_is_told_after_the_last_timeout(bench: Bench) -> None:
    bench.send(Message(code=GET))
    bench.send(Message(code=GET))
    start = bench.clock.now
    bench.clock.advance(61.9)
    assert bench.floor.errors == []
    bench.clock.advance(31.2)
    [(problem, remote)] = bench.floor.errors
    assert isinstance(problem, error.ConRetransmitsExceeded)
    assert PEER in str(problem)
    assert remote == bench.remote
    # The second was never sent.
    assert [when - start <= 45 for when, _ in bench.sent] == [True] * 5


def test_an_unreachable_endpoint_is_told_of_at_once(bench: Bench) -> None:
    bench.send(Message(code=GET))
    bench.send(Message(code=GET))
    bench.manager.dispatch_error(errno.ECONNREFUSED, bench.remote)
    assert bench.floor.errors == [(errno.ECONNREFUSED, bench.remote)]
    bench.clock.advance(300)
    assert len(bench.take()) == 1


# Pings


def test_give_ups_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    class Hasty(TransportTuning):
        MAX_RETRANSMIT = 0

    # Strangers choose where responses go, and how many of them are in vain.
    caplog.set_level(logging.INFO)
    bench = Bench(Hasty())
    for minute in range(2):
        for number in range(30):
            bench.endpoint.receive(bytes((0x40, 1, minute, number)), f"[2001:db8::2:{number}]")
        bench.clock.settle()
        for request in bench.floor.requests[30 * minute :]:
            bench.floor.respond(request, Message(code=CONTENT, mtype=CON))
        bench.clock.advance(60)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2 * (MAX_GIVE_UPS + 1)
    assert "2001:db8::2:" in lines[0]
    assert "no more" in lines[MAX_GIVE_UPS]
    assert lines[MAX_GIVE_UPS + 1].startswith("No answer from")
    bench.endpoint.close()
    bench.clock.close()


def test_a_ping_is_answered_by_a_reset(bench: Bench) -> None:
    pongs: list[str] = []
    bench.manager.ping(bench.remote, lambda: pongs.append("pong"))
    [ping] = bench.messages()
    assert (ping.mtype, ping.code, ping.encode()[4:]) == (CON, EMPTY, b"")
    # It is as reliable as everything that is confirmable.
    bench.clock.advance(3)
    assert [again.mid for again in bench.messages()] == [ping.mid]
    reset = Message(mtype=RST, code=EMPTY, mid=ping.mid).encode()
    bench.hear(reset)
    bench.hear(reset)
    assert pongs == ["pong"]
    bench.clock.advance(300)
    assert bench.take() == []
    assert bench.floor.errors == []


def test_a_ping_can_be_stopped(bench: Bench) -> None:
    stop = bench.manager.ping(bench.remote, pytest.fail)
    [ping] = bench.messages()
    assert stop is not None
    stop()
    bench.hear(Message(mtype=RST, code=EMPTY, mid=ping.mid).encode())
    bench.clock.advance(300)
    assert bench.take() == []
    assert bench.floor.errors == []


def test_groups_are_not_pinged(bench: Bench) -> None:
    with pytest.raises(error.ConToMulticast):
        bench.manager.ping(Address(GROUP, LOCAL), pytest.fail)
    assert bench.take() == []


# The timer


def test_the_timer_is_set_to_earlier_times_only(bench: Bench) -> None:
    armed = []
    call_at = bench.clock.loop.call_at
    bench.clock.loop.call_at = lambda when, *rest, **kw: (  # type: ignore[method-assign]
        armed.append(when),
        call_at(when, *rest, **kw),
    )[1]
    bench.floor.answer = hello
    for mid in range(50):
        bench.hear(b"\x40\x01%b" % mid.to_bytes(2, "big"))
    assert len(armed) == 1
    bench.send(Message(code=GET))
    assert len(armed) == 1
    bench.clock.advance(1)
    assert len(armed) == 2
    del bench.clock.loop.call_at


def test_a_loop_at_rest_has_no_timer(bench: Bench) -> None:
    bench.floor.answer = hello
    bench.hear("42011234beef")
    bench.send(Message(code=GET))
    bench.clock.advance(1000)
    assert bench.endpoint.heart.is_idle()
    assert bench.clock.loop._scheduled == []  # type: ignore[attr-defined]


# Around


def test_parameters_are_taken_from_the_context_above() -> None:
    class Context:
        transport_tuning = TransportTuning()
        log = None

    floor = Floor()
    clock = Clock()
    Context.transport_tuning.EMPTY_ACK_DELAY = 3.0
    floor.context = Context()  # type: ignore[attr-defined]
    manager = MessageManager(floor, loop=clock.loop)
    assert manager._heart.tuning.EMPTY_ACK_DELAY == 3.0
    own = TransportTuning()
    assert MessageManager(floor, loop=clock.loop, tuning=own)._heart.tuning is own
    clock.close()


def test_a_manager_needs_a_loop_and_a_transport() -> None:
    with pytest.raises(RuntimeError):
        MessageManager(Floor())
    clock = Clock()
    manager = MessageManager(Floor(), loop=clock.loop)
    with pytest.raises(RuntimeError, match="no transport"):
        _ = manager.message_interface
    clock.run(manager.shutdown())
    clock.close()


def test_addresses_are_the_transports_business(bench: Bench) -> None:
    manager = bench.manager
    assert manager.message_interface is bench.endpoint.interface
    assert manager.bound_address is None
    assert manager.client_credentials is None
    assert "Interface" in repr(manager)
    message = Message(code=GET, uri="coap://[2001:db8::7]/")
    assert message.remote is not None
    assert not manager.owns(message.remote)
    assert bench.clock.run(manager.fill_or_recognize_remote(message))
    assert message.remote == Address("[2001:db8::7]", LOCAL)
    assert manager.owns(message.remote)
    assert bench.clock.run(manager.fill_or_recognize_remote(message))
    other = Message(code=GET, uri="coap+tcp://[2001:db8::7]/")
    assert not bench.clock.run(manager.fill_or_recognize_remote(other))
    assert manager.resolve_now(other) is None, "this transport has to wait"


def test_nothing_happens_after_the_shutdown(bench: Bench) -> None:
    bench.hear("42011234beef")
    stop = bench.send(Message(code=GET))
    bench.send(Message(code=GET))
    bench.take()
    bench.clock.run(bench.manager.shutdown())
    assert bench.endpoint.interface.is_shut_down
    assert bench.clock.loop._scheduled == [] or all(  # type: ignore[attr-defined]
        handle.cancelled()
        for handle in bench.clock.loop._scheduled  # type: ignore[attr-defined]
    )
    # Handlers that are late, requests that are cancelled, datagrams that were read already.
    bench.floor.respond(bench.floor.requests[0], hello(bench.floor.requests[0]))
    stop()
    bench.send(Message(code=GET))
    bench.hear("42011235beef")
    bench.hear("40010001f0")
    bench.clock.advance(300)
    assert bench.take() == []
    assert len(bench.floor.requests) == 1


def test_a_manager_is_collectable_after_the_shutdown() -> None:
    bench = Bench()
    bench.send(Message(code=GET))
    bench.endpoint.close()
    found = weakref.ref(bench.manager)
    clock = bench.clock
    del bench
    gc.collect()
    assert found() is None
    clock.close()


# Both ends


def test_lost_acknowledgements_do_no_harm() -> None:
    with Pair() as pair:
        assert pair.client.floor is not None
        assert pair.server.floor is not None
        pair.server.floor.answer = hello
        pair.client.floor.waiting.add(b"t")
        request = Message(code=POST, token=b"t")
        request.remote = Address(pair.SERVER, pair.CLIENT)
        pair.client.manager.send_message(request, None)
        pair.transfer()
        lost = pair.drop()
        assert lost.message.code is CONTENT
        assert pair.is_quiet
        pair.clock.advance(3.0)
        pair.transfer()
        pair.duplicate()
        pair.settle()
        assert len(pair.server.floor.requests) == 1
        assert len(pair.client.floor.responses) == 1
        pair.clock.advance(1000)
        assert pair.client.heart.is_idle()
        assert pair.server.heart.is_idle()

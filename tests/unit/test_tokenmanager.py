"""The token floor, between a fake message floor and a fake context."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import pytest

from aiocoap import error, tokenmanager
from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CHANGED,
    CONTENT,
    EMPTY,
    GET,
    POST,
    SERVICE_UNAVAILABLE,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON, NON, Type
from aiocoap.optiontypes import OpaqueOption
from aiocoap.pipe import Phase, Pipe, PlumbingRequest
from aiocoap.tokenmanager import TokenManager
from tests.unit.token_parts import Below, Context, House, Remote, notify


@pytest.fixture
def house() -> House:
    return House()


def test_the_documented_name_of_the_pipe() -> None:
    assert tokenmanager.PlumbingRequest is PlumbingRequest is Pipe


# Bounds


def test_too_many_requests_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenmanager, "MAX_INCOMING", 2)
    pipes = [house.receive(b"1"), house.receive(b"2")]
    house.receive(b"3")
    house.receive(b"4", no_response=16)
    house.receive(b"5", remote=Remote("client", by_group=True))
    assert house.context.pipes == pipes
    assert [(m.token, m.code) for m in house.below.sent] == [
        (b"3", SERVICE_UNAVAILABLE),
        (b"4", EMPTY),
        (b"5", EMPTY),
    ]
    pipes[0].add_response(Message(code=CONTENT), is_last=True)
    assert house.receive(b"6") not in pipes
    assert house.receive(b"6") not in pipes, "a repeated token needs no more room"


# Outgoing requests


def test_a_request_finds_its_response(house: House) -> None:
    pipe = house.request(uri_path=["a"])
    (request,) = house.below.sent
    assert request is pipe.request
    assert len(request.token) == 4
    assert len(house.manager.outgoing_requests) == 1
    assert house.respond(payload=b"hello")
    (event,) = house.events
    assert event.message is not None
    assert event.message.payload == b"hello"
    assert event.message.request is request
    assert event.is_last
    assert len(house.manager.outgoing_requests) == 0
    assert house.below.stopped == [request], "the response may have overtaken the acknowledgement"
    assert not house.respond(), "a second one belongs to nothing"


def test_a_response_from_elsewhere_is_none(house: House) -> None:
    house.request()
    assert not house.respond(remote="elsewhere")
    assert not house.respond(token=b"guess")
    assert house.events == []


@pytest.mark.parametrize("mtype", [CON, NON])
def test_a_response_with_an_unknown_critical_option_is_none(house: House, mtype: Type) -> None:
    house.request()
    assert not house.manager.process_response(critical(house, 65001, mtype))
    assert house.events == []
    assert house.respond(block2=(0, True, 6)), "it is still waited for"


@pytest.mark.parametrize("mtype", [ACK, None])
def test_nobody_waits_for_another_response_than_a_delivered_one(
    house: House, mtype: Type | None
) -> None:
    house.request()
    assert not house.manager.process_response(critical(house, 11, mtype))
    problem = house.outcome()
    assert isinstance(problem, error.NotImplemented)
    assert "URI_PATH" in str(problem)
    assert len(house.manager.outgoing_requests) == 0


def test_an_unknown_critical_option_does_not_end_an_observation(house: House) -> None:
    house.request(observe=0)
    assert house.respond(observe=1)
    assert not house.manager.process_response(critical(house, 65001, None))
    assert len(house.events) == 1
    assert house.respond(observe=2)


@pytest.mark.parametrize(
    ("is_protected", "numbers", "is_taken"),
    [(False, (9,), False), (True, (9,), True), (True, (9, 65001), False), (True, (11,), False)],
)
def test_protection_is_for_who_protected_the_request(
    house: House, is_protected: bool, numbers: tuple[int, ...], is_taken: bool
) -> None:
    house.request(oscore=b"\x09\x01" if is_protected else None)
    response = critical(house, numbers[0], CON)
    for number in numbers[1:]:
        response.opt.add_option(OpaqueOption(number, b""))
    assert house.manager.process_response(response) == is_taken


def critical(house: House, number: int, mtype: Type | None) -> Message:
    """Return a response to the latest request with a critical option."""
    response = Message(code=CONTENT, token=house.below.sent[-1].token, mtype=mtype)
    response.remote = Remote("server")
    response.opt.add_option(OpaqueOption(number, b""))
    return response


def test_a_reset_fails_the_request(house: House) -> None:
    house.request()
    monitor = house.below.monitors[0]
    assert monitor is not None
    monitor()
    assert isinstance(house.outcome(), error.MessageError)
    assert len(house.manager.outgoing_requests) == 0
    monitor()
    assert len(house.events) == 1


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_a_request_that_can_not_be_encoded(house: House, kind: type[Exception]) -> None:
    house.below.fail = kind
    house.request()
    assert isinstance(house.outcome(), error.Error)
    assert isinstance(house.outcome().__cause__, kind)
    assert len(house.manager.outgoing_requests) == 0
    assert house.loop.pending() == []


def test_a_request_without_a_code_is_told_so(house: House) -> None:
    house.below.fail = TypeError
    house.request(code=None)
    assert "no code" in str(house.outcome())


def test_a_request_that_nobody_waits_for_is_not_sent(house: House) -> None:
    message = Message(code=GET)
    message.remote = Remote("server")
    house.manager.request(Pipe(message, house.context.log))
    assert house.below.sent == []
    assert len(house.manager.outgoing_requests) == 0


def test_losing_interest_stops_the_request(house: House) -> None:
    pipe = house.request()
    house.stop()
    assert house.below.stopped == [pipe.request]
    assert len(house.manager.outgoing_requests) == 0
    assert not house.respond()
    house.loop.advance(1000)
    assert house.events == []


def test_a_message_that_was_sent_before_is_copied(house: House) -> None:
    first = house.request()
    message = first.request
    token = message.token
    pipe = Pipe(message, house.context.log)
    pipe.on_event(house.take)
    house.manager.request(pipe)
    assert message.token == token, "it may be queued still"
    assert house.below.sent[1] is pipe.request is not message
    assert pipe.request.token != token


def test_an_unreachable_endpoint_fails_its_requests(house: House) -> None:
    house.request()
    house.request()
    house.request(Remote("elsewhere"))
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert len(house.events) == 2
    for event in house.events:
        assert isinstance(event.exception, error.NetworkError)
        assert isinstance(event.exception.__cause__, ConnectionRefusedError)
        assert "refused" in str(event.exception)
    assert len(house.manager.outgoing_requests) == 1


@pytest.mark.parametrize(
    ("problem", "kind", "text"),
    [
        (error.ConRetransmitsExceeded("gone"), error.ConRetransmitsExceeded, "gone"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), error.NetworkError, "No route to host"),
        (OSError("something"), error.NetworkError, "something"),
        (RuntimeError("else"), error.NetworkError, "else"),
    ],
)
def test_what_requests_fail_with(
    house: House, problem: Exception, kind: type[Exception], text: str
) -> None:
    house.request()
    house.manager.dispatch_error(problem, Remote("server"))
    outcome = house.outcome()
    assert type(outcome) is kind
    assert str(outcome) == text
    assert outcome is problem or outcome.__cause__ is problem


def test_an_error_that_concerns_nobody(house: House) -> None:
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert house.events == []


# Waiting


def test_a_request_is_given_up_in_time(house: House) -> None:
    house.request()
    house.loop.advance(92.9)
    assert house.events == []
    house.loop.advance(0.2)
    assert isinstance(house.outcome(), error.RequestTimedOut)
    assert len(house.manager.outgoing_requests) == 0
    assert house.loop.pending() == []


def test_a_group_that_does_not_answer(house: House) -> None:
    class Hasty(TransportTuning):
        GROUP_TIMEOUT = 2.0

    house.request(Remote("group", group=True), transport_tuning=Hasty)
    house.loop.advance(2.1)
    assert isinstance(house.outcome(), error.RequestTimedOut)
    house.events.clear()
    house.request(Remote("group", group=True))
    house.loop.advance(10.1)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_patience_is_up_to_the_request(house: House) -> None:
    class Hasty(TransportTuning):
        REQUEST_TIMEOUT = 10.0

    house.request()
    house.request(transport_tuning=Hasty)
    house.loop.advance(11)
    assert isinstance(house.outcome(), error.RequestTimedOut)
    assert "10 seconds" in str(house.outcome())
    house.loop.advance(90)
    assert len(house.events) == 2


def test_patience_is_up_to_the_context(house: House) -> None:
    house.context.transport_tuning.ACK_TIMEOUT = 1.0
    house.request()
    house.loop.advance(47)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_one_timer_for_all(house: House) -> None:
    for _ in range(10):
        house.request()
        house.loop.now += 1
    assert len(house.loop.timers) == 1
    for request in list(house.below.sent):
        house.respond(request)
    house.request()
    assert len(house.loop.timers) == 1
    # The timer of the first one goes off, and looks for the next.
    house.loop.advance(83)
    assert len(house.events) == 10
    house.loop.advance(11)
    assert len(house.events) == 11


def test_a_timer_that_is_early(house: House) -> None:
    house.request()
    (_, callback, _) = house.loop.timers.pop()
    house.loop.now += 92.9999999
    callback()
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_a_queued_request_is_not_given_up(house: House) -> None:
    house.below.queues = True
    house.request()
    house.loop.advance(500)
    assert house.events == []
    # Now it leaves; there are 93 seconds from here on, and at most an eighth more.
    house.below.sent[0].mid = 1
    house.loop.advance(93)
    assert house.events == []
    house.loop.advance(12)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_without_message_ids_nothing_is_queued(house: House) -> None:
    house.below.reliable = True
    house.request(mtype=CON)
    house.loop.advance(94)
    assert isinstance(house.outcome(), error.RequestTimedOut)


# The rest


def test_what_is_passed_through(house: House) -> None:
    manager = house.manager
    assert manager.client_credentials is house.context.client_credentials
    assert manager.bound_address == ("::1", 5683)
    assert len(manager.next_token()) == 4
    assert manager.next_token() != manager.next_token()


async def test_remotes_are_the_floor_belows(house: House) -> None:
    message = Message(code=GET)
    message.remote = remote = Remote("server")
    assert await house.manager.fill_or_recognize_remote(message)
    assert message.remote is remote
    message.remote = UndecidedRemote("coap", "name")
    assert await house.manager.fill_or_recognize_remote(message)
    assert message.remote == Remote("found by name")


def test_remotes_that_need_no_waiting(house: House) -> None:
    message = Message(code=GET, uri="coap://address")
    assert house.manager.fill_or_recognize_remote_now(message)
    assert message.remote == Remote("resolved")
    assert house.manager.fill_or_recognize_remote_now(message)
    message.remote = None
    assert house.manager.fill_or_recognize_remote_now(message), "Uri-Host is a destination as well"
    name = UndecidedRemote("coap", "name")
    message.remote = name
    assert not house.manager.fill_or_recognize_remote_now(message)
    assert message.remote is name


def test_repr_tells_how_much_is_open(house: House) -> None:
    assert "0 outgoing and 0 incoming" in repr(house.manager)
    house.request()
    house.receive()
    assert "1 outgoing and 1 incoming" in repr(house.manager)
    assert "None" in repr(TokenManager(Context()))


async def test_shutdown_ends_everything(house: House) -> None:
    house.request()
    house.request(observe=0)
    pipes = [house.receive(b"1"), house.receive(b"2", observe=0)]
    notify(pipes[1])
    await house.manager.shutdown()
    assert [type(event.exception) for event in house.events] == [error.LibraryShutdown] * 2
    assert [pipe.phase for pipe in pipes] == [Phase.ENDED] * 2
    assert house.loop.pending() == []
    assert house.below.is_shut_down
    assert len(house.manager.outgoing_requests) == 0
    assert house.manager.incoming_requests == {}


async def test_shutdown_of_what_did_nothing(house: House) -> None:
    await house.manager.shutdown()
    assert house.below.is_shut_down


async def test_after_shutdown_nothing_is_sent(house: House) -> None:
    await house.manager.shutdown()
    house.request(code=POST)
    assert isinstance(house.outcome(), error.LibraryShutdown)
    assert house.below.sent == []


def test_requests_do_not_keep_each_other_alive(house: House) -> None:
    # What is answered is gone, without waiting for the garbage collector.
    import gc
    import weakref

    class Watched(Pipe):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        message = Message(code=GET)
        message.remote = Remote("server")
        pipe = Watched(message, house.context.log)
        pipe.on_event(lambda event: None)
        house.manager.request(pipe)
        gone = weakref.ref(pipe)
        house.respond(code=CHANGED)
        del pipe
        house.below.monitors.clear()
        assert gone() is None
    finally:
        gc.enable()


# Pings


class Pinged(Below):
    """A message floor that keeps whoever waits for an answer to a ping."""

    def __init__(self) -> None:
        super().__init__()
        self.pongs: list[Callable[[], None]] = []
        self.stops = 0
        self.has_something_to_stop = True

    def ping(self, remote: EndpointAddress, pong: Callable[[], None]) -> Callable[[], None] | None:
        self.pongs.append(pong)

        def stop() -> None:
            self.stops += 1

        return stop if self.has_something_to_stop else None


class Pings:
    """A token manager in a real loop, and a ping under way."""

    def __init__(self) -> None:
        self.house = House()
        self.house.context.loop = asyncio.get_running_loop()
        self.below = Pinged()
        self.manager = TokenManager(self.house.context)
        self.manager.token_interface = self.below

    async def start(self, name: str = "server") -> asyncio.Task[None]:
        task = asyncio.create_task(self.manager.ping(Remote(name)))
        await asyncio.sleep(0)
        return task


async def test_a_ping_is_answered() -> None:
    pings = Pings()
    for pings.below.has_something_to_stop in (True, False):
        task = await pings.start()
        pings.below.pongs[-1]()
        pings.below.pongs[-1]()
        await task
    assert pings.below.stops == 1
    assert pings.manager._pings == []


async def test_a_ping_to_who_can_not_be_reached() -> None:
    pings = Pings()
    lost, other = await pings.start(), await pings.start("other")
    pings.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    # An answer that comes too late.
    pings.below.pongs[0]()
    with pytest.raises(error.NetworkError, match="refused"):
        await lost
    pings.manager.dispatch_error(error.ConRetransmitsExceeded("no"), Remote("other"))
    pings.manager.dispatch_error(errno.ECONNREFUSED, Remote("other"))
    with pytest.raises(error.ConRetransmitsExceeded):
        await other
    assert pings.below.stops == 2
    assert pings.manager._pings == []


async def test_a_ping_that_nobody_waits_for_any_more() -> None:
    pings = Pings()
    task = await pings.start()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pings.below.stops == 1
    assert pings.manager._pings == []


async def test_pings_and_the_shutdown() -> None:
    pings = Pings()
    task = await pings.start()
    await pings.manager.shutdown()
    with pytest.raises(error.LibraryShutdown):
        await task
    with pytest.raises(error.LibraryShutdown):
        await pings.manager.ping(Remote("server"))
    assert len(pings.below.pongs) == 1


async def test_a_ping_that_is_kept_back_for_too_long() -> None:
    pings = Pings()
    pings.house.context.transport_tuning.ACK_TIMEOUT = 0.0
    with pytest.raises(error.RequestTimedOut, match="ping"):
        await pings.manager.ping(Remote("server"))
    assert pings.below.stops == 1


async def test_not_every_transport_can_ping() -> None:
    pings = Pings()
    pings.manager.token_interface = Below()
    with pytest.raises(error.Error, match="can not be pinged"):
        await pings.manager.ping(Remote("server"))
    assert pings.manager._pings == []


def test_asyncio_runs_it_too() -> None:
    """The loop above is a fake: the calls exist in a real one."""

    async def main() -> list[Pipe.Event]:
        house = House()
        house.context.loop = asyncio.get_running_loop()
        house.context.transport_tuning.ACK_TIMEOUT = 0.0
        manager = TokenManager(house.context)
        manager.token_interface = house.below
        house.manager = manager
        house.request()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return house.events

    (event,) = asyncio.run(main())
    assert isinstance(event.exception, error.RequestTimedOut)

"""Observations that are kept up, over a network that the tests play and a clock that jumps."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from aiocoap import error, interfaces
from aiocoap.clientobservation import ClientObservation
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    BAD_REQUEST,
    CONTENT,
    CONTINUE,
    FETCH,
    GET,
    NOT_FOUND,
    PUT,
    SERVICE_UNAVAILABLE,
    UNAUTHORIZED,
    VALID,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import NON
from aiocoap.pipe import Phase, Pipe
from aiocoap.registration import Registration
from aiocoap.requester import Request
from tests.harness import Clock
from tests.unit.test_requester import Network, Observed, Remote, respond

ETAG = b"one"


class Tuning(TransportTuning):
    """Tries it twice."""

    OBSERVATION_RETRIES = 2


class House(Network):
    """The network, and how to let time pass."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.transport_tuning = Tuning()
        # Pipes of requests that are not sent, but may be answered.
        self.listeners: list[Pipe] = []

    def listen(self, request: Pipe) -> None:
        assert request.keeps_token
        request.on_interest_end(lambda: None)
        self.listeners.append(request)

    def request(self, request: Pipe) -> None:
        if not request.request.token:
            request.request.token = b"token"
        super().request(request)

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.clock.run(coroutine)

    def sent(self) -> Pipe:
        """Return the pipe of the next message that is sent."""
        pipe: Pipe = self.do(self.next())
        return pipe

    def nothing(self) -> None:
        """Assert that nothing is sent."""
        self.do(self.rest())

    def observe(self, **kwargs: Any) -> tuple[Any, Pipe]:
        async def ask() -> Any:
            return self.ask(Message(**{"code": GET, "observe": 0, **kwargs}))

        return self.do(ask()), self.sent()

    def begin(self, **kwargs: Any) -> tuple[Observed, Pipe]:
        """Return an observation under way."""
        request, pipe = self.observe()
        observed = Observed(request)
        say(pipe, observe=1, **kwargs)
        return observed, pipe


def say(pipe: Pipe, **kwargs: Any) -> Message:
    """Answer; the token is that of the request."""
    response = Message(**{"code": CONTENT, "mtype": None, **kwargs})
    response.token = b"token"
    response.remote = Remote("server")
    response.request = pipe.request
    is_last = response.opt.observe is None or not response.code.is_successful()
    pipe.add_response(response, is_last)
    return response


@pytest.fixture
def house() -> Iterator[House]:
    clock = Clock()

    async def build() -> House:
        return House(clock)

    it = clock.run(build())
    yield it
    clock.settle()
    clock.close()


def states(observed: Observed) -> list[str]:
    seen: list[str] = []
    observed.observation.register_statecallback(seen.append)
    return seen


# Freshness


def test_it_is_fresh_for_max_age_and_registers_again_after_a_pause(house: House) -> None:
    observed, pipe = house.begin(max_age=100, etag=ETAG)
    assert observed.observation.state == "fresh"
    seen = states(observed)
    house.clock.advance(99)
    assert seen == []
    house.clock.advance(1)
    assert seen == ["stale"]
    house.clock.advance(4.9)
    house.nothing()
    house.clock.advance(10.2)
    again = house.sent()
    assert pipe.phase is Phase.ENDED
    assert again.keeps_token
    assert again.request is not pipe.request
    assert (again.request.token, again.request.opt.observe) == (b"token", 0)
    assert again.request.opt.etags == (ETAG,)
    say(again, observe=1, code=VALID, etag=ETAG, max_age=50)
    assert seen == ["stale", "fresh"]
    assert observed.responses == [], "it was known"
    house.clock.advance(50)
    assert seen == ["stale", "fresh", "stale"]
    observed.observation.cancel()


def test_each_notification_puts_it_off(house: House) -> None:
    observed, pipe = house.begin(max_age=100)
    seen = states(observed)
    for number in range(2, 6):
        house.clock.advance(90)
        say(pipe, observe=number, max_age=100)
    assert seen == []
    house.clock.advance(95)
    say(pipe, observe=6, max_age=1)
    house.clock.advance(1)
    assert seen == ["stale"], "what is due earlier comes first"
    house.clock.advance(15)
    assert house.sent().keeps_token
    observed.observation.cancel()


def test_news_in_the_answer_are_delivered(house: House) -> None:
    observed, _ = house.begin(max_age=0, payload=b"one")
    house.clock.advance(16)
    news = say(house.sent(), observe=1, payload=b"two")
    assert observed.responses == [news]
    observed.observation.cancel()


def test_the_server_may_have_begun_to_count_anew(house: House) -> None:
    request, pipe = house.observe()
    observed = Observed(request)
    say(pipe, observe=500, max_age=0, mtype=NON)
    house.clock.advance(16)
    news = say(house.sent(), observe=1, payload=b"two", mtype=NON)
    assert observed.responses == [news]
    observed.observation.cancel()


def test_the_answer_may_be_the_end(house: House) -> None:
    observed, _ = house.begin(max_age=0)
    house.clock.advance(16)
    last = say(house.sent(), code=NOT_FOUND)
    assert observed.responses == [last]
    assert [type(problem) for problem in observed.errors] == [error.ObservationCancelled]
    assert observed.observation.state == "over"
    house.clock.advance(100)
    house.nothing()


def test_somebody_elses_notifications_are_none(house: House) -> None:
    observed, pipe = house.begin()
    respond(pipe, remote="another", observe=2, mtype=None)
    assert observed.responses == []
    observed.observation.cancel()


def test_a_group_is_not_asked_again(house: House) -> None:
    async def ask() -> Any:
        message = Message(code=GET, observe=0)
        message.remote = Remote("group")
        return house.ask(message)

    request = house.do(ask())
    observed = Observed(request)
    respond(house.sent(), remote="member", observe=1, max_age=1, mtype=None)
    house.clock.advance(1000)
    house.nothing()
    assert observed.observation.state == "stale"
    observed.observation.cancel()
    house.nothing()


def test_one_of_the_applications_blocks_is_not_sent_again(house: House) -> None:
    async def ask() -> Request:
        message = Message(code=FETCH, observe=0, block1=(1, False, 2), payload=b"rest")
        message.remote = house.remote
        pipe = Pipe(message, house.log)
        request = Request(pipe, house.loop, house.log, house)  # type: ignore[arg-type]
        house.request(pipe)
        return request

    request = house.do(ask())
    say(house.sent(), observe=1, max_age=1)
    house.clock.advance(1000)
    house.nothing()
    request.observation.cancel()
    house.nothing()


def test_the_server_may_want_a_proof_of_our_address(house: House) -> None:
    observed, _ = house.begin(max_age=0)
    for _ in range(2):
        house.clock.advance(16)
        challenged = house.sent()
        respond(challenged, code=UNAUTHORIZED, echo=b"echo", mtype=None)
        again = house.sent()
        assert again.keeps_token
        assert (again.request.token, again.request.opt.echo) == (b"token", b"echo")
        assert again.request.opt.observe == 0
        say(again, observe=1, max_age=0)
    assert observed.errors == []
    observed.observation.cancel()


def test_a_new_registration_says_again_what_the_server_wants_to_hear(house: House) -> None:
    observed, pipe = house.begin(max_age=0)
    say(pipe, observe=2, echo=b"e", max_age=0)
    house.clock.advance(16)
    again = house.sent()
    assert (again.request.opt.observe, again.request.opt.echo) == (0, b"e")
    say(again, observe=3, max_age=0)
    house.clock.advance(16)
    assert house.sent().request.opt.echo is None
    observed.observation.cancel()


def test_a_large_request_is_sent_again_in_blocks(house: House) -> None:
    async def ask() -> Any:
        return house.ask(Message(code=FETCH, observe=0, payload=bytes(2000)))

    request = house.do(ask())
    observed = Observed(request)
    for _ in range(2):
        respond(house.sent(), code=CONTINUE, block1=(0, True, 6), mtype=None)
        last = house.sent()
        say(last, observe=1, block1=(1, False, 6), max_age=1)
        house.nothing()
        assert observed.observation.state == "fresh"
        house.clock.advance(17)
    assert last.keeps_token
    assert last.request.token == b"token"
    assert not house.sent().keeps_token, "only the last block goes on with it"
    request.observation.cancel()


def test_an_observation_without_blocks_is_sent_again(house: House) -> None:
    async def ask() -> Request:
        message = Message(code=GET, observe=0)
        message.remote = house.remote
        pipe = Pipe(message, house.log)
        request = Request(pipe, house.loop, house.log, house)  # type: ignore[arg-type]
        house.request(pipe)
        return request

    request = house.do(ask())
    say(house.sent(), observe=1, max_age=0)
    house.clock.advance(16)
    say(house.sent(), observe=1)
    assert request.observation is not None
    assert request.observation.state == "fresh"
    request.observation.cancel()
    assert house.sent().request.opt.observe == 1


# Trouble


def fail(pipe: Pipe, problem: Exception | None = None) -> None:
    pipe.add_exception(problem or error.RequestTimedOut())


def test_trouble_makes_it_stale_and_it_comes_back(house: House) -> None:
    observed, pipe = house.begin()
    seen = states(observed)
    fail(pipe, error.NetworkError("no route"))
    assert seen == ["stale"]
    house.clock.advance(4.9)
    house.nothing()
    house.clock.advance(10.2)
    say(house.sent(), observe=1, payload=b"two")
    assert seen == ["stale", "fresh"]
    assert len(observed.responses) == 1
    assert observed.errors == []
    observed.observation.cancel()


def test_there_is_a_limit(house: House) -> None:
    observed, pipe = house.begin()
    seen = states(observed)
    fail(pipe)
    house.clock.advance(15.1)
    fail(house.sent())
    house.clock.advance(9.9)
    house.nothing()
    house.clock.advance(20.2)
    problem = error.RequestTimedOut()
    fail(house.sent(), problem)
    assert observed.errors == [problem]
    assert seen == ["stale", "over"]
    house.clock.advance(1000)
    house.nothing()


def test_other_trouble_is_the_end(house: House) -> None:
    observed, pipe = house.begin()
    problem = error.UnparsableMessage("nonsense")
    fail(pipe, problem)
    assert observed.errors == [problem]
    house.clock.advance(1000)
    house.nothing()


def test_trouble_where_nobody_observes_any_more(house: House) -> None:
    request, pipe = house.observe()
    say(pipe, observe=1)
    house.do(house.rest())
    observer = request.observation._driver
    observer._observation = None
    fail(pipe)
    house.clock.advance(1000)
    house.nothing()
    observer._held = None


def test_a_server_without_time_is_asked_later(house: House) -> None:
    observed, _ = house.begin(max_age=0)
    house.clock.advance(16)
    say(house.sent(), code=SERVICE_UNAVAILABLE, max_age=100)
    assert observed.observation.state == "stale"
    house.clock.advance(99.9)
    house.nothing()
    house.clock.advance(0.2)
    again = house.sent()
    assert (again.request.token, again.request.opt.observe) == (b"token", 0)
    news = say(again, observe=1, payload=b"news")
    assert observed.responses == [news]
    assert observed.errors == []
    observed.observation.cancel()


def test_a_server_that_never_has_time(house: House) -> None:
    observed, _ = house.begin(max_age=0)
    house.clock.advance(16)
    for _ in range(Tuning.OBSERVATION_RETRIES):
        say(house.sent(), code=SERVICE_UNAVAILABLE)
        assert observed.errors == []
        house.clock.advance(31)
    last = say(house.sent(), code=SERVICE_UNAVAILABLE)
    assert observed.responses == [last]
    assert [type(problem) for problem in observed.errors] == [error.ObservationCancelled]
    house.clock.advance(1000)
    house.nothing()


def test_who_is_told_without_having_asked_is_told_the_end(house: House) -> None:
    observed, pipe = house.begin()
    last = say(pipe, code=SERVICE_UNAVAILABLE)
    assert observed.responses == [last]
    assert [type(problem) for problem in observed.errors] == [error.ObservationCancelled]


# What comes while it waits for the time to try again


def test_a_notification_in_the_pause_is_as_good_as_an_answer(house: House) -> None:
    observed, pipe = house.begin()
    seen = states(observed)
    fail(pipe)
    assert house.listeners == [], "what fails takes the token with it"
    house.clock.settle()
    (listener,) = house.listeners
    assert (listener.request.token, listener.request.remote) == (b"token", house.remote)
    news = say(listener, observe=2, payload=b"news", max_age=100)
    assert observed.responses == [news]
    assert seen == ["stale", "fresh"]
    house.clock.advance(99)
    house.nothing()
    later = say(listener, observe=3, payload=b"later")
    assert observed.responses == [news, later]
    observed.observation.cancel()
    assert listener.phase is Phase.ENDED


def test_the_last_notification_may_come_in_the_pause(house: House) -> None:
    observed, pipe = house.begin()
    fail(pipe)
    house.clock.settle()
    last = say(house.listeners[0], code=NOT_FOUND)
    assert observed.responses == [last]
    assert [type(problem) for problem in observed.errors] == [error.ObservationCancelled]
    house.clock.advance(1000)
    house.nothing()


def test_the_pause_ends_the_listening(house: House) -> None:
    observed, pipe = house.begin()
    fail(pipe)
    house.clock.advance(16)
    assert house.sent().keeps_token
    assert house.listeners[0].phase is Phase.ENDED
    observed.observation.cancel()


def test_more_trouble_in_the_pause_is_the_same_trouble(house: House) -> None:
    observed, pipe = house.begin()
    fail(pipe)
    house.clock.settle()
    fail(house.listeners[0])
    house.clock.settle()
    assert len(house.listeners) == 2, "and it goes on to listen"
    assert observed.errors == []
    house.clock.advance(16)
    say(house.sent(), observe=1)
    assert observed.observation.state == "fresh"
    observed.observation.cancel()


def test_a_notification_whose_blocks_do_not_come_leaves_the_registration(house: House) -> None:
    observed, pipe = house.begin()
    say(pipe, observe=2, payload=bytes(64), block2=(0, True, 2))
    fail(house.sent())
    house.clock.settle()
    assert observed.observation.state == "stale"
    assert house.listeners == [], "the pipe is still there"
    say(pipe, observe=3)
    assert observed.observation.state == "fresh"
    house.clock.advance(30)
    house.nothing()
    observed.observation.cancel()


def test_cancelling_in_the_moment_of_trouble(house: House) -> None:
    observed, pipe = house.begin()
    fail(pipe)
    observed.observation.cancel()
    house.clock.settle()
    assert house.listeners == []
    assert house.sent().request.opt.observe == 1
    house.clock.advance(1000)
    house.nothing()


@pytest.mark.parametrize("how", ["waits", "fails"])
def test_an_address_that_is_not_at_hand_is_not_listened_to(house: House, how: str) -> None:
    observed, pipe = house.begin()
    if how == "waits":
        house.waits = True
    else:
        house.problem = error.ResolutionError("gone")
    fail(pipe)
    house.clock.settle()
    assert house.listeners == []
    house.waits, house.problem = False, None
    house.clock.advance(16)
    say(house.sent(), observe=1)
    observed.observation.cancel()


# Where it takes time to find the server


def test_the_address_may_take_time(house: House) -> None:
    observed, _ = house.begin(max_age=1)
    house.waits = True
    house.clock.advance(17)
    say(house.sent(), observe=1)
    assert observed.observation.state == "fresh"
    observed.observation.cancel()


@pytest.mark.parametrize("waits", [False, True])
def test_an_address_that_is_not_found_is_looked_for_again(house: House, waits: bool) -> None:
    observed, _ = house.begin(max_age=1)
    if waits:
        house.resolution = asyncio.Future(loop=house.loop)
        house.resolution.set_result(None)
    house.problem = error.ResolutionError("no such name")
    house.clock.advance(17)
    house.nothing()
    assert observed.observation.state == "stale"
    house.problem = house.resolution = None
    house.clock.advance(31)
    say(house.sent(), observe=1)
    assert observed.observation.state == "fresh"
    observed.observation.cancel()


def test_a_search_that_is_superseded_is_given_up(house: House) -> None:
    observed, pipe = house.begin(max_age=1)
    house.resolution = asyncio.Future(loop=house.loop)
    house.clock.advance(17)
    say(pipe, observe=2)
    house.clock.settle()
    assert house.resolution.cancelled()
    assert observed.observation.state == "fresh"
    house.nothing()
    house.resolution = None
    observed.observation.cancel()


def test_a_shutdown_in_the_pause(house: House) -> None:
    observed, pipe = house.begin()
    fail(pipe)
    for task in house.tasks:
        task.cancel()
    house.clock.settle()
    assert [type(problem) for problem in observed.errors] == [error.LibraryShutdown]


# A resource that changes all the time


def test_what_was_outdated_is_waited_for_as_long_as_anything_will_happen(house: House) -> None:
    request, pipe = house.observe()
    say(pipe, observe=1, max_age=1)
    registration: Registration = request.observation._driver.registration
    assert registration.waits(), "Max-Age ends some time"
    house.clock.advance(17)
    house.sent()
    assert registration.waits(), "then it tries again"
    assert registration.waits(), "and that is under way"
    registration._abandon_task()
    assert registration.waits()
    registration._abandon_task()
    assert not registration.waits(), "but not for ever"
    request.observation.cancel()


# The end


def test_the_server_is_told(house: House) -> None:
    observed, pipe = house.begin(etag=ETAG)
    observed.observation.cancel()
    assert pipe.phase is Phase.ENDED
    farewell = house.sent()
    assert farewell.keeps_token
    assert (farewell.request.token, farewell.request.opt.observe) == (b"token", 1)
    assert farewell.request.opt.etags == (ETAG,)
    phase: Phase = farewell.phase
    assert phase is Phase.OPEN, "the answer is not to be rejected"
    say(farewell)
    phase = farewell.phase
    assert phase is Phase.ENDED


def test_who_has_not_answered_is_not_told(house: House) -> None:
    request, pipe = house.observe()
    request.response.cancel()
    assert pipe.phase is Phase.ENDED
    house.nothing()


def test_what_fits_into_no_message_is_not_told(house: House) -> None:
    async def ask() -> Any:
        return house.ask(Message(code=FETCH, observe=0, payload=bytes(2000)))

    request = house.do(ask())
    respond(house.sent(), code=CONTINUE, block1=(0, True, 6), mtype=None)
    respond(house.sent(), observe=1, block1=(1, False, 6), mtype=None)
    house.nothing()
    assert request.observation.state == "fresh"
    request.observation.cancel()
    house.nothing()


def test_the_server_is_told_even_if_its_address_takes_time(house: House) -> None:
    observed, _ = house.begin()
    house.waits = True
    observed.observation.cancel()
    assert house.sent().request.opt.observe == 1


@pytest.mark.parametrize("waits", [False, True])
def test_a_farewell_that_can_not_be_said(
    house: House, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "coap-test")
    observed, _ = house.begin()
    if waits:
        house.resolution = asyncio.Future(loop=house.loop)
        house.resolution.set_result(None)
    house.problem = error.ResolutionError("no such name")
    observed.observation.cancel()
    house.clock.settle()
    house.nothing()
    assert "can not be told" in caplog.text


def test_letting_go_ends_it(house: House) -> None:
    request, pipe = house.observe()
    say(pipe, observe=1)
    house.nothing()
    del request
    gc.collect()
    assert house.sent().request.opt.observe == 1
    assert pipe.phase is Phase.ENDED


def test_letting_go_in_the_pause_ends_it(house: House) -> None:
    request, pipe = house.observe()
    say(pipe, observe=1)
    house.nothing()
    fail(pipe)
    house.clock.settle()
    del request
    gc.collect()
    assert house.sent().request.opt.observe == 1
    assert house.listeners[0].phase is Phase.ENDED
    house.clock.advance(1000)
    house.nothing()


def test_letting_go_while_a_notification_comes(house: House) -> None:
    request, pipe = house.observe()
    say(pipe, observe=1)
    house.nothing()
    del request
    say(pipe, observe=2)
    assert pipe.phase is Phase.ENDED
    assert house.sent().request.opt.observe == 1


def test_letting_go_after_the_loop_was_closed() -> None:
    clock = Clock()

    async def begin() -> Any:
        network = Network()
        request = network.ask(observe=0)
        return request, await network.next()

    request, pipe = clock.run(begin())
    say(pipe, observe=1, max_age=1)
    clock.close()
    observation: ClientObservation = request.observation
    assert not observation.cancelled
    # What it would tell the loop is of no use to anybody.
    del request, observation
    gc.collect()
    assert pipe.phase is Phase.OPEN


def test_interfaces_need_not_listen() -> None:
    class Deaf(Network):
        listen = interfaces.RequestInterface.listen

    clock = Clock()

    async def begin() -> Any:
        network = Deaf()
        request = network.ask(observe=0)
        return network, request, await network.next()

    network, request, pipe = clock.run(begin())
    say(pipe, observe=1)
    fail(pipe)
    clock.advance(16)
    say(clock.run(network.next()), observe=1)
    assert request.observation.state == "fresh"
    request.observation.cancel()
    clock.settle()
    clock.close()


# Several observers of one target (section 3.1)


class Watched(Observed):
    """What an observer learns, its response included."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.request = request

    @property
    def payload(self) -> bytes:
        response: Message = self.request.response.result()
        return response.payload

    @property
    def payloads(self) -> list[bytes]:
        return [response.payload for response in self.responses]

    @property
    def kinds(self) -> list[type[BaseException]]:
        return [type(problem) for problem in self.errors]


def is_over(pipe: Pipe) -> bool:
    return pipe.phase is Phase.ENDED


def join(house: House, **kwargs: Any) -> Watched:
    """Ask once more; nothing is to be sent for that at once."""

    async def ask() -> Any:
        sent = len(house.pipes)
        request = house.ask(Message(**{"code": GET, "observe": 0, **kwargs}))
        assert len(house.pipes) == sent
        return request

    return Watched(house.do(ask()))


def found(house: House, options: dict[str, Any] | None = None, **kwargs: Any) -> tuple[Any, Pipe]:
    """Begin an observation, with options of the request and of the response."""
    request, pipe = house.observe(**(options or {}))
    observed = Watched(request)
    say(pipe, **{"observe": 1, "payload": b"one", **kwargs})
    return observed, pipe


def test_who_comes_later_gets_what_is_there(house: House) -> None:
    first, pipe = found(house, max_age=100)
    second = join(house)
    assert second.payload == b"one"
    assert second.observation.state == "fresh"
    response = second.request.response.result()
    assert response.request.opt.observe == 0
    assert response is not first.request.response.result(), "each has its own"
    assert response.request is not first.request.response.result().request
    assert response.remote == house.remote
    say(pipe, observe=2, payload=b"two", max_age=100)
    assert first.payloads == second.payloads == [b"two"]
    assert first.responses[0] is not second.responses[0]
    assert second.responses[0].request is response.request
    house.nothing()
    assert house.registrations != {}
    first.observation.cancel()
    house.nothing()
    say(pipe, observe=3, payload=b"three", max_age=100)
    assert first.payloads == [b"two"]
    assert second.payloads == [b"two", b"three"]
    second.observation.cancel()
    assert house.sent().request.opt.observe == 1
    assert is_over(pipe)
    assert house.registrations == {}
    assert first.errors == second.errors == []


@pytest.mark.parametrize("is_observable", [True, False])
def test_they_wait_for_the_first_response_together(house: House, is_observable: bool) -> None:
    request, pipe = house.observe()
    first, second = Watched(request), join(house)
    assert second.observation.state == "registering"
    say(pipe, payload=b"one", observe=1 if is_observable else None)
    assert first.payload == second.payload == b"one"
    kinds = [] if is_observable else [error.NotObservable]
    assert first.kinds == second.kinds == kinds
    assert first.responses == second.responses == []
    first.observation.cancel()
    second.observation.cancel()
    assert house.registrations == {}


@pytest.mark.parametrize(
    ("mine", "yours"),
    [
        ({}, {"accept": 60}),
        ({}, {"code": FETCH}),
        ({"code": FETCH, "payload": b"one"}, {"code": FETCH, "payload": b"other"}),
        # These do something each time.
        ({"code": PUT}, {"code": PUT}),
    ],
)
def test_different_targets_are_observed_by_themselves(
    house: House, mine: dict[str, Any], yours: dict[str, Any]
) -> None:
    for options in (mine, yours):
        request, pipe = house.observe(**options)
        say(pipe, observe=1)
        assert request.response.done()
        # The other one is to be observed meanwhile.
        request.observation.register_callback(lambda _: None)


def test_so_are_different_servers_and_groups_and_single_blocks(house: House) -> None:
    async def ask_alone() -> Request:
        pipe = Pipe(Message(code=GET, observe=0), house.log)
        request = Request(pipe, house.loop, house.log, house)  # type: ignore[arg-type]
        pipe.request.remote = house.remote
        house.request(pipe)
        return request

    requests = [house.observe()[0]]
    for name in ("another", "group", "group"):
        house.remote = Remote(name)
        requests.append(house.observe()[0])
    house.remote = Remote("server")
    for _ in range(2):
        requests.append(house.do(ask_alone()))
        house.sent()
    assert len(house.registrations) == 2


def test_whoever_asks_gets_the_present_state(house: House) -> None:
    first, _ = found(house, max_age=1, etag=ETAG)
    house.clock.advance(1.5)
    second, third = join(house), join(house)
    assert not second.request.response.done()
    assert second.observation.state == "registering"
    again = house.sent()
    assert (again.request.token, again.request.opt.etags) == (b"token", (ETAG,))
    say(again, observe=2, code=VALID, etag=ETAG, max_age=100)
    assert second.payload == third.payload == b"one"
    assert second.request.response.result().code == CONTENT
    assert first.responses == [], "it is known"
    assert second.observation.state == first.observation.state == "fresh"
    house.clock.advance(20)
    house.nothing()
    for observed in (first, second, third):
        observed.observation.cancel()


def test_nobody_hurries_for_who_has_left(house: House) -> None:
    first, _ = found(house, max_age=1)
    house.clock.advance(1.5)

    async def ask() -> None:
        first, second = (house.ask(Message(code=GET, observe=0)) for _ in range(2))
        first.response.cancel()
        assert second.observation is not None
        second.observation.cancel()
        second.response.cancel()

    house.do(ask())
    house.clock.advance(3)
    house.nothing()
    first.observation.cancel()


def test_whoever_asks_in_a_pause_ends_it(house: House) -> None:
    first, pipe = found(house)
    fail(pipe)
    for _ in range(2 * Tuning.OBSERVATION_RETRIES):
        second = join(house)
        problem = error.RequestTimedOut()
        fail(house.sent(), problem)
        assert second.errors == [problem], "it learns that nobody is there"
        assert second.request.response.exception() is problem
        assert first.errors == []
        assert first.observation.state == "stale"
    third = join(house)
    say(house.sent(), observe=1, payload=b"two")
    assert third.payload == b"two"
    assert first.payloads == [b"two"]
    first.observation.cancel()
    third.observation.cancel()


def test_whoever_asks_does_not_interrupt_an_attempt(house: House) -> None:
    first, _ = found(house, max_age=1)
    resolution: asyncio.Future[None] = asyncio.Future(loop=house.loop)
    house.resolution = resolution
    house.clock.advance(17)
    house.resolution = None
    second = join(house)
    house.nothing()
    resolution.set_result(None)
    again = house.sent()
    third = join(house)
    house.nothing()
    say(again, observe=1, payload=b"two")
    assert second.payload == third.payload == b"two"
    for observed in (first, second, third):
        observed.observation.cancel()


def test_a_failure_ends_all_of_them_once(house: House) -> None:
    first, pipe = found(house)
    second = join(house)
    fail(pipe)
    assert first.errors == second.errors == []
    house.clock.advance(16)
    fail(house.sent())
    house.clock.advance(31)
    problem = error.RequestTimedOut()
    fail(house.sent(), problem)
    assert first.errors == second.errors == [problem]
    assert first.observation.state == second.observation.state == "over"
    assert house.registrations == {}
    house.clock.advance(1000)
    house.nothing()


def test_a_failure_before_the_first_response_ends_all_of_them(house: House) -> None:
    request, pipe = house.observe()
    first, second = Watched(request), join(house)
    problem = error.RequestTimedOut()
    fail(pipe, problem)
    for observed in (first, second):
        assert observed.errors == [problem]
        assert observed.request.response.exception() is problem
    assert house.registrations == {}


def test_who_is_told_of_the_end_may_begin_anew(house: House) -> None:
    first, pipe = found(house)
    second = join(house)
    anew: list[Any] = []
    for observed in (first, second):
        observed.observation.register_errback(
            lambda _: anew.append(house.ask(Message(code=GET, observe=0)))
        )
    say(pipe, code=NOT_FOUND)
    assert first.kinds == second.kinds == [error.ObservationCancelled]
    assert [response.code for response in second.responses] == [NOT_FOUND]
    again = house.sent()
    say(again, observe=1, payload=b"two")
    assert [request.response.result().payload for request in anew] == [b"two", b"two"]
    anew.clear()
    gc.collect()
    assert house.sent().request.opt.observe == 1


def test_a_server_without_time_tells_who_asks(house: House) -> None:
    first, _ = found(house, max_age=0)
    house.clock.advance(0.1)
    second = join(house)
    say(house.sent(), code=SERVICE_UNAVAILABLE, max_age=100)
    assert second.request.response.result().code == SERVICE_UNAVAILABLE
    assert second.kinds == [error.NotObservable]
    assert first.errors == []
    house.clock.advance(101)
    say(house.sent(), observe=1)
    first.observation.cancel()


def test_trouble_when_all_the_others_have_left(house: House) -> None:
    first, _ = found(house, max_age=0)
    house.clock.advance(0.1)
    second = join(house)
    again = house.sent()
    first.observation.cancel()
    house.nothing()
    fail(again)
    assert second.kinds == [error.RequestTimedOut], "as if it had been alone"
    house.clock.advance(1000)
    house.nothing()


def test_the_first_one_may_give_up(house: House) -> None:
    request, pipe = house.observe()
    second = join(house)
    request.response.cancel()
    assert request.observation.cancelled
    assert not is_over(pipe)
    say(pipe, observe=1, payload=b"one")
    assert second.payload == b"one"
    say(pipe, observe=2, payload=b"two")
    assert second.payloads == [b"two"]
    second.observation.cancel()
    assert is_over(pipe)


def test_all_of_them_may_give_up(house: House) -> None:
    request, pipe = house.observe()
    second, third = join(house), join(house)
    third.request.observation = third.observation = None  # type: ignore[assignment]
    second.request.response.cancel()
    assert second.observation.cancelled
    request.response.cancel()
    assert not is_over(pipe), "somebody waits for the response"
    third.request.response.cancel()
    assert is_over(pipe)
    house.nothing()
    assert house.registrations == {}


def test_a_response_alone_may_be_wanted(house: House) -> None:
    request, pipe = house.observe()

    async def ask() -> Any:
        return house.ask(Message(code=GET, observe=0)).response

    response = house.do(ask())
    del request
    gc.collect()
    house.clock.settle()
    say(pipe, observe=1, payload=b"one")
    assert response.result().payload == b"one"
    assert is_over(pipe)
    assert house.sent().request.opt.observe == 1
    lost = weakref.ref(response.delivery or response)
    del response
    gc.collect()
    assert lost() is None


def test_a_response_that_nobody_waits_for_any_more(house: House) -> None:
    request, pipe = house.observe()

    async def ask() -> Any:
        return house.ask(Message(code=GET, observe=0)).response

    response = house.do(ask())
    house.clock.settle()
    response.cancel()
    assert not is_over(pipe)
    request.observation.cancel()
    assert not is_over(pipe)
    request.response.cancel()
    assert is_over(pipe)


def test_letting_go_of_one_leaves_the_others(house: House) -> None:
    request, pipe = house.observe()
    say(pipe, observe=1)

    async def ask() -> Any:
        return house.ask(Message(code=GET, observe=0))

    second = house.do(ask())
    del request
    gc.collect()
    house.nothing()
    assert not is_over(pipe)
    del second
    gc.collect()
    assert house.sent().request.opt.observe == 1
    assert is_over(pipe)


@pytest.mark.parametrize("waits", [False, True])
def test_who_comes_later_may_iterate_over_its_response(house: House, waits: bool) -> None:
    request, pipe = house.observe()
    house.waits = waits

    async def ask() -> Any:
        asked = [house.ask(Message(code=GET, observe=0)) for _ in range(2)]
        return asked, [one.responses for one in asked]

    async def collect(it: Any) -> list[bytes]:
        return [response.payload async for response in it]

    (second, third), responses = house.do(ask())
    house.clock.settle()
    house.waits = False
    third.response.cancel()
    say(pipe, observe=1, payload=b"one")
    house.clock.settle()
    assert house.do(collect(responses[0])) == [b"one"]
    assert house.do(collect(responses[1])) == []
    second.observation.cancel()
    request.observation.cancel()
    assert is_over(pipe)


def test_iterating_over_a_response_that_fails(house: House) -> None:
    _, pipe = house.observe()
    responses = join(house).request.responses
    problem = error.UnparsableMessage("nonsense")
    fail(pipe, problem)
    house.clock.settle()

    async def take() -> Any:
        return await anext(responses)

    with pytest.raises(error.UnparsableMessage):
        house.do(take())


def test_progress_is_that_of_who_came_first(house: House) -> None:
    request, pipe = house.observe()
    second = join(house)
    progress: list[int] = []
    second.request.on_progress(lambda done, _: progress.append(done))
    say(pipe, observe=1, payload=bytes(64), block2=(0, True, 2))
    say(house.sent(), payload=b"rest", block2=(1, False, 2))
    house.clock.settle()
    assert len(second.payload) == 68
    assert progress == []
    request.observation.cancel()
    second.observation.cancel()


def test_who_is_told_may_cancel_all_of_them(house: House) -> None:
    first, pipe = found(house)
    second, third = join(house), join(house)
    everybody = (first, second, third)

    def cancel(_: Message) -> None:
        for observed in everybody:
            observed.observation.cancel()

    second.observation.register_callback(cancel)
    say(pipe, observe=2, payload=b"two")
    assert [observed.payloads for observed in everybody] == [[b"two"], [b"two"], []]
    assert is_over(pipe)
    assert house.sent().request.opt.observe == 1


def test_the_first_response_may_change_all_the_time_when_the_first_one_has_gone(
    house: House,
) -> None:
    request, pipe = house.observe()
    second = join(house)
    request.response.cancel()
    say(pipe, observe=1, payload=bytes(64), block2=(0, True, 2), etag=b"0")
    for number in range(1, 99):
        house.clock.settle()
        if second.request.response.done():
            break
        pipe = house.sent()
        kwargs = {"payload": bytes(64), "etag": b"%d" % number}
        if pipe.request.opt.observe == 0:
            # That is three times so, and then a block asked for by itself.
            say(pipe, observe=number, block2=(0, True, 2), **kwargs)
        else:
            block2 = pipe.request.opt.block2
            respond(pipe, block2=(block2.block_number, True, 2), **kwargs)
    assert second.kinds == [error.ResourceChanged]
    house.clock.advance(1000)
    house.nothing()
    assert house.registrations == {}


# What changes while it is fetched


@pytest.mark.parametrize("is_first", [True, False])
def test_what_changed_under_a_transfer_is_asked_for_by_registering_again(
    house: House, is_first: bool
) -> None:
    request, pipe = house.observe()
    observed = Observed(request)
    if not is_first:
        say(pipe, observe=1, mtype=NON, payload=b"0")
    say(pipe, observe=2, mtype=NON, payload=bytes(64), block2=(0, True, 2), etag=b"1")
    respond(house.sent(), payload=bytes(64), block2=(1, True, 2), etag=b"3")
    again = house.sent()
    assert again.keeps_token
    assert (again.request.token, again.request.opt.observe) == (b"token", 0)
    assert again.request.opt.block2 is None
    assert pipe.phase is Phase.ENDED
    say(again, observe=4, mtype=NON, payload=b"3", etag=b"3")
    # That was on its way for longer.
    say(again, observe=3, mtype=NON, payload=b"2", etag=b"2")
    say(again, observe=5, mtype=NON, payload=b"5", etag=b"5")
    house.clock.settle()
    assert request.response.result().payload == (b"3" if is_first else b"0")
    payloads = [message.payload for message in observed.responses]
    assert payloads == ([b"5"] if is_first else [b"3", b"5"])
    house.nothing()
    request.observation.cancel()


def test_what_shrank_under_a_transfer_is_asked_for_by_registering_again(house: House) -> None:
    observed, pipe = house.begin()
    say(pipe, observe=2, payload=bytes(64), block2=(0, True, 2))
    respond(house.sent(), code=BAD_REQUEST)
    say(house.sent(), observe=3, payload=b"little")
    assert [message.payload for message in observed.responses] == [b"little"]
    observed.observation.cancel()


def test_registering_again_for_what_changes_all_the_time_has_an_end(house: House) -> None:
    observed, pipe = house.begin()
    for number in range(4):
        etag = b"%d" % number
        say(pipe, observe=number + 2, payload=bytes(64), block2=(0, True, 2), etag=etag)
        respond(house.sent(), payload=bytes(64), block2=(1, True, 2), etag=b"-" + etag)
        pipe = house.sent()
    # From now on it is fetched anew.
    assert pipe.request.opt.block2 == (0, False, 2)
    assert pipe.request.opt.observe is None
    respond(pipe, payload=b"small")
    house.clock.settle()
    assert [message.payload for message in observed.responses] == [b"small"]
    observed.observation.cancel()


def test_it_does_not_register_twice_when_it_changes_under_a_transfer(house: House) -> None:
    observed, pipe = house.begin(max_age=1)
    # It registers again, but has to find the server first.
    house.resolution = asyncio.Future(loop=house.loop)
    say(pipe, observe=2, payload=bytes(64), block2=(0, True, 2), etag=b"1")
    house.clock.advance(17)
    block = house.sent()
    respond(block, payload=bytes(64), block2=(1, True, 2), etag=b"2")
    house.clock.settle()
    house.nothing()
    house.resolution.set_result(None)
    say(house.sent(), observe=3, payload=b"new")
    assert [message.payload for message in observed.responses] == [b"new"]
    house.nothing()
    observed.observation.cancel()


# ETags are no part of the target


def test_who_has_it_is_told_so(house: House) -> None:
    first, pipe = found(house, {"etags": [b"a"]}, code=VALID, etag=b"a", payload=b"")
    second = join(house, etags=[b"b", b"a"])
    assert second.request.response.result().code == VALID
    say(pipe, observe=2, code=VALID, etag=b"a")
    assert [response.code for response in first.responses] == [VALID]
    assert [response.code for response in second.responses] == [VALID]
    house.nothing()
    first.observation.cancel()
    second.observation.cancel()


def test_who_does_not_have_it_gets_it(house: House) -> None:
    first, _ = found(house, {"etags": [b"a", b"c"]}, code=VALID, etag=b"a", payload=b"")
    second = join(house, etags=[b"c"])
    assert not second.request.response.done()
    again = house.sent()
    assert again.request.opt.etags == (b"c",), "what both of them have"
    say(again, observe=2, etag=b"a", payload=b"A")
    assert second.payload == b"A"
    assert first.responses == [], "it has that"
    # Now it is kept, too.
    third = join(house)
    assert third.payload == b"A"
    house.clock.advance(60)
    house.clock.advance(16)
    again = house.sent()
    assert again.request.opt.etags == (b"a",)
    say(again, observe=3, code=VALID, etag=b"a")
    assert first.responses == second.responses == third.responses == []
    for observed in (second, third):
        observed.observation.cancel()
    house.clock.advance(76)
    assert house.sent().request.opt.etags == (b"a", b"c"), "the first one's alone"
    first.observation.cancel()


@pytest.mark.parametrize("is_notified", [False, True])
def test_a_valid_is_not_for_those_who_do_not_have_it(house: House, is_notified: bool) -> None:
    request, pipe = house.observe(etags=[b"a"])
    if is_notified:
        say(pipe, observe=1, payload=b"B", etag=b"b")
    first, second = Watched(request), join(house)
    assert second.request.response.done() is is_notified
    say(pipe, observe=2, code=VALID, etag=b"a")
    if is_notified:
        assert [response.code for response in first.responses] == [VALID]
    else:
        assert request.response.result().code == VALID
    assert second.responses == []
    again = house.sent()
    assert again.request.opt.etags == ()
    say(again, observe=3, payload=b"A", etag=b"a")
    assert (second.payloads or [second.payload]) == [b"A"]
    first.observation.cancel()
    second.observation.cancel()


@pytest.mark.parametrize("is_observable", [True, False])
def test_a_server_that_insists(house: House, is_observable: bool) -> None:
    request, pipe = house.observe(etags=[b"a"])
    first, second = Watched(request), join(house)
    rounds = 0
    observe = 1 if is_observable else None
    while not second.request.response.done():
        say(pipe, observe=observe, code=VALID, etag=b"a")
        house.clock.settle()
        if len(house.pipes) > house.seen:
            pipe = house.sent()
            rounds += 1
    assert rounds == (3 if is_observable else 0)
    assert type(second.request.response.exception()) is error.Error
    assert second.kinds == [error.Error]
    assert first.kinds == ([] if is_observable else [error.NotObservable])
    first.observation.cancel()


def test_who_is_alone_gets_everything(house: House) -> None:
    first, pipe = found(house)
    say(pipe, observe=2, code=VALID, etag=b"x")
    assert [response.code for response in first.responses] == [VALID]
    first.observation.cancel()


# Two targets that become one


def two(house: House, **kwargs: Any) -> tuple[Watched, Watched]:
    """Observe the same at two servers, of which the first will be where the other is."""
    first, _ = found(house, max_age=1)
    house.remote = Remote("another")
    request, pipe = house.observe()
    second = Watched(request)
    if kwargs:
        respond(pipe, remote="another", mtype=None, **kwargs)
    assert len(house.registrations) == 2
    return first, second


def test_two_registrations_that_meet_become_one(house: House) -> None:
    first, second = two(house, observe=1, max_age=100, payload=b"two")
    registration: Registration = first.observation._driver.registration  # type: ignore[union-attr]
    states_ = states(first)
    house.clock.advance(1)
    registration._remote = None
    registration._template.remote = None
    registration.retry()
    house.clock.advance(31)
    house.nothing()
    assert first.observation._driver.registration is second.observation._driver.registration  # type: ignore[union-attr]
    assert first.payloads == [b"two"]
    assert states_ == ["stale", "fresh"]
    assert len(house.registrations) == 1
    first.observation.cancel()
    house.nothing()
    second.observation.cancel()
    assert house.sent().request.remote == Remote("another")
    assert house.registrations == {}


def test_they_may_meet_before_the_first_response(house: House) -> None:
    first, second = two(house)
    house.clock.advance(1)
    first.observation._driver.registration.retry()  # type: ignore[union-attr]
    house.clock.advance(31)
    house.nothing()
    assert first.observation.state == "stale"
    respond(house.pipes[-1], remote="another", mtype=None, observe=1, payload=b"two")
    assert first.payloads == [b"two"]
    assert second.payload == b"two"
    assert first.observation.state == "fresh"
    first.observation.cancel()
    second.observation.cancel()


def test_a_registration_that_moves_is_found_where_it_is(house: House) -> None:
    first, pipe = found(house)
    house.remote = Remote("another")
    fail(pipe)
    house.clock.advance(16)
    respond(house.sent(), remote="another", mtype=None, observe=1, payload=b"two")
    assert join(house).payload == b"two"
    assert len(house.registrations) == 1
    first.observation.cancel()

"""Observations that are kept up, over a network that the tests play and a clock that jumps."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from aiocoap import error, interfaces
from aiocoap.clientobservation import ClientObservation
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    CONTINUE,
    FETCH,
    GET,
    NOT_FOUND,
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
    registration = request.observation._driver
    registration._observation = None
    fail(pipe)
    house.clock.advance(1000)
    house.nothing()
    registration._held = None


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
    registration: Registration = request.observation._driver
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

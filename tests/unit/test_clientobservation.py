"""The observation as applications see it: callbacks, iterations, states, and one end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from aiocoap import error
from aiocoap.clientobservation import ClientObservation
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT
from aiocoap.sansio.observation import Freshness


def notification(number: int) -> Message:
    return Message(code=CONTENT, observe=number)


class Driver:
    """Takes down what an observation asks of what makes it go on."""

    def __init__(self, observation: ClientObservation) -> None:
        self.held: list[ClientObservation] = []
        self.drops = 0
        observation._driver = self

    def hold(self, observation: ClientObservation) -> None:
        self.held.append(observation)

    def drop_observation(self) -> None:
        self.drops += 1


class Heard:
    """Every kind of callback."""

    def __init__(self, observation: ClientObservation) -> None:
        self.all: list[Any] = []
        observation.register_callback(lambda message: self.all.append(message.opt.observe))
        observation.register_errback(self.all.append)
        observation.register_statecallback(lambda state: self.all.append(str(state)))
        observation.on_cancel(lambda: self.all.append("cancelled"))


# Callbacks


def test_callbacks_get_what_comes() -> None:
    observation = ClientObservation()
    heard = Heard(observation)
    observation.callback(notification(1))
    observation.callback(notification(2))
    assert heard.all == ["fresh", 1, 2]


def test_what_came_before_is_for_who_comes_first() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    observation.callback(notification(2))
    first, second = Heard(observation), Heard(observation)
    assert (first.all, second.all) == ([2], [])
    observation.callback(notification(3))
    assert (first.all, second.all) == ([2, 3], [3])


def test_who_has_callbacks_holds_the_observation() -> None:
    observation = ClientObservation()
    driver = Driver(observation)
    observation.register_errback(print)
    observation.register_statecallback(print)
    observation.on_cancel(print)
    assert driver.held == [], "who can hear nothing but the end does not need it"
    observation.register_callback(print)
    assert driver.held == [observation]


def test_failing_callbacks_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    observation = ClientObservation()
    observation.register_callback(broken)
    observation.register_errback(broken)
    observation.register_statecallback(broken)
    observation.on_cancel(broken)
    heard = Heard(observation)
    problem = error.NotObservable()
    with caplog.at_level(logging.ERROR, "coap"):
        observation.callback(notification(1))
        observation.error(problem)
    assert heard.all == ["fresh", 1, "over", "cancelled", problem]
    assert len(caplog.records) == 5
    assert {record.name for record in caplog.records} == {"coap"}


def test_a_callback_may_cancel() -> None:
    observation = ClientObservation()
    observation.register_callback(lambda message: observation.cancel())
    heard = Heard(observation)
    observation.callback(notification(1))
    observation.callback(notification(2))
    assert heard.all == ["fresh", "over", "cancelled"], "nothing comes after the end"


def test_a_state_callback_may_cancel() -> None:
    observation = ClientObservation()
    Driver(observation)
    observation.become(Freshness.FRESH)
    observation.register_statecallback(lambda state: observation.cancel())
    heard = Heard(observation)
    observation.become(Freshness.STALE)
    assert heard.all == ["over", "cancelled"], "it is not stale after that"


# The end


def test_cancelling() -> None:
    observation = ClientObservation()
    driver, heard = Driver(observation), Heard(observation)
    observation.callback(notification(1))
    observation.cancel()
    observation.cancel()
    observation.error(error.NotObservable())
    observation.callback(notification(2))
    observation.become(Freshness.FRESH)
    assert heard.all == [1, "over", "cancelled"]
    assert driver.drops == 1
    assert (observation.cancelled, observation.state) == (True, "over")
    late = Heard(observation)
    assert late.all == ["over", "cancelled"]


def test_cancelling_drops_what_nobody_has_taken() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    observation.cancel()
    assert Heard(observation).all == ["over", "cancelled"]


def test_failing() -> None:
    observation = ClientObservation()
    driver, heard = Driver(observation), Heard(observation)
    problem = error.NotObservable()
    observation.error(problem)
    observation.error(error.LibraryShutdown())
    observation.cancel()
    assert heard.all == ["over", "cancelled", problem]
    assert driver.drops == 1


def test_who_comes_after_a_failure_hears_everything() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    problem = error.ObservationCancelled()
    observation.error(problem)
    assert Heard(observation).all == [1, problem, "over", "cancelled"]


# States


def test_states() -> None:
    observation = ClientObservation()
    Driver(observation)
    assert observation.state == "registering"
    seen: list[str] = []
    observation.register_statecallback(seen.append)
    observation.callback(notification(1))
    assert observation.state == "registering", "it is told by what drives it"
    for state in (Freshness.FRESH, Freshness.FRESH, Freshness.STALE, Freshness.FRESH):
        observation.become(state)
    observation.error(error.NotObservable())
    assert seen == ["fresh", "stale", "fresh", "over"]
    assert all(isinstance(state, str) for state in seen)


def test_repr() -> None:
    observation = ClientObservation()
    Heard(observation)
    observation.callback(notification(1))
    assert repr(observation) == (
        "<ClientObservation fresh, 1 notification(s), 1 callback(s), 0 waiting>"
    )


def test_the_last_notification_before_an_error_is_not_lost() -> None:
    observation = ClientObservation()
    last = notification(1)
    observation.callback(last)
    observation.error(error.ObservationCancelled())
    seen: list[Message] = []
    observation.register_callback(seen.append)
    observation.callback(notification(2))
    assert seen == [last]


# Iterations


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def iterate(observation: ClientObservation, seen: list[Any]) -> None:
    try:
        async for message in observation:
            seen.append(message.opt.observe)
    except error.Error as problem:
        seen.append(type(problem))
    else:
        seen.append("end")


async def test_iterations_get_the_latest_and_the_error() -> None:
    observation = ClientObservation()
    one: list[Any] = []
    other: list[Any] = []
    tasks = [asyncio.create_task(iterate(observation, seen)) for seen in (one, other)]
    await turn()
    observation.callback(notification(1))
    await turn()
    observation.callback(notification(2))
    observation.callback(notification(3))
    await turn()
    observation.callback(notification(4))
    observation.error(error.ObservationCancelled())
    await asyncio.gather(*tasks)
    assert one == other == [1, 3, 4, error.ObservationCancelled]


async def test_iterations_end_when_it_is_cancelled() -> None:
    observation = ClientObservation()
    seen: list[Any] = []
    task = asyncio.create_task(iterate(observation, seen))
    await turn()
    observation.callback(notification(1))
    observation.cancel()
    await task
    assert seen == ["end"]


async def test_the_error_comes_once() -> None:
    observation = ClientObservation()
    observation.error(error.NotObservable())
    iterator = aiter(observation)
    with pytest.raises(error.NotObservable):
        await anext(iterator)
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_callbacks_and_iterations_share_one_slot() -> None:
    observation = ClientObservation()
    heard = Heard(observation)
    observation.callback(notification(1))
    seen: list[Any] = []
    task = asyncio.create_task(iterate(observation, seen))
    await turn()
    assert seen == [], "a callback had it"
    observation.callback(notification(2))
    await turn()
    observation.cancel()
    await task
    assert seen == [2, "end"]
    assert heard.all == ["fresh", 1, 2, "over", "cancelled"]


async def test_a_waiting_iteration_is_cancelled() -> None:
    observation = ClientObservation()
    task = asyncio.create_task(iterate(observation, []))
    await turn()
    assert "1 waiting" in repr(observation)
    task.cancel()
    await turn()
    assert task.cancelled()
    assert "0 waiting" in repr(observation)


async def test_an_iteration_is_cancelled_in_the_moment_of_a_notification() -> None:
    observation = ClientObservation()
    task = asyncio.create_task(iterate(observation, []))
    await turn()
    task.cancel()
    observation.callback(notification(1))
    with pytest.raises(asyncio.CancelledError):
        await task
    seen: list[Any] = []
    observation.error(error.ObservationCancelled())
    await iterate(observation, seen)
    assert seen == [1, error.ObservationCancelled], "it was not taken"


async def test_iterations_side_by_side() -> None:
    observation = ClientObservation()
    one: list[Any] = []
    other: list[Any] = []
    tasks = [asyncio.create_task(iterate(observation, seen)) for seen in (one, other)]
    await turn()
    assert "2 waiting" in repr(observation)
    observation.callback(notification(1))
    await turn()
    tasks[0].cancel()
    await turn()
    assert "1 waiting" in repr(observation)
    observation.callback(notification(2))
    observation.error(error.NotObservable())
    await tasks[1]
    assert one == [1]
    assert other == [1, 2, error.NotObservable]


async def test_a_second_iteration_goes_on_where_the_first_ended() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    async for _ in observation:
        break
    observation.callback(notification(2))
    async for message in observation:
        assert message.opt.observe == 2
        break

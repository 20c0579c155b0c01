"""One of those whom a registration keeps up to date."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.observer import Observer, Response
from aiocoap.sansio.observation import Freshness

LOG = logging.getLogger("coap-test")


class Registration:
    """Takes down who leaves."""

    def __init__(self) -> None:
        self.left: list[Observer] = []

    def leave(self, observer: Observer) -> None:
        self.left.append(observer)


class Observing:
    """An observer, and what its application has of it."""

    def __init__(self) -> None:
        self.registration = Registration()
        self.request = Message(code=GET, observe=0, etags=[b"a"])
        self.response = Response(loop=asyncio.get_running_loop())
        self.observer = Observer(self.registration, self.request, self.response)
        self.response.delivery = self.observer
        self.observation: Any = self.observer.make_observation(LOG)
        self.seen: list[Message] = []
        self.errors: list[BaseException] = []
        self.observation.register_callback(self.seen.append)
        self.observation.register_errback(self.errors.append)


def content(payload: bytes, request: Message | None = None) -> Message:
    return Message(code=CONTENT, payload=payload).copy(request=request)


async def test_first_a_response_and_then_notifications() -> None:
    it = Observing()
    is_waiting = it.observer.is_waiting
    assert is_waiting
    mine = content(b"one", it.request)
    it.observer.take(mine)
    assert it.response.result() is mine, "no copy where none is needed"
    assert it.response.delivery is None
    somebody_elses = Message(code=GET)
    shared = content(b"two", somebody_elses)
    it.observer.is_behind = True
    it.observer.take(shared)
    (notification,) = it.seen
    assert (notification.payload, notification.request) == (b"two", it.request)
    assert shared.request is somebody_elses
    assert not it.observer.is_behind
    assert not it.observer.is_waiting
    it.observer.become(Freshness.STALE)
    assert it.observation.state == "stale"


async def test_its_etags_are_those_that_were_sent() -> None:
    it = Observing()
    it.request.opt.etags = [b"b"]
    assert it.observer.etags == (b"a",)


async def test_the_end_is_told() -> None:
    it = Observing()
    it.observer.take(content(b"one"))
    problem = error.ObservationCancelled()
    it.observer.end(problem)
    assert it.errors == [problem]
    assert it.registration.left == [it.observer]
    assert not it.observer.is_there
    it.observer.end(problem)
    it.observer.take(content(b"two"))
    it.observer.become(Freshness.FRESH)
    assert it.errors == [problem]
    assert it.seen == []


async def test_a_failure_is_that_of_both() -> None:
    it = Observing()
    problem = error.RequestTimedOut()
    it.observer.fail(problem)
    assert it.response.exception() is problem
    assert it.errors == [problem]
    assert it.response.delivery is None


async def test_cancelling_the_response_cancels_the_observation() -> None:
    it = Observing()
    assert it.response.cancel()
    assert it.observation.cancelled
    assert it.registration.left == [it.observer]
    assert it.errors == []
    assert not it.response.cancel()


async def test_who_waits_for_the_response_alone_is_there() -> None:
    it = Observing()
    it.observation.cancel()
    assert it.registration.left == []
    assert it.observer.is_there
    assert it.response.cancel()
    assert it.registration.left == [it.observer]


async def test_letting_go() -> None:
    it = Observing()
    observation = it.observer.make_observation(LOG)
    it.response.set_result(content(b"one"))
    assert it.observer.observation() is observation
    del observation
    gc.collect()
    assert it.observer.observation() is None
    assert not it.observer.is_there
    assert it.registration.left == []
    await asyncio.sleep(0)
    assert it.registration.left == [it.observer]


async def test_callbacks_hold_the_observation() -> None:
    it = Observing()
    it.observation = None
    gc.collect()
    assert it.observer.observation() is not None
    it.observer.release()
    gc.collect()
    assert it.observer.observation() is None


@pytest.mark.parametrize("how", ["answered", "cancelled", "failed"])
async def test_iterating_over_the_response(how: str) -> None:
    it = Observing()
    responses = it.observer.collect()
    if how == "answered":
        it.observer.take(content(b"one"))
        assert (await anext(responses)).payload == b"one"
    elif how == "failed":
        it.observer.fail(error.RequestTimedOut())
        with pytest.raises(error.RequestTimedOut):
            await anext(responses)
    else:
        it.response.cancel()
    with pytest.raises(StopAsyncIteration):
        await anext(responses)
    responses.cancel()

"""Requests of our own that get several responses: observations and groups."""

from __future__ import annotations

import asyncio
import errno

import pytest

from aiocoap import error, outgoingrequest
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    GET,
    NOT_FOUND,
    POST,
)
from aiocoap.pipe import Phase, Renewal
from tests.unit.token_parts import House, Remote


@pytest.fixture
def house() -> House:
    return House()


def test_a_renewal_keeps_its_token(house: House) -> None:
    first = house.request(observe=0)
    token = first.request.token
    house.stop()
    message = first.request.copy(etags=[b"1"])
    renewal = Renewal(message, house.context.log)
    renewal.on_event(house.take)
    house.manager.request(renewal)
    assert house.below.sent[-1] is message
    assert message.token == token
    assert house.respond(observe=1)
    assert house.events[-1].message is not None
    house.request(Message(code=GET, token=token).remote)
    assert house.below.sent[-1].token != token


def test_notifications_after_the_end_are_refused(house: House) -> None:
    first = house.request(observe=0)
    assert house.respond(observe=1)
    house.stop()
    farewell = Renewal(first.request.copy(observe=1), house.context.log)
    farewell.on_event(house.take)
    house.manager.request(farewell)
    assert not house.respond(observe=2)
    assert farewell.phase is Phase.OPEN
    assert house.respond()
    assert farewell.phase is Phase.ENDED


def test_what_is_no_end_gets_any_response(house: House) -> None:
    pipe = house.request(observe=1)
    assert house.respond(observe=2)
    assert pipe.phase is Phase.ENDED


def test_a_renewal_without_a_token_gets_one(house: House) -> None:
    message = Message(code=GET, observe=0)
    message.remote = Remote("server")
    pipe = Renewal(message, house.context.log)
    pipe.on_event(house.take)
    house.manager.request(pipe)
    assert message.token


def test_notifications_can_be_waited_for_without_asking(house: House) -> None:
    first = house.request(observe=0)
    assert house.respond(observe=1)
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert first.phase is Phase.ENDED
    assert not house.respond(observe=2), "to be answered by a Reset"
    listener = Renewal(first.request.copy(), house.context.log)
    listener.request.token = first.request.token
    listener.on_event(house.take)
    house.manager.listen(listener)
    assert len(house.below.sent) == 1
    house.loop.advance(10_000)
    assert house.respond(observe=3)
    assert house.events[-1].message is not None
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert isinstance(house.events[-1].exception, error.NetworkError)
    assert not len(house.manager.outgoing_requests)


def test_after_the_shutdown_nothing_is_waited_for(house: House) -> None:
    asyncio.run(house.manager.shutdown())
    listener = Renewal(Message(code=GET, observe=0, token=b"t"), house.context.log)
    listener.on_event(house.take)
    house.manager.listen(listener)
    assert isinstance(house.outcome(), error.LibraryShutdown)


# Observations and groups from the client's side


def test_an_observation_stays_open(house: House) -> None:
    house.request(observe=0)
    (request,) = house.below.sent
    assert house.respond(observe=5)
    assert house.below.stopped == [request]
    assert house.respond(observe=6)
    assert house.below.stopped == [request]
    house.loop.advance(1000)
    assert house.respond(code=NOT_FOUND)
    assert [event.is_last for event in house.events] == [False, False, True]
    assert not house.respond(observe=7), "to be answered by a Reset"


def test_an_observation_that_is_not_accepted(house: House) -> None:
    house.request(observe=0)
    house.respond()
    assert [event.is_last for event in house.events] == [True]


@pytest.mark.parametrize("observe", [None, 1])
def test_who_does_not_observe_gets_one_response(house: House, observe: int | None) -> None:
    house.request(observe=observe)
    house.respond(observe=5)
    assert [event.is_last for event in house.events] == [True]


def test_an_observation_that_nobody_wants_any_more(house: House) -> None:
    house.request(observe=0)
    house.respond(observe=5)
    house.stop()
    assert not house.respond(observe=6)


def test_all_members_of_a_group_may_answer(house: House) -> None:
    house.request(Remote("group", group=True))
    for member in ("one", "other"):
        assert house.respond(remote=member)
    house.loop.advance(9.9)
    assert house.respond(remote="late")
    assert [event.is_last for event in house.events] == [False] * 3
    house.stop()
    assert not house.respond(remote="later")
    assert house.loop.pending() == [1010], "one timer for all is not set back"


def test_etags_are_not_for_groups(house: House) -> None:
    message = house.request(Remote("group", group=True), etags=[b"known"]).request
    (sent,) = house.below.sent
    assert sent is message
    assert sent.opt.etags == ()
    assert house.respond(remote="one")
    # Whoever replaces something may well name what.
    house.request(Remote("group", group=True), code=POST, etags=[b"known"])
    house.request(etags=[b"known"])
    assert [one.opt.etags for one in house.below.sent[1:]] == [(b"known",)] * 2


def test_members_of_a_group_have_their_time(house: House) -> None:
    house.request(Remote("group", group=True))
    assert house.respond(remote="one")
    house.loop.advance(10.1)
    assert not house.respond(remote="late")
    response, end = house.events
    assert response.message is not None
    assert isinstance(end.exception, error.RequestTimedOut)
    assert end.is_last
    assert len(house.manager.outgoing_requests) == 0
    assert house.loop.pending() == []


def test_a_member_of_a_group_answers_once(house: House) -> None:
    house.request(Remote("group", group=True))
    assert house.respond(remote="one")
    assert not house.respond(remote="one"), "to be rejected"
    assert house.respond(remote="other")
    assert len(house.events) == 2


def test_there_may_be_too_many_members(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoingrequest, "MAX_RESPONDERS", 2)
    house.request(Remote("group", group=True))
    assert [house.respond(remote=name) for name in "abcd"] == [True, True, False, False]


def test_the_first_member_of_a_group_is_observed(house: House) -> None:
    house.request(Remote("group", group=True), observe=0)
    assert house.respond(remote="one", observe=1)
    assert house.respond(remote="other", observe=1)
    assert house.respond(remote="one", observe=2)
    assert not house.respond(remote="other", observe=2), "to be answered by a Reset"
    house.loop.advance(10.1)
    assert house.events[-1] == (None, None, False)
    assert not house.respond(remote="late", observe=1), "to be answered by a Reset"
    house.loop.advance(1000)
    assert house.respond(remote="one", observe=3)
    assert house.loop.pending() == []
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("one"))
    assert isinstance(house.events[-1].exception, error.NetworkError)
    assert [event.is_last for event in house.events] == [*[False] * 5, True]


def test_the_observation_of_a_member_ends(house: House) -> None:
    house.request(Remote("group", group=True), observe=0)
    assert house.respond(remote="one", observe=1)
    house.loop.advance(10.1)
    assert house.respond(remote="one", code=NOT_FOUND)
    assert house.events[-1].is_last
    assert len(house.manager.outgoing_requests) == 0


def test_nobody_of_a_group_can_be_observed(house: House) -> None:
    house.request(Remote("group", group=True), observe=0)
    house.loop.advance(10.1)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_a_single_member_does_not_fail_a_group(house: House) -> None:
    house.request(Remote("group", group=True))
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("one"))
    assert house.events == []


def test_nothing_can_be_sent_to_a_group(house: House) -> None:
    house.request(Remote("other", group=True))
    house.request()
    house.request(Remote("group", group=True))
    house.manager.dispatch_error(errno.ENETUNREACH, Remote("group", group=True))
    assert isinstance(house.outcome(), error.NetworkError)
    assert len(house.manager.outgoing_requests) == 2

"""The meeting point of a request and its responses."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from aiocoap.error import NetworkError
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.pipe import Phase, Pipe, PlumbingRequest

RESPONSE = Message(code=CONTENT)


class Party:
    """Somebody with callbacks that notes what it is told."""

    def __init__(self, wants_more: Any = True) -> None:
        self.events: list[Any] = []
        self.ends = 0
        self.wants_more = wants_more

    def on_event(self, event: Any) -> Any:
        self.events.append(event)
        return self.wants_more

    def on_end(self) -> None:
        self.ends += 1


@pytest.fixture
def pipe() -> Pipe:
    return Pipe(Message(code=GET), logging.getLogger("test"))


@pytest.fixture
def client() -> Party:
    return Party()


@pytest.fixture
def server() -> Party:
    return Party()


def test_one_response(pipe: Pipe, client: Party, server: Party) -> None:
    pipe.on_event(client.on_event)
    assert pipe.phase is Phase.PREPARING
    pipe.on_interest_end(server.on_end)
    assert pipe.phase is Phase.OPEN
    pipe.add_response(RESPONSE, is_last=True)
    assert client.events == [(RESPONSE, None, True)]
    assert server.ends == 1
    assert pipe.phase is Phase.ENDED


def test_several_responses(pipe: Pipe, client: Party, server: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    pipe.add_response(RESPONSE)
    pipe.add_response(RESPONSE)
    assert server.ends == 0
    pipe.add_response(RESPONSE, is_last=True)
    assert [event.is_last for event in client.events] == [False, False, True]
    assert server.ends == 1


def test_an_exception_is_the_last_event(pipe: Pipe, client: Party, server: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    problem = NetworkError("no")
    pipe.add_exception(problem)
    pipe.add_response(RESPONSE)
    assert client.events == [(None, problem, True)]
    assert server.ends == 1


def test_a_response_before_anybody_listens_for_the_end(
    pipe: Pipe, client: Party, server: Party
) -> None:
    pipe.on_event(client.on_event)
    pipe.add_response(RESPONSE)
    assert pipe.phase is Phase.OPEN
    pipe.add_response(RESPONSE, is_last=True)
    pipe.on_interest_end(server.on_end)
    assert len(client.events) == 2
    assert server.ends == 1


def test_nobody_is_interested_from_the_beginning(pipe: Pipe, server: Party) -> None:
    pipe.on_interest_end(server.on_end)
    assert server.ends == 1
    pipe.on_interest_end(server.on_end)
    assert server.ends == 2


@pytest.mark.parametrize("answer", [False, None])
def test_interest_ends_with_an_answer(
    pipe: Pipe, client: Party, server: Party, answer: bool | None
) -> None:
    client.wants_more = answer
    pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    pipe.add_response(RESPONSE)
    assert server.ends == 1
    pipe.add_response(RESPONSE, is_last=True)
    assert len(client.events) == 1


def test_unregistering(pipe: Pipe, client: Party, server: Party) -> None:
    unregister = pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    unregister()
    assert server.ends == 1
    unregister()
    assert server.ends == 1
    pipe.add_response(RESPONSE, is_last=True)
    assert client.events == []


def test_unregistering_while_preparing_ends_nothing(pipe: Pipe, client: Party) -> None:
    pipe.on_event(client.on_event)()
    assert pipe.phase is Phase.PREPARING
    pipe.on_event(client.on_event)


def test_the_last_interest_counts(pipe: Pipe, client: Party, server: Party) -> None:
    other = Party(wants_more=False)
    pipe.on_event(client.on_event)
    pipe.on_event(other.on_event)
    pipe.on_interest_end(server.on_end)
    pipe.add_response(RESPONSE)
    assert server.ends == 0
    pipe.add_response(RESPONSE, is_last=True)
    assert (len(client.events), len(other.events), server.ends) == (2, 1, 1)


def test_interest_is_declared_before(pipe: Pipe, client: Party, server: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    with pytest.raises(RuntimeError, match="declared before"):
        pipe.on_event(client.on_event)


def test_onlookers_do_not_count(pipe: Pipe, client: Party, server: Party) -> None:
    onlooker = Party()
    unregister = pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    pipe.on_event(onlooker.on_event, is_interest=False)
    pipe.add_response(RESPONSE)
    unregister()
    assert onlooker.events == [(RESPONSE, None, False), (None, None, True)]
    assert server.ends == 1


def test_onlookers_see_the_last_event_as_it_is(pipe: Pipe, client: Party) -> None:
    onlooker = Party()
    pipe.on_event(client.on_event)
    pipe.on_event(onlooker.on_event, is_interest=False)
    pipe.add_response(RESPONSE, is_last=True)
    assert onlooker.events == [(RESPONSE, None, True)]


def test_onlookers_alone_are_told_at_once(pipe: Pipe, server: Party) -> None:
    onlooker = Party()
    pipe.on_event(onlooker.on_event, is_interest=False)
    pipe.on_interest_end(server.on_end)
    assert onlooker.events == [(None, None, True)]
    assert server.ends == 1


def test_several_who_wait_for_the_end(pipe: Pipe, client: Party, server: Party) -> None:
    other = Party()
    pipe.on_event(client.on_event)
    pipe.on_interest_end(server.on_end)
    pipe.on_interest_end(other.on_end)
    pipe.add_exception(NetworkError())
    assert (server.ends, other.ends) == (1, 1)


def test_ending_without_anybody_who_waits_for_it(pipe: Pipe, client: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.add_response(RESPONSE, is_last=True)
    assert pipe.phase is Phase.ENDED


def test_an_end_that_asks_for_the_end(pipe: Pipe, client: Party, server: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.on_interest_end(lambda: pipe.on_interest_end(server.on_end))
    pipe.add_response(RESPONSE, is_last=True)
    assert server.ends == 1


def test_a_group_that_has_had_its_time(pipe: Pipe, client: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.close_group()
    assert client.events == [(None, None, False)]
    assert pipe.phase is Phase.OPEN


def test_poking_somebody_who_can_not_be_asked(pipe: Pipe, client: Party) -> None:
    pipe.on_event(client.on_event)
    pipe.poke()
    assert client.events == []


def test_names_and_looks(pipe: Pipe) -> None:
    assert PlumbingRequest is Pipe
    assert Pipe.Event._fields == ("message", "exception", "is_last")
    assert repr(pipe).startswith("<Pipe PREPARING, 0 callback(s), request <aiocoap.Message at ")

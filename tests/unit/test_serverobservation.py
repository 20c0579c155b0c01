"""Observers of resources: notifications, and what begins and ends them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    EMPTY,
    FETCH,
    FORBIDDEN,
    GET,
    INTERNAL_SERVER_ERROR,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    POST,
    PUT,
    VALID,
    Code,
)
from aiocoap.resource import Site
from aiocoap.responder import MAX_NOTIFICATIONS
from tests.harness import Address
from tests.unit.responder_parts import LARGE, Asked, House, State, only, says

# Observations


def test_an_observation() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        assert state.counts == [1]
        assert not asked.is_over
        house.call(state.set, b"1")
        house.call(state.set, b"2")
        assert [one.payload for one in asked.got] == [b"0", b"1", b"2"]
        numbers = [one.opt.observe for one in asked.got]
        assert numbers == sorted(set(numbers))
        assert house.tasks == []
        house.call(asked.end)
        assert state.counts == [1, 0]
        house.call(state.set, b"3")
        assert len(asked.got) == 3
        assert state.rendered == 3


@pytest.mark.parametrize(
    ("code", "observe"), [(GET, None), (GET, 1), (GET, 2), (PUT, 0), (POST, 0)]
)
def test_what_is_no_observation(code: Code, observe: int | None) -> None:
    state = State()
    with House(state) as house:
        response = house.ask(code, observe=observe).response
        assert response.opt.observe is None
        assert state.counts == []


def test_a_fetch_can_be_observed() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(FETCH, payload=b"query", observe=0)
        house.call(state.set, b"1")
        assert [one.payload for one in asked.got] == [b"0", b"1"]


def test_a_resource_that_can_not_be_observed() -> None:
    with House(says(Message(code=CONTENT))) as house:
        assert house.ask(observe=0).response.opt.observe is None


def test_a_resource_that_does_not_want_to_be_observed() -> None:
    class Busy(State):
        observation: Any

        async def add_observation(self, request: Message, serverobservation: Any) -> None:
            self.observation = serverobservation

    busy = Busy()
    with House(busy) as house:
        asked = house.ask(observe=0)
        assert asked.response.opt.observe is None
        house.call(busy.observation.trigger)
        house.call(busy.observation.deregister)
        assert len(asked.got) == 1
        # Too late: it is over at once.
        ended: list[int] = []
        house.call(busy.observation.accept, lambda: ended.append(1))
        assert ended == [1]


def test_a_resource_that_fails_to_be_observed(caplog: pytest.LogCaptureFixture) -> None:
    ended = []

    class Broken(State):
        async def add_observation(self, request: Message, serverobservation: Any) -> None:
            serverobservation.accept(lambda: ended.append(1))
            raise ZeroDivisionError

    with House(Broken()) as house:
        assert house.ask(observe=0).response.code == INTERNAL_SERVER_ERROR
        assert ended == [1]
    assert len(caplog.records) == 1


def test_an_observation_is_accepted_once() -> None:
    class Eager(State):
        async def add_observation(self, request: Message, serverobservation: Any) -> None:
            serverobservation.accept(lambda: None)
            with pytest.raises(RuntimeError, match="accepted before"):
                serverobservation.accept(lambda: None)

    with House(Eager()) as house:
        assert house.ask(observe=0).latest.opt.observe is not None


def test_a_callback_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(State):
        async def add_observation(self, request: Message, serverobservation: Any) -> None:
            serverobservation.accept(self._fail)

        def _fail(self) -> None:
            raise ZeroDivisionError

    with House(Careless()) as house:
        asked = house.ask(observe=0)
        heard: list[int] = []
        house.call(asked.pipe.on_interest_end, lambda: heard.append(1))
        house.call(asked.end)
        assert heard == [1]
    assert len(caplog.records) == 1
    assert "_fail" in caplog.text


def test_states_are_skipped() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)

        def storm() -> None:
            for n in range(100):
                state.set(str(n).encode())

        house.call(storm)
        assert [one.payload for one in asked.got] == [b"0", b"99"]
        assert state.rendered == 2


def test_states_that_change_while_they_are_rendered() -> None:
    state = State()
    with House(state) as house:
        state.delay = 1
        asked = house.ask(observe=0)
        house.clock.advance(0.5)
        house.call(state.set, b"1")
        house.call(state.set, b"2")
        house.clock.advance(0.6)
        assert len(asked.got) == 1
        house.clock.advance(1)
        assert asked.latest.payload == b"2"
        assert state.rendered == 2
        house.call(state.set, b"3")
        house.clock.advance(0.5)
        house.call(state.set, b"4")
        house.clock.advance(2)
        assert asked.latest.payload == b"4"
        assert state.rendered == 4
        assert house.tasks == []


def test_a_resource_that_changes_whenever_it_is_looked_at() -> None:
    class Nervous(State):
        async def render_get(self, request: Message) -> Message:
            self.rendered += 1
            if self.rendered < 1000:
                self.updated_state()
            return Message(payload=str(self.rendered).encode())

    nervous = Nervous()
    with House(nervous) as house:
        asked = house.begin(observe=0)
        turns: list[int] = []

        def turn() -> None:
            turns.append(nervous.rendered)
            if len(turns) < 500:
                house.clock.loop.call_soon(turn)

        house.clock.loop.call_soon(turn)
        house.clock.settle()
        assert asked.latest.payload == b"1000"
        assert max(b - a for a, b in itertools.pairwise(turns)) < 10, "others have turns"


def test_one_observer_alone_is_notified() -> None:
    state = State()
    with House(state) as house:
        first, second = house.ask(observe=0, peer="a"), house.ask(observe=0, peer="b")
        for observation, request in state.observations.items():
            if request.remote == Address("b", "server"):
                house.call(observation.trigger)
        assert (len(first.got), len(second.got)) == (1, 2)


def test_responses_are_given() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        kept = Message(code=CONTENT, payload=b"given")
        house.call(only(state).trigger, kept)
        house.call(only(state).trigger, kept)
        house.call(only(state).trigger, Message(payload=b"without a code"))
        house.call(state.updated_state, Message(payload=b"to all"))
        assert [one.payload for one in asked.got[1:]] == [
            *(b"given", b"given", b"without a code", b"to all")
        ]
        assert all(one.code == CONTENT for one in asked.got)
        assert state.rendered == 1
        assert kept.opt.observe is None


def test_the_same_response_is_given_to_many() -> None:
    state = State()
    with House(state) as house:
        asked = [house.ask(observe=0, peer=str(n)) for n in range(3)]
        plain = house.ask(peer="plain")
        for kept in (Message(code=CONTENT, payload=b"x"), Message(code=NOT_FOUND, payload=b"x")):

            def all_of_them(kept: Message = kept) -> None:
                for observation in state.observations:
                    observation.trigger(kept)

            house.call(all_of_them)
            assert [one.latest.payload for one in asked] == [b"x"] * 3
            assert len({id(one.latest) for one in asked}) == 3
        assert plain.response.payload == b"0"


@pytest.mark.parametrize("way", ["deregister", "is_last", "given"])
def test_the_resource_ends_an_observation(way: str) -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        observation = only(state)
        if way == "deregister":
            house.call(observation.deregister, "enough")
        elif way == "is_last":
            house.call(lambda: observation.trigger(is_last=True))
        else:
            house.call(lambda: observation.trigger(Message(code=VALID), is_last=True))
        assert asked.is_over
        assert len(asked.got) == 2
        assert asked.latest.opt.observe is None
        assert asked.latest.code == (VALID if way == "given" else CONTENT)
        assert state.counts == [1, 0]
        house.call(observation.trigger)
        house.call(observation.deregister)
        assert len(asked.got) == 2


def test_an_observation_that_ends_before_the_first_response() -> None:
    class Once(State):
        async def add_observation(self, request: Message, serverobservation: Any) -> None:
            await super().add_observation(request, serverobservation)
            serverobservation.deregister()

    once = Once()
    with House(once) as house:
        assert house.ask(observe=0).response.opt.observe is None
        assert once.counts == [1, 0]


@pytest.mark.parametrize("way", ["returned", "raised", "failed", "given", "cancelled"])
def test_what_is_unsuccessful_ends_an_observation(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        code = NOT_FOUND
        if way == "given":
            house.call(only(state).trigger, Message(code=NOT_FOUND))
        else:
            if way == "returned":
                state.code = NOT_FOUND
            elif way == "raised":
                state.problem = error.NotFound()
            else:
                code = INTERNAL_SERVER_ERROR
                cancelled = way == "cancelled"
                state.problem = asyncio.CancelledError() if cancelled else ValueError("secret")
            house.call(state.updated_state)
        assert asked.is_over
        assert asked.latest.code == code
        assert asked.latest.opt.observe is None
        assert state.counts == [1, 0]
        assert house.tasks == []
    assert len(caplog.records) == (code == INTERNAL_SERVER_ERROR)


def test_what_ends_an_observation_is_not_overtaken() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        observation = only(state)

        def both() -> None:
            observation.trigger(Message(code=NOT_FOUND, payload=b"gone"))
            observation.trigger(Message(code=CONTENT))
            observation.deregister()

        house.call(both)
        assert asked.is_over
        assert asked.latest.payload == b"gone"


def test_an_unsuccessful_first_response() -> None:
    state = State()
    state.code = FORBIDDEN
    with House(state) as house:
        response = house.ask(observe=0).response
        assert response.code == FORBIDDEN
        assert response.opt.observe is None
        assert state.counts == [1, 0]


def test_an_observer_that_leaves_while_a_notification_is_rendered() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        state.delay = 5
        house.call(state.updated_state)
        assert len(house.tasks) == 1
        house.call(asked.end)
        assert house.tasks == []
        assert state.counts == [1, 0]
        house.clock.advance(10)
        assert len(asked.got) == 1


def test_an_observer_that_leaves_before_the_first_response() -> None:
    state = State()
    state.delay = 5
    with House(state) as house:
        asked = house.ask(observe=0)
        house.call(asked.end)
        assert state.counts == [1, 0]
        assert house.tasks == []


def test_an_observer_that_left_before_it_began() -> None:
    state = State()
    with House(state) as house:
        asked = house.begin(observe=0)
        asked.pipe.on_interest_end(lambda: None)
        house.clock.loop.call_soon(asked.end)
        house.clock.settle()
        assert state.observations == {}
        assert state.counts[-1] == 0
        assert asked.got == []


def test_an_observation_without_a_first_response_does_not_begin() -> None:
    """The client could not know of it, and would never end it."""
    state = State()
    with House(state) as house:
        assert house.ask(observe=0, no_response=2).response.code == EMPTY
        assert state.observations == {}
        asked = house.ask(observe=0, no_response=8)
        assert asked.latest.code == CONTENT
        state.code = NOT_FOUND
        house.call(state.updated_state)
        assert asked.latest.code == EMPTY
        assert asked.is_over


def test_a_notification_that_is_not_to_be_sent() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        house.call(only(state).trigger, Message(code=CONTENT, no_response=2))
        assert asked.latest.code == EMPTY
        assert not asked.is_over
        house.call(state.set, b"1")
        assert asked.latest.payload == b"1"
        assert asked.latest.opt.observe is not None


def test_large_notifications() -> None:
    state = State(LARGE)
    with House(state) as house:
        asked = house.ask(observe=0)
        house.call(state.set, LARGE[::-1])
        for one, body in zip(asked.got, (LARGE, LARGE[::-1]), strict=True):
            assert one.payload == body[:1024]
            assert one.opt.block2 == (0, True, 6)
            assert one.opt.observe is not None
        assert asked.got[0].opt.etag != asked.got[1].opt.etag
        rest = house.ask(block2=(1, False, 6)).response
        assert rest.payload == LARGE[::-1][1024:2048]
        assert rest.opt.observe is None
        assert rest.opt.etag == asked.latest.opt.etag


def test_observers_choose_their_block_size() -> None:
    """RFC 7959 section 2.6: it holds for all notifications."""
    state = State(LARGE[:100])
    with House(state) as house:
        asked = house.ask(observe=0, block2=(0, False, 2))
        house.call(state.set, LARGE[100:200])
        house.call(state.set, b"small")
        assert [one.opt.block2 for one in asked.got] == [(0, True, 2), (0, True, 2), None]
        assert [len(one.payload) for one in asked.got] == [64, 64, 5]
        assert [one.opt.observe is None for one in asked.got] == [False] * 3


def test_single_blocks_can_not_be_observed() -> None:
    state = State(LARGE)
    with House(state) as house:
        response = house.ask(observe=0, block2=(1, False, 6)).response
        assert response.payload == LARGE[1024:2048]
        assert response.opt.observe is None
        assert state.counts == []


def test_the_first_notification_is_the_response_to_the_last_block() -> None:
    state = State()
    with House(state) as house:
        house.ask(FETCH, payload=bytes(64), block1=(0, True, 2))
        asked = house.ask(FETCH, payload=b"x", block1=(1, False, 2), observe=0)
        assert asked.got[0].opt.block1 == (1, False, 2)
        house.call(state.set, b"1")
        house.call(state.set, LARGE)
        house.call(lambda: setattr(state, "problem", error.NotFound()))
        house.call(state.updated_state)
        assert [one.opt.block1 for one in asked.got[1:]] == [None] * 3
        assert asked.is_over


def test_an_observed_resource_that_handles_blocks_itself() -> None:
    class Own(State):
        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return False

    own = Own(LARGE)
    with House(own) as house:
        assert house.ask(observe=0, block2=(0, False, 2)).latest.payload == LARGE


# An equal registration of the same observer (RFC 7641 section 4.1)


def again(asked: Asked, **kwargs: Any) -> Message:
    """Return the same request once more, with other options."""
    return asked.pipe.request.copy(**kwargs)


def test_an_equal_registration_goes_on_with_the_observation() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        observation: Any = only(state)
        renewed = again(asked, etags=[b"known"])
        assert observation.renew(renewed)
        assert observation.request.opt.etags == (b"known",)
        house.call(observation.trigger)
        assert state.counts == [1]
        assert len(asked.got) == 2


def test_an_equal_registration_with_blocks() -> None:
    state = State(LARGE[:100])
    with House(state) as house:
        asked = house.ask(observe=0, block2=(0, False, 2))
        observation: Any = only(state)
        assert observation.renew(again(asked))
        house.call(observation.trigger)
        assert asked.latest.opt.block2 == (0, True, 2)
        rest = house.ask(block2=(1, False, 2)).response
        assert rest.payload == LARGE[64:100]


def test_another_format_is_no_reason_not_to_go_on() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        observation: Any = only(state)
        assert observation.renew(again(asked))
        house.call(observation.trigger, Message(code=CONTENT, content_format=50))
        assert asked.latest.opt.content_format == 50
        assert not asked.is_over


@pytest.mark.parametrize("options", [{"uri_query": ["other"]}, {"accept": 50}])
def test_another_request_does_not_go_on_with_it(options: dict[str, Any]) -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        observation: Any = only(state)
        assert not observation.renew(again(asked, **options))
        assert observation.request.opt.uri_query == ()


def test_another_resource_does_not_go_on_with_it() -> None:
    state, site = State(), Site()
    site.add_resource(["one"], state)
    site.add_resource(["other"], State())
    with House(site) as house:
        asked = house.ask(GET, "one", observe=0)
        observation: Any = only(state)
        assert not observation.renew(again(asked, uri_path=["other"]))
        assert not observation.renew(again(asked, uri_path=["nothing"]))
        house.context.serversite = None
        assert not observation.renew(again(asked))


def test_the_same_resource_by_another_path_does_not_go_on_with_it() -> None:
    state, site = State(), Site()
    for name in ("one", "other"):
        site.add_resource([name], state)
    with House(site) as house:
        asked = house.ask(GET, "one", observe=0)
        observation: Any = only(state)
        assert not observation.renew(again(asked, uri_path=["other"]))


def test_what_is_over_does_not_go_on() -> None:
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        observation: Any = only(state)
        house.call(asked.end)
        assert not observation.renew(again(asked))


# Many observers


def test_many_notifications_let_others_have_a_turn() -> None:
    state = State()
    with House(state) as house:
        observers = [house.ask(observe=0, peer=str(n)) for n in range(MAX_NOTIFICATIONS + 5)]
        counts: list[int] = []

        def look() -> None:
            counts.append(sum(len(asked.got) == 2 for asked in observers))
            if len(counts) < 10:
                house.clock.loop.call_soon(look)

        house.clock.loop.call_soon(state.set, b"1")
        house.clock.loop.call_soon(look)
        house.clock.settle()
        assert counts[0] < MAX_NOTIFICATIONS
        assert MAX_NOTIFICATIONS in counts, "then comes everything else"
        assert all(asked.latest.payload == b"1" for asked in observers)


def test_a_notification_that_becomes_pointless_while_it_is_rendered() -> None:
    class Leaving(State):
        async def render_get(self, request: Message) -> Message:
            if self.rendered:
                # The observer is gone before there is anything to wait for.
                asked.end()
            response = await super().render_get(request)
            await asyncio.sleep(0)
            left.append(False)
            return response

    state, left = Leaving(), []
    with House(state) as house:
        asked = house.ask(observe=0)
        house.call(state.set, b"1")
        assert len(asked.got) == 1
        assert left == [False], "the second was cancelled"
        assert house.tasks == []


def test_a_notification_during_which_the_context_is_closed() -> None:
    class Closing(State):
        async def render_get(self, request: Message) -> Message:
            response = await super().render_get(request)
            if self.rendered > 1:
                await house.context.shutdown()
                left.append(True)
            return response

    state, left = Closing(), []
    with House(state) as house:
        house.ask(observe=0)
        house.call(state.set, b"1")
        assert left == [True], "who closes the context goes on"
        assert house.tasks == []


def test_a_representation_in_another_format_is_the_end() -> None:
    """RFC 7641 section 4.2."""
    state = State()
    with House(state) as house:
        asked = house.ask(observe=0)
        house.call(only(state).trigger, Message(code=CONTENT, payload=b"of the same"))
        assert not asked.is_over
        house.call(only(state).trigger, Message(code=CONTENT, content_format=50))
        assert asked.is_over
        assert asked.latest.code == NOT_ACCEPTABLE
        assert asked.latest.opt.observe is None
        assert state.counts == [1, 0]

"""From pipes to applications: groups and observations."""

from __future__ import annotations

import asyncio
import gc

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    GET,
    NOT_FOUND,
    Code,
)
from aiocoap.pipe import Phase
from tests.unit.request_parts import (
    Network,
    Observed,
    Remote,
    group,
    payloads,
    respond,
    time_is_over,
)

pytestmark = pytest.mark.usefixtures("no_noise")

# Groups


async def test_the_first_of_a_group_answers() -> None:
    network = Network()
    network.remote = Remote("group")
    request = network.ask()
    pipe = await network.next()
    response = respond(pipe, remote="one", is_last=False)
    assert pipe.phase is Phase.ENDED
    assert await request.response is response
    assert response.remote == Remote("one")


async def test_the_first_of_a_group_is_observed() -> None:
    network = Network()
    network.remote = Remote("group")
    request = network.ask(observe=0)
    pipe = await network.next()
    assert request.observation is not None
    seen: list[Message] = []
    request.observation.register_callback(seen.append)
    first = respond(pipe, remote="one", observe=1)
    respond(pipe, remote="other", observe=2)
    second = respond(pipe, remote="one", observe=3)
    assert await request.response is first
    assert seen == [second]


async def test_all_members_of_a_group_answer() -> None:
    network, request = group()
    responses = request.responses
    assert request.responses is responses
    pipe = await network.next()
    for name in ("one", "other", "third"):
        respond(pipe, remote=name, payload=name.encode(), is_last=False)
        assert pipe.phase is Phase.OPEN
    first = await request.response
    assert first.payload == b"one"
    assert (await anext(responses)) is first
    rest = asyncio.create_task(payloads(request))
    await asyncio.sleep(0)
    respond(pipe, remote="late", is_last=False)
    await asyncio.sleep(0)
    assert not rest.done()
    time_is_over(pipe)
    assert await rest == [("other", b"other"), ("third", b"third"), ("late", b"")]
    assert responses.failures == {}
    assert network.is_idle


async def test_each_response_is_to_the_request() -> None:
    message = Message(code=GET)
    network = Network()
    network.remote = Remote("group")
    request = network.ask(message)
    responses = request.responses
    respond(await network.next(), remote="one", is_last=False)
    assert (await anext(responses)).request is message
    responses.cancel()


async def test_a_member_answers_once() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    for payload in (b"first", b"second"):
        respond(pipe, remote="one", payload=payload, is_last=False)
    time_is_over(pipe)
    assert [response.payload async for response in responses] == [b"first"]


async def test_nobody_in_a_group_answers() -> None:
    network, request = group()
    responses = request.responses
    time_is_over(await network.next())
    assert [response async for response in responses] == []
    with pytest.raises(error.RequestTimedOut):
        await request.response


async def test_who_iterates_need_not_look_at_the_response() -> None:
    network, request = group()
    responses = request.responses
    time_is_over(await network.next())
    assert [response async for response in responses] == []
    # That nothing is logged of the future is seen to by no_noise.


@pytest.mark.parametrize("is_answered", [False, True])
async def test_iterations_see_what_goes_wrong(is_answered: bool) -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    if is_answered:
        respond(pipe, remote="one", is_last=False)
    pipe.add_exception(error.LibraryShutdown())
    if is_answered:
        assert await anext(responses) is request.response.result()
    with pytest.raises(error.LibraryShutdown):
        await anext(responses)
    assert [response async for response in responses] == []


async def test_a_last_response_ends_it() -> None:
    # The token floor knows of none, but others may stand between.
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    respond(pipe, remote="one", is_last=False)
    respond(pipe, remote="other", is_last=True)
    assert len([response async for response in responses]) == 2
    assert network.is_idle


async def test_letting_go_of_the_responses_ends_the_request() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    respond(pipe, remote="one", is_last=False)
    assert await anext(responses) is request.response.result()
    del responses
    gc.collect()
    await asyncio.sleep(0)
    assert pipe.phase is Phase.OPEN
    del request
    gc.collect()
    await asyncio.sleep(0)
    assert pipe.phase is Phase.ENDED


async def test_a_loop_that_is_left_ends_the_request() -> None:
    network = Network()
    network.remote = Remote("group")

    async def first() -> Message:
        async for response in network.ask().responses:
            return response
        raise AssertionError

    task = asyncio.create_task(first())
    pipe = await network.next()
    response = respond(pipe, remote="one", is_last=False)
    assert await task is response
    gc.collect()
    await asyncio.sleep(0)
    assert pipe.phase is Phase.ENDED


async def test_the_first_response_is_waited_for_all_the_same() -> None:
    network, request = group()
    request.responses.cancel()
    pipe = await network.next()
    assert pipe.phase is Phase.OPEN
    respond(pipe, remote="one", is_last=False)
    assert (await request.response).remote == Remote("one")
    assert pipe.phase is Phase.ENDED


async def test_cancelling_the_responses_ends_the_request() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    respond(pipe, remote="one", is_last=False)
    responses.cancel()
    assert pipe.phase is Phase.ENDED
    assert [response async for response in responses] == []
    assert (await request.response).remote == Remote("one")


async def test_cancelling_the_response_ends_iterations() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    request.response.cancel()
    assert pipe.phase is Phase.ENDED
    assert [response async for response in responses] == []


# Observing groups


async def test_each_member_answers_and_one_is_observed() -> None:
    network, request = group(observe=0)
    assert request.observation is not None
    responses = request.responses
    seen: list[Message] = []
    request.observation.register_callback(seen.append)
    pipe = await network.next()
    first = respond(pipe, remote="one", observe=1)
    other = respond(pipe, remote="other", observe=8)
    respond(pipe, remote="one", observe=1)
    second = respond(pipe, remote="one", observe=2)
    respond(pipe, remote="other", observe=9)
    assert seen == [second]
    pipe.close_group()
    assert [response async for response in responses] == [first, other]
    third = respond(pipe, remote="one", observe=3)
    assert seen == [second, third]
    assert await request.response is first
    request.observation.cancel()
    assert pipe.phase is Phase.ENDED


async def test_an_observation_goes_on_when_the_group_is_closed() -> None:
    network, request = group(observe=0)
    assert request.observation is not None
    seen: list[Message] = []
    request.observation.register_callback(seen.append)
    pipe = await network.next()
    respond(pipe, remote="one", observe=1)
    pipe.close_group()
    second = respond(pipe, remote="one", observe=2)
    assert seen == [second]


async def test_the_first_member_can_not_be_observed() -> None:
    network, request = group(observe=0)
    responses = request.responses
    observed = Observed(request)
    pipe = await network.next()
    first = respond(pipe, remote="one", is_last=False)
    other = respond(pipe, remote="other", observe=1)
    assert list(map(type, observed.errors)) == [error.NotObservable]
    pipe.close_group()
    assert [response async for response in responses] == [first, other]
    assert pipe.phase is Phase.ENDED
    assert network.is_idle


async def test_nobody_looks_at_the_observation() -> None:
    network, request = group(observe=0)
    responses = request.responses
    request.observation = None
    gc.collect()
    pipe = await network.next()
    respond(pipe, remote="one", is_last=False)
    respond(pipe, remote="other", is_last=False)
    time_is_over(pipe)
    assert len([response async for response in responses]) == 2
    assert network.is_idle


async def test_the_observation_goes_on_without_the_responses() -> None:
    network, request = group(observe=0)
    responses = request.responses
    observed = Observed(request)
    pipe = await network.next()
    respond(pipe, remote="one", observe=1)
    responses.cancel()
    second = respond(pipe, remote="one", observe=2)
    assert observed.responses == [second]
    assert pipe.phase is Phase.OPEN


async def test_the_responses_go_on_without_the_observation() -> None:
    network, request = group(observe=0)
    responses = request.responses
    assert request.observation is not None
    pipe = await network.next()
    respond(pipe, remote="one", observe=1)
    request.observation.cancel()
    respond(pipe, remote="other", observe=1)
    respond(pipe, remote="one", observe=2)
    pipe.close_group()
    assert len([response async for response in responses]) == 2
    assert pipe.phase is Phase.ENDED


async def test_nobody_can_be_observed() -> None:
    network, request = group(observe=0)
    responses = request.responses
    observed = Observed(request)
    time_is_over(await network.next())
    assert [response async for response in responses] == []
    assert list(map(type, observed.errors)) == [error.RequestTimedOut]


# Observations


async def test_notifications_come() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    first = respond(pipe, observe=1)
    second, third = respond(pipe, observe=2), respond(pipe, observe=3)
    assert await request.response is first
    assert observed.responses == [second, third]
    assert second.request is request.response.result().request
    assert observed.errors == []
    assert pipe.phase is Phase.OPEN


async def test_outdated_notifications_do_not_come() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=5)
    respond(pipe, observe=5)
    respond(pipe, observe=4)
    newer = respond(pipe, observe=6)
    assert observed.responses == [newer]


async def test_without_types_the_order_is_that_of_arrival() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    for number in (5, 4, 4):
        respond(pipe, observe=number, mtype=None)
    assert len(observed.responses) == 2


@pytest.mark.parametrize("code", [CONTENT, NOT_FOUND])
async def test_a_resource_that_can_not_be_observed(code: Code) -> None:
    network = Network()
    request = network.ask(observe=0)
    observed = Observed(request)
    respond(await network.next(), code=code)
    assert (await request.response).code == code
    assert [type(problem) for problem in observed.errors] == [error.NotObservable]
    assert observed.responses == []
    assert observed.observation.cancelled
    assert observed.ends == ["end"]


@pytest.mark.parametrize("code", [CONTENT, NOT_FOUND])
async def test_the_server_ends_the_observation(code: Code) -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1)
    last = respond(pipe, code=code)
    assert observed.responses == [last], "the last is not skipped"
    assert [type(problem) for problem in observed.errors] == [error.ObservationCancelled]
    await network.rest()
    assert network.is_idle


async def test_a_request_that_fails_fails_its_observation() -> None:
    network = Network()
    request = network.ask(observe=0)
    observed = Observed(request)
    problem = error.RequestTimedOut()
    (await network.next()).add_exception(problem)
    assert observed.errors == [problem]
    await network.rest()
    assert request.response.exception() is problem


async def test_a_request_that_fails_needs_no_look_at_its_response() -> None:
    network = Network()
    request = network.ask(observe=0)
    (await network.next()).add_exception(error.RequestTimedOut())
    with pytest.raises(error.RequestTimedOut):
        async for _ in request.observation:  # type: ignore[union-attr]
            pass
    # The fixture looks whether anything is said about the future.


async def test_an_observation_that_fails_later() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1)
    problem = error.LibraryShutdown()
    pipe.add_exception(problem)
    assert observed.errors == [problem]
    assert (await request.response).opt.observe == 1


async def test_cancelling_an_observation() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1)
    observed.observation.cancel()
    assert observed.ends == ["end"]
    assert pipe.phase is Phase.ENDED
    respond(pipe, observe=2)
    observed.observation.cancel()
    assert (observed.responses, observed.errors, observed.ends) == ([], [], ["end"])


async def test_cancelling_an_observation_leaves_the_response() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    request.observation.cancel()  # type: ignore[union-attr]
    assert pipe.phase is Phase.OPEN
    first = respond(pipe, observe=1)
    assert await request.response is first
    assert pipe.phase is Phase.ENDED


async def test_cancelling_the_response_ends_the_observation() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    request.response.cancel()
    await network.rest()
    assert observed.ends == ["end"]
    assert observed.errors == []
    assert pipe.phase is Phase.ENDED


async def test_an_error_by_the_application_ends_the_observation() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    stop = observed.observation.error
    respond(pipe, observe=1)
    problem = RuntimeError("enough")
    stop(problem)
    stop(RuntimeError("more than that"))
    assert observed.errors == [problem]
    assert pipe.phase is Phase.ENDED


async def test_dropping_the_observation_ends_it() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    respond(pipe, observe=1)
    await request.response
    await network.rest()
    assert pipe.phase is Phase.OPEN
    del request
    farewell = await network.next()
    assert farewell.request.opt.observe == 1
    assert pipe.phase is Phase.ENDED


async def test_dropping_the_observation_before_the_response() -> None:
    network = Network()
    response = network.ask(observe=0).response
    pipe = await network.next()
    assert pipe.phase is Phase.OPEN
    first = respond(pipe, observe=1)
    assert await response is first
    assert pipe.phase is Phase.ENDED


async def test_an_observation_with_callbacks_holds_itself() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    seen: list[Message] = []
    request.observation.register_callback(seen.append)  # type: ignore[union-attr]
    respond(pipe, observe=1)
    await network.rest()
    del request
    gc.collect()
    second = respond(pipe, observe=2)
    assert seen == [second]
    last = respond(pipe)
    assert seen == [second, last]


async def test_a_bound_method_holds_the_observation() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    stop = request.observation.error  # type: ignore[union-attr]
    respond(pipe, observe=1)
    await network.rest()
    del request
    assert pipe.phase is Phase.OPEN
    stop(RuntimeError("enough"))
    assert pipe.phase is Phase.ENDED

"""Requests as applications have them: one response, and the ways to wait for it."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    BAD_GATEWAY,
    GATEWAY_TIMEOUT,
    GET,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    Code,
)
from aiocoap.pipe import Phase, Pipe
from aiocoap.requester import Request
from tests.unit.request_parts import (
    Network,
    Observed,
    Remote,
    blocks,
    respond,
    several,
    time_is_over,
    turn,
)

pytestmark = pytest.mark.usefixtures("no_noise")

# One request, one response


async def test_a_request_gets_its_response() -> None:
    network = Network()
    message = Message(code=GET)
    request = network.ask(message)
    assert request.observation is None
    pipe = await network.next()
    assert pipe.request is message, "no copy where none is needed"
    assert message.remote == Remote("server")
    response = respond(pipe, payload=b"hello")
    assert request.response.done(), "the response has no detours"
    assert await request.response is response
    assert response.request is message
    assert response.remote == Remote("server")
    await network.rest()
    assert network.is_idle


async def test_an_unsuccessful_response_is_a_response() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), code=NOT_FOUND)
    assert (await request.response).code == NOT_FOUND


async def test_the_response_is_to_what_the_application_sent() -> None:
    # The token floor may have sent a copy.
    network = Network()
    message = Message(code=GET)
    request = network.ask(message)
    pipe = await network.next()
    pipe.request = message.copy()
    respond(pipe)
    assert (await request.response).request is message


@pytest.mark.parametrize("problem", [error.NetworkError("down"), error.RequestTimedOut("long")])
async def test_errors_are_delivered_as_they_are(problem: error.Error) -> None:
    network = Network()
    request = network.ask()
    (await network.next()).add_exception(problem)
    with pytest.raises(type(problem)) as caught:
        await request.response
    assert caught.value is problem


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (ConnectionRefusedError(111, "Connection refused"), error.NetworkError),
        (OSError("odd"), error.NetworkError),
        (ValueError("strange"), error.Error),
    ],
)
async def test_other_exceptions_are_wrapped(problem: Exception, kind: type[error.Error]) -> None:
    network = Network()
    network.problem = problem
    request = network.ask()
    with pytest.raises(error.Error) as caught:
        await request.response
    assert type(caught.value) is kind
    assert caught.value.__cause__ is problem
    assert str(problem.args[-1]) in str(caught.value)
    await network.rest()
    assert network.is_idle


async def test_where_nothing_is_waited_for_no_task_is_needed() -> None:
    network = Network()
    network.ask().response.cancel()
    assert len(network.pipes) == 1
    assert network.tasks == []


async def test_a_remote_that_takes_time() -> None:
    network = Network(waits=True)
    request = network.ask()
    assert network.pipes == []
    respond(await network.next())
    assert (await request.response).remote == Remote("server")


@pytest.mark.parametrize("waits", [True, False])
async def test_a_remote_that_is_not_found(waits: bool) -> None:
    network = Network(waits=waits)
    network.problem = error.ResolutionError("no such host")
    request = network.ask()
    with pytest.raises(error.ResolutionError):
        await request.response


# Stopping


async def test_cancelling_the_response_stops_the_request() -> None:
    network = Network()
    request = network.ask()
    pipe = await network.next()
    assert request.response.cancel()
    assert pipe.phase is Phase.ENDED, "at once"
    respond(pipe)
    assert request.response.cancelled()
    assert not request.response.cancel()


async def test_cancelling_a_response_that_is_there() -> None:
    network = Network()
    request = network.ask()
    response = respond(await network.next())
    assert not request.response.cancel()
    assert await request.response is response


async def test_cancelling_the_task_that_waits_stops_the_request() -> None:
    network = Network()
    request = network.ask()

    async def wait() -> None:
        await request.response

    task = asyncio.create_task(wait())
    pipe = await network.next()
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pipe.phase is Phase.ENDED


async def test_a_timeout_of_the_application_stops_the_request() -> None:
    network = Network()
    request = network.ask()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(request.response, 0.001)
    pipe = await network.next()
    assert pipe.phase is Phase.ENDED


async def test_cancelling_while_the_remote_is_resolved() -> None:
    network = Network()
    network.resolution = network.loop.create_future()
    request = network.ask()
    await network.rest()
    request.response.cancel()
    await network.rest()
    assert network.is_idle
    assert network.resolution.cancelled()


@pytest.mark.parametrize("turns", [0, 1])
async def test_the_context_cancels_what_is_left(turns: int) -> None:
    network = Network()
    network.resolution = network.loop.create_future()
    request = network.ask()
    for _ in range(turns):
        await asyncio.sleep(0)
    network.tasks[0].cancel()
    with pytest.raises(error.LibraryShutdown):
        await request.response


async def test_shutdown_is_no_news_to_who_does_not_listen() -> None:
    network = Network()
    request = network.ask()
    (await network.next()).add_exception(error.LibraryShutdown())
    await network.rest()
    assert request.response.done()
    # The fixture looks whether anything is said.


async def test_silence_is_no_news_to_who_asked_for_it() -> None:
    network = Network()
    network.ask(Message(code=GET, no_response=26))
    (await network.next()).add_exception(error.RequestTimedOut())
    await network.rest()
    assert network.is_idle


async def test_nothing_is_left_for_the_garbage_collector() -> None:
    network = Network()
    request = network.ask()
    pipe = await network.next()
    await network.rest()
    response = weakref.ref(request.response)
    gc.disable()
    try:
        respond(pipe)
        await request.response
        await network.rest()
        del request, pipe
        network.pipes.clear()
        network.tasks.clear()
        assert response() is None
    finally:
        gc.enable()


# Other ways to wait


async def test_response_raising() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=b"hello")
    assert (await request.response_raising).payload == b"hello"
    request = network.ask()
    respond(await network.next(), code=NOT_FOUND, payload=b"gone")
    with pytest.raises(error.ResponseWrappingError, match="gone") as caught:
        await request.response_raising
    assert caught.value.coapmessage.code == NOT_FOUND
    request = network.ask()
    (await network.next()).add_exception(error.RequestTimedOut())
    with pytest.raises(error.RequestTimedOut):
        await request.response_raising


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (error.NotFound("gone"), NOT_FOUND),
        (error.ConRetransmitsExceeded(), GATEWAY_TIMEOUT),
        (error.NetworkError(), BAD_GATEWAY),
        (error.ResourceChanged(), INTERNAL_SERVER_ERROR),
    ],
)
async def test_response_nonraising(problem: error.Error, code: Code) -> None:
    network = Network()
    request = network.ask()
    (await network.next()).add_exception(problem)
    assert (await request.response_nonraising).code == code


async def test_response_nonraising_of_a_response() -> None:
    network = Network()
    request = network.ask()
    response = respond(await network.next(), code=NOT_FOUND)
    assert await request.response_nonraising is response


async def test_repr() -> None:
    network = Network()
    request = network.ask(observe=0)
    assert "BlockwiseRequest" in repr(request)
    assert "ClientObservation registering" in repr(request)
    respond(await network.next())
    assert "ClientObservation over" in repr(request)


# Without blocks


async def test_a_plain_request() -> None:
    network = Network()
    message = Message(code=GET)
    pipe = Pipe(message, network.log)
    request = Request(pipe, network.loop, network.log)
    assert request.observation is None
    network.request(pipe)
    response = respond(pipe, block2=(0, True, 6), payload=bytes(1024))
    assert await request.response is response
    assert pipe.phase is Phase.ENDED


async def test_a_plain_request_is_cancelled() -> None:
    network = Network()
    pipe = Pipe(Message(code=GET), network.log)
    request = Request(pipe, network.loop, network.log)
    network.request(pipe)
    assert await network.next() is pipe
    request.response.cancel()
    await network.rest()
    assert pipe.phase is Phase.ENDED


async def test_a_plain_observation() -> None:
    network = Network()
    pipe = Pipe(Message(code=GET, observe=0), network.log)
    request = Request(pipe, network.loop, network.log)
    network.request(pipe)
    assert request.observation is not None
    seen: list[Message] = []
    request.observation.register_callback(seen.append)
    first = respond(pipe, observe=1)
    second = respond(pipe, observe=2)
    assert await request.response is first
    assert seen == [second]


# All responses of a single endpoint


async def test_a_single_endpoint_has_one_response() -> None:
    network = Network()
    request = network.ask()
    responses = request.responses
    response = respond(await network.next())
    assert [one async for one in responses] == [response]
    assert await request.response is response
    assert network.is_idle


async def test_its_body_is_complete() -> None:
    network = Network()
    request = network.ask()
    responses = request.responses
    blocks(await network.next(), "server", bytes(100))
    blocks(await network.next(), "server", bytes(100))
    assert [one.payload async for one in responses] == [bytes(100)]


async def test_a_single_endpoint_fails() -> None:
    network = Network()
    request = network.ask()
    responses = request.responses
    (await network.next()).add_exception(error.RequestTimedOut("long"))
    with pytest.raises(error.RequestTimedOut):
        await anext(responses)
    with pytest.raises(StopAsyncIteration):
        await anext(responses)


async def test_a_single_endpoint_is_observed() -> None:
    network = Network()
    request = network.ask(observe=0)
    responses = request.responses
    observed = Observed(request)
    pipe = await network.next()
    first = respond(pipe, observe=1)
    assert [one async for one in responses] == [first]
    second = respond(pipe, observe=2)
    assert observed.responses == [second]


async def test_responses_that_are_asked_for_late() -> None:
    network = Network()
    done, failed, cancelled = network.ask(), network.ask(), network.ask()
    first, second, _ = await several(network, 3)
    response = respond(first)
    second.add_exception(error.NetworkError("down"))
    cancelled.response.cancel()
    assert [one async for one in done.responses] == [response]
    with pytest.raises(error.NetworkError):
        await anext(failed.responses)
    assert [one async for one in cancelled.responses] == []


async def test_requests_of_one_message_have_responses_too() -> None:
    network = Network()
    message = Message(code=GET)
    message.remote = Remote("group")
    pipe = Pipe(message, network.log)
    request = Request(pipe, network.loop, network.log)
    responses = request.responses
    network.request(pipe)
    for name in ("one", "other"):
        respond(pipe, remote=name, block2=(0, True, 2), payload=bytes(64), is_last=False)
    time_is_over(pipe)
    assert len([response async for response in responses]) == 2

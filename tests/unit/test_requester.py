"""The client half, over a network that the tests play."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Coroutine, Hashable
from typing import Any

import pytest

from aiocoap import error, interfaces
from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    BAD_GATEWAY,
    CHANGED,
    CONTENT,
    CONTINUE,
    FETCH,
    GATEWAY_TIMEOUT,
    GET,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    POST,
    PUT,
    REQUEST_ENTITY_INCOMPLETE,
    REQUEST_ENTITY_TOO_LARGE,
    UNAUTHORIZED,
    Code,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import NON
from aiocoap.pipe import Phase, Pipe
from aiocoap.registration import Registration
from aiocoap.requester import BlockwiseRequest, ClientObservation, Request
from aiocoap.sansio.echoes import Echoes
from aiocoap.sansio.matching import RequestTags


class Remote(EndpointAddress):
    def __init__(self, name: str, *, exponent: int = 6, size: int = 1024) -> None:
        self.name = name
        self.maximum_block_size_exp = exponent
        self.maximum_payload_size = size

    is_multicast = property(lambda self: self.name == "group")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Remote {self.name}>"


class Network(interfaces.RequestInterface):
    """A context and its one transport; responses come from the test."""

    def __init__(self, *, waits: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.log = logging.getLogger("coap-test")
        self.transport_tuning = TransportTuning()
        self.request_tags = RequestTags()
        self.echoes = Echoes()
        self.registrations: dict[Hashable, Registration] = {}
        self.remote = Remote("server")
        self.pipes: list[Pipe] = []
        # How many of them the test has looked at.
        self.seen = 0
        self.tasks: list[asyncio.Task[Any]] = []
        # Whether finding the remote takes time; what it waits for, or fails with.
        self.waits = waits
        self.resolution: asyncio.Future[None] | None = None
        self.problem: Exception | None = None

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = self.loop.create_task(work, name=name)
        self.tasks.append(task)
        return task

    def find_remote_and_interface_now(self, message: Message) -> interfaces.RequestInterface | None:
        if self.waits or self.resolution is not None:
            return None
        if self.problem is not None:
            raise self.problem
        message.remote = message.remote or self.remote
        return self

    async def find_remote_and_interface(self, message: Message) -> interfaces.RequestInterface:
        if self.resolution is not None:
            await self.resolution
        if self.problem is not None:
            raise self.problem
        if message.remote is None:
            message.remote = self.remote
        return self

    async def fill_or_recognize_remote(self, message: Message) -> bool:
        return True

    def request(self, request: Pipe) -> None:
        if self.problem is not None:
            request.add_exception(self.problem)
            return
        request.on_interest_end(lambda: None)
        self.pipes.append(request)

    async def shutdown(self) -> None:
        pass

    # What the tests do

    def ask(self, message: Message | None = None, **kwargs: Any) -> BlockwiseRequest:
        if message is None:
            message = Message(**{"code": GET, **kwargs})
        return BlockwiseRequest(self, message)  # type: ignore[arg-type]

    async def next(self) -> Pipe:
        """Return the pipe of the next message that is sent."""
        for _ in range(10):
            if len(self.pipes) > self.seen:
                break
            await asyncio.sleep(0)
        self.seen += 1
        assert len(self.pipes) == self.seen, "one message was expected"
        return self.pipes[-1]

    async def rest(self) -> None:
        """Let everything happen, which is to send nothing."""
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(self.pipes) == self.seen, "no message was expected"

    @property
    def is_idle(self) -> bool:
        return all(pipe.phase is Phase.ENDED for pipe in self.pipes) and all(
            task.done() for task in self.tasks
        )


def respond(
    pipe: Pipe, *, remote: str = "server", is_last: bool | None = None, **kwargs: Any
) -> Message:
    response = Message(**{"code": CONTENT, "mtype": NON, **kwargs})
    response.remote = Remote(remote)
    response.request = pipe.request
    if is_last is None:
        is_last = response.opt.observe is None or not response.code.is_successful()
    pipe.add_response(response, is_last)
    return response


@pytest.fixture(autouse=True)
def no_noise(caplog: pytest.LogCaptureFixture) -> Any:
    """Nothing is said about futures that nobody looked at."""
    yield
    gc.collect()
    records = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    assert [record.message for record in records if record.name == "asyncio"] == []


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


def group(**kwargs: Any) -> tuple[Network, BlockwiseRequest]:
    network = Network()
    network.remote = Remote("group")
    return network, network.ask(**kwargs)


def time_is_over(pipe: Pipe) -> None:
    pipe.add_exception(error.RequestTimedOut("no response within 10 seconds"))


async def payloads(request: Any) -> list[tuple[str, bytes]]:
    return [(response.remote.name, response.payload) async for response in request.responses]


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


# Bodies of members


async def several(network: Network, count: int) -> list[Pipe]:
    """Return the pipes of the next messages, which are sent at the same time."""
    for _ in range(count - 1):
        await asyncio.sleep(0)
        network.seen += 1
    await network.next()
    return network.pipes[-count:]


def blocks(pipe: Pipe, name: str, body: bytes, *, is_last: bool = True) -> None:
    """Answer by the block that is asked for."""
    block2 = pipe.request.opt.block2
    number, exponent = (0, 2) if block2 is None else (block2.block_number, block2.size_exponent)
    size = 16 << exponent
    part = body[number * size : (number + 1) * size]
    more = (number + 1) * size < len(body)
    respond(pipe, remote=name, payload=part, block2=(number, more, exponent), is_last=is_last)


async def test_each_member_is_asked_for_the_rest_of_its_body() -> None:
    network, request = group(mtype=NON)
    responses = request.responses
    pipe = await network.next()
    bodies = {"one": bytes(100), "other": bytes(range(150))}
    for name, body in bodies.items():
        blocks(pipe, name, body, is_last=False)
    respond(pipe, remote="third", payload=b"short", is_last=False)
    assert await request.response is await anext(responses), "the first that is there"
    time_is_over(pipe)
    asked = []
    for count in (2, 1):
        for later in await several(network, count):
            remote: Any = later.request.remote
            assert later.request.mtype is None
            asked.append(remote.name)
            blocks(later, remote.name, bodies[remote.name])
    assert asked == ["one", "other", "other"]
    assert sorted(await payloads(request)) == sorted(bodies.items())
    await network.rest()
    assert network.is_idle


async def test_a_body_that_can_not_be_had_is_left_out() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    blocks(pipe, "one", bytes(100), is_last=False)
    later = await network.next()
    respond(pipe, remote="other", is_last=False)
    problem = error.ConRetransmitsExceeded("gone")
    later.add_exception(problem)
    await asyncio.sleep(0)
    time_is_over(pipe)
    assert await payloads(request) == [("other", b"")]
    assert responses.failures == {Remote("one"): problem}
    assert (await request.response).remote == Remote("other")


@pytest.mark.parametrize("is_late", [False, True])
async def test_the_only_body_can_not_be_had(is_late: bool) -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    blocks(pipe, "one", bytes(100), is_last=False)
    later = await network.next()
    if is_late:
        time_is_over(pipe)
    respond(later, remote="one", block2=(5, False, 2))
    await network.rest()
    if not is_late:
        time_is_over(pipe)
    assert [response async for response in responses] == []
    assert list(map(type, responses.failures.values())) == [error.UnexpectedBlock2]
    with pytest.raises(error.UnexpectedBlock2):
        await request.response


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_shutdown_while_bodies_are_fetched(is_late: bool) -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    for name in ("one", "other"):
        blocks(pipe, name, bytes(100), is_last=False)
    respond(pipe, remote="third", is_last=False)
    later = await several(network, 2)
    if is_late:
        time_is_over(pipe)
    else:
        pipe.add_exception(error.LibraryShutdown())
    for one in later:
        one.add_exception(error.LibraryShutdown())
    assert await anext(responses) is await request.response
    with pytest.raises(error.LibraryShutdown):
        await anext(responses)
    await network.rest()
    assert network.is_idle


async def test_tasks_that_are_cancelled_are_a_shutdown() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    for name in ("one", "other"):
        blocks(pipe, name, bytes(100), is_last=False)
    await several(network, 2)
    time_is_over(pipe)
    for task in network.tasks:
        task.cancel()
    with pytest.raises(error.LibraryShutdown):
        await anext(responses)
    with pytest.raises(error.LibraryShutdown):
        await request.response
    assert network.is_idle


async def test_letting_go_ends_downloads() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    respond(pipe, remote="other", is_last=False)
    blocks(pipe, "one", bytes(100), is_last=False)
    later = await network.next()
    time_is_over(pipe)
    responses.cancel()
    await network.rest()
    assert later.phase is Phase.ENDED
    assert network.is_idle


async def test_a_member_wants_a_proof_of_our_address() -> None:
    network, request = group(mtype=NON)
    responses = request.responses
    pipe = await network.next()
    for name in ("one", "other"):
        respond(pipe, remote=name, code=UNAUTHORIZED, echo=name.encode(), is_last=False)
    assert pipe.phase is Phase.OPEN
    for later, name in zip(await several(network, 2), ("one", "other"), strict=True):
        assert later.request.remote == Remote(name)
        assert later.request.opt.echo == name.encode()
        assert later.request.mtype is None
        blocks(later, name, bytes(100))
    for later in await several(network, 2):
        remote: Any = later.request.remote
        blocks(later, remote.name, bytes(100))
    time_is_over(pipe)
    assert sorted(await payloads(request)) == [("one", bytes(100)), ("other", bytes(100))]
    assert responses.failures == {}


async def test_a_member_that_wants_a_proof_is_not_observed() -> None:
    network, request = group(observe=0)
    responses = request.responses
    observed = Observed(request)
    pipe = await network.next()
    respond(pipe, remote="one", observe=1)
    respond(pipe, remote="other", code=UNAUTHORIZED, echo=b"e", is_last=False)
    later = await network.next()
    assert later.request.opt.observe is None
    respond(later, remote="other", payload=b"proved")
    await network.rest()
    pipe.close_group()
    assert [response.payload async for response in responses] == [b"", b"proved"]
    assert observed.errors == []


async def test_the_first_member_wants_a_proof_of_our_address() -> None:
    network, request = group(mtype=NON)
    respond(await network.next(), remote="one", code=UNAUTHORIZED, echo=b"e", is_last=False)
    later = await network.next()
    assert later.request.remote == Remote("one")
    assert later.request.mtype is None
    response = respond(later, remote="one")
    assert await request.response is response


async def test_a_proof_is_given_once() -> None:
    network, request = group()
    responses = request.responses
    pipe = await network.next()
    respond(pipe, remote="one", code=UNAUTHORIZED, echo=b"e", is_last=False)
    respond(await network.next(), remote="one", code=UNAUTHORIZED, echo=b"f")
    time_is_over(pipe)
    assert [response.code async for response in responses] == [UNAUTHORIZED]


async def test_bodies_to_groups_fit_into_one_message() -> None:
    network = Network()
    network.remote = Remote("group")
    request = network.ask(code=PUT, payload=bytes(2000))
    with pytest.raises(error.Error, match="group"):
        await request.response
    await network.rest()
    network.waits = True
    late = network.ask(code=PUT, payload=bytes(2000))
    with pytest.raises(error.Error, match="group"):
        await anext(late.responses)


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


# Observations


class Observed:
    """An observation with somebody who writes down what comes."""

    def __init__(self, request: Any) -> None:
        assert request.observation is not None
        self.observation: ClientObservation = request.observation
        self.responses: list[Message] = []
        self.errors: list[BaseException] = []
        self.ends: list[str] = []
        self.observation.register_callback(self.responses.append)
        self.observation.register_errback(self.errors.append)
        self.observation.on_cancel(lambda: self.ends.append("end"))


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


# The observation by itself


def notification(number: int) -> Message:
    return Message(code=CONTENT, observe=number)


def test_what_came_before_the_callback_is_not_lost() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    observation.callback(notification(2))
    seen: list[int | None] = []
    observation.register_callback(lambda message: seen.append(message.opt.observe))
    assert seen == [2], "only the latest counts"
    late: list[Message] = []
    observation.register_callback(late.append)
    assert late == [], "it was taken"


def test_an_error_that_came_before_the_errback_is_not_lost() -> None:
    observation = ClientObservation()
    problem = error.NotObservable()
    observation.error(problem)
    observation.error(error.LibraryShutdown())
    seen: list[BaseException] = []
    observation.register_errback(seen.append)
    assert seen == [problem]
    ends: list[str] = []
    observation.on_cancel(lambda: ends.append("end"))
    assert ends == ["end"]


def test_the_last_notification_before_an_error_is_not_lost() -> None:
    observation = ClientObservation()
    last = notification(1)
    observation.callback(last)
    observation.error(error.ObservationCancelled())
    seen: list[Message] = []
    observation.register_callback(seen.append)
    observation.callback(notification(2))
    assert seen == [last]


def test_after_cancelling_nothing_comes() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    observation.cancel()
    seen: list[object] = []
    observation.register_callback(seen.append)
    observation.register_errback(seen.append)
    observation.callback(notification(2))
    observation.error(error.LibraryShutdown())
    assert seen == []


def test_what_callbacks_raise_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    observation = ClientObservation()
    seen: list[Message] = []

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    observation.register_callback(broken)
    observation.register_callback(seen.append)
    observation.register_errback(broken)
    observation.on_cancel(broken)
    observation.callback(notification(1))
    observation.error(error.NotObservable())
    assert len(seen) == 1
    assert len(caplog.records) == 3
    assert "broken" in caplog.text


async def iterate(observation: ClientObservation, seen: list[Any]) -> None:
    try:
        async for message in observation:
            seen.append(message.opt.observe)
    except error.Error as problem:
        seen.append(type(problem))
    else:
        seen.append("end")


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_iteration_gets_the_latest() -> None:
    observation = ClientObservation()
    seen: list[Any] = []
    task = asyncio.create_task(iterate(observation, seen))
    observation.callback(notification(1))
    await turn()
    await turn()
    observation.callback(notification(2))
    observation.callback(notification(3))
    await turn()
    observation.callback(notification(4))
    observation.error(error.ObservationCancelled())
    await task
    assert seen == [1, 3, 4, error.ObservationCancelled]


async def test_iteration_ends_when_cancelled() -> None:
    observation = ClientObservation()
    seen: list[Any] = []
    task = asyncio.create_task(iterate(observation, seen))
    await turn()
    observation.callback(notification(1))
    observation.cancel()
    await task
    assert seen == ["end"]


async def test_an_iteration_raises_the_error_once() -> None:
    observation = ClientObservation()
    observation.error(error.NotObservable())
    iterator = aiter(observation)
    with pytest.raises(error.NotObservable):
        await anext(iterator)
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


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


async def test_an_iteration_is_cancelled_in_the_moment_of_a_notification() -> None:
    observation = ClientObservation()
    task = asyncio.create_task(iterate(observation, []))
    await turn()
    task.cancel()
    observation.callback(notification(1))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "0 waiting" in repr(observation)


async def test_a_second_iteration_goes_on_where_the_first_ended() -> None:
    observation = ClientObservation()
    observation.callback(notification(1))
    async for _ in observation:
        break
    observation.callback(notification(2))
    async for message in observation:
        assert message.opt.observe == 2
        break


# Responses in blocks


async def respond_in_blocks(
    network: Network, pipe: Pipe, body: bytes, **kwargs: Any
) -> list[Message]:
    """Answer a request, and those for later blocks; return the latter."""
    size = 64
    blocks = [body[start : start + size] for start in range(0, len(body), size)]
    asked = []
    for number, block in enumerate(blocks):
        options = dict(kwargs) if number == 0 else {**kwargs, "observe": None}
        respond(pipe, payload=block, block2=(number, number < len(blocks) - 1, 2), **options)
        if number < len(blocks) - 1:
            pipe = await network.next()
            asked.append(pipe.request)
    await turn()
    return asked


BODY = bytes(range(200))


async def test_the_blocks_of_a_response_are_put_together() -> None:
    network = Network()
    message = Message(code=GET, uri_path=["a"])
    request = network.ask(message)
    asked = await respond_in_blocks(network, await network.next(), BODY, etag=b"1")
    assert [one.opt.block2 for one in asked] == [(1, False, 2), (2, False, 2), (3, False, 2)]
    assert {one.opt.uri_path for one in asked} == {("a",)}
    response = await request.response
    assert response.payload == BODY
    assert response.request is message
    assert response.remote == Remote("server")
    assert message.opt.block2 is None, "the application's message stays as it is"
    await network.rest()
    assert network.is_idle


async def test_later_blocks_come_from_who_sent_the_first() -> None:
    network = Network()
    network.remote = Remote("group")
    request = network.ask()
    pipe = await network.next()
    asked = await respond_in_blocks(network, pipe, BODY, remote="one", is_last=False)
    assert pipe.phase is Phase.ENDED
    assert [one.remote for one in asked] == [Remote("one")] * 3
    assert (await request.response).payload == BODY


async def test_a_block_that_does_not_come() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=bytes(64), block2=(0, True, 2))
    problem = error.RequestTimedOut()
    (await network.next()).add_exception(problem)
    with pytest.raises(error.RequestTimedOut):
        await request.response
    await network.rest()
    assert network.is_idle


async def test_a_block_that_is_not_what_was_asked_for() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=bytes(64), block2=(0, True, 2))
    respond(await network.next(), payload=bytes(64))
    with pytest.raises(error.MissingBlock2Option):
        await request.response
    await network.rest()
    assert network.is_idle


async def test_cancelling_in_the_midst_of_blocks() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=bytes(64), block2=(0, True, 2))
    await network.next()
    request.response.cancel()
    await network.rest()
    assert network.is_idle


async def test_cancelling_in_the_moment_of_a_failure() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=bytes(64), block2=(0, True, 2))
    pipe = await network.next()
    pipe.add_exception(error.RequestTimedOut())
    network.tasks[-1].cancel()
    with pytest.raises(error.LibraryShutdown):
        await request.response
    # The fixture looks whether anything is said about the failure.


async def test_the_context_cancels_a_transfer() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=bytes(64), block2=(0, True, 2))
    await network.next()
    network.tasks[-1].cancel()
    with pytest.raises(error.LibraryShutdown):
        await request.response
    assert network.is_idle


async def test_notifications_in_blocks() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    asked = await respond_in_blocks(network, pipe, BODY, observe=1)
    assert (await request.response).payload == BODY
    asked += await respond_in_blocks(network, pipe, BODY[::-1], observe=2)
    assert [message.payload for message in observed.responses] == [BODY[::-1]]
    assert [one.opt.observe for one in asked] == [None] * 6
    assert pipe.phase is Phase.OPEN


async def test_a_newer_notification_supersedes_a_transfer() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1)
    respond(pipe, observe=2, payload=bytes(64), block2=(0, True, 2))
    await network.next()
    newest = respond(pipe, observe=3)
    assert observed.responses == [newest]
    await network.rest()
    assert [one.phase for one in network.pipes] == [Phase.OPEN, Phase.ENDED]
    respond(pipe, observe=4, payload=bytes(64), block2=(0, True, 2))
    await network.next()
    await respond_in_blocks(network, pipe, BODY, observe=5)
    assert [message.payload for message in observed.responses[1:]] == [BODY]


async def test_a_notification_supersedes_the_transfer_of_the_response() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1, payload=bytes(64), block2=(0, True, 2))
    await network.next()
    second = respond(pipe, observe=2)
    assert await request.response is second
    assert observed.responses == []


async def change_again_and_again(network: Network) -> None:
    """Answer each request for a block by one of another state."""
    for version in range(1, 9):
        pipe = await network.next()
        block2 = pipe.request.opt.block2
        assert block2 is not None
        respond(
            pipe,
            payload=bytes(64),
            block2=(block2.block_number, True, 2),
            etag=bytes([version]),
        )
        if version == 7:
            break
    await turn()


async def test_a_resource_that_changes_all_the_time() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), payload=bytes(64), block2=(0, True, 2), etag=b"0")
    await change_again_and_again(network)
    with pytest.raises(error.ResourceChanged):
        await request.response
    await network.rest()
    assert network.is_idle


async def test_an_observed_resource_that_changes_all_the_time() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1)
    respond(pipe, observe=2, payload=bytes(64), block2=(0, True, 2), etag=b"0")
    for number in range(3):
        # First it registers again, then it fetches the blocks anew.
        respond(await network.next(), payload=bytes(64), block2=(1, True, 2), etag=b"%d?" % number)
        pipe = await network.next()
        respond(pipe, observe=2, payload=bytes(64), block2=(0, True, 2), etag=b"0")
    await change_again_and_again(network)
    assert (observed.responses, observed.errors) == ([], []), "there will be a newer one"
    newest = respond(pipe, observe=3, payload=b"new")
    assert observed.responses == [newest]


async def test_the_last_notification_in_blocks() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    observed = Observed(request)
    respond(pipe, observe=1)
    await respond_in_blocks(network, pipe, BODY)
    assert [message.payload for message in observed.responses] == [BODY]
    assert [type(problem) for problem in observed.errors] == [error.ObservationCancelled]
    await network.rest()
    assert network.is_idle


async def test_dropping_an_observation_in_the_midst_of_blocks() -> None:
    network = Network()
    request = network.ask(observe=0)
    pipe = await network.next()
    respond(pipe, observe=1)
    await request.response
    await turn()
    respond(pipe, observe=2, payload=bytes(64), block2=(0, True, 2))
    await network.next()
    del request
    respond(await network.next())
    await network.rest()
    assert network.is_idle


# Requests in blocks


async def accept_blocks(network: Network, pipe: Pipe) -> tuple[list[Message], Pipe]:
    """Take all blocks but the last; return them all, and the pipe of the last."""
    blocks = [pipe.request]
    while True:
        block1 = pipe.request.opt.block1
        assert block1 is not None
        if not block1.more:
            return blocks, pipe
        respond(pipe, code=CONTINUE, block1=block1)
        pipe = await network.next()
        blocks.append(pipe.request)


LARGE = bytes(range(256)) * 10


@pytest.mark.parametrize("waits", [True, False])
async def test_a_body_is_sent_in_blocks(waits: bool) -> None:
    network = Network(waits=waits)
    message = Message(code=PUT, payload=LARGE)
    request = network.ask(message)
    blocks, pipe = await accept_blocks(network, await network.next())
    assert b"".join(block.payload for block in blocks) == LARGE
    assert [len(block.payload) for block in blocks] == [1024, 1024, 512]
    assert [block.opt.request_tag for block in blocks] == [()] * 3
    assert [block.remote for block in blocks] == [Remote("server")] * 3
    respond(pipe, code=CHANGED, block1=pipe.request.opt.block1)
    response = await request.response
    assert response.code == CHANGED
    assert response.request is message
    assert message.payload == LARGE
    assert message.opt.block1 is None
    await network.rest()
    assert network.is_idle
    assert len(network.request_tags) == 0


@pytest.mark.parametrize(
    ("exponent", "remote", "size"),
    [
        (6, Remote("server"), 1024),
        (4, Remote("server"), 256),
        (6, Remote("server", exponent=2), 64),
        (3, Remote("server", exponent=2), 64),
        (3, Remote("server", exponent=7, size=8192), 128),
    ],
)
async def test_the_size_of_blocks(exponent: int, remote: Remote, size: int) -> None:
    network = Network()
    network.transport_tuning.DEFAULT_BLOCK_SIZE_EXP = exponent
    network.remote = remote
    request = network.ask(code=PUT, payload=LARGE)
    assert len((await network.next()).request.payload) == size
    request.response.cancel()
    await network.rest()


async def test_the_size_of_blocks_is_up_to_the_request() -> None:
    class Small(TransportTuning):
        DEFAULT_BLOCK_SIZE_EXP = 1

    network = Network()
    request = network.ask(code=PUT, payload=LARGE, transport_tuning=Small)
    assert len((await network.next()).request.payload) == 32
    request.response.cancel()
    await network.rest()


async def test_concurrent_uploads_are_told_apart() -> None:
    network = Network()
    requests = []
    pipes = []
    for kwargs in ({}, {}, {"uri_path": ["other"]}, {}):
        requests.append(network.ask(code=PUT, payload=LARGE, **kwargs))
        pipes.append(await network.next())
    assert [pipe.request.opt.request_tag for pipe in pipes] == [(), (b"",), (), (b"\x01",)]
    for pipe in pipes:
        blocks, last = await accept_blocks(network, pipe)
        assert len({block.opt.request_tag for block in blocks}) == 1
        respond(last, code=CHANGED, block1=last.request.opt.block1)
        await turn()
    for request in requests:
        assert (await request.response).code == CHANGED
    assert len(network.request_tags) == 0


async def test_an_upload_after_one_that_was_broken_off() -> None:
    network = Network()
    first = network.ask(code=PUT, payload=LARGE)
    await network.next()
    first.response.cancel()
    await network.rest()
    assert network.is_idle
    second = network.ask(code=PUT, payload=LARGE)
    pipe = await network.next()
    assert pipe.request.opt.request_tag == (b"",), "a block of the first may still arrive"
    second.response.cancel()
    await network.rest()


@pytest.mark.parametrize("code", [REQUEST_ENTITY_INCOMPLETE, NOT_FOUND])
async def test_an_upload_that_the_server_does_not_want(code: Code) -> None:
    network = Network()
    request = network.ask(code=POST, payload=LARGE)
    respond(await network.next(), code=code)
    assert (await request.response).code == code
    assert len(network.request_tags) == 0


async def test_an_upload_with_a_wrong_acknowledgement() -> None:
    network = Network()
    request = network.ask(code=POST, payload=LARGE)
    pipe = await network.next()
    respond(pipe, code=CONTINUE, block1=(7, True, 6))
    with pytest.raises(error.UnexpectedBlock1Option):
        await request.response
    await network.rest()
    assert network.is_idle


async def test_a_block_that_is_not_answered() -> None:
    network = Network()
    request = network.ask(code=POST, payload=LARGE)
    (await network.next()).add_exception(error.ConRetransmitsExceeded())
    with pytest.raises(error.ConRetransmitsExceeded):
        await request.response
    await network.rest()
    assert network.is_idle


async def test_blocks_up_and_down() -> None:
    network = Network()
    other = network.ask(code=POST, payload=LARGE)
    await network.next()
    request = network.ask(code=POST, payload=LARGE)
    _, pipe = await accept_blocks(network, await network.next())
    asked = await respond_in_blocks(
        network, pipe, BODY, code=CHANGED, block1=pipe.request.opt.block1
    )
    assert (await request.response).payload == BODY
    assert [one.payload for one in asked] == [b""] * 3
    assert [one.opt.block1 for one in asked] == [None] * 3
    assert {one.opt.request_tag for one in asked} == {(b"",)}, "it is the same operation"
    other.response.cancel()
    await network.rest()


async def test_how_far_bodies_are_is_told() -> None:
    network = Network()
    request = network.ask(code=POST, payload=LARGE)
    told: list[tuple[int, int | None]] = []
    request.on_progress(lambda done, total: told.append((done, total)))
    _, pipe = await accept_blocks(network, await network.next())
    assert told == [(1024, 2560), (2048, 2560)]
    told.clear()
    await respond_in_blocks(network, pipe, BODY, code=CHANGED, block1=(2, False, 6), size2=200)
    await request.response
    assert told == [(128, 200), (192, 200), (200, 200)]
    # There is nothing more to tell of.
    request.on_progress(told.clear)
    await network.rest()


async def test_who_is_told_how_far_it_is_may_break_it_off() -> None:
    def full(done: int, total: int | None) -> None:
        raise error.Error(f"{done} of {total}")

    network = Network()
    request = network.ask()
    request.on_progress(full)
    pipe = await network.next()
    respond(pipe, payload=BODY[:64], block2=(0, True, 2))
    respond(await network.next(), payload=BODY[64:128], block2=(1, True, 2))
    with pytest.raises(error.Error, match="128 of None"):
        await request.response
    await network.rest()
    assert network.is_idle


async def test_observing_with_a_large_request() -> None:
    network = Network()
    request = network.ask(code=FETCH, payload=LARGE, observe=0)
    observed = Observed(request)
    _, pipe = await accept_blocks(network, await network.next())
    block1 = pipe.request.opt.block1
    first = respond(pipe, observe=1, block1=block1)
    early = respond(pipe, observe=2)
    assert await request.response is first
    late = respond(pipe, observe=3)
    await turn()
    assert observed.responses == [early, late]
    observed.observation.cancel()
    assert pipe.phase is Phase.ENDED
    # The server would have to be sent all of it once more to be told.
    await network.rest()
    assert network.is_idle


async def test_observing_with_a_large_request_in_vain() -> None:
    network = Network()
    request = network.ask(code=FETCH, payload=LARGE, observe=0)
    observed = Observed(request)
    respond(await network.next(), code=REQUEST_ENTITY_TOO_LARGE)
    assert (await request.response).code == REQUEST_ENTITY_TOO_LARGE
    assert [type(problem) for problem in observed.errors] == [error.NotObservable]
    await network.rest()
    assert network.is_idle


# What servers want to hear again


async def test_the_next_request_says_it_again() -> None:
    network = Network()
    network.ask()
    respond(await network.next(), echo=b"e")
    network.remote = Remote("another")
    network.ask()
    assert (await network.next()).request.opt.echo is None, "it is nobody else's business"
    network.remote = Remote("server")
    message = Message(code=GET)
    request = network.ask(message)
    pipe = await network.next()
    assert pipe.request.opt.echo == b"e"
    assert message.opt.echo is None, "the application's request is as it was"
    respond(pipe)
    assert (await request.response).request is message
    network.ask()
    assert (await network.next()).request.opt.echo is None, "once is enough"


async def test_what_is_refused_is_repeated_and_not_kept() -> None:
    network = Network()
    request = network.ask()
    respond(await network.next(), code=UNAUTHORIZED, echo=b"e")
    respond(await network.next(), code=UNAUTHORIZED, echo=b"f")
    assert (await request.response).code == UNAUTHORIZED
    assert len(network.echoes) == 0


@pytest.mark.parametrize("echo", [b"", bytes(41)])
async def test_what_is_no_echo_is_not_kept(echo: bytes) -> None:
    network = Network()
    network.ask()
    response = Message(code=CONTENT)
    response.remote = network.remote
    response.opt.add_option(OptionNumber.ECHO.create_option(decode=echo))
    (await network.next()).add_response(response, True)
    assert len(network.echoes) == 0


async def test_an_echo_of_the_applications_own_goes_first() -> None:
    network = Network()
    network.ask()
    respond(await network.next(), echo=b"e")
    network.ask(echo=b"own")
    assert (await network.next()).request.opt.echo == b"own"
    network.ask()
    assert (await network.next()).request.opt.echo == b"e"


async def test_blocks_say_it_again() -> None:
    network = Network()
    request = network.ask(code=PUT, payload=LARGE)
    respond(await network.next(), code=CONTINUE, block1=(0, True, 6), echo=b"one")
    pipe = await network.next()
    assert pipe.request.opt.echo == b"one"
    respond(pipe, code=CONTINUE, block1=(1, True, 6))
    pipe = await network.next()
    assert pipe.request.opt.echo is None
    respond(pipe, code=CHANGED, block1=(2, False, 6), echo=b"two")
    assert (await request.response).code == CHANGED
    download = network.ask()
    pipe = await network.next()
    assert pipe.request.opt.echo == b"two"
    respond(pipe, block2=(0, True, 0), payload=bytes(16), echo=b"three")
    pipe = await network.next()
    assert pipe.request.opt.echo == b"three"
    respond(pipe, block2=(1, False, 0), payload=b"rest")
    assert (await download.response).payload == bytes(16) + b"rest"
    assert len(network.echoes) == 0


async def test_members_of_a_group_hear_it_by_themselves() -> None:
    network, request = group()
    respond(await network.next(), remote="one", echo=b"e")
    await request.response
    network.ask()
    assert (await network.next()).request.opt.echo is None
    network.remote = Remote("one")
    network.ask()
    assert (await network.next()).request.opt.echo == b"e"

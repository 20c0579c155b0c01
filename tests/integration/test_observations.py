"""Observing and being observed, over the loopback interface."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import pytest

from aiocoap import (
    CONTENT,
    FETCH,
    GET,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    Context,
    Message,
    error,
)
from aiocoap.numbers.types import CON, NON
from aiocoap.protocol import ClientObservation
from aiocoap.resource import ObservableResource, Resource, Site
from tests.integration.net import Net, ask, base, until


class State(ObservableResource):
    """Something to observe."""

    def __init__(self, value: bytes = b"0") -> None:
        super().__init__()
        self.value = value
        self.counts: list[int] = []
        self.problem: Exception | None = None

    def set(self, value: bytes) -> None:
        self.value = value
        self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        self.counts.append(newcount)

    @property
    def count(self) -> int:
        return len(self.observations)

    async def render_get(self, request: Message) -> Message:
        if self.problem is not None:
            raise self.problem
        return Message(payload=self.value)

    async def render_fetch(self, request: Message) -> Message:
        return Message(payload=request.payload + self.value)


def site(resource: Resource) -> Site:
    it = Site()
    it.add_resource(["state"], resource)
    return it


class Heard:
    """What an observation told by its callbacks."""

    def __init__(self, observation: ClientObservation) -> None:
        self.payloads: list[bytes] = []
        self.errors: list[BaseException] = []
        self.was_cancelled: list[bool] = []
        observation.register_callback(lambda message: self.payloads.append(message.payload))
        observation.register_errback(self.errors.append)
        observation.on_cancel(lambda: self.was_cancelled.append(True))

    async def hears(self, payload: bytes) -> None:
        await until(lambda: bool(self.payloads) and self.payloads[-1] == payload)


@pytest.mark.parametrize("mtype", [CON, NON])
async def test_callbacks(net: Net, mtype: int) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0, mtype=mtype))
        heard = Heard(request.observation)
        first = await request.response
        assert first.payload == b"0"
        assert first.opt.observe is not None
        for value in (b"1", b"2", b"3"):
            state.set(value)
            await heard.hears(value)
        assert heard.payloads == [b"1", b"2", b"3"]
        request.observation.cancel()
        assert request.observation.cancelled
        state.set(b"4")
        if mtype is CON:
            await until(lambda: state.count == 0)
            assert state.counts == [1, 0]
        await ask(client, GET, uri + "/state")
        assert heard.errors == []
        assert heard.was_cancelled == [True]
        assert heard.payloads == [b"1", b"2", b"3"]


async def test_iteration(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        assert (await request.response).payload == b"0"
        got = []
        state.set(b"1")
        async for notification in request.observation:
            got.append(notification.payload)
            if len(got) == 3:
                break
            state.set(str(len(got) + 1).encode())
        assert got == [b"1", b"2", b"3"]
        request.observation.cancel()
        state.updated_state()
        await until(lambda: state.count == 0)


async def test_the_latest_is_what_counts(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        heard = Heard(request.observation)
        await request.response
        for n in range(200):
            state.set(str(n).encode())
        await heard.hears(b"199")
        assert len(heard.payloads) < 5
        request.observation.cancel()


async def test_an_observation_that_nobody_holds_ends(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        await request.response
        del request
        gc.collect()
        state.set(b"1")
        await until(lambda: state.count == 0)


async def test_fetch(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(
            Message(code=FETCH, uri=uri + "/state", payload=b"query ", observe=0)
        )
        heard = Heard(request.observation)
        assert (await request.response).payload == b"query 0"
        state.set(b"1")
        await heard.hears(b"query 1")
        request.observation.cancel()


async def test_a_large_query(net: Net) -> None:
    state = State()
    query = os.urandom(3000)
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=FETCH, uri=uri + "/state", payload=query, observe=0))
        heard = Heard(request.observation)
        assert (await request.response).payload == query + b"0"
        state.set(b"1")
        await heard.hears(query + b"1")
        request.observation.cancel()
        state.updated_state()
        await until(lambda: state.count == 0)


async def test_large_states(net: Net) -> None:
    state = State(os.urandom(5000))
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        heard = Heard(request.observation)
        assert (await request.response).payload == state.value
        for size in (3000, 10, 2000):
            state.set(os.urandom(size))
            await heard.hears(state.value)
        assert state.counts == [1], "what fetches blocks is no observer"
        request.observation.cancel()
        state.updated_state()
        await until(lambda: state.count == 0)


async def test_a_chosen_block_size(net: Net) -> None:
    state = State(os.urandom(300))
    async with net.pair(site(state)) as (client, uri):
        request = client.request(
            Message(code=GET, uri=uri + "/state", observe=0, block2=(0, False, 1))
        )
        heard = Heard(request.observation)
        assert (await request.response).payload == state.value
        state.set(os.urandom(200))
        await heard.hears(state.value)
        request.observation.cancel()


async def test_a_resource_that_can_not_be_observed(net: Net) -> None:
    class Plain(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=b"plain")

    async with net.pair(site(Plain())) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        heard = Heard(request.observation)
        assert (await request.response).payload == b"plain"
        await until(lambda: bool(heard.errors))
        assert [type(problem) for problem in heard.errors] == [error.NotObservable]
        with pytest.raises(error.NotObservable):
            await anext(aiter(request.observation))
        request = client.request(Message(code=GET, uri=uri + "/nothing", observe=0))
        assert (await request.response).code == NOT_FOUND
        assert request.observation.cancelled


def fail(state: State) -> None:
    state.problem = error.NotFound()
    state.updated_state()


def break_(state: State) -> None:
    state.problem = ZeroDivisionError()
    state.updated_state()


def give(state: State) -> None:
    state.updated_state(Message(code=NOT_FOUND))


def deregister(state: State) -> None:
    for observation in state.observations:
        observation.deregister("enough")


def last(state: State) -> None:
    for observation in state.observations:
        observation.trigger(Message(payload=b"last"), is_last=True)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (fail, NOT_FOUND),
        (break_, INTERNAL_SERVER_ERROR),
        (give, NOT_FOUND),
        (deregister, CONTENT),
        (last, CONTENT),
    ],
)
async def test_the_server_ends_it(
    net: Net, end: Callable[[State], None], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    net.expects_log = end is break_
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        codes: list[int] = []
        request.observation.register_callback(lambda message: codes.append(message.code))
        errors: list[BaseException] = []
        request.observation.register_errback(errors.append)
        await request.response
        end(state)
        await until(lambda: bool(errors))
        assert codes == [code]
        assert [type(problem) for problem in errors] == [error.ObservationCancelled]
        assert state.counts == [1, 0]
    caplog.clear()


async def test_the_server_goes_away(net: Net) -> None:
    state = State()
    async with net.client() as client:
        async with net.server(site(state)) as server:
            request = client.request(Message(code=GET, uri=base(server) + "/state", observe=0))
            await request.response
            assert state.count == 1
        assert state.counts == [1, 0]
        assert not request.observation.cancelled, "nobody has told the client"


async def test_the_client_goes_away(net: Net) -> None:
    state = State()
    async with net.server(site(state)) as server:
        async with net.client() as client:
            request = client.request(Message(code=GET, uri=base(server) + "/state", observe=0))
            heard = Heard(request.observation)
            await request.response
        assert [type(problem) for problem in heard.errors] == [error.LibraryShutdown]
        with pytest.raises(error.LibraryShutdown):
            await anext(aiter(request.observation))
        # Nobody is at that port any more, which the network tells.
        state.updated_state()
        await until(lambda: state.count == 0 or net.server_transport != "udp6")


async def test_many_observers(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        requests = [
            # Two of each share a registration.
            client.request(Message(code=GET, uri=f"{uri}/state?{n // 2}", observe=0))
            for n in range(200)
        ]
        heard = [Heard(request.observation) for request in requests]
        for request in requests:
            await request.response
        assert state.count == 100
        state.set(b"1")
        for one in heard:
            await one.hears(b"1")
        for request in (*requests[:100], *requests[100::2]):
            request.observation.cancel()
        state.set(b"2")
        for one in heard[101::2]:
            await one.hears(b"2")
        await until(lambda: state.count == 50)
        for request in requests[101::2]:
            request.observation.cancel()


async def test_cancelling_by_observe_1(net: Net) -> None:
    """A request with the same token and Observe 1 ends it (RFC 7641 section 3.6)."""
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        token = (await request.response).token
        assert state.count == 1
        below = client.request_interfaces[0]
        end = Message(code=GET, uri=uri + "/state", observe=1)
        await client.find_remote_and_interface(end)
        end.token = token
        below.token_interface.send_message(end, None)  # type: ignore[attr-defined]
        await until(lambda: state.count == 0)
        assert state.counts == [1, 0]


async def test_registering_again_takes_the_place(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        heard = Heard(request.observation)
        token = (await request.response).token
        again = Message(code=GET, uri=uri + "/state", observe=0)
        await client.find_remote_and_interface(again)
        again.token = token
        client.request_interfaces[0].token_interface.send_message(again, None)  # type: ignore[attr-defined]
        await until(lambda: heard.payloads == [b"0"])
        state.set(b"1")
        await heard.hears(b"1")
        assert state.counts == [1], "it has been the same observer all the time"
        request.observation.cancel()


async def test_errors_of_the_request_are_those_of_the_observation(net: Net) -> None:
    async with net.server(None) as server:
        gone = base(server)
    async with net.client() as client:
        request = client.request(Message(code=GET, uri=gone + "/state", observe=0))
        heard = Heard(request.observation)
        with pytest.raises(error.NetworkError) as caught:
            await request.response
        assert heard.errors == [caught.value]
        with pytest.raises(error.NetworkError):
            await anext(aiter(request.observation))


async def test_an_observed_chain(net: Net) -> None:
    """A resource that observes another one and is observed itself."""

    class Relay(State):
        def __init__(self, context: Context, uri: str) -> None:
            super().__init__(b"")
            request = context.request(Message(code=GET, uri=uri, observe=0))
            request.observation.register_callback(lambda message: self.set(message.payload))
            self.request = request

    state = State()
    async with net.pair(site(state)) as (client, uri):
        relay = Relay(client, uri + "/state")
        relay.value = (await relay.request.response).payload
        async with net.server(site(relay)) as front, net.client() as asking:
            request = asking.request(Message(code=GET, uri=base(front) + "/state", observe=0))
            heard = Heard(request.observation)
            assert (await request.response).payload == b"0"
            state.set(b"1")
            await heard.hears(b"1")
            request.observation.cancel()


async def test_observing_and_asking_at_the_same_time(net: Net) -> None:
    state = State()
    async with net.pair(site(state)) as (client, uri):
        request = client.request(Message(code=GET, uri=uri + "/state", observe=0))
        heard = Heard(request.observation)
        await request.response
        for n in range(50):
            state.set(str(n).encode())
            assert (await ask(client, GET, uri + "/state")).payload == str(n).encode()
        await heard.hears(b"49")
        request.observation.cancel()

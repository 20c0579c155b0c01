"""Two whole contexts, whatever applications and the network do."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CHANGED,
    CONTENT,
    FETCH,
    GET,
    NOT_FOUND,
    PATCH,
    POST,
    PUT,
    REQUEST_ENTITY_INCOMPLETE,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON, NON
from aiocoap.resource import ObservableResource, Resource, Site
from tests.harness import Link, Pair, empty_tables

LONG = 700.0
"""Seconds after which everything is forgotten, if nobody goes on with it."""


class Mirror(Resource):
    """Returns bodies the wrong way round, and takes down what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    async def render(self, request: Message) -> Message:
        self.bodies.append(request.payload)
        return Message(code=CHANGED, payload=request.payload[::-1])


def site_of(**resources: Resource) -> Site:
    site = Site()
    for name, resource in resources.items():
        site.add_resource([name], resource)
    return site


def block_size(exponent: int) -> type[TransportTuning]:
    class Sized(TransportTuning):
        DEFAULT_BLOCK_SIZE_EXP = exponent

    return Sized


def is_at_rest(pair: Pair) -> bool:
    """Whether nothing is left of anything, at either end."""
    ends = (pair.client, pair.server)
    return pair.is_quiet and all(
        empty_tables(end)
        and not len(end.context._responder._uploads)
        and not len(end.context._responder._bodies)
        and not end.context._responder._tasks
        and not end.context._tasks
        and not end.context.registrations
        for end in ends
    )


links = st.builds(
    Link,
    seed=st.integers(0, 1000),
    drop=st.sampled_from([0.0, 0.05, 0.2]),
    duplicate=st.sampled_from([0.0, 0.3]),
    delay=st.sampled_from([0.001, 0.5, 3.0]),
    reorder=st.sampled_from([0.0, 0.5]),
)


@given(
    link=links,
    code=st.sampled_from([PUT, POST, FETCH, PATCH]),
    blocks=st.integers(0, 12),
    odd=st.integers(-1, 1),
    exponents=st.tuples(*[st.sampled_from([None, 0, 1, 3, 6])] * 3),
    seed=st.integers(0, 1000),
)
def test_bodies_arrive_whole_or_not_at_all(
    link: Link,
    code: Any,
    blocks: int,
    odd: int,
    exponents: tuple[int | None, int | None, int | None],
    seed: int,
) -> None:
    *own, block2 = exponents
    smallest = min(6 if exponent is None else exponent for exponent in exponents)
    body = random.Random(seed).randbytes(max((blocks << smallest + 4) + odd, 0))
    mirror = Mirror()
    with Pair(site_of(mirror=mirror), link, seed=seed) as pair:
        for end, exponent in zip((pair.client, pair.server), own, strict=True):
            if exponent is not None:
                end.context.transport_tuning = block_size(exponent)()
                end.context._responder.__init__(end.context)

        async def send() -> Any:
            request = Message(code=code, uri=f"coap://{Pair.SERVER}/mirror", payload=body)
            if block2 is not None:
                request.opt.block2 = (0, False, block2)
            return pair.client.context.request(request)

        response = pair.clock.run(send()).response
        assert pair.clock.wait_for(response.done, 20_000)
        failure = response.exception()
        if failure is None:
            message = response.result()
            assert message.code == CHANGED
            assert message.payload == body[::-1]
            assert mirror.bodies
        else:
            assert link.drop
            assert isinstance(failure, error.TimeoutError)
        # A client may start over, but what comes out is whole.
        assert set(mirror.bodies) <= {body}
        assert len(mirror.bodies) <= 1
        pair.clock.advance(LONG)
        assert is_at_rest(pair)


class State(ObservableResource):
    """Something to observe, of any size."""

    def __init__(self, choose: random.Random) -> None:
        super().__init__()
        self._choose = choose
        self.serial = 0
        self.value = b"0"
        self.counts: list[int] = []

    def change(self) -> None:
        self.serial += 1
        self.value = b"%d " % self.serial * self._choose.choice([1, 1, 500])
        self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        self.counts.append(newcount)

    async def render_get(self, request: Message) -> Message:
        return Message(code=CONTENT, payload=self.value)


class Observer:
    """A client's view of the state."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.values: list[bytes] = []
        self.errors: list[BaseException] = []
        request.response.add_done_callback(self._respond)
        request.observation.register_callback(lambda message: self.values.append(message.payload))
        request.observation.register_errback(self.errors.append)

    def _respond(self, response: Any) -> None:
        if not response.cancelled() and response.exception() is None:
            self.values.insert(0, response.result().payload)

    @property
    def is_live(self) -> bool:
        return not self.request.observation.cancelled

    def check(self) -> None:
        for value in self.values:
            assert len(set(value.split())) <= 1, "two states are mixed"
        serials = [int(value.split()[0]) for value in self.values]
        assert serials == sorted(serials), "an older state came after a newer one"
        assert len(self.errors) <= 1


class Life:
    """A client that does anything with a server, for a while."""

    def __init__(self, pair: Pair, state: State, mirror: Mirror, choose: random.Random) -> None:
        self.pair = pair
        self.state = state
        self.mirror = mirror
        self.choose = choose
        self.observers: list[Observer] = []
        self.requests: list[tuple[Any, bytes]] = []
        self.has_lost = False

    async def observe(self) -> None:
        message = Message(code=GET, uri=f"coap://{Pair.SERVER}/state", observe=0)
        self.observers.append(Observer(self.pair.client.context.request(message)))

    async def ask(self) -> None:
        body = b"%d-" % len(self.requests) * self.choose.choice([1, 10, 1000])
        message = Message(
            code=self.choose.choice([POST, PUT]),
            uri=f"coap://{Pair.SERVER}/mirror",
            payload=body,
            mtype=self.choose.choice([None, CON, NON]),
        )
        self.requests.append((self.pair.client.context.request(message), body))

    async def ask_for_nothing(self) -> None:
        message = Message(code=GET, uri=f"coap://{Pair.SERVER}/nothing")
        request = self.pair.client.context.request(message)
        self.requests.append((request, b""))

    async def cancel_request(self) -> None:
        if self.requests:
            self.choose.choice(self.requests)[0].response.cancel()

    async def cancel_observation(self) -> None:
        if self.observers:
            self.choose.choice(self.observers).request.observation.cancel()

    async def change(self) -> None:
        self.state.change()

    async def step(self) -> None:
        await self.choose.choice(
            [
                *(self.observe, self.ask, self.ask, self.ask_for_nothing, self.cancel_request),
                *(self.cancel_observation, self.change, self.change, self.change),
            ]
        )()

    def live(self, steps: int) -> None:
        for _ in range(steps):
            self.pair.clock.run(self.step())
            if self.choose.random() < 0.6:
                self.pair.clock.advance(self.choose.choice([0.0, 0.01, 1.0, 10.0]))

    def end(self) -> None:
        """Look at what came of all of it, once the network has become a good one."""
        assert self.pair.link is not None
        self.has_lost = self.pair.link.drop > 0
        self.pair.link.drop = 0.0
        self.pair.clock.advance(LONG)
        self.pair.clock.run(self.change())
        self.pair.clock.advance(LONG)
        live = [observer for observer in self.observers if observer.is_live]
        # Where no acknowledgement came through for long, the server has taken the client for gone.
        # There is one registration for all of them.
        is_known = bool(self.state.observations) or not live
        assert is_known or self.has_lost
        assert len(self.state.observations) == bool(live) or self.has_lost
        assert len(self.pair.client.context.registrations) == bool(live)
        for observer in self.observers:
            observer.check()
        for observer in live:
            assert observer.request.response.done()
            if is_known:
                assert observer.values[-1] == self.state.value, "the latest state is missing"
        for request, body in self.requests:
            assert request.response.done()
            if request.response.cancelled():
                continue
            failure = request.response.exception()
            if failure is not None:
                assert isinstance(failure, error.TimeoutError)
                continue
            message = request.response.result()
            if message.code == CHANGED:
                assert message.payload == body[::-1]
            else:
                # The server may have forgotten the first blocks while others were sent.
                slow = message.code == REQUEST_ENTITY_INCOMPLETE and len(body) > 1024
                assert slow or message.code == NOT_FOUND
        for observer in self.observers:
            observer.request.observation.cancel()
        self.pair.clock.advance(LONG)
        # Where registering again came after the end of it, the next notification tells the server.
        self.pair.clock.run(self.change())
        self.pair.clock.advance(LONG)
        assert self.state.observations == {}
        assert not self.state.counts or self.state.counts[-1] == 0
        assert is_at_rest(self.pair)


@given(link=links, seed=st.integers(0, 100_000), steps=st.integers(1, 40))
def test_any_life(link: Link, seed: int, steps: int) -> None:
    choose = random.Random(seed)
    state, mirror = State(choose), Mirror()
    with Pair(site_of(state=state, mirror=mirror), link, seed=seed) as pair:
        life = Life(pair, state, mirror, choose)
        life.live(steps)
        life.end()
        sent = {body for _, body in life.requests}
        assert set(mirror.bodies) <= sent, "bodies are mixed"
        assert len(mirror.bodies) == len(set(mirror.bodies)), "something was done twice"


@given(link=links, seed=st.integers(0, 100_000), steps=st.integers(1, 20))
def test_a_shutdown_at_any_moment(link: Link, seed: int, steps: int) -> None:
    choose = random.Random(seed)
    state, mirror = State(choose), Mirror()
    with Pair(site_of(state=state, mirror=mirror), link, seed=seed) as pair:
        life = Life(pair, state, mirror, choose)
        life.live(steps)
        first, second = choose.sample([pair.client, pair.server], 2)
        for end in (first, second):
            end.close()
            pair.clock.advance(1.0)
        for request, _ in life.requests:
            assert request.response.done()
        for observer in life.observers:
            observer.check()
            assert observer.request.response.done()
            assert not observer.is_live
        assert state.observations == {}
        pair.clock.advance(LONG)
        assert pair.is_quiet

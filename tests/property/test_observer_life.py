"""A day of an observer: whatever happens, it has the latest state, and comes to its end once.

The server crashes and comes back without any memory. A NAT between the two gives the client
another address, and what is sent to the old one is lost. Of all datagrams three in ten are lost,
others come twice or late. Time is virtual, and a day of it takes a fraction of a second; the seed
decides what happens when.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aiocoap import error
from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.numbers.constants import TransportTuning, Unreliable
from aiocoap.numbers.types import ACK, CON, NON, RST
from aiocoap.resource import ObservableResource, Site, hashing_etag
from tests.harness import Address, Clock, Endpoint, Link, empty_tables

SEEDS = 30
BATCHES = 3

DAY = 86_400.0
LONG = 700.0
"""Seconds after which nothing is under way any more."""

CLIENT = "[2001:db8::c]"
SERVER = "[2001:db8::5]"

PAUSE = 15.0
"""What a client waits after Max-Age at most (RFC 7641 section 3.3.1)."""

LATENCY = 5.0
"""Seconds that a datagram is under way at most."""

TUNING = TransportTuning()

ATTEMPT = TUNING.MAX_TRANSMIT_WAIT + 2 * LATENCY
"""Seconds after which an exchange has either worked or failed."""

STEP = 60.0
"""Seconds after which a look is taken."""


class Tuning(TransportTuning):
    """Addresses have to be proved, though they are not said to be global."""

    ADDRESS_PROOF = "all"


class State(ObservableResource):
    """What one life of a server knows of the world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    async def render_get(self, request: Message) -> Message:
        world = self.world
        if world.delay:
            await asyncio.sleep(world.delay)
        response = Message(
            code=CONTENT,
            payload=world.value,
            max_age=world.max_age,
            transport_tuning=world.reliability,
        )
        if world.has_etags:
            hashing_etag(request, response)
        return response


class Observer:
    """An application that observes, and begins anew when that fails."""

    def __init__(self, world: World, iterates: bool) -> None:
        self.world = world
        self.iterates = iterates
        self.request: Any = None
        self.task: asyncio.Task[None] | None = None
        self.serial = -1
        self.states: list[str] = []
        self.errors: list[BaseException] = []
        self.ends = 0
        # How many observations there were.
        self.begun = 0
        # How often anybody had asked when it was fresh.
        self.asked = 0

    @property
    def is_live(self) -> bool:
        return self.request is not None and not self.request.observation.cancelled

    @property
    def failures(self) -> int:
        """How often in a row it was tried in vain to register again."""
        observer = self.request.observation._driver
        return 0 if observer is None else observer.registration._upkeep._failures

    async def begin(self) -> None:
        message = Message(code=GET, uri=f"coap://{SERVER}/state", observe=0)
        world = self.world
        self.request = request = world.client.context.request(message)
        observation = request.observation
        self.begun += 1
        self.states = []
        self.errors = []
        self.ends = 0
        request.response.add_done_callback(self._respond)
        if self.iterates:
            self.task = asyncio.create_task(self._iterate(observation))
        else:
            observation.register_callback(self._take)
            observation.register_errback(self.errors.append)
        observation.register_statecallback(self._become)
        world.asked += 1
        observation.on_cancel(self._end)

    def _respond(self, response: asyncio.Future[Message]) -> None:
        if not response.cancelled() and response.exception() is None:
            # Whoever iterates may have had a notification in the same turn of the loop.
            serial = int(response.result().payload.split()[0])
            if serial >= self.serial or not self.iterates:
                self._take(response.result())

    async def _iterate(self, observation: Any) -> None:
        try:
            async for message in observation:
                self._take(message)
        except error.Error as problem:
            self.errors.append(problem)

    def _take(self, message: Message) -> None:
        words = message.payload.split()
        serial = int(words[0])
        # What callbacks raise nobody gets to see.
        if len(set(words)) != 1:
            self.world.problems.append("two states are mixed")
        if serial < self.serial:
            self.world.problems.append("an older state came after a newer one")
        self.serial = serial

    def _become(self, state: str) -> None:
        self.states.append(state)
        if state == "fresh":
            self.asked = self.world.asked

    def _end(self) -> None:
        self.ends += 1

    def look(self) -> None:
        """Take a look at what the observer has."""
        observation = self.request.observation
        if observation.cancelled:
            self.check_end()
            assert len(self.errors) == 1
            return
        assert self.ends == 0
        assert self.errors == []
        if observation.state == "registering":
            return
        world = self.world
        lag = world.clock.now - world.outdated_since(self.serial)
        # An answer may be that to a request's first transmission.
        freshness = world.max_age + ATTEMPT * world.blocks
        if observation.state == "fresh":
            assert lag <= freshness, "it says that it is fresh, and is not"
        count = self.failures
        retries = count * ATTEMPT + PAUSE * ((1 << count) - 1)
        # Whoever asks has it tried at once, which does not count.
        retries += (world.asked - self.asked) * (ATTEMPT + PAUSE * (1 << count))
        assert lag <= freshness + PAUSE + ATTEMPT * world.blocks + retries, "the state is missing"

    def check_end(self) -> None:
        """Look whether the observation's end was told once."""
        assert self.ends == 1
        assert len(self.errors) <= 1
        assert self.states[-1] == "over"
        assert self.states.count("over") == 1
        for before, after in zip(self.states, self.states[1:], strict=False):
            assert before != after


class Wire:
    """What one life of a server has sent to one observer."""

    def __init__(self, pipe: Any, now: float) -> None:
        self.pipe = pipe
        self.confirmed = now
        self.mids: dict[tuple[bool, int], float] = {}


class World:
    """A client, one server after another, and what is between them.

    Args:
        seed: Of everything.
    """

    def __init__(self, seed: int) -> None:
        random.seed(seed)
        self.choose = choose = random.Random(seed)
        self.clock = Clock()
        self.link = Link(
            seed,
            drop=0.3,
            duplicate=choose.choice([0.0, 0.2]),
            delay=choose.choice([0.01, 0.1, LATENCY / 10]),
            reorder=choose.choice([0.0, 0.3]),
        )
        self.max_age = choose.choice([60, 300, 1200])
        self.has_etags = choose.random() < 0.5
        # Whether notifications are confirmable in any case, and how long it takes to make them.
        self.reliability = choose.choice([None, Unreliable])
        self.delay = choose.choice([0.0, 0.0, 0.05, 2.0])
        # Whether the server is silent for longer than anybody would wait.
        self.is_hard = self.reliability is not None and self.delay > TUNING.EMPTY_ACK_DELAY
        self.tells_errors = choose.random() < 0.5
        self.changes: list[float] = [self.clock.now]
        self.tuning, self.size, self.blocks = choose.choice(
            [
                (None, 1, 1),
                (None, 3000, 3),
                # As long as it is not proved, blocks are as small as can be.
                (Tuning, 96, 7),
            ]
        )
        # The address that the NAT has given to the client.
        self.outer = CLIENT
        self.outers = 1
        self.arriving = 0
        self.client = Endpoint(CLIENT, self._from_client, self.clock, tuning=self.tuning)
        self.server: Endpoint | None = None
        self.state: State | None = None
        self.wires: dict[tuple[Endpoint, str, bytes], Wire] = {}
        self.problems: list[str] = []
        # How often somebody asked.
        self.asked = 0
        # The tokens of what has reached the client, by Message ID.
        self.tokens: dict[bytes, bytes] = {}
        self.seen: Counter[str] = Counter()
        self.start()
        self.observers = [
            Observer(self, iterates=choose.random() < 0.5)
            for _ in range(choose.choice([1, 1, 2, 3]))
        ]

    # The state

    @property
    def value(self) -> bytes:
        serial = len(self.changes) - 1
        return b"%07d " % serial * (1 if serial % 3 else max(self.size // 8, 1))

    def change(self) -> None:
        self.changes.append(self.clock.now)
        if self.state is not None:
            self.clock.loop.call_soon(self.state.updated_state)

    def outdated_since(self, serial: int) -> float:
        """Return when a state was followed by another one, or now if it is the latest."""
        following = serial + 1
        return self.changes[following] if following < len(self.changes) else self.clock.now

    # The server

    def start(self) -> None:
        self.state = State(self)
        site = Site()
        site.add_resource(["state"], self.state)
        self.server = Endpoint(SERVER, self._from_server, self.clock, site=site, tuning=self.tuning)

    def crash(self) -> None:
        server, self.server, self.state = self.server, None, None
        assert server is not None
        # What it says meanwhile nobody hears.
        server.close()

    # The network

    def rebind(self) -> None:
        self.outer = f"[2001:db8::c]:{40_000 + self.outers}"
        self.outers += 1

    def _from_client(self, raw: bytes, remote: EndpointAddress) -> None:
        assert remote.hostinfo == SERVER
        if raw[0] >> 4 & 3 == RST:
            token = self.tokens.get(raw[2:4])
            for observer in self.observers:
                driver = observer.is_live and observer.request.observation._driver
                assert not driver or driver.registration.token != token, "it rejects news"
        for delay in self.link.delays():
            self._later(delay, self._to_server, raw, self.outer)

    def _to_server(self, raw: bytes, source: str) -> None:
        if self.server is not None:
            self.server.receive(raw, source)
        elif self.tells_errors and source == self.outer:
            self.client.manager.dispatch_error(errno.ECONNREFUSED, Address(SERVER, CLIENT))

    def _from_server(self, raw: bytes, remote: EndpointAddress) -> None:
        server = self.server
        if server is None:
            return
        self._write_down(server, raw, remote)
        for delay in self.link.delays():
            self._later(delay, self._to_client, server, raw, remote)

    def _to_client(self, server: Endpoint, raw: bytes, remote: EndpointAddress) -> None:
        if remote.hostinfo == self.outer:
            self.tokens[raw[2:4]] = raw[4 : 4 + (raw[0] & 15)]
            self.client.receive(raw, SERVER)
        elif self.tells_errors and server is self.server:
            server.manager.dispatch_error(errno.ECONNREFUSED, remote)

    def _later(self, delay: float, function: Callable[..., None], *arguments: Any) -> None:
        self.arriving += 1
        self.clock.loop.call_later(delay, self._arrive, function, arguments)

    def _arrive(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.arriving -= 1
        function(*arguments)

    def _write_down(self, server: Endpoint, raw: bytes, remote: EndpointAddress) -> None:
        """Look at what a server sends to its observers."""
        message = Message.decode(raw)
        assert message.mid is not None
        if not message.code.is_successful() or message.opt.observe is None:
            return
        now, key = self.clock.now, (server, remote.hostinfo, message.token)
        wire, pipe = self.wires.get(key), self.pipe(*key)
        if wire is None or wire.pipe is not pipe:
            wire = self.wires[key] = Wire(pipe, now)
        if message.mtype is CON:
            self.seen["confirmable"] += 1
        elif message.mtype is NON:
            self.seen["not"] += 1
        if message.mtype is CON:
            wire.confirmed = now
        # The acknowledgements have the client's numbers, and go with its duplicates as well.
        known, number = wire.mids, (message.mtype is ACK, message.mid)
        while known and known[next(iter(known))] < now - TUNING.EXCHANGE_LIFETIME:
            del known[next(iter(known))]
        if message.mtype is CON and number in known:
            assert number == [*known][-1], "an older notification is sent again after a newer one"
        known.setdefault(number, now)
        peer = server.heart._peers.get(remote)
        assert peer is None or peer.outstanding <= 1, "several notifications are outstanding"

    def pipe(self, server: Endpoint, name: str, token: bytes) -> Any:
        """Return what stands for an observer at a server, or None where it is none."""
        if server is not self.server:
            return None
        pipe = server.tokens.incoming_requests.get((token, Address(name, SERVER)))
        return pipe if pipe is not None and pipe.is_observing else None

    # A life

    def plan(self, duration: float) -> list[tuple[float, str]]:
        """Return what happens when."""
        choose = self.choose
        events = [(at * STEP, "look") for at in range(1, int(duration / STEP))]
        rate = 1 / choose.choice([30.0, 300.0, 3600.0])
        at = choose.expovariate(rate)
        while at < duration:
            events.append((at, "change"))
            at += choose.expovariate(rate)
        for _ in range(choose.choice([0, 10, 50])):
            at = choose.random() * duration
            events += [(at + choose.random() * 2 * LATENCY, "change") for _ in range(10)]
        for _ in range(choose.choice([0, 0, 1, 4])):
            events.append((choose.random() * duration, "rebind"))
        for _ in range(choose.choice([0, 0, 5, 30])):
            events.append((choose.random() * duration, "leave"))
        at = 0.0
        for _ in range(choose.choice([0, 0, 1, 3])):
            at += choose.random() * duration / 3
            events.append((at, "crash"))
            # For long enough, what is under way comes from the life before.
            outage = choose.choice([1, 1, 30, 250, 2 * 3600])
            at += LATENCY + outage
            self.is_hard = self.is_hard or outage > 3600
            events.append((at, "start"))
        return sorted(events)

    def live(self, duration: float) -> None:
        began = self.clock.now
        for at, event in self.plan(duration):
            if began + at > self.clock.now:
                self.clock.advance(began + at - self.clock.now)
            getattr(self, event)()
        if self.server is None:
            self.start()

    def look(self) -> None:
        now = self.clock.now
        self.clock.settle()
        assert self.problems == []
        for observer in self.observers:
            if observer.request is not None:
                observer.look()
            if not observer.is_live:
                if observer.request is not None:
                    assert self.is_hard or observer.states == ["over"], "it was given up too early"
                self.clock.run(observer.begin())
        for key, wire in self.wires.items():
            if wire.pipe is not None and self.pipe(*key) is wire.pipe:
                assert now - wire.confirmed <= DAY, "an observer was not asked for a day"

        live = [observer for observer in self.observers if observer.is_live]
        if live:
            # One registration is for all of them.
            (registration,) = self.client.context.registrations.values()
            for observer in live:
                assert observer.request.observation._driver.registration is registration
            self.seen["shared"] += len(live) > 1

    def leave(self) -> None:
        """Have one of the observers lose its interest; it comes back soon."""
        self._leave(self.choose.choice(self.observers))
        self.clock.settle()

    def _leave(self, observer: Observer) -> None:
        """Cancel an observation in one way or another."""
        if not observer.is_live:
            return
        observation, observer.request = observer.request.observation, None
        task, observer.task = observer.task, None
        if task is not None:
            task.cancel()
        if task is None or self.choose.random() < 0.5:
            observation.cancel()
            observer.check_end()
        # Else nobody holds it any more.

    def end(self) -> None:
        """Have everybody leave, and look what is left."""
        for observer in self.observers:
            self._leave(observer)
        self.clock.settle()
        gc.collect()
        self.clock.settle()
        self.link.drop = 0.0
        self.clock.advance(LONG)
        # Where the server could not be told, the next notification does that.
        self.change()
        self.clock.advance(LONG)
        assert all(self.pipe(*key) is None for key in self.wires if key[1] == self.outer)
        # Whoever is gone without a word is asked once in a day.
        self.clock.advance(DAY + LONG)
        assert self.is_at_rest()
        assert self.problems == []

    def is_at_rest(self) -> bool:
        assert self.server is not None
        assert self.state is not None
        return (
            not self.arriving
            and self.state.observations == {}
            and all(
                empty_tables(end)
                and not end.tokens.observers
                and not len(end.context._responder._uploads)
                and not len(end.context._responder._bodies)
                and not end.context._responder._tasks
                and not end.context._tasks
                and end.context.registrations == {}
                # Proofs are not taken back, but forgotten when there are too many.
                and len(end.context.address_proof) <= self.outers
                for end in (self.client, self.server)
            )
        )

    def close(self) -> None:
        assert self.server is not None
        self.client.close()
        self.server.close()
        self.clock.close()


def life(seed: int) -> World:
    world = World(seed)
    world.live(DAY * world.choose.choice([1.0, 1.0, 1.3]))
    world.end()
    world.close()
    return world


@pytest.mark.parametrize("number", range(BATCHES))
def test_an_observers_life(number: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(number, SEEDS, BATCHES):
        world = life(seed)
        seen += world.seen
        seen["begun"] += sum(observer.begun for observer in world.observers)
    # All kinds of things have happened.
    assert seen["confirmable"] > 0
    assert seen["not"] > 0
    assert seen["shared"] > 0
    assert seen["begun"] > SEEDS / BATCHES

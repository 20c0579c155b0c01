"""A thousand terrible networks: whatever they do, both ends come to rest and agree.

Datagrams are lost, repeated, delayed and reordered; the seed decides how badly. Time is virtual.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aiocoap import error
from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.numbers.codes import CHANGED, POST
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable
from aiocoap.resource import Resource, Site
from tests.harness import Address, Floor, Link, Pair, empty_tables

RUNS = 1000
BATCHES = 10
REQUESTS = 6

# Longer than any life of anything, with what the network holds back.
LONG = 2000.0


def terrible_link(seed: int) -> Link:
    """Return a network whose badness depends on the seed."""
    choose = random.Random(seed).choice
    return Link(
        seed,
        drop=choose([0.0, 0.1, 0.3, 0.6]),
        duplicate=choose([0.0, 0.2, 0.5]),
        # Up to ten times as much for those that others overtake; MAX_LATENCY is 100 seconds.
        delay=choose([0.001, 0.05, 0.5, 3.0, 10.0]),
        reorder=choose([0.0, 0.3, 0.8]),
    )


def batch(number: int) -> range:
    return range(number, RUNS, BATCHES)


class Server(Floor):
    """Answers at once or late, and counts how often it acts on what."""

    def __init__(self, pair: Pair, choose: random.Random) -> None:
        super().__init__()
        self.pair = pair
        self.choose = choose
        self.runs: Counter[bytes] = Counter()

    def process_request(self, request: Message) -> None:
        self.runs[request.payload] += 1
        delay = self.choose.choice([0.0, 0.0, 0.05, 0.5, 4.0, 40.0])
        response = Message(code=CHANGED, payload=request.payload)
        if delay:
            self.pair.clock.loop.call_later(delay, self.respond, request, response)
        else:
            self.respond(request, response)


class Client(Floor):
    """Sends requests, and stops when there is an answer, trouble, or no patience left."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair
        self.stops: dict[bytes, Callable[[], None]] = {}
        self.outcomes: dict[bytes, str] = {}

    def send(self, number: int, tuning: type[TransportTuning]) -> None:
        token = bytes([number])
        request = Message(code=POST, payload=token, token=token, transport_tuning=tuning)
        request.remote = Address(Pair.SERVER, Pair.CLIENT)
        assert self.manager is not None
        stop = self.manager.send_message(request, lambda: self.settle(token, "rejected"))
        assert stop is not None
        self.stops[token] = stop
        self.pair.clock.loop.call_later(150, self.settle, token, "timeout")

    def settle(self, token: bytes, outcome: str) -> None:
        if token in self.outcomes:
            return
        self.outcomes[token] = outcome
        self.stops.pop(token)()

    def process_response(self, response: Message) -> bool:
        if response.token in self.outcomes:
            return False
        assert response.payload == response.token
        self.settle(response.token, "answered")
        return True

    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None:
        assert isinstance(errno, error.ConRetransmitsExceeded)
        for token in list(self.stops):
            self.settle(token, "silence")


def managers_in_a_terrible_network(seed: int) -> Counter[str]:
    choose = random.Random(seed)
    with Pair(link=terrible_link(seed), seed=seed) as pair:
        client, server = Client(pair), Server(pair, choose)
        for end, floor in ((pair.client, client), (pair.server, server)):
            floor.manager = end.manager
            end.manager.token_manager = floor
            end.manager._process_request = floor.process_request
        for number in range(REQUESTS):
            client.send(number, choose.choice([Reliable, Unreliable]))
            if choose.random() < 0.5:
                pair.clock.advance(choose.random() * 5)
        pair.clock.advance(LONG)
        assert pair.is_quiet
        assert empty_tables(pair.client), seed
        assert empty_tables(pair.server), seed
        assert len(client.outcomes) == REQUESTS
        assert set(server.runs.values()) <= {1}, (seed, server.runs)
        for token, outcome in client.outcomes.items():
            # What was answered had been asked; the converse is what networks can break.
            assert server.runs[token] == 1 or outcome != "answered"
        return Counter(client.outcomes.values())


@pytest.mark.parametrize("number", range(BATCHES))
def test_managers_in_terrible_networks(number: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in batch(number):
        outcomes += managers_in_a_terrible_network(seed)
    # The networks are bad, but not so bad that nothing were tested; nothing is ever rejected,
    # as nobody forgets what the other still waits for.
    assert outcomes["answered"] > outcomes.total() / 2
    assert outcomes["timeout"] > 0
    assert outcomes["rejected"] == 0


class Counting(Resource):
    """Answers at once or late, and counts how often it acts on what."""

    def __init__(self, pair_clock: Callable[[], Any], choose: random.Random) -> None:
        super().__init__()
        self.sleep = pair_clock
        self.choose = choose
        self.runs: Counter[bytes] = Counter()

    async def render_post(self, request: Message) -> Message:
        self.runs[request.payload] += 1
        delay = self.choose.choice([0.0, 0.0, 0.05, 0.5, 4.0, 40.0])
        if delay:
            await self.sleep()(delay)
        return Message(code=CHANGED, payload=request.payload)


def contexts_in_a_terrible_network(seed: int) -> Counter[str]:
    from asyncio import sleep

    choose = random.Random(seed)
    counting = Counting(lambda: sleep, choose)
    site = Site()
    site.add_resource(["count"], counting)
    outcomes: Counter[str] = Counter()
    with Pair(site, terrible_link(seed), seed=seed) as pair:
        requests = []

        async def send(number: int) -> None:
            message = Message(
                code=POST,
                uri=f"coap://{Pair.SERVER}/count",
                payload=bytes([number]),
                transport_tuning=choose.choice([Reliable, Unreliable]),
            )
            requests.append(pair.client.context.request(message))

        for number in range(REQUESTS):
            pair.clock.run(send(number))
            if choose.random() < 0.5:
                pair.clock.advance(choose.random() * 5)
        pair.clock.advance(LONG)
        assert pair.is_quiet
        assert empty_tables(pair.client), seed
        assert empty_tables(pair.server), seed
        assert set(counting.runs.values()) <= {1}, (seed, counting.runs)
        for number, request in enumerate(requests):
            assert request.response.done()
            failure = request.response.exception()
            if failure is None:
                assert request.response.result().payload == bytes([number])
                assert counting.runs[bytes([number])] == 1
            else:
                assert isinstance(failure, error.TimeoutError)
            outcomes[type(failure).__name__] += 1
    return outcomes


@pytest.mark.parametrize("number", range(BATCHES))
def test_contexts_in_terrible_networks(number: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in batch(number):
        outcomes += contexts_in_a_terrible_network(seed)
    assert outcomes["NoneType"] > outcomes.total() / 2
    assert outcomes["ConRetransmitsExceeded"] > 0

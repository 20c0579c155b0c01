"""What the tests of the client half are made of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Hashable
from typing import Any

from aiocoap import error, interfaces
from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    GET,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import NON
from aiocoap.pipe import Phase, Pipe
from aiocoap.registration import Registration
from aiocoap.requester import BlockwiseRequest, ClientObservation
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


def group(**kwargs: Any) -> tuple[Network, BlockwiseRequest]:
    network = Network()
    network.remote = Remote("group")
    return network, network.ask(**kwargs)


def time_is_over(pipe: Pipe) -> None:
    pipe.add_exception(error.RequestTimedOut("no response within 10 seconds"))


async def payloads(request: Any) -> list[tuple[str, bytes]]:
    return [(response.remote.name, response.payload) async for response in request.responses]


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


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)

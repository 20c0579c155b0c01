"""What the tests of the server half are made of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiocoap import interfaces
from aiocoap.message import Direction, Message
from aiocoap.numbers.codes import (
    CONTENT,
    GET,
    Code,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON
from aiocoap.optiontypes import OpaqueOption
from aiocoap.pipe import Pipe
from aiocoap.protocol import Context
from aiocoap.resource import ObservableResource, Resource
from tests.harness import Address, Clock

LOG = logging.getLogger("tests.responder")
LARGE = bytes(range(256)) * 10


class Asked:
    """A request, and what came of it."""

    def __init__(self, request: Message) -> None:
        self.pipe = Pipe(request, LOG)
        self.got: list[Message] = []
        self.is_over = False
        self.end = self.pipe.on_event(self._on_event)

    def _on_event(self, event: Any) -> bool:
        assert event.exception is None
        if event.message is not None:
            # As the token floor does with what it sends.
            event.message.request = self.pipe.request
            event.message.remote = self.pipe.request.remote
            event.message.token = b"token"
            event.message.mid = 7
            event.message.mtype = ACK
            self.got.append(event.message)
        self.is_over = event.is_last
        return True

    @property
    def response(self) -> Message:
        """The only response."""
        assert self.is_over
        assert len(self.got) == 1
        return self.got[0]

    @property
    def latest(self) -> Message:
        """The last of several."""
        return self.got[-1]


class House:
    """A context without transports, on a clock that jumps."""

    def __init__(
        self, site: interfaces.Resource | None, tuning: TransportTuning | None = None
    ) -> None:
        self.clock = Clock()
        self.context = self.clock.run(self._build(site, tuning))

    async def _build(
        self, site: interfaces.Resource | None, tuning: TransportTuning | None
    ) -> Context:
        return Context(serversite=site, transport_tuning=tuning)

    def begin(
        self,
        code: Code = GET,
        *path: str,
        peer: str = "client",
        group: str | None = None,
        **kwargs: Any,
    ) -> Asked:
        """Let a request come in; nothing is done with it yet."""
        message = Message(code=code, uri_path=path, mtype=CON, mid=1, **kwargs)
        message.remote = Address(peer, "server", group)
        message.direction = Direction.INCOMING
        asked = Asked(message)
        self.clock.loop.call_soon(self.context.render_to_plumbing_request, asked.pipe)
        return asked

    def ask(self, *args: Any, **kwargs: Any) -> Asked:
        """Let a request come in, and do what can be done about it now."""
        asked = self.begin(*args, **kwargs)
        self.clock.settle()
        return asked

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """What is under way."""
        return list(asyncio.all_tasks(self.clock.loop))

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call something from within the loop, and do what comes of it."""
        self.clock.loop.call_soon(function, *args)
        self.clock.settle()

    def close(self) -> None:
        """Shut it down; nothing may be left."""
        self.clock.run(self.context.shutdown())
        assert self.tasks == []
        assert not [handle for handle in self.clock.loop._scheduled if not handle._cancelled]  # type: ignore[attr-defined]
        self.clock.close()

    def __enter__(self) -> House:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.clock.loop.close()


Handler = Callable[[Message], Awaitable[Any]]


class Calls(Resource):
    """Answers every method by a function."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler

    async def render(self, request: Message) -> Any:
        return await self._handler(request)


def says(response: Any) -> Calls:
    """A resource that always returns the very same thing."""

    async def handler(request: Message) -> Any:
        return response

    return Calls(handler)


def raises(problem: BaseException) -> Calls:
    """A resource that always fails."""

    async def handler(request: Message) -> Any:
        raise problem

    return Calls(handler)


class Gate(Resource):
    """A resource whose handlers wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.begun: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.done: list[bytes] = []

    async def render(self, request: Message) -> Message:
        self.begun.append(request.payload)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request.payload)
            raise
        self.done.append(request.payload)
        return Message(code=CONTENT, payload=request.payload)


class Raw(Resource):
    """Handles blocks by itself."""

    def __init__(self, payload: bytes = b"raw") -> None:
        super().__init__()
        self.payload = payload
        self.requests: list[Message] = []

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render(self, request: Message) -> Message:
        self.requests.append(request)
        return Message(code=CONTENT, payload=self.payload)


class Raw40(Raw):
    """One whose responses are not cut."""

    def __init__(self) -> None:
        super().__init__(bytes(40))


class State(ObservableResource):
    """Something to observe."""

    def __init__(self, payload: bytes = b"0") -> None:
        super().__init__()
        self.payload = payload
        self.code: Code | None = CONTENT
        self.counts: list[int] = []
        self.rendered = 0
        self.problem: BaseException | None = None
        self.delay = 0.0

    def set(self, payload: bytes) -> None:
        self.payload = payload
        self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        self.counts.append(newcount)

    async def _render(self, request: Message) -> Message:
        self.rendered += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.problem is not None:
            raise self.problem
        return Message(code=self.code, payload=self.payload)

    render_get = render_fetch = render_put = _render


def only(state: State) -> interfaces.ServerObservation:
    """The only observation of a resource."""
    (observation,) = state.observations
    return observation


def unknown(number: int) -> Callable[[Message], None]:
    return lambda message: message.opt.add_option(OpaqueOption(number, b"x"))


def ask_with(house: House, *numbers: int, **kwargs: Any) -> Asked:
    """Ask with options that have no names."""
    asked = house.begin(**kwargs)
    for number in numbers:
        asked.pipe.request.opt.add_option(OpaqueOption(number, b"x"))
    house.clock.settle()
    return asked

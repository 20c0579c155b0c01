"""The server half: handlers, what becomes of their results, blocks, and observations."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aiocoap import error, interfaces, responder
from aiocoap.message import Direction, Message, NoResponse
from aiocoap.numbers.codes import (
    BAD_OPTION,
    BAD_REQUEST,
    CHANGED,
    CONTENT,
    CONTINUE,
    CREATED,
    DELETE,
    EMPTY,
    FETCH,
    FORBIDDEN,
    GET,
    INTERNAL_SERVER_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    POST,
    PROXYING_NOT_SUPPORTED,
    PUT,
    REQUEST_ENTITY_INCOMPLETE,
    REQUEST_ENTITY_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    UNAUTHORIZED,
    VALID,
    Code,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON, NON
from aiocoap.optiontypes import OpaqueOption
from aiocoap.pipe import Phase, Pipe
from aiocoap.protocol import Context
from aiocoap.resource import ObservableResource, Resource, Site
from aiocoap.responder import MAX_NOTIFICATIONS
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


# Handlers


def test_a_handler_that_returns_at_once() -> None:
    with House(says(Message(code=CONTENT, payload=b"hello"))) as house:
        asked = house.ask()
        assert asked.response.code == CONTENT
        assert asked.response.payload == b"hello"
        assert house.tasks == []


def test_what_comes_together_is_served_by_one_task_in_its_order() -> None:
    tasks = []

    async def handler(request: Message) -> Message:
        tasks.append(asyncio.current_task())
        return Message(code=CONTENT, payload=request.payload)

    with House(Calls(handler)) as house:
        asked = [house.begin(payload=bytes([n])) for n in range(5)]
        house.clock.settle()
        assert [one.response.payload for one in asked] == [bytes([n]) for n in range(5)]
        assert len(set(tasks)) == 1


def test_who_waits_does_not_keep_the_others_waiting() -> None:
    gate = Gate()
    with House(gate) as house:
        asked = [house.begin(payload=bytes([n])) for n in range(3)]
        house.clock.settle()
        assert len(gate.begun) == 3
        assert len(house.tasks) == 3
        assert not asked[0].got
        house.call(gate.gate.set)
        assert [one.response.payload for one in asked] == [b"\0", b"\1", b"\2"]
        assert house.tasks == []


def test_a_handler_of_many_steps() -> None:
    async def handler(request: Message) -> Message:
        text = ""
        for step in range(3):
            await asyncio.sleep(0)
            await asyncio.sleep(1)
            text += str(step)
        return Message(code=CONTENT, payload=text.encode())

    with House(Calls(handler)) as house:
        asked = house.ask()
        house.clock.advance(2.9)
        assert not asked.got
        house.clock.advance(0.2)
        assert asked.response.payload == b"012"


def test_exceptions_are_thrown_into_handlers() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise KeyError("inner")

    async def handler(request: Message) -> Message:
        caught = []
        for _ in range(2):
            try:
                await asyncio.gather(fails(), asyncio.sleep(1))
            except KeyError as problem:
                caught.append(str(problem))
        return Message(code=CONTENT, payload="".join(caught).encode())

    with House(Calls(handler)) as house:
        asked = house.ask()
        house.clock.advance(3)
        assert asked.response.payload == b"'inner''inner'"


def test_an_exception_that_was_handled_is_let_go() -> None:
    died: list[object] = []

    class Inner(Exception):
        pass

    async def handler(request: Message) -> Message:
        failing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failing.set_exception, Inner())
        try:
            await failing
        except Inner as problem:
            weakref.finalize(problem, died.append, True)
        del failing
        await asyncio.sleep(1)
        return Message(code=CONTENT)

    with House(Calls(handler)) as house:
        gc.collect()
        gc.disable()
        try:
            asked = house.ask()
            assert died == [True], "it is kept by a cycle of references"
        finally:
            gc.enable()
        house.clock.advance(2)
        assert asked.response.code == CONTENT


@pytest.mark.parametrize("waits", [False, True])
def test_timeouts_work_in_handlers(waits: bool) -> None:
    async def handler(request: Message) -> Message:
        if waits:
            await asyncio.sleep(1)
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(2):
                await asyncio.sleep(100)
        except TimeoutError:
            assert task is asyncio.current_task()
            assert not task.cancelling()
            return Message(code=CONTENT, payload=b"timeout")
        raise AssertionError

    with House(Calls(handler)) as house:
        asked = house.ask()
        house.clock.advance(4)
        assert asked.response.payload == b"timeout"


def test_task_groups_work_in_handlers() -> None:
    async def part(n: int) -> int:
        await asyncio.sleep(n)
        return n

    async def handler(request: Message) -> Message:
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part(n)) for n in range(3)]
        return Message(code=CONTENT, payload=bytes(part.result() for part in parts))

    with House(Calls(handler)) as house:
        asked = house.ask()
        house.clock.advance(4)
        assert asked.response.payload == bytes(range(3))


def test_tasks_begun_by_a_handler_may_outlive_it() -> None:
    heard = []

    async def later() -> None:
        await asyncio.sleep(1)
        heard.append(1)

    tasks = set()

    async def handler(request: Message) -> Message:
        tasks.add(asyncio.get_running_loop().create_task(later()))
        return Message(code=CHANGED)

    with House(Calls(handler)) as house:
        assert house.ask().response.code == CHANGED
        house.clock.advance(2)
        assert heard == [1]


# Context variables

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


@pytest.mark.parametrize("when", ["returns", "waits", "waits later"])
def test_context_variables_of_one_handler_are_not_the_next_ones(when: str) -> None:
    found = []

    async def handler(request: Message) -> Message:
        found.append(VARIABLE.get())
        VARIABLE.set("mine")
        if when != "returns":
            await asyncio.sleep(1)
            assert VARIABLE.get() == "mine", "a handler keeps its own"
        return Message(code=CONTENT)

    with House(Calls(handler)) as house:
        asked = [house.begin() for _ in range(3)]
        if when == "waits later":
            house.clock.settle()
            asked += [house.begin() for _ in range(3)]
        house.clock.advance(2)
        asked.append(house.ask())
        house.clock.advance(2)
        assert found == ["none"] * len(asked)
        assert all(one.response.code == CONTENT for one in asked)
        assert VARIABLE.get() == "none"


def test_context_variables_of_the_server_are_there() -> None:
    found = []

    async def handler(request: Message) -> Message:
        found.append(VARIABLE.get())
        VARIABLE.set("changed")
        return Message(code=CONTENT)

    with House(Calls(handler)) as house:

        def arrive() -> None:
            VARIABLE.set("the server's")
            for _ in range(3):
                house.begin()

        contextvars.copy_context().run(arrive)
        house.clock.settle()
        assert found == ["the server's"] * 3


# Ends that are not normal


def test_an_eager_task_factory() -> None:
    """Python 3.12 has one: tasks run up to where they wait before they are known to anybody."""
    gate = Gate()
    with House(gate) as house:
        loop = house.clock.loop
        create_task = asyncio.BaseEventLoop.create_task

        def eager(coroutine: Any, **kwargs: Any) -> Any:
            # Close enough: it has run when the caller gets it.
            task = create_task(loop, coroutine)
            ready, loop._ready = loop._ready, type(loop._ready)()  # type: ignore[attr-defined]
            handle = ready.pop()
            loop._ready = ready  # type: ignore[attr-defined]
            handle._run()
            return task

        house.context._responder._create_task = eager
        asked = [house.ask(payload=b"1"), house.ask(payload=b"2")]
        assert gate.begun == [b"1", b"2"]
        house.call(gate.gate.set)
        asked.append(house.ask(payload=b"3"))
        assert [one.response.payload for one in asked] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("steps", [0, 1])
def test_a_failure_is_answered_without_its_text_and_logged_with_it(
    steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Message) -> Message:
        for _ in range(steps):
            await asyncio.sleep(1)
        raise ValueError("the secret of the house")

    with House(Calls(handler)) as house:
        asked = house.begin()
        other = house.begin()
        house.clock.advance(2)
    assert asked.response.code == other.response.code == INTERNAL_SERVER_ERROR
    assert asked.response.payload == b""
    assert len(caplog.records) == 2
    assert "the secret of the house" in caplog.text
    assert caplog.records[0].levelname == "ERROR"


def test_strangers_can_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with House(raises(ValueError("again"))) as house:
        asked = [house.ask() for _ in range(200)]
        assert all(one.response.code == INTERNAL_SERVER_ERROR for one in asked)
        assert len(caplog.records) == responder.MAX_TRACEBACKS + 1
        house.clock.advance(60)
        house.ask()
        assert len(caplog.records) == responder.MAX_TRACEBACKS + 2


def test_errors_for_clients_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with House(raises(error.Forbidden("not you"))) as house:
        asked = house.ask()
        assert asked.response.code == FORBIDDEN
        assert asked.response.payload == b"not you"
    assert caplog.records == []


def test_an_error_that_can_not_be_rendered(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(error.RenderableError):
        def to_message(self) -> Message:
            raise ZeroDivisionError("inner")

    class Request(error.RenderableError):
        def to_message(self) -> Message:
            return Message(code=GET)

    class Nothing(error.RenderableError):
        def to_message(self) -> Message:
            return Message()

    for problem in (Broken(), Request(), Nothing(), error.RenderableError()):
        with House(raises(problem)) as house:
            assert house.ask().response.code == INTERNAL_SERVER_ERROR
    assert len(caplog.records) == 4
    assert "inner" in caplog.text


def test_an_error_may_keep_its_message() -> None:
    class Kept(error.RenderableError):
        message = Message(code=NOT_FOUND, payload=b"kept", no_response=0)

        def to_message(self) -> Message:
            return self.message

    with House(raises(Kept())) as house:
        for _ in range(3):
            response = house.ask().response
            assert response.payload == b"kept"
            assert response.opt.no_response is None
    assert Kept.message.opt.no_response == 0


@pytest.mark.parametrize("steps", [0, 1])
def test_a_handler_that_is_cancelled_by_what_it_waits_for(
    steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Message) -> Message:
        for _ in range(steps):
            await asyncio.sleep(1)
        raise asyncio.CancelledError

    with House(Calls(handler)) as house:
        asked = [house.begin(), house.begin()]
        house.clock.advance(2)
        assert [one.response.code for one in asked] == [INTERNAL_SERVER_ERROR] * 2
        assert house.tasks == []
    assert len(caplog.records) == 2


def test_a_handler_whose_future_is_cancelled() -> None:
    async def handler(request: Message) -> Message:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1, future.cancel)
        await future
        raise AssertionError

    with House(Calls(handler)) as house:
        asked = house.ask()
        house.clock.advance(2)
        assert asked.response.code == INTERNAL_SERVER_ERROR


def test_a_handler_that_is_cancelled_from_outside(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with House(gate) as house:
        asked = house.ask()
        (task,) = house.tasks
        house.call(task.cancel)
        assert task.cancelled()
        assert asked.got == []
        # It is forgotten: ending the request stops nothing.
        house.call(asked.end)
    assert caplog.records == []


def test_what_ends_the_process_goes_up() -> None:
    with House(raises(KeyboardInterrupt())) as house:
        house.begin()
        other = house.begin()
        with pytest.raises(KeyboardInterrupt):
            house.clock.settle()
        # The other one is not lost; it raises as well.
        with pytest.raises(KeyboardInterrupt):
            house.clock.settle()
        assert other.got == []
        house.clock.settle()
        for task in house.tasks:
            assert task.done()


# Nobody waits any more


def test_a_handler_stops_when_nobody_waits_for_it() -> None:
    gate = Gate()
    with House(gate) as house:
        asked = house.ask(payload=b"1")
        house.call(asked.end)
        assert gate.cancelled == [b"1"]
        assert house.tasks == []


def test_a_request_that_was_abandoned_before_it_began() -> None:
    gate = Gate()
    with House(gate) as house:
        asked = house.begin(payload=b"1")
        house.clock.loop.call_soon(asked.end)
        asked.pipe.on_interest_end(lambda: None)
        house.clock.settle()
        assert gate.cancelled == gate.begun == [b"1"]
        assert house.tasks == []


def test_what_was_answered_is_not_cancelled_by_the_end_of_its_pipe() -> None:
    done = []

    class Late(Resource):
        async def render_to_pipe(self, pipe: Pipe) -> None:  # type: ignore[override]
            await asyncio.sleep(1)
            pipe.add_response(Message(code=CONTENT), True)
            await asyncio.sleep(1)
            done.append(1)

    with House(Late()) as house:
        asked = house.ask()
        house.clock.advance(1.5)
        assert asked.response.code == CONTENT
        house.clock.advance(1)
        assert done == [1]
        assert house.tasks == []


def test_without_a_response_tokens_may_be_used_again_at_once() -> None:
    """RFC 7967 section 3.1: all of the requests are meant."""
    gate = Gate()
    with House(gate) as house:
        asked = house.ask(POST, payload=b"1", no_response=26)
        house.call(asked.end)
        asked = house.begin(POST, payload=b"2", no_response=26)
        asked.pipe.on_interest_end(lambda: None)
        house.clock.loop.call_soon(asked.end)
        house.clock.settle()
        assert gate.begun == [b"1", b"2"]
        house.call(gate.gate.set)
        assert gate.done == [b"1", b"2"]
        assert house.tasks == []


def test_too_many_requests_without_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "MAX_UNATTENDED", 10)
    gate = Gate()
    with House(gate) as house:
        for n in range(100):
            house.call(house.ask(POST, payload=bytes([n]), no_response=26).end)
        assert len(gate.begun) == 100
        assert gate.cancelled == [bytes([n]) for n in range(10, 100)]
        assert len(house.tasks) == 10


# What handlers return


@pytest.mark.parametrize(
    "returned",
    [
        None,
        b"bytes",
        Message(code=GET),
        Message(code=EMPTY),
        Message(payload=b"no code"),
        Message(code=CONTENT, payload=None),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_response(returned: Any, caplog: pytest.LogCaptureFixture) -> None:
    with House(says(returned)) as house:
        assert house.ask().response.code == INTERNAL_SERVER_ERROR
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None
    assert isinstance(caplog.records[0].exc_info[1], TypeError)


def test_the_old_way_to_say_nothing() -> None:
    with House(says(NoResponse)) as house:
        assert house.ask().response.code == EMPTY


def test_a_response_that_is_kept() -> None:
    kept = Message(code=CONTENT, payload=b"kept", etag=b"1", max_age=3)
    with House(says(kept)) as house:
        got = [house.ask(peer=f"client{n}").response for n in range(3)]
        assert [one.payload for one in got] == [b"kept"] * 3
        assert [one.opt.etag for one in got] == [b"1"] * 3
        assert len({id(one) for one in got}) == 3, "each is sent by itself"


def test_a_response_that_is_kept_is_as_new(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    kept = Message(code=CONTENT, payload=b"kept")

    def on_event(self: Asked, event: Any) -> bool:
        message = event.message
        seen.append((message.mtype, message.mid, message.token, message.remote, message.request))
        message.request, message.mid, message.mtype = self.pipe.request, 4711, NON
        message.token, message.remote = b"token", self.pipe.request.remote
        return True

    monkeypatch.setattr(Asked, "_on_event", on_event)
    with House(says(kept)) as house:
        for _ in range(3):
            house.ask()
    assert seen == [(None, None, b"", None, None)] * 3


def test_a_response_from_elsewhere_is_passed_on() -> None:
    received = Message(code=CONTENT, payload=b"far", mtype=CON, mid=3, token=b"x", observe=7)
    received.remote = Address("origin", "server")
    received.request = Message(code=GET)
    received.direction = Direction.INCOMING
    seen: list[Message] = []

    class Proxy(Calls):
        pass

    with House(Proxy(says(received)._handler)) as house:
        house.context._responder.failed = None  # type: ignore[assignment,method-assign]
        asked = house.begin()
        asked.end()
        asked = house.begin()
        asked.pipe.on_event(lambda event: seen.append(event.message.copy()) or True)  # type: ignore[func-returns-value]
        house.clock.settle()
        assert asked.response.payload == b"far"
        assert asked.response.opt.observe is None
        assert asked.response.direction is Direction.OUTGOING
    assert received.mid == 3
    assert received.opt.observe == 7
    assert received.remote == Address("origin", "server")


@pytest.mark.parametrize(
    ("assembles", "asked", "answered"),
    [
        (True, None, None),
        (True, (0, False, 2), (0, False, 2)),
        (False, None, None),
        (False, (4, False, 2), (9, False, 6)),
    ],
)
def test_blocks_of_another_request_are_not_passed_on(
    assembles: bool, asked: tuple[int, bool, int] | None, answered: tuple[int, bool, int] | None
) -> None:
    received = Message(code=CHANGED, mid=3, block1=(9, False, 6))

    class Forwarder(Resource):
        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return assembles

        async def render(self, request: Message) -> Message:
            return received

    with House(Forwarder()) as house:
        assert house.ask(PUT, payload=b"x", block1=asked).response.opt.block1 == answered


# What is asked of the server that it does not do


def test_a_context_without_a_site() -> None:
    with House(None) as house:
        assert house.ask().response.code == NOT_FOUND


def test_a_path_without_a_resource() -> None:
    with House(Site()) as house:
        assert house.ask(GET, "nothing").response.code == NOT_FOUND


@pytest.mark.parametrize("code", [DELETE, Code(31)])
def test_methods_that_are_not_there(code: Code) -> None:
    class OnlyGet(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=b"got")

    with House(OnlyGet()) as house:
        assert house.ask(code).response.code == METHOD_NOT_ALLOWED
        assert house.ask().response.payload == b"got"


class Counted(Resource):
    """Counts what it is asked."""

    def __init__(self, handled: frozenset[int] | None = frozenset()) -> None:
        super().__init__()
        self.handled_options = handled
        self.requests: list[Message] = []

    async def render(self, request: Message) -> Message:
        self.requests.append(request)
        return Message(code=CONTENT, payload=b"done")


def unknown(number: int) -> Callable[[Message], None]:
    return lambda message: message.opt.add_option(OpaqueOption(number, b"x"))


def ask_with(house: House, *numbers: int, **kwargs: Any) -> Asked:
    """Ask with options that have no names."""
    asked = house.begin(**kwargs)
    for number in numbers:
        asked.pipe.request.opt.add_option(OpaqueOption(number, b"x"))
    house.clock.settle()
    return asked


def test_critical_options_that_nobody_acts_on() -> None:
    resource = Counted()
    with House(resource) as house:
        response = ask_with(house, 65001).response
        assert response.code == BAD_OPTION
        assert b"65001" in response.payload
        assert resource.requests == []
        assert ask_with(house, 65000).response.code == CONTENT, "elective ones are ignored"
        assert ask_with(house, 9).response.code == BAD_OPTION, "OSCORE"


def test_critical_options_that_the_resource_acts_on() -> None:
    site = Site()
    site.add_resource(["some"], Counted(frozenset({65001})))
    site.add_resource(["all"], Counted(None))
    with House(site) as house:
        for path, numbers, code in (
            ("some", (65001,), CONTENT),
            ("some", (65001, 65003), BAD_OPTION),
            ("all", (65001, 65003), CONTENT),
            ("nothing", (65001,), BAD_OPTION),
        ):
            asked = house.begin(GET, path)
            for number in numbers:
                asked.pipe.request.opt.add_option(OpaqueOption(number, b"x"))
            house.clock.settle()
            assert asked.response.code == code, (path, numbers)


@pytest.mark.parametrize("option", ["proxy_uri", "proxy_scheme"])
def test_an_origin_server_is_no_proxy(option: str) -> None:
    resource = Counted()
    with House(resource) as house:
        value = "coap://elsewhere/" if option == "proxy_uri" else "http"
        assert house.ask(**{option: value}).response.code == PROXYING_NOT_SUPPORTED
        assert resource.requests == []
    for handled in (frozenset({35, 39}), None):
        with House(Counted(handled)) as house:
            assert house.ask(**{option: value}).response.code == CONTENT


@pytest.mark.parametrize(
    "occurrences",
    [
        [(35, b"")],
        [(35, b"coap://" + bytes(1028))],
        [(39, b"")],
        [(39, b"http"), (39, b"http")],
        [(35, b"coap://elsewhere/"), (65001, b"")],
    ],
)
def test_malformed_wishes_for_a_proxy_are_bad_options(occurrences: list[tuple[int, bytes]]) -> None:
    resource = Counted()
    with House(resource) as house:
        asked = house.begin()
        for number, raw in occurrences:
            asked.pipe.request.opt.add_option(OpaqueOption(number, raw))
        house.clock.settle()
        assert asked.response.code == BAD_OPTION
        assert resource.requests == []


@pytest.mark.parametrize(
    ("occurrences", "code"),
    [
        ([b"\x01"], CONTENT),
        ([b"\xff"], CONTENT),
        ([b"\0"], BAD_REQUEST),
        # Not a length that the option has, but a number of hops that there can not be.
        ([b""], BAD_REQUEST),
        ([b"\1\0"], BAD_REQUEST),
        # A second one is not looked at.
        ([b"\x10", b"\0"], CONTENT),
        ([b"\0", b"\x10"], BAD_REQUEST),
    ],
)
@pytest.mark.parametrize("has_own_way", [False, True])
def test_hop_limits_out_of_range(occurrences: list[bytes], code: Code, has_own_way: bool) -> None:
    class Own(interfaces.Resource):
        async def render_to_pipe(self, pipe: Pipe) -> None:
            pipe.add_response(Message(code=CONTENT), True)

    with House(Own() if has_own_way else says(Message(code=CONTENT))) as house:
        asked = house.begin()
        for raw in occurrences:
            asked.pipe.request.opt.add_option(OpaqueOption(16, raw))
        house.clock.settle()
        assert asked.response.code == code


@pytest.mark.parametrize("reserved", [128, 132, 136, 140])
def test_locations_that_there_may_be_one_day(reserved: int) -> None:
    resource = Counted()
    with House(resource) as house:
        for location in (8, 20):
            assert ask_with(house, location, reserved).response.code == BAD_OPTION
        assert resource.requests == []
        # Each of them alone is an elective option that a request does not have.
        assert ask_with(house, reserved).response.code == CONTENT
        assert ask_with(house, 8, 20, reserved + 1024).response.code == CONTENT


def test_a_site_that_fails_to_find_a_resource(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Site):
        def resolve(self, request: Message) -> Any:
            raise ZeroDivisionError

    with House(Broken()) as house:
        assert house.ask().response.code == INTERNAL_SERVER_ERROR
        assert ask_with(house, 65001).response.code == INTERNAL_SERVER_ERROR
    assert len(caplog.records) == 2


# No-Response, and groups


@pytest.mark.parametrize(
    ("asked", "said", "code", "is_sent"),
    [
        (None, None, CONTENT, True),
        (2, None, CONTENT, False),
        (2, None, NOT_FOUND, True),
        (8, None, NOT_FOUND, False),
        (8, None, CONTENT, True),
        (16, None, SERVICE_UNAVAILABLE, False),
        (26, None, CONTENT, False),
        (0, None, CONTENT, True),
        # What the resource says goes before it.
        (None, 2, CONTENT, False),
        (26, 0, CONTENT, True),
        (26, 0, NOT_FOUND, True),
        (2, 8, CONTENT, True),
    ],
)
@pytest.mark.parametrize("is_raised", [False, True])
def test_no_response(
    asked: int | None, said: int | None, code: Code, is_sent: bool, is_raised: bool
) -> None:
    message = Message(code=code, no_response=said)

    class Problem(error.RenderableError):
        def to_message(self) -> Message:
            return message

    with House(raises(Problem()) if is_raised else says(message)) as house:
        for _ in range(2):
            response = house.ask(no_response=asked).response
            assert response.code == (code if is_sent else EMPTY)
            assert response.opt.no_response is None


def test_no_response_to_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    with House(raises(ValueError())) as house:
        assert house.ask(no_response=16).response.code == EMPTY
    assert len(caplog.records) == 1, "the operator wants to know all the same"


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (says(Message(code=CONTENT)), CONTENT),
        (says(Message(code=NOT_FOUND)), EMPTY),
        (raises(error.Forbidden()), EMPTY),
        (Site(), EMPTY),
        (None, EMPTY),
        (says(Message(code=CONTENT, no_response=2)), EMPTY),
    ],
)
def test_errors_are_no_answers_to_groups(resource: Resource | None, code: Code) -> None:
    with House(resource) as house:
        assert house.ask(group="[ff02::fd]").response.code == code


@pytest.mark.parametrize(
    ("asked", "code", "is_sent"),
    [
        (0, NOT_FOUND, True),
        (2, NOT_FOUND, True),
        (2, CONTENT, False),
        (8, NOT_FOUND, False),
        (8, SERVICE_UNAVAILABLE, True),
        (0, CONTENT, True),
    ],
)
def test_groups_get_the_errors_that_they_ask_for(asked: int, code: Code, is_sent: bool) -> None:
    with House(says(Message(code=code))) as house:
        response = house.ask(no_response=asked, group="[ff02::fd]").response
        assert response.code == (code if is_sent else EMPTY)


@pytest.mark.parametrize(
    ("multicast", "response", "code", "calls"),
    [
        (None, CONTENT, CONTENT, 1),
        (None, NOT_FOUND, EMPTY, 1),
        (True, CONTENT, CONTENT, 1),
        (True, NOT_FOUND, NOT_FOUND, 1),
        (False, CONTENT, EMPTY, 0),
        (False, NOT_FOUND, EMPTY, 0),
    ],
)
@pytest.mark.parametrize("is_raised", [False, True])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_resources_choose_what_groups_get(
    multicast: bool | None,
    response: Code,
    code: Code,
    calls: int,
    is_raised: bool,
    is_wrapped: bool,
) -> None:
    asked = []

    async def handler(request: Message) -> Message:
        asked.append(request)
        if is_raised and not response.is_successful():
            raise error.NotFound
        return Message(code=response)

    class Wrapped(Site):
        """Stands in the way of all requests, and chooses for all of them."""

        async def render(self, request: Message) -> Message:
            return await super().render(request)

    resource = Calls(handler)
    resource.multicast = multicast
    site = Wrapped() if is_wrapped else Site()
    site.multicast = multicast or None
    site.add_resource(["a"], resource)
    with House(site) as house:
        assert house.ask(GET, "a", group="[ff02::fd]").response.code == code
        assert len(asked) == calls
        assert house.ask(GET, "a", no_response=26, group="[ff02::fd]").response.code == EMPTY
        assert house.ask(GET, "a").response.code == response, "others see no difference"


@pytest.mark.parametrize(
    ("multicast", "code"), [(None, EMPTY), (False, EMPTY), (True, SERVICE_UNAVAILABLE)]
)
def test_who_answers_in_its_own_way_has_to_want_groups(multicast: bool | None, code: Code) -> None:
    class Own(interfaces.Resource):
        async def render_to_pipe(self, pipe: Pipe) -> None:
            pipe.add_response(Message(code=SERVICE_UNAVAILABLE), True)

    resource = Own()
    resource.multicast = multicast
    with House(resource) as house:
        assert house.ask(group="[ff02::fd]").response.code == code
        assert house.ask().response.code == SERVICE_UNAVAILABLE


@pytest.mark.parametrize(("group", "code"), [("[ff02::fd]", EMPTY), (None, BAD_REQUEST)])
def test_blocks_refused_are_no_answers_to_groups(group: str | None, code: Code) -> None:
    with House(Counted()) as house:
        response = house.ask(PUT, block1=(0, True, 2), payload=b"short", group=group).response
        assert response.code == code


def test_options_refused_are_no_answers_to_groups() -> None:
    with House(Counted()) as house:
        assert ask_with(house, 65001, group="[ff02::fd]").response.code == EMPTY


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


# Addresses that may be forged (RFC 9175 section 2.4)


def ask_limited(house: House, limit: int, code: Code = GET, **kwargs: Any) -> Message:
    """Ask from an address that may not be sent more than so many bytes."""
    asked = house.begin(code, **kwargs)
    asked.pipe.request.response_limit = limit
    house.clock.settle()
    return asked.response


@pytest.mark.parametrize(
    ("resource", "limit"), [(says(Message(code=CONTENT, payload=bytes(40))), 120), (Raw40(), 49)]
)
def test_what_fits_is_sent(resource: Resource, limit: int) -> None:
    with House(resource) as house:
        assert len(ask_limited(house, limit).payload) == 40


def test_a_first_block_is_sent_where_the_whole_does_not_fit() -> None:
    with House(says(Message(code=CONTENT, payload=bytes(100)))) as house:
        response = ask_limited(house, 70)
        assert response.opt.block2 == (0, True, 1)
        assert len(response.payload) == 32


def test_proof_is_asked_for_where_nothing_fits() -> None:
    with House(Raw40()) as house:
        response = ask_limited(house, 30)
        assert response.code == UNAUTHORIZED
        assert response.opt.echo
        # What was done must not be done again.
        assert ask_limited(house, 30, PUT).code == CONTENT
    with House(says(Message(code=NOT_FOUND, payload=bytes(100)))) as house:
        response = ask_limited(house, 12)
        assert response.code == NOT_FOUND
        assert response.payload == b""
    with House(says(Message(code=CONTENT, no_response=2, payload=bytes(100)))) as house:
        assert ask_limited(house, 5).code == EMPTY


# Pipes


class Stream(Resource):
    """Answers several times."""

    def __init__(self, *responses: Message, fails: bool = False) -> None:
        super().__init__()
        self.responses = responses
        self.fails = fails
        self.ended = 0
        self.seen: list[Message] = []

    async def render_to_pipe(self, pipe: Pipe) -> None:  # type: ignore[override]
        self.seen.append(pipe.request)
        try:
            for response in self.responses:
                await asyncio.sleep(1)
                pipe.add_response(response.copy())
            if self.fails:
                raise error.Forbidden
            pipe.add_response(Message(code=CONTENT, payload=b"last"), True)
        except asyncio.CancelledError:
            self.ended += 1
            raise


def test_a_resource_that_answers_several_times() -> None:
    stream = Stream(Message(code=CONTENT, payload=b"1"), Message(code=CONTENT, payload=b"2"))
    site = Site()
    site.add_resource(["stream"], stream)
    with House(site) as house:
        asked = house.ask(GET, "stream")
        house.clock.advance(3)
        assert [one.payload for one in asked.got] == [b"1", b"2", b"last"]
        assert asked.is_over
        assert stream.seen[0].opt.uri_path == ()
        assert house.tasks == []


def test_a_pipe_that_is_answered_at_once() -> None:
    with House(Stream()) as house:
        assert house.ask().response.payload == b"last"
        assert house.tasks == []


def test_a_pipe_that_fails() -> None:
    with House(Stream(Message(code=CONTENT), fails=True)) as house:
        asked = house.ask()
        house.clock.advance(2)
        assert [one.code for one in asked.got] == [CONTENT, FORBIDDEN]
        assert asked.is_over


def test_a_pipe_that_nobody_waits_for_any_more() -> None:
    stream = Stream(*[Message(code=CONTENT)] * 5)
    with House(stream) as house:
        asked = house.ask()
        house.clock.advance(2.5)
        house.call(asked.end)
        assert len(asked.got) == 2
        assert stream.ended == 1
        assert house.tasks == []


def test_a_pipe_that_nobody_waited_for_in_the_first_place() -> None:
    stream = Stream()
    with House(stream) as house:
        asked = house.begin()
        asked.pipe.on_interest_end(lambda: None)
        house.clock.loop.call_soon(asked.end)
        house.clock.settle()
        assert stream.seen == []
        assert house.tasks == []


def test_a_pipe_that_is_answered_later_by_somebody_else() -> None:
    pipes = []

    class Queue(Resource):
        async def render_to_pipe(self, pipe: Pipe) -> None:  # type: ignore[override]
            pipes.append(pipe)

    with House(Queue()) as house:
        asked = house.ask()
        assert house.tasks == []
        house.call(pipes[0].add_response, Message(code=CONTENT), True)
        assert asked.response.code == CONTENT


# Blocks


class Echo(Resource):
    """Returns what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Message] = []

    async def render(self, request: Message) -> Message:
        self.requests.append(request)
        return Message(code=CHANGED, payload=request.payload)


def test_a_body_comes_in_blocks() -> None:
    echo = Echo()
    with House(echo) as house:
        first = house.ask(PUT, payload=LARGE[:1024], block1=(0, True, 6)).response
        assert first.code == CONTINUE
        assert first.opt.block1 == (0, True, 6)
        second = house.ask(PUT, payload=LARGE[1024:1500], block1=(1, False, 6)).response
        assert second.code == CHANGED
        assert second.opt.block1 == (1, False, 6)
        assert second.opt.block2 == (0, True, 6)
        third = house.ask(PUT, block2=(1, False, 6)).response
        assert second.payload + third.payload == LARGE[:1500]
        assert len(echo.requests) == 1


def test_a_body_comes_in_blocks_through_a_site() -> None:
    echo = Echo()
    site = Site()
    site.add_resource(["a", "b"], echo)
    with House(site) as house:
        house.ask(PUT, "a", "b", payload=bytes(64), block1=(0, True, 2))
        response = house.ask(PUT, "a", "b", payload=b"end", block1=(1, False, 2)).response
        assert response.payload == bytes(64) + b"end"
        assert response.opt.block1 == (1, False, 2)
        assert echo.requests[0].opt.uri_path == ()
        assert echo.requests[0].full_path == ("a", "b")


@pytest.mark.parametrize(
    ("kwargs", "code"),
    [
        ({"payload": b"x", "block1": (3, False, 6)}, REQUEST_ENTITY_INCOMPLETE),
        ({"payload": b"x", "block1": (0, True, 6)}, BAD_REQUEST),
        ({"payload": b"x", "block1": (0, True, 7)}, BAD_REQUEST),
        ({"block2": (0, False, 7)}, BAD_REQUEST),
        ({"block2": (1, False, 6)}, REQUEST_ENTITY_INCOMPLETE),
    ],
)
def test_blocks_that_make_no_sense(kwargs: dict[str, Any], code: Code) -> None:
    echo = Echo()
    with House(echo) as house:
        assert house.ask(PUT, **kwargs).response.code == code
        assert echo.requests == []


def test_blocks_of_a_body_that_is_too_large() -> None:
    class Small(TransportTuning):
        MAX_BODY_SIZE = 100

    with House(Echo(), Small()) as house:
        house.ask(PUT, payload=bytes(64), block1=(0, True, 2))
        response = house.ask(PUT, payload=bytes(64), block1=(1, True, 2)).response
        assert response.code == REQUEST_ENTITY_TOO_LARGE
        assert response.opt.size1 == 100


def test_an_error_is_the_response_to_the_last_block() -> None:
    with House(raises(error.Forbidden("no"))) as house:
        house.ask(PUT, payload=bytes(64), block1=(0, True, 2))
        response = house.ask(PUT, payload=b"x", block1=(1, False, 2)).response
        assert response.code == FORBIDDEN
        assert response.opt.block1 == (1, False, 2)


def test_a_resource_that_says_which_block_it_answers() -> None:
    with House(says(Message(code=CHANGED, block1=(0, False, 2)))) as house:
        response = house.ask(PUT, payload=b"x", block1=(0, False, 6)).response
        assert response.opt.block1 == (0, False, 2)


def test_a_large_response() -> None:
    with House(says(Message(code=CONTENT, payload=LARGE))) as house:
        got = house.ask().response
        assert got.opt.size2 == len(LARGE)
        body = got.payload
        number = 0
        while got.opt.block2.more:
            number += 1
            got = house.ask(block2=(number, False, 6)).response
            body += got.payload
        assert body == LARGE
        assert house.ask(block2=(9, False, 6)).response.code == BAD_REQUEST


class Large(Resource):
    """Has a representation of several blocks, and acts on an option that others do not know."""

    handled_options = frozenset((65001,))

    def __init__(self) -> None:
        super().__init__()
        self.renderings = 0

    async def render_get(self, request: Message) -> Message:
        self.renderings += 1
        return Message(payload=LARGE)


def test_later_blocks_are_no_business_of_the_resource() -> None:
    resource, site = Large(), Site()
    site.add_resource(["large"], resource)
    with House(site) as house:
        asked = [house.begin(GET, "large", block2=(number, False, 6)) for number in range(3)]
        house.clock.settle()
        assert b"".join(one.response.payload for one in asked) == LARGE, "in one go"
        site.remove_resource(["large"])
        assert house.ask(GET, "large", block2=(2, False, 6)).response.payload == LARGE[2048:]
        assert resource.renderings == 1
        assert house.ask(GET, "large", block2=(0, False, 6)).response.code == NOT_FOUND
        house.context.serversite = None
        assert house.ask(GET, "large", block2=(1, False, 6)).response.code == NOT_FOUND


def test_later_blocks_of_a_resource_that_acts_on_rare_options() -> None:
    resource = Large()
    with House(resource) as house:
        assert ask_with(house, 65001).response.payload == LARGE[:1024]
        assert ask_with(house, 65001, block2=(1, False, 6)).response.payload == LARGE[1024:2048]
        assert ask_with(house, 65001, 65003, block2=(1, False, 6)).response.code == BAD_OPTION
        assert resource.renderings == 1
        ask_with(house, 65001, block2=(1, False, 6), group="[ff02::fd]")
        assert resource.renderings == 2, "groups have no part in transfers"


def test_what_is_not_wanted_of_later_blocks_is_not_sent() -> None:
    with House(Large()) as house:
        house.ask()
        assert house.ask(block2=(9, False, 6)).response.code == BAD_REQUEST
        assert house.ask(block2=(9, False, 6), no_response=8).response.code == EMPTY
        assert house.ask(block2=(1, False, 6), no_response=8).response.code == CONTENT


def test_later_blocks_fit_what_may_be_sent() -> None:
    with House(Large()) as house:
        house.ask()
        response = ask_limited(house, 70, block2=(1, False, 6))
        assert response.opt.block2 == (32, True, 1)
        assert response.payload == LARGE[1024:1056]
        assert ask_limited(house, 30, block2=(1, False, 6)).code == UNAUTHORIZED


def test_a_smaller_block_size_is_asked_for() -> None:
    with House(says(Message(code=CONTENT, payload=LARGE[:100]))) as house:
        response = house.ask(block2=(0, False, 1)).response
        assert response.opt.block2 == (0, True, 1)
        assert response.payload == LARGE[:32]
        # Any block can be asked for by itself.
        response = house.ask(block2=(2, False, 1), peer="another").response
        assert response.payload == LARGE[64:96]


def test_a_smaller_block_size_is_configured() -> None:
    class Small(TransportTuning):
        DEFAULT_BLOCK_SIZE_EXP = 2

    with House(says(Message(code=CONTENT, payload=LARGE[:100])), Small()) as house:
        response = house.ask().response
        assert response.opt.block2 == (0, True, 2)
        assert len(response.payload) == 64
        response = house.ask(PUT, payload=bytes(1024), block1=(0, True, 6)).response
        assert response.opt.block1 == (0, True, 2)


def test_a_smaller_block_size_is_asked_for_with_an_update() -> None:
    with House(Echo()) as house:
        response = house.ask(PUT, payload=LARGE[:100], block2=(0, False, 1)).response
        assert response.opt.block2 == (0, True, 1)
        assert response.payload == LARGE[:32]


def test_a_resource_that_handles_blocks_itself() -> None:
    raw = Raw()
    with House(raw) as house:
        response = house.ask(PUT, payload=bytes(64), block1=(3, True, 2)).response
        assert response.code == CONTENT
        assert response.opt.block1 is None, "it says so itself"
        assert raw.requests[0].opt.block1 == (3, True, 2)
        raw.payload = LARGE
        assert house.ask().response.payload == LARGE


def test_bodies_are_forgotten() -> None:
    with House(says(Message(code=CONTENT, payload=LARGE))) as house:
        own = house.context._responder
        house.ask()
        house.ask(PUT, payload=bytes(64), block1=(0, True, 2))
        assert (len(own._bodies), len(own._uploads)) == (1, 1)
        house.clock.advance(200)
        house.ask(block2=(1, False, 6))
        house.clock.advance(200)
        assert (len(own._bodies), len(own._uploads)) == (1, 0)
        house.clock.advance(200)
        assert (len(own._bodies), len(own._uploads)) == (0, 0)
        assert own._expiry is None


# Observations


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


# Shutdown


def test_handlers_are_cancelled_by_the_shutdown() -> None:
    gate = Gate()
    state = State()
    site = Site()
    site.add_resource(["gate"], gate)
    site.add_resource(["state"], state)
    site.add_resource(["large"], says(Message(code=CONTENT, payload=LARGE)))
    house = House(site)
    asked = house.ask(GET, "gate", payload=b"1")
    observer = house.ask(GET, "state", observe=0)
    state.delay = 3
    house.call(state.updated_state)
    house.ask(GET, "large")
    house.close()
    assert gate.cancelled == [b"1"]
    assert asked.got == []
    assert len(observer.got) == 1


def test_what_has_not_begun_does_not_begin_after_the_shutdown() -> None:
    gate = Gate()
    house = House(gate)
    house.begin()

    async def shutdown() -> None:
        await house.context.shutdown()

    house.clock.run(shutdown())
    house.clock.settle()
    assert gate.begun in ([], [b""])
    assert gate.cancelled == gate.begun
    house.close()


def test_the_runner_that_has_not_run_is_waited_for() -> None:
    gate = Gate()
    house = House(gate)

    async def at_once() -> None:
        asked = Asked(Message(code=GET))
        house.context._responder.answer(asked.pipe)
        tasks = house.context._responder.close()
        assert len(tasks) == 1
        await asyncio.wait(tasks)

    house.clock.run(at_once())
    assert gate.begun == []
    house.close()


def test_a_handler_that_answers_after_the_shutdown() -> None:
    """Nothing of the answer is kept: no timer, no body."""

    async def stubborn(request: Message) -> Message:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return Message(code=CONTENT, payload=LARGE)

    house = House(Calls(stubborn))
    house.ask()
    house.close()
    assert house.context._responder._expiry is None


def test_a_handler_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    let_go = False

    async def endless(request: Message) -> Message:
        while not let_go:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue
        return Message(code=CONTENT)

    house = House(Calls(endless))
    house.ask()
    closing = house.clock.loop.create_task(house.context.shutdown())
    assert house.clock.wait_for(closing.done, 10)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "endless" in caplog.text or "handler" in caplog.text
    let_go = True
    house.clock.advance(200)
    house.close()


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_handlers_that_shut_down_the_context(waits: bool, number: int) -> None:
    gone_on = []

    async def handler(request: Message) -> Message:
        if waits:
            await asyncio.sleep(1)
        await house.context.shutdown()
        gone_on.append(request.payload)
        return Message(code=CHANGED)

    house = House(Calls(handler))
    for n in range(number):
        house.begin(payload=bytes([n]))
    house.clock.advance(5)
    assert b"\0" in gone_on
    assert house.tasks == []
    house.close()


def test_a_handler_that_shuts_down_when_it_is_cancelled() -> None:
    gone_on = []

    async def handler(request: Message) -> Message:
        try:
            await asyncio.sleep(100)
        finally:
            await house.context.shutdown()
            gone_on.append(1)
        raise AssertionError

    house = House(Calls(handler))
    house.begin()
    house.begin()
    house.clock.settle()
    begin = house.clock.now
    house.close()
    assert gone_on == [1, 1]
    assert house.clock.now == begin, "nobody waits for anybody who waits"


def test_a_handler_whose_task_shuts_down() -> None:
    async def handler(request: Message) -> Message:
        await asyncio.get_running_loop().create_task(house.context.shutdown())
        raise AssertionError

    house = House(Calls(handler))
    house.ask()
    house.clock.settle()
    assert house.tasks == []
    house.close()


def test_created_is_created() -> None:
    with House(says(Message(code=CREATED, location_path=("a", "b")))) as house:
        assert house.ask(POST).response.opt.location_path == ("a", "b")


def test_pipes_end() -> None:
    with House(says(Message(code=CONTENT))) as house:
        assert house.ask().pipe.phase is Phase.ENDED


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

"""The server half: handlers, what becomes of their results, and blocks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import pytest

from aiocoap import error, responder
from aiocoap.message import Direction, Message, NoResponse
from aiocoap.numbers.codes import (
    BAD_OPTION,
    BAD_REQUEST,
    CHANGED,
    CONTENT,
    CONTINUE,
    CREATED,
    EMPTY,
    FORBIDDEN,
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
from aiocoap.numbers.types import CON, NON
from aiocoap.pipe import Phase, Pipe
from aiocoap.resource import Resource, Site
from tests.harness import Address
from tests.unit.responder_parts import (
    LARGE,
    Asked,
    Calls,
    Gate,
    House,
    Raw,
    Raw40,
    State,
    ask_with,
    raises,
    says,
)

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

"""Where the responses of a group's members are had, and how they get there."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from aiocoap import error, groupresponses
from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.groupresponses import Collector, Responses
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT


def member(name: str) -> EndpointAddress:
    return UndecidedRemote("coap", name)


def response(name: str) -> Message:
    message = Message(code=CONTENT, payload=name.encode())
    message.remote = member(name)
    return message


async def drain(responses: Responses) -> list[bytes]:
    return [message.payload async for message in responses]


class End:
    """The requester's end, which takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.responses: Responses | None = Responses()
        self.collector = Collector(
            self.responses,
            asyncio.get_running_loop(),
            lambda: self.told.append("dropped"),
            self.told.append,
        )

    def finish(self) -> None:
        self.told.append("finished")


async def work(*, fails: bool = False) -> None:
    await asyncio.sleep(0)
    if fails:
        raise asyncio.CancelledError


# Taking


async def test_responses_are_had_in_their_order() -> None:
    responses = Responses()
    responses.add(response("a"))
    responses.add(response("b"))
    responses.end()
    assert await drain(responses) == [b"a", b"b"]
    assert await drain(responses) == [], "each of them once"


async def test_responses_are_waited_for() -> None:
    responses = Responses()
    task = asyncio.create_task(drain(responses))
    for name in ("a", "b"):
        await asyncio.sleep(0)
        responses.add(response(name))
    await asyncio.sleep(0)
    assert not task.done()
    responses.end()
    assert await task == [b"a", b"b"]


async def test_an_iteration_that_nobody_answers_to_ends() -> None:
    responses = Responses()
    task = asyncio.create_task(drain(responses))
    await asyncio.sleep(0)
    responses.end()
    assert await task == []


async def test_an_error_is_raised_once_and_after_everything_else() -> None:
    responses = Responses()
    responses.add(response("a"))
    responses.end(error.NetworkError("down"))
    responses.end(error.LibraryShutdown())
    assert (await anext(responses)).payload == b"a"
    with pytest.raises(error.NetworkError):
        await anext(responses)
    with pytest.raises(StopAsyncIteration):
        await anext(responses)


@pytest.mark.parametrize("comes_at_the_same_moment", [False, True])
async def test_waiting_can_be_broken_off_without_loss(comes_at_the_same_moment: bool) -> None:
    responses = Responses()
    task = asyncio.create_task(drain(responses))
    await asyncio.sleep(0)
    task.cancel()
    if comes_at_the_same_moment:
        responses.add(response("a"))
    with pytest.raises(asyncio.CancelledError):
        await task
    if not comes_at_the_same_moment:
        responses.add(response("a"))
    responses.end()
    assert await drain(responses) == [b"a"]


async def test_iterations_share_the_responses() -> None:
    responses = Responses()
    tasks = [asyncio.create_task(drain(responses)) for _ in range(2)]
    await asyncio.sleep(0)
    for name in "abc":
        responses.add(response(name))
        await asyncio.sleep(0)
    responses.end()
    assert sorted([*await tasks[0], *await tasks[1]]) == [b"a", b"b", b"c"]


async def test_cancelling_ends_iterations() -> None:
    end = End()
    assert end.responses is not None
    task = asyncio.create_task(drain(end.responses))
    await asyncio.sleep(0)
    end.responses.cancel()
    assert await task == []
    assert end.told == ["dropped"]
    end.responses.cancel()
    assert end.told == ["dropped"]


async def test_what_is_complete_can_be_cancelled_too() -> None:
    end = End()
    assert end.responses is not None
    end.responses.add(response("a"))
    end.collector.end()
    end.responses.cancel()
    assert await drain(end.responses) == []
    assert end.told == []


async def test_it_tells_how_it_stands() -> None:
    responses = Responses()
    responses.add(response("a"))
    assert repr(responses) == "<Responses open, 1 to be picked up, 0 failure(s)>"
    responses.failures[member("b")] = error.NetworkError("down")
    responses.end()
    assert repr(responses) == "<Responses complete, 1 to be picked up, 1 failure(s)>"


# Collecting


async def test_an_endpoint_answers_once() -> None:
    end = End()
    assert end.collector.admit(member("a"))
    assert end.collector.admit(member("b"))
    assert not end.collector.admit(member("a"))


async def test_what_is_collected_comes_out() -> None:
    end = End()
    assert end.responses is not None
    end.collector.add(response("a"))
    end.collector.end(error.LibraryShutdown())
    assert (await anext(end.responses)).payload == b"a"
    with pytest.raises(error.LibraryShutdown):
        await anext(end.responses)


async def test_nobody_has_an_eye_on_it_any_more() -> None:
    end = End()
    end.responses = None
    gc.collect()
    assert end.told == [], "not from wherever it was that the last reference went"
    await asyncio.sleep(0)
    assert end.told == ["dropped"]
    end.collector.add(response("a"))
    end.collector.end()


def test_responses_may_outlive_the_loop() -> None:
    async def begin() -> End:
        return End()

    end = asyncio.run(begin())
    end.responses = None
    gc.collect()
    assert end.told == []


async def test_failures_are_to_be_seen() -> None:
    end = End()
    problem = error.NetworkError("down")
    end.collector.failures[member("a")] = problem
    assert end.responses is not None
    assert end.responses.failures == {member("a"): problem}


async def test_without_work_it_is_finished_at_once() -> None:
    end = End()
    end.collector.close(end.finish)
    assert end.told == ["finished"]


async def test_work_is_waited_for() -> None:
    end = End()
    tasks = [asyncio.create_task(work()) for _ in range(2)]
    for task in tasks:
        end.collector.begin(task)
    await tasks[0]
    end.collector.close(end.finish)
    assert end.told == []
    await tasks[1]
    await asyncio.sleep(0)
    assert end.told == ["finished"]


async def test_work_may_be_done_before_all_have_answered() -> None:
    end = End()
    task = asyncio.create_task(work())
    end.collector.begin(task)
    await task
    await asyncio.sleep(0)
    assert end.told == []
    end.collector.close(end.finish)
    assert end.told == ["finished"]


async def test_work_that_is_cancelled_is_a_shutdown() -> None:
    end = End()
    task = asyncio.create_task(work(fails=True))
    end.collector.begin(task)
    end.collector.close(end.finish)
    await asyncio.wait([task])
    await asyncio.sleep(0)
    (problem,) = end.told
    assert isinstance(problem, error.LibraryShutdown)


async def test_work_ends_with_everything() -> None:
    end = End()
    task = asyncio.create_task(asyncio.sleep(1000))
    end.collector.begin(task)
    end.collector.close(end.finish)
    end.collector.end()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert task.cancelled()
    assert end.told == []


async def test_there_is_not_too_much_work_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupresponses, "MAX_FETCHING", 2)
    end = End()
    assert end.collector.gate is end.collector.gate
    most = present = 0

    async def fetch() -> None:
        nonlocal most, present
        async with end.collector.gate:
            present += 1
            most = max(most, present)
            await asyncio.sleep(0)
            present -= 1

    tasks = [asyncio.create_task(fetch()) for _ in range(5)]
    for task in tasks:
        end.collector.begin(task)
    await asyncio.gather(*tasks)
    assert most == 2

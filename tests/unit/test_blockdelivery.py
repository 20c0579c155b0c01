"""Bodies that are larger than a message, of requests and of responses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CHANGED,
    CONTENT,
    CONTINUE,
    FETCH,
    GET,
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
from tests.unit.request_parts import (
    Network,
    Observed,
    Remote,
    blocks,
    group,
    payloads,
    respond,
    several,
    time_is_over,
    turn,
)

pytestmark = pytest.mark.usefixtures("no_noise")

# Bodies of members


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

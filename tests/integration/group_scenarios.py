"""A group of three servers and a client that asks it, each in a network namespace of its own.

    python -m tests.integration.group_scenarios LOOP

:mod:`tests.integration.test_group_namespaces` makes the namespaces and starts this in the
client's; it starts the servers in theirs.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiocoap import (
    CHANGED,
    CONTENT,
    GET,
    NOT_FOUND,
    POST,
    Context,
    Message,
    error,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import Resource, Site, WKCResource
from tests.conformance.rigs import LOOPS

SERVERS = ("one", "two", "three")
PATIENCE = 20.0

SETUP = """
ip netns add switch
ip -n switch link add bridge type bridge mcast_snooping 0
ip -n switch link set bridge up
number=0
for name in client one two three; do
    number=$((number + 1))
    ip netns add $name
    ip -n switch link add $name type veth peer name eth0 netns $name
    ip -n switch link set $name master bridge up
    inside="ip netns exec $name"
    $inside sysctl -q -w net.ipv6.conf.eth0.addr_gen_mode=1
    $inside ip link set lo up
    $inside ip link set eth0 up
    $inside ip addr add fe80::$number/64 dev eth0 nodad
    $inside ip addr add 2001:db8::$number/64 dev eth0 nodad
    $inside ip addr add 10.0.0.$number/24 dev eth0
    $inside ip route add 224.0.0.0/4 dev eth0
done
"""
"""Shell commands: a switch with four hosts.

The switch has a namespace with a name too: one without ends with the last process in there.
"""

LINK_LOCAL, SITE_LOCAL, ALL_NODES, IPV4 = (
    "[ff02::fd%eth0]",
    "[ff05::fd%eth0]",
    "[ff02::1%eth0]",
    "224.0.1.187",
)
BODY_SIZE = 4096


class Brisk(TransportTuning):
    """A small group in a fast network."""

    DEFAULT_LEISURE = 0.3
    GROUP_TIMEOUT = 1.0
    # Even where addresses have to be proved.
    ADDRESS_PROOF = "none"


# The servers


def body(name: str) -> bytes:
    """Return what is large, and another at each server."""
    return name.encode().ljust(BODY_SIZE, b".")


class Fixed(Resource):
    """Answers the same all the time, and counts how often.

    Args:
        payload: What it answers.
        multicast: Whether it has to do with groups.
        kind: What it is listed as.
    """

    def __init__(
        self, payload: bytes | None, *, multicast: bool | None = None, kind: str | None = None
    ) -> None:
        super().__init__()
        self.payload = payload
        self.multicast = multicast
        self.count = 0
        if kind is not None:
            self.rt = kind

    async def render_get(self, request: Message) -> Message:
        self.count += 1
        if self.payload is None:
            raise error.NotFound
        return Message(payload=self.payload)

    async def render_post(self, request: Message) -> Message:
        self.count += 1
        return Message()


class Count(Resource):
    """Tells how often another was asked.

    Args:
        counted: The other.
    """

    def __init__(self, counted: Fixed) -> None:
        super().__init__()
        self._counted = counted

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"%d" % self._counted.count)


async def serve(name: str) -> None:
    """Be in the group until the end of the input."""
    things = {
        "name": Fixed(name.encode()),
        "large": Fixed(body(name)),
        "switch": Fixed(b""),
        "private": Fixed(b"for you alone", multicast=False),
        "broken": Fixed(None, multicast=True),
        f"only-{name}": Fixed(b"here"),
        "kind": Fixed(b"", kind=f"kind-{name}"),
    }
    site = Site()
    site.add_resource(
        [".well-known", "core"], WKCResource(site.get_resources_as_linkheader, impl_info=None)
    )
    for path, thing in things.items():
        site.add_resource([path], thing)
        site.add_resource(["count", path], Count(thing))
    context = await Context.create_server_context(site, multicast=["eth0"], transport_tuning=Brisk)
    async with context:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def server(name: str, loop: str) -> AsyncIterator[None]:
    """Have a server in its namespace; it must have nothing to complain of."""
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", name, sys.executable, "-X", "dev", "-W", "error"),
        *("-m", "tests.integration.group_scenarios", loop, name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        process.stdin.close()
        assert await process.wait() == 0


# The client

_Scenario = Callable[[Context], Awaitable[None]]
SCENARIOS: list[_Scenario] = []


def scenario(happens: _Scenario) -> _Scenario:
    """Put a scenario into the list."""
    SCENARIOS.append(happens)
    return happens


async def ask(context: Context, uri: str, code: Any = GET) -> list[Message]:
    """Return what all members of a group answer; it takes as long as is to be expected."""
    begun = time.monotonic()
    request = context.request(Message(code=code, uri=uri))
    responses = [response async for response in request.responses]
    # The clocks of loops are coarse, and the machine may be busy.
    assert Brisk.GROUP_TIMEOUT - 0.1 < time.monotonic() - begun < Brisk.GROUP_TIMEOUT + 5
    assert request.responses.failures == {}
    if responses:
        assert await request.response is responses[0]
    else:
        with pytest.raises(error.RequestTimedOut):
            await request.response
    remotes = [response.remote for response in responses]
    assert len(set(remotes)) == len(remotes)
    assert not any(remote.is_multicast for remote in remotes if remote is not None)
    return responses


def hosts(responses: list[Message]) -> list[str]:
    """Return where responses came from, in order."""
    return sorted(response.remote.hostinfo for response in responses if response.remote)


@scenario
async def everybody_answers(context: Context) -> None:
    """By each group that servers are in, from an address of the kind that the group has."""
    expected = {
        LINK_LOCAL: [f"[fe80::{n}%eth0]" for n in (2, 3, 4)],
        ALL_NODES: [f"[fe80::{n}%eth0]" for n in (2, 3, 4)],
        SITE_LOCAL: [f"[2001:db8::{n}]" for n in (2, 3, 4)],
        IPV4: [f"10.0.0.{n}" for n in (2, 3, 4)],
    }
    asked = [ask(context, f"coap://{group}/name") for group in expected]
    answers = await asyncio.gather(*asked)
    for (group, members), responses in zip(expected.items(), answers, strict=True):
        assert sorted(response.payload.decode() for response in responses) == sorted(SERVERS)
        assert hosts(responses) == members, group
        for response in responses:
            assert response.code == CONTENT
            assert response.remote is not None
            uri = response.get_request_uri()
            assert uri == f"coap://{response.remote.hostinfo}/name".replace("%", "%25")
            again = await context.request(Message(code=GET, uri=uri)).response
            assert again.payload == response.payload, "its URI is its own"


@scenario
async def large_bodies_are_complete(context: Context) -> None:
    """Everything after the first block goes by unicast, and is what was rendered once."""
    for group in (LINK_LOCAL, IPV4):
        responses = await ask(context, f"coap://{group}/large")
        bodies = sorted(response.payload for response in responses)
        assert bodies == sorted(body(name) for name in SERVERS)
    counts = await ask(context, f"coap://{LINK_LOCAL}/count/large")
    assert [response.payload for response in counts] == [b"2"] * 3


@scenario
async def nobody_answers(context: Context) -> None:
    """Because nobody is there, or because nobody has anything to say."""
    paths = ("[ff02::abcd%eth0]/name", "239.1.2.3/name", f"{LINK_LOCAL}/nothing")
    assert await asyncio.gather(*[ask(context, f"coap://{path}") for path in paths]) == [[]] * 3


@scenario
async def some_answer(context: Context) -> None:
    """Whoever has it."""
    (response,) = await ask(context, f"coap://{LINK_LOCAL}/only-two")
    assert hosts([response]) == ["[fe80::3%eth0]"]
    (response,) = await ask(context, f"coap://{IPV4}/.well-known/core?rt=kind-three")
    assert response.payload == b'</kind>;rt="kind-three"'
    assert len(await ask(context, f"coap://{LINK_LOCAL}/.well-known/core?rt=kind-*")) == 3


@scenario
async def resources_choose(context: Context) -> None:
    """To say that they have nothing, or to keep silent though they have."""
    responses = await ask(context, f"coap://{LINK_LOCAL}/broken")
    assert [response.code for response in responses] == [NOT_FOUND] * 3
    assert await ask(context, f"coap://{LINK_LOCAL}/private") == []
    counts = await ask(context, f"coap://{LINK_LOCAL}/count/private")
    assert [response.payload for response in counts] == [b"0"] * 3


@scenario
async def everybody_does_something(context: Context) -> None:
    """Once, although the request is received by what the link and the group have in common."""
    responses = await ask(context, f"coap://{LINK_LOCAL}/switch", POST)
    assert [response.code for response in responses] == [CHANGED] * 3
    counts = await ask(context, f"coap://{LINK_LOCAL}/count/switch")
    assert [response.payload for response in counts] == [b"1"] * 3


@scenario
async def nobody_rejects_anything(context: Context) -> None:
    """What is sent to groups and makes no sense is met by silence (RFC 7252 section 8.1)."""

    def send_nonsense() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2 * Brisk.DEFAULT_LEISURE)
            index = socket.if_nametoindex("eth0")
            for raw in ("40000001", "4001000200", "41010003", "5145000474ff31", "50000005"):
                sock.sendto(bytes.fromhex(raw), ("ff02::fd", 5683, 0, index))
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.sendto(bytes.fromhex("40000006"), ("fe80::2", 5683, 0, index))
            assert sock.recv(100) == bytes.fromhex("70000006"), "by unicast it is a ping"

    await asyncio.to_thread(send_nonsense)


@scenario
async def the_first_response_is_enough(context: Context) -> None:
    """Who does not ask for all responses gets the first, and does not wait for the others."""
    begun = time.monotonic()
    response = await context.request(Message(code=GET, uri=f"coap://{IPV4}/name")).response
    assert response.payload.decode() in SERVERS
    assert time.monotonic() - begun < Brisk.GROUP_TIMEOUT


async def play(happens: _Scenario) -> None:
    """Let something happen, with a client of its own."""
    context = await Context.create_client_context(transport_tuning=Brisk)
    async with context:
        await happens(context)


async def run(loop: str) -> None:
    """Let everything happen at the same time."""
    async with (
        asyncio.timeout(2 * PATIENCE),
        server("one", loop),
        server("two", loop),
        server("three", loop),
        asyncio.TaskGroup() as group,
    ):
        for happens in SCENARIOS:
            group.create_task(play(happens))


def main() -> None:
    """Be the client, or a server."""
    loop, *name = sys.argv[1:]
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        # A busy machine is slow, which -X dev would complain of.
        runner.get_loop().slow_callback_duration = 60
        runner.run(serve(*name) if name else run(loop))


if __name__ == "__main__":
    main()

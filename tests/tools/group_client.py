"""aiocoap-client asks a group of three servers, each in a network namespace of its own.

    python -m tests.tools.group_client

:mod:`tests.tools.test_client_groups` makes the namespaces and starts this in the client's.
"""

from __future__ import annotations

import asyncio

from tests.integration.group_scenarios import IPV4, LINK_LOCAL, SERVERS, server
from tests.tools.client_runs import run, told_as_json

# Longer than the leisure of the servers, shorter than a client waits for groups.
TIME = ("--timeout", "2")
MEMBERS = [f"coap://[fe80::{number}%eth0]" for number in (2, 3, 4)]


def lists_of_resources() -> None:
    """A table of each member, which says whose it is."""
    result = run("--discover", "rt=kind-*", f"coap://{LINK_LOCAL}", *TIME)
    assert (result.code, result.err) == (0, ""), result
    rows = [line.split() for line in result.out.decode().splitlines()]
    assert [row[:3] for row in rows[::2]] == [["from", "href", "rt"]] * 3
    found = sorted((source, href, kind) for source, href, kind, *_ in rows[1::2])
    assert [source for source, _, _ in found] == MEMBERS
    assert [(href, kind) for _, href, kind in found] == [("/kind", f"kind-{n}") for n in SERVERS]


def lists_of_resources_as_json() -> None:
    """An object for each member."""
    told = told_as_json("--discover", "href=/n*", f"coap://{LINK_LOCAL}", *TIME)
    assert sorted(one["remote"] for one in told) == MEMBERS
    assert [[link["href"] for link in one["links"]] for one in told] == [["/name"]] * 3


def whoever_has_it() -> None:
    """Servers that have nothing that matches keep silent."""
    (one,) = told_as_json("--discover", "rt=kind-two", f"coap://{LINK_LOCAL}", *TIME)
    assert one["remote"] == MEMBERS[1]


def plain_requests() -> None:
    """Everybody's response, and whose it is."""
    result = run(f"coap://{IPV4}/name", *TIME)
    assert result.code == 0, result
    assert sorted(result.out.decode().split()) == sorted(SERVERS)
    assert sorted(result.err.splitlines()) == [f"from coap://10.0.0.{n}:" for n in (2, 3, 4)]
    told = told_as_json(f"coap://{LINK_LOCAL}/large", *TIME)
    assert sorted(one["remote"] for one in told) == MEMBERS
    assert {len(one["payload"]) for one in told} == {4096}


def nobody() -> None:
    """Silence is no answer."""
    result = run("--discover", "coap://[ff02::abcd%eth0]", "--timeout", "0.5")
    assert (result.code, result.out, result.err.count("\n")) == (3, b"", 1), result


async def main() -> None:
    """Start the servers, and let everything happen."""
    # A busy machine is slow, which -X dev would complain of.
    asyncio.get_running_loop().slow_callback_duration = 60
    async with server("one", "asyncio"), server("two", "asyncio"), server("three", "asyncio"):
        for happens in (
            lists_of_resources,
            lists_of_resources_as_json,
            whoever_has_it,
            plain_requests,
            nobody,
        ):
            await asyncio.to_thread(happens)


if __name__ == "__main__":
    asyncio.run(main())

"""What UDP transports do in networks of their own; each scenario runs in a network namespace.

    python -m tests.integration.udp_scenarios SCENARIO LOOP

:mod:`tests.integration.test_udp_namespaces` makes the namespaces and starts this.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from aiocoap.error import NetworkError
from aiocoap.message import Message
from aiocoap.numbers.codes import GET
from aiocoap.transports.simple6 import MessageInterfaceSimple6
from aiocoap.transports.simplesocketserver import MessageInterfaceSimpleServer
from aiocoap.transports.udp6 import MessageInterfaceUDP6
from tests.conformance.rigs import LOG, LOOPS, PATIENCE, Manager

SCENARIOS: dict[str, tuple[str, Callable[[], Awaitable[None]]]] = {}
"""Shell commands that set up the network, and what happens in it, by name."""

LOOPBACK = "ip link set lo up"

# Two links; the far end of each has the same link-local address.  All ends are in one namespace,
# so that IPv4 has to be told to take in what comes from an own address.
LINKS = f"""
{LOOPBACK}
for n in 1 2; do
    ip link add near$n type veth peer name far$n
    for end in near$n far$n; do
        sysctl -q -w net.ipv6.conf.$end.addr_gen_mode=1 net.ipv4.conf.$end.accept_local=1
        sysctl -q -w net.ipv4.conf.$end.rp_filter=0
        ip link set $end up
    done
    ip addr add fe80::a/64 dev near$n nodad
    ip addr add fe80::b/64 dev far$n nodad
    ip addr add 2001:db8:$n::a/64 dev near$n nodad
    ip addr add 2001:db8:$n::b/64 dev far$n nodad
    ip addr add 10.0.$n.1/24 dev near$n
    ip addr add 10.0.$n.2/24 dev far$n
done
"""


_Scenario = Callable[[], Awaitable[None]]


def scenario(setup: str) -> Callable[[_Scenario], _Scenario]:
    """Put a scenario into the list."""

    def register(happens: _Scenario) -> _Scenario:
        SCENARIOS[happens.__name__] = (setup, happens)
        return happens

    return register


@asynccontextmanager
async def client(cls: type = MessageInterfaceUDP6) -> AsyncIterator[Manager]:
    """Give a client of a transport."""
    manager = Manager()
    manager.interface = await cls.create_client_transport_endpoint(  # type: ignore[attr-defined]
        manager, LOG, asyncio.get_running_loop()
    )
    try:
        yield manager
    finally:
        await manager.interface.shutdown()


@asynccontextmanager
async def server(
    host: str | None = None, multicast: list[str | tuple[str, str]] | None = None
) -> AsyncIterator[Manager]:
    """Give a server of the full transport at the default port."""
    manager = Manager()
    manager.interface = await MessageInterfaceUDP6.create_server_transport_endpoint(
        manager, LOG, asyncio.get_running_loop(), (host, None), multicast or []
    )
    try:
        yield manager
    finally:
        await manager.interface.shutdown()


async def exchange(one: Manager, other: Manager, hostinfo: str) -> str:
    """Send to and fro; return the authority under which the server was asked."""
    remote = await one.resolve(hostinfo)
    one.send(b"request", remote)
    data, peer = await other.datagram()
    assert data == b"request"
    other.send(b"response", peer.as_response_address())
    data, back = await one.datagram()
    assert data == b"response"
    assert back == remote, (back, remote)
    assert one.errors.empty(), one.errors.get_nowait()
    return peer.hostinfo_local


async def refused(one: Manager, hostinfo: str) -> None:
    """Send to somewhere where nobody is, and hear of it."""
    remote = await one.resolve(hostinfo)
    one.send(b"request", remote)
    error, told = await one.error()
    assert isinstance(error.__cause__, ConnectionRefusedError), repr(error)
    assert told == remote


async def fails(coroutine: Awaitable[object], *words: str) -> NetworkError:
    """Return the error that a coroutine ends in; its text has all the words in it."""
    with pytest.raises(NetworkError) as caught:
        await coroutine
    for word in words:
        assert word in str(caught.value)
    return caught.value


@scenario(LOOPBACK)
async def loopback_is_enough() -> None:
    """Addresses and localhost need no route to anywhere."""
    async with server() as serving:
        for cls in (MessageInterfaceUDP6, MessageInterfaceSimple6):
            async with client(cls) as one:
                assert await exchange(one, serving, "[::1]") == "[::1]"
                assert await exchange(one, serving, "127.0.0.1") == "127.0.0.1"
                assert await exchange(one, serving, "localhost") in ("[::1]", "127.0.0.1")
                await refused(one, "[::1]:9")
                await refused(one, "127.0.0.1:9")


@scenario(
    f"""{LOOPBACK}
    sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    sysctl -q -w net.ipv6.conf.lo.disable_ipv6=1"""
)
async def ipv6_is_disabled() -> None:
    """IPv4 goes on as if nothing were, IPv6 is an error that says so."""
    async with server() as serving:
        for cls in (MessageInterfaceUDP6, MessageInterfaceSimple6):
            async with client(cls) as one:
                assert await exchange(one, serving, "127.0.0.1") == "127.0.0.1"
                assert await exchange(one, serving, "localhost") == "127.0.0.1"
                await refused(one, "127.0.0.1:9")
        async with client() as one:
            one.send(b"x", await one.resolve("[::1]"))
            error, _ = await one.error()
            assert "[::1]" in str(error), str(error)
    async with server("127.0.0.1", ["lo"]) as serving, client() as one:
        await exchange(one, serving, "127.0.0.1")
    bound = server("::1")
    error = await fails(bound.__aenter__(), "[::1]:5683")
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRNOTAVAIL


@scenario(f"{LOOPBACK}; ip addr add 2001:db8::1 dev lo nodad; ip addr add 2001:db8::2 dev lo nodad")
async def answers_leave_from_the_address_that_was_asked() -> None:
    """A connected client would not see any others."""
    async with server() as serving, client(MessageInterfaceSimple6) as one:
        for hostinfo in ("[2001:db8::1]", "[2001:db8::2]", "127.0.0.77", "[::1]"):
            assert await exchange(one, serving, hostinfo) == hostinfo


@scenario("ip link set lo up")
async def no_route() -> None:
    """What the system knows is told at once."""
    async with client() as one:
        for hostinfo in ("[2001:db8::7]", "192.0.2.7"):
            remote = await one.resolve(hostinfo)
            one.send(b"x", remote)
            error, told = await one.error()
            assert told == remote
            assert hostinfo in str(error)
            assert isinstance(error.__cause__, OSError)
            assert error.__cause__.errno == errno.ENETUNREACH, repr(error.__cause__)
    async with client(MessageInterfaceSimple6) as one:
        await fails(one.resolve("[2001:db8::7]"), "2001:db8::7")


@scenario(LINKS)
async def link_local_addresses_have_zones() -> None:
    """The same address on two links is two endpoints."""
    async with server() as serving:
        for cls in (MessageInterfaceUDP6, MessageInterfaceSimple6):
            async with client(cls) as one:
                near, far = [await one.resolve(f"[fe80::b%near{n}]") for n in (1, 2)]
                assert near != far
                assert near.hostinfo == "[fe80::b%near1]"
                for n in (1, 2):
                    asked = await exchange(one, serving, f"[fe80::b%near{n}]")
                    assert asked == f"[fe80::b%far{n}]"
                index = socket.if_nametoindex("near1")
                assert await one.resolve(f"[fe80::b%{index}]") == near
                await refused(one, "[fe80::b%near2]:9")
                await fails(one.resolve("[fe80::b%nothing]"), "nothing")
    async with server("fe80::b%far1") as serving, client() as one:
        assert serving.interface.bound_address == ("fe80::b%far1", 5683)
        await exchange(one, serving, "[fe80::b%near1]")
        await refused(one, "[fe80::b%near2]")
    manager = Manager()
    manager.interface = await MessageInterfaceSimpleServer.create_server(
        ("fe80::b%far2", None), manager, LOG, asyncio.get_running_loop()
    )
    async with client() as one:
        assert await exchange(one, manager, "[fe80::b%near2]") == "[fe80::b%far2]"
        manager.send(b"x", await manager.resolve("[fe80::a%far2]:9"))
    await manager.interface.shutdown()


@scenario(LINKS)
async def other_addresses_may_have_zones() -> None:
    """There the zone says by which interface, and is no part of the endpoint."""
    async with server() as serving, client() as one:
        plain = await one.resolve("[2001:db8:1::b]")
        zoned = await one.resolve("[2001:db8:1::b%near1]")
        assert plain == zoned
        assert zoned.hostinfo == "[2001:db8:1::b%near1]"
        await exchange(one, serving, "[2001:db8:1::b%near1]")
        await exchange(one, serving, "[2001:db8:1::b]")
        await exchange(one, serving, "10.0.1.2")


def ask_of(hostinfo: str) -> Message:
    """Return a request to a destination that no URI can have, such as IPv4 with a zone."""
    request = Message(code=GET)
    request.unresolved_remote = hostinfo
    return request


def ends(link: int) -> list[str]:
    """Return the addresses of both ends of a link that mean something elsewhere too."""
    return [f"[2001:db8:{link}::a]", f"[2001:db8:{link}::b]", f"10.0.{link}.1", f"10.0.{link}.2"]


async def multicast_exchange(one: Manager, serving: Manager, hostinfo: str, *answer: str) -> None:
    """Ask a group.

    Args:
        one: Asks.
        serving: Answers.
        hostinfo: The group.
        answer: Where the answer may come from.  With both ends in one namespace, the system is
            free to answer an own address from that very address.
    """
    group = await one.interface.determine_remote(ask_of(hostinfo))
    assert group is not None
    assert group.is_multicast
    assert group.hostinfo == hostinfo
    payload = hostinfo.encode()
    one.send(payload, group)
    data, peer = await serving.datagram()
    assert data == payload
    assert peer.is_multicast_locally
    assert not peer.is_multicast
    response_address = peer.as_response_address()
    assert not response_address.is_multicast_locally
    assert response_address == peer
    serving.send(payload, response_address)
    data, back = await one.datagram()
    assert data == payload
    assert back.hostinfo in answer, back
    assert not back.is_multicast
    assert not back.is_multicast_locally


@scenario(LINKS)
async def groups_are_joined() -> None:
    """An interface alone stands for all CoAP nodes and all nodes."""
    async with server(None, ["far1"]) as serving, client() as one:
        local = ("[fe80::a%near1]", "[fe80::b%near1]", "[fe80::a%far1]")
        await multicast_exchange(one, serving, "[ff02::fd%near1]", *local)
        for group in ("[ff05::fd%near1]", "[ff05::1%near1]", "224.0.1.187%near1"):
            await multicast_exchange(one, serving, group, *ends(1))
        # Not on the other link, and not a group that merely somebody else has joined.
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as else_:
            for interface in ("far1", "far2"):
                request = struct.pack(
                    "@16sI",
                    socket.inet_pton(socket.AF_INET6, "ff02::fd"),
                    socket.if_nametoindex(interface),
                )
                else_.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            for hostinfo in ("[ff02::fd%near2]", "[ff02::abc%near1]"):
                one.send(b"request", await one.resolve(hostinfo))
            await exchange(one, serving, "[fe80::b%near1]")
            assert serving.datagrams.empty()
        await multicast_exchange(one, serving, "[ff02::1%near1]", *local)


@scenario(LINKS)
async def single_groups_are_joined() -> None:
    """Pairs of address and interface name that group themselves."""
    groups: list[str | tuple[str, str]] = [("ff05::4711", "far2"), ("224.0.1.5", "far2")]
    async with server(None, [*groups, *groups]) as serving, client() as one:
        await multicast_exchange(one, serving, "[ff05::4711%near2]", *ends(2))
        await multicast_exchange(one, serving, "224.0.1.5%near2", *ends(2))
    await fails(server(None, [("ff05::4711", "nothing")]).__aenter__(), "ff05::4711", "nothing")
    await fails(server(None, ["nothing"]).__aenter__(), "nothing")


@scenario(LINKS)
async def datagrams_that_are_too_large_for_the_way_are_retried() -> None:
    """Fragmentation needed is no reason to give up (RFC 7252 section 4.2)."""
    async with server() as serving, client() as one:
        one.send(b"x" * 3000, await one.resolve("[2001:db8:1::b%near1]"))
        data, _ = await serving.datagram()
        assert len(data) == 3000
        one.send(b"x" * 66000, await one.resolve("[::1]"))
        error, _ = await one.error()
        assert error.__cause__.errno == errno.EMSGSIZE
        await fails(one.resolve("nothing.invalid"), "nothing.invalid")


def main() -> None:
    """Run one scenario."""
    _, happens = SCENARIOS[sys.argv[1]]

    async def bounded() -> None:
        async with asyncio.timeout(4 * PATIENCE):
            await happens()

    with asyncio.Runner(loop_factory=LOOPS[sys.argv[2]]) as runner:
        # A busy machine is slow, which -X dev would complain of.
        runner.get_loop().slow_callback_duration = 60
        runner.run(bounded())


if __name__ == "__main__":
    main()

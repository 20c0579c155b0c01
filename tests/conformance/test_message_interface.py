"""The contract of a message interface, held against every UDP transport, on both loops."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.error import NetworkError, ResolutionError
from aiocoap.util import hostportsplit
from tests.conformance.rigs import LOOPS, RIGS, Rig, descriptors, request_to


@pytest.fixture(params=[(rig, loop) for rig in RIGS for loop in LOOPS], ids=" / ".join)
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Every transport on every loop."""
    name, loop = request.param
    cls, host = RIGS[name]
    return cls(host, loop, monkeypatch)


def test_datagrams_go_both_ways(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            remote = await client.resolve(hostinfo)
            assert client.interface.recognize_remote(remote)
            client.send(b"to the server", remote)
            data, peer = await server.datagram()
            assert data == b"to the server"
            assert type(data) is bytes
            assert server.interface.recognize_remote(peer)
            assert not peer.is_multicast_locally
            server.send(b"and back", peer.as_response_address())
            data, back = await client.datagram()
            assert data == b"and back"
            assert back == remote
            assert hash(back) == hash(remote)
            assert client.interface.recognize_remote(back)
            assert client.errors.empty()
            assert server.errors.empty()

    rig.run(test)


def test_the_same_peer_is_an_equal_address_again(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            for _ in range(2):
                client.send(b"x", await client.resolve(hostinfo))
            (_, first), (_, second) = await server.datagram(), await server.datagram()
            assert first == second
            assert hash(first) == hash(second)
            async with rig.server() as (_, elsewhere):
                if rig.host + elsewhere != rig.host + hostinfo:
                    assert await client.resolve(elsewhere) != await client.resolve(hostinfo)

    rig.run(test)


def test_addresses_name_both_ends(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            remote = await client.resolve(hostinfo)
            assert remote.hostinfo == hostinfo
            assert remote.scheme == "coap"
            assert remote.uri_base == f"coap://{hostinfo}"
            assert not remote.is_multicast
            client.send(b"x", remote)
            _, peer = await server.datagram()
            assert peer.hostinfo_local == hostinfo
            assert peer.uri_base_local == f"coap://{hostinfo}"
            host, port = hostportsplit(peer.hostinfo)
            assert host == rig.host
            assert port
            server.send(b"y", peer)
            _, back = await client.datagram()
            assert back.hostinfo_local == peer.hostinfo
            assert hostinfo in repr(back)

    rig.run(test)


def test_either_side_may_begin(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            client.send(b"register", await client.resolve(hostinfo))
            _, peer = await server.datagram()
            for n in range(3):
                server.send(b"notification %d" % n, peer)
            assert [(await client.datagram())[0] for _ in range(3)] == [
                b"notification 0",
                b"notification 1",
                b"notification 2",
            ]

    rig.run(test)


def test_many_datagrams_at_once_arrive_in_order(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            remote = await client.resolve(hostinfo)
            sent = [b"%d" % n for n in range(50)]
            for datagram in sent:
                client.send(datagram, remote)
            assert [(await server.datagram())[0] for _ in sent] == sent

    rig.run(test)


def test_large_datagrams_are_whole_or_not_there(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            remote = await client.resolve(hostinfo)
            client.send(b"m" * 4000, remote)
            assert (await server.datagram())[0] == b"m" * 4000
            client.send(b"l" * 9000, remote)
            client.send(b"next", remote)
            data, _ = await server.datagram()
            if data != b"next":
                assert data == b"l" * 9000
                assert (await server.datagram())[0] == b"next"

    rig.run(test)


def test_refusal_is_told_promptly_and_time_and_again(rig: Rig) -> None:
    async def test() -> None:
        async with rig.client() as client:
            nobody = await client.resolve(rig.nobody())
            for _ in range(3):
                client.send(b"anybody there?", nobody)
                error, remote = await client.error()
                assert isinstance(error, NetworkError)
                assert isinstance(error.__cause__, ConnectionRefusedError)
                assert remote == nobody
                assert str(error)
                assert error.extra_help()
            # It does not concern anybody else.
            async with rig.server() as (server, hostinfo):
                remote = await client.resolve(hostinfo)
                client.send(b"and you?", remote)
                _, peer = await server.datagram()
                server.send(b"yes", peer)
                assert (await client.datagram())[0] == b"yes"
                assert client.errors.empty()

    rig.run(test)


def test_refusal_of_one_loses_nothing_for_another(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            nobody = await client.resolve(rig.nobody())
            remote = await client.resolve(hostinfo)
            for n in range(5):
                client.send(b"lost", nobody)
                client.send(b"%d" % n, remote)
            assert [(await server.datagram())[0] for _ in range(5)] == [b"%d" % n for n in range(5)]
            _, told = await client.error()
            assert told == nobody
            while not client.errors.empty():
                assert client.errors.get_nowait()[1] == nobody

    rig.run(test)


def test_other_schemes_are_not_for_it(rig: Rig) -> None:
    async def test() -> None:
        async with rig.client() as client:
            for scheme in ("coaps", "coap+tcp", "coap+ws"):
                request = request_to(f"{scheme}://{rig.nobody()}")
                assert await client.interface.determine_remote(request) is None

    rig.run(test)


def test_names_that_can_not_be_resolved_are_named(rig: Rig) -> None:
    async def test() -> None:
        async with rig.client() as client:
            name = "x" * 64 + ".invalid"
            with pytest.raises(ResolutionError, match=name):
                await client.interface.determine_remote(request_to(f"coap://{name}"))

    rig.run(test)


def test_names_are_resolved(rig: Rig) -> None:
    async def test() -> None:
        async with rig.client() as client, rig.server() as (server, hostinfo):
            _, port = hostportsplit(hostinfo)
            try:
                remote = await client.resolve(f"localhost:{port}")
            except ResolutionError as exc:
                pytest.fail(f"this machine does not know localhost: {exc}")
            client.send(b"x", remote)
            # The name may be another address than the one that the server is at.
            done = [asyncio.ensure_future(server.datagram()), asyncio.ensure_future(client.error())]
            finished, pending = await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            what, _ = finished.pop().result()
            assert what == b"x" or isinstance(what, NetworkError)

    rig.run(test)


def test_addresses_of_others_are_not_recognized(rig: Rig) -> None:
    async def test() -> None:
        async with rig.client() as one, rig.client() as other:
            remote = await one.resolve(rig.nobody())
            assert not other.interface.recognize_remote(remote)
            assert not one.interface.recognize_remote(UndecidedRemote("coap", rig.nobody()))

    rig.run(test)


def test_servers_say_where_they_are(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, _):
            bound = server.interface.bound_address
            assert bound is not None
            host, port = bound
            assert host in (rig.host, "::", "0.0.0.0")
            assert 0 < port < 65536

    rig.run(test)


def test_nothing_is_told_after_shutdown(rig: Rig) -> None:
    async def test() -> None:
        async with rig.server() as (server, hostinfo), rig.client() as client:
            remote, nobody = await client.resolve(hostinfo), await client.resolve(rig.nobody())
            client.send(b"x", remote)
            _, peer = await server.datagram()
            server.send(b"on its way", peer)
            client.send(b"x", nobody)
            await client.interface.shutdown()
            client.send(b"too late", remote)
            await client.interface.shutdown()
            for _ in range(5):
                await asyncio.sleep(0)
            assert client.datagrams.empty()
            assert client.errors.empty()
            assert server.datagrams.empty()

    rig.run(test)


def test_shutdown_leaves_nothing(rig: Rig) -> None:
    async def test() -> None:
        async def use() -> tuple[weakref.ref[object], weakref.ref[object]]:
            async with rig.server() as (server, hostinfo), rig.client() as client:
                client.send(b"x", await client.resolve(hostinfo))
                _, peer = await server.datagram()
                server.send(b"y", peer)
                await client.datagram()
                client.send(b"x", await client.resolve(rig.nobody()))
                await client.error()
                return weakref.ref(client.interface), weakref.ref(server.interface)

        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 1)  # starts helpers of the loop
        before = descriptors()
        dead = await use()
        await asyncio.sleep(0)
        assert descriptors() == before
        gc.collect()
        assert [ref() for ref in dead] == [None, None]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    rig.run(test)


def test_managers_are_free_once_the_interface_is_shut_down(rig: Rig) -> None:
    async def test() -> None:
        async with rig.client() as client:
            kept = client.interface
            dead = weakref.ref(client)
        del client
        await asyncio.sleep(0)
        gc.collect()
        assert dead() is None
        assert not kept.recognize_remote(UndecidedRemote("coap", rig.nobody()))

    rig.run(test)

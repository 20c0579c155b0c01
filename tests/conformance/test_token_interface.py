"""The contract of a token interface, held against every transport, on both loops."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.error import AnonymousHost, NetworkError, ResolutionError
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, EMPTY, GET, PUT
from tests.conformance.rigs import LOOPS, descriptors
from tests.conformance.token_rigs import TOKEN_RIGS, TokenRig


@pytest.fixture(params=[(rig, loop) for rig in TOKEN_RIGS for loop in LOOPS], ids=" / ".join)
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TokenRig:
    """Every transport on every loop."""
    name, loop = request.param
    cls, host = TOKEN_RIGS[name]
    return cls(host, loop, monkeypatch)


def get(token: bytes, payload: bytes = b"") -> Message:
    return Message(code=GET if not payload else PUT, token=token, payload=payload)


def answer(request: Message, payload: bytes = b"") -> Message:
    response = Message(code=CONTENT, token=request.token, payload=payload)
    response.request = request
    return response


def test_a_request_and_its_response(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            assert client.interface.owns(remote)
            client.send(Message(code=GET, token=b"t1", uri_path=("a", "b")), remote)
            request = await server.request()
            assert (request.code, request.token) == (GET, b"t1")
            assert request.opt.uri_path == ("a", "b")
            assert request.remote is not None
            assert server.interface.owns(request.remote)
            server.send(answer(request, b"here"), request.remote.as_response_address())
            response = await client.response()
            assert (response.code, response.token) == (CONTENT, b"t1")
            assert response.payload == b"here"
            assert response.remote == remote
            assert hash(response.remote) == hash(remote)
            for tokens in (client, server):
                assert tokens.errors.empty()
            assert server.responses.empty()
            assert client.requests.empty()

    rig.run(test)


def test_the_same_peer_is_an_equal_address_again(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            first, second = await client.resolve(uri), await client.resolve(uri)
            assert first == second
            assert hash(first) == hash(second)
            at_once = client.interface.resolve_now(Message(code=GET, uri=uri))
            assert at_once is None or at_once == first
            incoming = []
            for token in (b"1", b"2"):
                client.send(get(token), first)
                incoming.append(await server.request())
                server.send(answer(incoming[-1]), incoming[-1].remote)  # type: ignore[arg-type]
            assert incoming[0].remote == incoming[1].remote
            async with rig.asker() as other:
                other.send(get(b"3"), await other.resolve(uri))
                assert (await server.request()).remote != incoming[0].remote

    rig.run(test)


def test_a_message_is_made_to_have_an_address(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (_, uri), rig.asker() as client:
            message = Message(code=GET, uri=uri)
            assert await client.interface.fill_or_recognize_remote(message)
            assert message.remote == await client.resolve(uri)
            # What has one keeps it.
            remote = message.remote
            assert await client.interface.fill_or_recognize_remote(message)
            assert message.remote is remote

    rig.run(test)


def test_addresses_name_both_ends(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            assert remote.uri_base == uri
            assert remote.scheme == rig.scheme
            assert not remote.is_multicast
            client.send(get(b"x"), remote)
            peer = (await server.request()).remote
            assert peer is not None
            assert peer.scheme == rig.scheme
            assert peer.uri_base_local == uri
            assert not peer.is_multicast_locally
            if rig.is_connected:
                # Nobody can connect to the end that opened the connection.
                with pytest.raises(AnonymousHost):
                    peer.uri_base  # noqa: B018
                with pytest.raises(AnonymousHost):
                    remote.uri_base_local  # noqa: B018
            else:
                assert peer.uri_base == f"{rig.scheme}://{peer.hostinfo}"
            assert peer.hostinfo in repr(peer) or not rig.is_connected

    rig.run(test)


def test_either_side_may_ask(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            client.send(get(b"there"), await client.resolve(uri))
            request = await server.request()
            assert request.remote is not None
            server.send(answer(request), request.remote)
            await client.response()
            # Tokens belong to who asks.
            server.send(get(b"there"), request.remote)
            back = await client.request()
            assert back.remote is not None
            client.send(answer(back, b"mine"), back.remote)
            response = await server.response()
            assert response.payload == b"mine"
            assert response.remote == request.remote

    rig.run(test)


def test_responses_come_in_any_order(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            requests = []
            if rig.scheme == "coap":
                # One after the other, as NSTART has it.
                for token in (b"1", b"2", b"3"):
                    client.send(get(token), remote)
                    requests.append(await server.request())
                    server.send(answer(requests[-1]), requests[-1].remote)  # type: ignore[arg-type]
            else:
                for token in (b"1", b"2", b"3"):
                    client.send(get(token), remote)
                requests = [await server.request() for _ in range(3)]
                for request in reversed(requests):
                    server.send(answer(request), request.remote)  # type: ignore[arg-type]
            assert [request.token for request in requests] == [b"1", b"2", b"3"]
            tokens = [(await client.response()).token for _ in range(3)]
            assert sorted(tokens) == [b"1", b"2", b"3"]

    rig.run(test)


def test_blocks_fit_what_the_address_says(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            assert 0 <= remote.maximum_block_size_exp <= 7
            size = remote.maximum_payload_size
            if remote.maximum_block_size_exp == 7:
                assert size % 1024 == 0
            payload = bytes(range(256)) * (size // 256)
            client.send(get(b"x", payload), remote)
            request = await server.request()
            assert request.payload == payload
            server.send(answer(request, payload), request.remote)  # type: ignore[arg-type]
            assert (await client.response()).payload == payload

    rig.run(test)


def test_what_can_not_be_encoded_is_an_error_of_the_caller(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            with pytest.raises(ValueError, match="too long"):
                client.send(get(bytes(70_000)), remote)
            client.send(get(b"fine"), remote)
            assert (await server.request()).token == b"fine"

    rig.run(test)


def test_a_response_that_is_not_sent_is_not_there(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            for token in (b"silent", b"loud"):
                client.send(get(token), remote)
                request = await server.request()
                silence = Message(code=EMPTY, token=request.token)
                silence.request = request
                response = silence if token == b"silent" else answer(request)
                server.send(response, request.remote)  # type: ignore[arg-type]
            assert (await client.response()).token == b"loud"
            assert client.responses.empty()

    rig.run(test)


def test_the_last_notification_arrives(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            client.send(get(b"obs"), await client.resolve(uri))
            request = await server.request()
            stop = server.send(answer(request, b"0"), request.remote)  # type: ignore[arg-type]
            for number in range(1, 6):
                notification = answer(request, b"%d" % number)
                notification.remote = request.remote
                notification.opt.observe = number
                stop = server.interface.send_notification(notification, None, stop)
            seen = []
            while not seen or seen[-1] != b"5":
                seen.append((await client.response()).payload)
            assert seen == sorted(set(seen))

    rig.run(test)


def test_a_sign_of_life(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (_, uri), rig.asker() as client:
            answered = asyncio.Event()
            client.interface.ping(await client.resolve(uri), answered.set)
            await answered.wait()
            assert client.errors.empty()

    rig.run(test)


def test_nobody_there_is_told_promptly(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.asker() as client:
            uri = rig.nowhere()
            for _ in range(2):
                if rig.is_connected:
                    with pytest.raises(NetworkError, match=uri.rpartition(":")[2]):
                        await client.resolve(uri)
                    continue
                remote = await client.resolve(uri)
                client.send(get(b"x"), remote)
                problem, where = await client.error()
                assert isinstance(problem, NetworkError)
                assert where == remote

    rig.run(test)


def test_a_peer_that_goes_away(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.asker() as client:
            async with rig.answerer() as (server, uri):
                remote = await client.resolve(uri)
                client.send(get(b"x"), remote)
                await server.request()
            if not rig.is_connected:
                # That is found out by sending.
                client.send(get(b"y"), remote)
            problem, where = await client.error()
            assert isinstance(problem, NetworkError)
            assert where == remote
            if rig.is_connected:
                assert not client.interface.owns(remote)
                # It is told again to who does not want to believe it, but not from within.
                client.send(get(b"y"), remote)
                assert (await client.error())[1] is remote

    rig.run(test)


def test_other_schemes_are_not_for_it(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.asker() as client:
            for uri in ("coap+other://localhost/", "http://localhost/"):
                message = Message(code=GET)
                message.remote = UndecidedRemote(uri.partition(":")[0], "localhost")
                assert await client.interface.resolve(message) is None
                assert client.interface.resolve_now(message) is None
                assert not await client.interface.fill_or_recognize_remote(message)
                assert isinstance(message.remote, UndecidedRemote)

    rig.run(test)


def test_names_that_can_not_be_resolved_are_named(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.asker() as client:
            name = "x" * 64 + ".invalid"
            message = Message(code=GET)
            message.remote = UndecidedRemote(rig.scheme, name)
            with pytest.raises(ResolutionError, match=name):
                await client.interface.resolve(message)

    rig.run(test)


def test_addresses_of_others_are_not_owned(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (_, uri), rig.asker() as one, rig.asker() as other:
            assert not other.interface.owns(await one.resolve(uri))
            assert not other.interface.owns(UndecidedRemote(rig.scheme, "localhost"))

    rig.run(test)


def test_nothing_is_told_after_the_shutdown(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri), rig.asker() as client:
            remote = await client.resolve(uri)
            client.send(get(b"x"), remote)
            request = await server.request()
            await client.interface.release()
            await client.interface.shutdown()
            while not client.errors.empty():
                client.errors.get_nowait()
            server.send(answer(request), request.remote)  # type: ignore[arg-type]
            # What the server sends after that has arrived, so that this would have, too.
            async with rig.asker() as other:
                other.send(get(b"y"), await other.resolve(uri))
                later = await server.request()
                server.send(answer(later), later.remote)  # type: ignore[arg-type]
                await other.response()
            assert client.responses.empty()
            assert client.errors.empty()
            # And not a second time.
            await client.interface.shutdown()

    rig.run(test)


def test_the_shutdown_leaves_nothing(rig: TokenRig) -> None:
    async def test() -> None:
        # A loop opens things for itself the first time.
        left = []
        for _ in range(2):
            async with rig.answerer() as (server, uri), rig.asker() as client:
                client.send(get(b"x"), await client.resolve(uri))
                await server.request()
            left.append(descriptors())
        assert left[0] == left[1]
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks

    rig.run(test)


def test_managers_are_free_once_the_interface_is_shut_down(rig: TokenRig) -> None:
    async def test() -> None:
        async with rig.answerer() as (server, uri):
            async with rig.asker() as client:
                client.send(get(b"x"), await client.resolve(uri))
                request = await server.request()
                server.send(answer(request), request.remote)  # type: ignore[arg-type]
                await client.response()
            gone = weakref.ref(client)
            client.interface = None  # type: ignore[assignment]
            del client
            for _ in range(5):
                await asyncio.sleep(0)
            gc.collect()
            assert gone() is None

    rig.run(test)

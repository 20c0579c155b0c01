"""How requests and contexts end: cancelled, in time-outs, by errors of the network, by shutdown."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aiocoap import CHANGED, GET, NON, POST, Context, Message, error
from aiocoap.numbers.types import CON
from aiocoap.resource import Resource, Site
from aiocoap.util import hostportjoin
from tests.integration.net import Hasty, Net, about_datagrams, ask, base, until


@contextmanager
def silent_peer(host: str = "::1") -> Iterator[tuple[socket.socket, str]]:
    """A socket that answers nothing, and its URI."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.bind((host, 0))
        peer.setblocking(False)
        yield peer, f"coap://{hostportjoin(host, peer.getsockname()[1])}"


def count(peer: socket.socket) -> int:
    """Return how many datagrams have come in since."""
    number = 0
    while True:
        try:
            peer.recv(2000)
        except BlockingIOError:
            return number
        number += 1


def closed_port() -> str:
    """Return the URI of a port where nobody is."""
    with silent_peer() as (_, uri):
        return uri


class Slow(Resource):
    """Never answers, but tells whether it is working."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.cancelled = 0

    async def render_get(self, request: Message) -> Message:
        self.begun += 1
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError

    async def render_post(self, request: Message) -> Message:
        return Message(payload=b"prompt")


def site(resource: Resource) -> Site:
    it = Site()
    it.add_resource(["slow"], resource)
    return it


# Time-outs and cancellation


@about_datagrams
async def test_nobody_answers(net: Net) -> None:
    net.expects_log = True  # one line that it gives up
    with silent_peer() as (peer, uri):
        async with net.client(transport_tuning=Hasty) as client:
            with pytest.raises(error.RequestTimedOut):
                await ask(client, GET, uri)
            assert count(peer) == 3
            # The next one begins anew.
            with pytest.raises(error.RequestTimedOut):
                await ask(client, GET, uri)
            assert count(peer) == 3


@about_datagrams
async def test_nobody_answers_what_is_not_confirmable(net: Net) -> None:
    with silent_peer() as (peer, uri):
        async with net.client(transport_tuning=Hasty) as client:
            with pytest.raises(error.RequestTimedOut):
                await ask(client, GET, uri, mtype=NON)
            assert count(peer) == 1


@about_datagrams
async def test_the_tuning_of_a_request_counts(net: Net) -> None:
    net.expects_log = True
    with silent_peer() as (peer, uri):
        async with net.client() as client:
            with pytest.raises(error.RequestTimedOut):
                await ask(client, GET, uri, transport_tuning=Hasty)
            assert count(peer) == 3


@about_datagrams
@pytest.mark.parametrize("way", ["cancel", "task", "wait_for", "timeout", "observation"])
async def test_a_cancelled_request_is_not_sent_again(net: Net, way: str) -> None:
    class Quick(Hasty):
        ACK_TIMEOUT = 0.02

    with silent_peer() as (peer, uri):
        async with net.client(transport_tuning=Quick) as client:
            request = client.request(
                Message(code=GET, uri=uri, observe=0 if way == "observation" else None)
            )

            async def wait() -> None:
                await request.response

            if way == "task":
                task = asyncio.create_task(wait())
                await asyncio.sleep(0)
            await until(lambda: count(peer) == 1)
            if way == "cancel":
                request.response.cancel()
            elif way == "task":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            elif way == "wait_for":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(request.response, 0)
            elif way == "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await request.response
            else:
                request.response.cancel()
                assert request.observation.cancelled
            assert request.response.cancelled()
            await asyncio.sleep(0.04)
            assert count(peer) == 0


@about_datagrams
async def test_a_cancelled_request_makes_room_for_the_next(net: Net) -> None:
    with silent_peer() as (peer, uri):
        async with net.client() as client:
            first = client.request(Message(code=GET, uri=uri))
            second = client.request(Message(code=GET, uri=uri))
            await until(lambda: count(peer) == 1)
            first.response.cancel()
            await until(lambda: count(peer) == 1)
            second.response.cancel()


@about_datagrams
async def test_one_that_never_left_can_be_cancelled(net: Net) -> None:
    with silent_peer() as (peer, uri):
        async with net.client() as client:
            requests = [client.request(Message(code=GET, uri=uri)) for _ in range(3)]
            requests[1].response.cancel()
            await until(lambda: count(peer) == 1)
            requests[0].response.cancel()
            await until(lambda: count(peer) == 1)
            requests[2].response.cancel()


# What the network says


@about_datagrams
async def test_nobody_is_there(net: Net) -> None:
    async with net.client() as client:
        begin = time.monotonic()
        with pytest.raises(error.NetworkError) as caught:
            await ask(client, GET, closed_port())
        assert time.monotonic() - begin < 1.5
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert caught.value.extra_help()
        assert not isinstance(caught.value, error.TimeoutError)


@about_datagrams
async def test_nobody_is_there_for_many(net: Net) -> None:
    async with net.client() as client:
        uri = closed_port()
        requests = [client.request(Message(code=GET, uri=uri)) for _ in range(20)]
        for request in requests:
            with pytest.raises(error.NetworkError):
                await request.response


@about_datagrams
async def test_others_are_not_concerned(net: Net) -> None:
    async with net.pair(site(Slow())) as (client, uri):
        bad = client.request(Message(code=GET, uri=closed_port()))
        good = client.request(Message(code=POST, uri=uri + "/slow"))
        assert (await good.response).payload == b"prompt"
        with pytest.raises(error.NetworkError):
            await bad.response
        assert (await ask(client, POST, uri + "/slow")).payload == b"prompt"


@pytest.mark.parametrize("handle_blockwise", [True, False])
async def test_a_host_that_is_unknown(net: Net, handle_blockwise: bool) -> None:
    async with net.client() as client:
        request = client.request(
            Message(code=GET, uri=f"{net.scheme}://does-not-exist.invalid/"), handle_blockwise
        )
        with pytest.raises(error.ResolutionError, match=r"does-not-exist\.invalid"):
            await request.response
        assert isinstance(await request.response_nonraising, Message)


async def test_a_scheme_that_nothing_serves(net: Net) -> None:
    async with net.client() as client:
        with pytest.raises(error.NoRequestInterface, match="coaps"):
            await ask(client, GET, "coaps+ws://[::1]/")


# Shutdown


@about_datagrams
async def test_the_shutdown_ends_everything(net: Net) -> None:
    slow = Slow()
    with silent_peer() as (_, silent):
        async with net.server(site(slow)) as server:
            uri = base(server)
            async with net.client() as client:
                requests = [
                    client.request(Message(code=GET, uri=uri + "/slow")),
                    client.request(Message(code=GET, uri=uri + "/slow", observe=0)),
                    client.request(Message(code=GET, uri=silent)),
                    client.request(Message(code=GET, uri=silent), handle_blockwise=False),
                    client.request(Message(code=POST, uri=silent, payload=bytes(5000))),
                    client.request(
                        Message(code=GET, uri=f"{net.scheme}://does-not-exist.invalid/")
                    ),
                ]
                await until(lambda: slow.begun > 0)
            for request in requests:
                assert request.response.done()
                with pytest.raises((error.LibraryShutdown, error.ResolutionError)):
                    await request.response
            with pytest.raises(error.LibraryShutdown):
                client.request(Message(code=GET, uri=uri))
        assert slow.cancelled == slow.begun


@about_datagrams
async def test_nothing_is_left(net: Net) -> None:
    """Neither task nor socket nor reference, right after the shutdown."""
    references = []
    with silent_peer() as (_, silent):
        for create in (net.client, lambda: net.server(site(Slow()))):
            async with create() as context:
                context.request(Message(code=GET, uri=silent))
                request = context.request(Message(code=GET, uri=silent, observe=0))
                request.observation.register_callback(print)
                await asyncio.sleep(0)
                references.append(weakref.ref(context))
            del context, request
            assert len(asyncio.all_tasks()) == 1
    gc.collect()
    assert [reference() for reference in references] == [None, None]


async def test_the_port_is_free_again(net: Net) -> None:
    async with net.server(site(Slow())) as server:
        host, port = server.bound_addresses[0]
    for _ in range(5):
        server = await Context.create_server_context(
            site(Slow()), (host, port), transports=[net.server_transport]
        )
        assert server.bound_addresses[0] == (host, port)
        await server.shutdown()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as mine:
        mine.bind((host, port))


async def test_many_contexts_one_after_another(net: Net) -> None:
    slow = Slow()
    async with net.server(site(slow)) as server:
        for _ in range(30):
            async with net.client() as client:
                assert (await ask(client, POST, base(server) + "/slow")).code == CHANGED


async def test_a_handler_that_shuts_its_server_down(net: Net) -> None:
    class Off(Resource):
        context: Context
        done = False

        async def render_post(self, request: Message) -> Message:
            await self.context.shutdown()
            self.done = True
            return Message(payload=b"too late")

    net.expects_log = True
    off = Off()
    async with net.server(site(off)) as server, net.client(transport_tuning=Hasty) as client:
        off.context = server
        with pytest.raises(error.NetworkError):
            await ask(client, POST, base(server) + "/slow")
        await until(lambda: off.done)


async def test_a_handler_that_sends_a_shutdown_on_its_way(net: Net) -> None:
    """The usual way: answer, and shut down from outside."""
    wanted = asyncio.Event()

    class Off(Resource):
        async def render_post(self, request: Message) -> Message:
            wanted.set()
            return Message(payload=b"bye")

    async with net.client() as client:
        async with net.server(site(Off())) as server:
            request = client.request(Message(code=POST, uri=base(server) + "/slow"))
            await wanted.wait()
        assert (await request.response).payload == b"bye"


async def test_what_comes_after_the_end_is_not_heard(net: Net) -> None:
    """Datagrams to a client that is gone do no harm to whoever has its port next."""
    slow = Slow()
    async with net.server(site(slow)) as server:
        for _ in range(10):
            client = await Context.create_client_context(transports=[net.client_transport])
            client.request(Message(code=POST, uri=base(server) + "/slow"))
            await client.shutdown()
        async with net.client() as other:
            assert (await ask(other, POST, base(server) + "/slow")).code == CHANGED


# Bad input


async def test_garbage(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    slow = Slow()
    async with net.pair(site(slow)) as (client, uri):
        port = int(uri.rpartition(":")[2])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
            for n in range(2000):
                length = n % 20
                peer.sendto(bytes((n * 31 + i * 7) % 256 for i in range(length)), ("::1", port))
                # The system would drop what nobody takes.
                await asyncio.sleep(0)
        assert (await ask(client, POST, uri + "/slow")).payload == b"prompt"
    assert caplog.records == []


@about_datagrams
async def test_a_ping(net: Net) -> None:
    async with net.server(None) as server:
        with silent_peer() as (peer, _):
            peer.sendto(bytes.fromhex("40001234"), server.bound_addresses[0])
            got: list[bytes] = []

            def arrived() -> bool:
                try:
                    got.append(peer.recv(100))
                except BlockingIOError:
                    return False
                return True

            await until(arrived)
            assert got == [bytes.fromhex("70001234")]


async def test_a_confirmable_request_to_a_group(net: Net) -> None:
    async with net.client() as client:
        with pytest.raises((error.ConToMulticast, error.NoRequestInterface)):
            await ask(client, GET, "coap://[ff02::fd%lo]/", mtype=CON)

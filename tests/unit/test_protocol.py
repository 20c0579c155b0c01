"""The context: how it is put together, and taken apart."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

from aiocoap import error, interfaces, protocol
from aiocoap.address import EndpointAddress
from aiocoap.credentials import CredentialsMap
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET, NOT_FOUND, POST
from aiocoap.numbers.constants import Reliable, TransportTuning
from aiocoap.numbers.types import CON
from aiocoap.pipe import Pipe
from aiocoap.protocol import Context
from aiocoap.resource import Resource, Site
from aiocoap.transports import catalog
from tests.harness import Address, Pair

OPENED: list[Fake] = []
"""All transports that were opened in the test."""


class Fake(interfaces.MessageInterface):
    """A transport to nowhere."""

    #: What opening and resolving waits for, and fails with.
    delay: Awaitable[object] | None = None
    problem: BaseException | None = None
    #: What closing does.
    closing: Callable[[], Awaitable[object]] | None = None

    def __init__(self, manager: Any, options: dict[str, Any]) -> None:
        self.manager = manager
        self.options = options
        self.sent: list[bytes] = []
        self.is_shut_down = False
        OPENED.append(self)

    @classmethod
    async def client(cls, ctx: Any, log: Any, loop: Any) -> Fake:
        return cls(ctx, {})

    @classmethod
    async def server(cls, ctx: Any, log: Any, loop: Any, **options: Any) -> Fake:
        return cls(ctx, options)

    @classmethod
    async def broken(cls, log: Any, loop: Any, **options: Any) -> Fake:
        raise error.NetworkError("broken")

    @classmethod
    async def slow(cls, ctx: Any, log: Any, loop: Any, **options: Any) -> Fake:
        await asyncio.sleep(100)
        raise AssertionError

    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        assert not self.is_shut_down
        self.sent.append(datagram)

    async def determine_remote(self, message: Message) -> EndpointAddress | None:
        if self.delay is not None:
            await self.delay
        if self.problem is not None:
            raise self.problem
        return self.determine_remote_now(message)

    def determine_remote_now(self, message: Message) -> EndpointAddress | None:
        destination = message.destination()
        if self.delay is not None or destination.scheme != "coap":
            return None
        return Address(destination.hostinfo, "[2001:db8::1]")

    def recognize_remote(self, remote: EndpointAddress) -> bool:
        return isinstance(remote, Address)

    @property
    def bound_address(self) -> tuple[str, int] | None:
        bind = self.options.get("bind")
        return None if bind is None else (bind[0], bind[1] or 5683)

    async def shutdown(self) -> None:
        if self.closing is not None:
            await self.closing()
        self.is_shut_down = True


class FakeTokens(interfaces.TokenInterface):
    """A transport that needs no message manager."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager

    @classmethod
    async def client(cls, tman: Any, log: Any, loop: Any) -> FakeTokens:
        return cls(tman)

    def send_message(self, message: Message, messageerror_monitor: Any) -> None:
        response = Message(code=CONTENT, token=message.token)
        response.remote = message.remote
        assert self.manager.process_response(response)

    def owns(self, remote: EndpointAddress) -> bool:
        return isinstance(remote, Address)

    async def resolve(self, message: Message) -> EndpointAddress | None:
        destination = message.destination()
        return Address(destination.hostinfo, "here") if destination.scheme == "coap+tcp" else None

    async def shutdown(self) -> None:
        pass


ROW = catalog.Transport("fake", "fake", "Fake", "message", "client", "server", ("bind",))


@pytest.fixture(autouse=True)
def transports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake transports beside those that there are."""
    OPENED.clear()
    module = ModuleType("aiocoap.transports.fake")
    module.Fake, module.FakeTokens = Fake, FakeTokens  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for row in (
        ROW,
        ROW._replace(name="broken", client="broken", server="broken"),
        ROW._replace(name="slow", client="slow", server="slow"),
        ROW._replace(name="client-only", server=None),
        ROW._replace(name="tokens", class_name="FakeTokens", kind="token", server=None),
    ):
        monkeypatch.setitem(catalog.ROWS, row.name, row)


@asynccontextmanager
async def fake_client(*names: str) -> AsyncIterator[Context]:
    """A client context over fake transports."""
    async with await Context.create_client_context(transports=names or ["fake"]) as context:
        yield context


def is_tidy() -> bool:
    """Whether nothing is left of any context."""
    return len(asyncio.all_tasks()) == 1 and all(fake.is_shut_down for fake in OPENED)


# Construction


def test_a_context_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Context()


async def test_a_context_works_in_the_running_loop_only() -> None:
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(ValueError, match="running event loop"):
            Context(loop=other)
        with pytest.raises(ValueError, match="running event loop"):
            await Context.create_client_context(loop=other, transports=["fake"])
        with pytest.raises(ValueError, match="running event loop"):
            await Context.create_server_context(None, loop=other, transports=["fake"])
    finally:
        other.close()
    assert OPENED == []
    loop = asyncio.get_running_loop()
    assert Context(loop).loop is loop
    assert Context(loop=None).loop is loop


async def test_what_a_context_has() -> None:
    context = Context()
    assert context.serversite is None
    assert context.log.name == "coap"
    assert isinstance(context.client_credentials, CredentialsMap)
    assert isinstance(context.server_credentials, CredentialsMap)
    assert context.client_credentials is not context.server_credentials
    assert isinstance(context.transport_tuning, TransportTuning)
    assert context.request_interfaces == []
    assert context.bound_addresses == []
    assert "no transport" in repr(context)


async def test_what_is_given_is_taken() -> None:
    site, own, others, tuning = Site(), CredentialsMap(), CredentialsMap(), TransportTuning()
    context = Context(None, site, "other", own, server_credentials=others, transport_tuning=tuning)
    assert context.serversite is site
    assert context.log.name == "other"
    assert context.client_credentials is own
    assert context.server_credentials is others
    assert context.transport_tuning is tuning
    assert isinstance(Context(transport_tuning=Reliable).transport_tuning, Reliable)


def test_documented_signatures() -> None:
    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert names(Context)[:4] == ["loop", "serversite", "loggername", "client_credentials"]
    client = inspect.signature(Context.create_client_context).parameters
    assert client["loggername"].default == "coap"
    assert {parameter.kind for parameter in client.values()} == {inspect.Parameter.KEYWORD_ONLY}
    server = inspect.signature(Context.create_server_context).parameters
    assert list(server)[:2] == ["site", "bind"]
    assert server["loggername"].default == "coap-server"
    assert server["multicast"].default == []


# Opening transports


async def test_a_client_context() -> None:
    context = await Context.create_client_context(transports=["fake"], transport_tuning=Reliable)
    (fake,) = OPENED
    assert fake.options == {}
    assert fake.manager.message_interface is fake
    assert context.bound_addresses == []
    assert "Fake" in repr(context)
    assert isinstance(context.transport_tuning, Reliable)
    await context.shutdown()
    assert is_tidy()


async def test_a_server_context() -> None:
    site, credentials = Site(), CredentialsMap()
    context = await Context.create_server_context(
        site, ("::1", None), transports=["fake"], server_credentials=credentials
    )
    assert OPENED[0].options == {"bind": ("::1", None)}
    assert context.serversite is site
    assert context.server_credentials is credentials
    assert context.bound_addresses == [("::1", 5683)]
    assert context.log.name == "coap-server"
    await context.shutdown()
    assert context.bound_addresses == []


async def test_transports_can_be_a_mapping_to_options() -> None:
    transports = {"fake": {"bind": ("::2", 7)}, "simple6": None, "client-only": {}}
    with pytest.raises(ValueError, match="client-only"):
        await Context.create_server_context(None, transports=transports)
    assert OPENED == []
    del transports["client-only"]
    context = await Context.create_server_context(None, ("::1", 6), transports=transports)
    assert OPENED[0].options == {"bind": ("::2", 7)}
    assert len(context.request_interfaces) == 2
    await context.shutdown()
    with pytest.raises(ValueError, match="bnid"):
        await Context.create_server_context(None, transports={"fake": {"bnid": 3}})
    with pytest.raises(ValueError, match="bind"):
        await Context.create_client_context(transports={"fake": {"bind": 3}})
    assert len(OPENED) == 1


async def test_options_that_nobody_takes(caplog: pytest.LogCaptureFixture) -> None:
    async with await Context.create_server_context(
        None, ("::1", 6), multicast=["lo"], transports=["fake"]
    ):
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "multicast" in caplog.text


BONUS = ROW._replace(
    name="bonus", kind="token", client=None, server="broken", port_offset=3000, needs=None
)


@pytest.mark.parametrize("port", [1, 65000])
async def test_connections_that_can_not_be_had_are_no_reason_to_serve_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, port: int
) -> None:
    monkeypatch.setitem(catalog.ROWS, "bonus", BONUS)
    monkeypatch.setattr(
        protocol.defaults, "get_default_servertransports", lambda loop: ["fake", "bonus"]
    )
    async with await Context.create_server_context(None, ("::1", port)) as context:
        assert context.bound_addresses == [("::1", port)]
    (entry,) = caplog.records
    assert entry.levelno == logging.WARNING
    assert "bonus" in entry.getMessage()
    # Who asks for them by name gets them, or nothing.
    with pytest.raises((error.NetworkError, ValueError), match=r"broken|68000"):
        await Context.create_server_context(None, ("::1", port), transports=["fake", "bonus"])
    assert is_tidy()


async def test_datagrams_that_can_not_be_had_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.defaults, "get_default_servertransports", lambda loop: ["broken"])
    with pytest.raises(error.NetworkError, match="broken"):
        await Context.create_server_context(None, ("::1", 1))


async def test_what_a_transport_needs_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROW._replace(
        name="needy", server_options=("bind", "server_context"), needs="server_context"
    )
    monkeypatch.setitem(catalog.ROWS, "needy", row)
    with pytest.raises(ValueError, match="'needy' needs server_context"):
        await Context.create_server_context(None, ("::1", 1), transports=["needy"])
    monkeypatch.setattr(
        protocol.defaults, "get_default_servertransports", lambda loop: ["fake", "needy"]
    )
    for certificate, count in ((None, 1), ("a certificate", 2)):
        OPENED.clear()
        async with await Context.create_server_context(
            None, ("::1", 1), _ssl_context=certificate
        ) as context:
            assert len(context.request_interfaces) == count
    assert OPENED[-1].options["server_context"] == "a certificate"


@pytest.mark.parametrize("variable", ["AIOCOAP_CLIENT_TRANSPORT", "AIOCOAP_SERVER_TRANSPORT"])
async def test_the_environment_names_transports(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOCOAP_CLIENT_TRANSPORT", "nothing")
    monkeypatch.setenv("AIOCOAP_SERVER_TRANSPORT", "nothing")
    monkeypatch.setenv(variable, "fake:fake")

    async def create(**kwargs: Any) -> Context:
        if "CLIENT" in variable:
            return await Context.create_client_context(**kwargs)
        return await Context.create_server_context(None, **kwargs)

    async with await create():
        assert len(OPENED) == 2
    async with await create(transports=["fake"]):
        assert len(OPENED) == 3, "what the program says goes before it"
    monkeypatch.setenv(variable, "fake:nothing")
    with pytest.raises(ValueError, match="'nothing'"):
        await create()
    assert len(OPENED) == 3


async def test_an_unknown_transport_lists_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'udp7'.*udp6, simple6"):
        await Context.create_client_context(transports=["fake", "udp7"])
    assert OPENED == []


async def test_a_name_is_no_list_of_names() -> None:
    with pytest.raises(ValueError, match="'fake'"):
        await Context.create_client_context(transports="fake")


async def test_one_that_can_not_be_opened_closes_the_others() -> None:
    with pytest.raises(error.NetworkError, match="broken"):
        await Context.create_client_context(transports=["fake", "broken", "fake"])
    assert len(OPENED) == 1
    assert is_tidy()
    with pytest.raises(error.NetworkError, match="broken"):
        await Context.create_server_context(None, transports=["fake", "broken"])
    assert is_tidy()


async def test_opening_can_be_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await Context.create_client_context(transports=["fake", "slow"])
    assert len(OPENED) == 1
    assert is_tidy()


async def test_contexts_are_created_by_tasks() -> None:
    context = await asyncio.create_task(Context.create_client_context(transports=["fake"]))
    await context.shutdown()
    context = await asyncio.Task(Context.create_server_context(None, transports=["fake"]))
    await context.shutdown()
    assert is_tidy()


async def test_a_transport_without_message_ids() -> None:
    async with fake_client("fake", "tokens") as context:
        response = await context.request(Message(code=GET, uri="coap+tcp://host/")).response
        assert response.code == CONTENT
        assert OPENED[0].sent == []


# Requests


async def test_a_request_leaves_at_once() -> None:
    async with fake_client() as context:
        request = context.request(Message(code=GET, uri="coap://host/"))
        assert isinstance(request, protocol.BlockwiseRequest)
        assert len(OPENED[0].sent) == 1
        request.response.cancel()


async def test_a_request_of_one_message() -> None:
    async with fake_client() as context:
        request = context.request(Message(code=GET, uri="coap://host/"), handle_blockwise=False)
        assert isinstance(request, protocol.Request)
        await asyncio.sleep(0)
        assert len(OPENED[0].sent) == 1
        message = Message.decode(OPENED[0].sent[0])
        response = Message(code=NOT_FOUND, token=message.token)
        response.remote = request.response.delivery.request.remote  # type: ignore[attr-defined]
        assert context.request_interfaces[0].process_response(response)  # type: ignore[attr-defined]
        assert (await request.response).code == NOT_FOUND


@pytest.mark.parametrize("handle_blockwise", [True, False])
async def test_a_cancelled_request_is_not_sent(handle_blockwise: bool) -> None:
    async with fake_client() as context:
        OPENED[0].delay = asyncio.sleep(0.001)
        request = context.request(Message(code=GET, uri="coap://host/"), handle_blockwise)
        await asyncio.sleep(0)
        request.response.cancel()
        await asyncio.sleep(0.002)
        assert OPENED[0].sent == []


@pytest.mark.parametrize("handle_blockwise", [True, False])
@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        (error.NoRequestInterface, {"uri": "coap+tcp://host"}),
        (error.MissingRemoteError, {}),
        (error.ConToMulticast, {"uri": "coap://[ff02::fd]", "mtype": CON}),
        (error.Error, {"uri": "coap://host", "payload": "no bytes"}),
    ],
)
async def test_requests_that_can_not_be_sent(
    handle_blockwise: bool, kind: type[Exception], kwargs: dict[str, Any]
) -> None:
    async with fake_client() as context:
        request = context.request(Message(code=GET, **kwargs), handle_blockwise)
        with pytest.raises(kind) as caught:
            await request.response
        assert isinstance(caught.value, error.Error)
        assert OPENED[0].sent == []


async def test_a_request_without_a_code() -> None:
    async with fake_client() as context:
        for handle_blockwise in (True, False):
            request = context.request(Message(uri="coap://host/"), handle_blockwise)
            with pytest.raises(error.Error):
                await request.response
        assert OPENED[0].sent == []


@pytest.mark.parametrize("handle_blockwise", [True, False])
async def test_a_name_that_can_not_be_resolved(handle_blockwise: bool) -> None:
    async with fake_client() as context:
        OPENED[0].delay = asyncio.sleep(0)
        OPENED[0].problem = error.ResolutionError("host")
        request = context.request(Message(code=GET, uri="coap://host/"), handle_blockwise)
        with pytest.raises(error.ResolutionError):
            await request.response


async def test_no_transport_says_where_it_should_have_gone() -> None:
    async with fake_client() as context:
        with pytest.raises(error.NoRequestInterface, match="coaps://host"):
            await context.find_remote_and_interface(Message(code=GET, uri="coaps://host/"))


async def test_the_first_transport_that_takes_it_gets_it() -> None:
    async with fake_client("fake", "fake") as context:
        first, second = context.request_interfaces
        message = Message(code=GET, uri="coap://host/")
        assert context.find_remote_and_interface_now(message) is first
        assert await context.find_remote_and_interface(message) is first
        assert message.remote == Address("host", "")
        OPENED[0].delay = asyncio.sleep(0)
        message = Message(code=GET, uri="coap://host/")
        assert context.find_remote_and_interface_now(message) is None, "the second is not asked"
        assert await context.find_remote_and_interface(message) is second
        assert Context().find_remote_and_interface_now(message) is None


async def test_groups_get_no_confirmable_requests() -> None:
    async with fake_client() as context:
        message = Message(code=GET, mtype=CON, uri="coap://[ff02::fd]")
        with pytest.raises(error.ConToMulticast):
            context.find_remote_and_interface_now(message)
        with pytest.raises(error.ConToMulticast):
            await context.find_remote_and_interface(message)


async def test_incoming_requests_go_to_the_site() -> None:
    class Hello(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=b"hello")

    site = Site()
    site.add_resource([], Hello())
    context = Context()
    context.serversite = site  # later, as the documentation has it
    request = Message(code=GET)
    request.remote = Address("client", "server")
    pipe = Pipe(request, logging.getLogger("tests"))
    got = []
    pipe.on_event(lambda event: got.append(event))  # type: ignore[func-returns-value]
    context.render_to_plumbing_request(pipe)
    await asyncio.sleep(0)
    assert got[0].message.payload == b"hello"
    assert got[0].is_last
    await context.shutdown()


# Shutdown


async def test_shutting_down_twice() -> None:
    context = await Context.create_client_context(transports=["fake"])
    await context.shutdown()
    await context.shutdown()
    async with context:
        pass
    assert is_tidy()


async def test_leaving_the_block_shuts_down() -> None:
    with pytest.raises(ZeroDivisionError):
        async with await Context.create_client_context(transports=["fake"]):
            raise ZeroDivisionError
    assert is_tidy()


async def test_who_shuts_down_too_waits_for_the_first() -> None:
    context = await Context.create_client_context(transports=["fake"])
    gate = asyncio.Event()
    OPENED[0].closing = gate.wait
    first = asyncio.create_task(context.shutdown())
    second = asyncio.create_task(context.shutdown())
    await asyncio.sleep(0.001)
    assert not first.done()
    assert not second.done()
    gate.set()
    await first
    await second
    assert is_tidy()


async def test_the_shutdown_goes_on_if_nobody_waits_for_it() -> None:
    context = await Context.create_client_context(transports=["fake"])
    gate = asyncio.Event()
    OPENED[0].closing = gate.wait
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(context.shutdown(), 0.001)
    gate.set()
    await context.shutdown()
    assert is_tidy()


async def test_a_transport_that_fails_to_close() -> None:
    context = await Context.create_client_context(transports=["fake", "fake"])
    request = context.request(Message(code=GET, uri="coap://host/"))
    OPENED[0].delay = asyncio.get_running_loop().create_future()
    resolving = context.request(Message(code=GET, uri="coap://other/"))
    await asyncio.sleep(0)

    async def fail() -> None:
        raise ZeroDivisionError

    OPENED[0].closing = fail
    with pytest.raises(ZeroDivisionError):
        await context.shutdown()
    assert OPENED[1].is_shut_down
    assert request.response.done()
    assert resolving.response.done()
    assert len(asyncio.all_tasks()) == 1


async def test_requests_end_with_the_context() -> None:
    context = await Context.create_client_context(transports=["fake"])
    requests = [
        context.request(Message(code=GET, uri="coap://host/")),
        context.request(Message(code=GET, uri="coap://host/", observe=0)),
        context.request(Message(code=GET, uri="coap://other/"), handle_blockwise=False),
        context.request(Message(code=POST, uri="coap://more/", payload=bytes(5000))),
        # Queued behind the first.
        context.request(Message(code=GET, uri="coap://host/")),
        # Joined to the second.
        context.request(Message(code=GET, uri="coap://host/", observe=0)),
    ]
    await asyncio.sleep(0)
    assert len(context.registrations) == 1
    remote = context.request(Message(code=GET, uri="coap://host/")).response.delivery.request.remote
    context.echoes.keep(remote, b"echo", context.loop.time())
    await context.shutdown()
    assert context.registrations == {}
    assert not context.echoes.waiting
    for request in requests:
        with pytest.raises(error.LibraryShutdown):
            await request.response
    with pytest.raises(error.LibraryShutdown):
        context.request(Message(code=GET, uri="coap://host/"))
    with pytest.raises(error.LibraryShutdown):
        await context.find_remote_and_interface(Message(code=GET, uri="coap://host/"))
    assert is_tidy()


@pytest.mark.parametrize("handle_blockwise", [True, False])
@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_requests_that_have_not_left_end_with_the_context(
    handle_blockwise: bool, turns: int
) -> None:
    context = await Context.create_client_context(transports=["fake"])
    OPENED[0].delay = asyncio.get_running_loop().create_future()
    request = context.request(Message(code=GET, uri="coap://host/"), handle_blockwise)
    for _ in range(turns):
        await asyncio.sleep(0)
    await context.shutdown()
    with pytest.raises(error.LibraryShutdown):
        await asyncio.wait_for(request.response, 5)
    assert is_tidy()


@pytest.mark.parametrize("handle_blockwise", [True, False])
async def test_a_request_that_is_resolved_during_the_shutdown(handle_blockwise: bool) -> None:
    context = await Context.create_client_context(transports=["fake"])
    gate, resolved = asyncio.Event(), asyncio.Event()
    OPENED[0].closing = gate.wait
    OPENED[0].delay = resolved.wait()
    request = context.request(Message(code=GET, uri="coap://host/"), handle_blockwise)
    await asyncio.sleep(0)
    closing = asyncio.create_task(context.shutdown())
    await asyncio.sleep(0)
    with pytest.raises(error.LibraryShutdown):
        context.request(Message(code=GET, uri="coap://host/"))
    resolved.set()
    await asyncio.sleep(0.001)
    gate.set()
    await closing
    with pytest.raises(error.LibraryShutdown):
        await request.response
    assert OPENED[0].sent == []
    assert is_tidy()


@pytest.mark.parametrize("handle_blockwise", [True, False])
async def test_a_request_without_transports_ends_with_the_context(handle_blockwise: bool) -> None:
    context = Context()
    request = context.request(Message(code=GET, uri="coap://host/"), handle_blockwise)
    await context.shutdown()
    with pytest.raises((error.LibraryShutdown, error.NoRequestInterface)):
        await asyncio.wait_for(request.response, 5)
    assert is_tidy()


async def test_who_waits_learns_of_the_shutdown_at_once() -> None:
    context = await Context.create_client_context(transports=["fake"])

    async def ask() -> None:
        await context.request(Message(code=GET, uri="coap://host/")).response

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    await context.shutdown()
    with pytest.raises(error.LibraryShutdown):
        await task


# Pings


def test_a_ping_between_contexts() -> None:
    with Pair(Site()) as pair:
        pinging = pair.clock.loop.create_task(pair.client.context.ping(f"coap://{pair.SERVER}/a?b"))
        pair.clock.settle()
        pair.clock.advance(0.25)
        ping = pair.drop()
        assert ping.raw[:2] == b"\x40\x00"
        assert len(ping.raw) == 4
        pair.server.receive(ping.raw, pair.CLIENT)
        pair.settle()
        assert pinging.result() == pytest.approx(0.25)


def test_a_ping_that_is_not_answered() -> None:
    with Pair(Site()) as pair, pytest.raises(error.ConRetransmitsExceeded):
        pair.clock.run(pair.client.context.ping("coap://[2001:db8::dead]"))


async def test_what_can_not_be_pinged() -> None:
    async with fake_client("fake", "tokens") as context:
        with pytest.raises(error.IncompleteUrlError):
            await context.ping("host")
        with pytest.raises(error.NoRequestInterface):
            await context.ping("coaps://host")
        with pytest.raises(error.Error, match="can not be pinged"):
            await context.ping("coap+tcp://host")
        with pytest.raises(error.ConToMulticast):
            await context.ping("coap://[ff02::fd]")
    with pytest.raises(error.LibraryShutdown):
        await context.ping("coap://host")


async def test_nothing_is_left_of_a_context() -> None:
    context = await Context.create_server_context(Site(), ("::1", 5), transports=["fake"])
    context.request(Message(code=GET, uri="coap://host/"))
    context.request(Message(code=GET, uri="coap://other/", observe=0))
    await context.shutdown()
    OPENED.clear()
    reference = weakref.ref(context)
    del context
    gc.collect()
    assert reference() is None


async def test_a_context_that_was_not_opened_is_collectable() -> None:
    references = []
    init = Context.__init__

    def note(self: Context, *args: Any, **kwargs: Any) -> None:
        references.append(weakref.ref(self))
        init(self, *args, **kwargs)

    Context.__init__ = note  # type: ignore[method-assign]
    try:
        with pytest.raises(error.NetworkError):
            await Context.create_client_context(transports=["fake", "broken"])
    finally:
        Context.__init__ = init  # type: ignore[method-assign]
    OPENED.clear()
    gc.collect()
    assert [reference() for reference in references] == [None]

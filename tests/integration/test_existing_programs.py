"""Programs as users of the interface write them, run as they are.

Each goes by the habits that are found in published programs: home automation bridges, drivers of
lamps and purifiers, loggers, small servers. They import from everywhere that is documented, keep
what they get for long, and are not careful about what the library could do for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

import aiocoap
import aiocoap.error
import aiocoap.resource as resource
from aiocoap import CON, GET, NON, POST, PUT, Code, Context, Message, error, protocol
from aiocoap.numbers.codes import CHANGED, CONTENT, NOT_FOUND
from aiocoap.optiontypes import StringOption
from tests.integration.net import Net, until

ABOUT_DATAGRAMS = True
# They name transports and URIs of datagrams.


@pytest.fixture(autouse=True)
def transports(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs leave the choice of transports to the environment."""
    monkeypatch.setenv("AIOCOAP_CLIENT_TRANSPORT", net.client_transport)
    monkeypatch.setenv("AIOCOAP_SERVER_TRANSPORT", f"simple6:{net.server_transport}")


class Lamp(aiocoap.resource.ObservableResource):
    """A device such as many of these programs talk to."""

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, Any] = {"on": False, "level": 0}
        self.options: list[bytes] = []

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=json.dumps(self.state).encode("ascii"), content_format=50)

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        self.options += [option.value for option in request.opt.get_option(2048)]
        self.state.update(json.loads(request.payload.decode("utf8")))
        self.updated_state()
        return aiocoap.Message(code=aiocoap.CHANGED)


class Sync(resource.Resource):
    """Hands out a session number, and gets commands encoded with it."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0

    async def render_post(self, request: Message) -> Message:
        self.sessions += 1
        return Message(payload=f"{int(request.payload, 16) + 1:08X}".encode())


class Status(resource.ObservableResource):
    """Tells its state to who has a session."""

    def __init__(self) -> None:
        super().__init__()
        self.value = "off"

    async def render_get(self, request: Message) -> Message:
        return Message(payload=f"status={self.value}".encode())


class Control(resource.Resource):
    def __init__(self, status: Status) -> None:
        super().__init__()
        self.status = status

    async def render_post(self, request: Message) -> Message:
        self.status.value = json.loads(request.payload)["state"]["desired"]["power"]
        self.status.updated_state()
        return Message(payload=b'{"status":"success"}')


class Device:
    """A server with all of them, created as servers are in programs."""

    def __init__(self) -> None:
        self.lamp = Lamp()
        self.status = Status()
        self.sync = Sync()
        self.host = ""
        self.port = 0

    async def __aenter__(self) -> Device:
        root = resource.Site()
        root.add_resource(["15001", "65537"], self.lamp)
        root.add_resource(["sys", "dev", "sync"], self.sync)
        root.add_resource(["sys", "dev", "status"], self.status)
        root.add_resource(["sys", "dev", "control"], Control(self.status))
        self.context = await asyncio.Task(
            aiocoap.Context.create_server_context(root, bind=("127.0.0.1", 0))
        )
        self.host, self.port = self.context.bound_addresses[0]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.context.shutdown()

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}"


# The first lines of everybody


async def test_a_client_in_a_few_lines(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    async def main(uri: str) -> None:
        protocol = await Context.create_client_context()

        request = Message(code=GET, uri=uri)

        try:
            response = await protocol.request(request).response
        except Exception as e:
            print("Failed to fetch resource:")
            print(e)
        else:
            print(f"Result: {response.code}\n{response.payload!r}")
        await protocol.shutdown()

    async with Device() as device:
        await main(f"coap://{device.netloc}/15001/65537")
        assert 'Result: 2.05 Content\nb\'{"on": false' in capsys.readouterr().out
        await main("coap://127.0.0.1:9/nothing")
        assert "Failed to fetch resource" in capsys.readouterr().out


async def test_a_put_in_a_few_lines(net: Net) -> None:
    async with Device() as device:
        context = await Context.create_client_context()
        payload = b'{"on": true}'
        request = Message(
            code=PUT, payload=payload, uri=f"coap://{device.netloc}/15001/65537", observe=0
        )
        response = await context.request(request).response
        assert response.code.is_successful()
        assert device.lamp.state["on"] is True
        await context.shutdown()


# Bridges


class Bridge:
    """One context for the life of the program, requests one by one, errors of its own."""

    _protocol: Context | None = None

    def __init__(self, host: str, timeout: float = 10) -> None:
        self._host = host
        self._timeout = timeout
        self._observations_err_callbacks: list[Callable[..., None]] = []

    async def _get_protocol(self) -> Context:
        if self._protocol is None:
            self._protocol = asyncio.create_task(Context.create_client_context())  # type: ignore[assignment]
        if isinstance(self._protocol, asyncio.Task):
            self._protocol = await self._protocol
        assert self._protocol is not None
        return self._protocol

    async def _reset_protocol(self, exc: Exception | None = None) -> None:
        if self._protocol is None:
            return
        protocol = await self._get_protocol()
        await protocol.shutdown()
        self._protocol = None
        # Let any observers know the protocol has been shut down.
        for ob_error in self._observations_err_callbacks:
            ob_error(exc)
        self._observations_err_callbacks.clear()

    async def shutdown(self, exc: Exception | None = None) -> None:
        await self._reset_protocol(exc)

    async def _get_response(self, msg: Message) -> tuple[Any, Message]:
        protocol = await self._get_protocol()
        pr = protocol.request(msg)
        pr_req = pr
        try:
            r = await pr.response
        except error.Error as e:
            # e.g. the device is gone: begin anew.
            await self._reset_protocol(e)
            raise RuntimeError("There was an error with the request.", e) from e
        except asyncio.CancelledError as e:
            await self._reset_protocol(e)  # type: ignore[arg-type]
            raise
        return pr_req, r

    async def request(self, method: Code, path: list[str], data: Any = None) -> Any:
        url = "coap://{}/{}".format(self._host, "/".join(path))
        kwargs: dict[str, Any] = {}
        if data is not None:
            kwargs["payload"] = json.dumps(data).encode("utf-8")
        msg = Message(code=method, uri=url, **kwargs)
        async with asyncio.timeout(self._timeout):
            _, res = await self._get_response(msg)
        if not res.code.is_successful():
            return None
        return json.loads(res.payload.decode("utf-8")) if res.payload else {}

    async def observe(self, path: list[str], on_update: Any, on_error: Any) -> Any:
        url = "coap://{}/{}".format(self._host, "/".join(path))
        msg = Message(code=Code.GET, uri=url, observe=0)
        pr, r = await self._get_response(msg)
        on_update(json.loads(r.payload))

        def success_callback(res: Message) -> None:
            on_update(json.loads(res.payload))

        def error_callback(ex: Exception | None) -> None:
            on_error(ex)

        ob = pr.observation
        ob.register_callback(success_callback)
        ob.register_errback(error_callback)
        self._observations_err_callbacks.append(ob.error)
        return ob


async def test_a_bridge_to_lamps(net: Net) -> None:
    async with Device() as device:
        bridge = Bridge(device.netloc)
        assert await bridge.request(Code.GET, ["15001", "65537"]) == {"on": False, "level": 0}
        assert await bridge.request(Code.PUT, ["15001", "65537"], {"level": 254}) == {}
        assert await bridge.request(Code.GET, ["15001", "9"]) is None
        updates: list[Any] = []
        errors: list[Any] = []
        await bridge.observe(["15001", "65537"], updates.append, errors.append)
        await bridge.request(Code.PUT, ["15001", "65537"], {"on": True})
        await until(lambda: updates[-1] == {"on": True, "level": 254})
        await bridge.shutdown(RuntimeError("going"))
        # The observation was told by the library first; a second error does nothing.
        assert [type(one) for one in errors] == [error.LibraryShutdown]
        assert len(device.lamp.observations) == 1
        bridge = Bridge("127.0.0.1:9")
        with pytest.raises(RuntimeError, match="error with the request") as caught:
            await bridge.request(Code.GET, ["x"])
        assert isinstance(caught.value.__cause__, error.NetworkError)
        assert bridge._protocol is None


class Purifier:
    """Talks to one device by a session, observing its status."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._client_context: Context | None = None
        self._client_key = ""

    @classmethod
    async def create(cls, host: str, port: int) -> Purifier:
        obj = cls(host, port)
        await obj._init()
        return obj

    async def _init(self) -> None:
        self._client_context = await Context.create_client_context()
        await self._sync()

    async def shutdown(self) -> None:
        if self._client_context:
            await self._client_context.shutdown()

    async def _sync(self) -> None:
        assert self._client_context is not None
        request = Message(
            code=POST,
            mtype=NON,
            uri=f"coap://{self.host}:{self.port}/sys/dev/sync",
            payload=b"0000002A",
        )
        response = await self._client_context.request(request).response
        self._client_key = response.payload.decode()

    async def get_status(self) -> tuple[str, int]:
        assert self._client_context is not None
        request = Message(code=GET, mtype=NON, uri=f"coap://{self.host}:{self.port}/sys/dev/status")
        request.opt.observe = 0
        requester = self._client_context.request(request)
        response = await requester.response
        requester.observation.cancel()
        max_age = 60
        with contextlib.suppress(AttributeError):
            max_age = response.opt.max_age
        return response.payload.decode(), max_age

    async def observe_status(self) -> Any:
        assert self._client_context is not None
        request = Message(code=GET, mtype=NON, uri=f"coap://{self.host}:{self.port}/sys/dev/status")
        request.opt.observe = 0
        requester = self._client_context.request(request)
        response = await requester.response
        yield response.payload.decode()
        async for response in requester.observation:
            yield response.payload.decode()

    async def set_control_value(self, power: str) -> bool:
        assert self._client_context is not None
        state = {"state": {"desired": {"power": power}}}
        request = Message(
            code=POST,
            mtype=NON,
            uri=f"coap://{self.host}:{self.port}/sys/dev/control",
            payload=json.dumps(state).encode(),
        )
        response = await self._client_context.request(request).response
        return bool(json.loads(response.payload)["status"] == "success")


async def test_a_driver_of_purifiers(net: Net) -> None:
    async with Device() as device:
        client = await Purifier.create(device.host, device.port)
        assert client._client_key == "0000002B"
        status, max_age = await client.get_status()
        assert status == "status=off"
        assert max_age in (None, 60)
        seen = []
        async for status in client.observe_status():
            seen.append(status)
            if len(seen) == 1:
                assert await client.set_control_value("on")
            else:
                break
        assert seen == ["status=off", "status=on"]
        await client.shutdown()


# Other ways


async def test_tasks_that_observe_until_they_are_cancelled(net: Net) -> None:
    values: list[bytes] = []

    async def observing(context: Context, uri: str) -> None:
        request = context.request(Message(code=GET, uri=uri, observe=0))
        try:
            values.append((await request.response).payload)
            async for response in request.observation:
                values.append(response.payload)
        finally:
            if not request.observation.cancelled:
                request.observation.cancel()

    async with Device() as device:
        context = await Context.create_client_context()
        task = asyncio.ensure_future(observing(context, f"coap://{device.netloc}/sys/dev/status"))
        await until(lambda: len(values) == 1)
        device.status.value = "on"
        device.status.updated_state()
        await until(lambda: len(values) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        device.status.updated_state()
        await until(lambda: not device.status.observations)
        await context.shutdown()


async def test_wait_for_a_response(net: Net) -> None:
    async with Device() as device:
        context = await aiocoap.Context.create_client_context()
        response = await asyncio.wait_for(
            context.request(
                aiocoap.Message(
                    code=aiocoap.GET, uri=f"coap://{device.netloc}/sys/dev/status", mtype=CON
                )
            ).response,
            timeout=5,
        )
        assert response.code == aiocoap.numbers.codes.Code.CONTENT
        assert str(response.code) == "2.05 Content"
        assert response.code.dotted == "2.05"
        await context.shutdown()


async def test_options_by_number_and_name(net: Net) -> None:
    async with Device() as device:
        context = await Context.create_client_context()
        request = Message(code=PUT, payload=b"{}", uri=f"coap://{device.netloc}/15001/65537")
        request.opt.add_option(StringOption(2048, "token"))
        assert (await context.request(request).response).code == CHANGED
        assert device.lamp.options in (["token"], [b"token"])
        request = Message(code=GET)
        request.opt.uri_path = ("sys", "dev", "status")
        request.unresolved_remote = device.netloc
        response = await context.request(request).response
        assert response.payload == b"status=off"
        request = Message(code=GET)
        request.set_request_uri(f"coap://{device.netloc}/15001/65537")
        response = await context.request(request).response
        assert response.opt.content_format == 50
        assert response.opt.content_format == aiocoap.numbers.ContentFormat.JSON
        await context.shutdown()


async def test_raising_and_nonraising(net: Net) -> None:
    async with Device() as device:
        context = await Context.create_client_context()
        uri = f"coap://{device.netloc}/nothing"
        request = context.request(Message(code=GET, uri=uri))
        with pytest.raises(aiocoap.error.ResponseWrappingError) as caught:
            await request.response_raising
        assert caught.value.coapmessage.code == NOT_FOUND
        assert (await request.response_nonraising).code == NOT_FOUND
        request = context.request(Message(code=GET, uri="coap://127.0.0.1:9"))
        response = await request.response_nonraising
        assert response.code.class_ == 5
        with pytest.raises(aiocoap.error.NetworkError):
            await request.response_raising
        await context.shutdown()


async def test_errors_that_programs_catch(net: Net) -> None:
    """Names that their except clauses mention, and what they are kinds of."""
    assert issubclass(error.RequestTimedOut, error.Error)
    assert issubclass(error.TimeoutError, error.Error)
    assert issubclass(error.ResolutionError, error.Error)
    assert issubclass(error.LibraryShutdown, error.Error)
    assert issubclass(error.NetworkError, error.Error)
    context = await Context.create_client_context()
    for uri in ("coap://127.0.0.1:9/", "coap://nothing.invalid/"):
        with contextlib.suppress(error.RequestTimedOut, error.NetworkError):
            await context.request(Message(code=GET, uri=uri)).response
    await context.shutdown()


async def test_a_request_without_the_method_of_the_context(net: Net) -> None:
    async with Device() as device:
        context = await Context.create_client_context()
        requester = protocol.BlockwiseRequest(
            context, Message(code=GET, uri=f"coap://{device.netloc}/sys/dev/status")
        )
        assert (await requester.response).code == CONTENT
        await context.shutdown()


async def test_a_choice_of_transports(net: Net) -> None:
    async with Device() as device:
        for transports in (["simple6"], ["udp6"], ["udp6", "simple6"]):
            context = await Context.create_client_context(
                transports=transports, loggername="mine", loop=asyncio.get_running_loop()
            )
            request = Message(code=GET, uri=f"coap://{device.netloc}/sys/dev/status")
            assert (await context.request(request).response).payload == b"status=off"
            await context.shutdown()


# Servers


class BlockResource(resource.Resource):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.set_content(b"This is the resource's default content.\n" * 50)

    def set_content(self, content: bytes) -> None:
        self.content = content
        while len(self.content) <= 1024:
            self.content = self.content + b"0123456789\n"

    async def render_get(self, request: Message) -> Message:
        return aiocoap.Message(payload=self.content)

    async def render_put(self, request: Message) -> Message:
        self.set_content(request.payload)
        return aiocoap.Message(code=aiocoap.CHANGED, payload=self.content)


class SeparateLargeResource(resource.Resource):
    """Takes its time."""

    def get_link_description(self) -> dict[str, Any]:
        return dict(**super().get_link_description(), title="A large resource")

    async def render_get(self, request: Message) -> Message:
        await asyncio.sleep(0.15)
        return aiocoap.Message(payload=b"It was worth the wait. " * 70)


class TimeResource(resource.ObservableResource):
    """Notifies by a timer, which runs only while somebody observes."""

    def __init__(self) -> None:
        super().__init__()
        self.handle: asyncio.TimerHandle | None = None
        self.count = 0

    def notify(self) -> None:
        self.count += 1
        self.updated_state()
        self.reschedule()

    def reschedule(self) -> None:
        self.handle = asyncio.get_event_loop().call_later(0.005, self.notify)

    def update_observation_count(self, count: int) -> None:
        if count and self.handle is None:
            self.reschedule()
        if count == 0 and self.handle:
            self.handle.cancel()
            self.handle = None

    async def render_get(self, request: Message) -> Message:
        payload = f"{self.count} {time.strftime('%H:%M')}".encode("ascii")
        return aiocoap.Message(payload=payload)


class WhoAmI(resource.Resource):
    async def render_get(self, request: Message) -> Message:
        assert request.remote is not None
        text = [
            f"Used protocol: {request.remote.scheme}.",
            f"Request came from {request.remote.hostinfo}.",
            f"The server address used {request.remote.hostinfo_local}.",
        ]
        claims = list(request.remote.authenticated_claims)
        text.append(f"Authenticated claims: {claims}" if claims else "No claims")
        return aiocoap.Message(content_format=0, payload="\n".join(text).encode("utf8"))


async def test_a_server_with_all_kinds_of_resources(net: Net) -> None:
    import link_header  # noqa: F401  (the list of resources needs it)

    root = resource.Site()
    root.add_resource(
        [".well-known", "core"], resource.WKCResource(root.get_resources_as_linkheader)
    )
    times = TimeResource()
    root.add_resource(["time"], times)
    root.add_resource(["other", "block"], BlockResource())
    root.add_resource(["other", "separate"], SeparateLargeResource())
    root.add_resource(["whoami"], WhoAmI())

    server = await aiocoap.Context.create_server_context(root, bind=("::1", 0))
    host, port = server.bound_addresses[0]
    uri = f"coap://[{host}]:{port}"
    context = await Context.create_client_context()

    async def get(path: str, **kwargs: Any) -> Message:
        response: Message = await context.request(
            Message(code=kwargs.pop("code", GET), uri=uri + path, **kwargs)
        ).response
        return response

    assert b'title="A large resource"' in (await get("/.well-known/core")).payload
    assert len((await get("/other/separate")).payload) == 1610
    assert (await get("/other/block")).payload.startswith(b"This is the resource's default")
    response = await get("/other/block", code=PUT, payload=b"The quick brown fox\n" * 100)
    assert response.payload == b"The quick brown fox\n" * 100
    text = (await get("/whoami")).payload.decode()
    assert "Used protocol: coap." in text
    assert f"The server address used [::1]:{port}." in text

    request = context.request(Message(code=GET, uri=uri + "/time", observe=0))
    await request.response
    async for response in request.observation:
        if int(response.payload.split()[0]) >= 5:
            break
    request.observation.cancel()
    await until(lambda: times.handle is None)

    await context.shutdown()
    await server.shutdown()


async def test_a_server_that_runs_until_it_is_cancelled(net: Net) -> None:
    started = asyncio.Event()
    ports: list[int] = []

    async def main() -> None:
        context = await aiocoap.Context.create_server_context(
            resource.Site(), bind=("127.0.0.1", 0)
        )
        ports.append(context.bound_addresses[0][1])
        started.set()
        try:
            # Run forever
            await asyncio.get_running_loop().create_future()
        finally:
            await context.shutdown()

    task = asyncio.create_task(main())
    await started.wait()
    async with await Context.create_client_context() as context:
        request = context.request(Message(code=GET, uri=f"coap://127.0.0.1:{ports[0]}/"))
        assert (await request.response).code == NOT_FOUND
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_proxy_of_its_own_kind(net: Net) -> None:
    """A site that overrides render, needs_blockwise_assembly and forwards what it gets."""

    class Forwarder(resource.Site):
        def __init__(self, target: str) -> None:
            super().__init__()
            self.target = target
            self.outgoing_context: Context | None = None

        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return False

        async def render(self, request: Message) -> Message:
            assert self.outgoing_context is not None
            forward = Message(code=request.code, payload=request.payload)
            for option in request.opt.option_list():
                forward.opt.add_option(option)
            forward.unresolved_remote = self.target
            return await self.outgoing_context.request(
                forward, handle_blockwise=False
            ).response_nonraising

    async with Device() as device:
        forwarder = Forwarder(device.netloc)
        server = await Context.create_server_context(forwarder, bind=("127.0.0.1", 0))
        forwarder.outgoing_context = server
        host, port = server.bound_addresses[0]
        async with await Context.create_client_context() as context:
            uri = f"coap://{host}:{port}/15001/65537"
            response = await context.request(Message(code=GET, uri=uri)).response
            assert json.loads(response.payload)["level"] == 0
            large = json.dumps({"name": "x" * 3000}).encode()
            response = await context.request(Message(code=PUT, uri=uri, payload=large)).response
            assert response.code == CHANGED
            response = await context.request(Message(code=GET, uri=uri)).response
            assert json.loads(response.payload)["name"] == "x" * 3000
        await server.shutdown()


async def test_logging_of_programs(net: Net) -> None:
    """Programs raise the library's logger to debug, and expect that it works."""
    net.expects_log = True
    logger = logging.getLogger("coap")
    server_logger = logging.getLogger("coap-server")
    logger.setLevel(logging.DEBUG)
    server_logger.setLevel(logging.DEBUG)
    try:
        async with Device() as device:
            context = await Context.create_client_context()
            uri = f"coap://{device.netloc}/sys/dev/status"
            response = await context.request(Message(code=GET, uri=uri)).response
            assert response.code == CONTENT
            await context.shutdown()
    finally:
        logger.setLevel(logging.NOTSET)
        server_logger.setLevel(logging.NOTSET)

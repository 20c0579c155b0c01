"""The table of transports, and how one is opened."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aiocoap.transports.catalog import (
    ROWS,
    Transport,
    bind_for,
    check_options,
    lookup,
    open_transport,
)

LOG = logging.getLogger("tests.catalog")

FAKE = Transport("fake", "fake", "Fake", "message", "client", "server", ("bind", "multicast"))
CLIENT = FAKE._replace(server=None, server_options=())
SERVER = FAKE._replace(client=None, server_options=("bind",))
TOKEN = FAKE._replace(kind="token")


class Fake:
    """Takes down how it is opened."""

    @classmethod
    async def client(cls, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        return "client", kwargs

    @classmethod
    async def server(cls, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        return "server", kwargs


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("aiocoap.transports.fake")
    module.Fake = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_the_rows_are_known_by_their_names() -> None:
    assert list(ROWS) == [row.name for row in ROWS.values()]
    assert lookup("udp6") is ROWS["udp6"]


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'udp7'") as caught:
        lookup("udp7")
    for name in ROWS:
        assert name in str(caught.value)


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_the_factories_are_there_and_take_what_the_row_says(row: Transport) -> None:
    assert row.kind in ("message", "token")
    assert row.client or row.server
    cls = getattr(import_module(f"aiocoap.transports.{row.module}"), row.class_name)
    manager = "ctx" if row.kind == "message" else "tman"
    always = () if row.credentials is None else (row.credentials,)
    for factory, options in (
        (row.client, always),
        (row.server, (*always, *row.server_options)),
    ):
        if factory is not None:
            parameters = inspect.signature(getattr(cls, factory)).parameters
            assert {manager, "log", "loop", *options} <= set(parameters)
            missing = {
                name
                for name, parameter in parameters.items()
                if parameter.default is inspect.Parameter.empty
            } - {manager, "log", "loop", *options}
            assert not missing


@pytest.mark.parametrize(
    ("row", "options", "is_server"),
    [
        (FAKE, (), False),
        (FAKE, (), True),
        (FAKE, ("bind", "multicast"), True),
        (CLIENT, (), False),
        (SERVER, ("bind",), True),
    ],
)
def test_options_that_are_fine(row: Transport, options: tuple[str, ...], is_server: bool) -> None:
    check_options(row, options, is_server=is_server)


@pytest.mark.parametrize(
    ("row", "options", "is_server", "text"),
    [
        (CLIENT, (), True, "'fake' can not be used in a server context"),
        (SERVER, (), False, "'fake' can not be used in a client context"),
        (FAKE, ("bnid",), True, "'bnid' in a server context; there are: bind, multicast"),
        (FAKE, ("bind",), False, "'bind' in a client context; there are: none"),
        (SERVER, ("multicast",), True, "'multicast'"),
    ],
)
def test_options_that_are_not(
    row: Transport, options: tuple[str, ...], is_server: bool, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        check_options(row, options, is_server=is_server)


async def test_a_client_is_opened() -> None:
    loop, manager = asyncio.get_running_loop(), object()
    opened = await open_transport(FAKE, manager, LOG, loop, None)
    assert opened == ("client", {"ctx": manager, "log": LOG, "loop": loop})


@pytest.mark.parametrize(
    ("row", "names"), [(FAKE, {"bind", "multicast"}), (SERVER, {"bind"}), (TOKEN, {"bind"})]
)
async def test_a_server_is_opened_with_the_options_that_are_for_it(
    row: Transport, names: set[str]
) -> None:
    loop, manager = asyncio.get_running_loop(), object()
    server: dict[str, Any] = {"bind": ("::1", 1), "multicast": ["lo"]}
    if row is TOKEN:
        del server["multicast"]
    role, options = await open_transport(row, manager, LOG, loop, server)
    assert role == "server"
    assert options.pop("ctx" if row.kind == "message" else "tman") is manager
    assert options.pop("log") is LOG
    assert options.pop("loop") is loop
    assert options == {name: server[name] for name in names}


async def test_what_a_transport_needs_and_is_not_installed() -> None:
    row = FAKE._replace(module="not_there")
    with pytest.raises(ImportError, match="not_there"):
        await open_transport(row, None, LOG, asyncio.get_running_loop(), None)


async def test_credentials_are_given_to_whom_they_are_for() -> None:
    row = TOKEN._replace(credentials="keys")
    manager = SimpleNamespace(client_credentials=object())
    for server in (None, {"bind": ("::1", 1)}):
        _, options = await open_transport(row, manager, LOG, asyncio.get_running_loop(), server)
        assert options["keys"] is manager.client_credentials


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        (None, None),
        ((None, None), (None, None)),
        (("::1", None), ("::1", None)),
        (("::1", 0), ("::1", 0)),
        (("::1", 5683), ("::1", 8683)),
        ((None, 62535), (None, 65535)),
        # What is no bind is told by the transport.
        ("::1", "::1"),
        (("::1", "5683"), ("::1", "5683")),
    ],
)
def test_ports_are_found_from_the_one_that_is_given(bind: Any, expected: Any) -> None:
    assert bind_for(ROWS["ws"], bind) == expected
    assert bind_for(ROWS["udp6"], bind) == bind


def test_a_port_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'ws' would be bound to port 65536"):
        bind_for(ROWS["ws"], (None, 62536))

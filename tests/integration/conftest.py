"""The networks that integration tests run in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from tests.integration.net import COMBINATIONS, CONNECTIONS, Net


def policy(loop: str) -> asyncio.AbstractEventLoopPolicy:
    """Return what makes loops of one kind."""
    if loop == "asyncio":
        return asyncio.DefaultEventLoopPolicy()
    import uvloop  # tests without it are to be skipped, not this file

    made: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()
    return made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test in each of the networks that it is for."""
    if "net" in metafunc.fixturenames:
        is_for_all = not (
            hasattr(metafunc.function, "about_datagrams")
            or hasattr(metafunc.module, "ABOUT_DATAGRAMS")
        )
        combinations = COMBINATIONS + CONNECTIONS * is_for_all
        metafunc.parametrize("net", combinations, ids="-".join, indirect=True)


@pytest.fixture
def net(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Net]:
    """A network; the test runs on the loop that belongs to it, and leaves nothing in the log."""
    loop, client, server = request.param
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(policy(loop))
    net = Net(client, server)
    try:
        yield net
    finally:
        asyncio.set_event_loop_policy(before)
    noise = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.INFO
    ]
    assert net.expects_log or noise == []

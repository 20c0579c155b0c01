"""The networks that integration tests run in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from tests.integration.net import COMBINATIONS, Net


def policy(loop: str) -> asyncio.AbstractEventLoopPolicy:
    """Return what makes loops of one kind."""
    if loop == "asyncio":
        return asyncio.DefaultEventLoopPolicy()
    import uvloop  # tests without it are to be skipped, not this file

    made: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()
    return made


@pytest.fixture(params=COMBINATIONS, ids="-".join)
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

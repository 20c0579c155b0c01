"""What holds for every test.

- ``async def`` tests run in a fresh event loop.
- ``AIOCOAP_TEST_LOOP=uvloop`` runs everything on uvloop.
- Whatever is warned of fails a test (see ``filterwarnings`` in pyproject.toml); that includes
  exceptions nobody could catch and coroutines nobody awaited.
- Tests over sockets end with nothing left: no task, and no context that can not be collected.
- Ctrl-C works, even where a shell started the tests in the background.
- ``AIOCOAP_TEST_BARE=1`` says that optional packages are not installed on purpose: tests that
  can not do without one are skipped, and say which. Without it, a missing package is an error.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import re
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time: a gate on coverage must not depend on luck. A search for new
# examples is `HYPOTHESIS_PROFILE=search pytest tests/property`.
settings.register_profile(
    "default",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings(), deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if os.environ.get("AIOCOAP_TEST_LOOP") == "uvloop":
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
elif os.environ.get("AIOCOAP_TEST_LOOP", "asyncio") != "asyncio":
    raise pytest.UsageError("AIOCOAP_TEST_LOOP is 'asyncio' or 'uvloop'")

# Shells have what they start in the background ignore it, and so would what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BARE = os.environ.get("AIOCOAP_TEST_BARE") == "1"
OPTIONAL = frozenset(
    {
        *("cbor2", "cbor_diag", "cryptography", "filelock", "link_header", "OpenSSL"),
        *("prompt_toolkit", "pygments", "termcolor", "uvloop", "websockets"),
    }
)

# Where tests leave the process through sockets, and have to clean up behind them.
TIDY = frozenset({"conformance", "integration", "interop"})


def pytest_collection_finish() -> None:
    """Spare collections of garbage what is there before the first test, and stays."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests; a loop each."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner() as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


def skip_if_missing(report: Any, text: str, path: str) -> None:
    """Turn a report's failure for want of an optional package into a skip."""
    match = re.search(r"ModuleNotFoundError: No module named '(\w+)", text)
    if BARE and report.outcome == "failed" and match and match[1] in OPTIONAL:
        report.outcome = "skipped"
        report.longrepr = (path, 0, f"Skipped: needs {match[1]}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Skip modules of tests that import what is left out on purpose."""
    report = yield
    skip_if_missing(report, str(report.longrepr), str(collector.path))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Leave word of how the test went, for the fixtures that look at it afterwards."""
    report = yield
    if call.excinfo is not None:
        skip_if_missing(report, call.excinfo.exconly(), str(item.path))
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


PASSED = pytest.StashKey[bool]()


def contexts() -> list[Any]:
    """Return every context that is alive after a full collection."""
    gc.collect()
    return [
        found
        for found in gc.get_objects()
        if type(found).__module__ == "aiocoap.protocol" and type(found).__name__ == "Context"
    ]


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test over sockets that passed, but left a task or a context behind."""
    if not TIDY & set(request.path.parts):
        yield
        return
    left: list[str] = []
    cancel = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def record(loop: asyncio.AbstractEventLoop) -> None:
        # The runner would end what is left without a word.
        left.extend(repr(task) for task in asyncio.all_tasks(loop))
        cancel(loop)

    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", record)
    before = {id(found) for found in contexts()}
    yield
    if request.node.stash.get(PASSED, False):
        assert left == [], "the test left tasks behind"
        remaining = [repr(found) for found in contexts() if id(found) not in before]
        assert remaining == [], "a context outlives its shutdown and its last reference"

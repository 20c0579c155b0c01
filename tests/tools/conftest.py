"""What the end-to-end tests of the tools have in common."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.tools.client_runs import ROOT, environment


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Run the server; give its base URI."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests/tools/client_site.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a resource is broken on purpose
        text=True,
        env=environment(),
    ) as server:
        assert server.stdout is not None
        yield f"coap://[::1]:{int(server.stdout.readline())}"
        # Leaving the block closes its standard input, and waits for it.


@pytest.fixture
def deaf() -> Iterator[tuple[str, socket.socket]]:
    """A port at which nobody answers, and which knows what came in."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
        silent.bind(("::1", 0))
        silent.setblocking(False)
        yield f"coap://[::1]:{silent.getsockname()[1]}", silent

"""Our client and server with a web server between them, configured as the documentation says."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiocoap import GET, Context, Message
from aiocoap.numbers.codes import CHANGED, CONTENT, PUT
from tests.interop.peers import ROOT, needed
from tests.ports import free_port
from tests.tools.client_runs import run

PATIENCE = 20.0
PAGE = ROOT / "doc" / "websockets.rst"


def documented() -> str:
    """Return what the documentation has nginx do."""
    found = re.search(r"^\.\. code-block:: nginx\n\n((?:    .*\n|\n)+)", PAGE.read_text(), re.M)
    assert found is not None
    return found[1]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("::1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{process.args!r} does not come up")


@pytest.fixture
def server() -> Iterator[int]:
    """A server of ours in a process of its own, and its port for WebSockets."""
    udp = free_port(1, 3000, 3001)
    script = str(Path(__file__).parent / "our_server.py")
    process = subprocess.Popen(
        [sys.executable, script, str(udp)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        wait_for(udp + 3000, process)
        yield udp + 3000
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def nginx(server: int, tmp_path: Path) -> Iterator[str]:
    """The web server before it, and what it is reached by."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    needed("nginx", program is not None, "apt-get install nginx-light")
    assert program is not None
    port = free_port()
    location = documented()
    assert location.count("[::1]:8683") == 1
    folders = "".join(
        f"    {kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\ndaemon off;\nevents {{}}\nhttp {{\n{folders}"
        f"    access_log off;\n    server {{\n    listen [::1]:{port};\n"
        f"{location.replace('[::1]:8683', f'[::1]:{server}')}    }}\n}}\n"
    )
    process = subprocess.Popen(
        [program, "-c", str(config), "-e", "stderr", "-p", str(tmp_path)],
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(port, process)
        yield f"[::1]:{port}"
    finally:
        process.terminate()
        process.communicate()


def test_the_command_directly(server: int) -> None:
    result = run(f"coap+ws://[::1]:{server}/echo")
    assert (result.code, result.err) == (0, ""), result
    assert f"coap+ws://[::1]:{server}/echo".encode() in result.out


def test_the_command_without_the_library(tmp_path: Path) -> None:
    (tmp_path / "websockets.py").write_text("raise ImportError('not installed')\n")
    result = run("coap+ws://localhost/", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert result.code != 0
    assert 'pip install "aiocoap[ws]"' in result.err


def test_the_command_by_the_web_server(nginx: str) -> None:
    result = run(f"coap+ws://{nginx}/echo")
    assert (result.code, result.err) == (0, ""), result
    # The server knows what the client has called it.
    assert f"coap+ws://{nginx}/echo".encode() in result.out


def test_elsewhere_there_is_no_coap(nginx: str) -> None:
    result = run(f"coap+ws://localhost:{nginx.rpartition(':')[2]}/")
    assert result.code != 0
    assert "over WebSockets" in result.err


@pytest.mark.parametrize("size", [10, 200_000])
async def test_bodies_and_many_requests(nginx: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    context = await Context.create_client_context()
    async with context:
        uri = f"coap+ws://{nginx}/stored"
        put = await context.request(Message(code=PUT, uri=uri, payload=body[:size])).response
        assert put.code == CHANGED
        for _ in range(10):
            answer = await context.request(Message(code=GET, uri=uri)).response
            assert (answer.code, answer.payload) == (CONTENT, body[:size])


async def test_observations(nginx: str) -> None:
    context = await Context.create_client_context()
    async with context:
        uri = f"coap+ws://{nginx}/noted"
        request = context.request(Message(code=GET, uri=uri, observe=0))
        first = await request.response
        notifications = aiter(request.observation)
        put = Message(code=PUT, uri=uri, payload=b"changed")
        await context.request(put).response
        notification = await anext(notifications)
        assert notification.payload == b"changed" != first.payload

"""Other implementations as processes, on free ports of the loopback interface."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PING = bytes((0x40, 0, 0x12, 0x34))
"""A CoAP ping (RFC 7252 section 4.3)."""

PONG = bytes((0x70, 0, 0x12, 0x34))
"""The Reset that it gets."""

GET_ROOT = bytes((0x40, 1, 0x12, 0x35))
"""What any server answers in one way or another."""


def needed(what: str, is_there: bool, how: str) -> None:
    """Go on only if a peer is installed: its absence is a failure on CI, and a skip elsewhere."""
    if is_there:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing: {how}")
    pytest.skip(f"{what} is missing: {how}")


def program(name: str) -> str:
    """Return the path of one of libcoap's programs."""
    path = shutil.which(name)
    needed(name, path is not None, "apt-get install libcoap3-bin")
    assert path is not None
    return path


def node_modules() -> str:
    """Return the folder that node-coap is in."""
    needed("node", shutil.which("node") is not None, "apt-get install nodejs npm")
    folder = os.environ.get("AIOCOAP_TEST_NODE_MODULES", str(ROOT / ".venv/node/node_modules"))
    needed("node-coap", (Path(folder) / "coap").is_dir(), "npm install --prefix .venv/node coap")
    return folder


def free_port() -> int:
    """Return a UDP port that nobody has."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 0))
        return int(sock.getsockname()[1])


def answer(port: int, datagram: bytes, within: float) -> bytes | None:
    """Send a datagram until something comes back, and return that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.2)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                sock.send(datagram)
                return sock.recv(2000)
            except TimeoutError:
                pass
            except ConnectionRefusedError:
                time.sleep(0.05)
    return None


@contextlib.contextmanager
def server(
    command: Sequence[str], port: int, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it is no longer needed; it is up when it answers."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    try:
        if answer(port, GET_ROOT, 15) is None:
            process.kill()
            output, _ = process.communicate(timeout=5)
            pytest.fail(f"{command} does not come up: {output.decode(errors='replace')}")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def libcoap_server(*arguments: str) -> Iterator[int]:
    """Run libcoap's example server, and give its port."""
    port = free_port()
    command = [program("coap-server-notls"), "-A", "127.0.0.1", "-p", str(port), *arguments]
    with server(command, port):
        yield port


def libcoap_client(*arguments: str, seconds: int = 10) -> bytes:
    """Run libcoap's client, and return what it prints (it exits with 0 whatever happens)."""
    command = [program("coap-client-notls"), "-B", str(seconds), *arguments]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + 10,
        check=False,
    )
    return done.stdout


def aiocoap_client(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run aiocoap-client."""
    return subprocess.run(
        [sys.executable, str(ROOT / "aiocoap-client"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )

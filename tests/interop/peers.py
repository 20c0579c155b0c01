"""Other implementations as processes, on free ports of the loopback interface."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.ports import free_port

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


def answer(port: int, datagram: bytes, within: float, host: str = "127.0.0.1") -> bytes | None:
    """Send a datagram until something comes back, and return that."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
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


class Server:
    """A server at work.

    Args:
        command: What to run; it is up when it answers at the port.
        port: UDP port on the loopback interface.
        host: Address to expect the answer from.
        environment: What else is in its environment.
    """

    def __init__(
        self, command: Sequence[str], port: int, host: str = "127.0.0.1", **environment: str
    ) -> None:
        self.port = port
        # A pipe that nobody reads would stop a talkative server.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in stop
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        if answer(port, GET_ROOT, 15, host) is None:
            told = self.stop()
            pytest.fail(f"{command} does not come up: {told}")

    def stop(self) -> str:
        """End the server, surely, and return everything that it has said."""
        if self._output.closed:
            return ""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.seek(0)
        with self._output:
            return self._output.read().decode(errors="replace")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class Relay:
    """A network between a client and a server that loses what it is told to.

    Args:
        server: UDP port of the server on the loopback interface.
        is_lost: Gets each datagram of the client.

    Attributes:
        port: UDP port that is the server's to the client.
    """

    def __init__(self, server: int, is_lost: Callable[[bytes], bool]) -> None:
        self._is_lost = is_lost
        self._front, self._back = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        self._front.bind(("127.0.0.1", 0))
        self._back.connect(("127.0.0.1", server))
        self.port = int(self._front.getsockname()[1])
        self._client: tuple[str, int] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_closed:
            for sock in select.select([self._front, self._back], [], [], 0.1)[0]:
                datagram, source = sock.recvfrom(2000)
                if sock is self._back:
                    assert self._client is not None  # the server only answers
                    self._front.sendto(datagram, self._client)
                elif not self._is_lost(datagram):
                    self._client = source
                    self._back.send(datagram)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_closed = True
        self._thread.join()
        self._front.close()
        self._back.close()


def libcoap_server(*arguments: str, host: str = "127.0.0.1") -> Server:
    """Run libcoap's example server."""
    port = free_port(1)
    command = [program("coap-server-notls"), "-A", host, "-p", str(port), *arguments]
    return Server(command, port, host)


def our_server(*arguments: str) -> Server:
    """Run the server in our_server.py."""
    port = free_port(1)
    script = str(Path(__file__).parent / "our_server.py")
    return Server([sys.executable, script, str(port), *arguments], port, PYTHONPATH=str(ROOT))


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


def aiocoap_client(*arguments: str, within: float = 20) -> subprocess.CompletedProcess[bytes]:
    """Run aiocoap-client."""
    return subprocess.run(
        [sys.executable, str(ROOT / "aiocoap-client"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=within,
        check=False,
    )

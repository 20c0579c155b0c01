"""The example programs are run as the documentation says, on a port of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from tests.ports import free_port
from tests.tools.test_readme import ROOT, environment, run

PROGRAMS = ("server.py", "clientGET.py", "clientPUT.py", "clientObserve.py")


class Program:
    """An example program at work, and the lines it prints."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            (sys.executable, str(path)),
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.lines: Queue[str] = Queue()
        self.seen: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def expect(self, pattern: str, timeout: float = 15) -> None:
        """Wait for a line that matches."""
        while not (self.seen and re.search(pattern, self.seen[-1])):
            try:
                self.seen.append(self.lines.get(timeout=timeout))
            except Empty:
                raise AssertionError(f"no {pattern!r} in {self.seen}") from None

    def stop(self) -> int:
        """Interrupt the program; return its exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()
            while not self.lines.empty():
                self.seen.append(self.lines.get())


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Copies of the programs that use another port; nothing else in them is changed."""
    port, place = free_port(3000), tmp_path_factory.mktemp("examples")
    for name in PROGRAMS:
        text = (ROOT / name).read_text(encoding="utf-8")
        replaced = text.replace("coap://localhost/", f"coap://localhost:{port}/").replace(
            "create_server_context(root)", f"create_server_context(root, (None, {port}))"
        )
        assert replaced != text
        (place / name).write_text(replaced, encoding="utf-8")
    return place, port


@pytest.fixture
def server(programs: tuple[Path, int]) -> Iterator[Program]:
    """The example server, once it answers."""
    place, port = programs
    program = Program(place / "server.py")
    try:
        for _ in range(50):
            assert program.process.poll() is None
            if client(port, "whoami").returncode == 0:
                break
        yield program
    finally:
        code = program.stop()
    assert code == 0
    assert "Traceback" not in "\n".join(program.seen)


def client(port: int, path: str, *options: str) -> subprocess.CompletedProcess[str]:
    uri = f"coap://localhost:{port}/{path}"
    return run(sys.executable, "-m", "aiocoap.cli.client", *options, uri)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_can_be_started_by_their_names(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    assert (ROOT / name).read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")


def test_what_the_server_has(server: Program, programs: tuple[Path, int]) -> None:
    pytest.importorskip("link_header", reason="the list needs LinkHeader")
    listed = client(programs[1], ".well-known/core").stdout
    for link in (
        '</.well-known/core>;ct="40 64 504"',
        "</time>;obs",
        "</other/block>",
        '</other/separate>;title="A large resource"',
        "</whoami>",
    ):
        assert link in listed


def test_who_asks(server: Program, programs: tuple[Path, int]) -> None:
    answer = client(programs[1], "whoami").stdout
    assert "Used protocol: coap." in answer
    assert f":{programs[1]}" in answer
    assert "No claims authenticated." in answer


def test_an_answer_that_takes_its_time(server: Program, programs: tuple[Path, int]) -> None:
    assert "Three rings" in client(programs[1], "other/separate").stdout


def test_get(server: Program, programs: tuple[Path, int]) -> None:
    answer = run(sys.executable, str(programs[0] / "clientGET.py"))
    assert re.search(r"Result: 2\.05 Content\nb'\d{4}-\d\d-\d\d \d\d:\d\d", answer.stdout), answer


def test_put(server: Program, programs: tuple[Path, int]) -> None:
    answer = run(sys.executable, str(programs[0] / "clientPUT.py"))
    assert "Result: 2.04 Changed" in answer.stdout, answer
    assert answer.stdout.count("quick brown fox") == 30
    server.expect("Somebody put 1350 bytes here")
    assert client(programs[1], "other/block").stdout.count("quick brown fox") == 30


@pytest.mark.parametrize("condition", ["If-None-Match", "If-Match=0xabcd"])
def test_put_of_what_has_to_be_otherwise(
    server: Program, programs: tuple[Path, int], condition: str
) -> None:
    put = ("-m", "PUT", "--payload", "new")
    refused = client(programs[1], "other/block", *put, "--option", condition)
    assert "4.12 Precondition Failed" in refused.stderr, refused
    assert client(programs[1], "other/block").stdout.startswith("More than a kilobyte")
    assert client(programs[1], "other/block", *put, "--option", "If-Match=").returncode == 0


@pytest.mark.parametrize("path", ["time", "other/block", "other/separate", "whoami"])
def test_all_that_it_has_is_text(server: Program, programs: tuple[Path, int], path: str) -> None:
    assert client(programs[1], path, "--accept", "text/plain;charset=utf-8").returncode == 0
    refused = client(programs[1], path, "--accept", "application/cbor")
    assert "4.06 Not Acceptable" in refused.stderr, refused


def test_observe(server: Program, programs: tuple[Path, int]) -> None:
    observer = Program(programs[0] / "clientObserve.py")
    try:
        observer.expect("First response: 2.05 Content")
        server.expect("Starting the clock")
        observer.expect("Next response: 2.05 Content")
    finally:
        code = observer.stop()
    assert code == 0
    assert "Traceback" not in "\n".join(observer.seen)
    # The observer said goodbye, or its next notification is rejected.
    server.expect("Stopping the clock")


def test_without_a_server_the_clients_say_so(programs: tuple[Path, int], tmp_path: Path) -> None:
    text = (programs[0] / "clientGET.py").read_text(encoding="utf-8")
    lonely = tmp_path / "clientGET.py"
    lonely.write_text(text.replace(f":{programs[1]}/", f":{free_port()}/"), encoding="utf-8")
    answer = run(sys.executable, str(lonely))
    assert answer.returncode == 0
    assert answer.stdout.startswith("Failed to fetch the resource: ")
    assert "Traceback" not in answer.stderr

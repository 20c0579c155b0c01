"""The README's programs are run as a newcomer would run them, and its promises counted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiocoap import meta
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")


def blocks() -> dict[str, str]:
    """Return the named programs of the README."""
    found = re.findall(r"\.\. code-block:: python\n   :name: (\S+)\n\n((?:   .*\n|\n)+)", README)
    return {name: textwrap.dedent(text) for name, text in found}


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server until the block ends; it must end on SIGINT."""
    with subprocess.Popen(
        command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(), text=True, capture_output=True, timeout=30, check=False
    )


def test_the_programs_are_as_short_as_the_headings_say() -> None:
    def lines(text: str) -> int:
        return sum(1 for line in text.splitlines() if line.strip())

    assert lines(blocks()["myclient.py"]) == 8
    assert "A client in eight lines" in README
    assert lines(blocks()["myserver.py"]) == 12
    assert "A server in twelve" in README


@pytest.mark.parametrize("how", ["myclient.py", "aiocoap-client"])
def test_the_client_gets_the_servers_answer(tmp_path: Path, how: str) -> None:
    port = free_port(3000)
    client, server = blocks()["myclient.py"], blocks()["myserver.py"]
    # Tests keep off the default port, which another process may own; nothing else is changed.
    uri = f"coap://localhost:{port}/hello"
    assert "coap://localhost/hello" in client
    assert "create_server_context(site)" in server
    (tmp_path / "myclient.py").write_text(client.replace("coap://localhost/hello", uri))
    (tmp_path / "myserver.py").write_text(
        server.replace(
            "create_server_context(site)", f"create_server_context(site, (None, {port}))"
        )
    )
    with running(sys.executable, str(tmp_path / "myserver.py")) as process:
        # The first request may come before the server listens: a retransmission helps then, or
        # the error that says so is the reason to ask again.
        for _ in range(50):
            assert process.poll() is None
            if how == "myclient.py":
                answer = run(sys.executable, str(tmp_path / "myclient.py"))
            else:
                answer = run(sys.executable, "-m", "aiocoap.cli.client", uri)
            if answer.returncode == 0:
                break
    assert answer.returncode == 0, answer.stderr
    expected = "2.05 Content Hello, world!" if how == "myclient.py" else "Hello, world!"
    assert answer.stdout.splitlines()[0] == expected


def test_there_are_two_set_up_commands_and_they_exist() -> None:
    text = README.partition("Set-up\n------\n")[2].partition("\n------")[0]
    commands = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    assert commands == ["bash contrib/demo.sh", "bash contrib/check.sh"]
    for command in commands:
        script = ROOT / command.split()[1]
        assert run("bash", "-n", str(script)).returncode == 0


def test_files_that_the_readme_names_exist() -> None:
    names = re.findall(r"``([\w./-]+\.(?:py|rst|sh))``", README)
    own = set(blocks())
    assert {"server.py", "doc/tour.rst", "doc/design.rst"} <= set(names)
    assert [name for name in names if name not in own and not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], "an independent implementation"), (["--bibtex"], "@Misc{aiocoap,")],
)
def test_setup_py_cites(arguments: list[str], expected: str) -> None:
    answer = run(sys.executable, str(ROOT / "setup.py"), "cite", *arguments)
    assert expected in answer.stdout, answer.stderr
    assert meta.version in answer.stdout

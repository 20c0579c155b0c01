"""aiocoap-fileserver end to end: the real command, asked by aiocoap-client, libcoap and bytes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiocoap.message import Message
from aiocoap.meta import version
from aiocoap.numbers.codes import Code
from tests.interop.peers import libcoap_client
from tests.tools.client_runs import PATIENCE, Result, Running, environment, run

SERVER = [sys.executable, "-m", "aiocoap.cli.fileserver"]
MIDS = itertools.count(1)
BODY = bytes(index * index % 251 for index in range(1 << 20))


class Serving:
    """A file server that runs while the test goes on."""

    def __init__(self, root: Path, *args: str) -> None:
        self.process = subprocess.Popen(
            [*SERVER, str(root), "--bind", "[::1]:0", "-v", *args],
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline().decode()
        assert " at coap://" in line, line
        self.base = line.split(" at ")[1].strip().rstrip("/")
        self.port = int(self.base.rpartition(":")[2])

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err.decode()

    def ask(self, *path: str, code: Code = Code.GET, payload: bytes = b"") -> Message:
        """Ask with a datagram of our own, which no client has tidied up."""
        message = Message(mtype=0, mid=next(MIDS), code=code, uri_path=path, payload=payload)
        return self.ask_bytes(message.encode())

    def ask_bytes(self, datagram: bytes) -> Message:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect(("::1", self.port))
            sock.settimeout(PATIENCE)
            sock.send(datagram)
            return Message.decode(sock.recv(2000))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("served")
    (base / "secret").write_text("secret")
    root = base / "root"
    (root / "sub").mkdir(parents=True)
    (root / "hello.txt").write_text("hello")
    (root / "big.bin").write_bytes(BODY)
    (root / "sub" / "data.json").write_text("{}")
    (root / "link").symlink_to("../secret")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture(scope="module")
def reading(root: Path) -> Iterator[Serving]:
    with Serving(root) as serving:
        yield serving


@pytest.fixture(scope="module")
def writing(root: Path) -> Iterator[Serving]:
    with Serving(root, "--write", "--max-upload", "2000000", "--etag-length", "4") as serving:
        yield serving


# Reading


def test_files_and_listings(reading: Serving) -> None:
    assert run(f"{reading.base}/hello.txt").out == b"hello"
    listing = b"<big.bin>;ct=42,<hello.txt>;ct=0,<sub/>;ct=40"
    assert run(f"{reading.base}/").out == listing
    assert run(f"{reading.base}/sub/").out == b"<data.json>;ct=50"
    assert run(f"{reading.base}/sub").out == b"<sub/data.json>;ct=50"
    found = run(f"{reading.base}/.well-known/core").out
    for link in (b"</hello.txt>;ct=0", b"</sub/>;ct=40", b'</>;ct="40 64 504"'):
        assert link in found


def test_large_files(reading: Serving, tmp_path: Path) -> None:
    assert run(f"{reading.base}/big.bin").out == BODY
    target = tmp_path / "out"
    libcoap_client("-o", str(target), f"{reading.base}/big.bin", seconds=30)
    assert target.read_bytes() == BODY


def test_only_reading_without_write(reading: Serving, root: Path) -> None:
    assert run(f"{reading.base}/hello.txt", "-m", "PUT", "--payload", "x").code == 4
    assert run(f"{reading.base}/hello.txt", "-m", "DELETE").code == 4
    assert (root / "hello.txt").read_text() == "hello"


def test_files_are_observed(reading: Serving, root: Path) -> None:
    (root / "state.txt").write_text("one")
    try:
        with Running(f"{reading.base}/state.txt", "--observe") as client:
            assert client.out.readline() == b"one\n"
            (root / "new").write_text("two")
            (root / "new").rename(root / "state.txt")
            assert client.out.readline() == b"two\n"
            (root / "state.txt").unlink()
            assert client.end().code == 4
    finally:
        (root / "state.txt").unlink(missing_ok=True)


# What is outside


OUTSIDE = {
    "above": ("..", "secret"),
    "above from below": ("sub", "..", "..", "secret"),
    "far above": ("..",) * 9 + ("etc", "passwd"),
    "the folder itself": (".", "hello.txt"),
    "an empty segment": ("", "secret"),
    "an empty segment in between": ("sub", "", "data.json"),
    "an absolute path": ("", "etc", "passwd"),
    "a slash in a segment": ("../secret",),
    "a slash and a file inside": ("sub/data.json",),
    "an absolute path in a segment": ("/etc/passwd",),
    "a NUL": ("hello.txt\0",),
    "a NUL before an ending": ("hello.txt\0.png",),
    "encoded dots": ("%2e%2e", "secret"),
    "an encoded slash in a folder": ("..%2Fx", "secret"),
    "a backslash in a folder": ("..\\x", "secret"),
    "a link to a file": ("link",),
    "a file below a link": ("up", "secret"),
    "a link to a folder": ("up", ""),
    "a FIFO": ("fifo",),
}


@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
def test_nothing_outside_is_read(reading: Serving, path: tuple[str, ...]) -> None:
    response = reading.ask(*path)
    # Dots are refused before the file server sees them.
    assert response.code in (Code.BAD_REQUEST, Code.BAD_OPTION, Code.NOT_FOUND)
    assert b"secret" not in response.payload


@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
def test_nothing_outside_is_written(writing: Serving, root: Path, path: tuple[str, ...]) -> None:
    before = sorted(os.lstat(found).st_ino for found in root.parent.rglob("*"))
    codes = (
        *(Code.BAD_REQUEST, Code.BAD_OPTION, Code.NOT_FOUND),
        *(Code.FORBIDDEN, Code.METHOD_NOT_ALLOWED),
    )
    assert writing.ask(*path, code=Code.PUT, payload=b"new").code in codes
    assert writing.ask(*path, code=Code.DELETE).code in (*codes, Code.DELETED)
    assert sorted(os.lstat(found).st_ino for found in root.parent.rglob("*")) == before
    assert (root.parent / "secret").read_text() == "secret"


def test_names_that_are_no_text(reading: Serving) -> None:
    # GET with Uri-Path ff; section 5.4.5 of RFC 7252 has strings in UTF-8.
    response = reading.ask_bytes(b"\x40\x01\x00\x01\xb1\xff")
    assert response.code in (Code.BAD_OPTION, Code.BAD_REQUEST, Code.NOT_FOUND)


# Writing


def test_uploads(writing: Serving, root: Path, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BODY)
    uri = f"{writing.base}/sub/up.bin"
    created = run(uri, "-m", "PUT", "--payload", f"@{tmp_path / 'body'}")
    assert (created.code, created.err.split(",")[0].strip()) == (0, "2.01 Created")
    assert (root / "sub" / "up.bin").read_bytes() == BODY
    (root / "sub" / "up.bin").unlink()
    libcoap_client("-m", "put", "-f", str(tmp_path / "body"), uri, seconds=30)
    assert (root / "sub" / "up.bin").read_bytes() == BODY
    assert run(uri, "-m", "DELETE").code == 0
    assert not (root / "sub" / "up.bin").exists()


def test_the_size_of_uploads(writing: Serving, root: Path, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BODY * 2)
    result = run(f"{writing.base}/large", "-m", "PUT", "--payload", f"@{tmp_path / 'body'}")
    assert (result.code, result.err[:4]) == (4, "4.13")
    assert list(root.rglob(".aiocoap-upload-*")) == []


def test_the_length_of_etags(reading: Serving, writing: Serving) -> None:
    assert len(reading.ask("hello.txt").opt.etag or b"") == 8
    assert len(writing.ask("hello.txt").opt.etag or b"") == 4


def test_unfinished_uploads_end_with_the_server(root: Path) -> None:
    with Serving(root, "--write") as serving:
        message = Message(
            mtype=0, mid=next(MIDS), code=Code.PUT, uri_path=("new",), payload=b"x" * 16
        )
        message.opt.block1 = (0, True, 0)
        assert serving.ask_bytes(message.encode()).code == Code.CONTINUE
        assert len(list(root.glob(".aiocoap-upload-*"))) == 1
        assert serving.end()[0] == 0
    assert list(root.glob(".aiocoap-upload-*")) == []


# The program


def start(*args: str) -> Result:
    done = subprocess.run(
        [*SERVER, *args], capture_output=True, timeout=PATIENCE, env=environment(), check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_a_success(root: Path, number: int) -> None:
    with Serving(root) as serving:
        assert serving.end(number) == (0, "")


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (["/no/such/folder"], 2, "/no/such/folder"),
        ([__file__], 2, "Not a directory"),
        (["--register"], 2, "--register"),
        (["--credentials", "/no/such/file"], 2, "/no/such/file"),
        (["--tls-server-certificate", "x"], 2, "TLS"),
        (["--tls-server-key", "x"], 2, "TLS"),
        (["--etag-length", "9"], 2, "'9'"),
        (["--max-upload", "much"], 2, "'much'"),
        (["--bind", "::1"], 2, "--help-bind"),
        (["--bind", "host.invalid"], 1, "host.invalid"),
    ],
)
def test_troubles_are_one_line(args: list[str], code: int, named: str) -> None:
    result = start(*args)
    assert (result.code, result.out, result.err.count("\n")) == (code, b"", 1), result
    assert named in result.err


def test_a_busy_port() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::1", 0))
        result = start("--bind", f"[::1]:{taken.getsockname()[1]}")
    assert (result.code, result.err.count("\n")) == (1, 1), result


def test_help_and_version() -> None:
    result = start("--help")
    assert (result.code, result.err) == (0, "")
    assert b"examples:" in result.out
    assert version.encode() in start("--version").out
    assert b"--bind" in start("--help-bind").out

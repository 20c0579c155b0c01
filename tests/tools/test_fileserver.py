"""aiocoap-fileserver end to end: the real command, asked by aiocoap-client, libcoap and bytes."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from aiocoap.cli.fileserver import build_parser
from aiocoap.message import Message
from aiocoap.meta import version
from aiocoap.numbers.codes import Code
from tests.interop.peers import libcoap_client
from tests.tools.client_runs import PATIENCE, Result, Running, environment, run, told_as_json

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
        self._lines: list[str] = []
        self._begun = threading.Event()
        # A server waits for somebody to read what it tells, once that is more than a pipe takes.
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        assert self._begun.wait(PATIENCE), self.process
        self.base = self._lines[0].split(" at ")[1].strip().rstrip("/")
        self.port = int(self.base.rpartition(":")[2])

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as told:
            for line in told:
                self._lines.append(line.decode())
                self._begun.set()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        # There is a line for each transport.
        told = [line for line in self._lines if not line.startswith("aiocoap-fileserver: serving ")]
        return self.process.returncode, "".join(told)

    def peak(self) -> int:
        """Return how much memory it has had at most, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0])

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
    (root / "loop").symlink_to("pool")
    (root / "pool").symlink_to("loop")
    os.mkfifo(root / "fifo")
    with suppress(PermissionError):
        os.mknod(root / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.close(os.open(os.fsencode(root) + b"/\xff", os.O_CREAT))
    return root


@pytest.fixture(scope="module")
def reading(root: Path) -> Iterator[Serving]:
    with Serving(root) as serving:
        yield serving


@pytest.fixture(scope="module")
def writing(root: Path) -> Iterator[Serving]:
    with Serving(root, "--write", "--max-upload", "2000000", "--etag-length", "4") as serving:
        yield serving


def test_every_option_is_in_an_end_to_end_test() -> None:
    used = set(re.findall(r'"(--?[a-z-]+)"', Path(__file__).read_text("utf-8")))
    assert [action for action in build_parser()._actions if action.option_strings] != []
    unused = [
        names
        for action in build_parser()._actions
        if (names := action.option_strings) and not used.intersection(names)
    ]
    assert unused == []


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
    "a link in a circle": ("loop",),
    "below a link in a circle": ("loop", "x"),
    "a folder by a link in a circle": ("pool", ""),
    "a FIFO": ("fifo",),
    "a device": ("device",),
    "a file with a slash behind it": ("hello.txt", ""),
    "below a file": ("hello.txt", "x"),
    "a file with two slashes behind it": ("sub", "data.json", "", ""),
    "a path of long names": ("x" * 255,) * 4,
    "a deep path": ("sub",) * 200,
    "a folder in other letters": ("Sub", "data.json"),
    "a file that is being uploaded": (".aiocoap-upload-0",),
}


def test_names_are_what_they_are(reading: Serving) -> None:
    for name in ("HELLO.TXT", "x" * 255, "hello.tx", "hello.txt ", "ﬁfo"):
        assert reading.ask(name).code == Code.NOT_FOUND


@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
def test_nothing_outside_is_read(reading: Serving, path: tuple[str, ...]) -> None:
    response = reading.ask(*path)
    # Dots are refused before the file server sees them (RFC 7252 section 5.10.1).
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


def test_links_that_come_and_go(reading: Serving, root: Path) -> None:
    """What is a folder at one moment and a link to outside at the next is never followed."""
    (root.parent / "outside").mkdir(exist_ok=True)
    (root.parent / "outside" / "which").write_text("secret")
    (root / "inside").mkdir()
    (root / "inside" / "which").write_text("public")
    (root / "swap").symlink_to("../outside")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            # Each in one step: there is always one of the two.
            os.rename(root / "swap", root / "other")
            os.rename(root / "inside", root / "swap")
            os.rename(root / "swap", root / "inside")
            os.rename(root / "other", root / "swap")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        answers = [reading.ask("swap", "which") for _ in range(1500)]
    finally:
        done.set()
        swapping.join()
        (root / "swap").unlink()
        shutil.rmtree(root / "inside")
        shutil.rmtree(root.parent / "outside")
    assert {answer.payload for answer in answers if answer.code == Code.CONTENT} <= {b"public"}
    assert {answer.code for answer in answers} <= {
        *(Code.CONTENT, Code.NOT_FOUND, Code.SERVICE_UNAVAILABLE)
    }


STRANGE = [
    *(
        "a b",
        'a"b',
        "a'b",
        "a%2fb",
        "a?b",
        "a#b",
        "a\nb",
        "grün",
        "日本",
        "a\\b",
        "a;b",
        "a,b",
        "<a>",
    ),
    *("a:b", "+", "~", "-o", ".hidden", "a&b=c", " ", "...", "x" * 255, "ü" * 127, "%"),
    *("a\x7f", "\x1b[2J", "urn:x", "*", "href=*"),
]


def test_strange_names_are_found_by_their_links(tmp_path: Path) -> None:
    for name in STRANGE:
        (tmp_path / name).write_text(name)
    with Serving(tmp_path) as serving:
        (listing,) = told_as_json("--discover", f"{serving.base}/.well-known/core")
        targets = [link["href"] for link in listing["links"] if link["href"].startswith("/")]
        uris = [serving.base + target for target in targets if target not in OWN]
        result = run("--interactive", stdin="\n".join(map(shlex.quote, uris)).encode())
    assert (result.code, result.err) == (0, "")
    assert result.out.decode() == "".join(sorted(STRANGE))


OWN = ("/", "/.well-known/core")


# Much


def test_a_folder_with_many_files(tmp_path: Path) -> None:
    names = [f"file-{number:05}.txt" for number in range(10_000)]
    for name in names:
        (tmp_path / name).touch()
    with Serving(tmp_path) as serving:
        listing = run(f"{serving.base}/").out.decode()
        assert listing == ",".join([f"<{name}>;ct=0" for name in names])
        few = ",".join([f"<{name}>;ct=0" for name in names[120:130]])
        assert run(f"{serving.base}/?href=file-0012*").out.decode() == few
        assert run(f"{serving.base}/?href=file-0012*&ct=50").out == b""
        assert run(f"{serving.base}/?href").code == 4
        result = run("--discover", "href=/file-0012*", serving.base)
        assert [line.split()[0] for line in result.out.decode().splitlines()[1:]] == [
            f"/{name}" for name in names[120:130]
        ]


def test_large_files_are_not_held_in_memory(tmp_path: Path) -> None:
    size = 200 << 20
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(size)
        file.seek(size - 3)
        file.write(b"end")
    with Serving(tmp_path) as serving:
        assert serving.ask("sparse").opt.size2 == size
        before = serving.peak()
        for number in range(0, size >> 10, 101):
            message = Message(mtype=0, mid=next(MIDS) % 65536, code=Code.GET, uri_path=["sparse"])
            message.opt.block2 = (number, False, 6)
            assert serving.ask_bytes(message.encode()).payload == bytes(1024)
        message = Message(mtype=0, mid=next(MIDS) % 65536, code=Code.GET, uri_path=["sparse"])
        message.opt.block2 = ((size >> 10) - 1, False, 6)
        assert serving.ask_bytes(message.encode()).payload == bytes(1021) + b"end"
        # What there is are the latest responses, for clients that repeat themselves.
        assert serving.peak() - before < 20_000


def test_downloads_larger_than_the_library_takes_by_default(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    body = os.urandom(9_000_000)
    (root / "body").write_bytes(body)
    with Serving(root) as serving:
        assert run(f"{serving.base}/body", "-o", str(tmp_path / "out")).code == 0
    assert (tmp_path / "out").read_bytes() == body


# Change


def test_every_state_of_a_file_has_an_etag_of_its_own(reading: Serving, root: Path) -> None:
    file = root / "changing"
    seen: dict[bytes, bytes] = {}
    try:
        for number in range(30):
            # In the same place, of the same size, and as fast as it goes.
            body = b"%04d" % number * 1000
            with open(file, "r+b" if number else "wb") as writing:
                writing.write(body)
            response = reading.ask("changing")
            assert response.code == Code.CONTENT
            assert response.payload == body[:1024]
            assert seen.setdefault(response.opt.etag or b"", body) == body
    finally:
        file.unlink()
    assert len(seen) == 30


def test_folders_are_observed(reading: Serving, root: Path) -> None:
    with Running(f"{reading.base}/sub/", "--observe") as client:
        assert client.out.readline() == b"<data.json>;ct=50\n"
        (root / "sub" / "new.txt").touch()
        assert client.out.readline() == b"<data.json>;ct=50,<new.txt>;ct=0\n"
        (root / "sub" / "new.txt").unlink()
        assert client.out.readline() == b"<data.json>;ct=50\n"
        client.process.send_signal(signal.SIGINT)
        assert client.end().code == 130


# Writing


def test_conditions(writing: Serving, root: Path) -> None:
    uri = f"{writing.base}/conditional"
    put = (uri, "-m", "PUT", "--payload")
    assert run(*put, "0", "-O", "If-Match=0x00").err.startswith("4.12")
    assert run(*put, "1", "-O", "If-None-Match").err.startswith("2.01")
    assert run(*put, "2", "-O", "If-None-Match").err.startswith("4.12")
    (found,) = told_as_json(uri)
    etag = found["options"]["ETag"][0]
    assert run(uri, "-O", f"ETag={etag}").err.startswith("2.03")
    assert run(*put, "3", "-O", "If-Match=0x00").err.startswith("4.12")
    assert run(*put, "4", "-O", f"If-Match={etag}").err.startswith("2.04")
    assert (root / "conditional").read_text() == "4"
    # That was the state before.
    assert run(uri, "-m", "DELETE", "-O", f"If-Match={etag}").err.startswith("4.12")
    assert run(uri, "-m", "DELETE", "-O", "If-Match=").err.startswith("2.02")
    assert not (root / "conditional").exists()


def test_unfinished_uploads_are_few(tmp_path: Path) -> None:
    def begin(number: int) -> bytes:
        message = Message(mtype=0, mid=next(MIDS) % 65536, code=Code.PUT, payload=b"x" * 16)
        message.opt.uri_path, message.opt.block1 = (f"file{number}",), (0, True, 0)
        return message.encode()

    def unfinished() -> int:
        # They need not have names.
        opened = [os.readlink(entry.path) for entry in os.scandir(descriptors)]
        return len([name for name in opened if name.startswith(f"{tmp_path}/")])

    with Serving(tmp_path, "--write") as serving, ExitStack() as stack:
        descriptors = f"/proc/{serving.process.pid}/fd"
        for number in range(20):
            # Each from an endpoint of its own.
            assert serving.ask_bytes(begin(number)).code == Code.CONTINUE
        assert unfinished() == 20
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect(("::1", serving.port))
            sock.settimeout(PATIENCE)
            for number in range(100):
                sock.send(begin(number))
                sock.recv(2000)
        assert unfinished() <= 28
        for number in range(100):
            sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            sock.connect(("::1", serving.port))
            sock.settimeout(PATIENCE)
            sock.send(begin(number))
            sock.recv(2000)
        assert unfinished() == 64
        assert run(f"{serving.base}/").out == b""
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_unfinished_uploads_end_with_the_server(root: Path, number: int) -> None:
    with Serving(root, "--write") as serving:
        message = Message(
            mtype=0, mid=next(MIDS), code=Code.PUT, uri_path=("new",), payload=b"x" * 16
        )
        message.opt.block1 = (0, True, 0)
        assert serving.ask_bytes(message.encode()).code == Code.CONTINUE
        leftovers = list(root.glob(".aiocoap-upload-*"))
        assert serving.end(number)[0] == (0 if number == signal.SIGTERM else -number)
    if number == signal.SIGTERM or not leftovers:  # not every file system does without
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
        (["--tls-server-certificate", "x"], 2, "'x'"),
        (["--tls-server-key", "x"], 2, "--tls-server-certificate"),
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


def test_a_daemon_without_streams(root: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    command = shlex.join([*SERVER, str(root), "--bind", f"[::1]:{port}", "-v"])
    with subprocess.Popen(
        ["bash", "-c", f"exec {command} <&- >&- 2>&-"], env=environment()
    ) as server:
        uri = f"coap://[::1]:{port}/hello.txt"
        while run(uri).code == 3:
            assert server.poll() is None
        assert run(uri).out == b"hello"
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0


def test_requests_are_told_of(root: Path) -> None:
    with Serving(root) as serving:
        run(f"{serving.base}/hello.txt")
        run(f"{serving.base}/no%0Athing")
        code, err = serving.end()
    told = [line.partition(" INFO ")[2] for line in err.splitlines()]
    assert code == 0
    assert told[0].startswith("GET /hello.txt from ")
    assert told[0].endswith(": 2.05 Content")
    assert told[1].startswith("GET /no\\nthing from ")
    assert told[1].endswith(": 4.04 Not Found")


def test_complaints_say_whose_they_are() -> None:
    for args in (["/no/such/folder"], ["--nonsense"], ["--bind", "host.invalid"]):
        assert start(*args).err.startswith("aiocoap-fileserver: ")


def test_a_root_that_goes_away(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with Serving(root, "--write") as serving:
        root.rmdir()
        assert run(f"{serving.base}/").out == b""
        assert run(f"{serving.base}/file").code == 4
        assert run(f"{serving.base}/new", "-m", "PUT", "--payload", "x").code == 4
        assert serving.end()[0] == 0


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

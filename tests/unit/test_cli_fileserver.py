"""The command line of aiocoap-fileserver, and what it makes of it."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aiocoap import error
from aiocoap.cli import fileserver
from aiocoap.cli._files import Files
from aiocoap.cli._storing import WritableFiles
from aiocoap.cli.fileserver import FileServer, TellingSite, build_parser, sync_main
from aiocoap.message import Message
from aiocoap.meta import version
from aiocoap.numbers.codes import CONTENT
from aiocoap.resource import Resource, Site
from aiocoap.util.cli import UsageError
from tests.unit.block_parts import get


class FakeContext:
    """A context without sockets."""

    def __init__(self) -> None:
        self.bound_uris = ["coap://[::1]:5700", "coap+tcp://[::1]:5700"]
        self.site: Any = None
        self.refusal: Exception | None = None
        self.is_shut_down = False

    async def shutdown(self) -> None:
        self.is_shut_down = True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    loggers = {name: logging.getLogger(name) for name in ("coap", "coap-server")}
    levels = {name: logger.level for name, logger in loggers.items()}
    yield
    for name, logger in loggers.items():
        logger.setLevel(levels[name])


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    context = FakeContext()

    async def create(site: Site, options: argparse.Namespace) -> FakeContext:
        if context.refusal is not None:
            raise context.refusal
        context.site = site
        return context

    monkeypatch.setattr(fileserver, "server_context_from_arguments", create)
    return context


def resource_of(context: FakeContext) -> Any:
    request = get()
    request.opt.uri_path = ("x",)
    return context.site.resolve(request)[0]


def test_defaults() -> None:
    options = build_parser().parse_args([])
    assert (options.path, options.verbose, options.write) == (".", 0, False)
    assert (options.etag_length, options.max_upload) == (8, 64 * 1024 * 1024)
    assert (options.register, options.bind, options.credentials) == (None, None, None)


def test_register_with_and_without_a_directory() -> None:
    assert build_parser().parse_args(["--register"]).register == ""
    assert build_parser().parse_args(["--register", "coap://rd"]).register == "coap://rd"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--etag-length", value) for value in ("9", "-1", "", "08", "x", "²")),
        *(("--max-upload", value) for value in ("-1", "", "x", "1e3", "²", "9" * 16)),
        ("--bind", "::1"),
        ("--nonsense", "1"),
    ],
)
def test_values_that_are_none(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        build_parser().parse_args([f"{option}={value}"])
    assert leaving.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


async def test_a_server_that_reads(context: FakeContext, tmp_path: Path) -> None:
    server = FileServer()
    await server.start([str(tmp_path), "--etag-length", "3"])
    assert type(resource_of(context)) is Files
    assert resource_of(context)._etag_length == 3
    await server.shutdown()
    assert context.is_shut_down


async def test_a_server_that_writes(context: FakeContext, tmp_path: Path) -> None:
    server = FileServer()
    await server.start([str(tmp_path), "--write", "--max-upload", "99"])
    files = resource_of(context)
    assert type(files) is WritableFiles
    assert files._uploads.limit == 99
    await server.shutdown()


async def test_where_it_listens_is_told_on_demand(
    context: FakeContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for args, level in (([], logging.WARNING), (["-v"], logging.INFO), (["-vv"], logging.DEBUG)):
        server = FileServer()
        await server.start([str(tmp_path), *args])
        await server.shutdown()
        assert logging.getLogger("coap-server").level == level
        said = capsys.readouterr().err.splitlines()
        wanted = [
            f"aiocoap-fileserver: serving {tmp_path} at coap://[::1]:5700/",
            f"aiocoap-fileserver: serving {tmp_path} at coap+tcp://[::1]:5700/",
        ]
        assert said == (wanted if args else [])


async def test_requests_are_told_of_on_demand(
    context: FakeContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a b").write_bytes(bytes(3000))
    server = FileServer()
    await server.start([str(tmp_path), "-v", "--write"])

    async def ask(*path: str, **options: Any) -> None:
        request = get()
        for name, value in {"uri_path": path, **options}.items():
            setattr(request.opt, name, value)
        with suppress(error.RenderableError):
            await context.site.render(request)

    async def told(*path: str, **options: Any) -> list[str]:
        caplog.clear()
        await ask(*path, **options)
        return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]

    peer = get().remote
    assert await told("a b") == [f"INFO GET /a b from {peer}: 2.05 Content"]
    assert await told("a b", block2=(1, False, 6)) == []
    assert await told("sub", "none") == [f"INFO GET /sub/none from {peer}: 4.04 Not Found"]
    # A line stays a line.
    assert await told("a\n1") == [f"INFO GET /a\\n1 from {peer}: 4.04 Not Found"]
    logging.getLogger("coap-server").setLevel(logging.DEBUG)
    first, second = await told("a b", block2=(1, False, 6))
    assert first == f"DEBUG GET /a b from {peer}: 2.05 Content"
    assert second.startswith("DEBUG <aiocoap.Message")
    await server.shutdown()


async def test_there_is_an_end_to_what_is_told(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    site = TellingSite(lambda: now)
    caplog.set_level(logging.INFO, "coap-server")
    for _ in range(1100):
        with pytest.raises(error.NoResource):
            await site.render(get())
    assert len(caplog.records) == 1001
    assert caplog.messages[-1] == "More requests are answered than are told of"
    now = 60.0
    with pytest.raises(error.NoResource):
        await site.render(get())
    assert len(caplog.records) == 1002


async def test_what_is_not_told_does_not_use_up_what_can_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Later(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(code=CONTENT, payload=b"more", block2=(1, False, 6))

    site = TellingSite(lambda: 0.0)
    site.add_resource(["a"], Later())
    caplog.set_level(logging.INFO, "coap-server")
    # Blocks after a file's first are details, which nobody wants to see here.
    for _ in range(1100):
        await site.render(get())
    missing = get()
    missing.opt.uri_path = ("none",)
    with pytest.raises(error.NoResource):
        await site.render(missing)
    assert caplog.messages == [f"GET /none from {missing.remote}: 4.04 Not Found"]


async def test_a_closed_standard_error(
    context: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    server = FileServer()
    await server.start([str(tmp_path), "-v"])
    await server.shutdown()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--register"], "--register"),
        (["--register", "coap://rd"], "--register"),
        (["--credentials", "/no/such/file"], "/no/such/file"),
        (["/no/such/folder"], "/no/such/folder: No such file"),
        ([__file__], "Not a directory"),
        (["a\0b"], "null"),
    ],
)
async def test_what_can_not_be_followed(context: FakeContext, args: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        await FileServer().start(args)
    assert context.site is None


async def test_credentials(context: FakeContext, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(
        '{"coaps://*": {"dtls": {"psk": {"ascii": "x"}, "client-identity": {"ascii": "y"}}}}'
    )
    with pytest.raises(UsageError, match=r"--credentials: .*DTLS"):
        await FileServer().start([str(tmp_path), "--credentials", str(file)])
    assert context.site is None
    file.write_text("{}")
    server = FileServer()
    await server.start([str(tmp_path), "--credentials", str(file)])
    await server.shutdown()


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [
        (error.NetworkError("taken"), error.NetworkError),
        (ValueError("no such transport"), UsageError),
        (asyncio.CancelledError(), asyncio.CancelledError),
    ],
)
async def test_a_context_that_can_not_be_opened(
    context: FakeContext,
    tmp_path: Path,
    refusal: Any,
    raised: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context.refusal = refusal
    closed = []
    really_close = Files.close
    monkeypatch.setattr(Files, "close", lambda self: (closed.append(1), really_close(self)))
    with pytest.raises(raised):
        await FileServer().start([str(tmp_path)])
    assert closed == [1]


def test_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    handlers = logging.getLogger().handlers[:]
    with pytest.raises(SystemExit) as leaving:
        sync_main(["--version"])
    logging.getLogger().handlers[:] = handlers
    assert not leaving.value.code
    assert version in capsys.readouterr().out

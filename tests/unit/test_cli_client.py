"""The way of one request through ``aiocoap-client``."""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiocoap import error
from aiocoap.address import UndecidedRemote
from aiocoap.cli import _exchange, client
from aiocoap.cli.common import show_log
from aiocoap.credentials import CredentialsMap
from aiocoap.message import Message
from aiocoap.meta import version
from aiocoap.numbers.codes import CONTENT, NOT_FOUND, PUT
from aiocoap.numbers.types import NON
from aiocoap.protocol import Context
from tests.tools.client_output import read_all


def parse(*args: str) -> argparse.Namespace:
    return client.build_parser().parse_args(args)


class Observation:
    """Notifications that are known beforehand, and how they end."""

    def __init__(self, *events: Any) -> None:
        self.events = events
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    async def __aiter__(self) -> AsyncIterator[Message]:
        async for event in play(*self.events):
            yield event


async def play(*events: Any) -> AsyncIterator[Message]:
    """Give messages, raise exceptions, and wait forever at None."""
    for event in events:
        if event is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(event, BaseException):
            raise event
        yield event


class FakeContext:
    """Answers each request by what it is given: a message, an exception, or never.

    Attributes:
        others: What members of a group answer, and perhaps how it ends.
        remote: What requests are resolved to.
        transfer: What is told of long transfers, before the response.
        pongs: What pings are answered by.
    """

    others: tuple[Any, ...] = ()
    remote: Any = None
    transfer: tuple[tuple[int, int | None], ...] = ()

    def __init__(self, answer: Any = None, *events: Any) -> None:
        self.answer = answer
        self.observation = Observation(*events)
        self.client_credentials = CredentialsMap()
        self.requests: list[Message] = []
        self.is_shut_down = False
        self.pongs: list[Any] = []
        self.pinged: list[str] = []

    async def ping(self, uri: str) -> float:
        self.pinged.append(uri)
        pong = self.pongs.pop(0)
        if isinstance(pong, BaseException):
            raise pong
        return float(pong)

    def request(self, message: Message) -> Any:
        self.requests.append(message)
        if self.remote is not None:
            message.remote = self.remote
        response = asyncio.get_running_loop().create_future()
        if isinstance(self.answer, Exception):
            response.set_exception(self.answer)
        elif self.answer is not None:
            response.set_result(self.answer)
        return argparse.Namespace(
            response=response,
            observation=self.observation if message.opt.observe == 0 else None,
            responses=play(self.answer, *self.others),
            on_progress=lambda callback: [callback(*step) for step in self.transfer],
        )

    async def __aenter__(self) -> FakeContext:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    async def shutdown(self) -> None:
        self.is_shut_down = True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, coap = logging.getLogger(), logging.getLogger("coap")
    handlers, level = root.handlers[:], coap.level
    yield
    root.handlers[:] = handlers
    coap.setLevel(level)


class Result:
    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.lines = err.splitlines()


Run = Any


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line against a fake context."""

    def run(context: Any, *args: str) -> Result:
        # As a program has them, not as pytest does.
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = io.FileIO(number, "w", closefd=False)
            monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(file)))
        code = asyncio.run(client.run_request(parse(*args), context))
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Result(int(code), out, err.decode())

    return run


def content(payload: bytes = b"text", **options: Any) -> Message:
    return Message(code=CONTENT, payload=payload, **options)


# The command line


def test_help_tells_of_exit_codes_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        client.sync_main(["--help"])
    assert not leaving.value.code
    text = capsys.readouterr().out
    for code in client.Exit:
        assert f"\n  {code.value:>3}  " in text
    assert "aiocoap-client coap://localhost/.well-known/core" in text


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        client.sync_main(["--version"])
    assert not leaving.value.code
    assert version in capsys.readouterr().out


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--nonsense", "coap://[::1]/"],
        ["-m", "HEAD", "coap://[::1]/"],
        ["--accept", "no/such", "coap://[::1]/"],
        ["--content-format", "70000", "coap://[::1]/"],
        ["--payload-initial-szx", "7", "coap://[::1]/"],
        ["--proxy", "::1", "coap://[::1]/"],
        ["--timeout", "0", "coap://[::1]/"],
        ["coap://[::1]/", "coap://[::1]/"],
    ],
)
def test_bad_arguments_are_one_line(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        client.sync_main(args)
    assert leaving.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("aiocoap-client: ")
    assert err.count("\n") == 1
    if len(args) > 2:
        assert args[1] in err


# One request


def test_a_success(run: Run) -> None:
    context = FakeContext(content(b"\x00text"))
    result = run(context, "coap://host/a")
    assert (result.code, result.out, result.err) == (0, b"\x00text", "")
    assert context.requests[0].get_request_uri() == "coap://host/a"


def test_an_error_response(run: Run) -> None:
    result = run(FakeContext(Message(code=NOT_FOUND, payload=b"Gone")), "coap://host/", "--non")
    assert (result.code, result.out, result.err) == (4, b"", "4.04 Not Found: Gone\n")


def test_options_reach_the_request(run: Run) -> None:
    context = FakeContext(content())
    run(context, "coap://host/", "--non", "-m", "put", "--payload", "x", "--content-format", "0")
    (request,) = context.requests
    assert (request.code, request.mtype, request.payload) == (PUT, NON, b"x")


def test_bad_input_sends_nothing(run: Run, tmp_path: Path) -> None:
    for args in (
        ["host/path"],
        ["coap://host/", "--payload", f"@{tmp_path / 'none'}"],
        ["coap://host/", "--credentials", str(tmp_path / "none.json")],
    ):
        context = FakeContext()
        result = run(context, *args)
        assert (result.code, result.out, context.requests) == (2, b"", [])
        assert len(result.lines) == 1
        assert args[-1].lstrip("@") in result.err


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (error.ResolutionError("no address for 'host'"), 3, "no address for 'host'. Check the"),
        (error.RequestTimedOut(), 3, "no answer. "),
        (error.NoRequestInterface("no transport for coaps://"), 2, "no transport for coaps://."),
        (error.ConToMulticast(), 2, "add --non"),
        (error.ResourceChanged("changed again"), 1, "changed again"),
    ],
)
def test_no_response(run: Run, problem: Exception, code: int, text: str) -> None:
    result = run(FakeContext(problem), "coap://host/")
    assert (result.code, result.out, len(result.lines)) == (code, b"", 1)
    assert result.err.startswith("aiocoap-client: ")
    assert text in result.err
    assert "coap://host/: " in result.err


async def test_the_time_to_wait_is_over() -> None:
    # A deadline that is in the past already.
    with pytest.raises(error.TimeoutError, match=r"no answer within 0 seconds \(--timeout\)$"):
        await _exchange._within(0, asyncio.get_running_loop().create_future())


def test_ctrl_c_cancels_the_request() -> None:
    context = FakeContext()

    async def interrupted() -> None:
        task = asyncio.create_task(
            client.run_request(parse("coap://host/", "--observe"), context)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert context.observation.cancelled


def test_credentials_are_handed_on_and_judged(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.json"
    file.write_text(
        '{"coaps://x/*": {"dtls": {"psk": {"hex": "01"}, "client-identity": {"hex": ""}}}}'
    )
    monkeypatch.setattr("aiocoap.cli.common.ROWS", {"udp6": None})
    context = FakeContext(content())
    result = run(context, "coap://host/", "--credentials", str(file))
    assert (result.code, result.out) == (0, b"text")
    assert result.lines == [
        f"aiocoap-client: {file}: no transport can use DTLS keys yet; not used: 'coaps://x/*'"
    ]
    assert list(context.client_credentials) == ["coaps://x/*"]


# Observation


def test_an_observation_that_the_server_ends(run: Run) -> None:
    context = FakeContext(content(b"1"), content(b"2"), content(b"3"), error.ObservationCancelled())
    result = run(context, "coap://host/", "--observe")
    assert (result.code, result.out) == (1, b"1\n2\n3\n")
    assert result.lines == ["aiocoap-client: the server ended the observation"]
    assert context.requests[0].opt.observe == 0
    assert context.observation.cancelled


def test_an_observation_that_just_ends(run: Run) -> None:
    result = run(FakeContext(content(b"1"), content(b"2")), "coap://host/", "--observe")
    assert (result.code, result.out) == (1, b"1\n2\n")


def test_an_observation_that_ends_in_an_error(run: Run) -> None:
    events = [content(b"2"), Message(code=NOT_FOUND), content(b"never")]
    result = run(FakeContext(content(b"1"), *events), "coap://host/", "--observe")
    assert (result.code, result.out, result.err) == (4, b"1\n2\n", "4.04 Not Found\n")


def test_an_observation_that_breaks_off(run: Run) -> None:
    context = FakeContext(content(b"1"), error.NetworkError("gone"))
    result = run(context, "coap://host/", "--observe")
    assert (result.code, result.out) == (3, b"1\n")
    assert "gone" in result.err


def test_no_observation(run: Run) -> None:
    context = FakeContext(content(b"1"), error.NotObservable())
    result = run(context, "coap://host/", "--observe")
    assert (result.code, result.out) == (1, b"1\n")
    assert "can not be observed" in result.err


def test_an_error_instead_of_an_observation(run: Run) -> None:
    context = FakeContext(Message(code=NOT_FOUND), error.NotObservable())
    assert run(context, "coap://host/", "--observe").code == 4


def test_changes_are_fed_to_a_command(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "changes"
    context = FakeContext(content(b"first"), content(b"\x00one"), content(b"two"))
    result = run(context, "coap://host/", "--observe-exec", f"cat >> '{file}'; echo >> '{file}'")
    assert context.requests[0].opt.observe == 0
    assert file.read_bytes() == b"\x00one\ntwo\n"
    assert (result.code, result.out) == (1, b"first\n")


def test_commands_that_fail_and_do_not_read(run: Run) -> None:
    context = FakeContext(content(b"first"), content(b"x" * 1000000), content(b"y"))
    result = run(context, "coap://host/", "--observe-exec", "exit 3")
    assert result.lines[:2] == ["aiocoap-client: --observe-exec 'exit 3' ended with 3"] * 2


def test_errors_are_not_fed_to_the_command(run: Run) -> None:
    context = FakeContext(content(b"first"), Message(code=NOT_FOUND))
    result = run(context, "coap://host/", "--observe-exec", "echo no")
    assert (result.code, result.out, result.err) == (4, b"first\n", "4.04 Not Found\n")


async def test_cancelling_ends_the_command(tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    # It is in the middle of waiting once it has closed the command's standard input.
    command = f"cat; echo > '{fifo}'; exec tail -f /dev/null"
    feeding = asyncio.create_task(_exchange._feed(command, b"x"))
    with await asyncio.to_thread(open, fifo, "rb") as started:
        assert await asyncio.to_thread(started.read) == b"\n"
    feeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await feeding


def test_enough_notifications(run: Run) -> None:
    context = FakeContext(content(b"1"), content(b"2"), content(b"3"), content(b"never"))
    result = run(context, "coap://host/", "--observe", "--count", "3")
    assert (result.code, result.out, result.err) == (0, b"1\n2\n3\n", "")
    assert context.observation.cancelled


def test_one_representation_is_enough(run: Run) -> None:
    context = FakeContext(content(b"1"), content(b"never"))
    result = run(context, "coap://host/", "--observe", "--count", "1")
    assert (result.code, result.out, result.err) == (0, b"1\n", "")
    assert context.observation.cancelled


def test_an_observation_that_took_long_enough(run: Run) -> None:
    context = FakeContext(content(b"1"), content(b"2"), None)
    result = run(context, "coap://host/", "--observe", "--duration", "0.01")
    assert (result.code, result.out, result.err) == (0, b"1\n2\n", "")
    assert context.observation.cancelled


def test_what_is_done_with_a_notification_is_not_cut_short(run: Run, tmp_path: Path) -> None:
    fifo, file = tmp_path / "fifo", tmp_path / "file"
    os.mkfifo(fifo)
    # The first command waits for the second part of itself, which is longer than the duration.
    command = f"(sleep 0.1; echo done > '{fifo}') & cat '{fifo}' > '{file}'"
    context = FakeContext(content(b"1"), content(b"2"), None)
    result = run(context, "coap://host/", "--observe-exec", command, "--duration", "0.01")
    assert result.code == 0
    assert file.read_text() == "done\n"


def test_observations_as_json(run: Run) -> None:
    context = FakeContext(content(b"1"), content(b"2"), error.ObservationCancelled())
    result = run(context, "coap://host/", "--observe", "--json")
    response, notification, ended = read_all(result.out)
    assert (response["type"], response["payload"]) == ("response", "1")
    assert 0 <= response["round_trip_time"] < 1
    assert (notification["type"], notification["payload"]) == ("notification", "2")
    assert notification["round_trip_time"] is None
    assert ended == {
        "type": "error",
        "error": "the server ended the observation",
        "exit_code": 1,
    }
    assert (result.code, result.err) == (1, "")


# Where the output goes, and in which form


def test_files(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    result = run(FakeContext(content(b"\xfftext")), "coap://host/", "-o", str(file))
    assert (result.code, result.out, result.err) == (0, b"", "")
    assert file.read_bytes() == b"\xfftext"
    result = run(FakeContext(Message(code=NOT_FOUND)), "coap://host/", "-o", str(file))
    assert (result.code, result.err) == (4, "4.04 Not Found\n")
    assert file.read_bytes() == b"\xfftext"
    result = run(FakeContext(content(b"")), "coap://host/", "-o", str(file))
    assert (result.code, result.err) == (0, "2.05 Content\n")
    assert file.read_bytes() == b""


def test_several_notifications_in_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    context = FakeContext(content(b"1"), content(b"2"))
    assert run(context, "coap://host/", "--observe", "--count", "2", "-o", str(file)).code == 0
    assert file.read_bytes() == b"1\n2\n"


def test_a_full_disk_below_a_file(run: Run) -> None:
    for args in ((), ("--json",)):
        result = run(FakeContext(content()), "coap://host/", "-o", "/dev/full", *args)
        text = "/dev/full: No space left on device"
        assert result.code == 1
        if args:
            assert read_all(result.out) == [{"type": "error", "error": text, "exit_code": 1}]
        else:
            assert (result.out, result.err) == (b"", f"aiocoap-client: {text}\n")


def test_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    class Closing(FakeContext):
        def request(self, message: Message) -> Any:
            os.close(reader)
            return super().request(message)

    context: Any = Closing(content())
    with pytest.raises(BrokenPipeError):
        asyncio.run(client.run_request(parse("coap://host/", "-o", str(fifo)), context))


def test_code_and_options(run: Run) -> None:
    result = run(FakeContext(content(b"x", max_age=3)), "coap://host/", "-i")
    assert (result.code, result.out, result.err) == (0, b"2.05 Content\nMax-Age: 3\n\nx", "")
    result = run(FakeContext(Message(code=NOT_FOUND)), "coap://host/", "-i")
    assert (result.code, result.out, result.err) == (4, b"4.04 Not Found\n\n", "")


def test_json(run: Run) -> None:
    result = run(FakeContext(Message(code=NOT_FOUND, payload=b"x")), "coap://host/", "--json")
    (told,) = read_all(result.out)
    assert (result.code, result.err, told["code"], told["payload"]) == (4, "", "4.04", "x")


def test_errors_as_json(run: Run) -> None:
    for context, args, code in (
        (FakeContext(error.RequestTimedOut()), [], 3),
        (FakeContext(error.ConToMulticast()), [], 2),
        (FakeContext(error.ResourceChanged("again")), [], 1),
        (FakeContext(), ["--payload", "@/no/such/file"], 2),
        (FakeContext(), ["--include"], 2),
    ):
        result = run(context, "coap://host/", "--json", *args)
        (told,) = read_all(result.out)
        assert (result.code, result.err) == (code, "")
        assert (told["type"], told["exit_code"]) == ("error", code)


def test_contradictions_send_nothing(run: Run) -> None:
    context = FakeContext()
    result = run(context, "coap://host/", "--ping", "--observe")
    assert (result.code, result.out) == (2, b"")
    assert result.lines == ["aiocoap-client: --ping and --observe exclude each other"]
    assert context.requests == []
    assert context.pinged == []


def test_long_transfers_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange.Progress, "DELAY", 0.0)
    monkeypatch.setattr(_exchange.Progress, "is_wanted", lambda self, *_: True)
    context = FakeContext(content(b"x"))
    context.transfer = ((1024, 4096),)
    result = run(context, "coap://host/")
    assert result.out == b"x"
    assert result.err.startswith("\r\x1b[K1,024 of 4,096 bytes (25 %), ")
    assert result.err.endswith("\r\x1b[K")


# Groups


class Group(UndecidedRemote):
    """The address of a group."""

    is_multicast = True


def of_member(name: str, payload: bytes, **options: Any) -> Message:
    message = content(payload, **options)
    message.remote = UndecidedRemote("coap", name)
    return message


def a_group(*answers: Any) -> FakeContext:
    context = FakeContext(answers[0])
    context.others = answers[1:]
    context.remote = Group("coap", "group")
    return context


def test_all_members_of_a_group(run: Run) -> None:
    failed = of_member("two", b"")
    failed.code = NOT_FOUND
    context = a_group(of_member("one", b"1"), failed, of_member("three", b"3"))
    result = run(context, "coap://group/")
    assert (result.code, result.out) == (0, b"1\n3\n")
    assert result.lines == [
        "from coap://one:",
        "from coap://two:",
        "4.04 Not Found",
        "from coap://three:",
    ]
    assert run(context, "coap://group/", "-q").lines == ["4.04 Not Found"]
    told = read_all(run(context, "coap://group/", "--json").out)
    assert [one["remote"] for one in told] == ["coap://one", "coap://two", "coap://three"]


def test_no_member_succeeds(run: Run) -> None:
    failed = of_member("one", b"", max_age=1)
    failed.code = NOT_FOUND
    assert run(a_group(failed), "coap://group/").code == 4


def test_a_group_is_listened_to_for_some_time(run: Run) -> None:
    context = a_group(of_member("one", b"1"), None)
    result = run(context, "coap://group/", "--timeout", "0.01")
    assert (result.code, result.out) == (0, b"1\n")


def test_one_member_of_a_group_is_observed(run: Run) -> None:
    context = a_group(of_member("one", b"1"), of_member("two", b"2"))
    result = run(context, "coap://group/", "--observe", "--count", "1")
    assert (result.code, result.out) == (0, b"1\n")


# Lists of resources


LINKS = b'</a>;rt="one two";ct=40,</b>;if=x'


def test_a_list_of_resources(run: Run) -> None:
    pytest.importorskip("link_header")
    context = FakeContext(content(LINKS, content_format=40))
    result = run(context, "--discover", "coap://host")
    assert (result.code, result.err) == (0, "")
    assert [line.split() for line in result.out.decode().splitlines()] == [
        ["href", "rt", "if", "ct", "sz", "obs", "title"],
        ["/a", "one", "two", "40"],
        ["/b", "x"],
    ]
    assert context.requests[0].get_request_uri() == "coap://host/.well-known/core"


def test_a_filtered_list(run: Run) -> None:
    pytest.importorskip("link_header")
    context = FakeContext(content(LINKS, content_format=40))
    result = run(context, "coap://host/list", "--discover", "if=x")
    assert result.out.split(b"\n")[1] == b"/b        x"
    assert context.requests[0].get_request_uri() == "coap://host/list?if=x"
    result = run(context, "coap://host/list", "--discover", "if=y")
    assert (result.code, result.out) == (0, b"")
    assert result.lines == ["None has no resource that matches"]
    assert run(context, "coap://host/list", "--discover", "if=y", "-q").lines == []
    empty = FakeContext(content(b"", content_format=40))
    assert run(empty, "coap://host", "--discover").lines == ["None has no resource"]


def test_lists_of_a_group(run: Run) -> None:
    pytest.importorskip("link_header")
    links = [of_member(name, b"</%b>" % name.encode(), content_format=40) for name in "xy"]
    nothing = of_member("z", b"?", content_format=40)
    result = run(a_group(*links, nothing), "--discover", "coap://group")
    assert [line.split()[:2] for line in result.out.decode().splitlines()] == [
        *(["from", "href"], ["coap://x", "/x"], ["from", "href"], ["coap://y", "/y"])
    ]
    assert result.code == 0
    assert len(result.lines) == 1
    assert result.err.startswith("aiocoap-client: coap://z sent no list of resources: ")


def test_lists_as_json(run: Run) -> None:
    pytest.importorskip("link_header")
    context = FakeContext(content(LINKS, content_format=40))
    result = run(context, "coap://host", "--discover", "--json")
    (told,) = read_all(result.out)
    assert told["links"] == [
        {"href": "/a", "rt": "one two", "ct": "40"},
        {"href": "/b", "if": "x"},
    ]


def test_what_is_no_list(run: Run) -> None:
    pytest.importorskip("link_header")
    result = run(FakeContext(content(b"hello", content_format=0)), "coap://host", "--discover")
    assert (result.code, result.out) == (1, b"")
    assert "text/plain" in result.err
    result = run(FakeContext(Message(code=NOT_FOUND)), "coap://host", "--discover")
    assert (result.code, result.out, result.err) == (4, b"", "4.04 Not Found\n")


def test_lists_need_a_package(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    context = FakeContext()
    result = run(context, "coap://host", "--discover")
    assert (result.code, context.requests) == (2, [])
    assert "aiocoap[linkheader]" in result.err


# Pings


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "_PING_INTERVAL", 0.0)


def test_a_ping(run: Run) -> None:
    context = FakeContext()
    context.pongs = [0.0125]
    result = run(context, "--ping", "coap://host/a")
    assert (result.code, result.out) == (0, b"pong from coap://host/a: 12.5 ms\n")
    assert context.pinged == ["coap://host/a"]
    assert context.requests == []


def test_several_pings(run: Run, no_pause: None) -> None:
    context = FakeContext()
    context.pongs = [0.001, error.RequestTimedOut(), 0.003]
    result = run(context, "--ping", "coap://host", "--count", "3")
    assert (result.code, result.out.splitlines()) == (
        0,
        [
            b"pong from coap://host: 1 ms",
            b"pong from coap://host: 3 ms",
            b"3 pings, 2 pongs, 1/2/3 ms (min/mean/max)",
        ],
    )
    assert len(result.lines) == 1
    assert "no answer" in result.err


def test_pings_that_are_lost(run: Run, no_pause: None) -> None:
    context = FakeContext()
    context.pongs = [error.RequestTimedOut(), error.NetworkError("gone")]
    result = run(context, "--ping", "coap://host", "--count", "2")
    assert (result.code, result.out, len(result.lines)) == (3, b"", 2)


def test_pings_as_json(run: Run, no_pause: None) -> None:
    context = FakeContext()
    context.pongs = [error.RequestTimedOut(), 0.5]
    result = run(context, "--ping", "coap://host", "--count", "2", "--json")
    lost, pong = read_all(result.out)
    assert (lost["type"], lost["exit_code"]) == ("error", 3)
    assert (pong["type"], pong["round_trip_time"]) == ("pong", 0.5)
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (error.ResolutionError("no address for 'host'"), 3, "no address"),
        (error.ConToMulticast(), 2, "a group can not be pinged"),
        (error.NoRequestInterface("no transport"), 2, "no transport"),
    ],
)
def test_who_can_not_be_pinged(run: Run, problem: Exception, code: int, text: str) -> None:
    context = FakeContext()
    context.pongs = [problem]
    result = run(context, "--ping", "coap://host", "--count", "2")
    assert (result.code, result.out, len(result.lines)) == (code, b"", 1)
    assert text in result.err


def test_bad_uris_are_not_pinged(run: Run) -> None:
    context = FakeContext()
    result = run(context, "--ping", "host/path")
    assert (result.code, result.out, len(result.lines)) == (2, b"", 1)
    assert "host/path" in result.err
    assert context.pinged == []


# Logging


def test_verbosity(run: Run) -> None:
    for args, level in (
        ([], logging.WARNING),
        (["-v"], logging.INFO),
        (["-vv"], logging.DEBUG),
        (["-vvv"], logging.DEBUG),
        (["-q"], logging.ERROR),
        (["-vq"], logging.WARNING),
        (["-qqq"], logging.CRITICAL),
    ):
        run(FakeContext(content()), "coap://host/", *args)
        assert logging.getLogger("coap").level == level


def test_log_lines_are_readable_and_harmless(run: Run) -> None:
    show_log()
    context = FakeContext(content(b"1", location_path=("\x1b[2J",)), content(b"2"))
    result = run(context, "coap://host/a", "-v", "--observe")
    assert result.out == b"1\n2\n"
    sent, received, notified = [line.partition(" INFO ")[2] for line in result.lines[:3]]
    assert sent == "Sending GET coap://host/a (URI_HOST: host, OBSERVE: 0, URI_PATH: a)"
    assert received == "Received 2.05 Content from None (LOCATION_PATH: '\\x1b[2J')"
    assert notified == "Received 2.05 Content from None (empty)"
    _exchange._log.warning("A stranger says %s", "\x1b[2J")
    assert run(context, "coap://host/a", "-v").lines[0].endswith("A stranger says \\u001b[2J")


def test_details_are_logged_on_demand(run: Run) -> None:
    show_log()
    lines = run(FakeContext(content()), "coap://host/", "-vv").lines
    assert [line.split()[1] for line in lines] == ["INFO", "INFO", "DEBUG", "DEBUG"]
    assert "no mtype, GET (no MID" in lines[3]


# The program


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> FakeContext:
    """Have the program use a fake context."""
    context = FakeContext(content())

    async def create() -> FakeContext:
        if isinstance(context.answer, OSError | ValueError | error.NetworkError):
            raise context.answer
        return context

    monkeypatch.setattr(Context, "create_client_context", create)
    return context


def exit_of(*args: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        client.sync_main(args)
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


def test_the_program(context: FakeContext, capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_of("coap://host/") == 0
    assert capfd.readouterr().out == "text"
    assert context.is_shut_down


async def test_the_coroutine(context: FakeContext) -> None:
    assert await client.main(["coap://host/"]) == 0
    with pytest.raises(client.UsageError, match="--interactive"):
        await client.main(["--interactive"])


def test_the_interactive_program(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "interact", lambda options, *_: 17 if options.interactive else 1)
    assert exit_of("--interactive") == 17


def test_lines_of_a_session(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Typing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert threading.current_thread() is threading.main_thread()
            raise KeyboardInterrupt

    uri = "coap://host/a"
    lines = iter([f"{uri} -m PUT --payload @-", "no-scheme", uri])
    monkeypatch.setattr("aiocoap.cli._interactive._line_reader", lambda: partial(next_of, lines))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Typing()))
    assert exit_of("--interactive") == 0
    assert [request.opt.uri_path for request in context.requests] == [("a",)]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "(cancelled)"
    assert said[1].startswith("aiocoap-client: 'no-scheme' has no scheme")
    assert len(said) == 2


def next_of(lines: Iterator[str]) -> str:
    for line in lines:
        return line
    raise EOFError


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (ValueError("there is no transport 'x'"), 2, "AIOCOAP_CLIENT_TRANSPORT: there is no"),
        (error.NetworkError("no sockets left"), 3, "no sockets left"),
    ],
)
def test_contexts_that_can_not_be_created(
    context: FakeContext,
    capsys: pytest.CaptureFixture[str],
    problem: Exception,
    code: int,
    text: str,
) -> None:
    context.answer = problem
    assert exit_of("coap://host/") == code
    assert text in capsys.readouterr().err


def test_ctrl_c(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "_run", interrupted)
    assert exit_of("coap://host/") == 130


class Endless(FakeContext):
    """A context that never gets an answer, but a signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def request(self, message: Message) -> Any:
        os.kill(os.getpid(), self.number)
        return super().request(message)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_leave_nothing_open(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Endless(number)

    async def create() -> FakeContext:
        return context

    monkeypatch.setattr(Context, "create_client_context", create)
    assert exit_of("coap://host/", "-o", str(tmp_path / "new")) == code
    assert context.is_shut_down
    assert list(tmp_path.iterdir()) == []


def test_payloads_are_read_before_there_is_a_loop(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Typing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Typing()))
    assert exit_of("coap://host/", "-m", "PUT", "--payload", "@-") == 130
    assert not context.requests


def test_such_troubles_are_json_where_everything_is(
    context: FakeContext, capsys: pytest.CaptureFixture[str]
) -> None:
    for context.answer, code in ((ValueError("'x'"), 2), (error.NetworkError("no"), 3)):
        assert exit_of("coap://host/", "--json") == code
        out, err = capsys.readouterr()
        assert [told["exit_code"] for told in read_all(out.encode())] == [code]
        assert err == ""


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
    ],
)
def test_output_that_can_not_be_written(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    problem: OSError,
    code: int,
    text: str,
) -> None:
    def full(*_: object) -> None:
        raise problem

    redirected = []
    monkeypatch.setattr(client, "_run", full)
    monkeypatch.setattr(os, "dup2", lambda *ends: redirected.append(ends))
    assert exit_of("coap://host/") == code
    assert text in capsys.readouterr().err
    # Standard output is taken out of the way, or Python would complain at its exit.
    ((opened, replaced),) = redirected
    assert replaced == 1
    os.close(opened)


def test_no_standard_output(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="standard output is closed"):
        asyncio.run(client.main(["coap://host/"]))

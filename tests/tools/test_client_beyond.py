"""aiocoap-client end to end: what it does beyond sending a request and showing the response."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
from pathlib import Path

import pytest

from aiocoap.cli.client import build_parser
from aiocoap.util.cli import ActionNoYes
from tests.tools.client_output import read, read_all
from tests.tools.client_runs import (
    Running,
    Terminal,
    one_line,
    run,
    told,
    told_as_json,
)
from tests.tools.client_site import BIG, CBOR, LINKS


def test_every_option_is_in_an_end_to_end_test() -> None:
    here = Path(__file__).parent
    sources = "".join(path.read_text("utf-8") for path in here.glob("test_client*.py"))
    used = set(re.findall(r'"(--?[a-z-]+|-O|-vv?)"', sources))
    unused = [
        names
        for action in build_parser()._actions
        if (names := set(action.option_strings))
        # Of "--color" and "--no-color" both, of "-o" and "--output" one.
        and not (names <= used if isinstance(action, ActionNoYes) else names & used)
    ]
    assert unused == []


# Options of the request


def options(*args: str) -> list[tuple[int, bytes]]:
    """Return the options that a request arrives with, without the path to where."""
    return [(number, bytes.fromhex(raw)) for number, raw in told(*args)["options"]]


def test_any_option(base: str) -> None:
    assert options(f"{base}/mirror", "-O", "If-Match=0x01ff", "--option", "uri-query=a=b") == [
        *((1, b"\x01\xff"), (15, b"a=b"))
    ]
    # By numbers, twice, for presence, unknown ones that are critical or are not.
    given = [
        word for text in ("5", "15=x", "15=y", "65000=", "65001=0x00") for word in ("-O", text)
    ]
    assert options(f"{base}/mirror?z", "-m", "PUT", *given) == [
        *((5, b""), (15, b"z"), (15, b"x"), (15, b"y")),
        *((65000, b""), (65001, b"\0")),
    ]


def test_options_that_servers_know(base: str) -> None:
    assert told(f"{base}/mirror", "-O", "accept=application/cbor")["accept"] == 60
    assert run(f"{base}/big", "-O", "block2=0/0/16").out == BIG
    result = run(f"{base}/text", "-O", "65001=x", "-q")
    assert (result.code, result.err.partition(":")[0]) == (4, "4.02 Bad Option")


def test_diagnostic_notation(base: str) -> None:
    put = [f"{base}/mirror", "-m", "PUT", "--content-format", "application/cbor", "--payload"]
    assert told(*put, '{1: h"00"}')["payload"] == "a1014100"
    assert told(*put, "{1: h'00', 2: undefined}")["payload"] == "a201410002f7"


# Where the output goes


def test_files(base: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for name in ("-o", "--output"):
        result = run(f"{base}/big", name, str(file))
        assert (result.code, result.out, result.err) == (0, b"", "")
        assert file.read_bytes() == BIG
    result = run(f"{base}/missing", "-o", str(file))
    assert (result.code, result.err.partition(":")[0]) == (4, "4.04 Not Found")
    assert file.read_bytes() == BIG
    assert run(f"{base}/missing", "-o", str(tmp_path / "new")).code == 4
    assert list(tmp_path.iterdir()) == [file]
    assert run(f"{base}/json", "-o", str(file), "--json").out == b""
    assert read_all(file.read_bytes())[0]["payload"] == {"a": [1, 2.5]}
    assert run(f"{base}/text", "-o", "-").out == b"hello"


def test_a_file_on_a_full_disk(base: str) -> None:
    one_line(run(f"{base}/text", "-o", "/dev/full"), 1, "/dev/full", "No space left")


# Code and options


def test_code_and_options(base: str) -> None:
    header = (
        b"2.05 Content\nETag: 0x01ff\nContent-Format: 0 (text/plain; charset=utf-8)\nMax-Age: 7\n\n"
    )
    for name in ("-i", "--include"):
        result = run(f"{base}/text", name)
        assert (result.code, result.out, result.err) == (0, header + b"hello", "")
    result = run(f"{base}/missing", "-i")
    assert (result.code, result.err) == (4, "")
    assert result.out.startswith(b"4.04 Not Found\n\nno ")


def test_what_is_shown_can_be_given(base: str) -> None:
    shown = run(f"{base}/text", "-i").out.decode().split("\n\n")[0].split("\n")[1:]
    etag = shown[0].replace(": ", "=")
    assert options(f"{base}/mirror", "-O", etag) == [(4, b"\x01\xff")]


# JSON


@pytest.mark.parametrize(
    ("path", "payload", "encoding"),
    [
        ("text", "hello", "text"),
        ("evil", "\x1b[2J\u009bevil\n", "text"),
        ("json", {"a": [1, 2.5]}, "json"),
        ("links", LINKS.decode(), "text"),
        ("cbor", base64.b64encode(CBOR).decode(), "base64"),
        ("big", base64.b64encode(BIG).decode(), "base64"),
        ("empty", "", "text"),
    ],
)
def test_responses_as_json(base: str, path: str, payload: object, encoding: str) -> None:
    (response,) = told_as_json(f"{base}/{path}")
    assert (response["type"], response["code"], response["remote"]) == ("response", "2.05", base)
    assert (response["payload"], response["payload_encoding"]) == (payload, encoding)
    assert 0 < response["round_trip_time"] < 10


def test_options_as_json(base: str) -> None:
    (response,) = told_as_json(f"{base}/text")
    assert response["options"] == {"ETag": ["0x01ff"], "Content-Format": 0, "Max-Age": 7}
    (response,) = told_as_json(f"{base}/create", "-m", "POST")
    assert response["options"] == {"Location-Path": ["things", "a b"], "Location-Query": ["v=1"]}


@pytest.mark.parametrize(("path", "code"), [("missing", "4.04"), ("broken", "5.00")])
def test_error_responses_as_json(base: str, path: str, code: str) -> None:
    (response,) = told_as_json(f"{base}/{path}", code=int(code[0]))
    assert (response["type"], response["code"]) == ("response", code)


def test_troubles_as_json(base: str, deaf: tuple[str, socket.socket]) -> None:
    uri, _ = deaf
    for args, code in (
        ([uri, "--timeout", "0.3"], 3),
        (["coap://host.invalid/"], 3),
        (["no-scheme"], 2),
        ([base, "-O", "nonsense"], 2),
        ([base, "--nonsense"], 2),
        ([base, "--include"], 2),
        ([base, "-o", "/no/such/file"], 2),
        ([], 2),
    ):
        (problem,) = told_as_json(*args, code=code)
        assert (problem["type"], problem["exit_code"]) == ("error", code)
    (problem,) = told_as_json(base, code=2, AIOCOAP_CLIENT_TRANSPORT="nonsense")
    assert "nonsense" in problem["error"]


def test_json_comes_line_by_line(base: str) -> None:
    with Running(f"{base}/counter", "--observe", "--json") as client:
        told = [read(client.out.readline().decode()[:-1]) for _ in range(3)]
        client.process.send_signal(signal.SIGINT)
        result = client.end()
    assert [one["type"] for one in told] == ["response", "notification", "notification"]
    assert told[0]["options"]["Observe"] < told[2]["options"]["Observe"]
    assert (result.code, result.err) == (130, "")


# Observations that end


def test_a_number_of_representations(base: str) -> None:
    result = run(f"{base}/counter", "--observe", "--count", "3")
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == [b"count"] * 3
    told = told_as_json(f"{base}/counter", "--observe", "--count", "2")
    assert [one["type"] for one in told] == ["response", "notification"]


def test_a_number_of_commands(base: str, tmp_path: Path) -> None:
    file = tmp_path / "changes"
    command = f"cat >> '{file}'; echo >> '{file}'"
    result = run(f"{base}/counter", "--observe-exec", command, "--count", "3")
    assert (result.code, result.err, len(result.out.splitlines())) == (0, "", 1)
    assert len(file.read_text().splitlines()) == 2


def observers(base: str) -> bytes:
    return run(f"{base}/observers").out


def test_a_duration(base: str) -> None:
    result = run(f"{base}/still", "--observe", "--duration", "0.2")
    assert (result.code, result.out, result.err) == (0, b"as ever\n", "")


def test_servers_are_told_of_the_end(base: str) -> None:
    for args in (["--count", "1"], ["--duration", "0.2"]):
        assert run(f"{base}/still", "--observe", *args).code == 0
        assert observers(base) == b"0"
    with Running(f"{base}/still", "--observe") as client:
        assert client.out.readline() == b"as ever\n"
        assert observers(base) == b"1"
        client.process.send_signal(signal.SIGINT)
        result = client.end()
    assert (result.code, result.err) == (130, "")
    assert observers(base) == b"0"


# Lists of resources


def test_all_resources(base: str) -> None:
    result = run("--discover", base)
    assert (result.code, result.err) == (0, "")
    header, *rows = result.out.decode().splitlines()
    assert header.split() == ["href", "rt", "if", "ct", "sz", "obs", "title"]
    assert {row.split()[0] for row in rows} >= {"/text", "/counter", "/.well-known/core"}
    (counter,) = [row for row in rows if row.startswith("/counter ")]
    assert counter[header.index("obs") :].split() == ["yes"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("rt=temperature*", ["/text"]),
        ("rt=temperature-c&href=/t*", ["/text"]),
        ("rt=temperature", []),
        ("obs=", ["/counter", "/ending", "/still"]),
    ],
)
def test_resources_that_match(base: str, query: str, found: list[str]) -> None:
    (response,) = told_as_json("--discover", query, base)
    assert sorted(link["href"] for link in response["links"]) == found
    assert response["options"] == {"Content-Format": 40}
    result = run(base, "--discover", query)
    assert (result.code, len(result.out.splitlines())) == (0, len(found) + bool(found))


def test_lists_at_other_places(base: str, tmp_path: Path) -> None:
    file = tmp_path / "table"
    assert run("--discover", "ct=50", f"{base}/links", "-o", str(file)).code == 0
    assert [line.split()[:2] for line in file.read_text().splitlines()[1:]] == [["/json", "50"]]
    one_line(run("--discover", f"{base}/text"), 1, base, "text/plain")
    assert run("--discover", f"{base}/nowhere").code == 4


# Pings


def test_pings(base: str) -> None:
    result = run("--ping", base)
    assert (result.code, result.err) == (0, "")
    assert re.fullmatch(rf"pong from {re.escape(base)}: [\d.e-]+ ms\n", result.out.decode())
    result = run("--ping", base, "--count", "2")
    lines = result.out.decode().splitlines()
    assert (result.code, len(lines)) == (0, 3)
    assert lines[2].startswith("2 pings, 2 pongs, ")
    (pong,) = told_as_json("--ping", base)
    assert 0 < pong["round_trip_time"] < 10


def test_pings_that_are_not_answered(deaf: tuple[str, socket.socket]) -> None:
    uri, silent = deaf
    one_line(run("--ping", uri, "--timeout", "0.3"), 3, uri, "no answer within 0.3 seconds")
    ping = silent.recv(100)
    assert (ping[:2], len(ping)) == (b"\x40\x00", 4)
    (problem,) = told_as_json("--ping", uri, "--timeout", "0.3", code=3)
    assert problem["exit_code"] == 3
    one_line(run("--ping", "coap://[ff02::fd%lo]"), 2, "group")


def test_pings_to_a_dead_server() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        uri = f"coap://[::1]:{probe.getsockname()[1]}"
    one_line(run("--ping", uri), 3, uri, "refused")


# Contradictions and other things that can not be


BAD = [
    (["-O", "nonsense=1"], "nonsense"),
    (["-O", "Uri-Port=x"], "Uri-Port takes a number from 0 to 65535"),
    (["-O", "70000=x"], "70000"),
    (["-O", "Accept=50", "--accept", "50"], "Accept"),
    (["-o", "/no/such/folder/file"], "/no/such/folder/file"),
    (["--json", "--color"], ""),
    (["--count", "3"], "--count needs --observe"),
    (["--count", "0", "--observe"], "'0'"),
    (["--duration", "3"], "--duration needs --observe"),
    (["--observe", "-m", "PUT"], "PUT"),
    (["--ping", "--observe"], "--ping and --observe"),
    (["--ping", "--discover"], "--ping and --discover"),
    (["--ping", "--payload", "x"], "--ping and --payload"),
    (["--discover", "--observe"], "--discover and --observe"),
    (["--discover", "rt"], "'rt'"),
    (["--content-format", "60", "--payload", "{1: h'0'}"], "diagnostic notation"),
]


@pytest.mark.parametrize(("args", "named"), BAD)
def test_contradictions_are_named_and_nothing_sent(
    deaf: tuple[str, socket.socket], args: list[str], named: str
) -> None:
    uri, silent = deaf
    result = run(uri, *args)
    if "--json" in args:
        assert (result.code, result.err) == (2, "")
        assert read_all(result.out)[0]["exit_code"] == 2
    else:
        one_line(result, 2, named)
    with pytest.raises(BlockingIOError):
        silent.recv(1)


# On a terminal


def test_long_transfers_are_shown_on_a_terminal(base: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with Terminal(f"{base}/slow", "-o", str(file)) as terminal:
        terminal.expect(r"\x1b\[K\d+ of 640 bytes \(\d+ %\), \d+\.\d KiB/s")
        assert terminal.end() == 0
        # Nothing is left of it.
        assert terminal.seen.endswith("\x1b[K")
    assert file.read_bytes() == BIG[:640]
    with Terminal(f"{base}/slow", "-q", "-o", str(file)) as terminal:
        assert terminal.end() == 0
        assert terminal.seen == ""
    assert run(f"{base}/slow").err == ""


def test_a_session_of_everything(base: str) -> None:
    lines = [f"--ping {base}", f"{base}/json -i", f"--discover rt=t* {base}", f"--ping -i {base}"]
    lines.append(f"--json {base}/json")
    result = run("--interactive", stdin="\n".join(lines).encode())
    assert result.code == 0
    shown = result.out.decode().splitlines()
    assert shown[0].startswith("pong from ")
    assert shown[1] == "2.05 Content"
    assert shown[-2].startswith("/text ")
    assert json.loads(shown[-1])["payload"] == {"a": [1, 2.5]}
    assert result.err == "aiocoap-client: --ping and --include exclude each other\n"

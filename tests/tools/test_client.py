"""aiocoap-client end to end: the real command against a server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aiocoap.meta import version
from tests.tools.client_runs import (
    CLIENT,
    PATIENCE,
    ROOT,
    Running,
    Terminal,
    environment,
    one_line,
    run,
    told,
)
from tests.tools.client_site import BIG, CBOR, LINKS

# Responses


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("text", b"hello"),
        ("json", b'{"a": [1, 2.50]}'),
        ("cbor", CBOR),
        ("links", LINKS),
        ("evil", b"\x1b[2J\xc2\x9bevil\n"),
        ("big", BIG),
    ],
)
def test_piped_payloads_are_what_the_server_sent(base: str, path: str, payload: bytes) -> None:
    result = run(f"{base}/{path}")
    assert (result.code, result.out, result.err) == (0, payload, "")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("json", '{\n  "a": [\n    1,\n    2.50\n  ]\n}\n'),
        ("cbor", '{"a": [1, 2, true], "b": 0}\n'),
        ("links", '</time>;obs;title="a, b",\n</json>;ct=50\n'),
        ("senml", '[\n  {"n": "n", "v": 23.5}\n]\n'),
        ("binary", "00000000  00 01 ff" + " " * 42 + "|...|\n"),
        ("evil", "\\u001b[2J\\u009bevil\n"),
        ("text", "hello\n"),
    ],
)
def test_readable_payloads(base: str, path: str, shown: str) -> None:
    result = run(f"{base}/{path}", "--pretty-print")
    assert (result.code, result.out.decode()) == (0, shown)


def test_colours_on_request(base: str) -> None:
    plain = run(f"{base}/json", "--pretty-print", "--no-color").out
    colored = run(f"{base}/json", "--pretty-print", "--color").out
    assert b"\x1b[" not in plain
    assert b"\x1b[" in colored
    assert re.sub(rb"\x1b\[[0-9;]*m", b"", colored) == plain


def test_success_without_a_payload(base: str) -> None:
    result = run(f"{base}/empty")
    assert (result.code, result.out, result.err) == (0, b"", "2.05 Content\n")
    result = run(f"{base}/create", "-m", "DELETE")
    assert (result.code, result.out, result.err) == (0, b"", "2.02 Deleted\n")
    result = run(f"{base}/create", "-m", "DELETE", "-q")
    assert (result.code, result.out, result.err) == (0, b"", "")


def test_where_something_was_created(base: str) -> None:
    result = run(f"{base}/create", "-m", "POST", "--payload", "x")
    assert (result.code, result.out) == (0, b"")
    assert result.err == f"2.01 Created, location: {base}/things/a%20b?v=1\n"


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("missing", 4, "4.04 Not Found: no \\u001b[31msuch thing\n"),
        ("problem", 4, "4.00 Bad Request\ntitle: Out of use\ndetail: since today\n"),
        ("nowhere", 4, None),
        ("broken", 5, None),
    ],
)
def test_error_responses(base: str, path: str, code: int, said: str | None) -> None:
    result = run(f"{base}/{path}")
    assert (result.code, result.out) == (code, b"")
    assert result.err.startswith(("4.04 Not Found", "4.00 Bad Request", "5.00 Internal"))
    assert "secret" not in result.err
    assert "Traceback" not in result.err
    if said is not None:
        assert result.err == said


# Requests


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("GET", "GET"),
        ("put", "PUT"),
        ("3", "PUT"),
        ("POST", "POST"),
        ("DELETE", "DELETE"),
        ("FETCH", "FETCH"),
        ("PATCH", "PATCH"),
        ("ipatch", "iPATCH"),
    ],
)
def test_methods(base: str, method: str, name: str) -> None:
    assert told(f"{base}/mirror", "-m", method)["method"] == name


def test_options_of_the_request(base: str) -> None:
    seen = told(f"{base}/mirror?a=1&b", "--accept", "application/json")
    assert (seen["query"], seen["accept"], seen["confirmable"]) == (["a=1", "b"], 50, True)
    assert not told(f"{base}/mirror", "--non")["confirmable"]
    seen = told(f"{base}/mirror", "-m", "PUT", "--payload", "grün", "--content-format", "0")
    assert (bytes.fromhex(seen["payload"]).decode(), seen["format"]) == ("grün", 0)


def test_payloads_from_files(base: str, tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(b"\x00\xff\n")
    put = [f"{base}/mirror", "-m", "PUT", "--payload"]
    assert told(*put, f"@{tmp_path / 'payload'}")["payload"] == "00ff0a"
    assert told(*put, "@-", stdin=b"\xfe\n")["payload"] == "fe0a"


def test_payloads_that_become_cbor(base: str) -> None:
    put = [f"{base}/mirror", "-m", "PUT", "--content-format", "application/cbor", "--payload"]
    assert told(*put, '{"on": true}')["payload"] == "a1626f6ef5"
    assert told(*put, "{1: b'x'}")["payload"] == "a1014178"


def test_large_payloads_and_the_first_block(base: str, tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(b"x" * 3000)
    put = [f"{base}/blocks", "-m", "PUT", "--payload", f"@{tmp_path / 'payload'}"]
    assert run(*put).out == b"1024"
    assert run(*put, "--payload-initial-szx", "2").out == b"64"


def test_host_names_are_sent_unless_forbidden(base: str) -> None:
    uri = f"coap://localhost:{base.rpartition(':')[2]}/mirror"
    assert told(uri)["host"] == "localhost"
    assert told(uri, "--no-set-hostname")["host"] is None
    assert told(f"{base}/mirror")["host"] is None


def test_a_proxy_gets_the_request(base: str) -> None:
    # The server is none, and says so: it could not without having been asked.
    result = run("coap://host.invalid/", "--proxy", base.removeprefix("coap://"))
    assert (result.code, result.out) == (5, b"")
    assert result.err.startswith("5.05 Proxying Not Supported")


# Observation


def test_an_observation_until_ctrl_c(base: str) -> None:
    with Running(f"{base}/counter", "--observe") as client:
        lines = [client.out.readline() for _ in range(4)]
        client.process.send_signal(signal.SIGINT)
        result = client.end()
    numbers = [int(line.removeprefix(b"count ")) for line in lines]
    assert numbers == sorted(set(numbers))
    assert (result.code, result.err) == (130, "")


def test_an_observation_until_the_end(base: str) -> None:
    result = run(f"{base}/ending", "--observe")
    assert (result.code, result.err) == (4, "4.04 Not Found: used up\n")
    assert result.out.splitlines()[0] == b"count 0"


def test_changes_are_fed_to_a_command(base: str, tmp_path: Path) -> None:
    file = tmp_path / "changes"
    command = f"cat >> '{file}'; echo >> '{file}'"
    result = run(f"{base}/ending", "--observe-exec", command)
    assert result.code == 4
    assert result.out.splitlines()[0].startswith(b"count ")
    assert file.read_text().splitlines()
    assert all(re.fullmatch(r"count \d+", line) for line in file.read_text().splitlines())


def test_what_can_not_be_observed(base: str) -> None:
    result = run(f"{base}/text", "--observe")
    assert (result.code, result.out) == (1, b"hello\n")
    assert "can not be observed" in result.err


# Troubles


BAD = [
    (["no-scheme/path"], "no-scheme/path"),
    (["http://[::1]/"], "http"),
    (["coap://[::1/"], "coap://[::1/"),
    (["URI", "-m", "HEAD"], "HEAD"),
    (["URI", "--content-format", "application/nonsense"], "application/nonsense"),
    (["URI", "--accept", "99999"], "99999"),
    (["URI", "--payload-initial-szx", "7"], "'7'"),
    (["URI", "--payload", "@/no/such/file"], "/no/such/file"),
    (["URI", "--payload", "{", "--content-format", "60"], "'{'"),
    (["URI", "--credentials", "/no/such/file"], "/no/such/file"),
    (["URI", "--credentials", __file__], __file__),
    (["URI", "--proxy", "p:port"], "port"),
    (["URI", "--timeout", "soon"], "soon"),
    (["URI", "--nonsense"], "--nonsense"),
    ([], "no URI"),
]


@pytest.mark.parametrize(("args", "named"), BAD)
def test_bad_input_is_named_and_nothing_sent(
    deaf: tuple[str, socket.socket], args: list[str], named: str
) -> None:
    uri, silent = deaf
    one_line(run(*[uri if arg == "URI" else arg for arg in args]), 2, named)
    with pytest.raises(BlockingIOError):
        silent.recv(1)


def test_a_dead_server() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        uri = f"coap://[::1]:{probe.getsockname()[1]}/"
    one_line(run(uri), 3, uri, "refused")


def test_a_deaf_server(deaf: tuple[str, socket.socket]) -> None:
    uri, silent = deaf
    one_line(run(uri, "--timeout", "0.3"), 3, uri, "no answer within 0.3 seconds")
    assert silent.recv(100)


def test_a_silent_server(base: str) -> None:
    one_line(run(f"{base}/silent", "--timeout", "0.3"), 3, "no answer within 0.3 seconds")


def test_a_host_that_does_not_exist() -> None:
    one_line(run("coap://host.invalid/"), 3, "coap://host.invalid/")


def test_confirmable_multicast() -> None:
    # Confirmable is what the user did not forbid; the client chooses what groups can take.
    result = run("coap://[ff01::1%lo]:9/", "--timeout", "0.3")
    assert result.code in (2, 3), result
    assert result.err.count("\n") == 1


def test_a_scheme_without_a_transport() -> None:
    result = run("coap+ws://[::1]/", "--timeout", "1", AIOCOAP_CLIENT_TRANSPORT="udp6")
    one_line(result, 2, "coap+ws://[::1]")


def test_a_websocket_that_there_is_not() -> None:
    one_line(run("coap+ws://[::1]:1/", "--timeout", "5"), 3, "over WebSockets")


def test_a_transport_that_does_not_exist(base: str) -> None:
    one_line(run(base, AIOCOAP_CLIENT_TRANSPORT="nonsense"), 2, "nonsense")


def test_a_closed_pipe_is_quiet(base: str) -> None:
    with Running(f"{base}/counter", "--observe") as client:
        assert client.out.readline()
        client.out.close()
        assert client.process.stderr is not None
        assert client.process.stderr.read() == b""
        assert client.process.wait(PATIENCE) == 141


def test_a_full_disk(base: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*CLIENT, f"{base}/text"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert "No space left" in done.stderr.decode()


def test_ctrl_c(base: str, deaf: tuple[str, socket.socket]) -> None:
    uri, silent = deaf
    silent.setblocking(True)
    with Running(uri) as client:
        assert silent.recv(100)
        client.process.send_signal(signal.SIGINT)
        result = client.end()
    assert (result.code, result.out, result.err) == (130, b"", "")


# The rest


def test_credentials_that_nothing_uses_yet(base: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    psk = {"dtls": {"psk": {"ascii": "secretPSK"}, "client-identity": {"ascii": "me"}}}
    file.write_text(json.dumps({"coaps://localhost/*": psk}))
    result = run(f"{base}/text", "--credentials", str(file))
    assert (result.code, result.out) == (0, b"hello")
    assert "secretPSK" not in result.err


def test_logging(base: str) -> None:
    result = run(f"{base}/text", "-v")
    assert result.out == b"hello"
    assert re.search(
        r"^[\d:.]+ INFO Sending GET coap://.*/text \(URI_PATH: text\)$", result.err, re.MULTILINE
    )
    assert re.search(
        r"^[\d:.]+ INFO Received 2\.05 Content from .*CONTENT_FORMAT", result.err, re.M
    )
    assert "DEBUG" not in result.err
    # All there is to know of the messages: types, identifiers, tokens.
    assert re.search(r"DEBUG .*Type\.ACK 2\.05 Content \(MID \d+", run(f"{base}/text", "-vv").err)
    assert run(f"{base}/text", "-vvqqq").err == ""


def test_version_and_help() -> None:
    assert version in run("--version").out.decode()
    text = run("--help").out.decode()
    assert "exit codes:" in text
    for option in ("--timeout", "--observe-exec", "--no-color", "--no-pretty-print"):
        assert option in text


def test_the_script_of_the_checkout(base: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "aiocoap-client"), f"{base}/text"],
        capture_output=True,
        env=environment(),
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == b"hello"
    assert os.access(ROOT / "aiocoap-client", os.X_OK)


def test_the_report_on_the_installation() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aiocoap.cli.defaults"],
        capture_output=True,
        env=environment(),
        timeout=PATIENCE,
        check=True,
    )
    assert b"udp6" in done.stdout
    assert done.stderr == b""


def test_what_one_request_takes_to_import() -> None:
    """Nothing is imported that a plain request does not use; its start-up time is counted."""
    code = "import sys; import aiocoap.cli.client; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(), text=True, check=True
    )
    dear = {"pygments", "prompt_toolkit", "cbor2", "cbor_diag", "json", "termcolor", "readline"}
    dear |= {"cryptography", "websockets", "link_header", "zlib", "shlex", "dataclasses"}
    assert dear & set(done.stdout.split()) == set()


# On a terminal


def test_a_terminal_gets_readable_colours(base: str) -> None:
    with Terminal(f"{base}/json") as terminal:
        assert terminal.end() == 0
        assert "\x1b[" in terminal.seen
        plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.seen)
        assert plain == '{\n  "a": [\n    1,\n    2.50\n  ]\n}\n'


def test_a_terminal_without_colours(base: str) -> None:
    for args, changes in ((["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
        with Terminal(f"{base}/json", *args, **changes) as terminal:
            assert terminal.end() == 0
            assert terminal.seen == '{\n  "a": [\n    1,\n    2.50\n  ]\n}\n'


def test_a_terminal_is_not_at_the_mercy_of_the_server(base: str) -> None:
    with Terminal(f"{base}/evil", "--no-color") as terminal:
        assert terminal.end() == 0
        assert terminal.seen == "\\u001b[2J\\u009bevil\n"


def test_a_missing_line_break_is_told(base: str) -> None:
    for args in (["--no-pretty-print"], []):
        with Terminal(f"{base}/text", "--no-color", *args) as terminal:
            assert terminal.end() == 0
            assert terminal.seen == "hello\n(No newline at end of message)\n"
    with Terminal(f"{base}/line", "--no-color") as terminal:
        assert terminal.end() == 0
        assert terminal.seen == "hello\n"


WITHOUT_TOOLKIT = "import sys; sys.modules['prompt_toolkit'] = None; " + (
    "from aiocoap.cli.client import sync_main; sync_main()"
)


@pytest.mark.parametrize(
    "command", [CLIENT, [sys.executable, "-c", WITHOUT_TOOLKIT]], ids=["toolkit", "readline"]
)
def test_an_interactive_session(base: str, command: list[str], tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "INPUTRC": "/dev/null"}
    with Terminal("--interactive", "--no-color", command=command, **home) as terminal:
        terminal.expect("aiocoap>")
        terminal.send(f"{base}/text\r")
        terminal.expect(r"hello\n\(No newline")
        terminal.expect("aiocoap>")
        terminal.send("--nonsense\r")
        terminal.expect("aiocoap-client: unrecognized arguments: --nonsense")
        terminal.expect("aiocoap>")
        terminal.send(f"{base}/missing\r")
        terminal.expect("4.04 Not Found")
        terminal.expect("aiocoap>")
        # Ctrl-C ends the request, not the session.
        terminal.send(f"{base}/counter --observe\r")
        terminal.expect("count 1")
        terminal.send("\x03")
        terminal.expect(r"\(cancelled\)")
        terminal.expect("aiocoap>")
        # At the prompt, it drops the line.
        terminal.send("half-a-line")
        terminal.expect("half-a-line")
        terminal.interrupt("aiocoap>")
        terminal.send(f"aiocoap-client -m PUT {base}/mirror --payload 'a b'\r")
        terminal.expect('"payload": "612062"')
        terminal.expect("aiocoap>")
        terminal.send("\x04")
        assert terminal.end() == 0


def test_a_session_from_a_pipe(base: str) -> None:
    lines = f"{base}/line\n--nonsense\n{base}/missing\n{base}/line\n"
    result = run("--interactive", stdin=lines.encode())
    assert (result.code, result.out) == (0, b"hello\nhello\n")
    assert len(result.err.splitlines()) == 2

"""The command line of ``aiocoap-client``: what can be typed, and what excludes what."""

from __future__ import annotations

import argparse
import re
import sys

import pytest

from aiocoap.cli import _commandline
from aiocoap.cli._commandline import build_parser, check_combination
from aiocoap.cli._present import Exit
from aiocoap.numbers.codes import PUT
from aiocoap.util.cli import UsageError
from tests.tools.client_output import read_all

URI = "coap://host/"

# An argument for each option that takes one.
ARGUMENTS = {
    "--method": "PUT",
    "--payload": "x",
    "--content-format": "50",
    "--accept": "50",
    "--option": "Size1=1",
    "--payload-initial-szx": "3",
    "--proxy": "p:1",
    "--credentials": "file",
    "--timeout": "2",
    "--observe-exec": "cmd",
    "--count": "3",
    "--duration": "4",
    "--output": "file",
}


def parse(*args: str) -> argparse.Namespace:
    return build_parser().parse_args(args)


def given(*options: str) -> argparse.Namespace:
    """Parse options, with an argument each where they take one."""
    words: list[str] = [URI]
    for option in options:
        words += [option, ARGUMENTS[option]] if option in ARGUMENTS else [option]
    return parse(*words)


def test_every_option_is_there() -> None:
    line = (
        "--non -m PUT --observe --observe-exec cmd --accept text/plain --proxy p:1 --payload x "
        "--payload-initial-szx 3 --content-format 50 --no-set-hostname -v -v -q --interactive "
        "--credentials file --color --no-pretty-print --timeout 2 -O if-match=x -O 5 -o file -i "
        "--json --count 3 --duration 4 --discover rt=x --ping coap://host/"
    )
    options = parse(*line.split(" "))
    assert options.non
    assert options.method == PUT
    assert (options.observe, options.observe_exec) == (True, "cmd")
    assert (options.accept, options.content_format, options.payload) == (0, 50, "x")
    assert options.proxy.hostinfo == "p:1"
    assert (options.payload_initial_szx, options.set_hostname) == (3, False)
    assert (options.verbose, options.quiet, options.interactive) == (2, 1, True)
    assert (options.credentials, options.timeout) == ("file", 2.0)
    assert (options.color, options.pretty_print) == (True, False)
    assert options.option == [(1, b"x"), (5, b"")]
    assert (options.output, options.include, options.json) == ("file", True, True)
    assert (options.count, options.duration) == (3, 4.0)
    assert (options.discover, options.ping) == (("rt=x",), True)
    assert options.url == URI


def test_the_defaults() -> None:
    options = parse(URI)
    assert options.method is None
    assert (options.set_hostname, options.color, options.pretty_print) == (True, None, None)
    assert (options.timeout, options.count, options.duration) == (None, None, None)
    assert (options.option, options.output, options.discover) == ([], None, None)
    assert (options.include, options.json, options.ping, options.observe) == (False,) * 4


def test_the_help_has_groups_examples_and_exit_codes() -> None:
    text = build_parser().format_help()
    for group in ("request:", "observation:", "instead of a request:", "output:", "program:"):
        assert f"\n{group}\n" in text
    for code in Exit:
        assert f"\n  {code.value:>3}  " in text
    assert "%" not in text.replace("%eth0", "")


def test_every_example_in_the_help_can_be_followed() -> None:
    text = build_parser().format_help().partition("examples:\n")[2].partition("\n\n")[0]
    from aiocoap.cli._interactive import split_line

    lines = [line.strip() for line in text.split("\n")]
    assert len(lines) > 8
    for line in lines:
        options = parse(*split_line(line))
        check_combination(options)
        assert options.url.startswith("coap://")


# --discover


@pytest.mark.parametrize(
    ("args", "discover", "url"),
    [
        (["--discover", URI], (), URI),
        ([URI, "--discover"], (), URI),
        (["--discover", "rt=x", URI], ("rt=x",), URI),
        (["--discover", URI, "rt=x&if=y"], ("rt=x", "if=y"), URI),
        ([URI, "--discover", "href=coap://a/*"], ("href=coap://a/*",), URI),
        (["--discover"], (), None),
        (["--discover", "rt=x"], ("rt=x",), None),
    ],
)
def test_the_query_and_the_uri(args: list[str], discover: tuple[str, ...], url: str | None) -> None:
    options = parse(*args)
    assert (options.discover, options.url) == (discover, url)


@pytest.mark.parametrize("query", ["rt", "=x", "a&b=c"])
def test_what_is_no_query(query: str, capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["--discover", query, URI], ["--discover", URI, query]):
        with pytest.raises(SystemExit) as leaving:
            parse(*args)
        assert leaving.value.code == 2
        assert "argument --discover: " in capsys.readouterr().err


def test_lines_of_a_session_add_to_what_it_was_started_with() -> None:
    started = parse("--discover", "rt=x", "-O", "5", "--interactive")
    line = build_parser().parse_args([URI, "-O", "if-match=x"], started)
    assert line.discover == ("rt=x",)
    assert line.option == [(5, b""), (1, b"x")]


# Complaints


def test_complaints_are_json_where_everything_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["aiocoap-client", "--json", "--nonsense\n", URI])
    started = argparse.Namespace(json=True)
    for args, namespace in (
        (["--json", "--nonsense\n", URI], None),
        (["--nonsense\n", URI], started),
        (None, None),
    ):
        with pytest.raises(SystemExit) as leaving:
            build_parser().parse_args(args, namespace)
        assert leaving.value.code == 2
        out, err = capsys.readouterr()
        assert read_all(out.encode()) == [
            {"type": "error", "error": "unrecognized arguments: --nonsense", "exit_code": 2}
        ]
        assert err == ""


def names() -> list[str]:
    return [
        option for options in _commandline._EXCLUDED.items() for option in (options[0], *options[1])
    ]


PAIRS = [(name, other) for name, others in _commandline._EXCLUDED.items() for other in others]


def test_the_table_of_exclusions_is_about_options_that_there_are() -> None:
    text = build_parser().format_help()
    for name in {*names(), *_commandline._NEEDED, *sum(_commandline._TWINS.values(), ())}:
        assert re.search(rf"{name}\b", text), name
    assert len({frozenset(pair) for pair in PAIRS}) == len(PAIRS), "each pair stands there once"


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_excludes_what(one: str, other: str) -> None:
    for pair in ((one, other), (other, one)):
        with pytest.raises(UsageError, match=f"{one} and {other} exclude each other"):
            check_combination(given(*pair))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--count"], "--count needs --observe or --observe-exec or --ping"),
        (["--duration"], "--duration needs --observe or --observe-exec"),
    ],
)
def test_what_needs_what(options: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_combination(given(*options))
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("option", "other"),
    [
        ("Accept=50", ["--accept", "50"]),
        ("17=50", ["--accept", "50"]),
        ("content-format=50", ["--content-format", "50"]),
        ("observe=0", ["--observe"]),
        ("observe=1", ["--observe-exec", "x"]),
        ("observe=0", ["--discover"]),
        ("proxy-uri=coap://x", ["--proxy", "p"]),
        ("uri-host=x", ["--no-set-hostname"]),
    ],
)
def test_options_that_have_two_ways(option: str, other: list[str]) -> None:
    with pytest.raises(UsageError, match=f"--option .* and {other[0]} exclude each other"):
        check_combination(parse(URI, "-O", option, *other))


def test_observing_takes_methods_that_ask_for_something() -> None:
    for name in ("--observe", "--observe-exec"):
        with pytest.raises(UsageError, match=f"{name} and --method PUT exclude each other"):
            check_combination(given(name, "--method"))
    for method in ("GET", "FETCH"):
        check_combination(parse(URI, "--observe", "-m", method))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--json --no-color --no-pretty-print",
        "--json --observe --count 3 --duration 4 -o file",
        "--observe-exec x --json --count 1",
        "--ping --count 3 --timeout 1 --json -o file -v",
        "--discover --json --accept 40 --non --proxy p -O uri-path=x",
        "--observe -m FETCH --payload x --content-format 50 -i --color --pretty-print",
        "-O observe=0 -O accept=3 -O content-format=1 -O proxy-uri=coap://x -O uri-host=x",
        "-qv --interactive --credentials file --payload-initial-szx 3 --no-set-hostname",
    ],
)
def test_what_goes_together(line: str) -> None:
    check_combination(parse(URI, *line.split()))

"""The command line of ``aiocoap-client``.

Here live its options, its help, and which options exclude one another.

The room knows what can be typed; what it means is decided next door.

RFC 7252, RFC 7641, RFC 6690 (what the options are about).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ..numbers.codes import FETCH, GET
from ..util.cli import ActionNoYes, Parser, UsageError
from ..util.prettyprint import one_line
from . import _discover, _options, _request
from ._output import Output
from ._present import Exit, Style, present_error
from .common import add_version_argument

__all__ = ["build_parser", "check_combination"]

_EPILOG = """\
The payload of a successful response goes to standard output; everything else is said on
standard error. Notifications of an observation end in a line break each.

examples:
  %(prog)s coap://localhost/.well-known/core
  %(prog)s coap://localhost/time --observe
  %(prog)s coap://localhost/light -m PUT --content-format application/json --payload '{"on": 1}'
  %(prog)s coap://localhost/light -m PUT --content-format application/cbor --payload '{1: h"00"}'
  %(prog)s coap://localhost/firmware -m PUT --payload @firmware.bin -O If-None-Match
  %(prog)s coap://device.local/state --accept application/cbor --proxy '[2001:db8::1]'
  %(prog)s coap://localhost/sensor --observe --json --count 10
  %(prog)s --discover 'rt=temperature*' coap://localhost
  %(prog)s --discover 'coap://[ff02::fd%%eth0]' --timeout 5
  %(prog)s --ping coap://localhost --count 3

exit codes:
    0  the response was a success (2.xx)
    1  something else went wrong: a response that can not be used, no observation, full disk
    2  the command line can not be followed (URI, option, file); nothing was sent
    3  there was no answer: name resolution, network, timeout
    4  the response was a client error (4.xx)
    5  the response was a server error (5.xx)
  130  ended by Ctrl-C
  141  nobody reads standard output any more
  143  ended by SIGTERM
"""


class _ClientParser(Parser):
    """The parser: it complains as JSON where that is asked for, and finds the URI."""

    _is_json = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; what went to the query of --discover may be the URI."""
        words = sys.argv[1:] if args is None else args
        self._is_json = "--json" in words or bool(getattr(namespace, "json", False))
        options, left = super().parse_known_args(args, namespace)
        text = options.discover
        if isinstance(text, str):
            if "://" in text.partition("=")[0]:
                # "--discover URI" and "--discover URI QUERY".
                text, options.url = options.url, text
            try:
                options.discover = _discover.parse_filter(text) if text else ()
            except argparse.ArgumentTypeError as problem:
                self.error(f"argument --discover: {problem}")
        return options, left

    def error(self, message: str) -> NoReturn:
        """Name what is wrong in one line, and exit with 2."""
        if self._is_json:
            with suppress(OSError):
                Output(None).show(present_error(one_line(message), Exit.USAGE, Style(json=True)))
            self.exit(Exit.USAGE)
        super().error(message)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _ClientParser(
        prog="aiocoap-client",
        usage="%(prog)s [OPTION]... URI",
        description="Send a CoAP request and show the response",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", nargs="?", help="URI of the resource, such as coap://host/path")
    _add_request(parser.add_argument_group("request"))
    _add_observation(parser.add_argument_group("observation"))
    _add_others(parser.add_argument_group("instead of a request"))
    _add_output(parser.add_argument_group("output"))
    _add_program(parser.add_argument_group("program"))
    return parser


def _add_request(group: Any) -> None:
    add = group.add_argument
    add(
        "-m",
        "--method",
        type=_request.parse_method,
        help="Name or number of the request method (default: GET)",
    )
    add(
        "--payload",
        metavar="X",
        help="Send X as the request's payload; @FILE sends a file, @- standard input, as they "
        "are. Other text may be converted, see --content-format",
    )
    add(
        "--content-format",
        metavar="MIME",
        type=_options.parse_content_format,
        help="Content format of the payload, by media type or number. For formats based on "
        "CBOR, a payload that is no file is converted from JSON, a Python literal or CBOR "
        "diagnostic notation",
    )
    add(
        "--accept",
        metavar="MIME",
        type=_options.parse_content_format,
        help="Content format to ask for, by media type or number",
    )
    add(
        "-O",
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_options.parse_option,
        help="Set any option, by name or number: to a text, a number or bytes (0x...), as it "
        "takes; may be given several times",
    )
    add("--non", action="store_true", help="Send the request as non-confirmable (NON) message")
    add(
        "--no-set-hostname",
        dest="set_hostname",
        action="store_false",
        help="Leave out Uri-Host even if the host is given by name",
    )
    add(
        "--payload-initial-szx",
        metavar="SZX",
        type=_request.parse_szx,
        help="Exponent of the size of the payload's first block: 0 for 16 bytes, to 6 for 1024",
    )
    add(
        "--proxy",
        metavar="HOST[:PORT]",
        type=_request.parse_proxy,
        help="Have a proxy execute the request",
    )
    add("--credentials", metavar="FILE", help="JSON file with the credentials to use")
    add(
        "--timeout",
        metavar="SECONDS",
        type=_request.parse_seconds,
        help="Give up if the response is not there by then (default: when the protocol does); "
        "of a group, show what has come by then",
    )


def _add_observation(group: Any) -> None:
    add = group.add_argument
    add("--observe", action="store_true", help="Observe the resource: show it at every change")
    add(
        "--observe-exec",
        metavar="CMD",
        help="Observe the resource, and at every change run a command with the payload as its "
        "standard input",
    )
    add(
        "--count",
        metavar="N",
        type=_request.parse_count,
        help="End the observation after N representations, the first included (with --ping: "
        "send N pings)",
    )
    add(
        "--duration",
        metavar="SECONDS",
        type=_request.parse_seconds,
        help="End the observation that long after its first representation",
    )


def _add_others(group: Any) -> None:
    add = group.add_argument
    add(
        "--discover",
        metavar="QUERY",
        nargs="?",
        const="",
        help="List the resources of a server, or of all members of a group, as a table; QUERY "
        "leaves those that match: rt=temperature*, several of these with & between",
    )
    add("--ping", action="store_true", help="Ask the server for a sign of life (CoAP ping)")


def _add_output(group: Any) -> None:
    add = group.add_argument
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to a file in place of standard output; it stays as it is where there is "
        "nothing to write",
    )
    add(
        "-i",
        "--include",
        action="store_true",
        help="Show code and options before the payload, errors likewise",
    )
    add(
        "--json",
        action="store_true",
        help="Show everything as JSON: an object on a line for each response, notification, "
        "pong and error",
    )
    add(
        "--color",
        action=ActionNoYes,
        default=None,
        help="Colour the payload (default: on terminals, if pygments is installed and NO_COLOR "
        "is not set)",
    )
    add(
        "--pretty-print",
        action=ActionNoYes,
        default=None,
        help="Show payloads of known formats readably, others as hex dump (default: on terminals)",
    )
    add(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="Tell what is sent and received; with -vv, all details",
    )
    add("-q", "--quiet", action="count", default=0, help="Tell less: errors only")


def _add_program(group: Any) -> None:
    group.add_argument(
        "--interactive", action="store_true", help="Prompt for command lines, until Ctrl-D"
    )
    add_version_argument(group)


# What excludes what; each pair stands here once.
_EXCLUDED: dict[str, tuple[str, ...]] = {
    "--ping": (
        *("--observe", "--observe-exec", "--duration", "--discover", "--method", "--payload"),
        *("--content-format", "--accept", "--option", "--non", "--no-set-hostname"),
        *("--payload-initial-szx", "--proxy", "--include", "--color", "--pretty-print"),
    ),
    "--discover": (
        *("--observe", "--observe-exec", "--count", "--duration", "--method", "--payload"),
        *("--content-format", "--payload-initial-szx", "--include", "--color", "--pretty-print"),
    ),
    "--json": ("--include", "--color", "--pretty-print"),
}

# What makes no sense without what.
_NEEDED: dict[str, tuple[str, ...]] = {
    "--count": ("--observe", "--observe-exec", "--ping"),
    "--duration": ("--observe", "--observe-exec"),
}

# Options of messages that have an option of the command line.
_TWINS = {
    "Accept": ("--accept",),
    "Content-Format": ("--content-format",),
    "Observe": ("--observe", "--observe-exec", "--discover"),
    "Proxy-Scheme": ("--proxy",),
    "Proxy-Uri": ("--proxy",),
    "Uri-Host": ("--no-set-hostname", "--proxy"),
    "Uri-Port": ("--proxy",),
}


def _given(options: argparse.Namespace) -> set[str]:
    """Return the names of the options that were given, and ask for something."""
    names = {
        "--" + name.replace("_", "-")
        for name, value in vars(options).items()
        if value is not None and value is not False and value != [] and name != "set_hostname"
    }
    return names if options.set_hostname else names | {"--no-set-hostname"}


def check_combination(options: argparse.Namespace) -> None:
    """See that the options of a command line do not contradict one another.

    Args:
        options: The parsed command line.

    Raises:
        UsageError: They do; the text names two that do.
    """
    given = _given(options)
    for name, others in _EXCLUDED.items():
        for other in others:
            if {name, other} <= given:
                raise UsageError(f"{name} and {other} exclude each other")
    for name, needed in _NEEDED.items():
        if name in given and not given & set(needed):
            raise UsageError(f"{name} needs {' or '.join(needed)}")
    for number, _ in options.option:
        option = _options.option_name(number)
        for other in _TWINS.get(option, ()):
            if other in given:
                raise UsageError(f"--option {option} and {other} exclude each other")
    observes = given & {"--observe", "--observe-exec"}
    if observes and options.method not in (None, GET, FETCH):
        raise UsageError(
            f"{min(observes)} and --method {options.method} exclude each other: it takes GET or "
            "FETCH"
        )

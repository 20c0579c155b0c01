"""From a command line to a request.

Here lives what the arguments of ``aiocoap-client`` mean: methods by name or number, times, sizes
and proxies, and the message that is made of it all.

The room sends nothing, and prints nothing: what can not be understood is a ``UsageError`` (or,
while arguments are parsed, argparse's).

RFC 7252 sections 5.7, 5.8, 5.10 and 6.4, RFC 7959 section 2.2.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ..address import UndecidedRemote
from ..error import Error
from ..message import Message
from ..numbers.codes import CODES, GET, Code
from ..numbers.constants import TransportTuning
from ..numbers.optionnumbers import REGISTRY, OptionNumber
from ..numbers.types import NON
from ..requesturi import DEFAULT_PORTS, decompose
from ..util import hostportsplit
from ..util.cli import UsageError, error_line
from ._options import GivenOption
from ._payload import read_payload

__all__ = [
    "build_request",
    "parse_count",
    "parse_method",
    "parse_proxy",
    "parse_seconds",
    "parse_szx",
]


class _Tuning(TransportTuning):
    """What a person waits for, and can stop, may be as large as blocks can number it."""

    MAX_BODY_SIZE = 1 << 30


_METHODS = {code.name.upper(): code for code in CODES if code.is_request() and code.name.isalpha()}


def parse_method(text: str) -> Code:
    """Read a method, by name in any case or by number.

    >>> parse_method("ipatch"), parse_method("5")
    (<Request Code 7 "iPATCH">, <Request Code 5 "FETCH">)

    Raises:
        argparse.ArgumentTypeError: There is no such method.

    RFC 7252 section 12.1.1.
    """
    if text.isascii() and text.isdigit():
        # A method nobody has named yet may be sent, a response code may not.
        if 1 <= int(text) <= 31:
            return CODES[int(text)]
        raise argparse.ArgumentTypeError(f"{text} is no method number (1 to 31)")
    if text.upper() not in _METHODS:
        names = ", ".join(code.name for code in _METHODS.values())
        raise argparse.ArgumentTypeError(f"{text!r} is no method ({names}, or a number)")
    return _METHODS[text.upper()]


def parse_szx(text: str) -> int:
    """Read a block size exponent.

    Raises:
        argparse.ArgumentTypeError: It is not 0 to 6.

    RFC 7959 section 2.2.
    """
    if text in ("0", "1", "2", "3", "4", "5", "6"):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no block size exponent (0 for 16 bytes, to 6 for 1024)"
    )


def parse_seconds(text: str) -> float:
    """Read a time to wait.

    Raises:
        argparse.ArgumentTypeError: It is no positive number.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return seconds


def parse_count(text: str) -> int:
    """Read how often something is to happen.

    Raises:
        argparse.ArgumentTypeError: It is no positive number.
    """
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")


def parse_proxy(text: str) -> UndecidedRemote:
    """Read the address of a proxy; other transports than UDP are chosen by ``scheme://``.

    >>> parse_proxy("proxy.example:61616")
    <UndecidedRemote coap://proxy.example:61616>

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        parts = decompose(text if "://" in text else f"coap://{text}")
    except Error as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if parts.uri_path or parts.uri_query:
        raise argparse.ArgumentTypeError(f"{text!r} has more than host and port")
    return UndecidedRemote(parts.scheme, parts.hostinfo)


def build_request(options: argparse.Namespace) -> Message:
    """Make the request that a command line describes; a payload file is read for it.

    Args:
        options: The parsed command line of ``aiocoap-client``.

    Raises:
        UsageError: The URI or the payload can not be used.
    """
    method = GET if options.method is None else options.method
    request = Message(code=method, mtype=NON if options.non else None)
    try:
        if options.proxy is None:
            request.set_request_uri(options.url, set_uri_host=options.set_hostname)
        else:
            _address_by_proxy(request, options.url, options.proxy)
    except (Error, ValueError) as problem:
        raise UsageError(error_line(problem)) from None
    if options.observe:
        request.opt.observe = 0
    request.opt.accept = options.accept
    request.opt.content_format = options.content_format
    if options.payload is not None:
        request.payload = read_payload(options.payload, options.content_format)
    _set_options(request, options.option)
    request.transport_tuning = _Tuning()
    if options.payload_initial_szx is not None:
        request.transport_tuning.DEFAULT_BLOCK_SIZE_EXP = options.payload_initial_szx
    return request


def _set_options(request: Message, given: Iterable[GivenOption]) -> None:
    """Set options that are given one by one.

    They come after what the URI says where an option may be there several times, and take its
    place where it may not.  Given twice, such an option is there twice: servers have to know
    what to do with that (RFC 7252 section 5.4.5).
    """
    replaced: set[int] = set()
    for number, raw in given:
        row = REGISTRY.get(number)
        if row is not None and not row.repeatable and number not in replaced:
            request.opt.delete_option(number)
            replaced.add(number)
        request.opt.add_option(OptionNumber(number).create_option(decode=raw))


def _address_by_proxy(request: Message, url: str, proxy: UndecidedRemote) -> None:
    """Direct a request to a proxy, which can tell from the options where it is to go.

    Raises:
        MalformedUrlError: The URI can not be turned into a request.
        IncompleteUrlError: The URI has no scheme or host.
        ValueError: The URI is too long for an option.

    RFC 7252 sections 5.7.2 and 5.10.2.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme.isalnum() and scheme.lower() not in DEFAULT_PORTS:
        # What the proxy fetches need not be CoAP (RFC 8075).
        request.opt.proxy_uri = url
    else:
        request.set_request_uri(url)
        parts = decompose(url)
        host, port = hostportsplit(parts.hostinfo)
        request.opt.proxy_scheme = parts.scheme
        request.opt.uri_host = f"[{host}]" if ":" in host else host
        request.opt.uri_port = port
    request.remote = proxy

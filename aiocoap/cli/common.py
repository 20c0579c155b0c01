"""What the tools' command lines share.

Here live the options of programs that serve, the credentials file, the version, and the log.

The room knows what users type; how addresses are bound and secrets used is decided below.

RFC 7252 section 6.1 (the default port), RFC 8323 section 8.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any, TextIO

from .. import interfaces
from ..credentials import (
    DTLS,
    AllOf,
    AnyOf,
    CredentialReference,
    CredentialsLoadError,
    CredentialsMap,
    CredentialsMissingError,
    OscoreEntry,
    TLSCert,
    load_own_certificate,
)
from ..meta import version
from ..protocol import Context
from ..transports.catalog import ROWS
from ..util import hostportsplit
from ..util.cli import UsageError, give_up_stream
from ..util.prettyprint import escape_controls, one_line

__all__ = [
    "add_server_arguments",
    "add_version_argument",
    "load_credentials",
    "parse_bind",
    "server_context_from_arguments",
    "set_verbosity",
    "show_log",
    "unusable_credentials",
]

_HELP_BIND = """\
The --bind option says at which address, and at which port, requests are taken:

  --bind 192.0.2.1          that address, the default port
  --bind '[2001:db8::1]'    likewise; IPv6 addresses stand in brackets
  --bind '[::1]:5700'       that address and port
  --bind :5700              all addresses, that port
  --bind localhost          the first address of a name
  --bind '[fe80::1%eth0]'   a link-local address, with its interface

Without --bind, it is all addresses and the default port, 5683.

The port is that of plain CoAP. Other transports count from it: CoAP over DTLS and TLS is one
higher (5684), CoAP over WebSockets is 3000 higher (8683), and over WebSockets with TLS 3001.
"""


class _HelpBind(argparse.Action):
    """Print what can be said about ``--bind``, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(_HELP_BIND, end="")
        parser.exit()


def parse_bind(text: str) -> tuple[str | None, int | None]:
    """Read the argument of ``--bind``.

    >>> parse_bind("[::1]:5700"), parse_bind(":5700")
    (('::1', 5700), (None, 5700))

    Args:
        text: ``HOST``, ``HOST:PORT`` or ``:PORT``.

    Returns:
        Host or None for all addresses, and port or None for the default.

    Raises:
        argparse.ArgumentTypeError: It is none of these.
    """
    try:
        host, port = hostportsplit(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{problem} (see --help-bind)") from None
    if not host and port is None:
        raise argparse.ArgumentTypeError(f"{text!r} has neither host nor port (see --help-bind)")
    return host or None, port


def add_version_argument(parser: argparse.ArgumentParser) -> None:
    """Give a parser the option that tells the version and whose implementation this is.

    Args:
        parser: The parser.
    """
    text = f"%(prog)s (aiocoap {version}, the independent implementation)"
    parser.add_argument("--version", action="version", version=text)


class _LogFormatter(logging.Formatter):
    """Log lines without what a terminal would act on; they may quote strangers."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record))


class _LogHandler(logging.StreamHandler[TextIO]):
    """Writes log lines to standard error, for as long as that takes them."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Be content with less where they can not be written."""
        if isinstance(sys.exc_info()[1], OSError):
            give_up_stream(2)
        else:
            super().handleError(record)


def show_log() -> None:
    """Direct log entries to standard error, as a program does that has the streams for itself.

    What these can not encode is escaped from here on, as it already is on standard error.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = _LogHandler()
    handler.setFormatter(
        _LogFormatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%H:%M:%S")
    )
    logging.getLogger().addHandler(handler)


def set_verbosity(verbosity: int, *loggers: str) -> None:
    """Choose what is logged.

    Args:
        verbosity: 0 for warnings and errors, 1 for what is sent and received, 2 for details;
            negative numbers for less.
        loggers: Names of the loggers that it is about.
    """
    level = logging.WARNING - 10 * max(-2, min(verbosity, 2))
    for name in loggers:
        logging.getLogger(name).setLevel(level)


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of programs that serve.

    Args:
        parser: The parser, or a group of it.
    """
    parser.add_argument(
        "--bind",
        metavar="HOST[:PORT]",
        type=parse_bind,
        help="Address and port to take requests at (--help-bind tells more)",
    )
    parser.add_argument(
        "--help-bind", action=_HelpBind, nargs=0, help="Tell what --bind takes, and exit"
    )
    parser.add_argument(
        "--credentials",
        metavar="FILE",
        help="JSON file that says what the server identifies as, and whom it knows",
    )
    parser.add_argument(
        "--tls-server-certificate",
        metavar="CRT",
        help="TLS certificate to present to clients, or a chain of them (PEM)",
    )
    parser.add_argument(
        "--tls-server-key", metavar="KEY", help="Private key of that certificate (PEM)"
    )


async def server_context_from_arguments(
    site: interfaces.Resource | None, arguments: argparse.Namespace, **kwargs: Any
) -> Context:
    """Create a server context as the options of :func:`add_server_arguments` say.

    Args:
        site: What answers.
        arguments: The parsed command line.
        kwargs: More arguments for :meth:`Context.create_server_context`.

    Raises:
        UsageError: A file can not be read or used.
        NetworkError: The address can not be bound to.
    """
    if arguments.credentials is not None:
        kwargs["server_credentials"] = load_credentials(arguments.credentials)
    certificate, key = arguments.tls_server_certificate, arguments.tls_server_key
    if certificate is not None or key is not None:
        kwargs["_ssl_context"] = _server_tls(certificate, key)
    try:
        return await Context.create_server_context(site, bind=arguments.bind, **kwargs)
    except CredentialsMissingError as problem:
        raise UsageError(f"credentials file {arguments.credentials!r}: {problem}") from None


def _server_tls(certificate: str | None, key: str | None) -> Any:
    """Load a server's certificate and key.

    Raises:
        UsageError: One is missing, can not be read, or they do not belong together.
    """
    import ssl  # takes longer to import than all the rest

    if certificate is None:
        raise UsageError("--tls-server-key needs --tls-server-certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        load_own_certificate(context, certificate, key)
    except CredentialsMissingError as problem:
        raise UsageError(f"--tls-server-certificate: {problem}") from None
    return context


def load_credentials(filename: str) -> CredentialsMap:
    """Read a credentials file.

    Args:
        filename: A file of JSON.

    Raises:
        UsageError: It can not be read, is no JSON, or says what can not be understood.
    """
    import json

    try:
        with open(filename, "rb") as file:
            data = json.load(file)
    except OSError as problem:
        raise UsageError(f"credentials file {filename!r}: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"credentials file {filename!r} is no JSON: {problem}") from None
    if not isinstance(data, dict):
        raise UsageError(f"credentials file {filename!r}: the outermost value is no object")
    credentials = CredentialsMap()
    try:
        credentials.load_from_dict(data)
    except CredentialsLoadError as problem:
        raise UsageError(f"credentials file {filename!r}: {problem}") from None
    return credentials


# What uses each kind of entry, by the names of transports; see also _can_use_key.
_USERS: dict[type, tuple[str, tuple[str, ...]]] = {
    DTLS: ("DTLS keys", ("tinydtls", "dtls")),
    TLSCert: ("TLS certificates", ("tlsclient", "tls", "ws")),
    OscoreEntry: ("OSCORE contexts", ("oscore",)),
}


def unusable_credentials(credentials: CredentialsMap) -> list[str]:
    """Say which entries nothing in this version can use.

    Args:
        credentials: A loaded map.

    Returns:
        A line for each kind of entry that no transport is there for.
    """
    useless: dict[str, list[str]] = {}
    for key, entry in credentials.items():
        for single in _singles(entry):
            what, names = _USERS[type(single)]
            if not any(name in ROWS for name in names) and not _can_use_key(key, single):
                keys = useless.setdefault(what, [])
                if key not in keys:
                    keys.append(key)
    return [
        one_line(f"no transport can use {what} yet; not used: {', '.join(map(repr, keys))}")
        for what, keys in useless.items()
    ]


def _can_use_key(key: str, entry: Any) -> bool:
    """Whether an entry has a key for TLS, and this Python can use that."""
    import ssl  # takes longer to import than all the rest

    is_for_tls = isinstance(entry, DTLS) and key.startswith(("coaps+tcp:", ":"))
    return is_for_tls and "tlsclient" in ROWS and getattr(ssl, "HAS_PSK", False)


def _singles(entry: Any) -> Iterator[Any]:
    """Yield the entries that an entry is made of; references stand under their label too."""
    if isinstance(entry, AnyOf | AllOf):
        for part in entry:
            yield from _singles(part)
    elif not isinstance(entry, CredentialReference):
        yield entry

"""``aiocoap-fileserver``: a folder over CoAP.

Here lives its command line, and what comes of it: a site with the files and the list of them.

The room knows neither files (:mod:`._tree`) nor how they become resources (:mod:`._files`,
:mod:`._storing`).

RFC 7252, RFC 6690 section 4 (``/.well-known/core``).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import NoReturn

from ..error import RenderableError
from ..message import Message
from ..numbers.codes import Code
from ..protocol import Context
from ..resource import Site, WKCResource
from ..util.cli import AsyncCLIDaemon, Parser, UsageError, error_line, say
from ..util.logration import LogRation
from ..util.prettyprint import one_line
from ._files import Files
from ._storing import WritableFiles
from ._tree import Tree
from .common import (
    add_server_arguments,
    add_version_argument,
    load_credentials,
    server_context_from_arguments,
    set_verbosity,
    show_log,
    unusable_credentials,
)

__all__ = ["FileServer", "TellingSite", "build_parser", "sync_main"]

_PROGRAM = "aiocoap-fileserver"

_log = logging.getLogger("coap-server")

_LOG_LINES = 1000
# How many a minute, so that who asks can not fill a disk.

_EPILOG = """\
Folders are represented by links to what is in them (RFC 6690). Nothing outside of the root is
served: symbolic links are left out, even those that lead to what is inside.

With --write, PUT and DELETE are open to everybody who can reach the server. A file that is being
uploaded has no name until it is whole; where the system can not do that, its name begins with
.aiocoap-upload-, is not served, and can be deleted, should the server have been killed.

examples:
  %(prog)s
  %(prog)s /srv/firmware --bind '[::1]:5700' -v
  %(prog)s /srv/inbox --write --max-upload 1000000

exit codes:
    0  stopped by Ctrl-C or SIGTERM
    1  something went wrong: the port is taken, for example
    2  the command line can not be followed (folder, option, file); nothing was started
"""


def _length(text: str) -> int:
    """Read the argument of ``--etag-length``.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if text not in list("012345678"):
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 8")
    return int(text)


def _size(text: str) -> int:
    """Read the argument of ``--max-upload``.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=_PROGRAM,
        description="Serve the files below a folder over CoAP",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="Tell where the server listens, and what it is asked for; with -vv, all details",
    )
    add(
        "--register",
        nargs="?",
        const="",
        metavar="RD-URI",
        help="Register with a resource directory (not available in this version)",
    )
    add("--write", action="store_true", help="Allow files to be written and removed")
    add(
        "--max-upload",
        type=_size,
        default=64 * 1024 * 1024,
        metavar="BYTES",
        help="Size of the largest file that is taken (default: %(default)s)",
    )
    add(
        "--etag-length",
        type=_length,
        default=8,
        metavar="BYTES",
        help="Length of ETags, 1 to 8; 0 does without them, and nobody notices that a file changes "
        "while it is fetched (default: %(default)s)",
    )
    add_version_argument(parser)
    add_server_arguments(parser)
    add("path", nargs="?", default=".", help="The folder (default: %(default)s)")
    return parser


def _check_possible(options: argparse.Namespace) -> None:
    """Look whether everything that is asked for is there.

    Raises:
        UsageError: It is not.
    """
    if options.register is not None:
        raise UsageError("--register: this version can not register with resource directories yet")
    if options.credentials is not None:
        for line in unusable_credentials(load_credentials(options.credentials)):
            raise UsageError(f"--credentials: {line}")


class TellingSite(Site):
    """A site that logs what it is asked for, and what it answers.

    Args:
        clock: Tells the seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._ration = LogRation(_LOG_LINES, "More requests are answered than are told of")

    async def render(self, request: Message) -> Message:
        """Return the response of the resource that a request is for.

        Args:
            request: The request.

        Raises:
            Exception: Whatever the resource raises.
        """
        try:
            response = await super().render(request)
        except RenderableError as problem:
            self._tell(request, problem.to_message())
            raise
        self._tell(request, response)
        return response

    def _tell(self, request: Message, response: Message) -> None:
        """Log a request and its response; what comes within a transfer is a detail."""
        block = response.opt.block2
        is_detail = response.code == Code.CONTINUE or (block is not None and block.block_number)
        has_details = _log.isEnabledFor(logging.DEBUG)
        # What is not wanted must not use up the ration.
        if is_detail and not has_details:
            return
        emit = _log.debug if is_detail else _log.info
        path = one_line("/" + "/".join(request.opt.uri_path))
        line = ("%s %s from %s: %s", request.code, path, request.remote, response.code)
        self._ration.log(self._clock(), emit, *line)
        if has_details:
            self._ration.log(self._clock(), _log.debug, "%r is answered by %r", request, response)


class FileServer(AsyncCLIDaemon):
    """The program."""

    program = _PROGRAM

    _context: Context
    _files: Files

    async def start(self, args: Sequence[str] | None = None) -> None:
        """Do what the command line says.

        Args:
            args: The arguments; None takes those of the process.

        Raises:
            SystemExit: The arguments can not be parsed, or ask for help or the version.
            UsageError: They can not be followed.
            Error: The address can not be bound to.
        """
        options = build_parser().parse_args(args)
        set_verbosity(options.verbose, "coap", "coap-server")
        _check_possible(options)
        try:
            tree = Tree(options.path)
        except (OSError, ValueError) as problem:
            raise UsageError(f"{options.path}: {getattr(problem, 'strerror', problem)}") from None
        files: Files
        if options.write:
            files = WritableFiles(tree, options.etag_length, max_size=options.max_upload)
        else:
            files = Files(tree, options.etag_length)
        site = TellingSite() if options.verbose else Site()
        site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
        site.add_resource([], files)
        try:
            self._context = await server_context_from_arguments(site, options)
        except BaseException as problem:
            files.close()
            if isinstance(problem, ValueError | ImportError):
                raise UsageError(f"AIOCOAP_SERVER_TRANSPORT: {error_line(problem)}") from None
            raise
        self._files = files
        if options.verbose:
            for uri in self._context.bound_uris:
                say(one_line(f"{_PROGRAM}: serving {options.path} at {uri}/"))

    async def shutdown(self) -> None:
        """Stop answering, and remove what was not uploaded completely."""
        await self._context.shutdown()
        self._files.close()


def sync_main(args: Sequence[str] | None = None) -> NoReturn:
    """Be the program: serve until it is told to stop, and exit.

    Args:
        args: The arguments; None takes those of the process.

    Raises:
        SystemExit: Always.
    """
    show_log()
    FileServer.sync_main(args)


if __name__ == "__main__":
    sync_main()

"""The files of a tree as resources.

Here lives :class:`Files`, which reads, lists and observes.  Nothing is kept between two
requests: every block is read when it is asked for.

The room knows nothing of how a file is found (:mod:`._tree`), how one is written
(:mod:`._storing`), and no command line.

RFC 7252 sections 5.8.1, 5.10.6 and 5.10.8 (GET, ETags and conditions), RFC 7959 (blocks),
RFC 7641 section 4 (observation), RFC 6690 (listings).

Decisions that the RFCs leave open
----------------------------------

*Folders* are represented by links to what is in them, at ``/folder/`` and at ``/folder``; the
references are such that they lead to the same place from either.  Queries filter them, as they do
at ``/.well-known/core``.

*ETags* are hashes of what the system knows of a file: where it is, its size, and the times of the
latest changes of its content and its attributes.  Blocks of two states can so not be taken for
those of one, without a file ever being read as a whole.  File systems note times in ticks of some
milliseconds, and at the beginning of what is written; so a file that has only just changed is left
alone for a moment (:data:`QUIET_TIME`), as what it is now could have the ETag of what it is next.
One that is never left alone by others is served if it fits into one message.

*Content formats* go by the name's ending.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import blake2b
from stat import S_ISDIR
from time import time
from typing import TYPE_CHECKING, Any

from .. import error, interfaces
from ..message import Message
from ..numbers.codes import Code
from ..numbers.constants import TransportTuning
from ..numbers.contentformat import ContentFormat
from ..numbers.optionnumbers import OptionNumber
from ..resource import PathCapable, Resource, link_format_to_message
from ..sansio.blocksize import LAST_NUMBER, shift
from ..sansio.blockwise import block_size, part_of, refuse
from ..util.uri import quote_factory, sub_delims, unreserved
from ._mediatypes import guess_format
from ._tree import Tree

if TYPE_CHECKING:
    from ..util.linkformat import LinkFormat

__all__ = [
    "LISTINGS_NEED",
    "MAX_WATCHED",
    "MISSING",
    "POLL_INTERVAL",
    "QUIET_TIME",
    "Files",
    "check_conditions",
    "rendered",
]

MAX_WATCHED = 1000
"""Number of files and folders that are observed at a time; what is beyond is not observable."""

POLL_INTERVAL = 1.0
"""Seconds between two looks at what is observed."""

LISTINGS_NEED = 'Listings need the package LinkHeader: pip install "aiocoap[linkheader]"'
"""What to say where there can be no listings."""

QUIET_TIME = 0.01
"""Seconds for which a file has not been written to when it is read: the longest tick there is."""

_TRIES = 20
# How often a file is looked at until that is so.

_AHEAD = 1.0
# Seconds.  Who sets a file's times by another clock can not keep it from being read.

_SIZE2 = int(OptionNumber.SIZE2)
_IF_MATCH, _IF_NONE_MATCH = int(OptionNumber.IF_MATCH), int(OptionNumber.IF_NONE_MATCH)
_LISTING_FORMATS = "40 64 504"

MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors that say that there is nothing of that name."""

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_quote = quote_factory(unreserved + sub_delims + ":@")


@contextmanager
def rendered() -> Iterator[None]:
    """Turn what the system says into what the client is told; paths are no part of that.

    Raises:
        RenderableError: The system refused in a foreseen way.
        OSError: It did in another.
    """
    try:
        yield
    except OSError as problem:
        number = problem.errno
        if number in MISSING:
            raise error.NotFound from problem
        if number == errno.EINVAL:
            raise error.BadRequest("No file can have such a name") from problem
        if number in _DENIED:
            raise error.Forbidden from problem
        if number == errno.EISDIR:
            raise error.MethodNotAllowed("Folders can only be read") from problem
        if number == errno.EFBIG:
            raise error.InternalServerError("It is too large") from problem
        if number in _FULL:
            raise error.ServiceUnavailable("There is no space left") from problem
        if number in _EXHAUSTED:
            raise error.ServiceUnavailable from problem
        raise


def _reference(name: str, is_folder: bool, prefix: str) -> str:
    """Return a reference to something in a folder.

    RFC 3986 section 4.2 (what has a colon could be taken for a scheme).
    """
    quoted = prefix + _quote(name)
    if ":" in quoted.partition("/")[0]:
        quoted = "./" + quoted
    return quoted + "/" if is_folder else quoted


class _Watch:
    """Something that is observed."""

    __slots__ = ("found", "observers", "tag")

    def __init__(self, found: Any, tag: bytes | None) -> None:
        # What the system knew of it, and the hash of what it was then; None for nothing.
        self.found = found
        self.tag = tag
        self.observers: dict[interfaces.ServerObservation, None] = {}


class Files(Resource, interfaces.ObservableResource, PathCapable):
    """The files of a tree, to be read.

    It is to be closed when no more requests come.

    Args:
        tree: The tree; it is closed with it.
        etag_length: Length of ETags in bytes, 1 to 8; 0 does without them.
        clock: Tells the time in seconds as the file system does.
    """

    def __init__(
        self, tree: Tree, etag_length: int = 8, *, clock: Callable[[], float] = time
    ) -> None:
        super().__init__()
        self._tree = tree
        self._clock = clock
        self._etag_length = etag_length
        self._exponent = TransportTuning.DEFAULT_BLOCK_SIZE_EXP
        self._watches: dict[tuple[str, ...], _Watch] = {}
        self._poll_timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Forget everything, and close the tree."""
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None
        self._watches.clear()
        self._tree.close()

    # Reading

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        """Whether the library handles blocks, as it does for listings only.

        Args:
            request: The request, possibly one of several blocks.
        """
        if request.code != Code.GET:
            return False
        try:
            return S_ISDIR(self._tree.stat(request.opt.uri_path).st_mode)
        except OSError:
            return False

    async def render_get(self, request: Message) -> Message:
        """Return a file, or the block of it that is asked for, or a folder's listing.

        Args:
            request: The request.

        Raises:
            NotFound: There is nothing of that name that could be served.
            Forbidden: It may not be read.
            NotAcceptable: It is not to be had in that format.
            PreconditionFailed: It is not in the state that the client wants to see.
            BadRequest: The file has no such block, or too many; or there can be no such name.
            ServiceUnavailable: It changes all the time, or there are too many open files.
            InternalServerError: There is too much of it; or the package that listings need is
                missing.
        """
        path = request.opt.uri_path
        with rendered():
            try:
                for left in reversed(range(_TRIES)):
                    response = self._read(request, path, not left)
                    if response is not None:
                        return response
                    await asyncio.sleep(QUIET_TIME)
            except IsADirectoryError:
                return self._listing(request, path)
        raise error.ServiceUnavailable("It is being written to")

    def _read(self, request: Message, path: Sequence[str], is_last: bool) -> Message | None:
        """Return a file or a block of it; None if it changed meanwhile, or just before.

        Args:
            request: The request.
            path: Path of the file.
            is_last: Whether it is not worth while to wait for the file any longer.

        Raises:
            OSError: It can not be read (``IsADirectoryError``: it is a folder).
            RenderableError: It can be, but not in that way.
        """
        file, found = self._tree.open(path)
        try:
            is_new = -_AHEAD < self._clock() - found.st_ctime < QUIET_TIME
            if is_new and not is_last:
                return None
            etag = self._etag(found)
            check_conditions(request, etag)
            content_format = guess_format(path[-1])
            if content_format is None:
                content_format = ContentFormat.OCTETSTREAM
            if request.opt.accept not in (None, content_format):
                raise error.NotAcceptable
            if etag and etag in request.opt.etags:
                return Message(code=Code.VALID, etag=etag)
            length = found.st_size
            exponent, payload_size = block_size(request, self._exponent)
            refusal = refuse(request, exponent)
            if refusal is not None:
                return refusal
            part = part_of(request, length, exponent, payload_size)
            if part is None:
                raise error.BadRequest("There is no such block")
            if is_new and part.block2 is not None:
                return None
            if part.block2 is not None and (length - 1) >> shift(part.block2[2]) > LAST_NUMBER:
                # Before much of it is sent in vain.
                raise error.BadRequest("The file has too many blocks of that size")
            payload = os.pread(file, part.end - part.start, part.start)
            if _identity(os.fstat(file)) != _identity(found):
                return None
        finally:
            os.close(file)
        if len(payload) != part.end - part.start:
            return None
        response = Message(code=Code.CONTENT, payload=payload, content_format=content_format)
        if etag:
            response.opt.etag = etag
        if part.block2 is not None:
            response.opt.block2 = part.block2
        if _SIZE2 in request.opt or (part.block2 is not None and not part.start):
            response.opt.size2 = length
        return response

    def _etag(self, found: os.stat_result) -> bytes:
        """Return the ETag of a file."""
        return self._hash(repr(_identity(found)).encode())

    def _hash(self, data: bytes) -> bytes:
        """Return a hash as long as ETags are to be."""
        return blake2b(data, digest_size=8).digest()[: self._etag_length]

    # Listing

    def _listing(self, request: Message, path: Sequence[str]) -> Message:
        """Return what is in a folder.

        Raises:
            OSError: It can not be read.
            RenderableError: There can be no list of it.
        """
        queries = request.opt.uri_query
        if not all("=" in query for query in queries):
            raise error.BadRequest("A query is to be name=value or name=prefix*")
        links = self._links(path, f"{_quote(path[-1])}/" if path and path[-1] else "", queries)
        response = link_format_to_message(request, links)
        if response.code != Code.CONTENT:
            return response
        etag = self._hash(response.payload)
        check_conditions(request, etag)
        if not etag:
            return response
        if etag in request.opt.etags:
            return Message(code=Code.VALID, etag=etag)
        response.opt.etag = etag
        return response

    def _links(self, path: Sequence[str], prefix: str, queries: Sequence[str] = ()) -> LinkFormat:
        """Return links to what is in a folder, all of it or what matches every query.

        Raises:
            OSError: It can not be read.
            InternalServerError: The package LinkHeader is missing.

        RFC 6690 sections 2 and 4.1.
        """
        try:
            from ..util.linkformat import Link, LinkFormat, matches
        except ImportError as problem:
            raise error.InternalServerError(LISTINGS_NEED) from problem
        links = []
        for name, is_folder in self._tree.entries(path):
            content_format = ContentFormat.LINKFORMAT if is_folder else guess_format(name)
            attributes = {} if content_format is None else {"ct": str(int(content_format))}
            link = Link(_reference(name, is_folder, prefix), attributes.items())
            if all(matches(link, query) for query in queries):
                links.append(link)
        return LinkFormat(links)

    def get_resources_as_linkheader(self) -> LinkFormat:
        """Return links to the root and to what is in it, for ``/.well-known/core``.

        Raises:
            ImportError: The package LinkHeader is missing.

        RFC 6690 section 4.
        """
        from ..util.linkformat import Link, LinkFormat

        links = [Link("/", {"ct": _LISTING_FORMATS}.items())]
        # That there is a root can be said in any case.
        with suppress(OSError):
            links += self._links((), "/").links
        return LinkFormat(links)

    # Observation

    async def add_observation(
        self, request: Message, serverobservation: interfaces.ServerObservation
    ) -> None:
        """Take up the observation of something that exists.

        Args:
            request: The request that asks for the observation.
            serverobservation: The observation.

        RFC 7641 section 4.1.
        """
        if request.code != Code.GET:
            return
        path = request.opt.uri_path
        watch = self._watches.get(path)
        if watch is None:
            if len(self._watches) >= MAX_WATCHED:
                return
            watch = _Watch(None, None)
            self._look_at(path, watch)
            if watch.tag is None:
                return
            self._watches[path] = watch
        watch.observers[serverobservation] = None
        serverobservation.accept(partial(self._forget, path, serverobservation))
        self._wait_for_poll()

    def _forget(
        self, path: tuple[str, ...], serverobservation: interfaces.ServerObservation
    ) -> None:
        """Take note that an observation has ended."""
        watch = self._watches.get(path)
        if watch is None:
            return
        watch.observers.pop(serverobservation, None)
        if not watch.observers:
            del self._watches[path]
            if not self._watches and self._poll_timer is not None:
                self._poll_timer.cancel()
                self._poll_timer = None

    def _look_at(self, path: Sequence[str], watch: _Watch) -> None:
        """Take note of the state of something."""
        try:
            found = self._tree.stat(path)
            identity = _identity(found)
            if identity == watch.found:
                return
            if S_ISDIR(found.st_mode):
                # Unfinished uploads change a folder, but not its listing.
                data = repr(self._tree.entries(path)).encode()
            else:
                data = repr(identity).encode()
            watch.found, watch.tag = identity, blake2b(data, digest_size=8).digest()
        except OSError as problem:
            if problem.errno not in _EXHAUSTED:
                watch.found = watch.tag = None

    def _notify(self, path: tuple[str, ...]) -> None:
        """Notify the observers of something that has changed, or is no more.

        RFC 7641 section 4.2.
        """
        watch = self._watches.get(path)
        if watch is None:
            return
        former = watch.tag
        self._look_at(path, watch)
        if watch.tag != former:
            for serverobservation in list(watch.observers):
                serverobservation.trigger()

    def _wait_for_poll(self) -> None:
        """Arm the one timer for everything that is observed."""
        if self._poll_timer is None and self._watches:
            loop = asyncio.get_running_loop()
            self._poll_timer = loop.call_later(POLL_INTERVAL, self.poll)

    def poll(self) -> None:
        """Look whether anything that is observed has changed; it happens by itself, too."""
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None
        for path in list(self._watches):
            self._notify(path)
        self._wait_for_poll()


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """Return what is different when a file is another, or not what it was."""
    return (
        *(found.st_dev, found.st_ino, found.st_mode, found.st_size),
        *(found.st_mtime_ns, found.st_ctime_ns),
    )


def check_conditions(
    request: Message, etag: bytes | None, if_none_match: bool | None = None
) -> None:
    """Look whether something is in the state that a request is meant for.

    Args:
        request: The request.
        etag: Its present ETag, empty if there is one without; None if there is nothing.
        if_none_match: What the first block said, None for what the request says.

    Raises:
        PreconditionFailed: It is not.

    RFC 7252 section 5.10.8.
    """
    opt = request.opt
    if if_none_match is None:
        if_none_match = _IF_NONE_MATCH in opt
    if if_none_match and etag is not None:
        raise error.PreconditionFailed
    if _IF_MATCH in opt and (etag is None or not {b"", etag}.intersection(opt.if_match)):
        raise error.PreconditionFailed

"""The files of a tree as resources that can be written.

Here lives :class:`WritableFiles`.  A file comes to the disk as its blocks come in, and to its
place when it is whole.

The room knows nothing of how files are found and created (:mod:`._tree`), of reading
(:mod:`._files`), and of the order of blocks (:mod:`aiocoap.sansio.blockserver`).

RFC 7252 sections 5.8.3, 5.8.4 and 5.10.8 (PUT, DELETE and conditions), RFC 7959 sections 2.5 and
2.10 (blocks of requests).

Decisions that the RFCs leave open
----------------------------------

*Conditions* are judged before the first block is taken, as much would be sent in vain otherwise,
and again before the file gets to its place.

*Content-Format* is not looked at: files have the one that their names suggest, so there is no
place to keep another.

*DELETE* of what does not exist is a success, as section 5.8.4 has it.  Folders are neither made
nor removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from time import time

from .. import error
from ..message import Message
from ..numbers.codes import Code
from ..numbers.constants import TransportTuning
from ..numbers.optionnumbers import OptionNumber
from ..sansio.blockwise import Upload, Uploads, block_size, transfer_key
from ._files import MISSING, Files, check_conditions, rendered
from ._tree import Draft, Tree

__all__ = ["MAX_UPLOADS", "WritableFiles"]

MAX_UPLOADS = 64
"""Number of unfinished uploads; an eighth of it for each endpoint."""

_UPLOADS_LIMITS = 4
# The size of all unfinished uploads, as a multiple of what each may have.

_BLOCK1, _IF_NONE_MATCH = int(OptionNumber.BLOCK1), int(OptionNumber.IF_NONE_MATCH)


class _DraftUpload(Upload):
    """An upload that is written to the disk as it comes."""

    __slots__ = ("draft", "tail")

    def __init__(self, draft: Draft, key: Hashable, request: Message, now: float) -> None:
        super().__init__(key, request, now)
        self.draft = draft
        self.tail = b""

    def append(self, payload: bytes) -> None:
        """Write the next block."""
        self.draft.write(payload)
        self.tail = payload

    def ends_with(self, payload: bytes) -> bool:
        """Whether that was in the latest block."""
        return self.tail == payload

    def forget(self) -> None:
        """Remove what was written, unless it is whole and somebody else's now."""
        if not self.is_done:
            self.draft.discard()


class WritableFiles(Files):
    """The files of a tree, to be read, written and removed.

    Args:
        tree: The tree; it is closed with it.
        etag_length: Length of ETags in bytes, 1 to 8; 0 does without them.
        max_size: Largest file in bytes that is taken.
        clock: Tells the time in seconds as the file system does.
    """

    def __init__(
        self,
        tree: Tree,
        etag_length: int = 8,
        *,
        max_size: int,
        clock: Callable[[], float] = time,
    ) -> None:
        super().__init__(tree, etag_length, clock=clock)
        self._uploads = Uploads(
            max_size,
            TransportTuning().EXCHANGE_LIFETIME,
            MAX_UPLOADS,
            _UPLOADS_LIMITS * max_size,
            self._begin,
        )
        self._expiry: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Forget everything, unfinished uploads as well, and close the tree."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._uploads.clear()
        super().close()

    async def render_put(self, request: Message) -> Message:
        """Write a file, or a block of it.

        Args:
            request: The request.

        Raises:
            NotFound: The folder does not exist.
            BadRequest: There can be no such name.
            Forbidden: It may not be written to.
            MethodNotAllowed: It is a folder itself.
            PreconditionFailed: The file is not in the state that the client wants to replace.
            RequestEntityTooLarge: It would be larger than allowed.
            ServiceUnavailable: The disk is full.

        RFC 7252 section 5.8.3, RFC 7959 sections 2.5 and 2.10.
        """
        path = request.opt.uri_path
        if not path or not path[-1]:
            raise error.MethodNotAllowed("Folders can only be read")
        with rendered():
            if _BLOCK1 not in request.opt:
                return self._write(request, path)
            return self._write_block(request, path)

    def _write_block(self, request: Message, path: tuple[str, ...]) -> Message:
        """Take in a block of a file.

        Raises:
            OSError: It can not be written.
            RenderableError: It is not to be.
        """
        block1 = request.opt.block1
        assert block1 is not None  # or it would not have been called
        if not block1.block_number:
            check_conditions(request, self._present_etag(path))
        exponent, _ = block_size(request, self._exponent)
        now = asyncio.get_running_loop().time()
        upload, reply = self._uploads.take(transfer_key(request), request, exponent, now)
        self._wait_for_expiry()
        if reply is not None:
            return reply
        if upload is None:
            response = self._write(request, path)
        else:
            assert isinstance(upload, _DraftUpload)  # that is what _begin makes
            response = self._commit(request, path, upload.draft, upload.if_none_match)
        response.opt.block1 = (block1.block_number, False, block1.size_exponent)
        return response

    def _begin(self, key: Hashable, request: Message, now: float) -> Upload:
        """Begin an upload.

        Raises:
            OSError: It can not be written there.
        """
        return _DraftUpload(self._tree.create(request.opt.uri_path), key, request, now)

    def _write(self, request: Message, path: tuple[str, ...]) -> Message:
        """Write a file that fits into one message.

        Raises:
            OSError: It can not be written.
            RenderableError: It is not to be.
        """
        if len(request.payload) > self._uploads.limit:
            raise error.RequestEntityTooLarge
        check_conditions(request, self._present_etag(path))
        draft = self._tree.create(path)
        try:
            draft.write(request.payload)
        except BaseException:
            draft.discard()
            raise
        return self._commit(request, path, draft, _IF_NONE_MATCH in request.opt)

    def _commit(
        self, request: Message, path: tuple[str, ...], draft: Draft, if_none_match: bool
    ) -> Message:
        """Put a file into its place, if that is still as the client wants it to be.

        Raises:
            OSError: It can not be put there.
            PreconditionFailed: It is not to be.
        """
        try:
            present = self._present_etag(path)
            check_conditions(request, present, if_none_match)
        except BaseException:
            draft.discard()
            raise
        draft.commit()
        response = Message(code=Code.CREATED if present is None else Code.CHANGED)
        etag = self._present_etag(path)
        if etag:
            response.opt.etag = etag
        self._has_changed(path)
        return response

    def _present_etag(self, path: Sequence[str]) -> bytes | None:
        """Return a file's ETag; None if there is none.

        Raises:
            OSError: It can not be found out.
        """
        try:
            return self._etag(self._tree.stat(path))
        except OSError as problem:
            if problem.errno in MISSING:
                return None
            raise

    async def render_delete(self, request: Message) -> Message:
        """Remove a file.

        Args:
            request: The request.

        Raises:
            BadRequest: There can be no such name.
            Forbidden: It may not be removed.
            MethodNotAllowed: It is a folder.
            PreconditionFailed: The file is not in the state that the client wants to see gone.

        RFC 7252 section 5.8.4.
        """
        path = request.opt.uri_path
        if not path or not path[-1]:
            raise error.MethodNotAllowed("Folders can only be read")
        with rendered():
            present = self._present_etag(path)
            check_conditions(request, present)
            try:
                self._tree.remove(path)
            except OSError as problem:
                if problem.errno not in MISSING:
                    raise
            else:
                self._has_changed(path)
        return Message(code=Code.DELETED)

    def _has_changed(self, path: tuple[str, ...]) -> None:
        """Notify observers of a file and of its folder at once."""
        folder = path[:-1]
        for changed in (path, folder, (*folder, "")):
            self._notify(changed)

    def _wait_for_expiry(self) -> None:
        """Arm the one timer that forgets abandoned uploads."""
        deadline = self._uploads.next_deadline()
        if self._expiry is None and deadline is not None:
            self._expiry = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._uploads.expire(asyncio.get_running_loop().time())
        self._wait_for_expiry()

"""The files below one folder, and nothing else.

Here lives :class:`Tree`, which opens, lists, writes and removes files that are named by the
segments of a path, whoever chose those.

The room knows no CoAP.  What can not be done is an ``OSError`` as the system has it.

RFC 7252 has nothing on this; what segments may be is section 5.10.1, and what a server makes of
them is its own business.

How nothing outside can be reached
----------------------------------

A path is never put together.  Each segment is opened by itself, relative to the folder that the
one before it opened, and without following a symbolic link; so it can only name something that
is directly in there.  That holds while others rename and replace what they like, as nothing is
looked at first and used later.  Segments that mean something else (``.``, ``..``, nothing at all)
or are no names (with a slash or a NUL in them) are refused by ``EINVAL``.

Symbolic links do not exist either, wherever they lead: what is served is what is below the root,
not what somebody has pointed to.  FIFOs, sockets and devices are no files.  A hard link can not
be told from the file, and mounted file systems are a part of the tree.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from stat import S_IMODE, S_ISDIR, S_ISREG

__all__ = ["MAX_ENTRIES", "Draft", "Tree"]

MAX_ENTRIES = 20_000
"""Number of entries up to which a folder can be listed."""

_DRAFT = b".aiocoap-upload-"
# What the names of unfinished files begin with; to users of the tree these do not exist.

_BY_NAME = os.O_CLOEXEC | os.O_NOFOLLOW
# Where the system knows it, a folder that is only passed through need not be readable.
_PASS = _BY_NAME | os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)
_LIST = _BY_NAME | os.O_DIRECTORY | os.O_RDONLY
# Should a FIFO or terminal get to where a file was, it must not keep us or become ours.
_READ = _BY_NAME | os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_CREATE = _BY_NAME | os.O_WRONLY | os.O_CREAT | os.O_EXCL

_DESCRIPTORS = "/proc/self/fd/"

# Where the system can, an unfinished file has no name at all, so that there is nothing to be
# cleaned up whatever happens.  It gets its name by way of its descriptor.
_UNNAMED = getattr(os, "O_TMPFILE", 0) if os.path.isdir(_DESCRIPTORS) else 0


def _missing() -> OSError:
    return OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _forbidden() -> OSError:
    return OSError(errno.EACCES, os.strerror(errno.EACCES))


def _is_folder() -> OSError:
    return OSError(errno.EISDIR, os.strerror(errno.EISDIR))


def _name(segment: str) -> bytes:
    """Return a segment as the name of something in a folder.

    Raises:
        OSError: It can not be one (``EINVAL``), or has another purpose.
    """
    if segment in ("", ".", "..") or "/" in segment or "\0" in segment:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    try:
        name = segment.encode()
    except UnicodeEncodeError:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
    # Some file systems do not tell upper from lower case.
    if name.lower().startswith(_DRAFT):
        raise _missing()
    return name


class Tree:
    """The files below a folder, each named by the segments of its path.

    A last segment that is empty names the folder that the others do.

    Args:
        root: Path of the folder; a symbolic link is followed here, and only here.

    Raises:
        OSError: There is no such folder, or it can not be read.
    """

    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the root; nothing can be opened any more."""
        os.close(self._root)

    def _enter(self, segments: Sequence[str]) -> int:
        """Pass through folders; return the last one's descriptor, which is to be left again.

        Raises:
            OSError: Something on the way is missing, or no folder.
        """
        folder = self._root
        try:
            for segment in segments:
                below = os.open(_name(segment), _PASS, dir_fd=folder)
                self._leave(folder)
                folder = below
        except BaseException:
            self._leave(folder)
            raise
        return folder

    def _leave(self, folder: int) -> None:
        """Close a folder's descriptor, unless it is the root's."""
        if folder != self._root:
            os.close(folder)

    @contextmanager
    def _folder(self, segments: Sequence[str]) -> Iterator[int]:
        """Pass through folders, and give the last one's descriptor.

        Raises:
            OSError: Something on the way is missing, or no folder.
        """
        folder = self._enter(segments)
        try:
            yield folder
        finally:
            self._leave(folder)

    def stat(self, segments: Sequence[str]) -> os.stat_result:
        """Return what is known of a file or folder.

        Args:
            segments: Its path.

        Raises:
            OSError: There is none (links and devices do not count).
        """
        folder = self._enter(segments[:-1])
        try:
            if not segments or not segments[-1]:
                return os.fstat(folder)
            found = os.stat(_name(segments[-1]), dir_fd=folder, follow_symlinks=False)
        finally:
            self._leave(folder)
        if not (S_ISREG(found.st_mode) or S_ISDIR(found.st_mode)):
            raise _missing()
        return found

    def open(self, segments: Sequence[str]) -> tuple[int, os.stat_result]:
        """Open a file.

        Args:
            segments: Its path.

        Returns:
            Its descriptor, which is to be closed, and what is known of what that is for.

        Raises:
            OSError: There is none (``EISDIR`` where a folder is), or it can not be read.
        """
        folder = self._enter(segments[:-1])
        try:
            if not segments or not segments[-1]:
                raise _is_folder()
            name = _name(segments[-1])
            # To open a device would do something to it.
            _check_file(os.stat(name, dir_fd=folder, follow_symlinks=False))
            file = os.open(name, _READ, dir_fd=folder)
        finally:
            self._leave(folder)
        try:
            found = os.fstat(file)
            _check_file(found)
        except BaseException:
            os.close(file)
            raise
        return file, found

    def entries(self, segments: Sequence[str]) -> list[tuple[str, bool]]:
        """List a folder.

        Args:
            segments: Its path.

        Returns:
            For each file and folder in it, in the order of names, its name and whether it is
            a folder.  Names that are not UTF-8 are left out, as no path can have them.

        Raises:
            OSError: There is no such folder, it can not be read, or has too many entries
                (``EFBIG``).
        """
        if segments and not segments[-1]:
            segments = segments[:-1]
        found = []
        with self._folder(segments) as passed:
            folder = os.open(b".", _LIST, dir_fd=passed)
        try:
            with os.scandir(folder) as entries:
                for number, entry in enumerate(entries):
                    if number >= MAX_ENTRIES:
                        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if not is_folder and not entry.is_file(follow_symlinks=False):
                        continue
                    # The system's names may be anything but these.
                    with suppress(UnicodeDecodeError, FileNotFoundError):
                        name = os.fsencode(entry.name).decode()
                        _name(name)
                        found.append((name, is_folder))
        finally:
            os.close(folder)
        return sorted(found)

    def create(self, segments: Sequence[str]) -> Draft:
        """Begin a file that gets its name when it is whole.

        Args:
            segments: Its path; what is there now stays until then.

        Raises:
            OSError: There is no such folder, or nothing can be written there.
        """
        if not segments:
            raise _missing()
        name = _name(segments[-1])
        with self._folder(segments[:-1]) as passed:
            _check_replaceable(name, passed)
            folder = os.dup(passed)
        try:
            return Draft(self, segments[:-1], folder, name)
        except BaseException:
            os.close(folder)
            raise

    def remove(self, segments: Sequence[str]) -> None:
        """Remove a file.

        Args:
            segments: Its path.

        Raises:
            OSError: There is none, or it can not be removed; folders are not (``EISDIR``).
        """
        if not segments:
            raise _is_folder()
        name = _name(segments[-1])
        with self._folder(segments[:-1]) as folder:
            if _check_replaceable(name, folder) is None:
                raise _missing()
            os.unlink(name, dir_fd=folder)


def _check_file(found: os.stat_result) -> None:
    """See that something is a file.

    Raises:
        OSError: It is something else.
    """
    if S_ISDIR(found.st_mode):
        raise _is_folder()
    if not S_ISREG(found.st_mode):
        raise _missing()


def _check_replaceable(name: bytes, folder: int) -> os.stat_result | None:
    """Return what is known of a file that is to be replaced or removed; None if there is none.

    Raises:
        OSError: What is there is no file, or one that may not be written to.
    """
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if S_ISDIR(found.st_mode):
        raise _is_folder()
    # For the system it is enough that the folder can be written to.  Who took away the right to
    # write to a file meant that, though.
    if not S_ISREG(found.st_mode) or not os.access(name, os.W_OK, dir_fd=folder):
        raise _forbidden()
    return found


class Draft:
    """A file that is being written; made by :meth:`Tree.create`.

    It has no name or, where the system can not do that, one that the tree does not show.  In any
    case it is in the folder that it is meant for, so that it can take its place in one step.

    Args:
        tree: The tree.
        segments: Path of the folder.
        folder: Descriptor of the folder; it is closed with the draft.
        name: Name that the file is to get.

    Raises:
        OSError: It can not be created; the folder stays open.
    """

    __slots__ = ("_file", "_folder", "_is_named", "_name", "_segments", "_temporary", "_tree")

    def __init__(self, tree: Tree, segments: Sequence[str], folder: int, name: bytes) -> None:
        self._tree = tree
        self._segments = tuple(segments)
        self._folder = folder
        self._name = name
        self._temporary = _DRAFT + token_hex(8).encode()
        self._is_named = False
        if _UNNAMED:
            # Some file systems can not; others have no room, which the next line tells as well.
            with suppress(OSError):
                flags = _UNNAMED | os.O_WRONLY | os.O_CLOEXEC
                self._file = os.open(b".", flags, 0o666, dir_fd=folder)
                return
        self._file = os.open(self._temporary, _CREATE, 0o666, dir_fd=folder)
        self._is_named = True

    def write(self, data: bytes) -> None:
        """Append to the file.

        Args:
            data: What to append.

        Raises:
            OSError: The disk is full, for example.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def commit(self) -> None:
        """Give the file its name, in place of what had it; the draft is closed in any case.

        Raises:
            OSError: It is not possible (any more); the file is gone.
        """
        try:
            with self._tree._folder(self._segments) as present:
                # Somebody may have moved the folder to where we have no business.
                if not os.path.samestat(os.fstat(present), os.fstat(self._folder)):
                    raise _missing()
            former = _check_replaceable(self._name, self._folder)
            if former is not None:
                os.fchmod(self._file, S_IMODE(former.st_mode) & 0o777)
            if not self._is_named:
                # A name that is taken can only be had by renaming.
                os.link(f"{_DESCRIPTORS}{self._file}", self._temporary, dst_dir_fd=self._folder)
                self._is_named = True
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            self.discard()
            raise
        self._close()

    def discard(self) -> None:
        """Remove the file."""
        if self._is_named:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        self._close()

    def _close(self) -> None:
        os.close(self._file)
        os.close(self._folder)

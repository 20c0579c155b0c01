"""Where the output of ``aiocoap-client`` goes.

Here live standard output and the file of ``--output``, standard error, and the line of progress
on a terminal.

The room knows nothing of what it writes.

No RFC has anything to say on this.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from types import TracebackType

from ..util.cli import UsageError, say
from ._present import Shown

__all__ = ["Output", "Progress"]

_ERASE = "\r\x1b[K"


class Output:
    """Standard output, or a file.

    A file keeps what is in it until something is written, or :meth:`begin` says that it would
    be if there were anything: a request that fails does no harm.  One that is made for nothing
    is removed.

    Args:
        path: Name of the file; None (or ``-``) stands for standard output.

    Raises:
        UsageError: The file can not be written.
    """

    def __init__(self, path: str | None) -> None:
        self.path = None if path == "-" else path
        self._fd = -1
        self._is_new = False
        self._has_begun = False
        if self.path is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            try:
                self._fd = os.open(self.path, flags | os.O_EXCL, 0o666)
                self._is_new = True
            except FileExistsError:
                self._fd = os.open(self.path, flags, 0o666)
        except (OSError, ValueError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
            raise UsageError(f"--output: can not write {self.path!r}: {why}") from None

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it."""
        return self.path is None and sys.stdout is not None and sys.stdout.isatty()

    def begin(self) -> None:
        """Begin to write; what is in a file is lost."""
        if self.path is None or self._has_begun:
            return
        self._has_begun = True
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.ftruncate(self._fd, 0)

    def write(self, data: bytes) -> None:
        """Write to the end.

        Raises:
            OSError: It takes nothing (``BrokenPipeError`` where its reader is gone).
        """
        if not data:
            return
        if self.path is None and sys.stdout is None:
            raise OSError("standard output is closed")
        self.begin()
        try:
            if self.path is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            else:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._fd, view) :]
        except BrokenPipeError:
            raise
        except OSError as problem:
            name = "standard output" if self.path is None else self.path
            raise OSError(problem.errno, problem.strerror, name) from None

    def show(self, shown: Shown) -> None:
        """Write what is to be shown, to here and to standard error.

        Raises:
            OSError: It takes nothing (``BrokenPipeError`` where its reader is gone).
        """
        self.write(shown.out)
        for note in shown.notes:
            say(note)

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.path is None:
            return
        os.close(self._fd)
        if self._is_new and not self._has_begun:
            os.unlink(self.path)


class Progress:
    """A line on standard error that says how far a transfer is.

    It appears when the transfer takes long, and is gone at the end.

    Args:
        clock: Tells the seconds.
    """

    DELAY = 0.5
    """Seconds that a transfer takes before it is shown."""
    INTERVAL = 0.1
    """Seconds between two changes of the line at least."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._due = self._began + self.DELAY
        self._is_shown = False
        self._last = 0

    @staticmethod
    def is_wanted(is_quiet: bool, is_verbose: bool) -> bool:
        """Whether there is somebody to look at it, and nothing else on the terminal."""
        return not is_quiet and not is_verbose and sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, done: int, total: int | None) -> None:
        """Take note of how far a transfer is.

        Args:
            done: Bytes that were transferred.
            total: Bytes that there are, if that is known.
        """
        now = self._clock()
        if done < self._last:
            # Another body, or the same from its beginning.
            self._began = now
        self._last = done
        if now < self._due:
            return
        self._due = now + self.INTERVAL
        self._is_shown = True
        of_total = f" of {total:,} bytes ({100 * done // total} %)" if total else " bytes"
        rate = done / max(now - self._began, self.INTERVAL) / 1024
        self._print(f"{_ERASE}{done:,}{of_total}, {rate:,.1f} KiB/s")

    def clear(self) -> None:
        """Take the line off."""
        if self._is_shown:
            self._is_shown = False
            self._print(_ERASE)

    def _print(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)

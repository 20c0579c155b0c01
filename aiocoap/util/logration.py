"""A bound on what strangers can make us log.

Here lives :class:`LogRation`, for log lines that come as often as somebody else likes.

The room knows no logger and no clock: ``now`` and what logs are arguments.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LogRation"]


class LogRation:
    """So many lines of one kind in a minute, and a last word where there would be more.

    Args:
        limit: Number of lines in a minute, before the last word.
        last_word: What is logged once in a minute that has more.
    """

    __slots__ = ("_count", "_last_word", "_limit", "_minute")

    def __init__(self, limit: int, last_word: str) -> None:
        self._limit = limit
        self._last_word = last_word
        self._count = 0
        self._minute = -1.0

    def log(
        self,
        now: float,
        emit: Callable[..., object],
        text: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log a line, if there is any left of the ration.

        Args:
            now: Monotonic seconds.
            emit: A logger's method, such as ``log.error``.
            text: Format string.
            args: What goes in there.
            exc_info: Exception to log with its traceback.
        """
        minute = now // 60
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        # In records it is the caller who logs, not this room.
        if self._count <= self._limit:
            emit(text, *args, exc_info=exc_info, stacklevel=2)
        elif self._count == self._limit + 1:
            emit(self._last_word, stacklevel=2)

"""The order of notifications.

Here live the client's view of which of two notifications is the newer (:func:`is_newer`,
:class:`Ordering`), the server's numbers that make it so (:class:`Counter`), and what makes a
response a notification.

The room knows no resource, no observer and no clock: ``now`` is an argument.

RFC 7641 sections 3.2, 3.4, 4.2 and 4.4, RFC 8323 section 7.1 (reliable transports).

The client's state is the number and time of the freshest notification::

    nothing yet ----> fresh    any first notification
    fresh ----------> fresh    a newer one, or any after 128 s
                '---> stale    an older or the same one: the state stays, the message is dropped
"""

from __future__ import annotations

from ..message import Message

__all__ = ["Counter", "Ordering", "is_newer", "is_notification"]

_MODULUS = 1 << 24
_HALF = 1 << 23

RESET_TIME = 128.0
"""Seconds after which any notification is newer than the last (section 3.4)."""

WINDOW = 256.0
"""Seconds in which numbers may grow by 2²³ at most (section 4.4)."""


def is_newer(v1: int, t1: float, v2: int, t2: float, reset_time: float = RESET_TIME) -> bool:
    """Whether a notification was sent after another one.

    >>> is_newer(1, 0.0, 2, 0.1), is_newer(0xFFFFFF, 0.0, 0, 0.1), is_newer(2, 0.0, 1, 0.1)
    (True, True, False)

    Args:
        v1: Observe value of the freshest notification so far, less than 2²⁴.
        t1: When it arrived, in monotonic seconds.
        v2: Observe value of the incoming one.
        t2: When that arrived.
        reset_time: Seconds after which the values tell nothing any more.

    RFC 7641 section 3.4.
    """
    # The first two conditions of the section are one in arithmetic modulo 2²⁴.
    return 0 < (v2 - v1) % _MODULUS < _HALF or t2 > t1 + reset_time


def is_notification(response: Message) -> bool:
    """Whether a response leaves its request on the list of observers.

    Args:
        response: A response to a request with Observe 0.

    RFC 7641 sections 3.2 and 4.2.
    """
    return response.code.is_successful() and response.opt.observe is not None


class Ordering:
    """What a client knows of the order of one observation's notifications.

    Args:
        reset_time: Seconds after which any notification is newer than the last.
    """

    __slots__ = ("_arrived", "_number", "_reset_time")

    def __init__(self, reset_time: float = RESET_TIME) -> None:
        self._reset_time = reset_time
        self._number: int | None = None
        self._arrived = 0.0

    def feed(self, number: int | None, now: float) -> bool:
        """Take in a notification; return whether it is the freshest so far.

        Args:
            number: Its Observe value; None where the transport keeps the order by itself.
            now: When it arrived, in monotonic seconds.

        RFC 7641 section 3.4, RFC 8323 section 7.1.
        """
        if number is None:
            return True
        if self._number is not None and not is_newer(
            self._number, self._arrived, number, now, self._reset_time
        ):
            return False
        self._number = number
        self._arrived = now
        return True


class Counter:
    """The numbers of a server's notifications; one counter may serve all observations.

    Args:
        start: The number before the first.
    """

    __slots__ = ("_left", "_number", "_window_end")

    def __init__(self, start: int = 0) -> None:
        self._number = start
        self._left = 0
        self._window_end = float("-inf")

    def next(self, now: float) -> int:
        """Return the next number.

        Each is greater than the one before in arithmetic modulo 2²⁴.  Of more than 16384 in a
        second, for minutes, the surplus gets the number of the last: to clients these are
        duplicates, which skips states, as a server may.

        Args:
            now: Monotonic seconds.

        RFC 7641 section 4.4.
        """
        if now >= self._window_end:
            # No 256 seconds touch more than two windows; so half of what is allowed each.
            self._window_end = now + WINDOW
            self._left = _HALF // 2
        if self._left:
            self._left -= 1
            self._number = (self._number + 1) % _MODULUS
        return self._number

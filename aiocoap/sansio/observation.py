"""Observing: the order of notifications, and what keeps an observation going.

Here live the client's view of which of two notifications is the newer (:func:`is_newer`,
:class:`Ordering`), for how long it may rely on one and when it asks again (:class:`Upkeep`), and
which representations it can be told by their ETag (:class:`Representations`); the server's numbers
that make the order (:class:`Counter`); and what makes a response a notification.

The room knows no resource, no observer and no clock: ``now`` is an argument, and randomness is
given at construction.

RFC 7641 sections 3.2 to 3.4, 4.2 and 4.4, RFC 8323 section 7.1 (reliable transports).

The client's state is the number and time of the freshest notification::

    nothing yet ----> fresh    any first notification
    fresh ----------> fresh    a newer one, or any after 128 s
                '---> stale    an older or the same one: the state stays, the message is dropped

and how much it knows of the resource::

    registering ---> fresh ---> stale ---> (registers again) ---> fresh
                 answer    Max-Age  ^  5 to 15 s     |
                                    '---- failed ----'---> over, after some failures in a row

A failure at any other time, when the connection breaks for example, makes it stale as well.  The
first pause is that of section 3.3.1, and each further one in a row is twice as long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum

from ..message import Message
from ..numbers.codes import Code

__all__ = [
    "Counter",
    "Freshness",
    "Ordering",
    "Representations",
    "Upkeep",
    "is_newer",
    "is_notification",
]

_MODULUS = 1 << 24
_HALF = 1 << 23

RESET_TIME = 128.0
"""Seconds after which any notification is newer than the last (section 3.4)."""

WINDOW = 256.0
"""Seconds in which numbers may grow by 2²³ at most (section 4.4)."""

_RATE = _HALF // 2 / WINDOW
_BURST = _HALF // 2 - 1
# Numbers in each second that passes, and how far they may be ahead of that: half of what may be in
# a window each.

DEFAULT_MAX_AGE = 60
"""Max-Age in seconds of what does not say (RFC 7252 section 5.10.5)."""

_PAUSE = (5.0, 15.0)
# Seconds between which a client waits before it registers again (section 3.3.1).

_NEVER = float("inf")


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

    def renew(self) -> None:
        """Take note of a new registration: the server that answers may have begun to count anew."""
        self._number = None


class Freshness(StrEnum):
    """How much a client knows of what it observes; the values are texts."""

    REGISTERING = "registering"
    """Nothing yet."""
    FRESH = "fresh"
    """The state as of Max-Age ago at most."""
    STALE = "stale"
    """No more than what it was once."""
    OVER = "over"
    """Nothing will come any more."""


class Upkeep:
    """When a client registers again, so that it knows the present state.

    Args:
        random: Gives numbers from 0 to less than 1.
        retries: How many times in a row that may fail.

    Attributes:
        state: How much is known.
        wake: When :meth:`tick` is to be called, in monotonic seconds; inf where something else
            has to happen first.

    RFC 7641 section 3.3.1.
    """

    __slots__ = ("_failures", "_random", "_retries", "state", "wake")

    def __init__(self, random: Callable[[], float], retries: int) -> None:
        self._random = random
        self._retries = retries
        self._failures = 0
        self.state = Freshness.REGISTERING
        self.wake = _NEVER

    def refresh(self, max_age: int | None, now: float) -> None:
        """Take note of a notification.

        Args:
            max_age: Its Max-Age in seconds, or None.
            now: Monotonic seconds.
        """
        self.state = Freshness.FRESH
        self._failures = 0
        self.wake = now + (DEFAULT_MAX_AGE if max_age is None else max_age)

    def tick(self, now: float) -> bool:
        """Do what is due; return whether it is time to register again.

        Whoever does that tells the outcome by :meth:`refresh` or :meth:`fail`.

        Args:
            now: Monotonic seconds.
        """
        if now < self.wake:
            return False
        if self.state is Freshness.FRESH:
            self.state = Freshness.STALE
            self.wake = now + self._pause()
            return False
        self.wake = _NEVER
        return True

    def fail(self) -> float | None:
        """Take note that registering has failed, or that the server is out of reach.

        Returns:
            Seconds to wait before registering again, or None where it has been enough.
        """
        self.wake = _NEVER
        if self._failures >= self._retries:
            self.state = Freshness.OVER
            return None
        self.state = Freshness.STALE
        pause = self._pause() * (1 << self._failures)
        self._failures += 1
        return pause

    def hurry(self) -> None:
        """Take note that it registers again before it has to, as somebody asks.

        That takes the place of the attempt that is due next, so that the number of those who ask
        does not bring the end nearer.
        """
        if self.state is Freshness.STALE:
            self.wake = _NEVER
            self._failures = max(self._failures - 1, 0)

    def _pause(self) -> float:
        low, high = _PAUSE
        return low + self._random() * (high - low)


class Representations:
    """What a client keeps of a resource, so that the server need not send it again.

    That is what it was told last, and what it has announced in its last registration.

    Args:
        own: ETags of representations that the application keeps by itself; it gets to see the
            2.03 responses for those.

    Attributes:
        latest: What it was told last, or None.

    RFC 7641 section 3.3.2.
    """

    __slots__ = ("_announced", "_own", "latest")

    def __init__(self, own: Collection[bytes]) -> None:
        self._own = own
        self.latest: Message | None = None
        self._announced: Message | None = None

    def serve(self, owns: Sequence[Collection[bytes]]) -> None:
        """Take note of who keeps what: only ETags that all of them know are of use.

        Args:
            owns: ETags of each application's own representations.
        """
        self._own = [etag for etag in owns[0] if all(etag in own for own in owns)]

    def announce(self) -> list[bytes]:
        """Return the ETags for a new registration; what is kept is kept for these."""
        latest = self.latest
        self._announced = None
        etag = None if latest is None or latest.code == Code.VALID else latest.opt.etag
        if etag is None or etag in self._own:
            return list(self._own)
        self._announced = latest
        return [*self._own, etag]

    def take(self, response: Message, is_answer: bool = False) -> Message | None:
        """Take in a representation, or what stands for one.

        Args:
            response: A response with its whole body.
            is_answer: Whether it answers a new registration, and so may be what is known
                already.

        Returns:
            What is news to the application: the response, or the representation that it stands
            for; None where nothing has changed.

        RFC 7641 section 3.3.2, RFC 7252 section 5.9.1.3.
        """
        known = self.latest
        if response.code != Code.VALID:
            self.latest = response
            is_known = is_answer and known is not None and _is_same(known, response)
            return None if is_known else response
        etag = response.opt.etag
        is_known = known is not None and etag is not None and known.opt.etag == etag
        if etag in self._own:
            self.latest = response
            return None if is_known and is_answer else response
        if is_known:
            return None
        announced = self._announced
        if announced is None or etag is None or announced.opt.etag != etag:
            # It means nothing to us; perhaps it does to the application.
            self.latest = None
            return response
        # The options of the 2.03 are the present ones.
        restored = response.copy(code=announced.code, payload=announced.payload)
        if restored.opt.content_format is None:
            restored.opt.content_format = announced.opt.content_format
        self.latest = restored
        return restored


def _is_same(one: Message, other: Message) -> bool:
    """Whether two responses tell the same of a resource; the first may be what stands for it."""
    if one.code == Code.VALID and one.opt.etag is not None:
        return one.opt.etag == other.opt.etag
    return (one.code, one.payload, one.opt.content_format) == (
        other.code,
        other.payload,
        other.opt.content_format,
    )


class Counter:
    """The numbers of a server's notifications; one counter may serve all observations.

    They follow the clock, so that those of a server that was started anew go on where the former
    ones ended: a client that registers again by the same token may well compare them.
    """

    __slots__ = ("_number",)

    def __init__(self) -> None:
        # Not cut to 24 bits.
        self._number = 0

    def next(self, now: float) -> int:
        """Return the next number.

        Each is greater than the one before in arithmetic modulo 2²⁴.  Of more than 16384 in a
        second, as soon as that makes four millions more than the clock has counted, the surplus
        gets the number of the last: whoever is notified twice within 61 microseconds takes the
        latter for a duplicate then.

        Args:
            now: Monotonic seconds, on a clock that does not begin with the server if there is one.

        RFC 7641 section 4.4.
        """
        ticks = int(now * _RATE)
        if self._number < ticks:
            self._number = ticks
        elif self._number < ticks + _BURST:
            self._number += 1
        return self._number % _MODULUS

"""What servers want to hear again: the client's side of Echo, where nobody is refused anything.

Here lives :class:`Echoes`.

The room knows no clock (``now`` is an argument), and not which responses and requests there are.

RFC 9175 section 2.3.  A 4.01 with Echo has its request repeated at once, by the requester; any
other response with Echo says what the next request to that server should have, which spares it a
4.01 later.  A value goes nowhere but to the endpoint that it came from, and once; it is dropped
when it is ``ECHO_LIFETIME`` old, as no server is likely to take it for fresh then, or when a newer
one comes.  At the bound, the oldest are dropped.
"""

from __future__ import annotations

from ..address import EndpointAddress

__all__ = ["ECHO_LIFETIME", "MAX_ECHOES", "Echoes"]

ECHO_LIFETIME = 300.0
"""Seconds for which a value is kept."""

MAX_ECHOES = 256
"""Number of endpoints whose values are kept at most."""


class Echoes:
    """The values that the next request to each of some endpoints should have.

    Attributes:
        waiting: Values and when they are too old, by endpoint, the oldest first.  It is empty
            most of the time, which is all that most requests look at.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[EndpointAddress, tuple[bytes, float]] = {}

    def keep(self, remote: EndpointAddress, value: bytes, now: float) -> None:
        """Take note of a value.

        Args:
            remote: Where it came from.
            value: The Echo value, 1 to 40 bytes.
            now: Monotonic seconds.
        """
        waiting = self.waiting
        waiting.pop(remote, None)
        waiting[remote] = (value, now + ECHO_LIFETIME)
        while True:
            oldest = next(iter(waiting))
            if waiting[oldest][1] > now and len(waiting) <= MAX_ECHOES:
                return
            del waiting[oldest]

    def take(self, remote: EndpointAddress, now: float) -> bytes | None:
        """Return the value for a request, which is not kept any longer, or None.

        Args:
            remote: Where the request goes.
            now: Monotonic seconds.
        """
        value, until = self.waiting.pop(remote, (None, 0.0))
        return value if until > now else None

    def clear(self) -> None:
        """Forget all of them."""
        self.waiting.clear()

    def __len__(self) -> int:
        """Return the number of values that are kept."""
        return len(self.waiting)

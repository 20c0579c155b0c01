"""A request of our own that waits for responses.

Here lives :class:`OutgoingRequest`, between the pipe and the message that was sent for it.

The room knows no token but its own, and no timer; which response is for it and when it has waited
for too long is the token manager's business.

RFC 7252 sections 5.3 and 8.2, RFC 7641 section 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import error
from .address import EndpointAddress
from .numbers.optionnumbers import OptionNumber
from .pipe import Pipe

if TYPE_CHECKING:
    from typing import Protocol

    from .sansio.deadlines import Deadlines
    from .sansio.matching import Matching

    class _Manager(Protocol):
        """Who looks for the request, and at the time."""

        outgoing_requests: Matching[OutgoingRequest]
        timers: Deadlines[OutgoingRequest]


__all__ = ["OutgoingRequest"]

MAX_RESPONDERS = 1024
"""Number of members of a group that may answer one request."""

_OBSERVE = int(OptionNumber.OBSERVE)


class OutgoingRequest:
    """A request of ours that waits for responses."""

    __slots__ = (
        "_manager",
        "deadline",
        "is_answered",
        "is_group",
        "observes",
        "pipe",
        "responders",
        "source",
        "stop",
        "timeout",
        "token",
        "was_queued",
    )

    # Set where it is a group: who has answered, and who of them is observed.
    responders: set[EndpointAddress | None]
    source: EndpointAddress | None

    def __init__(self, manager: _Manager, pipe: Pipe, token: bytes, is_group: bool) -> None:
        self._manager = manager
        # Until it ends: this object may be kept for longer, among the deadlines.
        self.pipe: Pipe | None = pipe
        self.token = token
        self.is_group = is_group
        if is_group:
            self.responders, self.source = set(), None
        opt = pipe.request.opt
        # Or ends to observe, by a request of the same token.
        self.observes = _OBSERVE in opt and (opt.observe == 0 or pipe.keeps_token)
        self.is_answered = False
        # What the floor below gave to stop the transmission.
        self.stop: Callable[[], None] | None = None
        self.timeout = 0.0
        self.deadline: float | None = None
        self.was_queued = False

    def is_queued(self) -> bool:
        """Whether the message floor keeps the request back.

        It gives a message its ID when it leaves, and where there are no Message IDs there is
        no queue, and nothing to stop either.
        """
        return self.stop is not None and self.pipe is not None and self.pipe.request.mid is None

    def reject(self) -> None:
        """The peer answered the message with a Reset."""
        self.fail(error.MessageError("the peer rejected the request"))

    def fail(self, problem: error.Error) -> None:
        """No response will come."""
        if self.pipe is not None:
            self.pipe.add_exception(problem)

    def admits(self, responder: EndpointAddress | None) -> bool:
        """Whether a member of a group may answer: once, or as the one that is observed."""
        if self.observes and (self.source is None or self.source == responder):
            self.source = responder
        elif responder in self.responders or len(self.responders) >= MAX_RESPONDERS:
            return False
        self.responders.add(responder)
        return True

    def close(self) -> None:
        """Wait no longer for who has not answered yet.

        From then on an observation is one of a single endpoint: notifications of others are
        rejected, which ends theirs (RFC 7641 section 3.6).
        """
        if self.pipe is not None and self.is_answered and self.observes:
            self.is_group = False
            self._manager.outgoing_requests.add(self.token, self.source, self)
            self.pipe.close_group()
        else:
            self.fail(error.RequestTimedOut(f"no response within {self.timeout:g} seconds"))

    def settle(self) -> None:
        """Stop to send, and to wait for the first response."""
        self._manager.timers.discard(self)
        stop, self.stop = self.stop, None
        if stop is not None:
            stop()

    def end(self) -> None:
        """Nobody waits for responses any more."""
        self.pipe = None
        self._manager.outgoing_requests.remove(self.token)
        self.settle()

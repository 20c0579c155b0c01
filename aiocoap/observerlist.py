"""Who observes something here, of all endpoints that one transport leads to.

Here lives :class:`ObserverList`: the incoming requests that stay open after their first response.

The room knows neither resources nor notifications; how a client is asked whether it is still there
is the request's business.

RFC 7641 section 4.1 (the list of observers) and section 4.5 (who is still there).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .address import EndpointAddress
from .incomingrequest import ROUNDS, IncomingRequest

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from typing import Protocol

    from .numbers.constants import TransportTuning

    class _Context(Protocol):
        """What is used of a context."""

        loop: AbstractEventLoop
        transport_tuning: TransportTuning


__all__ = ["ObserverList"]

MAX_OBSERVERS = 16_384
"""Number of incoming requests that may stay open after their first response."""


class ObserverList:
    """The observers, and the rounds in which it is looked whether they are still there.

    Args:
        context: Has the loop, and OBSERVATION_CONFIRM_INTERVAL.

    Attributes:
        round: Times that it was looked for observers that have to confirm that they are there.
    """

    __slots__ = ("_by_remote", "_context", "_count", "_timer", "round")

    def __init__(self, context: _Context) -> None:
        self._context = context
        # Most endpoints have one observation.
        self._by_remote: dict[EndpointAddress, IncomingRequest | tuple[IncomingRequest, ...]] = {}
        # Of observations.
        self._count = 0
        self._timer: TimerHandle | None = None
        self.round = 0

    def __len__(self) -> int:
        """Return the number of observations."""
        return self._count

    def __contains__(self, remote: EndpointAddress) -> bool:
        """Whether an endpoint observes anything."""
        return remote in self._by_remote

    def of(self, remote: EndpointAddress) -> tuple[IncomingRequest, ...]:
        """Return the observations of an endpoint."""
        found = self._by_remote.get(remote, ())
        return found if isinstance(found, tuple) else (found,)

    def add(self, request: IncomingRequest) -> bool:
        """Take in a request; return False if there is no room.

        Args:
            request: One that is not in there.
        """
        if self._count >= MAX_OBSERVERS:
            return False
        self._count += 1
        remote = request.key[1]
        others = self.of(remote)
        self._by_remote[remote] = (*others, request) if others else request
        if self._timer is None:
            self._begin_round()
        return True

    def remove(self, request: IncomingRequest) -> None:
        """Take out a request.

        Args:
            request: One that is in there.
        """
        self._count -= 1
        remote = request.key[1]
        others = tuple([other for other in self.of(remote) if other is not request])
        if others:
            self._by_remote[remote] = others
        else:
            del self._by_remote[remote]

    def _begin_round(self) -> None:
        """Look for observers some time later."""
        loop = self._context.loop
        delay = self._context.transport_tuning.OBSERVATION_CONFIRM_INTERVAL / ROUNDS
        self._timer = loop.call_at(loop.time() + delay, self._end_round)

    def _end_round(self) -> None:
        """Ask those observers for a confirmation that have not given one for a day.

        RFC 7641 section 4.5.
        """
        self._timer = None
        self.round += 1
        for remote in list(self._by_remote):
            for request in self.of(remote):
                if request.is_due(self.round):
                    request.doubt()
        if self._by_remote:
            self._begin_round()

    def close(self) -> None:
        """Look for nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

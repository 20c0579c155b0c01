"""One of those whom a registration keeps up to date.

Here live :class:`Observer`, a request of the application with Observe, which waits for its response
and has an observation (several may share a registration), and :class:`Response`, the future of
that and of every other request's response.

The room knows neither pipes nor blocks, and not how a registration is kept up.

RFC 7641 section 3.1 (a client registers once for a target, whoever wants to know of it).

The observation is held weakly, so that one which nobody has an eye on any more ends by itself.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from .clientobservation import ClientObservation
from .groupresponses import Collector, Responses
from .message import Message
from .sansio.observation import Freshness

if TYPE_CHECKING:
    from typing import Protocol

    _Log = Logger | LoggerAdapter[Any]

    class _Registration(Protocol):
        """What keeps it up to date."""

        def leave(self, observer: Observer) -> None: ...

    class _Work(Protocol):
        """What a response is had by."""

        def cancel(self) -> None: ...

        def collect(self) -> Responses: ...


__all__ = ["Observer", "Response", "follow"]


class Response(asyncio.Future[Message]):
    """The future of a response: cancelling it stops the request, there and then.

    A callback for when it is done would do as well, but costs every request that is not
    cancelled a call from the loop.

    Attributes:
        delivery: What works on it, as long as it is not done.
    """

    __slots__ = ("delivery",)

    delivery: _Work | None

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the future, and stop the request."""
        if not super().cancel(msg):
            return False
        assert self.delivery is not None  # for as long as the future is not done
        self.delivery.cancel()
        return True


class Observer:
    """A request with Observe, as far as nobody shares it.

    Args:
        registration: What keeps it up to date; another one may take that over.
        request: The request.
        response: The future of its response.

    Attributes:
        etags: ETags of representations that the application has; it may be answered by 2.03 for
            these.
        is_behind: Whether it has not got the latest representation.
    """

    __slots__ = (
        "_held",
        "_observation",
        "etags",
        "is_behind",
        "registration",
        "request",
        "response",
    )

    def __init__(self, registration: _Registration, request: Message, response: Response) -> None:
        self.registration = registration
        self.request = request
        self.response = response
        # What the application makes of the request later is of no interest.
        self.etags = request.opt.etags
        self.is_behind = False
        self._observation: weakref.ref[ClientObservation] | None = None
        self._held: ClientObservation | None = None

    def make_observation(self, log: _Log) -> ClientObservation:
        """Return the observation, which is made by that.

        Args:
            log: Where to log what callbacks raise.
        """
        observation = ClientObservation()
        observation._driver = self
        observation._log = log
        self._observation = weakref.ref(observation, self._let_go)
        return observation

    def observation(self) -> ClientObservation | None:
        """Return the observation, if somebody has an eye on it."""
        return None if self._observation is None else self._observation()

    @property
    def is_waiting(self) -> bool:
        """Whether the first response is still waited for."""
        return not self.response.done()

    @property
    def is_there(self) -> bool:
        """Whether anything is still wanted."""
        return not self.response.done() or self.observation() is not None

    # The application's end

    def hold(self, observation: ClientObservation) -> None:
        """Keep the observation going even if nobody else does, as it has callbacks."""
        self._held = observation

    def drop_observation(self) -> None:
        """Nobody wants notifications any more; the response may still be waited for."""
        self.release()
        if self.response.done():
            self.registration.leave(self)

    def _let_go(self, _: object) -> None:
        """The last reference is gone; that can be at any place in a program, in any thread."""
        self._observation = None
        # If the loop is closed, all is over.
        with suppress(RuntimeError):
            self.response.get_loop().call_soon_threadsafe(self.drop_observation)

    def cancel(self) -> None:
        """The application does not want the response any more, nor what comes after it."""
        self.response.delivery = None
        observation = self.observation()
        if observation is None:
            self.registration.leave(self)
        else:
            observation.cancel()

    def collect(self) -> Responses:
        """Return where the response is to be had by iterating."""
        responses = Responses()
        collector = Collector(responses, self.response.get_loop(), _do_nothing, _do_nothing)
        follow(self.response, collector)
        return responses

    # What comes

    def become(self, state: Freshness) -> None:
        """Take note of what the latest representation is worth.

        Args:
            state: The new state, or the present one.
        """
        observation = self.observation()
        if observation is not None:
            observation.become(state)

    def take(self, message: Message) -> None:
        """Give a representation to the application: as the response, or as a notification.

        Args:
            message: The whole of it; who shares it gets a copy.
        """
        self.is_behind = False
        if message.request is not self.request:
            message = message.copy(request=self.request)
        if not self.response.done():
            self.response.set_result(message)
            self._settle()
            return
        observation = self.observation()
        if observation is not None:
            observation.callback(message)

    def end(self, problem: BaseException) -> None:
        """There are no more notifications.

        Args:
            problem: Why.
        """
        observation = self.observation()
        if observation is not None:
            observation.error(problem)

    def fail(self, problem: BaseException) -> None:
        """Nothing comes any more, not even a response.

        Args:
            problem: Why.
        """
        if not self.response.done():
            self.response.set_exception(problem)
            # The observation says it as well, or nobody has an eye on anything.
            self.response.exception()
            self._settle()
        self.end(problem)

    def _settle(self) -> None:
        """Take care that who keeps the response does not keep what it came by."""
        if self.response.delivery is self:
            self.response.delivery = None

    def release(self) -> None:
        """Let go of the observation."""
        self._held = self._observation = None


def follow(response: asyncio.Future[Message], collector: Collector) -> None:
    """Have the only response to a request collected once it is there.

    Args:
        response: The future of it.
        collector: Where it goes.
    """
    response.add_done_callback(partial(_collect, collector))


def _collect(collector: Collector, response: asyncio.Future[Message]) -> None:
    if response.cancelled():
        collector.end()
        return
    problem: Any = response.exception()
    if problem is None:
        collector.add(response.result())
    # Requests fail with errors of the library only.
    collector.end(problem)


_do_nothing: Callable[..., None] = lambda *_: None  # noqa: E731

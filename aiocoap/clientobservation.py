"""What an application has of a resource that it observes.

Here lives :class:`ClientObservation`, which gives notifications to callbacks and iterations.

The room knows neither requests nor pipes: what comes, and what has become of the observation, is
told to it.

RFC 7641 sections 1.3 and 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from logging import Logger, LoggerAdapter, getLogger
from typing import TYPE_CHECKING, Any

from .message import Message
from .sansio.observation import Freshness

if TYPE_CHECKING:
    from typing import Protocol

    _Log = Logger | LoggerAdapter[Any]

    class _Driver(Protocol):
        """What makes the observation go on."""

        def hold(self, observation: ClientObservation) -> None: ...

        def drop_observation(self) -> None: ...


__all__ = ["ClientObservation"]


class ClientObservation:
    """The notifications of an observed resource (stable).

    They are had by callbacks or by ``async for``.  There is one place for the latest
    notification: what is not picked up before the next one is skipped, as observing is about
    the present state and not about its history (RFC 7641 section 1.3); the last one is kept.  A
    notification that came before anybody was there to take it is delivered to who comes first.

    The observation is taken up again by itself when Max-Age of the latest notification is over,
    and when the server can not be reached; :attr:`state` tells how much that notification is
    worth meanwhile.  After ``TransportTuning.OBSERVATION_RETRIES`` failures in a row it is over.

    Whatever ends the observation from outside is delivered as an error, once to each errback
    and once to each iteration, however late they come.

    An observation without a callback for notifications ends when the last reference to it is
    gone, of which its other callbacks can not be told.  When it ends from this side, the server
    is told.

    Attributes:
        cancelled: Whether the observation is over.
        state: ``"registering"`` until the first response is there; then ``"fresh"`` as long as
            the latest notification is not older than its Max-Age, and ``"stale"`` when it is,
            or when the server can not be reached; ``"over"`` in the end.

    RFC 7641 sections 1.3, 3.3.1 and 3.6.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.state = Freshness.REGISTERING
        self._latest: Message | None = None
        # Numbers of the latest notification, and of the last that somebody got.
        self._serial = 0
        self._consumed = 0
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Message], object]] = []
        self._errbacks: list[Callable[[BaseException], object]] = []
        self._cancel_callbacks: list[Callable[[], object]] = []
        self._state_callbacks: list[Callable[[str], object]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._driver: _Driver | None = None
        self._log: _Log = getLogger("coap")

    # For the application

    def register_callback(self, callback: Callable[[Message], object]) -> None:
        """Call a function with each notification that comes.

        Args:
            callback: Gets the notification.  What it raises goes to the log.
        """
        if not self.cancelled:
            self._callbacks.append(callback)
            if self._driver is not None:
                self._driver.hold(self)
        if self._consumed < self._serial:
            self._consumed = self._serial
            self._call(callback, self._latest)

    def register_errback(self, callback: Callable[[BaseException], object]) -> None:
        """Call a function when the observation fails, or at once if it has.

        Args:
            callback: Gets the exception; it is the last that is heard of the observation.  What
                it raises goes to the log.
        """
        if self._error is not None:
            self._call(callback, self._error)
        elif not self.cancelled:
            self._errbacks.append(callback)

    def register_statecallback(self, callback: Callable[[str], object]) -> None:
        """Call a function whenever :attr:`state` changes, or at once if that is ``"over"``.

        Args:
            callback: Gets the new state; ``"over"`` is the last.  What it raises goes to the log.
        """
        if self.cancelled:
            self._call(callback, self.state)
        else:
            self._state_callbacks.append(callback)

    def cancel(self) -> None:
        """End the observation; nothing comes of it any more, no error either."""
        if self.cancelled:
            return
        self._latest = None
        self._consumed = self._serial
        self._end()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call a function when the observation is over for any reason, or at once if it is.

        Args:
            callback: Called once, without arguments.  What it raises goes to the log.
        """
        if self.cancelled:
            self._call(callback)
        else:
            self._cancel_callbacks.append(callback)

    def __aiter__(self) -> AsyncIterator[Message]:
        """Iterate over the notifications, until the observation fails or is cancelled."""
        return _Notifications(self)

    # For who drives it

    def callback(self, response: Message) -> None:
        """Deliver a notification.

        Args:
            response: The notification.
        """
        if self.cancelled:
            return
        if self._driver is None:
            self.become(Freshness.FRESH)
        self._latest = response
        self._serial += 1
        if self._callbacks:
            self._consumed = self._serial
            for callback in list(self._callbacks):
                # One of them may cancel it.
                if not self.cancelled:
                    self._call(callback, response)
        self._wake()

    def become(self, state: Freshness) -> None:
        """Take note of what the latest notification is worth.

        Args:
            state: The new state, or the present one.
        """
        if self.state is not state and not self.cancelled:
            self.state = state
            for callback in list(self._state_callbacks):
                # One of them may end it.
                if self.state is state:
                    self._call(callback, state)

    def error(self, exception: BaseException) -> None:
        """End the observation with an error; one that is over stays as it is.

        Args:
            exception: What to deliver.
        """
        if self.cancelled:
            return
        self._error = exception
        errbacks = self._errbacks
        self._end()
        for errback in errbacks:
            self._call(errback, exception)

    def _end(self) -> None:
        self.cancelled = True
        self.state = Freshness.OVER
        self._callbacks = []
        self._errbacks = []
        state_callbacks, self._state_callbacks = self._state_callbacks, []
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.drop_observation()
        for state_callback in state_callbacks:
            self._call(state_callback, self.state)
        callbacks, self._cancel_callbacks = self._cancel_callbacks, []
        for callback in callbacks:
            self._call(callback)
        self._wake()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function of the application, from within the network stack."""
        try:
            function(*arguments)
        except Exception:
            self._log.exception("Callback %r of an observation failed", function)

    # Iteration

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self) -> None:
        """Wait for a notification or the end."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.state}, {self._serial} notification(s), "
            f"{len(self._callbacks)} callback(s), {len(self._waiters)} waiting>"
        )


class _Notifications(AsyncIterator[Message]):
    """An ``async for`` over an observation."""

    __slots__ = ("_is_over", "_observation", "_seen")

    def __init__(self, observation: ClientObservation) -> None:
        self._observation = observation
        self._seen = observation._consumed
        self._is_over = False

    async def __anext__(self) -> Message:
        """Return the latest notification, once it is a new one."""
        observation = self._observation
        while True:
            latest = observation._latest
            if self._seen < observation._serial and latest is not None:
                self._seen = observation._consumed = observation._serial
                return latest
            if observation.cancelled:
                if observation._error is None or self._is_over:
                    raise StopAsyncIteration
                self._is_over = True
                raise observation._error
            await observation._change()

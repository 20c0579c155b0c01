"""What everybody answers who has something to say to one request.

Here lives :class:`Responses`, from which an application takes the responses of a group's members
one after another, and :class:`Collector`, by which the requester puts them there.

The room knows no pipes, no tokens and no blocks: when the time is over, and whose body is in how
many blocks, is told to it.

RFC 7252 section 8.2 (multicast requests), RFC 7959 section 2.8 (blocks of each member), RFC 7390
section 2.5 and draft-ietf-core-groupcomm-bis section 3.1 (several responses with one token).

Who holds whom: the application holds the :class:`Responses`, and the requester's end holds them
weakly, so that responses which nobody has an eye on any more are not waited for.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from . import error
from .address import EndpointAddress
from .message import Message

__all__ = ["Collector", "Responses"]

MAX_FETCHING = 16
"""Number of members of a group whose bodies are fetched at the same time."""


class Responses(AsyncIterator[Message]):
    """The responses to a request, each of them once, as an asynchronous iterator (unstable).

    To a group's multicast address that is one of each member that answers, with the member as
    ``remote`` and with its whole body, in the order in which they are complete.  The iteration
    ends when the members have had the time that ``TransportTuning.GROUP_TIMEOUT`` gives them
    and the last body is there; if nobody answers, it ends then with nothing.  It raises an
    :class:`aiocoap.error.Error` once, and ends, if the request can not be sent or the context is
    shut down.  A request to a single endpoint has one response, or fails.

    What is not picked up is kept.  Letting go of the object, and of the request that it is
    from, ends the request as :meth:`cancel` does.

    Attributes:
        failures: Exceptions by members: those that did answer, but whose body could not be
            fetched to the end.
    """

    def __init__(self) -> None:
        self.failures: dict[EndpointAddress, error.Error] = {}
        self._queue: deque[Message] = deque()
        self._is_over = False
        self._problem: error.Error | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._drop: Callable[[], None] | None = None

    def __aiter__(self) -> Responses:
        """Return the object itself: several iterations share the responses."""
        return self

    async def __anext__(self) -> Message:
        """Return the next response, once it is there."""
        while not self._queue:
            if self._is_over:
                problem, self._problem = self._problem, None
                if problem is not None:
                    raise problem
                raise StopAsyncIteration
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return self._queue.popleft()

    def cancel(self) -> None:
        """Have done with it: nothing more comes, and ends iterations that wait.

        A ``response`` that has not come yet is waited for all the same.
        """
        self._queue.clear()
        drop, self._drop = self._drop, None
        self.end()
        if drop is not None:
            drop()

    # For who drives it

    def add(self, response: Message) -> None:
        """Hand in a response.

        Args:
            response: It is complete.
        """
        self._queue.append(response)
        self._wake()

    def end(self, problem: error.Error | None = None) -> None:
        """Take note that there will be no more.

        Args:
            problem: What to raise once everything is picked up; None just ends the iteration.
        """
        if not self._is_over:
            self._is_over = True
            self._problem = problem
            self._drop = None
            self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def __repr__(self) -> str:
        state = "complete" if self._is_over else "open"
        return (
            f"<{type(self).__name__} {state}, {len(self._queue)} to be picked up, "
            f"{len(self.failures)} failure(s)>"
        )


class Collector:
    """Who puts responses where the application takes them, while it has an eye on them.

    Args:
        responses: Where to put them.
        loop: The event loop.
        drop: Called when nobody wants them any more, perhaps even after they are complete.
        fail: Called when work on a response was cancelled, which only the context does.
    """

    __slots__ = (
        "_drop",
        "_fail",
        "_finish",
        "_gate",
        "_loop",
        "_responders",
        "_responses",
        "_tasks",
        "failures",
    )

    def __init__(
        self,
        responses: Responses,
        loop: asyncio.AbstractEventLoop,
        drop: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        responses._drop = self._drop = drop
        self._loop = loop
        self._responses = weakref.ref(responses, self._let_go)
        self.failures = responses.failures
        self._fail = fail
        self._responders: set[EndpointAddress | None] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate: asyncio.Semaphore | None = None
        self._finish: Callable[[], None] | None = None

    def _let_go(self, _: object) -> None:
        """The last reference is gone; that can be at any place in a program, in any thread."""
        # If the loop is closed, all is over.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._drop)

    def admit(self, responder: EndpointAddress | None) -> bool:
        """Return whether an endpoint has not answered before, and take note that it has.

        Args:
            responder: Where a response came from.
        """
        if responder in self._responders:
            return False
        self._responders.add(responder)
        return True

    def add(self, response: Message) -> None:
        """Hand in a response.

        Args:
            response: It is complete.
        """
        responses = self._responses()
        if responses is not None:
            responses.add(response)

    @property
    def gate(self) -> asyncio.Semaphore:
        """What work on a response passes through, so that there is not too much at a time."""
        if self._gate is None:
            self._gate = asyncio.Semaphore(MAX_FETCHING)
        return self._gate

    def begin(self, task: asyncio.Task[None]) -> None:
        """Wait for work on a response.

        Args:
            task: It hands in the response itself, or puts down why there is none.
        """
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task not in self._tasks:
            # All is over, and that is why it ended.
            return
        self._tasks.remove(task)
        if task.cancelled():
            self._fail(error.LibraryShutdown())
        elif not self._tasks and self._finish is not None:
            self._finish()

    def close(self, finish: Callable[[], None]) -> None:
        """Take note that nobody else will answer.

        Args:
            finish: Called when all work is done, which may be at once.
        """
        if self._tasks:
            self._finish = finish
        else:
            finish()

    def end(self, problem: error.Error | None = None) -> None:
        """Stop all work, and tell whoever waits.

        Args:
            problem: Why, if it is not because everything is there.
        """
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        responses = self._responses()
        if responses is not None:
            responses.end(problem)

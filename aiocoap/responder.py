"""The server half: from an incoming request to its response, or to a series of them.

Here lives :class:`Responder`, which drives a resource for each request of a context.

The room knows no tokens, no types and no transports; what is in a block and which block comes
next is decided in :mod:`aiocoap.sansio.blockwise`.

RFC 7252 section 5 (requests), section 8.2 (multicast), RFC 7959 (blocks), RFC 7641 section 4
(observations), RFC 7967 (No-Response).

The way of a request::

    options that nobody can act on --> 4.02    (proxying that nobody does --> 5.05)
    a later block of a kept body   --> that block, without a task
    a block of an unfinished body  --> 2.31, 4.08 or 4.13
    everything else                --> the resource renders it
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context as Variables
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .message import Message
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .pipe import Phase, Pipe
from .responserules import (
    HANDLED_OPTIONS,
    PARTICULAR_OPTIONS,
    PRISTINE,
    asks_for_observation,
    came_by_multicast,
    check_elective,
    check_refused,
    checked,
    is_suppressed,
    size_limit,
    with_block1,
)
from .sansio.blockwise import Bodies, Uploads, block_size, refuse, transfer_key
from .sansio.observation import Counter
from .serverobservation import ServerObservation
from .util.asyncio.driving import go_on, is_cancelled
from .util.logration import LogRation

if TYPE_CHECKING:
    from .protocol import Context

__all__ = ["Responder"]

_BLOCK1, _BLOCK2 = int(OptionNumber.BLOCK1), int(OptionNumber.BLOCK2)
_OBSERVE, _NO_RESPONSE = int(OptionNumber.OBSERVE), int(OptionNumber.NO_RESPONSE)
_UNUSUAL = PARTICULAR_OPTIONS | {_BLOCK1, _BLOCK2, _OBSERVE}
_OBSERVABLE = (Code.GET, Code.FETCH)

_is_handled = HANDLED_OPTIONS.__contains__

MAX_TRACEBACKS = 20
"""Number of tracebacks of failed handlers that go to the log in a minute at most."""

MAX_NOTIFICATIONS = 64
"""Number of notifications after which everything else that the event loop has to do gets a turn."""

MAX_UNATTENDED = 1024
"""Number of handlers at which requests with No-Response lose the privilege to be worked on to the
end even though their token was used again."""


class Responder:
    """What answers the requests to one context.

    Args:
        context: The context, whose ``serversite`` is asked.
    """

    def __init__(self, context: Context) -> None:
        tuning = context.transport_tuning
        self._context = context
        self._loop = context.loop
        self._create_task = context.loop.create_task
        self._exponent = tuning.DEFAULT_BLOCK_SIZE_EXP
        # Responses up to this size go out whole, unless smaller blocks are asked for.
        self._whole_size = 16 << min(self._exponent, 6)
        self._uploads = Uploads(tuning.MAX_BODY_SIZE, tuning.EXCHANGE_LIFETIME)
        self._bodies = Bodies(tuning.EXCHANGE_LIFETIME)
        self._counter = Counter()
        # Requests that no handler has begun with, and observations that have a notification to
        # give; whether a task is about to serve them, and that task.
        self._waiting: deque[Pipe] = deque()
        self._outdated: deque[ServerObservation] = deque()
        self._is_serving = False
        # What notifications find in context variables, whoever has changed the state.
        self._variables = copy_context()
        self._runner: asyncio.Task[None] | None = None
        # Handlers that wait for something, by the pipe that they answer.
        self._tasks: dict[Pipe, asyncio.Task[None]] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._failures = LogRation(
            MAX_TRACEBACKS, "More requests fail; no more of them are logged in this minute"
        )
        # From the shutdown on: handlers that it waits for, and those that called it themselves.
        self._is_closed = False
        self._ending: set[asyncio.Task[None]] = set()
        self._spared: set[asyncio.Task[Any]] = set()

    # Driving

    def answer(self, pipe: Pipe) -> None:
        """Have a request answered.

        Args:
            pipe: A pipe with the request; the responses go in there.
        """
        if not self._is_serving:
            if self._serve_kept(pipe):
                return
            self._waiting.append(pipe)
            self._run()
        else:
            self._waiting.append(pipe)

    def _run(self, variables: Variables | None = None) -> None:
        """Serve what waits.

        Args:
            variables: What context variables handlers find; None takes the present ones.
        """
        self._is_serving = True
        runner = self._create_task(self._serve_waiting(), context=variables)
        # With an eager task factory, it is done by now.
        self._runner = runner if self._is_serving else None

    async def _serve_waiting(self) -> None:
        """Serve requests for as long as they need no waiting, in one task.

        Most handlers return at once, and making a task costs as much as serving one of them.
        The first that has to wait keeps the task for itself, and another serves the rest.
        Notifications are made in the same way.
        """
        waiting, outdated, variables = self._waiting, self._outdated, copy_context()
        work = observation = None
        room = MAX_NOTIFICATIONS
        try:
            while waiting or outdated:
                if waiting:
                    pipe = waiting.popleft()
                    if self._serve_kept(pipe):
                        continue
                    work = self._serve(pipe)
                elif room:
                    room -= 1
                    observation = outdated.popleft()
                    pipe = observation.pipe
                    work = observation.run()
                else:
                    return
                try:
                    waits_for = work.send(None)
                except StopIteration:
                    if copy_context() == variables:
                        continue
                    # What one handler puts into context variables is not for the next one.
                    return
                if observation is not None and observation.pipe is pipe:
                    self._keep_notifying(pipe)
                else:
                    self._keep(pipe)
                break
            else:
                return
        finally:
            self._is_serving = False
            self._runner = None
            if waiting or outdated:
                self._run(variables)
        rest = go_on(work, waits_for)
        # What was waited for first may hold a lot, and the handler go on for long.
        del waits_for
        await rest

    def _keep(self, pipe: Pipe) -> None:
        """Let the present task go on with a request that needs waiting."""
        if pipe in self._tasks:
            return
        task = asyncio.current_task()
        assert task is not None  # coroutines are driven by one
        if task in self._spared:
            return
        opt = pipe.request.opt
        is_unattended = _NO_RESPONSE in opt and len(self._tasks) < MAX_UNATTENDED
        self._tasks[pipe] = task
        if is_unattended:
            # The client may use the token again at once (RFC 7967 section 3.1), but means it.
            return
        if pipe.phase is Phase.ENDED:
            task.cancel()
        else:
            pipe.on_interest_end(partial(self.stop, pipe))

    def _keep_notifying(self, pipe: Pipe) -> None:
        """Let the present task go on with a notification that needs waiting."""
        task = asyncio.current_task()
        assert task is not None  # coroutines are driven by one
        if task in self._spared:
            return
        if pipe.phase is Phase.ENDED:
            task.cancel()
        else:
            # The observation says when the pipe ends.
            self._tasks[pipe] = task

    def work_on(self, observation: ServerObservation) -> None:
        """Have an observation make a notification.

        Args:
            observation: One that is not at work.
        """
        self._outdated.append(observation)
        if not self._is_serving:
            self._run(self._variables.copy())

    def done(self, pipe: Pipe) -> None:
        """Take note that the work for a pipe is done."""
        if self._tasks:
            self._tasks.pop(pipe, None)

    def stop(self, pipe: Pipe) -> None:
        """Stop working for a pipe that nobody waits for, unless the work is done.

        If it is that work which ends the pipe, it goes on to its own end.
        """
        task = self._tasks.get(pipe)
        if task is not None and task is not asyncio.current_task():
            del self._tasks[pipe]
            task.cancel()

    async def _serve(self, pipe: Pipe) -> None:
        """Answer one request, whatever happens."""
        request = pipe.request
        try:
            response = await self._respond(pipe, request)
        except Exception as problem:
            response = self.failed(pipe, request, problem)
        except asyncio.CancelledError as problem:
            if is_cancelled():
                self._tasks.pop(pipe, None)
                raise
            response = self.failed(pipe, request, problem)
        if self._tasks:
            self._tasks.pop(pipe, None)
        if response is not None:
            if request.response_limit is not None:
                response = self._within_limit(request, response)
            pipe.add_response(response, True)

    async def _respond(self, pipe: Pipe, request: Message) -> Message | None:
        """Return the one response to a request, or None where there are others in the pipe.

        Raises:
            RenderableError: It is to be turned into the response.
            Exception: So is any other, but without its text.
        """
        site = self._context.serversite
        if site is None:
            raise error.NoResource
        opt = request.opt
        refused = opt.unusable_critical(_is_handled)
        if refused:
            check_refused(refused, request, site)
        resource, seen = site.resolve(request)
        if resource.multicast is False and came_by_multicast(request):
            return Message(code=Code.EMPTY)
        if resource.render_to_pipe is not None:
            if not resource.multicast and came_by_multicast(request):
                return Message(code=Code.EMPTY)
            await self._hand_over(pipe, seen, resource.render_to_pipe)
            return None
        key: Hashable = None
        if opt.has_any(_UNUSUAL):
            check_elective(request)
            if (_BLOCK1 in opt or _BLOCK2 in opt) and await resource.needs_blockwise_assembly(seen):
                key = transfer_key(request)
                whole = self._gather(key, request)
                if whole.code.is_response():
                    if whole.code >= 128 and is_suppressed(request, whole, resource):
                        return Message(code=Code.EMPTY)
                    return whole
                if whole is not request:
                    request = whole
                    resource, seen = site.resolve(whole)
            if _OBSERVE in opt and asks_for_observation(request):
                observation = await self._observe(pipe, resource, seen, key)
                if observation is not None:
                    await observation.run()
                    return None
        response = checked(request, resource, await resource.render(seen), key)
        if key is None and self.goes_whole(request, response):
            return response
        return await self.cut(request, resource, seen, response, key)

    async def _hand_over(
        self, pipe: Pipe, seen: Message, render_to_pipe: Callable[[Pipe], Awaitable[None]]
    ) -> None:
        """Have a resource answer in its own way, for as long as somebody waits for that."""
        if pipe.phase is Phase.ENDED:
            return
        check_elective(seen)
        pipe.request = seen
        self._tasks[pipe] = asyncio.current_task()  # type: ignore[assignment]
        pipe.on_interest_end(partial(self.stop, pipe))
        await render_to_pipe(pipe)

    # Blocks

    def _serve_kept(self, pipe: Pipe) -> bool:
        """Answer a request for a later block of a body that is kept; return whether it is one.

        No resource has a part in it, and so no task is needed.  That the request makes sense was
        found when it asked for the first block.

        RFC 7959 sections 2.4 and 2.7.
        """
        request, site = pipe.request, self._context.serversite
        opt = request.opt
        if _BLOCK2 not in opt or _BLOCK1 in opt or site is None or came_by_multicast(request):
            return False
        refused = opt.unusable_critical(_is_handled)
        if refused:
            try:
                check_refused(refused, request, site)
            except error.RenderableError:
                # It is raised again where it is answered.
                return False
        exponent, payload_size = block_size(request, self._exponent)
        block = self._bodies.later(request, exponent, payload_size, self._loop.time())
        if block is None:
            return False
        if block.code >= 128 and is_suppressed(request, block, site):
            block = Message(code=Code.EMPTY)
        elif request.response_limit is not None:
            block = self._within_limit(request, block)
        pipe.add_response(block, True)
        return True

    def _gather(self, key: Hashable, request: Message) -> Message:
        """Return what to render (a request), or what to answer at once (a response).

        RFC 7959 sections 2.4, 2.5 and 2.7.
        """
        exponent, _ = block_size(request, self._exponent)
        if _BLOCK1 in request.opt:
            whole, reply = self._uploads.feed(key, request, exponent, self._loop.time())
            self._wake_for_expiry()
            if whole is not None:
                return whole
            assert reply is not None  # one of the two is there
            return reply
        # Before anything is acted on (section 2.2).
        refusal = refuse(request, exponent)
        if refusal is not None:
            return refusal
        if request.code != Code.GET and not (request.code == Code.FETCH and request.payload):
            block2 = request.opt.block2
            if block2 is not None and block2.block_number:
                # Rendering it anew would do it again (section 2.7).
                return Message(code=Code.REQUEST_ENTITY_INCOMPLETE)
        return request

    def goes_whole(self, request: Message, response: Message) -> bool:
        """Whether a response needs no thought of blocks, unless the client asks for them."""
        return len(response.payload) <= self._whole_size and request.response_limit is None

    async def cut(
        self,
        request: Message,
        resource: interfaces.Resource,
        seen: Message,
        response: Message,
        key: Hashable,
    ) -> Message:
        """Return the block of a response that was asked for, and keep the rest for later."""
        if response.code == Code.EMPTY:
            return response
        if key is None:
            if not await resource.needs_blockwise_assembly(seen):
                return response
            key = transfer_key(request)
        exponent, payload_size = block_size(request, self._exponent)
        now = self._loop.time()
        first = self._bodies.first(key, request, response, exponent, payload_size, now)
        self._wake_for_expiry()
        return with_block1(request, first)

    def _wake_for_expiry(self) -> None:
        """Arm the one timer that forgets abandoned transfers."""
        if self._expiry is not None or self._is_closed:
            return
        deadlines = (self._uploads.next_deadline(), self._bodies.next_deadline())
        waiting = [deadline for deadline in deadlines if deadline is not None]
        if waiting:
            self._expiry = self._loop.call_at(min(waiting), self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = self._loop.time()
        self._uploads.expire(now)
        self._bodies.expire(now)
        self._wake_for_expiry()

    # Errors

    def failed(self, pipe: Pipe, request: Message, problem: BaseException) -> Message:
        """Return the response for an exception, and log it where it is not an expected one.

        Args:
            pipe: Where the response goes.
            request: The request.
            problem: What was raised while it was answered.

        RFC 7252 section 5.9.
        """
        response = None
        if isinstance(problem, error.RenderableError):
            try:
                response = problem.to_message()
                if response.code is None or not response.code.is_response():
                    raise TypeError(f"{problem!r} was rendered to no response: {response!r}")
            except Exception as second:
                problem, response = second, None
        if response is None:
            self._log_failure(pipe, problem)
            response = Message(code=Code.INTERNAL_SERVER_ERROR)
        if is_suppressed(request, response, self._context.serversite):
            return Message(code=Code.EMPTY)
        if response.request is not None or response.mid is not None or _NO_RESPONSE in response.opt:
            # The error keeps it, or it came from elsewhere.
            response = response.copy(**PRISTINE, no_response=None)
        return with_block1(request, response)

    def _within_limit(self, request: Message, response: Message) -> Message:
        """Return what may be sent to somebody who could have been made up by another.

        It is the response, or a request for proof: the client repeats its request with the
        Echo value, which nobody else gets to see.  Where doing it again would be wrong the
        response stands, and goes out once the client has repeated its message often enough.

        RFC 9175 section 2.4 item 3.
        """
        limit = size_limit(request)
        # All but type and Message ID is there, and those have the same size in any message.
        size = 4 + len(request.token) + len(response.opt.encode()) + len(response.payload)
        if size + bool(response.payload) <= limit or response.code == Code.EMPTY:
            return response
        if not response.code.is_successful() and response.opt.content_format is None:
            return response.copy(payload=b"")
        if request.code not in _OBSERVABLE:
            return response
        assert request.remote is not None  # incoming messages have one
        echo = self._context.address_proof.challenge(request.remote, self._loop.time())
        return Message(code=Code.UNAUTHORIZED, echo=echo)

    def _log_failure(self, pipe: Pipe, problem: BaseException) -> None:
        """Log an unexpected exception, unless strangers make it happen all the time."""
        now, text = self._loop.time(), "Rendering %r failed"
        self._failures.log(now, pipe.log.error, text, pipe.request, exc_info=problem)

    # Observations

    async def _observe(
        self,
        pipe: Pipe,
        resource: interfaces.Resource,
        seen: Message,
        key: Hashable,
    ) -> ServerObservation | None:
        """Return the observation that a request asks for, if the resource takes it up.

        RFC 7641 section 4.1.
        """
        if not isinstance(resource, interfaces.ObservableResource):
            return None
        observation = ServerObservation(self, pipe, resource, seen, key)
        await resource.add_observation(seen, observation)
        return observation if observation.is_accepted else None

    def find(self, request: Message) -> tuple[interfaces.Resource, Message] | None:
        """Return the resource that a request is for, and the request as that one sees it."""
        site = self._context.serversite
        try:
            return None if site is None else site.resolve(request)
        except error.RenderableError:
            return None

    def next_number(self) -> int:
        """Return the sequence number for a notification (RFC 7641 section 4.4)."""
        return self._counter.next(self._loop.time())

    def spare(self, task: asyncio.Task[Any] | None) -> bool:
        """Let a handler that closes the context go on meanwhile and after that.

        Args:
            task: The present task; it need not be one of a handler.

        Returns:
            Whether the closing has begun to wait for it, so that it can not wait for that.
        """
        if task is None or task in self._ending:
            return task is not None
        pipes = [pipe for pipe, known in self._tasks.items() if known is task]
        for pipe in pipes:
            del self._tasks[pipe]
        # One that has not waited for anything yet is still the runner's.  An eager task factory
        # lets it run before the runner is known.
        is_runner = self._is_serving and self._runner in (None, task)
        if is_runner:
            self._runner = None
        if pipes or is_runner:
            self._spared.add(task)
        return False

    def close(self) -> list[asyncio.Task[None]]:
        """Forget everything, and cancel all work.

        Returns:
            The tasks that are going to end.
        """
        self._is_closed = True
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if self._runner is not None:
            tasks.append(self._runner)
        self._ending.update(tasks)
        self._waiting.clear()
        self._outdated.clear()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._uploads.clear()
        self._bodies.clear()
        return tasks

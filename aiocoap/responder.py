"""The server half: from an incoming request to its response, or to a series of them.

Here live :class:`Responder`, which drives a resource for each request of a context, and
:class:`ServerObservation`.

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
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable
from contextvars import Context as Variables
from contextvars import copy_context
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .message import Direction, Message, NoResponse
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .numbers.types import CON
from .pipe import Phase, Pipe
from .sansio.blockwise import Bodies, Uploads, block_size, refuse, transfer_key
from .sansio.observation import Counter
from .util.logration import LogRation

if TYPE_CHECKING:
    from .protocol import Context

__all__ = ["Responder", "ServerObservation"]

_ETAG, _BLOCK1, _BLOCK2 = (
    int(number) for number in (OptionNumber.ETAG, OptionNumber.BLOCK1, OptionNumber.BLOCK2)
)
_OBSERVE, _NO_RESPONSE = int(OptionNumber.OBSERVE), int(OptionNumber.NO_RESPONSE)
_HOP_LIMIT = int(OptionNumber.HOP_LIMIT)
_LOCATION = frozenset((int(OptionNumber.LOCATION_PATH), int(OptionNumber.LOCATION_QUERY)))
_RESERVED_FOR_LOCATION = frozenset((128, 132, 136, 140))
# Elective options that can be more than a recipient may ignore.
_PARTICULAR = _LOCATION | {_HOP_LIMIT}
_UNUSUAL = _PARTICULAR | {_BLOCK1, _BLOCK2, _OBSERVE}
_OBSERVABLE = (Code.GET, Code.FETCH)
_PROXYING = (int(OptionNumber.PROXY_URI), int(OptionNumber.PROXY_SCHEME))

HANDLED_OPTIONS = frozenset(
    (
        OptionNumber.IF_MATCH,
        OptionNumber.URI_HOST,
        OptionNumber.IF_NONE_MATCH,
        OptionNumber.URI_PORT,
        OptionNumber.URI_PATH,
        OptionNumber.URI_QUERY,
        OptionNumber.ACCEPT,
        OptionNumber.BLOCK2,
        OptionNumber.BLOCK1,
    )
)
"""The critical options of requests that the library or any resource can be taken to act on."""

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
        rest = _go_on(work, waits_for)
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
            if _is_cancelled():
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
            _check_refused(refused, request, site)
        resource, seen = site.resolve(request)
        if resource.multicast is False and _came_by_multicast(request):
            return Message(code=Code.EMPTY)
        if resource.render_to_pipe is not None:
            if not resource.multicast and _came_by_multicast(request):
                return Message(code=Code.EMPTY)
            await self._hand_over(pipe, seen, resource.render_to_pipe)
            return None
        key: Hashable = None
        if opt.has_any(_UNUSUAL):
            _check_elective(request)
            if (_BLOCK1 in opt or _BLOCK2 in opt) and await resource.needs_blockwise_assembly(seen):
                key = transfer_key(request)
                whole = self._gather(key, request)
                if whole.code.is_response():
                    if whole.code >= 128 and _is_suppressed(request, whole, resource):
                        return Message(code=Code.EMPTY)
                    return whole
                if whole is not request:
                    request = whole
                    resource, seen = site.resolve(whole)
            if _OBSERVE in opt and _asks_for_observation(request):
                observation = await self._observe(pipe, resource, seen, key)
                if observation is not None:
                    await observation.run()
                    return None
        response = _checked(request, resource, await resource.render(seen), key)
        if key is None and self.goes_whole(request, response):
            return response
        return await self.cut(request, resource, seen, response, key)

    async def _hand_over(
        self, pipe: Pipe, seen: Message, render_to_pipe: Callable[[Pipe], Awaitable[None]]
    ) -> None:
        """Have a resource answer in its own way, for as long as somebody waits for that."""
        if pipe.phase is Phase.ENDED:
            return
        _check_elective(seen)
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
        if _BLOCK2 not in opt or _BLOCK1 in opt or site is None or _came_by_multicast(request):
            return False
        refused = opt.unusable_critical(_is_handled)
        if refused:
            try:
                _check_refused(refused, request, site)
            except error.RenderableError:
                # It is raised again where it is answered.
                return False
        exponent, payload_size = block_size(request, self._exponent)
        block = self._bodies.later(request, exponent, payload_size, self._loop.time())
        if block is None:
            return False
        if block.code >= 128 and _is_suppressed(request, block, site):
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
        return _with_block1(request, first)

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
        if _is_suppressed(request, response, self._context.serversite):
            return Message(code=Code.EMPTY)
        if response.request is not None or response.mid is not None or _NO_RESPONSE in response.opt:
            # The error keeps it, or it came from elsewhere.
            response = response.copy(**_PRISTINE, no_response=None)
        return _with_block1(request, response)

    def _within_limit(self, request: Message, response: Message) -> Message:
        """Return what may be sent to somebody who could have been made up by another.

        It is the response, or a request for proof: the client repeats its request with the
        Echo value, which nobody else gets to see.  Where doing it again would be wrong the
        response stands, and goes out once the client has repeated its message often enough.

        RFC 9175 section 2.4 item 3.
        """
        limit = _limit(request)
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


@coroutine
def _go_on(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was started by hand.

    Args:
        work: The coroutine.
        waits_for: What its first step asked the task to wait for.
    """
    while True:
        problem = None
        try:
            yield waits_for
        except BaseException as caught:
            problem = caught
        try:
            waits_for = work.send(None) if problem is None else work.throw(problem)
        except StopIteration:
            return
        finally:
            # It knows this frame: they would keep each other.
            del problem


def _is_cancelled() -> bool:
    """Whether the present task was cancelled, and not just something that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


# What a message looks like that was never sent nor received.
_PRISTINE: dict[str, Any] = {
    "mtype": None,
    "mid": None,
    "token": b"",
    "remote": None,
    "request": None,
    "direction": Direction.OUTGOING,
    "observe": None,
}


def _check_refused(refused: int, request: Message, site: interfaces.Resource) -> None:
    """Raise the error for a critical option, unless the resource acts on it.

    RFC 7252 sections 5.4.1 and 5.10.2.
    """
    try:
        handled = site.resolve(request)[0].handled_options
    except error.RenderableError:
        handled = frozenset()
    if handled is None:
        return
    refused = request.opt.unusable_critical(
        lambda number: number in HANDLED_OPTIONS or number in _PROXYING or number in handled
    )
    if refused:
        raise error.BadOption(f"{OptionNumber(refused)} can not be acted on")
    if any(number in request.opt and number not in handled for number in _PROXYING):
        raise error.ProxyingNotSupported("This server is no proxy")


def _check_elective(request: Message) -> None:
    """Raise the error for elective options that are there in a way that may not be ignored.

    That goes before the rule that what has a wrong length is ignored.

    Raises:
        BadRequest: There can not be that number of hops (RFC 8768 section 3).
        BadOption: There is more to a location than is known (RFC 7252 section 5.10.7).
    """
    opt = request.opt
    if not opt.has_any(_PARTICULAR):
        return
    if _HOP_LIMIT in opt:
        value = next(raw for number, raw in opt.raw_items() if number == _HOP_LIMIT)
        if not 0 < int.from_bytes(value, "big") < 256:
            raise error.BadRequest("HOP_LIMIT is from 1 to 255")
    if opt.has_any(_LOCATION) and opt.has_any(_RESERVED_FOR_LOCATION):
        raise error.BadOption("That LOCATION can not be acted on")


def _checked(
    request: Message, resource: interfaces.Resource, rendered: Any, key: Hashable
) -> Message:
    """Return what a resource returned as a message that was never sent, or an empty one.

    Raises:
        TypeError: It is no response.

    RFC 7967 section 2.
    """
    if not isinstance(rendered, Message):
        if rendered is NoResponse:
            return Message(code=Code.EMPTY)
        raise TypeError(f"{resource!r} returned a {type(rendered).__name__}, not a Message")
    response, code = rendered, rendered.code
    if code is None or not 64 <= code < 192:
        raise TypeError(f"{resource!r} returned a message that is no response: {response!r}")
    if response.request is not None or response.mid is not None:
        # It was sent or received before: the resource keeps it, or passes it on.
        response = response.copy(**_PRISTINE)
        if key is not None or _BLOCK1 not in request.opt:
            # That was about the blocks of another request.
            response.opt.block1 = None
    if code >= 128 or _NO_RESPONSE in response.opt or _NO_RESPONSE in request.opt:
        if _is_suppressed(request, response, resource):
            return Message(code=Code.EMPTY)
        if _NO_RESPONSE in response.opt:
            response = response.copy(no_response=None)
    return response


def _limit(request: Message) -> int:
    """Return how many bytes a response may have; an acknowledgement may have gone before it."""
    assert request.response_limit is not None  # callers have looked
    return request.response_limit - (4 if request.mtype is CON else 0)


def _asks_for_observation(request: Message) -> bool:
    """Whether a request with Observe asks for an observation that makes sense.

    What is observed is the whole, so that a later block can only be asked for once (RFC 7959
    section 2.6).
    """
    opt = request.opt
    if opt.observe != 0 or request.code not in _OBSERVABLE:
        return False
    block2 = opt.block2
    return block2 is None or not block2.block_number


def _came_by_multicast(request: Message) -> bool:
    """Whether a request was sent to a group that we are in."""
    remote = request.remote
    return remote is not None and remote.is_multicast_locally


def _is_suppressed(request: Message, response: Message, site: interfaces.Resource | None) -> bool:
    """Whether a response is not to be sent.

    What the resource says goes before what the client asks for; errors are not sent to multicast
    unless either of them wants it (RFC 7252 section 8.2, RFC 7967 section 2.1).

    Args:
        request: The request.
        response: The response.
        site: The resource, or where it is found.
    """
    bits = response.opt.no_response
    if bits is None:
        bits = request.opt.no_response
    if bits is not None:
        return bool(bits & 1 << response.code.class_ - 1)
    if response.code.is_successful() or not _came_by_multicast(request):
        return False
    try:
        return site is None or not site.resolve(request)[0].multicast
    except error.RenderableError:
        return True


def _as_it_came(seen: Message) -> Message:
    """Return a request that sites took segments of the path off, with its whole path."""
    path = seen.full_path
    return seen if len(path) == len(seen.opt.uri_path) else seen.copy(uri_path=path)


def _with_block1(request: Message, response: Message) -> Message:
    """Return the response to the last block of a body, saying so.

    RFC 7959 section 2.3.
    """
    block1 = request.opt.block1
    if block1 is None or response.opt.block1 is not None:
        return response
    return response.copy(block1=(block1.block_number, False, block1.size_exponent))


class ServerObservation(interfaces.ServerObservation):
    """One observer of one resource.

    Notifications are rendered one after another; states that come and go while one is rendered
    are skipped (RFC 7641 section 1.3).  It ends when the resource is represented in another
    format than at first (section 4.2).

    Args:
        responder: Who renders and sends.
        pipe: Where notifications go.
        resource: The resource.
        request: The whole request that asked for the observation, as the resource sees it.
        key: The transfer's key, where the request has anything to do with blocks.

    Attributes:
        request: As given; the only one that is kept, as there may be many observers.
        pipe: As given.
    """

    __slots__ = (
        "_cancellation_callback",
        "_content_format",
        "_given",
        "_is_first",
        "_is_last",
        "_is_outdated",
        "_is_running",
        "_key",
        "_resource",
        "_responder",
        "is_accepted",
        "pipe",
        "request",
    )

    def __init__(
        self,
        responder: Responder,
        pipe: Pipe,
        resource: interfaces.Resource,
        request: Message,
        key: Hashable = None,
    ) -> None:
        self._responder = responder
        self.pipe = pipe
        self._resource = resource
        self.request = request
        self._key = key
        self._cancellation_callback: Callable[[], object] | None = None
        # That of the first representation; Ellipsis as long as there is none.
        self._content_format: Any = ...
        # What the next notification is to be, where the resource said so.
        self._given: Message | None = None
        # Whether nothing was sent yet, and whether nothing may be sent after what is next.
        self._is_first = True
        self._is_last = False
        # From taking it up to the end of the first response it is outdated and running.
        self._is_outdated = True
        self._is_running = True
        self.is_accepted = False

    def accept(self, cancellation_callback: Callable[[], object]) -> None:
        """Take up the observation.

        Args:
            cancellation_callback: Called once when the observation has ended.  What it raises
                goes to the log.

        Raises:
            RuntimeError: It was taken up before.
        """
        if self.is_accepted:
            raise RuntimeError("the observation was accepted before")
        self.is_accepted = True
        self._cancellation_callback = cancellation_callback
        self.pipe.on_interest_end(self._ended)

    def _ended(self) -> None:
        self._responder.stop(self.pipe)
        callback, self._cancellation_callback = self._cancellation_callback, None
        assert callback is not None  # it was there before the pipe could end
        try:
            callback()
        except Exception:
            self.pipe.log.exception("Callback %r of an observation failed", callback)

    def deregister(self, reason: str | None = None) -> None:
        """End the observation: the observer gets the present state as an ordinary response.

        Args:
            reason: Goes to the log.

        RFC 7641 section 4.2 (a notification without Observe is the last).
        """
        self.pipe.log.debug("Observation of %r ends: %s", self.pipe.request, reason)
        self.trigger(is_last=True)

    def trigger(self, response: Message | None = None, *, is_last: bool = False) -> None:
        """Notify the observer.

        Args:
            response: What to send, taken for a 2.05 if it has no code; None renders the
                resource anew.
            is_last: Whether the observation ends with it; it does with any unsuccessful one.

        RFC 7641 section 4.2.
        """
        if self._cancellation_callback is None or self._is_last:
            # It never began, or is over, or what ends it is on its way.
            return
        if response is not None:
            if not response.code:
                response = response.copy(code=Code.CONTENT)
            is_last = is_last or not response.code.is_successful()
        self._given = response
        self._is_last = is_last
        self._is_outdated = True
        if not self._is_running:
            self._is_running = True
            self._responder.work_on(self)

    def renew(self, request: Message) -> bool:
        """Go on with an equal request of the same observer.

        Args:
            request: It may know other ETags.

        Returns:
            Whether the observation goes on with it; it is to be triggered then.

        RFC 7641 section 4.1.
        """
        if self._cancellation_callback is None or self._is_last:
            return False
        found = self._responder.find(request)
        if found is None or found[0] is not self._resource:
            return False
        seen, former = found[1], self.request
        if seen.full_path != former.full_path or (
            seen.get_cache_key((_ETAG,)) != former.get_cache_key((_ETAG,))
        ):
            return False
        self.request = seen
        if self._key is not None:
            self._key = transfer_key(request)
        self._content_format = ...
        return True

    async def run(self) -> None:
        """Send notifications until the last one sent is up to date."""
        responder, pipe = self._responder, self.pipe
        while self._is_outdated:
            self._is_outdated = False
            given, self._given = self._given, None
            try:
                request, resource, key = self.request, self._resource, self._key
                rendered = await resource.render(request) if given is None else given
                response = _checked(request, resource, rendered, key)
                if key is not None or not responder.goes_whole(request, response):
                    whole = _as_it_came(request)
                    response = await responder.cut(whole, resource, request, response, key)
                self._check_format(response, rendered)
            except Exception as problem:
                response = self._failed(problem)
            except asyncio.CancelledError as problem:
                if _is_cancelled():
                    raise
                response = self._failed(problem)
            code = response.code
            # Who does not get the first response does not know that there are to be others.
            if self._is_last or code >= 128 or (self._is_first and not code):
                responder.done(pipe)
                pipe.add_response(response, True)
                return
            if code:
                if response is given:
                    # It is the resource's, and may be given to others.
                    response = response.copy()
                response.opt.observe = responder.next_number()
            pipe.add_response(response)
            if self._is_first:
                self._end_first()
            if self._is_outdated:
                # What changes whenever it is looked at must not keep the loop for itself.
                await asyncio.sleep(0)
        self._is_running = False
        responder.done(pipe)

    def _end_first(self) -> None:
        """Take note that the first response was sent."""
        self._is_first = False
        if _BLOCK1 in self.request.opt:
            # Only the first response is about the body of the request, too.
            self.request = self.request.copy(block1=None)
        self.pipe.maintain(self)

    def _check_format(self, response: Message, rendered: Any) -> None:
        """Look whether a notification can be the continuation of those before.

        Raises:
            NotAcceptable: It has another format.

        RFC 7641 section 4.2.
        """
        code = response.code
        if not code:
            # It is the end even if it is not sent.
            self._is_last = self._is_last or (rendered is not NoResponse and rendered.code >= 128)
        elif code < 128 and code != Code.VALID:
            content_format = response.opt.content_format
            if self._content_format is ...:
                self._content_format = content_format
            elif content_format != self._content_format:
                raise error.NotAcceptable

    def _failed(self, problem: BaseException) -> Message:
        """Return the last notification."""
        self._is_last = True
        return self._responder.failed(self.pipe, self.request, problem)

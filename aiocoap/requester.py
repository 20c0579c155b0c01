"""The client half: from a request of the application to its response, or to a series of them.

Here live the requests that a context hands out (:class:`Request` for one message,
:class:`BlockwiseRequest` for whole bodies).

The room knows no tokens, no types and no transports; which block comes next is decided in
:mod:`aiocoap.sansio.blockwise`, and what becomes of an observation in :mod:`.registration`.

RFC 7252 sections 5.2 and 8.2, RFC 7959 sections 2.4 to 2.8, RFC 9175 sections 2.3 (Echo) and 3.4
(Request-Tag).

The way of a request::

    resolve --> send --> response --> (fetch its other blocks) --> the future ``response``
          '--> upload block by block --'        '---- newer notifications --> ``observation``
      ^                                                                   |
      '------------------------ the observation is taken up again --------'

Who holds whom: the application holds the request, and that holds future and observation.  What
works on it (:class:`_Delivery`) is held by the pipe that waits for responses, or by what waits
for the time to ask again, and holds the observation weakly, so that one which nobody has an eye
on any more ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from functools import partial
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .address import EndpointAddress
from .clientobservation import ClientObservation
from .groupresponses import Collector, Responses
from .message import Message
from .numbers.codes import Code
from .numbers.constants import TransportTuning
from .numbers.optionnumbers import OptionNumber
from .observer import Response, follow
from .pipe import Pipe, Renewal
from .registration import Registration
from .sansio.blockwise import (
    MAX_RESTARTS,
    Block1Upload,
    Block2Download,
    needs_upload,
    wants_download,
)
from .sansio.observation import is_notification

if TYPE_CHECKING:
    from .protocol import Context

    _Log = Logger | LoggerAdapter[Any]
    _Event = tuple[Message | None, BaseException | None, bool]
    _ProgressCallback = Callable[[int, int | None], object]

__all__ = [
    "BaseRequest",
    "BaseUnicastRequest",
    "BlockwiseRequest",
    "ClientObservation",
    "Request",
]

_OBSERVE, _NO_RESPONSE = int(OptionNumber.OBSERVE), int(OptionNumber.NO_RESPONSE)
_BLOCK1, _ECHO = int(OptionNumber.BLOCK1), int(OptionNumber.ECHO)


class _Delivery:
    """What takes the responses to a request to the application: a future, then an observation.

    Args:
        request: The application's request.
        loop: The loop of the future.
        log: Where to log what callbacks raise.
    """

    __slots__ = (
        "_collector",
        "_log",
        "_registration",
        "loop",
        "request",
        "response",
        "stop",
    )

    cuts_blocks = False

    def __init__(self, request: Message, loop: asyncio.AbstractEventLoop, log: _Log) -> None:
        self.request = request
        self.loop = loop
        self._log = log
        self.response = Response(loop=loop)
        self.response.delivery = self
        # What there is to observing, if the request asks for that.
        self._registration: Registration | None = None
        # How to lose the interest in the pipe that is open.
        self.stop: Callable[[], None] | None = None
        # What puts the responses of everybody where the application asked for them.
        self._collector: Collector | None = None

    def observe(
        self, tuning: TransportTuning | type[TransportTuning], context: Context | None = None
    ) -> ClientObservation | None:
        """Return the observation, if the request asks for one.

        Args:
            tuning: Has the parameters.
            context: What sends the request again; None where nothing does.
        """
        opt = self.request.opt
        if _OBSERVE not in opt or opt.observe != 0:
            return None
        self._registration = Registration(self, tuning, context, self.cuts_blocks, self._log)
        return self._registration.make_observation()

    def _is_observed(self) -> bool:
        """Whether somebody wants notifications."""
        return self._registration is not None and self._registration.is_observed()

    def drop_observation(self) -> None:
        """Nobody wants notifications (any more); a response may still be waited for."""
        if self.response.done() and self._collector is None:
            self.close()

    def renew(self, message: Message, interface: interfaces.RequestInterface) -> None:
        """Register for an observation once more.

        Args:
            message: The request, with the token that it had.
            interface: What takes it to where it goes.
        """
        self._release()
        pipe = Renewal(message, self._log)
        self.stop = pipe.on_event(self.on_event)
        interface.request(pipe)

    def listen(self, message: Message, interface: interfaces.RequestInterface) -> None:
        """Take notifications, unless that is done already.

        Args:
            message: The request, with the token that it had; it is not sent.
            interface: What would take it to where it goes.
        """
        if self.stop is None:
            pipe = Renewal(message, self._log)
            self.stop = pipe.on_event(self.on_event)
            interface.listen(pipe)

    def fits(self, request: Message) -> bool:
        """Whether a request fits into one message."""
        return True

    def _release(self) -> None:
        """Lose the interest in the pipe that is open, if there is one."""
        stop, self.stop = self.stop, None
        if stop is not None:
            stop()

    def cancel(self) -> None:
        """The application does not want the response any more, nor what comes after it."""
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.end()
        if self._registration is None:
            self.close()
        else:
            # Others may go on.
            self._registration.founder.cancel()

    def dissolve(self) -> None:
        """Somebody else does the work."""
        collector, self._collector = self._collector, None
        if collector is not None:
            follow(self.response, collector)
        self.close()

    def close(self) -> None:
        """Stop to work on the request."""
        self.response.delivery = None
        stop, self.stop = self.stop, None
        if stop is not None:
            stop()
        if self._registration is not None:
            registration, self._registration = self._registration, None
            registration.close()

    def on_event(self, event: _Event) -> bool:
        """Take an event out of the pipe; return whether more are welcome."""
        if self._collector is not None and self._is_to_group():
            return self._on_member(self._collector, event)
        message, exception, is_last = event
        registration = self._registration
        if is_last or registration is None:
            self.stop = None
        if message is None:
            if exception is None:
                # An observed member of a group goes on alone.
                return True
            self.fail(exception)
        elif registration is None:
            self.take(message)
        elif registration.is_fresh(message):
            self.take(message)
            return self.stop is not None
        else:
            return True
        return False

    def take(self, message: Message) -> None:
        """Take a response that is not outdated."""
        self.deliver(message, message)

    def deliver(self, message: Message, first: Message) -> None:
        """Give a response to the application.

        Args:
            message: The whole response.
            first: The one that came by itself, of which it is made.
        """
        message.request = self.request
        registration = self._registration
        if registration is None and not self.response.done():
            self.response.set_result(message)
        if self._collector is not None and not self._is_to_group():
            self._collector.add(message)
            self._complete(self._collector)
        is_over = registration is None or not registration.deliver(message, first)
        if is_over and self._collector is None:
            self.close()

    def fail(self, exception: BaseException | None) -> None:
        """Give an exception to the application."""
        problem = _as_error(exception)
        registration, observation = self._registration, None
        if registration is not None:
            if registration.survives(problem):
                return
            observation = registration.founder.observation()
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.end(problem)
        if not self.response.done():
            self.response.set_exception(problem)
            if (
                observation is not None
                or collector is not None
                or isinstance(problem, error.LibraryShutdown)
                or _NO_RESPONSE in self.request.opt
            ):
                # Nobody needs to be told that nobody looked at it.
                self.response.exception()
        if registration is not None:
            registration.fail(problem)
        self.close()

    # Groups

    def collect(self) -> Responses:
        """Have the responses of everybody collected, and return where they are to be had."""
        responses = Responses()
        self._collector = Collector(responses, self.loop, self._drop_responses, self.fail)
        return responses

    def _drop_responses(self) -> None:
        """Nobody wants the responses of everybody any more; the first may still be waited for."""
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.end()
            if self.response.done() and not self._is_observed():
                self.close()

    def _collects_members(self) -> bool:
        """Whether the request goes to a group, and the responses of all members are wanted."""
        return self._collector is not None and self._is_to_group()

    def _is_to_group(self) -> bool:
        """Whether the request goes to a group; it is only known once something came back."""
        remote = self.request.remote
        return remote is not None and remote.is_multicast

    def _on_member(self, collector: Collector, event: _Event) -> bool:
        """Take an event that concerns a group, whose members may all answer."""
        message, exception, is_last = event
        if is_last:
            self.stop = None
        if message is not None:
            is_first = collector.admit(message.remote)
            registration = self._registration
            if registration is not None and registration.source not in (None, message.remote):
                # It is another one that is observed.
                registration = None
            if registration is not None and not registration.is_fresh(message):
                return True
            if is_first:
                self.take_member(collector, message)
                if registration is None:
                    pass
                elif is_notification(message):
                    registration.note(message)
                else:
                    # The member that answered first can not be observed.
                    registration.founder.end(error.NotObservable())
            elif registration is not None:
                self.take(message)
        elif exception is not None and not isinstance(exception, error.RequestTimedOut):
            self.fail(exception)
            return False
        if message is None or is_last:
            collector.close(partial(self._end_of_group, collector, exception))
        return self.stop is not None

    def take_member(self, collector: Collector, message: Message) -> None:
        """Take the first response of a member of a group.

        Args:
            collector: Where it goes.
            message: The response.
        """
        message.request = self.request
        if not self.response.done():
            self.response.set_result(message)
        collector.add(message)

    def _end_of_group(self, collector: Collector, exception: BaseException | None) -> None:
        """All members have had their time, and everything that they answered is there."""
        self._complete(collector)
        if not self.response.done():
            self.fail(next(iter(collector.failures.values()), exception))
            # Who iterates sees by the end of it.
            self.response.exception()
        elif not self._is_observed():
            self.close()

    def _complete(self, collector: Collector) -> None:
        """Let iterations end."""
        self._collector = None
        collector.end()


class _BlockwiseDelivery(_Delivery):
    """A delivery that cuts bodies into blocks and puts them together.

    Args:
        request: The application's request.
        context: Where to send.
    """

    __slots__ = ("_challengers", "_context", "_interface", "_task", "_whole", "on_progress")

    cuts_blocks = True

    def __init__(self, request: Message, context: Context) -> None:
        super().__init__(request, context.loop, context.log)
        self._context = context
        self._interface: interfaces.RequestInterface | None = None
        # What later blocks of the response are asked for with.
        self._whole = request
        self._task: asyncio.Task[None] | None = None
        # Who has asked for a proof of our address, and got it: a server, or members of a group.
        self._challengers: tuple[EndpointAddress | None, ...] = ()
        self.on_progress: _ProgressCallback | None = None

    def close(self) -> None:
        """Stop to work on the request."""
        if self._task is not None:
            self._abandon_task()
        _Delivery.close(self)

    # Tasks: one to resolve and upload if need be, one for each response in several blocks

    def start(self) -> None:
        """Begin to send the request: at once, where there is nothing to wait for."""
        try:
            self._interface = self._context.find_remote_and_interface_now(self.request)
            if self._interface is None:
                work = self._resolve()
            elif self._send_whole():
                return
            else:
                work = self._upload(self.request)
        except Exception as problem:
            self.fail(problem)
            return
        self._spawn(work)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._abandon_task()
        self._task = task = self._context.spawn(work, "request")
        task.add_done_callback(self._task_done)

    def _abandon_task(self) -> None:
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task(self.loop):
            task.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if self._task is not task:
            # It was abandoned, or has closed the delivery.
            return
        self._task = None
        if task.cancelled():
            # Only the context does that.
            self.fail(error.LibraryShutdown())

    async def _resolve(self) -> None:
        """Find out where the request goes, and send it there."""
        try:
            self._interface = await self._context.find_remote_and_interface(self.request)
            if not self._send_whole():
                await self._upload(self.request)
        except Exception as problem:
            self.fail(problem)

    def _send_whole(self) -> bool:
        """Send the request, if it fits into one message; return whether that is all.

        It is as well where somebody else has asked for the same, and is told.
        """
        request, remote = self.request, self.request.remote
        if self._registration is not None and self._registration.joins(request):
            return True
        assert remote is not None  # it has been found
        assert self._interface is not None  # and so has this
        if not self.fits(request):
            if remote.is_multicast:
                # What members get of it would be different (RFC 7959 does not say how).
                raise error.Error("a body in several blocks can not be sent to a group")
            return False
        if self._context.echoes.waiting:
            request = self._echoing(request)
        pipe = Pipe(request, self._log)
        self.stop = pipe.on_event(self.on_event)
        self._interface.request(pipe)
        return True

    def fits(self, request: Message) -> bool:
        """Whether a request fits into one message; its remote has been found."""
        if not request.payload and _BLOCK1 not in request.opt:
            return True
        assert request.remote is not None
        exponent, payload_size = self._block_size(request.remote)
        return not needs_upload(request, exponent, payload_size)

    def renew(self, message: Message, interface: interfaces.RequestInterface) -> None:
        """Register for an observation once more.

        Args:
            message: The request, with the token that it had.
            interface: What takes it to where it goes.
        """
        self._interface = interface
        self._whole = message
        # What was proved once may have to be proved again.
        self._challengers = ()
        if self.fits(message):
            super().renew(self._echoing(message), interface)
        else:
            self._spawn(self._upload(message))

    def on_event(self, event: _Event) -> bool:
        """Take an event out of the pipe; return whether more are welcome."""
        message = event[0]
        if (
            message is None
            or message.code != Code.UNAUTHORIZED
            or self._collects_members()
            or not self._challenges(message)
        ):
            if message is not None and _ECHO in message.opt:
                self._keep_echo(message)
            return _Delivery.on_event(self, event)
        assert self._interface is not None  # it brought the challenge
        registration = self._registration
        if registration is not None and registration.is_renewing:
            again = _with_echo(self._whole, message)
            again.token = registration.token
            pipe: Pipe = Renewal(again, self._log)
        else:
            pipe = Pipe(_with_echo(self.request, message), self._log)
        self.stop = pipe.on_event(self.on_event)
        self._interface.request(pipe)
        return False

    def _challenges(self, response: Message) -> bool:
        """Whether a response asks to repeat the request with an Echo option, for the first time.

        RFC 9175 section 2.3.
        """
        if response.code != Code.UNAUTHORIZED or response.opt.echo is None:
            return False
        if response.remote in self._challengers:
            return False
        self._challengers = (*self._challengers, response.remote)
        return True

    def _keep_echo(self, response: Message) -> None:
        """Take note of what the next request to a server is to have.

        RFC 9175 section 2.3.
        """
        echo, remote = response.opt.echo, response.remote
        if echo is not None and remote is not None and response.code != Code.UNAUTHORIZED:
            self._context.echoes.keep(remote, echo, self.loop.time())

    def _echoing(self, request: Message) -> Message:
        """Return a request with what its server wants to hear again, if there is anything."""
        assert request.remote is not None  # it has been found
        if _ECHO in request.opt:
            return request
        echo = self._context.echoes.take(request.remote, self.loop.time())
        return request if echo is None else request.copy(echo=echo)

    async def _ask(self, message: Message, is_observed: bool = False) -> _Question:
        """Send one message, and wait for its response.

        Raises:
            Error: There is none.
        """
        assert self._interface is not None  # the first thing that was found out
        question = _Question(self.loop, is_observed)
        if self._context.echoes.waiting:
            message = self._echoing(message)
        pipe = self._last_renewing(message) if is_observed else Pipe(message, self._log)
        question.stop = pipe.on_event(question.on_event)
        self._interface.request(pipe)
        try:
            await question.answer
        except asyncio.CancelledError:
            question.stop()
            if not question.answer.cancelled():
                # It came at the same moment, and nobody will look at it.
                question.answer.exception()
            raise
        response = question.answer.result()
        if self._challenges(response):
            question.stop()
            return await self._ask(_with_echo(message, response), is_observed)
        if _ECHO in response.opt:
            self._keep_echo(response)
        return question

    def _last_renewing(self, message: Message) -> Pipe:
        """Return the pipe for a block of an observed upload: the last one goes on with the token.

        RFC 7641 section 3.3.1.
        """
        registration, block1 = self._registration, message.opt.block1
        if registration is None or not registration.is_renewing or (block1 and block1.more):
            return Pipe(message, self._log)
        self._release()
        message.token = registration.token
        return Renewal(message, self._log)

    # Blocks

    def _block_size(self, remote: EndpointAddress) -> tuple[int, int]:
        """Return exponent and payload size in bytes of blocks exchanged with an endpoint."""
        exponent = self._tuning().DEFAULT_BLOCK_SIZE_EXP
        if exponent < 6:
            return min(exponent, remote.maximum_block_size_exp), 16 << exponent
        # Nothing smaller is configured: what the peer takes is the limit.
        return remote.maximum_block_size_exp, remote.maximum_payload_size

    def _tuning(self) -> TransportTuning:
        return self.request.transport_tuning or self._context.transport_tuning

    async def _upload(self, request: Message) -> None:
        """Send the body of a request, and take the response to its last block."""
        assert request.remote is not None  # it has been found
        try:
            upload, key, tag = self._begin_upload(request, request.remote)
            question = await self._send_blocks(upload, key, tag)
        except Exception as problem:
            self.fail(problem)
            return
        if question.is_open:
            self.stop = question.stop
        self.on_event((question.answer.result(), None, not question.is_open))
        question.forward(self.on_event)

    def _begin_upload(
        self, request: Message, remote: EndpointAddress
    ) -> tuple[Block1Upload, Hashable, bytes | None]:
        """Return an upload, and the key and value of its Request-Tag.

        Concurrent uploads that a server could mix up are told apart by Request-Tag; others do
        without the option, as RFC 9175 section 3.4 wants messages to be short.

        RFC 9175 section 3.5.2.
        """
        exponent, payload_size = self._block_size(remote)
        key = (remote.blockwise_key, request.get_cache_key())
        tag = self._context.request_tags.take(key, self.loop.time())
        if tag is not None:
            # It belongs to the requests for later blocks of the response as well.
            self._whole = request.copy(request_tag=[tag])
        return Block1Upload(request, exponent, payload_size, tag), key, tag

    async def _send_blocks(
        self, upload: Block1Upload, key: Hashable, tag: bytes | None
    ) -> _Question:
        """Send block after block; return the last one with its response.

        Raises:
            Error: There is none.

        RFC 7959 section 2.5.
        """
        tags = self._context.request_tags
        is_observed = self._registration is not None
        try:
            while True:
                question = await self._ask(upload.next_request(), is_observed)
                if upload.feed(question.answer.result()) is not None:
                    tags.release(key, tag)
                    return question
                if self.on_progress is not None:
                    self.on_progress(*upload.progress)
                question.stop()
        except BaseException:
            # What was sent last may still arrive.
            until = self.loop.time() + self._context.transport_tuning.EXCHANGE_LIFETIME
            tags.retire(key, tag, until)
            raise

    def take(self, message: Message) -> None:
        """Take a response that is not outdated; fetch the rest of its body, if there is any.

        What is being fetched of an older notification is not wanted any more (RFC 7959 section
        2.6).
        """
        if wants_download(self._whole, message):
            self._spawn(self._download(message))
        else:
            if self._task is not None:
                self._abandon_task()
            self.deliver(message, message)

    async def _download(self, first: Message) -> None:
        """Fetch the rest of a response's body, and deliver it.

        What is fetched anew has no place among notifications, and one from before it may still
        come after it: as long as it helps, the present state is asked for by registering again.

        RFC 7959 section 2.6, RFC 7641 section 3.4.
        """
        registration = self._registration
        is_told = registration is not None and is_notification(first)
        insists = is_told and registration.may_insist()  # type: ignore[union-attr]
        try:
            whole = await self._fetch(first, 0 if insists else MAX_RESTARTS)
            if insists and whole.code == Code.BAD_REQUEST:
                # The block is beyond the end, as the body has shrunk.
                raise error.ResourceChanged("the resource changed while it was transferred")
        except error.ResourceChanged as problem:
            # The application may have given it up when it was told of the progress.
            registration = self._registration if is_told else None
            if registration is None:
                self.fail(problem)
            elif insists:
                registration.insist(first)
            elif not registration.is_registered or not registration.waits():
                # Else the notification of the change is on its way.
                self.fail(problem)
        except Exception as problem:
            self.fail(problem)
        else:
            self.deliver(whole, first)

    async def _fetch(self, first: Message, restarts: int = MAX_RESTARTS) -> Message:
        """Return a response with its whole body, the rest of it from whom the first block came.

        Args:
            first: The response with the first block.
            restarts: How often it may start over because the resource changed under it.

        Raises:
            Error: It can not be had.

        RFC 7959 sections 2.4 and 2.8.
        """
        assert first.remote is not None  # it came from somewhere
        exponent, _ = self._block_size(first.remote)
        limit = self._tuning().MAX_BODY_SIZE
        download = Block2Download(self._whole, first, exponent, limit, restarts)
        whole = None
        while whole is None:
            question = await self._ask(download.next_request())
            whole = download.feed(question.answer.result())
            if self.on_progress is not None:
                self.on_progress(*download.progress)
        return whole

    # Groups

    def take_member(self, collector: Collector, message: Message) -> None:
        """Take the first response of a member of a group; fetch the rest of its body, if need be.

        Args:
            collector: Where it goes.
            message: The response.
        """
        is_challenge = self._challenges(message)
        if is_challenge or wants_download(self._whole, message):
            work = self._fetch_member(collector, message, is_challenge)
            collector.begin(self._context.spawn(work, "request"))
        else:
            super().take_member(collector, message)

    async def _fetch_member(self, collector: Collector, first: Message, is_challenge: bool) -> None:
        """Fetch what a member has not answered to the group: the response, or the rest of it."""
        assert first.remote is not None  # it came from somewhere
        try:
            async with collector.gate:
                whole = first
                if is_challenge:
                    again = _with_echo(self.request, first)
                    # What is observed is for the first to say that answers the group.
                    again.opt.observe = None
                    whole = (await self._ask(again)).answer.result()
                if wants_download(self._whole, whole):
                    whole = await self._fetch(whole)
        except error.LibraryShutdown as problem:
            self.fail(problem)
        except Exception as problem:
            collector.failures[first.remote] = _as_error(problem)
        else:
            super().take_member(collector, whole)


def _with_echo(request: Message, challenge: Message) -> Message:
    """Return a request again, with the proof that its sender got the challenge.

    Of a group, it goes to the member that wants the proof (RFC 9175 section 2.4).
    """
    again = request.copy(echo=challenge.opt.echo, mid=None, token=b"")
    if request.remote is not None and request.remote.is_multicast:
        again.remote, again.mtype = challenge.remote, None
    return again


class _Question:
    """One message of several that make up a request, and its response.

    Args:
        loop: The loop.
        is_observed: Whether more than one response may come, and is wanted.
    """

    __slots__ = ("_is_observed", "_later", "_sink", "answer", "is_open", "stop")

    stop: Callable[[], None]

    def __init__(self, loop: asyncio.AbstractEventLoop, is_observed: bool) -> None:
        self.answer: asyncio.Future[Message] = loop.create_future()
        self._is_observed = is_observed
        # Whether there may be more responses.
        self.is_open = is_observed
        self._later: list[_Event] = []
        self._sink: Callable[[_Event], bool] | None = None

    def on_event(self, event: _Event) -> bool:
        """Take an event out of the pipe; return whether more are welcome."""
        message, exception, is_last = event
        if is_last:
            self.is_open = False
        if self._sink is not None:
            return self._sink(event)
        if self.answer.done():
            self._later.append(event)
        elif message is not None:
            self.answer.set_result(message)
        else:
            self.answer.set_exception(_as_error(exception))
        return self._is_observed

    def forward(self, sink: Callable[[_Event], bool]) -> None:
        """Let somebody else take what comes after the response.

        Args:
            sink: Like :meth:`on_event`.
        """
        self._sink = sink
        for event in self._later:
            sink(event)


# What applications get


class BaseRequest:
    """What requests have in common (stable).

    Attributes:
        response: A future of the (first) response.  Cancelling it stops the request.
        observation: The notifications after it, if the request asks for an observation; else
            None.
    """

    response: asyncio.Future[Message]
    observation: ClientObservation | None
    _responses: Responses | None = None

    @property
    def responses(self) -> Responses:
        """Everybody's responses, as an asynchronous iterator (unstable).

        It is for requests to groups: ``response`` is the first of what comes here, and all the
        others have no other way.  Take it before the loop gets its next turn, which is right
        after making the request; else there may be nothing but the first response.

        RFC 7252 section 8.2.
        """
        if self._responses is None:
            self._responses = _responses_of(self.response)
        return self._responses

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.response!r}, {self.observation!r}>"


class BaseUnicastRequest(BaseRequest):
    """A request that gets one response, and other ways to wait for that (unstable)."""

    @property
    def response_raising(self) -> Awaitable[Message]:
        """The response, if it is successful.

        Raises:
            ResponseWrappingError: It is not.
            Error: There is none.
        """
        return self._response_raising()

    async def _response_raising(self) -> Message:
        response = await self.response
        if not response.code.is_successful():
            raise error.ResponseWrappingError(response)
        return response

    @property
    def response_nonraising(self) -> Awaitable[Message]:
        """The response, or one that a proxy would make up where there is none."""
        return self._response_nonraising()

    async def _response_nonraising(self) -> Message:
        try:
            return await self.response
        except error.RenderableError as problem:
            response = problem.to_message()
        except error.TimeoutError:
            response = Message(code=Code.GATEWAY_TIMEOUT)
        except error.NetworkError:
            response = Message(code=Code.BAD_GATEWAY)
        except error.Error:
            response = Message(code=Code.INTERNAL_SERVER_ERROR)
        return response


class Request(BaseUnicastRequest, interfaces.Request):
    """A request of one message, whose blocks are the application's business (stable).

    Args:
        plumbing_request: A pipe with the request, which is not handed on yet.
        loop: The running event loop.
        log: Where to log what concerns the request.
        context: What takes up an observation again, and tells the server of its end.
    """

    def __init__(
        self,
        plumbing_request: Pipe,
        loop: asyncio.AbstractEventLoop,
        log: _Log,
        context: Context | None = None,
    ) -> None:
        request = plumbing_request.request
        delivery = _Delivery(request, loop, log)
        self.response = delivery.response
        tuning = context.transport_tuning if context is not None else TransportTuning
        self.observation = delivery.observe(request.transport_tuning or tuning, context)
        delivery.stop = plumbing_request.on_event(delivery.on_event)


class BlockwiseRequest(BaseUnicastRequest, interfaces.Request):
    """A request whose body, and that of its response, may be larger than a message (stable).

    Args:
        protocol: The context to send it from.
        app_request: The request; its remote is resolved, and type, token and Message ID are
            those of its first transmission then.
    """

    def __init__(self, protocol: Context, app_request: Message) -> None:
        delivery = _BlockwiseDelivery(app_request, protocol)
        self.response = delivery.response
        tuning = app_request.transport_tuning or protocol.transport_tuning
        self.observation = delivery.observe(tuning, protocol)
        delivery.start()

    def on_progress(self, callback: Callable[[int, int | None], object]) -> None:
        """Have a function called after each block of a body that is sent or fetched (unstable).

        Args:
            callback: Gets the number of bytes that are through, and that of all that there are
                (None where it is not known).  What it raises ends the request.
        """
        response = self.response
        assert isinstance(response, Response)  # it was made here
        if isinstance(response.delivery, _BlockwiseDelivery):
            response.delivery.on_progress = callback


def _responses_of(response: asyncio.Future[Message]) -> Responses:
    """Return where all responses to a request come in, from now on."""
    if not response.done():
        assert isinstance(response, Response)  # requests have no others
        assert response.delivery is not None  # for as long as the future is not done
        return response.delivery.collect()
    responses = Responses()
    problem = None if response.cancelled() else response.exception()
    if problem is None and not response.cancelled():
        responses.add(response.result())
    responses.end(_as_error(problem) if problem is not None else None)
    return responses


def _as_error(problem: BaseException | None) -> error.Error:
    """Return what a request fails with; what it stems from is its cause."""
    if isinstance(problem, error.Error):
        return problem
    failure: error.Error
    if isinstance(problem, OSError):
        failure = error.NetworkError(problem.strerror or str(problem))
    else:
        failure = error.Error(f"the request failed: {problem!r}")
    failure.__cause__ = problem
    return failure

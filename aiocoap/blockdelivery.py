"""Requests whose bodies, or those of their responses, are larger than a message.

Here lives :class:`BlockwiseDelivery`: it finds out where a request goes, cuts what is sent into
blocks, and puts together what comes.

The room knows no tokens, no types and no transports; which block comes next is decided in
:mod:`aiocoap.sansio.blockwise`.

RFC 7959 sections 2.4 to 2.8, RFC 9175 sections 2.3 (Echo) and 3.4 (Request-Tag).

The way of a request::

    resolve --> send --> response --> (fetch its other blocks) --> the future ``response``
          '--> upload block by block --'        '---- newer notifications --> ``observation``
      ^                                                                   |
      '------------------------ the observation is taken up again --------'
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .address import EndpointAddress
from .delivery import Delivery, as_error
from .groupresponses import Collector
from .message import Message
from .numbers.codes import Code
from .numbers.constants import TransportTuning
from .numbers.optionnumbers import OptionNumber
from .pipe import Pipe, Renewal
from .sansio.blocksize import sizes
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

    _Event = tuple[Message | None, BaseException | None, bool]
    _ProgressCallback = Callable[[int, int | None], object]

__all__ = ["BlockwiseDelivery"]

_BLOCK1, _ECHO = int(OptionNumber.BLOCK1), int(OptionNumber.ECHO)


class BlockwiseDelivery(Delivery):
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
        Delivery.close(self)

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
            return Delivery.on_event(self, event)
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
        return sizes(remote, self._tuning().DEFAULT_BLOCK_SIZE_EXP)

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
            collector.failures[first.remote] = as_error(problem)
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
            self.answer.set_exception(as_error(exception))
        return self._is_observed

    def forward(self, sink: Callable[[_Event], bool]) -> None:
        """Let somebody else take what comes after the response.

        Args:
            sink: Like :meth:`on_event`.
        """
        self._sink = sink
        for event in self._later:
            sink(event)

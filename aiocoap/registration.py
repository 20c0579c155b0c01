"""The registration of an observation: taken up, kept up and given up.

Here lives :class:`Registration`, what the requester has for requests that ask for notifications
of the same target.

The room knows no blocks and no transports; when to register again, what is newer and what is
known already is decided in :mod:`aiocoap.sansio.observation`.

RFC 7641 section 3 (the client's side).

A client registers once for a target: a request for what is observed already joins the others, and
nothing is sent for it but what brings the representation up to date where it is not (section 3.1).
Whether there is a registration is looked up when the address is known, and again whenever it is
taken up anew, as it may go to another address then, where another one may have come first.

When the last of the observers has let go, the server is told by a request of its own, which nobody
waits for: if that is lost, the next notification is rejected (section 3.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable
from contextlib import suppress
from logging import Logger, LoggerAdapter
from random import random
from typing import TYPE_CHECKING, Any

from . import error
from .address import EndpointAddress
from .clientobservation import ClientObservation
from .message import Message
from .numbers.codes import Code
from .numbers.constants import TransportTuning
from .numbers.optionnumbers import OptionNumber
from .observer import Observer, Response
from .pipe import Renewal
from .sansio.observation import (
    Freshness,
    Ordering,
    Representations,
    Upkeep,
    is_notification,
)

if TYPE_CHECKING:
    from typing import Protocol

    from . import interfaces
    from .protocol import Context

    _Log = Logger | LoggerAdapter[Any]

    class _Delivery(Protocol):
        """What takes the responses to the request to the application."""

        request: Message
        response: Response
        loop: asyncio.AbstractEventLoop

        def fits(self, request: Message) -> bool: ...

        def renew(self, message: Message, interface: interfaces.RequestInterface) -> None: ...

        def listen(self, message: Message, interface: interfaces.RequestInterface) -> None: ...

        def fail(self, exception: BaseException | None) -> None: ...

        def drop_observation(self) -> None: ...

        def dissolve(self) -> None: ...


__all__ = ["Registration"]

_BLOCK1, _ETAG = int(OptionNumber.BLOCK1), int(OptionNumber.ETAG)

# Other methods do something, and each request with them means to do it.
_SHARED = frozenset((Code.GET, Code.FETCH))

_NEVER = float("inf")

_INSISTENCE = 3
# How often in a row a server is asked for what it says by an ETag that somebody does not know, or
# for what has changed while it was transferred.


class Registration:
    """A registration with a server, and those who want to know what comes of it.

    Args:
        delivery: What it is part of.
        tuning: Has the parameters.
        context: What sends the request again; None where nothing does.
        cuts_blocks: Whether the library makes the blocks that a body is sent in.
        log: Where to log what callbacks raise.

    Attributes:
        founder: Whose request it is.
        source: Which member of a group is observed, or the server; None before it is known.
        is_renewing: Whether the next response answers a new registration.
        is_registered: Whether the server has us among the observers, as far as is known.
        token: The token of the registration, as soon as it has been answered.
    """

    __slots__ = (
        "_armed",
        "_context",
        "_delivery",
        "_insisted",
        "_is_pausing",
        "_key",
        "_log",
        "_observers",
        "_ordering",
        "_remote",
        "_representations",
        "_table",
        "_task",
        "_template",
        "_timer",
        "_upkeep",
        "founder",
        "is_registered",
        "is_renewing",
        "source",
        "token",
    )

    def __init__(
        self,
        delivery: _Delivery,
        tuning: TransportTuning | type[TransportTuning],
        context: Context | None,
        cuts_blocks: bool,
        log: _Log,
    ) -> None:
        self._delivery = delivery
        self._log = log
        # What is sent again is what was asked for, whatever the application makes of it.
        self._template = template = delivery.request.copy(mid=None, token=b"")
        if not cuts_blocks and _BLOCK1 in template.opt:
            # One of the application's blocks makes no sense for itself.
            context = None
        self._context = context
        # Where it went, found out by name.
        self._remote: EndpointAddress | None = None
        self.founder = Observer(self, delivery.request, delivery.response)
        self._observers = [self.founder]
        # Where it is found by who wants to know the same, and under which key.
        is_shared = context is not None and cuts_blocks and template.code in _SHARED
        self._table = context.registrations if is_shared else None  # type: ignore[union-attr]
        self._key: Hashable = None
        self._ordering = Ordering(tuning.OBSERVATION_RESET_TIME)
        self._upkeep = Upkeep(random, tuning.OBSERVATION_RETRIES)
        self._representations = Representations(template.opt.etags)
        self._timer: asyncio.TimerHandle | None = None
        self._armed = _NEVER
        # What waits for the time to register again without a pipe, or for a name.
        self._task: asyncio.Task[None] | None = None
        # Whether it is the former.
        self._is_pausing = False
        # How often in a row what had come was not what somebody could be told.
        self._insisted = 0
        self.source: EndpointAddress | None = None
        self.is_renewing = False
        self.is_registered = False
        self.token = b""

    # The observers

    def make_observation(self) -> ClientObservation:
        """Return the founder's observation."""
        return self.founder.make_observation(self._log)

    def is_observed(self) -> bool:
        """Whether somebody wants notifications."""
        return any(observer.observation() is not None for observer in self._observers)

    def _present(self) -> list[Observer]:
        """Return those who still want something."""
        self._observers = [observer for observer in self._observers if observer.is_there]
        # While it is gone through, some may come and others leave.
        return self._observers.copy()

    def joins(self, message: Message) -> bool:
        """Hand over all observers, if there is another registration for the same target.

        Args:
            message: What is about to be sent; its remote has been found.

        Returns:
            Whether that is so; it is all over with this one then.

        RFC 7641 section 3.1.
        """
        other = self._claim(message.remote)
        if other is None:
            return False
        observers, self._observers = self._observers, []
        # That one goes on, so that the server has nothing to be told.
        self.is_registered = False
        self._delivery.dissolve()
        other.adopt(observers)
        return True

    def _claim(self, remote: EndpointAddress | None) -> Registration | None:
        """Take a place in the table, or return who has it.

        ETags say what is known of a target, and are no part of what the target is (RFC 7641
        section 3.3.1).  A group is many targets, and who comes later would miss the answers.
        """
        table = self._table
        if table is None or remote is None or remote.is_multicast:
            return None
        key = (remote.blockwise_key, self._template.get_cache_key((_ETAG,)))
        owner = table.setdefault(key, self)
        if owner is not self:
            return owner
        if key != self._key:
            self._resign()
            self._key = key
        return None

    def _resign(self) -> None:
        """Leave the table: who wants to know the same from now on has to ask."""
        if self._table is not None and self._key is not None:
            del self._table[self._key]
        self._key = None

    def adopt(self, observers: list[Observer]) -> None:
        """Serve more observers, which get the latest representation, or the next one.

        Args:
            observers: They belonged to another registration.
        """
        for observer in observers:
            observer.registration = self
            if observer.is_waiting:
                observer.response.delivery = observer
        self._observers += observers
        self._representations.serve([one.etags for one in self._observers])
        upkeep, latest = self._upkeep, self._representations.latest
        is_fresh = upkeep.state is Freshness.FRESH and self._delivery.loop.time() < upkeep.wake
        for observer in observers:
            if is_fresh and latest is not None and self._suits(observer, latest):
                observer.become(upkeep.state)
                observer.take(latest)
            else:
                observer.is_behind = True
                # It may be in the middle of a response that somebody asks.
                self._delivery.loop.call_soon(self._hurry)

    def leave(self, observer: Observer) -> None:
        """Serve one observer less; the last one ends it.

        Args:
            observer: Who has let go.
        """
        self._observers = [one for one in self._observers if one is not observer]
        if not self._present():
            self._delivery.drop_observation()
        else:
            self._representations.serve([one.etags for one in self._observers])

    def _suits(self, observer: Observer, message: Message) -> bool:
        """Whether an observer understands a response: a 2.03 is for who knows the ETag.

        Who is alone gets everything, whatever the server means by it.

        RFC 7252 section 5.10.6.2.
        """
        return (
            message.code != Code.VALID
            or message.opt.etag in observer.etags
            or self._observers == [self.founder]
        )

    # Notifications

    def is_fresh(self, message: Message) -> bool:
        """Whether a response tells something new (RFC 7641 section 3.4)."""
        if self.source is None:
            self.source = message.remote
        elif self.source != message.remote:
            return False
        # Where there are no types, the transport keeps the order (RFC 8323 section 7.1).
        number = None if message.mtype is None else message.opt.observe
        return self._ordering.feed(number, self._delivery.loop.time())

    def deliver(self, message: Message, first: Message) -> bool:
        """Give a response to those who want it.

        Args:
            message: The whole of it.
            first: What came by itself, of which it is made.

        Returns:
            Whether there is still somebody who wants to hear of it.
        """
        is_running = is_notification(first)
        if is_running:
            self.note(first)
        elif self._is_put_off(message):
            for observer in self._present():
                if observer.is_waiting:
                    observer.take(message)
                    observer.end(error.NotObservable())
            return True
        else:
            self.is_registered = False
            self._resign()
        news = self._representations.take(message, self.is_renewing)
        latest = self._representations.latest or message
        self.is_renewing = False
        if message.code != Code.VALID:
            self._insisted = 0
        has_missed = False
        for observer in self._present():
            is_waiting = observer.is_waiting
            told = latest if is_waiting or observer.is_behind else news
            if told is not None:
                if self._suits(observer, told):
                    if is_running:
                        observer.become(self._upkeep.state)
                    observer.take(told)
                elif is_running and self._insisted < _INSISTENCE:
                    observer.is_behind = has_missed = True
                else:
                    observer.fail(error.Error("the server answered 2.03 for an unknown ETag"))
            if not is_running:
                observer.end(error.NotObservable() if is_waiting else error.ObservationCancelled())
        if has_missed:
            self._insisted += 1
            self._delivery.loop.call_soon(self._hurry)
        return bool(self._present())

    def _is_put_off(self, answer: Message) -> bool:
        """Take in an answer that may mean: not now, but later.

        A server that comes back to many observers at once has reason for that.

        Returns:
            Whether it is tried again; if not, the answer is the end.

        RFC 7252 section 5.9.3.4.
        """
        return (
            self.is_renewing
            and answer.code == Code.SERVICE_UNAVAILABLE
            and self._can_renew()
            and self._serves()
            and self.retry(answer.opt.max_age or 0)
        )

    def note(self, notification: Message) -> None:
        """Take note that the server has us among the observers.

        Args:
            notification: What it says so by.
        """
        self.is_registered = True
        self.token = notification.token
        if self._remote is None:
            self._remote = self._delivery.request.remote
        self._abandon_task()
        self._upkeep.refresh(notification.opt.max_age, self._delivery.loop.time())
        self._follow()

    # Registering again

    def _follow(self) -> None:
        """Tell the application, and be there at the next deadline."""
        upkeep = self._upkeep
        if upkeep.wake < self._armed:
            self._arm(upkeep.wake)
        for observer in self._present():
            if not observer.is_waiting:
                observer.become(upkeep.state)

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        self._timer = self._delivery.loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        """Do what is due; it may have been put off meanwhile."""
        # A loop may wake its timers early, by its clock's resolution.
        now = max(self._delivery.loop.time(), self._armed)
        self._timer, self._armed = None, _NEVER
        is_due = self._upkeep.tick(now)
        self._follow()
        if is_due and self._can_renew():
            self._renew()

    def _can_renew(self) -> bool:
        """Whether there is a way to register again; a group's members can not be asked alone."""
        return (
            self._context is not None
            and self.is_registered
            and self._remote is not None
            and not self._remote.is_multicast
        )

    def _serves(self) -> bool:
        """Whether somebody has had a response, and wants notifications."""
        return any(not observer.is_waiting for observer in self._present())

    def survives(self, problem: error.Error) -> bool:
        """Take note of trouble; return whether the observation goes on all the same.

        Who waits for the first response learns of the trouble, like everybody who asks.

        Args:
            problem: What happened to the request, or to one for the rest of a body.
        """
        if not isinstance(problem, error.NetworkError) or not self._can_renew():
            return False
        if not self._serves():
            return False
        if self._task is not None and self._task is not asyncio.current_task(self._delivery.loop):
            # It is known, and will be tried.
            self._delivery.loop.call_soon(self._listen)
        elif not self.retry():
            return False
        for observer in self._present():
            if observer.is_waiting:
                observer.fail(problem)
        return True

    def fail(self, problem: error.Error) -> None:
        """Give up.

        Args:
            problem: Why.
        """
        self.is_registered = False
        # Who is told of it may ask anew there and then.
        self._resign()
        for observer in self._present():
            observer.fail(problem)

    def retry(self, at_least: float = 0.0) -> bool:
        """Register again some time later; return False if that has been tried enough.

        Args:
            at_least: Seconds that have to go by before.
        """
        pause = self._upkeep.fail()
        if pause is None:
            return False
        self._spawn(self._come_back(max(pause, at_least)))
        self._is_pausing = True
        # What failed is on its way to its end, and takes the token with it.
        self._delivery.loop.call_soon(self._listen)
        self._follow()
        return True

    def _listen(self) -> None:
        """Take notifications until it is time to register again.

        The server may have us among its observers all the same, and would take us off if they
        were rejected; one that comes tells the present state, and that the server is there.
        """
        if self._task is None:
            # It is over, or goes on already.
            return
        assert self._context is not None  # or nothing would be tried again
        message = self._template.copy(token=self.token, remote=self._remote)
        # What is wrong with the address will be found out in time.
        with suppress(Exception):
            interface = self._context.find_remote_and_interface_now(message)
            if interface is not None:
                self._delivery.listen(message, interface)

    def waits(self) -> bool:
        """Take note that a notification was outdated before it was complete.

        The next one is on its way; it is waited for until the present one is stale, or, if it
        is that already, until it is time to register again.

        Returns:
            False if that has been tried enough.
        """
        return self._upkeep.wake < _NEVER or self._task is not None or self.retry()

    def may_insist(self) -> bool:
        """Whether the server is to be asked anew if a notification changes while it is fetched."""
        remote = self._delivery.request.remote
        return (
            self._insisted < _INSISTENCE
            and self._context is not None
            and remote is not None
            and not remote.is_multicast
        )

    def insist(self, notification: Message) -> None:
        """Register again at once, as a notification was outdated before it was complete.

        Args:
            notification: It shows that the server has us among the observers.
        """
        self._insisted += 1
        if self._task is not None:
            # It registers again anyway.
            return
        self.token = notification.token
        if self._remote is None:
            self._remote = self._delivery.request.remote
        self._upkeep.hurry()
        self._renew()

    def _hurry(self) -> None:
        """Register again without a pause, if somebody waits for the latest representation.

        A client may do so at any time (RFC 7641 section 3.3.1).
        """
        if not self.is_registered or not any(one.is_behind for one in self._present()):
            # Or the first response is on its way.
            return
        if self._is_pausing:
            self._upkeep.hurry()
            self._spawn(self._come_back(0.0))
        elif self._task is None and not self.is_renewing:
            self._upkeep.hurry()
            self._renew()

    def _renew(self) -> None:
        """Register again at once."""
        assert self._context is not None  # or it could not be renewed
        message = self._next_message(self._remote)
        try:
            interface = self._context.find_remote_and_interface_now(message)
        except Exception as problem:
            self._delivery.fail(problem)
            return
        if interface is None:
            self._spawn(self._send(message))
        else:
            self._send_now(message, interface)

    async def _come_back(self, pause: float) -> None:
        """Register again later, even if the server has another address then."""
        await asyncio.sleep(pause)
        self._is_pausing = False
        await self._send(self._next_message(self._template.remote))

    async def _send(self, message: Message) -> None:
        assert self._context is not None  # or nobody would ask
        try:
            interface = await self._context.find_remote_and_interface(message)
        except Exception as problem:
            self._delivery.fail(problem)
        else:
            self._task = None
            self._send_now(message, interface)

    def _send_now(self, message: Message, interface: interfaces.RequestInterface) -> None:
        if self.joins(message):
            return
        self._remote = message.remote
        self.source = None
        self._ordering.renew()
        self.is_renewing = True
        self._delivery.renew(message, interface)

    def _next_message(self, remote: EndpointAddress | None) -> Message:
        """Return the request once more, with the same token (RFC 7641 section 3.3.1)."""
        message = self._template.copy(token=self.token, remote=remote)
        message.opt.etags = self._representations.announce()
        return message

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._context is not None  # or nobody would ask
        self._abandon_task()
        self._task = task = self._context.spawn(work, "observation")
        task.add_done_callback(self._task_done)

    def _abandon_task(self) -> None:
        task, self._task = self._task, None
        self._is_pausing = False
        if task is not None and task is not asyncio.current_task(self._delivery.loop):
            task.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if self._task is task and task.cancelled():
            # Only the context does that.
            self._task = None
            self._delivery.fail(error.LibraryShutdown())

    # The end

    def close(self) -> None:
        """Stop to work on it, and tell the server if that can be."""
        self._resign()
        observers, self._observers = self._observers, []
        for observer in observers:
            observer.release()
        self._abandon_task()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._can_renew():
            self._deregister()
        self.is_registered = False

    def _deregister(self) -> None:
        """Tell the server, without waiting for anything.

        RFC 7641 section 3.6.
        """
        context = self._context
        assert context is not None  # or it could not be told
        # That it goes with an ETag makes the response a short one.
        message = self._next_message(self._remote)
        message.opt.observe = 1
        try:
            if not self._delivery.fits(message):
                # The next notification is rejected.
                return
            interface = context.find_remote_and_interface_now(message)
            if interface is not None:
                _say(message, interface, self._log)
            else:
                context.spawn(_find_and_say(message, context, self._log), "observation")
        except Exception as problem:
            self._log.debug("The end of an observation can not be told: %r", problem)


def _say(message: Message, interface: interfaces.RequestInterface, log: _Log) -> None:
    """Send a request whose response is of no interest."""
    pipe = Renewal(message, log)
    pipe.on_event(_ignore)
    interface.request(pipe)


async def _find_and_say(message: Message, context: Context, log: _Log) -> None:
    try:
        _say(message, await context.find_remote_and_interface(message), log)
    except Exception as problem:
        log.debug("The end of an observation can not be told: %r", problem)


def _ignore(event: object) -> bool:
    """Let a response come, that it is not taken for one that nobody asked for."""
    return False

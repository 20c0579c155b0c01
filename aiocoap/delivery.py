"""What takes the responses to a request to the application.

Here lives :class:`Delivery`: it fills a future, then an observation, or hands on what all members
of a group have to say.

The room knows neither tokens nor transports, and no blocks; what becomes of an observation is
decided in :mod:`.registration`.

RFC 7252 sections 5.2 and 8.2, RFC 7641 section 3.

Who holds whom: the application holds the request, and that holds future and observation.  What
works on it (:class:`Delivery`) is held by the pipe that waits for responses, or by what waits
for the time to ask again, and holds the observation weakly, so that one which nobody has an eye
on any more ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .clientobservation import ClientObservation
from .groupresponses import Collector, Responses
from .message import Message
from .numbers.constants import TransportTuning
from .numbers.optionnumbers import OptionNumber
from .observer import Response, follow
from .pipe import Renewal
from .registration import Registration
from .sansio.observation import is_notification

if TYPE_CHECKING:
    from .protocol import Context

    _Log = Logger | LoggerAdapter[Any]
    _Event = tuple[Message | None, BaseException | None, bool]

__all__ = ["Delivery", "as_error"]

_OBSERVE, _NO_RESPONSE = int(OptionNumber.OBSERVE), int(OptionNumber.NO_RESPONSE)


class Delivery:
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
        problem = as_error(exception)
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


def as_error(problem: BaseException | None) -> error.Error:
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

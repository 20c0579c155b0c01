"""Where a request meets the responses that come back for it.

Here lives :class:`Pipe` (documented as ``PlumbingRequest``): whoever wants something puts a
request in at one end, whoever can answer it puts responses in at the other.

The room knows neither tokens nor resources nor transports.

RFC 7252 section 2.2 (a request has one response), RFC 7641 section 1.2 (or several).

A pipe goes through three phases::

    PREPARING  --->  OPEN  --->  ENDED
    callbacks        the first   the last event was delivered,
    are put on       event, or   or nobody is interested
                     somebody     any more
                     listens for
                     the end
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any, NamedTuple

from .message import Message

if TYPE_CHECKING:
    from typing import Protocol

    _Log = Logger | LoggerAdapter[Any]

    class Maintainer(Protocol):
        """Who keeps the responses to a request up to date, such as a server's observation."""

        request: Message
        """What the responses are to; it may lack what is of no interest any more."""

        def trigger(self) -> None:
            """Give another response soon, even if nothing has changed."""

        def renew(self, request: Message) -> bool:
            """Go on with an equal request; return whether that can be done."""


__all__ = ["Phase", "Pipe", "PlumbingRequest", "Renewal"]


class Phase(IntEnum):
    """How far a pipe is."""

    PREPARING = 0
    OPEN = 1
    ENDED = 2


_PREPARING, _OPEN, _ENDED = Phase.PREPARING, Phase.OPEN, Phase.ENDED


class _Event(NamedTuple):
    """What comes out of a pipe: a message, or an exception (which is always the last).

    An event with neither is the end for an onlooker, and the end of the time that members of a
    group had to answer.
    """

    message: Message | None
    exception: BaseException | None
    is_last: bool


# Going round the constructor of the named tuple halves the time.
_new_event = tuple.__new__

_Callback = Callable[[_Event], bool | None]


class Pipe:
    """One request and the responses to it.

    The requester makes the pipe, puts its callbacks on, and hands the pipe on.  The responder
    answers by :meth:`add_response` or :meth:`add_exception`, now or later, and learns by
    :meth:`on_interest_end` when nobody waits any more.

    Args:
        request: The request.
        log: Where to log what concerns it.
    """

    __slots__ = ("_callbacks", "_end_callbacks", "_phase", "log", "request")

    Event = _Event

    keeps_token = False
    """Whether the request is to be sent with the token that it has."""

    def __init__(self, request: Message, log: _Log) -> None:
        self.request = request
        self.log = log
        self._phase = _PREPARING
        # Pairs of callback and whether it counts as interest.
        self._callbacks: list[tuple[_Callback, bool]] = []
        self._end_callbacks: list[Callable[[], object]] = []

    @property
    def phase(self) -> Phase:
        """How far the pipe is."""
        return self._phase

    def poke(self) -> None:
        """Ask the responder for a sign of life; a failure comes back as an event.

        Nothing is asked where the responder has no way to be asked.
        """

    def maintain(self, maintainer: Maintainer) -> None:
        """Take note of who can make a response at any time; a pipe may ask it to.

        Args:
            maintainer: Asked for a response when there are doubts whether the requester is
                there, and when that asks for the same once more.

        RFC 7641 sections 4.1 and 4.5.
        """

    def on_event(self, callback: _Callback, is_interest: bool = True) -> Callable[[], None]:
        """Call a function with each event.

        Args:
            callback: Gets an :class:`Event`, and returns True to be called again.  It must
                not produce events itself.
            is_interest: False for an onlooker, who does not keep the responder working and
                is told of the end by an event without message and exception.

        Returns:
            A function that takes the callback off; it does nothing the second time.

        Raises:
            RuntimeError: The pipe is open already, and the callback would be an interest.
        """
        if is_interest and self._phase is not _PREPARING:
            raise RuntimeError("interest in a pipe is declared before it is handed on")
        entry = (callback, is_interest)
        self._callbacks.append(entry)

        def unregister() -> None:
            if any(kept is entry for kept in self._callbacks):
                self._callbacks = [kept for kept in self._callbacks if kept is not entry]
                self._check_interest()

        return unregister

    def on_interest_end(self, callback: Callable[[], object]) -> None:
        """Call a function once, when nobody waits for more any more.

        That is after the last event, when all interested callbacks are gone, or at once
        where that is so already.

        Args:
            callback: Called without arguments.
        """
        if self._phase is _PREPARING:
            self._phase = _OPEN
        if self._phase is _ENDED:
            callback()
            return
        self._end_callbacks.append(callback)
        self._check_interest()

    def add_response(self, response: Message, is_last: bool = False) -> None:
        """Pass a response to the requester.

        A pipe that has ended swallows it: the requester was faster in losing interest.

        Args:
            response: A message with a code.
            is_last: Whether there will be no other.
        """
        self._emit(_new_event(_Event, (response, None, is_last)))

    def add_exception(self, exception: BaseException) -> None:
        """Pass an exception to the requester; it is the last event.

        Args:
            exception: Usually an :class:`aiocoap.error.Error`.
        """
        self._emit(_Event(None, exception, True))

    def close_group(self) -> None:
        """Tell the requester that who has not answered yet comes too late.

        That is an event with neither message nor exception, and not the last: a member of the
        group may go on with notifications.
        """
        self._emit(_Event(None, None, False))

    def _emit(self, event: _Event) -> None:
        phase = self._phase
        if phase is _ENDED:
            return
        if phase is _PREPARING:
            self._phase = _OPEN
        callbacks = self._callbacks
        if event.is_last:
            self._callbacks = []
            self._phase = _ENDED
            for callback, _ in callbacks:
                callback(event)
            self._run_end_callbacks()
            return
        gone = [entry for entry in callbacks if not entry[0](event)]
        if gone:
            self._callbacks = [
                entry for entry in self._callbacks if not any(entry is g for g in gone)
            ]
            self._check_interest()

    def _check_interest(self) -> None:
        """End the pipe where nobody waits any more."""
        if self._phase is not _OPEN:
            return
        for _, is_interest in self._callbacks:
            if is_interest:
                return
        onlookers, self._callbacks = self._callbacks, []
        self._phase = _ENDED
        for callback, _ in onlookers:
            callback(_Event(None, None, True))
        self._run_end_callbacks()

    def _run_end_callbacks(self) -> None:
        if self._end_callbacks:
            callbacks, self._end_callbacks = self._end_callbacks, []
            for callback in callbacks:
                callback()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._phase.name}, {len(self._callbacks)} callback(s), "
            f"request {self.request!r}>"
        )


class Renewal(Pipe):
    """A pipe whose request goes on with what an earlier one with the same token began.

    The pipe of that one has ended.  RFC 7641 sections 3.3.1 and 3.6.
    """

    __slots__ = ()

    keeps_token = True


PlumbingRequest = Pipe
"""The documented name of :class:`Pipe`."""

"""A request of others, and the way of its responses to the network.

Here lives :class:`IncomingRequest`, the pipe that a resource answers by.

The room knows the order of responses, and who is still there to get them; how they are sent is the
token manager's business.

RFC 7252 section 5.2, RFC 7641 sections 3.3.1, 4.1 and 4.5.

Whoever observes has to be there: to each observer goes a confirmable notification at least once
in OBSERVATION_CONFIRM_INTERVAL, of the unchanged state if need be.  What the network says of an
observer that was sent a non-confirmable notification is a reason to ask it by a confirmable one;
what it says of one that was sent a confirmable notification is the end of the observation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import error
from .address import EndpointAddress
from .message import Message
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .numbers.types import CON
from .pipe import Phase, Pipe

if TYPE_CHECKING:
    from logging import Logger
    from typing import Protocol

    from .pipe import Maintainer

    _Stop = Callable[[], None] | None

    class _Manager(Protocol):
        """Who sends responses, and knows the other requests."""

        log: Logger
        incoming_requests: dict[_Key, IncomingRequest]

        @property
        def round(self) -> int: ...

        def send_response(
            self, request: Message, response: Message, monitor: _Stop = None
        ) -> tuple[Message, _Stop]: ...

        def send_notification(
            self,
            request: Message,
            response: Message,
            monitor: _Stop,
            former: _Stop,
            is_confirmable: bool,
        ) -> tuple[Message, _Stop]: ...

        def begin_observation(self, request: IncomingRequest, response: Message) -> bool: ...

        def log_failure(self, text: str, about: object, problem: BaseException) -> None: ...

        def forget(self, request: IncomingRequest) -> None: ...


__all__ = ["ROUNDS", "IncomingRequest"]

ROUNDS = 24
"""How often in OBSERVATION_CONFIRM_INTERVAL it is looked whose confirmation is due."""

# What pipes have as callbacks, as long as there are none.
_NOBODY: Any = ()

_PREPARING, _OPEN, _ENDED = Phase.PREPARING, Phase.OPEN, Phase.ENDED
_BLOCK1 = int(OptionNumber.BLOCK1)

_Key = tuple[bytes, EndpointAddress]


class IncomingRequest(Pipe):
    """An incoming request, and the way of its responses to the network.

    The client's interest takes the place of the callback that others would put on: it lasts
    until the last response, or until :meth:`end`.
    """

    __slots__ = (
        "_confirmed",
        "_is_asked",
        "_is_doubted",
        "_maintainer",
        "_manager",
        "_origin",
        "_stop",
        "_was_confirmable",
        "is_observing",
        "key",
    )

    # Set by begin: how to stop the last notification, and who can make another.
    _stop: Callable[[], None] | None
    _maintainer: Maintainer | None
    # Whether the next response is the one to a request that came again.
    _is_asked: bool
    # Whether the client may be gone, so that it has to confirm the next notification; whether
    # it had to confirm the last one; and the round in which it had to the last time.
    _is_doubted: bool
    _was_confirmable: bool
    _confirmed: int

    def __init__(self, manager: _Manager, request: Message, key: _Key) -> None:
        # What the base class does, without the call: there is one of these for every request.
        self.request = request
        self.log = manager.log
        self._phase = _PREPARING
        self._callbacks = self._end_callbacks = _NOBODY
        self._manager = manager
        # What came in; ``request`` may become what a resource inside of sites sees of it.
        self._origin = request
        self.key = key
        self.is_observing = False

    def on_event(
        self, callback: Callable[[Any], bool | None], is_interest: bool = True
    ) -> Callable[[], None]:
        """Do as every pipe does."""
        self._callbacks = self._callbacks or []
        return super().on_event(callback, is_interest)

    def on_interest_end(self, callback: Callable[[], object]) -> None:
        """Do as every pipe does."""
        self._end_callbacks = self._end_callbacks or []
        super().on_interest_end(callback)

    def add_response(self, response: Message, is_last: bool = False) -> None:
        """Send a response to the client.

        Args:
            response: A message with a code; EMPTY only acknowledges the request.
            is_last: Whether there will be no other.
        """
        if self._phase is _ENDED:
            return
        manager = self._manager
        if is_last and not self.is_observing and not self._callbacks:
            self._phase = _ENDED
            del manager.incoming_requests[self.key]
            manager.send_response(self._origin, response)
            if self._end_callbacks:
                self._run_end_callbacks()
            return
        self._phase = _OPEN
        is_notification = self.is_observing and not self._is_asked
        if not is_last and response.code:
            is_last = not (self.is_observing or manager.begin_observation(self, response))
        monitor = None if is_last or not response.code else self.end
        if not is_notification:
            sent, stop = manager.send_response(self._origin, response, monitor)
        elif response.code:
            is_confirmable = self._is_doubted
            sent, stop = manager.send_notification(
                self._origin, response, monitor, self._stop, is_confirmable
            )
        else:
            # It is suppressed.
            sent, stop = response, self._stop
            if is_last and stop is not None:
                stop()
        if sent is not response:
            # What was to be sent could not be, and an error took its place.
            is_last, response = True, sent
        if is_last:
            self._finish()
        elif response.code:
            self._stop = stop
            if self._is_asked:
                self._is_asked = False
                assert self._maintainer is not None  # it has answered
                self._origin = self.request = self._maintainer.request
            self._is_doubted = False
            self._was_confirmable = response.mtype is CON
            if self._was_confirmable:
                self._confirmed = manager.round
        self._tell(response, is_last)
        if is_last:
            self._run_end_callbacks()

    def add_exception(self, exception: BaseException) -> None:
        """Send an exception to the client: as the response that it renders to, or as 5.00.

        Args:
            exception: Usually an :class:`aiocoap.error.RenderableError`.
        """
        if self._phase is _ENDED:
            return
        try:
            if not isinstance(exception, error.RenderableError):
                raise exception
            response = exception.to_message()
        except Exception as problem:
            self._manager.log_failure("Request %r failed", self.request, problem)
            response = Message(code=Code.INTERNAL_SERVER_ERROR)
        self.add_response(response, True)

    def end(self) -> None:
        """The client does not wait any more, or can not be reached."""
        if self._phase is _ENDED:
            return
        if self.is_observing and self._stop is not None:
            self._stop()
        self._finish()
        self._tell(None, True)
        self._run_end_callbacks()

    def maintain(self, maintainer: Maintainer) -> None:
        """Take note of who can make a response at any time."""
        self._maintainer = maintainer
        # There may be many observers: the message that came in was for the first response.
        self._origin = self.request = maintainer.request

    def begin(self) -> None:
        """Stay open after the first response."""
        self.is_observing = True
        self._stop = self._maintainer = None
        self._is_asked = self._is_doubted = self._was_confirmable = False
        self._confirmed = self._manager.round

    def renew(self, request: Message) -> bool:
        """Take in that the client asks for the same observation once more.

        Args:
            request: A request with the same token.

        Returns:
            Whether it is for the same; if not, it takes the place of this one.

        RFC 7641 sections 3.3.1 and 4.1.
        """
        maintainer = self._maintainer
        if (
            maintainer is None
            or request.opt.observe != 0
            or request.code != self._origin.code
            or _BLOCK1 in request.opt
            or not maintainer.renew(request)
        ):
            return False
        if self._stop is not None:
            # The client is there, and gets the present state by the response.
            self._stop()
            self._stop = None
        self._origin = self.request = request
        self._is_asked = True
        maintainer.trigger()
        return True

    def doubt(self) -> bool:
        """Have the client confirm that it is there; return whether that happens by itself."""
        self._is_doubted = True
        if self._maintainer is None:
            return False
        self._maintainer.trigger()
        return True

    def is_lost(self) -> bool:
        """Take in that the network has trouble with the client; return whether it is the end.

        RFC 7641 section 4.5: what counts is whether a confirmable notification gets there.
        """
        return self._was_confirmable or self._is_doubted or not self.doubt()

    def is_due(self, round_: int) -> bool:
        """Whether the client is to confirm that it is there.

        Over connections, whose messages have no types, that is never needed: they go with who is
        at their other end (RFC 8323 section 7.3).

        Args:
            round_: The number of the present round.
        """
        if self._origin.mtype is None:
            return False
        return round_ - self._confirmed >= ROUNDS - 1 and not self._is_doubted

    def _finish(self) -> None:
        self._phase = _ENDED
        self._manager.forget(self)

    def _tell(self, response: Message | None, is_last: bool) -> None:
        """Tell the onlookers, if there are any."""
        if not self._callbacks:
            return
        event = Pipe.Event(response, None, is_last)
        callbacks, self._callbacks = self._callbacks, []
        kept = [entry for entry in callbacks if entry[0](event) and not is_last]
        self._callbacks = kept + self._callbacks

    def _check_interest(self) -> None:
        """The client's interest is none of the callbacks'."""

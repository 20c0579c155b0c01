"""One observer of one resource, on the server's side.

Here lives :class:`ServerObservation`, which gives notifications one after another.

The room knows no tokens, no types and no transports; who renders, and who cuts what was rendered
into blocks, is the responder.

RFC 7641 sections 1.3 and 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .message import Message, NoResponse
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .pipe import Pipe
from .responserules import as_it_came, checked
from .sansio.blockwise import transfer_key
from .util.asyncio.driving import is_cancelled

if TYPE_CHECKING:
    from .responder import Responder

__all__ = ["ServerObservation"]

_ETAG, _BLOCK1 = int(OptionNumber.ETAG), int(OptionNumber.BLOCK1)


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
                response = checked(request, resource, rendered, key)
                if key is not None or not responder.goes_whole(request, response):
                    whole = as_it_came(request)
                    response = await responder.cut(whole, resource, request, response, key)
                self._check_format(response, rendered)
            except Exception as problem:
                response = self._failed(problem)
            except asyncio.CancelledError as problem:
                if is_cancelled():
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

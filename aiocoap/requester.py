"""The client half: from a request of the application to its response, or to a series of them.

Here live the requests that a context hands out (:class:`Request` for one message,
:class:`BlockwiseRequest` for whole bodies).

The room knows what an application may wait for; how that comes is told in :mod:`.delivery` and
:mod:`.blockdelivery`.

RFC 7252 sections 5.2 and 8.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .blockdelivery import BlockwiseDelivery
from .clientobservation import ClientObservation
from .delivery import Delivery, as_error
from .groupresponses import Responses
from .message import Message
from .numbers.codes import Code
from .numbers.constants import TransportTuning
from .observer import Response
from .pipe import Pipe

if TYPE_CHECKING:
    from .protocol import Context

    _Log = Logger | LoggerAdapter[Any]

__all__ = [
    "BaseRequest",
    "BaseUnicastRequest",
    "BlockwiseRequest",
    "ClientObservation",
    "Request",
]


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
        delivery = Delivery(request, loop, log)
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
        delivery = BlockwiseDelivery(app_request, protocol)
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
        if isinstance(response.delivery, BlockwiseDelivery):
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
    responses.end(as_error(problem) if problem is not None else None)
    return responses

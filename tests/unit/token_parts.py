"""What the tests of the token floor are made of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from aiocoap import interfaces
from aiocoap.address import EndpointAddress
from aiocoap.credentials import CredentialsMap
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    GET,
    INTERNAL_SERVER_ERROR,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON
from aiocoap.pipe import Pipe
from aiocoap.tokenmanager import TokenManager


class Remote(EndpointAddress):
    def __init__(self, name: str, *, group: bool = False, by_group: bool = False) -> None:
        self.name = name
        self.group = group
        self.by_group = by_group

    is_multicast = property(lambda self: self.group)
    is_multicast_locally = property(lambda self: self.by_group)
    hostinfo = property(lambda self: self.name)

    def as_response_address(self) -> Remote:
        return Remote(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Remote {self.name}>"


class Loop:
    """Time, and one timer after the other."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None], Loop.Handle]] = []

    class Handle:
        def __init__(self) -> None:
            self.cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        handle = Loop.Handle()
        self.timers.append((when, callback, handle))
        return handle

    def pending(self) -> list[float]:
        return sorted(when for when, _, handle in self.timers if not handle.cancelled)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.pending() and self.pending()[0] <= end:
            entry = min(
                (entry for entry in self.timers if not entry[2].cancelled), key=lambda e: e[0]
            )
            self.timers.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1]()
        self.now = end


class Below(interfaces.TokenInterface):
    """A message floor that keeps what it is given."""

    bound_address = ("::1", 5683)

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.monitors: list[Callable[[], None] | None] = []
        self.stopped: list[Message] = []
        self.fail: type[Exception] | None = None
        # As with NSTART others under way.
        self.queues = False
        # As a transport does that has no types.
        self.reliable = False
        self.is_shut_down = False

    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        if self.fail is not None and message.code != INTERNAL_SERVER_ERROR:
            raise self.fail("it can not be encoded")
        self.sent.append(message)
        self.monitors.append(messageerror_monitor)
        if self.reliable or not message.code:
            return None
        if not self.queues:
            message.mid = len(self.sent)
        return lambda: self.stopped.append(message)

    def owns(self, remote: EndpointAddress) -> bool:
        return isinstance(remote, Remote)

    async def resolve(self, message: Message) -> EndpointAddress | None:
        return self.resolve_now(message) or Remote("found by name")

    def resolve_now(self, message: Message) -> EndpointAddress | None:
        return Remote("resolved") if message.destination().hostinfo == "address" else None

    async def shutdown(self) -> None:
        self.is_shut_down = True


class Context:
    def __init__(self) -> None:
        self.loop: Any = Loop()
        self.log = logging.getLogger("coap-test")
        self.transport_tuning = TransportTuning()
        self.client_credentials = CredentialsMap()
        self.pipes: list[Pipe] = []

    def render_to_plumbing_request(self, plumbing_request: Pipe) -> None:
        self.pipes.append(plumbing_request)


class House:
    """A token manager in its place."""

    def __init__(self) -> None:
        self.context = Context()
        self.loop = self.context.loop
        self.below = Below()
        self.manager = TokenManager(self.context)
        self.manager.token_interface = self.below
        self.events: list[Pipe.Event] = []

    # As a server

    def receive(self, token: bytes = b"t", remote: Remote | None = None, **kwargs: Any) -> Pipe:
        # As a datagram; messages over connections have no type.
        request = Message(**{"code": GET, "token": token, "mtype": CON, **kwargs})
        request.remote = remote or Remote("client")
        self.manager.process_request(request)
        return self.context.pipes[-1]

    # As a client

    def request(self, remote: Remote | None = None, **kwargs: Any) -> Pipe:
        message = Message(**{"code": GET, **kwargs})
        message.remote = remote or Remote("server")
        pipe = Pipe(message, self.context.log)
        self.stop = pipe.on_event(self.take)
        self.manager.request(pipe)
        return pipe

    def take(self, event: Pipe.Event) -> bool:
        self.events.append(event)
        return True

    def respond(
        self, request: Message | None = None, remote: str = "server", **kwargs: Any
    ) -> bool:
        request = request or self.below.sent[-1]
        response = Message(**{"code": CONTENT, "token": request.token, **kwargs})
        response.remote = Remote(remote)
        return self.manager.process_response(response)

    def outcome(self) -> BaseException:
        (event,) = self.events
        assert event.exception is not None
        assert event.is_last
        return event.exception


def notify(pipe: Pipe, number: int = 1, **kwargs: Any) -> Message:
    message = Message(code=CONTENT, observe=number)
    pipe.add_response(message, **kwargs)
    return message


class Maintainer:
    """Gives another response when it is asked, and takes note of equal requests."""

    def __init__(self, pipe: Pipe, *, willing: bool = True) -> None:
        self.pipe = pipe
        self.willing = willing
        self.triggered = 0
        self.renewed: list[Message] = []
        self.request = pipe.request.copy()
        pipe.maintain(self)

    def trigger(self) -> None:
        self.triggered += 1

    def renew(self, request: Message) -> bool:
        self.renewed.append(request)
        self.request = request.copy()
        return self.willing


class Notifying(Below):
    """A message floor that knows notifications: everything is confirmable that is to be."""

    def __init__(self) -> None:
        super().__init__()
        self.notified: list[tuple[Message, Message | None, bool]] = []

    def send_notification(
        self,
        message: Message,
        messageerror_monitor: Callable[[], None] | None,
        former: Any,
        *,
        is_confirmable: bool = False,
    ) -> Any:
        if is_confirmable:
            message.mtype = CON
        self.notified.append((message, former and former.args[0], is_confirmable))
        return partial(self.stopped.append, message)

    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        super().send_message(message, messageerror_monitor)
        return partial(self.stopped.append, message)


Observed = tuple[House, Notifying, Pipe, Maintainer]


def observe(house: House) -> Observed:
    """Return a server with an observer that has got its first response."""
    below = Notifying()
    house.below = house.manager.token_interface = below
    pipe = house.receive(observe=0, etags=[b"1"])
    notify(pipe)
    return house, below, pipe, Maintainer(pipe)

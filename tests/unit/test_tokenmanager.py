"""The token floor, between a fake message floor and a fake context."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiocoap import error, interfaces, tokenmanager
from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.credentials import CredentialsMap
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CHANGED,
    CONTENT,
    EMPTY,
    FETCH,
    GET,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    POST,
    SERVICE_UNAVAILABLE,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON
from aiocoap.optiontypes import OpaqueOption
from aiocoap.pipe import Phase, Pipe, PlumbingRequest, Renewal
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
        request = Message(**{"code": GET, "token": token, **kwargs})
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


@pytest.fixture
def house() -> House:
    return House()


def test_the_documented_name_of_the_pipe() -> None:
    assert tokenmanager.PlumbingRequest is PlumbingRequest is Pipe


# Incoming requests


def test_a_request_gets_its_response(house: House) -> None:
    pipe = house.receive(b"abc")
    assert list(house.manager.incoming_requests) == [(b"abc", Remote("client"))]
    response = Message(code=CONTENT, payload=b"hello")
    pipe.add_response(response, is_last=True)
    assert house.below.sent == [response]
    assert response.token == b"abc"
    assert response.request is pipe.request
    assert response.remote == Remote("client")
    assert house.below.monitors == [None]
    assert house.manager.incoming_requests == {}
    assert pipe.phase is Phase.ENDED


def test_the_end_of_a_request_is_told(house: House) -> None:
    pipe = house.receive()
    ends: list[str] = []
    pipe.on_interest_end(lambda: ends.append("end"))
    assert ends == []
    pipe.add_response(Message(code=CONTENT), is_last=True)
    assert ends == ["end"]
    pipe.on_interest_end(lambda: ends.append("too late"))
    assert ends == ["end", "too late"]


def test_what_comes_after_the_last_response_is_swallowed(house: House) -> None:
    pipe = house.receive()
    pipe.add_response(Message(code=CONTENT), is_last=True)
    pipe.add_response(Message(code=CONTENT), is_last=True)
    pipe.add_exception(error.NotFound())
    assert len(house.below.sent) == 1


def test_responses_to_multicast_leave_from_one_address(house: House) -> None:
    pipe = house.receive(remote=Remote("client", by_group=True))
    pipe.add_response(Message(code=CONTENT), is_last=True)
    (response,) = house.below.sent
    assert response.remote is not None
    assert not response.remote.is_multicast_locally


def test_the_response_is_to_what_came_in(house: House) -> None:
    # A resource inside of sites sees another message.
    pipe = house.receive(uri_path=["a", "b"])
    origin = pipe.request
    pipe.request = origin.below(1)
    pipe.add_response(Message(code=CONTENT), is_last=True)
    assert house.below.sent[0].request is origin


def test_an_exception_becomes_its_response(house: House) -> None:
    house.receive().add_exception(error.NotFound("nowhere"))
    assert [(m.code, m.payload) for m in house.below.sent] == [(NOT_FOUND, b"nowhere")]


@pytest.mark.parametrize("broken", [ZeroDivisionError("secret"), error.RenderableError()])
def test_any_other_exception_becomes_an_error_without_its_text(
    house: House, caplog: pytest.LogCaptureFixture, broken: Exception
) -> None:
    house.receive().add_exception(broken)
    assert [(m.code, m.payload) for m in house.below.sent] == [(INTERNAL_SERVER_ERROR, b"")]
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_a_response_that_can_not_be_encoded(
    house: House, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    house.below.fail = kind
    pipe = house.receive(b"abc")
    pipe.add_response(Message(code=CONTENT), is_last=True)
    (substitute,) = house.below.sent
    assert substitute.code == INTERNAL_SERVER_ERROR
    assert substitute.token == b"abc"
    assert substitute.request is pipe.request
    assert substitute.remote == Remote("client")
    assert "can not be encoded" in caplog.text
    assert house.manager.incoming_requests == {}


def test_failures_are_logged_a_bounded_number_of_times(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.below.fail = ValueError
    for _ in range(100):
        house.receive().add_response(Message(code=CONTENT), is_last=True)
    assert len(caplog.records) == tokenmanager.MAX_ENCODING_ERRORS + 1
    house.loop.now += 60
    house.receive().add_response(Message(code=CONTENT), is_last=True)
    assert len(caplog.records) == tokenmanager.MAX_ENCODING_ERRORS + 2


def test_no_response_only_acknowledges(house: House) -> None:
    pipe = house.receive()
    pipe.add_response(Message(code=EMPTY), is_last=True)
    (message,) = house.below.sent
    assert message.code == EMPTY
    assert message.request is pipe.request
    assert house.manager.incoming_requests == {}


def test_onlookers_hear_of_everything(house: House) -> None:
    pipe = house.receive(observe=0)
    heard: list[Pipe.Event] = []

    def listen(event: Pipe.Event) -> bool:
        heard.append(event)
        return True

    pipe.on_event(listen, is_interest=False)
    once: list[Pipe.Event] = []
    pipe.on_event(once.append, is_interest=False)
    first, last = Message(code=CONTENT, observe=1), Message(code=CONTENT)
    pipe.add_response(first)
    pipe.add_response(last, is_last=True)
    assert heard == [(first, None, False), (last, None, True)]
    assert once == [(first, None, False)]


def test_onlookers_hear_of_the_end_of_interest(house: House) -> None:
    pipe = house.receive()
    heard: list[Pipe.Event] = []
    pipe.on_event(heard.append, is_interest=False)
    house.receive()
    assert heard == [(None, None, True)]


def test_an_onlooker_may_leave(house: House) -> None:
    pipe = house.receive()
    pipe.on_event(lambda event: True, is_interest=False)()
    assert pipe.phase is Phase.PREPARING
    pipe.add_response(Message(code=CONTENT), is_last=True)
    assert len(house.below.sent) == 1


def test_the_same_token_takes_the_place_of_the_old_request(house: House) -> None:
    ends: list[str] = []
    old = house.receive(b"same")
    old.on_interest_end(lambda: ends.append("old"))
    new = house.receive(b"same")
    assert ends == ["old"]
    assert list(house.manager.incoming_requests.values()) == [new]
    old.add_response(Message(code=CONTENT), is_last=True)
    assert house.below.sent == []
    new.add_response(Message(code=CONTENT), is_last=True)
    assert len(house.below.sent) == 1


def test_the_same_token_from_elsewhere_is_another_request(house: House) -> None:
    house.receive(b"same")
    house.receive(b"same", Remote("other"))
    assert len(house.manager.incoming_requests) == 2


# Observations from the server's side


def notify(pipe: Pipe, number: int = 1, **kwargs: Any) -> Message:
    message = Message(code=CONTENT, observe=number)
    pipe.add_response(message, **kwargs)
    return message


def test_notifications(house: House) -> None:
    pipe = house.receive(b"abc", observe=0)
    one, other = notify(pipe, 1), notify(pipe, 2)
    assert house.below.sent == [one, other]
    assert {message.token for message in house.below.sent} == {b"abc"}
    assert pipe.phase is Phase.OPEN
    last = notify(pipe, 3, is_last=True)
    assert house.below.sent[2] is last
    assert house.below.monitors[2] is None
    assert pipe.phase is Phase.ENDED
    assert house.manager.incoming_requests == {}
    assert house.manager._observers == {}
    assert house.below.stopped == [one, other], "each takes the place of the one before"


def test_a_reset_ends_the_observation(house: House) -> None:
    ends: list[str] = []
    pipe = house.receive(observe=0)
    pipe.on_interest_end(lambda: ends.append("end"))
    notify(pipe)
    monitor = house.below.monitors[0]
    assert monitor is not None
    monitor()
    assert ends == ["end"]
    assert house.manager.incoming_requests == {}
    monitor()
    assert ends == ["end"]


def test_an_unreachable_observer_is_none_any_more(house: House) -> None:
    pipe = house.receive(observe=0)
    other = house.receive(b"other", observe=0)
    elsewhere = house.receive(observe=0, remote=Remote("elsewhere"))
    for one in (pipe, other, elsewhere):
        notify(one)
    working = house.receive(b"working")
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert [one.phase for one in (pipe, other)] == [Phase.ENDED] * 2
    assert elsewhere.phase is Phase.OPEN
    assert working.phase is Phase.PREPARING, "it may be back when the result is there"


def test_the_end_stops_what_is_in_retransmission(house: House) -> None:
    pipe = house.receive(observe=0)
    one, other = notify(pipe, 1), notify(pipe, 2)
    assert house.below.stopped == [one]
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert house.below.stopped == [one, other]


def test_notifications_are_sent_as_such(house: House) -> None:
    below = Notifying()
    house.manager.token_interface = below
    pipe = house.receive(observe=0)
    first = notify(pipe, 1)
    assert (below.sent, below.notified) == ([first], [])
    second, third = notify(pipe, 2), notify(pipe, 3, is_last=True)
    assert [(one, former, confirm) for one, former, confirm in below.notified] == [
        (second, first, False),
        (third, second, False),
    ]


def test_over_a_reliable_transport_there_is_nothing_to_stop(house: House) -> None:
    house.below.reliable = True
    pipe = house.receive(observe=0)
    notify(pipe, 1)
    notify(pipe, 2)
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert pipe.phase is Phase.ENDED
    assert house.below.stopped == []


def test_a_registration_takes_the_place_of_the_old(house: House) -> None:
    old = house.receive(b"same", observe=0)
    notify(old)
    new = house.receive(b"same", observe=0)
    assert old.phase is Phase.ENDED
    notify(new, 2)
    assert house.manager._observer_count == 1
    assert list(house.manager.incoming_requests.values()) == [new]


def test_a_notification_that_is_suppressed(house: House) -> None:
    pipe = house.receive(observe=0)
    pipe.add_response(Message(code=EMPTY))
    assert pipe.phase is Phase.OPEN
    assert house.below.monitors == [None]
    shown = notify(pipe)
    pipe.add_response(Message(code=EMPTY))
    assert len(house.below.sent) == 2
    assert house.below.stopped == [], "it is not outdated for the client"
    pipe.add_response(Message(code=EMPTY), is_last=True)
    assert len(house.below.sent) == 2
    assert house.below.stopped == [shown]
    assert pipe.phase is Phase.ENDED


def test_what_is_suppressed_in_the_end_after_nothing_to_stop(house: House) -> None:
    house.below.reliable = True
    pipe = house.receive(observe=0)
    notify(pipe)
    pipe.add_response(Message(code=EMPTY), is_last=True)
    assert house.below.stopped == []
    assert pipe.phase is Phase.ENDED


def test_a_notification_that_can_not_be_encoded_ends_the_observation(house: House) -> None:
    pipe = house.receive(observe=0)
    notify(pipe)
    house.below.fail = ValueError
    notify(pipe)
    assert [message.code for message in house.below.sent] == [CONTENT, INTERNAL_SERVER_ERROR]
    assert pipe.phase is Phase.ENDED
    assert house.manager._observers == {}
    assert set(house.below.stopped) == {house.below.sent[0]}


def test_the_same_where_there_is_nothing_to_stop(house: House) -> None:
    house.below.reliable = True
    pipe = house.receive(observe=0)
    notify(pipe)
    house.below.fail = TypeError
    notify(pipe)
    assert [message.code for message in house.below.sent] == [CONTENT, INTERNAL_SERVER_ERROR]
    assert pipe.phase is Phase.ENDED


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


@pytest.fixture
def observed(house: House) -> tuple[House, Notifying, Pipe, Maintainer]:
    """A server with an observer that has got its first response."""
    below = Notifying()
    house.below = house.manager.token_interface = below
    pipe = house.receive(observe=0, etags=[b"1"])
    notify(pipe)
    return house, below, pipe, Maintainer(pipe)


Observed = tuple[House, Notifying, Pipe, Maintainer]


def test_an_equal_registration_renews_the_old(observed: Observed) -> None:
    house, below, pipe, maintainer = observed
    house.receive(observe=0, etags=[b"2"])
    assert house.context.pipes == [pipe], "there is no other one"
    (request,) = maintainer.renewed
    assert maintainer.triggered == 1
    assert below.stopped == [below.sent[0]], "the client is there, and hears of it now"
    answer = notify(pipe, 2)
    assert below.sent[-1] is answer
    assert answer.request is request
    assert below.notified == []
    later = notify(pipe, 3)
    assert below.notified == [(later, answer, False)]
    assert later.request is pipe.request is maintainer.request
    assert house.manager._observer_count == 1


def test_renewing_where_there_is_nothing_to_stop(observed: Observed) -> None:
    house, below, pipe, maintainer = observed
    house.receive(observe=0)
    house.receive(observe=0)
    assert len(maintainer.renewed) == 2
    assert len(below.stopped) == 1
    answer = notify(pipe)
    assert below.sent[-1] is answer


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"observe": 1},
        {"observe": 0, "code": FETCH},
        {"observe": 0, "block1": (0, False, 6)},
    ],
)
def test_another_request_ends_the_old(observed: Observed, kwargs: dict[str, Any]) -> None:
    house, below, pipe, maintainer = observed
    new = house.receive(**kwargs)
    assert new is not pipe
    assert pipe.phase is Phase.ENDED
    assert maintainer.renewed == []
    assert below.stopped == [below.sent[0]]


def test_a_registration_that_can_not_be_renewed(observed: Observed) -> None:
    house, _, pipe, maintainer = observed
    maintainer.willing = False
    assert house.receive(observe=0) is not pipe
    assert pipe.phase is Phase.ENDED
    assert maintainer.triggered == 0


DAY = 86400


def test_observers_confirm_that_they_are_there_every_day(observed: Observed) -> None:
    house, below, pipe, maintainer = observed
    house.loop.advance(DAY * 0.9)
    notify(pipe)
    assert [confirm for _, _, confirm in below.notified] == [False]
    assert maintainer.triggered == 0
    house.loop.advance(DAY * 0.1)
    assert maintainer.triggered == 1
    house.loop.advance(DAY)
    assert maintainer.triggered == 1, "it has been asked"
    notify(pipe)
    assert below.notified[-1][2]
    house.loop.advance(DAY * 0.5)
    notify(pipe)
    assert not below.notified[-1][2]
    house.loop.advance(DAY * 0.5)
    assert maintainer.triggered == 2
    pipe.add_response(Message(code=CONTENT), is_last=True)
    house.loop.advance(DAY)
    assert house.loop.pending() == [], "nobody has to be asked"


def test_who_confirms_by_itself_is_not_asked(observed: Observed) -> None:
    house, _, pipe, maintainer = observed
    for _ in range(10):
        house.loop.advance(DAY * 0.5)
        pipe.add_response(Message(code=CONTENT, observe=1, mtype=CON))
    assert maintainer.triggered == 0


def test_who_can_not_be_asked_at_once_is_asked_by_the_next_notification(house: House) -> None:
    house.below = below = Notifying()
    house.manager.token_interface = below
    pipe = house.receive(observe=0)
    notify(pipe)
    house.loop.advance(DAY)
    assert pipe.phase is Phase.OPEN
    notify(pipe)
    assert below.notified[-1][2]
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert pipe.phase is Phase.ENDED


def test_a_renewal_keeps_its_token(house: House) -> None:
    first = house.request(observe=0)
    token = first.request.token
    house.stop()
    message = first.request.copy(etags=[b"1"])
    renewal = Renewal(message, house.context.log)
    renewal.on_event(house.take)
    house.manager.request(renewal)
    assert house.below.sent[-1] is message
    assert message.token == token
    assert house.respond(observe=1)
    assert house.events[-1].message is not None
    house.request(Message(code=GET, token=token).remote)
    assert house.below.sent[-1].token != token


def test_notifications_after_the_end_are_refused(house: House) -> None:
    first = house.request(observe=0)
    assert house.respond(observe=1)
    house.stop()
    farewell = Renewal(first.request.copy(observe=1), house.context.log)
    farewell.on_event(house.take)
    house.manager.request(farewell)
    assert not house.respond(observe=2)
    assert farewell.phase is Phase.OPEN
    assert house.respond()
    assert farewell.phase is Phase.ENDED


def test_what_is_no_end_gets_any_response(house: House) -> None:
    pipe = house.request(observe=1)
    assert house.respond(observe=2)
    assert pipe.phase is Phase.ENDED


def test_a_renewal_without_a_token_gets_one(house: House) -> None:
    message = Message(code=GET, observe=0)
    message.remote = Remote("server")
    pipe = Renewal(message, house.context.log)
    pipe.on_event(house.take)
    house.manager.request(pipe)
    assert message.token


def test_notifications_can_be_waited_for_without_asking(house: House) -> None:
    first = house.request(observe=0)
    assert house.respond(observe=1)
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert first.phase is Phase.ENDED
    assert not house.respond(observe=2), "to be answered by a Reset"
    listener = Renewal(first.request.copy(), house.context.log)
    listener.request.token = first.request.token
    listener.on_event(house.take)
    house.manager.listen(listener)
    assert len(house.below.sent) == 1
    house.loop.advance(10_000)
    assert house.respond(observe=3)
    assert house.events[-1].message is not None
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert isinstance(house.events[-1].exception, error.NetworkError)
    assert not len(house.manager.outgoing_requests)


def test_after_the_shutdown_nothing_is_waited_for(house: House) -> None:
    asyncio.run(house.manager.shutdown())
    listener = Renewal(Message(code=GET, observe=0, token=b"t"), house.context.log)
    listener.on_event(house.take)
    house.manager.listen(listener)
    assert isinstance(house.outcome(), error.LibraryShutdown)


def test_rounds_begin_anew(observed: Observed) -> None:
    house, _, pipe, _ = observed
    pipe.add_response(Message(code=CONTENT), is_last=True)
    house.loop.advance(DAY)
    pipe = house.receive(observe=0)
    notify(pipe)
    other = house.receive(b"other", observe=0)
    notify(other)
    assert len(house.loop.pending()) == 1
    maintainer = Maintainer(pipe)
    house.loop.advance(DAY)
    assert maintainer.triggered == 1


def test_who_may_be_gone_is_asked(observed: Observed) -> None:
    house, below, pipe, maintainer = observed
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert maintainer.triggered == 1
    assert pipe.phase is Phase.OPEN
    notify(pipe)
    assert below.notified[-1][2]
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert pipe.phase is Phase.ENDED
    assert maintainer.triggered == 1


def test_who_may_be_gone_before_it_was_asked(observed: Observed) -> None:
    house, _, pipe, _ = observed
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    assert pipe.phase is Phase.ENDED


def test_who_was_asked_in_vain_is_gone(observed: Observed) -> None:
    house, _, pipe, maintainer = observed
    house.manager.dispatch_error(error.ConRetransmitsExceeded(), Remote("client"))
    assert pipe.phase is Phase.ENDED
    assert maintainer.triggered == 0


def test_an_exception_ends_the_observation(house: House) -> None:
    pipe = house.receive(observe=0)
    notify(pipe)
    pipe.add_exception(error.NotFound())
    assert house.below.sent[-1].code == NOT_FOUND
    assert house.manager.incoming_requests == {}
    assert house.manager._observer_count == 0


# Bounds


def test_too_many_requests_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenmanager, "MAX_INCOMING", 2)
    pipes = [house.receive(b"1"), house.receive(b"2")]
    house.receive(b"3")
    house.receive(b"4", no_response=16)
    house.receive(b"5", remote=Remote("client", by_group=True))
    assert house.context.pipes == pipes
    assert [(m.token, m.code) for m in house.below.sent] == [
        (b"3", SERVICE_UNAVAILABLE),
        (b"4", EMPTY),
        (b"5", EMPTY),
    ]
    pipes[0].add_response(Message(code=CONTENT), is_last=True)
    assert house.receive(b"6") not in pipes
    assert house.receive(b"6") not in pipes, "a repeated token needs no more room"


def test_too_many_observers_are_answered_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenmanager, "MAX_OBSERVERS", 1)
    one, other = house.receive(b"1", observe=0), house.receive(b"2", observe=0)
    notify(one)
    notify(other)
    assert [message.opt.observe for message in house.below.sent] == [1, None]
    assert (one.phase, other.phase) == (Phase.OPEN, Phase.ENDED)
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    third = house.receive(b"3", observe=0)
    notify(third)
    assert third.phase is Phase.OPEN


# Outgoing requests


def test_a_request_finds_its_response(house: House) -> None:
    pipe = house.request(uri_path=["a"])
    (request,) = house.below.sent
    assert request is pipe.request
    assert len(request.token) == 4
    assert len(house.manager.outgoing_requests) == 1
    assert house.respond(payload=b"hello")
    (event,) = house.events
    assert event.message is not None
    assert event.message.payload == b"hello"
    assert event.message.request is request
    assert event.is_last
    assert len(house.manager.outgoing_requests) == 0
    assert house.below.stopped == [request], "the response may have overtaken the acknowledgement"
    assert not house.respond(), "a second one belongs to nothing"


def test_a_response_from_elsewhere_is_none(house: House) -> None:
    house.request()
    assert not house.respond(remote="elsewhere")
    assert not house.respond(token=b"guess")
    assert house.events == []


def test_a_response_with_an_unknown_critical_option_is_none(house: House) -> None:
    house.request()
    response = Message(code=CONTENT, token=house.below.sent[0].token)
    response.remote = Remote("server")
    response.opt.add_option(OpaqueOption(65001, b""))
    assert not house.manager.process_response(response)
    assert house.events == []
    assert house.respond(block2=(0, True, 6)), "it is still waited for"


def test_a_reset_fails_the_request(house: House) -> None:
    house.request()
    monitor = house.below.monitors[0]
    assert monitor is not None
    monitor()
    assert isinstance(house.outcome(), error.MessageError)
    assert len(house.manager.outgoing_requests) == 0
    monitor()
    assert len(house.events) == 1


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_a_request_that_can_not_be_encoded(house: House, kind: type[Exception]) -> None:
    house.below.fail = kind
    house.request()
    assert isinstance(house.outcome(), error.Error)
    assert isinstance(house.outcome().__cause__, kind)
    assert len(house.manager.outgoing_requests) == 0
    assert house.loop.pending() == []


def test_a_request_without_a_code_is_told_so(house: House) -> None:
    house.below.fail = TypeError
    house.request(code=None)
    assert "no code" in str(house.outcome())


def test_a_request_that_nobody_waits_for_is_not_sent(house: House) -> None:
    message = Message(code=GET)
    message.remote = Remote("server")
    house.manager.request(Pipe(message, house.context.log))
    assert house.below.sent == []
    assert len(house.manager.outgoing_requests) == 0


def test_losing_interest_stops_the_request(house: House) -> None:
    pipe = house.request()
    house.stop()
    assert house.below.stopped == [pipe.request]
    assert len(house.manager.outgoing_requests) == 0
    assert not house.respond()
    house.loop.advance(1000)
    assert house.events == []


def test_a_message_that_was_sent_before_is_copied(house: House) -> None:
    first = house.request()
    message = first.request
    token = message.token
    pipe = Pipe(message, house.context.log)
    pipe.on_event(house.take)
    house.manager.request(pipe)
    assert message.token == token, "it may be queued still"
    assert house.below.sent[1] is pipe.request is not message
    assert pipe.request.token != token


def test_an_unreachable_endpoint_fails_its_requests(house: House) -> None:
    house.request()
    house.request()
    house.request(Remote("elsewhere"))
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert len(house.events) == 2
    for event in house.events:
        assert isinstance(event.exception, error.NetworkError)
        assert isinstance(event.exception.__cause__, ConnectionRefusedError)
        assert "refused" in str(event.exception)
    assert len(house.manager.outgoing_requests) == 1


@pytest.mark.parametrize(
    ("problem", "kind", "text"),
    [
        (error.ConRetransmitsExceeded("gone"), error.ConRetransmitsExceeded, "gone"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), error.NetworkError, "No route to host"),
        (OSError("something"), error.NetworkError, "something"),
        (RuntimeError("else"), error.NetworkError, "else"),
    ],
)
def test_what_requests_fail_with(
    house: House, problem: Exception, kind: type[Exception], text: str
) -> None:
    house.request()
    house.manager.dispatch_error(problem, Remote("server"))
    outcome = house.outcome()
    assert type(outcome) is kind
    assert str(outcome) == text
    assert outcome is problem or outcome.__cause__ is problem


def test_an_error_that_concerns_nobody(house: House) -> None:
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    assert house.events == []


# Observations and groups from the client's side


def test_an_observation_stays_open(house: House) -> None:
    house.request(observe=0)
    (request,) = house.below.sent
    assert house.respond(observe=5)
    assert house.below.stopped == [request]
    assert house.respond(observe=6)
    assert house.below.stopped == [request]
    house.loop.advance(1000)
    assert house.respond(code=NOT_FOUND)
    assert [event.is_last for event in house.events] == [False, False, True]
    assert not house.respond(observe=7), "to be answered by a Reset"


def test_an_observation_that_is_not_accepted(house: House) -> None:
    house.request(observe=0)
    house.respond()
    assert [event.is_last for event in house.events] == [True]


@pytest.mark.parametrize("observe", [None, 1])
def test_who_does_not_observe_gets_one_response(house: House, observe: int | None) -> None:
    house.request(observe=observe)
    house.respond(observe=5)
    assert [event.is_last for event in house.events] == [True]


def test_an_observation_that_nobody_wants_any_more(house: House) -> None:
    house.request(observe=0)
    house.respond(observe=5)
    house.stop()
    assert not house.respond(observe=6)


def test_all_members_of_a_group_may_answer(house: House) -> None:
    house.request(Remote("group", group=True))
    for member in ("one", "other"):
        assert house.respond(remote=member)
    house.loop.advance(9.9)
    assert house.respond(remote="late")
    assert [event.is_last for event in house.events] == [False] * 3
    house.stop()
    assert not house.respond(remote="later")
    assert house.loop.pending() == [1010], "one timer for all is not set back"


def test_etags_are_not_for_groups(house: House) -> None:
    message = house.request(Remote("group", group=True), etags=[b"known"]).request
    (sent,) = house.below.sent
    assert sent is message
    assert sent.opt.etags == ()
    assert house.respond(remote="one")
    # Whoever replaces something may well name what.
    house.request(Remote("group", group=True), code=POST, etags=[b"known"])
    house.request(etags=[b"known"])
    assert [one.opt.etags for one in house.below.sent[1:]] == [(b"known",)] * 2


def test_members_of_a_group_have_their_time(house: House) -> None:
    house.request(Remote("group", group=True))
    assert house.respond(remote="one")
    house.loop.advance(10.1)
    assert not house.respond(remote="late")
    response, end = house.events
    assert response.message is not None
    assert isinstance(end.exception, error.RequestTimedOut)
    assert end.is_last
    assert len(house.manager.outgoing_requests) == 0
    assert house.loop.pending() == []


def test_a_member_of_a_group_answers_once(house: House) -> None:
    house.request(Remote("group", group=True))
    assert house.respond(remote="one")
    assert not house.respond(remote="one"), "to be rejected"
    assert house.respond(remote="other")
    assert len(house.events) == 2


def test_there_may_be_too_many_members(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenmanager, "MAX_RESPONDERS", 2)
    house.request(Remote("group", group=True))
    assert [house.respond(remote=name) for name in "abcd"] == [True, True, False, False]


def test_the_first_member_of_a_group_is_observed(house: House) -> None:
    house.request(Remote("group", group=True), observe=0)
    assert house.respond(remote="one", observe=1)
    assert house.respond(remote="other", observe=1)
    assert house.respond(remote="one", observe=2)
    assert not house.respond(remote="other", observe=2), "to be answered by a Reset"
    house.loop.advance(10.1)
    assert house.events[-1] == (None, None, False)
    assert not house.respond(remote="late", observe=1), "to be answered by a Reset"
    house.loop.advance(1000)
    assert house.respond(remote="one", observe=3)
    assert house.loop.pending() == []
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("one"))
    assert isinstance(house.events[-1].exception, error.NetworkError)
    assert [event.is_last for event in house.events] == [*[False] * 5, True]


def test_the_observation_of_a_member_ends(house: House) -> None:
    house.request(Remote("group", group=True), observe=0)
    assert house.respond(remote="one", observe=1)
    house.loop.advance(10.1)
    assert house.respond(remote="one", code=NOT_FOUND)
    assert house.events[-1].is_last
    assert len(house.manager.outgoing_requests) == 0


def test_nobody_of_a_group_can_be_observed(house: House) -> None:
    house.request(Remote("group", group=True), observe=0)
    house.loop.advance(10.1)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_a_single_member_does_not_fail_a_group(house: House) -> None:
    house.request(Remote("group", group=True))
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("one"))
    assert house.events == []


def test_nothing_can_be_sent_to_a_group(house: House) -> None:
    house.request(Remote("other", group=True))
    house.request()
    house.request(Remote("group", group=True))
    house.manager.dispatch_error(errno.ENETUNREACH, Remote("group", group=True))
    assert isinstance(house.outcome(), error.NetworkError)
    assert len(house.manager.outgoing_requests) == 2


# Waiting


def test_a_request_is_given_up_in_time(house: House) -> None:
    house.request()
    house.loop.advance(92.9)
    assert house.events == []
    house.loop.advance(0.2)
    assert isinstance(house.outcome(), error.RequestTimedOut)
    assert len(house.manager.outgoing_requests) == 0
    assert house.loop.pending() == []


def test_a_group_that_does_not_answer(house: House) -> None:
    class Hasty(TransportTuning):
        GROUP_TIMEOUT = 2.0

    house.request(Remote("group", group=True), transport_tuning=Hasty)
    house.loop.advance(2.1)
    assert isinstance(house.outcome(), error.RequestTimedOut)
    house.events.clear()
    house.request(Remote("group", group=True))
    house.loop.advance(10.1)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_patience_is_up_to_the_request(house: House) -> None:
    class Hasty(TransportTuning):
        REQUEST_TIMEOUT = 10.0

    house.request()
    house.request(transport_tuning=Hasty)
    house.loop.advance(11)
    assert isinstance(house.outcome(), error.RequestTimedOut)
    assert "10 seconds" in str(house.outcome())
    house.loop.advance(90)
    assert len(house.events) == 2


def test_patience_is_up_to_the_context(house: House) -> None:
    house.context.transport_tuning.ACK_TIMEOUT = 1.0
    house.request()
    house.loop.advance(47)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_one_timer_for_all(house: House) -> None:
    for _ in range(10):
        house.request()
        house.loop.now += 1
    assert len(house.loop.timers) == 1
    for request in list(house.below.sent):
        house.respond(request)
    house.request()
    assert len(house.loop.timers) == 1
    # The timer of the first one goes off, and looks for the next.
    house.loop.advance(83)
    assert len(house.events) == 10
    house.loop.advance(11)
    assert len(house.events) == 11


def test_a_timer_that_is_early(house: House) -> None:
    house.request()
    (_, callback, _) = house.loop.timers.pop()
    house.loop.now += 92.9999999
    callback()
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_a_queued_request_is_not_given_up(house: House) -> None:
    house.below.queues = True
    house.request()
    house.loop.advance(500)
    assert house.events == []
    # Now it leaves; there are 93 seconds from here on, and at most an eighth more.
    house.below.sent[0].mid = 1
    house.loop.advance(93)
    assert house.events == []
    house.loop.advance(12)
    assert isinstance(house.outcome(), error.RequestTimedOut)


def test_without_message_ids_nothing_is_queued(house: House) -> None:
    house.below.reliable = True
    house.request(mtype=CON)
    house.loop.advance(94)
    assert isinstance(house.outcome(), error.RequestTimedOut)


# The rest


def test_what_is_passed_through(house: House) -> None:
    manager = house.manager
    assert manager.client_credentials is house.context.client_credentials
    assert manager.bound_address == ("::1", 5683)
    assert len(manager.next_token()) == 4
    assert manager.next_token() != manager.next_token()


async def test_remotes_are_the_floor_belows(house: House) -> None:
    message = Message(code=GET)
    message.remote = remote = Remote("server")
    assert await house.manager.fill_or_recognize_remote(message)
    assert message.remote is remote
    message.remote = UndecidedRemote("coap", "name")
    assert await house.manager.fill_or_recognize_remote(message)
    assert message.remote == Remote("found by name")


def test_remotes_that_need_no_waiting(house: House) -> None:
    message = Message(code=GET, uri="coap://address")
    assert house.manager.fill_or_recognize_remote_now(message)
    assert message.remote == Remote("resolved")
    assert house.manager.fill_or_recognize_remote_now(message)
    message.remote = None
    assert house.manager.fill_or_recognize_remote_now(message), "Uri-Host is a destination as well"
    name = UndecidedRemote("coap", "name")
    message.remote = name
    assert not house.manager.fill_or_recognize_remote_now(message)
    assert message.remote is name


def test_repr_tells_how_much_is_open(house: House) -> None:
    assert "0 outgoing and 0 incoming" in repr(house.manager)
    house.request()
    house.receive()
    assert "1 outgoing and 1 incoming" in repr(house.manager)
    assert "None" in repr(TokenManager(Context()))


async def test_shutdown_ends_everything(house: House) -> None:
    house.request()
    house.request(observe=0)
    pipes = [house.receive(b"1"), house.receive(b"2", observe=0)]
    notify(pipes[1])
    await house.manager.shutdown()
    assert [type(event.exception) for event in house.events] == [error.LibraryShutdown] * 2
    assert [pipe.phase for pipe in pipes] == [Phase.ENDED] * 2
    assert house.loop.pending() == []
    assert house.below.is_shut_down
    assert len(house.manager.outgoing_requests) == 0
    assert house.manager.incoming_requests == {}


async def test_shutdown_of_what_did_nothing(house: House) -> None:
    await house.manager.shutdown()
    assert house.below.is_shut_down


async def test_after_shutdown_nothing_is_sent(house: House) -> None:
    await house.manager.shutdown()
    house.request(code=POST)
    assert isinstance(house.outcome(), error.LibraryShutdown)
    assert house.below.sent == []


def test_requests_do_not_keep_each_other_alive(house: House) -> None:
    # What is answered is gone, without waiting for the garbage collector.
    import gc
    import weakref

    class Watched(Pipe):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        message = Message(code=GET)
        message.remote = Remote("server")
        pipe = Watched(message, house.context.log)
        pipe.on_event(lambda event: None)
        house.manager.request(pipe)
        gone = weakref.ref(pipe)
        house.respond(code=CHANGED)
        del pipe
        house.below.monitors.clear()
        assert gone() is None
    finally:
        gc.enable()


# Pings


class Pinged(Below):
    """A message floor that keeps whoever waits for an answer to a ping."""

    def __init__(self) -> None:
        super().__init__()
        self.pongs: list[Callable[[], None]] = []
        self.stops = 0
        self.has_something_to_stop = True

    def ping(self, remote: EndpointAddress, pong: Callable[[], None]) -> Callable[[], None] | None:
        self.pongs.append(pong)

        def stop() -> None:
            self.stops += 1

        return stop if self.has_something_to_stop else None


class Pings:
    """A token manager in a real loop, and a ping under way."""

    def __init__(self) -> None:
        self.house = House()
        self.house.context.loop = asyncio.get_running_loop()
        self.below = Pinged()
        self.manager = TokenManager(self.house.context)
        self.manager.token_interface = self.below

    async def start(self, name: str = "server") -> asyncio.Task[None]:
        task = asyncio.create_task(self.manager.ping(Remote(name)))
        await asyncio.sleep(0)
        return task


async def test_a_ping_is_answered() -> None:
    pings = Pings()
    for pings.below.has_something_to_stop in (True, False):
        task = await pings.start()
        pings.below.pongs[-1]()
        pings.below.pongs[-1]()
        await task
    assert pings.below.stops == 1
    assert pings.manager._pings == []


async def test_a_ping_to_who_can_not_be_reached() -> None:
    pings = Pings()
    lost, other = await pings.start(), await pings.start("other")
    pings.manager.dispatch_error(errno.ECONNREFUSED, Remote("server"))
    # An answer that comes too late.
    pings.below.pongs[0]()
    with pytest.raises(error.NetworkError, match="refused"):
        await lost
    pings.manager.dispatch_error(error.ConRetransmitsExceeded("no"), Remote("other"))
    pings.manager.dispatch_error(errno.ECONNREFUSED, Remote("other"))
    with pytest.raises(error.ConRetransmitsExceeded):
        await other
    assert pings.below.stops == 2
    assert pings.manager._pings == []


async def test_a_ping_that_nobody_waits_for_any_more() -> None:
    pings = Pings()
    task = await pings.start()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pings.below.stops == 1
    assert pings.manager._pings == []


async def test_pings_and_the_shutdown() -> None:
    pings = Pings()
    task = await pings.start()
    await pings.manager.shutdown()
    with pytest.raises(error.LibraryShutdown):
        await task
    with pytest.raises(error.LibraryShutdown):
        await pings.manager.ping(Remote("server"))
    assert len(pings.below.pongs) == 1


async def test_a_ping_that_is_kept_back_for_too_long() -> None:
    pings = Pings()
    pings.house.context.transport_tuning.ACK_TIMEOUT = 0.0
    with pytest.raises(error.RequestTimedOut, match="ping"):
        await pings.manager.ping(Remote("server"))
    assert pings.below.stops == 1


async def test_not_every_transport_can_ping() -> None:
    pings = Pings()
    pings.manager.token_interface = Below()
    with pytest.raises(error.Error, match="can not be pinged"):
        await pings.manager.ping(Remote("server"))
    assert pings.manager._pings == []


def test_asyncio_runs_it_too() -> None:
    """The loop above is a fake: the calls exist in a real one."""

    async def main() -> list[Pipe.Event]:
        house = House()
        house.context.loop = asyncio.get_running_loop()
        house.context.transport_tuning.ACK_TIMEOUT = 0.0
        manager = TokenManager(house.context)
        manager.token_interface = house.below
        house.manager = manager
        house.request()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return house.events

    (event,) = asyncio.run(main())
    assert isinstance(event.exception, error.RequestTimedOut)

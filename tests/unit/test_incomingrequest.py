"""Requests of others: responses, onlookers, observers."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from aiocoap import error, tokenmanager
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
    EMPTY,
    FETCH,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
)
from aiocoap.pipe import Phase, Pipe
from tests.unit.token_parts import House, Notifying, Observed, Remote, notify, observe


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def observed(house: House) -> Observed:
    return observe(house)


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
    assert len(house.manager.observers) == 0
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
    assert len(house.manager.observers) == 1
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
    assert len(house.manager.observers) == 0
    assert set(house.below.stopped) == {house.below.sent[0]}


def test_the_same_where_there_is_nothing_to_stop(house: House) -> None:
    house.below.reliable = True
    pipe = house.receive(observe=0)
    notify(pipe)
    house.below.fail = TypeError
    notify(pipe)
    assert [message.code for message in house.below.sent] == [CONTENT, INTERNAL_SERVER_ERROR]
    assert pipe.phase is Phase.ENDED


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
    assert len(house.manager.observers) == 1


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
    assert len(house.manager.observers) == 0

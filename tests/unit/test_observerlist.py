"""The list of observers: who is asked when, and how many there may be."""

from __future__ import annotations

import errno

import pytest

from aiocoap import observerlist
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CONTENT,
)
from aiocoap.numbers.types import CON
from aiocoap.pipe import Phase
from tests.unit.token_parts import House, Maintainer, Notifying, Observed, Remote, notify, observe


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def observed(house: House) -> Observed:
    return observe(house)


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


def test_too_many_observers_are_answered_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observerlist, "MAX_OBSERVERS", 1)
    one, other = house.receive(b"1", observe=0), house.receive(b"2", observe=0)
    notify(one)
    notify(other)
    assert [message.opt.observe for message in house.below.sent] == [1, None]
    assert (one.phase, other.phase) == (Phase.OPEN, Phase.ENDED)
    house.manager.dispatch_error(errno.ECONNREFUSED, Remote("client"))
    third = house.receive(b"3", observe=0)
    notify(third)
    assert third.phase is Phase.OPEN

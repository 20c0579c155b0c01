"""Ten thousand observers: each of them is notified, and of none of them is anything left."""

from __future__ import annotations

from collections import Counter

from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON, RST
from aiocoap.resource import ObservableResource
from aiocoap.sansio.reliability import empty
from tests.harness import Clock, Endpoint, empty_tables

COUNT = 10_000


class State(ObservableResource):
    """Something that changes."""

    state = b"0"

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.state)

    def set(self, state: bytes) -> None:
        self.state = state
        self.updated_state()


class Crowd:
    """A server, and everybody who observes its one resource."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.resource = State()
        self.sent: list[tuple[str, Message]] = []
        self.server = Endpoint("server", self._transmit, self.clock, site=self.resource)

    def _transmit(self, datagram: bytes, remote: EndpointAddress) -> None:
        self.sent.append((remote.hostinfo, Message.decode(datagram)))

    def ask(self, number: int, mid: int, observe: int) -> None:
        """Let one of them begin or end to observe."""
        token = number.to_bytes(2, "big")
        request = Message(code=GET, mtype=CON, mid=mid, token=token, observe=observe)
        self.server.receive(request.encode(), f"client{number}")

    def hears(self) -> list[tuple[str, Message]]:
        """Return what was sent since the last time, and to whom."""
        self.clock.settle()
        sent, self.sent = self.sent, []
        return sent

    def change(self, state: bytes) -> list[tuple[str, Message]]:
        """Let the state change; return who is told, which is everybody who observes, once."""
        self.clock.loop.call_soon(self.resource.set, state)
        told = self.hears()
        assert {message.payload for _, message in told} <= {state}
        assert Counter(name for name, _ in told).most_common(1)[0][1] == 1
        for name, message in told:
            assert name == f"client{int.from_bytes(message.token, 'big')}"
            assert message.opt.observe is not None
        return told

    def answer(self, told: list[tuple[str, Message]], mtype: int) -> None:
        """Let some acknowledge or reject what they were told."""
        for name, message in told:
            assert message.mtype is CON, "as they have asked"
            self.server.receive(empty(mtype, message.mid), name)  # type: ignore[arg-type]
        assert self.hears() == []


def test_ten_thousand_observers() -> None:
    crowd = Crowd()
    for number in range(COUNT):
        crowd.ask(number, 1, observe=0)
    first = crowd.hears()
    assert len(first) == len(crowd.resource.observations) == COUNT
    assert all(m.code == CONTENT and m.opt.observe is not None for _, m in first)

    told = crowd.change(b"1")
    assert len(told) == COUNT
    crowd.answer(told, ACK)
    told = crowd.change(b"2")
    assert len(told) == COUNT

    # They leave, each by one of three ways.
    third = COUNT // 3
    crowd.answer(told[:third], RST)
    crowd.answer(told[third:], ACK)
    assert len(crowd.resource.observations) == COUNT - third
    leaving = range(third, 2 * third)
    for number in leaving:
        crowd.ask(number, 2, observe=1)
    last = crowd.hears()
    assert [name for name, _ in last] == [f"client{number}" for number in leaving]
    assert all(message.opt.observe is None for _, message in last)
    silent = crowd.change(b"3")
    assert [name for name, _ in silent] == [f"client{n}" for n in range(2 * third, COUNT)]
    tuning = TransportTuning()
    crowd.clock.advance(tuning.MAX_TRANSMIT_WAIT + 1)
    assert crowd.resource.observations == {}
    assert len(crowd.server.tokens.observers) == 0

    assert not empty_tables(crowd.server), "exchanges are remembered for some time"
    # Endpoints are looked through once in a lifetime.
    crowd.clock.advance(2 * tuning.EXCHANGE_LIFETIME + 20)
    assert empty_tables(crowd.server)
    crowd.server.close()
    crowd.clock.close()

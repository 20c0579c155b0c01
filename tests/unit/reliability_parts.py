"""What the tests of the message layer are made of."""

from __future__ import annotations

from typing import Any

from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import Type
from aiocoap.sansio.reliability import Reliability, Verdict
from aiocoap.sansio.transmission import Outgoing
from tests.harness import Address

HERE = "[2001:db8::a]"
THERE = Address("[2001:db8::1]", HERE)
ELSEWHERE = Address("[2001:db8::2]", HERE)
GROUP = Address("[ff02::fd]", HERE)
BY_GROUP = Address("[2001:db8::1]", HERE, "[ff02::fd]")

IGNORED = (Verdict.IGNORE, None)
REQUESTED = (Verdict.REQUEST, None)
RESPONDED = (Verdict.RESPONSE, None)


class Bench:
    """A heart and a clock."""

    def __init__(self, tuning: TransportTuning | None = None, chance: float = 0.5) -> None:
        self.chance = chance
        self.heart = Reliability(tuning or TransportTuning(), lambda: self.chance)
        self.now = 1000.0
        self.silent: list[Any] = []
        self.heard: list[Message] = []

    def hear(
        self, mtype: Type, code: int, mid: int, token: bytes = b"t", remote: Address = THERE
    ) -> tuple[Verdict, Any]:
        message = Message(mtype=mtype, code=code, mid=mid)
        message.token = token if code else b""
        message.remote = remote
        self.heard.append(message)
        return self.heart.receive(message, self.now)

    def send(
        self,
        code: int = GET,
        *,
        remote: Address = THERE,
        monitor: Any = "monitor",
        delay: float = 0.0,
        request: Message | None = None,
        **kwargs: Any,
    ) -> Any:
        message = Message(code=code, **kwargs)
        message.remote = remote
        message.request = request
        message.token = b"t" if code else b""
        self.sent = message
        return self.heart.send(message, monitor, self.now, delay)

    def respond(self, request: Message, **kwargs: Any) -> bytes | None:
        response = Message(code=CONTENT, **kwargs)
        response.request = request
        response.token = request.token
        return self.heart.piggyback(response)

    def outbox(self) -> list[Message]:
        """Take what is to be sent."""
        found = [Message.decode(raw, remote) for raw, remote in self.heart.outbox]
        self.heart.outbox.clear()
        return found

    def cancel(self, out: Outgoing) -> None:
        self.heart.cancel(out, self.now)

    def until(self, end: float) -> list[tuple[float, Message]]:
        """Let time pass as a hand would, and return when what is sent."""
        sent = []
        steps = 0
        while self.heart.wake <= end:
            assert self.heart.wake >= self.now or not steps, "time runs backwards"
            self.now = max(self.now, self.heart.wake)
            self.silent += self.heart.tick(self.now)
            sent += [(self.now, message) for message in self.outbox()]
            steps += 1
            assert steps < 10_000, "the heart never sleeps"
        self.now = end
        return sent

    def after(self, seconds: float) -> list[tuple[float, Message]]:
        return self.until(self.now + seconds)

    def rest(self) -> None:
        """Assert that all that is known is forgotten in time."""
        self.after(1000)
        assert self.heart.is_idle()
        assert self.heart.wake == float("inf")

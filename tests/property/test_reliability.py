"""The message layer under any order of events."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, EMPTY, GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON, NON, RST, Type
from aiocoap.sansio.reliability import Reliability, Verdict
from aiocoap.sansio.transmission import Outgoing, State
from tests.harness import Address

REMOTES = [Address(f"[2001:db8::{number}]", "[2001:db8::a]") for number in (1, 2)]

# Times that make it likely that something happens just before, at, or after a deadline.
SECONDS = st.sampled_from([0.0, 0.05, 0.1, 1.0, 2.0, 2.5, 3.0, 10.0, 60.0, 93.0, 145.0, 247.0])


class Broad(TransportTuning):
    NSTART = 2


class Exchanges(RuleBasedStateMachine):
    """One heart, whose peers and owner do as they like."""

    outs = Bundle("outs")
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.chances = 0
        self.heart = Reliability(TransportTuning(), self.chance)
        self.all_outs: list[Outgoing] = []
        # When each confirmable message left, by handle.
        self.departures: dict[bytes, list[float]] = {}
        # The latest request under each ID: its token and type, and when it was delivered.
        self.delivered: dict[tuple[Address, int], tuple[bytes, Type, float]] = {}
        # What its duplicates get.
        self.replies: dict[tuple[Address, int], bytes] = {}

    def chance(self) -> float:
        self.chances += 1
        return self.chances * 0.618 % 1

    # What the hand does

    def follow_up(self) -> None:
        while self.heart.outbox:
            raw, remote = self.heart.outbox.popleft()
            message = Message.decode(raw, remote)
            if message.mtype is ACK:
                self.note_reply(message, raw)
            elif message.mtype is CON:
                # The same bytes to the same endpoint are the same message.
                times = self.departures.setdefault(remote.hostinfo.encode() + raw, [])
                self.check_spacing(times)
                times.append(self.now)

    def check_spacing(self, times: list[float]) -> None:
        """Each wait is twice the one before, and at least the first."""
        if not times:
            return
        gap = self.now - times[-1]
        doubled = 2.0 ** (len(times) - 1)
        assert len(times) <= 4
        assert 2.0 * doubled - 1e-6 <= gap <= 3.0 * doubled + 1e-6

    def note_reply(self, message: Message, raw: bytes) -> None:
        """Assert that a request gets one reply, whatever its duplicates do."""
        assert message.remote is not None
        assert message.mid is not None
        key = (message.remote, message.mid)
        assert key in self.delivered, "something was acknowledged that never came"
        assert self.replies.setdefault(key, raw) == raw  # type: ignore[arg-type]

    # Events

    @rule(
        target=requests,
        remote=st.sampled_from(REMOTES),
        mtype=st.sampled_from([CON, NON]),
        mid=st.integers(1, 3),
        token=st.sampled_from([b"1", b"2"]),
    )
    def request_comes(self, remote: Address, mtype: Type, mid: int, token: bytes) -> Message:
        message = Message(mtype=mtype, code=GET, mid=mid, token=token)
        message.remote = remote
        verdict, detail = self.heart.receive(message, self.now)
        key = (remote, mid)
        known = self.delivered.get(key)
        if verdict is Verdict.REQUEST:
            if known is not None and known[:2] == (token, mtype):
                assert self.now >= known[2] + (247.0 if mtype is CON else 145.0)
            self.delivered[key] = (token, mtype, self.now)
            self.replies.pop(key, None)
        else:
            assert known is not None
            assert known[:2] == (token, mtype)
            if verdict is Verdict.REPLY:
                assert mtype is CON
                assert self.replies[key] == detail
            else:
                assert verdict is Verdict.IGNORE
                assert mtype is NON or key not in self.replies
        self.follow_up()
        return message

    @rule(request=requests, mtype=st.sampled_from([None, None, CON]))
    def response_is_ready(self, request: Message, mtype: Type | None) -> None:
        response = Message(code=CONTENT, mtype=mtype, token=request.token)
        response.request, response.remote = request, request.remote
        raw = self.heart.piggyback(response)
        if raw is not None:
            assert request.mtype is CON
            assert Message.decode(raw).token == request.token
            response.remote = request.remote
            self.note_reply(response, raw)
        self.follow_up()

    @rule(
        target=outs,
        remote=st.sampled_from(REMOTES),
        code=st.sampled_from([GET, CONTENT, EMPTY]),
        mtype=st.sampled_from([None, CON, NON]),
        delay=st.sampled_from([0.0, 0.0, 0.0, 4.0]),
        tuning=st.sampled_from([None, None, Broad]),
        monitor=st.booleans(),
    )
    def something_is_sent(
        self,
        remote: Address,
        code: Any,
        mtype: Type | None,
        delay: float,
        tuning: type[TransportTuning] | None,
        monitor: bool,
    ) -> Any:
        if code is EMPTY:
            mtype, delay = CON, 0.0
        message = Message(code=code, mtype=mtype, transport_tuning=tuning)
        message.remote = remote
        taken = self.heart.send(message, "monitor" if monitor else None, self.now, delay)
        assert taken is not None
        self.follow_up()
        if isinstance(taken, Outgoing):
            self.all_outs.append(taken)
        return taken

    @rule(out=outs, mtype=st.sampled_from([ACK, RST]), code=st.sampled_from([EMPTY, CONTENT, GET]))
    def reply_comes(self, out: Any, mtype: Type, code: Any) -> None:
        if not isinstance(out, Outgoing) or out.mid < 0:
            return
        message = Message(mtype=mtype, code=code, mid=out.mid)
        message.remote = out.remote
        was_in_flight = out.state is State.IN_FLIGHT
        monitor = out.monitor
        verdict, detail = self.heart.receive(message, self.now)
        self.follow_up()
        if mtype is RST and code is EMPTY and was_in_flight:
            assert (verdict, detail) == (Verdict.RESET, monitor)
        elif mtype is ACK and code is CONTENT and was_in_flight and out.confirmable:
            assert verdict is Verdict.RESPONSE
        elif was_in_flight:
            assert verdict is Verdict.IGNORE
        if code is GET or (mtype is RST and code is not EMPTY):
            assert (out.state is State.IN_FLIGHT) == was_in_flight
        elif out.confirmable or mtype is RST:
            assert out.state is not State.IN_FLIGHT

    @rule(out=outs)
    def owner_loses_interest(self, out: Any) -> None:
        if isinstance(out, Outgoing):
            self.heart.cancel(out, self.now)
            self.follow_up()
            assert out.state is State.DONE

    @rule(remote=st.sampled_from(REMOTES))
    def endpoint_is_unreachable(self, remote: Address) -> None:
        self.heart.abandon(remote, self.now)
        self.follow_up()
        assert all(
            out.state in (State.DONE, State.DELAYED)
            for out in self.all_outs
            if out.remote == remote
        )

    @rule(
        mtype=st.sampled_from([CON, NON]),
        remote=st.sampled_from(REMOTES),
        mid=st.integers(10, 12),
        is_wanted=st.booleans(),
    )
    def response_comes(self, mtype: Type, remote: Address, mid: int, is_wanted: bool) -> None:
        message = Message(mtype=mtype, code=CONTENT, mid=mid, token=b"r")
        message.remote = remote
        verdict, _ = self.heart.receive(message, self.now)
        if verdict is Verdict.RESPONSE:
            if is_wanted:
                assert (self.heart.accept(message, self.now) is not None) == (mtype is CON)
            else:
                assert (self.heart.refuse(message) is not None) == (mtype is CON)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        steps = 0
        while self.heart.wake <= end:
            self.now = max(self.now, self.heart.wake)
            for remote in self.heart.tick(self.now):
                assert all(
                    out.state in (State.DONE, State.DELAYED)
                    for out in self.all_outs
                    if out.remote == remote
                )
            self.follow_up()
            steps += 1
            assert steps < 1000, "the heart never sleeps"
        self.now = end

    # What holds at any time

    @invariant()
    def places_are_kept(self) -> None:
        for peer in self.heart._peers.values():
            counted = [out for out in (peer.outgoing or {}).values() if out._counted]
            assert len(counted) == peer.outstanding <= 2
            plain = [out for out in counted if out.tuning is self.heart.tuning]
            # Whoever is content with one place is alone when it starts.
            assert len(plain) <= 1
            if peer.queue:
                first = next(iter(peer.queue))
                assert peer.outstanding >= first.tuning.NSTART, "somebody waits without need"

    @invariant()
    def nothing_is_overdue(self) -> None:
        heart = self.heart
        deadlines = [out.deadline for out in self.all_outs if out.deadline is not None]
        deadlines += [arrived.arrived + 0.1 for arrived in heart.memory.open.values()]
        deadlines += [arrived.arrived + 247.0 + 5.0 for arrived in heart.memory._by_age]
        assert heart.wake <= min(deadlines, default=float("inf"))
        assert len(heart._timers) == sum(out.deadline is not None for out in self.all_outs)

    @invariant()
    def books_balance(self) -> None:
        heart = self.heart
        assert heart.memory._size == sum(len(old.reply or b"") for old in heart.memory._by_age)
        assert set(heart.memory._by_key.values()) <= set(heart.memory._by_age)

    def teardown(self) -> None:
        self.time_passes(1000.0)
        assert {out.state for out in self.all_outs} <= {State.DONE}
        assert self.heart.is_idle()
        assert self.heart.wake == float("inf")


TestExchanges = Exchanges.TestCase
TestExchanges.settings = settings(max_examples=150, stateful_step_count=40)

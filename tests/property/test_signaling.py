"""One connection, whatever messages come in which order."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aiocoap.message import Message
from aiocoap.numbers.codes import ABORT, CSM, PING, PONG, RELEASE
from aiocoap.numbers.constants import TransportTuning
from aiocoap.optiontypes import OpaqueOption
from aiocoap.sansio.patience import Patience, Verdict
from aiocoap.sansio.signaling import MAX_CUSTODIES, Signaling

tokens = st.binary(max_size=2)
options = st.lists(
    st.tuples(st.sampled_from([0, 2, 2, 4, 4, 6, 1, 3, 5, 600, 601]), st.binary(max_size=5)),
    max_size=4,
)


def build(code: int, token: bytes, options: list[tuple[int, bytes]], payload: bytes) -> Message:
    message = Message(code=code, token=token, payload=payload)
    for number, value in options:
        message.opt.add_option(OpaqueOption(number, value))
    return message


@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 255), tokens, options, st.binary(max_size=9)), max_size=8),
)
def test_any_message(
    is_open: bool, messages: list[tuple[int, bytes, list[tuple[int, bytes]], bytes]]
) -> None:
    signaling = Signaling(5000)
    if is_open:
        signaling.take(Message(code=CSM))
    for code, token, opts, payload in messages:
        before = signaling.is_open
        reaction = signaling.take(build(code, token, opts, payload))
        assert before <= signaling.is_open
        assert signaling.is_open <= (before or code == CSM)
        if code and not before and code != CSM:
            assert reaction.end is not None
        if any(number & 1 for number, _ in opts) and code >= 224:
            assert reaction.end is not None
        if reaction.reply is not None:
            reaction.reply.encode_reliable()
            assert reaction.reply.code is (ABORT if reaction.end else PONG)
        if reaction.end is not None:
            assert reaction.end.isprintable()
        assert signaling.payload_size >= 16
        assert 0 <= signaling.block_size_exponent <= 7
        assert signaling.peer_message_size >= 32
        assert (signaling.block_size_exponent == 7) <= (signaling.payload_size % 1024 == 0)
        repr(signaling)


class Connection(RuleBasedStateMachine):
    """A peer that sends requests, pings and a Release, and gets answers in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.signaling = Signaling(100_000)
        self.pings = 0
        # Pings with custody that wait, each with requests that came before it.
        self.waiting: list[tuple[bytes, set[bytes]]] = []
        self.open: set[bytes] = set()
        self.is_released = False

    @initialize(empties=st.integers(0, 2))
    def begin(self, empties: int) -> None:
        for _ in range(empties):
            assert self.signaling.take(Message(code=0)).end is None
        assert not self.signaling.is_open
        assert self.signaling.take(Message(code=CSM)).end is None

    @rule(token=tokens)
    def request(self, token: bytes) -> None:
        self.signaling.begin(token)
        self.open.add(token)

    @rule(token=tokens)
    def answer(self, token: bytes) -> None:
        due = self.signaling.finish(token)
        self.open.discard(token)
        for _, awaited in self.waiting:
            awaited.discard(token)
        expected = []
        while self.waiting and not self.waiting[0][1]:
            expected.append(self.waiting.pop(0)[0])
        assert [message.token for message in due or ()] == expected
        for message in due or ():
            assert message.code is PONG
            assert message.opt.raw_items() == [(2, b"")]
        # Nobody waits for what is not in work.
        assert not self.waiting or self.open

    @rule(has_custody=st.booleans())
    def ping(self, has_custody: bool) -> None:
        self.pings += 1
        token = self.pings.to_bytes(2, "big")
        reaction = self.signaling.take(build(PING, token, [(2, b"")] * has_custody, b""))
        assert reaction.end is None
        if has_custody and self.open and len(self.waiting) < MAX_CUSTODIES:
            assert reaction.reply is None
            self.waiting.append((token, self.open.copy()))
        else:
            assert reaction.reply is not None
            assert (reaction.reply.code, reaction.reply.token) == (PONG, token)
            is_kept = has_custody and not self.open
            assert reaction.reply.opt.raw_items() == [(2, b"")] * is_kept

    @rule(size=st.integers(32, 1 << 31), does_blocks=st.booleans())
    def csm(self, size: int, does_blocks: bool) -> None:
        raw = size.to_bytes(4, "big")
        before = self.signaling.peer_does_blocks
        self.signaling.take(build(CSM, b"", [(2, raw)] + [(4, b"")] * does_blocks, b""))
        assert self.signaling.peer_message_size == size
        assert self.signaling.peer_does_blocks is (before or does_blocks)

    @precondition(lambda self: not self.is_released)
    @rule(hold_off=st.integers(0, 255))
    def release(self, hold_off: int) -> None:
        assert self.signaling.take(build(RELEASE, b"", [(4, bytes((hold_off,)))], b"")).end is None
        assert self.signaling.release is not None
        assert self.signaling.release.hold_off == hold_off
        self.is_released = True

    @invariant()
    def in_work(self) -> None:
        assert self.signaling.in_work == self.open
        assert (self.signaling.release is not None) is self.is_released


Connection.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestConnection = Connection.TestCase


class Tuning(TransportTuning):
    CSM_TIMEOUT = 10.0
    MESSAGE_TIMEOUT = 20.0
    IDLE_TIMEOUT = 50.0


steps = st.lists(
    st.tuples(
        st.floats(0, 30, allow_nan=False), st.sampled_from(["whole", "part", "stall", "flow", ""])
    ),
    max_size=30,
)


@given(steps, st.sampled_from([0.0, 7.0]), st.booleans(), st.booleans())
def test_patience_ends_in_time_and_never_spins(
    steps: list[tuple[float, str]], interval: float, may_idle: bool, is_used: bool
) -> None:
    class This(Tuning):
        KEEPALIVE_INTERVAL = interval

    now = 0.0
    patience = Patience(This(), now)
    unfinished, stalled = math.inf, math.inf
    for wait, what in steps:
        until = now + wait
        while patience.deadline is not None and patience.deadline <= until:
            now = patience.deadline
            verdict = patience.judge(now, True, may_idle, is_used)
            if verdict is Verdict.GONE:
                assert patience.reason
                assert now >= min(unfinished, stalled) + 20 or interval
                return
            if verdict is Verdict.IDLE:
                assert may_idle
                assert not is_used
                assert now - patience.last_received >= 50
                return
            assert patience.deadline > now
        now = until
        # No silence is borne for longer than said, and one more look.
        assert now < min(unfinished, stalled) + 20 + 20
        if what == "whole":
            patience.received(now, is_unfinished=False, is_progress=True)
            unfinished = math.inf
        elif what == "part":
            patience.received(now, is_unfinished=True, is_progress=False)
            unfinished = min(unfinished, now)
        elif what == "stall":
            patience.stalled(now)
            stalled = now
        elif what == "flow":
            patience.stalled(None)
            stalled = math.inf

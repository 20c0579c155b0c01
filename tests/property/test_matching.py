"""Matching against a model: whatever happens, a response finds at most the one request."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from aiocoap.address import UndecidedRemote
from aiocoap.sansio.matching import Matching, RequestTags, Tokens

REMOTES = st.sampled_from([UndecidedRemote("coap", host) for host in "abc"])


@given(st.integers(), st.lists(st.integers(0, 2**32 - 1), unique=True))
def test_tokens_are_a_permutation(seed: int, counts: list[int]) -> None:
    tokens = Tokens(random.Random(seed).randbytes)
    found = set()
    for count in counts:
        tokens._count = count
        found.add(tokens.next())
    assert len(found) == len(counts)


class Requests(RuleBasedStateMachine):
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.matching: Matching[int] = Matching(random.Random(0).randbytes)
        self.open: dict[bytes, tuple[UndecidedRemote | None, int]] = {}
        self.used: set[bytes] = set()

    @rule(target=tokens, remote=st.none() | REMOTES)
    def request(self, remote: UndecidedRemote | None) -> bytes:
        token = self.matching.next_token()
        assert token not in self.used, "a late answer may be on its way"
        self.used.add(token)
        self.open[token] = (remote, len(self.used))
        self.matching.add(token, remote, len(self.used))
        return token

    @rule(token=tokens, remote=REMOTES)
    def respond(self, token: bytes, remote: UndecidedRemote) -> None:
        expected, request = self.open[token]
        found = self.matching.find(token, remote)
        assert found == (request if expected is None or expected == remote else None)

    @rule(token=consumes(tokens), remote=REMOTES)
    def finish(self, token: bytes, remote: UndecidedRemote) -> None:
        self.matching.remove(token)
        del self.open[token]
        assert self.matching.find(token, remote) is None

    @rule(token=st.binary(max_size=8), remote=REMOTES)
    def guess(self, token: bytes, remote: UndecidedRemote) -> None:
        if token not in self.open:
            assert self.matching.find(token, remote) is None

    @rule(remote=REMOTES)
    def fail(self, remote: UndecidedRemote) -> None:
        expected = [request for where, request in self.open.values() if where == remote]
        assert self.matching.waiting_for(remote) == expected

    @invariant()
    def counts(self) -> None:
        assert len(self.matching) == len(self.open) == len(list(self.matching))


TestRequests = Requests.TestCase


class Uploads(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.tags = RequestTags()
        self.now = 0.0
        # Key, tag, and until when a block may arrive.
        self.alive: list[tuple[str, bytes | None, float]] = []

    @rule(target=uploads, key=st.sampled_from("xy"))
    def begin(self, key: str) -> tuple[str, bytes | None, float]:
        tag = self.tags.take(key, self.now)
        taken = {t for k, t, until in self.alive if k == key and until > self.now}
        assert tag not in taken
        upload = (key, tag, float("inf"))
        self.alive.append(upload)
        return upload

    @rule(upload=consumes(uploads))
    def conclude(self, upload: tuple[str, bytes | None, float]) -> None:
        self.alive.remove(upload)
        self.tags.release(*upload[:2])

    @rule(upload=consumes(uploads))
    def break_off(self, upload: tuple[str, bytes | None, float]) -> None:
        self.alive.remove(upload)
        self.alive.append((*upload[:2], self.now + 10))
        self.tags.retire(*upload[:2], self.now + 10)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def teardown(self) -> None:
        for key, tag, until in self.alive:
            if until == float("inf"):
                self.tags.release(key, tag)
        last = self.tags.take("z", self.now + 1000)
        assert last is None
        assert len(self.tags) == 1


TestUploads = Uploads.TestCase

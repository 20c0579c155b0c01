"""Both sides of blockwise transfers against each other, and their bounds against a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aiocoap.address import EndpointAddress
from aiocoap.error import ResourceChanged
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.sansio.blockwise import (
    Block1Upload,
    Block2Download,
    Bodies,
    Uploads,
    needs_upload,
    transfer_key,
    wants_download,
)

LIFETIME = 100.0


class Peer(EndpointAddress):
    """A peer; all take messages of that many bytes by BERT, if any."""

    is_multicast = False

    def __init__(self, name: str, payload_size: int = 0) -> None:
        self.name = name
        self.maximum_block_size_exp = 7 if payload_size else 6
        self.maximum_payload_size = payload_size or 1024
        self.may_send_bert = bool(payload_size)

    def __repr__(self) -> str:
        return self.name


def content(size: int, seed: int = 0) -> bytes:
    """Return a body in which no two blocks are alike, nor those of bodies of other seeds."""
    words = (b"%03d-%012d" % (seed % 1000, index) for index in range(size // 16 + 1))
    return b"".join(words)[:size]


class Server:
    """A responder in miniature.

    Args:
        render: The resource: a response to a whole request.
        exponents: What the server prefers, message by message.
    """

    def __init__(
        self,
        render: Callable[[Message], Message],
        exponents: Iterator[int],
        payload_size: int = 1024,
    ) -> None:
        self.render = render
        self.exponents = exponents
        self.payload_size = payload_size
        self.uploads = Uploads(1 << 20, LIFETIME)
        self.bodies = Bodies(LIFETIME)
        self.now = 0.0

    def answer(self, request: Message) -> Message:
        """Return the response to a message, as its receiver sees it."""
        response = self._answer(received(request))
        seen = received(response)
        seen.remote = request.remote
        return seen

    def _answer(self, request: Message) -> Message:
        exponent = next(self.exponents)
        key = transfer_key(request)
        block2 = request.opt.block2
        if request.opt.block1 is not None:
            whole, reply = self.uploads.feed(key, request, exponent, self.now)
            if whole is None:
                assert reply is not None
                return reply
            request = whole
        elif block2 is not None and block2.block_number:
            block = self.bodies.later(request, exponent, self.payload_size, self.now)
            if block is not None:
                return block
            if request.code not in (Code.GET, Code.FETCH):
                return Message(code=Code.REQUEST_ENTITY_INCOMPLETE)
        response = self.render(request)
        first = self.bodies.first(key, request, response, exponent, self.payload_size, self.now)
        block1 = request.opt.block1
        if block1 is not None:
            first = first.copy(block1=(block1.block_number, False, block1.size_exponent))
        return first


def received(message: Message) -> Message:
    """Return a message as it is after a way over the wire."""
    sent = message.copy(mtype=0, mid=1)
    return Message.decode(sent.encode(), message.remote)


class Client:
    """A requester in miniature: what it has to send next, and what came out.

    Args:
        request: The whole request.
        exponent: The largest block size exponent that it wants.
        payload_size: The largest payload by BERT.
        tag: The Request-Tag of the upload.
    """

    def __init__(
        self, request: Message, exponent: int, payload_size: int = 1024, tag: bytes | None = None
    ) -> None:
        self.request = request
        self.exponent = exponent
        self.upload: Block1Upload | None = None
        self.download: Block2Download | None = None
        self.final: Message | None = None
        self.sent = 0
        self.exponents: list[int] = []
        if needs_upload(request, exponent, payload_size):
            self.upload = Block1Upload(request, exponent, payload_size, tag)
            if tag is not None:
                self.request = request.copy(request_tag=[tag])

    def next(self) -> Message:
        self.sent += 1
        assert self.sent < 5000, "it does not end"
        if self.upload is not None:
            message = self.upload.next_request()
        elif self.download is not None:
            message = self.download.next_request()
        else:
            return self.request
        block = message.opt.block1 or message.opt.block2
        assert block is not None
        self.exponents.append(block.size_exponent)
        if message.opt.block1 is not None:
            assert len(message.payload) <= message_size(block.size_exponent, message)
        return message

    def feed(self, response: Message) -> None:
        if self.download is not None:
            self.final = self.download.feed(response)
            return
        if self.upload is not None:
            result = self.upload.feed(response)
            if result is None:
                return
            # Each phase has a size of its own.
            self.check_sizes()
            self.upload, response = None, result
        if wants_download(self.request, response):
            self.download = Block2Download(self.request, response, self.exponent, 1 << 20)
        else:
            self.final = response

    def check_sizes(self) -> None:
        """The size of blocks never grows."""
        assert self.exponents == sorted(self.exponents, reverse=True)
        self.exponents = []

    def run(self, server: Server) -> Message:
        while self.final is None:
            self.feed(server.answer(self.next()))
        self.check_sizes()
        return self.final


def message_size(exponent: int, message: Message) -> int:
    assert message.remote is not None
    return message.remote.maximum_payload_size if exponent == 7 else 16 << exponent


def forever(values: list[int]) -> Iterator[int]:
    """Give values one after the other, then the last again and again."""
    yield from values
    while True:
        yield values[-1]


SIZES = st.integers(0, 5000) | st.sampled_from([0, 15, 16, 17, 1023, 1024, 1025, 2048, 4096])
EXPONENTS = st.integers(0, 6)
PREFERENCES = st.lists(EXPONENTS, min_size=1, max_size=30)
HINTS = st.none() | EXPONENTS.map(lambda exponent: (0, False, exponent))
CODES = st.sampled_from([Code.FETCH, Code.POST, Code.PUT, Code.PATCH, Code.iPATCH])


@given(CODES, SIZES, SIZES, EXPONENTS, PREFERENCES, HINTS, HINTS)
def test_bodies_arrive_in_both_directions(
    code: Code, up: int, down: int, exponent: int, preferences: list[int], hint1: Any, hint2: Any
) -> None:
    handled = []

    def render(request: Message) -> Message:
        handled.append(request.payload)
        return Message(code=Code.CHANGED, payload=content(down, 2), content_format=42)

    request = Message(code=code, payload=content(up, 1), block1=hint1, block2=hint2)
    request.remote = Peer("a")
    final = Client(request, exponent).run(Server(render, forever(preferences)))
    assert handled == [content(up, 1)]
    assert (final.code, final.payload) == (Code.CHANGED, content(down, 2))
    assert (final.opt.content_format, final.opt.block2) == (42, None)


BERT_SIZES = st.integers(0, 30_000) | st.sampled_from([0, 1024, 4096, 8192, 8193])
PAYLOAD_SIZES = st.sampled_from([1024, 2048, 5000, 8192])


@given(
    BERT_SIZES, BERT_SIZES, PAYLOAD_SIZES, PAYLOAD_SIZES, st.lists(st.integers(4, 7), min_size=1)
)
def test_bodies_arrive_by_bert(
    up: int, down: int, client_size: int, server_size: int, preferences: list[int]
) -> None:
    handled = []

    def render(request: Message) -> Message:
        handled.append(request.payload)
        return Message(code=Code.CHANGED, payload=content(down, 2))

    request = Message(code=Code.POST, payload=content(up, 1))
    request.remote = Peer("a", client_size)
    server = Server(render, forever(preferences), server_size)
    final = Client(request, 7, client_size).run(server)
    assert handled == [content(up, 1)]
    assert final.payload == content(down, 2)


@given(SIZES, EXPONENTS, st.integers(0, 400), st.integers(0, 6))
def test_any_block_can_be_had_by_itself(
    size: int, exponent: int, number: int, preference: int
) -> None:
    body = content(size)
    server = Server(lambda _: Message(code=Code.CONTENT, payload=body), forever([preference]))
    request = Message(code=Code.GET, block2=(number, False, exponent))
    request.remote = Peer("a")
    response = server.answer(request)
    start = number * (16 << exponent)
    if response.code == Code.BAD_REQUEST:
        assert start >= size
        assert number
        return
    got = response.opt.block2
    if got is None:
        assert (number, response.payload) == (0, body)
        return
    assert got.start == start
    assert response.payload == body[start : start + got.size]
    assert got.more == (start + got.size < size)
    assert got.size_exponent == min(exponent, preference)


# Networks that lose, repeat and keep back


@given(
    st.integers(0, 1200),
    st.integers(0, 1200),
    st.lists(st.sampled_from(["passes", "repeated", "late"]), max_size=60),
)
def test_what_the_network_does_never_mixes_bodies(up: int, down: int, fates: list[str]) -> None:
    handled = []

    def render(request: Message) -> Message:
        handled.append(request.payload)
        return Message(code=Code.CHANGED, payload=content(down, 2))

    request = Message(code=Code.PUT, payload=content(up, 1))
    request.remote = Peer("a")
    server = Server(render, forever([3, 1]))
    client = Client(request, 2)
    past: list[Message] = []
    pending = list(fates)
    while client.final is None:
        message = client.next()
        block1 = message.opt.block1
        fate = pending.pop() if pending else "passes"
        if fate == "late" and past:
            # Something that was sent before arrives once more, and nobody cares for the answer.
            server.answer(past[len(pending) % len(past)])
        response = server.answer(message)
        if block1 is None or block1.more:
            # What ends an operation is kept apart by the message layer; all else may come twice.
            past.append(message)
            if fate == "repeated" and (block1 is not None or message is not request):
                response = server.answer(message)
        client.feed(response)
    assert set(handled) <= {content(up, 1)}
    if client.final.code == Code.REQUEST_ENTITY_INCOMPLETE:
        # A first block that came late made the server start over, more than once.
        event("given up")
        assert "late" in fates
    else:
        assert (client.final.code, client.final.payload) == (Code.CHANGED, content(down, 2))


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 400), EXPONENTS), max_size=5),
    st.data(),
)
def test_concurrent_transfers_are_kept_apart(
    transfers: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    def render(request: Message) -> Message:
        return Message(code=Code.CHANGED, payload=request.payload[::-1])

    server = Server(render, forever([2]))
    peers = {name: Peer(name) for name in "ab"}
    tags: dict[str, int] = {}
    open_ones = []
    for seed, (name, size, exponent) in enumerate(transfers):
        request = Message(code=Code.POST, payload=content(size, seed))
        request.remote = peers[name]
        # The first of each endpoint does without (RFC 9175 section 3.5.2).
        count = tags[name] = tags.get(name, 0) + 1
        tag = bytes([count]) if count > 1 else None
        client = Client(request, min(exponent, 2), tag=tag)
        if client.upload is not None or tag is None:
            open_ones.append(client)
    while open_ones:
        client = data.draw(st.sampled_from(open_ones))
        client.feed(server.answer(client.next()))
        if client.final is not None:
            assert client.final.payload == client.request.payload[::-1]
            open_ones.remove(client)
    assert len(server.uploads) == 0


# Resources that change


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    st.lists(st.sampled_from(["nothing", "nothing", "changes", "forgets"]), max_size=60),
    PREFERENCES,
    st.sampled_from(["none", "own"]),
    st.sampled_from([Code.GET, Code.FETCH]),
)
def test_a_download_is_of_one_state(
    sizes: list[int], steps: list[str], preferences: list[int], etags: str, code: Code
) -> None:
    states = [content(size, seed) for seed, size in enumerate(sizes)]
    current = 0

    def render(request: Message) -> Message:
        assert request.payload == asked.payload
        etag = None if etags == "none" else b"%d" % current
        return Message(code=Code.CONTENT, payload=states[current], etag=etag)

    asked = Message(code=code, payload=b"question" if code == Code.FETCH else b"", observe=0)
    asked.remote = Peer("a")
    server = Server(render, forever(preferences))
    client = Client(asked, 4)
    pending = list(steps)
    try:
        while client.final is None:
            client.feed(server.answer(client.next()))
            step = pending.pop() if pending else "nothing"
            if step == "changes":
                current = (current + 1) % len(states)
            if step != "nothing":
                server.bodies.clear()
    except ResourceChanged:
        event("changed too fast")
        assert len(steps) >= 4
        return
    if client.final.code == Code.BAD_REQUEST:
        event("shrunk too fast")
        assert len(steps) >= 4
        return
    assert client.final.payload in states


@given(st.integers(65, 1000), st.integers(65, 1000), st.integers(1, 20))
def test_a_response_that_was_lost_is_not_made_again(up: int, down: int, step: int) -> None:
    handled = []

    def render(request: Message) -> Message:
        handled.append(request.payload)
        return Message(code=Code.CHANGED, payload=content(down, len(handled)))

    request = Message(code=Code.POST, payload=content(up))
    request.remote = Peer("a")
    server = Server(render, forever([2]))
    client = Client(request, 2)
    while client.final is None:
        client.feed(server.answer(client.next()))
        if client.download is not None:
            step -= 1
            if not step:
                server.bodies.clear()
    assert handled == [content(up)]
    assert client.final.code == Code.REQUEST_ENTITY_INCOMPLETE or client.final.payload == content(
        down, 1
    )


# Bounds


NAMES = st.sampled_from("abcdef")


class Bounds(RuleBasedStateMachine):
    """Endpoints begin things and may never end them."""

    MAX_TRANSFERS = 24
    MAX_BYTES = 4000

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.uploads = Uploads(2000, LIFETIME, self.MAX_TRANSFERS, self.MAX_BYTES)
        self.bodies = Bodies(LIFETIME, self.MAX_TRANSFERS, self.MAX_BYTES)
        self.peers = {name: Peer(name) for name in "abcdef"}
        # When each was last gone on with: what is older than its life must be gone.
        self.used: dict[tuple[str, Any], float] = {}
        self.positions: dict[Any, int] = {}

    def request(self, name: str, path: int, **options: Any) -> Message:
        request = Message(code=Code.POST, uri_path=(str(path),), **options)
        request.remote = self.peers[name]
        return request

    @rule(name=NAMES, path=st.integers(0, 5), exponent=st.integers(0, 5))
    def begin_upload(self, name: str, path: int, exponent: int) -> None:
        request = self.request(
            name, path, block1=(0, True, exponent), payload=bytes(16 << exponent)
        )
        key = transfer_key(request)
        whole, reply = self.uploads.feed(key, request, 6, self.now)
        assert whole is None
        assert reply is not None
        assert reply.code == Code.CONTINUE
        self.positions[key] = 16 << exponent
        self.used["upload", key] = self.now

    @rule(name=NAMES, path=st.integers(0, 5), more=st.booleans())
    def go_on_with_upload(self, name: str, path: int, more: bool) -> None:
        key = transfer_key(self.request(name, path))
        position = self.positions.get(key, 16)
        request = self.request(name, path, block1=(position >> 4, more, 0), payload=bytes(16))
        whole, reply = self.uploads.feed(key, request, 6, self.now)
        alive = self.now < self.used.get(("upload", key), -LIFETIME) + LIFETIME
        if whole is not None:
            assert alive
            assert len(whole.payload) == position + 16
            del self.used["upload", key]
        elif reply is not None and reply.code == Code.CONTINUE:
            assert alive
            self.positions[key] = position + 16
            self.used["upload", key] = self.now
        else:
            assert reply is not None
            assert reply.code in (Code.REQUEST_ENTITY_INCOMPLETE, Code.REQUEST_ENTITY_TOO_LARGE)

    @rule(name=NAMES, path=st.integers(0, 5), size=st.integers(17, 3000))
    def begin_download(self, name: str, path: int, size: int) -> None:
        request = self.request(name, path)
        key = transfer_key(request)
        response = Message(code=Code.CHANGED, payload=bytes(size))
        block = self.bodies.first(key, request, response, 0, 1024, self.now)
        assert block.opt.block2 == (0, True, 0)
        self.used["download", key] = self.now
        # The newest is always there.
        request = self.request(name, path, block2=(1, False, 0))
        assert self.bodies.later(request, 0, 1024, self.now) is not None

    @rule(name=NAMES, path=st.integers(0, 5), number=st.integers(1, 100))
    def go_on_with_download(self, name: str, path: int, number: int) -> None:
        request = self.request(name, path, block2=(number, False, 0))
        key = transfer_key(request)
        if self.bodies.later(request, 0, 1024, self.now) is not None:
            assert self.now < self.used["download", key] + LIFETIME
            self.used["download", key] = self.now

    @rule(seconds=st.floats(0, LIFETIME))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wake(self) -> None:
        for table in (self.uploads, self.bodies):
            deadline = table.next_deadline()
            if deadline is not None:
                self.now = max(self.now, deadline)
                table.expire(self.now)
                following = table.next_deadline()
                assert following is None or following > self.now

    @rule()
    def forget(self) -> None:
        self.uploads.clear()
        self.bodies.clear()
        assert len(self.uploads) == len(self.bodies) == 0

    @rule(name=NAMES)
    def flood(self, name: str) -> None:
        """What one endpoint does costs others nothing while there is room for all of them."""
        mine = self.peers[name]
        before = [kept(table) for table in (self.uploads, self.bodies)]
        for path in range(100, 110):
            self.begin_upload(name, path, 0)
            self.begin_download(name, path, 17)
        after = [kept(table) for table in (self.uploads, self.bodies)]
        for had, has in zip(before, after, strict=True):
            others = {key for key in had if key[0] is not mine}
            if len(others) + 3 <= self.MAX_TRANSFERS and sum(had.values()) < 2000:
                assert others <= has.keys()

    @invariant()
    def bounds_hold(self) -> None:
        for table in (self.uploads, self.bodies):
            entries = list(table._by_key.values())
            assert len(entries) <= self.MAX_TRANSFERS
            assert table.size == sum(entry.size for entry in entries)
            assert table.size <= self.MAX_BYTES or len(entries) == 1
            assert table.size == sum(share.size for share in table._shares.values())
            assert len(table._timers) == len(entries)
            assert set(table._done) <= set(entries)
            for share in table._shares.values():
                assert 0 < len(share.transfers) <= self.MAX_TRANSFERS // 8
                assert share.size <= self.MAX_BYTES // 2 or len(share.transfers) == 1
            deadline = table.next_deadline()
            if entries:
                assert deadline is not None
                assert deadline <= min(entry.used for entry in entries) + LIFETIME
            else:
                assert deadline is None


def kept(table: Uploads | Bodies) -> dict[Any, int]:
    """Return keys and sizes of what is in a table."""
    return {key: entry.size for key, entry in table._by_key.items()}  # type: ignore[attr-defined]


TestBounds = Bounds.TestCase
TestBounds.settings = settings(max_examples=50, stateful_step_count=40)

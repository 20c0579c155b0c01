"""The server's side of blockwise transfers: what is accepted and sent, message by message."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import CON, NON
from aiocoap.optiontypes import UintOption
from aiocoap.sansio.blockserver import (
    Bodies,
    Part,
    Upload,
    Uploads,
    block_size,
    part_of,
    refuse,
    transfer_key,
)
from tests.unit.block_parts import (
    BERT_PEER,
    BODY,
    NEW,
    PEER,
    Counted,
    CountedArray,
    block1,
    block2,
    get,
    request,
    response,
)

# transfer_key


def test_key_is_the_same_for_all_messages_of_a_transfer() -> None:
    options: dict[str, Any] = {"request_tag": [b"t"], "content_format": 50}
    key = transfer_key(request(payload=b"1", block1=(0, True, 6), size1=9, **options))
    assert hash(key) == hash(transfer_key(request(payload=b"2", block1=(1, True, 6), **options)))
    for more in (
        {"block1": (3, False, 6), "block2": (0, False, 6), "observe": 0, "no_response": 2},
        {"block2": (1, False, 6)},
        {"if_none_match": True, "size2": 0},
    ):
        assert transfer_key(request(**options, **more)) == key


@pytest.mark.parametrize(
    "other",
    [
        request(Code.POST),
        request(request_tag=[b""]),
        request(request_tag=[b"t"]),
        request(request_tag=[b"t", b"t"]),
        request(content_format=50),
        request(uri_query=("q",)),
        request(accept=50),
        Message(code=Code.PUT, uri_path=("a",)),
    ],
)
def test_key_tells_transfers_apart(other: Message) -> None:
    assert transfer_key(other) != transfer_key(request())


# block_size and part_of


def test_blocks_are_as_large_as_both_sides_want() -> None:
    asked = get()
    assert block_size(asked, 6) == (6, 1024)
    assert block_size(asked, 3) == (3, 128)
    asked.remote = BERT_PEER
    assert block_size(asked, 6) == (7, 4096)
    assert block_size(asked, 5) == (5, 512)


@pytest.mark.parametrize(
    ("mtype", "limit", "exponent"),
    [(NON, 10_000, 6), (NON, 92, 2), (NON, 91, 1), (CON, 96, 2), (CON, 95, 1), (CON, 5, 0)],
)
def test_blocks_to_strangers_fit_into_what_they_may_be_sent(
    mtype: Any, limit: int, exponent: int
) -> None:
    asked = get()
    asked.mtype, asked.response_limit = mtype, limit
    assert block_size(asked, 6) == (exponent, 16 << exponent)


@pytest.mark.parametrize(
    ("asked", "length", "part"),
    [
        (None, 0, Part(0, 0, None)),
        (None, 1024, Part(0, 1024, None)),
        (None, 1025, Part(0, 1024, (0, True, 6))),
        ((0, False, 6), 1000, Part(0, 1000, None)),
        ((0, False, 2), 100, Part(0, 64, (0, True, 2))),
        ((1, False, 2), 100, Part(64, 100, (1, False, 2))),
        ((2, False, 2), 100, None),
        ((1, False, 6), 1024, None),
        ((2**20 - 1, False, 0), 2**24, Part(2**24 - 16, 2**24, (2**20 - 1, False, 0))),
    ],
)
def test_parts_of_a_body(asked: Any, length: int, part: Part | None) -> None:
    assert part_of(get(block2=asked), length, 6, 1024) == part


def test_parts_that_are_asked_for_in_larger_blocks() -> None:
    assert part_of(get(block2=(1, False, 6)), 5000, 4, 256) == Part(1024, 1280, (4, True, 4))
    # In the smaller blocks that this would be, it has no number.
    assert part_of(get(block2=(2**17, False, 6)), 2**30, 2, 64) is None


def test_parts_of_many_blocks() -> None:
    assert part_of(get(), 5000, 7, 4096) == Part(0, 4096, (0, True, 7))
    assert part_of(get(block2=(4, False, 7)), 5000, 7, 4096) == Part(4096, 5000, (4, False, 7))


# refuse


@pytest.mark.parametrize("option", ["block1", "block2"])
def test_the_reserved_size_is_refused(option: str) -> None:
    asked = request(**{option: (0, False, 7)})
    refusal = refuse(asked, 6)
    assert refusal is not None
    assert refusal.code == Code.BAD_REQUEST
    asked.remote = None
    assert refuse(asked, 5) is not None


@pytest.mark.parametrize("option", ["block1", "block2"])
def test_bert_is_not_refused_where_it_is_known(option: str) -> None:
    asked = request(**{option: (0, False, 7)})
    assert refuse(asked, 7) is None
    asked.remote = BERT_PEER
    assert refuse(asked, 4) is None


def test_ordinary_sizes_are_not_refused() -> None:
    assert refuse(request(block1=(0, True, 6), block2=(0, False, 6)), 3) is None
    assert refuse(request(), 3) is None


# Uploads


def feed(
    uploads: Uploads,
    number: int,
    exponent: int = 6,
    body: bytes = BODY,
    *,
    now: float = 0.0,
    wanted: int = 6,
    **options: Any,
) -> tuple[Message | None, Message | None]:
    """Feed one block of a body."""
    start = number << exponent + 4
    end = start + (16 << exponent)
    block = request(payload=body[start:end], block1=(number, end < len(body), exponent), **options)
    return uploads.feed(transfer_key(block), block, wanted, now)


def reply(answer: tuple[Message | None, Message | None]) -> Message:
    assert answer[0] is None
    assert answer[1] is not None
    return answer[1]


def whole(answer: tuple[Message | None, Message | None]) -> Message:
    assert answer[1] is None
    assert answer[0] is not None
    return answer[0]


def test_blocks_become_a_request() -> None:
    uploads = Uploads(5000, 10.0)
    for number in range(4):
        answer = reply(feed(uploads, number, content_format=50, request_tag=[b"t"]))
        assert (answer.code, block1(answer)) == (Code.CONTINUE, (number, True, 6))
        assert answer.payload == b""
    assert len(uploads) == 1
    last = whole(
        feed(uploads, 4, content_format=50, request_tag=[b"t"], block2=(0, False, 2), mid=7)
    )
    assert len(uploads) == 0
    assert (last.code, last.payload, last.remote, last.mid) == (Code.PUT, BODY, PEER, 7)
    assert (block1(last), block2(last)) == ((4, False, 6), (0, False, 2))
    assert (last.opt.content_format, last.opt.request_tag) == (50, (b"t",))
    assert last.opt.if_none_match is False


def test_a_single_block_is_a_request() -> None:
    uploads = Uploads(5000, 10.0)
    feed(uploads, 0)
    assert whole(feed(uploads, 0, body=b"short")).payload == b"short"
    assert len(uploads) == 0, "it takes the place of what was there"
    assert whole(feed(uploads, 0, body=b"short")).payload == b"short"


def test_a_request_without_the_option_is_whole() -> None:
    asked = request(payload=BODY)
    assert Uploads(10, 10.0).feed("key", asked, 6, 0.0) == (asked, None)


def test_a_condition_of_the_first_block_holds_for_the_whole() -> None:
    uploads = Uploads(5000, 10.0)
    feed(uploads, 0, body=BODY[:1500], if_none_match=True)
    assert whole(feed(uploads, 1, body=BODY[:1500])).opt.if_none_match is True


def test_smaller_blocks_are_asked_for() -> None:
    uploads = Uploads(5000, 10.0)
    assert block1(reply(feed(uploads, 0, 3, wanted=1))) == (0, True, 1)
    assert block1(reply(feed(uploads, 4, 1, wanted=1))) == (4, True, 1)
    # A client that does not care is served all the same.
    assert block1(reply(feed(uploads, 5, 1, wanted=0))) == (5, True, 0)
    assert block1(reply(feed(uploads, 6, 1, wanted=0))) == (6, True, 0)


def test_bert_blocks_have_several_sizes() -> None:
    uploads = Uploads(5000, 10.0)
    for start, end in ((0, 2048), (2048, 3072)):
        block = request(payload=BODY[start:end], block1=(start >> 10, True, 7))
        answer = reply(uploads.feed("key", block, 7, 0.0))
        assert (answer.code, block1(answer)) == (Code.CONTINUE, (start >> 10, True, 7))
    block = request(payload=BODY[3072:], block1=(3, False, 7))
    assert whole(uploads.feed("key", block, 7, 0.0)).payload == BODY


def test_bert_is_answered_by_smaller_blocks_where_those_are_preferred() -> None:
    block = request(payload=BODY[:2048], block1=(0, True, 7))
    block.remote = BERT_PEER
    assert block1(reply(Uploads(5000, 10.0).feed("key", block, 5, 0.0))) == (0, True, 5)


@pytest.mark.parametrize(
    ("size", "block", "exponent"),
    [
        (1023, (0, True, 6), 6),
        (1025, (0, True, 6), 6),
        (0, (0, True, 0), 6),
        (1024, (0, True, 7), 6),
        (1500, (0, True, 7), 7),
        (0, (0, True, 7), 7),
    ],
)
def test_bad_blocks(size: int, block: tuple[int, bool, int], exponent: int) -> None:
    uploads = Uploads(5000, 10.0)
    bad = request(payload=BODY[:size], block1=block)
    assert reply(uploads.feed("key", bad, exponent, 0.0)).code == Code.BAD_REQUEST
    assert len(uploads) == 0


def test_a_reserved_size_of_the_response_is_refused_with_the_first_block() -> None:
    uploads = Uploads(5000, 10.0)
    assert reply(feed(uploads, 0, block2=(0, False, 7))).code == Code.BAD_REQUEST


def test_the_last_block_may_have_any_size() -> None:
    uploads = Uploads(5000, 10.0)
    feed(uploads, 0, 0)
    for size, now in ((0, 0.0), (1000, 0.0)):
        feed(uploads, 0, 0, now=now)
        last = request(payload=BODY[16 : 16 + size], block1=(1, False, 0))
        gathered = whole(uploads.feed(transfer_key(last), last, 6, now))
        assert gathered.payload == BODY[: 16 + size]


def test_a_repeated_block_is_acknowledged_again() -> None:
    uploads = Uploads(5000, 10.0)
    for number in (0, 0, 1, 1, 1, 2, 2, 3, 3):
        assert block1(reply(feed(uploads, number))) == (number, True, 6)
    assert whole(feed(uploads, 4)).payload == BODY
    # It is done and forgotten; to do it once more would be wrong.
    assert reply(feed(uploads, 4)).code == Code.REQUEST_ENTITY_INCOMPLETE


@pytest.mark.parametrize(
    ("number", "body"),
    [
        pytest.param(3, BODY, id="gap"),
        pytest.param(4, BODY, id="gap before the end"),
        pytest.param(1, NEW, id="same place, other content"),
        pytest.param(1, BODY[:2000], id="same place, now the last"),
    ],
)
def test_blocks_out_of_order(number: int, body: bytes) -> None:
    uploads = Uploads(5000, 10.0)
    feed(uploads, 0)
    feed(uploads, 1)
    assert reply(feed(uploads, number, body=body)).code == Code.REQUEST_ENTITY_INCOMPLETE
    # What is there is still good.
    feed(uploads, 2)
    assert reply(feed(uploads, 1)).code == Code.REQUEST_ENTITY_INCOMPLETE
    feed(uploads, 3)
    assert whole(feed(uploads, 4)).payload == BODY


def test_a_first_block_starts_over() -> None:
    uploads = Uploads(5000, 10.0)
    feed(uploads, 0)
    feed(uploads, 1)
    for number in range(4):
        assert reply(feed(uploads, number, body=NEW)).code == Code.CONTINUE
    assert whole(feed(uploads, 4, body=NEW)).payload == NEW


def test_blocks_of_another_format_are_none_of_it() -> None:
    uploads = Uploads(5000, 10.0)
    feed(uploads, 0, content_format=0)
    answer = reply(feed(uploads, 1, content_format=50))
    assert answer.code == Code.REQUEST_ENTITY_INCOMPLETE


def test_a_limit() -> None:
    uploads = Uploads(2048, 10.0)
    early = reply(feed(uploads, 0, size1=2049))
    assert (early.code, early.opt.size1) == (Code.REQUEST_ENTITY_TOO_LARGE, 2048)
    assert early.opt.block1 is None
    assert len(uploads) == 0
    # Nobody has to say it, or to say it right.
    feed(uploads, 0, size1=10)
    feed(uploads, 1)
    stray = reply(feed(uploads, 3))
    assert stray.code == Code.REQUEST_ENTITY_TOO_LARGE
    assert len(uploads) == 1
    late = reply(feed(uploads, 2))
    assert (late.code, late.opt.size1) == (Code.REQUEST_ENTITY_TOO_LARGE, 2048)
    assert len(uploads) == 0
    feed(uploads, 0, body=BODY[:2048], size1=2048)
    assert whole(feed(uploads, 1, body=BODY[:2048])).payload == BODY[:2048]
    large = request(payload=BODY[:2049], block1=(0, False, 6))
    assert reply(uploads.feed("key", large, 6, 0.0)).code == Code.REQUEST_ENTITY_TOO_LARGE


def test_what_nobody_goes_on_with_is_forgotten() -> None:
    uploads = Uploads(5000, 10.0)
    assert uploads.next_deadline() is None
    feed(uploads, 0, now=0.0)
    feed(uploads, 1, now=8.0)
    # This is no progress.
    feed(uploads, 1, now=17.0)
    uploads.expire(17.9)
    assert (len(uploads), uploads.next_deadline()) == (1, 18.0)
    uploads.expire(18.0)
    assert (len(uploads), uploads.next_deadline()) == (0, None)
    feed(uploads, 0, now=20.0)
    late = reply(feed(uploads, 1, now=30.0))
    assert late.code == Code.REQUEST_ENTITY_INCOMPLETE


def test_uploads_are_bounded() -> None:
    uploads = Uploads(5000, 10.0, max_transfers=16, max_bytes=8192)
    for number in range(20):
        feed(uploads, 0, uri_query=(str(number),), now=number / 10)
    assert len(uploads) == 2
    assert reply(feed(uploads, 1, uri_query=("19",), now=3.0)).code == Code.CONTINUE
    assert reply(feed(uploads, 2, uri_query=("19",), now=3.0)).code == Code.CONTINUE
    assert len(uploads) == 2
    assert reply(feed(uploads, 3, uri_query=("19",), now=3.0)).code == Code.CONTINUE
    assert len(uploads) == 1, "half of all bytes is what one endpoint gets"
    uploads.clear()
    assert (len(uploads), uploads.next_deadline()) == (0, None)


# Bodies


def first(
    bodies: Bodies,
    asked: Message,
    answer: Message,
    exponent: int = 6,
    payload_size: int = 1024,
    now: float = 0.0,
) -> Message:
    return bodies.first(transfer_key(asked), asked, answer, exponent, payload_size, now)


def later(
    bodies: Bodies, asked: Message, exponent: int = 6, payload_size: int = 1024, now: float = 0.0
) -> Message | None:
    return bodies.later(asked, exponent, payload_size, now)


@pytest.mark.parametrize(
    ("asked", "size", "exponent"),
    [
        (get(), 1024, 6),
        (get(), 0, 6),
        (get(block2=(0, False, 2)), 64, 6),
        (get(block2=(0, False, 6)), 64, 2),
        (get(size2=0), 16, 0),
        (get(), 4096, 7),
    ],
)
def test_small_responses_stay_as_they_are(asked: Message, size: int, exponent: int) -> None:
    bodies = Bodies(10.0)
    answer = response(payload=BODY[:size])
    assert first(bodies, asked, answer, exponent, 4096) is answer
    assert len(bodies) == 0
    assert answer.opt.etag is None


def test_large_responses_are_cut() -> None:
    bodies = Bodies(10.0)
    answer = response(payload=BODY, content_format=50, etag=b"e", max_age=3, location_path=("x",))
    blocks = [first(bodies, get(), answer)]
    for number in range(1, 5):
        block = later(bodies, get(block2=(number, False, 6)))
        assert block is not None
        blocks.append(block)
    assert b"".join(block.payload for block in blocks) == BODY
    assert [block2(block) for block in blocks] == [(n, n < 4, 6) for n in range(5)]
    assert [block.opt.size2 for block in blocks] == [5000, None, None, None, None]
    for block in blocks:
        assert block.code == Code.CONTENT
        assert (block.opt.content_format, block.opt.etag, block.opt.max_age) == (50, b"e", 3)
        assert block.opt.location_path == ("x",)
        assert Message.decode(block.copy(mtype=0, mid=1).encode()).opt == block.opt
    assert answer.payload == BODY
    assert answer.opt.block2 is None
    assert len(bodies) == 1


def test_the_last_block_may_be_full() -> None:
    bodies = Bodies(10.0)
    assert block2(first(bodies, get(), response(payload=BODY[:2048]))) == (0, True, 6)
    block = later(bodies, get(block2=(1, False, 6)))
    assert block is not None
    assert (block2(block), len(block.payload)) == ((1, False, 6), 1024)


def test_blocks_can_be_changed_without_changing_others() -> None:
    bodies = Bodies(10.0)
    block = first(bodies, get(), response(payload=BODY, content_format=50))
    block.opt.content_format = 60
    block.opt.observe = 3
    block.opt.uri_path = ("x",)
    other = later(bodies, get(block2=(1, False, 6)))
    assert other is not None
    assert (other.opt.content_format, other.opt.observe, other.opt.uri_path) == (50, None, ())


def test_observe_and_block1_are_on_the_first_block_only() -> None:
    bodies = Bodies(10.0)
    answer = response(Code.CHANGED, BODY, observe=5, block1=(2, False, 6))
    block = first(bodies, request(Code.POST), answer)
    assert (block.opt.observe, block1(block), block2(block)) == (5, (2, False, 6), (0, True, 6))
    other = later(bodies, request(Code.POST, block2=(1, False, 6)))
    assert other is not None
    assert (other.opt.observe, other.opt.block1) == (None, None)
    answer = response(payload=BODY, observe=5, block1=(2, False, 6))
    block = first(bodies, get(block2=(1, False, 6)), answer)
    assert (block.opt.observe, block.opt.block1) == (None, None)


def test_a_representation_without_etag_gets_one_of_its_content() -> None:
    bodies = Bodies(10.0)
    etags = [
        first(bodies, get(), response(payload=body)).opt.etag
        for body in (BODY, bytes(bytearray(BODY)), NEW)
    ]
    assert etags[0] == etags[1] != etags[2]
    assert etags[0] is not None
    assert len(etags[0]) == 8
    block = later(bodies, get(block2=(1, False, 6)))
    assert block is not None
    assert block.opt.etag == etags[2]
    # Of other responses an ETag says something else.
    changed = first(bodies, request(Code.POST), response(Code.CHANGED, BODY))
    assert changed.opt.etag is None


def test_sizes_are_the_smaller_of_both_sides() -> None:
    for asked, exponent, expected in ((2, 6, 2), (6, 2, 2), (4, 4, 4), (None, 3, 3)):
        bodies = Bodies(10.0)
        hint = None if asked is None else (0, False, asked)
        block = first(bodies, get(block2=hint), response(payload=BODY), exponent)
        assert block2(block) == (0, True, expected)
        assert block.payload == BODY[: 16 << expected]


def test_numbers_follow_a_smaller_size() -> None:
    bodies = Bodies(10.0)
    first(bodies, get(), response(payload=BODY), 2)
    block = later(bodies, get(block2=(1, False, 6)), 2)
    assert block is not None
    assert (block2(block), block.payload) == ((16, True, 2), BODY[1024:1088])


def test_blocks_by_bert() -> None:
    bodies = Bodies(10.0)
    block = first(bodies, get(), response(payload=BODY), 7, 2100)
    assert (block2(block), block.payload) == ((0, True, 7), BODY[:2048])
    block = later(bodies, get(block2=(2, False, 7)), 7, 2048)  # type: ignore[assignment]
    assert (block2(block), block.payload) == ((2, True, 7), BODY[2048:4096])
    block = later(bodies, get(block2=(4, False, 7)), 7, 2048)  # type: ignore[assignment]
    assert (block2(block), block.payload) == ((4, False, 7), BODY[4096:])
    block = later(bodies, get(block2=(3, False, 6)), 7, 2048)  # type: ignore[assignment]
    assert (block2(block), block.payload) == ((3, True, 6), BODY[3072:4096])
    block = first(bodies, get(block2=(0, False, 7)), response(payload=BODY), 7, 100)
    assert (block2(block), block.payload) == ((0, True, 7), BODY[:1024])


def test_bert_is_refused_where_it_is_unknown() -> None:
    bodies = Bodies(10.0)
    answer = first(bodies, get(block2=(0, False, 7)), response(payload=BODY))
    assert answer.code == Code.BAD_REQUEST
    first(bodies, get(), response(payload=BODY))
    refused = later(bodies, get(block2=(1, False, 7)))
    assert refused is not None
    assert refused.code == Code.BAD_REQUEST


def test_bert_is_answered_by_smaller_blocks_of_responses_too() -> None:
    bodies = Bodies(10.0)
    asked = get(block2=(0, False, 7))
    asked.remote = BERT_PEER
    assert block2(first(bodies, asked, response(payload=BODY), 5)) == (0, True, 5)
    asked.opt.block2 = (1, False, 7)
    assert block2(later(bodies, asked, 5)) == (2, True, 5)  # type: ignore[arg-type]


def test_any_block_can_be_the_first() -> None:
    bodies = Bodies(10.0)
    block = first(bodies, get(block2=(3, False, 6)), response(payload=BODY))
    assert (block2(block), block.payload) == ((3, True, 6), BODY[3072:4096])
    assert block.opt.size2 is None
    assert block.opt.etag is not None
    block = first(bodies, get(block2=(4, False, 6)), response(payload=BODY))
    assert (block2(block), block.payload) == ((4, False, 6), BODY[4096:])
    assert later(bodies, get(block2=(1, False, 6))) is not None


@pytest.mark.parametrize(("number", "size"), [(5, 5000), (5, 5120), (1, 1024), (1, 0)])
def test_there_is_no_such_block_of_a_new_response(number: int, size: int) -> None:
    bodies = Bodies(10.0)
    asked = get(block2=(number, False, 6))
    answer = first(bodies, asked, response(payload=bytes(size)))
    assert answer.code == Code.BAD_REQUEST
    assert len(bodies) == 0


@pytest.mark.parametrize(("number", "size"), [(5, 5000), (5, 5120), ((1 << 20) - 1, 5000)])
def test_there_is_no_such_block_of_a_kept_one(number: int, size: int) -> None:
    bodies = Bodies(10.0)
    first(bodies, get(), response(payload=bytes(size)))
    answer = later(bodies, get(block2=(number, False, 6)))
    assert answer is not None
    assert answer.code == Code.BAD_REQUEST


def test_blocks_that_have_no_number_are_not_there() -> None:
    bodies = Bodies(10.0)
    first(bodies, get(), response(payload=bytes(17 << 20)), 0)
    answer = later(bodies, get(block2=(16 << 10, False, 6)), 0)
    assert answer is not None
    assert answer.code == Code.BAD_REQUEST
    assert later(bodies, get(block2=((16 << 10) - 1, False, 6)), 0) is not None


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.VALID])
def test_what_is_no_representation_is_told_from_its_beginning(code: Code) -> None:
    bodies = Bodies(10.0)
    answer = response(code, b"text")
    assert first(bodies, get(block2=(3, False, 0)), answer) is answer
    block = first(bodies, get(block2=(3, False, 0)), response(Code.NOT_FOUND, BODY))
    assert (block2(block), block.code) == ((0, True, 0), Code.NOT_FOUND)
    assert block.opt.etag is None


def test_a_resource_that_cuts_itself() -> None:
    answer = response(payload=BODY, block2=(3, True, 2))
    bodies = Bodies(10.0)
    assert first(bodies, get(block2=(3, False, 2)), answer) is answer


def test_size_is_told_to_who_asks() -> None:
    bodies = Bodies(10.0)
    first(bodies, get(), response(payload=BODY))
    block = later(bodies, get(block2=(1, False, 6), size2=0))
    assert block is not None
    assert block.opt.size2 == 5000
    block = first(bodies, get(block2=(2, False, 6), size2=0), response(payload=BODY))
    assert block.opt.size2 == 5000


def test_nothing_is_kept() -> None:
    bodies = Bodies(10.0)
    assert later(bodies, get(block2=(1, False, 6))) is None
    first(bodies, get(), response(payload=BODY))
    assert later(bodies, get()) is None
    assert later(bodies, get(block2=(1, False, 6), uri_query=("q",))) is None


def test_a_repeated_payload_is_of_the_same_question() -> None:
    bodies = Bodies(10.0)
    first(bodies, request(Code.FETCH, b"question"), response(payload=BODY))
    for payload, found in ((b"", True), (b"question", True), (b"another", False)):
        asked = request(Code.FETCH, payload, block2=(1, False, 6))
        assert (later(bodies, asked) is not None) is found


def test_bodies_are_forgotten_after_some_time() -> None:
    bodies = Bodies(10.0)
    assert bodies.next_deadline() is None
    first(bodies, get(), response(payload=BODY))
    assert later(bodies, get(block2=(1, False, 6)), now=9.0) is not None
    assert bodies.next_deadline() == 10.0
    bodies.expire(10.0)
    assert (len(bodies), bodies.next_deadline()) == (1, 19.0)
    assert later(bodies, get(block2=(1, False, 6)), now=19.0) is None
    assert len(bodies) == 0


def test_what_was_fetched_to_its_end_goes_first() -> None:
    bodies = Bodies(10.0, max_bodies=2)
    peers = [UndecidedRemote("coap", name) for name in "abc"]
    requests = []
    for peer in peers[:2]:
        asked = get(block2=(0, False, 6))
        asked.remote = peer
        first(bodies, asked, response(payload=BODY))
        requests.append(asked)
    requests[1].opt.block2 = (4, False, 6)
    assert later(bodies, requests[1], now=5.0) is not None
    assert later(bodies, requests[1], now=5.0) is not None, "the client may not have got it"
    third = get()
    third.remote = peers[2]
    first(bodies, third, response(payload=BODY), now=6.0)
    assert len(bodies) == 2
    requests[0].opt.block2 = (1, False, 6)
    assert later(bodies, requests[0], now=6.0) is not None
    assert later(bodies, requests[1], now=6.0) is None
    bodies.clear()
    assert (len(bodies), bodies.next_deadline()) == (0, None)


def test_bodies_are_bounded() -> None:
    bodies = Bodies(10.0, max_bodies=100, max_bytes=20_000)
    for number in range(20):
        first(bodies, get(uri_query=(str(number),)), response(payload=BODY), now=number / 10)
    assert len(bodies) == 2


def test_options_that_are_objects_are_told_in_each_block() -> None:
    bodies = Bodies(10.0)
    answer = response(payload=BODY)
    answer.opt.add_option(UintOption(OptionNumber(2050), 7))
    first(bodies, get(), answer)
    block = later(bodies, get(block2=(1, False, 6)))
    assert block is not None
    assert (2050, b"\x07") in block.opt.raw_items()


# What it costs


def test_serving_a_block_touches_nothing_but_the_block() -> None:
    bodies = Bodies(10.0)
    first(bodies, get(), response(payload=bytes(1 << 20)))
    kept = next(iter(bodies._by_key.values()))
    kept.payload = Counted(kept.payload)
    Counted.touched = 0
    for number in range(1, 1024):
        later(bodies, get(block2=(number, False, 6)))
    assert Counted.touched == (1 << 20) - 1024


def test_gathering_a_block_touches_nothing_but_the_block() -> None:
    uploads = Uploads(1 << 20, 10.0)
    body = bytes(1 << 20)
    feed(uploads, 0, body=body)
    kept = next(iter(uploads._by_key.values()))
    kept.data = CountedArray(kept.data)
    CountedArray.touched = 0
    for number in range(1, 1023):
        feed(uploads, number, body=body)
        feed(uploads, number, body=body)
    assert CountedArray.touched == 2 * 1022 * 1024


# Uploads that are kept elsewhere


class Elsewhere(Upload):
    """Keeps the size of each block."""

    __slots__ = ("ends", "sizes")
    begun: ClassVar[list[Elsewhere]] = []

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.sizes: list[int] = []
        self.ends = ""
        self.begun.append(self)

    def append(self, payload: bytes) -> None:
        if payload.startswith(b"!"):
            raise OSError("full")
        self.sizes.append(len(payload))

    def ends_with(self, payload: bytes) -> bool:
        return self.sizes[-1] == len(payload)

    def forget(self) -> None:
        self.ends += "w" if self.is_done else "f"


def elsewhere(limit: int = 1000) -> Uploads:
    Elsewhere.begun.clear()
    return Uploads(limit, 10.0, begin=Elsewhere)


def take(uploads: Uploads, block: Any, payload: bytes, now: float = 0.0) -> Any:
    return uploads.take("key", request(payload=payload, block1=block), 6, now)


def test_an_upload_is_handed_over_when_it_is_whole() -> None:
    uploads = elsewhere()
    for number in (0, 1, 1):
        upload, reply = take(uploads, (number, True, 0), b"x" * 16)
        assert (upload, reply.code) == (None, Code.CONTINUE)
    upload, reply = take(uploads, (2, False, 0), b"x")
    assert reply is None
    assert (upload.sizes, upload.length, upload.ends) == ([16, 16, 1], 33, "w")
    assert len(uploads) == 0


def test_bodies_of_one_block_begin_no_upload() -> None:
    uploads = elsewhere()
    assert take(uploads, None, b"x") == (None, None)
    take(uploads, (0, True, 0), b"x" * 16)
    assert take(uploads, (0, False, 0), b"x") == (None, None)
    assert [upload.ends for upload in Elsewhere.begun] == ["f"]


def test_uploads_are_told_that_they_are_forgotten() -> None:
    uploads = elsewhere(limit=20)
    take(uploads, (0, True, 0), b"x" * 16)
    take(uploads, (0, True, 0), b"x" * 16)  # starts over
    take(uploads, (1, True, 0), b"x" * 16)  # is too large
    take(uploads, (0, True, 0), b"x" * 16)
    uploads.expire(10.0)
    take(uploads, (0, True, 0), b"x" * 16, 20.0)
    uploads.clear()
    assert [upload.ends for upload in Elsewhere.begun] == ["f", "f", "f", "f"]


def test_uploads_that_fail_are_forgotten() -> None:
    uploads = elsewhere()
    take(uploads, (0, True, 0), b"x" * 16)
    with pytest.raises(OSError, match="full"):
        take(uploads, (1, True, 0), b"!" * 16)
    assert [upload.ends for upload in Elsewhere.begun] == ["f"]
    assert take(uploads, (1, True, 0), b"x" * 16)[1].code == Code.REQUEST_ENTITY_INCOMPLETE

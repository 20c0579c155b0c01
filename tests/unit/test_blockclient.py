"""The client's side of blockwise transfers: what is sent and accepted, message by message."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.error import (
    Error,
    MissingBlock2Option,
    ResourceChanged,
    UnexpectedBlock1Option,
    UnexpectedBlock2,
)
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type
from aiocoap.sansio.blockclient import (
    MAX_RESTARTS,
    Block1Upload,
    Block2Download,
    needs_upload,
    wants_download,
)
from tests.unit.block_parts import (
    BERT_PEER,
    BODY,
    NEW,
    PEER,
    Counted,
    CountedArray,
    Group,
    block1,
    block2,
    get,
    request,
    response,
)

# needs_upload


@pytest.mark.parametrize(
    ("size", "hint", "exponent", "expected"),
    [
        (0, None, 6, False),
        (1024, None, 6, False),
        (1025, None, 6, True),
        (17, None, 0, True),
        (4096, None, 7, False),
        (4097, None, 7, True),
        (65, (0, False, 2), 6, True),
        (64, (0, False, 2), 6, False),
        # The option as it is would be of a size that must not be sent.
        (10, (0, False, 7), 6, True),
        (10, (0, False, 7), 7, False),
        # The application cuts the body itself.
        (65, (0, True, 2), 6, False),
        (65, (1, False, 2), 6, False),
    ],
)
def test_needs_upload(size: int, hint: Any, exponent: int, expected: bool) -> None:
    assert needs_upload(request(payload=bytes(size), block1=hint), exponent, 4100) is expected


# Block1Upload


def acknowledge(upload: Block1Upload, exponent: int | None = None) -> Message:
    """Have the current block acknowledged; return what was sent."""
    sent = upload.next_request()
    number, more, used = block1(sent)
    assert more
    answer = response(Code.CONTINUE, block1=(number, True, used if exponent is None else exponent))
    assert upload.feed(answer) is None
    return sent


def test_upload_cuts_the_body() -> None:
    upload = Block1Upload(request(payload=BODY[:2500]), 6)
    sent = [acknowledge(upload), acknowledge(upload), upload.next_request()]
    assert b"".join(message.payload for message in sent) == BODY[:2500]
    assert [block1(m) for m in sent] == [(0, True, 6), (1, True, 6), (2, False, 6)]
    assert [message.opt.size1 for message in sent] == [2500, None, None]
    final = response(Code.CHANGED, block1=(2, False, 6))
    assert upload.feed(final) is final


def test_progress() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    assert upload.progress == (0, 5000)
    upload.feed(response(Code.CONTINUE, block1=block1(upload.next_request())))
    assert upload.progress == (1024, 5000)
    first = response(payload=BODY[:1024], block2=(0, True, 6), size2=5000, etag=b"1")
    download = Block2Download(get(), first, 6, 10000)
    assert download.progress == (1024, 5000)
    # It changes, and is fetched from the start.
    changed = response(payload=BODY[1024:2048], block2=(1, True, 6), etag=b"2")
    assert download.feed(changed) is None
    assert download.progress == (0, None)
    download.feed(response(payload=NEW[:1024], block2=(0, True, 6), etag=b"2"))
    assert download.progress == (1024, None)


def test_upload_repeats_the_current_block_until_it_is_answered() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    acknowledge(upload)
    first, second = upload.next_request(), upload.next_request()
    assert first is not second
    assert (first.payload, block1(first)) == (second.payload, block1(second))


@pytest.mark.parametrize("size", [0, 10, 16])
def test_upload_of_one_block(size: int) -> None:
    upload = Block1Upload(request(payload=BODY[:size], block1=(0, False, 0)), 6)
    sent = upload.next_request()
    assert (block1(sent), sent.payload) == ((0, False, 0), BODY[:size])


def test_upload_leaves_the_request_as_it_is() -> None:
    whole = request(payload=BODY, block1=(0, False, 4), if_none_match=True, observe=0)
    before = whole.opt.raw_items()
    upload = Block1Upload(whole, 6, 1024, b"t")
    acknowledge(upload)
    assert whole.opt.raw_items() == before
    assert whole.payload == BODY


def test_upload_sends_new_messages() -> None:
    whole = request(payload=BODY, mid=1, token=b"t", mtype=Type.CON)
    sent = Block1Upload(whole, 6).next_request()
    assert (sent.mid, sent.token, sent.mtype, sent.remote) == (None, b"", Type.CON, PEER)


def test_upload_puts_options_where_they_belong() -> None:
    whole = request(
        Code.FETCH,
        BODY[:40],
        if_none_match=True,
        if_match=[b"e"],
        observe=0,
        content_format=50,
        block2=(0, False, 2),
        size2=0,
        no_response=2,
        size1=9,
    )
    upload = Block1Upload(whole, 0, 1024, b"t")
    sent = [acknowledge(upload), acknowledge(upload), upload.next_request()]
    assert [m.opt.if_none_match for m in sent] == [True, False, False]
    assert [m.opt.size1 for m in sent] == [40, None, None]
    assert [m.opt.observe for m in sent] == [None, None, 0]
    assert [m.opt.size2 for m in sent] == [None, None, 0]
    assert [m.opt.no_response for m in sent] == [None, None, 2]
    assert [m.opt.block2 for m in sent] == [None, None, (0, False, 2)]
    for message in sent:
        assert message.opt.request_tag == (b"t",)
        assert message.opt.if_match == (b"e",)
        assert message.opt.content_format == 50
        assert message.opt.uri_path == ("a",)


def test_upload_without_request_tag_keeps_the_applications() -> None:
    upload = Block1Upload(request(payload=BODY, request_tag=[b"x", b"y"]), 6)
    assert upload.next_request().opt.request_tag == (b"x", b"y")


def test_upload_takes_a_smaller_size_and_never_a_larger_one() -> None:
    upload = Block1Upload(request(payload=BODY[:300]), 3)
    acknowledge(upload, 1)
    assert upload.exponent == 1
    sent = acknowledge(upload, 6)
    assert (block1(sent), sent.payload) == ((4, True, 1), BODY[128:160])
    assert upload.exponent == 1
    assert block1(upload.next_request()) == (5, True, 1)


def test_upload_by_bert_counts_in_1024() -> None:
    upload = Block1Upload(request(payload=BODY), 7, 2100)
    sent = acknowledge(upload)
    assert (block1(sent), len(sent.payload)) == ((0, True, 7), 2048)
    sent = acknowledge(upload, 5)
    assert (block1(sent), len(sent.payload)) == ((2, True, 7), 2048)
    sent = upload.next_request()
    assert (block1(sent), sent.payload) == ((8, True, 5), BODY[4096:4608])


def test_upload_to_a_server_that_acts_on_each_block() -> None:
    upload = Block1Upload(request(payload=BODY[:40]), 0)
    assert upload.feed(response(Code.CHANGED, block1=(0, False, 0))) is None
    assert upload.feed(response(Code.CHANGED, block1=(1, False, 0))) is None
    final = response(Code.CHANGED, block1=(2, False, 0))
    assert upload.feed(final) is final


def test_upload_to_a_server_that_says_more_with_any_code() -> None:
    upload = Block1Upload(request(payload=BODY[:40]), 0)
    assert upload.feed(response(Code.CHANGED, block1=(0, True, 0))) is None
    # So nothing was done yet, and it can start over.
    assert upload.feed(response(Code.REQUEST_ENTITY_INCOMPLETE)) is None
    assert block1(upload.next_request()) == (0, True, 0)


def test_upload_to_a_server_that_forgets_the_option() -> None:
    upload = Block1Upload(request(payload=BODY[:40]), 0)
    assert upload.feed(response(Code.CONTINUE)) is None
    assert upload.feed(response(Code.CONTINUE)) is None
    final = response(Code.CREATED)
    assert upload.feed(final) is final


@pytest.mark.parametrize(
    "early", [Code.CHANGED, Code.NOT_FOUND, Code.SERVICE_UNAVAILABLE, Code.BAD_OPTION]
)
def test_upload_ends_early_by_a_final_answer(early: Code) -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    acknowledge(upload)
    answer = response(early)
    assert upload.feed(answer) is answer


def test_upload_hands_over_an_error_whatever_block_it_names() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    answer = response(Code.UNAUTHORIZED, block1=(9, False, 6))
    assert upload.feed(answer) is answer


@pytest.mark.parametrize(
    ("code", "block"),
    [
        (Code.CONTINUE, (1, True, 0)),
        (Code.CHANGED, (1, False, 0)),
        (Code.CONTINUE, (0, True, 0)),
        (Code.CONTINUE, None),
    ],
)
def test_upload_is_answered_for_another_block(code: Code, block: Any) -> None:
    # This one is the last, so that no acknowledgement makes sense.
    upload = Block1Upload(request(payload=BODY[:10]), 0)
    with pytest.raises(UnexpectedBlock1Option):
        upload.feed(response(code, block1=block))


def test_upload_is_answered_for_another_block_in_the_middle() -> None:
    upload = Block1Upload(request(payload=BODY), 0)
    with pytest.raises(UnexpectedBlock1Option):
        upload.feed(response(Code.CONTINUE, block1=(1, True, 0)))


def test_upload_starts_over_once_when_the_server_lost_it() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    acknowledge(upload)
    acknowledge(upload)
    lost = response(Code.REQUEST_ENTITY_INCOMPLETE, block1=(2, True, 6))
    assert upload.feed(lost) is None
    assert block1(upload.next_request()) == (0, True, 6)
    acknowledge(upload)
    assert upload.feed(lost) is lost


def test_upload_does_not_start_over_from_its_start() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    lost = response(Code.REQUEST_ENTITY_INCOMPLETE)
    assert upload.feed(lost) is lost


def test_upload_does_not_start_over_what_has_been_acted_on() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    assert upload.feed(response(Code.CHANGED, block1=(0, False, 6))) is None
    lost = response(Code.REQUEST_ENTITY_INCOMPLETE)
    assert upload.feed(lost) is lost


def test_upload_starts_over_with_smaller_blocks() -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    acknowledge(upload)
    for exponent in (4, 2):
        hint = response(Code.REQUEST_ENTITY_TOO_LARGE, block1=(1, True, exponent), size1=5000)
        assert upload.feed(hint) is None
        assert block1(upload.next_request()) == (0, True, exponent)
        assert upload.next_request().opt.size1 == 5000


@pytest.mark.parametrize(
    "options",
    [{}, {"block1": (0, True, 6)}, {"block1": (0, True, 7)}, {"block1": (0, True, 2), "size1": 9}],
)
def test_upload_is_too_large(options: dict[str, Any]) -> None:
    upload = Block1Upload(request(payload=BODY), 6)
    answer = response(Code.REQUEST_ENTITY_TOO_LARGE, **options)
    assert upload.feed(answer) is answer


def test_upload_has_more_blocks_than_there_are_numbers() -> None:
    body = bytes(16 << 20)
    fits = Block1Upload(request(payload=body), 0)
    assert block1(fits.next_request()) == (0, True, 0)
    upload = Block1Upload(request(payload=body + b"x"), 1)
    acknowledge(upload, 0)
    with pytest.raises(Error, match="16 bytes"):
        upload.next_request()


# wants_download


@pytest.mark.parametrize(
    ("asked", "got", "expected"),
    [
        (None, None, False),
        (None, (0, True, 6), True),
        (None, (0, False, 6), False),
        ((0, False, 2), (0, True, 2), True),
        # The application asked for it.
        ((3, False, 2), (3, True, 2), False),
        ((3, False, 2), None, False),
        # A whole does not begin here.
        (None, (3, False, 2), True),
        ((0, False, 2), (3, True, 2), True),
    ],
)
def test_wants_download(asked: Any, got: Any, expected: bool) -> None:
    assert wants_download(request(block2=asked), response(block2=got)) is expected


# Block2Download


def part(
    number: int, exponent: int = 6, body: bytes = BODY, etag: bytes | None = b"e", **options: Any
) -> Message:
    """Return one block of a response."""
    size = 16 << exponent
    start = number * size
    code = options.pop("code", Code.CONTENT)
    return response(
        code,
        body[start : start + size],
        block2=(number, start + size < len(body), exponent),
        etag=etag,
        **options,
    )


def finish(download: Block2Download, body: bytes = BODY, **options: Any) -> Message:
    """Answer requests until the whole is there."""
    for _ in range(2000):
        number, more, exponent = block2(download.next_request())
        assert not more
        whole = download.feed(part(number, exponent, body, **options))
        if whole is not None:
            return whole
    raise AssertionError("it does not end")


def test_download_puts_blocks_together() -> None:
    download = Block2Download(get(), part(0), 6, 5000)
    assert block2(download.next_request()) == (1, False, 6)
    assert block2(download.next_request()) == (1, False, 6)
    whole = finish(download)
    assert whole.payload == BODY
    assert whole.opt.block2 is None
    assert (whole.code, whole.remote, whole.opt.etag) == (Code.CONTENT, PEER, b"e")


def test_download_asks_with_the_same_options_as_far_as_they_make_sense() -> None:
    asked = request(
        Code.POST,
        b"question",
        mid=1,
        token=b"t",
        mtype=Type.CON,
        etag=b"old",
        accept=50,
        uri_query=("q",),
        request_tag=[b"tag"],
        if_match=[b"m"],
        if_none_match=True,
        observe=0,
        block1=(0, False, 6),
        size1=8,
        size2=0,
        block2=(0, False, 6),
        no_response=2,
        content_format=0,
    )
    before = asked.opt.raw_items()
    sent = Block2Download(asked, part(0), 6, 5000).next_request()
    assert (sent.mid, sent.token, sent.mtype, sent.payload) == (None, b"", Type.CON, b"")
    assert sent.remote is PEER
    assert {number for number, _ in sent.opt.raw_items()} == {
        OptionNumber.ETAG,
        OptionNumber.ACCEPT,
        OptionNumber.URI_PATH,
        OptionNumber.URI_QUERY,
        OptionNumber.REQUEST_TAG,
        OptionNumber.IF_MATCH,
        OptionNumber.BLOCK2,
        OptionNumber.CONTENT_FORMAT,
    }
    assert asked.opt.raw_items() == before
    assert asked.payload == b"question"


@pytest.mark.parametrize(
    ("code", "body", "answer", "exponent", "repeated"),
    [
        (Code.FETCH, b"question", {}, 6, True),
        (Code.FETCH, bytes(1024), {}, 6, True),
        # Block1 phases: in the sizes that they need, and because the server says so.
        (Code.FETCH, bytes(1025), {}, 6, False),
        (Code.FETCH, b"q", {"block1": (0, False, 6)}, 6, False),
        (Code.FETCH, bytes(17), {}, 0, False),
        (Code.POST, b"question", {}, 6, False),
        (Code.PUT, b"question", {}, 6, False),
        (Code.PATCH, b"question", {}, 6, False),
        (Code.iPATCH, b"question", {}, 6, False),
    ],
)
def test_download_repeats_the_payload_of_a_fetch(
    code: Code, body: bytes, answer: dict[str, Any], exponent: int, repeated: bool
) -> None:
    download = Block2Download(request(code, body), part(0, **answer), exponent, 5000)
    assert download.next_request().payload == (body if repeated else b"")


def test_download_knows_how_much_a_message_by_bert_carries() -> None:
    asked = request(Code.FETCH, bytes(4096))
    asked.remote = BERT_PEER
    first = response(payload=BODY[:2048], block2=(0, True, 7))
    first.remote = None
    assert Block2Download(asked, first, 7, 5000).next_request().payload == bytes(4096)
    asked.remote = None
    assert Block2Download(asked, first, 7, 5000).next_request().payload == b""


def test_download_by_bert_counts_in_1024() -> None:
    first = response(payload=BODY[:2048], block2=(0, True, 7))
    download = Block2Download(get(), first, 7, 5000)
    assert block2(download.next_request()) == (2, False, 7)
    assert download.feed(response(payload=BODY[2048:3072], block2=(2, True, 7))) is None
    assert block2(download.next_request()) == (3, False, 7)
    # An answer without BERT is one that the server may choose.
    assert download.feed(response(payload=BODY[3072:4096], block2=(3, True, 6))) is None
    assert block2(download.next_request()) == (4, False, 6)
    whole = download.feed(response(payload=BODY[4096:], block2=(4, False, 6)))
    assert whole is not None
    assert whole.payload == BODY


def test_download_may_end_by_an_empty_block_or_a_larger_one() -> None:
    for end in (b"", BODY[16:1000]):
        download = Block2Download(get(), response(payload=BODY[:16], block2=(0, True, 0)), 6, 5000)
        whole = download.feed(response(payload=end, block2=(1, False, 0)))
        assert whole is not None
        assert whole.payload == BODY[:16] + end


@pytest.mark.parametrize(("hint", "exponent"), [((0, False, 2), 6), (None, 2), ((0, False, 3), 2)])
def test_download_negotiates_late(hint: Any, exponent: int) -> None:
    download = Block2Download(get(block2=hint), part(0, 3), exponent, 5000)
    assert block2(download.next_request()) == (2, False, 2)
    assert download.exponent == 2
    assert finish(download).payload == BODY


def test_download_follows_the_server_to_smaller_blocks() -> None:
    download = Block2Download(get(), part(0, 3), 6, 5000)
    assert block2(download.next_request()) == (1, False, 3)
    assert download.feed(part(4, 1)) is None
    assert block2(download.next_request()) == (5, False, 1)
    assert finish(download).payload == BODY


@pytest.mark.parametrize(
    "wrong",
    [
        part(2, 3),
        part(0, 3),
        response(payload=BODY[128:250], block2=(1, True, 3), etag=b"e"),
        response(payload=BODY[128:300], block2=(1, True, 3), etag=b"e"),
    ],
)
def test_download_gets_another_block(wrong: Message) -> None:
    download = Block2Download(get(), part(0, 3), 6, 5000)
    with pytest.raises(UnexpectedBlock2, match="blocks do not fit together: after 128 bytes"):
        download.feed(wrong)


def test_download_gets_a_larger_block_than_it_asked_for() -> None:
    download = Block2Download(get(), part(0, 3), 6, 5000)
    assert download.feed(part(1, 3)) is None
    with pytest.raises(UnexpectedBlock2):
        download.feed(part(1, 4))


@pytest.mark.parametrize(
    "first",
    [
        part(1),
        response(payload=b"x", block2=(0, True, 6)),
        response(payload=b"", block2=(0, True, 7)),
    ],
)
def test_download_begins_wrongly(first: Message) -> None:
    assert wants_download(get(), first)
    with pytest.raises(UnexpectedBlock2):
        Block2Download(get(), first, 6, 5000)


def test_download_misses_the_option() -> None:
    download = Block2Download(get(), part(0), 6, 5000)
    with pytest.raises(MissingBlock2Option):
        download.feed(response(payload=BODY[1024:], etag=b"e"))


def test_download_has_a_limit() -> None:
    assert finish(Block2Download(get(), part(0), 6, 5000)).payload == BODY
    download = Block2Download(get(), part(0), 6, 4999)
    with pytest.raises(Error, match="4999"):
        finish(download)
    with pytest.raises(Error, match="1000"):
        Block2Download(get(), part(0), 6, 1000)


def test_download_runs_out_of_numbers() -> None:
    body = bytes(16 << 20)
    first = response(payload=body, block2=(0, True, 7))
    download = Block2Download(get(), first, 0, 1 << 30)
    with pytest.raises(Error, match="16 bytes"):
        download.next_request()


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.REQUEST_ENTITY_INCOMPLETE])
def test_download_hands_over_an_error(code: Code) -> None:
    download = Block2Download(get(), part(0), 6, 5000)
    answer = response(code)
    assert download.feed(answer) is answer


def test_download_of_an_error() -> None:
    download = Block2Download(get(), part(0, code=Code.NOT_FOUND), 6, 5000)
    whole = finish(download, code=Code.NOT_FOUND)
    assert (whole.code, whole.payload) == (Code.NOT_FOUND, BODY)


def test_download_keeps_the_options_of_its_first_block_and_the_age_of_its_last() -> None:
    first = part(0, observe=7, max_age=60, content_format=50, block1=(3, False, 6), size2=5000)
    download = Block2Download(get(observe=0), first, 6, 5000)
    whole = finish(download, content_format=50, max_age=30, location_path=("no",))
    assert whole.opt.observe == 7
    assert whole.opt.max_age == 30
    assert whole.opt.content_format == 50
    assert whole.opt.block1 == (3, False, 6)
    assert whole.opt.size2 == 5000
    assert whole.opt.location_path == ()
    assert first.opt.max_age == 60
    assert block2(first) == (0, True, 6)


def test_download_of_what_has_no_age_at_the_end() -> None:
    assert finish(Block2Download(get(), part(0, max_age=60), 6, 5000)).opt.max_age is None


def test_download_from_a_member_of_a_group() -> None:
    asked = get(mtype=Type.NON)
    asked.remote = Group()
    sent = Block2Download(asked, part(0), 6, 5000).next_request()
    assert sent.remote is PEER
    assert sent.mtype is None


def test_download_from_nowhere_asks_where_the_request_went() -> None:
    asked, first = get(), part(0)
    first.remote = None
    assert Block2Download(asked, first, 6, 5000).next_request().remote is PEER
    asked.remote = None
    assert Block2Download(asked, first, 6, 5000).next_request().remote is None


@pytest.mark.parametrize(
    "changed",
    [
        part(1, body=NEW, etag=b"new"),
        part(1, body=NEW, etag=None),
        part(1, body=NEW, content_format=60),
        # It is small by now, or is what the client had before.
        response(payload=b"small", etag=b"new"),
        response(Code.VALID, etag=b"old"),
        response(Code.VALID, etag=b"e"),
        # There is no second block any more.
        response(Code.BAD_REQUEST),
    ],
)
@pytest.mark.parametrize(
    "asked",
    [get(observe=0), request(Code.FETCH, b"question", observe=0), request(Code.FETCH, observe=0)],
    ids=["get", "fetch", "fetch-nothing"],
)
def test_download_starts_over_when_the_resource_changed(asked: Message, changed: Message) -> None:
    download = Block2Download(asked, part(0, observe=3), 6, 5000)
    assert download.feed(changed) is None
    again = download.next_request()
    assert block2(again) == (0, False, 6)
    assert again.payload == asked.payload
    assert again.opt.observe is None
    whole = finish(download, NEW, etag=b"new")
    assert (whole.payload, whole.opt.etag, whole.opt.observe) == (NEW, b"new", 3)


@pytest.mark.parametrize(
    "instead",
    [
        response(payload=b"small", etag=b"new"),
        response(payload=b"small", etag=b"new", block2=(0, False, 6)),
    ],
)
def test_download_starts_over_and_is_one_message(instead: Message) -> None:
    download = Block2Download(get(observe=0), part(0, observe=3), 6, 5000)
    assert download.feed(part(1, etag=b"new")) is None
    whole = download.feed(instead)
    assert whole is not None
    assert (whole.payload, whole.opt.etag, whole.opt.block2) == (b"small", b"new", None)
    assert whole.opt.observe == 3


def test_download_starts_over_and_is_an_error() -> None:
    download = Block2Download(get(observe=0), part(0, observe=3), 6, 5000)
    assert download.feed(part(1, etag=b"new")) is None
    whole = download.feed(response(Code.NOT_FOUND, b"gone"))
    assert whole is not None
    assert (whole.code, whole.payload, whole.opt.observe) == (Code.NOT_FOUND, b"gone", None)


def test_download_starts_over_in_the_middle() -> None:
    download = Block2Download(get(), part(0), 6, 5000)
    assert download.feed(part(1, etag=b"new")) is None
    with pytest.raises(UnexpectedBlock2):
        download.feed(part(1, etag=b"new"))


def test_download_does_not_start_over_for_ever() -> None:
    download = Block2Download(get(), part(0, etag=b"0"), 6, 5000)
    for state in range(MAX_RESTARTS):
        assert download.feed(part(1, etag=b"%d" % (state + 1))) is None
        assert block2(download.next_request()) == (0, False, 6)
        assert download.feed(part(0, etag=b"%d" % (state + 1))) is None
    with pytest.raises(ResourceChanged):
        download.feed(part(1, etag=b"x"))
    refused = response(Code.BAD_REQUEST)
    assert download.feed(refused) is refused


@pytest.mark.parametrize("code", [Code.POST, Code.PUT, Code.PATCH, Code.iPATCH, Code.DELETE])
def test_download_never_repeats_an_operation(code: Code) -> None:
    download = Block2Download(request(code, b"x"), part(0), 6, 5000)
    with pytest.raises(ResourceChanged):
        download.feed(part(1, etag=b"new"))
    refused = response(Code.BAD_REQUEST)
    assert download.feed(refused) is refused


def test_download_does_not_upload_again() -> None:
    download = Block2Download(request(Code.FETCH, BODY), part(0), 6, 5000)
    with pytest.raises(ResourceChanged):
        download.feed(part(1, etag=b"new"))


# What it costs


def test_sending_a_block_touches_nothing_but_the_block() -> None:
    asked = request()
    asked.payload = Counted(1 << 20)
    Counted.touched = 0
    upload = Block1Upload(asked, 6)
    for _ in range(1023):
        acknowledge(upload)
    upload.next_request()
    assert Counted.touched == 1 << 20


def test_gathering_a_block_touches_nothing_but_the_block() -> None:
    body = bytes(1 << 20)
    download = Block2Download(get(), part(0, 6, body), 6, 1 << 20)
    download._body = CountedArray(download._body)
    CountedArray.touched = 0
    assert finish(download, body).payload == body
    assert CountedArray.touched == (1 << 20) - 1024

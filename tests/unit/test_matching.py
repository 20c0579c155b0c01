"""Tokens, and the requests that are found by them."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from aiocoap.address import UndecidedRemote
from aiocoap.sansio.matching import TOKEN_SIZE, Matching, RequestTags, Tokens

HERE = UndecidedRemote("coap", "here")
THERE = UndecidedRemote("coap", "there")


def matching() -> Matching[str]:
    return Matching(random.Random(1).randbytes)


def test_tokens_are_four_bytes_and_differ() -> None:
    tokens = Tokens(random.Random(1).randbytes)
    some = [tokens.next() for _ in range(1000)]
    assert {len(token) for token in some} == {TOKEN_SIZE}
    assert len(set(some)) == 1000


def test_tokens_of_two_endpoints_have_nothing_in_common() -> None:
    one, other = Tokens(random.Random(1).randbytes), Tokens(random.Random(2).randbytes)
    assert not {one.next() for _ in range(1000)} & {other.next() for _ in range(1000)}


def test_the_difference_between_tokens_tells_nothing() -> None:
    # As it would for a bare counter, or a counter multiplied with a secret.
    tokens = Tokens(random.Random(1).randbytes)
    numbers = [int.from_bytes(tokens.next(), "big") for _ in range(1000)]
    differences = {(b - a) % 2**32 for a, b in pairwise(numbers)}
    assert len(differences) > 990


def test_tokens_count_round_after_four_bytes() -> None:
    tokens = Tokens(random.Random(1).randbytes)
    first = tokens.next()
    tokens._count = 0xFFFFFFFF
    assert tokens.next() != first
    assert tokens.next() == first


def test_randomness_is_asked_for_once() -> None:
    asked: list[int] = []

    def random_bytes(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    tokens = Tokens(random_bytes)
    tokens.next()
    assert len(asked) == 1


def test_a_response_finds_its_request() -> None:
    table = matching()
    token = table.next_token()
    table.add(token, HERE, "request")
    assert table.find(token, UndecidedRemote("coap", "here")) == "request"
    assert table.find(token, HERE) == "request", "it may have several responses"


def test_a_response_from_elsewhere_finds_nothing() -> None:
    table = matching()
    token = table.next_token()
    table.add(token, HERE, "request")
    assert table.find(token, THERE) is None


@pytest.mark.parametrize("token", [b"", b"\x01", b"\x00" * 8])
def test_a_response_with_another_token_finds_nothing(token: bytes) -> None:
    table = matching()
    table.add(table.next_token(), HERE, "request")
    assert table.find(token, HERE) is None


def test_any_member_of_a_group_may_answer() -> None:
    table = matching()
    token = table.next_token()
    table.add(token, None, "request")
    assert table.find(token, HERE) == "request"
    assert table.find(token, THERE) == "request"


def test_a_finished_request_is_not_found() -> None:
    table = matching()
    token = table.next_token()
    table.add(token, HERE, "request")
    table.remove(token)
    assert table.find(token, HERE) is None
    assert len(table) == 0
    table.remove(token)


def test_a_token_in_use_is_not_given_out() -> None:
    table = matching()
    token = table.next_token()
    table.add(token, HERE, "an observation of years")
    table._tokens._count = 0
    assert table.next_token() != token


def test_requests_to_one_endpoint() -> None:
    table = matching()
    table.add(b"1", HERE, "one")
    table.add(b"2", THERE, "other")
    table.add(b"3", None, "group")
    table.add(b"4", HERE, "another")
    assert table.waiting_for(HERE) == ["one", "another"]
    assert sorted(table) == ["another", "group", "one", "other"]
    assert len(table) == 4


def test_requests_may_go_while_one_iterates() -> None:
    table = matching()
    for token in (b"1", b"2"):
        table.add(token, HERE, token.decode())
    for request in table:
        table.remove(request.encode())
    assert len(table) == 0


# Request-Tag


def test_a_lone_upload_needs_no_tag() -> None:
    tags = RequestTags()
    assert tags.take("resource", 0.0) is None
    tags.release("resource", None)
    assert tags.take("resource", 0.0) is None
    assert len(tags) == 1


def test_uploads_to_different_resources_need_no_tag() -> None:
    tags = RequestTags()
    assert tags.take("resource", 0.0) is None
    assert tags.take("other", 0.0) is None


def test_concurrent_uploads_get_the_shortest_tags() -> None:
    tags = RequestTags()
    taken = [tags.take("resource", 0.0) for _ in range(258)]
    assert taken[:4] == [None, b"", b"\x01", b"\x02"]
    assert taken[-2:] == [b"\xff", b"\x01\x00"]
    assert len(set(taken)) == 258
    tags.release("resource", b"\x01")
    assert tags.take("resource", 0.0) == b"\x01"


def test_a_released_tag_leaves_nothing() -> None:
    tags = RequestTags()
    tags.release("resource", tags.take("resource", 0.0))
    assert len(tags) == 0


def test_the_tag_of_a_broken_upload_stays_in_use() -> None:
    tags = RequestTags()
    tags.retire("resource", tags.take("resource", 0.0), 100.0)
    assert tags.take("resource", 99.0) == b""
    tags.release("resource", b"")
    assert tags.take("resource", 100.0) is None

"""Sizes of blocks, and of what a message carries."""

from __future__ import annotations

import pytest

from aiocoap.address import EndpointAddress
from aiocoap.optiontypes import BlockOption
from aiocoap.sansio.blocksize import BERT, LAST_NUMBER, message_size, shift, sizes


@pytest.mark.parametrize("exponent", range(8))
def test_numbers_count_in_the_size_of_a_block(exponent: int) -> None:
    block = BlockOption.BlockwiseTuple(3, False, exponent)
    assert 1 << shift(exponent) == block.size
    assert 3 << shift(exponent) == block.start


@pytest.mark.parametrize("exponent", range(7))
def test_a_message_carries_a_block(exponent: int) -> None:
    assert message_size(exponent, 5000) == 16 << exponent


@pytest.mark.parametrize(
    ("payload_size", "expected"), [(0, 1024), (1024, 1024), (2047, 1024), (2048, 2048)]
)
def test_a_message_carries_whole_blocks_by_bert(payload_size: int, expected: int) -> None:
    assert message_size(BERT, payload_size) == expected


def test_the_last_number_is_the_last_one_that_can_be_encoded() -> None:
    BlockOption(23, (LAST_NUMBER, True, 7)).encode()
    with pytest.raises(ValueError, match="out of range"):
        BlockOption(23, (LAST_NUMBER + 1, True, 7)).encode()


class Peer(EndpointAddress):
    def __init__(self, exponent: int) -> None:
        self.maximum_block_size_exp = exponent
        self.maximum_payload_size = 5000


@pytest.mark.parametrize(
    ("preferred", "of_the_peer", "expected"),
    [
        (2, 6, (2, 64)),
        (5, 3, (3, 512)),
        (6, 6, (6, 5000)),
        (7, 6, (6, 5000)),
        (6, 7, (7, 5000)),
        (6, 4, (4, 5000)),
    ],
)
def test_both_sides_limit_the_size(
    preferred: int, of_the_peer: int, expected: tuple[int, int]
) -> None:
    assert sizes(Peer(of_the_peer), preferred) == expected

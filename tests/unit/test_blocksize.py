"""Sizes of blocks, and of what a message carries."""

from __future__ import annotations

import pytest

from aiocoap.optiontypes import BlockOption
from aiocoap.sansio.blocksize import BERT, LAST_NUMBER, message_size, shift


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

"""How large a block is, and how much of a body a message carries.

Here lives what both sides of a blockwise transfer count with.

The room knows endpoints, and no message.

RFC 7959 section 2.2, RFC 8323 section 6 (BERT).
"""

from __future__ import annotations

from ..address import EndpointAddress

__all__ = ["BERT", "LAST_NUMBER", "message_size", "shift", "sizes"]

BERT = 7
"""The size exponent of messages with any number of blocks of 1024 bytes."""

LAST_NUMBER = (1 << 20) - 1
"""The largest block number, as there are 20 bits for it."""


def shift(exponent: int) -> int:
    """Return the binary logarithm of the size that block numbers count in.

    >>> 3 << shift(6)
    3072

    Args:
        exponent: 0 to 7.
    """
    return (exponent if exponent < 6 else 6) + 4


def message_size(exponent: int, payload_size: int) -> int:
    """Return how many bytes of a body one message carries.

    Args:
        exponent: 0 to 7.
        payload_size: Largest payload in bytes; only BERT makes use of it.
    """
    if exponent < BERT:
        return 16 << exponent
    return max(1024, payload_size & -1024)


def sizes(remote: EndpointAddress, exponent: int) -> tuple[int, int]:
    """Return exponent and payload size in bytes of the messages exchanged with an endpoint.

    Args:
        remote: The endpoint.
        exponent: Block size exponent that this side prefers, 0 to 7.

    RFC 7959 section 2.2.
    """
    if exponent < 6:
        return min(exponent, remote.maximum_block_size_exp), 16 << exponent
    # Nothing smaller is preferred: what the peer takes is the limit.
    return remote.maximum_block_size_exp, remote.maximum_payload_size

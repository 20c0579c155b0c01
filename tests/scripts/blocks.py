"""Scripts of bodies that go over the network block by block, at both ends.

Blocks are written as in RFC 7959: number, whether there are more, and the exponent of the size.
Message IDs and tokens are called by a name and the number; two transfers in one script need
different names.
"""

from __future__ import annotations

from typing import Any

from aiocoap import ACK, CON, CONTENT, CONTINUE, GET, Code
from aiocoap.numbers.constants import TransportTuning
from tests.harness import Script

S16, S32, S64, S128, S256, S1024 = 0, 1, 2, 3, 4, 6
"""Exponents by size in bytes."""


class Blocks32(TransportTuning):
    """An endpoint that is content with small blocks."""

    DEFAULT_BLOCK_SIZE_EXP = S32


class Blocks64(TransportTuning):
    """One that is content with blocks that are a bit larger."""

    DEFAULT_BLOCK_SIZE_EXP = S64


class Blocks128(TransportTuning):
    """One that is content with those of most figures in RFC 7959."""

    DEFAULT_BLOCK_SIZE_EXP = S128


def size(exponent: int) -> int:
    """Bytes in a block."""
    return 16 << exponent


def numbers(start: int, exponent: int, body: bytes) -> list[tuple[int, bool, bytes]]:
    """Return number, more flag and payload of each block from a place in bytes onwards."""
    step = size(exponent)
    return [
        (place // step, place + step < len(body), body[place : place + step])
        for place in range(start, len(body), step)
    ]


# The client's script asks for block after block, or sends them


def fetch(
    script: Script,
    start: int,
    exponent: int,
    body: bytes,
    method: Code = GET,
    code: Code = CONTENT,
    name: str = "D",
    etag: bytes | None = None,
    **options: Any,
) -> None:
    """Get a body from a place in bytes onwards; each block of a 2.05 is to have an ETag."""
    for number, more, payload in numbers(start, exponent, body):
        script.send(
            CON,
            method,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block2=(number, False, exponent),
            **options,
        )
        script.expect(
            ACK,
            code,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block2=(number, more, exponent),
            etag=etag or (... if code == CONTENT else None),
            observe=None,
            payload=payload,
        )


def upload(
    script: Script,
    start: int,
    exponent: int,
    body: bytes,
    method: Code,
    name: str = "U",
    **options: Any,
) -> None:
    """Send a body from a place in bytes onwards, all but its last block."""
    for number, more, payload in numbers(start, exponent, body)[:-1]:
        script.send(
            CON,
            method,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block1=(number, more, exponent),
            payload=payload,
            **options,
        )
        script.expect(
            ACK,
            CONTINUE,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block1=(number, True, exponent),
            payload=b"",
        )


def last(exponent: int, body: bytes) -> dict[str, Any]:
    """Return Block1 and payload of the last block."""
    number, more, payload = numbers(0, exponent, body)[-1]
    return {"block1": (number, more, exponent), "payload": payload}


# The server's script answers block after block


def provide(
    script: Script,
    start: int,
    exponent: int,
    body: bytes,
    method: Code = GET,
    code: Code = CONTENT,
    name: str = "D",
    etag: bytes | None = None,
    **options: Any,
) -> None:
    """Be asked for a body from a place in bytes onwards."""
    for number, more, payload in numbers(start, exponent, body):
        script.expect(
            CON,
            method,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block2=(number, False, exponent),
            block1=None,
            payload=b"",
            **options,
        )
        script.send(
            ACK,
            code,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block2=(number, more, exponent),
            etag=etag,
            payload=payload,
        )


def take(
    script: Script,
    start: int,
    exponent: int,
    body: bytes,
    method: Code,
    code: Code = CONTINUE,
    name: str = "U",
    **options: Any,
) -> None:
    """Get a body from a place in bytes onwards, all but its last block."""
    for number, more, payload in numbers(start, exponent, body)[:-1]:
        script.expect(
            CON,
            method,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block1=(number, more, exponent),
            block2=None,
            payload=payload,
            **options,
        )
        script.send(
            ACK,
            code,
            mid=f"{name}{number}",
            token=f"{name}{number}",
            block1=(number, code == CONTINUE, exponent),
        )

"""Datagrams of all kinds: valid ones, odd ones, and what damage makes of both."""

from __future__ import annotations

import random

from aiocoap import GET, PUT, Message
from tests.fuzz.targets import mutate

PATHS = (*(b"p", b"l", b"s", b"b", b"o", b"q") * 3, b"x", b".well-known", b"", b"..", b"\xff")
METHODS = (1, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7)
CODES = (0, 0, 8, 31, 65, 67, 68, 69, 69, 95, 128, 129, 132, 136, 141, 160, 192, 225, 255)
OPTIONS = (*(1, 4, 5, 12, 15, 17) * 2, *(6, 23, 27) * 6, 8, 14, 16, 20, 28, 60, 252, 258, 292)
RARE_OPTIONS = (3, 7, 9, 11, 13, 19, 21, 31, 35, 39, 2048, 2049, 65000, 65535)


def valid() -> list[bytes]:
    """Return valid datagrams, of each kind one or two."""
    found = []
    for path in "plsboq":
        for mtype in (0, 1):
            for number, options in enumerate((
                {}, {"observe": 0}, {"observe": 1}, {"block2": (0, False, 2)},
                {"block2": (3, False, 6)}, {"accept": 50}, {"no_response": 26},
                {"if_match": [b"x"]}, {"uri_query": ["a=b"]}, {"etags": [b"12345678"]},
                {"proxy_scheme": "coap"}, {"size2": 0}, {"echo": b"12345678"},
            )):  # fmt: skip
                message = Message(mtype=mtype, mid=number, code=GET, uri_path=[path], **options)
                message.token = b"tok%d" % number
                found.append(message.encode())
            for num, more in ((0, True), (1, True), (2, False)):
                message = Message(
                    mtype=mtype, mid=100 + num, code=PUT, uri_path=[path], payload=b"x" * 64,
                    block1=(num, more, 2), size1=192, request_tag=[b"t"],
                )  # fmt: skip
                found.append(message.encode())
    found += [
        b"\x60\x00\x00\x01",
        b"\x70\x00\x00\x01",
        b"\x40\x00\x00\x01",
        b"\x50\x45\x00\x01\xff1",
    ]
    return found


def uint(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def value(number: int, dice: random.Random) -> bytes:
    """Return a value for an option, such as it often has."""
    if dice.random() < 0.04:
        return dice.randbytes(dice.choice((0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 40, 255, 256, 300)))
    if number in (23, 27, 19, 31):
        # Mostly the next or the last of a few blocks.
        block = dice.choice((0, 0, 0, 1, 1, 2, 3, 7, 100, (1 << 20) - 1))
        return uint(block << 4 | dice.choice((0, 0, 8)) | dice.choice((0, 2, 2, 2, 6, 7)))
    if number == 11:
        return dice.choice(PATHS)
    if number == 6:
        return uint(dice.choice((0, 0, 0, 1, 2, 77, 1 << 23)))
    if number in (7, 12, 14, 16, 17, 28, 60, 258):
        return uint(dice.choice((0, 2, 26, 40, 50, 64, 255, 65000, (1 << 32) - 1)))
    if number in (3, 13, 35, 39):
        return dice.choice((b"coap", b"localhost", b"coap://[::1]/a", b"coaps://h:1", b"%", b"["))
    if number in (1, 4, 252, 292):
        return dice.choice((b"", b"x", b"12345678", dice.randbytes(8)))
    if number == 15:
        return dice.choice((b"a=b", b"rt=x", b"href=/p*", b"", b"&", b"rt=\xff"))
    return dice.randbytes(dice.randint(0, 3))


def encoded(options: list[tuple[int, bytes]]) -> bytes:
    """Write options as they are; nobody minds if they make no sense."""
    out, last = bytearray(), 0
    for number, content in sorted(options, key=lambda option: option[0]):
        nibbles, extended = [], b""
        for amount in (number - last, len(content)):
            if amount < 13:
                nibbles.append(amount)
            elif amount < 269:
                nibbles.append(13)
                extended += bytes((amount - 13,))
            else:
                nibbles.append(14)
                extended += (amount - 269).to_bytes(2, "big")
        out += bytes((nibbles[0] << 4 | nibbles[1],)) + extended + content
        last = number
    return bytes(out)


def header(mtype: int, code: int, mid: int, token: bytes) -> bytes:
    return bytes((0x40 | mtype << 4 | len(token), code)) + mid.to_bytes(2, "big") + token


def odd(dice: random.Random) -> bytes:
    """Return a datagram that is well-formed, and mostly strange."""
    is_request = dice.random() < 0.9
    code = dice.choice(METHODS if is_request else CODES)
    mtype = dice.choice((0, 0, 1) if is_request else (0, 1, 2, 2, 3, 3))
    # Few IDs and tokens meet again, the others fill tables.
    mid = dice.choice((dice.randint(0, 40), dice.getrandbits(16)))
    token = dice.choice((b"", b"t", b"u", dice.randbytes(dice.randint(0, 8))))
    options = [(11, value(11, dice))] if is_request else []
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3, 6))):
        number = dice.choice(OPTIONS if dice.random() < 0.9 else RARE_OPTIONS)
        options.append((number, value(number, dice)))
    # Half of the blocks are whole ones, as they must be.
    payload = dice.choice((b"", b"", b"x" * 64, b"y" * 64, dice.randbytes(dice.randint(1, 200))))
    return (
        header(mtype, code, mid, token) + encoded(options) + (b"\xff" + payload if payload else b"")
    )


def damaged(dice: random.Random, seeds: list[bytes]) -> bytes:
    """Return a datagram that may be anything."""
    kind = dice.random()
    if kind < 0.5:
        return odd(dice)
    return mutate(odd(dice) if kind < 0.75 else dice.choice(seeds), seeds, dice)

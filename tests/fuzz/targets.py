"""What strangers' bytes reach first, a short function each; only the documented error may leave.

``mutations`` is where the bytes come from: valid ones, damaged by a seeded generator.  The same
functions fit a coverage-guided fuzzer: ``atheris.Setup(sys.argv, target)``.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator

from aiocoap import Message
from aiocoap.credentials import CredentialsLoadError, CredentialsMap
from aiocoap.error import Error, IncompleteUrlError, MalformedUrlError, UnparsableMessage
from aiocoap.options import Options
from aiocoap.optiontypes import decode_block, encode_block
from aiocoap.requesturi import decompose
from aiocoap.sansio.framing import FrameReader, decode_unframed, encode_frame, encode_unframed
from aiocoap.sansio.signaling import Signaling
from aiocoap.transports.resolution import split_destination
from aiocoap.util import cbordiag, linkformat, prettyprint


def message(data: bytes) -> None:
    """Any bytes are a message, or not; one that is can be looked at, encoded and decoded."""
    try:
        decoded = Message.decode(data)
    except UnparsableMessage:
        return
    repr(decoded)
    decoded.opt.unusable_critical()
    for name in dir(Options):
        if not name.startswith("_"):
            getattr(decoded.opt, name)
    again = Message.decode(decoded.encode())
    assert again.encode() == decoded.encode()
    assert again.opt == decoded.opt
    decoded.get_cache_key()


def options(data: bytes) -> None:
    """Options stay as they were where the bytes are none."""
    opt = Options()
    try:
        payload = opt.decode(data)
    except UnparsableMessage:
        assert len(opt) == 0
        return
    again = Options()
    rest = again.decode(opt.encode() + (b"\xff" + payload if payload else b""))
    assert (rest, again) == (payload, opt)
    for option in opt.option_list():
        # A block option of more than three bytes has a value that can not be written.
        with contextlib.suppress(ValueError):
            assert isinstance(option.encode(), bytes)


def block_value(data: bytes) -> None:
    """Values of up to three bytes are all meaningful."""
    value = decode_block(data[:3])
    assert decode_block(encode_block(value)) == value
    for exponent in range(8):
        assert value.reduced_to(exponent).size_exponent <= max(exponent, 0) or exponent > 7


def uri(data: bytes) -> None:
    """A text is a URI that can be requested, or the error says what is wrong with it."""
    with contextlib.suppress(MalformedUrlError, IncompleteUrlError):
        parts = decompose(data.decode("utf-8", "replace"))
        assert not {".", ".."} & set(parts.uri_path)


def link_format(data: bytes) -> None:
    """What is no link-format is a ValueError; what is can be written again."""
    try:
        links = linkformat.parse(data.decode("utf-8", "replace"))
    except ValueError:
        return
    written = None
    with contextlib.suppress(ValueError):
        written = str(links)
    if written is not None:
        assert str(linkformat.parse(written)) == written


def credentials(data: bytes) -> None:
    """A file is credentials, or the error says where it is not."""
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        return
    with contextlib.suppress(CredentialsLoadError):
        CredentialsMap().load_from_dict(read)


def cbor(data: bytes) -> None:
    """Payloads are shown, whatever they are."""
    with contextlib.suppress(ValueError):
        cbordiag.diagnose(data)
    for content_format in (0, 40, 50, 60, 110, 112, 257):
        response = Message(code=69, payload=data, content_format=content_format)
        infos, _, text = prettyprint.pretty_print(response)
        assert isinstance(text, str)
        assert all(isinstance(info, str) for info in infos)


def framing(data: bytes) -> None:
    """A stream is messages up to a fault, however it is cut, and keeps no more than it may."""
    limit = 1024
    whole = FrameReader(limit)
    messages = whole.feed(data)
    bits = FrameReader(limit)
    found = []
    for start in range(0, len(data), 3):
        found += bits.feed(data[start : start + 3], most=1)
        assert bits.is_unfinished or bits.pending <= len(data)
    while bits.has_more:
        found += bits.feed(b"", most=2)
    assert [encode_frame(m) for m in found] == [encode_frame(m) for m in messages]
    assert (bits.fault is None) == (whole.fault is None)
    assert bits.pending == whole.pending < limit
    for message in messages:
        assert whole.feed(b"") == []
        again = decode_unframed(encode_unframed(message))
        assert encode_frame(again) == encode_frame(message)
    with contextlib.suppress(UnparsableMessage):
        decode_unframed(data)


def signaling(data: bytes) -> None:
    """Whatever a peer says of the connection: a way to go on, or a reason that can be logged."""
    state = Signaling(65536)
    for message in FrameReader(4096).feed(data):
        was_open = state.is_open
        if was_open and 0 < message.code < 32:
            state.begin(message.token)
            continue
        reaction = state.take(message)
        assert was_open or message.code in (0, 225) or reaction.end is not None
        if reaction.reply is not None:
            encode_frame(reaction.reply)
        if reaction.end is not None:
            assert reaction.end.isprintable()
            assert len(reaction.end) < 400
            break
        assert 16 <= state.payload_size <= 65536
    if state.release is not None:
        for text in state.release.alternatives:
            with contextlib.suppress(Error):
                split_destination(text, 5683)
    for token in sorted(state.in_work):
        for pong in state.finish(token) or ():
            encode_frame(pong)
    assert state.finish(b"") is None


GET = bytes.fromhex("44011234746f6b65b574656d7076a16101")
SEEDS: dict[str, list[bytes]] = {
    "message": [
        GET,
        bytes.fromhex("4400"),
        bytes.fromhex("60450001c0ff68656c6c6f"),
        bytes.fromhex("440212350a0b0c0d3b6578616d706c652e6e6574476d6574686f64734164c2ff01020304"),
        bytes.fromhex("4d0100010001020304050607080910111213b161e1fe8061d13e02e200ff"),
        bytes.fromhex("50030001b16160d10b0ae00a00ff") + bytes(64),
    ],
    "framing": [
        bytes.fromhex("00e10101aab174d10c02bb" + "ff" + "00" * 24 + "0000"),
        bytes.fromhex("e0000002ff" + "55" * 268 + "0d010001020304050607080910111213"),
        bytes.fromhex("f00000000145ff"),
        bytes.fromhex("0f011001ff2001b574"),
    ],
    "signaling": [
        bytes.fromhex("30e122048010e12001e2aa11e2ab200101bb11e2ac2000e3"),
        bytes.fromhex("60e123010480200101aad001e42b" + b"a.example:1".hex()),
        bytes.fromhex("50e12204802090e52101ff") + b"reason",
        bytes.fromhex("00e120e43130"),
    ],
    "options": [bytes.fromhex("b574656d707604c0d1f510e00100ff31"), bytes.fromhex("3161423132ff00")],
    "block_value": [b"", b"\x06", b"\xff\xff\xff", b"\x12\x3e"],
    "uri": [
        b"coap://[2001:db8::1]:61616/a%20b//?c=%26&d",
        b"coaps+tcp://user@host/%2e%2E/..;x#f",
        "coap://müller.example/ü".encode(),
    ],
    "link_format": [
        b'</a>;rt="x y";if="s";ct=40,</b>;title="a \\"b\\"";sz=12;obs,<coap://h/>;anchor="/x"',
    ],
    "credentials": [
        b'{"coap://h/*": {"dtls": {"psk": {"hex": "0102"}, "client-identity": {"ascii": "me"}}}}',
        b'{":me": {"oscore": {"contextfile": "/nowhere"}}, "*": ":me"}',
        b'{"coaps+tcp://h": {"tlscert": {"certfile": "x"}}, "a": {"any-of": [":me", 1]}}',
    ],
    "cbor": [
        bytes.fromhex("a26161820102616244deadbeef"),
        bytes.fromhex("9f01fb3ff199999999999af97e00c11a514b67b0d818456449455446ff"),
        b'[{"n": "a", "v": 1.5}]',
    ],
}
TARGETS = {
    target.__name__: target
    for target in (
        *(message, framing, signaling, options, block_value),
        *(uri, link_format, credentials, cbor),
    )
}


def mutate(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """Damage some bytes: flip, cut, insert, repeat, splice, or replace by what is often wrong."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        kind = dice.randrange(7)
        place = dice.randint(0, len(out))
        if kind == 0 and out:
            out[place % len(out)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del out[place:]
        elif kind == 2:
            out[place:place] = dice.randbytes(dice.randint(1, 8))
        elif kind == 3:
            out[place:place] = out[place : place + dice.randint(1, 16)] * dice.randint(1, 3)
        elif kind == 4:
            other = dice.choice(others)
            out[place:] = other[dice.randint(0, len(other)) :]
        elif kind == 5 and out:
            out[place % len(out)] = dice.choice((0, 1, 0x7F, 0x80, 0xD0, 0xE0, 0xF0, 0xFF))
        else:
            del out[place : place + dice.randint(1, 8)]
    return bytes(out[:4096])


def mutations(seeds: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield the seeds, and what becomes of them."""
    dice = random.Random(seed)
    yield from seeds
    pool = list(seeds)
    for _ in range(count):
        data = mutate(dice.choice(pool), seeds, dice)
        if len(pool) < 256 and dice.random() < 0.05:
            pool.append(data)
        yield data

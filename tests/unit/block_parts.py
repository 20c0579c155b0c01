"""What the tests of both sides of blockwise transfers are made of."""

from __future__ import annotations

from typing import Any

from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.message import Message
from aiocoap.numbers.codes import Code

BODY = bytes(index % 251 for index in range(5000))
NEW = BODY[::-1]
PEER = UndecidedRemote("coap", "peer")


class BertPeer(EndpointAddress):
    maximum_block_size_exp = 7
    maximum_payload_size = 4096
    may_send_bert = True
    is_multicast = False


class Group(EndpointAddress):
    is_multicast = True


BERT_PEER = BertPeer()


def request(code: Code = Code.PUT, payload: bytes = b"", **options: Any) -> Message:
    message = Message(code=code, payload=payload, uri_path=("a",), **options)
    message.remote = PEER
    return message


def response(code: Code = Code.CONTENT, payload: bytes = b"", **options: Any) -> Message:
    message = Message(code=code, payload=payload, **options)
    message.remote = PEER
    return message


def block1(message: Message) -> tuple[int, bool, int]:
    block = message.opt.block1
    assert block is not None
    return (block.block_number, block.more, block.size_exponent)


def block2(message: Message) -> tuple[int, bool, int]:
    block = message.opt.block2
    assert block is not None
    return (block.block_number, block.more, block.size_exponent)


def get(**options: Any) -> Message:
    return request(Code.GET, **options)


class Counted(bytes):
    """Bytes that count how many of them are looked at."""

    touched = 0

    def __getitem__(self, index: Any) -> Any:
        part = bytes(self)[index]
        Counted.touched += len(part)
        return part


class CountedArray(bytearray):
    """An array that counts what is appended to it, and what is looked at."""

    touched = 0

    def __iadd__(self, other: Any) -> Any:
        CountedArray.touched += len(other)
        return super().__iadd__(other)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        CountedArray.touched += len(part)
        return part

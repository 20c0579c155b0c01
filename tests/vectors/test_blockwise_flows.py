"""The message flows in figures of RFC 7959 and RFC 8323, played from both sides.

Each figure is a script.  As the client, :class:`Block1Upload` and :class:`Block2Download` have to
send its requests, given its responses; as the server, :class:`Uploads` and :class:`Bodies` have
to send its responses, given its requests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.sansio.blockwise import (
    Block1Upload,
    Block2Download,
    Bodies,
    Uploads,
    needs_upload,
    transfer_key,
    wants_download,
)

VECTORS = json.loads(Path(__file__).with_name("coap-messages.json").read_text("utf-8"))
FLOWS: dict[str, dict[str, Any]] = {
    flow["name"]: flow for flow in VECTORS["blockwise_flows"]["flows"]
}

# The figures that the vectors leave out. Lost messages (figures 5 and 6) are sent again by the
# message layer, so what is decided here is that of figure 4; 6 is played with the request
# arriving twice, as it would without deduplication.
FLOWS["early-negotiation-fig3"] = {
    "source": "RFC 7959 Figure 3",
    "body_size_range": [321, 384],
    "steps": [["C", "GET /status 2:0/0/64"], ["S", "2.05 2:0/1/64"]]
    + [
        step
        for number in range(1, 6)
        for step in (
            ["C", f"GET /status 2:{number}/0/64"],
            ["S", f"2.05 2:{number}/{int(number < 5)}/64"],
        )
    ],
}
FLOWS["lost-con-fig5"] = FLOWS["late-negotiation-fig4"]
FLOWS["lost-ack-fig6"] = {
    "source": "RFC 7959 Figure 6",
    "body_size_range": [321, 384],
    "steps": [
        step
        for step in FLOWS["late-negotiation-fig4"]["steps"]
        for _ in range(2 if "2:2/" in step[1] else 1)
    ],
}
_LOST = FLOWS["lost-ack-fig6"]["steps"]
# Each request with its response, one after the other.
_LOST[2:6] = [_LOST[2], _LOST[4], _LOST[3], _LOST[5]]
FLOWS["observe-fig12"] = {
    "source": "RFC 7959 Figure 12",
    "body_size_range": [309, 309],
    "etag": "6f00f392",
    "observe": 62354,
    "steps": [
        ["S", "2.05 2:0/1/128"],
        ["C", "GET /status-icon 2:1/0/128"],
        ["S", "2.05 2:1/1/128"],
        ["C", "GET /status-icon 2:2/0/128"],
        ["S", "2.05 2:2/0/128"],
    ],
}
FLOWS["observe-early-negotiation-fig13"] = {
    "source": "RFC 7959 Figure 13",
    "body_size_range": [309, 309],
    "etag": "6f00f392",
    "observe": 62354,
    "hint": 2,
    "steps": [["S", "2.05 2:0/1/64"]]
    + [
        step
        for number in range(1, 5)
        for step in (
            ["C", f"GET /status-icon 2:{number}/0/64"],
            ["S", f"2.05 2:{number}/{int(number < 4)}/64"],
        )
    ],
}

CODES = {"2.04": Code.CHANGED, "2.05": Code.CONTENT, "2.31": Code.CONTINUE}
BLOCK = re.compile(r"([12]):(\d+)/([01])/(\w+)")


class Peer(EndpointAddress):
    """A peer that takes BERT, or one that does not."""

    def __init__(self, exponent: int, payload_size: int) -> None:
        self.maximum_block_size_exp = exponent
        self.maximum_payload_size = payload_size

    is_multicast = False
    is_multicast_locally = False


class Step(NamedTuple):
    """A line of a figure."""

    by: str
    code: Code
    path: tuple[str, ...]
    blocks: dict[int, tuple[int, bool, int]]


def read(step: list[str]) -> Step:
    by, text = step
    head, *rest = text.split(" ")
    blocks = {}
    for option, number, more, size in BLOCK.findall(text):
        exponent = 7 if size == "BERT" else int(size).bit_length() - 5
        blocks[int(option)] = (int(number), more == "1", exponent)
    code = CODES[head] if head in CODES else getattr(Code, head)
    path = tuple(rest[0].strip("/").split("/")) if by == "C" else ()
    return Step(by, code, path, blocks)


def seen(message: Message) -> dict[int, tuple[int, bool, int]]:
    """Return the block options of a message as in a figure."""
    blocks = {1: message.opt.block1, 2: message.opt.block2}
    return {option: tuple(block) for option, block in blocks.items() if block is not None}


def offset(block: tuple[int, bool, int]) -> int:
    return block[0] << min(block[2], 6) + 4


class Flow:
    """A figure with the bodies that are transferred in it."""

    def __init__(self, name: str) -> None:
        row = FLOWS[name]
        self.steps = [read(step) for step in row["steps"]]
        self.first = next(step for step in self.steps if step.by == "C")
        self.payload_sizes: list[int] = row.get("payload_sizes", [])
        self.peer = Peer(7 if self.payload_sizes else 6, max(self.payload_sizes or [1024]))
        size = row.get("body_size") or row.get("body_size_range", [0, 0])[1]
        data = bytes(index * 7 % 251 for index in range(max(size, 512)))
        uploads = [step for step in self.steps if 1 in step.blocks and step.by == "C"]
        downloads = [step for step in self.steps if 2 in step.blocks and step.by == "S"]
        # Where the vector gives no size, the last block is not quite full.
        self.upload = data[: size or 256 + 100] if uploads else b""
        last = downloads[-1].blocks[2] if downloads else None
        self.download = b""
        if last is not None:
            unit = 16 << min(last[2], 6)
            self.download = data[: size if size and not uploads else offset(last) + unit - 3]
        self.etag = bytes.fromhex(row.get("etag", "")) or None
        self.observe = row.get("observe")
        self.hint = row.get("hint")

    def request(self) -> Message:
        """Return the whole request, as an application makes it."""
        request = Message(
            code=self.first.code,
            payload=self.upload,
            uri_path=self.first.path,
        )
        request.remote = self.peer
        if self.observe is not None:
            request.opt.observe = 0
        asked = [step.blocks[2] for step in self.steps if step.by == "C" and 2 in step.blocks]
        if asked and asked[0][0] == 0:
            request.opt.block2 = asked[0]
        if self.hint is not None:
            request.opt.block2 = (0, False, self.hint)
        return request

    def response(self, step: Step, index: int = 0) -> Message:
        """Return a response of the figure, with its part of the body."""
        message = Message(code=step.code, etag=self.etag)
        if 1 in step.blocks:
            message.opt.block1 = step.blocks[1]
        if 2 in step.blocks:
            block = step.blocks[2]
            message.opt.block2 = block
            size = self.payload_sizes[index] if self.payload_sizes else 16 << block[2]
            message.payload = self.download[offset(block) : offset(block) + size]
        return message


def play_client(flow: Flow) -> Message:
    """Let the client's objects send the requests of a figure; return the final response."""
    request = flow.request()
    sizes = [step.blocks for step in flow.steps if step.by == "C"]
    exponent = next((blocks[1][2] for blocks in sizes if 1 in blocks), 6)
    payload_size = flow.payload_sizes[0] if flow.payload_sizes else 1024
    upload = download = final = None
    if needs_upload(request, exponent, payload_size):
        upload = Block1Upload(request, exponent, payload_size)
    sent = None
    responses = 0
    for step in flow.steps:
        assert final is None, "the transfer is over before the figure is"
        if step.by == "C":
            if upload is not None:
                sent = upload.next_request()
            elif download is not None:
                sent = download.next_request()
                assert sent.payload == b""
                assert sent.opt.observe is None
            else:
                sent = request
            assert (sent.code, sent.opt.uri_path) == (step.code, step.path)
            assert seen(sent) == step.blocks
            continue
        response = flow.response(step, responses)
        responses += 1
        if download is not None:
            final = download.feed(response)
            continue
        if upload is not None:
            response = upload.feed(response)  # type: ignore[assignment]
            if response is None:
                continue
            upload = None
        response.opt.observe = flow.observe
        if wants_download(request, response):
            asked = [s.blocks[2] for s in flow.steps if s.by == "C" and 2 in s.blocks]
            download = Block2Download(request, response, asked[-1][2], 1 << 20)
        else:
            final = response
    assert final is not None, "the figure is over before the transfer is"
    return final


# Figure 6 shows one exchange twice: there is nothing for a client to do about it. In figure 14
# of RFC 8323 the client changes the size of its messages, which ours does not do.
@pytest.mark.parametrize(
    "name", [name for name in FLOWS if name not in ("lost-ack-fig6", "bert-put-fig14")]
)
def test_client(name: str) -> None:
    flow = Flow(name)
    final = play_client(flow)
    assert final.code == flow.steps[-1].code
    assert final.payload == flow.download
    assert final.opt.block2 is None
    assert final.opt.observe == flow.observe
    assert final.opt.etag == flow.etag


def test_client_with_bert() -> None:
    # As in figure 14 of RFC 8323, but in messages of equal size.
    flow = Flow("bert-put-fig14")
    upload = Block1Upload(flow.request(), 7, 8192)
    body, numbers = b"", []
    for number in (0, 8, 16, 24):
        sent = upload.next_request()
        numbers.append(sent.opt.block1.block_number)  # type: ignore[union-attr]
        body += sent.payload
        code = Code.CHANGED if number == 24 else Code.CONTINUE
        response = Message(code=code, block1=(number, number < 24, 7))
        assert (upload.feed(response) is response) == (number == 24)
    assert numbers == [0, 8, 16, 24]
    assert body == flow.upload


def play_server(flow: Flow) -> bytes:
    """Let the server's objects send the responses of a figure; return the request's body."""
    uploads, bodies = Uploads(1 << 20, 100.0), Bodies(100.0)
    whole_body = b""
    requests = [step for step in flow.steps if step.by == "C"]
    responses = [step for step in flow.steps if step.by == "S"]
    if len(responses) > len(requests):
        # A notification: nothing asked for it.
        requests.insert(0, Step("C", flow.first.code, flow.first.path, {}))
    position = 0
    for index, (asked, answered) in enumerate(zip(requests, responses, strict=True)):
        request = flow.request()
        request.payload = b""
        request.opt.block2 = asked.blocks.get(2)
        if index == 0 and flow.hint is not None:
            request.opt.block2 = (0, False, flow.hint)
        request.opt.block1 = asked.blocks.get(1)
        payload_size = flow.payload_sizes[index] if flow.payload_sizes else 1024
        # What the server of the figure prefers shows in what it answers.
        exponent = max(block[2] for block in answered.blocks.values())
        key = transfer_key(request)
        response: Message | None = None
        whole: Message | None = request
        if 1 in asked.blocks:
            if not flow.payload_sizes:
                payload_size = 16 << asked.blocks[1][2]
            request.payload = flow.upload[position : position + payload_size]
            position += payload_size
            preferred = answered.blocks[1][2]
            whole, response = uploads.feed(key, request, preferred, 0.0)
        elif index:
            # A last message that is not full: the limit was the next multiple of 1024.
            limit = payload_size + -payload_size % 1024
            response = bodies.later(request, exponent, limit, 0.0)
            assert response is not None
            whole = None
        if whole is not None:
            whole_body = whole.payload
            made = Message(code=answered.code, payload=flow.download, etag=flow.etag)
            if flow.observe is not None:
                made.opt.observe = flow.observe
            response = bodies.first(key, whole, made, exponent, payload_size, 0.0)
            # The responder says so.
            response.opt.block1 = asked.blocks.get(1)
        assert response is not None
        assert (response.code, seen(response)) == (answered.code, answered.blocks)
        assert response.opt.observe == (flow.observe if index == 0 else None)
        if 2 in answered.blocks:
            start = offset(answered.blocks[2])
            size = payload_size if flow.payload_sizes else 16 << answered.blocks[2][2]
            assert response.payload == flow.download[start : start + size]
            assert response.opt.etag == flow.etag or flow.etag is None
        else:
            assert response.payload == b""
    return whole_body


# Figure 8 is a server that acts on each block: that is its resource's business.
@pytest.mark.parametrize("name", [name for name in FLOWS if name != "stateless-put-fig8"])
def test_server(name: str) -> None:
    flow = Flow(name)
    assert play_server(flow) == flow.upload

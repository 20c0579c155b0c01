"""What we send, as another decoder sees it: Wireshark's, on the command line."""

from __future__ import annotations

import asyncio
import random
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiocoap import CONTENT, FETCH, GET, PUT, Code, Context, Message, OptionNumber
from aiocoap.resource import ObservableResource, Resource, Site
from tests.interop.peers import needed

PORT = 5683
"""The one that Wireshark takes for CoAP; nothing is sent there."""

Datagram = tuple[int, int, bytes]
"""Source port, destination port, what is in it."""


def write_capture(path: Path, datagrams: Sequence[Datagram]) -> None:
    """Write datagrams as if they had been captured: raw IPv4, one a millisecond."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for number, (source, destination, data) in enumerate(datagrams):
            udp = struct.pack(">HHHH", source, destination, 8 + len(data), 0) + data
            header = (0x45, 0, 20 + len(udp), number & 0xFFFF, 0, 64, 17, 0)
            ip = struct.pack(">BBHHHBBH", *header) + bytes((127, 0, 0, 1)) * 2 + udp
            when = divmod(number * 1000, 1_000_000)
            file.write(struct.pack("<IIII", *when, len(ip), len(ip)) + ip)


def dissect(
    datagrams: Sequence[Datagram], fields: Sequence[str], place: Path
) -> list[dict[str, list[str]]]:
    """Return what Wireshark finds in the fields of each datagram."""
    tshark = shutil.which("tshark")
    needed("tshark", tshark is not None, "apt-get install tshark")
    assert tshark is not None
    write_capture(place / "capture.pcap", datagrams)
    command = [tshark, "-n", "-r", str(place / "capture.pcap"), "-T", "fields"]
    command += ["-E", "separator=/t", "-E", "aggregator=~"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        # Nothing of its user's configuration.
        env={"HOME": str(place), "PATH": "/usr/bin:/bin"},
        timeout=60,
        check=True,
        text=True,
    )
    rows = [line.split("\t") for line in done.stdout.split("\n")[:-1]]
    assert len(rows) == len(datagrams)
    return [
        {name: value.split("~") if value else [] for name, value in zip(fields, row, strict=True)}
        for row in rows
    ]


COMPLAINTS = ("_ws.malformed", "_ws.expert.message")


def numbers(dice: random.Random, bits: int) -> int:
    """Return a number of any length."""
    return dice.getrandbits(dice.randint(0, bits)) if bits else 0


def text(dice: random.Random, shortest: int, longest: int) -> str:
    # Wireshark writes nothing but ASCII in any environment.
    return "".join(dice.choices("abcXYZ019-._!$&'()*+,;=:@/?", k=dice.randint(shortest, longest)))


def block(dice: random.Random) -> tuple[int, bool, int]:
    return (numbers(dice, 20), dice.random() < 0.5, dice.randint(0, 6))


def a_message(dice: random.Random) -> Message:
    """Return a message with options that Wireshark knows."""
    options: dict[str, Any] = {
        "if_match": [dice.randbytes(dice.randint(1, 8)) for _ in range(dice.randint(1, 3))],
        "uri_host": text(dice, 1, 255),
        "etags": [dice.randbytes(dice.randint(1, 8)) for _ in range(dice.randint(1, 3))],
        "if_none_match": True,
        "observe": numbers(dice, 24),
        "uri_port": numbers(dice, 16),
        "location_path": [text(dice, 1, 20) for _ in range(dice.randint(1, 3))],
        "uri_path": [text(dice, 1, 255) for _ in range(dice.randint(1, 4))],
        # It looks into payloads of other formats, which are not what they say they are.
        "content_format": dice.choice((0, 42)),
        "max_age": numbers(dice, 32),
        "uri_query": [text(dice, 1, 255) for _ in range(dice.randint(1, 4))],
        "hop_limit": dice.randint(1, 255),
        "accept": dice.choice((0, 40, 41, 42, 47, 50, 60)),
        "location_query": [text(dice, 1, 20) for _ in range(dice.randint(1, 3))],
        "proxy_uri": text(dice, 1, 1034),
        "proxy_scheme": text(dice, 1, 255),
        "size1": numbers(dice, 32),
        # Its dissector ends the block transfers of a capture with every block.
        dice.choice(("block1", "block2")): block(dice),
    }
    chosen = dice.sample(sorted(options), dice.randint(0, 8))
    code = dice.choice((GET, PUT, FETCH, CONTENT, Code.BAD_REQUEST, Code.GATEWAY_TIMEOUT))
    message = Message(
        mtype=dice.randint(0, 1) if code < 32 else dice.randint(0, 2),
        mid=numbers(dice, 16),
        code=code,
        payload=dice.randbytes(dice.choice((0, 0, 1, 50))),
        **{name: options[name] for name in chosen},
    )
    message.token = dice.randbytes(dice.randint(0, 8))
    return message


def hexes(values: Sequence[bytes]) -> list[str]:
    return [value.hex() for value in values]


def decimals(*values: int | None) -> list[str]:
    return [str(int(value)) for value in values if value is not None]


def test_messages(tmp_path: Path) -> None:
    dice = random.Random(7252)
    sent = [a_message(dice) for _ in range(500)]
    fields = [f"coap.{name}" for name in ("version", "type", "code", "mid", "token")]
    fields += ["coap.opt.desc", "coap.payload_length", "coap.block_length", *COMPLAINTS]
    fields += [
        f"coap.opt.{name}"
        for name in (
            *("if_match", "uri_host", "etag", "uri_port", "location_path", "uri_path", "max_age"),
            *("uri_query", "hop_limit", "location_query", "proxy_uri", "proxy_scheme", "size1"),
            *("block_number", "block_mflag", "block_size"),
        )
    ]
    datagrams = [(40_000 + number, PORT, message.encode()) for number, message in enumerate(sent)]
    for message, seen in zip(sent, dissect(datagrams, fields, tmp_path), strict=True):
        opt = message.opt
        blocks = [found for found in (opt.block1, opt.block2) if found is not None]
        length = [str(len(message.payload))] if message.payload else []
        expected = {
            "coap.version": ["1"],
            "coap.type": decimals(message.mtype),
            "coap.code": decimals(message.code),
            "coap.mid": decimals(message.mid),
            "coap.token": [message.token.hex()] if message.token else [],
            "coap.opt.desc": [describe(option.number) for option in opt.option_list()],
            "coap.payload_length": [] if blocks else length,
            "coap.block_length": length if blocks else [],
            "_ws.malformed": [],
            "_ws.expert.message": [],
            "coap.opt.if_match": hexes(opt.if_match),
            "coap.opt.uri_host": [opt.uri_host] if opt.uri_host is not None else [],
            "coap.opt.etag": hexes(opt.etags),
            "coap.opt.uri_port": decimals(opt.uri_port),
            "coap.opt.location_path": list(opt.location_path),
            "coap.opt.uri_path": list(opt.uri_path),
            "coap.opt.max_age": decimals(opt.max_age),
            "coap.opt.uri_query": list(opt.uri_query),
            "coap.opt.hop_limit": decimals(opt.hop_limit),
            "coap.opt.location_query": list(opt.location_query),
            "coap.opt.proxy_uri": [opt.proxy_uri] if opt.proxy_uri is not None else [],
            "coap.opt.proxy_scheme": [opt.proxy_scheme] if opt.proxy_scheme is not None else [],
            "coap.opt.size1": decimals(opt.size1),
            "coap.opt.block_number": decimals(*(found.block_number for found in blocks)),
            "coap.opt.block_mflag": decimals(*(found.more for found in blocks)),
            "coap.opt.block_size": decimals(*(found.size_exponent for found in blocks)),
        }
        assert seen == expected


def describe(number: OptionNumber) -> str:
    """Return what Wireshark says of an option: its number, and what follows from that."""
    words = [
        f"Type {int(number)}",
        "Critical" if number.is_critical() else "Elective",
        "Unsafe" if number.is_unsafe() else "Safe",
    ]
    if not number.is_unsafe() and number.is_nocachekey():
        words.append("NoCacheKey")
    return ", ".join(words)


def test_it_would_complain(tmp_path: Path) -> None:
    bad = [bytes.fromhex("40010001f161"), bytes.fromhex("40010001b961"), bytes.fromhex("430100")]
    datagrams = [(40_000, PORT, data) for data in bad]
    for seen in dissect(datagrams, COMPLAINTS, tmp_path):
        assert seen["_ws.malformed"]


# A conversation, with what goes by written down


class Wire:
    """A relay between a client and a server that notes what passes.

    Args:
        server_port: Where the server is; in the notes it is at the well-known port.
    """

    class _Side(asyncio.DatagramProtocol):
        def __init__(self, wire: Wire, is_server_side: bool) -> None:
            self.wire = wire
            self.is_server_side = is_server_side
            self.transport: Any = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.wire.pass_on(data, addr, self.is_server_side)

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.noted: list[Datagram] = []
        self.client: Any = None

    async def __aenter__(self) -> Wire:
        loop = asyncio.get_running_loop()
        _, self.to_client = await loop.create_datagram_endpoint(
            lambda: Wire._Side(self, False), local_addr=("127.0.0.1", 0)
        )
        _, self.to_server = await loop.create_datagram_endpoint(
            lambda: Wire._Side(self, True), remote_addr=("127.0.0.1", self.server_port)
        )
        self.port = self.to_client.transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.to_client.transport.close()
        self.to_server.transport.close()

    def pass_on(self, data: bytes, addr: Any, is_server_side: bool) -> None:
        if is_server_side:
            self.noted.append((PORT, self.client[1], data))
            self.to_client.transport.sendto(data, self.client)
        else:
            self.client = addr
            self.noted.append((addr[1], PORT, data))
            self.to_server.transport.sendto(data)


class Body(ObservableResource):
    content = b"0123456789" * 500

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.content, content_format=42, max_age=5)

    async def render_put(self, request: Message) -> Message:
        self.content = request.payload
        self.updated_state()
        return Message()


class Slow(Resource):
    async def render_fetch(self, request: Message) -> Message:
        await asyncio.sleep(0.3)
        return Message(payload=request.payload, content_format=0)


async def test_a_conversation(tmp_path: Path) -> None:
    site = Site()
    site.add_resource(["body"], Body())
    site.add_resource(["slow", "one"], Slow())
    body = random.Random(7959).randbytes(3000)
    async with (
        await Context.create_server_context(site, ("127.0.0.1", 0)) as server,
        Wire(server.bound_addresses[0][1]) as wire,
        await Context.create_client_context() as client,
        asyncio.timeout(20),
    ):
        uri = f"coap://localhost:{wire.port}"

        async def ask(code: Code, path: str, payload: bytes = b"", **kwargs: Any) -> Message:
            request = Message(code=code, uri=uri + path, payload=payload, **kwargs)
            request.unresolved_remote = f"127.0.0.1:{wire.port}"
            return await client.request(request).response

        assert (await ask(GET, "/body")).payload == Body.content
        assert (await ask(PUT, "/body", body, block1=(0, False, 5))).code.is_successful()
        assert (await ask(GET, "/body", block2=(0, False, 4))).payload == body
        assert (await ask(FETCH, "/slow/one?a=b&c=d", b"what")).payload == b"what"
        assert (await ask(GET, "/nowhere", mtype=1)).code == Code.NOT_FOUND
        assert (await ask(FETCH, "/body", b"x")).code == Code.METHOD_NOT_ALLOWED
        observed = client.request(
            Message(code=GET, uri=f"coap://127.0.0.1:{wire.port}/body", observe=0)
        )
        await observed.response
        notified = aiter(observed.observation)
        assert (await ask(PUT, "/body", b"short")).code.is_successful()
        assert (await anext(notified)).payload == b"short"
        observed.observation.cancel()
        assert (await ask(PUT, "/body", b"shorter")).code.is_successful()
        assert (await ask(GET, "/body")).payload == b"shorter"
        noted = list(wire.noted)
    fields = [f"coap.{name}" for name in ("version", "type", "code", "mid", "token")]
    fields += ["coap.response_to", "coap.block.reassembled.length", "coap.block.error"]
    fields += ["coap.retransmitted", "coap.opt.uri_path_recon", "coap.opt.observe", *COMPLAINTS]
    seen = dissect(noted, fields, tmp_path)
    assert len(seen) > 40
    for row in seen:
        assert row["coap.version"] == ["1"]
        assert [row[name] for name in ("coap.retransmitted", "coap.block.error")] == [[], []]
        assert [row[name] for name in COMPLAINTS] == [[], []]
        # It has found the request of every piggybacked response.
        if row["coap.type"] == ["2"] and row["coap.code"] != ["0"]:
            assert row["coap.response_to"]
    lengths = {int(length) for row in seen for length in row["coap.block.reassembled.length"]}
    assert {3000, 5000} <= lengths
    # The response to the slow request comes by itself, and so does a notification.
    own = [row for row in seen if row["coap.type"] == ["0"] and row["coap.code"] == ["69"]]
    assert len(own) >= 2
    # The server was told of the end of the observation, so that nothing is to be rejected.
    asked = [row["coap.opt.observe"] for row in seen if row["coap.code"] == ["1"]]
    assert [observe for observe in asked if observe] == [["0"], ["1"]]
    assert not [row for row in seen if row["coap.type"] == ["3"]]
    paths = {path for row in seen for path in row["coap.opt.uri_path_recon"]}
    assert paths == {"/body"} | {
        f"coap://localhost/{path}" for path in ("body", "nowhere", "slow/one")
    }

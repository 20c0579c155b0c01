"""The sequence diagrams of RFC 7959 section 3, both roles, from application to datagrams.

In tests of the server, the script plays the client; in tests of the client, the server. Figure 1
is of a format. Blocks are written as in the figures, with exponents for sizes: 2:0/1/128 is
``block2=(0, True, S128)``.
"""

from __future__ import annotations

from typing import Any

from aiocoap import ACK, CHANGED, CON, CONTENT, CONTINUE, EMPTY, GET, POST, PUT, RST, Message
from aiocoap.resource import ObservableResource, Resource, Site
from tests.scripts.blocks import (
    S32,
    S64,
    S128,
    Blocks32,
    Blocks64,
    Blocks128,
    fetch,
    last,
    provide,
    take,
    upload,
)
from tests.scripts.site import Store, played

STATUS, OPTIONS, SOAP, ICON = ("status",), ("options",), ("soap",), ("status-icon",)
REQUEST_TIMEOUT = 3.0
"""Seconds in which a confirmable message is sent again: ACK_TIMEOUT times ACK_RANDOM_FACTOR."""

BODY = bytes(range(200)) + bytes(range(180))
"""Three blocks of 128 bytes, six of 64, twelve of 32; the last of them is smaller."""

SETTINGS = BODY[:210]
"""Two blocks of 128 bytes; in figure 9, one of these and three of 32."""

REPLY = bytes(range(255, 0, -1)) * 2
"""Four blocks of 128 bytes."""


class Soap(Resource):
    """What answers a body with another.

    Args:
        reply: The other.
    """

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self._reply = reply
        self.bodies: list[bytes] = []

    async def render_post(self, request: Message) -> Message:
        self.bodies.append(request.payload)
        return Message(code=CHANGED, payload=self._reply)


class InPlace(Resource):
    """What sees to blocks itself: it stores each where it belongs, and remembers nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.value = bytearray()

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render_put(self, request: Message) -> Message:
        block1 = request.opt.block1
        assert block1 is not None
        self.value[block1.start :] = request.payload
        return Message(code=CHANGED, block1=(block1.block_number, False, block1.size_exponent))


class Icon(ObservableResource):
    """What is observed, and too large for a message."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.etag = b"", b""

    def become(self, value: bytes, etag: str) -> None:
        """Look different."""
        self.value, self.etag = value, bytes.fromhex(etag)
        self.updated_state()

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.value, etag=self.etag)


def server(path: tuple[str, ...], resource: Resource) -> Site:
    """Return a site with one resource."""
    site = Site()
    site.add_resource(path, resource)
    return site


# Section 3.1: GET


def test_figure_2_client() -> None:
    """Simple block-wise GET."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/status")))
        script.expect(CON, GET, mid="1234", token="1", uri_path=STATUS, block2=None)
        script.send(ACK, CONTENT, mid="1234", token="1", block2=(0, True, S128), payload=BODY[:128])
        script.expect(CON, GET, mid="1235", token="2", uri_path=STATUS, block2=(1, False, S128))
        script.send(
            ACK, CONTENT, mid="1235", token="2", block2=(1, True, S128), payload=BODY[128:256]
        )
        script.expect(CON, GET, mid="1236", token="3", uri_path=STATUS, block2=(2, False, S128))
        script.send(
            ACK, CONTENT, mid="1236", token="3", block2=(2, False, S128), payload=BODY[256:]
        )
        assert script.result(request).payload == BODY


def test_figure_2_server() -> None:
    """Simple block-wise GET."""
    with played(server(STATUS, Store(BODY)), tuning=Blocks128) as script:
        script.send(CON, GET, mid=1234, token="1", uri_path=STATUS)
        script.expect(ACK, CONTENT, mid=1234, token="1", block2=(0, True, S128), payload=BODY[:128])
        script.send(CON, GET, mid=1235, token="2", uri_path=STATUS, block2=(1, False, S128))
        script.expect(
            ACK, CONTENT, mid=1235, token="2", block2=(1, True, S128), payload=BODY[128:256]
        )
        script.send(CON, GET, mid=1236, token="3", uri_path=STATUS, block2=(2, False, S128))
        script.expect(
            ACK, CONTENT, mid=1236, token="3", block2=(2, False, S128), payload=BODY[256:]
        )


def test_figure_3_client() -> None:
    """Block-wise GET with early negotiation."""
    with played() as script:
        request = script.request(
            Message(code=GET, uri=script.uri("/status"), block2=(0, False, S64))
        )
        provide(script, 0, S64, BODY, uri_path=STATUS)
        assert script.result(request).payload == BODY


def test_figure_3_server() -> None:
    """Block-wise GET with early negotiation."""
    with played(server(STATUS, Store(BODY))) as script:
        fetch(script, 0, S64, BODY, uri_path=STATUS)


def test_figure_4_client() -> None:
    """Block-wise GET with late negotiation: the first block is two of the others."""
    with played(tuning=Blocks64) as script:
        request = script.request(Message(code=GET, uri=script.uri("/status")))
        script.expect(CON, GET, mid="1234", token="1", uri_path=STATUS, block2=None)
        script.send(ACK, CONTENT, mid="1234", token="1", block2=(0, True, S128), payload=BODY[:128])
        provide(script, 128, S64, BODY, uri_path=STATUS)
        assert script.result(request).payload == BODY


def test_figure_4_server() -> None:
    """Block-wise GET with late negotiation."""
    with played(server(STATUS, Store(BODY)), tuning=Blocks128) as script:
        script.send(CON, GET, mid=1234, token="1", uri_path=STATUS)
        script.expect(ACK, CONTENT, mid=1234, token="1", block2=(0, True, S128), payload=BODY[:128])
        fetch(script, 128, S64, BODY, uri_path=STATUS)


def test_figure_5_client() -> None:
    """Block-wise GET with late negotiation and lost CON."""
    with played(tuning=Blocks64) as script:
        request = script.request(Message(code=GET, uri=script.uri("/status")))
        script.expect(CON, GET, mid="1234", token="1", uri_path=STATUS, block2=None)
        script.send(ACK, CONTENT, mid="1234", token="1", block2=(0, True, S128), payload=BODY[:128])
        lost = script.expect(
            CON, GET, mid="1235", token="2", uri_path=STATUS, block2=(2, False, S64)
        )
        again = script.expect_raw(lost.raw, within=REQUEST_TIMEOUT)
        assert 2 <= again.time - lost.time <= 3
        script.send(
            ACK, CONTENT, mid="1235", token="2", block2=(2, True, S64), payload=BODY[128:192]
        )
        provide(script, 192, S64, BODY, uri_path=STATUS)
        assert script.result(request).payload == BODY


def test_figure_5_server() -> None:
    """Block-wise GET with late negotiation and lost CON: a pause is all that is seen of it."""
    with played(server(STATUS, Store(BODY)), tuning=Blocks128) as script:
        script.send(CON, GET, mid=1234, token="1", uri_path=STATUS)
        script.expect(ACK, CONTENT, mid=1234, token="1", block2=(0, True, S128), payload=BODY[:128])
        script.quiet(REQUEST_TIMEOUT)
        fetch(script, 128, S64, BODY, uri_path=STATUS)


def test_figure_6_client() -> None:
    """Block-wise GET with late negotiation and lost ACK, which comes in the end."""
    with played(tuning=Blocks64) as script:
        request = script.request(Message(code=GET, uri=script.uri("/status")))
        script.expect(CON, GET, mid="1234", token="1", uri_path=STATUS, block2=None)
        script.send(ACK, CONTENT, mid="1234", token="1", block2=(0, True, S128), payload=BODY[:128])
        first = script.expect(
            CON, GET, mid="1235", token="2", uri_path=STATUS, block2=(2, False, S64)
        )
        script.expect_raw(first.raw, within=REQUEST_TIMEOUT)
        for _ in range(2):
            script.send(
                ACK, CONTENT, mid="1235", token="2", block2=(2, True, S64), payload=BODY[128:192]
            )
        provide(script, 192, S64, BODY, uri_path=STATUS)
        assert script.result(request).payload == BODY


def test_figure_6_server() -> None:
    """Block-wise GET with late negotiation and lost ACK."""
    with played(server(STATUS, Store(BODY)), tuning=Blocks128) as script:
        script.send(CON, GET, mid=1234, token="1", uri_path=STATUS)
        script.expect(ACK, CONTENT, mid=1234, token="1", block2=(0, True, S128), payload=BODY[:128])
        script.send(CON, GET, mid=1235, token="2", uri_path=STATUS, block2=(2, False, S64))
        lost = script.expect(
            ACK, CONTENT, mid=1235, token="2", block2=(2, True, S64), payload=BODY[128:192]
        )
        script.quiet(REQUEST_TIMEOUT)
        script.send(CON, GET, mid=1235, token="2", uri_path=STATUS, block2=(2, False, S64))
        script.expect_raw(lost.raw)
        fetch(script, 192, S64, BODY, uri_path=STATUS)


# Section 3.2: PUT


def test_figure_7_client() -> None:
    """Simple atomic block-wise PUT."""
    with played(tuning=Blocks128) as script:
        request = script.request(Message(code=PUT, uri=script.uri("/options"), payload=BODY))
        script.expect(
            CON,
            PUT,
            mid="1234",
            token="1",
            uri_path=OPTIONS,
            block1=(0, True, S128),
            payload=BODY[:128],
        )
        script.send(ACK, CONTINUE, mid="1234", token="1", block1=(0, True, S128))
        script.expect(
            CON,
            PUT,
            mid="1235",
            token="2",
            uri_path=OPTIONS,
            block1=(1, True, S128),
            payload=BODY[128:256],
        )
        script.send(ACK, CONTINUE, mid="1235", token="2", block1=(1, True, S128))
        script.expect(
            CON,
            PUT,
            mid="1236",
            token="3",
            uri_path=OPTIONS,
            block1=(2, False, S128),
            payload=BODY[256:],
        )
        script.send(ACK, CHANGED, mid="1236", token="3", block1=(2, False, S128))
        assert script.result(request).code == CHANGED


def test_figure_7_server() -> None:
    """Simple atomic block-wise PUT: what was there stays until the last block."""
    store = Store(b"as it was")
    with played(server(OPTIONS, store)) as script:
        upload(script, 0, S128, BODY, PUT, uri_path=OPTIONS)
        assert store.value == b"as it was"
        script.send(CON, PUT, mid=1236, token="3", uri_path=OPTIONS, **last(S128, BODY))
        script.expect(ACK, CHANGED, mid=1236, token="3", block1=(2, False, S128))
    assert store.value == BODY


def test_figure_8_client() -> None:
    """Simple stateless block-wise PUT."""
    with played(tuning=Blocks128) as script:
        request = script.request(Message(code=PUT, uri=script.uri("/options"), payload=BODY))
        take(script, 0, S128, BODY, PUT, CHANGED, uri_path=OPTIONS)
        script.expect(CON, PUT, mid="1236", token="3", uri_path=OPTIONS, **last(S128, BODY))
        script.send(ACK, CHANGED, mid="1236", token="3", block1=(2, False, S128))
        assert script.result(request).code == CHANGED


def test_figure_8_server() -> None:
    """Simple stateless block-wise PUT, of a resource that wants it that way."""
    store = InPlace()
    with played(server(OPTIONS, store)) as script:
        for number, more in enumerate((True, True, False)):
            payload = BODY[128 * number : 128 * number + 128]
            script.send(
                CON,
                PUT,
                mid=1234 + number,
                token="t",
                uri_path=OPTIONS,
                block1=(number, more, S128),
                payload=payload,
            )
            script.expect(ACK, CHANGED, mid=1234 + number, token="t", block1=(number, False, S128))
            assert store.value == BODY[: 128 * number + 128]


def test_figure_9_client() -> None:
    """Simple atomic block-wise PUT with negotiation."""
    with played(tuning=Blocks128) as script:
        request = script.request(Message(code=PUT, uri=script.uri("/options"), payload=SETTINGS))
        script.expect(
            CON,
            PUT,
            mid="1234",
            token="1",
            uri_path=OPTIONS,
            block1=(0, True, S128),
            payload=SETTINGS[:128],
        )
        script.send(ACK, CONTINUE, mid="1234", token="1", block1=(0, True, S32))
        take(script, 128, S32, SETTINGS, PUT, uri_path=OPTIONS)
        script.expect(CON, PUT, mid="1237", token="4", uri_path=OPTIONS, **last(S32, SETTINGS))
        script.send(ACK, CHANGED, mid="1237", token="4", block1=(6, False, S32))
        assert script.result(request).code == CHANGED


def test_figure_9_server() -> None:
    """Simple atomic block-wise PUT with negotiation."""
    store = Store(b"as it was")
    with played(server(OPTIONS, store), tuning=Blocks32) as script:
        script.send(
            CON,
            PUT,
            mid=1234,
            token="1",
            uri_path=OPTIONS,
            block1=(0, True, S128),
            payload=SETTINGS[:128],
        )
        script.expect(ACK, CONTINUE, mid=1234, token="1", block1=(0, True, S32))
        upload(script, 128, S32, SETTINGS, PUT, uri_path=OPTIONS)
        script.send(CON, PUT, mid=1237, token="4", uri_path=OPTIONS, **last(S32, SETTINGS))
        script.expect(ACK, CHANGED, mid=1237, token="4", block1=(6, False, S32))
    assert store.value == SETTINGS


# Section 3.3: POST with a block-wise response


def test_figure_10_client() -> None:
    """Atomic block-wise POST with block-wise response."""
    with played(tuning=Blocks128) as script:
        request = script.request(Message(code=POST, uri=script.uri("/soap"), payload=BODY))
        take(script, 0, S128, BODY, POST, uri_path=SOAP)
        script.expect(
            CON, POST, mid="1236", token="3", uri_path=SOAP, block2=None, **last(S128, BODY)
        )
        script.send(
            ACK,
            CHANGED,
            mid="1236",
            token="3",
            block2=(0, True, S128),
            block1=(2, False, S128),
            payload=REPLY[:128],
        )
        # "no payload for requests with Block2 with NUM != 0"
        provide(script, 128, S128, REPLY, POST, CHANGED, uri_path=SOAP)
        response = script.result(request)
        assert (response.code, response.payload) == (CHANGED, REPLY)


def test_figure_10_server() -> None:
    """Atomic block-wise POST with block-wise response: it is done once."""
    soap = Soap(REPLY)
    with played(server(SOAP, soap), tuning=Blocks128) as script:
        upload(script, 0, S128, BODY, POST, uri_path=SOAP)
        script.send(CON, POST, mid=1236, token="3", uri_path=SOAP, **last(S128, BODY))
        script.expect(
            ACK,
            CHANGED,
            mid=1236,
            token="3",
            block2=(0, True, S128),
            block1=(2, False, S128),
            payload=REPLY[:128],
        )
        fetch(script, 128, S128, REPLY, POST, CHANGED, uri_path=SOAP)
    assert soap.bodies == [BODY]


def test_figure_10_server_late_negotiation() -> None:
    """ "could also do late negotiation by requesting, e.g., 2:2/0/64"."""
    soap = Soap(REPLY)
    with played(server(SOAP, soap), tuning=Blocks128) as script:
        upload(script, 0, S128, BODY, POST, uri_path=SOAP)
        script.send(CON, POST, mid=1236, token="3", uri_path=SOAP, **last(S128, BODY))
        script.expect(ACK, CHANGED, mid=1236, block2=(0, True, S128), block1=(2, False, S128))
        fetch(script, 128, S64, REPLY, POST, CHANGED, uri_path=SOAP)
    assert soap.bodies == [BODY]


def test_figure_11_client() -> None:
    """Atomic block-wise POST with block-wise response, early negotiation in the last block."""
    reply = REPLY[:250]
    with played(tuning=Blocks128) as script:
        request = script.request(
            Message(code=POST, uri=script.uri("/soap"), block2=(0, False, S64), payload=BODY)
        )
        take(script, 0, S128, BODY, POST, uri_path=SOAP)
        script.expect(
            CON,
            POST,
            mid="1236",
            token="3",
            uri_path=SOAP,
            block2=(0, False, S64),
            **last(S128, BODY),
        )
        script.send(
            ACK,
            CHANGED,
            mid="1236",
            token="3",
            block1=(2, False, S128),
            block2=(0, True, S64),
            payload=reply[:64],
        )
        provide(script, 64, S64, reply, POST, CHANGED, uri_path=SOAP)
        response = script.result(request)
        assert (response.code, response.payload) == (CHANGED, reply)


def test_figure_11_server() -> None:
    """Atomic block-wise POST with block-wise response, early negotiation in the last block."""
    reply = REPLY[:250]
    soap = Soap(reply)
    with played(server(SOAP, soap)) as script:
        upload(script, 0, S128, BODY, POST, uri_path=SOAP)
        script.send(
            CON,
            POST,
            mid=1236,
            token="3",
            uri_path=SOAP,
            block2=(0, False, S64),
            **last(S128, BODY),
        )
        script.expect(
            ACK,
            CHANGED,
            mid=1236,
            token="3",
            block1=(2, False, S128),
            block2=(0, True, S64),
            payload=reply[:64],
        )
        fetch(script, 64, S64, reply, POST, CHANGED, uri_path=SOAP)
    assert soap.bodies == [BODY]


# Section 3.4: observations of what is large

OLD, NEW = REPLY[:310], BODY[:309]
"""Three blocks of 128 bytes or five of 64, the last of the new one with 53 bytes."""


def test_figure_12_client() -> None:
    """Observe sequence with block-wise response. Its Observe value is empty, for 0."""
    observed(S128)


def test_figure_13_client() -> None:
    """Observe sequence with early negotiation."""
    observed(S64, block2=(0, False, S64))


def observed(exponent: int, **hint: Any) -> None:
    """Observe as a client, with blocks of a size."""
    size = 16 << exponent
    old, new = bytes.fromhex("6f00f38e"), bytes.fromhex("6f00f392")
    with played() as script:
        uri = script.uri("/status-icon")
        request = script.request(Message(code=GET, uri=uri, observe=0, **hint))
        states: list[bytes] = []
        request.observation.register_callback(lambda response: states.append(response.payload))
        asked = {"block2": None, **hint}
        script.expect(CON, GET, mid="1636", token="fb", uri_path=ICON, observe=0, **asked)
        script.send(
            ACK,
            CONTENT,
            mid="1636",
            token="fb",
            block2=(0, True, exponent),
            observe=62350,
            etag=old,
            max_age=60,
            payload=OLD[:size],
        )
        provide(script, size, exponent, OLD, uri_path=ICON, observe=None, etag=old)
        assert script.result(request).payload == OLD
        assert states == []

        script.send(
            CON,
            CONTENT,
            mid=0xAF9C,
            token="fb",
            block2=(0, True, exponent),
            observe=62354,
            etag=new,
            payload=NEW[:size],
        )
        script.expect_raw(b"\x60\x00\xaf\x9c")
        provide(script, size, exponent, NEW, name="N", uri_path=ICON, observe=None, etag=new)
        script.clock.settle()
        assert states == [NEW]
        # "the requests for additional blocks cannot make use of the token of the Observation"
        tokens = {script.token(f"{name}{number}") for name in "DN" for number in (1, 2)}
        assert script.token("fb") not in tokens
        request.observation.cancel()
        script.expect(CON, GET, mid="end", token="fb", uri_path=ICON, observe=1, **asked)
        script.send(ACK, CONTENT, mid="end", token="fb", payload=b"nobody cares")


def test_figure_12_server() -> None:
    """Observe sequence with block-wise response. Its Observe value is empty, for 0."""
    observing(S128)


def test_figure_13_server() -> None:
    """Observe sequence with early negotiation."""
    observing(S64, block2=(0, False, S64))


def observing(exponent: int, **hint: Any) -> None:
    """Be observed as a server that prefers blocks of 128 bytes."""
    size = 16 << exponent
    icon = Icon()
    icon.become(OLD, "6f00f38e")
    with played(server(ICON, icon), tuning=Blocks128) as script:
        script.send(CON, GET, mid=0x1636, token=b"\xfb", uri_path=ICON, observe=0, **hint)
        first = script.expect(
            ACK,
            CONTENT,
            mid=0x1636,
            token=b"\xfb",
            block2=(0, True, exponent),
            observe=...,
            etag=icon.etag,
            payload=OLD[:size],
        )
        fetch(script, size, exponent, OLD, uri_path=ICON, etag=icon.etag)

        icon.become(NEW, "6f00f392")
        second = script.expect(
            CON,
            CONTENT,
            mid="af9c",
            token=b"\xfb",
            block2=(0, True, exponent),
            observe=...,
            etag=icon.etag,
            payload=NEW[:size],
        )
        assert first.opt.observe < second.opt.observe
        script.send(ACK, EMPTY, mid="af9c")
        fetch(script, size, exponent, NEW, name="N", uri_path=ICON, etag=icon.etag)

        # This ends what goes on and on in the figure.
        icon.become(b"", "00")
        script.expect(CON, CONTENT, mid="end", token=b"\xfb", block2=None, payload=b"")
        script.send(RST, EMPTY, mid="end")

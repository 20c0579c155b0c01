"""The cases TD_COAP_BLOCK of the ETSI CoAP#4 plugtest, both roles.

In tests of the server, the script plays the client; in tests of the client, the server. Blocks
are written as in RFC 7959: number, whether there are more, and the exponent of the size.
"""

from __future__ import annotations

from typing import Any

from aiocoap import (
    ACK,
    CHANGED,
    CON,
    CONTENT,
    CONTINUE,
    CREATED,
    GET,
    POST,
    PUT,
    Code,
    Message,
)
from tests.harness import Script
from tests.scripts.blocks import (
    S16,
    S32,
    S64,
    S128,
    S256,
    S1024,
    Blocks32,
    Blocks64,
    fetch,
    last,
    provide,
    take,
    upload,
)
from tests.scripts.site import LARGE, TEXT, played, plugtest_site

BODY = bytes(range(256)) * 2 + b"the rest"
"""What is uploaded: five blocks of 128 bytes, the last of which is of 8."""


# 01 Early negotiation


def test_TD_COAP_BLOCK_01_server() -> None:
    with played(plugtest_site()) as script:
        fetch(script, 0, S64, LARGE, uri_path=["large"])


def test_TD_COAP_BLOCK_01_server_smaller() -> None:
    """ "SZX is less than or equal to DES_SZX": here it is less."""
    with played(plugtest_site(), tuning=Blocks32) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=["large"], block2=(0, False, S1024))
        script.expect(ACK, CONTENT, mid="A", token="t", block2=(0, True, S32), payload=LARGE[:32])
        fetch(script, 32, S32, LARGE, uri_path=["large"])


def test_TD_COAP_BLOCK_01_client() -> None:
    with played() as script:
        request = script.request(
            Message(code=GET, uri=script.uri("/large"), block2=(0, False, S64))
        )
        provide(script, 0, S64, LARGE, uri_path=("large",))
        assert script.result(request).payload == LARGE


def test_TD_COAP_BLOCK_01_client_smaller() -> None:
    """ "SZX is less than or equal to DES_SZX": here it is less."""
    with played() as script:
        request = script.request(
            Message(code=GET, uri=script.uri("/large"), block2=(0, False, S64))
        )
        script.expect(CON, GET, mid="A", token="t", uri_path=("large",), block2=(0, False, S64))
        script.send(ACK, CONTENT, mid="A", token="t", block2=(0, True, S32), payload=LARGE[:32])
        provide(script, 32, S32, LARGE, uri_path=("large",))
        assert script.result(request).payload == LARGE


# 02 Late negotiation


def test_TD_COAP_BLOCK_02_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=["large"])
        script.expect(
            ACK, CONTENT, mid="A", token="t", block2=(0, True, S1024), payload=LARGE[:1024]
        )
        fetch(script, 1024, S256, LARGE, uri_path=["large"])


def test_TD_COAP_BLOCK_02_client() -> None:
    with played(tuning=Blocks64) as script:
        request = script.request(Message(code=GET, uri=script.uri("/large")))
        script.expect(CON, GET, mid="A", token="t", uri_path=("large",), block2=None)
        script.send(ACK, CONTENT, mid="A", token="t", block2=(0, True, S128), payload=LARGE[:128])
        # k is 2: the client has got two of its blocks at once.
        provide(script, 128, S64, LARGE, uri_path=("large",))
        assert script.result(request).payload == LARGE


def test_TD_COAP_BLOCK_02_client_same_size() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/large")))
        script.expect(CON, GET, mid="A", token="t", uri_path=("large",), block2=None)
        script.send(ACK, CONTENT, mid="A", token="t", block2=(0, True, S128), payload=LARGE[:128])
        provide(script, 128, S128, LARGE, uri_path=("large",))
        assert script.result(request).payload == LARGE


# 03 PUT


def test_TD_COAP_BLOCK_03_server() -> None:
    where: dict[str, Any] = {"uri_path": ["large-update"], "content_format": TEXT}
    with played(plugtest_site()) as script:
        upload(script, 0, S128, BODY, PUT, **where)
        script.send(CON, PUT, mid="Z", token="z", **last(S128, BODY), **where)
        script.expect(ACK, CHANGED, mid="Z", token="z", block1=(4, False, S128))
        # "Server indicates presence of the complete updated resource"
        script.send(CON, GET, mid="G", token="g", uri_path=["large-update"])
        script.expect(ACK, CONTENT, mid="G", token="g", block2=None, payload=BODY)


def test_TD_COAP_BLOCK_03_server_smaller() -> None:
    """The server decreases the size; what it got of larger blocks stays."""
    where: dict[str, Any] = {"uri_path": ["large-update"], "content_format": TEXT}
    with played(plugtest_site(), tuning=Blocks32) as script:
        script.send(
            CON, PUT, mid="A", token="t", block1=(0, True, S128), payload=BODY[:128], **where
        )
        script.expect(ACK, CONTINUE, mid="A", token="t", block1=(0, True, S32), payload=b"")
        upload(script, 128, S32, BODY, PUT, **where)
        script.send(CON, PUT, mid="Z", token="z", **last(S32, BODY), **where)
        script.expect(ACK, CHANGED, mid="Z", token="z", block1=(16, False, S32))
        fetch(script, 0, S32, BODY, uri_path=["large-update"])


def test_TD_COAP_BLOCK_03_client() -> None:
    where: dict[str, Any] = {"uri_path": ("large-update",), "content_format": TEXT}
    with played() as script:
        request = script.request(uploading(script, PUT, "/large-update"))
        take(script, 0, S128, BODY, PUT, **where)
        script.expect(CON, PUT, mid="Z", token="z", **last(S128, BODY), **where)
        script.send(ACK, CHANGED, mid="Z", token="z", block1=(4, False, S128))
        assert script.result(request).code == CHANGED


def uploading(script: Script, method: Code, path: str) -> Message:
    """Return the request of the clients below: blocks of 128 bytes are wanted."""
    return Message(
        code=method,
        uri=script.uri(path),
        content_format=TEXT,
        block1=(0, False, S128),
        payload=BODY,
    )


def test_TD_COAP_BLOCK_03_client_stateless() -> None:
    """The server answers 2.04 to each block: it has stored it."""
    where: dict[str, Any] = {"uri_path": ("large-update",), "content_format": TEXT}
    with played() as script:
        request = script.request(uploading(script, PUT, "/large-update"))
        take(script, 0, S128, BODY, PUT, CHANGED, **where)
        script.expect(CON, PUT, mid="Z", token="z", **last(S128, BODY), **where)
        script.send(ACK, CHANGED, mid="Z", token="z", block1=(4, False, S128))
        assert script.result(request).code == CHANGED


def test_TD_COAP_BLOCK_03_client_smaller() -> None:
    """ "2**(ACT_SZX – DES_SZX)" in the description has its sign wrong: the next block is 4."""
    where: dict[str, Any] = {"uri_path": ("large-update",), "content_format": TEXT}
    with played() as script:
        request = script.request(uploading(script, PUT, "/large-update"))
        script.expect(
            CON, PUT, mid="A", token="t", block1=(0, True, S128), payload=BODY[:128], **where
        )
        script.send(ACK, CONTINUE, mid="A", token="t", block1=(0, True, S32))
        take(script, 128, S32, BODY, PUT, **where)
        script.expect(CON, PUT, mid="Z", token="z", **last(S32, BODY), **where)
        script.send(ACK, CHANGED, mid="Z", token="z", block1=(16, False, S32))
        assert script.result(request).code == CHANGED


# 04 POST that creates


def test_TD_COAP_BLOCK_04_server() -> None:
    where: dict[str, Any] = {"uri_path": ["large-create"], "content_format": TEXT}
    with played(plugtest_site()) as script:
        upload(script, 0, S128, BODY, POST, **where)
        script.send(CON, POST, mid="Z", token="z", **last(S128, BODY), **where)
        created = script.expect(ACK, CREATED, mid="Z", token="z", block1=(4, False, S128))
        first, second = created.opt.location_path
        assert first == "large-create"
        assert second
        assert "/" not in second
        fetch(script, 0, S64, BODY, uri_path=created.opt.location_path)


def test_TD_COAP_BLOCK_04_client() -> None:
    where: dict[str, Any] = {"uri_path": ("large-create",), "content_format": TEXT}
    with played() as script:
        request = script.request(uploading(script, POST, "/large-create"))
        take(script, 0, S128, BODY, POST, **where)
        script.expect(CON, POST, mid="Z", token="z", **last(S128, BODY), **where)
        script.send(
            ACK,
            CREATED,
            mid="Z",
            token="z",
            block1=(4, False, S128),
            location_path=["large-create", "7"],
        )
        response = script.result(request)
        assert response.code == CREATED
        assert response.opt.location_path == ("large-create", "7")

        location = Message(code=GET, uri=script.uri(), block2=(0, False, S64))
        location.opt.uri_path = response.opt.location_path
        request = script.request(location)
        provide(script, 0, S64, BODY, uri_path=("large-create", "7"))
        assert script.result(request).payload == BODY


# 05 POST with a large response


def test_TD_COAP_BLOCK_05_server() -> None:
    where: dict[str, Any] = {"uri_path": ["large-post"], "content_format": TEXT}
    answer = BODY[::-1]
    with played(plugtest_site(), tuning=Blocks64) as script:
        upload(script, 0, S64, BODY, POST, **where)
        script.send(CON, POST, mid="Z", token="z", **last(S64, BODY), **where)
        script.expect(
            ACK,
            CHANGED,
            mid="Z",
            token="z",
            block1=(8, False, S64),
            block2=(0, True, S64),
            payload=answer[:64],
        )
        fetch(script, 64, S32, answer, POST, CHANGED, **where)


def test_TD_COAP_BLOCK_05_client() -> None:
    where: dict[str, Any] = {"uri_path": ("large-post",), "content_format": TEXT}
    answer = BODY[::-1]
    with played(tuning=Blocks64) as script:
        request = script.request(uploading(script, POST, "/large-post"))
        take(script, 0, S64, BODY, POST, **where)
        script.expect(CON, POST, mid="Z", token="z", **last(S64, BODY), **where)
        script.send(
            ACK,
            CHANGED,
            mid="Z",
            token="z",
            block1=(8, False, S64),
            block2=(0, True, S128),
            payload=answer[:128],
        )
        # k is 2 again.
        provide(script, 128, S64, answer, POST, CHANGED, **where)
        response = script.result(request)
        assert (response.code, response.payload) == (CHANGED, answer)


# 06 Early negotiation of the smallest blocks


def test_TD_COAP_BLOCK_06_server() -> None:
    with played(plugtest_site()) as script:
        fetch(script, 0, S16, LARGE, uri_path=["large"])


def test_TD_COAP_BLOCK_06_client() -> None:
    with played() as script:
        request = script.request(
            Message(code=GET, uri=script.uri("/large"), block2=(0, False, S16))
        )
        provide(script, 0, S16, LARGE, uri_path=("large",))
        assert script.result(request).payload == LARGE

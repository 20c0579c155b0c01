"""The cases TD_COAP_CORE of the ETSI CoAP#4 plugtest, both roles.

In tests of the server, the script plays the client; in tests of the client, the server. Names of
Message IDs and tokens are those of the test descriptions. What "the client displays" is what the
application gets.

Where the descriptions, which were written against drafts, say something else than RFC 7252, the
RFC is followed, and the test says so. Roles that the library does not take:

- ``TD_COAP_CORE_12`` as a client: its tokens are never empty, which the description allows for
  ("Not all clients may be able to send a zero-length Token").
"""

from __future__ import annotations

from typing import Any

from aiocoap import (
    ACK,
    CHANGED,
    CON,
    CONTENT,
    CREATED,
    DELETE,
    DELETED,
    EMPTY,
    GET,
    NON,
    POST,
    PRECONDITION_FAILED,
    PUT,
    RST,
    VALID,
    Message,
)
from tests.harness import Address
from tests.scripts.site import LOCATION, TEXT, WHILE, XML, played, plugtest_site

REQUEST_TIMEOUT = 3.0
"""Seconds in which a confirmable message is sent again: ACK_TIMEOUT times ACK_RANDOM_FACTOR."""


# GET, DELETE, PUT and POST, confirmable (01-04) and non-confirmable (05-08)


def test_TD_COAP_CORE_01_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["test"])
        script.expect(
            ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"tested"
        )


def test_TD_COAP_CORE_01_client() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/test")))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("test",), payload=b"")
        script.send(
            ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"received"
        )
        response = script.result(request)
        assert (response.code, response.payload) == (CONTENT, b"received")
        assert response.opt.content_format == TEXT


def test_TD_COAP_CORE_02_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, DELETE, mid="CMID", token="CTOK", uri_path=["test"])
        script.expect(ACK, DELETED, mid="CMID", token="CTOK", content_format=None, payload=b"")


def test_TD_COAP_CORE_02_client() -> None:
    with played() as script:
        request = script.request(Message(code=DELETE, uri=script.uri("/test")))
        script.expect(CON, DELETE, mid="CMID", token="CTOK", uri_path=("test",))
        script.send(ACK, DELETED, mid="CMID", token="CTOK")
        assert script.result(request).code == DELETED


def test_TD_COAP_CORE_03_server() -> None:
    site = plugtest_site()
    with played(site) as script:
        script.send(
            CON,
            PUT,
            mid="CMID",
            token="CTOK",
            uri_path=["test"],
            content_format=TEXT,
            payload=b"put there",
        )
        # The server displays received information: that is what is there now.
        script.expect(ACK, CHANGED, mid="CMID", token="CTOK", content_format=None, payload=b"")
        script.send(CON, GET, mid="CMID2", token="CTOK", uri_path=["test"])
        script.expect(ACK, CONTENT, mid="CMID2", content_format=TEXT, payload=b"put there")


def test_TD_COAP_CORE_03_client() -> None:
    with played() as script:
        request = script.request(
            Message(code=PUT, uri=script.uri("/test"), content_format=TEXT, payload=b"put there")
        )
        script.expect(
            CON,
            PUT,
            mid="CMID",
            token="CTOK",
            uri_path=("test",),
            content_format=TEXT,
            payload=b"put there",
        )
        script.send(ACK, CREATED, mid="CMID", token="CTOK")
        assert script.result(request).code == CREATED


def test_TD_COAP_CORE_04_server() -> None:
    with played(plugtest_site()) as script:
        script.send(
            CON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=["test"],
            content_format=TEXT,
            payload=b"posted",
        )
        script.expect(ACK, CREATED, mid="CMID", token="CTOK", location_path=LOCATION, payload=b"")
        script.send(CON, GET, mid="CMID2", token="CTOK", uri_path=LOCATION)
        script.expect(ACK, CONTENT, mid="CMID2", payload=b"posted")


def test_TD_COAP_CORE_04_client() -> None:
    with played() as script:
        request = script.request(
            Message(code=POST, uri=script.uri("/test"), content_format=TEXT, payload=b"posted")
        )
        script.expect(
            CON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=("test",),
            content_format=TEXT,
            payload=b"posted",
        )
        script.send(ACK, CHANGED, mid="CMID", token="CTOK", content_format=TEXT, payload=b"done")
        response = script.result(request)
        assert (response.code, response.payload) == (CHANGED, b"done")


def test_TD_COAP_CORE_05_server() -> None:
    with played(plugtest_site()) as script:
        script.send(NON, GET, mid="CMID", token="CTOK", uri_path=["test"])
        script.expect(
            NON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"tested"
        )


def test_TD_COAP_CORE_05_client() -> None:
    with played() as script:
        request = script.request(Message(mtype=NON, code=GET, uri=script.uri("/test")))
        script.expect(NON, GET, mid="CMID", token="CTOK", uri_path=("test",))
        script.send(
            NON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"received"
        )
        assert script.result(request).payload == b"received"


def test_TD_COAP_CORE_06_server() -> None:
    with played(plugtest_site()) as script:
        script.send(NON, DELETE, mid="CMID", token="CTOK", uri_path=["test"])
        script.expect(NON, DELETED, mid="SMID", token="CTOK", content_format=None, payload=b"")


def test_TD_COAP_CORE_06_client() -> None:
    with played() as script:
        request = script.request(Message(mtype=NON, code=DELETE, uri=script.uri("/test")))
        script.expect(NON, DELETE, mid="CMID", token="CTOK", uri_path=("test",))
        script.send(NON, DELETED, mid="SMID", token="CTOK")
        assert script.result(request).code == DELETED


def test_TD_COAP_CORE_07_server() -> None:
    with played(plugtest_site()) as script:
        script.send(
            NON,
            PUT,
            mid="CMID",
            token="CTOK",
            uri_path=["test"],
            content_format=TEXT,
            payload=b"put there",
        )
        script.expect(NON, CHANGED, mid="SMID", token="CTOK", content_format=None, payload=b"")
        script.send(NON, GET, mid="CMID2", token="CTOK", uri_path=["test"])
        script.expect(NON, CONTENT, mid="SMID2", content_format=TEXT, payload=b"put there")


def test_TD_COAP_CORE_07_client() -> None:
    with played() as script:
        request = script.request(
            Message(
                mtype=NON,
                code=PUT,
                uri=script.uri("/test"),
                content_format=TEXT,
                payload=b"put there",
            )
        )
        script.expect(
            NON,
            PUT,
            mid="CMID",
            token="CTOK",
            uri_path=("test",),
            content_format=TEXT,
            payload=b"put there",
        )
        script.send(NON, CHANGED, mid="SMID", token="CTOK")
        assert script.result(request).code == CHANGED


def test_TD_COAP_CORE_08_server() -> None:
    with played(plugtest_site()) as script:
        script.send(
            NON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=["test"],
            content_format=TEXT,
            payload=b"posted",
        )
        script.expect(NON, CREATED, mid="SMID", token="CTOK", location_path=LOCATION, payload=b"")
        script.send(NON, GET, mid="CMID2", token="CTOK", uri_path=LOCATION)
        script.expect(NON, CONTENT, mid="SMID2", payload=b"posted")


def test_TD_COAP_CORE_08_client() -> None:
    with played() as script:
        request = script.request(
            Message(
                mtype=NON,
                code=POST,
                uri=script.uri("/test"),
                content_format=TEXT,
                payload=b"posted",
            )
        )
        script.expect(
            NON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=("test",),
            content_format=TEXT,
            payload=b"posted",
        )
        script.send(NON, CREATED, mid="SMID", token="CTOK", location_path=["made"])
        response = script.result(request)
        assert response.code == CREATED
        assert response.opt.location_path == ("made",)


# Separate responses, and tokens


def test_TD_COAP_CORE_09_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["separate"])
        script.expect(ACK, EMPTY, mid="CMID", token=b"", payload=b"")
        script.expect(
            CON,
            CONTENT,
            mid="SMID",
            token="CTOK",
            content_format=TEXT,
            payload=b"it took a while",
            within=WHILE,
        )
        script.send(ACK, EMPTY, mid="SMID")


def test_TD_COAP_CORE_09_client() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        script.send(ACK, EMPTY, mid="CMID")
        script.quiet(WHILE)
        script.send(CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"late")
        script.expect(ACK, EMPTY, mid="SMID", token=b"", payload=b"")
        assert script.result(request).payload == b"late"


def test_TD_COAP_CORE_09_client_out_of_order() -> None:
    """The note: "Steps 3 and 4 may occur out-of-order"."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        script.send(CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"early")
        script.expect(ACK, EMPTY, mid="SMID", token=b"", payload=b"")
        script.send(ACK, EMPTY, mid="CMID")
        assert script.result(request).payload == b"early"


def test_TD_COAP_CORE_10_server() -> None:
    with played(plugtest_site()) as script:
        for length in range(1, 9):
            token = bytes(range(length))
            script.send(CON, GET, mid=f"CMID{length}", token=token, uri_path=["test"])
            script.expect(
                ACK,
                CONTENT,
                mid=f"CMID{length}",
                token=token,
                content_format=TEXT,
                payload=b"tested",
            )


def test_TD_COAP_CORE_10_client() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/test")))
        sent = script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("test",))
        assert 1 <= len(sent.token) <= 8
        # Something else with that Message ID is no answer.
        script.send(NON, CONTENT, mid="SMID", token=sent.token[::-1], payload=b"mistaken")
        script.send(
            ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"received"
        )
        assert script.result(request).payload == b"received"


def test_TD_COAP_CORE_11_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token=b"12345678", uri_path=["separate"])
        script.expect(ACK, EMPTY, mid="CMID", token=b"", payload=b"")
        script.expect(
            CON, CONTENT, mid="SMID", token=b"12345678", payload=b"it took a while", within=WHILE
        )
        script.send(ACK, EMPTY, mid="SMID")


def test_TD_COAP_CORE_11_client() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        sent = script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        assert 1 <= len(sent.token) <= 8
        script.send(ACK, EMPTY, mid="CMID")
        script.quiet(WHILE)
        script.send(CON, CONTENT, mid="SMID", token=sent.token[:-1], payload=b"mistaken")
        script.expect(RST, EMPTY, mid="SMID", token=b"", payload=b"")
        script.send(CON, CONTENT, mid="SMID2", token="CTOK", payload=b"late")
        script.expect(ACK, EMPTY, mid="SMID2", token=b"", payload=b"")
        assert script.result(request).payload == b"late"


def test_TD_COAP_CORE_12_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token=b"", uri_path=["test"])
        script.expect(ACK, CONTENT, mid="CMID", token=b"", content_format=TEXT, payload=b"tested")


# Paths and queries


def test_TD_COAP_CORE_13_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["seg1", "seg2", "seg3"])
        script.expect(
            ACK,
            CONTENT,
            mid="CMID",
            token="CTOK",
            content_format=TEXT,
            payload=b"three segments deep",
        )


def test_TD_COAP_CORE_13_client() -> None:
    """Of the options in the description, "test" is a slip: the URI has three segments."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/seg1/seg2/seg3")))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("seg1", "seg2", "seg3"))
        script.send(ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"deep")
        assert script.result(request).payload == b"deep"


def test_TD_COAP_CORE_14_server() -> None:
    with played(plugtest_site()) as script:
        script.send(
            CON,
            GET,
            mid="CMID",
            token="CTOK",
            uri_path=["query"],
            uri_query=["first=1", "second=2", "third=3"],
        )
        script.expect(
            ACK,
            CONTENT,
            mid="CMID",
            token="CTOK",
            content_format=TEXT,
            payload=b"first=1\nsecond=2\nthird=3",
        )


def test_TD_COAP_CORE_14_client() -> None:
    with played() as script:
        uri = script.uri("/query?first=1&second=2&third=3")
        request = script.request(Message(code=GET, uri=uri))
        script.expect(
            CON,
            GET,
            mid="CMID",
            token="CTOK",
            uri_path=("query",),
            uri_query=("first=1", "second=2", "third=3"),
        )
        script.send(ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"asked")
        assert script.result(request).payload == b"asked"


# Losses


def test_TD_COAP_CORE_15_server() -> None:
    """A dropped request is nothing that a server sees; here the response is dropped."""
    site = plugtest_site()
    with played(site) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["test"])
        dropped = script.expect(ACK, CONTENT, mid="CMID", token="CTOK", payload=b"tested")
        script.quiet(2.5)
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["test"])
        script.expect_raw(dropped.raw)


def test_TD_COAP_CORE_15_client() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/test")))
        dropped = script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("test",))
        again = script.expect_raw(dropped.raw, within=REQUEST_TIMEOUT)
        first_timeout = again.time - dropped.time
        assert 2 <= first_timeout <= 3
        # Now the response is dropped, which looks the same from here.
        once_more = script.expect_raw(dropped.raw, within=2 * REQUEST_TIMEOUT)
        assert once_more.time - again.time == 2 * first_timeout
        script.send(
            ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"received"
        )
        assert script.result(request).payload == b"received"


def test_TD_COAP_CORE_16_server_dropped_ack_of_request() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["separate"])
        dropped = script.expect(ACK, EMPTY, mid="CMID", token=b"")
        # Impatient as the client is, it is not waited for the response.
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["separate"])
        script.expect_raw(dropped.raw)
        script.expect(
            CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=..., within=WHILE
        )
        script.send(ACK, EMPTY, mid="SMID")


def test_TD_COAP_CORE_16_server_dropped_response() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["separate"])
        script.expect(ACK, EMPTY, mid="CMID", token=b"")
        dropped = script.expect(
            CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=..., within=WHILE
        )
        again = script.expect_raw(dropped.raw, within=REQUEST_TIMEOUT)
        assert 2 <= again.time - dropped.time <= 3
        script.send(ACK, EMPTY, mid="SMID")


def test_TD_COAP_CORE_16_server_dropped_ack_of_response() -> None:
    """To the server it is a dropped response; here the acknowledgements come, but late."""
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["separate"])
        script.expect(ACK, EMPTY, mid="CMID", token=b"")
        response = script.expect(CON, CONTENT, mid="SMID", token="CTOK", within=WHILE)
        script.expect_raw(response.raw, within=REQUEST_TIMEOUT)
        script.send(ACK, EMPTY, mid="SMID")
        script.send(ACK, EMPTY, mid="SMID")


def test_TD_COAP_CORE_16_client_dropped_request() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        dropped = script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        again = script.expect_raw(dropped.raw, within=REQUEST_TIMEOUT)
        assert 2 <= again.time - dropped.time <= 3
        script.send(ACK, EMPTY, mid="CMID")
        script.quiet(WHILE)
        script.send(CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"late")
        script.expect(ACK, EMPTY, mid="SMID", token=b"")
        assert script.result(request).payload == b"late"


def test_TD_COAP_CORE_16_client_dropped_ack_of_request() -> None:
    """ "Check that retransmission is also stopped by the arrival of the CON response"."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        first = script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        script.expect_raw(first.raw, within=REQUEST_TIMEOUT)
        script.send(CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"late")
        script.expect(ACK, EMPTY, mid="SMID", token=b"")
        assert script.result(request).payload == b"late"
        script.quiet(100)


def test_TD_COAP_CORE_16_client_dropped_response() -> None:
    """What is dropped is never seen: the client waits, and does not ask again."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        script.send(ACK, EMPTY, mid="CMID")
        script.quiet(WHILE + REQUEST_TIMEOUT)
        script.send(CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"late")
        script.expect(ACK, EMPTY, mid="SMID", token=b"")
        assert script.result(request).payload == b"late"


def test_TD_COAP_CORE_16_client_dropped_ack_of_response() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/separate")))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        script.send(ACK, EMPTY, mid="CMID")
        script.send(CON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"late")
        dropped = script.expect(ACK, EMPTY, mid="SMID", token=b"")
        assert script.result(request).payload == b"late"
        script.quiet(2.5)
        # The request is answered and forgotten, but the response is still acknowledged.
        script.send_raw(script.sent)
        script.expect_raw(dropped.raw)


def test_TD_COAP_CORE_17_server() -> None:
    with played(plugtest_site()) as script:
        script.send(NON, GET, mid="CMID", token="CTOK", uri_path=["separate"])
        script.quiet(WHILE - 0.1)  # no ACK, that is
        script.expect(
            NON,
            CONTENT,
            mid="SMID",
            token="CTOK",
            content_format=TEXT,
            payload=b"it took a while",
            within=0.2,
        )


def test_TD_COAP_CORE_17_client() -> None:
    with played() as script:
        request = script.request(Message(mtype=NON, code=GET, uri=script.uri("/separate")))
        script.expect(NON, GET, mid="CMID", token="CTOK", uri_path=("separate",))
        script.quiet(2 * REQUEST_TIMEOUT)
        script.send(NON, CONTENT, mid="SMID", token="CTOK", content_format=TEXT, payload=b"late")
        assert script.result(request).payload == b"late"


# Locations


def test_TD_COAP_CORE_18_server() -> None:
    with played(plugtest_site()) as script:
        script.send(
            CON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=["test"],
            content_format=TEXT,
            payload=b"to be created",
        )
        script.expect(
            ACK,
            CREATED,
            mid="CMID",
            token="CTOK",
            location_path=("location1", "location2", "location3"),
            location_query=(),
        )


def test_TD_COAP_CORE_18_client() -> None:
    with played() as script:
        request = script.request(
            Message(code=POST, uri=script.uri("/test"), content_format=TEXT, payload=b"created")
        )
        script.expect(
            CON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=("test",),
            content_format=TEXT,
            payload=b"created",
        )
        script.send(
            ACK,
            CREATED,
            mid="CMID",
            token="CTOK",
            location_path=["location1", "location2", "location3"],
        )
        response = script.result(request)
        assert response.code == CREATED
        assert response.opt.location_path == ("location1", "location2", "location3")


def test_TD_COAP_CORE_19_server() -> None:
    with played(plugtest_site()) as script:
        script.send(
            CON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=["location-query"],
            content_format=TEXT,
            payload=b"to be created",
        )
        script.expect(
            ACK,
            CREATED,
            mid="CMID",
            token="CTOK",
            location_path=(),
            location_query=("first=1", "second=2"),
            content_format=None,
            payload=b"",
        )


def test_TD_COAP_CORE_19_client() -> None:
    with played() as script:
        request = script.request(
            Message(
                code=POST,
                uri=script.uri("/location-query"),
                content_format=TEXT,
                payload=b"created",
            )
        )
        script.expect(
            CON,
            POST,
            mid="CMID",
            token="CTOK",
            uri_path=("location-query",),
            content_format=TEXT,
            payload=b"created",
        )
        script.send(ACK, CREATED, mid="CMID", token="CTOK", location_query=["first=1", "second=2"])
        response = script.result(request)
        assert response.code == CREATED
        assert response.opt.location_query == ("first=1", "second=2")


# Formats and conditions


def test_TD_COAP_CORE_20_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["multi-format"], accept=TEXT)
        script.expect(ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"hello")
        script.send(CON, GET, mid="CMID2", token="CTOK2", uri_path=["multi-format"], accept=XML)
        script.expect(
            ACK, CONTENT, mid="CMID2", token="CTOK2", content_format=XML, payload=b"<hello/>"
        )


def test_TD_COAP_CORE_20_client() -> None:
    with played() as script:
        uri = script.uri("/multi-format")
        request = script.request(Message(code=GET, uri=uri, accept=TEXT))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("multi-format",), accept=TEXT)
        script.send(ACK, CONTENT, mid="CMID", token="CTOK", content_format=TEXT, payload=b"hello")
        response = script.result(request)
        assert (response.opt.content_format, response.payload) == (TEXT, b"hello")

        request = script.request(Message(code=GET, uri=uri, accept=XML))
        script.expect(CON, GET, mid="CMID2", token="CTOK2", uri_path=("multi-format",), accept=XML)
        script.send(ACK, CONTENT, mid="CMID2", token="CTOK2", content_format=XML, payload=b"<a/>")
        response = script.result(request)
        assert (response.opt.content_format, response.payload) == (XML, b"<a/>")


def put(payload: bytes, **options: Any) -> dict[str, Any]:
    """What is in all the PUT requests of the cases about conditions."""
    return {"uri_path": ["validate"], "content_format": TEXT, "payload": payload, **options}


def test_TD_COAP_CORE_21_server() -> None:
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["validate"])
        first = script.expect(ACK, CONTENT, mid="CMID", token="CTOK", etag=..., payload=b"valid")
        etag1 = first.opt.etag

        script.send(CON, GET, mid="CMID2", token="CTOK2", uri_path=["validate"], etags=[etag1])
        script.expect(ACK, VALID, mid="CMID2", token="CTOK2", etag=etag1, payload=b"")

        # "Update the content of the server's resource from a CoAP client"
        script.send(CON, PUT, mid="A", token="B", peer="[2001:db8::77]", **put(b"changed"))
        script.expect(ACK, CHANGED, mid="A", token="B", peer="[2001:db8::77]")

        script.send(CON, GET, mid="CMID3", token="CTOK3", uri_path=["validate"], etags=[etag1])
        third = script.expect(
            ACK, CONTENT, mid="CMID3", token="CTOK3", etag=..., payload=b"changed"
        )
        assert third.opt.etag != etag1


def test_TD_COAP_CORE_21_client() -> None:
    """The application keeps what it knows; the library has no cache of its own."""
    etag1, etag2 = b"\x01", b"\x02"
    with played() as script:
        uri = script.uri("/validate")
        request = script.request(Message(code=GET, uri=uri))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("validate",), etags=())
        script.send(ACK, CONTENT, mid="CMID", token="CTOK", etag=etag1, payload=b"valid")
        response = script.result(request)
        assert (response.opt.etag, response.payload) == (etag1, b"valid")

        request = script.request(Message(code=GET, uri=uri, etags=[etag1]))
        script.expect(CON, GET, mid="CMID2", token="CTOK2", uri_path=("validate",), etags=(etag1,))
        script.send(ACK, VALID, mid="CMID2", token="CTOK2", etag=etag1)
        response = script.result(request)
        assert (response.code, response.opt.etag, response.payload) == (VALID, etag1, b"")

        request = script.request(Message(code=GET, uri=uri, etags=[etag1]))
        script.expect(CON, GET, mid="CMID3", token="CTOK3", uri_path=("validate",), etags=(etag1,))
        script.send(ACK, CONTENT, mid="CMID3", token="CTOK3", etag=etag2, payload=b"changed")
        response = script.result(request)
        assert (response.code, response.opt.etag) == (CONTENT, etag2)
        assert response.payload == b"changed"


def test_TD_COAP_CORE_22_server() -> None:
    """In the description, CMID4 and CTOK4 stand for those of two requests."""
    with played(plugtest_site()) as script:
        script.send(CON, GET, mid="CMID", token="CTOK", uri_path=["validate"])
        first = script.expect(ACK, CONTENT, mid="CMID", token="CTOK", etag=..., payload=b"valid")
        etag1 = first.opt.etag

        # single update
        script.send(CON, PUT, mid="CMID2", token="CTOK2", **put(b"mine", if_match=[etag1]))
        script.expect(ACK, CHANGED, mid="CMID2", token="CTOK2", payload=b"")

        # concurrent updates
        script.send(CON, GET, mid="CMID3", token="CTOK3", uri_path=["validate"])
        third = script.expect(ACK, CONTENT, mid="CMID3", token="CTOK3", etag=..., payload=b"mine")
        etag2 = third.opt.etag
        assert etag2 != etag1
        script.send(CON, PUT, mid="CMID4", token="CTOK4", **put(b"theirs"))
        script.expect(ACK, CHANGED, mid="CMID4", token="CTOK4", payload=b"")
        script.send(CON, PUT, mid="CMID5", token="CTOK5", **put(b"mine again", if_match=[etag2]))
        script.expect(ACK, PRECONDITION_FAILED, mid="CMID5", token="CTOK5")

        # "the server did not update the content of the resource"
        script.send(CON, GET, mid="CMID6", token="CTOK6", uri_path=["validate"])
        script.expect(ACK, CONTENT, mid="CMID6", token="CTOK6", payload=b"theirs")


def test_TD_COAP_CORE_22_client() -> None:
    etag1, etag2 = b"\x01", b"\x02"
    with played() as script:
        uri = script.uri("/validate")
        request = script.request(Message(code=GET, uri=uri))
        script.expect(CON, GET, mid="CMID", token="CTOK", uri_path=("validate",), etags=())
        script.send(ACK, CONTENT, mid="CMID", token="CTOK", etag=etag1, payload=b"valid")
        assert script.result(request).opt.etag == etag1

        request = script.request(
            Message(code=PUT, uri=uri, content_format=TEXT, payload=b"mine", if_match=[etag1])
        )
        script.expect(
            CON,
            PUT,
            mid="CMID2",
            token="CTOK2",
            uri_path=("validate",),
            content_format=TEXT,
            if_match=(etag1,),
            payload=b"mine",
        )
        script.send(ACK, CHANGED, mid="CMID2", token="CTOK2")
        assert script.result(request).code == CHANGED

        request = script.request(Message(code=GET, uri=uri))
        script.expect(CON, GET, mid="CMID3", token="CTOK3", uri_path=("validate",))
        script.send(ACK, CONTENT, mid="CMID3", token="CTOK3", etag=etag2, payload=b"mine")
        assert script.result(request).opt.etag == etag2

        # Meanwhile somebody else changes it.
        request = script.request(
            Message(code=PUT, uri=uri, content_format=TEXT, payload=b"again", if_match=[etag2])
        )
        script.expect(
            CON,
            PUT,
            mid="CMID4",
            token="CTOK4",
            uri_path=("validate",),
            content_format=TEXT,
            if_match=(etag2,),
            payload=b"again",
        )
        script.send(ACK, PRECONDITION_FAILED, mid="CMID4", token="CTOK4")
        assert script.result(request).code == PRECONDITION_FAILED


def test_TD_COAP_CORE_23_server() -> None:
    with played(plugtest_site()) as script:
        for name, code in (("", CREATED), ("2", PRECONDITION_FAILED)):
            script.send(
                CON,
                PUT,
                mid="CMID" + name,
                token="CTOK" + name,
                uri_path=["create1"],
                content_format=TEXT,
                if_none_match=True,
                payload=b"first come" + name.encode(),
            )
            script.expect(ACK, code, mid="CMID" + name, token="CTOK" + name)
        # "the server created a new resource", and then no other
        script.send(CON, GET, mid="CMID3", token="CTOK3", uri_path=["create1"])
        script.expect(ACK, CONTENT, mid="CMID3", token="CTOK3", payload=b"first come")


def test_TD_COAP_CORE_23_client() -> None:
    with played() as script:
        for name, code in (("", CREATED), ("2", PRECONDITION_FAILED)):
            request = script.request(
                Message(
                    code=PUT,
                    uri=script.uri("/create1"),
                    content_format=TEXT,
                    if_none_match=True,
                    payload=b"first come",
                )
            )
            script.expect(
                CON,
                PUT,
                mid="CMID" + name,
                token="CTOK" + name,
                uri_path=("create1",),
                content_format=TEXT,
                if_none_match=True,
                payload=b"first come",
            )
            script.send(ACK, code, mid="CMID" + name, token="CTOK" + name)
            assert script.result(request).code == code


# Ping


def test_TD_COAP_CORE_31_server() -> None:
    with played(plugtest_site()) as script:
        script.send_raw(b"\x40\x00\x12\x34")
        script.expect_raw(b"\x70\x00\x12\x34")


def test_TD_COAP_CORE_31_client() -> None:
    """A ping is no request, as it has no token: it goes through the message layer alone."""
    with played() as script:
        answers: list[str] = []
        message = Message(mtype=CON, code=EMPTY)
        message.remote = Address(script.peer, script.LOCAL)
        script.endpoint.manager.send_message(message, lambda: answers.append("alive"))
        ping = script.expect(CON, EMPTY, mid="CMID", token=b"", payload=b"")
        assert len(ping.raw) == 4
        script.send(RST, EMPTY, mid="CMID")
        assert answers == ["alive"]

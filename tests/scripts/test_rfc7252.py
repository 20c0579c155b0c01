"""The sequence diagrams of RFC 7252, both roles: those of section 2 and all of appendix A.

(Sections 3 to 5 have figures of formats only.) In tests of the server, the script plays the
client, and has Message IDs and tokens of the figure. In tests of the client, the script plays the
server; there the values of the figure are names for what the client makes up.

A role that the library does not take: the client of figure 16, which has an empty token; its
tokens are never empty.
"""

from __future__ import annotations

import asyncio

from aiocoap import ACK, CON, CONTENT, EMPTY, GET, NON, NOT_FOUND, RST, Message
from aiocoap.resource import Resource, Site
from tests.scripts.site import WHILE, played

TEMPERATURE = ("temperature",)
REQUEST_TIMEOUT = 3.0
"""Seconds in which a confirmable message is sent again: ACK_TIMEOUT times ACK_RANDOM_FACTOR."""


class Thermometer(Resource):
    """What is read in all of the figures.

    Args:
        reading: What it shows; None if it is broken.
        delay: Seconds that it takes.
    """

    def __init__(self, reading: bytes | None, delay: float = 0) -> None:
        super().__init__()
        self._reading = reading
        self._delay = delay
        self.count = 0

    async def render_get(self, request: Message) -> Message:
        self.count += 1
        await asyncio.sleep(self._delay)
        if self._reading is None:
            return Message(code=NOT_FOUND, payload=b"Not found")
        return Message(payload=self._reading)


def server(thermometer: Thermometer) -> Site:
    """Return a site with a thermometer."""
    site = Site()
    site.add_resource(TEMPERATURE, thermometer)
    return site


# Section 2.1


def test_figure_2_client() -> None:
    """Reliable message transmission: an acknowledgement stops it."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        first = script.expect(CON, GET, mid="7d34")
        script.expect_raw(first.raw, within=REQUEST_TIMEOUT)
        script.send(ACK, EMPTY, mid="7d34")
        script.quiet(60)
        request.response.cancel()


def test_figure_2_server() -> None:
    """Reliable message transmission: whatever comes of it, it is acknowledged."""
    with played(server(Thermometer(b"22.5 C", WHILE))) as script:
        script.send(CON, GET, mid=0x7D34, uri_path=TEMPERATURE)
        script.expect(ACK, EMPTY, mid=0x7D34, token=b"")
        script.expect(CON, CONTENT, mid="response", within=WHILE)
        script.send(ACK, EMPTY, mid="response")


def test_figure_3_client() -> None:
    """Unreliable message transmission: it is sent once."""
    with played() as script:
        request = script.request(Message(mtype=NON, code=GET, uri=script.uri("/temperature")))
        script.expect(NON, GET, mid="01a0")
        script.quiet(60)
        request.response.cancel()


def test_figure_3_server() -> None:
    """Unreliable message transmission: nothing says that it came, but it is known again."""
    thermometer = Thermometer(b"22.5 C", WHILE)
    with played(server(thermometer)) as script:
        script.send(NON, GET, mid=0x01A0, uri_path=TEMPERATURE)
        script.quiet(WHILE / 2)
        script.send(NON, GET, mid=0x01A0, uri_path=TEMPERATURE)
        script.expect(NON, CONTENT, within=WHILE)
    assert thermometer.count == 1


# Section 2.2


def test_figure_4_client() -> None:
    """Two GET requests with piggybacked responses."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        script.expect(CON, GET, mid="bc90", token="71", uri_path=TEMPERATURE)
        script.send(ACK, CONTENT, mid="bc90", token="71", payload=b"22.5 C")
        assert script.result(request).payload == b"22.5 C"

        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        script.expect(CON, GET, mid="bc91", token="72", uri_path=TEMPERATURE)
        script.send(ACK, NOT_FOUND, mid="bc91", token="72", payload=b"Not found")
        response = script.result(request)
        assert (response.code, response.payload) == (NOT_FOUND, b"Not found")


def test_figure_4_server() -> None:
    """Two GET requests with piggybacked responses."""
    with played(server(Thermometer(b"22.5 C"))) as script:
        script.send(CON, GET, mid=0xBC90, token=b"\x71", uri_path=TEMPERATURE)
        script.expect(ACK, CONTENT, mid=0xBC90, token=b"\x71", payload=b"22.5 C")
    with played(server(Thermometer(None))) as script:
        script.send(CON, GET, mid=0xBC91, token=b"\x72", uri_path=TEMPERATURE)
        script.expect(ACK, NOT_FOUND, mid=0xBC91, token=b"\x72", payload=b"Not found")


def test_figure_5_client() -> None:
    """A GET request with a separate response."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        script.expect(CON, GET, mid="7a10", token="73", uri_path=TEMPERATURE)
        script.send(ACK, EMPTY, mid="7a10")
        script.quiet(60)
        script.send(CON, CONTENT, mid=0x23BB, token="73", payload=b"22.5 C")
        script.expect(ACK, EMPTY, mid=0x23BB, token=b"", payload=b"")
        assert script.result(request).payload == b"22.5 C"


def test_figure_5_server() -> None:
    """A GET request with a separate response."""
    with played(server(Thermometer(b"22.5 C", 60))) as script:
        script.send(CON, GET, mid=0x7A10, token=b"\x73", uri_path=TEMPERATURE)
        script.expect(ACK, EMPTY, mid=0x7A10, token=b"", payload=b"")
        script.quiet(59)
        script.expect(CON, CONTENT, mid="23bb", token=b"\x73", payload=b"22.5 C")
        script.send(ACK, EMPTY, mid="23bb")


def test_figure_6_client() -> None:
    """A request and a response carried in non-confirmable messages."""
    with played() as script:
        request = script.request(Message(mtype=NON, code=GET, uri=script.uri("/temperature")))
        script.expect(NON, GET, mid="7a11", token="74", uri_path=TEMPERATURE)
        script.send(NON, CONTENT, mid=0x23BC, token="74", payload=b"22.5 C")
        assert script.result(request).payload == b"22.5 C"


def test_figure_6_client_of_a_confirmable_response() -> None:
    """ "although the server may instead send a Confirmable message"."""
    with played() as script:
        request = script.request(Message(mtype=NON, code=GET, uri=script.uri("/temperature")))
        script.expect(NON, GET, mid="7a11", token="74", uri_path=TEMPERATURE)
        script.send(CON, CONTENT, mid=0x23BC, token="74", payload=b"22.5 C")
        script.expect(ACK, EMPTY, mid=0x23BC, token=b"")
        assert script.result(request).payload == b"22.5 C"


def test_figure_6_server() -> None:
    """A request and a response carried in non-confirmable messages."""
    with played(server(Thermometer(b"22.5 C"))) as script:
        script.send(NON, GET, mid=0x7A11, token=b"\x74", uri_path=TEMPERATURE)
        script.expect(NON, CONTENT, mid="23bc", token=b"\x74", payload=b"22.5 C")


# Appendix A


def test_figure_16_server() -> None:
    """Confirmable request, piggybacked response, byte for byte."""
    with played(server(Thermometer(b"22.3 C"))) as script:
        script.send_raw(b"\x40\x01\x7d\x34" + b"\xbb" + b"temperature")
        assert len(script.sent) == 16
        response = script.expect_raw(b"\x60\x45\x7d\x34" + b"\xff" + b"22.3 C")
        assert len(response.raw) == 11


def test_figure_17_server() -> None:
    """Confirmable request, piggybacked response, byte for byte, with a token."""
    with played(server(Thermometer(b"22.3 C"))) as script:
        script.send_raw(b"\x41\x01\x7d\x35" + b"\x20" + b"\xbb" + b"temperature")
        assert len(script.sent) == 17
        response = script.expect_raw(b"\x61\x45\x7d\x35" + b"\x20" + b"\xff" + b"22.3 C")
        assert len(response.raw) == 12


def test_figure_17_client() -> None:
    """Confirmable request, piggybacked response, with as long a token as the client likes."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        sent = script.expect(CON, GET, mid="7d35", token="20", payload=b"")
        head = bytes((0x40 + len(sent.token), 1)) + script.mid("7d35").to_bytes(2, "big")
        assert sent.raw == head + sent.token + b"\xbb" + b"temperature"
        head = bytes((0x60 + len(sent.token), 69)) + script.mid("7d35").to_bytes(2, "big")
        script.send_raw(head + sent.token + b"\xff" + b"22.3 C")
        response = script.result(request)
        assert (response.code, response.payload) == (CONTENT, b"22.3 C")


def test_figure_18_client() -> None:
    """Confirmable request (retransmitted); piggybacked response."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        lost = script.expect(CON, GET, mid="7d36", token="31", uri_path=TEMPERATURE)
        again = script.expect_raw(lost.raw, within=REQUEST_TIMEOUT)
        assert 2 <= again.time - lost.time <= 3
        script.send(ACK, CONTENT, mid="7d36", token="31", payload=b"22.3 C")
        assert script.result(request).payload == b"22.3 C"


def test_figure_18_server() -> None:
    """Confirmable request (retransmitted), of which only the second one comes."""
    with played(server(Thermometer(b"22.3 C"))) as script:
        script.send(CON, GET, mid=0x7D36, token=b"\x31", uri_path=TEMPERATURE)
        script.expect(ACK, CONTENT, mid=0x7D36, token=b"\x31", payload=b"22.3 C")


def test_figure_19_client() -> None:
    """Confirmable request; piggybacked response (retransmitted). The figure's X takes it away."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        first = script.expect(CON, GET, mid="7d37", token="42", uri_path=TEMPERATURE)
        script.expect_raw(first.raw, within=REQUEST_TIMEOUT)
        script.send(ACK, CONTENT, mid="7d37", token="42", payload=b"22.3 C")
        assert script.result(request).payload == b"22.3 C"
        # It was not lost after all, but late.
        script.send_raw(script.sent)


def test_figure_19_server() -> None:
    """Confirmable request; piggybacked response (retransmitted), for which nothing is done."""
    thermometer = Thermometer(b"22.3 C")
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid=0x7D37, token=b"\x42", uri_path=TEMPERATURE)
        lost = script.expect(ACK, CONTENT, mid=0x7D37, token=b"\x42", payload=b"22.3 C")
        script.quiet(REQUEST_TIMEOUT)
        script.send(CON, GET, mid=0x7D37, token=b"\x42", uri_path=TEMPERATURE)
        script.expect_raw(lost.raw)
    assert thermometer.count == 1


def test_figure_20_client() -> None:
    """Confirmable request; separate response."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        script.expect(CON, GET, mid="7d38", token="53", uri_path=TEMPERATURE)
        script.send(ACK, EMPTY, mid="7d38")
        script.send(CON, CONTENT, mid=0xAD7B, token="53", payload=b"22.3 C")
        script.expect(ACK, EMPTY, mid=0xAD7B, token=b"", payload=b"")
        assert script.result(request).payload == b"22.3 C"


def test_figure_20_client_of_another_order() -> None:
    """ "do not necessarily arrive in the same order as they were sent"."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/temperature")))
        script.expect(CON, GET, mid="7d38", token="53", uri_path=TEMPERATURE)
        script.send(CON, CONTENT, mid=0xAD7B, token="53", payload=b"22.3 C")
        script.expect(ACK, EMPTY, mid=0xAD7B, token=b"", payload=b"")
        script.send(ACK, EMPTY, mid="7d38")
        assert script.result(request).payload == b"22.3 C"


def test_figure_20_server() -> None:
    """Confirmable request; separate response."""
    with played(server(Thermometer(b"22.3 C", WHILE))) as script:
        script.send(CON, GET, mid=0x7D38, token=b"\x53", uri_path=TEMPERATURE)
        script.expect_raw(b"\x60\x00\x7d\x38")
        script.expect(CON, CONTENT, mid="ad7b", token=b"\x53", payload=b"22.3 C", within=WHILE)
        script.send(ACK, EMPTY, mid="ad7b")


def test_figure_21_client() -> None:
    """Separate response (unexpected): the client that comes after the crash knows of nothing."""
    with played() as script:
        script.send(ACK, EMPTY, mid=0x7D39)
        script.quiet(1)
        script.send(CON, CONTENT, mid=0xAD7C, token=b"\x64", payload=b"22.3 C")
        script.expect_raw(b"\x70\x00\xad\x7c")


def test_figure_21_server() -> None:
    """Separate response (unexpected): the Reset stops it."""
    with played(server(Thermometer(b"22.3 C", WHILE))) as script:
        script.send(CON, GET, mid=0x7D39, token=b"\x64", uri_path=TEMPERATURE)
        script.expect(ACK, EMPTY, mid=0x7D39, token=b"")
        script.expect(CON, CONTENT, mid="ad7c", token=b"\x64", payload=b"22.3 C", within=WHILE)
        script.send(RST, EMPTY, mid="ad7c")
        script.quiet(100)


def test_figure_22_client() -> None:
    """Non-confirmable request; non-confirmable response. Others take their tokens elsewhere."""
    with played() as script:
        request = script.request(Message(mtype=NON, code=GET, uri=script.uri("/temperature")))
        script.expect(NON, GET, mid="7d40", token="75", uri_path=TEMPERATURE)
        script.send(NON, CONTENT, mid=0xAD7D, token="75", peer="[2001:db8::66]", payload=b"0 K")
        script.send(NON, CONTENT, mid=0xAD7D, token="75", payload=b"22.3 C")
        assert script.result(request).payload == b"22.3 C"


def test_figure_22_server() -> None:
    """Non-confirmable request; non-confirmable response."""
    with played(server(Thermometer(b"22.3 C"))) as script:
        script.send(NON, GET, mid=0x7D40, token=b"\x75", uri_path=TEMPERATURE)
        script.expect(NON, CONTENT, mid="ad7d", token=b"\x75", payload=b"22.3 C")


def test_figure_23_client() -> None:
    """Non-confirmable request (multicast); non-confirmable responses, of which the first counts."""
    with played() as script:
        group = "[ff02::1]"
        uri = script.uri("/temperature", group)
        request = script.request(Message(mtype=NON, code=GET, uri=uri))
        script.expect(NON, GET, mid="7d41", token="86", uri_path=TEMPERATURE, peer=group)
        script.send(NON, CONTENT, mid=0x60B1, token="86", peer="[2001:db8::a1]", payload=b"22.3 C")
        # B's is lost.
        script.send(NON, NOT_FOUND, mid=0x952A, token="86", peer="[2001:db8::c1]")
        response = script.result(request)
        assert response.payload == b"22.3 C"
        assert response.remote is not None
        assert response.remote.hostinfo == "[2001:db8::a1]"


def test_figure_23_server_a() -> None:
    """Non-confirmable request (multicast); non-confirmable response, after a random while."""
    with played(server(Thermometer(b"22.3 C"))) as script:
        script.send(NON, GET, mid=0x7D41, token=b"\x86", uri_path=TEMPERATURE, multicast=True)
        script.expect(NON, CONTENT, mid="60b1", token=b"\x86", payload=b"22.3 C", within=5)


def test_figure_23_server_c() -> None:
    """C says 4.04 there, and nothing here: section 8.2 leaves that to it, errors in particular."""
    with played(Site()) as script:
        script.send(NON, GET, mid=0x7D41, token=b"\x86", uri_path=TEMPERATURE, multicast=True)
        script.quiet(100)

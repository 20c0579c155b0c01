"""The sequence diagrams of RFC 7641 between client and server, both roles: figure 2, appendix A.1.

Figures 3 to 6 are one story, whose time goes on from figure to figure; each test begins where its
figure does. In tests of the server, the script plays the client, and has Message IDs and tokens of
the figure. In tests of the client, the script plays the server; there the values of the figure are
names for what the client makes up. Observe values of the server are its own.

Appendix A.2 (figures 7 and 8) is about proxies, which are no part of an endpoint.

After the figures come sentences of sections 2 to 4 that none of them shows, nor any case of the
plugtest.
"""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap import (
    ACK,
    CON,
    CONTENT,
    EMPTY,
    FETCH,
    GET,
    NON,
    NOT_ACCEPTABLE,
    RST,
    VALID,
    Message,
)
from aiocoap.resource import ObservableResource, Site
from tests.harness import Script
from tests.scripts.site import played

TEMPERATURE = ("temperature",)
ETAG_NUMBER = 4
ETAG = b"xyzzy"
"""Of the state "19.7 Cel", 0x78797a7a79; the others have none."""


class Thermometer(ObservableResource):
    """What is observed in all of the figures.

    Args:
        reading: What it shows at first.
        notifies_by: Type of its notifications; None takes that of the request.
    """

    def __init__(self, reading: bytes, notifies_by: Any = None) -> None:
        super().__init__()
        self._reading = reading
        self._notifies_by = notifies_by
        self.count = 0

    def update_observation_count(self, newcount: int) -> None:
        self.count = newcount

    def become(self, reading: bytes) -> None:
        """Show something else."""
        self._reading = reading
        if self._notifies_by is None:
            self.updated_state()
            return
        for observation, request in self.observations.items():
            response = self._represent(request)
            response.mtype = self._notifies_by
            observation.trigger(response)

    def _represent(self, request: Message) -> Message:
        if self._reading != b"19.7 Cel":
            return Message(code=CONTENT, payload=self._reading, max_age=15)
        if ETAG in request.opt.etags:
            return Message(code=VALID, etag=ETAG, max_age=15)
        return Message(code=CONTENT, payload=self._reading, etag=ETAG, max_age=15)

    async def render_get(self, request: Message) -> Message:
        return self._represent(request)


def server(thermometer: Thermometer) -> Site:
    """Return a site with a thermometer."""
    site = Site()
    site.add_resource(TEMPERATURE, thermometer)
    return site


def observe(script: Script, **options: Any) -> tuple[Any, list[bytes]]:
    """Have the client observe; return its request and the list of what it hears of the state."""
    uri = script.uri("/temperature")
    request = script.request(Message(code=GET, uri=uri, observe=0, **options))
    states: list[bytes] = []
    request.observation.register_callback(lambda response: states.append(response.payload))
    return request, states


def leave(script: Script, request: Any, token: str, **options: Any) -> None:
    """Have the client lose its interest; it tells the server (section 3.6)."""
    request.observation.cancel()
    script.expect(CON, GET, mid="end", token=token, uri_path=TEMPERATURE, observe=1, **options)
    script.send(ACK, CONTENT, mid="end", token=token, payload=b"20.1 Cel")


# Section 1.2


def test_figure_2_client() -> None:
    """The types of messages are left open there; here the client sees each of them."""
    with played() as script:
        request, states = observe(script)
        script.expect(CON, GET, mid="A", token="4a", uri_path=TEMPERATURE, observe=0)
        script.send(ACK, CONTENT, mid="A", token="4a", observe=12, payload=b"22.9 Cel")
        assert script.result(request).payload == b"22.9 Cel"
        script.send(NON, CONTENT, mid="B", token="4a", observe=44, payload=b"22.8 Cel")
        script.send(CON, CONTENT, mid="C", token="4a", observe=60, payload=b"23.1 Cel")
        script.expect(ACK, EMPTY, mid="C", token=b"")
        assert states == [b"22.8 Cel", b"23.1 Cel"]
        # "reordering detection": this was sent before, and comes after.
        script.send(CON, CONTENT, mid="D", token="4a", observe=59, payload=b"23.0 Cel")
        script.expect(ACK, EMPTY, mid="D", token=b"")
        assert states == [b"22.8 Cel", b"23.1 Cel"]
        leave(script, request, "4a")


def test_figure_2_server() -> None:
    thermometer = Thermometer(b"22.9 Cel")
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid="A", token=b"\x4a", uri_path=TEMPERATURE, observe=0)
        first = script.expect(
            ACK, CONTENT, mid="A", token=b"\x4a", observe=..., payload=b"22.9 Cel"
        )
        thermometer.become(b"22.8 Cel")
        second = script.expect(
            CON, CONTENT, mid="B", token=b"\x4a", observe=..., payload=b"22.8 Cel"
        )
        script.send(ACK, EMPTY, mid="B")
        thermometer.become(b"23.1 Cel")
        third = script.expect(
            CON, CONTENT, mid="C", token=b"\x4a", observe=..., payload=b"23.1 Cel"
        )
        assert first.opt.observe < second.opt.observe < third.opt.observe
        script.send(RST, EMPTY, mid="C")  # ends what goes on and on in the figure


# Appendix A.1


def test_figure_3_client() -> None:
    """A client registers and receives one notification of the current state and one of a new."""
    with played() as script:
        request, states = observe(script)
        script.expect(CON, GET, mid="1633", token="4a", uri_path=TEMPERATURE, observe=0)
        script.quiet(1)
        script.send(
            ACK, CONTENT, mid="1633", token="4a", observe=9, max_age=15, payload=b"18.5 Cel"
        )
        assert script.result(request).payload == b"18.5 Cel"
        script.quiet(7)
        script.send(
            NON, CONTENT, mid=0x7B50, token="4a", observe=16, max_age=15, payload=b"19.2 Cel"
        )
        assert states == [b"19.2 Cel"]
        # It is not told twice, whether the network repeats it or the server.
        script.send_raw(script.sent)
        script.send(NON, CONTENT, mid=0x7B51, token="4a", observe=16, payload=b"19.2 Cel")
        assert states == [b"19.2 Cel"]
        leave(script, request, "4a")


def test_figure_3_server() -> None:
    """A client registers and receives one notification of the current state and one of a new."""
    thermometer = Thermometer(b"18.5 Cel", NON)
    with played(server(thermometer)) as script:
        script.send_raw(b"\x41\x01\x16\x33" + b"\x4a" + b"\x60" + b"\x5b" + b"temperature")
        first = script.expect(
            ACK,
            CONTENT,
            mid=0x1633,
            token=b"\x4a",
            observe=...,
            max_age=15,
            payload=b"18.5 Cel",
        )
        script.quiet(7)
        thermometer.become(b"19.2 Cel")
        second = script.expect(
            NON,
            CONTENT,
            mid="7b50",
            token=b"\x4a",
            observe=...,
            max_age=15,
            payload=b"19.2 Cel",
        )
        assert first.opt.observe < second.opt.observe
        script.send(RST, EMPTY, mid="7b50")
    assert thermometer.count == 0


def test_figure_4_client() -> None:
    """The client re-registers after Max-Age ends.

    The figure has another token, against section 3.3.1; the client keeps the one that it has.
    """
    with played() as script:
        request, states = observe(script)
        worth: list[str] = []
        request.observation.register_statecallback(worth.append)
        script.expect(CON, GET, mid="1633", token="4a", uri_path=TEMPERATURE, observe=0)
        script.send(
            ACK, CONTENT, mid="1633", token="4a", observe=16, max_age=15, payload=b"19.2 Cel"
        )
        assert script.result(request).payload == b"19.2 Cel"
        assert worth == ["fresh"]
        # The notification is lost.
        script.quiet(14.9)
        assert worth == ["fresh"]
        script.quiet(5)
        assert worth == ["fresh", "stale"]
        script.expect(CON, GET, mid="1634", token="4a", uri_path=TEMPERATURE, observe=0, within=11)
        script.send(
            ACK,
            CONTENT,
            mid="1634",
            token="4a",
            observe=44,
            max_age=15,
            etag=ETAG,
            payload=b"19.7 Cel",
        )
        assert states == [b"19.7 Cel"]
        assert worth == ["fresh", "stale", "fresh"]
        leave(script, request, "4a", etags=(ETAG,))
        assert worth[3:] == ["over"]


def test_figure_4_server() -> None:
    """The client re-registers after Max-Age ends.

    With another token that is another observation (section 4.1), which the figure does not show;
    the client ends the former one by a Reset.
    """
    thermometer = Thermometer(b"19.2 Cel", NON)
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid=0x1633, token=b"\x4a", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid=0x1633, token=b"\x4a", observe=..., payload=b"19.2 Cel")
        thermometer.become(b"19.7 Cel")
        lost = script.expect(
            NON, CONTENT, token=b"\x4a", observe=..., max_age=15, payload=b"19.7 Cel"
        )
        script.quiet(13)
        script.send(CON, GET, mid=0x1634, token=b"\xb2", uri_path=TEMPERATURE, observe=0)
        found = script.expect(
            ACK,
            CONTENT,
            mid=0x1634,
            token=b"\xb2",
            observe=...,
            max_age=15,
            etag=ETAG,
            payload=b"19.7 Cel",
        )
        assert lost.opt.observe < found.opt.observe
        assert thermometer.count == 2
        thermometer.become(b"20.0 Cel")
        script.expect(NON, CONTENT, mid="former", token=b"\x4a", payload=b"20.0 Cel")
        script.expect(NON, CONTENT, mid="latter", token=b"\xb2", payload=b"20.0 Cel")
        script.send(RST, EMPTY, mid="former")
        assert thermometer.count == 1
        thermometer.become(b"20.1 Cel")
        script.expect(NON, CONTENT, mid="end", token=b"\xb2", payload=b"20.1 Cel")
        script.send(RST, EMPTY, mid="end")


def test_figure_5_client() -> None:
    """The client re-registers and gives the server the opportunity to select a stored response."""
    with played() as script:
        request, states = observe(script, etags=[ETAG])
        codes: list[Any] = []
        request.observation.register_callback(lambda response: codes.append(response.code))
        script.expect(
            CON, GET, mid="1635", token="f9", uri_path=TEMPERATURE, observe=0, etags=(ETAG,)
        )
        script.send(
            ACK, CONTENT, mid="1635", token="f9", observe=74, max_age=15, payload=b"20.0 Cel"
        )
        assert script.result(request).payload == b"20.0 Cel"
        script.quiet(7)
        script.send(NON, VALID, mid=0xAA0C, token="f9", observe=81, etag=ETAG, max_age=15)
        assert (codes, states) == ([VALID], [b""])
        leave(script, request, "f9", etags=(ETAG,))


def test_figure_5_server() -> None:
    """The client re-registers and gives the server the opportunity to select a stored response."""
    thermometer = Thermometer(b"20.0 Cel", NON)
    with played(server(thermometer)) as script:
        script.send(
            CON, GET, mid=0x1635, token=b"\xf9", uri_path=TEMPERATURE, observe=0, etags=[ETAG]
        )
        script.expect(
            ACK,
            CONTENT,
            mid=0x1635,
            token=b"\xf9",
            observe=...,
            etag=None,
            max_age=15,
            payload=b"20.0 Cel",
        )
        script.quiet(7)
        thermometer.become(b"19.7 Cel")
        script.expect(
            NON,
            VALID,
            mid="aa0c",
            token=b"\xf9",
            observe=...,
            etag=ETAG,
            max_age=15,
            payload=b"",
        )
        script.send(RST, EMPTY, mid="aa0c")


def test_figure_6_client() -> None:
    """The client rejects a notification and thereby cancels the observation."""
    with played() as script:
        request, states = observe(script)
        script.expect(CON, GET, mid="1635", token="f9", uri_path=TEMPERATURE, observe=0)
        script.send(ACK, CONTENT, mid="1635", token="f9", observe=81, payload=b"19.7 Cel")
        script.quiet(9)
        assert script.result(request).payload == b"19.7 Cel"
        # It has lost its interest, and says so; but that is lost.
        request.observation.cancel()
        script.expect(CON, GET, mid="end", token="f9", uri_path=TEMPERATURE, observe=1)
        script.send(
            CON, CONTENT, mid=0xAA0F, token="f9", observe=91, max_age=15, payload=b"19.3 Cel"
        )
        script.expect_raw(b"\x70\x00\xaa\x0f")
        assert states == []
        script.expect(CON, GET, mid="end", token="f9", observe=1, within=3)
        script.send(ACK, CONTENT, mid="end", token="f9", payload=b"19.3 Cel")


def test_figure_6_server() -> None:
    """The client rejects a notification and thereby cancels the observation."""
    thermometer = Thermometer(b"19.7 Cel", CON)
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid=0x1635, token=b"\xf9", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid=0x1635, token=b"\xf9", observe=..., payload=b"19.7 Cel")
        script.quiet(10)
        thermometer.become(b"19.3 Cel")
        script.expect(
            CON, CONTENT, mid="aa0f", token=b"\xf9", observe=..., max_age=15, payload=b"19.3 Cel"
        )
        assert thermometer.count == 1
        script.quiet(1)
        script.send(RST, EMPTY, mid="aa0f")
        assert thermometer.count == 0
        thermometer.become(b"19.0 Cel")
        script.quiet(100)


# Section 2


@pytest.mark.parametrize("value", [2, 12, 0xFFFFFF])
def test_other_values_in_requests_mean_nothing(value: int) -> None:
    """They are those of an unknown elective option."""
    thermometer = Thermometer(b"18.5 Cel")
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=value)
        script.expect(ACK, CONTENT, mid="A", token="t", observe=None, payload=b"18.5 Cel")
        assert thermometer.count == 0


# Section 3


@pytest.mark.parametrize("method", [GET, FETCH])
def test_all_options_are_those_of_the_first_registration(method: Any) -> None:
    """Sections 3.3.1 and 3.6, RFC 8132 section 2.4: "except for the set of ETag Options"."""
    options: dict[str, Any] = {"uri_query": ("u=Cel", "n=2"), "accept": 0}
    payload = b""
    if method == FETCH:
        options["content_format"], payload = 60, b"\xa0"
    with played() as script:
        uri = script.uri("/temperature")
        message = Message(code=method, uri=uri, observe=0, payload=payload, **options)
        request = script.request(message)
        request.observation.register_callback(lambda response: None)
        numbers = []
        for mid, observe, etags in (("A", 0, ()), ("B", 0, (ETAG,)), ("C", 1, (ETAG,))):
            if observe:
                request.observation.cancel()
            got = script.expect(
                CON,
                method,
                mid=mid,
                token="t",
                uri_path=TEMPERATURE,
                observe=observe,
                etags=etags,
                payload=payload,
                within=31,
                **options,
            )
            found = [int(option.number) for option in got.opt.option_list()]
            numbers.append([number for number in found if number != ETAG_NUMBER])
            script.send(
                ACK,
                CONTENT,
                mid=mid,
                token="t",
                observe=None if observe else 1,
                etag=ETAG,
                max_age=15,
                payload=b"19.7 Cel",
            )
        assert numbers[0] == numbers[1] == numbers[2]


# Section 4.1


def test_only_the_same_endpoint_and_token_deregister() -> None:
    thermometer = Thermometer(b"18.5 Cel")
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid="A", token="t", observe=...)
        script.send(CON, GET, mid="B", token="u", uri_path=TEMPERATURE, observe=1)
        script.expect(ACK, CONTENT, mid="B", token="u", observe=None, payload=b"18.5 Cel")
        other = "[2001:db8::2]"
        script.send(CON, GET, mid="C", token="t", uri_path=TEMPERATURE, observe=1, peer=other)
        script.expect(ACK, CONTENT, mid="C", token="t", observe=None, peer=other)
        assert thermometer.count == 1
        script.send(CON, GET, mid="D", token="t", uri_path=TEMPERATURE, observe=1)
        script.expect(ACK, CONTENT, mid="D", token="t", observe=None, payload=b"18.5 Cel")
        assert thermometer.count == 0


def test_there_is_one_entry_for_an_endpoint_and_token() -> None:
    thermometer = Thermometer(b"18.5 Cel")
    with played(server(thermometer)) as script:
        for mid in ("A", "B", "C"):
            script.send(CON, GET, mid=mid, token="t", uri_path=TEMPERATURE, observe=0)
            script.expect(ACK, CONTENT, mid=mid, token="t", observe=..., payload=b"18.5 Cel")
            assert thermometer.count == 1
        thermometer.become(b"19.2 Cel")
        script.expect(CON, CONTENT, mid="D", token="t", observe=..., payload=b"19.2 Cel")
        script.send(RST, EMPTY, mid="D")
        assert thermometer.count == 0


# Section 4.2


class Formatted(ObservableResource):
    """What has a format, or none."""

    def __init__(self, content_format: int | None) -> None:
        super().__init__()
        self.content_format = content_format

    def become(self, content_format: int | None) -> None:
        """Have another format."""
        self.content_format = content_format
        self.updated_state()

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"19.2", content_format=self.content_format)


@pytest.mark.parametrize(("before", "after"), [(0, 60), (0, None), (None, 0)])
def test_a_notification_of_another_format_is_the_end(before: Any, after: Any) -> None:
    """ "The Content-Format specified in a 2.xx notification MUST be the same [...]".

    None at all is another one, too: what it stands for is up to the client (RFC 7252 section
    5.5.1).
    """
    formatted = Formatted(before)
    site = Site()
    site.add_resource(TEMPERATURE, formatted)
    with played(site) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid="A", token="t", observe=..., content_format=before)
        formatted.become(before)
        script.expect(CON, CONTENT, mid="B", token="t", observe=..., content_format=before)
        script.send(ACK, EMPTY, mid="B")
        formatted.become(after)
        script.expect(CON, NOT_ACCEPTABLE, mid="C", token="t", observe=None)
        script.send(ACK, EMPTY, mid="C")
        assert not formatted.observations


def test_a_target_is_registered_for_once() -> None:
    """Section 3.1: "A client MUST aggregate such requests and MUST NOT register more than once".

    The second observer begins and ends without a datagram, and sees the same.
    """
    with played() as script:
        first, states = observe(script)
        script.expect(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=0)
        early, early_states = observe(script)
        script.quiet(1)
        script.send(ACK, CONTENT, mid="A", token="t", observe=1, max_age=60, payload=b"18.5 Cel")
        assert script.result(first).payload == script.result(early).payload == b"18.5 Cel"
        script.quiet(10)
        late, late_states = observe(script)
        assert script.result(late).payload == b"18.5 Cel"
        script.quiet(10)
        script.send(NON, CONTENT, mid="B", token="t", observe=2, payload=b"19.2 Cel")
        assert states == early_states == late_states == [b"19.2 Cel"]
        first.observation.cancel()
        late.observation.cancel()
        script.quiet(1)
        script.send(NON, CONTENT, mid="C", token="t", observe=3, payload=b"19.7 Cel")
        assert (states, early_states) == ([b"19.2 Cel"], [b"19.2 Cel", b"19.7 Cel"])
        leave(script, early, "t")
        # From now on it is to be registered for again, and is another target by its options.
        for accept, token in ((None, "u"), (60, "v")):
            again, _ = observe(script, accept=accept)
            script.expect(
                CON, GET, mid=token, token=token, uri_path=TEMPERATURE, observe=0, accept=accept
            )
            script.send(ACK, CONTENT, mid=token, token=token, payload=b"20.1 Cel")
            assert script.result(again).payload == b"20.1 Cel"


def test_who_joins_when_it_is_stale_is_told_the_present_state() -> None:
    """Section 3.3.1: the client may register again "at any time", with the same token."""
    with played() as script:
        first, states = observe(script)
        script.expect(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=0)
        script.send(
            ACK, CONTENT, mid="A", token="t", observe=1, max_age=1, etag=ETAG, payload=b"19.7 Cel"
        )
        assert script.result(first).payload == b"19.7 Cel"
        script.quiet(2)
        late, late_states = observe(script, etags=[b"else"])
        script.expect(
            CON, GET, mid="B", token="t", uri_path=TEMPERATURE, observe=0, etag=ETAG, within=0
        )
        script.send(ACK, VALID, mid="B", token="t", observe=2, etag=ETAG)
        assert script.result(late).code == CONTENT
        assert script.result(late).payload == b"19.7 Cel"
        assert states == late_states == []
        first.observation.cancel()
        leave(script, late, "t", etags=(b"else", ETAG))


def test_a_new_registration_may_have_another_format() -> None:
    """It is the initial response to that one which counts then."""
    formatted = Formatted(0)
    site = Site()
    site.add_resource(TEMPERATURE, formatted)
    with played(site) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid="A", token="t", observe=..., content_format=0)
        formatted.content_format = 60
        script.send(CON, GET, mid="B", token="t", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid="B", token="t", observe=..., content_format=60)
        formatted.updated_state()
        script.expect(CON, CONTENT, mid="C", token="t", observe=..., content_format=60)
        script.send(RST, EMPTY, mid="C")
        assert not formatted.observations


# Section 4.5

DAY = 24 * 3600
ROUND = DAY / 24
"""Seconds between two looks at who is to be asked; being asked takes no longer than that more."""


def test_the_latest_state_comes_even_if_its_notification_was_lost() -> None:
    """At the latest when the observer is asked to confirm that it is there, after a day at most.

    It is so again the day after; who has gone meanwhile is no observer any more.
    """
    thermometer = Thermometer(b"18.5 Cel")
    with played(server(thermometer)) as script:
        script.send(NON, GET, token="t", uri_path=TEMPERATURE, observe=0)
        script.expect(NON, CONTENT, token="t", observe=..., payload=b"18.5 Cel")
        thermometer.become(b"19.2 Cel")
        lost = script.expect(NON, CONTENT, token="t", observe=..., payload=b"19.2 Cel")
        for mid in ("A", "B"):
            found = script.expect(
                CON, CONTENT, mid=mid, token="t", observe=..., payload=b"19.2 Cel", within=DAY + 1
            )
            assert found.time - lost.time > DAY - 2 * ROUND
            if mid == "A":
                script.send(ACK, EMPTY, mid="A")
                lost = found
        for wait in (3, 6, 12, 24):
            script.expect_raw(found.raw, within=wait)
        assert thermometer.count == 1
        script.quiet(48)
        assert thermometer.count == 0


def test_a_newer_notification_takes_the_place_of_what_waits() -> None:
    """Sections 4.5.1 and 4.5.2: one is outstanding; states between are silently skipped."""
    thermometer = Thermometer(b"0", CON)
    with played(server(thermometer)) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=TEMPERATURE, observe=0)
        script.expect(ACK, CONTENT, mid="A", token="t", observe=..., payload=b"0")
        thermometer.become(b"1")
        script.expect(CON, CONTENT, mid="B", token="t", observe=..., payload=b"1")
        for state in (b"2", b"3", b"4"):
            thermometer.become(state)
            script.quiet(0.5)
        script.send(ACK, EMPTY, mid="B")
        # Acknowledged, so that the attempts begin anew.
        script.expect(CON, CONTENT, mid="C", token="t", observe=..., payload=b"4", within=0)
        thermometer.become(b"5")
        script.expect(CON, CONTENT, mid="D", token="t", observe=..., payload=b"5", within=3)
        # An acknowledgement that comes late says that the client is there, but not what it knows.
        script.send(ACK, EMPTY, mid="C")
        script.expect(CON, CONTENT, mid="D", token="t", observe=..., payload=b"5", within=6)
        thermometer.become(b"6")
        script.expect(CON, CONTENT, mid="E", token="t", observe=..., payload=b"6", within=12)
        assert thermometer.count == 1
        # A Reset that comes late is the end all the same.
        script.send(RST, EMPTY, mid="D")
        assert thermometer.count == 0


def test_a_client_gets_one_notification_at_a_time_whatever_it_observes() -> None:
    """Section 4.5.1: NSTART is a limit for each client, not for each observation."""
    thermometer = Thermometer(b"0", CON)
    other = "[2001:db8::2]"
    with played(server(thermometer)) as script:
        for name, peer in (("t", None), ("u", None), ("v", other)):
            script.send(CON, GET, mid=name, token=name, uri_path=TEMPERATURE, observe=0, peer=peer)
            script.expect(ACK, CONTENT, mid=name, token=name, observe=..., peer=peer)
        thermometer.become(b"1")
        script.expect(CON, CONTENT, mid="A", token="t", payload=b"1")
        script.expect(CON, CONTENT, mid="C", token="v", payload=b"1", peer=other)
        script.send(RST, EMPTY, mid="C", peer=other)
        script.quiet(1)
        # What waits is the latest when its time comes.
        thermometer.become(b"2")
        script.quiet(0.9)
        script.send(ACK, EMPTY, mid="A")
        tokens = set()
        for mid in ("D", "E"):
            got = script.expect(CON, CONTENT, mid=mid, payload=b"2", within=0)
            tokens.add(got.token)
            script.quiet(1.9)
            script.send(RST, EMPTY, mid=mid)
        assert tokens == {script.token("t"), script.token("u")}
        assert thermometer.count == 0

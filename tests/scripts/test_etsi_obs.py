"""The cases TD_COAP_OBS of the ETSI CoAP#4 plugtest, both roles.

In tests of the server, the script plays the client; in tests of the client, the server. What the
cases call "changes periodically" does so when the script says, or as time passes; a loop of theirs
is gone through twice or more.

There is no case 03. Where a case is about what one role does on its own, the test of the other
role is about what that one is to make of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aiocoap import (
    ACK,
    CHANGED,
    CON,
    CONTENT,
    DELETE,
    DELETED,
    EMPTY,
    GET,
    NON,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    PUT,
    RST,
    Code,
    Message,
    Type,
)
from aiocoap.error import ObservationCancelled
from aiocoap.resource import ObservableResource, Site
from aiocoap.sansio.observation import is_newer
from tests.harness import Received, Script
from tests.scripts.blocks import S64, S1024, fetch, numbers
from tests.scripts.site import LARGE, PERIOD, TEXT, XML, Store, played

OBS = ("obs",)
LARGE_OBS = ("obs-large",)
PUMPING = ("obs-pumping",)
OTHER = "[2001:db8::2]"
"""A client that does not observe."""

SMALL = b"of one message"


class Watched(Store, ObservableResource):
    """What can be observed while it is read, replaced and deleted."""

    count = 0
    """How many observers there are."""

    def store(self, value: bytes | None, content_format: int | None = TEXT) -> None:
        super().store(value, content_format)
        self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        self.count = newcount


@contextmanager
def serving(path: tuple[str, ...] = OBS, value: bytes = b"0") -> Iterator[tuple[Script, Watched]]:
    """Play against a server; in the end nobody is to observe any more."""
    site, watched = Site(), Watched(value)
    site.add_resource(path, watched)
    with played(site) as script:
        yield script, watched
    assert watched.count == 0


class Observer:
    """One that is observed while it observes.

    Args:
        script: The script it is in.
        path: What it observes.
        mtype: Type of its request.

    Attributes:
        request: What it has of its request.
        seen: What it "displays" of the notifications.
        states: What it says of how much it knows.
        errors: What has ended it.
    """

    def __init__(self, script: Script, path: str = "/obs", mtype: Type = CON) -> None:
        message = Message(mtype=mtype, code=GET, uri=script.uri(path), observe=0)
        self.request = script.request(message)
        self.seen: list[bytes] = []
        self.codes: list[Code] = []
        self.states: list[str] = []
        self.errors: list[Any] = []
        observation = self.request.observation
        observation.register_callback(self._take)
        observation.register_errback(self.errors.append)
        observation.register_statecallback(self.states.append)

    def _take(self, response: Message) -> None:
        self.seen.append(response.payload)
        self.codes.append(response.code)


# Parts that most of the cases have; the script plays the client


def is_later(one: Received, other: Received) -> bool:
    """Whether a notification has the greater number, modulo 2²⁴."""
    return is_newer(other.opt.observe, 0.0, one.opt.observe, 0.0)


def register(script: Script, mtype: Type = CON, path: tuple[str, ...] = OBS) -> Received:
    """Register, and get the state by a first notification (steps 1 to 3)."""
    script.send(mtype, GET, mid="A", token="t", uri_path=path, observe=0)
    return script.expect(
        ACK if mtype is CON else NON,
        CONTENT,
        mid="A" if mtype is CON else None,
        token="t",
        observe=...,
        content_format=TEXT,
        payload=b"0",
    )


def changes(
    script: Script, watched: Watched, before: Received, *values: bytes, mtype: Type = CON
) -> Received:
    """Get a notification of each change, and acknowledge it (steps 4 to 6)."""
    for value in values:
        script.quiet(PERIOD)
        watched.store(value)
        notification = script.expect(
            mtype, CONTENT, token="t", observe=..., content_format=TEXT, payload=value
        )
        assert is_later(notification, before)
        assert notification.mid != before.mid
        if mtype is CON:
            script.send(ACK, EMPTY, mid=notification.mid)
        before = notification
    return before


def leave(script: Script, watched: Watched) -> None:
    """End a script whose observation has not ended by itself."""
    watched.store(b"the end")
    script.expect((CON, NON), CONTENT, mid="last", token="t", payload=b"the end")
    script.send(RST, EMPTY, mid="last")


# Parts that most of the cases have; the script plays the server


def take_registration(
    script: Script,
    observer: Observer,
    mtype: Type = CON,
    max_age: int | None = None,
    path: tuple[str, ...] = OBS,
) -> None:
    """Be registered at, and tell the state (steps 1 to 3)."""
    request = script.expect(mtype, GET, mid="A", token="t", uri_path=path, observe=0)
    # "Observe option = empty" (the value 0 as RFC 7641 section 2 has it).
    assert b"\x60" in request.raw[4 + len(request.token) :]
    assert request.token
    script.send(
        ACK if mtype is CON else NON,
        CONTENT,
        mid="A" if mtype is CON else None,
        token="t",
        observe=7,
        content_format=TEXT,
        max_age=max_age,
        payload=b"0",
    )
    assert script.result(observer.request).payload == b"0"


def notify(script: Script, number: int, payload: bytes, mtype: Type = CON, **options: Any) -> None:
    """Tell a state, and have that acknowledged (steps 4 to 6)."""
    options.setdefault("content_format", TEXT)
    script.send(
        mtype, CONTENT, mid=f"N{number}", token="t", observe=number, payload=payload, **options
    )
    if mtype is CON:
        script.expect(ACK, EMPTY, mid=f"N{number}", token=b"", payload=b"")


def take_leave(script: Script, observer: Observer, path: tuple[str, ...] = OBS) -> None:
    """End a script whose observation has not ended by itself."""
    observer.request.observation.cancel()
    script.expect(CON, GET, mid="end", token="t", uri_path=path, observe=1)
    script.send(ACK, CONTENT, mid="end", token="t", content_format=TEXT, payload=b"unseen")


# 01 Handle resource observation with CON messages


def test_TD_COAP_OBS_01_server() -> None:
    with serving() as (script, watched):
        first = register(script)
        changes(script, watched, first, b"1", b"2", b"3")
        leave(script, watched)


def test_TD_COAP_OBS_01_client() -> None:
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer)
        for number in range(8, 12):
            script.quiet(PERIOD)
            notify(script, number, b"state %d" % number)
        assert observer.seen == [b"state 8", b"state 9", b"state 10", b"state 11"]
        take_leave(script, observer)


# 02 Handle resource observation with NON messages


def test_TD_COAP_OBS_02_server() -> None:
    with serving() as (script, watched):
        first = register(script, NON)
        changes(script, watched, first, b"1", b"2", b"3", mtype=NON)
        leave(script, watched)


def test_TD_COAP_OBS_02_client() -> None:
    with played() as script:
        observer = Observer(script, mtype=NON)
        take_registration(script, observer, NON)
        for number in range(8, 11):
            script.quiet(PERIOD)
            notify(script, number, b"state %d" % number, NON)
        # "The server could still occasionally send a confirmable message".
        notify(script, 11, b"state 11", CON)
        notify(script, 12, b"state 12", NON)
        assert observer.seen == [b"state %d" % number for number in range(8, 13)]
        observer.request.observation.cancel()
        script.expect(NON, GET, token="t", uri_path=OBS, observe=1)
        script.send(NON, CONTENT, token="t", content_format=TEXT, payload=b"unseen")


# 04 Client detection of deregistration (Max-Age)


def test_TD_COAP_OBS_04_server() -> None:
    """A server that has lost its observers takes the same token for a new registration."""
    with serving() as (script, watched):
        changes(script, watched, register(script), b"1", b"2")
        for observation in watched.observations:
            observation.deregister("forcibly removed")
        script.expect(CON, CONTENT, mid="lost", token="t", observe=None, payload=b"2")
        script.send(ACK, EMPTY, mid="lost")
        assert watched.count == 0
        watched.store(b"0")
        script.quiet(100)
        script.send(CON, GET, mid="B", token="t", uri_path=OBS, observe=0)
        first = script.expect(
            ACK, CONTENT, mid="B", token="t", observe=..., content_format=TEXT, payload=b"0"
        )
        assert watched.count == 1
        changes(script, watched, first, b"3", b"4")
        leave(script, watched)


def test_TD_COAP_OBS_04_client() -> None:
    """The note wants it after "Max-Age + MAX_LATENCY", as a draft did.

    RFC 7641 section 3.3.1 has a random time between 5 and 15 seconds instead.
    """
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer, max_age=5)
        script.quiet(PERIOD - 1)
        notify(script, 8, b"1", max_age=5)
        assert observer.seen == [b"1"]
        # The server forgets about it.
        script.quiet(5 + 5 - 0.1)
        assert observer.states[-1] == "stale"
        assert observer.seen == [b"1"]
        script.expect(CON, GET, mid="B", token="t", uri_path=OBS, observe=0, within=10.2)
        # Its numbers begin anew.
        script.send(
            ACK,
            CONTENT,
            mid="B",
            token="t",
            observe=2,
            content_format=TEXT,
            max_age=60,
            payload=b"2",
        )
        assert observer.states[-1] == "fresh"
        for number in (3, 4):
            script.quiet(PERIOD)
            notify(script, number, b"%d" % number)
        assert observer.seen == [b"1", b"2", b"3", b"4"]
        take_leave(script, observer)


# 05 Server detection of deregistration (client OFF)


def test_TD_COAP_OBS_05_server() -> None:
    """The case wants each retransmission to have another Observe value.

    It is to have the number that is current then (RFC 7641 section 4.4): where the resource has
    not changed meanwhile, that is the same one.
    """
    with serving() as (script, watched):
        before = changes(script, watched, register(script), b"1", b"2")
        script.quiet(PERIOD)
        watched.store(b"3")
        lost = script.expect(CON, CONTENT, mid="X", token="t", observe=..., payload=b"3")
        assert is_later(lost, before)
        script.expect_raw(lost.raw, within=3)
        # It changes: the next retransmission is of that, with the attempts counted on.
        watched.store(b"4")
        newer = script.expect(CON, CONTENT, mid="Y", token="t", observe=..., payload=b"4", within=6)
        assert newer.mid != lost.mid
        assert is_later(newer, lost)
        assert watched.count == 1
        script.expect_raw(newer.raw, within=12)
        script.expect_raw(newer.raw, within=24)
        script.quiet(31)
        assert watched.count == 1
        script.quiet(17.1)
        assert watched.count == 0
        watched.store(b"5")
        script.quiet(100)


def test_TD_COAP_OBS_05_client() -> None:
    """A client that is off does not say so, and neither acknowledges nor rejects anything."""
    with Script() as script:
        observer = Observer(script)
        take_registration(script, observer)
        notify(script, 8, b"1")
        script.clock.run(script.context.shutdown())
        script.send(CON, CONTENT, mid="X", token="t", observe=9, payload=b"2")
        script.quiet(10)
        script.send_raw(script.sent)
        script.quiet(200)
        assert observer.seen == [b"1"]
        assert len(observer.errors) == 1


# 06 Server detection of deregistration (explicit RST)


def test_TD_COAP_OBS_06_server() -> None:
    with serving() as (script, watched):
        changes(script, watched, register(script), b"1", b"2")
        script.quiet(PERIOD)
        watched.store(b"3")
        script.expect(CON, CONTENT, mid="X", token="t", observe=..., payload=b"3")
        assert watched.count == 1
        script.send(RST, EMPTY, mid="X")
        assert watched.count == 0
        watched.store(b"4")
        script.quiet(100)


def test_TD_COAP_OBS_06_client() -> None:
    """The client after its reboot knows nothing of a notification to the one before."""
    with played() as script:
        script.send(
            CON, CONTENT, mid="X", token=b"before", observe=9, content_format=TEXT, payload=b"3"
        )
        rejected = script.expect(RST, EMPTY, mid="X", token=b"", payload=b"")
        assert len(rejected.raw) == 4
        # Where the Reset was lost, the same again.
        script.quiet(2.5)
        script.send_raw(script.sent)
        script.expect_raw(rejected.raw)


# 07 Server cleans the observers list on DELETE


def test_TD_COAP_OBS_07_server() -> None:
    with serving() as (script, watched):
        changes(script, watched, register(script), b"1", b"2")
        script.send(CON, DELETE, mid="D", token="d", uri_path=OBS, peer=OTHER)
        script.expect(ACK, DELETED, mid="D", token="d", peer=OTHER)
        script.expect(CON, NOT_FOUND, mid="X", token="t", observe=None)
        assert watched.count == 0
        script.send(ACK, EMPTY, mid="X")
        watched.store(b"3")
        script.quiet(100)


def test_TD_COAP_OBS_07_client() -> None:
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer)
        notify(script, 8, b"1")
        ended(script, observer, NOT_FOUND)


# 08 Server cleans the observers list when observed resource content-format changes


def test_TD_COAP_OBS_08_server() -> None:
    """The format is changed by PUT; the DELETE of the description is a slip of the pen."""
    with serving() as (script, watched):
        changes(script, watched, register(script), b"1", b"2")
        watched.store(b"<three/>", XML)
        script.expect(CON, NOT_ACCEPTABLE, mid="X", token="t", observe=None, content_format=None)
        assert watched.count == 0
        script.send(ACK, EMPTY, mid="X")
        watched.store(b"<four/>", XML)
        watched.store(b"4", TEXT)
        script.quiet(100)


def test_TD_COAP_OBS_08_client() -> None:
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer)
        notify(script, 8, b"1")
        ended(script, observer, NOT_ACCEPTABLE)


def ended(script: Script, observer: Observer, code: Code) -> None:
    """Tell that the observation is over; nothing is displayed after that."""
    script.send(CON, code, mid="X", token="t")
    script.expect(ACK, EMPTY, mid="X", token=b"")
    assert observer.codes == [CONTENT, code]
    (problem,) = observer.errors
    assert isinstance(problem, ObservationCancelled)
    assert observer.states[-1] == "over"
    # Against the case, it goes on: the client does not know the token any more.
    script.send(CON, CONTENT, mid="Y", token="t", observe=20, payload=b"more")
    script.expect(RST, EMPTY, mid="Y")
    assert observer.seen[1:] == [b""]
    # And it says nothing more to the server: there is nothing to end.
    observer.request.observation.cancel()
    script.quiet(100)


# 09 Update of the observed resource


def test_TD_COAP_OBS_09_server() -> None:
    with serving() as (script, watched):
        before = changes(script, watched, register(script), b"1", b"2")
        for name, value in (("P", b"new value"), ("Q", b"newer value")):
            script.send(
                CON,
                PUT,
                mid=name,
                token=name,
                uri_path=OBS,
                content_format=TEXT,
                payload=value,
                peer=OTHER,
            )
            script.expect(ACK, CHANGED, mid=name, token=name, peer=OTHER)
            after = script.expect(
                CON, CONTENT, token="t", observe=..., content_format=TEXT, payload=value
            )
            assert is_later(after, before)
            script.send(ACK, EMPTY, mid=after.mid)
            before = after
        changes(script, watched, before, b"3")
        leave(script, watched)


def test_TD_COAP_OBS_09_client() -> None:
    """The client that observes is the one that updates."""
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer)
        notify(script, 8, b"1")
        put = script.request(
            Message(code=PUT, uri=script.uri("/obs"), content_format=TEXT, payload=b"new value")
        )
        script.expect(CON, PUT, mid="P", token="p", uri_path=OBS, observe=None)
        # What it causes comes first.
        notify(script, 9, b"new value")
        assert observer.seen == [b"1", b"new value"]
        script.send(ACK, CHANGED, mid="P", token="p")
        assert script.result(put).code == CHANGED
        assert observer.seen == [b"1", b"new value"]
        notify(script, 10, b"2")
        assert observer.seen[2:] == [b"2"]
        take_leave(script, observer)


# 10 GET does not cancel resource observation


def test_TD_COAP_OBS_10_server() -> None:
    with serving() as (script, watched):
        before = changes(script, watched, register(script), b"1", b"2")
        script.send(CON, GET, mid="G", token="t2", uri_path=OBS)
        script.expect(
            ACK, CONTENT, mid="G", token="t2", observe=None, content_format=TEXT, payload=b"2"
        )
        assert watched.count == 1
        changes(script, watched, before, b"3", b"4")
        leave(script, watched)


def test_TD_COAP_OBS_10_client() -> None:
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer)
        notify(script, 8, b"1")
        get = script.request(Message(code=GET, uri=script.uri("/obs")))
        unrelated = script.expect(CON, GET, mid="G", token="t2", uri_path=OBS, observe=None)
        assert unrelated.token != script.token("t")
        script.send(ACK, CONTENT, mid="G", token="t2", content_format=TEXT, payload=b"1")
        assert script.result(get).payload == b"1"
        assert observer.seen == [b"1"]
        for number in (9, 10):
            script.quiet(PERIOD)
            notify(script, number, b"state %d" % number)
        assert observer.seen == [b"1", b"state 9", b"state 10"]
        take_leave(script, observer)


# 11 Handle resource observation with CON messages (lossy case)


@pytest.mark.parametrize("attempts", [2, 3, 4])
def test_TD_COAP_OBS_11_server(attempts: int) -> None:
    """Each notification, or what it is superseded by, gets through at one attempt or another."""
    with serving() as (script, watched):
        before = register(script)
        for round_ in range(3):
            value = b"%d" % round_
            watched.store(value)
            lost = script.expect(CON, CONTENT, token="t", observe=..., payload=value)
            for attempt in range(2, attempts + 1):
                # "There are never multiple notifications active at one time": a newer one
                # takes the place of the one before (RFC 7641 section 4.5.2).
                value = b"%d, attempt %d" % (round_, attempt)
                watched.store(value)
                script.quiet(2 ** (attempt - 1) - 0.1)
                found = script.expect(
                    CON, CONTENT, token="t", observe=..., payload=value, within=2**attempt
                )
                assert found.mid != lost.mid
                assert is_later(found, lost)
                lost = found
            script.send(ACK, EMPTY, mid=lost.mid)
            script.quiet(60)
            assert is_later(lost, before)
            before = lost
        leave(script, watched)


def test_TD_COAP_OBS_11_client() -> None:
    """Acknowledgements get lost, and notifications come late."""
    with played() as script:
        observer = Observer(script)
        script.expect(CON, GET, mid="A", token="t", uri_path=OBS, observe=0)
        # The request was lost, or the response.
        script.expect(CON, GET, mid="A", token="t", uri_path=OBS, observe=0, within=3)
        script.send(ACK, CONTENT, mid="A", token="t", observe=7, content_format=TEXT, payload=b"0")
        script.send_raw(script.sent)
        assert script.result(observer.request).payload == b"0"
        notify(script, 8, b"1")
        script.send_raw(script.sent)
        acknowledgement = script.expect(ACK, EMPTY, mid="N8", token=b"")
        script.quiet(5)
        script.send_raw(script.sent)
        script.expect_raw(acknowledgement.raw)
        assert observer.seen == [b"1"]
        notify(script, 10, b"3")
        # That comes after what was sent after it; it is acknowledged, as it has come.
        notify(script, 9, b"2")
        assert observer.seen == [b"1", b"3"]
        take_leave(script, observer)


# 12 GET with Observe=1 does cancel resource observation


def test_TD_COAP_OBS_12_server() -> None:
    with serving() as (script, watched):
        changes(script, watched, register(script), b"1", b"2")
        script.send(CON, GET, mid="C", token="t", uri_path=OBS, observe=1)
        script.expect(
            ACK, CONTENT, mid="C", token="t", observe=None, content_format=TEXT, payload=b"2"
        )
        assert watched.count == 0
        watched.store(b"3")
        script.quiet(100)


def test_TD_COAP_OBS_12_client() -> None:
    with played() as script:
        observer = Observer(script)
        take_registration(script, observer)
        notify(script, 8, b"1")
        take_leave(script, observer)
        script.quiet(100)
        assert observer.seen == [b"1"]
        # If one were on its way still, it would be rejected.
        script.send(NON, CONTENT, mid="X", token="t", observe=9, payload=b"2")
        script.expect(RST, EMPTY, mid="X")
        assert observer.seen == [b"1"]


# 13 Handle observation of large resources (with Block2)


def test_TD_COAP_OBS_13_server() -> None:
    with serving(LARGE_OBS, LARGE) as (script, watched):
        script.send(CON, GET, mid="A", token="t", uri_path=LARGE_OBS, observe=0)
        first = first_block(script, LARGE, ACK, mid="A")
        fetch(script, 1024, S1024, LARGE, uri_path=LARGE_OBS, name="0-", etag=first.opt.etag)
        for number in (1, 2):
            script.quiet(PERIOD)
            body = b"%d" % number + LARGE
            watched.store(body)
            found = first_block(script, body, CON)
            assert is_later(found, first)
            assert found.opt.etag != first.opt.etag
            script.send(ACK, EMPTY, mid=found.mid)
            first = found
            fetch(
                script, 1024, S1024, body, uri_path=LARGE_OBS, name=f"{number}-",
                etag=found.opt.etag,
            )  # fmt: skip
        assert watched.count == 1
        leave(script, watched)


def first_block(script: Script, body: bytes, mtype: Type, mid: str | None = None) -> Received:
    """Get the block of a notification that comes by itself: it is full."""
    return script.expect(
        mtype,
        CONTENT,
        mid=mid,
        token="t",
        observe=...,
        content_format=TEXT,
        etag=...,
        block2=(0, True, S1024),
        payload=body[:1024],
    )


def test_TD_COAP_OBS_13_client() -> None:
    with played() as script:
        observer = Observer(script, "/obs-large")
        script.expect(CON, GET, mid="A", token="t", uri_path=LARGE_OBS, observe=0)
        blocks: dict[str, Any] = {"content_format": TEXT, "block2": (0, True, S64)}
        script.send(
            ACK, CONTENT, mid="A", token="t", observe=7, etag=b"0", payload=LARGE[:64], **blocks
        )
        body = LARGE[:200]
        rest(script, body, "0-", b"0")
        assert script.result(observer.request).payload == body
        for number in (8, 9):
            script.quiet(PERIOD)
            body = LARGE[number : 200 + number]
            etag = b"%d" % number
            notify(script, number, body[:64], etag=etag, **blocks)
            rest(script, body, f"{number}-", etag)
            assert observer.seen[-1] == body
        assert len(observer.seen) == 2
        observer.request.observation.cancel()
        script.expect(CON, GET, mid="end", token="t", uri_path=LARGE_OBS, observe=1)
        script.send(ACK, CONTENT, mid="end", token="t", content_format=TEXT, payload=b"unseen")


def rest(
    script: Script, body: bytes, name: str, etag: bytes, path: tuple[str, ...] = LARGE_OBS
) -> None:
    """Be asked for all but the first block, by requests without Observe and of other tokens."""
    for number, more, payload in numbers(64, S64, body):
        call = f"{name}{number}"
        request = script.expect(
            CON, GET, mid=call, token=call, uri_path=path, observe=None, block2=(number, False, S64)
        )
        assert request.token != script.token("t")
        script.send(
            ACK,
            CONTENT,
            mid=call,
            token=call,
            content_format=TEXT,
            etag=etag,
            block2=(number, more, S64),
            payload=payload,
        )


# 14 Handle observation of variable size large resources (with Block2)


@pytest.mark.parametrize("begins_large", [False, True])
def test_TD_COAP_OBS_14_server(begins_large: bool) -> None:
    bodies = [SMALL, LARGE, SMALL + b"!", LARGE + b"!", SMALL][begins_large:]
    with serving(PUMPING, bodies[0]) as (script, watched):
        script.send(CON, GET, mid="A", token="t", uri_path=PUMPING, observe=0)
        before = None
        for count, body in enumerate(bodies):
            if count:
                script.quiet(PERIOD)
                watched.store(body)
            mtype = CON if count else ACK
            if len(body) > 1024:
                found = first_block(script, body, mtype)
            else:
                found = script.expect(
                    mtype,
                    CONTENT,
                    token="t",
                    observe=...,
                    content_format=TEXT,
                    block2=None,
                    payload=body,
                )
            assert before is None or is_later(found, before)
            before = found
            if count:
                script.send(ACK, EMPTY, mid=found.mid)
            if len(body) > 1024:
                fetch(
                    script, 1024, S1024, body, uri_path=PUMPING, name=f"{count}-",
                    etag=found.opt.etag,
                )  # fmt: skip
        leave(script, watched)


@pytest.mark.parametrize("begins_large", [False, True])
def test_TD_COAP_OBS_14_client(begins_large: bool) -> None:
    bodies = [SMALL, LARGE[:200], SMALL + b"!", LARGE[7:200], SMALL][begins_large:]
    with played() as script:
        observer = Observer(script, "/obs-pumping")
        script.expect(CON, GET, mid="A", token="t", uri_path=PUMPING, observe=0)
        for count, body in enumerate(bodies):
            is_large = len(body) > 64
            etag = b"%d" % count
            options: dict[str, Any] = {"content_format": TEXT, "etag": etag}
            if is_large:
                options["block2"] = (0, True, S64)
            if count:
                script.quiet(PERIOD)
                notify(script, count, body[:64], **options)
            else:
                script.send(
                    ACK, CONTENT, mid="A", token="t", observe=0, payload=body[:64], **options
                )
            if is_large:
                rest(script, body, f"{count}-", etag, PUMPING)
        assert script.result(observer.request).payload == bodies[0]
        assert observer.seen == bodies[1:]
        observer.request.observation.cancel()
        script.expect(CON, GET, mid="end", token="t", uri_path=PUMPING, observe=1)
        script.send(ACK, CONTENT, mid="end", token="t", content_format=TEXT, payload=b"unseen")

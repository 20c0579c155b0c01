"""Requests to groups, message by message: RFC 7252 section 8, RFC 7641 in groups, RFC 7959 2.8.

In tests of the client, the script plays all members of a group; in tests of the server, it plays
a client that sends to the group which the server is in.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiocoap import (
    ACK,
    CHANGED,
    CON,
    CONTENT,
    EMPTY,
    GET,
    NON,
    NOT_FOUND,
    POST,
    PUT,
    RST,
    UNAUTHORIZED,
    Message,
    error,
)
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import ObservableResource, Resource, Site, WKCResource
from tests.harness import Script
from tests.scripts.site import played

GROUP = "[ff02::fd]"
MEMBERS = ("[2001:db8::a1]", "[2001:db8::b1]", "[2001:db8::c1]")
LEISURE, GROUP_TIMEOUT = 5.0, 10.0


# The client


class Group:
    """A request to a group, and what comes of it.

    Args:
        script: Plays the members.
        path: Path of what is asked for.
        options: Of the request.
    """

    def __init__(self, script: Script, path: str = "/test", **options: Any) -> None:
        self.script = script
        message = Message(**{"code": GET, **options}, uri=script.uri(path, GROUP))
        self.request = script.request(message)
        self.responses = self.request.responses
        self.begun = script.clock.now
        self.seen: list[Message] = []
        self.ended: float | None = None
        self.task = script.clock.run(self._begin())

    async def _begin(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._iterate())

    async def _iterate(self) -> None:
        async for response in self.responses:
            self.seen.append(response)
        self.ended = self.script.clock.now

    def end(self) -> list[tuple[str, bytes]]:
        """Let the iteration end by itself; return who answered what."""
        self.script.clock.run(self.task)
        return [(response.remote.hostinfo, response.payload) for response in self.seen]  # type: ignore[union-attr]


def test_every_member_answers() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", uri_path=("test",), peer=GROUP)
        for number, member in enumerate(MEMBERS):
            script.clock.advance(1.5)
            script.send(NON, CONTENT, token="t", payload=b"%d" % number, peer=member)
            assert len(group.seen) == number + 1
        assert group.end() == [(member, b"%d" % n) for n, member in enumerate(MEMBERS)]
        assert group.ended == group.begun + GROUP_TIMEOUT
        assert script.result(group.request) is group.seen[0]
        for member, response in zip(MEMBERS, group.seen, strict=True):
            # Section 8.2: what links are relative to.
            assert response.get_request_uri() == f"coap://{member}/test"


def test_nobody_answers() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, peer=GROUP)
        assert group.end() == []
        assert group.ended == group.begun + GROUP_TIMEOUT
        with pytest.raises(error.RequestTimedOut):
            script.result(group.request)


def test_patience_is_up_to_the_request() -> None:
    class Patient(TransportTuning):
        GROUP_TIMEOUT = 25.0

    with played() as script:
        group = Group(script, transport_tuning=Patient)
        script.expect(NON, GET, token="t", peer=GROUP)
        script.clock.advance(20)
        script.send(NON, CONTENT, token="t", peer=MEMBERS[0])
        assert len(group.end()) == 1
        assert group.ended == group.begun + 25


def test_errors_are_responses_too() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        script.send(NON, NOT_FOUND, token="t", peer=MEMBERS[0])
        group.end()
        assert [response.code for response in group.seen] == [NOT_FOUND]


def test_responses_may_be_confirmable() -> None:
    """As section 5.2.3 has it; repeated ones are acknowledged, and otherwise no concern."""
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        for member in MEMBERS[:2]:
            for _ in range(2):
                script.send(CON, CONTENT, mid="m", token="t", payload=b"x", peer=member)
                script.expect(ACK, EMPTY, mid="m", peer=member)
        assert group.end() == [(member, b"x") for member in MEMBERS[:2]]


def test_a_member_answers_once() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        script.send(NON, CONTENT, token="t", payload=b"1", peer=MEMBERS[0])
        script.send(NON, CONTENT, token="t", payload=b"2", peer=MEMBERS[0])
        script.send(CON, CONTENT, mid="m", token="t", payload=b"3", peer=MEMBERS[0])
        script.expect(RST, EMPTY, mid="m", peer=MEMBERS[0])
        assert group.end() == [(MEMBERS[0], b"1")]


def test_a_member_may_be_too_late() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        assert group.end() == []
        script.send(CON, CONTENT, mid="m", token="t", peer=MEMBERS[0])
        script.expect(RST, EMPTY, mid="m", peer=MEMBERS[0])


def test_only_the_token_matches() -> None:
    with played() as script:
        group, other = Group(script), Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        script.expect(NON, GET, token="u", peer=GROUP)
        script.send(NON, CONTENT, token="u", payload=b"u", peer=MEMBERS[0])
        script.send(NON, CONTENT, token="t", payload=b"t", peer=MEMBERS[0])
        script.send(NON, CONTENT, token=b"neither", peer=MEMBERS[0])
        assert group.end() == [(MEMBERS[0], b"t")]
        assert other.end() == [(MEMBERS[0], b"u")]


def test_each_body_is_fetched_by_unicast() -> None:
    """RFC 7959 section 2.8; the members go on at the same time."""
    bodies = {member: bytes([n]) * (100 + n) for n, member in enumerate(MEMBERS)}
    with played() as script:
        group = Group(script, uri_host="group.example")
        script.expect(NON, GET, token="t", peer=GROUP, block2=None)
        for member, body in bodies.items():
            first = {"payload": body[:64], "block2": (0, True, 2)}
            script.send(NON, CONTENT, token="t", peer=member, **first)
        for member, body in bodies.items():
            script.expect(
                CON,
                GET,
                mid="m" + member,
                token="t" + member,
                peer=member,
                uri_path=("test",),
                uri_host="group.example",
                block2=(1, False, 2),
            )
            script.clock.advance(0.5)
            script.send(
                ACK,
                CONTENT,
                mid="m" + member,
                token="t" + member,
                peer=member,
                payload=body[64:],
                block2=(1, False, 2),
            )
        assert group.end() == list(bodies.items())
        assert group.ended == group.begun + GROUP_TIMEOUT
        assert script.result(group.request) is group.seen[0]


def test_the_end_waits_for_the_last_body() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        for member in MEMBERS[:2]:
            first = {"payload": bytes(16), "block2": (0, True, 0)}
            script.send(NON, CONTENT, token="t", peer=member, **first)
            script.expect(CON, GET, mid=member, token=member, peer=member)
            script.send(ACK, EMPTY, mid=member, peer=member)
        script.clock.advance(30)
        assert group.ended is None
        last = {"payload": b"end", "block2": (1, False, 0)}
        script.send(NON, CONTENT, token=MEMBERS[1], peer=MEMBERS[1], **last)
        assert group.seen[0].payload == bytes(16) + b"end"
        # The other one never goes on.
        assert group.end() == [(MEMBERS[1], bytes(16) + b"end")]
        (problem,) = group.responses.failures.values()
        assert isinstance(problem, error.RequestTimedOut)
        assert script.result(group.request).remote.hostinfo == MEMBERS[1]  # type: ignore[union-attr]


def test_a_member_wants_a_proof_of_our_address() -> None:
    """RFC 9175 section 2.3: it gets one by unicast."""
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        script.send(NON, UNAUTHORIZED, token="t", echo=b"prove", peer=MEMBERS[0])
        script.expect(CON, GET, mid="m", token="u", echo=b"prove", peer=MEMBERS[0])
        script.send(ACK, CONTENT, mid="m", token="u", payload=b"proved", peer=MEMBERS[0])
        assert group.end() == [(MEMBERS[0], b"proved")]


def test_requests_to_groups_are_never_confirmable() -> None:
    with played() as script:
        request = script.request(Message(mtype=CON, code=GET, uri=script.uri("/", GROUP)))
        with pytest.raises(error.ConToMulticast):
            script.result(request)


def test_requests_to_groups_have_no_etag() -> None:
    """Section 8.2.1: what one member takes for its own may be anything to another."""
    with played() as script:
        group = Group(script, etags=[b"known"], accept=0)
        sent = script.expect(NON, GET, token="t", uri_path=("test",), accept=0, peer=GROUP)
        assert sent.opt.etags == ()
        script.send(NON, CONTENT, token="t", payload=b"1", peer=MEMBERS[0])
        assert group.end() == [(MEMBERS[0], b"1")]


def test_the_network_does_not_take_it() -> None:
    with played() as script:
        group = Group(script)
        sent = script.expect(NON, GET, token="t", peer=GROUP)
        problem = error.NetworkError("Network is unreachable")
        script.clock.loop.call_soon(script.endpoint.manager.dispatch_error, problem, sent.remote)
        with pytest.raises(error.NetworkError, match="unreachable"):
            group.end()
        with pytest.raises(error.NetworkError, match="unreachable"):
            script.result(group.request)


def test_a_loop_that_is_left() -> None:
    with played() as script:
        group = Group(script)
        script.expect(NON, GET, token="t", peer=GROUP)
        script.send(NON, CONTENT, token="t", peer=MEMBERS[0])
        group.responses.cancel()
        script.send(CON, CONTENT, mid="m", token="t", peer=MEMBERS[1])
        script.expect(RST, EMPTY, mid="m", peer=MEMBERS[1])
        assert len(group.end()) == 1
        assert group.ended == group.begun


def test_a_member_is_observed() -> None:
    """The first that answers goes on; the others answer once, and are then told to stop."""
    one, other, late = MEMBERS
    with played() as script:
        group = Group(script, observe=0)
        notified: list[bytes] = []
        observation = group.request.observation
        observation.register_callback(lambda response: notified.append(response.payload))
        script.expect(NON, GET, token="t", observe=0, peer=GROUP)
        script.send(NON, CONTENT, token="t", observe=1, payload=b"1", peer=one)
        script.send(NON, CONTENT, token="t", observe=1, payload=b"a", peer=other)
        script.send(CON, CONTENT, mid="m", token="t", observe=2, payload=b"2", peer=one)
        script.expect(ACK, EMPTY, mid="m", peer=one)
        script.send(NON, CONTENT, mid="n", token="t", observe=2, payload=b"b", peer=other)
        script.expect(RST, EMPTY, mid="n", peer=other)
        assert group.end() == [(one, b"1"), (other, b"a")]
        assert group.ended == group.begun + GROUP_TIMEOUT
        script.send(NON, CONTENT, mid="o", token="t", observe=1, payload=b"A", peer=late)
        script.expect(RST, EMPTY, mid="o", peer=late)
        script.send(NON, CONTENT, token="t", observe=3, payload=b"3", peer=one)
        assert notified == [b"2", b"3"]
        observation.cancel()
        script.send(NON, CONTENT, mid="p", token="t", observe=4, payload=b"4", peer=one)
        script.expect(RST, EMPTY, mid="p", peer=one)


# The server


class Thing(Resource):
    """Answers what it is told to."""

    def __init__(self, code: Any = None, payload: bytes = b"here", **attributes: Any) -> None:
        super().__init__()
        self.code = code
        self.payload = payload
        self.count = 0
        for name, value in attributes.items():
            setattr(self, name, value)

    async def render_get(self, request: Message) -> Message:
        self.count += 1
        return Message(code=self.code, payload=self.payload)

    render_post = render_get


def site(thing: Resource) -> Site:
    """Return a site with something in it, and a list of that."""
    root = Site()
    root.add_resource(["test"], thing)
    listing = WKCResource(root.get_resources_as_linkheader, impl_info=None)
    root.add_resource([".well-known", "core"], listing)
    return root


def test_answers_come_at_leisure() -> None:
    """At a random moment (section 8.2), and from an address of the server's own."""
    moments = []
    for seed in range(40):
        with played(site(Thing()), seed=seed) as script:
            script.send(NON, GET, token=b"t", uri_path=["test"], multicast=True)
            begun = script.clock.now
            got = script.expect(NON, CONTENT, token=b"t", payload=b"here", within=LEISURE)
            moments.append(got.time - begun)
    assert 0 <= min(moments) < 1
    assert 4 < max(moments) <= LEISURE
    assert len(set(moments)) == len(moments)


def test_leisure_is_up_to_the_context() -> None:
    class Hurried(TransportTuning):
        DEFAULT_LEISURE = 0.5

    with played(site(Thing()), tuning=Hurried) as script:
        script.send(NON, GET, token=b"t", uri_path=["test"], multicast=True)
        script.expect(NON, CONTENT, token=b"t", within=0.5)


def test_a_repeated_request_is_answered_once() -> None:
    """By several interfaces in the same group, it comes several times."""
    thing = Thing()
    with played(site(thing)) as script:
        for _ in range(3):
            script.send(NON, GET, mid=7, token=b"t", uri_path=["test"], multicast=True)
        script.expect(NON, CONTENT, token=b"t", within=LEISURE)
        script.send(NON, GET, mid=7, token=b"t", uri_path=["test"], multicast=True)
        assert thing.count == 1


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (GET, {"uri_path": ["nothing"]}),
        (PUT, {"uri_path": ["test"]}),
        (GET, {"uri_path": ["test"], "accept": 60000}),
        (POST, {"uri_path": ["test"], "content_format": 60000}),
        (GET, {"uri_path": ["test"], "proxy_scheme": "coap"}),
        (GET, {"uri_path": [".well-known", "core"], "uri_query": ["rt=nothing"]}),
        (GET, {"uri_path": [".well-known", "core"], "uri_query": ["no filter"]}),
        (POST, {"uri_path": ["test"], "block1": (3, True, 2), "payload": bytes(64)}),
    ],
)
def test_what_is_of_no_use_is_not_said(code: Any, options: dict[str, Any]) -> None:
    with played(site(Thing(ct=0, accepted_formats=(0,)))) as script:
        script.send(NON, code, token=b"t", multicast=True, **options)
        script.quiet(2 * LEISURE)


def test_a_list_with_something_in_it_is_of_use() -> None:
    pytest.importorskip("link_header")
    with played(site(Thing(rt="kind"))) as script:
        query = ["rt=kind"]
        script.send(NON, GET, uri_path=[".well-known", "core"], uri_query=query, multicast=True)
        script.expect(NON, CONTENT, payload=b'</test>;rt="kind"', within=LEISURE)


def test_a_resource_may_keep_groups_off() -> None:
    thing = Thing(multicast=False)
    with played(site(thing)) as script:
        script.send(NON, POST, uri_path=["test"], multicast=True)
        script.quiet(2 * LEISURE)
        assert thing.count == 0
        script.send(NON, POST, uri_path=["test"])
        script.expect(NON, CHANGED)


def test_a_resource_may_tell_groups_of_errors() -> None:
    with played(site(Thing(NOT_FOUND, multicast=True))) as script:
        script.send(NON, GET, uri_path=["test"], multicast=True)
        script.expect(NON, NOT_FOUND, within=LEISURE)


def test_the_client_may_want_no_responses() -> None:
    thing = Thing(multicast=True)
    with played(site(thing)) as script:
        script.send(NON, POST, uri_path=["test"], no_response=26, multicast=True)
        script.quiet(2 * LEISURE)
        assert thing.count == 1


@pytest.mark.parametrize(
    "raw",
    [
        "40000001",  # a ping
        "50000001",  # non-confirmable and empty
        "4001000100",  # a confirmable request
        "41010001",  # no message: the token is missing
        "510100013fff",  # no message: the option is not there
        "5145000174ff31",  # a response that nobody waits for
        "4145000174ff31",  # a confirmable one
        "50e10001",  # of a class without meaning
        "60000001",  # an acknowledgement of nothing
        "70000001",  # a Reset of nothing
    ],
)
def test_nothing_sent_to_a_group_is_rejected(raw: str) -> None:
    """Section 8.1, and RFC 7641 section 3.6 as to responses that nobody waits for."""
    with played(site(Thing())) as script:
        script.send_raw(bytes.fromhex(raw), multicast=True)
        script.quiet(2 * LEISURE)


def test_a_large_body_goes_on_by_unicast() -> None:
    """RFC 7959 section 2.8: later blocks are those of what was rendered, and wait for nothing."""
    body = bytes(range(256)) * 16
    thing = Thing(payload=body)
    with played(site(thing)) as script:
        script.send(NON, GET, token=b"t", uri_path=["test"], multicast=True)
        script.expect(
            NON, CONTENT, token=b"t", payload=body[:1024], block2=(0, True, 6), within=LEISURE
        )
        for number in (1, 2, 3):
            block2 = (number, False, 6)
            script.send(CON, GET, mid=number, token=b"u", uri_path=["test"], block2=block2)
            script.expect(
                ACK,
                CONTENT,
                mid=number,
                token=b"u",
                payload=body[number * 1024 : number * 1024 + 1024],
                block2=(number, number < 3, 6),
                within=0,
            )
        assert thing.count == 1


class Changing(ObservableResource):
    """Can be observed."""

    state = b"1"

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.state)


def test_a_group_is_observed_at_leisure() -> None:
    """Notifications take their time as well; a Reset by unicast ends them."""
    changing = Changing()
    with played(site(changing)) as script:
        script.send(NON, GET, token=b"t", observe=0, uri_path=["test"], multicast=True)
        first = script.expect(NON, CONTENT, token=b"t", observe=..., payload=b"1", within=LEISURE)
        for state in (b"2", b"3"):
            changing.state = state
            script.clock.loop.call_soon(changing.updated_state)
        got = script.expect(NON, CONTENT, token=b"t", observe=..., payload=b"3", within=LEISURE)
        assert got.opt.observe != first.opt.observe
        script.send(RST, EMPTY, mid=got.mid)
        changing.state = b"4"
        script.clock.loop.call_soon(changing.updated_state)
        script.quiet(2 * LEISURE)
        assert not changing.observations

"""Resources, sites and the list of both."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable
from typing import Any

import pytest

from aiocoap import error, interfaces, meta, resource
from aiocoap.address import EndpointAddress
from aiocoap.message import Message, NoResponse
from aiocoap.numbers.codes import Code
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.optiontypes import OpaqueOption
from aiocoap.resource import (
    ObservableResource,
    PathCapable,
    Resource,
    Site,
    WKCResource,
    hashing_etag,
    link_format_to_message,
)
from tests.unit.resource_parts import METHODS, Counting, Named, Observation, build, get, message

# ETags of payloads


def test_hashing_etag_spares_a_known_payload() -> None:
    request = get()
    response = Message(payload=b"hello")
    hashing_etag(request, response)
    assert response.opt.etag == bytes.fromhex("aaf4c61ddcc5e8a2")
    assert (response.code, response.payload) == (None, b"hello")
    request.opt.etags = [b"other", bytes.fromhex("aaf4c61ddcc5e8a2")]
    hashing_etag(request, response)
    assert (response.code, response.payload) == (Code.VALID, b"")


@pytest.mark.parametrize(
    ("method", "code", "acts"),
    [
        (Code.GET, None, True),
        (Code.GET, Code.CONTENT, True),
        (Code.FETCH, Code.CONTENT, True),
        (Code.FETCH, None, False),
        (Code.PUT, None, False),
        (Code.GET, Code.NOT_FOUND, False),
        (Code.PUT, Code.CHANGED, False),
    ],
)
def test_hashing_etag_acts_on_content_only(method: Code, code: Code | None, acts: bool) -> None:
    response = Message(code=code, payload=b"hello")
    hashing_etag(message(method), response)
    assert (response.opt.etag is not None) is acts


# Methods


@pytest.mark.parametrize("method", METHODS)
async def test_methods_and_their_default_codes(method: Code) -> None:
    name, code = METHODS[method]

    async def handler(request: Message) -> Message:
        return Message(payload=name.encode())

    thing = Resource()
    setattr(thing, name, handler)
    response = await thing.render(message(method))
    assert (response.code, response.payload) == (code, name.encode())


async def test_a_code_that_is_there_stays() -> None:
    class Thing(Resource):
        async def render_post(self, request: Message) -> Message:
            return Message(code=Code.CREATED)

    assert (await Thing().render(message(Code.POST))).code == Code.CREATED


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (Code.PUT, error.UnallowedMethod),
        (8, error.UnsupportedMethod),
        (31, error.UnsupportedMethod),
    ],
)
async def test_methods_that_are_not_there(code: int, problem: type[error.RenderableError]) -> None:
    with pytest.raises(problem) as caught:
        await Named().render(message(code))
    assert caught.value.to_message().code == Code.METHOD_NOT_ALLOWED


async def test_the_clients_wish_for_silence_is_handed_on_without_touching_the_response() -> None:
    kept = Message(code=Code.CONTENT)

    class Thing(Resource):
        async def render_get(self, request: Message) -> Message:
            return kept

    thing = Thing()
    assert (await thing.render(get(no_response=26))).opt.no_response == 26
    assert kept.opt.no_response is None
    assert await thing.render(get(observe=0)) is kept
    kept.opt.no_response = 0
    assert (await thing.render(get(no_response=26))).opt.no_response == 0


@pytest.mark.parametrize("returned", [NoResponse, None, "text"])
async def test_what_is_no_message_is_left_to_the_responder(returned: Any) -> None:
    class Thing(Resource):
        async def render_get(self, request: Message) -> Message:
            return returned  # type: ignore[no-any-return]

    assert await Thing().render(get()) is returned


async def test_blocks_are_left_to_the_library() -> None:
    assert await Resource().needs_blockwise_assembly(get()) is True


def test_a_resource_answers_by_itself() -> None:
    thing, request = Resource(), get("/a")
    assert thing.resolve(request) == (thing, request)
    assert thing.render_to_pipe is None


# Formats


class Everything(Resource):
    """Answers every method."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"everything")

    render_put = render_fetch = render_get


async def outcome(response: Awaitable[Message]) -> Code:
    try:
        return (await response).code
    except error.RenderableError as problem:
        return problem.to_message().code


@pytest.mark.parametrize(
    "ct", [50, ContentFormat.JSON, "50", "40 50", [40, 50], (ContentFormat.JSON,), ["40", "50"]]
)
async def test_accept_is_judged_by_ct(ct: Any) -> None:
    thing = Everything()
    thing.ct = ct
    assert await outcome(thing.render(get())) == Code.CONTENT
    assert await outcome(thing.render(get(accept=50))) == Code.CONTENT
    assert await outcome(thing.render(get(accept=60))) == Code.NOT_ACCEPTABLE
    assert await outcome(thing.render(message(Code.FETCH, accept=60))) == Code.NOT_ACCEPTABLE
    # What the response to another method holds is not the representation.
    assert await outcome(thing.render(message(Code.PUT, accept=60))) == Code.CHANGED


async def test_ct_that_holds_no_numbers_offers_nothing() -> None:
    thing = Everything()
    thing.ct = "text/plain"
    assert await outcome(thing.render(get(accept=0))) == Code.NOT_ACCEPTABLE


async def test_without_ct_accept_is_left_to_the_method() -> None:
    assert await outcome(Everything().render(get(accept=60))) == Code.CONTENT


@pytest.mark.parametrize(
    ("code", "rendered", "accept", "outcome_code"),
    [
        (Code.GET, {"content_format": 0}, 0, Code.CONTENT),
        (Code.GET, {"content_format": 0}, 60, Code.NOT_ACCEPTABLE),
        (Code.FETCH, {"content_format": 0}, 60, Code.NOT_ACCEPTABLE),
        # What has no format says nothing about it.
        (Code.GET, {}, 60, Code.CONTENT),
        (Code.GET, {"content_format": 0}, None, Code.CONTENT),
        # It was done, and what is returned is not the representation; nor are these.
        (Code.POST, {"content_format": 0}, 60, Code.CHANGED),
        (Code.GET, {"code": Code.VALID, "content_format": 0}, 60, Code.VALID),
        (Code.GET, {"code": Code.CONFLICT, "content_format": 257}, 60, Code.CONFLICT),
    ],
)
async def test_formats_that_were_not_asked_for_are_not_sent(
    code: Code, rendered: dict[str, Any], accept: int | None, outcome_code: Code
) -> None:
    class Fixed(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(**rendered)

        render_fetch = render_post = render_get

    assert await outcome(Fixed().render(message(code, accept=accept))) == outcome_code


async def test_who_acts_on_all_options_chooses_the_format() -> None:
    class Mirror(Resource):
        handled_options = None

        async def render_get(self, request: Message) -> Message:
            return Message(content_format=0)

    assert await outcome(Mirror().render(get(accept=60))) == Code.CONTENT


async def test_an_accept_of_a_length_that_it_does_not_have_is_none() -> None:
    class Fixed(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(content_format=0)

    request = get()
    request.opt.add_option(OpaqueOption(17, b"123"))
    assert await outcome(Fixed().render(request)) == Code.CONTENT


async def test_content_format_is_judged_by_accepted_formats() -> None:
    thing = Everything()
    put = message(Code.PUT, payload=b"x", content_format=60)
    assert await outcome(thing.render(put)) == Code.CHANGED
    thing.accepted_formats = (50,)
    assert await outcome(thing.render(put)) == Code.UNSUPPORTED_CONTENT_FORMAT
    assert await outcome(thing.render(put.copy(content_format=50))) == Code.CHANGED
    assert await outcome(thing.render(put.copy(content_format=None))) == Code.CHANGED


# Conditions


class Tagged(Everything):
    """Knows its ETag."""

    def __init__(self, etag: bytes | None) -> None:
        super().__init__()
        self.etag = etag
        self.asked = 0

    async def get_etag(self, request: Message) -> bytes | None:
        self.asked += 1
        return self.etag


@pytest.mark.parametrize(
    ("etag", "if_match", "expected"),
    [
        (b"a", [b"a"], Code.CHANGED),
        (b"a", [b"b", b"a"], Code.CHANGED),
        (b"a", [b""], Code.CHANGED),
        (b"a", [b"b"], Code.PRECONDITION_FAILED),
        (b"", [b""], Code.CHANGED),
        (b"", [b"a"], Code.PRECONDITION_FAILED),
        (None, [b""], Code.PRECONDITION_FAILED),
        (None, [b"a"], Code.PRECONDITION_FAILED),
    ],
)
async def test_if_match(etag: bytes | None, if_match: list[bytes], expected: Code) -> None:
    assert await outcome(Tagged(etag).render(message(Code.PUT, if_match=if_match))) == expected


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (None, Code.CHANGED),
        (b"a", Code.PRECONDITION_FAILED),
        (b"", Code.PRECONDITION_FAILED),
    ],
)
async def test_if_none_match(etag: bytes | None, expected: Code) -> None:
    assert await outcome(Tagged(etag).render(message(Code.PUT, if_none_match=True))) == expected


async def test_conditions_are_left_to_a_resource_that_knows_no_etag() -> None:
    request = message(Code.PUT, if_match=[b"a"], if_none_match=True)
    assert await outcome(Everything().render(request)) == Code.CHANGED


async def test_formats_are_judged_before_conditions() -> None:
    thing = Tagged(None)
    thing.accepted_formats = ()
    request = message(Code.PUT, if_match=[b"a"], content_format=0)
    assert await outcome(thing.render(request)) == Code.UNSUPPORTED_CONTENT_FORMAT


async def test_the_etag_of_a_get() -> None:
    thing = Tagged(b"a")
    response = await thing.render(get())
    assert (response.code, response.opt.etag) == (Code.CONTENT, b"a")
    response = await thing.render(get(etags=[b"b", b"a"]))
    assert (response.code, response.opt.etag, response.payload) == (Code.VALID, b"a", b"")
    response = await thing.render(get(etags=[b"b"]))
    assert (response.code, response.payload) == (Code.CONTENT, b"everything")
    # It is asked for once, and only where it matters.
    assert thing.asked == 3
    assert (await thing.render(message(Code.PUT))).opt.etag is None
    assert (await thing.render(message(Code.PUT, if_match=[b"a"]))).opt.etag is None
    assert thing.asked == 4


@pytest.mark.parametrize("etag", [b"", None])
async def test_no_etag_is_made_up(etag: bytes | None) -> None:
    assert (await Tagged(etag).render(get(etags=[b"x"]))).opt.etag is None


async def test_a_responses_own_etag_and_other_codes_are_left_alone() -> None:
    class Own(Tagged):
        async def render_get(self, request: Message) -> Message:
            code = Code.NOT_FOUND if request.opt.uri_query else Code.CONTENT
            return Message(code=code, etag=b"own")

    assert (await Own(b"a").render(get())).opt.etag == b"own"

    class Missing(Tagged):
        async def render_get(self, request: Message) -> Message:
            return Message(code=Code.NOT_FOUND)

    assert (await Missing(b"a").render(get())).opt.etag is None


# Observers


async def test_observers_are_counted_and_told() -> None:
    thing, one, two = Counting(), Observation(), Observation()
    first, second = get("/?one"), get("/?two")
    await thing.add_observation(first, one)
    await thing.add_observation(second, two)
    assert thing.observations == {one: first, two: second}
    thing.updated_state()
    assert one.end is not None
    one.end()
    one.end()
    thing.updated_state()
    assert (one.sent, two.sent) == ([None], [None, None])
    assert thing.counts == [1, 2, 1]


async def test_one_observer_alone() -> None:
    thing, one, two = Counting(), Observation(), Observation()
    await thing.add_observation(get("/?one"), one)
    await thing.add_observation(get("/?two"), two)
    for observation, request in thing.observations.items():
        if request.opt.uri_query == ("two",):
            observation.trigger()
            observation.deregister()
    assert (one.sent, two.sent) == ([], [None])
    assert list(thing.observations) == [one]


async def test_a_given_response_is_everybodys_own() -> None:
    thing, one, two = ObservableResource(), Observation(), Observation()
    await thing.add_observation(get(), one)
    await thing.add_observation(get(), two)
    thing.updated_state(Message(payload=b"new"))
    (ones,), (twos,) = one.sent, two.sent
    assert ones is not None
    assert twos is not None
    assert ones is not twos
    assert (ones.code, ones.payload) == (Code.CONTENT, b"new")
    thing.updated_state(Message(code=Code.NOT_FOUND))
    assert thing.observations == {}


async def test_an_observer_in_trouble_does_not_keep_the_others_from_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thing, bad, good = Counting(), Observation(fails=True), Observation()
    await thing.add_observation(get(), bad)
    await thing.add_observation(get(), good)
    thing.updated_state()
    assert good.sent == [None]
    assert "the network is gone" in caplog.text


async def test_trouble_with_counting_does_not_concern_the_observer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Thing(ObservableResource):
        def update_observation_count(self, newcount: int) -> None:
            raise RuntimeError(f"{newcount} are too many")

    thing, observation = Thing(), Observation()
    await thing.add_observation(get(), observation)
    observation.deregister()
    assert thing.observations == {}
    assert "1 are too many" in caplog.text
    assert "0 are too many" in caplog.text


async def test_nobody_has_to_count() -> None:
    thing = ObservableResource()
    await thing.add_observation(get(), Observation())
    assert len(thing.observations) == 1


# The list


class Group(EndpointAddress):
    """Where a request to a group came from."""

    def __init__(self, is_multicast_locally: bool) -> None:
        self._is_multicast_locally = is_multicast_locally

    @property
    def is_multicast_locally(self) -> bool:
        return self._is_multicast_locally

    hostinfo = hostinfo_local = "[2001:db8::1]"
    uri_base = uri_base_local = "coap://[2001:db8::1]"
    scheme = "coap"
    is_multicast = False


def test_link_descriptions() -> None:
    thing = Resource()
    assert thing.get_link_description() == {}
    thing.ct, thing.rt, thing.if_ = 40, "a b", "core.s"
    assert thing.get_link_description() == {"ct": 40, "rt": "a b", "if": "core.s"}
    thing.rt = None
    assert thing.get_link_description() == {"ct": 40, "if": "core.s"}
    observable = ObservableResource()
    observable.rt = "x"
    assert observable.get_link_description() == {"obs": None, "rt": "x"}


class Hidden(Resource):
    """Is on no list."""

    def get_link_description(self) -> None:
        return None


def test_an_observable_resource_can_hide_as_well() -> None:
    class Both(ObservableResource, Hidden):
        pass

    assert Both().get_link_description() is None


class TestWithLinkHeader:
    """What needs the package LinkHeader."""

    @pytest.fixture(autouse=True)
    def linkformat(self) -> Any:
        return pytest.importorskip("aiocoap.util.linkformat", reason="needs LinkHeader")

    def test_the_links_of_a_site(self) -> None:
        class Undescribed(interfaces.Resource):
            pass

        class Elsewhere(Site):
            def get_resources_as_linkheader(self) -> Any:
                links = super().get_resources_as_linkheader()
                links.links[0].href = "coap://other.example/x"
                return links

        site = build()
        observable = ObservableResource()
        observable.rt = "x"
        site.add_resource(["time"], observable)
        site.add_resource(["what<ever>"], Undescribed())
        site.add_resource(["hidden"], Hidden())
        elsewhere = Elsewhere()
        elsewhere.add_resource([], Named())
        site.add_resource(["elsewhere"], elsewhere)
        top = Site()
        top.add_resource([], site)
        assert str(site.get_resources_as_linkheader()).split(",") == [
            "</>",
            "</a%20b>",
            "</dir/>",
            "</files>",
            '</time>;obs;rt="x"',
            "</what%3Cever%3E>",
            "</batch/>",
            "</batch/light1>",
            "</batch/deep/er>",
            "</files/>",
            "</files/more/of/>",
            "<coap://other.example/x>",
        ]
        assert str(top.get_resources_as_linkheader()) == str(site.get_resources_as_linkheader())

    def test_a_catch_all_can_hide(self) -> None:
        class HiddenCatchAll(Hidden, PathCapable):
            pass

        site = Site()
        site.add_resource(["x"], HiddenCatchAll())
        assert site.get_resources_as_linkheader().links == []

    @pytest.mark.parametrize(
        ("accept", "content_format", "payload"),
        [
            (None, 40, b'</a>;rt="x"'),
            (40, 40, b'</a>;rt="x"'),
            (64, 64, bytes.fromhex("81a201622f61096178")),
            (504, 504, b'[{"href":"/a","rt":"x"}]'),
        ],
    )
    def test_formats_of_links(
        self, accept: int | None, content_format: int, payload: bytes, linkformat: Any
    ) -> None:
        if accept == 64:
            pytest.importorskip("cbor2")
        links = linkformat.LinkFormat([linkformat.Link("/a", rt="x")])
        response = link_format_to_message(get(accept=accept), links)
        assert (response.code, response.opt.content_format) == (Code.CONTENT, content_format)
        assert response.payload == payload
        if accept is None:
            response = link_format_to_message(get(), links, 504)
            assert response.opt.content_format == 504
            # What others made of it is written by the same rules.
            foreign = linkformat.link_header.LinkHeader([["/a", [["rt", "x"]]]])
            assert link_format_to_message(get(), foreign).payload == payload

    def test_formats_that_are_not_there(
        self, monkeypatch: pytest.MonkeyPatch, linkformat: Any
    ) -> None:
        links = linkformat.LinkFormat()
        assert link_format_to_message(get(accept=60), links).code == Code.NOT_ACCEPTABLE
        monkeypatch.setitem(sys.modules, "cbor2", None)
        assert link_format_to_message(get(accept=64), links).code == Code.NOT_ACCEPTABLE

    async def test_the_list(self) -> None:
        site = Site()
        site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
        response = await site.render(get("/.well-known/core"))
        listed = f'</.well-known/core>;ct="40 64 504",<{meta.library_uri}>;rel="impl-info"'
        assert response.payload.decode() == listed
        assert response.opt.content_format == 40
        response = await site.render(get("/.well-known/core?rel=impl-info"))
        assert response.payload.decode() == f'<{meta.library_uri}>;rel="impl-info"'
        response = await site.render(get("/.well-known/core?ct=64&href=/.well*", accept=504))
        assert response.payload == b'[{"href":"/.well-known/core","ct":"40 64 504"}]'
        with pytest.raises(error.NotAcceptable):
            await site.render(get("/.well-known/core", accept=60))

    async def test_the_list_is_the_generators(self, linkformat: Any) -> None:
        kept = linkformat.LinkFormat([linkformat.Link("/a")])
        thing = WKCResource(lambda: kept, impl_info="urn:x")
        for _ in range(2):
            assert (await thing.render(get())).payload == b'</a>,<urn:x>;rel="impl-info"'
        assert len(kept.links) == 1

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("foo=*", ["/b", "/d"]),
            ("foo=", ["/b"]),
            ("rt=*", ["/c", "/e"]),
            ("rt=", ["/c"]),
            ("foo=b*&rt=x", []),
            ("foo=bar&href=/d", ["/d"]),
            ("rel=b", ["/e"]),
            ("href=/%C3%BC", []),
        ],
    )
    async def test_filters_beyond_the_vectors(
        self, query: str, expected: list[str], linkformat: Any
    ) -> None:
        links = linkformat.parse('</b>;foo,</c>;rt="",</d>;foo=bar,</e>;rel="a  b";rt=y')
        thing = WKCResource(lambda: links, None)
        response = await thing.render(get("/.well-known/core?" + query))
        found = linkformat.parse(response.payload.decode()).links
        assert [link.href for link in found] == expected

    async def test_a_query_that_is_no_filter(self, linkformat: Any) -> None:
        thing = WKCResource(linkformat.LinkFormat)
        with pytest.raises(error.BadRequest, match="name=value"):
            await thing.render(get("/.well-known/core?everything"))

    @pytest.mark.parametrize(
        ("path", "impl_info", "is_group", "silent"),
        [
            ("?rt=x", "urn:x", True, True),
            ("?rt=x", "urn:x", False, False),
            ("", "urn:x", True, False),
            ("?rel=impl-info", "urn:x", True, False),
            ("", None, True, True),
            ("", None, False, False),
        ],
    )
    async def test_a_group_does_not_say_that_it_has_nothing(
        self, path: str, impl_info: str | None, is_group: bool, silent: bool, linkformat: Any
    ) -> None:
        thing = WKCResource(linkformat.LinkFormat, impl_info=impl_info)
        request = get("/.well-known/core" + path)
        request.remote = Group(is_group)
        response = await thing.render(request)
        assert response.code == Code.CONTENT
        assert response.opt.no_response == (26 if silent else None)
        # Who is interested says so.
        request.opt.no_response = 0
        assert (await thing.render(request)).opt.no_response == 0


async def test_without_linkheader_the_log_and_the_client_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("link_header", "aiocoap.util.linkformat"):
        monkeypatch.setitem(sys.modules, name, None)
    site = Site()
    with caplog.at_level(logging.WARNING):
        site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    assert 'pip install "aiocoap[linkheader]"' in caplog.text
    site.add_resource(["hello"], Named("hello"))
    assert (await site.render(get("/hello"))).code == Code.CONTENT
    with pytest.raises(error.InternalServerError, match="LinkHeader") as caught:
        await site.render(get("/.well-known/core"))
    assert caught.value.to_message().code == Code.INTERNAL_SERVER_ERROR
    with pytest.raises(ImportError):
        site.get_resources_as_linkheader()


def test_a_name_that_programs_use() -> None:
    assert resource.Message is Message

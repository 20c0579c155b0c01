"""What a server may be asked and may answer: options, No-Response, groups."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap import error, interfaces
from aiocoap.message import Message
from aiocoap.numbers.codes import (
    BAD_OPTION,
    BAD_REQUEST,
    CONTENT,
    DELETE,
    EMPTY,
    GET,
    INTERNAL_SERVER_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROXYING_NOT_SUPPORTED,
    PUT,
    SERVICE_UNAVAILABLE,
    Code,
)
from aiocoap.optiontypes import OpaqueOption
from aiocoap.pipe import Pipe
from aiocoap.resource import Resource, Site
from tests.unit.responder_parts import Calls, House, ask_with, raises, says

# What is asked of the server that it does not do


def test_a_context_without_a_site() -> None:
    with House(None) as house:
        assert house.ask().response.code == NOT_FOUND


def test_a_path_without_a_resource() -> None:
    with House(Site()) as house:
        assert house.ask(GET, "nothing").response.code == NOT_FOUND


@pytest.mark.parametrize("code", [DELETE, Code(31)])
def test_methods_that_are_not_there(code: Code) -> None:
    class OnlyGet(Resource):
        async def render_get(self, request: Message) -> Message:
            return Message(payload=b"got")

    with House(OnlyGet()) as house:
        assert house.ask(code).response.code == METHOD_NOT_ALLOWED
        assert house.ask().response.payload == b"got"


class Counted(Resource):
    """Counts what it is asked."""

    def __init__(self, handled: frozenset[int] | None = frozenset()) -> None:
        super().__init__()
        self.handled_options = handled
        self.requests: list[Message] = []

    async def render(self, request: Message) -> Message:
        self.requests.append(request)
        return Message(code=CONTENT, payload=b"done")


def test_critical_options_that_nobody_acts_on() -> None:
    resource = Counted()
    with House(resource) as house:
        response = ask_with(house, 65001).response
        assert response.code == BAD_OPTION
        assert b"65001" in response.payload
        assert resource.requests == []
        assert ask_with(house, 65000).response.code == CONTENT, "elective ones are ignored"
        assert ask_with(house, 9).response.code == BAD_OPTION, "OSCORE"


def test_critical_options_that_the_resource_acts_on() -> None:
    site = Site()
    site.add_resource(["some"], Counted(frozenset({65001})))
    site.add_resource(["all"], Counted(None))
    with House(site) as house:
        for path, numbers, code in (
            ("some", (65001,), CONTENT),
            ("some", (65001, 65003), BAD_OPTION),
            ("all", (65001, 65003), CONTENT),
            ("nothing", (65001,), BAD_OPTION),
        ):
            asked = house.begin(GET, path)
            for number in numbers:
                asked.pipe.request.opt.add_option(OpaqueOption(number, b"x"))
            house.clock.settle()
            assert asked.response.code == code, (path, numbers)


@pytest.mark.parametrize("option", ["proxy_uri", "proxy_scheme"])
def test_an_origin_server_is_no_proxy(option: str) -> None:
    resource = Counted()
    with House(resource) as house:
        value = "coap://elsewhere/" if option == "proxy_uri" else "http"
        assert house.ask(**{option: value}).response.code == PROXYING_NOT_SUPPORTED
        assert resource.requests == []
    for handled in (frozenset({35, 39}), None):
        with House(Counted(handled)) as house:
            assert house.ask(**{option: value}).response.code == CONTENT


@pytest.mark.parametrize(
    "occurrences",
    [
        [(35, b"")],
        [(35, b"coap://" + bytes(1028))],
        [(39, b"")],
        [(39, b"http"), (39, b"http")],
        [(35, b"coap://elsewhere/"), (65001, b"")],
    ],
)
def test_malformed_wishes_for_a_proxy_are_bad_options(occurrences: list[tuple[int, bytes]]) -> None:
    resource = Counted()
    with House(resource) as house:
        asked = house.begin()
        for number, raw in occurrences:
            asked.pipe.request.opt.add_option(OpaqueOption(number, raw))
        house.clock.settle()
        assert asked.response.code == BAD_OPTION
        assert resource.requests == []


@pytest.mark.parametrize(
    ("occurrences", "code"),
    [
        ([b"\x01"], CONTENT),
        ([b"\xff"], CONTENT),
        ([b"\0"], BAD_REQUEST),
        # Not a length that the option has, but a number of hops that there can not be.
        ([b""], BAD_REQUEST),
        ([b"\1\0"], BAD_REQUEST),
        # A second one is not looked at.
        ([b"\x10", b"\0"], CONTENT),
        ([b"\0", b"\x10"], BAD_REQUEST),
    ],
)
@pytest.mark.parametrize("has_own_way", [False, True])
def test_hop_limits_out_of_range(occurrences: list[bytes], code: Code, has_own_way: bool) -> None:
    class Own(interfaces.Resource):
        async def render_to_pipe(self, pipe: Pipe) -> None:
            pipe.add_response(Message(code=CONTENT), True)

    with House(Own() if has_own_way else says(Message(code=CONTENT))) as house:
        asked = house.begin()
        for raw in occurrences:
            asked.pipe.request.opt.add_option(OpaqueOption(16, raw))
        house.clock.settle()
        assert asked.response.code == code


@pytest.mark.parametrize("reserved", [128, 132, 136, 140])
def test_locations_that_there_may_be_one_day(reserved: int) -> None:
    resource = Counted()
    with House(resource) as house:
        for location in (8, 20):
            assert ask_with(house, location, reserved).response.code == BAD_OPTION
        assert resource.requests == []
        # Each of them alone is an elective option that a request does not have.
        assert ask_with(house, reserved).response.code == CONTENT
        assert ask_with(house, 8, 20, reserved + 1024).response.code == CONTENT


def test_a_site_that_fails_to_find_a_resource(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Site):
        def resolve(self, request: Message) -> Any:
            raise ZeroDivisionError

    with House(Broken()) as house:
        assert house.ask().response.code == INTERNAL_SERVER_ERROR
        assert ask_with(house, 65001).response.code == INTERNAL_SERVER_ERROR
    assert len(caplog.records) == 2


# No-Response, and groups


@pytest.mark.parametrize(
    ("asked", "said", "code", "is_sent"),
    [
        (None, None, CONTENT, True),
        (2, None, CONTENT, False),
        (2, None, NOT_FOUND, True),
        (8, None, NOT_FOUND, False),
        (8, None, CONTENT, True),
        (16, None, SERVICE_UNAVAILABLE, False),
        (26, None, CONTENT, False),
        (0, None, CONTENT, True),
        # What the resource says goes before it.
        (None, 2, CONTENT, False),
        (26, 0, CONTENT, True),
        (26, 0, NOT_FOUND, True),
        (2, 8, CONTENT, True),
    ],
)
@pytest.mark.parametrize("is_raised", [False, True])
def test_no_response(
    asked: int | None, said: int | None, code: Code, is_sent: bool, is_raised: bool
) -> None:
    message = Message(code=code, no_response=said)

    class Problem(error.RenderableError):
        def to_message(self) -> Message:
            return message

    with House(raises(Problem()) if is_raised else says(message)) as house:
        for _ in range(2):
            response = house.ask(no_response=asked).response
            assert response.code == (code if is_sent else EMPTY)
            assert response.opt.no_response is None


def test_no_response_to_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    with House(raises(ValueError())) as house:
        assert house.ask(no_response=16).response.code == EMPTY
    assert len(caplog.records) == 1, "the operator wants to know all the same"


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (says(Message(code=CONTENT)), CONTENT),
        (says(Message(code=NOT_FOUND)), EMPTY),
        (raises(error.Forbidden()), EMPTY),
        (Site(), EMPTY),
        (None, EMPTY),
        (says(Message(code=CONTENT, no_response=2)), EMPTY),
    ],
)
def test_errors_are_no_answers_to_groups(resource: Resource | None, code: Code) -> None:
    with House(resource) as house:
        assert house.ask(group="[ff02::fd]").response.code == code


@pytest.mark.parametrize(
    ("asked", "code", "is_sent"),
    [
        (0, NOT_FOUND, True),
        (2, NOT_FOUND, True),
        (2, CONTENT, False),
        (8, NOT_FOUND, False),
        (8, SERVICE_UNAVAILABLE, True),
        (0, CONTENT, True),
    ],
)
def test_groups_get_the_errors_that_they_ask_for(asked: int, code: Code, is_sent: bool) -> None:
    with House(says(Message(code=code))) as house:
        response = house.ask(no_response=asked, group="[ff02::fd]").response
        assert response.code == (code if is_sent else EMPTY)


@pytest.mark.parametrize(
    ("multicast", "response", "code", "calls"),
    [
        (None, CONTENT, CONTENT, 1),
        (None, NOT_FOUND, EMPTY, 1),
        (True, CONTENT, CONTENT, 1),
        (True, NOT_FOUND, NOT_FOUND, 1),
        (False, CONTENT, EMPTY, 0),
        (False, NOT_FOUND, EMPTY, 0),
    ],
)
@pytest.mark.parametrize("is_raised", [False, True])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_resources_choose_what_groups_get(
    multicast: bool | None,
    response: Code,
    code: Code,
    calls: int,
    is_raised: bool,
    is_wrapped: bool,
) -> None:
    asked = []

    async def handler(request: Message) -> Message:
        asked.append(request)
        if is_raised and not response.is_successful():
            raise error.NotFound
        return Message(code=response)

    class Wrapped(Site):
        """Stands in the way of all requests, and chooses for all of them."""

        async def render(self, request: Message) -> Message:
            return await super().render(request)

    resource = Calls(handler)
    resource.multicast = multicast
    site = Wrapped() if is_wrapped else Site()
    site.multicast = multicast or None
    site.add_resource(["a"], resource)
    with House(site) as house:
        assert house.ask(GET, "a", group="[ff02::fd]").response.code == code
        assert len(asked) == calls
        assert house.ask(GET, "a", no_response=26, group="[ff02::fd]").response.code == EMPTY
        assert house.ask(GET, "a").response.code == response, "others see no difference"


@pytest.mark.parametrize(
    ("multicast", "code"), [(None, EMPTY), (False, EMPTY), (True, SERVICE_UNAVAILABLE)]
)
def test_who_answers_in_its_own_way_has_to_want_groups(multicast: bool | None, code: Code) -> None:
    class Own(interfaces.Resource):
        async def render_to_pipe(self, pipe: Pipe) -> None:
            pipe.add_response(Message(code=SERVICE_UNAVAILABLE), True)

    resource = Own()
    resource.multicast = multicast
    with House(resource) as house:
        assert house.ask(group="[ff02::fd]").response.code == code
        assert house.ask().response.code == SERVICE_UNAVAILABLE


@pytest.mark.parametrize(("group", "code"), [("[ff02::fd]", EMPTY), (None, BAD_REQUEST)])
def test_blocks_refused_are_no_answers_to_groups(group: str | None, code: Code) -> None:
    with House(Counted()) as house:
        response = house.ask(PUT, block1=(0, True, 2), payload=b"short", group=group).response
        assert response.code == code


def test_options_refused_are_no_answers_to_groups() -> None:
    with House(Counted()) as house:
        assert ask_with(house, 65001, group="[ff02::fd]").response.code == EMPTY

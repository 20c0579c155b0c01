"""The test purposes of ETSI TS 103 596-1 for a server, one test each.

Their texts leave much open and contain slips (an acknowledgement of type 1, a 2.03 for everything
that is valid in some sense). Where they contradict RFC 7252, the RFC is followed; the docstring of
the test tells what the test purpose expects, and the RFC's section. Two of that kind are frequent:

- What is malformed is rejected, and a confirmable message is rejected by a Reset (section 4.2),
  where the test purposes expect silence.
- Location-Path is for 2.01 responses (section 5.10.7); it is in no others here.

All identifiers, in the order of the document, are in ``etsi-ts-103-596-1.txt`` next to this file.
Test purposes that do not apply:

====================================  =========================================================
TP_CoAP_Server_Options_ProxyUri_001   Is for a forward-proxy, and a site is none: ProxyUri_002
                                      tells what it answers instead.
TP_CoAP_Server_Options_MaxAge_002     Commented out in the document: 4.04 to what is there.
TP_CoAP_Server_Options_Size1__001     Commented out in the document: 2.03 to a POST.
TP_CoAP_Server_Options_Size1__002     Commented out in the document: 4.06 to a POST.
TP_CoAP_Server_Options_Size2_001      Commented out in the document: 2.03 to a POST.
====================================  =========================================================
"""

from __future__ import annotations

import re
from pathlib import Path
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
    METHOD_NOT_ALLOWED,
    NON,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    POST,
    PRECONDITION_FAILED,
    PROXYING_NOT_SUPPORTED,
    PUT,
    VALID,
    Code,
    Message,
)
from aiocoap.resource import Resource, Site, WKCResource
from tests.harness import Script
from tests.scripts.site import LINKS, TEXT, WHILE, XML, Slow, Store, played, plugtest_site

IDS = Path(__file__).with_name("etsi-ts-103-596-1.txt").read_text("ascii").split()

TIMEOUT = 2.5
"""Seconds after which "the client entity times_out"; its ACK_TIMEOUT is 2."""

NEW = b"New1/New2"
"""The payload that is given as "116 145 167 061 057 116 145 167 062"."""


class Aged(Resource):
    """Something that is fresh for a while."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"fresh", max_age=20)


class Located(Resource):
    """What creates things at paths and with queries."""

    async def render_post(self, request: Message) -> Message:
        return Message(code=CREATED, location_path=("made", "here"), location_query=("n=1",))


class Postable(Store):
    """Something that POST replaces."""

    async def render_post(self, request: Message) -> Message:
        self.store(request.payload, request.opt.content_format)
        return Message(code=CHANGED)


class SlowPlace(Slow):
    """One that says where it has put something, too."""

    async def render_put(self, request: Message) -> Message:
        response = await super().render_put(request)
        if response.code == CREATED:
            response.opt.location_path = ("separate", "new1")
        return response


def site() -> Site:
    """Return a site with everything that the test purposes ask for."""
    site = plugtest_site()
    site.add_resource(["separate"], Slow(b"slow", location=("separate", "new1")))
    site.add_resource(["separate", "new1"], Slow(b"slow"))
    site.add_resource(["separate", "new1", "new1a"], Slow(b"slow"))
    site.add_resource(["separate", "new1", "new2"], Slow(b"slow"))
    site.add_resource(["separate-new"], SlowPlace(None))
    site.add_resource(["separate-not"], Slow(b"slow", location=None))
    site.add_resource(["storage", "new1"], Store(b"stored"))
    site.add_resource(["storage", "new1", "new2"], Postable(b"stored"))
    site.add_resource(["test", "new"], Store(b"below"))
    site.add_resource(["", "/", "", ""], Store(b"odd"))
    site.add_resource(["aged"], Aged())
    site.add_resource(["located"], Located())
    site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    return site


def header(code: int, *, mtype: int = 0, version: int = 1, token_length: int = 0) -> bytes:
    """Return the four bytes that a message begins with, whether or not they make sense."""
    return bytes((version << 6 | mtype << 4 | token_length, code, 0x12, 0x34))


RESET = header(0, mtype=3)
URI_PATH = b"\xb4test"
"""The option Uri-Path, where it is the first."""


def rejected(datagram: bytes) -> None:
    """Expect a Reset."""
    with played(site()) as script:
        script.send_raw(datagram)
        script.expect_raw(RESET)


def ignored(datagram: bytes) -> None:
    """Expect silence."""
    with played(site()) as script:
        script.send_raw(datagram)
        script.quiet(TIMEOUT)


def ask(method: Code, code: Code, path: tuple[str, ...] = ("test",), **options: Any) -> Message:
    """Ask for something, expect this code, and return the response."""
    with played(site()) as script:
        return exchange(script, method, code, path, **options)


def exchange(
    script: Script, method: Code, code: Code, path: tuple[str, ...] = ("test",), **options: Any
) -> Message:
    """Do the same in a script that may have begun."""
    script.send(CON, method, token=b"", uri_path=path, **options)
    mid = Message.decode(script.sent).mid
    return script.expect(ACK, code, mid=mid, token=b"").message


def ask_separate(
    method: Code,
    code: Code,
    path: tuple[str, ...],
    payload: bytes = b"",
    answer: bytes | None = b"",
    **expected: Any,
) -> None:
    """Ask for something that takes a while, and expect it in a message of its own."""
    with played(site()) as script:
        script.send(CON, method, mid="MSG_ID1", token="TOKEN", uri_path=path, payload=payload)
        script.expect(ACK, EMPTY, mid="MSG_ID1", token=b"", payload=b"")
        script.expect(
            CON, code, mid="MSG_ID2", token="TOKEN", payload=answer, within=WHILE, **expected
        )
        script.send(ACK, EMPTY, mid="MSG_ID2")


def test_all_test_purposes_are_here_or_do_not_apply() -> None:
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_TP_")]
    assert __doc__ is not None
    others = re.findall("^TP_[A-Za-z0-9_]+", __doc__, re.MULTILINE)
    assert len(IDS) == 57
    assert sorted(tests + others) == sorted(IDS)
    assert tests == [name for name in IDS if name not in others]


# The header


def test_TP_CoAP_MessageFormat_Header_Version_001() -> None:
    rejected(header(0, version=1))


def test_TP_CoAP_MessageFormat_Header_Version_002() -> None:
    ignored(header(0, version=3))


def test_TP_CoAP_MessageFormat_Header_Type_CON_001() -> None:
    """There is no path in it; nothing is at the root, until something is put there."""
    root = site()
    root.add_resource([], Store(b"root"))
    with played(root) as script:
        script.send_raw(header(GET))
        script.expect_raw(
            header(CONTENT, mtype=2) + b"\x42\xe7\x00" + b"\x80" + b"\xffroot"
        )  # ETag, Content-Format 0 (12 is 4 + 8), payload


def test_TP_CoAP_MessageFormat_Header_Type_CON_002() -> None:
    rejected(header(VALID))


def test_TP_CoAP_MessageFormat_Header_Type_CON_003() -> None:
    rejected(header(0x20))


def test_TP_CoAP_MessageFormat_Header_Type_NON_001() -> None:
    with played(site()) as script:
        script.send_raw(header(GET, mtype=1) + URI_PATH)
        response = script.expect(NON, CONTENT, mid="MSG_ID2", token=b"", payload=b"tested")
        assert response.raw[0] == 0x50


def test_TP_CoAP_MessageFormat_Header_Type_NON_002() -> None:
    ignored(header(0, mtype=1))


def test_TP_CoAP_MessageFormat_Header_Type_NON_003() -> None:
    ignored(header(VALID, mtype=1))


def test_TP_CoAP_MessageFormat_Header_Type_NON_004() -> None:
    """The message there is confirmable by a slip, and has no answer (section 4.2: a Reset)."""
    ignored(header(0xC0, mtype=1))
    rejected(header(0xC0, mtype=0))


def test_TP_CoAP_MessageFormat_Header_Type_ACK_001() -> None:
    ignored(header(POST, mtype=2))


def test_TP_CoAP_MessageFormat_Header_Type_ACK_002() -> None:
    ignored(header(0xE0, mtype=2))


def test_TP_CoAP_MessageFormat_Header_Type_RST_001() -> None:
    ignored(header(POST, mtype=3))


def test_TP_CoAP_MessageFormat_Header_TokenLength_001() -> None:
    """The response there is a Reset with a token; section 5.3.1: the token is echoed."""
    for length in range(9):
        token = b"TOKEN..."[:length]
        with played(site()) as script:
            script.send_raw(header(GET, token_length=length) + token + URI_PATH)
            response = script.expect(ACK, CONTENT, mid=0x1234, token=token, payload=b"tested")
            assert response.raw[0] == 0x60 + length
            assert response.raw[4 : 4 + length] == token


def test_TP_CoAP_MessageFormat_Header_TokenLength_002() -> None:
    """Silence there; section 4.2: a Reset."""
    for length in range(1, 9):
        rejected(header(GET, token_length=length) + b"TOKEN..."[: length - 1])


def test_TP_CoAP_MessageFormat_Header_TokenLength_003() -> None:
    """Silence there; section 4.2: a Reset. There are bytes enough for the token."""
    for length in range(9, 16):
        rejected(header(GET, token_length=length) + b"TOKEN..." * 3)


# Codes


def test_TP_CoAP_MessageFormat_Header_Code_Content() -> None:
    assert ask(GET, CONTENT).payload == b"tested"


def test_TP_CoAP_MessageFormat_Header_Code_MethodNotAllowed() -> None:
    for method in (POST, PUT, DELETE):
        ask(method, METHOD_NOT_ALLOWED, ("query",))


def test_TP_CoAP_MessageFormat_Header_Code_NotFound() -> None:
    ask(GET, NOT_FOUND, ("nowhere",))


def test_TP_CoAP_MessageFormat_Header_Code_Created() -> None:
    ask(PUT, CREATED, ("create1",), payload=b"anything")
    ask(POST, CREATED, ("test",), payload=b"anything")


def test_TP_CoAP_MessageFormat_Header_Code_Changed() -> None:
    ask(PUT, CHANGED, ("test",), payload=b"anything")
    ask(POST, CHANGED, ("large-post",), payload=b"anything")


def test_TP_CoAP_MessageFormat_Header_Code_Deleted() -> None:
    with played(site()) as script:
        exchange(script, DELETE, DELETED)
        exchange(script, GET, NOT_FOUND)


def test_TP_CoAP_MessageFormat_Payload_Marker_ZeroLengt_001() -> None:
    """Silence there; section 4.2: a Reset."""
    rejected(header(GET) + b"\xff")
    rejected(header(GET) + URI_PATH + b"\xff")


# Separate responses


def test_TP_CoAP_Server_Separate_Response_GET_001() -> None:
    """The code of the response there is 2.01; section 5.8.1 and the objective: 2.05."""
    ask_separate(GET, CONTENT, ("separate",), answer=b"slow")


def test_TP_CoAP_Server_Separate_Response_POST_001() -> None:
    ask_separate(POST, CREATED, ("separate",), NEW, location_path=("separate", "new1"))


def test_TP_CoAP_Server_Separate_Response_POST_002() -> None:
    """Location-Path there; section 5.10.7: not in a 2.04."""
    ask_separate(POST, CHANGED, ("separate", "new1", "new2"), NEW, location_path=())


def test_TP_CoAP_Server_Separate_Response_POST_003() -> None:
    """Location-Path there; section 5.10.7: not in a 2.04."""
    ask_separate(POST, CHANGED, ("separate", "new1", "new1a"), NEW, location_path=())


def test_TP_CoAP_Server_Separate_Response_POST_004() -> None:
    """A method that is missing is refused at once; here it takes a while to find out."""
    ask_separate(POST, METHOD_NOT_ALLOWED, ("separate-not",), answer=None)


def test_TP_CoAP_Server_Separate_Response_PUT_001() -> None:
    ask_separate(PUT, CREATED, ("separate-new",), b"New1/", location_path=("separate", "new1"))


def test_TP_CoAP_Server_Separate_Response_PUT_002() -> None:
    ask_separate(PUT, CHANGED, ("separate", "new1"))


def test_TP_CoAP_Server_Separate_Response_DELETE_001() -> None:
    """Location-Path there; section 5.10.7: not in a 2.02."""
    ask_separate(DELETE, DELETED, ("separate",), location_path=())


def test_TP_CoAP_Server_Separate_Response_DELETE_002() -> None:
    """It is not there to begin with. Location-Path there; section 5.10.7: not in a 2.02."""
    ask_separate(DELETE, DELETED, ("separate-new",), location_path=())


# Options that tell where


def test_TP_CoAP_Server_Options_UriHost_001() -> None:
    response = ask(GET, CONTENT, uri_host="[2001:db8::a]", uri_port=5683)
    assert response.payload == b"tested"


def test_TP_CoAP_Server_Options_UriHost_002() -> None:
    response = ask(GET, CONTENT, uri_host="example.net", uri_port=5683)
    assert response.payload == b"tested"


def test_TP_CoAP_Server_Options_UriPath_001() -> None:
    # Only here the package LinkHeader is needed, and this says so where it is missing.
    from aiocoap.util.linkformat import parse

    response = ask(GET, CONTENT, (".well-known", "core"), uri_host="example.net", uri_port=5683)
    assert response.opt.content_format == LINKS
    assert "/test" in [link.href for link in parse(response.payload.decode()).links]


def test_TP_CoAP_Server_Options_UriPath_002() -> None:
    assert ask(GET, CONTENT, ("test", "new")).payload == b"below"


def test_TP_CoAP_Server_Options_UriPath_003() -> None:
    """Location-Path there; section 5.10.7: not in a 2.04."""
    with played(site()) as script:
        path = ("storage", "new1", "new2")
        assert exchange(script, POST, CHANGED, path, payload=NEW).opt.location_path == ()
        assert exchange(script, GET, CONTENT, path).payload == NEW


def test_TP_CoAP_Server_Options_UriPath_004() -> None:
    """Location-Path there; section 5.10.7: not in a 2.04."""
    assert ask(PUT, CHANGED, ("storage", "new1")).opt.location_path == ()


def test_TP_CoAP_Server_Options_UriQuery_001() -> None:
    response = ask(GET, CONTENT, ("", "/", "", ""), uri_query=["//", "?&"])
    assert response.payload == b"odd"


def test_TP_CoAP_Server_Options_ProxyUri_002() -> None:
    """4.05 there; section 5.10.2: 5.05 from what is no proxy, whatever the other options say."""
    ask(GET, PROXYING_NOT_SUPPORTED, proxy_uri="coap://example.net/test", uri_host="example.org")
    ask(GET, PROXYING_NOT_SUPPORTED, proxy_uri="coap://[2001:db8::a]/test")


# Options that tell what


def test_TP_CoAP_Server_Options_ContentFormat_001() -> None:
    """2.03 there, but nothing is to be validated (section 5.9.1.3): 2.05 to a GET."""
    with played(site()) as script:
        found = exchange(script, GET, CONTENT, content_format=XML, payload=NEW)
        assert (found.opt.content_format, found.payload) == (TEXT, b"tested")
        exchange(script, PUT, CHANGED, content_format=XML, payload=b"<new/>")
        found = exchange(script, GET, CONTENT)
        assert (found.opt.content_format, found.payload) == (XML, b"<new/>")


def test_TP_CoAP_Server_Options_ContentFormat_002() -> None:
    """4.06 there, which is about Accept (section 5.10.4); here none is assumed."""
    assert ask(GET, CONTENT, payload=NEW).payload == b"tested"
    with played(site()) as script:
        exchange(script, PUT, CHANGED, payload=b"something")
        found = exchange(script, GET, CONTENT)
        assert (found.opt.content_format, found.payload) == (None, b"something")


def test_TP_CoAP_Server_Options_ContentAccept_001() -> None:
    """2.03 there, but nothing is to be validated (section 5.9.1.3): 2.05 to a GET."""
    for accepted in (TEXT, XML):
        found = ask(GET, CONTENT, ("multi-format",), content_format=TEXT, accept=accepted)
        assert found.opt.content_format == accepted


def test_TP_CoAP_Server_Options_ContentAccept_002() -> None:
    ask(GET, NOT_ACCEPTABLE, ("multi-format",), content_format=TEXT, accept=LINKS)
    # "unless another error code takes precedence"
    ask(POST, METHOD_NOT_ALLOWED, ("multi-format",), content_format=TEXT, accept=LINKS)


# Options about versions


def test_TP_CoAP_Server_Options_MaxAgeFresh_001() -> None:
    """2.04 there; section 5.8.1: 2.05 to a GET."""
    assert ask(GET, CONTENT, ("aged",)).opt.max_age == 20


def test_TP_CoAP_Server_Options_ETagResponse_001() -> None:
    """2.04 there; section 5.8.1: 2.05 to a GET."""
    etag = ask(GET, CONTENT, ("validate",)).opt.etag
    assert etag is not None
    assert 1 <= len(etag) <= 8


def test_TP_CoAP_Server_Options_EtagRequest_001() -> None:
    with played(site()) as script:
        etag = exchange(script, GET, CONTENT, ("validate",)).opt.etag
        valid = exchange(script, GET, VALID, ("validate",), etags=[b"older", etag])
        assert (valid.opt.etag, valid.payload) == (etag, b"")


def test_TP_CoAP_Server_Options_LocationPathLocationQuery_001() -> None:
    response = ask(POST, CREATED, ("located",))
    assert response.opt.location_path == ("made", "here")
    assert response.opt.location_query == ("n=1",)


def test_TP_CoAP_Server_Options_LocationPathLocationQuery_002() -> None:
    """4.02 there; section 5.10.7 has that for reserved options next to Location-Path or -Query.

    The request has none of these, so the options are elective ones that are unknown (5.4.1).
    """
    for number in (128, 132, 136, 140):
        with played(site()) as script:
            delta = number - 11 - 13
            script.send_raw(header(GET) + URI_PATH + bytes((0xD1, delta)) + b"x")
            script.expect(ACK, CONTENT, mid=0x1234, payload=b"tested")


def test_TP_CoAP_Server_Options_IfMatch_001() -> None:
    """2.03 there; section 5.10.8: as without the condition, and that is 2.04 to a PUT."""
    with played(site()) as script:
        etag = exchange(script, GET, CONTENT, ("validate",)).opt.etag
        exchange(script, PUT, CHANGED, ("validate",), if_match=[etag], payload=b"new")
        assert exchange(script, GET, CONTENT, ("validate",)).payload == b"new"


def test_TP_CoAP_Server_Options_IfMatch_002() -> None:
    """4.04 there; section 5.10.8: 4.12, and nothing is done."""
    with played(site()) as script:
        exchange(script, PUT, PRECONDITION_FAILED, ("validate",), if_match=[b"no"], payload=b"new")
        exchange(script, PUT, PRECONDITION_FAILED, ("create1",), if_match=[b""], payload=b"new")
        assert exchange(script, GET, CONTENT, ("validate",)).payload == b"valid"
        exchange(script, GET, NOT_FOUND, ("create1",))


def test_TP_CoAP_Server_Options_IfNoneMatch_001() -> None:
    """2.03 there; section 5.10.8: as without the condition, and that is 2.01 to a PUT."""
    ask(PUT, CREATED, ("create1",), if_none_match=True, payload=b"new")


def test_TP_CoAP_Server_Options_IfNoneMatch_002() -> None:
    """4.00 there; section 5.10.8: 4.12, and nothing is done."""
    with played(site()) as script:
        exchange(
            script, PUT, PRECONDITION_FAILED, ("validate",), if_none_match=True, payload=b"new"
        )
        assert exchange(script, GET, CONTENT, ("validate",)).payload == b"valid"

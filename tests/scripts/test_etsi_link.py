"""The cases TD_COAP_LINK of the ETSI CoAP#4 plugtest, both roles.

In tests of the server, the script plays the client; in tests of the client, the server. What "the
client displays" is what its parser makes of the response. RFC 6690.
"""

from __future__ import annotations

from aiocoap import ACK, CON, CONTENT, GET, Message
from aiocoap.resource import Site, WKCResource
from aiocoap.util.linkformat import Link, LinkFormat, parse
from tests.harness import Script
from tests.scripts.site import LINKS, Collection, Described, Unlisted, played

CORE = (".well-known", "core")


def listed_site(**attributes: dict[str, str]) -> Site:
    """Return a site that has the list of its resources, and these.

    Args:
        attributes: For each path of one segment, the attributes of its link.
    """
    site = Site()
    site.add_resource(CORE, WKCResource(site.get_resources_as_linkheader, impl_info=None))
    for segment, described in attributes.items():
        site.add_resource([segment], Described(**described))
    return site


def serve(site: Site, query: str, *hrefs: str) -> None:
    """Ask a site for the list of its resources, and expect links to these."""
    with played(site) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=CORE, uri_query=[query])
        response = script.expect(ACK, CONTENT, mid="A", token="t", content_format=LINKS)
        assert [link.href for link in parse(response.payload.decode()).links] == list(hrefs)


def ask(query: str, payload: bytes) -> LinkFormat:
    """Ask a server for the list of its resources, and return it as the client sees it."""
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri(f"/.well-known/core?{query}")))
        script.expect(CON, GET, mid="A", token="t", uri_path=CORE, uri_query=(query,))
        return answered(script, request, payload)


def answered(script: Script, request: object, payload: bytes) -> LinkFormat:
    """Answer the request with links, and return them as the client sees them."""
    script.send(ACK, CONTENT, mid="A", token="t", content_format=LINKS, payload=payload)
    response = script.result(request)
    assert response.opt.content_format == LINKS
    return parse(response.payload.decode())


# All resources


def test_TD_COAP_LINK_01_server() -> None:
    site = listed_site(sensor={"rt": "temperature", "title": "It is warm"}, light={"if": "switch"})
    with played(site) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=CORE)
        script.expect(
            ACK,
            CONTENT,
            mid="A",
            token="t",
            content_format=LINKS,
            payload=b'</.well-known/core>;ct="40 64 504",'
            b'</sensor>;rt="temperature";title="It is warm",</light>;if="switch"',
        )


def test_TD_COAP_LINK_01_client() -> None:
    with played() as script:
        request = script.request(Message(code=GET, uri=script.uri("/.well-known/core")))
        script.expect(CON, GET, mid="A", token="t", uri_path=CORE, uri_query=())
        links = answered(
            script,
            request,
            b'</sensor>;rt="temperature";title="warm; and wet, too",</light>;if="switch";obs',
        ).links
        assert [link.href for link in links] == ["/sensor", "/light"]
        assert links[0].rt == ["temperature"]
        assert links[0].title == "warm; and wet, too"


# By type


def test_TD_COAP_LINK_02_server() -> None:
    site = listed_site(a={"rt": "Type1"}, b={"rt": "Type2"}, c={"rt": "Type11"}, d={"rt": "Type1"})
    serve(site, "rt=Type1", "/a", "/d")


def test_TD_COAP_LINK_02_client() -> None:
    links = ask("rt=Type1", b"</a>;rt=Type1,</d>;rt=Type1").links
    assert [(link.href, link.rt) for link in links] == [("/a", ["Type1"]), ("/d", ["Type1"])]


def test_TD_COAP_LINK_03_server() -> None:
    serve(listed_site(a={"rt": "Type1"}, b={}, c={"rt": "Type2"}), "rt=*", "/a", "/c")


def test_TD_COAP_LINK_03_client() -> None:
    links = ask("rt=*", b"</a>;rt=Type1,</c>;rt=Type2").links
    assert [link.rt for link in links] == [["Type1"], ["Type2"]]


def test_TD_COAP_LINK_04_server() -> None:
    site = listed_site(
        group1={"rt": "Type1 Type2"},
        group2={"rt": "Type2 Type3"},
        group3={"rt": "Type1 Type3"},
        group4={"rt": ""},
    )
    serve(site, "rt=Type2", "/group1", "/group2")


def test_TD_COAP_LINK_04_client() -> None:
    links = ask("rt=Type2", b'</group1>;rt="Type1 Type2",</group2>;rt="Type2 Type3"').links
    assert [link.rt for link in links] == [["Type1 Type2"], ["Type2 Type3"]]


# By other attributes


def test_TD_COAP_LINK_05_server() -> None:
    site = listed_site(group1={"if": "If1"}, group2={"if": "If2"}, group3={"if": "foo"}, group4={})
    serve(site, "if=If*", "/group1", "/group2")


def test_TD_COAP_LINK_05_client() -> None:
    links = ask("if=If*", b'</group1>;if="If1",</group2>;if="If2"').links
    assert [link.attr_pairs for link in links] == [[["if", "If1"]], [["if", "If2"]]]


def test_TD_COAP_LINK_06_server() -> None:
    site = listed_site(large={"sz": "123456"}, small={}, other={"sz": "2"})
    serve(site, "sz=*", "/large", "/other")


def test_TD_COAP_LINK_06_client() -> None:
    links = ask("sz=*", b"</large>;sz=123456,</other>;sz=2").links
    assert [(link.href, link.sz) for link in links] == [("/large", ["123456"]), ("/other", ["2"])]


# By path


def test_TD_COAP_LINK_07_server() -> None:
    serve(listed_site(link1={}, link2={}, link3={}), "href=/link1", "/link1")


def test_TD_COAP_LINK_07_client() -> None:
    assert [link.href for link in ask("href=/link1", b"</link1>").links] == ["/link1"]


def test_TD_COAP_LINK_08_server() -> None:
    site = listed_site(link1={}, test={}, link2={}, link3={})
    serve(site, "href=/link*", "/link1", "/link2", "/link3")


def test_TD_COAP_LINK_08_client() -> None:
    links = ask("href=/link*", b"</link1>,</link2>,</link3>").links
    assert [link.href for link in links] == ["/link1", "/link2", "/link3"]


# Lists of lists


def test_TD_COAP_LINK_09_server() -> None:
    site = listed_site()
    below = LinkFormat([Link("/path/sub1", rt="first"), Link("/path/sub2", rt="second")])
    site.add_resource(["path"], Collection(below))
    site.add_resource(["path", "sub1"], Unlisted())
    site.add_resource(["path", "sub2"], Unlisted())
    with played(site) as script:
        script.send(CON, GET, mid="A", token="t", uri_path=CORE)
        response = script.expect(ACK, CONTENT, mid="A", token="t", content_format=LINKS)
        own, path = parse(response.payload.decode()).links
        assert (own.href, path.href, path.ct) == ("/.well-known/core", "/path", ["40"])

        script.send(CON, GET, mid="B", token="u", uri_path=["path"])
        response = script.expect(ACK, CONTENT, mid="B", token="u", content_format=LINKS)
        links = parse(response.payload.decode()).links
        assert [link.href for link in links] == ["/path/sub1", "/path/sub2"]

        script.send(CON, GET, mid="C", token="v", uri_path=["path", "sub1"])
        script.expect(ACK, CONTENT, mid="C", token="v", payload=b"/path/sub1")


def test_TD_COAP_LINK_09_client() -> None:
    """Each request goes to where the response before pointed."""
    with played() as script:
        uri = script.uri("/.well-known/core")
        request = script.request(Message(code=GET, uri=uri))
        script.expect(CON, GET, mid="A", token="t", uri_path=CORE)
        (path,) = answered(script, request, b"</path>;ct=40").links
        assert path.ct == ["40"]

        uri = path.get_target(uri)
        request = script.request(Message(code=GET, uri=uri))
        script.expect(CON, GET, mid="B", token="u", uri_path=("path",))
        script.send(
            ACK,
            CONTENT,
            mid="B",
            token="u",
            content_format=LINKS,
            payload=b"<sub0>,</path/sub1>,<//[2001:db8::1]/path/sub2>",
        )
        links = parse(script.result(request).payload.decode()).links
        targets = [link.get_target(uri) for link in links]
        assert targets == [script.uri(sub) for sub in ("/sub0", "/path/sub1", "/path/sub2")]

        request = script.request(Message(code=GET, uri=targets[1]))
        script.expect(CON, GET, mid="C", token="v", uri_path=("path", "sub1"))
        script.send(ACK, CONTENT, mid="C", token="v", payload=b"/path/sub1")
        assert script.result(request).payload == b"/path/sub1"

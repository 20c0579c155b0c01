"""Links as objects, as text, as JSON and as CBOR."""

from __future__ import annotations

import builtins
import copy
import pickle
from typing import Any

import pytest

from aiocoap.numbers.contentformat import ContentFormat

link_header = pytest.importorskip("link_header", reason="needs LinkHeader")

from aiocoap.util.linkformat import Link, LinkFormat, LinkFormatError, matches, parse  # noqa: E402


def test_values_are_texts_or_missing() -> None:
    link = Link("/a", [("ct", ContentFormat.JSON), ("obs", True)], sz=12, osc=None, rt=["x", 1])
    assert link.attr_pairs == [
        ["ct", "50"],
        ["obs", None],
        ["sz", "12"],
        ["osc", None],
        ["rt", "x 1"],
    ]
    with pytest.raises(TypeError, match=r"0\.5"):
        Link("/a", sz=0.5)


def test_a_list_of_values_has_no_missing_ones() -> None:
    assert Link("/a", rt=("x", None)).attr_pairs == [["rt", "x "]]


@pytest.mark.parametrize("href", ["/a>b", "/a<b", "/a\nb", "/\ud800"])
def test_targets_that_can_not_be_written(href: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded"):
        str(Link(href))


@pytest.mark.parametrize("name", ["", "a b", "a=b", "ü", "href", "HREF", 'a"', 1])
def test_names_that_can_not_be_written(name: Any) -> None:
    with pytest.raises(ValueError, match="name of a link"):
        str(Link("/a", [(name, "x")]))


def test_values_that_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        str(Link("/a", x="\ud800"))


@pytest.mark.parametrize(
    ("pairs", "written"),
    [
        ([("rt", "x"), ("sz", "1"), ("rt", "y z")], '</a>;rt="x y z";sz=1'),
        ([("ct", None), ("ct", "40")], "</a>;ct=40"),
        ([("ct", "40"), ("ct", None), ("ct", "")], "</a>;ct=40"),
        ([("x", "1"), ("x", "2"), ("x", None)], "</a>;x=1;x=2;x"),
        ([("title*", "UTF-8'en'rates")], "</a>;title*=UTF-8'en'rates"),
        ([("media", "a b")], '</a>;media="a b"'),
        ([("title", "x")], '</a>;title="x"'),
    ],
)
def test_lists_are_written_once_and_nothing_else_is_lost(pairs: Any, written: str) -> None:
    assert str(Link("/a", pairs)) == written


def test_links_can_be_copied_and_stored() -> None:
    link = Link("/a", rt="x")
    for twin in (copy.copy(link), copy.deepcopy(link), pickle.loads(pickle.dumps(link))):
        assert twin.to_py() == link.to_py()
    assert link.rt == ["x"]
    assert link.nothing == []
    with pytest.raises(AttributeError):
        _ = link.rel


def test_targets_and_contexts_are_resolved_in_the_schemes_of_coap() -> None:
    base = "coap+tcp://[2001:db8::1]:61616/a/b?q"
    assert Link("../c").get_target(base) == "coap+tcp://[2001:db8::1]:61616/c"
    assert Link("//other/c").get_target(base) == "coap+tcp://other/c"
    assert Link("?r").get_target(base) == "coap+tcp://[2001:db8::1]:61616/a/b?r"
    assert Link("coaps://other").get_target(base) == "coaps://other"
    assert Link("/c").get_target("/a/b") == "/c"
    assert Link("/c", anchor="d").get_context(base) == "coap+tcp://[2001:db8::1]:61616/a/d"
    assert Link("/c", anchor=None).get_context(base) == base
    assert Link("/c").get_context(base) == base


def test_collections_take_links_of_either_library() -> None:
    links = LinkFormat(
        [
            Link("/a", obs=None),
            link_header.Link("/b", rel="c d"),
            ["/c", [["x", "1"]]],
        ]
    )
    assert all(isinstance(link, Link) for link in links.links)
    assert str(links) == '</a>;obs,</b>;rel="c d",</c>;x=1'
    assert (
        repr(links)
        == "LinkFormat([Link('/a', obs=None), Link('/b', rel='c d'), Link('/c', x='1')])"
    )
    assert str(LinkFormat()) == ""
    assert links.links_by_attr_pairs([("obs", None)]) == links.links[:1]


def test_blanks_and_line_breaks_of_others_are_read() -> None:
    text = '\r\n </time> ; obs , </.well-known/core>; ct = 40,\n\t</a>;title = "b"\r\n'
    assert parse(text).to_py() == [
        ["/time", [["obs", None]]],
        ["/.well-known/core", [["ct", "40"]]],
        ["/a", [["title", "b"]]],
    ]
    assert parse(" \n").links == []


def test_any_character_may_be_escaped() -> None:
    assert parse(r'</a>;x="\"\\\b"').links[0].attr_pairs == [["x", '"\\b']]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("</a>,", "at character 5"),
        ("</a>;", "at character 4"),
        ("</a>;x=", "at character 6"),
        ("</a>;x=y;href=/b", "parameter href at character 8"),
        ("</a>;HREF", "parameter href at character 4"),
        (",</a>", "at character 0"),
        ("</a>x" + "y" * 99, "at character 4"),
        ('</a>;t="x\\"', "at character 6"),
        ("</a>;x=a\\b", "at character 8"),
    ],
)
def test_errors_say_where(text: str, where: str) -> None:
    with pytest.raises(LinkFormatError, match=where) as caught:
        parse(text)
    assert len(str(caught.value)) < 120


def test_repeated_attributes_become_arrays() -> None:
    link = Link("/a", [("x", "1"), ("x", "2"), ("x", None), ("obs", None), ("ct", "40")])
    assert link.as_json_data() == {"href": "/a", "x": ["1", "2", True], "obs": True, "ct": "40"}
    assert link.as_cbor_data() == {1: "/a", "x": ["1", "2", True], 13: True, 12: "40"}
    assert Link.from_json_data(link.as_json_data()).to_py() == link.to_py()
    assert Link.from_cbor_data(link.as_cbor_data()).to_py() == link.to_py()


def test_json() -> None:
    links = LinkFormat([Link("/ü", title="K", obs=None)])
    assert links.as_json_string() == '[{"href":"/ü","title":"K","obs":true}]'
    assert LinkFormat.from_json_string(links.as_json_string()).to_py() == links.to_py()
    assert LinkFormat.from_json_string(links.as_json_string().encode()).to_py() == links.to_py()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "[1]", "[{}]", '[{"href":1}]', '[{"href":"/a","x":null}]', b"\xff"),
        *('[{"href":"/a","x":[false]}]', '[{"href":"/a","x":1}]', '[{"href":"/a","a b":"x"}]'),
        *('[{"href":"<>"}]', '[{"href":"/a","x":"\\ud800"}]', '[{"href":"/a","HREF":"x"}]'),
    ],
)
def test_json_that_is_no_links(text: str | bytes) -> None:
    with pytest.raises(LinkFormatError):
        LinkFormat.from_json_string(text)


def test_cbor() -> None:
    pytest.importorskip("cbor2")
    links = LinkFormat([Link("/a", ct="40", x="y", obs=None)])
    encoded = bytes.fromhex("81 a4 01 622f61 0c 623430 6178 6179 0d f5")
    assert links.as_cbor_bytes() == encoded
    assert LinkFormat.from_cbor_bytes(encoded).to_py() == links.to_py()


@pytest.mark.parametrize(
    "encoded",
    [
        *("", "a0", "8101", "81a0", "81a10102", "80 80", "ff", "c0 63616263"),
        *("81a201622f61 1820 f5", "81a2 01 622f61 6468726566 622f61", "81a1 f5 622f61"),
        "81a201622f61 00 f5",
    ],
)
def test_cbor_that_is_no_links(encoded: str) -> None:
    pytest.importorskip("cbor2")
    with pytest.raises(LinkFormatError):
        LinkFormat.from_cbor_bytes(bytes.fromhex(encoded))


def test_cbor_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cbor2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError):
        LinkFormat().as_cbor_bytes()
    with pytest.raises(ImportError):
        LinkFormat.from_cbor_bytes(b"\x80")


@pytest.mark.parametrize(
    ("query", "is_match"),
    [
        ("href=/a", True),
        ("href=/*", True),
        ("href=a", False),
        ("rt=one", True),
        ("rt=two", True),
        ("rt=t*", True),
        ("rt=one two", False),
        ("rt=on", False),
        ("rt=*", True),
        ("title=a b", True),
        ("title=a", False),
        ("obs=", True),
        ("obs=*", True),
        ("obs=1", False),
        ("sz=*", False),
        ("ct=40", True),
        ("ct=4*", True),
    ],
)
def test_filters(query: str, is_match: bool) -> None:
    link = Link("/a", rt="one two", title="a b", obs=None, ct=40)
    assert matches(link, query) is is_match

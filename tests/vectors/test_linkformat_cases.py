"""The cases of linkformat-cases.json: reading, writing, and the filters of the resource list.

The part on resource directories waits for those.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.resource import WKCResource

linkformat = pytest.importorskip("aiocoap.util.linkformat", reason="needs LinkHeader")

CASES = json.loads(Path(__file__).with_name("linkformat-cases.json").read_text(encoding="utf-8"))
FILTERS = CASES["well_known_core_filtering"]
EXAMPLES = CASES["rfc6690_examples"]


def named(cases: list[dict[str, Any]], by: str) -> list[Any]:
    return [pytest.param(case, id=case[by] or "empty") for case in cases]


@pytest.mark.parametrize("case", named(CASES["parse"], "name"))
def test_parse(case: dict[str, Any]) -> None:
    links = linkformat.parse(case["payload"]).links
    assert [{"href": link.href, "attributes": link.attr_pairs} for link in links] == case["links"]


@pytest.mark.parametrize("case", named(CASES["parse"], "name"))
def test_what_was_parsed_is_written_so_that_it_reads_the_same(case: dict[str, Any]) -> None:
    links = linkformat.parse(case["payload"])
    assert linkformat.parse(str(links)).to_py() == links.to_py()


@pytest.mark.parametrize("case", named(CASES["invalid_payloads"], "what"))
def test_invalid(case: dict[str, Any]) -> None:
    with pytest.raises(linkformat.LinkFormatError):
        linkformat.parse(case["payload"])


@pytest.mark.parametrize("payload", [example["response"] for example in EXAMPLES])
def test_the_examples_are_written_as_the_rfc_prints_them(payload: str) -> None:
    assert str(linkformat.parse(payload)) == payload


async def listed(stored: str, path: str) -> Message:
    """Ask a resource list for what is stored."""
    resource = WKCResource(lambda: linkformat.parse(stored), impl_info=None)
    return await resource.render(Message(code=Code.GET, uri="coap://[2001:db8::1]" + path))


@pytest.mark.parametrize("case", named(FILTERS["cases"], "query"))
async def test_filter(case: dict[str, Any]) -> None:
    response = await listed(FILTERS["stored_links"], "/.well-known/core?" + case["query"])
    assert response.code == Code.CONTENT
    links = linkformat.parse(response.payload.decode()).links
    assert [link.href for link in links] == case["expect_hrefs"]


async def test_unicast_that_matches_nothing_gets_an_empty_list() -> None:
    assert "2.05 with an empty payload" in FILTERS["multicast"]
    response = await listed(FILTERS["stored_links"], "/.well-known/core?rt=nothing")
    assert (response.code, response.payload) == (Code.CONTENT, b"")
    assert response.opt.no_response is None


FILTERED = [example for example in EXAMPLES if "?" in example["request"]]


@pytest.mark.parametrize("example", FILTERED, ids=lambda example: example["response"])
async def test_filtered_examples_of_the_rfc(example: dict[str, Any]) -> None:
    """Among all that the RFC has on its servers, what is expected is found."""
    path = example["request"].removeprefix("GET ")
    others = '</other>;rt="other";anchor="/else"'
    response = await listed(f"{others},{example['response']}", path)
    assert response.payload.decode() == example["response"]


def test_rules_of_writing() -> None:
    assert len(CASES["serialise_rules"]) == 5  # a line of this test for each
    links = linkformat.LinkFormat(
        [
            linkformat.Link("/a", anchor="/x", rt="one two", rel="one"),
            linkformat.Link(
                "/b", [("x", v) for v in ("", "a b", "a,b", "a;b", '"', "\\", "ü", "p")]
            ),
            linkformat.Link("/c", ct="40", obs=None),
        ]
    )
    assert str(links) == (
        '</a>;anchor="/x";rt="one two";rel="one",'
        '</b>;x="";x="a b";x="a,b";x="a;b";x="\\"";x="\\\\";x="ü";x=p,'
        "</c>;ct=40;obs"
    )
    assert str(linkformat.Link("/d", [("ct", "40"), ("ct", "64")])) == '</d>;ct="40 64"'
    with pytest.raises(ValueError, match="href"):
        str(linkformat.Link("/e", [("href", "/f")]))

"""Colours for link-format."""

from __future__ import annotations

import pytest
from pygments.token import Error, Name, Operator, Punctuation, String

from aiocoap.util.linkformat_pygments import LinkFormatLexer


def tokens(text: str) -> list[tuple[object, str]]:
    return [token for token in LinkFormatLexer(ensurenl=False).get_tokens(text) if token[1]]


def test_documented_attributes() -> None:
    assert LinkFormatLexer.name == "LinkFormatLexer"
    assert LinkFormatLexer.mimetypes == ["application/link-format"]
    assert set(LinkFormatLexer.tokens) == {"root", "maybe-end", "attribute"}


def test_targets_attributes_and_values() -> None:
    assert tokens('</a>;ct=40;title="x, y";obs,\n</b>') == [
        (Punctuation, "<"),
        (Name.Label, "/a"),
        (Punctuation, ">"),
        (Punctuation, ";"),
        (Name.Attribute, "ct"),
        (Operator, "="),
        (String.Symbol, "40"),
        (Punctuation, ";"),
        (Name.Attribute, "title"),
        (Operator, "="),
        (String.Symbol, '"x, y"'),
        (Punctuation, ";"),
        (Name.Attribute, "obs"),
        (Punctuation, ",\n"),
        (Punctuation, "<"),
        (Name.Label, "/b"),
        (Punctuation, ">"),
    ]


@pytest.mark.parametrize("text", ["", "no link", "<", '<a>;"', "<a>;=;,", "<a" * 1000])
def test_broken_documents_are_kept_whole(text: str) -> None:
    assert "".join(part for _, part in tokens(text)) == text


def test_what_is_no_link_is_marked() -> None:
    assert tokens("x")[0] == (Error, "x")

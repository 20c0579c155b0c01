"""Colours for link-format.

Here lives a pygments lexer for ``application/link-format``.

The room needs pygments, and knows nothing of what links mean.

RFC 6690 section 2.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Name, Operator, Punctuation, String

__all__ = ["LinkFormatLexer"]

_groups: Any = bygroups  # the stubs leave it untyped


class LinkFormatLexer(RegexLexer):
    """Tell targets, attribute names and values of link-format apart.

    Args:
        options: Those of every pygments lexer.

    RFC 6690 section 2.
    """

    name = "LinkFormatLexer"
    mimetypes: ClassVar[list[str]] = ["application/link-format"]

    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            ("(<)([^>]*)(>)", _groups(Punctuation, Name.Label, Punctuation), "maybe-end"),
        ],
        "maybe-end": [
            # The attribute or link that follows is what came before, so that states pile up;
            # they do so within one document only.
            (r";\s*", Punctuation, "attribute"),
            (r",\s*", Punctuation, "root"),
        ],
        "attribute": [
            (
                '([^,;=]+)((=)("[^"]*"|[^,;"]+))?',
                _groups(Name.Attribute, None, Operator, String.Symbol),
                "maybe-end",
            ),
        ],
    }

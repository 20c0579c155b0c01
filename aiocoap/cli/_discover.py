"""Lists of resources, for people.

Here lives what ``aiocoap-client --discover`` makes of a response in link-format: the links that
match, and a table of them.

The room sends nothing and writes nothing.  Whatever a server sends, the table has a line for each
link and no control characters.

RFC 6690 sections 2 and 4.1, RFC 7252 section 7.2.1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from ..message import Message
from ..util.cli import UsageError
from ..util.prettyprint import one_line

__all__ = ["NoLinks", "address", "check_package", "links_of", "parse_filter", "table"]

WELL_KNOWN = (".well-known", "core")
"""Path of the list of a server's resources (RFC 6690 section 4)."""

_WIDEST = 60
# Characters.  What is longer moves its own line only: one long link and many short ones would be
# a table without measure.

_COLUMNS = ("href", "rt", "if", "ct", "sz", "obs", "title")


class NoLinks(Exception):
    """A response holds no links; the text tells why."""


def check_package() -> None:
    """See that there is something to read links with.

    Raises:
        UsageError: There is not.
    """
    from importlib.util import find_spec

    if find_spec("link_header") is None:
        raise UsageError(
            "--discover needs the Python module link_header (it comes with aiocoap[linkheader])"
        )


def parse_filter(text: str) -> tuple[str, ...]:
    """Read a filter: ``NAME=VALUE`` or ``NAME=PREFIX*``, several of them with ``&`` between.

    >>> parse_filter("rt=temperature*&if=sensor")
    ('rt=temperature*', 'if=sensor')

    Raises:
        argparse.ArgumentTypeError: It is none.

    RFC 6690 section 4.1.
    """
    queries = tuple(text.split("&"))
    for query in queries:
        name, separator, _ = query.partition("=")
        if not name or not separator:
            raise argparse.ArgumentTypeError(
                f"{query!r} is no filter: write NAME=VALUE or NAME=PREFIX*, such as rt=temp*"
            )
    return queries


def address(request: Message, queries: Sequence[str]) -> None:
    """Direct a request at the list of resources, unless its URI names another list.

    Servers need not know filters, and many know how to apply one only: they are sent the first,
    and what they send is filtered here.

    Args:
        request: The request.
        queries: What :func:`parse_filter` returns.
    """
    if not request.opt.uri_path and request.opt.proxy_uri is None:
        request.opt.uri_path = WELL_KNOWN
    request.opt.uri_query = (*request.opt.uri_query, *queries[:1])


def links_of(response: Message, queries: Sequence[str]) -> list[Any]:
    """Return the links in a response that match.

    Args:
        response: A successful response, from anybody.
        queries: What :func:`parse_filter` returns.

    Raises:
        NoLinks: It holds something else.
    """
    from ..util.linkformat import LinkFormat, LinkFormatError, matches, parse

    content_format = response.opt.content_format
    payload = bytes(response.payload)
    try:
        # The numbers of a draft, which servers answer by where they are asked to.
        if content_format == 504:
            links = LinkFormat.from_json_string(payload)
        elif content_format == 64:
            links = LinkFormat.from_cbor_bytes(payload)
        elif content_format is None or content_format == 40:
            links = parse(payload.decode())
        else:
            raise NoLinks(f"no list of resources, but {content_format}")
    except (LinkFormatError, UnicodeDecodeError) as problem:
        raise NoLinks(f"no list of resources: {problem}") from None
    except ImportError:
        raise NoLinks(
            "a list of resources in CBOR, and reading it needs the Python module cbor2 (it comes "
            "with aiocoap[prettyprint])"
        ) from None
    return [link for link in links.links if all(matches(link, query) for query in queries)]


def _cell(link: Any, name: str) -> str:
    """Return the value of an attribute, ``yes`` for one that has none."""
    if name == "href":
        return one_line(link.href)
    values = [value for own, value in link.attr_pairs if own == name]
    return one_line(" ".join([value or "yes" for value in values]))


def table(links: Sequence[Any], source: str | None = None) -> str:
    """Lay links out as a table, a line each below a line of column names.

    Args:
        links: What :func:`links_of` returns.
        source: Who sent them, for a column of its own where there are several.
    """
    rows = [_COLUMNS, *[tuple([_cell(link, name) for name in _COLUMNS]) for link in links]]
    if source is not None:
        rows = [(first, *row) for first, row in zip(_sources(source), rows, strict=False)]
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*rows, strict=True)]
    return "".join(["  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows])


def _sources(source: str) -> Iterator[str]:
    """Yield the cells of the column that says who sent the links."""
    yield "from"
    yield from repeat(one_line(source))

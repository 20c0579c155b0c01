"""Web links as constrained devices exchange them.

Here live :class:`LinkFormat` and :class:`Link`, made from and turned into text, JSON and CBOR.
They are the classes of the package LinkHeader (extra ``linkheader``), with parser and serialiser
of their own, as the grammar of CoRE differs from that of HTTP.

The room knows neither messages nor resources, nor which link is there for which reason.

RFC 6690 section 2 (the text), RFC 8288 (the model), draft-ietf-core-links-json (JSON and
CBOR).

The three forms of an attribute::

    text        in attr_pairs     JSON, CBOR
    ;obs        ["obs", None]     "obs": true
    ;ct=40      ["ct", "40"]      "ct": "40"        (the key is a number in CBOR)
    ;x=1;x=2    both, in order    "x": ["1", "2"]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, NoReturn, Self
from urllib.parse import urljoin, urlsplit

import link_header

__all__ = ["Link", "LinkFormat", "LinkFormatError", "matches", "parse"]

# Blanks and line breaks between the parts are read and never written: the grammar has none, but
# many servers send them, and the RFC prints its own examples with them.
_BLANK = r"[ \t\r\n]*"
# What nobody sends as UTF-8, and what would be misread as an end of the target.
_HREF = r"[^<>\x00-\x1f\x7f\ud800-\udfff]*"
# A token of RFC 2616, which is wider than what RFC 5987 allows in the name of a parameter.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Wider than a ptoken by what is not ASCII: there is only one way to understand it.
_PLAIN = r"[^\x00-\x20\x7f\",;\\\ud800-\udfff]+"
_QUOTED = r'"([^"\\\ud800-\udfff]*(?:\\[^\ud800-\udfff][^"\\\ud800-\udfff]*)*)"'

_TARGET = re.compile(f"{_BLANK}<({_HREF})>{_BLANK}")
_PARAMETER = re.compile(
    f";{_BLANK}({_NAME}){_BLANK}(?:={_BLANK}(?:{_QUOTED}|({_PLAIN})){_BLANK})?", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_is_href = re.compile(_HREF).fullmatch
_is_name = re.compile(_NAME).fullmatch
_is_ptoken = re.compile(r"[!#$%&'()*+\-./0-9:<=>?@A-Za-z\[\]^_`{|}~]+").fullmatch
_is_text = re.compile(r"[^\ud800-\udfff]*").fullmatch

# The values of these are lists, and each is there once in a link (RFC 6690 sections 3.1 and 3.2,
# RFC 7252 section 7.2.1 with erratum 5078, RFC 8288 section 3.3).  A filter matches each of the
# values by itself (RFC 6690 section 4.1).
_LISTS = frozenset(("rel", "rev", "rt", "if", "ct"))

# Quoted whatever the value is: the grammar demands it of the first two, and the others are
# written like that in the examples of RFC 6690, by which simple parsers were made.
_ALWAYS_QUOTED = frozenset(("anchor", "title", "rel", "rev", "rt", "if"))

# The numbers 1 to 13 of the CBOR form.
_CBOR_NAMES = (
    *("href", "rel", "anchor", "rev", "hreflang", "media", "title"),
    *("type", "rt", "if", "sz", "ct", "obs"),
)
_CBOR_KEYS = {name: key for key, name in enumerate(_CBOR_NAMES, 1)}


class LinkFormatError(link_header.ParseException, ValueError):  # type: ignore[misc]
    """What was read is no collection of links."""


class Link(link_header.Link):  # type: ignore[misc]
    """One link: a target, and attributes that describe it (stable).

    >>> print(Link("/sensors/temp", rt="temperature-c", ct=0, obs=None))
    </sensors/temp>;rt="temperature-c";ct=0;obs

    Args:
        href: The target, an absolute or relative reference.
        attr_pairs: Pairs of name and value, in order.  A value is a text; None (or True) stands
            for an attribute without value.  A number is taken for its digits, and a sequence of
            either for a list.
        kwargs: More of them.

    RFC 6690 section 2.
    """

    def __init__(
        self, href: str, attr_pairs: Iterable[Sequence[Any]] | None = None, **kwargs: Any
    ) -> None:
        pairs = [(name, _as_text(value)) for name, value in [*(attr_pairs or ()), *kwargs.items()]]
        super().__init__(href, pairs)

    def __getattr__(self, name: str) -> Any:
        # The base class takes every name for an attribute of the link; what Python asks for when
        # it copies an object must be missing.
        if name.startswith("__") or name == "attr_pairs":
            raise AttributeError(name)
        return super().__getattr__(name)

    def __str__(self) -> str:
        """Return the link as it is written in link-format.

        Raises:
            ValueError: There is no way to write the target or the name of an attribute.

        RFC 6690 section 2.
        """
        _check(self.href, self.attr_pairs)
        return f"<{self.href}>" + "".join(
            [_write_parameter(name, value) for name, value in _with_lists_joined(self.attr_pairs)]
        )

    def get_context(self, requested_resource_address: str) -> str:
        """Return the absolute URI of what the link is about.

        Args:
            requested_resource_address: URI that the link was got from.

        Raises:
            ValueError: One of the two is no URI.

        RFC 8288 section 3.2.
        """
        if "anchor" in self:
            return _resolve(requested_resource_address, self.anchor or "")
        return requested_resource_address

    def get_target(self, requested_resource_address: str) -> str:
        """Return the absolute URI of the target.

        >>> Link("../light").get_target("coap://[2001:db8::1]/sensors/temp/")
        'coap://[2001:db8::1]/sensors/light'

        Args:
            requested_resource_address: URI that the link was got from.

        Raises:
            ValueError: One of the two is no URI.

        RFC 8288 section 3.1.
        """
        return _resolve(requested_resource_address, self.href)

    def as_json_data(self) -> dict[str, Any]:
        """Return the link as what JSON is made of.

        draft-ietf-core-links-json.
        """
        data: dict[str, Any] = {"href": self.href}
        for name, value in self.attr_pairs:
            item = True if value is None else value
            if name not in data:
                data[name] = item
            elif isinstance(data[name], list):
                data[name].append(item)
            else:
                data[name] = [data[name], item]
        return data

    def as_cbor_data(self) -> dict[str | int, Any]:
        """Return the link as what CBOR is made of.

        draft-ietf-core-links-json.
        """
        return {_CBOR_KEYS.get(name, name): value for name, value in self.as_json_data().items()}

    @classmethod
    def from_json_data(cls, obj: Any) -> Self:
        """Make a link from what was read from JSON.

        Args:
            obj: Anything.

        Raises:
            LinkFormatError: It is no link.

        draft-ietf-core-links-json.
        """
        if not isinstance(obj, dict):
            _refuse("a link is an object", obj)
        href = obj.get("href")
        if not isinstance(href, str):
            _refuse("a link has a text as href", obj)
        pairs: list[tuple[Any, Any]] = []
        for name, value in obj.items():
            if name == "href":
                continue
            for item in value if isinstance(value, list) else [value]:
                if item is not True and not isinstance(item, str):
                    _refuse("an attribute is a text, true, or several of these", item)
                pairs.append((name, item))
        try:
            _check(href, pairs)
        except ValueError as problem:
            raise LinkFormatError(str(problem)) from None
        return cls(href, pairs)

    @classmethod
    def from_cbor_data(cls, obj: Any) -> Self:
        """Make a link from what was read from CBOR.

        Args:
            obj: Anything.

        Raises:
            LinkFormatError: It is no link.

        draft-ietf-core-links-json.
        """
        if not isinstance(obj, dict):
            _refuse("a link is a map", obj)
        data: dict[Any, Any] = {}
        for key, value in obj.items():
            name = key
            if type(key) is int and 1 <= key <= len(_CBOR_NAMES):
                name = _CBOR_NAMES[key - 1]
            if name in data:
                _refuse("an attribute is there by number and by name", name)
            data[name] = value
        return cls.from_json_data(data)


class LinkFormat(link_header.LinkHeader):  # type: ignore[misc]
    """A collection of links; ``str()`` gives ``application/link-format`` (stable).

    Args:
        links: Links, or the parameters of links.

    Attributes:
        links: The links, a list.

    RFC 6690 section 2.
    """

    links: list[Link]

    def __init__(self, links: Iterable[Any] | None = None) -> None:
        super().__init__(
            [link if isinstance(link, Link) else _as_link(link) for link in links or ()]
        )

    def __str__(self) -> str:
        """Return the links in link-format.

        Raises:
            ValueError: There is no way to write one of them.
        """
        return ",".join(map(str, self.links))

    def __repr__(self) -> str:
        return f"LinkFormat({self.links!r})"

    def as_cbor_bytes(self) -> bytes:
        """Return the links as CBOR (content format 64; see the note in :mod:`aiocoap.resource`).

        Raises:
            ImportError: The package cbor2 is missing.

        draft-ietf-core-links-json.
        """
        import cbor2

        encoded: bytes = cbor2.dumps([link.as_cbor_data() for link in self.links])
        return encoded

    def as_json_string(self) -> str:
        """Return the links as JSON (content format 504).

        draft-ietf-core-links-json.
        """
        import json

        data = [link.as_json_data() for link in self.links]
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json_string(cls, encoded: str | bytes) -> Self:
        """Read links from JSON.

        Args:
            encoded: Any text, or bytes.

        Raises:
            LinkFormatError: There are no links in it.

        draft-ietf-core-links-json.
        """
        import json

        try:
            data = json.loads(encoded)
        except (ValueError, RecursionError) as problem:
            raise LinkFormatError(f"this is no JSON: {problem}") from None
        if not isinstance(data, list):
            _refuse("links are an array", data)
        return cls([Link.from_json_data(item) for item in data])

    @classmethod
    def from_cbor_bytes(cls, encoded: bytes) -> Self:
        """Read links from CBOR.

        Args:
            encoded: Any bytes.

        Raises:
            LinkFormatError: There are no links in them.
            ImportError: The package cbor2 is missing.

        draft-ietf-core-links-json.
        """
        import cbor2

        stream = BytesIO(encoded)
        try:
            data = cbor2.load(stream)
        except Exception as problem:
            # What tags turn into raises whatever it likes.
            raise LinkFormatError(f"this is no CBOR: {problem}") from None
        if stream.read(1):
            raise LinkFormatError("something follows the links")
        if not isinstance(data, list):
            _refuse("links are an array", data)
        return cls([Link.from_cbor_data(item) for item in data])


def parse(linkformat: str) -> LinkFormat:
    r"""Read links from ``application/link-format``.

    >>> parse('</a>;title="say \\"hi\\"";obs,</b>').to_py()
    [['/a', [['title', 'say "hi"'], ['obs', None]]], ['/b', []]]

    Args:
        linkformat: Any text.

    Returns:
        The links, attributes in order and as often as they are there.

    Raises:
        LinkFormatError: The text is not of this format; it says where.

    RFC 6690 section 2.
    """
    links: list[Link] = []
    position, end = 0, len(linkformat)
    if not linkformat.strip(" \t\r\n"):
        return LinkFormat()
    while True:
        match = _TARGET.match(linkformat, position)
        if match is None:
            _refuse(f"no link <…> at character {position}", linkformat[position : position + 20])
        href, position = match[1], match.end()
        pairs: list[tuple[str, str | None]] = []
        while (match := _PARAMETER.match(linkformat, position)) is not None:
            name, quoted, plain = match.groups()
            if name.lower() == "href":
                # It is the name of the target in queries (section 4.1).
                _refuse(f"a parameter href at character {position}", match[0])
            if quoted is not None and "\\" in quoted:
                quoted = _ESCAPED.sub(r"\1", quoted)
            pairs.append((name, plain if quoted is None else quoted))
            position = match.end()
        links.append(Link(href, pairs))
        if position == end:
            return LinkFormat(links)
        if linkformat[position] != ",":
            _refuse(
                f"no parameter, comma or end at character {position}",
                linkformat[position : position + 20],
            )
        position += 1


def matches(link: link_header.Link, query: str) -> bool:
    """Tell whether a link is among those that a query argument asks for.

    >>> matches(Link("/a", rt="temperature-c temperature-f"), "rt=temperature-f")
    True
    >>> matches(Link("/a", rt="temperature-c"), "href=/b*")
    False

    Args:
        link: A link.
        query: ``name=value`` or ``name=prefix*``.

    RFC 6690 section 4.1.
    """
    name, _, wanted = query.partition("=")
    values = _values(link, name)
    if wanted.endswith("*"):
        return any(value.startswith(wanted[:-1]) for value in values)
    return any(value == wanted for value in values)


def _values(link: link_header.Link, name: str) -> Iterable[str]:
    """Return what a filter by a name is to be compared with."""
    if name == "href":
        yield link.href
        return
    for own, value in link.attr_pairs:
        if own == name:
            # An attribute without a value exists, and has nothing to compare but that.
            value = value or ""
            parts = [part for part in value.split(" ") if part] if name in _LISTS else ()
            yield from parts or (value,)


def _refuse(why: str, what: Any) -> NoReturn:
    """Raise the one error of this room."""
    shown = repr(what)
    raise LinkFormatError(f"{why}: {shown if len(shown) < 60 else shown[:57] + '…'}")


def _as_link(link: Any) -> Link:
    """Make a link of what LinkHeader takes for one."""
    if isinstance(link, link_header.Link):
        return Link(link.href, link.attr_pairs)
    return Link(*link)


def _as_text(value: Any) -> str | None:
    """Return the value of an attribute as it is kept.

    Raises:
        TypeError: It is nothing that an attribute can have as value.
    """
    if value is None or value is True:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        # Content formats are numbers that have names.
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return " ".join([_as_text(item) or "" for item in value])
    raise TypeError(f"{value!r} can not be the value of a link's attribute")


def _check(href: str, pairs: Iterable[Sequence[Any]]) -> None:
    """Check that a link can be written.

    Raises:
        ValueError: It can not.

    RFC 6690 section 2.
    """
    if not _is_href(href):
        raise ValueError(f"{href!r} can not be a link's target unless percent-encoded")
    for name, value in pairs:
        if not isinstance(name, str) or not _is_name(name) or name.lower() == "href":
            raise ValueError(f"{name!r} can not be the name of a link's attribute")
        if isinstance(value, str) and not _is_text(value):
            raise ValueError(f"the value {value!r} has no form in UTF-8")


def _with_lists_joined(pairs: list[list[Any]]) -> list[list[Any]]:
    """Return attributes of which those that are lists are there once each."""
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        return pairs
    joined: list[list[Any]] = []
    places: dict[str, int] = {}
    for name, value in pairs:
        if name in places and value:
            before = joined[places[name]]
            before[1] = f"{before[1]} {value}" if before[1] else value
        elif name not in places:
            if name in _LISTS:
                places[name] = len(joined)
            joined.append([name, value])
    return joined


def _write_parameter(name: str, value: str | None) -> str:
    """Return an attribute as it stands behind a link."""
    if value is None:
        return f";{name}"
    if name not in _ALWAYS_QUOTED and _is_ptoken(value):
        return f";{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f';{name}="{escaped}"'


def _resolve(base: str, reference: str) -> str:
    """Resolve a reference against an absolute URI of any scheme.

    RFC 3986 section 5.2.  The standard library does it for the schemes that it knows.
    """
    scheme = urlsplit(base).scheme
    if not scheme or urlsplit(reference).scheme:
        return urljoin(base, reference)
    return scheme + urljoin("http" + base[len(scheme) :], reference)[len("http") :]

"""Accessors for properties of content types in their usual string form.

Here lives the question which general format a content type is built on.

It refuses to know content format numbers and content codings.

RFC 6838 section 4.2.8 (structured syntax suffixes), RFC 8949 section 9.5 and RFC 8392 section 9.2
(names of CBOR based types), RFC 6690 section 7.3.
"""

from __future__ import annotations

__all__ = ["categorize"]

#: Subtypes that are a format themselves or are defined to be carried in it, without saying so in
#: a suffix.
_BY_SUBTYPE = {
    "cbor": "cbor",
    "cose": "cbor",
    "cose-key": "cbor",
    "cose-key-set": "cbor",
    "cwt": "cbor",
    "sd-cwt": "cbor",
    "multipart-core": "cbor",
    "json": "json",
    "link-format": "link-format",
}

_BY_SUFFIX = {"cbor": "cbor", "cose": "cbor", "cwt": "cbor", "json": "json"}


def categorize(contenttype: str) -> str | None:
    """Name the general format that a content type is, or is derived from.

    >>> categorize("application/senml+cbor")
    'cbor'
    >>> categorize("application/json; charset=utf-8")
    'json'

    Args:
        contenttype: A content type with or without parameters; case does not matter.

    Returns:
        ``'cbor'``, ``'json'`` or ``'link-format'``; None for everything else. A sequence of CBOR
        items (``+cbor-seq``) is not a CBOR item and gives None.

    RFC 6838 section 4.2.8.
    """
    _, _, subtype = contenttype.partition(";")[0].strip().lower().partition("/")
    if subtype in _BY_SUBTYPE:
        return _BY_SUBTYPE[subtype]
    _, plus, suffix = subtype.rpartition("+")
    return _BY_SUFFIX.get(suffix) if plus else None

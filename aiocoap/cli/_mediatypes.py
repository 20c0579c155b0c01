"""What format a file has, by its name.

Here lives the guess, and what the tables of Python and of the system lack for it.

The room opens no file.

RFC 7252 section 12.3.
"""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes

from ..numbers.contentformat import ContentFormat

__all__ = ["guess_format"]

_types = MimeTypes()
# What the tables of Python and the system may lack, and constrained devices use.
for _type, _ending in (
    ("application/cbor", ".cbor"),
    ("application/cbor-seq", ".cborseq"),
    ("application/exi", ".exi"),
    ("application/link-format", ".wlnk"),
    ("application/senml+cbor", ".senmlc"),
    ("application/senml+json", ".senml"),
    ("application/senml+xml", ".senmlx"),
):
    _types.add_type(_type, _ending)


@lru_cache(256)
def guess_format(name: str) -> ContentFormat | None:
    """Guess the content format of a file.

    Args:
        name: Its name.

    Returns:
        None where its ending says nothing that there is a number for.

    RFC 7252 section 12.3.
    """
    # Without the slash, some names would be taken for URIs.
    media_type, encoding = _types.guess_type(f"./{name}")
    if media_type is None:
        return None
    # What is text in these tables may be registered as an application's, or was once.
    for known in (media_type, media_type.replace("text/", "application/", 1)):
        try:
            return ContentFormat.by_media_type(known, encoding or "identity")
        except KeyError:
            pass
    return None

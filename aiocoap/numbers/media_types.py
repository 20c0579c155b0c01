"""Media types by content format number, and the other way round, as plain dictionaries (stable).

Here live the two tables for programs that work with numbers and text only;
:class:`aiocoap.numbers.contentformat.ContentFormat` says more, and also knows the formats that
have a content coding, which are left out here: their media type alone would be misleading.

The room refuses to know what is inside a payload.

RFC 7252 section 12.3.
"""

from __future__ import annotations

from .._contentformat import MEDIA_TYPES as media_types
from .._contentformat import MEDIA_TYPES_REV as media_types_rev

__all__ = ["media_types", "media_types_rev"]

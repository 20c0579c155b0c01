"""Content formats, by the registry's numbers (stable).

Here :class:`ContentFormat` is public.  It is written one floor further down, where option values
can build on it.

The room refuses to know anything else.

RFC 7252 section 12.3.
"""

from __future__ import annotations

from .._contentformat import ContentFormat

__all__ = ["ContentFormat"]

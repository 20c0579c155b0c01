"""Percent-encoding helpers that :mod:`urllib.parse` does not have.

Here live the two character classes of the URI syntax that CoAP's URI composition builds on, and a
factory for quoting functions.

It refuses to know what a URI is made of; composing and taking apart is the business of the message
floor.

RFC 3986 sections 2.1 to 2.3; RFC 7252 section 6.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["quote_factory", "sub_delims", "unreserved"]

#: The ``unreserved`` characters of RFC 3986 section 2.3.
unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

#: The ``sub-delims`` characters of RFC 3986 section 2.2.
sub_delims = "!$&'()*+,;="


def quote_factory(safe_characters: Iterable[str]) -> Callable[[str], str]:
    """Build a function that percent-encodes every character outside of a safe set.

    >>> quote = quote_factory(unreserved + sub_delims)
    >>> quote("a b/ü")
    'a%20b%2F%C3%BC'

    Args:
        safe_characters: The characters that stay as they are. ``%`` is escaped unless it is one
            of them.

    Returns:
        A function from text to text. It raises :exc:`UnicodeEncodeError` for lone surrogates,
        which have no UTF-8 form.

    RFC 3986 section 2.1.
    """
    safe = frozenset(safe_characters)
    ascii_escapes = {code: f"%{code:02X}" for code in range(0x80) if chr(code) not in safe}

    def quote(unquoted: str) -> str:
        quoted = unquoted.translate(ascii_escapes)
        if quoted.isascii():
            return quoted
        return "".join(
            c if c.isascii() or c in safe else "".join(f"%{b:02X}" for b in c.encode("utf-8"))
            for c in quoted
        )

    return quote

"""The parts of the standard library's :mod:`secrets` under the name that users of old know.

Here live forwarded names only; new code imports :mod:`secrets` itself.

It refuses to know any source of randomness of its own, and does not load the standard module
before one of its names is used.

RFC 4086 is what the standard module answers to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secrets import (
        SystemRandom,
        choice,
        compare_digest,
        randbelow,
        randbits,
        token_bytes,
        token_hex,
        token_urlsafe,
    )

__all__ = [
    "SystemRandom",
    "choice",
    "compare_digest",
    "randbelow",
    "randbits",
    "token_bytes",
    "token_hex",
    "token_urlsafe",
]


def __getattr__(name: str) -> Any:
    """Fetch one of the forwarded names on its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import secrets

    value = getattr(secrets, name)
    globals()[name] = value
    return value

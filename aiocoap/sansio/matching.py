"""Which request a response belongs to.

Here lives :class:`Matching`: the requests of an endpoint that wait for responses, by token and
remote endpoint, and the tokens for new ones.  :class:`RequestTags` does for the blocks of
concurrent uploads what tokens do for requests.

The room knows no pipe, no timer and no message: what waits is whatever its owner puts in.  That
a piggybacked response has the Message ID of its request is seen to where there are Message IDs,
in :mod:`.reliability`.

RFC 7252 sections 5.3 (matching), 8.2 (multicast) and 11.4 (spoofed responses), RFC 9175
sections 3.4 and 3.5 (Request-Tag), 4.2 and 5.1 (tokens that are not used again).

Tokens
------

Two things are asked of a token.  It must not have been used for another request whose answer
may still be on its way (RFC 9175 section 4.2 recommends a sequence number); and, without a
security layer, somebody who can not see the traffic must not be able to guess it (RFC 7252
section 5.3.1 recommends 32 bits of randomness).  A counter alone is known to every server that
was ever talked to; random numbers alone repeat sooner than one thinks; both side by side make
every message longer.

So a token is a counter that went through a secret permutation of all four byte values: it comes
back after 2³² requests and no sooner, and the next one is as good as random to anybody who does
not know the secret, at 4 bytes on the wire.  The permutation is no cipher: it keeps out those
who guess, and those who can listen need no guess.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from ..address import EndpointAddress

__all__ = ["TOKEN_SIZE", "Matching", "RequestTags", "Tokens"]

TOKEN_SIZE = 4
"""Length in bytes of the tokens that are made here."""

_ROUNDS = 4
# A Feistel network of four rounds is a permutation that looks random from both sides (Luby and
# Rackoff), given round functions that look random.


class Tokens:
    """A sequence of tokens that nobody can guess and of which none comes twice.

    Args:
        random_bytes: Gives as many random bytes as it is asked for; it is called once.

    RFC 7252 section 5.3.1, RFC 9175 section 4.2.
    """

    __slots__ = ("_boxes", "_count")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._count = 0
        # Each round's function of 16 bits is the exclusive or of a random number for the upper
        # byte and one for the lower.
        secret = memoryview(random_bytes(_ROUNDS * 1024)).cast("H").tolist()
        self._boxes = [
            (secret[start : start + 256], secret[start + 256 : start + 512])
            for start in range(0, len(secret), 512)
        ]

    def next(self) -> bytes:
        """Return a token that was not returned for 2³² calls."""
        count = self._count
        self._count = count + 1 & 0xFFFFFFFF
        left, right = count >> 16, count & 0xFFFF
        for upper, lower in self._boxes:
            left, right = right, left ^ upper[right >> 8] ^ lower[right & 255]
        return (left << 16 | right).to_bytes(TOKEN_SIZE, "big")


_T = TypeVar("_T")


class Matching(Generic[_T]):
    """Requests that wait for responses.

    Tokens are unique in the whole endpoint, so that they alone find the request; the remote is
    what is checked then.  All entries are made by requests of our own: no stranger can make the
    table grow.

    Args:
        random_bytes: Gives as many random bytes as it is asked for; it is called once.

    RFC 7252 section 5.3.2.
    """

    __slots__ = ("_tokens", "_waiting")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._tokens = Tokens(random_bytes)
        self._waiting: dict[bytes, tuple[EndpointAddress | None, _T]] = {}

    def __len__(self) -> int:
        """Return the number of waiting requests."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[_T]:
        """Iterate over the waiting requests; they may go while one does."""
        return iter([request for _, request in self._waiting.values()])

    def next_token(self) -> bytes:
        """Return a token that no waiting request has, and that none had for long."""
        token = self._tokens.next()
        while token in self._waiting:
            token = self._tokens.next()
        return token

    def add(self, token: bytes, remote: EndpointAddress | None, request: _T) -> None:
        """Let a request wait.

        Args:
            token: Its token, from :meth:`next_token`.
            remote: Where it goes; None for a group, of which every member may answer.
            request: What :meth:`find` is to return.
        """
        self._waiting[token] = (remote, request)

    def find(self, token: bytes, remote: EndpointAddress) -> _T | None:
        """Return the one request that a response belongs to, or None.

        Args:
            token: The response's token; anything may be in there.
            remote: Where it came from.

        RFC 7252 sections 5.3.2 and 8.2.
        """
        entry = self._waiting.get(token)
        if entry is None:
            return None
        expected, request = entry
        return request if expected is None or expected == remote else None

    def remove(self, token: bytes) -> None:
        """Let a request wait no longer, if it does.

        Args:
            token: Its token.
        """
        self._waiting.pop(token, None)

    def waiting_for(self, remote: EndpointAddress) -> list[_T]:
        """Return the requests that wait for an answer of one endpoint.

        Args:
            remote: The endpoint; requests to groups do not depend on a single one.
        """
        return [
            request
            for expected, request in self._waiting.values()
            if expected is not None and expected == remote
        ]


class RequestTags:
    """The Request-Tags of the uploads under way.

    An upload gets the shortest tag that tells it from the others that a server could take its
    blocks for; mostly that is none at all.  The tag of an upload that was broken off stays in
    use for as long as one of its blocks may still arrive.  All entries are made by uploads of
    our own.

    RFC 9175 sections 3.4 and 3.5.2.
    """

    __slots__ = ("_broken_off", "_in_use")

    def __init__(self) -> None:
        self._in_use: dict[Hashable, set[bytes | None]] = {}
        self._broken_off: deque[tuple[float, Hashable, bytes | None]] = deque()

    def __len__(self) -> int:
        """Return the number of tags in use."""
        return sum(map(len, self._in_use.values()))

    def take(self, key: Hashable, now: float) -> bytes | None:
        """Return a tag for an upload; None stands for no Request-Tag option.

        Args:
            key: What is the same in all uploads that a server could mix up: where they go, and
                the cache key of their request.
            now: Monotonic seconds.
        """
        while self._broken_off and self._broken_off[0][0] <= now:
            _, old_key, old_tag = self._broken_off.popleft()
            self.release(old_key, old_tag)
        in_use = self._in_use.setdefault(key, set())
        tag: bytes | None = None
        number = 0
        while tag in in_use:
            tag = number.to_bytes((number.bit_length() + 7) // 8, "big")
            number += 1
        in_use.add(tag)
        return tag

    def release(self, key: Hashable, tag: bytes | None) -> None:
        """Let go of the tag of an upload whose last block was answered.

        Args:
            key: As for :meth:`take`.
            tag: What that returned.
        """
        in_use = self._in_use[key]
        in_use.remove(tag)
        if not in_use:
            del self._in_use[key]

    def retire(self, key: Hashable, tag: bytes | None, until: float) -> None:
        """Let go of the tag of an upload that was broken off, later.

        Args:
            key: As for :meth:`take`.
            tag: What that returned.
            until: When none of its blocks can be under way any more, in monotonic seconds; not
                earlier than in the last call.
        """
        self._broken_off.append((until, key, tag))

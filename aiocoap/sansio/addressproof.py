"""Whether a peer is where it says it is, and how much may be sent there until that is known.

Here lives :class:`AddressProof`: anybody can put somebody else's address on a UDP datagram, and a
server that answers a small one with a large one is a weapon.

The room knows no socket, no clock and no message: ``now`` and sizes are arguments, randomness is
given at construction.

RFC 7252 section 11.3 (amplification), RFC 9175 sections 2.3 and 2.4 (Echo), section 2.6 item 3.

A peer has proved its address for ``PROVEN_LIFETIME`` when it repeats an Echo value, acknowledges
or rejects a message whose Message ID it can only know from having received it, or answers a
request of ours; a peer that we send a request to of our own accord needs no proof.  Going on with
the next block of a body proves nothing, as its number can be guessed.  Echo values are made and
checked without memory: they are a keyed hash of the peer's address and the time.

State and bounds: proven addresses, at most ``MAX_PROVEN``, the least recently proven forgotten
first; and for unproven ones the bytes that may be sent there, at most ``MAX_UNPROVEN`` addresses,
the oldest forgotten first.  Being forgotten means that nothing more is sent until the next
datagram comes.  A spoofer can fill only the second table, and cut short the answers to others
that have not proved their address; those are served as soon as they ask again or repeat an Echo.
"""

from __future__ import annotations

from ..address import EndpointAddress

__all__ = ["MAX_PROVEN", "MAX_UNPROVEN", "PROVEN_LIFETIME", "AddressProof"]

PROVEN_LIFETIME = 300.0
"""Seconds for which a proof holds."""

LAPSED_ALLOWANCE = 5 * 1152
"""Bytes that may be sent once to an address whose proof has lapsed: a message of the size that
RFC 7252 section 4.6 names, and its retransmissions."""

MAX_PROVEN = 16_384
"""Number of proven addresses that are remembered at most."""

MAX_UNPROVEN = 4_096
"""Number of unproven addresses for which is remembered what may be sent there."""

ECHO_SIZE = 8
"""Size in bytes of an Echo value: of 2⁶⁴ values one guess is right."""

_SLOT = 64.0
# Seconds that Echo values of one kind are handed out for; they are accepted for one slot more.


class AddressProof:
    """What is known of the addresses of peers that could be somebody else's.

    Args:
        secret: At least 16 random bytes.
        factor: How many times as many bytes as came in may be sent to an unproven address.
    """

    __slots__ = ("_factor", "_proven", "_secret", "_unproven")

    def __init__(self, secret: bytes, factor: float) -> None:
        self._secret = secret
        self._factor = factor
        # Both in the order in which they are forgotten.
        self._proven: dict[EndpointAddress, float] = {}
        self._unproven: dict[EndpointAddress, float] = {}

    def is_proven(self, remote: EndpointAddress, now: float) -> bool:
        """Whether a peer has proved its address of late.

        Args:
            remote: The peer.
            now: Monotonic seconds.
        """
        return self._proven.get(remote, now) > now

    def confirm(self, remote: EndpointAddress, now: float) -> None:
        """Take note that a peer has proved its address.

        Args:
            remote: The peer.
            now: Monotonic seconds.
        """
        self._unproven.pop(remote, None)
        self._proven.pop(remote, None)
        self._proven[remote] = now + PROVEN_LIFETIME
        if len(self._proven) > MAX_PROVEN:
            del self._proven[next(iter(self._proven))]

    def receive(self, remote: EndpointAddress, size: int, now: float) -> int | None:
        """Take note of a datagram.

        Args:
            remote: Where it says that it came from.
            size: Its size in bytes.
            now: Monotonic seconds.

        Returns:
            The number of bytes that may be sent there in return, or None for any number.
        """
        if self.is_proven(remote, now):
            return None
        # What a request yields after a proof has lapsed is what any other yields.
        self._proven.pop(remote, None)
        allowed = self._unproven.get(remote, 0.0) + self._factor * size
        self._allow(remote, allowed)
        return int(allowed)

    def _allow(self, remote: EndpointAddress, allowed: float) -> None:
        self._unproven[remote] = allowed
        if len(self._unproven) > MAX_UNPROVEN:
            del self._unproven[next(iter(self._unproven))]

    def spend(self, remote: EndpointAddress, size: int, now: float) -> bool:
        """Ask whether a datagram may be sent, and count it if so.

        Where a proof has lapsed with nothing heard since, one more message may be sent, however
        often it is repeated: an observer is asked by it for another proof.

        Args:
            remote: Where it is to go.
            size: Its size in bytes.
            now: Monotonic seconds.
        """
        if self.is_proven(remote, now):
            return True
        if self._proven.pop(remote, None) is not None:
            self._allow(remote, LAPSED_ALLOWANCE)
        allowed = self._unproven.get(remote, 0.0)
        if size > allowed:
            return False
        self._unproven[remote] = allowed - size
        return True

    def challenge(self, remote: EndpointAddress, now: float) -> bytes:
        """Return an Echo value for a peer to repeat.

        Args:
            remote: The peer.
            now: Monotonic seconds.

        RFC 9175 section 2.3 and appendix A (item 2 there).
        """
        return self._echo(remote, int(now // _SLOT))

    def check(self, remote: EndpointAddress, echo: bytes, now: float) -> bool:
        """Whether an Echo value was made for this peer, not long ago; if so, that is the proof.

        Args:
            remote: Where it came from.
            echo: The value.
            now: Monotonic seconds.

        RFC 9175 section 2.3.
        """
        slot = int(now // _SLOT)
        is_right = _is_one_of(echo, self._echo(remote, slot), self._echo(remote, slot - 1))
        if is_right:
            self.confirm(remote, now)
        return is_right

    def _echo(self, remote: EndpointAddress, slot: int) -> bytes:
        # Only servers on the open Internet come here.
        from hashlib import blake2b

        about = f"{slot} {remote.uri_base}".encode()
        return blake2b(about, key=self._secret, digest_size=ECHO_SIZE).digest()

    def __len__(self) -> int:
        """Return the number of addresses that anything is remembered of."""
        return len(self._proven) + len(self._unproven)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._proven)} proven, {len(self._unproven)} not>"


def _is_one_of(echo: bytes, *values: bytes) -> bool:
    """Whether a value is among some, without telling by the time how much of it is right."""
    from hmac import compare_digest

    first, second = values
    return compare_digest(echo, first) | compare_digest(echo, second)

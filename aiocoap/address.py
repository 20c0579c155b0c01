"""What the house knows about the other end of an exchange.

Here live :class:`EndpointAddress`, the contract that every transport's addresses
fulfil, and :class:`UndecidedRemote`, the address of a request that no transport has
resolved yet.

The room knows no socket and no transport.

RFC 7252 section 4.1 (endpoints), section 6 (URIs).
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["EndpointAddress", "UndecidedRemote"]


class EndpointAddress:
    """A peer that messages are exchanged with (stable).

    Addresses are made by transports only: for incoming messages, and when a request's
    destination is resolved.  They are hashable, and an incoming address is equal to the
    one that a request of the same context (and of the same security session, RFC 7252
    section 9.1.2) was sent to.
    """

    __slots__ = ()

    maximum_block_size_exp: int = 6
    """Largest block size exponent that may be sent to this peer (16·2ⁿ bytes; 7 is BERT)."""

    maximum_payload_size: int = 1024
    """Largest payload in bytes that one message to this peer carries; a multiple of 1024.
    It matters where ``maximum_block_size_exp`` is 7."""

    may_send_bert: bool = False
    """Whether the peer was told that BERT blocks are taken from it (RFC 8323 section 5.3.2)."""

    is_global: bool = False
    """Whether datagrams said to come from here can have been sent from anywhere: it is False for
    loopback, link-local and private addresses, and where a connection proves who is there."""

    @property
    def hostinfo(self) -> str:
        """Authority component (``host[:port]``) of URIs at this peer.

        Having one does not mean that a URI made of it works elsewhere; see ``uri_base``.
        """
        raise NotImplementedError

    @property
    def hostinfo_local(self) -> str:
        """Authority component of URIs at the own end of the exchange."""
        raise NotImplementedError

    @property
    def uri(self) -> str:
        """Deprecated name of ``uri_base``."""
        return self.uri_base

    @property
    def uri_base(self) -> str:
        """Scheme and authority of the peer, such as ``coap://[2001:db8::1]``.

        Raises:
            AnonymousHost: The peer can not be named in a URI.
        """
        raise NotImplementedError

    @property
    def uri_base_local(self) -> str:
        """Scheme and authority of the own end.

        Raises:
            AnonymousHost: The own end can not be named in a URI.
        """
        raise NotImplementedError

    @property
    def scheme(self) -> str:
        """URI scheme of this kind of address; it is the same at both ends."""
        raise NotImplementedError

    @property
    def is_multicast(self) -> bool:
        """Whether the peer is a group rather than one endpoint."""
        raise NotImplementedError

    @property
    def is_multicast_locally(self) -> bool:
        """Whether the message came in on a multicast address."""
        raise NotImplementedError

    def as_response_address(self) -> EndpointAddress:
        """Return the address that a response to a message from here is sent with.

        It is the same one by default; for a message that came by multicast it is one
        without the group as the local address (RFC 7252 section 8.2).
        """
        return self

    @property
    def authenticated_claims(self) -> Iterable[object]:
        """What the peer has proved about itself, for access decisions (unstable)."""
        return ()

    @property
    def blockwise_key(self) -> object:
        """Key under which blocks of one transfer from this peer belong together.

        It is the address itself unless a security layer says otherwise.
        """
        return self


class UndecidedRemote(EndpointAddress):
    """Scheme and authority of a request that no transport has claimed yet.

    Args:
        scheme: URI scheme, lower case.
        hostinfo: ``host[:port]`` in URI form (IPv6 addresses in brackets, zones after ``%``).
    """

    __slots__ = ("hostinfo", "scheme")

    scheme: str
    hostinfo: str

    def __init__(self, scheme: str, hostinfo: str) -> None:
        self.scheme = scheme
        self.hostinfo = hostinfo

    @property
    def uri_base(self) -> str:
        """Scheme and authority of the request's destination."""
        return f"{self.scheme}://{self.hostinfo}"

    @property
    def is_multicast(self) -> bool:
        """False: what is not resolved is not known to be a group."""
        return False

    @property
    def is_multicast_locally(self) -> bool:
        """False: nothing came in from here."""
        return False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UndecidedRemote):
            return NotImplemented
        return (self.scheme, self.hostinfo) == (other.scheme, other.hostinfo)

    def __hash__(self) -> int:
        return hash((self.scheme, self.hostinfo))

    def __repr__(self) -> str:
        return f"<UndecidedRemote {self.uri_base}>"

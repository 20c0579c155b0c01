"""The CoAP message, and its way to bytes and back.

Here live :class:`Message`, its codec, and the URI that a message belongs to.  (How messages are
told apart on a stream is a matter of :mod:`aiocoap.sansio.framing`.)

The room knows what a message is; who sends it, when, and what an answer to it does is
decided above.

RFC 7252 sections 3, 5.6 and 6, RFC 8323 section 3.2 (what follows the length of a frame), RFC
8974 (extended tokens), RFC 8132 section 2 (cache key).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from struct import error as StructError
from typing import Any

from ._faults import MissingRemoteError, UnparsableMessage
from .address import EndpointAddress, UndecidedRemote
from .numbers.codes import CODES, Code
from .numbers.constants import TransportTuning
from .numbers.types import TYPES, Type
from .options import Options
from .requesturi import compose, decompose
from .util import Sentinel, hostportjoin, hostportsplit

__all__ = ["Direction", "Message", "NoResponse"]


class Direction(IntEnum):
    """Which way a message goes, seen from the program that holds it."""

    INCOMING = 0
    OUTGOING = 1


_INCOMING, _OUTGOING = Direction.INCOMING, Direction.OUTGOING

_pack_header = Struct("!BBH").pack
_BYTES = tuple([bytes((number,)) for number in range(256)])


@lru_cache(maxsize=256)
def _directions(uri: str, with_host: bool) -> tuple[Options, UndecidedRemote]:
    """Return the options and the destination of requests for a URI; nobody changes them.

    Programs ask for the same things again and again.

    Raises:
        MalformedUrlError: The URI can not be turned into a request.
        IncompleteUrlError: The URI has no scheme or host.

    RFC 7252 section 6.4.
    """
    parts = decompose(uri)
    options = Options()
    options.uri_host = parts.uri_host if with_host else None
    options.uri_path = parts.uri_path
    options.uri_query = parts.uri_query
    return options, UndecidedRemote(parts.scheme, parts.hostinfo)


class Message:
    """A request or response, or an empty or signaling message (stable).

    Applications create requests and return responses; what they leave open (type, Message
    ID, token) the library fills in when it sends.

    Args:
        mtype: Type; None leaves it to the library.
        mid: Message ID, 0 to 65535; None leaves it to the library.
        code: Method or response code.
        payload: Body of the message.
        token: 0 to 65804 bytes, usually up to 8; set by the library.
        uri: Where a request goes, see :meth:`set_request_uri`.
        transport_tuning: Parameters of this message's transmission, an object or a class;
            ``Reliable`` and ``Unreliable`` ask for CON and NON.  None takes the context's.
        kwargs: Options by their names in :class:`aiocoap.options.Options`.

    Raises:
        AttributeError: There is no option of a name.
        MalformedUrlError: The URI can not be turned into a request.
        IncompleteUrlError: The URI has no scheme or host.
        ValueError: An option can not have a value.

    RFC 7252 section 3.
    """

    __slots__ = (
        "_path_prefix",
        "code",
        "direction",
        "mid",
        "mtype",
        "opt",
        "payload",
        "remote",
        "request",
        "response_limit",
        "token",
        "transport_tuning",
    )

    mtype: Type | None
    mid: int | None
    code: Code
    payload: bytes
    token: bytes
    opt: Options
    remote: EndpointAddress | None
    request: Message | None
    direction: Direction
    transport_tuning: TransportTuning | None
    # How many bytes may be sent in return for an incoming message, while its sender has not
    # proved to be there; None for any number.
    response_limit: int | None
    # Path segments that sites took off on the way to a resource, still part of the URI.
    _path_prefix: tuple[str, ...]

    def __init__(
        self,
        *,
        mtype: Type | int | None = None,
        mid: int | None = None,
        code: Code | int | None = None,
        payload: bytes = b"",
        token: bytes = b"",
        uri: str | None = None,
        transport_tuning: TransportTuning | type[TransportTuning] | None = None,
        **kwargs: Any,
    ) -> None:
        # What is of the right type already, as it mostly is, is spared the conversion.
        self.mtype = mtype if mtype is None or type(mtype) is Type else Type(mtype)
        self.mid = mid
        # Most applications never look at a message without a code, so that the type of the
        # attribute leaves it out.
        self.code = code if code is None or type(code) is Code else Code(code)  # type: ignore[assignment]
        self.payload = payload
        self.token = token
        self.opt = opt = Options()
        self.remote = None
        self.request = None
        self.direction = _OUTGOING
        if transport_tuning is not None and isinstance(transport_tuning, type):
            transport_tuning = transport_tuning()
        self.transport_tuning = transport_tuning
        self.response_limit = None
        self._path_prefix = ()
        if uri is not None:
            self.set_request_uri(uri)
        for name, value in kwargs.items():
            setattr(opt, name, value)

    def copy(self, **kwargs: Any) -> Message:
        """Return a message that can be changed without changing this one.

        Args:
            kwargs: What is different in the copy: the constructor's arguments, ``remote``,
                ``request``, ``direction``, or options by name.

        Raises:
            AttributeError: There is no option of a name.
            MalformedUrlError: A URI is given that can not be turned into a request.
            IncompleteUrlError: A URI is given that has no scheme or host.
        """
        new = self._twin(self.opt.copy())
        uri = kwargs.pop("uri", None)
        if uri is not None:
            new.set_request_uri(uri)
        for name, value in kwargs.items():
            if name == "mtype":
                new.mtype = None if value is None else Type(value)
            elif name == "code":
                new.code = None if value is None else Code(value)  # type: ignore[assignment]
            elif name == "transport_tuning" and isinstance(value, type):
                new.transport_tuning = value()
            elif name in _COPIED_BY_NAME:
                setattr(new, name, value)
            else:
                setattr(new.opt, name, value)
        return new

    def _twin(self, opt: Options) -> Message:
        """Return a message like this one, with other options."""
        new = Message.__new__(Message)
        new.mtype = self.mtype
        new.mid = self.mid
        new.code = self.code
        new.payload = self.payload
        new.token = self.token
        new.opt = opt
        new.remote = self.remote
        new.request = self.request
        new.direction = self.direction
        new.transport_tuning = self.transport_tuning
        new.response_limit = self.response_limit
        new._path_prefix = self._path_prefix
        return new

    def below(self, depth: int, path: tuple[str, ...] | None = None) -> Message:
        """Return the message as a resource sees it that is mounted some segments down.

        Its path lacks the first segments; :meth:`get_request_uri` still gives the whole.

        Args:
            depth: Number of segments to take off.
            path: The value of ``opt.uri_path``, if it is at hand.
        """
        opt = self.opt.copy()
        new = self._twin(opt)
        taken = opt.take_path(depth, path)
        prefix = self._path_prefix
        new._path_prefix = prefix + taken if prefix else taken
        return new

    @property
    def full_path(self) -> tuple[str, ...]:
        """Path segments that the client asked for, whatever part of them a site took off."""
        return self._path_prefix + self.opt.uri_path

    # The codec

    @classmethod
    def decode(cls, rawdata: bytes, remote: EndpointAddress | None = None) -> Message:
        """Read a message from a datagram.

        Args:
            rawdata: The whole datagram; anything may be in there.
            remote: Where it came from.

        Returns:
            An incoming message.  Whether type, code and options make sense together is not
            judged.

        Raises:
            UnparsableMessage: The bytes are no message; nothing else is ever raised.

        RFC 7252 section 3, RFC 8974 section 2.1.
        """
        if type(rawdata) is not bytes:
            rawdata = bytes(rawdata)
        if len(rawdata) < 4:
            raise UnparsableMessage("shorter than a header")
        first = rawdata[0]
        if first & 0xC0 != 0x40:
            raise UnparsableMessage(f"version {first >> 6} is not 1")
        length, start = first & 15, 4
        if length > 12:
            length, start = _extended_token_length(rawdata, length, 4)
        code = rawdata[1]
        if not code and len(rawdata) > 4:
            raise UnparsableMessage("an empty message has nothing but a header")
        end = start + length
        self = cls.__new__(cls)
        self.token = rawdata[start:end]
        self.opt = opt = Options()
        if len(rawdata) > end:
            self.payload = opt.decode_from(rawdata, end)
        elif len(rawdata) == end:
            self.payload = b""
        else:
            raise UnparsableMessage("token cut short")
        self.mtype = TYPES[first >> 4 & 3]
        self.mid = rawdata[2] << 8 | rawdata[3]
        self.code = CODES[code]
        self.remote = remote
        self.request = None
        self.direction = _INCOMING
        self.transport_tuning = None
        self.response_limit = None
        self._path_prefix = ()
        return self

    def encode(self) -> bytes:
        """Return the message as a datagram.

        Raises:
            TypeError: Type, code or Message ID are not set.
            ValueError: A field is out of range.

        RFC 7252 section 3, RFC 8974 section 2.1.
        """
        mtype, mid, code, token = self.mtype, self.mid, self.code, self.token
        if mtype is None or mid is None or code is None:
            raise TypeError("a message needs a type, a code and a Message ID to be encoded")
        length, extension = len(token), b""
        if length > 12:
            length, extension = _token_length_fields(length)
        try:
            parts = [_pack_header(0x40 | mtype << 4 | length, code, mid), extension, token]
        except StructError:
            raise ValueError("type, code or Message ID is out of range") from None
        self.opt.encode_to(parts)
        if self.payload:
            parts.append(b"\xff")
            parts.append(self.payload)
        return b"".join(parts)

    @classmethod
    def decode_reliable(
        cls, rawdata: bytes, start: int, nibble: int, remote: EndpointAddress | None = None
    ) -> Message:
        """Read a message from what follows the length in a frame of a reliable transport.

        Args:
            rawdata: The frame; anything may be in there.
            start: Where the code is.
            nibble: The TKL field.
            remote: Where it came from.

        Returns:
            An incoming message, which has neither type nor Message ID.  Whether code and options
            make sense together is not judged.

        Raises:
            UnparsableMessage: The bytes are no message; nothing else is ever raised.

        RFC 8323 section 3.2, RFC 8974 section 2.1.
        """
        if len(rawdata) <= start:
            raise UnparsableMessage("shorter than a header")
        code = rawdata[start]
        start += 1
        if nibble > 12:
            length, start = _extended_token_length(rawdata, nibble, start)
            end = start + length
        else:
            end = start + nibble
        self = cls.__new__(cls)
        self.token = rawdata[start:end]
        self.opt = opt = Options()
        if len(rawdata) > end:
            self.payload = opt.decode_from(rawdata, end)
        elif len(rawdata) == end:
            self.payload = b""
        else:
            raise UnparsableMessage("token cut short")
        self.mtype = self.mid = None
        self.code = CODES[code]
        self.remote = remote
        self.request = None
        self.direction = _INCOMING
        self.transport_tuning = None
        self.response_limit = None
        self._path_prefix = ()
        return self

    def encode_reliable(self) -> tuple[int, bytes, bytes]:
        """Return the parts of a frame of a reliable transport.

        Returns:
            The TKL field; what follows the length up to the token; options and payload.

        Raises:
            TypeError: The code is not set.
            ValueError: A field is out of range.

        RFC 8323 section 3.2, RFC 8974 section 2.1.
        """
        code, token = self.code, self.token
        if code is None:
            raise TypeError("a message needs a code to be encoded")
        parts: list[bytes] = []
        self.opt.encode_to(parts)
        if self.payload:
            parts.append(b"\xff")
            parts.append(self.payload)
        nibble, extension = _token_length_fields(len(token))
        return nibble, _BYTES[code] + extension + token, b"".join(parts)

    # Keys and URIs

    def get_cache_key(self, ignore_options: Iterable[int] = ()) -> tuple[Any, ...]:
        """Return what requests have in common that one stored response may serve.

        >>> from aiocoap.numbers.codes import GET
        >>> Message(code=GET, size1=1).get_cache_key() == Message(code=GET).get_cache_key()
        True

        Args:
            ignore_options: Numbers of options that the caller acts on itself.

        Returns:
            A value that can be compared and hashed, and of which nothing else is promised.

        RFC 7252 section 5.6, RFC 8132 section 2 (the payload of a FETCH is part of it).
        """
        items = self.opt.cache_key_items(ignore_options)
        if self.code == Code.FETCH:
            return (self.code, items, self.payload)
        return (self.code, items)

    def get_request_uri(self, *, local_is_server: bool | None = None) -> str:
        """Return the absolute URI that the message belongs to.

        For a request that is Proxy-Uri where present, else it is composed of the options and
        the address.  For a response it is the URI of its request, with the responder's
        address in place of a group's.  In a resource it is the URI that the client asked
        for, as far as a server can tell (behind a reverse proxy, it can not).

        Args:
            local_is_server: Whether this program is the server of the exchange; None tells
                it from the message's direction and code.

        Raises:
            AnonymousHost: The server's end has no address that a URI can carry.
            MissingRemoteError: The message has neither an address nor Uri-Host.
            MalformedUrlError: Uri-Host or Proxy-Scheme have values that no URI can have.

        RFC 7252 section 6.5.
        """
        is_response = self.code is not None and self.code.is_response()
        if local_is_server is None:
            local_is_server = is_response == (self.direction is _OUTGOING)
        if is_response and self.request is not None:
            return self._response_uri(self.request, local_is_server)
        if self.opt.proxy_uri is not None:
            return self.opt.proxy_uri
        return self._compose(self.remote, local_is_server)

    def _response_uri(self, request: Message, local_is_server: bool) -> str:
        """Return the URI of a response, given its request."""
        asked = request.remote
        if local_is_server or asked is None or not asked.is_multicast:
            return request.get_request_uri(local_is_server=local_is_server)
        # A name would name the whole group (RFC 7252 section 8.2).
        return request._compose(self.remote, False, named=False)

    def _compose(
        self, remote: EndpointAddress | None, local_is_server: bool, named: bool = True
    ) -> str:
        """Compose the URI of a request between here and an address."""
        opt = self.opt
        if remote is None:
            if opt.uri_host is None:
                raise MissingRemoteError
            scheme, hostinfo = "coap", hostportjoin(opt.uri_host, opt.uri_port)
        else:
            scheme = remote.scheme
            hostinfo = remote.hostinfo_local if local_is_server else remote.hostinfo
        return compose(
            scheme,
            hostinfo,
            opt.uri_host if named else None,
            opt.uri_port if named else None,
            self.full_path,
            opt.uri_query,
            opt.proxy_scheme,
        )

    def set_request_uri(self, uri: str, *, set_uri_host: bool = True) -> None:
        """Direct a request to a URI: set the Uri-* options and the destination.

        The destination is :attr:`remote` with scheme, host and port of the URI; its name is
        resolved when the request is sent.  Neither Uri-Host nor Uri-Port are set where the
        destination says the same already (the documentation puts them in any case; RFC 7252
        section 6.4 leaves them out).

        Args:
            uri: An absolute URI of a CoAP scheme.
            set_uri_host: False sends no Uri-Host: messages are shorter, but virtual hosts do
                not work.

        Raises:
            MalformedUrlError: The URI can not be turned into a request.
            IncompleteUrlError: The URI has no scheme or host.

        RFC 7252 section 6.4.
        """
        options, self.remote = _directions(uri, set_uri_host)
        self.opt.direct(options)
        self._path_prefix = ()

    @property
    def unresolved_remote(self) -> str | None:
        """Destination as ``host[:port]`` that is yet to be resolved; None where there is none.

        Setting it directs a request somewhere else than its Uri-Host says, as clients of a
        proxy do.
        """
        remote = self.remote
        return remote.hostinfo if isinstance(remote, UndecidedRemote) else None

    @unresolved_remote.setter
    def unresolved_remote(self, hostinfo: str | None) -> None:
        if hostinfo is None:
            self.remote = None
            return
        scheme = self.remote.scheme if isinstance(self.remote, UndecidedRemote) else "coap"
        self.remote = UndecidedRemote(scheme, hostinfo)

    @property
    def is_resolved(self) -> bool:
        """Whether the message is to go to an address that a transport has made."""
        return self.remote is not None and not isinstance(self.remote, UndecidedRemote)

    def destination(self) -> UndecidedRemote:
        """Return scheme and authority that a request is to be sent to, unresolved.

        It is that of :attr:`remote` where there is one, and is otherwise taken from Uri-Host and
        Uri-Port.

        Raises:
            MissingRemoteError: Neither is set.
        """
        remote = self.remote
        if isinstance(remote, UndecidedRemote):
            return remote
        if remote is not None:
            # Somebody else's, or out of use; Uri-Host only says what is asked for there.
            return UndecidedRemote(remote.scheme, remote.hostinfo)
        opt = self.opt
        if opt.uri_host is not None:
            hostinfo = hostportjoin(opt.uri_host.strip("[]"), opt.uri_port)
            return UndecidedRemote(opt.proxy_scheme or "coap", hostinfo)
        raise MissingRemoteError

    # What the deprecated views show, for responses: parts of the request's URI.

    def _requested(self) -> Message:
        return self if self.request is None else self.request

    @property
    def requested_scheme(self) -> str | None:
        """Scheme of the requested URI (deprecated; use :meth:`get_request_uri`)."""
        remote = self._requested().remote
        return None if remote is None else self._requested().opt.proxy_scheme or remote.scheme

    @property
    def requested_proxy_uri(self) -> str | None:
        """Proxy-Uri of the request (deprecated)."""
        return self._requested().opt.proxy_uri

    @property
    def requested_hostinfo(self) -> str | None:
        """Authority of the requested URI (deprecated; use :meth:`get_request_uri`)."""
        request = self._requested()
        opt = request.opt
        if opt.uri_host is not None:
            port = opt.uri_port
            if port is None and request.remote is not None:
                port = hostportsplit(request.remote.hostinfo)[1]
            return hostportjoin(opt.uri_host, port)
        return None if request.remote is None else request.remote.hostinfo

    @property
    def requested_path(self) -> tuple[str, ...]:
        """Path segments of the requested URI (deprecated)."""
        return self._requested().opt.uri_path

    @property
    def requested_query(self) -> tuple[str, ...]:
        """Arguments of the requested URI (deprecated)."""
        return self._requested().opt.uri_query

    def __repr__(self) -> str:
        # A program may have set bare numbers.
        mtype = "no mtype," if self.mtype is None else f"Type.{Type(self.mtype).name}"
        code = "no code" if self.code is None else Code(self.code)
        mid = "no MID" if self.mid is None else f"MID {self.mid}"
        token = f"token {self.token.hex()}" if self.token else "empty token"
        numbers = len(self.opt.numbers())
        options = f", {numbers} option(s)" if numbers else ""
        payload = f", {len(self.payload)} byte(s) payload" if self.payload else ""
        return (
            f"<aiocoap.Message at {id(self):#x}: {mtype} {code} ({mid}, {token}) "
            f"remote {self.remote}{options}{payload}>"
        )


_COPIED_BY_NAME = frozenset(
    ("mid", "payload", "token", "remote", "request", "direction", "transport_tuning")
)


def _extended_token_length(rawdata: bytes, nibble: int, start: int) -> tuple[int, int]:
    """Return the length of a token of more than 12 bytes, and where it starts.

    Raises:
        UnparsableMessage: The length is reserved or cut short.

    RFC 8974 section 2.1.
    """
    if nibble == 13 and len(rawdata) > start:
        return rawdata[start] + 13, start + 1
    if nibble == 14 and len(rawdata) > start + 1:
        return (rawdata[start] << 8 | rawdata[start + 1]) + 269, start + 2
    raise UnparsableMessage("token length is reserved or cut short")


def _token_length_fields(length: int) -> tuple[int, bytes]:
    """Return the TKL field for a token, and what precedes the token.

    Raises:
        ValueError: No field can tell the length.

    RFC 8974 section 2.1.
    """
    if length < 13:
        return length, b""
    if length < 269:
        return 13, bytes((length - 13,))
    if length <= 65804:
        return 14, (length - 269).to_bytes(2, "big")
    raise ValueError(f"a token of {length} bytes is too long")


NoResponse = Sentinel("NoResponse")
"""Returned from a render method: nothing is sent but the acknowledgement (deprecated).

Set ``no_response`` on a response instead.  RFC 7967 section 2.
"""

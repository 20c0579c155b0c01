"""The message: fields, bytes, keys and URIs."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.error import (
    IncompleteUrlError,
    MalformedUrlError,
    MissingRemoteError,
    UnparsableMessage,
)
from aiocoap.message import Direction, Message, NoResponse
from aiocoap.numbers import OptionNumber
from aiocoap.numbers.codes import CONTENT, EMPTY, FETCH, GET, PUT, Code
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable
from aiocoap.numbers.types import ACK, CON, NON, Type
from aiocoap.optiontypes import StringOption


class Remote(EndpointAddress):
    """A resolved address."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    hostinfo = ""
    hostinfo_local = ""

    def __init__(self, hostinfo: str, local: str = "local.example", group: bool = False) -> None:
        self.hostinfo = hostinfo
        self.hostinfo_local = local
        self.is_multicast = group


# Fields


def test_an_empty_message() -> None:
    message = Message()
    assert message.mtype is None
    assert message.mid is None
    assert message.code is None
    assert message.payload == b""
    assert message.token == b""
    assert message.remote is None
    assert message.request is None
    assert message.direction is Direction.OUTGOING
    assert message.transport_tuning is None
    assert len(message.opt) == 0


def test_fields_take_bare_numbers() -> None:
    message = Message(mtype=1, code=69, mid=7, token=b"t", payload=b"p")
    assert message.mtype is NON
    assert message.code is CONTENT
    assert (message.mid, message.token, message.payload) == (7, b"t", b"p")
    with pytest.raises(ValueError, match="4"):
        Message(mtype=4)


def test_what_is_right_already_is_kept() -> None:
    message = Message(mtype=CON, code=GET)
    assert message.mtype is CON
    assert message.code is GET


def test_options_by_name() -> None:
    message = Message(
        code=PUT, uri="coap://h.example/a?b=1", payload=b"x", observe=0, content_format=50
    )
    assert message.opt.observe == 0
    assert message.opt.content_format == 50
    assert message.opt.uri_path == ("a",)
    assert message.opt.uri_query == ("b=1",)
    with pytest.raises(AttributeError):
        Message(no_such_option=1)


def test_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Message().paylod = b""  # type: ignore[attr-defined]


def test_transport_tuning_is_an_object_or_a_class() -> None:
    tuning = TransportTuning()
    assert Message(transport_tuning=tuning).transport_tuning is tuning
    made = Message(transport_tuning=Reliable).transport_tuning
    assert isinstance(made, Reliable)
    assert made.reliability is True


def test_options_of_any_number() -> None:
    message = Message(code=GET)
    message.opt.add_option(StringOption(2048, "text"))
    (option,) = message.opt.get_option(2048)
    assert option.value == "text"


# Copies


def test_copies_are_alike_and_apart() -> None:
    request = Message(code=GET)
    one = Message(mtype=CON, code=CONTENT, mid=7, token=b"t", payload=b"p", etag=b"e")
    one.remote = Remote("h")
    one.request = request
    one.direction = Direction.INCOMING
    one.transport_tuning = TransportTuning()
    other = one.copy()
    for name in (
        "mtype",
        "code",
        "mid",
        "token",
        "payload",
        "remote",
        "request",
        "direction",
        "transport_tuning",
    ):
        assert getattr(other, name) is getattr(one, name)
    assert other.opt == one.opt
    other.opt.etag = b"f"
    other.mid = 8
    assert (one.opt.etag, one.mid) == (b"e", 7)


def test_copies_with_changes() -> None:
    one = Message(mtype=CON, code=GET, mid=7, uri="coap://h.example/a", observe=0)
    remote = Remote("g")
    other = one.copy(
        mtype=1,
        code=69,
        mid=None,
        token=b"t",
        payload=b"p",
        remote=remote,
        request=one,
        direction=Direction.INCOMING,
        transport_tuning=Unreliable,
        observe=None,
        uri_path=("b",),
    )
    assert other.mtype is NON
    assert other.code is CONTENT
    assert other.mid is None
    assert other.remote is remote
    assert other.request is one
    assert other.direction is Direction.INCOMING
    assert isinstance(other.transport_tuning, Unreliable)
    assert other.opt.observe is None
    assert other.opt.uri_path == ("b",)
    assert one.opt.observe == 0
    tuning = TransportTuning()
    assert one.copy(transport_tuning=tuning).transport_tuning is tuning
    assert one.copy(mtype=None, code=None).mtype is None


def test_copies_to_another_uri() -> None:
    one = Message(code=GET, uri="coap://h.example/a?b=1")
    other = one.copy(uri="coaps://g.example/")
    assert other.get_request_uri() == "coaps://g.example/"
    assert one.get_request_uri() == "coap://h.example/a?b=1"
    with pytest.raises(MalformedUrlError):
        one.copy(uri="http://h/")
    with pytest.raises(AttributeError):
        one.copy(no_such_option=1)


def test_below() -> None:
    whole = Message(code=GET, uri="coap://h.example/a/b/c?q")
    inner = whole.below(2)
    assert inner.opt.uri_path == ("c",)
    assert inner.get_request_uri() == whole.get_request_uri()
    innermost = inner.below(1)
    assert innermost.opt.uri_path == ()
    assert innermost.full_path == whole.full_path == ("a", "b", "c")
    assert innermost.get_request_uri() == "coap://h.example/a/b/c?q"
    assert innermost.copy().get_request_uri() == "coap://h.example/a/b/c?q"
    assert whole.opt.uri_path == ("a", "b", "c")
    innermost.set_request_uri("coap://g.example/")
    assert innermost.get_request_uri() == "coap://g.example/"


# Bytes; more in tests/vectors and tests/property


def test_decoding_gives_an_incoming_message() -> None:
    remote = Remote("h")
    raw = b"\x62\x45\x12\x34ab\x61\x07\xffp"
    message = Message.decode(raw, remote)
    assert message.encode() == raw
    assert message.mtype is ACK
    assert message.code is CONTENT
    assert message.mid == 0x1234
    assert message.token == b"ab"
    assert message.opt.observe == 7
    assert message.payload == b"p"
    assert message.remote is remote
    assert message.direction is Direction.INCOMING
    assert message.request is None
    assert message.transport_tuning is None


def test_decoding_takes_all_kinds_of_bytes() -> None:
    for raw in (bytearray(b"\x41\x01\0\1t\xb1a"), memoryview(b"\x41\x01\0\1t\xb1a")):
        message = Message.decode(raw)  # type: ignore[arg-type]
        assert type(message.token) is bytes
        assert message.opt.uri_path == ("a",)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "shorter than a header"),
        (b"\x40\1\0", "shorter than a header"),
        (b"\0\1\0\1", "version 0"),
        (b"\x80\1\0\1", "version 2"),
        (b"\x41\1\0\1", "token cut short"),
        (b"\x48\1\0\1abcdefg", "token cut short"),
        (b"\x4f\1\0\1" + bytes(20), "reserved or cut short"),
        (b"\x4d\1\0\1", "reserved or cut short"),
        (b"\x4e\1\0\1\0", "reserved or cut short"),
        (b"\x4d\1\0\1\0" + bytes(12), "token cut short"),
        (b"\x40\0\0\1\xffa", "nothing but a header"),
        (b"\x40\1\0\1\xff", "without a payload"),
    ],
)
def test_undecodable(raw: bytes, reason: str) -> None:
    with pytest.raises(UnparsableMessage, match=reason):
        Message.decode(raw)


@pytest.mark.parametrize("length", [0, 8, 12, 13, 268, 269, 65804])
def test_tokens_of_any_length(length: int) -> None:
    token = bytes(range(256)) * 258
    message = Message(mtype=CON, mid=1, code=GET, token=token[:length], uri_path=["a"])
    back = Message.decode(message.encode())
    assert back.token == token[:length]
    assert back.opt.uri_path == ("a",)


def test_a_token_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="65805"):
        Message(mtype=CON, mid=1, code=GET, token=bytes(65805)).encode()


@pytest.mark.parametrize("name", ["mtype", "mid", "code"])
def test_what_encoding_needs(name: str) -> None:
    message = Message(mtype=CON, mid=1, code=GET)
    setattr(message, name, None)
    with pytest.raises(TypeError, match="needs a type, a code and a Message ID"):
        message.encode()


@pytest.mark.parametrize(("name", "value"), [("mid", -1), ("mid", 65536), ("code", 256)])
def test_fields_out_of_range(name: str, value: int) -> None:
    message = Message(mtype=CON, mid=1, code=GET)
    setattr(message, name, value)
    with pytest.raises(ValueError, match="out of range"):
        message.encode()


def test_an_empty_message_is_four_bytes() -> None:
    assert Message(mtype=ACK, mid=0x1234, code=EMPTY).encode() == b"\x60\0\x12\x34"


# Cache keys


def test_documented_cache_key() -> None:
    m1, m2 = Message(code=GET), Message(code=GET)
    m1.opt.uri_path = m2.opt.uri_path = ("s", "1")
    m1.opt.size1, m2.opt.size1 = 10, 20
    assert m1.get_cache_key() == m2.get_cache_key()
    m2.opt.etag = b"000"
    assert m1.get_cache_key() != m2.get_cache_key()
    ignore = [OptionNumber.ETAG]
    assert m1.get_cache_key(ignore) == m2.get_cache_key(ignore)
    assert len({m1.get_cache_key(ignore), m2.get_cache_key(ignore)}) == 1


def test_cache_key_of_codes_and_payloads() -> None:
    assert Message(code=GET).get_cache_key() != Message(code=PUT).get_cache_key()
    assert (
        Message(code=GET, payload=b"a").get_cache_key()
        == Message(code=GET, payload=b"b").get_cache_key()
    )
    # RFC 8132 section 2.
    assert (
        Message(code=FETCH, payload=b"a").get_cache_key()
        != Message(code=FETCH, payload=b"b").get_cache_key()
    )


# URIs


def test_set_request_uri() -> None:
    message = Message(code=GET, uri_port=1, proxy_uri="coap://p/", proxy_scheme="coap")
    message.set_request_uri("coap://h.example:61616/a/b?c&d")
    assert message.opt.uri_host == "h.example"
    assert message.opt.uri_port is None
    assert message.opt.uri_path == ("a", "b")
    assert message.opt.uri_query == ("c", "d")
    assert message.opt.proxy_uri is None
    assert message.opt.proxy_scheme is None
    assert message.remote == UndecidedRemote("coap", "h.example:61616")
    assert message.get_request_uri() == "coap://h.example:61616/a/b?c&d"


def test_set_request_uri_without_a_host() -> None:
    message = Message(code=GET, uri_host="old")
    message.set_request_uri("coap://h.example/a", set_uri_host=False)
    assert message.opt.uri_host is None
    assert message.unresolved_remote == "h.example"
    assert message.get_request_uri() == "coap://h.example/a"


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("/a", IncompleteUrlError), ("coap:/a", IncompleteUrlError), ("coap://[/", MalformedUrlError)],
)
def test_uris_that_are_none(uri: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Message(code=GET, uri=uri)


def test_uri_of_a_request() -> None:
    message = Message(code=GET, uri_path=["a"])
    with pytest.raises(MissingRemoteError):
        message.get_request_uri()
    message.remote = Remote("192.0.2.1:61616", local="[2001:db8::2]")
    assert message.get_request_uri() == "coap://192.0.2.1:61616/a"
    # As the server sees the same request.
    assert message.get_request_uri(local_is_server=True) == "coap://[2001:db8::2]/a"
    message.direction = Direction.INCOMING
    assert message.get_request_uri() == "coap://[2001:db8::2]/a"
    message.opt.uri_host = "h.example"
    assert message.get_request_uri() == "coap://h.example/a"


def test_uri_of_an_address_without_scheme() -> None:
    assert Message(code=GET, uri_host="h", uri_port=7).get_request_uri() == "coap://h:7/"


def test_uri_through_a_proxy() -> None:
    message = Message(code=GET, proxy_uri="coap://h.example/x")
    message.remote = Remote("proxy.example")
    assert message.get_request_uri() == "coap://h.example/x"
    message = Message(code=GET, proxy_scheme="http", uri_host="h.example", uri_path=["a"])
    message.remote = Remote("proxy.example")
    assert message.get_request_uri() == "http://h.example/a"
    message.opt.proxy_scheme = "not a scheme"
    with pytest.raises(MalformedUrlError):
        message.get_request_uri()


def exchange(group: bool = False) -> tuple[Message, Message]:
    """Return a request to a name and an incoming response, as a client has them."""
    request = Message(code=GET, uri="coap://all.example/a")
    request.remote = Remote("[ff02::fd]", group=group)
    response = Message.decode(b"\x50\x45\0\1", Remote("[2001:db8::1]"))
    response.request = request
    return request, response


def test_uri_of_a_response() -> None:
    _, response = exchange()
    assert response.get_request_uri() == "coap://all.example/a"
    # Of a group, it is the responder's own.
    _, response = exchange(group=True)
    assert response.get_request_uri() == "coap://[2001:db8::1]/a"


def test_uri_of_a_response_at_the_server() -> None:
    request = Message.decode(b"\x40\1\0\1\xb1a", Remote("client", local="server"))
    response = Message(code=CONTENT)
    response.remote = Remote("client", local="server")
    assert response.get_request_uri() == "coap://server/"
    response.request = request
    assert response.get_request_uri() == "coap://server/a"
    request.remote = None
    with pytest.raises(MissingRemoteError):
        response.get_request_uri()


def test_uri_of_a_response_to_nothing_in_particular() -> None:
    request, response = exchange()
    request.remote = None
    assert response.get_request_uri() == "coap://all.example/a"


# Destinations


def test_unresolved_remote() -> None:
    message = Message(code=GET)
    assert message.unresolved_remote is None
    message.unresolved_remote = "[::1]:5683"
    assert message.remote == UndecidedRemote("coap", "[::1]:5683")
    assert message.unresolved_remote == "[::1]:5683"
    message.unresolved_remote = None
    assert message.remote is None
    message.set_request_uri("coaps://h/")
    message.unresolved_remote = "proxy.example"
    assert message.remote == UndecidedRemote("coaps", "proxy.example")
    assert message.opt.uri_host == "h"
    message.remote = Remote("h")
    assert message.unresolved_remote is None


def test_destination() -> None:
    message = Message(code=GET)
    with pytest.raises(MissingRemoteError):
        message.destination()
    message.opt.uri_host = "[2001:db8::1]"
    message.opt.uri_port = 7
    assert message.destination() == UndecidedRemote("coap", "[2001:db8::1]:7")
    message.opt.proxy_scheme = "coap+tcp"
    assert message.destination().scheme == "coap+tcp"
    message.unresolved_remote = "h"
    assert message.destination() is message.remote


def test_destination_is_the_address_where_there_is_one() -> None:
    """Transports that do not know it see whether it might be for them; Uri-Host is no other."""

    class Elsewhere(EndpointAddress):
        scheme = "coap+tcp"
        hostinfo = "192.0.2.1:7"

    message = Message(code=GET)
    message.remote = Elsewhere()
    assert message.destination() == UndecidedRemote("coap+tcp", "192.0.2.1:7")
    message.opt.uri_host = "name.example"
    assert message.destination() == UndecidedRemote("coap+tcp", "192.0.2.1:7")


# Deprecated views


def test_requested_parts_of_a_response() -> None:
    request, response = exchange()
    assert response.requested_scheme == "coap"
    assert response.requested_hostinfo == "all.example"
    assert response.requested_path == ("a",)
    assert response.requested_query == ()
    assert response.requested_proxy_uri is None
    request.opt.uri_port = 7
    request.opt.proxy_scheme = "coap+tcp"
    request.opt.proxy_uri = "coap://h/"
    assert response.requested_hostinfo == "all.example:7"
    assert response.requested_scheme == "coap+tcp"
    assert response.requested_proxy_uri == "coap://h/"


def test_requested_parts_without_a_request() -> None:
    message = Message()
    assert message.requested_scheme is None
    assert message.requested_hostinfo is None
    message.remote = Remote("h:7")
    assert message.requested_hostinfo == "h:7"
    message.opt.uri_host = "g"
    assert message.requested_hostinfo == "g:7"
    message.remote = None
    assert message.requested_hostinfo == "g"


# Looks


def test_documented_reprs() -> None:
    message = Message(code=GET, uri="coap://localhost/other/separate")
    message.remote = None
    shown = repr(message)
    assert shown.startswith("<aiocoap.Message at 0x")
    assert shown.endswith(": no mtype, GET (no MID, empty token) remote None, 2 option(s)>")
    assert str(message) == shown
    response = Message(
        mtype=CON, code=CONTENT, mid=51187, token=bytes.fromhex("00008199"), payload=bytes(186)
    )
    assert repr(response).endswith(
        ": Type.CON 2.05 Content (MID 51187, token 00008199) remote None, 186 byte(s) payload>"
    )


def test_repr_of_bare_numbers() -> None:
    message = Message()
    assert "no mtype, no code (no MID, empty token)" in repr(message)
    bare: Any = message
    bare.mtype = 0
    bare.code = 69
    assert "Type.CON 2.05 Content" in repr(message)


def test_no_response() -> None:
    assert repr(NoResponse) == "<NoResponse>"


def test_types() -> None:
    assert isinstance(Message(mtype=0).mtype, Type)
    assert isinstance(Message(code=1).code, Code)

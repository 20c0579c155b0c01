"""TCP: sockets, asyncio's calls, and what bytes on a stream do; sockets and time are made up."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import Any

import pytest

from aiocoap.error import LibraryShutdown, NetworkError, RemoteServerShutdown, ResolutionError
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, CSM, GET, NOT_FOUND, PING, PONG
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import Resource, Site
from aiocoap.sansio.framing import encode_frame
from aiocoap.transports import tcp
from aiocoap.transports.resolution import BindError, Endpoint
from aiocoap.transports.tcp import ConnectError, TCPServer
from tests.streams import Streams, Wire, stream_message
from tests.unit.stream_parts import Slow

LOG = logging.getLogger("tests.tcp")


class Hello(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"hello")


def site() -> Site:
    made = Site()
    made.add_resource(["h"], Hello())
    return made


def get(uri: str = "coap+tcp://192.0.2.1/h") -> Message:
    return Message(code=GET, uri=uri)


HELLO = encode_frame(stream_message(GET, token=b"t", uri_path=["h"]))


# Bytes


def test_byte_by_byte() -> None:
    with Streams(site()) as streams:
        peer = streams.accept(greets=False)
        csm = encode_frame(stream_message(CSM))
        peer.send_raw(csm + HELLO, 1)
        peer.expect(CSM)
        peer.expect(CONTENT, token=b"t", payload=b"hello")


def test_all_at_once() -> None:
    with Streams(site()) as streams:
        peer = streams.accept(greets=False)
        peer.send_raw(encode_frame(stream_message(CSM)) + HELLO * 20)
        peer.expect(CSM)
        # Requests with a token that is in use take each other's place.
        peer.expect(CONTENT, token=b"t", payload=b"hello")
        peer.quiet()


def test_what_is_at_hand_is_answered_by_one_write() -> None:
    with Streams(site()) as streams:
        peer = streams.accept()
        writes: list[bytes] = []
        write = peer.wire.write
        peer.wire.write = lambda data: (writes.append(data), write(data))[1]  # type: ignore[method-assign,func-returns-value]
        raw = b"".join(
            encode_frame(stream_message(GET, token=bytes((n,)), uri_path=["h"])) for n in range(50)
        )
        peer.send_raw(raw)
        for n in range(50):
            peer.expect(CONTENT, token=bytes((n,)))
        assert len(writes) <= 2


def test_more_in_one_piece_than_is_worked_on_at_once() -> None:
    """Pings are not in work; but others have their turn in between."""
    with Streams(site()) as streams:
        peer = streams.accept()
        peer.send_raw(encode_frame(stream_message(PING)) * 1000 + HELLO + HELLO[:4])
        for _ in range(1000):
            peer.expect(PONG)
        peer.expect(CONTENT, token=b"t")
        peer.send_raw(HELLO[4:])
        peer.expect(CONTENT, token=b"t")


def test_no_more_is_read_than_is_worked_on() -> None:
    """Who sends many small messages has them wait in the system's buffers, not in ours."""
    pings = encode_frame(stream_message(PING)) * 1000
    with Streams(site()) as streams:
        peer = streams.accept()
        was_reading: list[bool] = []

        def deliver() -> None:
            peer.remote.data_received(pings)
            was_reading.append(peer.wire.is_reading)

        streams.clock.loop.call_soon(deliver)
        streams.clock.settle()
        assert was_reading == [False]
        assert peer.wire.is_reading
        for _ in range(1000):
            peer.expect(PONG)


def test_who_stops_to_read_while_there_is_more_to_be_worked_on() -> None:
    pings = encode_frame(stream_message(PING)) * 1000
    with Streams(site()) as streams:
        peer = streams.accept()

        def deliver() -> None:
            peer.remote.data_received(pings)
            peer.remote.pause_writing()

        streams.clock.loop.call_soon(deliver)
        streams.clock.settle()
        assert not peer.wire.is_reading
        assert peer.remote._reader.has_more
        peer.remote.resume_writing()
        assert not peer.wire.is_reading
        streams.clock.settle()
        assert peer.wire.is_reading
        for _ in range(1000):
            peer.expect(PONG)


def test_large_answers_do_not_wait() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.remote._send_bytes(bytes(2) * 40_000)
        assert len(peer.wire.sent) == 80_000


@pytest.mark.parametrize("size", [None, 1])
def test_a_length_of_four_gibibytes(size: int | None) -> None:
    """It is refused by its header; nothing of it is kept."""
    with Streams(site()) as streams:
        peer = streams.accept()
        peer.send_raw(bytes.fromhex("f0ffffffff02") + bytes(64), size)
        abort = peer.expect_abort("are the limit")
        assert b"4295033106 bytes, where 65664 are the limit" in abort.payload
        assert streams.server._kept == 0


def test_the_limit_is_what_was_announced() -> None:
    class Small(TransportTuning):
        MAX_MESSAGE_SIZE = 2000

    with Streams(site(), tuning=Small) as streams:
        peer = streams.accept(greets=False)
        csm = peer.expect(CSM)
        assert (2, (2000).to_bytes(2, "big")) in csm.opt.raw_items()
        peer.send(CSM)
        for size in (2000, 2001):
            head = len(encode_frame(stream_message(GET, payload=bytes(1000)))) - 1000
            peer.send_raw(encode_frame(stream_message(GET, payload=bytes(size - head))))
            if size == 2000:
                peer.expect(NOT_FOUND)
        peer.expect_abort("2001 bytes, where 2000 are the limit")


def test_clients_say_where_something_else_answers() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection(greets=False)
        peer.expect(CSM)
        peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.expect_abort("what answers there is no CoAP over TCP (")
        with pytest.raises(NetworkError, match="what answers there is no CoAP over TCP"):
            streams.result(request)


def test_slow_loris() -> None:
    """A byte now and then keeps nothing open, and many connections keep no others out."""
    with Streams(site()) as streams:
        peers = [streams.accept() for _ in range(20)]
        for step in range(7):
            for peer in peers:
                peer.send_raw(HELLO[step : step + 1] if step < 3 else b"")
            streams.clock.advance(8.5)
        for peer in peers:
            peer.expect_abort("did not become complete within 60 seconds", within=60.5)
        good = streams.accept()
        good.send_raw(HELLO)
        good.expect(CONTENT)


def test_what_comes_after_the_end_is_not_read() -> None:
    with Streams(site()) as streams:
        peer = streams.accept()
        peer.send_raw(bytes.fromhex("1001ff") + HELLO)
        peer.wire.protocol.data_received(HELLO)
        peer.expect_abort("no message")
        # In one piece, too.
        peer = streams.accept()
        peer.send_raw(encode_frame(stream_message(0b001_00000)) + HELLO)
        peer.expect_abort("no meaning")


# asyncio's calls


def test_the_end_of_the_stream_is_the_end_of_the_connection() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        # asyncio closes the connection then.
        assert peer.wire.protocol.eof_received() is False
        peer.wire.close()
        with pytest.raises(NetworkError, match="the peer has closed the connection"):
            streams.result(request)


def test_who_sends_nothing_any_more_still_gets_its_answers() -> None:
    slow = Slow()
    made = Site()
    made.add_resource(["s"], slow)
    with Streams(made) as streams:
        peer = streams.accept()
        for token in (b"1", b"2"):
            peer.send(GET, token=token, uri_path=["s"])
        assert peer.wire.protocol.eof_received()
        slow.answer()
        peer.expect(CONTENT, token=b"1")
        assert not peer.wire.ended
        slow.answer()
        peer.expect(CONTENT, token=b"2")
        peer.expect_closed()
        assert not streams.server.connections


def test_an_answer_that_has_just_been_made_goes_out_before_the_end() -> None:
    with Streams(site()) as streams:
        peer = streams.accept()
        peer.remote._send_bytes(HELLO)
        assert peer.remote.eof_received() is False
        peer.expect(GET, token=b"t")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "reset by peer"),
        (OSError("something else"), "something else"),
        (ValueError("odd"), "odd"),
    ],
)
def test_a_connection_that_breaks(problem: Exception, text: str) -> None:
    with Streams() as streams:
        request = streams.request(get())
        streams.connection().close(problem)
        with pytest.raises(RemoteServerShutdown, match=f"the connection broke: .*{text}"):
            streams.result(request)


def test_a_connection_that_is_gone_before_it_is_there() -> None:
    with Streams() as streams:
        peer = streams.accept(greets=False, remote=None)
        peer.expect_closed("abort")
        assert not streams.server.connections
        assert "closed" in repr(peer.remote)


def test_nothing_is_written_or_read_once_the_connection_is_gone() -> None:
    with Streams() as streams:
        peer = streams.accept()
        remote = peer.remote
        remote._send_bytes(b"late")
        peer.wire.lose()
        remote.resume_writing()
        remote._read_on(True)
        remote._close(True)
        streams.clock.settle()
        assert b"late" not in peer.wire.sent


def test_reading_is_left_alone_while_the_transport_closes() -> None:
    with Streams() as streams:
        peer = streams.accept()
        peer.wire.stall()
        peer.wire.write(b"x")
        peer.wire.close()
        peer.remote._read_on(False)
        assert peer.wire.is_reading
        peer.wire.flow()


def test_a_peer_that_stops_to_read_and_goes_on() -> None:
    with Streams(site()) as streams:
        peer = streams.accept()
        peer.wire.stall()
        peer.wire.write(bytes.fromhex("0000") * 40_000)  # Empty messages
        assert not peer.wire.is_reading
        peer.remote.ping(None)
        peer.wire.flow()
        assert peer.wire.is_reading
        streams.clock.settle()
        for _ in range(40_000):
            peer.expect(0)
        peer.expect(PING)
        peer.send(PING)
        peer.expect(PONG)


class FakeSocket:
    """Takes down what is set."""

    def __init__(self, family: int = socket.AF_INET6, problem: OSError | None = None) -> None:
        self.family = family
        self.options: list[tuple[int, int, int]] = []
        self.problem = problem

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self.problem is not None:
            raise self.problem
        self.options.append((level, option, value))


def test_sockets_are_prepared() -> None:
    """Half-open connections are found by the system's own means."""
    for family in (socket.AF_INET, socket.AF_INET6):
        made = FakeSocket(family)
        tcp.prepare_socket(made)
        assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in made.options
        assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in made.options
        set_ = {option for level, option, _ in made.options if level == socket.IPPROTO_TCP}
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        assert {getattr(socket, name) for name in names if hasattr(socket, name)} <= set_
    other = FakeSocket(getattr(socket, "AF_UNIX", -1))
    tcp.prepare_socket(other)
    assert other.options == []
    tcp.prepare_socket(FakeSocket(problem=OSError(errno.EINVAL, "gone")))
    tcp.prepare_socket(None)


def test_systems_without_some_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_KEEPALIVE", (("TCP_NOT_THERE", 1),))
    made = FakeSocket()
    tcp.prepare_socket(made)
    assert len(made.options) == 2


# Connecting


def refused() -> None:
    raise ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 5683)")


def test_nobody_listens() -> None:
    with Streams() as streams:
        streams.refusals["192.0.2.1"] = refused
        with pytest.raises(ConnectError) as caught:
            streams.result(streams.request(get()))
        assert str(caught.value) == (
            "can not connect to 192.0.2.1:5683 over TCP: " + os.strerror(errno.ECONNREFUSED)
        )
        assert "a server listens" in (caught.value.extra_help() or "")
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_problem_without_a_number() -> None:
    def odd() -> None:
        raise OSError("Multiple exceptions")

    with Streams() as streams:
        streams.refusals["192.0.2.1"] = odd
        with pytest.raises(ConnectError, match="Multiple exceptions"):
            streams.result(streams.request(get()))


def test_every_address_of_a_name_is_tried() -> None:
    with Streams() as streams:
        streams.names["host.example"] = ["192.0.2.1", "192.0.2.2"]
        streams.refusals["192.0.2.1"] = refused
        request = streams.request(get("coap+tcp://host.example/h"))
        peer = streams.connection()
        peer.send(CONTENT, token=peer.expect(GET).token)
        streams.result(request)
        assert streams.dialled == [("192.0.2.1", 5683), ("192.0.2.2", 5683)]


def test_the_first_problem_beyond_a_refusal_is_told() -> None:
    def unreachable() -> None:
        raise OSError(errno.ENETUNREACH, "unreachable")

    with Streams() as streams:
        streams.names["host.example"] = ["192.0.2.1", "192.0.2.2"]
        streams.refusals = {"192.0.2.1": refused, "192.0.2.2": unreachable}
        with pytest.raises(ConnectError, match=r"host\.example:5683 .*unreachable"):
            streams.result(streams.request(get("coap+tcp://host.example/h")))


# Listening


class Listener:
    """asyncio's server."""

    def __init__(self, sock: Any) -> None:
        self.sockets = [sock]
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class ListeningSocket(FakeSocket):
    """A socket that can be bound, or not."""

    made: list[ListeningSocket]
    problems: dict[str, OSError]

    def __init__(self, family: int, kind: int) -> None:
        super().__init__(family)
        assert kind == socket.SOCK_STREAM
        self.bound: Any = None
        self.is_closed = False
        self.made.append(self)

    def setblocking(self, value: bool) -> None:
        assert not value

    def bind(self, sockaddr: Any) -> None:
        if sockaddr[0] in self.problems:
            raise self.problems[sockaddr[0]]
        self.bound = sockaddr

    def getsockname(self) -> Any:
        return (self.bound[0], self.bound[1] or 40001, *self.bound[2:])

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> type[ListeningSocket]:
    class Made(ListeningSocket):
        made: list[ListeningSocket] = []  # noqa: RUF012
        problems: dict[str, OSError] = {}  # noqa: RUF012

    monkeypatch.setattr(tcp.socket, "socket", Made)
    return Made


def listen(streams: Streams, bind: Any, problem: Exception | None = None) -> TCPServer:
    async def create_server(factory: Any, *, sock: Any, **settings: Any) -> Listener:
        assert settings == {"backlog": tcp.BACKLOG}
        if problem is not None:
            raise problem
        return Listener(sock)

    loop: Any = streams.clock.loop
    loop.create_server = create_server
    server: TCPServer = streams.clock.run(
        TCPServer.create_server(bind, streams.server_tokens, LOG, loop)
    )
    return server


def test_listening_at_all_addresses(sockets: type[ListeningSocket]) -> None:
    with Streams() as streams:
        server = listen(streams, None)
        (sock,) = sockets.made
        assert sock.family == socket.AF_INET6
        assert sock.bound[:2] == ("::", 5683)
        assert (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0) in sock.options
        assert server.bound_address == ("::", 5683)
        listener: Any = server._server
        streams.clock.run(server.shutdown())
        streams.clock.run(server.shutdown())
        assert listener.closed == 1


def test_listening_without_ipv6(sockets: type[ListeningSocket]) -> None:
    sockets.problems["::"] = OSError(errno.EAFNOSUPPORT, "no IPv6")
    with Streams() as streams:
        assert listen(streams, (None, 7000)).bound_address == ("0.0.0.0", 7000)
        assert [sock.is_closed for sock in sockets.made] == [True, False]


def test_a_port_that_is_taken_is_not_taken_elsewhere(sockets: type[ListeningSocket]) -> None:
    sockets.problems["::"] = OSError(errno.EADDRINUSE, "in use")
    with Streams() as streams:
        with pytest.raises(BindError, match="7000"):
            listen(streams, (None, 7000))
        assert len(sockets.made) == 1


def test_no_address_can_be_had(sockets: type[ListeningSocket]) -> None:
    sockets.problems["::"] = OSError(errno.EAFNOSUPPORT, "no IPv6")
    sockets.problems["0.0.0.0"] = OSError(errno.EACCES, "not allowed")
    with Streams() as streams, pytest.raises(BindError):
        listen(streams, None)


def test_listening_at_a_port_of_the_systems_choice(
    sockets: type[ListeningSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp.defaults, "has_reuse_port", lambda: True)
    with Streams() as streams:
        assert listen(streams, ("::1", 0)).bound_address == ("::1", 40001)
        assert listen(streams, ("::1", 7000)).bound_address == ("::1", 7000)
        shared = [
            (socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", 15), 1) in sock.options
            for sock in sockets.made
        ]
        # The system would choose a port that another program has.
        assert shared == [False, True]


def test_a_server_that_asyncio_does_not_take(sockets: type[ListeningSocket]) -> None:
    with Streams() as streams:
        with pytest.raises(OSError, match="no"):
            listen(streams, ("::1", 0), OSError("no"))
        assert sockets.made[0].is_closed


def test_there_is_no_socket_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "too many files")

    monkeypatch.setattr(tcp.socket, "socket", none)
    with pytest.raises(BindError):
        tcp.listening_socket([Endpoint(socket.AF_INET, "127.0.0.1", 1, 0)], 1, False)


def test_names_that_can_not_be_listened_at() -> None:
    with Streams() as streams, pytest.raises(ResolutionError):
        listen(streams, ("nowhere.example", 0))


def test_a_server_opens_no_connections() -> None:
    with Streams() as streams:
        assert streams.clock.run(streams.server.resolve(get())) is None
        with pytest.raises(NotImplementedError):
            streams.clock.run(streams.server._open(None, None))  # type: ignore[arg-type]


# The end


def test_the_shutdown_waits_until_the_loop_has_forgotten_all() -> None:
    with Streams() as streams:
        request = streams.request(get())
        peer = streams.connection()
        peer.wire.stall()
        streams.clock.run(streams.context.shutdown())
        assert peer.wire.is_lost
        with pytest.raises(LibraryShutdown):
            streams.result(request)


def test_a_transport_that_never_goes() -> None:
    """asyncio has its bugs, too: that does not keep a program from its end."""

    class Stubborn(Wire):
        def lose(self, problem: Exception | None = None) -> None:
            pass

    with Streams() as streams:
        wire = Stubborn(streams.clock.loop, ("::1", 1, 0, 0), ("::1", 2, 0, 0))
        wire.protocol = streams.server._accept()
        wire.protocol.connection_made(wire)
        streams.clock.run(streams.context.shutdown())
        assert wire.ended == "abort"


def test_ipv6_addresses_have_their_zone() -> None:
    with Streams() as streams:
        index = socket.if_nameindex()[0]
        peer = streams.accept(
            local=("fe80::1", 5683, 0, index[0]), remote=("fe80::2", 999, 0, index[0])
        )
        assert peer.remote.hostinfo_local == f"[fe80::1%{index[1]}]"
        assert peer.remote.hostinfo == f"[fe80::2%{index[1]}]:999"


def test_asyncio_is_not_asked_for_more_than_it_has() -> None:
    """The fake transport has no other methods than those that are there to be used."""
    assert {name for name in vars(Wire) if not name.startswith("_")} - {
        "lose", "stall", "flow"
    } <= set(dir(asyncio.Transport))  # fmt: skip

"""The recvmsg transport, over a socket and a loop that are made up."""

from __future__ import annotations

import asyncio
import errno
import select
from collections.abc import Callable
from typing import Any

import pytest

from aiocoap.util.asyncio import recvmsg
from aiocoap.util.asyncio.recvmsg import (
    RecvmsgDatagramProtocol,
    RecvmsgSelectorDatagramTransport,
    create_recvmsg_datagram_endpoint,
)

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
AGAIN = BlockingIOError(errno.EAGAIN, "again")
NOBUFS = OSError(errno.ENOBUFS, "no buffers")
ERROR_ITEM = (b"quoted", [(41, 25, b"e")], 0x2000, "peer")


class Loop(asyncio.AbstractEventLoop):
    """Keeps what is asked of it, and runs it when told to."""

    def __init__(self) -> None:
        self.soon: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.readers: dict[int, Callable[[], None]] = {}
        self.writers: dict[int, Callable[[], None]] = {}

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.soon.append((callback, args))

    def run(self) -> None:
        while self.soon:
            callback, args = self.soon.pop(0)
            callback(*args)

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        self.readers[fd] = callback

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        self.writers[fd] = callback

    def remove_reader(self, fd: Any) -> bool:
        return self.readers.pop(fd, None) is not None

    def remove_writer(self, fd: Any) -> bool:
        return self.writers.pop(fd, None) is not None


class Socket:
    """Plays scripts: each item is returned, or raised."""

    def __init__(self) -> None:
        self.incoming: list[Any] = []
        self.errors: list[Any] = []
        self.refusals: list[OSError] = []
        self.sent: list[Any] = []
        self.closed = 0

    def fileno(self) -> int:
        return 7

    def getsockname(self) -> str:
        return "here"

    def recvmsg(self, size: int, ancillary: int, flags: int = 0) -> Any:
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        queue = self.errors if flags else self.incoming
        if not queue:
            raise AGAIN
        item = queue.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def sendmsg(self, buffers: Any, ancillary: Any, flags: int, address: Any) -> int:
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append((b"".join(buffers), ancillary, flags, address))
        return 1

    def close(self) -> None:
        self.closed += 1


class Protocol(RecvmsgDatagramProtocol):
    """Writes down what happens."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.then: Callable[[], object] = lambda: None

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")

    def datagram_msg_received(self, data: Any, ancdata: Any, flags: Any, address: Any) -> None:
        self.events.append(data)
        self.then()

    def datagram_errqueue_received(self, data: Any, ancdata: Any, flags: Any, address: Any) -> None:
        self.events.append(("queue", data))

    def error_received(self, exc: OSError) -> None:
        self.events.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")


class Epoll:
    """What select.epoll would be asked."""

    def __init__(self) -> None:
        self.events = 0
        self.closed = False

    def fileno(self) -> int:
        return 8

    def register(self, fd: int, events: int) -> None:
        assert fd == 7
        self.events = events

    modify = register

    def close(self) -> None:
        self.closed = True


class Bench:
    """A transport with all that is around it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.sock = Socket()
        self.protocol = Protocol()
        self.transport = RecvmsgSelectorDatagramTransport(
            self.loop,
            self.sock,  # type: ignore[arg-type]
            self.protocol,
            None,
        )
        self.loop.run()
        assert self.protocol.events == ["made"]
        self.protocol.events.clear()

    def readable(self) -> None:
        (wake,) = self.loop.readers.values()
        wake()

    def writable(self) -> None:
        (wake,) = (self.loop.writers or self.loop.readers).values()
        wake()

    def send(self, data: bytes) -> None:
        before = list(self.protocol.events)
        self.transport.sendmsg(data, (), 0, "peer")
        assert self.protocol.events == before

    @property
    def sent(self) -> list[bytes]:
        return [item[0] for item in self.sock.sent]


@pytest.fixture(params=["direct", "epoll"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A transport, by either way of watching the socket."""
    if request.param == "direct":
        monkeypatch.delattr(select, "epoll")
    else:
        monkeypatch.setattr(select, "epoll", Epoll)
    return Bench()


def datagrams(*data: bytes) -> list[Any]:
    return [(one, [], 0, "peer") for one in data]


def test_asyncio_is_known_to_wake_up_for_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "SelectorEventLoop", Loop)
    bench = Bench()
    assert list(bench.loop.readers) == [7]
    bench.sock.refusals = [AGAIN]
    bench.send(b"x")
    assert list(bench.loop.writers) == [7]


def test_datagrams_are_read_until_there_are_no_more(bench: Bench) -> None:
    bench.sock.incoming = datagrams(b"a", b"b")
    bench.readable()
    assert bench.protocol.events == [b"a", b"b"]


def test_other_callbacks_get_their_turn(bench: Bench) -> None:
    bench.sock.incoming = datagrams(*[b"%d" % n for n in range(40)])
    bench.readable()
    assert len(bench.protocol.events) == 16
    bench.readable()
    bench.readable()
    assert len(bench.protocol.events) == 40


def test_nothing_to_read_is_the_error_queue(bench: Bench) -> None:
    bench.sock.errors = [ERROR_ITEM, ERROR_ITEM]
    bench.readable()
    assert bench.protocol.events == [("queue", b"quoted")] * 2


def test_an_error_when_reading_is_looked_up_in_the_queue(bench: Bench) -> None:
    bench.sock.incoming = [REFUSED, *datagrams(b"a")]
    bench.sock.errors = [ERROR_ITEM]
    bench.readable()
    assert bench.protocol.events == [("queue", b"quoted")]
    bench.readable()
    assert bench.protocol.events == [("queue", b"quoted"), b"a"]


def test_an_error_that_is_not_in_the_queue_is_told_as_it_is(bench: Bench) -> None:
    bench.sock.incoming = [REFUSED]
    bench.readable()
    assert bench.protocol.events == [REFUSED]


def test_a_flood_of_errors_does_not_take_all_the_time(bench: Bench) -> None:
    bench.sock.errors = [ERROR_ITEM] * 100
    bench.readable()
    assert len(bench.protocol.events) == 64
    bench.readable()
    assert len(bench.protocol.events) == 100


def test_platforms_without_error_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recvmsg, "HAS_RECVERR", False)
    bench.sock.errors = [ERROR_ITEM]
    bench.sock.incoming = [REFUSED]
    bench.readable()
    bench.readable()
    assert bench.protocol.events == [REFUSED]


def test_sending(bench: Bench) -> None:
    ancillary = [(41, 50, b"p")]
    bench.transport.sendmsg(b"a", ancillary, 3, "peer")
    assert bench.sock.sent == [(b"a", ancillary, 3, "peer")]
    assert bench.loop.soon == []


def test_an_error_of_somebody_else_does_not_keep_a_datagram(bench: Bench) -> None:
    bench.sock.refusals = [REFUSED]
    bench.sock.errors = [ERROR_ITEM]
    bench.send(b"a")
    assert bench.sent == [b"a"]
    bench.loop.run()
    assert bench.protocol.events == [("queue", b"quoted")]


def test_an_error_that_stays_is_told_later(bench: Bench) -> None:
    told = []
    bench.protocol.send_failed = lambda *args: told.append(args)  # type: ignore[method-assign]
    unreachable = OSError(errno.ENETUNREACH, "unreachable")
    bench.sock.refusals = [REFUSED, unreachable]
    bench.send(b"a")
    assert told == []
    bench.loop.run()
    assert told == [(unreachable, b"a", "peer")]
    assert bench.sent == []


def test_failures_are_errors_unless_the_protocol_wants_to_know_more(bench: Bench) -> None:
    bench.sock.refusals = [REFUSED, REFUSED]
    bench.send(b"a")
    bench.loop.run()
    assert bench.protocol.events == [REFUSED]


def test_a_full_device_queue_is_a_lost_datagram(bench: Bench) -> None:
    bench.sock.refusals = [NOBUFS, REFUSED, NOBUFS]
    bench.send(b"a")
    bench.send(b"b")
    bench.loop.run()
    assert bench.sent == []
    assert bench.protocol.events == []


def test_what_the_socket_does_not_take_waits(bench: Bench) -> None:
    bench.sock.refusals = [AGAIN, AGAIN]
    bench.send(b"a")
    bench.send(b"b")
    assert bench.sent == []
    bench.sock.refusals = [AGAIN]
    bench.writable()
    assert bench.sent == []
    bench.writable()
    assert bench.sent == [b"a", b"b"]
    assert bench.loop.writers == {}
    bench.sock.incoming = datagrams(b"in")
    bench.readable()
    assert bench.protocol.events == [b"in"]


def test_an_error_can_turn_into_waiting(bench: Bench) -> None:
    bench.sock.refusals = [REFUSED, AGAIN]
    bench.send(b"a")
    bench.loop.run()
    bench.writable()
    assert bench.sent == [b"a"]


def test_what_waits_can_fail(bench: Bench) -> None:
    bench.sock.refusals = [AGAIN, AGAIN]
    bench.send(b"a")
    bench.send(b"b")
    bench.sock.refusals = [REFUSED, REFUSED]
    bench.writable()
    assert bench.sent == [b"b"]
    bench.loop.run()
    assert bench.protocol.events == [REFUSED]


def test_waiting_has_a_bound(bench: Bench) -> None:
    bench.sock.refusals = [AGAIN] * 1000
    for n in range(1000):
        bench.send(b"%d" % n)
    bench.loop.run()
    bench.writable()
    assert bench.sent == [b"%d" % n for n in range(256)]


@pytest.mark.parametrize("count", [8, 16])
def test_answers_to_a_burst_go_out_together(bench: Bench, count: int) -> None:
    bench.sock.incoming = datagrams(*[b"in"] * count)
    bench.readable()
    bench.send(b"a")
    bench.send(b"b")
    assert bench.sent == []
    bench.loop.run()
    assert bench.sent == [b"a", b"b"]
    bench.send(b"c")
    assert bench.sent == [b"a", b"b", b"c"]


def test_answers_given_at_once_go_out_together_as_well(bench: Bench) -> None:
    bench.protocol.then = lambda: bench.send(b"out")
    bench.sock.incoming = datagrams(*[b"in"] * 8)
    bench.readable()
    assert bench.protocol.events == [b"in"] * 8
    assert bench.sent == []
    bench.loop.run()
    assert bench.sent == [b"out"] * 8


def test_what_came_before_an_error_is_told_before_it(bench: Bench) -> None:
    bench.sock.incoming = [*datagrams(b"a", b"b"), REFUSED, *datagrams(b"c")]
    bench.readable()
    assert bench.protocol.events == [b"a", b"b", REFUSED]
    bench.readable()
    assert bench.protocol.events[3:] == [b"c"]


def test_answers_that_take_one_turn_of_the_loop_go_out_together(bench: Bench) -> None:
    bench.protocol.then = lambda: bench.loop.call_soon(bench.send, b"out")
    bench.sock.incoming = datagrams(*[b"in"] * 8)
    bench.readable()
    for _ in range(8):
        callback, args = bench.loop.soon.pop(0)
        callback(*args)
    assert bench.sent == []
    bench.loop.run()
    assert bench.sent == [b"out"] * 8


def test_a_receiver_that_fails_does_not_keep_back_answers(bench: Bench) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bench.protocol.then = fail
    bench.sock.incoming = datagrams(*[b"in"] * 8)
    with pytest.raises(ZeroDivisionError):
        bench.readable()
    bench.loop.run()
    bench.send(b"out")
    assert bench.sent == [b"out"]


@pytest.mark.parametrize("count", [1, 7])
def test_answers_to_few_datagrams_go_out_at_once(bench: Bench, count: int) -> None:
    bench.sock.incoming = datagrams(*[b"in"] * count)
    bench.readable()
    for number in range(4):
        bench.send(b"%d" % number)
    assert bench.sent == [b"0", b"1", b"2", b"3"]


def test_of_many_datagrams_the_first_few_go_out_at_once(bench: Bench) -> None:
    for number in range(8):
        bench.send(b"%d" % number)
    assert bench.sent == [b"0", b"1", b"2", b"3"]
    bench.loop.run()
    assert bench.sent == [b"%d" % number for number in range(8)], "the others go together"
    bench.send(b"more")
    assert bench.sent[8:] == [b"more"]


def test_who_reads_in_between_may_send_at_once(bench: Bench) -> None:
    bench.protocol.then = lambda: bench.send(b"out")
    for _ in range(8):
        bench.sock.incoming = datagrams(b"in")
        bench.readable()
    assert bench.sent == [b"out"] * 8


def test_no_more_datagrams_are_asked_for_than_came_the_last_time(bench: Bench) -> None:
    def read(count: int) -> int:
        del bench.protocol.events[:]
        bench.sock.incoming = datagrams(*[b"in"] * count)
        bench.readable()
        return len(bench.protocol.events)

    assert read(1) == 1
    # From one on the number doubles for as long as there are as many.
    assert [read(20) for _ in range(6)] == [1, 2, 4, 8, 16, 16]
    assert read(3) == 3
    assert [read(20) for _ in range(2)] == [3, 6]


def test_bursts_may_follow_each_other(bench: Bench) -> None:
    for data in (b"a", b"b"):
        bench.sock.incoming = datagrams(*[b"in"] * 16)
        bench.readable()
        bench.send(data)
    assert bench.sent == []
    bench.loop.run()
    assert bench.sent == [b"a", b"b"]


@pytest.mark.parametrize(("end", "sent"), [("close", [b"a"]), ("abort", [])])
def test_the_end_does_not_wait_for_a_burst(bench: Bench, end: str, sent: list[bytes]) -> None:
    bench.sock.incoming = datagrams(*[b"in"] * 16)
    bench.readable()
    bench.send(b"a")
    getattr(bench.transport, end)()
    bench.loop.run()
    assert bench.sent == sent
    assert bench.protocol.events[-1] == "lost"
    assert bench.sock.closed == 1


def test_what_is_kept_back_can_wait_and_fail_like_anything(bench: Bench) -> None:
    bench.sock.incoming = datagrams(*[b"in"] * 16)
    bench.readable()
    bench.send(b"a")
    bench.send(b"b")
    bench.sock.refusals = [REFUSED, REFUSED, AGAIN]
    bench.loop.run()
    assert bench.protocol.events[-1] is REFUSED
    assert bench.sent == []
    bench.writable()
    assert bench.sent == [b"b"]


def test_closing(bench: Bench) -> None:
    assert not bench.transport.is_closing()
    bench.transport.close()
    assert bench.transport.is_closing()
    assert bench.protocol.events == []
    bench.loop.run()
    assert bench.protocol.events == ["lost"]
    bench.transport.close()
    bench.transport.abort()
    bench.loop.run()
    assert bench.protocol.events == ["lost"]
    assert bench.sock.closed == 1
    assert bench.loop.readers == bench.loop.writers == {}
    bench.send(b"too late")
    assert bench.sent == []


def test_closing_waits_for_what_waits(bench: Bench) -> None:
    bench.sock.refusals = [AGAIN]
    bench.send(b"a")
    bench.transport.close()
    bench.send(b"too late")
    bench.loop.run()
    assert bench.sock.closed == 0
    # What comes in is read away, but nobody is told.
    bench.sock.incoming = [*datagrams(b"in"), REFUSED]
    bench.sock.errors = [ERROR_ITEM]
    bench.sock.refusals = [AGAIN, AGAIN, AGAIN]
    bench.readable()
    bench.readable()
    assert bench.sock.incoming == []
    assert bench.sock.errors == []
    assert bench.protocol.events == []
    bench.sock.refusals = []
    bench.writable()
    bench.loop.run()
    assert bench.sent == [b"a"]
    assert bench.protocol.events == ["lost"]
    assert bench.sock.closed == 1


def test_aborting_does_not_wait(bench: Bench) -> None:
    bench.sock.refusals = [AGAIN]
    bench.send(b"a")
    bench.transport.abort()
    bench.loop.run()
    assert bench.protocol.events == ["lost"]
    assert bench.sent == []
    assert bench.loop.readers == bench.loop.writers == {}


@pytest.mark.parametrize("end", ["close", "abort"])
def test_the_end_may_come_with_a_datagram(bench: Bench, end: str) -> None:
    bench.sock.incoming = datagrams(b"a", b"b")
    bench.protocol.then = getattr(bench.transport, end)
    bench.readable()
    bench.loop.run()
    assert bench.protocol.events == [b"a", "lost"]


def test_errors_on_their_way_at_the_end_are_dropped(bench: Bench) -> None:
    bench.sock.refusals = [REFUSED, REFUSED]
    bench.send(b"a")
    bench.transport.close()
    bench.loop.run()
    assert bench.protocol.events == ["lost"]


def test_the_end_may_come_before_the_beginning(bench: Bench) -> None:
    loop, protocol = Loop(), Protocol()
    transport = RecvmsgSelectorDatagramTransport(loop, Socket(), protocol, None)  # type: ignore[arg-type]
    transport.sendmsg(b"early", (), 0, "peer")
    transport.close()
    loop.run()
    assert protocol.events == ["lost"]
    assert loop.readers == {}


def test_before_the_beginning_nothing_waits(bench: Bench) -> None:
    loop, sock, protocol = Loop(), Socket(), Protocol()
    transport = RecvmsgSelectorDatagramTransport(loop, sock, protocol, None)  # type: ignore[arg-type]
    sock.refusals = [AGAIN]
    transport.sendmsg(b"early", (), 0, "peer")
    loop.run()
    assert sock.sent == []
    assert protocol.events == ["made"]


def test_it_shows_what_it_is(bench: Bench) -> None:
    assert bench.transport.get_extra_info("socket") is bench.sock
    assert repr(bench.transport) == "<RecvmsgSelectorDatagramTransport open here>"
    bench.transport.close()
    assert "closing" in repr(bench.transport)


async def test_making_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    loop, sock = Loop(), Socket()
    monkeypatch.setattr(loop, "create_future", asyncio.get_running_loop().create_future)
    making = asyncio.ensure_future(
        create_recvmsg_datagram_endpoint(loop, Protocol, sock)  # type: ignore[arg-type]
    )
    await asyncio.sleep(0)
    loop.run()
    transport, protocol = await making
    assert list(loop.readers) == [7]
    assert protocol.events == ["made"]
    transport.close()
    loop.run()
    assert protocol.events == ["made", "lost"]
    assert loop.readers == {}


async def test_giving_up_making_an_endpoint_closes_the_socket() -> None:
    sock: Any = Socket()
    making = asyncio.ensure_future(
        create_recvmsg_datagram_endpoint(asyncio.get_running_loop(), Protocol, sock)
    )
    asyncio.get_running_loop().call_soon(making.cancel)
    with pytest.raises(asyncio.CancelledError):
        await making
    assert sock.closed == 1

"""Endpoints without a network and time without waiting.

- :class:`Clock` is a clock that jumps, with an event loop that runs on it: a whole exchange life of
  247 seconds takes a millisecond.
- :class:`Link` loses, repeats, delays and reorders datagrams; the same seed does the same.
- :class:`Pair` is two endpoints and what is between them: either a :class:`Link`, or the test
  itself, which transfers and drops datagrams one by one.
- :class:`Script` is one endpoint against a sequence diagram: what the test expects from it and
  what the test sends to it, in lockstep.

Endpoints are either whole contexts, or a message manager below a :class:`Floor` that only takes
down what reaches it. Everything here is synchronous; nothing needs a running loop.

A script of a server reads like this. The first use of a name for a Message ID or a token binds
it; each later use must agree:

>>> from aiocoap import ACK, CON, CONTENT, EMPTY, GET, Message
>>> from aiocoap.resource import Resource, Site
>>> class Hello(Resource):
...     async def render_get(self, request):
...         return Message(payload=b"hello")
>>> site = Site()
>>> site.add_resource(["test"], Hello())
>>> with Script(site) as script:
...     script.send(CON, GET, mid="A", token="t", uri_path=["test"])
...     first = script.expect(ACK, CONTENT, mid="A", token="t", payload=b"hello")
...     script.send(CON, GET, mid="A", token="t", uri_path=["test"])  # a duplicate
...     again = script.expect_raw(first.raw)
...     script.quiet(300)

And one of a client:

>>> with Script() as script:
...     request = script.request(Message(code=GET, uri=script.uri("/test")))
...     first = script.expect(CON, GET, mid="A", token="t", uri_path=("test",))
...     again = script.expect_raw(first.raw, within=3)  # the retransmission
...     assert 2 <= again.time - first.time <= 3
...     script.send(ACK, EMPTY, mid="A")
...     script.send(CON, CONTENT, mid="B", token="t", payload=b"hello")
...     last = script.expect(ACK, EMPTY, mid="B", token=b"")
...     script.result(request).payload
b'hello'

In ``expect``, options are given by their names; ``...`` stands for any value that is there, None
for an absent one, and a list of types or codes for any of them. A datagram is waited for as
long as ``within`` says, but time passes only if none is there; its ``time`` tells when it came.
``script.request`` takes any request, observations included; ``script.context`` is the context,
``script.clock.run(coroutine)`` runs what needs the loop, and ``script.clock.advance(2.5)`` lets
time pass. ``multicast=True`` in ``send`` lets a datagram come in by a group, ``peer="192.0.2.9"``
plays somebody else, and ``send_raw`` sends what is no message. When something else happens than
was expected, the whole exchange up to there is part of the error.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from types import TracebackType
from typing import Any, NamedTuple

from aiocoap import interfaces
from aiocoap.address import EndpointAddress
from aiocoap.message import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import CODES, Code
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, RST, Type

__all__ = [
    "Address",
    "Clock",
    "Endpoint",
    "Floor",
    "Link",
    "Pair",
    "Script",
    "empty_tables",
]

_FOREVER = float("inf")


class JumpingLoop(asyncio.BaseEventLoop):
    """An event loop that does not wait: when nothing is left to do, it is later."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self._now = now
        self._limit = _FOREVER
        self._goal: Callable[[], bool] | None = None
        # The base class asks it for events, and it has none.
        self._selector = self

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        if self._goal is not None and self._goal():
            self.stop()
        elif timeout is None or self._now + timeout > self._limit:
            if self._limit == _FOREVER:
                raise RuntimeError("nothing will ever happen any more: this waits forever")
            self._now = max(self._now, self._limit)
            self.stop()
        else:
            self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def play(self, limit: float, goal: Callable[[], bool] | None = None) -> None:
        """Run until a time, or until something is so."""
        self._limit, self._goal = limit, goal
        try:
            self.run_forever()
        finally:
            self._limit, self._goal = _FOREVER, None


class Clock:
    """A clock that jumps, and what runs on it.

    Args:
        now: Monotonic seconds to begin at.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.loop = JumpingLoop(now)
        self.failures: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(context))

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.loop.time()

    def advance(self, seconds: float) -> None:
        """Let time pass, and do what is to be done meanwhile."""
        self.loop.play(self.now + seconds)
        self.settle()

    def settle(self) -> None:
        """Do all that is to be done now."""
        self.loop.play(self.now)

    def wait_for(self, goal: Callable[[], bool], within: float) -> bool:
        """Let time pass until something is so, and return whether it is."""
        self.loop.play(self.now + within, goal)
        if not goal():
            self.settle()
        return goal()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end, whatever time it takes, and return its result."""
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        """Close the loop; assert that nothing failed in it where nobody saw it."""
        try:
            self.run(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()
        assert self.failures == []


class Address(EndpointAddress):
    """An address of a network that is not there: addresses of one name are equal."""

    __slots__ = ("_group", "_local", "_name")

    def __init__(self, name: str, local: str, group: str | None = None) -> None:
        self._name = name
        self._local = local
        self._group = group

    scheme = "coap"

    @property
    def hostinfo(self) -> str:
        return self._name

    @property
    def hostinfo_local(self) -> str:
        return self._group or self._local

    @property
    def uri_base(self) -> str:
        return "coap://" + self._name

    @property
    def uri_base_local(self) -> str:
        return "coap://" + self.hostinfo_local

    @property
    def is_multicast(self) -> bool:
        return self._name.startswith(("[ff", "224."))

    @property
    def is_multicast_locally(self) -> bool:
        return self._group is not None

    def as_response_address(self) -> Address:
        return self if self._group is None else Address(self._name, self._local)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"<{self._name}{' by multicast' if self._group else ''}>"


class Interface(interfaces.MessageInterface):
    """A transport whose datagrams end up in a function."""

    def __init__(self, name: str, transmit: Callable[[bytes, EndpointAddress], None]) -> None:
        self._name = name
        self._transmit = transmit
        self.is_shut_down = False

    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        assert not self.is_shut_down, "a datagram is sent after the shutdown"
        self._transmit(datagram, remote)

    async def determine_remote(self, message: Message) -> EndpointAddress | None:
        destination = message.destination()
        if destination.scheme != "coap":
            return None
        return Address(destination.hostinfo, self._name)

    def recognize_remote(self, remote: EndpointAddress) -> bool:
        return isinstance(remote, Address)

    async def shutdown(self) -> None:
        self.is_shut_down = True


class Floor(interfaces.TokenManager):
    """A token floor that takes down what reaches it.

    Attributes:
        requests, responses, errors: What came up.
        waiting: Tokens that responses are waited for; all others are refused.
        answer: Called with each request; its result, if any, is sent at once.
    """

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.responses: list[Message] = []
        self.errors: list[tuple[int | Exception, EndpointAddress]] = []
        self.waiting: set[bytes] = set()
        self.answer: Callable[[Message], Message | None] = lambda request: None
        self.manager: MessageManager | None = None

    def process_request(self, request: Message) -> None:
        self.requests.append(request)
        response = self.answer(request)
        if response is not None:
            self.respond(request, response)

    def respond(
        self, request: Message, response: Message, monitor: Callable[[], None] | None = None
    ) -> Callable[[], None] | None:
        """Send a response."""
        assert self.manager is not None
        assert request.remote is not None
        response.request = request
        response.remote = request.remote.as_response_address()
        response.token = request.token
        return self.manager.send_message(response, monitor)

    def process_response(self, response: Message) -> bool:
        if response.token not in self.waiting:
            return False
        self.responses.append(response)
        return True

    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None:
        self.errors.append((errno, remote))

    @property
    def client_credentials(self) -> Any:
        return None


class Endpoint:
    """One endpoint: a whole context, or a message manager below a :class:`Floor`.

    Args:
        name: Its address, as in a URI.
        transmit: Called with what it sends: datagram and address.
        clock: What it runs on.
        floor: Makes it a message manager below that; None makes it a context.
        site: What answers in a context.
        tuning: Transmission parameters.
    """

    def __init__(
        self,
        name: str,
        transmit: Callable[[bytes, EndpointAddress], None],
        clock: Clock,
        *,
        floor: Floor | None = None,
        site: interfaces.Resource | None = None,
        tuning: TransportTuning | type[TransportTuning] | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.floor = floor
        self.interface = Interface(name, transmit)
        self.context: Any = None
        self.tokens: Any = floor
        self.manager: MessageManager
        clock.run(self._build(site, tuning() if isinstance(tuning, type) else tuning))

    async def _build(
        self, site: interfaces.Resource | None, tuning: TransportTuning | None
    ) -> None:
        if self.floor is not None:
            self.manager = self.floor.manager = MessageManager(self.floor, tuning=tuning)
        else:
            # Tests of lower floors do without these.
            from aiocoap.protocol import Context
            from aiocoap.tokenmanager import TokenManager

            self.context = Context(serversite=site, transport_tuning=tuning)
            self.tokens = TokenManager(self.context)
            self.manager = self.tokens.token_interface = MessageManager(self.tokens)
            self.context.request_interfaces.append(self.tokens)
        self.manager.message_interface = self.interface

    @property
    def heart(self) -> Any:
        """The state of its message layer."""
        return self.manager._heart

    def receive(self, datagram: bytes, source: str, group: str | None = None) -> None:
        """Take in a datagram, perhaps one that was sent to a group."""
        # Whatever is called by the manager expects to run in the loop.
        self.clock.loop.call_soon(
            self.manager.dispatch_datagram, datagram, Address(source, self.name, group)
        )

    def close(self) -> None:
        """Shut it down."""
        self.clock.run((self.context or self.manager).shutdown())


def empty_tables(endpoint: Endpoint) -> bool:
    """Whether an endpoint has come to rest: nothing is waited for, and nothing remembered."""
    is_empty: bool = endpoint.heart.is_idle()
    if endpoint.context is not None:
        is_empty = (
            is_empty
            and not len(endpoint.tokens.outgoing_requests)
            and not endpoint.tokens.incoming_requests
        )
    return is_empty


class Link:
    """A network that does what networks do, and the same for the same seed.

    Args:
        seed: Of all its choices.
        drop: Probability that a datagram is lost.
        duplicate: Probability that it arrives twice.
        delay: Seconds that it takes.
        reorder: Probability that it takes up to ten times as long, so that others overtake it.
    """

    def __init__(
        self,
        seed: int = 0,
        drop: float = 0.0,
        duplicate: float = 0.0,
        delay: float = 0.0,
        reorder: float = 0.0,
    ) -> None:
        self._random = random.Random(seed)
        self.drop = drop
        self.duplicate = duplicate
        self.delay = delay
        self.reorder = reorder

    def delays(self) -> list[float]:
        """Return after how many seconds each copy of a datagram arrives."""
        choose = self._random.random
        if choose() < self.drop:
            return []
        copies = 2 if choose() < self.duplicate else 1
        return [
            self.delay * (1 + 9 * choose() if choose() < self.reorder else 1) for _ in range(copies)
        ]


class Datagram(NamedTuple):
    """One on its way."""

    raw: bytes
    source: Endpoint
    destination: Endpoint

    @property
    def message(self) -> Message:
        """What is in there."""
        return Message.decode(self.raw)


class Pair:
    """Two endpoints and what is between them.

    Args:
        site: What the server answers from, which makes both ends whole contexts; None makes them
            message managers below a :class:`Floor`.
        link: The network between; None leaves each datagram to the test.
        seed: Of what the endpoints choose by chance.
        tuning: Transmission parameters of both.

    Attributes:
        client, server: The endpoints.
        wire: Datagrams on their way, where there is no link.
    """

    CLIENT = "[2001:db8::c]"
    SERVER = "[2001:db8::5]"

    def __init__(
        self,
        site: interfaces.Resource | None = None,
        link: Link | None = None,
        *,
        seed: int = 0,
        tuning: TransportTuning | None = None,
    ) -> None:
        random.seed(seed)
        self.clock = Clock()
        self.link = link
        self.wire: deque[Datagram] = deque()
        self._arriving = 0
        ends = []
        for name, number in ((self.CLIENT, 0), (self.SERVER, 1)):
            floor = Floor() if site is None else None
            transmit = self._transmit_from_server if number else self._transmit_from_client
            ends.append(
                Endpoint(
                    name,
                    transmit,
                    self.clock,
                    floor=floor,
                    site=site if number else None,
                    tuning=tuning,
                )
            )
        self.client, self.server = ends

    def _transmit_from_client(self, raw: bytes, remote: EndpointAddress) -> None:
        self._transmit(Datagram(raw, self.client, self.server), remote)

    def _transmit_from_server(self, raw: bytes, remote: EndpointAddress) -> None:
        self._transmit(Datagram(raw, self.server, self.client), remote)

    def _transmit(self, datagram: Datagram, remote: EndpointAddress) -> None:
        if remote.hostinfo != datagram.destination.name:
            return  # nobody is there
        if self.link is None:
            self.wire.append(datagram)
            return
        for delay in self.link.delays():
            self._arriving += 1
            self.clock.loop.call_later(delay, self._arrive, datagram)

    def _arrive(self, datagram: Datagram) -> None:
        self._arriving -= 1
        datagram.destination.receive(datagram.raw, datagram.source.name)

    @property
    def is_quiet(self) -> bool:
        """Whether no datagram is on its way."""
        return not self.wire and not self._arriving

    def transfer(self, count: int = 1) -> None:
        """Let the next datagrams arrive."""
        for _ in range(count):
            datagram = self.drop()
            datagram.destination.receive(datagram.raw, datagram.source.name)
            self.clock.settle()

    def drop(self) -> Datagram:
        """Lose the next datagram, and return it."""
        self.clock.settle()
        assert self.wire, "no datagram is on its way"
        return self.wire.popleft()

    def duplicate(self) -> None:
        """Let the next datagram arrive, without taking it off the wire."""
        self.wire.appendleft(datagram := self.drop())
        datagram.destination.receive(datagram.raw, datagram.source.name)
        self.clock.settle()

    def settle(self) -> None:
        """Let all datagrams arrive, and those that are sent because of them."""
        self.clock.settle()
        while self.wire:
            self.transfer()

    def close(self) -> None:
        """Shut everything down."""
        self.client.close()
        self.server.close()
        self.clock.close()

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class Received(NamedTuple):
    """What a script has got: everything of the message can be asked for directly."""

    message: Message
    raw: bytes
    time: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.message, name)


class Script:
    """One context against a sequence diagram; see the module.

    Args:
        site: What the context answers from.
        seed: Of what it chooses by chance.
        tuning: Transmission parameters.
        peer: Address of whom the script plays.

    Attributes:
        clock: What everything runs on.
        context: The context.
        endpoint: The context's only transport, and what is above and below.
        sent: The datagram that was last sent to the context.
    """

    LOCAL = "[2001:db8::a]"
    GROUP = "[ff02::fd]"

    def __init__(
        self,
        site: interfaces.Resource | None = None,
        *,
        seed: int = 0,
        tuning: TransportTuning | type[TransportTuning] | None = None,
        peer: str = "[2001:db8::1]",
    ) -> None:
        random.seed(seed)
        self.clock = Clock()
        self.peer = peer
        self._outbox: deque[tuple[float, bytes, str]] = deque()
        self._transcript: list[str] = []
        self._mids: dict[str, int] = {}
        self._tokens: dict[str, bytes] = {}
        self._last_mid = 0x1000
        self.sent = b""
        self.endpoint = Endpoint(self.LOCAL, self._take, self.clock, site=site, tuning=tuning)
        self.context = self.endpoint.context

    def _take(self, raw: bytes, remote: EndpointAddress) -> None:
        self._outbox.append((self.clock.now, raw, remote.hostinfo))

    # Names

    def mid(self, name: str | int) -> int:
        """Return a Message ID by its name; an unknown name gets a new one."""
        if isinstance(name, int):
            return name
        if name not in self._mids:
            self._last_mid += 1
            self._mids[name] = self._last_mid
        return self._mids[name]

    def token(self, name: str | bytes) -> bytes:
        """Return a token by its name; an unknown name gets a new one."""
        if isinstance(name, bytes):
            return name
        return self._tokens.setdefault(name, b"tok" + name.encode())

    def uri(self, path: str = "/", peer: str | None = None) -> str:
        """Return the URI of something at the script's end."""
        return f"coap://{peer or self.peer}{path}"

    # From the script

    def send(
        self,
        mtype: Type,
        code: Code,
        *,
        mid: str | int | None = None,
        token: str | bytes = b"",
        payload: bytes = b"",
        peer: str | None = None,
        multicast: bool = False,
        **options: Any,
    ) -> None:
        """Send a message to the context; :attr:`sent` is the datagram.

        Args:
            mtype: Type.
            code: Code.
            mid: Message ID or a name for it; None takes a new one.
            token: Token or a name for it.
            payload: Payload.
            peer: Who sends it; None takes the script's own address.
            multicast: Whether it comes in by a group.
            options: By name.
        """
        if mid is None:
            assert mtype not in (ACK, RST), "an ACK or RST has somebody else's Message ID"
            self._last_mid += 1
            mid = self._last_mid
        message = Message(mtype=mtype, code=code, mid=self.mid(mid), payload=payload, **options)
        message.token = self.token(token)
        self.send_raw(message.encode(), peer=peer, multicast=multicast)

    def send_raw(self, raw: bytes, *, peer: str | None = None, multicast: bool = False) -> None:
        """Send any bytes to the context."""
        peer = peer or self.peer
        self.sent = raw
        self._note("->", raw, peer)
        self.endpoint.receive(raw, peer, self.GROUP if multicast else None)
        self.clock.settle()

    # To the script

    def expect(
        self,
        mtype: Type | Collection[Type],
        code: Code | Collection[Code],
        *,
        mid: str | int | None = None,
        token: str | bytes | None = None,
        payload: Any = None,
        peer: str | None = None,
        within: float = 1.0,
        **options: Any,
    ) -> Received:
        """Take the next message that the context sends.

        Args:
            mtype: Type, or the possible ones.
            code: Code, or the possible ones.
            mid: Message ID, or a name for it; None takes any.
            token: Token, or a name for it; None takes any.
            payload: Payload; ``...`` takes any but an empty one, None takes any.
            peer: Where it is sent to; None takes the script's own address.
            within: Seconds to wait for it.
            options: Values by name; ``...`` stands for any, None for none.

        Returns:
            The message; it has ``raw`` and ``time`` besides.
        """
        got = self._next(within, f"{mtype} {code}")
        message = got.message
        assert message.remote is not None
        self._check(message.remote.hostinfo, peer or self.peer, "destination")
        types = [mtype] if isinstance(mtype, int) else mtype
        self._check(message.mtype in types, True, f"type, one of {[str(t) for t in types]}")
        codes = [code] if isinstance(code, int) else code
        self._check(message.code in codes, True, f"code, one of {[str(c) for c in codes]}")
        if isinstance(mid, str):
            assert message.mid is not None
            mid = self._mids.setdefault(mid, message.mid)
        if mid is not None:
            self._check(message.mid, mid, "Message ID")
        if isinstance(token, str):
            token = self._tokens.setdefault(token, message.token)
        if token is not None:
            self._check(message.token, token, "token")
        if payload is ...:
            self._check(message.payload != b"", True, "having a payload")
        elif payload is not None:
            self._check(message.payload, payload, "payload")
        for name, value in options.items():
            found = getattr(message.opt, name)
            if value is ...:
                self._check(found not in (None, ()), True, f"having {name}")
            elif isinstance(value, list):
                self._check(list(found), value, name)
            else:
                self._check(found, value, name)
        return got

    def expect_raw(self, raw: bytes, *, within: float = 1.0, peer: str | None = None) -> Received:
        """Take the next datagram, which is to be this one."""
        got = self._next(within, raw.hex())
        self._check(got.raw.hex(), raw.hex(), "datagram")
        assert got.message.remote is not None
        self._check(got.message.remote.hostinfo, peer or self.peer, "destination")
        return got

    def quiet(self, seconds: float) -> None:
        """Let time pass, in which nothing is sent."""
        self.clock.settle()
        if self._outbox or self.clock.wait_for(lambda: bool(self._outbox), seconds):
            self._next(0, "")
            self._fail("nothing is expected to be sent")

    # The application's end

    def request(self, message: Message, **kwargs: Any) -> Any:
        """Have the context send a request, and return what ``Context.request`` gives."""
        request = self.clock.run(self._request(message, kwargs))
        self.clock.settle()
        return request

    async def _request(self, message: Message, kwargs: dict[str, Any]) -> Any:
        return self.context.request(message, **kwargs)

    def result(self, request: Any, within: float = 1.0) -> Message:
        """Return the response to a request.

        Args:
            request: What :meth:`request` returned.
            within: Seconds to wait for it.

        Raises:
            Error: The request failed.
        """
        if not self.clock.wait_for(request.response.done, within):
            self._fail(f"a response is expected within {within} seconds")
        response: Message = request.response.result()
        return response

    # Inside

    def _next(self, within: float, what: str) -> Received:
        if not self._outbox and not self.clock.wait_for(lambda: bool(self._outbox), within):
            self._fail(f"{what} is expected within {within} seconds, and nothing is sent")
        time, raw, peer = self._outbox.popleft()
        self._note("<-", raw, peer, time)
        return Received(Message.decode(raw, Address(peer, self.LOCAL)), raw, time)

    def _check(self, found: Any, expected: Any, what: str) -> None:
        if found != expected:
            self._fail(f"{what}: expected {expected!r}, found {found!r}")

    def _note(self, arrow: str, raw: bytes, peer: str, time: float | None = None) -> None:
        text = raw.hex()
        if len(raw) >= 4 and raw[0] >> 6 == 1:
            mtype, code = Type(raw[0] >> 4 & 3), CODES[raw[1]]
            text = f"{mtype.name} {code} [{raw[2:4].hex()}] {raw[4:].hex()}"
        self._transcript.append(f"{time or self.clock.now:10.3f} {arrow} {peer} {text}")

    def _fail(self, text: str) -> None:
        raise AssertionError("\n".join([text, "after:", *self._transcript]))

    def close(self) -> None:
        """Shut the context down."""
        self.endpoint.close()
        self.clock.close()

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.quiet(0)
        finally:
            self.close()

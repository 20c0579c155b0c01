"""The contracts: what has to be provided, and the little that they do by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from aiocoap import error, interfaces
from aiocoap.address import EndpointAddress, UndecidedRemote
from aiocoap.message import Message
from aiocoap.numbers.codes import GET
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON
from aiocoap.pipe import Phase, Pipe


class Datagrams(interfaces.MessageInterface):
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, EndpointAddress]] = []

    def send_datagram(self, datagram: bytes, remote: EndpointAddress) -> None:
        self.sent.append((datagram, remote))

    async def determine_remote(self, message: Message) -> EndpointAddress | None:
        return None

    def recognize_remote(self, remote: EndpointAddress) -> bool:
        return False

    async def shutdown(self) -> None:
        pass


class Tokens(interfaces.TokenInterface):
    own: ClassVar[EndpointAddress] = EndpointAddress()

    def __init__(self, resolved: EndpointAddress | None) -> None:
        self.resolved = resolved

    def send_message(
        self, message: Message, messageerror_monitor: Callable[[], None] | None
    ) -> Callable[[], None] | None:
        return None

    def owns(self, remote: EndpointAddress) -> bool:
        return remote is self.own

    async def resolve(self, message: Message) -> EndpointAddress | None:
        return self.resolved

    async def shutdown(self) -> None:
        pass


class Requests(interfaces.RequestInterface):
    def request(self, request: Any) -> None:
        pass

    async def fill_or_recognize_remote(self, message: Message) -> bool:
        return False

    async def shutdown(self) -> None:
        pass


def test_a_message_is_sent_as_its_bytes() -> None:
    datagrams = Datagrams()
    message = Message(mtype=CON, mid=1, code=GET)
    message.remote = EndpointAddress()
    datagrams.send(message)
    assert datagrams.sent == [(message.encode(), message.remote)]


def test_interfaces_have_no_bound_address_unless_they_say_so() -> None:
    for interface in (Datagrams(), Tokens(None), Requests()):
        assert interface.bound_address is None


def test_interfaces_find_nothing_at_once_unless_they_say_so() -> None:
    message = Message(code=GET)
    assert Datagrams().determine_remote_now(message) is None
    assert Tokens(EndpointAddress()).resolve_now(message) is None
    assert Requests().fill_or_recognize_remote_now(message) is False


def test_interfaces_have_no_ping_unless_they_say_so() -> None:
    with pytest.raises(error.Error, match="can not be pinged"):
        Tokens(None).ping(EndpointAddress(), lambda: None)
    with pytest.raises(error.Error, match="can not be pinged"):
        asyncio.run(Requests().ping(EndpointAddress()))


def test_interfaces_have_nothing_to_listen_to_unless_they_say_so() -> None:
    pipe = Pipe(Message(code=GET), logging.getLogger("coap-test"))
    Requests().listen(pipe)
    assert pipe.phase is Phase.PREPARING


class Manager(interfaces.TokenManager):
    """What has to be there of a token manager."""

    def process_request(self, request: Message) -> None: ...

    def process_response(self, response: Message) -> bool:
        return False

    def dispatch_error(self, errno: int | Exception, remote: EndpointAddress) -> None: ...

    @property
    def client_credentials(self) -> Any:
        return None


def test_token_managers_keep_no_account_unless_they_say_so() -> None:
    manager, remote = Manager(), UndecidedRemote("coap", "localhost")
    assert not manager.awaits_response(remote)
    assert not manager.is_interested_in(remote)
    assert manager.transport_tuning.ACK_TIMEOUT == TransportTuning.ACK_TIMEOUT


def test_interfaces_decline_nothing_unless_they_say_so() -> None:
    assert Datagrams().schemes is None
    assert Tokens(None).schemes is None
    assert not Requests().declines(Message(code=GET))


def test_uris_are_made_of_schemes_and_addresses() -> None:
    class Bound(Tokens):
        schemes = frozenset(("coap", "coap+x"))  # type: ignore[assignment]
        bound_address = ("::1", 5683)  # type: ignore[assignment]

    assert Bound(None).bound_uris == ["coap://[::1]:5683", "coap+x://[::1]:5683"]
    assert Tokens(None).bound_uris == []
    assert Requests().bound_uris == []


def test_nobody_has_to_be_told_of_the_end() -> None:
    assert asyncio.run(Tokens(None).release()) is None  # type: ignore[func-returns-value]


def test_addresses_are_recognized_or_filled_in() -> None:
    message = Message(code=GET)
    assert asyncio.run(Tokens(None).fill_or_recognize_remote(message)) is False
    assert message.remote is None
    own = Tokens.own
    assert asyncio.run(Tokens(own).fill_or_recognize_remote(message)) is True
    assert message.remote is own
    assert asyncio.run(Tokens(None).fill_or_recognize_remote(message)) is True
    message.remote = EndpointAddress()
    assert asyncio.run(Tokens(None).fill_or_recognize_remote(message)) is False


@pytest.mark.parametrize(
    "contract",
    [
        interfaces.MessageInterface,
        interfaces.MessageManager,
        interfaces.TokenInterface,
        interfaces.TokenManager,
        interfaces.RequestInterface,
        interfaces.ServerObservation,
    ],
)
def test_contracts_have_to_be_fulfilled(contract: type[Any]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        contract()


def test_resources_say_what_they_can() -> None:
    resource = interfaces.ObservableResource()
    request = Message(code=GET)
    assert resource.resolve(request) == (resource, request)
    assert resource.handled_options == frozenset()
    assert resource.render_to_pipe is None
    for coroutine in (
        resource.render(request),
        resource.needs_blockwise_assembly(request),
        resource.add_observation(request, None),  # type: ignore[arg-type]
    ):
        with pytest.raises(NotImplementedError):
            asyncio.run(coroutine)


def test_request_providers_have_to_provide() -> None:
    with pytest.raises(NotImplementedError):
        interfaces.RequestProvider().request(Message(code=GET))


def test_addresses_are_here_too() -> None:
    assert interfaces.EndpointAddress is EndpointAddress

"""Connections over WebSockets, on links that only take down what they are told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiocoap import Message
from aiocoap.credentials import CredentialsMap
from aiocoap.numbers.codes import CSM
from aiocoap.numbers.constants import TransportTuning
from aiocoap.sansio.framing import decode_unframed, encode_unframed
from aiocoap.transports.ws import WSPool, WSRemote

LOG = logging.getLogger("tests.ws")
GREETING = encode_unframed(Message(code=CSM))


class Manager:
    """Takes down what comes up."""

    def __init__(self) -> None:
        self.transport_tuning = TransportTuning()
        self.client_credentials = CredentialsMap()
        self.requests: list[Message] = []
        self.responses: list[Message] = []
        self.errors: list[tuple[Exception, Any]] = []

    def process_request(self, message: Message) -> None:
        self.requests.append(message)

    def process_response(self, message: Message) -> None:
        self.responses.append(message)

    def dispatch_error(self, problem: Exception, remote: Any) -> None:
        self.errors.append((problem, remote))

    def is_interested_in(self, remote: Any) -> bool:
        return False

    awaits_response = is_interested_in


class FakeLink:
    """A link without a network."""

    is_server = is_made = True
    host = "coap.example"

    def __init__(self, is_gone: bool = False) -> None:
        self.local_address = None if is_gone else ("::1", 80, 0, 0)
        self.remote_address = None if is_gone else ("192.0.2.1", 40000)
        self.user: Any = None
        self.held = 0
        self.is_lost = False
        self.reason = "it is over"
        self.sent: list[bytes] = []
        self.calls: list[str] = []
        self.coming: asyncio.Queue[str | bytes | None] = asyncio.Queue()

    def attach(self, user: Any) -> None:
        self.user = user

    async def receive(self) -> str | bytes | None:
        return await self.coming.get()

    def send_now(self, data: bytes) -> None:
        self.sent.append(data)

    def read_on(self, is_wanted: bool) -> None:
        self.calls.append("read on" if is_wanted else "do not read")

    def part(self) -> None:
        self.calls.append("part")

    def abort(self) -> None:
        self.calls.append("abort")


class Bench:
    """One connection, as the peer has opened it or we have."""

    def __init__(self, is_ours: bool = False) -> None:
        self.manager = Manager()
        loop = asyncio.get_running_loop()
        manager: Any = self.manager
        self.pool = WSPool(manager, LOG, loop)
        self.link = FakeLink()
        link: Any = self.link
        kwargs = {"remote_hostinfo" if is_ours else "local_hostinfo": "coap.example"}
        self.remote = WSRemote(self.pool, link, loop, LOG, scheme="coap+ws", **kwargs)
        assert self.pool.add(self.remote)

    async def run(self, *data: str | bytes) -> None:
        """Have messages received, and then the end."""
        for one in (*data, None):
            self.link.coming.put_nowait(one)
        await self.remote.run()

    @property
    def last(self) -> Message:
        return decode_unframed(self.link.sent[-1])

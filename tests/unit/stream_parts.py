"""Resources and requests for tests of connections."""

from __future__ import annotations

import asyncio
from typing import Any

from aiocoap.message import Message
from aiocoap.numbers.codes import (
    CHANGED,
    GET,
)
from aiocoap.resource import ObservableResource, Resource, Site

URI = "coap+tcp://192.0.2.1/x"


def uint(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def get(uri: str = URI, **kwargs: Any) -> Message:
    return Message(code=GET, uri=uri, **kwargs)


class Slow(Resource):
    """Answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[bytes]] = []
        self.seen: list[Message] = []

    async def render_get(self, request: Message) -> Message:
        self.seen.append(request)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return Message(payload=await future)

    render_post = render_get

    def answer(self, payload: bytes = b"done", place: int = 0) -> None:
        self.waiting.pop(place).set_result(payload)


class Observed(ObservableResource):
    content = b"0"

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.content)

    def change(self, content: bytes) -> None:
        self.content = content
        self.updated_state()


class Caller(Resource):
    """Asks who asks it."""

    context: Any = None

    async def render_post(self, request: Message) -> Message:
        back = Message(code=GET, uri_path=["back"])
        back.remote = request.remote
        answer = await self.context.request(back).response
        return Message(code=CHANGED, payload=b"you say " + answer.payload)


def site(**resources: Resource) -> Site:
    made = Site()
    for name, resource in resources.items():
        made.add_resource([name], resource)
    return made

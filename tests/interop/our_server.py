"""A server of ours with a resource of each kind: our_server.py PORT [hasty].

A hasty one gives up what is not acknowledged within a second or two.
"""

from __future__ import annotations

import asyncio
import sys

from aiocoap import DELETED, Context, Message
from aiocoap.error import NotFound
from aiocoap.numbers.constants import TransportTuning
from aiocoap.resource import ObservableResource, Resource, Site, WKCResource


class Stored(Resource):
    content = b"nothing yet"

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.content)

    async def render_put(self, request: Message) -> Message:
        self.content = request.payload
        return Message()


class Methods(Resource):
    async def render_get(self, request: Message) -> Message:
        name = "iPATCH" if request.code == 7 else str(request.code)
        return Message(payload=f"{name} with {len(request.payload)} bytes".encode())

    render_put = render_post = render_delete = render_get
    render_fetch = render_patch = render_ipatch = render_get


class Guarded(Stored):
    """Knows its ETag, and is not there before somebody creates it."""

    content = b""

    async def get_etag(self, request: Message) -> bytes | None:
        return b"e%d" % len(self.content) if self.content else None


class Echo(Resource):
    """Gives back whatever body it gets, and where it was sent."""

    async def render_post(self, request: Message) -> Message:
        return Message(payload=request.payload)

    render_fetch = render_post

    async def render_get(self, request: Message) -> Message:
        return Message(payload=request.get_request_uri().encode())


class Noted(ObservableResource):
    """Changes when it is told to, and only then."""

    content: bytes | None = b"nothing yet"

    async def render_get(self, request: Message) -> Message:
        if self.content is None:
            raise NotFound
        return Message(payload=self.content)

    async def render_put(self, request: Message) -> Message:
        self.content = request.payload
        self.updated_state()
        return Message()

    async def render_delete(self, request: Message) -> Message:
        self.content = None
        self.updated_state()
        return Message(code=DELETED)


class Large(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"0123456789" * 2000)


class Slow(Resource):
    async def render_get(self, request: Message) -> Message:
        await asyncio.sleep(0.5)
        return Message(payload=b"slow")

    async def render_post(self, request: Message) -> Message:
        await asyncio.sleep(0.5)
        return Message(payload=b"%d bytes, slowly " % len(request.payload) * 500)


class Broken(Resource):
    async def render_get(self, request: Message) -> Message:
        raise RuntimeError("on purpose")


class Counted(ObservableResource):
    count = 0

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"count %d\n" % self.count)

    async def go_on(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.count += 1
            self.updated_state()


class Hasty(TransportTuning):
    """Does not keep tests waiting."""

    ACK_TIMEOUT = 0.05


class Observers(Resource):
    def __init__(self, *observed: ObservableResource) -> None:
        super().__init__()
        self.observed = observed

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"%d" % sum(len(found.observations) for found in self.observed))


async def main(port: int, tuning: type[TransportTuning]) -> None:
    site, counted, noted = Site(), Counted(), Noted()
    site.add_resource(["stored"], Stored())
    site.add_resource(["kept"], Stored())
    site.add_resource(["methods"], Methods())
    site.add_resource(["guarded"], Guarded())
    site.add_resource(["echo"], Echo())
    site.add_resource(["large"], Large())
    site.add_resource(["slow"], Slow())
    site.add_resource(["broken"], Broken())
    site.add_resource(["counted"], counted)
    site.add_resource(["noted"], noted)
    site.add_resource(["observers"], Observers(counted, noted))
    site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    async with await Context.create_server_context(
        site, bind=(None, port), transport_tuning=tuning
    ):
        await counted.go_on()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Hasty if "hasty" in sys.argv else TransportTuning))

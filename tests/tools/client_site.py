"""A server for the end-to-end tests of aiocoap-client: a resource for each thing to show.

It prints the port that it is at, and serves until it is told to stop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiocoap import Context, Message, resource
from aiocoap.numbers import codes

LINKS = b'</time>;obs;title="a, b",</json>;ct=50'
CBOR = bytes.fromhex("a26161830102f5616200")  # {"a": [1, 2, true], "b": 0}
BIG = bytes(range(256)) * 400


class Fixed(resource.Resource):
    """The same response to every GET."""

    def __init__(self, payload: bytes = b"", code: Any = codes.CONTENT, **options: Any) -> None:
        super().__init__()
        self.answer = payload, code, options

    async def render_get(self, request: Message) -> Message:
        payload, code, options = self.answer
        return Message(code=code, payload=payload, **options)


class Mirror(resource.Resource):
    """Tells what it was sent, whatever options that are."""

    handled_options = None

    async def tell(self, request: Message) -> Message:
        opt = request.opt
        told = {
            "method": str(request.code),
            "confirmable": request.mtype == 0,
            "host": opt.uri_host,
            "query": opt.uri_query,
            "accept": opt.accept,
            "format": opt.content_format,
            "payload": request.payload.hex(),
            "options": [[number, raw.hex()] for number, raw in opt.raw_items()],
        }
        return Message(payload=json.dumps(told).encode(), content_format=50)

    render_get = render_put = render_post = render_fetch = render_patch = render_ipatch = tell
    render_delete = tell


class Blocks(resource.Resource):
    """Tells the size of the first block that it is sent."""

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render_put(self, request: Message) -> Message:
        block = request.opt.block1
        if block is None:
            return Message(code=codes.CHANGED, payload=b"whole")
        if block.more:
            return Message(code=codes.CONTINUE, block1=block)
        return Message(code=codes.CHANGED, payload=b"%d" % block.size, block1=block)


class Created(resource.Resource):
    """Creates something, or says so."""

    async def render_post(self, request: Message) -> Message:
        return Message(code=codes.CREATED, location_path=("things", "a b"), location_query=("v=1",))

    async def render_delete(self, request: Message) -> Message:
        return Message(code=codes.DELETED)


class Silent(resource.Resource):
    """Takes requests and never answers them."""

    async def render_get(self, request: Message) -> Message:
        return await asyncio.get_running_loop().create_future()


class Broken(resource.Resource):
    """Has a bug."""

    async def render_get(self, request: Message) -> Message:
        raise ZeroDivisionError("secret")


class Slow(resource.Resource):
    """Sends a body in small blocks, and takes its time for each."""

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render_get(self, request: Message) -> Message:
        await asyncio.sleep(0.1)
        block = request.opt.block2
        number = 0 if block is None else block.block_number
        payload = BIG[64 * number : 64 * (number + 1)]
        size2 = 640 if number == 0 else None
        return Message(payload=payload, block2=(number, number < 9, 2), size2=size2)


class Still(resource.ObservableResource):
    """Never changes."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"as ever")


class Observers(resource.Resource):
    """Tells how many observe another resource."""

    def __init__(self, observed: resource.ObservableResource) -> None:
        super().__init__()
        self.observed = observed

    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"%d" % len(self.observed.observations))


class Counter(resource.ObservableResource):
    """Counts while it is observed; from a limit on it is gone."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.count = 0
        self.ticking: asyncio.Task[None] | None = None

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self.count += 1
            self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        if newcount and self.ticking is None:
            self.count = 0
            self.ticking = asyncio.create_task(self.tick())
        elif not newcount and self.ticking is not None:
            self.ticking.cancel()
            self.ticking = None

    async def render_get(self, request: Message) -> Message:
        if self.count >= self.limit:
            return Message(code=codes.NOT_FOUND, payload=b"used up")
        return Message(payload=b"count %d" % self.count)


def site() -> resource.Site:
    """Return the site."""
    root = resource.Site()
    still = Still()
    text = Fixed(b"hello", content_format=0, max_age=7, etag=b"\x01\xff")
    text.rt = "temperature-c"
    children = {
        "text": text,
        "line": Fixed(b"hello\n", content_format=0),
        "evil": Fixed(b"\x1b[2J\xc2\x9bevil\n", content_format=0),
        "json": Fixed(b'{"a": [1, 2.50]}', content_format=50),
        "cbor": Fixed(CBOR, content_format=60),
        "links": Fixed(LINKS, content_format=40),
        "senml": Fixed(bytes.fromhex("81a200616e02fb4037800000000000"), content_format=112),
        "binary": Fixed(b"\x00\x01\xff", content_format=42),
        "big": Fixed(BIG, content_format=42),
        "empty": Fixed(),
        "missing": Fixed(b"no \x1b[31msuch thing", codes.NOT_FOUND),
        "problem": Fixed(
            b"\xa2\x20\x6aOut of use\x21\x6bsince today",
            codes.BAD_REQUEST,
            content_format=257,
        ),
        "broken": Broken(),
        "silent": Silent(),
        "mirror": Mirror(),
        "blocks": Blocks(),
        "create": Created(),
        "counter": Counter(10**9),
        "ending": Counter(3),
        "slow": Slow(),
        "still": still,
        "observers": Observers(still),
    }
    for path, child in children.items():
        root.add_resource([path], child)
    listing = resource.WKCResource(root.get_resources_as_linkheader, impl_info=None)
    root.add_resource([".well-known", "core"], listing)
    return root


async def main() -> None:
    async with await Context.create_server_context(site(), bind=(None, 0)) as context:
        print(context.bound_addresses[0][1], flush=True)
        # Whoever started it closes its standard input, at the latest by ending itself.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

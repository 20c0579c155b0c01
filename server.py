#!/usr/bin/env python3
"""A CoAP server with a resource of each kind; stop it with Ctrl-C."""

import asyncio
import contextlib
import datetime
import hashlib
import logging

import aiocoap
from aiocoap import resource


class BlockResource(resource.Resource):
    """A body that is too large for one message, to be read and to be replaced.

    Nothing in here is about blocks: the library cuts bodies up and puts them together.
    """

    def __init__(self):
        super().__init__()
        self.set_content(b"More than a kilobyte travels in blocks, so here come some digits.\n")

    def set_content(self, content):
        """Keep some content, filled up to be large enough for more than one block."""
        self.content = content
        while len(self.content) <= 1024:
            self.content += b"0123456789\n"

    async def get_etag(self, request):
        # For clients that have the content already, or mean to replace nothing but what they know.
        return hashlib.sha256(self.content).digest()[:8]

    async def render_get(self, request):
        # Content format 0 is plain text; who accepts nothing but another one gets an error.
        return aiocoap.Message(content_format=0, payload=self.content)

    async def render_put(self, request):
        print(f"Somebody put {len(request.payload)} bytes here.")
        self.set_content(request.payload)
        return aiocoap.Message(code=aiocoap.CHANGED, content_format=0, payload=self.content)


class SeparateLargeResource(resource.Resource):
    """An answer that takes its time.

    The library tells the client that the request has arrived, and sends the answer in a message
    of its own when it is there.
    """

    def get_link_description(self):
        # What else is to be said of the resource in /.well-known/core.
        return dict(**super().get_link_description(), title="A large resource")

    async def render_get(self, request):
        await asyncio.sleep(3)
        text = (
            "Three rings of the telephone go by before anybody gets up, seven more until the "
            "stairs are climbed, and another nine to find it: whoever waits knows at least that "
            "there is somebody at home."
        )
        return aiocoap.Message(content_format=0, payload=text.encode("ascii"))


class TimeResource(resource.ObservableResource):
    """The time of day, sent to whoever observes it every five seconds."""

    def __init__(self):
        super().__init__()
        self.clock = None

    def update_observation_count(self, newcount):
        # The clock runs as long as somebody looks at it.
        if newcount and self.clock is None:
            print("Starting the clock")
            self.tick_later()
        elif not newcount and self.clock is not None:
            print("Stopping the clock")
            self.clock.cancel()
            self.clock = None

    def tick_later(self):
        self.clock = asyncio.get_running_loop().call_later(5, self.tick)

    def tick(self):
        # Every observer gets what render_get returns now.
        self.updated_state()
        self.tick_later()

    async def render_get(self, request):
        now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        return aiocoap.Message(content_format=0, payload=now.encode("ascii"))


class WhoAmI(resource.Resource):
    """What the server knows of the client."""

    async def render_get(self, request):
        remote = request.remote
        text = [
            f"Used protocol: {remote.scheme}.",
            f"Request came from {remote.hostinfo}.",
            f"The server address used {remote.hostinfo_local}.",
        ]
        claims = list(remote.authenticated_claims)
        if claims:
            text.append("Authenticated claims of the client: " + ", ".join(map(repr, claims)) + ".")
        else:
            text.append("No claims authenticated.")
        return aiocoap.Message(content_format=0, payload="\n".join(text).encode("utf8"))


logging.basicConfig(level=logging.INFO)
logging.getLogger("coap-server").setLevel(logging.DEBUG)


async def main():
    root = resource.Site()
    root.add_resource(
        [".well-known", "core"], resource.WKCResource(root.get_resources_as_linkheader)
    )
    root.add_resource(["time"], TimeResource())
    root.add_resource(["other", "block"], BlockResource())
    root.add_resource(["other", "separate"], SeparateLargeResource())
    root.add_resource(["whoami"], WhoAmI())

    async with await aiocoap.Context.create_server_context(root):
        # Serve until the program is interrupted.
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

#!/usr/bin/env python3
"""Watch the example server's clock; stop it with Ctrl-C."""

import asyncio
import contextlib
import logging

from aiocoap import GET, Context, Message, error

logging.basicConfig(level=logging.INFO)


async def main():
    async with await Context.create_client_context() as context:
        # The option makes it an observation, if the server can do that.
        request = context.request(Message(code=GET, uri="coap://localhost/time", observe=0))
        try:
            response = await request.response
            print(f"First response: {response.code}\n{response.payload!r}")
            async for response in request.observation:
                print(f"Next response: {response.code}\n{response.payload!r}")
        except error.Error as problem:
            print(f"The observation is over: {problem}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

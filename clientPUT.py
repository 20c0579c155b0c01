#!/usr/bin/env python3
"""Put a body into the example server that is too large for a single message.

It is sent as several blocks, of which nothing is to be seen here.
"""

import asyncio
import logging

from aiocoap import PUT, Context, Message, error

logging.basicConfig(level=logging.INFO)


async def main():
    async with await Context.create_client_context() as context:
        payload = b"The quick brown fox jumps over the lazy dog.\n" * 30
        request = Message(code=PUT, uri="coap://localhost/other/block", payload=payload)
        try:
            response = await context.request(request).response
        except error.Error as problem:
            print(f"Failed to put the resource: {problem}")
        else:
            print(f"Result: {response.code}\n{response.payload!r}")


if __name__ == "__main__":
    asyncio.run(main())

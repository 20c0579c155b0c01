#!/usr/bin/env python3
"""Ask the example server for the time, once."""

import asyncio
import logging

from aiocoap import GET, Context, Message, error

logging.basicConfig(level=logging.INFO)


async def main():
    async with await Context.create_client_context() as context:
        request = Message(code=GET, uri="coap://localhost/time")
        try:
            response = await context.request(request).response
        except error.Error as problem:
            # There was no answer at all; a 4.04 would be a response like any other.
            print(f"Failed to fetch the resource: {problem}")
        else:
            print(f"Result: {response.code}\n{response.payload!r}")


if __name__ == "__main__":
    asyncio.run(main())

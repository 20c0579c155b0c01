"""A request and its answer with nothing installed but aiocoap; run by check.sh."""

import asyncio
import importlib.metadata
import importlib.resources

import aiocoap
from aiocoap import resource


class Hello(resource.Resource):
    """Says hello."""

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Answer every GET alike."""
        return aiocoap.Message(payload=b"hello")


async def main() -> None:
    """Serve and ask in one process."""
    site = resource.Site()
    site.add_resource(["hello"], Hello())
    async with (
        await aiocoap.Context.create_server_context(site, bind=("::1", 0)) as server,
        await aiocoap.Context.create_client_context() as client,
    ):
        request = aiocoap.Message(
            code=aiocoap.GET, uri=f"coap://[::1]:{server.bound_addresses[0][1]}/hello"
        )
        response = await client.request(request).response
        assert response.payload == b"hello", response


assert importlib.metadata.version("aiocoap") == aiocoap.meta.version
assert not [
    requirement
    for requirement in importlib.metadata.requires("aiocoap") or []
    if "extra ==" not in requirement
]
assert importlib.resources.files(aiocoap).joinpath("py.typed").is_file()
asyncio.run(main())

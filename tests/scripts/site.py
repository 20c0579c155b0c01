"""What the plugtests assume: a site with all the resources of their cases, and an end of scripts.

The resources have the names and the behaviour that the cases state as their preconditions. What
they answer with is up to them; the scripts know it by the names in here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiocoap import CHANGED, CONTENT, CREATED, DELETED, Message, error
from aiocoap.resource import ObservableResource, Resource, Site, link_format_to_message
from tests.harness import Script, empty_tables

TEXT, XML, LINKS = 0, 41, 40
"""Numbers of the content formats text/plain, application/xml and application/link-format."""

LARGE = bytes(range(256)) * 12 + b"the end"
"""A body that takes four blocks of 1024 bytes, the last of which is of any size."""

LOCATION = ("location1", "location2", "location3")

WHILE = 2.0
"""Seconds that what "is not served immediately" takes."""

PERIOD = 5.0
"""Seconds after which what "changes periodically" does."""


@contextmanager
def played(site: Site | None = None, **kwargs: Any) -> Iterator[Script]:
    """A script after which the endpoint is to be quiet, and to have forgotten all of it."""
    with Script(site, **kwargs) as script:
        yield script
        script.quiet(600)
        assert empty_tables(script.endpoint)


class Store(Resource):
    """Anything that can be created, read, replaced and deleted, if it has not changed meanwhile.

    Args:
        value: What is there at first; None if nothing is.
    """

    def __init__(self, value: bytes | None = None) -> None:
        super().__init__()
        self.value = value
        self.content_format: int | None = TEXT
        self.version = 0

    def store(self, value: bytes | None, content_format: int | None = TEXT) -> None:
        """Have another value."""
        self.value = value
        self.content_format = content_format
        self.version += 1

    async def get_etag(self, request: Message) -> bytes | None:
        return None if self.value is None else bytes((0xE7, self.version))

    async def render_get(self, request: Message) -> Message:
        if self.value is None:
            raise error.NotFound
        return Message(payload=self.value, content_format=self.content_format)

    async def render_put(self, request: Message) -> Message:
        code = CREATED if self.value is None else CHANGED
        self.store(request.payload, request.opt.content_format)
        return Message(code=code)

    async def render_delete(self, request: Message) -> Message:
        self.store(None)
        return Message(code=DELETED)


class Factory(Store):
    """One that creates another by POST."""

    def __init__(self, site: Site) -> None:
        super().__init__(b"tested")
        self._site = site
        self._created: Store | None = None

    async def render_post(self, request: Message) -> Message:
        if self._created is not None:
            self._created.store(request.payload, request.opt.content_format)
            return Message(code=CHANGED)
        self._created = Store(request.payload)
        self._site.add_resource(LOCATION, self._created)
        return Message(code=CREATED, location_path=LOCATION)


class Slow(Store):
    """One that is not served immediately.

    Args:
        value: What is there at first; None if nothing is.
        location: What a POST says that it has created; None if that is not allowed.
    """

    def __init__(self, value: bytes | None, location: tuple[str, ...] | None = ()) -> None:
        super().__init__(value)
        self._location = location

    async def render(self, request: Message) -> Message:
        await asyncio.sleep(WHILE)
        return await super().render(request)

    async def render_post(self, request: Message) -> Message:
        if self._location is None:
            raise error.UnallowedMethod
        if not self._location:
            self.store(request.payload, request.opt.content_format)
            return Message(code=CHANGED)
        return Message(code=CREATED, location_path=self._location)


class Query(Resource):
    """What tells what it was asked."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload="\n".join(request.opt.uri_query).encode(), content_format=TEXT)


class MultiFormat(Resource):
    """Something that there is in two formats."""

    ct = f"{TEXT} {XML}"

    async def render_get(self, request: Message) -> Message:
        if request.opt.accept == XML:
            return Message(payload=b"<hello/>", content_format=XML)
        return Message(payload=b"hello", content_format=TEXT)


class LocationQuery(Resource):
    """What creates things that are told apart by queries."""

    async def render_post(self, request: Message) -> Message:
        return Message(code=CREATED, location_query=("first=1", "second=2"))


class LargeCreate(Resource):
    """What puts each body that it gets at a place of its own."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site
        self._count = 0

    async def render_post(self, request: Message) -> Message:
        self._count += 1
        path = ("large-create", str(self._count))
        created = Store()
        created.store(request.payload, request.opt.content_format)
        self._site.add_resource(path, created)
        return Message(code=CREATED, location_path=path)


class LargePost(Resource):
    """What answers a large body with another."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def render_post(self, request: Message) -> Message:
        self.count += 1
        return Message(code=CHANGED, payload=request.payload[::-1], content_format=TEXT)


class Observed(ObservableResource):
    """What changes as often as somebody says."""

    def __init__(self, value: bytes) -> None:
        super().__init__()
        self.value = value

    def store(self, value: bytes) -> None:
        """Have another value."""
        self.value = value
        self.updated_state()

    async def render_get(self, request: Message) -> Message:
        return Message(payload=self.value, content_format=TEXT)


class Described(Resource):
    """Something with attributes in the list of all resources.

    Args:
        attributes: Attributes by name.
    """

    def __init__(self, **attributes: str) -> None:
        super().__init__()
        self._attributes = attributes

    def get_link_description(self) -> dict[str, Any]:
        return dict(self._attributes)

    async def render_get(self, request: Message) -> Message:
        return Message(code=CONTENT, payload=b"/" + "/".join(request.full_path).encode())


class Unlisted(Described):
    """Something that only another resource tells of."""

    def get_link_description(self) -> None:  # type: ignore[override]
        return None


class Collection(Resource):
    """What lists what is below it.

    Args:
        links: The links.
    """

    ct = str(LINKS)

    def __init__(self, links: Any) -> None:
        super().__init__()
        self._links = links

    async def render_get(self, request: Message) -> Message:
        return link_format_to_message(request, self._links)


def plugtest_site() -> Site:
    """Return the site for the cases CORE and BLOCK."""
    site = Site()
    site.add_resource(["test"], Factory(site))
    site.add_resource(["separate"], Slow(b"it took a while"))
    site.add_resource(["seg1", "seg2", "seg3"], Store(b"three segments deep"))
    site.add_resource(["query"], Query())
    site.add_resource(["location-query"], LocationQuery())
    site.add_resource(["multi-format"], MultiFormat())
    site.add_resource(["validate"], Store(b"valid"))
    site.add_resource(["create1"], Store())
    site.add_resource(["large"], Store(LARGE))
    site.add_resource(["large-update"], Store(b"small"))
    site.add_resource(["large-create"], LargeCreate(site))
    site.add_resource(["large-post"], LargePost())
    site.add_resource(["obs"], Observed(b"0"))
    return site

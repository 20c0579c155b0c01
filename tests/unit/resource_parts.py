"""What the tests of resources and of sites are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiocoap import interfaces
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.resource import (
    ObservableResource,
    PathCapable,
    Resource,
    Site,
)

METHODS = {
    Code.GET: ("render_get", Code.CONTENT),
    Code.POST: ("render_post", Code.CHANGED),
    Code.PUT: ("render_put", Code.CHANGED),
    Code.DELETE: ("render_delete", Code.DELETED),
    Code.FETCH: ("render_fetch", Code.CONTENT),
    Code.PATCH: ("render_patch", Code.CHANGED),
    Code.iPATCH: ("render_ipatch", Code.CHANGED),
}


def message(code: int, path: str = "", **kwargs: Any) -> Message:
    return Message(code=code, uri="coap://[2001:db8::1]" + path, **kwargs)


def get(path: str = "", **kwargs: Any) -> Message:
    return message(Code.GET, path, **kwargs)


class Named(Resource):
    """Tells who it is, and what it saw of the path."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    async def render_get(self, request: Message) -> Message:
        seen = "/" + "/".join(request.opt.uri_path)
        full = "/" + "/".join(request.full_path)
        return Message(payload=f"{self.name} {seen} {full}".encode())


class CatchAll(Named, PathCapable):
    """The same for a whole tree."""


class Observation(interfaces.ServerObservation):
    """An observation that writes down what happens to it."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.sent: list[Message | None] = []
        self.end: Callable[[], object] | None = None

    def accept(self, cancellation_callback: Callable[[], object]) -> None:
        self.end = cancellation_callback

    def deregister(self, reason: str | None = None) -> None:
        assert self.end is not None
        self.end()

    def trigger(self, response: Message | None = None, *, is_last: bool = False) -> None:
        if self.fails:
            raise RuntimeError("the network is gone")
        self.sent.append(response)
        if response is not None and not response.code.is_successful():
            self.deregister()


class Counting(ObservableResource):
    """Writes down how many observe it."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def update_observation_count(self, newcount: int) -> None:
        self.counts.append(newcount)


def build() -> Site:
    """A site with all there can be in one."""
    batch = Site()
    batch.add_resource([], Named("batch root"))
    batch.add_resource(["light1"], Named("light1"))
    batch.add_resource(["deep", "er"], Named("deeper"))
    site = Site()
    site.add_resource([], Named("root"))
    site.add_resource(["a b"], Named("blank"))
    site.add_resource(["dir", ""], Named("directory"))
    site.add_resource(["batch"], batch)
    site.add_resource(["files"], CatchAll("files"))
    site.add_resource(["files"], Named("plain files"))
    site.add_resource(["files", "more", "of"], CatchAll("more"))
    return site

"""The tree that resources hang in.

Here lives :class:`Site`, which tells resources apart by their paths.

The room knows of a resource only that it answers requests, and may describe itself.

RFC 7252 section 5.10.1 (paths), RFC 7641 section 4.1 (observers), RFC 6690 section 4 (discovery).

The way through a site is by dictionaries, one look-up for a path and one per possible length of
a catch-all's path; the resource sees what is left of the path::

    Site    ["batch"]  Site    ["light1"]  Resource      answers /batch/light1, sees ()
                               []          Resource      answers /batch/,       sees ()
            ["files"]  PathCapable                       answers /files/a/b,    sees ("a", "b")
            ["files"]  Resource                          answers /files,        sees ()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import error, interfaces
from .message import Message
from .numbers.codes import Code
from .optiontypes import NO_RESPONSE_AT_ALL
from .util.uri import quote_factory, sub_delims, unreserved

if TYPE_CHECKING:
    from .util.linkformat import LinkFormat

__all__ = ["PathCapable", "Site"]


class PathCapable:
    """What can be put into a site and answers for all paths below its own (stable).

    It is asked for what no resource of its own path in the site answers, and finds the rest of
    the path in ``request.opt.uri_path``.  Of several, the one with the longest path is asked.
    """


class Site(interfaces.ObservableResource, PathCapable):
    """Resources, told apart by their paths (stable).

    >>> from aiocoap.resource import Resource
    >>> site = Site()
    >>> site.add_resource(["hello"], Resource())

    answers at ``/hello``.  Sites can be put into sites::

    >>> batch = Site()
    >>> batch.add_resource(["light1"], Resource())
    >>> batch.add_resource([], Resource())
    >>> site.add_resource(["batch"], batch)

    answers at ``/batch/light1`` and ``/batch/``, and not at ``/batch``, where another resource
    can be put.

    A resource sees the path that is left for it, which is none unless it is
    :class:`PathCapable`; ``request.full_path`` is the whole path, and
    ``request.get_request_uri()`` the whole URI.

    Subclasses may override :meth:`render`, :meth:`needs_blockwise_assembly` and
    :meth:`add_observation` to stand in the way of all requests; as long as none of them is
    overridden, requests go to the resource in question directly.

    RFC 7252 section 5.10.1, RFC 7641 section 4.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._resources: dict[tuple[str, ...], interfaces.Resource] = {}
        self._subsites: dict[tuple[str, ...], interfaces.Resource] = {}
        # Number of segments of the longest path in there.
        self._depth = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        overridden = any(getattr(cls, name) is not getattr(Site, name) for name in _OVERRIDABLE)
        if overridden and cls.resolve is Site.resolve:
            # Whoever stands in the way must not be gone around.
            cls.resolve = interfaces.Resource.resolve  # type: ignore[method-assign]

    def resolve(self, request: Message) -> tuple[interfaces.Resource, Message]:
        """Return the resource that a request is for, and the request as that one sees it.

        Args:
            request: The request.

        Raises:
            NoResource: There is none.
        """
        path = request.opt.uri_path
        child = self._resources.get(path)
        if child is not None:
            return child.resolve(request.below(len(path), path))
        # The path of a catch-all is followed by a slash in any case, which at the root goes
        # without saying.
        for depth in range(min(len(path) - 1, self._depth) if path else 0, -1, -1):
            child = self._subsites.get(path[:depth])
            if child is not None:
                # Nothing after the slash is the child's own root.
                taken = depth + 1 if path[depth:] == ("",) else depth
                return child.resolve(request.below(taken, path))
        raise error.NoResource

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        """Ask the resource that a request is for whether the library handles blocks.

        Args:
            request: The request, possibly one of several blocks.
        """
        try:
            child, seen = Site.resolve(self, request)
        except error.NoResource:
            return True
        return await child.needs_blockwise_assembly(seen)

    async def render(self, request: Message) -> Message:
        """Return the response of the resource that a request is for.

        Args:
            request: The request.

        Raises:
            NoResource: There is none.
            Exception: Whatever the resource raises.
        """
        child, seen = Site.resolve(self, request)
        remote = request.remote
        if child.multicast is False and remote is not None and remote.is_multicast_locally:
            return Message(code=Code.NOT_FOUND, no_response=NO_RESPONSE_AT_ALL)
        return await child.render(seen)

    async def add_observation(
        self, request: Message, serverobservation: interfaces.ServerObservation
    ) -> None:
        """Hand an observation to the resource that it is for, if that can be observed.

        Args:
            request: The request that asks for the observation.
            serverobservation: The observation.
        """
        try:
            child, seen = Site.resolve(self, request)
        except error.NoResource:
            return
        if isinstance(child, interfaces.ObservableResource):
            await child.add_observation(seen, serverobservation)

    def add_resource(self, path: Sequence[str], resource: interfaces.Resource) -> None:
        """Put a resource at a path, in place of what was there.

        Args:
            path: Segments of the path: ``["a", "b"]`` for ``/a/b``, ``["a", ""]`` for ``/a/``,
                ``[]`` for the root.  That of a site should not end with an empty one.
            resource: The resource, or another site.

        Raises:
            ValueError: The path is no sequence of texts.
            TypeError: There is no resource there, but its class for example.
        """
        key = _path(path)
        if not isinstance(resource, interfaces.Resource):
            raise TypeError(f"{resource!r} is no resource (an object is needed, not its class)")
        if isinstance(resource, PathCapable):
            self._subsites[key] = resource
            self._depth = max(self._depth, len(key))
        else:
            self._resources[key] = resource

    def remove_resource(self, path: Sequence[str]) -> None:
        """Take a resource away; if there is a site at the same path too, that one stays.

        Args:
            path: Segments of the path.

        Raises:
            KeyError: There is nothing at the path.
            ValueError: The path is no sequence of texts.
        """
        key = _path(path)
        if key in self._resources:
            del self._resources[key]
        else:
            del self._subsites[key]

    def get_resources_as_linkheader(self) -> LinkFormat:
        """Return links to all resources, those in nested sites included.

        Raises:
            ImportError: The package LinkHeader is missing.

        RFC 6690 section 4.
        """
        from .util.linkformat import Link, LinkFormat

        links = []
        for path, resource in self._resources.items():
            description = _description(resource)
            if description is not None:
                links.append(Link(_reference(path), description.items()))
        for path, subsite in self._subsites.items():
            list_resources = getattr(subsite, "get_resources_as_linkheader", None)
            if list_resources is None:
                description = _description(subsite)
                if description is not None:
                    links.append(Link(_reference((*path, "")), description.items()))
                continue
            prefix = _reference(path) if path else ""
            for link in list_resources().links:
                # What is somewhere else stays there.
                href = prefix + link.href if link.href.startswith("/") else link.href
                links.append(Link(href, link.attr_pairs))
        return LinkFormat(links)


_OVERRIDABLE = ("render", "needs_blockwise_assembly", "add_observation", "render_to_pipe")

_quote = quote_factory(unreserved + sub_delims + ":@")


def _path(path: Sequence[str]) -> tuple[str, ...]:
    """Return a path as the key it is known by.

    Raises:
        ValueError: It is no sequence of texts.
    """
    if isinstance(path, str):
        segments = path.removeprefix("/").split("/") if path.strip("/") else []
        raise ValueError(f"a path is a sequence of segments: write {segments} for {path!r}")
    key = tuple(path)
    if not all(isinstance(segment, str) for segment in key):
        raise ValueError(f"{path!r} is no sequence of texts")
    return key


def _reference(path: tuple[str, ...]) -> str:
    """Return a path as the reference in a link.

    RFC 7252 section 6.5.
    """
    return "".join(["/" + _quote(segment) for segment in path]) or "/"


def _description(resource: interfaces.Resource) -> dict[str, Any] | None:
    """Return the attributes of the link to a resource, or None if it wants none."""
    describe = getattr(resource, "get_link_description", None)
    return {} if describe is None else describe()

"""What a server serves: resources, and the tree that they hang in.

Here live the base classes of applications' resources, and the list of them at
``/.well-known/core``.  A resource is the place of one thing that a URI names: a class with a
coroutine method for every method of CoAP that it knows.  (:class:`Site`, which tells them apart by
path, is at home in a room of its own.)

The room knows no transport, no token and no block; who asks and how the answer gets there is
decided by :mod:`aiocoap.responder`.

RFC 7252 sections 5.8 (methods), 5.10.3 to 5.10.8 (formats and conditions), RFC 7641 section 4.1
(observers), RFC 6690 sections 4 and 4.1 (discovery), RFC 8132.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from hashlib import sha1
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from . import error, interfaces, meta
from ._site import PathCapable, Site
from .message import Message
from .numbers.codes import Code
from .numbers.optionnumbers import OptionNumber
from .optiontypes import NO_RESPONSE_AT_ALL

if TYPE_CHECKING:
    pass

__all__ = [
    "Message",
    "ObservableResource",
    "PathCapable",
    "Resource",
    "Site",
    "WKCResource",
    "hashing_etag",
    "link_format_to_message",
]

_log = logging.getLogger("coap-server.resource")

_ACCEPT, _CONTENT_FORMAT = int(OptionNumber.ACCEPT), int(OptionNumber.CONTENT_FORMAT)
_FORMATS = frozenset((_ACCEPT, _CONTENT_FORMAT))
_NO_RESPONSE = int(OptionNumber.NO_RESPONSE)
_IF_MATCH, _IF_NONE_MATCH = int(OptionNumber.IF_MATCH), int(OptionNumber.IF_NONE_MATCH)

# For each method: who renders it, and the code of a response that has none.
_METHODS: dict[int, tuple[str, Code]] = {
    Code.GET: ("render_get", Code.CONTENT),
    Code.POST: ("render_post", Code.CHANGED),
    Code.PUT: ("render_put", Code.CHANGED),
    Code.DELETE: ("render_delete", Code.DELETED),
    Code.FETCH: ("render_fetch", Code.CONTENT),
    Code.PATCH: ("render_patch", Code.CHANGED),
    Code.iPATCH: ("render_ipatch", Code.CHANGED),
}
_READING = (Code.GET, Code.FETCH)

_NEEDED = 'needs the package LinkHeader: pip install "aiocoap[linkheader]"'


def _code(message: Message) -> Code | None:
    """Return a message's code, which is missing in a response that is yet to be completed."""
    return message.code


def hashing_etag(request: Message, response: Message) -> None:
    r"""Give a response the hash of its payload as ETag, and spare the payload if it is known.

    It acts on 2.05 responses and on those to a GET that have no code yet; call it on anything
    that a render method is about to return.

    >>> from aiocoap.numbers.codes import CONTENT, GET
    >>> hello = b"\xaa\xf4\xc6\x1d\xdc\xc5\xe8\xa2"
    >>> response = Message(code=CONTENT, payload=b"hello")
    >>> hashing_etag(Message(code=GET, etags=[hello]), response)
    >>> response
    <aiocoap.Message at ... 2.03 Valid ... 1 option(s)>

    Args:
        request: The request; its ETags are what the client knows.
        response: Its response; it is changed.

    RFC 7252 section 5.10.6 (the tag: the first 8 bytes of the payload's SHA-1).
    """
    code = _code(response)
    if code != Code.CONTENT and not (code is None and request.code == Code.GET):
        return
    etag = sha1(response.payload, usedforsecurity=False).digest()[:8]
    response.opt.etag = etag
    if etag in request.opt.etags:
        response.code = Code.VALID
        response.payload = b""


class _ExposesWellknownAttributes:
    """What describes itself in ``/.well-known/core`` by its attributes."""

    # Any, not an optional dictionary: overriding it in both documented ways has to type-check.
    def get_link_description(self) -> Any:
        """Return the attributes of the link to the resource.

        These are the resource's ``ct`` (content formats), ``rt`` (resource types) and ``if_``
        (interface descriptions, ``if`` in the link), where it has them.  Override it to tell
        more.

        Returns:
            Values by names; None as a value stands for an attribute without one.  None instead
            of a dictionary keeps the resource off the list.

        RFC 6690 section 3.
        """
        described = (("ct", "ct"), ("rt", "rt"), ("if", "if_"))
        values = ((name, getattr(self, own, None)) for name, own in described)
        return {name: value for name, value in values if value is not None}


class Resource(_ExposesWellknownAttributes, interfaces.Resource):
    """A resource that has a coroutine method for each method it knows (stable).

    Derive from it, and write any of ``render_get``, ``render_post``, ``render_put``,
    ``render_delete``, ``render_fetch``, ``render_patch`` and ``render_ipatch``.  Each takes the
    request and returns the response, or raises a :class:`aiocoap.error.RenderableError`.  A
    response without a code is taken for a success (2.05 to GET and FETCH, 2.02 to DELETE, 2.04
    to everything else).

    A resource that says what it has is spared requests that do not fit:

    ``ct``
        Content formats of its representations: a number, a text like ``"40 64 504"`` as in its
        link, or a sequence of numbers.  GET and FETCH that do not accept any of them get 4.06;
        the others find in ``request.opt.accept`` what to choose.
    ``accepted_formats``
        Numbers of the content formats that it takes.  Requests with a payload of another get
        4.15; whether one without Content-Format makes sense is left to the method.
    ``get_etag``
        A coroutine function that takes a request, and returns the ETag of the present
        representation (another for each format), ``b""`` if that has none, or None if there is
        nothing to represent.  If-Match and If-None-Match are judged by it, 4.12 if they fail.
        To a GET that knows the present ETag the answer is 2.03 without asking ``render_get``;
        other 2.05 responses to GET get the ETag unless they have one.

    Where an attribute is left out, its options are left to the methods; what a GET or FETCH returns
    in another Content-Format than the accepted one is not sent, the client gets 4.06 (but from a
    resource that acts on all options by itself, see ``handled_options``).

    ``multicast`` says what becomes of requests that came by multicast.  They are answered at a
    random moment within ``TransportTuning.DEFAULT_LEISURE`` unless the response is an error.
    True has errors answered as well; False keeps such requests off, which suits whatever a single
    datagram should not set going everywhere (RFC 7252 section 11.3).

    RFC 7252 sections 5.8, 5.9, 5.10.3 to 5.10.8, RFC 8132.
    """

    ct: Any
    rt: Any
    if_: Any

    accepted_formats: Collection[int] | None = None
    """Numbers of the content formats of request payloads; None leaves them to the methods."""

    get_etag: Callable[[Message], Awaitable[bytes | None]] | None = None
    """Coroutine function for the present ETag; None leaves conditions to the methods."""

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        """Whether the library handles blocks, which it does unless this is overridden.

        Args:
            request: The request, possibly one of several blocks.
        """
        return True

    async def render(self, request: Message) -> Message:
        """Return what the method for the request's code returns.

        Args:
            request: The request.

        Raises:
            UnsupportedMethod: There is no method of that code in CoAP.
            UnallowedMethod: This resource has none for it.
            NotAcceptable: It has no representation of the format asked for.
            UnsupportedContentFormat: It does not take payloads of that format.
            PreconditionFailed: It is not in the state that the request is meant for.
            Exception: Whatever its method raises.

        RFC 7252 section 5.8, RFC 7967 section 2 (what the client does not want to hear of).
        """
        method = _METHODS.get(request.code)
        if method is None:
            raise error.UnsupportedMethod
        name, code = method
        handler = getattr(self, name, None)
        if handler is None:
            raise error.UnallowedMethod
        opt = request.opt
        has_options = not opt.is_empty
        if has_options and opt.has_any(_FORMATS):
            self._check_formats(request)
        etag = None
        if self.get_etag is not None:
            etag = await self._check_conditions(request)
            if etag and etag in opt.etags:
                return Message(code=Code.VALID, etag=etag)
        response: Any = await handler(request)
        is_message = isinstance(response, Message)
        if not is_message:
            # NoResponse has its meaning; whatever else it is, the responder says so.
            return response  # type: ignore[no-any-return]
        if response.code is None:
            response.code = code
        if etag and response.code == Code.CONTENT and response.opt.etag is None:
            response.opt.etag = etag
        if has_options and _ACCEPT in opt and self.handled_options is not None:
            _check_accepted(request, response)
        if has_options and _NO_RESPONSE in opt and _NO_RESPONSE not in response.opt:
            # On a copy: a resource may return the same response to the next client.
            response = response.copy(no_response=opt.no_response)
        return response  # type: ignore[no-any-return]

    def _check_formats(self, request: Message) -> None:
        """Refuse formats that the resource says it does not have.

        Raises:
            NotAcceptable: It has no representation of the format asked for.
            UnsupportedContentFormat: It does not take payloads of that format.

        RFC 7252 sections 5.10.3 and 5.10.4.
        """
        opt = request.opt
        content_format = opt.content_format
        if (
            content_format is not None
            and self.accepted_formats is not None
            and content_format not in self.accepted_formats
        ):
            raise error.UnsupportedContentFormat
        accept = opt.accept
        if accept is not None and request.code in _READING:
            offered = getattr(self, "ct", None)
            if offered is not None and int(accept) not in _numbers(offered):
                raise error.NotAcceptable

    async def _check_conditions(self, request: Message) -> bytes | None:
        """Return the present ETag of a resource that knows it, if the request is about that.

        Raises:
            PreconditionFailed: The resource is not in the state that the request is meant for.

        RFC 7252 section 5.10.8.
        """
        assert self.get_etag is not None  # checked by render, which knows most have none
        opt = request.opt
        unwanted, wanted = _IF_NONE_MATCH in opt, _IF_MATCH in opt
        if not unwanted and not wanted and request.code != Code.GET:
            return None
        etag = await self.get_etag(request)
        if unwanted and etag is not None:
            raise error.PreconditionFailed
        if wanted and (etag is None or not {b"", etag}.intersection(opt.if_match)):
            raise error.PreconditionFailed
        return etag if request.code == Code.GET else None


def _check_accepted(request: Message, response: Message) -> None:
    """Refuse to give a client a format that it has not asked for.

    Raises:
        NotAcceptable: The response says that it is in another one.

    RFC 7252 section 5.10.4.
    """
    if request.code in _READING and response.code == Code.CONTENT:
        accept, content_format = request.opt.accept, response.opt.content_format
        if accept is not None and content_format is not None and accept != content_format:
            raise error.NotAcceptable


def _numbers(formats: Any) -> list[int]:
    """Return the numbers in what a resource has as ``ct``."""
    if isinstance(formats, int):
        return [formats]
    if isinstance(formats, str):
        return [int(number) for number in formats.split() if number.isdecimal()]
    return [number for item in formats for number in _numbers(item)]


class _Leaving:
    """What happens when an observation has ended; a partial function would take more memory."""

    __slots__ = ("_observation", "_resource")

    def __init__(
        self, resource: ObservableResource, observation: interfaces.ServerObservation
    ) -> None:
        self._resource = resource
        self._observation = observation

    def __call__(self) -> None:
        self._resource._forget(self._observation)


class ObservableResource(Resource, interfaces.ObservableResource):
    """A resource that tells its observers when it has changed (stable).

    Call :meth:`updated_state` after each change; everything else happens by itself.  Classes
    with an ``__init__`` of their own call ``super().__init__()`` there.

    To notify one observer alone, look it up in :attr:`observations` and call its ``trigger()``.

    RFC 7641 section 4.
    """

    def __init__(self) -> None:
        super().__init__()
        # In the order of registration.  The observation keeps the request in any case.
        self._observations: dict[interfaces.ServerObservation, Message] = {}

    @property
    def observations(self) -> dict[interfaces.ServerObservation, Message]:
        """The observations under way, and the request that each began with.

        It is a copy; their :meth:`aiocoap.interfaces.ServerObservation.trigger` and
        ``deregister`` may be called while going through it.
        """
        return self._observations.copy()

    async def add_observation(
        self, request: Message, serverobservation: interfaces.ServerObservation
    ) -> None:
        """Take up an observation.

        Override it, and do not call this one, to refuse observations; the request is answered
        all the same.

        Args:
            request: The request that asks for the observation.
            serverobservation: The observation.
        """
        self._observations[serverobservation] = request
        serverobservation.accept(_Leaving(self, serverobservation))
        self._count()

    def _forget(self, observation: interfaces.ServerObservation) -> None:
        """Take note that an observation has ended."""
        if self._observations.pop(observation, None) is not None:
            self._count()

    def _count(self) -> None:
        """Tell the subclass; what it makes of it does not concern the observers."""
        try:
            self.update_observation_count(len(self._observations))
        except Exception:
            _log.exception("%r failed to take note of its observers", self)

    def update_observation_count(self, newcount: int) -> None:
        """Take note that the number of observers has changed; there to be overridden.

        Args:
            newcount: How many there are now.
        """

    def updated_state(self, response: Message | None = None) -> None:
        """Notify all observers of a change.  Call it from the thread of the event loop.

        Args:
            response: What to tell every one of them, taken for a 2.05 if it has no code; an
                unsuccessful one ends the observations.  None renders the request of each anew.

        RFC 7641 section 4.2.
        """
        if response is not None and _code(response) is None:
            response.code = Code.CONTENT
        for observation in list(self._observations):
            try:
                # Each is sent with a token of its own.
                observation.trigger(None if response is None else response.copy())
            except Exception:
                _log.exception("An observer of %r could not be notified", self)

    def get_link_description(self) -> Any:
        """Return the attributes of the link to the resource, ``obs`` among them.

        RFC 7641 section 6.
        """
        description = super().get_link_description()
        return None if description is None else {"obs": None, **description}


def link_format_to_message(request: Message, linkformat: Any, default_ct: int = 40) -> Message:
    """Return links as a response, in the format that a request accepts.

    There are 40 (``application/link-format``), and 64 and 504 for the forms in CBOR and JSON
    that draft-ietf-core-links-json proposed.  The draft was given up, and 64 has been assigned
    to something else since; clients that ask for it here mean links.

    Args:
        request: The request.
        linkformat: The links, a LinkFormat; references in them fit for the place where they appear.
        default_ct: Format to use when the request has no Accept.

    Returns:
        A 2.05, or a 4.06 where the format is none of the three (or 64, and the package cbor2 is
        missing).

    RFC 6690 section 2, RFC 7252 section 5.10.4.
    """
    from .util.linkformat import LinkFormat

    if not isinstance(linkformat, LinkFormat):
        linkformat = LinkFormat(linkformat.links)
    accept = request.opt.accept
    content_format = default_ct if accept is None else int(accept)
    try:
        if content_format == 40:
            payload = str(linkformat).encode()
        elif content_format == 64:
            payload = linkformat.as_cbor_bytes()
        elif content_format == 504:
            payload = linkformat.as_json_string().encode()
        else:
            return Message(code=Code.NOT_ACCEPTABLE)
    except ImportError:
        return Message(code=Code.NOT_ACCEPTABLE)
    return Message(code=Code.CONTENT, payload=payload, content_format=content_format)


class WKCResource(Resource):
    """The list of a server's resources, to be put at ``/.well-known/core`` (stable).

    Query arguments filter the list; of several, each has to match.  It needs the package
    LinkHeader (``pip install "aiocoap[linkheader]"``); without, the answer is 5.00, and the log
    says so when the resource is made.

    Args:
        listgenerator: Function that returns the links, such as
            :meth:`Site.get_resources_as_linkheader`; called for each request.
        impl_info: URI that tells what the server is, listed with the relation ``impl-info``;
            None leaves it out.

    RFC 6690 sections 4 and 4.1, draft-bormann-t2trg-rel-impl.
    """

    ct = "40 64 504"

    def __init__(
        self, listgenerator: Callable[[], Any], impl_info: str | None = meta.library_uri
    ) -> None:
        super().__init__()
        self._listgenerator = listgenerator
        self._impl_info = impl_info
        if find_spec("link_header") is None:
            _log.warning("The list of resources %s", _NEEDED)

    async def render_get(self, request: Message) -> Message:
        """Return the list, or that part of it that the query asks for.

        Args:
            request: The request.

        Raises:
            BadRequest: A query argument is not of the form ``name=value``.
            InternalServerError: The package LinkHeader is missing.

        RFC 6690 section 4.1.
        """
        queries = request.opt.uri_query
        for query in queries:
            if not query.partition("=")[1]:
                raise error.BadRequest(f"{query} is no filter: write name=value or name=prefix*")
        try:
            from .util.linkformat import Link, LinkFormat, matches

            links = list(self._listgenerator().links)
        except ImportError as problem:
            raise error.InternalServerError(f"The list of resources {_NEEDED}") from problem
        if self._impl_info is not None:
            links.append(Link(self._impl_info, rel="impl-info"))
        links = [link for link in links if all(matches(link, query) for query in queries)]
        response = link_format_to_message(request, LinkFormat(links))
        remote = request.remote
        is_group = remote is not None and remote.is_multicast_locally
        if not links and is_group and _NO_RESPONSE not in request.opt:
            # All servers in the group would answer that they have nothing (section 4.1), unless
            # the client says what it wants to hear of (RFC 7967 section 2.1).
            response.opt.no_response = NO_RESPONSE_AT_ALL
        return response

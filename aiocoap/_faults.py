"""The exceptions that can be told without a message.

Here live the errors that a request can end in and that need no
:class:`~aiocoap.message.Message` to exist: network trouble, timeouts, protocol
violations of the peer, bad input of the user.

The room knows plain Python only; :mod:`aiocoap.error` re-exports every name and
adds the errors that can be rendered into a CoAP response.

RFC 7252 sections 4 and 5, RFC 7641, RFC 7959.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "AnonymousHost",
    "ConRetransmitsExceeded",
    "ConToMulticast",
    "Error",
    "HelpfulError",
    "IncompleteUrlError",
    "LibraryShutdown",
    "MalformedUrlError",
    "MessageError",
    "MissingBlock2Option",
    "MissingRemoteError",
    "NetworkError",
    "NoRequestInterface",
    "NotImplemented",
    "NotObservable",
    "ObservationCancelled",
    "RemoteServerShutdown",
    "RequestTimedOut",
    "ResolutionError",
    "ResourceChanged",
    "TimeoutError",
    "UnexpectedBlock1Option",
    "UnexpectedBlock2",
    "UnparsableMessage",
    "WaitingForClientTimedOut",
]


class Error(Exception):
    """Base of everything that a failed request raises."""

    _default_text = ""
    # What it says where whoever raises it says nothing; if that is empty, its name.

    def __str__(self) -> str:
        return super().__str__() or self._default_text or type(self).__name__


class HelpfulError(Error):
    """An error that can tell a person what to try next."""

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest the next step.

        Args:
            hints: Facts that the caller has and the error may lack, by name; ``original_uri``
                (text), ``request`` (a Message) and ``config`` are used where given.

        Returns:
            One or two sentences of plain text, or None where nothing useful can be said.
        """
        return None


class NetworkError(HelpfulError):
    """Name resolution, sending or receiving went wrong.

    The operating system's exception is chained as ``__cause__`` where there is one.
    """

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest to check that a server runs at the address."""
        if isinstance(self.__cause__, ConnectionRefusedError):
            return "The host is up, but no CoAP server listens on that port: check port and scheme."
        return "Check the address, the route to it, and that a server is running there."


class ResolutionError(NetworkError):
    """The host part of a URI could not be turned into a usable address."""

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest to check the spelling and the name service."""
        return "Check the spelling of the host name, or give the address itself."


class MessageError(NetworkError):
    """The peer rejected a message with a Reset.

    RFC 7252 section 4.2.
    """

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest that the peer has lost its state or serves no requests."""
        return "The peer rejected the message: it may have restarted, or not be a CoAP server."


class RemoteServerShutdown(NetworkError):
    """The peer closed the connection that the request was sent on."""


class TimeoutError(NetworkError):
    """No answer came within the time that the protocol waits for one."""

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest to look at reachability and packet filters."""
        return "Check the address, firewalls on the way, and that the server is running."


class RequestTimedOut(TimeoutError):
    """No response came to a request: within ``REQUEST_TIMEOUT``, or no acknowledgement at all."""


class ConRetransmitsExceeded(RequestTimedOut):
    """A confirmable message was retransmitted to the end and never acknowledged.

    It is a special case of :class:`RequestTimedOut`, the only timeout error that older programs
    know to catch.

    RFC 7252 section 4.2 (MAX_TRANSMIT_WAIT).
    """


class WaitingForClientTimedOut(Error):
    """A client began a blockwise transfer and never went on with it."""


class NotImplemented(Error):
    """The request, or the response to it, asks for what the library can not do."""


class ResourceChanged(Error):
    """A resource changed while it was transferred in blocks, again and again.

    RFC 7959 section 2.4: blocks of different representations must not be mixed.
    """


class UnexpectedBlock1Option(Error):
    """A server acknowledged a block that was not sent.

    RFC 7959 section 2.3.
    """


class UnexpectedBlock2(Error):
    """A server answered with another block than the one asked for.

    RFC 7959 section 2.4.
    """


class MissingBlock2Option(Error):
    """A response in the middle of a blockwise transfer came without a Block2 option.

    RFC 7959 section 2.4.
    """


class NotObservable(Error):
    """The server answered, but did not take up the observation.

    RFC 7641 section 4.1.
    """

    _default_text = "the resource can not be observed"


class ObservationCancelled(Error):
    """The server ended an observation that it had accepted.

    RFC 7641 section 4.2.
    """

    _default_text = "the server ended the observation"


class UnparsableMessage(Error):
    """Bytes do not form a CoAP message: the one error that leaves a message decoder.

    RFC 7252 section 3.
    """


class LibraryShutdown(Error):
    """The context was shut down while the request was waiting."""

    _default_text = "the context was shut down"


class AnonymousHost(Error):
    """An address can not be named in a URI that would work for anybody else.

    This is so for the client side of a connection, which can not be connected to.
    """


class ConToMulticast(Error, ValueError):
    """A confirmable request was addressed to a multicast group.

    RFC 7252 section 8.1 forbids it.
    """

    _default_text = "confirmable messages can not be sent to multicast addresses"


class MissingRemoteError(HelpfulError, ValueError):
    """A request does not say where it goes."""

    def __str__(self) -> str:
        return "the request has no destination"

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest to give a URI."""
        return "Give the message a uri= when creating it, or set its remote."


class IncompleteUrlError(HelpfulError, ValueError):
    """A URI has no scheme or no host.

    RFC 7252 section 6.4 step 1.
    """

    _default_text = "the URI has no scheme or host"

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Show what a complete URI looks like."""
        return "A CoAP URI looks like coap://host.example/path?query."


class MalformedUrlError(HelpfulError, ValueError):
    """A URI can not be turned into a request.

    RFC 7252 section 6.4, RFC 3986.
    """

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Remind of the brackets around IPv6 addresses and of percent-encoding."""
        return (
            "A CoAP URI looks like coap://host.example/path?query; IPv6 addresses stand in "
            "brackets (coap://[2001:db8::1]/), other characters are percent-encoded."
        )


class NoRequestInterface(HelpfulError):
    """No transport of the context can take the request to where it should go."""

    _default_text = "no transport of this context serves the request's address"

    def extra_help(self, hints: Mapping[str, object] = {}) -> str | None:
        """Suggest to check the scheme and what is installed."""
        return (
            "Check the scheme of the URI; `python -m aiocoap.cli.defaults` lists the transports "
            "that this installation has."
        )


# Programs, their logs and their pickles know the errors by the module that users take them from.
for _name in __all__:
    globals()[_name].__module__ = "aiocoap.error"

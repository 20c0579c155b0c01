"""URIs taken apart into options, and put together again.

Here live two pure functions, one for each direction; messages call them.

The room knows text; no message, no socket and no name resolution.

RFC 7252 sections 6.4 and 6.5, RFC 8323 section 8, RFC 3986, RFC 6874.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ._faults import IncompleteUrlError, MalformedUrlError
from .util import hostportjoin, hostportsplit
from .util.uri import quote_factory, sub_delims, unreserved

__all__ = ["DEFAULT_PORTS", "DecomposedUri", "compose", "decompose", "is_ip_literal"]

DEFAULT_PORTS = {
    "coap": 5683,
    "coaps": 5684,
    "coap+tcp": 5683,
    "coaps+tcp": 5684,
    "coap+ws": 80,
    "coaps+ws": 443,
}
"""Default port of each scheme (RFC 7252 section 6, RFC 8323 section 8)."""

# Over TLS and WebSockets the host travels in SNI or in the Host header, which are the default
# of Uri-Host there (RFC 8323 section 8.5).
_HOST_IS_KNOWN = ("coaps+tcp", "coap+ws", "coaps+ws")

_PATTERN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):"
    r"(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?"
    r"(?P<fragment>#.*)?",
    re.DOTALL,
)
_ALLOWED = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")

# What can not stand in a host even when decoded: it would change what the rest of the URI means.
_NOT_IN_HOST = re.compile(r"[\x00-\x20/?#@:\[\]\\\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")

_quote_host = quote_factory(unreserved + sub_delims)
_quote_zone = quote_factory(unreserved)
_quote_segment = quote_factory(unreserved + sub_delims + ":@")
_quote_argument = quote_factory(unreserved + sub_delims.replace("&", "") + ":@/?")


class DecomposedUri(NamedTuple):
    """What a URI says about a request."""

    scheme: str
    """Lower case."""
    hostinfo: str
    """Destination as ``host[:port]``; the port is left out where it is the default."""
    uri_host: str | None
    """Value for Uri-Host; None where the destination's address or name says it already."""
    uri_path: tuple[str, ...]
    """Values for Uri-Path."""
    uri_query: tuple[str, ...]
    """Values for Uri-Query."""


def is_ip_literal(host: str) -> bool:
    """Whether a host (without brackets, perhaps with a zone) is an IP address.

    >>> is_ip_literal("192.0.2.1"), is_ip_literal("fe80::1%eth0"), is_ip_literal("192.0.2.01")
    (True, True, False)
    """
    if _IPV4.fullmatch(host):
        return True
    return ":" in host and _canonical_ipv6(host) is not None


def _canonical_ipv6(host: str) -> str | None:
    """Return an IPv6 address in the form of RFC 5952, its zone kept; None if it is none."""
    from ipaddress import IPv6Address

    address, percent, zone = host.partition("%")
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return None
    if (percent and not zone) or _NOT_IN_HOST.search(zone):
        return None
    # The standard library writes IPv4-mapped addresses in hexadecimal before Python 3.13.
    mapped = parsed.ipv4_mapped
    return (f"::ffff:{mapped}" if mapped else str(parsed)) + percent + zone


def _unquote(text: str, what: str, uri: str) -> str:
    """Decode percent-encoding once.

    Raises:
        MalformedUrlError: The bytes are no UTF-8.
    """
    if "%" not in text:
        return text
    raw = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text.encode())
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedUrlError(f"the {what} of {uri!r} is not UTF-8 when decoded") from None


def _without_dot_segments(path: str) -> list[str]:
    """Resolve ``.`` and ``..`` in a path that begins with a slash; return its segments.

    An encoded dot is a dot (RFC 3986 section 6.2.2.2), so that no Uri-Path can be one of the
    forbidden values (RFC 7252 section 5.10.1).
    """
    out: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        plain = segment.replace("%2E", ".").replace("%2e", ".")
        if plain == "..":
            del out[-1:]
        elif plain != ".":
            out.append(segment)
            continue
        if index == len(segments) - 1:
            out.append("")
    return out


def _split_authority(authority: str, uri: str) -> tuple[str, int | None]:
    """Return the host (decoded, canonical, lower case, no brackets) and the port.

    Raises:
        MalformedUrlError: It is no authority of a CoAP URI.
    """
    if "@" in authority:
        raise MalformedUrlError(f"{uri!r} has user information, which CoAP URIs can not carry")
    try:
        host, port = hostportsplit(authority)
    except ValueError as problem:
        raise MalformedUrlError(f"{uri!r}: {problem}") from None
    if not host:
        raise MalformedUrlError(f"{uri!r} has no host")
    if authority.startswith("["):
        # A zone begins with %25 (RFC 6874 section 2), or with a bare % as people type it.
        address, percent, zone = host.replace("%25", "%", 1).partition("%")
        canonical = _canonical_ipv6(address + percent + _unquote(zone, "zone", uri))
        if canonical is None:
            raise MalformedUrlError(f"{uri!r}: [{host}] is no IPv6 address")
        return canonical, port
    # Only ASCII has no case in a host (RFC 3986 section 3.2.2).
    host = _unquote(host, "host", uri).encode().lower().decode()
    if _NOT_IN_HOST.search(host):
        raise MalformedUrlError(f"{uri!r}: {host!r} is no host name")
    return host, port


def decompose(uri: str) -> DecomposedUri:
    """Take a URI apart into destination and option values.

    >>> decompose("coap://Sensor.example:61616/a%20b/?u=Cel")[1:]
    ('sensor.example:61616', 'sensor.example', ('a b', ''), ('u=Cel',))

    Args:
        uri: An absolute URI of one of the CoAP schemes.

    Returns:
        Scheme, destination and option values.

    Raises:
        IncompleteUrlError: The URI has no scheme or no authority.
        MalformedUrlError: It is no URI, or none that a request can be made from; the text
            names the part.

    RFC 7252 section 6.4.
    """
    match = _PATTERN.fullmatch(uri)
    if match is None:
        raise IncompleteUrlError(f"{uri!r} has no scheme")
    scheme = match["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        schemes = ", ".join(DEFAULT_PORTS)
        raise MalformedUrlError(f"{uri!r}: {scheme!r} is no CoAP scheme ({schemes})")
    authority = match["authority"]
    if authority is None:
        raise IncompleteUrlError(f"{uri!r} has no host (write {scheme}://host/path)")
    if match["fragment"] is not None:
        raise MalformedUrlError(f"{uri!r} has a fragment (#…), which can not be requested")
    # A zone identifier may come with a bare percent sign, as people type it.
    rest = uri[match.end("authority") :]
    if authority.startswith("["):
        checked = authority.replace("%25", "%", 1).replace("%", "", 1) + rest
    else:
        checked = authority + rest
    bad = _ALLOWED.match(checked)
    assert bad is not None  # the pattern matches the empty text
    if bad.end() != len(checked):
        raise MalformedUrlError(
            f"{uri!r}: {checked[bad.end() :][:3]!r} can not stand in a URI unless percent-encoded"
        )
    host, port = _split_authority(authority, uri)
    literal = is_ip_literal(host)
    path = match["path"]
    segments = [] if path in ("", "/") else _without_dot_segments(path)
    # Dots may resolve to the root, which has no Uri-Path (RFC 7252 section 6.4 step 8).
    uri_path = () if segments == [""] and path != "//" else tuple(segments)
    query = match["query"]
    decomposed = DecomposedUri(
        scheme,
        hostportjoin(host, None if port == DEFAULT_PORTS[scheme] else port),
        None if literal or scheme in _HOST_IS_KNOWN else host,
        tuple(_unquote(segment, "path", uri) for segment in uri_path),
        () if query is None else tuple(_unquote(a, "query", uri) for a in query.split("&")),
    )
    _check_lengths(decomposed, uri)
    return decomposed


def _check_lengths(decomposed: DecomposedUri, uri: str) -> None:
    """Refuse what the options can not carry.

    Raises:
        MalformedUrlError: A part is longer than 255 bytes.

    RFC 7252 section 5.10.
    """
    host, _ = hostportsplit(decomposed.hostinfo)
    for what, values in (
        ("host", (host,)),
        ("path segment", decomposed.uri_path),
        ("query argument", decomposed.uri_query),
    ):
        if any(len(value.encode()) > 255 for value in values):
            raise MalformedUrlError(f"{uri[:40]!r}…: a {what} is longer than 255 bytes")


def compose(
    scheme: str,
    hostinfo: str,
    uri_host: str | None,
    uri_port: int | None,
    uri_path: tuple[str, ...],
    uri_query: tuple[str, ...],
    proxy_scheme: str | None = None,
) -> str:
    """Put a URI together from a destination and option values.

    >>> compose("coap", "[2001:db8::1]:5683", None, None, ("a b",), ())
    'coap://[2001:db8::1]/a%20b'

    Args:
        scheme: Scheme of the request.
        hostinfo: Where the request goes, or came in at: ``host[:port]``.
        uri_host: Value of Uri-Host, or None.
        uri_port: Value of Uri-Port, or None.
        uri_path: Values of Uri-Path.
        uri_query: Values of Uri-Query.
        proxy_scheme: Value of Proxy-Scheme, or None.

    Returns:
        An absolute URI.

    Raises:
        MalformedUrlError: Uri-Host is neither a name nor an address, Proxy-Scheme no scheme, or
            the destination no ``host[:port]``.

    RFC 7252 section 6.5, section 5.10.2 (Proxy-Scheme).
    """
    try:
        host, port = hostportsplit(hostinfo)
    except ValueError as problem:
        raise MalformedUrlError(f"no URI can be made: {problem}") from None
    if uri_host is not None:
        host = _host_of_option(uri_host)
    elif ":" in host:
        host = _bracketed(_canonical_ipv6(host) or host)
    else:
        host = _quote_host(host)
    if uri_port is not None:
        port = uri_port
    if port == DEFAULT_PORTS.get(scheme):
        port = None
    path = "".join(["/" + _quote_segment(segment) for segment in uri_path]) or "/"
    query = "?" + "&".join([_quote_argument(argument) for argument in uri_query])
    if proxy_scheme is not None:
        if not _SCHEME.fullmatch(proxy_scheme):
            raise MalformedUrlError(f"Proxy-Scheme {proxy_scheme!r} is no scheme")
        # The scheme of the finished URI is replaced (section 5.10.2): ports are left out by the
        # defaults of the scheme that the request itself goes by.
        scheme = proxy_scheme
    return f"{scheme}://{hostportjoin(host, port)}{path}{query if uri_query else ''}"


def _bracketed(address: str) -> str:
    """Return an IPv6 address as the host of a URI.

    RFC 6874 section 2.
    """
    address, percent, zone = address.partition("%")
    return f"[{address}%25{_quote_zone(zone)}]" if percent else f"[{address}]"


def _host_of_option(uri_host: str) -> str:
    """Return the host for a URI from a Uri-Host value.

    Raises:
        MalformedUrlError: It is neither an address nor a name.
    """
    if uri_host.startswith("[") and uri_host.endswith("]"):
        canonical = _canonical_ipv6(uri_host[1:-1])
        if canonical is not None:
            return _bracketed(canonical)
    if not uri_host or _NOT_IN_HOST.search(uri_host):
        raise MalformedUrlError(f"Uri-Host {uri_host!r} is neither a host name nor an address")
    return _quote_host(uri_host)

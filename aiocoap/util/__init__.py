"""Small tools that are not about CoAP.

Here live the extensible enumeration that the number registries are made of, joining and
splitting of ``host:port``, and the sentinel.

The rooms below know text and numbers only.

RFC 3986 section 3.2 (authority).
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = [
    "ExtensibleEnumMeta",
    "ExtensibleIntEnum",
    "Sentinel",
    "hostportjoin",
    "hostportsplit",
    "member",
    "quote_nonascii",
]

_Enum = TypeVar("_Enum", bound="ExtensibleIntEnum")


def member(value: int) -> Any:
    """Mark a number in the body of an extensible enumeration.

    It returns the number itself; the name exists so that the annotation beside it
    (``GET: ClassVar[Code] = member(1)``) can tell what it becomes.
    """
    return value


class ExtensibleEnumMeta(type):
    """Metaclass of :class:`ExtensibleIntEnum`: turns numbers in the class body into members.

    Calling the class with a known number gives the one member; an unknown number gives a
    new nameless one, which is not kept: peers choose these numbers, and must not be able to
    grow a table.
    """

    _members: dict[int, Any]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        numbers = {
            key: value
            for key, value in namespace.items()
            if type(value) is int and not key.startswith("_")
        }
        rest = {key: value for key, value in namespace.items() if key not in numbers}
        cls = super().__new__(mcs, name, bases, rest)
        cls._members = {}
        for key, value in numbers.items():
            known = cls._members.get(value)
            if known is None:
                known = cls._members[value] = type.__call__(cls, value)
            # Where a number has several names, the last one in the registry is current.
            known._name = key
            setattr(cls, key, known)
        return cls

    def __call__(cls, value: Any) -> Any:
        known = cls._members.get(value)
        if known is not None:
            return known
        return super().__call__(value)

    def __iter__(cls) -> Any:
        return iter(cls._members.values())

    def __len__(cls) -> int:
        return len(cls._members)


class ExtensibleIntEnum(int, metaclass=ExtensibleEnumMeta):
    """Named numbers of a registry that others may extend.

    Unlike with :class:`enum.IntEnum`, any number is a legal value; ``name`` is
    ``"(unknown)"`` for one without an entry.  Members compare and hash as the numbers.
    """

    _name: str

    @property
    def name(self) -> str:
        """Name of the constant, or ``"(unknown)"``."""
        return getattr(self, "_name", "(unknown)")

    @property
    def value(self) -> int:
        """The plain number."""
        return int(self)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {int(self)} "{self.name}">'

    def __str__(self) -> str:
        return self.name if hasattr(self, "_name") else f"{type(self).__name__}({int(self)})"

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (int(self),)

    def __copy__(self: _Enum) -> _Enum:
        return self

    def __deepcopy__(self: _Enum, memo: object) -> _Enum:
        return self


def hostportjoin(host: str, port: int | None = None) -> str:
    """Join a host and a port into the authority component of a URI.

    >>> hostportjoin("coap.example", 61616)
    'coap.example:61616'
    >>> hostportjoin("2001:db8::7", 61616)
    '[2001:db8::7]:61616'
    >>> hostportjoin("[2001:db8::7]")
    '[2001:db8::7]'

    Args:
        host: Host name or address; an IPv6 address with or without brackets.
        port: 0 to 65535, or None to leave it out.

    Returns:
        ``host`` or ``host:port``, IPv6 addresses in brackets.
    """
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}"


def hostportsplit(hostport: str) -> tuple[str, int | None]:
    """Split the authority component of a URI.

    >>> hostportsplit("coap.example")
    ('coap.example', None)
    >>> hostportsplit("[fe80::7%eth1]:61616")
    ('fe80::7%eth1', 61616)

    Args:
        hostport: ``host`` or ``host:port``; IPv6 addresses in brackets.

    Returns:
        The host without brackets, and the port or None.

    Raises:
        ValueError: The port is no number from 0 to 65535, brackets do not match, or an
            IPv6 address stands without brackets.
    """
    host, colon, port = hostport, "", ""
    if hostport.startswith("["):
        host, bracket, rest = hostport[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"brackets do not match in {hostport!r}")
        colon, port = rest[:1], rest[1:]
    elif hostport.count(":") == 1:
        host, colon, port = hostport.partition(":")
    elif ":" in hostport or "]" in hostport:
        raise ValueError(f"{hostport!r}: an IPv6 address stands in brackets, like [2001:db8::1]")
    if not colon or not port:
        return host, None
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{port!r} is no port number (0 to 65535)")
    return host, int(port)


def quote_nonascii(s: str) -> str:
    """Percent-encode the characters of a text that are not ASCII, and nothing else.

    >>> quote_nonascii("/café?100%")
    '/caf%C3%A9?100%'

    Args:
        s: Any text.

    Returns:
        The text with every other character as its UTF-8 bytes, ``%XX`` each.
    """
    return "".join(
        c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode("utf8", "surrogatepass"))
        for c in s
    )


class Sentinel:
    """A unique value that is only good for ``is``.

    Args:
        label: What its repr shows.
    """

    __slots__ = ("_label",)

    def __init__(self, label: str) -> None:
        self._label = label

    def __repr__(self) -> str:
        return f"<{self._label}>"

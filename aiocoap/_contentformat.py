"""Content formats: what a payload is, as one number.

Here live the registry table and :class:`ContentFormat`, which :mod:`aiocoap.numbers.contentformat`
makes public.  It stands below that package because option values are made of content formats and
the table of option numbers is made of option values; so none of the three has to wait for another.

The room knows media types as text; what can be done with a payload is decided elsewhere.

RFC 7252 section 12.3 (and its erratum 4954: parameters and coding are part of the identity).
"""

from __future__ import annotations

from typing import ClassVar

from .util import ExtensibleIntEnum, member

__all__ = ["MEDIA_TYPES", "MEDIA_TYPES_REV", "ContentFormat"]

MEDIA_TYPES: dict[int, str] = {
    0: "text/plain; charset=utf-8",
    16: 'application/cose; cose-type="cose-encrypt0"',
    17: 'application/cose; cose-type="cose-mac0"',
    18: 'application/cose; cose-type="cose-sign1"',
    19: "application/ace+cbor",
    21: "image/gif",
    22: "image/jpeg",
    23: "image/png",
    40: "application/link-format",
    41: "application/xml",
    42: "application/octet-stream",
    47: "application/exi",
    50: "application/json",
    51: "application/json-patch+json",
    52: "application/merge-patch+json",
    60: "application/cbor",
    61: "application/cwt",
    62: "application/multipart-core",
    63: "application/cbor-seq",
    64: "application/edhoc+cbor-seq",
    65: "application/cid-edhoc+cbor-seq",
    96: 'application/cose; cose-type="cose-encrypt"',
    97: 'application/cose; cose-type="cose-mac"',
    98: 'application/cose; cose-type="cose-sign"',
    101: "application/cose-key",
    102: "application/cose-key-set",
    110: "application/senml+json",
    111: "application/sensml+json",
    112: "application/senml+cbor",
    113: "application/sensml+cbor",
    114: "application/senml-exi",
    115: "application/sensml-exi",
    140: "application/yang-data+cbor; id=sid",
    256: "application/coap-group+json",
    257: "application/concise-problem-details+cbor",
    258: "application/swid+cbor",
    259: "application/pkixcmp",
    260: "application/yang-sid+json",
    261: "application/ace-groupcomm+cbor",
    262: "application/ace-trl+cbor",
    263: "application/eat+cwt",
    264: "application/eat+jwt",
    265: "application/eat-bun+cbor",
    266: "application/eat-bun+json",
    267: "application/eat-ucs+cbor",
    268: "application/eat-ucs+json",
    269: "application/coap-eap",
    270: "application/suit-report+cose",
    271: "application/dots+cbor",
    272: "application/missing-blocks+cbor-seq",
    273: "application/cmw+cbor",
    274: "application/cmw+json",
    275: "application/cmw+cose",
    276: "application/cmw+jws",
    277: "application/scitt-statement+cose",
    278: "application/scitt-receipt+cose",
    279: "application/statuslist+cwt",
    280: "application/pkcs7-mime; smime-type=server-generated-key",
    281: "application/pkcs7-mime; smime-type=certs-only",
    284: "application/pkcs8",
    285: "application/csrattrs",
    286: "application/pkcs10",
    287: "application/pkix-cert",
    290: "application/aif+cbor",
    291: "application/aif+json",
    292: "application/aif+cbor; toid=CRI-local-part",
    293: "application/sd-cwt",
    294: "application/kb+cwt",
    295: "application/measured-component+cbor",
    296: "application/measured-component+json",
    297: "application/aif+cbor; toid=oscore-gname; tperm=oscore-gperm",
    298: "application/aif+json; toid=oscore-gname; tperm=oscore-gperm",
    310: "application/senml+xml",
    311: "application/sensml+xml",
    320: "application/senml-etch+json",
    322: "application/senml-etch+cbor",
    340: "application/yang-data+cbor",
    341: "application/yang-data+cbor; id=name",
    432: "application/td+json",
    433: "application/tm+json",
    434: "application/sdf+json",
    553: "application/dns-message",
    601: "application/uccs+cbor",
    836: "application/voucher+cose",
    10000: "application/vnd.ocf+cbor",
    10001: "application/oscore",
    10002: "application/javascript",
    10003: 'application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"',
    10004: 'application/eat+cwt; eat_profile="tag:psacertified.org,2019:psa#legacy"',
    10005: "application/eat+cwt; eat_profile=2.16.840.1.113741.1.16.1",
    10006: "application/vnd.oms.cellular-cose-content+cbor",
    10007: "application/syslog-msg",
    10570: "application/toc+cbor",
    10571: "application/ce+cbor",
    10572: "application/toc+cbor; profile=2.16.840.1.113741.1.16.1",
    10573: "application/ce+cbor; profile=2.16.840.1.113741.1.16.1",
    11542: "application/vnd.oma.lwm2m+tlv",
    11543: "application/vnd.oma.lwm2m+json",
    11544: "application/vnd.oma.lwm2m+cbor",
    20000: "text/css",
    20001: "application/vnd.as207960.vas.config+jer",
    20002: "application/vnd.as207960.vas.config+uper",
    20003: "application/vnd.as207960.vas.tap+jer",
    20004: "application/vnd.as207960.vas.tap+uper",
    30000: "image/svg+xml",
}
"""Media types, with their parameters, of the formats without a content coding, by number."""

_CODED: dict[int, tuple[str, str]] = {
    11050: ("application/json", "deflate"),
    11060: ("application/cbor", "deflate"),
    12000: ("text/plain; charset=utf-8", "zstd"),
    12041: ("application/xml", "zstd"),
    12050: ("application/json", "zstd"),
}


def _canonical(media_type: str) -> str:
    """Return a media type in one of its many equivalent spellings.

    Type, subtype and parameter names are in lower case; values are left as they are, apart from
    that of ``charset``, where case means nothing either.

    >>> _canonical('Text/Plain ;Charset="UTF-8"')
    'text/plain; charset=utf-8'

    RFC 9110 section 8.3.1.
    """
    essence, *parameters = media_type.split(";")
    out = essence.strip().lower()
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        name, value = name.rstrip().lower(), value.strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if name == "charset":
            value = value.lower()
        if name:
            out += f"; {name}={value}"
    return out


MEDIA_TYPES_REV: dict[str, int] = {name: number for number, name in MEDIA_TYPES.items()}
"""Numbers of the formats without a content coding, by media type."""

# What people write is the type alone, and a text that says no charset is UTF-8 in CoAP.
MEDIA_TYPES_REV["text/plain"] = 0

_by_canonical: dict[tuple[str, str], ContentFormat] = {}


class ContentFormat(ExtensibleIntEnum):
    """Number of a media type together with its parameters and a content coding (stable).

    >>> ContentFormat.JSON.media_type
    'application/json'
    >>> ContentFormat(11050)
    <ContentFormat 11050 "application/json" deflate>
    >>> ContentFormat(65000).is_known()
    False

    RFC 7252 section 12.3.
    """

    TEXT: ClassVar[ContentFormat] = member(0)
    LINKFORMAT: ClassVar[ContentFormat] = member(40)
    OCTETSTREAM: ClassVar[ContentFormat] = member(42)
    JSON: ClassVar[ContentFormat] = member(50)
    CBOR: ClassVar[ContentFormat] = member(60)
    SENML: ClassVar[ContentFormat] = member(112)

    @classmethod
    def by_media_type(cls, media_type: str, encoding: str = "identity") -> ContentFormat:
        """Look up the format of a media type.

        >>> ContentFormat.by_media_type("text/plain;charset=UTF-8")
        <ContentFormat 0 "text/plain; charset=utf-8">

        Args:
            media_type: A media type with its parameters; ``text/plain`` alone means UTF-8.
            encoding: The content coding, ``identity`` where there is none.

        Raises:
            KeyError: There is no number for it.
        """
        if not _by_canonical:
            for number, name in MEDIA_TYPES.items():
                _by_canonical[_canonical(name), "identity"] = cls(number)
            for number, (name, coding) in _CODED.items():
                _by_canonical[_canonical(name), coding] = cls(number)
        wanted = _canonical(media_type)
        if wanted == "text/plain":
            wanted = "text/plain; charset=utf-8"
        try:
            return _by_canonical[wanted, encoding.strip().lower()]
        except KeyError:
            raise KeyError(f"no content format for {media_type!r} in {encoding!r}") from None

    @classmethod
    def define(cls, number: int, media_type: str, encoding: str = "identity") -> ContentFormat:
        """Make a format known that the registry does not have (yet).

        It is known to the whole program from then on.  Doing it again changes nothing.

        Args:
            number: 0 to 65535; 65000 to 65535 are for experiments (RFC 7252 section 12.3).
            media_type: The media type with its parameters.
            encoding: The content coding, ``identity`` where there is none.

        Returns:
            The format.

        Raises:
            ValueError: The number is out of range or means something else, or the media type
                has another number.
        """
        if not 0 <= number <= 65535:
            raise ValueError(f"content formats are numbered 0 to 65535, not {number}")
        key = _canonical(media_type), encoding.strip().lower()
        try:
            known = cls.by_media_type(*key)
        except KeyError:
            known = None
        if known == number:
            return known
        if known is not None:
            raise ValueError(f"{media_type!r} in {encoding!r} is content format {int(known)}")
        new = cls(number)
        if new.is_known():
            raise ValueError(f"content format {int(number)} is {new.media_type!r}")
        if key[1] == "identity":
            MEDIA_TYPES[int(number)] = media_type
            MEDIA_TYPES_REV[media_type] = int(number)
        else:
            _CODED[int(number)] = media_type, key[1]
        _by_canonical[key] = new
        return new

    def is_known(self) -> bool:
        """Whether the number stands in the registry, or was defined by the program."""
        return self in MEDIA_TYPES or self in _CODED

    @property
    def media_type(self) -> str | None:
        """Media type with its parameters; None where the number is not known."""
        coded = _CODED.get(self)
        return MEDIA_TYPES.get(self) if coded is None else coded[0]

    @property
    def encoding(self) -> str | None:
        """Content coding, ``identity`` for none; None where the number is not known."""
        if self in MEDIA_TYPES:
            return "identity"
        coded = _CODED.get(self)
        return None if coded is None else coded[1]

    def __str__(self) -> str:
        if not self.is_known():
            return f"ContentFormat({int(self)})"
        coding = "" if self.encoding == "identity" else f" in {self.encoding}"
        return f"{self.media_type}{coding}"

    def __repr__(self) -> str:
        if not self.is_known():
            return f"<ContentFormat {int(self)} (unknown)>"
        coding = "" if self.encoding == "identity" else f" {self.encoding}"
        return f'<ContentFormat {int(self)} "{self.media_type}"{coding}>'


# Formats that the registry knows are there once, whether they have a constant or not; what peers
# make up is not kept.
for _number in (*MEDIA_TYPES, *_CODED):
    ContentFormat._members.setdefault(_number, ContentFormat(_number))

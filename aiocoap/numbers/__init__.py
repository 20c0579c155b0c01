"""The numbers of the protocol, by registry (stable).

Every name of the registry modules is here too.

RFC 7252 section 12.
"""

# Content formats come first: option types build on them, and option numbers on option types.
from . import contentformat, codes, constants, optionnumbers, types  # isort: skip
from .codes import *  # noqa: F403
from .constants import *  # noqa: F403
from .contentformat import ContentFormat
from .media_types import media_types, media_types_rev
from .optionnumbers import OptionNumber
from .types import *  # noqa: F403

# Spelled out for type checkers, which do not follow lists of other modules.
# ruff: noqa: F405
__all__ = [
    "ABORT",
    "ACK",
    "ACK_RANDOM_FACTOR",
    "ACK_TIMEOUT",
    "BAD_GATEWAY",
    "BAD_OPTION",
    "BAD_REQUEST",
    "CHANGED",
    "COAPS_PORT",
    "COAP_PORT",
    "CODES",
    "CON",
    "CONFLICT",
    "CONTENT",
    "CONTINUE",
    "CREATED",
    "CSM",
    "DEFAULT_BLOCK_SIZE_EXP",
    "DEFAULT_LEISURE",
    "DELETE",
    "DELETED",
    "EMPTY",
    "EMPTY_ACK_DELAY",
    "EXCHANGE_LIFETIME",
    "FETCH",
    "FORBIDDEN",
    "GATEWAY_TIMEOUT",
    "GET",
    "GROUP_TIMEOUT",
    "HOP_LIMIT_REACHED",
    "INTERNAL_SERVER_ERROR",
    "MAX_LATENCY",
    "MAX_RETRANSMIT",
    "MAX_RTT",
    "MAX_TRANSMIT_SPAN",
    "MAX_TRANSMIT_WAIT",
    "METHOD_NOT_ALLOWED",
    "NON",
    "NON_LIFETIME",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "NSTART",
    "OBSERVATION_RESET_TIME",
    "PATCH",
    "PING",
    "PONG",
    "POST",
    "PRECONDITION_FAILED",
    "PROCESSING_DELAY",
    "PROXYING_NOT_SUPPORTED",
    "PUT",
    "RELEASE",
    "REQUEST_ENTITY_INCOMPLETE",
    "REQUEST_ENTITY_TOO_LARGE",
    "REQUEST_TIMEOUT",
    "RST",
    "SERVICE_UNAVAILABLE",
    "SHUTDOWN_TIMEOUT",
    "TOO_MANY_REQUESTS",
    "TYPES",
    "UNAUTHORIZED",
    "UNPROCESSABLE_ENTITY",
    "UNSUPPORTED_CONTENT_FORMAT",
    "UNSUPPORTED_MEDIA_TYPE",
    "VALID",
    "Code",
    "ContentFormat",
    "OptionNumber",
    "Reliable",
    "TransportTuning",
    "Type",
    "Unreliable",
    "codes",
    "constants",
    "contentformat",
    "iPATCH",
    "media_types",
    "media_types_rev",
    "optionnumbers",
    "types",
]

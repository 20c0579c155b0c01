"""The numbers of the protocol, by registry (stable).

Every name of the registry modules is here too.

RFC 7252 section 12.
"""

# Content formats come first: option types build on them, and option numbers on option types.
from . import contentformat, codes, constants, optionnumbers, types  # isort: skip
from .codes import *  # noqa: F403
from .codes import __all__ as _codes
from .constants import *  # noqa: F403
from .constants import __all__ as _constants
from .contentformat import ContentFormat
from .media_types import media_types, media_types_rev
from .optionnumbers import OptionNumber
from .types import *  # noqa: F403
from .types import __all__ as _types

__all__ = [
    "ContentFormat",
    "OptionNumber",
    "codes",
    "constants",
    "contentformat",
    "media_types",
    "media_types_rev",
    "optionnumbers",
    "types",
    *_codes,
    *_constants,
    *_types,
]

"""CoAP, the Constrained Application Protocol, for asyncio.

Here are the names that most programs need: :class:`Context` and :class:`Message` (both stable),
and the numbers of the protocol.  Everything else is in the modules.

RFC 7252.
"""

from .message import Message, NoResponse
from .numbers import *  # noqa: F403
from .numbers import __all__ as _numbers

# Once more from where their names are listed one by one, which is what type checkers follow.
from .numbers.codes import *  # noqa: F403
from .numbers.constants import *  # noqa: F403
from .numbers.types import *  # noqa: F403
from .protocol import Context

__all__ = ["Context", "Message", "NoResponse", *_numbers]

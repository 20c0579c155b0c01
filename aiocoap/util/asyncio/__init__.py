"""What asyncio does not bring along.

Here live extensions of asyncio that are not about CoAP.

The rooms below know event loops and sockets.

No RFC is implemented here.
"""

from __future__ import annotations

__all__: list[str] = []

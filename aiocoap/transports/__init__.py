"""The ways in which messages leave and enter the house.

Here lives a room per transport; :mod:`aiocoap.transports.catalog` is the list of them.

The rooms know sockets and addresses, and call back whoever fulfils a contract of
:mod:`aiocoap.interfaces`; what a message means they do not know.  None of them is part of the
API: applications choose transports by name.

RFC 7252 section 3 (UDP).
"""

from __future__ import annotations

__all__: list[str] = []

"""The programs that come with the library.

Here live command line tools; each is a module that can be run (``python -m aiocoap.cli.client``)
and, where it is meant for every day, an installed command (``aiocoap-client``).

They are built of the library as any program is, and nothing of the library imports them.
"""

from __future__ import annotations

__all__: list[str] = []

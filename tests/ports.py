"""Ports for servers that can not be told to take any."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below those that the system gives to whoever asks for any, clients that have just gone included.
RANGE = range(20_000, 29_000)


def free_port(*offsets: int) -> int:
    """Return a port that nobody has, neither for UDP nor for TCP.

    Args:
        offsets: Others that are to be free too, as distances from that one.
    """
    while True:
        port = random.choice(RANGE)
        try:
            with ExitStack() as stack:
                for offset in (0, *offsets):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        sock = stack.enter_context(socket.socket(socket.AF_INET6, kind))
                        sock.bind(("::", port + offset))
        except OSError:
            continue
        return port

"""The hearts: what the RFCs decide, apart from all input and output.

Here live rooms that are told of messages and of the time, and answer with what is to be done.

They refuse to know sockets, timers, futures, callbacks and logs.

RFC 7252 sections 4 and 5.3, RFC 7641, RFC 7959.
"""

__all__: list[str] = []

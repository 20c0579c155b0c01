"""Bodies that do not fit into one message.

Here is the entrance to two rooms.  For a client, there are :class:`Block1Upload` and
:class:`Block2Download` in :mod:`.blockclient`, each for one body; for a server, :class:`Uploads`
and :class:`Bodies` in :mod:`.blockserver`, each for all bodies under way in that direction.

They know no socket, no timer and no resource: they are fed with messages and give back what to
send, or the whole.

RFC 7959 (all of it but section 5), RFC 8323 section 6 (BERT), RFC 9175 section 3 (Request-Tag),
RFC 8132 section 2.5 (FETCH).

A body is a place in bytes
--------------------------

Number and size exponent of a block change whenever the two sides agree on another size; the
offset in bytes that they stand for does not.  So that is what is kept, and the numbers are made
of it.  BERT (exponent 7) is then only another number of bytes per message: it counts in 1024
like exponent 6.

===============  ==============================================  ============================
object           its state                                       ends by
===============  ==============================================  ============================
Block1Upload     offset, exponent (never grows)                  a response that is none of
                                                                 2.31, or 2.xx for one block
Block2Download   bytes so far, their ETag, exponent (same)       a block without More
Uploads          per key: bytes so far                           a block without More;
                                                                 lifetime; the bounds
Bodies           per key: the whole response                     lifetime; the bounds
===============  ==============================================  ============================

Decisions that the RFCs leave open
----------------------------------

*ETags* (RFC 7959 section 2.4).  A 2.05 response that is cut and has no ETag gets a hash of its
body.  The blocks of one kept response fit together without it; but if the response is forgotten
while the client is still at it, the resource is rendered anew, and without an ETag the client
could not tell that it mixes two states.  A hash goes on to fit when nothing has changed, where a
counter would not.  For other codes the ETag would be that of another representation (RFC 7252
section 5.10.6.1), and they are never rendered anew.

*Payloads of requests for later blocks* (RFC 7959 section 2.7, RFC 8132 section 2.5).  After a
Block1 phase they have none, and neither do they for POST, PUT and PATCH, whose payload would ask
for the operation to be done once more.  A FETCH that fitted into one message has its payload
in each: it is part of the cache key, so a proxy or a server that keeps no state can answer only
that.  libcoap (4.3.1) sends it without and takes it either way; the key that a server keeps bodies
under therefore has no payload in it.  Where there is one, it must be the one that the kept
response answers; if it is another, the request is answered anew.

*Starting over.*  A changed ETag makes the client start over three times; then the resource is
taken to change too fast.  For a notification it registers again instead, three times at first.
Only GET and FETCH start over by themselves.  An upload starts over once after a 4.08, unless the
server has acted on single blocks.
"""

from __future__ import annotations

from .blockclient import (
    MAX_RESTARTS,
    Block1Upload,
    Block2Download,
    needs_upload,
    wants_download,
)
from .blockserver import (
    Bodies,
    Part,
    Upload,
    Uploads,
    block_size,
    part_of,
    refuse,
    transfer_key,
)

__all__ = [
    "MAX_RESTARTS",
    "Block1Upload",
    "Block2Download",
    "Bodies",
    "Part",
    "Upload",
    "Uploads",
    "block_size",
    "needs_upload",
    "part_of",
    "refuse",
    "transfer_key",
    "wants_download",
]

"""What this implementation is called.

Here live its version and a URI that names it, for people and for links that describe a server.

The room knows nothing else; programs that must decide something by a version ask their package
manager instead.

draft-bormann-t2trg-rel-impl (the ``impl-info`` link relation).
"""

from __future__ import annotations

__all__ = ["library_uri", "version"]

version = "0.4.20"
"""Version of the library: what ``--version`` prints."""

# An https URI would need a domain or a page of ours, and the package index's page of this name
# describes somebody else's implementation.  A UUID can be minted by anybody and is claimed by
# nobody, which is all that a name needs (RFC 9562 section 1, RFC 8141 for the form).
library_uri = "urn:uuid:cbab3a91-1906-4de8-b8be-47a47ec9e848#version-" + version
"""URI of this version of the library: the target of ``impl-info`` links."""

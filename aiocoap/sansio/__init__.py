"""The hearts: what the RFCs decide, without a clock, a socket or a callback."""

"""Ports and transmission parameters.

Here live the protocol's parameters, as one object that can be handed around
(:class:`TransportTuning`), and the documented module constants that name its defaults.

The room knows numbers only: derived times are computed by the formulas of the RFC.

RFC 7252 sections 4.8, 6 and 12.6, RFC 7641 section 3.4, RFC 7959 section 2.2.
"""

from __future__ import annotations

__all__ = [
    "ACK_RANDOM_FACTOR",
    "ACK_TIMEOUT",
    "COAPS_PORT",
    "COAP_PORT",
    "DEFAULT_BLOCK_SIZE_EXP",
    "DEFAULT_LEISURE",
    "EMPTY_ACK_DELAY",
    "EXCHANGE_LIFETIME",
    "GROUP_TIMEOUT",
    "MAX_LATENCY",
    "MAX_RETRANSMIT",
    "MAX_RTT",
    "MAX_TRANSMIT_SPAN",
    "MAX_TRANSMIT_WAIT",
    "NON_LIFETIME",
    "NSTART",
    "OBSERVATION_RESET_TIME",
    "PROCESSING_DELAY",
    "REQUEST_TIMEOUT",
    "SHUTDOWN_TIMEOUT",
    "Reliable",
    "TransportTuning",
    "Unreliable",
]

COAP_PORT = 5683
"""Default UDP and TCP port of ``coap`` and ``coap+tcp``."""

COAPS_PORT = 5684
"""Default port of ``coaps`` (DTLS) and ``coaps+tcp`` (TLS)."""


class TransportTuning:
    """Transmission parameters, for a context or for a single message.

    Change one by setting the attribute of an instance or of a subclass; values are read when
    they are used, and what is derived from them follows.  Delays and lifetimes are in seconds.

    RFC 7252 section 4.8.
    """

    ACK_TIMEOUT: float = 2.0
    """Base of the first wait for an acknowledgement; it doubles with every retransmission.
    Below 1 s it violates RFC 8085's guidelines (section 4.8.1)."""

    ACK_RANDOM_FACTOR: float = 1.5
    """Upper end of the random factor on ACK_TIMEOUT; at least 1.0."""

    MAX_RETRANSMIT: int = 4
    """Number of retransmissions after the first transmission."""

    NSTART: int = 1
    """Number of outstanding interactions with one endpoint (section 4.7)."""

    DEFAULT_LEISURE: float = 5.0
    """Period in which a response to multicast is sent at a random moment (section 8.2)."""

    AMPLIFICATION_FACTOR: float = 3.0
    """How many times as many bytes as came in are sent to a datagram's sender at most, until it
    has proved that it is where it says (RFC 9175 section 2.4 item 3)."""

    ADDRESS_PROOF: str = "global"
    """Which senders of datagrams have to prove their address before they are sent more than
    that: ``"global"`` (all but loopback, link-local and private addresses), ``"all"`` or
    ``"none"``.  Not from an RFC."""

    PROBING_RATE: float = 1.0
    """Bytes per second that an endpoint is sent on average while it does not answer, more than 0
    (section 4.7): a non-confirmable request that stays unanswered holds up the next one to the
    same endpoint for as many seconds as it has bytes."""

    EMPTY_ACK_DELAY: float = 0.1
    """Time that a response has to be piggybacked; then an empty ACK is sent. Not from an RFC."""

    MAX_LATENCY: float = 100.0
    """Longest time that a datagram is taken to be under way (section 4.8.2)."""

    OBSERVATION_RESET_TIME: float = 128
    """Age at which a notification is overtaken by any other (RFC 7641 section 3.4)."""

    OBSERVATION_CONFIRM_INTERVAL: float = 86400
    """Time in which an observer has to confirm a notification at least once (RFC 7641 section
    4.5)."""

    OBSERVATION_RETRIES: int = 6
    """How often a client tries in vain to take up a lost observation before that fails; the
    pause before each time is twice as long as the one before, 10 seconds at first.  None of it
    is from an RFC, but for that pause."""

    DEFAULT_BLOCK_SIZE_EXP: int = 6
    """Block size exponent that transfers begin with: blocks of 16·2ⁿ bytes."""

    MAX_BODY_SIZE: int = 8 * 1024 * 1024
    """Largest body in bytes that is put together from blocks, in either direction; a server
    answers more by 4.13.  Not from an RFC."""

    CONNECT_TIMEOUT: float = 30.0
    """Time that it may take to connect to a server, until its CSM is there.  Not from an RFC, like
    all that concerns connections."""

    CSM_TIMEOUT: float = 10.0
    """Time that the other end of a connection has for its first message."""

    MESSAGE_TIMEOUT: float = 60.0
    """Time in which a message that has begun to come has to be complete, and in which the other
    end of a connection has to go on to read what it is sent."""

    IDLE_TIMEOUT: float = 300.0
    """Time after which a connection that was opened for requests, and that nothing is asked for
    nor observed by, is closed."""

    KEEPALIVE_INTERVAL: float = 0.0
    """Silence after which the other end of a connection is asked for a sign of life by a Ping,
    which it has as much time to answer; 0 has nobody asked (RFC 8323 section 5.4)."""

    RELEASE_TIMEOUT: float = 2.0
    """Time that the other ends have to close their connections when a context is shut down."""

    MAX_MESSAGE_SIZE: int = 64 * 1024 + 128
    """Largest message in bytes that is taken from a connection, and told the other end by
    Max-Message-Size; it leaves room for 64 KiB of payload (RFC 8323 section 5.3.1)."""

    reliability: bool | None = None
    """True or False to ask for confirmable or non-confirmable; None leaves it to the library."""

    @property
    def MAX_TRANSMIT_SPAN(self) -> float:
        """Longest time from the first transmission to the last retransmission."""
        return self.ACK_TIMEOUT * (2.0**self.MAX_RETRANSMIT - 1) * self.ACK_RANDOM_FACTOR

    @property
    def MAX_TRANSMIT_WAIT(self) -> float:
        """Longest time from the first transmission to giving up."""
        return self.ACK_TIMEOUT * (2.0 ** (self.MAX_RETRANSMIT + 1) - 1) * self.ACK_RANDOM_FACTOR

    @property
    def PROCESSING_DELAY(self) -> float:
        """Time that a node takes to turn a confirmable message into an acknowledgement."""
        return self.ACK_TIMEOUT

    @property
    def MAX_RTT(self) -> float:
        """Longest round trip."""
        return 2 * self.MAX_LATENCY + self.PROCESSING_DELAY

    @property
    def EXCHANGE_LIFETIME(self) -> float:
        """Time after which the Message ID of a confirmable message may be used again."""
        return self.MAX_TRANSMIT_SPAN + self.MAX_RTT

    @property
    def NON_LIFETIME(self) -> float:
        """Time after which the Message ID of a non-confirmable message may be used again."""
        return self.MAX_TRANSMIT_SPAN + self.MAX_LATENCY

    @property
    def REQUEST_TIMEOUT(self) -> float:
        """Time that a request which nobody acknowledges is waited for. Not from an RFC."""
        return self.MAX_TRANSMIT_WAIT

    @property
    def GROUP_TIMEOUT(self) -> float:
        """Time that members of a group have to answer: their leisure, what they need to find an
        answer, and the time after which a message is taken for lost.  Not from an RFC: by those
        an answer could be under way for minutes."""
        return (
            self.DEFAULT_LEISURE + self.PROCESSING_DELAY + self.ACK_TIMEOUT * self.ACK_RANDOM_FACTOR
        )


class Reliable(TransportTuning):
    """Asks for confirmable transmission (``Message(..., transport_tuning=Reliable)``)."""

    reliability = True


class Unreliable(TransportTuning):
    """Asks for non-confirmable transmission where the transport knows the difference."""

    reliability = False


_defaults = TransportTuning()

ACK_TIMEOUT = _defaults.ACK_TIMEOUT
"""Default of :attr:`TransportTuning.ACK_TIMEOUT`, in seconds."""
ACK_RANDOM_FACTOR = _defaults.ACK_RANDOM_FACTOR
"""Default of :attr:`TransportTuning.ACK_RANDOM_FACTOR`."""
MAX_RETRANSMIT = _defaults.MAX_RETRANSMIT
"""Default of :attr:`TransportTuning.MAX_RETRANSMIT`."""
NSTART = _defaults.NSTART
"""Default of :attr:`TransportTuning.NSTART`."""
DEFAULT_LEISURE = _defaults.DEFAULT_LEISURE
"""Default of :attr:`TransportTuning.DEFAULT_LEISURE`, in seconds."""
MAX_TRANSMIT_SPAN = _defaults.MAX_TRANSMIT_SPAN
"""Default of :attr:`TransportTuning.MAX_TRANSMIT_SPAN`, in seconds."""
MAX_TRANSMIT_WAIT = _defaults.MAX_TRANSMIT_WAIT
"""Default of :attr:`TransportTuning.MAX_TRANSMIT_WAIT`, in seconds."""
MAX_LATENCY = _defaults.MAX_LATENCY
"""Default of :attr:`TransportTuning.MAX_LATENCY`, in seconds."""
PROCESSING_DELAY = _defaults.PROCESSING_DELAY
"""Default of :attr:`TransportTuning.PROCESSING_DELAY`, in seconds."""
MAX_RTT = _defaults.MAX_RTT
"""Default of :attr:`TransportTuning.MAX_RTT`, in seconds."""
EXCHANGE_LIFETIME = _defaults.EXCHANGE_LIFETIME
"""Default of :attr:`TransportTuning.EXCHANGE_LIFETIME`, in seconds."""
NON_LIFETIME = _defaults.NON_LIFETIME
"""Default of :attr:`TransportTuning.NON_LIFETIME`, in seconds."""
DEFAULT_BLOCK_SIZE_EXP = _defaults.DEFAULT_BLOCK_SIZE_EXP
"""Default of :attr:`TransportTuning.DEFAULT_BLOCK_SIZE_EXP`."""
EMPTY_ACK_DELAY = _defaults.EMPTY_ACK_DELAY
"""Default of :attr:`TransportTuning.EMPTY_ACK_DELAY`, in seconds."""
REQUEST_TIMEOUT = _defaults.REQUEST_TIMEOUT
"""Default of :attr:`TransportTuning.REQUEST_TIMEOUT`, in seconds."""
GROUP_TIMEOUT = _defaults.GROUP_TIMEOUT
"""Default of :attr:`TransportTuning.GROUP_TIMEOUT`, in seconds."""
OBSERVATION_RESET_TIME = 128
"""Default of :attr:`TransportTuning.OBSERVATION_RESET_TIME`, in seconds."""
SHUTDOWN_TIMEOUT = 3.0
"""Time in seconds that closing a transport may take before it is cut off. Not from an RFC."""

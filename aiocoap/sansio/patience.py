"""How long which silence of the other end of a connection is borne.

Here live :class:`Patience`, and what it says: :class:`Verdict`.

The room knows no socket and no clock: ``now`` is an argument, and what is to be done comes back.

RFC 8323 sections 3.3 (a CSM that does not come), 3.4 (keepalive) and 5.5 (connections that are not
used any more).
"""

from __future__ import annotations

from enum import Enum

from ..numbers.constants import TransportTuning

__all__ = ["Patience", "Verdict"]


class Verdict(Enum):
    """What is to be done about a silence."""

    WAIT = "wait"
    """Nothing, until ``Patience.deadline``."""
    PING = "ping"
    """Ask for a sign of life, and look again at ``Patience.deadline``."""
    IDLE = "idle"
    """The connection is not used any more: release it."""
    GONE = "gone"
    """The peer is not there, or does not do what it has to: abort the connection."""


class Patience:
    """How long the other end of a connection may be silent, or be busy with one message.

    Args:
        tuning: CSM_TIMEOUT, MESSAGE_TIMEOUT, IDLE_TIMEOUT and KEEPALIVE_INTERVAL count.
        now: When the connection was made, in monotonic seconds.

    Attributes:
        deadline: When to look again.  It is not moved by what is received; there are no more
            looks than one in the shortest of the times.
        last_received: When something came the last time.
        reason: After ``Verdict.GONE``: why.
    """

    __slots__ = (
        "_asked_since",
        "_opened",
        "_stalled_since",
        "_tuning",
        "_unfinished_since",
        "deadline",
        "last_received",
        "reason",
    )

    deadline: float | None

    def __init__(self, tuning: TransportTuning, now: float) -> None:
        self._tuning = tuning
        self._opened = self.last_received = now
        # When the message began that is not complete yet, and when the peer stopped to read.
        self._unfinished_since: float | None = None
        self._stalled_since: float | None = None
        # When the peer was asked for a sign of life, if none has come since.
        self._asked_since: float | None = None
        self.reason = ""
        self.deadline = now + tuning.CSM_TIMEOUT

    def received(self, now: float, is_unfinished: bool, is_progress: bool) -> None:
        """Take note that bytes came.

        Args:
            now: Monotonic seconds.
            is_unfinished: Whether the last message is not complete.
            is_progress: Whether one or more have been completed by those bytes.
        """
        self.last_received = now
        self._asked_since = None
        if not is_unfinished:
            self._unfinished_since = None
        elif is_progress or self._unfinished_since is None:
            self._unfinished_since = now

    def not_reading(self, now: float) -> None:
        """Take note that nothing is read from the peer: its message can not become complete.

        Args:
            now: Monotonic seconds.
        """
        if self._unfinished_since is not None:
            self._unfinished_since = now

    def stalled(self, now: float | None) -> None:
        """Take note that the peer does not read what it is sent, or reads again.

        Args:
            now: When that began, in monotonic seconds; None where it is over.
        """
        self._stalled_since = now

    def judge(self, now: float, is_open: bool, may_idle: bool, is_used: bool) -> Verdict:
        """Decide what is to be done.

        Args:
            now: Monotonic seconds.
            is_open: Whether the peer's CSM has come.
            may_idle: Whether the connection is ours to close when nobody uses it.
            is_used: Whether anybody waits for anything to come or to go.

        Returns:
            What is to be done; ``deadline`` is set anew.
        """
        tuning = self._tuning
        # Whatever begins after this look is found by the next one in time, or a little later.
        looks = [now + tuning.MESSAGE_TIMEOUT]
        if not is_open:
            due = self._opened + tuning.CSM_TIMEOUT
            if now >= due:
                return self._gone("no CSM came from the peer")
            looks.append(due)
        for since, reason in (
            (self._unfinished_since, "a message of the peer did not become complete"),
            (self._stalled_since, "the peer did not read what it was sent"),
        ):
            if since is not None:
                due = since + tuning.MESSAGE_TIMEOUT
                if now >= due:
                    return self._gone(f"{reason} within {tuning.MESSAGE_TIMEOUT:g} seconds")
                looks.append(due)
        if may_idle and not is_used:
            due = self.last_received + tuning.IDLE_TIMEOUT
            if now >= due:
                return Verdict.IDLE
            looks.append(due)
        verdict = Verdict.WAIT
        interval = tuning.KEEPALIVE_INTERVAL
        if interval and is_open:
            asked = self._asked_since
            due = (self.last_received if asked is None else asked) + interval
            if now >= due:
                if asked is not None:
                    return self._gone("the peer answered no ping")
                self._asked_since = now
                verdict, due = Verdict.PING, now + interval
            looks.append(due)
        self.deadline = min(looks)
        return verdict

    def _gone(self, reason: str) -> Verdict:
        self.reason = reason
        return Verdict.GONE

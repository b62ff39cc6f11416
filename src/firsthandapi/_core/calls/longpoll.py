"""The one wait: when to ask for a job, for how long, and when to pause. Decisions only: the caller asks and sleeps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    NotFoundError,
    UnexpectedResponseError,
)

from .retry import asked_to_wait, is_lasting

LONGEST_POLL = 60
# A list, or another read, may show for so many seconds what was before.
LIST_LAGS = 30.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
# A service that asks for more patience than a day is asked again after one: a system cannot sleep for millennia.
_LONGEST_RETRY_AFTER = 86_400.0
# Responses in a row that are not the documented JSON.
_MOST_GARBLED = 10
# However many changes the service reports, polls and reads of the list together stay below this.
_MOST_REQUESTS = 12
_IN_SECONDS = 10.0
# There are five statuses. Names of a later version count as news too, but not without end.
_MOST_ADVANCES = 5


def poll_wait(time_left: float | None, deadline: float | None = None) -> int | None:
    """Seconds to ask the service to hold the next poll, 1 to 60; None if there is no room for one.

    `deadline` is the client's: a poll is a call, so its response must have time to come within it.
    """
    limits = [LONGEST_POLL, time_left, None if deadline is None else deadline * 0.8]
    wait = int(min(limit for limit in limits if limit is not None))
    return wait if wait >= 1 else None


def is_transient(error: FirstHandError) -> bool:
    """Whether a poll that failed like this may work later: the network may, a refused key may not."""
    if isinstance(error, FirstHandApiError):
        return error.retryable
    if isinstance(error, FirstHandConnectionError) and (is_lasting(error) or error.no_tls):
        return False
    return isinstance(error, (FirstHandConnectionError, DeadlineExceededError, UnexpectedResponseError))


@dataclass
class Pauses:
    """Pauses that grow: 0.5, 1, 2 … 10 s."""

    _next: float = _FIRST_PAUSE
    _garbled: int = 0

    def longer(self) -> float:
        """The next pause."""
        pause, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE)
        return pause

    def reset(self) -> None:
        """Start with the shortest."""
        self._next = _FIRST_PAUSE

    def not_garbled(self) -> None:
        """A response was the documented JSON."""
        self._garbled = 0

    def after_failure(
        self, error: FirstHandError, *, wall: float, left: float | None, is_new: bool = False
    ) -> float:
        """The pause after a failure from which the service may recover in the `left` seconds; raises any other.

        `Retry-After` lengthens the pause and never shortens it. `wall` is the time in Unix seconds. `is_new`: the job
        was just posted, so a 404 says that a replica does not show it yet.

        Raises:
            FirstHandError: `error` itself.
        """
        if not is_transient(error) and not (is_new and isinstance(error, NotFoundError)):
            raise error
        if isinstance(error, UnexpectedResponseError):
            # A gateway's page may be gone next time; a response that stays malformed will not improve.
            self._garbled += 1
            if self._garbled > _MOST_GARBLED:
                raise error
        asked = asked_to_wait(error, now=wall) or 0.0
        if left is not None and asked > left:
            raise error
        return min(max(asked, self.longer()), _LONGEST_RETRY_AFTER)


# ── What comes next ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Poll:
    """Read the job, held by the service for at most `hold` seconds; None asks for no hold."""

    hold: int | None


@dataclass(frozen=True)
class Pause:
    """Sleep."""

    seconds: float


class End(Enum):
    """There is nothing more to do for now."""

    DUE = "the caller has something else to do"
    TIMED_OUT = "the timeout of the wait has passed"


@dataclass
class Wait:
    """One wait for a job. Times are of a clock that never jumps.

    Attributes:
        ends: when its timeout passes; None for a wait without limit.
        deadline: the client's, in seconds.
        shows_by: until when a 404 may come of a job that was just posted; None for one that was not.
    """

    ends: float | None
    deadline: float | None = None
    shows_by: float | None = None
    pauses: Pauses = field(default_factory=Pauses)
    _requests: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_REQUESTS))
    _statuses: set[str] = field(default_factory=set[str])
    _asked: tuple[float, int | None] | None = None
    _resume: float = 0.0
    _last_look: bool = False

    def next(self, now: float, until: float | None = None) -> Poll | Pause | End:
        """What to do now; `until` is when the caller has something else to do."""
        limit = min((each for each in (self.ends, until) if each is not None), default=None)
        if self._asked is None:
            # The first look is at once, whatever the timeout, and not held: the caller sees the job.
            return Poll(None)
        if self._last_look:
            self._last_look = False
            return Poll(None)
        if self.ends is not None and now >= self.ends:
            return End.TIMED_OUT
        if until is not None and now >= until:
            return End.DUE
        ready = max(self._resume, self._room_at(now))
        if ready > now:
            return Pause((ready if limit is None else min(ready, limit)) - now)
        if not self._statuses:
            return Poll(None)
        left = None if limit is None else limit - now
        if left is not None and left < 1:
            # No poll can be held for so short a time. At the very end the job is read once more.
            self._last_look = limit == self.ends
            return Pause(left)
        return Poll(poll_wait(left, self.deadline))

    def count(self, now: float) -> None:
        """Count a request of this wait."""
        self._requests.append(now)

    def polls(self, poll: Poll, now: float) -> None:
        """Record that a poll is sent."""
        self._asked = now, poll.hold
        self.count(now)

    def answered(self, status: str, now: float) -> None:
        """Record a job that came."""
        self.pauses.not_garbled()
        if status not in self._statuses and len(self._statuses) < _MOST_ADVANCES:
            self._statuses.add(status)
            self.pauses.reset()
        elif not self._was_held(now):
            # Too early: a service without long-poll, or replicas that disagree.
            self._resume = now + self.pauses.longer()

    def failed(self, error: FirstHandError, now: float, wall: float) -> None:
        """Tell of a poll that failed.

        Raises:
            FirstHandError: `error` itself, if the service will not recover in time.
        """
        self._resume = now + self.pause_after(error, self.pauses, now, wall)

    def pause_after(self, error: FirstHandError, pauses: Pauses, now: float, wall: float) -> float:
        """The pause after a failure of any request of this wait.

        Raises:
            FirstHandError: `error` itself, if the service will not recover in time.
        """
        is_new = self.shows_by is not None and now < self.shows_by
        pause = pauses.after_failure(error, wall=wall, left=self.left(now), is_new=is_new)
        return max(pause, self._room_at(now) - now)

    def rest(self, pauses: Pauses, now: float) -> float:
        """The pause before a request that may bring nothing new."""
        return max(pauses.longer(), self._room_at(now) - now)

    def left(self, now: float) -> float | None:
        """Seconds to the end; None if there is none."""
        return None if self.ends is None else max(self.ends - now, 0.0)

    def _was_held(self, now: float) -> bool:
        asked_at, hold = self._asked or (now, None)
        return hold is not None and now - asked_at >= hold * 0.9

    def _room_at(self, now: float) -> float:
        """When another request has room."""
        full = len(self._requests) == _MOST_REQUESTS
        return self._requests[0] + _IN_SECONDS if full else now

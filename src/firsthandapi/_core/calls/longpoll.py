"""Waiting for a job: when to poll, how long to hold the poll, and when to pause. The caller polls and sleeps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    NotFoundError,
    RateLimitError,
    UnexpectedResponseError,
)

from .dates import served_at
from .retry import asked_to_wait, is_lasting, stands_still

if TYPE_CHECKING:
    from firsthandapi.types.job import Job

LONGEST_POLL = 60
# For this many seconds, a list or another read may show an old state.
LIST_LAGS = 30.0
# A completed job has as many approved files as it needs, so a lower count is late: by so many seconds at most.
COUNT_LAGS = 86_400.0
# While it is, the pauses between reads grow with the wait.
_PART_OF_WAIT = 10
_LONGEST_COUNT_PAUSE = 600.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
# A longer `Retry-After` is cut to a day, because systems cannot sleep forever.
_LONGEST_RETRY_AFTER = 86_400.0
# Responses in a row that are not the documented JSON.
_MOST_GARBLED = 10
# The most requests of one wait, polls and lists together, however many changes the service reports.
_MOST_REQUESTS = 12
_IN_SECONDS = 10.0
# There are five statuses. A few unknown ones count as changes as well.
_MOST_ADVANCES = 5


def poll_wait(time_left: float | None, deadline: float | None = None) -> int | None:
    """Seconds for which the service should hold the next poll, 1 to 60; None if too little time is left.

    `deadline` is the client's: a poll is a call, so its response must arrive within it.
    """
    limits = [LONGEST_POLL, time_left, None if deadline is None else deadline * 0.8]
    wait = int(min(limit for limit in limits if limit is not None))
    return wait if wait >= 1 else None


def is_transient(error: FirstHandError) -> bool:
    """Whether a later poll may succeed after this error: after a network failure, but not after a refused key."""
    if isinstance(error, FirstHandApiError):
        return error.retryable
    if isinstance(error, FirstHandConnectionError) and (is_lasting(error) or error.no_tls):
        return False
    return isinstance(error, (FirstHandConnectionError, DeadlineExceededError, UnexpectedResponseError))


def count_lags(job: Job | None, *, listed: int, most: int, waited: float) -> float:
    """For how many more seconds the count of a finished job may be late; 0 if it is not.

    `listed` is how many files its list has shown, and `most` the highest count of it that was ever seen: if that was
    enough, files were withdrawn. How long ago it finished is told by the service's clock, or by `waited`.
    """
    if job is None:
        return 0.0
    from firsthandapi.types._base import fitting

    facts = fitting(job)
    needed, count = facts.files_needed, facts.files_approved
    if facts.status != "completed" or needed is None or count is None or max(count, listed, most) >= needed:
        return 0.0
    response, ended = getattr(job, "response", None), facts.completed_at
    now = None if response is None else served_at(response.headers)
    age = 0.0 if now is None or ended is None else now - ended.timestamp()
    return max(COUNT_LAGS - max(age, waited), 0.0)


def count_pause(waited: float) -> float:
    """The pause before a late count is read again, after so many seconds."""
    return min(waited / _PART_OF_WAIT, _LONGEST_COUNT_PAUSE)


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
        """Note that a response was the documented JSON."""
        self._garbled = 0

    def after_failure(
        self, error: FirstHandError, *, wall: float, seconds_left: float | None, is_new: bool = False
    ) -> float:
        """The pause after a failure, if the service may recover within `seconds_left`; else raise the failure.

        `Retry-After` can only lengthen the pause. `wall` is the time in Unix seconds. `is_new`: the job was just
        posted, so a 404 means that a replica does not have it yet.
        Raises FirstHandError: `error` itself.
        """
        if not is_transient(error) and not (is_new and isinstance(error, NotFoundError)):
            raise error
        if isinstance(error, FirstHandApiError) and stands_still(error.response):
            raise error
        if isinstance(error, UnexpectedResponseError):
            # A gateway's page may be gone next time; a response that stays malformed is a bug.
            self._garbled += 1
            if self._garbled > _MOST_GARBLED:
                raise error
        asked = asked_to_wait(error, now=wall) or 0.0
        if isinstance(error, RateLimitError):
            asked = min(asked, asked if error.believed_for is None else error.believed_for)
        if seconds_left is not None and asked > seconds_left:
            raise error
        return min(max(asked, self.longer()), _LONGEST_RETRY_AFTER)


# ── The next step ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Poll:
    """Read the job; the service may hold the response for `hold` seconds, or not at all for None."""

    hold: int | None


@dataclass(frozen=True)
class Pause:
    """Sleep."""

    seconds: float


class End(Enum):
    """The wait returns to its caller."""

    DUE = "the caller has something else to do"
    TIMED_OUT = "the timeout of the wait has passed"


@dataclass
class Wait:
    """One wait for a job. Times are in seconds of a monotonic clock.

    Attributes:
        ends: when its timeout passes; None for a wait without limit.
        deadline: the client's, in seconds.
        shows_by: until when a job that was just posted may give a 404; None for any other job.
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
        """The next step; `until` is when the caller has other work."""
        limit = min((end for end in (self.ends, until) if end is not None), default=None)
        if self._asked is None:
            # The first poll is immediate and not held, so that even a timeout of 0 reads the job.
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
        seconds_left = None if limit is None else limit - now
        if seconds_left is not None and seconds_left < 1:
            # Too short to hold a poll. At the end of the wait, the job is read once more.
            self._last_look = limit == self.ends
            return Pause(seconds_left)
        return Poll(poll_wait(seconds_left, self.deadline))

    def count(self, now: float) -> None:
        """Count one request of this wait."""
        self._requests.append(now)

    def polls(self, poll: Poll, now: float) -> None:
        """Record that a poll is sent."""
        self._asked = now, poll.hold
        self.count(now)

    def answered(self, status: str, now: float) -> None:
        """Record the status in a response."""
        self.pauses.not_garbled()
        if status not in self._statuses and len(self._statuses) < _MOST_ADVANCES:
            self._statuses.add(status)
            self.pauses.reset()
        elif not self._was_held(now):
            # The response came too early: a service without long-poll, or replicas that disagree.
            self._resume = now + self.pauses.longer()

    def failed(self, error: FirstHandError, now: float, wall: float) -> None:
        """Record a failed poll. Raises FirstHandError: `error` itself, if the service will not recover in time."""
        self._resume = now + self.pause_after(error, self.pauses, now, wall)

    def pause_after(self, error: FirstHandError, pauses: Pauses, now: float, wall: float) -> float:
        """The pause after any failed request of this wait.
        Raises FirstHandError: `error` itself, if the service will not recover in time.
        """
        is_new = self.shows_by is not None and now < self.shows_by
        pause = pauses.after_failure(error, wall=wall, seconds_left=self.left(now), is_new=is_new)
        return max(pause, self._room_at(now) - now)

    def rest(self, pauses: Pauses, now: float) -> float:
        """The pause before a request that may return nothing new."""
        return max(pauses.longer(), self._room_at(now) - now)

    def left(self, now: float) -> float | None:
        """Seconds left; None without a timeout."""
        return None if self.ends is None else max(self.ends - now, 0.0)

    def _was_held(self, now: float) -> bool:
        asked_at, hold = self._asked or (now, None)
        return hold is not None and now - asked_at >= hold * 0.9

    def _room_at(self, now: float) -> float:
        """When the next request is allowed."""
        full = len(self._requests) == _MOST_REQUESTS
        return self._requests[0] + _IN_SECONDS if full else now

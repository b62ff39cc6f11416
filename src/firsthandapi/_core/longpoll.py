"""Waiting for a job: what to do after each poll. The caller polls and sleeps."""

from __future__ import annotations

from dataclasses import dataclass

from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    UnexpectedResponseError,
)

from .retry import asked_to_wait

LONGEST_POLL = 60
_LONGEST_PAUSE = 10.0
_FIRST_PAUSE = 0.5
# Answers in a row that are not the documented JSON.
_MOST_GARBLED = 10


def poll_wait(time_left: float | None, deadline: float | None = None) -> int | None:
    """Seconds to ask the service to hold the next poll, 1 to 60; None if there is no room for one.

    `deadline` is the client's: a poll is a call, so its answer must have time to come within it.
    """
    limits = [LONGEST_POLL, time_left, None if deadline is None else deadline * 0.8]
    wait = int(min(limit for limit in limits if limit is not None))
    return wait if wait >= 1 else None


def heals(error: FirstHandError) -> bool:
    """Whether a poll that failed like this may work later: the network may, a refused key may not."""
    if isinstance(error, FirstHandApiError):
        return error.retryable
    if isinstance(error, FirstHandConnectionError) and error.untrusted:
        return False
    return isinstance(error, (FirstHandConnectionError, DeadlineExceededError, UnexpectedResponseError))


def was_held(hold: int | None, seconds: float) -> bool:
    """Whether the service held a poll of `seconds` for as long as it was asked to."""
    return hold is not None and seconds >= hold * 0.9


@dataclass
class Pauses:
    """Pauses between polls, for a service that answers before it should, or fails: 0.5, 1, 2 … 10 s."""

    _next: float = _FIRST_PAUSE
    _garbled: int = 0

    def after_answer(self, *, expected: bool) -> float:
        """The pause after an answer: none if it was `expected`, since the job changed or the poll was held."""
        self._garbled = 0
        if expected:
            self._next = _FIRST_PAUSE
            return 0.0
        return self._longer()

    def after_failure(self, error: FirstHandError, *, now: float, left: float | None) -> float:
        """The pause after a failure that may heal in the `left` seconds; any other is raised.

        Raises:
            FirstHandError: `error` itself.
        """
        if not heals(error):
            raise error
        if isinstance(error, UnexpectedResponseError):
            # A gateway's page may be gone the next time; an answer that stays wrong will not come right.
            self._garbled += 1
            if self._garbled > _MOST_GARBLED:
                raise error
        asked = asked_to_wait(error, now=now)
        if asked is None:
            return self._longer()
        if left is not None and asked > left:
            raise error
        return asked

    def _longer(self) -> float:
        pause, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE)
        return pause

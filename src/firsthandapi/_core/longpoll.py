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

LONGEST_POLL = 60
_LONGEST_PAUSE = 10.0
_FIRST_PAUSE = 0.5


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


@dataclass
class Pauses:
    """Pauses between polls, for a service that answers before it should: 0.5, 1, 2 … 10 s."""

    _next: float = _FIRST_PAUSE

    def after_early_answer(self) -> float:
        """The pause after a poll that came back unchanged before its wait was up, or failed."""
        pause, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE)
        return pause

    def reset(self) -> None:
        """The job changed, or the service held the poll as asked: be quick again."""
        self._next = _FIRST_PAUSE

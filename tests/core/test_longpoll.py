"""Waiting for a job: what to do after each poll."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.longpoll import Pauses, heals, poll_wait
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandTimeoutError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnexpectedResponseError,
)


@pytest.mark.parametrize(
    ("time_left", "deadline", "wait"),
    [
        (None, None, 60),
        (86_400, None, 60),
        (60, None, 60),
        (59.9, None, 59),
        (1, None, 1),
        (0.99, None, None),
        (0, None, None),
        (-5, None, None),
        (None, 10, 8),
        (5, 10, 5),
        (None, 1000, 60),
        (None, 1.0, None),
    ],
)
def test_how_long_a_poll_is_held(time_left: float | None, deadline: float | None, wait: int | None) -> None:
    """A poll is held for whole seconds, 1 to 60, within what is left and within the client's deadline."""
    assert poll_wait(time_left, deadline) == wait


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (FirstHandConnectionError("x"), True),
        (FirstHandTimeoutError("x"), True),
        (DeadlineExceededError("x", deadline=1), True),
        (UnexpectedResponseError("x"), True),
        (ServerError("x", status=503), True),
        (RateLimitError("x", status=429), True),
        (AuthenticationError("x", status=401), False),
        (NotFoundError("x", status=404), False),
        (FirstHandApiError("x", status=302), False),
        (ServerError("x", status=501), False),
        (ConfigurationError("x"), False),
    ],
)
def test_what_heals(error: Any, again: bool) -> None:
    """A broken network or a busy service may heal; a refused key or a missing job does not."""
    assert heals(error) is again


def test_what_is_untrusted_does_not_heal() -> None:
    """A certificate that is not trusted now will not be trusted in ten seconds."""
    error = FirstHandConnectionError("certificate verify failed", request_sent=False)
    error.untrusted = True
    assert not heals(error)


def test_pauses() -> None:
    """After early answers the pauses are 0.5, 1, 2 … 10 s, and start anew after a change."""
    pauses = Pauses()
    assert [pauses.after_early_answer() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    pauses.reset()
    assert pauses.after_early_answer() == 0.5

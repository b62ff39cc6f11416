"""Waiting for a job: what to do after each poll."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.longpoll import Pauses, heals, poll_wait, was_held
from firsthandapi._core.response import ApiResponse
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
    assert [pauses.after_answer(expected=False) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert pauses.after_answer(expected=True) == 0
    assert pauses.after_answer(expected=False) == 0.5


def test_a_pause_after_a_failure_is_what_the_service_asks_for() -> None:
    """Retry-After is obeyed when the wait has room for it, and ends the wait when it has not."""
    busy = ServerError("x", status=503, response=ApiResponse(503, ((b"retry-after", b"7"),)))
    assert Pauses().after_failure(busy, now=0, left=None) == 7
    assert Pauses().after_failure(busy, now=0, left=7) == 7
    with pytest.raises(ServerError):
        Pauses().after_failure(busy, now=0, left=6.9)
    assert Pauses().after_failure(ServerError("x", status=503), now=0, left=0.1) == 0.5


def test_what_does_not_heal_ends_the_wait() -> None:
    """The error itself is raised, at once."""
    error = NotFoundError("x", status=404)
    with pytest.raises(NotFoundError) as caught:
        Pauses().after_failure(error, now=0, left=None)
    assert caught.value is error


def test_answers_that_stay_garbled_end_the_wait() -> None:
    """Ten in a row are borne, as a gateway's page may be; a good answer between starts the count anew."""
    pauses = Pauses()
    for _ in range(2):
        for _ in range(10):
            pauses.after_failure(UnexpectedResponseError("x"), now=0, left=None)
        pauses.after_answer(expected=True)
    for _ in range(10):
        pauses.after_failure(UnexpectedResponseError("x"), now=0, left=None)
    with pytest.raises(UnexpectedResponseError):
        pauses.after_failure(UnexpectedResponseError("x"), now=0, left=None)


@pytest.mark.parametrize(
    ("hold", "seconds", "held"), [(60, 60, True), (60, 54, True), (60, 53.9, False), (None, 99, False)]
)
def test_whether_a_poll_was_held(hold: int | None, seconds: float, held: bool) -> None:
    """A poll that was answered a little early was held; one that asked for no wait was not."""
    assert was_held(hold, seconds) is held

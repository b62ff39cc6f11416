"""Waiting for a job: what to do after each poll."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.calls.longpoll import (
    End,
    Pause,
    Pauses,
    Poll,
    Wait,
    count_lags,
    count_pause,
    is_transient,
    poll_wait,
)
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnexpectedResponseError,
)
from firsthandapi.types import Job


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
    ("changes", "listed", "most", "seconds"),
    [
        ({}, 0, 2, 86_000.0),
        ({}, 4, 0, 86_000.0),
        ({}, 5, 2, 0.0),
        ({}, 2, 4, 86_000.0),
        ({}, 2, 5, 0.0),
        ({"status": "cancelled"}, 0, 2, 0.0),
        ({"files_approved": 5}, 0, 5, 0.0),
        ({"files_approved": None}, 0, 0, 0.0),
        ({"files_needed": None}, 0, 2, 0.0),
        ({"files_needed": "many"}, 0, 2, 0.0),
    ],
)
def test_how_late_a_count_may_be(changes: dict[str, Any], listed: int, most: int, seconds: float) -> None:
    """A day, if a completed job counts and lists fewer files than it needs, and never counted as many."""
    job = Job.model_validate(
        {"id": "job_1", "status": "completed", "files_needed": 5, "files_approved": 2} | changes
    )
    assert count_lags(job, listed=listed, most=most, waited=400.0) == seconds
    assert count_lags(None, listed=listed, most=most, waited=0.0) == 0.0


def test_late_counts_are_read_rarely() -> None:
    """A day of them takes few reads."""
    waited, reads = 10.0, 0
    while waited < 86_400:
        waited, reads = waited + count_pause(waited), reads + 1
    assert reads < 220
    assert count_pause(86_400) == 600


def network(**flags: bool) -> FirstHandConnectionError:
    """A network failure, and what is known of it."""
    error = FirstHandConnectionError("x")
    vars(error).update(flags)
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (network(), True),
        # A certificate that is not trusted now, and a password that is wrong now, will be so in ten seconds.
        (network(untrusted=True), False),
        (network(proxy_refused=True), False),
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
def test_what_heals(error: Any, expected: bool) -> None:
    """A broken network or a busy service may heal; a refused key or a missing job does not."""
    assert is_transient(error) is expected


def busy(**headers: str) -> ServerError:
    """A 503 with headers."""
    raw = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return ServerError("x", status=503, response=ApiResponse(503, raw))


def test_pauses() -> None:
    """They are 0.5, 1, 2 … 10 s, and start again after an advance."""
    pauses = Pauses()
    assert [pauses.longer() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    pauses.reset()
    assert pauses.longer() == 0.5


def test_a_pause_after_a_failure_is_what_the_service_asks_for() -> None:
    """Retry-After is obeyed when the wait has room for it, and ends the wait when it has not."""
    assert Pauses().after_failure(busy(retry_after="7"), wall=0, seconds_left=None) == 7
    assert Pauses().after_failure(busy(retry_after="7"), wall=0, seconds_left=7) == 7
    # No system can sleep until the year 9999.
    forever = busy(retry_after="Fri, 31 Dec 9999 23:59:59 GMT")
    assert Pauses().after_failure(forever, wall=0, seconds_left=None) == 86_400
    with pytest.raises(ServerError):
        Pauses().after_failure(busy(retry_after="7"), wall=0, seconds_left=6.9)
    assert Pauses().after_failure(busy(), wall=0, seconds_left=0.1) == 0.5


def test_a_short_retry_after_does_not_keep_pauses_short() -> None:
    """A service that is down all night and says "1 s" each time is not asked every second."""
    pauses, error = Pauses(), busy(retry_after="3")
    assert [pauses.after_failure(error, wall=0, seconds_left=None) for _ in range(6)] == [3, 3, 3, 4, 8, 10]


def test_what_does_not_heal_ends_the_wait() -> None:
    """The error itself is raised, at once."""
    error = NotFoundError("x", status=404)
    with pytest.raises(NotFoundError) as caught:
        Pauses().after_failure(error, wall=0, seconds_left=None)
    assert caught.value is error


def test_a_new_job_may_not_show_yet() -> None:
    """A 404 of a job that was just posted is a replica's, for as long as reads may lag; a refused key is none."""
    wait, error = Wait(None, shows_by=30.0), NotFoundError("x", status=404)
    assert wait.pause_after(error, Pauses(), 29.0, 0.0) == 0.5
    for now, lasting in ((30.0, error), (0.0, FirstHandApiError("x", status=401))):
        with pytest.raises(FirstHandApiError):
            wait.pause_after(lasting, Pauses(), now, 0.0)


# ── The whole wait ───────────────────────────────────────────────────────────────────────────────────────

DOWN = FirstHandConnectionError("down")
# What may come back, and the share of the time for which a poll is held before.
ANSWERS: list[tuple[Any, float]] = [
    ("open", 0), ("open", 0.5), ("open", 1), ("filled", 0), ("in_progress", 0), ("new", 0), ("newer", 0),
    (DOWN, 0), (busy(retry_after="0"), 0), (busy(retry_after="3"), 1),
]  # fmt: skip


class Run:
    """A wait in a time of its own: each poll is answered by the next of `answers`, the last one for ever."""

    def __init__(self, answers: list[tuple[Any, float]], timeout: float | None, heads: bool = False) -> None:
        self.now = 0.0
        self.wait = Wait(timeout)
        self.polls: list[tuple[float, int | None]] = []
        self.requests: list[float] = []
        self.slept: list[float] = []
        self.answers = answers
        self.heads = heads

    def play(self, most: int = 100_000) -> End | str:
        """Until the wait ends, or the job does."""
        due = None
        for _ in range(most):
            if self.heads and (due is None or self.now >= due):
                self.head()
                due = self.now + 10
            step = self.wait.next(self.now, due)
            if isinstance(step, Pause):
                assert step.seconds > 0, "a pause of nothing"
                self.slept.append(step.seconds)
                self.now += step.seconds
            elif isinstance(step, Poll):
                answer, held = self.answers[min(len(self.polls), len(self.answers) - 1)]
                self.wait.polls(step, self.now)
                self.polls.append((self.now, step.hold))
                self.requests.append(self.now)
                self.now += (step.hold or 0) * held
                if isinstance(answer, FirstHandError):
                    self.wait.failed(answer, self.now, 1.8e9)
                    continue
                self.wait.answered(answer, self.now)
                if answer == "completed":
                    return "completed"
                if self.heads:
                    self.head()
            elif step is End.TIMED_OUT:
                return step
        raise AssertionError("it never ended")

    def head(self) -> None:
        """The list is read."""
        self.wait.count(self.now)
        self.requests.append(self.now)


@pytest.mark.parametrize("deepest", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_no_wait_hammers(deepest: int) -> None:
    """Whatever is answered, there are at most 15 requests in the first 10 s, and the timeout holds to the moment."""
    most = count = 0
    for answers, heads in itertools.product(itertools.product(ANSWERS, repeat=deepest), (False, True)):
        count += 1
        run = Run([*answers], 25, heads)
        try:
            assert run.play() is End.TIMED_OUT
            assert run.now == pytest.approx(25)
        except ServerError:
            assert any(isinstance(answer, ServerError) for answer, _ in answers)
        most = max(most, sum(at < 10 for at in run.requests))
    print(f"\nsearched: {count:,} waits; at most {most} requests in the first 10 s")  # noqa: T201 # `pytest -s` shows how much was searched
    assert most <= 15


@given(st.lists(st.tuples(st.sampled_from(["open", "filled", "in_progress", *map(str, range(40))]), st.just(0)),
                min_size=1, max_size=60), st.booleans())  # fmt: skip
def test_not_even_for_news_without_end(answers: list[tuple[Any, float]], heads: bool) -> None:
    """Statuses of later versions, a new one with each poll, cost no more."""
    run = Run(answers, 12, heads)
    assert run.play() is End.TIMED_OUT
    assert sum(at < 10 for at in run.requests) <= 15


def test_a_failure_is_followed_by_a_pause() -> None:
    """As long as the service asks for, or a growing one."""
    run = Run([("open", 0), (busy(retry_after="7"), 0), (DOWN, 0), (DOWN, 0), ("completed", 0)], None)
    assert run.play() == "completed"
    assert run.slept == [7, 1, 2]


def test_responses_that_stay_garbled_end_the_wait() -> None:
    """Ten in a row are borne, as a gateway's page may be; a good one between starts the count again."""
    garbled = (UnexpectedResponseError("x"), 0.0)
    answers = [*[garbled] * 10, ("open", 0)] * 3
    assert Run([*answers, ("completed", 0)], None).play() == "completed"
    with pytest.raises(UnexpectedResponseError):
        Run([*answers, *[garbled] * 11, ("completed", 0)], None).play()


def test_only_an_advance_makes_a_wait_quick_again() -> None:
    """Replicas that disagree bring a status that was there before, which is none."""
    run = Run([("open", 0), ("filled", 0), ("open", 0), ("filled", 0), ("open", 0), ("in_progress", 0)], 5.5)
    run.play()
    assert run.slept == [0.5, 1, 2, 0.5, 1, 0.5]


def test_a_held_poll_is_followed_at_once() -> None:
    """It was held for as long as it was asked to, or nearly."""
    run = Run([("open", 0), ("open", 0.95), ("open", 1), ("completed", 1)], None)
    assert run.play() == "completed"
    assert [hold for _, hold in run.polls] == [None, 60, 60, 60]
    assert run.slept == []


def test_the_last_second_ends_with_a_look() -> None:
    """No poll can be held for so short a time, so the job is read once more at the very end."""
    run = Run([("open", 1)], 61.5)
    assert run.play() is End.TIMED_OUT
    assert run.polls == [(0.0, None), (0.0, 60), (60.0, 1), (61.5, None)]
    run = Run([("open", 1)], 0)
    assert run.play() is End.TIMED_OUT
    assert run.polls == [(0.0, None)]


def test_the_caller_is_given_its_turn() -> None:
    """At `until`, poll or no poll."""
    wait = Wait(None)
    wait.polls(Poll(None), 0)
    wait.answered("open", 0)
    assert wait.next(0, 10) == Poll(10)
    assert wait.next(9.5, 10) == Pause(0.5)
    assert wait.next(10, 10) is End.DUE


def test_twelve_requests_in_ten_seconds_are_the_most() -> None:
    """Whatever the reason for the next one, it waits until the first is ten seconds old."""
    wait, error = Wait(None), FirstHandConnectionError("down")
    for number in range(11):
        wait.count(number / 2)
    assert wait.rest(Pauses(), 6.0) == wait.pause_after(error, Pauses(), 6.0, 0.0) == 0.5
    wait.count(5.5)
    assert wait.rest(Pauses(), 6.0) == wait.pause_after(error, Pauses(), 6.0, 0.0) == 4.0
    assert wait.rest(Pauses(), 9.75) == wait.pause_after(error, Pauses(), 9.75, 0.0) == 0.5


def test_how_much_of_a_wait_is_left() -> None:
    """Never less than nothing; a wait without limit has no end."""
    assert (Wait(10.0).left(4.0), Wait(10.0).left(12.0), Wait(None).left(4.0)) == (6.0, 0.0, None)


def test_five_statuses_are_news() -> None:
    """The sixth is answered too early, like any response that brings none."""
    wait = Wait(None)
    for number in range(5):
        wait.polls(Poll(60), number * 5.0)
        wait.answered(f"status {number}", number * 5.0)
        assert isinstance(wait.next(number * 5.0), Poll)
    wait.polls(Poll(60), 30.0)
    wait.answered("status 5", 30.0)
    assert isinstance(wait.next(30.0), Pause)


def test_a_poll_is_held_if_it_took_nine_tenths_of_its_time() -> None:
    """Then the next one follows immediately, to the last second."""
    wait = Wait(30.0)
    wait.polls(Poll(None), 0.0)
    wait.answered("open", 0.0)
    wait.polls(Poll(10), 20.0)
    wait.answered("open", 29.0)
    assert wait.next(29.0) == Poll(1)

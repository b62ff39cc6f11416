"""Whether to try again, and when."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.calls.dates import parse_http_date
from firsthandapi._core.calls.headers import Headers
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._core.calls.retry import (
    NoRetry,
    RetryIn,
    asked_to_wait,
    backoff,
    decide,
    parse_retry_after,
)
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandTimeoutError,
    PaginationError,
    RateLimitError,
    UnexpectedResponseError,
)

NOW = 1_800_000_000.0
RETRYABLE = {408, 429, 500, 502, 503, 504}


def headers(**values: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()])


def choose(error: Any, **changes: Any) -> RetryIn | NoRetry:
    arguments: dict[str, Any] = {
        "attempts": 1,
        "max_retries": 3,
        "repeatable": True,
        "key_is_known": True,
        "retry_after": None,
        "time_left": None,
        "line_left": None,
        "jitter": 1.0,
    }
    return decide(error, **{**arguments, **changes})


def test_statuses() -> None:
    """408, 429 and the passing 5xx are tried again, if the request may run twice; nothing else is."""
    decisions = {status: choose(FirstHandApiError("no", status=status)) for status in range(300, 600)}
    statuses = {status for status, decision in decisions.items() if decision == RetryIn(0.5)}
    assert statuses == RETRYABLE
    assert all(decisions[status] == NoRetry() for status in decisions.keys() - statuses)
    assert all(
        choose(FirstHandApiError("no", status=status), repeatable=False) == NoRetry() for status in decisions
    )


def test_an_unreadable_success() -> None:
    """It is asked for once more, unless the client does not retry; the deadline and the key's age hold."""
    error = UnexpectedResponseError("no JSON")
    assert choose(error) == NoRetry()
    assert choose(error, ask_again=True, attempts=4) == RetryIn(0.5)
    assert choose(error, ask_again=True, max_retries=0) == NoRetry()
    assert choose(error, ask_again=True, key_is_known=False) == NoRetry()
    assert choose(error, ask_again=True, time_left=0.5) == NoRetry()
    assert choose(error, ask_again=True, time_left=0.6) == RetryIn(0.5)


@pytest.mark.parametrize("kind", [FirstHandConnectionError, FirstHandTimeoutError])
@pytest.mark.parametrize(
    ("sent", "repeatable", "expected"),
    [(False, False, True), (False, True, True), (True, True, True), (True, False, False)],
)
def test_connection_errors(kind: Any, sent: bool, repeatable: bool, expected: bool) -> None:
    """A connection that was never made is always tried again; a broken one if the request may run twice."""
    decision = choose(kind("broken", request_sent=sent), repeatable=repeatable)
    assert decision == (RetryIn(0.5) if expected else NoRetry())


@pytest.mark.parametrize("why", ["untrusted", "proxy_refused"])
@pytest.mark.parametrize("sent", [False, True])
def test_what_does_not_heal(why: str, sent: bool) -> None:
    """A certificate that is not trusted, and a proxy that refuses, are met once."""
    error = FirstHandConnectionError("no", request_sent=sent)
    setattr(error, why, True)
    assert choose(error) == NoRetry()


@pytest.mark.parametrize(
    "error",
    [
        FirstHandConnectionError("broken"),
        FirstHandConnectionError("never made", request_sent=False),
        FirstHandApiError("busy", status=503),
    ],
)
def test_a_key_that_the_service_may_have_forgotten(error: Any) -> None:
    """Nothing is repeated with it: an attempt before may have bought."""
    assert choose(error, key_is_known=False) == NoRetry()


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("bad"),
        PaginationError("bad"),
        UnexpectedResponseError("bad"),
        DeadlineExceededError("late", deadline=1),
    ],
)
def test_other_errors(error: Any) -> None:
    """What no second attempt can mend is not tried again."""
    assert choose(error) == NoRetry()


@pytest.mark.parametrize(
    ("attempts", "max_retries", "expected"),
    [(1, 0, False), (1, 1, True), (2, 1, False), (3, 3, True), (4, 3, False), (1000, 1000, True)],
)
def test_the_count(attempts: int, max_retries: int, expected: bool) -> None:
    """`max_retries` counts the attempts after the first."""
    decision = choose(FirstHandApiError("no", status=503), attempts=attempts, max_retries=max_retries)
    assert isinstance(decision, RetryIn) is expected


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (50, 8.0), (10_000, 8.0)],
)
def test_backoff(failures: int, seconds: float) -> None:
    """0.5 s · 2ⁿ, at most 8 s, × U(0.5, 1)."""
    assert backoff(failures, jitter=1.0) == seconds
    assert backoff(failures, jitter=0.0) == seconds / 2
    assert backoff(failures, jitter=0.5) == seconds * 0.75


@pytest.mark.parametrize(
    ("retry_after", "time_left", "decision"),
    [
        (0.0, None, RetryIn(0.5)),
        (0.2, None, RetryIn(0.5)),
        (0.2, 0.4, NoRetry()),
        (7.0, None, RetryIn(7.0)),
        (60.0, None, RetryIn(60.0)),
        (60.1, None, NoRetry()),
        (7.0, 8.0, RetryIn(7.0)),
        (7.0, 7.0, NoRetry()),
        (7.0, 1.0, NoRetry()),
        (None, 0.6, RetryIn(0.5)),
        (None, 0.5, NoRetry(out_of_time=True)),
        (None, -1.0, NoRetry(out_of_time=True)),
    ],
)
def test_what_the_service_asks_and_the_deadline_leaves(
    retry_after: float | None, time_left: float | None, decision: Any
) -> None:
    """`Retry-After` is obeyed up to 60 s and the deadline; one beyond is the caller's to decide, at once."""
    error = FirstHandApiError("busy", status=503)
    assert choose(error, retry_after=retry_after, time_left=time_left) == decision


@pytest.mark.parametrize(
    ("retry_after", "overrides", "decision"),
    [
        (7.0, {}, RetryIn(7.0, in_line=True)),
        (0.2, {}, RetryIn(0.5, in_line=True)),
        (60.0, {}, RetryIn(60.0, in_line=True)),
        (60.1, {}, NoRetry()),
        (7.0, {"line_left": 7.1}, RetryIn(7.0, in_line=True)),
        (7.0, {"line_left": 7.0}, NoRetry()),
        (7.0, {"time_left": 7.1, "line_left": 1.0}, RetryIn(7.0, in_line=True)),
        (7.0, {"time_left": 7.0}, NoRetry()),
        (7.0, {"line_left": None}, NoRetry()),
        (None, {}, NoRetry()),
        (7.0, {"repeatable": False}, NoRetry()),
        (7.0, {"key_is_known": False}, NoRetry()),
    ],
)
def test_a_429_goes_back_in_line(retry_after: float | None, overrides: dict[str, Any], decision: Any) -> None:
    """With a usable `Retry-After` it costs no retry, up to 60 s each time, and to the deadline or 5 minutes in all."""
    error = RateLimitError("slow down", status=429)
    arguments = {"max_retries": 0, "line_left": 300.0, **overrides}
    assert choose(error, retry_after=retry_after, **arguments) == decision


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", None),
        ("0.0", None),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0.5", 0.5),
        ("-3", None),
        ("1_0", None),
        ("3600", 3600.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("5, 5", None),
        ("Fri, 99 Foo 2026 10:00:00 GMT", None),
        ("2026", 2026.0),
        ("999999999", 86_400.0),
        ("1000000000", 86_400.0),
        ("9" * 19, 86_400.0),
        ("9" * 5_000 + ".9", 86_400.0),
    ],
)
def test_retry_after_in_seconds_and_junk(text: str, seconds: float | None) -> None:
    """`Retry-After` in seconds is read; 0 and junk are as if it were not there."""
    assert parse_retry_after(headers(retry_after=text), now=NOW) == seconds


@pytest.mark.parametrize("text", ["61", "1000000000", "9" * 400])
@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_of_any_length_is_too_long(text: str, status: int) -> None:
    """A pause with too many digits ends the call, as one of 61 seconds does: it is not taken for a missing header."""
    retry_after = parse_retry_after(headers(retry_after=text), now=NOW)
    assert choose(FirstHandApiError("no", status=status), retry_after=retry_after) == NoRetry()


@pytest.mark.parametrize("local_clock_off_by", [0, -86_400, 3600])
def test_retry_after_as_a_date_counts_from_the_response_date(local_clock_off_by: float) -> None:
    """An HTTP-date counts from the response's own `Date`: a wrong local clock does no harm."""
    dates = headers(retry_after=formatdate(NOW + 42, usegmt=True), date=formatdate(NOW, usegmt=True))
    assert parse_retry_after(dates, now=NOW + local_clock_off_by) == 42


@pytest.mark.parametrize("date", [{}, {"date": "junk"}])
def test_retry_after_as_a_date_without_a_date(date: dict[str, str]) -> None:
    """Without a `Date` that can be read the local clock stands in."""
    dates = headers(retry_after=formatdate(NOW + 42, usegmt=True), **date)
    assert parse_retry_after(dates, now=NOW) == 42


def test_retry_after_in_the_past() -> None:
    """A date that has passed, or is now, is as if it were not there: nothing hammers."""
    for seconds in (-42, 0):
        dates = headers(retry_after=formatdate(NOW + seconds, usegmt=True), date=formatdate(NOW, usegmt=True))
        assert parse_retry_after(dates, now=NOW) is None


def test_no_retry_after() -> None:
    """No header, no wish."""
    assert parse_retry_after(headers(), now=NOW) is None


def test_asked_to_wait() -> None:
    """An error has the wish of the response behind it, if there is one."""
    response = ApiResponse(503, ((b"Retry-After", b"9"),))
    assert asked_to_wait(FirstHandApiError("x", status=503, response=response), now=NOW) == 9
    assert asked_to_wait(FirstHandApiError("x", status=503), now=NOW) is None
    assert asked_to_wait(FirstHandConnectionError("x"), now=NOW) is None
    refused = RateLimitError("x", status=429, response=response)
    assert asked_to_wait(refused, now=NOW) == 9
    refused.retry_after = 1800.0  # by the reset
    assert asked_to_wait(refused, now=NOW) == 1800


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .{0,6}"))
def test_no_date_or_wish_raises(text: str) -> None:
    """Nothing a server writes into `Retry-After` or `Date` raises."""
    parse_http_date(text)
    dates = {"retry-after": text, "date": text}
    seconds = parse_retry_after(dates, now=NOW)
    assert seconds is None or seconds > 0


@given(
    st.integers(1, 2000),
    st.integers(0, 1000),
    st.none() | st.floats(0, 1e6),
    st.none() | st.floats(-10, 1e6),
    st.floats(0, 1),
)
def test_decisions_keep_their_bounds(
    attempts: int, max_retries: int, retry_after: float | None, time_left: float | None, jitter: float
) -> None:
    """No pause is negative, over 60 s, or as long as what is left."""
    decision = choose(
        FirstHandApiError("no", status=503),
        attempts=attempts,
        max_retries=max_retries,
        retry_after=retry_after,
        time_left=time_left,
        jitter=jitter,
    )
    if isinstance(decision, RetryIn):
        assert attempts <= max_retries
        assert 0 <= decision.seconds <= 60
        assert time_left is None or decision.seconds < time_left

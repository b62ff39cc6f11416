"""Whether to retry, and when. Decisions only: the transport sleeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from firsthandapi.errors import (
    RETRYABLE_STATUSES,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    RateLimitError,
    UnexpectedResponseError,
)

from .dates import parse_http_date

FIRST_DELAY = 0.5
LONGEST_DELAY = 8.0
# If the service asks for a longer pause, the call fails immediately: the caller decides.
LONGEST_RETRY_AFTER = 60.0
# A call without a deadline that was refused with a 429 waits in the line of its limiter for so long in all.
LONGEST_IN_LINE = 300.0


@dataclass(frozen=True)
class RetryIn:
    """Retry in `seconds`."""

    seconds: float


@dataclass(frozen=True)
class BackInLine:
    """Wait in the line of the limiter, and send the request again. It costs no retry.

    Attributes:
        seconds: the least to wait, for a limiter that is not the client's own.
    """

    seconds: float


@dataclass(frozen=True)
class NoRetry:
    """Do not retry. `out_of_time`: only the deadline prevents it."""

    out_of_time: bool = False


def parse_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """`Retry-After` in seconds from now, above 0; None if it is missing or junk, 0, or a date that has passed.

    It comes as seconds or as an HTTP-date; a date counts from the response's own `Date`, so that a wrong
    local clock does no harm, and from `now` (Unix seconds) where there is none.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", text):
        seconds = float(text)
    else:
        date = parse_http_date(text)
        if date is None:
            return None
        base = parse_http_date(headers.get("date", ""))
        seconds = date.timestamp() - (now if base is None else base.timestamp())
    return seconds if seconds > 0 else None


def asked_to_wait(error: FirstHandError, *, now: float) -> float | None:
    """Seconds that the response behind `error` asked to wait, or None."""
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        return error.retry_after
    response = error.response if isinstance(error, FirstHandApiError) else None
    return None if response is None else parse_retry_after(response.headers, now=now)


def is_lasting(error: FirstHandConnectionError) -> bool:
    """Whether the next connection will fail in the same way: a certificate is not trusted, or a proxy refuses."""
    return error.untrusted or error.proxy_refused


def backoff(failures: int, *, jitter: float) -> float:
    """Seconds to pause after the n-th failure: 0.5 s · 2ⁿ⁻¹, at most 8 s, × U(0.5, 1); `jitter` is 0 to 1."""
    # The exponent is also capped: a caller with thousands of retries must not overflow a float.
    return float(min(FIRST_DELAY * 2 ** min(failures - 1, 10), LONGEST_DELAY) * (0.5 + jitter / 2))


def decide(
    error: FirstHandError,
    *,
    attempts: int,
    max_retries: int,
    repeatable: bool,
    key_is_known: bool,
    retry_after: float | None,
    time_left: float | None,
    line_left: float | None,
    jitter: float,
    ask_again: bool = False,
) -> RetryIn | BackInLine | NoRetry:
    """What to do after a failed attempt.

    Args:
        error: how it failed.
        attempts: attempts made so far, this one included, but none that a 429 sent back in line.
        max_retries: the client's option.
        repeatable: whether the request may run twice: its verb is idempotent, or it carries a key.
        key_is_known: whether the service surely still knows the key of a POST: with any other, a repeat may buy again.
        retry_after: the pause that the response asked for, in seconds, or None.
        time_left: seconds to the client's deadline, or None.
        line_left: seconds that the call may still wait in line after a 429; None if it does not wait there.
        jitter: a random number, 0 to 1.
        ask_again: whether the request is a POST whose responses could all be read so far. What it did is known only
            from its response, so one that cannot be read is asked for once more, by the same key, unless the client
            does not retry.
    """
    if isinstance(error, UnexpectedResponseError):
        delay = backoff(1, jitter=jitter)
        may_retry = (
            ask_again and max_retries > 0 and key_is_known and (time_left is None or delay < time_left)
        )
        return RetryIn(delay) if may_retry else NoRetry()
    if isinstance(error, FirstHandConnectionError):
        # A connection that was never made has delivered nothing.
        may_retry = (repeatable or not error.request_sent) and not is_lasting(error)
    elif isinstance(error, FirstHandApiError):
        may_retry = repeatable and error.status in RETRYABLE_STATUSES
    else:
        may_retry = False
    if not (may_retry and key_is_known):
        return NoRetry()
    if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
        return NoRetry()
    if isinstance(error, RateLimitError) and retry_after is not None and line_left is not None:
        seconds = max(backoff(1, jitter=jitter), retry_after)
        left = line_left if time_left is None else time_left
        return BackInLine(seconds) if seconds < left else NoRetry()
    if attempts > max_retries:
        return NoRetry()
    # All clients of a service that asks for a shorter pause than the backoff would return at once.
    delay = max(backoff(attempts, jitter=jitter), retry_after or 0.0)
    if time_left is not None and delay >= time_left:
        return NoRetry(out_of_time=retry_after is None)
    return RetryIn(delay)

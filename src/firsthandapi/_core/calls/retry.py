"""Whether to retry, and when. Decisions only: the transport sleeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from firsthandapi.errors import (
    RETRYABLE_STATUSES,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    RateLimitError,
    UnexpectedResponseError,
)

from .dates import parse_http_date

if TYPE_CHECKING:
    from .response import ApiResponse

FIRST_DELAY = 0.5
LONGEST_DELAY = 8.0
# If the service asks for a longer pause, the call fails immediately: the caller decides.
LONGEST_RETRY_AFTER = 60.0
# A longer pause is read as a day: it is too long all the same, and one wrong header must not stop a client for years.
_LONGEST_READ = 86_400.0
# The longest total wait in the limiter's line, for a call without a deadline after a 429.
LONGEST_IN_LINE = 300.0


class RetryIn(NamedTuple):
    """Retry in `seconds`. `in_line`: in the line of the limiter, at no cost of a retry; a limiter of the caller's waits
    at least `seconds`."""

    seconds: float
    in_line: bool = False


class NoRetry(NamedTuple):
    """Do not retry. `out_of_time`: only the deadline prevents it."""

    out_of_time: bool = False


def parse_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """`Retry-After` in seconds from now, above 0; None if it is missing, malformed, 0, or a past date. However many
    digits it has, it is a number.

    It contains seconds or an HTTP-date. A date is relative to the response's own `Date`, so that a wrong local clock
    does not matter; without one, to `now` (Unix seconds).
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        seconds = min(float(text), _LONGEST_READ)
    else:
        date = parse_http_date(text)
        if date is None:
            return None
        base = parse_http_date(headers.get("date", ""))
        seconds = date.timestamp() - (now if base is None else base.timestamp())
    return seconds if seconds > 0 else None


def asked_to_wait(error: FirstHandError, *, now: float) -> float | None:
    """Seconds to wait, as the response in `error` asked; or None."""
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        return error.retry_after
    response = error.response if isinstance(error, FirstHandApiError) else None
    return None if response is None else parse_retry_after(response.headers, now=now)


def stands_still(response: ApiResponse | None) -> bool:
    """Whether a 429 is one of the bundled server whose time stands still: its limit stays spent until a test acts."""
    return response is not None and response.headers.get("x-firsthandapi-clock") == "stopped"


def is_lasting(error: FirstHandConnectionError) -> bool:
    """Whether the next connection will fail as well, because of an untrusted certificate or a proxy that refuses."""
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
) -> RetryIn | NoRetry:
    """What to do after a failed attempt.

    Args:
        error: the failure.
        attempts: attempts so far, with this one, but without those that a 429 sent back in line.
        max_retries: the client's option.
        repeatable: whether the request may run twice: its method is idempotent, or it has an idempotency key.
        key_is_known: whether the service certainly still has the key of a POST; if not, a retry may pay again.
        retry_after: the pause that the response asked for, in seconds, or None.
        time_left: seconds to the client's deadline, or None.
        line_left: seconds that the call may still wait in line after a 429; None if it does not wait there.
        jitter: a random number, 0 to 1.
        ask_again: whether the request is a POST without an unreadable response so far. After the first one, the
            request is sent once more with the same key, because only its response shows what it did.
    """
    if isinstance(error, UnexpectedResponseError):
        delay = backoff(1, jitter=jitter)
        may_retry = (
            ask_again and max_retries > 0 and key_is_known and (time_left is None or delay < time_left)
        )
        return RetryIn(delay) if may_retry else NoRetry()
    if isinstance(error, FirstHandConnectionError):
        # Without a connection nothing was sent.
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
        seconds_left = line_left if time_left is None else time_left
        return RetryIn(seconds, in_line=True) if seconds < seconds_left else NoRetry()
    if attempts > max_retries:
        return NoRetry()
    # A pause shorter than the backoff would make all clients return at once.
    delay = max(backoff(attempts, jitter=jitter), retry_after or 0.0)
    if time_left is not None and delay >= time_left:
        return NoRetry(out_of_time=retry_after is None)
    return RetryIn(delay)

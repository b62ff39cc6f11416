"""What the service says about its rate limit, and how long to hold back when nothing is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from .dates import parse_http_date

# A window is a minute long; a reset further away than that is a broken clock, not a limit.
LONGEST_HOLD = 60.0


@dataclass(frozen=True)
class RateLimit:
    """The rate limit as of the latest response; truthy while a call may be made.

    Attributes:
        limit: requests a window.
        remaining: requests left in this window.
        reset: when the window ends.
    """

    limit: int
    remaining: int
    reset: datetime

    def __bool__(self) -> bool:
        return self.remaining > 0


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """The three `x-ratelimit-*` headers, or None if one is missing or is not a number."""
    try:
        return RateLimit(
            limit=int(headers["x-ratelimit-limit"]),
            remaining=int(headers["x-ratelimit-remaining"]),
            reset=datetime.fromtimestamp(float(headers["x-ratelimit-reset"]), UTC),
        )
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def hold_back(rate_limit: RateLimit | None, headers: Mapping[str, str], *, now: float) -> float:
    """Seconds, 0 to 60, to wait after this response before the next request.

    The wait is the reset minus the response's own `Date`, so that a wrong local clock does no harm;
    `now` (Unix seconds) stands in where there is none.
    """
    if rate_limit is None or rate_limit:
        return 0.0
    date = parse_http_date(headers.get("date", ""))
    start = now if date is None else date.timestamp()
    return min(max(rate_limit.reset.timestamp() - start, 0.0), LONGEST_HOLD)

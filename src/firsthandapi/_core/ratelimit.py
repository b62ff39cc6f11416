"""The rate limit of an API key: what the service reports, and how many requests may still be sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from firsthandapi._masking import Secret

from .dates import parse_http_date
from .retry import parse_retry_after

if TYPE_CHECKING:
    from .response import ApiResponse

# A window is a minute long; a reset further away than that is a broken clock, not a limit.
LONGEST_WINDOW = 60.0
# The limit of an API key (contract §1, "Rate limits"), until a response reports another.
USUAL_LIMIT = 100
# While the window is unknown, so many requests go ahead, and the others wait for a response, but no longer than
# `PATIENCE` seconds. After a reset one is enough to learn the new window.
FIRST_PROBES = 8
PATIENCE = 1.0
# A service counts a request when it arrives, and responds to a long-poll a minute later. So long after it was sent,
# a request has arrived.
_ARRIVED = 5.0
# Services round the reset to whole seconds.
_SAME_RESET = 1.0


@dataclass(frozen=True)
class RateLimit:
    """The rate limit as of the latest response; truthy while a call may be made.

    Attributes:
        limit: requests per window.
        remaining: requests left in this window.
        reset: when the window ends.
    """

    limit: int
    remaining: int
    reset: datetime

    def __bool__(self) -> bool:
        return self.remaining > 0


class RateLimiter(Protocol):
    """A request budget, shared by all that use an API key: what `rate_limiter=` takes.

    The client's own counts for one client and its copies. Write one for many processes; its methods may be
    called by many threads at once.
    """

    def acquire(self, key: str, *, timeout: float | None) -> Any:
        """Wait until a request may be sent.

        Args:
            key: a fingerprint of the API key, the same in every process; not the key itself.
            timeout: the most seconds to wait; None for no limit.

        Returns:
            Whatever `observe` needs to know about this request.

        Raises:
            TimeoutError: the request may not be sent within `timeout`.
        """
        ...

    def observe(self, key: str, permit: Any, response: ApiResponse | None, *, sent: bool) -> None:
        """Learn the result of a request. What this raises is logged; the call continues.

        Args:
            key: as for `acquire`.
            permit: what `acquire` returned.
            response: its response, an error or not; None if none came.
            sent: whether the service may have counted the request.
        """
        ...


class AsyncRateLimiter(Protocol):
    """The same for the async client. When a call is cancelled, so is its `observe`."""

    async def acquire(self, key: str, *, timeout: float | None) -> Any:
        """Wait until a request may be sent.

        Args:
            key: see `RateLimiter`.
            timeout: the most seconds to wait; None for no limit.

        Returns:
            Whatever `observe` needs to know about this request.

        Raises:
            TimeoutError: the request may not be sent within `timeout`.
        """
        ...

    async def observe(self, key: str, permit: Any, response: ApiResponse | None, *, sent: bool) -> None:
        """Learn the result of a request. What this raises is logged; the call continues.

        Args:
            key: see `RateLimiter`.
            permit: what `acquire` returned.
            response: its response, an error or not; None if none came.
            sent: whether the service may have counted the request.
        """
        ...


def fingerprint(api_key: Secret[str] | None) -> str:
    """What names a key to a `RateLimiter`: 32 hex digits that do not lead back to it."""
    import hashlib  # it loads OpenSSL

    return hashlib.sha256(
        f"firsthandapi rate limit {'' if api_key is None else api_key.reveal()}".encode()
    ).hexdigest()[:32]


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


def seconds_to_reset(rate_limit: RateLimit, headers: Mapping[str, str], *, now: float) -> float:
    """Seconds from the response to the end of its window, 0 to 60.

    They are the reset minus the response's own `Date`, so that a wrong local clock does no harm. `now` (Unix
    seconds) stands in where there is none, and where the two agree: `Date` has whole seconds only.
    """
    date = parse_http_date(headers.get("date", ""))
    start = now if date is None or 0 <= now - date.timestamp() < 1 else date.timestamp()
    return min(max(rate_limit.reset.timestamp() - start, 0.0), LONGEST_WINDOW)


class Permit(NamedTuple):
    """One request may be sent, and was counted. For the response of a `probe` others wait.

    Attributes:
        time: when it was counted, in monotonic seconds.
        order: its place among all requests and responses of the budget; clocks may stand still.
        probe: whether the window was unknown, and it goes ahead.
    """

    time: float
    order: int
    probe: bool = False


class Wait(NamedTuple):
    """No request may be sent for `seconds`. `for_reset`: nothing but time will change that."""

    seconds: float
    for_reset: bool


class _Said(NamedTuple):
    rate_limit: RateLimit
    headers: Mapping[str, str]
    monotonic: float
    time: float
    order: int


class RequestBudget:
    """How many requests of a key may still be sent in its window.

    Each response reports the number left. Between two responses this counts down, as requests are sent. When
    none is left it waits for the reset, and then for the first response of the new window.
    """

    def __init__(self) -> None:
        self._limit: int | None = None
        self._left = USUAL_LIMIT
        self._order = 0
        self._in_flight: dict[int, float] = {}  # when each was sent, by its order
        # Whether the count is that of a window the service has described. `_unlimited`: it describes none.
        self._known = self._unlimited = False
        self._reset = self._begun = -math.inf  # the reset in the service's words; monotonic seconds
        self._ends = math.inf
        self._said: _Said | None = None
        self._probes: set[Permit] = set()
        self._probing_since = 0.0

    def take(self, now: float) -> Permit | Wait:
        """Count one request, sent at `now` (monotonic seconds), or say how long to wait before the next look."""
        if self._unlimited:
            return self._go(now)
        if self._known and self._left <= 0:
            ends = self._end_of_window()
            if now < ends:
                return Wait(ends - now, for_reset=True)
            self._known, self._begun, self._left = False, ends, self._most()
            self._probes.clear()
        if self._known:
            return self._go(now)
        if len(self._probes) < (FIRST_PROBES if self._limit is None else 1):
            if not self._probes:
                self._probing_since = now
            return self._go(now, probe=True)
        if self._left <= 0:
            return Wait(PATIENCE, for_reset=False)
        patience = self._probing_since + PATIENCE - now
        return Wait(patience, for_reset=False) if patience > 0 else self._go(now)

    def _go(self, now: float, *, probe: bool = False) -> Permit:
        self._order += 1
        permit = Permit(now, self._order, probe)
        if probe:
            self._probes.add(permit)
        self._left -= 1
        self._in_flight[self._order] = now
        return permit

    def observe(
        self,
        permit: Permit,
        response: ApiResponse | None,
        *,
        sent: bool,
        now: float,
        time: float,
    ) -> None:
        """Learn the result of a request; `now` is in monotonic seconds, `time` in Unix seconds."""
        self._in_flight.pop(permit.order, None)
        self._order += 1
        if permit.probe:
            self._probes.discard(permit)
        if response is None or (response.rate_limit is None and response.status_code >= 500):
            # A gateway responded, or nobody. In a known window the service may still have counted the request.
            if not sent or not self._known:
                self._left = min(self._left + 1, self._most())
        elif response.rate_limit is not None:
            self._learn(permit, _Said(response.rate_limit, response.headers, now, time, self._order))
        elif response.status_code == 429:
            seconds = parse_retry_after(response.headers, now=time)
            if seconds is not None:
                self._known, self._unlimited, self._left = True, False, 0
                self._said, self._ends = None, now + min(seconds, LONGEST_WINDOW)
        elif self._limit is None:
            self._unlimited = True

    def _learn(self, permit: Permit, said: _Said) -> None:
        reset, before = said.rate_limit.reset.timestamp(), self._said
        self._unlimited = False
        if self._known:
            # A request sent after a response came has less left than that response said, or is of a new window.
            refilled = (
                before is not None
                and permit.order > before.order
                and said.rate_limit.remaining > before.rate_limit.remaining
            )
            new = refilled or reset > self._reset + _SAME_RESET
        else:
            new = permit.time >= self._begun or reset > self._reset + _SAME_RESET
        if new:
            self._known, self._limit, self._reset = True, said.rate_limit.limit, reset
            on_their_way = sum(said.monotonic - sent < _ARRIVED for sent in self._in_flight.values())
            self._left = said.rate_limit.remaining - on_their_way
            self._said, self._ends = said, math.inf
            self._probes.clear()
        elif self._known and reset >= self._reset - _SAME_RESET:
            # Responses come in any order: requests spent since this one do not come back.
            self._left = min(self._left, said.rate_limit.remaining)
            self._end_of_window()
            self._said = said

    def _end_of_window(self) -> float:
        # Only now, when it counts: reading a date costs more than all else here.
        if self._left <= 0 and self._said is not None:
            said = self._said
            seconds = seconds_to_reset(said.rate_limit, said.headers, now=said.time)
            # Each response rounds the end up in its own way; the earliest is the closest.
            self._ends = min(self._ends, said.monotonic + seconds)
        return self._ends

    def _most(self) -> int:
        return USUAL_LIMIT if self._limit is None else self._limit

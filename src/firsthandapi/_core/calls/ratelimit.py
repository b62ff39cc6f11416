"""The rate limit of an API key: what the service reports, and how many requests may still be sent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from firsthandapi._base.counts import count_of
from firsthandapi._base.masking import Secret
from firsthandapi.errors import RateLimitError

from .dates import parse_http_date
from .retry import FIRST_DELAY, parse_retry_after

if TYPE_CHECKING:
    from .response import ApiResponse

# Callers wait for the reset of a window of a minute. A later reset, as of an hourly limit, is an error.
LONGEST_WINDOW = 60.0
# Services round the reset up, and `Date` down, to whole seconds.
_ROUNDING = 2.0
_HOUR = 3_600.0 + _ROUNDING
# A reset that is further away shows no period: it comes from a wrong clock.
_LONGEST_PERIOD = 24 * 3_600.0 + _ROUNDING
# The limit of an API key (contract §1, "Rate limits"), until a response reports another.
USUAL_LIMIT = 100
# While the window is unknown, this many requests are sent, and the others wait for a response, but no longer than
# `PATIENCE` seconds. After a reset, one request is enough to learn the new window.
FIRST_PROBES = 8
PATIENCE = 1.0
# The service counts a request when it arrives, and may respond to a long-poll a minute later. After this many seconds,
# a request has arrived.
_ARRIVED = 5.0
# Services round the reset to whole seconds.
_SAME_RESET = 1.0
# Processes that share a key wait up to this part longer, at most a second, so that they do not all return at once.
_SPREAD = 0.1


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
    """A request budget for an API key, as `rate_limiter=` takes it.

    The built-in one counts for one client and its copies. Write your own to share an API key among processes; many
    threads may call its methods at once.
    """

    def acquire(self, key: str, *, timeout: float | None) -> Any:
        """Wait until a request may be sent.

        Args:
            key: a fingerprint of the API key, the same in every process.
            timeout: the most seconds to wait; None for no limit.

        Returns:
            What `observe` needs to know about this request.

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
        """As `RateLimiter.acquire`, whose `key` and `timeout` it takes."""
        ...

    async def observe(self, key: str, permit: Any, response: ApiResponse | None, *, sent: bool) -> None:
        """As `RateLimiter.observe`, whose `key`, `permit`, `response`, and `sent` it takes."""
        ...


def fingerprint(api_key: Secret[str] | None) -> str:
    """The fingerprint of an API key for a `RateLimiter`: 32 hex digits that do not reveal it."""
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
    """Seconds from the response to the end of its window, 0 or more.

    The reset minus the response's own `Date`, so that a wrong local clock does not matter. Without a `Date`, and where
    both clocks agree, `now` (Unix seconds) is used, because `Date` has whole seconds only.
    """
    date = parse_http_date(headers.get("date", ""))
    start = now if date is None or 0 <= now - date.timestamp() < 1 else date.timestamp()
    seconds = max(rate_limit.reset.timestamp() - start, 0.0)
    return LONGEST_WINDOW if LONGEST_WINDOW < seconds < LONGEST_WINDOW + _ROUNDING else seconds


def asked_to_hold(response: ApiResponse, *, now: float) -> float | None:
    """Seconds until the service accepts requests again: the `Retry-After` of a 429, or the reset of a limit that is
    spent for longer than a minute; None if unknown. `now` is in Unix seconds."""
    asked = parse_retry_after(response.headers, now=now) if response.status_code == 429 else None
    rate_limit = response.rate_limit
    if rate_limit is not None and rate_limit.remaining <= 0:
        seconds = seconds_to_reset(rate_limit, response.headers, now=now)
        if seconds > LONGEST_WINDOW:
            return max(asked or 0.0, seconds)
    return asked


def believed_hold(response: ApiResponse, seconds: float, *, now: float, period: float = 0.0) -> float:
    """For how many of the `seconds` of `asked_to_hold` no request is sent: for those that `Retry-After` asks for. A
    reset, which one wrong clock moves by years, is believed for the limit's `period`, if that is known, or a minute."""
    asked = parse_retry_after(response.headers, now=now) if response.status_code == 429 else None
    return min(seconds, max(asked or 0.0, period, LONGEST_WINDOW))


def spent(rate_limit: RateLimit | None, seconds: float, *, now: float) -> str:
    """The message that a limit is spent for another `seconds`; `now` is in Unix seconds."""
    limit = "the rate limit"
    if rate_limit is not None and rate_limit.remaining <= 0:
        # The service reports no period, so this is the shortest that fits the wait.
        period = " per hour" if seconds <= _HOUR else " per day" if seconds <= 24 * _HOUR else ""
        limit = f"the limit of {count_of(rate_limit.limit, 'request')}{period}"
    try:
        until = f"{datetime.fromtimestamp(now + seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        until = "a time beyond all calendars"
    return f"{limit} of this API key is spent until {until}: wait {math.ceil(seconds):,} s, or use another API key"


def spent_error(
    rate_limit: RateLimit | None, seconds: float, *, believed: float, now: float
) -> RateLimitError:
    """The error for a request that is not sent, because the service would refuse it for the next `seconds`, of which
    `believed` pass before a request finds out."""
    message = f"the request was not sent: {spent(rate_limit, seconds, now=now)}"
    if believed < seconds:
        message += f"; a call after {math.ceil(believed):,} s asks the service again"
    error = RateLimitError(message, status=429, type="rate_limit_exceeded", attempts=0)
    error.retry_after, error.rate_limit, error.believed_for = seconds, rate_limit, believed
    return error


class Permit(NamedTuple):
    """One request may be sent, and is counted.

    Attributes:
        time: when it was counted, in monotonic seconds.
        order: its number among all requests and responses of the budget, because a clock may stand still.
        probe: whether the window is unknown, so that other requests wait for its response.
    """

    time: float
    order: int
    probe: bool = False


class Hold(NamedTuple):
    """No request may be sent for `seconds`. `for_reset`: only time changes that. `reported`: the seconds that the
    service reports, if these are more."""

    seconds: float
    for_reset: bool
    reported: float = 0.0


class _Report(NamedTuple):
    rate_limit: RateLimit
    headers: Mapping[str, str]
    monotonic: float
    time: float
    order: int


class RequestBudget:
    """How many requests may still be sent in the window of one limit.

    Each response reports the remaining number; between responses, each sent request counts down. At zero, callers wait
    for the reset, and then for the first response of the new window.

    Args:
        order: numbers all requests and responses of the key.
        probes: how many requests go ahead while nothing is known.
    """

    def __init__(self, order: Iterator[int] | None = None, *, probes: int = FIRST_PROBES) -> None:
        self.limit: int | None = None
        self.rate_limit: RateLimit | None = None  # as last reported
        # Whether other processes use the same limit, as a 429 shows.
        self.is_shared: bool = False
        self._order = itertools.count(1) if order is None else order
        self._first_probes = probes
        self._left = USUAL_LIMIT
        self._in_flight: dict[int, float] = {}  # when each was sent, by its order
        # Whether the service has described the current window. `_unlimited`: it reports no limit.
        self._known = self._unlimited = False
        self._reset = self._begun = -math.inf  # the reset in Unix seconds, as reported; monotonic seconds
        # The end of the window as far as it is believed, and as the service describes it.
        self._ends = self._reported_ends = math.inf
        self._refused_until = -math.inf  # by a 429
        # The seconds that were left of the current window when it was first described, with requests left; and the most
        # such seconds on which two responses agreed, so that one wrong clock shows no period.
        self._length = self._period = 0.0
        self._report: _Report | None = None
        self._probes: set[Permit] = set()
        self._probing_since = 0.0

    def take(self, now: float) -> Permit | Hold:
        """Count one request, sent at `now` (monotonic seconds), or return how long to wait before the next try."""
        if self._known and self._left <= 0:
            wait = self._until_reset(now)
            if wait.seconds > 0:
                return wait
            self._known, self._begun, self._left = False, now + wait.seconds, self._most()
            self._probes.clear()
        if self.is_shared and self._many_unanswered(now):
            # Each of the processes that share the window might have as many requests in flight.
            return Hold(PATIENCE, for_reset=False)
        if self._known or self._unlimited:
            return self._go(now)
        if len(self._probes) < (self._first_probes if self.limit is None else 1):
            if not self._probes:
                self._probing_since = now
            return self._go(now, probe=True)
        patience = self._probing_since + (PATIENCE if self._left > 0 else LONGEST_WINDOW) - now
        if patience > 0:
            return Hold(min(patience, PATIENCE), for_reset=False)
        if self._left <= 0:
            # A new window has begun, and the requests that should have described it were lost.
            self._probing_since, self._left = now, self._most()
        return self._go(now)

    def spread(self, seconds: float, *, jitter: float) -> float:
        """Extra seconds for a wait; `jitter` is 0 to 1."""
        return min(seconds * _SPREAD, 1.0) * (1 - jitter) if self.is_shared else 0.0

    def refused_for(self, now: float) -> Hold | None:
        """The wait until the service accepts requests again, after a 429 or at a long limit; else None."""
        if not self._known or self._left > 0:
            return None
        wait = self._until_reset(now)
        is_refused = self._refused_until > now or max(wait.seconds, wait.reported) > LONGEST_WINDOW
        return wait if is_refused and wait.seconds > 0 else None

    def _until_reset(self, now: float) -> Hold:
        ends = max(self._end_of_window(), self._refused_until)
        reported = self._reported_ends - now if self._reported_ends > ends else 0.0
        return Hold(ends - now, for_reset=True, reported=reported)

    def release(self, permit: Permit) -> None:
        """Uncount a request that another budget counts."""
        self._in_flight.pop(permit.order, None)
        self._probes.discard(permit)
        self._left = min(self._left + 1, self._most())

    def _many_unanswered(self, now: float) -> bool:
        latest = itertools.islice(reversed(self._in_flight.values()), FIRST_PROBES)
        return sum(now - sent < PATIENCE for sent in latest) == FIRST_PROBES

    def _go(self, now: float, *, probe: bool = False) -> Permit:
        permit = Permit(now, next(self._order), probe)
        if probe:
            self._probes.add(permit)
        self._left -= 1
        self._in_flight[permit.order] = now
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
        if permit.probe:
            self._probes.discard(permit)
        if response is None or (response.rate_limit is None and response.status_code >= 500):
            # No response, or a gateway's. In a known window, the service may have counted the request.
            if not sent or not self._known:
                self._left = min(self._left + 1, self._most())
            return
        if response.rate_limit is not None:
            self.rate_limit = response.rate_limit
            report = _Report(response.rate_limit, response.headers, now, time, next(self._order))
            self._learn(permit, report)
        if response.status_code == 429:
            self._refuse(response, now=now, time=time)
        elif response.rate_limit is None and self.limit is None:
            self._unlimited = True

    def _refuse(self, response: ApiResponse, *, now: float, time: float) -> None:
        self.is_shared = True
        seconds = asked_to_hold(response, now=time)
        if seconds is None:
            return
        rate_limit = response.rate_limit
        if rate_limit is not None:
            to_reset = seconds_to_reset(rate_limit, response.headers, now=time)
            if to_reset == 0 and seconds > LONGEST_WINDOW:
                return  # its window is over, so the long pause is for this request only
            if rate_limit.remaining <= 0:
                seconds = max(seconds, to_reset)
        self._known, self._unlimited, self._left = True, False, 0
        self._report = None  # the 429 alone decides when the window ends
        seconds = max(seconds, FIRST_DELAY)
        believed = believed_hold(response, seconds, now=time, period=self._period)
        self._refused_until = max(self._refused_until, now + believed)
        self._reported_ends = max(self._refused_until, now + seconds)

    def _learn(self, permit: Permit, report: _Report) -> None:
        reset, last_report = report.rate_limit.reset.timestamp(), self._report
        self._unlimited = False
        if self._known:
            # More requests left than an earlier response reported: a new window.
            refilled = (
                last_report is not None
                and permit.order > last_report.order
                and report.rate_limit.remaining > last_report.rate_limit.remaining
            )
            new = refilled or reset > self._reset + _SAME_RESET or report.rate_limit.limit != self.limit
        else:
            new = permit.time >= self._begun or reset > self._reset + _SAME_RESET
        if new:
            self._known, self.limit, self._reset = True, report.rate_limit.limit, reset
            on_their_way = sum(report.monotonic - sent < _ARRIVED for sent in self._in_flight.values())
            self._left = report.rate_limit.remaining - on_their_way
            self._report, self._ends, self._reported_ends = report, math.inf, math.inf
            seconds = seconds_to_reset(report.rate_limit, report.headers, now=report.time)
            self._length = seconds if report.rate_limit.remaining > 0 and seconds <= _LONGEST_PERIOD else 0.0
            self._probes.clear()
        elif self._known and reset >= self._reset - _SAME_RESET:
            # Responses arrive in any order, so the count never rises within a window.
            self._left = min(self._left, report.rate_limit.remaining)
            self._period = max(self._period, self._length)
            self._end_of_window()
            self._report = report

    def _end_of_window(self) -> float:
        # Only when needed, because parsing a date is slow.
        if self._left <= 0 and self._report is not None:
            report = self._report
            seconds = seconds_to_reset(report.rate_limit, report.headers, now=report.time)
            # Each response rounds the end up differently; the earliest is the closest.
            self._reported_ends = min(self._reported_ends, report.monotonic + seconds)
            self._ends = min(self._ends, report.monotonic + min(seconds, max(self._period, LONGEST_WINDOW)))
        return -math.inf if self._report is None else self._ends

    def _most(self) -> int:
        return USUAL_LIMIT if self.limit is None else self.limit


class RequestBudgets:
    """The budgets of an API key: one for each limit that the service reports.

    The responses of an endpoint report its limit; until the first one, the endpoint has a budget of its own.
    """

    def __init__(self) -> None:
        self._order = itertools.count(1)
        self._by_endpoint: dict[str, RequestBudget] = {}
        # None: the budget of endpoints without a limit.
        self._by_limit: dict[int | None, RequestBudget] = {}

    def of(self, endpoint: str) -> RequestBudget:
        """The budget of an endpoint."""
        budget = self._by_endpoint.get(endpoint)
        if budget is None:
            # Another limit is known and probably the same, so one request is enough to learn it.
            budget = RequestBudget(self._order, probes=1 if self._by_limit else FIRST_PROBES)
            self._by_endpoint[endpoint] = budget
        return budget

    def take(self, endpoint: str, now: float) -> Permit | Hold:
        """As `RequestBudget.take`."""
        budget = self.of(endpoint)
        if not self._is_learned(budget):
            # This endpoint probably shares the limit for which another one was refused.
            waits = [wait for peer in self._by_limit.values() if (wait := peer.refused_for(now)) is not None]
            if waits:
                return max(waits)
        return budget.take(now)

    def observe(
        self,
        endpoint: str,
        taken_from: RequestBudget,
        permit: Permit,
        response: ApiResponse | None,
        *,
        sent: bool,
        now: float,
        time: float,
    ) -> RequestBudget:
        """As `RequestBudget.observe`; returns the endpoint's budget before this response, which may have changed."""
        old_budget = budget = self.of(endpoint)
        if response is not None and (response.rate_limit is not None or response.status_code < 500):
            limit = None if response.rate_limit is None else response.rate_limit.limit
            learned = self._is_learned(old_budget)
            if limit is not None or not learned:
                budget = self._by_limit.get(limit, old_budget)
                if budget is old_budget:
                    # The first limit of this endpoint; or the limit has changed, for all endpoints that share it.
                    rest = {key: peer for key, peer in self._by_limit.items() if peer is not old_budget}
                    self._by_limit = {**rest, limit: old_budget}
            self._by_endpoint[endpoint] = budget
        if budget is not taken_from:
            taken_from.release(permit)
        budget.observe(permit, response, sent=sent, now=now, time=time)
        return old_budget

    def _is_learned(self, budget: RequestBudget) -> bool:
        return any(peer is budget for peer in self._by_limit.values())

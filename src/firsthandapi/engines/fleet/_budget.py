"""One budget of requests in Redis. All decisions are made there, in one step each, by the clock of Redis."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from firsthandapi._core.calls.ratelimit import (
    LONGEST_WINDOW,
    USUAL_LIMIT,
    Hold,
    RateLimit,
    RequestBudget,
    asked_to_hold,
    believed_hold,
    seconds_to_reset,
    spent_error,
)
from firsthandapi._core.calls.ratelimit import Permit as AlonePermit
from firsthandapi._core.calls.retry import parse_retry_after, stands_still

from ._redis import connect, failures, said

if TYPE_CHECKING:
    from firsthandapi._core.calls.response import ApiResponse

_log = logging.getLogger("firsthandapi")

# Who waits in the line of processes shows up this often; who does not for `_GONE` has died.
_SHOW_UP = 0.5
_GONE = 2.0
# How soon to look again while it is the turn of another process, or of a thread of this one.
_TURN = 0.01
# After a failure of Redis, calls go ahead without it for so long.
_PAUSE = 1.0
# Without Redis a process knows what a response said, but not what other processes have sent since: so much less is
# left, or a tenth of the limit if that is smaller.
_UNSURE = 8
# Headers have whole seconds, so a window that has just ended may seem to have some left.
_ROUNDING = 1.5

# KEYS: budget, line (a sorted set: process → place), seen (a hash: process → when)
# ARGV: process, usual limit, milliseconds of a window, milliseconds after which a process is gone; for a Redis that has
#   lost the budget, what this process knows of it: how many are left and milliseconds to the reset, or ''; milliseconds
#   of a turn
# Returns {1, number of the window}, or {0, milliseconds to wait}.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local budget, line, seen = KEYS[1], KEYS[2], KEYS[3]
local left, ends, limit, window = unpack(redis.call('HMGET', budget, 'left', 'ends', 'limit', 'window'))
-- Beyond this, numbers of Lua are no longer exact. What is no number ("nan") is neither smaller nor larger.
local function number(text, least)
  local found = tonumber(text)
  return found and found >= least and found < 9007199254740992 and found or nil
end
local known = ends
left, ends, window = number(left, 0), number(ends, 0), number(window, 0)
limit = number(limit, 1) or tonumber(ARGV[2])
-- An end that is too far away comes from a clock that was set back, or from nonsense.
if not (left and ends and window) or now >= ends or ends - now > 2 * tonumber(ARGV[3]) then
  left, ends, window = limit, now + tonumber(ARGV[3]), (window or 0) + 1
  if not known and ARGV[5] ~= '' then
    left, ends = tonumber(ARGV[5]), now + tonumber(ARGV[6])
    redis.call('HSET', budget, 'described', window)
  end
  redis.call('HSET', budget, 'left', left, 'ends', ends, 'limit', limit, 'window', window)
end
local first, silent
while true do
  first = redis.call('ZRANGE', line, 0, 0)[1]
  if not first or first == ARGV[1] then break end
  silent = now - (number(redis.call('HGET', seen, first) or 0, 0) or 0)
  -- A time in the future comes from a clock that was set back, so nobody knows when that was.
  if math.abs(silent) < tonumber(ARGV[4]) then break end
  redis.call('ZREM', line, first)
  redis.call('HDEL', seen, first)
end
local keep = tonumber(ARGV[3]) * 2
if left > 0 and (not first or first == ARGV[1]) then
  redis.call('HSET', budget, 'left', left - 1)
  redis.call('ZREM', line, ARGV[1])
  redis.call('HDEL', seen, ARGV[1])
  redis.call('PEXPIRE', budget, keep)
  return {1, window}
end
if not redis.call('ZSCORE', line, ARGV[1]) then
  redis.call('ZADD', line, redis.call('HINCRBY', budget, 'places', 1), ARGV[1])
end
redis.call('HSET', seen, ARGV[1], now)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep) end
-- Who is further back has more time, and so has everybody if the first is silent.
if left > 0 then return {0, math.max(ARGV[7] * redis.call('ZRANK', line, ARGV[1]), silent / 4)} end
return {0, ends - now}
"""

# KEYS: budget. ARGV: window of the request, limit or '', remaining or '', milliseconds to the reset or '', and how many
#   of those a window that has ended may seem to have
_LEARN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left, ends, window, described, limit = unpack(
  redis.call('HMGET', KEYS[1], 'left', 'ends', 'window', 'described', 'limit'))
if not window then return 0 end
if tonumber(window) ~= tonumber(ARGV[1]) then
  -- Sent at the end of one window, it has arrived in the next, and counts there.
  if ARGV[4] ~= '' and tonumber(ARGV[4]) > tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[1], 'left', math.max((tonumber(left) or 0) - 1, 0))
  end
  return 0
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'limit', ARGV[2])
  -- The window may have begun with a smaller limit, such as the usual one. Of the requests that were granted in it, the
  -- remainder may count only this one.
  if described ~= window and tonumber(ARGV[2]) > (tonumber(limit) or math.huge) then
    local others = tonumber(limit) - tonumber(left) - 1
    left = math.max(left, math.min(left + ARGV[2] - limit, ARGV[3] - others))
    redis.call('HSET', KEYS[1], 'left', left)
  end
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'left', math.min(tonumber(left), tonumber(ARGV[3]))) end
if ARGV[4] ~= '' then
  local reset = now + tonumber(ARGV[4])
  if described == window then reset = math.min(reset, tonumber(ends)) end
  redis.call('HSET', KEYS[1], 'ends', reset, 'described', window)
end
return 1
"""

# KEYS: budget. ARGV: window of the request
_GIVE_BACK = """
local left, window, limit = unpack(redis.call('HMGET', KEYS[1], 'left', 'window', 'limit'))
if window and tonumber(window) == tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'left', math.min(tonumber(left) + 1, tonumber(limit) or 0))
end
return 1
"""

_LEAVE = "redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('HDEL', KEYS[2], ARGV[1]) return 1"


@dataclass(frozen=True)
class SharedPermit:
    """A request may be sent.

    Attributes:
        window: the number of the window that it counts in; None if Redis was gone.
        alone: then, the permit of the process's own count.
    """

    window: int | None
    alone: AlonePermit | None = None


class SharedBudget:
    """The requests of an API key that all processes share. Blocking; any thread may call it."""

    def __init__(self, url: str, prefix: str, options: dict[str, Any]) -> None:
        redis = connect(url, options)
        self._take, self._learn = redis.register_script(_TAKE), redis.register_script(_LEARN)
        self._back, self._leave = redis.register_script(_GIVE_BACK), redis.register_script(_LEAVE)
        self._failures = failures()
        self._prefix = prefix
        self._lock = threading.Lock()
        self._gone_until = -math.inf
        self._warned = False
        # While Redis is gone, each process counts by itself.
        self._alone: dict[str, RequestBudget] = {}
        # What the latest response said: how many are left, and when the window ends, in monotonic seconds.
        self._last: dict[str, tuple[int, float]] = {}
        # A limit that is spent for longer than a minute, until when, and when one request finds out whether that is so:
        # in monotonic seconds.
        self._spent: dict[str, tuple[RateLimit | None, float, float]] = {}
        self._member = ""
        self._pid = 0

    def take(self, key: str) -> SharedPermit | float:
        """A permit, or the seconds after which to ask again.
        Raises RateLimitError: the service would refuse the request for longer than a minute.
        """
        now = time.monotonic()
        rate_limit, until, believed = self._spent.get(key, (None, -math.inf, -math.inf))
        if until - now > LONGEST_WINDOW:
            if now < believed:
                raise spent_error(rate_limit, until - now, believed=believed - now, now=time.time())
            self._spent[key] = rate_limit, until, now + LONGEST_WINDOW  # one request of this process
        if time.monotonic() >= self._gone_until:
            arguments = [
                self._me(),
                USUAL_LIMIT,
                int(LONGEST_WINDOW * 1000),
                int(_GONE * 1000),
                *self._known(key),
                int(_TURN * 1000),
            ]
            try:
                granted, value = _checked(self._take(keys=self._keys(key), args=arguments))
            except self._failures as error:
                self._warn(error)
            else:
                self._returned(key)
                if granted:
                    return SharedPermit(value)
                # A process that waits shows that it lives.
                return min(value / 1000, _SHOW_UP)
        return self._take_alone(key)

    def _take_alone(self, key: str) -> SharedPermit | float:
        with self._lock:
            answer = self._alone.setdefault(key, RequestBudget()).take(time.monotonic())
        if isinstance(answer, Hold):
            return min(answer.seconds, _SHOW_UP) if answer.for_reset else _TURN
        return SharedPermit(None, answer)

    def _known(self, key: str) -> list[Any]:
        remaining, ends = self._last.get(key, (0, -math.inf))
        seconds = ends - time.monotonic()
        return [remaining, math.ceil(seconds * 1000)] if seconds > 0 else ["", ""]

    def leave(self, key: str) -> None:
        """Give up the place in the line of processes."""
        if time.monotonic() >= self._gone_until:
            try:
                self._leave(keys=self._keys(key)[1:], args=[self._me()])
            except self._failures as error:
                self._warn(error)

    def learn(self, key: str, permit: SharedPermit, response: ApiResponse | None, *, sent: bool) -> None:
        """The outcome of a request."""
        if stands_still(response):
            # As if it had not been sent: otherwise, the refused ones would use up a window, which then ends by itself.
            response, sent = None, False
        values = None if response is None else _described(response, time.time())
        asked = None if response is None else asked_to_hold(response, now=time.time())
        if response is not None and asked is not None and asked > LONGEST_WINDOW:
            now, believed = time.monotonic(), believed_hold(response, asked, now=time.time())
            self._spent[key] = response.rate_limit, now + asked, now + believed
        elif values is not None and values.remaining > 0:
            self._spent.pop(key, None)
        if values is not None:
            self._last[key] = values.unsure, time.monotonic() + values.milliseconds / 1000
        if permit.alone is not None:
            self._learn_alone(key, permit.alone, response, sent=sent)
        elif time.monotonic() >= self._gone_until:
            try:
                if values is not None:
                    arguments = [permit.window, *values.arguments, int(_ROUNDING * 1000)]
                    self._learn(keys=self._keys(key)[:1], args=arguments)
                elif response is None and not sent:
                    self._back(keys=self._keys(key)[:1], args=[permit.window])
            except self._failures as error:
                self._warn(error)

    def _learn_alone(
        self, key: str, permit: AlonePermit, response: ApiResponse | None, *, sent: bool
    ) -> None:
        if response is not None and response.rate_limit is not None:
            limits = response.rate_limit
            response = replace(response)
            # Others may have sent some since.
            vars(response)["rate_limit"] = replace(limits, remaining=_unsure(limits.remaining, limits.limit))
        with self._lock:
            if (budget := self._alone.get(key)) is not None:
                budget.observe(permit, response, sent=sent, now=time.monotonic(), time=time.time())

    def _keys(self, key: str) -> list[str]:
        # In braces, so that a cluster keeps the three on one server.
        return [f"{self._prefix}:{{{key}}}:{name}" for name in ("budget", "line", "seen")]

    def _me(self) -> str:
        # A forked child is another process.
        if self._pid != os.getpid():
            self._pid, self._member = os.getpid(), uuid.uuid4().hex
        return self._member

    def _warn(self, error: Exception) -> None:
        with self._lock:
            first, self._warned = not self._warned, True
            self._gone_until = time.monotonic() + _PAUSE
        if first:
            _log.warning(
                "the rate limiter has no Redis (%s); requests are sent without a shared budget until it returns",
                said(error),
            )

    def _returned(self, key: str) -> None:
        if self._warned:
            with self._lock:
                self._warned = False
                self._alone.pop(key, None)
            _log.info("the rate limiter has Redis again")


def _checked(answer: Any) -> tuple[bool, int]:
    match answer:
        case [0 | 1 as granted, int() as value]:
            return bool(granted), value
        case _:
            raise TypeError("the response of Redis is not that of the script")


@dataclass(frozen=True)
class _Described:
    limit: int | None
    remaining: int
    milliseconds: int

    @property
    def arguments(self) -> list[Any]:
        """For the script."""
        return ["" if self.limit is None else self.limit, self.remaining, self.milliseconds]

    @property
    def unsure(self) -> int:
        return _unsure(self.remaining, self.limit or USUAL_LIMIT)


def _unsure(remaining: int, limit: int) -> int:
    return max(remaining - min(_UNSURE, limit // 10), 0)


def _described(response: ApiResponse, now: float) -> _Described | None:
    """Limit, remainder, and milliseconds to the reset, as a response describes them; None if it does not."""
    limits = response.rate_limit
    asked = parse_retry_after(response.headers, now=now) if response.status_code == 429 else None
    if limits is not None:
        seconds = seconds_to_reset(limits, response.headers, now=now)
        remaining = 0 if response.status_code == 429 else max(limits.remaining, 0)
        # Of a minute and no more: a window that never ends would stop every process.
        wait_seconds = min(max(seconds, asked or 0.0), LONGEST_WINDOW)
        return _Described(max(limits.limit, 1), remaining, math.ceil(wait_seconds * 1000))
    if asked is not None:
        return _Described(None, 0, math.ceil(min(asked, LONGEST_WINDOW) * 1000))
    return None

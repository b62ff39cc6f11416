"""One budget of requests in Redis. All decisions are made there, in one step each, by the clock of Redis."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firsthandapi._core.ratelimit import LONGEST_WINDOW, USUAL_LIMIT, seconds_to_reset
from firsthandapi._core.retry import parse_retry_after

from ._redis import connect, failures, said

if TYPE_CHECKING:
    from firsthandapi._core.response import ApiResponse

_log = logging.getLogger("firsthandapi")

# Who waits in the line of processes shows up this often; who does not for `_GONE` has died.
_SHOW_UP = 0.5
_GONE = 2.0
# How soon to look again while it is another process's turn.
_TURN = 0.01
# After a failure of Redis, calls go ahead without it for so long.
_PAUSE = 1.0

# KEYS: budget, line (a sorted set: process → place), seen (a hash: process → when)
# ARGV: process, usual limit, milliseconds of a window, milliseconds after which a process is gone
# Returns {1, number of the window}, or {0, milliseconds to wait}.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local budget, line, seen = KEYS[1], KEYS[2], KEYS[3]
local left, ends, limit, window = unpack(redis.call('HMGET', budget, 'left', 'ends', 'limit', 'window'))
limit = tonumber(limit) or tonumber(ARGV[2])
if not ends or now >= tonumber(ends) then
  left, ends, window = limit, now + tonumber(ARGV[3]), (tonumber(window) or 0) + 1
  redis.call('HSET', budget, 'left', left, 'ends', ends, 'limit', limit, 'window', window)
end
left, ends = tonumber(left), tonumber(ends)
local first
while true do
  first = redis.call('ZRANGE', line, 0, 0)[1]
  if not first or first == ARGV[1] then break end
  local at = tonumber(redis.call('HGET', seen, first) or 0)
  if now - at < tonumber(ARGV[4]) then break end
  redis.call('ZREM', line, first)
  redis.call('HDEL', seen, first)
end
local keep = tonumber(ARGV[3]) * 2
if left > 0 and (not first or first == ARGV[1]) then
  redis.call('HSET', budget, 'left', left - 1)
  redis.call('ZREM', line, ARGV[1])
  redis.call('HDEL', seen, ARGV[1])
  redis.call('PEXPIRE', budget, keep)
  return {1, tonumber(window)}
end
if not redis.call('ZSCORE', line, ARGV[1]) then
  redis.call('ZADD', line, redis.call('HINCRBY', budget, 'places', 1), ARGV[1])
end
redis.call('HSET', seen, ARGV[1], now)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep) end
if left > 0 then return {0, 0} end
return {0, ends - now}
"""

# KEYS: budget. ARGV: window of the request, limit or '', remaining or '', milliseconds to the reset or ''
_LEARN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left, ends, window, described = unpack(redis.call('HMGET', KEYS[1], 'left', 'ends', 'window', 'described'))
if not window or tonumber(window) ~= tonumber(ARGV[1]) then return 0 end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'limit', ARGV[2]) end
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
  redis.call('HSET', KEYS[1], 'left', math.min(tonumber(left) + 1, tonumber(limit)))
end
return 1
"""

_LEAVE = "redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('HDEL', KEYS[2], ARGV[1]) return 1"


@dataclass(frozen=True)
class Permit:
    """A request may be sent. `window` is None where Redis did not say so, but was gone."""

    window: int | None


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
        self._member = ""
        self._pid = 0

    def take(self, key: str) -> Permit | float:
        """A permit, or the seconds after which to ask again."""
        if time.monotonic() < self._gone_until:
            return Permit(None)
        arguments = [self._me(), USUAL_LIMIT, int(LONGEST_WINDOW * 1000), int(_GONE * 1000)]
        try:
            granted, value = self._take(keys=self._keys(key), args=arguments)
        except self._failures as error:
            self._warn(error)
            return Permit(None)
        if granted:
            return Permit(int(value))
        # A process that waits shows that it lives.
        return min(int(value) / 1000, _SHOW_UP) if value else _TURN

    def leave(self, key: str) -> None:
        """Give up the place in the line of processes."""
        if time.monotonic() >= self._gone_until:
            try:
                self._leave(keys=self._keys(key)[1:], args=[self._me()])
            except self._failures as error:
                self._warn(error)

    def learn(self, key: str, permit: Permit, response: ApiResponse | None, *, sent: bool) -> None:
        """What became of a request."""
        if permit.window is None or time.monotonic() < self._gone_until:
            return
        try:
            if response is None:
                if not sent:
                    self._back(keys=self._keys(key)[:1], args=[permit.window])
            elif (values := _described(response, time.time())) is not None:
                self._learn(keys=self._keys(key)[:1], args=[permit.window, *values])
        except self._failures as error:
            self._warn(error)

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
            first = time.monotonic() >= self._gone_until + _PAUSE
            self._gone_until = time.monotonic() + _PAUSE
        if first:
            _log.warning(
                "the rate limiter has no Redis (%s); requests are sent without a shared budget until it returns",
                said(error),
            )


def _described(response: ApiResponse, now: float) -> list[Any] | None:
    """Limit, remainder, and milliseconds to the reset, as a response describes them; None if it does not."""
    found = response.rate_limit
    asked = parse_retry_after(response.headers, now=now) if response.status_code == 429 else None
    if found is not None:
        seconds = seconds_to_reset(found, response.headers, now=now)
        remaining = 0 if response.status_code == 429 else max(found.remaining, 0)
        return [max(found.limit, 1), remaining, math.ceil(max(seconds, asked or 0.0) * 1000)]
    if asked is not None:
        return ["", 0, math.ceil(min(asked, LONGEST_WINDOW) * 1000)]
    return None

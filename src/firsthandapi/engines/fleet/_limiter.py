"""`RedisRateLimiter`: threads and tasks wait here; what they wait for is in `_budget.py`."""

from __future__ import annotations

import time
from typing import Any

import anyio

from firsthandapi._async.bridge import Line as AsyncLine
from firsthandapi._async.bridge import finish_blocking, run_blocking
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._sync.bridge import Line

from ._budget import SharedBudget, SharedPermit


class RedisRateLimiter:
    """One budget of requests per API key, for any number of processes: `FirstHandClient(rate_limiter=…)`.

    The limit, what is left, and the reset come from the service's headers; 100 per minute until the first response.
    Processes take turns, so that each gets its share. If Redis is gone, requests are sent without it, with a
    warning in the log, until it returns.

    Args:
        url: of Redis or Valkey, such as `redis://127.0.0.1:6379/0`; sentinels and clusters as `limits` names them.
        prefix: what the names of its keys begin with.
        **options: passed to the client of Redis, such as `socket_timeout`, in seconds, 1 by default.

    Raises:
        ConfigurationError: the extra `fleet` is missing, or `url` is not that of Redis.
    """

    def __init__(self, url: str, *, prefix: str = "firsthandapi", **options: Any) -> None:
        self._budget = SharedBudget(url, prefix, options)
        self._lines: dict[str, Line] = {}

    def acquire(self, key: str, *, timeout: float | None) -> SharedPermit:
        """Wait until a request may be sent, in order of arrival: see `RateLimiter`."""
        ends = None if timeout is None else time.monotonic() + timeout
        with self._lines.setdefault(key, Line()).join() as waiter:
            while not waiter.first:
                waiter.wait(_left(ends))
            try:
                while not isinstance(answer := self._budget.take(key), SharedPermit):
                    seconds_left = _left(ends)
                    time.sleep(answer if seconds_left is None else min(answer, seconds_left))
            except BaseException:
                self._budget.leave(key)
                raise
            return answer

    def observe(self, key: str, permit: SharedPermit, response: ApiResponse | None, *, sent: bool) -> None:
        """Learn the result of a request: see `RateLimiter`."""
        self._budget.learn(key, permit, response, sent=sent)


class AsyncRedisRateLimiter:
    """The same for `AsyncFirstHandClient`.

    Args:
        url, prefix, **options: as for `RedisRateLimiter`.

    Raises:
        ConfigurationError: the extra `fleet` is missing, or `url` is not that of Redis.
    """

    def __init__(self, url: str, *, prefix: str = "firsthandapi", **options: Any) -> None:
        self._budget = SharedBudget(url, prefix, options)
        self._lines: dict[str, AsyncLine] = {}

    async def acquire(self, key: str, *, timeout: float | None) -> SharedPermit:
        """Wait until a request may be sent, in order of arrival: see `RateLimiter`."""
        ends = None if timeout is None else time.monotonic() + timeout
        with self._lines.setdefault(key, AsyncLine()).join() as waiter:
            while not waiter.first:
                await waiter.wait(_left(ends))
            try:
                while not isinstance(answer := await run_blocking(self._budget.take, key), SharedPermit):
                    seconds_left = _left(ends)
                    await anyio.sleep(answer if seconds_left is None else min(answer, seconds_left))
            except BaseException:
                await finish_blocking(self._budget.leave, key)
                raise
            return answer

    async def observe(
        self, key: str, permit: SharedPermit, response: ApiResponse | None, *, sent: bool
    ) -> None:
        """Learn the result of a request: see `RateLimiter`."""
        await run_blocking(self._budget.learn, key, permit, response, sent=sent)


def _left(ends: float | None) -> float | None:
    if ends is None:
        return None
    seconds_left = ends - time.monotonic()
    if seconds_left <= 0:
        raise TimeoutError
    return seconds_left

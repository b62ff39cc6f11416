"""Many processes, one API key: what they share through Redis or Valkey (extra `fleet`)."""

from __future__ import annotations

from ._limiter import AsyncRedisRateLimiter, RedisRateLimiter
from ._store import RedisStore

__all__ = ["AsyncRedisRateLimiter", "RedisRateLimiter", "RedisStore"]

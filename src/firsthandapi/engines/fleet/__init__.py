"""Many processes, one API key: what they share through Redis or Valkey (extra `fleet`)."""

from __future__ import annotations

from firsthandapi.webhooks import EventClaimedError

from ._limiter import AsyncRedisRateLimiter, RedisRateLimiter
from ._store import RedisStore, StoreError

__all__ = ["AsyncRedisRateLimiter", "EventClaimedError", "RedisRateLimiter", "RedisStore", "StoreError"]

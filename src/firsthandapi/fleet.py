"""Many processes, one API key: what they share through Redis or Valkey (extra `fleet`)."""

from __future__ import annotations

from .engines.fleet import AsyncRedisRateLimiter, EventClaimedError, RedisRateLimiter, RedisStore, StoreError

__all__ = ["AsyncRedisRateLimiter", "EventClaimedError", "RedisRateLimiter", "RedisStore", "StoreError"]

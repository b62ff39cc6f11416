"""The connection to Redis, and the fallback when it is gone."""

from __future__ import annotations

from typing import Any

from firsthandapi._base.masking import mask_secrets
from firsthandapi.errors import ConfigurationError

# Redis is near, or it is gone: nobody waits longer for it.
SECONDS = 1.0


def connect(url: str, options: dict[str, Any]) -> Any:
    """A client of the Redis at `url`, in any form that `limits` knows: one server, sentinels, or a cluster.
    Raises ConfigurationError: the extra is missing, or `url` is not one of Redis.
    """
    try:
        from limits.errors import ConfigurationError as UnknownScheme
        from limits.storage import storage_from_string
    except ImportError:
        raise ConfigurationError("fleets need an extra: pip install 'firsthandapi[fleet]'") from None
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # Once more, over a new connection: Redis may have closed the idle one. redis-py itself would retry for 10 s.
        habits: dict[str, Any] = {
            "socket_timeout": SECONDS,
            "socket_connect_timeout": SECONDS,
            "retry": Retry(NoBackoff(), 1),
        }
        storage: Any = storage_from_string(url, **{**habits, **options})
        client: Any = storage.storage
    except (UnknownScheme, ValueError, AttributeError, TypeError) as error:
        # The URL may contain a password.
        raise ConfigurationError(
            f"url must be that of Redis or Valkey, such as redis://127.0.0.1:6379/0 ({type(error).__name__})"
        ) from None
    if not hasattr(client, "register_script"):
        raise ConfigurationError("url must be that of Redis or Valkey, such as redis://127.0.0.1:6379/0")
    return client


def failures() -> tuple[type[Exception], ...]:
    """The exceptions of the client, and of reading what it returned, when Redis is gone or its response is wrong."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, ValueError, TypeError)


def said(error: Exception) -> str:
    """An error of Redis, for a log."""
    return mask_secrets(f"{type(error).__name__}: {error}")

"""`RedisStore`: which webhook events were handled, for several receivers."""

from __future__ import annotations

import uuid
from typing import Any

from ._redis import connect

_DONE_SECONDS = 7 * 86_400
# Far over the 10 s in which the service wants its response, so no working handler loses its claim.
_CLAIM_SECONDS = 600

# KEYS: the event. ARGV: whose claim, seconds of a claim. Returns 1 claimed, 0 done, -1 claimed by another.
_CLAIM = """
local holder = redis.call('GET', KEYS[1])
if not holder then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) return 1 end
if holder == 'done' then return 0 end
return -1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"


class EventClaimedError(RuntimeError):
    """Another process is handling the event. Answer 5xx: the service sends it again, should that process die."""


class RedisStore:
    """Remembers handled events in Redis: `EventRouter(store=RedisStore(url))` in each of several receivers.

    An event is handled once: by the first that claims it. A claim ends after 10 minutes, a handled event is
    remembered for 7 days. If Redis is gone, `dispatch` raises its error, so your receiver answers 5xx and the
    service sends the event again.

    Args:
        url: of Redis or Valkey, such as `redis://127.0.0.1:6379/0`.
        prefix: what the names of its keys begin with.
        **options: passed to the client of Redis, such as `socket_timeout`, in seconds, 1 by default.

    Raises:
        ConfigurationError: the extra `fleet` is missing, or `url` is not that of Redis.
    """

    def __init__(self, url: str, *, prefix: str = "firsthandapi", **options: Any) -> None:
        self._redis = connect(url, options)
        self._claim = self._redis.register_script(_CLAIM)
        self._release = self._redis.register_script(_RELEASE)
        self._prefix = prefix
        self._me = uuid.uuid4().hex

    def claim(self, event_id: str) -> bool:
        """True if the event is neither claimed nor handled, and claim it; False if it was handled.

        Raises:
            EventClaimedError: another process has claimed it.
        """
        answer = int(self._claim(keys=[self._key(event_id)], args=[self._me, _CLAIM_SECONDS]))
        if answer < 0:
            raise EventClaimedError(f"{event_id} is being handled by another process: answer 5xx")
        return bool(answer)

    def commit(self, event_id: str) -> None:
        """The event was handled."""
        self._redis.set(self._key(event_id), "done", ex=_DONE_SECONDS)

    def release(self, event_id: str) -> None:
        """Handling failed: let the next claim succeed."""
        self._release(keys=[self._key(event_id)], args=[self._me])

    def _key(self, event_id: str) -> str:
        return f"{self._prefix}:event:{event_id}"

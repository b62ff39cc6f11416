"""`RedisStore`: which webhook events were handled, for several receivers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from firsthandapi.errors import FirstHandError
from firsthandapi.webhooks import EventClaimedError

from ._redis import connect, failures, said

T = TypeVar("T")

_DONE_SECONDS = 7 * 86_400
# Far over the 10 s in which the service wants its response, so no working handler loses its claim.
_CLAIM_SECONDS = 600
# While Redis is gone, each event that comes leaves one; without it, that event waits for its claim to end.
_MOST_ABANDONED = 10_000

# KEYS: the event. ARGV: the token of the claim, seconds of a claim. Returns 1 claimed, 0 done, -1 claimed by another.
# redis-py repeats a script whose response was lost: it then finds its own claim.
_CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder == 'done' then return 0 end
if holder and holder ~= ARGV[1] then return -1 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
# The claim may have expired, and another process may have claimed the event since.
# ARGV: the token of the claim, and for a commit the seconds to remember it.
_COMMIT = """
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2]) end
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"


class StoreError(FirstHandError):
    """Redis is gone, or its response is wrong. Respond with 5xx: the service sends the event again."""


class RedisStore:
    """Remembers handled events in Redis: `EventRouter(store=RedisStore(url))` in each of several receivers.

    An event is handled once: by the first that claims it. A claim ends after 10 minutes, a handled event is
    remembered for 7 days. If Redis is gone, `dispatch` raises a `StoreError`, so your receiver responds with 5xx and
    the service sends the event again.

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
        self._commit = self._redis.register_script(_COMMIT)
        self._release = self._redis.register_script(_RELEASE)
        self._failures = failures()
        self._prefix = prefix
        # Event id → the token of the claim, until it is committed or released.
        self._tokens: dict[str, str] = {}
        # Event id → the token of a claim that Redis may have though no handler runs: its next claim takes it over.
        self._abandoned: dict[str, str] = {}

    def claim(self, event_id: str) -> bool:
        """True if the event `event_id` is neither claimed nor handled, and claim it; False if it was handled.

        Raises:
            EventClaimedError: another process, or this one, is still handling it.
            StoreError: Redis is gone, or its response is wrong.
        """
        token = self._abandoned.pop(event_id, None) or uuid.uuid4().hex
        try:
            answer = self._asked(
                lambda key: _checked(self._claim(keys=[key], args=[token, _CLAIM_SECONDS])), event_id
            )
        except StoreError:
            self._abandon(event_id, token)
            raise
        if answer < 0:
            raise EventClaimedError.of(event_id)
        if answer:
            self._tokens[event_id] = token
        return bool(answer)

    def commit(self, event_id: str) -> None:
        """The event `event_id` was handled. A claim of another process stays.

        Raises:
            StoreError: Redis is gone, or its response is wrong.
        """
        token = self._tokens.get(event_id, "")
        self._asked(lambda key: self._commit(keys=[key], args=[token, _DONE_SECONDS]), event_id)
        self._tokens.pop(event_id, None)

    def release(self, event_id: str) -> None:
        """Handling failed: let the next claim of `event_id` succeed. A claim of another process stays.

        Raises:
            StoreError: Redis is gone, or its response is wrong.
        """
        token = self._tokens.pop(event_id, "")
        try:
            self._asked(lambda key: self._release(keys=[key], args=[token]), event_id)
        except StoreError:
            self._abandon(event_id, token)
            raise

    def _abandon(self, event_id: str, token: str) -> None:
        if len(self._abandoned) >= _MOST_ABANDONED:
            self._abandoned.clear()
        self._abandoned[event_id] = token

    def _asked(self, ask: Callable[[str], T], event_id: str) -> T:
        try:
            return ask(f"{self._prefix}:event:{event_id}")
        except self._failures as error:
            raise StoreError(
                f"could not reach {event_id} in Redis: {said(error)}; respond with 5xx, so that the service sends "
                "the event again"
            ) from None


def _checked(answer: Any) -> int:
    if type(answer) is int and answer in (1, 0, -1):
        return answer
    raise TypeError("the response is not that of the script")

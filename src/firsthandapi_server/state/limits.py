"""The windows of the rate limit, and the responses that are kept for idempotency keys."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

MAX_STORED = 20_000
MAX_STORED_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response kept for an idempotency key; one with a secret is kept in memory only."""

    fingerprint: str
    status: int
    body: bytes
    expires_at: float
    has_secret: bool = False


Slot = tuple[str, str, str, str]  # account, method, path, idempotency key


class Replies(Protocol):
    """The responses kept for idempotency keys, for a day."""

    def get(self, slot: Slot, now: float) -> StoredResponse | None:
        """The response to the first request with this key, while it is kept."""
        ...

    def put(self, slot: Slot, stored: StoredResponse, now: float) -> None:
        """Keep a response."""
        ...


class MemoryReplies:
    """The responses kept for idempotency keys: for a day, and no more than fit."""

    def __init__(self) -> None:
        self._stored: OrderedDict[Slot, StoredResponse] = OrderedDict()
        self._bytes = 0

    def get(self, slot: Slot, now: float) -> StoredResponse | None:
        stored = self._stored.get(slot)
        return stored if stored is not None and now < stored.expires_at else None

    def put(self, slot: Slot, stored: StoredResponse, now: float) -> None:
        """Keep a response; the expired go, then the oldest."""
        old = self._stored.pop(slot, None)
        self._bytes += len(stored.body) - (len(old.body) if old else 0)
        self._stored[slot] = stored
        while (
            len(self._stored) > MAX_STORED
            or self._bytes > MAX_STORED_BYTES
            or next(iter(self._stored.values())).expires_at <= now
        ):
            self._bytes -= len(self._stored.popitem(last=False)[1].body)


MAX_WINDOWS = 10_000


class RateLimiter:
    """Fixed windows of virtual time from the first request; refused requests do not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, who: str, limit: int, now: float) -> tuple[bool, int, float]:
        """Whether one more is allowed, how many are left after it, and when the window ends."""
        start, count = self._windows.get(who, (now, 0))
        if now >= start + self._seconds:
            start, count = now, 0
        allowed = count < limit
        if who not in self._windows and len(self._windows) >= MAX_WINDOWS:
            self._windows = {
                caller: window for caller, window in self._windows.items() if now < window[0] + self._seconds
            }
        self._windows[who] = (start, count + allowed)
        return allowed, max(0, limit - count - allowed), start + self._seconds

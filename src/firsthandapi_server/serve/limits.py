"""Limits for each address: wrong tokens, signups, and people who join."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from firsthandapi_server.http.gate import visitor_address
from firsthandapi_server.state.limits import RateLimiter

from .reception import Reception

# Of an address: after so many wrong tokens, the answer to the next one waits so long, and no longer. Nobody is locked
# out: behind one address can be a campus.
SIGN_IN_FAILURES = 10
SIGN_IN_SECONDS = 2.0
# So many people of one address join at once, and the others one after another: a campus waits, it is not turned away.
JOINS = 240
JOIN_SECONDS = 0.25
SIGNUPS = 10
_FAILURE_SECONDS = 300.0
_SIGNUP_SECONDS = 3600.0
_MOST_ADDRESSES = 10_000


class Limits:
    """The limits of one server.

    Args:
        reception: identifies visitors.
        is_behind_proxy: whether the last address in `X-Forwarded-For` is the visitor's.
    """

    def __init__(self, reception: Reception, *, is_behind_proxy: bool) -> None:
        self._reception = reception
        self._is_behind_proxy = is_behind_proxy
        self._failures = RateLimiter(_FAILURE_SECONDS)
        self._signups = RateLimiter(_SIGNUP_SECONDS)
        self._joined: dict[str, float] = {}  # when the next person of an address may join

    def address(self, request: Request) -> str:
        """The visitor's address."""
        return visitor_address(request.scope, is_behind_proxy=self._is_behind_proxy)

    def wrong_token(self, request: Request) -> float:
        """Count a wrong token of this address. Returns the seconds to delay the response: more each time."""
        now = self._reception.world.clock.now()
        _, tries, _ = self._failures.take(self.address(request), SIGN_IN_FAILURES, now)
        return SIGN_IN_SECONDS * (1 - tries / SIGN_IN_FAILURES)

    async def slow_down(self, request: Request) -> None:
        """Count and log a wrong token, or passport, and wait before its response."""
        seconds, now = self.wrong_token(request), self._reception.world.clock.now()
        if seconds < SIGN_IN_SECONDS:  # whoever guesses on and on fills no disk
            self._reception.access.note("sign_in.failed", now, None, address=self.address(request))
        await asyncio.sleep(seconds)

    def join(self, request: Request) -> float:
        """Count a new person of this address. Returns the seconds to wait before they join."""
        now, address = self._reception.world.clock.now(), self.address(request)
        if len(self._joined) >= _MOST_ADDRESSES:
            self._joined = {address: at for address, at in self._joined.items() if at > now}
        turn = max(now, self._joined.get(address, now))
        self._joined[address] = turn + JOIN_SECONDS
        return max(0.0, turn - now - JOINS * JOIN_SECONDS)

    def take_signup(self, request: Request) -> bool:
        """Count a signup of this address. Returns whether it is allowed."""
        allowed, _, _ = self._signups.take(self.address(request), SIGNUPS, self._reception.world.clock.now())
        return allowed

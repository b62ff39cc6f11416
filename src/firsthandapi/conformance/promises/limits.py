"""The rate limit: what comes when it is spent. A key of its own spends it."""

from __future__ import annotations

from firsthandapi.conformance._checks import RATE_HEADERS, has_headers, refused
from firsthandapi.conformance._exchange import DiffersError, NotTriedError
from firsthandapi.conformance._promises import EVERY, promise
from firsthandapi.conformance._run import Run

_LIMITS = '§1 "Rate limits"'
_MOST = 200


@promise(
    "limits",
    EVERY,
    _LIMITS,
    "A request beyond the limit of a key is 429, with Retry-After; other keys still work.",
    writes=True,
)
def _limits(run: Run) -> None:
    key, _ = run.new_key("usage:read", name="SPENT_KEY")
    if run.has_control:
        before = run("GET", "/_control").object.get("rate_limit")
        run.control("PATCH", "/settings", {"rate_limit": 3})
        try:
            _spend(run, key)
        finally:
            run.control("PATCH", "/settings", {"rate_limit": before})
    else:
        _spend(run, key)
    run("GET", "/v1/me").must(has_headers(*RATE_HEADERS))


def _spend(run: Run, key: object) -> None:
    it = run("GET", "/v1/me", key=key).must(has_headers(*RATE_HEADERS))
    limit = int(it.headers[RATE_HEADERS[0]])
    if limit > _MOST:
        raise NotTriedError(f"the limit is {limit:,} requests, and a check spends at most {_MOST}")
    for _ in range(limit + 1):
        it = run("GET", "/v1/me", key=key)
        if it.status == 429:
            break
    else:
        raise DiffersError(f"{limit + 2} requests passed, and x-ratelimit-limit is {limit}", it)
    it.must(refused(429), has_headers("retry-after"))
    if not 0 <= int(it.headers["retry-after"]) <= 3600:
        raise DiffersError(f"Retry-After is {it.headers['retry-after']}", it)

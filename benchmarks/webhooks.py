"""What verifying a webhook costs, in units of the one HMAC-SHA256 that it cannot do without.

    python -m benchmarks webhooks

Each line is the CPU time of one call, divided by that of `hmac.digest(secret, body, "sha256")` on the same
body. To compare two commits, run both on the same idle machine, a few times in turn; differences under 0.03 are noise.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks._measure import Row, cpu_seconds, in_turns, ratio
from firsthandapi.webhooks import sign, unwrap, verify_signature

SECRET = "whsec_01jpzq0c5w7t9y3x8v2n4m6k1h"
OTHER = "whsec_01jpzq0c5w7t9y3x8v2n4m6k1j"
KEY = SECRET.encode()


def rows(quick: bool) -> Iterator[Row]:
    for size, length, calls, target in (("1 KB", 1024, 2000, 1.5), ("1 MB", 1024 * 1024, 10, 1.05)):
        calls_of = cases(body_of(length))
        turns = {name: partial(cpu_seconds, call, 2 if quick else calls) for name, call in calls_of.items()}
        measured = in_turns(turns, rounds=1 if quick else 41)
        for name in calls_of:
            if name != "hmac.digest":
                # The targets are for what one delivery needs: one secret, either form.
                aim = target if name in ("plain", "timestamped") else None
                yield Row(f"{name}, {size}", ratio(measured, name, "hmac.digest"), "× hmac.digest", aim)


def body_of(size: int) -> bytes:
    """An event of about `size` bytes."""
    data = {"submission_id": "sub_01JPZQ0C5W7T9Y3X8V2N4M6K1H", "ai_star_rating": 4}
    event = {
        "id": "evt_01JPZQ0C5W7T9Y3X8V2N4M6K1H",
        "object": "event",
        "type": "submission.scored",
        "data": data | {"ai_reasoning": "x" * (size - 200)},
    }
    return json.dumps(event).encode().ljust(size)


def cases(body: bytes) -> dict[str, Callable[[], object]]:
    """What is measured; the first is the unit."""
    plain = sign(body, SECRET)
    stamped = sign(body, SECRET, timestamp=time.time())
    rotating = sign(body, (OTHER, SECRET), timestamp=time.time())
    # Such as Starlette hands over.
    headers = [(b"host", b"example.com"), (b"content-type", b"application/json")] * 4
    headers.append((b"x-firsthandapi-signature", stamped.encode()))
    return {
        "hmac.digest": lambda: hmac.digest(KEY, body, "sha256"),
        "plain": lambda: verify_signature(body, plain, SECRET),
        "timestamped": lambda: verify_signature(body, stamped, SECRET, tolerance=3600),
        "plain, 2 secrets": lambda: verify_signature(body, plain, (OTHER, SECRET)),
        "timestamped, 2 secrets, 2 v1=": lambda: verify_signature(
            body, rotating, (OTHER, SECRET), tolerance=3600
        ),
        "unwrap, timestamped": lambda: unwrap(body, headers, SECRET, tolerance=3600),
    }

"""What verifying a webhook costs, in units of the one HMAC-SHA256 that it cannot do without.

    python benchmarks/webhooks.py

Each line is the CPU time of one call, divided by that of `hmac.digest(secret, body, "sha256")` on the same
body. All cases run in one process, taking turns in rounds, and each figure is the median of the rounds'
ratios, so that a machine that changes speed half-way disturbs all of them alike. To compare two commits, run
both on the same idle machine, a few times in turn; differences under 0.03 are noise.

Targets, one secret and either form: 1.5 at 1 KB, 1.05 at 1 MB.
"""

from __future__ import annotations

import hmac
import json
import platform
import ssl
import statistics
import time
from collections.abc import Callable

from firsthandapi.webhooks import sign, unwrap, verify_signature

ROUNDS = 41
SECRET = "whsec_01jpzq0c5w7t9y3x8v2n4m6k1h"
OTHER = "whsec_01jpzq0c5w7t9y3x8v2n4m6k1j"
KEY = SECRET.encode()


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


def cpu_seconds(call: Callable[[], object], calls: int) -> float:
    """CPU seconds of one call, averaged over `calls`."""
    turns = range(calls)
    start = time.process_time()
    for _ in turns:
        call()
    return (time.process_time() - start) / calls


def measure(body: bytes, calls: int) -> tuple[float, dict[str, float]]:
    """Seconds of the unit, and the median ratio of each case to it."""
    calls_of = cases(body)
    for call in calls_of.values():
        call()  # imports, caches
    unit, *others = calls_of
    units: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(ROUNDS):
        seconds = {name: cpu_seconds(call, calls) for name, call in calls_of.items()}
        units.append(seconds[unit])
        for name in others:
            ratios[name].append(seconds[name] / seconds[unit])
    return statistics.median(units), {name: statistics.median(values) for name, values in ratios.items()}


def main() -> None:
    small_unit, small = measure(body_of(1024), calls=2000)
    large_unit, large = measure(body_of(1024 * 1024), calls=10)
    print(f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}")
    print(f"{'× hmac.digest':32}{'1 KB':>10}{'1 MB':>10}")
    print(f"{'(hmac.digest, µs)':32}{small_unit * 1e6:10.2f}{large_unit * 1e6:10.0f}")
    for name, ratio in small.items():
        print(f"{name:32}{ratio:10.2f}{large[name]:10.3f}")


if __name__ == "__main__":
    main()

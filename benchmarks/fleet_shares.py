"""How evenly the processes of a fleet share the requests of one API key.

    pip install 'firsthandapi[fleet,testing]'
    redis-server --port 6390 --save '' & python -m benchmarks.fleet_shares redis://127.0.0.1:6390/0

Twelve processes call as fast as they may for a minute, through `RedisRateLimiter`. The bundled server's minutes are six
seconds long, so that each process gets more than a handful of the 1,000 requests.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

_STARTING = 120.0  # the most seconds until every process has started


def work(pipe: Connection, started: Barrier, key: str, url: str, redis: str, seconds: float) -> None:
    """Call until the time is over, when all are ready; say how often."""
    from firsthandapi import FirstHandClient, NotFoundError
    from firsthandapi.fleet import RedisRateLimiter

    done = 0
    with FirstHandClient(key, url, rate_limiter=RedisRateLimiter(redis)) as client:
        started.wait(_STARTING)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                client.jobs.get("job_01JP0000000000000000000000")
            except NotFoundError:
                done += 1
    pipe.send(done)


def measure(
    redis: str, *, processes: int = 12, seconds: float = 60, speed: float = 10
) -> tuple[list[int], int]:
    """The requests of each process, and how many requests the server refused with a 429."""
    from firsthandapi.testing import MockServer

    context = multiprocessing.get_context("spawn")
    with MockServer(speed=speed, workers=False) as server:
        started = context.Barrier(processes)
        pipes = [context.Pipe() for _ in range(processes)]
        setup = (started, server.api_key, server.url, redis, seconds)
        running = [context.Process(target=work, args=(theirs, *setup), daemon=True) for _, theirs in pipes]
        for process in running:
            process.start()
        counts: list[int] = []
        for ours, _ in pipes:
            assert ours.poll(_STARTING + seconds + 60), "a process does not end"
            counts.append(ours.recv())
        for process in running:
            process.join()
        return counts, sum(request.status == 429 for request in server.requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("redis", help="the URL of a Redis or Valkey that nobody else uses")
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    counts, refused = measure(options.redis, processes=options.processes, seconds=options.seconds)
    share = sum(counts) / len(counts)
    print(f"{sum(counts):,} requests, {refused} of them refused with a 429")
    print(
        f"each of {len(counts)} processes sent {min(counts) / share:.0%} to {max(counts) / share:.0%} of a share"
    )


if __name__ == "__main__":
    main()

"""What the bundled server's memory does over many requests.

    python benchmarks/server_memory.py                     # 100,000 requests, minutes
    python benchmarks/server_memory.py --requests 1000     # seconds

The server runs in a process of its own, on one connection, and is asked in turn what it has, for what it has not, with
a key that it does not know, to post a job that it refuses, and to repeat a response. None of that is to be kept for
good: the request log fills within the first 10,000 and then drops the oldest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import subprocess
import time
from contextlib import closing
from multiprocessing.connection import Connection

from firsthandapi.testing import MockServer

STEP = 10_000
JOB = {
    "type": "data_collection",
    "description": "Photos of street signs in daylight",
    "files_needed": 3,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}


def _serve(tell: Connection) -> None:
    with MockServer(workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        tell.send((server.url.removeprefix("http://"), server.api_key))
        tell.recv()


def _ask(connection: http.client.HTTPConnection, number: int, key: str) -> None:
    method, path, sender, idempotency_key, body = [
        ("GET", "/v1/me", key, "", None),
        ("GET", "/v1/jobs", key, "", None),
        ("GET", "/v1/billing/credits", key, "", None),
        ("GET", "/v1/submissions/summary", key, "", None),
        ("GET", f"/v1/jobs/job_{number}", key, "", None),
        ("GET", "/v1/me", f"fh_test_{number}", "", None),
        ("POST", "/v1/jobs", key, f"key-{number}", {**JOB, "files_needed": 0}),
        ("POST", "/v1/jobs", key, "the-one-key", JOB),
    ][number % 8]
    headers = {"Authorization": f"Bearer {sender}"}
    if idempotency_key:
        headers |= {"Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    connection.getresponse().read()


def resident_mb(pid: int) -> float:
    """Its resident memory, as `ps` has it."""
    listing = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listing.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    # A new interpreter, not a fork: what it takes is the server's alone.
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=_serve, args=(child,), daemon=True)
    process.start()
    address, key = parent.recv()
    started = time.monotonic()
    with closing(http.client.HTTPConnection(address)) as connection:
        for number in range(requests + 1):
            if number % min(STEP, requests) == 0:
                assert process.pid is not None
                mb, seconds = resident_mb(process.pid), time.monotonic() - started
                print(f"{number:9,} requests {mb:7.1f} MB {seconds:6.0f} s", flush=True)
            _ask(connection, number, key)
    parent.send(None)
    process.join()


if __name__ == "__main__":
    main()

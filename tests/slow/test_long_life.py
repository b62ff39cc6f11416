"""A server that tests use for days: requests leave no memory behind, and work grows no faster than a job."""

from __future__ import annotations

import gc
import http.client
import time
import tracemalloc
from contextlib import closing

import pytest

from firsthandapi.testing import MockServer
from firsthandapi_server.http import requests

pytestmark = pytest.mark.slow

READS = ["/v1/me", "/v1/jobs", "/v1/billing/credits", "/v1/submissions/summary", "/v1/nothing"]


def test_requests_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the request log is full, 4,000 more requests take no more memory."""
    monkeypatch.setattr(requests, "MAX_REQUESTS", 500)
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        with closing(http.client.HTTPConnection(server.url.removeprefix("http://"))) as connection:

            def read(times: int) -> int:
                for number in range(times):
                    headers = {"Authorization": f"Bearer {server.api_key}"}
                    connection.request("GET", READS[number % len(READS)], headers=headers)
                    connection.getresponse().read()
                gc.collect()
                return tracemalloc.get_traced_memory()[0]

            tracemalloc.start()
            early_memory = read(1_000)
            late_memory = read(4_000)
            tracemalloc.stop()
    assert late_memory - early_memory < 125_000  # 30 bytes per request


def test_work_is_linear_in_the_files_of_a_job() -> None:
    """A job of eight times as many files takes eight times the work, not sixty-four."""

    def work(files: int) -> float:
        with MockServer(speed=0) as server, server.client() as client:
            server.grant_credits(10_000_000)
            client.jobs.create(
                description="Photos of street signs",
                files_needed=files,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=10,
            )
            started = time.process_time()
            server.clock.advance(minutes=10)
            return time.process_time() - started

    few = min(work(250) for _ in range(3))
    many = work(2_000)
    assert many < 8 * few * 3

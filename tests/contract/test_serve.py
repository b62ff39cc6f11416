"""A server of one's own keeps the contract: a buyer's program cannot tell it from the service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi_server.mock.workers import SandboxWorkers
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.service import Service
from support import tried

SPEED = 20


class FastClock(RealClock):
    """Real time, 20 times as fast: the worker of the sandbox comes after a second."""

    def __init__(self) -> None:
        start = time.time()
        super().__init__(lambda: start + (time.time() - start) * SPEED)

    def run_due(self) -> float:
        return super().run_due() / SPEED

    def real_seconds(self, virtual: float) -> float:
        return virtual / SPEED


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("serve") / "data"
    with Service(folder, clock=FastClock(), sandbox=SandboxWorkers) as running:
        yield running
        running.world.check_books()


# What takes another organization, money in the sandbox, a worker who does as told, or hours.
UNTRIED = {
    *("strangers", "signup", "escrow_paid", "escrow_lack", "escrow_partial", "escrow_replay"),
    *("jobs_create_free_tier", "jobs_progress", "jobs_deadline", "list_walk[list_transactions]"),
    *("files_new", "files_withdrawn", "files_min_score_default", "submissions_retry", "submissions_month"),
    *("idempotency_day", "idempotency_errors", "idempotency_strangers", "api_keys_rotate_day"),
    *("deliveries_retry", "deliveries_submission", "downloads_expired", "limits_reset"),
}
# A worker of this fast sandbox may come before a held request is answered.
HURRIED = {"jobs_wait_timeout", "jobs_wait_change"}


@pytest.mark.slow  # its workers take seconds
def test_serve_keeps_every_promise_in_the_sandbox(service: Service) -> None:
    """Without /_control: the simulated worker of the sandbox submits the files."""
    assert service.first is not None
    service.site.api.rate_limit = 10_000
    outcomes = tried("--patience=120", url=service.url, key=service.first.sandbox)
    assert outcomes.all("skipped") - HURRIED == UNTRIED | {"limits"}
    assert outcomes.of.keys() == outcomes.all("passed") | outcomes.all("skipped")
    service.site.api.rate_limit = 6
    assert tried("-ktest_limits", url=service.url, key=service.first.sandbox).of["limits"] == "passed"


def test_serve_keeps_the_promises_about_money(service: Service) -> None:
    """With the live key, whose jobs wait for people: escrow is exact, and nothing is paid."""
    assert service.first is not None
    service.site.api.rate_limit = 10_000
    chosen = "-kjobs_create or jobs_cancel or escrow or credits or transactions or idempotency or headers"
    outcomes = tried(chosen, "--patience=120", url=service.url, key=service.first.live)
    assert outcomes.of.keys() == outcomes.all("passed") | outcomes.all("skipped")
    assert {"escrow", "escrow_once", "list_walk[list_transactions]"} <= outcomes.all("passed")

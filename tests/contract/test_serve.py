"""A server of one's own keeps the contract: a buyer's program cannot tell it from the service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi.conformance import check
from firsthandapi_server.mock.workers import SandboxWorkers
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.service import Service

SPEED = 20
pytestmark = pytest.mark.usefixtures("patient")


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
    "strangers",
    "signup",
    "escrow.paid",
    "escrow.lack",
    "jobs.create.free_tier",
    "transactions.list.walk",
    "deliveries.retry",
    "downloads.expired",
    "escrow.partial",
    "escrow.replay",
    "files.new",
    "files.withdrawn",
    "idempotency.day",
    "idempotency.errors",
    "idempotency.strangers",
    "jobs.progress",
    "deliveries.submission",
    "limits.reset",
}
# A worker of this fast sandbox may come before a held request is answered.
HURRIED = {"jobs.wait.timeout", "jobs.wait.change"}


@pytest.mark.slow  # its workers take seconds
def test_serve_keeps_every_promise_in_the_sandbox(service: Service) -> None:
    """Without /_control: the simulated worker of the sandbox submits the files."""
    assert service.first is not None
    service.site.api.rate_limit = 10_000
    report = check(service.url, api_key=service.first.sandbox)
    assert [result for result in report if result.verdict == "differs"] == []
    assert {result.id for result in report.of("not tried")} - HURRIED == UNTRIED | {"limits"}
    assert report.left == ()
    service.site.api.rate_limit = 6
    assert check(service.url, api_key=service.first.sandbox, only=["limits"]).ok


def test_serve_keeps_the_promises_about_money(service: Service) -> None:
    """With the live key, whose jobs wait for people: escrow is exact, and nothing is paid."""
    assert service.first is not None
    service.site.api.rate_limit = 10_000
    only = [
        "jobs.create*",
        "jobs.cancel*",
        "escrow*",
        "credits*",
        "transactions*",
        "idempotency.*",
        "headers.*",
    ]
    report = check(service.url, api_key=service.first.live, write=True, only=only)
    assert [result for result in report if result.verdict == "differs"] == []
    assert {"escrow", "escrow.once", "transactions.list.walk"} <= {result.id for result in report.of("holds")}
    assert report.left == ()

"""Campaigns whose process dies: the next run continues, and no order is made twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsthandapi import Campaign, Dataset, FirstHandClient
from firsthandapi._sync.clock import Clock
from firsthandapi.datasets._ledger import LedgerFolder
from firsthandapi.testing import MockServer
from processes import end_of, started

from . import campaigner
from .campaigner import Death, die, make_mortal
from .support import JOB

DEFAULTS = {name: value for name, value in JOB.items() if name != "type"}


def fields_of(dest: Path, **counts: int) -> dict[str, Any]:
    """A campaign that can just be paid."""
    return {
        "dest": str(dest),
        "budget_cents": 10 * sum(counts.values()),
        "defaults": DEFAULTS,
        "jobs": {label: {"files_needed": files} for label, files in counts.items()},
    }


def check_once(server: MockServer, dest: Path, **counts: int) -> None:
    """As many files ordered of each label as wanted, paid once, and every one there."""
    server.check_books()
    with server.client() as client:
        jobs = list(client.jobs.list())
        lines = list(client.billing.transactions(type="deduction"))
    ordered = dict.fromkeys(counts, 0)
    for job in jobs:
        ordered[(job.metadata or {})["firsthandapi_label"]] += job.files_needed or 0
    assert ordered == counts
    assert sum(line.amount_cents or 0 for line in lines) == -10 * sum(counts.values())
    dataset = Dataset.open(dest)
    assert dataset.verify()
    assert {label: sum(row.label == label for row in dataset) for label in counts} == counts
    assert all(row.worker_id for row in dataset)
    ledger = LedgerFolder(dest).read()
    assert ledger is not None
    assert ledger.spent_cents == 10 * sum(counts.values())
    assert all(order.closed for order in ledger.orders)


class QuickClock(Clock):
    """A clock that moves the server's time, and never makes a test wait."""

    def __init__(self, server: MockServer) -> None:
        self.server = server
        self.slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.server.clock.advance(seconds=seconds)


# Files are put in place by the threads that download, which a death in this thread does not reach.
STEPS = [(owner, name) for owner, name in campaigner.STEPS if name not in ("put", "add")]


def run(server: MockServer, dest: Path, dies_at: int | None, **counts: int) -> bool:
    """Run the campaign, in a process that dies at a half step; whether it came to its end."""
    with pytest.MonkeyPatch.context() as patched, FirstHandClient(server.api_key, server.url) as client:
        client._transport.shared.clock = QuickClock(server)
        make_mortal(STEPS, dies_at, patched.setattr, die)
        try:
            client.campaigns.run(Campaign(**fields_of(dest, **counts)))
        except Death:
            return False
    return True


@given(deaths=st.lists(st.integers(1, 60), max_size=4))
@settings(max_examples=12)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # deaths that met a request of another thread
def test_whatever_step_it_dies_at_no_order_is_made_twice(deaths: list[int]) -> None:
    """The record, the POST, the rows: before and after each of them."""
    with tempfile.TemporaryDirectory() as folder, MockServer(speed=0) as server:
        server.rate_limit = server.organization_rate_limit = None
        dest, counts = Path(folder) / "signs", {"stop": 2, "yield": 1}
        for dies_at in deaths:
            run(server, dest, dies_at, **counts)
        assert run(server, dest, None, **counts)
        check_once(server, dest, **counts)


def start(server: MockServer, dest: Path, counts: dict[str, int], **options: Any) -> subprocess.Popen[str]:
    campaign = fields_of(dest, **counts)
    return started(campaigner, api_key=server.api_key, base_url=server.url, campaign=campaign, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
@pytest.mark.slow
def test_killed_processes_cost_nothing(tmp_path: Path) -> None:
    """Five labels, `kill -9` at random steps: spent as planned, every file verified, no order twice."""
    chance = random.Random(int(os.environ.get("SOAK_SEED", "1")))
    counts = dict.fromkeys(("stop", "yield", "merge", "detour", "exit"), 3)
    killed = 0
    with MockServer(speed=300) as server:
        server.rate_limit = server.organization_rate_limit = None
        while killed < 40:
            process = start(server, tmp_path, counts, die_at=chance.randrange(1, 80))
            _, errors = end_of(process)
            assert process.returncode in (0, -signal.SIGKILL), errors
            killed += process.returncode != 0
            if (tmp_path / "metadata.jsonl").exists():
                # What the manifest of a folder whose writer died names is there, and as it was verified.
                state = Dataset.open(tmp_path).verify()
                assert not [*state.mismatched, *state.missing]
            if process.returncode == 0:
                # All is there: there is something to do for the next only if it wants more.
                counts = {label: count + 4 for label, count in counts.items()}
        process = start(server, tmp_path, counts)
        _, errors = end_of(process)
        assert process.returncode == 0, errors
        check_once(server, tmp_path, **counts)

"""Campaigns whose processes are killed, on a service whose reads lag: every cent is accounted for on the service."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataset import campaigner
from dataset.test_campaign_crashes import fields_of
from firsthandapi import Campaign, Dataset, FirstHandClient
from firsthandapi.errors import FirstHandError
from firsthandapi.testing import HostileService
from processes import end_of, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal"),
]

WANTED = {"stop": 12, "yield": 9, "bump": 5}
SEEDS = 3
# After this many runs without a kill, nothing is left to do.
RUNS = 4
LIES: dict[str, dict[str, Any]] = {
    "counts": {"count_lag": 3.0, "files_lag": 3.0, "cancels": 0.4},
    "lists": {"list_lag": 3.0, "get_lag": 3.0, "lost": 0.4, "cancels": 0.3},
    "stale": {"stale": 0.3, "stale_by": 1.0, "cancels": 0.4},
    "refused": {"refused": 0.3, "list_lag": 3.0},
    "409": {"lost": 0.5, "idem": "409"},
    "422": {"lost": 0.5, "idem": "422"},
    "clock": {"lost": 0.3, "cancels": 0.3, "skew": -90_000.0},
}


def start(liar: HostileService, dest: Path) -> subprocess.Popen[str]:
    campaign = fields_of(dest, **WANTED)
    return started(campaigner, api_key=liar.api_key, base_url=liar.url, campaign=campaign)


def run(liar: HostileService, dest: Path) -> Dataset:
    """Run the campaign until it has nothing left to do."""
    with FirstHandClient(liar.api_key, liar.url) as client:
        for runs_left in reversed(range(RUNS)):
            try:
                return client.campaigns.run(Campaign(**fields_of(dest, **WANTED)), timeout=150)
            except FirstHandError:
                if not runs_left:
                    raise
                time.sleep(3)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", LIES)
def test_a_campaign_never_costs_more_than_its_budget(kind: str, seed: int, tmp_path: Path) -> None:
    """Nor are more files paid of a label than it wants; every file that was paid is there."""
    chance = random.Random(seed)
    with HostileService(seed, pace=0.05, **LIES[kind]) as liar:
        for _ in range(chance.randint(2, 5)):
            process = start(liar, tmp_path)
            time.sleep(0.5 + 1.5 * chance.random())
            process.send_signal(signal.SIGKILL)
            end_of(process)
        dataset = run(liar, tmp_path)
        assert liar.spent_cents() <= fields_of(tmp_path, **WANTED)["budget_cents"]
        assert {label: len(liar.paid(label)) for label in WANTED} == WANTED
        assert {record.file_id for record in dataset} == set(liar.paid())
        assert dataset.verify()

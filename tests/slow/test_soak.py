"""The main job through everything that goes wrong at once: complete, verified, bought once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset import collector
from dataset.support import JOB, ORDER, record_in, whole
from firsthandapi import Dataset
from firsthandapi.testing import MockServer
from processes import started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal"),
]

FILES = 2_000
KILLS = 10
SECONDS = 480
DAYS = 8


def start(server: MockServer, dest: Path, **options: Any) -> subprocess.Popen[str]:
    """A process that collects."""
    job = {**JOB, "files_needed": FILES}
    return started(collector, api_key=server.api_key, base_url=server.url, dest=str(dest), job=job, **options)


def add_faults(server: MockServer, chance: random.Random) -> None:
    """What may happen between two deaths: to downloads often, to API calls now and then."""
    server.faults.clear()
    kinds: list[dict[str, Any]] = [
        {"drop": "before"},
        {"drop": "after"},
        {"cut": chance.randrange(2_000)},
        {"status": 503},
        {"status": 500},
        {"status": 429, "retry_after": 1},
        {"expired_url": True},
        {"delay": 0.3},
        {"garbage": True},
    ]
    for _ in range(40):
        server.faults.add(path="/files/*", after=chance.randrange(300), **chance.choice(kinds))
    for path in ("/v1/jobs", "/v1/jobs/*", "/v1/jobs/*", "/v1/files/*"):
        server.faults.add(path=path, after=chance.randrange(4), **chance.choice(kinds))


def files_in(dest: Path) -> int:
    """How many files have their names."""
    data = dest / "data"
    return sum(not path.name.startswith(".") for path in data.iterdir()) if data.is_dir() else 0


def job_is_known(dest: Path) -> bool:
    """Whether the folder knows its job, so that no key is in flight."""
    return (dest / ORDER).exists() and record_in(dest).job is not None


def reach(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until something is true of a process that works on it."""
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def test_ten_deaths_and_a_bad_network(tmp_path: Path) -> None:
    """2,000 files; dropped, cut, refused and garbled answers; URLs that end, clocks that jump; `kill -9` ten times."""
    seed = int(os.environ.get("SOAK_SEED", random.randrange(1 << 32)))
    print(f"\nSOAK_SEED={seed}")  # noqa: T201 # what it takes to see it again
    chance = random.Random(seed)
    dest = tmp_path / "signs"
    ends = time.monotonic() + SECONDS
    # The first death may come before anything is bought, the last when nearly all is there.
    deaths = [0, *sorted(chance.sample(range(1, FILES - 100), KILLS - 1))]
    jumps = chance.sample(range(2, KILLS), 3)
    ahead = chance.choice([kill for kill in range(2, KILLS) if kill not in jumps])
    with MockServer(seed=seed, speed=30) as server:
        for kill, files in enumerate(deaths):
            add_faults(server, chance)
            process = start(server, dest, clock_ahead=DAYS * 86_400 if kill == ahead else 0)
            if kill == 0:
                time.sleep(chance.uniform(0.2, 1.0))
            if kill in jumps:
                # A service that forgot a key which is still in flight would sell a second job.
                half = (deaths[kill - 1] + files) // 2
                reach(process, lambda half=half: job_is_known(dest) and files_in(dest) >= half)
                server.clock.advance(days=DAYS)
            reach(process, lambda files=files: files_in(dest) >= files)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            if (dest / ORDER).exists():
                # Every row of a folder whose writer has just died is of a file that is there and right. The service may
                # have counted more.
                state = Dataset.open(dest).verify()
                assert (state.mismatched, state.missing, state.altered) == ((), (), ()), state
        add_faults(server, chance)
        for _ in range(5):
            process = start(server, dest)
            errors = process.communicate(timeout=max(ends - time.monotonic(), 1))[1]
            # A file that met one fault too many is told of, and the same call goes on.
            if process.returncode == 0:
                break
            assert "DownloadError" in errors, errors
        assert process.returncode == 0, errors
        server.faults.clear()
        server.rate_limit = None
        check(server, dest)


def check(server: MockServer, dest: Path) -> None:
    """All that was bought is there, once, and the money adds up."""
    server.check_books()
    with server.client() as client:
        (job,) = client.jobs.list()
        promised = {file.id: file.content_hash for file in client.files.list(job.id, min_score=1)}
        spent = sum(line.amount_cents or 0 for line in client.billing.transactions(type="deduction"))
    assert job.status == "completed"
    assert len(promised) == FILES
    assert spent == -FILES * JOB["price_per_file_cents"]
    assert (
        len(
            {
                r.headers["idempotency-key"]
                for r in server.requests
                if (r.method, r.path) == ("POST", "/v1/jobs")
            }
        )
        == 1
    )
    dataset = Dataset.open(dest)
    assert {record.file_id: record.sha256 for record in dataset} == promised
    assert dataset.verify() == type(dataset.verify())(True, (), (), ())
    assert whole(dest)
    assert not [*dest.rglob("*.part")]

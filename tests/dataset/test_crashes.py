"""Processes that die, at every step: the same call continues, and one job is paid once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.testing import MockServer
from processes import end_of, stopped, unmeasured

from .collector import STEPS
from .support import JOB, ORDER, downloads, jobs_bought, wait_until, whole

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and Ctrl-C are POSIX signals")

FILES = 12


@pytest.fixture
def server(quick_server: MockServer) -> MockServer:
    return quick_server


def start(server: MockServer, dest: Path, files: int = FILES, **options: Any) -> subprocess.Popen[str]:
    """A process that collects."""
    options = {
        "api_key": server.api_key, "base_url": server.url, "dest": str(dest),
        "job": {**JOB, "files_needed": files}, **options,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("collector.py")), json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**unmeasured(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def run(server: MockServer, dest: Path, files: int = FILES, **options: Any) -> int:
    """Collect in a process of its own; what it ended with."""
    process = start(server, dest, files, **options)
    _, errors = end_of(process)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode


def check_finished(server: MockServer, dest: Path) -> None:
    """The same call continues: one job, paid once, and everything there."""
    with server.client() as client:
        dataset = client.jobs.collect(dest, **JOB, files_needed=FILES)
    assert len(dataset) == FILES
    assert dataset.verify()
    assert whole(dest)
    assert not [*dest.rglob("*.part")]
    assert jobs_bought(server) == 1


def steps(*quick: str, of: Iterable[str] = STEPS) -> Any:
    """A step for each test; those that are not `quick` are left to `make soak`."""
    marked = [step if step in quick else pytest.param(step, marks=pytest.mark.slow) for step in of]
    return pytest.mark.parametrize("step", marked)


@steps(
    "the job is written down",
    of=("the order is written down", "the job is posted", "the job is written down", "a row is written"),
)
def test_a_death_in_a_folder_with_labels_costs_nothing(server: MockServer, tmp_path: Path, step: str) -> None:
    """The same call continues the job of its label, and another label's call leaves it alone."""
    assert (
        run(server, tmp_path, die_before=step, job={**JOB, "files_needed": FILES, "label": "stop"})
        == -signal.SIGKILL
    )
    with server.client() as client:
        client.jobs.collect(tmp_path, **JOB, files_needed=1, label="yield")
        dataset = client.jobs.collect(tmp_path, **JOB, files_needed=FILES, label="stop")
    assert sorted(record.label or "" for record in dataset) == ["stop"] * FILES + ["yield"]
    assert None not in {record.worker_id for record in dataset}
    assert dataset.verify()
    assert not [*tmp_path.rglob("*.part")]
    assert jobs_bought(server) == 2


@steps("the job is posted", "the job is written down", "a row is written")
def test_a_death_at_any_step_costs_nothing(server: MockServer, tmp_path: Path, step: str) -> None:
    """Before the record, before and after the POST, in a file, between a file and its row."""
    dest = tmp_path / "signs"
    assert run(server, dest, die_before=step) == -signal.SIGKILL
    assert (dest / ORDER).exists() == (step != "the order is written down")
    assert bool(server.requests) == (step not in ("the order is written down", "the job is posted"))
    if (dest / ORDER).exists():
        # What the manifest of a folder whose writer died names is there, and as it was verified.
        assert Dataset.open(dest).verify()
    check_finished(server, dest)


@pytest.mark.parametrize("calls", [pytest.param(2, marks=pytest.mark.slow), 7])
def test_a_file_without_its_row_is_taken_in(server: MockServer, tmp_path: Path, calls: int) -> None:
    """It is held against the hash that the service tells, not fetched again."""
    assert run(server, tmp_path, die_before="a row is written", calls=calls) == -signal.SIGKILL
    file_ids = {path.stem for path in (tmp_path / "data").glob("file_*")}
    since = len(server.requests)
    check_finished(server, tmp_path)
    assert file_ids
    assert not file_ids & set(downloads(server, since))


def test_a_torn_row_is_mended(server: MockServer, tmp_path: Path) -> None:
    """The rows before it stand, its file is taken in, and the manifest is whole again."""
    assert run(server, tmp_path, tear=True) == -signal.SIGKILL
    assert not (tmp_path / MANIFEST).read_bytes().endswith(b"\n")
    assert len(Dataset.open(tmp_path)) == 1
    check_finished(server, tmp_path)


def test_a_death_with_a_lost_answer_buys_nothing_twice(server: MockServer, tmp_path: Path) -> None:
    """The job was made, its answer never came, and the process ended: the next one asks with the same key."""
    server.faults.add(path="/v1/jobs", method="POST", drop="after", times=None)
    process = start(server, tmp_path, client={"max_retries": 0})
    end_of(process)
    assert process.returncode == 1
    server.faults.clear()
    check_finished(server, tmp_path)
    assert len({r.headers["idempotency-key"] for r in server.requests if r.method == "POST"}) == 1


def test_what_a_dead_process_left_half_done_is_cleared(server: MockServer, tmp_path: Path) -> None:
    """Temporary files of ours go; a file of the user's that looks alike stays."""
    assert run(server, tmp_path, die_before="a file is put in place", calls=3) == -signal.SIGKILL
    assert [*(tmp_path / "data").glob(".*.part")]
    for name in (".firsthandapi/orders/.order.json.0123.part", ".metadata.jsonl.0123.part", ".mine.part"):
        (tmp_path / name).touch()
    with server.client() as client:
        client.jobs.collect(tmp_path, **JOB, files_needed=FILES)
    assert [path.name for path in tmp_path.rglob("*.part")] == [".mine.part"]


def test_two_processes_at_once_buy_one_job(server: MockServer, tmp_path: Path) -> None:
    """One buys and fetches, the other waits and finds it done."""
    processes = [start(server, tmp_path / "signs") for _ in range(2)]
    outputs = [end_of(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(downloads(server)) == FILES
    check_finished(server, tmp_path / "signs")


def test_ctrl_c_ends_it_soon(server: MockServer, tmp_path: Path) -> None:
    """No temporary file is left, and all that had come is in the manifest."""
    server.faults.add(path="/files/*", delay=600, times=None, after=5)
    process = start(server, tmp_path)
    wait_until(lambda: len(downloads(server)) >= FILES)
    # What was sent may still be on its way to its place.
    wait_until(lambda: len(list((tmp_path / "data").glob("file_*"))) == 5)
    _, errors = stopped(process, signal.SIGINT)
    assert process.returncode == 130, errors
    assert len(Dataset.open(tmp_path)) == 5
    assert whole(tmp_path)
    server.faults.clear()
    check_finished(server, tmp_path)


def test_a_copy_of_the_process_does_not_keep_the_folder(server: MockServer, tmp_path: Path) -> None:
    """A forked child has a copy of the lock's descriptor; the folder is free when the parent is done."""
    child = 0

    def fork(_: Any) -> None:
        nonlocal child
        if not child:
            child = os.fork()
            if not child:
                time.sleep(30)
                os._exit(0)

    with server.client() as client:
        try:
            client.jobs.collect(tmp_path, **JOB, files_needed=2, on_progress=fork)
            client.jobs.collect(tmp_path, **JOB, files_needed=2, timeout=5)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

"""Jobs, folders and ways to count what was asked of a server."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import (
    Dataset,
)
from firsthandapi._core.orders.record import ORDERS, OrderRecord, read_record
from firsthandapi._core.rows.manifest import DATA, MANIFEST, Record, manifest_line, parse_manifest
from firsthandapi.datasets import Reconciliation
from firsthandapi.testing import MockServer
from firsthandapi_server.mock.media import make

JOB: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs in daylight",
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 10,
}

# The record of the one order of a folder without labels.
ORDER = f"{ORDERS}/order.json"

# How many files the job of the fixture `job_id` has.
FILES = 120


def api(server: MockServer, since: int = 0) -> list[str]:
    """The API requests a server received, as `GET /v1/…`."""
    return [f"{r.method} {r.path}" for r in server.requests[since:] if r.path.startswith("/v1/")]


def downloads(server: MockServer, since: int = 0) -> list[str]:
    """The ids of the files that were fetched from a server, one for each request."""
    return [r.path.removeprefix("/files/") for r in server.requests[since:] if r.path.startswith("/files/")]


def jobs_bought(server: MockServer) -> int:
    """How many jobs there are, which is how often one was paid."""
    server.check_books()
    with server.client() as client:
        return len(list(client.jobs.list()))


def record_in(dest: Path) -> OrderRecord:
    """The record of the one order of a folder."""
    return read_record((dest / ORDER).read_bytes(), dest / ORDER)


# Downloads the job of the fixture `dataset` into its folder again.
Again = Callable[[], Dataset]


class Buyer:
    """A client of one kind, its service, and the folder that it collects into."""

    def __init__(self, connect: Connect, server: MockServer, dest: Path) -> None:
        self.connect = connect
        self.server = server
        self.dest = dest
        self.client = connect(server)

    def collect(self, files: int, dest: str | Path | None = None, **fields: Any) -> Any:
        return self.client.jobs.collect(dest or self.dest, **{**JOB, "files_needed": files, **fields})

    def deliver(self, job_id: str, **options: Any) -> None:
        """Let a worker submit a file, which is approved."""
        self.server.submit(job_id, **options)
        self.server.clock.advance(minutes=1)

    def jobs_bought(self) -> int:
        return jobs_bought(self.server)


def completed_job(server: MockServer, files: int, **fields: Any) -> str:
    """A job that is over, all its files delivered."""
    with server.client() as client:
        job_id = client.jobs.create(**{**JOB, "files_needed": files, **fields}).id
        for number in range(files):
            # To draw pictures of the usual size takes most of the time of a large job.
            small = make("image/jpeg", f"{job_id} {number}", width=64, height=48).content
            server.submit(job_id, content=small if files >= 40 else None)
        server.clock.advance(minutes=1)
        assert client.jobs.get(job_id).status == "completed"
    return job_id


def server_with_job(files: int) -> Iterator[tuple[MockServer, str]]:
    """For a fixture: a server without limits that has one job, which is over."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server, completed_job(server, files)


def whole(dest: Path, *places: str) -> bool:
    """Whether a folder holds exactly the files of its manifests, and nothing half-done."""
    for place in places or ("",):
        folder = dest / place
        names = {record.file_name for record in parse_manifest((folder / MANIFEST).read_bytes())}
        if names != {f"{DATA}/{path.name}" for path in (folder / DATA).iterdir()}:
            return False
    return not [*dest.rglob("*.part")]


def our_threads() -> list[str]:
    """Threads of the downloads that are alive."""
    return [t.name for t in threading.enumerate() if t.name.startswith("firsthandapi-download")]


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never became true"
        time.sleep(0.01)


@contextlib.contextmanager
def in_background(function: Any, *args: Any, **kwargs: Any) -> Iterator[list[Any]]:
    """Run something beside; what it returns or raises is in the list afterwards."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(function(*args, **kwargs))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield ended
    thread.join(120)
    assert not thread.is_alive()


def forge(dest: Path, **changes: Any) -> None:
    """Change the first row of a manifest."""
    first, *rest = (dest / MANIFEST).read_bytes().splitlines(keepends=True)
    row = {**json.loads(first), **changes}
    (dest / MANIFEST).write_bytes(b"".join([json.dumps(row).encode() + b"\n", *rest]))


def failing(monkeypatch: pytest.MonkeyPatch, function: str, ending: str, code: int = errno.ENOSPC) -> None:
    """Make a function of os fail for paths with this ending (or for all descriptors)."""
    real = getattr(os, function)

    def fail(first: Any, *args: Any, **kwargs: Any) -> Any:
        if not ending or str(first).endswith(ending):
            raise OSError(code, os.strerror(code))
        return real(first, *args, **kwargs)

    monkeypatch.setattr(os, function, fail)


def folder_of(path: Path, contents: list[bytes], **columns: list[Any]) -> Dataset:
    """A folder of these files, as a run leaves it, each by a worker of its own unless `worker_id` says otherwise."""
    (path / "data").mkdir(parents=True)
    rows: list[bytes] = []
    for n, content in enumerate(contents):
        (path / "data" / f"file_{n}.jpg").write_bytes(content)
        record = Record(
            file_name=f"data/file_{n}.jpg",
            file_id=f"file_{n}",
            job_id="job_1",
            submission_id=f"sub_{n}",
            content_type="image/jpeg",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            worker_id=f"wkr_{n}",
            **dict.fromkeys(EMPTY),
        )
        rows.append(manifest_line(replace(record, **{name: values[n] for name, values in columns.items()})))
    (path / MANIFEST).write_bytes(b"".join(rows))
    (path / ORDERS).mkdir(parents=True)
    (path / ORDER).write_bytes(OrderRecord("job", job={"id": "job_1", "status": "completed"}).encode())
    return Dataset.open(path)


def reconcile(connect: Connect, client: Any, dataset: Dataset) -> Reconciliation:
    """By a client of either kind."""
    result: Reconciliation = (
        connect.run(dataset.areconcile(client.target)) if connect.is_async else dataset.reconcile(client)
    )
    return result


posix_only = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links and pipes as POSIX has them")


def spoil_three(dataset: Dataset) -> tuple[str, str, str]:
    """One file longer, one with other bytes, one gone."""
    longer, fake, gone = (dataset.path_of(dataset.records[n]) for n in (3, 50, 110))
    longer.write_bytes(longer.read_bytes() + b"x")
    fake.write_bytes(b"x" * fake.stat().st_size)
    gone.unlink()
    return f"data/{longer.name}", f"data/{fake.name}", f"data/{gone.name}"


EMPTY = (
    *("ai_star_rating", "original_filename", "width", "height", "duration_seconds", "captured_at"),
    *("worker_region", "created_at", "annotations", "annotations_json"),
)


def differ(dataset: Dataset, seed: int) -> bool:
    return all(len(part) for part in dataset.split(train=0.5, test=0.5, seed=seed).values())


def wait_for_job(server: MockServer) -> str:
    """The id of the first job, as soon as it is being waited for."""
    wait_until(lambda: any("prefer" in r.headers for r in server.requests))
    (path,) = {r.path for r in server.requests if "prefer" in r.headers}
    return path.rpartition("/")[2]

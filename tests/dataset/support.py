"""Jobs, folders and ways to count what was asked of a server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from firsthandapi._core.manifest import DATA, MANIFEST, parse_manifest
from firsthandapi.testing import MockServer

JOB: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs in daylight",
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 10,
}


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


def completed_job(server: MockServer, files: int, **fields: Any) -> str:
    """A job that is over, all its files delivered."""
    with server.client() as client:
        job_id = client.jobs.create(**{**JOB, "files_needed": files, **fields}).id
        for _ in range(files):
            server.submit(job_id)
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


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
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
    thread.join(60)
    assert not thread.is_alive()

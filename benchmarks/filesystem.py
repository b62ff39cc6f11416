"""What many files cost through `firsthand://`, from a storage that answers after 100 ms: time on the clock."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._measure import Row, in_turns

_SECONDS = 0.1


def rows(quick: bool) -> Iterator[Row]:
    if not all(map(find_spec, ("fsspec", "starlette"))):  # of the extras remote and testing
        return
    import fsspec

    count = 4 if quick else 60
    with _job(count) as (key, url, job_id), TemporaryDirectory() as folder:
        files = fsspec.filesystem("firsthand", api_key=key, base_url=url, skip_instance_cache=True)
        paths: list[str] = files.ls(job_id, detail=False)
        starts, ends = [0] * count, [100] * count
        cases: dict[str, Callable[[], Any]] = {
            "get": lambda: files.get(job_id, str(Path(folder) / "copy"), recursive=True),
            "cat": lambda: files.cat(paths),
            "cat_ranges": lambda: files.cat_ranges(paths, starts, ends, on_error="raise"),
        }
        measured = in_turns({name: _clocked(case) for name, case in cases.items()}, 1 if quick else 5)
        for name, seconds in measured.items():
            # A machine that other programs keep busy only ever adds.
            yield Row(f"fsspec {name}, {count} files", min(seconds), "s, 100 ms to each first byte", 0.5)


def _clocked(case: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        case()
        return time.perf_counter() - start

    return seconds


@contextmanager
def _job(files: int) -> Generator[tuple[str, str, str], None, None]:
    """The key, the address, and the finished job of a server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(files, tell), daemon=True)
    process.start()
    tell.close()
    try:
        yield told.recv()
    finally:
        process.terminate()
        process.join()


def _serve(files: int, tell: Connection) -> None:
    from firsthandapi.testing import MockServer

    with MockServer(speed=0, workers=False, rate_limit=None) as server, server.client() as client:
        job_id = client.jobs.create(
            description="Photos of street signs in daylight",
            files_needed=files,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=10,
        ).id
        for _ in range(files):
            server.submit(job_id)
        server.clock.advance(minutes=1)
        server.faults.add(path="/files/*", delay=_SECONDS, times=None)
        tell.send((server.api_key, server.url, job_id))
        threading.Event().wait()

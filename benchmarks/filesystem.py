"""What many files cost through `firsthand://`, from a storage that answers after 100 ms: time on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._measure import Row, in_turns
from benchmarks._server import finished_job

NEEDS = ("fsspec", "starlette")  # of the extras remote and testing


def rows(quick: bool) -> Iterator[Row]:
    import fsspec

    count = 4 if quick else 60
    with finished_job(count, delay=0.1) as (key, url, job_id), TemporaryDirectory() as folder:
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

"""How long two Ray workers take, against one, for files of a storage that is far away: time on the clock, minutes.

The storage keeps each file back for seconds, so that the figure is not one of this machine's processors.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from benchmarks._measure import Row, in_turns, ratio
from benchmarks._server import finished_job

NEEDS = ("ray", "starlette")  # of the extras ray and testing


def rows(quick: bool) -> Iterator[Row]:
    import ray

    from firsthandapi.ray import read_files

    count, delay = (8, 0.1) if quick else (128, 3.0)
    with finished_job(count, delay) as (key, url, job_id):
        # To start a worker anew, which was idle while another read alone, is not of reading.
        habits = {"idle_worker_killing_time_threshold_ms": 3_600_000}
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _system_config=habits,
        )
        ray.data.DataContext.get_current().enable_progress_bars = False

        def seconds(workers: int) -> float:
            files = read_files(job_id, api_key=key, base_url=url, concurrency=workers)
            started = time.perf_counter()
            assert sum(len(batch["file_id"]) for batch in files.iter_batches(batch_size=None)) == count
            return time.perf_counter() - started

        try:
            cases = {"two": partial(seconds, 2), "one": partial(seconds, 1)}
            value = ratio(in_turns(cases, rounds=1 if quick else 3), "two", "one")
        finally:
            ray.shutdown()
    name = f"Ray, {count} verified files, 2 workers"
    yield Row(name, value, f"× 1 worker, {delay:g} s to a first byte", 0.56)

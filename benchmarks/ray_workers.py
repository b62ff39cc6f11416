"""How throughput grows from one Ray worker to two.

    pip install 'firsthandapi[ray]'
    python -m benchmarks.ray_workers [--rounds 5] [--files 128] [--delay 3]

The bundled server, in a process of its own, keeps each file back for `--delay` seconds, as a storage that is far away
does, so that the figure is not one of this machine's processors. Both counts of workers take turns in one Ray; the
ratio is the median of the rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection


def serve(pipe: Connection, files: int, delay: float) -> None:
    """Serve one completed job until the other end is closed."""
    from firsthandapi.testing import MockServer

    with MockServer(speed=0, workers=False) as server, server.client() as client:
        server.rate_limit = server.organization_rate_limit = None
        job = client.jobs.create(
            description="Photos of street signs",
            files_needed=files,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=10,
        )
        for _ in range(files):
            server.submit(job.id)
        server.clock.advance(minutes=1)
        server.faults.add(path="/files/*", delay=delay, times=None)
        pipe.send((server.url, server.api_key, job.id))
        pipe.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=128)
    parser.add_argument("--delay", type=float, default=3.0)
    given = parser.parse_args()
    import ray

    from firsthandapi.ray import read_files

    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, given.files, given.delay), daemon=True)
    server.start()
    url, key, job_id = ours.recv()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False

    def files_per_second(workers: int) -> float:
        files = read_files(job_id, api_key=key, base_url=url, concurrency=workers)
        started = time.perf_counter()
        count = sum(len(batch["file_id"]) for batch in files.iter_batches(batch_size=None))
        assert count == given.files
        return count / (time.perf_counter() - started)

    files_per_second(2)  # the workers start
    ratios: list[float] = []
    for number in range(given.rounds):
        speeds = {workers: files_per_second(workers) for workers in ((1, 2) if number % 2 else (2, 1))}
        ratios.append(speeds[2] / speeds[1])
    print(f"2 workers: {statistics.median(ratios):.2f} × 1 worker ({min(ratios):.2f} to {max(ratios):.2f})")
    ray.shutdown()
    ours.send(None)
    server.join(10)


if __name__ == "__main__":
    main()

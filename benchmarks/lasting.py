"""What keeping the state of a server costs: a start, and an act, beside a server in memory.

    python benchmarks/lasting.py --files 100000    # minutes, since the folder is filled first
    python benchmarks/lasting.py --files 1000      # seconds

A start is `open_world` and `resume` in a fresh interpreter, after the imports; CPU time and time on the clock. An act
is one submission, or one score of five stars with its events, each on the disk when it ends: its time on the clock is
mostly that of the disk, so the least of all is shown too.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.contract.text import new_id
from firsthandapi_server.rules.world import World
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.state.model import Account, Details, Facts, File, Job, Submission
from firsthandapi_server.state.storage import StoredSource

PER_JOB = 2_000
_START = """
import sys, time
from pathlib import Path
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.sqlite import open_world
cpu, wall = time.process_time(), time.perf_counter()
world = open_world(Path(sys.argv[1]), RealClock())
world.resume()
print(time.process_time() - cpu, time.perf_counter() - wall)
"""


class Reviewer:
    """Scores by hand."""

    def submitted(self, submission: Submission, at: float) -> bool:  # noqa: ARG002 - the protocol's
        return True


def _account(world: World) -> Account:
    world.jobs.jury = Reviewer()
    with world.lock:
        at = world.clock.now()
        firm = world.accounts.create_organization("Name", "a@b.example", free_tier=False, at=at, cents=10**10)
    return firm.key.account


def _job(world: World, account: Account) -> Job:
    body = {
        "type": "data_collection",
        "description": "Photos of street signs in daylight",
        "files_needed": PER_JOB,
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": 50,
    }
    fields = JobBody.model_validate(body).model_dump()
    with world.lock:
        return world.jobs.create(account, fields, "key", world.clock.now(), "")


def _submit(world: World, job: Job) -> Submission:
    at = world.clock.now()
    details = Details(
        at, {"device_model": "Phone"}, "US-CA", {"objects": ["sign"], "scene": {"setting": "street"}}
    )
    facts = Facts(2_000_000, "0" * 64, 4032, 3024, None)
    source = StoredSource(world.state.storage, new_id("blob_", at), facts, details)
    return world.jobs.submit(job, [File(new_id("file_", at), "image/jpeg", source, "photo.jpg", at)], at)


def fill(folder: Path, files: int) -> None:
    """A folder with so many approved files."""
    world = open_world(folder, RealClock())
    account = _account(world)
    while files > 0:
        job = _job(world, account)
        for _ in range(0, min(files, PER_JOB), 250):
            with world.lock:
                for _ in range(250):
                    world.jobs.score(_submit(world, job), world.clock.now())
        files -= PER_JOB
    world.close()


@contextmanager
def _timed(into: list[tuple[float, float]]) -> Iterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    into.append((time.process_time() - cpu, time.perf_counter() - wall))


def acts(world: World, count: int) -> None:
    """Submit and score, an act each."""
    job = _job(world, _account(world))
    times: dict[str, list[tuple[float, float]]] = {"submit": [], "score": []}
    for _ in range(count):
        with _timed(times["submit"]), world.lock:
            submission = _submit(world, job)
        with _timed(times["score"]), world.lock:
            world.jobs.score(submission, world.clock.now())
    for name, taken in times.items():
        _show(name, taken)


def _show(name: str, taken: list[tuple[float, float]]) -> None:
    cpu, wall = ([1000 * pair[column] for pair in taken] for column in (0, 1))
    print(
        f"{name:20} CPU {statistics.median(cpu):7.2f} ms (least {min(cpu):.2f})   "
        f"clock {statistics.median(wall):7.2f} ms (least {min(wall):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--acts", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "kept")
        fill(folder, arguments.files)
        starts: list[tuple[float, float]] = []
        for _ in range(7):
            run = subprocess.run(
                [sys.executable, "-c", _START, str(folder)], capture_output=True, text=True, check=True
            )
            cpu, wall = run.stdout.split()
            starts.append((float(cpu), float(wall)))
        _show(f"start, {arguments.files} files", starts)
        worlds: dict[str, Callable[[], World]] = {
            "in memory": lambda: World(RealClock()),
            "kept": lambda: open_world(folder, RealClock()),
        }
        for name, make in worlds.items():
            print(name)
            world = make()
            acts(world, arguments.acts)
            world.close()


if __name__ == "__main__":
    main()

"""A program that collects, run by tests in a process of its own: `python collector.py <options as JSON>`.

It can be told to die, as by `kill -9`, before a step, and to believe that it is later than it is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from firsthandapi import FirstHandClient
from firsthandapi._sync.transport import Transport
from firsthandapi.datasets import _disk
from firsthandapi.datasets._bucket import BucketWriter
from firsthandapi.datasets._download.part import Part
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._manifest import Manifest

# Each step of a run, and the method whose call begins it.
STEPS: dict[str, tuple[Any, str]] = {
    "the order is written down": (Folder, "create"),
    "the job is posted": (Transport, "exchange"),
    "the service's time is written down": (Folder, "write"),
    "the job is written down": (Folder, "write"),
    "a file is written": (Part, "write"),
    "a file is put in place": (Part, "put"),
    "a row is written": (Folder, "add"),
    "a row is appended": (_disk.Appender, "add"),
    "the manifest is flushed": (Manifest, "close"),
}

# Those of a run into a bucket.
BUCKET_STEPS: dict[str, tuple[Any, str]] = {
    "an object is written": (BucketWriter, "put"),
    "an object is listed": (Manifest, "add"),
    "a manifest is written": (Manifest, "rewrite"),
}


def die_before(step: str, calls: int) -> None:
    """Die when the step is begun for the `calls`th time."""
    owner, name = {**STEPS, **BUCKET_STEPS}[step]
    method = getattr(owner, name)
    calls_left = [calls]

    def dying(*args: Any, **kwargs: Any) -> Any:
        # What is written down before the POST has no job.
        calls_left[0] -= step != "the job is written down" or args[1].job is not None
        if calls_left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*args, **kwargs)

    setattr(owner, name, dying)


def tear_rows() -> None:
    """Die with half a row written, as a power cut leaves it."""

    def tear(self: Any, line: bytes) -> None:
        with self._path.open("ab") as manifest:
            manifest.write(line[: len(line) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    _disk.Appender.add = tear


def set_clock(seconds: float) -> None:
    """Put the machine's clock forward."""
    real = time.time
    time.time = lambda: real() + seconds


def main() -> None:
    options = json.loads(sys.argv[1])
    set_clock(options.get("clock_ahead", 0))
    if options.get("tear"):
        tear_rows()
    elif "die_before" in options:
        die_before(options["die_before"], options.get("calls", 1))
    with FirstHandClient(
        api_key=options["api_key"], base_url=options["base_url"], **options.get("client", {})
    ) as client:
        try:
            dataset = client.jobs.collect(options["dest"], **options["job"])
        except KeyboardInterrupt:
            sys.exit(130)
    sys.stdout.write(f"{len(dataset)} {dataset.job.id if dataset.job else None}\n")


if __name__ == "__main__":
    main()

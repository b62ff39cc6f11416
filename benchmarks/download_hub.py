"""Fetch the files that stdin lists with huggingface_hub's own download function, on 8 threads as it does."""

from __future__ import annotations

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import file_download


def fetch(line: str) -> None:
    url, size, target = line.rstrip("\n").split("\t")
    part = Path(f"{target}.part")
    with part.open("wb") as file:
        file_download.http_get(url, file, expected_size=int(size), displayed_filename="x")
    part.replace(target)


def main() -> None:
    lines = list(sys.stdin)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, lines))
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps({"seconds": seconds, "cpu": cpu, "rss": after.ru_maxrss, "rss_before": before.ru_maxrss})
    )


if __name__ == "__main__":
    main()

"""The plainest verified download, as a yardstick: `http.client` on 8 threads, SHA-256, write, fsync, rename.

It takes the files from stdin as download_ours.py does, and does nothing else that the engine does: no retry, no
resuming, no limit to anything. With `--hub` it fetches with huggingface_hub's own function instead, and checks nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import resource
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

local = threading.local()


def fetch(url: str, target: Path, context: ssl.SSLContext | None) -> None:
    parts = urlsplit(url)
    if not hasattr(local, "connection"):
        local.connection = (
            http.client.HTTPConnection(parts.netloc)
            if context is None
            else http.client.HTTPSConnection(parts.netloc, context=context)
        )
        local.view = memoryview(bytearray(512 * 1024))
    local.connection.request("GET", parts.path, headers={"Accept-Encoding": "identity"})
    response, digest, part = local.connection.getresponse(), hashlib.sha256(), f"{target}.part"
    with open(part, "wb", buffering=0) as file:  # noqa: PTH123 # the plainest
        while size := response.readinto(local.view):
            digest.update(local.view[:size])
            file.write(local.view[:size])
        os.fsync(file.fileno())
    os.replace(part, target)  # noqa: PTH105


def fetch_with_hub(url: str, size: int, target: Path) -> None:
    from huggingface_hub import file_download

    part = Path(f"{target}.part")
    with part.open("wb") as file:
        file_download.http_get(url, file, expected_size=size, displayed_filename="x")
    part.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hub", action="store_true")
    parser.add_argument("--verify", default=None)
    parser.add_argument("--concurrency", type=int, default=8)
    options = parser.parse_args()
    rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
    context = ssl.create_default_context(cafile=options.verify) if options.verify else None
    if options.hub:
        import huggingface_hub.file_download  # noqa: F401 # a program that downloads has imported it before

    def get(row: list[str]) -> None:
        url, size, target = row
        fetch_with_hub(url, int(size), Path(target)) if options.hub else fetch(url, Path(target), context)

    start = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    with ThreadPoolExecutor(options.concurrency) as pool:
        for _ in pool.map(get, rows):
            pass
    seconds = time.perf_counter() - started
    end = resource.getrusage(resource.RUSAGE_SELF)
    cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rss": end.ru_maxrss, "rss_before": start.ru_maxrss}))


if __name__ == "__main__":
    main()

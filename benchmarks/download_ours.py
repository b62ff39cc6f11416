"""Fetch the files that stdin lists (`url<TAB>size<TAB>target`, one a line) with the engine; print what it took."""

from __future__ import annotations

import argparse
import json
import queue
import re
import resource
import sys
import time
from pathlib import Path

from firsthandapi import FirstHandClient
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._base.network.proxies import choose_proxy
from firsthandapi._base.origins import Origin
from firsthandapi._core.files.download import Wanted
from firsthandapi.datasets._download.engine import CONCURRENCY, Engine
from firsthandapi.datasets._download.transfer import Outcome


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--verify", default=None)
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    options = parser.parse_args()
    files: list[Wanted] = []
    for number, line in enumerate(sys.stdin):
        url, size, target = line.rstrip("\n").split("\t")
        files.append(Wanted(f"file_{number}", url, None, int(size), None, Path(target)))
    # What a client that has listed its files has done already.
    client = FirstHandClient("fh_test_x", "http://127.0.0.1:9", verify=options.verify or True)
    choose_proxy(Origin("https", "api.firsthandapi.com", 443, ""), None)
    ssl_context(options.verify or True)
    before_kb = peak_kb()
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    start = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    with Engine(
        client._config,
        refresh=lambda _: sys.exit("a URL was refused"),
        on_done=outcomes.put,
        concurrency=options.concurrency,
    ) as engine:
        for file in files:
            engine.submit(file)
    seconds = time.perf_counter() - started
    end = resource.getrusage(resource.RUSAGE_SELF)
    client.close()
    failed = [outcome.error for outcome in iter_all(outcomes) if outcome.error is not None]
    if failed:
        sys.exit(str(failed[0]))
    cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rss": peak_kb(), "rss_before": before_kb}))


def peak_kb() -> int:
    """The peak of this very program: what getrusage tells begins with that of its parent."""
    match = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(match[1]) if match else 0


def iter_all(outcomes: queue.SimpleQueue[Outcome]) -> list[Outcome]:
    return [outcomes.get() for _ in range(outcomes.qsize())]


if __name__ == "__main__":
    main()

"""What a call costs the caller's process: a typed `jobs.get` against a bare get of httpx, connections warm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import httpx

from benchmarks._measure import Row, collector, cpu_seconds, in_turns, ratio
from benchmarks._samples import API_KEY, JOB_ID, as_json, http_response, job
from benchmarks._server import serving
from firsthandapi import AsyncFirstHandClient, FirstHandClient

_HEADERS = {"Authorization": f"Bearer {API_KEY}"}


def rows(quick: bool) -> Iterator[Row]:
    with serving(http_response(as_json(job()))) as url:
        yield Row("jobs.get", _sync(url, quick), "× httpx.Client.get", 0.9)
        for in_flight, calls, target in ((1, 200, 0.8), (50, 400, 0.18)):
            value = asyncio.run(_async(url, quick, in_flight, 50 if quick else calls))
            yield Row(
                f"async jobs.get, {in_flight} in flight", value, "× httpx.AsyncClient.get, as many", target
            )


def _sync(url: str, quick: bool) -> float:
    target = f"{url}/v1/jobs/{JOB_ID}"
    with FirstHandClient(API_KEY, url) as ours, httpx.Client(headers=_HEADERS) as bare:
        calls = 20 if quick else 300
        cases = {
            "ours": partial(cpu_seconds, lambda: ours.jobs.get(JOB_ID), calls),
            "bare": partial(cpu_seconds, lambda: bare.get(target), calls),
        }
        return ratio(in_turns(cases, rounds=1 if quick else 31), "ours", "bare")


async def _async(url: str, quick: bool, in_flight: int, calls: int) -> float:
    target = f"{url}/v1/jobs/{JOB_ID}"
    measured: dict[str, list[float]] = {"ours": [], "bare": []}
    async with AsyncFirstHandClient(API_KEY, url) as ours, httpx.AsyncClient(headers=_HEADERS) as bare:
        cases: dict[str, Callable[[], Awaitable[object]]] = {
            "ours": lambda: ours.jobs.get(JOB_ID),
            "bare": lambda: bare.get(target),
        }
        for call in cases.values():
            await _cpu_seconds(call, in_flight, in_flight)  # imports, connections
        for turn in range(1 if quick else 15):
            for name in list(cases)[:: 1 if turn % 2 == 0 else -1]:
                measured[name].append(await _cpu_seconds(cases[name], in_flight, calls))
    return ratio(measured, "ours", "bare")


async def _cpu_seconds(call: Callable[[], Awaitable[object]], in_flight: int, calls: int) -> float:
    """CPU seconds of one call, averaged over `calls` of which `in_flight` are under way at any time."""
    turns = iter(range(calls))

    async def worker() -> None:
        for _ in turns:
            await call()

    with collector(on=False):
        start = time.process_time()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return (time.process_time() - start) / calls

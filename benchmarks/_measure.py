"""How everything here is measured: cases take turns in rounds, and medians of the rounds are compared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    what: str
    value: float
    unit: str  # what `value` counts, such as `× json.loads`
    target: float | None = None  # reached when `value` is at most this; None for a yardstick


@contextmanager
def collector(on: bool) -> Generator[None, None, None]:
    """With Python's garbage collector on or off. It is off while a figure is taken, as `timeit` has it.

    A full collection costs what the whole process has loaded, and comes after some thousand calls: whichever
    case it meets pays for all.
    """
    (gc.enable if on else gc.disable)()
    try:
        yield
    finally:
        gc.enable()


def cpu_seconds(call: Callable[[], object], calls: int, collect: bool = False) -> float:
    """This process's CPU seconds of one call, averaged over `calls`."""
    turns = range(calls)
    with collector(collect):
        start = time.process_time()
        for _ in turns:
            call()
        return (time.process_time() - start) / calls


def in_turns(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each case measures in each round. Every other round runs backwards, so that none is always first."""
    for case in cases.values():
        case()  # imports, caches, connections
    measured: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds):
        for name in list(cases)[:: 1 if turn % 2 == 0 else -1]:
            measured[name].append(cases[name]())
    return measured


def ratio(measured: Mapping[str, list[float]], case: str, to: str) -> float:
    """The median of the rounds' ratios: a machine that changes speed half-way disturbs both sides alike."""
    return statistics.median(value / base for value, base in zip(measured[case], measured[to], strict=True))


def difference(measured: Mapping[str, list[float]], case: str, to: str) -> float:
    """The median of the rounds' differences."""
    return statistics.median(value - base for value, base in zip(measured[case], measured[to], strict=True))

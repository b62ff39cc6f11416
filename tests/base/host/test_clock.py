"""The time of this machine."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from firsthandapi._base.host import clock
from firsthandapi._base.host.clock import HostClock, counting_suspends


def refuse(number: int | None) -> float:
    raise TypeError if number is None else OSError(22, "Invalid argument")


@pytest.mark.parametrize(
    ("platform", "clocks", "seconds"),
    [
        ("linux", {"CLOCK_BOOTTIME": 7, "CLOCK_MONOTONIC_RAW": 4, "clock_gettime": float}, 7),
        ("darwin", {"CLOCK_MONOTONIC_RAW": 4, "clock_gettime": float}, 4),
        ("win32", {}, 1),
        ("freebsd14", {"CLOCK_MONOTONIC": 4, "clock_gettime": refuse}, 1),
        ("linux", {"CLOCK_BOOTTIME": 7, "clock_gettime": refuse}, 1),  # in a sandbox
    ],
)
def test_the_clock_that_counts_a_suspend(platform: str, clocks: dict[str, Any], seconds: float) -> None:
    """It is that of the system; where there is none, waits go by the one that stands still meanwhile."""
    assert counting_suspends(SimpleNamespace(monotonic=lambda: 1, **clocks), platform)() == seconds


def test_it_is_the_clock_of_calls_and_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the wall clock, which somebody may set."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # elsewhere the table above says which it is
        earliest = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert earliest <= HostClock().monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr(clock, "ticks", lambda: 12.5)
    assert HostClock().monotonic() == 12.5

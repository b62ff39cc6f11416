"""Programs that a test has started, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import AnyStr

import pytest

# A hang, not a slow disk: where others write gigabytes, to flush one line may take a minute.
_LONGEST = 180
# What a program does after a signal takes a second or two, and busy cores make a few of them.
_SOON = 30


def unmeasured(**variables: str) -> dict[str, str]:
    """The environment of a program that gets a signal: coverage does not measure it.

    Coverage takes a lock in Python. A KeyboardInterrupt between taking and releasing it leaves it taken, and the
    program hangs at the next file that it imports.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")
    }
    return {**inherited, **variables}


def end_of(process: subprocess.Popen[AnyStr], *, within: float = _LONGEST) -> tuple[AnyStr, AnyStr]:
    """What a program has printed when it has ended. One that does not end says where each of its threads stands."""
    try:
        return process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        # PYTHONFAULTHANDLER, which conftest.py sets, prints the stacks.
        process.send_signal(signal.SIGABRT)
        said = process.communicate(timeout=60)
        pytest.fail(f"{process.args} still ran after {within} s:\n{said[0]!s}\n{said[1]!s}")


def stopped(process: subprocess.Popen[AnyStr], how: int) -> tuple[AnyStr, AnyStr]:
    """What a program that runs `unmeasured` has printed in all when a signal has ended it."""
    given = Path(f"/proc/{process.pid}/environ")  # on Linux alone, where the gate runs
    assert not given.exists() or b"COVERAGE_PROCESS_" not in given.read_bytes(), (
        "start it with env=unmeasured()"
    )
    process.send_signal(how)
    return end_of(process, within=_SOON)

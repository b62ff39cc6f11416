"""Programs that a test has started, and how they end."""

from __future__ import annotations

import signal
import subprocess
from typing import AnyStr

import pytest

# A hang, not a slow disk: where others write gigabytes, to flush one line may take a minute.
_LONGEST = 180


def end_of(process: subprocess.Popen[AnyStr]) -> tuple[AnyStr, AnyStr]:
    """What a program has printed when it has ended. One that does not end says where each of its threads stands."""
    try:
        return process.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        # PYTHONFAULTHANDLER, which conftest.py sets, prints the stacks.
        process.send_signal(signal.SIGABRT)
        said = process.communicate(timeout=60)
        pytest.fail(f"{process.args} still ran after {_LONGEST} s:\n{said[0]!s}\n{said[1]!s}")

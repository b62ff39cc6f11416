"""Programs that fork, each in a process of its own: the threads of a test process must not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
# The end of a program: prints how its `child` ended, and waits for none that hangs.
WAIT_FOR_CHILD = """
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        print(os.waitstatus_to_exitcode(status), flush=True)
        break
    time.sleep(0.02)
else:
    os.kill(child, 9)
"""


def check_output(program: str, *arguments: str, expected: str = "7\n") -> None:
    """Run `program`, which must print `expected`."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == expected, done.stderr

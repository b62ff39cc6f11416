"""Programs that a test has started, and how they end."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, closing, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, AnyStr
from unittest.mock import patch

import pytest

REDIS_SERVERS = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
needs_redis = pytest.mark.skipif(
    not REDIS_SERVERS, reason="neither redis-server nor valkey-server is installed"
)
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


def started(program: ModuleType, **options: Any) -> subprocess.Popen[str]:
    """A program of the tests that is told its options as JSON."""
    return subprocess.Popen(
        [sys.executable, str(program.__file__), json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@contextmanager
def forked(main: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """A function as a process, which is killed in the end, and what it says through its first argument.

    It is a fork of a process that has imported all of a server: dozens of them start in the time that one takes. Its
    environment is that of the first call in this process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["firsthandapi._sync.client", "firsthandapi_server.serve.service"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=main, args=(theirs, *arguments))
    with patch.dict(os.environ, unmeasured(), clear=True):
        process.start()
    theirs.close()
    with closing(ours):
        try:
            yield process, ours
        finally:
            process.kill()
            process.join(30)
            process.close()


def end_of(process: subprocess.Popen[AnyStr], *, within: float = _LONGEST) -> tuple[AnyStr, AnyStr]:
    """What a program has printed when it has ended. One that does not end says where each of its threads stands."""
    try:
        return process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        # PYTHONFAULTHANDLER, which conftest.py sets, prints the stacks.
        process.send_signal(signal.SIGABRT)
        output = process.communicate(timeout=60)
        pytest.fail(f"{process.args} still ran after {within} s:\n{output[0]!s}\n{output[1]!s}")


def stopped(process: subprocess.Popen[AnyStr], how: int) -> tuple[AnyStr, AnyStr]:
    """What a program that runs `unmeasured` has printed in all when a signal has ended it."""
    environment = Path(f"/proc/{process.pid}/environ")  # on Linux alone, where the gate runs
    assert not environment.exists() or b"COVERAGE_PROCESS_" not in environment.read_bytes(), (
        "start it with env=unmeasured()"
    )
    process.send_signal(how)
    return end_of(process, within=_SOON)


def run_here(script: str, *arguments: str, cwd: Path, **variables: str) -> dict[str, Any]:
    """Run a script as `python -W error` does, in this process: a new one takes longer than most scripts.

    Returns:
        Its names.
    """
    with (
        chdir(cwd),
        patch.dict(os.environ, variables),
        patch.object(sys, "argv", [script, *arguments]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        return runpy.run_path(script, run_name="__main__")


def free_port() -> int:
    """A port for a program that is told one: below those that systems give away, so that nobody gets it meanwhile."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


class Redis:
    """A Redis of one's own, which can go away and return."""

    def __init__(self, folder: Path, server: str) -> None:
        self._server = server
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [
                *(self._server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self._folder), *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("Redis does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)
            self._process = None

    def admin(self) -> Any:
        """A client of its own."""
        import redis

        return redis.Redis.from_url(self.url, decode_responses=True)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

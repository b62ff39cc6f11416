"""Runs code that decodes untrusted files in a process of its own, with a bound on its memory and its time."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from typing import Any, BinaryIO, cast

_HEAD = struct.Struct("!?Q")
_WATCH_EVERY = 0.05


class BoundedError(Exception):
    """The process took too much memory or time, or died. The call has no result."""


class Bounded:
    """A function of this package in processes of its own, which start when they are needed.

        thumbnails = Bounded("firsthandapi_server.media.thumbnails:thumbnail", seconds=10)
        small = thumbnails(content, "image/jpeg", 320)

    Threads may call it at the same time. A process that exceeds a bound is killed, and the next call starts another.

    Args:
        function: the module and the name of the function, which returns bytes or None.
        processes: how many calls run at the same time; others wait.
        megabytes: the memory of each process.
        seconds: the time of each call.
    """

    def __init__(
        self, function: str, *, processes: int = 2, megabytes: int = 500, seconds: float = 20.0
    ) -> None:
        self._arguments = [function, str(megabytes << 20)]
        self._seconds = seconds
        self._free = threading.Semaphore(processes)
        self._idle: list[subprocess.Popen[bytes]] = []
        self._is_closed = False

    def __call__(self, *arguments: Any) -> bytes | None:
        """The result of the function. Raises BoundedError: it took too much memory or time, or raised."""
        with self._free:
            try:
                process = self._idle.pop()
            except IndexError:
                process = self._start()
            try:
                result = self._ask(process, arguments)
            except BaseException:
                _end(process)
                raise
            self._idle.append(process)
            if self._is_closed:
                self.close()
            return result

    def warm(self) -> None:
        """Start a process before the first call, which then need not wait until it has started."""
        self._idle.append(self._start())

    def close(self) -> None:
        """End the processes. Those of calls that still run, or come later, end with their call."""
        self._is_closed = True
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                _end(self._idle.pop())

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: a folder in which somebody starts a program may be a stranger's, and no place to import from.
        command = [sys.executable, "-P", "-m", __name__, *self._arguments]
        # Large pages of memory, where the system has them: to turn a photo takes less time.
        environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ}
        return subprocess.Popen(  # noqa: S603 # our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )

    def _ask(self, process: subprocess.Popen[bytes], arguments: tuple[Any, ...]) -> bytes | None:
        timer = threading.Timer(self._seconds, process.kill)
        timer.start()
        try:
            # Not as bytes first: a picture would be copied.
            stdin = cast("BinaryIO", process.stdin)
            pickle.dump(arguments, stdin)
            stdin.flush()
            return _read(cast("BinaryIO", process.stdout))
        except (EOFError, OSError):
            raise BoundedError from None
        finally:
            timer.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    is_some, size = _HEAD.unpack(head)
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content if is_some else None


# --- in the process --------------------------------------------------------------------------------------


def limit(most: int) -> None:
    """End this process as soon as it takes more than `most` bytes."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return

    def watch() -> None:
        while _used() < most:
            time.sleep(_WATCH_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _used() -> int:
    """The most bytes that this process has had, where the system cannot limit them."""
    if sys.platform == "win32":
        import ctypes

        class Counters(ctypes.Structure):
            _fields_ = (
                ("size", ctypes.c_ulong),
                ("faults", ctypes.c_ulong),
                ("peak", ctypes.c_size_t),
                ("others", ctypes.c_size_t * 7),
            )

        counters = Counters(ctypes.sizeof(Counters))
        this = ctypes.c_void_p(ctypes.windll.kernel32.GetCurrentProcess())
        ctypes.windll.kernel32.K32GetProcessMemoryInfo(this, ctypes.byref(counters), counters.size)
        return counters.peak
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(function: str, most: str) -> None:
    """Answer calls from stdin on stdout, until stdin ends."""
    module, _, name = function.partition(":")
    call = getattr(importlib.import_module(module), name)
    limit(int(most))
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 # of the process that started this
        except EOFError:
            return
        result: bytes | None = call(*arguments)
        sys.stdout.buffer.write(_HEAD.pack(result is not None, len(result or b"")))
        sys.stdout.buffer.write(result or b"")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

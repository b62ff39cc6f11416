"""A pytest plugin (`-p windows`): Linux refuses what Windows refuses, until the tests run on a Windows machine.

A file that is open cannot be replaced, renamed, or removed; a folder cannot be opened; names of devices make no files;
a file is not renamed over another one. There are no forks, `msvcrt` stands in for `fcntl`, and the flags and functions
that POSIX alone has are gone; `select` without sockets is an error, and clocks have steps of 15.6 ms.
`host/test_windows.py` runs tests under these rules, in processes of their own.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import re
import select
import selectors
import shutil
import signal
import stat
import struct
import sys
import tempfile
import time
import types
from collections.abc import Callable
from typing import Any

# These look at import time for what goes away below. They do so in another way on Windows.
_BEFORE = (
    *("asyncio", "concurrent.futures.process", "ctypes", "faulthandler", "glob", "logging"),
    *("multiprocessing.util", "pathlib", "random", "ssl", "subprocess", "tempfile"),
    *("threading", "uuid", "webbrowser", "_pytest.pathlib", "_pytest.capture"),
    *("anyio._backends._asyncio", "execnet", "hypothesis", "trio", "xdist"),
)
_POSIX_ALONE = {
    os: (
        *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "fchown", "fork"),
        *("posix_fadvise", "register_at_fork"),
    ),
    select: ("poll",),
    signal: ("SIGHUP", "SIGQUIT"),
}
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?|.*[<>:\"|?*].*|.*[^.][ .]", re.I
)
_TICK = 1 / 64


def _is_open(path: Any) -> bool:
    try:
        target = os.lstat(path)
    except OSError:
        return False
    statuses = [_status(fd.name) for fd in os.scandir("/proc/self/fd")]
    return stat.S_ISREG(target.st_mode) and any(
        status is not None and os.path.samestat(target, status) for status in statuses
    )


def _status(fd: str) -> os.stat_result | None:
    try:
        return os.fstat(int(fd))
    except OSError:  # that of the listing itself
        return None


def _check_closed(*paths: Any) -> None:
    for path in paths:
        if _is_open(path):
            raise PermissionError(errno.EACCES, "The file is being used by another process", os.fspath(path))


def _check_name(path: Any) -> None:
    if any(_RESERVED.fullmatch(name) for name in os.fsdecode(path).split("/")):
        raise OSError(errno.EINVAL, "The file name or directory name is incorrect", os.fspath(path))


def _file_rules() -> None:
    # A temporary file without a name has one there, which goes when it is closed.
    tempfile._os = types.SimpleNamespace(**vars(os))  # type: ignore[attr-defined]
    replace, rename, unlink, open_, mkdir = os.replace, os.rename, os.unlink, os.open, os.mkdir

    def replacing(source: Any, target: Any, **more: Any) -> None:
        _check_name(target)
        _check_closed(source, target)
        replace(source, target, **more)

    def renaming(source: Any, target: Any, **more: Any) -> None:
        _check_name(target)
        _check_closed(source)
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "The file exists", os.fspath(target))
        rename(source, target, **more)

    def removing(path: Any, **more: Any) -> None:
        _check_closed(path)
        unlink(path, **more)

    def opening(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        _check_name(path)
        if os.path.isdir(path):  # noqa: PTH112 # any kind of path
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return open_(path, flags, mode, **more)

    def making(path: Any, *arguments: Any, **more: Any) -> None:
        _check_name(path)
        mkdir(path, *arguments, **more)

    os.replace, os.rename, os.unlink, os.remove = replacing, renaming, removing, removing
    os.open, os.mkdir = opening, making
    setattr(os, "O_BINARY", 0)  # noqa: B010 # mypy knows no such flag here
    shutil._use_fd_functions = False  # type: ignore[attr-defined]


def _select_rules() -> None:
    real = select.select

    def selecting(reads: Any, writes: Any, errors: Any, timeout: float | None = None) -> Any:
        if not (reads or writes or errors):
            raise OSError(10022, "An invalid argument was supplied")
        return real(reads, writes, errors, timeout)

    class Selector(selectors.SelectSelector):
        def _select(self, reads: Any, writes: Any, _: Any, timeout: float | None = None) -> Any:
            reads, writes, errors = selecting(reads, writes, writes, timeout)
            return reads, writes + errors, []

    select.select = selecting
    selectors.DefaultSelector = Selector  # type: ignore[misc]


def _clock_rules() -> None:
    def in_ticks(real: Callable[[], float]) -> Callable[[], float]:
        return lambda: real() // _TICK * _TICK

    time.monotonic, time.time = in_ticks(time.monotonic), in_ticks(time.time)
    del time.clock_gettime


def _locking_rules() -> None:
    fcntl = importlib.import_module("fcntl")

    def locking(fd: int, how: int, size: int) -> None:
        # Of so many bytes from where the file stands, and of this descriptor: others of the same process wait too. As
        # `_base.host` locks elsewhere, so that programs of a test that know nothing of these rules wait as well.
        at = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            if at == 0:
                fcntl.flock(fd, fcntl.LOCK_UN if how == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", how, os.SEEK_SET, at, size, 0))
        except OSError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    msvcrt: Any = types.ModuleType("msvcrt")
    msvcrt.locking, msvcrt.LK_NBLCK, msvcrt.LK_UNLCK = locking, fcntl.F_WRLCK, fcntl.F_UNLCK
    sys.modules["msvcrt"] = msvcrt
    # These choose once, and nothing else may take the name of the platform for real.
    platform, sys.platform = sys.platform, "win32"
    sys.modules["fcntl"] = None  # type: ignore[assignment] # an ImportError
    try:
        home = importlib.import_module("firsthandapi._base.host")
        for module in pkgutil.iter_modules(home.__path__, "firsthandapi._base.host."):
            importlib.import_module(module.name)
    finally:
        sys.platform, sys.modules["fcntl"] = platform, fcntl


for _name in _BEFORE:
    try:
        importlib.import_module(_name)
    except ImportError:
        continue
for _module, _names in _POSIX_ALONE.items():
    for _name in _names:
        delattr(_module, _name)
_file_rules()
_select_rules()
_clock_rules()
_locking_rules()

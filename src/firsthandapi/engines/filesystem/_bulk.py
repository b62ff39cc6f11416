"""Many reads side by side, and what goes where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

# As many connections as a download has.
_CONCURRENCY = 32


def at_once(calls: Sequence[Callable[[], T]], *, raising: bool) -> list[T | Exception]:
    """What each call returns, or its error.
    `calls`: what to call, each in a thread.
    `raising`: whether to raise the first error; calls that have not begun are then left out.
    """
    pool = ThreadPoolExecutor(min(max(len(calls), 1), _CONCURRENCY), "firsthandapi-filesystem")
    try:
        results: list[T | Exception] = []
        for future in [pool.submit(call) for call in calls]:
            # In slices: a lock that is waited for without end swallows Ctrl-C on Windows.
            while not future.done():
                wait([future], timeout=0.5)
            error = future.exception()
            if error is None:
                results.append(future.result())
            elif raising or not isinstance(error, Exception):
                raise error
            else:
                results.append(error)
        return results
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class Plan:
    """Takes the place of a file system while fsspec decides what goes where: it notes the copies and makes none.

    Args:
        files: the file system that is asked everything else.
    """

    def __init__(self, files: Any) -> None:
        self._files = files
        self.copies: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """Note a copy."""
        self.copies.append((rpath, lpath))

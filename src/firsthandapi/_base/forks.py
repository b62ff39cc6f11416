"""Imports that a fork must not cut in two.

Python holds a lock for each import. In the child nobody would release those of its parent's other threads, and the
first call there would wait for them without end. So a fork waits for what clients import in other threads. What a
program itself imports in a thread, `firsthandapi.datasets` for one, it must have imported before it forks.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import AbstractContextManager
from functools import cached_property

# Even a slow disk brings the modules by then; a fork must not wait without end either.
_LONGEST_IMPORT = 10.0

_lock = threading.RLock()
_forking = threading.local()
_guarded = not hasattr(os, "register_at_fork")  # Windows has no fork


def importing() -> AbstractContextManager[object]:
    """Hold this while a client imports what it needs."""
    if not _guarded:
        _guard()
    return _lock


def _guard() -> None:
    global _guarded  # noqa: PLW0603 # a process has one set of hooks
    # Hooks run backwards: ours, which waits, comes before the one of logging, which takes a lock that imports need.
    import logging  # noqa: F401  # pyright: ignore[reportUnusedImport]

    with _lock:
        if not _guarded:  # pragma: no branch # the other way: two threads are here at once
            os.register_at_fork(
                before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
            )
            _guarded = True


def _before() -> None:
    _forking.holds = _lock.acquire(timeout=_LONGEST_IMPORT)


def _after_in_parent() -> None:
    if _forking.holds:
        _lock.release()


def _after_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    global _lock  # noqa: PLW0603 # the parent's may be held by a thread that the child does not have
    _lock = threading.RLock()
    if sys.version_info < (3, 12):
        # There such a property holds a lock while it is made, which is while its module is imported.
        for half, name in ("_async", "AsyncFirstHandClient"), ("_sync", "FirstHandClient"):
            client: type | None = getattr(sys.modules.get(f"firsthandapi.{half}.client"), name, None)
            for attribute in vars(client).values() if client else ():
                if isinstance(attribute, cached_property):
                    vars(attribute)["lock"] = threading.RLock()

"""Imports that a fork must not cut in two.

Python holds a lock for each import. In the child nobody would release those of its parent's other threads, and the
first call there would wait for them without end. So a fork waits for what other threads import.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import AbstractContextManager, suppress
from importlib import import_module

# Even a slow disk and busy cores bring the modules by then; a fork must not wait without end either.
_LONGEST_IMPORT = 60.0

_lock = threading.RLock()
_forking = threading.local()


def importing() -> AbstractContextManager[object]:
    """Hold this while a client imports what it needs."""
    return _lock


def _before() -> None:
    _forking.holds = _lock.acquire(timeout=_LONGEST_IMPORT)
    # Imports of the program's own, such as `import firsthandapi.datasets`: to import one again is to wait for it.
    # Python itself finds those that wait for each other.
    for name, module in list(sys.modules.items()):
        if name.startswith("firsthandapi.") and getattr(
            getattr(module, "__spec__", None), "_initializing", False
        ):
            with suppress(Exception):  # whoever needs the module is told what is wrong with it
                import_module(name)


def _after_in_parent() -> None:
    if _forking.holds:
        _lock.release()


def _after_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    global _lock  # noqa: PLW0603 # the parent's may be held by a thread that the child does not have
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)

"""How many files and connections this process may have open."""

from __future__ import annotations

import contextlib
import sys

_MOST = 10_240  # as many as macOS allows


def most() -> int:
    """How many files and connections may be open at the same time."""
    if sys.platform == "win32":
        return _MOST  # where no limit of this kind exists
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Let this process open as many as the system allows it: a service starts with 1,024, each connection is one, and
    so is each file on its way."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
        if most() < allowed:
            with contextlib.suppress(ValueError, OSError):  # the system allows fewer than it says
                resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))

"""Exceptions as IPython shows them: with the caller's frames, without the package's own."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from copy import copy
from traceback import format_exception
from typing import Any

from firsthandapi._base.masking import without_frames

# In a notebook, frames of these packages add nothing to the message. Other tracebacks contain all frames.
_INNER = frozenset(
    {"firsthandapi", "tenacity", "httpcore", "httpx", "anyio", "asyncio"}
    | {"concurrent", "contextlib", "threading", "socket", "ssl"}
)

STOPS = (KeyboardInterrupt, CancelledError)


def rendered(error: BaseException) -> list[str]:
    """The lines for `error`. If a stopped call has notes on how to continue, it needs no frames."""
    notes: list[str] = getattr(error, "__notes__", [])
    if notes and isinstance(error, STOPS):
        return [type(error).__name__, *notes]
    bare_error = copy(error)  # without its causes, which are the package's own exceptions
    frames = without_frames(error.__traceback__, _INNER)
    shell = _shell()
    if shell is None:
        return "".join(format_exception(type(error), bare_error, frames)).splitlines()
    lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), bare_error, frames)
    return lines


def _shell() -> Any:
    """The IPython shell that runs this program, or None."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()

"""What IPython shows of an exception: the frames of the caller, and none of those inside."""

from __future__ import annotations

import sys
from copy import copy
from traceback import format_exception
from typing import Any

from firsthandapi._masking import without_frames

# In a notebook, frames of these say nothing that the message does not say. A traceback elsewhere has them all.
_INNER = frozenset(
    {"firsthandapi", "tenacity", "httpcore", "httpx", "anyio", "asyncio"}
    | {"concurrent", "contextlib", "threading", "socket", "ssl"}
)


def rendered(error: BaseException) -> list[str]:
    """The lines for `error`. A stopped call whose notes say how to continue needs no frame."""
    notes: list[str] = getattr(error, "__notes__", [])
    if notes and isinstance(error, KeyboardInterrupt):
        return [type(error).__name__, *notes]
    shown = copy(error)  # without the exceptions that led to it, which are the package's own
    frames = without_frames(error.__traceback__, _INNER)
    shell = _shell()
    if shell is None:
        return "".join(format_exception(type(error), shown, frames)).splitlines()
    lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), shown, frames)
    return lines


def _shell() -> Any:
    """The IPython that runs this program; None elsewhere."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()

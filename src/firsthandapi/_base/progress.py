"""The line that shows how a run is going, where a person looks."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible

if TYPE_CHECKING:
    from firsthandapi._core.orders.reports import Progress

PROGRESS_VARIABLE = "FIRSTHAND_PROGRESS"
# Set by programs that act for people: what they read is neither colored nor redrawn.
AGENTS = (
    *("AI_AGENT", "CLAUDECODE", "CLAUDE_CODE", "CODEX_SANDBOX", "CODEX_THREAD_ID"),
    *("CURSOR_AGENT", "GEMINI_CLI", "OPENCODE"),
)


def is_for_an_agent() -> bool:
    """Whether a program that acts for a person runs this one."""
    return any(os.environ.get(name) for name in AGENTS)


def someone_looks() -> bool:
    """Whether a person sees standard error as it comes: on a terminal, or in a notebook."""
    if os.environ.get(PROGRESS_VARIABLE, "1").lower() in ("", "0", "false", "no", "off") or is_for_an_agent():
        return False
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())  # pyright: ignore[reportUnnecessaryComparison] # under pythonw it is None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def progress_line(on_progress: Any, progress: bool, dest: object) -> Generator[Any]:
    """What to call with each `Progress`: `on_progress`; or, where someone looks and unless `progress` is False, what
    redraws one line: on standard error, or below the cell of a notebook."""
    if on_progress is not None or not progress or not someone_looks():
        yield on_progress
        return
    line = _Line(str(dest))
    try:
        yield line.show
    finally:
        line.end()


class _Line:
    def __init__(self, dest: str) -> None:
        # People save and share notebooks: the name of a folder says enough, and not where it is.
        self._dest = visible(re.split(r"[/\\]", dest.rstrip("/\\"))[-1])
        self._display: Any = import_module("IPython.display").display if _in_notebook() else None
        self._again: dict[str, Any] = {"display_id": f"firsthandapi-{id(self)}"}
        self._begun = time.monotonic()
        self._shown = 0

    def show(self, now: Progress) -> None:
        facts = [self._dest, f"{now.files_done:,} of {count_of(now.files_total)}"]
        if now.job is not None:
            facts.append(visible(str(now.job.status)))
        facts.append(f"{now.bytes_done / 1e6:,.1f} MB")
        if now.files_failed:
            facts.append(f"{now.files_failed:,} failed")
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        facts.append(f"{minutes // 60}:{minutes % 60:02}:{seconds:02}")
        text = "  ".join(facts)
        if self._display is not None:
            self._display({"text/plain": text}, raw=True, **self._again)
            self._again["update"] = True
            return
        # A line that is wider than the terminal would not be redrawn, but repeated.
        import shutil  # only where a line is drawn

        room = shutil.get_terminal_size().columns - 1
        text = text[-room:]
        self._write(f"\r{text:<{min(self._shown, room)}}")
        self._shown = len(text)

    def end(self) -> None:
        """Leave the last state in place."""
        if self._shown:
            self._write("\n")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # whoever looked may be gone; the files are still wanted
            sys.stderr.write(text)
            sys.stderr.flush()

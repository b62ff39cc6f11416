"""The scorer of a server, if it has one: the operator's own function or annotator, named by an entry point of the group
`firsthandapi.scorers`. It runs in its own process: it may load a model, crash, or hang, and the server continues.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import IO, Any, cast

from firsthandapi.ai import Opinion, Work
from firsthandapi.ai._question import key
from firsthandapi.errors import AnnotationError, ConfigurationError
from firsthandapi_server.rules.world import World

from .access import Access
from .programs import SCORER, Program

GROUP = "firsthandapi.scorers"
# A model may take a long time to load.
_START_SECONDS = 300.0


class ScorerError(AnnotationError):
    """A scorer failed; the message says how."""


def find_scorer(name: str) -> EntryPoint:
    """Find a scorer by the name of its entry point, or as `module:function`.
    Raises ConfigurationError: the scorer is not installed.
    """
    if ":" in name:
        return EntryPoint(name, name, GROUP)
    scorers = {entry_point.name: entry_point for entry_point in entry_points(group=GROUP)}
    if name not in scorers:
        names = ", ".join(sorted(scorers)) or "none"
        raise ConfigurationError(
            f"scorer {name} is not installed: the entry points of {GROUP} are: {names}; install its package, or pass "
            "MODULE:NAME"
        )
    return scorers[name]


class Scorer(Program):
    """What waits for a scorer, and what it says, one file after the other."""

    def __init__(self, world: World, access: Access, folder: Path, process: ScorerProcess) -> None:
        super().__init__(world, access, folder, f"{SCORER}{process.name}")
        self._process = process

    def stop(self) -> None:
        """End the scorer, even while it looks at a file."""
        self._process.end()
        super().stop()

    def takes(self, content_type: str) -> bool:  # noqa: ARG002 - it says None of what it does not know
        return True

    def question(self, work: Work) -> str:
        return key(f"{self.rater} {self._process.version}", work.job)

    def look(self, work: Work) -> Opinion | None:
        return self._process.ask(work)


class ScorerProcess:
    """The process of a scorer, started again after a failure; `seconds` is its most for a file.

    Attributes:
        name: what the scorer calls itself, or what `--scorer` calls it.
        version: changes with the code of a function; an annotator has another name instead.
    """

    def __init__(self, scorer: str, seconds: float) -> None:
        self._scorer = scorer
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self.name, self.version = scorer, ""
        self.is_over = False

    def ask(self, work: Work) -> Opinion | None:
        """Ask the scorer about a file; None if it leaves it to the reviewers.
        Raises ScorerError: the scorer failed, or took too long.
        """
        request = {name: getattr(work, name) for name in Work.__dataclass_fields__}
        job = None if work.job is None else work.job.model_dump(mode="json")
        captured = work.captured_at and work.captured_at.isoformat()
        line = json.dumps({**request, "path": str(work.path), "job": job, "captured_at": captured}).encode()
        answer = self._exchange(self.start(), line + b"\n", self._seconds)["opinion"]
        return None if answer is None else Opinion(**answer)

    def end(self) -> None:
        """End the process, even while another thread uses it. No other process starts after this."""
        self.is_over = True
        process = self._process
        if process is not None:
            process.kill()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process unless it runs, and return it once it has loaded the scorer.
        Raises ScorerError: the scorer cannot be loaded.
        """
        if self._process is None:
            command = [sys.executable, "-m", "firsthandapi_server.serve.scorer", self._scorer]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            if self.is_over:  # `end` was called before the process existed
                self._process.kill()
            try:
                greeting = self._exchange(self._process, b"", _START_SECONDS)
            except ScorerError:
                self.close()
                raise
            self.name, self.version = greeting["name"], greeting["version"]
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], line: bytes, seconds: float) -> dict[str, Any]:
        ends = time.monotonic() + seconds
        alarm = threading.Timer(seconds, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            stdin.write(line)
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
        except (OSError, ValueError):  # nothing came, or only a part
            self.close()
            is_late = time.monotonic() >= ends
            words = f"it took more than {seconds:g} seconds" if is_late else "its process ended"
            raise ScorerError(words, cents=0.0) from None
        finally:
            alarm.cancel()
        if "error" in answer:
            raise ScorerError(answer["error"], cents=0.0)
        return answer

    def close(self) -> None:
        """End the process and close its pipes. No other thread may use it."""
        process, self._process = self._process, None
        if process is not None:
            # Reads no answer to its end: processes that the scorer has forked may hold it open.
            with contextlib.suppress(OSError), process:
                process.kill()

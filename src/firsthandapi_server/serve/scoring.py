"""The scorer of a server, if it has one, which sees each submission before the reviewers do.

It is the operator's own function, named by an entry point of the group `firsthandapi.scorers`. It runs in its own
process: it may load a model, crash, or hang, and the server continues.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import IO, Any, cast

from firsthandapi._base.names import file_name_on_disk
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.rules import show
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import File, Submission

GROUP = "firsthandapi.scorers"
MAX_REASON = 1000
MAX_ANNOTATIONS = 256 << 10
# A model may take a long time to load.
_START_SECONDS = 300.0
_log = logging.getLogger("firsthandapi.serve")


class ScorerError(Exception):
    """A scorer failed; the message says how."""


def find_scorer(name: str) -> EntryPoint:
    """Find a scorer by the name of its entry point, or as `module:function`.
    Raises ConfigurationError: the scorer is not installed.
    """
    if ":" in name:
        return EntryPoint(name, name, GROUP)
    known = {each.name: each for each in entry_points(group=GROUP)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ConfigurationError(
            f"scorer {name} is not installed: the entry points of {GROUP} are: {names}; install its package, or pass "
            "MODULE:FUNCTION"
        )
    return known[name]


class Scorer:
    """What waits for a scorer, and what it says: one by its name, or none."""

    def __init__(self, world: World, scorer: str | None, seconds: float) -> None:
        self._world = world
        self.is_there = scorer is not None
        self._process = None if scorer is None else ScorerProcess(scorer, seconds)
        self._work: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._taken: set[str] = set()
        self._thread: threading.Thread | None = None

    def take(self, submission: Submission) -> None:
        """Have a submission scored."""
        self._taken.add(submission.id)
        self._work.put((submission.id, submission.attempt))

    def is_taken(self, submission_id: str) -> bool:
        """Whether a submission is still waiting for the scorer, so that reviewers can skip it."""
        return submission_id in self._taken

    def start(self) -> None:
        """Start the scorer."""
        if self._process is not None:
            self._thread = threading.Thread(
                target=self._run, args=[self._process], name="firsthandapi-scorer", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the scorer, even while it scores a file. It gets unscored files again at the next start."""
        if self._process is not None and self._thread is not None:
            self._process.end()
            self._work.put(None)
            self._thread.join()
            self._thread = None
            self._process.close()

    def _run(self, process: ScorerProcess) -> None:
        try:
            process.start()
        except ScorerError as error:
            if not process.is_over:
                _log.warning("the reviewers rate everything until the scorer can be loaded: %s", error)
        while (item := self._work.get()) is not None and not process.is_over:
            try:
                self._score(process, *item)
            except ScorerError as error:
                if not process.is_over:
                    _log.warning("the scorer left %s to the reviewers: %s", item[0], error)
            except Exception:
                _log.exception("the scorer left %s to the reviewers", item[0])
            finally:
                self._taken.discard(item[0])

    def _score(self, process: ScorerProcess, submission_id: str, attempt: int) -> None:
        world = self._world
        with world.lock:
            submission = world.state.submissions.get(submission_id)
            if submission is None or not _waits(submission, attempt):
                return
            files, job = [*submission.files], show.job(submission.job)
        scores = [_ask(process, file, job) for file in files]
        if None in scores:
            return
        verdict = _verdict([score for score in scores if score is not None])
        with world.lock:
            if _waits(submission, attempt):
                world.jobs.score(submission, world.clock.now(), verdict)


def _waits(submission: Submission, attempt: int) -> bool:
    return submission.status == "pending_score" and submission.attempt == attempt


def _ask(process: ScorerProcess, file: File, job: dict[str, Any]) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory(prefix="firsthandapi-") as folder:
        path = Path(folder, file_name_on_disk(file.id, file.content_type))
        with path.open("wb") as copy:
            for piece in file.source.read(0, file.facts().size):
                copy.write(piece)
        return process.ask({"path": str(path), "content_type": file.content_type, "job": job})


def _verdict(scores: Sequence[dict[str, Any]]) -> Verdict:
    reasons = dict.fromkeys(score["reason"] for score in scores if score["reason"])
    return Verdict(
        [score["stars"] for score in scores],
        " ".join(reasons)[:MAX_REASON] or None,
        annotations=[score["annotations"] for score in scores],
        actor="scorer",
        rated_by="rules",
    )


class ScorerProcess:
    """The process of a scorer, started when needed, and again after a failure; `seconds` is its most for a file."""

    def __init__(self, name: str, seconds: float) -> None:
        self._command = [sys.executable, "-m", "firsthandapi_server.serve.scorer", name]
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self.is_over = False

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the scorer for stars, reason, and annotations of a file; None if it leaves the file to the reviewers.
        Raises ScorerError: the scorer failed, or took too long.
        """
        score: dict[str, Any] | None
        score = self._exchange(self.start(), json.dumps(request).encode() + b"\n", self._seconds)["score"]
        return score

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
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            if self.is_over:  # `end` was called before the process existed
                self._process.kill()
            try:
                self._exchange(self._process, b"", _START_SECONDS)
            except ScorerError:
                self.close()
                raise
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
            raise ScorerError(words) from None
        finally:
            alarm.cancel()
        if "error" in answer:
            raise ScorerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process and close its pipes. No other thread may use it."""
        process, self._process = self._process, None
        if process is not None:
            # Reads no answer to its end: processes that the scorer has forked may hold it open.
            with contextlib.suppress(OSError), process:
                process.kill()

"""Scorers: what they may return, and that nothing they do stops the server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset.support import wait_until
from firsthandapi import ConfigurationError
from firsthandapi_server.serve.scorer import answer, score
from firsthandapi_server.serve.scoring import ScorerError, ScorerProcess, find_scorer
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import Submission

from .conftest import Team, running

IMAGE = {"type": "image", "objects": ["sign"], "ours": 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (4, {"stars": 4, "reason": None, "annotations": None}),
        ({"stars": 1, "reason": "no"}, {"stars": 1, "reason": "no", "annotations": None}),
        ({"stars": 5, "annotations": IMAGE}, {"stars": 5, "reason": None, "annotations": IMAGE}),
        ({"stars": 5, "reason": "r" * 2000}, {"stars": 5, "reason": "r" * 1000, "annotations": None}),
    ],
)
def test_scores(given: object, expected: object) -> None:
    """Stars alone, or with a reason and annotations; None leaves it to the reviewers; unknown fields stay."""
    assert score(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        0, 6, True, 4.5, "4", [], {}, {"stars": 4, "star": 5}, {"stars": 4, "reason": 5},
        {"stars": 4, "annotations": 1},
        {"stars": 4, "annotations": {}}, {"stars": 4, "annotations": {"type": "image", "scene": 5}},
        {"stars": 4, "annotations": {"type": "image", "x": float("nan")}},
        {"stars": 4, "annotations": {"type": "image", "x": {1}}},
        {"stars": 4, "annotations": {"type": "image", "x": "x" * 300_000}},
    ],
)  # fmt: skip
def test_what_is_no_score_is_refused(given: object) -> None:
    """Wrong stars, unknown fields, and annotations against the contract: the reviewers decide then."""
    with pytest.raises(ValueError, match=r"."):
        score(given)
    request: dict[str, Any] = {"path": "x", "content_type": "image/png", "job": {}}
    told = answer(lambda _path, _type, _job: given, request)
    assert told["error"].startswith("it returned something else than a score: ")


def test_whatever_a_scorer_raises_is_told() -> None:
    """Even an exit."""
    request: dict[str, Any] = {"path": "x", "content_type": "image/png", "job": {}}

    def leave(_path: Path, _type: str, _job: object) -> None:
        raise SystemExit("bye")

    assert answer(leave, request) == {"error": "SystemExit: bye"}


SCORERS = """
import os, sys, time
print("loaded", flush=True)  # not into the answers

def score(path, content_type, job):
    print("looking at", path, flush=True)
    assert open(path, "rb").read(2) == b"\\xff\\xd8" and path.suffix == ".jpg"
    what = job["description"].rpartition(" ")[2]
    if what == "crash":
        os._exit(3)
    if what == "hang":
        time.sleep(600)
    if what == "raise":
        raise RuntimeError("no model")
    if what == "nonsense":
        return "five"
    if what == "leave":
        return None
    if what == "fork":
        if not (child := os.fork()):
            time.sleep(30)
            open(__file__ + ".ended", "w").close()
            os._exit(0)
        what = str(child)
    return {"stars": 5, "reason": what, "annotations": {"type": "image", "objects": [job["title"]]}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a server, where the scorer `ours` is installed."""
    (tmp_path / "scorers.py").write_text(SCORERS)
    metadata = tmp_path / "scorers-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scorers\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[firsthandapi.scorers]\nours = scorers:score\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "data"


def sent(team: Team, what: str) -> Submission:
    """A picture for a job whose last word says what the scorer does."""
    return team.find(team.sent(team.job(description=f"Photos of street signs {what}")))


@pytest.fixture(params=[60.0])
def rated(folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:
    """Submits a picture to a job whose last word says what the scorer does, and waits until the scorer has looked."""
    with running(folder, scorer="ours", scorer_seconds=request.param) as team:

        def rate(what: str) -> Any:
            found = sent(team, what)
            wait_until(lambda: not team.service.scorer.is_taken(found.id))
            return team.buyer.submissions.get(found.id), team.buyer

        yield rate


def test_a_scorer_rates(rated: Callable[[str], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Its stars, reason, and annotations count; after a crash, an exception, nonsense, and None, the next is rated."""
    for what, why in (
        ("crash", "its process ended"),
        ("raise", "RuntimeError: no model"),
        ("nonsense", "it returned something else than a score"),
        ("leave", None),
    ):
        caplog.clear()
        submission, _ = rated(what)
        assert submission.status == "pending_score", what
        assert (why in caplog.text) if why else not caplog.records
    submission, client = rated("good")
    assert (submission.ai_star_rating, submission.ai_reasoning) == (5, "good")
    (file,) = client.files.list(submission.job_id)
    assert file.annotations.objects == ["Street signs"]
    assert (submission.rated_by, file.rated_by, file.flags, file.simulated) == ("rules", "rules", [], None)
    (entry,) = client.audit_events.list(event_type="submission.approved")
    assert entry.actor == "scorer"


@pytest.mark.parametrize("rated", [0.3], indirect=True)
def test_a_scorer_that_hangs_is_ended(rated: Callable[[str], Any], caplog: pytest.LogCaptureFixture) -> None:
    """After its time, its process is killed, and the reviewers decide."""
    submission, _ = rated("hang")
    assert submission.status == "pending_score"
    assert "it took more than 0.3 seconds" in caplog.text


def test_a_stop_does_not_wait_for_the_scorer(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the scorer has not scored when the server stops waits for the next start, and is not called left over."""
    with running(folder, scorer="ours") as team:
        found = [sent(team, what) for what in ("hang", "good", "good")]
    assert [each.status for each in found] == ["pending_score"] * 3
    assert not caplog.records


@pytest.mark.skipif(sys.platform == "win32", reason="os.fork is of POSIX")
def test_a_stop_does_not_wait_for_what_the_scorer_has_forked(folder: Path) -> None:
    """Processes of the scorer's own, which hold its pipes open, may outlive it."""
    with running(folder, scorer="ours") as team:
        found = sent(team, "fork")
        wait_until(lambda: not team.service.scorer.is_taken(found.id))
        assert found.reasoning is not None
        child = int(found.reasoning)
    os.kill(child, signal.SIGKILL)
    assert not [*folder.parent.glob("*.ended")]


def test_an_end_before_the_start_ends_the_process(folder: Path) -> None:
    """A scorer that is about to be loaded when the server stops is not loaded."""
    assert folder
    process = ScorerProcess("ours", 60)
    process.end()
    with pytest.raises(ScorerError, match="its process ended"):
        process.start()


def test_a_scorer_that_is_not_there(tmp_path: Path) -> None:
    """A name that nobody installed is refused at the start; a module that fails, when it is loaded."""
    with pytest.raises(ConfigurationError, match=r"scorer best is not installed: .* or pass MODULE:FUNCTION"):
        Service(tmp_path, scorer="best")
    assert find_scorer("a.b:c").value == "a.b:c"
    process = ScorerProcess("no.such:scorer", 5)
    with pytest.raises(ScorerError, match="cannot be loaded: ModuleNotFoundError"):
        process.start()
    process.end()
    process.close()

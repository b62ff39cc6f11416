"""Scorers: what they may return, and that nothing they do stops the server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dataset.support import wait_until
from firsthandapi import ConfigurationError
from firsthandapi.ai import Opinion, Work
from firsthandapi.types import Dimensions
from firsthandapi_server.serve.scorer import answer
from firsthandapi_server.serve.scoring import ScorerError, ScorerProcess, find_scorer
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import Submission

from .conftest import Team, running

IMAGE = {"type": "image", "objects": ["sign"], "ours": 1}
GOOD = {"relevance": 5, "quality": 4, "completeness": 5}
REQUEST: dict[str, Any] = {
    **dict.fromkeys(Work.__dataclass_fields__),
    "path": "x",
    "content_type": "image/png",
    "sha256": "0",
    "near_duplicates": [],
}


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (None, None),
        (4, {"stars": 4}),
        ({"stars": 1, "reason": "no"}, {"stars": 1, "reason": "no"}),
        ({"stars": 5, "annotations": IMAGE}, {"stars": 5, "annotations": IMAGE}),
        ({"stars": None, "annotations": IMAGE}, {"annotations": IMAGE}),
        ({"stars": 5, "reason": "r" * 2000}, {"stars": 5, "reason": "r" * 1000}),
        ({"stars": 5, "dimensions": GOOD}, {"stars": 5, "dimensions": GOOD}),
        (Opinion(stars=2, flags=("stock",)), {"stars": 2, "flags": ("stock",)}),
        (Opinion(annotations={"objects": ["sign"]}), {"annotations": {"type": "image", "objects": ["sign"]}}),
    ],
)
def test_scores(score: object, expected: dict[str, Any] | None) -> None:
    """Stars alone, or with other fields of an opinion, or an opinion; None leaves it to the reviewers; unknown fields
    of annotations stay."""
    result = answer(lambda _path, _type, _job: score, REQUEST)
    assert result == {"opinion": expected and asdict(Opinion(**expected))}


@pytest.mark.parametrize(
    "score",
    [
        0, 6, True, 4.5, "4", [], {}, {"stars": 4, "star": 5}, {"stars": 4, "reason": 5},
        {"stars": 4, "annotations": 1},
        {"stars": 4, "annotations": {}}, {"reason": "no"}, {"stars": 4, "flags": ["odd"]},
        Opinion(annotations={"x": {1}}), {"stars": 4, "annotations": {"type": "image", "scene": 5}},
        {"stars": 4, "annotations": {"type": "image", "x": float("nan")}},
        {"stars": 4, "annotations": {"type": "image", "x": {1}}},
        {"stars": 4, "annotations": {"type": "image", "x": "x" * 300_000}},
    ],
)  # fmt: skip
def test_what_is_no_score_is_refused(score: object) -> None:
    """Wrong stars, unknown fields, and annotations against the contract: the reviewers decide then."""
    result = answer(lambda _path, _type, _job: score, REQUEST)
    assert result["error"].startswith("it returned something else than a score: ")


def test_whatever_a_scorer_raises_is_told() -> None:
    """Even an exit."""

    def leave(_path: Path, _type: str, _job: object) -> None:
        raise SystemExit("bye")

    assert answer(leave, REQUEST) == {"error": "SystemExit: bye"}


ANNOTATOR = """
from firsthandapi.ai import Opinion

class Rules:
    name = "rules-2"

    def look(self, work):
        known = work.job.title, work.attempt, work.path.is_file(), work.captured_at.tzinfo is not None
        return Opinion(stars=2, reason=f"{known}")

rules = Rules()
"""


@pytest.mark.parametrize("name", ["Rules", "rules"])
def test_an_annotator(name: str, folder: Path) -> None:
    """A class, or one of it: it gets the work, and its name is its own."""
    (folder.parent / "scorers.py").write_text(ANNOTATOR)
    with running(folder, scorer=f"scorers:{name}") as team:
        item = sent(team, "good")
        wait_until(lambda: (item.id, item.attempt) not in team.service.programs[0].taken())
        assert (item.status, item.rating, item.reasoning) == (
            "retry_pending",
            2,
            "('Street signs', 1, True, True)",
        )
        assert team.service.programs[0].rater == "scorer:rules-2"


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
    parts = {"relevance": 5, "quality": 4.4, "completeness": 5}
    found = {"type": "image", "objects": [job["title"]]}
    return {"stars": 5, "reason": what, "dimensions": parts, "annotations": found}
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


def sent(team: Team, word: str) -> Submission:
    """A picture for a job whose last word says what the scorer does."""
    return team.find(team.sent(team.job(description=f"Photos of street signs {word}")))


@pytest.fixture(params=[60.0])
def rated(folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:
    """Submits a picture to a job whose last word says what the scorer does, and waits until the scorer has looked."""
    with running(folder, scorer="ours", scorer_seconds=request.param) as team:

        def rate(word: str) -> Any:
            item = sent(team, word)
            wait_until(lambda: (item.id, item.attempt) not in team.service.programs[0].taken())
            return team.buyer.submissions.get(item.id), team.buyer

        yield rate


def test_a_scorer_rates(rated: Callable[[str], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Its stars, reason, and annotations count; after a crash, an exception, nonsense, and None, the next is rated."""
    for word, why in (
        ("crash", "its process ended"),
        ("raise", "RuntimeError: no model"),
        ("nonsense", "it returned something else than a score"),
        ("leave", None),
    ):
        caplog.clear()
        submission, _ = rated(word)
        assert submission.status == "pending_score", word
        assert (why in caplog.text) if why else not caplog.records
    submission, client = rated("good")
    assert (submission.ai_star_rating, submission.ai_reasoning) == (5, "good")
    (file,) = client.files.list(submission.job_id)
    assert file.annotations.objects == ["Street signs"]
    assert submission.dimensions == Dimensions(relevance=5, quality=4, completeness=5)
    assert (submission.rated_by, file.rated_by, file.flags, file.simulated) == ("rules", "rules", [], None)
    (entry,) = client.audit_events.list(event_type="submission.approved")
    assert entry.actor == "scorer"


@pytest.mark.slow
def test_what_a_scorer_left_to_people_is_not_asked_again(folder: Path) -> None:
    """After a restart: unless its code has changed."""
    with running(folder, scorer="ours") as team:
        item = sent(team, "leave")
        wait_until(lambda: (item.id, item.attempt) not in team.service.programs[0].taken())
        key = team.key
    for code, asked in (("", 1), ("# another one", 2)):
        with (folder.parent / "scorers.py").open("a") as file:
            file.write(code)
        with running(folder, scorer="ours", key=key) as team:
            wait_until(lambda: (item.id, item.attempt) not in team.service.programs[0].taken())
            assert [model.asked for model in team.service.programs[0].opinions.figures()] == [asked]


@pytest.mark.parametrize("rated", [0.3], indirect=True)
def test_a_scorer_that_hangs_is_ended(rated: Callable[[str], Any], caplog: pytest.LogCaptureFixture) -> None:
    """After its time, its process is killed, and the reviewers decide."""
    submission, _ = rated("hang")
    assert submission.status == "pending_score"
    assert "it took more than 0.3 seconds" in caplog.text


def test_a_stop_does_not_wait_for_the_scorer(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the scorer has not scored when the server stops waits for the next start, and is not called left over."""
    with running(folder, scorer="ours") as team:
        items = [sent(team, word) for word in ("hang", "good", "good")]
    assert [item.status for item in items] == ["pending_score"] * 3
    assert not caplog.records


@pytest.mark.skipif(sys.platform == "win32", reason="os.fork is of POSIX")
def test_a_stop_does_not_wait_for_what_the_scorer_has_forked(folder: Path) -> None:
    """Processes of the scorer's own, which hold its pipes open, may outlive it."""
    with running(folder, scorer="ours") as team:
        item = sent(team, "fork")
        wait_until(lambda: (item.id, item.attempt) not in team.service.programs[0].taken())
        assert item.reasoning is not None
        child = int(item.reasoning)
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
    """A name that nobody installed, a module that fails, and what is no scorer end the start; nothing is left of it."""
    with pytest.raises(ConfigurationError, match=r"scorer best is not installed: .* or pass MODULE:NAME"):
        Service(tmp_path, scorer="best")
    assert find_scorer("a.b:c").value == "a.b:c"
    with pytest.raises(ConfigurationError, match=r"cannot be loaded: ModuleNotFoundError.*check --scorer"):
        Service(tmp_path / "new", scorer="no.such:scorer")
    with pytest.raises(ConfigurationError, match="it is no function, and no annotator"):
        Service(tmp_path / "new", scorer="firsthandapi_server.serve.scoring:GROUP")
    assert not (tmp_path / "new").exists()

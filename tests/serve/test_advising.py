"""`serve --ai`: the real client of a model's service, against a stand-in, advises on what people send."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dataset.support import wait_until
from firsthandapi import ConfigurationError
from firsthandapi.ai import Opinion, _model
from firsthandapi.testing import Asked, FakeModels
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.serve import programs
from firsthandapi_server.serve.advising import Adviser
from firsthandapi_server.serve.exporting import Export
from firsthandapi_server.serve.opinions import Opinions
from firsthandapi_server.serve.programs import Answers
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import Job
from firsthandapi_server.state.storage import LocalStorage

from .conftest import BOXES, Team, numbered, pass_seconds, running, stand_still, write

NAME = "openai:gpt-5-mini"
RATER = f"model:{NAME}"


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def models() -> Iterator[FakeModels]:
    parts = {"relevance": 5, "quality": 4, "completeness": 5}
    with FakeModels({"stars": 3, "reason": "Dark.", "text_extraction": "STOP", **parts}) as fakes:
        yield fakes


@contextmanager
def advised(folder: Path, models: FakeModels, **options: Any) -> Iterator[Team]:
    with running(folder, ai=NAME, ai_url=models.url, **options) as team:
        yield team


def picture(team: Team, job: Job, *contents: bytes, worker: str | None = None) -> str:
    """What a worker sends for a job: files with these bytes, which bring no annotations."""
    with team.world.lock:
        now = team.world.clock.now()
        files = [capture(job, "image/jpeg", now, rating=4, given=blob, annotations=None) for blob in contents]
        return team.world.jobs.submit(job, files, now, worker=worker).id


def given(team: Team) -> list[tuple[str, tuple[int, ...]]]:
    return [(rating.reviewer, rating.stars) for rating in team.service.site.panel.ratings.all()]


def figures(team: Team) -> tuple[int, int, int]:
    """How often the model was asked, answered, and failed."""
    models = team.service.programs[0].opinions.figures()
    return (models[0].asked, models[0].answered, models[0].failed) if models else (0, 0, 0)


def wait_for(team: Team) -> None:
    """Until the model has looked at everything."""
    wait_until(lambda: not team.service.programs[0]._taken)


def test_advice(tmp_path: Path, models: FakeModels) -> None:
    """People rate at once, blind; the model's stars are a row beside theirs, which they see once their own count, and
    its annotations and dimensions are the file's. The same bytes are asked about once, whatever restarts."""
    with advised(tmp_path / "data", models) as team:
        ben = team.visit("reviewer", "Ben")
        job = team.job()
        sent = picture(team, job, numbered(0))
        wait_until(lambda: given(team) == [(RATER, (3,))])
        page = ben.get("/review").text
        assert sent in page
        assert "Dark." not in page
        ben.rate(sent, 5, is_booked=False)
        assert "Dark." not in ben.get("/review").text
        pass_seconds(team.service, 11)
        assert "Dark." in ben.get("/review").text
        reply = team.buyer.submissions.get(sent)
        assert (reply.status, reply.ai_star_rating, reply.rated_by) == ("approved", 5, "person")
        assert reply.dimensions is not None
        assert reply.dimensions.quality == 4
        (file,) = team.buyer.files.list(reply.job_id)
        assert file.annotations is not None
        assert file.annotations.model_dump()["text_extraction"] == "STOP"
        picture(team, job, numbered(0))
        wait_for(team)
        assert team.visit().get("/healthz").json()["ai"] == {
            "rater": RATER, "asked": 1, "answered": 1, "failed": 0, "cents": pytest.approx(0.1, abs=0.2)
        }  # fmt: skip
        metrics = team.visit("operator").get("/metrics").text
        assert f'firsthandapi_ai_answered_total{{rater="{RATER}"}} 1\n' in metrics
        assert "# TYPE firsthandapi_ai_cents gauge\n" in metrics
        assert f'firsthandapi_ai_cents{{rater="{RATER}"}} 0.' in metrics
        key = team.key
    for _ in range(2):
        with advised(tmp_path / "data", models, key=key) as team:
            wait_for(team)
            assert [who for who, _ in given(team)].count(RATER) == 2
            assert figures(team) == (1, 1, 0)
    assert len(models.requests) == 1


def test_copies_end_with_the_look(tmp_path: Path) -> None:
    """Also those that a killed server has left: they are people's."""
    uploading = tmp_path / "data" / "uploading"
    copies: list[list[Path]] = []

    def answer(_: Asked) -> dict[str, Any]:
        copies.append([*uploading.glob("upload_seen_*")])
        return {"stars": 3}

    with FakeModels(answer) as models:
        with advised(tmp_path / "data", models) as team:
            picture(team, team.job(), numbered(0))
            wait_for(team)
            assert [len(copy) for copy in copies] == [1]
            assert [*uploading.glob("upload_seen_*")] == []
            key = team.key
        (uploading / "upload_seen_left.jpg").write_bytes(numbered(1))
        with advised(tmp_path / "data", models, key=key):
            assert [*uploading.glob("upload_seen_*")] == []


def test_what_fails_is_left_to_people(tmp_path: Path, models: FakeModels) -> None:
    """Of several files, those that it read keep what it said. What was paid for nothing is not asked again; what the
    restart finds unasked is."""
    models.fail("misshapen")
    with advised(tmp_path / "data", models) as team:
        team.service.programs[0].threads = 1
        job = team.job(files_needed=5, files_per_submission=2)
        sent = picture(team, job, numbered(0), numbered(1))
        broken = picture(team, job, b"\xff\xd8no picture")
        wait_for(team)
        first, second = team.find(sent).files
        assert (first.annotations is None) != (second.annotations is None)
        assert [stars for _, stars in given(team)] == [(3,)]
        assert team.find(broken).status == team.find(sent).status == "pending_score"
        assert figures(team) == (3, 1, 2)
        key = team.key
    with advised(tmp_path / "data", models, key=key) as team:
        wait_for(team)
        assert figures(team) == (4, 1, 3)  # the broken one, which cost nothing
    assert len(models.requests) == 2


@pytest.mark.parametrize("outage", ["error", "drop", "unreachable"])
def test_an_outage_ends(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch, outage: Any
) -> None:
    """A service that is broken, or cannot be reached, is asked again later, also about what people have decided
    meanwhile. Only a request that may have arrived counts against the day."""
    monkeypatch.setattr(_model, "_TRIES_AGAIN", 0)
    monkeypatch.setattr("firsthandapi_server.serve.programs.AGAIN_SECONDS", 60.0)
    with FakeModels() as gone:
        pass
    url = models.url if outage != "unreachable" else gone.url
    with running(tmp_path / "data", ai=NAME, ai_url=url) as team:
        if outage != "unreachable":
            models.fail(outage)
        sent = picture(team, team.job(), numbered(1))
        wait_for(team)
        assert figures(team) == (1, 0, 1)
        spent = team.service.programs[0].opinions.figures()[0].cents
        assert (spent > 0) is (outage == "drop")
        team.score(sent, 5)
        key = team.key
        if outage == "error":
            pass_seconds(team.service, 60)
            wait_until(lambda: figures(team) == (2, 1, 1))
    with advised(tmp_path / "data", models, key=key) as team:
        wait_for(team)
        (file,) = team.find(sent).files
        assert file.annotations is not None
        assert file.annotations["text_extraction"] == "STOP"
        assert figures(team) == (2, 1, 1)


def test_an_outage_that_may_cost_is_met_with_patience(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that takes requests and answers none may bill each: it is asked later each time. One that refuses
    bills none."""
    monkeypatch.setattr(_model, "_TRIES_AGAIN", 0)
    with advised(tmp_path / "data", models) as team:
        stand_still(team.service)
        models.fail("error")
        models.fail("drop", 2)
        picture(team, team.job(), numbered(1))
        asked: list[int] = []
        for seconds in (0, 600, 600, 1800, 2400, 7200):
            pass_seconds(team.service, seconds)
            wait_for(team)
            asked.append(len(models.requests))
        assert asked == [1, 2, 2, 3, 3, 4]
        assert figures(team) == (4, 1, 3)


def test_the_same_at_once(tmp_path: Path) -> None:
    """Copies that arrive together are asked about once as well."""
    with FakeModels(seconds=0.3) as models, advised(tmp_path / "data", models) as team:
        job = team.job(files_needed=3)
        with team.world.lock:
            for _ in range(3):
                picture(team, job, numbered(0))
        wait_for(team)
        assert (len(models.requests), len(given(team))) == (1, 3)


def test_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight files are asked about at the same time, and people are offered all of them meanwhile; a stop does not wait
    for the answers, and the next start asks about what has none."""
    monkeypatch.setattr(programs, "_STOP_SECONDS", 0.1)  # it waits for no answer that does not come
    together = threading.Barrier(9)
    is_slow = True

    def answer(_asked: object) -> Mapping[str, Any]:
        if is_slow:
            together.wait(60)
            with suppress(threading.BrokenBarrierError):
                together.wait(60)
        return {"stars": 4}

    with FakeModels(answer) as models:
        with advised(tmp_path / "data", models) as team:
            job = team.job(files_needed=9)
            for number in range(9):
                picture(team, job, numbered(number))
            together.wait(60)
            assert team.visit().get("/review/waiting").json()["waiting"] == 9
            assert len(models.requests) == 8
            key = team.key
            team.service.programs[0]._stopping.set()
        is_slow = False
        together.abort()
        with advised(tmp_path / "data", models, key=key) as team:
            wait_for(team)
            assert [stars for _, stars in given(team)] == [(4,)] * 9


def test_a_start_writes_once(tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for people is planned in one change of the database, however much it is; each waits for the disk."""
    with advised(tmp_path / "data", models) as team:
        job = team.job()
        for number in range(3):
            picture(team, job, numbered(number))
        wait_for(team)
        key = team.key
    plan, plans = Opinions.plan, list[set[tuple[str, int]]]()

    def counted(opinions: Opinions, rater: str, attempts: Iterable[tuple[str, int]]) -> None:
        plans.append({*attempts})
        plan(opinions, rater, attempts)

    monkeypatch.setattr(Opinions, "plan", counted)
    with advised(tmp_path / "data", models, key=key) as team:
        assert [len(plan) for plan in plans] == [3]
        picture(team, team.job(), numbered(3))
        assert [len(plan) for plan in plans] == [3, 1]
        wait_for(team)
        assert len(models.requests) == 4


def test_a_budget_a_day(tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way counts at its most; a kill does not make it less; at midnight, the rest is asked."""
    monkeypatch.setattr(programs, "_PATIENCE", 0.01)
    with advised(tmp_path / "data", models) as team:
        adviser = team.service.programs[0]
        assert isinstance(adviser, Adviser)
        stand_still(team.service)
        wait_for(team)
        job = team.job(files_needed=5)
        first = picture(team, job, numbered(0))
        wait_for(team)
        (spent,) = adviser.opinions.figures()
        file = team.find(first).files[0]
        most = adviser.most(programs._work(file, None, 1, ())) or 0.0
        # So much that a second one fits only once the first is known to cost less than it may.
        adviser._cents_a_day = spent.cents + most * 1.5
        assert adviser.opinions.begin(
            RATER, "0", "lost in a crash", "f", team.service.clock.now(), most, None
        )
        picture(team, job, numbered(1))
        picture(team, job, numbered(2))
        assert not threading.Event().wait(0.1)
        assert len(models.requests) == 1
        pass_seconds(team.service, 86400)
        wait_for(team)
        assert len(models.requests) == 3


def test_what_costs_more_than_a_day_has(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left to people, since no day would do; what costs less does not wait behind it."""
    with advised(tmp_path / "data", models) as team:
        adviser = team.service.programs[0]
        assert isinstance(adviser, Adviser)
        dear, most = hashlib.sha256(numbered(0)).hexdigest(), adviser.most
        adviser._cents_a_day = 5.0
        monkeypatch.setattr(adviser, "most", lambda work: 5.1 if work.sha256 == dear else most(work))
        job = team.job()
        picture(team, job, numbered(0))
        picture(team, job, numbered(1))
        wait_for(team)
        assert figures(team) == (1, 1, 0)


@pytest.mark.parametrize("waits", ["for the service", "for money"])
def test_what_is_withdrawn_is_not_sent(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """A file that waits when its person takes back their consent goes nowhere, whatever it waits for."""
    monkeypatch.setattr(_model, "_TRIES_AGAIN", 0)
    monkeypatch.setattr(programs, "_PATIENCE", 0.01)
    with advised(tmp_path / "data", models, study=write(tmp_path)) as team:
        adviser = team.service.programs[0]
        if waits == "for money":
            adviser._cents_a_day = 1.0
            adviser.opinions.begin(RATER, "0", "dear", "f", team.service.clock.now(), 0.99, None)
        else:
            models.fail("error")
        person = team.visit()
        person.send("/join", "/join", **BOXES)
        ((worker,),) = team.access.look("SELECT worker_id FROM consents")
        picture(team, team.job(), numbered(0), worker=worker)
        if waits != "for money":
            wait_for(team)
        asked = len(models.requests)
        assert person.send("/me/withdraw", "/me", confirm="yes").status_code == 303
        wait_for(team)
        pass_seconds(team.service, 86400)
        wait_for(team)
        assert len(models.requests) == asked


def test_what_is_erased_is_forgotten(tmp_path: Path, models: FakeModels) -> None:
    """With a file goes all that was said of it, which its person could take along before; what it cost stays."""
    with advised(tmp_path / "data", models) as team:
        sent = picture(team, team.job(), numbered(0))
        wait_for(team)
        file = team.find(sent).files[0]
        state = team.service.eraser.state
        export = Export(state.query, team.access.look, team.find(sent).worker_id)
        assert export._known["files"][0]["program_opinions"][0]["reason"] == "Dark."
        team.service.eraser.ask(file.id, "operator")
        assert team.service.eraser.run()
        assert team.access.look("SELECT sha256, opinion FROM opinions") == [("", None)]
        assert "Dark." not in str(team.access.look("SELECT * FROM ratings"))
        assert figures(team) == (1, 1, 0)


def test_an_answer_in_the_middle_of_an_erasure_is_forgotten(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may answer while the bytes are removed: none of its words is left."""
    models.fail("misshapen")  # which leaves the rating to what is heard below
    with advised(tmp_path / "data", models) as team:
        sent = picture(team, team.job(), numbered(0))
        wait_for(team)
        (file,) = team.find(sent).files
        answers = Answers(RATER, sent, 1, {file.id: Opinion(stars=1, reason="Late.")}, {"image": "v"})
        remove = LocalStorage.remove

        def answered(storage: LocalStorage, name: str) -> None:
            with team.world.lock:
                team.service.site.panel.hear(answers)
            remove(storage, name)

        monkeypatch.setattr(LocalStorage, "remove", answered)
        team.service.eraser.ask(file.id, "operator")
        assert team.service.eraser.run()
        assert given(team) == [(RATER, (1,))]
        assert "Late." not in str(team.access.look("SELECT * FROM ratings"))


def test_a_model_beyond_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs a study that names who gets the files; with a budget, a price. Nothing is left of a refusal."""
    folder = tmp_path / "data"
    with pytest.raises(
        ConfigurationError,
        match=r"beyond this machine, so it needs a study: pass --study FILE with processors that name",
    ):
        Service(folder, ai=NAME)
    with pytest.raises(
        ConfigurationError, match=r"beyond this machine, so it needs processors in the study that name"
    ):
        Service(folder, ai=NAME, study=write(tmp_path))
    named = write(tmp_path, processors=["Example Models, USA"])
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        Service(folder, ai=NAME, study=named)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with pytest.raises(ConfigurationError, match="price of openai:who-knows is unknown"):
        Service(folder, ai="openai:who-knows", ai_max_cents_a_day=5, study=named)
    with pytest.raises(ConfigurationError, match="need --ai"):
        Service(folder, ai_max_cents_a_day=5)
    assert not folder.exists()
    with running(folder, ai=NAME, study=named) as team:
        for page in ("/join", "/privacy"):
            assert "Example Models, USA" in team.visit().get(page).text

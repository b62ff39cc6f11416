"""`serve --ai-decides`: the real client of a model's service decides alone as long as people find it right."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset.support import wait_until
from firsthandapi import ConfigurationError
from firsthandapi.testing import FakeModels
from firsthandapi_server.mock.workers import Capture, capture
from firsthandapi_server.serve import deciding
from firsthandapi_server.serve.panel import Asker
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import Details, File, Job

from .conftest import Team, pass_seconds, running, write

NAME = "openai:judge"
RATER = f"model:{NAME}"
_numbers = count()
ANA = Asker("reviewer", "b", ())


def photo(stars: int, number: int) -> bytes:
    """A photo as bright as its stars. Each number makes another."""
    image = Image.new("L", (64, 64), 40 * stars)
    image.putdata([*number.to_bytes(8), *[40 * stars] * (64 * 64 - 8)])
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def judge(asked: Any) -> Mapping[str, Any]:
    image = Image.open(io.BytesIO(asked.picture)).convert("L")
    stars = round(int(str(image.getpixel((image.width // 2, image.height // 2)))) / 40)
    flag = {"flags": ["policy"]} if stars == 6 else {}
    return {"stars": min(stars, 5), "reason": "Sharp.", **flag}


class Lab:
    """A server with a model that may decide, and a reviewer."""

    def __init__(self, team: Team, job: Job | None = None) -> None:
        self.team = team
        self.job = job or team.job(files_needed=400, price_per_file_cents=10)

    def send(self, *stars: int) -> str:
        """A submission of photos that deserve these stars, once the model has looked at it."""
        (sent,) = self.send_each([stars])
        return sent

    def send_each(self, submissions: list[tuple[int, ...]]) -> list[str]:
        sent: list[str] = []
        for stars_of_files in submissions:
            with self.team.world.lock:
                files, now = [self.file(stars) for stars in stars_of_files], self.team.world.clock.now()
                sent.append(self.team.world.jobs.submit(self.job, files, now).id)
        self.looked()
        return sent

    def send_these(self, content: bytes) -> str:
        """A submission of this photo, once the model has looked at it."""
        with self.team.world.lock:
            now = self.team.world.clock.now()
            sent = self.team.world.jobs.submit(self.job, [self.file(0, content)], now).id
        self.looked()
        return sent

    def file(self, stars: int, content: bytes | None = None) -> File:
        """A photo that deserves these stars."""
        photographed, now = content or photo(stars, next(_numbers)), self.team.world.clock.now()
        return capture(self.job, "image/png", now, rating=4, given=photographed, annotations=None)

    def looked(self) -> None:
        wait_until(lambda: not self.team.service.programs[0]._taken, 100)
        pass_seconds(self.team.service, 0)

    def rate(self, stars: int, *submissions: str) -> None:
        """What people give, which then counts."""
        for id in submissions:
            with self.team.world.lock:
                item = self.team.find(id)
                ratings = {f"stars-{number}": str(stars) for number in range(len(item.files))}
                self.team.service.site.panel.rate(ANA, item, {**ratings, "attempt": str(item.attempt)})
        pass_seconds(self.team.service, 10)
        pass_seconds(self.team.service, 0)

    def by(self, submission: str) -> str | None:
        """Who has decided about it."""
        return self.team.find(submission).rated_by

    def deciding(self) -> set[int]:
        deciding = self.team.service.site.panel.deciding
        assert deciding is not None
        return {*deciding.now("image", self.job.fields["min_star_rating"])}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(deciding, "_BLIND", 0.0)


@pytest.fixture(scope="module")
def models() -> Iterator[FakeModels]:
    with FakeModels(judge) as fakes:
        yield fakes


@contextmanager
def lab(folder: Path, models: FakeModels, name: str = NAME, **options: Any) -> Iterator[Lab]:
    with running(folder, ai=name, ai_url=models.url, **{"ai_decides": True, **options}) as team:
        jobs = [*team.world.state.jobs.values()]
        yield Lab(team, jobs[0] if jobs else None)


def log(team: Team) -> list[str]:
    sql = "SELECT what FROM activity WHERE what LIKE 'review.model%' ORDER BY position"
    return [event for (event,) in team.access.look(sql)]


def test_a_model_earns_it_and_loses_it(tmp_path: Path, models: FakeModels) -> None:
    """After 52 files on which people agreed, it decides about what waits and what comes, with its name on it. Other
    stars are left to people, and so is everything after the first file that breaks the bound. A restart changes
    nothing; another model begins from nothing."""
    with lab(tmp_path / "data", models) as server:
        waiting = server.send_each([(5,)] * 54)
        server.rate(5, *waiting[:51])
        assert (server.deciding(), server.by(waiting[53])) == (set(), None)
        server.rate(4, waiting[51])  # other stars, and on the right side
        assert (server.deciding(), server.by(waiting[53])) == ({5}, RATER)
        decided = server.team.find(server.send(5))
        assert (decided.status, decided.rating, decided.reasoning) == ("approved", 5, "Sharp.")
        assert decided.rated_by == RATER
        weaker = server.send(4)
        assert server.by(weaker) is None
        server.rate(1, weaker)  # what people say of its other stars changes nothing of these
        page = server.team.visit("operator").get("/console/reviews/programs").text
        assert (page.count("<td>decides</td>"), log(server.team)) == (1, ["review.model_trusted"])
        key = server.team.key
    with lab(tmp_path / "data", models, key=key, ai_decides=False) as server:
        assert server.deciding() == set()
        seen = server.send(5)
        assert server.by(seen) is None
    with lab(tmp_path / "data", models, "openai:another", key=key) as server:
        assert server.deciding() == set()
        assert server.by(server.send(5)) is None
    with lab(tmp_path / "data", models, key=key) as server:
        server.looked()
        assert (server.deciding(), server.by(seen)) == ({5}, RATER)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deciding, "_BLIND", 1.0)
            checked = server.send(5)
        assert server.by(checked) is None
        server.rate(2, checked)
        assert (server.deciding(), log(server.team)) == (
            set(),
            ["review.model_trusted", "review.model_distrusted"],
        )
        assert server.by(server.send(5)) is None
        server.team.world.check_books()


def test_what_is_left_to_people(tmp_path: Path, models: FakeModels) -> None:
    """What it flags, has no stars for, or gave other stars in part; and second attempts. Neither its flags nor
    second attempts are evidence."""
    with lab(tmp_path / "data", models) as server:
        server.rate(5, *server.send_each([(5,)] * 52))
        server.job = server.team.job(files_needed=40, files_per_submission=2, price_per_file_cents=10)
        both, *mixed = server.send_each([(5, 5), (5, 6), (5, 0), (5, 4)])
        assert [server.by(id) for id in (both, *mixed)] == [RATER, None, None, None]
        assert server.team.find(mixed[0]).flags == ("policy",)
        repeat = server.send(3)
        server.rate(2, repeat)
        with server.team.world.lock:
            second = server.team.find(repeat)
            server.team.world.jobs.resubmit(second, [server.file(5)], server.team.world.clock.now())
        server.looked()
        assert (second.attempt, second.rated_by) == (2, None)
        server.rate(1, repeat, mixed[0])
        assert server.deciding() == {5}
        server.rate(1, mixed[2])  # one of its files has these stars
        assert server.deciding() == set()


def test_what_was_sent_before_is_left_to_people(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies, and what looks the same, are no evidence. What is copied is: nobody hides a wrong decision by sending its
    file again."""
    with lab(tmp_path / "data", models) as server:
        seen = server.send_each([(5,)] * 52)
        server.rate(5, *seen)
        same, like, original = photo(5, next(_numbers)), photo(5, next(_numbers)), Capture.details

        def details(taken: Capture) -> Details:
            return replace(original(taken), like=seen[0] if taken.given == like else None)

        monkeypatch.setattr(Capture, "details", details)
        first, copy, alike = [server.send_these(content) for content in (same, same, like)]
        assert [server.by(id) for id in (first, copy, alike)] == [RATER, None, None]
        server.rate(1, copy, alike)
        assert server.deciding() == {5}
        monkeypatch.setattr(deciding, "_BLIND", 1.0)
        same = photo(5, next(_numbers))
        wrong, _ = server.send_these(same), server.send_these(same)
        server.rate(1, wrong)
        assert server.deciding() == set()


def test_nobody_loses_their_work(tmp_path: Path, models: FakeModels) -> None:
    """What a reviewer looks at, or has just rated, is theirs to decide."""
    with lab(tmp_path / "data", models) as server:
        looked_at, rated, free, *first = server.send_each([(5,)] * 55)
        reviewing = server.team.service.site.panel
        server.rate(5, *first[:51])
        with server.team.world.lock:
            reviewing.hold("another", looked_at)
        for id in (first[51], rated):
            with server.team.world.lock:
                reviewing.rate(ANA, server.team.find(id), {"stars-0": "4", "attempt": "1"})
            pass_seconds(server.team.service, 5)
        server.looked()
        assert [server.by(id) for id in (looked_at, rated, free)] == [None, None, RATER]
        pass_seconds(server.team.service, 5)
        assert server.by(rated) == "person"


def test_a_share_goes_to_people(tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what it would decide, some is left to people, the same after a restart."""
    with lab(tmp_path / "data", models) as server:
        server.rate(5, *server.send_each([(5,)] * 52))
        monkeypatch.setattr(deciding, "_BLIND", 0.5)
        sent = server.send_each([(5,)] * 40)
        blind = [id for id in sent if server.by(id) is None]
        assert 5 < len(blind) < 35
        key = server.team.key
    with lab(tmp_path / "data", models, key=key) as server:
        server.looked()
        assert [id for id in sent if server.by(id) is None] == blind


def test_people_read_of_it(tmp_path: Path, models: FakeModels) -> None:
    """The privacy notice says what it may do, in their language."""
    study = write(tmp_path)
    for decides in (True, False):
        with lab(tmp_path / "data", models, study=study, ai_decides=decides) as server:
            page = server.team.visit().get("/privacy?lang=en").text
            assert ("It may also accept or reject them alone" in page) is decides
        (tmp_path / "data").rename(tmp_path / f"data {decides}")


def test_it_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--ai-decides need --ai"):
        Service(tmp_path / "data", ai_decides=True)
    assert not (tmp_path / "data").exists()

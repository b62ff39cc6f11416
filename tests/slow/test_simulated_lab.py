"""A lab of 400 files, where a judge of known error is certified exactly where it should be."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from dataset.support import wait_until
from firsthandapi.testing import FakeModels
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.rules.calibration import calibrations
from firsthandapi_server.serve.panel import Asker
from firsthandapi_server.state.model import Job
from serve.conftest import Team, pass_seconds, running

pytestmark = pytest.mark.slow
# How many files people give 1 to 5 stars. Of its own 2 and 3 stars, the judge puts one in eight on the wrong side.
FILES = {1: 80, 2: 60, 3: 80, 4: 80, 5: 100}


def photo(stars: int, number: int) -> bytes:
    """A photo as bright as its stars, with its number as bars."""
    image = Image.new("L", (320, 200), 40 * stars)
    draw = ImageDraw.Draw(image)
    for bit in range(9):
        if number >> bit & 1:
            draw.rectangle((bit * 30, 150, bit * 30 + 20, 199), fill=255)
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def judge(asked: Any) -> Mapping[str, Any]:
    image = Image.open(io.BytesIO(asked.picture)).convert("L")

    def level(x: int, y: int) -> int:
        return int(str(image.getpixel((x, y))))

    stars = round(level(160, 60) / 40)
    number = sum(1 << bit for bit in range(9) if level(bit * 30 + 10, 180) > 225)
    if number % 8 == 0 and stars in (2, 3):
        stars = 5 - stars
    return {"stars": stars}


def send(team: Team, job: Job, truths: Sequence[int]) -> list[str]:
    """What workers send: photos that deserve so many stars."""
    sent: list[str] = []
    for number, stars in enumerate(truths):
        with team.world.lock:
            now = team.world.clock.now()
            file = capture(job, "image/jpeg", now, rating=4, given=photo(stars, number), annotations=None)
            sent.append(team.world.jobs.submit(job, [file], now).id)
    return sent


def test_a_judge_is_certified_where_it_should_be(tmp_path: Path) -> None:
    """Of 1, 4, and 5 stars, never of 2 and 3; with the real client, over real forms of a server."""
    folder = tmp_path / "data"
    with FakeModels(judge) as models, running(folder, ai="openai:judge", ai_url=models.url) as team:
        job = team.job(files_needed=400, price_per_file_cents=10)
        panel, truths = team.service.site.panel, [mark for mark, count in FILES.items() for _ in range(count)]
        sent = send(team, job, truths)
        for submission, stars in zip(sent, truths, strict=True):
            with team.world.lock:
                panel.rate(
                    Asker("reviewer", "b", ()), team.find(submission), {"stars-0": str(stars), "attempt": "1"}
                )
        pass_seconds(team.service, 11)
        wait_until(lambda: not team.service.programs[0]._taken, 300)
        page = team.visit("operator").get("/console/reviews/programs").text
        assert page.count("<polyline") == 5
        (calibration,) = calibrations(panel.ratings.of_programs(), panel.ratings.of_people())
    assert (calibration.rater, calibration.media, calibration.pairs) == ("model:openai:judge", "image", 400)
    assert [band.stars for band in calibration.bands if band.decides] == [1, 4, 5]
    assert sum(band.wrong for band in calibration.bands) == sum(
        number % 8 == 0 and stars in (2, 3) for number, stars in enumerate(truths)
    )


def test_it_decides_where_it_may(tmp_path: Path) -> None:
    """With `--ai-decides`, people rate what is left to them: everything of 2 and 3 stars, and the rest until the judge
    has earned it. It decides about others, and about none of them wrongly."""
    truths = [mark for mark, count in FILES.items() for _ in range(count)]
    random.Random(1).shuffle(truths)
    options: dict[str, Any] = {"ai": "openai:judge", "ai_decides": True}
    with FakeModels(judge) as models, running(tmp_path / "data", ai_url=models.url, **options) as team:
        job, panel, ana = team.job(files_needed=400), team.service.site.panel, Asker("reviewer", "b", ())
        deserved = dict(zip(send(team, job, truths), truths, strict=True))
        wait_until(lambda: not team.service.programs[0]._taken, 300)
        while waiting := panel.waiting(ana).part(0, 10):
            for work in waiting:
                with team.world.lock:
                    panel.rate(ana, team.find(work), {"stars-0": str(deserved[work]), "attempt": "1"})
            pass_seconds(team.service, 11)
            pass_seconds(team.service, 0)
        decided = [entry for entry in deserved if team.find(entry).rated_by == "model:openai:judge"]
        assert {team.find(entry).rating for entry in decided} <= {1, 4, 5}
        assert len(decided) > 50
        assert all((deserved[entry] >= 3) == (team.find(entry).status == "approved") for entry in decided)
        team.world.check_books()

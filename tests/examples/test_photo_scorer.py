"""The example of a scorer, and that a server of one's own takes it by its name."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image, ImageFilter

from dataset.support import wait_until
from firsthandapi import FirstHandClient
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.serve.service import Service

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example as a module, for this process and those that it starts."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    yield importlib.import_module("photo_scorer")  # noqa: PT022


def photo(kind: str) -> bytes:
    """A picture of squares, small, blurred, or sharp; or noise, which is very sharp."""
    size = (120, 90) if kind == "small" else (640, 480)
    picture = Image.new("RGB", size, "#204060")
    for x in range(0, size[0], 40):
        for y in range(0, size[1], 40):
            if (x + y) // 40 % 2:
                picture.paste("#f0e0c0", (x, y, x + 40, y + 40))
    if kind == "noise":
        picture = Image.effect_noise(size, 80)
    if kind == "blurred":
        picture = picture.filter(ImageFilter.GaussianBlur(12))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("kind", "stars"), [("small", 1), ("blurred", 2), ("noise", None), ("sharp", None)])
def test_rules(scorer: ModuleType, tmp_path: Path, kind: str, stars: int | None) -> None:
    """Small and blurred photos get few stars; it approves nothing, and measures what it leaves to people."""
    path = tmp_path / "photo.png"
    path.write_bytes(photo(kind))
    score = scorer.score(path, "image/png", {})
    assert score.get("stars") == stars
    assert ("annotations" in score) == (stars is None)
    assert scorer.score(path, "audio/mpeg", {}) is None


def test_a_server_takes_it(scorer: ModuleType, tmp_path: Path) -> None:
    """`--scorer photo_scorer:score`: it rejects alone; what a person approves has its annotations."""
    job: dict[str, Any] = {
        "description": "Photos of street signs in daylight",
        "files_needed": 4,
        "accepted_formats": ["image/png"],
        "price_per_file_cents": 50,
    }
    with Service(tmp_path, scorer="photo_scorer:score") as service:
        assert service.first is not None
        with FirstHandClient(service.first.live, service.url) as client:
            posted = client.jobs.create(**job)
            world = service.world
            for kind in ("small", "sharp"):
                with world.lock:
                    open_job, now = world.state.jobs[posted.id], world.clock.now()
                    file = capture(open_job, "image/png", now, rating=4, given=photo(kind), annotations=None)
                    sent = world.jobs.submit(open_job, [file], now)
            wait_until(lambda: (sent.id, sent.attempt) not in service.programs[0].taken())
            with world.lock:
                world.jobs.score(sent, world.clock.now(), Verdict([5]))
            (scored_file,) = client.files.list(posted.id)
            assert scored_file.ai_star_rating == 5
            assert scored_file.annotations is not None
            assert scored_file.annotations.model_dump()["color_palette"][0] in ("#204060", "#f0e0c0")
            seen = [(work.status, work.ai_star_rating) for work in client.submissions.list(posted.id)]
            assert seen == [("approved", 5), ("rejected", 1)]

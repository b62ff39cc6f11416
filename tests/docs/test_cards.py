"""The cards of three datasets, side by side in the docs: as they are written today."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi.testing import MockServer
from firsthandapi_server.mock.workers import SandboxWorkers
from firsthandapi_server.serve import service as serving
from serve.conftest import BOXES, Team, first_of, pass_seconds, stand_still, upload, write

pytest.importorskip("multipart", reason="it comes with the extra serve")

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "publishing.md"
DAYS = re.compile(r"(?:on|from) [\d-]{10}(?: to [\d-]{10})?")
JOB: dict[str, Any] = {
    "description": "Photos of street signs in daylight",
    "files_needed": 3,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}


def collected_from_people(folder: Path, stack: ExitStack) -> Dataset:
    """From a server of one's own with a study: three people, of whom one is erased later. A person rates the first
    file, and a program the second."""
    team = Team(folder / "data", stack, study=write(folder, join="invited"))
    job = team.job(files_needed=3)
    people: list[str] = []
    for name in ("Ana", "Ben", "Chi"):
        token, secret = team.access.create("worker", name, team.service.clock.now())
        person = team.visit()
        assert person.send("/sign-in", token=secret).status_code == 303
        assert person.send("/join", "/join", **BOXES).status_code == 303
        assert upload(person, team.path(job)).status_code == 303
        people.append(token.id)
    first, *other_ids = [submission.id for submission in job.submissions]
    assert team.visit("reviewer").rate(first, 5).status_code == 303
    for submission in other_ids:
        team.score(submission, 4, rated_by="rules")
    dataset = team.buyer.files.download_all(job.id, folder / "people")
    assert len(dataset) == 3
    assert serving.erase(team.folder, team.access, people[2])
    dataset.reconcile(team.buyer)
    with pytest.raises(InvalidArgumentError, match="the workers of 2 files granted another: CC-BY-4"):
        dataset.write_card(license="CC0-1.0")
    return dataset


def collected_in_the_sandbox(folder: Path, stack: ExitStack) -> Dataset:
    """From the same server, with a key of the sandbox."""
    team = Team(folder / "sandbox-data", stack, sandbox=SandboxWorkers)
    client = stack.enter_context(FirstHandClient(first_of(team.service).sandbox, team.service.url))
    job = client.jobs.create(**JOB)
    stand_still(team.service)
    while client.jobs.get(job).status != "completed":
        pass_seconds(team.service, 15)
    return client.files.download_all(job, folder / "sandbox")


def collected_in_a_test(folder: Path, stack: ExitStack) -> Dataset:
    """From the bundled server."""
    server = stack.enter_context(MockServer(speed=3600))
    return stack.enter_context(server.client()).jobs.collect(folder / "test", **JOB)


def cells_of(dataset: Dataset) -> dict[str, str]:
    """What a card says, by its heading, without what each run changes."""
    card = dataset.write_card()
    sections = dict(re.findall(r"^#+ (.*)\n\n((?:(?!#).*\n)*)", card.path.read_text("utf-8"), re.MULTILINE))
    title = next(iter(sections))
    synthetic = json.loads(card.croissant.read_bytes()).get("rai:hasSyntheticData")
    cells = {
        "Files": sections[title],
        **{name: sections.get(name, "") for name in ("Ratings", "License", "Consent")},
    }
    text_by_name = {
        name: " ".join(line for line in text.splitlines() if line and line[0] != "|").strip()
        for name, text in cells.items()
    }
    text_by_name["`rai:hasSyntheticData`"] = "" if synthetic is None else str(synthetic).lower()
    plain = {name: re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text) for name, text in text_by_name.items()}
    return {name: DAYS.sub("on 2026-11-30", text) or "–" for name, text in plain.items()}


def test_the_cards_of_the_docs_are_those_that_are_written(tmp_path: Path) -> None:
    """Each sentence is true: two people and no third, sandbox and test files as what they are."""
    with ExitStack() as stack:
        makers = (collected_from_people, collected_in_the_sandbox, collected_in_a_test)
        cards = [cells_of(make(tmp_path, stack)) for make in makers]
    lines = ["| | Your own server | The sandbox | The bundled server |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(card[name] for card in cards)} |" for name in cards[0]]
    table = "\n".join(lines)
    assert table in PAGE.read_text("utf-8"), f"docs/guides/publishing.md needs this table:\n{table}"

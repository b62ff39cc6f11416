"""How a campaign finds its jobs again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from firsthandapi._core.campaigns.ledger import LEDGER_FILE
from firsthandapi._core.orders.ordering import LookFor, Shown
from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandConnectionError,
    NotFoundError,
    WaitTimeoutError,
)

from .support import JOB, api
from .world import LIST, World, internals


@pytest.mark.parametrize("damage", ["lost", "torn", "empty"])
def test_a_lost_ledger_is_found_by_the_jobs(world: World, damage: str) -> None:
    """Nothing is ordered twice, and what was spent is known."""
    campaign = world.campaign(stop=3, give_way=2)
    world.run(campaign)
    path = world.dest / LEDGER_FILE
    content = path.read_bytes()
    path.unlink()
    if damage != "lost":
        path.write_bytes(content[: len(content) - 60 if damage == "torn" else 0])
    assert world.client.campaigns.plan(campaign).spent_cents == 50
    world.run(campaign)
    assert world.ordered() == [3, 2]
    assert world.ledger()["spent_cents"] == 50
    assert world.ledger()["campaign"] == json.loads(content)["campaign"]


def test_a_lost_ledger_is_found_by_the_records_of_the_folder(world: World, monkeypatch: Any) -> None:
    """Where the list of jobs lags; a record of a job that the service does not have is left alone."""
    campaign = world.campaign(stop=3, give_way=2)
    world.run(campaign)
    (world.dest / LEDGER_FILE).unlink()
    record = next((world.dest / "jobs").iterdir())
    job_id = "job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE"
    record.with_name(f"{job_id}.json").write_text(record.read_text().replace(record.stem, job_id))
    requests = internals(world, "ordering")
    read_jobs = requests.read_jobs

    def lagging(question: Any, content: Any, response: Any) -> Any:
        return (Shown(), None) if isinstance(question, LookFor) else read_jobs(question, content, response)

    monkeypatch.setattr(requests, "read_jobs", lagging)
    assert len(world.run(campaign)) == 5
    assert world.ordered() == [3, 2]
    assert world.ledger()["spent_cents"] == 50


def test_a_moved_folder_knows_its_campaign_by_its_rows(world: World, tmp_path: Path) -> None:
    """Its path is another, and its ledger is lost."""
    world.run(world.campaign(stop=3))
    (world.dest / LEDGER_FILE).unlink()
    world.dest.rename(tmp_path / "moved")
    world.dest = tmp_path / "moved"
    world.run(world.campaign(stop=4))
    assert world.ordered() == [3, 1]


def test_a_name_finds_the_campaign_from_an_empty_folder(world: World, tmp_path: Path) -> None:
    """As on a runner whose disk does not last; another campaign of the account is left alone."""
    world.run(world.campaign(stop=3, name="signs"))
    world.dest = tmp_path / "runner"
    dataset = world.run(world.campaign(stop=3, name="signs"))
    assert len(dataset) == 3
    assert dataset.verify()
    assert world.ordered() == [3]
    world.dest = tmp_path / "another"
    world.run(world.campaign(stop=1))
    assert world.ordered() == [3, 1]


@pytest.mark.parametrize("lost", ["all", "its_last_job"])
def test_a_restored_folder_learns_what_was_ordered_since(world: World, tmp_path: Path, lost: str) -> None:
    """Its ledger is a copy: what was ordered later is neither ordered again nor spent again."""
    world.client = world.new_client(max_retries=0)
    if lost == "its_last_job":
        world.server.faults.add(path="/v1/jobs", method="POST", drop="after")
        with pytest.raises(FirstHandConnectionError):
            world.run(world.campaign(stop=2))
    else:
        world.run(world.campaign(stop=2))
    shutil.copytree(world.dest, tmp_path / "copy")
    world.run(world.campaign(stop=5))
    world.dest = tmp_path / "copy"
    assert world.client.campaigns.plan(world.campaign(stop=5)).orders == ()
    assert len(world.run(world.campaign(stop=5))) == 5
    assert world.ordered() == [2, 3]
    assert world.ledger()["spent_cents"] == world.spent() == 50


def test_an_old_unfinished_job_is_found_behind_many_others(world: World, monkeypatch: Any) -> None:
    """After some pages of the list it is read by itself; and it must be the account's."""
    with pytest.raises(WaitTimeoutError):
        world.run(world.campaign(stop=1), timeout=3)
    monkeypatch.setattr(internals(world, "looking"), "_MOST_PAGES", 1)
    monkeypatch.setattr("firsthandapi._core.orders.order_requests.LARGEST_PAGE", 1)
    with world.server.client() as client:
        client.jobs.create(**JOB, files_needed=1)
    since = len(world.server.requests)
    plan = world.client.campaigns.plan(world.campaign(stop=1))
    assert plan.labels[0].coming == 1
    job_id = world.ledger()["orders"][0]["job"]["id"]
    assert api(world.server, since) == [LIST, f"GET /v1/jobs/{job_id}"]
    stranger = world.new_client(api_key=world.server.create_organization().api_key)
    assert stranger.campaigns.plan(world.campaign(stop=1)).labels[0].coming == 1  # it may not show yet
    world.clock.wall += 60
    with pytest.raises(NotFoundError, match="use the API key and base_url that it was started with"):
        stranger.campaigns.plan(world.campaign(stop=1))


def test_a_list_without_end_ends_at_the_timeout(world: World, monkeypatch: Any) -> None:
    """Also while a lost ledger is looked for."""
    monkeypatch.setattr("firsthandapi._core.orders.order_requests.LARGEST_PAGE", 1)
    with world.server.client() as client:
        for _ in range(3):
            client.jobs.create(**JOB, files_needed=1)
    with pytest.raises(WaitTimeoutError):
        world.run(world.campaign(stop=1), timeout=0)
    assert api(world.server).count(LIST) == 1
    assert len(world.run(world.campaign(stop=1))) == 1


def test_a_list_that_does_not_come_ends_at_the_timeout(world: World) -> None:
    """The campaign's time is over, not the client's own; and what is waited for in vain is said as that."""
    world.server.faults.add(path="/v1/jobs", method="GET", delay=60, times=9)
    with pytest.raises(WaitTimeoutError) as late:
        world.run(world.campaign(stop=1), timeout=0.3)
    assert isinstance(late.value.__cause__, DeadlineExceededError)
    world.client = world.new_client(deadline=0.3)
    with pytest.raises(DeadlineExceededError):
        world.run(world.campaign(stop=1))

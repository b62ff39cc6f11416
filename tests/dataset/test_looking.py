"""How a campaign finds its jobs again."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import Campaign, Dataset
from firsthandapi._core.orders.record import ORDERS, read_record
from firsthandapi.datasets._ledger import spent_in
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandError,
    InvalidArgumentError,
    NotFoundError,
    PaginationError,
    WaitTimeoutError,
)
from firsthandapi.testing import HostileService
from raw import RawRequest

from .support import JOB, api
from .world import DEFAULTS, LIST, World, internals, lag

pytestmark = pytest.mark.async_slow


def forget_orders(dest: Path) -> None:
    """Lose the records, as a copy without hidden files does."""
    shutil.rmtree(dest / ".firsthandapi")


def test_lost_records_are_found_by_the_jobs(world: World) -> None:
    """Nothing is ordered twice, and what was spent is known."""
    campaign = world.campaign(stop=3, give_way=2)
    world.run(campaign)
    old_ledger = world.ledger()
    forget_orders(world.dest)
    assert world.client.campaigns.plan(campaign).spent_cents == 50
    world.run(campaign)
    assert world.ordered() == [3, 2]
    assert world.ledger().spent_cents == 50
    assert world.ledger().campaign == old_ledger.campaign
    assert world.ledger().keys.keys() == old_ledger.keys.keys()


@pytest.mark.both
def test_lost_orders_are_found_by_the_records_of_their_jobs(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    """As a merge keeps them, where the list lags. That of a job that the service does not have is left alone."""
    campaign = world.campaign(stop=3, give_way=2)
    world.run(campaign)
    world.dest = Dataset.merge([world.dest], tmp_path / "merged").path
    campaign = world.campaign(stop=3, give_way=2)
    record = next((world.dest / ORDERS).iterdir())
    job_id, second_id = record.stem.removeprefix("job-"), "job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE"
    record.with_name(f"job-{second_id}.json").write_text(record.read_text().replace(job_id, second_id))
    lag(world, monkeypatch)
    assert len(world.run(campaign)) == 5
    assert world.ordered() == [3, 2]
    assert world.ledger().spent_cents == 50


def test_a_moved_folder_knows_its_campaign_by_its_rows(world: World, tmp_path: Path) -> None:
    """Its path is another, and its ledger is lost."""
    world.run(world.campaign(stop=3))
    forget_orders(world.dest)
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


def test_a_restored_folder_learns_what_was_ordered_since(world: World, tmp_path: Path) -> None:
    """Its ledger is a copy: what was ordered later is neither ordered again nor spent again."""
    world.run(world.campaign(stop=2))
    shutil.copytree(world.dest, tmp_path / "copy")
    world.run(world.campaign(stop=5))
    world.dest = tmp_path / "copy"
    assert world.client.campaigns.plan(world.campaign(stop=5)).orders == ()
    assert len(world.run(world.campaign(stop=5))) == 5
    assert world.ordered() == [2, 3]
    assert world.ledger().spent_cents == world.spent() == 50


@pytest.mark.both
def test_an_old_unfinished_job_is_found_behind_many_others(world: World, monkeypatch: Any) -> None:
    """After some pages of the list it is read by itself; and it must be the account's."""
    world.stop_after(3, world.campaign(stop=1))
    monkeypatch.setattr(internals(world, "looking"), "_MOST_PAGES", 1)
    monkeypatch.setattr("firsthandapi._core.orders.order_requests.LARGEST_PAGE", 1)
    with world.server.client() as client:
        client.jobs.create(**JOB, files_needed=1)
    since = len(world.server.requests)
    plan = world.client.campaigns.plan(world.campaign(stop=1))
    assert plan.labels[0].coming == 1
    job_id = world.ledger().orders[0].record.job_id
    assert api(world.server, since) == [LIST, f"GET /v1/jobs/{job_id}"]
    stranger = world.new_client(api_key=world.server.create_organization().api_key)
    assert stranger.campaigns.plan(world.campaign(stop=1)).labels[0].coming == 1  # it may not show yet
    world.clock.wall += 60
    with pytest.raises(NotFoundError, match="use the API key and base_url that it was started with"):
        stranger.campaigns.plan(world.campaign(stop=1))


@pytest.mark.both
def test_a_made_up_id_is_searched_for_by_its_key(by_hand: World) -> None:
    """The response to the POST named a job that the service does not have: the campaign continues the one with its
    key, and orders no other."""
    by_hand.clock.wall = by_hand.server.clock.now()
    campaign = by_hand.campaign(stop=2)
    by_hand.stop_after(0, campaign)
    (job,) = by_hand.jobs()
    (file,) = (path for path in (by_hand.dest / ORDERS).iterdir() if path.suffix == ".json")
    record = read_record(file.read_bytes(), file)
    assert record.unseen
    made_up = {**(record.job or {}), "id": "job_77777777777777777777777777"}
    file.write_bytes(replace(record, job=made_up).encode())
    by_hand.server.clock.advance(minutes=2)
    by_hand.clock.wall = by_hand.server.clock.now()
    by_hand.stop_after(0, campaign)
    assert [order.record.job_id for order in by_hand.ledger().orders] == [job.id]
    assert len(by_hand.jobs()) == 1


@pytest.mark.both
def test_a_campaign_without_time_to_wait_is_ordered_once(by_hand: World) -> None:
    """In an account with more jobs than a page shows; also if its folder is lost."""
    by_hand.server.rate_limit = by_hand.server.organization_rate_limit = None
    by_hand.clock.wall = by_hand.server.clock.now()
    campaign = by_hand.campaign(stop=2, give_way=1)
    with by_hand.server.client() as client:
        for _ in range(101):
            client.jobs.create(**JOB, files_needed=1)
    for _ in range(2):
        for _ in range(2):
            by_hand.stop_after(0, campaign)
            assert len(by_hand.jobs()) == 103
        by_hand.server.clock.advance(days=2)
        by_hand.clock.wall = by_hand.server.clock.now()
        shutil.rmtree(by_hand.dest)


@pytest.mark.both
def test_a_campaign_of_today_reads_jobs_of_today(by_hand: World, tmp_path: Path, monkeypatch: Any) -> None:
    """However many are older. Its ledger knows better than the caller since when it runs."""
    monkeypatch.setattr("firsthandapi._core.orders.order_requests.LARGEST_PAGE", 2)
    campaign = by_hand.campaign(stop=1, give_way=1)
    with by_hand.server.client() as client:
        for _ in range(5):
            client.jobs.create(**JOB, files_needed=1)
    by_hand.server.clock.advance(days=3)
    by_hand.clock.wall = by_hand.server.clock.now()
    copy = tmp_path / "copy"
    today = datetime.fromtimestamp(by_hand.clock.wall, UTC)
    for _ in range(2):
        since = len(by_hand.server.requests)
        with pytest.raises(WaitTimeoutError):
            by_hand.run(campaign, timeout=0, key_since=today)
        assert api(by_hand.server, since).count(LIST) == 1
        assert len(by_hand.jobs()) == 7
        shutil.copytree(by_hand.dest / ORDERS, copy, dirs_exist_ok=True)
        shutil.rmtree(by_hand.dest)
    by_hand.server.clock.advance(days=3)
    by_hand.clock.wall = by_hand.server.clock.now()
    too_late = today + timedelta(days=2)
    assert len(by_hand.client.campaigns.plan(campaign, key_since=too_late).orders) == 2
    shutil.copytree(copy, by_hand.dest / ORDERS)
    assert by_hand.client.campaigns.plan(campaign, key_since=too_late).orders == ()


@pytest.mark.both
@pytest.mark.parametrize(
    ("deadline", "error"), [(None, PaginationError), (5.0, DeadlineExceededError)], ids=["pages", "deadline"]
)
def test_a_list_without_end_ends(
    connect: Connect, tmp_path: Path, monkeypatch: Any, deadline: float | None, error: type[FirstHandError]
) -> None:
    """After many pages, or at the client's `deadline`, though each page has a new cursor."""
    monkeypatch.setattr("firsthandapi._core.orders.order_requests.MOST_PAGES", 9)
    pages = itertools.count(1)
    with HostileService(pace=1.0) as liar:
        client = connect(base_url=liar.url, api_key=liar.api_key, deadline=deadline)
        liar.follow(clock := connect.clock(client))

        def endless(_request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
            clock.pass_(1.0 if deadline else 0.0)
            return status, {**body, "data": [], "next_cursor": str(next(pages))}

        liar.says = endless
        campaign = machine(tmp_path / "signs", fields())
        for call in (client.campaigns.plan, client.campaigns.run):
            with pytest.raises(error, match="pass key_since="):
                call(campaign)
        order = {**JOB, "files_needed": 1, "idempotency_key": "mine"}
        with pytest.raises(error, match=r"job of idempotency key mine .* pass key_since="):
            client.jobs.collect(tmp_path / "one", **order)
        assert not list(tmp_path.rglob("orders/*"))
        assert liar.jobs == []


@pytest.mark.both
def test_a_list_that_does_not_come_ends_at_the_deadline(world: World) -> None:
    """The client's own, because a campaign that cannot look must not order."""
    world.server.faults.add(path="/v1/jobs", method="GET", delay=60, times=1)
    world.client = world.new_client(deadline=0.3)
    with pytest.raises(DeadlineExceededError):
        world.run(world.campaign(stop=1), timeout=0)


# ── Machines with one file ───────────────────────────────────────────────────────────────────────────────


def machine(folder: Path, fields: dict[str, Any]) -> Campaign:
    """The campaign of a file that was copied into an empty folder of some machine."""
    folder.mkdir(parents=True)
    (folder / "signs.json").write_text(json.dumps({"dest": "signs", "budget_cents": 5_000, **fields}))
    return Campaign.load(folder / "signs.json")


def fields(stop: int = 3, words: str = "Photos of stop signs", **labels: Any) -> dict[str, Any]:
    jobs = {"stop": {"description": words, "files_needed": stop}, **labels}
    return {"defaults": DEFAULTS, "jobs": jobs}


def run(connect: Connect, liar: HostileService, campaign: Campaign) -> Dataset:
    client = connect(base_url=liar.url, api_key=liar.api_key)
    liar.follow(connect.clock(client))
    dataset = client.campaigns.run(campaign, timeout=900)
    assert isinstance(dataset, Dataset)
    return dataset


@pytest.mark.parametrize(("list_lag", "idem"), [(0.0, "replay"), (8.0, "409")])
def test_a_file_in_two_folders_is_one_campaign(
    connect: Connect, tmp_path: Path, list_lag: float, idem: Any
) -> None:
    """At different paths and without a name, as CI retries on empty disks are: also where one of them wants more."""
    with HostileService(list_lag=list_lag, idem=idem, rewrites=True) as liar:
        for number, stop in enumerate((3, 3, 5)):
            campaign = machine(tmp_path / f"runner {number}" / "build", fields(stop))
            assert len(run(connect, liar, campaign)) == stop
            assert spent_in(campaign.dest)[0] == liar.spent_cents() == stop * 10
            liar.advance(1.0)
        assert [len(job.files) for job in liar.jobs] == [3, 2]


@pytest.mark.both
def test_a_lost_folder_on_a_service_without_metadata_buys_nothing_again(
    connect: Connect, tmp_path: Path
) -> None:
    """A day later the service has forgotten the keys; its old jobs are named. Within the day, the keys find them."""
    with HostileService(no_meta=True) as liar:
        both = fields(**{"give way": {"description": "Photos of yield signs", "files_needed": 2}})
        assert len(run(connect, liar, machine(tmp_path / "first", both))) == 5
        assert len(run(connect, liar, machine(tmp_path / "second", both))) == 5
        liar.advance(25 * 3600.0)
        with pytest.raises(InvalidArgumentError, match=r"fh-\w+ may have bought \w+ \(completed") as refused:
            run(connect, liar, machine(tmp_path / "third", both))
        assert liar.jobs[0].id in str(refused.value)
        assert len(liar.jobs) == 2


def test_a_retry_finds_the_order_of_a_runner_that_died(connect: Connect, tmp_path: Path) -> None:
    """Right after its POST, whose response is lost, with all that it wrote down; and the list is late."""
    with HostileService(list_lag=8.0, lost=1.0) as liar:
        with pytest.raises(FirstHandError):
            run(connect, liar, machine(tmp_path / "first", fields()))
        assert len(liar.jobs) == 1
        liar.lies.lost = 0.0
        assert len(run(connect, liar, machine(tmp_path / "second", fields()))) == 3
        assert len(liar.jobs) == 1


def test_machines_with_one_file_run_at_the_same_moment(connect: Connect, tmp_path: Path) -> None:
    """Each gets all files; each order is paid once."""
    with HostileService(list_lag=2.0, pace=0.001) as liar:
        start = threading.Barrier(3)

        def work(number: int) -> Dataset:
            client = connect(base_url=liar.url, api_key=liar.api_key)
            connect.clock(client).wall = time.time()
            both = fields(**{"give way": {"description": "Photos of yield signs", "files_needed": 2}})
            campaign = machine(tmp_path / str(number), both)
            start.wait(60)
            dataset = client.campaigns.run(campaign, timeout=None)
            assert isinstance(dataset, Dataset)
            return dataset

        with ThreadPoolExecutor(3) as pool:
            for dataset in pool.map(work, range(3)):
                assert sorted(str(record.label) for record in dataset) == ["give way"] * 2 + ["stop"] * 3
        assert sorted(len(job.files) for job in liar.jobs) == [2, 3]


@pytest.mark.both
@pytest.mark.parametrize("list_lag", [0.0, 60.0])
def test_two_campaigns_of_one_dest_share_nothing(connect: Connect, tmp_path: Path, list_lag: float) -> None:
    """Whose labels differ; or whose words do, as far as the list is too late to ask which of them is meant."""
    cats = {"defaults": DEFAULTS, "jobs": {"cat": {"files_needed": 2}}}
    with HostileService(list_lag=list_lag) as liar:
        run(connect, liar, machine(tmp_path / "signs", fields()))
        assert {row.label for row in run(connect, liar, machine(tmp_path / "cats", cats))} == {"cat"}
        night = machine(tmp_path / "night", fields(4, "Photos of stop signs at night"))
        if list_lag:
            assert len(run(connect, liar, night)) == 4
            assert [len(job.files) for job in liar.jobs] == [3, 2, 4]
            assert len({(job.body["metadata"] or {})["firsthandapi_campaign"] for job in liar.jobs}) == 3
            return
        with pytest.raises(
            InvalidArgumentError, match="dest 'signs' and the label 'stop', but with a different"
        ):
            run(connect, liar, night)
        assert len(liar.jobs) == 2
        named = machine(tmp_path / "named", {**fields(4, "Photos of stop signs at night"), "name": "night"})
        assert len(run(connect, liar, named)) == 4
        assert [len(job.files) for job in liar.jobs] == [3, 2, 4]


def test_words_may_change_where_the_folder_or_its_id_is_known(connect: Connect, tmp_path: Path) -> None:
    """On both machines; and on an empty disk by the words of another label, or by the id as a name."""
    merge = {"merge": {"description": "Photos of merging lanes", "files_needed": 1}}
    night = "Photos of stop signs at night"
    with HostileService(pace=1.0) as liar:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            run(connect, liar, machine(folder, fields(**merge)))
        for folder in folders:
            (folder / "signs.json").write_text(
                json.dumps({"dest": "signs", "budget_cents": 5_000, **fields(5, night, **merge)})
            )
            dataset = run(connect, liar, Campaign.load(folder / "signs.json"))
            assert len(dataset) == 6
        assert len(run(connect, liar, machine(tmp_path / "three", fields(6, night, **merge)))) == 7
        (campaign,) = {job.body["metadata"]["firsthandapi_campaign"] for job in liar.jobs}
        bare = machine(tmp_path / "four", {**fields(6, "Photos of stop signs in fog"), "name": campaign})
        assert len(run(connect, liar, bare)) == 7
        assert [len(job.files) for job in liar.jobs] == [3, 1, 2, 1]


@pytest.mark.both
@pytest.mark.parametrize("excluded", [False, True])
def test_a_folder_whose_files_are_links_is_refused_as_it_is_opened(
    world: World, tmp_path: Path, excluded: bool
) -> None:
    """As DVC and git-annex leave it: `plan` and `run` say so too, of excluded files as well, and order nothing."""
    campaign = world.campaign(stop=2)
    dataset = world.run(campaign)
    row = dataset.records[0]
    if excluded:
        dataset.exclude(row)
    path = dataset.path_of(row)
    path.rename(tmp_path / "cached")
    path.symlink_to(tmp_path / "cached")
    client = world.client.campaigns
    for refused in (Dataset.open, lambda _: client.plan(campaign), lambda _: client.run(campaign)):
        with pytest.raises(ConfigurationError, match="is a link"):
            refused(world.dest)
    assert world.ordered() == [2]

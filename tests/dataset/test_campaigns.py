"""Campaigns: what is ordered, what it costs, and that it becomes so. Time passes where the client sleeps."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Campaign, CampaignProgress, Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi._core.calls.dates import served_at
from firsthandapi._core.calls.decode import DecodedPage
from firsthandapi._core.campaigns.campaign import order_key
from firsthandapi._core.campaigns.ledger import CampaignLedger
from firsthandapi._core.orders import order_requests
from firsthandapi._core.orders.record import KEY_METADATA, ORDERS
from firsthandapi._core.rows import manifest
from firsthandapi._core.rows.decisions import EXCLUDED
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi._core.rows.withdrawal import WITHDRAWN
from firsthandapi.datasets._books import forget_order
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._ledger import LedgerFolder
from firsthandapi.datasets._local import Local
from firsthandapi.datasets._manifest import Manifest
from firsthandapi.datasets._orders import OrderRecords
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    DownloadError,
    IncompleteJobError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    SpendLimitError,
    WaitTimeoutError,
)
from firsthandapi.types import SubmissionEvent
from firsthandapi_server.state.model import Job as StoredJob

from .campaigner import Death, die, make_mortal
from .support import JOB, ORDER, api, completed_job, downloads, whole
from .world import DEFAULTS, LIST, POST, World, change_pages, internals, lag

pytestmark = pytest.mark.async_slow


def labels(dataset: Dataset) -> list[str | None]:
    return sorted(str(record.label) for record in dataset)


# ── What is ordered ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
def test_a_campaign_becomes_a_labeled_folder(world: World) -> None:
    """An order for each label, written down; files in `data/<label>/`, with their workers; a plan before and after."""
    campaign = world.campaign(stop=3, give_way=2)
    plan = world.client.campaigns.plan(campaign)
    assert [(order.label, order.files, order.cost_cents) for order in plan.orders] == [
        ("stop", 3, 30),
        ("give_way", 2, 20),
    ]
    assert not world.dest.exists()
    seen: list[CampaignProgress] = []
    dataset = world.run(campaign, on_progress=seen.append)
    assert labels(dataset) == ["give_way"] * 2 + ["stop"] * 3
    assert {record.file_name.split("/")[1] for record in dataset} == {"give_way", "stop"}
    assert all(record.worker_id for record in dataset)
    assert dataset.verify()
    assert world.ordered() == [3, 2]
    assert world.spent() == 50
    ledger = world.ledger()
    assert ledger.spent_cents == 50
    assert {(order.label, order.state, order.approved) for order in ledger.orders} == {
        ("stop", "completed", 3),
        ("give_way", "completed", 2),
    }
    assert (seen[0].files_done, seen[0].files_total, seen[0].spent_cents) == (0, 5, 0)
    last = seen[-1]
    assert (last.files_done, last.files_total, last.spent_cents, last.budget_cents) == (5, 5, 50, 10_000)
    assert [(label.label, label.files_done, label.spent_cents) for label in last.labels] == [
        ("stop", 3, 30),
        ("give_way", 2, 20),
    ]
    assert last.average_stars == pytest.approx(sum(r.ai_star_rating or 0 for r in dataset) / 5)
    after = world.client.campaigns.plan(campaign)
    assert (after.orders, after.spent_cents) == ((), 50)


def test_no_order_is_made_whose_rows_could_not_be_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All labels together fill one manifest; a plan says so as well."""
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", 4 * manifest.USUAL_ROW)
    for refused in (world.client.campaigns.plan, world.run):
        with pytest.raises(ConfigurationError, match="would have 5 rows"):
            refused(world.campaign(stop=3, give_way=2))
    assert world.jobs() == []
    world.run(world.campaign(stop=2, give_way=2))
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", (world.dest / MANIFEST).stat().st_size)
    assert len(world.run(world.campaign(stop=2, give_way=2))) == 4


@pytest.mark.both
def test_a_campaign_obeys_what_was_decided(world: World) -> None:
    """The plan says why, and the run buys what is lacking and nothing else, once; no file comes back."""
    campaign = world.campaign(stop=3, give_way=2)
    dataset = world.run(campaign)
    _, out, moved = (row for row in dataset.records if row.label == "stop")
    dataset.exclude(out, reason="dark")
    dataset.relabel(moved, "give_way")
    plan = world.client.campaigns.plan(campaign)
    assert [(order.label, order.files) for order in plan.orders] == [("stop", 2)]
    assert "excluded: stop (dark)" in str(plan)
    variant = world.campaign(stop=3, give_way=2, replace_excluded=False)
    assert [order.files for order in world.client.campaigns.plan(variant).orders] == [1]
    rerun = world.run(plan)
    assert labels(rerun) == ["give_way"] * 3 + ["stop"] * 3
    assert out.file_id not in {row.file_id for row in rerun}
    assert world.ordered() == [3, 2, 2]
    assert (world.spent(), rerun.verify().ok) == (70, True)
    since = len(world.server.requests)
    assert (labels(world.run(campaign)), world.server.requests[since:]) == (labels(rerun), [])
    rerun.include(out)
    assert world.client.campaigns.plan(campaign).orders == ()
    # A label that moves takes its decisions along.
    last = world.run(world.campaign(stop=3, yield_=2, moved={"give_way": "yield_"}))
    assert (labels(last), world.ordered()) == (["stop"] * 4 + ["yield_"] * 3, [3, 2, 2])


def test_a_copy_without_hidden_files_counts_what_is_excluded(world: World) -> None:
    """The decisions say so, though the rows of the files are lost; the replacement is bought once. If another file is
    missing, nobody knows which label lacks the excluded one, and nothing is bought."""
    campaign = world.campaign(stop=3, give_way=2)
    dataset = world.run(campaign)
    out = next(row for row in dataset.records if row.label == "give_way")
    dataset.exclude(out, reason="dark")
    shutil.rmtree(dataset.path / EXCLUDED)
    manifest = dataset.path / MANIFEST
    rows = manifest.read_bytes()
    manifest.write_bytes(b"".join(rows.splitlines(keepends=True)[1:]))
    assert world.client.campaigns.plan(campaign).orders == ()
    manifest.write_bytes(rows)
    plan = world.client.campaigns.plan(campaign)
    assert [(order.label, order.files) for order in plan.orders] == [("give_way", 1)]
    rerun = world.run(campaign)
    assert (labels(rerun), world.ordered()) == (["give_way"] * 2 + ["stop"] * 3, [3, 2, 1])
    assert (rerun.verify().ok, world.client.campaigns.plan(campaign).orders) == (True, ())
    assert labels(world.run(campaign)) == labels(rerun)


def test_run_again_it_asks_nothing(world: World) -> None:
    """Neither POST nor GET, and the same dataset and progress."""
    campaign = world.campaign(stop=3, give_way=2)
    first = world.run(campaign)
    since = len(world.server.requests)
    seen: list[CampaignProgress] = []
    rerun = world.run(campaign, on_progress=seen.append)
    assert world.server.requests[since:] == []
    assert rerun.records == first.records
    assert (seen[-1].files_done, seen[-1].files_total) == (5, 5)
    assert seen[-1].bytes_done == sum(record.size_bytes for record in rerun)


def test_with_nothing_to_do_the_manifest_is_read_as_often_for_many_labels(
    world: World, monkeypatch: Any
) -> None:
    """Once before the run and once for its dataset: the cost does not grow with labels times files."""
    campaign = world.campaign(a=1, b=1, c=1, d=1, e=1)
    world.run(campaign)
    reads: list[Path] = []
    read = Manifest.read

    def counted(self: Manifest) -> bool:
        reads.append(self.path)
        return read(self)

    monkeypatch.setattr(Manifest, "read", counted)
    assert len(world.run(campaign)) == 5
    assert reads.count(world.dest / "metadata.jsonl") == 2


def test_a_list_that_was_read_is_not_read_again_at_the_end(world: World, monkeypatch: Any) -> None:
    """Where as many files were met as were ordered and are counted, only the new ones are read."""
    monkeypatch.setattr(internals(world, "following"), "LARGEST_PAGE", 10)
    world.run(world.campaign(stop=23))
    pages = [page for page in world.server.requests if page.path.endswith("/files") and page.method == "GET"]
    assert sum("cursor" in page.query for page in pages) < 2


def test_a_running_job_of_a_removed_label_is_still_brought(world: World) -> None:
    """It is paid."""
    world.stop_after(5, world.campaign(stop=2, give_way=2))
    dataset = world.run(world.campaign(stop=2))
    assert labels(dataset) == ["give_way"] * 2 + ["stop"] * 2
    assert world.ordered() == [2, 2]


def test_files_of_two_kinds_have_a_folder_each(world: World) -> None:
    """Where every label takes both."""
    formats = {"accepted_formats": ["image/jpeg", "audio/wav"]}
    dataset = world.run(world.campaign(bell=8, defaults=formats))
    assert {path.name for path in world.dest.iterdir() if path.is_dir()} == {
        ".firsthandapi",
        "audio",
        "image",
    }
    assert len(dataset) == 8


# ── What moves ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_label_moves_without_being_paid_again(world: World) -> None:
    """Files, rows, records, and orders go with it; run again, nothing is asked; what comes later joins them."""
    world.run(world.campaign(stop=2, give_way=1))
    moved = world.campaign(halt=2, give_way=1, moved={"stop": "halt"})
    assert world.client.campaigns.plan(moved).orders == ()
    dataset = world.run(moved)
    assert world.ordered() == [2, 1]
    assert labels(dataset) == ["give_way", "halt", "halt"]
    assert {row.file_name.split("/")[1] for row in dataset} == {"give_way", "halt"}
    assert dataset.verify()
    assert not dataset.verify().extra
    assert not (world.dest / "data" / "stop").exists()
    assert {order.label for order in world.ledger().orders} == {"halt", "give_way"}
    with world.asking_nothing():
        assert world.run(moved).records == dataset.records
    assert labels(world.run(world.campaign(halt=3, moved={"stop": "halt"}))) == ["give_way", *["halt"] * 3]
    assert world.ordered() == [2, 1, 1]


def test_a_moved_label_is_found_again_where_the_folder_is_lost(world: World) -> None:
    """Its jobs keep the label that it was first ordered for, later ones too."""
    world.run(world.campaign(stop=2, name="signs"))
    moved = world.campaign(halt=3, name="signs", moved={"stop": "halt"})
    world.run(moved)
    assert world.ordered() == [2, 1]
    shutil.rmtree(world.dest)
    assert labels(world.run(moved)) == ["halt"] * 3
    assert world.ordered() == [2, 1]


@pytest.mark.both
def test_an_unknown_label_moves_nothing(world: World) -> None:
    """The entry may stand in a file that is new to a folder."""
    assert labels(world.run(world.campaign(halt=1, moved={"stop": "halt"}))) == ["halt"]
    assert [job.metadata and job.metadata["firsthandapi_label"] for job in world.jobs()] == ["halt"]


MOVING: list[tuple[Any, str]] = [
    (LedgerFolder, "write"),
    (Local, "copy_into"),
    (Local, "replace"),
    (Local, "remove_all"),
    (OrderRecords, "write"),
    (OrderRecords, "remove"),
]


@pytest.mark.both
def test_whatever_step_a_move_dies_at_the_next_run_ends_it(world: World, monkeypatch: Any) -> None:
    """No row is without its file at any time, and nothing is ordered."""
    world.run(world.campaign(stop=2, give_way=1))
    world.client.files.download_all(world.jobs()[0].id, world.dest.with_name("other"), label="stop")
    (record,) = (world.dest.with_name("other") / ORDERS).iterdir()
    orders = {path.name for path in (world.dest / ORDERS).iterdir()}
    for half_steps in range(1, 20):
        copy = world.dest.with_name(f"copy{half_steps}")
        shutil.copytree(world.dest, copy)
        shutil.copy(record, copy / ORDERS / "label-stop.json")
        moved = world.campaign(halt=2, give_way=1, dest=copy, moved={"stop": "halt"})
        with monkeypatch.context() as patched:
            make_mortal(MOVING, half_steps, patched.setattr, die)
            try:
                world.run(moved)
            except* Death:
                pass
        state = Dataset.open(copy).verify()
        assert (state.missing, state.mismatched) == ((), ())
        dataset = world.run(moved)
        assert labels(dataset) == ["give_way", "halt", "halt"]
        assert dataset.verify()
        assert not dataset.verify().extra
        assert {path.name for path in (copy / ORDERS).iterdir()} == {"label-halt.json", *orders}
    assert world.ordered() == [2, 1]


# ── What waits in line ───────────────────────────────────────────────────────────────────────────────────


def free_tier(world: World) -> FirstHandClient:
    """Let the world's client be that of an account that may have one unfinished job; another client of it."""
    account = FirstHandClient.signup(name="Ada", email="ada@example.com", base_url=world.server.url)
    world.client = world.new_client(api_key=account.api_key)
    return FirstHandClient(account.api_key, world.server.url)


@pytest.mark.both
def test_on_the_free_tier_labels_are_ordered_one_after_the_other(world: World) -> None:
    """Each waits for the job before it, and asks once for each that it waits for."""
    free_tier(world).close()
    dataset = world.run(world.campaign(200, stop=2, give_way=1, halt=1))
    assert labels(dataset) == ["give_way", "halt", "stop", "stop"]
    posts = [post.status for post in world.server.requests if f"{post.method} {post.path}" == POST]
    assert posts == [201, 403, 201, 403, 201]
    assert world.ledger().spent_cents == 40


@pytest.mark.both
def test_another_job_of_the_free_tier_ends_the_run_in_words(world: World) -> None:
    """Nobody knows when it ends; the same call continues."""
    with free_tier(world) as client:
        world.clock.wall = world.server.clock.now()
        job = client.jobs.create(**JOB, files_needed=1)
        with pytest.raises(
            PermissionDeniedError, match="no job of this campaign is unfinished, so another one"
        ):
            world.run(world.campaign(200, stop=1))
        assert [order.is_refused for order in world.ledger().orders] == [True]
        client.jobs.cancel(job.id)
    assert labels(world.run(world.campaign(200, stop=1))) == ["stop"]


@pytest.mark.both
def test_a_key_that_may_not_post_does_not_wait(world: World) -> None:
    """No other refusal is a line."""
    world.server.faults.add(path="/v1/jobs", method="POST", status=403, after=1)
    with pytest.raises(PermissionDeniedError):
        world.run(world.campaign(stop=1, give_way=1))
    assert labels(world.run(world.campaign(stop=1, give_way=1))) == ["give_way", "stop"]


# ── What is cancelled ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
def test_a_label_is_cancelled_and_its_refund_is_booked(world: World) -> None:
    """Its unfinished jobs and no others; the next run orders what the campaign still wants of it."""
    world.stop_after(0, world.campaign(stop=2, give_way=2))
    plan = world.client.campaigns.plan(world.campaign(stop=2, give_way=2))
    assert [label.refundable_cents for label in plan.labels] == [20, 20]
    (job,) = world.client.campaigns.cancel(world.campaign(give_way=2), "stop")
    assert (job.status, job.metadata["firsthandapi_label"]) == ("cancelled", "stop")
    refunds = {order.label: order.record.refund_cents for order in world.ledger().orders}
    assert refunds == {"stop": 20, "give_way": 0}
    assert world.ledger().spent_cents == world.spent() == 20
    assert world.client.campaigns.cancel(world.campaign(stop=2), "stop") == ()
    assert labels(world.run(world.campaign(give_way=2))) == ["give_way"] * 2
    assert labels(world.run(world.campaign(stop=2, give_way=2))) == ["give_way"] * 2 + ["stop"] * 2
    assert world.ordered() == [2, 2, 2]


@pytest.mark.both
def test_an_unknown_label_is_not_cancelled(world: World) -> None:
    """The nearest one is named."""
    with pytest.raises(InvalidArgumentError, match="no label 'stpo'; did you mean 'stop'"):
        world.client.campaigns.cancel(world.campaign(stop=1), "stpo")
    with pytest.raises(InvalidArgumentError, match="no label 5; use one of: stop"):
        world.client.campaigns.cancel(world.campaign(stop=1), 5)


@pytest.mark.both
def test_a_job_that_has_ended_since_is_as_it_is(world: World, monkeypatch: Any) -> None:
    """The service refuses to cancel it, and nothing is refunded."""
    world.stop_after(0, world.campaign(stop=1))
    look = internals(world, "looking").Looking.ledger

    def late(*args: Any) -> Any:
        answer = look(*args)
        if world.connect.kind == "sync":
            world.server.clock.advance(minutes=5)
            return answer

        async def later() -> Any:
            ledger = await answer
            world.server.clock.advance(minutes=5)
            return ledger

        return later()

    monkeypatch.setattr(internals(world, "looking").Looking, "ledger", late)
    (job,) = world.client.campaigns.cancel(world.campaign(stop=1), "stop")
    assert job.status == "completed"
    assert world.ledger().spent_cents == world.spent() == 10


@pytest.mark.both
def test_a_label_is_cancelled_beside_a_run(world: World) -> None:
    """The run has the folder, and books the refund when it sees the job end."""
    world.stop_after(0, world.campaign(stop=2))
    old_ledger = world.ledger()
    folder = Folder(world.dest)
    assert folder.lock()
    (job,) = world.client.campaigns.cancel(world.campaign(stop=2), "stop")
    assert (job.status, world.ledger()) == ("cancelled", old_ledger)
    folder.close()
    assert world.client.campaigns.plan(world.campaign(stop=2)).spent_cents == 0


# ── What is refused at once ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
def test_a_folder_of_one_job_is_refused(world: World) -> None:
    """Before anything is asked."""
    (world.dest / ORDERS).mkdir(parents=True)
    (world.dest / ORDER).write_text("{}")
    since = len(world.server.requests)
    with pytest.raises(InvalidArgumentError, match="dest is the folder of a job without a label"):
        world.run(world.campaign(stop=1))
    assert world.server.requests[since:] == []


@pytest.mark.both
def test_labels_of_other_media_are_refused(world: World) -> None:
    """Loaders could not read them together."""
    world.run(world.campaign(stop=1))
    with pytest.raises(ConfigurationError, match="the campaign in dest has ordered image files"):
        world.run(world.campaign(stop=1, defaults={"accepted_formats": ["audio/wav"]}))


@pytest.mark.both
def test_a_deadline_that_has_passed_is_refused_before_anything_is_sent(world: World) -> None:
    """In a new folder without a request; a campaign that has all of its files does not care."""
    late = {"deadline": "2020-01-01T00:00:00Z"}
    since = len(world.server.requests)
    with pytest.raises(InvalidArgumentError, match=r"jobs\.stop\.deadline 2020-01-01T00:00:00Z has passed"):
        world.run(world.campaign(stop=1, defaults=late))
    assert world.server.requests[since:] == []
    world.run(world.campaign(stop=1))
    world.run(world.campaign(stop=1, defaults=late))
    with pytest.raises(InvalidArgumentError, match="has passed"):
        world.run(world.campaign(stop=2, defaults=late))
    assert world.ordered() == [1]


# ── What goes wrong with an order ────────────────────────────────────────────────────────────────────────


def count_late(world: World, monkeypatch: pytest.MonkeyPatch, seconds: float = 20) -> None:
    """The service counts the files of a finished job as approved so many seconds late."""
    counted = StoredJob.files_approved.fget
    assert counted is not None

    def late(job: StoredJob) -> int:
        ended = job.completed_at or job.cancelled_at
        is_late = ended is not None and world.server.clock.now() - ended < seconds
        return 0 if is_late else counted(job)

    monkeypatch.setattr(StoredJob, "files_approved", property(late))


def list_late(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service lists no file of a job that it does not count yet."""

    def late(page: Any) -> Any:
        jobs = world.server._world.state.jobs
        is_late = any(not jobs[file.job_id].files_approved for file in page.data)
        return DecodedPage([], False, None) if is_late else None

    change_pages(world, monkeypatch, "following", late)


@pytest.mark.both
@pytest.mark.parametrize("listed", ["in time", "late"])
def test_files_of_a_completed_job_that_are_counted_hours_late_are_waited_for(
    world: World, monkeypatch: Any, listed: str
) -> None:
    """Rarely, while other labels are ordered and brought; a timeout says so, and nothing is ordered again."""
    count_late(world, monkeypatch, seconds=3 * 3600)
    if listed == "late":
        list_late(world, monkeypatch)
        text = "completed, but the service counts 0 of 3 files as approved; its jobs continue"
        with pytest.raises(WaitTimeoutError, match=text):
            world.run(world.campaign(stop=3), timeout=600)
        assert world.client.campaigns.plan(world.campaign(stop=3)).orders == ()
    since = len(world.server.requests)
    assert len(world.run(world.campaign(stop=3, give_way=2))) == 5
    assert world.ordered() == [3, 2]
    assert world.client.campaigns.plan(world.campaign(stop=3, give_way=2)).orders == ()
    assert len(world.server.requests) - since < 400


def test_a_late_count_heals_an_order_that_was_closed(world: World, monkeypatch: Any) -> None:
    """Closed with too few files, because its count was later than it is waited for: the files come, and are not
    ordered again."""
    monkeypatch.setattr("firsthandapi._core.calls.longpoll.COUNT_LAGS", 60.0)
    count_late(world, monkeypatch, seconds=300)
    list_late(world, monkeypatch)
    campaign = world.campaign(30, stop=3)
    with pytest.raises(SpendLimitError, match="would cost"):
        world.run(campaign)
    with pytest.raises(SpendLimitError, match="would cost"):
        world.run(campaign)
    world.server.clock.advance(seconds=300)
    plan = world.client.campaigns.plan(campaign)
    assert (plan.orders, plan.spent_cents) == ((), 30)
    assert len(world.run(campaign)) == 3
    assert world.ordered() == [3]
    with world.asking_nothing():
        world.run(campaign)


def test_files_of_a_cancelled_job_that_are_counted_late_are_not_refunded(
    by_hand: World, monkeypatch: Any
) -> None:
    """Nobody knows how many it brought: its count and its list have 30 seconds. Then the others are replaced."""
    world = by_hand
    count_late(world, monkeypatch)
    list_late(world, monkeypatch)
    contents = [bytes([n]) * 9 for n in range(5)]
    ends: list[float] = []

    def work() -> None:
        (first, *later_jobs) = world.server._world.state.jobs.values()
        if first.status in ("open", "in_progress") and len(world.server._world.state.submissions) < 3:
            world.server.submit(first.id, content=contents.pop(), content_type="image/jpeg")
        elif first.status in ("open", "in_progress") and first.files_approved == 3:
            with world.server.client() as client:
                client.jobs.cancel(first.id)
            ends.append(world.clock.now)
        if later_jobs and not ends[1:]:
            ends.append(world.clock.now)
        if later_jobs and contents:
            world.server.submit(later_jobs[0].id, content=contents.pop(), content_type="image/jpeg")

    world.after_pause = work
    assert len(world.run(world.campaign(50, stop=5))) == 5
    assert world.ordered() == [5, 2]
    assert world.spent() == world.ledger().spent_cents == 50
    assert 30 <= ends[1] - ends[0] <= 45


def deliver(world: World, contents: list[bytes]) -> None:
    """Let a worker submit the next of these files that nobody has submitted, if a job has room."""
    state = world.server._world.state
    rest = contents[len(state.submissions) :]
    for job in state.jobs.values():
        if rest and job.status in ("open", "in_progress"):
            with contextlib.suppress(ValueError):  # all of its slots are taken
                world.server.submit(job.id, content=rest.pop(0), content_type="image/jpeg")


@pytest.mark.parametrize("lists", ["twice", "another's"])
def test_a_file_that_is_listed_twice_counts_once(world: World, monkeypatch: Any, lists: str) -> None:
    """By one job, or by two: it is paid twice, so the other one is replaced, and the folder is whole."""
    oldest: dict[str, Any] = {}

    def mixed_up(page: Any) -> None:
        if page.data:
            oldest.setdefault(page.data[-1].job_id, page.data[-1])
            jobs = [job.id for job in world.server._world.state.jobs.values()]
            if page.data[0].job_id == jobs[0] and lists == "twice":
                page.data[:] = [oldest[jobs[0]]] * len(page.data)
            elif page.data[0].job_id == jobs[1] and lists != "twice":
                page.data[-1:] = [oldest[jobs[0]]] if jobs[0] in oldest else []

    change_pages(world, monkeypatch, "following", mixed_up)
    dataset = world.run(world.campaign(stop=2, give_way=2))
    assert sorted(world.ordered()) == [1, 2, 2]
    assert labels(dataset) == ["give_way"] * 2 + ["stop"] * 2
    assert dataset.verify()
    assert sorted(order.repeated for order in world.ledger().orders) == [0, 0, 1]
    with world.asking_nothing():
        assert world.run(world.campaign(stop=2, give_way=2)).verify()


@pytest.mark.both
def test_an_order_whose_rows_are_few_is_closed_on_the_disk_at_the_end(world: World) -> None:
    """To write all rows for each job that ends would cost the square of their number."""
    assert len(world.run(world.campaign(stop=20))) == 20
    closed: list[bool] = []
    write = LedgerFolder.write

    def noting(folder: LedgerFolder, ledger: CampaignLedger) -> None:
        closed.append(all(order.closed for order in ledger.orders))
        write(folder, ledger)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LedgerFolder, "write", noting)
        assert len(world.run(world.campaign(stop=20, give_way=1))) == 21
    assert closed == [True, True]  # as it was read, and at the end
    assert all(order.closed for order in world.ledger().orders)
    assert all(row.worker_id for row in Dataset.open(world.dest))


def test_a_campaign_that_does_not_fit_is_not_begun(world: World) -> None:
    """Nothing is ordered, and the plan says what it would cost."""
    campaign = world.campaign(49, stop=3, give_way=2)
    assert not world.client.campaigns.plan(campaign).fits
    with pytest.raises(
        SpendLimitError, match=r"nothing was ordered: stop .3 files., give_way .2 files."
    ) as refused:
        world.run(campaign)
    assert (refused.value.cost_cents, refused.value.limit_cents, refused.value.job) == (50, 49, None)
    assert POST not in api(world.server)
    assert not (world.dest / ORDERS).exists()


def test_replacements_that_do_not_fit_are_told_at_the_end(by_hand: World) -> None:
    """After all else was brought."""
    world = by_hand
    world.after_pause = lambda: deliver(world, [b"same"] * 2)
    with pytest.raises(SpendLimitError, match=r"the campaign is incomplete: stop .1 file.") as refused:
        world.run(world.campaign(25, stop=2))
    assert refused.value.job is not None
    assert len(Dataset.open(world.dest)) == 2
    assert world.ordered() == [2]


@pytest.mark.both
def test_a_label_is_not_ordered_in_vain_without_end(world: World) -> None:
    """Three orders, all cancelled: then the run ends, and so does the next."""

    def cancel() -> None:
        with world.server.client() as client:
            for job in world.server._world.state.jobs.values():
                if job.status == "open":
                    client.jobs.cancel(job.id)

    world.after_pause = cancel
    with pytest.raises(IncompleteJobError, match="its last 3 orders brought no file that counts") as ended:
        world.run(world.campaign(stop=2))
    assert world.ordered() == [2, 2, 2]
    assert world.spent() == world.ledger().spent_cents == 0
    assert len(ended.value.dataset) == 0
    world.after_pause = lambda: None
    with pytest.raises(IncompleteJobError) as ended:
        world.run(world.campaign(stop=2))
    assert ended.value.job.status == "cancelled"
    assert len(world.run(world.campaign(stop=2, defaults={"price_per_file_cents": 20}))) == 2


def test_an_order_whose_response_is_lost_is_made_once(world: World) -> None:
    """The next run finds its job by its key, and the plan counts it until then."""
    world.lose_order(world.campaign(stop=2), "after")
    assert world.ledger().orders[0].state == "sent"
    assert world.ledger().spent_cents == 20
    assert world.client.campaigns.plan(world.campaign(stop=2)).orders == ()
    assert len(world.run(world.campaign(stop=2))) == 2
    assert world.ordered() == [2]


@pytest.mark.both
def test_an_order_that_never_arrived_is_made_with_its_key(world: World) -> None:
    """And with its words, whatever the campaign says now: the plan says so, and what the campaign has changed."""
    world.lose_order(world.campaign(stop=2))
    dearer = world.campaign(stop=2, defaults={"price_per_file_cents": 20})
    plan = world.client.campaigns.plan(dearer)
    (order,) = plan.orders
    assert (order.files, order.cost_cents, order.unconfirmed) == (2, 20, True)
    assert order.changed == ("price_per_file_cents",)
    assert plan.spent_cents == 0
    world.run(dearer)
    posts = [r for r in world.server.requests if f"{r.method} {r.path}" == POST]
    assert len({request.headers["idempotency-key"] for request in posts}) == 1
    assert [job.price_per_file_cents for job in world.jobs()] == [10]


def test_an_order_of_a_label_that_is_gone_is_not_posted(world: World) -> None:
    """It is looked for, and costs, since it may have been; with its label it comes back, by its key."""
    world.lose_order(world.campaign(stop=2))
    next_campaign = world.campaign(give_way=1)
    plan = world.client.campaigns.plan(next_campaign)
    assert [(order.label, order.files) for order in plan.orders] == [("give_way", 1)]
    assert (plan.spent_cents, plan.cost_cents) == (20, 10)
    assert len(world.run(next_campaign)) == 1
    assert world.ordered() == [1]
    assert len(world.run(world.campaign(stop=2, give_way=1))) == 3
    assert world.ordered() == [1, 2]
    posts = [r.headers["idempotency-key"] for r in world.server.requests if f"{r.method} {r.path}" == POST]
    assert (len(posts), len(set(posts))) == (3, 2)


@pytest.mark.both
def test_a_plan_is_run_as_long_as_it_holds(world: World) -> None:
    """It carries its campaign. Once orders or spending have changed, nothing is ordered, and the error says so."""
    plan = world.client.campaigns.plan(world.campaign(stop=2))
    assert plan.campaign.jobs.keys() == {"stop"}
    assert len(world.run(plan)) == 2
    changed = r"spent was \$0\.00, and is \$0\.20; stop was to order 2 files"
    with pytest.raises(InvalidArgumentError, match=changed):
        world.run(plan)
    assert world.run(world.client.campaigns.plan(world.campaign(stop=5))).verify()
    assert world.ordered() == [2, 3]
    with pytest.raises(InvalidArgumentError, match="a value of type NoneType"):
        world.run(dataclasses.replace(plan, campaign=None))


@pytest.mark.both
@pytest.mark.parametrize("limit", ["budget_cents", "max_spend_cents"])
def test_an_order_that_never_arrived_is_not_made_over_a_limit(world: World, limit: str) -> None:
    """A price that was corrected, with the budget, or what one job may cost, is not paid after all."""
    world.lose_order(world.campaign(stop=2, defaults={"price_per_file_cents": 1_000}))
    if limit == "max_spend_cents":
        world.client = world.new_client(max_spend_cents=1_999)
    budget = 1_999 if limit == "budget_cents" else 10_000
    with pytest.raises(
        SpendLimitError, match=rf"{limit} is \$19\.99.* run firsthandapi orders forget BOOK fh-"
    ) as refused:
        world.run(world.campaign(budget, stop=2))
    assert (refused.value.cost_cents, refused.value.limit_cents) == (2_000, 1_999)
    assert world.ordered() == []


@pytest.mark.both
def test_a_refused_order_is_sent_with_its_key_as_it_is_wanted_now(world: World) -> None:
    """In other words, for another price and number: no second key ever leaves for it."""
    world.server.faults.add(path="/v1/jobs", method="POST", status=402)
    with pytest.raises(InsufficientCreditsError):
        world.run(world.campaign(stop=2))
    dearer = world.campaign(stop=3, defaults={"price_per_file_cents": 20})
    (order,) = world.client.campaigns.plan(dearer).orders
    assert (order.files, order.cost_cents, order.unconfirmed) == (3, 60, False)
    assert len(world.run(dearer)) == 3
    assert [(job.files_needed, job.price_per_file_cents) for job in world.jobs()] == [(3, 20)]
    assert len({r.headers["idempotency-key"] for r in world.server.requests if r.method == "POST"}) == 1
    assert world.ledger().spent_cents == world.spent() == 60


@pytest.mark.both
def test_a_refused_order_costs_nothing_once_a_later_search_has_not_found_it(
    world: World, monkeypatch: Any
) -> None:
    """Until a minute has passed, by our clock and the service's, it may show yet. Its record stays."""
    world.server.faults.add(path="/v1/jobs", method="POST", status=402)
    with pytest.raises(InsufficientCreditsError):
        world.run(world.campaign(stop=2))
    next_campaign = world.campaign(20, give_way=2)
    for seconds in (0, 61):
        world.clock.wall += seconds
        assert world.client.campaigns.plan(next_campaign).spent_cents == 20
        with pytest.raises(SpendLimitError, match="nothing was ordered"):
            world.run(next_campaign)
    monkeypatch.setattr(order_requests, "served_at", lambda headers: (served_at(headers) or 0) + 61)
    assert world.client.campaigns.plan(next_campaign).spent_cents == 0
    assert len(world.run(next_campaign)) == 2
    assert {order.label for order in world.ledger().orders} == {"stop", "give_way"}
    assert world.ledger().spent_cents == world.spent() == 20


@pytest.mark.both
def test_one_walk_looks_for_all_orders_without_a_response(world: World) -> None:
    """Then each is sent with its key, and the list is not read again for it."""
    counts = {"stop": 1, "give_way": 2, "halt": 3}
    for label, files in counts.items():
        world.lose_order(world.campaign(**{label: files}))
    since = len(world.server.requests)
    assert len(world.run(world.campaign(**counts))) == 6
    asked = api(world.server, since)
    first = asked.index(POST)
    assert asked[first : first + 3] == [POST] * 3
    assert sorted(world.ordered()) == [1, 2, 3]
    posts = [r.headers["idempotency-key"] for r in world.server.requests if f"{r.method} {r.path}" == POST]
    assert (len(posts), len(set(posts))) == (6, 3)


@pytest.mark.both
def test_one_job_costs_no_more_than_the_client_allows(world: World) -> None:
    """Found before the first order."""
    world.client = world.new_client(max_spend_cents=25)
    with pytest.raises(SpendLimitError, match="max_spend_cents is 25"):
        world.run(world.campaign(stop=2, give_way=3))
    assert POST not in api(world.server)


# ── Machines that know nothing of each other ─────────────────────────────────────────────────────────────


def test_machines_that_see_nothing_of_each_other_get_the_same_jobs(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    """From an empty folder by its name or its path, from a copy that grows, and from a backup: without a lock."""
    lag(world, monkeypatch)
    world.run(world.campaign(stop=3, give_way=2))
    shutil.copytree(world.dest, tmp_path / "copy")
    shutil.rmtree(world.dest)
    assert len(world.run(world.campaign(stop=3, give_way=2))) == 5
    assert len(world.run(world.campaign(stop=5, give_way=2))) == 7
    assert len(world.run(world.campaign(stop=5, give_way=2, dest=tmp_path / "copy"))) == 7
    assert world.ordered() == [3, 2, 2]
    for folder in ("one", "two"):
        assert len(world.run(world.campaign(stop=1, name="signs", dest=tmp_path / folder))) == 1
    assert world.ordered() == [3, 2, 2, 1]


@pytest.mark.both
def test_orders_whose_jobs_are_finished_are_brought_at_once(world: World, monkeypatch: Any) -> None:
    """From an empty folder where the list does not show them, and from a folder that a run has left: without a pause
    per label."""
    campaign = world.campaign(**{f"label-{number}": 2 for number in range(6)})
    world.run(campaign)
    shutil.rmtree(world.dest)
    lag(world, monkeypatch)
    change_pages(world, monkeypatch, "reader", lambda page: page._replace(data=[]))
    for seconds in (None, 0):
        if seconds == 0:
            shutil.rmtree(world.dest)
            world.stop_after(0, campaign)
        began = world.clock.now
        assert len(world.run(campaign)) == 12
        assert world.clock.now - began < 5
    assert world.ordered() == [2] * 6


@pytest.mark.both
def test_a_key_that_another_machine_has_used_leads_to_its_job(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    """It ordered fewer files: its job is taken as it is, once the list shows it, and the others are ordered."""
    world.run(world.campaign(stop=3, name="signs"))
    began = world.clock.now
    lag(world, monkeypatch, until=began + 8)
    world.dest = tmp_path / "another"
    assert len(world.run(world.campaign(stop=5, name="signs"))) == 5
    assert world.ordered() == [3, 2]
    assert [order.files for order in world.ledger().orders] == [3, 2]
    assert world.ledger().spent_cents == world.spent() == 50


@pytest.mark.both
def test_a_job_that_the_service_has_posted_twice_is_counted_and_named(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The list shows it, without a request more: it is charged, so the budget counts it and its files come."""

    def post_again() -> None:
        world.after_pause = lambda: None
        with world.server.client() as client:
            (job,) = client.jobs.list()
            client.jobs.create(**{**DEFAULTS, "files_needed": 3}, metadata=job.metadata)

    world.after_pause = post_again
    campaign = world.campaign(30, stop=3)
    with pytest.raises(
        WaitTimeoutError, match=r"; job_\w+ and job_\w+ were both posted with idempotency key fh-"
    ):
        world.run(campaign, timeout=5)
    twin = world.jobs()[1]
    (text,) = [record.getMessage() for record in caplog.records if "both posted" in record.getMessage()]
    assert text.endswith(f"run firsthandapi jobs cancel {twin.id}")
    plan = world.client.campaigns.plan(campaign)
    assert (plan.orders, plan.spent_cents) == ((), 60)
    assert len(world.run(campaign)) == 6
    assert world.ordered() == [3, 3]
    assert world.spent() == world.client.campaigns.plan(campaign).spent_cents == 60
    with world.asking_nothing():
        world.run(campaign)


def test_a_key_that_was_used_and_leads_nowhere_is_given_up_by_hand(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    """The error names it. Until then no other key is sent; then the files are ordered by another one."""
    world.run(world.campaign(stop=3, name="signs"))
    lag(world, monkeypatch)
    world.dest = tmp_path / "another"
    since = len(world.server.requests)
    for _ in range(2):
        with pytest.raises(ConflictError, match="it sends the same key") as refused:
            world.run(world.campaign(stop=5, name="signs"))
        key = world.ledger().orders[0].key
        assert key in refused.value.message
    posts = [r for r in world.server.requests[since:] if f"{r.method} {r.path}" == POST]
    assert {request.headers["idempotency-key"] for request in posts} == {key}
    forget_order(world.dest, key)
    assert len(world.run(world.campaign(stop=5, name="signs"))) == 5
    assert world.ordered() == [3, 5]


@pytest.mark.both
@pytest.mark.parametrize("hours", [30, 2])
def test_a_long_run_looks_for_orders_of_other_machines_again(by_hand: World, hours: int) -> None:
    """Their keys may be so old that the service has forgotten them. Where there is none, it orders what is missing."""
    world = by_hand
    contents = [bytes([n]) * 9 for n in range(4)]

    def work() -> None:
        (first, *later_jobs) = world.server._world.state.jobs.values()
        if first.status == "open" and not later_jobs:
            sent = world.ledger().orders[0]
            key = order_key(world.ledger().campaign, "stop", 1)
            fields = {**sent.request, "metadata": {**sent.request["metadata"], KEY_METADATA: key}}
            with world.server.client() as client:
                client.jobs.cancel(first.id)
                if hours == 30:
                    client.jobs.create(**fields, idempotency_key=key)
            world.server.clock.advance(hours=hours)
            world.clock.wall += 3600 * hours
        deliver(world, contents)

    world.after_pause = work
    assert len(world.run(world.campaign(stop=2), timeout=None)) == 2
    assert world.ordered() == [2, 2]


# ── What is lost ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
def test_a_name_that_would_not_find_the_jobs_is_refused(world: World) -> None:
    """One that was added later is in the metadata of no job: an empty folder would order all files again."""
    with pytest.raises(SpendLimitError):
        world.run(world.campaign(stop=3, budget_cents=1))
    world.run(world.campaign(stop=3, name="signs"))
    for name in ("Signs", "signs-2"):
        with pytest.raises(InvalidArgumentError, match="under a different name") as refused:
            world.client.campaigns.plan(world.campaign(stop=3, name=name))
        assert refused.value.field == "name"
    assert world.client.campaigns.plan(world.campaign(stop=3)).orders == ()


def test_a_removed_file_is_downloaded_again(world: World) -> None:
    """And no other."""
    dataset = world.run(world.campaign(stop=3, give_way=1))
    (record, *_) = dataset
    dataset.path_of(record).unlink()
    since = len(world.server.requests)
    assert world.run(world.campaign(stop=3, give_way=1)).verify()
    assert downloads(world.server, since) == [record.file_id]


def test_what_was_reconciled_is_planned(world: World) -> None:
    """As `run` will order it: the ledger knows what was withdrawn."""
    dataset = world.run(world.campaign(stop=3))
    world.server.withdraw(dataset.records[0].file_id)
    with world.server.client() as client:
        dataset.reconcile(client)
    (order,) = world.client.campaigns.plan(world.campaign(stop=3)).orders
    assert order.files == 1
    world.run(world.campaign(stop=3))
    assert world.ordered() == [3, 1]


def test_a_withdrawn_file_is_replaced(world: World) -> None:
    """Once its row is gone: the service lists it no more, and counts it no more."""
    dataset = world.run(world.campaign(stop=3))
    (record, *_) = dataset
    world.server.withdraw(record.file_id)
    dataset.path_of(record).unlink()
    world.run(world.campaign(stop=3))
    assert world.ordered() == [3, 1]


# ── What is refused ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
def test_a_folder_that_takes_no_files_is_found_out_before_an_order(world: World) -> None:
    """As one that no longer knows which files were withdrawn."""
    world.run(world.campaign(stop=1))
    (world.dest / WITHDRAWN).write_text("{")
    with pytest.raises(ConfigurationError, match=r"withdrawn\.json is damaged"):
        world.run(world.campaign(stop=2))
    assert world.ordered() == [1]


def test_a_label_in_other_letters_is_refused_before_it_is_ordered(world: World) -> None:
    """On many disks both are one folder, and no manifest may have both."""
    world.run(world.campaign(stop=1))
    for call in (world.run, world.client.campaigns.plan):
        with pytest.raises(InvalidArgumentError, match="label 'Stop' differs from 'stop'"):
            call(world.campaign(Stop=1))
    assert world.ordered() == [1]


@pytest.mark.both
def test_a_label_of_files_from_elsewhere_in_other_letters_is_refused(world: World) -> None:
    """Of a job that no campaign has ordered."""
    job_id = completed_job(world.server, 1)
    world.client.files.download_all(job_id, world.dest, label="stop")
    with pytest.raises(InvalidArgumentError, match="label 'Stop' differs from 'stop'"):
        world.run(world.campaign(Stop=1))
    assert len(world.ordered()) == 1


@pytest.mark.both
def test_a_path_is_no_campaign(world: World) -> None:
    """The message says how to make one of it."""
    for call in (world.client.campaigns.run, world.client.campaigns.plan):
        with pytest.raises(InvalidArgumentError, match=r"pass Campaign\.load"):
            call("signs.yaml")


# ── Watching ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
def test_on_timeout_the_jobs_continue(world: World, monkeypatch: Any) -> None:
    """The message says how far all labels are; the ledger has the jobs as last seen. What is finished needs no wait."""
    with pytest.raises(WaitTimeoutError, match="0 of 4 files approved; its jobs continue") as timed_out:
        world.run(world.campaign(stop=2, give_way=2), timeout=12)
    assert timed_out.value.job is not None
    world.server.clock.advance(minutes=5)
    monkeypatch.setattr(internals(world, "campaigns"), "REPORT_EVERY", 60.0)
    assert len(world.run(world.campaign(stop=2, give_way=2), timeout=0)) == 4
    assert world.ordered() == [2, 2]


@pytest.mark.both
def test_a_download_that_takes_too_long_is_given_up_at_the_timeout(world: World) -> None:
    """The file comes with the next run."""
    world.server.faults.add(path="/files/*", delay=30)

    def pass_time(progress: CampaignProgress) -> None:
        if progress.bytes_total:
            world.clock.now += 1_000

    with pytest.raises(WaitTimeoutError):
        world.run(world.campaign(stop=1), timeout=900, on_progress=pass_time)
    world.server.faults.clear()
    assert len(world.run(world.campaign(stop=1))) == 1


@pytest.mark.both
def test_the_list_is_read_while_downloads_are_under_way(world: World) -> None:
    """A large file does not keep others from being found."""
    world.server.faults.add(path="/files/*", delay=0.5)

    def pass_time(progress: CampaignProgress) -> None:
        if progress.bytes_total:
            world.clock.now += 20

    assert len(world.run(world.campaign(stop=1), on_progress=pass_time)) == 1


@pytest.mark.both
def test_a_file_that_fails_is_tried_twice(world: World) -> None:
    """Then it is told of; all others are there, and the next run brings it."""
    world.client = world.new_client(max_retries=0)
    fault = {"path": "/files/*", "status": 404}
    world.server.faults.add(**fault)
    assert len(world.run(world.campaign(stop=2))) == 2
    world.server.faults.add(**fault, times=2)
    with pytest.raises(DownloadError, match="1 of 1 file could not be downloaded"):
        world.run(world.campaign(stop=3))
    assert whole(world.dest, "") or len(Dataset.open(world.dest)) == 2
    assert len(world.run(world.campaign(stop=3))) == 3


@pytest.mark.both
def test_an_expired_url_is_refreshed(world: World) -> None:
    """Of whichever job it is."""
    world.server.faults.add(path="/files/*", expired_url=True)
    assert len(world.run(world.campaign(stop=2, give_way=1))) == 3
    assert sum("/refresh_url" in call for call in api(world.server)) == 1


@pytest.mark.both
def test_a_service_that_fails_for_a_while_is_borne(world: World) -> None:
    """The list is asked for again; its jobs are not asked for one by one."""
    world.client = world.new_client(max_retries=0)
    world.server.faults.add(path="/v1/jobs", method="GET", status=503, times=3, after=2)
    assert len(world.run(world.campaign(stop=2, give_way=2))) == 4
    assert not [
        call for call in api(world.server) if call.startswith("GET /v1/jobs/") and call.count("/") == 3
    ]


@pytest.mark.both
def test_a_revoked_key_ends_the_run(world: World) -> None:
    """No waiting helps."""
    world.server.faults.add(path="/v1/jobs", method="GET", status=401, times=None, after=2)
    with pytest.raises(AuthenticationError):
        world.run(world.campaign(stop=2))


@pytest.mark.both
def test_a_job_that_the_list_does_not_show_is_read_by_itself(world: World, monkeypatch: Any) -> None:
    """A few at a time; one that cannot be read now is read at the next beat."""
    reader = internals(world, "reader")
    none = property(lambda self: {}, lambda self, jobs: None)
    monkeypatch.setattr(reader.Board, "jobs", none, raising=False)
    monkeypatch.setattr(reader, "_MOST_SINGLE", 2)
    world.client = world.new_client(max_retries=0)
    campaign = world.campaign(stop=1, give_way=1, merge=1)
    world.stop_after(3, campaign)
    world.server.faults.add(path="/v1/jobs/*", status=503)
    since = len(world.server.requests)
    assert len(world.run(campaign)) == 3
    asked = [call for call in api(world.server, since) if call == LIST or call.count("/") == 3]
    beats = " ".join("list" if call == LIST else "job" for call in asked).split("list")
    assert max(beat.count("job") for beat in beats) == 2


@pytest.mark.both
def test_a_job_that_the_service_does_not_have_yet_is_waited_for(world: World, monkeypatch: Any) -> None:
    """By itself and in the list, for 30 seconds after it was posted; then there is none."""
    reader = internals(world, "reader")
    none = property(lambda self: {}, lambda self, jobs: None)
    with monkeypatch.context() as patched:
        patched.setattr(reader.Board, "jobs", none, raising=False)
        world.server.faults.add(path="/v1/jobs/*", status=404, times=2)
        assert len(world.run(world.campaign(stop=1))) == 1
        world.server.faults.add(path="/v1/jobs/*", status=404, times=None)
        began = world.clock.now
        with pytest.raises(NotFoundError):
            world.run(world.campaign(stop=2))
        assert world.clock.now - began >= 30


def test_a_job_behind_many_newer_ones_is_read_by_itself(world: World, monkeypatch: Any) -> None:
    """No more pages of the list are read than the jobs of the campaign could fill, and one."""
    world.stop_after(3, world.campaign(stop=1))
    job_id = world.ledger().orders[0].record.job_id
    with world.server.client() as client:
        for _ in range(4):
            client.jobs.create(**JOB, files_needed=1)
    monkeypatch.setattr(internals(world, "reader"), "LARGEST_PAGE", 1)
    since = len(world.server.requests)
    assert len(world.run(world.campaign(stop=1))) == 1
    asked = api(world.server, since)
    first = asked.index(f"GET /v1/jobs/{job_id}")
    assert asked[first - 3 : first] == [LIST] * 3


def test_a_campaign_in_a_bucket(world: World, tmp_path: Path) -> None:
    """The ledger, the records, and the files are there, and the next run asks nothing."""
    campaign = Campaign(
        dest=f"memory://{tmp_path.name}-{world.connect.kind}/signs",
        budget_cents=100,
        defaults=DEFAULTS,
        jobs={"stop": {"files_needed": 2}},
    )
    dataset = world.run(campaign)
    assert dataset.verify()
    assert labels(dataset) == ["stop"] * 2
    with world.asking_nothing():
        assert len(world.run(campaign)) == 2


@pytest.mark.both
def test_a_campaign_that_another_process_runs_is_waited_for(world: World) -> None:
    """Until the timeout."""
    folder = Folder(world.dest)
    assert folder.lock()
    with pytest.raises(WaitTimeoutError, match="the campaign did not finish before timeout= passed"):
        world.run(world.campaign(stop=1), timeout=5)
    folder.close()
    assert world.ordered() == []


@pytest.mark.both
def test_files_that_no_list_shows_are_told_of(world: World, monkeypatch: Any) -> None:
    """The service counts them: the list is read for a while, and the message names the job."""
    following = internals(world, "following").Following
    counted = following._counted
    monkeypatch.setattr(following, "_counted", property(lambda self: counted.fget(self) + 1))
    with pytest.raises(IncompleteJobError, match="counts 1 approved file more than its lists show") as ended:
        world.run(world.campaign(stop=2))
    assert len(ended.value.dataset) == 2
    assert world.clock.now > 5_030


@pytest.mark.both
def test_a_webhook_wakes_the_reader(by_hand: World) -> None:
    """Its job is looked at within seconds; an event of another job, or of no job, wakes nobody."""
    world = by_hand
    event = SubmissionEvent.model_validate(
        {"id": "evt_1", "type": "submission.approved", "data": {"job_id": "job_1"}}
    )
    world.client.campaigns.wake(event)
    woken: list[float] = []

    def work() -> None:
        for job in world.server._world.state.jobs.values():
            if world.clock.now > 5_100 and not woken:
                woken.append(world.clock.now)
                world.server.submit(job.id)
                world.server.clock.advance(seconds=30)
                mine = event.model_copy(update={"data": event.data.model_copy(update={"job_id": job.id})})
                world.client.campaigns.wake(mine)

    world.after_pause = work
    world.client.campaigns.wake(event.model_copy(update={"data": {}}))
    world.run(world.campaign(stop=1))
    assert woken
    assert world.clock.now - woken[0] <= 5


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_many_jobs_cost_few_requests_and_bring_files_soon(by_hand: World, count: int) -> None:
    """At most 20 requests a minute beside those for files, every approved file on disk within 12 s, no 429."""
    world = by_hand
    world.server.rate_limit = world.server.organization_rate_limit = None
    sent: list[tuple[float, int]] = []
    approved: dict[str, float] = {}
    on_disk: dict[str, float] = {}
    data = world.dest / "data"
    turn = iter(range(10_000))
    begun: list[tuple[float, int]] = []

    def look() -> None:
        for path in data.glob("*/file_*"):
            on_disk.setdefault(path.stem, world.clock.now)

    def work() -> None:
        jobs = list(world.server._world.state.jobs.values())
        look()
        sent.append((world.clock.now, len(world.server.requests)))
        if len(jobs) < count:
            return
        if not begun:
            begun.append((world.clock.now, len(world.server.requests)))
        # A file every five seconds, each of another job.
        if world.clock.now - begun[0][0] > 5 * len(approved):
            number = next(turn) % count
            if jobs[number].status in ("open", "in_progress"):
                (file_id,) = world.server.submit(jobs[number].id).file_ids
                world.server.clock.advance(seconds=15)
                approved[file_id] = world.clock.now

    world.after_pause = work
    jobs = {f"label{n}": 1 for n in range(count)}
    dataset = world.run(world.campaign(**jobs, defaults={"price_per_file_cents": 10}))
    look()
    assert len(dataset) == count
    late = {file_id: on_disk[file_id] - at for file_id, at in approved.items()}
    assert max(late.values()) <= 12
    (at, requests) = begun[0]
    minutes = (world.clock.now - at) / 60
    asked = [r for r in world.server.requests[requests:] if r.path.startswith("/v1/")]
    # Beside the list, a page of files and one of submissions for each file.
    assert len(asked) - 2 * count <= 20 * math.ceil(minutes)
    # In no minute are there more than the service allows.
    times = [when for when, _ in sent]
    for number, (when, total) in enumerate(sent):
        last = bisect.bisect_right(times, when + 60) - 1
        assert when < at or sent[last][1] - total <= 100, number

"""`jobs.collect` and `files.download_all` over the bundled server, with both clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from client.support import Connect
from firsthandapi import Campaign, Dataset, FirstHandClient
from firsthandapi._core.orders.record import KEY_METADATA
from firsthandapi._core.orders.request_hash import REQUEST_METADATA, request_hash
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi._core.rows.seals import seal_file
from firsthandapi.datasets._lock import WRITER
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    DownloadError,
    FirstHandApiError,
    FirstHandConnectionError,
    IncompleteJobError,
    InsufficientCreditsError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    SpendLimitError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer

from .support import (
    JOB,
    ORDER,
    Buyer,
    api,
    completed_job,
    downloads,
    in_background,
    our_threads,
    record_in,
    wait_for_job,
    wait_until,
    whole,
)

pytestmark = pytest.mark.async_slow


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever happens, the threads of the downloads end soon, long before a fault of 30 s does."""
    yield
    wait_until(lambda: not our_threads(), 15)


# ── The whole way ────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_becomes_a_folder(buyer: Buyer) -> None:
    """Posted, followed, fetched, verified: the folder holds exactly what was bought."""
    reports: list[Any] = []
    dataset = buyer.client.jobs.collect(
        buyer.dest / "signs", **JOB, files_needed=25, metadata={"mine": 1}, on_progress=reports.append
    )
    assert len(dataset) == len(list(dataset)) == 25
    assert dataset.verify()
    assert dataset.job is not None
    assert dataset.job.status == "completed"
    assert whole(buyer.dest / "signs")
    assert (reports[0].job.status, reports[0].files_done, reports[0].files_total) == ("open", 0, 25)
    assert (reports[-1].files_done, reports[-1].files_total) == (25, 25)
    assert {report.job.id for report in reports} == {dataset.job.id}
    assert reports[-1].bytes_done == reports[-1].bytes_total == sum(record.size_bytes for record in dataset)
    assert [report.files_done for report in reports] == sorted(report.files_done for report in reports)
    (post,) = [r for r in buyer.server.requests if r.method == "POST"]
    sent = json.loads(post.body)
    assert sent["metadata"] == {
        "mine": 1,
        REQUEST_METADATA: request_hash(sent),
        KEY_METADATA: post.headers["idempotency-key"],
    }
    assert all(
        "authorization" not in r.headers for r in buyer.server.requests if r.path.startswith("/files/")
    )


def test_the_same_call_again_fetches_nothing(buyer: Buyer) -> None:
    """A finished folder costs the job, its list, and not one download."""
    first = buyer.collect(5)
    since = len(buyer.server.requests)
    rerun = buyer.collect(5)
    assert [r.file_id for r in rerun] == [r.file_id for r in first]
    assert api(buyer.server, since) == [f"GET /v1/jobs/{first.job.id}", f"GET /v1/jobs/{first.job.id}/files"]
    assert downloads(buyer.server, since) == []


def test_a_mixed_job_gets_a_folder_for_each_kind(buyer: Buyer) -> None:
    """`image/`, `audio/`, `video/`, each with its own manifest: loaders take one kind a folder."""
    formats = ["image/png", "image/gif", "audio/wav", "audio/mp4", "video/mp4", "video/quicktime"]
    dataset = buyer.client.jobs.collect(buyer.dest, **{**JOB, "accepted_formats": formats}, files_needed=30)
    assert len(dataset) == 30
    assert dataset.verify()
    assert whole(buyer.dest, "image", "audio", "video")
    assert not (buyer.dest / MANIFEST).exists()
    for record in dataset:
        assert dataset.path_of(record).parent.parent.name == (record.content_type or "").partition("/")[0]
        assert dataset.path_of(record).stat().st_size == record.size_bytes
    assert [r.file_id for r in Dataset.open(buyer.dest)] == [r.file_id for r in dataset]


def test_a_workers_name_is_never_a_path(patient: Buyer) -> None:
    """`../../.ssh/authorized_keys` is a text in the manifest and nothing else."""
    dest = patient.dest / "a" / "b" / "c"
    job_id = patient.client.jobs.create(**JOB, files_needed=3).id
    names = {"../../.ssh/authorized_keys", "/etc/passwd", "x\0y\n.jpg"}
    for name in names:
        patient.deliver(job_id, original_filename=name)
    dataset = patient.client.files.download_all(job_id, dest)
    assert {r.original_filename for r in dataset} == names
    assert {path for path in patient.dest.rglob("*") if path.is_file()} == {
        dest / ORDER, dest / MANIFEST, dest / seal_file(""), dest / WRITER, *map(dataset.path_of, dataset),
    }  # fmt: skip


@pytest.mark.parametrize("bar", [1, 2])
def test_what_was_approved_comes_whatever_the_bar(patient: Buyer, bar: int) -> None:
    """The list hides files below three stars unless asked for all."""
    with in_background(patient.collect, 2, min_star_rating=bar) as ended:
        job_id = wait_for_job(patient.server)
        patient.server.submit(job_id, rating=bar)
        patient.deliver(job_id, rating=5)
    assert sorted(record.ai_star_rating for record in ended[0]) == [bar, 5]


def test_files_are_fetched_while_the_job_runs(patient: Buyer) -> None:
    """A file that was approved is on disk, with its row, long before the job is over."""
    with in_background(patient.collect, 2) as ended:
        job_id = wait_for_job(patient.server)
        patient.deliver(job_id)
        wait_until(lambda: (patient.dest / MANIFEST).exists())
        assert whole(patient.dest)
        patient.deliver(job_id)
    assert len(ended[0]) == 2


def test_download_all_takes_what_there_is(patient: Buyer) -> None:
    """The job need not be over, and a second run fetches the rest only."""
    job_id = patient.client.jobs.create(**JOB, files_needed=5).id
    for total in (2, 4):
        patient.server.submit(job_id)
        patient.deliver(job_id)
        since = len(patient.server.requests)
        assert len(patient.client.files.download_all(job_id, patient.dest)) == total
        assert len(downloads(patient.server, since)) == 2
    assert whole(patient.dest)


def test_callbacks_run_where_the_caller_is(quick_server: MockServer, tmp_path: Path) -> None:
    """In the caller's thread; with the async client in its loop, awaited if they are coroutine functions."""
    caller = threading.current_thread()
    threads: list[Any] = []
    with quick_server.client() as client:
        client.jobs.collect(
            tmp_path / "a",
            **JOB,
            files_needed=3,
            on_progress=lambda _: threads.append(threading.current_thread()),
        )
    assert set(threads) == {caller}

    async def main(kind: str) -> None:
        async def tell(_: Any) -> None:
            await (trio.lowlevel.checkpoint() if kind == "trio" else asyncio.sleep(0))
            threads.append(threading.current_thread())

        threads.clear()
        async with quick_server.async_client() as client:
            dataset = await client.jobs.collect(tmp_path / kind, **JOB, files_needed=3, on_progress=tell)
        assert dataset.verify()
        assert set(threads) == {caller}

    asyncio.run(main("asyncio"))
    trio.run(main, "trio")


def test_a_callback_that_fails_ends_the_run(buyer: Buyer) -> None:
    """Its exception comes out as it is, and the folder is free for the next call."""

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        buyer.collect(3, on_progress=fail)
    assert len(buyer.collect(3)) == 3
    assert buyer.jobs_bought() == 1


# ── Before anything is bought ────────────────────────────────────────────────────────────────────────────


@pytest.mark.both
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 65}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"concurrency": "8"}, "concurrency"),
        ({"on_progress": 5}, "on_progress"),
        ({"timeout": -1}, "timeout"),
        ({"metadata": {KEY_METADATA: "x"}}, "metadata"),
        ({"metadata": {REQUEST_METADATA: "x"}}, "metadata"),
        ({"metadata": {str(n): n for n in range(20)}}, "metadata"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"files_needed": 0}, "files_needed"),
    ],
)
def test_bad_arguments_are_refused(
    connect: Connect, shared_server: MockServer, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    """Named, before anything is sent or written."""
    since = len(shared_server.requests)
    with pytest.raises(InvalidArgumentError) as caught:
        connect(shared_server).jobs.collect(tmp_path / "x", **{**JOB, "files_needed": 2, **changes})
    assert caught.value.field == field
    assert not (tmp_path / "x").exists()
    assert len(shared_server.requests) == since


@pytest.mark.both
def test_a_limit_does_not_part_a_folder_from_its_job(buyer: Buyer) -> None:
    """What is paid costs nothing more, so a lower limit lets the call continue; other arguments are still refused."""
    buyer.collect(2)
    assert len(buyer.collect(2, max_spend_cents=1)) == 2
    with pytest.raises(SpendLimitError):
        buyer.collect(3, max_spend_cents=1)
    assert buyer.jobs_bought() == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"files_needed": 10_000, "price_per_file_cents": 50_000}, InsufficientCreditsError),
        ({"extra_body": {"deadline": "2001-01-01T00:00:00Z"}}, InvalidRequestError),
    ],
)
def test_a_refused_job_may_be_corrected(buyer: Buyer, fields: dict[str, Any], error: type[Exception]) -> None:
    """Another request may have the folder, with the same key: a refusal does not say that nothing was bought."""
    with pytest.raises(error) as caught:
        buyer.client.jobs.collect(buyer.dest, **{**JOB, "files_needed": 2, **fields})
    assert caught.value.idempotency_key == record_in(buyer.dest).key
    assert "it sends the same key" in str(caught.value)
    assert len(buyer.collect(2)) == 2
    assert buyer.jobs_bought() == 1
    posts = {r.headers["idempotency-key"] for r in buyer.server.requests if r.method == "POST"}
    assert posts == {caught.value.idempotency_key}


def test_a_post_whose_answer_is_lost_is_found(buyer: Buyer) -> None:
    """The job that was bought is found, and no second one is bought."""
    buyer.server.faults.add(path="/v1/jobs", method="POST", drop="after", times=2)
    buyer.client = buyer.connect(buyer.server, max_retries=1)
    with pytest.raises(FirstHandConnectionError):
        buyer.collect(2)
    buyer.server.clock.advance(hours=30)  # the service has forgotten the key; our clock says it is young
    assert len(buyer.collect(2)) == 2
    assert buyer.jobs_bought() == 1
    assert len([r for r in buyer.server.requests if r.method == "POST" and r.path == "/v1/jobs"]) == 2


def test_a_key_that_may_have_arrived_is_never_forgotten(buyer: Buyer) -> None:
    """The service may still be at work on the first attempt, and no list shows it yet: the key stays."""
    buyer.server.faults.add(path="/v1/jobs", method="POST", drop="before", times=1)
    buyer.server.faults.add(path="/v1/jobs", method="POST", times=1, status=402)
    with pytest.raises(FirstHandApiError):
        buyer.collect(2)
    assert len(buyer.collect(2)) == 2
    keys = {r.headers["idempotency-key"] for r in buyer.server.requests if r.method == "POST"}
    assert len(keys) == 1
    assert buyer.jobs_bought() == 1


def odd_service(*pages: Any) -> Callable[[httpx.Request], httpx.Response]:
    """A completed job whose list of files is one of these after the other, then the last for ever."""
    pages_left = list(pages)

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/files"):
            return httpx.Response(200, json={"id": "job_1", "status": "completed"})
        return httpx.Response(200, content=pages_left.pop(0) if len(pages_left) > 1 else pages_left[0])

    return answer


@pytest.mark.both
def test_follow_tells_of_a_file_that_nobody_can_use(connect: Connect) -> None:
    """After all the others have come."""
    rows = [{"id": "file_1"}, {"id": 2, "size_bytes": 7}, {"id": "file_3"}]
    handler = odd_service(json.dumps({"data": rows}).encode())
    client = connect(handler=handler)
    with pytest.raises(UnexpectedResponseError, match=r"type: id;"):
        list(client.jobs.follow("job_1"))
    with (
        httpx.Client(transport=httpx.MockTransport(handler)) as http_client,
        FirstHandClient("fh_test_x", http_client=http_client) as sync_client,
    ):
        files = sync_client.jobs.follow("job_1")
        assert [next(files).id, next(files).id] == ["file_1", "file_3"]


def test_an_answer_that_stays_wrong_is_told(connect: Connect) -> None:
    """A list that is never the documented JSON ends the walk long before its timeout."""
    client = connect(handler=odd_service(b"<html>"))
    clock = connect.clock(client)
    started = clock.now
    with pytest.raises(UnexpectedResponseError, match="<html>"):
        list(client.jobs.follow("job_1"))
    assert clock.now - started < 600


@pytest.mark.both
def test_every_request_of_a_call_carries_its_extras(buyer: Buyer) -> None:
    """`extra_headers` reach the polls, the lists and the POST; a bad one is told before a folder is made."""
    extras = {"extra_headers": {"X-Trace": "1"}}
    dataset = buyer.collect(2, buyer.dest / "a", **extras)
    buyer.client.files.download_all(dataset.job.id, buyer.dest / "b", timeout=5, **extras)
    assert len(list(buyer.client.jobs.follow(dataset.job.id, **extras))) == 2
    calls = [r for r in buyer.server.requests if r.path.startswith("/v1/")]
    assert calls
    assert all(r.headers.get("x-trace") == "1" for r in calls)
    with pytest.raises(InvalidArgumentError):
        buyer.collect(2, buyer.dest / "c", extra_headers={"Authorization": "x"})
    assert not (buyer.dest / "c").exists()


def test_a_dest_that_is_a_link_called_data(buyer: Buyer) -> None:
    """The folder itself is the caller's own word, whatever its name."""
    (buyer.dest / "disk").mkdir()
    (buyer.dest / "data").symlink_to(buyer.dest / "disk")
    assert len(buyer.collect(1, buyer.dest / "data")) == 1


def test_a_url_just_listed_is_tried_whatever_the_clock_says(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock of ours that is days ahead costs no requests for fresh URLs."""
    monkeypatch.setattr("firsthandapi.datasets._folder.time.time", lambda: 4e9)
    job = buyer.client.jobs.create(**JOB, files_needed=6)
    buyer.server.clock.advance(minutes=5)
    assert len(buyer.client.files.download_all(job.id, buyer.dest)) == 6
    assert not [r for r in buyer.server.requests if r.path.endswith("/refresh_url")]


def test_the_record_is_on_disk_before_the_post(connect: Connect, tmp_path: Path) -> None:
    """When the request arrives, the folder already says what is being bought, and with which key."""
    seen: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": []})
        written = json.loads((tmp_path / ORDER).read_bytes())
        seen.append((request.headers["idempotency-key"], request.content, written))
        return httpx.Response(500)

    with pytest.raises(ServerError):
        connect(handler=answer, max_retries=0).jobs.collect(tmp_path, **JOB, files_needed=2)
    ((key, body, written),) = seen
    assert written["key"] == key
    assert written["request"] == json.loads(body)
    assert written["request"]["metadata"][KEY_METADATA] == key
    assert "job" not in written


# ── Going on ─────────────────────────────────────────────────────────────────────────────────────────────


def age(dest: Path, seconds: float, **changes: Any) -> None:
    """Make the record look as if its key had been sent so long ago, and the answer had never come."""
    written = json.loads((dest / ORDER).read_bytes())
    del written["job"]
    written.update(first_sent_at=written["first_sent_at"] - seconds, **changes)
    (dest / ORDER).write_text(json.dumps(written))


def test_a_key_is_not_sent_after_a_search_that_took_too_long(buyer: Buyer) -> None:
    """A machine may sleep between the search and the POST: it searches again, but not for ever."""
    buyer.collect(1)
    age(buyer.dest, 22 * 3600, key="lost-key")
    since = len(buyer.server.requests)
    clock = buyer.connect.clock(buyer.client)
    now = time.time()
    # The clock moves only while a request of this call is on its way.
    clock.time = lambda: now + 7_200 * (len(buyer.server.requests) - since)
    with pytest.raises(ConfigurationError, match="took more than an hour"):
        buyer.collect(1)
    assert [r.method for r in buyer.server.requests[since:]] == ["GET"] * 3


def test_a_key_is_kept_where_the_callers_client_may_have_repeated_it(buyer: Buyer) -> None:
    """A clear refusal may be of the second time: the first may have bought."""
    engine: Any = httpx.AsyncHTTPTransport if buyer.connect.is_async else httpx.HTTPTransport

    class Repeating(engine):  # type: ignore[misc] # its base is chosen by the half that is tested
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return super().handle_request(request)
            except httpx.TransportError:
                return super().handle_request(request)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return await super().handle_async_request(request)
            except httpx.TransportError:
                return await super().handle_async_request(request)

    buyer.client = buyer.connect(
        transport=Repeating(), api_key=buyer.server.api_key, base_url=buyer.server.url
    )
    buyer.server.faults.add(path="/v1/jobs", method="POST", drop="after")
    buyer.server.faults.add(path="/v1/jobs", method="POST", status=403)
    assert len(buyer.collect(1)) == 1
    assert buyer.jobs_bought() == 1


def test_another_request_into_the_folder_is_refused(buyer: Buyer) -> None:
    """By collect and download_all alike; nothing is sent for it."""
    buyer.collect(1, buyer.dest / "a")
    second_id = buyer.client.jobs.create_and_wait(**JOB, files_needed=1).id
    buyer.client.files.download_all(second_id, buyer.dest / "b")
    since = len(buyer.server.requests)
    with pytest.raises(InvalidArgumentError, match="files_needed differ"):
        buyer.collect(2, buyer.dest / "a")
    with pytest.raises(InvalidArgumentError, match="another idempotency_key"):
        buyer.collect(1, buyer.dest / "a", idempotency_key="mine")
    with pytest.raises(InvalidArgumentError, match="download_all"):
        buyer.collect(1, buyer.dest / "b")
    with pytest.raises(InvalidArgumentError, match="another job"):
        buyer.client.files.download_all(second_id, buyer.dest / "a")
    assert len(buyer.server.requests) == since


def test_a_lost_record_leads_to_the_job_of_the_rows(buyer: Buyer) -> None:
    """They name the job, and the service still knows it: nothing is bought, and nothing downloaded twice."""
    job_id = buyer.collect(1).job.id
    (buyer.dest / ORDER).unlink()
    since = len(buyer.server.requests)
    assert buyer.collect(1).job.id == job_id
    assert downloads(buyer.server, since) == []
    assert buyer.jobs_bought() == 1


@pytest.mark.both
def test_a_damaged_record_stops_all_with_its_path(buyer: Buyer, tmp_path: Path) -> None:
    """Nothing in it is guessed at, and nothing is asked; put back, it continues."""
    job_id = buyer.collect(1).job.id
    path = buyer.dest / ORDER
    content = path.read_bytes()
    half = content[: len(content) // 2]
    path.write_bytes(half)
    since = len(buyer.server.requests)
    for call in (
        lambda: buyer.collect(1),
        lambda: buyer.collect(1, idempotency_key="mine"),
        lambda: buyer.client.files.download_all(job_id, buyer.dest),
        lambda: Dataset.open(buyer.dest),
        lambda: Dataset.merge([buyer.dest], tmp_path / "merged"),
    ):
        with pytest.raises(
            ConfigurationError, match=f"{re.escape(str(path))} is empty or damaged"
        ) as refused:
            call()
        assert "nothing was ordered now" in str(refused.value)
    assert path.read_bytes() == half
    assert buyer.server.requests[since:] == []
    path.write_bytes(content)
    assert len(buyer.collect(1)) == 1
    assert buyer.jobs_bought() == 1


def test_a_key_of_the_callers_finds_its_job_at_any_age(buyer: Buyer) -> None:
    """Two days later the service has forgotten the key; the job has it in its metadata. Other arguments are told."""
    first = buyer.collect(1, buyer.dest / "a", idempotency_key="nightly")
    for days in (0, 2):
        buyer.server.clock.advance(days=days)
        rerun = buyer.collect(1, buyer.dest / f"b{days}", idempotency_key="nightly")
        assert rerun.job.id == first.job.id
    with pytest.raises(InvalidArgumentError, match=f"nightly has already bought {first.job.id}") as caught:
        buyer.collect(2, buyer.dest / "c", idempotency_key="nightly")
    assert caught.value.field == "idempotency_key"
    assert not (buyer.dest / "c" / ORDER).exists()
    assert buyer.jobs_bought() == 1


def test_nothing_is_bought_that_cannot_be_fetched(patient: Buyer) -> None:
    """A key that may not read jobs, and a folder that cannot take files, end the call before the POST."""
    with patient.server.client() as owner:
        writer = owner.api_keys.create(name="writer", scopes=["jobs:write"], environment="live").secret
    with pytest.raises(PermissionDeniedError) as caught:
        patient.connect(patient.server, api_key=writer).jobs.collect(
            patient.dest / "a", **JOB, files_needed=1
        )
    assert caught.value.job is None
    assert not (patient.dest / "a" / ORDER).exists()
    (patient.dest / "b").mkdir()
    (patient.dest / "b" / "data").write_text("in the way")
    folders = [patient.dest / "b"]
    if hasattr(os, "mkfifo"):
        (patient.dest / "c").mkdir()
        os.mkfifo(patient.dest / "c" / "data")
        folders.append(patient.dest / "c")
    for folder in folders:
        with pytest.raises(ConfigurationError, match="is not a folder"):
            patient.collect(1, folder)
    assert patient.jobs_bought() == 0


# ── Ends that are not the wanted one ─────────────────────────────────────────────────────────────────────


def test_a_job_that_is_cancelled_gives_what_there_is(patient: Buyer) -> None:
    """IncompleteJobError has the job as it ended, and the dataset; the same call says it again."""
    with in_background(patient.collect, 3) as ended:
        job_id = wait_for_job(patient.server)
        patient.deliver(job_id)
        with patient.server.client() as client:
            client.jobs.cancel(job_id)
    (error,) = ended
    assert isinstance(error, IncompleteJobError)
    assert error.job.status == "cancelled"
    assert len(error.dataset) == 1
    assert error.dataset.verify()
    with pytest.raises(IncompleteJobError, match="1 of 3 files"):
        patient.collect(3)
    assert patient.jobs_bought() == 1


def test_a_wait_that_is_over_can_be_continued(patient: Buyer) -> None:
    """WaitTimeoutError has the job; the job goes on, and the same call continues it."""
    with pytest.raises(WaitTimeoutError, match="it is open"):
        patient.collect(1, timeout=0)
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError, match="it is open") as caught:
        patient.collect(1, timeout=0.3)
    assert time.monotonic() - started < 20
    assert caught.value.job is not None
    patient.deliver(caught.value.job.id)
    assert len(patient.collect(1, timeout=None)) == 1
    # All is there, so no time is needed to see it.
    assert len(patient.collect(1, timeout=0)) == 1
    assert patient.jobs_bought() == 1


@pytest.mark.both
def test_the_timeout_holds_for_the_downloads_too(
    connect: Connect, slow_files: MockServer, tmp_path: Path
) -> None:
    """A job that is over, but whose files do not come, ends in time as well."""
    client = connect(slow_files)
    with pytest.raises(WaitTimeoutError, match="it is open") as caught:
        client.jobs.collect(tmp_path, **JOB, files_needed=1, timeout=0)
    slow_files.submit(caught.value.job.id)
    slow_files.clock.advance(minutes=1)
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError, match="is completed, but its files"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1, timeout=0.5)
    assert time.monotonic() - started < 20
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.both
def test_the_timeout_holds_for_the_post_too(patient: Buyer, monkeypatch: Any) -> None:
    """A service that does not answer is not waited for beyond it; the client's own deadline stays its own."""
    monkeypatch.setattr(f"firsthandapi._{patient.connect.kind}.ordering._LEAST", 0.5)
    patient.server.faults.add(path="/v1/jobs", method="POST", delay=60, times=2)
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError, match="before the service confirmed the job") as late:
        patient.collect(1, patient.dest / "a", timeout=0.2)
    assert isinstance(late.value.__cause__, DeadlineExceededError)
    with pytest.raises(DeadlineExceededError):
        patient.connect(patient.server, deadline=0.3).jobs.collect(patient.dest / "b", **JOB, files_needed=1)
    assert time.monotonic() - started < 20


def test_a_second_writer_waits_for_its_turn(connect: Connect, slow_files: MockServer, tmp_path: Path) -> None:
    """It waits as long as its timeout says, and then says what is in its way."""
    client = connect(slow_files, max_retries=0)
    job_id = completed_job(slow_files, 1)
    with in_background(client.files.download_all, job_id, tmp_path) as ended:
        wait_until(lambda: bool(downloads(slow_files)))
        with pytest.raises(WaitTimeoutError, match="another process"):
            client.jobs.collect(tmp_path, **JOB, files_needed=1, timeout=0.3)
        slow_files.stop()
    assert isinstance(ended[0], DownloadError)


def test_two_in_one_folder_buy_one_job(buyer: Buyer) -> None:
    """Threads of one process take turns like processes do."""
    with in_background(buyer.collect, 5) as ended:
        dataset = buyer.collect(5)
    assert ended[0].job.id == dataset.job.id
    assert buyer.jobs_bought() == 1
    assert len(downloads(buyer.server)) == 5


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_a_cancelled_task_ends_at_once(fresh_server: MockServer, tmp_path: Path, kind: str) -> None:
    """Soon, with no thread or temporary file left, and what had come in the manifest."""
    job_id = completed_job(fresh_server, 60)
    fresh_server.faults.add(path="/files/*", delay=30, times=None, after=20)
    took: list[float] = []

    async def run() -> None:
        async with fresh_server.async_client() as client:
            await client.files.download_all(job_id, tmp_path)

    def has_come() -> bool:
        return len(downloads(fresh_server)) >= 28 and len(list((tmp_path / "data").glob("file_*"))) == 20

    async def in_asyncio() -> None:
        task = asyncio.create_task(run())
        while not has_come():
            await asyncio.sleep(0.01)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        took.append(time.monotonic() - started)

    async def in_trio() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            while not has_come():
                await trio.sleep(0.01)
            started = time.monotonic()
            nursery.cancel_scope.cancel()
        took.append(time.monotonic() - started)

    if kind == "asyncio":
        asyncio.run(in_asyncio())
    else:
        trio.run(in_trio)
    assert took[0] < 15
    assert len(Dataset.open(tmp_path)) == 20
    assert whole(tmp_path)


@pytest.mark.both
def test_what_cannot_heal_ends_it(patient: Buyer) -> None:
    """A job that is not there makes no folder's job; a key that was revoked is not waited with."""
    with pytest.raises(NotFoundError):
        patient.client.files.download_all("job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE", patient.dest / "a")
    assert not (patient.dest / "a" / ORDER).exists()
    patient.server.faults.add(path="/v1/jobs/*", method="GET", status=401, times=None)
    with pytest.raises(AuthenticationError):
        patient.collect(1, patient.dest / "b")


def test_a_folder_of_another_service_is_told_so(
    connect: Connect, quick_server: MockServer, shared_server: MockServer, tmp_path: Path
) -> None:
    """As where the bundled server was started anew: the error names the folder, which stays as it is."""
    job = connect(quick_server).jobs.collect(tmp_path, **JOB, files_needed=1).job
    content = (tmp_path / ORDER).read_bytes()
    elsewhere = connect(shared_server)
    message = re.escape(f"{tmp_path} is the folder of {job.id}")
    with pytest.raises(NotFoundError, match=message):
        elsewhere.jobs.collect(tmp_path, **JOB, files_needed=1)
    with pytest.raises(NotFoundError, match=message):
        elsewhere.files.download_all(job.id, tmp_path)
    assert (tmp_path / ORDER).read_bytes() == content
    assert whole(tmp_path)
    if os.name != "nt":  # which has no such names
        odd = tmp_path.rename(f"{tmp_path}\nb\x1b[2J")
        with pytest.raises(NotFoundError) as caught:
            elsewhere.files.download_all(job.id, odd)
        assert str(caught.value).isprintable()
        assert r"\u000ab\u001b[2J is the folder of" in str(caught.value)


# ── Nothing given up early, nothing untold ───────────────────────────────────────────────────────────────


def last_seen(dest: Path) -> dict[str, Any]:
    """The job in the record."""
    job = record_in(dest).job
    assert job is not None
    return job


def test_every_way_out_leaves_the_job_as_last_seen(patient: Buyer) -> None:
    """In the folder and in the error: a timeout, a key that is revoked, a callback that fails."""
    with pytest.raises(WaitTimeoutError) as timed_out:
        patient.collect(2, timeout=0)
    assert last_seen(patient.dest)["status"] == timed_out.value.job.status == "open"
    patient.deliver(timed_out.value.job.id)
    with pytest.raises(WaitTimeoutError):
        patient.collect(2, timeout=0.5)
    last = last_seen(patient.dest)
    assert (last["status"], last["files_approved"]) == ("in_progress", 1)

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    patient.deliver(timed_out.value.job.id)
    with pytest.raises(ZeroDivisionError):
        patient.collect(2, on_progress=fail)
    assert last_seen(patient.dest)["status"] == "completed"
    patient.server.faults.add(path="/v1/jobs/*/files", status=401)
    with pytest.raises(AuthenticationError) as revoked:
        patient.collect(2)
    assert revoked.value.job.id == timed_out.value.job.id


# ── URLs and requests ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("files", [600, pytest.param(3_000, marks=pytest.mark.slow)])
def test_a_completed_job_costs_few_requests(
    fresh_server: MockServer, tmp_path: Path, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page a hundred files, a page a hundred submissions, and ten more at most; the first files are fetched while the
    list is still read."""
    # What is counted are requests; flushing thousands of files would only be slow.
    monkeypatch.setattr("os.fsync", lambda _: None)
    organization = fresh_server.create_organization(cents=10 * files)
    with fresh_server.client(api_key=organization.api_key) as client:
        job_id = client.jobs.create(
            **{**JOB, "accepted_formats": ["audio/mpeg"]}, files_per_submission=5, files_needed=files
        ).id
        for _ in range(files // 5):
            fresh_server.submit(job_id, files=5, annotations=None)
        fresh_server.clock.advance(minutes=1)
        since = len(fresh_server.requests)
        dataset = client.files.download_all(job_id, tmp_path)
    assert len(dataset) == files
    paths = [r.path for r in fresh_server.requests[since:]]
    assert len(downloads(fresh_server, since)) == files
    assert len(api(fresh_server, since)) <= files // 100 + files // 500 + 10
    first = next(n for n, path in enumerate(paths) if path.startswith("/files/"))
    last_page = max(n for n, path in enumerate(paths) if path.endswith(f"/{job_id}/files"))
    assert first < 6 < last_page


def test_the_rate_limit_is_kept(connect: Connect, tmp_path: Path) -> None:
    """With nothing left the next page waits for the reset: not one request is refused."""
    with MockServer(speed=60, workers=False) as server:
        job_id = completed_job(server, 5)
        server.clock.advance(minutes=2)
        server.rate_limit = 3
        client = connect(server)
        since = len(server.requests)
        for n in range(3):
            assert len(client.files.download_all(job_id, tmp_path / str(n))) == 5
        assert all(r.status == 200 for r in server.requests[since:])


def test_a_rough_service_is_borne(buyer: Buyer) -> None:
    """Dropped, cut, refused and garbled answers cost time, and nothing else."""
    for path in ("/v1/jobs", "/v1/jobs/*", "/files/*"):
        buyer.server.faults.add(path=path, drop="after", times=1)
        buyer.server.faults.add(path=path, cut=20, times=1)
    buyer.server.faults.add(path="/v1/jobs/*", garbage=True, times=1)
    buyer.server.faults.add(path="/files/*", status=503, times=1)
    buyer.connect.clock(buyer.client)
    dataset = buyer.collect(8)
    assert len(dataset) == 8
    assert dataset.verify()
    assert buyer.jobs_bought() == 1


def test_named_files_alone_are_fetched_anew(patient: Buyer) -> None:
    """What repair stands on: no other file is fetched, and no page is read after the last of them."""
    job_id = completed_job(patient.server, 120)
    newest = patient.client.files.list(job_id, limit=1).data[0].id
    since = len(patient.server.requests)
    patient.client.files._refetch(job_id, patient.dest, frozenset({newest}), concurrency=4, on_progress=None)
    assert downloads(patient.server, since) == [newest]
    assert len(api(patient.server, since)) == 2


class Stop(Exception):  # it is no error
    """What stops a call: an error in a callback of the caller's."""


@pytest.mark.both
def test_whatever_stops_a_call_names_its_job(patient: Buyer) -> None:
    """`collect`, `wait`, `wait_all`, `follow`, and a campaign: the note says how to continue."""

    def stop(_: object) -> None:
        raise Stop

    with pytest.raises(Stop) as caught:
        patient.collect(2, patient.dest / "signs", on_progress=stop)
    (job,) = patient.client.jobs.list()
    advice = f"The job {job.id} continues: run the same call again"
    assert caught.value.__notes__ == [f"{advice}, which posts no other job"]
    with pytest.raises(Stop) as caught:
        patient.client.jobs.wait(job.id, on_update=stop)
    assert caught.value.__notes__ == [advice]
    with pytest.raises(WaitTimeoutError) as timed_out:
        patient.client.jobs.wait_all([job.id], timeout=0)
    assert timed_out.value.__notes__ == [advice]
    with pytest.raises(WaitTimeoutError) as timed_out:
        list(patient.client.jobs.follow(job.id, timeout=0))
    assert timed_out.value.__notes__ == [f"{advice}, which returns all of its files"]
    with pytest.raises(NotFoundError) as missing:
        patient.client.jobs.wait("job_01JPDOESNOTEXIST")
    assert not hasattr(missing.value, "__notes__")
    two = {**JOB, "files_needed": 2}
    campaign = Campaign(dest=patient.dest / "two", budget_cents=1_000, jobs={"stop": two, "yield": two})
    # A campaign orders one label after the other: a run that busy cores end early is continued by the next.
    for _ in range(20):
        with pytest.raises(WaitTimeoutError) as timed_out:
            patient.client.campaigns.run(campaign, timeout=0.5)
        if len([*patient.client.jobs.list()]) == 3:
            break
    ordered = [row.id for row in patient.client.jobs.list() if row.id != job.id][::-1]
    assert timed_out.value.__notes__ == [
        f"The jobs {', '.join(ordered)} continue: run the same call again; it posts no job twice"
    ]

"""`collect` against a service that says what ours never does: paid once, nobody else's files, nothing untold."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import Campaign, Dataset
from firsthandapi._core.orders.record import KEY_METADATA
from firsthandapi._notebook import html_of
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadError,
    FirstHandError,
    IncompleteJobError,
    InvalidArgumentError,
    NotFoundError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from firsthandapi.testing import HostileService, MockServer
from firsthandapi.types import File
from raw import RawRequest

from .support import JOB, ORDER, record_in

pytestmark = pytest.mark.async_slow

HOUR = 3600.0


class Shop(HostileService):
    """The service that lies, whose jobs are finished when they are posted, and a folder to collect into."""

    def __init__(self, connect: Connect, folder: Path) -> None:
        super().__init__(pace=0.0)
        self.connect = connect
        self.folder = folder

    def client(self) -> Any:
        """A client whose clock moves while it waits, so that nobody does."""
        client = self.connect(base_url=self.url, max_retries=0)
        self.follow(self.connect.clock(client))
        return client

    def collect(self, dest: str = "signs", **options: Any) -> Any:
        """One run."""
        fields = {**JOB, "files_needed": 2, "timeout": 60, **options}
        return self.client().jobs.collect(self.folder / dest, **fields)


def refusal(kind: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "no"}}


def is_job(body: Any) -> bool:
    """Whether a response is one job."""
    return isinstance(body, dict) and body.get("object") == "job"


@pytest.fixture
def shop(connect: Connect, tmp_path: Path) -> Iterator[Shop]:
    """A service of one's own."""
    with Shop(connect, tmp_path) as shop:
        yield shop


# ── Never twice ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_behind_a_refusal_of_a_gateway_is_found(shop: Shop) -> None:
    """A gateway may block the answer to an order that went through: it is looked for, not bought again."""
    shop.once("POST", "/jobs", 404, b"<html>blocked by policy</html>")
    assert len(shop.collect()) == 2
    assert len(shop.jobs) == 1


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"<html>", b'{"id": "../me", "status": "open"}'])
def test_an_answer_that_names_no_job_is_looked_up(shop: Shop, body: bytes) -> None:
    """The order was taken, so its job is found at once."""
    shop.once("POST", "/jobs", 201, body)
    (job,) = [shop.collect().job, *shop.jobs[1:]]
    assert job.id == shop.jobs[0].id


@pytest.mark.both
def test_a_second_job_with_ones_key_is_named(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The older one is used, on every machine, and the command that cancels the other is named, in errors as well.
    Nothing is cancelled unasked, and it costs no request."""
    shop.collect(idempotency_key="mine")
    (first,) = shop.jobs
    shop.lies.pace = inf
    shop.advance(1.0)
    twin = shop.post(first.body, "mine")
    for dest in ("one", "two"):
        assert shop.collect(dest, idempotency_key="mine").job.id == first.id
    (text,) = {record.getMessage() for record in caplog.records if "both posted" in record.getMessage()}
    assert text.endswith(f"run firsthandapi jobs cancel {twin.id}")
    first.times = [inf] * len(first.files)
    with pytest.raises(WaitTimeoutError, match=rf"; .*run firsthandapi jobs cancel {twin.id}"):
        shop.collect("three", idempotency_key="mine", timeout=0)
    assert [job.cancelled for job in shop.jobs] == [None, None]
    # An error of another job does not name it.
    client = shop.client()
    fields = {**JOB, "files_needed": 2, "timeout": 0}
    errors: list[str] = []
    for key in ("mine", "other"):
        with pytest.raises(WaitTimeoutError) as error:
            client.jobs.collect(shop.folder / f"of-{key}", **fields, idempotency_key=key)
        errors.append(str(error.value))
    assert ["both posted" in text for text in errors] == [True, False]


@pytest.mark.both
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_another_job_is_never_taken_for_ones_own(shop: Shop, method: str) -> None:
    """An answer that was meant for somebody else gives the folder neither that job nor its files."""
    stranger = shop.post({**JOB, "files_needed": 2, "metadata": {KEY_METADATA: f"fh-{'5' * 64}"}})
    mistakes = [shop.shown(stranger)]

    def says(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if not is_job(body):
            return status, body
        if mistakes and request.method == method:
            return status, mistakes.pop()
        return status, {**body, "status": "open"} if request.method == "POST" else body

    shop.says = says
    dataset = shop.collect()
    _, own_job = shop.jobs
    assert dataset.job.id == own_job.id
    assert {record.file_id for record in dataset} == {*own_job.files}
    assert (record_in(shop.folder / "signs").job or {})["id"] == own_job.id
    assert mistakes == []


def test_a_job_that_nobody_can_read_is_not_bought_again(shop: Shop) -> None:
    """The key in its metadata says whose it is, though its status is of a type that no version knows."""
    shop.collect("a", idempotency_key="mine")
    shop.lies.idem_life = 0.0
    rows = [{"id": "job_0", "status": "open"}, {**shop.shown(shop.jobs[0]), "status": 5}]
    shop.once("GET", "/jobs", 200, {"data": rows})
    with pytest.raises(UnexpectedResponseError, match="status"):
        shop.collect("b", idempotency_key="mine")
    assert len(shop.jobs) == 1


class Forgetful:
    """Answers of a shop that names a job it does not have, and shows metadata where `keeps` says so."""

    def __init__(self, shop: Shop, *keeps: str) -> None:
        self.keeps = keeps
        self.posts = 0
        shop.says = self.says

    def says(self, request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        path = request.target.partition("?")[0]
        if request.method == "POST":
            self.posts += 1
            return status, self.shown("post", {**body, "id": "job_made_up", "status": "open"})
        if path == "/v1/jobs":
            body = {**body, "data": [self.shown("list", job) for job in body["data"]]}
        return status, body

    def shown(self, where: str, job: dict[str, Any]) -> dict[str, Any]:
        return job if where in self.keeps else {k: v for k, v in job.items() if k != "metadata"}


@pytest.mark.parametrize("key", [None, "mine"])
def test_a_job_that_the_service_does_not_have(shop: Shop, key: str | None) -> None:
    """The response to the order made up an id, and no metadata show the job: the error says so at every run.

    It names the id, the key, and what to do. Only the same key is sent again, and only while it is young.
    """
    service = Forgetful(shop)
    keys: set[str | None] = set()
    age = 0.0
    for later in (0.0, 0.0, 25 * HOUR, 0.0):
        shop.advance(later)
        posts = service.posts
        with pytest.raises(FirstHandError) as caught:
            shop.collect(idempotency_key=key)
        record = record_in(shop.folder / "signs")
        for named in (
            "job_made_up",
            f"idempotency key {record.key}",
            f"orders forget {shop.folder / 'signs'}",
        ):
            assert named in str(caught.value)
        keys.add(record.key)
        age += later
        assert isinstance(caught.value, NotFoundError) is (age == 0)
        assert service.posts == posts + (age == 0)
    assert len(keys) == len(shop.jobs) == 1


@pytest.mark.both
def test_a_job_under_a_made_up_id_is_found_by_its_key(shop: Shop) -> None:
    """Once the list shows the key of the order, the same call downloads the files of that job."""
    service = Forgetful(shop)
    with pytest.raises(NotFoundError):
        shop.collect()
    service.keeps = ("list",)
    assert shop.collect().job.id == shop.collect().job.id == shop.jobs[0].id
    assert (service.posts, len(shop.jobs)) == (1, 1)
    # A response that shows the key is believed until the service says that it has no such job.
    service.keeps = ("post",)
    with pytest.raises(NotFoundError):
        shop.collect("more")
    service.keeps = ("post", "list")
    assert shop.collect("more").job.id == shop.jobs[1].id
    assert (service.posts, len(shop.jobs)) == (2, 2)


@pytest.mark.both
def test_a_job_that_only_the_list_shows(shop: Shop) -> None:
    """A replica does not have it yet: the error says to run the call again, and advises no other folder."""

    def says(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if not is_job(body):
            return status, body
        return (
            (status, {**body, "status": "open"}) if request.method == "POST" else (404, refusal("not_found"))
        )

    shop.says = says
    for _ in range(2):
        with pytest.raises(NotFoundError) as caught:
            shop.collect()
    (job,) = shop.jobs
    assert f"The list of jobs shows {job.id} (open, 2 of 2 files approved)" in str(caught.value)
    assert "different folder" not in str(caught.value)


# ── Nothing untold ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_job_that_tells_no_numbers_is_held_to_the_order(shop: Shop, status: str) -> None:
    """What was asked for is known from the order; a refund is not known of, and not spoken of."""

    shop.lies.short = 1
    hidden = ("files_needed", "files_approved")

    def says(_request: RawRequest, code: int, body: Any) -> tuple[int, Any]:
        if is_job(body):
            body = {**{k: v for k, v in body.items() if k not in hidden}, "status": status}
        return code, body

    shop.says = says
    with pytest.raises(IncompleteJobError, match="1 of 2 files") as caught:
        shop.collect()
    assert len(caught.value.dataset) == 1
    assert "refund" not in str(caught.value)


@pytest.mark.both
def test_a_late_replica_does_not_start_a_job_again(shop: Shop) -> None:
    """While a late list is read again, an older state of the job ends neither the reading nor the run."""
    polls: list[RawRequest] = []

    def says(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if is_job(body) and request.method == "GET":
            polls.append(request)
            body = {**body, "status": "open", "files_approved": 1}
        elif "/files?" in request.target and len(polls) < 2:
            body = {"data": body["data"][:1]}
        return status, body

    shop.says = says
    dataset = shop.collect()
    assert (len(dataset), dataset.job.status) == (2, "completed")


def test_an_error_about_something_else_names_the_failed_files(shop: Shop) -> None:
    """Also an error that has nothing to do with them."""
    lists: list[RawRequest] = []

    def says(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if isinstance(body, bytes):
            return 404, b"gone"
        if "/files?" in request.target:
            lists.append(request)
            if len(lists) > 1:
                return 401, refusal("authentication_error")
        return status, {**body, "status": "completed" if lists else "open"} if is_job(body) else body

    shop.says = says
    with pytest.raises(AuthenticationError) as caught:
        shop.collect()
    assert {file_id for file_id, _ in caught.value.failures} == {*shop.jobs[0].files}
    assert all(isinstance(why, DownloadError) for _, why in caught.value.failures)
    assert caught.value.job.id == shop.jobs[0].id


def test_a_folder_that_cannot_be_closed_hides_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at the last flush: the error names the job, and does not stand in for the first one."""

    def full(_: Any) -> None:
        raise ConfigurationError("metadata.jsonl cannot be written: No space left on device")

    monkeypatch.setattr("firsthandapi.datasets._manifest.Manifest.close", full)
    with pytest.raises(ConfigurationError, match="No space left") as caught:
        shop.collect("a")
    assert caught.value.job.id == shop.jobs[0].id
    shop.once("GET", "/files", 401, refusal("authentication_error"))
    with pytest.raises(AuthenticationError):
        shop.collect("b")


def test_a_folder_that_is_moved_away_is_told_with_its_job(shop: Shop) -> None:
    """Somebody takes the folder while the run writes to it: the error names the job that was paid for.

    The same call then downloads its files, and posts nothing.
    """

    def move(progress: Any) -> None:
        if progress.files_done == 2:
            (shop.folder / "signs").rename(shop.folder / "elsewhere")

    with pytest.raises(ConfigurationError) as caught:
        shop.collect(on_progress=move)
    assert caught.value.job.id == shop.jobs[0].id
    assert len(shop.collect()) == 2
    assert len(shop.jobs) == 1


@pytest.mark.both
def test_a_download_that_fails_leaves_the_job_as_last_seen(shop: Shop) -> None:
    """A folder of which more is known to be approved than it has is not called whole."""
    shop.lies.pace = HOUR
    job = shop.post({**JOB, "files_needed": 2})
    client = shop.client()
    shop.advance(HOUR)
    client.files.download_all(job.id, shop.folder)
    assert Dataset.open(shop.folder).verify().ok
    shop.advance(HOUR)
    shop.once("GET", "/files", 401, refusal("authentication_error"))
    with pytest.raises(AuthenticationError):
        client.files.download_all(job.id, shop.folder)
    assert not Dataset.open(shop.folder).verify().ok


@pytest.mark.both
def test_download_all_tells_of_files_that_no_list_shows(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """It brings what there is, and a warning says that this is not everything; `verify` says so too."""
    job = shop.post({**JOB, "files_needed": 3})
    shop.says = lambda request, status, body: (
        status,
        {**body, "data": body["data"][1:]} if "/files?" in request.target else body,
    )
    assert len(shop.client().files.download_all(job.id, shop.folder)) == 2
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "counts 3 approved files, but its list does not show 1 of them" in record.getMessage()
    assert not Dataset.open(shop.folder).verify().ok


@pytest.mark.both
def test_a_completed_job_that_never_counts_its_files(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """`collect` waits until its timeout, or a day, and says what the service counts; `download_all` warns at once."""
    shop.lies.short = 1
    with pytest.raises(
        WaitTimeoutError, match="is completed, but the service counts 2 of 3 files as approved"
    ):
        shop.collect(files_needed=3, timeout=600)
    with pytest.raises(
        IncompleteJobError, match=r"with 2 of 3 files, .*; the service counts 2 of 3 files as"
    ) as error:
        shop.collect(files_needed=3, timeout=None)
    assert len(error.value.dataset) == 2
    (job,) = shop.jobs
    client = shop.client()
    clock = shop.connect.clock(client)
    began = clock.now
    assert len(client.files.download_all(job.id, shop.folder / "again")) == 2
    assert clock.now == began
    (text,) = [record.getMessage() for record in caplog.records if "not complete" in record.getMessage()]
    assert text == f"{job.id} is not complete here; the service counts 2 of 3 files as approved"


def test_a_key_is_looked_for_on_every_page(
    connect: Connect, fresh_server: MockServer, tmp_path: Path
) -> None:
    """A caller's key may have bought a job long ago. A call without time to wait finds it, and posts a new order."""
    fresh_server.rate_limit = fresh_server.organization_rate_limit = None
    client = connect(fresh_server)
    connect.clock(client).wall = time.time()

    def order(folder: str, key: str) -> str:
        with pytest.raises(WaitTimeoutError, match="it is open") as caught:
            client.jobs.collect(tmp_path / folder, **JOB, files_needed=1, idempotency_key=key, timeout=0)
        return str(caught.value.job.id)

    first = order("one", "mine")
    for _ in range(101):
        client.jobs.create(**JOB, files_needed=1)
    fresh_server.clock.advance(days=2)
    assert order("elsewhere", "mine") == first
    second = order("two", "another")
    assert order("two", "another") == order("elsewhere still", "another") == second != first
    assert len([*client.jobs.list()]) == 103


@pytest.mark.both
def test_a_key_of_today_is_looked_for_by_one_request(
    connect: Connect, fresh_server: MockServer, tmp_path: Path
) -> None:
    """However many older jobs the account has."""
    fresh_server.rate_limit = fresh_server.organization_rate_limit = None
    client = connect(fresh_server)
    for _ in range(101):
        client.jobs.create(**JOB, files_needed=1)
    fresh_server.clock.advance(days=3)
    connect.clock(client).wall = fresh_server.clock.now()
    key_since = datetime.fromtimestamp(fresh_server.clock.now(), UTC)
    since = len(fresh_server.requests)
    for key in ("one", "two"):
        with pytest.raises(WaitTimeoutError, match="it is open"):
            client.jobs.collect(
                tmp_path / key,
                **JOB,
                files_needed=1,
                idempotency_key=key,
                key_since=key_since,
                timeout=0,
            )
    searches = [r for r in fresh_server.requests[since:] if (r.method, r.path) == ("GET", "/v1/jobs")]
    assert len(searches) == 2
    assert all("created_after" in search.query for search in searches)


def test_a_time_without_a_timezone_is_refused(
    connect: Connect, fresh_server: MockServer, tmp_path: Path
) -> None:
    """By every method, before anything is sent."""
    client = connect(fresh_server)
    job = {**JOB, "files_needed": 1, "key_since": datetime(2026, 11, 1)}
    campaign = Campaign(dest=tmp_path, budget_cents=100, jobs={"stop": {**JOB, "files_needed": 1}})
    for call in (
        lambda: client.jobs.create(**job),
        lambda: client.jobs.create_and_wait(**job),
        lambda: client.jobs.collect(tmp_path, **job),
        lambda: client.campaigns.run(campaign, key_since=job["key_since"]),
        lambda: client.campaigns.plan(campaign, key_since=job["key_since"]),
    ):
        with pytest.raises(InvalidArgumentError, match="key_since has no timezone"):
            call()
    assert fresh_server.requests == []
    assert client.jobs.create(**{**job, "key_since": datetime.now(UTC)}).status == "open"


def test_rows_of_a_job_that_the_key_cannot_see(
    connect: Connect, quick_server: MockServer, tmp_path: Path
) -> None:
    """The record is lost, and the rows name a job of another account: nothing is bought."""
    connect(quick_server).jobs.collect(tmp_path, **JOB, files_needed=1)
    (tmp_path / ORDER).unlink()
    organization = quick_server.create_organization(cents=1000)
    client = connect(quick_server, api_key=organization.api_key)
    with pytest.raises(ConfigurationError, match="cannot see"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
    assert [*client.jobs.list()] == []


@pytest.mark.both
@pytest.mark.parametrize("arguments", [("file_1", "x"), (File(id="file_1"), 5)])
def test_what_is_no_file_or_no_path(
    connect: Connect, quick_server: MockServer, arguments: tuple[Any, Any]
) -> None:
    """An id is not downloaded, nor anything to a number."""
    with pytest.raises(InvalidArgumentError):
        connect(quick_server).files.download(*arguments)


def as_floats(value: Any) -> Any:
    """The same JSON with every whole number written as `20.0`."""
    if isinstance(value, dict):
        return {name: as_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    return float(value) if type(value) is int else value


@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8], ids=["plain", "bom"])
def test_whole_numbers_as_floats(shop: Shop, bom: bytes) -> None:
    """A service that writes 20 as 20.0, after a byte order mark: bought once, complete, and known again. What is
    written down are ints."""
    shop.says = lambda _request, status, body: (
        status,
        body if isinstance(body, bytes) else bom + json.dumps(as_floats(body)).encode(),
    )
    for _ in range(2):
        dataset = shop.collect()
        assert (len(dataset), dataset.verify().ok, len(shop.jobs)) == (2, True, 1)
    job = json.loads((shop.folder / "signs" / ORDER).read_text())["job"]
    assert (str(job["files_needed"]), str(job["price_per_file_cents"])) == ("2", "10")


ODD_JOB = {
    "title": 5, "description": True, "files_needed": "two", "files_approved": "many", "price_per_file_cents": [10],
    "total_cost_cents": {"amount": 20}, "accepted_formats": "image/jpeg", "min_star_rating": 3.2,
    "max_workers": "unlimited", "deadline": "soon", "created_at": "", "updated_at": False, "completed_at": [],
    "location": "Paris", "buyer_rating": "good",
}  # fmt: skip
ODD_FILE = {
    "job_id": 5, "submission_id": [7], "content_type": 7, "size_bytes": "big", "duration_seconds": "long",
    "width": "wide", "height": 1.5, "content_hash": 5, "original_filename": {"name": "x"}, "captured_at": "today",
    "ai_star_rating": "five", "device_info": "phone", "worker_region": 44, "download_url_expires_at": "never",
    "annotations": [1], "created_at": "2026-11-28T24:00:00Z", "consent_id": 5, "license": {"id": "MIT"},
    "rated_by": ["person"], "flags": "stock", "simulated": "yes", "task_id": 7, "task_text": ["read"],
    "content_credentials": {"state": 5, "signer": ["x"], "digital_source_type": {}, "original_sha256": 7},
}  # fmt: skip


@pytest.mark.both
def test_values_of_other_types(shop: Shop) -> None:
    """A service whose optional fields are all of other types than documented: bought once, complete, and everything
    that reads the result works. The job keeps its values as received."""

    def odd(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if isinstance(body, bytes):
            return status, body
        if "/files?" in request.target:
            return status, {"data": [{**row, **ODD_FILE} for row in body["data"]], "has_more": "no"}
        if "data" in body:
            return status, {"data": [{**row, **ODD_JOB} for row in body["data"]]}
        return status, {**body, **ODD_JOB}

    shop.says = odd
    updates: list[Any] = []
    for _ in range(2):
        dataset = shop.collect(on_progress=updates.append)
        assert (len(dataset), dataset.verify().ok, len(shop.jobs)) == (2, True, 1)
    assert updates
    job = dataset.job
    assert (job.files_needed, job.accepted_formats, job.price_per_file_cents) == ("two", "image/jpeg", [10])
    assert {record.content_type for record in dataset} == {None}
    assert dataset.write_card().path.exists()
    client = shop.client()
    assert client.jobs.wait(job.id).files_approved == "many"
    file = client.files.list(job.id).data[0]
    assert (file.size_bytes, file.content_hash) == ("big", 5)
    assert client.files.download(file, shop.folder / "one").read_bytes()
    assert len([*client.jobs.follow(job.id)]) == 2
    assert job.id in str(html_of(job))
    assert file.id in str(html_of(file))

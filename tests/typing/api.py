"""What a type checker sees. Never run; `mypy` and `pyright`, both strict, read it.

A wrong type here fails `assert_type`. What must be refused is ignored by name: a checker that would accept it
calls the ignore unnecessary, and fails too.
"""


# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Unpack, assert_type

import httpx
import httpx2

import firsthandapi
from firsthandapi import (
    ApiResponse,
    AsyncFirstHandClient,
    AsyncPage,
    AsyncPageRequest,
    Campaign,
    CampaignJob,
    Dataset,
    FirstHandApiError,
    FirstHandClient,
    FirstHandConnectionError,
    FirstHandError,
    IncompleteJobError,
    InsufficientCreditsError,
    InvalidArgumentError,
    Page,
    Pending,
    RateLimit,
    RateLimitError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from firsthandapi.datasets import DatasetView, Decision, Splits
from firsthandapi.types import (
    ApiKey,
    DownloadUrl,
    File,
    Identity,
    Job,
    JobFields,
    PostOptions,
    RequestOptions,
    Signup,
)

# --- the client


def client_and_options() -> None:
    with FirstHandClient() as client:
        assert_type(client, FirstHandClient)
    FirstHandClient(http_client=httpx.Client()).close()
    FirstHandClient(http_client=httpx2.Client()).close()
    AsyncFirstHandClient(http_client=httpx.AsyncClient())
    AsyncFirstHandClient(http_client=httpx2.AsyncClient())
    FirstHandClient(http_client=httpx2.AsyncClient())  # type: ignore[arg-type] # of the other half
    AsyncFirstHandClient(http_client=httpx.Client())  # type: ignore[arg-type] # of the other half
    client = FirstHandClient("fh_test_x", "https://api.example", timeout=5, deadline=None, verify="ca.pem")
    assert_type(client.with_options(timeout=5, deadline=None), FirstHandClient)
    assert_type(client.rate_limit, RateLimit | None)
    assert_type(client.credits_remaining_cents, int | None)
    assert_type(client.me(), Identity)
    assert_type(FirstHandClient(journal=Path("orders.journal")).journal.pending(), tuple[Pending, ...])
    assert_type(client.request("GET", "/v1/new", params={"a": 1}), ApiResponse)
    assert_type(FirstHandClient.signup(name="Acme", email="a@acme.example"), Signup)
    assert_type(firsthandapi.idempotency_key("a", 1, None, {"b": [True]}), str)
    client.with_options(http_client=None)  # type: ignore[call-arg]
    FirstHandClient(timeout="5")  # type: ignore[arg-type]
    FirstHandClient(max_retries=None)  # type: ignore[arg-type]


class Mine(FirstHandClient):
    """A subclass of the user's."""


def subclass(client: Mine) -> None:
    assert_type(client.with_options(timeout=5), Mine)
    with client as entered:
        assert_type(entered, Mine)


# --- jobs


def jobs(client: FirstHandClient) -> None:
    job = client.jobs.create(
        description="Photos of street signs",
        files_needed=10,
        accepted_formats=["image/jpeg", "image/png"],
        price_per_file_cents=50,
    )
    assert_type(job, Job)
    assert_type(job.id, str)
    assert_type(job.title, str | None)
    assert_type(job.files_needed, int | None)
    assert_type(job.created_at, datetime | None)
    assert_type(job.metadata, dict[str, Any] | None)
    assert_type(job.is_terminal, bool)
    assert_type(job.response, ApiResponse)
    assert_type(job.response.request_id, str | None)
    assert_type(job.response.attempts, int)
    # Open on read: every value that the contract knows, and any other.
    status: str = job.status
    if job.status == "completed" or job.status == "not_known_yet" or status:
        return


def closed_arguments(client: FirstHandClient) -> None:
    client.jobs.create(
        description="x" * 20,
        files_needed=1,
        accepted_formats=["jpg"],  # type: ignore[list-item]
        price_per_file_cents=10,
    )
    client.jobs.create(  # type: ignore[call-arg]
        description="x" * 20, files_needed=1, accepted_formats=["image/png"]
    )
    client.jobs.create("x" * 20)  # type: ignore[call-arg]
    client.jobs.list(status="done")  # type: ignore[arg-type]
    client.jobs.list(type="photos")  # type: ignore[arg-type]
    client.jobs.get("job_1", wait="5")  # type: ignore[arg-type]
    client.billing.purchase(1234)  # type: ignore[arg-type]
    client.billing.transactions(type="gift")  # type: ignore[arg-type]
    client.api_keys.create(name="x", scopes=["all"])  # type: ignore[list-item]
    client.api_keys.create(name="x", environment="dev")  # type: ignore[arg-type]
    client.webhooks.create(url="x", events=["job.done"])  # type: ignore[list-item]
    client.submissions.list(status="done")  # type: ignore[arg-type]
    client.organization.update_settings(default_type="x")  # type: ignore[arg-type]


def fields_by_two_stars(client: FirstHandClient, unknown: dict[str, Any]) -> None:
    assert_type(client.jobs.create(**unknown), Job)
    assert_type(client.jobs.create_and_wait(**unknown), Job)
    assert_type(client.jobs.create_and_wait(timeout=None, **unknown), Job)


def shared_fields(client: FirstHandClient) -> None:
    fields: JobFields = {
        "description": "Photos of street signs",
        "files_needed": 10,
        "accepted_formats": ("image/jpeg", "image/png"),
        "price_per_file_cents": 50,
        "max_spend_cents": 500,
    }
    assert_type(client.jobs.create(**fields), Job)
    assert_type(client.jobs.create(**fields, timeout=5, idempotency_key="one"), Job)
    assert_type(client.jobs.create_and_wait(**fields, timeout=None, extra_body={"new": 1}), Job)
    assert_type(client.jobs.collect("signs/", **fields, concurrency=8, idempotency_key="one"), Dataset)
    client.jobs.collect("signs/", **fields, descripton="x")  # type: ignore[call-arg]
    client.jobs.collect("signs/", **fields, concurrency="8")  # type: ignore[arg-type]
    client.jobs.collect("signs/", description="x")  # type: ignore[call-arg]
    wrong: JobFields = {"description": "x", "files": 10}  # type: ignore[typeddict-item, typeddict-unknown-key]
    assert_type(wrong["description"], str)


def campaigns(client: FirstHandClient) -> None:
    fields: CampaignJob = {"accepted_formats": ["image/jpeg"], "price_per_file_cents": 50}
    campaign = Campaign(
        dest="signs",
        budget_cents=500,
        defaults=fields,
        jobs={"stop": {"description": "Photos of stop signs", "files_needed": 3}, "yield": {}},
        moved={"halt": "stop"},
    )
    assert_type(client.campaigns.run(campaign), Dataset)
    assert_type(campaign == Campaign.load("signs.yaml"), bool)
    Campaign(dest="signs", budget_cents=5, jobs={"stop": {"file_needed": 3}})  # type: ignore[typeddict-unknown-key]
    Campaign(dest="signs", budget_cents=5, jobs={"stop": {"files_needed": "3"}})  # type: ignore[typeddict-item]
    Campaign(dest="signs", budget_cents=5, jobs={}, defaults={"price": 3})  # type: ignore[arg-type]
    campaign.budget_cents = 5  # type: ignore[misc]


def options(client: FirstHandClient, job_id: str, **options: Unpack[RequestOptions]) -> Job:
    client.jobs.get(job_id, timeout="5")  # type: ignore[arg-type]
    client.jobs.get(job_id, idempotency_key="one")  # type: ignore[call-arg]
    client.jobs.wait(job_id, extra_headers={"X-A": 1})  # type: ignore[dict-item]
    client.webhooks.update(job_id, extra_body={"a": 1}, idempotency_key="one")  # type: ignore[call-arg]
    return client.jobs.get(job_id, **options)


def cancel(client: FirstHandClient, job_id: str, **options: Unpack[PostOptions]) -> Job:
    return client.jobs.cancel(job_id, **options)


def waiting(client: FirstHandClient) -> None:
    def tell(job: Job) -> None:
        assert_type(job.files_approved, int | None)

    assert_type(client.jobs.wait("job_1", timeout=None, on_update=tell), Job)
    assert_type(client.jobs.wait("job_1", on_update=lambda job: job.status), Job)
    assert_type(
        client.jobs.wait_all(["job_1", client.jobs.get("job_2")], timeout=None, on_update=tell), list[Job]
    )
    assert_type(
        client.jobs.create_and_wait(
            description="x" * 20,
            files_needed=1,
            accepted_formats=["image/png"],
            price_per_file_cents=10,
            timeout=5,
            on_update=tell,
        ),
        Job,
    )
    client.jobs.create_and_wait(description="x")  # type: ignore[call-arg]


# --- lists


def lists(client: FirstHandClient) -> None:
    page = client.jobs.list(status="open", limit=10)
    assert_type(page, Page[Job])
    assert_type(page.data, list[Job])
    assert_type(page.has_more, bool)
    assert_type(page.next_cursor, str | None)
    assert_type(page.next_page(), Page[Job] | None)
    for job in page:
        assert_type(job, Job)
    for next_page in page.pages():
        assert_type(next_page, Page[Job])
    assert_type(client.files.list("job_1"), Page[File])


def everything_else(client: FirstHandClient, file: File) -> None:
    assert_type(client.jobs.follow("job_1"), Iterator[File])
    assert_type(client.jobs.get("job_1", wait=60), Job)
    assert_type(client.files.refresh_url("file_1"), DownloadUrl)
    for file in client.files.list(client.jobs.get("job_1")):
        assert_type(client.files.refresh_url(file), DownloadUrl)
        client.jobs.get(file)  # type: ignore[arg-type]
    assert_type(client.files.download(file, "here"), Path)
    assert_type(client.files.download(file, Path("here")), Path)
    dataset = client.files.download_all("job_1", "here")
    assert_type(dataset, Dataset)
    dataset.exclude(dataset.records, reason="dark")
    dataset.relabel(["file_1", dataset.records[0]], "stop", by="ana")
    assert_type(dataset.decisions, tuple[Decision, ...])
    assert_type(dataset.split(), Splits)
    assert_type(dataset.split()["train"].filter(lambda record: record.label == "stop"), DatasetView)
    assert_type(dataset.select(labels=["stop"]).copy_to("stops"), Dataset)
    assert_type(dataset.publish("hf://lab/signs", splits=dataset.split(), tag="v1").files, int)
    assert_type(client.files.list(submission_id="sub_1"), Page[File])
    assert_type(client.api_keys.create(name="x", scopes=("jobs:read",)), ApiKey)
    client.api_keys.revoke(
        "key_1", timeout=5, extra_headers={"X-A": "b"}, extra_query={"a": 1}, extra_body={}
    )


# --- async


async def async_client() -> None:
    async with AsyncFirstHandClient() as client:
        assert_type(client, AsyncFirstHandClient)
        assert_type(await client.me(), Identity)
        assert_type(await client.jobs.get("job_1"), Job)
        assert_type(await AsyncFirstHandClient.signup(name="Acme", email="a@acme.example"), Signup)
        assert_type(client.rate_limit, RateLimit | None)
        request = client.jobs.list()
        assert_type(request, AsyncPageRequest[Job])
        page = await request
        assert_type(page, AsyncPage[Job])
        assert_type(page.data, list[Job])
        assert_type(await page.next_page(), AsyncPage[Job] | None)
        async for job in client.jobs.list():
            assert_type(job, Job)
        async for job in page:
            assert_type(job, Job)
        async for next_page in client.jobs.list().pages():
            assert_type(next_page, AsyncPage[Job])
        async for next_page in page.pages():
            assert_type(next_page, AsyncPage[Job])
        items: AsyncIterator[Job] = client.jobs.list().__aiter__()
        assert_type(await items.__anext__(), Job)
        for _ in client.jobs.list():  # type: ignore[attr-defined]
            pass


async def async_callbacks(client: AsyncFirstHandClient) -> None:
    def tell(job: Job) -> None:
        assert_type(job, Job)

    async def tell_later(job: Job) -> None:
        assert_type(job, Job)

    assert_type(await client.jobs.wait("job_1", on_update=tell), Job)
    assert_type(await client.jobs.wait("job_1", on_update=tell_later), Job)
    assert_type(await client.jobs.wait_all(("job_1",), on_update=tell_later), list[Job])
    await client.jobs.wait("job_1", on_update=5)  # type: ignore[arg-type]


# --- errors


def errors(client: FirstHandClient) -> None:
    try:
        client.me()
    except InsufficientCreditsError as error:
        assert_type(error.shortfall_cents, int | None)
        assert_type(error.purchase_url, str | None)
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.rate_limit, RateLimit | None)
    except FirstHandApiError as error:
        assert_type(error.status, int)
        assert_type(error.type, str)
        assert_type(error.request_id, str | None)
        assert_type(error.details, list[dict[str, Any]])
        assert_type(error.response, ApiResponse | None)
        assert_type(error.attempts, int)
        assert_type(error.retryable, bool)
    except FirstHandConnectionError as error:
        assert_type(error.attempts, int)
    except WaitTimeoutError as error:
        assert_type(error.job, Job | None)
    except IncompleteJobError as error:
        assert_type(error.job, Job)
    except InvalidArgumentError as error:
        assert_type(error.field, str)
    except UnexpectedResponseError as error:
        assert_type(error.fields, tuple[str, ...])
    except FirstHandError as error:
        assert_type(error.message, str)

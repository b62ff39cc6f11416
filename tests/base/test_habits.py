"""What people write first who come from 0.1.0 or from another SDK works, or fails with a message that names ours."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

import firsthandapi
from firsthandapi import (
    AsyncFirstHandClient,
    AsyncPageRequest,
    Dataset,
    FirstHandClient,
    NotFoundError,
    resources,
)
from firsthandapi._base.habits import habits
from firsthandapi.testing import MockServer

# Read off the published package.
METHODS = """
create_job get_job list_jobs get_job_audit cancel_job get_job_files get_job_submissions create_job_and_wait
create_api_key list_api_keys rotate_api_key revoke_api_key create_webhook_endpoint list_webhook_endpoints
get_webhook_endpoint update_webhook_endpoint delete_webhook_endpoint rotate_webhook_secret
list_webhook_events replay_webhook_event get_credit_balance list_transactions purchase_credits get_settings
update_settings
"""
NAMES = [
    ("firsthandapi", "verify_webhook_signature"),
    ("firsthandapi.webhooks", "verify_webhook_signature"),
    ("firsthandapi", "generate_idempotency_key"),
    ("firsthandapi.client", "generate_idempotency_key"),
    ("firsthandapi", "FirstHandRateLimitError"),
    ("firsthandapi.errors", "FirstHandRateLimitError"),
    ("firsthandapi.client", "FirstHandRateLimitError"),
]


def test_the_tables_have_every_name() -> None:
    """Nothing that 0.1.0 had is forgotten, and nothing it had not is claimed."""
    assert sorted(habits()["methods of 0.1.0"]) == sorted(METHODS.split())
    assert set(habits()["names of 0.1.0"]) == {name for _, name in NAMES}


def successor(message: str, root: str) -> str:
    match = re.search(rf"use {root}\.([\w.]+)", message)
    assert match, message
    return match[1]


def resolve(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("kind", [FirstHandClient, AsyncFirstHandClient])
@pytest.mark.parametrize("name", METHODS.split())
def test_methods(name: str, kind: Any) -> None:
    """A method of 0.1.0 fails by name, and the successor it names is a method that there is."""
    client = kind("fh_test_x")
    client._shared.closed = True  # nothing was opened
    with pytest.raises(AttributeError, match=f"{kind.__name__}.{name} was removed") as caught:
        getattr(client, name)
    assert callable(resolve(client, successor(str(caught.value), "client")))
    assert not hasattr(client, name)


def test_other_attributes() -> None:
    """A name that never was fails as it does everywhere."""
    client = FirstHandClient("fh_test_x")
    client.close()
    with pytest.raises(AttributeError, match=r"^'FirstHandClient' object has no attribute 'nothing'$"):
        _ = client.nothing


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_names(module: str, name: str) -> None:
    """A module's name of 0.1.0 fails, imported or asked for, with the successor in the message."""
    for code in (f"from {module} import {name}", f"import {module}; {module}.{name}"):
        with pytest.raises(ImportError, match=f"{name} was removed") as caught:
            exec(code)
        assert resolve(firsthandapi, successor(str(caught.value), "firsthandapi")) is not None


@pytest.mark.parametrize(
    "module", ["firsthandapi", "firsthandapi.client", "firsthandapi.errors", "firsthandapi.webhooks"]
)
def test_other_names(module: str) -> None:
    """A name that never was is an AttributeError, as `hasattr` expects."""
    assert not hasattr(importlib.import_module(module), "nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from {module} import nothing")


def test_a_guess_is_no_member_of_a_module() -> None:
    """`hasattr` says so, and the attribute's error leads on. `from … import` asks as `hasattr` does, and drops the
    error for its own."""
    assert not hasattr(firsthandapi, "Job")
    with pytest.raises(AttributeError, match=r"use firsthandapi\.types\.Job"):
        _ = firsthandapi.Job
    with pytest.raises(ImportError, match="cannot import name 'Job'"):
        exec("from firsthandapi import FirstHandClient, Job as Order")


def test_the_clients_are_where_0_1_0_had_them() -> None:
    """`from firsthandapi.client import FirstHandClient` still works."""
    module = importlib.import_module("firsthandapi.client")
    assert module.FirstHandClient is FirstHandClient
    assert module.AsyncFirstHandClient is AsyncFirstHandClient


HABITS = [
    # from openai and stripe
    ("firsthandapi.Client()", "firsthandapi.FirstHandClient"),
    ("firsthandapi.AsyncClient()", "firsthandapi.AsyncFirstHandClient"),
    ("firsthandapi.FirstHand()", "firsthandapi.FirstHandClient"),
    ("firsthandapi.AsyncFirstHand()", "firsthandapi.AsyncFirstHandClient"),
    ("firsthandapi.FirstHandAPI()", "firsthandapi.FirstHandClient"),
    ("firsthandapi.api_key", "FIRSTHAND_API_KEY"),
    ("firsthandapi.APIError", "FirstHandApiError"),
    ("firsthandapi.APIStatusError", "FirstHandApiError"),
    ("firsthandapi.APIConnectionError", "FirstHandConnectionError"),
    ("firsthandapi.APITimeoutError", "FirstHandTimeoutError"),
    ("firsthandapi.BadRequestError", "InvalidRequestError"),
    ("firsthandapi.InternalServerError", "ServerError"),
    ("firsthandapi.OpenAIError", "FirstHandError"),
    ("firsthandapi.errors.StripeError", "FirstHandError"),
    ("firsthandapi.error.RateLimitError", "firsthandapi.errors"),
    ("firsthandapi.Webhook.construct_event(b'', '', '')", "webhooks.unwrap"),
    ("firsthandapi.webhooks.construct_event(b'', '', '')", "webhooks.unwrap"),
    ("firsthandapi.webhooks.Webhook('secret')", "webhooks.unwrap"),
    ("firsthandapi.webhooks.verify(b'', '')", "verify_signature"),
    ("client.post('/v1/jobs')", "client.request"),
    ("job.request_id", ".response.request_id"),
    ("client.jobs.download(job.id)", "files.download_all"),
    ("job.download('x')", "files.download_all"),
    ("firsthandapi.SignatureVerificationError", "WebhookSignatureError"),
    ("firsthandapi.Job.create()", "client.jobs"),
    ("firsthandapi.File", "firsthandapi.types.File"),
    ("firsthandapi.NotGiven", None),
    ("firsthandapi.Record", None),
    ("firsthandapi.Callback", None),
    ("client.webhooks.construct_event(b'', '', '')", "webhooks.unwrap"),
    ("client.webhooks.unwrap(b'', {})", "webhooks.unwrap"),
    ("client.with_raw_response", ".response"),
    ("client.copy()", "with_options"),
    ("client.get('/v1/me')", "client.request"),
    ("client.balance()", "billing.credits"),
    ("client.billing.balance()", "it has credits"),
    ("client.api_keys.delete('key_1')", "revoke"),
    ("client.organization.retrieve()", "settings"),
    ("client.account", "client.me"),
    ("client.events", "client.webhooks.events"),
    ("client.orders.create()", "client.jobs"),
    ("client.collect('x')", "client.jobs.collect"),
    ("client.jobs.retrieve(job.id)", "get"),
    ("client.jobs.create_and_poll(**fields)", "create_and_wait"),
    ("client.jobs.launch()", "it has cancel, collect, create"),
    ("client.jobs.files(job.id)", "files.list"),
    ("client.jobs.auto_paging_iter()", "list"),
    ("client.jobs.create(fields)", "**body"),
    ("client.jobs.create('Photos of cats')", "description="),
    ("client.jobs.collect(fields)", "**body"),
    ("client.jobs.get(job.id, 'x')", "by name, such as wait="),
    ("client.jobs.get(job.id, max_wait=3)", "wait"),
    ("client.jobs.create(**fields, max_spend=5)", "max_spend_cents"),
    ("client.jobs.create(**{**fields, 'accepted_formats': 'image/jpeg'})", "list"),
    ("client.files.content(file.id)", "it has download"),
    ("client.files.retrieve(file.id)", "list"),
    ("client.files.download(file.id, 'x')", "files.list"),
    ("client.files.upload('x')", "workers submit"),
    ("client.datasets", "Dataset.open"),
    ("client.webhook_endpoints.list()", "client.webhooks"),
    ("client.jobs.update(job.id, title='x')", "cancel"),
    ("client.jobs.list(starting_after=job.id)", "did you mean cursor"),
    ("client.jobs.list(page_size=5)", "did you mean limit"),
    ("client.jobs.create(**fields, n=3)", "did you mean files_needed"),
    ("firsthandapi.FirstHandClient(token='x')", "did you mean api_key"),
    ("firsthandapi.FirstHandClient(url='http://127.0.0.1')", "did you mean base_url"),
    ("client.jobs.collect('x', **fields, budget_cents=3000)", "did you mean max_spend_cents"),
    ("client.jobs.create(**{**fields, 'location': 'Austin'})", "{'city': 'Austin'"),
    ("firsthandapi.exceptions", "firsthandapi.errors"),
    ("firsthandapi.create_job(**fields)", "FirstHandClient"),
    ("error.status_code", "error.status"),
    ("error.http_status", "error.status"),
    ("error.code", "error.type"),
    ("error.body", "error.details"),
    ("error.json_body", "error.details"),
    ("error.headers", "response.headers"),
    ("error.user_message", "error.message"),
    ("error.param", "error.field"),
    ("error.request_id", None),
    ("page.auto_paging_iter()", "for item in page"),
    ("page.has_next_page()", "has_more"),
    ("page.get_next_page()", "next_page"),
    ("page.items", "page.data"),
    ("page.total", "no total"),
    ("page[0]", ".data[0]"),
    ("len(page)", "len(page.data)"),
    ("apage.data", "await"),
    ("apage.next_page()", "await page.next_page()"),
    ("apage[0]", ".data[0]"),
    ("'data' in apage", ".data"),
    # from 0.1.0, whose results were dicts
    ("firsthandapi.generate_idempotency_key()", "constant, not random"),
    ("page['data']", ".data"),
    ("'data' in page", ".data"),
    ("job['id']", "use .id"),
    ("job[0]", "attributes"),
    ("'id' in job", "use .id"),
    ("job.get('status')", ".status"),
    ("job.keys()", "model_dump"),
    ("job.items()", "model_dump"),
    # from an ORM
    ("job.to_dict()", "model_dump"),
    ("job.to_json()", "model_dump_json"),
    ("job.refresh()", "client.jobs.wait"),
    ("job.cancel()", "client.jobs.cancel"),
    ("job.files", "client.files.list"),
    ("submission.files", "client.files.list(submission_id=submission.id)"),
    ("file.content", "files.download"),
    ("file.worker_id", "submissions.get"),
    ("client.jobs.get(job)", None),
    ("client.files.list(job)", None),
    ("client.submissions.list(job)", None),
    ("client.audit_events.list(job_id=job)", None),
    ("client.submissions.summary(job_id=job)", None),
    ("client.files.refresh_url(file)", None),
    ("file.filename", "original_filename"),
    ("file.url", "download_url"),
    ("file.path", "files.download"),
    ("client.billing.credits().balance", "balance_cents"),
    # from huggingface
    ("firsthandapi.load_dataset('x')", "Dataset.open"),
    ("Dataset.load('x')", "Dataset.open"),
    ("Dataset.load_from_disk('x')", "Dataset.open"),
    ("Dataset.from_pretrained('x')", "Dataset.open"),
    ("dataset.take(1)", "to_huggingface"),
    ("dataset.unique('label')", "to_huggingface"),
    ("dataset[0]", None),
    ("dataset[-1:]", None),
    ("dataset['image']", "record.image"),
    ("dataset.map(len)", "to_huggingface"),
    ("dataset.train_test_split(test_size=0.2)", "dataset.split"),
    ("dataset.push_to_hub('x')", 'publish("hf://owner/name")'),
    ("dataset.save_to_disk('x')", "copy_to"),
    ("dataset.to_df()", "to_pandas"),
    ("dataset.to_csv('x')", "to_pandas"),
    ("dataset.num_rows", "len(dataset)"),
    ("dataset.features", "to_huggingface"),
    ("dataset.files", "path_of"),
    ("dataset.filter(bool).map(len)", "to_huggingface"),
    ("dataset[0].path", "path_of"),
    ("dataset[0]['file_id']", ".file_id"),
    ("dataset[0].get('label')", "label"),
    ("dataset[0].to_dict()", "asdict"),
    ("dataset[0].image", "PIL.Image.open"),
]


async def nothing(_cursor: str | None) -> Any:
    """No request is sent."""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a first line may use."""
    fields: Any = {
        "description": "Photos of cats in daylight",
        "files_needed": 1,
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": 50,
    }
    with MockServer(speed=600) as server, server.client() as client:
        dataset = client.jobs.collect(tmp_path_factory.mktemp("habits") / "cats", **fields)
        assert dataset.job is not None
        with pytest.raises(NotFoundError) as caught:
            client.jobs.get("job_01JPZX5VT4N8QW2E7K3M9RYB6C")
        unsent: Any = AsyncPageRequest(nothing, None)
        yield {
            "client": client,
            "fields": fields,
            "dataset": dataset,
            "Dataset": Dataset,
            "firsthandapi": firsthandapi,
            "job": client.jobs.get(dataset.job),
            "file": client.files.list(dataset.job).data[0],
            "submission": client.submissions.list(dataset.job).data[0],
            "page": client.jobs.list(),
            "apage": unsent,
            "error": caught.value,
        }


@pytest.mark.parametrize(("line", "leads"), HABITS)
def test_a_habit_works_or_leads_on(line: str, leads: str | None, names: dict[str, Any]) -> None:
    """Whatever somebody writes first who knows another SDK: it works (None), or the error names what does here."""
    if leads is None:
        assert eval(line, names) is not None
        return
    with pytest.raises((AttributeError, ImportError, TypeError, ValueError)) as caught:
        eval(line, names)
    assert leads in str(caught.value)


def test_what_leads_on_is_no_member(names: dict[str, Any]) -> None:
    """A habit is neither offered by an editor nor found by `hasattr`, and a page is as true, as listable, and as
    searchable as ever."""
    page, job = names["page"], names["job"]
    assert not any(hasattr(names[name], "to_dict") for name in ("job", "page", "dataset", "file", "error"))
    assert "retrieve" not in dir(names["client"].jobs)
    assert page
    assert list(page) == [job]
    assert job in page
    with pytest.raises(AttributeError, match=r"^'Job' object has no attribute 'nothing'$"):
        _ = job.nothing


def test_each_resource_has_a_public_name(names: dict[str, Any]) -> None:
    """Whoever annotates a function that takes `client.jobs` imports its class."""
    client = names["client"]
    names_of = "jobs files campaigns submissions billing webhooks api_keys organization"
    for name in names_of.split():
        assert type(getattr(client, name)).__name__ in resources.__all__
    assert {*resources.__all__} <= {*dir(resources)}
    assert resources.AsyncJobs is not resources.Jobs


def test_an_attempt_of_a_delivery_has_its_old_name_too() -> None:
    """`firsthandapi.testing.Attempt` works, with a DeprecationWarning that names DeliveryAttempt."""
    with pytest.warns(DeprecationWarning, match="is now DeliveryAttempt"):
        assert firsthandapi.testing.Attempt is firsthandapi.testing.DeliveryAttempt

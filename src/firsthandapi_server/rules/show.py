"""The objects of the contract, as JSON."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Literal, get_args, get_origin

from firsthandapi_server.contract import answers
from firsthandapi_server.contract.answers import Answer
from firsthandapi_server.contract.text import iso
from firsthandapi_server.state.ledger import Book, Transaction
from firsthandapi_server.state.model import (
    WEBHOOK_EVENTS,
    Account,
    AuditEvent,
    Endpoint,
    Event,
    File,
    Job,
    Key,
    Submission,
)


def _shown(kind: type[Answer], item: object, **overrides: Any) -> dict[str, Any]:
    """An answer: each field that it must have as given, or as the attribute of its name; what is given beside comes
    last."""
    answer: dict[str, Any] = {}
    for name, always in _fields(kind):
        value = overrides.pop(name) if name in overrides else always or getattr(item, name)
        answer[name] = iso(value) if name.endswith("_at") and value is not None else value
    return {**answer, **overrides}


@cache
def _fields(kind: type[Answer]) -> list[tuple[str, Any]]:
    """The names of the fields that an answer must have, and the value of those that have only one."""
    words = {
        name: get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        for name, field in kind.model_fields.items()
        if field.is_required()
    }
    return [(name, values[0] if len(values) == 1 else None) for name, values in words.items()]


def job(job: Job) -> dict[str, Any]:
    deadline = None if job.deadline is None else iso(job.deadline)
    return _shown(
        answers.Job,
        job,
        **{**job.fields, "deadline": deadline},
        total_cost_cents=job.files_needed * job.price,
    )


def file(file: File, url: str, url_expires_at: float) -> dict[str, Any]:
    facts, details, annotations = file.facts(), file.source.details(), file.shown_annotations()
    return _shown(
        answers.File,
        file,
        job_id=file.submission.job.id,
        submission_id=file.submission.id,
        size_bytes=facts.size,
        duration_seconds=facts.duration,
        width=facts.width,
        height=facts.height,
        content_hash=facts.sha256,
        captured_at=details.captured_at,
        ai_star_rating=file.rating,
        device_info=details.device_info,
        worker_region=details.worker_region,
        download_url=url,
        download_url_expires_at=url_expires_at,
        annotations=annotations,
        keyframes=(annotations or {}).get("keyframes"),
        rated_by=file.submission.rated_by,
        flags=[*file.submission.flags],
        **details.more,
    )


def _of_submission(submission: Submission) -> dict[str, Any]:
    return {
        "job_id": submission.job.id,
        "ai_star_rating": submission.rating,
        "ai_reasoning": submission.reasoning,
        "content_type": submission.files[0].content_type,
        "file_ids": [file.id for file in submission.files],
    }


def submission(submission: Submission, url: str | None) -> dict[str, Any]:
    """A Submission; `url` is the download URL of its first approved file."""
    location, more = submission.location, submission.files[0].source.details().more
    return _shown(
        answers.Submission,
        submission,
        **_of_submission(submission),
        attempt=submission.attempt,
        dimensions=None if submission.scored_at is None else submission.dimensions,
        file_url=url,
        size_bytes=submission.files[0].facts().size,
        submission_latitude=location and location.latitude,
        submission_longitude=location and location.longitude,
        location_verified=location and location.verified,
        rated_by=submission.rated_by,
        flags=[*submission.flags],
        **{name: more[name] for name in ("task_id", "task_text") if name in more},
    )


def submission_event(submission: Submission) -> dict[str, Any]:
    """The data of a submission's webhook event, with its id under both names."""
    fields = _of_submission(submission)
    return _shown(answers.SubmissionEventData, submission, **fields, submission_id=submission.id)


def credits(book: Book) -> dict[str, Any]:
    return _shown(
        answers.CreditBalance,
        book,
        balance_cents=book.available,
        available_cents=book.available,
        held_cents=book.held,
        total_cents=book.available + book.held,
    )


def transaction(transaction: Transaction) -> dict[str, Any]:
    return _shown(answers.CreditTransaction, transaction)


def endpoint(endpoint: Endpoint, *, secret: bool = False) -> dict[str, Any]:
    """A WebhookEndpoint, with its secret where the contract says so."""
    kind = answers.NewWebhookEndpoint if secret else answers.WebhookEndpoint
    return _shown(kind, endpoint, events=list(WEBHOOK_EVENTS if endpoint.events is None else endpoint.events))


def event(event: Event) -> dict[str, Any]:
    """A webhook event: its envelope and the state of its deliveries."""
    deliveries = [
        _shown(
            answers.WebhookDelivery,
            delivery,
            webhook_endpoint_id=delivery.endpoint.id,
            attempts=len(delivery.attempts),
        )
        for delivery in event.deliveries
    ]
    return {**json.loads(event.body), "deliveries": deliveries}


def key(key: Key) -> dict[str, Any]:
    """An ApiKey, without its secret."""
    return _shown(
        answers.ApiKey,
        key,
        scopes=list(key.scopes),
        environment=key.account.environment,
        masked_key=key.masked,
    )


def settings(account: Account) -> dict[str, Any]:
    return _shown(answers.OrganizationSettings, account, id=account.organization.id, **account.settings)


def audit_event(event: AuditEvent) -> dict[str, Any]:
    return _shown(answers.AuditEvent, event)


def identity(key: Key) -> dict[str, Any]:
    """Who a key belongs to."""
    organization = key.account.organization
    return _shown(
        answers.Identity,
        key,
        organization_id=organization.id,
        environment=key.account.environment,
        scopes=list(key.scopes),
        id=organization.id,
        organization_name=organization.name,
        api_key_id=key.id,
    )

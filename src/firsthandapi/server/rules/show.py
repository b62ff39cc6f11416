"""The objects of the contract, as JSON."""

from __future__ import annotations

import json
from typing import Any

from firsthandapi.server.contract.text import iso, iso_or_none
from firsthandapi.server.state.ledger import Book, Transaction
from firsthandapi.server.state.model import (
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


def job(job: Job) -> dict[str, Any]:
    """A Job."""
    return {
        "object": "job",
        "id": job.id,
        "status": job.status,
        **job.fields,
        "deadline": iso_or_none(job.deadline),
        "files_approved": job.files_approved,
        "total_cost_cents": job.files_needed * job.price,
        "buyer_rating": job.buyer_rating,
        "buyer_feedback": job.buyer_feedback,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
        "completed_at": iso_or_none(job.completed_at),
        "cancelled_at": iso_or_none(job.cancelled_at),
    }


def file(file: File, url: str, url_expires_at: float) -> dict[str, Any]:
    """An approved File."""
    facts = file.facts()
    submission = file.submission
    details = file.source.details()
    annotations = file.shown_annotations()
    return {
        "object": "file",
        "id": file.id,
        "job_id": submission.job.id,
        "submission_id": submission.id,
        "content_type": file.content_type,
        "size_bytes": facts.size,
        "duration_seconds": facts.duration,
        "width": facts.width,
        "height": facts.height,
        "content_hash": facts.sha256,
        "original_filename": file.original_filename,
        "captured_at": iso(details.captured_at),
        "ai_star_rating": file.rating,
        "device_info": details.device_info,
        "worker_region": details.worker_region,
        "download_url": url,
        "download_url_expires_at": iso(url_expires_at),
        "annotations": annotations,
        "keyframes": (annotations or {}).get("keyframes"),
        "created_at": iso(file.created_at),
    }


def submission(submission: Submission, url: str | None) -> dict[str, Any]:
    """A Submission; `url` is the download URL of its first approved file."""
    first = submission.files[0]
    location = submission.location
    return {
        "object": "submission",
        "id": submission.id,
        "job_id": submission.job.id,
        "worker_id": submission.worker_id,
        "status": submission.status,
        "attempt": submission.attempt,
        "ai_star_rating": submission.rating,
        "ai_reasoning": submission.reasoning,
        "dimensions": submission.dimensions,
        "file_url": url,
        "file_ids": [file.id for file in submission.files],
        "content_type": first.content_type,
        "size_bytes": first.facts().size,
        "submitted_at": iso(submission.submitted_at),
        "scored_at": iso_or_none(submission.scored_at),
        "submission_latitude": location and location.latitude,
        "submission_longitude": location and location.longitude,
        "location_verified": location and location.verified,
    }


def submission_event(submission: Submission) -> dict[str, Any]:
    """The data of a submission's webhook event, with its id under both names."""
    return {
        "object": "submission",
        "id": submission.id,
        "submission_id": submission.id,
        "job_id": submission.job.id,
        "worker_id": submission.worker_id,
        "status": submission.status,
        "ai_star_rating": submission.rating,
        "ai_reasoning": submission.reasoning,
        "dimensions": submission.dimensions,
        "content_type": submission.files[0].content_type,
        "file_ids": [file.id for file in submission.files],
        "submitted_at": iso(submission.submitted_at),
        "scored_at": iso_or_none(submission.scored_at),
    }


def credits(book: Book) -> dict[str, Any]:
    """A CreditBalance."""
    return {
        "object": "credit_balance",
        "balance_cents": book.available,
        "available_cents": book.available,
        "held_cents": book.held,
        "total_cents": book.available + book.held,
        "currency": "usd",
        "updated_at": iso(book.updated_at),
    }


def transaction(transaction: Transaction) -> dict[str, Any]:
    """A CreditTransaction."""
    return {
        "object": "credit_transaction",
        "id": transaction.id,
        "type": transaction.type,
        "amount_cents": transaction.amount_cents,
        "description": transaction.description,
        "expires_at": iso_or_none(transaction.expires_at),
        "created_at": iso(transaction.created_at),
    }


def endpoint(endpoint: Endpoint, *, secret: bool = False) -> dict[str, Any]:
    """A WebhookEndpoint, with its secret where the contract says so."""
    shown = {
        "object": "webhook_endpoint",
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(WEBHOOK_EVENTS if endpoint.events is None else endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "created_at": iso(endpoint.created_at),
    }
    return {**shown, "secret": endpoint.secret} if secret else shown


def event(event: Event) -> dict[str, Any]:
    """A webhook event: its envelope and the state of its deliveries."""
    deliveries = [
        {
            "webhook_endpoint_id": delivery.endpoint.id,
            "status": delivery.status,
            "attempts": len(delivery.attempts),
        }
        for delivery in event.deliveries
    ]
    return {**json.loads(event.body), "deliveries": deliveries}


def key(key: Key) -> dict[str, Any]:
    """An ApiKey, without its secret."""
    return {
        "object": "api_key",
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "environment": key.account.environment,
        "masked_key": key.masked,
        "created_at": iso(key.created_at),
        "last_used_at": iso_or_none(key.last_used_at),
        "expires_at": iso_or_none(key.expires_at),
        "revoked_at": iso_or_none(key.revoked_at),
    }


def settings(account: Account) -> dict[str, Any]:
    """The OrganizationSettings."""
    return {"object": "organization_settings", "id": account.organization.id, **account.settings}


def audit_event(event: AuditEvent) -> dict[str, Any]:
    """An AuditEvent."""
    return {
        "object": "audit_event",
        "id": event.id,
        "event_type": event.event_type,
        "job_id": event.job_id,
        "actor": event.actor,
        "data": event.data,
        "created_at": iso(event.created_at),
    }


def identity(key: Key) -> dict[str, Any]:
    """Who a key belongs to."""
    organization = key.account.organization
    return {
        "object": "identity",
        "id": organization.id,
        "organization_id": organization.id,
        "organization_name": organization.name,
        "environment": key.account.environment,
        "api_key_id": key.id,
        "scopes": list(key.scopes),
    }

"""The facts of an event in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import dollars, fitting, joined, of_needed, stars

if TYPE_CHECKING:
    from firsthandapi.types import WebhookEvent


def event_facts(event: WebhookEvent) -> str:
    """List the ids, statuses, and amounts of an event."""
    from firsthandapi.types import CreditsEvent, JobEvent, SubmissionEvent

    facts: tuple[str | None, ...] = ()
    if isinstance(event, SubmissionEvent):
        entry = fitting(event.data)
        facts = (entry.job_id, entry.submission_id, entry.content_type, stars(entry.ai_star_rating))
    elif isinstance(event, JobEvent):
        job = fitting(event.data)
        facts = (job.job_id, job.status, of_needed(job))
    elif isinstance(event, CreditsEvent):
        moved = fitting(event.data)
        balance = dollars(moved.balance_cents)
        facts = (dollars(moved.amount_cents), balance and f"balance {balance}")
    return joined(*facts)

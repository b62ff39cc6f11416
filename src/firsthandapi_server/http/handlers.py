"""The handlers of the endpoints: each takes a checked call and returns JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from firsthandapi_server.contract import bodies
from firsthandapi_server.contract.errors import ApiError, invalid, not_found
from firsthandapi_server.contract.text import iso, new_secret, parse_iso
from firsthandapi_server.rules import show
from firsthandapi_server.rules.accounts import NewKey
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.keeping import Condition, Growing, Index
from firsthandapi_server.state.model import (
    SCOPES,
    SUBMISSION_STATUSES,
    Account,
    Endpoint,
    Event,
    File,
    Job,
    Key,
    Submission,
)
from firsthandapi_server.state.state import StatusTally

from . import reach
from .pagination import Search, page
from .signing import Signer

_MONTH = 30 * 86400
_PAGE = bodies.PageQuery.model_fields

Json = dict[str, Any]
Listed = TypeVar("Listed", Key, Endpoint)
Owned = TypeVar("Owned", Job, File, Submission, Event)


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request, for a handler."""

    world: World
    signer: Signer
    base_url: str
    at: float
    caller: Key | None
    id: str
    body: Any
    query: Any

    @property
    def key(self) -> Key:
        if self.caller is None:
            raise RuntimeError("this endpoint does not use an API key")
        return self.caller

    @property
    def account(self) -> Account:
        """The caller's organization, in the key's environment."""
        return self.key.account

    def job(self) -> Job:
        """The caller's job with the id in the path."""
        return self.own("job", self.world.state.jobs)

    def own(self, kind: str, items: Index[Owned], id: str | None = None) -> Owned:
        """The caller's item with this id, or else with the one in the path."""
        item = items.get(self.id if id is None else id)
        if item is None or item.account is not self.account:
            raise not_found(kind)
        return item

    def url(self, file: File) -> tuple[str, float]:
        """A new download URL, and its expiry time."""
        path, expires_at = self.signer.sign(f"/files/{file.id}", self.at)
        return self.base_url + path, expires_at

    def find(self, kind: str, items: Iterable[Listed]) -> Listed:
        """The one of the caller's items with the id in the path."""
        for item in items:
            if item.id == self.id and not getattr(item, "deleted", False):
                return item
        raise not_found(kind)

    def page(
        self,
        name: str,
        items: Growing[Any],
        formatter: Callable[[Any], Json],
        conditions: Sequence[Condition] | None = None,
    ) -> Search[list[int]]:
        """The requested page of a list; by default of what has the attributes that the query asks for."""
        if conditions is None:
            asked = [pair for pair in self.query if pair[0] not in _PAGE]
            conditions = _given(*((name, "=", value) for name, value in asked))
        return page(self.world.state, name, items, self.query.limit, self.query.cursor, formatter, conditions)


def signup(call: Call) -> Json:
    new_key = call.world.accounts.create_organization(
        call.body.name, call.body.email, free_tier=True, at=call.at
    )
    return {
        "organization_id": new_key.key.account.organization.id,
        "api_key": new_key.secret,
        "credits_cents": new_key.key.account.book.available,
    }


def me(call: Call) -> Json:
    return show.identity(call.key)


def create_job(call: Call) -> Json:
    body = call.body.model_dump()
    return show.job(call.world.jobs.create(call.account, body, call.key.id, call.at, call.base_url))


def list_jobs(call: Call) -> Search[list[int]]:
    query = call.query
    conditions = _given(
        ("created_at", ">", _time(query.created_after)),
        ("status", "=", query.status),
        ("type", "=", query.type),
    )
    return call.page("jobs", call.account.jobs, show.job, conditions)


def get_job(call: Call) -> Json:
    return show.job(call.job())


def cancel_job(call: Call) -> Json:
    job = call.job()
    call.world.jobs.cancel(job, call.key.id, call.at)
    return show.job(job)


def rate_job(call: Call) -> Json:
    job = call.job()
    call.world.jobs.rate(job, call.body.rating, call.body.feedback, call.at)
    return show.job(job)


def list_files(call: Call) -> Search[list[int]]:
    job = call.job()
    return call.page(
        f"files {job.id}",
        job.approved,
        lambda file: show.file(file, *call.url(file)),
        _given(("rating", ">=", call.query.min_score), ("withdrawn", "=", False)),
    )


def refresh_url(call: Call) -> Json:
    url, expires_at = call.url(call.own("file", call.world.state.files))
    return {"download_url": url, "download_url_expires_at": iso(expires_at)}


def _shown_submission(call: Call, submission: Submission) -> Json:
    approved = [file for file in submission.files if file.id in call.world.state.files]
    return show.submission(submission, call.url(approved[0])[0] if approved else None)


def list_job_submissions(call: Call) -> Search[list[int]]:
    job = call.job()
    return call.page(
        f"submissions {job.id}",
        job.submissions,
        lambda submission: _shown_submission(call, submission),
    )


def _in_range(call: Call, earliest: float | None) -> tuple[Growing[Submission], list[Condition]]:
    """The submissions of a job, or of all jobs, and the times that are asked for."""
    query, items = call.query, call.account.submissions
    if query.job_id is not None:
        items = call.own("job", call.world.state.jobs, query.job_id).submissions
    start = _time(query.start_date)
    return items, _given(
        ("submitted_at", ">=", earliest if start is None else start),
        ("submitted_at", "<=", _time(query.end_date)),
    )


def list_submissions(call: Call) -> Search[list[int]]:
    query = call.query
    items, in_range = _in_range(call, call.at - _MONTH)
    return call.page(
        "submissions" if query.job_id is None else f"submissions of {query.job_id}",
        items,
        lambda submission: _shown_submission(call, submission),
        in_range + _given(("status", "=", query.status), ("rating", ">=", query.min_score)),
    )


def summarize_submissions(call: Call) -> Search[list[StatusTally]]:
    items, in_range = _in_range(call, None)
    return Search(lambda: call.world.state.tally(items, in_range), _summary)


def _summary(tallies: list[StatusTally]) -> Json:
    by_status = dict.fromkeys(SUBMISSION_STATUSES, 0) | {tally.status: tally.total for tally in tallies}
    rated, stars = sum(tally.rated for tally in tallies), sum(tally.stars for tally in tallies)
    decided = by_status["approved"] + by_status["rejected"]
    return {
        "object": "submission_summary",
        "total": sum(by_status.values()),
        "by_status": by_status,
        "average_star_rating": round(stars / rated, 4) if rated else None,
        "approval_rate": round(by_status["approved"] / decided, 4) if decided else None,
    }


def get_submission(call: Call) -> Json:
    return _shown_submission(call, call.own("submission", call.world.state.submissions))


def get_consent(call: Call) -> Json:
    consent = call.world.consent_of(call.id, call.account)
    if consent is None:
        raise not_found("consent")
    return consent


def create_key(call: Call) -> Json:
    environment = call.body.environment or call.account.environment
    if environment == "live" and call.account.is_sandbox:
        raise ApiError(403, "authorization_error", "A sandbox key cannot create a live key.")
    account = call.account.organization.accounts[environment]
    scopes = tuple(dict.fromkeys(call.body.scopes or SCOPES))
    return _new_key(call.world.accounts.create_key(account, call.body.name, scopes, call.key.id, call.at))


def _new_key(new_key: NewKey) -> Json:
    return {**show.key(new_key.key), "secret": new_key.secret}


def list_keys(call: Call) -> Search[list[int]]:
    # With a live key all, with a sandbox key only sandbox keys.
    theirs = _given(("account", "=", call.account if call.account.is_sandbox else None))
    return call.page("api_keys", call.account.organization.keys, show.key, theirs)


def _manages(call: Call) -> Callable[[Key], bool]:
    """A filter for the keys that the caller may manage: with a live key all, with a sandbox key only sandbox keys."""
    return lambda key: not call.account.is_sandbox or key.account is call.account


def _key(call: Call) -> Key:
    return call.find("API key", filter(_manages(call), call.account.organization.keys))


def rotate_key(call: Call) -> Json:
    return _new_key(call.world.accounts.rotate_key(_key(call), call.key.id, call.at))


def revoke_key(call: Call) -> None:
    call.world.accounts.revoke_key(_key(call), call.key.id, call.at)


def _check_webhook_url(url: str) -> None:
    if fault := reach.webhook_url_fault(url):
        raise invalid("url", fault, status=422)


def create_webhook(call: Call) -> Json:
    body = call.body
    _check_webhook_url(body.url)
    events = tuple(dict.fromkeys(body.events)) if body.events else None
    endpoint = call.world.events.create_endpoint(call.account, body.url, events, body.description, call.at)
    _audit_webhook(call, endpoint, "created", {"url": endpoint.url})
    return show.endpoint(endpoint, secret=True)


def _audit_webhook(call: Call, endpoint: Endpoint, action: str, data: Json) -> None:
    data = {"webhook_endpoint_id": endpoint.id, **data}
    call.world.events.audit(call.account, f"webhook_endpoint.{action}", call.at, call.key.id, data)


def list_webhooks(call: Call) -> Search[list[int]]:
    alive = _given(("deleted", "=", False))
    return call.page("webhook_endpoints", call.account.endpoints, show.endpoint, alive)


def _webhook(call: Call) -> Endpoint:
    return call.find("webhook endpoint", call.account.endpoints)


def get_webhook(call: Call) -> Json:
    return show.endpoint(_webhook(call))


def update_webhook(call: Call) -> Json:
    endpoint = _webhook(call)
    changes = call.body.model_dump(exclude_unset=True)
    if "url" in changes:
        _check_webhook_url(changes["url"])
    if "events" in changes:
        changes["events"] = tuple(dict.fromkeys(changes["events"]))
    for name, value in changes.items():
        setattr(endpoint, name, value)
    _audit_webhook(call, endpoint, "updated", {"changed": [*changes]})
    return show.endpoint(endpoint)


def delete_webhook(call: Call) -> None:
    endpoint = _webhook(call)
    endpoint.deleted = True
    _audit_webhook(call, endpoint, "deleted", {})


def rotate_webhook_secret(call: Call) -> Json:
    endpoint = _webhook(call)
    endpoint.secret = new_secret("whsec_")
    _audit_webhook(call, endpoint, "secret_rotated", {})
    return show.endpoint(endpoint, secret=True)


def list_events(call: Call) -> Search[list[int]]:
    return call.page("webhook_events", call.account.events, show.event)


def replay_event(call: Call) -> Json:
    event = call.own("webhook event", call.world.state.events)
    call.world.events.dispatch(event, call.at)
    return show.event(event)


def get_credits(call: Call) -> Json:
    return show.credits(call.account.book)


def list_transactions(call: Call) -> Search[list[int]]:
    return call.page("transactions", call.account.book.transactions, show.transaction)


def purchase(call: Call) -> Json:
    checkout = call.world.credits.start_purchase(call.account, call.body.amount_cents, call.at)
    return {"checkout_url": f"{call.base_url}/checkout/{checkout}"}


def get_settings(call: Call) -> Json:
    return show.settings(call.account)


def update_settings(call: Call) -> Json:
    changes = call.body.model_dump(exclude_unset=True)
    call.account.settings = {**call.account.settings, **changes}
    call.world.events.audit(call.account, "settings.updated", call.at, call.key.id, {"changes": changes})
    call.world.credits.auto_top_up(call.account, call.at)
    return show.settings(call.account)


def list_audit_events(call: Call) -> Search[list[int]]:
    return call.page("audit_events", call.account.audit, show.audit_event)


def _given(*conditions: tuple[str, str, Any]) -> list[Condition]:
    """Those of the conditions that have a value."""
    return [Condition(*condition) for condition in conditions if condition[2] is not None]


def _time(text: str | None) -> float | None:
    return None if text is None else parse_iso(text)

"""Webhook endpoints, deliveries with their signatures, and replays."""

from __future__ import annotations

from collections.abc import Callable

from firsthandapi._base.loose_json import members
from firsthandapi.conformance._checks import empty, refused, same, shaped, shows, status, succeeded
from firsthandapi.conformance._exchange import DiffersError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._receiver import Delivery
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import ENDPOINT, EVENT, NEW_ENDPOINT

_DELIVERY = "webhook delivery"
_ENDPOINTS = '§2 "Webhook endpoints and events"'
_HOOKS = "/v1/webhook_endpoints"
_HTTPS, _HTTP = "https://conformance.invalid/hook", "http://conformance.invalid/hook"
# The first attempt is made immediately; a busy machine takes a little.
_SOON = 10.0


@promise("webhooks.create", "POST /v1/webhook_endpoints", _ENDPOINTS)
def _create(run: Run) -> None:
    """A new endpoint has a secret, whsec_…."""
    body = {"url": _HTTPS, "events": ["job.completed"], "description": "Conformance check"}
    run.post(_HOOKS, body).must(succeeded, shaped(NEW_ENDPOINT), shows(body))


@promise("webhooks.create.https", "POST /v1/webhook_endpoints", _ENDPOINTS)
def _https(run: Run) -> None:
    """An http:// URL of another host is 422, and `details` names url."""
    run.post(_HOOKS, {"url": _HTTP}).must(refused(422, field="url"))


@promise("webhooks.create.fields", "POST /v1/webhook_endpoints", _ENDPOINTS)
def _fields(run: Run) -> None:
    """An endpoint without a URL, or with no list of events, is refused, and `details` names the field."""
    run.post(_HOOKS, {}).must(refused((400, 422), field="url"))
    run.post(_HOOKS, {"url": _HTTPS, "events": "all"}).must(refused((400, 422), field="events"))


@promise("webhooks.get", "GET /v1/webhook_endpoints/:id", "§3")
def _get(run: Run) -> None:
    """An endpoint is read as it was created, without its secret."""
    it = run.get(f"{_HOOKS}/{run.endpoint['id']}").must(status(200), shaped(ENDPOINT))
    it.must(same({}, "secret"), same(run.endpoint, "id", "url", "created_at"))


@promise("webhooks.list.masked", "GET /v1/webhook_endpoints", "§3")
def _masked(run: Run) -> None:
    """The list shows no secret."""
    _ = run.endpoint
    it = run.get(_HOOKS, limit=100).must(status(200))
    it.hold(all(item.get("secret") is None for item in it.items), "an endpoint in the list has a `secret`")


@promise("webhooks.update", "PATCH /v1/webhook_endpoints/:id", _ENDPOINTS)
def _update(run: Run) -> None:
    """A PATCH changes what it names, and nothing else."""
    made = run.spare_endpoint
    path = f"{_HOOKS}/{made['id']}"
    wanted = {name: made.get(name) for name in ("url", "events", "description", "enabled")}
    # One after the other: a server that takes a PATCH for a PUT loses the first.
    for change in ({"description": "Changed"}, {"enabled": False}):
        wanted |= change
        run("PATCH", path, change).must(status(200), shaped(ENDPOINT), same(wanted, *wanted))
        run.get(path).must(status(200), same(wanted, *wanted))


@promise("webhooks.update.https", "PATCH /v1/webhook_endpoints/:id", _ENDPOINTS)
def _update_https(run: Run) -> None:
    """A PATCH to an http:// URL of another host is 422."""
    run("PATCH", f"{_HOOKS}/{run.spare_endpoint['id']}", {"url": _HTTP}).must(refused(422, field="url"))


@promise("webhooks.delete", "DELETE /v1/webhook_endpoints/:id", _ENDPOINTS)
def _delete(run: Run) -> None:
    """Deleting an endpoint is 204; from then on it is 404."""
    path = f"{_HOOKS}/{run.hook()['id']}"
    run("DELETE", path).must(status(204), empty)
    run.get(path).must(refused(404))


@promise("webhooks.rotate_secret", "POST /v1/webhook_endpoints/:id/rotate_secret", _ENDPOINTS)
def _rotate(run: Run) -> None:
    """A rotation returns another secret, whsec_…."""
    made = run.spare_endpoint
    it = run.post(f"{_HOOKS}/{made['id']}/rotate_secret").must(succeeded, shaped(NEW_ENDPOINT))
    it.hold(it.object["secret"] != made.get("secret"), "the secret of a rotated endpoint is the old one")


@promise("events.get", "GET /v1/webhook_events", "§6")
def _listed(run: Run) -> None:
    """A cancelled job causes the event job.cancelled."""
    job = run.new_job()["id"]
    run.cancel(job).must(status(200))
    it = run.get("/v1/webhook_events", limit=100).must(status(200))
    is_there = any(item.get("type") == "job.cancelled" and _of(item, job) for item in it.items)
    it.hold(is_there, f"the event of a cancelled job is not listed: {job}")


@promise("events.replay", "POST /v1/webhook_events/:id/replay", _ENDPOINTS)
def _replay(run: Run) -> None:
    """Replaying an event is 200, with the event."""
    id = run.event["id"]
    run.post(f"/v1/webhook_events/{id}/replay").must(status(200), shaped(EVENT), shows(id=id))


# --- what arrives ---------------------------------------------------------------------------------------


def _of(event: Json, job: str) -> bool:
    data = members(event.get("data"))
    return job in (data.get("job_id"), data.get("id"))


def _arrived(run: Run, fits: Callable[[Delivery], bool], what: str, since: int = 0) -> Delivery:
    run.let_deliver()
    found = run.receiver.wait(fits, _SOON, since)
    if found is None:
        raise DiffersError(f"{what} did not arrive: within {_SOON:g} s")
    return found


def _cancel_one(run: Run) -> str:
    """Cancel a new job, whose title is not plain ASCII, for the signature of its events."""
    job = run.new_job(title="Vérification de conformité")["id"]
    run.cancel(job).must(status(200))
    return str(job)


def _cancelled(run: Run) -> tuple[Delivery, Json]:
    """The delivery of a job.cancelled, and the endpoint."""
    endpoint, since = run.endpoint, run.receiver.count
    job = _cancel_one(run)
    found = _arrived(
        run,
        lambda it: it.event.get("type") == "job.cancelled" and _of(it.event, job),
        "a job.cancelled",
        since,
    )
    return found, endpoint


@promise("deliveries.envelope", _DELIVERY, "§6")
def _envelope(run: Run) -> None:
    """An event is delivered in its envelope, with its id in the header as well."""
    delivery, _ = _cancelled(run)
    wrong = EVENT(delivery.event)
    run.hold(not wrong, f"a delivery {wrong}")
    header = delivery.headers.get("x-firsthand-event-id")
    run.hold(
        header in (None, delivery.event["id"]), "the header X-FirstHand-Event-Id is not the id of the event"
    )


@promise("deliveries.signature", _DELIVERY, "§6")
def _signature(run: Run) -> None:
    """A delivery is signed with the secret of the endpoint, over the raw body."""
    delivery, endpoint = _cancelled(run)
    wrong = delivery.fault(str(endpoint.get("secret")))
    run.hold(not wrong, wrong or "")


@promise("deliveries.ids", _DELIVERY, "§6")
def _ids(run: Run) -> None:
    """Each event has an id of its own."""
    first, second = (_cancelled(run)[0].event.get("id") for _ in range(2))
    run.hold(first != second, "two events have the same id")


@promise("deliveries.submission", _DELIVERY, "§6")
def _submission(run: Run) -> None:
    """submission.approved names the submission, its job, its status, and its stars."""
    run.needs_control("a worker")
    since, job = run.receiver.count, run.new_job(min_star_rating=3)["id"]
    run.hook("/approved", "submission.approved")
    run.work(job, 4)
    event = _arrived(run, lambda it: _of(it.event, job), "a submission.approved", since).event
    data = event["data"]
    listed = run.get(f"/v1/jobs/{job}/submissions")
    named = data.get("submission_id") or data.get("id")
    run.hold(
        event["type"] == "submission.approved" and named in listed.ids,
        "the event names no submission of the job",
    )
    for name, value in (("job_id", job), ("status", "approved"), ("ai_star_rating", 4)):
        run.hold(data.get(name) == value, f"`data.{name}` is another one: {data.get(name)!r}, not {value!r}")


@promise("deliveries.replay", _DELIVERY, _ENDPOINTS)
def _replayed(run: Run) -> None:
    """A replayed event is delivered again, with the same id."""
    id = _cancelled(run)[0].event.get("id")
    since = run.receiver.count
    run.post(f"/v1/webhook_events/{id}/replay").must(status(200))
    _arrived(run, lambda found: found.event.get("id") == id, "a replayed event", since)


@promise("deliveries.rotated", _DELIVERY, _ENDPOINTS)
def _rotated(run: Run) -> None:
    """After a rotation, deliveries are signed with the new secret."""
    made, since = run.hook("/rotated", "job.cancelled"), run.receiver.count
    it = run.post(f"{_HOOKS}/{made['id']}/rotate_secret").must(succeeded, shaped(NEW_ENDPOINT))
    job, secret = _cancel_one(run), it.object["secret"]
    what = "a delivery with the signature of the new secret"
    _arrived(run, lambda each: _of(each.event, job) and each.fault(secret) is None, what, since)


def _hold_silent(run: Run, endpoint: Json, why: str) -> None:
    id, secret = _cancelled(run)[0].event.get("id"), str(endpoint.get("secret"))
    wrong = run.receiver.wait(lambda it: it.event.get("id") == id and it.fault(secret) is None, 0.3)
    run.hold(wrong is None, f"a job.cancelled arrived at {why}")


@promise("deliveries.events", _DELIVERY, _ENDPOINTS)
def _subscribed(run: Run) -> None:
    """An endpoint receives only the events that it asked for."""
    _hold_silent(run, run.hook("/completed", "job.completed"), "an endpoint for job.completed")


@promise("deliveries.disabled", _DELIVERY, _ENDPOINTS, ours=True)
def _disabled(run: Run) -> None:
    """A disabled endpoint receives nothing."""
    made = run.hook("/disabled", "job.cancelled")
    run("PATCH", f"{_HOOKS}/{made['id']}", {"enabled": False}).must(status(200))
    _hold_silent(run, made, "a disabled endpoint")


@promise("deliveries.retry", _DELIVERY, "§6")
def _retried(run: Run) -> None:
    """A delivery that fails is attempted again after a minute."""
    run.needs_control("a minute")
    made, since = run.hook("?fail=1", "job.cancelled"), run.receiver.count
    job, secret = _cancel_one(run), str(made.get("secret"))

    def fits(it: Delivery) -> bool:
        return _of(it.event, job) and it.fault(secret) is None

    _arrived(run, fits, "the first attempt", since)
    since = run.receiver.count
    run.advance(seconds=61)
    _arrived(run, fits, "a second attempt", since)

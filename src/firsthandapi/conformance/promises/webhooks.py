"""Webhook endpoints, deliveries with their signatures, and replays."""

from __future__ import annotations

import hmac
import json
import re
from hashlib import sha256

from firsthandapi.conformance._checks import body_is, empty, refused, shaped, status, succeeded
from firsthandapi.conformance._exchange import DiffersError, NotTriedError, shortened
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._receiver import Delivery
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import ENDPOINT, EVENT, NEW_ENDPOINT

_CREATE, _GET, _LIST, _UPDATE, _DELETE, _ROTATE, _REPLAY = (
    "POST /v1/webhook_endpoints",
    "GET /v1/webhook_endpoints/:id",
    "GET /v1/webhook_endpoints",
    "PATCH /v1/webhook_endpoints/:id",
    "DELETE /v1/webhook_endpoints/:id",
    "POST /v1/webhook_endpoints/:id/rotate_secret",
    "POST /v1/webhook_events/:id/replay",
)
_DELIVERY = "webhook delivery"
_ENDPOINTS = '§2 "Webhook endpoints and events"'
_SIGNED = "§6"
_HTTPS = "https://conformance.invalid/hook"
# The first attempt is made immediately; a busy machine takes a little.
_SOON = 10.0


@promise("webhooks.create", _CREATE, _ENDPOINTS, "A new endpoint has a secret, whsec_….", writes=True)
def _create(run: Run) -> None:
    body = {"url": _HTTPS, "events": ["job.completed"], "description": "Conformance check"}
    it = run("POST", "/v1/webhook_endpoints", body).must(succeeded, shaped(NEW_ENDPOINT))
    for name, value in body.items():
        if it.object.get(name, value) != value:
            raise DiffersError(f"`{name}` is {it.object[name]!r}, not {value!r}", it)


@promise(
    "webhooks.create.https",
    _CREATE,
    _ENDPOINTS,
    "An http:// URL of another host is 422, and `details` names url.",
    writes=True,
)
def _https(run: Run) -> None:
    it = run("POST", "/v1/webhook_endpoints", {"url": "http://conformance.invalid/hook"})
    it.must(refused(422, field="url"))


@promise(
    "webhooks.create.fields",
    _CREATE,
    _ENDPOINTS,
    "An endpoint without a URL, or with no list of events, is refused, and `details` names the field.",
    writes=True,
)
def _fields(run: Run) -> None:
    run("POST", "/v1/webhook_endpoints", {}).must(refused((400, 422), field="url"))
    run("POST", "/v1/webhook_endpoints", {"url": _HTTPS, "events": "all"}).must(
        refused((400, 422), field="events")
    )


@promise("webhooks.get", _GET, "§3", "An endpoint is read as it was created, without its secret.")
def _get(run: Run) -> None:
    made = run.endpoint
    it = run("GET", f"/v1/webhook_endpoints/{made['id']}").must(status(200), shaped(ENDPOINT))
    if it.object.get("secret") is not None:
        raise DiffersError("`secret` is shown again", it)
    for name in ("id", "url", "created_at"):
        if it.object.get(name) != made.get(name):
            raise DiffersError(f"`{name}` is {it.object.get(name)!r}, and was {made.get(name)!r}", it)


@promise("webhooks.list.masked", _LIST, "§3", "The list shows no secret.")
def _masked(run: Run) -> None:
    _ = run.endpoint
    it = run("GET", "/v1/webhook_endpoints", query={"limit": 100}).must(status(200))
    for item in it.items:
        if item.get("secret") is not None:
            raise DiffersError(f"{item.get('id')} has a `secret`", it)


@promise(
    "webhooks.update", _UPDATE, _ENDPOINTS, "A PATCH changes what it names, and nothing else.", writes=True
)
def _update(run: Run) -> None:
    made = run.spare_endpoint
    path = f"/v1/webhook_endpoints/{made['id']}"
    it = run("PATCH", path, {"description": "Changed", "enabled": False}).must(status(200), shaped(ENDPOINT))
    it = run("GET", path).must(status(200))
    wanted = {
        "description": "Changed",
        "enabled": False,
        "url": made.get("url"),
        "events": made.get("events"),
    }
    for name, value in wanted.items():
        if it.object.get(name, value) != value:
            raise DiffersError(f"`{name}` is {it.object[name]!r}, not {value!r}", it)


@promise(
    "webhooks.update.https",
    _UPDATE,
    _ENDPOINTS,
    "A PATCH to an http:// URL of another host is 422.",
    writes=True,
)
def _update_https(run: Run) -> None:
    path = f"/v1/webhook_endpoints/{run.spare_endpoint['id']}"
    run("PATCH", path, {"url": "http://conformance.invalid/hook"}).must(refused(422, field="url"))


@promise(
    "webhooks.delete",
    _DELETE,
    _ENDPOINTS,
    "Deleting an endpoint is 204; from then on it is 404.",
    writes=True,
)
def _delete(run: Run) -> None:
    made = run("POST", "/v1/webhook_endpoints", {"url": _HTTPS}).must(succeeded, shaped(NEW_ENDPOINT))
    path = f"/v1/webhook_endpoints/{made.object['id']}"
    run("DELETE", path).must(status(204), empty)
    run("GET", path).must(refused(404))


@promise(
    "webhooks.rotate_secret", _ROTATE, _ENDPOINTS, "A rotation returns another secret, whsec_….", writes=True
)
def _rotate(run: Run) -> None:
    made = run.spare_endpoint
    it = run("POST", f"/v1/webhook_endpoints/{made['id']}/rotate_secret").must(
        succeeded, shaped(NEW_ENDPOINT)
    )
    if it.object["secret"] == made.get("secret"):
        raise DiffersError("the secret is the old one", it)


@promise(
    "events.get",
    "GET /v1/webhook_events",
    _SIGNED,
    "A cancelled job causes the event job.cancelled.",
    writes=True,
)
def _listed(run: Run) -> None:
    job = run.new_job()["id"]
    run.cancel(job).must(status(200))
    it = run("GET", "/v1/webhook_events", query={"limit": 100}).must(status(200))
    if not any(item.get("type") == "job.cancelled" and _of(item, job) for item in it.items):
        raise DiffersError(f"no job.cancelled of {job}", it)


@promise("events.replay", _REPLAY, _ENDPOINTS, "Replaying an event is 200, with the event.", writes=True)
def _replay(run: Run) -> None:
    id = run.event["id"]
    it = run("POST", f"/v1/webhook_events/{id}/replay").must(status(200), shaped(EVENT))
    it.must(body_is("another event", lambda found: found["id"] == id))


# --- what arrives ---------------------------------------------------------------------------------------


def _of(event: Json, job: str) -> bool:
    data = event.get("data")
    return isinstance(data, dict) and job in (data.get("job_id"), data.get("id"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] # it is JSON


def _cancelled(run: Run) -> tuple[Delivery, Json, Json]:
    """The delivery of a job.cancelled, its event, and the endpoint."""
    receiver, endpoint = run.receiver, run.endpoint
    since = receiver.count
    job = run.new_job()["id"]
    run.cancel(job).must(status(200))
    run.let_deliver()
    found = receiver.wait(
        lambda it: _event(it).get("type") == "job.cancelled" and _of(_event(it), job), _SOON, since
    )
    if found is None:
        raise DiffersError(f"no job.cancelled arrived within {_SOON:g} s")
    return found, _event(found), endpoint


def _event(delivery: Delivery) -> Json:
    try:
        found = json.loads(delivery.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType] # it is JSON


def signature_fault(delivery: Delivery, secret: str) -> str | None:
    """What is wrong with the signature of a delivery, in a few words, or None."""
    headers = delivery.headers
    given = headers.get("x-firsthandapi-signature") or headers.get("x-firsthand-signature")
    if given is None:
        return "there is no signature"
    if re.fullmatch("[0-9a-fA-F]{64}", given):
        wanted = [hmac.new(secret.encode(), delivery.body, sha256).hexdigest()]
        found = [given.lower()]
    elif match := re.fullmatch(r"t=([0-9]{1,12})((?:,v1=[0-9a-fA-F]{64})+)", given):
        signed = f"{match[1]}.".encode() + delivery.body
        wanted = [hmac.new(secret.encode(), signed, sha256).hexdigest()]
        found = [each.lower() for each in match[2].split(",v1=") if each]
    else:
        return f"the signature has neither of the two forms: {shortened(given, 60)}"
    return None if wanted[0] in found else "the signature is not the HMAC-SHA256 of the body under the secret"


@promise(
    "deliveries.envelope",
    _DELIVERY,
    _SIGNED,
    "An event is delivered in its envelope, with its id in the header as well.",
    writes=True,
)
def _envelope(run: Run) -> None:
    delivery, event, _ = _cancelled(run)
    if wrong := EVENT(event):
        raise DiffersError(f"the body {wrong}")
    header = delivery.headers.get("x-firsthand-event-id")
    if header is not None and header != event["id"]:
        raise DiffersError("the header X-FirstHand-Event-Id is not the id of the event")


@promise(
    "deliveries.signature",
    _DELIVERY,
    _SIGNED,
    "A delivery is signed with the secret of the endpoint, over the raw body.",
    writes=True,
)
def _signature(run: Run) -> None:
    delivery, _, endpoint = _cancelled(run)
    if wrong := signature_fault(delivery, str(endpoint.get("secret"))):
        raise DiffersError(wrong)


@promise(
    "deliveries.replay",
    _DELIVERY,
    _ENDPOINTS,
    "A replayed event is delivered again, with the same id.",
    writes=True,
)
def _replayed(run: Run) -> None:
    _, event, _ = _cancelled(run)
    since = run.receiver.count
    it = run("POST", f"/v1/webhook_events/{event.get('id')}/replay").must(status(200))
    run.let_deliver()
    if run.receiver.wait(lambda found: _event(found).get("id") == event.get("id"), _SOON, since) is None:
        raise DiffersError(f"{event.get('id')} did not arrive again within {_SOON:g} s", it)


@promise(
    "deliveries.rotated",
    _DELIVERY,
    _ENDPOINTS,
    "After a rotation, deliveries are signed with the new secret.",
    writes=True,
)
def _rotated(run: Run) -> None:
    receiver = run.receiver
    made = run(
        "POST", "/v1/webhook_endpoints", {"url": f"{receiver.url}/rotated", "events": ["job.cancelled"]}
    )
    made.must(succeeded, shaped(NEW_ENDPOINT))
    it = run("POST", f"/v1/webhook_endpoints/{made.object['id']}/rotate_secret").must(
        succeeded, shaped(NEW_ENDPOINT)
    )
    since = receiver.count
    job = run.new_job()["id"]
    run.cancel(job).must(status(200))
    run.let_deliver()
    found = receiver.wait(
        lambda each: _of(_event(each), job) and signature_fault(each, it.object["secret"]) is None,
        _SOON,
        since,
    )
    if found is None:
        raise DiffersError(f"no delivery with the new secret's signature arrived within {_SOON:g} s", it)


@promise(
    "deliveries.events",
    _DELIVERY,
    _ENDPOINTS,
    "An endpoint receives only the events that it asked for.",
    writes=True,
)
def _subscribed(run: Run) -> None:
    receiver = run.receiver
    body = {"url": f"{receiver.url}/completed", "events": ["job.completed"]}
    made = run("POST", "/v1/webhook_endpoints", body).must(succeeded, shaped(NEW_ENDPOINT))
    secret = made.object["secret"]
    _, event, _ = _cancelled(run)
    wrong = receiver.wait(
        lambda it: _event(it).get("id") == event.get("id") and signature_fault(it, secret) is None, 0.3
    )
    if wrong is not None:
        raise DiffersError("a job.cancelled arrived at an endpoint for job.completed", made)


@promise(
    "deliveries.retry",
    _DELIVERY,
    _SIGNED,
    "A delivery that fails is attempted again after a minute.",
    writes=True,
)
def _retried(run: Run) -> None:
    if run.speed is None:
        raise NotTriedError("the second attempt comes after a minute, and this server's time cannot be moved")
    receiver = run.receiver
    body = {"url": f"{receiver.url}?fail=1", "events": ["job.cancelled"]}
    made = run("POST", "/v1/webhook_endpoints", body).must(succeeded, shaped(NEW_ENDPOINT))
    secret, since = made.object["secret"], receiver.count
    job = run.new_job()["id"]
    run.cancel(job).must(status(200))
    run.let_deliver()

    def fits(it: Delivery) -> bool:
        return _of(_event(it), job) and signature_fault(it, secret) is None

    if receiver.wait(fits, _SOON, since) is None:
        raise DiffersError("the first attempt did not arrive", made)
    since = receiver.count
    run.control("POST", "/advance", {"seconds": 61})
    found = receiver.wait(fits, _SOON, since)
    if found is None:
        raise DiffersError("no second attempt arrived after 61 s", made)

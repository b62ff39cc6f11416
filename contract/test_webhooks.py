"""Webhook endpoints, deliveries with their signatures, and replays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firsthandapi._base.loose_json import members

from .checks import empty, refused, same, shaped, shows, status, succeeded
from .receiver import Delivery, Receiver
from .server import Json, Server
from .shapes import ENDPOINT, EVENT, NEW_ENDPOINT

_HOOKS = "/v1/webhook_endpoints"
_HTTPS, _HTTP = "https://contract.invalid/hook", "http://contract.invalid/hook"


def test_webhooks_create(server: Server) -> None:
    """A new endpoint has a secret, whsec_…. (§2 "Webhook endpoints and events")"""
    body = {"url": _HTTPS, "events": ["job.completed"], "description": "Contract check"}
    server.post(_HOOKS, body).must(succeeded, shaped(NEW_ENDPOINT), shows(body))


def test_webhooks_create_https(server: Server) -> None:
    """An http:// URL of another host is 422, and `details` names url. (§2 "Webhook endpoints and events")"""
    server.post(_HOOKS, {"url": _HTTP}).must(refused(422, field="url"))


def test_webhooks_create_fields(server: Server) -> None:
    """An endpoint without a URL, or with no list of events, is refused, and `details` names the field.
    (§2 "Webhook endpoints and events")"""
    server.post(_HOOKS, {}).must(refused((400, 422), field="url"))
    server.post(_HOOKS, {"url": _HTTPS, "events": "all"}).must(refused((400, 422), field="events"))


def test_webhooks_get(server: Server, endpoint: Json) -> None:
    """An endpoint is read as it was created, without its secret. (§3)"""
    response = server.get(f"{_HOOKS}/{endpoint['id']}").must(status(200), shaped(ENDPOINT))
    response.must(same({}, "secret"), same(endpoint, "id", "url", "created_at"))


def test_webhooks_masked(server: Server, endpoint: Json) -> None:
    """The list shows no secret. (§3)"""
    response = server.get(_HOOKS, limit=100).must(status(200))
    assert all(item.get("secret") is None for item in response.items), (
        "an endpoint in the list has a `secret`"
    )


def test_webhooks_update(server: Server, spare_endpoint: Json) -> None:
    """A PATCH changes what it names, and nothing else. (§2 "Webhook endpoints and events")"""
    path = f"{_HOOKS}/{spare_endpoint['id']}"
    expected = {name: spare_endpoint.get(name) for name in ("url", "events", "description", "enabled")}
    # One after the other: a server that takes a PATCH for a PUT loses the first.
    for change in ({"description": "Changed"}, {"enabled": False}):
        expected |= change
        server("PATCH", path, change).must(status(200), shaped(ENDPOINT), same(expected, *expected))
        server.get(path).must(status(200), same(expected, *expected))


def test_webhooks_update_https(server: Server, spare_endpoint: Json) -> None:
    """A PATCH to an http:// URL of another host is 422. (§2 "Webhook endpoints and events")"""
    response = server("PATCH", f"{_HOOKS}/{spare_endpoint['id']}", {"url": _HTTP})
    response.must(refused(422, field="url"))


def test_webhooks_delete(server: Server) -> None:
    """Deleting an endpoint is 204; from then on it is 404. (§2 "Webhook endpoints and events")"""
    path = f"{_HOOKS}/{server.hook()['id']}"
    server("DELETE", path).must(status(204), empty)
    server.get(path).must(refused(404))


def test_webhooks_rotate_secret(server: Server, spare_endpoint: Json) -> None:
    """A rotation returns another secret, whsec_…. (§2 "Webhook endpoints and events")"""
    path = f"{_HOOKS}/{spare_endpoint['id']}/rotate_secret"
    response = server.post(path).must(succeeded, shaped(NEW_ENDPOINT))
    is_new = response.object["secret"] != spare_endpoint.get("secret")
    assert is_new, "the secret of a rotated endpoint is the old one"


def test_events_listed(server: Server) -> None:
    """A cancelled job causes the event job.cancelled. (§6)"""
    job = server.new_job()["id"]
    server.cancel(job).must(status(200))
    response = server.get("/v1/webhook_events", limit=100).must(status(200))
    is_listed = any(item.get("type") == "job.cancelled" and _is_of(item, job) for item in response.items)
    assert is_listed, f"the event of a cancelled job is not listed: {job}"


def test_events_replay(server: Server, event: Json) -> None:
    """Replaying an event is 200, with the event. (§2 "Webhook endpoints and events")"""
    response = server.post(f"/v1/webhook_events/{event['id']}/replay")
    response.must(status(200), shaped(EVENT), shows(id=event["id"]))


# --- what arrives ---------------------------------------------------------------------------------------


def _is_of(event: Json, job: str) -> bool:
    data = members(event.get("data"))
    return job in (data.get("job_id"), data.get("id"))


def _is_signed(delivery: Delivery, endpoint: Json) -> bool:
    return delivery.fault(str(endpoint.get("secret"))) is None


class Inbox:
    """What the receiver gets of a server."""

    def __init__(self, server: Server, receiver: Receiver) -> None:
        self._server = server
        self._receiver = receiver

    def take(self, subject: str, fits: Callable[[Delivery], bool], count: int = 1) -> Delivery:
        """The newest delivery that fits, once so many have arrived."""
        if self._server.has_control:
            self._server.advance(seconds=1)  # time may stand still: now, deliveries are due
        delivery = self._receiver.wait(fits, self._server.patience, count)
        assert delivery is not None, f"{subject} did not arrive within {self._server.patience:g} s"
        return delivery

    def has_none(self, fits: Callable[[Delivery], bool]) -> bool:
        """Whether nothing arrives that fits."""
        return self._receiver.wait(fits, 0.3) is None

    def cancel_job(self) -> str:
        """Cancel a new job, whose title is not plain ASCII, for the signature of its events."""
        job = str(self._server.new_job(title="Vérification de contrat")["id"])
        self._server.cancel(job).must(status(200))
        return job

    def cancelled(self) -> Delivery:
        """The delivery of a new job.cancelled."""
        job = self.cancel_job()
        return self.take(
            "a job.cancelled",
            lambda delivery: delivery.event.get("type") == "job.cancelled" and _is_of(delivery.event, job),
        )


@pytest.fixture
def inbox(server: Server, receiver: Receiver, endpoint: Json) -> Inbox:
    return Inbox(server, receiver)


def test_deliveries_envelope(inbox: Inbox) -> None:
    """An event is delivered in its envelope, with its id in the header as well. (§6)"""
    delivery = inbox.cancelled()
    fault = EVENT(delivery.event)
    assert not fault, f"a delivery {fault}"
    header = delivery.headers.get("x-firsthand-event-id")
    assert header in (None, delivery.event["id"]), "X-FirstHand-Event-Id is not the id of the event"


def test_deliveries_signature(inbox: Inbox, endpoint: Json) -> None:
    """A delivery is signed with the secret of the endpoint, over the raw body, at this time. (§6)"""
    fault = inbox.cancelled().fault(str(endpoint.get("secret")))
    assert not fault, fault


def test_deliveries_ids(inbox: Inbox) -> None:
    """Each event has an id of its own. (§6)"""
    first, second = (inbox.cancelled().event.get("id") for _ in range(2))
    assert first != second, "two events have the same id"


def test_deliveries_submission(server: Server, inbox: Inbox) -> None:
    """submission.approved names the submission, its job, its status, and its stars. (§6)"""
    server.needs_control("a worker")
    job = server.new_job(min_star_rating=3)["id"]
    server.hook("/approved", "submission.approved")
    server.work(job, 4)
    event = inbox.take("a submission.approved", lambda delivery: _is_of(delivery.event, job)).event
    data = event["data"]
    ids = server.get(f"/v1/jobs/{job}/submissions").ids
    is_named = event["type"] == "submission.approved" and (data.get("submission_id") or data.get("id")) in ids
    assert is_named, "the event names no submission of the job"
    for name, value in (("job_id", job), ("status", "approved"), ("ai_star_rating", 4)):
        assert data.get(name) == value, f"`data.{name}` is {data.get(name)!r}, not {value!r}"


def test_deliveries_replay(server: Server, inbox: Inbox) -> None:
    """A replayed event is delivered again, with the same id. (§2 "Webhook endpoints and events")"""
    id = inbox.cancelled().event.get("id")
    server.post(f"/v1/webhook_events/{id}/replay").must(status(200))
    inbox.take("a replayed event", lambda delivery: delivery.event.get("id") == id, 2)


def test_deliveries_rotated(server: Server, inbox: Inbox) -> None:
    """After a rotation, deliveries are signed with the new secret. (§2 "Webhook endpoints and events")"""
    hook = server.hook("/rotated", "job.cancelled")
    rotated = server.post(f"{_HOOKS}/{hook['id']}/rotate_secret").must(succeeded, shaped(NEW_ENDPOINT)).object
    job = inbox.cancel_job()
    inbox.take(
        "a delivery with the signature of the new secret",
        lambda delivery: _is_of(delivery.event, job) and _is_signed(delivery, rotated),
    )


def test_deliveries_events(server: Server, inbox: Inbox) -> None:
    """An endpoint receives only the events that it asked for. (§2 "Webhook endpoints and events")"""
    hook = server.hook("/completed", "job.completed")
    id = inbox.cancelled().event.get("id")
    is_silent = inbox.has_none(lambda delivery: delivery.event.get("id") == id and _is_signed(delivery, hook))
    assert is_silent, "a job.cancelled arrived at an endpoint for job.completed"


def test_deliveries_disabled(server: Server, inbox: Inbox) -> None:
    """A disabled endpoint receives nothing. (§2 "Webhook endpoints and events" ‡)"""
    hook = server.hook("/disabled", "job.cancelled")
    server("PATCH", f"{_HOOKS}/{hook['id']}", {"enabled": False}).must(status(200))
    id = inbox.cancelled().event.get("id")
    is_silent = inbox.has_none(lambda delivery: delivery.event.get("id") == id and _is_signed(delivery, hook))
    assert is_silent, "a job.cancelled arrived at a disabled endpoint"


def test_deliveries_retry(server: Server, inbox: Inbox) -> None:
    """A delivery that fails is attempted again after a minute. (§6)"""
    server.needs_control("a minute")
    hook = server.hook("?fail=1", "job.cancelled")
    job = inbox.cancel_job()

    def fits(delivery: Delivery) -> bool:
        return _is_of(delivery.event, job) and _is_signed(delivery, hook)

    inbox.take("the first attempt", fits)
    server.advance(seconds=61)
    inbox.take("a second attempt", fits, 2)

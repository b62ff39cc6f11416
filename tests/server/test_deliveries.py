"""Webhook endpoints, signatures, the retry schedule and replay."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dataset.support import wait_until
from firsthandapi.testing import MockServer
from firsthandapi.webhooks import unwrap
from firsthandapi_server.http.deliveries import Sender
from firsthandapi_server.state.model import DeliveryAttempt

from .conftest import Caller, Receiver, scored


def subscribe(api: Caller, url: str, **fields: Any) -> Any:
    """A new endpoint."""
    reply = api("POST", "/v1/webhook_endpoints", {"url": url, **fields})
    assert reply.status == 201
    return reply.json


def finish_job(server: MockServer, api: Caller) -> str:
    """A completed job of one file."""
    job = api.create_job(files_needed=1, min_star_rating=1)["id"]
    scored(server, job)
    return str(job)


def test_every_type(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """An endpoint made without events gets every type, also one that nobody knows; with events, those alone."""
    subscribe(by_hand, receiver.url)
    subscribe(by_hand, receiver.url, events=["job.completed"])
    event_id = hand.emit("job.paused", {"job_id": "job_1"})
    hand.wait_idle()
    assert [(event["id"], event["type"]) for event in receiver.events] == [(event_id, "job.paused")]
    assert by_hand.get("/v1/webhook_events")["data"][0]["data"] == {"job_id": "job_1"}


def test_deliveries(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """What happens is delivered in order, once, as JSON."""
    subscribe(by_hand, receiver.url)
    finish_job(hand, by_hand)
    assert [event["type"] for event in receiver.events] == [
        "submission.scored",
        "submission.approved",
        "job.completed",
    ]
    assert {headers["content-type"] for headers, _ in receiver.got} == {"application/json"}
    hand.clock.advance(days=1)
    assert len(receiver.got) == 3
    assert {delivery.status for delivery in hand.webhook_deliveries} == {"delivered"}


def test_timestamped_signature(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """On request the signature carries the real time."""
    hand.signature_style = "timestamped"
    secret = subscribe(by_hand, receiver.url)["secret"].encode()
    hand.clock.advance(days=40)
    start = int(time.time())
    finish_job(hand, by_hand)
    headers, body = receiver.got[0]
    stamp, signature = headers["x-firsthandapi-signature"].split(",")
    assert start <= int(stamp.removeprefix("t=")) <= time.time()
    signed = f"{stamp.removeprefix('t=')}.".encode() + body
    assert signature == "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
    with pytest.raises(ValueError, match="plain"):
        hand.signature_style = "loud"
    assert hand.signature_style == "timestamped"


def test_others_verify_it(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """Each delivery is signed as Standard Webhooks are, too, with the event's id, whatever our own style."""
    secret = subscribe(by_hand, receiver.url)["secret"]
    event_id = hand.emit("job.paused", {"job_id": "job_1"})
    hand.wait_idle()
    ((headers, body),) = receiver.got
    assert Webhook(secret).verify(body, headers)["id"] == event_id == headers["webhook-id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    assert (
        unwrap(body, {name: headers[name] for name in headers if "firsthand" not in name}, secret).id
        == event_id
    )


def test_retry_schedule(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """Six attempts: at once, then after 1 min, 5 min, 30 min, 2 h and 8 h; then failed, replayable."""
    receiver.answer = lambda: 500
    subscribe(by_hand, receiver.url, events=["job.completed"])
    finish_job(hand, by_hand)
    hand.clock.advance(days=1)
    (delivery,) = hand.webhook_deliveries
    assert delivery.status == "failed"
    times = [attempt.at for attempt in delivery.attempts]
    assert [round(end - start) for start, end in pairwise(times)] == [60, 300, 1800, 7200, 28800]
    assert {attempt.status for attempt in delivery.attempts} == {500}
    assert len({body for _, body in receiver.got}) == 1
    (event,) = by_hand.get("/v1/webhook_events?type=job.completed")["data"]
    assert (event["deliveries"][0]["status"], event["deliveries"][0]["attempts"]) == ("failed", 6)
    receiver.answer = lambda: 204
    replayed = by_hand("POST", f"/v1/webhook_events/{delivery.event_id}/replay")
    assert (replayed.status, replayed.json["id"]) == (200, delivery.event_id)
    hand.wait_idle()
    assert hand.webhook_deliveries[-1].status == "delivered"
    assert receiver.events[-1]["id"] == delivery.event_id


def test_nobody_there(hand: MockServer, by_hand: Caller) -> None:
    """A refused connection is a failed attempt, and a host that is not this machine is never called."""
    subscribe(by_hand, "http://127.0.0.1:1/x?y=1", events=["job.completed"])
    subscribe(by_hand, "https://127.0.0.1:1/x", events=["job.completed"])
    subscribe(by_hand, "https://example.com/x", events=["job.completed"])
    finish_job(hand, by_hand)
    first, second, third = hand.webhook_deliveries
    assert "Refused" in str(first.attempts[0].error)
    assert "Refused" in str(second.attempts[0].error)
    assert "this machine" in str(third.attempts[0].error)
    assert first.attempts[0].status is None


def test_slow_receiver(
    hand: MockServer, by_hand: Caller, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that takes too long is a failed attempt."""
    monkeypatch.setattr("firsthandapi_server.http.deliveries.TIMEOUT", 0.05)
    answer = threading.Event()
    receiver.before = lambda: answer.wait(60) and None
    subscribe(by_hand, receiver.url, events=["job.completed"])
    finish_job(hand, by_hand)
    assert hand.webhook_deliveries[0].attempts[0].status is None
    answer.set()


def test_a_stop_while_a_name_is_resolved(
    hand: MockServer, by_hand: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a receiver whose address is found after the stop, nobody waits for a response."""
    monkeypatch.setattr("firsthandapi_server.http.deliveries.TIMEOUT", 0.05)
    subscribe(by_hand, "https://example.com/x")
    hand.emit("job.flagged", {})
    (delivery,) = hand._world.state.deliveries
    reports: list[DeliveryAttempt] = []

    def resolve(_host: str, _port: int) -> list[str]:
        stopping.start()
        while sender._pool is not None:
            time.sleep(0.001)
        return ["127.0.0.1"]

    sender = Sender(lambda _delivery, attempt: reports.append(attempt), resolve)
    stopping = threading.Thread(target=sender.stop)
    sender.start()
    sender.send(delivery, 5)
    while not reports:
        time.sleep(0.001)
    stopping.join()
    assert reports == [DeliveryAttempt(5, None, "not sent: the server has stopped")]


def test_receiver_may_call_back(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """A receiver can ask the API from its handler: no delivery holds a lock."""
    seen: list[str] = []
    receiver.before = lambda: seen.append(by_hand.get("/v1/me")["environment"])
    subscribe(by_hand, receiver.url, events=["job.completed"])
    finish_job(hand, by_hand)
    assert seen == ["live"]


def test_dropped(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """What waits for a retry is dropped when its endpoint goes, and nothing else comes."""
    receiver.answer = lambda: 500
    endpoint = subscribe(by_hand, receiver.url, events=["job.completed"])
    finish_job(hand, by_hand)
    by_hand("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")
    assert by_hand.get("/v1/webhook_endpoints")["data"] == []
    hand.emit("job.completed", {})
    hand.clock.advance(days=1)
    assert [delivery.status for delivery in hand.webhook_deliveries] == ["dropped"]
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "ftp://example.com",
        "https://",
        "example.com",
        "",
        "https://exa mple.com",
        "https://example.com:99999",
        "https://[::1",
        "https://example.com:0/",
    ],
)
def test_url_rules(by_hand: Caller, url: str) -> None:
    """A URL that is not https (or loopback) is a 422, on create and on update."""
    reply = by_hand("POST", "/v1/webhook_endpoints", {"url": url})
    assert (reply.status, reply.error["details"][0]["field"]) == (422, "url")
    endpoint = subscribe(by_hand, "https://example.com/x")
    assert by_hand("PATCH", f"/v1/webhook_endpoints/{endpoint['id']}", {"url": url}).status == 422


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:5/x", "https://example.com"]
)
def test_good_urls(by_hand: Caller, url: str) -> None:
    """https anywhere and http on loopback are fine."""
    assert subscribe(by_hand, url)["url"] == url


def test_events_of_others(server: MockServer, api: Caller, receiver: Receiver) -> None:
    """An endpoint hears nothing of another organization, or of its own sandbox."""
    subscribe(api, receiver.url)
    for key in (server.create_organization().api_key, server.test_api_key):
        Caller(server, key).create_job()
    server.clock.advance(hours=1)
    assert receiver.got == []


def test_deliveries_as_time_flows(receiver: Receiver) -> None:
    """Without anybody advancing the clock, workers work and webhooks arrive."""
    with MockServer(speed=600) as server:
        api = Caller(server, server.api_key)
        subscribe(api, receiver.url, events=["job.completed"])
        api.create_job(files_needed=5)
        wait_until(lambda: receiver.got)
    assert receiver.events[0]["type"] == "job.completed"
    server.check_books()

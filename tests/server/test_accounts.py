"""Keys, money, settings, the audit trail, rate limits and idempotency over time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import RateLimitError
from firsthandapi.testing import MockServer
from firsthandapi_server.rules.jobs import Workforce

from .conftest import JOB, Caller, send


def events(api: Caller, type: str) -> list[Any]:
    """The webhook events of one type, newest first."""
    return [event["data"] for event in api.get(f"/v1/webhook_events?type={type}")["data"]]


def test_key_life(server: MockServer, api: Caller) -> None:
    """A rotated key works for 24 h more; a revoked one not at all."""
    new_key = api("POST", "/v1/api_keys", {"name": "ci", "scopes": ["jobs:read"]}).json
    fresh = api("POST", f"/v1/api_keys/{new_key['id']}/rotate").json
    assert (fresh["id"] != new_key["id"], fresh["scopes"]) == (True, ["jobs:read"])
    old, new = Caller(server, new_key["secret"]), Caller(server, fresh["secret"])
    assert (old("GET", "/v1/me").status, new("GET", "/v1/me").status) == (200, 200)
    assert api("POST", f"/v1/api_keys/{new_key['id']}/rotate").status == 409
    server.clock.advance(hours=24)
    assert (old("GET", "/v1/me").status, new("GET", "/v1/me").status) == (401, 200)
    for _ in range(2):
        assert api("POST", f"/v1/api_keys/{fresh['id']}/revoke").status == 204
    assert new("GET", "/v1/me").status == 401
    assert api("POST", f"/v1/api_keys/{fresh['id']}/rotate").status == 409


def test_live_key_manages_sandbox_keys(server: MockServer, api: Caller) -> None:
    """A live key lists, rotates, and revokes the sandbox keys of its organization; a sandbox key no live one."""
    new_key = api("POST", "/v1/api_keys", {"name": "test", "environment": "test"}).json
    listed = api.get("/v1/api_keys")["data"]
    assert (listed[0]["id"], {key["environment"] for key in listed}) == (new_key["id"], {"live", "test"})
    test = Caller(server, new_key["secret"])
    assert {key["environment"] for key in test.get("/v1/api_keys")["data"]} == {"test"}
    live_id = api.get("/v1/me")["api_key_id"]
    assert test("POST", f"/v1/api_keys/{live_id}/revoke").status == 404
    fresh = api("POST", f"/v1/api_keys/{new_key['id']}/rotate").json
    assert fresh["environment"] == "test"
    assert api("POST", f"/v1/api_keys/{fresh['id']}/revoke").status == 204
    assert Caller(server, fresh["secret"])("GET", "/v1/me").status == 401
    stranger = Caller(server, server.create_organization().api_key)
    assert stranger("POST", f"/v1/api_keys/{new_key['id']}/revoke").status == 404
    for trail in (api, Caller(server, server.test_api_key)):
        types = [event["event_type"] for event in trail.get("/v1/audit-events?limit=4")["data"]]
        assert types == ["api_key.revoked", "api_key.rotated", "api_key.created", "api_key.created"]


def test_idempotency_keys_of_jobs_alone() -> None:
    """With idempotency_keys="jobs" only POST /v1/jobs needs one, as in 0.1.0; given elsewhere, it still counts."""
    with MockServer(speed=0, idempotency_keys="jobs") as server:
        api = Caller(server, server.api_key)
        assert api("POST", "/v1/jobs", JOB, Idempotency_Key=None).status == 400
        job = api.create_job()["id"]
        assert api("POST", f"/v1/jobs/{job}/cancel", Idempotency_Key=None).status == 200
        key = api("POST", "/v1/api_keys", {"name": "ci"}, Idempotency_Key=None).json["id"]
        assert api("POST", f"/v1/api_keys/{key}/revoke", Idempotency_Key=None).status == 204
        purchase = {"amount_cents": 1000}
        urls = [
            api("POST", "/v1/billing/credits/purchase", purchase, Idempotency_Key="k").body for _ in range(2)
        ]
        assert urls[0] == urls[1]
        empty = api("POST", f"/v1/jobs/{job}/cancel", Idempotency_Key="")
        assert (empty.status, empty.error["details"][0]["field"]) == (400, "Idempotency-Key")
    with pytest.raises(ValueError, match="idempotency_keys"):
        MockServer(idempotency_keys="none")  # type: ignore[arg-type]


def test_create_key_by_hand(server: MockServer) -> None:
    """A scope or an environment that does not exist is a ValueError."""
    with pytest.raises(ValueError, match="unknown scopes"):
        server.create_key("jobs:everything")
    with pytest.raises(ValueError, match="'live' or 'test', not 'sandbox'"):
        server.create_key(environment="sandbox")
    with pytest.raises(ValueError, match="'live' or 'test', not 'sandbox'"):
        server.emit("job.completed", {}, environment="sandbox")
    assert server.create_key(environment="test").startswith("fh_test_")


def test_purchase(server: MockServer, api: Caller) -> None:
    """A purchase is booked when its checkout is opened, once."""
    url = api("POST", "/v1/billing/credits/purchase", {"amount_cents": 2500}).json["checkout_url"]
    assert url.startswith(server.url)
    assert api.get("/v1/billing/credits")["balance_cents"] == 100_000
    for _ in range(2):
        assert send(server.url, "GET", url).status == 200
    assert api.get("/v1/billing/credits")["balance_cents"] == 102_500
    assert events(api, "credits.purchased") == [{"amount_cents": 2500, "balance_cents": 102_500}]
    assert send(server.url, "GET", "/checkout/unknown").status == 404
    (purchase, *_) = api.get("/v1/billing/transactions?type=purchase")["data"]
    assert (purchase["amount_cents"], purchase["expires_at"]) == (2500, None)


def test_purchase_page(server: MockServer) -> None:
    """A 402's purchase_url opens a page whose buttons lead to a checkout; then the same call works."""
    api = Caller(server, server.create_organization(cents=0).api_key)
    url = api("POST", "/v1/jobs", JOB, Idempotency_Key="k").error["purchase_url"]
    page = send(server.url, "GET", url)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    (action,) = re.findall(r'action="([^"]+/2500)"', page.body.decode())
    checkout = send(server.url, "POST", action)
    assert checkout.status == 303
    assert api.get("/v1/billing/credits")["balance_cents"] == 0
    assert b"Paid $25.00" in send(server.url, "GET", checkout.headers["location"]).body
    assert api.get("/v1/billing/credits")["balance_cents"] == 2500
    assert api("POST", "/v1/jobs", JOB, Idempotency_Key="k").status == 201
    assert send(server.url, "POST", action.replace("2500", "2501")).status == 404
    assert send(server.url, "GET", "/purchase/org_nobody").status == 404


def test_low_balance_once(server: MockServer) -> None:
    """credits.low_balance comes when the balance crosses the threshold, not again below it."""
    api = Caller(server, server.create_organization(cents=700).api_key)
    for expected in (0, 1, 1):
        api.create_job(files_needed=1, price_per_file_cents=150)
        assert len(events(api, "credits.low_balance")) == expected
    assert events(api, "credits.low_balance") == [{"balance_cents": 400, "threshold_cents": 500}]


def test_auto_top_up(server: MockServer) -> None:
    """With auto top-up the balance is filled when it falls below the threshold, or is there already."""
    api = Caller(server, server.create_organization(cents=1000).api_key)
    settings = api(
        "PATCH",
        "/v1/organization/settings",
        {"auto_top_up_enabled": True, "auto_top_up_threshold_cents": 600},
    ).json
    assert settings["auto_top_up_amount_cents"] == 2500
    assert api.get("/v1/billing/credits")["balance_cents"] == 1000
    api.create_job(files_needed=1, price_per_file_cents=500)
    assert api.get("/v1/billing/credits")["balance_cents"] == 3000
    assert events(api, "credits.auto_topped_up") == [{"amount_cents": 2500, "balance_cents": 3000}]
    api("PATCH", "/v1/organization/settings", {"auto_top_up_threshold_cents": 3001})
    assert api.get("/v1/billing/credits")["balance_cents"] == 5500


def test_credit_expires(server: MockServer) -> None:
    """Granted credit is announced 30 days before it expires after a year; what is in escrow expires on refund."""
    api = Caller(server, server.create_organization(cents=600, free_tier=True).api_key)
    (grant,) = api.get("/v1/billing/transactions")["data"]
    assert grant["type"] == "free_tier"
    assert grant["expires_at"] is not None
    server._world.jobs.workforce = Workforce()
    job = api.create_job(files_needed=1, price_per_file_cents=50)["id"]
    server.clock.advance(days=336)
    assert events(api, "credits.expiring_soon")[0]["amount_cents"] == 550
    server.clock.advance(days=30)
    assert events(api, "credits.expired") == [{"amount_cents": 550, "balance_cents": 0}]
    assert events(api, "credits.low_balance")[0]["balance_cents"] == 0
    api("POST", f"/v1/jobs/{job}/cancel")
    assert api.get("/v1/billing/credits")["total_cents"] == 0
    kinds = [item["type"] for item in api.get("/v1/billing/transactions")["data"]]
    assert kinds == ["expiration", "refund", "expiration", "deduction", "free_tier"]
    assert events(api, "credits.expired")[0] == {"amount_cents": 50, "balance_cents": 0}


def test_spent_credit_does_not_expire(hand: MockServer, by_hand: Caller) -> None:
    """Bonus credit is spent before purchases, so that nothing is left to expire."""
    hand.grant_credits(100)
    job = by_hand.create_job(files_needed=2, price_per_file_cents=100)["id"]
    hand.submit(job)
    hand.clock.advance(days=400)
    assert events(by_hand, "credits.expired") == []
    by_hand("POST", f"/v1/jobs/{job}/cancel")
    assert by_hand.get("/v1/billing/credits")["balance_cents"] == 100_000


def test_audit_trail(server: MockServer, api: Caller) -> None:
    """What was done is on record, by whom, and can be filtered."""
    job = api.create_job(files_needed=1)["id"]
    server.clock.advance(hours=1)
    other_job = api.create_job()["id"]
    key = api("POST", "/v1/api_keys", {"name": "ci"}).json["id"]
    webhook = api("POST", "/v1/webhook_endpoints", {"url": "https://example.com/x"}).json["id"]
    for method, path, body in (
        ("POST", f"jobs/{other_job}/cancel", None),
        ("POST", f"api_keys/{key}/rotate", None),
        ("POST", f"api_keys/{key}/revoke", None),
        ("PATCH", f"webhook_endpoints/{webhook}", {"enabled": False}),
        ("POST", f"webhook_endpoints/{webhook}/rotate_secret", None),
        ("DELETE", f"webhook_endpoints/{webhook}", None),
        ("PATCH", "organization/settings", {"default_type": "feedback"}),
    ):
        assert api(method, f"/v1/{path}", body).status < 300
    bought = api("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).json["checkout_url"]
    send(server.url, "GET", bought)

    def types(query: str) -> list[str]:
        return [event["event_type"] for event in api.get(f"/v1/audit-events?limit=100&{query}")["data"]]

    assert types(f"job_id={job}")[-1] == "job.created"
    assert types(f"job_id={job}")[0] == "job.completed"
    assert types("event_type=job.cancelled") == ["job.cancelled"]
    assert {"api_key.created", "api_key.rotated", "api_key.revoked", "submission.approved"} <= set(types(""))
    endpoints = [f"webhook_endpoint.{action}" for action in ("deleted", "secret_rotated", "updated")]
    assert types("")[:5] == ["credits.purchased", "settings.updated", *endpoints]
    assert types("event_type=webhook_endpoint.created")
    (created,) = api.get(f"/v1/audit-events?job_id={other_job}&event_type=job.created")["data"]
    assert created["actor"] == api.get("/v1/me")["api_key_id"]


def test_rate_limit(server: MockServer, api: Caller) -> None:
    """A key may make so many requests in 60 virtual seconds from its first; refused ones do not count."""
    server.rate_limit = 3
    remainders = [api("GET", "/v1/me").headers["x-ratelimit-remaining"] for _ in range(3)]
    assert remainders == ["2", "1", "0"]
    server.clock.advance(seconds=50)
    refused = api("GET", "/v1/me")
    assert (refused.status, refused.error["type"]) == (429, "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-limit"] == "3"
    assert Caller(server, server.create_key())("GET", "/v1/me").status == 200
    server.clock.advance(seconds=11)
    assert api("GET", "/v1/me").headers["x-ratelimit-remaining"] == "2"


def test_standstill_hangs_nobody() -> None:
    """At speed 0 a client whose window is spent gets its error without a wait, until the clock is advanced."""
    with MockServer(speed=0, rate_limit=2) as server, server.client() as client:
        client.me()
        client.me()
        with pytest.raises(RateLimitError, match="time stands still"):
            client.me()
        assert len(server.requests) == 3  # a client that waits asks again
        server.clock.advance(minutes=1)
        client.me()
        server.rate_limit = None
        for _ in range(3):
            client.me()


def test_standstill_ends_a_wait(connect: Connect) -> None:
    """Nothing waits for a time that never comes; and the error does not name a period that the limit does not have."""
    with MockServer(speed=0, workers=False) as server:
        client = connect(server, frozen=True)
        job = client.jobs.create(**JOB)
        server.rate_limit = 1
        with pytest.raises(RateLimitError) as caught:
            client.jobs.wait(job.id)
    assert re.fullmatch(
        r"Too many requests, and time stands still: advance the clock, or set rate_limit to None\. "
        r"\(HTTP 429 rate_limit_exceeded, req_\w+\)",
        str(caught.value),
    )


def test_rate_limit_times_are_real() -> None:
    """The reset and Retry-After are told in the client's time."""
    with MockServer(speed=2) as server:  # half of a minute: a busy machine makes two requests in it
        server.rate_limit = 1
        api = Caller(server, server.api_key)
        reply = api("GET", "/v1/me")
        date = parsedate_to_datetime(reply.headers["date"]).timestamp()
        assert 0 < int(reply.headers["x-ratelimit-reset"]) - date <= 32
        refused = api("GET", "/v1/me")
        assert 1 <= int(refused.headers["retry-after"]) <= 30


def test_organization_rate_limit(server: MockServer, api: Caller) -> None:
    """The organization's limit holds over all its keys."""
    server.rate_limit = 100
    server.organization_rate_limit = 2
    test = Caller(server, server.test_api_key)
    assert [api("GET", "/v1/me").status, test("GET", "/v1/me").status, test("GET", "/v1/me").status] == [
        200,
        200,
        429,
    ]
    server.clock.advance(seconds=1)
    assert api("GET", "/v1/me").status == 200
    server.organization_rate_limit = None
    assert server.organization_rate_limit is None
    assert server.rate_limit == 100
    assert api("GET", "/v1/me").status == 200


def test_idempotency_of_reordered_bodies(server: MockServer, api: Caller) -> None:
    """The order of fields is no difference; a sandbox of the same organization is one."""
    first = api("POST", "/v1/jobs", JOB, Idempotency_Key="k").json["id"]
    assert api("POST", "/v1/jobs", dict(reversed(JOB.items())), Idempotency_Key="k").json["id"] == first
    sandbox = Caller(server, server.test_api_key)
    assert sandbox("POST", "/v1/jobs", JOB, Idempotency_Key="k").json["id"] != first


def test_filter_with_nothing_left(api: Caller) -> None:
    """has_more is about items that pass the filter."""
    api.create_job()
    api.create_job(type="feedback")
    page = api.get("/v1/jobs?type=feedback&limit=1")
    assert (len(page["data"]), page["has_more"]) == (1, False)


@pytest.mark.parametrize(
    "query",
    [
        "limit=abc",
        "limit=",
        "limit=1.0",
        "limit=%2B1",
        "limit=1&limit=2",
        "cursor=",
        "cursor=%00",
        "cursor=MTox",
        "cursor=%F0%9F",
        "cursor=" + "A" * 400,
        "created_after=2026-02-30",
        "created_after=1",
    ],
)
def test_bad_queries(api: Caller, query: str) -> None:
    """A query that is not what the contract says is a 400 that names the parameter."""
    reply = api("GET", f"/v1/jobs?{query}")
    assert (reply.status, reply.error["details"][0]["field"]) == (400, query.partition("=")[0])


def test_cursor_of_another_list(api: Caller) -> None:
    """A cursor belongs to its list."""
    for _ in range(2):
        api.create_job()
    cursor = api.get("/v1/jobs?limit=1")["next_cursor"]
    assert api("GET", f"/v1/audit-events?cursor={cursor}").status == 400


def test_deprecation(server: MockServer, api: Caller) -> None:
    """A deprecated endpoint says so, and is a 410 after its sunset."""
    sunset = datetime.now(UTC) + timedelta(days=10)
    server.deprecate("/v1/me", sunset=sunset, link="https://example.com/v2/me")
    server.deprecate("/v1/jobs", method="post")
    reply = api("GET", "/v1/me")
    assert (reply.status, reply.headers["deprecation"]) == (200, "true")
    assert parsedate_to_datetime(reply.headers["sunset"]) == sunset.replace(microsecond=0)
    assert reply.headers["link"] == '<https://example.com/v2/me>; rel="successor-version"'
    assert "deprecation" not in api("GET", "/v1/jobs").headers
    assert "sunset" not in api("POST", "/v1/jobs", JOB).headers
    server.clock.advance(days=10, minutes=1)
    gone = api("GET", "/v1/me")
    assert (gone.status, gone.error["type"], gone.headers["deprecation"]) == (410, "gone", "true")
    with pytest.raises(ValueError, match="time zone"):
        server.deprecate("/v1/me", sunset=datetime(2026, 1, 1))

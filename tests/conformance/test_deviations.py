"""Each deviation of a server from the contract is caught by the promise that it breaks, and by no other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from firsthandapi.conformance import check

from .support import Deviating, Deviation, Passing

JOBS = "/v1/jobs"


def change(method: str, path: str, **fields: Any) -> Callable[[Passing], None]:
    """Change fields of the responses of one endpoint; a function gets the value, None leaves the field out."""

    def tell(it: Passing) -> None:
        if it.at(method, path) and it.status < 300 and it.body:
            found = it.json
            for item in found["data"] if found.get("object") == "list" else [found]:
                for name, value in fields.items():
                    if value is None:
                        item.pop(name, None)
                    elif name in item or not callable(value):
                        item[name] = value(item[name]) if callable(value) else value
            it.say(found)

    return tell


def become(method: str, path: str, before: int, after: int, body: Any = None) -> Callable[[Passing], None]:
    """Another status where there was this one."""

    def tell(it: Passing) -> None:
        if it.at(method, path) and it.status == before:
            it.say(it.json if body is None else body, after)

    return tell


def without(header: str) -> Callable[[Passing], None]:
    """Responses without a header."""
    return lambda it: it.reply.pop(header, None)  # type: ignore[return-value] # nobody looks at it


def deaf(method: str, path: str, *, header: str = "", parameter: str = "") -> Callable[[Passing], None]:
    """A server that ignores a header or a parameter."""

    def ask(it: Passing) -> None:
        if it.at(method, path):
            it.headers.pop(header, None)
            it.query = urlencode([pair for pair in parse_qsl(it.query) if pair[0] != parameter])

    return ask


def error(**fields: Any) -> Callable[[Passing], None]:
    """Errors with other fields."""

    def tell(it: Passing) -> None:
        if it.status >= 400 and it.path.startswith("/v1"):
            found = it.json
            found["error"] = {
                name: value for name, value in {**found["error"], **fields}.items() if value is not None
            }
            it.say(found)

    return tell


def unlimited(it: Passing) -> None:
    """Whoever asks for too much gets all."""
    it.query = re.sub("limit=(101|0)", "limit=100", it.query)


def reversed_list(it: Passing) -> None:
    if it.at("GET", JOBS) and it.status == 200:
        it.say({**it.json, "data": it.json["data"][::-1]})


def endless(it: Passing) -> None:
    if it.at("GET", JOBS) and it.status == 200:
        it.say({**it.json, "has_more": True, "next_cursor": None})


def fresh_keys(it: Passing) -> None:
    """Each request is a first one."""
    if it.at("POST", JOBS) and "idempotency-key" in it.headers:
        it.headers["idempotency-key"] += str(time.monotonic_ns())


def html(it: Passing) -> None:
    if it.status == 404:
        it.body, it.reply["content-type"] = b"<html>Not found</html>", "text/html"


def dollars(it: Passing) -> None:
    name = "x-firsthandapi-credits-remaining"
    if name in it.reply:
        it.reply[name] = f"{int(it.reply[name]) / 100:.2f}"


def milliseconds(it: Passing) -> None:
    if "x-ratelimit-reset" in it.reply:
        it.reply["x-ratelimit-reset"] += "000"


def stuck(it: Passing) -> None:
    """The number of requests that are left does not fall."""
    if "x-ratelimit-remaining" in it.reply:
        it.reply["x-ratelimit-remaining"] = it.reply["x-ratelimit-limit"]


def keyless(method: str, path: str) -> Callable[[Passing], None]:
    """Whoever has any key is the owner."""

    def ask(it: Passing) -> None:
        if it.at(method, path) and "authorization" in it.headers:
            it.headers["authorization"] = "Bearer OWNER"

    return ask


def a_cent_too_few() -> Callable[[Passing], None]:
    """Each time it is read, the balance is a cent less."""
    reads = iter(range(1_000))

    def tell(it: Passing) -> None:
        if it.at("GET", "/v1/billing/credits") and it.status == 200:
            it.say({**it.json, "balance_cents": it.json["balance_cents"] - next(reads)})

    return tell


def untouched_settings(it: Passing) -> None:
    """A PATCH says what was asked for, and changes nothing."""
    if it.at("PATCH", "/v1/organization/settings"):
        it.method = "GET"
        it.headers.pop("content-type", None)


CREDITS, KEYS, HOOKS = "/v1/billing/credits", "/v1/api_keys", "/v1/webhook_endpoints"
FILES, FILE = "/v1/jobs/:id/files", "/files/:id"


@dataclass(frozen=True)
class Case:
    """A deviation, the promises that are tried, and those that it breaks."""

    tried: str
    broken: str
    deviation: Deviation


def tell(name: str, tried: str, broken: str, *changes: Callable[[Passing], object]) -> Any:
    def all_of_them(it: Passing) -> None:
        for each in changes:
            each(it)

    return pytest.param(Case(tried, broken, Deviation(tell=all_of_them)), id=name)


def ask(name: str, tried: str, broken: str, change: Callable[[Passing], object]) -> Any:
    return pytest.param(Case(tried, broken, Deviation(ask=change)), id=name)


CASES = [
    tell(
        "total cost",
        "jobs.create*",
        "jobs.create.cost",
        change("POST", JOBS, total_cost_cents=lambda v: v - v % 10),
    ),
    tell("200 for 201", "jobs.create", "jobs.create", become("POST", JOBS, 201, 200)),
    tell("a field is missing", "jobs.*get*", "jobs.get", change("GET", "/v1/jobs/:id", files_approved=None)),
    tell("a field is a string", "jobs.*get*", "jobs.get", change("GET", "/v1/jobs/:id", files_needed=str)),
    tell("an id without its prefix", "jobs.create", "jobs.create", change("POST", JOBS, id=lambda v: v[4:])),
    tell(
        "local times",
        "jobs.*get*",
        "jobs.get",
        change("GET", "/v1/jobs/:id", created_at=lambda v: v[:-1] + "+00:00"),
    ),
    tell("an unknown status", "jobs.create", "jobs.create", change("POST", JOBS, status="pending")),
    tell("no request id", "key.*", "key.missing key.unknown key.scheme", error(request_id=None)),
    tell(
        "an error as a string",
        "key.missing",
        "key.missing",
        lambda it: it.status == 401 and it.say({"error": "no"}),
    ),
    tell("an error in HTML", "paths.*", "paths.unknown", html),
    tell(
        "another type",
        "jobs.create.price.*",
        "jobs.create.price.low jobs.create.price.high",
        error(type="validation_error"),
    ),
    tell("no details", "jobs.create.title", "jobs.create.title", error(details=None)),
    tell(
        "details of another field",
        "jobs.create.title",
        "jobs.create.title",
        error(details=[{"field": "name", "message": "long"}]),
    ),
    tell(
        "500 for bad JSON",
        "bodies.*",
        "bodies.json",
        lambda it: b"not valid JSON" in it.body and it.say(it.json, 500),
    ),
    tell("403 for an unknown id", "jobs.get*", "jobs.get.unknown", become("GET", "/v1/jobs/:id", 404, 403)),
    tell("the other environment", "me", "me", change("GET", "/v1/me", environment="live")),
    ask("keys are not checked", "key.*", "key.unknown key.scheme", keyless("GET", "/v1/me")),
    ask("scopes are not checked", "credits.*", "credits.scope", keyless("GET", CREDITS)),
    ask("others' jobs are shown", "strangers", "strangers", keyless("GET", "/v1/jobs/:id")),
    ask("revoked keys work", "api_keys.revoke*", "api_keys.revoke", keyless("GET", "/v1/me")),
    tell("secrets in the list", "api_keys.*", "api_keys.masked", change("GET", KEYS, secret="fh_test_shown")),
    tell(
        "revoke with a body",
        "api_keys.revoke*",
        "api_keys.revoke",
        become("POST", f"{KEYS}/:id/revoke", 204, 200, {}),
    ),
    tell(
        "all scopes but one",
        "api_keys.create*",
        "api_keys.create.all_scopes",
        lambda it: (
            it.at("GET", "/v1/me")
            and len(it.json["scopes"]) == 8
            and it.say({**it.json, "scopes": it.json["scopes"][1:]})
        ),
    ),
    ask(
        "idempotency keys are ignored",
        "idempotency.*",
        "idempotency.length idempotency.marked idempotency.together",
        fresh_keys,
    ),
    ask("each POST is new", "jobs.create.idempotency*", "jobs.create.idempotency", fresh_keys),
    tell("replays are not marked", "idempotency.*", "idempotency.marked", without("idempotent-replayed")),
    tell(
        "another body passes",
        "jobs.create.idempotency*",
        "jobs.create.idempotency",
        become("POST", JOBS, 409, 201),
    ),
    tell(
        "cancelled twice",
        "jobs.cancel*",
        "jobs.cancel.twice",
        become("POST", "/v1/jobs/:id/cancel", 409, 200),
    ),
    tell("a cent is lost", "escrow*", "escrow escrow.once escrow.paid", a_cent_too_few()),
    tell("it does not add up", "credits", "credits", change("GET", CREDITS, held_cents=7)),
    tell(
        "rated while open",
        "jobs.rate.[es]*",
        "jobs.rate.early",
        become("POST", "/v1/jobs/:id/rate", 409, 200),
    ),
    ask(
        "Prefer is ignored",
        "jobs.wait.[tcf]*",
        "jobs.wait.timeout jobs.wait.change",
        deaf("GET", "/v1/jobs/:id", header="prefer"),
    ),
    ask("a limit beyond the bounds", "jobs.list.*", "jobs.list.limit", unlimited),
    ask("a limit is ignored", "jobs.list.[lp]*", "jobs.list.limit", deaf("GET", JOBS, parameter="limit")),
    ask(
        "cursors are ignored",
        "jobs.list.*",
        "jobs.list.cursor jobs.list.walk",
        deaf("GET", JOBS, parameter="cursor"),
    ),
    tell("has_more without a cursor", "jobs.list.page", "jobs.list.page", endless),
    tell("oldest first", "jobs.list.[pt]*", "jobs.list.page", reversed_list),
    ask("a filter is ignored", "jobs.list.[sct]*", "jobs.list.status", deaf("GET", JOBS, parameter="status")),
    ask(
        "a date is ignored",
        "jobs.list.[sct]*",
        "jobs.list.created_after",
        deaf("GET", JOBS, parameter="created_after"),
    ),
    ask(
        "an audit filter is ignored",
        "audit.list.[je]*",
        "audit.list.job_id",
        deaf("GET", "/v1/audit-events", parameter="job_id"),
    ),
    tell(
        "no rate-limit headers",
        "headers.*",
        "headers.rate headers.rate_reset",
        without("x-ratelimit-remaining"),
        without("x-ratelimit-reset"),
    ),
    tell("nothing is counted", "headers.*", "headers.rate", stuck),
    tell("milliseconds", "headers.*", "headers.rate_reset", milliseconds),
    tell("credits in dollars", "headers.*", "headers.credits", dollars),
    tell("no Retry-After", "limits", "limits", without("retry-after")),
    tell(
        "another request id in the header",
        "errors.*",
        "errors.request_id",
        lambda it: it.reply.update({"x-request-id": "req_1"}),
    ),
    tell(
        "another hash", "downloads.[crt]*", "downloads.content", change("GET", FILES, content_hash="0" * 64)
    ),
    tell(
        "another size",
        "downloads.content",
        "downloads.content",
        change("GET", FILES, size_bytes=lambda v: v + 1),
    ),
    ask("Range is ignored", "downloads.[crt]*", "downloads.range", deaf("GET", FILE, header="range")),
    tell("a changed URL works", "downloads.[crt]*", "downloads.tampered", become("GET", FILE, 403, 200, {})),
    ask(
        "a key at the storage", "downloads.[ck]*", "downloads.key", deaf("GET", FILE, header="authorization")
    ),
    tell(
        "annotations of another kind",
        "files.[as]*",
        "files.annotations",
        change("GET", FILES, annotations={"type": "image", "objects": "a lamp"}),
    ),
    tell("5 stars in the sandbox", "files.[as]*", "files.sandbox", change("GET", FILES, ai_star_rating=5)),
    tell(
        "too few files",
        "files.approved",
        "files.approved",
        lambda it: it.at("GET", FILES) and it.say({**it.json, "data": it.json["data"][1:]}),
    ),
    ask("min_score is ignored", "files.m*", "files.min_score", deaf("GET", FILES, parameter="min_score")),
    tell(
        "no reasoning",
        "submissions.[se]*",
        "submissions.scored",
        change("GET", "/v1/jobs/:id/submissions", ai_reasoning=None),
    ),
    tell(
        "a sum of its own",
        "submissions.summary",
        "submissions.summary",
        change("GET", "/v1/submissions/summary", total=9),
    ),
    tell(
        "signed with another secret",
        "deliveries.[es]*",
        "deliveries.signature",
        change("POST", HOOKS, secret="whsec_other"),
    ),
    tell("an http:// endpoint", "webhooks.create*", "webhooks.create.https", become("POST", HOOKS, 422, 400)),
    tell(
        "a secret shown again",
        "webhooks.[gl]*",
        "webhooks.list.masked webhooks.get",
        change("GET", HOOKS, secret="whsec_1"),
        change("GET", f"{HOOKS}/:id", secret="whsec_1"),
    ),
    tell(
        "200 for a deletion",
        "webhooks.delete*",
        "webhooks.delete",
        become("DELETE", f"{HOOKS}/:id", 204, 200, {}),
    ),
    tell(
        "any amount is sold",
        "purchase purchase.amounts",
        "purchase.amounts",
        become("POST", "/v1/billing/credits/purchase", 400, 200, {"checkout_url": "https://x.example"}),
    ),
    ask(
        "settings do not stay",
        "settings settings.update settings.fields",
        "settings.update settings.fields",
        untouched_settings,
    ),
]

NONE = {"data": [], "has_more": False, "next_cursor": None}
SUBMISSIONS, EVENTS = "/v1/jobs/:id/submissions", "/v1/webhook_events"


def nothing(path: str) -> Callable[[Passing], object]:
    """An empty list."""
    return lambda it: it.at("GET", path) and it.status == 200 and it.say({**it.json, **NONE})


def part(body: bytes | None = None, **headers: str) -> Callable[[Passing], None]:
    """Downloads with another body, or other headers; an empty one is left out."""

    def tell(it: Passing) -> None:
        if it.at("GET", FILE) and it.status < 300:
            it.body = it.body if body is None or it.status != 206 else body
            for name, value in headers.items():
                it.reply[name.replace("_", "-")] = value
                if not value:
                    del it.reply[name.replace("_", "-")]

    return tell


def one(id: str, *changes: Callable[[Passing], object], named: str = "") -> Any:
    """A deviation that breaks the one promise that is tried."""
    return tell(f"{id} {named}".rstrip(), id, id, *changes)


CASES += [
    one("jobs.create", change("POST", JOBS, price_per_file_cents=99), named="another price"),
    one("jobs.create.defaults", change("POST", JOBS, min_star_rating=4)),
    one("jobs.create.fields", change("POST", JOBS, metadata={})),
    one("jobs.get", change("GET", "/v1/jobs/:id", total_cost_cents=99), named="another cost"),
    one("jobs.cancel", change("POST", "/v1/jobs/:id/cancel", status="open")),
    one("jobs.rate", change("POST", "/v1/jobs/:id/rate", buyer_rating=1)),
    one("api_keys.create", change("POST", KEYS, secret="fh_live_other"), named="another prefix"),
    one("api_keys.create", change("GET", "/v1/me", scopes=["jobs:read"]), named="other scopes"),
    one("api_keys.listed", nothing(KEYS)),
    one("api_keys.listed", change("GET", KEYS, name=5), named="another type"),
    one("submissions.scored", change("GET", SUBMISSIONS, status="pending_score")),
    one("submissions.every_status", change("GET", SUBMISSIONS, status="approved")),
    one("submissions.get", change("GET", "/v1/submissions/:id", ai_star_rating=1)),
    one("submissions.summary", change("GET", "/v1/submissions/summary", total=9, by_status={"approved": 9})),
    one("files.annotations", change("GET", FILES, annotations=None)),
    one("files.approved", change("GET", FILES, ai_star_rating=1)),
    one(
        "files.refresh",
        change("POST", "/v1/files/:id/refresh_url", download_url_expires_at="2020-01-01T00:00:00Z"),
    ),
    one(
        "files.expiry",
        change("POST", "/v1/files/:id/refresh_url", download_url_expires_at="2020-01-01T00:00:00Z"),
    ),
    one("downloads.content", part(content_type="text/plain"), named="another type"),
    one("downloads.range", part(b"??"), named="other bytes"),
    one("downloads.range", part(content_range=""), named="no Content-Range"),
    one("downloads.if_range", part(etag="")),
    one("webhooks.create", change("POST", HOOKS, description="other")),
    one("webhooks.get", change("GET", f"{HOOKS}/:id", url="https://other.example/")),
    one("webhooks.update", change("GET", f"{HOOKS}/:id", enabled=True)),
    one("events.get", nothing(EVENTS)),
    one("escrow.lack", error(shortfall_cents=1)),
    one("transactions.signs", change("GET", "/v1/billing/transactions", amount_cents=-5)),
    one("transactions.expiry", change("GET", "/v1/billing/transactions", expires_at="2030-01-01T00:00:00Z")),
    one("headers.rate", lambda it: it.reply.update({"x-ratelimit-remaining": "999999999"})),
    one("errors.request_ids", error(request_id="req_01JP0000000000000000000000")),
    one("jobs.list.status", nothing(JOBS), named="nothing"),
    one("audit.list.job_id", nothing("/v1/audit-events"), named="nothing"),
    one("submissions.list.min_score", nothing("/v1/submissions"), named="nothing"),
    one("credits", lambda it: it.at("GET", CREDITS) and it.reply.update({"content-type": "text/html"})),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Deviating]:
    with Deviating() as running:
        yield running


@pytest.mark.parametrize("case", CASES)
def test_a_deviation_is_caught_by_the_promise_that_it_breaks(server: Deviating, case: Case) -> None:
    """And by no other one of its kind; nothing is left behind."""

    def owner(it: Passing) -> None:
        case.deviation.ask(it)
        if it.headers.get("authorization") == "Bearer OWNER":
            it.headers["authorization"] = f"Bearer {server.test_api_key}"

    server.deviation = Deviation(owner, case.deviation.tell)
    report = check(server.url, api_key=server.test_api_key, only=case.tried.split())
    assert sorted(result.id for result in report.of("differs")) == sorted(case.broken.split())
    assert not report.ok
    assert report.left == ()

"""Wrong servers, each wrong in one way: the promises that it breaks, and what it does otherwise, in a line each.

A promise is the name of its test in `contract/`, without `test_`.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode

from contract.receiver import Delivery
from firsthandapi_server.http import app, deliveries, signing
from firsthandapi_server.rules import accounts
from support import Deviation, Passing

Change = Callable[[Passing], object]


@dataclass(frozen=True)
class Wrong:
    """A wrong server.

    Attributes:
        breaks: the promises that it breaks: patterns, and after `-` what of them it does not break.
        deviation: what it does otherwise.
        live: whether a live key shows it, which may write.
        options: of the server.
        patched: an object, the name of one of its attributes, and what the server has instead.
    """

    breaks: str
    deviation: Deviation = field(default_factory=Deviation)
    live: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    patched: tuple[Any, str, Any] | None = None


def told(breaks: str, change: Change, **more: Any) -> Wrong:
    """Other responses."""
    return Wrong(breaks, Deviation(tell=change), **more)


def asked(breaks: str, change: Change) -> Wrong:
    """Requests that are taken for other ones."""
    return Wrong(breaks, Deviation(ask=change))


def delivered(breaks: str, change: Callable[[Delivery], Delivery | None]) -> Wrong:
    """Other deliveries."""
    return Wrong(breaks, Deviation(deliver=change))


def on(line: str, change: Change) -> Change:
    """A change at one endpoint."""
    method, path = line.split()
    return lambda call: change(call) if call.at(method, path) else None


def fields(line: str, **values: Any) -> Change:
    """Other fields, in an object or in each item of a list; a function gets the value, None leaves the field out."""

    def change(call: Passing) -> None:
        if call.status < 300 and call.body:
            answer = call.json
            for item in answer["data"] if answer.get("object") == "list" else [answer]:
                for name, value in values.items():
                    if value is None:
                        item.pop(name, None)
                    elif name in item or not callable(value):
                        item[name] = value(item[name]) if callable(value) else value
            call.say(answer)

    return on(line, change)


def data(line: str, change: Callable[[list[Any]], list[Any]]) -> Change:
    """Other items in a list."""
    return on(
        line, lambda call: call.status == 200 and call.say({**call.json, "data": change(call.json["data"])})
    )


def becomes(line: str, source: int, target: int, body: Any = None) -> Change:
    """Another status where there was this one."""
    return on(
        line, lambda call: call.status == source and call.say(call.json if body is None else body, target)
    )


def deaf(line: str, *, header: str = "", parameter: str = "") -> Change:
    """A header or a parameter is ignored."""

    def change(call: Passing) -> None:
        call.headers.pop(header, None)
        call.query = urlencode([(name, value) for name, value in query(call).items() if name != parameter])

    return on(line, change)


def query(call: Passing) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(call.query).items()}


def misread(line: str, parameter: str) -> Change:
    """A time is read as if its offset were none."""

    def change(call: Passing) -> None:
        if parameter in (parameters := query(call)):
            call.query = urlencode({**parameters, parameter: parameters[parameter][:19] + "Z"})

    return on(line, change)


def body(line: str, **values: Any) -> Change:
    """A request as if its body had these fields; None leaves a field out."""

    def change(call: Passing) -> None:
        payload = {**json.loads(call.sent or b"{}"), **values}
        call.sent = json.dumps({name: value for name, value in payload.items() if value is not None}).encode()

    return on(line, change)


def cut(call: Passing) -> None:
    """Fractions in a body are cut off."""
    payload = json.loads(call.sent) if call.at("POST", "/v1/jobs") else {}
    if any(isinstance(value, float) for value in payload.values()):
        whole = {name: int(value) if isinstance(value, float) else value for name, value in payload.items()}
        call.sent = json.dumps(whole).encode()


def error(**values: Any) -> Change:
    """Errors with other fields; None leaves a field out."""

    def change(call: Passing) -> None:
        if call.status >= 400 and call.path.startswith("/v1"):
            details = {**call.json["error"], **values}
            call.say({"error": {name: value for name, value in details.items() if value is not None}})

    return change


def header(name: str, value: str | Callable[[str], str] | None) -> Change:
    """Another value of a header; None leaves it out."""

    def change(call: Passing) -> None:
        if name in call.reply:
            call.reply[name] = value(call.reply[name]) if callable(value) else value or ""
            if value is None:
                del call.reply[name]

    return change


def owner(line: str) -> Change:
    """Whoever has any key is the owner."""
    return on(
        line,
        lambda call: "authorization" in call.headers and call.headers.update(authorization="Bearer OWNER"),
    )


def part(content: bytes = b"", **headers: str) -> Change:
    """Downloads with other bytes in a part, or other headers; an empty one is left out."""

    def change(call: Passing) -> None:
        if call.status < 300:
            call.body = content if content and call.status == 206 else call.body
            call.reply.update({name.replace("_", "-"): value for name, value in headers.items()})
            call.reply = {name: value for name, value in call.reply.items() if value}

    return on(FILE, change)


def fresh(call: Passing) -> None:
    """Each POST is a first one."""
    if call.method == "POST" and 0 < len(call.headers.get("idempotency-key", "")) < 200:
        call.headers["idempotency-key"] += str(time.monotonic_ns())


def stored_errors() -> Change:
    """An error is kept for its key."""
    responses: dict[str, tuple[Any, int]] = {}

    def change(call: Passing) -> None:
        key = call.headers.get("idempotency-key", "")
        if key in responses:
            call.say(*responses[key])
        elif call.method == "POST" and 400 <= call.status != 401:
            responses[key] = (call.json, call.status)

    return change


def offset_ask(call: Passing) -> None:
    """Cursors are offsets: what is posted meanwhile moves the pages."""
    parameters = query(call)
    if call.at("GET", "/v1/jobs") and "limit" in parameters:
        start = int(parameters.pop("cursor", "0") or 0)
        call.notes["offset"] = start
        call.query = urlencode({**parameters, "limit": int(parameters["limit"]) + start})


def offset_tell(call: Passing) -> None:
    if "offset" in call.notes and call.status == 200:
        page = call.json
        rows = page["data"][call.notes["offset"] :]
        cursor = str(call.notes["offset"] + len(rows)) if page["has_more"] else None
        call.say({**page, "data": rows, "next_cursor": cursor})


def on_page_two(call: Passing) -> None:
    """With a cursor, filters are forgotten."""
    for name in {"status", "type", "event_type"} & query(call).keys() if "cursor" in call.query else ():
        call.say({**call.json, "data": [{**item, name: "another"} for item in call.json["data"]]})


def repeated() -> Callable[[Delivery], Delivery | None]:
    """An event comes once only."""
    seen: set[Any] = set()

    def change(delivery: Delivery) -> Delivery | None:
        key = (delivery.event.get("id"), delivery.headers.get("x-firsthandapi-signature"))
        seen.add(key) if (is_new := key not in seen) else None
        return delivery if is_new else None

    return change


def event(**values: Any) -> Callable[[Delivery], Delivery]:
    """Events with other fields; None leaves a field out."""

    def change(delivery: Delivery) -> Delivery:
        payload = {name: value for name, value in {**delivery.event, **values}.items() if value is not None}
        return replace(delivery, body=json.dumps(payload).encode())

    return change


def event_data(**values: Any) -> Callable[[Delivery], Delivery]:
    return lambda delivery: event(data={**delivery.event["data"], **values})(delivery)


def everywhere(change: Change) -> Change:
    """A change of all responses in JSON."""
    return lambda call: change(call) if call.reply.get("content-type") == "application/json" else None


def raw(change: Callable[[bytes], bytes]) -> Change:
    """Another body, byte for byte."""
    return lambda call: setattr(call, "body", change(call.body))


def once(change: Callable[[str], str]) -> Change:
    """Another idempotency key, also where there is none."""

    def changed(call: Passing) -> None:
        if call.method == "POST":
            call.headers["idempotency-key"] = change(call.headers.get("idempotency-key", ""))

    return changed


def a_page(**values: Any) -> Change:
    """Other fields of pages."""
    return lambda call: call.status == 200 and b'"list"' in call.body and call.say({**call.json, **values})


def put(word: str, line: str, **lost: Any) -> Change:
    """A PATCH that names `word` is taken for a PUT: what it does not name is lost."""
    return lambda call: word.encode() in call.sent and body(line, **lost)(call)


def unlimited(call: Passing) -> None:
    """Whoever asks for too much gets all."""
    call.query = call.query.replace("limit=101", "limit=100").replace("limit=0", "limit=1")


def other_hashes(items: list[Any]) -> list[Any]:
    return [{**item, **({"content_hash": "0" * 64} if number else {})} for number, item in enumerate(items)]


def no_cursor(call: Passing) -> None:
    deaf(f"{call.method} {call.path}", parameter="cursor")(call)


def anybody(call: Passing) -> None:
    call.headers.setdefault("authorization", "Bearer OWNER")


def dwindling() -> Change:
    """Each time it is read, the balance is a cent less."""
    reads = iter(range(10_000))
    return lambda call: fields(CREDITS, balance_cents=lambda cents: cents - next(reads))(call)


def html(call: Passing) -> None:
    if call.status == 404:
        call.body, call.reply["content-type"] = b"<html>Not found</html>", "text/html"


NOTHING = {"object": "list", "data": [], "has_more": False, "next_cursor": None}
JOBS, NEW_JOB, JOB = "GET /v1/jobs", "POST /v1/jobs", "GET /v1/jobs/:id"
CANCEL, RATE = "POST /v1/jobs/:id/cancel", "POST /v1/jobs/:id/rate"
FILES, REFRESH, FILE = "GET /v1/jobs/:id/files", "POST /v1/files/:id/refresh_url", "GET /files/:id"
OF_JOB, SUBMISSIONS = "GET /v1/jobs/:id/submissions", "GET /v1/submissions"
SUMMARY, AUDIT = "GET /v1/submissions/summary", "GET /v1/audit-events"
KEYS, NEW_KEY = "GET /v1/api_keys", "POST /v1/api_keys"
HOOKS, NEW_HOOK, HOOK = (
    "GET /v1/webhook_endpoints",
    "POST /v1/webhook_endpoints",
    "GET /v1/webhook_endpoints/:id",
)
PATCH_HOOK, EVENTS = "PATCH /v1/webhook_endpoints/:id", "GET /v1/webhook_events"
CREDITS, TRANSACTIONS = "GET /v1/billing/credits", "GET /v1/billing/transactions"
PURCHASE, ME, SETTINGS = "POST /v1/billing/credits/purchase", "GET /v1/me", "GET /v1/organization/settings"
PATCH_SETTINGS = "PATCH /v1/organization/settings"
REMAINING, RESET = "x-ratelimit-remaining", "x-ratelimit-reset"

UNCHECKED = "jobs_create_required jobs_create_bad[* jobs_create_price[low] jobs_create_price[high]"


def stale(body: bytes, secret: str, _: object) -> str:
    """Signed with the time of an hour ago."""
    stamp = str(int(time.time()) - 3600)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def soon_expired(signer: Any, method: str, path: str, query: Any, now: float) -> tuple[str, str] | None:
    """A URL that dies after an hour, whatever it says."""
    start = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return ("AccessDenied", "Expired") if now >= start + 3600 else _check(signer, method, path, query, now)


_check = signing.Signer.check


def in_bytes(call: Passing) -> None:
    """A description may have 5,000 bytes."""
    if b"\\u306f" * 5000 in call.sent:
        body(NEW_JOB, description="x" * 5001)(call)


class Cached:
    """Who a key is gets asked once: a key that was in use works on after it was revoked."""

    def __init__(self) -> None:
        self._used = set[str]()
        self._secrets: dict[str, str] = {}
        self._revoked = set[str]()

    def ask(self, call: Passing) -> None:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        if key in self._used & self._revoked:
            call.headers["authorization"] = "Bearer OWNER"
        self._used.add(key)

    def tell(self, call: Passing) -> None:
        if call.at("POST", "/v1/api_keys") and call.status == 201:
            self._secrets[call.json["id"]] = call.json["secret"]
        elif call.at("POST", "/v1/api_keys/:id/revoke"):
            self._revoked.add(self._secrets[call.path.split("/")[3]])


def gzipped(call: Passing) -> None:
    """A gateway that compresses all JSON."""
    if call.body and call.reply.get("content-type") == "application/json":
        call.body, call.reply["content-encoding"] = gzip.compress(call.body), "gzip"


def by_default(line: str, **values: str) -> Change:
    """A parameter that is left out has another value than it should."""
    return on(line, lambda call: setattr(call, "query", urlencode({**values, **query(call)})))


def hours_later(moment: str) -> str:
    return (datetime.fromisoformat(moment) + timedelta(hours=2)).isoformat(timespec="milliseconds")[:-6] + "Z"


CACHED = Cached()
# fmt: off
WRONG = [
    # every endpoint
    asked("key[* key_missing", anybody),
    asked("key_unknown key_scheme", owner(ME)),
    asked(
        "scope[*",
        lambda call: "authorization" in call.headers and call.headers.update(authorization="Bearer OWNER"),
    ),
    told("unknown[* paths_unknown", lambda call: call.status == 404 and call.say(call.json, 403)),
    told("every_response[json_text]", everywhere(raw(lambda body: b"\xef\xbb\xbf" + body))),
    told("every_response[json_text]", on(ME, raw(lambda body: body[:-1] + b',"x":NaN}'))),
    told("every_response[json_text]", on(ME, raw(lambda body: body[:-1] + b',"id":1,"id":2}'))),
    told("every_response[json_text]", on(ME, raw(lambda body: body.decode().encode("utf-16")))),
    told("every_response[json_type]", header("content-type", "text/html")),
    told("every_response[account_headers]", lambda call: call.status >= 400 and call.reply.pop(REMAINING, None)),
    told("every_response[account_headers] headers_credits", header("x-firsthandapi-credits-remaining", None)),
    told("every_response[date]", header("date", "Sat, 28 Nov 2020 00:00:00 GMT")),
    told("every_response[date]", header("date", "yesterday")),
    told("headers_rate headers_rate_reset every_response[account_headers] limits", header(RESET, None)),
    told("headers_rate", header(REMAINING, "999999999")),
    told("headers_rate", header(REMAINING, "1000000")),
    told("headers_rate_reset", header(RESET, lambda value: value + "000")),
    told("headers_credits", header("x-firsthandapi-credits-remaining", lambda value: value + ".00")),
    told("every_response[envelope] key_missing", lambda call: call.status == 401 and call.say({"error": "no"})),
    told("every_response[envelope] key_missing", error(request_id=None)),
    told("every_response[uncompressed]", gzipped),
    told("errors_request_ids", error(request_id="req_01JP0000000000000000000000")),
    told("every_response[request_id]", header("x-request-id", "req_1")),
    told("paths_unknown every_response[envelope]", html),
    told("paths_method", becomes("DELETE /v1/me", 405, 404)),
    told("bodies_large", lambda call: len(call.sent) > 1 << 20 and call.say({}, 500)),
    asked("strangers", owner(JOB)),
    told("signup_fields", becomes("POST /v1/auth/signup", 400, 422)),
    told("signup", fields("POST /v1/auth/signup", api_key="fh_live_other")),
    told("limits", header("retry-after", None)),
    told("limits", lambda call: call.status == 429 and call.reply.update({REMAINING: "1"})),
    told("limits_reset", lambda call: call.status == 200 and call.reply.update({REMAINING: "0"})),
    # money
    told("credits", fields(CREDITS, currency="eur")),
    told("credits", fields(CREDITS, held_cents=7)),
    told("credits", fields(CREDITS, balance_cents=float)),
    told("escrow escrow_paid escrow_once", dwindling()),
    told("escrow", becomes(CANCEL, 200, 409), live=True),
    told("escrow", fields(CREDITS, held_cents=0), live=True),
    told("escrow_partial", fields(CREDITS, balance_cents=5)),
    asked("escrow_replay idempotency_day idempotency_marked idempotency_together idempotency[*", fresh),
    told("escrow_lack", error(shortfall_cents=1)),
    told("transactions_signs", fields(TRANSACTIONS, amount_cents=-5)),
    told("transactions_expiry", fields(TRANSACTIONS, expires_at="2030-01-01T00:00:00Z")),
    told("list_filter[list_transactions-type]", fields(TRANSACTIONS, type=lambda _: f"{time.monotonic_ns()}")),
    told("purchase", fields(PURCHASE, checkout_url="nowhere")),
    told("purchase_amounts", becomes(PURCHASE, 400, 200, {"checkout_url": "https://x.example"})),
    # jobs
    told("jobs_create", becomes(NEW_JOB, 201, 200)),
    told("jobs_create", fields(NEW_JOB, price_per_file_cents=99)),
    told("jobs_create", fields(NEW_JOB, id=lambda value: value[4:])),
    told("jobs_create", fields(NEW_JOB, status="pending")),
    told("jobs_create_cost", fields(NEW_JOB, total_cost_cents=lambda cents: cents - cents % 10)),
    told("jobs_create_bounds[* jobs_create_price[least] jobs_create_price[most]", becomes(NEW_JOB, 201, 400)),
    told("jobs_create_bounds[*", fields(NEW_JOB, description=lambda text: text[:255])),
    told("jobs_create_bounds[*", fields(JOB, description=lambda text: text[:255])),
    asked("jobs_create_bounds[japanese]", in_bytes),
    told("jobs_create_time", fields(NEW_JOB, created_at=hours_later)),
    asked("jobs_deadline", body(NEW_JOB, deadline=None)),
    told("jobs_create_defaults", fields(NEW_JOB, min_star_rating=4)),
    told("jobs_create_fields", fields(NEW_JOB, description=lambda text: text.encode("ascii", "replace").decode())),
    told("jobs_create_fields", fields(NEW_JOB, description=escape)),
    told("jobs_create_fields", fields(NEW_JOB, location={})),
    told("jobs_metadata", fields(JOBS, metadata=None)),
    told("jobs_metadata", fields(JOB, metadata={})),
    told("jobs_create_deadline_offset", fields(NEW_JOB, deadline=lambda moment: moment and "2030" + moment[4:])),
    told(f"{UNCHECKED} bodies_json bodies_object idempotency_refused idempotency_length", becomes(NEW_JOB, 400, 201)),
    asked("jobs_create_bad[2.5* jobs_create_bad[*10.5*", cut),
    told("jobs_create_bad[*title*", error(details=None)),
    told("jobs_create_bad[*title*", error(details=[{"field": "name", "message": "long"}])),
    told("jobs_create_price[low] jobs_create_price[high]", error(type="validation_error")),
    told("jobs_create_free_tier", becomes(NEW_JOB, 403, 402)),
    told("jobs_get", fields(JOB, total_cost_cents=99)),
    told("jobs_get", fields(JOB, files_approved=None)),
    told("jobs_get", fields(JOB, files_needed=str)),
    told("jobs_get", fields(JOB, created_at=lambda moment: moment[:-1] + "+00:00")),
    told("jobs_progress", fields(JOB, status=lambda status: status.replace("in_progress", "open"))),
    told("jobs_progress", fields(JOB, files_approved=0)),
    told("jobs_cancel", fields(CANCEL, status="open")),
    told("jobs_cancel_braces", becomes(CANCEL, 200, 400)),
    told("jobs_cancel_twice", becomes(CANCEL, 409, 200)),
    told("jobs_rate", fields(RATE, buyer_rating=1)),
    told("jobs_rate_stars", becomes(RATE, 400, 200)),
    told("jobs_rate_early idempotency_errors", becomes(RATE, 409, 200)),
    asked("jobs_wait_timeout jobs_wait_change", deaf(JOB, header="prefer")),
    told("jobs_wait_finished", on(JOB, lambda call: call.headers.get("prefer") == "wait=20" and call.say({}, 409))),
    told("jobs_wait_most", header("preference-applied", "wait=600")),
    told("jobs_wait_malformed", on(JOB, lambda call: call.headers.get("prefer") == "wait=soon" and call.say({}, 400))),
    # lists
    told("list_page[*", a_page(has_more=True, next_cursor=None)),
    told("list_page[*", a_page(has_more=False, next_cursor="x")),
    told("list_page[*", a_page(has_more="no")),
    told("list_page[*", a_page(object="page")),
    told("list_page[list_jobs]", on(JOBS, lambda call: call.say({**call.json, "data": None}))),
    told("list_page[list_files]", on(FILES, lambda call: call.say({"object": "list", "data": [], "has_more": False}))),
    told("list_page[list_jobs]", on(JOBS, lambda call: call.say([]))),
    told("list_page[list_jobs]", data(JOBS, lambda items: items[::-1])),
    asked("list_limit[*", unlimited),
    asked("list_cursor[* list_walk[* -list_walk[list_transactions] list_filter[list_jobs-status]", no_cursor),
    told("list_walk[list_transactions]", data(TRANSACTIONS, lambda items: items[-1:]), live=True),
    told("list_filters[*", lambda call: call.status == 400 and call.method == "GET" and call.say(NOTHING, 200)),
    told("list_filter[list_jobs-status] list_filter[*-type] -list_filter[list_transactions-type]", on_page_two),
    asked("list_filter[list_jobs-status]", deaf(JOBS, parameter="status")),
    told("list_filter[list_jobs-status]", data(JOBS, lambda _: [])),
    asked("list_filter[list_jobs-type]", deaf(JOBS, parameter="type")),
    asked("list_filter[list_jobs-created_after]", deaf(JOBS, parameter="created_after")),
    asked("jobs_list_offsets", misread(JOBS, "created_after")),
    told("jobs_list_newest", data(JOBS, lambda items: items[1:])),
    told("jobs_list_newest", fields(JOBS, files_approved=1)),
    Wrong("jobs_list_shift", Deviation(offset_ask, offset_tell)),
    asked("list_filter[list_audit_events-job_id]", deaf(AUDIT, parameter="job_id")),
    asked("list_filter[list_audit_events-event_type]", deaf(AUDIT, parameter="event_type")),
    # files and downloads
    told("files_approved", data(FILES, lambda items: items[1:])),
    told("files_approved", fields(FILES, ai_star_rating=1)),
    told("files_new", data(FILES, lambda items: items[::-1])),
    told("files_withdrawn", fields(JOB, files_approved=2)),
    asked("list_filter[list_files-min_score]", deaf(FILES, parameter="min_score")),
    told("files_annotations", fields(FILES, annotations={"type": "image", "objects": "a lamp"})),
    told("files_annotations", fields(FILES, annotations=None)),
    told("files_submissions", fields(FILES, submission_id="sub_01JP0000000000000000000000")),
    told("files_sandbox", fields(FILES, ai_star_rating=5)),
    told("files_refresh files_expiry", fields(REFRESH, download_url_expires_at="2020-01-01T00:00:00Z")),
    told("downloads_content sdk_collect", data(FILES, other_hashes)),
    told("downloads_content", fields(FILES, size_bytes=lambda size: size + 1)),
    told("downloads_content", part(content_type="text/plain")),
    told("downloads_identity downloads_content downloads_range", part(content_encoding="gzip")),
    Wrong("downloads_expired", patched=(signing.Signer, "check", soon_expired)),
    asked("files_min_score_default", by_default(FILES, min_score="1")),
    asked("downloads_range", deaf(FILE, header="range")),
    told("downloads_range", part(b"??")),
    told("downloads_range", part(content_range="")),
    told("downloads_if_range", part(etag="")),
    told("downloads_tampered downloads_expired", becomes(FILE, 403, 200, {})),
    asked("downloads_key", deaf(FILE, header="authorization")),
    told("sandbox_completes", fields(JOB, status="open"), options=(("workers", True),)),
    # submissions
    told("submissions_scored", fields(OF_JOB, scored_at=None)),
    told("submissions_scored", fields(OF_JOB, status="pending_score")),
    told("submissions_every_status", fields(OF_JOB, status="approved")),
    asked("list_filter[list_job_submissions-status]", deaf(OF_JOB, parameter="status")),
    asked("list_filter[list_submissions-job_id]", deaf(SUBMISSIONS, parameter="job_id")),
    told("list_filter[list_submissions-status]", fields(SUBMISSIONS, status="rejected")),
    told("list_filter[list_submissions-min_score]", data(SUBMISSIONS, lambda _: [])),
    asked("list_filter[*-start_date] submissions_list_offsets", deaf(SUBMISSIONS, parameter="start_date")),
    asked("list_filter[list_submissions-end_date]", deaf(SUBMISSIONS, parameter="end_date")),
    asked("submissions_list_offsets", misread(SUBMISSIONS, "end_date")),
    told("submissions_retry", fields(OF_JOB, status="rejected")),
    asked("submissions_month", by_default(SUBMISSIONS, start_date="2000-01-01T00:00:00Z")),
    told("submissions_get", fields("GET /v1/submissions/:id", ai_star_rating=1)),
    told("submissions_summary", fields(SUMMARY, total=9)),
    told("submissions_summary", fields(SUMMARY, total=9, by_status={"approved": 9})),
    # keys and settings
    told("api_keys_create", fields(NEW_KEY, secret="fh_live_other")),
    told("api_keys_create", fields(ME, scopes=["jobs:read"])),
    told("api_keys_create_all_scopes", fields(ME, scopes=lambda scopes: scopes[1:])),
    told("api_keys_create_fields", becomes(NEW_KEY, 400, 201)),
    told("api_keys_sandbox", becomes(NEW_KEY, 403, 201)),
    told("api_keys_masked", fields(KEYS, secret="fh_test_shown")),
    told("api_keys_rotate", fields("POST /v1/api_keys/:id/rotate", secret="fh_test_other")),
    Wrong("api_keys_rotate_day", patched=(accounts, "DAY", 3600)),
    Wrong("api_keys_rotate_day", patched=(accounts, "DAY", 7 * 86400)),
    asked("api_keys_revoke", owner(ME)),
    Wrong("api_keys_revoke", Deviation(CACHED.ask, CACHED.tell)),
    told("api_keys_revoke", becomes("POST /v1/api_keys/:id/revoke", 204, 200, {})),
    told("api_keys_listed", data(KEYS, lambda _: [])),
    told("api_keys_listed", fields(KEYS, name=5)),
    told("me", fields(ME, environment="live")),
    told("settings", fields(SETTINGS, auto_top_up_enabled="no")),
    asked("settings_update", put("threshold", PATCH_SETTINGS, default_price_per_file_cents=50)),
    told("settings_fields", becomes(PATCH_SETTINGS, 400, 200)),
    # webhooks
    told("webhooks_create", fields(NEW_HOOK, description="other")),
    told("webhooks_create_https", becomes(NEW_HOOK, 422, 400)),
    told("webhooks_create_fields", becomes(NEW_HOOK, 400, 201)),
    told("webhooks_get", fields(HOOK, url="https://other.example/")),
    told("webhooks_get", fields(HOOK, secret="whsec_1")),
    told("webhooks_masked", fields(HOOKS, secret="whsec_1")),
    asked("webhooks_update", put("enabled", PATCH_HOOK, description="")),
    told("webhooks_update_https", becomes(PATCH_HOOK, 422, 200)),
    told("webhooks_delete", becomes("DELETE /v1/webhook_endpoints/:id", 204, 200, {})),
    told("webhooks_rotate_secret", fields("POST /v1/webhook_endpoints/:id/rotate_secret", secret="x")),
    told("events_listed", data(EVENTS, lambda _: [])),
    told("events_replay", fields("POST /v1/webhook_events/:id/replay", id="evt_01JP0000000000000000000000")),
    delivered("deliveries_envelope", event(created_at=None)),
    delivered("deliveries_signature deliveries_rotated", lambda post: replace(post, headers={})),
    delivered("deliveries_signature", lambda post: replace(post, headers={"x-firsthandapi-signature": "sha256=1"})),
    delivered("deliveries_signature", lambda post: replace(post, body=post.body.replace(b"1", b"2") + b" ")),
    Wrong("deliveries_signature", patched=(deliveries, "signature", stale)),
    delivered("deliveries_ids", event(id="evt_01JP0000000000000000000000")),
    delivered("deliveries_submission", event_data(status="scored")),
    delivered("deliveries_submission", event_data(submission_id="sub_01JP0000000000000000000000", id="sub_2")),
    delivered("deliveries_replay deliveries_retry", repeated()),
    asked("deliveries_events", body(NEW_HOOK, events=None)),
    asked("deliveries_disabled", body(PATCH_HOOK, enabled=True)),
    # idempotency keys
    Wrong("idempotency_day", patched=(app, "DAY", 3600)),
    told("idempotency_marked", header("idempotent-replayed", None)),
    told("idempotency[* -idempotency[*cancel]", lambda call: call.status == 409 and call.say({}, 201)),
    asked("idempotency_required[*", once(lambda key: key or f"{time.monotonic_ns()}")),
    asked("idempotency_whole", once(lambda key: key[:32])),
    asked("idempotency_whole", once(str.lower)),
    told("idempotency_refused idempotency_errors", stored_errors()),
    told("idempotency_path", fields(CANCEL, status="open")),
    asked("idempotency_strangers", owner(NEW_JOB)),
]
# fmt: on

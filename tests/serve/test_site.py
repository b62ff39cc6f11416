"""Bounds of all pages: who may call, how much, and how fast."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from dataset.support import wait_until
from firsthandapi import FirstHandClient
from firsthandapi_server.console.face import PageError
from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.contract.text import new_id
from firsthandapi_server.http.reading import validate
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.serve import app, limits, signing_in
from firsthandapi_server.serve.service import Service
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.state.model import Details, Facts, File
from firsthandapi_server.state.storage import StoredSource
from server.sqlite.support import FullDisk

from .conftest import JOB, Team, Visitor, first_of

_DETAILS = Details(0, {}, None, None)

PAGES = (
    "/",
    "/sign-in",
    "/review",
    "/static/serve.css",
    "/static/icon.svg",
    "/nothing",
    "/w/nothing",
    "/v1/me",
)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    ],
)
def test_pages_of_other_hosts_may_not_call(shared: Team, headers: dict[str, str]) -> None:
    """Neither by another name for this machine, nor by a request from elsewhere."""
    visitor = shared.visit()
    for path in PAGES:
        assert visitor.get(path, headers=headers).status_code in (403, 421), path


def test_every_page_is_closed_to_what_comes_from_elsewhere(shared: Team) -> None:
    """No page loads, embeds, or is embedded by anything else, nor tells others its address."""
    visitor = shared.visit("operator")
    for path in (*PAGES[:-1], "/console/people", "/console"):
        headers = visitor.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] in ("no-store", "no-cache")


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2faccess.py",
        "/static/%2fetc%2fpasswd",
        "/static/..\\app.py",
        "/static/serve.css%00.svg",
        "/static/templates",
        "/static/",
        "/review/media/../../access.db",
        "/files/../access.db",
        "/access.db",
        "//evil.example",
        "/%2e%2e/access.db",
        "/w/%00",
    ],
)
def test_no_path_leads_to_another_file(shared: Team, path: str) -> None:
    """There is nothing behind a path but pages."""
    visitor = shared.visit()
    # Past httpx, which would tidy the path.
    with socket.create_connection(("127.0.0.1", visitor.http.base_url.port or 0), 60) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert b"Traceback" not in answer


def test_bodies_are_bounded(shared: Team) -> None:
    """A form takes 64 kB, and the API 1 MB."""
    visitor = shared.visit()
    large = visitor.send("/sign-in", token="x" * 70_000)
    assert large.status_code == 413
    assert visitor.http.post("/sign-in", content=b"x" * (9 << 20)).status_code == 400
    assert visitor.http.post("/v1/jobs", content=b"x" * (2 << 20)).status_code in (400, 401)
    assert (
        visitor.http.post("/sign-in", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    )
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert visitor.http.post("/sign-in", content=b"\xff", headers=form).status_code == 400
    many = "&".join(f"f{number}=1" for number in range(200))
    assert visitor.http.post("/sign-in", content=many, headers=form).status_code == 400


@pytest.mark.parametrize(
    ("request_line", "header", "status"),
    [
        ("POST /v1/jobs", "x: x", 401),
        ("POST /v1/jobs", "authorization: Bearer fh_live_own_wrong", 401),
        ("PATCH /v1/webhook_endpoints/x", "x: x", 401),
        ("POST /v1/nothing", "x: x", 404),
        ("POST /sign-in", "origin: https://evil.example", 403),
    ],
)
def test_a_strangers_body_is_refused_at_its_head(
    shared: Team, request_line: str, header: str, status: int
) -> None:
    """Whoever has no good key is answered before the body comes, nothing of which is kept; the connection ends."""
    with socket.create_connection(("127.0.0.1", shared.service.port), 60) as raw:
        head = f"{request_line} HTTP/1.1\r\nhost: 127.0.0.1\r\n{header}\r\ncontent-length: {8 << 20}\r\n\r\n"
        raw.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"}}"):
            answer += raw.recv(65536)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.lower().count(b"\r\nconnection: close\r\n") == 1
    assert shared.visit().http.post("/v1/jobs", content=b"x" * 5000).status_code == 401
    assert not any(exchange.body for _, exchange in shared.service.site.log.numbered())


@pytest.mark.parametrize(("size", "arrives"), [(16 << 10, True), (100, False)])
def test_an_upload_takes_as_long_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, size: int, arrives: bool
) -> None:
    """A slow upload arrives after hours, and one that brings almost nothing ends: the least rate counts."""
    now = 0.0
    monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: now))

    async def receive() -> Message:
        nonlocal now
        now += 20
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": now < 10_000}

    async def upload() -> int:
        part, count = app._bounded(receive), 1
        while (await part())["more_body"]:
            count += 1
        return count

    if arrives:
        assert asyncio.run(upload()) == 500
    else:
        with pytest.raises(PageError, match="Almost nothing arrived for 30 seconds"):
            asyncio.run(upload())


def test_headers_are_bounded(shared: Team) -> None:
    """A head that does not end is cut off."""
    visitor = shared.visit()
    with socket.create_connection(("127.0.0.1", visitor.http.base_url.port or 0), 60) as raw:
        with contextlib.suppress(OSError):
            raw.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x-a: " + b"a" * 200_000)
        with contextlib.suppress(ConnectionError):
            assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_signups_are_for_this_machine_and_few(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers may not post jobs to a team's own people."""
    monkeypatch.setattr(limits, "SIGNUPS", 1)
    FirstHandClient.signup(name="Ana", email="ana@example.com", base_url=team.service.url)
    visitor = team.visit()
    reply = visitor.http.post("/v1/auth/signup", json={"name": "Ben", "email": "ben@example.com"})
    assert reply.status_code == 429
    assert reply.headers["retry-after"] == "3600"


def test_a_public_server(tmp_path: Path) -> None:
    """Beyond this machine all pages need a token, cookies are secure, signups closed, and the proxy is believed."""
    folder = tmp_path / "data"
    with Service(folder) as service:
        service.access.create("worker", "Ana", 0)
    with Service(folder, public_url="https://Photos.example.org:443/") as service:
        assert service.url == "https://photos.example.org"
        assert not service.is_local
        public = {"host": "photos.example.org", "x-forwarded-for": "9.9.9.9, 203.0.113.7"}
        visitor = Visitor(service, headers=public)
        assert visitor.get("/review").headers["location"] == "/sign-in?next=/review"
        assert visitor.get("/w/nothing").status_code == 404
        reply = visitor.get("/sign-in")
        (cookie,) = reply.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-firsthand_browser=")
        assert "Secure" in cookie
        assert reply.headers["strict-transport-security"].startswith("max-age=")
        signup = visitor.http.post("/v1/auth/signup", json={"name": "Ben", "email": "ben@example.com"})
        assert signup.status_code == 403
        assert visitor.get("/sign-in", headers={"origin": "https://photos.example.org"}).status_code == 200
        assert visitor.get("/sign-in", headers={"origin": "https://evil.example"}).status_code == 403
        # httpx keeps no secure cookie of a plain connection: so by hand.
        name, value = cookie.partition(";")[0].split("=", 1)
        token = service.access.form_token(value)
        sent = {"form_token": token, "token": "fh_x"}
        # Some proxies add a line of their own: the first may be the visitor's invention.
        last = ("x-forwarded-for", "203.0.113.7")
        for first in ("203.0.113.8", "203.0.113.9"):
            lines = [("x-forwarded-for", first), last, ("cookie", f"{name}={value}")]
            assert visitor.http.post("/sign-in", headers=lines, data=sent).status_code == 403
        assert [*service.site.limits._failures._windows] == ["203.0.113.7"]
        visitor.http.close()


def test_a_network_of_ipv6_is_one_visitor(tmp_path: Path) -> None:
    """Everyone has 2^64 addresses in theirs; of IPv4, an address is a visitor, in whatever notation."""
    with Service(tmp_path) as service:
        service.access.create("worker", "Ana", 0)
    with Service(tmp_path, public_url="https://photos.example.org") as service:

        def counted(address: str) -> str:
            scope = {"type": "http", "headers": [(b"x-forwarded-for", address.encode())]}
            return service.site.limits.address(Request(scope))

        assert counted("2001:db8::1") == counted("2001:DB8:0:0:ffff::2")
        assert counted("2001:db8::1") != counted("2001:db8:0:1::1")
        assert counted("::ffff:192.0.2.1") == counted("192.0.2.1") != counted("192.0.2.2")
        assert counted("fe80::1%eth0") == counted("fe80::2%eth0")
        assert counted("not an address" * 20) == ("not an address" * 20)[:100]


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "X-Real-IP"])
def test_no_proxy_in_front_of_a_server_for_this_machine(shared: Team, header: str, tmp_path: Path) -> None:
    """Everyone would be taken for the person at the machine; the guide says so."""
    visitor = shared.visit()
    for path in (*PAGES, "/console/people", "/console"):
        reply = visitor.get(path, headers={header: "203.0.113.7"})
        assert reply.status_code == 403, path
        assert "--public-url" in reply.json()["error"]["message"], path
    with Service(tmp_path / "local", public_url="http://localhost:8080") as service:
        local = Visitor(service, headers={header: "203.0.113.7"})
        assert local.get("/sign-in").status_code == 403
        local.http.close()
    guide = Path(__file__).resolve().parents[2].joinpath("docs", "guides", "operating.md")
    assert "Without it the server refuses" in " ".join(guide.read_text(encoding="utf-8").split())


def test_a_page_that_fails_says_so(
    shared: Team, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours is logged, and the visitor gets a page in words."""

    def fail(*_arguments: object) -> str:
        raise RuntimeError("no")

    visitor = shared.visit()
    monkeypatch.setattr(signing_in, "local_path", fail)
    reply = visitor.get("/sign-in")
    assert reply.status_code == 500
    assert "The server failed and logged the reason." in reply.text
    assert "a page failed on GET /sign-in" in caplog.text


def test_a_call_that_fails_says_so(
    shared: Team, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours in the API is a 500 in the documented envelope, and is logged."""

    def fail(*_arguments: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(shared.world.accounts, "authenticate", fail)
    reply = httpx.get(f"{shared.service.url}/v1/me", headers={"authorization": "Bearer x"}, timeout=60)
    assert reply.status_code == 500
    assert reply.json()["error"]["type"] == "internal_error"
    # The response goes out first.
    wait_until(lambda: "the server failed on GET /v1/me" in caplog.text)


def test_a_call_that_cannot_be_kept_changes_nothing(team: Team) -> None:
    """On a full disk, a job is a 503 that says so, and the balance that the response names is the old one."""
    headers = {"authorization": f"Bearer {first_of(team.service).live}", "idempotency-key": "one"}
    body = {**JOB, "type": "data_collection"}
    with FullDisk(team.world, "COMMIT"):
        reply = httpx.post(f"{team.service.url}/v1/jobs", json=body, headers=headers, timeout=60)
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "service_unavailable")
    assert reply.headers["x-firsthandapi-credits-remaining"] == "100000"
    reply = httpx.post(f"{team.service.url}/v1/jobs", json=body, headers=headers, timeout=60)
    assert reply.headers["x-firsthandapi-credits-remaining"] == "99850"


def test_the_console_shows_calls_and_takes_forms(team: Team) -> None:
    """Requests are logged there; nobody works by hand, and no page leads to, or takes, what only tests have."""
    team.buyer.me()
    visitor = team.visit("operator")
    assert "/v1/me" in visitor.get("/console/requests").text
    absent = ("Post an example job", "Faults", "×1", "by hand", "/faults", "/clock", "bundled server")
    empty = visitor.get("/console").text
    job = team.job()
    paths = ("", f"/jobs/{job.id}", "/deliveries", "/requests", "/ledger", "/people")
    for page in (empty, *(visitor.get(f"/console{path}").text for path in paths)):
        assert [words for words in absent if words in page] == []
    for path in ("/console/jobs", "/console/clock", "/console/reset", "/console/faults"):
        assert visitor.send(path, "/console/people").status_code in (404, 405)
    assert visitor.send(f"/console/jobs/{job.id}/cancel", f"/console/jobs/{job.id}").status_code == 303
    assert team.buyer.jobs.get(job.id).status == "cancelled"


def test_the_console_loads_a_page_of_what_is_kept(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is, a page shows the newest 100, and a link to the older ones."""
    visitor = team.visit("operator")
    team.buyer.webhooks.create(url="http://127.0.0.1:9/hooks")
    world = team.world
    monkeypatch.setattr(world.events, "send", lambda _delivery, _at: None)
    with world.lock:
        account, now = world.state.own, world.clock.now()
        fields = validate(JobBody, {**JOB, "type": "data_collection", "files_needed": 1}).model_dump()
        posted = [world.jobs.create(account, fields, "system", now, "").id for _ in range(600)]
        for job_id in posted[300:]:
            world.jobs.cancel(world.state.jobs[job_id], "system", now)
        wide = world.jobs.create(account, {**fields, "files_needed": 600}, "system", now, "")
        source = StoredSource(
            world.state.storage, new_id("blob_", now), Facts(1, "0" * 64, 9, 9, None), _DETAILS
        )
        for number in range(600):
            if number == 2:
                world.jobs.score(wide.submissions[1], now, Verdict([1], None))
            world.jobs.submit(wide, [File(new_id("file_", now), "image/jpeg", source, "a.jpg", now)], now)
        job_id = wide.id
        del wide
    loaded = 0
    make = KeptState.made

    def counted(*arguments: Any) -> Any:
        nonlocal loaded
        loaded += 1
        return make(*arguments)

    monkeypatch.setattr(KeptState, "made", counted)
    for path, row, first in (
        ("/console", '<div class="row-main"', 100),
        (f"/console/jobs/{job_id}", '<li class="card"', 100),
        ("/console/deliveries", '<div class="row-main"', 100),
        ("/console/ledger", "<tr><td", 124),
    ):
        loaded = 0
        page = visitor.get(path).text
        assert page.count(row) == first, path
        # In steps of 128 rows, and what they refer to.
        assert loaded < 600, path
        older = re.search(r'href="([^"]+)" rel="next">Older', page)
        assert older is not None, path
        older_page = visitor.get(path + older[1].replace("&amp;", "&")).text
        assert older_page.count(row) == first, path
        assert '">Newest</a>' in older_page
        ids = [set(re.findall(r'<li[^>]* id="(\w+)"', text)) for text in (page, older_page)]
        assert not ids[0] & ids[1]
    for path, count in (
        (f"/console/jobs/{job_id}?status=rejected", 1),
        ("/console/deliveries?status=failed", 0),
    ):
        loaded = 0
        assert visitor.get(path).text.count('id="sub_' if count else '<li id="dlv_') == count
        assert loaded < 100, path
    for path, most in (("/review", 20), ("/review?view=grid", 200), ("/review/waiting", 20)):
        loaded = 0
        assert "599" in visitor.get(path).text
        assert loaded < most, path


def test_a_page_that_has_not_changed_costs_a_few_bytes(team: Team) -> None:
    """It has an ETag of what it shows, and says in 300 bytes that it shows the same; so do scripts and styles."""
    job = team.job()
    link, visitor = team.service.site.links.path(job), team.visit("operator")
    paths = {link, f"/console/jobs/{job.id}", "/console", "/review", "/review/waiting", "/static/console.js"}
    tags = {path: visitor.get(path).headers["etag"] for path in paths}
    for path, etag in tags.items():
        same = visitor.get(path, headers={"if-none-match": f'"other", W/{etag}'})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag), path
        assert sum(len(name) + len(value) + 4 for name, value in same.headers.raw) < 300
    assert re.search(r"data-etag='(\S+)'", visitor.get(link).text)[1] == tags[link]  # type: ignore[index] # it is there
    team.sent(job)
    changed = {path for path, etag in tags.items() if visitor.get(path).headers["etag"] != etag}
    assert changed == paths - {"/static/console.js"}

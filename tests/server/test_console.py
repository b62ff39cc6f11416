"""The console, without a browser: pages, forms, media, and what an attacker tries. `tests/console` has the browser."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from firsthandapi.testing import MockServer
from firsthandapi_server.console import app as console
from firsthandapi_server.console import shown
from firsthandapi_server.http.requests import ReceivedRequest

from .conftest import JOB, Caller, Receiver, Reply, send

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202eevil"
HOSTILE: dict[str, object] = {
    "type": "image",
    "objects": [EVIL, {"label": EVIL}, 7, {"label": 3}],
    "scene": {"setting": EVIL, "indoor": True},
    "text_extraction": EVIL,
    "color_palette": ["url(javascript:alert(1))", '"/><script>', "#00FF00", 5],
}


def get(server: MockServer, path: str, **headers: str) -> Reply:
    """A page of the console."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(server.url, "GET", f"/console{path}", None, sent)


def post(server: MockServer, path: str, /, **fields: str) -> Reply:
    """A form of the console, as a browser sends it."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": server.url,
        "Sec-Fetch-Site": "same-origin",
    }
    return send(server.url, "POST", f"/console{path}", urlencode(fields).encode(), headers)


def text(reply: Reply) -> str:
    """A page that must be one."""
    assert reply.status == 200, reply.body
    return reply.body.decode()


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def busy(receiver: Receiver) -> Iterator[tuple[MockServer, dict[str, str]]]:
    """A server with hostile text wherever a stranger can put some, and the path of each of its pages."""
    with MockServer(speed=0, workers=False) as server:
        api = Caller(server, server.api_key)
        api("POST", "/v1/webhook_endpoints", {"url": receiver.url, "description": EVIL})
        job = api.create_job(
            title=EVIL[:100],
            description=EVIL * 2,
            scoring_criteria=EVIL,
            worker_guidelines=EVIL,
            location={"city": EVIL},
            metadata={EVIL: EVIL},
            files_per_submission=2,
            files_needed=6,
            accepted_formats=["image/png", "audio/mpeg", "video/mp4"],
        )["id"]
        work = server.submit(
            job, content=b"<svg onload=alert(1)>", original_filename=EVIL, annotations=HOSTILE, worker_id=EVIL
        )
        for annotations in ({"objects": 5, "scene": 5, "text_extraction": 5, "color_palette": 5}, None):
            server.submit(job, content_type="video/mp4", annotations=annotations)
        server.submit(job, content_type="audio/mpeg")
        server.clock.advance(minutes=1)
        pending = server.submit(job, files=2)
        event = server.emit(EVIL, {EVIL: EVIL})
        server.faults.add(path=f"/files/{EVIL.replace('/', '')}", headers={"x-a": "1"})
        api("GET", "/v1/jobs/%3Cscript%3Ealert(1)%3C%2Fscript%3E?a=%22%3E%3Cscript%3E&X-Amz-Signature=abc")
        api("POST", "/v1/jobs", b"\xff<script>" + EVIL.encode())
        server.clock.advance()
        number = server._front.log.numbered()[-1][0]
        paths = {
            "jobs": "",
            "job": f"/jobs/{job}",
            "deliveries": "/deliveries",
            "event": f"/events/{event}",
            "requests": "/requests",
            "request": f"/requests/{number}",
            "ledger": "/ledger",
            "faults": "/faults",
            "clock": "/clock",
            "media": f"/media/{work.submission_id}/{work.file_ids[0]}",
            "job id": job,
            "pending": pending.submission_id,
            "file id": work.file_ids[0],
        }
        yield server, paths
    server.check_books()


PAGES = ("jobs", "job", "deliveries", "event", "requests", "request", "ledger", "faults", "clock")


@pytest.mark.parametrize("page", PAGES)
def test_text_of_strangers_cannot_inject(busy: tuple[MockServer, dict[str, str]], page: str) -> None:
    """Whatever workers and buyers write is text on every page, hidden characters are visible, and no secret shows."""
    server, paths = busy
    reply = get(server, paths[page])
    html = text(reply)
    tags = Tags(html).found
    assert [attributes for tag, attributes in tags if tag == "script"] == [
        {"src": "/console/static/console.js", "defer": None}
    ]
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (
            tag,
            attributes,
        )
        for name in ("href", "src", "action", "data-live"):
            assert (attributes.get(name) or "/").startswith(("/", "?", "#")), (tag, attributes)
            assert not (attributes.get(name) or "").startswith("//")
        if tag == "rect":
            assert re.fullmatch("#[0-9A-Fa-f]{6}", attributes["fill"] or "")
    assert "\u202e" not in html
    assert "49evil" not in html
    for secret in (server.api_key, server.test_api_key, "whsec_"):
        assert secret.removeprefix("whsec_") == "" or secret not in html
    assert not re.search(r"whsec_[0-9a-f]", html)
    ids = [attributes["id"] for _, attributes in tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "path", ["", "/jobs/nobody", "/static/console.css", "/static/console.js", "/requests?page=x"]
)
def test_headers(hand: MockServer, path: str) -> None:
    """Every response allows only the console's own files, no frame, no guessing, and no inline code."""
    headers = get(hand, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_media_do_nothing(busy: tuple[MockServer, dict[str, str]]) -> None:
    """A worker's bytes come in a sandbox, as the type they are said to be, in parts if asked; nothing else comes."""
    server, paths = busy
    reply = get(server, paths["media"])
    assert (reply.status, reply.body) == (200, b"<svg onload=alert(1)>")
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert get(server, paths["media"], Range="bytes=0-3").body == b"<svg"
    of_another = f"/media/{paths['pending']}/{paths['file id']}"
    for path in (paths["media"] + "x", "/media/sub_x/file_x", "/media/../media", of_another):
        assert get(server, path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/templates/base.html",
        "/static/app.py",
        "/static//etc/passwd",
        "/templates/base.html",
        "/jobs/..%2f..%2fetc",
        "/requests/99999999999999999999",
        "/requests/-1",
        "/events/x",
        "/nope",
        "/",
    ],
)
def test_paths_lead_nowhere_else(hand: MockServer, path: str) -> None:
    """Only the three files are served, and an unknown path is a page that says so."""
    reply = get(hand, path)
    assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"Not found" in reply.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Origin": "", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
    ],
)
def test_only_the_console_sends_forms(hand: MockServer, headers: dict[str, str]) -> None:
    """No other page, of this machine or not, can send a form; nor can a request that needs no preflight."""
    job = Caller(hand, hand.api_key).create_job()["id"]
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": hand.url, **headers}
    reply = send(hand.url, "POST", f"/console/jobs/{job}/cancel", b"a=b", sent)
    assert reply.status in (403, 415, 421)
    assert Caller(hand, hand.api_key).job(job)["status"] == "open"


def test_forms_within_bounds(hand: MockServer) -> None:
    """An oversized, unreadable, or overfull form is refused, and so is a value out of bounds."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, status in (
        (b"a=" + b"b" * 65_536, 413),
        (b"a=" + b"b" * 2_000_000, 413),
        (b"amount=%ff", 400),
        (b"&".join(b"a=b" for _ in range(101)), 400),
        (b"amount=1e3", 400),
        (b"amount=-1", 400),
        (b"amount=100001", 400),
        (b"amount=%D9%A3", 400),
        (b"amount=1&unit=eons", 400),
        (b"amount=100000&unit=days&unit=days", 303),
    ):
        assert send(hand.url, "POST", "/console/clock", body, headers).status == status, body[:40]
    for fields in (
        {},
        {"kind": "nothing"},
        {"kind": "503", "times": "0"},
        {"kind": "503", "path": "x" * 501},
    ):
        assert post(hand, "/faults", **fields).status == 400
    assert hand.faults.active() == []


def test_work_by_hand(hand: MockServer, by_hand: Caller) -> None:
    """Forms submit, score, withdraw, and cancel, and lead back to the job with a word of what happened."""
    job = by_hand.create_job(files_needed=3, accepted_formats=["image/png"])["id"]
    for _ in range(2):
        done = post(hand, f"/jobs/{job}/submit", content_type="image/png", rating="5")
        assert (done.status, done.headers["location"]) == (303, f"/console/jobs/{job}?done=submitted")
    first, second = (
        item["id"] for item in reversed(by_hand("GET", f"/v1/jobs/{job}/submissions").json["data"])
    )
    assert "Score now" in text(get(hand, f"/jobs/{job}"))
    assert post(hand, f"/submissions/{first}/score", rating="5").status == 303
    assert post(hand, f"/submissions/{second}/score", rating="1").status == 303
    assert b"does not wait" in post(hand, f"/submissions/{second}/score", rating="5").body
    (file,) = by_hand.files(job)
    assert post(hand, f"/files/{file['id']}/withdraw").status == 303
    assert by_hand.files(job) == []
    assert post(hand, f"/files/{file['id']}/withdraw").status == 404
    assert post(hand, f"/jobs/{job}/submit", rating="6").status == 400
    assert "1 withdrawn" in text(get(hand, f"/jobs/{job}?done=withdrawn"))
    assert post(hand, f"/jobs/{job}/cancel").status == 303
    assert b"job is cancelled" in post(hand, f"/jobs/{job}/cancel").body
    assert b"$0.50</b> paid" in get(hand, f"/jobs/{job}").body
    for path in (
        "/jobs/x/cancel",
        "/jobs/x/submit",
        "/submissions/x/score",
        "/files/x/withdraw",
        "/events/x/replay",
    ):
        assert post(hand, path).status == 404


def test_filters_and_pages(hand: MockServer, by_hand: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are filtered by links, and each page leads to an older one; what comes meanwhile shifts nothing."""
    monkeypatch.setattr(console, "_PER_PAGE", 24)
    jobs = [by_hand.create_job(title=f"Job {number}")["id"] for number in range(30)]
    post(hand, f"/jobs/{jobs[0]}/cancel")
    first, second = text(get(hand, "")), text(get(hand, f"?before={jobs[6]}"))
    assert (first.count('class="row-main"'), second.count('class="row-main"')) == (24, 6)
    assert f'href="?before={jobs[6]}" rel="next">Older' in first
    assert ">Newest</a>" in second
    assert ">Older</a>" not in second
    assert text(get(hand, "?status=finished")).count('class="row-main"') == 1
    assert "No such jobs" in text(get(hand, "?before=job_nobody"))
    assert f"?status=active&amp;before={jobs[6]}" in text(get(hand, "?status=active"))
    posted = "/requests?method=POST&path=/v1/jobs&outcome=ok"
    page = text(get(hand, posted))
    assert page.count('<li id="r-') == 24
    older = re.search(r'href="([^"]+)" rel="next">Older', page)
    assert older is not None
    by_hand.create_job()
    page = text(get(hand, f"/requests{older[1].replace('&amp;', '&')}"))
    assert page.count('<li id="r-') == 6
    assert "No such requests" in text(get(hand, "/requests?outcome=failed"))
    assert "No such submissions" not in text(get(hand, f"/jobs/{jobs[1]}"))
    assert "?before=9" in text(get(hand, "/ledger"))  # 31 escrows, a refund, and the credit of the start
    page = text(get(hand, "/ledger?before=9"))
    assert page.count("<tr><td") - 24 == 9
    assert get(hand, "/ledger?before=x").status == 400


def test_an_example_job(server: MockServer) -> None:
    """With no jobs, the console says how to post one, and posts one itself."""
    assert "No jobs yet" in text(get(server, ""))
    done = post(server, "/jobs")
    assert done.status == 303
    server.clock.advance(minutes=3)
    page = text(get(server, done.headers["location"].removeprefix("/console")))
    assert "Street signs" in page
    assert "The job is posted." in page
    assert page.count("<img") > 8


def test_the_story_of_a_key(hand: MockServer) -> None:
    """A request page tells of each request with its idempotency key, and what became of it."""
    hand.faults.add(path="/v1/jobs", drop="after")
    hand.faults.add(path="/v1/jobs", drop="before")
    hand.faults.add(path="/v1/jobs", status=503)
    api = Caller(hand, hand.api_key)
    for _ in range(2):
        with contextlib.suppress(OSError, http.client.HTTPException):
            api("POST", "/v1/jobs", JOB, Idempotency_Key="one")
    statuses = [api("POST", "/v1/jobs", JOB, Idempotency_Key="one").status for _ in range(2)]
    assert statuses == [503, 201]
    numbers = [number for number, _ in hand._front.log.numbered()]
    page = text(get(hand, f"/requests/{numbers[-1]}"))
    assert page.count("Handled, but the connection was dropped before the response") == 1
    assert page.count("Dropped before the service handled it") == 1
    assert page.count("Not handled, and nothing is kept") == 1
    assert page.count("The first response again") == 1
    assert "replayed" in text(get(hand, "/requests?outcome=replayed"))
    assert text(get(hand, "/requests?outcome=dropped")).count('<li id="r-') == 2
    assert "$FIRSTHAND_API_KEY" in page


def request(body: bytes = b"", status: int | None = 201, **headers: str) -> ReceivedRequest:
    """A request as the log keeps it."""
    return ReceivedRequest("POST", "/v1/jobs", {}, "", {"idempotency-key": "k", **headers}, body, 0, status)


def test_outcomes_in_words() -> None:
    """Each way that a request with a key can end has its words."""
    assert shown.outcome(request(status=None)).startswith("No response yet")
    assert shown.outcome(request(status=409)).startswith("Refused")
    assert shown.outcome(request()).startswith("Handled.")


def test_the_command_repeats_the_request(hand: MockServer, by_hand: Caller) -> None:
    """The curl command of a request, run in a shell with the key, is the same request; the key is not in it."""
    quoted = {"description": 'It\'s "$HOME" `id` \\ photos of signs', "files_needed": 1}
    fields = {
        **quoted,
        "type": "data_collection",
        "accepted_formats": ["image/png"],
        "price_per_file_cents": 10,
    }
    assert by_hand("POST", "/v1/jobs", fields).status == 201
    (number, first), *_ = hand._front.log.numbered()
    command = shown.curl(first, hand.url)
    assert hand.api_key not in command
    assert shown.curl_is_whole(first)
    assert number
    words = subprocess.run(
        ["sh", "-c", f'curl() {{ for word; do printf "%s\\0" "$word"; done; }}; {command}'],
        env={"FIRSTHAND_API_KEY": hand.api_key},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout.split("\0")
    assert words[words.index("--data-raw") + 1] == first.body.decode()
    assert f"Authorization: Bearer {hand.api_key}" in words
    assert not shown.curl_is_whole(request(b"\xff"))
    assert not shown.curl_is_whole(request(b"whsec_secret"))


def test_deliveries_and_replay(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """A delivery shows its attempts and signatures, and a replay sends the event again."""
    answers = [500, 200, 200]
    receiver.answer = lambda: answers.pop(0)
    assert "No webhook endpoints" in text(get(hand, "/deliveries"))
    by_hand("POST", "/v1/webhook_endpoints", {"url": receiver.url})
    event = hand.emit("job.flagged", {"job_id": "job_1"})
    hand.clock.advance(minutes=1)
    page = text(get(hand, f"/events/{event}"))
    assert page.count(receiver.got[0][0]["x-firsthandapi-signature"]) == 2
    assert ">500</b>" in page
    assert "&#34;job_id&#34;: &#34;job_1&#34;" in page
    assert "2 attempts, last: 200" in text(get(hand, "/deliveries?status=delivered"))
    assert post(hand, f"/events/{event}/replay").status == 303
    hand.clock.advance()
    assert len(receiver.got) == 3
    assert "No such deliveries" in text(get(hand, "/deliveries?status=failed"))


def test_the_ledger_adds_up_or_says_so(hand: MockServer, by_hand: Caller) -> None:
    """The equation of each account, and a loud word when it does not hold."""
    by_hand.create_job()
    page = text(get(hand, "/ledger"))
    assert "Adds up." in page
    assert "<b>$999.00</b> available" in page
    sandbox = f"{hand._organization.id}-test"
    assert "<b>$1,000.00</b> available" in text(get(hand, f"/ledger?account={sandbox}"))
    hand._organization.accounts["live"].book.available += 1
    assert "the books do not add up" in text(get(hand, "/ledger"))
    hand._organization.accounts["live"].book.available -= 1


def test_faults_clock_and_reset(hand: MockServer, by_hand: Caller) -> None:
    """Faults are added and removed, time moves on, and a reset starts again."""
    for kind in re.findall(r'<option value="([^"]+)"', text(get(hand, "/faults"))):
        if kind not in ("", "all"):
            assert post(hand, "/faults", kind=kind, times="all", path="/v1/jobs", method="GET").status == 303
    assert len(hand.faults.active()) == 11
    assert "Responds with 503" in text(get(hand, "/faults"))
    assert post(hand, "/faults/remove", id=hand.faults.active()[0].id).status == 303
    assert post(hand, "/faults/remove", id="fault_0").status == 400
    assert len(hand.faults.active()) == 10
    assert post(hand, "/faults/remove").status == 303
    assert hand.faults.active() == []
    start = hand.clock.now()
    assert post(hand, "/clock", amount="2", unit="hours").status == 303
    assert hand.clock.now() == pytest.approx(start + 7200)
    by_hand.create_job()
    assert post(hand, "/reset").status == 303
    assert "No jobs yet" in text(get(hand, ""))


def test_the_console_leaves_no_trace(hand: MockServer) -> None:
    """Its requests are not logged, and no fault strikes it."""
    hand.faults.add(status=503, times=None)
    assert get(hand, "").status == 200
    assert len(hand.requests) == 0
    assert send(hand.url, "HEAD", "/console").status == 200
    assert send(hand.url, "PUT", "/console").status == 405


def test_live(hand: MockServer, by_hand: Caller) -> None:
    """An open page learns of a change, and only then; a server that stops ends the stream."""
    connection = http.client.HTTPConnection(hand.url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/console/live")
    stream = connection.getresponse()
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.readline() == b"retry: 2000\n"
    assert stream.readline() == b"\n"
    by_hand.create_job()
    assert stream.readline() == b"event: change\n"
    assert stream.readline().startswith(b'data: {"now": "')
    connection.close()


def test_pulse_notices_everything(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """Whatever changes a page changes the value that is compared; time that stands still does not."""
    by_hand("POST", "/v1/webhook_endpoints", {"url": receiver.url})
    job = by_hand.create_job()["id"]
    pulse = hand._console._pulse
    seen = [pulse()]

    def changed() -> bool:
        seen.append(pulse())
        return seen[-1] != seen[-2]

    assert not changed()
    submission = hand.submit(job).submission_id
    assert changed()
    hand.score(submission, 4)
    assert changed()
    hand.clock.advance()  # the delivery
    assert changed()
    fault = hand.faults.add(path="/v1/me", status=500)
    assert changed()
    hand.faults.remove(fault.id)
    assert changed()
    hand.clock.advance(days=1)
    assert changed()
    by_hand("GET", "/v1/me")
    assert changed()
    hand.grant_credits(5)
    assert changed()
    hand.reset()
    assert changed()
    assert not changed()


def test_too_many_streams(hand: MockServer) -> None:
    """Open pages are bounded."""
    hand._console._streams = 50
    assert get(hand, "/live").status == 503


def test_without_jinja2(hand: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Jinja2 the page says what to install, and the API works."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in [name for name in sys.modules if name.startswith("firsthandapi_server.console")]:
        monkeypatch.delitem(sys.modules, name)
    reply = get(hand, "")
    assert (reply.status, b"firsthandapi[testing]" in reply.body) == (503, True)


def test_texts_within_bounds() -> None:
    """A page shows the start of a long text, and what is no JSON as it came."""
    assert len(shown.clean("x" * 100_000)) == 20_001
    assert shown.clean("a\u202e\nb") == "a\\u202e\nb"
    assert shown.pretty(b"[" * 100_000).startswith("[[[")
    assert shown.pretty(b'{"a":"\\u00e9"}') == '{\n  "a": "é"\n}'
    assert shown.pretty(b"\xff") == "\ufffd"
    assert shown.money(-123456) == "−$1,234.56"
    assert shown.stars(2) == "★★☆☆☆"

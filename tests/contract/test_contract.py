"""A run of `contract/` as a whole: what it tries, what it leaves, and how it ends against servers that are none."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator

import pytest

import contract.server
from contract.server import MAX_HELD_CENTS, NEW_JOB, Server
from contract.test_lists import LISTS
from firsthandapi.testing import MockServer
from firsthandapi_server.contract.operations import OPERATIONS
from processes import stopped, unmeasured
from raw import RawServer, Reply, refused, response
from support import ROOT, Deviating, Deviation, Passing, tried

# A right server on busy cores keeps its promises as well, but later.
PATIENT = "--patience=120"


@pytest.fixture(scope="module")
def server() -> Iterator[Deviating]:
    with Deviating() as running:
        yield running


# --- a server that keeps the contract -------------------------------------------------------------------


@pytest.mark.parametrize(
    "speed", [10, *(pytest.param(speed, marks=pytest.mark.slow) for speed in (0, 1, 100, 10_000))]
)
def test_the_bundled_server_keeps_every_promise(speed: float) -> None:
    """At any speed, with simulated workers. Only what a sandbox cannot show is not tried: it has no money."""
    with MockServer(speed=speed) as server:
        outcomes = tried(PATIENT, url=server.url, key=server.test_api_key)
        assert outcomes.all("passed") == outcomes.of.keys() - {"list_walk[list_transactions]"}
        assert outcomes.words["list_walk[list_transactions]"] == "the list has fewer than two items"
        assert (server.speed, server.rate_limit, server.organization_rate_limit) == (speed, 100, 500)
        server.check_books()
        assert left_in(server) == []


@pytest.mark.slow
def test_an_account_with_many_jobs_is_no_difference() -> None:
    """What the run has posted is found on the first page, however many jobs there are."""
    with MockServer(speed=0, workers=False, rate_limit=None) as server:
        with server.client(api_key=server.test_api_key) as client:
            for _ in range(101):
                client.jobs.create(**NEW_JOB)
        chosen = "-ksdk or list_jobs or jobs_list or jobs_metadata"
        outcomes = tried(chosen, PATIENT, url=server.url, key=server.test_api_key)
    assert {*outcomes.of.values()} == {"passed"}


def test_timestamped_signatures_are_signatures_as_well() -> None:
    """§6 knows two forms."""
    with MockServer(speed=0, workers=False) as server:
        server.signature_style = "timestamped"
        outcomes = tried("-kdeliveries", PATIENT, url=server.url, key=server.test_api_key)
    assert {*outcomes.of.values()} == {"passed"}


@pytest.mark.slow
def test_a_live_key_that_only_reads() -> None:
    """What would write is not tried, and says so."""
    with MockServer(speed=0, workers=False, rate_limit=1000) as server:
        with server.client() as client:
            job = client.jobs.create(**{**NEW_JOB, "files_needed": 1})
            server.score(server.submit(job.id, rating=5).submission_id, 5)
        since = len(server.requests)
        outcomes = tried("--read-only", PATIENT, url=server.url, key=server.api_key)
        assert {request.method for request in server.requests[since:]} == {"GET"}
    assert outcomes.of.keys() == outcomes.all("passed") | outcomes.all("skipped")
    assert outcomes.words["jobs_create"] == "--read-only"
    assert outcomes.all("passed") >= {
        *("me", "jobs_get", "files_annotations", "downloads_range", "submissions_summary", "credits")
    }


@pytest.mark.slow
def test_a_live_key_that_may_write_holds_little_and_gets_it_back() -> None:
    """Never more than it says, and nothing in the end; no purchase is paid."""
    most = 0

    def watch(call: Passing) -> None:
        nonlocal most
        if (
            call.at("POST", "/v1/jobs")
            and call.status == 201
            and call.headers["authorization"].endswith(server.api_key)
        ):
            most = max(most, held())

    def held() -> int:
        jobs = server._world.state.jobs.values()
        return sum(job.escrow.held for job in jobs if job.account.environment == "live")

    with Deviating() as server, server.telling(watch):
        chosen = "-kjobs_create or jobs_cancel or escrow or list_walk"
        outcomes = tried(chosen, PATIENT, url=server.url, key=server.api_key)
        assert outcomes.of.keys() == outcomes.all("passed") | outcomes.all("skipped")
        assert 0 < most <= MAX_HELD_CENTS
        assert held() == 0
        server.check_books()
    words = "with a live key, the jobs of a run hold at most $5.00"
    assert outcomes.words["jobs_create_price[most]"] == words
    assert outcomes.of["list_walk[list_transactions]"] == "passed"


def test_every_endpoint_of_the_contract_has_promises() -> None:
    """So that a new endpoint is tried as well."""
    lists = {operation.name for operation in OPERATIONS if operation.is_list}
    assert {row.operation for row in LISTS} == lists, "add a row to LISTS in contract/test_lists.py"


def test_each_promise_names_a_section_of_the_contract() -> None:
    """By a heading of the page in the docs."""
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    headings = {match[1] for match in re.finditer(r"^#+ (?:\d+\. )?(.+)$", text, re.MULTILINE)}
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "contract").glob("test_*.py"))
    promises = re.findall(
        r'^def test_\w+\(.*?\) -> None:\n    """(.+?)"""\n', tests, re.MULTILINE | re.DOTALL
    )
    assert len(promises) == len(re.findall(r"^def test_", tests, re.MULTILINE))
    for promise in promises:
        section = re.search(r'\.\s+\(§\d(?: "(.+)")?(?: ‡)?\)$', promise) or re.search(
            r"__doc__\} \(§1()\)$", promise
        )
        assert section is not None, promise
        assert not section[1] or section[1] in headings, promise


# --- what a failure says --------------------------------------------------------------------------------


def test_a_failure_says_what_was_promised_what_was_sent_and_what_came(server: Deviating) -> None:
    """And nothing else: no traceback, and no key."""

    def cheaper(call: Passing) -> None:
        if call.at("POST", "/v1/jobs") and call.status == 201:
            call.say({**call.json, "total_cost_cents": 38})

    with server.telling(cheaper):
        outcomes = tried("-kjobs_create_cost", url=server.url, key=server.test_api_key)
    lines = outcomes.words["jobs_create_cost"].splitlines()
    assert lines[:2] == [
        "`total_cost_cents` is 38, not 39",
        'promised  total_cost_cents is files_needed × price_per_file_cents. (§2 "Jobs")',
    ]
    start = (
        f'sent      curl -i -X POST {server.url}/v1/jobs -H "Authorization: Bearer $FIRSTHAND_API_KEY" -H '
    )
    assert lines[2].startswith(start)
    assert lines[3].startswith('came      201 {"object": "job", "id": "job_')
    assert len(lines) == 4


def test_no_key_is_in_a_failure(
    server: Deviating, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that has the form of a key, nor one that a server has made up."""

    def show(call: Passing) -> None:
        if call.at("POST", "/v1/api_keys") and call.status == 201:
            call.say({**call.json, "secret": "a-secret-without-a-prefix"})
        elif call.path != "/v1/me":
            call.say({"seen": call.headers.get("authorization", ""), "secret": "whsec_shown"}, 500)

    with server.telling(show):
        outcomes = tried("-kkey or credits or list_jobs", url=server.url, key=server.test_api_key)
    assert len(outcomes.all("failed")) > 30
    text = capfd.readouterr().out
    assert server.test_api_key.removeprefix("fh_test_") not in text
    assert "whsec_shown" not in text
    assert "a-secret-without-a-prefix" not in text


def test_a_failed_limit_shows_the_request_that_was_not_refused(server: Deviating) -> None:
    """Not the one that lifts the limit again after it."""

    def pass_all(call: Passing) -> None:
        if call.status == 429:
            call.say({}, 200)

    with server.telling(pass_all):
        outcomes = tried("-ktest_limits", url=server.url, key=server.test_api_key)
    assert outcomes.all("failed") == {"limits", "limits_reset"}
    for words in outcomes.words.values():
        assert "/v1/me" in words
        assert "/_control" not in words


# --- what it leaves -------------------------------------------------------------------------------------


def left_in(server: MockServer) -> list[str]:
    with server.client(api_key=server.test_api_key) as client:
        jobs = [job.id for job in client.jobs.list() if not job.is_terminal]
        keys = [
            key.id for key in client.api_keys.list() if key.name == "Contract check" and not key.revoked_at
        ]
        return jobs + keys + [endpoint.id for endpoint in client.webhooks.list()]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends neither signal to one process")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_nothing_behind(stop: signal.Signals) -> None:
    """Jobs are cancelled, keys revoked, endpoints deleted, and settings restored."""
    with MockServer(speed=0, workers=False) as server:
        environment = {"FIRSTHAND_API_KEY": server.test_api_key, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        chosen = [
            "--url",
            server.url,
            "-k",
            "scope and credits or jobs_wait",
        ]  # the first of them create keys
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "contract", *chosen],
            cwd=ROOT,
            env=unmeasured(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ends = time.monotonic() + 120
        while not any("wait" in request.headers.get("prefer", "") for request in server.requests):
            assert time.monotonic() < ends
            time.sleep(0.02)
        out, err = stopped(process, stop)
        assert process.returncode == pytest.ExitCode.INTERRUPTED, out + err
        assert "could not be removed" not in out
        assert left_in(server) == []
        assert server.rate_limit == 100


def test_a_job_whose_response_was_lost_is_cancelled() -> None:
    """Its idempotency key finds it again."""
    with MockServer(speed=0, workers=False) as server:
        server.faults.add(path="/v1/jobs", method="POST", drop="after")
        outcomes = tried("-kjobs_create_cost", url=server.url, key=server.test_api_key)
        assert outcomes.words["jobs_create_cost"].startswith("no response: ")
        assert left_in(server) == []


@pytest.mark.slow
@pytest.mark.parametrize("read", ["later", "never"])
@pytest.mark.parametrize("status", [500, 201])
def test_a_job_in_a_response_that_cannot_be_read(
    read: str, status: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request, sent again, finds it; if not, what is left is said once, and a live key holds no more."""

    def hide(call: Passing) -> None:
        if call.at("POST", "/v1/jobs") and call.status == 201:
            call.say({}, status)

    with Deviating() as server:
        if read == "later":
            closing = Server.close
            monkeypatch.setattr(
                Server, "close", lambda self: [setattr(server, "deviation", Deviation()), closing(self)]
            )
        with server.telling(hide):
            tried("-kjobs_create or jobs_metadata", url=server.url, key=server.api_key)
        jobs = [job for job in server._world.state.jobs.values() if job.account.environment == "live"]
        held = sum(job.escrow.held for job in jobs)
    assert jobs
    leftovers = re.findall("could not be removed: (.*)", capfd.readouterr().out)
    words = f"POST /v1/jobs: its outcome is unknown ({status} without an id)"
    assert {*leftovers} == (set() if read == "later" else {words})
    assert held == 0 if read == "later" else 0 < held <= MAX_HELD_CENTS


def stop_at_cancellation(call: Passing) -> None:
    """It fails as a server that stands still, which is a reason to stop a run."""
    if call.at("POST", "/v1/jobs/:id/cancel"):
        call.say({"error": {}}, 500)


def test_what_cannot_be_removed_is_reported(server: Deviating, capfd: pytest.CaptureFixture[str]) -> None:
    """So that a person removes it."""
    with server.telling(stop_at_cancellation):
        tried("-kjobs_create_cost", url=server.url, key=server.test_api_key, code=0)
    leftovers = re.findall(r"could not be removed: job_\w+: (.*)", capfd.readouterr().out)
    assert leftovers == ['not cancelled (500 {"error": {}})']


def test_ctrl_c_while_a_run_removes_what_it_created_says_what_is_left(
    server: Deviating, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest first."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "remove", interrupt)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        tried("-kjobs_create_cost", url=server.url, key=server.test_api_key)
    gc.collect()  # a fixture that pytest could not end any more ends here, in the thread that may set a signal
    assert signal.getsignal(signal.SIGTERM) == handler
    out = re.sub(r"job_\w+", "job_…", capfd.readouterr().out)
    assert re.findall("could not be removed: (.*)", out) == [
        "job_…: not cancelled (its removal was stopped)",
        "the window of the rate limit: not restored (its removal was stopped)",
        "the settings: not restored (its removal was stopped)",
    ]


# --- keys, addresses, and limits ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"key": "fh_test_1"}, {"url": "http://127.0.0.1:1"}])
def test_without_an_address_or_a_key_a_run_says_what_to_do(
    arguments: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """And collects nothing."""
    assert tried(**arguments, code=pytest.ExitCode.USAGE_ERROR).tests == {}
    words = "python -m pytest contract --url http://127.0.0.1:8080 [--read-only]"
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://ana:s3cret@127.0.0.1:9", "must not contain a user or a password"),
        ("http://127.0.0.1:9/v1/", "ends before /v1"),
    ],
)
def test_an_address_that_is_none_is_refused(
    url: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before a request, and without what must not be shown."""
    tried(url=url, key="fh_test_1", code=pytest.ExitCode.USAGE_ERROR)
    output = "".join(capfd.readouterr())
    assert message in output
    assert "s3cret" not in output


def test_no_other_run_collects_it() -> None:
    """`pytest` alone, and so `make test` and `make coverage`, runs the tests."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    assert settings["ini_options"]["testpaths"] == ["tests"]


def test_the_header_says_what_a_run_does(server: Deviating, capfd: pytest.CaptureFixture[str]) -> None:
    """Above all, what it costs."""
    for key, arguments, words in (
        (server.test_api_key, [], "a sandbox key, creates, changes, and cleans up"),
        (
            server.api_key,
            [],
            "a live key, creates, changes, and cleans up; jobs hold up to $5.00 at any time",
        ),
        (server.api_key, ["--read-only"], "a live key, only reads"),
    ):
        tried("-ktest_me", "-v", *arguments, url=server.url, key=key, code=0)
        assert f"contract: {server.url} with {words}\n" in capfd.readouterr().out


def test_a_limit_is_waited_for(server: Deviating, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the server says, once for a request."""
    pauses: list[float] = []
    monkeypatch.setattr(contract.server.time, "sleep", pauses.append)
    refusals = iter([True])

    def refuse(call: Passing) -> None:
        if call.path == "/v1/billing/credits" and next(refusals, False):
            call.say({"error": {}}, 429)
            call.reply["retry-after"] = "17"

    with server.telling(refuse):
        tried("-ktest_credits", url=server.url, key=server.test_api_key, code=0)
    assert pauses == [17.0]


# --- servers that are none ------------------------------------------------------------------------------


def says(capfd: pytest.CaptureFixture[str], words: str, url: str, **arguments: str) -> None:
    """That a run ends with these words, and not with a failure for each promise."""
    outcomes = tried("--patience=0.5", url=url, **{"key": "fh_test_x", **arguments})
    assert outcomes.of == {}
    captured = capfd.readouterr()
    assert words in captured.out + captured.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(b"", "close"), id="closes"),
        pytest.param(Reply(b"", "hang"), id="hangs"),
        pytest.param(Reply(b"SSH-2.0-OpenSSH_9.2\r\n", "close"), id="is no HTTP"),
        pytest.param(response(b"{", length=100, then="hang"), id="stops midway"),
        pytest.param(response(b" " * (5 << 20)), id="floods"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_error(
    reply: Reply, capfd: pytest.CaptureFixture[str]
) -> None:
    """In bounded time."""
    with RawServer(lambda _: reply) as odd:
        says(capfd, f"could not reach {odd.base_url}", odd.base_url)


def test_a_port_where_nobody_listens_is_one_error(capfd: pytest.CaptureFixture[str]) -> None:
    """The same."""
    with refused() as port:
        says(capfd, f"could not reach http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")


def test_a_key_that_is_refused_is_one_error(server: Deviating, capfd: pytest.CaptureFixture[str]) -> None:
    """The message does not show it."""
    says(capfd, "refuses the API key in FIRSTHAND_API_KEY (401)", server.url, key="fh_test_of_another_server")


@pytest.mark.slow
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(response(b"<html>It works!</html>", Content_Type="text/html"), id="HTML"),
        pytest.param(response(b"", 302, Location="http://127.0.0.1:1/"), id="redirects"),
        pytest.param(response(b"[" * 100_000, Content_Type="application/json"), id="nests"),
        pytest.param(response(b"[]", Content_Type="application/json"), id="a list"),
        pytest.param(response(b"", 503), id="unavailable"),
    ],
)
def test_a_server_of_something_else_is_one_error(reply: Reply, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing else is worth trying."""
    with RawServer(lambda _: reply) as odd:
        says(capfd, "GET /v1/me returned no identity", odd.base_url)


@pytest.mark.slow
def test_a_server_that_answers_everything_alike_keeps_few_promises() -> None:
    """Whatever it sends, each promise has an outcome."""
    identity = b'{"organization_id": "org_01JP0000000000000000000000", "environment": "test", "scopes": []}'
    with RawServer(lambda _: response(identity, Content_Type="application/json")) as odd:
        outcomes = tried(url=odd.base_url, key="fh_test_x")
    assert outcomes.of.keys() == outcomes.tests.keys()
    # Some promises are about what is refused elsewhere, such as a price, and hold of a server that does nothing.
    assert len(outcomes.all("passed")) < 12
    assert not any("Traceback" in words for words in outcomes.words.values())


def sending(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], float | None]) -> None:
    """Send requests with another timeout."""
    exchange = Server._exchange

    def changed(self: Server, request: contract.server.Request, seconds: float, *most: int) -> object:
        return exchange(self, request, change(request.url) or seconds, *most)

    monkeypatch.setattr(Server, "_exchange", changed)


def test_a_front_may_drop_what_it_does_not_know(server: Deviating, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some proxies do: a server that does not respond at /_control cannot be driven, and is no silent one."""
    sending(monkeypatch, lambda url: 1e-9 if "/_control" in url else None)
    outcomes = tried("-klist_jobs", url=server.url, key=server.test_api_key)
    assert {*outcomes.of.values()} == {"passed"}


def test_a_server_that_falls_silent_is_not_waited_for(
    server: Deviating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three promises without a response, the others are not tried."""
    sending(monkeypatch, lambda url: 0.5 if "/v1/jobs" in url else None)
    server.faults.add(path="/v1/jobs", times=None, delay=5)
    outcomes = tried("-klist_jobs", url=server.url, key=server.test_api_key)
    server.faults.clear()
    assert len(outcomes.of) == 3
    assert "no response within 0.5 s" in [*outcomes.words.values()][-1]

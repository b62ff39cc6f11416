"""A check as a whole: what it tries, what it leaves, and how it ends against servers that are none."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from firsthandapi.conformance import Report, Result, check
from firsthandapi.conformance._checks import page
from firsthandapi.conformance._exchange import Asked, Exchange, NoResponseError, cause
from firsthandapi.conformance._promises import PROMISES
from firsthandapi.conformance._receiver import Delivery
from firsthandapi.conformance._requests import MAX_HELD_CENTS, Requests
from firsthandapi.conformance._run import JOB as NEW_JOB
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._wire import Wire
from firsthandapi.conformance.promises.lists import LISTS
from firsthandapi.errors import ConfigurationError, InvalidArgumentError
from firsthandapi.testing import MockServer
from firsthandapi_server.contract.operations import OPERATIONS
from raw import Loopback, Reply, read_request, refused, response

from .support import Deviating, Deviation, Passing

CONTRACT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"


@pytest.fixture(scope="module")
def server() -> Iterator[Deviating]:
    with Deviating() as running:
        yield running


def untried(report: Report) -> dict[str, str | None]:
    return {result.id: result.why for result in report.of("not tried")}


# --- the bundled server ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
def test_the_bundled_server_keeps_every_promise() -> None:
    """Only what it cannot show is not tried: a sandbox without money, and time that stands still."""
    with MockServer(speed=0, workers=False) as server:
        seen: list[Result] = []
        report = check(server.url, api_key=server.test_api_key, on_result=seen.append)
        assert [result for result in report if result.verdict == "differs"] == []
        assert untried(report) == {
            "transactions.list.walk": "the list has fewer than two items",
            "sandbox.completes": "time stands still on this server",
        }
        assert report.ok
        assert report.left == ()
        assert (report.environment, report.writes) == ("test", True)
        assert seen == [*report]
        server.check_books()
        assert left_in(server) == []


@pytest.mark.usefixtures("patient")
def test_an_account_with_many_jobs_is_no_difference() -> None:
    """What the check has posted is found on the first page, however many jobs there are."""
    with MockServer(speed=0, workers=False, rate_limit=None) as server:
        with server.client(api_key=server.test_api_key) as client:
            for _ in range(101):
                client.jobs.create(**NEW_JOB)
        report = check(
            server.url, api_key=server.test_api_key, only=["sdk.*", "jobs.list.*", "jobs.metadata"]
        )
    assert [result for result in report if result.verdict != "holds"] == []


@pytest.mark.usefixtures("patient")
def test_the_simulated_worker_of_the_sandbox_completes_a_job() -> None:
    """As §7 says, after about 15 seconds, which are virtual here."""
    with MockServer(speed=600) as server:
        report = check(server.url, api_key=server.test_api_key, only=["sandbox.*"])
    assert [result.verdict for result in report] == ["holds"]


@pytest.mark.usefixtures("patient")
def test_timestamped_signatures_are_signatures_as_well() -> None:
    """§6 knows two forms."""
    with MockServer(speed=0, workers=False) as server:
        server.signature_style = "timestamped"
        report = check(server.url, api_key=server.test_api_key, only=["deliveries.[se]*"])
    assert {result.verdict for result in report} == {"holds"}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "a delivery without a signature"),
        ({"x-firsthandapi-signature": "sha256=1"}, "the signature has neither of the two forms: sha256=1"),
        (
            {"x-firsthand-signature": "0" * 64},
            "the signature is not the HMAC-SHA256 of the body under the secret",
        ),
        (
            {"x-firsthandapi-signature": f"t=1,v1={'0' * 64}"},
            "the signature is not the HMAC-SHA256 of the body under the secret",
        ),
    ],
)
def test_a_wrong_signature_is_told_from_none(headers: dict[str, str], words: str) -> None:
    """So that whoever writes the server knows where to look."""
    assert Delivery(headers, b"{}").fault("whsec_1") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "a list is no object"),
        ({"object": "page"}, '`object` is not "list"'),
        ({"object": "list"}, "`data` is not a list"),
        ({"object": "list", "data": []}, "`has_more` is not a boolean"),
        ({"object": "list", "data": [], "has_more": True}, "`has_more` is true without a `next_cursor`"),
        (
            {"object": "list", "data": [], "has_more": False, "next_cursor": "x"},
            "`has_more` is false with a `next_cursor`",
        ),
        ({"object": "list", "data": [], "has_more": False}, "`next_cursor` is missing"),
    ],
)
def test_the_envelope_of_a_list(value: object, words: str) -> None:
    """Each part of it, in words."""
    assert page(value) == words


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        (
            "`files_needed` should be a valid integer: 5.0",
            "`files_needed` should be a valid integer: 7.0",
            True,
        ),
        ("404 not_found instead of 200: {}", "404 not_found instead of 400 or 422: {}", True),
        ("404 not_found instead of 200: {}", "405 method_not_allowed instead of 200: {}", False),
        ("200 instead of 400: {}", "200 instead of 403: {}", False),
        (f"job_{'0' * 26} is lost", f"job_{'1' * 26} is lost", True),
    ],
)
def test_differences_of_one_cause(first: str, second: str, is_one: bool) -> None:
    """What is common is before the colon; of a refusal, its status and type."""
    assert (cause(first) == cause(second)) is is_one


def test_a_sandbox_without_a_worker_is_not_one() -> None:
    """Switched off, they say nothing about the server; if they do not come, the promise is broken."""
    with Deviating(speed=600, workers=False) as server:
        assert [*untried(check(server.url, api_key=server.test_api_key, only=["sandbox.*"])).values()] == [
            "the simulated workers of this server are switched off"
        ]


def test_every_endpoint_of_the_contract_has_promises() -> None:
    """So that a new endpoint is held against the contract as well."""

    def served(**wanted: bool) -> set[str]:
        return {
            f"{each.method} {each.path.replace('{id}', ':id')}"
            for each in OPERATIONS
            if all(getattr(each, name) == value for name, value in wanted.items())
        }

    pages = {f"GET {each.path}" for each in LISTS}
    assert pages == served(is_list=True), "add a row to LISTS in conformance/promises/lists.py"
    assert served() <= {each.result.endpoint for each in PROMISES.values()}


def test_each_promise_names_a_section_of_the_contract() -> None:
    """By a heading of the page in the docs."""
    text = CONTRACT.read_text(encoding="utf-8")
    headings = {match[1] for match in re.finditer(r"^#+ (?:\d+\. )?(.+)$", text, re.MULTILINE)}
    for promise in (each.result for each in PROMISES.values()):
        found = re.fullmatch(r'§\d(?: "(.+)")?', promise.section)
        assert found is not None
        assert found[1] is None or found[1] in headings, promise.id
        assert promise.promised.endswith(".")


# --- a live key -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
def test_a_live_key_only_reads() -> None:
    """Unless told otherwise; what would write is not tried, and says so."""
    with MockServer(speed=0, workers=False, rate_limit=1000) as server:
        with server.client() as client:
            job = client.jobs.create(
                type="data_collection",
                description="Photos of street signs in daylight",
                files_needed=1,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=50,
            )
            server.score(server.submit(job.id, rating=5).submission_id, 5)
        since = len(server.requests)
        report = check(server.url, api_key=server.api_key)
        assert {request.method for request in server.requests[since:]} == {"GET"}
    assert report.of("differs") == []
    assert (report.environment, report.writes) == ("live", False)
    assert untried(report)["jobs.create"] == "a live key only reads, unless told to write"
    held = {result.id for result in report.of("holds")}
    assert {
        "me",
        "jobs.get",
        "files.annotations",
        "downloads.range",
        "submissions.summary",
        "credits",
    } <= held


@pytest.mark.usefixtures("patient")
def test_a_live_key_that_may_write_holds_little_and_gets_it_back() -> None:
    """Never more than it says, and nothing in the end; no purchase is paid."""
    most = 0

    def watch(it: Passing) -> None:
        nonlocal most
        if (
            it.at("POST", "/v1/jobs")
            and it.status == 201
            and it.headers["authorization"].endswith(server.api_key)
        ):
            most = max(most, held())

    def held() -> int:
        return sum(
            job.escrow.held for job in server._world.state.jobs.values() if job.account.environment == "live"
        )

    with Deviating() as server, server.telling(watch):
        report = check(
            server.url,
            api_key=server.api_key,
            write=True,
            only=["jobs.create*", "jobs.cancel*", "escrow*", "*.list.walk"],
        )
        assert report.of("differs") == []
        assert 0 < most <= MAX_HELD_CENTS
        assert held() == 0
        server.check_books()
    assert untried(report)["jobs.create.price.high"] == "with a live key, a check holds at most $5.00"
    assert "transactions.list.walk" not in untried(report)


# --- what it leaves -------------------------------------------------------------------------------------


def left_in(server: MockServer) -> list[str]:
    with server.client(api_key=server.test_api_key) as client:
        jobs = [job.id for job in client.jobs.list() if not job.is_terminal]
        keys = [
            key.id for key in client.api_keys.list() if key.name == "Conformance check" and not key.revoked_at
        ]
        return jobs + keys + [endpoint.id for endpoint in client.webhooks.list()]


def test_what_was_created_is_removed_when_a_check_is_stopped() -> None:
    """Also what was under way: Ctrl-C leaves no job, no key, and no endpoint."""
    with MockServer(speed=0, workers=False) as server:

        def stop(result: Result) -> None:
            if result.id == "webhooks.get":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            check(
                server.url,
                api_key=server.test_api_key,
                only=["jobs.get", "api_keys.*", "webhooks.*"],
                on_result=stop,
            )
        assert left_in(server) == []
        assert server.rate_limit == 100


def test_a_job_whose_response_was_lost_is_cancelled() -> None:
    """Its idempotency key finds it again."""
    with MockServer(speed=0, workers=False) as server:
        server.faults.add(path="/v1/jobs", method="POST", drop="after")
        report = check(server.url, api_key=server.test_api_key, only=["jobs.create"])
        (differs,) = report.of("differs")
        assert (differs.came or "").startswith("no response: ")
        assert report.left == ()
        assert left_in(server) == []


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("read", ["later", "never"])
@pytest.mark.parametrize("status", [500, 201])
def test_a_job_in_a_response_that_cannot_be_read(read: str, status: int) -> None:
    """The same request, sent again, finds it; if not, what is left is said once, and a live key holds no more."""

    def hide(it: Passing) -> None:
        if it.at("POST", "/v1/jobs") and it.status == 201:
            it.say({}, status)

    with Deviating() as server:
        with server.telling(hide):
            report = check(
                server.url,
                api_key=server.api_key,
                write=True,
                only=["jobs.create", "jobs.create.cost", "jobs.create.formats", "jobs.metadata"],
                on_result=lambda result: (
                    setattr(server, "deviation", Deviation())
                    if read == "later" and result.id == "jobs.create"
                    else None
                ),
            )
        jobs = [job for job in server._world.state.jobs.values() if job.account.environment == "live"]
        held = sum(job.escrow.held for job in jobs)
    assert jobs
    assert report.left == (
        () if read == "later" else (f"POST /v1/jobs: its outcome is unknown ({status} without an id)",)
    )
    assert held == 0 if read == "later" else 0 < held <= MAX_HELD_CENTS


def test_what_cannot_be_removed_is_reported(server: Deviating) -> None:
    """So that a person removes it."""
    with server.telling(lambda it: it.at("POST", "/v1/jobs/:id/cancel") and it.say({"error": {}}, 500)):
        report = check(server.url, api_key=server.test_api_key, only=["jobs.create.cost"])
    assert [re.sub("job_[0-9A-Z]+", "job_…", words) for words in report.left] == [
        'job_…: not cancelled (500 {"error": {}})'
    ]


def interrupt(_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("patient")
def test_ctrl_c_says_what_cannot_be_removed(server: Deviating) -> None:
    """A server that fails or stands still is a reason to stop a check."""
    with (
        server.telling(lambda it: it.at("POST", "/v1/jobs/:id/cancel") and it.say({"error": {}}, 500)),
        pytest.raises(KeyboardInterrupt) as stopped,
    ):
        check(server.url, api_key=server.test_api_key, only=["jobs.create.cost"], on_result=interrupt)
    assert [re.sub("job_[0-9A-Z]+", "job_…", words) for words in stopped.value.__notes__] == [
        'could not be removed: job_…: not cancelled (500 {"error": {}})'
    ]


@pytest.mark.usefixtures("patient")
def test_ctrl_c_while_a_check_removes_what_it_created_says_what_is_left() -> None:
    """The newest first."""
    with (
        MockServer(speed=0, workers=False) as server,
        patch.object(Requests, "clean", interrupt),
        pytest.raises(KeyboardInterrupt) as stopped,
    ):
        check(server.url, api_key=server.test_api_key, only=["jobs.get"])
    assert [re.sub("job_[0-9A-Z]+", "job_…", words) for words in stopped.value.__notes__] == [
        "could not be removed: job_…: not cancelled (its removal was stopped)",
        "could not be removed: the window of the rate limit: not restored (its removal was stopped)",
        "could not be removed: the rate limit: not restored (its removal was stopped)",
    ]


# --- keys, addresses, and patterns ----------------------------------------------------------------------


def test_no_key_is_in_a_report(server: Deviating) -> None:
    """Neither in what came, nor in the commands that repeat it."""

    def show(it: Passing) -> None:
        if it.path != "/v1/me":
            it.say({"seen": it.headers.get("authorization", ""), "secret": "whsec_shown"}, 500)

    only = ["*.key", "credits*", "jobs.list*", "headers*"]
    with server.telling(show):
        report = check(server.url, api_key=server.test_api_key, only=only)
    text = json.dumps(report.as_dict())
    assert len(report.of("differs")) > 10
    assert server.test_api_key not in text
    assert server.test_api_key.removeprefix("fh_test_") not in text
    assert "whsec_shown" not in text
    curl = next(result.curl for result in report.of("differs") if result.id == "credits")
    assert curl == f'curl -i {server.url}/v1/billing/credits -H "Authorization: Bearer $FIRSTHAND_API_KEY"'


def test_only_takes_ids_and_endpoints(server: Deviating) -> None:
    """As patterns; nothing that fits is an error."""
    report = check(server.url, api_key=server.test_api_key, only=["credits", "GET /v1/me"])
    assert [result.id for result in report] == ["me", "credits", "me.key"]
    with pytest.raises(InvalidArgumentError, match="no promise matches nothing"):
        check(server.url, api_key=server.test_api_key, only=["nothing"])


def test_without_a_key_a_check_says_what_to_do(server: Deviating) -> None:
    """The same as for a client."""
    with pytest.raises(ConfigurationError, match="FIRSTHAND_API_KEY"):
        check(server.url)
    with pytest.raises(ConfigurationError, match="must be a URL"):
        check("nowhere", api_key="fh_test_x")
    with pytest.raises(InvalidArgumentError, match="timeout"):
        check(server.url, api_key="fh_test_x", timeout=0)


def test_a_limit_that_lasts_longer_than_the_check_is_one_error(server: Deviating) -> None:
    """Nothing is waited for that cannot come in time."""

    def refuse(it: Passing) -> None:
        it.say({"error": {}}, 429)
        it.reply["retry-after"] = "60"

    with server.telling(refuse), pytest.raises(ConfigurationError, match="no request left"):
        check(server.url, api_key=server.test_api_key, timeout=5)


def test_a_key_that_is_refused_is_one_error(server: Deviating) -> None:
    """Not a hundred differences; the message does not show it."""
    with pytest.raises(ConfigurationError, match="refuses the API key") as caught:
        check(server.url, api_key="fh_test_of_another_server")
    assert "another_server" not in str(caught.value)


def test_the_key_and_the_address_come_from_the_environment(
    server: Deviating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a client."""
    monkeypatch.setenv("FIRSTHAND_API_KEY", server.test_api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
    assert check(only=["me"]).ok


def test_when_the_time_is_over_the_rest_is_not_tried(server: Deviating) -> None:
    """And what was created is removed all the same."""
    report = check(server.url, api_key=server.test_api_key, timeout=0.2, only=["jobs.*"])
    assert "the check timed out; increase timeout" in untried(report).values()
    assert report.left == ()


def test_the_rate_limit_is_waited_for(server: Deviating, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the server says, once for a request."""
    pauses: list[float] = []
    monkeypatch.setattr(Run, "_sleep", lambda self, seconds: pauses.append(seconds))
    refusals = iter([True])

    def refuse(it: Passing) -> None:
        if it.path == "/v1/billing/credits" and next(refusals, False):
            it.say({"error": {}}, 429)
            it.reply["retry-after"] = "17"

    with server.telling(refuse):
        report = check(server.url, api_key=server.test_api_key, only=["credits"])
    assert report.ok
    assert pauses == [17.0]


# --- servers that are none ------------------------------------------------------------------------------


class Odd(Loopback):
    """Responds to each request in the same way."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def talk(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb") as stream:
            while read_request(stream) is not None:
                data, pieces = self._reply.data, self._reply.pieces
                for start in range(0, len(data), pieces or len(data) or 1):
                    sock.sendall(data[start : start + (pieces or len(data))])
                    if pieces:
                        time.sleep(self._reply.pause)
                if self._reply.then == "close":
                    return
                if self._reply.then == "hang":
                    stream.read(1)  # until the client goes
                    return


IDENTITY = json.dumps(
    {"organization_id": "org_01JP0000000000000000000000", "environment": "test", "scopes": []}
).encode()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "patience", 0.5)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(b"", "close"), id="closes"),
        pytest.param(Reply(b"", "hang"), id="hangs"),
        pytest.param(Reply(b"SSH-2.0-OpenSSH_9.2\r\n", "close"), id="is no HTTP"),
        pytest.param(Reply(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100, pieces=1, pause=0.05), id="dribbles"),
        pytest.param(response(b"{", length=100, then="hang"), id="stops midway"),
        pytest.param(response(b" " * (5 << 20)), id="floods"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_server_that_cannot_be_reached_is_one_error(reply: Reply) -> None:
    """In bounded time, with what to do."""
    with Odd(reply) as odd, pytest.raises(ConfigurationError, match=r"could not reach .*; check the address"):
        check(odd.url, api_key="fh_test_x")


def test_a_port_where_nobody_listens_is_one_error() -> None:
    """The same."""
    with refused() as port, pytest.raises(ConfigurationError, match="could not reach"):
        check(f"http://127.0.0.1:{port}", api_key="fh_test_x")


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
def test_a_server_of_something_else_is_one_difference(reply: Reply) -> None:
    """Nothing else is worth trying, and nothing is sent."""
    with Odd(reply) as odd:
        report = check(odd.url, api_key="fh_test_x")
    assert [result.id for result in report.of("differs")] == ["me"]
    assert len(report.of("not tried")) == len(PROMISES) - 1
    assert all(
        (result.why or "").startswith("GET /v1/me returned no identity") for result in report.of("not tried")
    )
    assert report.requests == 2
    assert not report.ok


def test_a_server_that_answers_everything_alike_keeps_few_promises() -> None:
    """Whatever it sends, each promise gets a verdict."""
    reply = response(IDENTITY, Content_Type="application/json")
    with Odd(reply) as odd:
        report = check(odd.url, api_key="fh_test_x", timeout=600)
    assert len([*report]) == len(PROMISES)
    # Some promises are about what is refused elsewhere, such as a price, and hold of a server that does nothing.
    assert len(report.of("holds")) < 10
    assert len(report.of("differs")) > 100


def test_a_front_may_drop_what_it_does_not_know(server: Deviating, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some proxies do: a server that does not respond at /_control cannot be driven, and is no silent one."""
    send, dropped = Wire.send, list[str]()

    def fronted(wire: Wire, asked: Asked, seconds: float, *most: int) -> Exchange:
        if "/_control" in asked.url:
            dropped.append(asked.url)
            raise NoResponseError("no response: the connection was closed", asked)
        return send(wire, asked, seconds, *most)

    monkeypatch.setattr(Wire, "send", fronted)
    report = check(server.url, api_key=server.test_api_key, only=["jobs.list*"])
    assert len(dropped) == 1
    assert report.ok, report.of("differs")


def test_a_server_that_falls_silent_is_not_waited_for(
    server: Deviating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three promises without a response, the others are not tried."""
    send = Wire.send

    def impatient(wire: Wire, asked: Asked, seconds: float, *most: int) -> Exchange:
        return send(wire, asked, 0.5 if "/v1/jobs" in asked.url else seconds, *most)

    monkeypatch.setattr(Wire, "send", impatient)
    server.faults.add(path="/v1/jobs", times=None, delay=5)
    report = check(server.url, api_key=server.test_api_key, only=["jobs.list*"])
    server.faults.clear()
    assert len(report.of("differs")) == 3
    assert "no complete response within 0.5 s" in [result.came for result in report.of("differs")]
    assert "the server stopped responding" in untried(report).values()

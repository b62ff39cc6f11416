"""The pytest plugin: no real time, the mark and the configuration, faults that never fired, and live keys."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from client.support import JOB, Connect
from firsthandapi import FirstHandClient
from firsthandapi._base.host.clock import HostClock
from firsthandapi._base.network.lending import uses_network
from firsthandapi.errors import ConfigurationError, FirstHandConnectionError
from firsthandapi.testing import MockServer
from firsthandapi.testing._waits import TIMES

pytest_plugins = ["pytester"]

HEAD = """
import pytest
from firsthandapi import FirstHandClient
from firsthandapi.errors import ConfigurationError
"""
# Other plugins take their time.
QUIET = [f"-pno:{name}" for name in ("cacheprovider", "schemathesis", "hypothesispytest", "pytest_httpx")]
# The guard looks before anything is sent: nothing listens there.
ELSEWHERE: dict[str, Any] = {
    "api_key": "fh_live_x",
    "base_url": "https://firsthand.invalid",
    "max_retries": 0,
}


def outcomes(pytester: pytest.Pytester, code: str, *arguments: str, **ini: str) -> tuple[dict[str, int], str]:
    """What came of the tests of a file, and what pytest printed."""
    pytester.makeini("\n".join(["[pytest]", *(f"{name} = {value}" for name, value in ini.items())]))
    pytester.makepyfile(HEAD + dedent(code))
    result = pytester.runpytest_inprocess(*QUIET, "--strict-markers", *arguments)
    return result.parseoutcomes(), result.stdout.str()


@pytest.fixture
def nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client pauses by the machine's clock."""

    def sleep(*_: object) -> None:
        raise AssertionError("a client waits in real time")

    monkeypatch.setattr("firsthandapi._sync.clock.Clock.sleep", sleep)
    monkeypatch.setattr("firsthandapi._async.clock.Clock.sleep", sleep)
    monkeypatch.setattr(HostClock, "pause", sleep)


@pytest.mark.usefixtures("nobody_sleeps")
def test_waits_take_no_real_time(connect: Connect, firsthand_server: MockServer, tmp_path: Path) -> None:
    """Limits, backoff, polls, and the pauses of downloads move the server's clock, in any client that a test makes."""
    firsthand_server.faults.add(path="/v1/jobs", method="POST", status=503, retry_after=20, times=2)
    firsthand_server.faults.add(path="/files/*", status=503, times=4)
    began = firsthand_server.clock.now()
    client = connect(firsthand_server)
    assert len(client.jobs.collect(tmp_path / "signs", **JOB)) == 2
    assert 40 + 15 < firsthand_server.clock.now() - began < 600
    firsthand_server.rate_limit = 5
    start = firsthand_server.clock.now()
    for _ in range(12):
        client.me()
    assert 60 <= firsthand_server.clock.now() - start < 240
    # No request was sent in vain: both clocks are one.
    assert 429 not in {request.status for request in firsthand_server.requests}


@pytest.mark.usefixtures("nobody_sleeps")
def test_a_held_poll_ends_with_the_change(
    firsthand_server: MockServer, firsthand_client: FirstHandClient
) -> None:
    """`Prefer: wait` moves the clock to the change of the job and no further; the server says its time to all."""
    job = firsthand_client.jobs.create_and_wait(**JOB)
    assert any(request.headers.get("prefer") for request in firsthand_server.requests)
    now = firsthand_server.clock.now()
    assert job.completed_at is not None
    assert job.completed_at.timestamp() == pytest.approx(now, abs=0.01)
    response = httpx.get(f"{firsthand_server.url}/v1/jobs", headers={"authorization": "Bearer x"})
    assert parsedate_to_datetime(response.headers["date"]).timestamp() == int(now)


def test_the_clock_of_the_fixture_ends_with_it(pytester: pytest.Pytester) -> None:
    """Clients of other servers keep the machine's clock."""
    code = """
    def test_it(firsthand_server): pass
    """
    assert outcomes(pytester, code)[0] == {"passed": 1}
    assert TIMES == {}
    with MockServer() as server, server.client() as client:
        assert type(client._transport.clock).__module__ == "firsthandapi._sync.clock"


MARKS = """
fault = {"path": "/v1/me", "status": 503}

@pytest.mark.firsthand(speed=60, seed=7, faults={**fault, "optional": True})
class TestMarked:
    @pytest.mark.firsthand(workers=False)
    def test_the_closest_wins(self, firsthand_server):
        assert (firsthand_server.speed, firsthand_server.workers) == (60, False)
        assert len(firsthand_server.faults.active()) == 1

    @pytest.mark.firsthand(speed=0, faults=[])
    def test_argument_by_argument(self, firsthand_server):
        assert (firsthand_server.speed, firsthand_server.workers) == (0, True)
        assert firsthand_server.faults.active() == []

@pytest.mark.firsthand
def test_without_arguments(firsthand_server):
    assert firsthand_server.speed == 0

@pytest.mark.firsthand(faults=[fault, {**fault, "status": 500}])
def test_faults_fire(firsthand_client):
    assert firsthand_client.me().response.attempts == 3

@pytest.mark.firsthand(seed=3)
@pytest.mark.parametrize("_", [1, 2])
def test_seeds(firsthand_server, firsthand_client, _, ratings={}):
    job = firsthand_client.jobs.create_and_wait(description="Photos of street signs in daylight", files_needed=3,
                                                accepted_formats=["image/jpeg"], price_per_file_cents=50)
    hashes = [file.content_hash for file in firsthand_client.files.list(job.id)]
    assert ratings.setdefault("first", hashes) == hashes
"""


def test_the_mark(pytester: pytest.Pytester) -> None:
    """It may stand on a class or a module; each argument is that of the closest mark."""
    assert outcomes(pytester, MARKS)[0] == {"passed": 6}


@pytest.mark.parametrize("prefix", ["firsthand_", ""])
def test_the_configuration(pytester: pytest.Pytester, prefix: str) -> None:
    """It has the same names, and a mark goes before it; wider fixtures follow it alone."""
    code = """
    import types
    LIVE = {"api_key": "fh_live_x", "base_url": "https://firsthand.invalid", "max_retries": 0}

    @pytest.fixture(scope="session")
    def wide():
        with FirstHandClient(**LIVE) as client, pytest.raises(Exception) as error:
            client.me()
        return error.type.__name__

    def test_it(firsthand_server):
        assert (firsthand_server.speed, firsthand_server.workers) == (2, False)
        (fault,) = firsthand_server.faults.active()
        assert (fault.path, fault.optional) == ("/v1/me", True)

    @pytest.mark.firsthand(workers=True, live=False)
    def test_the_mark_goes_first(firsthand_server, wide):
        assert (firsthand_server.speed, firsthand_server.workers) == (2, True)
        assert wide == "FirstHandConnectionError"
        with FirstHandClient(**LIVE) as client, pytest.raises(ConfigurationError):
            client.me()
    """
    fault = '{"path": "/v1/me", "status": 503, "optional": true}'
    ini = {"speed": "2", "seed": "5", "workers": "no", "faults": fault, "live": "true"}
    assert outcomes(pytester, code, **{prefix + name: value for name, value in ini.items()})[0] == {
        "passed": 2
    }


def test_what_cannot_be_is_refused(pytester: pytest.Pytester) -> None:
    """A misspelt argument, effect, or value ends the test before it begins, and says why."""
    code = """
    @pytest.mark.firsthand(sped=1)
    def test_argument(firsthand_server): pass

    @pytest.mark.firsthand(faults=[{"path": "/v1/jbos", "status": 503}])
    def test_path(firsthand_server): pass

    @pytest.mark.firsthand(faults=[{"path": "/v1/jobs", "statsu": 503}])
    def test_effect(firsthand_server): pass

    @pytest.mark.firsthand(faults=5)
    def test_number(firsthand_server): pass

    @pytest.mark.firsthand(faults=[503])
    def test_numbers(firsthand_server): pass

    @pytest.mark.firsthand(live="no")
    def test_live(): pass
    """
    result, text = outcomes(pytester, code)
    assert result == {"errors": 6}
    assert text.count('faults must be dicts, such as faults=[{"path": "/v1/jobs", "drop": "after"}]') >= 2
    for words in (
        "live must be True or False",
        "has no argument sped",
        "did you mean /v1/jobs?",
        "unexpected keyword argument 'statsu'",
    ):
        assert words in text
    result, text = outcomes(pytester, "def test_it(): pass", firsthand_workers="maybe")
    assert "maybe" in text
    # Without the prefix, it may be the value of another plugin.
    assert outcomes(pytester, "def test_it(): pass", workers="auto")[0] == {"passed": 1}


def test_a_fault_that_never_fired_is_an_error(pytester: pytest.Pytester) -> None:
    """It is named at the end, unless it is optional, was removed, or the test was skipped."""
    code = """
    def test_never(firsthand_server):
        firsthand_server.faults.add(path="/v1/jobs", method="POST", drop="after")

    def test_optional(firsthand_server):
        firsthand_server.faults.add(path="/v1/jobs", drop="after", optional=True)

    def test_removed(firsthand_server):
        firsthand_server.faults.add(path="/v1/jobs", drop="after")
        firsthand_server.faults.clear()

    def test_skipped(firsthand_server):
        firsthand_server.faults.add(path="/v1/jobs", drop="after")
        pytest.skip("not here")
    """
    result, text = outcomes(pytester, code)
    assert result == {"passed": 3, "skipped": 1, "errors": 1}
    assert "a fault never fired: fault_1 on POST /v1/jobs (drops the connection after" in text


def test_a_live_key_stays_here(connect: Connect) -> None:
    """The first request of any client with a live key to another machine is refused before it is sent."""
    with pytest.raises(ConfigurationError, match=r"live API key to firsthand\.invalid.*live=True"):
        connect(**ELSEWHERE).me()
    client = connect(**{**ELSEWHERE, "http_client": connect.http_client()})
    with pytest.raises(ConfigurationError, match="live API key"):
        client.jobs.create(**JOB)
    with pytest.raises(FirstHandConnectionError):
        connect(**{**ELSEWHERE, "api_key": "fh_test_x"}).me()


@pytest.mark.firsthand(live=True)
def test_a_live_key_may_leave_a_test_that_says_so(connect: Connect) -> None:
    """By the mark."""
    with pytest.raises(FirstHandConnectionError):
        connect(**ELSEWHERE).me()


def test_a_mock_may_have_a_live_key(connect: Connect) -> None:
    """It sends nothing."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"organization_id": "org_1"})

    assert connect(handler=answer, **ELSEWHERE).me().organization_id == "org_1"

    class Wrapped(httpx.BaseTransport):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

    with httpx.HTTPTransport() as real:
        kinds = [Wrapped(real), real, Wrapped(httpx.MockTransport(answer))]
        assert [uses_network(httpx.Client(transport=transport)) for transport in kinds] == [True, True, False]


FAILING = """
def test_it(firsthand_server, firsthand_client):
    firsthand_server.deliver_to(lambda environ, start_response: start_response("204 No", []) and [])
    firsthand_server.faults.add(path="/v1/jobs", method="POST", status=503, retry_after=20)
    firsthand_server.faults.add(path="/v1/me", drop="after")
    firsthand_server.emit("job.paused", {"secret": "whsec_of_mine"})
    job = firsthand_client.jobs.create_and_wait(
        title="<script>alert(1)</script>", description="Photos of street signs in daylight", files_needed=1,
        accepted_formats=["image/jpeg"], price_per_file_cents=50, metadata={"key": firsthand_server.api_key},
    )
    (file,) = firsthand_client.files.list(job.id)
    firsthand_client.files.download(file, "file.jpg")
    assert file.download_url == firsthand_server.api_key, file.download_url

def test_that_passes(firsthand_client):
    firsthand_client.me()
"""


@pytest.mark.parametrize("arguments", [(), pytest.param(("-n1",), marks=pytest.mark.slow)])
def test_a_failed_test_leaves_a_trace(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    """One page with requests, moves of the clock, deliveries, faults, and money, whose path is printed; without
    secrets, and escaped."""
    result, text = outcomes(pytester, FAILING, *arguments)
    assert result == {"passed": 1, "failed": 1, "errors": 1}
    (path,) = (pytester.path / ".firsthandapi-traces").glob("*.html")
    assert text.count(f"firsthandapi trace: {path}") == 1
    page = path.read_text(encoding="utf-8")
    for words in (
        *(
            "test_it",
            "assert file.download_url",
            "a fault never fired: fault_2",
            "The clock moved by 0:00:20,",
        ),
        *("struck 1 request", "never fired", "job.paused", "http://localhost/webhooks"),
        *("&lt;script&gt;alert(1)", "$0.50", "Escrow for job_"),
    ):
        assert words in page, words
    for secret in ("fh_live_own_", "whsec_of", "<script", "Bearer fh"):
        assert secret not in page
    assert not re.search(r"Signature=[0-9a-f]", page)

"""How the promises are tried: the server under test, what they share, and what a failure says."""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from firsthandapi._base.masking import mask_secrets

from .checks import succeeded
from .exchange import Key, NoResponseError, PromiseError, Response
from .receiver import Receiver
from .server import Json, Server, created

_VARIABLE = "FIRSTHAND_API_KEY"
# A server that does not respond to so many tests in a row will not respond to the others.
_SILENT = 3
# A sandbox job completes after about 15 seconds: §7.
SANDBOX_SECONDS = 45.0
_SERVER = pytest.StashKey[Server]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("the wire contract of FirstHandAPI")
    group.addoption("--url", help=f"Address of the server to check, with its API key in {_VARIABLE}.")
    group.addoption("--read-only", action="store_true", help="Send only GET requests.")
    group.addoption(
        "--patience", type=float, default=10.0, metavar="SECONDS", help="Wait so long for a response."
    )


def pytest_configure(config: pytest.Config) -> None:
    if not (
        config.getoption("collectonly") or (config.getoption("--url", None) and os.environ.get(_VARIABLE))
    ):
        raise pytest.UsageError(
            f"name a server, and export an API key with all scopes as {_VARIABLE}: "
            "python -m pytest contract --url http://127.0.0.1:8080 [--read-only]"
        )
    parts = urlsplit(config.getoption("--url") or "")
    if "@" in parts.netloc:  # which would be printed
        raise pytest.UsageError(
            "--url must not contain a user or a password: the API key is all that is sent"
        )
    if parts.path.rstrip("/").endswith("/v1"):
        raise pytest.UsageError("--url ends before /v1, which each path begins with: leave it out")


def pytest_report_header(config: pytest.Config) -> str:
    kind = "sandbox" if os.environ.get(_VARIABLE, "").startswith("fh_test_") else "live"
    held = "; jobs hold up to $5.00 at any time" if kind == "live" else ""
    effect = "only reads" if config.getoption("--read-only") else f"creates, changes, and cleans up{held}"
    return f"contract: {config.getoption('--url')} with a {kind} key, {effect}"


# --- what a failure says ---------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Function) -> Generator[None]:
    with _explained(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None]:
    """What a test creates for itself is removed after it; what fixtures create stays until the end."""
    server = item.config.stash[_SERVER]
    earlier = {*server.made}
    with _explained(item):
        try:
            return (yield)
        finally:
            server.remove(earlier)


@contextmanager
def _explained(item: pytest.Function) -> Generator[None]:
    """Fail with what was promised, sent, and received, and without secrets, in place of a traceback."""
    try:
        yield
    except pytest.exit.Exception:
        raise
    except Exception as error:  # what skips a test is none
        server = item.config.stash[_SERVER]
        exchange = error.exchange if isinstance(error, PromiseError) else server.last
        fault = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        promise = inspect.getdoc(item.obj) or ""
        if callspec := getattr(item, "callspec", None):
            promise = promise.format(**callspec.params)
        lines = [mask_secrets(fault.partition("\n")[0]), f"promised  {promise}"]
        if isinstance(exchange, Response):
            lines += [f"sent      {exchange.request.curl}", f"came      {exchange.text}"]
        elif exchange is not None:
            lines.append(f"sent      {exchange.curl}")
        text = "\n".join(lines)
        for secret in server.secrets:
            text = text.replace(secret, "…")
        if isinstance(error, NoResponseError):
            server.silences += 1
            if server.silences == _SILENT:
                item.session.shouldstop = "the server stopped responding"
        raise pytest.fail.Exception(text, pytrace=False) from None
    item.config.stash[_SERVER].silences = 0


# --- the server, and what tests share --------------------------------------------------------------------


@pytest.fixture(scope="session")
def stopping() -> Iterator[None]:
    """Let SIGTERM, by which a job of CI is cancelled, stop a run as Ctrl-C does: jobs hold money until cancelled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config, stopping: None) -> Iterator[Server]:
    """The server under test. What was created on it is removed at the end, also after Ctrl-C or SIGTERM."""
    option = pytestconfig.option
    server = Server(option.url, os.environ[_VARIABLE], read_only=option.read_only, patience=option.patience)
    pytestconfig.stash[_SERVER] = server
    try:
        # One request, so that a wrong address or key is one clear error instead of a hundred failures.
        try:
            identity = server.get("/v1/me")
        except NoResponseError as error:
            pytest.exit(f"could not reach {server.url}: {error}", pytest.ExitCode.USAGE_ERROR)
        if identity.status == 401:
            pytest.exit(f"{server.url} refuses the API key in {_VARIABLE} (401)", pytest.ExitCode.USAGE_ERROR)
        if not (identity.ok and identity.object):
            pytest.exit(f"GET /v1/me returned no identity: {identity.text}", pytest.ExitCode.TESTS_FAILED)
        server.prepare()
        yield server
    finally:
        try:
            server.close()
        finally:
            reporter: Any = pytestconfig.pluginmanager.getplugin("terminalreporter")
            for id, resource in reversed(server.made.items()):
                why = server.left.get(id, "its removal was stopped")
                reporter.write_line(f"\ncould not be removed: {resource.words} ({why})", red=True)


@pytest.fixture(scope="session")
def job(server: Server) -> Json:
    """A job that stays open for the whole run; if it only reads, the newest job."""
    return server.first("/v1/jobs", "job") if server.read_only else server.new_job()


@pytest.fixture(scope="session")
def cancelled_job(server: Server) -> Json:
    return created(server.cancel(server.new_job()["id"]))


@pytest.fixture(scope="session")
def spare_job(server: Server) -> Json:
    """What a test may spoil."""
    return server.new_job()


@pytest.fixture(scope="session")
def completed_job(server: Server, request: pytest.FixtureRequest) -> Json:
    if server.has_control:
        return server.complete_job()
    for job in server.get("/v1/jobs", status="completed", limit=100).items:
        if job.get("files_approved") and isinstance(job.get("id"), str):
            return job  # an earlier one
    if not server.is_sandbox or server.read_only:
        pytest.skip("this account has no completed job with files")
    request.getfixturevalue("job")  # the worker of the sandbox comes to both: see `rejected_job`
    job = server.finished(server.new_job(min_star_rating=3)["id"], SANDBOX_SECONDS)
    if job.get("status") != "completed":
        pytest.skip(f"no job completes here: after {SANDBOX_SECONDS:g} s it is {job.get('status')}")
    return job


@pytest.fixture
def own_completed_job(server: Server, completed_job: Json) -> Json:
    """A completed job that this run posted, so that it may be rated."""
    if completed_job["id"] not in server.made:
        pytest.skip("no job of this run completes here, and it rates no others")
    return completed_job


@pytest.fixture(scope="session")
def files(server: Server, completed_job: Json) -> Response:
    """The approved files of the completed job."""
    response = server.get(f"/v1/jobs/{completed_job['id']}/files").must(succeeded)
    assert response.items, "a completed job has no files"
    return response


@pytest.fixture(scope="session")
def file(files: Response) -> Json:
    return files.items[0]


@pytest.fixture(scope="session")
def submission(server: Server, completed_job: Json) -> Json:
    return server.first(f"/v1/jobs/{completed_job['id']}/submissions", "submission")


@pytest.fixture(scope="session")
def poor_key(server: Server) -> Key:
    """A key with one scope."""
    return server.new_key("audit:read")[0]


@pytest.fixture(scope="session")
def spare_key(server: Server) -> Json:
    """What a test may spoil."""
    return server.new_key("usage:read")[1]


@pytest.fixture(scope="session")
def endpoint(server: Server) -> Json:
    """A webhook endpoint for job.cancelled; if the run only reads, the newest one."""
    if server.read_only:
        return server.first("/v1/webhook_endpoints", "webhook endpoint")
    return server.hook("", "job.cancelled")


@pytest.fixture(scope="session")
def spare_endpoint(server: Server) -> Json:
    """What a test may spoil."""
    return server.hook()


@pytest.fixture(scope="session")
def event(server: Server, request: pytest.FixtureRequest) -> Json:
    """The newest event."""
    if not server.read_only:
        request.getfixturevalue("cancelled_job")  # which causes one
    return server.first("/v1/webhook_events", "event")


@pytest.fixture(scope="session")
def receiver(server: Server) -> Receiver:
    """What takes deliveries."""
    if isinstance(server.receiver, str):
        pytest.skip(server.receiver)
    return server.receiver


@pytest.fixture(scope="session")
def strangers(server: Server) -> tuple[Key, Key]:
    """Keys of another organization: for the same environment, and a live one, whose money nobody owns."""
    server.needs_control("another organization")
    keys: dict[str, Any] = server.control("POST", "/organizations", {})
    name = "KEY_OF_ANOTHER_ORGANIZATION"
    return Key(keys["test_api_key" if server.is_sandbox else "api_key"], name), Key(keys["api_key"], name)


@pytest.fixture(scope="session")
def mixed_jobs(server: Server) -> None:
    """Jobs with several statuses: items that fit a filter, and between them others that do not."""
    if server.read_only:
        return
    server.cancel(server.new_job()["id"])
    if server.has_control:
        server.complete_job()
        server.work(server.new_job()["id"], 1)
        server.advance(seconds=1)  # so that the times of jobs differ
    server.new_job()
    server.cancel(server.new_job()["id"])
    if server.has_control:
        server.complete_job()

"""While a tool of tests mocks httpx, API calls go through httpx, and files are not downloaded. That vcrpy and
pytest-httpx are noticed is tested in compat/test_tools.py."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from respx.models import AllMockedAssertionError

from client.support import JOB, Connect
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    FirstHandTimeoutError,
)
from firsthandapi.testing import MockServer
from raw import RawServer

from .servers import HOST, Proxy, TlsProxy


@pytest.fixture
def respx_passes() -> Iterator[respx.MockRouter]:
    """respx mocks httpx, and lets every request through."""
    with respx.mock(using="httpx", assert_all_called=False) as router:
        router.route().pass_through()
        yield router


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_a_mock_answers_in_place_of_the_service(
    using: str, connect: Connect, fresh_server: MockServer
) -> None:
    """Also a client that was created, and used, before: only what the mock lets through reaches the network. After it,
    calls use our own connections again."""
    client = connect(fresh_server)
    client.me()
    with respx.mock(using=using) as router:
        router.get(f"{fresh_server.url}/v1/me").respond(json={"organization_id": "org_mock"})
        post = router.post(f"{fresh_server.url}/v1/jobs").respond(
            201, json={"id": "job_mock", "status": "open"}
        )
        assert client.me().organization_id == "org_mock"
        job = client.with_options(timeout=5).jobs.create(**JOB)
        assert job.id == "job_mock"
        assert post.calls.last.request.headers["idempotency-key"] == job.response.idempotency_key
        with pytest.raises(AllMockedAssertionError):
            client.billing.credits()
    assert len(fresh_server.requests) == 1
    client.me()
    assert len(fresh_server.requests) == 2


@pytest.mark.parametrize("loaded", [True, False])
def test_what_is_no_tool_of_tests_changes_nothing(
    loaded: bool, connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a library that measures httpx, whose wrapper stays for good, whether or not a tool is loaded."""
    if not loaded:
        for package in ("respx", "vcr", "pytest_httpx"):
            monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", None)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lambda *_: None)
    assert connect(fresh_server).me()


def test_time_limits_hold(connect: Connect, fresh_server: MockServer, respx_passes: respx.MockRouter) -> None:
    """Against a body that comes a byte at a time: that of an attempt, and that of a call."""
    fresh_server.faults.add(dribble=0.002, times=None, headers={"Content-Length": "100000"})
    client = connect(fresh_server, timeout=0.3, max_retries=0)
    with pytest.raises(FirstHandTimeoutError):
        client.me()
    with pytest.raises(DeadlineExceededError):
        client.with_options(timeout=30, deadline=0.3).me()
    assert len(respx_passes.calls) == 2


def test_a_proxy_is_used(
    connect: Connect, fresh_server: MockServer, proxy: Proxy, respx_passes: respx.MockRouter
) -> None:
    """As without the mock: the option, with its password."""
    client = connect(fresh_server, proxy=f"http://anna:p%40ss@127.0.0.1:{proxy.port}", max_retries=0)
    client.me()
    assert proxy.requests[0].line == f"GET {fresh_server.url}/v1/me HTTP/1.1"
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")


def test_the_environment_decides_as_without_the_mock(
    connect: Connect,
    fresh_server: MockServer,
    proxy: Proxy,
    respx_passes: respx.MockRouter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`NO_PROXY` may name a network, which httpx does not know."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    connect(fresh_server).me()
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    connect(fresh_server).me()
    assert len(proxy.requests) == 1
    assert len(respx_passes.calls) == 2


def test_certificates_are_verified(
    connect: Connect, certificate: Path, tls: RawServer, trust: str, respx_passes: respx.MockRouter
) -> None:
    """Those of the service, and those of a proxy that itself speaks TLS; the error names our own settings."""
    engine = httpx.AsyncHTTPTransport if connect.is_async else httpx.HTTPTransport
    if "proxy_ssl_context" not in inspect.getsource(engine.__init__):
        pytest.skip("this version of httpx gives its async connections to a proxy no certificates")
    tunnel = TlsProxy(tls.port, certificate=certificate)
    options = {
        "base_url": f"https://{HOST}",
        "proxy": f"https://127.0.0.1:{tunnel.port}",
        "max_retries": 0,
    }
    try:
        assert connect(**options, verify=trust).me().organization_id == "org_tls"
        with pytest.raises(FirstHandConnectionError, match=r"is not trusted .*; check verify=") as caught:
            connect(**options).me()
        assert caught.value.untrusted
    finally:
        tunnel.close()


def test_a_socks_proxy_needs_what_httpx_needs(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, respx_passes: respx.MockRouter
) -> None:
    """It is never left out: what the mock lets through would show the address of this machine."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    client = connect(proxy="socks5h://127.0.0.1:1", max_retries=0)
    with pytest.raises(ConfigurationError, match=r"pip install 'httpx\[socks\]'"):
        client.me()


def collect(client: Any, dest: Path, _: Any) -> None:
    client.jobs.collect(dest, **JOB, timeout=0)


def download_all(client: Any, dest: Path, file: Any) -> None:
    client.files.download_all(file.job_id, dest)


def download(client: Any, dest: Path, file: Any) -> None:
    client.files.download(file, dest / "picture.jpg")


@pytest.mark.parametrize("act", [collect, download_all, download])
def test_files_are_not_downloaded(
    act: Callable[..., None], connect: Connect, fresh_server: MockServer, tmp_path: Path
) -> None:
    """A mock would not see downloads, so they are refused, before a job is posted; after it they work."""
    client = connect(fresh_server)
    job = client.jobs.create(**{**JOB, "files_needed": 1})
    fresh_server.submit(job.id)
    fresh_server.clock.advance(minutes=1)
    (file,) = client.files.list(job.id)
    requests = len(fresh_server.requests)
    with respx.mock(assert_all_called=False) as router:
        router.route().pass_through()
        with pytest.raises(
            ConfigurationError, match=r"while respx mocks httpx: .* firsthandapi\.testing\.MockServer"
        ):
            act(client, tmp_path, file)
    assert not [request for request in fresh_server.requests[requests:] if request.method == "POST"]
    download(client, tmp_path, file)

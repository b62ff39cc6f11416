"""Proxies and TLS."""

from __future__ import annotations

import queue
import random
import socket
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from base.network.servers import Proxy, Socks, TlsProxy, silent_address
from firsthandapi._base.network import certificates
from firsthandapi._base.origins import Origin
from firsthandapi.datasets._download.network import Network, StoppedError
from firsthandapi.datasets._download.transfer import Outcome
from raw import CERTIFICATE, RawRequest, Reply, refused, response

from .conftest import Bench
from .storage import Storage


@pytest.fixture
def tls_bench(tls_storage: Storage, tmp_path: Path) -> Bench:
    return Bench(tls_storage, tmp_path)


def test_tls(tls_bench: Bench) -> None:
    """https with `verify` as a path: cut bodies are continued, connections kept."""
    storage = tls_bench.storage
    storage.content = b"y" * 1_000_000
    storage.script.append(storage.cut(500_000))
    outcomes = tls_bench.fetch(
        *(tls_bench.wanted(n) for n in range(5)), concurrency=1, verify=str(CERTIFICATE)
    )
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert {request.connection for request in storage.requests} == {1, 2}


@pytest.mark.skipif(find_spec("truststore") is None, reason="the extra truststore is not installed")
def test_tls_of_the_system(tls_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify="system"` trusts what the operating system does, such as where OpenSSL looks for it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    certificates._system.cache_clear()
    tls_bench.good(verify="system")
    certificates._system.cache_clear()


def test_tls_stale_connection(tls_bench: Bench) -> None:
    """A TLS connection that was closed while idle costs no attempt."""
    storage = tls_bench.storage
    storage.script.append(Reply(storage.serve(RawRequest("", {}, 0)).data, "close"))
    outcomes = tls_bench.fetch(
        tls_bench.wanted(1), tls_bench.wanted(2), concurrency=1, max_retries=0, verify=str(CERTIFICATE)
    )
    assert [outcome.error for outcome in outcomes] == [None, None]


def test_untrusted_certificate(tls_bench: Bench) -> None:
    """A certificate that nobody vouches for is not trusted, and not asked for again."""
    message = tls_bench.bad()
    assert "is not trusted (self-signed certificate); check verify=" in message
    assert tls_bench.clock.pauses == []


def test_certificate_of_another(tls_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate for another name is not trusted."""
    real = socket.getaddrinfo("127.0.0.1", tls_bench.storage.port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: real)
    url = tls_bench.storage.url().replace("127.0.0.1", "other.example")
    assert "is not trusted" in tls_bench.bad(tls_bench.wanted(url=url), verify=str(CERTIFICATE))


def test_no_tls(bench: Bench) -> None:
    """A server that does not speak TLS is an error of ours."""
    bench.storage.handler = lambda _: Reply(b"", "close")
    url = bench.storage.url().replace("http:", "https:")
    assert "TLS handshake with 127.0.0.1 failed" in bench.bad(
        bench.wanted(url=url), max_retries=0, timeout=0.3
    )


def test_proxy_that_is_not_there(bench: Bench) -> None:
    """A proxy that cannot be reached is named, without its password."""
    with refused() as port:
        message = bench.bad(proxy=f"http://anna:verysecret@127.0.0.1:{port}")
    assert f"could not connect to the proxy http://127.0.0.1:{port}: " in message


def test_proxy_for_http(bench: Bench, proxy: Proxy) -> None:
    """http goes through a proxy by absolute URLs, with the proxy's password for the proxy alone."""
    bench.good(proxy=f"http://us%65r:p%3Aw@127.0.0.1:{proxy.port}")
    request = proxy.requests[0]
    assert request.line == f"GET {bench.storage.url()} HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic dXNlcjpwOnc="
    assert "proxy-authorization" not in bench.storage.requests[0].headers


def test_proxy_for_https(tls_bench: Bench, proxy: Proxy) -> None:
    """https goes through a tunnel, whose end is verified as ever."""
    tls_bench.good(proxy=f"http://u:p@127.0.0.1:{proxy.port}", verify=str(CERTIFICATE))
    request = proxy.requests[0]
    assert request.line == f"CONNECT 127.0.0.1:{tls_bench.storage.port} HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic dTpw"
    assert "proxy-authorization" not in tls_bench.storage.requests[0].headers


def test_proxy_from_environment(bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HTTP_PROXY` is obeyed, and `NO_PROXY`."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    bench.good()
    assert len(proxy.requests) == 1
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    bench.good()
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (403, 1), (502, 4)])
def test_proxy_refuses(tls_bench: Bench, proxy: Proxy, status: int, attempts: int) -> None:
    """What a proxy refuses is an error that names its status, not its password."""
    proxy.refuse = f"{status} No"
    message = tls_bench.bad(proxy=f"http://u:verysecret@127.0.0.1:{proxy.port}")
    assert f"the proxy refused to connect to 127.0.0.1: HTTP {status}" in message
    assert len(proxy.requests) == attempts


def test_silent_proxy(tls_bench: Bench, storage: Storage) -> None:
    """A proxy that does not answer is left after `timeout`; a cancelled run does not wait for it."""
    storage.handler = lambda _: Reply(b"HTTP/1.1 200", "hang")
    proxy = f"http://127.0.0.1:{storage.port}"
    assert "in time" in tls_bench.bad(proxy=proxy, timeout=0.2, max_retries=0)
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with tls_bench.engine(outcomes, proxy=proxy, timeout=30) as engine:
        engine.submit(tls_bench.wanted())
        time.sleep(0.2)
        started = time.monotonic()
        engine.close(cancel=True)
        assert time.monotonic() - started < 10
    assert "cancelled" in str(outcomes.get(timeout=60).error)


def test_https_proxy(bench: Bench, tls_storage: Storage) -> None:
    """A proxy that is reached by https serves http."""
    tls_storage.content = bench.storage.content
    bench.good(proxy=f"https://127.0.0.1:{tls_storage.port}", verify=str(CERTIFICATE))
    assert tls_storage.requests[0].target == bench.storage.url()


def test_https_through_https_proxy(tls_bench: Bench) -> None:
    """TLS within TLS: cut bodies are continued, and both certificates are verified."""
    storage, proxy = tls_bench.storage, TlsProxy()
    storage.content = random.Random(1).randbytes(3_000_000)
    storage.script += [storage.cut(1_000_000), storage.serve, storage.cut(0, "reset")]
    try:
        outcomes = tls_bench.fetch(
            *(tls_bench.wanted(n) for n in range(3)),
            concurrency=1,
            proxy=f"https://127.0.0.1:{proxy.port}",
            verify=str(CERTIFICATE),
        )
        assert [outcome.error for outcome in outcomes] == [None] * 3
        message = tls_bench.one(proxy=f"https://127.0.0.1:{proxy.port}").error
        assert "the certificate of 127.0.0.1 is not trusted" in str(message)
    finally:
        proxy.close()


@pytest.mark.parametrize("where", ["body", "handshake"])
@pytest.mark.parametrize("led", [False, True])
def test_cancel_tls(tls_bench: Bench, where: str, led: bool) -> None:
    """A thread that waits within TLS, or within TLS within TLS, ends at once too."""
    proxy = TlsProxy()
    tls_bench.storage.handler = lambda _: response(b"x" * 10, length=1000, then="hang")
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        tls_bench.engine(
            outcomes,
            timeout=30,
            verify=str(CERTIFICATE),
            proxy=f"https://127.0.0.1:{proxy.port}" if led else None,
        ) as engine,
    ):
        silent_url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        engine.submit(tls_bench.wanted() if where == "body" else tls_bench.wanted(url=silent_url))
        time.sleep(0.3)
        started = time.monotonic()
        engine.close(cancel=True)
        assert time.monotonic() - started < 10
    proxy.close()
    assert "cancelled" in str(outcomes.get(timeout=60).error)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks(bench: Bench, tls_bench: Bench, scheme: str) -> None:
    """A SOCKS 5 proxy leads to http and https alike."""
    with Socks(login=(b"anna", b"p@ss")) as socks:
        proxy = f"{scheme}://anna:p%40ss@127.0.0.1:{socks.port}"
        bench.good(proxy=proxy)
        (bench.directory / "file_1.jpg").unlink()
        tls_bench.good(proxy=proxy, verify=str(CERTIFICATE))
        assert [port for _, port in socks.asked] == [bench.storage.port, tls_bench.storage.port]


@pytest.mark.parametrize(("reply", "attempts"), [(2, 1), (5, 4)])
def test_socks_refuses(bench: Bench, reply: int, attempts: int) -> None:
    """What a SOCKS proxy refuses is tried again only if that may help."""
    with Socks(reply=reply) as socks:
        message = bench.bad(proxy=f"socks5://127.0.0.1:{socks.port}")
        assert "the proxy refused to connect to 127.0.0.1" in message
        assert len(socks.asked) == attempts


def test_stopped_before_it_begins(storage: Storage) -> None:
    """A socket that comes after the end is closed at once."""
    stop = threading.Event()
    network = Network(proxy=None, verify=True, timeout=1, stop=stop)
    stop.set()
    with pytest.raises(StoppedError):
        network.connect(Origin("http", "127.0.0.1", storage.port, ""), lambda: None)


def test_stopped_while_it_connects(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled while a socket connects does not wait for it."""
    stop = threading.Event()
    network = Network(proxy=None, verify=True, timeout=60, stop=stop)
    with silent_address("127.0.0.1") as port, pytest.raises(StoppedError):
        network.connect(Origin("http", "127.0.0.1", port, ""), stop.set)


def test_tunnel_to_ipv6() -> None:
    """An IPv6 host has its brackets where it goes into a line."""
    assert Origin("https", "::1", 8443, "").authority == "[::1]:8443"

"""Proxies and certificates, with a proxy and a TLS server of our own on loopback."""

from __future__ import annotations

import base64
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.support import Connect
from firsthandapi.errors import FirstHandConnectionError, FirstHandTimeoutError, WaitTimeoutError
from firsthandapi.testing import MockServer
from raw import RawServer, refused

from .servers import HOST, Proxy, Socks, TlsProxy

# --- proxies


@pytest.mark.parametrize("how", ["option", "HTTP_PROXY", "ALL_PROXY", "http_proxy"])
def test_http_is_forwarded(
    how: str, connect: Connect, fresh_server: MockServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy, given as an option or by the environment, is asked with the whole URL."""
    address = f"http://127.0.0.1:{proxy.port}"
    if how != "option":
        monkeypatch.setenv(how, address)
    client = connect(fresh_server, proxy=address if how == "option" else None, max_retries=0)
    client.me()
    client.me()
    assert proxy.requests[0].line == f"GET {fresh_server.url}/v1/me HTTP/1.1"
    assert len(proxy.requests) == 2
    assert len(proxy.sockets) == 2  # one from the client, one to the server
    assert len(fresh_server.requests) == 2


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "localhost,127.0.0.1"])
def test_no_proxy(
    no_proxy: str, connect: Connect, fresh_server: MockServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NO_PROXY` takes the service's host out."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert connect(fresh_server).me()
    assert proxy.requests == []


def test_the_proxy_s_password(connect: Connect, fresh_server: MockServer, proxy: Proxy) -> None:
    """Name and password in the proxy's URL go to the proxy, and into no error."""
    client = connect(fresh_server, proxy=f"http://anna:p%40ss@127.0.0.1:{proxy.port}", max_retries=0)
    client.me()
    expected = base64.b64encode(b"anna:p@ss").decode()
    assert proxy.requests[0].headers["proxy-authorization"] == f"Basic {expected}"
    assert "anna" not in repr(client)


def test_https_goes_through_a_tunnel(connect: Connect, tls: RawServer, trust: str) -> None:
    """For https the proxy is asked for a tunnel and sees neither path nor key."""
    tunnel = Proxy(tls.port)
    client = connect(
        base_url=f"https://{HOST}", proxy=f"http://127.0.0.1:{tunnel.port}", verify=trust, max_retries=0
    )
    try:
        assert client.me().organization_id == "org_tls"
        assert client.me().organization_id == "org_tls"
        (request,) = tunnel.requests
        assert request.line == f"CONNECT {HOST}:443 HTTP/1.1"
        assert "fh_test" not in str(request)
        assert "/v1/" not in str(request)
        assert tls.requests[0].headers["host"] == HOST
    finally:
        client.close()
        tunnel.close()


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses(status: str, connect: Connect) -> None:
    """A proxy that refuses a tunnel is a failed connection: nothing was sent, so a POST may be sent again."""
    tunnel = Proxy(refuse=status)
    client = connect(
        base_url=f"https://{HOST}", proxy=f"http://anna:5ecret@127.0.0.1:{tunnel.port}", max_retries=1
    )
    connect.clock(client)
    try:
        with pytest.raises(FirstHandConnectionError, match=status[:3]) as caught:
            client.jobs.cancel("job_1")
        # What the proxy will say again is asked once, and ends a wait; what may heal does not.
        lasting = status[:3] != "502"
        assert caught.value.attempts == (1 if lasting else 2)
        assert not caught.value.request_sent
        assert "5ecret" not in str(caught.value)
        assert ("put the user name and the password into" in str(caught.value)) is status.startswith("407")
        assert caught.value.proxy_refused is lasting
        with pytest.raises(FirstHandConnectionError if lasting else WaitTimeoutError, match="HTTP"):
            client.jobs.wait("job_1", timeout=60)
    finally:
        tunnel.close()


@pytest.mark.parametrize(("text", "lasting"), [("407 Proxy Authentication Required", True), ("502 x", False)])
def test_a_proxy_of_ones_own_client_that_refuses(text: str, lasting: bool, connect: Connect) -> None:
    """The words of httpx say what a proxy answered."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ProxyError(text)

    client = connect(handler=refuse, max_retries=0)
    with pytest.raises(FirstHandConnectionError, match=text) as caught:
        client.me()
    assert caught.value.proxy_refused is lasting


def test_a_proxy_that_is_not_there(connect: Connect, fresh_server: MockServer) -> None:
    """A proxy that nobody runs is a failed connection, whose error names the proxy without its password."""
    with refused() as port:
        client = connect(fresh_server, proxy=f"http://anna:5ecret@127.0.0.1:{port}", max_retries=0)
        text = f"could not connect to the proxy http://127.0.0.1:{port}: .*proxy settings"
        with pytest.raises(FirstHandConnectionError, match=text) as caught:
            client.me()
    assert "5ecret" not in str(caught.value)
    assert fresh_server.requests == []


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http", "the proxy http://127.0.0.1:{port}: it did not answer in time"),
        ("socks5", "the proxy socks5://127.0.0.1:{port}: it did not answer in time"),
        ("https", "the proxy https://127.0.0.1:{port}: the TLS handshake took too long"),
        (None, "127.0.0.1:{port}: the TLS handshake took too long"),
    ],
)
def test_who_accepts_a_connection_and_stays_silent_is_named(
    proxy: str | None, reason: str, connect: Connect
) -> None:
    """A proxy that does not answer is called that, and no words of the libraries below stand in the message."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = None if proxy is None else f"{proxy}://127.0.0.1:{port}"
        client = connect(base_url=f"https://127.0.0.1:{port}", proxy=address, timeout=0.2, max_retries=0)
        with pytest.raises(FirstHandTimeoutError) as caught:
            client.me()
    assert str(caught.value).startswith(f"could not connect to {reason.format(port=port)}; check the network")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socks(scheme: str, connect: Connect, fresh_server: MockServer, tls: RawServer, trust: str) -> None:
    """A SOCKS 5 proxy leads to http and https alike, needs no further package, and looks up names itself."""
    port = tls.port if scheme == "https" else int(fresh_server.url.rpartition(":")[2])
    with Socks(login=(b"anna", b"p@ss")) as socks:
        client = connect(
            fresh_server,
            base_url=f"{scheme}://localhost:{port}",
            proxy=f"socks5h://anna:p%40ss@127.0.0.1:{socks.port}",
            verify=trust,
            max_retries=0,
        )
        assert client.me()
        assert client.me()
        client.close()
        assert socks.asked == [("localhost", port)]


def test_socks_that_refuses(connect: Connect) -> None:
    """A SOCKS proxy that refuses is a failed connection: nothing was sent."""
    with Socks(login=(b"anna", b"other")) as socks:
        client = connect(proxy=f"socks5://anna:5ecret@127.0.0.1:{socks.port}", max_retries=0)
        with pytest.raises(FirstHandConnectionError, match="refused the user name or the password") as caught:
            client.me()
        assert not caught.value.request_sent
        assert "5ecret" not in str(caught.value)
    with Socks(reply=2) as socks:
        client = connect(proxy=f"socks5://127.0.0.1:{socks.port}", max_retries=0)
        with pytest.raises(FirstHandConnectionError, match="its rules forbid the connection"):
            client.me()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("trusted", ["path", "context", "False", "nobody"])
def test_a_proxy_reached_by_https(
    scheme: str, trusted: str, connect: Connect, certificate: Path, tls: RawServer, trust: str
) -> None:
    """`verify` holds for the proxy's certificate as for the service's, also with TLS within TLS."""
    verify: Any = {"path": trust, "False": False, "nobody": True}.get(trusted)
    if verify is None:
        verify = ssl.create_default_context(cafile=trust)
    # What answers every request is a proxy for http, too.
    proxy = tls if scheme == "http" else TlsProxy(tls.port, certificate=certificate)
    client = connect(
        base_url=f"{scheme}://{HOST if scheme == 'https' else '127.0.0.1'}",
        proxy=f"https://127.0.0.1:{proxy.port}",
        verify=verify,
        max_retries=0,
    )
    try:
        if trusted == "nobody":
            with pytest.raises(FirstHandConnectionError, match=r"(?i)certificate") as caught:
                client.me()
            assert caught.value.untrusted
            assert proxy.requests == []
        else:
            assert client.me().organization_id == "org_tls"
            assert proxy.requests[0].method == ("CONNECT" if scheme == "https" else "GET")
    finally:
        client.close()
        proxy.close()


# --- certificates

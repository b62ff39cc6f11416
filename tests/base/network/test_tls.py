"""API calls over TLS to a server that fails it."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import cast

import pytest

from client.support import Connect
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._base.network.tls import TlsInTls
from firsthandapi.errors import FirstHandConnectionError
from firsthandapi.testing import MockServer
from raw import RawServer, reset

from .servers import Proxy


def test_a_certificate_that_nobody_trusts(connect: Connect, tls: RawServer) -> None:
    """By default it is refused, once, the error says what to check, and the key was not sent."""
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=3)
    text = (
        rf"the certificate of localhost:{tls.port} is not trusted \(self.signed certificate\); check verify="
    )
    with pytest.raises(FirstHandConnectionError, match=text) as caught:
        client.me()
    assert caught.value.attempts == 1
    assert not caught.value.request_sent
    assert caught.value.untrusted
    assert tls.requests == []
    # It will not be trusted in ten seconds either, so a wait does not sit it out.
    with pytest.raises(FirstHandConnectionError, match=r"(?i)certificate"):
        client.jobs.wait("job_1")


def test_a_certificate_of_another_name(connect: Connect, tls: RawServer, trust: str) -> None:
    """A certificate for another name is refused."""
    tunnel = Proxy(tls.port)
    client = connect(
        base_url="https://other.example", proxy=f"http://127.0.0.1:{tunnel.port}", verify=trust, max_retries=0
    )
    try:
        with pytest.raises(FirstHandConnectionError, match=r"(?i)certificate.*other\.example"):
            client.me()
    finally:
        client.close()
        tunnel.close()
    assert tls.requests == []


def test_https_to_a_server_without_tls(connect: Connect, fresh_server: MockServer) -> None:
    """A server that speaks no TLS is a failed connection, which ends a wait: it is no certificate that fails."""
    client = connect(base_url=fresh_server.url.replace("http:", "https:"), max_retries=0)
    for call in (client.me, lambda: client.jobs.wait("job_1")):
        with pytest.raises(
            FirstHandConnectionError, match=r"it answers, but not in TLS.* http:// in base_url"
        ) as caught:
            call()
        assert caught.value.no_tls
        assert not caught.value.untrusted


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_handshake_that_is_cut(is_reset: bool, connect: Connect, tls: RawServer, trust: str) -> None:
    """A server that hangs up during the TLS handshake is no bad certificate: nothing was sent, a wait goes on."""
    calls: list[int] = []

    def cut(connection: socket.socket) -> socket.socket | None:
        calls.append(1)
        if len(calls) > 2:
            return connection
        connection.recv(10 if is_reset else 65536)
        if is_reset:
            reset(connection)
        return None

    tls.first = cut
    client = connect(base_url=f"https://localhost:{tls.port}", verify=trust, max_retries=0, frozen=True)
    with pytest.raises(
        FirstHandConnectionError, match=r"could not connect to .*: (?!ConnectError)"
    ) as caught:
        client.me()
    assert not caught.value.untrusted
    assert not caught.value.request_sent
    if is_reset:
        # The lowest anyio does not pass the number on.
        assert caught.value.errno in (errno.ECONNRESET, None if connect.is_async else errno.ECONNRESET)
    assert client.with_options(max_retries=1).me().organization_id == "org_tls"
    client.close()


def test_a_handshake_behind_a_proxy_that_comes_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS within TLS reads the outer connection many times for one record; all of them share the time of one call."""
    now, received = [0.0], iter(b"\x16\x03\x03\x40\x00" + b"\0" * 0x4000)
    limits: list[float] = []
    monkeypatch.setattr("firsthandapi._base.network.tls.time.monotonic", lambda: now[0])

    class Outer:
        fileno = close = None

        def gettimeout(self) -> float:
            return 9

        def settimeout(self, seconds: float) -> None:
            limits.append(seconds)

        def sendall(self, data: bytes) -> None:
            pass

        def recv(self, size: int) -> bytes:
            now[0] += 1
            return bytes([next(received)])

    link = TlsInTls(cast("ssl.SSLSocket", Outer()), ssl_context(False), "localhost")
    link.settimeout(3)
    with pytest.raises(TimeoutError):
        link.do_handshake()
    assert limits == [3, 2, 1]

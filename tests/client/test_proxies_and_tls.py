"""Proxies and certificates, with a proxy and a TLS server of our own on loopback."""

from __future__ import annotations

import base64
import contextlib
import errno
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi._network.certificates import ssl_context
from firsthandapi.errors import ConfigurationError, FirstHandConnectionError, WaitTimeoutError
from firsthandapi.testing import MockServer
from network.servers import Socks

from .support import Connect

HOST = "api.example.test"


class Listener:
    """A socket that gives each connection to a thread."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heads: list[bytes] = []
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(10)
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.serve(connection)

    def read_head(self, connection: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionResetError
            head += piece
        self.heads.append(head)
        return head

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for each in (self.socket, *self.connections):
            hang_up(each)
        self.socket.close()
        for thread in self.threads:
            thread.join()


def hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    hang_up(source)
    hang_up(sink)


class Proxy(Listener):
    """Forwards http and tunnels https; every name leads to the same place."""

    def __init__(self, target: int, refuse: bytes = b"") -> None:
        self.target = target
        self.refuse = refuse
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        head = self.read_head(connection)
        if self.refuse:
            connection.sendall(self.refuse)
            return
        with socket.create_connection(("127.0.0.1", self.target), timeout=10) as onward:
            self.connections.append(onward)
            back = threading.Thread(target=pump, args=(onward, connection))
            if head.startswith(b"CONNECT"):
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back.start()
                pump(connection, onward)
            else:
                back.start()
                with contextlib.suppress(OSError):
                    while True:
                        method, url, rest = head.split(b" ", 2)
                        onward.sendall(method + b" /" + url.split(b"/", 3)[3] + b" " + rest)
                        head = self.read_head(connection)
                hang_up(onward)
            back.join()


class Tls(Listener):
    """Answers every request over TLS with an identity."""

    def __init__(self, certificate: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        body = b'{"organization_id":"org_tls"}'
        with self.context.wrap_socket(connection, server_side=True) as secure:
            while True:
                self.read_head(secure)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody trusts, for this machine and for the test's host."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    arguments = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    arguments += ["-addext", f"subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:{HOST}"]
    arguments += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(arguments, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture(scope="module")
def trust(certificate: Path) -> str:
    """The certificate alone, to be trusted."""
    return str(certificate.with_name("cert.pem"))


@pytest.fixture
def tls(certificate: Path) -> Iterator[Tls]:
    """A TLS server."""
    server = Tls(certificate)
    yield server
    server.close()


@pytest.fixture
def proxy(fresh_server: MockServer) -> Iterator[Proxy]:
    """A proxy in front of the bundled server."""
    made = Proxy(int(fresh_server.url.rpartition(":")[2]))
    yield made
    made.close()


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
    assert proxy.heads[0].startswith(f"GET {fresh_server.url}/v1/me HTTP/1.1\r\n".encode())
    assert len(proxy.heads) == 2
    assert len(proxy.connections) == 2  # one from the client, one to the server
    assert len(fresh_server.requests) == 2


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "localhost,127.0.0.1"])
def test_no_proxy(
    no_proxy: str, connect: Connect, fresh_server: MockServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NO_PROXY` takes the service's host out."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert connect(fresh_server).me()
    assert proxy.heads == []


def test_the_proxy_s_password(connect: Connect, fresh_server: MockServer, proxy: Proxy) -> None:
    """Name and password in the proxy's URL go to the proxy, and into no error."""
    client = connect(fresh_server, proxy=f"http://anna:p%40ss@127.0.0.1:{proxy.port}", max_retries=0)
    client.me()
    assert b"basic " + base64.b64encode(b"anna:p@ss").lower() in proxy.heads[0].lower()
    assert "anna" not in repr(client)


def test_https_goes_through_a_tunnel(connect: Connect, tls: Tls, trust: str) -> None:
    """For https the proxy is asked for a tunnel and sees neither path nor key."""
    tunnel = Proxy(tls.port)
    client = connect(
        base_url=f"https://{HOST}", proxy=f"http://127.0.0.1:{tunnel.port}", verify=trust, max_retries=0
    )
    try:
        assert client.me().organization_id == "org_tls"
        assert client.me().organization_id == "org_tls"
        (head,) = tunnel.heads
        assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode())
        assert b"fh_test" not in head
        assert b"/v1/" not in head
        assert f"Host: {HOST}\r\n".encode() in tls.heads[0]
    finally:
        client.close()
        tunnel.close()


@pytest.mark.parametrize(
    "status", [b"403 Forbidden", b"407 Proxy Authentication Required", b"502 Bad Gateway"]
)
def test_a_proxy_that_refuses(status: bytes, connect: Connect) -> None:
    """A proxy that refuses a tunnel is a failed connection: nothing was sent, so a POST may be sent again."""
    tunnel = Proxy(0, refuse=b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    client = connect(
        base_url=f"https://{HOST}", proxy=f"http://anna:5ecret@127.0.0.1:{tunnel.port}", max_retries=1
    )
    connect.clock(client)
    try:
        with pytest.raises(FirstHandConnectionError, match=status[:3].decode()) as caught:
            client.jobs.cancel("job_1")
        assert caught.value.attempts == 2
        assert not caught.value.request_sent
        assert "5ecret" not in str(caught.value)
        # What the proxy will say again ends a wait; what may heal does not.
        lasting = status[:3] != b"502"
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
    """A proxy that nobody runs is a failed connection, whose error points at the proxy settings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = connect(fresh_server, proxy=f"http://127.0.0.1:{port}", max_retries=0)
    with pytest.raises(FirstHandConnectionError, match="proxy settings"):
        client.me()
    assert fresh_server.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socks(scheme: str, connect: Connect, fresh_server: MockServer, tls: Tls, trust: str) -> None:
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


class TlsProxy(Tls):
    """A proxy that is itself reached by https."""

    def __init__(self, certificate: Path, target: int) -> None:
        self.target = target
        super().__init__(certificate)

    def serve(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as secure:
            head = self.read_head(secure)
            if not head.startswith(b"CONNECT"):
                body = b'{"organization_id":"org_proxy"}'
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                return
            with socket.create_connection(("127.0.0.1", self.target), timeout=10) as onward:
                self.connections.append(onward)
                secure.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while ready := select.select([secure, onward], [], [])[0]:
                    source, sink = (secure, onward) if secure in ready else (onward, secure)
                    if not (data := source.recv(65536)):
                        return
                    sink.sendall(data)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("trusted", ["path", "context", "False", "nobody"])
def test_a_proxy_reached_by_https(
    scheme: str, trusted: str, connect: Connect, certificate: Path, tls: Tls, trust: str
) -> None:
    """`verify` holds for the proxy's certificate as for the service's, also with TLS within TLS."""
    verify: Any = {"path": trust, "False": False, "nobody": True}.get(trusted)
    if verify is None:
        verify = ssl.create_default_context(cafile=trust)
    tunnel = TlsProxy(certificate, tls.port)
    client = connect(
        base_url=f"{scheme}://{HOST if scheme == 'https' else '127.0.0.1'}",
        proxy=f"https://127.0.0.1:{tunnel.port}",
        verify=verify,
        max_retries=0,
    )
    try:
        if trusted == "nobody":
            with pytest.raises(FirstHandConnectionError, match=r"(?i)certificate") as caught:
                client.me()
            assert caught.value.untrusted
            assert tunnel.heads == []
        else:
            expected = "org_tls" if scheme == "https" else "org_proxy"
            assert client.me().organization_id == expected
    finally:
        client.close()
        tunnel.close()


# --- certificates


def test_a_trusted_certificate(connect: Connect, tls: Tls, trust: str) -> None:
    """`verify=path` trusts what is there; the name is checked too."""
    client = connect(base_url=f"https://localhost:{tls.port}", verify=trust, max_retries=0)
    assert client.me().organization_id == "org_tls"
    client.close()


@pytest.mark.parametrize("verify", ["context", False])
def test_other_ways_to_trust(verify: Any, connect: Connect, tls: Tls, trust: str) -> None:
    """An `ssl.SSLContext` of the caller's is used as it is; False trusts anyone."""
    if verify == "context":
        verify = ssl.create_default_context(cafile=trust)
    client = connect(base_url=f"https://127.0.0.1:{tls.port}", verify=verify, max_retries=0)
    assert client.me().organization_id == "org_tls"
    client.close()


def test_trust_from_the_environment(
    connect: Connect, tls: Tls, trust: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SSL_CERT_FILE` is obeyed."""
    monkeypatch.setenv("SSL_CERT_FILE", trust)
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0)
    assert client.me().organization_id == "org_tls"
    client.close()


def test_a_directory_of_certificates(
    connect: Connect, tls: Tls, trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify` and `SSL_CERT_DIR` take a directory of certificates."""
    found = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", trust], capture_output=True, check=True
    )
    (tmp_path / f"{found.stdout.decode().strip()}.0").write_bytes(Path(trust).read_bytes())
    for options in ({"verify": str(tmp_path)}, {}):
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0, **options)
        assert client.me().organization_id == "org_tls"
        client.close()


def test_a_certificate_that_nobody_trusts(connect: Connect, tls: Tls) -> None:
    """By default it is refused, the error says certificate, and the key was not sent."""
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0)
    with pytest.raises(FirstHandConnectionError, match=r"(?i)certificate") as caught:
        client.me()
    assert not caught.value.request_sent
    assert caught.value.untrusted
    assert tls.heads == []
    # It will not be trusted in ten seconds either, so a wait does not sit it out.
    with pytest.raises(FirstHandConnectionError, match=r"(?i)certificate"):
        client.jobs.wait("job_1")


def test_a_certificate_of_another_name(connect: Connect, tls: Tls, trust: str) -> None:
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
    assert tls.heads == []


def test_https_to_a_server_without_tls(connect: Connect, fresh_server: MockServer) -> None:
    """A server that speaks no TLS is a failed connection."""
    client = connect(base_url=fresh_server.url.replace("http:", "https:"), max_retries=0)
    with pytest.raises(FirstHandConnectionError, match=r"could not connect|broke"):
        client.me()


def test_certificates_that_are_not_there(connect: Connect) -> None:
    """A path that does not exist is refused when the client is made, and when a copy is."""
    with pytest.raises(ConfigurationError, match=r"^the path in verify= does not exist"):
        connect(verify="/no/such/file")
    with pytest.raises(ConfigurationError, match=r"^the path in verify= does not exist"):
        connect().with_options(verify="/no/such/file")


@pytest.mark.parametrize("reset", [False, True])
def test_a_handshake_that_is_cut(reset: bool, connect: Connect, tls: Tls, trust: str) -> None:
    """A server that hangs up during the TLS handshake is no bad certificate: nothing was sent, a wait goes on."""
    real, calls = tls.serve, []

    def cut(connection: socket.socket) -> None:
        calls.append(1)
        if len(calls) > 2:
            real(connection)
        elif reset:
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.recv(65536)

    tls.serve = cut  # type: ignore[method-assign]
    client = connect(base_url=f"https://localhost:{tls.port}", verify=trust, max_retries=0)
    connect.clock(client)
    with pytest.raises(
        FirstHandConnectionError, match=r"could not connect to .*: (?!ConnectError)"
    ) as caught:
        client.me()
    assert not caught.value.untrusted
    assert not caught.value.request_sent
    if reset:
        # The lowest anyio does not pass the number on.
        assert caught.value.errno in (errno.ECONNRESET, None if connect.is_async else errno.ECONNRESET)
    assert client.with_options(max_retries=1).me().organization_id == "org_tls"
    client.close()


def test_certificates_that_cannot_be_read(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that holds no certificates is told by name, before anything is sent."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"junk\.pem cannot be read .* check verify="):
        connect(verify=str(junk)).me()
    monkeypatch.setenv("SSL_CERT_FILE", str(junk))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        connect().me()


def test_contexts_are_shared(trust: str) -> None:
    """Clients with the same trust share a context: making one costs milliseconds."""
    assert ssl_context(trust) is ssl_context(trust)
    assert ssl_context(True) is ssl_context(True)
    assert ssl_context(False) is ssl_context(False)
    assert ssl_context(True) is not ssl_context(False)
    assert ssl_context(True).verify_mode is ssl.CERT_REQUIRED
    assert ssl_context(True).check_hostname

"""Where webhooks may be sent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from firsthandapi_server.http import reach
from firsthandapi_server.http.reach import OutOfReachError
from raw import CERTIFICATE

PRIVATE = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:192.0.0.8", "64:ff9b::a00:1", "64:ff9b::5db8:d70e", "64:ff9b:1::a00:1", "2002:a00:1::1",
    "::10.0.0.1", "::127.0.0.1", "::93.184.215.14", "::ffff:0:10.0.0.1", "fec0::1", "100::1", "2001::1",
    "2001:2::1", "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1", "192.0.0.8", "192.0.0.9",
    "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1",
)  # fmt: skip
PUBLIC = (
    "93.184.215.14", "192.0.1.1", "192.88.98.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "2001:4860:4860::8888", "2a00::1", "::ffff:93.184.215.14",
)  # fmt: skip


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets every name lead to these addresses."""

    numeric = socket.getaddrinfo

    def lead_to(*addresses: str) -> None:
        def resolve(host: str, port: int, *arguments: int, **options: int) -> list[object]:
            if not host.endswith((".example", "localhost")):
                return [*numeric(host, port, *arguments, **options)]
            if not addresses:
                raise socket.gaierror("no address")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr("socket.getaddrinfo", resolve)

    return lead_to


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_out_of_reach(names: Callable[..., None], address: str) -> None:
    """Neither this machine, nor the network around it, nor a cloud's metadata, by whatever name or notation."""
    names(PUBLIC[0], address)
    with pytest.raises(OutOfReachError, match="--private-webhooks"):
        reach.the_internet("hooks.example", 443)
    assert reach.anywhere("hooks.example", 443) == [PUBLIC[0], address]


def test_public_addresses_are_within_reach(names: Callable[..., None]) -> None:
    """All of them are; a host without an address is not."""
    names(*PUBLIC)
    assert reach.the_internet("hooks.example", 443) == [*PUBLIC]
    assert reach.the_internet_or_this_machine("hooks.example", 443) == [*PUBLIC]
    names()
    for where in (reach.the_internet, reach.anywhere):
        with pytest.raises(OutOfReachError, match="no address"):
            where("hooks.example", 443)


def test_a_server_on_loopback_reaches_its_machine(names: Callable[..., None]) -> None:
    """But by its own names only: a name of elsewhere that leads here is refused."""
    assert "127.0.0.1" in reach.the_internet_or_this_machine("127.0.0.1", 80)
    names("127.0.0.1")
    with pytest.raises(OutOfReachError):
        reach.the_internet_or_this_machine("hooks.example", 80)
    names("10.0.0.1")
    with pytest.raises(OutOfReachError):
        reach.this_machine("localhost", 80)


def test_the_connection_goes_to_the_address_that_was_checked(names: Callable[..., None]) -> None:
    """A name that leads elsewhere a moment later changes nothing; and of several addresses, the next is tried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"http://hooks.example:{port}"
        connection = reach.connection(url, lambda _host, _port: ["::1", "127.0.0.1"], 5)
        names("10.0.0.1")
        connection.connect()
        accepted, _ = listener.accept()
        accepted.close()
        connection.close()
        assert connection.host == "hooks.example"  # in the Host header, and in the certificate
    assert reach.connection("https://h", lambda _host, port: [f"{port}"], 5).port == 443


def test_https_proves_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate must be that of the host, by a trusted authority, though the connection goes to an address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    class Accept(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Accept) as server:
        server.handle_error = lambda *_arguments: None  # type: ignore[method-assign] # a refused handshake is wanted
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def post(host: str) -> int:
            url = f"https://{host}:{server.server_port}"
            with closing(reach.connection(url, lambda _host, _port: ["127.0.0.1"], 20)) as connection:
                connection.request("POST", "/")
                return connection.getresponse().status

        try:
            with pytest.raises(ssl.SSLCertVerificationError):
                post("localhost")
            monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
            assert post("localhost") == 204
            with pytest.raises(ssl.SSLCertVerificationError):
                post("hooks.example")
        finally:
            server.shutdown()
            thread.join()

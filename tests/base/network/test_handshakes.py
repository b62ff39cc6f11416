"""What is said to proxies, byte by byte, without a socket."""

from __future__ import annotations

import pytest

from firsthandapi._base.masking import Secret, secret_or_none
from firsthandapi._base.network.handshakes import Handshake, ProxyError, connect_tunnel, socks5
from firsthandapi._base.network.proxies import Route
from firsthandapi._base.origins import Origin

HTTPS = Origin("https", "files.example", 443, "")
V6 = Origin("https", "::1", 8443, "")


def perform(handshake: Handshake, answer: bytes, most: int = 65536) -> bytes:
    """Give a handshake these bytes, `most` at a time; what it sent."""
    sent = b""
    try:
        request, size = next(handshake)
        while True:
            sent += request.reveal()
            piece, answer = answer[: min(size, most)], answer[min(size, most) :]
            request, size = handshake.send(piece)
    except StopIteration:
        assert answer == b""
    return sent


@pytest.mark.parametrize("most", [1, 65536])
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.0 200\r\nVia: x\r\n\r\n"]
)
def test_connect(answer: bytes, most: int) -> None:
    """A tunnel is asked for by the origin's name and port, with the user's name for the proxy alone."""
    handshake = connect_tunnel("files.example", 443, Secret([("Proxy-Authorization", "Basic eA==")]))
    assert perform(handshake, answer, most) == (
        b"CONNECT files.example:443 HTTP/1.1\r\nHost: files.example:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
    )
    assert b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n" in perform(
        connect_tunnel("::1", 8443, Secret([])), answer, most
    )


@pytest.mark.parametrize(
    ("answer", "reason", "transient"),
    [
        (b"", "closed the connection", True),
        (b"HTTP/1.1 20", "closed the connection", True),
        (b"HTTP/1.1 407 No\r\n\r\n", "refused to connect to files.example: HTTP 407", False),
        (b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nNo", "HTTP 403", False),
        (b"HTTP/1.1 429 No\r\n\r\n", "HTTP 429", True),
        (b"HTTP/1.1 500 No\r\n\r\n", "HTTP 500", True),
        (b"HTTP/1.1 502 No\r\n\r\n", "HTTP 502", True),
        (b"HTTP/1.1 503 No\r\n\r\n", "HTTP 503", True),
        (b"HTTP/1.1\r\n\r\n", "not HTTP", False),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP", False),
        (b"x" * 20_000, "not HTTP", False),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "more than its response", False),
    ],
)  # fmt: skip
def test_no_tunnel(answer: bytes, reason: str, transient: bool) -> None:
    """A proxy that refuses, or is none, is an error that says why and whether another attempt makes sense."""
    with pytest.raises(ProxyError, match=reason) as caught:
        perform(connect_tunnel("files.example", 443, Secret([])), answer)
    assert caught.value.transient is transient


@pytest.mark.parametrize("most", [1, 65536])
@pytest.mark.parametrize("bound", [b"\1" + b"\0" * 4, b"\3\4here", b"\4" + b"\0" * 16])
def test_socks(bound: bytes, most: int) -> None:
    """SOCKS 5 is asked for a name, which the proxy looks up, and for addresses as such."""
    reply = b"\5\0\0" + bound + b"\0\0"
    sent = perform(socks5("files.example", 443, None), b"\5\0" + reply, most)
    assert sent == b"\5\1\0" + b"\5\1\0\3\x0dfiles.example\x01\xbb"
    sent = perform(socks5("127.0.0.1", 80, Secret(("anna", "pä"))), b"\5\2" + b"\1\0" + reply, most)
    assert sent == b"\5\2\0\2" + b"\1\4anna\3p\xc3\xa4" + b"\5\1\0\1\x7f\0\0\1\0\x50"
    assert perform(socks5("::1", 80, Secret(("anna", "x"))), b"\5\0" + reply, most).endswith(
        b"\5\1\0\4" + b"\0" * 15 + b"\1\0\x50"
    )


@pytest.mark.parametrize(
    ("answer", "user", "reason", "transient"),
    [
        (b"", None, "closed the connection", True),
        (b"\5", None, "closed the connection", True),
        (b"HT", None, "not SOCKS 5", False),
        (b"\5\xff", None, "requires a user name", False),
        (b"\5\2", None, "requires a user name", False),
        (b"\5\xff", "anna", "a different way to log in", False),
        (b"\5\2\1\1", "anna", "refused the user name or the password", False),
        (b"\5\0\5\2\0\1", None, "refused to connect to files.example: its rules", False),
        (b"\5\0\5\5\0\1", None, "the connection was refused", True),
        (b"\5\0\5\x63\0\1", None, "reply 99", False),
        (b"\5\0\5\0\0\1", None, "closed the connection", True),
    ],
)
def test_no_socks(answer: bytes, user: str | None, reason: str, transient: bool) -> None:
    """A proxy that refuses, or is none, is an error that says why and whether another attempt makes sense."""
    with pytest.raises(ProxyError, match=reason) as caught:
        perform(socks5("files.example", 443, Secret((user, "5ecret")) if user else None), answer)
    assert caught.value.transient is transient
    assert "5ecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "login"), [("a" * 256, None), ("a", Secret(("u" * 256, "x"))), ("a", Secret(("u", "")))]
)
def test_too_long_for_socks(host: str, login: Secret[tuple[str, str]] | None) -> None:
    """What does not fit into the protocol is refused."""
    with pytest.raises(ProxyError, match="255 bytes long"):
        perform(socks5(host, 80, login), b"\5\0" if login is None else b"\5\2")


@pytest.mark.parametrize(
    ("origin", "proxy", "expected"),
    [
        (HTTPS, None, ("files.example", 443, False, False, False)),
        (HTTPS, "http://p.example", ("p.example", 80, False, False, True)),
        (HTTPS, "https://p.example", ("p.example", 443, True, False, True)),
        (HTTPS, "socks5h://p.example", ("p.example", 1080, False, False, True)),
        (V6, "http://[::2]:3128", ("::2", 3128, False, False, True)),
        (Origin("http", "127.0.0.1", 80, ""), "http://p.example", ("p.example", 80, False, True, False)),
        (Origin("http", "127.0.0.1", 80, ""), "https://p.example", ("p.example", 443, True, True, False)),
        (Origin("http", "127.0.0.1", 80, ""), "socks5://p.example:9", ("p.example", 9, False, False, True)),
    ],
)
def test_route(origin: Origin, proxy: str | None, expected: tuple[str, int, bool, bool, bool]) -> None:
    """http is forwarded by an HTTP proxy; all else is led through, and an https proxy speaks TLS itself."""
    route = Route.to(origin, secret_or_none(proxy))
    facts = (route.host, route.port, route.proxy_tls, route.forwarded, route.handshake() is not None)
    assert facts == expected


def test_a_password_is_decoded_and_not_shown() -> None:
    """User and password are percent-decoded, and stand in no repr."""
    route = Route.to(HTTPS, Secret("http://us%65r:p%3Aw@p.example"))
    assert route.proxy_headers() == [("Proxy-Authorization", "Basic dXNlcjpwOnc=")]
    assert "p:w" not in repr(route)
    assert Route.to(HTTPS, Secret("http://p.example")).proxy_headers() == []

"""The client's options, resolved and checked."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._base.masking import Secret, secret_or_none
from firsthandapi._base.origins import CONNECT_TIMEOUT
from firsthandapi._core.calls.config import (
    DEFAULT_BASE_URL,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    DEFAULT_WAIT,
    NOT_GIVEN,
    Config,
    Origin,
    check_proxy,
    resolve_api_key,
    resolve_base_url,
)
from firsthandapi.errors import ConfigurationError

GOOD: dict[str, Any] = {"api_key": Secret("fh_test_x"), "base_url": "https://api.firsthandapi.com"}


def test_the_defaults_are_those_of_the_guides() -> None:
    """Programs rely on them."""
    assert (DEFAULT_TIMEOUT, 1 + DEFAULT_MAX_RETRIES, CONNECT_TIMEOUT, DEFAULT_WAIT) == (
        30.0,
        4,
        5.0,
        86_400.0,
    )
    guides = Path(__file__).parents[3] / "docs" / "guides"
    for guide, words in (
        ("errors", "four attempts of 30 seconds"),
        ("errors", "connecting (at most 5 seconds)"),
        ("waiting", "The default is a day (86,400)"),
    ):
        assert words in " ".join((guides / f"{guide}.md").read_text(encoding="utf-8").split())


def test_the_key_comes_from_the_argument_then_the_environment() -> None:
    """First match wins: the argument, then the variable."""
    variable = Secret("fh_live_env")
    assert resolve_api_key(Secret("fh_live_arg"), variable).reveal() == "fh_live_arg"
    assert resolve_api_key(None, variable).reveal() == "fh_live_env"


@pytest.mark.parametrize(
    ("key", "variable"),
    [(None, None), (Secret(""), Secret("fh_live_env")), (None, Secret(""))],
)
def test_no_key(key: Secret[str] | None, variable: Secret[str] | None) -> None:
    """Without a key the error names both ways to give one; an empty argument is not filled from elsewhere."""
    with pytest.raises(ConfigurationError, match=r"api_key=.*FIRSTHAND_API_KEY"):
        resolve_api_key(key, variable)


@pytest.mark.parametrize(
    "key", ["fh_live_a b", "fh_live_a\n", " fh_live_a", "fh_live_é", "fh_live_\x00", 5, b"fh_live_x"]
)
def test_keys_that_no_header_takes(key: Any) -> None:
    """A key with what no key has is refused by the name of its source, and never shown."""
    with pytest.raises(ConfigurationError, match=r"^api_key is not") as caught:
        resolve_api_key(Secret(key), None)
    assert "fh_live_a" not in str(caught.value)
    if isinstance(key, str):
        with pytest.raises(ConfigurationError, match=r"^FIRSTHAND_API_KEY is not"):
            resolve_api_key(None, Secret(key))


@pytest.mark.parametrize(
    ("argument", "environ", "url"),
    [
        (None, {}, "https://api.firsthandapi.com"),
        (None, {"FIRSTHAND_BASE_URL": ""}, "https://api.firsthandapi.com"),
        (None, {"FIRSTHAND_BASE_URL": "https://env.example"}, "https://env.example"),
        ("https://arg.example/", {"FIRSTHAND_BASE_URL": "https://env.example"}, "https://arg.example"),
        ("https://a.example:8443/prefix/", {}, "https://a.example:8443/prefix"),
        ("http://localhost:8080", {}, "http://localhost:8080"),
        ("http://127.0.0.1:8080", {}, "http://127.0.0.1:8080"),
        ("http://127.1.2.3", {}, "http://127.1.2.3"),
        ("http://[::1]:8080", {}, "http://[::1]:8080"),
        ("http://LOCALHOST", {}, "http://LOCALHOST"),
        ("HTTPS://a.example/@x", {}, "https://a.example/@x"),
    ],
)
def test_base_url(argument: str | None, environ: dict[str, str], url: str) -> None:
    """The argument, then the variable, then the public service; http for loopback, in any case."""
    assert (
        resolve_base_url(secret_or_none(argument), secret_or_none(environ.get("FIRSTHAND_BASE_URL"))) == url
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "must be a URL"),
        ("api.firsthandapi.com", "must be a URL"),
        ("ftp://api.firsthandapi.com", "must be a URL"),
        ("https://", "must be a URL"),
        ("https://a b.example", "must be a URL"),
        ("https://a.example\\@b.example", "must be a URL"),
        ("https://a.example:99999", "must be a URL"),
        ("https://a.example:x", "must be a URL"),
        ("https://[::1", "must be a URL"),
        ("https://bücher.example", "must be a URL"),
        ("https://a.example/\n", "must be a URL"),
        (5, "must be a URL"),
        ("https://user:pw@a.example", "credentials"),
        ("https://user@a.example", "credentials"),
        ("https://@a.example", "credentials"),
        ("https://a.example?x=1", "query or a fragment"),
        ("https://a.example?", "query or a fragment"),
        ("https://a.example#x", "query or a fragment"),
        ("https://a.example/#", "query or a fragment"),
        ("http://api.firsthandapi.com", "must be https"),
        ("http://127.0.0.1.evil.example", "must be https"),
        ("http://localhost.evil.example", "must be https"),
        ("http://10.0.0.1", "must be https"),
        ("http://0.0.0.0", "must be https"),
        ("https://api.firsthandapi.com/v1", r"must not end in /v1: .*; use https://api\.firsthandapi\.com$"),
        ("HTTPS://a.example/x/V1/", r"must not end in /v1: .*; use https://a\.example/x$"),
    ],
)
def test_bad_base_urls(url: Any, why: str) -> None:
    """Anything but an https URL, or http to this machine, is refused by the name of its source."""
    with pytest.raises(ConfigurationError, match=f"^base_url.*{why}") as caught:
        resolve_base_url(Secret(url), None)
    assert "pw" not in str(caught.value)
    if isinstance(url, str) and url:
        with pytest.raises(ConfigurationError, match=r"^FIRSTHAND_BASE_URL"):
            resolve_base_url(None, Secret(url))


@given(st.text(max_size=40) | st.from_regex(r"https?://[a-z0-9@:.\[\]/?#\\%]{0,30}", fullmatch=True))
def test_no_base_url_raises_anything_else(url: str) -> None:
    """Any text is either a URL that a key may be sent to, or a ConfigurationError."""
    try:
        good = resolve_base_url(Secret(url), Secret("https://x.example"))
    except ConfigurationError:
        return
    origin = Config(**{**GOOD, "base_url": good}).origin
    assert origin.scheme == "https" or is_loopback(origin.host)
    assert not set("?# \\") & set(good)
    assert "@" not in origin.authority
    assert good.startswith(f"{origin.scheme}://")


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("https://a.example", Origin("https", "a.example", 443, ""), "a.example"),
        ("https://a.example:443", Origin("https", "a.example", 443, ""), "a.example"),
        ("https://a.example:8443/p/q", Origin("https", "a.example", 8443, "/p/q"), "a.example:8443"),
        ("http://localhost", Origin("http", "localhost", 80, ""), "localhost"),
        ("http://127.0.0.1:80", Origin("http", "127.0.0.1", 80, ""), "127.0.0.1"),
        ("http://[::1]:8080", Origin("http", "::1", 8080, ""), "[::1]:8080"),
    ],
)
def test_origin(url: str, origin: Origin, authority: str) -> None:
    """A base URL says where to connect, what `Host` is, and what stands before every path."""
    config_origin = Config(**{**GOOD, "base_url": url}).origin
    assert config_origin == origin
    assert config_origin.authority == authority
    assert config_origin.url == f"{origin.scheme}://{authority}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("timeout", v) for v in (0, -1, float("nan"), float("inf"), 1e9, "30", None, True)],
        *[("deadline", v) for v in (0, -1, float("nan"), float("inf"), 1e9, "30", True)],
        *[("max_retries", v) for v in (-1, 1001, 1.0, "3", None, True)],
        *[("max_spend_cents", v) for v in (-1, 1.0, "3", True)],
        *[
            ("proxy", Secret(v))
            for v in ("", "proxy.example:3128", "ftp://p.example", "http://", "http://p:x", 5)
        ],
        *[("verify", v) for v in (1, None, object(), ssl)],
    ],
)
def test_bad_options(name: str, value: Any) -> None:
    """A bad option is refused by name."""
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        Config(**{**GOOD, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0.001),
        ("timeout", 10**9 - 1),
        ("deadline", 5),
        ("max_retries", 0),
        ("max_retries", 1000),
        ("max_spend_cents", 0),
        ("proxy", Secret("http://user:pw@p.example:3128")),
        ("proxy", Secret("socks5://p.example")),
        ("verify", False),
        ("verify", ssl.create_default_context()),
    ],
)
def test_good_options(name: str, value: Any) -> None:
    """The ends of what is allowed are allowed."""
    assert getattr(Config(**{**GOOD, name: value}), name) == value


def test_verify_takes_a_subclass_of_a_context_and_a_path(tmp_path: Path) -> None:
    """`verify` takes what there is, of whatever class."""

    class Context(ssl.SSLContext):
        pass

    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    assert Config(**{**GOOD, "verify": context}).verify is context
    assert Config(**{**GOOD, "verify": str(tmp_path)}).verify == str(tmp_path)


def test_a_proxy_s_password_is_not_shown() -> None:
    """The error for a bad proxy does not quote it: it may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        check_proxy(Secret("ftp://user:hunter2@p.example"), "proxy")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["fh_live_own_0123abcd", "fh_test_own_0123abcd"])
@pytest.mark.parametrize(
    "url", [DEFAULT_BASE_URL, "https://API.firsthandapi.com.:443/x", "https://api.firsthandapi.com"]
)
def test_a_key_of_ones_own_server_goes_to_no_other_host(key: str, url: str) -> None:
    """Where the address of the server was forgotten, the key does not leave for the public service."""
    with pytest.raises(
        ConfigurationError, match=r"must not go: pass base_url=….*FIRSTHAND_BASE_URL"
    ) as caught:
        Config(**{**GOOD, "api_key": Secret(key), "base_url": url})
    assert "0123abcd" not in str(caught.value)
    for fine in (
        "http://127.0.0.1:8080",
        "https://photos.example.org",
        "https://api.firsthandapi.com.example.org",
    ):
        Config(**{**GOOD, "api_key": Secret(key), "base_url": fine})
    Config(**{**GOOD, "api_key": Secret("fh_live_0123abcd"), "base_url": url})


def test_an_option_that_was_left_out_is_shown_as_such() -> None:
    """In a signature, which `help()` shows."""
    assert repr(NOT_GIVEN) == "NOT_GIVEN"

"""Secrets are taken out of text."""

from __future__ import annotations

import json
import string
import sys
import time
import traceback
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firsthandapi._base.masking import (
    Secret,
    cut_frames,
    mask_key,
    mask_secrets,
    secret_or_none,
    without_frames,
)
from firsthandapi._core.calls.response import ApiResponse, not_json

# Long enough that no surrounding text holds it by chance.
PART = st.text(string.ascii_letters + string.digits, min_size=12, max_size=24).map(lambda text: f"Zq{text}qZ")
SECRET = st.builds(
    lambda prefix, parts, joint: (prefix + joint.join(parts), parts),
    st.sampled_from(["fh_live_", "fh_test_", "fh_live_sk_", "whsec_"]),
    st.lists(PART, min_size=1, max_size=3),
    st.sampled_from("_-.~+/=:"),
)
AROUND = st.text(max_size=20)
RUN_ON = st.text(string.ascii_letters + string.digits + "_-./:=&?", max_size=12)


@given(SECRET, AROUND, RUN_ON, RUN_ON, AROUND)
def test_no_key_survives(secret: tuple[str, list[str]], a: str, b: str, c: str, d: str) -> None:
    """No part of a key or a webhook secret is left, whatever it touches."""
    text, parts = secret
    for around in (
        f"{a}{b}{text}{c} {d}",
        f'{{"{b}":"{text}"}}',
        json.dumps({b: text}),
        repr({b: text}),
        f"<b>{text}</b>",
    ):
        masked = mask_secrets(around)
        assert not any(part in masked for part in parts)


@given(
    st.sampled_from(["https", "HTTP", "s3", "xhttps", "git+ssh"]),
    PART,
    st.sampled_from(["X-Amz-Signature", "sig", "Policy", "x", "%53ig"]),
    RUN_ON,
    AROUND,
)
def test_no_signed_url_survives(scheme: str, signature: str, name: str, prefix: str, suffix: str) -> None:
    """A URL's query is gone, whatever its parameter is called and whatever stands before it."""
    assume(not set("?&") & set(prefix))
    url = f"{scheme}://bucket.example/some/path?a=b&{name}={signature}"
    for text in (
        f"{prefix}{url} {suffix}",
        f"({url})",
        f'"{url}"',
        repr(url),
        f"<a href='{url}'>",
        json.dumps({"u": url}),
    ):
        masked = mask_secrets(text)
        assert signature not in masked
        assert "bucket.example/some/path" in masked
    escaped = json.dumps({"u": url}).replace("/", "\\/")
    assert signature not in mask_secrets(escaped)


@given(PART, PART, st.sampled_from(["", ":x@y"]))
def test_no_user_info_survives(user: str, password: str, odd: str) -> None:
    """Name and password before a URL's host are gone, also of a URL within another's path."""
    url = f"http://{user}:{password}{odd}@proxy.example:3128"
    for text in (url, f"via {url}/path", f"https://a.example/{url}", f"{url},{url}"):
        masked = mask_secrets(text)
        assert user not in masked
        assert password not in masked
        assert "proxy.example:3128" in masked


@given(PART, st.sampled_from(["Bearer ", "bearer  ", "Authorization: Bearer ", "xBEARER\t"]))
def test_no_bearer_token_survives(token: str, prefix: str) -> None:
    """A bearer token is gone, of whatever kind it is."""
    assert token not in mask_secrets(f"{prefix}{token}")


@given(
    PART,
    st.sampled_from(
        [
            "X-Amz-Security-Token",
            "x-amz-credential",
            "Signature",
            "sig",
            "client_secret",
            "access_token",
            "password",
            "api_key",
            "apikey",
        ]
    ),
)
def test_no_parameter_survives(value: str, name: str) -> None:
    """Parameters that carry secrets are gone without a URL around them too."""
    assert value not in mask_secrets(f"/files/x&{name}={value}&b=c")


@given(SECRET, st.integers(0, 400), st.binary(max_size=150))
def test_keys_in_the_first_bytes_of_what_is_not_json(
    secret: tuple[str, list[str]], at: int, junk: bytes
) -> None:
    """The error that shows a body's first bytes shows no key, wherever the cut falls."""
    text, parts = secret
    content = (b"<" * (at % 220)) + text.encode() + junk
    message = str(not_json(ApiResponse(200), content))
    for part in parts:
        # Not the whole, and no piece of it beside the prefix.
        assert part not in message
        assert part[:6] not in message


@given(st.integers(0, 230))
def test_a_url_cut_before_its_host(at: int) -> None:
    """Where the cut takes away the `@` that marks a password, the password is not taken for a host."""
    content = b" " * at + b"https://anna:hunter2hunter2@proxy.example/path?sig=topsecret " + b"x" * 200
    message = str(not_json(ApiResponse(200), content))
    assert "hunter" not in message
    assert "anna" not in message
    assert "topsec" not in message


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("", ""),
        ("plain text, https://docs.firsthandapi.com/jobs", "plain text, https://docs.firsthandapi.com/jobs"),
        ("key fh_live_abc, fine", "key fh_live_…, fine"),
        ("whsec_abc", "whsec_…"),
        ("Bearer fh_live_abc", "Bearer …"),
        ("https://u:p@h.example/x?y=z#w tail", "https://h.example/x?… tail"),
        ("https://h.example#frag", "https://h.example?…"),
        ("sig=abc&x=1", "sig=…&x=1"),
        ("fh_live_", "fh_live_"),
        ("the design=bold", "the design=bold"),
    ],
)
def test_what_is_left(text: str, masked: str) -> None:
    """What is no secret stays, and the prefix tells what was there."""
    assert mask_secrets(text) == masked
    assert mask_secrets(masked) == masked


HOSTILE = ["a.b" * 100_000, " " * 400_000]
HOSTILE += [text * 60_000 for text in ("x-amz-", "bearer ", "://a@", "https://", "fh_live_")]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:8])
def test_masking_is_linear(text: str) -> None:
    """A hostile text of hundreds of kilobytes is masked in time that grows with its length alone."""
    started = time.perf_counter()
    mask_secrets(text, cut=True)
    assert time.perf_counter() - started < 60


@pytest.mark.parametrize(
    ("key", "mask"),
    [
        ("fh_live_sk_abc", "fh_live_…"),
        ("fh_test_abc", "fh_test_…"),
        ("whsec_abc", "whsec_…"),
        ("abc", "…"),
        ("", "…"),
    ],
)
def test_a_key_as_shown_to_people(key: str, mask: str) -> None:
    """A key is shown by its meaningful prefix and nothing else."""
    assert mask_key(key) == mask


@given(PART, st.integers(1, 3), st.sampled_from(["X-Amz-Signature", "Signature", "token", "Key-Pair-Id"]))
def test_no_encoded_url_survives(signature: str, times: int, name: str) -> None:
    """A signed URL that travels inside another, percent-encoded however often, loses its signature too."""
    text = f"https://bucket.example/key?X-Amz-Date=1&{name}={signature}&x=1"
    for _ in range(times):
        text = quote(text, safe="")
    assert signature not in mask_secrets(f"redirect to {text}")


def test_basic_credentials() -> None:
    """A header of basic authentication loses its credentials."""
    assert mask_secrets("Authorization: Basic dXNlcjpwYXNz") == "Authorization: Basic …"


def test_secrets_are_equal_by_what_they_hide() -> None:
    """And equal to nothing else."""
    assert Secret("a") == Secret("a") == secret_or_none("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert secret_or_none(None) is None


def test_frames_of_packages_are_cut_from_an_error_and_from_what_led_to_it() -> None:
    """Those of others stay; two errors that led to each other are each looked at once."""

    def fail() -> None:
        try:
            json.loads("{")
        except ValueError as first:
            raise ValueError("A") from first

    with pytest.raises(ValueError, match="A") as caught:
        fail()
    error, first = caught.value, caught.value.__cause__
    assert first is not None
    first.__cause__ = error
    cut_frames(error, {__name__.partition(".")[0]})
    assert error.__traceback__ is None
    names = [
        frame.f_globals["__name__"].partition(".")[0] for frame, _ in traceback.walk_tb(first.__traceback__)
    ]
    assert names
    assert {*names} == {"json"}
    cut_frames(error, {"json"})
    assert first.__traceback__ is None


def test_frames_whose_code_has_no_line_are_cut_and_kept_too() -> None:
    """Compilers add instructions that stand for no line of the source; an error there is cut like any other."""
    frame = sys._getframe()
    without_line: Any = SimpleNamespace(tb_frame=frame, tb_lasti=0, tb_lineno=None, tb_next=None)
    rest = without_frames(without_line, {"json"})
    assert rest is not None
    assert rest.tb_lineno == frame.f_code.co_firstlineno
    assert without_frames(without_line, {__name__.partition(".")[0]}) is None

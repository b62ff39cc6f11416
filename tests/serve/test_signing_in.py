"""Who may see which page."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from firsthandapi_server.serve import limits
from firsthandapi_server.sqlite import checkpoint

from .conftest import Team, fields_of, first_of


def test_pages_are_open_on_this_machine_until_a_token_of_their_role_exists(team: Team) -> None:
    """The person at the machine needs no token to review; the operator has one from the first start on."""
    guest = team.visit()
    assert guest.get("/review").status_code == 200
    assert guest.get("/console").headers["location"] == "/sign-in?next=/console"
    token, _ = team.access.create("reviewer", "Ana", 0)
    assert guest.get("/review").headers["location"] == "/sign-in?next=/review"
    team.access.revoke(token.id, 1)
    assert guest.get("/review").status_code == 303  # to revoke a token opens nothing


OF_OPERATORS = (
    *("/console", "/console/static/console.js", "/console/people", "/console/ledger", "/console/jobs/new"),
    *("/console/reviews", "/console/reviews/gold", "/console/reviews/ratings.csv"),
    *("/console/log", "/console/log.csv"),
)


@pytest.mark.parametrize(
    ("role", "open_to", "closed_to"),
    [
        ("worker", (), ("/review", *OF_OPERATORS, "/checkout/x", "/purchase/x")),
        ("reviewer", ("/review",), OF_OPERATORS),
        ("operator", ("/review", *OF_OPERATORS), ()),
    ],
)
def test_roles(shared: Team, role: str, open_to: tuple[str, ...], closed_to: tuple[str, ...]) -> None:
    """An operator sees all, a reviewer rates, and a worker does neither."""
    shared.access.create("reviewer", "Another", 0)
    visitor = shared.visit(role)
    for path in open_to:
        assert visitor.get(path).status_code == 200, path
    for path in closed_to:
        reply = visitor.get(path)
        assert reply.status_code == 403, path
        assert f"you signed in as a {role}" in reply.text


def test_the_cookie_stands_for_the_token_and_nothing_shows_either(shared: Team) -> None:
    """The cookie is HttpOnly and SameSite=Strict, is not the token, and ends with the token."""
    visitor = shared.visit()
    token, secret = shared.access.create("operator", "Ana", 0)
    reply = visitor.send("/sign-in", token=secret, next="/console")
    assert reply.headers["location"] == "/console"
    (cookie,) = (header for header in reply.headers.get_list("set-cookie") if "session" in header)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert secret not in cookie
    assert visitor.get("/console/people").status_code == 200
    assert secret not in visitor.get("/console/people").text
    shared.access.revoke(token.id, 1)
    assert visitor.get("/console/people").status_code == 303


@pytest.mark.parametrize("how", ["revoked", "signed_out", "expired"])
def test_an_open_console_ends_with_its_token(shared: Team, how: str) -> None:
    """A page that stays connected learns nothing any more, though nothing else happens."""
    visitor = shared.visit()
    token, secret = shared.access.create("operator", "Ana", 0)
    visitor.send("/sign-in", token=secret)
    with visitor.http.stream("GET", "/console/live") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        if how == "revoked":
            shared.access.revoke(token.id, 1)
        elif how == "signed_out":
            shared.access.sign_out(visitor.http.cookies["firsthand_session"])
        else:
            shared.access._rows.execute("UPDATE sessions SET ends_at = 0")
        assert "event: change" not in [*lines]
    assert visitor.get("/console/live").headers["location"] == "/sign-in?next=/console/live"


def test_only_hashes_are_on_disk(team: Team, tmp_path: Path) -> None:
    """Neither tokens, nor sessions, nor API keys can be read from the folder, nor from a response that is kept."""
    visitor = team.visit("reviewer")
    secrets = [
        first_of(team.service).live,
        first_of(team.service).operator,
        visitor.http.cookies["firsthand_session"],
    ]
    headers = {"Authorization": f"Bearer {first_of(team.service).live}", "Idempotency-Key": "one"}
    for _ in range(2):  # the response is kept, and repeated
        key = visitor.http.post("/v1/api_keys", json={"name": "x"}, headers=headers).json()
        secrets.append(key["secret"])
    assert secrets[-1] == secrets[-2]
    checkpoint(tmp_path / "data")
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_signing_out_ends_the_session(shared: Team) -> None:
    """Who signs out is out, also with the old cookie."""
    visitor = shared.visit("operator")
    session = visitor.http.cookies["firsthand_session"]
    assert visitor.send("/sign-out", "/console").status_code == 303
    visitor.http.cookies.set("firsthand_session", session, domain="127.0.0.1")
    assert visitor.get("/console/people").status_code == 303
    assert visitor.send("/sign-out").status_code == 303
    visitor.http.cookies.delete("firsthand_session")
    assert visitor.send("/sign-out").status_code == 400


def test_nobody_becomes_somebody_else_unasked(shared: Team) -> None:
    """Whoever is signed in, and follows a link with another's token, stays who they are until they say so."""
    visitor = shared.visit("operator")
    token, secret = shared.access.create("reviewer", "Mallory <b>", 0)
    cookie = visitor.http.cookies["firsthand_session"]
    asked = visitor.send("/sign-in", token=secret, next="/review?job=x")
    assert (asked.status_code, visitor.http.cookies["firsthand_session"]) == (409, cookie)
    assert "You are signed in as \u2068Ana\u2069." in asked.text
    assert "Mallory &lt;b&gt;" in asked.text
    assert "no-store" in asked.headers["cache-control"]
    assert (
        visitor.send("/sign-in", token=secret, instead_of=token.id).status_code == 409
    )  # not who is signed in
    assert visitor.get("/console/people").status_code == 200
    hidden = fields_of(asked.text)
    reply = visitor.http.post("/sign-in", data=hidden)
    assert (reply.status_code, reply.headers["location"]) == (303, "/review?job=x")
    assert visitor.get("/console/people").status_code == 403
    assert visitor.send("/sign-in", token=secret).status_code == 303  # as the same one, again


def test_wrong_tokens_lock_nobody_out(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a wrong token waits longer with each, to a bound; a right one is taken, whoever else guesses."""

    def delay(address: str) -> float:
        scope = {"type": "http", "headers": [], "client": (address, 1)}
        return round(team.service.site.limits.wrong_token(Request(scope)), 3)

    bound = limits.SIGN_IN_SECONDS
    expected = [round(bound * min(count, 10) / 10, 3) for count in range(1, 16)]
    assert [delay("10.0.0.1") for _ in range(15)] == expected
    assert delay("10.0.0.2") == bound / 10
    monkeypatch.setattr(limits, "SIGN_IN_SECONDS", 0.0)
    visitor = team.visit()
    for _ in range(12):
        reply = visitor.send("/sign-in", token="fh_operator_wrong")
        assert reply.status_code == 403
        assert "This token is unknown" in reply.text
    assert visitor.send("/sign-in", token=first_of(team.service).operator).status_code == 303


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", ""],
)
def test_signing_in_never_leads_away(shared: Team, target: str) -> None:
    """The page to go to is one of this server."""
    visitor = shared.visit()
    reply = visitor.send("/sign-in", token=first_of(shared.service).operator, next=target)
    assert reply.headers["location"] == "/"


def test_a_link_from_elsewhere_arrives(shared: Team) -> None:
    """Browsers send no strict cookie with a link in a mail; so our own page asks once more, and only once."""
    visitor = shared.visit("operator")
    signed_in = {"cookie": f"firsthand_session={visitor.http.cookies['firsthand_session']}"}
    followed = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    ours = {**followed, "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=visitor.http.base_url, timeout=60) as stranger:
        reply = stranger.get("/console?done=booked", headers=followed)
        assert reply.status_code == 200
        assert 'content="0;url=/console?done=booked"' in reply.text
        assert "No jobs yet" in stranger.get("/console", headers={**ours, **signed_in}).text
        assert stranger.get("/console", headers=ours).status_code == 303


FORMS = (
    "/sign-in",
    "/sign-out",
    "/review",
    "/console/tokens",
    "/console/keys",
    "/console/credits",
    "/checkout/x",
    "/console/jobs/job_1/cancel",
)


@pytest.mark.parametrize(
    "how", ["no token", "another's token", "another origin", "another site", "no cookie"]
)
def test_forms_come_from_our_own_pages_only(shared: Team, how: str) -> None:
    """A form without the token of this browser's page is refused, whatever else it sends."""
    visitor, stranger = shared.visit("operator"), shared.visit()
    token = visitor.get("/sign-in").text.partition('name="form_token" value="')[2].partition('"')[0]
    foreign = stranger.get("/sign-in").text.partition('name="form_token" value="')[2].partition('"')[0]
    headers = {
        "another origin": {"origin": "http://127.0.0.1:1"},
        "another site": {"sec-fetch-site": "same-site"},
        "no cookie": {"cookie": f"firsthand_session={visitor.http.cookies['firsthand_session']}"},
    }.get(how, {})
    proof = {"no token": "", "another's token": foreign}.get(how, token)
    fields = {"form_token": proof, "name": "x", "role": "operator", "environment": "live", "dollars": "1"}
    for path in FORMS:
        reply = visitor.http.post(path, data=fields, headers=headers)
        assert reply.status_code == 403, path
        assert "does not come from a page of this server" in reply.text

"""What the console has on a server for people: their tokens, API keys, the links of jobs, and credits."""

from __future__ import annotations

import re

import pytest

from firsthandapi import AuthenticationError, FirstHandClient
from firsthandapi_server.serve.access import new_token

from .conftest import Team, fields_of


def test_a_token_is_created_shown_once_and_revoked(shared: Team) -> None:
    """The response to the form shows the token and a link; no later page does."""
    visitor = shared.visit("operator")
    page = visitor.send("/console/tokens", name="Ben", role="reviewer").text
    (secret,) = set(re.findall(r"fh_reviewer_\w+", page))
    assert f"{shared.service.url}/sign-in#{secret}" in page
    assert 'class="qr"' in page
    assert secret not in visitor.get("/console/people").text
    ben = shared.visit()
    assert ben.send("/sign-in", token=secret).headers["location"] == "/review"
    (token,) = (token for token in shared.access.tokens() if token.name == "Ben")
    asked = visitor.send(path := f"/console/tokens/{token.id}/revoke")
    assert (asked.status_code, "<bdi>Ben</bdi>?" in asked.text) == (200, True)
    assert ben.get("/review").status_code == 200, "one tap only asks"
    assert visitor.http.post(path, data=fields_of(asked.text)).status_code == 303
    assert ben.get("/review").status_code == 303
    assert visitor.send("/console/tokens/tok_1/revoke").status_code == 404
    assert ben.send("/sign-in", token=secret).status_code == 403


def test_revoking_a_token_offers_to_reject_what_waits(team: Team) -> None:
    """What its owner has sent stays, until an operator rejects it with one click; nothing of others goes."""
    job = team.job()
    token, _ = team.access.create("worker", "Ana", 0)
    team.sent(job, worker=token.id)
    team.sent(job, worker="wkr_other")
    visitor = team.visit("operator")
    assert visitor.send(f"/console/tokens/{token.id}/reject").status_code == 303  # not revoked: nothing goes
    where = visitor.send(f"/console/tokens/{token.id}/revoke", confirm="yes").headers["location"]
    assert [submission.status for submission in job.submissions] == ["pending_score"] * 2
    assert "1 submission of" in (page := visitor.get(where).text)
    assert f'action="/console/tokens/{token.id}/reject"' in page
    where = visitor.send(f"/console/tokens/{token.id}/reject").headers["location"]
    assert [submission.status for submission in job.submissions] == ["rejected", "pending_score"]
    assert "still wait" not in visitor.get(where).text


def test_an_api_key_is_created_shown_once_and_revoked(shared: Team) -> None:
    """A lost key is no lost server."""
    visitor = shared.visit("operator")
    page = visitor.send("/console/keys", name="ci", environment="live").text
    (secret,) = set(re.findall(r"fh_live_own_\w{8,}", page))
    with FirstHandClient(secret, shared.service.url, max_retries=0) as client:
        (key,) = (key for key in client.api_keys.list() if key.name == "ci")
        asked = visitor.send(path := f"/console/keys/{key.id}/revoke")
        assert (asked.status_code, "<bdi>ci</bdi>?" in asked.text) == (200, True)
        assert client.me().environment == "live", "one tap only asks"
        assert visitor.http.post(path, data=fields_of(asked.text)).status_code == 303
        with pytest.raises(AuthenticationError):
            client.me()
    assert visitor.send("/console/keys/key_1/revoke").status_code == 404


def test_credits_are_booked_once(team: Team) -> None:
    """An operator adds credits, and confirms what a program asked for; the buyer alone books nothing."""
    visitor = team.visit("operator")
    assert visitor.send("/console/credits", dollars="12.50").status_code == 303
    assert team.buyer.billing.credits().balance_cents == 101_250
    path = team.buyer.billing.purchase(1000).checkout_url.removeprefix(team.service.url)
    assert team.visit().get(path).status_code == 303
    assert "Book $10.00" in visitor.get(path).text
    for _ in range(2):
        assert visitor.send(path).headers["location"] == path
        assert team.buyer.billing.credits().balance_cents == 102_250
    assert "Booked: $10.00." in visitor.get(path).text
    assert visitor.get("/purchase/org_1").headers["location"] == "/console/ledger#credits"
    for method in (visitor.get, visitor.send):
        assert method("/checkout/cs_1").status_code == 404


def test_a_top_up_waits_for_an_operator(team: Team) -> None:
    """A buyer's key raises no budget: one top-up waits, however often the balance asks for it, and is booked once."""
    buyer, visitor = team.buyer, team.visit("operator")
    settings = {"auto_top_up_threshold_cents": 10**7, "auto_top_up_amount_cents": 25_000}
    buyer.organization.update_settings(auto_top_up_enabled=True, **settings)
    for _ in range(3):
        buyer.jobs.cancel(team.job(files_needed=1).id)
    buyer.organization.update_settings(auto_top_up_amount_cents=10_000)
    assert buyer.billing.credits().balance_cents == 100_000
    assert len([*team.world.state.checkouts.values()]) == 1
    (path,) = re.findall(r'"(/checkout/\w+)"', visitor.get("/console/ledger").text)
    assert team.visit().get(path).status_code == 303
    for _ in range(2):
        assert visitor.send(path).headers["location"] == path
        assert buyer.billing.credits().balance_cents == 110_000
    assert "/checkout/" not in visitor.get("/console/ledger").text
    (operator,) = (token.id for token in team.access.tokens() if token.name == "Ana")
    (event,) = buyer.audit_events.list(event_type="credits.auto_topped_up").data
    assert event.actor == operator
    buyer.jobs.cancel(team.job(files_needed=1).id)
    assert path in visitor.get("/console/ledger").text, "the next one waits as well"
    assert buyer.billing.credits().balance_cents == 110_000


def test_an_operator_books_what_they_have_read(team: Team) -> None:
    """A buyer who changes the amount of a top-up meanwhile books nothing: the operator is asked again."""
    buyer, visitor = team.buyer, team.visit("operator")
    settings = {"auto_top_up_threshold_cents": 10**7, "auto_top_up_amount_cents": 2_500}
    buyer.organization.update_settings(auto_top_up_enabled=True, **settings)
    (path,) = re.findall(r'"(/checkout/\w+)"', visitor.get("/console/ledger").text)
    page = visitor.get(path).text
    buyer.organization.update_settings(auto_top_up_amount_cents=25_000)
    assert "Book $25.00" in page
    assert visitor.http.post(path, data=fields_of(page)).headers["location"] == path
    assert buyer.billing.credits().balance_cents == 100_000
    page = visitor.get(path).text
    assert "Book $250.00" in page
    visitor.http.post(path, data=fields_of(page))
    assert buyer.billing.credits().balance_cents == 125_000


@pytest.mark.parametrize("dollars", ["", "0", "-5", "1.234", "1e3", "ten", "9" * 12, "٥", "."])
def test_amounts_are_dollars(shared: Team, dollars: str) -> None:
    """What is no amount books nothing."""
    assert shared.visit("operator").send("/console/credits", dollars=dollars).status_code == 400
    assert shared.buyer.billing.credits().balance_cents == 100_000


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/console/tokens", {"name": "Ben", "role": "owner"}),
        ("/console/tokens", {"name": "", "role": "worker"}),
        ("/console/tokens", {"name": "n" * 81, "role": "worker"}),
        ("/console/keys", {"name": "n", "environment": "prod"}),
        ("/console/keys", {"name": "", "environment": "live"}),
    ],
)
def test_forms_are_checked(shared: Team, path: str, fields: dict[str, str]) -> None:
    """A wrong form is refused in words."""
    assert shared.visit("operator").send(path, **fields).status_code == 400


def test_the_page_shows_where_things_stand(team: Team) -> None:
    """Open jobs, what waits for review, and money."""
    job = team.job()
    team.sent(job)
    visitor = team.visit("operator")
    page = visitor.get("/console").text
    assert "Street signs" in page
    assert '<a href="/review">1</a>' in page
    assert "0 of 3 approved, 1 in review" in page
    assert "$998.50" in page
    link = team.service.site.links.url(team.world.state.jobs[job.id])
    assert link in page
    for path in (f"/console/jobs/{job.id}", f"/console/jobs/{job.id}/link"):
        assert link in visitor.get(path).text
    assert "<svg" in visitor.get(f"/console/jobs/{job.id}/link").text
    assert visitor.get("/console/jobs/job_1/link").status_code == 404
    assert "Add to the budget" in visitor.get("/console/ledger").text


def test_people_have_names(team: Team) -> None:
    """Whoever works with a token is shown by their name, and whoever has none by an id."""
    job = team.job()
    for role, name in (("worker", "Ana Souza"), ("reviewer", "Ben Okri")):
        token, _ = team.access.create(role, name, 0)
        team.sent(job, worker="wkr_" + token.id.partition("_")[2])
    team.sent(job, worker="wkr_stranger")
    visitor = team.visit("operator")
    page = visitor.get(f"/console/jobs/{job.id}").text
    assert [name for name in ("Ana Souza", "Ben Okri", "wkr_stranger") if name not in page] == []
    assert page.count("wkr_") == 1
    assert "Ana Souza" in visitor.get("/review").text


def test_home_leads_to_what_one_may_do(team: Team) -> None:
    """An operator operates, a reviewer reviews, a worker sees the open jobs, and a stranger is told to open a link."""
    assert team.visit().get("/").headers["location"] == "/review"
    team.access.create("reviewer", "Another", 0)
    assert team.visit("operator").get("/").headers["location"] == "/console"
    assert team.visit("reviewer").get("/").headers["location"] == "/review"
    worker = team.visit("worker")
    assert "No jobs are open" in worker.get("/").text
    job = team.job()
    assert f'href="{team.service.site.links.path(job)}"' in worker.get("/").text
    stranger = team.visit().get("/").text
    assert ("open the link" in stranger, "Street signs" in stranger) == (True, False)


def test_one_navigation_leads_everywhere(team: Team) -> None:
    """Each page of operators marks its place there, and pages of one part show each other; jobs have names."""
    olga = team.visit("operator")
    job = team.job()
    wes, _ = team.access.create("worker", "Wes", 0)
    with team.world.lock:
        worked = team.find(team.sent(job, worker=wes.id))
        team.world.jobs.score(worked, team.service.clock.now())
    for path, part in (
        ("/console", "Jobs"),
        (f"/console/jobs/{job.id}", "Jobs"),
        ("/console/people", "People"),
        ("/console/reviews", "People"),
        ("/console/ledger", "Money"),
        ("/console/keys", "Developers"),
        ("/console/deliveries", "Developers"),
        ("/console/requests", "Developers"),
        ("/console/log", "Log"),
    ):
        page = olga.get(path).text
        top, rest = page.split("</header>", 1)
        marked = re.findall(r'aria-current="\w+">\s*(\w+)', top)
        assert marked == [part], path
        views = re.findall(r'<a href="([^"]+)"', rest.split("<h1", 1)[0])
        assert (path in views) == (part in ("People", "Developers"))
        assert "Ledger" not in page
    log, money = olga.get("/console/log").text, olga.get("/console/ledger").text
    assert f'title="{job.id}" dir="auto">Street signs</a>' in log
    assert f'title="{job.id}" dir="auto">Street signs</a>' in money
    assert f'title="{wes.id}" dir="auto">Wes</span>' in log
    assert "wkr_" not in re.sub(
        r'(?:title|href|action|id|value)="[^"]*"', "", olga.get(f"/console/jobs/{job.id}").text
    )


def test_many_people_are_on_several_pages(team: Team) -> None:
    """All of the staff, and of workers the latest hundred, with a link to those before."""
    operator, now = team.visit("operator"), team.service.clock.now()
    with team.access.transaction() as rows:
        ids = [new_token(rows, "worker", f"Worker {number}", now + number)[0].id for number in range(101)]
    page = operator.get("/console/people").text
    assert re.findall(r"/tokens/(wkr_\w+)/revoke", page) == ids[:0:-1]
    older = re.search(r'href="([^"]+)" rel="next"', page)
    assert older is not None
    page = operator.get(f"/console/people{older[1]}").text
    assert re.findall(r"/tokens/(wkr_\w+)/revoke", page) == ids[:1]
    assert "Ana" in page

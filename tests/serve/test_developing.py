"""The pages for developers, and that those for a lab speak its words."""

from __future__ import annotations

import html
import re

from firsthandapi import FirstHandClient

from .conftest import JOB, TABLE, Open, Team, Visitor, first_of, submit

DEVELOPERS = ("/console/keys", "/console/deliveries", "/console/requests", "/console/events")
THEIRS = re.compile(
    r"escrow|checkout|purchase|sandbox|webhook|api key|openapi|firsthand_api_key", re.IGNORECASE
)


def said(page: str) -> str:
    """What people read, or hear, of a page."""
    read = re.findall(r'\b(?:alt|aria-label|placeholder|title)="([^"]*)"', page)
    page = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(" ".join([re.sub(r"<[^>]*>", " ", page), *read]))


def pages_of(visitor: Visitor, *starts: str) -> dict[str, str]:
    """All that an operator reaches by links, but for the pages of developers."""
    pages: dict[str, str] = {}
    todo = [*starts]
    while todo:
        path = todo.pop()
        if (
            path in pages
            or path.startswith((*DEVELOPERS, "/console/static"))
            or path.endswith((".csv", ".jsonl"))
        ):
            continue
        pages[path] = visitor.get(path).text
        todo += re.findall(r'href="((?:/console|/review|/checkout)[^"#?]*)', pages[path])
    return pages


def faults_of(pages: dict[str, str]) -> list[tuple[str, str]]:
    """The words of developers on pages of a lab: the log alone has those for what they do."""
    return [
        (path, match[0])
        for path, page in pages.items()
        for match in THEIRS.finditer(said(page))
        if not (path == "/console/log" and match[0].lower() in ("api key", "webhook"))
    ]


def test_a_lab_reads_its_own_words(team: Team) -> None:
    """Budget, reserved, owed, paid: whatever an operator reaches, but for the pages of developers, and the log's words
    for what they do; also a page that asks something."""
    visitor = team.visit("operator")
    with FirstHandClient(first_of(team.service).sandbox, team.service.url) as sandbox:
        submit(team.service, sandbox.jobs.create(**JOB).id)
    settings = {"auto_top_up_threshold_cents": 10**7, "auto_top_up_amount_cents": 25_000}
    team.buyer.organization.update_settings(auto_top_up_enabled=True, **settings)
    team.score(team.sent(team.job(files_needed=1)), 5)
    cancelled = team.job()
    team.buyer.jobs.cancel(cancelled.id)
    checkout = team.buyer.billing.purchase(1000).checkout_url.removeprefix(team.service.url)
    visitor.send("/console/credits", dollars="12.50")
    pages = pages_of(visitor, "/console", checkout)
    assert len(pages) > 12
    assert faults_of(pages) == []
    for words in (
        "Budget",
        "reserved",
        "owed or paid",
        "back in the budget",
        "Added to the budget",
        "for tests",
    ):
        assert words.lower() in " ".join(map(said, pages.values())).lower()
    dear = visitor.send("/console/jobs/new", title="Dear", description="Much too dear for this", **{
        "accepted_image/jpeg": "yes", "files_needed": "10000", "price_per_file_cents": "50000"})  # fmt: skip
    assert "The budget does not cover this job" in dear.text
    assert not THEIRS.search(said(dear.text))


def test_developers_have_pages_of_their_own(team: Team) -> None:
    """Keys, webhooks, and requests, each of which leads to the others, and to the document of the API."""
    visitor = team.visit("operator")
    for path in DEVELOPERS[:3]:
        page = visitor.get(path).text
        assert [path for path in DEVELOPERS[:3] if f'<a href="{path}"' in page] == [*DEVELOPERS[:3]]
        assert "Developers" in page
    assert "FIRSTHAND_API_KEY" in visitor.get("/console/keys").text
    assert "/openapi.json" in visitor.get("/console/deliveries").text
    assert "/openapi.json" not in visitor.get("/console").text
    assert "/console/keys" not in visitor.get("/console/people").text.split("</header>")[1]


def test_so_do_the_pages_of_a_study(lab: Open) -> None:
    """Of a person, of payouts, of tasks, and of appeals."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana = study.joined()
    study.score(study.work(ana, job).id, 5)
    pages = pages_of(study.visit("operator"), "/console")
    for part in ("/console/people/wkr_", "/console/payouts", "/console/tasks", "/review/appeals"):
        assert [path for path in pages if path.startswith(part)], part
    assert faults_of(pages) == []

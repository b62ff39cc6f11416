"""The form with which an operator posts a job."""

from __future__ import annotations

import re

from .conftest import EVIL, Team

PAGE = "/console/jobs/new"
GIVEN = {
    "title": "Street signs",
    "description": "Photos of street signs in daylight",
    "files_needed": "3",
    "accepted_image/jpeg": "yes",
    "price_per_file_cents": "50",
}


def test_a_job_is_posted_once_from_the_credits(team: Team) -> None:
    """However often the form is sent."""
    operator = team.visit("operator")
    once = re.search(r'name="once" value="(\w+)"', operator.get(PAGE).text)
    assert once is not None
    fields = {**GIVEN, "once": once[1], "deadline": "2099-01-02T03:04"}
    first, second = (operator.send(PAGE, PAGE, **fields) for _ in range(2))
    assert (first.status_code, first.headers["location"]) == (303, second.headers["location"])
    (job,) = team.world.state.organizations[0].accounts["live"].jobs
    assert (job.files_needed, job.price, job.escrow.held) == (3, 50, 150)
    assert operator.get(first.headers["location"]).status_code == 200
    (event,) = (event for event in job.account.audit if event.event_type == "job.created")
    assert event.actor.startswith("tok_")
    changed = operator.send(PAGE, PAGE, **{**fields, "title": "Shop signs"})  # after a step back
    assert changed.headers["location"] != first.headers["location"]


def test_a_deadline_is_where_the_operator_is(team: Team) -> None:
    """As a script of the page says it in UTC; without one it is UTC."""
    operator = team.visit("operator")
    for fields, deadline in (
        (
            {"deadline": "2099-01-02T05:45", "deadline_utc": "2099-01-02T00:00:00.000Z"},
            "2099-01-02T00:00:00Z",
        ),
        ({"deadline": "2099-01-02T05:45"}, "2099-01-02T05:45:00Z"),
    ):
        assert operator.send(PAGE, PAGE, **GIVEN, **fields).status_code == 303
        (job,) = team.buyer.jobs.list(limit=1).data
        assert job.deadline is not None
        assert job.deadline.isoformat().replace("+00:00", "Z") == deadline


def test_what_is_wrong_stands_beside_its_field(team: Team) -> None:
    """With what was written; so does a lack of credits, and nothing is posted."""
    operator = team.visit("operator")
    for wrong, name in (
        ({"description": f"{EVIL}", "files_needed": "many"}, "files_needed"),
        ({"price_per_file_cents": "5"}, "price_per_file_cents"),
        ({"deadline": "2001-01-02T03:04"}, "deadline"),
        ({"accepted_image/jpeg": ""}, "accepted_formats"),
    ):
        answer = operator.send(PAGE, PAGE, **{**GIVEN, **wrong})
        assert (answer.status_code, f'id="fault-{name}"' in answer.text) == (422, True), name
        assert "<script>alert" not in answer.text
    poor = operator.send(PAGE, PAGE, **{**GIVEN, "files_needed": "10000", "price_per_file_cents": "50000"})
    assert (poor.status_code, 'role="alert"' in poor.text) == (422, True)
    assert not team.world.state.organizations[0].accounts["live"].jobs

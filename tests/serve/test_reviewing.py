"""The reviewers' page."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest import mock

import pytest

from dataset.support import wait_until
from firsthandapi import ConflictError, FirstHandClient
from firsthandapi.server.pages.serve.service import Service

from .conftest import EVIL, JOB, Visitor, submit


def rate(visitor: Visitor, submission: str, *stars: int, attempt: int = 1, reason: str = "") -> object:
    """Give stars; the response."""
    fields = {f"stars-{number}": str(each) for number, each in enumerate(stars)}
    return visitor.send("/review", submission=submission, attempt=str(attempt), reason=reason, **fields)


@pytest.mark.parametrize(
    ("stars", "status"), [(1, "rejected"), (2, "retry_pending"), (3, "approved"), (5, "approved")]
)
def test_stars_decide_as_the_contract_says(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor], stars: int, status: str
) -> None:
    """Approved from the bar on, one retry at two stars, else rejected; the buyer reads stars and reason."""
    submission = submit(service, buyer.jobs.create(**JOB).id)
    visitor = visit("reviewer")
    reply = visitor.send(
        "/review", submission=submission, attempt="1", reason="Blurred", **{"stars-0": str(stars)}
    )
    assert reply.status_code == 303
    assert reply.headers["location"] == f"/review?done={status}"
    assert 'role="status"' in visitor.get(reply.headers["location"]).text
    seen = buyer.submissions.get(submission)
    assert (seen.status, seen.ai_star_rating, seen.ai_reasoning, seen.dimensions) == (
        status,
        stars,
        "Blurred",
        None,
    )
    entries = [entry for entry in buyer.audit_events.list() if entry.event_type.startswith("submission.")]
    assert all(str(entry.actor).startswith("tok_") for entry in entries)
    assert len(entries) == 1


def test_nobody_scores_but_the_reviewers(service: Service, buyer: FirstHandClient) -> None:
    """A live submission waits as long as it takes; the sandbox is scored by the clock."""
    assert service.first is not None
    live = submit(service, buyer.jobs.create(**JOB).id)
    with FirstHandClient(service.first.sandbox, service.url) as sandbox:
        tested = submit(service, sandbox.jobs.create(**JOB).id)
    due = [when for when, _, _ in service.clock._due]
    assert len(due) == 1
    assert {each.id for each in service.world.state.waiting()} == {live, tested}


def test_each_file_has_its_own_stars(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """Of several files in one submission, the good ones are approved and paid."""
    job = buyer.jobs.create(**{**JOB, "files_per_submission": 2})
    submission = submit(service, job.id, files=2)
    visitor = visit("reviewer")
    page = visitor.get("/review").text
    assert "File 2 of 2" in page
    assert visitor.send("/review", submission=submission, attempt="1", **{"stars-0": "5"}).status_code == 400
    rate(visitor, submission, 5, 1)
    assert [file.ai_star_rating for file in buyer.files.list(job.id)] == [5]
    assert buyer.jobs.get(job.id).files_approved == 1


def test_a_second_rating_changes_nothing(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """Of two reviewers, the first one counts, and the second one learns it."""
    submission = submit(service, buyer.jobs.create(**JOB).id)
    first, second = visit("reviewer"), visit("reviewer")
    rate(first, submission, 5)
    reply = second.send("/review", submission=submission, attempt="1", **{"stars-0": "1"})
    assert reply.status_code == 409
    assert "This submission is approved with 5 of 5 stars already. Your stars changed nothing." in reply.text
    assert buyer.submissions.get(submission).ai_star_rating == 5


def test_a_page_of_the_first_attempt_does_not_rate_the_second(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """What a reviewer rates is what they have seen."""
    job = buyer.jobs.create(**JOB)
    submission = submit(service, job.id)
    visitor = visit("reviewer")
    rate(visitor, submission, 2)
    world = service.world
    with world.lock:
        found = world.state.submissions[submission]
        world.jobs.resubmit(found, [*found.files], world.clock.now())
    reply = visitor.send("/review", submission=submission, attempt="1", **{"stars-0": "5"})
    assert reply.status_code == 409
    assert "The worker has sent something else" in reply.text
    assert "This is the second attempt." in visitor.get("/review").text
    rate(visitor, submission, 2, attempt=2)
    assert buyer.submissions.get(submission).status == "rejected"


def test_the_queue(service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]) -> None:
    """The oldest comes first, links lead to the others, and after a rating the next one shows."""
    job = buyer.jobs.create(**JOB)
    visitor = visit("reviewer")
    assert "Nothing waits for you" in visitor.get("/review").text
    ids = [submit(service, job.id) for _ in range(3)]
    assert visitor.get("/review/waiting").json() == {"waiting": 3}

    def shown(path: str) -> tuple[str, str | None, str | None]:
        page = visitor.get(path).text
        links = [re.search(rf'rel="{rel}" href="([^"]+)"', page) for rel in ("prev", "next")]
        return (
            re.findall(r'name="submission" value="(\w+)"', page)[0],
            *(link and link[1] for link in links),  # type: ignore[return-value] # two of them
        )

    assert shown("/review") == (ids[0], None, f"/review?at={ids[1]}")
    assert shown(f"/review?at={ids[1]}") == (ids[1], f"/review?at={ids[0]}", f"/review?at={ids[2]}")
    assert shown("/review?at=nonsense")[0] == ids[0]
    reply = visitor.send("/review", submission=ids[1], attempt="1", **{"stars-0": "4"})
    assert reply.headers["location"] == f"/review?done=approved&at={ids[2]}"
    reply = visitor.send("/review", submission=ids[2], attempt="1", **{"stars-0": "4"})
    assert reply.headers["location"] == f"/review?done=approved&at={ids[0]}"


@pytest.mark.parametrize("stars", ["0", "6", "", "4.5", "٤"])
def test_only_stars_are_stars(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor], stars: str
) -> None:
    """1 to 5, or nothing happens, and what was written stays."""
    submission = submit(service, buyer.jobs.create(**JOB).id)
    reply = visit("reviewer").send(
        "/review", submission=submission, attempt="1", reason="My long reason", **{"stars-0": stars}
    )
    assert reply.status_code == 400
    assert "My long reason</textarea>" in reply.text
    assert buyer.submissions.get(submission).status == "pending_score"


def test_what_does_not_exist_cannot_be_rated(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """An unknown submission, one of the sandbox, and a file of another one are no pages."""
    assert service.first is not None
    visitor = visit("reviewer")
    with FirstHandClient(service.first.sandbox, service.url) as sandbox:
        tested = submit(service, sandbox.jobs.create(**JOB).id)
    for submission in ("sub_1", tested):
        assert (
            visitor.send("/review", submission=submission, attempt="1", **{"stars-0": "4"}).status_code == 404
        )
    job = buyer.jobs.create(**JOB)
    one, two = submit(service, job.id), submit(service, job.id)
    file = service.world.state.submissions[one].files[0]
    assert visitor.get(f"/review/media/{two}/{file.id}").status_code == 404
    media = visitor.get(f"/review/media/{one}/{file.id}", headers={"range": "bytes=0-9"})
    assert media.status_code == 206
    assert media.headers["content-security-policy"].startswith("default-src 'none'; sandbox")
    assert media.headers["x-content-type-options"] == "nosniff"


def test_what_strangers_wrote_is_inert(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """Names, titles, and reasons are text on every page, hidden characters show, and no script may run."""
    job = buyer.jobs.create(**{**JOB, "title": EVIL, "description": EVIL * 2, "scoring_criteria": EVIL})
    submission = submit(service, job.id, name=EVIL, worker=EVIL)
    visitor = visit()
    visitor.sign_in("operator", EVIL)
    pages = [visitor.get(path) for path in ("/review", "/console/people", f"/console/jobs/{job.id}")]
    rate(visitor, submission, 2, reason=EVIL)
    pages.append(visitor.get(f"/console/jobs/{job.id}"))
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "{{7*7}}" in page.text
        assert "\u202e" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]


def test_a_cancellation_in_the_midst_of_approvals(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """Reviewers and two programs of the buyer at once: what was approved before is paid, the rest refunded once."""
    job_id = buyer.jobs.create(**{**JOB, "files_needed": 20}).id
    waiting = [submit(service, job_id) for _ in range(16)]
    reviewers = [visit("reviewer") for _ in range(4)]
    together = threading.Barrier(6)

    def approve(number: int) -> list[int]:
        together.wait(20)
        form = {"attempt": "1", "stars-0": "5"}
        return [
            reviewers[number].send("/review", submission=each, **form).status_code
            for each in waiting[number::4]
        ]

    def some_are_approved() -> bool:
        with service.world.lock:
            return len(service.world.state.files) >= 3

    def cancel() -> bool:
        together.wait(20)
        wait_until(some_are_approved)
        try:
            return buyer.jobs.cancel(job_id).status == "cancelled"
        except ConflictError:
            return False

    with ThreadPoolExecutor(6) as pool:
        rated = [pool.submit(approve, number) for number in range(4)]
        cancelled = [pool.submit(cancel) for _ in range(2)]
        replies = [status for each in rated for status in each.result(60)]
        assert sorted(each.result(60) for each in cancelled) == [False, True]
    approved = replies.count(303)
    assert approved >= 3
    assert replies.count(409) == 16 - approved
    service.world.check_books()
    job = service.world.state.jobs[job_id]
    assert (job.escrow.total, job.escrow.paid, job.escrow.refunded) == (
        1000,
        50 * approved,
        1000 - 50 * approved,
    )
    assert [each.amount_cents for each in buyer.billing.transactions() if each.type == "refund"] == [
        1000 - 50 * approved
    ]
    assert len([*buyer.files.list(job_id)]) == buyer.jobs.get(job_id).files_approved == approved
    told = [each.event_type for each in buyer.audit_events.list(job_id=job_id)]  # newest first
    assert told[0] == "job.cancelled"
    assert (told.count("job.cancelled"), told.count("submission.approved")) == (1, approved)
    for each in job.submissions:
        assert each.status == ("approved" if each.scored_at else "rejected")


def test_reviewers_see_content_credentials(
    service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]
) -> None:
    """What they say, as text; of a file without them, nothing."""
    verdict = {
        "state": "valid",
        "signer": EVIL,
        "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    }
    submission = submit(service, buyer.jobs.create(**JOB).id)
    visitor = visit("reviewer")
    assert "Content Credentials" not in visitor.get("/review").text
    (file,) = service.world.state.submissions[submission].files
    told = replace(file.source.details(), more={"content_credentials": verdict})
    with mock.patch.object(type(file.source), "details", return_value=told):
        page = visitor.get("/review").text
    assert "Content Credentials: valid · signed by &lt;script&gt;" in page
    assert "trainedAlgorithmicMedia" in page
    assert EVIL not in page

"""The reviewers' page."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest import mock

import pytest

from dataset.support import wait_until
from firsthandapi import ConflictError, FirstHandClient
from firsthandapi.testing import make

from .conftest import EVIL, JOB, Team, fields_of, first_of, pass_seconds, stand_still, submit, upload


@pytest.mark.parametrize(
    ("stars", "status"), [(1, "rejected"), (2, "retry_pending"), (3, "approved"), (5, "approved")]
)
def test_stars_decide_as_the_contract_says(team: Team, stars: int, status: str) -> None:
    """Approved from the bar on, one retry at two stars, else rejected; the buyer reads stars and reason."""
    submission = team.sent()
    visitor = team.visit("reviewer")
    reply = visitor.rate(submission, stars, reason="Blurred")
    assert reply.status_code == 303
    assert reply.headers["location"] == "/review"
    seen = team.buyer.submissions.get(submission)
    assert (seen.status, seen.ai_star_rating, seen.ai_reasoning, seen.dimensions, seen.rated_by) == (
        status,
        stars,
        "Blurred",
        None,
        "person",
    )
    entries = [
        entry for entry in team.buyer.audit_events.list() if entry.event_type.startswith("submission.")
    ]
    assert all(str(entry.actor).startswith("tok_") for entry in entries)
    assert len(entries) == 1


@pytest.mark.parametrize("stars", [5, 2, 1])
def test_a_reason_that_nobody_wrote_is_none(team: Team, stars: int) -> None:
    """Not for the buyer, in no event, and not on the worker's page."""
    job, worker = team.job(), team.visit("worker")
    assert upload(worker, team.path(job)).status_code == 303
    (submission,) = job.submissions
    team.visit("reviewer").rate(submission.id, stars)
    assert team.buyer.submissions.get(submission.id).ai_star_rating == stars
    assert team.buyer.submissions.get(submission.id).ai_reasoning is None
    bodies = [json.loads(event.body) for event in team.world.state.events.values()]
    data = [body["data"] for body in bodies if body["type"].startswith("submission.")]
    assert {entry["ai_reasoning"] for entry in data} == {None}
    verdict = worker.get(team.path(job)).text.partition('<p class="verdict">')[2]
    assert '<p dir="auto">' not in verdict


def test_nobody_scores_but_the_reviewers(team: Team) -> None:
    """A live submission waits as long as it takes; the sandbox is scored by the clock."""
    due = team.service.clock._due
    old_length = len(due.queue)
    live = team.sent()
    assert len(due.queue) == old_length
    with FirstHandClient(first_of(team.service).sandbox, team.service.url) as sandbox:
        tested = submit(team.service, sandbox.jobs.create(**JOB).id)
    assert len(due.queue) == old_length + 1
    assert {submission.id for submission in team.world.state.waiting()} == {live, tested}


def test_each_file_has_its_own_stars(team: Team) -> None:
    """Of several files in one submission, the good ones are approved and paid."""
    job = team.job(files_per_submission=2)
    submission = team.sent(job, files=2)
    visitor = team.visit("reviewer")
    page = visitor.get("/review").text
    assert "File 2 of 2" in page
    assert visitor.rate(submission, 5).status_code == 400
    visitor.rate(submission, 5, 1)
    assert [file.ai_star_rating for file in team.buyer.files.list(job.id)] == [5]
    assert team.buyer.jobs.get(job.id).files_approved == 1


def test_a_second_rating_changes_nothing(team: Team) -> None:
    """Of two reviewers, the first one counts, and the second one learns it, before it counts and after."""
    stand_still(team.service)
    submission = team.sent()
    first, second = team.visit("reviewer"), team.visit("reviewer")
    assert first.rate(submission, 5, is_booked=False).status_code == 303
    assert second.get("/review/waiting").json()["waiting"] == 0
    reply = second.rate(submission, 1, is_booked=False)
    assert reply.status_code == 409
    assert "Your stars changed nothing." in reply.text
    pass_seconds(team.service, 10)
    reply = second.rate(submission, 1)
    assert reply.status_code == 409
    assert "This submission is approved with 5 of 5 stars already. Your stars changed nothing." in reply.text
    assert team.buyer.submissions.get(submission).ai_star_rating == 5


def test_a_page_of_the_first_attempt_does_not_rate_the_second(team: Team) -> None:
    """What a reviewer rates is what they have seen."""
    job = team.job()
    submission = team.sent(job)
    visitor = team.visit("reviewer")
    visitor.rate(submission, 2)
    world = team.world
    with world.lock:
        item = world.state.submissions[submission]
        world.jobs.resubmit(item, [*item.files], world.clock.now())
    reply = visitor.rate(submission, 5)
    assert reply.status_code == 409
    assert "The worker has sent something else" in reply.text
    assert "This is the second attempt." in visitor.get("/review").text
    visitor.rate(submission, 2, attempt=2)
    assert team.buyer.submissions.get(submission).status == "rejected"


def test_the_queue(team: Team) -> None:
    """The oldest comes first, links lead to the others, and after a rating the next one shows."""
    job = team.job()
    visitor = team.visit("reviewer")
    assert "Nothing to review" in visitor.get("/review").text
    ids = [team.sent(job) for _ in range(3)]
    assert visitor.get("/review/waiting").json() == {"waiting": 3, "held": False}

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
    reply = visitor.rate(ids[1], 4)
    assert reply.headers["location"] == f"/review?at={ids[2]}"
    reply = visitor.rate(ids[2], 4)
    assert reply.headers["location"] == f"/review?at={ids[0]}"


@pytest.mark.parametrize("stars", ["0", "6", "", "4.5", "٤"])
def test_only_stars_are_stars(shared: Team, stars: str) -> None:
    """1 to 5, or nothing happens, and what was written stays."""
    submission = shared.sent()
    reply = shared.visit("reviewer").rate(submission, stars, reason="My long reason")
    assert reply.status_code == 400
    assert "My long reason</textarea>" in reply.text
    assert shared.buyer.submissions.get(submission).status == "pending_score"


def test_what_does_not_exist_cannot_be_rated(team: Team) -> None:
    """An unknown submission, one of the sandbox, and a file of another one are no pages."""
    visitor = team.visit("reviewer")
    with FirstHandClient(first_of(team.service).sandbox, team.service.url) as sandbox:
        tested = submit(team.service, sandbox.jobs.create(**JOB).id)
    for submission in ("sub_1", tested):
        assert visitor.rate(submission, 4).status_code == 404
    job = team.job()
    first_id, second_id = team.sent(job), team.sent(job)
    file = team.find(first_id).files[0]
    assert visitor.get(f"/review/media/{second_id}/{file.id}").status_code == 404
    media = visitor.get(f"/review/media/{first_id}/{file.id}", headers={"range": "bytes=0-9"})
    assert media.status_code == 206
    assert media.headers["content-security-policy"].startswith("default-src 'none'; sandbox")
    assert media.headers["x-content-type-options"] == "nosniff"


def test_what_strangers_wrote_is_inert(team: Team) -> None:
    """Names, titles, and reasons are text on every page, hidden characters show, and no script may run."""
    job = team.job(title=EVIL, description=EVIL * 2, scoring_criteria=EVIL)
    submission = team.sent(job, name=EVIL, worker=EVIL)
    visitor = team.visit()
    visitor.sign_in("operator", EVIL)
    pages = [visitor.get(path) for path in ("/review", "/console/people", f"/console/jobs/{job.id}")]
    visitor.rate(submission, 2, reason=EVIL)
    pages.append(visitor.get(f"/console/jobs/{job.id}"))
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "{{7*7}}" in page.text
        assert "\u202e" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]


def test_a_cancellation_in_the_midst_of_approvals(team: Team) -> None:
    """Reviewers and two programs of the buyer at once: what was approved before is paid, the rest refunded once."""
    job = team.job(files_needed=20)
    waiting = [team.sent(job) for _ in range(16)]
    reviewers = [team.visit("reviewer") for _ in range(4)]
    together = threading.Barrier(6)

    def approve(number: int) -> list[int]:
        together.wait(20)
        return [reviewers[number].rate(id, 5).status_code for id in waiting[number::4]]

    def some_are_approved() -> bool:
        with team.world.lock:
            return len(team.world.state.files) >= 3

    def cancel() -> bool:
        together.wait(20)
        wait_until(some_are_approved)
        try:
            return team.buyer.jobs.cancel(job.id).status == "cancelled"
        except ConflictError:
            return False

    with ThreadPoolExecutor(6) as pool:
        rated = [pool.submit(approve, number) for number in range(4)]
        cancelled = [pool.submit(cancel) for _ in range(2)]
        replies = [status for future in rated for status in future.result(60)]
        assert sorted(future.result(60) for future in cancelled) == [False, True]
    team.world.check_books()
    approved = len(job.approved)
    assert 3 <= approved <= replies.count(303) == 16 - replies.count(409)
    assert (job.escrow.total, job.escrow.paid, job.escrow.refunded) == (
        1000,
        50 * approved,
        1000 - 50 * approved,
    )
    assert [entry.amount_cents for entry in team.buyer.billing.transactions() if entry.type == "refund"] == [
        1000 - 50 * approved
    ]
    assert len([*team.buyer.files.list(job.id)]) == team.buyer.jobs.get(job.id).files_approved == approved
    types = [event.event_type for event in team.buyer.audit_events.list(job_id=job.id)]  # newest first
    assert types[0] == "job.cancelled"
    assert (types.count("job.cancelled"), types.count("submission.approved")) == (1, approved)
    for submission in job.submissions:
        assert submission.status == ("approved" if submission.scored_at else "rejected")


def test_reviewers_see_content_credentials(team: Team) -> None:
    """What they say, as text; of a file without them, nothing."""
    verdict = {
        "state": "valid",
        "signer": EVIL,
        "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    }
    submission = team.sent()
    visitor = team.visit("reviewer")
    assert "Content Credentials" not in visitor.get("/review").text
    (file,) = team.find(submission).files
    details = replace(file.source.details(), more={"content_credentials": verdict})
    with mock.patch.object(type(file.source), "details", return_value=details):
        page = visitor.get("/review").text
    assert "Content Credentials: valid · signed by &lt;script&gt;" in page
    assert "trainedAlgorithmicMedia" in page
    assert EVIL not in page


def shown(page: str) -> str:
    """The id of the submission that a page shows."""
    return re.findall(r'name="submission" value="(\w+)"', page)[0]


def test_three_reviewers_share_the_queue(team: Team) -> None:
    """Each gets another file though they sign in with one token, and all that they rate counts."""
    stand_still(team.service)  # what is held stays so for two minutes
    job = team.job(files_needed=9)
    ids = {team.sent(job) for _ in range(6)}
    _, secret = team.access.create("reviewer", "Ana", 0)
    reviewers = [team.visit() for _ in range(3)]
    for reviewer in reviewers:
        reviewer.send("/sign-in", token=secret)
    seen: list[str] = []
    for _ in range(2):
        pages = [(visitor, shown(visitor.get("/review").text)) for visitor in reviewers]
        seen += [id for _, id in pages]
        for reviewer, id in pages:
            assert reviewer.rate(id, 4, is_booked=False).status_code == 303
    assert (len(seen), {*seen}) == (6, ids)
    pass_seconds(team.service, 10)
    assert team.buyer.jobs.get(job.id).files_approved == 6


def test_a_hold_ends_unless_the_page_stays_open(team: Team) -> None:
    """An open page asks again and holds on; after two minutes without it, another reviewer takes over."""
    stand_still(team.service)
    submission = team.sent()
    first, second = team.visit("reviewer"), team.visit("reviewer")
    assert shown(first.get("/review").text) == submission
    pass_seconds(team.service, 100)
    assert first.get(f"/review/waiting?at={submission}").json() == {"waiting": 1, "held": True}
    pass_seconds(team.service, 100)
    page = second.get("/review").text
    assert "Nothing to review" in page
    assert "1 waits for other reviewers" in page
    pass_seconds(team.service, 20)
    assert shown(second.get("/review").text) == submission
    assert first.get(f"/review/waiting?at={submission}").json() == {"waiting": 0, "held": False}
    assert first.rate(submission, 1, is_booked=False).status_code == 409
    assert second.rate(submission, 4, is_booked=False).status_code == 303


def test_nobody_sees_or_rates_their_own_work(team: Team) -> None:
    """Not on the page, nor its bytes, nor by a form that is made up."""
    job = team.job()
    visitor = team.visit()
    visitor.sign_in("reviewer", "Ana")
    (token,) = [token for token in team.access.tokens() if token.name == "Ana"]
    own_id = team.sent(job, worker=f"wkr_{token.id.partition('_')[2]}")
    page = visitor.get(f"/review?at={own_id}").text
    assert own_id not in page
    assert "1 is your own work" in page
    reply = visitor.rate(own_id, 5)
    assert (reply.status_code, "your own work" in reply.text) == (403, True)
    file = team.find(own_id).files[0]
    assert visitor.get(f"/review/media/{own_id}/{file.id}").status_code == 403
    assert team.buyer.submissions.get(own_id).status == "pending_score"
    colleague = team.visit("reviewer")
    assert shown(colleague.get("/review").text) == own_id
    assert colleague.get(f"/review/media/{own_id}/{file.id}").status_code == 200


def test_whoever_works_without_a_token_is_known_by_the_browser(team: Team) -> None:
    """Who sent something and then reviews in the same browser, signed in or not, does not get it."""
    path = team.service.site.links.path(team.job())
    alone, colleague = team.visit(), team.visit()
    page = alone.get(path).text
    hidden = fields_of(page)
    shot = make("image/jpeg", "own").content
    alone.http.post(path, data=hidden, files={"file": ("a.jpg", shot, "image/jpeg")})
    (submission,) = team.world.state.waiting()
    assert shown(colleague.get("/review").text) == submission.id
    for _ in range(2):
        assert "1 is your own work" in alone.get("/review").text
        reply = alone.rate(submission.id, 5)
        assert reply.status_code == 403
        alone.sign_in("reviewer", "Ana")


def test_undo(team: Team) -> None:
    """For ten seconds, by whoever rated, without scripts: the form comes back as it was; then it is too late."""
    stand_still(team.service)
    submission = team.sent()
    visitor, colleague = team.visit("reviewer"), team.visit("reviewer")
    visitor.rate(submission, 1, reason="Blurred", is_booked=False)
    assert team.buyer.submissions.get(submission).status == "pending_score"
    rating = re.findall(r'name="rating" value="(\w+)"', visitor.get("/review").text)[0]
    assert 'name="rating"' not in colleague.get("/review").text
    assert colleague.post("/review/undo", rating=rating).status_code == 409
    reply = visitor.post("/review/undo", rating=rating)
    assert reply.headers["location"] == f"/review?at={submission}&done=undone"
    page = visitor.get(reply.headers["location"]).text
    assert shown(page) == submission
    assert "Blurred</textarea>" in page
    assert 'value="1" required checked' in page
    pass_seconds(team.service, 20)
    assert team.buyer.submissions.get(submission).status == "pending_score"
    visitor.rate(submission, 4)
    (first, second) = team.service.site.panel.ratings.all()
    assert (first.id, first.undone_at is None, second.undone_at) == (rating, False, None)
    assert visitor.post("/review/undo", rating=second.id).status_code == 409
    assert team.buyer.submissions.get(submission).ai_star_rating == 4


def test_filters_the_grid_and_duplicates(team: Team) -> None:
    """One job or one person, also after a rating; all at a glance; the same bytes side by side."""
    signs, dogs = (team.job(title=title) for title in ("Signs", "Dogs"))
    sent = [(signs, "wkr_a"), (dogs, "wkr_b"), (dogs, "wkr_a")]
    first, second, third = (team.sent(job, worker=worker) for job, worker in sent)
    visitor = team.visit("reviewer")
    page = visitor.get(f"/review?job={dogs.id}").text
    assert (shown(page), "1 of 2" in page) == (second, True)
    assert "<strong>Duplicate of</strong> what" in page
    submissions = team.world.state.submissions
    assert f"/review/media/{third}/{submissions[third].files[0].id}" in page
    assert "1 of 2" in visitor.get("/review?worker=wkr_a").text
    grid = visitor.get("/review?view=grid").text
    assert [id in grid for id in (first, second, third)] == [True] * 3
    grid = visitor.get("/review?view=grid&worker=wkr_b").text
    assert [f"at={id}" in grid for id in (first, second, third)] == [False, True, False]
    reply = visitor.rate(second, 4, job=dogs.id)
    assert reply.headers["location"] == f"/review?job={dogs.id}&at={third}"
    assert third in visitor.get("/review?view=grid&start=x").text
    assert third not in visitor.get("/review?view=grid&start=48").text


def test_a_reviewer_frees_the_slot_of_a_second_attempt(team: Team) -> None:
    """Who waits until when is on a page, and a reviewer may end it, once."""
    job = team.job(files_needed=1)
    submission = team.sent(job)
    visitor = team.visit("reviewer")
    visitor.rate(submission, 2)
    assert "Second attempts: 1" in visitor.get("/review").text
    assert submission in visitor.get("/review/retries").text
    assert visitor.send("/review/retries", submission="sub_1").status_code == 404
    reply = visitor.send("/review/retries", submission=submission)
    assert reply.headers["location"] == "/review/retries?done=freed"
    assert "Nobody has a second attempt open." in visitor.get(reply.headers["location"]).text
    assert visitor.send("/review/retries", submission=submission).status_code == 409
    seen = team.buyer.submissions.get(submission)
    assert (seen.status, seen.ai_star_rating, team.buyer.jobs.get(job.id).status) == ("rejected", 2, "open")

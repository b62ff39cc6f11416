"""Jobs, slots, scoring and escrow."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from firsthandapi.testing import MockServer
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.state.model import Submission

from .conftest import JOB, Caller, scored


def statuses(api: Caller, job_id: str) -> list[str]:
    """The statuses of a job's submissions, oldest first."""
    data = api.get(f"/v1/jobs/{job_id}/submissions?limit=100")["data"]
    return [item["status"] for item in reversed(data)]


@pytest.mark.parametrize(("environment", "bar"), [("live", 1), ("live", 4), ("test", 3)])
def test_workers_complete_a_job(server: MockServer, environment: str, bar: int) -> None:
    """Simulated workers deliver first after 15 virtual seconds, and the job completes."""
    api = Caller(server, server.api_key if environment == "live" else server.test_api_key)
    job = api.create_job(files_needed=25, min_star_rating=bar)
    server.clock.advance(seconds=14)
    assert statuses(api, job["id"]) == []
    server.clock.advance(seconds=1.1)
    assert statuses(api, job["id"])[0] == "pending_score"
    server.clock.advance(hours=1)
    done = api.job(job["id"])
    assert (done["status"], done["files_approved"]) == ("completed", 25)
    assert done["completed_at"] > job["created_at"]
    files = api.files(job["id"])
    assert len({file["content_hash"] for file in files}) == 25
    assert all(file["ai_star_rating"] >= bar for file in files)
    if environment == "test":
        assert {file["ai_star_rating"] for file in files} == {4}


def test_five_stars_in_the_sandbox(server: MockServer) -> None:
    """The sandbox gives four stars, so a bar of five rejects everything and the job stays open."""
    api = Caller(server, server.test_api_key)
    job = api.create_job(min_star_rating=5)
    server.clock.advance(days=1)
    assert statuses(api, job["id"]) == ["rejected", "rejected"]
    assert api.job(job["id"])["status"] == "open"


def test_five_stars_live(server: MockServer, api: Caller) -> None:
    """In live mode workers come again until the bar is met."""
    job = api.create_job(min_star_rating=5, files_needed=5)
    server.clock.advance(days=1)
    assert api.job(job["id"])["status"] == "completed"
    assert "rejected" in statuses(api, job["id"])


def test_same_seed_same_files() -> None:
    """The seed decides what workers bring; another one brings other files."""
    hashes: list[list[str]] = []
    for seed in (1, 1, 2):
        with MockServer(seed=seed, speed=0) as server:
            api = Caller(server, server.api_key)
            job = api.create_job(files_needed=5)
            server.clock.advance(hours=1)
            hashes.append([file["content_hash"] for file in api.files(job["id"])])
    assert hashes[0] == hashes[1]
    assert set(hashes[0]).isdisjoint(hashes[2])


def test_slots(hand: MockServer, by_hand: Caller) -> None:
    """open, filled when all slots are taken, open when one is rejected, in_progress after the first approval."""
    job = by_hand.create_job()["id"]
    for _ in range(2):
        hand.submit(job, rating=1)
    assert by_hand.job(job)["status"] == "filled"
    hand.clock.advance(seconds=15)
    assert by_hand.job(job)["status"] == "open"
    first = hand.submit(job, rating=1)
    assert by_hand.job(job)["status"] == "open"
    hand.submit(job, rating=4)
    assert by_hand.job(job)["status"] == "filled"
    with pytest.raises(ValueError, match="0 free slots"):
        hand.submit(job)
    with pytest.raises(ValueError, match="takes 1 file per"):
        hand.submit(by_hand.create_job()["id"], files=2)
    hand.clock.advance(seconds=15)
    assert by_hand.job(job)["status"] == "in_progress"
    assert by_hand.get(f"/v1/submissions/{first.submission_id}")["status"] == "rejected"
    hand.submit(job, rating=5)
    assert by_hand.job(job)["status"] == "in_progress"
    hand.clock.advance(seconds=15)
    assert by_hand.job(job)["status"] == "completed"
    with pytest.raises(ValueError, match="completed"):
        hand.submit(job)


def test_two_star_retry(hand: MockServer, by_hand: Caller) -> None:
    """Two stars on the first attempt allow one retry, which keeps its slot; a second failure rejects."""
    job = by_hand.create_job(files_needed=2)["id"]
    submissions = [hand.submit(job, rating=2).submission_id for _ in range(2)]
    hand.clock.advance(seconds=15)
    assert statuses(by_hand, job) == ["retry_pending", "retry_pending"]
    assert by_hand.job(job)["status"] == "filled"
    retry = hand.submit(job, rating=4, retry_of=submissions[0])
    assert retry.submission_id == submissions[0]
    hand.submit(job, rating=2, retry_of=submissions[1])
    entry = by_hand.get(f"/v1/submissions/{submissions[0]}")
    assert (entry["status"], entry["ai_star_rating"], entry["scored_at"]) == ("pending_score", None, None)
    hand.clock.advance(seconds=15)
    assert statuses(by_hand, job) == ["approved", "rejected"]
    with pytest.raises(ValueError, match="can be retried"):
        hand.submit(job, retry_of=submissions[1])
    with pytest.raises(ValueError, match="no submission"):
        hand.submit(job, retry_of="sub_nobody")


@pytest.mark.parametrize(
    ("bar", "rating", "expected"),
    [(1, 1, "approved"), (2, 2, "approved"), (3, 2, "retry_pending"), (5, 4, "rejected"), (5, 5, "approved")],
)
def test_verdict(hand: MockServer, by_hand: Caller, bar: int, rating: int, expected: str) -> None:
    """Approved from the bar up; else two stars may retry; else rejected."""
    job = by_hand.create_job(min_star_rating=bar)["id"]
    scored(hand, job, rating=rating)
    submission = by_hand.get(f"/v1/jobs/{job}/submissions")["data"][0]
    assert (submission["status"], submission["ai_star_rating"]) == (expected, rating)
    assert submission["ai_reasoning"]
    assert all(1 <= stars <= 5 for stars in submission["dimensions"].values())
    assert (submission["file_url"] is None) == (expected != "approved")


def test_several_files_a_submission(hand: MockServer, by_hand: Caller) -> None:
    """With files_per_submission each file is scored and priced alone."""
    job = by_hand.create_job(files_needed=5, files_per_submission=3)["id"]
    work = scored(hand, job, rating=[5, 1, 3], files=3)
    assert by_hand.job(job)["files_approved"] == 2
    assert {file["id"] for file in by_hand.files(job)} == {work.file_ids[0], work.file_ids[2]}
    credits = by_hand.get("/v1/billing/credits")
    assert (credits["available_cents"], credits["held_cents"]) == (100_000 - 250, 150)
    roomy = by_hand.create_job(files_needed=9, files_per_submission=3)["id"]
    with pytest.raises(ValueError, match="1 to 3 files"):
        hand.submit(roomy, files=4)
    with pytest.raises(ValueError, match="3 files need 3 values"):
        hand.submit(job, files=3, rating=[1, 2])


def test_retry_with_several_files(hand: MockServer, by_hand: Caller) -> None:
    """A retry may bring another number of files, as long as there are slots for them."""
    job = by_hand.create_job(files_needed=2, files_per_submission=3)["id"]
    first = scored(hand, job, rating=2)
    with pytest.raises(ValueError, match="has 2 free slots, not 3"):
        hand.submit(job, files=3, retry_of=first.submission_id)
    with pytest.raises(ValueError, match="takes 1 to 3 files"):
        hand.submit(job, content=[], retry_of=first.submission_id)
    scored(hand, job, files=2, retry_of=first.submission_id)
    assert by_hand.job(job)["status"] == "completed"


def test_several_files_by_simulated_workers(server: MockServer, api: Caller) -> None:
    """Simulated workers bring as many files as a submission may have, never more than are needed."""
    job = api.create_job(files_needed=7, files_per_submission=3)["id"]
    server.clock.advance(hours=1)
    assert len(api.files(job)) == 7


def test_too_small(hand: MockServer, by_hand: Caller) -> None:
    """A file below min_width is rejected before scoring, without stars; a large one passes."""
    job = by_hand.create_job(min_width=1000, min_height=200)["id"]
    small = hand.submit(job, content=b"x", width=999, height=800).submission_id
    submission = by_hand.get(f"/v1/submissions/{small}")
    assert (submission["status"], submission["ai_star_rating"]) == ("rejected", None)
    assert "999x800" in submission["ai_reasoning"]
    scored(hand, job)
    assert by_hand.files(job)[0]["width"] == 1000


def test_too_small_for_simulated_workers(server: MockServer, api: Caller) -> None:
    """Where no format reaches the size asked for, workers give up in the end."""
    job = api.create_job(min_width=100_000, files_needed=1)["id"]
    server.clock.advance(days=1)
    assert api.job(job)["status"] == "open"
    assert set(statuses(api, job)) == {"rejected"}


def test_place(hand: MockServer, by_hand: Caller) -> None:
    """A submission tells where it was made and whether that fits, as set by hand; both are null by default."""
    job = by_hand.create_job(files_needed=2)["id"]
    hand.submit(job, latitude=48.1, longitude=11.5, location_verified=False)
    hand.submit(job)
    names = ("submission_latitude", "submission_longitude", "location_verified")
    data = by_hand.get(f"/v1/jobs/{job}/submissions")["data"]
    assert [tuple(item[name] for name in names) for item in data] == [(None,) * 3, (48.1, 11.5, False)]


def test_a_place_is_compared_with_the_radius_of_the_job(hand: MockServer, by_hand: Caller) -> None:
    """Where the job names a point and a radius; a city is no point. What is said by hand counts more."""
    munich = {"latitude": 48.14, "longitude": 11.58, "radius_km": 20}
    near, far = {"latitude": 48.1, "longitude": 11.5}, {"latitude": 52.5, "longitude": 13.4}
    job = by_hand.create_job(files_needed=9, location=munich)["id"]
    for place in (near, far, {**far, "location_verified": True}, {}):
        hand.submit(job, **place)
    data = by_hand.get(f"/v1/jobs/{job}/submissions")["data"]
    assert [item["location_verified"] for item in data] == [None, True, False, True]
    job = by_hand.create_job(location={"city": "Munich", "state": "BY"})["id"]
    hand.submit(job, **near)
    assert by_hand.get(f"/v1/jobs/{job}/submissions")["data"][0]["location_verified"] is None


PARTS = {"relevance": 5, "quality": 1, "completeness": 3}


@pytest.mark.parametrize("how", ["submit", "score"])
def test_who_rated_and_why_is_given(hand: MockServer, by_hand: Caller, how: str) -> None:
    """Stars, reason, parts, rater, and flags, in the submission and in its files, whichever way the score comes."""
    job = by_hand.create_job(min_star_rating=1)["id"]
    details: dict[str, Any] = {
        "dimensions": PARTS,
        "ai_reasoning": "Sharp.",
        "rated_by": "model:claude-haiku-5-5",
        "flags": ["stock", "addresses_rater"],
    }
    work = hand.submit(job, rating=3, **(details if how == "submit" else {}))
    (waiting,) = by_hand.get(f"/v1/jobs/{job}/submissions")["data"]
    assert (waiting["ai_reasoning"], waiting["rated_by"], waiting["flags"]) == (None, None, [])
    if how == "score":
        hand.score(work.submission_id, 3, **details)
    hand.clock.advance(minutes=1)
    (submission,) = by_hand.get(f"/v1/jobs/{job}/submissions")["data"]
    assert {name: submission[name] for name in details} == details
    assert submission["ai_star_rating"] == 3
    (file,) = by_hand.files(job)
    assert (file["rated_by"], file["flags"]) == (details["rated_by"], details["flags"])


def test_what_is_given_to_submit_waits_for_its_score(hand: MockServer, by_hand: Caller) -> None:
    """`score` without words uses those of `submit`; what neither says is as the service makes it up."""
    job = by_hand.create_job(min_star_rating=1)["id"]
    work = hand.submit(job, rated_by="person")
    hand.score(work.submission_id, 5)
    (submission,) = by_hand.get(f"/v1/jobs/{job}/submissions")["data"]
    assert (submission["rated_by"], submission["flags"]) == ("person", [])
    assert submission["ai_reasoning"] == "Excellent: fully addresses the job description."
    assert set(submission["dimensions"]) == set(PARTS)


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"rated_by": "me"}, "rated_by is person, rules, or model: and a name, not 'me'"),
        ({"rated_by": "model:"}, "rated_by is"),
        (
            {"flags": ["policy", "ugly"]},
            "flags are policy, stock, synthetic, addresses_rater, unreadable, not 'ugly'",
        ),
        ({"dimensions": {"relevance": 5}}, "dimensions are completeness, quality, relevance"),
        ({"dimensions": {**PARTS, "quality": 6}}, "1 to 5"),
    ],
)
def test_a_wrong_word_of_a_score_is_refused(
    hand: MockServer, by_hand: Caller, details: Any, message: str
) -> None:
    """By name, and before anything is submitted or scored."""
    job = by_hand.create_job()["id"]
    with pytest.raises(ValueError, match=message):
        hand.submit(job, **details)
    assert by_hand.get(f"/v1/jobs/{job}/submissions")["data"] == []
    work = hand.submit(job)
    with pytest.raises(ValueError, match=message):
        hand.score(work.submission_id, 4, **details)


def test_files_of_the_bundled_server_say_so(server: MockServer, api: Caller) -> None:
    """Simulated ones, and those that are given to `submit`; nobody says who rated them."""
    job = api.create_job(files_needed=2)["id"]
    server.submit(job, content=b"mine", content_type="image/jpeg")
    server.clock.advance(minutes=5)
    assert [(file["simulated"], file["rated_by"]) for file in api.files(job)] == [(True, None)] * 2


def test_flagged_once(hand: MockServer, by_hand: Caller) -> None:
    """A job is flagged at its tenth rejected submission, and not again."""
    job = by_hand.create_job(files_needed=30)["id"]
    flagged: list[int] = []
    for _ in range(22):
        scored(hand, job, rating=1)
        flagged.append(len(by_hand.get("/v1/webhook_events?type=job.flagged")["data"]))
    assert flagged == [0] * 9 + [1] * 13
    (event,) = by_hand.get("/v1/webhook_events?type=job.flagged")["data"]
    assert (event["data"]["job_id"], event["data"]["status"]) == (job, "open")


def test_max_workers(hand: MockServer, by_hand: Caller) -> None:
    """No more than max_workers different people work on a job."""
    job = by_hand.create_job(files_needed=4, max_workers=2)["id"]
    hand.submit(job, worker_id="wkr_ada")
    for _ in range(2):
        hand.submit(job)
    with pytest.raises(ValueError, match="already has its 2 workers"):
        hand.submit(job, worker_id="wkr_third")
    data = by_hand.get(f"/v1/jobs/{job}/submissions")["data"]
    assert len({item["worker_id"] for item in data}) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"content_type": "audio/wav"}, "accepts image/jpeg"), ({"rating": 6}, "1 to 5 stars")],
)
def test_submit_refuses(hand: MockServer, by_hand: Caller, wrong: dict[str, Any], message: str) -> None:
    """What no worker could do is a ValueError."""
    with pytest.raises(ValueError, match=message):
        hand.submit(by_hand.create_job()["id"], **wrong)
    with pytest.raises(ValueError, match=r"no job .job_nobody. exists"):
        hand.submit("job_nobody")


def test_hand_made_retry_goes_on_with_simulated_workers(server: MockServer, api: Caller) -> None:
    """With simulated workers nothing waits for ever: the retry comes by itself."""
    job = api.create_job(files_needed=1)["id"]
    submission = server.submit(job, rating=2).submission_id
    server.clock.advance(hours=1)
    assert api.get(f"/v1/submissions/{submission}")["attempt"] == 2
    assert api.job(job)["status"] == "completed"


def test_escrow(hand: MockServer, by_hand: Caller) -> None:
    """Creation sets the cost aside, an approval pays one file, a cancellation refunds the rest at once."""
    job = by_hand.create_job(files_needed=4, price_per_file_cents=100)["id"]
    assert by_hand.get("/v1/billing/credits")["held_cents"] == 400
    scored(hand, job)
    hand.submit(job)
    cancelled = by_hand("POST", f"/v1/jobs/{job}/cancel")
    assert cancelled.json["status"] == "cancelled"
    assert cancelled.headers["x-firsthandapi-credits-remaining"] == "99900"
    credits = by_hand.get("/v1/billing/credits")
    assert (credits["balance_cents"], credits["held_cents"], credits["total_cents"]) == (99_900, 0, 99_900)
    names = ("type", "amount_cents", "job_id")
    moves = [tuple(map(item.get, names)) for item in by_hand.get("/v1/billing/transactions")["data"]]
    assert moves == [("refund", 300, job), ("deduction", -400, job), ("purchase", 100_000, None)]
    assert statuses(by_hand, job) == ["approved", "rejected"]
    hand.clock.advance(seconds=15)
    assert len(by_hand.files(job)) == 1
    assert by_hand("POST", f"/v1/jobs/{job}/cancel", {}).error["type"] == "conflict"


def test_sandbox_is_free(server: MockServer) -> None:
    """The sandbox charges nothing, and shows in none of the live lists."""
    live, test = Caller(server, server.api_key), Caller(server, server.test_api_key)
    job = test.create_job(files_needed=10_000, price_per_file_cents=50_000)
    assert job["total_cost_cents"] == 500_000_000
    assert live.get("/v1/billing/credits")["balance_cents"] == 100_000
    assert test.get("/v1/billing/credits")["balance_cents"] == 100_000
    assert live.get("/v1/jobs")["data"] == []
    assert test("POST", f"/v1/jobs/{job['id']}/cancel").status == 200


def test_deadline(hand: MockServer, by_hand: Caller) -> None:
    """A job past its deadline is cancelled and refunded, but a completed one; one in the past is refused."""
    now = time.time()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3600))
    job, done = (by_hand.create_job(deadline=soon, files_needed=1) for _ in range(2))
    assert job["deadline"].startswith(soon[:-1])
    scored(hand, done["id"])
    hand.clock.advance(hours=2)
    assert [by_hand.job(entry["id"])["status"] for entry in (job, done)] == ["cancelled", "completed"]
    assert by_hand.get("/v1/billing/credits")["balance_cents"] == 100_000 - 50
    reply = by_hand("POST", "/v1/jobs", {**JOB, "deadline": soon})
    assert reply.error["details"][0]["field"] == "deadline"


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("description", [], [5, None]),
        ("files_needed", [2.0], [1.5, True, "1"]),
        ("accepted_formats", [], ["image/png", ["IMAGE/PNG"]]),
        ("title", [None], [1]),
        ("min_star_rating", [1, 5], [None]),
        ("files_per_submission", [], [0]),
        ("min_width", [1], [0, -1, "640"]),
        ("location", [{"city": "Tokyo", "anything": [1.5]}], ["Tokyo", [1]]),
        ("deadline", ["2099-01-01", "2099-01-01T00:00:00.5+09:00"], ["2099-13-01", 5]),
        ("max_workers", [1], [0, "1"]),
        ("metadata", [], [[]]),
        ("worker_guidelines", [], [{}]),
    ],
)
def test_field_bounds(api: Caller, field: str, good: list[Any], bad: list[Any]) -> None:
    """Each field has its type, and what is good comes back as it was sent: `contract/` tries the bounds."""
    for value in good:
        reply = api("POST", "/v1/jobs", {**JOB, field: value})
        assert reply.status == 201, (value, reply.body)
        if field != "deadline":
            assert reply.json[field] == value
    for value in bad:
        reply = api("POST", "/v1/jobs", {**JOB, field: value})
        assert reply.status == 400, value
        assert reply.error["details"][0]["field"].split(".")[0] == field


def test_free_tier(server: MockServer) -> None:
    """A signed-up organization has 250 cents and one open job at a time, until it buys credit."""
    reply = Caller(server, None)("POST", "/v1/auth/signup", {"name": "Ada", "email": "ada@example.com"})
    assert reply.json["credits_cents"] == 250
    assert reply.json["organization_id"].startswith("org_")
    api = Caller(server, reply.json["api_key"])
    job = api.create_job(files_needed=1)["id"]
    reply = api("POST", "/v1/jobs", {**JOB, "files_needed": 1})
    assert (reply.status, reply.error["type"]) == (403, "free_tier_job_limit")
    api("POST", f"/v1/jobs/{job}/cancel")
    api.create_job(files_needed=1)
    api("GET", api("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).json["checkout_url"])
    api.create_job(files_needed=1)


def test_submission_lists(server: MockServer, api: Caller) -> None:
    """Without dates, the list goes back 30 days, and the summary over all time; both ends of a range count."""
    job = api.create_job(files_needed=10)["id"]
    server.clock.advance(hours=1)

    def found(query: str) -> list[dict[str, Any]]:
        return api.get(f"/v1/submissions?limit=100&{query}")["data"]

    everything, middle = found(""), found("")[5]["submitted_at"]
    assert len(found(f"end_date={middle}")) + len(found(f"start_date={middle}")) == len(everything) + 1
    summary = api.get(f"/v1/submissions/summary?job_id={job}")
    assert (summary["by_status"]["approved"], summary["total"]) == (10, len(everything))
    assert found("status=pending_score") == []
    assert 3 <= summary["average_star_rating"] <= 5
    assert 0 < summary["approval_rate"] <= 1
    server.clock.advance(days=31)
    assert (found(""), len(found("start_date=2020-01-01"))) == ([], len(everything))
    assert api.get("/v1/submissions/summary") == summary
    assert api.get(f"/v1/submissions/summary?end_date={middle}")["total"] == len(everything) - 5
    now = datetime.fromtimestamp(server.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert api.get(f"/v1/submissions/summary?start_date={now}")["approval_rate"] is None
    assert api("GET", "/v1/submissions?job_id=job_nobody").status == 404


def test_long_poll_wakes(hand: MockServer, by_hand: Caller) -> None:
    """A held request answers as soon as the status changes, and not for a change of something else."""
    job = by_hand.create_job(files_needed=3)["id"]
    scored(hand, job)
    answers: list[Any] = []
    # Longer than the caller waits for an answer: one that comes at the end of the wait comes too late.
    poll = threading.Thread(
        target=lambda: answers.append(by_hand("GET", f"/v1/jobs/{job}", Prefer="wait=60"))
    )
    poll.start()
    while not any(request.headers.get("prefer") for request in hand.requests):
        time.sleep(0.001)
    hand.submit(job)
    hand.clock.advance(seconds=15)  # in_progress it is and stays
    time.sleep(0.05)
    assert not answers
    scored(hand, job)
    poll.join()
    assert answers[0].json["status"] == "completed"
    assert answers[0].headers["preference-applied"] == "wait=60"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("respond-async, Wait = 1 ; x=y", "wait=1"),
        ('wait="0"', "wait=0"),
        ("wait=-1", None),
        ("await=5", None),
        ("", None),
    ],
)
def test_prefer(by_hand: Caller, prefer: str, applied: str | None) -> None:
    """The wait is found among other preferences; what is none is ignored."""
    reply = by_hand("GET", f"/v1/jobs/{by_hand.create_job()['id']}", Prefer=prefer)
    assert (reply.json["status"], reply.headers.get("preference-applied")) == ("open", applied)


@pytest.mark.slow
def test_ten_thousand_files(server: MockServer) -> None:
    """A job of the largest size completes, and its pages hold every file once."""
    api = Caller(server, server.test_api_key)
    job = api.create_job(files_needed=10_000, accepted_formats=["audio/mp4"])["id"]  # made in no time
    server.clock.advance(hours=1)
    assert api.job(job)["files_approved"] == 10_000
    seen: set[str] = set()
    query = "?limit=100"
    while query:
        page = api.get(f"/v1/jobs/{job}/files{query}")
        seen.update(file["id"] for file in page["data"])
        query = f"?limit=100&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert len(seen) == 10_000


def test_scored_by_a_jury(hand: MockServer, by_hand: Caller) -> None:
    """A jury learns of each submission that waits, and gives stars, a reason, and a name."""

    class Person:
        def __init__(self) -> None:
            self.waiting: list[Submission] = []

        def submitted(self, submission: Submission, at: float) -> bool:
            self.waiting.append(submission)
            return True

    hand._world.jobs.jury = person = Person()
    job = by_hand.create_job(files_needed=3, files_per_submission=2)["id"]
    work = hand.submit(job, files=2)
    hand.clock.advance(hours=1)
    assert by_hand.get(f"/v1/submissions/{work.submission_id}")["status"] == "pending_score"
    assert [*hand._world.state.waiting()] == person.waiting
    verdict = Verdict((5, 1), "Sharp, and one blurred.", {"quality": 5}, actor="reviewer_1")
    with hand._world.lock:
        hand._world.jobs.score(person.waiting[0], hand.clock.now(), verdict)
    entry = by_hand.get(f"/v1/submissions/{work.submission_id}")
    assert (entry["status"], entry["ai_star_rating"]) == ("approved", 5)
    assert (entry["ai_reasoning"], entry["dimensions"]) == ("Sharp, and one blurred.", {"quality": 5})
    assert [file["id"] for file in by_hand.files(job)] == [work.file_ids[0]]
    audit = by_hand.get("/v1/audit-events?event_type=submission.approved")["data"][0]
    assert audit["actor"] == "reviewer_1"
    assert [*hand._world.state.waiting()] == []

"""Watch the submissions of a job come in: a line for each change.

    pip install firsthandapi
    FIRSTHAND_API_KEY=fh_test_… python examples/monitor.py job_…

Without an account, run `firsthandapi mock-server` and set the two variables that it prints. Without a job id, this
program posts a small job for $3; within a day, it watches the same job again. It survives dropped connections, and ends
when the job is finished, or at Ctrl-C, which does not cancel the job.
"""

import sys
import time
from typing import Any

from firsthandapi import (
    FirstHandApiError,
    FirstHandClient,
    FirstHandConnectionError,
    FirstHandError,
    idempotency_key,
)
from firsthandapi.types import Job, Submission, SubmissionSummary

EVERY = 5  # seconds
NEWEST = 100  # so many submissions are looked at; totals are of all


def plain(text: str) -> str:
    """Text of strangers, without a control character that could move the cursor or recolor the screen."""
    return "".join(char for char in text if char.isprintable())


def described(submission: Submission) -> str:
    stars = "★" * (submission.ai_star_rating or 0)
    parts = (submission.id, submission.status, stars, submission.ai_reasoning)
    return plain(" ".join(str(part) for part in parts if part))


def totals(job: Job, summary: SubmissionSummary) -> str:
    parts = [f"{job.id} {job.status}: {job.files_approved} of {job.files_needed} files approved"]
    parts += [f"{count} {status}" for status, count in sorted((summary.by_status or {}).items()) if count]
    if summary.average_star_rating is not None:
        parts.append(f"{summary.average_star_rating:.1f} ★ on average")
    return plain(" · ".join(parts))


def watch(client: FirstHandClient, job_id: str) -> None:
    lines: dict[str, str] = {}

    def show(key: str, line: str) -> None:
        if lines.get(key) != line:
            lines[key] = line
            print(line, flush=True)

    wait: int | None = None
    while True:
        try:
            # The long-poll is the pause between two looks, and ends early when the job does.
            job = client.jobs.get(job_id, wait=wait)
            summary = client.submissions.summary(job_id=job_id)
            newest = client.submissions.list(job_id, limit=NEWEST).data
        except (FirstHandConnectionError, FirstHandApiError) as error:
            if isinstance(error, FirstHandApiError) and not error.retryable:
                raise  # a wrong key or id does not heal
            if "trouble" not in lines:  # once, however long it lasts
                show("trouble", f"{error}; trying again")
            time.sleep(EVERY)
            continue
        lines.pop("trouble", None)
        for submission in reversed(newest):
            show(submission.id, described(submission))
        show(job.id, totals(job, summary))
        if job.is_terminal:
            return
        wait = EVERY


def post(client: FirstHandClient) -> str:
    job = client.jobs.create(
        title="Street signs",
        description="Photos of street signs in daylight, the sign filling most of the frame",
        files_needed=6,
        accepted_formats=["image/jpeg"],
        price_per_file_cents=50,
        max_spend_cents=300,
        idempotency_key=idempotency_key("examples/monitor.py"),
    )
    return job.id


def main() -> None:
    stdout: Any = sys.stdout  # a TextIO to type checkers, which cannot be reconfigured
    stdout.reconfigure(errors="replace")  # a log may be in an encoding that has no ★
    try:
        with FirstHandClient() as client:
            watch(client, sys.argv[1] if len(sys.argv) > 1 else post(client))
    except KeyboardInterrupt:
        print("Stopped watching; the job continues.")
    except FirstHandError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

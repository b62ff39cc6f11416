"""Post a job, wait for it, download its files.

    FIRSTHAND_API_KEY=fh_test_… python examples/collect_photos.py

or, with no account, against `firsthandapi mock-server`, with the two variables that it prints.
"""

from pathlib import Path

from firsthandapi import FirstHandClient, idempotency_key
from firsthandapi.types import Job


def show(job: Job) -> None:
    print(f"{job.status}: {job.files_approved} of {job.files_needed} files approved")


def main() -> None:
    dest = Path("signs")
    dest.mkdir(exist_ok=True)
    with FirstHandClient(max_spend_cents=1_000) as client:
        job = client.jobs.create_and_wait(
            title="Street signs",
            description="Photos of street signs in daylight, the sign filling most of the frame",
            files_needed=5,
            accepted_formats=["image/jpeg", "image/png"],
            price_per_file_cents=50,
            # Running this again within a day continues the same job instead of buying another.
            idempotency_key=idempotency_key("street signs", "first batch"),
            on_update=show,
        )
        for file in client.files.list(job.id):
            print(client.files.download(file, dest), f"{file.ai_star_rating} stars")


if __name__ == "__main__":
    main()

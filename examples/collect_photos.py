"""Collect a small dataset, and look at it.

    FIRSTHAND_API_KEY=fh_test_… python examples/collect_photos.py

or, with no account, against `firsthandapi mock-server`, with the two variables that it prints. Stop it and run it
again: it continues the same job.
"""

from firsthandapi import FirstHandClient, Progress


def show(progress: Progress) -> None:
    print(f"{progress.files_done} of {progress.files_total} files, {progress.bytes_done:,} bytes")


def main() -> None:
    with FirstHandClient(max_spend_cents=1_000) as client:
        dataset = client.jobs.collect(
            "signs",
            title="Street signs",
            description="Photos of street signs in daylight, the sign filling most of the frame",
            files_needed=5,
            accepted_formats=["image/jpeg", "image/png"],
            price_per_file_cents=50,
            on_progress=show,
        )
    print(f"{len(dataset)} files, job {dataset.job.status if dataset.job else 'unknown'}")
    for record in dataset:
        print(dataset.path_of(record), record.ai_star_rating, record.annotations)


if __name__ == "__main__":
    main()

"""Collect photos in a Prefect flow. A retry, and a new run of the same name, continue the same job.

pip install prefect firsthandapi
FIRSTHAND_API_KEY=… python prefect_flow.py signs s3://bucket/signs
"""

import sys

from prefect import flow, task

from firsthandapi import Dataset, FirstHandClient, idempotency_key


@task(retries=3, retry_delay_seconds=[1, 60, 600])
def collect(name: str, dest: str) -> str:
    with FirstHandClient(max_spend_cents=1000) as client:
        dataset = client.jobs.collect(
            dest,
            idempotency_key=idempotency_key("prefect", name),
            description="Photos of street signs in daylight",
            files_needed=3,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
    return str(dataset.path)


@task
def count(dest: str) -> int:
    return len(Dataset.open(dest))


@flow(log_prints=True)
def street_signs(name: str, dest: str) -> int:
    files = count(collect(name, dest))
    print(f"{files} files in {dest}")
    return files


if __name__ == "__main__":
    street_signs(*sys.argv[1:])

"""Collect photos in a Prefect flow. A retry, and a new run of the same name, continue the same job.

pip install prefect firsthandapi
FIRSTHAND_API_KEY=… python prefect_flow.py signs s3://bucket/signs
"""

import sys

from prefect import flow, task

from firsthandapi import Dataset, FirstHandClient, WaitTimeoutError, idempotency_key


@task(retries=3, retry_delay_seconds=[1, 60, 600])
def order(name: str, dest: str) -> str:
    """The id of the job, which is posted once, and found again by its key at any age."""
    with FirstHandClient(max_spend_cents=1000) as client:
        try:
            job = client.jobs.collect(
                dest,
                timeout=0,  # the next task waits
                idempotency_key=idempotency_key("prefect", name),
                description="Photos of street signs in daylight",
                files_needed=3,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=50,
            ).job
        except WaitTimeoutError as error:
            job = error.job
    if job is None:
        raise RuntimeError("the service has not confirmed the job yet")  # Prefect tries again
    return job.id


@task(retries=3, retry_delay_seconds=[1, 60, 600])
def collect(job_id: str, dest: str) -> str:
    """The folder of the job. A retry only reads: the id of the job is in the state of the flow."""
    with FirstHandClient() as client:
        client.jobs.wait(job_id, timeout=None)
        return str(client.files.download_all(job_id, dest).path)


@task
def count(dest: str) -> int:
    return len(Dataset.open(dest))


@flow(log_prints=True)
def street_signs(name: str, dest: str) -> int:
    files = count(collect(order(name, dest), dest))
    print(f"{files} files in {dest}")
    return files


if __name__ == "__main__":
    street_signs(*sys.argv[1:])

"""Order from a queue, with Celery: a task that runs twice pays once.

    pip install firsthandapi celery
    export CELERY_BROKER_URL=redis://localhost FIRSTHAND_API_KEY=fh_…
    celery --app celery_app worker
    python celery_app.py signs-2026-11    # puts one order into the queue

Celery runs a task again after an error, and, with `acks_late`, when its worker was lost. All runs of one order send one
idempotency key, made from the number of the order and not from the run. The journal carries an order over more than the
23 hours in which its key is safe: give each worker's machine one, on a disk that lasts. From the moment that the id of
the job is known, the order is that id: `watch` only reads it, however often it runs and however late.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery

from firsthandapi import FirstHandApiError, FirstHandClient, FirstHandError, idempotency_key

app = Celery("orders", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.task_acks_late = True  # a task whose worker was lost runs again
JOURNAL = os.environ.get("ORDERS_JOURNAL", "orders.journal")
JOB: dict[str, Any] = {
    "description": "Photos of street signs in daylight",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
    "max_spend_cents": 1_000,
}


@app.task(bind=True, max_retries=20, default_retry_delay=60)
def order(self: Any, number: str) -> str:
    """Post the job of an order, and return its id."""
    with FirstHandClient(journal=JOURNAL) as client:
        try:
            job = client.jobs.create(**JOB, idempotency_key=idempotency_key("order", number))
        except FirstHandError as error:
            if isinstance(error, FirstHandApiError) and not error.retryable:
                raise  # refused: a person must look at it, and may run the task again, which sends the same key
            raise self.retry(exc=error) from error
    # Keep the id where your program keeps the order, before anything else can fail.
    with open("orders.txt", "a", encoding="utf-8") as file:  # noqa: PTH123 # in place of your database
        file.write(f"{number} {job.id}\n")
    watch.delay(job.id)
    return str(job.id)


@app.task(bind=True, max_retries=None, default_retry_delay=60)
def watch(self: Any, job_id: str) -> str:
    """Look at a job each minute until it is finished. A worker that waits for hours would do nothing else."""
    with FirstHandClient() as client:
        job = client.jobs.get(job_id)
    if not job.is_terminal:
        raise self.retry()
    return str(job.status)


if __name__ == "__main__":
    order.delay(sys.argv[1])

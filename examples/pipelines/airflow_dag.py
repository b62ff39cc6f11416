"""Collect photos in an Airflow DAG: while people work, the task is deferred and takes no worker slot.

Put the file into the folder of your DAGs, and set FIRSTHAND_API_KEY for the workers and the triggerer.

    pip install apache-airflow firsthandapi
"""

from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import DAG, BaseOperator, task
from airflow.triggers.base import BaseTrigger, TriggerEvent

from firsthandapi import AsyncFirstHandClient, Dataset, FirstHandClient, WaitTimeoutError, idempotency_key


class JobTrigger(BaseTrigger):
    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.JobTrigger", {"job_id": self.job_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with AsyncFirstHandClient() as client:
            job = await client.jobs.wait(self.job_id, timeout=None)
        yield TriggerEvent(job.status)


class CollectOperator(BaseOperator):
    template_fields = ("dest",)

    def __init__(self, *, dest: str, job: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.dest, self.job = dest, job

    def execute(self, context: Any, event: str | None = None, job_id: str | None = None) -> Any:
        key = idempotency_key(self.dag_id, self.task_id, context["run_id"])  # a retry shares it
        with FirstHandClient() as client:
            if job_id is not None:  # resumed: the job is known by its id, and nothing is posted
                dataset = client.files.download_all(job_id, self.dest)
                if event != "completed":
                    raise RuntimeError(f"{job_id} is {event}; {len(dataset)} files are in {self.dest}")
                return str(dataset.path)
            try:  # posts the job the first time, and continues it after that
                return str(client.jobs.collect(self.dest, timeout=0, idempotency_key=key, **self.job).path)
            except WaitTimeoutError as error:
                if (job := error.job) is None:
                    raise
                self.defer(trigger=JobTrigger(job.id), method_name="execute", kwargs={"job_id": job.id})


@task
def count(dest: str) -> int:
    return len(Dataset.open(dest))


with DAG("street_signs", schedule=None) as dag:
    collect = CollectOperator(
        task_id="collect",
        dest="{{ params.dest }}",
        job={
            "description": "Photos of street signs in daylight",
            "files_needed": 3,
            "accepted_formats": ["image/jpeg"],
            "price_per_file_cents": 50,
            "max_spend_cents": 1000,
        },
        params={"dest": "signs"},
        retries=3,
    )
    count(collect.output)

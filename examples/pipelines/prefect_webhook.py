"""A Prefect flow that pauses while people work, and a webhook that wakes it: nothing polls FirstHandAPI.

    pip install prefect firsthandapi fastapi uvicorn
    FIRSTHAND_API_KEY=… FIRSTHAND_WEBHOOK_SECRET=whsec_… uvicorn prefect_webhook:app
    FIRSTHAND_API_KEY=… python prefect_webhook.py s3://bucket/signs

Both need the PREFECT_API_URL of one Prefect server.
"""

import os
import sys
from uuid import UUID

from fastapi import FastAPI, HTTPException, Request
from prefect import flow, runtime, task
from prefect.flow_runs import aresume_flow_run, pause_flow_run

from firsthandapi import AsyncFirstHandClient, FirstHandClient, WebhookSignatureError, idempotency_key
from firsthandapi.types import JobEvent
from firsthandapi.webhooks import EventRouter, unwrap


@task(retries=3, retry_delay_seconds=[1, 60, 600])
def order(run: str) -> str:
    """The id of the job, which knows the run that waits for it. A retry continues the same job."""
    with FirstHandClient(max_spend_cents=1000) as client:
        return client.jobs.create(
            idempotency_key=idempotency_key("prefect", run),
            description="Photos of street signs in daylight",
            files_needed=3,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
            metadata={"prefect_flow_run": run},
        ).id


@task(retries=3, retry_delay_seconds=[1, 60, 600])
def download(job_id: str, dest: str) -> int:
    """How many files the job has. A retry only reads."""
    with FirstHandClient() as client:
        return len(client.files.download_all(job_id, dest))


@flow(log_prints=True)
def street_signs(dest: str) -> int:
    job_id = order(runtime.flow_run.id)
    pause_flow_run(timeout=30 * 86_400, poll_interval=5)
    files = download(job_id, dest)
    print(f"{files} files in {dest}")
    return files


router = EventRouter()
app = FastAPI()


@router.on("job.completed")
@router.on("job.cancelled")
async def wake(event: JobEvent) -> None:
    """Resume the run. One that does not pause yet is an error, so that the service delivers the event again."""
    if event.data.job_id is None:
        return
    async with AsyncFirstHandClient() as client:
        job = await client.jobs.get(event.data.job_id)
    if run := (job.metadata or {}).get("prefect_flow_run"):
        await aresume_flow_run(UUID(run))


@app.post("/webhooks/firsthand", status_code=204)
async def receive(request: Request) -> None:
    try:
        event = unwrap(await request.body(), request.headers, os.environ["FIRSTHAND_WEBHOOK_SECRET"])
    except WebhookSignatureError as error:
        raise HTTPException(400, str(error)) from None
    await router.adispatch(event)


if __name__ == "__main__":
    street_signs(*sys.argv[1:])

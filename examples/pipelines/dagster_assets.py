"""Collect photos in Dagster: an asset that is the order, and one that is the dataset, made when people are done.

    pip install dagster dagster-webserver firsthandapi
    FIRSTHAND_API_KEY=… dagster dev -f dagster_assets.py

Materialize `order`. No process waits while people work: the sensor looks once a minute, and starts `signs`.
"""

import os
from collections.abc import Iterator

import dagster as dg

from firsthandapi import Dataset, FirstHandClient, WaitTimeoutError, idempotency_key

DEST = os.environ.get("DEST", "signs")


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=3, delay=10))
def order(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The job. Its key is made of the run: a retry continues it, and another run posts another one."""
    first = context.run.root_run_id or context.run.run_id
    with FirstHandClient(max_spend_cents=1000) as client:
        try:
            job = client.jobs.collect(
                f"{DEST}/{first}",
                timeout=0,  # the sensor waits
                idempotency_key=idempotency_key("dagster", first),
                description="Photos of street signs in daylight",
                files_needed=3,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=50,
            ).job
        except WaitTimeoutError as error:
            job = error.job
    if job is None:
        raise RuntimeError("the service has not confirmed the job yet")  # Dagster tries again
    return dg.MaterializeResult(metadata={"job_id": job.id, "dest": f"{DEST}/{first}"})


class Signs(dg.Config):
    """What the sensor passes."""

    job_id: str
    dest: str


@dg.asset(deps=[order], retry_policy=dg.RetryPolicy(max_retries=3, delay=10))
def signs(config: Signs) -> dg.MaterializeResult:
    """The dataset. It only reads, so a retry costs nothing."""
    with FirstHandClient() as client:
        client.files.download_all(config.job_id, config.dest)
    dataset = Dataset.open(config.dest)
    return dg.MaterializeResult(metadata={"files": len(dataset), "path": str(dataset.path)})


@dg.sensor(target=[signs], minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def finished(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    """Start `signs` once for each of the last 20 orders whose job has ended: the job's id is the key of the run."""
    orders = context.instance.fetch_materializations(dg.AssetKey("order"), limit=20).records
    with FirstHandClient() as client:
        for record in orders:
            values = {name: str(value.value) for name, value in record.asset_materialization.metadata.items()}
            job_id = values["job_id"]
            if context.instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": job_id})):
                continue
            if client.jobs.get(job_id).is_terminal:
                yield dg.RunRequest(run_key=job_id, run_config=dg.RunConfig({"signs": Signs(**values)}))


defs = dg.Definitions(assets=[order, signs], sensors=[finished])

"""Collect photos in an Airflow DAG: while people work, the task is deferred and takes no worker slot.

Install firsthandapi where Airflow is, put this file into the folder of your DAGs, and add a connection whose password
is the API key. In the environment of workers and triggerers, it stays out of Airflow's database:

    export AIRFLOW_CONN_FIRSTHANDAPI='{"conn_type": "generic", "password": "fh_live_…"}'
"""

from airflow.sdk import DAG, task

from firsthandapi import Dataset
from firsthandapi.airflow import CollectOperator


@task
def count(dest: str) -> int:
    return len(Dataset.open(dest))


with DAG("street_signs", schedule=None, params={"dest": "signs"}) as dag:
    collect = CollectOperator(
        task_id="collect",
        dest="{{ params.dest }}",
        conn_id="firsthandapi",
        job={
            "description": "Photos of street signs in daylight",
            "files_needed": 3,
            "accepted_formats": ["image/jpeg"],
            "price_per_file_cents": 50,
            "max_spend_cents": 1000,
        },
        retries=3,
    )
    count(collect.output)

"""Collect datasets in DAGs of Apache Airflow 3: install firsthandapi where Airflow is. Tested with Airflow 3.3.

While people work, the task is deferred and takes no worker slot.
"""

# Airflow may not be installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUntypedBaseClass=false
from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from inspect import signature
from typing import Any, TypeVar

from firsthandapi._async.client import AsyncFirstHandClient
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.nearest import nearest
from firsthandapi._core.calls.idempotency import idempotency_key
from firsthandapi._core.calls.ratelimit import fingerprint
from firsthandapi._sync.client import FirstHandClient
from firsthandapi._sync.resources.jobs import Jobs
from firsthandapi.errors import (
    ConfigurationError,
    IncompleteJobError,
    InvalidArgumentError,
    WaitTimeoutError,
)
from firsthandapi.types import Job

try:
    from airflow.sdk import BaseOperator, Connection
    from airflow.sdk.exceptions import AirflowFailException
    from airflow.triggers.base import BaseTrigger, TriggerEvent
except ImportError:
    raise ConfigurationError(
        "firsthandapi.airflow needs Airflow 3: install firsthandapi where Apache Airflow is installed"
    ) from None

T = TypeVar("T")

__all__ = ["CollectOperator", "JobTrigger"]


class CollectOperator(BaseOperator):  # type: ignore[misc] # without Airflow it is of no type
    """Post a job, wait for it without a worker slot, and download its files into a folder: `jobs.collect` as a task.

        CollectOperator(task_id="collect", dest="s3://bucket/signs", job={"description": …}, conn_id="firsthandapi")

    A retry and a cleared task continue the same job, on any worker and at any age: they post nothing twice. From the
    first deferral on, Airflow knows the job by its id, which is also the XCom `job_id`. The result is the folder. A
    job that ends with fewer files than asked fails the task without a retry; its files are in the folder. So do
    arguments that are not allowed.

    The job of a run is known by the ids of DAG, task, and run, and by the number of a mapped task. Two Airflows with
    one API key and the same ids share it: there, pass a `name`, such as `"staging {{ run_id }}"`.

    Args:
        dest: the folder, or the URL of one in a bucket (extra `remote`); a template. All workers must reach it.
        job: the arguments of `jobs.collect`, such as `description`, `files_needed`, and `max_spend_cents`; a template.
            Not `dest`, `timeout`, `idempotency_key`, `on_progress`, and `progress`, which are the task's own.
            `key_since` is the earlier one of the run's dates, unless there is a `name` or you pass it.
        name: what the job is known by; a template. Runs that share a name share one job and its files; by default,
            each run posts a job of its own.
        conn_id: the connection whose password is the API key, and whose host, if any, is the address of the service;
            by default, `FIRSTHAND_API_KEY` and `FIRSTHAND_BASE_URL` of workers and triggerers.
        **options: as for every operator, such as `task_id` and `retries`.

    Raises:
        InvalidArgumentError: `job` lacks an argument, or has one that `jobs.collect` does not take.
    """

    template_fields: tuple[str, ...] = ("dest", "job", "name")

    def __init__(
        self,
        *,
        dest: str,
        job: dict[str, Any],
        name: str | None = None,
        conn_id: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(job, dict):  # what another task returns is known later
            _check_names(job)
        self.dest = dest
        self.job = job
        self.name = name
        self.conn_id = conn_id

    def execute(self, context: Any) -> str:
        """Post the job, or continue the one that an earlier attempt posted.

        Args:
            context: what Airflow knows of the task.
        """
        task = context["ti"]
        # One of several tasks that a task was mapped to has a number from 0.
        mapped = [] if task.map_index is None or task.map_index < 0 else [task.map_index]
        run = (self.dag_id, self.task_id, context["run_id"], *mapped)
        key = idempotency_key(*(run if self.name is None else ("airflow", self.name)))
        job_ids: list[str] = []

        def note(job: Job | None) -> None:
            if job is not None and not job_ids:
                job_ids.append(job.id)
                task.xcom_push(key="job_id", value=job.id)

        with self._client() as client:
            try:
                _check_names(self.job)
                job: dict[str, Any] = {"key_since": self._key_since(context), **self.job}
                return str(
                    client.jobs.collect(
                        self.dest,
                        timeout=0,
                        idempotency_key=key,
                        on_progress=lambda now: note(now.job),
                        **job,
                    ).path
                )
            except (IncompleteJobError, InvalidArgumentError) as error:
                raise AirflowFailException(str(error)) from None
            except WaitTimeoutError as error:
                if error.job is None:  # the service has not confirmed it yet: a retry finds it
                    raise
                note(error.job)
        return self.defer(trigger=JobTrigger(job_ids[0], conn_id=self.conn_id), method_name="resume")  # type: ignore[no-any-return] # it raises

    def resume(self, context: Any, event: dict[str, str]) -> str:  # noqa: ARG002 # Airflow passes it
        """Download the files of a job that has ended. Nothing is posted.

        Args:
            context: what Airflow knows of the task.
            event: what the trigger found.
        """
        with self._client() as client:
            dataset = client.files.download_all(event["job_id"], self.dest, label=self.job.get("label"))
        if event["status"] != "completed":
            raise AirflowFailException(
                f"{event['job_id']} is {event['status']}: {len(dataset)} files are in {self.dest}; start a new run, "
                "which posts another job"
            )
        return str(dataset.path)

    def _key_since(self, context: Any) -> datetime | None:
        """A time before the first attempt of this run; None if another run may have posted the job."""
        if self.name is not None:
            return None
        run, names = context.get("dag_run"), ("logical_date", "run_after")
        times = [*map(context.get, names), *(getattr(run, name, None) for name in names)]
        return min((time for time in times if isinstance(time, datetime)), default=None)

    def _client(self) -> FirstHandClient:
        return _client(FirstHandClient, self.conn_id and Connection.get(self.conn_id))


class JobTrigger(BaseTrigger):  # type: ignore[misc] # without Airflow it is of no type
    """Waits until a job ends, in the event loop of a triggerer. It only reads: another triggerer may begin again.

    All triggers of a triggerer that have one API key share one list of jobs, so that hundreds stay within the rate
    limit of the key.

    Its event is `{"job_id": …, "status": …}`.

    Args:
        job_id: the job (`job_…`).
        conn_id: as for `CollectOperator`. The database of Airflow contains this name, and no key.
    """

    def __init__(self, job_id: str, conn_id: str | None = None) -> None:
        super().__init__()
        self.job_id = job_id
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where a triggerer finds this class, and its arguments."""
        return "firsthandapi.airflow.JobTrigger", {"job_id": self.job_id, "conn_id": self.conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. A job alone costs about one request per minute, 150 jobs about 12."""
        connection = self.conn_id and await Connection.async_get(self.conn_id)
        async with _shared(_client(AsyncFirstHandClient, connection)) as client:
            (job,) = await client.jobs.wait_all([self.job_id], timeout=None, on_update=self._report)
        yield TriggerEvent({"job_id": self.job_id, "status": str(job.status)})

    def _report(self, job: Job) -> None:
        self.log.info(
            "%s is %s: %s of %s files are approved", job.id, job.status, job.files_approved, job.files_needed
        )


@dataclass
class _Shared:
    client: AsyncFirstHandClient
    triggers: int = 0


_clients: dict[tuple[AbstractEventLoop, str, str], _Shared] = {}


@asynccontextmanager
async def _shared(client: AsyncFirstHandClient) -> AsyncGenerator[AsyncFirstHandClient]:
    """The client of the first of the triggers that wait in this event loop with the key and address of `client`.
    The last of them closes it; one that is not taken has opened nothing."""
    config = client._config  # pyright: ignore[reportPrivateUsage] # of one house
    place = (get_running_loop(), fingerprint(config.api_key), config.base_url)
    shared = _clients.setdefault(place, _Shared(client))
    shared.triggers += 1
    try:
        yield shared.client
    finally:
        shared.triggers -= 1
        if not shared.triggers:
            del _clients[place]
            await shared.client.close()


def _check_names(job: dict[str, Any]) -> None:
    """Refuse a job that `jobs.collect` would not take. Values may be templates, so they are checked when it runs.

    Raises:
        InvalidArgumentError: an argument is missing or not taken.
    """
    extras = ("self", "dest", "timeout", "idempotency_key", "on_progress", "progress")
    takes = {name: field for name, field in signature(Jobs.collect).parameters.items() if name not in extras}
    for name in job:
        if name not in takes:
            text = mask_secrets(str(name))[:60]
            meant = None if name in extras else nearest(text, takes)
            advice = f"use one of: {', '.join(takes)}" if meant is None else f"did you mean {meant}?"
            raise InvalidArgumentError(f"job takes no argument {text}: {advice}", field=f"job.{text}")
    for name, field in takes.items():
        if field.default is field.empty and name not in job:
            raise InvalidArgumentError(f"job.{name} is required: add it to job", field=f"job.{name}")


def _client(kind: Callable[..., T], connection: Any) -> T:
    """A client of the account of a connection, or of the environment."""
    if not connection:
        return kind()
    if not connection.password:
        raise ConfigurationError(
            f"the connection {connection.conn_id} has no password; set it to the API key"
        )
    return kind(connection.password, connection.host or None)

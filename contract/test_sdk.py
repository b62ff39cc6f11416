"""The SDK itself, once: whatever else it relies on, it has to end with a folder that is complete, and paid once."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from firsthandapi._base.loose_json import members
from firsthandapi.conformance._exchange import DiffersError, NotTriedError, shortened
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import JOB, Json, Run
from firsthandapi.errors import FirstHandError, WaitTimeoutError

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import Job

# With a worker of the sandbox; where there is /_control, nothing is waited for.
_SECONDS = 60.0


def _posted(run: Run, client: FirstHandClient, folder: str, order: Json) -> Job | None:
    """The job that `collect` posts when it has no time to wait; None if it did not need any."""
    for seconds in (0.0, 2.0, run.patience):
        try:
            client.jobs.collect(folder, timeout=seconds, **order)
            return None
        except WaitTimeoutError as error:
            if error.job is not None:
                run.will_remove("jobs", error.job.id)
                return error.job
    return None


@promise("sdk.collect", "POST /v1/jobs", '§2 "Jobs"')
def _collect(run: Run) -> None:
    """`collect` of the SDK posts a job, continues it, and downloads its files into a folder, each verified."""
    from firsthandapi import FirstHandClient

    if not run.is_sandbox and not run.has_control:
        raise NotTriedError("no worker would do the job")
    if not run.writes:
        raise NotTriedError("a live key only reads, unless told to write")
    order: Json = {**JOB, "min_star_rating": 3}
    with (
        TemporaryDirectory(prefix="firsthandapi-conformance-", ignore_cleanup_errors=True) as folder,
        FirstHandClient(run.key.secret, run.base, max_retries=0) as client,
    ):
        try:
            job = _posted(run, client, folder, order)
            if job is not None and run.has_control:
                run.work(job.id, 5, 5)
            dataset = client.jobs.collect(folder, timeout=min(_SECONDS, max(1.0, run.seconds_left)), **order)
        except WaitTimeoutError:
            raise NotTriedError(f"no job completes here within {_SECONDS:g} s") from None
        except (FirstHandError, OSError) as error:
            raise DiffersError(f"the SDK raises {type(error).__name__}: {shortened(str(error))}") from None
        run.hold(dataset.verify().ok, "the folder of `collect` is not complete")
        key = (job.metadata or {}).get("firsthandapi_key") if job else None
    it = run.get("/v1/jobs", limit=100)
    paid = [each for each in it.items if key in members(each.get("metadata")).values()]
    is_one = job is None or len(paid) == 1
    it.hold(is_one, f"the list does not show one job for one call of `collect`: {len(paid)}")

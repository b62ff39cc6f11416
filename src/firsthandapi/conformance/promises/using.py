"""The SDK itself, once: whatever else it relies on, it has to end with a folder that is complete, and paid once."""

from __future__ import annotations

from contextlib import suppress
from tempfile import TemporaryDirectory

from firsthandapi.conformance._exchange import DiffersError, NotTriedError, shortened
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import JOB, Json, Run
from firsthandapi.errors import FirstHandError, WaitTimeoutError

# With a worker of the sandbox; where there is /_control, nothing is waited for.
_SECONDS = 60.0


@promise("sdk.collect", "POST /v1/jobs", '§2 "Jobs"')
def _collect(run: Run) -> None:
    """`collect` of the SDK posts a job, continues it, and downloads its files into a folder, each verified."""
    from firsthandapi import FirstHandClient, idempotency_key

    if not run.is_sandbox and not run.has_control:
        raise NotTriedError("no worker would do the job")
    if not run.writes:
        raise NotTriedError("a live key only reads, unless told to write")
    key = idempotency_key("conformance", run.base, run.ask("POST", "/").headers["Idempotency-Key"])
    order: Json = {**JOB, "min_star_rating": 3, "idempotency_key": key}
    with (
        TemporaryDirectory(prefix="firsthandapi-conformance-", ignore_cleanup_errors=True) as folder,
        FirstHandClient(run.key.secret, run.base, max_retries=0) as client,
    ):
        try:
            with suppress(WaitTimeoutError):
                client.jobs.collect(folder, timeout=0, **order)
            job = _paid(run, key)
            run.made_job(job, 0)
            for _ in range(2 if run.has_control else 0):
                run.work(job, 5)
            dataset = client.jobs.collect(folder, timeout=min(_SECONDS, max(1.0, run.seconds_left)), **order)
            if not dataset.verify().ok:
                raise DiffersError("the folder of `collect` is not complete")
        except WaitTimeoutError:
            raise NotTriedError(f"no job completes here within {_SECONDS:g} s") from None
        except (FirstHandError, OSError) as error:
            raise DiffersError(f"the SDK raises {type(error).__name__}: {shortened(str(error))}") from None
    _paid(run, key)


def _paid(run: Run, key: str) -> str:
    """The one job with this key."""
    it = run.get("/v1/jobs", limit=100)
    paid = [
        job for job in it.items if isinstance(job.get("metadata"), dict) and key in job["metadata"].values()
    ]
    it.hold(len(paid) == 1, f"the list does not show one job for one call of `collect`: {len(paid)}")
    return str(paid[0]["id"])

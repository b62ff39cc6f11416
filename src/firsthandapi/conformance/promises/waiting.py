"""Long-poll: how long a request for a job is held, and what it returns."""

from __future__ import annotations

import time

from firsthandapi.conformance._checks import has_header, shaped, shows, status, within
from firsthandapi.conformance._exchange import DiffersError, Exchange, NoResponseError, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._shapes import JOB

_GET = "GET /v1/jobs/:id"
_WAITING = '§1 "Long-poll"'
# A response that was not held comes within so many seconds.
_SOON = 3.0
_FASTER = "a worker was faster: the job changed meanwhile"


def _held(run: Run, job: str, wait: str) -> Exchange:
    asked = run.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": f"wait={wait}"})
    return run.send(asked, float(wait) if wait.isdecimal() else 0.0).must(status(200), shaped(JOB))


@promise("jobs.wait.timeout", _GET, _WAITING, ours=True)
def _timeout(run: Run) -> None:
    """With Prefer: wait=N, an unchanged job is returned after N seconds."""
    job = run.new_job() if run.writes else run.job
    if job.get("status") in ("completed", "cancelled"):
        raise NotTriedError("this account has no unfinished job")
    it = _held(run, job["id"], "1")
    if it.object.get("updated_at") != job.get("updated_at") or it.object["status"] != job.get("status"):
        raise NotTriedError(_FASTER)
    it.must(within(0.8, 1 + _SOON))


@promise("jobs.wait.change", _GET, _WAITING)
def _change(run: Run) -> None:
    """The held request is answered as soon as the status changes."""
    job = run.new_job()["id"]
    asked = run.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=20"})
    held = run.begin(asked, 20.0)
    time.sleep(0.4)
    if held.done():
        early = held.result()
        if early.object.get("status") != "open":
            raise NotTriedError(_FASTER)
        raise DiffersError("the request was not held", early)
    run.cancel(job).must(status(200))
    try:
        it = held.result(_SOON)
    except TimeoutError:
        held.cancel()
        raise NoResponseError(f"no response {_SOON:g} s after the status had changed", asked) from None
    it.must(status(200), shows(status="cancelled"))


@promise("jobs.wait.finished", _GET, _WAITING, ours=True)
def _finished(run: Run) -> None:
    """A finished job is returned immediately."""
    _held(run, run.cancelled_job["id"], "5").must(within(0, _SOON))


@promise("jobs.wait.most", _GET, _WAITING, ours=True)
def _most(run: Run) -> None:
    """A wait of more than 60 seconds counts as 60; it is no error."""
    _held(run, run.cancelled_job["id"], "600").must(has_header("preference-applied", None, "wait=60"))


@promise("jobs.wait.malformed", _GET, _WAITING, ours=True)
def _malformed(run: Run) -> None:
    """A wait that is no number is ignored."""
    _held(run, run.job["id"], "soon").must(within(0, _SOON))

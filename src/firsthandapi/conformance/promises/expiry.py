"""What time brings. It moves the time of a server that can be driven, so it comes late."""

from __future__ import annotations

from firsthandapi.conformance._checks import listed, same_as, shaped, status, succeeded
from firsthandapi.conformance._exchange import NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import JOB, Run
from firsthandapi.conformance._shapes import DOWNLOAD, FILE


@promise("idempotency.day", "POST /v1/jobs", '§1 "Idempotency"')
def _day(run: Run) -> None:
    """After 23 hours, a key still brings the first response."""
    if run.speed is None:
        raise NotTriedError("it takes 23 hours, and this server's time cannot be moved")
    asked = run.ask("POST", "/v1/jobs", JOB)
    first = run.send(asked).must(succeeded)
    run.control("POST", "/advance", {"hours": 23})
    run.send(asked).must(same_as(first))


@promise("downloads.expired", "download URL", '§2 "Files"')
def _expired(run: Run) -> None:
    """After 7 days a URL is 403; the list and refresh_url give fresh ones."""
    if run.speed is None:
        raise NotTriedError("it takes 7 days, and this server's time cannot be moved")
    path = f"/v1/jobs/{run.completed_job['id']}/files"
    file = run.get(path, limit=1).must(listed(FILE)).items[0]
    run.control("POST", "/advance", {"days": 7, "seconds": 1})
    run.download(file["download_url"]).must(status(403))
    it = run.post(f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    run.download(it.object["download_url"]).must(status(200))
    fresh = run.get(path, limit=1).must(listed(FILE)).items[0]
    run.download(fresh["download_url"]).must(status(200))

"""What time brings. It moves the time of a server that can be driven, so it comes last."""

from __future__ import annotations

from firsthandapi.conformance._checks import listed, shaped, status
from firsthandapi.conformance._exchange import NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._shapes import DOWNLOAD, FILE
from firsthandapi.conformance._wire import MAX_DOWNLOAD


@promise(
    "downloads.expired",
    "download URL",
    '§2 "Files"',
    "After 7 days a URL is 403; the list and refresh_url give fresh ones.",
    writes=True,
)
def _expired(run: Run) -> None:
    if run.speed is None:
        raise NotTriedError("it takes 7 days, and this server's time cannot be moved")
    path = f"/v1/jobs/{run.completed_job['id']}/files"
    file = run("GET", path, query={"limit": 1}).must(listed(FILE)).items[0]
    run.control("POST", "/advance", {"days": 7, "seconds": 1})
    run.download(file["download_url"], MAX_DOWNLOAD).must(status(403))
    it = run("POST", f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    run.download(it.object["download_url"], MAX_DOWNLOAD).must(status(200))
    fresh = run("GET", path, query={"limit": 1}).must(listed(FILE)).items[0]
    run.download(fresh["download_url"], MAX_DOWNLOAD).must(status(200))

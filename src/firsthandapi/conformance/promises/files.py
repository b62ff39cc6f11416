"""Approved files, their annotations, and their downloads."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import datetime

from firsthandapi.conformance._checks import listed, shaped, status
from firsthandapi.conformance._exchange import DiffersError, Exchange, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import DOWNLOAD, FILE, annotated
from firsthandapi.conformance._wire import MAX_DOWNLOAD

from .lists import only

_LIST, _REFRESH, _URL = "GET /v1/jobs/:id/files", "POST /v1/files/:id/refresh_url", "download URL"
_FILES = '§2 "Files"'
_WEEK = 7 * 86400


@promise(
    "files.approved",
    _LIST,
    _FILES,
    "A completed job lists as many files as files_approved says, each approved.",
)
def _approved(run: Run) -> None:
    job = run.read_job(run.completed_job["id"])
    it = run("GET", f"/v1/jobs/{job['id']}/files", query={"limit": 100, "min_score": 1})
    it.must(status(200), listed(FILE))
    if not it.object["has_more"] and len(it.items) != job["files_approved"]:
        raise DiffersError(f"{len(it.items)} files, and `files_approved` is {job['files_approved']}", it)
    bar = job.get("min_star_rating") or 3
    for file in it.items:
        if file["ai_star_rating"] < bar:
            raise DiffersError(
                f"{file['id']} has {file['ai_star_rating']} stars, and the job asks for {bar}", it
            )


@promise("files.min_score", _LIST, _FILES, "min_score lists files with at least that many stars.")
def _min_score(run: Run) -> None:
    path = f"/v1/jobs/{run.completed_job['id']}/files"
    only(run, path, {"min_score": 5}, lambda file: file.get("ai_star_rating") == 5, some=False)
    only(run, path, {"min_score": 1}, lambda _: True)


@promise(
    "files.annotations",
    _LIST,
    '§3 "Annotations"',
    "Annotations have the documented fields of their type, or are null.",
)
def _annotations(run: Run) -> None:
    it = run.files
    described = [file for file in it.items if file.get("annotations") is not None]
    for file in described:
        if wrong := annotated(file["annotations"]):
            raise DiffersError(f"`annotations` of {file['id']} {wrong}", it)
    if "annotations" not in run.file:
        raise DiffersError("`annotations` is missing", it)
    if not described:
        raise NotTriedError("no file here has annotations")


@promise("files.sandbox", _LIST, "§7", "In the sandbox, every file has 4 stars.")
def _four_stars(run: Run) -> None:
    if not run.is_sandbox:
        raise NotTriedError("it is about sandbox keys")
    it = run.files
    for file in it.items:
        if file.get("ai_star_rating") != 4:
            raise DiffersError(f"{file.get('id')} has {file.get('ai_star_rating')} stars", it)


@promise(
    "files.refresh",
    _REFRESH,
    _FILES,
    "A refreshed URL downloads the same file, and expires no earlier.",
    writes=True,
)
def _refresh(run: Run) -> None:
    file = run.file
    it = run("POST", f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    if it.object["download_url_expires_at"] < file["download_url_expires_at"]:
        raise DiffersError("the refreshed URL expires earlier than the first one", it)
    _hold_content(file, run.download(it.object["download_url"], MAX_DOWNLOAD))


@promise("files.expiry", _REFRESH, _FILES, "A download URL is valid for 7 days.", writes=True)
def _valid(run: Run) -> None:
    now = run.new_job()["created_at"]  # the server's time, which may be a virtual one
    it = run("POST", f"/v1/files/{run.file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    seconds = _seconds(it.object["download_url_expires_at"]) - _seconds(now)
    if abs(seconds - _WEEK) > 43200:
        raise DiffersError(f"it is valid for {seconds / 86400:.1f} days", it)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _hold_content(file: Json, it: Exchange) -> None:
    it.must(status(200))
    if len(it.body) != file["size_bytes"]:
        raise DiffersError(f"{len(it.body)} bytes, and `size_bytes` is {file['size_bytes']}", it)
    found = hashlib.sha256(it.body).hexdigest()
    if file.get("content_hash") not in (None, found):
        raise DiffersError("the SHA-256 of the bytes is not `content_hash`", it)


def _fresh(run: Run) -> Json:
    """The file with a URL of this moment: time may have been moved."""
    it = run("GET", f"/v1/jobs/{run.completed_job['id']}/files", query={"limit": 1}).must(listed(FILE))
    if not it.items:
        raise NotTriedError("this account has no approved file")
    file = it.items[0]
    if file["size_bytes"] > MAX_DOWNLOAD:
        raise NotTriedError(f"the file is larger than {MAX_DOWNLOAD >> 20} MiB")
    return file


@promise("downloads.content", _URL, "§3", "The bytes have the size and the SHA-256 that the file says.")
def _content(run: Run) -> None:
    file = _fresh(run)
    it = run.download(file["download_url"], MAX_DOWNLOAD)
    _hold_content(file, it)
    kind = it.headers.get("content-type", "").partition(";")[0]
    if kind != file["content_type"]:
        raise DiffersError(f"the bytes come as {kind}, and `content_type` is {file['content_type']}", it)


@promise("downloads.range", _URL, _FILES, "Range returns a part of the file, with 206.")
def _range(run: Run) -> None:
    file = _fresh(run)
    url, size = file["download_url"], file["size_bytes"]
    if size < 4:
        raise NotTriedError("the file is too small")
    whole = run.download(url, MAX_DOWNLOAD).must(status(200))
    it = run.download(url, MAX_DOWNLOAD, Range="bytes=1-2").must(status(206))
    if it.body != whole.body[1:3]:
        raise DiffersError("bytes=1-2 returned other bytes", it)
    if it.headers.get("content-range") != f"bytes 1-2/{size}":
        raise DiffersError(f"Content-Range is {it.headers.get('content-range')!r}", it)
    rest = run.download(url, MAX_DOWNLOAD, Range=f"bytes={size - 1}-").must(status(206))
    if rest.body != whole.body[-1:]:
        raise DiffersError("the last byte is another one", rest)
    run.download(url, MAX_DOWNLOAD, Range=f"bytes={size}-").must(status(416))


@promise(
    "downloads.if_range",
    _URL,
    _FILES,
    "If-Range with the ETag continues; with another one, the whole file comes.",
)
def _if_range(run: Run) -> None:
    url = _fresh(run)["download_url"]
    whole = run.download(url, MAX_DOWNLOAD).must(status(200))
    etag = whole.headers.get("etag")
    if not etag:
        raise DiffersError("there is no ETag", whole)
    run.download(url, MAX_DOWNLOAD, **{"Range": "bytes=1-", "If-Range": etag}).must(status(206))
    run.download(url, MAX_DOWNLOAD, **{"Range": "bytes=1-", "If-Range": '"another"'}).must(status(200))


@promise("downloads.tampered", _URL, _FILES, "A changed URL is refused with 403.")
def _tampered(run: Run) -> None:
    url = _fresh(run)["download_url"]
    changed = re.sub(
        r"(?i)(signature=)([0-9a-z]{4})", lambda match: f"{match[1]}{match[2][::-1]}x", url, count=1
    )
    if changed == url:
        raise NotTriedError("the URL has no signature in its query")
    run.download(changed, MAX_DOWNLOAD).must(status(403))


@promise("downloads.key", _URL, _FILES, "A download with an Authorization header is refused with 400.")
def _no_key(run: Run) -> None:
    # Not the real key, which must never be sent there.
    url = _fresh(run)["download_url"]
    run.download(url, MAX_DOWNLOAD, Authorization="Bearer fh_test_0").must(status(400))


@promise(
    "sandbox.completes",
    "POST /v1/jobs",
    "§7",
    "In the sandbox, a simulated worker completes a job after about 15 seconds.",
    writes=True,
)
def _completes(run: Run) -> None:
    if not run.is_sandbox:
        raise NotTriedError("it is about sandbox keys")
    if run.speed == 0:
        raise NotTriedError("time stands still on this server")
    if run.has_control and not run("GET", "/_control").object.get("workers", True):
        raise NotTriedError("the simulated workers of this server are switched off")
    job = run.sandbox_job["id"]
    # 45 of its own seconds, at least 3 of ours.
    ends = time.monotonic() + max(3.0, 45.0 / (run.speed or 1.0))
    while True:
        asked = run.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=5"})
        it = run.send(asked, 5.0).must(status(200))
        if it.object.get("status") == "completed":
            return
        if time.monotonic() > ends:
            raise DiffersError(f"the job is {it.object.get('status')} after 45 s", it)
        time.sleep(0.05)

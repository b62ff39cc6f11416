"""Approved files, their annotations, and their downloads."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from firsthandapi.conformance._checks import has_header, listed, shaped, status, xml_error
from firsthandapi.conformance._exchange import Exchange, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import DOWNLOAD, FILE, annotated
from firsthandapi.conformance._wire import MAX_DOWNLOAD

_URL = "download URL"
_FILES = '§2 "Files"'
_WEEK = 7 * 86400


@promise("files.approved", "GET /v1/jobs/:id/files", _FILES)
def _approved(run: Run) -> None:
    """A completed job lists as many files as files_approved says, each approved."""
    job = run.read_job(run.completed_job["id"])
    it = run.get(f"/v1/jobs/{job['id']}/files", limit=100, min_score=1).must(listed(FILE))
    count, bar = len(it.items), job.get("min_star_rating") or 3
    is_right = it.object["has_more"] or count == job["files_approved"]
    it.hold(is_right, f"the list does not have `files_approved` files: {count} of {job['files_approved']}")
    for file in it.items:
        stars = file["ai_star_rating"]
        it.hold(stars >= bar, f"a file with fewer stars than the job asks for: {stars} of {bar}")


@promise("files.new", "GET /v1/jobs/:id/files", _FILES)
def _new(run: Run) -> None:
    """A file is the first in the list as soon as it is approved."""
    run.needs_control("a worker")
    job = run.new_job(min_star_rating=3)["id"]
    path, seen = f"/v1/jobs/{job}/files", set[str]()
    for number in (1, 2):
        run.work(job, 5)
        it = run.get(path, limit=100).must(listed(FILE))
        it.hold(len(it.items) == number, f"an approved file is not listed yet: {len(it.items)} of {number}")
        it.hold(it.ids[0] not in seen, "the newest file is not the first in the list")
        seen.add(it.ids[0])


@promise("files.withdrawn", "GET /v1/jobs/:id/files", _FILES, ours=True)
def _withdrawn(run: Run) -> None:
    """A withdrawn file leaves the list, and files_approved falls."""
    run.needs_control("somebody who withdraws a file")
    job = run.complete_job()
    first = run.get(f"/v1/jobs/{job['id']}/files").must(listed(FILE)).ids[0]
    run.control("POST", "/withdraw", {"file_id": first})
    it = run.get(f"/v1/jobs/{job['id']}/files").must(listed(FILE))
    it.hold(first not in it.ids, "a withdrawn file is still listed")
    now = run.read_job(job["id"])["files_approved"]
    it.hold(now == job["files_approved"] - 1, f"`files_approved` still counts a withdrawn file: {now}")


@promise("files.annotations", "GET /v1/jobs/:id/files", '§3 "Annotations"')
def _annotations(run: Run) -> None:
    """Annotations have the documented fields of their type, or are null."""
    it = run.files
    described = [file for file in it.items if file.get("annotations") is not None]
    for file in described:
        wrong = annotated(file["annotations"])
        it.hold(not wrong, f"annotations {wrong}")
    it.hold("annotations" in it.items[0], "`annotations` is missing")
    if not described:
        raise NotTriedError("no file here has annotations")


@promise("files.submissions", "GET /v1/jobs/:id/files", "§3")
def _submissions(run: Run) -> None:
    """submission_id of a file names a submission of its job."""
    job = run.completed_job["id"]
    of_job = run.get(f"/v1/jobs/{job}/submissions", limit=100).must(status(200))
    for file in run.files.items:
        of_job.hold(
            file.get("submission_id") in (None, *of_job.ids) or of_job.object["has_more"],
            f"a file whose submission its job does not list: {file.get('submission_id')}",
        )


@promise("files.sandbox", "GET /v1/jobs/:id/files", "§7")
def _four_stars(run: Run) -> None:
    """In the sandbox, every file has 4 stars."""
    if not run.is_sandbox:
        raise NotTriedError("it is about sandbox keys")
    it = run.files
    for file in it.items:
        it.hold(file.get("ai_star_rating") == 4, f"not 4 stars: {file.get('ai_star_rating')}")


@promise("files.refresh", "POST /v1/files/:id/refresh_url", _FILES)
def _refresh(run: Run) -> None:
    """A refreshed URL downloads the same file, and expires no earlier."""
    for file in run.files.items[-2:]:  # a server that mixes them up has to show it
        it = run.post(f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
        is_later = it.object["download_url_expires_at"] >= file["download_url_expires_at"]
        it.hold(is_later, "the refreshed URL expires earlier than the first one")
        _hold_content(file, run.download(it.object["download_url"]))


@promise("files.expiry", "POST /v1/files/:id/refresh_url", _FILES)
def _valid(run: Run) -> None:
    """A download URL is valid for 7 days."""
    now = run.new_job()["created_at"]  # the server's time, which may be a virtual one
    it = run.post(f"/v1/files/{run.files.ids[0]}/refresh_url").must(status(200), shaped(DOWNLOAD))
    seconds = _seconds(it.object["download_url_expires_at"]) - _seconds(now)
    it.hold(abs(seconds - _WEEK) <= 43200, f"a URL is not valid for 7 days: {seconds / 86400:.1f}")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _hold_content(file: Json, it: Exchange) -> None:
    it.must(status(200))
    size, found = len(it.body), hashlib.sha256(it.body).hexdigest()
    it.hold(size == file["size_bytes"], f"a download has another size than `size_bytes`: {size}")
    it.hold(file.get("content_hash") in (None, found), "the SHA-256 of a download is not `content_hash`")


def _fresh(run: Run) -> Json:
    """The first file with a URL of this moment: time may have been moved."""
    return _all_fresh(run)[0]


def _all_fresh(run: Run) -> list[Json]:
    it = run.get(f"/v1/jobs/{run.completed_job['id']}/files", limit=10).must(listed(FILE))
    if not it.items:
        raise NotTriedError("this account has no approved file")
    if it.items[0]["size_bytes"] > MAX_DOWNLOAD:
        raise NotTriedError(f"the file is larger than {MAX_DOWNLOAD >> 20} MiB")
    return [file for file in it.items if file["size_bytes"] <= MAX_DOWNLOAD]


@promise("downloads.content", _URL, "§3")
def _content(run: Run) -> None:
    """The bytes of each file have the size, the SHA-256, and the type that the file says."""
    for file in _all_fresh(run):
        it = run.download(file["download_url"])
        _hold_content(file, it)
        kind, said = it.headers.get("content-type", "").partition(";")[0], file["content_type"]
        it.hold(kind == said, f"a download has another type than `content_type`: {kind} instead of {said}")


@promise("downloads.identity", _URL, _FILES)
def _identity(run: Run) -> None:
    """A download comes with its length and without an encoding."""
    it = run.download(_fresh(run)["download_url"]).must(status(200))
    it.must(has_header("content-encoding", None, "identity"), has_header("content-length", str(len(it.body))))


@promise("downloads.range", _URL, _FILES)
def _range(run: Run) -> None:
    """Range returns a part of the file, with 206."""
    file = _fresh(run)
    url, size = file["download_url"], file["size_bytes"]
    if size < 4:
        raise NotTriedError("the file is too small")
    whole = run.download(url).must(status(200))
    for asked, first, last in (("bytes=1-2", 1, 2), (f"bytes={size - 1}-", size - 1, size - 1)):
        it = run.download(url, Range=asked).must(status(206))
        it.hold(it.body == whole.body[first : last + 1], f"a range of other bytes: {asked}")
        it.must(has_header("content-range", f"bytes {first}-{last}/{size}"))
    run.download(url, Range=f"bytes={size}-").must(status(416))


@promise("downloads.if_range", _URL, _FILES)
def _if_range(run: Run) -> None:
    """If-Range with the ETag continues; with another one, the whole file comes."""
    url = _fresh(run)["download_url"]
    whole = run.download(url).must(status(200))
    etag = whole.headers.get("etag", "")
    whole.hold(etag, "a download without an ETag")
    run.download(url, **{"Range": "bytes=1-", "If-Range": etag}).must(status(206))
    run.download(url, **{"Range": "bytes=1-", "If-Range": '"another"'}).must(status(200))


@promise("downloads.tampered", _URL, _FILES)
def _tampered(run: Run) -> None:
    """A changed URL is refused with 403."""
    url = _fresh(run)["download_url"]
    changed = re.sub(r"(?i)(signature=)([0-9a-z]{4})", lambda it: f"{it[1]}{it[2][::-1]}x", url, count=1)
    if changed == url:
        raise NotTriedError("the URL has no signature in its query")
    run.download(changed).must(status(403), xml_error)


@promise("downloads.key", _URL, _FILES)
def _no_key(run: Run) -> None:
    """A download with an Authorization header is refused with 400."""
    # Not the real key, which must never be sent there.
    run.download(_fresh(run)["download_url"], Authorization="Bearer fh_test_0").must(status(400), xml_error)


@promise("sandbox.completes", "POST /v1/jobs", "§7")
def _completes(run: Run) -> None:
    """In the sandbox, a simulated worker completes a job after about 15 seconds."""
    if not run.is_sandbox:
        raise NotTriedError("it is about sandbox keys")
    speed = run.controlled.get("speed", 1.0)
    if not speed:
        raise NotTriedError("time stands still on this server")
    if not run.controlled.get("workers", True):
        raise NotTriedError("the simulated workers of this server are switched off")
    # 45 of its own seconds, at least 3 of ours.
    seconds = max(3.0, 45.0 / speed)
    job = run.new_job(min_star_rating=3)["id"]
    try:
        _ = run.has_control or run.completed_job  # where none completes, one wait is enough
        run.finished(job, seconds)
    except NotTriedError:
        it = run.get(f"/v1/jobs/{job}")
        it.hold(False, f"a job of the sandbox does not complete: {it.object.get('status')} after 45 s")

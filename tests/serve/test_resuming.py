"""Uploads in pieces over a real socket: the protocol tus, and what becomes of an upload that is interrupted."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import stat
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import pytest

from dataset.support import wait_until
from firsthandapi_server.media import Cleaned, LargeError, MediaError, check_said, clean
from firsthandapi_server.mock.media import make
from firsthandapi_server.serve import receiving, resuming
from firsthandapi_server.serve.bounds import BOUNDS
from firsthandapi_server.serve.resuming import Part, Resuming
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import Job

from .conftest import Visitor, write
from .phones import ANDROID, JPEG, Phone, Server, served, words_of
from .test_upload_crashes import check, running

BYTES = "application/offset+octet-stream"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server; each test makes a job of its own."""
    folder = tmp_path_factory.mktemp("served")
    with mock.patch.object(BOUNDS, "spare_bytes", 0), served(folder) as host:
        host.service.site.api.rate_limit = None
        yield host


def tus(phone: Phone, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """One request of the protocol."""
    return phone.send(method, path, body, **{"tus_resumable": "1.0.0", "user_agent": ANDROID, **headers})


def create(phone: Phone, job: str, length: int = len(JPEG), **fields: str) -> httpx.Response:
    """Begin an upload."""
    pairs = {"filename": "shot.jpg", "filetype": "image/jpeg", "job_id": job, **fields}
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in pairs.items())
    return tus(phone, "POST", "/uploads", upload_length=str(length), upload_metadata=metadata)


def begun(phone: Phone, job: str, length: int = len(JPEG), **fields: str) -> str:
    """Begin an upload that is welcome; its path."""
    answer = create(phone, job, length, **fields)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def append(phone: Phone, path: str, body: Any, offset: int = 0, **headers: str) -> httpx.Response:
    """Send bytes."""
    return tus(phone, "PATCH", path, body, **{"upload_offset": str(offset), "content_type": BYTES, **headers})


def offset(phone: Phone, path: str) -> int:
    """Where an upload is."""
    answer = tus(phone, "HEAD", path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.status_code
    return int(answer.headers["upload-offset"])


def parts(server: Server) -> set[str]:
    """What is left of uploads that are not submitted."""
    storage: Any = server.world.state.storage._storage  # of the thumbnails
    return {path.name for path in (storage._folder.parent / "uploading").glob("*.bytes")}


def stalled(phone: Phone, path: str, content: bytes, start: int = 0) -> socket.socket:
    """A connection that has sent the first half of what it announced, and says nothing more."""
    connection = phone.stall(
        "PATCH",
        path,
        content[: len(content) // 2],
        len(content),
        tus_resumable="1.0.0",
        upload_offset=str(start),
        content_type=BYTES,
    )
    while offset(phone, path) < start + len(content) // 2:
        pass
    return connection


def test_in_pieces(server: Server) -> None:
    """A picture comes in two pieces; with the last byte it is a submission, and its bytes in the upload are gone."""
    job, old_parts = server.job(), parts(server)
    phone = server.phone(job)
    path = begun(phone, job.id, utc_offset="60")
    assert offset(phone, path) == 0
    first = append(phone, path, JPEG[:100])
    assert (first.status_code, first.headers["upload-offset"], first.headers["tus-resumable"]) == (
        204,
        "100",
        "1.0.0",
    )
    assert not job.submissions
    assert append(phone, path, JPEG[100:], 100).status_code == 204
    (submission,) = job.submissions
    (file,) = submission.files
    assert file.original_filename == "shot.jpg"
    assert file.source.details().device_info == {
        "device_model": "Pixel 8",
        "device_os": "Android 15",
        "app_version": "web",
    }
    assert parts(server) == old_parts
    assert offset(phone, path) == len(JPEG)
    assert append(phone, path, b"", len(JPEG)).status_code == 204
    assert len(job.submissions) == 1
    assert "Waiting for review" in phone.open()  # the person of the page and of the upload are one


def test_what_is_offered(server: Server) -> None:
    """OPTIONS says version and extension; another version is refused, and each response names this one."""
    phone = server.phone(server.job())
    asked = phone.send("OPTIONS", "/uploads")
    assert (asked.status_code, asked.headers["tus-version"], asked.headers["tus-extension"]) == (
        204,
        "1.0.0",
        "creation,termination",
    )
    assert int(asked.headers["tus-max-size"]) == 500 << 20
    reply = phone.send("POST", "/uploads", tus_resumable="0.2.2")
    assert (reply.status_code, reply.headers["tus-version"], reply.headers["tus-resumable"]) == (
        412,
        "1.0.0",
        "1.0.0",
    )


def test_a_post_in_place_of_patch_and_head(server: Server) -> None:
    """Where a proxy knows no PATCH, a POST that names it does the same."""
    job = server.job()
    phone = server.phone(job)
    path = begun(phone, job.id)
    sent = {"upload_offset": "0", "content_type": BYTES}
    assert tus(phone, "POST", path, JPEG, x_http_method_override="PATCH", **sent).status_code == 204
    asked = tus(phone, "POST", path, x_http_method_override="HEAD")
    assert (asked.status_code, asked.headers["upload-length"]) == (200, str(len(JPEG)))
    assert tus(phone, "POST", path).status_code == 405


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"upload_offset": "1"}, 409),
        ({"upload_offset": "-1"}, 400),
        ({"content_type": "image/jpeg"}, 415),
        ({"tus_resumable": "2.0.0"}, 412),
        ({"origin": "http://evil.example"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_pieces_that_do_not_fit(server: Server, changed: dict[str, str], status: int) -> None:
    """A wrong offset, type, version, or origin changes nothing."""
    job = server.job()
    phone = server.phone(job)
    path = begun(phone, job.id)
    assert append(phone, path, JPEG, 0, **changed).status_code == status
    assert append(phone, path, JPEG + b"more").status_code == 413
    assert offset(phone, path) == 0
    assert append(phone, path, JPEG).status_code == 204


def test_an_upload_is_its_owners(server: Server) -> None:
    """A stranger finds no upload of somebody else, and who has lost nothing finds their own."""
    job = server.job()
    phone, stranger = server.phone(job), server.phone(job)
    path = begun(phone, job.id)
    assert tus(stranger, "HEAD", path).status_code == 404
    assert append(stranger, path, JPEG).status_code == 404
    assert tus(phone, "HEAD", path + "0").status_code == 404
    fresh = Phone(phone.port, phone.path)  # without a cookie: the first response gives it one
    assert append(fresh, begun(fresh, job.id), JPEG).status_code == 204


@pytest.mark.parametrize(
    ("fields", "length", "status", "words"),
    [
        ({"filetype": "application/pdf"}, 9, 415, "cannot be taken"),
        ({"filetype": "", "filename": "x.pdf"}, 9, 415, "cannot be taken"),
        ({"filetype": "image/heic"}, 9, 415, "HEIC"),
        ({"filetype": "", "filename": "IMG_1.HEIC"}, 9, 415, "HEIC"),
        ({"filetype": "image/png"}, 9, 415, "takes JPEG"),
        ({}, (50 << 20) + 1, 413, "at most 50 MB"),
        ({"filetype": "application/pdf"}, (500 << 20) + 1, 413, "at most 500 MB"),
        ({}, 10**20, 413, "at most 500 MB"),
        ({}, 0, 400, "empty"),
        ({"job_id": "job_0"}, 9, 404, "does not exist"),
        ({"retry": "sub_0"}, 9, 404, "does not exist"),
        ({"worker_id": "wkr_0"}, 9, 403, "Somebody else"),
        ({"group": "a", "group_size": "2"}, 9, 400, "1 to 1"),
    ],
)
def test_what_is_refused_before_a_byte(
    server: Server, fields: dict[str, str], length: int, status: int, words: str
) -> None:
    """A type, a size, a job, or a group that will not do is refused before anything is sent, in words."""
    phone = server.phone(job := server.job())
    old_parts = parts(server)
    answer = create(phone, job.id, length, **fields)
    assert (answer.status_code, words in words_of(answer)) == (status, True), words_of(answer)
    assert parts(server) == old_parts


@pytest.mark.parametrize(
    ("kind", "name", "accepted"),
    [
        ("image/jpg", "a", ["image/jpeg"]),
        ("", "a.JPEG", ["image/jpeg"]),
        ("", "without an ending", ["image/jpeg"]),
        ("application/octet-stream", "a.png", ["image/png"]),
        ("audio/x-m4a", "a.m4a", ["audio/mp4"]),
        ("video/mp4; codecs=avc1", "a.m4a", ["audio/mp4"]),  # their tracks decide
    ],
)
def test_what_a_file_is_said_to_be(kind: str, name: str, accepted: list[str]) -> None:
    """A type by any of its names, or unsaid, is taken; its size is bound as that of its kind."""
    check_said(kind, name, 1, accepted)
    with pytest.raises(LargeError):
        check_said(kind, name, 501 << 20, accepted)
    with pytest.raises(MediaError):
        check_said("text/html", name, 1, accepted)


def test_what_was_said_of_an_upload_is_said_again(server: Server) -> None:
    """HEAD answers with the `Upload-Metadata` that came, until the file is submitted: then its name must be gone."""
    phone = server.phone(job := server.job())
    path = begun(phone, job.id, filename="äpfel.jpg", theirs="x")
    metadata = tus(phone, "HEAD", path).headers["upload-metadata"]
    pairs = dict(pair.split(" ") for pair in metadata.split(","))
    assert b64decode(pairs["filename"]).decode() == "äpfel.jpg"
    assert (pairs["theirs"], len(pairs)) == ("eA==", 4)
    assert append(phone, path, JPEG).status_code == 204
    assert "upload-metadata" not in tus(phone, "HEAD", path).headers


def test_wrong_bytes_are_refused_early(server: Server) -> None:
    """Bytes of another format than they are said to be end the upload with the first ones."""
    phone = server.phone(job := server.job())
    path = begun(phone, job.id, 20_000_000)
    answer = append(phone, path, b"%PDF-1.7" + bytes(92))
    assert (answer.status_code, "PDF" in words_of(answer)) == (415, True)
    assert tus(phone, "HEAD", path).status_code == 404
    broken = begun(phone, job.id, 100)
    assert append(phone, broken, JPEG[:100]).status_code == 422
    assert (tus(phone, "HEAD", broken).status_code, len(job.submissions)) == (404, 0)


def test_the_same_file_twice(server: Server) -> None:
    """The same bytes of the same person are refused, and take no place; of somebody else they are welcome."""
    job = server.job(files_needed=3)
    phone, tablet = server.phone(job), server.phone(job)
    assert append(phone, begun(phone, job.id), JPEG).status_code == 204
    reply = append(phone, begun(phone, job.id), JPEG)
    assert (reply.status_code, "before" in words_of(reply), job.free_slots) == (409, True, 2)
    form = phone.shot()  # the same by a form
    assert (form.status_code, "before" in words_of(form), job.free_slots) == (409, True, 2)
    assert append(tablet, begun(tablet, job.id), JPEG).status_code == 204


def joined(server: Server, job: Job) -> Phone:
    """The phone of somebody who has joined the study."""
    phone, visitor = Phone(server.service.port, server.path(job)), Visitor(server.service)
    with visitor.http:
        boxes = dict.fromkeys(("own_work", "adult", "people_shown_agree"), "yes")
        assert visitor.send("/join", "/join", **boxes).status_code == 303
        phone.http.cookies.update(visitor.http.cookies)
    return phone


def test_what_a_person_has_begun_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads that are not finished count as sent. One that has not moved for ten minutes makes room for another, and
    so does the same one, begun again after its response was lost."""
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    with served(tmp_path / "data", study=write(tmp_path, max_files_per_worker=2)) as server:
        job = server.job(files_needed=9, files_per_submission=2)
        phone, tablet = joined(server, job), joined(server, job)
        first, second = begun(phone, job.id), begun(phone, job.id, once="lost")
        assert append(phone, first, JPEG[:50]).status_code == 204
        assert create(phone, job.id).status_code == 403
        third = begun(phone, job.id, once="lost")
        assert [tus(phone, "HEAD", path).status_code for path in (first, second, third)] == [200, 404, 200]
        assert create(phone, job.id).status_code == 403
        os.utime(tmp_path / "data" / "uploading" / f"{first.rpartition('/')[2]}.bytes", (1, 1))
        begun(phone, job.id)
        assert [tus(phone, "HEAD", path).status_code for path in (first, third)] == [404, 200]
        # Without a byte half a minute will do: of a client that sends no `once`, the response may have been lost.
        begun_at = time.time() - 40
        os.utime(tmp_path / "data" / "uploading" / f"{third.rpartition('/')[2]}.bytes", (begun_at, begun_at))
        begun(phone, job.id)
        assert tus(phone, "HEAD", third).status_code == 404
        assert create(phone, job.id).status_code == 403
        group = {"group": "g", "group_size": "2"}
        for _ in range(2):
            begun(tablet, job.id, **group)
        assert create(tablet, job.id).status_code == 403


def test_what_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of an upload that its owner gives up, and it no longer counts; what was submitted stays."""
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    with served(tmp_path / "data", study=write(tmp_path, max_files_per_worker=1)) as server:
        phone, tablet = (joined(server, server.job()) for _ in range(2))
        (job, _) = server.world.state.own.jobs
        path = begun(phone, job.id)
        append(phone, path, JPEG[:50])
        assert tus(tablet, "DELETE", path).status_code == 404
        assert tus(phone, "DELETE", path, origin="https://evil.example").status_code == 403
        assert (offset(phone, path), create(phone, job.id).status_code) == (50, 403)
        assert [tus(phone, method, path).status_code for method in ("DELETE", "HEAD")] == [204, 404]
        assert not [*(tmp_path / "data" / "uploading").iterdir()]
        next_path = begun(phone, job.id)
        assert append(phone, next_path, JPEG).status_code == 204
        assert [tus(phone, method, next_path).status_code for method in ("DELETE", "HEAD")] == [409, 200]
        assert len(job.submissions) == 1


def test_a_refused_group_counts_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One damaged file refuses a group. Whoever then sends the others with a sound one has not reached their limit."""
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    with served(tmp_path / "data", study=write(tmp_path, max_files_per_worker=2)) as server:
        job = server.job(files_needed=9, files_per_submission=2)
        phone = joined(server, job)
        sound = make("image/jpeg", "b").content
        answers: list[int] = []
        for name, content in (("bad", JPEG[:-100]), ("good", sound)):
            group = {"group": name, "group_size": "2"}
            paths = [begun(phone, job.id, len(picture), **group) for picture in (JPEG, content)]
            answers += [
                append(phone, path, picture).status_code
                for path, picture in zip(paths, (JPEG, content), strict=True)
            ]
        assert answers == [204, 422, 204, 204]
        assert len(job.submissions) == 1


def test_a_persons_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has sent as many files as a study takes of one is told so before the next; a rejected one does not count."""
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    with served(tmp_path / "data", study=write(tmp_path, max_files_per_worker=1)) as server:
        job = server.job(files_needed=3)
        assert create(Phone(server.service.port, ""), job.id).status_code == 401  # before they have agreed
        phone = joined(server, job)
        content = make("image/jpeg", "b").content
        late = begun(phone, job.id, len(content))
        phone.open()
        assert phone.shot(JPEG).status_code == 200
        (file,) = job.submissions[0].files
        assert "consent_id" in file.source.details().more
        assert create(phone, job.id).status_code == 403
        phone.open()
        assert phone.shot(make("image/jpeg", "c").content).status_code == 403
        assert append(phone, late, content).status_code == 403
        server.score(job.submissions[0].id, 1)
        assert append(phone, begun(phone, job.id, len(content)), content).status_code == 204


def test_a_job_that_is_full(server: Server) -> None:
    """A job without a place refuses an upload before its first byte, and one on its way with its last."""
    job = server.job(files_needed=1)
    phone, late = server.phone(job), server.phone(job)
    path = begun(late, job.id)
    assert append(phone, begun(phone, job.id), JPEG).status_code == 204
    assert create(late, job.id).status_code == 409
    assert append(late, path, JPEG).status_code == 409
    server.buyer.jobs.cancel(job.id)
    assert create(late, job.id).status_code == 410


def test_a_group_is_one_submission(server: Server) -> None:
    """Files of a group are submitted together, with the last byte of the last one, in the order they were begun."""
    job = server.job(files_needed=4, files_per_submission=2)
    phone = server.phone(job)
    contents = [JPEG, make("image/jpeg", "b").content]
    group = {"group": "g", "group_size": "2"}
    paths = [begun(phone, job.id, len(shot), filename=f"{n}.jpg", **group) for n, shot in enumerate(contents)]
    assert append(phone, paths[1], contents[1]).status_code == 204
    assert (offset(phone, paths[1]), len(job.submissions)) == (len(contents[1]), 0)
    assert append(phone, paths[0], contents[0]).status_code == 204
    (submission,) = job.submissions
    assert [file.original_filename for file in submission.files] == ["0.jpg", "1.jpg"]
    assert [offset(phone, path) for path in paths] == [len(content) for content in contents]


def test_others_begin_meanwhile(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server looks through the uploads of one person, or of a group, others can begin theirs."""
    is_done = Resuming._is_done

    def looked_at(self: Resuming, part: Part) -> bool:
        self._write(replace(part, id=f"upload_{secrets.token_hex(16)}", worker="wkr_other"))
        return is_done(self, part)

    monkeypatch.setattr(Resuming, "_is_done", looked_at)
    job = server.job(files_needed=4, files_per_submission=2)
    phone = server.phone(job)
    contents = [JPEG, make("image/jpeg", "b").content]
    paths = [begun(phone, job.id, len(content), group="g", group_size="2") for content in contents]
    assert [append(phone, *pair).status_code for pair in zip(paths, contents, strict=True)] == [204, 204]
    assert len(job.submissions) == 1


@pytest.mark.parametrize("by_form", [True, False])
def test_a_filled_job_takes_a_retry(server: Server, by_form: bool) -> None:
    """A submission with two stars keeps its place, so that its retry finds one, by a form or in pieces that name it;
    others read that none is free."""
    phone = server.phone(job := server.job(files_needed=1))
    append(phone, begun(phone, job.id), JPEG)
    (submission,) = job.submissions
    server.score(submission.id, 2)
    page = server.phone(job).open()
    assert "All files are submitted." in page
    assert 'id="send"' not in page
    assert 'id="send"' in phone.open(f"{phone.path}?retry={submission.id}")
    better = make("image/jpeg", "b").content
    if by_form:
        assert phone.shot(better).status_code == 200
    else:
        assert (
            append(phone, begun(phone, job.id, len(better), retry=submission.id), better).status_code == 204
        )
    assert (len(job.submissions), submission.status) == (1, "pending_score")


def test_a_new_piece_ends_a_lost_connection(server: Server) -> None:
    """A connection that was lost without a word is ended by the next piece, which goes on after its last byte."""
    phone = server.phone(job := server.job())
    path = begun(phone, job.id)
    with stalled(phone, path, JPEG) as lost:
        assert append(phone, path, JPEG).status_code == 409  # not where it is: the other one stays
        half = offset(phone, path)
        assert append(phone, path, JPEG[half:], half).status_code == 204
        assert b" 408 " in lost.recv(1000)
    assert len(job.submissions) == 1


def test_silence_is_bounded_not_the_whole(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that brings nothing, or too little, is ended, and its bytes stay: the next one goes on with them."""
    monkeypatch.setattr(BOUNDS, "upload_seconds", 0.2)
    phone = server.phone(job := server.job())
    path = begun(phone, job.id)
    with stalled(phone, path, JPEG) as silent:
        assert b" 408 " in silent.recv(1000)
    half = offset(phone, path)
    assert half == len(JPEG) // 2
    assert append(phone, path, JPEG[half:], half).status_code == 204


def test_a_trickle_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends a byte now and then holds a connection no longer than whoever sends none."""
    monkeypatch.setattr(BOUNDS, "upload_seconds", 0.3)
    phone = server.phone(job := server.job())
    path = begun(phone, job.id, 1000)
    with stalled(phone, path, JPEG[:1000]) as slow:
        slow.settimeout(0.02)
        for byte in JPEG[500:999]:  # ten seconds
            slow.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                assert b" 408 " in slow.recv(1000)
                break
        else:
            pytest.fail("the connection is still there")


def test_two_pieces_at_once(server: Server) -> None:
    """Of pieces for the same place one is taken, and the upload is one submission."""
    phone = server.phone(job := server.job())
    path = begun(phone, job.id)
    with ThreadPoolExecutor(4) as pool:
        answers = sorted(reply.status_code for reply in pool.map(append, [phone] * 4, [path] * 4, [JPEG] * 4))
    assert answers[0] == 204
    assert {*answers} <= {204, 408, 409}
    assert (len(job.submissions), offset(phone, path)) == (1, len(JPEG))


def test_a_full_house_turns_nobody_away(server: Server) -> None:
    """Sixty people send at once, and each is taken."""
    job = server.job(files_needed=60)
    phones = [server.phone(job) for _ in range(60)]
    with ThreadPoolExecutor(60) as pool:
        paths = pool.map(begun, phones, [job.id] * 60)
        answers = [reply.status_code for reply in pool.map(append, phones, paths, [JPEG] * 60)]
    assert answers == [204] * 60
    assert len(job.submissions) == 60


def test_busy_decoders_hold_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the files of twelve people are decoded, a monitor gets its answer, and the file of somebody else is taken.
    Of one person, one upload is cleaned at a time."""
    cleaning: list[None] = []
    release = threading.Event()

    def cleaned(source: Any, *rest: Any, **options: Any) -> Cleaned:
        if source.seek(0, os.SEEK_END) > len(JPEG):
            cleaning.append(None)
            assert release.wait(60)
        return clean(source, *rest, **options)

    monkeypatch.setattr("firsthandapi_server.serve.receiving.clean", cleaned)
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    with served(tmp_path) as server, ThreadPoolExecutor(13) as pool:
        threads = ThreadPoolExecutor(1)  # however many the machine's cores would get
        server.service._http._loop.set_default_executor(threads)  # type: ignore[union-attr] # it has one while it runs
        phones = [server.phone(job := server.job(files_needed=20)) for _ in range(12)]
        contents = [JPEG + bytes(number + 1) for number in range(13)]  # without the end, they are the same
        paths = [
            begun(phone, job.id, len(content))
            for phone, content in zip((*phones, phones[0]), contents, strict=True)
        ]
        sent = [
            pool.submit(append, *call) for call in zip((*phones, phones[0]), paths, contents, strict=True)
        ]
        wait_until(lambda: len(cleaning) == 12)
        try:
            health = httpx.get(f"{server.service.url}/healthz", trust_env=False, timeout=60)
            tablet = server.phone(job)
            assert (health.status_code, append(tablet, begun(tablet, job.id), JPEG).status_code) == (200, 204)
            assert len(cleaning) == 12
        finally:
            release.set()
        assert sorted(future.result().status_code for future in sent) == [204] * 12 + [409]


def test_a_disk_without_space(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk keeps some room: an upload that would take it is refused before its bytes come."""
    phone = server.phone(job := server.job())
    path = begun(phone, job.id)
    monkeypatch.setattr(BOUNDS, "spare_bytes", 1 << 60)
    form = phone.shot()
    assert (form.status_code, "no space left" in words_of(form)) == (507, True)
    assert create(phone, job.id).status_code == 507
    assert append(phone, path, JPEG).status_code == 507


class Disk:
    """A disk with so many bytes for files, all of which uploads may take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        monkeypatch.setattr(receiving, "shutil", self)
        monkeypatch.setattr(BOUNDS, "spare_bytes", 0)

    def disk_usage(self, _: Path) -> SimpleNamespace:
        """What is left of it."""
        sizes = (path.stat().st_size for path in self._folder.rglob("*") if path.name.startswith(_ON_DISK))
        return SimpleNamespace(free=self._size - sum(sizes))


_ON_DISK = "upload_", "blob_"


def test_an_upload_has_its_space_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its announcement, for itself and for its clean copy, over a restart: whoever finds too little is refused
    before a byte comes, and whoever was let in is not refused later, nor does one person take all."""
    with served(tmp_path) as server:
        server.service.site.api.rate_limit = None
        disk = Disk(monkeypatch, tmp_path, 5 * len(JPEG))
        job = server.job(files_needed=9)
        phones = [server.phone(job) for _ in range(4)]
        paths = [begun(phone, job.id) for phone in phones[:2]]
        refused = create(phones[2], job.id)
        assert (refused.status_code, "no space left" in words_of(refused)) == (507, True)
        assert phones[2].shot().status_code == 507  # a form likewise
        assert append(phones[0], paths[0], JPEG[:50]).status_code == 204
    with Service(tmp_path) as second_start:
        for phone in phones:
            phone.port = second_start.port
        assert create(phones[2], job.id).status_code == 507
        assert append(phones[0], paths[0], JPEG[50:], 50).status_code == 204
        assert append(phones[1], paths[1], JPEG).status_code == 204
        assert disk.disk_usage(tmp_path).free > 2 * len(JPEG)
        begun(phones[2], job.id)  # which the clean copies have left
        disk._size += 4 * len(JPEG)
        assert [create(phones[3], job.id).status_code for _ in range(3)] == [201, 507, 507]
        begun(phones[1], job.id)


def test_what_does_not_move_reserves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever announces much and sends nothing takes no space from others for longer than ten minutes, but still leaves
    as much to others as it has announced."""
    with served(tmp_path) as server:
        Disk(monkeypatch, tmp_path, 5 * len(JPEG))
        job = server.job(files_needed=9)
        idle, tablet, third = (server.phone(job) for _ in range(3))
        path = begun(idle, job.id, 2 * len(JPEG))
        assert create(tablet, job.id).status_code == 507
        os.utime(tmp_path / "uploading" / f"{path.rpartition('/')[2]}.bytes", (1, 1))
        begun(tablet, job.id)
        assert create(idle, job.id).status_code == 507
        assert append(idle, path, JPEG).status_code == 204
        assert create(third, job.id).status_code == 507


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EMFILE, 503), (errno.EIO, 500)])
def test_a_machine_without_means_is_no_bug(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    status: int,
) -> None:
    """A full disk and too many open files are said to people, and fill no log with tracebacks."""

    def keep(*_: object) -> None:
        raise OSError(number, "cannot")

    phone = server.phone(job := server.job())
    monkeypatch.setattr(Resuming, "_write", keep)
    old_parts = parts(server)
    assert create(phone, job.id).status_code == status
    assert parts(server) == old_parts
    assert bool(caplog.records) == (status == 500)


def test_signed_out(server: Server) -> None:
    """Without a session where one is needed, an upload is refused as a script understands it."""
    with mock.patch.object(server.service.site.reception, "is_guarded", return_value=True):
        answer = create(Phone(server.service.port, ""), "job_0")
    assert (answer.status_code, "sign in" in words_of(answer)) == (401, True)


def test_uploads_are_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the owner can read what is on its way; what has not moved for a day goes, and the oldest of too many.

    What an earlier version has begun goes on.
    """
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    monkeypatch.setattr(resuming, "_MOST_OF_ONE", 2)
    with served(tmp_path) as server:
        phone = server.phone(job := server.job())
        paths = [begun(phone, job.id) for _ in range(3)]
        assert [tus(phone, "HEAD", path).status_code for path in paths] == [404, 200, 200]
        append(phone, paths[1], JPEG[:50])
        append(phone, paths[2], JPEG)
        folder = tmp_path / "uploading"
        assert sorted(path.suffix for path in folder.iterdir()) == [".bytes", ".json", ".json"]
        if os.name != "nt":
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    for path in folder.glob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "at": 1.0, "is_done": False}))
    for name, junk in (("junk", "{"), ("nothing", "{}"), ("list", "[]")):
        (folder / f"upload_{name}.json").write_text(junk)
    (folder / ".upload_killed.json.00.part").write_text('{"name": "shot.jpg"}')
    with Service(tmp_path) as second_start:
        phone.port = second_start.port
        assert [offset(phone, path) for path in paths[1:]] == [50, len(JPEG)]
        assert len([*folder.iterdir()]) == 3
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    with Service(tmp_path):
        assert not [*folder.iterdir()]


@pytest.mark.parametrize("settled", [0, 1])
def test_a_start_settles_what_was_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: int
) -> None:
    """A server that was killed between a submission and its marker has left the bytes and the names of a group, or of
    those files of it that were not settled yet."""
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    folder = tmp_path / "uploading"
    contents = [make("image/jpeg", name).content for name in "pq"]
    with served(tmp_path) as server:
        phone = server.phone(job := server.job(files_per_submission=2))
        group = {"group": "g", "group_size": "2"}
        paths = [begun(phone, job.id, len(content), **group) for content in contents]
        records = {path: path.read_bytes() for path in folder.glob("*.json")}
        for path, content in zip(paths, contents, strict=True):
            assert append(phone, path, content).status_code == 204
        assert len(job.submissions) == 1
    for path, content in [*zip(paths, contents, strict=True)][settled:]:
        record = folder / f"{path.rpartition('/')[2]}.json"
        record.write_bytes(records[record])
        record.with_suffix(".bytes").write_bytes(content)
    with Service(tmp_path) as second_start:
        assert [json.loads(path.read_bytes())["name"] for path in folder.iterdir()] == ["", ""]
        phone.port = second_start.port
        assert [offset(phone, path) for path in paths] == [len(content) for content in contents]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
@pytest.mark.parametrize(
    "point",
    [
        "",
        *(pytest.param(moment, marks=pytest.mark.slow) for moment in ("clean before", "submit after")),
        "answer after",
    ],
)
def test_a_killed_server(tmp_path: Path, point: str) -> None:
    """Killed in the middle of a piece, or with all bytes and wherever, the server goes on: one file, submitted once."""
    folder = tmp_path / "data"
    with running(folder, point) as (port, link, process):
        phone = Phone(port, link)
        path = begun(phone, f"job_{link.rpartition('/')[2][:26]}")
        with stalled(phone, path, JPEG) as cut:
            if point:
                cut.sendall(JPEG[len(JPEG) // 2 :])
            else:
                process.kill()
            process.join(30)
            assert process.exitcode is not None
    with Service(folder) as second_start:
        phone.port = second_start.port
        start = offset(phone, path)
        assert start == (len(JPEG) if point else len(JPEG) // 2)
        assert append(phone, path, JPEG[start:], start).status_code == 204
        assert offset(phone, path) == len(JPEG)
    check(folder, 1)

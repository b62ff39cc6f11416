"""The page behind a job's link: uploads by plain forms over a real socket. The browser is in `tests/console`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.http.reading import validate
from firsthandapi_server.mock.media import make
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.rules.world import World
from firsthandapi_server.serve import receiving, sending, working
from firsthandapi_server.serve.bounds import BOUNDS
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.links import qr_code
from firsthandapi_server.serve.service import Service
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.state.model import Location
from server.conftest import JOB
from server.test_cleaning import SECRET, exif
from signed import SOURCES, sign

from .conftest import Nobody
from .phones import ANDROID, EVIL, JPEG, Phone, Server, blobs_of, form, served, words_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server; each test makes a job of its own."""
    with mock.patch.object(BOUNDS, "spare_bytes", 0), served(tmp_path_factory.mktemp("served")) as host:
        host.service.site.api.rate_limit = None
        yield host


# --- the link -------------------------------------------------------------------------------------------


def test_a_link_opens_one_job(server: Server) -> None:
    """The link of a job opens its page, and no other link does."""
    job, lamps = server.job(title="Signs"), server.job(title="Lamps")
    path = server.path(job)
    assert len(path.rpartition("/")[2]) == 26 + 22  # the job, and 128 bits of base64
    phone = server.phone(job)
    assert '<h1 dir="auto">Signs</h1>' in phone.open()
    mixed = server.path(lamps)[:-22] + path[-22:]
    for wrong in (
        path[:-1],
        path + "A",
        path[:-22],
        mixed,
        "/w/",
        "/w/x",
        f"/w/{job.id}",
        "/w/" + "%ff" * 40,
    ):
        assert phone.send("GET", wrong).status_code == 404, wrong
        assert phone.send("POST", wrong).status_code == 404, wrong


def test_a_link_stays_the_same(tmp_path: Path) -> None:
    """Links are signed with a secret that outlives the process: printed QR codes keep working."""
    with served(tmp_path) as server:
        job = server.job()
        path = server.path(job)
        assert server.service.site.links.url(job) == server.service.url + path
    with Service(tmp_path) as second_start:
        assert second_start.site.links.path(job) == path


def test_the_qr_code_is_the_link(server: Server) -> None:
    """What a phone reads from the picture is the link."""
    zxingcpp = pytest.importorskip(
        "zxingcpp", reason="zxing-cpp reads QR codes, and comes with the group dev"
    )
    url = server.service.site.links.url(server.job())
    code = qr_code(url)
    assert "style=" not in code  # which the policy of the pages would stop
    size = int(re.search(r'viewBox="0 0 (\d+) \1"', code)[1]) // 4  # type: ignore[index] # it must be there
    picture = Image.new("L", (size, size), 255)
    row = -1
    x = 0
    path = re.search(r'stroke="#000" d="([^"]+)"', code)[1]  # type: ignore[index] # it must be there
    for command, first, second in re.findall(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?", path):
        if command == "h":
            for _ in range(int(first)):
                picture.putpixel((x, row), 0)
                x += 1
        else:
            x, row = (
                (int(first), int(float(second)))
                if command == "M"
                else (x + int(first), row + int(second or 0))
            )
    assert zxingcpp.read_barcode(picture.resize((size * 6, size * 6))).text == url


def test_the_page_says_what_is_asked(server: Server) -> None:
    """Description, guidelines, formats, size, place, pay, and what is still wanted; no text of a buyer is markup."""
    job = server.job(
        title=EVIL[:90],
        description=EVIL,
        worker_guidelines=EVIL,
        scoring_criteria=EVIL,
        files_needed=3,
        accepted_formats=["image/jpeg", "image/png", "video/mp4"],
        min_width=800,
        files_per_submission=2,
        price_per_file_cents=75,
        location={"city": EVIL, "state": "BE"},
    )
    page = server.phone(job).open()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "JPEG, PNG, MP4, at least 800 pixels wide" in page
    assert "$0.75 for each approved file" in page
    assert "Files still wanted: <strong>3 of 3</strong>" in page
    assert 'accept="image/jpeg,image/png" capture="environment"' in page
    assert 'accept="image/jpeg,image/png,video/mp4,' in page
    assert "video/quicktime" in page
    assert 'name="latitude"' in page
    place = server.job(location={"latitude": 52.5, "longitude": 13.4, "radius_km": 5})
    assert "within 5 km of 52.5, 13.4" in server.phone(place).open()
    assert "JPEG, at least 5 × 6 pixels" in server.phone(server.job(min_width=5, min_height=6)).open()
    headers = server.phone(job).send("GET", server.path(job)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "blob:" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


# --- an upload ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [True, False])
def test_a_picture_is_submitted_without_its_secrets(server: Server, script: bool) -> None:
    """A picture of a phone becomes a submission: upright, without its place, with its time and device."""
    job = server.job()
    phone = server.phone(job)
    photo = io.BytesIO()
    Image.new("RGB", (400, 300), "red").save(
        photo, "JPEG", exif=b"Exif\0\0" + exif(6, taken="2026:01:02 12:00:00")
    )
    answer = phone.upload(("../../étage 1.jpg", photo.getvalue()), script=script, utc_offset="60")
    where = json.loads(answer.content)["next"] if script else answer.headers["location"]
    assert (answer.status_code, where) == (200 if script else 303, f"{phone.path}?sent=1")
    page = phone.open(where)
    assert "Submitted. Its status is below." in page
    assert "Waiting for review" in page
    (submission,) = job.submissions
    assert submission.worker_id.startswith("wkr_")
    assert submission.location is None
    (file,) = submission.files
    content = file.content()
    assert SECRET not in content
    facts, details = file.facts(), file.source.details()
    assert (facts.width, facts.height, facts.size) == (300, 400, len(content))
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert details.captured_at == 1_767_351_600.0
    assert details.device_info == {
        "device_model": "Apple iPhone 15",
        "device_os": "Android 15",
        "app_version": "web",
    }
    assert (details.annotations, details.worker_region) == (None, None)
    assert file.original_filename == "étage 1.jpg"
    source = re.search(r'<img src="([^"]+)" alt="étage 1.jpg"', page)
    assert source is not None
    reply = phone.send("GET", source[1])
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, content, "image/jpeg")
    assert "sandbox" in reply.headers["content-security-policy"]
    assert server.phone(job).send("GET", source[1]).status_code == 404  # another phone
    server.score(submission.id, 5)
    (bought,) = server.buyer.files.list(job.id).data
    assert bought.submission_id == submission.id
    assert bought.worker_region is None


def test_what_became_of_it(server: Server) -> None:
    """The page shows stars and reason, offers a retry after two stars, and takes one, from that worker alone."""
    job = server.job(files_needed=3)
    phone, stranger = server.phone(job), server.phone(job)
    phone.shot()
    (submission,) = job.submissions
    server.score(submission.id, 2, reason=f"Too dark. {EVIL}")
    page = phone.open()
    assert "2 of 5 stars" in page
    assert "Too dark. &lt;script&gt;" in page
    assert "Try once more" in page
    retried = phone.open(f"{phone.path}?retry={submission.id}")
    assert phone.hidden["retry"] == submission.id
    assert "Your first attempt got" in retried
    assert stranger.shot(retry=submission.id).status_code == 404
    same = phone.shot()
    assert (same.status_code, "sent this file to this job before" in words_of(same)) == (409, True)
    assert phone.shot(make("image/jpeg", "better").content).status_code == 200
    assert (submission.attempt, submission.status, len(job.submissions)) == (2, "pending_score", 1)
    reply = phone.shot(upload="0" * 32)
    assert (reply.status_code, "can no longer be tried again" in words_of(reply)) == (409, True)
    server.score(submission.id, 4, reason="Good now.")
    page = phone.open()
    assert "4 of 5 stars" in page
    assert "Good now." in page
    assert "second attempt" in page
    phone.shot()
    server.score(job.submissions[1].id, 1, reason="Not a sign.")
    assert "Not a sign." in phone.open()
    assert "Rejected" in phone.open()
    assert "Your submissions" not in stranger.open()


def test_a_worker_gives_up(server: Server) -> None:
    """By a button below the submission, which also says until when; the slot is free at once, and only once."""
    job = server.job(files_needed=1)
    phone, stranger = server.phone(job), server.phone(job)
    phone.shot()
    (submission,) = job.submissions
    server.score(submission.id, 2)
    page = phone.open()
    assert "You can try once more until:" in page
    assert re.search(rf'action="/me/give-up">.*value="{submission.id}"', page)
    sent = {"submission": submission.id}
    assert stranger.post("/me/give-up", **sent).status_code == 404
    assert phone.post("/me/give-up", **sent).headers["location"] == phone.path
    seen = server.buyer.submissions.get(submission.id)
    assert (seen.status, seen.ai_reasoning) == ("rejected", "Two stars, and no second attempt.")
    assert server.buyer.jobs.get(job.id).status == "open"
    reply = phone.post("/me/give-up", **sent, home="1")
    assert (reply.status_code, "can no longer be tried again" in reply.text) == (409, True)


def test_the_same_upload_is_submitted_once(server: Server) -> None:
    """An upload that is sent again, after a lost response or by the back button, submits nothing twice."""
    job = server.job(files_needed=5)
    phone = server.phone(job)
    first = phone.shot()
    assert [phone.shot().content for _ in range(2)] == [first.content] * 2
    assert len(job.submissions) == 1
    content = make("image/jpeg", "b").content
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: phone.shot(content, upload="ab" * 16).status_code, range(4))]
    assert answers == [200] * 4
    assert len(job.submissions) == 2
    assert stored(server) >= blobs_of(file for submission in job.submissions for file in submission.files)


def stored(server: Server) -> set[str]:
    """The names of all files that the server keeps."""
    storage: Any = server.world.state.storage._storage  # of the thumbnails
    if hasattr(storage, "_files"):
        return {*storage._files}
    return {path.name for path in storage._folder.rglob("blob_*")}


def test_two_phones_and_one_place(server: Server) -> None:
    """Of two uploads for the last place one is submitted, and the other worker reads a friendly word."""
    job = server.job(files_needed=1)
    phones = [server.phone(job), server.phone(job)]
    old_files = stored(server)
    meet = threading.Barrier(2)
    real = receiving.clean

    def together(*args: Any, **options: Any) -> Any:
        result = real(*args, **options)
        meet.wait(60)
        return result

    with mock.patch.object(receiving, "clean", together), ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(lambda phone: phone.shot(), phones), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 409]
    assert "Somebody else has just submitted the last file" in words_of(answers[1])
    assert len(job.submissions) == 1
    assert len(stored(server) - old_files) == 1


def test_several_files_are_one_submission(server: Server) -> None:
    """A submission takes as many files as the job says, no more than are wanted, and all of them or none."""
    job = server.job(files_needed=4, files_per_submission=3, accepted_formats=["image/jpeg", "image/png"])
    phone = server.phone(job)
    png = make("image/png", "a").content
    old_files = stored(server)
    refused = phone.upload(("a.jpg", JPEG), ("b.png", png), ("c.jpg", b"<svg onload=alert(1)>"))
    assert (refused.status_code, len(job.submissions)) == (422, 0)
    assert words_of(refused).startswith("c.jpg: This is neither a picture")
    assert stored(server) == old_files
    twice = phone.upload(("a.jpg", JPEG), ("b.png", png), ("c.jpg", JPEG))
    assert (twice.status_code, words_of(twice).partition(".")[0], stored(server)) == (409, "c", old_files)
    third = make("image/jpeg", "c").content
    assert phone.upload(("a.jpg", JPEG), ("b.png", png), ("c.jpg", third)).status_code == 200
    assert [file.content_type for file in job.submissions[0].files] == [
        "image/jpeg",
        "image/png",
        "image/jpeg",
    ]
    phone.open()
    few = phone.upload(("a.jpg", JPEG), ("b.jpg", JPEG))
    assert (few.status_code, "send at most 1" in words_of(few)) == (409, True)
    many = phone.upload(*[("a.jpg", JPEG)] * 4)
    assert (many.status_code, words_of(many)) == (400, "Files at a time, at most: 3")


def test_a_place_comes_with_consent(server: Server) -> None:
    """What a browser says of its place is kept for a job that names one, and held against its area."""
    near = {"latitude": "52.53", "longitude": "13.41"}
    area = {"latitude": 52.52, "longitude": 13.4, "radius_km": 5}
    for place, sent, location in (
        (area, near, Location(52.53, 13.41, True)),
        ({"lat": 48.8, "lng": 2.3, "radius_km": 100}, near, Location(52.53, 13.41, False)),
        ({"city": "Berlin", "state": "BE"}, near, Location(52.53, 13.41, None)),
        ({"latitude": True, "longitude": 1, "radius_km": 1}, near, Location(52.53, 13.41, None)),
        (None, near, None),
        (area, {"latitude": "nan", "longitude": "1"}, None),
        (area, {"latitude": "91", "longitude": "1"}, None),
        (area, {"latitude": "", "longitude": ""}, None),
        # JSON has integers of any size; this package's client would not send this one.
        ({"latitude": 10**400, "longitude": 1, "radius_km": 1}, near, Location(52.53, 13.41, None)),
    ):
        job = server.job()
        with server.world.lock:
            job.fields = {**job.fields, "location": place}
        assert server.phone(job).shot(**sent).status_code == 200
        assert job.submissions[0].location == location, (place, sent)


def test_an_ended_job_is_closed(server: Server) -> None:
    """The link of a job that has ended takes nothing more; workers still see what became of theirs."""
    job = server.job(files_needed=1)
    phone, late = server.phone(job), server.phone(job)
    phone.shot()
    server.score(job.submissions[0].id, 5)
    page = phone.open()
    assert "This job has ended." in page
    assert 'id="send"' not in page
    assert "5 of 5 stars" in page
    answer = late.shot()
    assert (answer.status_code, words_of(answer).startswith("This job has ended")) == (410, True)
    page = late.upload(("a.jpg", JPEG), script=False).text
    assert "This job has ended, so nothing was submitted." in page
    assert len(job.submissions) == 1


def test_only_so_many_workers(server: Server) -> None:
    """A job for one worker tells the second one so."""
    job = server.job(max_workers=1)
    first, second = server.phone(job), server.phone(job)
    assert first.shot().status_code == 200
    answer = second.shot()
    assert (answer.status_code, "this job is 1, and" in words_of(answer)) == (409, True)
    first.open()
    assert first.shot(make("image/jpeg", "b").content).status_code == 200


def test_a_small_picture_is_rejected_with_the_reason(server: Server) -> None:
    """What the job's own bounds reject is a submission like any other, with its reason on the page."""
    job = server.job(min_width=5000)
    phone = server.phone(job)
    assert phone.shot().status_code == 200
    assert "640x480 is too small" in phone.open()


def test_a_token_names_the_worker(tmp_path: Path) -> None:
    """Where a worker's token was made, the page needs one, and the buyer sees the token's id, from any browser."""
    with served(tmp_path) as server:
        token, secret = server.access.create("worker", "Ada", 1.0)
        job = server.job()
        phone = Phone(server.service.port, server.path(job))
        answer = phone.send("GET", phone.path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={phone.path}")
        refused = phone.send("POST", phone.path, accept="application/json")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Cookie")
        assert phone.send("POST", phone.path).status_code == 303
        phone.open("/sign-in")
        signed_in = phone.post("/sign-in", token=secret, next=phone.path)
        assert signed_in.headers["location"] == phone.path
        phone.open()
        assert phone.shot().status_code == 200
        assert job.submissions[0].worker_id == token.id
        server.access.revoke(token.id, 2.0)
        phone_again = phone.send("GET", phone.path)
        assert phone_again.status_code == 303


# --- an attacker ----------------------------------------------------------------------------------------


def test_only_the_page_itself_can_send(server: Server) -> None:
    """Without the page's token, with another browser's, or from another site nothing is submitted."""
    job = server.job()
    phone, tablet = server.phone(job), server.phone(job)
    for wrong in ("", "0" * 64, tablet.hidden["form_token"], "é"):
        answer = phone.shot(form_token=wrong)
        assert (answer.status_code, "does not come from a page" in words_of(answer)) == (403, True)
    body, kind = form(phone.hidden, [("a.jpg", JPEG)])
    for header in (
        {"origin": "https://evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"origin": "null"},
        {"sec_fetch_site": "same-site"},
    ):
        assert phone.send("POST", phone.path, body, content_type=kind, **header).status_code == 403, header
    origin = f"http://127.0.0.1:{phone.port}"
    assert (
        phone.send(
            "POST", phone.path, body, content_type=kind, origin=origin, accept="application/json"
        ).status_code
        == 200
    )
    assert len(job.submissions) == 1


NAMES = {
    "../../etc/passwd": "passwd",
    "C:\\\\Users\\\\a\\\\b.jpg": "b.jpg",
    "a\x00b.jpg": "ab.jpg",
    "x" * 4000 + ".jpg": "x" * 60,
    "\u202egpj.exe": "gpj.exe",
    "<img src=x onerror=alert(1)>.jpg": "<img src=x onerror=alert(1)>.jpg",
    "{{7*7}}.jpg": "{{7*7}}.jpg",
    "..": "..",
    "/": "file",
    "\u200b\u2800": "file",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_do_nothing(server: Server, name: str) -> None:
    """The name of a file is a short line in the manifest and on pages, and never a path."""
    job = server.job()
    phone = server.phone(job)
    answer = phone.upload((name, JPEG))
    if len(name) > 4000:  # more than a header may have
        assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert len(job.submissions) == 0
        return
    assert answer.status_code == 200
    (file,) = job.submissions[0].files
    assert file.original_filename == NAMES[name]
    assert "<img src=x" not in phone.open()


def test_a_file_that_is_none_is_refused_in_words(server: Server) -> None:
    """What claims to be a picture and is none is refused; the worker reads why, and nothing of it is kept."""
    job = server.job()
    phone = server.phone(job)
    old_files = stored(server)
    for content, words in (
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "neither a picture"),
        (make("image/png", "a").content, "This file is PNG, and this job takes JPEG."),
        (JPEG[:500], "incomplete or damaged"),
        (b"", "empty"),
    ):
        answer = phone.shot(content)
        assert (answer.status_code, words in words_of(answer)) == (422, True), words_of(answer)
        page = phone.upload(("<b>a.jpg", content), script=False)
        assert page.status_code == 422
        assert "&lt;b&gt;a.jpg" in page.text
    assert words_of(phone.upload()).startswith("No file was chosen")
    body, kind = form(phone.hidden, [("", b"")])
    assert phone.send("POST", phone.path, body, content_type=kind).status_code == 400
    assert len(job.submissions) == 0
    assert stored(server) == old_files


def test_forms_that_are_none(server: Server) -> None:
    """Another kind of body, a broken one, too many fields, and too long ones are refused."""
    job = server.job()
    phone = server.phone(job)
    body, kind = form(phone.hidden, [("a.jpg", JPEG)])
    boundary = kind.partition("=")[2]

    def status(body: bytes, kind: str = kind) -> int:
        return phone.send("POST", phone.path, body, content_type=kind, accept="application/json").status_code

    assert status(body, "application/json") == 415
    assert status(body, "multipart/form-data") == 415
    assert status(body, "multipart/form-data; boundary=" + "x" * 5000) in (400, 415)
    assert status(body[:-20]) == 400
    assert status(b"junk") == 400
    assert status(b"") == 400
    assert status(form({**phone.hidden, **{f"more{n}": "" for n in range(30)}})[0]) == 400
    assert status(form({**phone.hidden, "more": "x" * 600})[0]) == 413
    assert status(form({**phone.hidden, "upload": "../../x"}, [("a.jpg", JPEG)])[0]) == 400
    long_head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\nX: {"x" * 10_000}\r\n\r\n1\r\n'.encode()
    )
    assert status(long_head + body) == 400
    assert status(f"--{boundary}\r\n".encode() + b"a: b\r\n" * 50 + body) == 400
    assert len(job.submissions) == 0


def test_a_body_that_is_too_large_or_too_slow(server: Server) -> None:
    """An upload ends at its bound of bytes and of time, and with the connection; nothing of it is kept."""
    job = server.job()
    phone = server.phone(job)
    old_files = stored(server)
    body, kind = form(phone.hidden, [("a.jpg", JPEG)])
    with mock.patch.object(BOUNDS, "upload_bytes", 5000):
        answer = phone.send("POST", phone.path, body, content_type=kind, accept="application/json")
        assert answer.status_code == 413

    def half(length: int) -> socket.socket:
        return phone.stall("POST", phone.path, body[: len(body) // 2], length, content_type=kind)

    with mock.patch.object(BOUNDS, "upload_seconds", 0.05), half(len(body)) as slow:
        assert b" 408 " in slow.recv(1000)
    for length in (len(body), 3):  # hangs up, and has sent more than it said
        half(length).close()
    with half(len(body)) as reset:  # in the middle
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert phone.shot().status_code == 200  # and the server lives
    assert len(job.submissions) == 1
    assert len(stored(server) - old_files) == 1


@pytest.mark.parametrize("bound", ["uploads", "_MOST_OF_ONE"])
def test_a_full_house_turns_nobody_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """More forms than the server reads at a time, of many people or of one, wait for each other: all are taken."""
    monkeypatch.setattr(BOUNDS, "spare_bytes", 0)
    monkeypatch.setattr(BOUNDS if bound == "uploads" else working, bound, 1)
    with served(tmp_path) as server:
        job = server.job(files_needed=8)
        phones = [server.phone(job) for _ in range(8)]
        if bound == "_MOST_OF_ONE":
            for number, phone in enumerate(phones):
                phone.http, phone.hidden = phones[0].http, {**phones[0].hidden, "upload": f"{number:032x}"}
        with ThreadPoolExecutor(8) as pool:
            contents = [make("image/jpeg", str(number)).content for number in range(8)]
            answers = [*pool.map(Phone.shot, phones, contents)]
    assert [answer.status_code for answer in answers] == [200] * 8


def test_one_address_leaves_places_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of forms from one address, of many people, hold half of the places at most."""
    for name, value in (("spare_bytes", 0), ("uploads", 2), ("upload_seconds", 3600)):
        monkeypatch.setattr(BOUNDS, name, value)
    with served(tmp_path) as server, contextlib.ExitStack() as stack:
        limits = server.service.site.limits
        monkeypatch.setattr(limits, "address", lambda request: request.headers["user-agent"])
        job = server.job()
        for phone in [server.phone(job) for _ in range(4)]:
            body, kind = form(phone.hidden, [("a.jpg", JPEG)])
            stack.enter_context(
                phone.stall(
                    "POST", phone.path, body[:-100], len(body), content_type=kind, user_agent="a crowd"
                )
            )
        assert server.phone(job).shot().status_code == 200


def test_a_new_try_ends_a_lost_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form whose connection was lost without a word holds no place against the same upload, sent again."""
    monkeypatch.setattr(working, "_MOST_OF_ONE", 2)
    phone = server.phone(job := server.job())
    body, kind = form(phone.hidden, [("a.jpg", JPEG)])
    with contextlib.ExitStack() as stack:
        lost = [
            stack.enter_context(phone.stall("POST", phone.path, body[:-100], len(body), content_type=kind))
            for _ in range(4)
        ]
        assert phone.shot().status_code == 200
        assert [b" 408 " in connection.recv(1000) for connection in lost] == [True] * 4
    assert len(job.submissions) == 1


def test_a_failure_in_the_middle_leaves_nothing(server: Server) -> None:
    """When the rules fail after a file was stored, the file goes, and the worker reads that it did not work."""
    job = server.job()
    phone = server.phone(job)
    old_files = stored(server)
    with mock.patch.object(server.world.jobs, "submit", side_effect=RuntimeError("disk")):
        answer = phone.upload(("a.jpg", JPEG), script=False)
    assert answer.status_code == 500
    assert stored(server) == old_files
    assert len(job.submissions) == 0
    assert phone.shot().status_code == 200


# --- who sent it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (ANDROID, {"device_model": "Pixel 8", "device_os": "Android 15"}),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/130", {"device_os": "Android 10"}),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)",
            {"device_model": "iPhone", "device_os": "iOS 18.1"},
        ),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X)", {"device_model": "iPad", "device_os": "iOS 17.5"}),
        ("Mozilla/5.0 (X11; Linux x86_64)", {"device_os": "Linux"}),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", {"device_os": "macOS"}),
        ("curl/8", {}),
        ("x" * 10_000, {}),
    ],
)
def test_devices(agent: str, device: dict[str, str]) -> None:
    """The device is what the browser says of itself, where it says something."""
    assert sending.device_of(agent) == {**device, "app_version": "web"}


@pytest.mark.parametrize("is_kept", [False, True])
def test_the_submissions_of_one_worker(tmp_path: Path, is_kept: bool) -> None:
    """A worker's own submissions to a job come latest first, no more than asked, in memory and on disk."""
    opened = open_world(tmp_path, RealClock()) if is_kept else World(RealClock(), seed=0)
    with contextlib.closing(opened) as world:
        with world.lock:
            lab = world.accounts.create_organization("A", "a@b.example", free_tier=False, at=1.0, cents=9_999)
            fields = validate(JobBody, {**JOB, "files_needed": 9}).model_dump()
            world.jobs.jury = Nobody()
            job, lamps = (world.jobs.create(lab.key.account, fields, "me", 1.0, "") for _ in range(2))
        for of, worker in ((job, "wkr_a"), (job, "wkr_b"), (job, "wkr_a"), (lamps, "wkr_a"), (job, "wkr_a")):
            with world.lock:
                file = capture(of, "image/jpeg", 1.0, rating=4, given=JPEG)
                world.jobs.submit(of, [file], 2.0, worker=worker)
        with world.lock:
            latest = [*world.state.submissions_of(job, "wkr_a", 2)]
            assert latest == [job.submissions[3], job.submissions[2]]
            assert [*world.state.submissions_of(lamps, "wkr_b", 2)] == []


def test_near_duplicates_are_marked(server: Server) -> None:
    """A picture that looks like an earlier one of the same person is taken, and the reviewer reads it; the API says
    nothing of it. Neither others' pictures nor what it replaces count."""

    def shot(image: Image.Image, quality: int, orientation: int = 1) -> bytes:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality, exif=b"Exif\0\0" + exif(orientation))
        return out.getvalue()

    def likes() -> list[str | None]:
        return [file.source.details().like for submission in job.submissions for file in submission.files]

    scene, night = (Image.effect_mandelbrot((600, 400), (-2, -at, 1, at), 60) for at in (1.0, 0.3))
    job = server.job(files_needed=9)
    phone, stranger = server.phone(job), server.phone(job)
    small = scene.resize((450, 300)).transpose(Image.Transpose.ROTATE_90)  # which orientation 6 turns back
    for content in (shot(scene, 90), shot(small, 60, 6), shot(night, 90), shot(Image.new("L", (9, 9)), 90)):
        phone.open()
        assert phone.shot(content).status_code == 200
    assert stranger.shot(shot(scene, 80)).status_code == 200
    first = job.submissions[0].id
    assert likes() == [None, first, None, None, None]
    page = Phone(phone.port, "").send("GET", f"/review?at={job.submissions[1].id}").text
    assert "<strong>Looks like</strong> what" in page
    assert f"/review/media/{first}/{job.submissions[0].files[0].id}" in page
    server.score(job.submissions[2].id, 2)
    phone.open(f"{phone.path}?retry={job.submissions[2].id}")
    assert phone.shot(shot(night, 70)).status_code == 200
    assert likes()[2] is None
    server.score(job.submissions[1].id, 5)
    (record,) = server.buyer.files.list(job.id)
    assert not {"look", "like"} & record.model_dump().keys()


def test_content_credentials_are_read_before_they_are_removed(server: Server) -> None:
    """The verdict and the hash of the original are kept, and the store, in which a place may be, is not. The reviewer
    sees it, and nothing is refused."""
    signed = sign(JPEG, "image/jpeg", "trainedAlgorithmicMedia")
    job = server.job(files_needed=1)
    assert server.phone(job).shot(signed).status_code == 200
    (submission,) = job.submissions
    (file,) = submission.files
    assert b"c2pa" in signed
    assert b"c2pa" not in file.content()
    server.score(submission.id, 5)
    (record,) = server.buyer.files.list(job.id)
    assert record.content_credentials is not None
    assert record.content_credentials.model_dump() == {
        "state": "valid",
        "signer": "Camera 1",
        "digital_source_type": f"{SOURCES}trainedAlgorithmicMedia",
        "original_sha256": hashlib.sha256(signed).hexdigest(),
    }
    assert record.content_hash == hashlib.sha256(file.content()).hexdigest()

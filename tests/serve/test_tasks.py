"""Tasks: what each person is given, what its files say of it, and when a row is open again."""

from __future__ import annotations

import html
import io
import json
import threading
import zipfile
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from firsthandapi.errors import ConfigurationError
from firsthandapi.testing import make
from firsthandapi_server.rules.reviews import GoldScore, gold_score
from firsthandapi_server.serve.programs import _asked
from firsthandapi_server.serve.service import Service
from firsthandapi_server.serve.study import read_study
from firsthandapi_server.serve.tasks import ASSIGNED_SECONDS, Task, read_tasks
from firsthandapi_server.state.model import Job, Submission

from .conftest import (
    TABLE,
    TITLE,
    Open,
    Visitor,
    fields_of,
    pass_seconds,
    write,
)

DAY = 86400.0


def made_for(submission: Submission) -> Any:
    """The row that was sent for."""
    return submission.files[0].source.details().more.get("task_id")


# --- what people are given ------------------------------------------------------------------------------


def test_each_person_gets_the_next_open_row(lab: Open) -> None:
    """A row is shown to one person at a time, as often as it wants files; a second page shows the same."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana, ben, cem, dia, eve = (study.joined() for _ in range(5))
    assert [study.shown(person, job) for person in (ana, ana, ben, cem, dia, eve)] == [
        *("r1", "r1", "r2", "r2", "r3"),
        None,
    ]
    page = ana.get(study.path(job)).text
    assert "A stop sign" in page
    assert "A street name" not in page
    assert "No task is open for you right now" in eve.get(study.path(job)).text
    assert '<form id="send"' not in eve.get(study.path(job)).text


def test_files_say_what_they_were_made_for(lab: Open, tmp_path: Path) -> None:
    """The row of the form, in File and Submission, in the rows of the dataset, on the pages, and in one's own data."""
    study = lab(table=TABLE)
    job = study.job(files_needed=1)
    ana = study.joined()
    submission = study.work(ana, job)
    assert "A stop sign" in study.visit("reviewer").get("/review").text
    study.score(submission.id, 5)
    record = study.buyer.submissions.get(submission.id)
    (file,) = study.buyer.files.list(job.id)
    assert (record.task_id, record.task_text) == (file.task_id, file.task_text) == ("r1", "A stop sign")
    dataset = study.buyer.files.download_all(job.id, tmp_path / "signs")
    assert [(row.task_id, row.task_text) for row in dataset] == [("r1", "A stop sign")]
    assert "A stop sign" in _asked(submission).description
    exported = ana.get("/me/data.zip").content
    with zipfile.ZipFile(io.BytesIO(exported)) as archive:
        record = json.loads(archive.read("data.json"))
    assert (record["files"][0]["task_id"], record["files"][0]["task_text"]) == ("r1", "A stop sign")
    assert record["tasks"][0] == {"task_id": "r1", "task_text": "A stop sign", "submission_id": submission.id}


def test_nobody_gets_a_row_twice(lab: Open) -> None:
    """Not even one that is open again since their file was rejected; others do."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana, ben = study.joined(), study.joined()
    first = study.work(ana, job)
    assert (made_for(first), study.shown(ana, job)) == ("r1", "r2")
    study.score(first.id, 1)
    assert [study.shown(person, job) for person in (ana, ben)] == ["r2", "r1"]
    assert [made_for(study.work(ana, job)) for _ in range(2)] == ["r2", "r3"]
    assert study.shown(ana, job) is None


def test_what_a_table_says_is_inert(lab: Open) -> None:
    """On the pages of workers, reviewers, and operators, in the form, and in what is fetched."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
    study = lab(table='id,text\n"' + evil.replace('"', '""') + '","' + evil.replace('"', '""') + '"\n')
    job = study.job(files_needed=9)
    ana = study.joined()
    pages = [ana.get(study.path(job)).text]
    fields = {name: html.unescape(value) for name, value in fields_of(pages[0]).items()}
    assert _send(ana, study.path(job), fields).status_code == 303
    submission = job.submissions[-1]
    pages += [ana.get(study.path(job)).text, ana.get("/me").text, study.visit("reviewer").get("/review").text]
    operator = study.visit("operator")
    pages += [operator.get(path).text for path in ("/console/tasks", f"/console/jobs/{job.id}")]
    assert [page for page in pages if "<script>alert" in page or "<img src=x" in page or ">49<" in page] == []
    assert study.buyer.submissions.get(submission.id).task_id == evil


def test_a_job_without_a_table_has_no_tasks(lab: Open) -> None:
    """Its files say nothing of any, and neither do those of a table whose job is posted later."""
    study = lab(table=TABLE)
    job, lamps = study.job(title="Something else"), study.job(title=None)
    ana = study.joined()
    for target in (job, lamps):
        assert study.shown(ana, target) is None
        assert made_for(study.work(ana, target)) is None
    assert study.buyer.submissions.get(job.submissions[0].id).task_id is None


def test_a_row_that_somebody_cannot_do_is_given_back(lab: Open) -> None:
    """Without scripts: they get another one, and others get theirs."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana, ben = study.joined(), study.joined()
    page = study.path(job)
    assert study.shown(ana, job) == "r1"
    assert ana.send("/me/skip", page, job=job.id, task_id="r1").headers["location"] == page
    assert [study.shown(person, job) for person in (ana, ben)] == ["r2", "r1"]
    assert ana.send("/me/skip", page, job=job.id, task_id="r9").status_code == 303
    assert ana.send("/me/skip", page, job="job_0", task_id="r2").status_code == 404
    assert study.shown(ana, job) == "r2"


def test_a_row_is_open_again_after_a_while(lab: Open) -> None:
    """Two hours after it was given. Whoever comes later may still send for it, if nobody else has it."""
    study = lab(table="id,text\nr1,A stop sign\n")
    job = study.job(files_needed=9)
    ana, ben = study.joined(), study.joined()
    open_page = fields_of(ana.get(study.path(job)).text)
    assert study.shown(ben, job) is None
    pass_seconds(study.service, ASSIGNED_SECONDS + 1)
    assert study.shown(ben, job) == "r1"
    assert study.shown(ana, job) is None
    refused = _send(ana, study.path(job), open_page)
    assert refused.status_code == 409
    assert "Others have done this task" in refused.text
    pass_seconds(study.service, ASSIGNED_SECONDS + 1)
    assert _send(ana, study.path(job), open_page).status_code == 303
    assert made_for(job.submissions[-1]) == "r1"
    assert study.open_rows() == {}


def test_two_at_once_for_the_last_place(lab: Open) -> None:
    """Both have the page of a row that wants one file, and send at the same moment: one file is taken."""
    study = lab(table="id,text\nr1,A stop sign\n")
    job = study.job(files_needed=9)
    people = [study.joined() for _ in range(2)]
    pages: list[dict[str, str]] = []
    for person in people:
        pages.append(fields_of(person.get(study.path(job)).text))
        pass_seconds(study.service, ASSIGNED_SECONDS + 1)
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda person=person, page=page: answers.append(
                _send(person, study.path(job), page).status_code
            )
        )
        for person, page in zip(people, pages, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [303, 409]
    assert len(job.submissions) == 1


def test_a_stranger_cannot_choose_a_row(lab: Open) -> None:
    """Neither one that they were not given, nor one that there is not; the same form twice is one file."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana = study.joined()
    page = fields_of(ana.get(study.path(job)).text)
    for task in ("r2", "r9", "r1\nr2"):
        assert _send(ana, study.path(job), {**page, "task_id": task}).status_code == 409
    assert len(job.submissions) == 0
    assert _send(ana, study.path(job), page).status_code == 303
    reply = _send(ana, study.path(job), {**page, "upload": token_hex(16)})
    assert (reply.status_code, "You have already sent something for this task" in reply.text) == (409, True)
    assert len(job.submissions) == 1


def test_several_files_for_one_row(lab: Open) -> None:
    """A row that wants three files takes no more, and is whole for the first, with what is left for the second."""
    study = lab(table="id,text,quota\nr1,A stop sign,3\nr2,A street name,1\n")
    job = study.job(files_needed=9, files_per_submission=2)
    ana, ben, cem = (study.joined() for _ in range(3))
    most = [
        page.partition('data-most="')[2].partition('"')[0]
        for person in (ana, ben, cem)
        if (page := person.get(study.path(job)).text)
    ]
    assert most == ["2", "1", "1"]
    assert study.shown(cem, job) == "r2"
    pages = {person: fields_of(person.get(study.path(job)).text) for person in (ana, ben)}
    assert _send(ben, study.path(job), pages[ben], 2).status_code == 409
    assert _send(ana, study.path(job), pages[ana], 2).status_code == 303
    assert study.open_rows() == {"r1": 1, "r2": 1}


# --- when a row is open again ---------------------------------------------------------------------------


def test_a_second_attempt_is_for_the_same_row(lab: Open) -> None:
    """It keeps its place and its text meanwhile; once it is given up, the row is open."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana = study.joined()
    submission = study.work(ana, job)
    study.score(submission.id, 2)
    assert "r1" not in study.open_rows()
    assert study.shown(ana, job, retry=submission.id) == "r1"
    page = fields_of(ana.get(study.path(job), params={"retry": submission.id}).text)
    assert _send(ana, study.path(job), page).status_code == 303
    assert (submission.attempt, made_for(submission)) == (2, "r1")
    assert study.buyer.submissions.get(submission.id).task_text == "A stop sign"
    study.score(submission.id, 1)
    assert study.open_rows()["r1"] == 1


@pytest.mark.parametrize("leaves", ["/me/withdraw", "/me/delete"])
def test_whoever_leaves_gives_their_rows_back(lab: Open, leaves: str) -> None:
    """The one that they have, those that wait, and those that were approved."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana, ben = study.joined(), study.joined()
    study.score(study.work(ana, job).id, 5)
    study.work(ana, job)
    assert study.shown(ana, job) == "r3"
    assert study.open_rows() == {"r2": 1, "r3": 1}
    assert ana.send(leaves, "/me", confirm="yes").status_code == 303
    assert study.open_rows() == {"r1": 1, "r2": 2, "r3": 1}
    assert [made_for(study.work(ben, job)) for _ in range(3)] == ["r1", "r2", "r3"]


def test_a_restart_keeps_what_was_given_and_sent(lab: Open) -> None:
    """With other rows, texts, and quotas, too: what somebody was given keeps the text that they read."""
    with ExitStack() as first:
        study = lab(table=TABLE, running=first)
        job = study.job(files_needed=9)
        ana, ben, cem = (study.joined() for _ in range(3))
        study.work(ana, job)
        cookies = [dict(person.http.cookies) for person in (ana, ben, cem)]
        assert [study.shown(person, job) for person in (ana, ben, cem)] == ["r2", "r2", "r3"]
    study = lab(table="id,text,quota,gold\nr0,Anything,1,\nr2,The name of a street,3,\nr1,A stop sign,2,\n")
    job = study.world.state.jobs[job.id]
    for cookie, (row, text) in zip(
        cookies, [("r2", "A street name"), ("r2", "A street name"), ("r0", "Anything")], strict=True
    ):
        visitor = study.visit()
        visitor.http.cookies.update(cookie)
        assert (study.shown(visitor, job), text in visitor.get(study.path(job)).text) == (row, True)
        submission = study.work(visitor, job)
        assert submission.files[0].source.details().more["task_text"] == text
    assert study.open_rows() == {"r2": 1, "r1": 1}
    assert study.shown(study.joined(), job) == "r2"


def test_a_job_that_is_posted_again_continues(lab: Open) -> None:
    """Jobs of one title share their rows; a job of the sandbox has none."""
    study = lab(table=TABLE)
    first = study.job(files_needed=1)
    ana = study.joined()
    study.score(study.work(ana, first).id, 5)
    second = study.job(files_needed=9)
    assert [study.shown(person, second) for person in (ana, study.joined())] == ["r2", "r2"]
    assert study.shown(ana, first) is None
    assert "This job has ended" in ana.get(study.path(first)).text


def test_whoever_has_reached_their_limit_takes_no_row_from_others(lab: Open) -> None:
    """A row is not kept for whoever may send nothing."""
    study = lab(table=TABLE, max_files_per_worker=1)
    job = study.job(files_needed=9)
    ana = study.joined()
    study.work(ana, job)
    assert study.shown(ana, job) is None
    with study.world.lock:
        assert [row.assigned for row in study.service.site.tasks.counts(TITLE, 0, 9)] == [0, 0, 0]


# --- uploads in pieces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_an_upload_in_pieces_is_for_a_row(lab: Open, named: bool) -> None:
    """The one that it names, or the one that its sender has."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    ana = study.joined()
    more = {"task_id": study.shown(ana, job) or ""} if named else {}
    content = make("image/jpeg", token_hex(4)).content
    started = _begin(ana, job, content, **more)
    assert started.status_code == 201, started.text
    pass_seconds(study.service, ASSIGNED_SECONDS - 60)
    assert study.shown(study.joined(), job) == "r2"  # for it was begun
    assert _piece(ana, started.headers["location"], 0, content).status_code == 204
    assert made_for(job.submissions[-1]) == "r1"
    assert _begin(ana, job, content + b" ", task_id="r1").status_code == 409
    assert _begin(ana, job, content + b" ", task_id="r3").status_code == 409


def test_a_slow_upload_keeps_its_row(lab: Open) -> None:
    """From the last piece that came; where others were faster, the next piece says so, and the rest need not come."""
    study = lab(table="id,text\nr1,A stop sign\n")
    job = study.job(files_needed=9)
    ana, ben = study.joined(), study.joined()
    content = make("image/jpeg", token_hex(4)).content
    where = _begin(ana, job, content, task_id=study.shown(ana, job) or "").headers["location"]
    for at in range(3):
        pass_seconds(study.service, ASSIGNED_SECONDS - 60)
        assert _piece(ana, where, at * 100, content[at * 100 : at * 100 + 100]).status_code == 204
        assert study.shown(ben, job) is None
    pass_seconds(study.service, ASSIGNED_SECONDS + 1)
    assert study.shown(ben, job) == "r1"
    late = _piece(ana, where, 300, content[300:])
    assert (late.status_code, "Others have done this task" in late.text) == (409, True)
    pass_seconds(study.service, ASSIGNED_SECONDS + 1)
    assert _piece(ana, where, 300, content[300:]).status_code == 204
    assert made_for(job.submissions[-1]) == "r1"


TUS = {"tus-resumable": "1.0.0"}


def _piece(visitor: Visitor, where: str, at: int, content: bytes) -> httpx.Response:
    headers = {"upload-offset": str(at), "content-type": "application/offset+octet-stream", **TUS}
    return visitor.http.patch(where, content=content, headers=headers)


def _begin(visitor: Visitor, job: Job, content: bytes, **more: str) -> httpx.Response:
    fields = {"filename": "a.jpg", "filetype": "image/jpeg", "job_id": job.id, **more}
    metadata = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in fields.items())
    headers = {"upload-length": str(len(content)), "upload-metadata": metadata, **TUS}
    origin = str(visitor.http.base_url).rstrip("/")
    return visitor.http.post("/uploads", headers={**headers, "origin": origin})


def _send(visitor: Visitor, page: str, fields: dict[str, str], count: int = 1) -> httpx.Response:
    """A form as a page had it, whatever it would have now."""
    files = [
        ("file", (f"{n}.jpg", make("image/jpeg", token_hex(8)).content, "image/jpeg")) for n in range(count)
    ]
    return visitor.http.post(page, data=fields, files=files)


# --- what is known of a row -----------------------------------------------------------------------------


def test_a_known_rating_tests_reviewers(lab: Open) -> None:
    """What reviewers give to the files of a row with a known rating is compared with it, and the rating counts; whoever
    has not rated such a file gets it as a gold file."""
    study = lab(table=TABLE, reviews={"gold": 1.0})
    job = study.job(files_needed=9)
    ana, ben = study.joined(), study.joined()
    plain, golden = study.work(ana, job), study.work(ben, job)
    assert (made_for(plain), made_for(golden)) == ("r1", "r2")
    first, second = study.visit("reviewer", "First"), study.visit("reviewer", "Second")
    first.rate(plain.id, 4)
    first.rate(golden.id, 4)
    assert [submission.status for submission in (plain, golden)] == ["approved", "approved"]
    ratings = study.service.site.panel.ratings
    assert [gold_score(pairs) for pairs in ratings.gold_pairs().values()] == [GoldScore(1, 0, 1.0)]
    assert golden.id in second.get("/review").text
    second.rate(golden.id, 5)
    assert sorted(score.right for pairs in ratings.gold_pairs().values() if (score := gold_score(pairs))) == [
        0,
        1,
    ]
    page = study.visit("operator").get("/console/reviews").text
    assert "1 of 1" in page
    assert "0 of 1" in page
    assert "from <a" in page


def test_known_ratings_follow_the_table(lab: Open) -> None:
    """Those of files that were sent before, too; what an operator has marked stays."""
    with ExitStack() as first:
        study = lab(table=TABLE, running=first)
        job = study.job(files_needed=9)
        ana = study.joined()
        sent = [study.work(ana, job) for _ in range(3)]
        assert [(gold.submission, gold.stars) for gold in study.service.site.panel.ratings.gold()] == [
            (sent[1].id, 5)
        ]
        study.score(sent[0].id, 4)
        file = sent[0].files[0].id
        operator = study.visit("operator")
        operator.send("/console/reviews/gold", submission=sent[0].id, file=file, stars="3")
        ids = [submission.id for submission in sent]
    study = lab(table="id,text,gold\nr1,A stop sign,1\nr2,A street name,\nr3,A shop sign,2\n")
    stars = {gold.submission: gold.stars for gold in study.service.site.panel.ratings.gold()}
    assert stars == {ids[0]: 3, ids[2]: 2}


# --- the table ------------------------------------------------------------------------------------------


def read(folder: Path, content: str | bytes) -> list[Task]:
    """The rows of a table."""
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "prompts.csv").write_bytes(data)
    return read_tasks(read_study(write(folder, tasks={TITLE: "prompts.csv"})))[TITLE]


@pytest.mark.parametrize(
    "content",
    [
        '\ufeffid;text;quota;gold\r\n1;“Hé”, he said;2;5\r\n\r\n2;"a; b\nc";;\r\n;;;\r\n',
        'Id , TEXT,quota,gold,,\n 1 ,"“Hé”, he said",2,5,,\n2,"a; b\nc",,,,\n',
        'gold\ttext\tid\tquota\n5\t“Hé”, he said\t1\t2\n\t"a; b\nc"\t2\t\n',
    ],
)
def test_tables_as_spreadsheets_save_them(tmp_path: Path, content: str) -> None:
    """With commas, semicolons, or tabs, with or without a byte order mark, with rows and columns that are empty."""
    assert read(tmp_path, content) == [Task("1", "“Hé”, he said", 2, 5), Task("2", "a; b\nc", 1, None)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,text\n1,a\n1,b\n", "line 3: the id '1' is already on line 2; change one of the two"),
        ("id,text\n1,a\n,b\n", "line 3: the id is missing; write one"),
        ("id,text\n1,\n", "line 2: the text is missing; write one"),
        ("id,text,quota\n1,a,0\n", "line 2: quota must be a whole number from 1 to 1,000,000, not '0'"),
        ("id,text,quota\n1,a,many\n", "line 2: quota must be a whole number from 1 to 1,000,000, not 'many'"),
        ("id,text,quota\n1,a,1.5\n", "line 2: quota must be a whole number from 1 to 1,000,000, not '1.5'"),
        ("id,text,quota\n1,a,-1\n", "line 2: quota must be a whole number from 1 to 1,000,000, not '-1'"),
        ("id,text,gold\n1,a,6\n", "line 2: gold must be a whole number from 1 to 5, not '6'"),
        (
            "text,quota\na,1\n",
            "has no column id; its first line names its columns, such as id,text,quota,gold",
        ),
        ("id,quota\n1,1\n", "has no column text"),
        ("id,text,qouta\n1,a,1\n", "'qouta' is not a known column; did you mean quota?"),
        ("id,text,note\n1,a,1\n", "'note' is not a known column; its columns are id, text, quota, gold"),
        ("id,text,id\n1,a,1\n", "has the column id twice; remove one of the two"),
        (
            "id,text,quota\n1,Hello, you,1\n",
            "line 2 has more values than columns; put a text with ',' into quotes",
        ),
        ('id,text\n1,"a\n2,b\n', "is not valid CSV: unexpected end of data"),
        ("id,text\n", "has 0 rows; write 1 to 100,000"),
        ("", "has no column id"),
        (f"id,text\n1,{'a' * 5001}\n", "line 2: the text has more than 5,000 characters; shorten it"),
        ("id,text\n1\x07,a\n", "line 2 has '1\\x07', which no page can show"),
        ("id,text\n1,a\x07\n", "line 2 has '\\x07', which no page can show"),
        ("id,text\n1,Hé\n".encode("latin-1"), "it is not UTF-8; save it as CSV UTF-8"),
    ],
)
def test_a_wrong_table_is_refused_by_name(tmp_path: Path, content: str | bytes, words: str) -> None:
    """Which file, which line, what is wrong, and what to do."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "prompts.csv") in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ({TITLE: "prompts.csv"}, f"tasks.{TITLE}: there is no file prompts.csv beside it"),
        ({TITLE: "../prompts.csv"}, "there is no file ../prompts.csv beside it"),
        ({TITLE: 7}, f"tasks.{TITLE}"),
        ({"": "prompts.csv"}, "tasks"),
        (["prompts.csv"], "tasks: input should be a valid dictionary"),
    ],
)
def test_a_study_with_a_wrong_table_is_not_served(tmp_path: Path, tasks: Any, words: str) -> None:
    """Before the server listens, or makes anything."""
    study = write(tmp_path, tasks=tasks)
    with pytest.raises(ConfigurationError) as caught:
        Service(tmp_path / "data", study=study)
    assert words in str(caught.value)
    assert json.loads(study.read_text())["tasks"] == tasks
    assert not (tmp_path / "data").exists()

"""The operators' page about tasks."""

from __future__ import annotations

import csv
import io
import re

from .conftest import EVIL, TABLE, TITLE, Open, Visitor


def rows_of(visitor: Visitor, path: str) -> list[list[str]]:
    """The cells of the tables of a page."""
    page = visitor.get(path)
    assert page.status_code == 200
    body = re.findall(r"<tr><td.*?</tr>", page.text, re.DOTALL)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", row)] for row in body]


def test_counts_for_each_row(lab: Open) -> None:
    """How many files it wants, how many are approved, how many wait, who has it, and what is known of it: on the page
    of tasks, on that of the job, and as a table."""
    study = lab(table=TABLE)
    job = study.job(files_needed=9)
    people = [study.joined() for _ in range(3)]
    study.score(study.work(people[0], job).id, 5)
    study.work(people[1], job)
    assert study.shown(people[2], job) == "r2"
    operator = study.visit("operator")
    counts = [
        ["r1", "A stop sign", "1", "1", "0", "0"],
        ["r2", "A street name", "2", "0", "1", "1"],
        ["r3", "A shop sign", "1", "0", "0", "0"],
    ]
    for path in ("/console/tasks", f"/console/jobs/{job.id}"):
        assert [row[:6] for row in rows_of(operator, path)] == counts
        page = operator.get(path).text
        assert "3 tasks want 4 files; 2 of them wait or are approved." in page
        assert page.count("5 of 5 stars") >= 1
    assert f'<a href="/console/jobs/{job.id}">{TITLE}</a>' in operator.get("/console/tasks").text
    lines = [*csv.reader(io.StringIO(operator.get("/console/tasks.csv", params={"title": TITLE}).text))]
    assert lines[0] == ["id", "text", "quota", "gold", "approved", "waiting", "assigned"]
    assert lines[2] == ["r2", "A street name", "2", "5", "0", "1", "1"]
    assert 'href="/console/tasks"' in operator.get("/console").text
    assert study.visit("reviewer").get("/console/tasks").status_code == 403


def test_a_title_that_no_job_has(lab: Open) -> None:
    """It may be posted later, so the server starts, and says so; a title is shown as text, whatever it is. So is a job
    that ended too early."""
    study = lab(table=TABLE, tasks={TITLE: "prompts.csv", f"Signs {EVIL[:80]}": "prompts.csv"})
    operator = study.visit("operator")
    page = operator.get("/console/tasks").text
    assert page.count("No job has this title yet") == 2
    jobs = operator.get("/console").text
    assert (jobs.count("no job with this title yet"), "<script>alert" in jobs) == (2, False)
    assert "<script>alert" not in page
    job = study.job(title=f" {TITLE} ")
    assert operator.get("/console/tasks").text.count("No job has this title yet") == 1
    study.buyer.jobs.cancel(job.id)
    assert "rows are still open: post another one" in operator.get("/console/tasks").text
    for path in ("/console/tasks", "/console/tasks.csv"):
        assert operator.get(path, params={"title": "No such title"}).status_code == 404
    assert operator.get("/console/tasks.csv").status_code == 404


def test_many_rows_come_in_parts(lab: Open) -> None:
    """A hundred on a page; the table has them all."""
    study = lab(table="id,text\n" + "".join(f"r{number},Task {number}\n" for number in range(250)))
    operator = study.visit("operator")
    ids, path = [], "/console/tasks"
    while path:
        ids += [row[0] for row in rows_of(operator, path)]
        following = re.search(r'href="([^"]*)" rel="next"', operator.get(path).text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert ids == [f"r{number}" for number in range(250)]
    lines = operator.get("/console/tasks.csv", params={"title": TITLE}).text.splitlines()
    assert len(lines) == 251
    assert operator.get("/console/tasks", params={"after": "x"}).status_code == 400


def test_a_server_without_tasks_has_no_such_page(lab: Open) -> None:
    """And says nothing of any."""
    study = lab()
    operator, job = study.visit("operator"), study.job()
    assert operator.get("/console/tasks").status_code == 404
    assert "/console/tasks" not in operator.get("/console").text
    assert 'id="tasks"' not in operator.get(f"/console/jobs/{job.id}").text

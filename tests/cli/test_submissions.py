"""`firsthandapi submissions`."""

from __future__ import annotations

import json

from cli.support import Cli
from firsthandapi.testing import MockServer

from .support import SPEC


def test_submissions_in_detail_and_in_figures(cli: Cli, fresh_server: MockServer) -> None:
    """get and summary, for people and for programs, with the signed URL only on request."""
    with fresh_server.client() as client:
        job = client.jobs.create(**{**SPEC, "files_needed": 2})
    work = fresh_server.submit(job.id, rating=4)
    fresh_server.submit(job.id, rating=1)
    fresh_server.clock.advance(seconds=60)
    run = cli("submissions", "get", work.submission_id)
    assert "★★★★" in run.out
    assert "file_url" not in json.loads(cli("submissions", "get", work.submission_id, "--json").out)
    assert json.loads(cli("submissions", "get", work.submission_id, "--json", "--urls").out)["id"]
    figures = cli("submissions", "summary", job.id)
    assert figures == cli("submissions", "summary", "--job-id", job.id)  # as in 1.0.0
    assert "50%" in figures.out
    assert json.loads(cli("submissions", "summary", "--json").out)["total"] == 2
    good = cli("submissions", "list", "--min-stars", "4", "--start-date", "2020-01-01T00:00:00Z", "--json")
    assert [submission["id"] for submission in json.loads(good.out)] == [work.submission_id]

"""`firsthandapi files`."""

from __future__ import annotations

import json
from pathlib import Path

from cli.support import SPEC, Cli
from firsthandapi.testing import MockServer


def test_files_and_submissions_of_a_job(runner: Cli, server: MockServer) -> None:
    """They are listed and fetched; a signed URL is printed only when asked for."""
    with server.client() as client:
        job = client.jobs.create_and_wait(**SPEC)
    listed = runner("files", "list", job.id)
    assert listed.out.count("image/jpeg") == 3
    plain = runner("files", "list", job.id, "--json")
    assert len(json.loads(plain.out)) == 3
    assert "X-Amz" not in listed.out + plain.out
    assert "X-Amz" in runner("files", "list", job.id, "--json", "--urls").out
    fetched = runner("files", "download", job.id, "--dest", "got", "--json")
    assert json.loads(fetched.out)["files"] == 3
    assert "approved" in runner("submissions", "list", job.id).out
    submissions = json.loads(runner("submissions", "list", "--json").out)
    assert {submission["job_id"] for submission in submissions} == {job.id}


def test_a_label_names_the_folder_of_the_files(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """Of `collect`, and of `files download`: both fill one folder."""
    (tmp_path / "job.yaml").write_text(json.dumps({**SPEC, "files_needed": 1}))
    runner("collect", "--spec", "job.yaml", "--dest", "signs", "--label", "stop")
    with server.client() as client:
        job = client.jobs.create_and_wait(**{**SPEC, "files_needed": 2})
    runner("files", "download", job.id, "--dest", "signs", "--label", "yield")
    assert sorted(path.parent.name for path in (tmp_path / "signs" / "data").glob("*/*.*")) == [
        "stop",
        "yield",
        "yield",
    ]
    assert runner("verify", "signs").out.endswith("3 files: all verified\n")

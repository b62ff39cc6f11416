"""The command line at the main job: post, follow, fetch, verify, with exit codes and JSON."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.support import SPEC, TOML, YAML, firsthandapi, start
from firsthandapi.testing import MockServer


@pytest.mark.parametrize(
    ("name", "text"), [("job.yaml", YAML), ("job.json", json.dumps(SPEC)), ("job.toml", TOML)]
)
def test_collect_makes_a_verified_folder_from_a_spec(
    server: MockServer, tmp_path: Path, name: str, text: str
) -> None:
    """YAML, JSON and TOML say the same; plain lines go to stderr, the result to stdout; `verify` agrees."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    run = firsthandapi(server, tmp_path, "collect", "--spec", name, "--dest", "signs")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("3 files in signs, all verified")
    assert "3 of 3 files" in run.stderr
    assert "$1.50" in run.stderr
    check = firsthandapi(server, tmp_path, "verify", "signs")
    assert (check.returncode, check.stdout) == (0, "3 files: all verified\n")


def test_collect_again_buys_nothing(server: MockServer, tmp_path: Path) -> None:
    """The same command continues the same job."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    command = ("collect", "--spec", "job.yaml", "--dest", "signs", "--json")
    first = json.loads(firsthandapi(server, tmp_path, *command).stdout)
    second = json.loads(firsthandapi(server, tmp_path, *command).stdout)
    assert first == second
    assert first["files"] == 3
    assert sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests) == 1


def test_verify_exits_with_1_and_names_what_is_wrong(server: MockServer, tmp_path: Path) -> None:
    """A changed and a missing file are told, in both forms."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    firsthandapi(server, tmp_path, "collect", "--spec", "job.yaml", "--dest", "signs")
    changed, gone, _ = sorted((tmp_path / "signs" / "data").iterdir())
    changed.write_bytes(b"other")
    gone.unlink()
    run = firsthandapi(server, tmp_path, "verify", "signs")
    assert run.returncode == 1
    assert f"mismatched  data/{changed.name}" in run.stdout
    assert f"missing     data/{gone.name}" in run.stdout
    as_json = json.loads(firsthandapi(server, tmp_path, "verify", "signs", "--json").stdout)
    assert as_json["ok"] is False
    assert as_json["missing"] == [f"data/{gone.name}"]


def test_verify_says_where_rows_are_lost(server: MockServer, tmp_path: Path) -> None:
    """What the manifest does not know it cannot miss; the job does, so the folder is not verified."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    firsthandapi(server, tmp_path, "collect", "--spec", "job.yaml", "--dest", "signs")
    assert firsthandapi(server, tmp_path, "verify", "signs").stderr == ""
    (tmp_path / "signs" / "metadata.jsonl").unlink()
    run = firsthandapi(server, tmp_path, "verify", "signs")
    assert run.returncode == 1
    assert run.stdout.count("extra       data/") == 3
    assert run.stderr.startswith("The job has 3 approved files.")
    assert json.loads(firsthandapi(server, tmp_path, "verify", "signs", "--json").stdout)["short"] == 3
    firsthandapi(server, tmp_path, "collect", "--spec", "job.yaml", "--dest", "signs")
    assert "3 files: all verified" in firsthandapi(server, tmp_path, "verify", "signs").stdout


def test_jobs_from_post_to_cancel(server: MockServer, tmp_path: Path) -> None:
    """create, get, list, wait and cancel print tables, or JSON and nothing else."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    created = firsthandapi(server, tmp_path, "jobs", "create", "--spec", "job.yaml", "--json")
    job_id = json.loads(created.stdout)["id"]
    assert "3 approved" in firsthandapi(server, tmp_path, "jobs", "get", job_id).stdout
    assert job_id in firsthandapi(server, tmp_path, "jobs", "list").stdout
    waited = firsthandapi(server, tmp_path, "jobs", "wait", job_id, "--json")
    assert (json.loads(waited.stdout)["status"], waited.stderr) == ("completed", "")
    rated = firsthandapi(server, tmp_path, "jobs", "rate", job_id, "--rating", "5", "--json")
    assert json.loads(rated.stdout)["buyer_rating"] == 5
    refused = firsthandapi(server, tmp_path, "jobs", "cancel", job_id)
    assert refused.returncode == 1
    assert "HTTP 409" in refused.stderr


def test_files_and_submissions_of_a_job(server: MockServer, tmp_path: Path) -> None:
    """They are listed and fetched; a signed URL is printed only when asked for."""
    with server.client() as client:
        job = client.jobs.create_and_wait(**SPEC)
    listed = firsthandapi(server, tmp_path, "files", "list", job.id)
    assert listed.stdout.count("image/jpeg") == 3
    plain = firsthandapi(server, tmp_path, "files", "list", job.id, "--json")
    assert len(json.loads(plain.stdout)) == 3
    assert "X-Amz" not in listed.stdout + plain.stdout
    assert "X-Amz" in firsthandapi(server, tmp_path, "files", "list", job.id, "--json", "--urls").stdout
    fetched = firsthandapi(server, tmp_path, "files", "download", job.id, "--dest", "got", "--json")
    assert json.loads(fetched.stdout)["files"] == 3
    assert "approved" in firsthandapi(server, tmp_path, "submissions", "list", job.id).stdout
    found = json.loads(firsthandapi(server, tmp_path, "submissions", "list", "--json").stdout)
    assert {one["job_id"] for one in found} == {job.id}


def test_a_label_names_the_folder_of_the_files(server: MockServer, tmp_path: Path) -> None:
    """Of `collect`, and of `files download`: both fill one folder."""
    (tmp_path / "job.yaml").write_text(json.dumps({**SPEC, "files_needed": 1}))
    firsthandapi(server, tmp_path, "collect", "--spec", "job.yaml", "--dest", "signs", "--label", "stop")
    with server.client() as client:
        job = client.jobs.create_and_wait(**{**SPEC, "files_needed": 2})
    firsthandapi(server, tmp_path, "files", "download", job.id, "--dest", "signs", "--label", "yield")
    assert sorted(path.parent.name for path in (tmp_path / "signs" / "data").glob("*/*.*")) == [
        "stop",
        "yield",
        "yield",
    ]
    assert firsthandapi(server, tmp_path, "verify", "signs").stdout.endswith("3 files: all verified\n")


def test_balance_shows_dollars(server: MockServer, tmp_path: Path) -> None:
    """What there is, for people and for programs."""
    assert "$1,000.00" in firsthandapi(server, tmp_path, "balance").stdout
    assert json.loads(firsthandapi(server, tmp_path, "balance", "--json").stdout)["balance_cents"] == 100_000


def test_out_of_credits_exits_with_4(server: MockServer, tmp_path: Path) -> None:
    """CI tells a lack of credits from a failure."""
    (tmp_path / "job.json").write_text(json.dumps({**SPEC, "files_needed": 10_000}), encoding="utf-8")
    run = firsthandapi(server, tmp_path, "collect", "--spec", "job.json", "--dest", "signs")
    assert run.returncode == 4
    assert "Traceback" not in run.stderr


def test_a_timeout_exits_with_3(tmp_path: Path) -> None:
    """CI tells a job that takes longer from a failure; the same command continues it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    with MockServer(workers=False) as server:
        run = firsthandapi(
            server, tmp_path, "collect", "--spec", "job.yaml", "--dest", "signs", "--timeout", "0.5"
        )
    assert run.returncode == 3, run.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_output_of_few_characters_is_enough(server: MockServer, tmp_path: Path, encoding: str) -> None:
    """A Windows pipe has no star and no Japanese: both are shown with what it has."""
    environment = {
        **os.environ,
        "FIRSTHAND_BASE_URL": server.url,
        "FIRSTHAND_API_KEY": server.api_key,
        "PYTHONIOENCODING": encoding,
    }

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", "from firsthandapi.cli import main; main()", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            encoding=encoding,
            errors="replace",
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    spec = {**SPEC, "title": "東京"}
    (tmp_path / "job.json").write_text(json.dumps(spec), encoding="utf-8")
    assert re.search(r"\d \*", run("collect", "--spec", "job.json", "--dest", "signs"))
    with server.client() as client:
        (job,) = client.jobs.list()
    assert "***" in run("files", "list", job.id)
    assert "***" in run("submissions", "list", job.id)
    assert json.loads(run("jobs", "get", job.id, "--json"))["title"] == "東京"
    run("jobs", "list")
    run("demo")


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
@pytest.mark.parametrize(("how", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    "arguments", [("collect", "--spec", "job.yaml", "--dest", "signs"), ("jobs", "wait")], ids=" ".join
)
def test_who_stops_a_wait_learns_how_to_continue(
    tmp_path: Path, arguments: tuple[str, ...], how: str, code: int
) -> None:
    """At Ctrl-C, and at SIGTERM, one sentence says what happens to the job; the same command continues it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    with MockServer(workers=False) as server, server.client() as client:
        if arguments[0] == "jobs":
            arguments = (*arguments, client.jobs.create(**SPEC).id)  # type: ignore[arg-type] # a dict of all fields
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        for _ in range(2):
            process = start(*arguments, cwd=tmp_path, **place)
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any("0 of 3 files" in line for line in lines)
            process.send_signal(getattr(signal, how))
            out, err = process.communicate(timeout=30)
            (job,) = client.jobs.list()
            assert (out, process.returncode) == ("", code)
            assert err.splitlines() == [
                f"The job continues: {job.id}. Run the same command again, "
                f"or cancel with: firsthandapi jobs cancel {job.id}"
            ]
        assert len([*client.jobs.list()]) == 1

"""`firsthandapi collect` and `verify`, with exit codes and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cli.support import SPEC, TOML, YAML, Cli
from firsthandapi.testing import MockServer


def test_collect_makes_a_verified_folder_from_a_spec(here: Cli, tmp_path: Path) -> None:
    """Plain lines go to stderr, the result to stdout; `verify` agrees."""
    (tmp_path / "job.toml").write_text(TOML, encoding="utf-8")
    run = here("collect", "--spec", "job.toml", "--dest", "signs")
    assert run.code == 0, run.err
    assert run.out.startswith("3 files in signs, all verified")
    assert "3 of 3 files" in run.err
    assert "$1.50" in run.err
    check = here("verify", "signs")
    assert (check.code, check.out) == (0, "3 files: all verified\n")


def test_collect_again_buys_nothing(here: Cli, server: MockServer, tmp_path: Path) -> None:
    """The same command continues the same job; of a finished one, it says so, and not how to cancel it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    command = ("collect", "--spec", "job.yaml", "--dest", "signs", "--json")
    first = json.loads(here(*command).out)
    second = json.loads(here(*command).out)
    assert first == second
    assert first["files"] == 3
    again = here(*command[:-1]).err
    assert "3 files for $1.50, completed\n" in again
    assert "To cancel" not in again
    assert "0 of 3 files" not in again
    assert sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests) == 1


def test_verify_exits_with_1_and_names_what_is_wrong(here: Cli, tmp_path: Path) -> None:
    """A changed and a missing file are told, in both forms."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    here("collect", "--spec", "job.yaml", "--dest", "signs")
    changed, gone, _ = sorted((tmp_path / "signs" / "data").iterdir())
    changed.write_bytes(b"other")
    gone.unlink()
    run = here("verify", "signs")
    assert run.code == 1
    assert f"mismatched  data/{changed.name}" in run.out
    assert f"missing     data/{gone.name}" in run.out
    assert run.err == "To repair the folder: firsthandapi repair signs\n"
    as_json = json.loads(here("verify", "signs", "--json").out)
    assert as_json["ok"] is False
    assert as_json["missing"] == [f"data/{gone.name}"]


def test_verify_says_where_rows_are_lost(here: Cli, tmp_path: Path) -> None:
    """What the manifest does not know it cannot miss; the job does, so the folder is not verified."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    here("collect", "--spec", "job.yaml", "--dest", "signs")
    assert here("verify", "signs").err == ""
    (tmp_path / "signs" / "metadata.jsonl").unlink()
    run = here("verify", "signs")
    assert run.code == 1
    assert run.out.count("extra       data/") == 3
    assert run.err.startswith("The job has 3 approved files.")
    assert json.loads(here("verify", "signs", "--json").out)["short"] == 3
    here("collect", "--spec", "job.yaml", "--dest", "signs")
    assert "3 files: all verified" in here("verify", "signs").out


def test_verify_says_that_the_diary_is_missing(here: Cli, server: MockServer, tmp_path: Path) -> None:
    """As in a copy without hidden files, which is no failure. The rows lead to the job, which is not bought again."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    here("collect", "--spec", "job.yaml", "--dest", "signs")
    shutil.rmtree(tmp_path / "signs" / ".firsthandapi")
    run = here("verify", "signs")
    assert (run.code, run.out) == (0, "3 files: all verified, no record of their jobs in .firsthandapi/\n")
    assert run.err.startswith(".firsthandapi/ is missing, or records no job: ")
    as_json = json.loads(here("verify", "signs", "--json").out)
    assert (as_json["ok"], as_json["diary"]) == (True, False)
    assert here("collect", "--spec", "job.yaml", "--dest", "signs").code == 0
    assert sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests) == 1
    assert here("verify", "signs").out == "3 files: all verified\n"


def test_out_of_credits_exits_with_4(here: Cli, tmp_path: Path) -> None:
    """CI tells a lack of credits from a failure."""
    (tmp_path / "job.json").write_text(json.dumps({**SPEC, "files_needed": 10_000}), encoding="utf-8")
    run = here("collect", "--spec", "job.json", "--dest", "signs")
    assert run.code == 4
    assert "Traceback" not in run.err


def test_a_timeout_exits_with_3(here: Cli, tmp_path: Path) -> None:
    """CI tells a job that takes longer from a failure; the same command continues it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    with MockServer(workers=False) as server:
        run = here.at(server)("collect", "--spec", "job.yaml", "--dest", "signs", "--timeout", "0.5")
    assert run.code == 3, run.err

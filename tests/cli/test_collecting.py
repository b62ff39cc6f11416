"""`firsthandapi collect` and `verify`, with exit codes and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cli.support import SPEC, TOML, YAML, Cli
from firsthandapi.testing import MockServer


def test_collect_makes_a_verified_folder_from_a_spec(runner: Cli, tmp_path: Path) -> None:
    """Plain lines go to stderr, the result to stdout; `verify` agrees."""
    (tmp_path / "job.toml").write_text(TOML, encoding="utf-8")
    run = runner("collect", "--spec", "job.toml", "--dest", "signs")
    assert run.code == 0, run.err
    assert run.out.startswith("3 files in signs, all verified")
    assert "3 of 3 files" in run.err
    assert "$1.50" in run.err
    check = runner("verify", "signs")
    assert (check.code, check.out) == (0, "3 files: all verified\n")


def test_collect_again_buys_nothing(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """The same command continues the same job; of a finished one, it says so, and not how to cancel it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    command = ("collect", "--spec", "job.yaml", "--dest", "signs", "--json")
    first = json.loads(runner(*command).out)
    second = json.loads(runner(*command).out)
    assert first == second
    assert first["files"] == 3
    repeat = runner(*command[:-1]).err
    assert "3 files for $1.50, completed\n" in repeat
    assert "To cancel" not in repeat
    assert "0 of 3 files" not in repeat
    assert sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests) == 1


def test_verify_exits_with_1_and_names_what_is_wrong(runner: Cli, tmp_path: Path) -> None:
    """A changed and a missing file are told, in both forms."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    runner("collect", "--spec", "job.yaml", "--dest", "signs")
    changed, gone, _ = sorted((tmp_path / "signs" / "data").iterdir())
    changed.write_bytes(b"other")
    gone.unlink()
    run = runner("verify", "signs")
    assert run.code == 1
    assert f"mismatched  data/{changed.name}" in run.out
    assert f"missing     data/{gone.name}" in run.out
    assert run.err == "To repair the folder: firsthandapi repair signs\n"
    as_json = json.loads(runner("verify", "signs", "--json").out)
    assert as_json["ok"] is False
    assert as_json["missing"] == [f"data/{gone.name}"]


def test_verify_says_where_rows_are_lost(runner: Cli, tmp_path: Path) -> None:
    """What the manifest does not know it cannot miss; the job does, so the folder is not verified."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    runner("collect", "--spec", "job.yaml", "--dest", "signs")
    assert runner("verify", "signs").err == ""
    (tmp_path / "signs" / "metadata.jsonl").unlink()
    run = runner("verify", "signs")
    assert run.code == 1
    assert run.out.count("extra       data/") == 3
    assert run.err.startswith("The job has 3 approved files.")
    assert json.loads(runner("verify", "signs", "--json").out)["short"] == 3
    runner("collect", "--spec", "job.yaml", "--dest", "signs")
    assert "3 files: all verified" in runner("verify", "signs").out


def test_verify_says_that_the_diary_is_missing(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """As in a copy without hidden files, which is no failure. The rows lead to the job, which is not bought again."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    runner("collect", "--spec", "job.yaml", "--dest", "signs")
    shutil.rmtree(tmp_path / "signs" / ".firsthandapi")
    run = runner("verify", "signs")
    assert (run.code, run.out) == (0, "3 files: all verified, no record of their jobs in .firsthandapi/\n")
    assert run.err.startswith(".firsthandapi/ is missing, or records no job: ")
    as_json = json.loads(runner("verify", "signs", "--json").out)
    assert (as_json["ok"], as_json["diary"]) == (True, False)
    assert runner("collect", "--spec", "job.yaml", "--dest", "signs").code == 0
    assert sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests) == 1
    assert runner("verify", "signs").out == "3 files: all verified\n"


def test_out_of_credits_exits_with_4(runner: Cli, tmp_path: Path) -> None:
    """CI tells a lack of credits from a failure."""
    (tmp_path / "job.json").write_text(json.dumps({**SPEC, "files_needed": 10_000}), encoding="utf-8")
    run = runner("collect", "--spec", "job.json", "--dest", "signs")
    assert run.code == 4
    assert "Traceback" not in run.err


def test_a_timeout_exits_with_3(runner: Cli, tmp_path: Path) -> None:
    """CI tells a job that takes longer from a failure; the same command continues it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    with MockServer(workers=False) as server:
        run = runner.at(server)("collect", "--spec", "job.yaml", "--dest", "signs", "--timeout", "0.5")
    assert run.code == 3, run.err

"""What a run shows while it goes on: never the end of a run, never a flood, never silence."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.support import YAML, Cli, needs_a_terminal, on_terminal
from firsthandapi import Progress
from firsthandapi.cli import progress as shown
from firsthandapi.cli.failures import exit_code
from firsthandapi.errors import (
    ConfigurationError,
    DownloadError,
    IncompleteJobError,
    InsufficientCreditsError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer
from firsthandapi.types import Job


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(YAML.replace("files_needed: 3", "files_needed: 1"), encoding="utf-8")
    return str(path)


def job(status: str = "open") -> Job:
    return Job(id="job_01JD", status=status, files_needed=3, price_per_file_cents=50, total_cost_cents=150)


def at(files: int, status: str = "open") -> Progress:
    return Progress(files, 1000, files, 1000, job=job(status))


# --- the job, first and last --------------------------------------------------------------------------


def test_collect_names_the_job_its_cost_and_how_to_cancel_first(
    cli: Cli, fresh_server: MockServer, spec: str, tmp_path: Path
) -> None:
    """Before any wait, so that whoever looks at a log of a killed run knows what was paid for."""
    run = cli("collect", "--spec", spec, "--dest", str(tmp_path / "signs"), "--timeout", "0")
    with fresh_server.client() as client:
        (posted,) = client.jobs.list()
    first, second, third, *_ = run.err.splitlines()
    assert first == f"{posted.id}: 1 file for $0.50"
    assert second == f"To cancel: firsthandapi jobs cancel {posted.id}"
    assert re.fullmatch(r"0 of 1 file  open  0\.0 MB  \$0\.00  0:00:0\d", third)
    assert run.code == 3
    assert run.err.splitlines()[-1].startswith(f"The job continues: {posted.id}. Run the same command again")


def test_a_failure_after_the_order_exits_with_5_and_says_how_to_continue(
    cli: Cli, fresh_server: MockServer, spec: str, tmp_path: Path
) -> None:
    """A script must not take it for a run that cost nothing."""
    fresh_server.faults.add(path="/v1/jobs/*", status=401, times=None)
    command = ("collect", "--spec", spec, "--dest", str(tmp_path / "signs"))
    run = cli(*command)
    assert run.code == 5, run.err
    error, advice = run.err.splitlines()[-2:]
    assert error.startswith("firsthandapi: ")
    with fresh_server.client() as client:
        (posted,) = client.jobs.list()
    assert advice == (
        f"The job continues: {posted.id}. Run the same command again, "
        f"or cancel with: firsthandapi jobs cancel {posted.id}"
    )
    fresh_server.faults.clear()
    with fresh_server.client() as client:
        client.jobs.cancel(posted.id)
    ended = cli(*command)
    assert ended.code == 5
    assert "The job continues" not in ended.err
    assert cli("jobs", "get", "job_DOESNOTEXIST").code == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (DownloadError("x"), 1),
        (IncompleteJobError("x", job=job("cancelled")), 5),
        (WaitTimeoutError("x", job=job()), 3),
        (InsufficientCreditsError("x", status=402), 4),
    ],
)
def test_each_error_has_its_exit_code(error: Any, code: int) -> None:
    """A timeout stays a timeout, with a job or without; a job turns 1 and 2 into 5."""
    assert exit_code(error) == code
    error.job = job()
    assert exit_code(error) == {1: 5, 2: 5}.get(code, code)


# --- lines --------------------------------------------------------------------------------------------


def test_lines_come_at_each_change_of_status_and_not_for_each_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A thousand files are a few lines; a new status is told at once, but one that flaps floods nothing."""
    with shown._lines() as show:
        for files in range(1000):
            show(at(files))
        show(at(999, "in_progress"))
        for turn in range(1000):
            show(at(999, ("open", "filled")[turn % 2]))
        show(at(1000, "completed"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("0 of 1,000 files  open  0.0 MB")
    assert lines[1].startswith("999 of 1,000 files  in_progress")
    assert lines[-1].startswith("1,000 of 1,000 files")
    assert len(lines) <= shown._MOST_CHANGES + 2


def test_silence_has_a_heartbeat(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the job is known, and while nothing moves, a line says that the run lives."""
    monkeypatch.setattr(shown, "_HEARTBEAT", 0.01)
    seen = ""
    ends = time.monotonic() + 30
    with shown._lines() as show:
        while "waiting for the job" not in seen and time.monotonic() < ends:
            time.sleep(0.01)
            seen += capsys.readouterr().err
        show(at(3))
        capsys.readouterr()
        seen = ""
        while "3 of 1,000 files  open" not in seen and time.monotonic() < ends:
            time.sleep(0.01)
            seen += capsys.readouterr().err
    assert "3 of 1,000 files  open" in seen


# --- a display that cannot be shown -------------------------------------------------------------------


class Broken(io.StringIO):
    """A terminal that was closed."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise OSError


@pytest.mark.parametrize("stream", [Broken(), None, io.StringIO()])
def test_a_broken_output_ends_no_run(monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    """Whatever stderr has become, each report goes through."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with shown.progress("signs", quiet=False, posting=True) as report:
        for files in range(3):
            report(at(files))
    assert report.job is not None


@pytest.mark.slow
@needs_a_terminal
@pytest.mark.parametrize("columns", [1, 50, 80])
def test_a_small_terminal_ends_no_run_and_hides_no_count(tmp_path: Path, columns: int, spec: str) -> None:
    """Where room is scarce, the counts, the status, and the elapsed time stay; the files come with any."""
    dest = "datasets/street-signs-2026/training-images"
    with MockServer(speed=60) as server:
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        seen = on_terminal("collect", "--spec", spec, "--dest", dest, cwd=tmp_path, columns=columns, **place)
    assert f"1 file in {dest}, all verified" in seen
    assert "To cancel: firsthandapi jobs cancel job_" in seen
    assert "Traceback" not in seen
    assert columns == 1 or re.search(
        r"1/1 completed .*\$0\.50 0:00:\d\d", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    )

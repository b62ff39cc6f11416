"""`firsthandapi campaign`: plan, run, and status, for people, programs, and logs."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.support import Cli, Person, on_terminal, start
from firsthandapi import Dataset
from firsthandapi.testing import MockServer
from processes import stopped

YAML = """\
dest: signs
budget_cents: 100
defaults:
  description: Photos of street signs in daylight
  accepted_formats: [image/jpeg]
  price_per_file_cents: 10
jobs:
  stop: {files_needed: 2}
  give way: {files_needed: 1}
"""


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=300) as server:
        yield server


@pytest.fixture
def cli(server: MockServer, shell: Cli) -> Cli:
    return shell.at(server)


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "signs.yaml").write_text(YAML, encoding="utf-8")
    return str(tmp_path / "signs.yaml")


def test_plan_run_and_status(cli: Cli, file: str, tmp_path: Path) -> None:
    """A table before, plain lines meanwhile, and the result after; run again, nothing is ordered."""
    plan = cli("campaign", "plan", file)
    assert plan.code == 0
    assert plan.out.splitlines()[-2:] == [
        "total          3         0       0         3         $0.30",
        "$0.00 of $1.00 spent; $0.30 after this plan",
    ]
    run = cli("campaign", "run", file)
    assert (run.code, run.out) == (0, f"3 files in {tmp_path / 'signs'}, all verified\n")
    assert re.search(r"3 of 3 files  .*  \$0\.30 spent  0:00:\d\d$", run.err.strip())
    assert Dataset.open(tmp_path / "signs").verify()
    status = cli("campaign", "status", file)
    assert status.out.splitlines() == [
        "label     approved  coming  missing  spent",
        "stop      2 of 2    0       0        $0.20",
        "give way  1 of 1    0       0        $0.10",
        "$0.30 of $1.00 spent",
    ]


@pytest.fixture
def begun(cli: Cli, file: str) -> Iterator[MockServer]:
    """A campaign whose two jobs nobody works on."""
    with MockServer(speed=0) as server:
        cli.at(server)
        assert cli("campaign", "run", file, "--timeout", "0").code == 3
        yield server


@pytest.mark.usefixtures("begun")
def test_a_label_is_cancelled(cli: Cli, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the refund, and what the next run orders again; without a terminal only with --yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    refused = cli("campaign", "cancel", file, "stop")
    assert refused.code == 2
    assert (
        "stop has unfinished jobs with 2 files to come. Cancelling them refunds up to $0.20." in refused.err
    )
    assert "Nothing was cancelled; pass --yes" in refused.err
    done = cli("campaign", "cancel", file, "stop", "--yes")
    assert (done.code, done.out) == (0, "1 job cancelled, $0.20 refunded.\n")
    assert "requests 2 files for stop again. To prevent that, decrease its files_needed" in " ".join(
        done.err.split()
    )
    repeat = cli("campaign", "cancel", file, "stop")
    assert (repeat.code, repeat.out) == (0, "stop has no unfinished job.\n")
    Path(file).write_text(YAML.replace("  give way: {files_needed: 1}\n", ""))
    run = cli("campaign", "cancel", file, "give way", "-y")
    assert (run.code, run.out, run.err) == (0, "1 job cancelled, $0.10 refunded.\n", "")
    result = json.loads(cli("campaign", "cancel", file, "give way", "--json").out)
    assert result == {"jobs": [], "refund_cents": 0}
    unknown = cli("campaign", "cancel", file, "stpo", "--yes")
    assert unknown.code == 2
    assert "the campaign has no label 'stpo'; did you mean 'stop'?" in unknown.err


def test_who_does_not_confirm_cancels_nothing(
    cli: Cli, begun: MockServer, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person on a terminal is asked."""
    monkeypatch.setattr(sys, "stdin", Person("n\n"))
    assert cli("campaign", "cancel", file, "stop").code == 1
    assert not [request for request in begun.requests if request.path.endswith("/cancel")]
    monkeypatch.setattr(sys, "stdin", Person("y\n"))
    assert cli("campaign", "cancel", file, "stop").code == 0


def test_json_is_all_that_a_program_gets(cli: Cli, file: str) -> None:
    """On standard output; and nothing on the other."""
    plan = json.loads(cli("campaign", "plan", file, "--json").out)
    both = {"changed": [], "unconfirmed": False, "price_per_file_cents": 10}
    assert plan["orders"] == [
        {"label": "stop", "files": 2, "cost_cents": 20, **both},
        {"label": "give way", "files": 1, "cost_cents": 10, **both},
    ]
    assert (plan["cost_cents"], plan["spent_cents"], plan["budget_cents"], plan["fits"]) == (30, 0, 100, True)
    run = cli("campaign", "run", file, "--json")
    assert (json.loads(run.out)["files"], run.err) == (3, "")
    status = json.loads(cli("campaign", "status", file, "--json").out)
    assert [(label["label"], label["approved"]) for label in status["labels"]] == [
        ("stop", 2),
        ("give way", 1),
    ]


def test_a_budget_that_does_not_suffice_exits_with_1(cli: Cli, server: MockServer, file: str) -> None:
    """The plan shows it, and run orders nothing."""
    Path(file).write_text(YAML.replace("budget_cents: 100", "budget_cents: 29"))
    plan = cli("campaign", "plan", file)
    assert plan.code == 1
    assert "the plan is $0.01 over the budget" in plan.out
    run = cli("campaign", "run", file)
    assert run.code == 1
    assert "nothing was ordered" in run.err
    assert not [request for request in server.requests if request.method == "POST"]


def test_a_mistake_in_the_file_exits_with_2(cli: Cli, file: str) -> None:
    """In one line, which names the file and the place."""
    Path(file).write_text(YAML.replace("files_needed: 2", "files_neded: 2"))
    run = cli("campaign", "plan", file)
    assert run.code == 2
    (line,) = run.err.splitlines()
    assert line.startswith(f"firsthandapi: {file}: ")
    assert "jobs.stop.files_neded is not a field of a job; did you mean" in line


def test_on_timeout_it_exits_with_3_and_says_how_to_continue(cli: Cli, server: MockServer, file: str) -> None:
    """The jobs of the campaign, not one of them."""
    server.faults.add(path="/v1/jobs/*/files", delay=30, times=None)
    run = cli("campaign", "run", file, "--timeout", "1")
    server.faults.clear()
    assert run.code == 3
    message = run.err.strip().splitlines()
    assert "the campaign did not finish before --timeout passed" in " ".join(message)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
def test_who_stops_a_campaign_learns_how_to_continue(file: str) -> None:
    """At what `docker stop` and a cancelled CI run send; test_stopping.py has Ctrl-C."""
    with MockServer(speed=0) as server:
        process = start(
            "campaign", "run", file, FIRSTHAND_API_KEY=server.api_key, FIRSTHAND_BASE_URL=server.url
        )
        assert process.stderr is not None
        seen = ""
        while "spent" not in seen and process.poll() is None:
            seen += process.stderr.readline()
        _, errors = stopped(process, signal.SIGTERM)
    assert "The jobs of the campaign continue. Run the same command again: it orders nothing twice." in errors
    assert "Traceback" not in errors
    assert process.returncode == 143


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_a_terminal_shows_a_table(server: MockServer, file: str, tmp_path: Path) -> None:
    """A row for each label, which the next one replaces."""
    seen = on_terminal(
        "campaign", "run", file, cwd=tmp_path, columns=100,
        FIRSTHAND_API_KEY=server.api_key, FIRSTHAND_BASE_URL=server.url,
    )  # fmt: skip
    assert re.search(r"give way.*1/1.*\$0\.10", seen)
    assert "$0.30 of $1.00 spent" in seen
    assert f"3 files in {tmp_path / 'signs'}, all verified" in seen.replace("\n", "")


def test_an_order_that_nobody_can_find_is_given_up(
    cli: Cli, server: MockServer, file: str, tmp_path: Path
) -> None:
    """Its files are ordered again, with another key."""
    server.faults.add(path="/v1/jobs", method="POST", drop="before", times=4)
    assert cli("campaign", "run", file).code == 1
    book = str(tmp_path / "signs")
    (lost,) = json.loads(cli("orders", "list", book, "--json").out)
    assert (lost["label"], lost["status"]) == ("stop", "unconfirmed")
    assert cli("orders", "forget", book, lost["key"]).code == 0
    assert cli("campaign", "run", file).code == 0
    orders = json.loads(cli("orders", "list", book, "--json").out)
    assert {order["key"]: order["status"] for order in orders}[lost["key"]] == "forgotten"
    assert [order["status"] for order in orders if order["label"] == "stop"] == ["forgotten", "completed"]
    assert cli("orders", "check", book).code == 0

"""The job of `--spec`: YAML, TOML, JSON, or standard input, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.support import SPEC, YAML, Cli
from firsthandapi.testing import MockServer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("files_needed: [", "--spec: job.yaml is not valid YAML: line 1, column 16: expected"),
        (YAML + "extra_body: 3\n", "extra_body must be a mapping of names to values"),
        ("files_needed: 3\n", "description is required: a str of 10"),
        (YAML + "dest: elsewhere\n", "dest is an option of the command"),
        (YAML + "colour: red\n", "colour is not an argument; use one of: accepted_formats"),
        (YAML + "price_per_file: 5\n", "did you mean price_per_file_cents?"),
        (YAML.replace("files_needed: 3", "files_needed: many"), "files_needed must be"),
    ],
)
def test_a_bad_spec_exits_with_2_and_says_why(
    cli: Cli, fresh_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """One line that names the fix, nothing sent, nothing left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(text, encoding="utf-8")
    run = cli("collect", "--spec", "job.yaml", "--dest", "signs")
    assert run.code == 2, run.err
    assert words in run.err
    assert "Traceback" not in run.err
    assert not fresh_server.requests
    assert not (tmp_path / "signs").exists()


def test_jobs_create_reads_the_same_file(runner: Cli, tmp_path: Path) -> None:
    """What lacks is a usage error here too; a date and an alias are as in any YAML."""
    (tmp_path / "job.yaml").write_text("files_needed: 3\n", encoding="utf-8")
    run = runner("jobs", "create", "--spec", "job.yaml")
    assert run.code == 2, run.err
    assert "--spec: description is required" in run.err
    more = "deadline: 2099-01-31\nmetadata: {city: &city Lyon, also: *city}\n"
    (tmp_path / "job.yaml").write_text(YAML + more, encoding="utf-8")
    run = runner("jobs", "create", "--spec", "job.yaml", "--json")
    job = json.loads(run.out)
    assert job["deadline"] == "2099-01-31T00:00:00Z"
    assert job["metadata"] == {"city": "Lyon", "also": "Lyon"}


def test_an_option_has_the_last_word(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """What the command line allows to spend counts, whatever the file says; nothing is sent."""
    (tmp_path / "job.yaml").write_text(YAML + "max_spend_cents: 100000\n", encoding="utf-8")
    for command in (("jobs", "create"), ("collect", "--dest", "signs")):
        run = runner(*command, "--spec", "job.yaml", "--max-spend-cents", "149")
        assert run.code == 1
        assert "--max-spend-cents is 149" in run.err
    assert not server.requests


@pytest.mark.parametrize("text", [YAML, json.dumps(SPEC), "\ufeff" + YAML])
def test_a_spec_may_come_from_standard_input(runner: Cli, text: str) -> None:
    """`--spec -` reads YAML or JSON, so that a script needs no file."""
    run = runner("jobs", "create", "--spec", "-", "--json", input=text)
    assert run.code == 0, run.err
    assert json.loads(run.out)["files_needed"] == 3
    empty = runner("jobs", "create", "--spec", "-", input="")
    assert empty.code == 2
    assert "standard input must contain names and values" in empty.err


def test_a_missing_spec_exits_with_2(runner: Cli) -> None:
    """A wrong path is a usage error."""
    run = runner("jobs", "create", "--spec", "nowhere.yaml")
    assert run.code == 2
    assert "could not read nowhere.yaml" in run.err

"""The command line's manners: help, completion, errors in one line, and nothing a terminal would obey."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from cli.support import EACH, Cli, Ran, on_terminal
from dataset.support import completed_job
from firsthandapi.cli.app import _MODULES, app
from firsthandapi.cli.pages import Group
from firsthandapi.testing import MockServer
from firsthandapi.types.enums import EventType, JobStatus, Scope, SubmissionStatus, TransactionType

from .support import needs_a_terminal


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, and every group of them, by its words; none that is hidden, the old name of another."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name in command.list_commands(None) if isinstance(command, Group) else ():
            yield from walk(command.get_command(None, name), (*words, name))

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_every_help_page_fits_80_columns(
    shell: Cli, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says what it does and, if it is a command, gives an example; no line is broken or cut, and no secret is an
    option."""
    monkeypatch.setenv("COLUMNS", "80")
    page = shell(*words, "--help").out
    assert page.strip()
    assert all(len(line) <= 80 for line in page.splitlines())
    # Every user of a machine sees the arguments of its processes. The key of a bundled server opens nothing else.
    assert words == ("mock-server",) or not re.search(r"--\S*(secret|api-key|token|password)", page)
    # No type, and no range that is a formula or broken across lines.
    assert not re.search(r"<\w|BOOLEAN|INTEGER|TEXT\b(?! +\w)|RANGE|<=|>=|None|\[[^]]*$", page, re.MULTILINE)
    usage, _, rest = page.partition("\n")
    assert usage.startswith(f"Usage: {' '.join(('firsthandapi', *words))} [OPTIONS]")
    description = rest.partition("Options:")[0]
    assert re.search(r"^[A-Z].*\.$", description, re.MULTILINE)
    if "COMMAND" not in usage:
        assert f"firsthandapi {' '.join(words)}" in description
    # Each text is a sentence.
    for text in re.findall(r"^  \S.*?  +(.*(?:\n {6,}.*)*)", page, re.MULTILINE):
        assert re.match(r"[A-Z`].*\.(?: \[.*\])*$", " ".join(text.split())), text


def test_the_root_lists_each_command_in_one_line(shell: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the table that loads a command when it is used; each name is that of a command."""
    monkeypatch.setenv("COLUMNS", "80")
    listed = re.findall(r"^  ([a-z][\w-]+) +[A-Z].*\.$", shell("--help").out, re.MULTILINE)
    assert listed == [words[0] for words in commands() if len(words) == 1]
    assert len(listed) > 30


def test_a_key_of_another_service_is_not_sent(shell: Cli) -> None:
    """It is refused here, by its prefix, and not shown."""
    shell.set(FIRSTHAND_BASE_URL="http://127.0.0.1:9", FIRSTHAND_API_KEY="sk-5ecretPart")
    ran = shell("whoami")
    assert (ran.code, ran.out) == (2, "")
    assert (
        "FIRSTHAND_API_KEY is not a FirstHandAPI key: it does not start with fh_live_ or fh_test_" in ran.err
    )
    assert "5ecret" not in ran.err


@pytest.mark.parametrize("words", [(), ("jobs",), ("jobs", "create")], ids=" ".join)
def test_h_is_help_everywhere(shell: Cli, words: tuple[str, ...]) -> None:
    """The short form that people try first; a command has it from the whole."""
    assert shell(*words, "-h").out == shell(*words, "--help").out


def test_the_root_help_shows_groups_and_exit_codes(shell: Cli) -> None:
    """A newcomer sees where to start, a CI what the codes mean."""
    page = shell("--help").out
    places = [page.index(title) for title in ("Getting started", "Jobs and files", "Account", "Tools")]
    assert places == sorted(places)
    assert "5 failed after a job was posted" in " ".join(page.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("jobs", "list", "--status", "done"), get_args(JobStatus)),
        (("submissions", "list", "--status", "done"), get_args(SubmissionStatus)),
        (("transactions", "--type", "gift"), get_args(TransactionType)),
        (("webhooks", "events", "list", "--type", "job.praised"), get_args(EventType)),
        (
            ("webhooks", "create", "--url", "https://x.example", "--events", "job.praised"),
            get_args(EventType),
        ),
        (("keys", "create", "--name", "ci", "--scopes", "jobs"), get_args(Scope)),
        (("jobs", "lst"), ("No such command", "jobs --help")),
        (("jobs", "get"), ("Missing argument", "jobs get --help")),
        (("--nonsense",), ("No such option",)),
        (("jobs", "list", "--limit", "0"), ("'--limit': it must be greater than or equal to 1;",)),
        (("jobs", "wait", "job_1", "--timeout", "-1"), ("it must be greater than or equal to 0;",)),
        (("serve", "x", "--port", "70000"), ("it must be less than or equal to 65535;",)),
        (("serve", "x", "--port", "x"), ("it must be a whole number;",)),
        (("mock-server", "--speed", "x"), ("it must be a number;",)),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    shell: Cli, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """It names what is allowed, and needs neither key nor network."""
    run = shell(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("firsthandapi: ")
    assert run.err.count("\n") == 1
    assert "Value error" not in run.err
    for word in words:
        assert word in run.err


def test_a_group_alone_prints_its_help(shell: Cli) -> None:
    """Who types `firsthandapi jobs` sees what there is, and no error."""
    run = shell("jobs")
    assert "Wait until a job" in run.out
    assert run.err == ""


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "powershell", "pwsh"])
def test_each_shell_gets_its_script(shell: Cli, name: str) -> None:
    """The script calls the command back by the variable that it listens to."""
    shell.set(_FIRSTHANDAPI_COMPLETE=f"source_{name}")
    run = shell()
    assert run.code == 0, run.err
    assert "_FIRSTHANDAPI_COMPLETE" in run.out


@pytest.mark.skipif(os.name == "nt", reason="it takes a bash")
def test_bash_itself_completes(tmp_path: Path) -> None:
    """The script, sourced by a real bash, fills in a status."""
    command = tmp_path / "firsthandapi"
    command.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "from firsthandapi.cli import main; main()" "$@"\n'
    )
    command.chmod(0o755)
    script = (
        'eval "$(_FIRSTHANDAPI_COMPLETE=source_bash firsthandapi)"\n'
        "COMP_WORDS=(firsthandapi jobs list --status can); COMP_CWORD=4\n"
        "$(complete -p firsthandapi | sed 's/.*-F \\([^ ]*\\).*/\\1/') firsthandapi\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    run = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout == "cancelled\n", run.stderr


def test_a_strangers_spec_cannot_write_to_the_terminal(shell: Cli, tmp_path: Path) -> None:
    """An error that quotes a file is one line of plain text."""
    (tmp_path / "job.json").write_text('{"\\u001b[2J\\n": 1}')
    run = shell("jobs", "create", "--spec", str(tmp_path / "job.json"))
    assert run.code == 2
    assert "\\u001b[2J" in run.err
    assert "\x1b" not in run.err
    assert run.err.count("\n") == 1


def test_ctrl_c_at_the_very_start_is_no_traceback(shell: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the command itself is still being loaded it is exit code 130."""

    class Impatient:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "firsthandapi.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "firsthandapi.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Impatient(), *sys.meta_path])
    assert shell() == Ran(130, "", "")


@needs_a_terminal
def test_a_terminal_gets_a_bar_whatever_the_folder_is_called_and_has_in_it(tmp_path: Path) -> None:
    """Its name is no markup, and the display reads no file: neither a stranger's manifest, nor one that blocks whoever
    opens it."""
    for name, make in (
        ("text", lambda path: path.write_text("hello\n")),
        ("list", lambda path: path.write_text("[1]\n")),
        ("pipe", os.mkfifo),
    ):
        (tmp_path / "signs[/b]" / name).mkdir(parents=True)
        make(tmp_path / "signs[/b]" / name / "metadata.jsonl")
    with MockServer(speed=0, workers=False) as server:
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        job_id = completed_job(server, 2)
        seen = on_terminal("files", "download", job_id, "--dest", "signs[/b]", cwd=tmp_path, **place)
    assert re.search(r"signs\[/b\].*2/2.* ★", seen)
    assert "2 files in signs[/b], all verified" in seen


@needs_a_terminal
def test_a_program_that_acts_for_a_person_gets_plain_lines(tmp_path: Path) -> None:
    """On a terminal too: no color, no box, no bar, no question; with --json, an error is JSON."""
    with MockServer(speed=0, workers=False) as server:
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key, "AI_AGENT": "x"}
        job_id = completed_job(server, 2)
        with server.client() as client:
            (key,) = (api_key.id for api_key in client.api_keys.list() if api_key.environment == "live")
        commands = (
            *(f"files download {job_id} --dest signs", f"files list {job_id}", "jobs --help"),
            *(f"keys revoke {key}", "jobs get job_1 --json"),
        )
        output = on_terminal(*commands, cwd=tmp_path, columns=40, code=EACH, **place)
    assert "2 of 2 files" in output
    assert "pass --yes to revoke it anyway" in output
    assert not set("\x1b\r╭│━") & set(output)
    failed = output.splitlines()[-1]
    assert json.loads(failed)["error"]["exit_code"] == 1
    assert "No such job" in json.loads(failed)["error"]["message"]


_HEAVY = (
    "httpx",
    "httpcore",
    "ssl",
    "starlette",
    "yaml",
    "rich",
    "pygments",
    "markdown_it",
    "firsthandapi._sync",
)
_HEAVY += (
    "firsthandapi.testing",
    "firsthandapi.types._base",
    "firsthandapi._core.rows",
    "firsthandapi.datasets",
)


def test_help_loads_only_the_command_that_is_asked_for() -> None:
    """A help page, and each completion, waits for no model, no client, and no other command."""
    code = f"{EACH}\nprint([name for name in {(*_HEAVY, 'firsthandapi.cli.account')} if name in sys.modules])"
    commands = ("--version", "--help", "jobs create --help", "serve -h")
    run = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, timeout=60)
    assert run.stdout.endswith("\n[]\n"), run.stdout + run.stderr


def test_each_command_is_in_the_table() -> None:
    """A command of a module of several; other modules have one command, or a group, of their own name."""
    for module in sorted(set(_MODULES.values())):
        command = typer.main.get_command(import_module(f"firsthandapi.cli.{module}").app)
        if module.replace("_", "-") not in _MODULES:
            assert getattr(command, "commands", {command.name: command}).keys() <= _MODULES.keys(), (
                f"COMMANDS of cli/app.py: {module}"
            )

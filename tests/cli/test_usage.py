"""The command line's manners: help, completion, errors in one line, and nothing a terminal would obey."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer

from cli.support import Cli, on_terminal
from dataset.support import completed_job
from firsthandapi.cli.app import app
from firsthandapi.cli.output import json_text, print_facts, print_line, print_table, printable, stars
from firsthandapi.testing import MockServer
from firsthandapi.types.enums import EventType, JobStatus, Scope, SubmissionStatus, TransactionType

# Zero-width, fillers, soft hyphen, tags, and selectors: nobody sees them, a model may read them.
HIDDEN = "\u200b\u00ad\u115f\u3164\uffa0\u180e\u2066\ufff9\U000e0041\U000e0101\u034f\ufe01"
HOSTILE = "a\x1b]0;owned\x07b\x9b2Jc\u202ed\r\nstatus  completed\x7f"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(monkeypatch, capsys)


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, and every group of them, by its words."""

    def walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*words, name))

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_every_help_page_fits_80_columns(
    cli: Cli, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says what it does and, if it is a command, gives an example; no line is broken or cut."""
    monkeypatch.setenv("COLUMNS", "80")
    page = cli(*words, "--help").out
    assert page.strip()
    assert all(len(line) <= 80 for line in page.splitlines())
    assert not re.search(r"--[a-z-]*…", page)
    written = typer.main.get_command(app)
    for word in words:
        written = written.commands[word]  # type: ignore[attr-defined] # it is a group
    # Rich would take [words] for markup, and break a longer line where nobody wants it.
    assert "[" not in (written.help or "")
    for paragraph in (written.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        assert len(lines) == 1 or all(len(line) <= 78 for line in lines)
        assert len(paragraph) <= 78 or not paragraph.startswith("Example:")
    if "Commands" not in page and words:
        assert "firsthandapi " + " ".join(words) in page.partition("Usage:")[2].partition("\n")[2]


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_h_is_help_everywhere(cli: Cli, words: tuple[str, ...]) -> None:
    """The short form that people try first."""
    assert cli(*words, "-h").out == cli(*words, "--help").out


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_no_secret_is_an_option(cli: Cli, words: tuple[str, ...]) -> None:
    """Every user of a machine sees the arguments of its processes, and shells remember them. The key of a bundled
    server opens nothing else."""
    if words == ("mock-server",):
        return
    assert not re.search(r"--\S*(secret|api-key|token|password)", cli(*words, "--help").out)


def test_the_root_help_shows_groups_and_exit_codes(cli: Cli) -> None:
    """A newcomer sees where to start, a CI what the codes mean."""
    page = cli("--help").out
    places = [page.index(title) for title in ("Getting started", "Jobs and files", "Account", "Tools")]
    assert places == sorted(places)
    assert "5 failed after a job was posted" in " ".join(page.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
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
        (("jobs", "list", "--limit", "0"), ("--limit",)),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    cli: Cli, arguments: tuple[str, ...], told: tuple[str, ...]
) -> None:
    """It names what is allowed, and needs neither key nor network."""
    run = cli(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("firsthandapi: ")
    assert run.err.count("\n") == 1
    assert "Value error" not in run.err
    for word in told:
        assert word in run.err


def test_a_group_alone_prints_its_help(cli: Cli) -> None:
    """Who types `firsthandapi jobs` sees what there is, and no error."""
    run = cli("jobs")
    assert "Wait until a job" in run.out
    assert run.err == ""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("firsthandapi j", ["jobs"]),
        ("firsthandapi webhooks ", ["listen", "rotate-secret", "events"]),
        ("firsthandapi jobs list --status ", list(get_args(JobStatus))),
        ("firsthandapi jobs list --status in", ["in_progress"]),
        ("firsthandapi submissions list --status re", ["rejected", "retry_pending"]),
        ("firsthandapi webhooks create --events job.", ["job.completed", "job.cancelled", "job.flagged"]),
        ("firsthandapi keys create --scopes usage", ["usage:read"]),
        ("firsthandapi keys create --scopes jobs:read,usage", ["jobs:read,usage:read"]),
        ("firsthandapi transactions --type ", list(get_args(TransactionType))),
        ("firsthandapi audit --event-type api", ["api_key.created", "api_key.rotated", "api_key.revoked"]),
        ("firsthandapi purchase 2", ["2500", "25000"]),
        ("firsthandapi settings update --def", ["--default-type", "--default-price-per-file-cents"]),
    ],
)
def test_bash_completes_commands_options_and_words(line: str, offered: list[str]) -> None:
    """The protocol as bash speaks it: the words so far in variables, the offers on stdout."""
    words = line.split(" ")
    run = subprocess.run(
        [sys.executable, "-c", "from firsthandapi.cli import main; main()"],
        env={
            **os.environ,
            "_FIRSTHANDAPI_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stderr == ""
    assert set(offered) <= set(run.stdout.split())
    assert all(offer.startswith(words[-1]) for offer in run.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "pwsh"])
def test_each_shell_gets_its_script(shell: str) -> None:
    """The script calls the command back by the variable that it listens to."""
    run = subprocess.run(
        [sys.executable, "-c", "from firsthandapi.cli import main; main()"],
        env={**os.environ, "_FIRSTHANDAPI_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert "_FIRSTHANDAPI_COMPLETE" in run.stdout


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


def test_hostile_text_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, C1 controls and bidirectional overrides come out as text, in every form, on one line."""
    print_table(("id", "name"), [("1", HOSTILE)])
    print_facts([("title", HOSTILE)])
    print_line(["1", HOSTILE, None])
    print_facts([(HOSTILE, "a name may be a stranger's too")])
    shown = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
    assert shown.count("\\u001b]0;owned") == 4
    assert not any(line.startswith("status") for line in shown.splitlines())
    assert printable("Straße 東京 👩‍👧 é") == "Straße 東京 👩‍👧 é"


def test_hidden_text_is_shown_in_every_view(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reader cannot see is an escape, in a table and in JSON, where it stays the same value."""
    print_line([HIDDEN])
    print_table(("a", "b"), [(HIDDEN, HIDDEN)])
    seen = capsys.readouterr().out + json_text({"name": HIDDEN})
    assert not set(HIDDEN) & set(seen)
    assert seen.count("\\U000e0041") == 3
    assert json.loads(json_text(HIDDEN)) == HIDDEN
    assert printable("\u2764\ufe0f") == "\u2764\ufe0f"


def test_hostile_text_in_json_is_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON escapes what a terminal obeys; a program reads it as it was. Other encodings get ASCII."""
    value = {"name": HOSTILE, "city": "東京 😀", "half": "\ud800"}
    text = json_text(value)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800]", text)
    assert json.loads(text) == value
    assert "東京" in text

    class Latin:
        encoding = "cp1252"

    monkeypatch.setattr(sys, "stdout", Latin())
    text = json_text(value)
    assert text.isascii()
    assert json.loads(text) == value


def test_a_worker_cannot_write_to_the_terminal(cli: Cli, fresh_server: MockServer) -> None:
    """A file's name with escape sequences, all the way from the worker to the table and the error."""
    cli.at(fresh_server)
    with fresh_server.client() as client:
        job = client.jobs.create(
            title="\x1b[31mred",
            description="Photos of street signs\x1b]52;c;cm0gLXJm\x07 in daylight",
            files_needed=2,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
    fresh_server.submit(job.id, original_filename="\x1b[2J\x9b31m[bold]x.jpg")
    fresh_server.clock.advance(seconds=60)
    for arguments in (
        ("files", "list", job.id),
        ("files", "list", job.id, "--json"),
        ("jobs", "get", job.id),
        ("jobs", "list"),
        ("jobs", "list", "--json"),
    ):
        run = cli(*arguments)
        assert run.code == 0
        assert not re.search("[\x1b\x07\x80-\x9f]", run.out)
        assert "\\u001b" in run.out


def test_signed_urls_are_left_out_at_any_depth_but_not_of_metadata(
    cli: Cli, fresh_server: MockServer
) -> None:
    """What the user wrote into a job's metadata comes back as it is."""
    metadata = {"file_url": "https://mine.example/a", "download_url": "b"}
    with fresh_server.client() as client:
        job = client.jobs.create(
            description="Photos of street signs in daylight",
            files_needed=1,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
            metadata=metadata,
        )
    assert json.loads(cli.at(fresh_server)("jobs", "get", job.id, "--json").out)["metadata"] == metadata


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_strangers_folder_cannot_write_to_the_terminal(cli: Cli, tmp_path: Path) -> None:
    """What lies in a folder that somebody sent has names of their choice, not all of them text."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "metadata.jsonl").write_bytes(b"")
    (data / "\x1b]0;owned\x07").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(data) + b"/\xff")).write_bytes(b"")
    run = cli("verify", str(tmp_path))
    assert run.code == 0
    assert "extra       data/\\u001b]0;owned\\u0007\n" in run.out
    assert "extra       data/\\udcff\n" in run.out


def test_a_strangers_spec_cannot_write_to_the_terminal(cli: Cli, tmp_path: Path) -> None:
    """An error that quotes a file is one line of plain text."""
    (tmp_path / "job.json").write_text('{"\\u001b[2J\\n": 1}')
    run = cli("jobs", "create", "--spec", str(tmp_path / "job.json"))
    assert run.code == 2
    assert "\\u001b[2J" in run.err
    assert "\x1b" not in run.err
    assert run.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("collect", "--spec", "job.yaml", "--dest", ""), "is empty"),
        (("files", "download", "job_1", "--dest", ""), "is empty"),
        (("verify", ""), "is empty"),
        (("demo", "--dest", "s3://bucket/signs"), "not a URL"),
        (("verify", "s3://bucket/signs?version=1"), "without a query"),
    ],
)
def test_a_folder_has_a_name(
    cli: Cli,
    fresh_server: MockServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    """A variable that is not set does not mean the current folder, nor a URL a folder called s3."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(
        "description: Photos of street signs in daylight\nfiles_needed: 1\naccepted_formats: [image/jpeg]\n"
        "price_per_file_cents: 50\n"
    )
    cli.at(fresh_server)
    run = cli(*arguments)
    assert (run.code, run.out) == (2, "")
    assert told in run.err
    assert not fresh_server.requests
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


def test_output_that_finds_no_room_is_one_line_and_exit_1(
    cli: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk behind `>` is told of, not dumped."""

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full:
        encoding = "utf-8"
        isatty, flush, write = (lambda _: False), full, full

    cli.at(fresh_server)
    for arguments in (("whoami",), ("keys", "list"), ("whoami", "--json")):
        with monkeypatch.context() as here:
            here.setattr(sys, "stdout", Full())
            run = cli(*arguments)
        assert run.code == 1
        assert run.err == f"firsthandapi: could not write standard output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize("arguments", [("whoami",), ("whoami", "--json"), ("jobs", "list"), ("--version",)])
def test_a_closed_output_is_no_error(
    cli: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """What was started with `>&-` does its work, and an error has its exit code."""
    cli.at(fresh_server)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert cli(*arguments).code == 0
    monkeypatch.setattr(sys, "stdout", None)
    assert cli("jobs", "get", "job_DOESNOTEXIST").code == 1


def test_ctrl_c_at_the_very_start_is_no_traceback() -> None:
    """Also while the command itself is still being loaded it is exit code 130."""
    code = (
        "import sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'firsthandapi.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "from firsthandapi.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


needs_a_terminal = pytest.mark.skipif(os.name == "nt", reason="it takes a pseudo-terminal")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@needs_a_terminal
def test_a_terminal_gets_whole_ids_and_wrapped_texts(fresh_server: MockServer, tmp_path: Path) -> None:
    """At 80 columns nothing is cut; what has no room beside stands below, and a long fact below itself."""
    with fresh_server.client() as client:
        job = client.jobs.create(
            description="Photos of street signs in daylight, " * 5,
            title="\x1b[2Jred",
            files_needed=2,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
    place = {"FIRSTHAND_BASE_URL": fresh_server.url, "FIRSTHAND_API_KEY": fresh_server.api_key}
    listed = on_terminal("jobs", "list", cwd=tmp_path, **place)
    assert "\x1b[1mid" in listed
    plain = _STYLE.sub("", listed).splitlines()
    assert plain[2].startswith(f"{job.id}  open    0 of 2  $1.00  20")
    assert plain[3] == "    \\u001b[2Jred"
    narrow = _STYLE.sub("", on_terminal("jobs", "list", cwd=tmp_path, columns=50, **place)).splitlines()
    assert narrow[:3] == ["id                              status  files", "    cost   created", "    title"]
    assert narrow[3] == f"{job.id}  open    0 of 2"
    assert narrow[4].startswith("    $1.00  20")
    assert all(len(line) <= 50 for line in narrow)
    shown = on_terminal("jobs", "get", job.id, cwd=tmp_path, **place).splitlines()
    assert all(len(line) <= 80 for line in shown)
    assert shown[-1].startswith("             ")
    checked = on_terminal("doctor", cwd=tmp_path, **place)
    assert "\x1b[32mok" in checked
    assert "\x1b[32mok" not in on_terminal("doctor", cwd=tmp_path, NO_COLOR="1", **place)
    beside = _STYLE.sub("", on_terminal("webhooks", "list", cwd=tmp_path, **place))
    assert beside == "No results.\n"


@needs_a_terminal
def test_a_terminal_gets_a_bar_whatever_the_folder_is_called(tmp_path: Path) -> None:
    """The live display takes a folder's name for a name, not for markup."""
    with MockServer(speed=60) as server, server.client() as client:
        job = client.jobs.create_and_wait(
            description="Photos of street signs in daylight",
            files_needed=2,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        seen = on_terminal("files", "download", job.id, "--dest", "signs[/b]", cwd=tmp_path, **place)
    assert "signs[/b]" in seen
    assert "2/2" in seen
    assert "2 files in signs[/b], all verified" in seen


@needs_a_terminal
def test_what_lies_in_the_folder_never_ends_a_run(tmp_path: Path) -> None:
    """The display reads no file: neither a stranger's manifest, nor one that blocks whoever opens it."""
    for name, make in (
        ("text", lambda path: path.write_text("hello\n")),
        ("list", lambda path: path.write_text("[1]\n")),
        ("pipe", os.mkfifo),
    ):
        (tmp_path / "signs" / name).mkdir(parents=True)
        make(tmp_path / "signs" / name / "metadata.jsonl")
    with MockServer(speed=0, workers=False) as server:
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        job_id = completed_job(server, 2)
        seen = on_terminal("files", "download", job_id, "--dest", "signs", cwd=tmp_path, **place)
    assert "2 files in signs, all verified" in seen
    assert " ★" in seen


def test_stars_end_at_five() -> None:
    """A rating from the network makes no line of a million stars."""
    assert [stars(rating) for rating in (None, -1, 3, 10**9)] == ["", "", "★★★", "★★★★★"]


def test_help_loads_no_model_and_no_client() -> None:
    """A help page, and each completion, waits for what it needs and no more."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import firsthandapi.cli.app; "
            "print([name for name in ('httpx', 'httpcore', 'ssl', 'starlette', 'yaml', "
            "'firsthandapi._sync', 'firsthandapi.testing', 'firsthandapi.types._base') if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout == "[]\n", run.stderr

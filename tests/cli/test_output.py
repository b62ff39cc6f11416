"""What is printed, for people and programs: whole, and nothing that a terminal would obey."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from cli.support import SPEC, Cli
from firsthandapi.cli.output import (
    json_text,
    of_needed,
    one,
    print_facts,
    print_line,
    print_table,
    printable,
)
from firsthandapi.testing import MockServer
from firsthandapi.types import Job

from .test_app import firsthandapi

# Zero-width, fillers, soft hyphen, tags, and selectors: nobody sees them, a model may read them.
HIDDEN = "\u200b\u00ad\u115f\u3164\uffa0\u180e\u2066\ufff9\U000e0041\U000e0101\u034f\ufe01"


HOSTILE = "a\x1b]0;owned\x07b\x9b2Jc\u202ed\r\nstatus  completed\x7f"


_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def test_a_list_that_is_cut_says_so(cli: Cli) -> None:
    """Who asks for fewer than there are, by an option or by default, learns it beside the list; JSON stays JSON."""
    for name in ("a", "b"):
        cli("keys", "create", "--name", name)
    for options in ((), ("--json",)):
        cut = cli("keys", "list", "--limit", "2", *options)
        assert cut.err == "Showing the first 2; use --limit to show more.\n"
        assert cli("keys", "list", "--limit", "4", *options).err == ""
        assert cli("keys", "list", "--limit", "9" * 20, *options).err == ""
    assert len(json.loads(cli("keys", "list", "--limit", "2", "--json").out)) == 2


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_output_of_few_characters_is_enough(
    runner: Cli, server: MockServer, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A Windows pipe has no star and no Japanese: both are shown with what it has."""

    def run(*arguments: str) -> str:
        with monkeypatch.context() as pipes:
            pipe = io.TextIOWrapper(io.BytesIO(), encoding)
            pipes.setattr(sys, "stdout", pipe)
            pipes.setattr(sys, "stderr", pipe)
            assert runner(*arguments).code == 0
            pipe.flush()
            return pipe.buffer.getvalue().decode(encoding, "replace")  # type: ignore[attr-defined] # it is a BytesIO

    Path("job.json").write_text(json.dumps({**SPEC, "title": "東京"}), encoding="utf-8")
    assert re.search(r"\d \*", run("collect", "--spec", "job.json", "--dest", "signs"))
    with server.client() as client:
        (job,) = client.jobs.list()
    assert all("***" in run(command, "list", job.id) for command in ("files", "submissions"))
    assert json.loads(run("jobs", "get", job.id, "--json"))["title"] == "東京"


def test_a_pipe_of_windows(fresh_server: MockServer) -> None:
    """The same by the program itself."""
    with fresh_server.client() as client:
        client.jobs.create(**{**SPEC, "title": "東京"})
    place = {"FIRSTHAND_BASE_URL": fresh_server.url, "FIRSTHAND_API_KEY": fresh_server.api_key}
    run = firsthandapi("jobs", "list", PYTHONIOENCODING="cp1252", **place)
    assert (run.returncode, "\\u6771" in run.stdout) == (0, True), run.stderr


def test_hostile_text_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, C1 controls and bidirectional overrides come out as text, in every form, on one line."""
    print_table(("id", "name"), [("1", HOSTILE)])
    print_facts([("title", HOSTILE)])
    print_line(["1", HOSTILE, None])
    print_facts([(HOSTILE, "a name may be a stranger's too")])
    text = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert text.count("\\u001b]0;owned") == 4
    assert not any(line.startswith("status") for line in text.splitlines())
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
        hostile = {"title": "\x1b[31mred", "description": "Photos of signs\x1b]52;c;cm0gLXJm\x07 in daylight"}
        job = client.jobs.create(**{**SPEC, **hostile})
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
        job = client.jobs.create(**SPEC, metadata=metadata)
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


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Full:
    """An output on a full disk."""

    encoding = "utf-8"
    isatty, flush, write = (lambda _: False), full, full


def test_output_that_finds_no_room_is_one_line_and_exit_1(
    cli: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk behind `>` is told of, not dumped."""

    cli.at(fresh_server)
    for arguments in (("whoami",), ("keys", "list"), ("whoami", "--json")):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Full())
            run = cli(*arguments)
        assert run.code == 1
        assert run.err == f"firsthandapi: could not write standard output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize("command", ["collect", "create"])
def test_a_result_of_an_order_that_finds_no_room_exits_with_5(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, as_json: tuple[str, ...]
) -> None:
    """The job is posted: a script must not take it for a run that cost nothing."""

    spec = tmp_path / "job.json"
    spec.write_text(json.dumps(SPEC), encoding="utf-8")
    arguments = ("jobs", "create") if command == "create" else ("collect", "--dest", str(tmp_path / "signs"))
    with MockServer(speed=10_000, rate_limit=None) as server, monkeypatch.context() as patch:
        cli.at(server)
        patch.setattr(sys, "stdout", Full())
        run = cli(*arguments, "--spec", str(spec), *as_json)
    assert run.code == 5
    done = r"\d+ files? in .*signs, all verified" if command == "collect" else r"job_\w+ is posted"
    failed = f"firsthandapi: could not write standard output: {os.strerror(errno.ENOSPC)}"
    assert re.fullmatch(f"{failed}; {done}", run.err.splitlines()[-1])


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


@pytest.mark.skipif(sys.platform == "win32", reason="old consoles of Windows have other colors and widths")
def test_a_terminal_gets_whole_ids_and_wrapped_texts(cli: Cli, fresh_server: MockServer) -> None:
    """At 80 columns nothing is cut; what has no room beside stands below, and a long fact below itself."""
    with fresh_server.client() as client:
        texts = {"description": "Photos of street signs in daylight, " * 5, "title": "\x1b[2Jred"}
        job = client.jobs.create(**{**SPEC, **texts, "files_needed": 2})
    listed = cli.on_screen("jobs", "list")
    assert "\x1b[1mid" in listed
    plain = _STYLE.sub("", listed).splitlines()
    assert plain[2].startswith(f"{job.id}  open    0 of 2  $1.00  20")
    assert plain[3] == "    \\u001b[2Jred"
    narrow = _STYLE.sub("", cli.on_screen("jobs", "list", columns=50)).splitlines()
    assert narrow[:3] == ["id                              status  files", "    cost   created", "    title"]
    assert narrow[3] == f"{job.id}  open    0 of 2"
    assert narrow[4].startswith("    $1.00  20")
    assert all(len(line) <= 50 for line in narrow)
    lines = cli.on_screen("jobs", "get", job.id).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[-1].startswith("             ")
    assert "\x1b[32mok" in cli.on_screen("doctor")
    assert _STYLE.sub("", cli.on_screen("webhooks", "list")) == "No results.\n"
    cli.set(NO_COLOR="1")
    assert "\x1b[32mok" not in cli.on_screen("doctor")


def test_values_of_other_types(capsys: pytest.CaptureFixture[str]) -> None:
    """People see what is of its documented type; JSON has every value as the service sent it."""
    job = Job.model_validate({"id": "job_1", "status": "open", "files_needed": "two", "title": 5})

    def facts(job: Job) -> list[tuple[str, object]]:
        return [("id", job.id), ("title", job.title), ("files", of_needed(job))]

    table = one(job, facts)
    table.print(as_json=False)
    assert capsys.readouterr().out == "id  job_1\n"
    assert of_needed(job) is None
    table.print(as_json=True)
    assert json.loads(capsys.readouterr().out)["files_needed"] == "two"

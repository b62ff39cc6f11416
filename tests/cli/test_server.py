"""`firsthandapi server`: what is for the folder of a server of one's own."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cli.support import Cli
from firsthandapi import ConfigurationError, FirstHandClient
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.serve.ratings import RatingSource
from firsthandapi_server.serve.service import Service
from serve.conftest import JOB, submit


def test_tokens(shell: Cli, tmp_path: Path) -> None:
    """A token is shown once, listed without its secret, and revoked, beside a server that runs."""
    folder = str(tmp_path / "data")
    with Service(tmp_path / "data") as service:
        run = shell("server", "tokens", "create", folder, "--role", "worker", "--name", "Ana")
        secret = run.out.splitlines()[0]
        assert secret.startswith("fh_worker_")
        assert f"/sign-in#{secret}" in run.out
        signed_in = service.access.sign_in(secret, 0)
        assert signed_in is not None
        reviewer = json.loads(shell("server", "tokens", "create", folder, "--role", "reviewer", "--json").out)
        assert reviewer["token"].startswith("fh_reviewer_")
        listed = shell("server", "tokens", "list", folder)
        assert secret not in listed.out
        assert [line.split()[1] for line in listed.out.splitlines()[1:]] == ["operator", "worker", "reviewer"]
        assert shell("server", "tokens", "revoke", folder, reviewer["id"]).code == 0
        (good, used, revoked) = json.loads(shell("server", "tokens", "list", folder, "--json").out)
        assert used["last_used_at"] is not None
        assert revoked["revoked_at"] is not None
        assert good["revoked_at"] is None
        assert " revoked " in shell("server", "tokens", "list", folder).out


def test_tokens_of_no_server(shell: Cli, tmp_path: Path) -> None:
    """A wrong folder, id, or name is one line."""
    nowhere = str(tmp_path / "nowhere")
    assert "is not the folder of a server" in shell("server", "tokens", "list", nowhere).err
    assert "is not the folder of a server" in shell("server", "tokens", "revoke", nowhere, "tok_1").err
    misspelled = shell("server", "tokens", "create", nowhere, "--role", "worker")
    assert (misspelled.code, misspelled.out) == (2, "")
    assert "is not the folder of a server" in misspelled.err
    assert not (tmp_path / "nowhere").exists()
    unnamed = shell("server", "tokens", "create", "--new", nowhere, "--role", "worker", "--name", " ")
    assert (unnamed.code, "could not use --name" in unnamed.err) == (2, True)
    unknown = shell("server", "tokens", "revoke", nowhere, "tok_1")
    assert (unknown.code, "no token with this id exists" in unknown.err) == (2, True)
    (tmp_path / "file").write_bytes(b"")
    taken = shell("server", "tokens", "create", "--new", str(tmp_path / "file"), "--role", "worker")
    assert (taken.code, "could not use" in taken.err) == (2, True)


def test_a_new_folder(shell: Cli, tmp_path: Path) -> None:
    """The commands that a server beyond this machine asks for create its folder, and its first start continues."""
    folder = tmp_path / "new"
    with pytest.raises(ConfigurationError) as refused:
        Service(folder, public_url="https://photos.example.org")
    for command in str(refused.value).partition("create with: ")[2].split(" and "):
        assert shell(*command.split()[1:]).code == 0
    assert shell("server", "tokens", "create", "--new", str(folder), "--role", "reviewer").code == 0
    with Service(folder, public_url="https://photos.example.org") as service:
        assert [token.role for token in service.access.tokens()][:3] == ["worker", "operator", "reviewer"]


def test_checkpoint(shell: Cli, tmp_path: Path) -> None:
    """A folder of a server is ready to be copied, and another one is refused."""
    folder = tmp_path / "data"
    with Service(folder) as service:
        token, _ = service.access.create("worker", "Wanda", 0.0)
        assert shell("server", "checkpoint", str(folder)).out == f"Copy {folder} now.\n"
        assert token.id.encode() in (folder / "access.db").read_bytes()
    missing = shell("server", "checkpoint", str(tmp_path / "nowhere"))
    assert (missing.code, "is not the folder of a server" in missing.err) == (2, True)


def test_a_damaged_database_of_tokens(shell: Cli, tmp_path: Path) -> None:
    """Each command says in one line that it is damaged, and no copy of it is called a backup."""
    folder = tmp_path / "data"
    with Service(folder):
        pass
    (folder / "access.db").write_bytes(b"no database" * 500)
    for command in (("serve", "--port", "0"), ("server", "tokens", "list"), ("server", "checkpoint")):
        damaged = shell(*command, str(folder))
        assert (damaged.code, damaged.out) == (2, ""), command
        assert "access.db is damaged" in damaged.err


def test_erase(shell: Cli, tmp_path: Path) -> None:
    """A worker is erased beside a server that runs; a wrong id, or none, is one line."""
    folder = str(tmp_path / "data")
    with Service(tmp_path / "data") as service:
        token, _ = service.access.create("worker", "Ana", 0)
        assert shell("server", "erase", folder, "--worker", token.id).out == f"Erased {token.id}.\n"
        assert service.access.name_of(token.id) == ""
    unknown = shell("server", "erase", folder, "--file", f"file_{'0' * 26}")
    assert (unknown.code, "has no file_0" in unknown.err) == (2, True)
    for wrong in ((), ("--worker", f"file_{'0' * 26}"), ("--worker", token.id, "--file", f"file_{'0' * 26}")):
        refused = shell("server", "erase", folder, *wrong)
        assert (refused.code, "pass one id" in refused.err) == (2, True), wrong


def test_gold(shell: Cli, tmp_path: Path) -> None:
    """A table brings in files whose rating is known, beside a server that runs: all of its lines, or none."""
    folder, table = str(tmp_path / "data"), tmp_path / "known.csv"
    with Service(tmp_path / "data") as service:
        assert service.first is not None
        with FirstHandClient(service.first.live, service.url) as live:
            job = live.jobs.create(**{**JOB, "files_needed": 3})
        with FirstHandClient(service.first.sandbox, service.url) as sandbox:
            drawn = submit(service, sandbox.jobs.create(**JOB).id)
        files = [service.world.state.submissions[submit(service, job.id)].files[0].id for _ in range(2)]
        ratings = service.site.panel.ratings
        for lines, words in (
            (
                f"file_id,stars\n{files[0]},5\nfile_1,4\n",
                "line 3: there is no file 'file_1', or it was erased",
            ),
            (f"file_id,stars\n{service.world.state.submissions[drawn].files[0].id},5\n", "there is no file"),
            (f"file_id,stars\n{files[0]},6\n", "line 2: stars must be a whole number from 1 to 5, not '6'"),
            (f"file_id\n{files[0]}\n", "line 2: stars must be a whole number from 1 to 5, not ''"),
            ("stars\n5\n", "has no column file_id"),
        ):
            table.write_text(lines, encoding="utf-8")
            refused = shell("server", "gold", folder, str(table))
            assert (refused.code, words in refused.err) == (2, True), refused.err
        assert ratings.gold() == []
        table.write_text(f"file_id;stars\n{files[0]};5\n{files[1]};2\n", encoding="utf-8")
        assert shell("server", "gold", folder, str(table)).out == "2 files have a known rating now.\n"
        table.write_text(f"file_id,gold\n{files[0]},4\n", encoding="utf-8")
        assert json.loads(shell("server", "gold", folder, str(table), "--json").out) == {"files": 1}
        assert {rating.file: (rating.stars, rating.marked_by) for rating in ratings.gold()} == {
            files[0]: (4, "command line"),
            files[1]: (2, "command line"),
        }
        assert "gold_marked" in str(service.access.look("SELECT what FROM activity"))


def test_calibration(shell: Cli, tmp_path: Path) -> None:
    """A table for each program and kind of job, beside a server that runs; the CSV of ratings names the program too."""
    folder = str(tmp_path / "data")
    with Service(tmp_path / "data") as service:
        assert service.first is not None
        with FirstHandClient(service.first.live, service.url, max_retries=0) as buyer:
            job = buyer.jobs.create(**JOB)
        assert shell("server", "calibration", folder).out == "No program has rated anything yet.\n"
        submission = service.world.state.submissions[submit(service, job.id)]
        program = RatingSource("model:m", "1", "image", 3, counts=False)
        service.site.panel.ratings.give_as(program, submission, submission.files, [4], "Clear.", 5.0)
        service.site.panel.ratings.give(submission, "tok_1", [2], None, 6.0)
        printed = shell("server", "calibration", folder).out
        assert printed.startswith("model:m: image, approved from 3 stars\n1 files that people rated too;")
        (calibration,) = json.loads(shell("server", "calibration", folder, "--json").out)
    assert (calibration["pairs"], calibration["agreement"], calibration["people"]["pairs"]) == (1, 0, 0)
    assert calibration["bands"][3] == {
        "stars": 4,
        "pairs": 1,
        "wrong": 1,
        "bound": pytest.approx(1.0),
        "decides": False,
    }


def test_payouts(shell: Cli, tmp_path: Path) -> None:
    """A line for each worker who was approved, beside a server that runs; no name becomes a formula. Repeated, it pays
    nobody twice."""
    header = "worker_id,name,files,cents,currency,batch,date,reference"
    folder = str(tmp_path / "data")
    with Service(tmp_path / "data") as service:
        assert service.first is not None
        with FirstHandClient(service.first.live, service.url, max_retries=0) as buyer:
            job = buyer.jobs.create(**JOB)
        token, _ = service.access.create("worker", "=Ana, Zoë", 0)
        world = service.world
        for worker in (token.id, token.id, None):
            submission = submit(service, job.id, worker=worker)
            with world.lock:
                world.jobs.score(world.state.submissions[submission], 1_700_000_000.5, Verdict([5]))
        printed = shell("server", "payouts", folder)
        assert printed.out.splitlines()[:2] == [
            header,
            f'{token.id},"\'=Ana, Zoë",2,100,USD,,,',
        ]
        (_, payout) = json.loads(shell("server", "payouts", folder, "--json").out)
        assert [*payout.values()][1:] == ["", 1, 50, "USD", None, None, None]
        assert shell("server", "payouts", folder, "--since", "2023-11-15").out == f"{header}\n"
        assert shell("server", "payouts", folder, "--until", "2023-11-15").out == printed.out
        batch = shell("server", "payouts", folder, "--batch")
        ((first, *_), (_, *second)) = [
            line.split(",") for line in batch.out.replace("Ana, ", "").splitlines()[1:]
        ]
        assert (first, second[1:4]) == (token.id, ["1", "50", "USD"])
        assert re.fullmatch(r"batch_\w{26},\d{4}-\d\d-\d\d,", ",".join(second[4:]))
        repeat = shell("server", "payouts", folder, "--batch")
        assert (repeat.code, repeat.out, "in no batch" in repeat.err) == (0, f"{header}\n", True)
    paid = shell("server", "payouts", folder, "--paid", " =SEPA 7 ")
    assert paid.out == batch.out.replace(",\n", ",'=SEPA 7\n")
    for other_reference, rows in (("=SEPA 7", paid.out), ("SEPA 8", f"{header}\n")):
        assert shell("server", "payouts", folder, "--paid", other_reference).out == rows
    assert shell("server", "payouts", folder).out == paid.out
    assert [row["reference"] for row in json.loads(shell("server", "payouts", folder, "--json").out)] == [
        "=SEPA 7"
    ] * 2
    for wrong in (
        ("--batch", "--since", "2023-11-15"),
        ("--paid", " "),
        ("--paid", "a\nb"),
        ("--paid", "x" * 201),
    ):
        refused = shell("server", "payouts", folder, *wrong)
        assert (refused.code, refused.out) == (2, ""), wrong
    assert "could not use --since" in shell("server", "payouts", folder, "--since", "soon").err
    assert "is not the folder of a server" in shell("server", "payouts", str(tmp_path)).err


def test_backup(shell: Cli, tmp_path: Path) -> None:
    """Beside a server that runs, the command says where it is and how to start from it; what is missing is an error."""
    folder, target = str(tmp_path / "data"), str(tmp_path / "copy")
    with Service(tmp_path / "data"):
        backup = shell("server", "backup", folder, target)
        assert (backup.code, f"Start from it with: firsthandapi serve {target}" in backup.out) == (0, True)
        refused = shell("server", "backup", folder, str(tmp_path))
        assert (refused.code, "is not empty" in refused.err) == (2, True)
        report = json.loads(shell("server", "backup", folder, target, "--json").out)
        assert report == {"files": 0, "bytes": 0, "copied": 0, "bucket": None, "lost": [], "expired": []}
        aged = shell("server", "backup", folder, f"{target}2", "--keep-days", "0")
        assert f"Removed because of their age: {target}" in aged.out
        url = (tmp_path / "bucket").as_uri()
        assert f"firsthandapi server restore {url} DIR" in shell("server", "backup", folder, url).out
        assert "a bucket has one backup" in shell("server", "backup", folder, url, "--keep-days", "1").err
        for source, name in ((url, "brought"), (f"{target}2", "copied")):
            restored = shell("server", "restore", source, str(tmp_path / name))
            assert (restored.code, f"firsthandapi serve {tmp_path / name}" in restored.out) == (0, True)
            Service(tmp_path / name).start().stop()
        assert "is not empty" in shell("server", "restore", url, str(tmp_path / "copied")).err


@pytest.mark.parametrize("database", ["state.db", "access.db"])
def test_a_damaged_folder_is_one_line(shell: Cli, tmp_path: Path, database: str) -> None:
    """Whatever a command reads or writes, it says that the database is damaged, and what to do."""
    folder = tmp_path / "data"
    with Service(folder) as service:
        token, _ = service.access.create("worker", "Ana", 0)
    with closing(sqlite3.connect(folder / database)) as rows:
        table = "meta" if database == "state.db" else "sessions"
        (page,) = rows.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with (folder / database).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    commands: list[list[str]] = [["backup", str(folder), str(tmp_path / "copy")]]
    if database == "state.db":
        commands.append(["erase", str(folder), "--worker", token.id])
    for command in commands:
        refused = shell("server", *command)
        assert (refused.code, refused.out) == (2, ""), command
        assert f"{database} is damaged" in refused.err
        assert "restore the folder from a backup" in refused.err
        assert "Traceback" not in refused.err

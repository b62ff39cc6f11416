"""`firsthandapi serve`, `tokens`, and `checkpoint`. What a server does is tested in `tests/serve`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli.support import Cli
from firsthandapi.server.serve.service import Service


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line, in this process."""
    return Cli(monkeypatch, capsys)


def test_tokens(cli: Cli, tmp_path: Path) -> None:
    """A token is shown once, listed without its secret, and revoked, beside a server that runs."""
    folder = str(tmp_path / "data")
    with Service(tmp_path / "data") as service:
        made = cli("tokens", "create", folder, "--role", "worker", "--name", "Ana")
        secret = made.out.splitlines()[0]
        assert secret.startswith("fh_worker_")
        assert f"/sign-in#{secret}" in made.out
        signed_in = service.access.sign_in(secret, 0)
        assert signed_in is not None
        other = json.loads(cli("tokens", "create", folder, "--role", "reviewer", "--json").out)
        assert other["token"].startswith("fh_reviewer_")
        listed = cli("tokens", "list", folder)
        assert secret not in listed.out
        assert [line.split()[1] for line in listed.out.splitlines()[1:]] == ["operator", "worker", "reviewer"]
        assert cli("tokens", "revoke", folder, other["id"]).code == 0
        (good, used, revoked) = json.loads(cli("tokens", "list", folder, "--json").out)
        assert used["last_used_at"] is not None
        assert revoked["revoked_at"] is not None
        assert good["revoked_at"] is None
        assert " revoked " in cli("tokens", "list", folder).out


def test_tokens_of_no_server(cli: Cli, tmp_path: Path) -> None:
    """A wrong folder, id, or name is one line."""
    nowhere = str(tmp_path / "nowhere")
    assert "is not the folder of a server" in cli("tokens", "list", nowhere).err
    assert "is not the folder of a server" in cli("tokens", "revoke", nowhere, "tok_1").err
    assert not (tmp_path / "nowhere").exists()
    unnamed = cli("tokens", "create", nowhere, "--role", "worker", "--name", " ")
    assert (unnamed.code, "could not use --name" in unnamed.err) == (2, True)
    unknown = cli("tokens", "revoke", nowhere, "tok_1")
    assert (unknown.code, "no token with this id exists" in unknown.err) == (2, True)
    (tmp_path / "file").write_bytes(b"")
    taken = cli("tokens", "create", str(tmp_path / "file"), "--role", "worker")
    assert (taken.code, "could not use" in taken.err) == (2, True)


def test_checkpoint(cli: Cli, tmp_path: Path) -> None:
    """A folder of a server is ready to be copied, and another one is refused."""
    folder = tmp_path / "data"
    with Service(folder):
        assert cli("checkpoint", str(folder)).out == f"Copy {folder} now.\n"
    missing = cli("checkpoint", str(tmp_path / "nowhere"))
    assert (missing.code, "keeps no service" in missing.err) == (2, True)


def test_a_damaged_database_of_tokens(cli: Cli, tmp_path: Path) -> None:
    """Each command says in one line that it is damaged, and no copy of it is called a backup."""
    folder = tmp_path / "data"
    with Service(folder):
        pass
    (folder / "access.db").write_bytes(b"no database" * 500)
    for command in (("serve",), ("tokens", "list"), ("checkpoint",)):
        damaged = cli(*command, str(folder))
        assert (damaged.code, damaged.out) == (2, ""), command
        assert "access.db is damaged" in damaged.err


def test_what_serve_refuses(cli: Cli, tmp_path: Path) -> None:
    """A busy port, a missing token, and an unknown scorer are one line each."""
    with Service(tmp_path / "one") as service:
        busy = cli("serve", str(tmp_path / "two"), "--port", str(service.port))
    assert (busy.code, f"could not use --port {service.port}" in busy.err) == (2, True)
    public = cli("serve", str(tmp_path / "two"), "--public-url", "https://photos.example.org")
    assert (public.code, "not served beyond this machine" in public.err) == (2, True)
    scored = cli("serve", str(tmp_path / "two"), "--scorer", "best")
    assert (scored.code, "scorer best is not installed" in scored.err) == (2, True)
    (tmp_path / "file").write_bytes(b"")
    taken = cli("serve", str(tmp_path / "file"))
    assert (taken.code, "could not use" in taken.err) == (2, True)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_keys_go_to_a_terminal_or_into_a_file(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_terminal: bool
) -> None:
    """A terminal shows the first keys once. What is no terminal, such as a log, gets the path of their file."""
    monkeypatch.setattr("firsthandapi.cli.serve.wait_for_stop", lambda: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.chdir(tmp_path)
    shown = cli("serve", "data", "--port", "0")
    file = tmp_path / "data" / "first-keys.txt"
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.count("fh_live_own_") == (2 if is_terminal else 0)
    assert ("/sign-in#fh_operator_" in shown.out, "fh_" in shown.out) == (is_terminal, is_terminal)
    assert (file.exists(), f"  {file}\n" in shown.out) == (not is_terminal, not is_terminal)
    again = cli("serve", "data", "--port", "0")
    assert (again.code, "first start" in again.out, "fh_" in again.out) == (0, False, False)

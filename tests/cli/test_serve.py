"""`firsthandapi serve`. What a server does is tested in `tests/serve`."""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cli.support import Cli
from firsthandapi._base.host import lan
from firsthandapi_server.serve.access import Access
from firsthandapi_server.serve.consents import Consents
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.keeping import NotKeptError
from serve.conftest import write


def test_what_serve_refuses(shell: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy port, a missing token, an unknown scorer, and a wrong study are one line each."""
    with Service(tmp_path / "one") as service:
        busy = shell("serve", str(tmp_path / "two"), "--port", str(service.port))
    assert (busy.code, f"could not use --port {service.port}" in busy.err) == (2, True)
    public = shell("serve", str(tmp_path / "two"), "--public-url", "https://photos.example.org")
    assert (public.code, "not served beyond this machine" in public.err) == (2, True)
    scored = shell("serve", str(tmp_path / "two"), "--scorer", "best")
    assert (scored.code, "scorer best is not installed" in scored.err) == (2, True)
    elsewhere = shell("serve", str(tmp_path / "two"), "--lan", "--host", "192.168.255.254")
    assert (elsewhere.code, "could not use --host 192.168.255.254" in elsewhere.err) == (2, True)
    (tmp_path / "study.yaml").write_text("nam: Street signs")
    study = shell("serve", str(tmp_path / "two"), "--study", str(tmp_path / "study.yaml"))
    assert (study.code, "nam is not a known key; did you mean name?" in study.err) == (2, True)
    addresses: list[str] = []
    monkeypatch.setattr(lan, "lan_addresses", lambda: addresses)
    for options, words in (
        ([], "--lan found no address of this machine"),
        (["--host", "8.8.8.8"], "8.8.8.8 is not an address in one"),
        (["--public-url", "https://photos.example.org"], "--lan and --public-url exclude each other"),
    ):
        refused = shell("serve", str(tmp_path / "two"), "--lan", *options)
        assert (refused.code, words in refused.err) == (2, True), refused.err
    assert not (tmp_path / "two").exists()
    (tmp_path / "file").write_bytes(b"")
    taken = shell("serve", str(tmp_path / "file"))
    assert (taken.code, "could not use" in taken.err) == (2, True)


def test_serve_takes_no_pillow_that_strangers_could_break(
    shell: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra allows older ones, beside packages that forbid newer ones: the server does not run on them."""
    monkeypatch.setattr("firsthandapi.cli.serve.version", {"pillow": "12.3.0"}.get)
    run = shell("serve", str(tmp_path / "photos"))
    assert (run.code, "Pillow 12.3.0 is not safe for pictures of strangers" in run.err) == (2, True)
    assert "run pip install 'pillow>=13', in an environment of its own" in run.err
    assert not (tmp_path / "photos").exists()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_keys_go_to_a_terminal_or_into_a_file(
    shell: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_terminal: bool
) -> None:
    """A terminal shows the first keys once. What is no terminal, such as a log, gets the path of their file."""
    monkeypatch.setattr("firsthandapi.cli.serve.wait_for_stop", lambda: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.chdir(tmp_path)
    first_run = shell("serve", "data", "--port", "0")
    file = tmp_path / "data" / "first-keys.txt"
    assert (first_run.code, first_run.err) == (0, "")
    assert first_run.out.count("fh_live_own_") == (2 if is_terminal else 0)
    assert ("/sign-in#fh_operator_" in first_run.out, "fh_" in first_run.out) == (is_terminal, is_terminal)
    assert (file.exists(), f"  {file}\n" in first_run.out) == (not is_terminal, not is_terminal)
    (tmp_path / "data" / "serve.yaml").write_text("port: 0")
    second_run = shell("serve", "data")
    assert second_run.out.startswith(f"Settings: {Path('data', 'serve.yaml')}\nServing data at ")
    with closing(sqlite3.connect(tmp_path / "data" / "access.db")) as rows:
        query = "SELECT what, who FROM activity WHERE what GLOB 'server.*'"
        assert rows.execute(query).fetchall() == [("server.started", "command line")] * 2
    assert (second_run.code, "first start" in second_run.out, "fh_" in second_run.out) == (0, False, False)


def test_a_full_disk_ends_in_a_sentence(shell: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that cannot write down that it started runs, and says where to read why."""
    monkeypatch.setattr("firsthandapi.cli.serve.wait_for_stop", lambda: None)

    def note(*_: object, **__: object) -> None:
        raise NotKeptError("database or disk is full")

    monkeypatch.setattr(Access, "note", note)
    run = shell("serve", str(tmp_path / "data"), "--port", "0")
    assert (run.code, "Review files: " in run.out) == (0, True)
    (line,) = run.err.splitlines()
    assert "database or disk is full" in line
    assert line.endswith("/healthz.")


@pytest.mark.skipif(sys.platform == "darwin", reason="127.0.0.2 is no address there")
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_link_for_each_role_in_the_local_network(
    shell: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_terminal: bool
) -> None:
    """With a code for workers to scan, where it can be drawn. A terminal shows tokens, once. People who agreed
    to other words are counted."""
    monkeypatch.setattr("firsthandapi.cli.serve.wait_for_stop", lambda: None)
    monkeypatch.setattr(lan, "lan_addresses", lambda: ["127.0.0.2", "10.8.0.2"])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.chdir(tmp_path)
    first_run = shell("serve", "data", "--lan", "--port", "0", "--study", str(write(tmp_path)))
    assert (first_run.code, "There is no TLS" in first_run.err) == (0, True)
    assert re.search(r"Worker +http://127.0.0.2:\d+/join\n", first_run.out)
    assert "pass it as --host: 10.8.0.2" in first_run.out
    assert ("▄▄▄▄▄" in first_run.out, "/sign-in#fh_reviewer_" in first_run.out) == (is_terminal, is_terminal)
    assert ("fh_" in first_run.out, "first-keys.txt" in first_run.out) == (is_terminal, not is_terminal)
    monkeypatch.setattr(Consents, "of_other_words", lambda _: 3)
    second_run = shell("serve", "data", "--lan", "--port", "0", "--study", str(write(tmp_path)))
    assert ("3 of the people who agreed" in second_run.err, "who agreed" in first_run.err) == (True, False)
    assert re.search(r"Reviewer +http://127.0.0.2:\d+/sign-in\n", second_run.out)
    assert ("fh_" in second_run.out, "first-keys" in second_run.out) == (False, False)
    assert "firsthandapi server tokens create data --role reviewer" in second_run.out
    assert "pass --study FILE, or its people" not in second_run.err
    assert "pass --study FILE, or its people" in shell("serve", "data", "--lan", "--port", "0").err


@pytest.mark.skipif(sys.platform == "darwin", reason="127.0.0.2 is no address there")
def test_no_code_in_the_local_network_is_one_persons_token(
    shell: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a study, the terminal says how each worker gets a token; there is none that all would share."""
    monkeypatch.setattr("firsthandapi.cli.serve.wait_for_stop", lambda: None)
    monkeypatch.setattr(lan, "lan_addresses", lambda: ["127.0.0.2"])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.chdir(tmp_path)
    text = shell("serve", "data", "--lan", "--port", "0").out
    assert re.search(r"Worker +http://127.0.0.2:\d+/sign-in\n", text)
    assert ("fh_worker_" in text, "▄▄▄▄▄" in text, "/sign-in#fh_operator_" in text) == (False, False, True)
    assert "firsthandapi server tokens create data --role worker --name NAME" in text

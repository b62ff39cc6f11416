"""`firsthandapi exclude`, `include`, `accept`, and `relabel`, and the gate that counts them."""

from __future__ import annotations

import json
from pathlib import Path

from cli.support import Cli
from dataset.support import folder_of
from firsthandapi import Dataset


def test_files_are_decided_about_in_the_shell(cli: Cli, tmp_path: Path) -> None:
    """Each command says where the folder is then, and `verify` obeys; a wrong id is a usage error."""
    parts = {
        label: folder_of(tmp_path / label, [label.encode()], file_id=[f"file_{label}"])
        for label in ("a", "b")
    }
    folder = str(Dataset.merge(parts, tmp_path / "signs").path)
    done = cli("exclude", folder, "file_a", "--reason", "blurred", "--by", "ana")
    assert (done.code, done.out) == (0, "1 file, 0 reviewed; 1 excluded\n")
    assert cli("relabel", folder, "file_b", "--to", "c").out == "1 file, 1 reviewed; 1 excluded\n"
    assert (cli("include", folder, "file_a").code, cli("accept", folder, "file_a").code) == (0, 0)
    as_json = cli("accept", folder, "file_a", "--by", "bo", "--json")
    assert json.loads(as_json.out) == {"files": 2, "excluded": 0, "reviewed": 2}
    decided = Dataset.open(folder).decisions
    assert [(decision.action, decision.label, decision.reason, decision.by) for decision in decided] == [
        ("exclude", None, "blurred", "ana"),
        ("relabel", "c", None, None),
        ("include", None, None, None),
        ("accept", None, None, None),
        ("accept", None, None, "bo"),
    ]
    assert cli("accept", folder, "file_x").code == 2
    assert cli("verify", folder, "--all-reviewed", "--min-files", "2").code == 0


def test_a_gate_prints_a_line_for_each_rule_that_fails(cli: Cli, tmp_path: Path) -> None:
    """And exits with 1; as JSON, the lines are a list."""
    folder = str(folder_of(tmp_path, [b"same", b"same"]).path)
    gate = ("--min-files", "3", "--min-mean-stars", "4", "--no-duplicates", "--all-reviewed")
    done = cli("verify", folder, *gate)
    assert done.code == 1
    lines = [line.split()[0].rstrip(":") for line in done.out.splitlines() if line.startswith("--")]
    assert lines == ["--min-files", "--min-mean-stars", "--no-duplicates", "--all-reviewed"]
    as_json = json.loads(cli("verify", folder, *gate, "--json").out)
    assert (as_json["ok"], len(as_json["failed"])) == (True, 4)
    assert cli("verify", folder).code == 0

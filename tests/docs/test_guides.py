"""The guides' tables are whole: what the code grows is missed here."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from firsthandapi import Dataset, FirstHandClient, errors
from firsthandapi._base.names import ROOM
from firsthandapi._core.files.annotations import SHAPES
from firsthandapi._core.rows.manifest import COLUMNS
from firsthandapi.cli.app import COMMANDS
from firsthandapi.datasets._hashes import HASHES
from firsthandapi.testing import Faults, MockServer
from firsthandapi.types.enums import EventType, Scope

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"

TABLES = {
    "command-line": [name for commands in COMMANDS.values() for name in commands],
    "errors": [name for name in errors.__all__ if name != "FirstHandError"],
    "datasets": [*COLUMNS, *(key for shape in SHAPES.values() for key in shape)],
    "webhooks": [*get_args(EventType)],
    "security": [*get_args(Scope)],
    "testing": [
        name for name in inspect.signature(Faults.add).parameters if name not in ("self", "path", "method")
    ],
}


@pytest.mark.parametrize("guide", TABLES)
def test_each_guide_names_all_there_is(guide: str) -> None:
    """Every error, column, event type, scope, fault and command is in the guide that lists them."""
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    code = set(re.findall(r"[\w.:-]+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    assert [name for name in TABLES[guide] if name not in code] == []


@pytest.fixture
def quick_client() -> Iterator[FirstHandClient]:
    with MockServer(speed=2_000) as server, server.client() as client:
        yield client


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_git_and_dvc_keep_is_whole(tmp_path: Path, quick_client: FirstHandClient) -> None:
    """By the recipe of the guide, with Git and, in the place of DVC, what it does here: a clone is that version, buys
    nothing again, and keeps what was excluded out."""
    guide = (GUIDES / "versions.md").read_text(encoding="utf-8").partition("## With Git and DVC")[2]
    client, cache, clone = quick_client, tmp_path / "cache", tmp_path / "clone"

    def collect(dest: Path) -> Dataset:
        return client.jobs.collect(
            dest,
            label="stop",
            description="Photos of signs by day",
            files_needed=2,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )

    def git(*arguments: str) -> None:
        me = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *me, *arguments], cwd=tmp_path, env=environment, check=True, timeout=60)

    dataset = collect(tmp_path / "signs")
    dataset.exclude(out := dataset.records[0])
    dataset.write_card(license="MIT")
    version = dataset.write_lock()
    (dataset.path / HASHES).touch()
    git("init", "-q")
    for line in guide.partition("```text\n")[2].partition("```")[0].splitlines():
        match shlex.split(line):
            case ["git", *arguments]:
                git(*arguments)
            case ["dvc", "add", *media]:
                for path in map(Path, media):
                    shutil.copytree(tmp_path / path, cache / path)
                    (tmp_path / f"{path}.dvc").touch()
                    with (tmp_path / path.parent / ".gitignore").open("a") as ignored:
                        ignored.write(f"/{path.name}\n")
            case ["echo", pattern, ">>", name]:
                with (tmp_path / name).open("a") as ignored:
                    ignored.write(f"{pattern}\n")
            case words:
                pytest.fail(f"the recipe has a line that this test does not know: {words}")
    git("clone", "-q", str(tmp_path), str(clone))
    assert not [*clone.rglob("*.jpg"), *clone.glob("signs/.firsthandapi/*lock"), *clone.rglob("*.bin")]
    shutil.copytree(cache, clone, dirs_exist_ok=True)
    assert Dataset.open(clone / "signs", version=version).verify()
    paths = [*dataset.path.iterdir(), *(dataset.path / ROOM).glob("*[!k]")]
    assert [path.name for path in paths if path.stem not in guide] == []
    jobs = len(list(client.jobs.list()))
    repeat = collect(clone / "signs")
    assert ([row.file_id for row in repeat.excluded], len(repeat)) == ([out.file_id], 1)
    assert (repeat.verify().ok, len(list(client.jobs.list())), repeat.write_lock()) == (True, jobs, version)


# Words that a reader in America would not say, and what to write instead.
BANNED = {
    r"\banew\b": "again",
    r"\bhand(?:s|ed)? in\b": "submit",
    r"\b(?:go|goes|went) on\b(?! to)": "continue",
    r"\bbec(?:ome|omes|ame) of\b": "status, or outcome",
    r"\b(?:mend|heal)(?:s|ed|ing)?\b": "fix, or repair",
    r"\bholds? (?:\w+ ){1,5}against\b": "check",
    r"\b(?:behaviour|colour|licence|serialis|commoner)\w*": "the American spelling",
    r"\b(?:seconds|requests|items|files|JSON) an? (?:second|minute|submission|event)\b": "per",
    r"\braise (?:timeout|deadline)\b|--limit raises": "increase",
    r"\w, (?:also|likewise|too)\.": "no trailing word",
    r"\b(?:do|does|did|is|are|was|were|has|have|can|could|would|should|wo|ca)n't\b": "no contraction",
    r"\ba operator\b": "an operator",
}


def shown(path: Path) -> Iterator[str]:
    """What people read of a file: the prose of a page, a template, the strings and docstrings of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    elif path.suffix == ".json":
        yield from json.loads(text)
    else:
        yield re.sub(r"```.*?```|`[^`\n]+`|<script.*?</script>", "`", text, flags=re.DOTALL)


def test_no_banned_word_is_shown() -> None:
    """Docs, docstrings, messages, help, and the sentences of pages use one plain word per idea."""
    root = GUIDES.parents[1]
    source = root / "src"
    files = [
        *root.glob("*.md"),
        *(root / "docs").rglob("*.md"),
        *source.rglob("*.html"),
        *source.rglob("*.py"),
    ]
    files += source.rglob("languages/*.json")
    hits = [
        f"{path.relative_to(root).as_posix()}: {' '.join(match[0].split())!r}: write {instead}"
        for path in files
        if path.name != "CHANGELOG.md" and "_sync" not in path.parts
        for text in shown(path)
        for word, instead in BANNED.items()
        for match in re.finditer(word, text)
    ]
    assert hits == []

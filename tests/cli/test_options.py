"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.support import YAML, Cli
from firsthandapi.testing import MockServer


@pytest.mark.parametrize(
    ("arguments", "words"),
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
    words: str,
) -> None:
    """A variable that is not set does not mean the current folder, nor a URL a folder called s3."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(YAML)
    run = cli(*arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert not fresh_server.requests
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]

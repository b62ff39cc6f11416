"""`firsthandapi demo`."""

from __future__ import annotations

from pathlib import Path

from .support import Cli
from .test_app import firsthandapi


def test_demo_shows_the_whole_job(tmp_path: Path) -> None:
    """The demo posts, waits, downloads, shows annotations and verifies a webhook."""
    # A proxy in the environment is none of its business.
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    run = firsthandapi("demo", "--dest", "files", cwd=tmp_path, **proxy)
    assert run.returncode == 0, run.stderr
    for part in (
        "completed",
        "4 of 4 files approved",
        "★",
        "640x480",
        "its signature is valid",
        "job.completed",
        "open the console of:\n\n  firsthandapi mock-server --speed 10",
    ):
        assert part in run.stdout
    (folder,) = (tmp_path / "files").iterdir()
    assert len(list((folder / "data").iterdir())) == 4


def test_demo_needs_a_folder(cli: Cli, tmp_path: Path) -> None:
    """A file in the way is told of."""
    (tmp_path / "taken").write_bytes(b"")
    taken = cli("demo", "--dest", str(tmp_path / "taken"))
    assert taken.code == 2
    assert "Traceback" not in taken.err

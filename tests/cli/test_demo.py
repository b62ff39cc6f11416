"""`firsthandapi demo`."""

from __future__ import annotations

from pathlib import Path

from .test_app import firsthandapi


def test_demo_shows_the_whole_job(tmp_path: Path) -> None:
    """The demo posts, waits, downloads, shows annotations and verifies a webhook."""
    run = firsthandapi("demo", "--dest", "files", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for part in (
        "completed",
        "4 of 4 files approved",
        "★",
        "640x480",
        "its signature is valid",
        "job.completed",
        "firsthandapi mock-server --speed 10 and open the console",
    ):
        assert part in run.stdout
    (folder,) = (tmp_path / "files").iterdir()
    assert len(list((folder / "data").iterdir())) == 4
    again = firsthandapi("demo", "--dest", "files", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_demo_needs_no_proxy_and_a_folder(tmp_path: Path) -> None:
    """A proxy in the environment is none of the demo's business; a file in the way is told of."""
    (tmp_path / "taken").write_bytes(b"")
    proxied = firsthandapi(
        "demo", cwd=tmp_path, HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9"
    )
    taken = firsthandapi("demo", "--dest", "taken", cwd=tmp_path)
    assert proxied.returncode == 0, proxied.stderr
    assert taken.returncode == 2
    assert "Traceback" not in taken.stderr

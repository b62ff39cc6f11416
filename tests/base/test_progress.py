"""The line that shows how a run is going, where a person looks."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from client.support import JOB
from dataset.support import completed_job
from firsthandapi import Campaign, CampaignJob, Progress
from firsthandapi._base.progress import AGENTS, progress_line, someone_looks
from firsthandapi.testing import MockServer


class Screen(io.StringIO):
    """Standard error, which may be a terminal."""

    def __init__(self, *, terminal: bool = True) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal at which a person sits."""
    for name in (*AGENTS, "FIRSTHAND_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    return Screen()


def test_one_line_moves(screen: Screen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`collect`, `download_all`, and `campaigns.run` redraw one line each, and leave its last state;
    `progress=False` and `on_progress` take its place."""
    monkeypatch.setattr(sys, "stderr", screen)
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        job_id = completed_job(server, 2)
        seen: list[Progress] = []
        client.files.download_all(job_id, tmp_path / "a", progress=False)
        client.files.download_all(job_id, tmp_path / "b", on_progress=seen.append)
        assert seen
        assert screen.getvalue() == ""
        client.files.download_all(job_id, tmp_path / "c")
    with MockServer(speed=600) as server, server.client() as client:
        client.jobs.collect(tmp_path / "d", **JOB)
        campaign = Campaign(dest=tmp_path / "e", budget_cents=500, jobs={"stop": CampaignJob(**JOB)})
        client.campaigns.run(campaign)
    lines = screen.getvalue().splitlines(keepends=True)
    assert screen.getvalue().count("\n") == 3
    last = [line.rpartition("\r")[2] for line in screen.getvalue().rstrip("\n").split("\n")]
    assert all("2 of 2 files" in line for line in last), last
    assert lines[0].startswith("\r")


@pytest.mark.parametrize(
    ("terminal", "variables", "looks"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"FIRSTHAND_PROGRESS": "1"}, True),
        (True, {"FIRSTHAND_PROGRESS": "0"}, False),
        (True, {"FIRSTHAND_PROGRESS": "off"}, False),
        (True, {"AI_AGENT": "x"}, False),
    ],
)
def test_where_someone_looks(
    screen: Screen,
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    variables: dict[str, str],
    looks: bool,
) -> None:
    """At a terminal, unless a program acts for the person or the environment says no."""
    monkeypatch.setattr(sys, "stderr", Screen(terminal=terminal))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert someone_looks() is looks


def test_a_notebook_shows_it_below_the_cell(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """One output that changes, of the folder's name alone: people share notebooks."""
    ipython = pytest.importorskip("IPython")
    monkeypatch.setattr(sys, "stderr", Screen(terminal=False))
    assert not someone_looks()
    shell = type("Shell", (), {"kernel": object()})()
    displays: list[tuple[str, bool]] = []

    def display(data: dict[str, str], *, raw: bool, display_id: str, update: bool = False) -> None:
        assert (raw, display_id.startswith("firsthandapi-")) == (True, True)
        displays.append((data["text/plain"], update))

    monkeypatch.setattr(ipython, "get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", display)
    with progress_line(None, True, "/home/me/signs/") as show:
        show(Progress(0, 2, 0, 0))
        show(Progress(1, 2, 0, 0, files_failed=1))
    assert [update for _, update in displays] == [False, True]
    assert displays[1][0].startswith("signs  1 of 2 files  0.0 MB  1 failed")


def test_a_line_that_cannot_be_written_ends_no_run(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal may be closed; the files are still wanted. What never came leaves no empty line."""
    monkeypatch.setattr(sys, "stderr", screen)
    with progress_line(None, True, "signs"):
        pass
    assert screen.getvalue() == ""
    with progress_line(None, True, "signs") as show:
        screen.close()
        show(Progress(0, 1, 0, 0))

"""Ctrl-C, and the other polite signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cli.support import SPEC, YAML, start
from firsthandapi.testing import MockServer
from processes import stopped


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
@pytest.mark.parametrize(
    "arguments", [("collect", "--spec", "job.yaml", "--dest", "signs"), ("jobs", "wait")], ids=" ".join
)
def test_who_stops_a_wait_learns_how_to_continue(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """At Ctrl-C, and at SIGTERM, one sentence says what happens to the job; the same command continues it."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    with MockServer(workers=False) as server, server.client() as client:
        if arguments[0] == "jobs":
            arguments = (*arguments, client.jobs.create(**SPEC).id)  # type: ignore[arg-type] # a dict of all fields
        place = {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        for how, code in (("SIGINT", 130), ("SIGTERM", 143)):
            process = start(*arguments, cwd=tmp_path, **place)
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any("0 of 3 files" in line for line in lines)
            out, err = stopped(process, getattr(signal, how))
            (job,) = client.jobs.list()
            assert (out, process.returncode) == ("", code)
            assert err.splitlines() == [
                f"The job continues: {job.id}. Run the same command again, "
                f"or cancel with: firsthandapi jobs cancel {job.id}"
            ]
        assert len([*client.jobs.list()]) == 1

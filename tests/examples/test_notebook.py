"""The example notebook is run as its reader runs it: in a kernel, cell by cell."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firsthandapi._base.progress import AGENTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"

# In a process of its own: Jupyter has loops, sockets and warnings of its own. Twice, since readers restart the
# kernel and run all again, beside what the first run left in the folder.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
for _ in range(2):
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}
    ).execute()
nbformat.write(notebook, sys.argv[3])
"""


def outputs_of_a_run(folder: Path) -> dict[str, Any]:
    """The outputs of each cell that has any, by the cell's id."""
    done = folder / "done.ipynb"
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FIRSTHAND_") and name not in AGENTS
        },
        "PYTHONPATH": str(ROOT / "src"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "share"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
        **dict.fromkeys(("TMPDIR", "TEMP"), str(folder)),
    }
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK), str(folder), str(done)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    cells = json.loads(done.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: cell["outputs"] for cell in cells if cell.get("outputs")}


def html_of(outputs: list[Any]) -> str:
    """The HTML of a cell whose last line has a value."""
    return "".join(outputs[-1]["data"]["text/html"])


def test_the_notebook(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """It is run once, since that takes seconds, and looked at from each side."""
    if importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("ipykernel") is None:
        pytest.skip("nbclient and ipykernel are not installed (make test)")
    folder = tmp_path / "notebook"
    folder.mkdir()
    outputs = outputs_of_a_run(folder)
    printed = [output for cell in outputs.values() for output in cell]
    with subtests.test("no cell raises, prints to stderr or warns, the second time either"):
        assert [output for output in printed if output["output_type"] in ("error", "stream")] == []
    with subtests.test("a gallery shows all files of the dataset, each with stars and labels"):
        page = html_of(outputs["dataset"])
        assert page.count("<figure") == 12
        assert page.count("stars") >= 12
        assert page.count('src="data:') == 12
        assert '<img src="data:image/jpeg;base64,' in page
        assert '<audio controls preload="metadata" src="data:audio/mpeg;base64,' in page
        assert '<video controls preload="metadata" src="data:video/mp4;base64,' in page
    with subtests.test("the job is a card, the page a gallery without media; and two tables"):
        assert "12 of 12 files approved" in html_of(outputs["job"])
        assert html_of(outputs["page"]).count("not downloaded") == 6
        assert "there are more pages" in html_of(outputs["page"])
        assert "Street corners" in html_of(outputs["jobs"])
        assert "original_filename" in html_of(outputs["pandas"])
    with subtests.test(
        "who gets the saved notebook gets no signed URL, no key and no folder of this machine"
    ):
        saved = json.dumps(printed)
        for word in ("X-Amz", "/files/", "fh_live_", "fh_test_", str(ROOT), str(folder)):
            assert word not in saved
    with subtests.test("it is kept with the kinds of outputs that a run has, small, and without a secret"):
        text = NOTEBOOK.read_text(encoding="utf-8")
        cells = {cell["id"]: cell["outputs"] for cell in json.loads(text)["cells"] if cell.get("outputs")}
        assert cells.keys() == outputs.keys(), "run: make pictures"
        for name, saved_outputs in cells.items():
            assert [sorted(output["data"]) for output in saved_outputs] == [
                sorted(output["data"]) for output in outputs[name]
            ]
        assert html_of(cells["dataset"]).count("<figure") == 12
        assert len(text) < 600_000
        for word in ("X-Amz", "/files/", "fh_live_", "fh_test_", "/home/", "/tmp/", str(ROOT)):
            assert word not in text

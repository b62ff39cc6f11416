"""`action.yml`: each step of the action by bash, as GitHub runs it, against the bundled server.

What is not GitHub's here: `uses:` is played by a few lines below, and `pip install` is kept from every index, so that
this environment must satisfy it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import firsthandapi
from dataset.s3 import S3
from dataset.support import jobs_bought
from firsthandapi import Dataset
from firsthandapi.testing import MockServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
UPLOADED = "https://github.com/acme/signs/actions/runs/4711/artifacts/1"

needs_bash = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="the action is for bash"
)


@dataclass
class Run:
    """One run of the action: a fresh disk, its inputs, and what it leaves."""

    folder: Path
    server: MockServer
    inputs: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    installs: bool = False  # it takes longer than all else, and is the same each time
    output: str = ""
    succeeded: list[str] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        defaults = {"api-key": self.server.api_key, "base-url": self.server.url, "max-spend-cents": "1000"}
        self.inputs = {**defaults, **self.inputs}
        for name, about in ACTION["inputs"].items():
            assert about.get("required") or "default" in about
            self.inputs.setdefault(name, about.get("default", ""))
        assert set(self.inputs) == set(ACTION["inputs"])
        self.workspace, self.temp = self.folder / "workspace", self.folder / "temp"
        self.temp.mkdir(parents=True)
        shutil.copytree(ROOT / "examples" / "ci", self.workspace)
        self.summary = self.folder / "summary.md"
        self.summary.touch()

    def run(self) -> bool:
        """The steps in order, up to the first that fails; whether all went well."""
        for step in STEPS:
            if "if" in step and not self.holds(step["if"]):
                continue
            if step.get("name") == "Install" and not self.installs:
                continue
            if "run" not in step:
                self.play(step)
            elif not self.execute(step):
                return False
            self.succeeded.append(step.get("name") or step["uses"])
        return True

    def execute(self, step: dict[str, Any]) -> bool:
        assert step["shell"] == "bash"
        outputs, script = self.folder / "outputs", self.folder / "step.sh"
        outputs.write_text("")
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND")},
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PIP_NO_INDEX": "1",
                "PYTHONIOENCODING": "cp1252",  # as on Windows
                "CI": "true",
                "GITHUB_OUTPUT": str(outputs),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                **self.environment,
                **{name: self.resolve(value) for name, value in step.get("env", {}).items()},
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=300,
        )
        self.output += done.stdout + done.stderr
        results = dict(line.split("=", 1) for line in outputs.read_text(encoding="utf-8").splitlines())
        self.steps[step.get("id", "")] = results
        return done.returncode == 0

    def play(self, step: dict[str, Any]) -> None:
        action, options = step["uses"], step["with"]
        if action.startswith("actions/setup-python@"):
            assert isinstance(options["python-version"], str)
            return
        assert action.startswith("actions/upload-artifact@")
        path = self.workspace / self.resolve(options["path"])
        assert path.is_file() if options.get("archive") is False else any(path.iterdir())
        name = self.resolve(options.get("name", path.name))
        if path.is_dir():
            hidden = None if options.get("include-hidden-files") else shutil.ignore_patterns(".*")
            path = shutil.copytree(path, self.temp / f"{name}.artifact", ignore=hidden)
        self.artifacts[name] = path
        self.steps[step.get("id", "")] = {"artifact-url": UPLOADED}

    def holds(self, condition: str) -> bool:
        values = {
            "inputs.artifact != ''": self.inputs["artifact"] != "",
            "!contains(inputs.dest, '://')": "://" not in self.inputs["dest"],
        }
        return all(values[part] for part in condition.split(" && "))

    def resolve(self, value: object) -> str:
        values = {
            "runner.temp": str(self.temp),
            **{f"inputs.{name}": value for name, value in self.inputs.items()},
            **{
                f"steps.{step}.outputs.{n}": v
                for step, results in self.steps.items()
                for n, v in results.items()
            },
        }
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], str(value))

    @property
    def outputs(self) -> dict[str, str]:
        return {name: self.resolve(about["value"]) for name, about in ACTION["outputs"].items()}


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=120) as running:
        yield running
        running.check_books()


def inputs(**more: str) -> dict[str, str]:
    return {"spec": "job.yaml", "name": "signs", **more}


@needs_bash
def test_a_spec_becomes_a_verified_artifact(server: MockServer, tmp_path: Path) -> None:
    """The folder and a gallery are uploaded; the summary has stars, cost, and a link; the key is nowhere."""
    run = Run(tmp_path, server, inputs(artifact="signs", gate="--min-files 3 --no-duplicates"), installs=True)
    assert run.run(), run.output
    assert run.succeeded[-3:] == ["Upload the folder", "Upload the gallery", "Link to the gallery"]
    dataset = Dataset.open(run.artifacts["signs"])
    assert (len(dataset), dataset.verify().ok) == (3, True)
    assert dataset.job is not None
    assert run.outputs == {"path": "dataset", "job-id": dataset.job.id, "files": "3", "cost-cents": "150"}
    page = run.artifacts["signs-gallery.html"].read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    summary = run.summary.read_text(encoding="utf-8")
    assert f"| Job | `{dataset.job.id}`, completed |" in summary
    assert "| Files | 3 of 3 |" in summary
    assert "| Cost | $1.50 |" in summary
    assert re.search(r"\| Stars \| ★+ \d", summary)
    assert summary.endswith(f"\n[Look at the first files]({UPLOADED})\n")
    contents = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(server.api_key.encode() in content for content in [run.output.encode(), *contents])


@pytest.mark.slow
@needs_bash
def test_another_run_of_the_same_spec_and_name_buys_nothing(server: MockServer, tmp_path: Path) -> None:
    """On a fresh disk, with one more comment in the spec."""
    assert Run(tmp_path / "1", server, inputs()).run()
    rerun = Run(tmp_path / "2", server, inputs(dest="elsewhere"))
    spec = rerun.workspace / "job.yaml"
    spec.write_text("# reviewed\n" + spec.read_text(encoding="utf-8"), encoding="utf-8")
    assert rerun.run(), rerun.output
    assert rerun.artifacts == {}
    assert len(Dataset.open(rerun.workspace / "elsewhere")) == 3
    assert jobs_bought(server) == 1


@pytest.mark.slow
@needs_bash
def test_a_bucket_gets_the_files(server: MockServer, tmp_path: Path) -> None:
    """No folder is uploaded then, and the gallery still is."""
    s3 = S3()
    try:
        dest = f"s3://{s3.bucket()}/signs"
        run = Run(tmp_path, server, inputs(dest=dest, artifact="signs"), s3.environment)
        assert run.run(), run.output
        assert [*run.artifacts] == ["signs-gallery.html"]
        assert run.outputs["path"] == dest
        assert len(s3.objects(dest.split("/")[2])) == 3 + 2
    finally:
        s3.close()


@needs_bash
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": "0"}, "::error title=Timed out::"),
        ({"spec": "$(touch pwned); x.yaml"}, "could not read $(touch pwned)"),
        ({"gate": "--min-files 4"}, "\n--min-files 4: there are 3 files"),
        ({"name": '"; touch pwned; "', "timeout": "$(touch pwned)"}, "timeout"),
    ],
)
def test_a_run_that_fails_says_why(tmp_path: Path, options: dict[str, str], words: str) -> None:
    """Nothing is uploaded, and an input is never run as a command."""
    # Only a gate needs files; a job that is done before it is looked at does not time out.
    with MockServer(speed=120 if "gate" in options else 0) as server:
        run = Run(tmp_path, server, {**inputs(artifact="signs"), **options})
        assert not run.run()
    assert words in run.output
    assert run.artifacts == {}
    assert not (run.workspace / "pwned").exists()


def test_no_input_is_pasted_into_a_script() -> None:
    """A script reads the environment alone; actions are pinned to commits; the key is in one step alone."""
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
    holders = [step["name"] for step in STEPS if "inputs.api-key" in str(step)]
    assert holders == ["Collect"]


def test_the_example_gives_what_the_action_takes() -> None:
    """Each input that it must have, and none that it does not know; the key comes from a secret."""
    workflow = yaml.safe_load((ROOT / "examples" / "ci" / "dataset.yml").read_text(encoding="utf-8"))
    (step,) = [entry for entry in workflow["jobs"]["collect"]["steps"] if "firsthandapi" in entry["uses"]]
    assert step["uses"] == f"firsthandapi/firsthandapi-python@v{firsthandapi.__version__.split('.')[0]}"
    required = {name for name, about in ACTION["inputs"].items() if about.get("required")}
    assert required <= set(step["with"]) <= set(ACTION["inputs"])
    assert all(isinstance(value, str) for value in step["with"].values())
    assert step["with"]["api-key"] == "${{ secrets.FIRSTHAND_API_KEY }}"


def test_the_guide_explains_each_input() -> None:
    """Every input and output is on the page, and no other."""
    guide = (ROOT / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")
    section = guide.partition("### The same as an action")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(ACTION["inputs"])
    assert [name for name in ACTION["outputs"] if f"`{name}`" not in section] == []


def test_the_action_installs_its_own_version() -> None:
    """A pinned action does not change with a release."""
    assert ACTION["inputs"]["version"]["default"] == f"=={firsthandapi.__version__}"

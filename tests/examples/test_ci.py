"""The workflows of examples/ci, each `run:` step by bash as GitHub runs it, against the bundled server.

What is not GitHub's here: a `uses:` step is played by a few lines below; `pip install` runs as it stands but is
kept from every index, so that this environment must satisfy it; and FIRSTHAND_BASE_URL is set where a workflow
would talk to the service.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from dataset.support import folder_of
from firsthandapi import Dataset
from firsthandapi.testing import MockServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
WORKFLOWS = sorted((EXAMPLES / "ci").glob("*.yml"))
GUIDE = ROOT / "docs" / "guides" / "ci.md"

# The plugins of this environment take seconds to load; a user has few. That pytest finds ours by itself shows in
# test_an_app_is_tested_as_its_author_does.
OUR_PLUGIN_ALONE = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "firsthandapi.testing.pytest_plugin",
}

needs_bash = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="the workflows are for bash"
)


def load(path: Path, **replaced: str) -> dict[Any, Any]:
    """A workflow. An option that is replaced must stand in its text with that value once."""
    text = path.read_text(encoding="utf-8")
    for option, new in replaced.items():
        old = {"timeout": "20000", "port": "0"}[option]
        assert text.count(f"--{option} {old} ") == 1
        text = text.replace(f"--{option} {old} ", f"--{option} {new} ")
    loaded: dict[Any, Any] = yaml.safe_load(text)
    return loaded


@dataclass
class Runner:
    """Plays GitHub's part: a fresh disk for every job, expressions, the steps in order, cache and artifacts."""

    folder: Path
    repository: Path
    event: str = "push"
    ref: str = "refs/heads/main"
    attempt: int = 1
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    installs: bool = True
    output: str = ""
    succeeded: list[str] = field(default_factory=list)
    artifact: Path | None = None
    sessions: list[int] = field(default_factory=list)

    def run(self, workflow: dict[Any, Any]) -> bool:
        """Every job of the workflow that is not skipped; whether all went well."""
        fine = True
        for name, job in workflow["jobs"].items():
            if not self.holds(job.get("if", "always()"), fine=True):
                continue
            workspace = self.folder / f"{name}-{self.attempt}"
            workspace.mkdir()
            try:
                fine &= self.run_job(workflow, job, workspace)
            finally:
                self.end_processes()
        return fine

    def run_job(self, workflow: dict[Any, Any], job: dict[str, Any], workspace: Path) -> bool:
        shell = workflow.get("defaults", {}).get("run", {}).get("shell")
        github_env = workspace.with_suffix(".env")
        github_env.touch()
        fine = True
        for step in job["steps"]:
            if not self.holds(step.get("if", "success()"), fine=fine):
                continue
            if step.get("run", "").startswith("pip install") and not self.installs:
                continue
            set_by_steps = dict(line.split("=", 1) for line in github_env.read_text().splitlines())
            environment = {
                **{key: value for key, value in os.environ.items() if not key.startswith("FIRSTHAND")},
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PIP_NO_INDEX": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONIOENCODING": "utf-8",
                **OUR_PLUGIN_ALONE,
                "CI": "true",
                "GITHUB_ENV": str(github_env),
                "GITHUB_REPOSITORY": "acme/signs",
                "GITHUB_RUN_ID": "4711",
                **self.environment,
                **set_by_steps,
                **{
                    key: self.resolve(value)
                    for part in (workflow, job, step)
                    for key, value in part.get("env", {}).items()
                },
            }
            if "run" in step:
                fine &= self.run_step(self.resolve(step["run"]), shell, workspace, environment)
            else:
                self.play(step["uses"], step.get("with", {}), workspace)
            if fine:
                self.succeeded.append(step.get("name") or step.get("run") or step["uses"])
        return fine

    def run_step(self, script: str, shell: str | None, workspace: Path, environment: dict[str, str]) -> bool:
        """GitHub's own options: `bash -e`, and -o pipefail too where the workflow names bash as its shell."""
        options = {None: ["-e"], "bash": ["--noprofile", "--norc", "-eo", "pipefail"]}[shell]
        path = workspace.with_suffix(".sh")
        path.write_text(script, encoding="utf-8")
        log = workspace.with_suffix(".log")
        with log.open("wb") as out:  # a file: what runs in the background would keep a pipe open
            process = subprocess.Popen(
                ["bash", *options, str(path)],
                cwd=workspace,
                env=environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.sessions.append(process.pid)
            code = process.wait(300)
        self.output += log.read_text(encoding="utf-8")
        return code == 0

    def end_processes(self) -> None:
        """What still runs in the background ends with the job."""
        for session in self.sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)
        self.sessions.clear()

    def play(self, action: str, options: dict[str, Any], workspace: Path) -> None:
        cache = self.folder / "cache"
        if action == "actions/checkout@v5":
            assert options["persist-credentials"] is False
            shutil.copytree(self.repository, workspace, dirs_exist_ok=True)
        elif action == "actions/setup-python@v6":
            assert isinstance(options["python-version"], str)  # 3.10 without quotes is 3.1
        elif action == "actions/cache/restore@v5":
            prefix = self.resolve(options["restore-keys"])
            for saved in sorted(cache.glob(f"{prefix}*"), reverse=True)[:1]:
                shutil.copytree(saved, workspace, dirs_exist_ok=True)
        elif action == "actions/cache/save@v5":
            saved = cache / self.resolve(options["key"]) / options["path"]
            if (workspace / options["path"]).exists():
                shutil.copytree(workspace / options["path"], saved)
        elif action == "actions/upload-artifact@v7":
            self.artifact = workspace.with_suffix(".artifact")
            hidden = None if options.get("include-hidden-files") else shutil.ignore_patterns(".*")
            shutil.copytree(workspace / options["path"], self.artifact, ignore=hidden)
            assert any(self.artifact.iterdir())
        else:
            raise AssertionError(f"the runner does not know {action}")

    def holds(self, condition: str, *, fine: bool) -> bool:
        if condition in ("always()", "success()"):
            return fine or condition == "always()"
        compared = re.fullmatch(r"github\.(event_name|ref) == '([\w/]+)'", condition)
        assert compared, f"the runner does not know the condition {condition}"
        return {"event_name": self.event, "ref": self.ref}[compared[1]] == compared[2]

    def resolve(self, value: object) -> str:
        values = {
            "github.run_id": "4711",
            "github.run_attempt": str(self.attempt),
            **{f"secrets.{name}": value for name, value in self.secrets.items()},
            **{f"vars.{name}": value for name, value in self.variables.items()},
        }

        def look_up(match: re.Match[str]) -> str:
            assert match[1] in values, f"the runner does not know the expression {match[1]}"
            return values[match[1]]

        return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", look_up, str(value))


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=60) as running:
        yield running
        running.check_books()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a job.yaml."""
    folder = tmp_path / "repository"
    folder.mkdir()
    shutil.copy(EXAMPLES / "ci" / "job.yaml", folder)
    return folder


def runner(server: MockServer, repository: Path, attempt: int = 1) -> Runner:
    """A run on main, with the secret, and the server in the service's place."""
    return Runner(
        repository.parent,
        repository,
        attempt=attempt,
        secrets={"FIRSTHAND_API_KEY": server.api_key},
        environment={"FIRSTHAND_BASE_URL": server.url},
    )


def posts(server: MockServer) -> int:
    return sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests)


@needs_bash
def test_collect_brings_a_verified_artifact(server: MockServer, repository: Path) -> None:
    """On main: one job, keyed by the run, its files verified and uploaded; the key is in no output and no file."""
    run = runner(server, repository)
    assert run.run(load(EXAMPLES / "ci" / "collect.yml")), run.output
    assert run.succeeded[-2:] == ["Verify", "actions/upload-artifact@v7"]
    assert run.artifact is not None
    dataset = Dataset.open(run.artifact)
    state = dataset.verify()
    assert (len(dataset), state.ok, state.diary) == (3, True, True)
    (sent,) = [call for call in server.requests if (call.method, call.path) == ("POST", "/v1/jobs")]
    assert sent.headers["idempotency-key"] == "acme/signs-4711"
    contents = [path.read_bytes() for path in run.artifact.rglob("*") if path.is_file()]
    assert not any(server.api_key.encode() in content for content in [run.output.encode(), *contents])


@pytest.mark.slow
@needs_bash
def test_a_rerun_buys_nothing_with_nothing_but_the_key(server: MockServer, repository: Path) -> None:
    """The runner died before anything could be cached: the idempotency key, in the job's metadata, finds the job."""
    workflow = load(EXAMPLES / "ci" / "collect.yml")
    assert runner(server, repository).run(workflow)
    shutil.rmtree(repository.parent / "cache")
    rerun = runner(server, repository, attempt=2)
    assert rerun.run(workflow), rerun.output
    assert rerun.artifact is not None
    assert len(Dataset.open(rerun.artifact)) == 3
    with server.client() as client:
        assert len(list(client.jobs.list())) == 1
    assert posts(server) == 1


@pytest.mark.slow
@needs_bash
def test_a_rerun_days_after_a_timeout_continues_the_same_job(repository: Path) -> None:
    """People take their time: exit code 3 is told as such, the record is kept, and a re-run orders nothing."""
    with MockServer(speed=0) as server:
        first = runner(server, repository)
        assert not first.run(load(EXAMPLES / "ci" / "collect.yml", timeout="1"))
        assert "::error title=Timed out::" in first.output
        assert first.artifact is None
        server.clock.advance(days=3)  # the service has forgotten the key
        second = runner(server, repository, attempt=2)
        assert second.run(load(EXAMPLES / "ci" / "collect.yml")), second.output
        assert second.artifact is not None
        assert len(Dataset.open(second.artifact)) == 3
        assert posts(server) == 1


@pytest.mark.slow
@needs_bash
def test_out_of_credits_is_told_and_a_rerun_goes_on(server: MockServer, repository: Path) -> None:
    """Exit code 4 has its own message; once there are credits, the same run can be run again."""
    poor = server.create_organization(cents=100)
    first = runner(server, repository)
    first.secrets["FIRSTHAND_API_KEY"] = poor.api_key
    assert not first.run(load(EXAMPLES / "ci" / "collect.yml"))
    assert "::error title=Out of credits::" in first.output
    with server.client(api_key=poor.api_key) as client:
        urlopen(client.billing.purchase(1000).checkout_url).close()  # the bundled server books it
    second = replace(first, attempt=2)
    assert second.run(load(EXAMPLES / "ci" / "collect.yml")), second.output


@pytest.mark.slow
@needs_bash
def test_a_pull_request_from_a_fork_is_rehearsed(repository: Path) -> None:
    """Without any secret, and without a word to the service: the bundled server does it."""
    run = Runner(repository.parent, repository, event="pull_request", ref="refs/pull/7/merge")
    assert run.run(load(EXAMPLES / "ci" / "collect.yml")), run.output
    assert run.succeeded[-3:] == ["Start the bundled server", "Collect", "Verify"]
    assert "3 files: all verified" in run.output


@pytest.mark.slow
@needs_bash
def test_a_server_that_does_not_start_says_why(repository: Path) -> None:
    """The step fails at once, with what the server said, not later with a missing key."""
    run = Runner(repository.parent, repository, event="pull_request", ref="refs/pull/7/merge")
    assert not run.run(load(EXAMPLES / "ci" / "collect.yml", port="65536"))
    assert "Invalid value for '--port'" in run.output
    assert "Start the bundled server" not in run.succeeded


@pytest.mark.slow
@needs_bash
def test_money_is_spent_on_main_alone(server: MockServer, repository: Path) -> None:
    """Started by hand on another branch, where nobody has reviewed its job.yaml, it orders nothing."""
    run = runner(server, repository)
    run.event, run.ref = "workflow_dispatch", "refs/heads/an-idea"
    assert run.run(load(EXAMPLES / "ci" / "collect.yml"))
    assert (run.succeeded, server.requests) == ([], [])
    run.ref = "refs/heads/main"
    assert run.run(load(EXAMPLES / "ci" / "collect.yml")), run.output
    assert posts(server) == 1


@needs_bash
def test_the_gate_names_what_keeps_a_dataset_out(tmp_path: Path) -> None:
    """Until each of its files was looked at."""
    dataset = folder_of(tmp_path / "signs", [b"1", b"2", b"3"], ai_star_rating=[3, 4, 5])
    names = {"DATASET": str(dataset.path), "AWS_ACCESS_KEY_ID": "x"}
    run = Runner(
        tmp_path, EXAMPLES / "ci", secrets={"AWS_SECRET_ACCESS_KEY": "x"}, variables=names, attempt=1
    )
    dataset.accept(dataset.records[1:])
    assert not run.run(load(EXAMPLES / "ci" / "gate.yml"))
    assert "\n--all-reviewed: 1 file without a decision: file_0" in run.output
    dataset.accept("file_0")
    run.attempt, run.installs = 2, False  # to install takes longer than all else, and shows nothing new
    assert run.run(load(EXAMPLES / "ci" / "gate.yml")), run.output


@needs_bash
def test_an_app_is_tested_on_the_bundled_server(tmp_path: Path) -> None:
    """The workflow of tests at examples/photo_app, without any secret."""
    run = Runner(tmp_path, EXAMPLES / "photo_app", event="pull_request")
    assert run.run(load(EXAMPLES / "ci" / "tests.yml")), run.output
    assert "7 passed" in run.output


@pytest.mark.slow
def test_an_app_is_tested_as_its_author_does(tmp_path: Path) -> None:
    """`python -m pytest` in a folder of its own, warnings being errors."""
    app = shutil.copytree(
        EXAMPLES / "photo_app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__")
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error"],
        cwd=app,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (done.returncode, "7 passed" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs(path: Path) -> None:
    """Read-only, bounded in time, one at a time, no stranger's text in a script, a secret in one step alone."""
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    assert "pull_request_target" not in workflow[True]  # YAML 1.1 reads `on` as a truth
    for job in workflow["jobs"].values():
        assert 1 <= job["timeout-minutes"] <= 360
        assert "env" not in job
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
    assert path.read_text(encoding="utf-8").count("secrets.") == (0 if path.stem == "tests" else 1)


def test_the_guide_shows_what_is_tested() -> None:
    """Every workflow and the spec of its job are on the page, as the files that these tests run."""
    guide = GUIDE.read_text(encoding="utf-8")
    names = re.findall(r'^ *--8<-- "examples/ci/(\S+)"$', guide, re.MULTILINE)
    assert sorted(names) == sorted(path.name for path in (EXAMPLES / "ci").iterdir())
    assert "```yaml" not in guide

"""examples/pipelines, each by its own tool. `make pipelines` installs Airflow and Prefect; make is everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from firsthandapi import Dataset
from firsthandapi.testing import MockServer

PIPELINES = Path(__file__).resolve().parents[2] / "examples" / "pipelines"
GUIDE = PIPELINES.parents[1] / "docs" / "guides" / "pipelines.md"

needs_make = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("make"), reason="make is not installed"
)
needs_prefect = pytest.mark.skipif(
    find_spec("prefect") is None, reason="Prefect is not installed; `make pipelines` installs it"
)
needs_airflow = pytest.mark.skipif(
    find_spec("airflow") is None, reason="Airflow is not installed; `make pipelines` installs it"
)


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=120) as running:
        yield running
        running.check_books()


def run(server: MockServer, cwd: Path, *command: str, **variables: str) -> str:
    """What a program prints that knows the server from its environment."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FIRSTHAND_BASE_URL": server.url,
        "FIRSTHAND_API_KEY": server.api_key,
        "PYTHONIOENCODING": "utf-8",
        **variables,
    }
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def work_when_waited_for(server: MockServer) -> None:
    """Let time pass as soon as somebody waits for a job."""
    while not any("prefer" in each.headers for each in [*server.requests]):
        time.sleep(0.05)
    server.clock.advance(hours=2)


def posts(server: MockServer) -> int:
    return sum((each.method, each.path) == ("POST", "/v1/jobs") for each in server.requests)


@needs_make
def test_make_collects_once(server: MockServer, tmp_path: Path) -> None:
    """A second `make` does nothing; one on another machine continues the same job; a new name posts a new one."""
    here = shutil.copytree(PIPELINES, tmp_path / "here")
    run(server, here, "make")
    assert json.loads((here / "signs.json").read_text(encoding="utf-8"))["files"] == 3
    before = len(server.requests)
    assert "up to date" in run(server, here, "make")
    assert len(server.requests) == before
    elsewhere = shutil.copytree(PIPELINES, tmp_path / "elsewhere")
    run(server, elsewhere, "make")
    assert Dataset.open(elsewhere / "signs").verify().ok
    assert posts(server) == 1


@needs_prefect
def test_a_flow_of_prefect_collects_once(server: MockServer, tmp_path: Path) -> None:
    """A task that fails after it has paid is retried; a second run of the name buys nothing."""
    program = (
        f"import sys; sys.path.insert(0, {str(PIPELINES)!r})\n"
        "import prefect_flow\n"
        "from prefect.testing.utilities import prefect_test_harness\n"
        "with prefect_test_harness(server_startup_timeout=120):\n"
        "    for dest in ('one', 'two'): assert prefect_flow.street_signs('signs', dest) == 3\n"
    )
    server.faults.add(path="/files/*", status=404, times=1)  # a download that fails for good, once
    output = run(server, tmp_path, sys.executable, "-c", program, PREFECT_HOME=str(tmp_path / "prefect"))
    assert "3 files in two" in output
    assert posts(server) == 1
    assert all(Dataset.open(tmp_path / dest).verify().ok for dest in ("one", "two"))
    assert server.api_key not in output


@needs_airflow
def test_an_operator_of_airflow_waits_without_a_worker(tmp_path: Path) -> None:
    """It posts the job and defers; the trigger waits; resumed, it downloads. A retry continues the same job."""
    program = (
        f"import asyncio, shutil, sys; sys.path.insert(0, {str(PIPELINES)!r})\n"
        "from airflow.sdk.exceptions import TaskDeferred\n"
        "from airflow_dag import CollectOperator, JobTrigger, collect\n"
        "collect.dest = 'signs'\n"
        "context = {'run_id': 'manual__1'}\n"
        "for attempt in range(2):\n"  # the second is a retry
        "    try: collect.execute(context)\n"
        "    except TaskDeferred as raised: deferred = raised\n"
        "path, given = deferred.trigger.serialize()\n"
        "assert (path, deferred.method_name) == ('airflow_dag.JobTrigger', 'execute')\n"
        "async def first(): return [event async for event in JobTrigger(**given).run()]\n"
        "(event,) = asyncio.run(first())\n"
        # Resumed on a worker without the folder: the job is known by its id.
        "shutil.rmtree('signs')\n"
        "print(event.payload, collect.execute(context, event.payload, **deferred.kwargs))\n"
    )
    with MockServer(speed=0) as server:
        work = threading.Thread(target=work_when_waited_for, args=(server,), daemon=True)
        work.start()
        environment = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        output = run(server, tmp_path, sys.executable, "-c", program, **environment)
        assert "completed signs" in output
        assert posts(server) == 1
        assert server.api_key not in output
    assert (len(Dataset.open(tmp_path / "signs")), Dataset.open(tmp_path / "signs").verify().ok) == (3, True)


@needs_airflow
def test_a_dag_of_airflow_runs_to_its_end(server: MockServer, tmp_path: Path) -> None:
    """With Airflow's own database, scheduler of one run, and inline triggerer."""
    environment = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PIPELINES),
    }
    run(server, tmp_path, "airflow", "db", "migrate", **environment)
    run(server, tmp_path, "airflow", "dags", "test", "street_signs", **environment)
    assert Dataset.open(tmp_path / "signs").verify().ok
    assert posts(server) == 1


def test_the_guide_shows_the_examples_whole() -> None:
    """Each file is on the page, and the operator is as short as the page says."""
    guide = GUIDE.read_text(encoding="utf-8")
    shown = re.findall(r'^ *--8<-- "examples/pipelines/(\S+)"$', guide, re.MULTILINE)
    assert sorted(shown) == ["Makefile", "airflow_dag.py", "prefect_flow.py"]
    text = (PIPELINES / "airflow_dag.py").read_text(encoding="utf-8")
    operator = text[text.index("class CollectOperator") : text.index("@task")]
    assert len(operator.strip().splitlines()) <= 21

"""examples/pipelines, each by its own tool. `make pipelines` installs all but make, which is everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi.testing import MockServer
from processes import free_port

PIPELINES = Path(__file__).resolve().parents[2] / "examples" / "pipelines"
GUIDE = PIPELINES.parents[1] / "docs" / "guides" / "pipelines.md"

needs_make = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("make"), reason="make is not installed"
)
needs_prefect = pytest.mark.skipif(
    find_spec("prefect") is None, reason="Prefect is not installed; `make pipelines` installs it"
)
needs_dagster = pytest.mark.skipif(
    find_spec("dagster") is None, reason="Dagster is not installed; `make pipelines` installs it"
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


def posts(server: MockServer) -> int:
    return sum((request.method, request.path) == ("POST", "/v1/jobs") for request in server.requests)


@pytest.mark.slow
@needs_make
def test_make_collects_once(server: MockServer, tmp_path: Path) -> None:
    """A second `make` does nothing; one on another machine continues the same job; a new name posts a new one."""
    folder = shutil.copytree(PIPELINES, tmp_path / "here")
    run(server, folder, "make")
    assert json.loads((folder / "signs.json").read_text(encoding="utf-8"))["files"] == 3
    request_count = len(server.requests)
    assert "up to date" in run(server, folder, "make")
    assert len(server.requests) == request_count
    elsewhere = shutil.copytree(PIPELINES, tmp_path / "elsewhere")
    run(server, elsewhere, "make", "signs.verified")
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


_DAGSTER = f"""
import os
import sys
sys.path.insert(0, {str(PIPELINES)!r})
import dagster as dg
import httpx
import dagster_assets as pipeline
from firsthandapi import FirstHandClient

def look():
    context = dg.build_sensor_context(instance=instance, definitions=pipeline.defs)
    return pipeline.finished.evaluate_tick(context).run_requests

def made(asset, request=None):
    tags = {{"dagster/run_key": request.run_key}} if request else {{}}  # as the daemon does
    how = {{"run_config": request.run_config if request else None, "tags": tags}}
    result = dg.materialize([asset], instance=instance, selection=[asset], **how)
    (event,) = result.asset_materializations_for_node(asset.op.name)
    return event.metadata

with dg.DagsterInstance.ephemeral() as instance, FirstHandClient() as client:
    assert look() == []
    ordered = [made(pipeline.order)["job_id"].value for _ in range(2)]
    assert look() == []  # people work
    httpx.post(os.environ["FIRSTHAND_BASE_URL"] + "/_control/advance", json={{"seconds": 7200}})
    (request,) = [each for each in look() if each.run_key == ordered[0]]
    print("made:", made(pipeline.signs, request)["path"].value)
    assert ordered[0] not in [each.run_key for each in look()]
"""


@needs_dagster
def test_an_asset_of_dagster_is_made_when_people_are_done(tmp_path: Path) -> None:
    """The sensor starts it once a job, and no run waits. A download that fails for good, once, is retried."""
    with MockServer(speed=0) as server:
        server.faults.add(path="/files/*", status=404, times=1)
        output = run(server, tmp_path, sys.executable, "-c", _DAGSTER, DAGSTER_HOME=str(tmp_path))
        server.check_books()
    dataset = Dataset.open(tmp_path / output.split("made: ")[1].splitlines()[0])
    assert (len(dataset), dataset.verify().ok) == (3, True)
    assert posts(server) == 2  # one a run
    assert server.api_key not in output


_PREFECT_WEBHOOK = f"""
import os
import subprocess
import sys
import time
sys.path.insert(0, {str(PIPELINES)!r})
import httpx
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness
from firsthandapi import FirstHandClient

port = sys.argv[1]
with prefect_test_harness(server_startup_timeout=120), FirstHandClient() as client:
    hook = client.webhooks.create(url=f"http://127.0.0.1:{{port}}/webhooks/firsthand", events=["job.completed"])
    known = os.environ | {{"FIRSTHAND_WEBHOOK_SECRET": hook.secret, "PREFECT_API_URL": PREFECT_API_URL.value()}}
    command = [sys.executable, "-m", "uvicorn", "--app-dir", {str(PIPELINES)!r}, "--port", port, "prefect_webhook:app"]
    receiver = subprocess.Popen(command, env=known)
    try:
        import prefect_webhook
        print("files:", prefect_webhook.street_signs("signs"))
    finally:
        receiver.terminate()
        receiver.wait(30)
"""


@needs_prefect
def test_a_webhook_wakes_a_flow_of_prefect(server: MockServer, tmp_path: Path) -> None:
    """The flow pauses, and asks the service nothing while people work."""
    output = run(
        server,
        tmp_path,
        sys.executable,
        "-c",
        _PREFECT_WEBHOOK,
        str(free_port()),
        PREFECT_HOME=str(tmp_path / "prefect"),
    )
    assert "files: 3" in output
    assert Dataset.open(tmp_path / "signs").verify().ok
    assert posts(server) == 1
    assert not any("prefer" in request.headers for request in server.requests)
    assert server.api_key not in output


class Airflow:
    """An Airflow of one's own: its processes, its database, and its logs."""

    def __init__(self, server: MockServer, home: Path) -> None:
        self.home = home
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        url = f"http://127.0.0.1:{free_port()}"
        connection = {"conn_type": "generic", "password": server.api_key, "host": server.url}
        # Only the connection knows the key.
        self._environment = {name: value for name, value in os.environ.items() if "FIRSTHAND" not in name} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_FIRSTHANDAPI": json.dumps(connection),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": url.rpartition(":")[2],
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of this test alone, and of nobody else on this machine",
            "AIRFLOW__CORE__DAGS_FOLDER": str(PIPELINES),
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "0",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "0",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        }

    def run(self, *command: str) -> None:
        done = subprocess.run(
            ["airflow", *command], cwd=self.home, env=self._environment, capture_output=True, timeout=150
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                ["airflow", name],
                cwd=self.home,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)

    def close(self) -> None:
        for name in [*self._processes]:
            self.kill(name)

    def states(self, query: str) -> list[Any]:
        with closing(
            sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)
        ) as database:
            return [row[0] for row in database.execute(query)]

    def text(self) -> str:
        """All that is written down: logs, and the database with what it has not yet put in place."""
        files = [path for path in self.home.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def eventually(is_so: Callable[[], object], airflow: Airflow) -> None:
    ends = time.monotonic() + 180
    while not is_so():
        assert time.monotonic() < ends, airflow.text()[-20_000:]
        time.sleep(0.2)


@needs_airflow
@pytest.mark.skipif(sys.platform == "win32", reason="Airflow does not run on Windows")
def test_a_dag_of_airflow_buys_once_whoever_dies(tmp_path: Path) -> None:
    """With its own scheduler and triggerer: the triggerer is killed while it waits, and the first download fails, so
    that the task is retried. The files arrive, the job is posted once, and nothing written down contains the key."""
    with MockServer(speed=0) as server:
        airflow = Airflow(server, tmp_path)

        def waits() -> int:
            return sum("prefer" in request.headers for request in [*server.requests])

        try:
            airflow.run("db", "migrate")
            for name in ("api-server", "dag-processor", "scheduler", "triggerer"):
                airflow.start(name)
            eventually(lambda: airflow.states("select dag_id from dag"), airflow)
            airflow.run("dags", "unpause", "street_signs")
            airflow.run(
                "dags", "trigger", "street_signs", "--conf", json.dumps({"dest": str(tmp_path / "signs")})
            )
            eventually(lambda: waits() > 0, airflow)
            airflow.kill("triggerer")
            wait_count = waits()
            airflow.start("triggerer")
            eventually(lambda: waits() > wait_count, airflow)
            (trigger,) = airflow.states("select classpath || ' ' || kwargs from trigger")
            assert "firsthandapi.airflow.JobTrigger" in trigger
            server.faults.add(path="/files/*", status=404, times=1)  # a download that fails for good, once
            server.clock.advance(hours=2)
            eventually(lambda: airflow.states("select state from dag_run") == ["success"], airflow)
            assert airflow.states("select try_number > 1 from task_instance where task_id = 'collect'") == [
                True
            ]
        finally:
            airflow.close()
        assert (len(Dataset.open(tmp_path / "signs")), Dataset.open(tmp_path / "signs").verify().ok) == (
            3,
            True,
        )
        assert posts(server) == 1
        search = next(r for r in server.requests if (r.method, r.path) == ("GET", "/v1/jobs"))
        assert "created_after" in search.query  # a day before the run
        assert server.api_key not in airflow.text()
        server.check_books()


_TASKS = """
import shutil
from types import SimpleNamespace
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from firsthandapi import FirstHandClient
from firsthandapi.airflow import CollectOperator, JobTrigger

job = {"description": "Photos of street signs in daylight", "files_needed": 3, "price_per_file_cents": 50}
job["accepted_formats"] = ["image/jpeg"]


def run(task, run_id, number=-1):
    known = {}
    ti = SimpleNamespace(map_index=number, xcom_push=lambda key, value: known.update({key: value}))
    try:
        task.execute({"run_id": run_id, "ti": ti})
    except TaskDeferred as deferred:
        path, given = deferred.trigger.serialize()
        assert (path, deferred.method_name) == ("firsthandapi.airflow.JobTrigger", "resume")
        assert JobTrigger(**given).job_id == known["job_id"]
        return known["job_id"]


each, named = (CollectOperator(task_id=id, dest="signs", job=job, name=name) for id, name in (("a", None), ("b", "x")))
one = run(each, "manual__1")
assert run(each, "manual__1") == one  # a retry
shutil.rmtree("signs")
assert run(each, "manual__1") == one  # on a worker without the folder
for run_id, number in (("manual__2", -1), ("manual__1", 0), ("manual__1", 1)):  # a new run; mapped tasks
    shutil.rmtree("signs")
    assert run(each, run_id, number) != one
shutil.rmtree("signs")
shared = run(named, "manual__1")
assert run(named, "manual__2") == shared != one
with FirstHandClient() as client:
    client.jobs.cancel(shared)
cancelled = {"job_id": shared, "status": "cancelled"}
for attempt in (lambda: run(named, "manual__2"), lambda: named.resume({}, cancelled)):
    try:
        attempt()
    except AirflowFailException as error:
        print(error)
"""


@needs_airflow
def test_a_task_of_airflow_knows_its_job(tmp_path: Path) -> None:
    """A retry continues the job of its run, a name that of all runs; a new run and each mapped task post their own. A
    job that was cancelled fails the task without a retry."""
    with MockServer(speed=0, workers=False) as server:
        home = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        output = run(server, tmp_path, sys.executable, "-c", _TASKS, **home)
        assert len(re.findall(r"job_\w+ is cancelled|job_\w+ was cancelled", output)) == 2, output
        assert posts(server) == 5
        assert server.api_key not in output


_STAND_IN = """
import shutil
import sys
from datetime import UTC, datetime
from logging import getLogger
from types import ModuleType, SimpleNamespace


class BaseOperator:
    def __init__(self, task_id):
        self.dag_id, self.task_id = "dag", task_id

    def defer(self, **options):
        print("deferred")


class BaseTrigger:
    log = getLogger()


class AirflowFailException(Exception):
    pass


names = {
    "airflow": {},
    "airflow.sdk": {"BaseOperator": BaseOperator, "Connection": None},
    "airflow.sdk.exceptions": {"AirflowFailException": AirflowFailException},
    "airflow.triggers": {},
    "airflow.triggers.base": {"BaseTrigger": BaseTrigger, "TriggerEvent": dict},
}
for name, contents in names.items():
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(contents)

from firsthandapi import FirstHandClient, InvalidArgumentError
from firsthandapi.airflow import CollectOperator, JobTrigger

job = {"description": "Photos of street signs in daylight", "files_needed": 1, "price_per_file_cents": 50}
ti = SimpleNamespace(map_index=-1, xcom_push=lambda key, value: print(key, value))
"""

_WITHOUT_AIRFLOW = f"""{_STAND_IN}
for wrong in ({{"timeout": 3}}, {{"files_neded": 3}}, {{}}):
    try:
        CollectOperator(task_id="a", dest="signs", job=job | wrong)
    except InvalidArgumentError as error:
        print(error)
job["accepted_formats"] = ["image/jpeg"]
task = CollectOperator(task_id="a", dest="signs", job=job)
task.execute({{"run_id": "manual__1", "ti": ti}})
with FirstHandClient() as client:
    (posted,) = client.jobs.list()
    client.jobs.wait(posted.id)
print("result", task.execute({{"run_id": "manual__1", "ti": ti}}), posted.id)
late = CollectOperator(task_id="b", dest="other", job=None)
for wrong in ({{"timeout": 3}}, {{"files_needed": 0}}):
    late.job = job | wrong  # of another task, or of a template
    try:
        late.execute({{"run_id": "manual__1", "ti": ti}})
    except AirflowFailException as error:
        print("no retry:", error)
"""


def test_a_task_refuses_wrong_arguments_and_always_says_which_job(server: MockServer, tmp_path: Path) -> None:
    """What no job takes is refused when the DAG is parsed, or fails the task without a retry. The XCom `job_id` is
    there as well if the job has ended when the task begins. Airflow's own classes are stood in for."""
    output = run(server, tmp_path, sys.executable, "-c", _WITHOUT_AIRFLOW)
    timeout, misspelled, missing, first, deferred, second, result, *late = output.splitlines()
    assert timeout.startswith("job takes no argument timeout: use one of: description,")
    assert misspelled == "job takes no argument files_neded: did you mean files_needed?"
    assert missing == "job.accepted_formats is required: add it to job"
    assert first == second == f"job_id {result.split()[-1]}"
    assert deferred == "deferred"
    assert [line.partition(" ")[0] for line in late] == ["no", "no"], late
    assert posts(server) == 1


_BEHIND_OTHERS = f"""{_STAND_IN}
job["accepted_formats"] = ["image/jpeg"]
november, december = (datetime(2020, month, 1, tzinfo=UTC) for month in (11, 12))
dated = {{"logical_date": december, "dag_run": SimpleNamespace(logical_date=december, run_after=november)}}
undated = {{"logical_date": None, "dag_run": SimpleNamespace(logical_date=None, run_after=None)}}
for context, name, more in (
    ({{}}, None, {{}}),
    (undated, None, {{}}),
    (dated, None, {{}}),
    ({{"dag_run": dated["dag_run"]}}, None, {{}}),
    (dated, "shared", {{}}),
    (dated, "shared since", {{"key_since": december}}),
):
    task = CollectOperator(task_id="a", dest="signs", job=job | more, name=name)
    task.execute({{"run_id": "manual__1", "ti": ti, **context}})
    shutil.rmtree("signs")
"""


def test_a_task_finds_its_job_behind_many_others(tmp_path: Path) -> None:
    """Its run's dates bound the search; a name may be older than the run, so that only `key_since` in `job` does."""
    with MockServer(speed=0, workers=False, rate_limit=None) as server:
        with server.client() as client:
            for _ in range(101):
                client.jobs.create(
                    description="Photos of street signs in daylight",
                    files_needed=1,
                    accepted_formats=["image/jpeg"],
                    price_per_file_cents=50,
                )
        output = run(server, tmp_path, sys.executable, "-c", _BEHIND_OTHERS).split("\n")
        id_lines = [line for line in output if line.startswith("job_id")]
        assert (len(id_lines), len(set(id_lines))) == (6, 3), output
        searches = [r.query for r in server.requests if (r.method, r.path) == ("GET", "/v1/jobs")]
        firsts = [search.get("created_after", "all") for search in searches if "cursor" not in search]
        assert firsts == ["all", "all", *["2020-10-31T00:00:00Z"] * 2, "all", "2020-11-30T00:00:00Z"]
        assert posts(server) == 101 + 3


_TRIGGERS = f"""{_STAND_IN}
import asyncio
from firsthandapi.engines.airflow import _clients


async def one(job_id):
    async for event in JobTrigger(job_id).run():
        return event["status"]


async def main():
    waiting = [asyncio.create_task(one(job_id)) for job_id in sys.argv[1:]]
    await asyncio.sleep(0)
    waiting[0].cancel()  # whose client the others share
    await asyncio.gather(*waiting, return_exceptions=True)
    print(len(_clients), *{{task.cancelled() or task.result() for task in waiting[1:]}})


asyncio.run(main())
"""


def test_triggers_of_a_key_share_one_list(tmp_path: Path) -> None:
    """150 deferred tasks: the rate limit of the key, 100 requests a minute, is enough. Airflow's own classes are stood
    in for."""
    with MockServer(speed=0, workers=False, rate_limit=None) as server:
        with server.client() as client:
            jobs = [
                client.jobs.create(
                    description="Photos of street signs in daylight",
                    files_needed=1,
                    accepted_formats=["image/jpeg"],
                    price_per_file_cents=50,
                ).id
                for _ in range(150)
            ]
            for job_id in jobs:
                client.jobs.cancel(job_id)
        server.rate_limit = 100
        start = len(server.requests)
        output = run(server, tmp_path, sys.executable, "-c", _TRIGGERS, *jobs)
        assert output == "0 cancelled\n"
        asked = [*server.requests][start:]
        assert len(asked) <= 5
        assert {request.status for request in asked} == {200}


def test_without_airflow_the_message_says_where_to_install() -> None:
    """Importing firsthandapi itself never imports Airflow."""
    program = (
        "import sys; sys.modules['airflow'] = None; import firsthandapi\n"
        "try: import firsthandapi.airflow\n"
        "except firsthandapi.ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "install firsthandapi where Apache Airflow is installed" in done.stdout, done.stderr


def test_the_guide_shows_the_examples_whole() -> None:
    """Each file is on the page."""
    guide = GUIDE.read_text(encoding="utf-8")
    names = re.findall(r'^ *--8<-- "examples/pipelines/(\S+)"$', guide, re.MULTILINE)
    examples = ["airflow_dag.py", "dagster_assets.py", "prefect_flow.py", "prefect_webhook.py"]
    assert sorted(names) == ["Makefile", *examples]

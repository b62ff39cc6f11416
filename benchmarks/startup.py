"""What a script, a command or a CI step pays before its first line of work.

Each case is an interpreter of its own, and what counts is the CPU time of that process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

from benchmarks._measure import Row, cpu_seconds, difference, in_turns, ratio
from benchmarks._samples import API_KEY, JOB_ID, as_json, http_response, job
from benchmarks._server import serving
from firsthandapi import FirstHandClient

_OVER = "ms over bare Python"

# What a hand-written client of the same kind would import.
_YARDSTICK = "import httpx, pydantic, tenacity, typing_extensions\nclient = httpx.Client()"
# And the model of a job that it would write: the fields of the sample, each optional.
_MODEL = "import datetime\nclass Job(pydantic.BaseModel):\n" + "".join(
    f"    {name}: {kind} | None = None\n"
    for name, value in job().items()
    for kind in ["datetime.datetime" if name.endswith("_at") else type(value or "").__name__]
)

_BARE_APP = """
import typer
app = typer.Typer(add_completion=False)
@app.command()
def hello(name: str) -> None:
    "Say hello."
"""
_HELP = """
import sys
sys.argv = ["command", "--help"]
try:
    {run}()
except SystemExit:
    pass
"""


def rows(quick: bool) -> Iterator[Row]:
    with serving(http_response(as_json(job()))) as url:
        get = f"client = FirstHandClient({API_KEY!r}, {url!r})\nclient.jobs.get({JOB_ID!r})"
        scripts = {
            "bare Python": "",
            "import": "import firsthandapi",
            "import + client": f"from firsthandapi import FirstHandClient\nFirstHandClient({API_KEY!r})",
            "to the first typed response": f"from firsthandapi import FirstHandClient\n{get}",
            "yardstick: import": _YARDSTICK.partition("\n")[0],
            "yardstick: import + client": _YARDSTICK,
            "yardstick: to the first response": f"{_YARDSTICK}\nclient.get({url!r}).json()",
            "yardstick: the same, typed": f"{_YARDSTICK}\n{_MODEL}Job.model_validate_json(client.get({url!r}).content)",
        }
        if find_spec("starlette"):
            scripts["a bundled server"] = (
                "from firsthandapi.testing import MockServer\nwith MockServer(): pass"
            )
        if find_spec("typer") and find_spec("rich") and find_spec("yaml"):
            scripts["Typer"] = _BARE_APP + _HELP.format(run="app")
            scripts["--help"] = "from firsthandapi.cli import main" + _HELP.format(run="main")
        with tempfile.TemporaryDirectory() as folder:
            cases = {name: partial(_cpu_of, script, folder) for name, script in scripts.items()}
            measured = in_turns(cases, rounds=1 if quick else 21)

    targets = {
        "import": 10.0,
        "import + client": 95.0,
        "to the first typed response": 185.0,
        "a bundled server": 500.0,
    }
    for name in scripts:
        if name.startswith("yardstick") or name in targets:
            yield Row(name, difference(measured, name, "bare Python") * 1000, _OVER, targets.get(name))
    typed = ratio(measured, "to the first typed response", "yardstick: the same, typed")
    yield Row("to the first typed response", typed, "× the yardstick's process", 1.1)
    yield Row("one more client", _one_more_client(quick) * 1000, "ms", 0.3)
    if "--help" in scripts:
        yield Row(
            "firsthandapi --help", ratio(measured, "--help", "Typer"), "× Python + a bare Typer app", 1.5
        )


def _cpu_of(script: str, folder: str) -> float:
    """CPU seconds of a new interpreter that runs `script`, up to the script's end."""
    script += "\nimport sys, time\nsys.stderr.write(f'\\n{time.process_time()}')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"a start-up case failed:\n{done.stderr}")
    return float(done.stderr.rpartition("\n")[2])


def _one_more_client(quick: bool) -> float:
    """CPU seconds of a client after the first, made ready to connect by https as its first call would."""

    def one_more() -> None:
        with FirstHandClient(API_KEY, "https://api.firsthandapi.com") as client:
            transport = client._transport
            transport.shared.wire(transport.config)

    one_more()
    return statistics.median(cpu_seconds(one_more, 100) for _ in range(1 if quick else 21))

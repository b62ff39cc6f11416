"""Programs that order for others: a queue and a web service. What they do again pays once."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from firsthandapi.testing import MockServer

SERVICES = Path(__file__).resolve().parents[2] / "examples" / "services"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MockServer]:
    """A server, and an empty folder to run in."""
    with MockServer(speed=0, workers=False) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
        monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
        yield server
        server.check_books()


def load(name: str) -> Any:
    """A program of examples/services, as a module of its own."""
    spec = importlib.util.spec_from_file_location(name, SERVICES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where FastAPI and Celery look for its names
    spec.loader.exec_module(module)
    return module


def jobs(server: MockServer) -> list[str]:
    with server.client() as client:
        return [job.id for job in client.jobs.list()]


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_task_that_runs_again_pays_once(
    server: MockServer, monkeypatch: pytest.MonkeyPatch, drop: Any
) -> None:
    """The answer is lost in all attempts of a run: Celery runs the task again, and there is one job."""
    pytest.importorskip("celery")
    app = load("celery_app")
    app.app.conf.task_always_eager = True
    watched: list[str] = []
    monkeypatch.setattr(app.watch, "delay", watched.append)
    make = app.FirstHandClient
    monkeypatch.setattr(app, "FirstHandClient", lambda **options: make(max_retries=0, **options))
    server.faults.add(path="/v1/jobs", method="POST", drop=drop, times=2)
    job_id = app.order.apply(args=["signs-1"]).get()
    assert jobs(server) == [job_id]
    assert watched == [job_id]
    assert (
        app.order.apply(args=["signs-1"]).get() == job_id
    )  # a worker was lost before it acknowledged the task
    assert Path("orders.txt").read_text(encoding="utf-8") == f"signs-1 {job_id}\n" * 2
    assert app.order.apply(args=["signs-2"]).get() != job_id
    server.faults.add(path="/v1/jobs", method="POST", status=403)
    with pytest.raises(app.FirstHandError):
        app.order.apply(args=["signs-3"]).get()
    with server.client() as client:
        for bought_id in jobs(server):
            client.jobs.cancel(bought_id)
    assert app.watch.apply(args=[job_id]).get() == "cancelled"


def test_a_put_that_is_sent_again_pays_once(server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown outcome is a 503; the same PUT, in the next life of the service too, gets the same job."""
    app = load("fastapi_orders")
    make = app.AsyncFirstHandClient
    monkeypatch.setattr(app, "AsyncFirstHandClient", lambda **options: make(max_retries=0, **options))
    server.faults.add(path="/v1/jobs", method="POST", drop="after", times=1)
    with TestClient(app.app) as web:
        assert web.get("/orders/signs-1").status_code == 404
        lost = web.put("/orders/signs-1")
        assert (lost.status_code, lost.headers["retry-after"]) == (503, "10")
    with TestClient(app.app) as web:
        done = web.put("/orders/signs-1")
        assert done.json() == {"job": jobs(server)[0], "status": "open"}
        assert web.put("/orders/signs-1").json() == web.get("/orders/signs-1").json() == done.json()
        assert len(jobs(server)) == 1
        server.faults.add(path="/v1/jobs", method="POST", status=402)
        assert web.put("/orders/signs-2").status_code == 502

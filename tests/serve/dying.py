"""A server in a process of its own that kills itself at a named point."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from firsthandapi import FirstHandClient
from firsthandapi_server.serve import receiving
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.storage import Upload


def main(reports: Connection, folder: str, point: str, port: int) -> None:
    """Serve until killed; `said` gets the port, and the path of the job."""

    def dies(where: str, real: Callable[..., Any]) -> Any:
        def run(*args: Any, **options: Any) -> Any:
            if point == f"{where} before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*args, **options)
            if point == f"{where} after":
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return run

    service = Service(Path(folder), port=port)
    points: list[tuple[Any, str, str]] = [
        (receiving, "clean", "clean"),
        (Upload, "write", "write"),
        (Upload, "finish", "finish"),
        (service.world.jobs, "submit", "submit"),
        (receiving.Receiving, "_submit", "answer"),
    ]
    for owner, name, where in points:
        setattr(owner, name, dies(where, getattr(owner, name)))
    with service:
        if service.first is not None:
            with FirstHandClient(service.first.live, service.url) as client:
                client.jobs.create(
                    description="Photos of street signs",
                    files_needed=10_000,
                    accepted_formats=["image/jpeg"],
                    price_per_file_cents=10,
                )
        (job,) = service.world.state.jobs.values()
        reports.send((service.port, service.site.links.path(job)))
        threading.Event().wait()

"""The webhook receivers of examples/, each a process of its own, at real deliveries of the bundled server."""

from __future__ import annotations

import http.client
import json
import os
import re
import runpy
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from firsthandapi import FirstHandClient
from firsthandapi.testing import MockServer, WebhookDelivery
from firsthandapi.types import WebhookEndpoint
from firsthandapi.webhooks import sign
from processes import free_port

pytestmark = pytest.mark.slow

WEBHOOKS = Path(__file__).resolve().parents[2] / "examples" / "webhooks"
PATH = "/webhooks/firsthand"
JOB_COMPLETED = '{"id":"%s","object":"event","type":"job.completed","data":{"job_id":"job_%s"}}'


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Nothing tells when another process is that far, so it is looked at."""
    end = time.monotonic() + 180
    while not condition():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < end
        time.sleep(0.02)


def accepts(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def commands(example: Path, port: int) -> list[list[str]]:
    """What the example's first lines say it is started with, run by this Python, at another port."""
    (line,) = re.findall(r"^    (.* 8000)$", example.read_text(encoding="utf-8"), re.MULTILINE)
    steps = [shlex.split(part.replace("8000", str(port))) for part in line.split("&&")]
    return [
        [sys.executable, "-W", "error", *(command[1:] if command[0] == "python" else ["-m", *command])]
        for command in steps
    ]


@dataclass
class Receiver:
    """A running receiver, the server that it listens to, and what it wrote down."""

    example: Path
    folder: Path
    port: int
    server: MockServer
    client: FirstHandClient
    endpoint: WebhookEndpoint
    process: subprocess.Popen[bytes] | None = None

    def start(self, *secrets: str) -> None:
        """Start it as its first lines say; what they do once for a folder is done once."""
        environment = {**os.environ, "FIRSTHAND_WEBHOOK_SECRET": " ".join(secrets)}
        *preparations, command = commands(self.example, self.port)
        if (self.folder / "receiver.log").exists():
            preparations.clear()
        with (self.folder / "receiver.log").open("ab") as log:
            for step in preparations:
                subprocess.run(
                    step, cwd=self.folder, env=environment, stdout=log, stderr=log, check=True, timeout=180
                )
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        wait_until(lambda: accepts(self.port), self.process)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def secret(self) -> str:
        assert self.endpoint.secret is not None
        return self.endpoint.secret

    @property
    def notes(self) -> Path:
        return self.folder / "completed.txt"

    def noted(self) -> list[str]:
        return self.notes.read_text(encoding="utf-8").split() if self.notes.exists() else []

    def finish_job(self) -> str:
        """A job of one file, completed: three events, of which the handler wants the last."""
        job = self.client.jobs.create(
            description="Photos of street signs in daylight",
            files_needed=1,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
        self.server.submit(job.id)
        self.server.clock.advance(seconds=15)
        return job.id

    def deliveries(self, job_id: str) -> list[WebhookDelivery]:
        """Those of the job's completion."""
        events = {
            event.id
            for event in self.client.webhooks.events.list(type="job.completed")
            if event.data.job_id == job_id
        }
        return [delivery for delivery in self.server.webhook_deliveries if delivery.event_id in events]

    def post(
        self, body: str | bytes | Iterator[bytes], headers: Mapping[str, str], method: str = "POST"
    ) -> int:
        """Post as a stranger may; the status."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, PATH, body, {"content-type": "application/json", **headers})
            return connection.getresponse().status

    def post_signed(self, body: str, secret: str, *, timestamp: float | None = None) -> int:
        return self.post(body, {"X-FirstHandAPI-Signature": sign(body, secret, timestamp=timestamp)})


def statuses(delivery: WebhookDelivery) -> list[int | None]:
    return [attempt.status for attempt in delivery.attempts]


@contextmanager
def started(name: str, folder: Path) -> Iterator[Receiver]:
    """A receiver at a server of its own, whose time stands still and whose workers are driven by hand."""
    port = free_port()
    example = Path(shutil.copy(WEBHOOKS / f"{name}_app.py", folder))
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        server.rate_limit = None
        endpoint = client.webhooks.create(url=f"http://127.0.0.1:{port}{PATH}")
        receiver = Receiver(example, folder, port, server, client, endpoint)
        try:
            receiver.start(receiver.secret)
            yield receiver
        finally:
            receiver.kill()
        server.check_books()


def a_delivery_is_verified_and_dispatched(receiver: Receiver) -> None:
    """Every event is answered with 204, whichever way it is signed; the handler runs for the one it wants."""
    styles: tuple[Literal["timestamped", "plain"], ...] = ("timestamped", "plain")
    jobs: list[str] = []
    for receiver.server.signature_style in styles:
        start = len(receiver.server.webhook_deliveries)
        jobs.append(receiver.finish_job())
        assert [statuses(delivery) for delivery in receiver.server.webhook_deliveries[start:]] == [[204]] * 3
    assert receiver.noted() == jobs


def a_failed_handler_gets_the_event_again(receiver: Receiver) -> None:
    """500 while the handler fails; once it can, the service's next attempt goes through, and is the last."""
    receiver.notes.mkdir()  # where a file was to be written
    job_id = receiver.finish_job()
    receiver.server.clock.advance(minutes=1)
    (delivery,) = receiver.deliveries(job_id)
    assert (delivery.status, statuses(delivery)) == ("pending", [500, 500])
    # Why it failed is told where the process writes, whatever the framework's defaults are.
    assert "completed.txt" in (receiver.folder / "receiver.log").read_text(encoding="utf-8")
    receiver.notes.rmdir()
    receiver.server.clock.advance(minutes=5)
    (delivery,) = receiver.deliveries(job_id)
    assert (delivery.status, statuses(delivery)) == ("delivered", [500, 500, 204])
    assert receiver.noted() == [job_id]


def a_replay_is_answered_and_not_handled_again(receiver: Receiver) -> None:
    """What was handled counts as a duplicate, also when the buyer asks for it again."""
    job_id = receiver.finish_job()
    receiver.client.webhooks.events.replay(receiver.deliveries(job_id)[0].event_id)
    receiver.server.wait_idle()
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[204], [204]]
    assert receiver.noted() == [job_id]


def a_replay_makes_up_for_what_failed_for_good(receiver: Receiver) -> None:
    """An event that all six attempts failed to bring is handled when it is replayed."""
    receiver.notes.mkdir()
    job_id = receiver.finish_job()
    receiver.server.clock.advance(days=1)
    (delivery,) = receiver.deliveries(job_id)
    assert (delivery.status, statuses(delivery)) == ("failed", [500] * 6)
    receiver.notes.rmdir()
    receiver.client.webhooks.events.replay(delivery.event_id)
    receiver.server.wait_idle()
    assert receiver.noted() == [job_id]


def duplicates_at_the_same_moment(receiver: Receiver) -> None:
    """Of eight deliveries at once one is handled; while it is, the service has to send the others again."""
    body = JOB_COMPLETED % ("evt_at_once", "at_once")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: receiver.post_signed(body, receiver.secret), range(8)))
    assert set(answers) <= {204, 500}
    assert 204 in answers
    assert receiver.post_signed(body, receiver.secret) == 204
    assert receiver.noted() == ["job_at_once"]


def what_the_service_did_not_sign_is_refused(receiver: Receiver) -> None:
    """Forged, unsigned, tampered with, stale or from the future: 400, no handler, and the genuine one counts."""
    body = JOB_COMPLETED % ("evt_forged", "forged")
    now = time.time()
    assert receiver.post_signed(body, "whsec_guessed") == 400
    assert receiver.post(body, {}) == 400
    assert receiver.post(body + " ", {"X-FirstHandAPI-Signature": sign(body, receiver.secret)}) == 400
    # The same JSON, serialised again, is another body.
    other_body = json.dumps(json.loads(body))
    assert receiver.post(other_body, {"X-FirstHandAPI-Signature": sign(body, receiver.secret)}) == 400
    assert receiver.post_signed(body, receiver.secret, timestamp=now - 400) == 400
    assert receiver.post_signed(body, receiver.secret, timestamp=now + 400) == 400
    assert receiver.noted() == []
    assert receiver.post_signed(body, receiver.secret, timestamp=now) == 204
    assert receiver.noted() == ["job_forged"]


def a_secret_never_reaches_an_answer_or_the_log(receiver: Receiver) -> None:
    """What is refused tells a stranger nothing."""
    body = JOB_COMPLETED % ("evt_curious", "curious")
    with closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)) as connection:
        connection.request("POST", PATH, body, {"X-FirstHandAPI-Signature": sign(body, "whsec_guessed")})
        answer = connection.getresponse().read().decode()
    assert "wrong signature" in answer
    log = (receiver.folder / "receiver.log").read_text(encoding="utf-8")
    assert "whsec_" not in answer.replace("whsec_ included", "") + log


def a_body_of_any_size_is_not_taken(receiver: Receiver) -> None:
    """Megabytes are refused, or the connection is cut, even if they are signed; then all is as before."""
    for framing in ("length", "chunked"):
        event = JOB_COMPLETED % (f"evt_{framing}", framing)
        body = event.encode() + b" " * 4_000_000
        headers = {"X-FirstHandAPI-Signature": sign(body, receiver.secret)}
        notes = receiver.noted()
        # A server that answers before it has read all may cut the connection while we still send.
        with suppress(ConnectionError):
            assert receiver.post(body if framing == "length" else iter([body]), headers) in (400, 413)
        assert receiver.noted() == notes
        assert receiver.post_signed(event, receiver.secret) == 204


def only_post_is_taken(receiver: Receiver) -> None:
    """Any other method is a 405."""
    assert receiver.post(b"", {}, method="GET") == 405
    assert receiver.post(b"", {}, method="DELETE") == 405


def rotating_the_secret_loses_nothing(receiver: Receiver) -> None:
    """What comes before the receiver has the new secret is refused, and comes again; the old one still counts."""
    old = receiver.secret
    receiver.endpoint = receiver.client.webhooks.rotate_secret(receiver.endpoint.id)
    job_id = receiver.finish_job()
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[400]]
    receiver.kill()
    receiver.start(receiver.secret, old)
    receiver.server.clock.advance(minutes=1)
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[400, 204]]
    assert receiver.noted() == [job_id]
    assert receiver.post_signed(JOB_COMPLETED % ("evt_old", "old"), old) == 204
    assert receiver.post_signed(JOB_COMPLETED % ("evt_guess", "guess"), "whsec_guessed") == 400


def processes_that_share_a_store_handle_an_event_once(first: Receiver) -> None:
    """Two Django processes over one database: each event comes to both, one handles it, both answer 204."""
    port = free_port()
    endpoint = first.client.webhooks.create(url=f"http://127.0.0.1:{port}{PATH}")
    second = replace(first, port=port, endpoint=endpoint, process=None)
    try:
        second.start(second.secret)
        jobs = [first.finish_job() for _ in range(4)]
        # One that came while the other process was handling the event was told to come again.
        first.server.clock.advance(minutes=6)
        for job_id in jobs:
            assert [statuses(delivery)[-1] for delivery in first.deliveries(job_id)] == [204, 204]
    finally:
        second.kill()
        first.client.webhooks.delete(endpoint.id)
    assert first.noted() == jobs


def an_event_outlives_the_process_that_was_handling_it(receiver: Receiver) -> None:
    """What a dead process had claimed is not taken for a duplicate: the service comes again until it is handled."""
    database = receiver.folder / "receiver.sqlite3"

    def claims() -> int:
        with closing(sqlite3.connect(database)) as connection:
            result = connection.execute("SELECT count(*) FROM handled_events WHERE cache_key LIKE '%evt%'")
            return int(result.fetchone()[0])

    receiver.client.webhooks.update(receiver.endpoint.id, events=["job.completed"])
    claim_count = claims()
    os.mkfifo(receiver.notes)  # opened for writing, it waits for a reader
    finished: list[str] = []
    delivering = threading.Thread(target=lambda: finished.append(receiver.finish_job()))
    delivering.start()
    wait_until(lambda: claims() == claim_count + 1)
    receiver.kill()
    delivering.join()
    receiver.notes.unlink()
    (job_id,) = finished
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[None]]
    receiver.start(receiver.secret)
    receiver.server.clock.advance(minutes=1)
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[None, 500]]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE handled_events SET expires = '2000-01-01 00:00:00'")
    receiver.server.clock.advance(minutes=5)
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[None, 500, 204]]
    assert receiver.noted() == [job_id]


FRAMEWORKS = pytest.mark.parametrize("name", ["fastapi", "flask", "django"])


@FRAMEWORKS
def test_a_receiver(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Each is started once for all that is looked at: that takes longer than the rest."""
    looks = [
        a_delivery_is_verified_and_dispatched,
        a_failed_handler_gets_the_event_again,
        a_replay_is_answered_and_not_handled_again,
        a_replay_makes_up_for_what_failed_for_good,
        duplicates_at_the_same_moment,
        what_the_service_did_not_sign_is_refused,
        a_secret_never_reaches_an_answer_or_the_log,
        a_body_of_any_size_is_not_taken,
        only_post_is_taken,
        rotating_the_secret_loses_nothing,
    ]
    if name == "django":  # whose events are handled by all processes of a database
        looks.append(processes_that_share_a_store_handle_an_event_once)
        if hasattr(os, "mkfifo"):  # which holds up the handler
            looks.append(an_event_outlives_the_process_that_was_handling_it)
    with started(name, tmp_path) as receiver:
        for look in looks:
            with subtests.test(look.__name__):
                look(receiver)
            if receiver.notes.is_dir():
                receiver.notes.rmdir()
            receiver.notes.unlink(missing_ok=True)


@pytest.mark.parametrize("secret", [None, "", " "], ids=["unset", "empty", "blank"])
@FRAMEWORKS
def test_without_a_secret_it_does_not_start(
    name: str, secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forgotten variable is told at the start, by its name, not by the first delivery."""
    monkeypatch.delenv("FIRSTHAND_WEBHOOK_SECRET", raising=False)
    if secret is not None:
        monkeypatch.setenv("FIRSTHAND_WEBHOOK_SECRET", secret)
    with pytest.raises((KeyError, SystemExit), match="FIRSTHAND_WEBHOOK_SECRET"):
        runpy.run_path(str(WEBHOOKS / f"{name}_app.py"))

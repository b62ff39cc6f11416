"""examples/webhooks/sqs_app.py and redis_app.py: real deliveries, a queue, and workers that may die.

The queue is moto's SQS, and a real Redis where one is installed, as for `make fleet`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dataset.s3 import ENVIRONMENT
from examples.test_receivers import JOB_COMPLETED, Receiver, started, statuses, wait_until
from processes import REDIS_SERVERS, Redis, needs_redis

# `make fleet` runs them, with a Redis.
pytestmark = pytest.mark.slow


class Queue(Protocol):
    """What the tests do to either queue."""

    environment: dict[str, str]

    def stop(self) -> None: ...
    def start(self) -> None: ...
    def left(self) -> int: ...


class Sqs:
    """A queue that shows an event again after a second, and a table."""

    def __init__(self, folder: Path) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        url = "http://{}:{}".format(*self._server.get_host_and_port())
        options = {"endpoint_url": url, "region_name": "us-east-1"}
        options |= {"aws_access_key_id": "other", "aws_secret_access_key": "other"}
        self._client: Any = boto3.client("sqs", **options)
        self._name = uuid.uuid4().hex  # moto's queues live as long as the process
        self.start()
        boto3.client("dynamodb", **options).create_table(
            TableName=self._name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": url}
        self.environment |= {"QUEUE_URL": self._url, "EVENTS_TABLE": self._name}

    def start(self) -> None:
        attributes = {"VisibilityTimeout": "1"}
        self._url = self._client.create_queue(QueueName=self._name, Attributes=attributes)["QueueUrl"]

    def stop(self) -> None:
        self._client.delete_queue(QueueUrl=self._url)

    def left(self) -> int:
        # moto counts one kind after the other: a message that becomes visible in between is in neither count, but not
        # twice in a row.
        return max(self._counted(), self._counted())

    def _counted(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(map(int, attributes.values()))

    def close(self) -> None:
        self._server.stop()


class Stream(Redis):
    """A stream of a Redis of one's own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, REDIS_SERVERS[0])
        self.environment = {"REDIS_URL": self.url, "LONGEST_SECONDS": "1"}
        self.start()

    def left(self) -> int:
        return int(self.admin().xlen("firsthand:events"))

    close = Redis.stop


@pytest.fixture(params=["sqs", pytest.param("redis", marks=needs_redis)])
def running(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Queue, Receiver]]:
    """A queue, and a receiver that puts events into it."""
    queue = {"sqs": Sqs, "redis": Stream}[request.param](tmp_path)
    for name, value in queue.environment.items():
        monkeypatch.setenv(name, value)
    try:
        with started(request.param, tmp_path) as receiver:
            yield queue, receiver
    finally:
        queue.close()


@contextmanager
def worker(receiver: Receiver) -> Iterator[subprocess.Popen[bytes]]:
    """One that runs until it is killed, whatever it is doing."""
    with (receiver.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, receiver.example.name],
            cwd=receiver.folder,
            env={**os.environ, "FIRSTHAND_WEBHOOK_SECRET": receiver.secret},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def test_an_event_is_worked_on_once(running: tuple[Queue, Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the queue is away the service is told to come again, and 2xx means that the event is in it. It leaves the
    queue only after its work: one whose worker failed and then died goes to another. Delivered and queued twice, it is
    handled once."""
    monkeypatch.setenv("TRIES", "1000")  # a stalled test does not end them
    queue, receiver = running
    queue.stop()
    job_id = receiver.finish_job()
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[500]]
    queue.start()
    receiver.server.clock.advance(minutes=1)
    assert [statuses(delivery) for delivery in receiver.deliveries(job_id)] == [[500, 204]]
    assert receiver.post_signed(JOB_COMPLETED % ("evt_forged", "forged"), "whsec_guessed") == 400
    assert queue.left() == 3
    receiver.notes.mkdir()  # where a file was to be written

    def failures() -> int:
        return (receiver.folder / "worker.log").read_text(encoding="utf-8").count("completed.txt")

    with worker(receiver) as process:
        wait_until(lambda: failures() > 0 and queue.left() == 1, process)
        failure_count = failures()
        # As soon as it has failed: killed while it tries again, it would hold its claim for five minutes.
        wait_until(lambda: failures() > failure_count, process)
    assert queue.left() == 1
    receiver.notes.rmdir()
    receiver.client.webhooks.events.replay(receiver.deliveries(job_id)[0].event_id)
    receiver.server.wait_idle()
    assert queue.left() == 2
    with worker(receiver) as process:
        wait_until(lambda: queue.left() == 0, process)
    assert receiver.noted() == [job_id]


@pytest.mark.parametrize("running", [pytest.param("redis", marks=needs_redis)], indirect=True)
def test_a_worker_outlives_events_that_fail_and_a_redis_that_returns_empty(
    running: tuple[Queue, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eleven that nobody can handle, and one behind them, were taken by a worker that died: that one is handled. What
    has failed often enough leaves the stream for another. A worker whose Redis is gone waits, and makes its group of
    workers again."""
    queue, receiver = running
    assert isinstance(queue, Stream)
    redis = queue.admin()
    redis.xgroup_create("firsthand:events", "workers", mkstream=True)
    for number in range(11):
        redis.xadd("firsthand:events", {"body": f"{number} is no event"})
    redis.xadd("firsthand:events", {"body": JOB_COMPLETED % ("evt_last", "last")})
    redis.xreadgroup("workers", "dead", {"firsthand:events": ">"})
    monkeypatch.setenv("TRIES", "1000")
    with worker(receiver) as process:
        # Not only noted: killed before it says so to the store, it would hold its claim for five minutes.
        wait_until(lambda: queue.left() == 11, process)
    assert receiver.noted() == ["job_last"]
    monkeypatch.setenv("TRIES", "2")
    with worker(receiver) as process:
        wait_until(lambda: queue.left() == 0, process)
        assert redis.xlen("firsthand:events:failed") == 11
        assert not redis.exists("firsthand:events:tries")
        queue.stop()
        queue.start()
        job_id = receiver.finish_job()
        wait_until(lambda: receiver.noted() == ["job_last", job_id] and queue.left() == 0, process)

"""Webhooks into a Redis stream: a receiver in Flask that only verifies and queues, and workers that do the work.

    pip install 'firsthandapi[fleet]' flask
    export FIRSTHAND_WEBHOOK_SECRET=whsec_… REDIS_URL=redis://127.0.0.1:6379/0
    flask --app redis_app run --port 8000

    python redis_app.py    # a worker, on as many machines as you like

Redis must keep what it is told: set `appendonly yes` and `appendfsync always`, or a crash of Redis may lose events.
"""

import logging
import os
import uuid
from pathlib import Path
from typing import Any

import redis
from flask import Flask, request
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from firsthandapi import WebhookSignatureError
from firsthandapi.fleet import RedisStore, StoreError
from firsthandapi.types import WebhookEvent
from firsthandapi.webhooks import EventClaimedError, EventRouter, unwrap

SECRETS = os.environ["FIRSTHAND_WEBHOOK_SECRET"].split()
if not SECRETS:
    raise SystemExit("FIRSTHAND_WEBHOOK_SECRET is empty")
URL = os.environ["REDIS_URL"]
# An event that a worker took so many seconds ago and has not finished goes to another: longer than your work takes.
LONGEST = int(os.environ.get("LONGEST_SECONDS", "300"))
# An event whose work failed so often leaves the stream for another, where you can look at it.
TRIES = int(os.environ.get("TRIES", "5"))
STREAM, GROUP, FAILED = "firsthand:events", "workers", "firsthand:events:failed"
events: Any = redis.Redis.from_url(URL, decode_responses=True)  # pyright: ignore[reportUnknownMemberType] # of redis

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_000_000  # bytes; an event has a few thousand; more is refused


@app.post("/webhooks/firsthand")
def receive() -> tuple[str, int]:
    """204 only when the event is in the stream. An error of Redis makes a 500, and the service delivers again."""
    body = request.get_data()
    try:
        unwrap(body, request.headers, SECRETS)
    except WebhookSignatureError as error:
        return str(error), 400
    events.xadd(STREAM, {"body": body})
    return "", 204


router = EventRouter(RedisStore(URL))  # known to all workers


@router.on("job.completed")
def completed(event: WebhookEvent) -> None:
    """The work, which may take its time. Your own code goes here."""
    with Path("completed.txt").open("a", encoding="utf-8") as file:
        file.write(f"{event.data['job_id']}\n")


def work() -> None:
    """Take events from the stream, one after the other: first those that another worker has not finished."""
    me = uuid.uuid4().hex
    make_group()
    cursor = "0-0"  # further on each time, so that events that keep failing hide no others
    while True:
        try:
            cursor, taken, *_ = events.xautoclaim(STREAM, GROUP, me, LONGEST * 1000, cursor, count=1)
            if not taken:
                answer = events.xreadgroup(GROUP, me, {STREAM: ">"}, count=1, block=min(5, LONGEST) * 1000)
                taken = [entry for _, entries in answer for entry in entries]
        except redis.ResponseError:
            if not make_group():  # Redis had lost it
                raise
            continue
        for number, fields in taken:
            try:
                router.dispatch(WebhookEvent.model_validate_json(fields["body"]))  # a duplicate is skipped
            except (EventClaimedError, StoreError) as error:
                logging.warning("it stays in the stream, and is tried again: %s", error)
            except Exception:
                logging.exception("it failed")
                if events.hincrby(f"{STREAM}:tries", number, 1) >= TRIES:
                    events.xadd(FAILED, fields)
                    finish(number)
            else:
                finish(number)


def make_group() -> bool:
    """Whether there was none."""
    try:
        events.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
        return False
    return True


def finish(number: str) -> None:
    """Let an event leave the stream."""
    events.xack(STREAM, GROUP, number)
    events.hdel(f"{STREAM}:tries", number)
    events.xdel(STREAM, number)


if __name__ == "__main__":
    events.set_retry(Retry(ExponentialBackoff(cap=5, base=0.1), 60))  # Redis may restart, for five minutes
    work()

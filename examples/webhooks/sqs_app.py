"""Webhooks into an SQS queue: a receiver in Flask that only verifies and queues, and workers that do the work.

    pip install firsthandapi flask boto3
    export FIRSTHAND_WEBHOOK_SECRET=whsec_… QUEUE_URL=https://sqs.us-east-1.amazonaws.com/…/events EVENTS_TABLE=events
    flask --app sqs_app run --port 8000

    python sqs_app.py    # a worker, on as many machines as you like

The queue needs a visibility timeout longer than your work takes, and a dead-letter queue for events that keep failing.
The table is one of DynamoDB: its key is `id`, a string, and `until` is its time to live.
"""

import logging
import os
import time
import uuid
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from flask import Flask, request

from firsthandapi import WebhookSignatureError
from firsthandapi.types import WebhookEvent
from firsthandapi.webhooks import EventRouter, unwrap

SECRETS = os.environ["FIRSTHAND_WEBHOOK_SECRET"].split()
if not SECRETS:
    raise SystemExit("FIRSTHAND_WEBHOOK_SECRET is empty")
QUEUE = os.environ["QUEUE_URL"]
sqs: Any = boto3.client("sqs")

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = (
    200_000  # bytes; an event has a few thousand, and SQS takes no more than 256 KiB
)


@app.post("/webhooks/firsthand")
def receive() -> tuple[str, int]:
    """204 only when the event is in the queue. An error of SQS makes a 500, and the service delivers again."""
    body = request.get_data()
    try:
        unwrap(body, request.headers, SECRETS)
    except WebhookSignatureError as error:
        return str(error), 400
    sqs.send_message(QueueUrl=QUEUE, MessageBody=body.decode())
    return "", 204


class DynamoStore:
    """Which events were handled, known to all workers: a `DeduplicationStore` over a table of DynamoDB."""

    def __init__(self, table: str) -> None:
        self._table: Any = boto3.resource("dynamodb").Table(table)
        self._tokens: dict[str, str] = {}  # event id → the token of our claim

    def claim(self, event_id: str) -> bool:
        """Make the event this worker's own, for 5 minutes at most: a worker may die."""
        token = uuid.uuid4().hex
        holder = self._put(event_id, token, seconds=300)
        if holder == "done":
            return False
        # boto3 repeats a request whose response was lost, so it may be our own.
        if holder != token:
            raise RuntimeError(f"another worker is handling {event_id}")
        self._tokens[event_id] = token
        return True

    def commit(self, event_id: str) -> None:
        """Remember it for 7 days, unless our claim has ended and another worker has it."""
        self._put(event_id, "done", seconds=7 * 86_400, over=self._tokens.pop(event_id, ""))

    def release(self, event_id: str) -> None:
        """Let the next worker have it, unless our claim has ended and another worker has it."""
        self._put(event_id, "failed", seconds=-1, over=self._tokens.pop(event_id, ""))

    def _put(self, event_id: str, holder: str, *, seconds: int, over: str = "") -> str:
        """Make `holder` that of the event, unless it has another than `over`. Returns who is then."""
        now = int(time.time())
        try:
            self._table.put_item(
                Item={"id": event_id, "holder": holder, "until": now + seconds},
                ConditionExpression="attribute_not_exists(id) OR #until < :now OR holder = :over",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":now": now, ":over": over},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return str(error.response["Item"]["holder"]["S"])
        return holder


router = EventRouter(DynamoStore(os.environ["EVENTS_TABLE"]))


@router.on("job.completed")
def completed(event: WebhookEvent) -> None:
    """The work, which may take its time. Your own code goes here."""
    with Path("completed.txt").open("a", encoding="utf-8") as file:
        file.write(f"{event.data['job_id']}\n")


def work() -> None:
    """Take events from the queue, one after the other."""
    while True:
        answer = sqs.receive_message(QueueUrl=QUEUE, WaitTimeSeconds=20)
        for message in answer.get("Messages", []):
            try:
                router.dispatch(WebhookEvent.model_validate_json(message["Body"]))  # a duplicate is skipped
            except Exception:
                logging.exception("it stays in the queue, which shows it again")
            else:
                sqs.delete_message(QueueUrl=QUEUE, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    work()

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

    def claim(self, event_id: str) -> bool:
        """Make the event this worker's own, for 5 minutes at most: a worker may die."""
        now = int(time.time())
        try:
            self._table.put_item(
                Item={"id": event_id, "state": "running", "until": now + 300},
                ConditionExpression="attribute_not_exists(id) OR #until < :now",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":now": now},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            if error.response["Item"]["state"]["S"] == "done":
                return False
            raise RuntimeError(f"another worker is handling {event_id}") from None
        return True

    def commit(self, event_id: str) -> None:
        """Remember it for 7 days."""
        self._table.put_item(Item={"id": event_id, "state": "done", "until": int(time.time()) + 7 * 86_400})

    def release(self, event_id: str) -> None:
        """Let the next worker have it."""
        self._table.delete_item(Key={"id": event_id})


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

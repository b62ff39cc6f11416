"""A webhook receiver in Flask.

    pip install firsthandapi flask
    export FIRSTHAND_WEBHOOK_SECRET=whsec_…
    flask --app flask_app run --port 8000

The secret is what `client.webhooks.create(url="https://…/webhooks/firsthand")` returned. After
`rotate_secret`, set the new and the old secret with a space between, so that deliveries under way stay valid.

It is for one process, with any number of threads. Several need a store that they share: django_app.py has one.
"""

import os
from pathlib import Path

from flask import Flask, request

from firsthandapi import WebhookSignatureError
from firsthandapi.types import JobEvent
from firsthandapi.webhooks import EventRouter, unwrap

SECRETS = os.environ["FIRSTHAND_WEBHOOK_SECRET"].split()
if not SECRETS:
    raise SystemExit("FIRSTHAND_WEBHOOK_SECRET is empty")

router = EventRouter()
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_000_000  # bytes; an event has a few thousand; more is refused


@router.on("job.completed")
def completed(event: JobEvent) -> None:
    """Queue the work and return: the service waits only 10 seconds. Your own code goes here."""
    with Path("completed.txt").open("a", encoding="utf-8") as file:
        file.write(f"{event.data.job_id}\n")


@app.post("/webhooks/firsthand")
def receive() -> tuple[str, int]:
    """204: handled, now or before. 400: not from the service. A handler's error makes a 500, and a retry."""
    try:
        # get_data() is the raw body, which the signature covers; request.json is not.
        event = unwrap(request.get_data(), request.headers, SECRETS)
    except WebhookSignatureError as error:
        return str(error), 400
    router.dispatch(event)
    return "", 204

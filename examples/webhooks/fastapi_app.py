"""A webhook receiver in FastAPI.

    pip install firsthandapi fastapi uvicorn
    export FIRSTHAND_WEBHOOK_SECRET=whsec_…
    uvicorn fastapi_app:app --port 8000

The secret is what `client.webhooks.create(url="https://…/webhooks/firsthand")` returned. After
`rotate_secret`, set the new and the old secret with a space between, so that deliveries under way stay valid.

It is for one process. Several (`--workers 4`) need a store that they share: django_app.py has one.
"""

import os

import anyio
from fastapi import FastAPI, HTTPException, Request

from firsthandapi import WebhookSignatureError
from firsthandapi.types import JobEvent
from firsthandapi.webhooks import EventRouter, unwrap

SECRETS = os.environ["FIRSTHAND_WEBHOOK_SECRET"].split()
if not SECRETS:
    raise SystemExit("FIRSTHAND_WEBHOOK_SECRET is empty")
LARGEST_BODY = 1_000_000  # bytes; an event has a few thousand

router = EventRouter()
app = FastAPI()


@router.on("job.completed")
async def completed(event: JobEvent) -> None:
    """Queue the work and return: the service waits only 10 seconds. Your own code goes here."""
    async with await anyio.open_file("completed.txt", "a", encoding="utf-8") as file:
        await file.write(f"{event.data.job_id}\n")


@app.post("/webhooks/firsthand", status_code=204)
async def receive(request: Request) -> None:
    """204: handled, now or before. 400: not from the service. A handler's error makes a 500, and a retry."""
    try:
        event = unwrap(await read(request), request.headers, SECRETS)
    except WebhookSignatureError as error:
        raise HTTPException(400, str(error)) from None
    await router.adispatch(event)


async def read(request: Request) -> bytes:
    """The raw body, which the signature covers. A stranger may send any amount: it is cut off while it comes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise HTTPException(413)
    return bytes(body)

"""Order from a web service, with FastAPI: a request that is sent again pays once.

    pip install firsthandapi fastapi uvicorn
    export FIRSTHAND_API_KEY=fh_…
    uvicorn fastapi_orders:app --port 8000
    curl --request PUT http://localhost:8000/orders/signs-2026-11

Who sends the same PUT again, after a timeout or a crash, gets the same job: the number of the order is the key, and the
journal remembers what is on its way. Put the journal on a disk that lasts; the processes of `--workers 4` share it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from firsthandapi import (
    AsyncFirstHandClient,
    FirstHandApiError,
    FirstHandError,
    NotFoundError,
    idempotency_key,
)

JOURNAL = os.environ.get("ORDERS_JOURNAL", "orders.journal")
# In place of your database: the job of each order.
ORDERS: dict[str, str] = {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """One client for the life of the service."""
    # A request must not hang: after 20 seconds it says that the outcome is unknown.
    async with AsyncFirstHandClient(journal=JOURNAL, deadline=20, max_spend_cents=1_000) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.put("/orders/{number}")
async def put(number: str) -> dict[str, str]:
    """Post the job of an order. 503: the outcome is unknown; send the same PUT again."""
    # An order whose job is known is a GET, whatever its age: its key may be forgotten by now.
    if number not in ORDERS:
        client: AsyncFirstHandClient = app.state.client
        try:
            job = await client.jobs.create(
                description="Photos of street signs in daylight",
                files_needed=2,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=50,
                idempotency_key=idempotency_key("order", number),
            )
        except FirstHandError as error:
            if isinstance(error, FirstHandApiError) and not error.retryable:
                raise HTTPException(502, "refused; the same PUT sends the same key") from error
            raise HTTPException(503, "try again", headers={"Retry-After": "10"}) from error
        ORDERS[number] = job.id
    return await get(number)


@app.get("/orders/{number}")
async def get(number: str) -> dict[str, str]:
    """Show the job of an order."""
    client: AsyncFirstHandClient = app.state.client
    try:
        job = await client.jobs.get(ORDERS[number])
    except (KeyError, NotFoundError):
        raise HTTPException(404, "no such order") from None
    return {"job": job.id, "status": str(job.status)}

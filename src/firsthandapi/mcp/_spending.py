"""Tools that spend, or that end a job.

Annotations are evaluated here, since the tools' schemas are made from them.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import anyio
import mcp_types
from mcp.server import MCPServer
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from firsthandapi import AsyncFirstHandClient, types
from firsthandapi._async.ordering import ask, end_of_search, order_once
from firsthandapi._base.counts import count_of, dollars
from firsthandapi._base.visible import visible
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.orders.ordering import LookFor, Walk, search_start
from firsthandapi._core.orders.record import OrderRecord, ShownJob
from firsthandapi.errors import ConfigurationError, FirstHandError, NotFoundError, WaitTimeoutError
from firsthandapi.types.job_arguments import JobCreateParams

from ._errors import answered, on_thread
from ._ledger import Ledger, OrderInLedger
from ._progress import JobSteps
from ._reading import JobId
from ._results import CreatedJob, JobResult, WaitedJob
from ._schemas import job_parameters, taking

# A call may wait for 5 minutes.
MaxWait = Annotated[int, Field(ge=1, le=300)]
# How long a call waits for another session that sends the same order or runs the same campaign, and how often it looks.
_TURN_SECONDS = 30.0
_TURN_EVERY = 0.1
# How a model gives up an order whose key is too old to be sent again.
_WAY_OUT = "put a value of your own into metadata, which makes it another order,"

SPENDS = mcp_types.ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)


class Approval(BaseModel):
    """The person's answer."""

    approve: bool = Field(description="Yes?")


class NotAsked(Approval):
    """Nobody needed to be asked: the cost is within the bound, the order exists, or the job is this server's."""

    approve: bool = True


def add_spending(
    server: MCPServer, client: AsyncFirstHandClient, ledger: Ledger, confirm_cents: int | None
) -> None:
    """Add the tools that order a job.

    Args:
        server: where to add them.
        client: the client that they use.
        ledger: what bounds them.
        confirm_cents: above this cost of a job, in US cents, the person is asked; None never asks.
    """

    @taking(job_parameters())
    async def may_spend(ctx: Context, fields: dict[str, Any]) -> Approval | Elicit[Approval]:
        cost = _cost(fields)
        if confirm_cents is None or cost <= confirm_cents:
            return NotAsked()
        key = await answered(on_thread(ledger.key, fields))
        more, cents_left = await answered(room_for(client, ledger, key, cost))
        if more <= 0 or more > cents_left:
            return NotAsked()  # an order that costs too much is refused below, without a question
        check_can_ask(ctx, cost, confirm_cents)
        return Elicit(
            f"Post a job for {count_of(fields['files_needed'])} at {dollars(fields['price_per_file_cents'])} each: "
            f"{dollars(cost)} in all, held immediately. Its description: “{visible(fields['description'][:200])}”. "
            "Spend it?",
            Approval,
        )

    async def ordered(answer: ElicitationResult[Approval], fields: dict[str, Any]) -> tuple[types.Job, bool]:
        key = await on_thread(ledger.key, fields)
        order = OrderInLedger(ledger, key, None if check_approved(answer) else confirm_cents)
        request: dict[str, Any] = json.loads(arguments.body(arguments.check(JobCreateParams, fields)))
        async with turn_of(ledger, key, "sends this order"):
            await room_for(client, ledger, key, _cost(fields))
            buy = partial(
                order_once,
                client._transport,  # pyright: ignore[reportPrivateUsage] # of one house
                order,
                request,
                key,
                ends=None,
                way_out=_WAY_OUT,
                unaffordable=await on_thread(ledger.obstacle, key),
            )
            record, job = await buy()
            if order.is_new and job is not None and job.response.idempotency_key is not None:
                return job, False
            # Known, or found again: nothing was posted, or the response to a repeated POST shows the job's first state.
            try:
                return await client.jobs.get(str(record.job_id)), True
            except NotFoundError as error:
                if job is not None:
                    return job, True  # this call has just seen it: a replica lags behind
                # The response to the POST may have made up the id.
                record, job = await buy(gone=error)
        return job or await client.jobs.get(str(record.job_id)), True

    @server.tool(annotations=SPENDS)
    @taking(job_parameters(explained=True))
    async def create_job(
        fields: dict[str, Any], approved: Annotated[ElicitationResult[Approval], Resolve(may_spend)]
    ) -> CreatedJob:
        """Post a job that real people are paid for. It costs files_needed x price_per_file_cents, held immediately.

        Tell the person the cost first. Repeating the same call returns the same job, at any time, and costs nothing.
        To order the same again, put a value of your own into metadata.
        """
        job, is_old = await answered(ordered(approved, fields))
        cents_left = await answered(on_thread(ledger.left_cents))
        return CreatedJob.of(job, created_before=is_old, budget_left_cents=cents_left)

    @server.tool(annotations=SPENDS)
    @taking(job_parameters())
    async def create_job_and_wait(
        fields: dict[str, Any],
        approved: Annotated[ElicitationResult[Approval], Resolve(may_spend)],
        ctx: Context,
        max_wait_seconds: MaxWait = 120,
    ) -> WaitedJob:
        """Post a job with the same arguments as create_job, and wait for it, for at most max_wait_seconds.

        If it takes longer, timed_out_waiting is true and the job continues: read it later with get_job.
        """
        job, is_old = await answered(ordered(approved, fields))
        late = False
        try:
            async with JobSteps(ctx, int_or_none(job.files_needed)) as steps:
                job = await client.jobs.wait(job, timeout=max_wait_seconds, on_update=steps.update)
        except WaitTimeoutError as error:
            job, late = error.job or job, True
        except FirstHandError as error:
            raise ToolError(f"{job.id} was created, and then: {error}. Read it with get_job.") from None
        cents_left = await answered(on_thread(ledger.left_cents))
        return WaitedJob.of(job, created_before=is_old, budget_left_cents=cents_left, timed_out_waiting=late)


def add_cancelling(server: MCPServer, client: AsyncFirstHandClient, ledger: Ledger) -> None:
    """Add the tool that ends a job: what this server did not order, only a person may let it cancel."""

    async def may_cancel(ctx: Context, job_id: str) -> Approval | Elicit[Approval]:
        not_ordered = "this server did not order"
        try:
            if await on_thread(ledger.has_job, job_id):
                return NotAsked()
        except (ConfigurationError, OSError):  # it spends nothing now, but the person may cancel
            not_ordered = "this server cannot read in its ledger whether it ordered"
        if not can_ask(ctx):
            raise ToolError(
                f"{not_ordered} {visible(job_id)}, so it cancels it only after asking the person with a form, "
                "which this program does not support: nothing was cancelled; ask the person to cancel it with "
                "`firsthandapi jobs cancel`"
            )
        job = await answered(client.jobs.get(job_id))
        if job.is_terminal:
            return NotAsked()  # the service says so itself
        return Elicit(
            f"{not_ordered.capitalize()} {visible(job.id)}, which is {visible(job.status)} with "
            f"{int_or_none(job.files_approved) or 0} of {int_or_none(job.files_needed) or 0} files approved: "
            f"“{visible(str(job.title or job.description or '')[:200])}”. Cancel it?",
            Approval,
        )

    @server.tool(annotations=SPENDS)
    async def cancel_job(
        job_id: JobId, approved: Annotated[ElicitationResult[Approval], Resolve(may_cancel)]
    ) -> JobResult:
        """Cancel a job that is not finished. Unused escrow is refunded to the organization; approved files stay.

        The person is asked first about a job that this server did not order. The refund does not restore this
        server's budget.
        """
        check_approved(approved, "cancelled")
        return JobResult.of(await answered(client.jobs.cancel(job_id)))


def can_ask(ctx: Context) -> bool:
    """Whether the program of the agent can ask the person, by a form: one that says nothing of modes can."""
    capabilities = ctx.client_capabilities
    asks = None if capabilities is None else capabilities.elicitation
    return asks is not None and (asks.form is not None or asks.url is None)


def check_can_ask(ctx: Context, cost_cents: int, confirm_cents: int) -> None:
    """Refuse what a person must approve where no person can be asked. Raises ToolError: the program cannot ask."""
    if not can_ask(ctx):
        raise ToolError(
            f"this costs {cost_cents} cents, and above {confirm_cents} cents this server asks the person "
            "with a form, which this program does not support: nothing was ordered; ask for fewer files, or ask the "
            "person to restart the server with a larger --confirm-cents"
        )


def check_approved(answer: ElicitationResult[Approval], done: str = "ordered") -> bool:
    """Whether a person said yes; False if none was asked. `done` is what was not done without it.
    Raises ToolError: the person said no.
    """
    if not (isinstance(answer, AcceptedElicitation) and answer.data.approve):
        raise ToolError(
            f"the person declined: nothing was {done}. Do not ask again unless the person wants to."
        )
    return not isinstance(answer.data, NotAsked)


def _cost(fields: dict[str, Any]) -> int:
    return int(fields["files_needed"] * fields["price_per_file_cents"])


@asynccontextmanager
async def turn_of(ledger: Ledger, key: str, doing: str) -> AsyncGenerator[None, None]:
    """Wait until no other session does this. Raises ToolError: one still does."""
    lock = await answered(on_thread(ledger.turn, key))

    async def taken() -> bool:
        with anyio.move_on_after(_TURN_SECONDS):
            while not lock.acquire():
                await anyio.sleep(_TURN_EVERY)
            return True
        return False

    if not await answered(taken()):
        raise ToolError(
            f"another session {doing}: this call ordered nothing. Call again in a minute, with the same arguments."
        )
    try:
        yield
    finally:
        lock.release()


async def room_for(
    client: AsyncFirstHandClient, ledger: Ledger, key: str, cost_cents: int
) -> tuple[int, int]:
    """How much more would count if what has this key cost so much, and what the budget has left, in US cents: if that
    is too little, after a search for refused orders that would leave enough."""
    more, cents_left = await on_thread(ledger.room, key, cost_cents)
    if more > cents_left:
        refused = await on_thread(ledger.refused)
        if sum(record.cost_cents for record in refused) >= more - cents_left:
            await _look_for(client, ledger, refused)
            more, cents_left = await on_thread(ledger.room, key, cost_cents)
    return more, cents_left


async def _look_for(client: AsyncFirstHandClient, ledger: Ledger, refused: list[OrderRecord]) -> None:
    """Look for the jobs of refused orders: one walk over the list for all."""
    transport = client._transport  # pyright: ignore[reportPrivateUsage] # of one house
    walk, ends = Walk(transport.clock.time()), end_of_search(transport)
    # A search just before the first POST has found nothing. When that was, the service's clock knows better than ours.
    sent_at = [record.server_sent_at for record in refused]
    key_since = None if None in sent_at else min(filter(None, sent_at))
    since = search_start(key_since, (record.first_sent_at for record in refused))
    jobs: list[ShownJob] = []
    question: LookFor | None = LookFor(None, since=since)
    while question is not None:
        page, _ = await ask(transport, question, ends)
        walk = walk.after(page)
        jobs += page.jobs
        question = page.unread
    await on_thread(ledger.looked, jobs, walk)

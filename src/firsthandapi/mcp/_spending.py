"""Tools that spend, or that end a job.

Annotations are evaluated here, since the tools' schemas are made from them.
"""

import json
from typing import Annotated, Any

import anyio
import mcp_types
from mcp.server import MCPServer
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field, WithJsonSchema

from firsthandapi import AsyncFirstHandClient, types
from firsthandapi._async.ordering import order_once
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.counts import count_of, dollars
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.orders.ordering import is_clear_refusal
from firsthandapi._visible import visible
from firsthandapi.errors import (
    FirstHandConnectionError,
    FirstHandError,
    InvalidArgumentError,
    WaitTimeoutError,
)
from firsthandapi.types.job import JobCreateParams

from ._errors import answered, on_thread
from ._ledger import Ledger, OrderRecord
from ._progress import JobSteps
from ._reading import JobId
from ._results import CreatedJob, JobResult, WaitedJob
from ._schemas import LOCATION, METADATA

MOST_WAIT = 300
# How a model gives up an order whose key is too old to be sent again.
_WAY_OUT = "put a value of your own into metadata, which makes it another order,"

SPENDS = mcp_types.ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)

_Description = Annotated[str, Field(description="what workers are asked for", min_length=10, max_length=5000)]
_FilesNeeded = Annotated[int, Field(ge=1, le=10_000, strict=True)]
_Formats = Annotated[
    list[types.MediaFormat], Field(description="MIME types, not extensions", min_length=1, max_length=9)
]
_Price = Annotated[int, Field(description="for each approved file, US cents", ge=10, le=50_000, strict=True)]
_MinStars = Annotated[int | None, Field(description="lowest rating to approve; default 3", ge=1, le=5)]
_Location = Annotated[dict[str, Any] | None, Field(description="where"), WithJsonSchema(LOCATION)]
_PerSubmission = Annotated[int | None, Field(description="files in one submission", ge=1, le=5)]
_Metadata = Annotated[
    dict[str, Any] | None,
    Field(description="your own values; other values make another job"),
    WithJsonSchema(METADATA),
]


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

    async def may_spend(
        ctx: Context,
        type: types.JobType,
        description: str,
        files_needed: int,
        accepted_formats: list[types.MediaFormat],
        price_per_file_cents: int,
        min_star_rating: int | None,
        location: dict[str, Any] | None,
        files_per_submission: int | None,
        metadata: dict[str, Any] | None,
    ) -> Approval | Elicit[Approval]:
        cost = files_needed * price_per_file_cents
        if confirm_cents is None or cost <= confirm_cents:
            return NotAsked()
        fields = _fields(
            type=type,
            description=description,
            files_needed=files_needed,
            accepted_formats=accepted_formats,
            price_per_file_cents=price_per_file_cents,
            min_star_rating=min_star_rating,
            location=location,
            files_per_submission=files_per_submission,
            metadata=metadata,
        )
        known, left = await answered(on_thread(ledger.look, fields))
        if known or cost > left:
            return NotAsked()  # an order that costs too much is refused below, without a question
        check_can_ask(ctx, cost, confirm_cents)
        return Elicit(
            f"Post a job for {count_of(files_needed)} at {dollars(price_per_file_cents)} each: "
            f"{dollars(cost)} in all, held immediately. Its description: “{visible(description[:200])}”. "
            "Spend it?",
            Approval,
        )

    async def order(answer: ElicitationResult[Approval], fields: dict[str, Any]) -> tuple[types.Job, bool]:
        asked = check_approved(answer)
        cost = fields["files_needed"] * fields["price_per_file_cents"]
        new = asked or confirm_cents is None or cost <= confirm_cents
        key, fresh = await on_thread(ledger.reserve, fields, cost, new=new)
        job_id, job = await _job_of(client, ledger, key, fields, fresh=fresh)
        if fresh and job is not None and job.response.idempotency_key is not None:
            return job, False
        # Known, or found again: nothing was posted, or the response to a repeated POST shows the job's first state.
        return await client.jobs.get(job_id), True

    @server.tool(annotations=SPENDS)
    async def create_job(
        type: types.JobType,
        description: _Description,
        files_needed: _FilesNeeded,
        accepted_formats: _Formats,
        price_per_file_cents: _Price,
        approved: Annotated[ElicitationResult[Approval], Resolve(may_spend)],
        min_star_rating: _MinStars = None,
        location: _Location = None,
        files_per_submission: _PerSubmission = None,
        metadata: _Metadata = None,
    ) -> CreatedJob:
        """Post a job that real people are paid for. It costs files_needed x price_per_file_cents, held immediately.

        Tell the person the cost first. Repeating the same call returns the same job, at any time, and costs nothing.
        To order the same again, put a value of your own into metadata.
        """
        fields = _fields(
            type=type,
            description=description,
            files_needed=files_needed,
            accepted_formats=accepted_formats,
            price_per_file_cents=price_per_file_cents,
            min_star_rating=min_star_rating,
            location=location,
            files_per_submission=files_per_submission,
            metadata=metadata,
        )
        job, before = await answered(order(approved, fields))
        left = await answered(on_thread(ledger.left_cents))
        return CreatedJob.of(job, created_before=before, budget_left_cents=left)

    @server.tool(annotations=SPENDS)
    async def create_job_and_wait(
        type: types.JobType,
        description: _Description,
        files_needed: _FilesNeeded,
        accepted_formats: _Formats,
        price_per_file_cents: _Price,
        approved: Annotated[ElicitationResult[Approval], Resolve(may_spend)],
        ctx: Context,
        min_star_rating: _MinStars = None,
        location: _Location = None,
        files_per_submission: _PerSubmission = None,
        metadata: _Metadata = None,
        max_wait_seconds: Annotated[int, Field(ge=1, le=MOST_WAIT)] = 120,
    ) -> WaitedJob:
        """Post a job as create_job does, and wait for it to finish, for at most max_wait_seconds.

        If it takes longer, timed_out_waiting is true and the job continues: read it later with get_job.
        """
        fields = _fields(
            type=type,
            description=description,
            files_needed=files_needed,
            accepted_formats=accepted_formats,
            price_per_file_cents=price_per_file_cents,
            min_star_rating=min_star_rating,
            location=location,
            files_per_submission=files_per_submission,
            metadata=metadata,
        )
        job, before = await answered(order(approved, fields))
        late = False
        try:
            async with JobSteps(ctx, int_or_none(job.files_needed)) as steps:
                job = await client.jobs.wait(job, timeout=max_wait_seconds, on_update=steps.update)
        except WaitTimeoutError as error:
            job, late = error.job or job, True
        except FirstHandError as error:
            raise ToolError(f"{job.id} was created, and then: {error}. Read it with get_job.") from None
        left = await answered(on_thread(ledger.left_cents))
        return WaitedJob.of(job, created_before=before, budget_left_cents=left, timed_out_waiting=late)


def add_cancelling(server: MCPServer, client: AsyncFirstHandClient, ledger: Ledger) -> None:
    """Add the tool that ends a job: what this server did not order, only a person may let it cancel."""

    async def may_cancel(ctx: Context, job_id: str) -> Approval | Elicit[Approval]:
        if await answered(on_thread(ledger.has_job, job_id)):
            return NotAsked()
        if not can_ask(ctx):
            raise ToolError(
                f"this server did not order {visible(job_id)}, so it cancels it only after asking the person, which "
                "this program does not support: nothing was cancelled; ask the person to cancel it with `firsthandapi "
                "jobs cancel`"
            )
        job = await answered(client.jobs.get(job_id))
        if job.is_terminal:
            return NotAsked()  # the service says so itself
        return Elicit(
            f"This server did not order {visible(job.id)}, which is {visible(job.status)} with "
            f"{int_or_none(job.files_approved) or 0} of {int_or_none(job.files_needed) or 0} files approved: "
            f"“{visible(str(job.title or job.description or '')[:200])}”. Cancel it?",
            Approval,
        )

    @server.tool(annotations=SPENDS)
    async def cancel_job(
        job_id: JobId, approved: Annotated[ElicitationResult[Approval], Resolve(may_cancel)]
    ) -> JobResult:
        """Cancel a job that is not finished. Unused escrow is refunded to the organization; approved files stay.

        The person is asked first about a job that this server did not order. The refund does not come back into this
        server's budget.
        """
        check_approved(approved, "cancelled")
        return JobResult.of(await answered(client.jobs.cancel(job_id)))


def can_ask(ctx: Context) -> bool:
    """Whether the program of the agent can ask the person."""
    capabilities = ctx.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def check_can_ask(ctx: Context, cost_cents: int, confirm_cents: int) -> None:
    """Refuse what a person must approve where no person can be asked.

    Raises:
        ToolError: the program cannot ask.
    """
    if not can_ask(ctx):
        raise ToolError(
            f"this costs {cost_cents} cents, and above {confirm_cents} cents this server asks the person, "
            "which this program does not support: nothing was ordered; ask for fewer files, or ask the person "
            "to restart the server with a larger --confirm-cents"
        )


def check_approved(answer: ElicitationResult[Approval], done: str = "ordered") -> bool:
    """Whether a person said yes; False if none was asked. `done` is what was not done without it.

    Raises:
        ToolError: the person said no.
    """
    if not (isinstance(answer, AcceptedElicitation) and answer.data.approve):
        raise ToolError(
            f"the person declined: nothing was {done}. Do not ask again unless the person wants to."
        )
    return not isinstance(answer.data, NotAsked)


def _fields(**fields: Any) -> dict[str, Any]:
    """The fields of a job, less those that were left out."""
    return {name: value for name, value in fields.items() if value is not None}


async def _job_of(
    client: AsyncFirstHandClient, ledger: Ledger, key: str, fields: dict[str, Any], *, fresh: bool
) -> tuple[str, types.Job | None]:
    """The id of the job of an order, in the ledger from then on; and the job, if it was posted or searched for."""
    try:
        request: dict[str, Any] = json.loads(arguments.body(arguments.check(JobCreateParams, fields)))
        sent, job = await order_once(
            client._transport,  # pyright: ignore[reportPrivateUsage] # of one house
            OrderRecord(ledger, key, request, fresh=fresh),
            request,
            key,
            ends=None,
            way_out=_WAY_OUT,
            unaffordable=None if fresh else await on_thread(ledger.unaffordable, key),
        )
    except FirstHandError as error:
        # What may have been paid stays in the ledger.
        if _bought_nothing(error):
            with anyio.CancelScope(shield=True):
                await on_thread(ledger.refused, key)
        raise
    return str(sent.job_id), job


def _bought_nothing(error: FirstHandError) -> bool:
    if isinstance(error, InvalidArgumentError):
        return True
    if isinstance(error, FirstHandConnectionError):
        return not error.request_sent and error.attempts == 1
    return is_clear_refusal(error)

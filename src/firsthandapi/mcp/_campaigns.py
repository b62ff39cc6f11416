"""Tools for campaigns: many jobs, one dataset, one budget, which counts against the budget of the server.

Annotations are evaluated here, since the tools' schemas are made from them.
"""

import inspect
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from pydantic import BeforeValidator, Field, WithJsonSchema

from firsthandapi import AsyncFirstHandClient, Campaign
from firsthandapi._base.counts import count_of, dollars
from firsthandapi._core.campaigns.plan import over_budget
from firsthandapi.campaigns import CampaignPlan, CampaignProgress
from firsthandapi.errors import FirstHandError, WaitTimeoutError

from ._errors import answered, on_thread, told
from ._ledger import Ledger
from ._progress import Steps
from ._reading import READS
from ._results import CampaignResult, CollectedCampaign
from ._schemas import DEFAULTS, LABELS, by_label, fields_of, taking
from ._spending import (
    SPENDS,
    Approval,
    MaxWait,
    NotAsked,
    check_approved,
    check_can_ask,
    room_for,
    turn_of,
)

_Name = Annotated[
    str,
    Field(
        description="the same name continues the same campaign",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
    ),
]
_Jobs = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(by_label),
    Field(
        description="a job for each label",
        min_length=1,
        max_length=100,
    ),
    WithJsonSchema(LABELS),
]
_Budget = Annotated[
    int,
    Field(description="the most that all its orders may cost, US cents", ge=1, le=10**9, strict=True),
]
_Defaults = Annotated[
    dict[str, Any] | None,
    BeforeValidator(fields_of),
    Field(description="fields for all labels"),
    WithJsonSchema(DEFAULTS),
]
_Unique = Annotated[bool, Field(description="replace files with the same bytes")]


def _spec(
    name: _Name, jobs: _Jobs, budget_cents: _Budget, defaults: _Defaults = None, unique: _Unique = True
) -> None:
    """The arguments of the tools of campaigns."""


_SPEC = inspect.signature(_spec).parameters.values()


class AgentCampaigns:
    """The campaigns of a server, each in a folder of its own.

    Args:
        client: the client that runs them.
        ledger: what bounds them.
        folder: where their folders are.
    """

    def __init__(self, client: AsyncFirstHandClient, ledger: Ledger, folder: Path) -> None:
        self._client = client
        self._ledger = ledger
        self._folder = folder

    def dest(self, name: str) -> Path:
        """The folder of a campaign."""
        return self._folder / name

    def make(self, *, name: str, **fields: Any) -> Campaign:
        """A campaign, checked."""
        return Campaign(dest=self.dest(name), name=f"mcp {name}", **fields)

    async def plan(self, fields: dict[str, Any]) -> CampaignPlan:
        """What a run would order now."""
        return await self._client.campaigns.plan(self.make(**fields))

    async def has_all(self, fields: dict[str, Any]) -> bool:
        """Whether every file is approved, so that a run only downloads."""
        return _has_all(await self.plan(fields))

    async def room(self, place: str, budget_cents: int) -> tuple[int, int]:
        """How much more would be set aside for the campaign in a folder, and what is left, in US cents."""
        return await room_for(self._client, self._ledger, self._ledger.campaign_key(place), budget_cents)

    async def run(
        self, context: Context, most_more: int | None, max_wait_seconds: int, fields: dict[str, Any]
    ) -> CollectedCampaign:
        """Set the budget of a campaign aside, run it, and give back what a finished one did not spend."""
        try:
            campaign = self.make(**fields)
        except FirstHandError as error:
            raise told(error) from None
        place = str(campaign.dest)
        async with turn_of(self._ledger, self._ledger.campaign_key(place), "runs this campaign"):
            allowed, plan = await answered(self._allot(campaign, most_more))
            late = await self._run(context, allowed, plan, max_wait_seconds)
            plan = await answered(self._client.campaigns.plan(campaign))
            if not late:
                await answered(on_thread(self._ledger.give_back, place, plan.spent_cents))
            return CollectedCampaign.of(
                plan,
                budget_left_cents=await answered(on_thread(self._ledger.left_cents)),
                folder=place,
                finished=not late,
                timed_out_waiting=late,
            )

    async def _allot(self, campaign: Campaign, most_more: int | None) -> tuple[Campaign, CampaignPlan]:
        """Set the budget aside, unless it does not even suffice for what the campaign needs now."""
        plan = await self._client.campaigns.plan(campaign)
        place = str(campaign.dest)
        more, _ = await self.room(place, campaign.budget_cents)
        if more > 0:
            if _has_all(plan):  # for what it has spent, it orders nothing more
                fields: dict[str, Any] = {**campaign.to_dict(), "budget_cents": max(plan.spent_cents, 1)}
                return Campaign(**fields), plan
            if not plan.fits:
                raise over_budget(plan)
        await on_thread(self._ledger.allot, place, campaign.budget_cents, most_more=most_more)
        return campaign, plan

    async def _run(
        self, context: Context, campaign: Campaign, plan: CampaignPlan, max_wait_seconds: int
    ) -> bool:
        """Run it; whether it takes longer."""
        async with Steps(context, sum(label.wanted for label in plan.labels)) as steps:

            async def report(now: CampaignProgress) -> None:
                spent = f"{dollars(now.spent_cents)} of {dollars(now.budget_cents)} spent"
                await steps.report(
                    now.files_done, f"{now.files_done} of {count_of(now.files_total)}, {spent}"
                )

            try:
                await self._client.campaigns.run(campaign, timeout=max_wait_seconds, on_progress=report)
            except WaitTimeoutError:
                return True
            except FirstHandError as error:
                raise told(error) from None
        return False


def _has_all(plan: CampaignPlan) -> bool:
    return not plan.orders and all(label.approved >= label.wanted for label in plan.labels)


def add_planning(server: MCPServer, campaigns: AgentCampaigns, ledger: Ledger) -> None:
    """Add the tool that plans."""

    @server.tool(annotations=READS)
    @taking(_SPEC)
    async def plan_campaign(fields: dict[str, Any]) -> CampaignResult:
        """Show what collect_campaign would order now, what it would cost, and how far each label is. Orders nothing."""
        plan = await answered(campaigns.plan(fields))
        return CampaignResult.of(plan, budget_left_cents=await answered(on_thread(ledger.left_cents)))


def add_campaigns(server: MCPServer, campaigns: AgentCampaigns, confirm_cents: int | None) -> None:
    """Add the tools that run a campaign."""

    @taking(_SPEC)
    async def may_run(ctx: Context, fields: dict[str, Any]) -> Approval | Elicit[Approval]:
        name, budget_cents = fields["name"], fields["budget_cents"]
        if confirm_cents is None:
            return NotAsked()
        more, cents_left = await answered(campaigns.room(str(campaigns.dest(name)), budget_cents))
        if more <= confirm_cents or more > cents_left:
            return NotAsked()  # what costs too much is refused below, without a question
        if await answered(campaigns.has_all(fields)):
            return NotAsked()
        check_can_ask(ctx, more, confirm_cents)
        return Elicit(
            f"Run the campaign “{name}” of {count_of(len(fields['jobs']), 'label')} for at most "
            f"{dollars(budget_cents)} in all, {dollars(more)} more than before. Spend it?",
            Approval,
        )

    @server.tool(annotations=SPENDS)
    @taking(_SPEC)
    async def collect_campaign(
        fields: dict[str, Any],
        approved: Annotated[ElicitationResult[Approval], Resolve(may_run)],
        ctx: Context,
        max_wait_seconds: MaxWait = 120,
    ) -> CollectedCampaign:
        """Order the missing files of a dataset with several labels, wait, and download them into one folder.

        Call plan_campaign first, and tell the person the cost. Repeating the call continues the campaign and orders
        nothing twice. If you increase files_needed, it orders the difference. If timed_out_waiting is true, call it
        again later. When the campaign is finished, its unspent budget returns to this server's budget.
        """
        most_more = None if check_approved(approved) else confirm_cents
        return await campaigns.run(ctx, most_more, max_wait_seconds, fields)

"""What the tools return: a schema that programs can check, without what a model has no use for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self, cast

from pydantic import BaseModel

from firsthandapi._base.visible import visible
from firsthandapi.types import Model
from firsthandapi.types._base import fitting

# What strangers wrote has no bound, and a model pays for every word: a transcript of an hour is 50,000 letters.
_LONGEST_TEXT = 2_000
_LONGEST_LIST = 100
_DEEPEST = 8
# Of one value in all, about: each part may be long, but not all of them.
_MOST = 10_000
_CUT = " … (cut)"
_OF_STRANGERS = {"annotations", "original_filename", "ai_reasoning"}


class Result(BaseModel):
    """What a tool returns. Amounts are US cents."""

    @classmethod
    def of(cls, source: Any, **more: Any) -> Self:
        """The result for an object, of which it has the attributes of the same names; `more` are the others."""
        source = fitting(source) if isinstance(source, Model) else source
        for name in cls.model_fields.keys() - more.keys():
            value = getattr(source, name)
            if isinstance(value, BaseModel):
                value = value.model_dump(mode="json", exclude_none=True)
            more[name] = tamed(value) if name in _OF_STRANGERS else _whole(value)
        return cls(**more)


class JobResult(Result):
    """A job."""

    id: str
    status: str
    title: str | None = None
    description: str | None = None
    files_needed: int | None = None
    files_approved: int | None = None
    total_cost_cents: int | None = None
    created_at: datetime | None = None


class CreatedJob(JobResult):
    """A job just created, or created before by the same call, and not paid again."""

    created_before: bool = False
    budget_left_cents: int


class WaitedJob(CreatedJob):
    """A job after a wait; if that timed out, the job continues."""

    timed_out_waiting: bool


class DownloadedJob(JobResult):
    """A job whose files were downloaded to the computer of this server; if that timed out, some are missing."""

    folder: str
    files_in_folder: int
    timed_out_waiting: bool


class JobList(Result):
    """A page of jobs, newest first; `next_cursor` is null on the last one."""

    jobs: list[JobResult]
    next_cursor: str | None = None


class FileResult(Result):
    """An approved file. Its name and what annotations quote were written by strangers."""

    id: str
    content_type: str | None = None
    size_bytes: int | None = None
    ai_star_rating: int | None = None
    original_filename: str | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    download_url: str | None = None
    download_url_expires_at: datetime | None = None
    annotations: dict[str, Any] | None = None


class FileList(Result):
    """A page of approved files, newest first; `next_cursor` is null on the last one."""

    files: list[FileResult]
    next_cursor: str | None = None


class SubmissionResult(Result):
    """What a worker submitted, and its status."""

    id: str
    job_id: str | None = None
    status: str
    ai_star_rating: int | None = None
    ai_reasoning: str | None = None
    scored_at: datetime | None = None


class SubmissionList(Result):
    """A page of submissions, newest first; `next_cursor` is null on the last one."""

    submissions: list[SubmissionResult]
    next_cursor: str | None = None


class SummaryResult(Result):
    """Submissions, counted; the rate is 0 to 1."""

    total: int | None = None
    by_status: dict[str, int] | None = None
    average_star_rating: float | None = None
    approval_rate: float | None = None


class CreditsResult(Result):
    """The organization's credits, and this server's budget over all sessions."""

    balance_cents: int | None = None
    currency: str | None = None
    budget_cents: int
    budget_left_cents: int


class LabelResult(Result):
    """How far a label of a campaign is; `missing` is what collect_campaign orders."""

    label: str
    wanted: int
    approved: int
    coming: int
    missing: int
    spent_cents: int


class CampaignResult(Result):
    """A campaign, and what collect_campaign would order now, which is nothing if its budget does not suffice."""

    labels: list[LabelResult]
    cost_cents: int
    spent_cents: int
    budget_cents: int
    fits: bool
    budget_left_cents: int

    @classmethod
    def of(cls, source: Any, **more: Any) -> Self:
        """The result for a plan."""
        return super().of(source, labels=[LabelResult.of(label) for label in source.labels], **more)


class CollectedCampaign(CampaignResult):
    """A campaign after a run; if that timed out, its jobs continue."""

    folder: str
    finished: bool
    timed_out_waiting: bool


class SignedUp(Result):
    """A new organization; its key is shown only once."""

    organization_id: str | None = None
    api_key: str
    credits_cents: int | None = None


def tamed(value: Any) -> Any:
    """What strangers wrote, for a model: bounded, and without letters that people do not see but models read."""
    room = _MOST

    def tame(value: Any, depth: int) -> Any:
        nonlocal room
        room -= 1
        if isinstance(value, str):
            text = visible(value[:_LONGEST_TEXT])
            part = text[: max(room, 0)]
            room -= len(part)
            return part + (_CUT if len(value) > _LONGEST_TEXT or len(part) < len(text) else "")
        if isinstance(value, list | dict) and depth == _DEEPEST:
            return _CUT
        if isinstance(value, list):
            items = cast("list[Any]", value)  # type: ignore[redundant-cast] # pyright needs it
            some = [tame(item, depth + 1) for item in items[:_LONGEST_LIST] if room > 0]
            return [*some, _CUT] if len(some) < len(items) else some
        if isinstance(value, dict):
            pairs = [*cast("dict[str, Any]", value).items()][:_LONGEST_LIST]
            return {tame(name, depth): tame(item, depth + 1) for name, item in pairs if room > 0}
        return value

    return tame(value, 0)


def _whole(value: Any) -> Any:
    """Without half a character, which JSON cannot say: programs that cut a text in the middle of an emoji leave one."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
